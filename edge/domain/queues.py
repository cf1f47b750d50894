"""How the background work is doing, and the failed part of it: looked at, and asked for again."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from edge import desk, holder, jobs
from edge.database import transaction
from edge.errors import BadInput
from edge.models import Heartbeat, Job

ALIVE_FOR = timedelta(seconds=70)  # a worker's heart beats every 20 s
QUICK = ("payments", "provisioning")  # a guest stands and waits for these
TOO_OLD_S, TOO_OLD_QUICK_S = 300, 60


def status(now: datetime) -> dict[str, Any]:
    """Counts per queue, whether all is well, and if not, why: the contract's queue-status. Ages in seconds."""
    alive = workers(now)
    entries = [{**entry, "workers": alive[name]} for name, entry in desk.counts(now).items()]
    reasons = _reasons(entries, bool(alive))
    return {"queues": entries, "healthy": not reasons, "reasons": reasons}


def workers(now: datetime) -> Counter[str]:
    """Queue → workers of all processes whose heart beat lately."""
    alive: Counter[str] = Counter()
    for beat in Heartbeat.select().where(Heartbeat.seen_at > now - ALIVE_FOR):
        if holder.is_gone(beat.holder):
            continue
        alive.update({name: int(count) for name, count in beat.queues.items()})
    return alive


def _reasons(entries: list[dict[str, Any]], somebody: bool) -> list[str]:
    if not somebody:
        return ["No worker is running: start one with `edge run` or `edge worker`."]
    reasons = []
    for entry in entries:
        name, oldest_s = entry["name"], entry["oldest_s"]
        if not entry["workers"]:
            reasons.append(f"Nobody works on the queue {name}: start `edge worker --queue {name}`.")
        elif oldest_s > (TOO_OLD_QUICK_S if name in QUICK else TOO_OLD_S):
            reasons.append(
                f"The queue {name} is behind: {entry['waiting']} waiting, the oldest for {oldest_s} seconds. "
                "`edge doctor` looks for the cause."
            )
    return reasons


def failed(limit: int = 100) -> list[Job]:
    """Work that was given up, the latest first."""
    order = (Job.finished_at.desc(nulls="LAST"), Job.id.desc())
    return list(Job.select().where(Job.state == "failed").order_by(*order).limit(limit))


def count_failed() -> int:
    """How much was given up."""
    return int(Job.select().where(Job.state == "failed").count())


@transaction
def retry(job_id: int, now: datetime) -> None:
    """A person asks for this failed job once more."""
    job = Job.get_or_none(Job.id == job_id)
    if job is None or job.state != "failed":
        raise BadInput("This work is not failed, or not any more.", "job")
    if job.unique_key in _promised_again():
        raise BadInput("The same work is under way again already.", "job")
    desk.retry([job_id], now)


@transaction
def retry_all(now: datetime) -> int:
    """Every failed job once more, the newest of each kind of work; what is under way already is left alone."""
    taken = _promised_again()
    chosen = []
    for job in Job.select().where(Job.state == "failed").order_by(Job.id.desc()):
        if job.unique_key is None or job.unique_key not in taken:
            taken.add(job.unique_key)
            chosen.append(job.id)
    return desk.retry(chosen, now) if chosen else 0


def _promised_again() -> set[str | None]:
    """Keys that an open job holds: the table keeps them unique, so a failed twin can't be opened beside it."""
    held = Job.select(Job.unique_key).where(Job.state.in_(jobs.OPEN), Job.unique_key.is_null(False))
    return {job.unique_key for job in held}
