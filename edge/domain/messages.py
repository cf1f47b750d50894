"""Texts: one row each, one try each, and an honest word on what became of it."""

import unicodedata
from collections.abc import Callable
from datetime import datetime

from edge import jobs
from edge.database import transaction
from edge.domain import events
from edge.models import Message, Payment
from edge.values.gsm7 import to_septets
from edge.values.msisdn import mask_msisdn
from edge.values.sms_text import count_segments, simplify

# The network may take 120 s to accept a segment (Quectel EC25's manual), the modem 40 s to get ready: only after
# both is it silence.
MODEM_TAKES_S = 180


@transaction
def promise(msisdn: str, text: str, now: datetime, payment: Payment | None = None) -> Message:
    """Write the text and the work of sending it. The modem is one lane: one conversation at a time."""
    message: Message = Message.create(msisdn=msisdn, text=text, payment=payment, created_at=now)
    jobs.promise(
        "sms.send", "sms", now, args={"message_id": message.id}, priority=jobs.HIGH, lane="modem",
        unique_key=f"sms:{message.id}", cause=f"payment:{payment.id}" if payment else "", timeout_s=MODEM_TAKES_S,
    )  # fmt: skip
    return message


def in_one_segment(say: Callable[[str], str], shop: str) -> str:
    """What `say` makes of the shop's name, with so much of the name as one segment has room for.

    A letter that the 7-bit alphabet lacks would more than halve the segment: it is written plainly or left out.
    """
    name = " ".join("".join(_plain(letter) for letter in simplify(shop)).split()) or "WiFi"
    while name and count_segments(say(name)) > 1:
        name = name[:-1].rstrip()
    return simplify(say(name))


def _plain(letter: str) -> str:
    if to_septets(letter) is not None:
        return letter
    return "".join(part for part in unicodedata.normalize("NFKD", letter) if to_septets(part) is not None)


@transaction
def mark_sent(message_id: int, reference: str, now: datetime) -> None:
    """The network took it. Late news counts too: what was unconfirmed is known now."""
    Message.update(state="sent", reference=reference, words="", sent_at=now).where(
        Message.id == message_id, Message.state.in_(("queued", "unconfirmed"))
    ).execute()


@transaction
def mark_no_way(message_id: int, words: str) -> None:
    """There is nothing to send it with: no alarm, since the owner chose so."""
    Message.update(state="failed", words=words).where(Message.id == message_id, Message.state == "queued").execute()


@transaction
def mark_failed(message_id: int, words: str, now: datetime) -> None:
    """It surely did not leave."""
    _settle(message_id, "failed", words, now)


@transaction
def mark_unconfirmed(message_id: int, words: str, now: datetime) -> None:
    """The network may hold it already: asking is safe, sending is not."""
    _settle(message_id, "unconfirmed", words, now)


def _settle(message_id: int, state: str, words: str, now: datetime) -> None:
    queued = (Message.id == message_id, Message.state == "queued")
    if Message.update(state=state, words=words).where(*queued).execute() == 1:
        message = Message.get_by_id(message_id)
        events.record(
            f"sms.{state}", now, phone=mask_msisdn(message.msisdn), payment=message.payment_id, words=words
        )
