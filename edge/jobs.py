"""The ledger of work: promise, claim, finish, put back, give up, rescue. A row survives what a message does not."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from peewee import fn

from edge.bell import bell
from edge.database import db, transaction
from edge.errors import BadInput, EdgeError
from edge.models import Job

OPEN = ("scheduled", "waiting", "running")
LEASE = timedelta(seconds=60)
HIGH, NORMAL, LOW = 10, 0, -10


@dataclass(frozen=True)
class Queue:
    """One named lane of work and its defaults; `backoff_s[n-1]` follows attempt n."""

    name: str
    workers: int
    timeout_s: int
    tries: int
    backoff_s: tuple[int, ...] = ()


QUEUES: dict[str, Queue] = {
    queue.name: queue
    for queue in (
        Queue("payments", 4, 120, 3, (10, 30, 60)),
        Queue("provisioning", 3, 60, 5, (5, 15, 30, 60, 120)),
        Queue("sms", 3, 30, 3, (5, 5, 5)),
        Queue("push", 5, 30, 3, (2, 4, 8)),
        Queue("emails", 5, 120, 3, (2, 4, 8)),
        Queue("notifications", 1, 30, 3, (2, 4, 8)),
        Queue("photos", 1, 300, 3, (2, 4, 8)),
        Queue("downloads", 1, 600, 2, (2, 4)),
        Queue("default", 2, 60, 3, (2, 4, 8)),
        Queue("router-checks", 2, 30, 1),
        Queue("router-data", 3, 60, 1),
        Queue("log-rotation", 1, 300, 1),
    )
}


def set_workers(counts: dict[str, int]) -> None:
    """Take the numbers of workers that the settings name."""
    for name, count in counts.items():
        QUEUES[name] = replace(QUEUES[name], workers=count)


class NotYours(EdgeError):
    """Somebody else owns this job now; whatever was to be written with it is rolled back."""


@transaction
def promise(
    name: str,
    queue: str,
    now: datetime,
    *,
    args: dict[str, Any] | None = None,
    run_at: datetime | None = None,
    priority: int = NORMAL,
    lane: str | None = None,
    unique_key: str | None = None,
    once_key: str | None = None,
    cause: str = "",
) -> int | None:
    """Write down work in the caller's transaction; None when the same key is promised already."""
    kind = QUEUES[queue]
    at = run_at or now
    row = Job.insert(
        name=name, queue=queue, args=args or {}, state="waiting" if at <= now else "scheduled", priority=priority,
        run_at=at, tries=kind.tries, backoff=list(kind.backoff_s), timeout_s=kind.timeout_s, lane=lane,
        unique_key=unique_key, once_key=once_key, cause=cause, created_at=now,
    ).on_conflict_ignore().returning(Job.id).execute()  # fmt: skip
    found = [job.id for job in row]
    if found and at <= now:
        db.after_commit(lambda: bell.ring([queue]))
    return found[0] if found else None


CLAIM = """
UPDATE jobs SET state = 'running', attempt = attempt + 1, holder = ?, lease_until = ?, started_at = ?
WHERE id = (
  SELECT j.id FROM jobs j WHERE j.state = 'waiting' AND j.queue = ? AND j.run_at <= ?
    AND (j.lane IS NULL OR NOT EXISTS (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.lane = j.lane))
  ORDER BY j.priority DESC, j.run_at, j.id LIMIT 1)
RETURNING id
"""


def is_work_waiting(queue: str, now: datetime) -> bool:
    """A look that takes no lock: is a claim worth trying?"""
    return Job.select().where(Job.state == "waiting", Job.queue == queue, Job.run_at <= now).exists()


@transaction
def claim(queue: str, holder: str, now: datetime) -> Job | None:
    """Become the only worker of the next job that is due; durable on disk before any device is asked."""
    lease = (now + LEASE).timestamp()
    rows = db.execute_sql(CLAIM, (holder, lease, now.timestamp(), queue, now.timestamp())).fetchall()
    return Job.get_by_id(rows[0][0]) if rows else None


@transaction
def finish(job: Job, write_down: Callable[[], object] | None, now: datetime) -> None:
    """Close the job in one transaction with what came of it; NotYours undoes both."""
    _close(job, "done", now, job.errors)
    if write_down is not None:
        write_down()


@transaction
def put_back(job: Job, words: str, now: datetime, given_up: Callable[[], object] | None = None) -> str:
    """After an attempt that did nothing: later by the back-off, or `failed` when the tries are used up."""
    errors = [*job.errors, _note(job, words, now)]
    if job.attempt >= job.tries:
        _close(job, "failed", now, errors)
        if given_up is not None:
            given_up()
        return "failed"
    pause = job.backoff[min(job.attempt, len(job.backoff)) - 1] if job.backoff else 0
    _reopen(job, now + timedelta(seconds=pause), now, errors=errors)
    return "scheduled"


@transaction
def snooze(job: Job, until: datetime, now: datetime) -> None:
    """Later, and no try is spent: somebody else's turn, a rate limit, not decided yet."""
    _reopen(job, until, now, tries=Job.tries + 1)


@transaction
def give_up(job: Job, words: str, now: datetime, write_down: Callable[[], object] | None = None) -> None:
    """It said no, or nobody knows: close as failed together with what that means."""
    _close(job, "failed", now, [*job.errors, _note(job, words, now)])
    if write_down is not None:
        write_down()


@transaction
def promote(now: datetime) -> list[str]:
    """Scheduled work whose time has come is waiting now; returns the queues to wake."""
    due = Job.update(state="waiting").where(Job.state == "scheduled", Job.run_at <= now)
    queues = sorted({job.queue for job in due.returning(Job.queue).execute()})
    if queues:
        db.after_commit(lambda: bell.ring(queues))
    return queues


def is_promotion_due(now: datetime) -> bool:
    """A look that takes no lock: has any scheduled job come due?"""
    return Job.select().where(Job.state == "scheduled", Job.run_at <= now).exists()


def next_due(now: datetime) -> float | None:
    """Seconds until the next scheduled job; None when there is none."""
    at = Job.select(fn.MIN(Job.run_at)).where(Job.state == "scheduled").scalar()
    return None if at is None else max(0.0, (at - now).total_seconds())


@transaction
def renew(holder: str, now: datetime) -> None:
    """One statement keeps every lease of this process alive."""
    Job.update(lease_until=now + LEASE).where(Job.state == "running", Job.holder == holder).execute()


@transaction
def rescue(
    orphans: Iterable[Job],
    is_repeatable: Callable[[str], bool],
    unconfirmed: Callable[[Job], object],
    given_up: Callable[[Job], object],
    now: datetime,
) -> int:
    """Work whose holder died: harmless to repeat → waiting again with its old place; the rest is a question."""
    count = 0
    for job in orphans:
        count += 1
        errors = [*job.errors, _note(job, "the worker died during this attempt", now)]
        if not is_repeatable(job.name):
            _close(job, "failed", now, errors)
            unconfirmed(job)
        elif job.attempt >= job.tries:
            _close(job, "failed", now, errors)
            given_up(job)
        else:
            _reopen(job, job.run_at, now, errors=errors)
    return count


def orphans(is_alive: Callable[[str], bool]) -> list[Job]:
    """Running jobs whose holder no longer lives on this machine (beyond one machine, leases will tell)."""
    return [
        job
        for job in Job.select().where(Job.state == "running")
        if not is_alive(job.holder or "")
    ]


@transaction
def retry(job_ids: Iterable[int] | None, now: datetime) -> int:
    """A person asks again: failed jobs (all of them for None) get one more round of tries."""
    failed = Job.select().where(Job.state == "failed")
    chosen = list(failed if job_ids is None else failed.where(Job.id.in_(list(job_ids))))
    if job_ids is not None and len(chosen) < len(set(job_ids)):
        raise BadInput("only failed jobs can be retried; `edge queue failed` lists them", "job")
    for job in chosen:
        job.put(state="waiting", run_at=now, tries=job.attempt + QUEUES[job.queue].tries, finished_at=None, holder=None)
    queues = {job.queue for job in chosen}
    db.after_commit(lambda: bell.ring(queues))
    return len(chosen)


def counts(now: datetime) -> dict[str, dict[str, Any]]:
    """Per queue: jobs in each state and the age of the oldest one waiting, in seconds."""
    table: dict[str, dict[str, Any]] = {
        name: {"name": name, "waiting": 0, "scheduled": 0, "running": 0, "done": 0, "failed": 0, "oldest_s": 0}
        for name in QUEUES
    }
    grouped = Job.select(Job.queue, Job.state, fn.COUNT(Job.id).alias("n"), fn.MIN(Job.run_at).alias("oldest"))
    for row in grouped.group_by(Job.queue, Job.state).dicts():
        entry = table.get(row["queue"])
        if entry is not None and row["state"] in entry:
            entry[row["state"]] = row["n"]
            if row["state"] == "waiting":
                entry["oldest_s"] = max(0, round((now - _instant(row["oldest"])).total_seconds()))
    return table


@transaction
def prune(now: datetime, done_after: timedelta = timedelta(days=7), failed_after: timedelta = timedelta(days=30)) -> int:
    """Forget finished work that nobody will ask about any more."""
    gone = 0
    for states, age in ((("done", "cancelled"), done_after), (("failed",), failed_after)):
        gone += Job.delete().where(Job.state.in_(states), Job.finished_at < now - age).execute()
    return gone


def _close(job: Job, state: str, now: datetime, errors: list[Any]) -> None:
    """The fence: only the attempt that runs may end the job. Its lane is free, so everybody looks."""
    changed = (
        Job.update(state=state, finished_at=now, errors=errors, holder=None, lease_until=None)
        .where(Job.id == job.id, Job.attempt == job.attempt, Job.state == "running")
        .execute()
    )
    if changed != 1:
        raise NotYours(f"job {job.id} ({job.name}) is no longer ours")
    if job.lane is not None:
        db.after_commit(lambda: bell.ring([job.queue]))


def _reopen(job: Job, run_at: datetime, now: datetime, **columns: Any) -> None:
    changed = (
        Job.update(
            state="waiting" if run_at <= now else "scheduled", run_at=run_at, holder=None, lease_until=None, **columns
        )
        .where(Job.id == job.id, Job.attempt == job.attempt, Job.state == "running")
        .execute()
    )
    if changed != 1:
        raise NotYours(f"job {job.id} ({job.name}) is no longer ours")
    db.after_commit(lambda: bell.ring([job.queue]))


def _note(job: Job, words: str, now: datetime) -> dict[str, Any]:
    return {"attempt": job.attempt, "at": now.isoformat(), "words": words[:500]}


def _instant(value: datetime | float) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
