"""What is sold: which plans, when, where and for how much."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge.database import transaction
from edge.domain import access
from edge.errors import BadInput
from edge.models import Plan, Router
from edge.texts import say
from edge.values import schedule
from edge.values.hotspot import is_rate
from edge.values.money import show_money

MOST_DEVICES = 100
LONGEST_S = 10 * 366 * 86_400
MOST_CENTS = 10**9
WAYS = ("first", "up", "down", "last")
_RATE = re.compile(r"[1-9]\d{0,6}[kM]/[1-9]\d{0,6}[kM]", re.ASCII)
_SECONDS = re.compile(r"[1-9]\d{0,3}/[1-9]\d{0,3}", re.ASCII)


class PriceChanged(BadInput):
    """The guest agreed to another price than the one of this hour: he is asked again."""


class Shop:
    """What the settings say of the shop: the clock on its wall, and whether it can send texts."""

    def __init__(self) -> None:
        self.zone = ZoneInfo("Africa/Nairobi")
        self.can_text = False

    def configure(self, timezone: str, *, can_text: bool) -> None:
        self.zone, self.can_text = ZoneInfo(timezone), can_text


shop = Shop()
configure = shop.configure


def on_sale(now: datetime, router: Router | None = None) -> list[Plan]:
    """The plans a guest may buy at this instant, in the owner's order; `router`: before which he stands, if known."""
    return [plan for plan in _shown() if not plan.is_trial and is_open(plan, now) and _is_at(plan, router)]


def trials(now: datetime, router: Router | None = None) -> list[Plan]:
    """The free ones. A trial's code goes by text alone, so without a way to text there are none."""
    if not shop.can_text:
        return []
    return [plan for plan in _shown() if plan.is_trial and is_open(plan, now) and _is_at(plan, router)]


def everything() -> list[Plan]:
    """The hidden ones as well."""
    return list(Plan.select().order_by(Plan.position, Plan.id))


def _shown() -> list[Plan]:
    return list(Plan.select().where(Plan.on_sale).order_by(Plan.position, Plan.id))


def differ_by_router() -> bool:
    """Is there a plan that only some routers sell?"""
    return any(plan.router_ids for plan in _shown())


def router_of(context: Mapping[str, Any]) -> Router | None:
    """The router before which a guest stands by how he arrived: his own, else the only one there is."""
    routers = list(Router.select())
    return access.home_of(context, routers) or (routers[0] if len(routers) == 1 else None)


def is_open(plan: Plan, now: datetime) -> bool:
    """Is this one of its hours?"""
    return schedule.is_open(plan.hours, now, shop.zone)


def _is_at(plan: Plan, router: Router | None) -> bool:
    return not plan.router_ids or (router is not None and router.id in plan.router_ids)


def price_at(plan: Plan, now: datetime) -> int:
    """What it costs at this instant, in cents; of several happy hours the cheapest."""
    return min((window["price_cents"] for window in _happy(plan, now)), default=int(plan.price_cents))


def happy_until(plan: Plan, now: datetime) -> datetime | None:
    """When the price of this hour ends; None when it is the usual one, or has no end."""
    return schedule.next_change(plan.happy, now, shop.zone) if _happy(plan, now) else None


def _happy(plan: Plan, now: datetime) -> list[schedule.Window]:
    return schedule.open_windows(plan.happy, now, shop.zone) if plan.happy else []


def get_on_sale(
    plan_id: int, now: datetime, *, context: Mapping[str, Any] | None = None, price_cents: int | None = None
) -> Plan:
    """This plan, if a guest may buy it now where he stands, for the price he was shown (None: whatever it is).

    `context`: how he arrived. PriceChanged, or BadInput that tells why not; nothing was charged.
    """
    plan: Plan | None = Plan.get_or_none(Plan.id == plan_id, Plan.on_sale, ~Plan.is_trial)
    if plan is None:
        raise BadInput(say("plans.not_on_sale"), "package_id")
    _refuse_elsewhere(plan, now, context)
    price = price_at(plan, now)
    if price_cents is not None and price_cents != price:
        words = say("plans.price_changed", plan=plan.name, now=show_money(price), shown=show_money(price_cents))
        raise PriceChanged(words, "price")
    return plan


def get_trial(plan_id: int, now: datetime, context: Mapping[str, Any] | None = None) -> Plan:
    """This free plan, if there is one now where the guest stands."""
    plan: Plan | None = Plan.get_or_none(Plan.id == plan_id, Plan.on_sale, Plan.is_trial)
    if plan is None or not shop.can_text:
        raise BadInput(say("plans.no_trial"), "package_id")
    _refuse_elsewhere(plan, now, context)
    return plan


def _refuse_elsewhere(plan: Plan, now: datetime, context: Mapping[str, Any] | None) -> None:
    if not is_open(plan, now):
        hours = schedule.show_windows(plan.hours)
        raise BadInput(say("plans.not_now", plan=plan.name, hours=hours), "package_id")
    if plan.router_ids and not _is_at(plan, router_of(context or {})):
        raise BadInput(say("plans.not_here", plan=plan.name), "package_id")


def get(plan_id: int) -> Plan:
    """This plan, hidden or not."""
    plan: Plan | None = Plan.get_or_none(Plan.id == plan_id)
    if plan is None:
        raise BadInput(f"There is no plan {plan_id}; `edge plan list --all` tells which there are.", "plan")
    return plan


@transaction
def add(**values: Any) -> Plan:
    """A new plan, on sale at once and last in the list. Needs name, price_cents and seconds."""
    _check({"on_sale": True, **values}, None)
    last = max((plan.position for plan in Plan.select(Plan.position)), default=-1)
    plan: Plan = Plan.create(position=last + 1, **values)
    return plan


@transaction
def change(plan: Plan, **values: Any) -> Plan:
    """From now on it is sold like this; who has bought keeps what he bought."""
    _check(values, get(plan.id))
    plan.put(**values)
    return get(plan.id)


@transaction
def move(plan: Plan, way: str) -> list[Plan]:
    """Put it first, one up, one down or last on the guest's page; returns all in their new order."""
    rows = everything()
    here = [row.id for row in rows].index(plan.id)
    there = {"first": 0, "up": max(0, here - 1), "down": min(len(rows) - 1, here + 1), "last": len(rows) - 1}[way]
    rows.insert(there, rows.pop(here))
    for position, row in enumerate(rows):
        if row.position != position:
            row.put(position=position)
    return rows


@transaction
def seed(samples: list[dict[str, Any]]) -> None:
    """Give a new box its sample price list; an existing list is left alone. Hours may be told in words."""
    if Plan.select().exists():
        return
    for position, sample in enumerate(samples):
        told = {"on_sale": True, **sample}
        for name in ("hours", "happy"):
            if isinstance(told.get(name), str):
                told[name] = schedule.read_windows(told[name], priced=name == "happy")
        _check(told, None)
        Plan.create(position=position, **told)


def _check(values: Mapping[str, Any], plan: Plan | None) -> None:
    """BadInput names the first value that can't be sold; `plan` is the one to be changed."""
    for name, priced in (("hours", False), ("happy", True)):
        if name in values:
            schedule.check_windows(values[name], priced=priced)
    ids = values.get("router_ids", [])
    known = {row for (row,) in Router.select(Router.id).tuples()} if ids else set()
    name, seconds = values.get("name", "a plan"), values.get("seconds", 1)
    data, rate, devices, idle_s = (values.get(key) for key in ("bytes", "rate", "devices", "idle_s"))
    valid_s, start_s = values.get("valid_s"), values.get("start_within_s")
    _demand(
        (0 < len(name.strip()) <= 60 and name.isprintable(), "A plan has a name of 1 to 60 letters.", "name"),
        (0 < seconds <= LONGEST_S, "A plan lasts at least a second and at most ten years.", "time"),
        (data is None or data > 0, "Data is an amount like 2GB, or none.", "data"),
        (not rate or _RATE.fullmatch(rate), "A rate looks like 2M/5M: upload, then download.", "rate"),
        (devices is None or 0 < devices <= MOST_DEVICES, f"A plan is for 1 to {MOST_DEVICES} devices.", "devices"),
        (idle_s is None or 60 <= idle_s <= LONGEST_S, "An idle time is at least a minute, or none.", "idle"),
        (valid_s is None or 60 <= valid_s <= LONGEST_S, "It is valid for at least a minute, or for ever.", "valid"),
        (start_s is None or 60 <= start_s <= LONGEST_S, "A voucher waits at least a minute, or for ever.", "start"),
        (all(router in known for router in ids), "There is no such router.", "router"),
    )
    _check_together(values, plan)


def _check_together(values: Mapping[str, Any], plan: Plan | None) -> None:
    """What only makes sense together with other values; those that nobody touches are left as they are."""

    def of(name: str, default: Any) -> Any:
        return values.get(name, default if plan is None else getattr(plan, name))

    if values.keys() & {"price_cents", "is_trial", "on_sale", "happy"}:
        _check_price(of("price_cents", 0), of("is_trial", False), of("on_sale", True), of("happy", []))
    if values.keys() & {"valid_s", "metered"}:
        words = "Only time that counts while online has a last day: the other runs by the clock anyway."
        _demand((of("valid_s", None) is None or of("metered", False), words, "valid"))
    if values.keys() & {"remind_s", "seconds"} and of("remind_s", None) is not None:
        words = "A reminder comes a minute or more before the end, and after the beginning."
        _demand((60 <= of("remind_s", 0) < of("seconds", 0), words, "remind"))
    if values.keys() & {"burst", "rate"} and of("burst", ""):
        _check_burst(of("rate", ""), of("burst", ""))


def _check_price(cents: int, is_trial: bool, on_sale: bool, happy: list[schedule.Window]) -> None:
    """M-Pesa takes whole shillings. A hidden plan may be without a price: one that was taken over from elsewhere."""
    if is_trial:
        _demand((cents == 0, "A free trial has no price: say 0.", "price"))
        _demand((not happy, "A free trial has no happy hour.", "happy"))
        return
    is_price = (cents > 0 or not on_sale) and 0 <= cents <= MOST_CENTS and cents % 100 == 0
    _demand((is_price, "A price is in whole shillings, and not free; a free trial has to be said to be one.", "price"))


def _check_burst(rate: str, burst: str) -> None:
    """RouterOS: while somebody's mean rate is under the threshold he may go as fast as the burst rate."""
    parts = burst.split(" ")
    is_whole = len(parts) == 3 and all(map(_RATE.fullmatch, parts[:2])) and _SECONDS.fullmatch(parts[2])
    _demand(
        (_RATE.fullmatch(rate), "A burst needs a rate to rise above.", "burst"),
        (is_whole and is_rate(f"{rate} {burst}"), "A burst looks like 4M/8M 2M/4M 10/10: the burst rate, the mean rate "
         "under which it is given, and over how many seconds.", "burst"),
    )  # fmt: skip
    for usual, fast, under in zip(*(map(_bits, part.split("/")) for part in (rate, *parts[:2])), strict=True):
        _demand((fast > usual, "The burst rate is more than the rate.", "burst"))
        _demand((under <= fast, "The mean rate under which a burst is given is no more than the burst.", "burst"))


def _bits(words: str) -> int:
    return int(words[:-1]) * {"k": 10**3, "M": 10**6}[words[-1]]


def _demand(*checks: tuple[object, str, str]) -> None:
    for holds, words, field in checks:
        if not holds:
            raise BadInput(words, field)
