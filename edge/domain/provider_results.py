"""What a gateway other than M-Pesa says of a payment: the same money, by the same ways into the same books."""

import re
from datetime import datetime

from edge.database import transaction
from edge.domain import asking, matching, payments, settlement
from edge.models import Payment
from edge.values.account import account_of
from edge.values.arrival import Arrival
from edge.values.gateway import Answer, Started
from edge.values.stk import PushAnswer, QueryAnswer

OF_OUR_MAKING = ("paystack",)  # providers that call a payment what we call it
_NUMBER = re.compile(r"WIFI([1-9][0-9]{0,17})-[0-9a-f]{16}")


def reference_of(payment: Payment) -> str:
    """What we call this payment to its provider; for one that keeps our names, such as no other shop or box has."""
    if payment.provider in OF_OUR_MAKING:
        return f"WIFI{payment.id}-{payment.trace[:16]}"
    return account_of(payment.id)


def payment_of(reference: str, provider: str) -> Payment | None:
    """The payment that we called so; None for a name that somebody else gave."""
    named = _NUMBER.fullmatch(reference)
    payment = None if named is None else Payment.get_or_none(Payment.id == int(named[1]), Payment.provider == provider)
    return payment if payment is not None and reference_of(payment) == reference else None


@transaction
def record_started(payment_id: int, started: Started, poll_s: tuple[int, ...], now: datetime) -> None:
    """The gateway took it: the phone rings, or it is paid already."""
    if started.kind == "paid":
        settlement.settle(Payment.get_by_id(payment_id), None, "staff", now)
    else:
        payments.record_prompted(payment_id, PushAnswer(started.reference, ""), poll_s, now)


@transaction
def record_start_unconfirmed(payment_id: int, words: str, now: datetime) -> None:
    """Nobody knows whether the phone rings. Who keeps our name for it is asked; M-Pesa's callback brings its own."""
    payments.record_push_unconfirmed(payment_id, words, now)
    payment = Payment.get_by_id(payment_id)
    if payment.provider in OF_OUR_MAKING:
        payments.learn_checkout(payment, reference_of(payment))
        asking.hint(Payment.get_by_id(payment_id), now)


@transaction
def record(payment: Payment, answer: Answer, witness: str, now: datetime) -> str:
    """Credit what a trustworthy witness says was paid; returns what came of it in a few words.

    Money of another amount is held for a person. Without an amount or a receipt the gateway is asked.
    """
    payments.learn_checkout(payment, reference_of(payment))
    payment = Payment.get_by_id(payment.id)
    if answer.kind != "paid" or answer.receipt is None or answer.amount_cents is None:
        asking.hint(payment, now)
        return "not said what was paid: asking the gateway"
    arrival = Arrival(
        answer.receipt, answer.amount_cents, payment.provider, msisdn=payment.msisdn, account=account_of(payment.id)
    )
    return matching.arrive(arrival, witness, now)


@transaction
def record_answer(
    payment_id: int, answer: Answer, poll_s: tuple[int, ...], now: datetime, step: int | None = None
) -> None:
    """The gateway answered our question; see `payments.record_answer`, which goes on from here."""
    payment = Payment.get_by_id(payment_id)
    told = QueryAnswer(answer.kind, answer.code, answer.words)
    if payment.provider in OF_OUR_MAKING and answer.kind == "paid":
        if answer.receipt is not None and answer.amount_cents is not None:
            record(payment, answer, "query", now)
            _note_asked(payment_id, answer, now)
            return
        told = QueryAnswer("unknown", answer.code, answer.words)  # in a currency that is none of ours
    payments.record_answer(payment_id, told, poll_s, now, step)


def _note_asked(payment_id: int, answer: Answer, now: datetime) -> None:
    payment = Payment.get_by_id(payment_id)
    payment.put(asked=payment.asked + 1, asked_at=now)
    if payment.state == "paid" and payment.amount_cents == answer.amount_cents:
        payment.put(confirmed_at=now)
