"""The ledger of work: promise, claim, finish, put back, give up, rescue. A row survives what a message does not."""

import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from peewee import SQL, fn

from edge.bell import bell
from edge.database import db, is_storage_fault, transaction
from edge.errors import BadInput, EdgeError
from edge.models import Job

log = logging.getLogger("edge.jobs")

OPEN = ("scheduled", "waiting", "running")
LEASE = timedelta(seconds=60)
HIGH, NORMAL, LOW = 10, 0, -10
ERRORS_KEPT = 20
DONE_FOR, FAILED_FOR, PERIODIC_FOR = timedelta(days=7), timedelta(days=30), timedelta(days=1)
CLOCK_SLACK = timedelta(minutes=1)

# In SQLite's own words: the planner takes a partial index only where the query repeats its condition.
IS_OPEN = SQL("state IN ('scheduled', 'waiting', 'running')")
IS_CLOSED = SQL("state IN ('done', 'failed', 'cancelled')")


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
        if name not in QUEUES or count < 1:
            known = ", ".join(QUEUES)
            raise BadInput(f"[queue.workers] {name} = {count}: name one of {known}, with at least 1", "workers")
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
    timeout_s: int | None = None,
) -> int | None:
    """Write down work in the caller's transaction; None when the same key is promised already.

    `timeout_s` is for work that takes longer than its queue's other work.
    """
    kind = QUEUES[queue]
    at = run_at or now
    row = Job.create_unless_there(
        name=name, queue=queue, args=args or {}, state="waiting" if at <= now else "scheduled", priority=priority,
        run_at=at, tries=kind.tries, backoff=list(kind.backoff_s), timeout_s=timeout_s or kind.timeout_s,
        lane=lane,
        unique_key=unique_key, once_key=once_key, cause=cause, created_at=now,
    )  # fmt: skip
    if row is not None and at <= now:
        _ring([queue])
    return None if row is None else int(row.id)


# `waiting` means its time has come, so the clock is not asked again: one that steps back would hide the row.
NEXT = """
SELECT j.id FROM jobs j WHERE j.state = 'waiting' AND j.queue = ?
  AND (j.lane IS NULL OR NOT EXISTS (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.lane = j.lane))
ORDER BY j.priority DESC, j.run_at, j.id LIMIT 1
"""
CLAIM = f"""
UPDATE jobs SET state = 'running', attempt = attempt + 1, holder = ?, lease_until = ?, started_at = ?
WHERE id = ({NEXT}) RETURNING id
"""


def is_work_waiting(queue: str) -> bool:
    """A look that takes no lock: is a claim worth trying?"""
    return bool(db.execute_sql(NEXT, (queue,)).fetchall())


@transaction
def claim(queue: str, holder: str, now: datetime) -> Job | None:
    """Become the only worker of the next job that is due; durable on disk before any device is asked."""
    rows = db.execute_sql(CLAIM, (holder, (now + LEASE).timestamp(), now.timestamp(), queue)).fetchall()
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
    if job.attempt >= job.tries:
        _close(job, "failed", now, _errors(job, words, now))
        _tell(job, given_up)
        return "failed"
    _reopen(job, now + timedelta(seconds=pause_s(job)), now, errors=_errors(job, words, now))
    return "scheduled"


def pause_s(job: Job) -> int:
    """The back-off after this attempt, in seconds; what was snoozed or retried by hand does not count."""
    given = QUEUES[job.queue].tries if job.queue in QUEUES else job.tries
    spent = max(1, job.attempt - (job.tries - given))
    return int(job.backoff[min(spent, len(job.backoff)) - 1]) if job.backoff else 0


@transaction
def snooze(job: Job, until: datetime, now: datetime) -> None:
    """Later, and no try is spent: somebody else's turn, a rate limit, not decided yet."""
    _reopen(job, until, now, tries=Job.tries + 1)


@transaction
def give_up(job: Job, words: str, now: datetime, write_down: Callable[[], object] | None = None) -> None:
    """It said no, or nobody knows: close as failed together with what that means."""
    _close(job, "failed", now, _errors(job, words, now))
    _tell(job, write_down)


@transaction
def cancel(unique_key: str, now: datetime) -> bool:
    """Nobody needs this work any more. What runs already is left to its end; False when there was nothing."""
    open_one = (IS_OPEN, Job.unique_key == unique_key, Job.state != "running")
    return bool(Job.update(state="cancelled", finished_at=now).where(*open_one).execute())


@transaction
def hurry(lane: str, now: datetime) -> int:
    """What waits out a back-off in this lane is due now: its device is back. Returns how many."""
    tired = Job.update(state="waiting", run_at=now).where(
        Job.state == "scheduled", Job.lane == lane, Job.attempt > 0
    )
    queues = [job.queue for job in tired.returning(Job.queue).execute()]
    _ring(sorted(set(queues)))
    return len(queues)


@transaction
def promote(now: datetime) -> list[str]:
    """Scheduled work whose time has come is waiting now; returns the queues to wake."""
    due = Job.update(state="waiting").where(Job.state == "scheduled", Job.run_at <= now)
    queues = sorted({job.queue for job in due.returning(Job.queue).execute()})
    _ring(queues)
    return queues


def is_promotion_due(now: datetime) -> bool:
    """A look that takes no lock: has any scheduled job come due?"""
    return bool(Job.select().where(Job.state == "scheduled", Job.run_at <= now).exists())


def next_due(now: datetime) -> float | None:
    """Seconds until the next scheduled job; None when there is none."""
    at: datetime | None = Job.select(fn.MIN(Job.run_at)).where(Job.state == "scheduled").scalar()
    return None if at is None else max(0.0, (at - now).total_seconds())


@transaction
def mend_delays(now: datetime) -> int:
    """Work put off under a clock that ran ahead would wait for years: it gets the delay that was meant."""
    instant = now.timestamp()
    anchor = fn.MAX(Job.created_at, fn.COALESCE(Job.started_at, 0.0))
    ahead = (Job.state == "scheduled", anchor > instant + CLOCK_SLACK.total_seconds())
    return int(
        Job.update(
            run_at=Job.run_at - anchor + instant, created_at=fn.MIN(Job.created_at, instant),
            started_at=fn.MIN(Job.started_at, instant),
        ).where(*ahead).execute()
    )  # fmt: skip


@transaction
def renew(holder: str, now: datetime) -> None:
    """One statement keeps every lease of this process alive."""
    Job.update(lease_until=now + LEASE).where(Job.state == "running", Job.holder == holder).execute()


def orphans(is_alive: Callable[[str], bool]) -> list[Job]:
    """Running jobs whose holder no longer lives on this machine (beyond one machine, leases will tell)."""
    return [job for job in list(Job.select().where(Job.state == "running")) if not is_alive(job.holder or "")]


def rescue(
    orphans: Iterable[Job],
    is_repeatable: Callable[[str], bool],
    unconfirmed: Callable[[Job], object],
    given_up: Callable[[Job], object],
    now: datetime,
) -> int:
    """Work whose holder died: harmless to repeat → waiting again with its old place; the rest is a question.

    Each in a transaction of its own, so that one which can't be taken up keeps nobody else waiting.
    """
    count = 0
    for job in orphans:
        with contextlib.suppress(NotYours):  # another process was first
            verdict = given_up if is_repeatable(job.name) else unconfirmed
            _rescue(job, is_repeatable(job.name), partial(verdict, job), now)
            count += 1
    return count


@transaction
def _rescue(job: Job, repeatable: bool, verdict: Callable[[], object], now: datetime) -> None:
    errors = _errors(job, "the worker died during this attempt", now)
    if repeatable and job.attempt < job.tries:
        _reopen(job, job.run_at if job.run_at <= now else now, now, errors=errors)
    else:
        _close(job, "failed", now, errors)
        _tell(job, verdict)


@transaction
def retry(job_ids: Iterable[int] | None, now: datetime) -> int:
    """A person asks again: failed jobs (all of them for None) get one more round of tries.

    Of failed jobs with one key the newest is taken, and none while the same work is under way. Returns how many.
    """
    failed = Job.select().where(Job.state == "failed")
    wanted = None if job_ids is None else set(job_ids)
    chosen = [job for job in failed.order_by(Job.id.desc()) if wanted is None or job.id in wanted]
    if wanted is not None and len(chosen) < len(wanted):
        raise BadInput("only failed jobs can be retried; `edge queue failed` lists them", "job")
    again = []
    for job in chosen:
        if job.unique_key is None or not _is_promised(job.unique_key):
            tries = QUEUES[job.queue].tries if job.queue in QUEUES else 1
            job.put(state="waiting", run_at=now, tries=job.attempt + tries, finished_at=None)
            again.append(job.queue)
    _ring(sorted(set(again)))
    return len(again)


def _is_promised(unique_key: str) -> bool:
    return bool(Job.select().where(IS_OPEN, Job.unique_key == unique_key).exists())


def counts(now: datetime) -> dict[str, dict[str, Any]]:
    """Per queue: jobs in each state and the age of the oldest one waiting, in seconds."""
    table: dict[str, dict[str, Any]] = {
        name: {"name": name, "waiting": 0, "scheduled": 0, "running": 0, "done": 0, "failed": 0, "oldest_s": 0}
        for name in QUEUES
    }
    for queue, state, count, oldest in [*_counted(IS_CLOSED), *_counted(IS_OPEN)]:
        entry = table.get(queue)
        if entry is not None and state in entry:
            entry[state] = count
            if state == "waiting":
                entry["oldest_s"] = max(0, round((now - oldest).total_seconds()))
    return table


def _counted(condition: SQL) -> list[tuple[str, str, int, datetime]]:
    """Open and closed apart: each has an index that holds the answer."""
    since = fn.MIN(Job.run_at) if condition is IS_OPEN else fn.COUNT(Job.id)
    grouped = Job.select(Job.queue, Job.state, fn.COUNT(Job.id), since).where(condition)
    return list(grouped.group_by(Job.queue, Job.state).tuples())


@transaction
def prune(now: datetime, limit: int = 500) -> int:
    """Forget at most `limit` finished jobs that nobody will ask about any more; returns how many went.

    Once in a while by the chunk: one long transaction would make guests wait.
    """
    old = Job.select(Job.id).where(
        IS_CLOSED,
        (Job.state.in_(("done", "cancelled")) & (Job.finished_at < now - DONE_FOR))
        | ((Job.state == "failed") & (Job.finished_at < now - FAILED_FOR))
        | ((Job.state == "done") & Job.once_key.startswith("cron:") & (Job.finished_at < now - PERIODIC_FOR)),
    )
    return int(Job.delete().where(Job.id.in_(old.limit(limit))).execute())


def _close(job: Job, state: str, now: datetime, errors: list[Any]) -> None:
    """The fence: only the attempt that runs may end the job."""
    _change(job, state=state, finished_at=now, errors=errors)


def _reopen(job: Job, run_at: datetime, now: datetime, **columns: Any) -> None:
    _change(job, state="waiting" if run_at <= now else "scheduled", run_at=run_at, **columns)
    if run_at <= now:
        _ring([job.queue])


def _change(job: Job, **columns: Any) -> None:
    changed = (
        Job.update(holder=None, lease_until=None, **columns)
        .where(Job.id == job.id, Job.attempt == job.attempt, Job.state == "running")
        .execute()
    )
    if changed != 1:
        raise NotYours(f"job {job.id} ({job.name}) is no longer ours")
    if job.lane is not None:  # the lane is free: whoever waits for it looks, in whichever queue
        waiting = Job.select(Job.queue).where(Job.state == "waiting", Job.lane == job.lane).distinct()
        _ring([row.queue for row in waiting])


def _tell(job: Job, verdict: Callable[[], object] | None) -> None:
    """What the end of a job means. A verdict that breaks must not keep the job open for ever."""
    if verdict is None:
        return
    try:
        with db.savepoint():
            verdict()
    except Exception as reason:
        if is_storage_fault(reason):
            raise
        log.exception("the end of job %s (%s) could not be told", job.id, job.name)


def _ring(queues: list[str]) -> None:
    """After the commit, and only the bell: whatever raised there would deny what is in the books."""
    if queues:
        db.after_commit(partial(bell.ring, queues))


def _errors(job: Job, words: str, now: datetime) -> list[dict[str, Any]]:
    note = {"attempt": job.attempt, "at": now.isoformat(), "words": words[:500]}
    return [*job.errors, note][-ERRORS_KEPT:]
