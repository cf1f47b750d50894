"""Who guesses codes has to wait, longer each time: a pause belongs to whoever guessed, never to what he guessed at."""

from datetime import datetime, timedelta

from edge.database import transaction
from edge.errors import TooMany
from edge.models import Throttle

FIRST_PAUSE_S, LONGEST_PAUSE_S = 20, 900
FORGET_AFTER = timedelta(days=1)

Lock = tuple[str, int]  # its name, `kind:…`; wrong tries that are free


def pause_s(failures: int, free: int) -> int:
    """How long to wait after so many wrong tries, in seconds: some are free, then it doubles."""
    return 0 if failures < free else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - free, 16))


def refuse_if_paused(locks: list[Lock], now: datetime) -> None:
    """TooMany, with the wait in words and seconds, while one of these is paused."""
    for key, _ in locks:
        row = Throttle.get_or_none(Throttle.name == key)
        # Further ahead than any pause: the clock has moved since, and it means nothing.
        if row is not None and now < row.free_at <= now + timedelta(seconds=LONGEST_PAUSE_S):
            wait_s = int((row.free_at - now).total_seconds()) + 1
            length = f"{wait_s} seconds" if wait_s < 100 else f"{-(-wait_s // 60)} minutes"
            raise TooMany(f"Too many wrong codes. Please wait {length}, then try again.", "code", wait_s)


@transaction
def record_failure(locks: list[Lock], now: datetime) -> None:
    """One more wrong try on each of these, which are of one kind; those of yesterday are forgotten."""
    kind = locks[0][0].partition(":")[0] + ":"
    Throttle.delete().where(Throttle.name.startswith(kind), Throttle.free_at < now - FORGET_AFTER).execute()
    for key, free in locks:
        row = Throttle.get_or_none(Throttle.name == key)
        failures = 1 + (row.failures if row else 0)
        free_at = now + timedelta(seconds=pause_s(failures, free))
        Throttle.replace(name=key, free_at=free_at, failures=failures).execute()
