"""The form of a campaign: what was typed in it, read into a name, words and an audience, and back again."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bottle import request

from edge.domain import audiences, sms_lists
from edge.errors import BadInput
from edge.pages import campaign_words, frame
from edge.sms_models import Campaign
from edge.texts import say
from edge.values.statement import read_amount

FIELDS = ("name", "kind", "text", "whom", "within", "absent", "spent", "list", "numbers", "do")
MANY = ("plans", "routers")
LONGEST = 100_000  # letters of typed numbers: 5,000 of them in any notation


def blank(list_id: str = "") -> dict[str, Any]:
    """A form that nobody has filled in."""
    has_list = list_id.isascii() and list_id.isdigit()
    form: dict[str, Any] = dict.fromkeys(FIELDS, "") | {name: [] for name in MANY}
    return form | {"kind": "marketing", "whom": "list" if has_list else "all", "list": list_id if has_list else ""}


def typed() -> dict[str, Any]:
    """What came with the request, whatever it says."""
    form: dict[str, Any] = {name: frame.typed(name)[:LONGEST] for name in FIELDS}
    many = {name: [one for one in request.forms.getall(name) if one.isascii() and one.isdigit()] for name in MANY}
    return form | many


def of(campaign: Campaign) -> dict[str, Any]:
    """A draft as its form."""
    told = campaign.audience
    cents = told.get("spent_at_least_cents")
    return blank() | {
        "name": campaign.name, "kind": campaign.kind, "text": campaign.text, "whom": told.get("kind", "all"),
        "within": str(told.get("seen_within_days") or ""), "absent": str(told.get("not_seen_for_days") or ""),
        "spent": f"{cents / 100:g}" if cents else "", "list": str(told.get("list_id") or ""),
        "numbers": "\n".join(f"+{number}" for number in audiences.typed_numbers(told)),
        "plans": [str(one) for one in told.get("plan_ids") or ()],
        "routers": [str(one) for one in told.get("router_ids") or ()],
    }  # fmt: skip


def read(form: dict[str, Any]) -> dict[str, Any]:
    """Name, text, kind and audience for `campaigns.create`; BadInput names the field that needs mending."""
    audience = _audience(form)
    if form["kind"] == "marketing" and audience["kind"] == "list" and not sms_lists.get(audience["list_id"]).consent:
        raise BadInput(say("campaigns.say_consent"), "list")
    return {"name": form["name"], "text": form["text"], "kind": form["kind"], "audience": audience}


def names(form: dict[str, Any]) -> tuple[str, ...]:
    """The placeholders that the chosen audience offers."""
    told: dict[str, Any] = {"kind": form["whom"]}
    if form["whom"] == "list" and form["list"].isascii() and form["list"].isdigit():
        told["list_id"] = int(form["list"])
    return campaign_words.names_of(told)


def read_time(wanted: str, zone: ZoneInfo) -> datetime:
    """`2026-03-02T09:30`, as a browser sends what was chosen, by the clock on the shop's wall; as UTC."""
    try:
        return datetime.fromisoformat(wanted.strip()).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(say("campaigns.bad_time"), "at") from None


def _audience(form: dict[str, Any]) -> dict[str, Any]:
    whom = form["whom"]
    if whom == "list":
        return {"kind": "list", "list_id": _whole(form["list"], "list")}
    if whom == "numbers":
        parts = form["numbers"].replace(",", "\n").replace(";", "\n").split("\n")
        return {"kind": "numbers", "numbers": [part for part in parts if part.strip()]}
    if whom != "guests":
        return {"kind": whom}
    audience = {
        "kind": "guests", "plan_ids": [int(one) for one in form["plans"]],
        "router_ids": [int(one) for one in form["routers"]],
        "seen_within_days": _whole(form["within"], "within"), "not_seen_for_days": _whole(form["absent"], "absent"),
        "spent_at_least_cents": _cents(form["spent"]),
    }  # fmt: skip
    return {name: value for name, value in audience.items() if value}


def _whole(written: str, field: str) -> int:
    text = written.strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput(say("campaigns.bad_number"), field)
    return int(text)


def _cents(written: str) -> int:
    try:
        cents = read_amount(written)
    except ValueError:
        cents = -1
    if cents < 0:
        raise BadInput(say("books.bad_amount"), "spent")
    return cents
