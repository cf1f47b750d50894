"""The network: its routers, who is online, one router's day, one guest's use. Pages ask rows, never routers."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bottle import HTTPResponse, request

from edge.domain import access, checks, events, network, reports, samples, sessions, strangers
from edge.domain.reports import Part
from edge.errors import BadInput
from edge.models import Grant, Router
from edge.network_models import RouterSample, Session, Stranger
from edge.pages import frame, network_chart, network_words
from edge.pages.dashboard import error_page
from edge.texts import say

HERE = "/admin/network"
FLIPS = 10
STRANGERS = 50  # on one page
DONE_TO_IT = ("kicked", "unwanted", "left")
_BACK = re.compile(r"/admin/(network|routers/\d+|guests/\d+)(\?[\w=&%.:+-]*)?", re.ASCII)


@dataclass(frozen=True)
class Shown:
    """A router as the page tells of it."""

    router: Router
    part: Part
    sample: RouterSample | None
    online: int
    strangers: int

    @property
    def answers(self) -> bool:
        return self.part.state == "ok"

    def up_s(self, now: datetime) -> float | None:
        """Since it started; None while nobody can know."""
        booted_at = self.router.booted_at
        return (now - booted_at).total_seconds() if booted_at is not None and self.answers else None


# To look at


def network_page() -> str:
    """All routers, and who is online."""
    return frame.page("admin_network.html", "network", notice=_notice(), **_network())


def network_live() -> str:
    """The part of it that changes."""
    return frame.page("admin_network_live.html", "network", **_network())


def router_page(router_id: int) -> Any:
    """One router: its figures, its day, when it came and went, who is on it unasked."""
    router = _router(router_id)
    if router is None:
        return error_page(404, say("admin.nothing"))
    now, zone = _now(), frame.shop_zone()
    slices = samples.day(router_id, now)
    found = strangers.of(router_id)
    return frame.page(
        "admin_router.html", "network", notice=_notice(), shown=_shown([router], now)[0], nw=network_words,
        slices=slices, online=network_chart.online(slices), traffic=network_chart.traffic(slices),
        flips=checks.flips(f"router:{router.name}"), found=[row for row in found if row.state == "found"],
        decided=[row for row in found if row.state != "found"], owns=frame.signed_in().role == "owner",
        most=STRANGERS, last=events.last_id(),
        clock_of=lambda slice: f"{slice.start.astimezone(zone):%a %H:%M}",
    )  # fmt: skip


def guest_page(grant_id: int) -> Any:
    """What whoever holds this grant used, day by day."""
    grant = Grant.get_or_none(Grant.id == grant_id) if 0 < grant_id < 2**63 else None
    if grant is None:
        return error_page(404, say("admin.nothing"))
    now = _now()
    found = sessions.of_guest(grant, sessions.PAGE + 1, frame.number("before"))
    further = found[sessions.PAGE - 1].id if len(found) > sessions.PAGE else None
    return frame.page(
        "admin_network_guest.html", "network", notice=_notice(), grant=grant, nw=network_words, last=events.last_id(),
        left_s=access.seconds_left(grant, now), days=sessions.days_of_guest(grant, frame.shop_zone(), now),
        stays=found[: sessions.PAGE], further=further, sees_secrets=frame.signed_in().role in frame.SEES_SECRETS,
    )  # fmt: skip


# To act


def kick_post(session_id: int) -> HTTPResponse:
    """One device is logged out; a worker does it."""
    session = sessions.find(session_id)
    if session is None:
        return error_page(404, say("admin.nothing"))
    sessions.kick(session, _now(), frame.signed_in().name)
    return _back(HERE, "kicked")


def remove_stranger_post(stranger_id: int) -> HTTPResponse:
    """The owner wants him off the router, and said so twice."""
    if frame.typed("sure") != "yes":
        raise BadInput(say("network.unsure"), "sure")
    return _decide(stranger_id, "unwanted")


def leave_stranger_post(stranger_id: int) -> HTTPResponse:
    """The owner knows him."""
    return _decide(stranger_id, "left")


def _decide(stranger_id: int, did: str) -> HTTPResponse:
    stranger: Stranger | None = strangers.find(stranger_id)
    if stranger is None:
        return error_page(404, say("admin.nothing"))
    decide = strangers.remove if did == "unwanted" else strangers.leave
    decide(stranger, _now(), frame.signed_in().name)
    return _back(f"/admin/routers/{stranger.router_id}", did)


def _back(otherwise: str, did: str) -> HTTPResponse:
    """To the page that the form stood on; only ever one of ours."""
    wanted = frame.typed("back")
    place = wanted if _BACK.fullmatch(wanted) else otherwise
    return frame.see_other(f"{place}{'&' if '?' in place else '?'}did={did}")


def _notice() -> str:
    did = frame.asked("did")
    return say(f"network.did_{did}") if did in DONE_TO_IT else ""


# What the pages are made of


def _network() -> dict[str, Any]:
    now, typed, before = _now(), frame.asked("q"), frame.number("before")
    listing = sessions.live(now, typed, before=before)
    shown = _shown(network.routers(), now)
    asked = {"q": typed, "before": before or ""}
    query = "&".join(f"{name}={quote(str(value))}" for name, value in asked.items() if value)
    return {
        "nw": network_words, "listing": listing, "typed": typed, "before": before, "routers": shown,
        "online": sum(entry.online for entry in shown), "answering": sum(entry.answers for entry in shown),
        "strangers": sum(entry.strangers for entry in shown), "flips": checks.flips(limit=FLIPS),
        "last": events.last_id(), "query": query, "known": _known(typed) if typed and not listing.rows else None,
        "sees_all": frame.signed_in().role in frame.RUNS_WORK,
    }  # fmt: skip


def _shown(routers: list[Router], now: datetime) -> list[Shown]:
    parts, online, found = {part.name: part for part in reports.parts(now)}, sessions.count_live(now), strangers.count()
    return [
        Shown(
            router, parts[f"router:{router.name}"], samples.latest(router.id), online.get(router.id, 0),
            found.get(router.id, 0),
        )
        for router in routers
    ]  # fmt: skip


def _known(typed: str) -> Grant | None:
    """He is not online, but was, or may be."""
    last: Session | None = sessions.last_of(typed)
    return last.grant if last is not None else sessions.grant_of(typed)


def _router(router_id: int) -> Router | None:
    found: Router | None = Router.get_or_none(Router.id == router_id) if 0 < router_id < 2**63 else None
    return found


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
