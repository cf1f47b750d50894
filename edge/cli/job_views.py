"""Jobs, pauses and providers as the command line tells them: JSON for programs, lines for people."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge import jobs
from edge.cli.command import cut, table
from edge.models import Batch, Heartbeat, Job, Pause
from edge.pages.staff_words import clock, job_name, plain
from edge.pages.views import show_instant

PRIORITIES = {jobs.HIGH: "high", jobs.NORMAL: "normal", jobs.LOW: "low"}
LONGEST_WORDS = 70


def job_view(job: Job) -> dict[str, Any]:
    """One job with all that is known of it; instants in ISO 8601 UTC."""
    return {
        "id": job.id, "queue": job.queue, "name": job.name, "state": job.state, "cause": job.cause, "args": job.args,
        "priority": job.priority, "lane": job.lane, "unique_key": job.unique_key, "attempt": job.attempt,
        "tries": job.tries, "timeout_s": job.timeout_s, "deaths": job.deaths, "holder": job.holder,
        "progress": job.progress, "progress_words": job.progress_words, "batch_id": job.batch_id, "trace": job.trace,
        "created_at": show_instant(job.created_at), "run_at": show_instant(job.run_at),
        "not_after": show_instant(job.not_after), "started_at": show_instant(job.started_at),
        "finished_at": show_instant(job.finished_at), "error": job.errors[-1]["words"] if job.errors else "",
        "errors": job.errors,
    }  # fmt: skip


def job_table(found: list[Job], now: datetime, zone: ZoneInfo) -> Iterator[str]:
    """Jobs, one a line."""
    rows = [
        (job.id, job.queue, plain(job.name), plain(job.cause), _standing(job), clock(_when(job), now, zone),
         f"{job.attempt}/{job.tries}", cut(_last_words(job), LONGEST_WORDS)) for job in found
    ]  # fmt: skip
    return table(rows, ("id", "queue", "job", "cause", "state", "when", "tries", "last words"))


def _standing(job: Job) -> str:
    return f"running {job.progress} %" if job.state == "running" and job.progress is not None else str(job.state)


def _when(job: Job) -> datetime:
    """What one wants to know of a job: when it is due, since when it runs, or when it ended."""
    known = {"scheduled": job.run_at, "waiting": job.run_at, "running": job.started_at}.get(job.state, job.finished_at)
    instant: datetime = known or job.created_at
    return instant


def _last_words(job: Job) -> str:
    return plain(job.errors[-1]["words"]) if job.errors else ""


def status_lines(document: dict[str, Any], pauses: dict[str, Pause], now: datetime, zone: ZoneInfo) -> Iterator[str]:
    """The queues as a table, and what a person should know of them."""
    columns = ("name", "waiting", "scheduled", "running", "done", "failed", "oldest", "workers", "")
    rows = [
        (entry["name"], entry["waiting"], entry["scheduled"], entry["running"], entry["done"], entry["failed"],
         span(entry["oldest_s"]), entry["workers"], "paused" if entry["name"] in pauses else "")
        for entry in document["queues"]
    ]  # fmt: skip
    yield from table(rows, columns)
    for pause in pauses.values():
        why = f" ({plain(pause.words)})" if pause.words else ""
        yield f"{pause.queue} is paused since {clock(pause.at, now, zone)}{why}: `edge queue resume {pause.queue}`"
    yield from (plain(note) for note in document["notes"])
    yield from (f"not healthy: {plain(reason)}" for reason in document["reasons"])
    if document["healthy"]:
        yield "healthy"


def story(job: Job, now: datetime, zone: ZoneInfo) -> Iterator[str]:
    """What it is, where it stands, and everything that happened to it, in the order of time."""
    yield f"Job {job.id}: {job_name(job.name)}"
    facts = [
        ("work", f"{plain(job.name)} {_arguments(job)}".rstrip()), ("queue", job.queue),
        ("state", _state_words(job, now, zone)), ("cause", plain(job.cause)),
        ("priority", PRIORITIES.get(job.priority, str(job.priority))),
        ("lane", f"{plain(job.lane)}, of which one runs at a time" if job.lane else ""),
        ("key", plain(job.unique_key or "")), ("batch", _batch_words(job)),
        ("tries", f"{job.attempt} of {job.tries}, each for {span(job.timeout_s)} at most"),
        ("progress", "" if job.progress is None else f"{job.progress} % {plain(job.progress_words)}".rstrip()),
        ("not after", "" if job.not_after is None else clock(job.not_after, now, zone)),
        ("deaths", f"{count(job.deaths, 'worker')} died in the middle of it" if job.deaths else ""),
        ("trace", job.trace),
    ]  # fmt: skip
    for label, words in facts:
        if words:
            yield f"  {label:10}{words}"
    yield ""
    for at, words in sorted(_steps(job, now), key=lambda step: step[0]):
        yield f"{clock(at, now, zone)}  {words}"


def _arguments(job: Job) -> str:
    return plain(", ".join(f"{key} {value}" for key, value in job.args.items()))


def _state_words(job: Job, now: datetime, zone: ZoneInfo) -> str:
    when = clock(_when(job), now, zone)
    if job.state == "scheduled":
        return f"scheduled, due {when}"
    if job.state == "waiting":
        return f"waiting since {when}{_why_waiting(job)}"
    if job.state == "running":
        beat = Heartbeat.get_or_none(Heartbeat.holder == job.holder)
        return f"running since {when}" + (f", by process {beat.pid} on {plain(beat.host)}" if beat is not None else "")
    return f"{job.state} {when}"


def _why_waiting(job: Job) -> str:
    if Pause.get_or_none(Pause.queue == job.queue) is not None:
        return f": the queue is paused, `edge queue resume {job.queue}`"
    ahead = None if job.lane is None else Job.get_or_none(Job.state == "running", Job.lane == job.lane)
    return "" if ahead is None else f": its lane is busy with job {ahead.id}"


def _batch_words(job: Job) -> str:
    batch = None if job.batch_id is None else Batch.get_or_none(Batch.id == job.batch_id)
    if batch is None:
        return ""
    return f"{batch.id} {plain(batch.name)}: {batch.total - batch.open} of {batch.total} ended, {batch.failed} not done"


def _steps(job: Job, now: datetime) -> Iterator[tuple[datetime, str]]:
    yield job.created_at, "promised"
    if job.started_at is not None:
        yield job.started_at, f"attempt {job.attempt} began"
    for note in job.errors:
        yield datetime.fromisoformat(note["at"]), f"attempt {note['attempt']}: {plain(note['words'])}"
    if job.finished_at is not None:
        yield job.finished_at, job.state
    elif job.state == "scheduled":
        yield max(job.run_at, now), f"attempt {job.attempt + 1} is due"


def span(seconds: float | None) -> str:
    """A length of time as short as it can be told: 0.012 → `12 ms`, 75 → `1 min 15 s`; nothing for none."""
    if not seconds:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join([f"{number} {unit}" for number, unit in parts if number][:2])


def count(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"

