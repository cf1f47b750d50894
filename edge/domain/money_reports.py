"""What the books say of a day, a week or a month: sums by day, plan, seller, hour or method, and the day slip."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edge.database import db
from edge.domain import books
from edge.errors import BadInput
from edge.models import Plan, Staff
from edge.money_models import Shift

WAYS = ("day", "week", "plan", "seller", "hour", "method", "reason")
DAY = timedelta(days=1)
LONGEST = 3 * 366  # days of one report
EPOCH = date(1970, 1, 1)

# Money that came in and money that went back are told apart; `held` is what came in without buying anything, less what
# later bought something or went back.
_SUMS = """COUNT(CASE WHEN kind IN ('sale', 'voucher', 'allotted') AND sold_cents > 0 THEN 1 END),
  COALESCE(SUM(CASE WHEN kind IN ('sale', 'voucher', 'allotted') THEN sold_cents ELSE 0 END), 0),
  COALESCE(SUM(CASE WHEN kind IN ('sale', 'voucher', 'held') THEN money_cents ELSE 0 END), 0),
  COALESCE(SUM(CASE WHEN kind IN ('refund', 'reversal') THEN -money_cents ELSE 0 END), 0),
  COALESCE(SUM(CASE WHEN kind IN ('refund', 'reversal') THEN -sold_cents ELSE 0 END), 0),
  COALESCE(SUM(CASE WHEN kind NOT IN ('expense', 'variance') THEN money_cents - sold_cents ELSE 0 END), 0),
  COALESCE(SUM(CASE WHEN kind = 'expense' THEN -money_cents ELSE 0 END), 0),
  COALESCE(SUM(CASE WHEN kind = 'variance' THEN money_cents ELSE 0 END), 0)"""
_WHEN = "FROM ledger WHERE at >= ? AND at < ?"
# The condition is written out as the index over what is not settled at once repeats it (ledger_unsettled).
_HELD_UNTIL = (
    "SELECT COALESCE(SUM(money_cents - sold_cents), 0) FROM ledger "
    "WHERE money_cents <> sold_cents AND kind NOT IN ('expense', 'variance') AND at < ?"
)


@dataclass(frozen=True)
class Sums:
    """What happened to money, in cents; every figure is positive where things go as they should."""

    sales: int = 0  # how many
    sold_cents: int = 0  # by sales, vouchers and held money that was allotted
    in_cents: int = 0  # came in: sold or held
    returned_cents: int = 0  # went back: refunds and reversals
    unsold_cents: int = 0  # of that, what had been sold
    held_cents: int = 0  # more, or less, money held for guests than before
    expense_cents: int = 0
    variance_cents: int = 0  # the drawers had so much more, or less, than they should

    @property
    def net_cents(self) -> int:
        """Takings: sold, less what was taken back."""
        return self.sold_cents - self.unsold_cents

    @property
    def money_cents(self) -> int:
        """By so much there is more money than before."""
        return self.in_cents - self.returned_cents - self.expense_cents + self.variance_cents

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


@dataclass(frozen=True)
class Row:
    """One line of a report: `key` for programs (2026-03-02, plan:1, 14 …), `name` for people."""

    key: str
    name: str
    sums: Sums


@dataclass(frozen=True)
class Failed:
    """So many checkouts came to nothing for this reason: M-Pesa's result code, or `expired`."""

    code: str
    count: int
    cents: int


@dataclass(frozen=True)
class Report:
    """Days `first` to `last` (both are in it), grouped by one of WAYS; `failed` is filled by `reason` alone."""

    by: str
    first: date
    last: date
    rows: list[Row]
    total: Sums
    failed: list[Failed] = field(default_factory=list)


@dataclass(frozen=True)
class ShiftLine:
    """One shift that was closed on this day."""

    name: str
    opened_at: datetime
    closed_at: datetime
    expected_cents: int
    counted_cents: int
    words: str

    @property
    def variance_cents(self) -> int:
        return self.counted_cents - self.expected_cents


@dataclass(frozen=True)
class DaySlip:
    """One day of the shop on one strip of paper."""

    day: date
    total: Sums
    by_method: list[Row]
    by_plan: list[Row]
    vouchers: Sums
    refunds: list[Row]  # by method
    reversals: list[Row]
    held_cents: int  # at the end of the day, in all
    shifts: list[ShiftLine]
    failed: list[Failed]
    first_line: int  # of the books, on this day; 0 when there is none
    last_line: int
    opening_hash: str
    closing_hash: str


def report(by: str, first: date, last: date, zone: ZoneInfo) -> Report:
    """The books of these days by the clock on the shop's wall, grouped; BadInput for what can't be reported."""
    if by not in WAYS:
        raise BadInput(f"A report is by one of: {', '.join(WAYS)}.", "by")
    if last < first:
        raise BadInput("The first day comes after the last.", "from")
    if (last - first).days >= LONGEST:
        raise BadInput(f"A report is of {LONGEST} days at most.", "from")
    if by == "reason":
        return Report(by, first, last, [], Sums(), failures(first, last, zone))
    rows = _BY[by](first, last, zone)
    return Report(by, first, last, rows, sum((row.sums for row in rows), Sums()))


def day_slip(day: date, zone: ZoneInfo) -> DaySlip:
    """Everything about one day by the clock on the shop's wall."""
    start, end = span(day, day, zone)
    by_method = _by_method(day, day, zone)
    first_line, last_line = db.execute_sql(f"SELECT MIN(sequence), MAX(sequence) {_WHEN}", (start, end)).fetchone()
    opening, closing = _hashes(first_line, last_line, start)
    return DaySlip(
        day=day, total=sum((row.sums for row in by_method), Sums()), by_method=by_method,
        by_plan=_by_plan(day, day, zone), vouchers=_of_kind("voucher", start, end),
        refunds=_money_back("refund", start, end), reversals=_money_back("reversal", start, end),
        held_cents=int(db.execute_sql(_HELD_UNTIL, (end,)).fetchone()[0]), shifts=_shifts(start, end),
        failed=failures(day, day, zone), first_line=first_line or 0, last_line=last_line or 0, opening_hash=opening,
        closing_hash=closing,
    )  # fmt: skip


def of_day(day: date, zone: ZoneInfo) -> Sums:
    """The sums of one day by the clock on the shop's wall, and nothing else: for who looks every two seconds."""
    row = _rows(f"SELECT {_SUMS} {_WHEN}", *span(day, day, zone))[0]
    return Sums(*(int(cell) for cell in row))


def failures(first: date, last: date, zone: ZoneInfo) -> list[Failed]:
    """Checkouts begun on these days that came to nothing, by reason, the commonest first."""
    words = (
        "SELECT CASE WHEN state = 'expired' THEN 'expired' ELSE result_code END, COUNT(*), SUM(amount_cents) "
        "FROM payments WHERE created_at >= ? AND created_at < ? AND state IN ('failed', 'expired') GROUP BY 1"
    )
    found = [Failed(str(code), int(count), int(cents)) for code, count, cents in _rows(words, *span(first, last, zone))]
    return sorted(found, key=lambda row: (-row.count, row.code))


def span(first: date, last: date, zone: ZoneInfo) -> tuple[float, float]:
    """Seconds since 1970 from the first day's midnight to the midnight that ends the last day."""
    return _midnight(first, zone), _midnight(last + DAY, zone)


def read_day(typed: str, today: date, field: str = "day") -> date:
    """`2026-03-02`, `today` or `yesterday`; today when nothing was typed, else BadInput."""
    word = typed.strip().lower()
    if word in ("", "today"):
        return today
    if word == "yesterday":
        return today - DAY
    try:
        found = date.fromisoformat(word)
    except ValueError:
        raise BadInput(f"{typed[:40]} is no day. It looks like 2026-03-31.", field) from None
    if not 2000 <= found.year <= 2200:
        raise BadInput("That day is too far away.", field)
    return found


def _midnight(day: date, zone: ZoneInfo) -> float:
    # A zone may skip midnight itself (Africa/Cairo): then the day begins at the first instant there is.
    return datetime.combine(day, time(), zone).astimezone(UTC).timestamp()


def _stretches(first: date, last: date, zone: ZoneInfo) -> Iterator[tuple[float, float, float]]:
    """Start, end and offset to UTC, all in seconds, of each piece of these days in which the wall clock runs evenly.

    Most zones have one. Where clocks are put forward or back, the cut is found by halving, to the second.
    """
    start, end = span(first, last, zone)
    while start < end:
        offset = _offset(start, zone)
        stop, step = start, DAY.total_seconds()
        while stop < end and _offset(stop, zone) == offset:
            stop += step
        if _offset(min(stop, end - 1), zone) != offset:
            low, high = max(start, stop - step), min(stop, end - 1)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
            stop = high
        stop = min(stop, end)
        yield start, stop, offset
        start = stop


def _offset(instant: float, zone: ZoneInfo) -> float:
    told = datetime.fromtimestamp(instant, UTC).astimezone(zone).utcoffset()
    return told.total_seconds() if told is not None else 0.0


def _rows(words: str, *values: Any) -> list[tuple[Any, ...]]:
    return list(db.execute_sql(words, values).fetchall())


def _whole(expression: str) -> str:
    """Rounded down: PostgreSQL's CAST rounds to the nearest, and not every SQLite has FLOOR."""
    return f"CAST({expression} AS INTEGER)" if db.serves_one_machine else f"CAST(FLOOR({expression}) AS BIGINT)"


def _grouped(key: str, start: float, end: float, *values: Any) -> dict[Any, Sums]:
    found = _rows(f"SELECT {key}, {_SUMS} {_WHEN} GROUP BY 1", *values, start, end)
    return {row[0]: Sums(*(int(cell) for cell in row[1:])) for row in found}


def _by_clock(seconds: int, first: date, last: date, zone: ZoneInfo) -> dict[int, Sums]:
    """Sums a stretch of so many seconds of the wall clock, counted from 1970."""
    sums: dict[int, Sums] = defaultdict(Sums)
    for start, end, offset in _stretches(first, last, zone):
        for place, found in _grouped(_whole(f"(at + {offset}) / {seconds}"), start, end).items():
            sums[int(place)] += found
    return sums


def _by_day(first: date, last: date, zone: ZoneInfo) -> list[Row]:
    sums = _by_clock(86_400, first, last, zone)
    days = [first + number * DAY for number in range((last - first).days + 1)]
    return [Row(f"{day}", f"{day:%a %d %b %Y}", sums.get((day - EPOCH).days, Sums())) for day in days]


def _by_week(first: date, last: date, zone: ZoneInfo) -> list[Row]:
    """Weeks begin on Monday; the first and the last may be cut by the days that were asked for."""
    weeks: dict[date, Sums] = {}
    for row in _by_day(first, last, zone):
        day = date.fromisoformat(row.key)
        monday = day - day.weekday() * DAY
        weeks[monday] = weeks.get(monday, Sums()) + row.sums
    return [Row(f"{monday:%G-W%V}", f"{monday:%d %b %Y}", sums) for monday, sums in sorted(weeks.items())]


def _by_hour(first: date, last: date, zone: ZoneInfo) -> list[Row]:
    """The hours of the day, all days together."""
    hours: dict[int, Sums] = defaultdict(Sums)
    for place, sums in _by_clock(3_600, first, last, zone).items():
        hours[place % 24] += sums
    return [Row(str(hour), f"{hour:02d}:00", hours[hour]) for hour in range(24)]


def _by_plan(first: date, last: date, zone: ZoneInfo) -> list[Row]:
    names = dict(Plan.select(Plan.id, Plan.name).tuples())
    sums = _grouped("plan_id", *span(first, last, zone))
    rows = [Row(f"plan:{plan}", names.get(plan, f"{plan}"), found) for plan, found in sums.items() if plan is not None]
    if None in sums:  # held money, expenses
        rows.append(Row("plan:", "", sums[None]))
    return _biggest_first(rows)


def _by_method(first: date, last: date, zone: ZoneInfo) -> list[Row]:
    sums = _grouped("method", *span(first, last, zone))
    return _biggest_first(Row(str(method), str(method), found) for method, found in sums.items())


def _by_seller(first: date, last: date, zone: ZoneInfo) -> list[Row]:
    """Staff at the counter, sellers of paper vouchers, and the portal for what guests bought by themselves."""
    start, end = span(first, last, zone)
    names = dict(Staff.select(Staff.id, Staff.name).tuples())
    sums: dict[str, Sums] = defaultdict(Sums)
    for staff_id, part in _grouped("CASE WHEN kind = 'voucher' THEN -1 ELSE staff_id END", start, end).items():
        if staff_id != -1:
            sums["" if staff_id is None else names.get(staff_id, f"{staff_id}")] += part
    for seller, staff_id, *found in _rows(
        f"SELECT COALESCE(v.seller, ''), CASE WHEN COALESCE(v.seller, '') = '' THEN l.staff_id END, {_SUMS} "
        "FROM ledger l LEFT JOIN vouchers v ON v.id = l.voucher_id "
        "WHERE l.at >= ? AND l.at < ? AND l.kind = 'voucher' GROUP BY 1, 2",
        start, end,
    ):  # fmt: skip
        name = seller or ("" if staff_id is None else names.get(staff_id, f"{staff_id}"))
        sums[name] += Sums(*(int(cell) for cell in found))
    return _biggest_first(Row(f"seller:{name}", name, part) for name, part in sums.items())


def _biggest_first(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.sums.net_cents, row.name))


def _of_kind(kind: str, start: float, end: float) -> Sums:
    row = _rows(f"SELECT {_SUMS} {_WHEN} AND kind = ?", start, end, kind)[0]
    return Sums(*(int(cell) for cell in row))


def _money_back(kind: str, start: float, end: float) -> list[Row]:
    found = _rows(f"SELECT method, {_SUMS} {_WHEN} AND kind = ? GROUP BY 1", start, end, kind)
    return [Row(row[0], row[0], Sums(*(int(cell) for cell in row[1:]))) for row in sorted(found)]


def _shifts(start: float, end: float) -> list[ShiftLine]:
    rows = Shift.select(Shift, Staff).join(Staff).where(Shift.closed_at >= start, Shift.closed_at < end)
    return [
        ShiftLine(
            shift.staff.name, shift.opened_at, shift.closed_at, shift.expected_cents or 0, shift.counted_cents or 0,
            shift.words,
        )
        for shift in list(rows.order_by(Shift.closed_at))
    ]  # fmt: skip


def _hashes(first_line: int | None, last_line: int | None, start: float) -> tuple[str, str]:
    """The books' hash before the day and after it."""
    if first_line is None:
        before = _rows("SELECT hash FROM ledger WHERE at < ? ORDER BY at DESC, sequence DESC LIMIT 1", start)
        known = str(before[0][0]) if before else books.NOTHING_BEFORE
        return known, known
    opening = _rows("SELECT previous FROM ledger WHERE sequence = ?", first_line)[0][0]
    closing = _rows("SELECT hash FROM ledger WHERE sequence = ?", last_line)[0][0]
    return str(opening), str(closing)


_BY: dict[str, Callable[[date, date, ZoneInfo], list[Row]]] = {
    "day": _by_day, "week": _by_week, "plan": _by_plan, "seller": _by_seller, "hour": _by_hour, "method": _by_method,
}  # fmt: skip
