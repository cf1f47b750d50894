"""The ledger of work: promise, claim, finish, put back, give up, rescue. A row survives what a message does not."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from peewee import SQL, fn

from edge import database, trace
from edge.bell import SCHEDULE, bell
from edge.database import db, is_storage_fault, transaction
from edge.errors import BadInput, EdgeError, NotDurable
from edge.models import Batch, Job

log = logging.getLogger("edge.jobs")
T = TypeVar("T")

OPEN = ("scheduled", "waiting", "running")
LEASE = timedelta(seconds=60)
HIGH, NORMAL, LOW = 10, 0, -10
ERRORS_KEPT = 20
TOO_LATE = "It was to be done at {} UTC, and could not be. Retry it if it is still wanted; else clear it."
DEATHS = 3  # of worker processes in the middle of one job; then it is parked
APART = timedelta(seconds=3)  # between those who died together before the last time: one of them killed the others
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


def configure(
    workers: dict[str, int], timeout_s: dict[str, int], tries: dict[str, int], backoff_s: dict[str, tuple[int, ...]]
) -> None:
    """Take what the settings say of the queues; BadInput names a queue that is none."""
    for key, given in (("workers", workers), ("timeout_s", timeout_s), ("tries", tries)):
        for name, value in given.items():
            _check_queue(key, name, value, least=1)
    for name, pauses in backoff_s.items():
        _check_queue("backoff_s", name, min(pauses, default=0), least=0)
    for name, queue in QUEUES.items():
        QUEUES[name] = replace(
            queue, workers=workers.get(name, queue.workers), timeout_s=timeout_s.get(name, queue.timeout_s),
            tries=tries.get(name, queue.tries), backoff_s=backoff_s.get(name, queue.backoff_s),
        )  # fmt: skip


def _check_queue(key: str, name: str, value: int, least: int) -> None:
    if name not in QUEUES or value < least:
        raise BadInput(f"[queue.{key}] {name} = {value}: name one of {', '.join(QUEUES)}, with at least {least}", key)


def set_workers(counts: dict[str, int]) -> None:
    """Take the numbers of workers that the settings name."""
    configure(counts, {}, {}, {})


# To be asked, in the transaction that ends a job, for the next one; told whether that transaction is flushed.
Ahead = Callable[[bool], Job | None]


class NotYours(EdgeError):
    """Somebody else owns this job now; whatever was to be written with it is rolled back."""


# One statement, and not Peewee's: everything that is sold, sent or checked passes here.
PROMISE = """
INSERT OR IGNORE INTO jobs (queue, name, args, state, priority, run_at, attempt, tries, backoff, timeout_s, lane,
  unique_key, once_key, cause, errors, created_at, trace, deaths, not_after, batch_id, progress_words)
VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, '[]', ?, ?, 0, ?, ?, '') RETURNING id
"""


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
    not_after: datetime | None = None,
    batch: Batch | None = None,
) -> int | None:
    """Write down work in the caller's transaction; None when the same key is promised already.

    `timeout_s` is for work that takes longer than its queue's other work. Whatever could not begin until
    `not_after` asks a person before it is done.
    """
    kind = QUEUES[queue]
    at = run_at or now
    row = db.execute_sql(
        PROMISE,
        (
            queue, name, _words(args or {}), "waiting" if at <= now else "scheduled", priority, at.timestamp(),
            kind.tries, _words(kind.backoff_s), timeout_s or kind.timeout_s, lane, unique_key, once_key, cause,
            now.timestamp(), trace.current() or trace.new(), not_after and not_after.timestamp(), batch and batch.id,
        ),
    ).fetchone()  # fmt: skip
    if row is None:
        return None
    if batch is not None:
        _count_in(batch)
    ring([queue] if at <= now else [SCHEDULE])
    return int(row[0])


_words = json.JSONEncoder(separators=(",", ":"), default=str).encode


# `waiting` means its time has come, so the clock is not asked again: one that steps back would hide the row.
IS_FREE = """
j.state = 'waiting'
  AND (j.lane IS NULL OR NOT EXISTS (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.lane = j.lane))
  AND NOT EXISTS (SELECT 1 FROM pauses p WHERE p.queue = j.queue)
"""
NEXT = f"""
SELECT j.id, j.name FROM jobs j WHERE {IS_FREE} AND j.queue = ? ORDER BY j.priority DESC, j.run_at, j.id LIMIT ?
"""
AWAITS_LANE = "SELECT DISTINCT queue FROM jobs WHERE state = 'waiting' AND lane = ?"
COLUMNS = ", ".join(f'"{field.column_name}"' for field in Job._meta.sorted_fields)
TAKE = f"""
UPDATE jobs SET state = 'running', attempt = attempt + 1, holder = ?, lease_until = ?, started_at = ?,
  progress = NULL, progress_words = ''
WHERE id = (SELECT j.id FROM jobs j WHERE {IS_FREE} AND j.id = ?) RETURNING {COLUMNS}
"""


def upcoming(queue: str, count: int = 1) -> list[tuple[int, str]]:
    """Number and name of the next jobs that are due; a look that takes no lock."""
    return [(row[0], row[1]) for row in db.execute_sql(NEXT, (queue, count)).fetchall()]


def waiting_queues() -> list[str]:
    """The queues in which something waits."""
    return [row[0] for row in db.execute_sql("SELECT DISTINCT queue FROM jobs WHERE state = 'waiting'").fetchall()]


def claim(queue: str, holder: str, now: datetime) -> Job | None:
    """Become the only worker of the next job that is due; durable on disk before any device is asked."""
    while found := upcoming(queue):
        job = take(found[0][0], holder, now)
        if job is not None:
            return job
    return None


def take(job_id: int, holder: str, now: datetime, *, durable: bool = True) -> Job | None:
    """Become the only worker of this job; None when somebody was first.

    `durable` unless a claim that a power cut undid, and the same work done again, would harm nobody.
    """
    return _write(partial(taken, job_id, holder, now), durable)


def taken(job_id: int, holder: str, now: datetime) -> Job | None:
    """`take`, in the caller's transaction."""
    held = (holder, (now + LEASE).timestamp(), now.timestamp(), job_id)
    rows = db.execute_sql(TAKE, held).fetchall()
    return Job.of_columns(rows[0]) if rows else None


def finish(
    job: Job, write_down: Callable[[], object] | None, now: datetime, *,
    durable: bool = True, then: Callable[[], Job | None] | None = None,
) -> Job | None:  # fmt: skip
    """Close the job in one transaction with what came of it; NotYours undoes both.

    `then` claims the next job in the same transaction, and is answered: one commit for two.
    """

    def close() -> Job | None:
        _close(job, "done", now, job.errors, write_down)
        return then() if then is not None else None

    return _write(close, durable)


def _write(work: Callable[[], T], durable: bool) -> T:
    return work() if db.in_transaction() else database.writer.write(work, durable=durable)


@transaction
def unclaim(job: Job, now: datetime) -> None:
    """It was claimed and never begun: as if it had not been, and no try is spent."""
    _reopen(job, _old_place(job, now), now, tries=Job.tries + 1)


def _old_place(job: Job, now: datetime) -> datetime:
    """In the line; never in the future, for the clock may have been put back."""
    run_at: datetime = job.run_at
    return min(run_at, now)


def record_progress(job: Job, percent: int, words: str = "") -> None:
    """How far it is, 0 to 100; NotYours when it was taken away meanwhile. A power cut may forget it."""
    shown = {"progress": max(0, min(100, percent)), "progress_words": words[:200]}
    own = (Job.id == job.id, Job.attempt == job.attempt, Job.state == "running")
    if not _write(lambda: Job.update(**shown).where(*own).execute(), durable=False):
        raise NotYours(f"job {job.id} ({job.name}) is no longer ours")


@transaction
def put_back(job: Job, words: str, now: datetime, given_up: Callable[[], object] | None = None) -> str:
    """After an attempt that did nothing: later by the back-off, or `failed` when the tries are used up."""
    if job.attempt >= job.tries:
        _close(job, "failed", now, _errors(job, words, now), partial(_tell, job, given_up))
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
    _close(job, "failed", now, _errors(job, words, now), partial(_tell, job, write_down))


@transaction
def cancel(unique_key: str, now: datetime) -> bool:
    """Nobody needs this work any more. What runs already is left to its end; False when there was nothing."""
    open_one = Job.one_where(f"{IS_OPEN.sql} AND unique_key = ? AND state <> 'running'", unique_key)
    if open_one is None:
        return False
    end_unbegun(open_one, "cancelled", now)
    return True


def end_unbegun(job: Job, state: str, now: datetime, **columns: Any) -> None:
    """Close, in the caller's transaction, a job that nobody works on."""
    job.put(state=state, finished_at=now, **columns)
    _count_out(job, state, now)


@transaction
def hurry(lane: str, now: datetime) -> int:
    """What waits out a back-off in this lane is due now: its device is back. Returns how many."""
    tired = Job.update(state="waiting", run_at=now).where(
        Job.state == "scheduled", Job.lane == lane, Job.attempt > 0
    )
    queues = [job.queue for job in tired.returning(Job.queue).execute()]
    ring(sorted(set(queues)))
    return len(queues)


@transaction
def promote(now: datetime) -> list[str]:
    """Scheduled work whose time has come is waiting now; what comes too late asks. Returns the queues to wake."""
    for late in list(Job.select().where(Job.state == "scheduled", Job.run_at <= now, Job.not_after < now)):
        end_unbegun(late, "failed", now, errors=_errors(late, too_late_words(late), now))
    due = Job.update(state="waiting").where(Job.state == "scheduled", Job.run_at <= now)
    queues = sorted({job.queue for job in due.returning(Job.queue).execute()})
    ring(queues)
    return queues


def too_late_words(job: Job) -> str:
    """What is asked of a person about work that could not begin in time."""
    return TOO_LATE.format(f"{job.run_at:%d %b %H:%M}")


def next_due(now: datetime) -> float | None:
    """Seconds until the next scheduled job; None when there is none."""
    at: float | None = db.execute_sql("SELECT MIN(run_at) FROM jobs WHERE state = 'scheduled'").fetchone()[0]
    return None if at is None else max(0.0, at - now.timestamp())


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


def orphans(is_gone: Callable[[str], bool], is_here: Callable[[str], bool], now: datetime) -> list[Job]:
    """Running jobs whose holder is known to be dead here, or whose lease has run out elsewhere.

    `is_here`: did this holder run on this machine, so that its processes can be asked?
    """
    held = sorted(Job.select().where(Job.state == "running"), key=lambda job: job.id)
    return [job for job in held if _is_orphan(job, is_gone, is_here, now)]


def _is_orphan(job: Job, is_gone: Callable[[str], bool], is_here: Callable[[str], bool], now: datetime) -> bool:
    name = job.holder or ""
    if is_here(name):
        return is_gone(name)
    lease: datetime | None = job.lease_until
    return lease is None or lease + CLOCK_SLACK < now or lease > now + 5 * LEASE  # a clock far ahead gave it


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
    count = suspects = 0
    for job in orphans:
        at = now + suspects * APART if job.deaths == DEATHS - 2 else _old_place(job, now)
        suspects += job.deaths == DEATHS - 2
        try:
            verdict = given_up if is_repeatable(job.name) else unconfirmed
            _rescue(job, is_repeatable(job.name), partial(verdict, job), at, now)
            count += 1
        except NotYours:  # another process was first
            log.info("job %s (%s) was taken up elsewhere", job.id, job.name)
        except NotDurable:
            raise
        except Exception:  # one that does not fit the books must not keep the others waiting
            log.exception("job %s (%s) could not be taken up", job.id, job.name)
    return count


@transaction
def _rescue(job: Job, repeatable: bool, verdict: Callable[[], object], at: datetime, now: datetime) -> None:
    deaths = job.deaths + 1
    parked = f"; parked, for {deaths} workers died of it" if deaths >= DEATHS else ""
    errors = _errors(job, "the worker died during this attempt" + parked, now)
    if repeatable and job.attempt < job.tries and not parked:
        _reopen(job, at, now, errors=errors, deaths=deaths)
    else:
        _close(job, "failed", now, errors, partial(_tell, job, verdict), deaths=deaths)


@transaction
def start_batch(name: str, now: datetime, then: tuple[str, str, dict[str, Any]] | None = None) -> Batch:
    """Jobs promised with `batch=` this belong together; `then` is the name, queue and arguments of the completion."""
    completion = None if then is None else {"name": then[0], "queue": then[1], "args": then[2]}
    return Batch.create(name=name, completion=completion, created_at=now)


@transaction
def seal(batch: Batch, now: datetime) -> None:
    """All its jobs are promised: the last of them to end promises the completion, once."""
    batch.put(is_sealed=True)
    _complete(batch.id, now)


def _count_in(batch: Batch) -> None:
    Batch.update(total=Batch.total + 1, open=Batch.open + 1).where(Batch.id == batch.id).execute()


def _count_out(job: Job, state: str, now: datetime) -> None:
    """One job of a batch has ended, in whatever way."""
    if job.batch_id is not None:
        failed = int(state != "done")
        Batch.update(open=Batch.open - 1, failed=Batch.failed + failed).where(Batch.id == job.batch_id).execute()
        _complete(job.batch_id, now)


def count_again(job: Job) -> None:
    """A failed job of a batch is open again."""
    if job.batch_id is not None:
        Batch.update(open=Batch.open + 1, failed=Batch.failed - 1).where(Batch.id == job.batch_id).execute()


def _complete(batch_id: int, now: datetime) -> None:
    batch = Batch.get_by_id(batch_id)
    if batch.is_sealed and batch.open <= 0 and batch.finished_at is None:
        batch.put(finished_at=now)
        told = batch.completion
        if told:
            promise(
                told["name"], told["queue"] if told["queue"] in QUEUES else "default", now,
                args={**told["args"], "batch_id": batch_id},
                once_key=f"batch:{batch_id}", cause=batch.name,
            )  # fmt: skip


def _close(
    job: Job, state: str, now: datetime, errors: list[Any], outcome: Callable[[], object] | None, **columns: Any
) -> None:
    """The fence: only the attempt that runs may end the job. Its outcome may promise more work of its batch."""
    _change(job, state=state, finished_at=now, errors=errors, **columns)
    if outcome is not None:
        outcome()
    _count_out(job, state, now)


def _reopen(job: Job, run_at: datetime, now: datetime, **columns: Any) -> None:
    _change(job, state="waiting" if run_at <= now else "scheduled", run_at=run_at, **columns)
    ring([job.queue] if run_at <= now else [SCHEDULE])


def _change(job: Job, **columns: Any) -> None:
    changed = (
        Job.update(holder=None, lease_until=None, **columns)
        .where(Job.id == job.id, Job.attempt == job.attempt, Job.state == "running")
        .execute()
    )
    if changed != 1:
        raise NotYours(f"job {job.id} ({job.name}) is no longer ours")
    if job.lane is not None:  # the lane is free: whoever waits for it looks, in whichever queue
        ring([row[0] for row in db.execute_sql(AWAITS_LANE, (job.lane,)).fetchall()])


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


def ring(queues: list[str]) -> None:
    """After the commit, and only the bell: whatever raised there would deny what is in the books."""
    if queues:
        db.after_commit(partial(bell.ring, queues))


def _errors(job: Job, words: str, now: datetime) -> list[dict[str, Any]]:
    note = {"attempt": job.attempt, "at": now.isoformat(), "words": words[:500]}
    return [*job.errors, note][-ERRORS_KEPT:]
