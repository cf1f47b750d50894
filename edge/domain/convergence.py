"""Routers brought to what is owed, for ever: what is missing is promised, what is over is ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge import jobs
from edge.database import db, transaction
from edge.domain import access, clock, lanes
from edge.domain.access import ROUND_WHILE_DOWN, Left, begin, promise_placement, promise_withdrawal
from edge.domain.comparison import AT_ONCE, GRANT_COLUMNS, Look, grant_of, tvs_by_grant, users_of
from edge.models import Grant, Placement, Router
from edge.network_models import Session
from edge.values.hotspot import HotspotUser

CROWD = 5  # more guests than this are brought together, not with a job each
SLICE = 100  # users in one job: a new guest waits for no more of them
AWAY_AT_MOST = timedelta(days=3)  # a router that is gone for longer keeps nobody's time from ending

# Wishes that nobody works on. A `not_before` far ahead was written by a clock that has been put right since.
IDLE = """p.state IN ('wanted', 'leaving') AND (p.not_before IS NULL OR p.not_before NOT BETWEEN ? AND ?)
  AND (p.state = 'leaving' OR (g.state = 'live' AND (g.ends_at IS NULL OR g.ends_at > ?)))
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.state IN ('scheduled', 'waiting', 'running') AND j.unique_key =
    CASE p.state WHEN 'wanted' THEN 'place:' ELSE 'withdraw:' END || p.grant_id || ':' || p.router_id)"""
ADRIFT = f"""
SELECT p.state, p.grant_id, p.router_id FROM placements p JOIN grants g ON g.id = p.grant_id
WHERE {IDLE} AND (p.state = 'leaving' OR NOT EXISTS (SELECT 1 FROM jobs j
  WHERE j.state IN ('scheduled', 'waiting', 'running') AND j.unique_key = 'sync:' || p.router_id))
ORDER BY p.id
"""
# Who bought last stands before the portal now.
NEXT_SLICE = f"""
SELECT {GRANT_COLUMNS} FROM placements p JOIN grants g ON g.id = p.grant_id
WHERE {IDLE} AND p.state = 'wanted' AND p.router_id = ? ORDER BY p.grant_id DESC LIMIT ?
"""
UNPLACED = """
SELECT g.id, r.id FROM grants g JOIN routers r ON r.mode = 'local'
WHERE g.state = 'live' AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.grant_id = g.id AND p.router_id = r.id)
ORDER BY +g.id
"""  # the plus: else the planner walks all there ever were, to have them in order


@dataclass(frozen=True)
class Due:
    """A grant that a router should have: what is left of it, and its users there; none when nothing is left."""

    grant: Grant
    left: Left
    users: list[HotspotUser]


@transaction
def record(router_id: int, look: Look, now: datetime) -> int:
    """Write down what a look found, and promise what follows; returns how many guests are wanted again."""
    for count in look.counts:
        Placement.update(
            used_s=count.used_s, used_bytes=count.used_bytes, counted=count.counted
        ).where(Placement.id == count.placement_id).execute()
    end_used_up(look.over, now)
    for words in set(look.wanted.values()):
        ids = [placement_id for placement_id, why in look.wanted.items() if why == words]
        for start in range(0, len(ids), AT_ONCE):
            part = Placement.id.in_(ids[start : start + AT_ONCE])
            Placement.update(state="wanted", words=words).where(part, Placement.state == "there").execute()
    rows = Placement.select(Placement.grant).where(Placement.id.in_(list(look.wanted)[:CROWD + 1])).tuples()
    _promise_wanted(router_id, [grant_id for (grant_id,) in rows], now)
    for grant_id in look.ghosts:
        _withdraw_ghost(grant_id, router_id, now)
    return len(look.wanted)


def _withdraw_ghost(grant_id: int, router_id: int, now: datetime) -> None:
    """Over, and the router knows him again: an older backup of it, or a router that was forgotten and added anew."""
    placement = Placement.get_or_none(Placement.grant == grant_id, Placement.router == router_id)
    if placement is None:
        placement = Placement.create(grant=grant_id, router=router_id, state="gone")
    if placement.state == "gone":
        placement.put(state="leaving", words="the router knew this guest again")
        promise_withdrawal(grant_id, router_id, now)


@transaction
def end_used_up(over: Mapping[int, str], now: datetime) -> None:
    """Nothing is left of these grants, and why: time or data."""
    for grant_id, why in over.items():
        grant = Grant.get_by_id(grant_id)
        if access.left(grant, now).is_nothing:  # not so when he bought more since the router was asked
            access.end(grant, why, now)


def _promise_wanted(router_id: int, grant_ids: list[int], now: datetime) -> None:
    if len(grant_ids) > CROWD:
        promise_sync(router_id, now)
        return
    for grant_id in grant_ids:
        promise_placement(grant_id, router_id, now)


def promise_sync(router_id: int, now: datetime) -> None:
    """Promise the work of bringing a router many guests at once; whoever buys now goes before them."""
    jobs.promise(
        "router.sync", "provisioning", now, args={"router_id": router_id}, priority=jobs.LOW,
        lane=lanes.of_router(router_id), unique_key=f"sync:{router_id}",
    )  # fmt: skip


def next_slice(router_id: int, now: datetime) -> list[Due]:
    """The next grants that this router should have and nobody brings it, the newest first."""
    rows = db.execute_sql(NEXT_SLICE, (*_horizon(now), router_id, SLICE)).fetchall()
    tvs, instant = tvs_by_grant(), clock.reckoned(now)
    found = []
    for grant in map(grant_of, rows):
        used_s, used_bytes = access.used(grant) if grant.metered or grant.bytes is not None else (0, 0)
        left = access.left_of(grant, used_s, used_bytes, instant)
        users = [] if left.is_nothing else users_of(grant, left, tvs.get(grant.id, ()))
        found.append(Due(grant, left, users))
    return found


@transaction
def record_slice(
    router_id: int, there: dict[int, str], refused: dict[int, str], is_whole: bool, now: datetime
) -> None:
    """These grants are on the router now (with what of theirs it refused), those not; another follows a whole one."""
    back = Placement.select(Placement.grant).join(Grant).where(
        Placement.router == router_id, Placement.state == "wanted", Placement.written_at.is_null(False),
        Placement.grant.in_([grant_id for grant_id, words in there.items() if not words]), Grant.state == "live",
    )  # fmt: skip
    known = {grant_id for (grant_id,) in back.tuples()}
    Placement.update(state="there", words="", written_at=now, not_before=None, alarmed_at=None).where(
        Placement.router == router_id, Placement.grant.in_(list(known))
    ).execute()  # whom the router had lost, all at once
    for grant_id in there.keys() - known:
        access.record_placed(grant_id, router_id, now, there[grant_id])
    for grant_id, words in refused.items():
        access.record_not_placed(grant_id, router_id, words, now)
    if is_whole:
        promise_sync(router_id, now)


@transaction
def record_sync_failed(router_id: int, words: str, now: datetime) -> None:
    """All tries of a round are used up: whoever waits there waits for the next one, or for the router's return."""
    router = Router.get_or_none(Router.id == router_id)
    if router is not None:
        pause = access.ROUND if router.down_since is None else ROUND_WHILE_DOWN
        Placement.update(words=words, not_before=now + pause).where(
            Placement.router == router_id, Placement.state == "wanted"
        ).execute()


def sweep_if_due(now: datetime) -> int:
    """Look without a lock, and write only when wishes and work differ."""
    over = Grant.any_where("state = 'live' AND ends_at <= ?", now.timestamp()) and clock.is_trusted(now)
    over = over and bool(_overdue(now))
    return sweep(now) if over or _adrift(now) or _unbegun() or db.execute_sql(UNPLACED).fetchall() else 0


@transaction
def sweep(now: datetime) -> int:
    """Bring wishes and work together: end what is over, promise what nobody works on. Returns how many ended."""
    overdue = _overdue(now) if clock.is_trusted(now) else []
    for grant in overdue:
        access.end(grant, "time", now)
    _promise_adrift(_adrift(now), now)
    for grant in _unbegun():
        begin(grant, now)
    joined: dict[int, list[int]] = {}
    for grant_id, router_id in db.execute_sql(UNPLACED).fetchall():  # a router that joined later gets everybody
        Placement.create_unless_there(grant=grant_id, router=router_id)
        joined.setdefault(router_id, []).append(grant_id)
    for router_id, grant_ids in joined.items():
        _promise_wanted(router_id, grant_ids, now)
    return len(overdue)


@transaction
def resume(router: Router, now: datetime) -> None:
    """This router is back: what is wanted there is promised at once, without waiting for the next round."""
    Placement.update(not_before=None).where(Placement.router == router, Placement.not_before.is_null(False)).execute()
    _promise_adrift([wish for wish in _adrift(now) if wish[2] == router.id], now)


def _horizon(now: datetime) -> tuple[float, float, float]:
    return now.timestamp(), (now + ROUND_WHILE_DOWN).timestamp(), clock.reckoned(now).timestamp()


def _adrift(now: datetime) -> list[tuple[str, int, int]]:
    """(state, grant, router) of every wish that has no job and is not waiting for its next round."""
    return list(db.execute_sql(ADRIFT, _horizon(now)).fetchall())


def _promise_adrift(wishes: list[tuple[str, int, int]], now: datetime) -> None:
    wanted: dict[int, list[int]] = {}
    for state, grant_id, router_id in wishes:
        if state == "wanted":
            wanted.setdefault(router_id, []).append(grant_id)
        else:
            promise_withdrawal(grant_id, router_id, now)
    for router_id, grant_ids in wanted.items():
        _promise_wanted(router_id, grant_ids, now)


def _unbegun() -> list[Grant]:
    """A router came that asks RADIUS: now no right may wait for a local router to begin."""
    by_radius = Router.any_where("mode = 'radius'")
    return list(Grant.select().where(Grant.state == "live", Grant.starts_at.is_null())) if by_radius else []


def _overdue(now: datetime) -> list[Grant]:
    """Time over, and no outage that still has to be credited: of the guest's own router, or of all there are."""
    over = list(Grant.select().where(Grant.state == "live", Grant.ends_at <= now))
    if not over:
        return []
    routers = list(Router.select(Router.id, Router.down_since))
    away = {row.id: row.down_since for row in routers if row.down_since and now - row.down_since < AWAY_AT_MOST}
    nowhere = len(away) == len(routers)
    return [
        grant
        for grant in over
        if not (nowhere if grant.router_id is None else grant.router_id in away)
        or (grant.router_id in away and _was_elsewhere(grant, away[grant.router_id]))
    ]


def _was_elsewhere(grant: Grant, since: datetime) -> bool:
    """Online at another router meanwhile: what he says of where he stands is not so, or was not for long."""
    own = (Session.grant == grant.id, Session.seen_at > since)
    return bool(Session.select().where(*own, Session.router != grant.router_id).exists())
