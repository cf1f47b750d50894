"""The counter: a plan sold for cash in two taps, the code to read out or print, and a look at how a sale stands."""

import secrets
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from bottle import HTTPResponse, request

from edge.domain import counter, plans, shifts
from edge.errors import BadInput
from edge.models import Payment, Plan, Staff
from edge.money_models import Voucher
from edge.pages import frame
from edge.pages.dashboard import HTML, error_page
from edge.pages.shifts import wall
from edge.texts import say
from edge.values.codes import mask_code
from edge.values.msisdn import read_msisdn
from edge.values.voucher_code import show_code

HERE = "counter"
SHOWN = 30  # sales of a shift
TYPED = 60


def counter_page() -> str:
    """What is sold, one tap each, and what was sold in this shift."""
    now, shift = _now(), shifts.current(frame.signed_in())
    return frame.page(
        "admin_counter.html", HERE, shift=shift, may_sell=_may_sell(shift), plans=counter.shelf(now),
        left_open=shift is not None and shifts.is_left_open(shift, now),
        sold=counter.sold(shift, SHOWN) if shift else [], price=_price,
    )  # fmt: skip


def plan_page(plan_id: int) -> Any:
    """One plan: a phone, if there is one, and the button that says that the money is here."""
    return _plan(plan_id, "", secrets.token_hex(16), "", 200)


def sell_post(plan_id: int) -> Any:
    """Sold; pressed twice, or loaded anew, the same sale is shown."""
    phone, key = frame.typed("phone").strip()[:TYPED], frame.typed("key")
    plan = counter.on_shelf(plan_id, _now())
    if plan is None:
        return error_page(404, say("counter.not_now"))
    try:
        address, is_new = _sell(plan, phone, key)
    except BadInput as reason:
        return _plan(plan_id, phone, key, str(reason), 400)
    return frame.see_other(address + ("" if is_new else "?again=1"))


def _sell(plan: Plan, phone: str, key: str) -> tuple[str, bool]:
    staff, price = frame.signed_in(), _price_shown()
    if frame.typed("as") == "voucher":
        voucher, is_new = counter.sell_voucher(plan, staff, _now(), key=key, price_cents=price)
        return f"/admin/counter/vouchers/{voucher.id}", is_new
    msisdn = read_msisdn(phone) if phone else ""
    payment, is_new = counter.sell(plan, staff, _now(), msisdn=msisdn, key=key, price_cents=price)
    return f"/admin/counter/sales/{payment.id}", is_new


def _price_shown() -> int:
    """What stood on the button; 0, which nothing costs, when the form brings nonsense."""
    typed = frame.typed("price")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 12 else 0


def sale_page(payment_id: int) -> Any:
    """The code of a sale, to be read out, printed or texted again."""
    return _sale(payment_id, "", 200)


def voucher_page(voucher_id: int) -> Any:
    """A voucher that was sold here, to be read out or printed."""
    voucher = _own_voucher(voucher_id)
    if voucher is None:
        return error_page(404, say("admin.nothing"))
    return frame.page(
        "admin_counter_voucher.html", HERE, voucher=voucher, code=show_code(voucher.code),
        was_there=_is_told("again"), at=wall(voucher.sold_at),
        expires=wall(voucher.expires_at) if voucher.expires_at else "", seller=voucher.sold_by.name,
    )  # fmt: skip


def again_post(payment_id: int) -> Any:
    """The code is texted once more to whoever bought it."""
    payment = _own_sale(payment_id)
    grant = None if payment is None else counter.grant_of(payment)
    if grant is None:
        return error_page(404, say("admin.nothing"))
    try:
        counter.resend(grant, _now())
    except BadInput as reason:
        return _sale(payment_id, str(reason), 400)
    return frame.see_other(f"/admin/counter/sales/{payment_id}?texted=1")


def find_page() -> str:
    """How a sale stands, whoever sold it: for a guest who asks at the counter."""
    return _find(frame.asked("q", TYPED), "")


def find_again_post(grant_id: int) -> Any:
    """The code of a sale that was found goes to its own phone again."""
    typed = frame.typed("q")[:TYPED]
    found = [row.grant for row in counter.look_up(typed) if row.grant is not None and row.grant.id == grant_id]
    if not found:
        return error_page(404, say("admin.nothing"))
    try:
        counter.resend(found[0], _now())
    except BadInput as reason:
        return HTTPResponse(_find(typed, str(reason)), 400, HTML)
    return frame.see_other("/admin/counter/find?" + urlencode({"q": typed, "texted": "1"}))


def _plan(plan_id: int, phone: str, key: str, words: str, status: int) -> Any:
    plan = counter.on_shelf(plan_id, _now())
    if plan is None:
        return error_page(404, say("counter.not_now"))
    shift = shifts.current(frame.signed_in())
    page = frame.page(
        "admin_counter_plan.html", HERE, plan=plan, phone=phone, key=key, error=words, may_sell=_may_sell(shift),
        shift=shift, price=_price,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _sale(payment_id: int, words: str, status: int) -> Any:
    payment = _own_sale(payment_id)
    grant = None if payment is None else counter.grant_of(payment)
    if payment is None or grant is None:
        return error_page(404, say("admin.nothing"))
    is_added = grant.payment_id != payment.id  # whoever pays for another's phone may not see the code that it has
    code, pin = (mask_code(grant.username), "••••") if is_added else (grant.username, grant.password)
    page = frame.page(
        "admin_counter_sale.html", HERE, payment=payment, code=code, pin=pin, error=words, was_there=_is_told("again"),
        texted=_is_told("texted"), is_added=is_added, seller=_name_of(payment.staff_id), at=wall(payment.paid_at),
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _find(typed: str, words: str) -> str:
    found = counter.look_up(typed) if typed else []
    return frame.page(
        "admin_counter_find.html", HERE, typed=typed, found=found, error=words, texted=_is_told("texted")
    )


def _own_sale(payment_id: int) -> Payment | None:
    """A cashier sees what he sold in the shift that is open; the owner everything that was sold for cash."""
    payment: Payment | None = Payment.get_or_none(Payment.id == payment_id) if 0 < payment_id < 2**63 else None
    if payment is None or payment.how != "counter" or payment.state != "paid":
        return None
    return payment if _is_own(payment.shift_id) else None


def _own_voucher(voucher_id: int) -> Voucher | None:
    voucher: Voucher | None = Voucher.get_or_none(Voucher.id == voucher_id) if 0 < voucher_id < 2**63 else None
    if voucher is None or voucher.sold_by_id is None or voucher.state == "void":
        return None
    return voucher if _is_own(voucher.shift_id) else None


def _is_own(shift_id: int | None) -> bool:
    staff = frame.signed_in()
    if staff.role == "owner":
        return True
    shift = shifts.current(staff)
    return shift is not None and shift.id == shift_id


def _price(plan: Plan) -> int:
    return plans.price_at(plan, _now())


def _may_sell(shift: object) -> bool:
    return shift is not None or frame.signed_in().role == "owner"


def _name_of(staff_id: int | None) -> str:
    staff: Staff | None = Staff.get_or_none(Staff.id == staff_id)
    return "" if staff is None else str(staff.name)


def _is_told(field: str) -> bool:
    return request.method == "GET" and frame.asked(field) == "1"


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
