"""Money in: a checkout from the promise to pay until M-Pesa's last word. FAILED → PAID is legal, never the other way."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edge import jobs, texts
from edge.database import transaction
from edge.domain import access, events, messages, plans
from edge.errors import BadInput
from edge.models import Grant, Message, Payment, Placement, Router
from edge.values.duration import show_duration
from edge.values.money import show_money, whole_units
from edge.values.msisdn import mask_msisdn
from edge.values.stk import PushAnswer, QueryAnswer, StkResult

EXPIRE_AFTER = timedelta(minutes=3)
PROMPT_WINDOW = timedelta(minutes=10)
PROMPTS_PER_PHONE = 10
DAILY_ASKS = 3
CONFIRM_AFTER = timedelta(seconds=30)


class TooMany(BadInput):
    """Slow down; `retry_after_s` says for how long."""

    retry_after_s = 60


class KeyReused(BadInput):
    """An Idempotency-Key that already stands for another purchase."""


@dataclass(frozen=True)
class Wish:
    """What a guest asked for, read and checked."""

    plan_id: int
    msisdn: str
    mac: str = ""
    idempotency_key: str | None = None
    context: dict[str, str] = field(default_factory=dict)


@transaction
def initiate(wish: Wish, now: datetime) -> tuple[Payment, bool]:
    """Promise a checkout and the work of prompting the phone; (payment, False) when it is there already."""
    known = Payment.get_or_none(Payment.idempotency_key == wish.idempotency_key) if wish.idempotency_key else None
    if known is not None:
        if (known.plan_id, known.msisdn, known.mac) != (wish.plan_id, wish.msisdn, wish.mac):
            raise KeyReused("This Idempotency-Key was used for another purchase.", "Idempotency-Key")
        return known, False
    plan = plans.get_on_sale(wish.plan_id)
    pending = Payment.get_or_none(
        Payment.msisdn == wish.msisdn, Payment.plan == plan, Payment.mac == wish.mac, Payment.state.in_(Payment.OPEN)
    )
    if pending is not None:
        return pending, False
    _guard(wish.msisdn, now)
    payment = Payment.create(
        token=secrets.token_hex(16), secret=secrets.token_hex(20), plan=plan, msisdn=wish.msisdn, mac=wish.mac,
        amount_cents=plan.price_cents, idempotency_key=wish.idempotency_key, context=wish.context, created_at=now,
    )  # fmt: skip
    jobs.promise(
        "payment.prompt", "payments", now, args={"payment_id": payment.id}, priority=jobs.HIGH,
        unique_key=f"prompt:{payment.id}", cause=f"payment:{payment.id}",
    )  # fmt: skip
    return payment, True


def _guard(msisdn: str, now: datetime) -> None:
    """A phone that was rung again and again without paying is left in peace for a while."""
    unpaid = Payment.select().where(
        Payment.msisdn == msisdn, Payment.created_at > now - PROMPT_WINDOW, Payment.paid_at.is_null()
    )
    if unpaid.count() >= PROMPTS_PER_PHONE:
        raise TooMany("This number was asked to pay many times just now. Please wait a few minutes.", "phone_number")


def by_token(token: str) -> Payment | None:
    """The buyer's own payment."""
    return Payment.get_or_none(Payment.token == token)


def by_secret(secret: str) -> Payment | None:
    """The payment that this callback address belongs to."""
    return Payment.get_or_none(Payment.secret == secret)


@transaction
def record_prompted(payment_id: int, answer: PushAnswer, poll_s: tuple[int, ...], now: datetime) -> None:
    """M-Pesa took the push: the phone rings."""
    payment = Payment.get_by_id(payment_id)
    if payment.checkout_request_id is None:
        payment.put(checkout_request_id=answer.checkout_request_id)
    _mark_prompted(payment, now)
    _promise_ask(payment, poll_s, now)


@transaction
def record_push_unconfirmed(payment_id: int, words: str, now: datetime) -> None:
    """The push's answer was lost: the phone may ring. Never a second push; the callback brings the checkout id."""
    payment = Payment.get_by_id(payment_id)
    _mark_prompted(payment, now)
    events.record("prompt.unconfirmed", now, payment=payment_id, phone=mask_msisdn(payment.msisdn), words=words)


@transaction
def record_push_refused(payment_id: int, words: str, now: datetime) -> None:
    """No prompt was sent: M-Pesa said no, or could not be reached in time."""
    payment = Payment.get_by_id(payment_id)
    if _close(payment, "failed", "push-refused", now):
        _tell_failed(payment, words, now)


def _mark_prompted(payment: Payment, now: datetime) -> None:
    Payment.update(state="prompted", prompted_at=now).where(
        Payment.id == payment.id, Payment.state == "pending"
    ).execute()


@transaction
def record_result(payment: Payment, result: StkResult, witness: str, now: datetime) -> str:
    """Settle a checkout by what a trustworthy witness says; returns the outcome in a few words."""
    if payment.checkout_request_id is None:
        payment.put(checkout_request_id=result.checkout_request_id)
    if result.is_paid:
        return _settle(payment, result.receipt, witness, now)
    if _close(payment, "failed", result.result_code, now):
        _tell_failed(payment, result.result_desc, now)
        return "failed"
    return f"nothing to do: {payment.state}"


@transaction
def record_answer(payment_id: int, answer: QueryAnswer, poll_s: tuple[int, ...], now: datetime) -> None:
    """M-Pesa answered our question; when it does not know yet, promise the next one."""
    payment = Payment.get_by_id(payment_id)
    payment.put(asked=payment.asked + 1)
    if answer.kind == "paid":
        if _settle(payment, None, "query", now) != "paid":
            Payment.update(confirmed_at=now).where(Payment.id == payment_id).execute()
        return
    if payment.state == "paid":
        if answer.kind == "failed":
            payment.put(disputed=True)
            events.record("payment.disputed", now, payment=payment_id, words=answer.words)
        return
    if answer.kind == "failed":
        if _close(payment, "failed", answer.result_code, now):
            _tell_failed(payment, answer.words, now)
        return
    _promise_ask(payment, poll_s, now)


@transaction
def hint(payment: Payment, now: datetime) -> None:
    """Somebody unproven spoke about this checkout: a reason to ask M-Pesa soon, nothing more."""
    if payment.checkout_request_id and payment.state in (*Payment.OPEN, "failed", "expired"):
        jobs.promise(
            "payment.ask", "payments", now, args={"payment_id": payment.id}, unique_key=f"hint:{payment.id}",
            cause=f"payment:{payment.id}",
        )  # fmt: skip


@transaction
def expire_overdue(now: datetime) -> int:
    """Checkouts that nobody answered stop blocking the guest; money that comes later still counts."""
    overdue = Payment.select().where(Payment.state.in_(Payment.OPEN), Payment.created_at < now - EXPIRE_AFTER)
    return sum(_close(payment, "expired", "", now) for payment in list(overdue))


def expire_if_due(now: datetime) -> int:
    """Look without a lock, and write only when there is something to expire."""
    overdue = Payment.select().where(Payment.state.in_(Payment.OPEN), Payment.created_at < now - EXPIRE_AFTER)
    return expire_overdue(now) if overdue.exists() else 0


@transaction
def recheck(payment: Payment, now: datetime) -> None:
    """A person wants M-Pesa asked again."""
    if payment.checkout_request_id is None:
        raise BadInput("M-Pesa never told us its name for this checkout, so it can't be asked about it.", "payment")
    jobs.promise(
        "payment.ask", "payments", now, args={"payment_id": payment.id}, priority=jobs.HIGH,
        unique_key=f"hint:{payment.id}", cause=f"payment:{payment.id}",
    )  # fmt: skip


def _settle(payment: Payment, receipt: str | None, witness: str, now: datetime) -> str:
    """Paid is one conditional UPDATE that counts its rows; grant, text and event are in its transaction."""
    if receipt is not None and Payment.select().where(Payment.receipt == receipt, Payment.id != payment.id).exists():
        hint(payment, now)
        return "receipt belongs to another payment"
    won = (
        Payment.update(
            state="paid", paid_at=now, closed_at=now, witness=witness, receipt=receipt, result_code="0",
            confirmed_at=now if witness == "query" else None,
        )
        .where(Payment.id == payment.id, Payment.state.not_in(("paid", "reversed")))
        .execute()
    )  # fmt: skip
    if won != 1:
        Payment.update(receipt=receipt).where(Payment.id == payment.id, Payment.receipt.is_null()).execute()
        return "already paid"
    payment = Payment.get_by_id(payment.id)
    grant = access.promise(payment, now)
    messages.promise(payment.msisdn, _receipt_text(payment, grant), now, payment)
    if witness != "query":
        _promise_confirmation(payment, now)
    events.record(
        "payment.processed", now, payment=payment.id, phone=mask_msisdn(payment.msisdn), plan=payment.plan.name,
        amount=whole_units(payment.amount_cents), receipt=receipt, username=access.mask_code(grant.username),
        witness=witness,
    )  # fmt: skip
    return "paid"


def _close(payment: Payment, state: str, code: str, now: datetime) -> bool:
    changed = (
        Payment.update(state=state, result_code=code, closed_at=now)
        .where(Payment.id == payment.id, Payment.state.in_(Payment.OPEN))
        .execute()
    )
    return bool(changed == 1)


def _tell_failed(payment: Payment, words: str, now: datetime) -> None:
    events.record(
        "payment.failed", now, payment=payment.id, phone=mask_msisdn(payment.msisdn), plan=payment.plan.name,
        amount=whole_units(payment.amount_cents), words=words,
    )  # fmt: skip


def _promise_confirmation(payment: Payment, now: datetime) -> None:
    """The guest is served on the callback's word; M-Pesa is asked afterwards, when nobody waits."""
    jobs.promise(
        "payment.ask", "payments", now, args={"payment_id": payment.id}, run_at=now + CONFIRM_AFTER,
        priority=jobs.LOW, unique_key=f"confirm:{payment.id}", cause=f"payment:{payment.id}",
    )  # fmt: skip


def _promise_ask(payment: Payment, poll_s: tuple[int, ...], now: datetime) -> None:
    """The next question: by the list of seconds after the prompt, then daily for three days."""
    asked = payment.asked
    if asked < len(poll_s):
        run_at = max(now, payment.created_at + timedelta(seconds=poll_s[asked]))
    elif asked < len(poll_s) + DAILY_ASKS:
        run_at = now + timedelta(days=1)
    else:
        return
    jobs.promise(
        "payment.ask", "payments", now, args={"payment_id": payment.id}, run_at=run_at,
        unique_key=f"ask:{payment.id}", cause=f"payment:{payment.id}",
    )  # fmt: skip


def _receipt_text(payment: Payment, grant: Grant) -> str:
    return texts.say(
        "sms.receipt", amount=show_money(payment.amount_cents), receipt=payment.receipt or "-",
        time=show_duration(grant.seconds), code=grant.username, pin=grant.password,
    )  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """Where a purchase stands, for the guest: payment, grant and router in one word."""

    status: str
    grant: Grant | None
    message: Message | None


def standing(payment: Payment, now: datetime) -> Standing:
    """pending → prompted → paid → online; ended when the time is over."""
    grant = Grant.get_or_none(Grant.payment == payment)
    message = payment.messages.order_by(Message.id.desc()).first()
    if payment.state != "paid" or grant is None:
        return Standing(payment.state, grant, message)
    if grant.state == "ended":
        return Standing("ended", grant, message)
    placed = Placement.select().where(Placement.grant == grant, Placement.state == "there").exists()
    by_radius = grant.starts_at is not None and Router.select().where(Router.mode == "radius").exists()
    return Standing("online" if placed or by_radius else "paid", grant, message)


def digest(address: str, body: bytes) -> str:
    """What makes a call unique: its address is part of it, so that a forged copy can't shadow the real one."""
    return hashlib.sha256(address.encode() + b"\0" + body).hexdigest()
