"""A rate that all workers share."""

from datetime import datetime, timedelta

from edge.database import transaction
from edge.models import Throttle

SLACK = timedelta(seconds=30)  # workers read the clock a moment before their turn comes, and not in its order


@transaction
def take(name: str, per_minute: int, now: datetime, *, can_wait: bool = False) -> datetime | None:
    """Take the next turn; None when it is ours now, else the instant to come back.

    Those who can wait are given turns one after the other, so that they do not all come back at once to find
    one turn, and those who can't find a turn soon.
    """
    pause = timedelta(seconds=60 / per_minute)
    Throttle.create_unless_there(name=name, free_at=now)
    row = Throttle.get_by_id(name)
    was_put_back = row.free_at > now + pause + SLACK  # the clock, since that turn was given
    if was_put_back or row.free_at <= now:
        row.put(free_at=now + pause, **({"line_until": None} if was_put_back else {}))
        return None
    free_at: datetime = row.free_at
    if not can_wait:
        return free_at
    last: datetime | None = row.line_until
    is_line = last is not None and free_at <= last < now + timedelta(hours=1)
    turn = last + pause if last and is_line else free_at
    row.put(line_until=turn)
    return turn
