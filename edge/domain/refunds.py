"""Money on its way back: asked, done, failed or unconfirmed; in the books when it is gone, and never more than came."""

from datetime import datetime
from typing import Any

from edge.database import db, transaction
from edge.domain import books, events, org_requests, receipts, renewal, shifts
from edge.errors import BadInput
from edge.models import Grant, Payment, Staff
from edge.money_models import OrgRequest, Receipt, Refund
from edge.values.money import show_money, whole_units
from edge.values.msisdn import mask_msisdn
from edge.values.org_api import OrgResult

WAYS = ("cash", "reversal", "pay_out")
OPEN = ("asked", "unconfirmed")  # may be gone, or go yet
LONGEST_WORDS = 200

_SOLD = "SELECT COALESCE(SUM(sold_cents), 0) FROM ledger WHERE payment_id = ?"


@transaction
def ask(
    what: Payment | Receipt, amount_cents: int, how: str, staff: Staff | None, now: datetime, words: str = ""
) -> Refund:
    """Give a guest's money back, whole or in part, in cents: `cash` is done at once, from his open shift's drawer if
    there is one; `reversal` and `pay_out` are M-Pesa's to do. A payment's money is what its plan cost; a receipt's is
    first of all what it holds. BadInput when that is not possible, or more than is left of it.
    """
    if how not in WAYS:
        raise BadInput(f"Money goes back by one of: {', '.join(WAYS)}.", "how")
    what = type(what).get_by_id(what.id)
    most = refundable_cents(what)
    if most <= 0:
        raise BadInput("Nothing is left of it to give back.", "amount")
    if not 0 < amount_cents <= most:
        raise BadInput(f"At most {show_money(most)} can be given back.", "amount")
    if how != "cash" and what.provider != "mpesa":
        raise BadInput("This money did not come by M-Pesa. Give it back in cash.", "how")
    refund = Refund.create(
        payment=what if isinstance(what, Payment) else None, receipt=what if isinstance(what, Receipt) else None,
        amount_cents=amount_cents, how=how, msisdn=what.msisdn, staff=staff,
        shift_id=_drawer(staff, amount_cents, now) if how == "cash" else None, words=words.strip()[:LONGEST_WORDS],
        created_at=now,
    )  # fmt: skip
    if how == "cash":
        record_done(refund.id, "", now)
    elif how == "reversal":
        org_requests.promise_reversal(what, amount_cents, staff, now, refund=refund)
    else:
        _promise_pay_out(refund, what, now)
    return Refund.get_by_id(refund.id)


def refundable_cents(what: Payment | Receipt) -> int:
    """How much of it can still go back, in cents; what is on its way counts as gone."""
    on_way = sum(refund.amount_cents for refund in of(what) if refund.state in OPEN)
    if isinstance(what, Payment):
        return max(0, sold_cents(what) - on_way) if what.state == "paid" else 0
    if not what.verified:
        return 0
    sold = min(what.used_cents, sold_cents(what.payment)) if what.payment_id is not None else 0
    return max(0, int(what.left_cents + sold - on_way))


def sold_cents(payment: Payment) -> int:
    """What was sold by this payment and not taken back, by the books, in cents."""
    return int(db.execute_sql(_SOLD, (payment.id,)).fetchone()[0])


def of(what: Payment | Receipt) -> list[Refund]:
    """All refunds of a payment and its receipts, or of a receipt and its payment, oldest first."""
    payment_id = what.id if isinstance(what, Payment) else what.payment_id
    of_receipt = Refund.receipt == what if isinstance(what, Receipt) else Refund.receipt.in_(
        Receipt.select(Receipt.id).where(Receipt.payment == payment_id)
    )  # fmt: skip
    either = of_receipt if payment_id is None else of_receipt | (Refund.payment == payment_id)
    return list(Refund.select().where(either).order_by(Refund.id))


def ways(payment: Payment) -> list[str]:
    """How this payment's money can go back, the simplest first."""
    by_mpesa = payment.provider == "mpesa"
    return [
        "cash",
        *(["reversal"] if by_mpesa and payment.receipt else []),
        *(["pay_out"] if by_mpesa and payment.msisdn else []),
    ]


@transaction
def record_done(refund_id: int, words: str, now: datetime) -> bool:
    """The guest has his money: the books say so, and whoever got all of it back is not let in any more.

    False when that was known. A refund that was given up may turn out to be done.
    """
    won = Refund.update(state="done", closed_at=now).where(Refund.id == refund_id, Refund.state != "done").execute()
    if won != 1:
        return False
    refund = Refund.get_by_id(refund_id)
    _note(refund, words)
    _give_back(refund, "refund", now)
    return True


@transaction
def record_failed(refund_id: int, words: str, now: datetime) -> bool:
    """No money went back; False when it was closed before."""
    return _close(refund_id, OPEN, "failed", words, now)


@transaction
def record_unconfirmed(refund_id: int, words: str, now: datetime) -> bool:
    """Nobody knows whether the money went back: M-Pesa's result, its statement or a person will tell."""
    return _close(refund_id, ("asked",), "unconfirmed", words, now)


@transaction
def reverse(what: Payment | Receipt, words: str, now: datetime) -> bool:
    """M-Pesa sent the whole of it back, at the payer's wish or another's. Harmless to repeat; False when it was known.

    A receipt that stands in no books yet is only marked. Was the money given back before, then it is lost now, and
    the books say so: sales go below nothing.
    """
    what = _receipt_of(what) or what
    if isinstance(what, Receipt) and not what.verified:
        return _mark_unseen(what, words, now)
    ours = [refund for refund in of(what) if refund.how == "reversal" and refund.state != "failed"]
    if any(refund.state == "done" for refund in ours):
        return False
    if ours:
        return record_done(ours[0].id, words, now)
    if isinstance(what, Payment) and what.state not in ("paid", "reversed"):
        return False
    refund = Refund.create(
        payment=what if isinstance(what, Payment) else None, receipt=what if isinstance(what, Receipt) else None,
        amount_cents=what.amount_cents, how="reversal", state="done", msisdn=what.msisdn,
        words=words.strip()[:LONGEST_WORDS], created_at=now, closed_at=now,
    )  # fmt: skip
    _give_back(refund, "reversal", now)
    return True


def listen() -> None:
    """Hear what M-Pesa's organisation APIs tell of refunds."""
    for kind in ("reversal", "pay_out"):
        org_requests.on_result[kind] = _follow_result
        org_requests.on_trouble[kind] = _follow_trouble


def waiting() -> list[Refund]:
    """Refunds whose end is not known, oldest first."""
    return list(Refund.select().where(Refund.state.in_(OPEN)).order_by(Refund.created_at))


def _drawer(staff: Staff | None, amount_cents: int, now: datetime) -> int | None:
    shift = None if staff is None else shifts.current(staff)
    if shift is None:
        return None
    there = shifts.figures(shift, now).expected_cents
    if amount_cents > there:
        raise BadInput(f"By the books your drawer holds {show_money(there)}: so much can't come out of it.", "amount")
    return int(shift.id)


def _promise_pay_out(refund: Refund, what: Payment | Receipt, now: datetime) -> None:
    if not what.msisdn:
        raise BadInput("The payer's number is not known in full. Give cash.", "how")
    links: dict[str, Any] = {"payment": what} if isinstance(what, Payment) else {"receipt": what}
    org_requests.promise_pay_out(what.msisdn, refund.amount_cents, refund.words, now, refund=refund, **links)


def _note(refund: Refund, words: str) -> None:
    """What M-Pesa says goes behind what staff wrote."""
    told = ". ".join(part for part in (refund.words.rstrip("."), words.strip()) if part)[:LONGEST_WORDS]
    if told != refund.words:
        refund.put(words=told)


def _close(refund_id: int, states: tuple[str, ...], state: str, words: str, now: datetime) -> bool:
    still = (Refund.id == refund_id, Refund.state.in_(states))
    if Refund.update(state=state, closed_at=None if state in OPEN else now).where(*still).execute() != 1:
        return False
    refund = Refund.get_by_id(refund_id)
    _note(refund, words)
    _tell(f"refund.{state}", refund, _payment_of(refund), now)
    return True


def _give_back(refund: Refund, kind: str, now: datetime) -> None:
    """Into the books, the receipts and, when nothing of the sale is left, the payment and its grant."""
    payment = _payment_of(refund)
    held = 0
    if refund.receipt_id is not None:
        held = min(refund.amount_cents, max(0, refund.receipt.left_cents))
        _return(refund.receipt, held, refund.amount_cents - held)
    elif payment is not None:
        _return_of_payment(payment, refund.amount_cents)
    sold = refund.amount_cents - held
    seller = payment if sold else None
    books.record(
        kind, "cash" if refund.how == "cash" else _provider(refund), -refund.amount_cents, -sold, now,
        plan_id=seller.plan_id if seller else None, payment_id=seller.id if seller else None,
        receipt_id=refund.receipt_id, shift_id=refund.shift_id, staff_id=refund.staff_id, words=f"refund {refund.id}",
    )  # fmt: skip
    if seller is not None and sold_cents(seller) <= 0:
        _take_back(seller, "refunded" if kind == "refund" else "reversed", now)
    _tell("payment.refunded" if kind == "refund" else "payment.reversed", refund, payment, now)


def _take_back(payment: Payment, why: str, now: datetime) -> None:
    Payment.update(state="reversed", closed_at=now).where(Payment.id == payment.id, Payment.state == "paid").execute()
    grant = Grant.get_or_none(Grant.payment == payment)
    if grant is not None:
        renewal.take_back(grant, why, now)


def _return_of_payment(payment: Payment, cents: int) -> None:
    """From what its receipts paid for; a sale from before there were receipts has none."""
    rows = Receipt.select().where(Receipt.payment == payment, Receipt.verified, Receipt.used_cents > 0)
    for row in list(rows.order_by(Receipt.id.desc())):
        part = min(cents, row.used_cents)
        _return(row, 0, part)
        cents -= part
        if not cents:
            break


def _return(row: Receipt, held: int, used: int) -> None:
    used = min(used, row.used_cents)
    row.put(returned_cents=row.returned_cents + held + used, used_cents=row.used_cents - used)
    state = "held" if row.left_cents > 0 else "used" if row.used_cents else "returned"
    row.put(state=state, words=row.words if state == "held" else "")


def _mark_unseen(row: Receipt, words: str, now: datetime) -> bool:
    """Told of by a text alone, and reversed before M-Pesa itself spoke of it: it never was in the books."""
    if row.state == "returned":
        return False
    row.put(state="returned", returned_cents=row.amount_cents, words=words.strip()[:LONGEST_WORDS])
    grant = None if row.payment_id is None else Grant.get_or_none(Grant.payment == row.payment_id, Grant.provisional)
    if grant is not None:
        renewal.take_back(grant, "reversed", now)
    return True


def _receipt_of(what: Payment | Receipt) -> Receipt | None:
    if isinstance(what, Receipt):
        return Receipt.get_by_id(what.id)
    return receipts.find(what.receipt, what.provider) if what.receipt else None


def _payment_of(refund: Refund) -> Payment | None:
    payment_id = refund.payment_id if refund.payment_id is not None else (
        refund.receipt.payment_id if refund.receipt_id is not None else None
    )  # fmt: skip
    return None if payment_id is None else Payment.get_by_id(payment_id)


def _provider(refund: Refund) -> str:
    return str(refund.receipt.provider if refund.receipt_id is not None else refund.payment.provider)


def _tell(name: str, refund: Refund, payment: Payment | None, now: datetime) -> None:
    code = refund.receipt.code if refund.receipt_id is not None else payment.receipt if payment is not None else None
    events.record(
        name, now, payment=None if payment is None else payment.id, refund=refund.id, receipt=code, how=refund.how,
        phone=mask_msisdn(refund.msisdn) if refund.msisdn else None, amount=whole_units(refund.amount_cents),
        words=refund.words, who=refund.staff.name if refund.staff_id is not None else None,
    )  # fmt: skip


def _follow_result(request: OrgRequest, result: OrgResult, now: datetime) -> str:
    if request.refund_id is None:
        about = request.receipt if request.receipt_id is not None else request.payment
        if request.kind == "reversal" and request.state == "done" and about is not None:
            return "reversed" if reverse(about, request.words, now) else ""
        return ""
    record = {"done": record_done, "failed": record_failed}.get(request.state, record_unconfirmed)
    record(request.refund_id, request.words, now)
    return f"refund {request.refund_id}: {request.state}"


def _follow_trouble(request: OrgRequest, now: datetime) -> None:
    if request.refund_id is not None:
        record = record_failed if request.state == "failed" else record_unconfirmed
        record(request.refund_id, request.words, now)
