"""A box that has sold a million times within a year: its rows, written fast, its books whole to the last hash."""

import hashlib
import json
import random
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge.domain import books

PAYMENTS = 1_000_000
YEAR_S = 365 * 86_400.0
UNPAID_EACH = 8  # every so many checkouts come to nothing
CASH_EACH = 7  # every so many sales are for cash at the counter
PHONES = 40_000
CHUNK = 20_000
ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
FAILURES = (("failed", "1032"), ("failed", "1"), ("failed", "1037"), ("expired", ""), ("failed", "2001"))
Values = tuple[Any, ...]


@dataclass(frozen=True)
class Sold:
    """A plan as it is sold."""

    id: int
    cents: int
    seconds: int
    rate: str


def fill(place: Path, count: int = PAYMENTS, now: datetime | None = None) -> None:
    """So many paid checkouts up to now, with their grants, receipts, lines, texts, calls and finished work.

    Indexes and guards are taken off meanwhile and put back as they were. The box must not run.
    """
    line = sqlite3.connect(place, isolation_level=None)
    line.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA cache_size = -400000;")
    kept = line.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('index', 'trigger')"
    ).fetchall()
    plans = [Sold(*row) for row in line.execute("SELECT id, price_cents, seconds, rate FROM plans WHERE NOT is_trial")]
    last_id = int(line.execute("SELECT COALESCE(MAX(id), 0) FROM payments").fetchone()[0])
    assert not last_id, "only a new box is filled"
    line.execute("BEGIN")
    for kind, name, _ in kept:
        line.execute(f'DROP {kind} "{name}"')
    shop = _Shop(plans, (now or datetime.now(UTC)).timestamp(), count)
    for first in range(1, count + 1, CHUNK):
        for table, rows in shop.sell(range(first, min(first + CHUNK, count + 1))).items():
            line.executemany(_insert(line, table, len(rows[0])), rows)
    for _, _, words in kept:
        line.execute(words)
    line.execute("COMMIT")
    line.executescript("PRAGMA journal_mode = WAL;")
    line.close()


def _insert(line: sqlite3.Connection, table: str, width: int) -> str:
    """All columns, in the table's order: a column more than there are values is told at once."""
    columns = [row[1] for row in line.execute(f"PRAGMA table_info({table})")]
    assert len(columns) == width, f"{table} has {len(columns)} columns, here are {width} values"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * width)})"


class _Shop:
    """Sells at an even pace, and writes what a sale leaves behind."""

    def __init__(self, plans: list[Sold], now: float, count: int) -> None:
        self._plans, self._now, self._step = plans, now, YEAR_S / count
        self._chance = random.Random(5)
        self._last: tuple[int, str] = (0, books.NOTHING_BEFORE)
        self._receipts = 0
        self._begun = now - YEAR_S

    def sell(self, numbers: range) -> dict[str, list[Values]]:
        """Table → its new rows."""
        rows: dict[str, list[Values]] = defaultdict(list)
        for number in numbers:
            self._sell_one(number, self._begun + number * self._step - 1.0, rows)
        return rows

    def _sell_one(self, number: int, at: float, rows: dict[str, list[Values]]) -> None:
        chance = self._chance
        plan = self._plans[min(int(chance.expovariate(1.0)), len(self._plans) - 1)]
        phone = f"2541{chance.randrange(PHONES):08d}"
        is_cash, secret = number % CASH_EACH == 0, chance.randbytes(36).hex()
        code = None if is_cash else _code(at, number, chance)
        staff_id = 1 + number % 3 if is_cash else None
        checkout = None if is_cash else f"ws_CO_{number:024d}"
        payment_id = number + number // UNPAID_EACH  # checkouts are numbered in the order in which they are begun
        if number % UNPAID_EACH == 0:
            self._fail(rows, payment_id - 1, phone, plan, at)
        rows["payments"].append((
            payment_id, secret[:32], secret[32:], plan.id, phone, "", plan.cents, "paid", checkout, code, None, "{}",
            "0", *(("staff", "cash", "counter") if is_cash else ("callback", "mpesa", "prompt")), "", staff_id,
            None, 0, None, at + 40, False, at - 9, at - 8, at, at,
        ))  # fmt: skip
        receipt_id = self._keep_receipt(rows, payment_id, code, plan, phone, at) if code else None
        self._write_line(rows, at, plan, payment_id, receipt_id, staff_id, code or "")
        self._let_in(rows, number, payment_id, plan, phone, at)

    def _fail(self, rows: dict[str, list[Values]], number: int, phone: str, plan: Sold, at: float) -> None:
        state, result = self._chance.choice(FAILURES)
        secret = self._chance.randbytes(36).hex()
        rows["payments"].append((
            number, secret[:32], secret[32:], plan.id, phone, "", plan.cents, state, f"ws_CO_un_{number:021d}", None,
            None, "{}", result, "", "mpesa", "prompt", "", None, None, 0, None, None, False, at - 70, at - 69, None, at,
        ))  # fmt: skip

    def _keep_receipt(
        self, rows: dict[str, list[Values]], number: int, code: str | None, plan: Sold, phone: str, at: float
    ) -> int:
        self._receipts += 1
        rows["receipts"].append((
            self._receipts, "mpesa", code, plan.cents, plan.cents, 0, number, "used", phone, "", "", "",
            '["callback"]', True, "", at, at,
        ))  # fmt: skip
        told = {"Body": {"stkCallback": {"CheckoutRequestID": f"ws_CO_{number:024d}", "ResultCode": 0}}}
        body = json.dumps(told).encode() + b" " * 500
        rows["inbox"].append((
            self._receipts, self._chance.randbytes(32).hex(), "196.201.214.200", "stk",
            '{"Content-Type": "application/json"}', body, number, True, "paid", 0, at,
        ))  # fmt: skip
        return self._receipts

    def _write_line(
        self, rows: dict[str, list[Values]], at: float, plan: Sold, number: int, receipt_id: int | None,
        staff_id: int | None, words: str,
    ) -> None:  # fmt: skip
        sequence, previous = self._last
        method = "mpesa" if staff_id is None else "cash"
        line = (
            sequence + 1, at, "sale", method, plan.cents, plan.cents, plan.id, number, receipt_id, None, None, staff_id,
            words,
        )  # fmt: skip
        self._last = sequence + 1, hashlib.sha256(books.canonical(previous, line)).hexdigest()
        rows["ledger"].append((*line, previous, self._last[1]))

    def _let_in(
        self, rows: dict[str, list[Values]], number: int, payment_id: int, plan: Sold, phone: str, at: float
    ) -> None:
        code, ends_at = "".join(self._chance.choices(ALPHABET, k=8)), at + 1 + plan.seconds
        is_live = ends_at > self._now
        rows["grants"].append((
            number, payment_id, plan.id, "payment", phone, "", None, code, "1234", plan.seconds, None, plan.rate, 1, 0,
            None, False, None, "live" if is_live else "ended", "" if is_live else "time", False, None, None, None, None,
            at, at + 1, ends_at,
        ))  # fmt: skip
        rows["messages"].append((
            number, phone, f"Paid. {plan.cents // 100} KES. Your code {code}, PIN 1234. Welcome to the shop!", "sent",
            payment_id, "17", "", at, at + 5,
        ))  # fmt: skip


def _code(at: float, number: int, chance: random.Random) -> str:
    """As M-Pesa makes them: the first three letters tell the day, in Nairobi."""
    day = datetime.fromtimestamp(at, UTC) + timedelta(hours=3)
    of_month = str(day.day) if day.day < 10 else chr(ord("A") + day.day - 10)
    rest = "".join(chance.choices(ALPHABET, k=2)) + f"{number % 100_000:05d}"
    return f"{chr(ord('A') + day.year - 2006)}{chr(ord('A') + day.month - 1)}{of_month}{rest}"
