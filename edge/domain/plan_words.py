"""A plan's values as people type them, read into columns and told back: for the command line and the dashboard."""

from collections.abc import Mapping
from typing import Any

from edge.errors import BadInput
from edge.models import Plan, Router
from edge.values.hotspot import read_duration, write_duration
from edge.values.schedule import read_windows, show_windows
from edge.values.sizes import read_bytes

NONE = ("", "none", "no", "0", "-", "always", "everywhere")
LENGTHS = {"time": "seconds", "idle": "idle_s", "valid": "valid_s", "start": "start_within_s", "remind": "remind_s"}
WORDS = ("name", "price", "data", "rate", "burst", "devices", "hours", "happy", "routers", *LENGTHS)
FACTS = {"metered": "metered", "trial": "is_trial", "joins": "joins", "on_sale": "on_sale"}
_LONGEST_NUMBER = 8


def read(typed: Mapping[str, str | None]) -> dict[str, Any]:
    """Columns from the words of these fields; None was not said and is left out, `none` takes a limit away.

    BadInput names the field of the first that can't be read.
    """
    told = {name: words.strip() for name, words in typed.items() if words is not None}
    values: dict[str, Any] = {}
    if "name" in told:
        values["name"] = told["name"]
    if "price" in told:
        values["price_cents"] = _number(told["price"], "price", "A price is in whole shillings.") * 100
    if "devices" in told:
        values["devices"] = _number(told["devices"], "devices", "How many devices? A number, like 1.")
    if "data" in told:
        values["bytes"] = None if _is_none(told["data"]) else read_bytes(told["data"])
    for name in ("rate", "burst"):
        if name in told:
            values[name] = "" if _is_none(told[name]) else " ".join(told[name].split())
    for name, column in LENGTHS.items():
        if name in told:
            values[column] = None if name != "time" and _is_none(told[name]) else _seconds(told[name], name)
    for name in ("hours", "happy"):
        if name in told:
            words = "" if _is_none(told[name].lower()) else told[name]
            values[name] = read_windows(words, priced=name == "happy")
    if "routers" in told:
        values["router_ids"] = _router_ids(told["routers"])
    return values


def tell(plan: Plan) -> dict[str, str]:
    """The same words again, as `read` reads them; '' is none."""
    lengths = {name: getattr(plan, column) for name, column in LENGTHS.items()}
    names = dict(Router.select(Router.id, Router.name).tuples()) if plan.router_ids else {}
    return {
        "name": plan.name, "price": str(plan.price_cents // 100), "devices": str(plan.devices),
        "data": _tell_bytes(plan.bytes), "rate": plan.rate, "burst": plan.burst,
        "hours": show_windows(plan.hours), "happy": show_windows(plan.happy),
        "routers": ", ".join(names[row] for row in plan.router_ids if row in names),
        **{name: "" if seconds is None else write_duration(seconds) for name, seconds in lengths.items()},
    }  # fmt: skip


def _tell_bytes(count: int | None) -> str:
    """In the greatest unit that tells it whole."""
    if count is None:
        return ""
    size, unit = next((pair for pair in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")) if count % pair[0] == 0), (1, ""))
    return f"{count // size}{unit}"


def _is_none(words: str) -> bool:
    return words.lower() in NONE


def _number(words: str, field: str, fault: str) -> int:
    if not (words.isascii() and words.isdigit() and len(words) <= _LONGEST_NUMBER):
        raise BadInput(fault, field)
    return int(words)


def _seconds(words: str, field: str) -> int:
    seconds = read_duration(words)
    if not seconds:
        raise BadInput(f"{words} is not a length of time. It looks like 90m, 1h30m, 1d or 1w.", field)
    return seconds


def _router_ids(words: str) -> list[int]:
    """Names with commas between; none is everywhere."""
    if _is_none(words):
        return []
    known = {name: row for row, name in Router.select(Router.id, Router.name).tuples()}
    names = [name.strip() for name in words.split(",") if name.strip()]
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known)) or "none yet"
            raise BadInput(f"There is no router named {name}. There are: {there}.", "routers")
    return [known[name] for name in names]
