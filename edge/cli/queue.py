"""`edge queue`: the work that was promised, and what a person may ask of it."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import click
from peewee import SQL, Case, fn

from edge import desk, jobs
from edge.cli.command import WATCH, BoxGroup, Lines, asked, show, table, watch
from edge.cli.job_views import count, job_table, job_view, span, status_lines, story
from edge.cli.serving import serve
from edge.cli.workers import restart
from edge.database import transaction
from edge.domain import queues
from edge.errors import BadInput
from edge.handlers import upkeep
from edge.models import Job, JobMinute
from edge.pages.staff_words import clock, plain
from edge.worker import work_once

CLOSED = ("done", "failed", "cancelled")
UNBEGUN = ("scheduled", "waiting")
AHEAD = re.compile(r"\+([0-9]{1,6})([smhd])")
TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
JOB = click.IntRange(1, 2**31 - 1)

QUEUE = click.option("--queue", "name", type=click.Choice(list(jobs.QUEUES)), help="Of this queue only.")
YES = click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can answer.")
LIMIT = click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")


@click.group(cls=BoxGroup)
def queue() -> None:
    """The work that was promised."""


# Looking


@queue.command()
@WATCH
def status(every_s: float | None) -> None:
    """How much waits, runs and failed, a queue; what is paused, and who is left alone for a while."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        watch(lambda: _look(datetime.now(UTC), zone), every_s, zone)


def _look(now: datetime, zone: ZoneInfo) -> tuple[Any, Lines]:
    document = queues.status(now)
    return document, partial(status_lines, document, desk.paused(), now, zone)


@queue.command()
@click.option("--hours", type=click.IntRange(1, 744), default=24, show_default=True, help="How far to look back.")
@click.option("--by", type=click.Choice(("queue", "name")), default="queue", help="A line a queue, or a kind of work.")
@QUEUE
def stats(hours: int, by: str, name: str | None) -> None:
    """What was done, failed and tried again, and how long it waited and took.

    Each attempt counts: it waits from when it was due until it begins. Workers write these figures down every ten
    seconds, and they are kept a month, longer than the jobs themselves.
    """
    with asked().box():
        found = _figures(datetime.now(UTC) - timedelta(hours=hours), by, name)

        def lines() -> Iterator[str]:
            times = ("wait_mean_s", "wait_max_s", "run_mean_s", "run_max_s")
            rows = [(entry[by], entry["done"], entry["failed"], entry["retried"], *[span(entry[key]) for key in times])
                    for entry in found]  # fmt: skip
            heads = (by, "done", "failed", "retried", "mean wait", "longest wait", "mean run", "longest run")
            yield from table(rows, heads) if rows else [f"Nothing was done in the last {count(hours, 'hour')}."]

        show({"hours": hours, "by": by, "stats": found}, lines)


@queue.command("list")
@QUEUE
@click.option("--only", type=click.Choice((*jobs.OPEN, *CLOSED)), help="In this state; else all that has not ended.")
@LIMIT
def list_jobs(name: str | None, only: str | None, limit: int) -> None:
    """Jobs, in the order in which their turn comes; those that have ended, the latest first."""
    with asked().box() as told:
        zone, now = ZoneInfo(told.box.timezone), datetime.now(UTC)
        _show_jobs(_found(name, only, limit), "Nothing of that.", now, zone)


@queue.command()
@QUEUE
@LIMIT
def failed(name: str | None, limit: int) -> None:
    """The newest failed jobs and their last words."""
    with asked().box() as told:
        zone, now = ZoneInfo(told.box.timezone), datetime.now(UTC)
        _show_jobs(_found(name, "failed", limit), "Nothing has failed.", now, zone)


def _show_jobs(found: list[Job], none: str, now: datetime, zone: ZoneInfo) -> None:
    document = {"jobs": [job_view(job) for job in found]}
    show(document, lambda: job_table(found, now, zone) if found else iter([none]))


@queue.command("show")
@click.argument("job_id", type=JOB, metavar="ID")
def show_job(job_id: int) -> None:
    """One job's whole story."""
    with asked().box() as told:
        job, zone, now = _job(job_id), ZoneInfo(told.box.timezone), datetime.now(UTC)
        show(job_view(job), lambda: story(job, now, zone))


# Asking for something


@queue.command()
@click.argument("which", nargs=-1, required=True, metavar="ID…|all")
@QUEUE
def retry(which: tuple[str, ...], name: str | None) -> None:
    """Give failed jobs another round of tries: by their numbers, or `all`."""
    ids = _ids(which, name)
    with asked().box():
        again = queues.retry_all(datetime.now(UTC), name) if ids is None else _retry(ids)
        show({"retried": again}, lambda: iter([f"{count(again, 'job')} will be tried again."]))


@queue.command()
@click.argument("which", nargs=-1, required=True, metavar="ID…|all")
@QUEUE
@YES
def cancel(which: tuple[str, ...], name: str | None, yes: bool) -> None:
    """Give up work that has not begun: by its numbers, or `all` of one --queue."""
    ids = _ids(which, name)
    if ids is None and name is None:
        raise click.UsageError("name the --queue of which all that has not begun is to be given up")
    with asked().box():
        if ids is None:
            ask_first(f"Give up everything in the queue {name} that has not begun?", yes)
        given_up = _cancel(ids, name)
        words = f"{count(given_up, 'job')} given up; `edge queue list` has the rest."
        show({"cancelled": given_up}, lambda: iter([words]))


@queue.command()
@click.argument("job_id", type=JOB, metavar="ID")
@click.argument("when", metavar="WHEN")
def move(job_id: int, when: str) -> None:
    """Do a job at another time that has not begun yet.

    WHEN: `now`; `+10m`, `+2h` (s, m, h, d); `18:30` by the shop's clock, today or else tomorrow; or a day and time like
    `2026-03-02T18:30`. What lies in the past means now. A moved job is no longer too late for anything.
    """
    with asked().box() as told:
        zone, now = ZoneInfo(told.box.timezone), datetime.now(UTC)
        queues.move(job_id, read_when(when, now, zone), now)
        job = _job(job_id)
        words = "now" if job.run_at <= now else f"at {clock(job.run_at, now, zone)}"
        show(job_view(job), lambda: iter([f"Job {job.id} ({plain(job.name)}) will be done {words}."]))


@queue.command()
@QUEUE
@YES
def clear(name: str | None, yes: bool) -> None:
    """Forget failed jobs for good: nobody can retry them any more."""
    with asked().box():
        there = Job.select().where(jobs.IS_CLOSED, Job.state == "failed", _of(name)).count()
        if there:
            ask_first(f"Forget {count(there, 'failed job')}{f' of {name}' if name else ''} for good?", yes)
        gone = queues.clear(name, datetime.now(UTC))
        show({"cleared": gone}, lambda: iter([f"{count(gone, 'failed job')} forgotten."]))


@queue.command()
def prune() -> None:
    """Forget finished jobs that are older, or more, than [queue] keep_… says; the box does so every hour."""
    with asked().box() as told:
        gone, now = 0, datetime.now(UTC)
        while chunk := desk.prune(now, upkeep.retention(told)):
            gone += chunk
        show({"pruned": gone}, lambda: iter([f"{count(gone, 'finished job')} forgotten."]))


@queue.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(list(jobs.QUEUES)), metavar="QUEUE…")
@click.option("--words", default="", help="Why, for whoever looks.")
def pause(names: tuple[str, ...], words: str) -> None:
    """Take up nothing more of these queues; what runs goes on to its end, and work is still promised."""
    with asked().box():
        for name in names:
            queues.pause(name, words, datetime.now(UTC))
        again = f"`edge queue resume {' '.join(names)}` takes it up again."
        show({"paused": list(desk.paused())}, lambda: iter([f"Nothing more of {', '.join(names)} is begun; {again}"]))


@queue.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice([*jobs.QUEUES, "all"]), metavar="QUEUE…|all")
def resume(names: tuple[str, ...]) -> None:
    """Take paused queues up again."""
    with asked().box():
        chosen = list(desk.paused()) if "all" in names else names
        back = [name for name in chosen if queues.resume(name, datetime.now(UTC))]
        words = f"{', '.join(back)}: taken up again." if back else "Nothing of that was paused."
        show({"resumed": back}, lambda: iter([words]))


queue.add_command(restart)


def _names(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """`--queue sms,emails --queue default`, in that order."""
    names = tuple(name.strip() for text in given for name in text.split(",") if name.strip())
    for name in names:
        if name not in jobs.QUEUES:
            raise click.BadParameter(f"there is no queue {name!r}; there are {', '.join(jobs.QUEUES)}", param=option)
    return names


@queue.command()
@click.option("--once", is_flag=True, help="End when nothing is due any more; else serve until stopped.")
@click.option("--queue", "names", multiple=True, callback=_names, help="Only these: one, or several with commas.")
@click.option("--timeout", "timeout_s", type=click.IntRange(1), help="Seconds an attempt of new work may take.")
@click.option("--tries", type=click.IntRange(1), help="Attempts of new work.")
def work(once: bool, names: tuple[str, ...], timeout_s: int | None, tries: int | None) -> None:
    """Do what is due, here and now; with --once one job after the other, the first queues first."""
    if not once:
        told = asked().settings()
        named = names or tuple(jobs.QUEUES)
        limited = replace(
            told.queue, timeout_s=told.queue.timeout_s | (dict.fromkeys(named, timeout_s) if timeout_s else {}),
            tries=told.queue.tries | (dict.fromkeys(named, tries) if tries else {}),
        )  # fmt: skip
        serve(replace(told, queue=limited), web=False, work=True, queues=names)
        return
    with asked().box() as told:
        done = work_once(told, names)
        show({"done": done}, lambda: iter([f"{count(done, 'job')} done."]))


# Reading what was typed


def read_when(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """`now`, `+10m`, `18:30` (the next time it is so late), or an ISO instant; without offset by the shop's clock."""
    if text == "now":
        return now
    try:
        if ahead := AHEAD.fullmatch(text):
            return now + timedelta(**{UNITS[ahead[2]]: int(ahead[1])})
        if told := TIME_OF_DAY.fullmatch(text):
            today = now.astimezone(zone).replace(hour=int(told[1]), minute=int(told[2]), second=0, microsecond=0)
            return (today if today > now else today + timedelta(days=1)).astimezone(UTC)
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time: write now, +10m, +2h, 18:30 or 2026-03-02T18:30", param_hint="WHEN"
        ) from None


def _ids(which: tuple[str, ...], name: str | None) -> list[int] | None:
    """Job numbers, each once; None for all."""
    if which == ("all",):
        return None
    if name is not None:
        raise click.UsageError("--queue goes with all; numbers name their jobs by themselves")
    if not all(text.isascii() and text.isdecimal() and len(text) < 10 for text in which):
        raise click.UsageError("name jobs by their numbers, or say all")
    return [int(text) for text in dict.fromkeys(which)]


def ask_first(question: str, yes: bool) -> None:
    """Go on only if a person says so, or said so beforehand."""
    if yes:
        return
    if asked().as_json or not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: say --yes")
    if not click.confirm(question):
        raise BadInput("Left as it is.")


# What was found, and what is done with it


def _of(name: str | None) -> Any:
    return SQL("1 = 1") if name is None else Job.queue == name


def _job(job_id: int) -> Job:
    job: Job | None = Job.get_or_none(Job.id == job_id)
    if job is None:
        raise BadInput(f"there is no job {job_id}, or it is forgotten: finished work is kept for a while only", "job")
    return job


def _found(name: str | None, state: str | None, limit: int) -> list[Job]:
    is_closed = state in CLOSED
    found = Job.select().where(jobs.IS_CLOSED if is_closed else jobs.IS_OPEN, _of(name))
    if state is not None:
        found = found.where(Job.state == state)
    nearness = Case(Job.state, (("running", 0), ("waiting", 1)), 2)
    order: tuple[Any, ...] = (nearness, Job.run_at, Job.id)
    if is_closed:
        order = (Job.finished_at.desc(nulls="LAST"), Job.id.desc())
    elif state == "waiting":
        order = (Job.priority.desc(), Job.run_at, Job.id)
    return list(found.order_by(*order).limit(limit))


@transaction
def _retry(ids: list[int]) -> int:
    """All of them, or none."""
    now = datetime.now(UTC)
    for job_id in ids:
        job = _job(job_id)
        if job.state != "failed":
            raise BadInput(f"job {job_id} is {job.state}; only failed jobs are retried: see `edge queue failed`", "job")
        queues.retry(job_id, now)
    return len(ids)


@transaction
def _cancel(ids: list[int] | None, name: str | None) -> int:
    """All of them, or none."""
    if ids is None:
        ids = [job.id for job in Job.select(Job.id).where(Job.state.in_(UNBEGUN), _of(name))]
    for job_id in ids:
        queues.cancel(job_id, datetime.now(UTC))
    return len(ids)


def _figures(since: datetime, by: str, name: str | None) -> list[dict[str, Any]]:
    column = JobMinute.queue if by == "queue" else JobMinute.name
    sums = [fn.SUM(getattr(JobMinute, key)) for key in ("done", "failed", "retried", "wait_s", "run_s")]
    longest = [fn.MAX(JobMinute.wait_max_s), fn.MAX(JobMinute.run_max_s)]
    found = JobMinute.select(column, *sums, *longest).where(JobMinute.minute >= int(since.timestamp() // 60))
    if name is not None:
        found = found.where(JobMinute.queue == name)
    entries = []
    for what, done, failures, retried, wait_s, run_s, wait_max_s, run_max_s in list(found.group_by(column).tuples()):
        attempts = max(1, done + failures + retried)
        entries.append({
            by: what, "done": int(done), "failed": int(failures), "retried": int(retried),
            "wait_mean_s": round(wait_s / attempts, 3), "wait_max_s": round(wait_max_s, 3),
            "run_mean_s": round(run_s / attempts, 3), "run_max_s": round(run_max_s, 3),
        })  # fmt: skip
    order = list(jobs.QUEUES)
    return sorted(entries, key=lambda entry: (order.index(entry[by]) if entry[by] in order else 99, entry[by]))
