"""Why a guest is not online: one search, a dozen findings, the first of them in one sentence, and cures to press."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from bottle import HTTPResponse, request

from edge.domain import events, guest_doctor
from edge.errors import BadInput
from edge.pages import frame
from edge.pages import guest_doctor_words as words
from edge.texts import say

HERE = "doctor"
TECHNICAL = ("check",)  # cures that are not of one guest
CURES = ("recheck", "place", "again", "free", *TECHNICAL)
LOOK_AGAIN_S = 5


def doctor_page() -> Any:
    """The search; and what was found of whoever was searched for. His routers are asked meanwhile, by a worker."""
    now: datetime = request.environ["edge.now"]
    typed = frame.asked("q", guest_doctor.MOST_TYPED)
    if not typed:
        return frame.page("admin_doctor.html", HERE, typed="", found=None, notice="", **_shown(now))
    subject = guest_doctor.find(typed)
    # The page that keeps itself fresh asks no router again: only who opens it, or presses, does.
    if not frame.asked("poll"):
        guest_doctor.ask_routers(subject, now)
    found = guest_doctor.examine(subject, now)
    poll = "/admin/doctor?" + urlencode({"q": typed, "poll": "1"})
    return frame.page(
        "admin_doctor.html", HERE, typed=typed, found=found, poll=poll, notice=_notice(), **_shown(now)
    )


def cure_post() -> HTTPResponse:
    """One cure, promised; a worker does it, and the page tells what comes of it."""
    return _cure(tuple(name for name in CURES if name not in TECHNICAL))


def check_post() -> HTTPResponse:
    """A router is looked after at once, and brought what it lacks."""
    return _cure(TECHNICAL)


def _cure(allowed: tuple[str, ...]) -> HTTPResponse:
    typed, cure = frame.typed("q").strip()[: guest_doctor.MOST_TYPED], frame.typed("cure")
    if cure not in allowed:
        raise BadInput(f"A cure is one of: {', '.join(allowed)}.", "cure")
    router = frame.typed("router")
    router_id = int(router) if router.isascii() and router.isdigit() and len(router) <= 15 else None
    guest_doctor.cure(guest_doctor.find(typed), cure, router_id, request.environ["edge.now"])
    return frame.see_other("/admin/doctor?" + urlencode({"q": typed, "did": cure}))


def _notice() -> str:
    did = frame.asked("did")
    return say(f"doctor_cure.did_{did}") if did in CURES else ""


def _shown(now: datetime) -> dict[str, Any]:
    return {
        "dw": words, "last": events.last_id(), "sees_secrets": frame.signed_in().role in frame.SEES_SECRETS,
        "technical": TECHNICAL, "every_s": LOOK_AGAIN_S,
    }  # fmt: skip
