"""The last word on every part of the box; a flip is kept, and raises one alert unless it flaps."""

from datetime import datetime, timedelta

from edge import jobs
from edge.database import db, transaction
from edge.domain import clock, convergence, events, lanes
from edge.models import Check, Router
from edge.network_models import Flip

KEPT = timedelta(days=90)
FLAPS = 6  # flips within FLAPPING: one alert says that it comes and goes, and each single one no more,
FLAPPING = timedelta(minutes=30)
CALM = timedelta(minutes=15)  # until it has kept to one state for so long


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
        _tell_flip(name, state, words, now)
    elif last is not None and not flipped and last.checked_at - last.changed_at < CALM <= now - last.changed_at:
        _tell_calm(name, state, words, last.changed_at, now)
    return flipped


@transaction
def doubt_modem(state: str, now: datetime) -> None:
    """A text found the modem other than its last word `state`: it is asked at once, not within a minute."""
    if Check.any_where("name = 'modem' AND state = ?", state):
        jobs.promise("modem.check", "sms", now, lane="modem", unique_key="modem.check")


def _tell_flip(name: str, state: str, words: str, now: datetime) -> None:
    """One alert a flip, so that whoever was told of the fault is told of its end."""
    before = _flips_until(name, now)
    Flip.create(name=name, state=state, words=words, at=now)
    if before + 1 < FLAPS:
        events.record("part.recovered" if state == "ok" else "part.failed", now, part=name, words=words)
    elif before + 1 == FLAPS:
        events.record("part.flapping", now, part=name, words=words, flips=FLAPS)


def _tell_calm(name: str, state: str, words: str, since: datetime, now: datetime) -> None:
    """It flapped, and has kept still for a while: where it stands is news again."""
    if _flips_until(name, since) >= FLAPS:
        events.record("part.recovered" if state == "ok" else "part.failed", now, part=name, words=words)


def _flips_until(name: str, moment: datetime) -> int:
    found = Flip.select().where(Flip.name == name, Flip.at > moment - FLAPPING, Flip.at <= moment)
    return int(found.count())


def flips(name: str = "", limit: int = 20) -> list[Flip]:
    """The newest flips, of one part or of all."""
    found = Flip.select().where(Flip.name == name) if name else Flip.select()
    return list(found.order_by(Flip.id.desc()).limit(limit))


@transaction
def prune(now: datetime, most: int = 1_000) -> int:
    """Forget flips of long ago; returns how many."""
    return int(
        db.execute_sql(
            "DELETE FROM flips WHERE id IN (SELECT id FROM flips WHERE at < ? LIMIT ?)",
            ((now - KEPT).timestamp(), most),
        ).rowcount
    )


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
    jobs.hurry(lanes.of_router(router.id), now)
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
