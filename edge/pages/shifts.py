"""Shifts on the dashboard: opened with a float, spent from, counted and closed, and the slip of what came out."""

import re
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import shifts
from edge.errors import BadInput
from edge.money_models import Shift
from edge.pages import frame
from edge.pages.dashboard import HTML, error_page
from edge.pages.staff_words import plain
from edge.texts import say
from edge.values.money import show_money

HERE, HERE_ALL = "shift", "shifts"
OWN, SHOWN = 5, 60  # slips of one's own, and of everybody, in a list
MOVES = ("out", "in")
METHODS = ("mpesa", "paystack")

_AMOUNT = re.compile(r"(\d{1,9}|\d{1,3}(?:,\d{3}){1,2})(?:\.(\d\d?))?", re.ASCII)


def shift_page() -> Any:
    """One's own shift; or the form that opens one."""
    shift = shifts.current(frame.signed_in())
    return _opening("", "", 200) if shift is None else _page(shift, {}, "", 200)


def open_post() -> Any:
    """So much is in the drawer: on to selling."""
    typed = frame.typed("float").strip()
    try:
        shifts.open(frame.signed_in(), _cents(typed, "float"), _now())
    except BadInput as reason:
        if shifts.current(frame.signed_in()) is not None:
            return frame.see_other("/admin/shift")
        return _opening(typed, str(reason), 400)
    return frame.see_other("/admin/counter")


def slip_page(shift_id: int) -> Any:
    """The close slip; while a shift is open, what can be done with it."""
    shift = shifts.get(shift_id)
    if shift is None:
        return error_page(404, say("admin.nothing"))
    if not _is_within_reach(shift):
        return error_page(403, say("admin.no_reach"))
    return _page(shift, {}, "", 200)


def expense_post(shift_id: int) -> Any:
    """Something for the shop was paid out of the drawer."""
    return _act(
        shift_id, lambda shift: shifts.add_expense(
            shift, _cents(frame.typed("amount"), "amount"), frame.typed("words"), _now(), frame.signed_in()
        ),
    )  # fmt: skip


def move_post(shift_id: int) -> Any:
    """Cash goes from the drawer to the owner, or back."""
    way = frame.typed("way")
    if way not in MOVES:
        raise BadInput(f"way is one of: {', '.join(MOVES)}.", "way")
    move = shifts.take_out if way == "out" else shifts.put_in
    return _act(
        shift_id, lambda shift: move(
            shift, _cents(frame.typed("amount"), "amount"), frame.typed("words"), _now(), frame.signed_in()
        ),
    )  # fmt: skip


def close_post(shift_id: int) -> Any:
    """Counted. What differs from the books is asked once more before it is written down: it can't be mended later."""
    shift = shifts.get(shift_id)
    if shift is None or not _is_within_reach(shift):
        return error_page(404, say("admin.nothing"))
    typed = {field: frame.typed(field).strip() for field in ("counted", "words", "counted_before")}
    if shift.closed_at is not None:
        return frame.see_other(f"/admin/shifts/{shift.id}")  # pressed twice
    try:
        counted = _cents(typed["counted"], "counted")
        if counted != shifts.figures(shift, _now()).expected_cents and typed["counted_before"] != str(counted):
            return _page(shift, typed | {"counted_before": str(counted)}, "", 200)
        shifts.close(shift, counted, typed["words"], _now(), frame.signed_in())
    except BadInput as reason:
        shift = Shift.get_by_id(shift_id)
        if shift.closed_at is None:
            return _page(shift, typed | {"counted_before": ""}, str(reason), 400)
    return frame.see_other(f"/admin/shifts/{shift_id}")


def all_page() -> str:
    """Everybody's shifts, newest first."""
    found, now = shifts.last(SHOWN), _now()
    forgotten = {shift.id for shift in found if shifts.is_left_open(shift, now)}
    return frame.page("admin_shifts.html", HERE_ALL, shifts=found, forgotten=forgotten, wall=wall)


def wall(instant: datetime) -> str:
    """Day and time by the clock on the shop's wall."""
    return f"{instant.astimezone(frame.shop_zone()):%d %b %Y, %H:%M}"


def _act(shift_id: int, verb: Any) -> Any:
    shift = shifts.get(shift_id)
    if shift is None or not _is_within_reach(shift):
        return error_page(404, say("admin.nothing"))
    try:
        verb(shift)
    except BadInput as reason:
        return _page(shift, {field: frame.typed(field) for field in ("amount", "words", "way")}, str(reason), 400)
    return frame.see_other(f"/admin/shifts/{shift.id}")


def _opening(typed: str, words: str, status: int) -> HTTPResponse:
    page = frame.page(
        "admin_shift_open.html", HERE, typed=typed, error=words, earlier=shifts.last(OWN, frame.signed_in()),
        wall=wall,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _page(shift: Shift, typed: dict[str, str], words: str, status: int) -> HTTPResponse:
    """The figures are for the owner until the drawer is counted: who counts should not know what is hoped for."""
    now = _now()
    is_owners = frame.signed_in().role == "owner"
    page = frame.page(
        "admin_shift_slip.html" if shift.closed_at else "admin_shift.html",
        HERE if shift.staff_id == frame.signed_in().id else HERE_ALL, shift=shift, who=shift.staff.name,
        is_mine=shift.staff_id == frame.signed_in().id,
        figures=shifts.figures(shift, now) if shift.closed_at or is_owners else None, spent=shifts.spent(shift),
        left_open=shifts.is_left_open(shift, now), error=words, wall=wall, signed=_signed, method_name=_method_name,
        typed={"amount": "", "words": "", "way": "", "counted": "", "counted_before": ""} | typed,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _signed(cents: int) -> str:
    return ("−" if cents < 0 else "") + show_money(abs(cents))


def _method_name(method: str) -> str:
    """A provider that the catalogue does not know keeps its own name."""
    return say(f"shift.method_{method}") if method in METHODS else plain(method)


def _is_within_reach(shift: Shift) -> bool:
    return bool(shift.staff_id == frame.signed_in().id or frame.signed_in().role == "owner")


def _cents(typed: str, field: str) -> int:
    """`500`, `1,250.50` → cents."""
    found = _AMOUNT.fullmatch(typed.strip())
    if found is None:
        raise BadInput(say("shift.bad_amount"), field)
    return int(found[1].replace(",", "")) * 100 + int((found[2] or "0").ljust(2, "0"))


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
