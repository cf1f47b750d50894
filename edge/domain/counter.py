"""The counter: a plan sold for cash is paid at once, and its code can be texted again to whoever bought it."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge import trace
from edge.database import transaction
from edge.domain import (
    access,
    guest_codes,
    messages,
    plans,
    receipts,
    renewal,
    reports,
    settlement,
    shifts,
    templates,
    vouchers,
)
from edge.errors import BadInput, TooMany
from edge.models import Grant, Message, Payment, Plan, Staff, Table, Throttle
from edge.money_models import LedgerEntry, Receipt, Shift, Voucher
from edge.values.duration import show_duration
from edge.values.money import show_money
from edge.values.msisdn import read_msisdn

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60, 6 * 3600  # between two texts with the same code; each is twice as long
FOUND = 5  # sales that a search at the counter shows
DAY = timedelta(days=1)
KEY_LETTERS = 64


@dataclass(frozen=True)
class Sold:
    """One sale of a shift, as a line of its list; a plan or a voucher."""

    at: datetime
    plan_name: str
    cents: int
    payment: Payment | None = None
    voucher: Voucher | None = None


@dataclass(frozen=True)
class Found:
    """What whoever stands at the counter may know of a sale that is perhaps another's: no amount, no code."""

    status: str  # as reports.Sale; a voucher's state; or held, of money
    at: datetime
    plan_name: str = ""
    msisdn: str = ""
    grant: Grant | None = None  # whose code can be texted again


def shelf(now: datetime) -> list[Plan]:
    """What may be sold at this hour, at whichever router; a free trial is the guest's own to take."""
    return [plan for plan in plans.everything() if plan.on_sale and not plan.is_trial and plans.is_open(plan, now)]


def on_shelf(plan_id: int, now: datetime) -> Plan | None:
    """This plan, if it may be sold at this hour."""
    return next((plan for plan in shelf(now) if plan.id == plan_id), None)


def drawer_of(staff: Staff) -> Shift | None:
    """The shift whose drawer takes the money; BadInput when there is none. The owner may sell without: then it is in
    no drawer."""
    shift = shifts.current(staff)
    if shift is None and staff.role != "owner":
        raise BadInput("Open your shift first: the money goes into its drawer.", "shift")
    return shift


@transaction
def sell(
    plan: Plan, staff: Staff, now: datetime, *, msisdn: str = "", mac: str = "", key: str,
    price_cents: int | None = None,
) -> tuple[Payment, bool]:  # fmt: skip
    """A plan for cash: paid, in the books and let in, at once; (payment, False) when this form sold something already.

    The code is texted where a phone is given. `price_cents` is what the guest was asked for; PriceChanged when it is
    another one by now.
    """
    form = _form_key(staff, key)
    known: Payment | None = Payment.get_or_none(Payment.idempotency_key == form)
    if known is not None:
        return known, False
    shift, price = drawer_of(staff), _price(plan, price_cents, now)
    payment = Payment.create(
        token=secrets.token_hex(16), secret=secrets.token_hex(20), plan=plan, msisdn=msisdn, mac=mac,
        # Not pending: he may have a prompt for the same plan on his phone, and no money on it.
        amount_cents=price, state="counter", provider="cash", how="counter", staff_id=staff.id,
        shift_id=shift.id if shift else None, idempotency_key=form, created_at=now,
    )  # fmt: skip
    with trace.within(payment.trace):
        settlement.settle(payment, None, "staff", now)
    return Payment.get_by_id(payment.id), True


@transaction
def sell_voucher(
    plan: Plan, staff: Staff, now: datetime, *, key: str, price_cents: int | None = None
) -> tuple[Voucher, bool]:
    """A plan on paper, for cash; (voucher, False) when this form sold one already."""
    name = f"sold:{_form_key(staff, key)}"
    Throttle.delete().where(Throttle.name.startswith("sold:"), Throttle.free_at < now - DAY).execute()
    known = Throttle.get_or_none(Throttle.name == name)
    if known is not None:
        return Voucher.get(Voucher.sold_by == staff, Voucher.sold_at == known.free_at), False
    shift, price = drawer_of(staff), _price(plan, price_cents, now)
    voucher = vouchers.sell_new(plan, staff, shift.id if shift else None, now, value_cents=price)
    Throttle.create(name=name, free_at=now)
    return voucher, True


def grant_of(payment: Payment) -> Grant | None:
    """The right that holds what this payment bought: another one's, where it was added to what was left."""
    grant: Grant | None = Grant.get_or_none(Grant.payment == payment)
    return None if grant is None else renewal.in_force(grant)


@transaction
def resend(grant: Grant, now: datetime) -> Message:
    """Text a code once more, to the phone it was sold to and no other; TooMany while the last text is fresh."""
    grant = renewal.in_force(Grant.get_by_id(grant.id))
    if not grant.msisdn:
        raise BadInput("No phone was given with this sale, so there is none to send the code to.", "phone_number")
    left = access.left(grant, now)
    if left.is_nothing:
        raise BadInput("The time of this code is over.", "code")
    _take_turn(grant, now)

    told = {"code": grant.username, "pin": grant.password, "left": show_duration(left.seconds)}
    return messages.promise(grant.msisdn, templates.render("CODE_AGAIN", told), now, grant.payment)


def sold(shift: Shift, limit: int) -> list[Sold]:
    """The newest sales of this shift."""
    rows = LedgerEntry.select().where(LedgerEntry.shift_id == shift.id, LedgerEntry.kind.in_(("sale", "voucher")))
    entries = list(rows.order_by(LedgerEntry.sequence.desc()).limit(limit))
    paid = _rows(Payment, [entry.payment_id for entry in entries])
    made = _rows(Voucher, [entry.voucher_id for entry in entries])
    names = {number: plan.name for number, plan in _rows(Plan, [entry.plan_id for entry in entries]).items()}
    return [
        Sold(entry.at, names.get(entry.plan_id, ""), entry.money_cents, paid.get(entry.payment_id),
             made.get(entry.voucher_id))
        for entry in entries
    ]  # fmt: skip


def look_up(typed: str) -> list[Found]:
    """Sales by whole phone number, code or receipt, newest first: how they stand, for whoever asks at the counter."""
    word = guest_codes.plain(typed)
    if not word:
        return []
    try:
        chosen = Payment.msisdn == read_msisdn(typed)
    except BadInput:
        owned = Grant.select(Grant.payment).where(Grant.username == word, Grant.payment.is_null(False))
        chosen = (Payment.receipt == word) | Payment.id.in_(owned)
    numbers = [row.id for row in Payment.select(Payment.id).where(chosen).order_by(Payment.id.desc()).limit(FOUND)]
    sales = [sale for sale in map(reports.sale, numbers) if sale is not None]
    found = [_found(sale) for sale in sales]
    return found or _without_payment(typed, word)


def _found(sale: reports.Sale) -> Found:
    payment, grant = sale.payment, sale.grant
    if grant is None or payment.state != "paid":
        return Found(sale.status, payment.created_at, payment.plan.name, payment.msisdn)
    return _found_right(grant, payment.created_at, payment.plan.name, payment.msisdn)


def _found_right(grant: Grant, at: datetime, plan_name: str, msisdn: str) -> Found:
    grant = renewal.in_force(grant)
    status = "ended" if grant.state == "ended" else "online" if access.is_let_in(grant) else "paid"
    return Found(status, at, plan_name, msisdn, grant if status != "ended" and grant.msisdn else None)


def _without_payment(typed: str, word: str) -> list[Found]:
    """A voucher, or money that came and bought nothing yet."""
    voucher = vouchers.named(typed)
    if voucher is not None and voucher.grant_id is None:
        return [Found(voucher.state, voucher.created_at, voucher.plan.name)]
    grant = guest_codes.named(typed) if voucher is None else vouchers.grant_of(voucher)
    if grant is not None:
        return [_found_right(grant, grant.created_at, grant.plan.name, grant.msisdn)]
    receipt = Receipt.get_or_none(receipts.IS_HELD, Receipt.code == word, Receipt.verified)
    return [] if receipt is None else [Found("held", receipt.created_at, msisdn=receipt.msisdn)]


def _take_turn(grant: Grant, now: datetime) -> None:
    """Each text costs the shop money, and may bother whoever has that number: the pause doubles each time."""
    name = f"code-again:{grant.id}"
    Throttle.delete().where(Throttle.name.startswith("code-again:"), Throttle.free_at < now - DAY).execute()
    row: Throttle | None = Throttle.get_or_none(Throttle.name == name)
    sent = 0 if row is None else row.failures
    # Further ahead than any pause: the clock has moved since, and it means nothing.
    if row is not None and now < row.free_at <= now + timedelta(seconds=LONGEST_PAUSE_S):
        wait_s = int((row.free_at - now).total_seconds()) + 1
        raise TooMany(
            f"The code was sent just now. It can be sent again in {show_duration(wait_s)}.", "code", wait_s
        )
    pause = timedelta(seconds=min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(sent, 16)))
    Throttle.replace(name=name, free_at=now + pause, failures=sent + 1).execute()


def _price(plan: Plan, asked_cents: int | None, now: datetime) -> int:
    """A happy hour may have begun, or ended, while the guest looked for his money."""
    price = plans.price_at(plan, now)
    if asked_cents is not None and asked_cents != price:
        raise plans.PriceChanged(
            f"{plan.name} costs {show_money(price)} now, not {show_money(asked_cents)}. Nothing was sold yet.", "price"
        )
    return price


def _form_key(staff: Staff, key: str) -> str:
    """A form sells once; nobody can name another's form."""
    if not key:
        raise BadInput("This form is too old. Load the page again.", "key")
    return f"counter:{staff.id}:{key[:KEY_LETTERS]}"


def _rows(table: type[Table], numbers: list[int | None]) -> dict[int | None, Any]:
    """The rows of these numbers, by number."""
    wanted = {number for number in numbers if number is not None}
    found = list(table.select().where(table._meta.primary_key.in_(wanted))) if wanted else []
    return {row.id: row for row in found}
