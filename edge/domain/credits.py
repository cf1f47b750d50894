"""Credits: one is one segment that staff write. Each movement has two sides; an account is the sum of its lines."""

from dataclasses import dataclass
from datetime import datetime

from peewee import fn

from edge.database import db, transaction
from edge.domain import events, notices
from edge.errors import BadInput
from edge.sms_models import CreditAccount, CreditEntry

ISSUED, AVAILABLE, RESERVED, SPENT = "issued", "available", "reserved", "spent"
ACCOUNTS = (ISSUED, AVAILABLE, RESERVED, SPENT)
MOST = 100_000_000


class Short(BadInput):
    """There are too few credits; nothing was taken and nothing is sent."""

    def __init__(self, needed: int, available: int) -> None:
        missing = needed - available
        super().__init__(
            f"This needs {needed:,} credits, and {available:,} are there: {missing:,} more are needed. "
            "Nothing was sent.",
            "credits",
        )
        self.needed, self.available = needed, available


_low = 0


def configure(low: int) -> None:
    """Below so many the owner is told."""
    global _low
    _low = low


@dataclass(frozen=True)
class Balance:
    """Credits in each account; `issued` is what was ever topped up."""

    available: int
    reserved: int
    spent: int
    issued: int


@dataclass(frozen=True)
class Cause:
    """What a movement is for."""

    key: str  # the same is never booked twice
    why: str
    words: str = ""
    staff_id: int | None = None
    campaign_id: int | None = None
    message_id: int | None = None


def balance() -> Balance:
    """What is there now."""
    told = dict.fromkeys(ACCOUNTS, 0)
    for name, held in db.execute_sql("SELECT name, balance FROM credit_accounts").fetchall():
        told[name.partition(":")[0]] += int(held)
    return Balance(told[AVAILABLE], told[RESERVED], told[SPENT], -told[ISSUED])


@transaction
def top_up(amount: int, words: str, staff_id: int | None, now: datetime) -> CreditEntry:
    """More credits for everybody of this shop."""
    if not 0 < amount <= MOST:
        raise BadInput(f"A top-up is a whole number from 1 to {MOST:,}.", "amount")
    return _by_hand(ISSUED, AVAILABLE, amount, "top-up", words, staff_id, now)


@transaction
def correct(amount: int, words: str, staff_id: int | None, now: datetime) -> CreditEntry:
    """A person puts something right: `amount` more, or fewer when it is below zero. It needs a reason."""
    if amount == 0 or abs(amount) > MOST:
        raise BadInput("A correction is a whole number, like -20.", "amount")
    if not words.strip():
        raise BadInput("Say why this is corrected.", "words")
    giver, taker = (ISSUED, AVAILABLE) if amount > 0 else (AVAILABLE, ISSUED)
    return _by_hand(giver, taker, abs(amount), "correction", words, staff_id, now)


def _by_hand(
    giver: str, taker: str, amount: int, why: str, words: str, staff_id: int | None, now: datetime
) -> CreditEntry:
    last = CreditEntry.select(fn.MAX(CreditEntry.id)).scalar() or 0
    entry = _move(giver, taker, amount, Cause(f"{why}:{last + 1}", why, words.strip()[:200], staff_id), now)
    assert entry is not None  # its key is new
    events.record("credits.changed", now, why=why, amount=amount if taker == AVAILABLE else -amount)
    return entry


@transaction
def reserve(amount: int, cause: Cause, now: datetime) -> None:
    """Set aside before anything is promised; Short when there are too few. The owner hears when few are left."""
    if amount and _move(AVAILABLE, _of(RESERVED, cause), amount, cause, now) is not None:
        _tell_if_low(now)


def _tell_if_low(now: datetime) -> None:
    """Once after each top-up."""
    left = _held(AVAILABLE)
    if left >= _low:
        return
    last = CreditEntry.select(fn.MAX(CreditEntry.id)).where(CreditEntry.taker == AVAILABLE, CreditEntry.giver == ISSUED)
    notices.tell(
        "credits.low", f"{left:,} credits for texts are left",
        "Campaigns and texts that staff write stop when none are left. Codes and receipts go on.", now,
        link="/admin/sms/credits", key=f"credits.low:{last.scalar() or 0}",
    )  # fmt: skip


@transaction
def spend(amount: int, cause: Cause, now: datetime) -> bool:
    """What was set aside is used up: the text was accepted, or may have been. False when that is booked already."""
    return amount > 0 and _move(_of(RESERVED, cause), _of(SPENT, cause), amount, cause, now) is not None


@transaction
def release(amount: int, cause: Cause, now: datetime) -> bool:
    """What was set aside is free again: it surely was not sent. False when that is booked already."""
    return amount > 0 and _move(_of(RESERVED, cause), AVAILABLE, amount, cause, now) is not None


@transaction
def refund(amount: int, cause: Cause, now: datetime) -> bool:
    """What was spent is given back, once."""
    return amount > 0 and _move(_of(SPENT, cause), AVAILABLE, amount, cause, now) is not None


def _of(account: str, cause: Cause) -> str:
    """A campaign has accounts of its own, so that its figures are read and not added up."""
    return account if cause.campaign_id is None else f"{account}:{cause.campaign_id}"


def _move(giver: str, taker: str, amount: int, cause: Cause, now: datetime) -> CreditEntry | None:
    """One line and both accounts in one transaction; None when this cause is booked already."""
    if CreditEntry.any_where("key = ?", cause.key):
        return None
    if not _add(giver, -amount, least=None if giver == ISSUED else amount):
        raise Short(amount, _held(giver))
    _add(taker, amount)
    return CreditEntry.create(
        key=cause.key, at=now, giver=giver, taker=taker, amount=amount, why=cause.why, words=cause.words,
        staff_id=cause.staff_id, campaign_id=cause.campaign_id, message_id=cause.message_id,
        available=_held(AVAILABLE),
    )  # fmt: skip


def _add(name: str, amount: int, least: int | None = None) -> bool:
    """Change what this account holds; False when it holds less than `least`."""
    held = "" if least is None else f" AND balance >= {int(least)}"
    change = f"UPDATE credit_accounts SET balance = balance + ? WHERE name = ?{held}"
    if db.execute_sql(change, (amount, name)).rowcount == 1:
        return True
    if least is not None or CreditAccount.any_where("name = ?", name):
        return False
    CreditAccount.create(name=name, balance=amount)
    return True


def _held(name: str) -> int:
    found = db.execute_sql("SELECT balance FROM credit_accounts WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def statement(before: int | None = None, limit: int = 100, *, moving: bool = False) -> list[CreditEntry]:
    """The lines, newest first; if `moving` only those after which other credits were available than before."""
    found = CreditEntry.select()
    if moving:
        found = found.where((CreditEntry.giver == AVAILABLE) | (CreditEntry.taker == AVAILABLE))
    if before is not None:
        found = found.where(CreditEntry.id < before)
    return list(found.order_by(CreditEntry.id.desc()).limit(limit))


def reserved_for(campaign_id: int) -> int:
    """What is still set aside for this campaign."""
    return _held(f"{RESERVED}:{campaign_id}")


def spent_by(campaign_id: int) -> int:
    """What this campaign used up, less what came back."""
    return _held(f"{SPENT}:{campaign_id}")


def verify() -> list[str]:
    """What does not add up, in words; none when every account is the sum of its lines."""
    told = dict(db.execute_sql("SELECT name, balance FROM credit_accounts").fetchall())
    summed: dict[str, int] = dict.fromkeys(told, 0)
    for giver, taker, amount in db.execute_sql(
        "SELECT giver, taker, SUM(amount) FROM credit_entries GROUP BY giver, taker"
    ).fetchall():
        summed[giver] = summed.get(giver, 0) - int(amount)
        summed[taker] = summed.get(taker, 0) + int(amount)
    faults = [
        f"{name}: the account says {told.get(name, 0):,}, its lines add up to {total:,}"
        for name, total in summed.items()
        if told.get(name, 0) != total
    ]
    if sum(told.values()):
        faults.append(f"all accounts together are {sum(told.values()):,} and must be 0")
    return faults
