"""Money in: a checkout from the promise to pay until M-Pesa's last word. FAILED → PAID is legal, never back."""

import hashlib
import math
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL

from edge import database, jobs, trace
from edge.database import transaction
from edge.domain import access, asking, events, plans, renewal, settlement
from edge.errors import BadInput, TooMany
from edge.models import Grant, Message, Payment, Router
from edge.values.msisdn import mask_msisdn
from edge.values.stk import PushAnswer, QueryAnswer, StkResult

EXPIRE_AFTER = timedelta(minutes=3)
EXPIRE_BY_HAND = timedelta(minutes=30)
ONE_PROMPT = timedelta(minutes=1)  # M-Pesa shows a phone one prompt at a time
CLOCK_SLACK = timedelta(minutes=1)
# Unpaid checkouts in a window. An address gets more than a device: guests may share one, behind their own router.
PROMPT_WINDOW = timedelta(minutes=10)
PROMPTS_PER_PHONE = 10
PROMPTS_PER_MAC = 15
PROMPTS_PER_SOURCE = 60
PROMPTS_IN_ALL = 1200
CAUGHT_UP_WITHIN_S = 0.5

# In SQLite's own words: the planner takes the partial index only where the query repeats its condition.
IS_OPEN = SQL("state IN ('pending', 'prompted')")
IS_UNPAID = SQL("state IN ('pending', 'prompted', 'failed', 'expired')")


class KeyReused(BadInput):
    """An Idempotency-Key that already stands for another purchase."""


@dataclass(frozen=True)
class Wish:
    """What a guest asked for, read and checked.

    `is_form`: the key was made with a page that the Back button brings again. A program that repeats its key
    wants the same payment; a person who presses Pay once more after a failure wants to try again.
    """

    plan_id: int
    msisdn: str
    mac: str = ""
    idempotency_key: str | None = None
    context: dict[str, str] = field(default_factory=dict)
    is_form: bool = False
    price_cents: int | None = None  # the price that was shown; another one is asked about again
    provider: str = "mpesa"  # who is to ask for the money
    how: str = "prompt"  # "hand": he pays by the M-Pesa menu, and his phone is not rung
    source: str = ""  # the address of the network he asks from


@transaction
def initiate(wish: Wish, now: datetime) -> tuple[Payment, bool]:
    """Promise a checkout and the work of prompting the phone; (payment, False) when it is there already."""
    known = _known(wish)
    if known is not None:
        return known, False
    plan = plans.get_on_sale(wish.plan_id, now, context=wish.context, price_cents=wish.price_cents)
    same = (Payment.msisdn == wish.msisdn, Payment.plan == plan, Payment.mac == wish.mac)
    pending = Payment.get_or_none(*same, IS_OPEN)
    if pending is not None and (pending.how != "hand" or wish.how == "hand"):
        _refuse_from_elsewhere(pending, wish, now)
        return pending, False
    if pending is not None:  # he was to pay by hand and wants to be rung after all; money for it still counts
        settlement.close(pending, "expired", "", now)
    _guard(wish, now)
    payment = Payment.create(
        token=secrets.token_hex(16), secret=secrets.token_hex(20), plan=plan, msisdn=wish.msisdn, mac=wish.mac,
        amount_cents=plans.price_at(plan, now), idempotency_key=wish.idempotency_key, context=wish.context,
        provider=wish.provider, how=wish.how, source=wish.source, created_at=now,
    )  # fmt: skip
    if wish.how == "hand":
        return payment, True
    with trace.within(payment.trace):
        jobs.promise(
            "payment.prompt", "payments", now, args={"payment_id": payment.id}, priority=jobs.HIGH,
            unique_key=f"prompt:{payment.id}", cause=f"payment:{payment.id}",
        )  # fmt: skip
    return payment, True


def _known(wish: Wish) -> Payment | None:
    """The payment that this key stands for already."""
    if not wish.idempotency_key:
        return None
    known: Payment | None = Payment.get_or_none(Payment.idempotency_key == wish.idempotency_key)
    if known is None:
        return None
    is_same = (known.plan_id, known.msisdn, known.mac) == (wish.plan_id, wish.msisdn, wish.mac)
    if not wish.is_form and not is_same:
        raise KeyReused("This Idempotency-Key was used for another purchase.", "Idempotency-Key")
    if wish.is_form and (not is_same or known.state in ("failed", "expired")):
        known.put(idempotency_key=None)
        return None
    return known


def _refuse_from_elsewhere(pending: Payment, wish: Wish, now: datetime) -> None:
    """Whoever types another's number and device while she pays would be shown her code."""
    if pending.source in ("", wish.source) or not wish.source:
        return
    begun: datetime = pending.prompted_at or pending.created_at
    ends = begun + (EXPIRE_BY_HAND if pending.how == "hand" else EXPIRE_AFTER)
    words = "Somebody is paying with this number just now. Please look at that phone, or wait a few minutes."
    raise TooMany(words, "phone_number", max(1, math.ceil((ends - now).total_seconds())))


def _guard(wish: Wish, now: datetime) -> None:
    """Who was rung again and again without paying is left in peace for a while; to pay by hand rings nobody."""
    unpaid = Payment.select(Payment.msisdn, Payment.mac, Payment.source, Payment.created_at).where(
        IS_UNPAID, Payment.created_at > now - PROMPT_WINDOW
    )
    recent = list(unpaid.order_by(Payment.created_at).tuples())
    limits = (
        ("This number was asked to pay many times just now. Please wait a few minutes.", "phone_number",
         PROMPTS_PER_PHONE, [row[3] for row in recent if row[0] == wish.msisdn]),
        ("This device asked many times just now. Please wait a few minutes.", "mac_address",
         PROMPTS_PER_MAC, [row[3] for row in recent if wish.mac and row[1] == wish.mac]),
        ("Many people asked from your network just now. Please wait a few minutes.", "",
         PROMPTS_PER_SOURCE, [row[3] for row in recent if wish.source and row[2] == wish.source]),
        ("Very many people want to pay just now. Please wait a few minutes.", "",
         PROMPTS_IN_ALL, [row[3] for row in recent]),
    )  # fmt: skip
    for words, name, most, instants in limits[2:] if wish.how == "hand" else limits:
        if len(instants) >= most and not (most == PROMPTS_PER_SOURCE and Router.is_at(wish.source)):
            free_at = instants[-most] + PROMPT_WINDOW  # then the window holds one less than the limit
            raise TooMany(words, name, math.ceil((free_at - now).total_seconds()))


def by_token(token: str) -> Payment | None:
    """The buyer's own payment, with what M-Pesa has told of it so far."""
    database.writer.catch_up(CAUGHT_UP_WITHIN_S)
    payment: Payment | None = Payment.get_or_none(Payment.token == token)
    return payment


def may_prompt(payment: Payment, now: datetime) -> bool:
    """A guest who asked minutes ago, before a power cut, has gone: his phone is not rung any more."""
    return payment.state == "pending" and now - payment.created_at <= EXPIRE_AFTER


def phone_is_busy_until(payment: Payment, now: datetime) -> datetime | None:
    """The phone shows another prompt of ours just now: a second would be refused. Until when to wait, else None."""
    shown = Payment.select(Payment.prompted_at).where(
        Payment.msisdn == payment.msisdn, Payment.id != payment.id, Payment.state == "prompted",
        Payment.prompted_at.between(now - ONE_PROMPT, now),
    )  # fmt: skip
    last = max((row.prompted_at for row in shown), default=None)
    return None if last is None else min(last + ONE_PROMPT, now + timedelta(seconds=5))


@transaction
def record_prompted(payment_id: int, answer: PushAnswer, poll_s: tuple[int, ...], now: datetime) -> None:
    """M-Pesa took the push: the phone rings."""
    payment = Payment.get_by_id(payment_id)
    if not learn_checkout(payment, answer.checkout_request_id):
        payment.put(disputed=True)
        events.record(
            "payment.disputed", now, payment=payment_id, words="the push was answered with another checkout's name"
        )
    _mark_prompted(payment_id, now)
    payment = Payment.get_by_id(payment_id)
    if payment.state not in ("paid", "reversed"):
        asking.promise_ask(payment, 0, poll_s, now)


@transaction
def learn_checkout(payment: Payment, checkout_request_id: str) -> bool:
    """M-Pesa's name for this checkout, once; False when another name, or another payment of this name, is known."""
    if payment.checkout_request_id is not None:
        return bool(payment.checkout_request_id == checkout_request_id)
    if Payment.select().where(Payment.checkout_request_id == checkout_request_id).exists():
        return False
    payment.put(checkout_request_id=checkout_request_id)
    return True


@transaction
def record_push_unconfirmed(payment_id: int, words: str, now: datetime) -> None:
    """The push's answer was lost: the phone may ring. Never a second push; the callback brings the checkout id."""
    payment = Payment.get_by_id(payment_id)
    _mark_prompted(payment_id, now)
    events.record("prompt.unconfirmed", now, payment=payment_id, phone=mask_msisdn(payment.msisdn), words=words)


@transaction
def record_push_refused(payment_id: int, words: str, now: datetime) -> None:
    """No prompt was sent: M-Pesa said no, or could not be reached in time."""
    payment = Payment.get_by_id(payment_id)
    settlement.fail(payment, "push-refused", words, now)


def _mark_prompted(payment_id: int, now: datetime) -> None:
    Payment.update(state="prompted", prompted_at=now).where(
        Payment.id == payment_id, Payment.state == "pending"
    ).execute()


@transaction
def record_result(payment: Payment, result: StkResult, witness: str, now: datetime) -> str:
    """Settle a checkout by what a trustworthy witness says; returns the outcome in a few words."""
    payment = Payment.get_by_id(payment.id)
    learn_checkout(payment, result.checkout_request_id)
    if result.is_paid:
        return settlement.settle(payment, result.receipt, witness, now)
    if settlement.fail(payment, result.result_code, result.result_desc, now):
        return "failed"
    return f"nothing to do: {payment.state}"


@transaction
def record_answer(
    payment_id: int, answer: QueryAnswer, poll_s: tuple[int, ...], now: datetime, step: int | None = None
) -> None:
    """M-Pesa answered our question; when it does not know yet, promise the next one.

    `step` is the question's place in the list of seconds; None when somebody asked out of turn.
    """
    payment = Payment.get_by_id(payment_id)
    payment.put(asked=payment.asked + 1, asked_at=now)
    if answer.kind == "paid":
        if settlement.settle(payment, None, "query", now) != "paid":
            payment.put(confirmed_at=now)
    elif payment.state == "paid":
        _doubt(payment, answer, now)
    elif answer.kind == "failed":
        settlement.fail(payment, answer.result_code, answer.words, now)
    elif step is not None:
        asking.promise_ask(payment, step + 1, poll_s, now)
    elif payment.is_open:
        asking.promise_ask(payment, 0, poll_s, now)  # nothing to promise while the list is being worked through


def _doubt(payment: Payment, answer: QueryAnswer, now: datetime) -> None:
    """Served on a callback's word, and M-Pesa does not confirm it: ask on, and if it denies, tell. Never take back."""
    if answer.kind != "failed":
        asking.promise_confirmation(payment, now)
    elif not payment.disputed:
        payment.put(disputed=True)
        events.record("payment.disputed", now, payment=payment.id, words=answer.words)


@transaction
def record_unanswered(payment_id: int, poll_s: tuple[int, ...], now: datetime, step: int | None = None) -> None:
    """M-Pesa could not be reached: the list goes on, and a question of the daily ones is asked again in an hour."""
    payment = Payment.get_by_id(payment_id)
    if payment.state == "paid":
        asking.promise_confirmation(payment, now)
    elif step is not None and step < len(poll_s):
        asking.promise_ask(payment, step + 1, poll_s, now)
    elif step is not None and now - payment.created_at < 2 * asking.DAILY_ASKS * asking.DAY:
        asking.promise_question(payment, f"ask:{payment.id}", now, run_at=now + asking.HOUR, step=step)


@transaction
def record_question_lost(payment_id: int, now: datetime, step: int | None = None) -> None:
    """The question was given up, for whatever reason: in an hour it is asked again, for as long as it matters."""
    payment = Payment.get_by_id(payment_id)
    if payment.state == "paid":
        asking.promise_confirmation(payment, now)
    elif now - payment.created_at < 2 * asking.DAILY_ASKS * asking.DAY:
        asking.promise_question(payment, f"ask:{payment.id}", now, run_at=now + asking.HOUR, step=step)


@transaction
def expire_overdue(now: datetime) -> int:
    """Checkouts that nobody answered stop blocking the guest; money that comes later still counts."""
    return sum(settlement.close(payment, "expired", "", now) for payment in list(_overdue(now)))


def expire_if_due(now: datetime) -> int:
    """Look without a lock, and write only when there is something to expire."""
    return expire_overdue(now) if Payment.any_where(OVERDUE, *_late(now)) else 0


# Unanswered for long since the phone rang; or begun under a clock that ran ahead, which would block for years. Who
# pays by hand needs longer to find the menu.
SINCE = "COALESCE(prompted_at, created_at)"
OVERDUE = (
    f"state IN ('pending', 'prompted') AND ({SINCE} < CASE WHEN how = 'hand' THEN ? ELSE ? END OR {SINCE} > ?)"
)


def _overdue(now: datetime) -> Any:
    return Payment.select().where(SQL(OVERDUE, _late(now)))


def _late(now: datetime) -> tuple[float, float, float]:
    by_hand, by_prompt, ahead = now - EXPIRE_BY_HAND, now - EXPIRE_AFTER, now + CLOCK_SLACK
    return by_hand.timestamp(), by_prompt.timestamp(), ahead.timestamp()


@dataclass(frozen=True)
class Standing:
    """Where a purchase stands, for the guest: payment, grant and router in one word."""

    status: str
    grant: Grant | None
    message: Message | None


def standing(payment: Payment, now: datetime) -> Standing:
    """pending → prompted → paid → online; ended when the time is over."""
    grant = Grant.get_or_none(Grant.payment == payment)
    grant = None if grant is None else renewal.in_force(grant)
    message = payment.messages.order_by(Message.id.desc()).first()
    is_unverified = grant is not None and grant.provisional and grant.state == "live"  # in on a text's word
    if grant is None or (payment.state != "paid" and not is_unverified):
        return Standing(payment.state, grant, message)
    if grant.state == "ended":
        return Standing("ended", grant, message)
    return Standing("online" if access.is_let_in(grant) else "paid", grant, message)


def digest(address: str, body: bytes) -> str:
    """What makes a call unique: its address is part of it, so that a forged copy can't shadow the real one."""
    return hashlib.sha256(address.encode() + b"\0" + body).hexdigest()
