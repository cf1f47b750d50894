"""What M-Pesa posts about payments that customers begin themselves (C2B): asked beforehand, told afterwards."""

from dataclasses import dataclass, field
from datetime import datetime

from edge.domain import matching
from edge.models import Payment
from edge.values.account import read_account
from edge.values.arrival import Arrival
from edge.values.org_api import C2bNotice

# What a refusal tells the payer, by text at once (Daraja portal, C2B validation).
WRONG_ACCOUNT, WRONG_AMOUNT, WRONG_SHOP = "C2B00012", "C2B00013", "C2B00015"


@dataclass(frozen=True)
class Shop:
    """Whose money it is, and what becomes of too little or too much."""

    codes: frozenset[str] = field(default_factory=frozenset)  # paybill, till, store number
    policy: str = "hold"


def confirm(notice: C2bNotice, shop: Shop, now: datetime) -> str:
    """Money arrived; returns what came of it."""
    if notice.short_code and shop.codes and notice.short_code not in shop.codes:
        return f"another shop's: {notice.short_code}"
    arrival = Arrival(
        notice.receipt, notice.amount_cents, msisdn=notice.msisdn or "", payer_shape=notice.msisdn_shape,
        payer_name=notice.payer_name, account=notice.account, paid_at=notice.at,
    )  # fmt: skip
    return matching.arrive(arrival, "c2b", now, shop.policy)


def refusal(notice: C2bNotice, shop: Shop) -> str:
    """Why M-Pesa should turn this payment away before it is made; empty to let it come.

    Only what would have to be sent back by hand: what M-Pesa refuses now, the payer keeps.
    """
    if notice.short_code and shop.codes and notice.short_code not in shop.codes:
        return WRONG_SHOP
    payment_id = read_account(notice.account)
    payment = None if payment_id is None else Payment.get_or_none(Payment.id == payment_id)
    if payment_id is not None and payment is None:
        return WRONG_ACCOUNT
    if payment is not None and shop.policy == "hold" and notice.amount_cents != payment.amount_cents:
        return WRONG_AMOUNT
    return ""
