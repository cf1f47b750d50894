"""Work that somebody stands and waits for: done within minutes or not at all, for later it would hit a new session."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from edge import jobs
from edge.database import transaction
from edge.domain import lanes
from edge.errors import Refused
from edge.models import Job

PATIENCE = timedelta(minutes=2)  # whoever asked has gone by then, or asks again


class TooLate(Refused):
    """Nobody waits for it any more, so it was not tried."""


@transaction
def promise(name: str, key: str, router_id: int, now: datetime, *, args: dict[str, Any], cause: str = "") -> bool:
    """Promise it at this router, before everything else; False when it is promised already.

    Its handler is given `asked_at` too. One that was asked for too long ago, and not begun, makes room for this.
    """
    old = Job.get_or_none(jobs.IS_OPEN, Job.unique_key == key)
    if old is not None and is_stale(old.created_at, now):
        jobs.cancel(key, now)
    # The key leads to the newest alone: what is over makes room for it.
    Job.update(once_key=None).where(jobs.IS_CLOSED, Job.once_key == key).execute()
    told = {**args, "router_id": router_id, "asked_at": now.timestamp()}
    job = jobs.promise(
        name, "provisioning", now, args=told, priority=jobs.HIGH, lane=lanes.of_router(router_id), unique_key=key,
        once_key=key, cause=cause,
    )  # fmt: skip
    return job is not None


def newest(keys: Iterable[str]) -> list[Job]:
    """How the newest work stands that was promised by each of these keys, the oldest first."""
    shown = Job.select(Job.id, Job.state, Job.args, Job.errors, Job.created_at)  # asked at each view of a guest's page
    return list(shown.where(Job.once_key.in_(list(keys))).order_by(Job.id))


def is_stale(asked_at: datetime, now: datetime) -> bool:
    """Was it asked for so long ago that nobody waits for it any more?"""
    return now - asked_at > PATIENCE


def refuse_if_stale(asked_at: float | None, now: datetime) -> None:
    """TooLate for a wish that is too old; `asked_at` in seconds since 1970, None where that was not written down."""
    if asked_at is not None and is_stale(datetime.fromtimestamp(asked_at, UTC), now):
        minutes = int(now.timestamp() - asked_at) // 60
        raise TooLate(f"this was asked for {minutes} minutes ago and is not done so late: ask again if it is wanted")
