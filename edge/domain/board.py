"""What the board shows of the background work: lists, searches, who works on what, history, one job's story."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from peewee import SQL, fn

from edge import desk, jobs
from edge.domain import messages, queues, reports
from edge.domain.reports import Step
from edge.errors import BadInput
from edge.models import Batch, Breaker, Grant, Heartbeat, Inbox, Job, JobMinute, Message, Pause, Payment, Router
from edge.values.msisdn import read_msisdn

STATES = ("waiting", "running", "scheduled", "failed", "done", "cancelled")
CLOSED = ("failed", "done", "cancelled")
PAGE = 50
MOST_FOUND = 200  # payments that one search may lead through
MOST_RUNNING = 200
TEXTS_SEARCHED = 20_000  # of the newest; those of payments are found however old they are
KINDS_OF = timedelta(days=1)

# In SQLite's own words: the planner takes a partial index only where the query repeats its condition.
_IN_STATE = {
    "waiting": SQL("state = 'waiting'"), "scheduled": SQL("state = 'scheduled'"), "running": SQL("state = 'running'"),
}  # fmt: skip
_CURSOR = re.compile(r"(?:(-?[0-9]{1,6})_)?([0-9]{1,12}(?:\.[0-9]{1,9})?)_([0-9]{1,15})")
_TRACE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Listing:
    """One page of a list, and where the next one begins; empty at the end."""

    jobs: list[Job]
    further: str = ""


@dataclass(frozen=True)
class Process:
    """A worker process, and what its threads have in hand."""

    beat: Heartbeat
    busy: list[Job]


@dataclass(frozen=True)
class Span:
    """How much of the past a chart shows, and in what steps; in minutes."""

    minutes: int
    step: int


@dataclass(frozen=True)
class Slice:
    """What ended in one step of a chart. Seconds; the means are over all attempts that ended."""

    start: datetime
    done: int = 0
    failed: int = 0
    retried: int = 0
    wait_mean_s: float = 0.0
    wait_max_s: float = 0.0
    run_mean_s: float = 0.0
    run_max_s: float = 0.0

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.retried


@dataclass(frozen=True)
class About:
    """What a job is about: the payment that caused it, whose phone, which router, the batch it belongs to."""

    payment_id: int | None
    msisdn: str
    router: str
    batch: Batch | None


SPANS = {"hour": Span(60, 1), "day": Span(1_440, 15), "week": Span(10_080, 120)}


# Lists


def listed(state: str, queue: str | None = None, after: str = "", work: str = "", limit: int = PAGE) -> Listing:
    """Jobs in one state: open ones in the order they are taken, ended ones newest first. BadInput: no such list.

    By key instead of by offset, so that the last page of a long list comes as quickly as the first.
    """
    if state not in STATES:
        raise BadInput(f"state is one of: {', '.join(STATES)}.", "state")
    place = _read_cursor(after)
    # Their indexes begin with the queue: a short look into each is quicker than a sort of all.
    each = [queue] if queue is not None else list(jobs.QUEUES) if state not in ("scheduled", "running") else [None]
    found = [job for name in each for job in _some(state, name, place, work, limit + 1)]
    found.sort(key=_KEYS[state])
    return Listing(found[:limit], _cursor(found[limit - 1]) if len(found) > limit else "")


def kinds(queue: str, now: datetime) -> list[str]:
    """The names of the work that this queue did within a day."""
    since = int((now - KINDS_OF).timestamp() // 60)
    names = JobMinute.select(JobMinute.name).where(JobMinute.minute >= since, JobMinute.queue == queue).distinct()
    return sorted(row.name for row in names)


def _some(state: str, queue: str | None, place: tuple[int, float, int] | None, work: str, limit: int) -> Iterable[Job]:
    found = Job.select().where(_IN_STATE[state]) if state in _IN_STATE else _closed(state)
    if queue is not None:
        found = found.where(Job.queue == queue)
    if work:
        found = found.where(Job.name == work)
    if place is not None:
        found = found.where(_beyond(state, *place))
    return list(found.order_by(*_ORDERS[state]).limit(limit))


def _closed(state: str) -> Any:
    return Job.select().where(jobs.IS_CLOSED, Job.state == state)


_NEWEST_FIRST = (Job.finished_at.desc(), Job.id.desc())
_ORDERS: dict[str, tuple[Any, ...]] = {
    "waiting": (Job.priority.desc(), Job.run_at, Job.id),
    "scheduled": (Job.run_at, Job.id),
    "running": (Job.started_at, Job.id),
    **dict.fromkeys(CLOSED, _NEWEST_FIRST),
}


def _instant(at: datetime | None) -> float:
    return at.timestamp() if at is not None else 0.0


_KEYS: dict[str, Any] = {
    "waiting": lambda job: (-job.priority, _instant(job.run_at), job.id),
    "scheduled": lambda job: (_instant(job.run_at), job.id),
    "running": lambda job: (_instant(job.started_at), job.id),
    **dict.fromkeys(CLOSED, lambda job: (-_instant(job.finished_at), -job.id)),
}


def _beyond(state: str, priority: int, at: float, job_id: int) -> Any:
    """What comes behind this place of the list."""
    if state in CLOSED:
        return (Job.finished_at < at) | ((Job.finished_at == at) & (Job.id < job_id))
    column = Job.started_at if state == "running" else Job.run_at
    behind = (column > at) | ((column == at) & (Job.id > job_id))
    return (Job.priority < priority) | ((Job.priority == priority) & behind) if state == "waiting" else behind


def _cursor(job: Job) -> str:
    if job.state == "waiting":
        return f"{job.priority}_{_instant(job.run_at):.6f}_{job.id}"
    at = {"running": job.started_at, "scheduled": job.run_at}.get(job.state, job.finished_at)
    return f"{_instant(at):.6f}_{job.id}"


def _read_cursor(typed: str) -> tuple[int, float, int] | None:
    if not typed:
        return None
    told = _CURSOR.fullmatch(typed)
    if told is None:
        raise BadInput("This place in the list is none. Begin at the top again.", "after")
    return int(told[1] or 0), float(told[2]), int(told[3])


def is_queue(name: str) -> bool:
    """Is there a queue of this name?"""
    return name in jobs.QUEUES


def pause_of(queue: str) -> Pause | None:
    """Since when, and why, nothing of this queue is taken up; None while it is."""
    return desk.paused().get(queue)


# Searches


def search(typed: str, limit: int = PAGE) -> list[Job]:
    """Work that belongs to a phone (any notation), a payment's number, token, receipt or code; a job's number; a trace.

    The newest first; what has exactly the number that was typed before all.
    """
    word = "".join(typed.split())
    if not word:
        return []
    number = int(word) if word.isascii() and word.isdecimal() and len(word) <= 15 else 0
    ways = [Job.id == number] if number else []
    if _TRACE.fullmatch(word.lower()):
        ways.append(Job.trace == word.lower())
    causes, keys = _traces_of(typed, word)
    if causes:
        ways.append(Job.cause.in_(causes))
    if keys:
        ways.append(Job.unique_key.in_(keys))
    if not ways:
        return []
    either = ways[0]
    for way in ways[1:]:
        either = either | way
    found = list(Job.select().where(either).order_by(Job.id.desc()).limit(limit))
    exact = Job.get_or_none(Job.id == number) if number else None
    return [exact, *(job for job in found if job.id != number)][:limit] if exact is not None else found


def _traces_of(typed: str, word: str) -> tuple[list[str], list[str]]:
    """The causes and keys that jobs have of whatever payments, rights and texts fit what was typed."""
    sold = {sale.payment.id for sale in reports.find_payments(typed, MOST_FOUND)}
    named = (Payment.token == word) | (Payment.checkout_request_id == word)
    sold |= {payment.id for payment in Payment.select(Payment.id).where(named)}
    granted = {row.id for row in Grant.select(Grant.id).where(Grant.payment.in_(sold))}
    texts: set[int] = set()
    try:
        msisdn = read_msisdn(typed)
    except BadInput:
        pass  # what was typed is no phone
    else:
        granted |= {row.id for row in Grant.select(Grant.id).where(Grant.msisdn == msisdn).limit(MOST_FOUND)}
        last = Message.select(Message.id).order_by(Message.id.desc()).limit(1).scalar() or 0
        lately = (Message.id > last - TEXTS_SEARCHED) & (Message.msisdn == msisdn)
        for way in (Message.payment.in_(sold), lately):
            texts |= {row for (row,) in Message.select(Message.id).where(way).limit(MOST_FOUND).tuples()}
    calls = {row.id for row in Inbox.select(Inbox.id).where(Inbox.payment.in_(sold)).limit(MOST_FOUND)}
    causes = [f"payment:{number}" for number in sold] + [f"grant:{number}" for number in granted]
    keys = [messages.key_of(number) for number in sorted(texts)]
    return causes, keys + [f"inbox:{number}" for number in calls]


def payments_behind(found: Iterable[Job]) -> dict[int, int]:
    """Job's number → the number of the payment that it was promised for; those with none are left out."""
    paid: dict[int, int] = {}
    of_grant: dict[int, int] = {}
    of_call: dict[int, int] = {}
    for job in found:
        kind, _, number = job.cause.partition(":")
        if kind == "payment" and number.isdecimal():
            paid[job.id] = int(number)
        elif kind == "grant" and number.isdecimal():
            of_grant[job.id] = int(number)
        elif isinstance(job.args.get("inbox_id"), int):
            of_call[job.id] = job.args["inbox_id"]
    return paid | _by_row(Grant, of_grant) | _by_row(Inbox, of_call)


def _by_row(table: type[Grant] | type[Inbox], wanted: dict[int, int]) -> dict[int, int]:
    if not wanted:
        return {}
    rows = table.select(table.id, table.payment).where(table.id.in_(set(wanted.values())))
    paid = {row.id: row.payment_id for row in rows if row.payment_id is not None}
    return {job_id: paid[number] for job_id, number in wanted.items() if number in paid}


# Who works, and on what


def processes(now: datetime) -> tuple[list[Process], list[Job]]:
    """Every living worker process with its jobs in hand; and the running jobs that no living one holds."""
    running = list(Job.select().where(_IN_STATE["running"]).order_by(Job.started_at, Job.id).limit(MOST_RUNNING))
    beats = queues.alive(now)
    held = {beat.holder: [job for job in running if job.holder == beat.holder] for beat in beats}
    return [Process(beat, held[beat.holder]) for beat in beats], [job for job in running if job.holder not in held]


def left_alone() -> list[tuple[str, Breaker]]:
    """The providers that are not called for a while, named as the parts of the box are."""
    return [(queues.part_of(row.name), row) for row in queues.left_alone()]


# History

_SUMS = {
    "done": fn.SUM, "failed": fn.SUM, "retried": fn.SUM, "wait_s": fn.SUM, "wait_max_s": fn.MAX, "run_s": fn.SUM,
    "run_max_s": fn.MAX,
}  # fmt: skip


def history(now: datetime, span: str, queue: str | None = None, shift_min: int = 0) -> list[Slice]:
    """What ended in each step of this span, oldest first, up to now; `shift_min` puts the steps on the wall clock."""
    told = SPANS[span]
    last = (int(now.timestamp() // 60) + shift_min) // told.step
    first = last - told.minutes // told.step + 1
    # By the minute first: so much the index has in order, and a sort of a whole week takes longer than all the rest.
    sums = [join(getattr(JobMinute, name)).alias(name) for name, join in _SUMS.items()]
    minutes = JobMinute.select(JobMinute.minute.alias("m"), *sums).where(
        JobMinute.minute >= first * told.step - shift_min, True if queue is None else JobMinute.queue == queue
    )
    slot = SQL(f"(m + {int(shift_min)}) / {told.step}").alias("slot")
    joined = minutes.group_by(JobMinute.minute).select_from(slot, *(join(SQL(name)) for name, join in _SUMS.items()))
    rows = joined.group_by(SQL("slot")).tuples()
    found = {row[0]: row[1:] for row in rows}
    return [_slice(place, told.step, shift_min, found.get(place)) for place in range(first, last + 1)]


def _slice(place: int, step: int, shift_min: int, sums: tuple[Any, ...] | None) -> Slice:
    start = datetime.fromtimestamp((place * step - shift_min) * 60, UTC)
    if sums is None:
        return Slice(start)
    done, failed, retried, wait_s, wait_max_s, run_s, run_max_s = sums
    ended = max(1, done + failed + retried)
    return Slice(start, done, failed, retried, wait_s / ended, wait_max_s, run_s / ended, run_max_s)


def sums_since(since: datetime) -> list[JobMinute]:
    """Per queue and kind of work what ended since this instant: one unsaved row each."""
    sums = [join(getattr(JobMinute, name)).alias(name) for name, join in _SUMS.items()]
    found = JobMinute.select(JobMinute.queue, JobMinute.name, *sums)
    minute = int(since.timestamp() // 60)
    return list(
        found.where(JobMinute.minute >= minute)
        .group_by(JobMinute.queue, JobMinute.name)
        .order_by(JobMinute.queue, JobMinute.name)
    )


# One job


def job(job_id: int) -> Job | None:
    """The job of this number."""
    found: Job | None = Job.get_or_none(Job.id == job_id) if 0 < job_id < 2**63 else None
    return found


def about(job: Job) -> About:
    """Whom and what it concerns."""
    payment_id = payments_behind([job]).get(job.id)
    payment = None if payment_id is None else Payment.get_or_none(Payment.id == payment_id)
    message = _row_of(Message, job.args.get("message_id"))
    grant = _row_of(Grant, job.args.get("grant_id"))
    router = _row_of(Router, job.args.get("router_id"))
    owner = message or payment or grant
    return About(
        payment_id if payment is not None else None, owner.msisdn if owner is not None else "",
        router.name if router is not None else "",
        None if job.batch_id is None else Batch.get_or_none(Batch.id == job.batch_id),
    )  # fmt: skip


def _row_of(table: Any, number: object) -> Any:
    return table.get_or_none(table.id == number) if isinstance(number, int) and 0 < number < 2**63 else None


def story(job: Job) -> list[Step]:
    """What the row tells, in the order of time; what is still to come stands last."""
    steps = [Step(job.created_at, "promised")]
    steps += [Step(datetime.fromisoformat(note["at"]), "tried", note, bad=True) for note in job.errors]
    if job.started_at is not None:
        steps.append(Step(job.started_at, "begun", {"attempt": job.attempt}))
    steps.sort(key=lambda step: step.at)
    return [*steps, *_ending(job)]


def _ending(job: Job) -> Iterator[Step]:
    if job.state in CLOSED:
        failed = job.state == "failed"
        yield Step(job.finished_at or job.created_at, job.state, {"attempt": job.attempt}, bad=failed)
    elif job.state != "running":
        yield Step(job.run_at, "again" if job.attempt else job.state, {"attempt": job.attempt + 1})


def waited_s(job: Job, now: datetime) -> float | None:
    """How long it was, or is, due and not begun; None when that can't be told."""
    if job.state == "waiting":
        return max(0.0, (now - job.run_at).total_seconds())
    if job.started_at is None or job.state == "scheduled" or job.started_at < job.run_at:
        return None
    return float((job.started_at - job.run_at).total_seconds())


def ran_s(job: Job, now: datetime) -> float | None:
    """How long the last attempt took, or is taking; None before it began, and once it is put back."""
    if job.started_at is None or job.state in ("waiting", "scheduled"):
        return None
    return max(0.0, float(((job.finished_at or now) - job.started_at).total_seconds()))
