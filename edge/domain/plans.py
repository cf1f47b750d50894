"""What is sold."""

import re
from typing import Any

from edge.database import transaction
from edge.errors import BadInput
from edge.models import Plan

MOST_DEVICES = 100
LONGEST_S = 10 * 366 * 86_400
_RATE = re.compile(r"[1-9]\d{0,6}[kM]/[1-9]\d{0,6}[kM]", re.ASCII)


def on_sale() -> list[Plan]:
    """The plans a guest may pick, in the owner's order."""
    return list(Plan.select().where(Plan.on_sale).order_by(Plan.position, Plan.id))


def everything() -> list[Plan]:
    """The hidden ones as well."""
    return list(Plan.select().order_by(Plan.position, Plan.id))


def get_on_sale(plan_id: int) -> Plan:
    """This plan, if a guest may buy it."""
    plan: Plan | None = Plan.get_or_none(Plan.id == plan_id, Plan.on_sale)
    if plan is None:
        raise BadInput("This plan is not on sale. Please pick another one.", "package_id")
    return plan


def get(plan_id: int) -> Plan:
    """This plan, hidden or not."""
    plan: Plan | None = Plan.get_or_none(Plan.id == plan_id)
    if plan is None:
        raise BadInput(f"There is no plan {plan_id}; `edge plan list --all` tells which there are.", "plan")
    return plan


@transaction
def add(**values: Any) -> Plan:
    """A new plan, on sale at once and last in the list. Needs name, price_cents and seconds."""
    _check(values)
    last = max((plan.position for plan in Plan.select(Plan.position)), default=-1)
    plan: Plan = Plan.create(position=last + 1, **values)
    return plan


@transaction
def change(plan: Plan, **values: Any) -> Plan:
    """From now on it is sold like this; who has bought keeps what he bought."""
    _check(values)
    plan.put(**values)
    return get(plan.id)


@transaction
def seed(samples: list[dict[str, object]]) -> None:
    """Give a new box its sample price list; an existing list is left alone."""
    if Plan.select().exists():
        return
    for position, sample in enumerate(samples):
        Plan.create(position=position, **sample)


def _check(values: dict[str, Any]) -> None:
    """BadInput names the first value that can't be sold."""
    name = values.get("name", "a plan")
    price, seconds = values.get("price_cents", 100), values.get("seconds", 1)
    data, rate, devices, idle_s = (values.get(key) for key in ("bytes", "rate", "devices", "idle_s"))
    checks = (
        (0 < len(name.strip()) <= 60 and name.isprintable(), "A plan has a name of 1 to 60 letters.", "name"),
        (0 < price <= 10**9 and price % 100 == 0, "A price is in whole shillings, and not free.", "price"),
        (0 < seconds <= LONGEST_S, "A plan lasts at least a second and at most ten years.", "time"),
        (data is None or data > 0, "Data is an amount like 2GB, or none.", "data"),
        (not rate or _RATE.fullmatch(rate), "A rate looks like 2M/5M: upload, then download.", "rate"),
        (devices is None or 0 < devices <= MOST_DEVICES, f"A plan is for 1 to {MOST_DEVICES} devices.", "devices"),
        (idle_s is None or 60 <= idle_s <= LONGEST_S, "An idle time is at least a minute, or none.", "idle"),
    )
    for holds, words, field in checks:
        if not holds:
            raise BadInput(words, field)
