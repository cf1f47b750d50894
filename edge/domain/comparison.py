"""A router's users and sessions compared with what is owed there. Reads only: `convergence` writes what follows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge.database import db
from edge.domain import access, clock
from edge.domain.access import Left
from edge.domain.counters import Kept, Reading, used_since
from edge.models import Grant, Placement
from edge.network_models import Device
from edge.values.hotspot import ActiveSession, HotspotUser, KnownUser, Profile, misfit

NOUGHT: Kept = [0, 0, 0, 0, 0]
AT_ONCE = 400  # values in one statement: SQLite takes many, not any number

GRANT_COLUMNS = """g.id, g.plan_id, g.username, g.password, g.seconds, g.bytes, g.rate, g.devices, g.credited_s,
  g.metered, g.ends_at, g.state, g.idle_s"""
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
    """Compare what a router has with what is owed there.

    `active` must have been asked after `known`: a session that ended between the two is then missed for a minute,
    not counted twice.
    """
    rows: dict[str, KnownUser] = {user.name: user for user in known}
    running: dict[str, tuple[int, int]] = {}
    for session in active:
        seconds, total = running.get(session.user, (0, 0))
        running[session.user] = (seconds + session.uptime_s, total + session.bytes_in + session.bytes_out)
    look, tvs, instant = Look(), tvs_by_grant(), clock.reckoned(now)
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
        yield placement, grant_of(row[6:])


def grant_of(row: tuple[Any, ...]) -> Grant:
    """A grant by `GRANT_COLUMNS`."""
    return Grant(
        id=row[0], plan=row[1], username=row[2], password=row[3], seconds=row[4], bytes=row[5], rate=row[6],
        devices=row[7], credited_s=row[8], metered=bool(row[9]), ends_at=Grant.ends_at.python_value(row[10]),
        state=row[11], idle_s=row[12],
    )  # fmt: skip


def tvs_by_grant() -> dict[int, list[str]]:
    """Grant → the MACs of the devices that come in on it without a code."""
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
