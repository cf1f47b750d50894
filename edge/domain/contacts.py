"""Who may be texted: the wish of a number's owner, by his own words or by the shop's record of them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from edge.database import transaction
from edge.domain import events
from edge.models import Message
from edge.sms_models import Contact
from edge.values.msisdn import mask_msisdn

CHUNK = 500
WEEK = timedelta(days=7)


def find(msisdn: str) -> Contact | None:
    """What is known of this number; None when nobody ever said anything."""
    found: Contact | None = Contact.get_or_none(Contact.msisdn == msisdn)
    return found


def is_blocked(msisdn: str) -> bool:
    """Does its owner want no campaign at all?"""
    row = find(msisdn)
    return row is not None and bool(row.blocked)


def may_market(msisdn: str) -> bool:
    """Advertising goes to those who said yes; silence is no."""
    row = find(msisdn)
    return row is not None and row.marketing == "yes" and not row.blocked


def blocked_among(msisdns: Iterable[str]) -> set[str]:
    """Those of these numbers that want no campaign."""
    return {row.msisdn for row in _of(msisdns) if row.blocked}


def willing_among(msisdns: Iterable[str]) -> set[str]:
    """Those of these numbers that agreed to advertising."""
    return {row.msisdn for row in _of(msisdns) if row.marketing == "yes" and not row.blocked}


def unwilling_among(msisdns: Iterable[str]) -> set[str]:
    """Those of these numbers that said no to advertising."""
    return {row.msisdn for row in _of(msisdns) if row.marketing == "no" or row.blocked}


def _of(msisdns: Iterable[str]) -> list[Contact]:
    numbers = list(msisdns)
    return [
        row
        for start in range(0, len(numbers), CHUNK)
        for row in Contact.select().where(Contact.msisdn.in_(numbers[start : start + CHUNK]))
    ]


@transaction
def opt_out(msisdn: str, how: str, now: datetime) -> bool:
    """No campaign reaches this number from now on, those under way included; False when it was so before."""
    row = _row(msisdn, now)
    if row.blocked:
        return False
    row.put(marketing="no", blocked=True, how=how[:200], changed_at=now)
    events.record("contact.opted_out", now, phone=mask_msisdn(msisdn), how=how[:200])
    return True


@transaction
def opt_in(msisdn: str, how: str, now: datetime) -> bool:
    """Its owner wants the shop's offers (again); False when it was so before."""
    row = _row(msisdn, now)
    if row.marketing == "yes" and not row.blocked:
        return False
    row.put(marketing="yes", blocked=False, how=how[:200], changed_at=now)
    events.record("contact.opted_in", now, phone=mask_msisdn(msisdn), how=how[:200])
    return True


@transaction
def agree(msisdn: str, how: str, now: datetime, name: str = "") -> bool:
    """The shop says that he agreed. False for whoever said no himself: only he can change that, by START."""
    row = _row(msisdn, now)
    if name and not row.name:
        row.put(name=name[:100])
    if row.blocked or row.marketing == "no":
        return False
    if row.marketing == "yes":
        return True
    row.put(marketing="yes", how=how[:200], changed_at=now)
    return True


@transaction
def note_answer(msisdn: str, now: datetime) -> None:
    """The box answered this number by itself."""
    _row(msisdn, now).put(answered_at=now)


def _row(msisdn: str, now: datetime) -> Contact:
    return Contact.create_unless_there(msisdn=msisdn, created_at=now) or Contact.get(Contact.msisdn == msisdn)


def texted_since(msisdn: str, since: datetime) -> int:
    """How many campaigns reached this number, may have, or are about to, since then."""
    reached = (Message.msisdn == msisdn, Message.kind == "campaign", Message.created_at >= since)
    counted = Message.state.in_(("queued", "sent", "delivered", "unconfirmed"))
    return int(Message.select().where(*reached, counted).count())
