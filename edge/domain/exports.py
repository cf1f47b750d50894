"""The books, payments and reports as CSV for spreadsheets, page by page: a year does not have to fit into memory."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge.database import db
from edge.domain import money_reports
from edge.domain.money_reports import Report
from edge.values import csv_safe
from edge.values.csv_safe import shillings

PAGE = 2_000  # rows read at once
LEDGER_HEADS = (
    "line", "time", "kind", "method", "money", "sold", "plan", "payment", "receipt", "voucher", "shift", "staff",
    "words", "hash",
)  # fmt: skip
PAYMENT_HEADS = (
    "payment", "asked", "paid", "state", "plan", "amount", "phone", "provider", "how", "receipt", "witness", "result",
)  # fmt: skip
REPORT_HEADS = ("key", "name", "sales", "sold", "came in", "went back", "takings", "held", "expenses", "variance")

_LEDGER = (
    "SELECT l.sequence, l.at, l.kind, l.method, l.money_cents, l.sold_cents, p.name, l.payment_id, r.code, "
    "l.voucher_id, l.shift_id, s.name, l.words, l.hash FROM ledger l LEFT JOIN plans p ON p.id = l.plan_id "
    "LEFT JOIN receipts r ON r.id = l.receipt_id LEFT JOIN staff s ON s.id = l.staff_id "
    f"WHERE (l.at, l.sequence) > (?, ?) AND l.at < ? ORDER BY l.at, l.sequence LIMIT {PAGE}"
)
_PAYMENTS = (
    "SELECT p.id, p.created_at, p.paid_at, p.state, n.name, p.amount_cents, p.msisdn, p.provider, p.how, p.receipt, "
    "p.witness, p.result_code FROM payments p JOIN plans n ON n.id = p.plan_id "
    f"WHERE (p.created_at, p.id) > (?, ?) AND p.created_at < ? ORDER BY p.created_at, p.id LIMIT {PAGE}"
)


def ledger(first: date, last: date, zone: ZoneInfo) -> Iterator[str]:
    """Every line of the books of these days, with its hash."""

    def rows() -> Iterator[tuple[Any, ...]]:
        for row in _pages(_LEDGER, first, last, zone, key=(1, 0)):
            sequence, at, kind, method, money, sold, *rest = row
            yield (sequence, _clock(at, zone), kind, method, shillings(money), shillings(sold), *rest)

    return csv_safe.write(LEDGER_HEADS, rows())


def payments(first: date, last: date, zone: ZoneInfo) -> Iterator[str]:
    """Every checkout that began on these days, whatever became of it."""

    def rows() -> Iterator[tuple[Any, ...]]:
        for row in _pages(_PAYMENTS, first, last, zone, key=(1, 0)):
            number, asked, paid, state, plan, cents, msisdn, *rest = row
            yield (number, _clock(asked, zone), _clock(paid, zone), state, plan, shillings(cents), msisdn, *rest)

    return csv_safe.write(PAYMENT_HEADS, rows())


def report(told: Report) -> Iterator[str]:
    """One report, with its sum as the last row."""
    if told.by == "reason":
        rows = [(row.code, row.count, shillings(row.cents)) for row in told.failed]
        return csv_safe.write(("reason", "checkouts", "amount"), rows)
    lines = [(row.key, row.name, *_figures(row.sums)) for row in told.rows]
    return csv_safe.write(REPORT_HEADS, [*lines, ("total", "", *_figures(told.total))])


def _figures(sums: money_reports.Sums) -> tuple[int | float, ...]:
    cents = (
        sums.sold_cents, sums.in_cents, sums.returned_cents, sums.net_cents, sums.held_cents, sums.expense_cents,
        sums.variance_cents,
    )  # fmt: skip
    return (sums.sales, *map(shillings, cents))


def _pages(words: str, first: date, last: date, zone: ZoneInfo, key: tuple[int, int]) -> Iterator[tuple[Any, ...]]:
    """Rows after one another; `key` names the columns, instant and number, by which the next page is found."""
    start, end = money_reports.span(first, last, zone)
    after: tuple[float, int] = (start, -1)
    while page := db.execute_sql(words, (*after, end)).fetchall():
        yield from page
        after = (page[-1][key[0]], page[-1][key[1]])


def _clock(at: float | None, zone: ZoneInfo) -> str:
    """The time on the shop's wall, as spreadsheets read it."""
    return "" if at is None else f"{datetime.fromtimestamp(at, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S}"
