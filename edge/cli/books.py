"""`edge books`: the books, the day slip and reports, and M-Pesa's statement beside them."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import books as ledger
from edge.domain import exports, money_reports, statements
from edge.domain.money_reports import DaySlip, Report, Row, Sums
from edge.domain.statement_verdicts import WANTED, Comparison, Ours, Verdict
from edge.errors import EdgeError
from edge.pages.books_words import kind_name, method_name, reason_words
from edge.values.money import show_money
from edge.values.statement import MOST_BYTES

DAY_HELP = "Like 2026-03-31, today or yesterday."
WHAT = ("ledger", "payments", "report")


@click.group(cls=BoxGroup)
def books() -> None:
    """The books: every shilling, day slips, reports, M-Pesa's statement."""


@books.command()
@click.option("--noted", default="", metavar="HASH", help="A hash you wrote down: it must be in the books.")
def verify(noted: str) -> None:
    """Read all the books and reckon every line anew; exit code 1 when one was changed, moved or is missing."""
    with asked().box():

        def tell(entries: int) -> None:
            if sys.stderr.isatty():
                click.echo(f"\r{entries:,} lines", nl=False, err=True)

        verdict = ledger.verify(tell, noted.strip())

        def lines() -> Iterator[str]:
            yield verdict.words if verdict.first_bad is None else f"! {verdict.words}"
            yield f"Held for guests: {show_money(verdict.held_cents)}"
            yield f"Last hash {verdict.head}"
            yield "Write it down, off this box: it stands on each day slip too. Later: edge books verify --noted HASH"

        show(asdict(verdict), lines)
    if verdict.first_bad is not None:
        sys.exit(1)


@books.command()
@click.option("--day", "typed", default="today", help=DAY_HELP)
def slip(typed: str) -> None:
    """One day on one strip of paper."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        found = money_reports.day_slip(money_reports.read_day(typed, _today(zone)), zone)
        show(_plain(found), lambda: _slip_lines(found))


@books.command()
@click.option("--by", type=click.Choice(money_reports.WAYS), default="day", show_default=True)
@click.option("--from", "first", default="", help=DAY_HELP + " Else the first of this month.")
@click.option("--to", "last", default="", help=DAY_HELP)
def report(by: str, first: str, last: str) -> None:
    """What was sold, by day, plan, seller …"""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        found = money_reports.report(by, *_days(first, last, zone), zone)
        show(_plain(found), lambda: _report_lines(found))


@books.command()
@click.argument("what", type=click.Choice(WHAT))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-")
@click.option("--by", type=click.Choice(money_reports.WAYS), default="day", show_default=True, help="Of a report.")
@click.option("--from", "first", default="", help=DAY_HELP + " Else the first of this month.")
@click.option("--to", "last", default="", help=DAY_HELP)
def export(what: str, file: Path, by: str, first: str, last: str) -> None:
    """CSV for a spreadsheet, to FILE or, with -, to the screen."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        days = _days(first, last, zone)
        if what == "report":
            pieces = exports.report(money_reports.report(by, *days, zone))
        else:
            pieces = (exports.ledger if what == "ledger" else exports.payments)(*days, zone)
        if str(file) == "-":
            for piece in pieces:
                click.echo(piece, nl=False)
            return
        with file.open("w", encoding="utf-8", newline="") as paper:
            paper.writelines(pieces)
        show({"file": str(file)}, lambda: iter([f"Written to {file}"]))


@books.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_file(file: Path) -> None:
    """Read an M-Pesa statement (CSV from the organisation portal), once, and compare it."""
    if file.stat().st_size > MOST_BYTES:
        raise EdgeError(f"{file} is larger than {MOST_BYTES // 2**20} MB: export fewer days")
    with asked().box():
        told = statements.import_file(file.name, file.read_bytes(), datetime.now(UTC))
        if not told.is_new and not asked().as_json:
            click.echo("This file was read before.")
        _show_comparison(statements.compare(told.statement), everything=False)


@books.command()
@click.argument("statement_id", type=int, metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Also the lines that agree.")
def compare(statement_id: int | None, everything: bool) -> None:
    """The newest statement, or another, beside the books."""
    with asked().box():
        _show_comparison(statements.compare(statements.get(statement_id)), everything)


@books.command()
@click.argument("line_id", type=int, metavar="LINE")
def take(line_id: int) -> None:
    """Do what the comparison offers for LINE: take missing money in, learn a receipt, follow a reversal."""
    with asked().box():
        words = statements.follow(statements.get_line(line_id), None, datetime.now(UTC))
        show({"line": line_id, "words": words}, lambda: iter([words]))


def _today(zone: ZoneInfo) -> date:
    return datetime.now(UTC).astimezone(zone).date()


def _days(first: str, last: str, zone: ZoneInfo) -> tuple[date, date]:
    today = _today(zone)
    end = money_reports.read_day(last, today, "to")
    return (money_reports.read_day(first, today, "from") if first else end.replace(day=1)), end


def _plain(told: Any) -> dict[str, Any]:
    """As it is, with its days as text and the figures that are reckoned."""
    document = asdict(told)
    document["total"] |= {"net_cents": told.total.net_cents, "money_cents": told.total.money_cents}
    return document


def _slip_lines(slip: DaySlip) -> Iterator[str]:
    total = slip.total
    yield f"{slip.day:%A %d %B %Y}"
    yield ""
    yield from _pairs(
        (f"Sold, {total.sales} times", total.sold_cents), ("  of that vouchers", slip.vouchers.sold_cents),
        ("Taken back", -total.unsold_cents), ("Takings", total.net_cents),
    )  # fmt: skip
    yield ""
    yield from _pairs(
        ("Money that came in", total.in_cents), ("Went back", -total.returned_cents),
        ("Expenses", -total.expense_cents), ("Drawers over or short", total.variance_cents),
        ("More money than before", total.money_cents), ("Held for guests, in all", slip.held_cents),
    )  # fmt: skip
    yield from _section("More money, by way of paying", slip.by_method, lambda sums: sums.money_cents)
    yield from _section("By plan", slip.by_plan, lambda sums: sums.net_cents)
    yield from _section("Refunds", slip.refunds, lambda sums: -sums.returned_cents)
    yield from _section("Reversed by M-Pesa", slip.reversals, lambda sums: -sums.returned_cents)
    if slip.shifts:
        yield from ("", "Shifts closed")
        yield from _pairs(*((f"  {shift.name}, over or short", shift.variance_cents) for shift in slip.shifts))
    if slip.failed:
        yield from ("", "Checkouts that came to nothing")
        yield from (f"  {row.count:>4}  {reason_words(row.code)}" for row in slip.failed)
    yield ""
    yield f"Lines {slip.first_line} to {slip.last_line} of the books" if slip.last_line else "No line in the books"
    yield f"Opened with {slip.opening_hash}"
    yield f"Closed with {slip.closing_hash}"


def _section(head: str, rows: list[Row], figure: Callable[[Sums], int]) -> Iterator[str]:
    told = [(_name_of(row), figure(row.sums)) for row in rows if figure(row.sums)]
    if told:
        yield from ("", head)
        yield from _pairs(*((f"  {name}", cents) for name, cents in told))


def _name_of(row: Row) -> str:
    """Ways of paying have no colon in their key: `mpesa`, but `plan:1`."""
    return row.name or "without a plan" if ":" in row.key else method_name(row.key)


def _pairs(*pairs: tuple[str, int]) -> Iterator[str]:
    return (f"{name:<32}{show_money(cents):>16}" for name, cents in pairs)


def _report_lines(told: Report) -> Iterator[str]:
    yield f"{told.first} to {told.last}, by {told.by}"
    if told.by == "reason":
        rows = [(row.count, show_money(row.cents), reason_words(row.code)) for row in told.failed]
        yield from table(rows, ("times", "amount", "why"))
        return
    lines = [(row.name or "–", *_cells(row.sums)) for row in told.rows if row.sums != Sums()]
    yield from table(
        [*lines, ("Total", *_cells(told.total))], (told.by, "sales", "sold", "went back", "takings", "held", "expenses")
    )


def _cells(sums: Sums) -> tuple[Any, ...]:
    cents = (sums.sold_cents, sums.returned_cents, sums.net_cents, sums.held_cents, sums.expense_cents)
    return (sums.sales, *map(show_money, cents))


def _show_comparison(told: Comparison, everything: bool) -> None:
    shown = told.verdicts if everything else told.of(*WANTED, "learn", "unread")
    document = {
        "statement": told.statement.id, "name": told.statement.name, "unexplained_cents": told.unexplained_cents,
        "sums": {kind: asdict(found) for kind, found in told.sums.items()},
        "lines": [_verdict_view(verdict) for verdict in shown], "not_there": [asdict(one) for one in told.not_there],
    }  # fmt: skip

    def lines() -> Iterator[str]:
        statement = told.statement
        yield f"Statement {statement.id}, {statement.name}: {statement.lines} lines"
        rows = [(kind_name(kind), sum_.count, show_money(sum_.in_cents), show_money(sum_.out_cents))
                for kind, sum_ in told.sums.items()]  # fmt: skip
        yield from table(rows, ("lines", "count", "in", "out"))
        if shown:
            yield ""
            yield from table([_verdict_row(verdict) for verdict in shown],
                             ("line", "in file", "receipt", "in", "out", "ours", "is", ""))  # fmt: skip
        yield from _not_there_lines(told.not_there)
        yield ""
        yield f"Unexplained: {show_money(told.unexplained_cents)}"
        if told.of("missing", "reversed_there", "learn"):
            yield "What a line offers is done by: edge books take LINE"

    show(document, lines)


def _not_there_lines(found: list[Ours]) -> Iterator[str]:
    if found:
        yield ""
        yield "In our books, and not on the statement:"
        rows = [(one.code or "no receipt", show_money(one.cents), f"{one.at:%Y-%m-%d %H:%M} UTC", one.payment_id)
                for one in found]  # fmt: skip
        yield from table(rows, ("receipt", "amount", "paid", "payment"))


def _verdict_row(verdict: Verdict) -> tuple[Any, ...]:
    line = verdict.line
    ours = "" if verdict.ours_cents is None else show_money(verdict.ours_cents)
    note = f"payment {verdict.payment_id}, by {verdict.words}" if verdict.kind == "learn" else verdict.words
    return (
        line.id, line.number, line.code, show_money(line.in_cents), show_money(line.out_cents), ours,
        kind_name(verdict.kind), note,
    )  # fmt: skip


def _verdict_view(verdict: Verdict) -> dict[str, Any]:
    line = verdict.line
    return {
        "line": line.id, "number": line.number, "code": line.code, "at": line.at.isoformat(), "kind": verdict.kind,
        "in_cents": line.in_cents, "out_cents": line.out_cents, "ours_cents": verdict.ours_cents,
        "payment": verdict.payment_id, "receipt": verdict.receipt_id, "words": verdict.words,
    }  # fmt: skip
