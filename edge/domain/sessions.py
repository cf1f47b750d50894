"""Who is online where: sessions as routers tell them, looked through, ended by staff, added up day by day."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from peewee import JOIN, SQL

from edge.database import db, transaction, writer
from edge.domain import access, events, guest_codes, wishes
from edge.errors import BadInput
from edge.models import Grant, Plan, Router
from edge.network_models import Device, Session
from edge.values.codes import mask_code
from edge.values.mac import as_mac, is_by_mac
from edge.values.msisdn import read_msisdn
from edge.values.router_data import LiveSession

PART = 250  # rows in one transaction: a sale waits for no more of them
# Told of so lately, an open session counts as online, here and wherever else that is asked. A router that is read each
# minute ends its own by then; one that asks by RADIUS alone speaks every five minutes, and two words may be lost.
HEARD = timedelta(minutes=15)
FORGOTTEN = timedelta(days=1)  # then it counts as ended when it was last seen
KEPT = timedelta(days=90)
JITTER_S = 15  # of a session's start by the router's own clock: a long table takes a small router seconds to print
PAGE = 50
DAYS = 30

# Written out, so that SQLite may use the index over open ones alone; with the plus, so that it uses no other. Else it
# walks all there were at a router in three months, or all there ever were, to have them in order.
OPEN = SQL("t1.ended_at IS NULL")
NEWEST_FIRST = SQL("+t1.id DESC")
SIGHT = """UPDATE sessions SET ip = ?, seen_at = ?, seconds = ?, bytes_in = ?, bytes_out = ?, bps_in = ?, bps_out = ?
WHERE id = ? AND ended_at IS NULL"""
END = "UPDATE sessions SET ended_at = seen_at, bps_in = 0, bps_out = 0 WHERE id = ? AND ended_at IS NULL"
STILL = "UPDATE sessions SET bps_in = 0, bps_out = 0 WHERE id = ?"


@dataclass(frozen=True)
class Online:
    """One line of the list: a session, and whose it is. None where nobody here granted it anything."""

    session: Session
    router: str
    grant: Grant | None
    plan: str
    left_s: int | None
    is_heard: bool  # told of lately enough to be believed


@dataclass(frozen=True)
class Listing:
    """One page of who is online; `further` is where the next one begins."""

    rows: list[Online]
    further: int | None = None


@dataclass
class Day:
    """What one guest used of the sessions that began on one day of the shop's calendar."""

    day: date
    sessions: int = 0
    seconds: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass
class _Plan:
    """What one look at a router makes of the rows: statements to run, sessions to begin."""

    begun: list[LiveSession] = field(default_factory=list)
    changes: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)


# What routers tell


def record_active(router_id: int, found: Sequence[LiveSession], uptime_s: int, now: datetime) -> None:
    """Bring the rows of this router to what it says: seen, begun, ended at their last sight. Harmless to repeat.

    `uptime_s` is the router's own, in the same look. In parts, so that nobody waits for thousands of rows.
    """
    router = Router.get_or_none(Router.id == router_id)
    if router is None:
        return
    plan = _plan(router, found, uptime_s, now)
    for start in range(0, len(plan.changes), PART):
        _write(partial(_change, plan.changes[start : start + PART]))
    for start in range(0, len(plan.begun), PART):
        _write(partial(_begin, router_id, plan.begun[start : start + PART], uptime_s, now))


def _plan(router: Router, found: Iterable[LiveSession], uptime_s: int, now: datetime) -> _Plan:
    """Sessions that RADIUS let in at a router of ours are opened and ended by the accounting alone; its counters are
    the router's too, up to five minutes older. It knows a code in capitals, whatever letters were typed.
    """
    rows: dict[tuple[str, str, str], list[Session]] = {}
    for row in list(Session.select().where(OPEN, _at(router)).order_by(SQL("+t1.id"))):
        rows.setdefault((row.source, row.username.upper(), row.mac), []).append(row)
    plan = _Plan()
    for session in found:
        accounted = session.by_radius and router.mode == "radius"
        own = rows.get(("radius" if accounted else "router", session.user.upper(), session.mac), [])
        if own and _is_same(own[-1], session, uptime_s):
            plan.changes.append((SIGHT, _sight(session, now, own.pop().id)))
        elif not accounted:
            plan.begun.append(session)
    for (source, _, _), left in rows.items():
        for row in left:
            if source == "router":
                plan.changes.append((END, (row.id,)))
            elif row.bps_in or row.bps_out:
                plan.changes.append((STILL, (row.id,)))
    return plan


def _is_same(row: Session, told: LiveSession, uptime_s: int) -> bool:
    """No counter goes down in one session, and by the router's own clock it began when it began."""
    if row.source == "radius":
        return bool(told.uptime_s >= row.seconds - 2)
    if told.uptime_s < row.seconds - 2 or told.bytes_in < row.bytes_in or told.bytes_out < row.bytes_out:
        return False
    began_s = row.key.rsplit(":", 2)[-2]
    if not uptime_s or not began_s.isdigit():
        return True
    return abs(uptime_s - told.uptime_s - int(began_s)) <= JITTER_S


def _sight(told: LiveSession, now: datetime, row_id: int) -> tuple[Any, ...]:
    counted = (told.uptime_s, told.bytes_in, told.bytes_out, told.bps_in, told.bps_out)
    return (told.ip, now.timestamp(), *counted, row_id)


def _write(work: Any) -> None:
    """Not flushed: after a power cut the next look, a minute later, finds the same again."""
    if db.in_transaction():
        work()
    else:
        writer.write(work, durable=False)


def _change(changes: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
    for statement, values in changes:
        db.execute_sql(statement, values)


def _begin(router_id: int, begun: Sequence[LiveSession], uptime_s: int, now: datetime) -> None:
    grants = _grants_of(begun)
    for told in begun:
        began_s = max(0, uptime_s - told.uptime_s)
        Session.create_unless_there(
            key=f"{router_id}:{told.user}:{told.mac}:{began_s}:{now.timestamp():.3f}", source="router",
            router=router_id, grant=grants.get(told.user.upper()) or grants.get(told.mac), username=told.user,
            mac=told.mac, ip=told.ip, started_at=now - timedelta(seconds=told.uptime_s), seen_at=now,
            seconds=told.uptime_s, bytes_in=told.bytes_in, bytes_out=told.bytes_out, bps_in=told.bps_in,
            bps_out=told.bps_out,
        )  # fmt: skip


def _grants_of(begun: Iterable[LiveSession]) -> dict[str, int]:
    """Name → grant: by the guest's code, and for what logs in by its MAC by the device that was let in on it."""
    names = {told.user.upper() for told in begun}
    by_code = dict(Grant.select(Grant.username, Grant.id).where(Grant.username.in_(names)).tuples())
    macs = {told.mac for told in begun if is_by_mac(told.user, told.mac)}
    by_mac = dict(Device.select(Device.mac, Device.grant).where(Device.mac.in_(macs)).tuples())
    return {**by_mac, **by_code}


# To look at


def live(now: datetime, typed: str = "", router: Router | None = None, before: int | None = None,
         limit: int = PAGE) -> Listing:  # fmt: skip
    """Who is online, the newest first; or the devices of one phone number, code or MAC address."""
    found = _joined().where(OPEN)
    if typed:
        found = found.where(_matching(typed))
    if router is not None:
        found = found.where(_at(router))
    if before is not None:
        found = found.where(_before(before))
    rows = list(found.order_by(NEWEST_FIRST).limit(limit + 1))
    shown = [_online(row, now) for row in rows[:limit]]
    return Listing(shown, rows[limit - 1].id if len(rows) > limit else None)


def open_ones(typed: str) -> list[Session]:
    """The open sessions of one phone number, code or MAC address."""
    return list(_joined().where(OPEN, _matching(typed)).order_by(SQL("+t1.id")))


def find(session_id: int) -> Session | None:
    """One session, open or ended."""
    found: Session | None = Session.get_or_none(Session.id == session_id) if 0 < session_id < 2**63 else None
    return found


def count_live(now: datetime) -> dict[int, int]:
    """Router → devices that are online there, told of lately."""
    words = "SELECT router_id, COUNT(*) FROM sessions WHERE ended_at IS NULL AND seen_at > ? GROUP BY router_id"
    return dict(db.execute_sql(words, ((now - HEARD).timestamp(),)).fetchall())


def last_of(typed: str) -> Session | None:
    """The newest session, open or ended, of one phone number, code or MAC address."""
    # One question each: asked for all at once, every session of three months is looked at.
    found = [_newest(Session.grant.in_(grants)) for grants in _grants_named(typed)]
    mac = as_mac("".join(typed.split()))
    if mac:
        found.append(_newest(Session.mac == mac))
    return max(filter(None, found), key=lambda session: int(session.id), default=None)


def _newest(whose: Any) -> Session | None:
    found: Session | None = _joined().where(whose).order_by(NEWEST_FIRST).first()
    return found


def grant_of(typed: str) -> Grant | None:
    """The newest right of one phone number or code, whether it was ever used or not."""
    return max((grant for grants in _grants_named(typed) for grant in grants), key=lambda grant: grant.id, default=None)


def _grants_named(typed: str) -> list[list[Grant]]:
    """Those of this code, and those of this phone number."""
    by_code = guest_codes.named(typed)
    found = [[by_code]] if by_code is not None else []
    with contextlib.suppress(BadInput):  # no phone number: the code is left
        found.append(list(Grant.select().where(Grant.msisdn == read_msisdn(typed))))
    return found


def _joined() -> Any:
    return (
        Session.select(Session, Router, Grant, Plan)
        .join(Router, JOIN.LEFT_OUTER)
        .switch(Session)
        .join(Grant, JOIN.LEFT_OUTER)
        .join(Plan, JOIN.LEFT_OUTER)
    )


def _at(router: Router) -> Any:
    return SQL("+t1.router_id = ?", [router.id])


def _before(number: int) -> Any:
    return SQL("+t1.id < ?", [number])


def _matching(typed: str) -> Any:
    word = "".join(typed.split())
    code = guest_codes.plain(typed)
    ways = [Session.username.in_([word, word.upper(), code]), Grant.username == code]
    mac = as_mac(word)
    if mac:
        ways += [Session.mac == mac]
    with contextlib.suppress(BadInput):  # no phone number: the other ways are left
        ways.append(Grant.msisdn == read_msisdn(typed))
    either = ways[0]
    for way in ways[1:]:
        either = either | way
    return either


def _online(row: Session, now: datetime) -> Online:
    grant: Grant | None = row.grant
    return Online(
        row, row.router.name if row.router else "", grant, grant.plan.name if grant else "",
        access.seconds_left(grant, now) if grant else None, now - row.seen_at <= HEARD,
    )  # fmt: skip


# One guest's past


def of_guest(grant: Grant, limit: int = PAGE, before: int | None = None) -> list[Session]:
    """The sessions of whoever holds this grant, the newest first; of all his grants, when his phone is known."""
    found = _joined().where(_is_of(grant))
    if before is not None:
        found = found.where(_before(before))
    return list(found.order_by(NEWEST_FIRST).limit(limit))


def days_of_guest(grant: Grant, zone: ZoneInfo, now: datetime, days: int = DAYS) -> list[Day]:
    """His use by day, the newest first; days without a session are left out."""
    found: dict[date, Day] = {}
    since = now - timedelta(days=days)
    rows = Session.select(Session.started_at, Session.seconds, Session.bytes_in, Session.bytes_out)
    for session in list(rows.where(_is_of(grant), Session.started_at > since)):
        day = session.started_at.astimezone(zone).date()
        sum_up = found.setdefault(day, Day(day))
        sum_up.sessions += 1
        sum_up.seconds += session.seconds
        sum_up.bytes_in += session.bytes_in
        sum_up.bytes_out += session.bytes_out
    return sorted(found.values(), key=lambda entry: entry.day, reverse=True)


def _is_of(grant: Grant) -> Any:
    whose = Grant.msisdn == grant.msisdn if grant.msisdn else Grant.id == grant.id
    return Session.grant.in_(Grant.select(Grant.id).where(whose))


# Ended by staff


@transaction
def kick(session: Session, now: datetime, who: str) -> bool:
    """Promise that this device is logged out at its router; False when that is promised already.

    His right to be online stays: he may log in again. BadInput when nobody can end it.
    """
    if session.ended_at is not None or session.router_id is None:
        raise BadInput("This session has ended already.", "session")
    is_new = wishes.promise(
        "session.kick", f"kick:{session.id}", session.router_id, now, args={"session_id": session.id, "who": who},
        cause=f"grant:{session.grant_id}" if session.grant_id else "",
    )  # fmt: skip
    if is_new:
        _tell("session.kick_asked", session, now, who)
    return is_new


@transaction
def record_kicked(session_id: int, who: str, now: datetime) -> None:
    """The router has ended it, and was asked whether it stays away."""
    session = find(session_id)
    if session is None:
        return
    if session.ended_at is None:
        session.put(ended_at=now, bps_in=0.0, bps_out=0.0, cause=session.cause or "admin-reset")
    _tell("session.kicked", session, now, who)


@transaction
def record_not_kicked(session_id: int, who: str, words: str, now: datetime) -> None:
    """It could not be ended: whoever asked reads why."""
    session = find(session_id)
    if session is not None:
        _tell("session.kick_failed", session, now, who, words=words)


def _tell(name: str, session: Session, now: datetime, who: str, **more: str) -> None:
    guest = session.username if is_by_mac(session.username, session.mac) else mask_code(session.username)
    router = session.router.name if session.router else ""
    events.record(name, now, who=who, guest=guest, device=session.mac, router=router, **more)


# Upkeep


@transaction
def prune(now: datetime, most: int = 1_000) -> int:
    """Forget what ended long ago, and end what nobody has told of for a day; returns how many rows that were."""
    ended = db.execute_sql(
        "UPDATE sessions SET ended_at = seen_at, bps_in = 0, bps_out = 0 WHERE id IN "
        "(SELECT id FROM sessions WHERE ended_at IS NULL AND seen_at < ? LIMIT ?)",
        ((now - FORGOTTEN).timestamp(), most),
    ).rowcount
    gone = db.execute_sql(
        "DELETE FROM sessions WHERE id IN "
        "(SELECT id FROM sessions WHERE ended_at IS NOT NULL AND ended_at < ? LIMIT ?)",
        ((now - KEPT).timestamp(), most),
    ).rowcount
    return int(ended + gone)
