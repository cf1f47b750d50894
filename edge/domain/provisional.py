"""Access on a text's word, while M-Pesa can't be asked: capped, marked, and confirmed or taken back afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import SQL

from edge import jobs
from edge.database import transaction
from edge.domain import access, asking, breakers, events, matching, messages, receipts, settlement
from edge.models import Grant, Payment
from edge.money_models import Receipt
from edge.values.arrival import Arrival
from edge.values.codes import mask_code
from edge.values.money import whole_units
from edge.values.msisdn import mask_msisdn

LOOK_AGAIN = timedelta(seconds=30)  # M-Pesa's own answer is mostly sooner
LOOK_FOR = timedelta(minutes=15)  # a quiet shop asks seldom, and so learns late that M-Pesa is away
PROVE_WITHIN = timedelta(hours=24)
# In SQL's own words: the planner takes a partial index only where they are repeated.
IS_OPENED = SQL("provisional AND state = 'live'")
MPESA_ANSWERS = "M-Pesa answers: its word counts"


@dataclass(frozen=True)
class Caps:
    """What a forged text may win at most: a price in cents, and so many guests at a time. 0 cents: nothing."""

    most_cents: int = 0
    most_open: int = 5


@transaction
def told_by_text(
    arrival: Arrival, doubts: Sequence[str], caps: Caps, now: datetime, policy: str = "hold"
) -> tuple[str, Receipt]:
    """A text of M-Pesa's tells of money: a reason to ask M-Pesa; alone it opens at most what the caps allow.

    `doubts`: why this text may not be genuine; with any of them it opens nothing.
    """
    known = receipts.find(arrival.code)
    row = receipts.note(arrival, "sms", now)
    if known is not None and known.verified:
        return _one_more_witness(row, doubts, now, policy), row
    payment = matching.whose(row, now)
    if payment is None:
        row.put(words="; ".join(["told by a text alone", *doubts]))
        return "nobody who asked fits: waiting for M-Pesa's word", row
    if payment.state == "paid":
        if matching.is_its_own(payment, row):
            receipts.adopt(payment, arrival, "sms", now)
            return f"the receipt of payment {payment.id}", row
        return f"payment {payment.id} was paid already", row
    row.put(payment=payment, words="; ".join(["told by a text alone", *doubts]))
    asking.hint(payment, now)
    if doubts:
        return f"doubtful, asking M-Pesa about payment {payment.id}: {'; '.join(doubts)}", row
    if caps.most_cents:
        _look_again(payment, now if _is_silent(now) else now + LOOK_AGAIN, now)
    return f"asking M-Pesa about payment {payment.id}", row


def _one_more_witness(row: Receipt, doubts: Sequence[str], now: datetime, policy: str) -> str:
    """The money is in the books. Held for want of a number, it may find its guest by the one that the text tells."""
    if receipts.is_whole(row) and not doubts:
        return matching.credit(row, "sms", now, policy)
    return f"known already: {f'payment {row.payment_id}' if row.payment_id else 'held'}"


def _look_again(payment: Payment, run_at: datetime, now: datetime) -> None:
    jobs.promise(
        "payment.unverified", "payments", now, args={"payment_id": payment.id}, run_at=run_at, priority=jobs.HIGH,
        unique_key=f"unverified:{payment.id}", cause=f"payment:{payment.id}",
    )  # fmt: skip


def _is_silent(now: datetime) -> bool:
    """Is M-Pesa known to be out of reach?"""
    return any(row.name == "mpesa" and row.state != "closed" for row in breakers.everything())


@transaction
def open_unverified(payment_id: int, caps: Caps, now: datetime) -> str:
    """M-Pesa was asked and is silent: let the guest in on the text's word, if the caps allow it.

    While M-Pesa is not known to be silent, and the payment is open, it is looked at again for a quarter of an hour.
    """
    payment = Payment.get_by_id(payment_id)
    told = Receipt.get_or_none(Receipt.payment == payment, ~Receipt.verified)
    why_not = _why_not(payment, told, caps, now)
    if why_not == MPESA_ANSWERS and now - told.created_at < LOOK_FOR:
        _look_again(payment, now + LOOK_AGAIN, now)
    if why_not:
        return why_not
    grant = access.promise(payment, now, provisional=True)
    messages.promise(payment.msisdn, settlement.receipt_text(payment, grant), now, payment)
    events.record(
        "payment.unverified", now, payment=payment.id, receipt=told.code, phone=mask_msisdn(payment.msisdn),
        amount=whole_units(payment.amount_cents), username=mask_code(grant.username),
        words="let in on the word of a text: M-Pesa does not answer",
    )  # fmt: skip
    return "opened, unverified"


def _why_not(payment: Payment, told: Receipt | None, caps: Caps, now: datetime) -> str:
    mine = Grant.select().where(Grant.payment == payment).exists()
    opened = Grant.select().where(IS_OPENED)
    checks = (
        (payment.state not in settlement.CLOSED_FOR_GOOD, f"it is {payment.state}"),
        (told is not None and told.left_cents == payment.amount_cents, "no text tells of this amount"),
        (not mine, "it was let in before"),
        (payment.amount_cents <= caps.most_cents, "dearer than a text may open"),
        (_is_silent(now), MPESA_ANSWERS),
        (opened.count() < caps.most_open, "too many guests are in on a text's word"),
        (not opened.where(Grant.msisdn == payment.msisdn).exists(), "this phone is in on a text's word already"),
    )
    return next((words for holds, words in checks if not holds), "")


STALE = f"{IS_OPENED.sql} AND created_at < ?"


def withdraw_stale(now: datetime) -> int:
    """Of a day ago and still nobody's word for it. A look that writes nothing when there is none."""
    before = (now - PROVE_WITHIN).timestamp()
    if not Grant.any_where(STALE, before):
        return 0
    return _withdraw_stale(now)


@transaction
def _withdraw_stale(now: datetime) -> int:
    old = Grant.select().where(IS_OPENED, Grant.created_at < now - PROVE_WITHIN)
    found = list(old)
    for grant in found:
        settlement.withdraw(grant.payment, "M-Pesa did not confirm it within a day", now)
    return len(found)


def unverified(limit: int = 100) -> list[Grant]:
    """Who is online on a text's word alone, newest first."""
    rows = Grant.select().where(IS_OPENED).order_by(Grant.created_at.desc()).limit(limit)
    return list(rows)
