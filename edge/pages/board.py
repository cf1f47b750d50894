"""The board: how the background work does, its queues, every job's story, and what a person may ask of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import board, events, queues, reports
from edge.domain.board import Slice
from edge.errors import BadInput
from edge.models import Job
from edge.pages import board_words, chart, frame
from edge.pages.dashboard import error_page
from edge.texts import say

HERE = "/admin/queues"
DONE_TO_IT = (
    "retried", "retried_all", "cancelled", "hastened", "moved", "cleared", "paused", "resumed", "restarting",
)  # fmt: skip
COUNTED = ("waiting", "running", "scheduled", "failed", "done")
LIVE_S = {"hour": 2, "day": 10, "week": 60}  # a week takes long to add up
CLOCKS = {"hour": "{:%H:%M}", "day": "{:%a %H:%M}", "week": "{:%a %d %b, %H:%M}"}
AXES = {**CLOCKS, "week": "{:%a %d %b}"}

_BACK = re.compile(r"/admin/queues[\w/?=&%.-]*", re.ASCII)
_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)


# To look at


def board_page() -> Any:
    """All queues; or what was searched for, or all work in one state."""
    typed, state = frame.asked("q"), frame.asked("state")
    if typed:
        return _found(typed)
    if state:
        return _in_state(state)
    return frame.page("admin_queues.html", "queues", notice=_notice(), **_board())


def board_live() -> str:
    """The part of the board that changes."""
    return frame.page("admin_queues_live.html", "queues", **_board())


def queue_page(name: str) -> Any:
    """One queue: its figures, its history, its jobs in one state."""
    now = _now()
    found = queues.status(now)
    entry = next((entry for entry in found["queues"] if entry["name"] == name), None)
    if entry is None:
        return error_page(404, say("admin.nothing"))
    state, work = frame.asked("state") or _first_look(entry), frame.asked("work")
    listing = board.listed(state, name, frame.asked("after", 60), work)
    return frame.page(
        "admin_queue.html", "queues", notice=_notice(), entry=entry, pause=board.pause_of(name), state=state,
        states=board.STATES, counts=entry, work=work, kinds=board.kinds(name, now), place=f"{HERE}/{name}",
        **_rows(listing), **_history(now, name),
    )  # fmt: skip


def job_page(job_id: int) -> Any:
    """A job's whole story, and what may be done about it."""
    job = board.job(job_id)
    if job is None:
        return error_page(404, say("admin.nothing"))
    now, sees_secrets = _now(), _sees_secrets()
    return frame.page(
        "admin_job.html", "queues", notice=_notice(), job=job, about=board.about(job), steps=board.story(job),
        arguments=board_words.arguments(job, sees_secrets), sees_secrets=sees_secrets, bw=board_words,
        waited=board.waited_s(job, now), ran=board.ran_s(job, now), reference=reports.REFERENCE,
        suggested=_suggested(job, now), last=events.last_id(),
    )  # fmt: skip


def old_address() -> HTTPResponse:
    """Where the failed jobs once stood."""
    return frame.see_other(f"{HERE}?state=failed")


# To act


def retry_job(job_id: int) -> HTTPResponse:
    """One failed job gets another round."""
    return _act_on(job_id, "retried", lambda: queues.retry(job_id, _now(), _who()))


def cancel_job(job_id: int) -> HTTPResponse:
    """Nobody needs it any more."""
    return _act_on(job_id, "cancelled", lambda: queues.cancel(job_id, _now(), _who()))


def hasten_job(job_id: int) -> HTTPResponse:
    """It waits for nothing any more."""
    return _act_on(job_id, "hastened", lambda: queues.move(job_id, _now(), _now(), _who()))


def move_job(job_id: int) -> HTTPResponse:
    """It is done at another time, by the clock on the shop's wall."""
    at = _read_local_time(frame.typed("at"))
    return _act_on(job_id, "moved", lambda: queues.move(job_id, at, _now(), _who()))


def retry_all() -> HTTPResponse:
    """Every failed job of all queues gets another round."""
    count = queues.retry_all(_now(), who=_who())
    return _back(f"{HERE}?state=failed", "retried_all", count)


def retry_queue(name: str) -> HTTPResponse:
    """Every failed job of this queue gets another round."""
    return _act_in(name, "retried_all", lambda: queues.retry_all(_now(), name, _who()))


def clear_queue(name: str) -> HTTPResponse:
    """The failed jobs of this queue are forgotten, for who said so twice."""
    if frame.typed("sure") != "yes":
        raise BadInput(say("board.clear_unsure"), "sure")
    return _act_in(name, "cleared", lambda: queues.clear(name, _now(), _who()))


def pause_queue(name: str) -> HTTPResponse:
    """Nothing of this queue is taken up for now."""
    return _act_in(name, "paused", lambda: queues.pause(name, frame.typed("words").strip(), _now(), _who()))


def resume_queue(name: str) -> HTTPResponse:
    """It is taken up again."""
    return _act_in(name, "resumed", lambda: queues.resume(name, _now(), _who()))


def restart_workers() -> HTTPResponse:
    """Every worker process ends what it has in hand, and begins anew."""
    return _back(HERE, "restarting", queues.restart_workers(_now(), _who()))


def _act_on(job_id: int, did: str, act: Callable[[], object]) -> HTTPResponse:
    if board.job(job_id) is None:
        return error_page(404, say("admin.nothing"))
    act()
    return _back(f"/admin/jobs/{job_id}", did)


def _act_in(name: str, did: str, act: Callable[[], object]) -> HTTPResponse:
    if not board.is_queue(name):
        return error_page(404, say("admin.nothing"))
    count = act()
    return _back(f"{HERE}/{name}", did, count if type(count) is int else None)


def _back(otherwise: str, did: str, count: int | None = None) -> HTTPResponse:
    """To the page that the form stood on; only ever one of the board."""
    wanted = frame.typed("back")
    place = wanted if _BACK.fullmatch(wanted) else otherwise
    told = f"did={did}" + ("" if count is None else f"&count={count}")
    return frame.see_other(f"{place}{'&' if '?' in place else '?'}{told}")


def _notice() -> str:
    """What was just done, when the address tells of it."""
    did = frame.asked("did")
    return say(f"board.did_{did}", count=frame.number("count") or 0) if did in DONE_TO_IT else ""


def _read_local_time(typed: str) -> datetime:
    try:
        if _LOCAL_TIME.fullmatch(typed):
            return datetime.fromisoformat(typed).replace(tzinfo=frame.shop_zone()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # no such day, or none that can be reckoned with: told below
    raise BadInput(say("board.no_time"), "at")


def _suggested(job: Job, now: datetime) -> str:
    """What the field for another time begins with."""
    soonest = now + timedelta(minutes=1)
    at = (job.run_at if job.run_at > soonest else soonest).astimezone(frame.shop_zone())
    return f"{at:%Y-%m-%dT%H:%M}"


# What the pages are made of


def _board() -> dict[str, Any]:
    now = _now()
    found = queues.status(now)
    working, unheld = board.processes(now)
    return {
        "status": found, "totals": _totals(found["queues"]), "working": working, "unheld": unheld,
        "providers": board.left_alone(), "bw": board_words, "sees_secrets": _sees_secrets(), "last": events.last_id(),
        **_history(now),
    }  # fmt: skip


def _totals(entries: list[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(entry[name] for entry in entries) for name in COUNTED}


def _history(now: datetime, queue: str | None = None) -> dict[str, Any]:
    """The chart of the span that was asked for, and its words."""
    span = frame.asked("span") or "hour"
    if span not in board.SPANS:
        raise BadInput(f"span is one of: {', '.join(board.SPANS)}.", "span")
    zone = frame.shop_zone()
    offset = now.astimezone(zone).utcoffset() or timedelta()
    slices = board.history(now, span, queue, int(offset.total_seconds() // 60))

    def shown(formats: dict[str, str]) -> Callable[[Slice], str]:
        return lambda slice: formats[span].format(slice.start.astimezone(zone))

    return {
        "span": span, "spans": tuple(board.SPANS), "slices": slices, "outcomes": chart.outcomes(slices),
        "waits": chart.waits(slices), "clock_of": shown(CLOCKS), "axis_of": shown(AXES), "sums": _sums(slices),
        "live_every": LIVE_S[span],
    }  # fmt: skip


def _sums(slices: list[Slice]) -> dict[str, Any]:
    ended = sum(slice.ended for slice in slices)
    return {
        "done": sum(slice.done for slice in slices),
        "failed": sum(slice.failed for slice in slices),
        "retried": sum(slice.retried for slice in slices),
        "mean_s": sum(slice.wait_mean_s * slice.ended for slice in slices) / max(1, ended),
        "longest_s": max(slice.wait_max_s for slice in slices),
    }


def _found(typed: str) -> str:
    found = board.search(typed)
    return frame.page(
        "admin_work.html", "queues", notice=_notice(), typed=typed, state="", states=board.STATES, counts={},
        place=HERE, **_rows(board.Listing(found)), live_every=10,
    )  # fmt: skip


def _in_state(state: str) -> str:
    listing = board.listed(state, None, frame.asked("after", 60))
    counts = _totals(queues.status(_now())["queues"])
    return frame.page(
        "admin_work.html", "queues", notice=_notice(), typed="", state=state, states=board.STATES, counts=counts,
        place=HERE, **_rows(listing), live_every=10,
    )  # fmt: skip


def _rows(listing: board.Listing) -> dict[str, Any]:
    return {
        "jobs": listing.jobs, "further": listing.further, "behind": board.payments_behind(listing.jobs),
        "sees_secrets": _sees_secrets(), "reference": reports.REFERENCE, "bw": board_words, "most": board.PAGE,
        "after": frame.asked("after", 60), "last": events.last_id(),
    }  # fmt: skip


def _first_look(entry: dict[str, Any]) -> str:
    """The list that a queue's page opens with: what is under way, else what went wrong, else what was done."""
    return next((state for state in ("running", "waiting", "failed", "scheduled") if entry[state]), "done")


def _sees_secrets() -> bool:
    return frame.signed_in().role in frame.SEES_SECRETS


def _who() -> str:
    return str(frame.signed_in().name)


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
