"""Money that waits for a person, and guests who are in on a text's word alone."""

from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import events, matching, plans, provisional, receipts, refunds
from edge.errors import BadInput
from edge.money_models import Receipt
from edge.pages import dashboard, frame
from edge.texts import say
from edge.values.msisdn import read_msisdn


def held_page() -> str:
    """What is held and why, with a way to give it to its guest."""
    return _page()


def give_post(receipt_id: int) -> Any:
    """The owner says whose money it is: it buys a plan, and the code goes to that phone."""
    row = Receipt.get_or_none(Receipt.id == receipt_id)
    if row is None:
        return dashboard.error_page(404, say("admin.nothing"))
    now: datetime = request.environ["edge.now"]
    try:
        plan = plans.get(_number(frame.typed("plan")))
        sold = matching.give_to(
            row, plan, read_msisdn(frame.typed("phone")), now, staff_id=frame.signed_in().id,
            seen_cents=_number(frame.typed("left"), "held.look_again"),
        )  # fmt: skip
    except BadInput as reason:
        return HTTPResponse(_page(str(reason), receipt_id), 400, {"Content-Type": "text/html; charset=UTF-8"})
    return frame.see_other(f"/admin/payments/{sold.id}")


def back_post(receipt_id: int) -> Any:
    """The owner gives it back: in cash from his drawer, or by M-Pesa, whose word comes later."""
    row = Receipt.get_or_none(Receipt.id == receipt_id)
    if row is None:
        return dashboard.error_page(404, say("admin.nothing"))
    now: datetime = request.environ["edge.now"]
    try:
        refunds.ask(row, row.left_cents, frame.typed("how"), frame.signed_in(), now)
    except BadInput as reason:
        return HTTPResponse(_page(str(reason), receipt_id), 400, {"Content-Type": "text/html; charset=UTF-8"})
    return frame.see_other("/admin/money?did=back")


def _page(fault: str = "", about: int = 0) -> str:
    now: datetime = request.environ["edge.now"]
    return frame.page(
        "admin_held.html", "held", held=receipts.held(), unverified=provisional.unverified(), fault=fault, about=about,
        plans=[(plan, plans.price_at(plan, now)) for plan in plans.everything() if not plan.is_trial],
        last=events.last_id(), did=frame.asked("did") == "back",
        on_way={row.id: [one for one in refunds.of(row) if one.state in refunds.OPEN] for row in receipts.held()},
    )  # fmt: skip


def _number(typed: str, fault: str = "held.choose_plan") -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) < 12):
        raise BadInput(say(fault))
    return int(typed)
