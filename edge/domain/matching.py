"""Whose money is it? A receipt finds its payment by account, else by amount and number, else it waits for a person."""

import secrets
from datetime import datetime, timedelta

from edge.database import transaction
from edge.domain import plans, receipts, settlement
from edge.errors import BadInput
from edge.models import Payment, Plan
from edge.money_models import Receipt
from edge.texts import say
from edge.values.account import read_account
from edge.values.arrival import Arrival
from edge.values.money import show_money
from edge.values.msisdn import read_msisdn

ASKED_WITHIN = timedelta(days=1)  # by amount and number only a checkout of so long ago is found
AHEAD = timedelta(minutes=10)  # two clocks
AT_ONCE = timedelta(minutes=30)  # who asks by the same number from two devices within it may be two people


@transaction
def arrive(arrival: Arrival, witness: str, now: datetime, policy: str = "hold") -> str:
    """Money arrived under this receipt: credited once, whichever witness comes first, and a repeat changes nothing.

    `policy` says what becomes of too little or too much: `hold`, `nearest`, `credit`. Returns what came of it.
    """
    known = receipts.find(arrival.code, arrival.provider)
    if known is not None and known.used_cents:
        receipts.note(arrival, witness, now)
        return f"known already: payment {known.payment_id}"
    if known is not None and known.returned_cents:
        return "known already: it was given back"
    owner: Payment | None = Payment.get_or_none(Payment.receipt == arrival.code)
    if owner is not None:  # of a release that kept no receipts
        receipts.adopt(owner, arrival, witness, now)
        return f"known already: payment {owner.id}"
    return credit(receipts.note(arrival, witness, now), witness, now, policy)


@transaction
def credit(row: Receipt, witness: str, now: datetime, policy: str = "hold") -> str:
    """Find what this receipt pays for, and let it; else hold it."""
    payment = whose(row, now)
    if payment is not None and is_its_own(payment, row):
        arrival = Arrival(row.code, row.amount_cents, row.provider, paid_at=row.paid_at)
        receipts.adopt(payment, arrival, witness, now)
        return f"the receipt of payment {payment.id}"
    if payment is None:
        return _sell_unasked(row, witness, now) or _hold(row, _why_nobody(row), now)
    if row.payment_id is None:
        row.put(payment=payment)
    if payment.state == "paid":
        return _again(row, payment, witness, now)
    if row.left_cents == payment.amount_cents:
        return _settle(payment, row, witness, now)
    return _misfit(row, payment, witness, now, policy)


def whose(row: Receipt, now: datetime) -> Payment | None:
    """The payment this money is for: by the account that was typed, else by amount and number."""
    return _by_account(row) or _by_amount_and_number(row, now)


def _by_account(row: Receipt) -> Payment | None:
    payment_id = read_account(row.account)
    if payment_id is None:
        return None
    found: Payment | None = Payment.get_or_none(Payment.id == payment_id)
    return None if found is None or (found.state == "reversed" and not is_its_own(found, row)) else found


def is_its_own(payment: Payment, row: Receipt) -> bool:
    """The money of this checkout, told by another witness while its own receipt was not known yet."""
    if not receipts.awaits_receipt(payment) or payment.amount_cents != row.amount_cents:
        return False
    return receipts.is_of_its_time(payment, row, payment.paid_at)


def _by_amount_and_number(row: Receipt, now: datetime) -> Payment | None:
    """The one guest who asked to pay so much lately and whose number fits; nobody when two could be meant.

    A checkout that is paid and has no receipt yet comes first: its money is in the books, and must not be twice.
    """
    instant = row.paid_at or now
    is_unpaid = Payment.state.not_in(("paid", "reversed")) | Payment.receipt.is_null()
    asked = Payment.select().where(
        is_unpaid, Payment.amount_cents == row.amount_cents,
        Payment.provider == row.provider, Payment.created_at.between(instant - ASKED_WITHIN, instant + AHEAD),
    )  # fmt: skip
    fitting = [one for one in asked.order_by(Payment.created_at.desc()) if receipts.is_payer(row, one.msisdn)]
    served: Payment | None = next((one for one in fitting if is_its_own(one, row)), None)
    unpaid = [one for one in fitting if one.state not in settlement.CLOSED_FOR_GOOD]
    if served is not None:
        return served
    if len({one.msisdn for one in unpaid}) != 1:
        return None
    lately = [one for one in unpaid if instant - one.created_at <= AT_ONCE] or unpaid
    # Anybody may type her number, and is shown the code of what he asked for: then her text or her receipt decides.
    return lately[0] if len({(one.mac, one.source) for one in lately}) == 1 else None


def _settle(payment: Payment, row: Receipt, witness: str, now: datetime) -> str:
    outcome = settlement.settle(payment, row.code, witness, now)
    return f"paid: payment {payment.id}" if outcome == "paid" else _hold(row, outcome, now)


def _again(row: Receipt, payment: Payment, witness: str, now: datetime) -> str:
    """The account of a purchase that is paid: whoever uses it once more wants the same once more."""
    if row.left_cents != payment.amount_cents:
        return _hold(row, f"payment {payment.id} was paid already", now)
    more = by_hand(payment.plan, payment.msisdn, now, mac=payment.mac, cents=payment.amount_cents)
    return _settle(more, row, witness, now)


def _misfit(row: Receipt, payment: Payment, witness: str, now: datetime, policy: str) -> str:
    receipts.hold(row, _misfit_words(row, payment), now)
    row = Receipt.get_by_id(row.id)
    if policy == "credit":
        return _sell_on_credit(row, payment, witness, now)
    if policy == "nearest":
        plan = nearest(row.left_cents, now)
        if plan is not None:
            sold = by_hand(plan, payment.msisdn, now, mac=payment.mac, context=payment.context)
            payment.put(context={**payment.context, "instead": sold.token})  # his page leads on to what he got
            return _settle(sold, row, witness, now)
    return f"held: {row.words}"


def _misfit_words(row: Receipt, payment: Payment) -> str:
    came, wanted = show_money(row.left_cents), show_money(payment.amount_cents)
    return f"{came} came for payment {payment.id}, which costs {wanted}"


def _sell_on_credit(row: Receipt, payment: Payment, witness: str, now: datetime) -> str:
    """What came for one payment adds up; when it is enough, it is sold, and what is over stays held."""
    rows = receipts.held_for(payment)
    have = sum(one.left_cents for one in rows)
    if have < payment.amount_cents:
        row.put(words=f"{show_money(payment.amount_cents - have)} still missing for payment {payment.id}")
        return f"held: {row.words}"
    outcome = settlement.settle(payment, None, witness, now, credit=rows)
    return f"{outcome}: payment {payment.id}"


def nearest(cents: int, now: datetime) -> Plan | None:
    """The dearest plan on sale that so much money buys."""
    prices = [(plans.price_at(plan, now), plan) for plan in plans.on_sale(now)]
    affordable = [(price, plan) for price, plan in prices if 0 < price <= cents]
    return max(affordable, key=lambda one: one[0])[1] if affordable else None


def _sell_unasked(row: Receipt, witness: str, now: datetime) -> str | None:
    """Nobody asked at the portal, but the payer is known and one plan has this price: his code goes to his phone."""
    msisdn = row.msisdn or _as_msisdn(row.account)
    fitting = [plan for plan in plans.on_sale(now) if plans.price_at(plan, now) == row.left_cents]
    if not msisdn or len(fitting) != 1 or _is_asked_for(row, msisdn, now):
        return None
    return _settle(by_hand(fitting[0], msisdn, now), row, witness, now)


def _is_asked_for(row: Receipt, msisdn: str, now: datetime) -> bool:
    """Did this phone ask just now, from several devices? It may be the money of a prompt, of which M-Pesa tells yet."""
    same = (Payment.msisdn == msisdn, Payment.amount_cents == row.left_cents, Payment.provider == row.provider)
    lately = Payment.created_at.between((row.paid_at or now) - AT_ONCE, (row.paid_at or now) + AHEAD)
    return bool(Payment.select().where(*same, lately, Payment.state.not_in(settlement.CLOSED_FOR_GOOD)).exists())


def _as_msisdn(account: str) -> str:
    """Many type their number as the account."""
    try:
        return read_msisdn(account)
    except BadInput:
        return ""


def _hold(row: Receipt, words: str, now: datetime) -> str:
    receipts.hold(row, words, now)
    return f"held: {words}"


def _why_nobody(row: Receipt) -> str:
    if row.account:
        return f"nobody has the account {row.account!r}, and {show_money(row.amount_cents)} fits no one who asked"
    return f"no one who asked fits {show_money(row.amount_cents)} and this number"


@transaction
def by_hand(
    plan: Plan, msisdn: str, now: datetime, *, mac: str = "", context: dict[str, str] | None = None,
    cents: int | None = None,
) -> Payment:  # fmt: skip
    """A purchase that no prompt was sent for, at the price of now unless one is given."""
    payment: Payment = Payment.create(
        token=secrets.token_hex(16), secret=secrets.token_hex(20), plan=plan, msisdn=msisdn, mac=mac, how="hand",
        amount_cents=plans.price_at(plan, now) if cents is None else cents, context=context or {}, state="expired",
        created_at=now,
    )  # fmt: skip
    return payment


@transaction
def give_to(
    row: Receipt, plan: Plan, msisdn: str, now: datetime, *, staff_id: int | None = None, seen_cents: int | None = None
) -> Payment:
    """A person decides: this held money buys this plan for this phone. `seen_cents`: what he saw was left of it.

    Pressed twice, it is sold once.
    """
    row = Receipt.get_by_id(row.id)  # as it is now, under the lock of this transaction
    if seen_cents is not None and seen_cents != row.left_cents:
        raise BadInput(say("money.less_left", left=show_money(row.left_cents)), "receipt")
    price = plans.price_at(plan, now)
    if row.left_cents < price:
        raise BadInput(say("money.too_little", left=show_money(row.left_cents), price=show_money(price)), "plan")
    asked = row.payment
    is_his = asked is not None and asked.msisdn == msisdn and asked.state not in settlement.CLOSED_FOR_GOOD
    payment = by_hand(
        plan, msisdn, now, mac=asked.mac if is_his else "", context=asked.context if is_his else None, cents=price
    )
    payment.put(staff_id=staff_id)
    is_whole = receipts.is_whole(row)  # a receipt stands on one payment; the rest of it on none
    outcome = settlement.settle(
        payment, row.code if is_whole else None, "staff", now, credit=[] if is_whole else [row]
    )
    if outcome != "paid":
        raise BadInput(outcome, "receipt")
    if is_his:
        asked.put(context={**asked.context, "instead": payment.token})  # his page leads on to what he got
    return Payment.get_by_id(payment.id)
