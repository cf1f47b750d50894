"""The books in people's words: ways of paying, reasons, what a statement's line is; and the bars of a report."""

from collections.abc import Sequence

from edge.domain.money_reports import Failed, Row, Sums
from edge.domain.statement_verdicts import Verdict
from edge.pages.chart import HEIGHT, STEP, Bar, Chart, scale_top
from edge.pages.staff_words import plain
from edge.texts import say
from edge.values.mpesa_words import explain

METHODS = ("mpesa", "cash", "paystack", "safe")
LONGEST_REASON = 90


def method_name(method: str) -> str:
    """A provider that the catalogue does not know keeps its own name."""
    return say(f"books.method_{method}") if method in METHODS else plain(method)


def row_name(by: str, row: Row) -> str:
    """What one line of a report is called."""
    if by == "method":
        return method_name(row.key)
    if not row.name:
        return say("books.no_seller" if by == "seller" else "books.no_plan")
    return say("books.week_of", day=row.name) if by == "week" else plain(row.name)


def reason_words(code: str) -> str:
    """Why a checkout came to nothing: M-Pesa's result code in words."""
    if code in ("expired", "push-refused", ""):
        return say(f"books.reason_{code.replace('-', '_') or 'unknown'}")
    words = explain(code).owner.partition(". ")[0].removesuffix(".")  # what to do next is said elsewhere
    return f"{words[:LONGEST_REASON]} ({plain(code)[:20]})"


def kind_name(kind: str) -> str:
    """What a line of a statement is to us."""
    return say(f"books.kind_{kind}")


def verdict_note(verdict: Verdict) -> str:
    """Why it is thought to be so, where there is something to say."""
    if verdict.kind == "learn":
        return say("books.learn_note", payment=verdict.payment_id, how=say(f"books.by_{verdict.words}"))
    return plain(verdict.words)


def bars(rows: Sequence[Row]) -> Chart:
    """Takings of each row; what went back stands in its own colour at the foot."""
    top = max(1.0, scale_top(max((row.sums.sold_cents for row in rows), default=0) / 100))
    found = []
    for place, row in enumerate(rows):
        floor = HEIGHT
        for kind, cents in (("failed", row.sums.unsold_cents), ("done", row.sums.net_cents)):
            if cents > 0:
                tall = min(max(1.5, cents / 100 / top * HEIGHT), floor)
                floor -= tall
                found.append(Bar(kind, place * STEP + 1, round(floor, 2), round(tall, 2)))
    return Chart(found, top, max(1, len(rows)) * STEP)


def failed_bars(rows: Sequence[Failed]) -> Chart:
    """How often each reason was met."""
    top = max(1.0, scale_top(max((row.count for row in rows), default=0)))
    found = [
        Bar("failed", place * STEP + 1, round(HEIGHT - tall, 2), round(tall, 2))
        for place, tall in enumerate(max(1.5, row.count / top * HEIGHT) for row in rows)
    ]
    return Chart(found, top, max(1, len(rows)) * STEP)


def has_money(row: Row) -> bool:
    """Did anything happen?"""
    return row.sums != Sums()
