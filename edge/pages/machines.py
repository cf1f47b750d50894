"""For machines: liveness, readiness, figures, and the captive portal's own API."""

import contextlib
import json
import time
from datetime import datetime

from bottle import HTTPResponse, request

from edge import __version__
from edge.database import db, writer
from edge.domain import clock, queues
from edge.errors import NotDurable
from edge.models import Plan
from edge.pages.api import answer
from edge.pages.counters import totals

_STARTED = time.time()


def health() -> HTTPResponse:
    """The process answers."""
    return answer(200, {"status": "ok", "version": __version__})


def ready() -> HTTPResponse:
    """May guests be sent here? The database answers; a worker is needed for more than promises."""
    now: datetime = request.environ["edge.now"]
    try:
        Plan.select().exists()
        state = queues.status(now)
    except Exception as reason:  # any fault of the database means: not ready
        return answer(503, {"ready": False, "reasons": [f"database: {type(reason).__name__}"]})
    reasons = [*state["reasons"], *_why_nothing_is_kept()]
    return answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})


def _why_nothing_is_kept() -> list[str]:
    """The last commit failed: does one succeed now? Nothing is written while all is well."""
    if writer.fault:
        with contextlib.suppress(NotDurable):
            writer.write(lambda: db.execute_sql("UPDATE clock SET seen_at = seen_at"))
    return [writer.fault] if writer.fault else []


def metrics() -> HTTPResponse:
    """Prometheus text format 0.0.4."""
    now: datetime = request.environ["edge.now"]
    state = queues.status(now)
    lines = [f"edge_uptime_seconds {time.time() - _STARTED:.0f}", f"edge_clock_trusted {int(clock.is_trusted(now))}"]
    for name, value in sorted(totals().items()):
        lines.append(f"edge_{name}_total {value}")
    for entry in state["queues"]:
        label = json.dumps(entry["name"])
        for key in ("waiting", "scheduled", "running", "failed", "workers"):
            lines.append(f"edge_queue_{key}{{queue={label}}} {entry[key]}")
        lines.append(f"edge_queue_oldest_seconds{{queue={label}}} {entry['oldest_s']}")
    return HTTPResponse("\n".join(lines) + "\n", 200, {"Content-Type": "text/plain; version=0.0.4"})


def captive_portal() -> HTTPResponse:
    """RFC 8908: where a phone that was told by DHCP option 114 finds the portal."""
    portal = f"{request.urlparts.scheme}://{request.get_header('Host', 'localhost')}"
    document = {"captive": True, "user-portal-url": portal.rstrip("/") + "/"}
    kind = {"Content-Type": "application/captive+json", "Cache-Control": "private"}
    return HTTPResponse(json.dumps(document), 200, kind)
