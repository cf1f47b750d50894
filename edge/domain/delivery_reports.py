"""What the network reports of texts that left by the modem: matched to their segments, however late or early.

The message reference has 8 bits and comes round again, the number may come back as 0712… instead of +254712…, and a
report may be here before the text is known as sent (3GPP 23.040, 9.2.3.6; gammu/gammu#894).
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.database import db, transaction
from edge.domain import messages
from edge.models import Message
from edge.sms_models import DeliveryReport, MessageSegment

log = logging.getLogger("edge.modem")

SAME_DIGITS = 8  # of the number's end; what is before them is written in many ways
NEAR = timedelta(minutes=15)  # the message centre's stamp and our own clock
KEPT = timedelta(days=7)
LOOSE_FOR = timedelta(hours=1)  # so long a report may wait for its segment to be written down
MOST_LOOSE = 200

# TP-Status (3GPP 23.040, 9.2.3.15). Reserved values read as 0x63, service rejected.
STATUS_WORDS = {
    0x00: "delivered", 0x01: "passed on, and not confirmed", 0x02: "replaced by a later one",
    0x20: "the network is crowded, and tries on", 0x21: "the phone is busy, and the network tries on",
    0x22: "no answer from the phone, and the network tries on",
    0x40: "the phone's network could not understand it", 0x41: "the phone does not work with this network",
    0x42: "the service is not offered there", 0x43: "no such number", 0x44: "barred for this number",
    0x45: "no right to send it", 0x46: "the phone could not be reached in time", 0x47: "deleted by the sender",
    0x48: "deleted by the message centre", 0x49: "the text does not exist",
    0x60: "the network is crowded", 0x61: "the phone is busy", 0x62: "no answer from the phone",
    0x63: "rejected by the network", 0x65: "trouble in the phone",
}  # fmt: skip


@dataclass(frozen=True)
class NetworkReport:
    """One report as the modem gave it. `recipient` as the network writes it; `status` is TP-Status."""

    reference: int
    recipient: str
    sent_at: datetime | None
    done_at: datetime | None
    status: int


@transaction
def keep(reports: Iterable[NetworkReport], now: datetime) -> int:
    """Write them down, each once, and match what can be matched; returns how many found their text."""
    matched = 0
    for report in reports:
        row = _write(report, now)
        matched += 0 if row is None else _match(row, now)
    return matched


def match_loose(now: datetime) -> int:
    """Those that came before their text was known as sent; a look, while there are none."""
    loose = "message_id IS NULL AND received_at > ?"
    if not DeliveryReport.any_where(loose, (now - LOOSE_FOR).timestamp()):
        return 0
    return _match_again(now)


@transaction
def _match_again(now: datetime) -> int:
    fresh = (DeliveryReport.message_id.is_null(), DeliveryReport.received_at > now - LOOSE_FOR)
    rows = list(DeliveryReport.select().where(*fresh).order_by(DeliveryReport.id).limit(MOST_LOOSE))
    return sum(_match(row, now) for row in rows)


def _write(report: NetworkReport, now: datetime) -> DeliveryReport | None:
    """None when the network only repeats itself."""
    told = (report.reference, report.recipient, report.sent_at, report.done_at, report.status)
    digest = hashlib.sha256(repr(told).encode()).hexdigest()
    if DeliveryReport.get_or_none(DeliveryReport.digest == digest) is not None:
        return None
    row: DeliveryReport = DeliveryReport.create(
        digest=digest, reference=report.reference, msisdn=report.recipient.removeprefix("+"), sent_at=report.sent_at,
        done_at=report.done_at, status=report.status, received_at=now,
    )  # fmt: skip
    return row


def _match(row: DeliveryReport, now: datetime) -> int:
    """1 when it found its text."""
    segment = _segment_of(row, now)
    message = segment.message if segment is not None else _unconfirmed_of(row, now)
    if message is None:
        return 0
    row.put(message_id=message.id)
    if not is_final(row.status):
        return 1  # its last word is to come
    if segment is None:
        _tell(message, row.status, [row.status], now)
        return 1
    segment.put(status=row.status, done_at=row.done_at)
    parts = list(MessageSegment.select().where(MessageSegment.message == message.id))
    _tell(message, row.status, [part.status for part in parts], now)
    return 1


def _segment_of(row: DeliveryReport, now: datetime) -> MessageSegment | None:
    """The newest that is unreported, of this reference and number; one whose time is right before any other."""
    open_ones = MessageSegment.select(MessageSegment, Message).join(Message).where(
        MessageSegment.reference == row.reference, MessageSegment.sent_at > now - KEPT, MessageSegment.status.is_null()
    )  # fmt: skip
    newest_first = list(open_ones.order_by(MessageSegment.sent_at.desc(), MessageSegment.id.desc()))
    found = [segment for segment in newest_first if _is_same_number(segment.message.msisdn, row.msisdn)]
    return next((segment for segment in found if _is_near(segment.sent_at, row.sent_at)), found[0] if found else None)


def _unconfirmed_of(row: DeliveryReport, now: datetime) -> Message | None:
    """A text whose answer was lost: the report itself says that it went out. Only when no other could be meant."""
    if row.sent_at is None:
        return None
    texts = Message.select().where(
        Message.state == "unconfirmed", Message.wants_report, Message.segments == 1, Message.route.in_(("", "modem")),
        Message.created_at > now - KEPT,
    )  # fmt: skip
    found = [text for text in list(texts) if _is_same_number(text.msisdn, row.msisdn)]
    near = [text for text in found if text.closed_at is not None and _is_near(text.closed_at, row.sent_at)]
    return near[0] if len(near) == 1 and not messages.is_in_hand(near[0].msisdn) else None


def _is_same_number(ours: str, theirs: str) -> bool:
    """+254712345678 and 0712345678 are; short codes have to be whole."""
    if min(len(ours), len(theirs)) < SAME_DIGITS:
        return ours == theirs
    return ours[-SAME_DIGITS:] == theirs[-SAME_DIGITS:]


def _is_near(ours: datetime, theirs: datetime | None) -> bool:
    """Message centres are at times wrong by their time zone, so by whole quarters of hours within a day."""
    if theirs is None:
        return True
    apart = abs(ours - theirs)
    return apart <= NEAR or (apart <= timedelta(hours=14) and _off_the_hour(apart) <= timedelta(minutes=2))


def _off_the_hour(apart: timedelta) -> timedelta:
    rest = apart % timedelta(hours=1)
    return min(rest, timedelta(hours=1) - rest)


def is_delivered(status: int) -> bool:
    """0x00 to 0x1F: it is there, as far as the network knows."""
    return status < 0x20


def is_final(status: int) -> bool:
    """0x20 to 0x3F: the message centre is still trying."""
    return not 0x20 <= status < 0x40


def _tell(message: Message, status: int, statuses: list[int | None], now: datetime) -> None:
    """Delivered when all segments are; failed when one of them finally is."""
    words = STATUS_WORDS.get(status, f"TP-Status 0x{status:02X}")
    if not is_delivered(status):
        messages.mark_undelivered(message.id, f"the network reports: {words}", now)
    elif all(told is not None and is_delivered(told) for told in statuses):
        messages.mark_delivered(message.id, now)


@transaction
def prune(now: datetime, most: int = 1_000) -> int:
    """Forget what is older than a week; returns how many rows that were."""
    return int(
        db.execute_sql(
            "DELETE FROM delivery_reports WHERE id IN (SELECT id FROM delivery_reports WHERE received_at < ? LIMIT ?)",
            ((now - KEPT).timestamp(), most),
        ).rowcount
    )
