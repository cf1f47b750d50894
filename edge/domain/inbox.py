"""Everything that calls in is kept first and believed afterwards."""

import contextlib
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edge import jobs
from edge.database import db, is_storage_fault, transaction
from edge.domain import payments
from edge.errors import EdgeError
from edge.models import Inbox, Payment
from edge.values.stk import StkResult

LIMIT = 64 * 1024
HINTS_AN_HOUR = 600  # strangers may call the bare address; they may not fill the card


@dataclass(frozen=True)
class Call:
    """One POST that reached us: where, from whom, and what it says (None: unreadable)."""

    address: str
    source: str
    headers: dict[str, str]
    body: bytes
    result: StkResult | None
    payment: Payment | None = None  # whose secret address it came to
    trusted_source: bool = True
    kind: str = "stk"
    fault: str = ""
    shops: frozenset[str] = field(default_factory=frozenset)  # our own short codes

    @property
    def doubt(self) -> str:
        """Why it proves nothing; empty for the payment's own address, a trusted source and our shop."""
        shop = self.headers.get("Businessshortcode", "")
        if self.payment is None:
            return "hint"
        if not self.trusted_source:
            return "address not on the list"
        return "another shop" if shop and self.shops and shop not in self.shops else ""


@transaction
def receive(call: Call, now: datetime) -> str:
    """Keep the raw call, then settle in a savepoint; the row stays whatever the settlement does."""
    digest = payments.digest(call.address, call.body)
    known = Inbox.get_or_none(Inbox.digest == digest)
    if known is not None:
        Inbox.update(repeats=Inbox.repeats + 1).where(Inbox.id == known.id).execute()
        return f"repeat: {known.outcome}"
    if call.payment is None:
        _guard(now)
    row = Inbox.create(
        digest=digest, source=call.source, kind=call.kind, headers=call.headers, body=call.body[:LIMIT],
        payment=call.payment, is_proof=not call.doubt, outcome=call.fault, received_at=now,
    )  # fmt: skip
    if call.result is None:
        return call.fault
    outcome = _settle_or_promise(row.id, call, call.result, now)
    row.put(outcome=outcome)
    return outcome


def _settle_or_promise(inbox_id: int, call: Call, result: StkResult, now: datetime) -> str:
    try:
        with db.savepoint():
            return _settle(call.payment, call.doubt, result, now)
    except EdgeError as reason:
        return f"not settled: {reason}"
    except Exception as reason:  # the row speaks for itself: keep it, and let a job try the settlement again
        if is_storage_fault(reason):
            raise  # then the row is not kept either, and nobody may be told so
        jobs.promise("inbox.settle", "payments", now, args={"inbox_id": inbox_id}, unique_key=f"inbox:{inbox_id}")
        return f"to be settled: {type(reason).__name__}"


@transaction
def settle_again(inbox_id: int, read: StkResult, now: datetime) -> None:
    """A second try at a call whose settlement broke; what proved nothing then proves nothing now."""
    row = Inbox.get_by_id(inbox_id)
    row.put(outcome=_settle(row.payment, "" if row.is_proof else "hint", read, now))


def _guard(now: datetime) -> None:
    """Hints are worth little: so many an hour are kept, and then no more."""
    hints = Inbox.select(Inbox.received_at).where(
        Inbox.payment.is_null(), Inbox.received_at > now - timedelta(hours=1)
    )
    lately = list(hints.order_by(Inbox.received_at.desc()).limit(HINTS_AN_HOUR).tuples())
    if len(lately) >= HINTS_AN_HOUR:
        wait = lately[-1][0] + timedelta(hours=1) - now
        raise payments.TooMany("Too many calls to this address.", "", math.ceil(wait.total_seconds()))


def _settle(payment: Payment | None, doubt: str, result: StkResult, now: datetime) -> str:
    if payment is None:
        return _by_hint(result, now)
    payment = Payment.get_by_id(payment.id)  # as it is now: the caller's row was read before this transaction
    if doubt:
        payments.hint(payment, now)
        return f"{doubt}: asking M-Pesa"
    return _by_proof(payment, result, now)


def _by_proof(payment: Payment, result: StkResult, now: datetime) -> str:
    """The payment's own secret address: the right checkout, phone and amount are proof enough to serve the guest."""
    known = payment.checkout_request_id
    if known is not None and known != result.checkout_request_id:
        payments.hint(payment, now)
        return "another checkout: asking M-Pesa"
    other = Payment.get_or_none(Payment.checkout_request_id == result.checkout_request_id)
    if other is not None and other.id != payment.id:
        return "this checkout belongs to another payment"
    if result.is_paid and result.amount_cents is None:
        payments.learn_checkout(payment, result.checkout_request_id)
        payments.hint(payment, now)
        return "no amount: asking M-Pesa"
    if result.is_paid and result.amount_cents != payment.amount_cents:
        payments.hint(payment, now)
        return "another amount: asking M-Pesa"
    if result.is_paid and _is_other_phone(payment.msisdn, result.msisdn):
        payments.hint(payment, now)
        return "another phone: asking M-Pesa"
    return payments.record_result(payment, result, "callback", now)


def _is_other_phone(asked: str, told: str | None) -> bool:
    """Masked and missing numbers prove nothing either way."""
    if told is None:
        return False
    digits = ""
    with contextlib.suppress(ValueError):
        digits = str(int(told))
    return len(digits) == len(asked) and digits != asked


def _by_hint(result: StkResult, now: datetime) -> str:
    payment = Payment.get_or_none(Payment.checkout_request_id == result.checkout_request_id)
    if payment is None:
        return "hint about an unknown checkout"
    payments.hint(payment, now)
    return "hint: asking M-Pesa"
