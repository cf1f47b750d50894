"""A gateway asked: to ring a phone, how a checkout ended."""

from datetime import datetime
from functools import partial

from edge.domain import payments, provider_results, provisional, throttle, witnesses
from edge.errors import Unconfirmed, Unreachable
from edge.handlers.world import Later, Missed, World, WriteDown
from edge.models import Payment
from edge.values.gateway import Charge, Started

PAYSTACK_QUERIES_PER_MINUTE = 60  # far below what Paystack turns away


def provider_of(payment_id: int) -> str:
    """Whose circuit breaker this payment's work heeds."""
    payment: Payment = Payment.get_by_id(payment_id)
    return str(payment.provider)


def prompt_payment(world: World, now: datetime, payment_id: int) -> WriteDown | Missed | None:
    """Ask the gateway to ring the guest's phone. Never twice: a second push is a second prompt."""
    payment = Payment.get_by_id(payment_id)
    if not payments.may_prompt(payment, now):
        return None
    busy_until = payments.phone_is_busy_until(payment, now)
    if busy_until is not None:
        raise Later(busy_until)
    settings = world.settings
    public = settings.web.public_url.rstrip("/")
    charge = Charge(
        reference=provider_results.reference_of(payment),
        msisdn=payment.msisdn,
        amount_cents=payment.amount_cents,
        description="WiFi " + payment.plan.name,
        callback_url=f"{public}/cb/{payment.secret}" if public else settings.mpesa.placeholder_url,
    )
    gateway = world.devices.gateway(payment.provider)
    try:
        started = gateway.start(charge)
    except Unconfirmed as lost:
        if not gateway.takes_our_reference:
            raise
        # The answer was lost and the name is ours: whether the phone rings can be asked.
        started = Started("rings", charge.reference, str(lost))
        return Missed(partial(_after_start, payment_id, started, settings.mpesa.poll_s), str(lost))
    return partial(_after_start, payment_id, started, settings.mpesa.poll_s)


def _after_start(payment_id: int, started: Started, poll_s: tuple[int, ...], now: datetime) -> None:
    provider_results.record_started(payment_id, started, poll_s, now)


def ask_payment(world: World, now: datetime, payment_id: int, step: int | None = None) -> WriteDown | Missed | None:
    """Ask the gateway how a checkout ended, inside its one rate limit; guests who wait come before the books."""
    payment = Payment.get_by_id(payment_id)
    if payment.checkout_request_id is None or payment.confirmed_at is not None:
        return None
    told = world.settings.mpesa
    per_minute = told.queries_per_minute if payment.provider == "mpesa" else PAYSTACK_QUERIES_PER_MINUTE
    free_at = throttle.take(f"{payment.provider}.query", per_minute, now, can_wait=not payment.is_open)
    if free_at is not None:
        raise Later(free_at)
    try:
        answer = world.devices.gateway(payment.provider).ask(payment.checkout_request_id)
    except Unreachable as reason:
        if step is None and payment.state != "paid":
            raise
        # The list is the back-off.
        return Missed(lambda then: payments.record_unanswered(payment_id, told.poll_s, then, step), str(reason))
    return lambda then: provider_results.record_answer(payment_id, answer, told.poll_s, then, step)


def open_unverified(world: World, now: datetime, payment_id: int) -> WriteDown:
    """No device is asked: M-Pesa was, and is silent. A text's word may let the guest in."""
    return lambda then: provisional.open_unverified(payment_id, witnesses.rules.caps, then)
