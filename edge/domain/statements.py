"""M-Pesa's statement beside our books, line by line: what agrees, what one of the two has alone, what is charged."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.database import db, transaction
from edge.domain import events, receipts, refunds
from edge.domain.statement_verdicts import (
    UNREAD,
    Comparison,
    codes_of,
    known_by,
    not_on_it,
    pay_outs,
    suggest,
    sums_of,
    verdict_of,
    verdict_out,
    without_receipt,
)
from edge.errors import BadInput
from edge.models import Payment, Staff
from edge.money_models import Receipt, Statement, StatementLine
from edge.values.arrival import Arrival
from edge.values.money import show_money
from edge.values.statement import Told, is_completed, read_party, read_statement

CHUNK = 250  # lines of one transaction: whoever pays meanwhile waits a few milliseconds
LONGEST_NAME = 120


@dataclass(frozen=True)
class Imported:
    """What came of a file: its statement, how many lines, and whether this file was new."""

    statement: Statement
    is_new: bool
    unread: int


# The file


def import_file(name: str, raw: bytes, now: datetime) -> Imported:
    """Keep a statement's lines, once for each file; BadInput when it is none. What can't be read is kept as it stands.

    Written piece by piece, so that nobody's sale waits for it; a power cut in the middle is made good the next time.
    """
    digest = hashlib.sha256(raw).hexdigest()
    known: Statement | None = Statement.get_or_none(Statement.digest == digest)
    if known is not None and known.lines:
        return Imported(known, False, known.rows.where(StatementLine.status == UNREAD).count())
    told = read_statement(raw)
    if not told.lines:
        raise BadInput("There is no line of money in this statement.", "file")
    row = _begin(name, digest, told, known, now)
    values = [*_values_of_lines(row, told), *_values_of_unread(row, told)]
    for place in range(0, len(values), CHUNK):
        _write(values[place : place + CHUNK])
    _finish(row, len(values), now)
    return Imported(Statement.get_by_id(row.id), True, len(told.unread))


def last(limit: int = 50) -> list[Statement]:
    """The newest statements."""
    rows = Statement.select().where(Statement.lines > 0).order_by(Statement.id.desc()).limit(limit)
    return list(rows)


def get(statement_id: int | None = None) -> Statement:
    """This statement, or the newest; BadInput when there is none."""
    rows = Statement.select().where(Statement.lines > 0)
    if statement_id is not None:
        rows = rows.where(Statement.id == statement_id)
    found: Statement | None = rows.order_by(Statement.id.desc()).first()
    if found is None:
        raise BadInput("There is no such statement. Import one first.", "statement")
    return found


def get_line(line_id: int) -> StatementLine:
    """The line of this number; BadInput when there is none."""
    found: StatementLine | None = StatementLine.get_or_none(StatementLine.id == line_id)
    if found is None:
        raise BadInput("There is no such line.", "line")
    return found


@transaction
def _begin(name: str, digest: str, told: Told, known: Statement | None, now: datetime) -> Statement:
    if known is not None:  # the power went while it was written
        StatementLine.delete().where(StatementLine.statement == known).execute()
        known.delete_instance()
    instants = [line.at for line in told.lines]
    row: Statement = Statement.create(
        name=name.strip()[:LONGEST_NAME] or "statement", digest=digest, first_at=min(instants), last_at=max(instants),
        imported_at=now,
    )  # fmt: skip
    return row


def _values_of_lines(row: Statement, told: Told) -> Iterator[tuple[Any, ...]]:
    for line in told.lines:
        yield (
            row.id, line.number, line.code, line.at.timestamp(), line.details, line.status, line.in_cents,
            line.out_cents, line.balance_cents, line.other_party, line.account, line.linked, line.reason,
        )  # fmt: skip


def _values_of_unread(row: Statement, told: Told) -> Iterator[tuple[Any, ...]]:
    at = row.first_at.timestamp()
    for bad in told.unread:
        yield (row.id, bad.number, "", at, bad.text, UNREAD, 0, 0, None, "", "", "", bad.words)


@transaction
def _write(values: Sequence[tuple[Any, ...]]) -> None:
    for line in values:
        db.execute_sql(
            "INSERT INTO statement_lines (statement_id, number, code, at, details, status, in_cents, out_cents, "
            "balance_cents, other_party, account, linked, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            line,
        )


@transaction
def _finish(row: Statement, lines: int, now: datetime) -> None:
    row.put(lines=lines)
    events.record("statement.imported", now, statement=row.id, file=row.name, lines=lines)


# The comparison


def compare(statement: Statement) -> Comparison:
    """Put every line beside our books. Looks only: nothing is changed."""
    lines = list(StatementLine.select().where(StatementLine.statement == statement).order_by(StatementLine.number))
    known = known_by(set().union(*map(codes_of, lines)))
    seen: set[str] = set()
    given_back = pay_outs(statement)
    unnamed = without_receipt(statement)
    verdicts = suggest([verdict_of(line, known, seen, given_back) for line in lines], unnamed)
    suggested = {verdict.payment_id for verdict in verdicts if verdict.kind == "learn"}
    unnamed = [payment for payment in unnamed if payment.id not in suggested]
    not_there = not_on_it(statement, {line.code for line in lines}, unnamed)
    return Comparison(statement, verdicts, not_there, sums_of(verdicts))


# What a person decides


def follow(line: StatementLine, staff: Staff | None, now: datetime) -> str:
    """Do what the comparison offers for this line, and say what was done: `missing` money is taken in, a receipt is
    learned, a reversal followed. BadInput where nothing is offered.
    """
    line = get_line(line.id)
    verdict = next(one for one in compare(line.statement).verdicts if one.line.id == line.id)
    if verdict.kind == "missing":
        return f"{take_in(line, staff, now).code} is held"
    if verdict.kind == "learn":
        payment = learn(line, Payment.get_by_id(verdict.payment_id), staff, now)
        return f"{payment.receipt} is the receipt of payment {payment.id}"
    if verdict.kind == "reversed_there":
        follow_reversal(line, staff, now)
        return f"{line.linked or line.code} went back"
    raise BadInput("There is nothing to do about this line here.", "line")


@transaction
def take_in(line: StatementLine, staff: Staff | None, now: datetime) -> Receipt:
    """Money that M-Pesa has and our books have not: from now on they have it, held for a person to say whose it is."""
    line = get_line(line.id)
    if line.status == UNREAD or not is_completed(line.status) or line.in_cents <= 0:
        raise BadInput("This line brought no money.", "line")
    if line.code in known_by({line.code}):
        raise BadInput(f"{line.code} is in the books already.", "line")
    row = receipts.note(_arrival(line), "statement", now)
    by = f", taken in by {staff.name}" if staff is not None else ""
    receipts.hold(row, f"from M-Pesa's statement, line {line.number}{by}", now)
    return Receipt.get_by_id(row.id)


@transaction
def learn(line: StatementLine, payment: Payment, staff: Staff | None, now: datetime) -> Payment:
    """The receipt of a payment that is in the books without one."""
    line, payment = get_line(line.id), Payment.get_by_id(payment.id)
    if payment.receipt is not None or payment.state not in ("paid", "reversed"):
        raise BadInput("This payment has its receipt already, or was never paid.", "payment")
    if payment.amount_cents != line.in_cents or not is_completed(line.status) or line.code in known_by({line.code}):
        raise BadInput("This line is not the money of that payment.", "line")
    receipts.adopt(payment, _arrival(line), "statement", now)
    payment.put(confirmed_at=payment.confirmed_at or now)
    events.record(
        "receipt.learned", now, payment=payment.id, receipt=line.code, amount=show_money(line.in_cents),
        who=staff.name if staff is not None else None,
    )  # fmt: skip
    return Payment.get_by_id(payment.id)


@transaction
def follow_reversal(line: StatementLine, staff: Staff | None, now: datetime) -> bool:
    """M-Pesa's statement says that it sent this money back: the books follow, and access ends. False when they had."""
    line = get_line(line.id)
    verdict = verdict_out(line, known_by(codes_of(line)), [])
    if not is_completed(line.status) or verdict.kind not in ("reversed_there", "returned"):
        raise BadInput("This line sends back no money of ours.", "line")
    what: Receipt | Payment
    if verdict.receipt_id is not None:
        what = Receipt.get_by_id(verdict.receipt_id)
    else:
        what = Payment.get_by_id(verdict.payment_id)
    by = f", read by {staff.name}" if staff is not None else ""
    return refunds.reverse(what, f"M-Pesa's statement, line {line.number}{by}", now)


def _arrival(line: StatementLine) -> Arrival:
    msisdn, shape, name = read_party(line.other_party)
    return Arrival(
        line.code, line.in_cents, msisdn=msisdn, payer_shape=shape, payer_name=name, account=line.account,
        paid_at=line.at,
    )  # fmt: skip
