"""Everything that calls in is kept first and believed afterwards."""

import contextlib
from dataclasses import dataclass, field
from datetime import datetime

from edge import jobs
from edge.database import db, transaction
from edge.domain import payments
from edge.errors import EdgeError
from edge.models import Inbox, Payment
from edge.values.stk import StkResult


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


@transaction
def receive(call: Call, now: datetime) -> str:
    """Keep the raw call, then settle in a savepoint; the row stays whatever the settlement does."""
    digest = payments.digest(call.address, call.body)
    known = Inbox.get_or_none(Inbox.digest == digest)
    if known is not None:
        Inbox.update(repeats=Inbox.repeats + 1).where(Inbox.id == known.id).execute()
        return f"repeat: {known.outcome}"
    row = Inbox.create(
        digest=digest, source=call.source, kind=call.kind, headers=call.headers, body=call.body,
        payment=call.payment, outcome=call.fault, received_at=now,
    )  # fmt: skip
    if call.result is None:
        return call.fault
    try:
        with db.savepoint():
            outcome = _settle(call, call.result, now)
    except EdgeError as reason:
        outcome = f"not settled: {reason}"
    except Exception as reason:  # the row speaks for itself: keep it, and let a job try the settlement again
        outcome = f"to be settled: {type(reason).__name__}"
        _try_later(row.id, now)
    row.put(outcome=outcome)
    return outcome


@transaction
def settle_again(inbox_id: int, read: StkResult, now: datetime) -> None:
    """A second try at a call whose settlement broke."""
    row = Inbox.get_by_id(inbox_id)
    if row.payment is not None:
        row.put(outcome=_by_proof(row.payment, read, now))


def _try_later(inbox_id: int, now: datetime) -> None:
    jobs.promise("inbox.settle", "payments", now, args={"inbox_id": inbox_id}, unique_key=f"inbox:{inbox_id}")


def _settle(call: Call, result: StkResult, now: datetime) -> str:
    if call.payment is None:
        return _by_hint(result, now)
    if not call.trusted_source:
        payments.hint(call.payment, now)
        return "address not on the list: asking M-Pesa"
    shop = call.headers.get("Businessshortcode", "")
    if shop and call.shops and shop not in call.shops:
        payments.hint(call.payment, now)
        return "another shop: asking M-Pesa"
    return _by_proof(call.payment, result, now)


def _by_proof(payment: Payment, result: StkResult, now: datetime) -> str:
    """The payment's own secret address: the right checkout, phone and amount are proof enough to serve the guest."""
    known = payment.checkout_request_id
    if known is not None and known != result.checkout_request_id:
        payments.hint(payment, now)
        return "another checkout: asking M-Pesa"
    other = Payment.get_or_none(Payment.checkout_request_id == result.checkout_request_id)
    if other is not None and other.id != payment.id:
        return "this checkout belongs to another payment"
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
