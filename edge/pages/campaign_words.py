"""Campaigns in words: who they are for, what they take, how long that is, and what a text becomes for somebody."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from edge.domain import audiences, campaign_lists, campaigns, messages, quiet_hours, routing
from edge.errors import BadInput
from edge.models import Plan, Router
from edge.pages import texts_words
from edge.pages.staff_words import plain
from edge.sms_models import Campaign, SmsList
from edge.texts import say
from edge.values import placeholders
from edge.values.duration import show_duration
from edge.values.money import show_money

STATES = ("draft", "scheduled", "pending", "processing", "paused", "completed", "failed", "cancelled")
RECIPIENT_STATES = ("listed", "queued", "sent", "delivered", "unconfirmed", "failed", "suppressed")
PILLS = {
    "draft": "scheduled", "scheduled": "scheduled", "pending": "waiting", "processing": "running", "paused": "paused",
    "completed": "done", "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
MODEM_PER_MINUTE = 15  # segments: what a GSM network takes from one SIM
GATEWAY_PER_MINUTE = 600  # texts
SAMPLES = {
    "phone": "0712345678", "plan": "1 hour", "last_visit": "12 Mar", "spent": "KSh 1,200", "visits": "12"
}  # fmt: skip
SOMEBODY = "Asha"  # stands for what a list's column may say


class WithLimits(Protocol):
    """Of the settings, how many texts a minute a route may take."""

    @property
    def per_minute(self) -> Mapping[str, int]: ...


def state(name: str) -> str:
    """Where a campaign stands."""
    return say(f"campaigns.state_{name}")


def kind(name: str) -> str:
    """Advertising, or what guests must know."""
    return say(f"campaigns.kind_{name}")


def audience(told: Mapping[str, Any]) -> str:
    """Whom it is for, in one line."""
    if told.get("kind") == "list":
        row = SmsList.get_or_none(SmsList.id == told.get("list_id"))
        return say("campaigns.for_list", list=plain(row.name)) if row is not None else say("campaigns.for_lost_list")
    if told.get("kind") == "numbers":
        return say("campaigns.for_numbers", count=f"{len(told.get('numbers') or ()):,}")
    rules = _rules(told) if told.get("kind") == "guests" else []
    return say("campaigns.for_guests", rules=", ".join(rules)) if rules else say("campaigns.for_all")


def _rules(told: Mapping[str, Any]) -> list[str]:
    rules = []
    for field, table in (("plan_ids", Plan), ("router_ids", Router)):
        if told.get(field):
            rows = list(table.select(table.name).where(table.id.in_(told[field])).order_by(table.id))
            rules.append(say(f"campaigns.rule_{field}", names=" / ".join(plain(row.name) for row in rows)))
    for field in ("seen_within_days", "not_seen_for_days"):
        if told.get(field):
            rules.append(say(f"campaigns.rule_{field}", days=told[field]))
    if told.get("spent_at_least_cents"):
        rules.append(say("campaigns.rule_spent", amount=show_money(told["spent_at_least_cents"])))
    return rules


def left_out(told: Mapping[str, int]) -> list[str]:
    """Who gets none, and why."""
    return [campaign_lists.show_left_out(why, count) for why, count in sorted(told.items())]


def lacking(told: Mapping[str, int]) -> bool:
    """Does somebody have no value for a placeholder that has no default? Then it can't be sent."""
    return any(why.startswith(campaign_lists.LACKS) for why in told)


def names_of(told: Mapping[str, Any]) -> tuple[str, ...]:
    """The placeholders of this audience; those of guests while it is not known."""
    try:
        return audiences.names(told)
    except (BadInput, KeyError, TypeError, ValueError):
        return audiences.GUEST_NAMES


def counted(text: str, names: Iterable[str]) -> str:
    """What the words take when they are filled for somebody, in one sentence; or what is wrong with them."""
    try:
        placeholders.check(text, names)
        filled = placeholders.fill(text, {name: SAMPLES.get(name, SOMEBODY) for name in names})
    except BadInput as reason:
        return str(reason)
    told = texts_words.quote_words(messages.cost_of(filled))
    return say("campaigns.counted_sample", told=told) if placeholders.names(text) else told


def estimate(quote: campaigns.Quote, limits: WithLimits, now: datetime) -> str:
    """About how long the sending takes, by the route that would be asked first."""
    found = routing.candidates("campaign", texts_words.SOMEBODY, (), now)
    if not found:
        return say("campaigns.no_route")
    route = found[0].name
    if route == "modem":
        minutes = quote.segments / MODEM_PER_MINUTE
    else:
        minutes = quote.recipients / min(GATEWAY_PER_MINUTE, limits.per_minute.get(route) or GATEWAY_PER_MINUTE)
    if route == texts_words.SIMULATED:
        return say("campaigns.simulated")
    return say("campaigns.estimate", time=show_duration(max(60, round(minutes) * 60)), route=texts_words.route(route))


def waits_until(campaign: Campaign, now: datetime) -> datetime | None:
    """The end of the quiet hours, when it would have to wait for that; None when it may go now."""
    return quiet_hours.until(campaign.kind, now)
