"""Texts: one row each, one try each, and an honest word on what became of it."""

from datetime import datetime

from edge import jobs
from edge.database import transaction
from edge.domain import events
from edge.models import Message, Payment
from edge.values.msisdn import mask_msisdn


@transaction
def promise(msisdn: str, text: str, now: datetime, payment: Payment | None = None) -> Message:
    """Write the text and the work of sending it. The modem is one lane: one conversation at a time."""
    message = Message.create(msisdn=msisdn, text=text, payment=payment, created_at=now)
    jobs.promise(
        "sms.send", "sms", now, args={"message_id": message.id}, priority=jobs.HIGH, lane="modem",
        unique_key=f"sms:{message.id}", cause=f"payment:{payment.id}" if payment else "",
    )  # fmt: skip
    return message


@transaction
def mark_sent(message_id: int, reference: str, now: datetime) -> None:
    """The network took it."""
    _settle(message_id, "sent", reference=reference, sent_at=now)


@transaction
def mark_failed(message_id: int, words: str, now: datetime) -> None:
    """It surely did not leave."""
    if _settle(message_id, "failed", words=words):
        _tell("sms.failed", message_id, words, now)


@transaction
def mark_unconfirmed(message_id: int, words: str, now: datetime) -> None:
    """The network may hold it already: asking is safe, sending is not."""
    if _settle(message_id, "unconfirmed", words=words):
        _tell("sms.unconfirmed", message_id, words, now)


def _settle(message_id: int, state: str, **columns: object) -> bool:
    changed = Message.update(state=state, **columns).where(Message.id == message_id, Message.state == "queued")
    return bool(changed.execute() == 1)


def _tell(name: str, message_id: int, words: str, now: datetime) -> None:
    message = Message.get_by_id(message_id)
    events.record(name, now, phone=mask_msisdn(message.msisdn), payment=message.payment_id, words=words)
