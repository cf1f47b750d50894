"""The desk: what a person asks of the ledger. Retry, cancel, move, pause, clear; and what is forgotten when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from peewee import SQL, fn

from edge import jobs
from edge.bell import SCHEDULE
from edge.database import transaction
from edge.errors import BadInput
from edge.models import Batch, Heartbeat, Job, Pause

PERIODIC_FOR = timedelta(days=1)
LONGEST_AHEAD = timedelta(days=366)
BEFORE_US = datetime(2026, 1, 1, tzinfo=UTC)  # finished before the first release: by a wrong clock, so who knows when


@dataclass(frozen=True)
class Retention:
    """How long finished work is remembered, and how much of it a queue."""

    done_for: timedelta = timedelta(days=7)
    done: int = 100
    failed_for: timedelta = timedelta(days=30)
    failed: int = 200


@transaction
def retry(job_ids: Iterable[int] | None, now: datetime) -> int:
    """A person asks again: failed jobs (all of them for None) get one more round of tries.

    Of failed jobs with one key the newest is taken, and none while the same work is under way. Returns how many.
    """
    failed = Job.select().where(Job.state == "failed").order_by(Job.id.desc())
    wanted = None if job_ids is None else set(job_ids)
    chosen = list(failed if wanted is None else failed.where(Job.id.in_(wanted)))
    if wanted is not None and len(chosen) < len(wanted):
        raise BadInput("only failed jobs can be retried; `edge queue failed` lists them", "job")
    again = []
    for job in chosen:
        if job.unique_key is None or not _is_promised(job.unique_key):
            tries = jobs.QUEUES[job.queue].tries if job.queue in jobs.QUEUES else 1
            job.put(
                state="waiting", run_at=now, tries=job.attempt + tries, finished_at=None, not_after=None, deaths=0
            )
            jobs.count_again(job)
            again.append(job.queue)
    jobs.ring(sorted(set(again)))
    return len(again)


def _is_promised(unique_key: str) -> bool:
    return bool(Job.select().where(jobs.IS_OPEN, Job.unique_key == unique_key).exists())


def counts(now: datetime) -> dict[str, dict[str, Any]]:
    """Per queue: jobs in each state and the age of the oldest one waiting, in seconds."""
    table: dict[str, dict[str, Any]] = {
        name: {"name": name, "waiting": 0, "scheduled": 0, "running": 0, "done": 0, "failed": 0, "oldest_s": 0}
        for name in jobs.QUEUES
    }
    for queue, state, count in _finished():
        if queue in table and state in table[queue]:
            table[queue][state] = count
    for state in jobs.OPEN:
        for queue, count, oldest in _open(state):
            if queue in table:
                table[queue][state] = count
                if state == "waiting":
                    table[queue]["oldest_s"] = max(0, round((now - oldest).total_seconds()))
    return table


def _open(state: str) -> list[tuple[str, int, datetime]]:
    """A state at a time: each has an index of its own, whatever the history."""
    found = Job.select(Job.queue, fn.COUNT(Job.id), fn.MIN(Job.run_at)).where(SQL(f"state = '{state}'"))
    return list(found.group_by(Job.queue).tuples())


@transaction
def prune(now: datetime, kept: Retention = Retention(), limit: int = 500) -> int:
    """Forget at most `limit` finished jobs that nobody will ask about any more; returns how many went.

    Once in a while by the chunk: one long transaction would make guests wait.
    """
    old = Job.select(Job.id).where(
        jobs.IS_CLOSED,
        Job.finished_at > BEFORE_US,
        (Job.state.in_(("done", "cancelled")) & (Job.finished_at < now - kept.done_for))
        | ((Job.state == "failed") & (Job.finished_at < now - kept.failed_for))
        | ((Job.state == "done") & Job.once_key.startswith("cron:") & (Job.finished_at < now - PERIODIC_FOR)),
    )
    gone = int(Job.delete().where(Job.id.in_(old.limit(limit))).execute())
    for queue, state, count in _finished():
        most = kept.failed if state == "failed" else kept.done
        if gone < limit and count > most:
            gone += _forget_oldest(queue, state, min(count - most, limit - gone))
    Batch.delete().where(Batch.finished_at < now - max(kept.done_for, kept.failed_for)).execute()
    return gone


def _finished() -> list[tuple[str, str, int]]:
    grouped = Job.select(Job.queue, Job.state, fn.COUNT(Job.id)).where(jobs.IS_CLOSED)
    return list(grouped.group_by(Job.queue, Job.state).tuples())


def _forget_oldest(queue: str, state: str, count: int) -> int:
    finished = Job.select(Job.id).where(jobs.IS_CLOSED, Job.queue == queue, Job.state == state)
    oldest = finished.order_by(Job.finished_at, Job.id).limit(count)
    return int(Job.delete().where(Job.id.in_(oldest)).execute())


@transaction
def cancel(job_id: int, now: datetime) -> Job:
    """Nobody needs it any more. BadInput when it runs already, or has ended."""
    job = _unbegun(job_id)
    jobs.end_unbegun(job, "cancelled", now)
    return job


@transaction
def move(job_id: int, at: datetime, now: datetime) -> Job:
    """Do it at `at` instead; now when that is past. BadInput when it runs already, has ended, or for years ahead."""
    job = _unbegun(job_id)
    if at > now + LONGEST_AHEAD:
        raise BadInput("that is more than a year away", "at")
    job.put(run_at=at, state="waiting" if at <= now else "scheduled", not_after=None)
    jobs.ring([job.queue] if at <= now else [SCHEDULE])
    return job


def _unbegun(job_id: int) -> Job:
    job: Job | None = Job.get_or_none(Job.id == job_id)
    if job is None:
        raise BadInput(f"there is no job {job_id}", "job")
    if job.state not in ("scheduled", "waiting"):
        words = "is being worked on" if job.state == "running" else f"has ended: {job.state}"
        raise BadInput(f"job {job_id} {words}", "job")
    return job


@transaction
def clear(queue: str | None, now: datetime) -> int:
    """Forget the failed jobs of this queue (None: of all), for good. Returns how many."""
    known(queue)
    of_queue = (Job.queue == queue) if queue is not None else SQL("1 = 1")
    return int(Job.delete().where(Job.state == "failed", of_queue).execute())


@transaction
def pause(queue: str, words: str, now: datetime) -> None:
    """Nothing of this queue is taken up until `resume`; what runs goes on to its end, and work is still promised."""
    known(queue)
    Pause.create_unless_there(queue=queue, at=now, words=words[:200])


@transaction
def resume(queue: str, now: datetime) -> bool:
    """Take it up again; False when it was not paused."""
    known(queue)
    jobs.ring([queue])
    return bool(Pause.delete().where(Pause.queue == queue).execute())


def paused() -> dict[str, Pause]:
    """The queues that are paused, by name."""
    return {pause.queue: pause for pause in Pause.select()}


def known(queue: str | None) -> None:
    """BadInput when there is no such queue."""
    if queue is not None and queue not in jobs.QUEUES:
        raise BadInput(f"there is no queue {queue!r}; there are {', '.join(jobs.QUEUES)}", "queue")


@transaction
def ask_restart(now: datetime) -> int:
    """Every worker process finishes what it has in hand and starts anew, with the settings read again; how many."""
    asked = Heartbeat.update(restart_asked_at=now).execute()
    jobs.ring(list(jobs.QUEUES))
    return int(asked)
