"""A checkout's end: paid, once, with everything that follows from it; or failed, from which paid is still reachable."""

from collections.abc import Sequence
from datetime import datetime

from edge.database import transaction
from edge.domain import access, asking, books, contacts, events, messages, receipts, renewal, templates
from edge.models import Grant, Payment, Plan
from edge.money_models import Receipt
from edge.values.arrival import Arrival
from edge.values.codes import mask_code
from edge.values.duration import show_duration
from edge.values.money import show_money, whole_units
from edge.values.msisdn import mask_msisdn

CLOSED_FOR_GOOD = ("paid", "reversed")
NOT_CLOSED = "state NOT IN ('paid', 'reversed')"
OF_ITS_CHECKOUT = ("callback", "query")  # they speak of one checkout, and cannot mean another
BY_GUESS = (  # perhaps: by amount and number, where no account is named
    "msisdn = ? AND amount_cents = ? AND id <> ? AND state = 'paid' AND witness IN ('c2b', 'sms') AND paid_at > ? "
    "ORDER BY id"
)
PROVEN = ("query", "status", "statement", "staff")  # nobody needs to be asked again


@transaction
def settle(
    payment: Payment, code: str | None, witness: str, now: datetime, *, credit: Sequence[Receipt] = (),
) -> str:  # fmt: skip
    """Paid is one conditional UPDATE that counts its rows; grant, books, text and event are in its transaction.

    `code`: the receipt, None until one is known. `credit`: held receipts that pay for it together, instead of one.
    Returns what came of it in a few words: `paid`, `already paid` …
    """
    known = None if code is None else receipts.find(code, payment.provider)
    served = None if credit or witness not in OF_ITS_CHECKOUT else _served_as(payment, code, now)
    if served is not None:
        payment.put(context={**payment.context, "instead": served.token})  # his page leads on to what he got
        asking.cancel_questions(payment, now)
        return f"its money was taken for payment {served.id}'s, which serves the same guest"
    if code is not None and _is_anothers(code, known, payment):
        asking.hint(payment, now)
        return "receipt belongs to another payment"
    if code is None and not credit:
        known = receipts.waiting_for(payment, now)
        code = None if known is None else known.code
    if known is not None and known.returned_cents and not credit:
        return _close_given_back(payment, known, now)
    won = payment.put_if(
        NOT_CLOSED, state="paid", paid_at=now, closed_at=now, witness=witness, receipt=code, result_code="0",
        confirmed_at=now if witness in PROVEN else None,
    )  # fmt: skip
    if not won:
        if code is not None:  # asked first, told later
            _learn_receipt(Payment.get_by_id(payment.id), code, witness, now)
        return "already paid"
    payment = Payment.get_by_id(payment.id)
    if credit:
        receipts.allot(list(credit), payment, now)
    elif code is not None:
        receipts.take(payment, code, known, witness, now)
    else:
        _book_without_receipt(payment, now)
    is_its_phone = _is_from_its_phone(payment, code, credit)
    grant = _let_in(payment, is_its_phone, now)
    if is_its_phone and payment.context.get("offers"):  # anybody may type a number: whoever paid with it meant his own
        contacts.agree(payment.msisdn, "ticked it on the portal when buying", now)
    asking.cancel_questions(payment, now)
    if witness not in PROVEN:
        asking.promise_confirmation(payment, now)
    events.record(
        "payment.processed", now, payment=payment.id, phone=mask_msisdn(payment.msisdn),
        plan=Plan.get_by_id(grant.plan_id).name, amount=whole_units(payment.amount_cents), receipt=code,
        username=mask_code(grant.username), witness=witness,
    )  # fmt: skip
    return "paid"


def _is_anothers(code: str, known: Receipt | None, payment: Payment) -> bool:
    if known is not None and known.payment_id not in (None, payment.id) and known.used_cents > 0:
        return True
    return Payment.any_where("receipt = ? AND id <> ?", code, payment.id)


def _served_as(payment: Payment, code: str | None, now: datetime) -> Payment | None:
    """The payment of the same phone that was given this checkout's money, as a till's confirmation names none.

    Without a receipt it may be other money after all: then that is told under its own, and pays for this one.
    """
    begun: datetime = payment.created_at
    since = (begun - receipts.TWO_CLOCKS).timestamp()
    for other in Payment.all_where(BY_GUESS, payment.msisdn, payment.amount_cents, payment.id, since):
        if other.receipt != code if code is not None else other.confirmed_at is not None:
            continue
        row = receipts.find(other.receipt or "", other.provider)
        if row is not None and not row.account and receipts.is_of_its_time(payment, row, now):
            return other
    return None


def _close_given_back(payment: Payment, row: Receipt, now: datetime) -> str:
    """Its money came and went back before we heard that it was this payment's: nothing is sold."""
    if not payment.put_if(NOT_CLOSED, state="reversed", receipt=row.code, result_code="0", closed_at=now):
        return "already paid"
    withdraw(payment, "its money went back", now)
    asking.cancel_questions(payment, now)
    events.record(
        "payment.reversed", now, payment=payment.id, phone=mask_msisdn(payment.msisdn), receipt=row.code,
        amount=whole_units(payment.amount_cents), words="its money went back before M-Pesa told of it",
    )  # fmt: skip
    return "its money went back before"


def _learn_receipt(payment: Payment, code: str, witness: str, now: datetime) -> None:
    """What was asked first may learn its receipt later. Another receipt is other money: it came twice."""
    arrival = Arrival(code, payment.amount_cents, payment.provider, payment.msisdn)
    if receipts.awaits_receipt(payment):
        receipts.adopt(payment, arrival, witness, now)
    elif payment.receipt == code:
        receipts.note(arrival, witness, now)
    elif payment.state in CLOSED_FOR_GOOD:
        row = receipts.note(arrival, witness, now)
        row.put(payment=row.payment_id or payment.id)
        receipts.hold(row, f"payment {payment.id} was paid already, with {payment.receipt or 'no receipt'}", now)


def _book_without_receipt(payment: Payment, now: datetime) -> None:
    books.record(
        "sale", payment.provider, payment.amount_cents, payment.amount_cents, now, plan_id=payment.plan_id,
        payment_id=payment.id, staff_id=payment.staff_id, shift_id=payment.shift_id,
    )  # fmt: skip


def _is_from_its_phone(payment: Payment, code: str | None, credit: Sequence[Receipt]) -> bool:
    """Did the phone that the payment names pay? Anybody may type a number, and an account is easily guessed."""
    if code is None and not credit:
        return True  # asked on that phone itself, or for cash at the counter, which shows nobody an older code
    paid_with: Sequence[Receipt | None] = credit or [receipts.find(code or "", payment.provider)]
    return all(row is not None and receipts.is_payer(row, payment.msisdn) for row in paid_with)


def _let_in(payment: Payment, may_join: bool, now: datetime) -> Grant:
    """The right that was bought: a new one, or the one that a text's word opened before.

    `may_join`: its buyer may see the code that the same phone has already.
    """
    opened = Grant.one_where("payment_id = ?", payment.id)
    if opened is not None and opened.why_ended != "unverified":
        opened.put(provisional=False)
        return Grant.get_by_id(opened.id)
    if opened is not None:  # it was taken back for want of proof, and here is the proof
        opened.put(payment=None)
    grant = access.promise(payment, now)
    in_force = renewal.join(grant, now) if may_join else grant
    if payment.msisdn:
        is_new = in_force.id == grant.id
        text = receipt_text(payment, grant) if is_new else renewal.text(payment, in_force, now)
        messages.promise(payment.msisdn, text, now, payment)
    return in_force


@transaction
def close(payment: Payment, state: str, code: str, now: datetime) -> bool:
    """`failed` or `expired`; False when it was no longer open."""
    open_one = (Payment.id == payment.id, Payment.state.in_(Payment.OPEN))
    changed = Payment.update(state=state, result_code=code, closed_at=now).where(*open_one).execute()
    return bool(changed == 1)


@transaction
def fail(payment: Payment, code: str, words: str, now: datetime) -> bool:
    """M-Pesa says no: told to those who watch, and what a text opened for it ends. False when it was not open."""
    withdraw(payment, words, now)
    if not close(payment, "failed", code, now):
        return False
    events.record(
        "payment.failed", now, payment=payment.id, phone=mask_msisdn(payment.msisdn), plan=payment.plan.name,
        amount=whole_units(payment.amount_cents), words=words,
    )  # fmt: skip
    return True


@transaction
def withdraw(payment: Payment, words: str, now: datetime) -> None:
    """M-Pesa denies it, or nobody confirmed it in time: what a text opened ends."""
    for grant in list(Grant.select().where(Grant.payment == payment, Grant.provisional, Grant.state == "live")):
        access.end(grant, "unverified", now)
        events.record(
            "payment.not_verified", now, payment=payment.id, phone=mask_msisdn(payment.msisdn),
            username=mask_code(grant.username), words=words,
        )  # fmt: skip


def receipt_text(payment: Payment, grant: Grant) -> str:
    """The guest's text, in one segment: the shop's name gives way, the code never."""
    return templates.render("PAYMENT_RECEIVED", {
        "amount": show_money(payment.amount_cents), "receipt": payment.receipt, "time": show_duration(grant.seconds),
        "code": grant.username, "pin": grant.password,
    })  # fmt: skip
