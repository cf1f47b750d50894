"""The staff's API: how the queues do, and what happens, as JSON or as a stream."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import board, checks, people, queues
from edge.domain import events as journal
from edge.errors import BadInput
from edge.models import Event
from edge.pages.api import answer, problem
from edge.pages.views import show_instant

STREAMS = 20  # each holds one of the web server's threads
STREAM_S = 300.0  # then the thread returns; the listener comes back with its Last-Event-ID
LOOK_S = 1.0
HEARTBEAT_S = 5.0  # a listener that left is noticed by writing to it
PAGE = 200
MOST_DIGITS = 15

_slots = threading.BoundedSemaphore(STREAMS)


def queue_status() -> HTTPResponse:
    """Counts per queue, and whether all is well."""
    return answer(200, queues.status(request.environ["edge.now"]))


def sms_queue_status() -> HTTPResponse:
    """The queue of texts as it stands among the others, its workers' last heartbeat and the last word on the modem.

    None where nobody works on it, or never asked the modem.
    """
    now = request.environ["edge.now"]
    last = next((check for check in checks.everything() if check.name == "modem"), None)
    modem = None if last is None else {
        "state": last.state, "words": last.words, "cure": last.cure, "checked_at": show_instant(last.checked_at)
    }  # fmt: skip
    beats = [beat.seen_at for beat in queues.alive(now) if "sms" in beat.queues]
    told = {"paused": board.pause_of("sms") is not None, "last_heartbeat": show_instant(max(beats, default=None))}
    return answer(200, {**queues.entry("sms", now), **told, "modem": modem})


def events() -> HTTPResponse:
    """Events after a sequence number: as JSON, or as Server-Sent Events for who accepts them."""
    if "text/event-stream" in request.get_header("Accept", "").lower():
        return _stream()
    after = min(_after("after", request.query.get("after")) or 0, journal.last_id())
    found = journal.since(after, PAGE)
    return answer(200, {"events": [event_view(event) for event in found], "last": found[-1].id if found else after})


def event_view(event: Event) -> dict[str, Any]:
    """One event as programs see it."""
    return {"id": event.id, "name": event.name, "at": show_instant(event.at), "data": event.data}


def _stream() -> HTTPResponse:
    newest = journal.last_id()
    seen = _after("Last-Event-ID", request.get_header("Last-Event-ID"))
    if seen is None:
        seen = _after("after", request.query.get("after"))
    if not _slots.acquire(blocking=False):
        words = "Too many streams are open. Ask for JSON with ?after=N every few seconds instead."
        return problem(503, words, headers={"Retry-After": "10"})
    # Beyond the newest: the listener knew another database, so it starts anew.
    last = newest if seen is None else min(seen, newest)
    kind = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    return HTTPResponse(_Stream(last, request.environ["edge.session"].id), 200, {**kind, "Cache-Control": "no-store"})


class _Stream:
    """One listener: what happened since, then what happens; gives its place back when closed, however it ends."""

    def __init__(self, last: int, session_id: int) -> None:
        self._lines = _lines(last, session_id)
        self._returned = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._lines)

    def close(self) -> None:
        """Called by the web server at the end, or when the listener is gone."""
        if not self._returned:
            self._returned = True
            _slots.release()


def _lines(last: int, session_id: int) -> Iterator[bytes]:
    yield b"retry: 2000\n\n"
    ends = time.monotonic() + STREAM_S
    beat = time.monotonic() + HEARTBEAT_S
    while time.monotonic() < ends:
        for event in journal.since(last, PAGE):
            last = event.id
            text = json.dumps(event_view(event))
            yield f"id: {event.id}\nevent: {event.name}\ndata: {text}\n\n".encode()
        if time.monotonic() >= beat:
            if not people.is_open(session_id, datetime.now(UTC)):
                return
            beat = time.monotonic() + HEARTBEAT_S
            yield b": still here\n\n"
        time.sleep(LOOK_S)


def _after(field: str, typed: str | None) -> int | None:
    if typed is None or typed == "":
        return None
    if typed.isascii() and typed.isdigit() and len(typed) <= MOST_DIGITS:
        return int(typed)
    raise BadInput(f"{field} is the number of an event, like 0 or 1234.", field)
