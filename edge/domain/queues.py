"""How the background work is doing, in figures and words; and what a person asks of it, with the name beside it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from edge import desk, holder, jobs
from edge.database import transaction
from edge.domain import breakers, events, messages
from edge.errors import BadInput
from edge.models import Breaker, Heartbeat, Job, JobMinute, Router

ALIVE_FOR = timedelta(seconds=70)  # a worker's heart beats every 20 s
QUICK = ("payments", "provisioning")  # a guest stands and waits for these
TOO_OLD_S, TOO_OLD_QUICK_S = 300, 60
LATELY = timedelta(hours=1)
MANY_FAILED = 10  # jobs of all queues, lately
MANY_TEXTS = 2_000  # that are looked at one by one
FEW_ENDED = 5  # of fewer jobs a share says nothing
AT_ONCE = 200  # failed jobs retried in one transaction: guests wait for it
PROVIDERS = {"mpesa": "M-Pesa", "modem": "The modem"}
CONSOLE = "the command line"

STOPS, NEEDS, NOTE = "stops", "needs", "note"
Failures = dict[str, tuple[int, int]]  # queue → jobs that failed lately and still stand so, attempts that ended


@dataclass(frozen=True)
class Finding:
    """One thing to be said of the work: it `stops` guests, it `needs` a person, or is a `note` of what mends itself."""

    weight: str
    words: str


def status(now: datetime) -> dict[str, Any]:
    """The contract's queue-status: counts per queue, whether all is well, and if not, why. Ages in seconds.

    `notes` are worth knowing, and ask nothing of anybody: work that is paused, a provider that is left alone.
    """
    entries = _entries(now)
    found = list(_findings(entries, now))
    reasons = [finding.words for finding in found if finding.weight != NOTE]
    return {
        "queues": entries,
        "healthy": not reasons,
        "reasons": reasons,
        "notes": [finding.words for finding in found if finding.weight == NOTE],
        "paused": sorted(desk.paused()),
        "breakers": [_breaker_view(row, now) for row in left_alone()],
    }


def obstacles(now: datetime) -> list[str]:
    """Why guests should not be sent here just now: nobody works, or those who do can't keep up."""
    return [finding.words for finding in _findings(_entries(now), now) if finding.weight == STOPS]


def entry(queue: str, now: datetime) -> dict[str, Any]:
    """One queue as it stands in `status`."""
    return next(found for found in _entries(now) if found["name"] == queue)


def alive(now: datetime) -> list[Heartbeat]:
    """The worker processes whose heart beat lately, the oldest first."""
    beats = Heartbeat.select().where(Heartbeat.seen_at > now - ALIVE_FOR).order_by(Heartbeat.started_at)
    return [beat for beat in beats if not holder.is_gone(beat.holder)]


def workers(now: datetime) -> Counter[str]:
    """Queue → workers of all processes whose heart beat lately."""
    counted: Counter[str] = Counter()
    for beat in alive(now):
        counted.update({name: int(count) for name, count in beat.queues.items()})
    return counted


def left_alone() -> list[Breaker]:
    """The providers that failed again and again, and are not called for a while."""
    return [row for row in breakers.everything() if row.state != "closed"]


def part_of(provider: str) -> str:
    """A provider as the parts of the box are named: `router:1` → `router:gate`."""
    kind, _, number = provider.partition(":")
    router = Router.get_or_none(Router.id == int(number)) if kind == "router" and number.isdecimal() else None
    return provider if router is None else f"router:{router.name}"


def _breaker_view(row: Breaker, now: datetime) -> dict[str, Any]:
    return {"name": part_of(row.name), "state": row.state, "retry_in_s": _retry_s(row, now), "words": row.words}


def _retry_s(row: Breaker, now: datetime) -> int:
    return 0 if row.retry_at is None else max(0, int((row.retry_at - now).total_seconds()))


def _entries(now: datetime) -> list[dict[str, Any]]:
    at_work = workers(now)
    return [{**found, "workers": at_work[name]} for name, found in desk.counts(now).items()]


def _findings(entries: list[dict[str, Any]], now: datetime) -> Iterator[Finding]:
    beats = alive(now)
    if not beats:
        yield Finding(STOPS, "No worker is running: start one with `edge run` or `edge worker`.")
    paused = desk.paused()
    for found in entries:
        name = found["name"]
        if beats and not found["workers"]:
            yield Finding(STOPS, f"Nobody works on the queue {name}: start `edge worker --queue {name}`.")
        elif name in paused:
            if found["waiting"]:
                words = f"The queue {name} is paused, and {_jobs(found['waiting'])} wait: resume it when you are ready"
                yield Finding(NOTE, f"{words} (`edge queue resume {name}`).")
        elif beats and found["oldest_s"] > (TOO_OLD_QUICK_S if name in QUICK else TOO_OLD_S):
            yield Finding(
                STOPS,
                f"The queue {name} is behind: {found['waiting']} waiting, the oldest for {found['oldest_s']} seconds. "
                "`edge doctor` looks for the cause.",
            )
    yield from _failing(failures(now))
    yield from _mending(beats, now)


def failures(now: datetime) -> Failures:
    """What failed within the last hour, and was neither retried nor cleared since; and how much ended meanwhile."""
    since = now - LATELY
    of_queues = Job.queue.in_(list(jobs.QUEUES))  # one short look into the index each
    failed = dict(
        Job.select(Job.queue, fn.COUNT(Job.id))
        .where(jobs.IS_CLOSED, of_queues, Job.state == "failed", Job.finished_at > since)
        .group_by(Job.queue)
        .tuples()
    )
    if "sms" in failed:
        failed["sms"] -= unknown_texts(since)
    done = dict(
        JobMinute.select(JobMinute.queue, fn.SUM(JobMinute.done))
        .where(JobMinute.minute >= int(since.timestamp() // 60))
        .group_by(JobMinute.queue)
        .tuples()
    )
    return {name: (count, count + done.get(name, 0)) for name, count in failed.items() if count}


def unknown_texts(since: datetime) -> int:
    """Texts that may be out: they are told where texts are, and nobody can mend them or try them again."""
    found = Job.select(Job.errors).where(
        jobs.IS_CLOSED, Job.queue == "sms", Job.state == "failed", Job.finished_at > since, Job.name == "sms.send"
    )
    told = list(found.limit(MANY_TEXTS).tuples())
    return sum(bool(errors) and str(errors[-1]["words"]).startswith("unconfirmed: ") for (errors,) in told)


def _failing(found: Failures) -> Iterator[Finding]:
    cure = "See why among the failed jobs (`edge queue failed`), mend the cause, then try them again or clear them."
    total = sum(failed for failed, _ in found.values())
    worst = {name: (failed, ended) for name, (failed, ended) in found.items() if ended >= FEW_ENDED}
    for name, (failed, ended) in worst.items():
        if failed * 2 > ended:
            yield Finding(NEEDS, f"Most work of the queue {name} fails: {failed} of {ended} jobs in an hour. {cure}")
    if total > MANY_FAILED:
        yield Finding(NEEDS, f"Failures pile up: {total} jobs were given up in the last hour. {cure}")


def _mending(beats: list[Heartbeat], now: datetime) -> Iterator[Finding]:
    """What the box gets over by itself."""
    for beat in beats:
        if beat.stuck:
            yield Finding(
                NOTE,
                f"{beat.stuck} of the threads of worker {beat.pid}{_at(beat.host)} overran their time and were "
                "replaced; with six of them it starts anew by itself (`edge workers restart` does it now).",
            )
    for row in left_alone():
        kind, _, own = part_of(row.name).partition(":")
        name = PROVIDERS.get(kind, kind.capitalize()) + f" {own}".rstrip()
        pause_s = _retry_s(row, now)
        again = f"it is tried again in {pause_s} s" if pause_s else "it is being tried again"
        yield Finding(NOTE, f"{name} is left alone after {row.failures} failures in a row ({row.words}); {again}.")


def _at(host: str) -> str:
    return f" on {host}" if host else ""


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


# What a person asks of it. The desk does it; the event tells who asked.


def failed(limit: int = 100) -> list[Job]:
    """Work that was given up, the latest first."""
    order = (Job.finished_at.desc(nulls="LAST"), Job.id.desc())
    return list(Job.select().where(Job.state == "failed").order_by(*order).limit(limit))


@transaction
def retry(job_id: int, now: datetime, who: str = CONSOLE) -> None:
    """This failed job once more; BadInput when it is not failed, or under way again already."""
    job = Job.get_or_none(Job.id == job_id)
    if job is None or job.state != "failed":
        raise BadInput("This work is not failed, or not any more.", "job")
    if not desk.retry([job_id], now):
        raise BadInput("The same work is under way again already.", "job")
    _record("job.retried", job, who, now)


def retry_all(now: datetime, queue: str | None = None, who: str = CONSOLE) -> int:
    """Every failed job (of this queue) once more, the newest of each kind of work; not beside its twin. How many."""
    desk.known(queue)
    of_queue = (Job.queue == queue) if queue is not None else Job.queue.in_(list(jobs.QUEUES))
    failed_ids = Job.select(Job.id).where(jobs.IS_CLOSED, of_queue, Job.state == "failed").order_by(Job.id.desc())
    chosen = [job.id for job in failed_ids]
    count = sum(_retry_some(chosen[place : place + AT_ONCE], now) for place in range(0, len(chosen), AT_ONCE))
    if count:
        events.record("jobs.retried", now, count=count, queue=queue, who=who)
    return count


@transaction
def _retry_some(job_ids: list[int], now: datetime) -> int:
    """Those of them that are failed still."""
    left = [job.id for job in Job.select(Job.id).where(Job.id.in_(job_ids), Job.state == "failed")]
    return desk.retry(left, now) if left else 0


@transaction
def cancel(job_id: int, now: datetime, who: str = CONSOLE) -> None:
    """Nobody needs it any more; BadInput when it runs already, or has ended. A text says that it will not leave."""
    job = desk.cancel(job_id, now)
    if job.name == "sms.send" and "message_id" in job.args:
        messages.mark_failed(job.args["message_id"], f"cancelled by {who}", now)
    _record("job.cancelled", job, who, now)


@transaction
def move(job_id: int, at: datetime, now: datetime, who: str = CONSOLE) -> None:
    """Do it at `at` instead, now when that is past; BadInput when it runs already, has ended, or for years ahead."""
    job = desk.move(job_id, max(at, now), now)  # long past, it would seem to have waited since
    if at <= now:
        _record("job.hastened", job, who, now)
    else:
        _record("job.moved", job, who, now, at=at.isoformat())


@transaction
def clear(queue: str | None, now: datetime, who: str = CONSOLE) -> int:
    """Forget the failed jobs of this queue (None: of all), for good. Returns how many."""
    count = desk.clear(queue, now)
    if count:
        events.record("jobs.cleared", now, count=count, queue=queue, who=who)
    return count


@transaction
def pause(queue: str, words: str, now: datetime, who: str = CONSOLE) -> None:
    """Nothing of this queue is taken up until `resume`."""
    if queue not in desk.paused():
        desk.pause(queue, words, now)
        events.record("queue.paused", now, queue=queue, words=words[:200], who=who)


@transaction
def resume(queue: str, now: datetime, who: str = CONSOLE) -> bool:
    """Take it up again; False when it was not paused."""
    was_paused = desk.resume(queue, now)
    if was_paused:
        events.record("queue.resumed", now, queue=queue, who=who)
    return was_paused


@transaction
def restart_workers(now: datetime, who: str = CONSOLE) -> int:
    """Every worker process finishes what it has in hand and starts anew; how many were asked."""
    count = desk.ask_restart(now)
    events.record("workers.restarting", now, count=count, who=who)
    return count


def _record(name: str, job: Job, who: str, now: datetime, **more: Any) -> None:
    events.record(name, now, job=job.id, work=job.name, queue=job.queue, who=who, **more)
