"""The last word on every part of the box; only a flip makes an event."""

from datetime import datetime

from edge import jobs
from edge.database import transaction
from edge.domain import access, clock, convergence, events
from edge.models import Check, Router


@transaction
def record(name: str, state: str, words: str, now: datetime, cure: str = "") -> bool:
    """Keep the answer; True when it differs in kind from the last one."""
    last = Check.get_or_none(Check.name == name)
    flipped = last is None or last.state != state
    Check.replace(
        name=name, state=state, words=words, cure=cure, checked_at=now,
        changed_at=now if last is None or flipped else last.changed_at,
    ).execute()  # fmt: skip
    if flipped and not (last is None and state == "ok"):
        events.record("part.recovered" if state == "ok" else "part.failed", now, part=name, words=words)
    return flipped


@transaction
def record_router(router_id: int, ok: bool, words: str, now: datetime, cure: str = "") -> bool:
    """A router answered or not. True when it is back: guests get the time it was away, and waiting work runs now."""
    router = Router.get_or_none(Router.id == router_id)
    if router is None:
        return False
    record(f"router:{router.name}", "ok" if ok else "problem", words, now, cure)
    instant = clock.reckoned(now)
    if not ok and router.down_since is None:
        router.put(down_since=instant)
    if not ok or router.down_since is None:
        return False
    if instant - router.down_since > clock.OUTAGE:
        clock.credit(router.down_since, instant, f"router {router.name} was away", router)
    router.put(down_since=None)
    jobs.hurry(access.lane_of(router.id), now)
    convergence.resume(router, now)
    return True


@transaction
def record_router_clock(router_id: int, offset_s: float, asked_at: datetime) -> None:
    """A second opinion on the time."""
    Router.update(clock_offset_s=offset_s, clock_seen_at=asked_at).where(Router.id == router_id).execute()


def everything() -> list[Check]:
    """All parts, worst first."""
    order = {"problem": 0, "unknown": 1, "ok": 2}
    return sorted(Check.select(), key=lambda check: (order[check.state], check.name))
