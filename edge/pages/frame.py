"""The frame around every page of the staff: who is signed in, words and clock, what was asked and typed."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bottle import HTTPResponse, request

from edge import __version__
from edge.domain import notices
from edge.errors import BadInput
from edge.models import Staff
from edge.pages import staff_words
from edge.pages.rendering import render

SEES_SECRETS = ("owner",)
RUNS_WORK = ("owner", "technician")


def page(template: str, here: str, **values: Any) -> str:
    """A page for whoever is signed in, with the words and the clock that every page needs."""
    now: datetime = request.environ["edge.now"]
    zone = shop_zone()
    staff = signed_in()
    return render(
        template, version=__version__, staff=staff, here=here, csrf=request.environ["edge.session"].csrf,
        unread=notices.unread(staff), runs_work=staff.role in RUNS_WORK, words=staff_words, now=now,
        age=lambda then: staff_words.age(then, now), clock=lambda then: staff_words.clock(then, now, zone), **values,
    )  # fmt: skip


def signed_in() -> Staff:
    """Who asks."""
    staff: Staff = request.environ["edge.staff"]
    return staff


def shop_zone() -> ZoneInfo:
    """The time zone of the clock on the shop's wall."""
    return ZoneInfo(request.app.config["edge.settings"].box.timezone)


def typed(field: str) -> str:
    """What a form brought; empty when it did not."""
    return (request.forms.getunicode(field) or "") if request.method == "POST" else ""


def asked(field: str, most: int = 60) -> str:
    """What the address says behind its question mark, without blanks around it; cut at `most` letters."""
    return (request.query.getunicode(field) or "").strip()[:most]


def number(field: str) -> int | None:
    """A whole number in the address; None when there is none, BadInput when it is something else."""
    told = request.query.get(field) or ""
    if not told:
        return None
    if told.isascii() and told.isdigit() and len(told) <= 15:
        return int(told)
    raise BadInput(f"{field} is a number.", field)


def see_other(address: str) -> HTTPResponse:
    """Go on there."""
    return HTTPResponse("", 303, {"Location": address})
