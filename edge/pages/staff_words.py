"""Rows and events in the words of the owner's catalogue. What devices and M-Pesa say is hostile: plain text only."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge.domain.reports import Part, Step
from edge.models import Event
from edge.texts import say
from edge.values.duration import show_duration
from edge.values.money import show_money
from edge.values.mpesa_words import explain

LONGEST = 300
RAW = 2_000
_TAKEN = ("self", "name", "shop")  # words that the catalogue itself fills in


def plain(text: object) -> str:
    """One line without control or direction marks, cut where nobody reads on."""
    line = " ".join(str(text).split())
    line = "".join(letter for letter in line if letter.isprintable())
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"


def age(then: datetime, now: datetime) -> str:
    """How long ago, in one unit."""
    seconds = int((now - then).total_seconds())
    for size, name in ((86_400, "ago_d"), (3_600, "ago_h"), (60, "ago_min"), (5, "ago_s")):
        if seconds >= size:
            return say(f"admin.{name}", n=seconds if name == "ago_s" else seconds // size)
    return say("admin.now")


def clock(then: datetime, now: datetime, zone: ZoneInfo) -> str:
    """The time on the shop's wall; with the date when it is another day."""
    local = then.astimezone(zone)
    return f"{local:%H:%M:%S}" if local.date() == now.astimezone(zone).date() else f"{local:%a %d %b, %H:%M}"


def part_name(name: str) -> str:
    """`router:gate` → Router gate; a part the catalogue does not know keeps its own name."""
    kind, _, own = name.partition(":")
    return _said(f"admin_part.{kind}", plain(name), {"which": plain(own)})


def part_words(part: Part) -> str:
    """The last word on a part, marked when it is old."""
    if part.state == "unknown" and part.words:
        return say("admin.no_news", words=plain(part.words))
    return plain(part.words)


def job_name(name: str) -> str:
    """A kind of work in people's words."""
    return _said(f"admin_job.{name}", plain(name))


def event_words(event: Event) -> str:
    """What happened, in one sentence; an event the catalogue does not know is told by its name."""
    told = {name: "–" if value is None else plain(value) for name, value in event.data.items()}
    if isinstance(event.data.get("amount"), int | float):
        told["amount"] = show_money(round(event.data["amount"] * 100))
    if isinstance(event.data.get("seconds"), int):
        told["time"] = show_duration(event.data["seconds"])
    if isinstance(event.data.get("waited_s"), int | float):
        told["waited_s"] = f"{event.data['waited_s']:.1f}"
    for field, show in (("part", part_name), ("provider", part_name), ("work", job_name)):
        if field in told:
            told[field] = show(told[field])
    return _said(f"admin_event.{event.name}", say("admin_event.other", what=plain(event.name)), told)


def step_words(step: Step) -> str:
    """One step of a payment's story."""
    told: dict[str, Any] = {name: plain(value) for name, value in step.data.items() if name != "raw"}
    name = step.name
    if name == "paid":
        told["witness"] = _said(f"admin_story.{told['witness']}", plain(told["witness"]))
    elif name == "failed":
        if told["code"] == "push-refused":
            return say("admin_story.push_refused")
        told["words"] = explain(told["code"]).owner
        if told.get("provider", "mpesa") != "mpesa":
            return say("gateway.failed_owner", provider=part_name(told["provider"]), words=told["code"])
    elif name.startswith("call"):
        told["outcome"] = told["outcome"] or say("admin_story.unsettled")
    elif name == "granted":
        told["time"] = show_duration(step.data["seconds"])
    elif name.startswith("job_"):
        told["job"] = job_name(told["job"])
        name = "job_failed_once" if name == "job_failed" and step.data["attempt"] == 1 else name
    words = _said(f"admin_story.{name}", plain(name), told)
    if step.data.get("credited_s"):
        words += say("admin_story.credited", time=show_duration(step.data["credited_s"]))
    return words


def step_note(step: Step) -> str:
    """The device's own words about a step, where there are any."""
    noted = step.name in ("job_error", "wanted", "placed", "text_failed", "text_unconfirmed")
    return plain(step.data.get("words", "")) if noted else ""


def raw_body(step: Step) -> str:
    """A call as it came, for who wants to compare."""
    body: bytes = step.data.get("raw", b"")
    text = body[:RAW].decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")


def _said(name: str, otherwise: str, values: dict[str, str] | None = None) -> str:
    """Names that come from rows may be newer, or older, than the catalogue."""
    try:
        return say(name, **{key: value for key, value in (values or {}).items() if key not in _TAKEN})
    except KeyError:
        return otherwise
