"""What the settings say of money, and how a text and M-Pesa's answer about a receipt become credit."""

from dataclasses import dataclass, field
from datetime import datetime

from edge.domain import events, incoming_texts, matching, org_requests, provisional, receipts
from edge.models import Payment
from edge.money_models import IncomingText, OrgRequest, Receipt, Refund
from edge.values.arrival import Arrival
from edge.values.mpesa_sms import MoneyText
from edge.values.msisdn import mask_msisdn
from edge.values.org_api import OrgResult, status_of, went_out


@dataclass
class Rules:
    """What becomes of too little or too much, what a text alone may open, whether M-Pesa can be asked by receipt."""

    policy: str = "hold"
    caps: provisional.Caps = field(default_factory=provisional.Caps)
    can_ask_by_receipt: bool = False


rules = Rules()


def configure(policy: str, caps: provisional.Caps, *, can_ask_by_receipt: bool) -> None:
    """Take over the settings, and hear what the modem and M-Pesa's organisation APIs tell."""
    rules.policy, rules.caps, rules.can_ask_by_receipt = policy, caps, can_ask_by_receipt
    incoming_texts.on_money = settle_text
    org_requests.on_result["status"] = settle_status


def settle_text(row: IncomingText, money: MoneyText, now: datetime) -> str:
    """One text of M-Pesa's to the till's owner; returns what came of it."""
    if money.kind == "reversal":
        return _tell_reversal(money, now)
    if money.amount_cents is None:
        return "no amount"
    arrival = Arrival(
        money.receipt, money.amount_cents, msisdn=money.payer or "", payer_shape=money.payer_shape,
        payer_name=money.payer_name, account=money.account or "", paid_at=money.at,
    )  # fmt: skip
    doubts = incoming_texts.trust_of(row, now)
    outcome, receipt = provisional.told_by_text(arrival, doubts, rules.caps, now, rules.policy)
    row.put(receipt=receipt)
    if rules.can_ask_by_receipt and not receipt.verified:
        org_requests.promise_status(receipt, now)
    return outcome


def _tell_reversal(money: MoneyText, now: datetime) -> str:
    """A text alone takes nothing back: whoever forges one could cut off anybody. A person looks."""
    codes = money.codes or (money.receipt,)
    found = [row for row in (receipts.find(code) for code in codes) if row is not None]
    if found and all(_is_our_own(row) for row in found):
        return "a refund that we asked for"
    for row in found:
        row.put(words="a text says that M-Pesa sent it back: compare with the statement")
        events.record(
            "payment.reversal_told", now, receipt=row.code, payment=row.payment_id, phone=mask_msisdn(row.msisdn),
            words="a text says that M-Pesa sent this money back",
        )  # fmt: skip
    return "told staff of a reversal" if found else "a reversal of money we do not know"


def _is_our_own(row: Receipt) -> bool:
    """Was it sent back from here, or is it on its way?"""
    its_own = (Refund.receipt == row) | (Refund.payment.is_null(False) & (Refund.payment == row.payment_id))
    states = Refund.state.in_(("asked", "unconfirmed", "done"))
    return bool(Refund.select().where(Refund.how == "reversal", states, its_own).exists())


def settle_status(request: OrgRequest, result: OrgResult, now: datetime) -> str:
    """M-Pesa's own word about one receipt; `unknown` says nothing about the money."""
    told = status_of(result)
    if told.state != "completed" or told.amount_cents is None or not told.receipt:
        return f"status {told.state}: {told.words}"
    if went_out(result):
        return "money that the shop paid itself: nothing came in"
    arrival = Arrival(
        told.receipt, told.amount_cents, msisdn=told.debit_party_msisdn or "", payer_name=told.debit_party_name,
        paid_at=told.at,
    )  # fmt: skip
    outcome = matching.arrive(arrival, "status", now, rules.policy)
    if request.payment_id is not None and outcome.startswith("known already"):
        Payment.update(confirmed_at=now).where(
            Payment.id == request.payment_id, Payment.receipt == told.receipt, Payment.confirmed_at.is_null()
        ).execute()
    return outcome
