"""Texts as staff look at them: what came in, newest first, and all that went to and fro with one number."""

from dataclasses import dataclass
from datetime import datetime

from edge.database import transaction
from edge.domain import answers, incoming_texts
from edge.models import Message
from edge.money_models import IncomingText

PAGE = 40
TALK = 30  # the last texts of a conversation
SHOWS = ("unread", "people", "words", "owner", "mpesa")
_KINDS = {
    "people": ("person", "order"), "words": ("stop", "start", "help", "balance", "voucher"), "owner": ("owner",),
    "mpesa": ("mpesa",),
}  # fmt: skip
_HELD = (IncomingText.state == "held") & (IncomingText.kind == "")  # what could not even be read
# Parts that wait for the others, and texts that nobody judged yet, are shown and not counted.
_UNREAD = IncomingText.read_at.is_null() & ((IncomingText.kind != "") | _HELD)


@dataclass(frozen=True)
class Said:
    """One text of a conversation: it came in, or went out."""

    at: datetime
    incoming: IncomingText | None = None
    message: Message | None = None


def came_in(show: str = "", sender: str = "", before: int | None = None, limit: int = PAGE) -> list[IncomingText]:
    """The newest texts, of one of SHOWS, of one sender as it was typed (a whole number, or a name)."""
    found = IncomingText.select().where(~incoming_texts.IS_JOINED)
    if show == "unread":
        found = found.where(_UNREAD)
    elif show:
        found = found.where(IncomingText.kind.in_(_KINDS[show]))
    if sender:
        found = found.where(IncomingText.sender.in_(spellings(sender)))
    if before is not None:
        found = found.where(IncomingText.id < before)
    return list(found.order_by(IncomingText.id.desc()).limit(limit))


def unread() -> int:
    """How many wait for a person."""
    return int(IncomingText.select().where(_UNREAD, ~incoming_texts.IS_JOINED).count())


def find(text_id: int) -> IncomingText | None:
    """The text of this number."""
    found: IncomingText | None = IncomingText.get_or_none(IncomingText.id == text_id) if 0 < text_id < 2**63 else None
    return found


def with_sender_of(row: IncomingText, limit: int = TALK) -> list[Said]:
    """The last texts from whoever sent this one, and to him; in the order in which they were said."""
    number = answers.number_of(row)
    came = came_in(sender=number or row.sender, limit=limit)
    sent = Message.select().where(Message.msisdn == number, Message.state != "listed")
    went = list(sent.order_by(Message.id.desc()).limit(limit)) if number else []
    both = [*(Said(text.received_at, text) for text in came), *(Said(one.created_at, None, one) for one in went)]
    return sorted(both, key=lambda said: said.at)[-limit:]


def spellings(sender: str) -> list[str]:
    """How one number may stand in the books: as its message centre told it."""
    if not sender.isdigit():
        return [sender]
    national = f"0{sender[3:]}" if sender.startswith("254") else ""
    return [sender, f"+{sender}", f"00{sender}", *([national, national[1:]] if national else [])]


@transaction
def mark_read(text_id: int, now: datetime) -> None:
    """A person has seen it, and all that the same sender wrote before."""
    row = find(text_id)
    if row is None:
        return
    whose = IncomingText.sender.in_(spellings(answers.number_of(row) or row.sender))
    IncomingText.update(read_at=now).where(whose, IncomingText.id <= row.id, _UNREAD).execute()


@transaction
def mark_unread(text_id: int) -> None:
    """It is to be looked at again."""
    IncomingText.update(read_at=None).where(IncomingText.id == text_id, IncomingText.kind != "mpesa").execute()


@transaction
def mark_all_read(until: int, now: datetime) -> int:
    """Everything up to this text was seen; returns how many. What came meanwhile stays."""
    return int(IncomingText.update(read_at=now).where(IncomingText.id <= until, _UNREAD).execute())


def is_said_already(row: IncomingText, text: str, since: datetime) -> bool:
    """Was this very answer written just now? Whoever presses twice means it once."""
    found = Message.select().where(Message.answers_id == row.id, Message.kind == "hand", Message.created_at > since)
    return any(message.text == text for message in list(found.limit(20)))
