"""A rate that all workers of all processes share."""

from datetime import datetime, timedelta

from edge.database import transaction
from edge.models import Throttle


@transaction
def take(name: str, per_minute: int, now: datetime) -> datetime | None:
    """Take the next turn; None when it is ours now, else the instant to come back."""
    Throttle.insert(name=name, free_at=now).on_conflict_ignore().execute()
    row = Throttle.get_by_id(name)
    if row.free_at > now:
        return row.free_at  # type: ignore[no-any-return]
    row.put(free_at=now + timedelta(seconds=60 / per_minute))
    return None
