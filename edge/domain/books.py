"""The books: every movement of money is one line, chained to the line before; nothing is ever written over."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from edge.database import db, transaction
from edge.models import Payment
from edge.money_models import LedgerEntry

# sale: money came in and bought something (money = sold) · held: money came in, nothing is sold yet · allotted: held
# money buys something (money 0) · refund, reversal: money went back, and what it had bought is taken back · voucher: a
# sale on paper · expense: cash out of the drawer · variance: the counted drawer is not what the books say.
KINDS = ("sale", "held", "allotted", "refund", "reversal", "expense", "variance", "voucher")
DRAWER = ("expense", "variance")  # of the drawer alone: no guest's money
NOTHING_BEFORE = "0" * 64  # the hash before the first line
PAGE = 10_000  # lines, read at a time; after each page `verify` tells how far it is
SLACK = timedelta(hours=1)  # entries are stamped in the order of commits, not of instants

_COLUMNS = (
    "sequence, at, kind, method, money_cents, sold_cents, plan_id, payment_id, receipt_id, voucher_id, shift_id, "
    "staff_id, words, previous, hash"
)
_LAST = "SELECT sequence, hash FROM ledger WHERE sequence = (SELECT MAX(sequence) FROM ledger)"
_OLD_SALES = (
    "SELECT paid_at, id, closed_at, state, provider, amount_cents, plan_id, shift_id, staff_id FROM payments "
    "WHERE state IN ('paid', 'reversed') AND paid_at IS NOT NULL AND (paid_at, id) > (?, ?) "
    f"ORDER BY paid_at, id LIMIT {PAGE}"
)
_INSERT = f"INSERT INTO ledger ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# Written out, as SQLite takes a partial index only where its condition is repeated.
_UNKNOWN_PAYMENT = (
    "SELECT p.id FROM payments p WHERE p.paid_at >= ? AND p.state IN ('paid', 'reversed') AND NOT EXISTS "
    "(SELECT 1 FROM ledger l WHERE l.payment_id = p.id AND l.payment_id IS NOT NULL) ORDER BY p.paid_at LIMIT 1"
)


@dataclass(frozen=True)
class Verdict:
    """What reading all the books found; `first_bad` is the number of the first line that can't be trusted."""

    entries: int
    first_bad: int | None
    words: str
    head: str = NOTHING_BEFORE  # the hash of the last good line: to be written down
    held_cents: int = 0  # money of guests that bought nothing yet, by the good lines


@transaction
def record(
    kind: str, method: str, money_cents: int, sold_cents: int, now: datetime, *, plan_id: int | None = None,
    payment_id: int | None = None, receipt_id: int | None = None, voucher_id: int | None = None,
    shift_id: int | None = None, staff_id: int | None = None, words: str = "",
) -> LedgerEntry:  # fmt: skip
    """Write the next line of the books (amounts in cents; see KINDS). There is one writer at a time, so no gap."""
    if kind not in KINDS:
        raise ValueError(f"the books know no {kind!r}")
    last = db.execute_sql(_LAST).fetchone() or (0, NOTHING_BEFORE)
    line = _next_line(
        last, now,
        (kind, method, money_cents, sold_cents, plan_id, payment_id, receipt_id, voucher_id, shift_id, staff_id,
         words.replace("\0", "\ufffd")),  # PostgreSQL's texts hold no zero
    )  # fmt: skip
    db.execute_sql(_INSERT, line)
    return LedgerEntry.of_columns(line)


def head() -> tuple[int, str]:
    """Number and hash of the last line; (0, NOTHING_BEFORE) of empty books."""
    found = db.execute_sql(_LAST).fetchone()
    return (int(found[0]), str(found[1])) if found else (0, NOTHING_BEFORE)


def held_cents() -> int:
    """Money of guests that has neither bought anything nor gone back, in cents."""
    drawer = ", ".join(f"'{kind}'" for kind in DRAWER)
    words = (  # only the lines that differ: they have an index of their own
        "SELECT COALESCE(SUM(money_cents - sold_cents), 0) FROM ledger "
        f"WHERE money_cents <> sold_cents AND kind NOT IN ({drawer})"
    )
    return int(db.execute_sql(words).fetchone()[0])


def verify(progress: Callable[[int], object] | None = None, noted: str = "") -> Verdict:
    """Read every line and reckon its hash anew; `noted` is a hash that was written down, or its beginning, which must
    be among them. `progress` is told the number of lines read.

    A changed, missing, doubled or reordered line breaks the chain. Lines cut off at the end leave a whole chain behind:
    they show by payments that are not in the books, and by the noted hash.
    """
    entries, before, held, seen = 0, NOTHING_BEFORE, 0, not noted
    for row in _all_lines():
        why = _fault(row, entries + 1, before)
        if why:
            return Verdict(entries, entries + 1, why, before, held)
        entries, before = entries + 1, row[14]
        if row[2] not in DRAWER:
            held += row[4] - row[5]
        seen = seen or before.startswith(noted.lower())
        if progress is not None and entries % PAGE == 0:
            progress(entries)
    why = _cut_off() or ("" if seen else f"the noted hash {noted} is not in the books: lines are missing at the end")
    if why:
        return Verdict(entries, entries + 1, why, before, held)
    return Verdict(entries, None, f"{entries} lines, every one as it was written", before, held)


@transaction
def backfill(now: datetime) -> int:
    """Books for what was sold before there were any: one sale a paid payment, in the order of time; returns the lines.

    Does nothing where the books have a line already, and nothing on a new box.
    """
    if db.execute_sql(_LAST).fetchone() is not None or not Payment.any_where("paid_at IS NOT NULL"):
        return 0
    last: tuple[int, str] = (0, NOTHING_BEFORE)
    done: tuple[float, int] = (-1.0, 0)
    while page := db.execute_sql(_OLD_SALES, done).fetchall():
        for row in page:
            for line in _lines_of_old(last, row, now):
                db.execute_sql(_INSERT, line)
                last = (line[0], line[14])
        done = (page[-1][0], page[-1][1])
    return last[0]


def canonical(previous: str, line: tuple[Any, ...]) -> bytes:
    """What a line's hash is taken of: a JSON list, ASCII, without blanks, of the previous hash, sequence, instant in
    microseconds since 1970 (UTC), kind, method, money and sold in cents, plan, payment, receipt, voucher, shift and
    staff number (null where there is none), and the words. `line` is a row in the table's order of columns.
    """
    sequence, at_s, *rest = line[:13]
    return _json([previous, sequence, round(at_s * 1_000_000), *rest]).encode()


_json = json.JSONEncoder(separators=(",", ":")).encode


def _next_line(last: tuple[int, str], at: datetime, what: tuple[Any, ...]) -> tuple[Any, ...]:
    sequence, previous = last
    line = (sequence + 1, at.timestamp(), *what)
    return (*line, previous, hashlib.sha256(canonical(previous, line)).hexdigest())


def _lines_of_old(last: tuple[int, str], row: tuple[Any, ...], now: datetime) -> Iterator[tuple[Any, ...]]:
    paid_at, payment_id, closed_at, state, provider, cents, plan_id, shift_id, staff_id = row
    ids = (plan_id, payment_id, None, None, shift_id, staff_id, "from before the books")
    sale = _next_line(last, datetime.fromtimestamp(paid_at, UTC), ("sale", provider, cents, cents, *ids))
    yield sale
    if state == "reversed":
        at = now if closed_at is None or closed_at < paid_at else datetime.fromtimestamp(closed_at, UTC)
        yield _next_line((sale[0], sale[14]), at, ("reversal", provider, -cents, -cents, *ids))


def _all_lines() -> Iterator[tuple[Any, ...]]:
    """Page by page: a box has little memory, and nobody's sale waits for a reader."""
    words = f"SELECT {_COLUMNS} FROM ledger WHERE sequence > ? ORDER BY sequence LIMIT {PAGE}"
    done = -(2**62)  # lines numbered below 1 are seen as well
    while page := db.execute_sql(words, (done,)).fetchall():
        yield from page
        done = page[-1][0]


def _fault(row: tuple[Any, ...], sequence: int, before: str) -> str:
    if row[0] != sequence:
        return f"line {sequence} is missing: line {row[0]} follows line {sequence - 1}"
    if row[13] != before:
        return f"line {sequence} does not follow the line before it: one of the two was exchanged"
    try:
        is_whole = hashlib.sha256(canonical(before, row)).hexdigest() == row[14]
    except (TypeError, ValueError):  # SQLite keeps a word in a column of numbers, if somebody insists
        is_whole = False
    return "" if is_whole else f"line {sequence} was changed after it was written"


def _cut_off() -> str:
    """Payments that were paid about when the books end, or later, and are not in them."""
    found = db.execute_sql("SELECT at FROM ledger ORDER BY sequence DESC LIMIT 1").fetchone()
    since = datetime.fromtimestamp(found[0], UTC) - SLACK if found else datetime.fromtimestamp(0, UTC)
    missing = db.execute_sql(_UNKNOWN_PAYMENT, (since.timestamp(),)).fetchone()
    return f"payment {missing[0]} was paid and is not in the books: lines are missing at the end" if missing else ""
