"""The owner's books: reports, the day slip, M-Pesa's statement beside them, CSV, and money given back."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import books, exports, money_reports, refunds, reports, shifts, statements
from edge.domain.statement_verdicts import WANTED
from edge.errors import BadInput
from edge.money_models import Refund
from edge.pages import books_words, frame
from edge.pages.dashboard import HTML, error_page
from edge.texts import say
from edge.values.statement import read_amount

HERE = "books"
PAGE = 200  # lines of a statement shown at once
MOST_UPLOAD = 4 * 1024 * 1024  # bytes: some 20,000 lines
CSV = ("report", "ledger", "payments")
SPANS = ("day", "week", "month", "before")


def report_page() -> Any:
    """Sums of some days, grouped, with a chart; and the ways to everything else about money."""
    by, first, last = _asked_report()
    told = money_reports.report(by, first, last, frame.shop_zone())
    chart = books_words.failed_bars(told.failed) if by == "reason" else books_words.bars(told.rows)
    line, last_hash = books.head()
    return frame.page(
        "admin_books.html", HERE, told=told, ways=money_reports.WAYS, spans=_spans(), chart=chart, bw=books_words,
        held=books.held_cents(), line=line, last_hash=last_hash,
    )  # fmt: skip


def slip_page() -> Any:
    """One day on one strip of paper."""
    day = money_reports.read_day(frame.asked("day"), _today())
    slip = money_reports.day_slip(day, frame.shop_zone())
    return frame.page(
        "admin_books_slip.html", HERE, slip=slip, bw=books_words, before=day - timedelta(days=1),
        after=day + timedelta(days=1) if day < _today() else None,
    )  # fmt: skip


def csv_download() -> HTTPResponse:
    """A report, the books or the payments of these days, for a spreadsheet."""
    what = frame.asked("what") or "report"
    if what not in CSV:
        raise BadInput(f"what is one of: {', '.join(CSV)}.", "what")
    by, first, last = _asked_report()
    zone = frame.shop_zone()
    if what == "report":
        pieces = exports.report(money_reports.report(by, first, last, zone))
    else:
        pieces = (exports.ledger if what == "ledger" else exports.payments)(first, last, zone)
    headers = {
        "Content-Type": "text/csv; charset=UTF-8",
        "Content-Disposition": f'attachment; filename="{what}-{first}-{last}.csv"',
    }
    return HTTPResponse(_encoded(pieces), 200, headers)


# M-Pesa's statement


def statements_page() -> Any:
    """Statements that were read, and the form for another."""
    return _statements("", 200)


def upload_post() -> Any:
    """A statement's file: only what is in it counts, whatever it is called."""
    if (request.content_length or 0) > MOST_UPLOAD:
        return _statements(say("books.too_large", megabytes=MOST_UPLOAD // 2**20), 413)
    file = request.files.get("file")
    if file is None:
        return _statements(say("books.no_file"), 400)
    try:
        told = statements.import_file(_name_of(file.raw_filename), file.file.read(MOST_UPLOAD + 1), _now())
    except BadInput as reason:
        return _statements(str(reason), 400)
    return frame.see_other(f"/admin/books/statements/{told.statement.id}?did={'read' if told.is_new else 'known'}")


def statement_page(statement_id: int) -> Any:
    """One statement beside the books: what needs a person first, then the rest by kind."""
    return _statement_page(statement_id, "", 200)


def follow_post(line_id: int) -> Any:
    """Do what the comparison offers for this line."""
    line = statements.get_line(line_id)
    try:
        statements.follow(line, frame.signed_in(), _now())
    except BadInput as reason:
        return _statement_page(line.statement_id, str(reason), 400)
    return frame.see_other(f"/admin/books/statements/{line.statement_id}?did=followed")


def _statements(fault: str, status: int) -> HTTPResponse:
    page = frame.page("admin_books_statements.html", HERE, statements=statements.last(), fault=fault)
    return HTTPResponse(page, status, HTML)


def _statement_page(statement_id: int, fault: str, status: int) -> HTTPResponse:
    told = statements.compare(statements.get(statement_id))
    kind = frame.asked("kind")
    shown = told.of(kind) if kind in told.sums else told.of(*WANTED, "learn", "unread")
    start = frame.number("start") or 0
    page = frame.page(
        "admin_books_statement.html", HERE, told=told, kind=kind if kind in told.sums else "", bw=books_words,
        shown=shown[start : start + PAGE], more=start + PAGE if len(shown) > start + PAGE else None, fault=fault,
        did=frame.asked("did"), offered=("missing", "learn", "reversed_there"),
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


# Money given back


def refund_page(payment_id: int) -> Any:
    """What can be given back of a payment, and what was."""
    return _refund_page(payment_id, "", 200)


def refund_post(payment_id: int) -> Any:
    """Give it back, or promise to."""
    sale = reports.sale(payment_id)
    if sale is None:
        return error_page(404, say("admin.nothing"))
    try:
        cents = _amount(frame.typed("amount"))
        refunds.ask(sale.payment, cents, frame.typed("how"), frame.signed_in(), _now(), frame.typed("words"))
    except BadInput as reason:
        return _refund_page(payment_id, str(reason), 400)
    return frame.see_other(f"/admin/payments/{payment_id}/refund?did=asked")


def settle_refund_post(refund_id: int) -> Any:
    """A person found out what became of a refund that nobody knew of."""
    refund = Refund.get_or_none(Refund.id == refund_id)
    if refund is None or refund.payment_id is None or refund.state != "unconfirmed":
        return error_page(404, say("admin.nothing"))
    words = say("books.said_by", who=frame.signed_in().name)
    record = refunds.record_done if frame.typed("end") == "done" else refunds.record_failed
    record(refund_id, words, _now())
    return frame.see_other(f"/admin/payments/{refund.payment_id}/refund")


def _refund_page(payment_id: int, fault: str, status: int) -> HTTPResponse:
    sale = reports.sale(payment_id)
    if sale is None:
        return error_page(404, say("admin.nothing"))
    page = frame.page(
        "admin_books_refund.html", "payments", sale=sale, reference=reports.REFERENCE, fault=fault,
        did=frame.asked("did"), most=refunds.refundable_cents(sale.payment), ways=refunds.ways(sale.payment),
        found=refunds.of(sale.payment), has_drawer=shifts.current(frame.signed_in()) is not None,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _amount(typed: str) -> int:
    try:
        return read_amount(typed)
    except ValueError:
        raise BadInput(say("books.bad_amount"), "amount") from None


# What was asked


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now


def _today() -> date:
    return _now().astimezone(frame.shop_zone()).date()


def _asked_report() -> tuple[str, date, date]:
    today = _today()
    last = money_reports.read_day(frame.asked("to"), today, "to")
    typed = frame.asked("from")
    first = money_reports.read_day(typed, today, "from") if typed else last.replace(day=1)
    return frame.asked("by") or "day", first, last


def _spans() -> list[tuple[str, date, date]]:
    """Today, this week, this month, the month before: a name, the first day and the last."""
    today = _today()
    first = today.replace(day=1)
    before = first - timedelta(days=1)
    begins = (today, today - timedelta(days=today.weekday()), first, before.replace(day=1))
    return [
        (name, begin, before if name == "before" else today) for name, begin in zip(SPANS, begins, strict=True)
    ]  # fmt: skip


def _name_of(told: str) -> str:
    """What the browser calls the file, for people: no folder, nothing unseen."""
    name = told.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in name if letter.isprintable())[:80]


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    return (piece.encode() for piece in pieces)
