"""What each line of a statement is to us, and what our books have that the statement has not."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from edge.models import Payment
from edge.money_models import Receipt, Refund, Statement, StatementLine
from edge.values.account import read_account
from edge.values.org_api import phone_fits
from edge.values.statement import EAT, code_day, is_completed, read_party

T = TypeVar("T")

UNREAD = "unread"
TWO_CLOCKS = timedelta(minutes=10)
A_DAY = timedelta(days=1)
HEARD_WITHIN = timedelta(days=7)  # of a receipt, after its money moved
# What a line is to us, in the order in which a person should look: WANTED are the ones with unexplained shillings.
KINDS = (
    "missing", "differs", "reversed_there", "not_completed_there", "unread", "learn", "agrees", "returned", "charge",
    "withdrawal", "other", "repeated", "not_completed",
)  # fmt: skip
WANTED = ("missing", "differs", "reversed_there", "not_completed_there")
_CODE = re.compile(r"\b[A-Z0-9]{8,12}\b")
_CHARGES = ("charge", "tariff", "fee", "commission", "excise")
_WITHDRAWALS = ("withdraw", "settlement", "merchant account to", "organization", "organisation", "to bank", "transfer")
# Money in that no guest paid: between the shop's own accounts.
_OWN = ("settlement", "organization", "organisation", "utility account", "working account", "business transfer",
        "merchant to", "deposit of funds", "float")  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What one line is to us; `ours_cents` is what our books have under its receipt."""

    line: StatementLine
    kind: str
    ours_cents: int | None = None
    receipt_id: int | None = None
    payment_id: int | None = None
    words: str = ""

    @property
    def unexplained_cents(self) -> int:
        if self.kind == "differs":
            return abs(int(self.line.in_cents) - (self.ours_cents or 0))
        if self.kind == "not_completed_there":
            return self.ours_cents or 0
        if self.kind == "reversed_there":
            return int(self.line.out_cents)
        return int(self.line.in_cents) if self.kind == "missing" else 0


@dataclass(frozen=True)
class Ours:
    """Money that our books have and the statement, within its time, has not."""

    cents: int
    at: datetime
    code: str = ""
    payment_id: int | None = None
    receipt_id: int | None = None


@dataclass(frozen=True)
class Sum:
    """Lines of one kind."""

    count: int = 0
    in_cents: int = 0
    out_cents: int = 0


@dataclass(frozen=True)
class Comparison:
    """A statement and our books beside each other."""

    statement: Statement
    verdicts: list[Verdict]
    not_there: list[Ours]
    sums: dict[str, Sum] = field(default_factory=dict)

    @property
    def unexplained_cents(self) -> int:
        """Every shilling that only one side has, whichever: two faults never cancel each other out."""
        return sum(verdict.unexplained_cents for verdict in self.verdicts) + sum(one.cents for one in self.not_there)

    def of(self, *kinds: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.kind in kinds]


@dataclass(frozen=True)
class Known:
    """What our books have under one receipt."""

    cents: int
    returned_cents: int = 0
    receipt_id: int | None = None
    payment_id: int | None = None
    is_reversed: bool = False


def known_by(codes: set[str]) -> dict[str, Known]:
    """What our books have under these receipts."""
    found: dict[str, Known] = {}
    for part in _parts(sorted(codes)):
        paid = Payment.select(Payment.receipt, Payment.amount_cents, Payment.id, Payment.state).where(
            Payment.receipt.in_(part), Payment.state.in_(("paid", "reversed"))
        )
        for code, cents, payment_id, state in list(paid.tuples()):
            found[code] = Known(cents, 0, None, payment_id, state == "reversed")
        told = (Receipt.code, Receipt.amount_cents, Receipt.returned_cents, Receipt.id, Receipt.payment)
        rows = Receipt.select(*told).where(Receipt.provider == "mpesa", Receipt.code.in_(part), Receipt.verified)
        for code, cents, returned_cents, receipt_id, payment_id in list(rows.tuples()):
            is_reversed = code in found and found[code].is_reversed
            found[code] = Known(cents, returned_cents, receipt_id, payment_id, is_reversed)
    return found


def _parts(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    return (values[place : place + size] for place in range(0, len(values), size))


def codes_of(line: StatementLine) -> set[str]:
    """The receipts that a line names: its own, the linked one, and where it sends money back those in its words."""
    named = set(_CODE.findall(line.details.upper())) if _is_reversal(line) else set()
    return {line.code, line.linked, *named} - {""}


def verdict_of(line: StatementLine, known: dict[str, Known], seen: set[str], given_back: list[Refund]) -> Verdict:
    """What this line is; `seen` are the receipts of the lines before, `given_back` the pay-outs not yet found."""
    if line.status == UNREAD:
        return Verdict(line, "unread", words=line.reason)
    ours = known.get(line.code)
    if not is_completed(line.status):
        if ours is None or line.in_cents <= 0:
            return Verdict(line, "not_completed")
        return Verdict(line, "not_completed_there", ours.cents, ours.receipt_id, ours.payment_id)
    if line.in_cents > 0:
        return _verdict_in(line, ours, seen)
    return verdict_out(line, known, given_back)


def _verdict_in(line: StatementLine, ours: Known | None, seen: set[str]) -> Verdict:
    if line.code in seen:
        return Verdict(line, "repeated")
    seen.add(line.code)
    if ours is not None:
        kind = "agrees" if ours.cents == line.in_cents else "differs"
        return Verdict(line, kind, ours.cents, ours.receipt_id, ours.payment_id)
    return Verdict(line, "other" if _says(line, _OWN) or _is_reversal(line) else "missing")


def verdict_out(line: StatementLine, known: dict[str, Known], given_back: list[Refund]) -> Verdict:
    """The same of a line that took money out."""
    if _is_reversal(line):
        named = (line.linked, *sorted(codes_of(line) - {line.code, line.linked}))
        ours = next((known[code] for code in named if code in known), None)
        if ours is None:
            return Verdict(line, "other")  # money that our books never had came and went
        is_back = ours.returned_cents >= line.out_cents or (ours.receipt_id is None and ours.is_reversed)
        kind = "returned" if is_back else "reversed_there"
        return Verdict(line, kind, ours.returned_cents, ours.receipt_id, ours.payment_id)
    if _says(line, _CHARGES):
        return Verdict(line, "charge")
    refund = _pay_out_of(line, given_back)
    if refund is not None:
        return Verdict(line, "returned", refund.amount_cents, refund.receipt_id, refund.payment_id)
    return Verdict(line, "withdrawal" if _says(line, _WITHDRAWALS) else "other")


def _says(line: StatementLine, words: Iterable[str]) -> bool:
    text = f"{line.details} {line.reason}".lower()
    return any(word in text for word in words)


def _is_reversal(line: StatementLine) -> bool:
    return _says(line, ("revers",))


def pay_outs(statement: Statement) -> list[Refund]:
    """Refunds that M-Pesa paid out about then."""
    rows = Refund.select().where(
        Refund.how == "pay_out", Refund.state == "done",
        Refund.created_at.between(statement.first_at - A_DAY, statement.last_at + A_DAY),
    )  # fmt: skip
    return list(rows.order_by(Refund.id))


def _pay_out_of(line: StatementLine, given_back: list[Refund]) -> Refund | None:
    """The refund that this line paid out; taken off the list, so that no other line is the same."""
    msisdn, shape, _ = read_party(line.other_party)

    def fits(refund: Refund) -> bool:
        is_his = not (msisdn or shape) or phone_fits(msisdn or shape, refund.msisdn) is not False
        return bool(refund.amount_cents == line.out_cents and abs(line.at - refund.created_at) <= A_DAY and is_his)

    found = next((refund for refund in given_back if fits(refund)), None)
    if found is not None:
        given_back.remove(found)
    return found


def without_receipt(statement: Statement) -> list[Payment]:
    """Taken as paid on M-Pesa's own word, which named no receipt."""
    rows = Payment.select().where(
        Payment.paid_at.between(statement.first_at - A_DAY, statement.last_at + A_DAY), Payment.receipt.is_null(),
        Payment.state.in_(("paid", "reversed")), Payment.provider == "mpesa",
    )  # fmt: skip
    found = list(rows.order_by(Payment.id))
    credited: set[int] = set()  # paid by held receipts together
    for part in _parts([payment.id for payment in found]):
        credited |= {row for (row,) in Receipt.select(Receipt.payment).where(Receipt.payment.in_(part)).tuples()}
    return [payment for payment in found if payment.id not in credited]


def suggest(verdicts: list[Verdict], payments: list[Payment]) -> list[Verdict]:
    """Lines that nobody has, put to payments that have no receipt: by account, by phone and time, by time alone.

    Each rule is tried for all lines before the next weaker one; the weakest only where nothing else is possible.
    """
    free: dict[int, list[Payment]] = defaultdict(list)
    for payment in payments:
        free[payment.amount_cents].append(payment)
    found: dict[int, tuple[Payment, str]] = {}
    for words, fits in _RULES:
        fitting = {
            place: [one for one in free[verdict.line.in_cents] if fits(verdict.line, one)]
            for place, verdict in enumerate(verdicts)
            if verdict.kind == "missing" and place not in found and free.get(verdict.line.in_cents)
        }
        wanted: dict[int, int] = defaultdict(int)
        for one in (one for several in fitting.values() for one in several):
            wanted[one.id] += 1
        for place, several in fitting.items():
            if len(several) == 1 and wanted[several[0].id] == 1:
                found[place] = (several[0], words)
                free[several[0].amount_cents].remove(several[0])
    return [
        Verdict(verdict.line, "learn", verdict.line.in_cents, None, found[place][0].id, found[place][1])
        if place in found else verdict
        for place, verdict in enumerate(verdicts)
    ]  # fmt: skip


def _is_near(line: StatementLine, payment: Payment) -> bool:
    return bool(abs(line.at - payment.paid_at) <= TWO_CLOCKS)


def _is_his(line: StatementLine, payment: Payment) -> bool | None:
    msisdn, shape, _ = read_party(line.other_party)
    return phone_fits(msisdn or shape, payment.msisdn)


def _by_account(line: StatementLine, payment: Payment) -> bool:
    return read_account(line.account) == payment.id or bool(line.account.strip().upper() == f"WIFI{payment.id}")


_RULES: tuple[tuple[str, Callable[[StatementLine, Payment], bool]], ...] = (
    ("account", _by_account),
    ("phone", lambda line, payment: _is_his(line, payment) is True and _is_near(line, payment)),
    ("phone", lambda line, payment: _is_his(line, payment) is True and abs(line.at - payment.paid_at) <= A_DAY),
    ("time", lambda line, payment: _is_his(line, payment) is None and _is_near(line, payment)),
)


def not_on_it(statement: Statement, codes: set[str], unnamed: list[Payment]) -> list[Ours]:
    """What our books have of this time and the statement has not; the edges are left out, as two clocks differ."""
    begun: datetime = statement.first_at
    ended: datetime = statement.last_at
    first, last = begun + TWO_CLOCKS, ended - TWO_CLOCKS
    found = [
        Ours(payment.amount_cents, payment.paid_at, payment_id=payment.id)
        for payment in unnamed if first <= payment.paid_at <= last
    ]  # fmt: skip
    ours = {one.code: one for one in (*_paid_between(first, last), *_received_between(first, last))}
    absent = sorted(code for code, one in ours.items() if code not in codes and _is_of_then(code, statement))
    elsewhere: set[str] = set()
    for part in _parts(absent):
        rows = StatementLine.select(StatementLine.code).where(StatementLine.code.in_(part), StatementLine.in_cents > 0)
        elsewhere |= {code for (code,) in rows.tuples()}
    return sorted([*found, *(ours[code] for code in absent if code not in elsewhere)], key=lambda one: one.at)


def _paid_between(first: datetime, last: datetime) -> list[Ours]:
    paid = Payment.select(Payment.receipt, Payment.amount_cents, Payment.paid_at, Payment.id).where(
        Payment.paid_at.between(first, last), Payment.receipt.is_null(False), Payment.provider == "mpesa",
        Payment.state.in_(("paid", "reversed")),
    )  # fmt: skip
    return [Ours(cents, at, code, payment_id) for code, cents, at, payment_id in paid.tuples()]


def _received_between(first: datetime, last: datetime) -> list[Ours]:
    """By M-Pesa's clock where it was told; some are heard of days later."""
    rows = Receipt.select(
        Receipt.code, Receipt.amount_cents, Receipt.paid_at, Receipt.created_at, Receipt.payment, Receipt.id
    ).where(Receipt.created_at.between(first, last + HEARD_WITHIN), Receipt.provider == "mpesa", Receipt.verified)
    return [
        Ours(cents, paid_at or created_at, code, payment_id, receipt_id)
        for code, cents, paid_at, created_at, payment_id, receipt_id in rows.tuples()
        if first <= (paid_at or created_at) <= last
    ]


def _is_of_then(code: str, statement: Statement) -> bool:
    """Not when the receipt itself names a day that the statement does not reach: we only heard of it then."""
    day = code_day(code)
    if day is None:
        return True
    return bool(statement.first_at.astimezone(EAT).date() <= day.date() <= statement.last_at.astimezone(EAT).date())


def sums_of(verdicts: list[Verdict]) -> dict[str, Sum]:
    """Lines of each kind, added up."""
    sums: dict[str, Sum] = {}
    for verdict in verdicts:
        have, line = sums.get(verdict.kind, Sum()), verdict.line
        sums[verdict.kind] = Sum(have.count + 1, have.in_cents + line.in_cents, have.out_cents + line.out_cents)
    return {kind: sums[kind] for kind in KINDS if kind in sums}
