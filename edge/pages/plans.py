"""The price list on the dashboard: as the guest sees it, added to, changed, hidden and put in order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import plan_words, plans, trials
from edge.errors import BadInput
from edge.models import Plan, Router
from edge.pages import frame
from edge.pages.dashboard import error_page
from edge.pages.portal import offer
from edge.texts import say

EDITS = ("owner",)
LONGEST = 600  # letters of a field
NEW = {"metered": "", "trial": "", "joins": "yes", "on_sale": "yes", "price": "", "devices": "1", "rate": "2M/5M"}
# What a change may say of itself; any other word in the address is nobody's.
SAID = ("added", "changed", "hidden", "shown", "moved")


def list_page() -> str:
    """All plans in the order of the guest's page."""
    now = _now()
    rows = plans.everything()
    shown = [(plan, offer(plan, now), _state(plan, now)) for plan in rows]
    return frame.page(
        "admin_plans.html", "plans", rows=shown, edits=_edits(), said=_said()
    )


def plan_page(plan_id: int) -> Any:
    """One plan, and the form that changes it."""
    plan = Plan.get_or_none(Plan.id == plan_id)
    return _nothing() if plan is None else _form(_words_of(plan), plan)


def plan_post(plan_id: int) -> Any:
    """Sold like this from now on; who has bought keeps what he bought."""
    plan = Plan.get_or_none(Plan.id == plan_id)
    if plan is None:
        return _nothing()
    typed = _typed()
    try:
        plans.change(plan, **_values(typed))
    except BadInput as reason:
        return _again(typed, plan, reason)
    return frame.see_other("/admin/plans?said=changed")


def new_page() -> str:
    """The form for a plan."""
    return _form(NEW, None)


def new_post() -> Any:
    """A new plan, last on the guest's page."""
    typed = _typed()
    try:
        plans.add(**_values(typed))
    except BadInput as reason:
        return _again(typed, None, reason)
    return frame.see_other("/admin/plans?said=added")


def sale_post(plan_id: int) -> HTTPResponse:
    """Hidden, or on sale again."""
    plan = Plan.get_or_none(Plan.id == plan_id)
    if plan is None:
        return _nothing()
    on_sale = frame.typed("on_sale") == "yes"
    plans.change(plan, on_sale=on_sale)
    return frame.see_other(f"/admin/plans?said={'shown' if on_sale else 'hidden'}")


def move_post(plan_id: int) -> HTTPResponse:
    """One up or down."""
    plan, way = Plan.get_or_none(Plan.id == plan_id), frame.typed("way")
    if plan is None or way not in plans.WAYS:
        return _nothing()
    plans.move(plan, way)
    return frame.see_other("/admin/plans?said=moved")


def _form(typed: Mapping[str, str], plan: Plan | None, words: str = "", field: str = "") -> str:
    """Filled with what is, or with what was typed and what is wrong with it."""
    empty = dict.fromkeys((*plan_words.WORDS, *plan_words.FACTS), "")
    seen = None if plan is None else offer(plan, _now())
    return frame.page(
        "admin_plan.html", "plans", plan=plan, typed=empty | dict(typed), error=words, wrong=field, edits=_edits(),
        seen=seen, state="" if plan is None else _state(plan, _now()),
        routers=[row.name for row in Router.select(Router.name).order_by(Router.name)],
        can_text=plans.shop.can_text,
    )  # fmt: skip


def _again(typed: Mapping[str, str], plan: Plan | None, reason: BadInput) -> HTTPResponse:
    page = _form(typed, plan, str(reason), reason.field)
    return HTTPResponse(page, 400, {"Content-Type": "text/html; charset=UTF-8"})


def _typed() -> dict[str, str]:
    names = (*plan_words.WORDS, *plan_words.FACTS)
    return {name: frame.typed(name)[:LONGEST].strip() for name in names}


def _values(typed: Mapping[str, str]) -> dict[str, Any]:
    """All columns, as the whole form tells them: an empty field is none."""
    facts = {column: typed[name] == "yes" for name, column in plan_words.FACTS.items()}
    words = {name: typed[name] for name in plan_words.WORDS}
    if facts["is_trial"] and not words["price"]:
        words["price"] = "0"
    return plan_words.read(words) | facts


def _words_of(plan: Plan) -> dict[str, str]:
    facts = {name: "yes" if getattr(plan, column) else "" for name, column in plan_words.FACTS.items()}
    return plan_words.tell(plan) | facts


def _state(plan: Plan, now: datetime) -> str:
    """Why no guest sees it just now; '' when he does."""
    if not plan.on_sale:
        return "hidden"
    if trials.is_wanted(plan):
        return "no_texts"
    return "" if plans.is_open(plan, now) else "not_now"


def _edits() -> bool:
    return frame.signed_in().role in EDITS


def _said() -> str:
    word = frame.asked("said")
    return say(f"plan.{word}") if word in SAID else ""


def _nothing() -> HTTPResponse:
    return error_page(404, say("admin.nothing"))


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
