"""Routers brought to what is owed, for ever: what is missing is promised, what is over is ended, the rest is shown."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edge import jobs
from edge.database import db, transaction
from edge.domain import access, clock
from edge.domain.access import ROUND_WHILE_DOWN, Left, begin, lane_of, promise_placement, promise_withdrawal
from edge.domain.counters import Kept, Reading, used_since
from edge.models import Grant, Placement, Router
from edge.network_models import Device, Session
from edge.values.hotspot import ActiveSession, HotspotUser, KnownUser, Profile, misfit

CROWD = 5  # more guests than this are brought together, not with a job each
SLICE = 100  # users in one job: a new guest waits for no more of them
AWAY_AT_MOST = timedelta(days=3)  # a router that is gone for longer keeps nobody's time from ending
NOUGHT: Kept = [0, 0, 0, 0, 0]
AT_ONCE = 400  # values in one statement: SQLite takes many, not any number

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
GRANT_COLUMNS = """g.id, g.plan_id, g.username, g.password, g.seconds, g.bytes, g.rate, g.devices, g.credited_s,
  g.metered, g.ends_at, g.state, g.idle_s"""
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
OWED = f"""
SELECT p.id, p.state, p.used_s, p.used_bytes, p.counted, p.not_before, {GRANT_COLUMNS}
FROM placements p JOIN grants g ON g.id = p.grant_id WHERE p.router_id = ? AND p.state IN ('wanted', 'there', 'leaving')
"""


@dataclass(frozen=True)
class Count:
    """What a router's own counters say of one grant, all its devices together."""

    placement_id: int
    used_s: int  # ever, with what was counted before the router lost its rows
    used_bytes: int
    counted: dict[str, Kept]  # as read just now, a name


@dataclass(frozen=True)
class Due:
    """A grant that a router should have: what is left of it, and its users there; none when nothing is left."""

    grant: Grant
    left: Left
    users: list[HotspotUser]


@dataclass
class Look:
    """What one look at a router's users found, to be written down: only what is not as it should be."""

    counts: list[Count] = field(default_factory=list)
    wanted: dict[int, str] = field(default_factory=dict)  # placement → what is wrong with it on the router
    over: dict[int, str] = field(default_factory=dict)  # grant → why nothing is left of it
    ghosts: list[int] = field(default_factory=list)  # grants that are over, and the router still knows them
    strangers: list[KnownUser] = field(default_factory=list)


def users_of(grant: Grant, left: Left, tvs: Iterable[str] | None = None) -> list[HotspotUser]:
    """How a router in mode local should know this grant: its code, and its TVs by their MACs (looked up)."""
    if tvs is None:
        rows = Device.select(Device.mac).where(Device.grant == grant.id).order_by(Device.id).tuples()
        tvs = [mac for (mac,) in rows]
    macs = list(tvs)
    whole_s = left.seconds if grant.metered else grant.seconds + grant.credited_s

    def user(name: str, password: str, devices: int, mac: str = "") -> HotspotUser:
        # RouterOS adds up the time of all devices, and so does metered time; by the calendar each has the whole of it.
        times = 1 if grant.metered else devices
        return HotspotUser(
            name, password, profile_of(grant, devices), left.seconds * times, left.bytes, f"edge:{grant.id}",
            whole_s * times, mac,
        )  # fmt: skip

    # One place stays for whoever types the code.
    own = user(grant.username, grant.password, max(1, grant.devices - len(macs)))
    return [own, *(user(mac, "", 1, mac) for mac in macs)]


def profile_of(grant: Grant, devices: int) -> Profile:
    """Named by all that it says: who bought a plan before it was changed keeps what he bought. No such name is the
    beginning of another, which RouterOS might take for it.
    """
    idle = "no" if grant.idle_s is None else f"{grant.idle_s}s"
    name = f"edge-plan-{grant.plan_id:05d}-{grant.rate or 'any'}-{idle}-{devices:03d}"
    return Profile(name, grant.rate, devices, grant.idle_s)


def look_at(
    router_id: int, known: Iterable[KnownUser], active: Iterable[ActiveSession], now: datetime
) -> Look:
    """Compare what a router has with what is owed there. Reads only; `record` writes what came of it.

    `active` must have been asked after `known`: a session that ended between the two is then missed for a minute,
    not counted twice.
    """
    rows: dict[str, KnownUser] = {user.name: user for user in known}
    running: dict[str, tuple[int, int]] = {}
    for session in active:
        seconds, total = running.get(session.user, (0, 0))
        running[session.user] = (seconds + session.uptime_s, total + session.bytes_in + session.bytes_out)
    look, tvs, instant = Look(), _tvs(), clock.reckoned(now)
    for placement, grant in _owed(router_id):
        names = [grant.username, *tvs.get(grant.id, ())]
        # Use is kept only where it ends something: a card is not written each minute for whoever has neither.
        is_limited = grant.metered or grant.bytes is not None
        count = _count(placement, names, rows, running) if is_limited else None
        if count is not None:
            look.counts.append(count)
        if placement.state == "there" and grant.state == "live":
            _compare(look, placement, grant, names[1:], count, rows, running, instant)
        for name in names:
            rows.pop(name, None)
    gone = _over_of(rows)
    # A right that is being taken over is no live one yet, and has not ended: it has no reason.
    look.ghosts = [grant_id for name, (grant_id, why) in gone.items() if why and rows[name].is_ours]
    look.strangers = [user for name, user in rows.items() if name not in gone or not user.is_ours]
    return look


def _compare(
    look: Look, placement: Placement, grant: Grant, tvs: list[str], count: Count | None,
    rows: dict[str, KnownUser], running: dict[str, tuple[int, int]], instant: datetime,
) -> None:  # fmt: skip
    """Nothing left of it: over. Else everything of it on the router, and as it should be, or wanted again."""
    used_s, used_bytes = access.used(grant) if grant.metered or grant.bytes is not None else (0, 0)
    if count is not None:
        used_s += count.used_s - placement.used_s
        used_bytes += count.used_bytes - placement.used_bytes
    left = access.left_of(grant, used_s, used_bytes, instant)
    if left.is_nothing:
        if left.used_up == "data" or grant.metered:
            look.over[grant.id] = left.used_up  # by the calendar, the sweep ends it when its clock may be believed
    else:
        # What of his it refused is tried next round.
        was_refused = placement.not_before is not None and placement.not_before > instant
        users = users_of(grant, left, tvs)
        for user in users[:1] if was_refused else users:
            row, ran = rows.get(user.name), running.get(user.name)
            if row is None:
                look.wanted[placement.id] = "the router had lost this guest"
            elif row.is_ours:
                now_s, now_bytes = ran or (0, 0)
                words = misfit(
                    row, user, row.uptime_s + now_s, row.bytes_used + now_bytes, is_online=ran is not None
                )
                if words:
                    look.wanted[placement.id] = words


def _count(
    placement: Placement, names: list[str], rows: dict[str, KnownUser], running: dict[str, tuple[int, int]]
) -> Count | None:
    """None while the counters stand still."""
    counted: dict[str, Kept] = dict(placement.counted)
    used_s, used_bytes = placement.used_s, placement.used_bytes
    for name in names:
        row = rows.get(name)
        if row is not None:
            reading = Reading(row.uptime_s, row.bytes_used, *running.get(name, (0, 0)))
            more_s, more_bytes, counted[name] = used_since(counted.get(name), reading)
            used_s, used_bytes = used_s + more_s, used_bytes + more_bytes
    stood_still = all(counted[name] == placement.counted.get(name, NOUGHT) for name in counted)
    return None if stood_still else Count(placement.id, used_s, used_bytes, counted)


def _owed(router_id: int) -> Iterator[tuple[Placement, Grant]]:
    """Thousands of them each minute, so without Peewee's joins."""
    for row in db.execute_sql(OWED, (router_id,)).fetchall():
        placement = Placement(
            id=row[0], state=row[1], used_s=row[2], used_bytes=row[3], counted=Placement.counted.python_value(row[4]),
            not_before=Placement.not_before.python_value(row[5]),
        )  # fmt: skip
        yield placement, _grant_of(row[6:])


def _grant_of(row: tuple[Any, ...]) -> Grant:
    """A grant by `GRANT_COLUMNS`."""
    return Grant(
        id=row[0], plan=row[1], username=row[2], password=row[3], seconds=row[4], bytes=row[5], rate=row[6],
        devices=row[7], credited_s=row[8], metered=bool(row[9]), ends_at=Grant.ends_at.python_value(row[10]),
        state=row[11], idle_s=row[12],
    )  # fmt: skip


def _tvs() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for grant_id, mac in list(Device.select(Device.grant, Device.mac).tuples()):
        found.setdefault(grant_id, []).append(mac)
    return found


def _over_of(names: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Which of these names belong to grants that are not live, and why they ended."""
    found: dict[str, tuple[int, str]] = {}
    known = sorted(names)
    for start in range(0, len(known), AT_ONCE):
        part = Grant.username.in_(known[start : start + AT_ONCE])
        over = Grant.select(Grant.username, Grant.id, Grant.why_ended).where(Grant.state == "ended", part)
        found.update({name: (grant_id, why) for name, grant_id, why in over.tuples()})
    return found


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
        access.end(Grant.get_by_id(grant_id), why, now)


def _promise_wanted(router_id: int, grant_ids: list[int], now: datetime) -> None:
    if len(grant_ids) > CROWD:
        promise_sync(router_id, now)
        return
    for grant_id in grant_ids:
        promise_placement(grant_id, router_id, now)


def promise_sync(router_id: int, now: datetime) -> None:
    """Promise the work of bringing a router many guests at once; whoever buys now goes before them."""
    jobs.promise(
        "router.sync", "provisioning", now, args={"router_id": router_id}, priority=jobs.LOW, lane=lane_of(router_id),
        unique_key=f"sync:{router_id}",
    )  # fmt: skip


def next_slice(router_id: int, now: datetime) -> list[Due]:
    """The next grants that this router should have and nobody brings it, the newest first."""
    rows = db.execute_sql(NEXT_SLICE, (*_horizon(now), router_id, SLICE)).fetchall()
    tvs, instant = _tvs(), clock.reckoned(now)
    found = []
    for grant in map(_grant_of, rows):
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
