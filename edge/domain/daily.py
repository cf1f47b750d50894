"""So many a day: counters that all workers share, for what costs money or could be made to repeat itself."""

from datetime import datetime, timedelta

from edge.database import transaction
from edge.models import Throttle

DAY = timedelta(days=1)


@transaction
def take(name: str, most: int, now: datetime, within: timedelta = DAY) -> bool:
    """One more of these; False, and not counted, when there were `most` since the first one, less than `within` ago.

    `name` is `kind:…`; those of its kind that are over are forgotten.
    """
    kind = name.partition(":")[0] + ":"
    Throttle.delete().where(Throttle.name.startswith(kind), Throttle.free_at <= now).execute()
    row: Throttle | None = Throttle.get_or_none(Throttle.name == name)
    # Further ahead than any end: the clock has moved since, and it means nothing.
    is_running = row is not None and now < row.free_at <= now + within
    count = row.failures if row is not None and is_running else 0
    if count >= most:
        return False
    until = row.free_at if row is not None and is_running else now + within
    Throttle.replace(name=name, free_at=until, failures=count + 1).execute()
    return True


def count(name: str, now: datetime) -> int:
    """How many there were."""
    row: Throttle | None = Throttle.get_or_none(Throttle.name == name)
    return int(row.failures) if row is not None and row.free_at > now else 0


@transaction
def forget(name: str) -> None:
    """Begin anew."""
    Throttle.delete().where(Throttle.name == name).execute()
