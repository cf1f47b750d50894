"""Money by its receipt: each is in the books once, whoever told us, and what it has not bought is held."""

from datetime import datetime, timedelta
from typing import Any

from peewee import SQL

from edge.database import transaction
from edge.domain import books, events
from edge.models import Payment
from edge.money_models import Receipt
from edge.values.arrival import Arrival
from edge.values.money import show_money
from edge.values.org_api import phone_fits

TWO_CLOCKS = timedelta(minutes=10)
SAME_MONEY = timedelta(minutes=20)  # between a checkout's payment and what another witness says of it

IS_HELD = SQL("state = 'held'")  # in SQL's own words: the planner takes a partial index only where they are repeated
TOLD_OF = "provider = ? AND amount_cents = ? AND payment_id = ? AND NOT verified"
# Added to nothing, so that the planner does not take all receipts of the provider: what is held are few.
HELD_SINCE = (
    "provider || '' = ? AND amount_cents = ? AND state = 'held' AND verified AND used_cents = 0 AND created_at > ? "
    "ORDER BY +id"
)


def find(code: str, provider: str = "mpesa") -> Receipt | None:
    """What is known of this receipt."""
    return Receipt.one_where("provider = ? AND code = ?", provider, code)


@transaction
def note(arrival: Arrival, witness: str, now: datetime) -> Receipt:
    """Write down what a witness tells of a receipt, new or known. `hold` or `take` bring it into the books."""
    row = find(arrival.code, arrival.provider)
    if row is None:
        return Receipt.create(
            provider=arrival.provider, code=arrival.code, amount_cents=arrival.amount_cents, msisdn=arrival.msisdn,
            payer_shape=arrival.payer_shape, payer_name=arrival.payer_name[:100], account=arrival.account[:40],
            witnesses=[witness], verified=False, paid_at=arrival.paid_at, created_at=now,
        )  # fmt: skip
    _learn(row, arrival, witness, now)
    return Receipt.get_by_id(row.id)


def _learn(row: Receipt, arrival: Arrival, witness: str, now: datetime) -> None:
    """Each witness knows something of his own: the number in full, the account, the name."""
    told = {
        "msisdn": arrival.msisdn, "payer_shape": arrival.payer_shape, "payer_name": arrival.payer_name[:100],
        "account": arrival.account[:40], "paid_at": arrival.paid_at,
    }  # fmt: skip
    news: dict[str, Any] = {name: value for name, value in told.items() if value and not getattr(row, name)}
    if witness not in row.witnesses:
        news["witnesses"] = [*row.witnesses, witness]
    if arrival.amount_cents != row.amount_cents:
        if row.verified:
            events.record(
                "receipt.disputed", now, receipt=row.code, payment=row.payment_id,
                words=f"{show_money(row.amount_cents)} in the books, {show_money(arrival.amount_cents)} by {witness}",
            )  # fmt: skip
        elif witness != "sms":
            news["amount_cents"] = arrival.amount_cents  # a text was wrong, or a forgery
    if news:
        row.put(**news)


@transaction
def hold(row: Receipt, words: str, now: datetime) -> None:
    """The money is there and buys nothing yet: in the books once, and before a person's eyes."""
    row = Receipt.get_by_id(row.id)
    if not row.verified:
        books.record(
            "held", row.provider, row.amount_cents, 0, now, receipt_id=row.id, payment_id=row.payment_id, words=row.code
        )
        row.put(verified=True, state="held", words=words)
        events.record(
            "payment.held", now, receipt=row.code, amount=show_money(row.amount_cents), words=words,
            payment=row.payment_id,
        )  # fmt: skip
    elif words and row.words != words:
        row.put(words=words)


@transaction
def take(payment: Payment, code: str, known: Receipt | None, witness: str, now: datetime) -> None:
    """This receipt buys this payment's plan, at its price: a sale, or held money that is allotted now.

    `known`: its row, where another witness told of it before.
    """
    row = known or Receipt.create(
        provider=payment.provider, code=code, amount_cents=payment.amount_cents, used_cents=payment.amount_cents,
        payment=payment, state="used", msisdn=payment.msisdn, witnesses=[witness], paid_at=now, created_at=now,
    )  # fmt: skip
    is_booked = known is not None and known.verified
    books.record(
        "allotted" if is_booked else "sale", row.provider, 0 if is_booked else row.amount_cents, payment.amount_cents,
        now, plan_id=payment.plan_id, payment_id=payment.id, receipt_id=row.id, staff_id=payment.staff_id,
        shift_id=payment.shift_id, words=code,
    )  # fmt: skip
    if known is not None:
        _use(known, payment, payment.amount_cents)
        if witness not in known.witnesses:
            known.put(witnesses=[*known.witnesses, witness])


@transaction
def allot(rows: list[Receipt], payment: Payment, now: datetime) -> None:
    """Several held receipts buy one plan together, the oldest first; what is over stays held."""
    books.record(
        "allotted", rows[0].provider, 0, payment.amount_cents, now, plan_id=payment.plan_id, payment_id=payment.id,
        receipt_id=rows[0].id, words=", ".join(row.code for row in rows),
    )  # fmt: skip
    owed = int(payment.amount_cents)
    for row in rows:
        part = min(owed, row.left_cents)
        _use(row, payment, part)
        owed -= part
    if owed:
        raise ValueError(f"payment {payment.id}: {owed} cents more were allotted than are held")


def _use(row: Receipt, payment: Payment, cents: int) -> None:
    used = row.used_cents + cents
    left = row.amount_cents - used - row.returned_cents
    if row.verified and left < 0:
        raise ValueError(f"receipt {row.code} holds less than that")
    row.put(
        used_cents=used, payment=row.payment_id if row.used_cents else payment.id, verified=True,
        state="held" if left > 0 else "used", words=f"{show_money(left)} more than the price" if left > 0 else "",
    )  # fmt: skip


@transaction
def adopt(payment: Payment, arrival: Arrival, witness: str, now: datetime) -> None:
    """The receipt of a sale that is in the books already, without one until now."""
    row = note(arrival, witness, now)
    if row.verified and row.used_cents == 0:  # it was held, and so it is in the books twice
        books.record(
            "held", row.provider, -row.amount_cents, 0, now, receipt_id=row.id, payment_id=payment.id,
            words=f"{row.code} is the money of payment {payment.id}, which is in the books already",
        )  # fmt: skip
    if row.used_cents == 0:
        row.put(used_cents=row.amount_cents, payment=payment.id, verified=True, state="used", words="")
    Payment.update(receipt=arrival.code).where(Payment.id == payment.id, Payment.receipt.is_null()).execute()


def is_payer(row: Receipt, msisdn: str) -> bool:
    """Is this the phone that paid? Of a masked number: nothing visible contradicts."""
    if row.msisdn:
        return bool(row.msisdn == msisdn)
    return phone_fits(row.payer_shape, msisdn) is True


def is_whole(row: Receipt) -> bool:
    """Nothing was bought with it nor given back: it may stand on a payment as its receipt."""
    return bool(row.used_cents == 0 and row.returned_cents == 0)


def awaits_receipt(payment: Payment) -> bool:
    """Paid, as M-Pesa said of the checkout itself, perhaps given back since, and its receipt is not known yet."""
    is_told = payment.state in ("paid", "reversed") and payment.witness in ("query", "callback")
    return bool(is_told and payment.receipt is None)


def is_of_its_time(payment: Payment, row: Receipt, paid_at: datetime) -> bool:
    """Could this be the money of this checkout, by M-Pesa's clock?"""
    return row.paid_at is None or bool(payment.created_at - TWO_CLOCKS <= row.paid_at <= paid_at + SAME_MONEY)


def waiting_for(payment: Payment, now: datetime) -> Receipt | None:
    """A receipt that must be this payment's, now that M-Pesa says it is paid: a text told of it, or it is held."""
    same = (payment.provider, payment.amount_cents)
    told = Receipt.one_where(TOLD_OF, *same, payment.id)
    if told is not None:
        return told
    asked_at: datetime = payment.created_at
    rows = Receipt.all_where(HELD_SINCE, *same, (asked_at - TWO_CLOCKS).timestamp())
    fitting = (row for row in rows if row.left_cents == payment.amount_cents)
    return next((row for row in fitting if _may_be_his(row, payment, now)), None)


def _may_be_his(row: Receipt, payment: Payment, now: datetime) -> bool:
    is_named = row.payment_id in (None, payment.id)
    return is_named and is_payer(row, payment.msisdn) and is_of_its_time(payment, row, now)


def held(limit: int = 200) -> list[Receipt]:
    """What waits for a person, newest first."""
    waiting = Receipt.select().where(IS_HELD, Receipt.verified)
    return list(waiting.order_by(Receipt.created_at.desc()).limit(limit))


def held_for(payment: Payment) -> list[Receipt]:
    """Money that came for this payment and bought nothing yet, oldest first."""
    rows = Receipt.select().where(Receipt.payment == payment, Receipt.state == "held", Receipt.verified)
    return [row for row in rows.order_by(Receipt.id) if row.left_cents > 0]
