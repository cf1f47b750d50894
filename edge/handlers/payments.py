"""M-Pesa asked: to ring a phone, how a checkout ended; and a call settled anew."""

from datetime import datetime
from functools import partial
from typing import Any

from edge.devices.mpesa import read_stk_result
from edge.domain import inbox, payments, throttle
from edge.errors import Unreachable
from edge.handlers.world import Later, Missed, World, WriteDown
from edge.models import Inbox, Payment
from edge.values.stk import Push


def prompt_payment(world: World, now: datetime, payment_id: int) -> WriteDown | None:
    """Ask M-Pesa to ring the guest's phone. Never twice: a second push is a second prompt."""
    payment = Payment.get_by_id(payment_id)
    if not payments.may_prompt(payment, now):
        return None
    settings = world.settings
    public = settings.web.public_url.rstrip("/")
    push = Push(
        msisdn=payment.msisdn,
        amount_cents=payment.amount_cents,
        account_reference=f"WIFI{payment.id}",
        description="WiFi " + payment.plan.name,
        callback_url=f"{public}/cb/{payment.secret}" if public else settings.mpesa.placeholder_url,
    )
    answer = world.devices.mpesa().push(push)
    return partial(_after_push, payment_id, answer, settings.mpesa.poll_s)


def _after_push(payment_id: int, answer: Any, poll_s: tuple[int, ...], now: datetime) -> None:
    payments.record_prompted(payment_id, answer, poll_s, now)


def ask_payment(world: World, now: datetime, payment_id: int, step: int | None = None) -> WriteDown | Missed | None:
    """Ask M-Pesa how a checkout ended, inside its one rate limit; guests who wait come before the books."""
    payment = Payment.get_by_id(payment_id)
    if payment.checkout_request_id is None or payment.confirmed_at is not None:
        return None
    told = world.settings.mpesa
    free_at = throttle.take("mpesa.query", told.queries_per_minute, now, can_wait=not payment.is_open)
    if free_at is not None:
        raise Later(free_at)
    try:
        answer = world.devices.mpesa().query(payment.checkout_request_id)
    except Unreachable as reason:
        if step is None and payment.state != "paid":
            raise
        # The list is the back-off.
        return Missed(lambda then: payments.record_unanswered(payment_id, told.poll_s, then, step), str(reason))
    return lambda then: payments.record_answer(payment_id, answer, told.poll_s, then, step)


def settle_inbox(world: World, now: datetime, inbox_id: int) -> WriteDown | None:
    """Settle a kept call whose first settlement broke."""
    result = read_stk_result(bytes(Inbox.get_by_id(inbox_id).body))
    return lambda then: inbox.settle_again(inbox_id, result, then)
