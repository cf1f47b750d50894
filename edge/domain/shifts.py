"""Shifts: one person's drawer, from the opening float to the counted cash. Its figures are sums over the books."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.database import db, transaction
from edge.domain import books, clock, events
from edge.errors import BadInput
from edge.models import Staff, Throttle
from edge.money_models import LedgerEntry, Shift
from edge.values.money import show_money, whole_units

MOST_CENTS = 10**9  # of one amount that somebody types
LONGEST_WORDS = 200
LEFT_OPEN = timedelta(hours=14)  # nobody stands at a counter for so long: it was left open over night
TOLD_AGAIN = timedelta(days=1)
# The other side of cash that goes from a drawer to the owner, or back: such pairs come to nothing in the books.
CASH, SAFE = "cash", "safe"

_BY_KIND = "SELECT kind, method, COUNT(*), SUM(money_cents) FROM ledger WHERE shift_id = ? GROUP BY kind, method"
_ELSEWHERE = (
    "SELECT method, COUNT(*), SUM(money_cents) FROM ledger WHERE at >= ? AND at <= ? AND kind IN ('sale', 'held') "
    f"AND method NOT IN ('{CASH}', '{SAFE}') GROUP BY method ORDER BY method"
)
_GONE_BACK = ("refund", "reversal")


@dataclass(frozen=True)
class Line:
    """So many entries, and what they come to in cents; less than nothing when it left the drawer."""

    count: int = 0
    cents: int = 0

    def __add__(self, other: "Line") -> "Line":
        return Line(self.count + other.count, self.cents + other.cents)


@dataclass(frozen=True)
class Figures:
    """One shift in cents. What is above `expected_cents` is the drawer; `elsewhere` never was in it."""

    float_cents: int
    sales: Line
    vouchers: Line
    refunds: Line
    expenses: Line
    moved: Line  # taken out by the owner, or put in
    expected_cents: int
    elsewhere: tuple[tuple[str, Line], ...]  # what came in meanwhile by M-Pesa and the like, at whatever counter


@dataclass(frozen=True)
class Spent:
    """One amount in cents that left the drawer, or came into it, for no guest."""

    at: datetime
    cents: int
    words: str
    is_move: bool  # between the drawer and the owner: no expense


@transaction
def open(staff: Staff, float_cents: int, now: datetime) -> Shift:
    """Somebody begins at the counter with so much in the drawer; BadInput while an earlier shift of his is open."""
    _check_amount(float_cents, "float", least=0)
    if current(staff) is not None:
        raise BadInput("Your last shift is still open. Count the drawer and close it first.", "float")
    shift: Shift = Shift.create(staff=staff, float_cents=float_cents, opened_at=now)
    events.record("shift.opened", now, who=staff.name, shift=shift.id, amount=whole_units(float_cents))
    return shift


def current(staff: Staff) -> Shift | None:
    """His open shift."""
    found: Shift | None = Shift.get_or_none(Shift.staff == staff, Shift.closed_at.is_null())
    return found


def get(shift_id: int) -> Shift | None:
    """The shift of this number."""
    found: Shift | None = Shift.get_or_none(Shift.id == shift_id) if 0 < shift_id < 2**63 else None
    return found


def last(limit: int, staff: Staff | None = None) -> list[Shift]:
    """The newest shifts, of everybody or of one person."""
    rows = Shift.select(Shift, Staff).join(Staff).order_by(Shift.id.desc()).limit(limit)
    return list(rows if staff is None else rows.where(Shift.staff == staff))


def is_left_open(shift: Shift, now: datetime) -> bool:
    """Was it forgotten, and has stood open over night?"""
    return shift.closed_at is None and now - shift.opened_at >= LEFT_OPEN


@transaction
def add_expense(shift: Shift, cents: int, words: str, now: datetime, by: Staff) -> LedgerEntry:
    """Something for the shop was paid out of the drawer."""
    shift = _open_one(shift)
    words = _clean(words)
    if not words:
        raise BadInput("Say what it was paid for, like “water” or “airtime”.", "words")
    _check_amount(cents, "amount")
    _check_is_there(shift, cents, now, by)
    return books.record("expense", CASH, -cents, 0, now, shift_id=shift.id, staff_id=by.id, words=words)


@transaction
def take_out(shift: Shift, cents: int, words: str, now: datetime, by: Staff) -> None:
    """The owner collects cash: the shop has as much as before, and the drawer less."""
    shift = _open_one(shift)
    _check_amount(cents, "amount")
    _check_is_there(shift, cents, now, by)
    _move(shift, -cents, words, now, by)


@transaction
def put_in(shift: Shift, cents: int, words: str, now: datetime, by: Staff) -> None:
    """Change is brought to the drawer."""
    shift = _open_one(shift)
    _check_amount(cents, "amount")
    _move(shift, cents, words, now, by)


def figures(shift: Shift, now: datetime) -> Figures:
    """What the books say of this shift until it was closed, or until now."""
    found = {(kind, method): Line(count, int(cents)) for kind, method, count, cents in _rows(_BY_KIND, (shift.id,))}
    moved = found.get(("expense", SAFE), Line())
    expenses, vouchers = found.get(("expense", CASH), Line()), found.get(("voucher", CASH), Line())
    refunds = _sum(found.get((kind, CASH), Line()) for kind in _GONE_BACK)
    drawer = _sum(line for (kind, method), line in found.items() if method == CASH and kind != "variance")
    named = expenses + vouchers + refunds
    span = (shift.opened_at.timestamp(), (shift.closed_at or now).timestamp())
    return Figures(
        float_cents=shift.float_cents, sales=Line(drawer.count - named.count, drawer.cents - named.cents),
        vouchers=vouchers, refunds=refunds,
        # Each move is a pair of entries; the one in the drawer stands among its expenses.
        expenses=Line(expenses.count - moved.count, expenses.cents + moved.cents),
        moved=Line(moved.count, -moved.cents), expected_cents=shift.float_cents + drawer.cents,
        elsewhere=tuple((method, Line(count, int(cents))) for method, count, cents in _rows(_ELSEWHERE, span)),
    )  # fmt: skip


def spent(shift: Shift) -> list[Spent]:
    """Expenses, and cash that was taken out or put in, in their order."""
    rows = LedgerEntry.select().where(LedgerEntry.shift_id == shift.id, LedgerEntry.kind == "expense")
    entries = list(rows.order_by(LedgerEntry.sequence))
    moves = {entry.sequence - 1 for entry in entries if entry.method == SAFE}  # written right behind the drawer's side
    return [
        Spent(entry.at, entry.money_cents, entry.words, entry.sequence in moves)
        for entry in entries if entry.method == CASH
    ]  # fmt: skip


@transaction
def close(shift: Shift, counted_cents: int, words: str, now: datetime, by: Staff) -> Shift:
    """The drawer was counted: what it should hold is written beside, and the difference goes to the books.

    Once, however often it is pressed. BadInput when it is closed, or when it is somebody else's and `by` no owner.
    """
    shift = _open_one(shift)
    if by.role != "owner" and by.id != shift.staff_id:
        raise BadInput("This is somebody else's shift. The owner can close it.", "shift")
    _check_amount(counted_cents, "counted", least=0)
    expected, words = figures(shift, now).expected_cents, _clean(words)
    shift.put(closed_at=now, expected_cents=expected, counted_cents=counted_cents, words=words)
    over = counted_cents - expected
    if over:
        books.record("variance", CASH, over, 0, now, shift_id=shift.id, staff_id=shift.staff_id, words=words)
    Throttle.delete().where(Throttle.name == _told_key(shift)).execute()
    events.record(
        "shift.closed" if not over else "shift.closed_over" if over > 0 else "shift.closed_short", now,
        who=shift.staff.name, by=by.name, shift=shift.id, amount=whole_units(abs(over)),
    )  # fmt: skip
    return shift


def tell_left_open(now: datetime) -> int:
    """Shifts that nobody closed in the evening are told, once a day each; returns how many. Looks without a lock."""
    late = (now - LEFT_OPEN).timestamp()
    if not (clock.is_trusted(now) and Shift.any_where("closed_at IS NULL AND opened_at <= ?", late)):
        return 0
    return _tell_left_open(now)


@transaction
def _tell_left_open(now: datetime) -> int:
    told = 0
    open_ones = list(Shift.select(Shift, Staff).join(Staff).where(Shift.closed_at.is_null()))
    for shift in (one for one in open_ones if is_left_open(one, now)):
        row = Throttle.get_or_none(Throttle.name == _told_key(shift))
        if row is None or not now < row.free_at <= now + TOLD_AGAIN:
            Throttle.replace(name=_told_key(shift), free_at=now + TOLD_AGAIN).execute()
            hours = int((now - shift.opened_at).total_seconds() // 3600)
            events.record("shift.left_open", now, who=shift.staff.name, shift=shift.id, hours=hours)
            told += 1
    return told


def _told_key(shift: Shift) -> str:
    return f"shift-left-open:{shift.id}"


def _open_one(shift: Shift) -> Shift:
    """As it is now, under the lock of this transaction."""
    fresh: Shift = Shift.get_by_id(shift.id)
    if fresh.closed_at is not None:
        raise BadInput("This shift is closed already.", "shift")
    return fresh


def _move(shift: Shift, cents: int, words: str, now: datetime, by: Staff) -> None:
    for method, amount in ((CASH, cents), (SAFE, -cents)):
        books.record("expense", method, amount, 0, now, shift_id=shift.id, staff_id=by.id, words=_clean(words))


def _check_is_there(shift: Shift, cents: int, now: datetime, by: Staff) -> None:
    there = figures(shift, now).expected_cents
    if cents > there:  # who counts the drawer should not know what is hoped for
        holds = f"holds {show_money(there)}" if by.role == "owner" else "holds less"
        raise BadInput(f"By the books the drawer {holds}: so much can't come out of it.", "amount")


def _check_amount(cents: int, field: str, least: int = 1) -> None:
    if not least <= cents <= MOST_CENTS:
        raise BadInput("Type an amount in shillings, like 500 or 1,250.50.", field)


def _clean(words: str) -> str:
    line = " ".join(words.split())
    return "".join(letter for letter in line if letter.isprintable())[:LONGEST_WORDS]


def _rows(words: str, values: Sequence[object]) -> list[Any]:
    return list(db.execute_sql(words, values).fetchall())


def _sum(lines: Iterable[Line]) -> Line:
    return sum(lines, Line())
