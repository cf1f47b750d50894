"""For machines: liveness, readiness, figures, and the captive portal's own API."""

import contextlib
import json
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge import __version__
from edge.database import db, writer
from edge.domain import access, guest_logins, queues
from edge.errors import NotDurable
from edge.models import Plan
from edge.pages import metrics
from edge.pages.api import answer


def health() -> HTTPResponse:
    """The process answers."""
    return answer(200, {"status": "ok", "version": __version__})


def ready() -> HTTPResponse:
    """May guests be sent here? The database answers; a worker is needed for more than promises."""
    now: datetime = request.environ["edge.now"]
    try:
        Plan.select().exists()
        obstacles = queues.obstacles(now)
    except Exception as reason:  # any fault of the database means: not ready
        return answer(503, {"ready": False, "reasons": [f"database: {type(reason).__name__}"]})
    reasons = [*obstacles, *_why_nothing_is_kept()]
    return answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})


def _why_nothing_is_kept() -> list[str]:
    """The last commit failed: does one succeed now? Nothing is written while all is well."""
    if writer.fault:
        with contextlib.suppress(NotDurable):
            writer.write(lambda: db.execute_sql("UPDATE clock SET seen_at = seen_at"))
    return [writer.fault] if writer.fault else []


def figures() -> HTTPResponse:
    """What Prometheus asks for."""
    text = metrics.text(request.environ["edge.now"])
    return HTTPResponse(text, 200, {"Content-Type": metrics.CONTENT_TYPE})


def captive_portal() -> HTTPResponse:
    """RFC 8908: is the device that asks captive, for how long not, and where is the portal? (DHCP option 114)

    Not captive only while a router told of a live session at its address within minutes.
    """
    portal = f"{request.urlparts.scheme}://{request.get_header('Host', 'localhost')}"
    now: datetime = request.environ["edge.now"]
    document = {
        "captive": True, "user-portal-url": portal.rstrip("/") + "/",
        **_freedom(request.environ["edge.client"], now),
    }  # fmt: skip
    kind = {"Content-Type": "application/captive+json", "Cache-Control": "private, no-store"}
    return HTTPResponse(json.dumps(document), 200, kind)


def _freedom(client: str, now: datetime) -> dict[str, Any]:
    """What the session at this address has left; nothing where there is none."""
    session = guest_logins.session_at(client, now)
    if session is None or session.grant is None or session.grant.state != "live":
        return {}
    left = access.left(session.grant, now)
    if left.is_nothing:
        return {}
    data = {} if left.bytes is None else {"bytes-remaining": left.bytes}
    return {"captive": False, "can-extend-session": True, "seconds-remaining": left.seconds, **data}
