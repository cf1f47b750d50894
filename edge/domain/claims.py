"""`I already paid`: a guest names his receipt, or only his phone. Only the payer himself is told anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from edge.database import transaction
from edge.domain import (
    asking,
    events,
    matching,
    messages,
    org_requests,
    plans,
    receipts,
    renewal,
    settlement,
    throttle,
    vouchers_guessed,
    witnesses,
)
from edge.errors import BadInput
from edge.models import Grant, Message, Payment, Plan
from edge.money_models import Receipt
from edge.texts import say
from edge.values.codes import read_receipt
from edge.values.money import show_money
from edge.values.msisdn import mask_msisdn
from edge.values.org_api import phone_fits

LOOK_BACK = timedelta(days=3)
ASKED_AT_ONCE = 3  # checkouts of one phone
TEXTS_WITHIN = timedelta(minutes=5)
TEXTS_A_MINUTE = 6  # of all phones together: the modem has other work


@dataclass(frozen=True)
class Claimant:
    """Who says it: his phone (`2547…`), his device and the address he asks from."""

    msisdn: str
    client: str = ""
    mac: str = ""


@dataclass(frozen=True)
class Claim:
    """What comes of it: it is his, M-Pesa is being asked, his money waits for a person, or nobody knows of it."""

    kind: Literal["his", "asking", "held", "unknown"]
    payment: Payment | None = None
    receipt: Receipt | None = None


@transaction
def by_receipt(typed: str, who: Claimant, now: datetime) -> Claim:
    """The purchase that this receipt paid for, when the phone fits; money that is held buys its plan by that.

    BadInput for what is no receipt, TooMany for who guesses. A wrong phone and an unknown receipt look the same.
    """
    code = read_receipt(typed)
    vouchers_guessed.refuse_if_paused(who.client, who.mac, now)
    row = receipts.find(code)
    paid = _paid_with(code, row)
    if paid is not None and _is_payers(paid, row, who.msisdn):
        return Claim("his", paid, row)
    if paid is None and row is not None and _may_be_payers(row, who.msisdn):
        return _claim_held(row, who, now)
    vouchers_guessed.record_failure(who.client, who.mac, now)
    is_asked = _ask_about(who, now)
    if row is None and paid is None and witnesses.rules.can_ask_by_receipt:
        org_requests.promise_status(code, now)
        is_asked = True
    return Claim("asking" if is_asked else "unknown")


def _paid_with(code: str, row: Receipt | None) -> Payment | None:
    payment: Payment | None = Payment.get_or_none(Payment.receipt == code, Payment.state == "paid")
    if payment is None and row is not None and row.used_cents and row.payment_id is not None:
        payment = Payment.get_or_none(Payment.id == row.payment_id, Payment.state == "paid")
    return payment


def _is_payers(payment: Payment, row: Receipt | None, msisdn: str) -> bool:
    if payment.msisdn == msisdn:
        return True
    if row is None:
        return False
    return bool(row.msisdn == msisdn) if row.msisdn else phone_fits(row.payer_shape, msisdn) is True


def _may_be_payers(row: Receipt, msisdn: str) -> bool:
    """A till may tell no number at all: then whoever knows the receipt first is its payer."""
    return row.msisdn == msisdn if row.msisdn else phone_fits(row.payer_shape, msisdn) is not False


def _claim_held(row: Receipt, who: Claimant, now: datetime) -> Claim:
    if not row.verified:
        if row.payment_id is not None:
            asking.hint(row.payment, now)
        if witnesses.rules.can_ask_by_receipt:
            org_requests.promise_status(row, now)
        return Claim("asking", receipt=row)
    if row.left_cents <= 0:
        return Claim("unknown")
    plan = _plan_for(row, now)
    if plan is None:
        events.record(
            "payment.claimed", now, receipt=row.code, amount=show_money(row.left_cents), phone=mask_msisdn(who.msisdn),
            words="a guest says that this money is his, and no plan has this price",
        )  # fmt: skip
        return Claim("held", receipt=row)
    payment = matching.by_hand(plan, who.msisdn, now, mac=who.mac)
    is_whole = receipts.is_whole(row)
    outcome = settlement.settle(
        payment, row.code if is_whole else None, "claim", now, credit=[] if is_whole else [row]
    )  # fmt: skip
    if outcome != "paid":
        raise BadInput(say("paid.held"), "receipt")
    return Claim("his", Payment.get_by_id(payment.id), row)


def _plan_for(row: Receipt, now: datetime) -> Plan | None:
    fitting = [plan for plan in plans.on_sale(now) if plans.price_at(plan, now) == row.left_cents]
    if len(fitting) == 1:
        return fitting[0]
    return matching.nearest(row.left_cents, now) if witnesses.rules.policy == "nearest" else None


@transaction
def by_phone(who: Claimant, now: datetime) -> None:
    """Ask M-Pesa about what this phone did not finish, and text it the code it has. Whoever typed it learns nothing."""
    _ask_about(who, now)
    live = Grant.select().where(Grant.msisdn == who.msisdn, Grant.state == "live", Grant.payment.is_null(False))
    for grant in list(live.order_by(Grant.id.desc()).limit(1)):
        _text_again(grant, now)


def _ask_about(who: Claimant, now: datetime) -> bool:
    """Hint at the newest checkouts of this phone that are not paid; were there any?"""
    open_ones: Sequence[Payment] = list(
        Payment.select()
        .where(
            Payment.msisdn == who.msisdn, Payment.state.not_in(settlement.CLOSED_FOR_GOOD),
            Payment.checkout_request_id.is_null(False), Payment.created_at > now - LOOK_BACK,
        )
        .order_by(Payment.id.desc())
        .limit(ASKED_AT_ONCE)
    )  # fmt: skip
    for payment in open_ones:
        asking.hint(payment, now)
    return bool(open_ones)


def _text_again(grant: Grant, now: datetime) -> None:
    # By his payments: texts are not indexed by their phone, and there may be a million.
    his = Message.select().join(Payment).where(Payment.msisdn == grant.msisdn)
    lately = his.where(Message.created_at > now - TEXTS_WITHIN)
    if lately.exists() or throttle.take("claims.texts", TEXTS_A_MINUTE, now) is not None:
        return
    text = settlement.receipt_text(grant.payment, renewal.in_force(grant))
    messages.promise(grant.msisdn, text, now, grant.payment)
