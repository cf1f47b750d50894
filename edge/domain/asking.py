"""When M-Pesa is asked about a checkout: soon after the prompt, on a hint, and again after it was served."""

from datetime import datetime, timedelta

from edge import jobs
from edge.database import transaction
from edge.errors import BadInput
from edge.models import Payment

DAILY_ASKS = 3
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CONFIRM_AFTER = timedelta(seconds=30)
CONFIRM_WITHIN = timedelta(days=3)
HINT_PAUSE = timedelta(seconds=30)


@transaction
def hint(payment: Payment, now: datetime) -> None:
    """Somebody unproven spoke about this checkout: a reason to ask M-Pesa soon, nothing more."""
    if payment.checkout_request_id and payment.state in (*Payment.OPEN, "failed", "expired"):
        # Who calls again and again may not use up M-Pesa's rate.
        last: datetime | None = payment.asked_at
        is_fresh = last is not None and timedelta(0) <= now - last < HINT_PAUSE
        promise_question(payment, f"hint:{payment.id}", now, run_at=last + HINT_PAUSE if last and is_fresh else now)


@transaction
def recheck(payment: Payment, now: datetime) -> None:
    """A person wants M-Pesa asked again."""
    if payment.checkout_request_id is None:
        raise BadInput("M-Pesa never told us its name for this checkout, so it can't be asked about it.", "payment")
    jobs.cancel(f"hint:{payment.id}", now)
    promise_question(payment, f"hint:{payment.id}", now, priority=jobs.HIGH)


def promise_confirmation(payment: Payment, now: datetime) -> None:
    """The guest is served on the callback's word; M-Pesa is asked afterwards, when nobody waits: after 30 s, and
    while it has no answer after twice as long each time, for three days."""
    age = now - payment.paid_at
    if payment.checkout_request_id and age < CONFIRM_WITHIN:
        run_at = now + min(DAY, max(CONFIRM_AFTER, age))
        promise_question(payment, f"confirm:{payment.id}", now, run_at=run_at, priority=jobs.LOW)


def promise_ask(payment: Payment, step: int, poll_s: tuple[int, ...], now: datetime) -> None:
    """The next question: by the list of seconds after the prompt, then daily for three days."""
    if step < len(poll_s):
        since: datetime = payment.prompted_at or payment.created_at
        run_at = max(now, min(since, now) + timedelta(seconds=poll_s[step]))
    elif step < len(poll_s) + DAILY_ASKS:
        run_at = now + DAY
    else:
        return
    promise_question(payment, f"ask:{payment.id}", now, run_at=run_at, step=step)


def promise_question(
    payment: Payment, key: str, now: datetime, *, run_at: datetime | None = None, priority: int = jobs.NORMAL,
    step: int | None = None,
) -> None:  # fmt: skip
    """Promise one question about this checkout; of one key there is one at a time."""
    args = {"payment_id": payment.id} | ({} if step is None else {"step": step})
    jobs.promise(
        "payment.ask", "payments", now, args=args, run_at=run_at, priority=priority, unique_key=key,
        cause=f"payment:{payment.id}",
    )  # fmt: skip


def cancel_questions(payment: Payment, now: datetime) -> None:
    """It is settled: nobody needs to ask in haste any more."""
    for key in (f"ask:{payment.id}", f"hint:{payment.id}"):
        jobs.cancel(key, now)
