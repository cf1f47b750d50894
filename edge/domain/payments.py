"""Money in: a checkout from the promise to pay until M-Pesa's last word. FAILED → PAID is legal, never back."""

import hashlib
import math
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL

from edge import database, jobs, texts, trace
from edge.database import transaction
from edge.domain import access, events, messages, plans
from edge.errors import BadInput
from edge.models import Grant, Message, Payment
from edge.values.codes import mask_code
from edge.values.duration import show_duration
from edge.values.money import show_money, whole_units
from edge.values.msisdn import mask_msisdn
from edge.values.stk import PushAnswer, QueryAnswer, StkResult

EXPIRE_AFTER = timedelta(minutes=3)
CLOCK_SLACK = timedelta(minutes=1)
# Unpaid checkouts in a window. None per address: behind NAT all guests of a shop may share one.
PROMPT_WINDOW = timedelta(minutes=10)
PROMPTS_PER_PHONE = 10
PROMPTS_PER_MAC = 15
PROMPTS_IN_ALL = 1200
DAILY_ASKS = 3
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CONFIRM_AFTER = timedelta(seconds=30)
CONFIRM_WITHIN = timedelta(days=3)
HINT_PAUSE = timedelta(seconds=30)
CAUGHT_UP_WITHIN_S = 0.5

# In SQLite's own words: the planner takes the partial index only where the query repeats its condition.
IS_OPEN = SQL("state IN ('pending', 'prompted')")


class TooMany(BadInput):
    """Slow down; after `retry_after_s` whole seconds it will be taken."""

    def __init__(self, message: str, field: str = "", retry_after_s: int = 60) -> None:
        super().__init__(message, field)
        self.retry_after_s = max(1, retry_after_s)


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


@transaction
def initiate(wish: Wish, now: datetime) -> tuple[Payment, bool]:
    """Promise a checkout and the work of prompting the phone; (payment, False) when it is there already."""
    known = _known(wish)
    if known is not None:
        return known, False
    plan = plans.get_on_sale(wish.plan_id)
    same = (Payment.msisdn == wish.msisdn, Payment.plan == plan, Payment.mac == wish.mac)
    pending = Payment.get_or_none(*same, IS_OPEN)
    if pending is not None:
        return pending, False
    _guard(wish, now)
    payment = Payment.create(
        token=secrets.token_hex(16), secret=secrets.token_hex(20), plan=plan, msisdn=wish.msisdn, mac=wish.mac,
        amount_cents=plan.price_cents, idempotency_key=wish.idempotency_key, context=wish.context, created_at=now,
    )  # fmt: skip
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


def _guard(wish: Wish, now: datetime) -> None:
    """Who was rung again and again without paying is left in peace for a while."""
    unpaid = Payment.select(Payment.msisdn, Payment.mac, Payment.created_at).where(
        Payment.created_at > now - PROMPT_WINDOW, Payment.paid_at.is_null()
    )
    recent = list(unpaid.order_by(Payment.created_at).tuples())
    limits = (
        ("This number was asked to pay many times just now. Please wait a few minutes.", "phone_number",
         PROMPTS_PER_PHONE, [at for msisdn, _, at in recent if msisdn == wish.msisdn]),
        ("This device asked many times just now. Please wait a few minutes.", "mac_address",
         PROMPTS_PER_MAC, [at for _, mac, at in recent if wish.mac and mac == wish.mac]),
        ("Very many people want to pay just now. Please wait a few minutes.", "",
         PROMPTS_IN_ALL, [at for _, _, at in recent]),
    )  # fmt: skip
    for words, name, most, instants in limits:
        if len(instants) >= most:
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
        _promise_ask(payment, 0, poll_s, now)


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
    if _close(payment, "failed", "push-refused", now):
        _tell_failed(payment, words, now)


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
        return _settle(payment, result.receipt, witness, now)
    if _close(payment, "failed", result.result_code, now):
        _tell_failed(payment, result.result_desc, now)
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
        if _settle(payment, None, "query", now) != "paid":
            payment.put(confirmed_at=now)
    elif payment.state == "paid":
        _doubt(payment, answer, now)
    elif answer.kind == "failed":
        if _close(payment, "failed", answer.result_code, now):
            _tell_failed(payment, answer.words, now)
    elif step is not None:
        _promise_ask(payment, step + 1, poll_s, now)
    elif payment.is_open:
        _promise_ask(payment, 0, poll_s, now)  # nothing to promise while the list is being worked through


def _doubt(payment: Payment, answer: QueryAnswer, now: datetime) -> None:
    """Served on a callback's word, and M-Pesa does not confirm it: ask on, and if it denies, tell. Never take back."""
    if answer.kind != "failed":
        _promise_confirmation(payment, now)
    elif not payment.disputed:
        payment.put(disputed=True)
        events.record("payment.disputed", now, payment=payment.id, words=answer.words)


@transaction
def record_unanswered(payment_id: int, poll_s: tuple[int, ...], now: datetime, step: int | None = None) -> None:
    """M-Pesa could not be reached: the list goes on, and a question of the daily ones is asked again in an hour."""
    payment = Payment.get_by_id(payment_id)
    if payment.state == "paid":
        _promise_confirmation(payment, now)
    elif step is not None and step < len(poll_s):
        _promise_ask(payment, step + 1, poll_s, now)
    elif step is not None and now - payment.created_at < 2 * DAILY_ASKS * DAY:
        _promise_question(payment, f"ask:{payment.id}", now, run_at=now + HOUR, step=step)


@transaction
def record_question_lost(payment_id: int, now: datetime, step: int | None = None) -> None:
    """The question was given up, for whatever reason: in an hour it is asked again, for as long as it matters."""
    payment = Payment.get_by_id(payment_id)
    if payment.state == "paid":
        _promise_confirmation(payment, now)
    elif now - payment.created_at < 2 * DAILY_ASKS * DAY:
        _promise_question(payment, f"ask:{payment.id}", now, run_at=now + HOUR, step=step)


@transaction
def hint(payment: Payment, now: datetime) -> None:
    """Somebody unproven spoke about this checkout: a reason to ask M-Pesa soon, nothing more."""
    if payment.checkout_request_id and payment.state in (*Payment.OPEN, "failed", "expired"):
        # Who calls again and again may not use up M-Pesa's rate.
        last: datetime | None = payment.asked_at
        is_fresh = last is not None and timedelta(0) <= now - last < HINT_PAUSE
        _promise_question(payment, f"hint:{payment.id}", now, run_at=last + HINT_PAUSE if last and is_fresh else now)


@transaction
def recheck(payment: Payment, now: datetime) -> None:
    """A person wants M-Pesa asked again."""
    if payment.checkout_request_id is None:
        raise BadInput("M-Pesa never told us its name for this checkout, so it can't be asked about it.", "payment")
    jobs.cancel(f"hint:{payment.id}", now)
    _promise_question(payment, f"hint:{payment.id}", now, priority=jobs.HIGH)


@transaction
def expire_overdue(now: datetime) -> int:
    """Checkouts that nobody answered stop blocking the guest; money that comes later still counts."""
    return sum(_close(payment, "expired", "", now) for payment in list(_overdue(now)))


def expire_if_due(now: datetime) -> int:
    """Look without a lock, and write only when there is something to expire."""
    late = (now - EXPIRE_AFTER).timestamp(), (now + CLOCK_SLACK).timestamp()
    return expire_overdue(now) if Payment.any_where(OVERDUE, *late) else 0


# Unanswered for long since the phone rang; or begun under a clock that ran ahead, which would block for years.
SINCE = "COALESCE(prompted_at, created_at)"
OVERDUE = f"state IN ('pending', 'prompted') AND ({SINCE} < ? OR {SINCE} > ?)"


def _overdue(now: datetime) -> Any:
    late = (now - EXPIRE_AFTER).timestamp(), (now + CLOCK_SLACK).timestamp()
    return Payment.select().where(SQL(OVERDUE, late))


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
        if receipt is not None:  # asked first, told later
            Payment.update(receipt=receipt).where(Payment.id == payment.id, Payment.receipt.is_null()).execute()
        return "already paid"
    payment = Payment.get_by_id(payment.id)
    grant = access.promise(payment, now)
    messages.promise(payment.msisdn, _receipt_text(payment, grant), now, payment)
    for key in (f"ask:{payment.id}", f"hint:{payment.id}"):
        jobs.cancel(key, now)
    if witness != "query":
        _promise_confirmation(payment, now)
    events.record(
        "payment.processed", now, payment=payment.id, phone=mask_msisdn(payment.msisdn), plan=grant.plan.name,
        amount=whole_units(payment.amount_cents), receipt=receipt, username=mask_code(grant.username),
        witness=witness,
    )  # fmt: skip
    return "paid"


def _close(payment: Payment, state: str, code: str, now: datetime) -> bool:
    open_one = (Payment.id == payment.id, Payment.state.in_(Payment.OPEN))
    changed = Payment.update(state=state, result_code=code, closed_at=now).where(*open_one).execute()
    return bool(changed == 1)


def _tell_failed(payment: Payment, words: str, now: datetime) -> None:
    events.record(
        "payment.failed", now, payment=payment.id, phone=mask_msisdn(payment.msisdn), plan=payment.plan.name,
        amount=whole_units(payment.amount_cents), words=words,
    )  # fmt: skip


def _promise_confirmation(payment: Payment, now: datetime) -> None:
    """The guest is served on the callback's word; M-Pesa is asked afterwards, when nobody waits: after 30 s, and
    while it has no answer after twice as long each time, for three days."""
    age = now - payment.paid_at
    if age < CONFIRM_WITHIN:
        run_at = now + min(DAY, max(CONFIRM_AFTER, age))
        _promise_question(payment, f"confirm:{payment.id}", now, run_at=run_at, priority=jobs.LOW)


def _promise_ask(payment: Payment, step: int, poll_s: tuple[int, ...], now: datetime) -> None:
    """The next question: by the list of seconds after the prompt, then daily for three days."""
    if step < len(poll_s):
        since: datetime = payment.prompted_at or payment.created_at
        run_at = max(now, min(since, now) + timedelta(seconds=poll_s[step]))
    elif step < len(poll_s) + DAILY_ASKS:
        run_at = now + DAY
    else:
        return
    _promise_question(payment, f"ask:{payment.id}", now, run_at=run_at, step=step)


def _promise_question(
    payment: Payment, key: str, now: datetime, *, run_at: datetime | None = None, priority: int = jobs.NORMAL,
    step: int | None = None,
) -> None:  # fmt: skip
    args = {"payment_id": payment.id} | ({} if step is None else {"step": step})
    jobs.promise(
        "payment.ask", "payments", now, args=args, run_at=run_at, priority=priority, unique_key=key,
        cause=f"payment:{payment.id}",
    )  # fmt: skip


def _receipt_text(payment: Payment, grant: Grant) -> str:
    """In one segment: the shop's name gives way, the code never."""

    def say(shop: str) -> str:
        catalogue = texts.Catalogue()
        catalogue.configure(texts.catalogue.language, shop)
        return catalogue.say(
            "sms.receipt" if payment.receipt else "sms.receipt_unknown", amount=show_money(payment.amount_cents),
            receipt=payment.receipt, time=show_duration(grant.seconds), code=grant.username, pin=grant.password,
        )  # fmt: skip

    return messages.in_one_segment(say, texts.catalogue.shop)


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
    return Standing("online" if access.is_let_in(grant) else "paid", grant, message)


def digest(address: str, body: bytes) -> str:
    """What makes a call unique: its address is part of it, so that a forged copy can't shadow the real one."""
    return hashlib.sha256(address.encode() + b"\0" + body).hexdigest()
