"""May the clock be believed? Nothing expires by one that may not."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from edge import jobs
from edge.database import transaction
from edge.domain import events
from edge.models import Clock, Grant, Router

AGREEMENT = timedelta(minutes=1)
OUTAGE = timedelta(minutes=2)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # seen, until somebody has vouched for a time: any true one is later


def state() -> Clock | None:
    """The box's one clock row; None before its first beat."""
    try:
        return Clock.get_by_id(1)
    except Clock.DoesNotExist:
        return None


def is_trusted(now: datetime | None = None) -> bool:
    """True when somebody independent vouched for the time, and `now` has not jumped since."""
    row = state()
    return row is not None and _holds(row, now)


def reckoned(now: datetime) -> datetime:
    """The instant that counts: `now` by a clock that may be believed, else the last one that could be.

    A right begun meanwhile runs from there, and the gap is given back when trust returns.
    """
    row = state()
    if row is None or _holds(row, now):
        return now
    seen_at: datetime = row.seen_at
    return seen_at


def _holds(row: Clock, now: datetime | None) -> bool:
    """Judged at each beat; a jump between two beats is not believed either."""
    return bool(row.trusted) and (now is None or -AGREEMENT <= now - row.seen_at <= OUTAGE)


@transaction
def beat(now: datetime, synchronised: bool, offsets: Iterable[timedelta] = ()) -> bool:
    """Judge the clock and write down that the box lived; returns whether it may be believed.

    `synchronised` is the kernel's word on NTP; `offsets` are how far independent clocks (router, GSM network)
    differ from ours. Time before the last instant ever recorded is never believed.
    """
    row = state() or Clock.create(id=1, seen_at=NEVER)
    agreeing = any(abs(offset) <= AGREEMENT for offset in offsets)
    went_back = row.seen_at - now > AGREEMENT
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
        if now - row.seen_at > OUTAGE or not row.trusted:
            _credit_outage(row.seen_at, now)
        row.put(trusted=True, words=words, seen_at=max(now, row.seen_at))
        jobs.mend_delays(now)
    else:
        row.put(trusted=False, words=words)
    return trusted


def _credit_outage(since: datetime, now: datetime) -> None:
    """The box was away (or unsure of the time): guests get that time back, and first what routers owe until then."""
    for router in list(Router.select().where(Router.down_since < since)):
        credit(router.down_since, since, f"router {router.name} was away", router)
    credit(since, now, why="the box was off")


@transaction
def credit(since: datetime, until: datetime, why: str, router: Router | None = None) -> int:
    """Add the overlap of an outage to every grant that ran during it; returns how many.

    With `router`, only for guests who stood there, or nobody knows where. No moment is given back twice.
    """
    running = Grant.select().where(Grant.state == "live", Grant.starts_at < until, Grant.ends_at > since)
    if router is not None:
        running = running.where(Grant.router.is_null() | (Grant.router == router))
    count = 0
    for grant in list(running):
        lost = until - max(since, grant.starts_at, grant.credited_until or since)
        if lost > timedelta(0):
            # Metered time does not run meanwhile: only its last day, if it has one, is put off.
            given = 0 if grant.metered else int(lost.total_seconds())
            grant.put(ends_at=grant.ends_at + lost, credited_s=grant.credited_s + given, credited_until=until)
            count += 1
    if count:
        events.record("time.credited", until, guests=count, seconds=int((until - since).total_seconds()), why=why)
    return count


def router_offsets(now: datetime) -> list[timedelta]:
    """How far the routers that answered lately are from our clock."""
    fresh = Router.select().where(Router.clock_seen_at > now - timedelta(minutes=5))
    return [timedelta(seconds=router.clock_offset_s) for router in fresh]
