"""May the clock be believed? Nothing expires by one that may not."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from edge.database import transaction
from edge.domain import events
from edge.models import Clock, Grant, Router

AGREEMENT = timedelta(minutes=1)
OUTAGE = timedelta(minutes=2)


def state() -> Clock | None:
    """The box's one clock row; None before its first beat."""
    return Clock.get_or_none(Clock.id == 1)


def is_trusted() -> bool:
    """True when somebody independent vouched for the time."""
    row = state()
    return bool(row and row.trusted)


@transaction
def beat(now: datetime, synchronised: bool, offsets: Iterable[timedelta] = ()) -> bool:
    """Judge the clock and write down that the box lived; returns whether it may be believed.

    `synchronised` is the kernel's word on NTP; `offsets` are how far independent clocks (router, GSM network)
    differ from ours. Time before the last instant ever recorded is never believed.
    """
    row = state() or Clock.create(id=1, seen_at=now)
    agreeing = any(abs(offset) <= AGREEMENT for offset in offsets)
    went_back = now < row.seen_at - AGREEMENT
    trusted = (synchronised or agreeing) and not went_back
    words = (
        "the clock is behind what the box has already lived through" if went_back
        else "synchronised by NTP" if synchronised
        else "agrees with the router or the GSM network" if agreeing
        else "nobody vouches for the clock yet: nothing expires until NTP or a router does"
    )  # fmt: skip
    if row.trusted != trusted:
        events.record("clock.trusted" if trusted else "clock.doubted", now, words=words)
    if trusted:
        _credit_outage(row.seen_at, now)
        row.put(trusted=True, words=words, seen_at=now)
    else:
        row.put(trusted=False, words=words)
    return trusted


def _credit_outage(seen_at: datetime, now: datetime) -> None:
    """The box was away (or unsure of the time) since `seen_at`: guests get that time back."""
    if now - seen_at > OUTAGE:
        credit(seen_at, now, why="the box was off")


@transaction
def credit(since: datetime, until: datetime, why: str) -> int:
    """Add the overlap of an outage to every grant that ran during it; returns how many."""
    running = Grant.select().where(Grant.state == "live", Grant.starts_at < until, Grant.ends_at > since)
    grants = list(running)
    for grant in grants:
        lost = until - max(since, grant.starts_at)
        grant.put(ends_at=grant.ends_at + lost, credited_s=grant.credited_s + int(lost.total_seconds()))
    if grants:
        events.record("time.credited", until, guests=len(grants), seconds=int((until - since).total_seconds()), why=why)
    return len(grants)


def router_offsets(now: datetime) -> list[timedelta]:
    """How far the routers that answered lately are from our clock."""
    fresh = Router.select().where(Router.clock_seen_at > now - timedelta(minutes=5))
    return [timedelta(seconds=router.clock_offset_s) for router in fresh]
