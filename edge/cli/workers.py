"""`edge workers`: which processes do the work, what they have in hand, and a new beginning for all of them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge import holder, jobs
from edge.cli.command import WATCH, BoxCommand, BoxGroup, Lines, asked, cut, show, table, watch
from edge.domain import queues
from edge.errors import BadInput
from edge.models import Heartbeat, Job
from edge.pages.staff_words import age, clock, plain
from edge.pages.views import show_instant

NOBODY = "No worker is running: start one with `edge run` or `edge worker`."


@click.group(cls=BoxGroup)
def workers() -> None:
    """The processes that do the work."""


@workers.command()
@click.argument("name", required=False, type=click.Choice(list(jobs.QUEUES)), metavar="[QUEUE]")
@WATCH
def status(name: str | None, every_s: float | None) -> None:
    """Who works, on which queues, and on what just now; of QUEUE alone, if you name one."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        watch(lambda: _look(name, datetime.now(UTC), zone), every_s, zone)


@click.command(cls=BoxCommand)
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0, 3600), default=60, show_default=True, metavar="SECONDS",
    help="How long to wait for them; 0 only asks.",
)  # fmt: skip
def restart(wait_s: float) -> None:
    """Have every worker process, on every machine, finish what it has in hand and begin anew.

    The settings are read again, and so is the program after an upgrade. What can't be finished within 15 seconds is
    put back. A process of `edge run` begins anew as a whole, its web part too; one of `edge web` alone is not asked.
    """
    with asked().box():
        before = len(queues.alive(datetime.now(UTC)))
        if not before:
            raise BadInput(f"Nothing to restart. {NOBODY}")
        queues.restart_workers(datetime.now(UTC))
        if not wait_s:
            show({"asked": before}, lambda: iter([f"{_processes(before)} asked to begin anew."]))
            return
        begun, left = _wait_for_all(before, wait_s)
        document = {
            "asked": before, "restarted": begun, "left": [{"host": beat.host, "pid": beat.pid} for beat in left],
        }  # fmt: skip
        show(document, lambda: _restart_lines(before, begun, left, wait_s))
    if begun < before:
        click.get_current_context().exit(1)


workers.add_command(restart)


def _wait_for_all(before: int, wait_s: float) -> tuple[int, list[Heartbeat]]:
    """How many began anew, and who has not yet: a process that begins writes its row anew, and it was not asked."""
    until = time.monotonic() + wait_s
    while True:
        found = queues.alive(datetime.now(UTC))
        left = [beat for beat in found if beat.restart_asked_at is not None]
        begun = len(found) - len(left)
        if (begun >= before and not left) or time.monotonic() >= until:
            return min(begun, before), left
        time.sleep(0.1)


def _restart_lines(before: int, begun: int, left: list[Heartbeat], wait_s: float) -> Iterator[str]:
    if begun >= before:
        yield f"{_processes(before)} began anew."
        return
    yield f"{begun} of {_processes(before)} began anew within {wait_s:g} s."
    for beat in left:
        yield f"Process {beat.pid} on {plain(beat.host)} was asked, and has not ended yet: `edge workers status`."
    ended = before - begun - len(left)
    if ended > 0:
        yield f"{_processes(ended)} ended and did not come back: start them again, or look at their logs."


def _processes(count: int) -> str:
    return f"{count} worker process{'' if count == 1 else 'es'}"


def _look(name: str | None, now: datetime, zone: ZoneInfo) -> tuple[Any, Lines]:
    running = list(Job.select().where(Job.state == "running").order_by(Job.started_at, Job.id))
    beats = list(Heartbeat.select().order_by(Heartbeat.host, Heartbeat.pid))
    alive = {beat.holder for beat in queues.alive(now)}
    found = [_process(beat, running, beat.holder in alive) for beat in beats] + _without_heartbeat(beats, running, now)
    if name is not None:
        found = [entry for entry in found if name in entry["queues"] or name in {job.queue for job in entry["busy"]}]
        for entry in found:
            entry["busy"] = [job for job in entry["busy"] if job.queue == name]
    views = [{**entry, "busy": [_busy(job) for job in entry["busy"]]} for entry in found]
    for view in views:
        view["since"], view["seen_at"] = show_instant(view["since"]), show_instant(view["seen_at"])
    document = {"workers": views, "alive": sum(entry["state"] == "alive" for entry in found)}
    return document, partial(_lines, name, found, now, zone)


def _process(beat: Heartbeat, running: list[Job], is_alive: bool) -> dict[str, Any]:
    return {
        "holder": beat.holder, "host": beat.host, "pid": beat.pid, "state": "alive" if is_alive else "dead",
        "since": beat.started_at, "seen_at": beat.seen_at, "queues": dict(beat.queues),
        "workers": sum(int(count) for count in beat.queues.values()), "stuck": beat.stuck,
        "restart_asked": beat.restart_asked_at is not None,
        "busy": [job for job in running if job.holder == beat.holder],
    }  # fmt: skip


def _without_heartbeat(beats: list[Heartbeat], running: list[Job], now: datetime) -> list[dict[str, Any]]:
    """Who holds work and says nothing of himself: `edge queue work --once`, or a process that died long ago."""
    silent: dict[str, list[Job]] = {}
    for job in running:
        if job.holder not in {beat.holder for beat in beats}:
            silent.setdefault(job.holder or "", []).append(job)
    found = []
    for name, held in silent.items():
        is_dead = holder.is_gone(name) or all(job.lease_until is None or job.lease_until < now for job in held)
        pid = name.partition(":")[0]
        found.append({
            "holder": name, "host": "", "pid": int(pid) if pid.isdecimal() else 0,
            "state": "dead" if is_dead else "once", "since": None, "seen_at": None, "queues": {}, "workers": 0,
            "stuck": 0, "restart_asked": False, "busy": held,
        })  # fmt: skip
    return found


def _busy(job: Job) -> dict[str, Any]:
    return {
        "id": job.id, "name": job.name, "queue": job.queue, "cause": job.cause, "attempt": job.attempt,
        "since": show_instant(job.started_at), "progress": job.progress, "progress_words": job.progress_words,
    }  # fmt: skip


def _lines(name: str | None, found: list[dict[str, Any]], now: datetime, zone: ZoneInfo) -> Iterator[str]:
    if found:
        heads = ("host", "process", "state", "since", "last seen", "workers", "stuck", "queues")
        yield from table([_row(entry, now, zone) for entry in found], heads)
    if not any(entry["state"] == "alive" for entry in found):
        yield NOBODY if name is None else f"Nobody works on the queue {name}: start `edge worker --queue {name}`."
    busy = [(entry["pid"], job) for entry in found for job in entry["busy"]]
    if busy:
        yield ""
        rows = [(pid, job.id, plain(job.name), job.queue, plain(job.cause), _since(job.started_at, now, zone),
                 _progress(job)) for pid, job in busy]  # fmt: skip
        yield from table(rows, ("process", "job", "works on", "queue", "cause", "since", "progress"))
    elif found:
        yield "Nothing is being worked on."
    for entry in found:
        yield from _remarks(entry)


def _row(entry: dict[str, Any], now: datetime, zone: ZoneInfo) -> tuple[Any, ...]:
    seen = "" if entry["seen_at"] is None else age(entry["seen_at"], now)
    of_all = entry["queues"].keys() >= jobs.QUEUES.keys()
    told = "all" if of_all else cut(", ".join(f"{queue} {count}" for queue, count in entry["queues"].items()), 60)
    return (
        plain(entry["host"]), entry["pid"], entry["state"], _since(entry["since"], now, zone), seen,
        entry["workers"], entry["stuck"], plain(told),
    )  # fmt: skip


def _since(instant: datetime | None, now: datetime, zone: ZoneInfo) -> str:
    return "" if instant is None else clock(instant, now, zone)


def _progress(job: Job) -> str:
    return "" if job.progress is None else cut(f"{job.progress} % {plain(job.progress_words)}".rstrip(), 40)


def _remarks(entry: dict[str, Any]) -> Iterator[str]:
    """What a person should know of this process."""
    name = f"Process {entry['pid']}" + (f" on {plain(entry['host'])}" if entry["host"] else "")
    if entry["state"] == "dead":
        fate = " What it had in hand is taken up by the next worker, or put to you as a question."
        yield f"{name} is dead." + (fate if entry["busy"] else "")
    elif entry["restart_asked"]:
        yield f"{name} was asked to begin anew, and finishes what it has in hand first."
    if entry["state"] == "once":
        yield f"{name} is an `edge queue work --once`: it ends when nothing is due any more."
    if entry["stuck"] and entry["state"] == "alive":
        yield f"{name} has {entry['stuck']} stuck: they overran their job's time, and others have their place."
