"""A guest's device logged in without a form, and his time moved to another device or paused."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL, fn

from edge import jobs
from edge.database import db, transaction
from edge.domain import events, sessions, wishes
from edge.models import Grant, Job, Router
from edge.network_models import Device, Session
from edge.values.codes import mask_code
from edge.values.mac import mask_mac

LOOKS = 4  # for the device among the router's hosts: phones that slept or changed address are there a moment later
BETWEEN_LOOKS = timedelta(seconds=3)
REMEMBERED = timedelta(minutes=3)

# CROSS JOIN: SQLite takes the tables in this order, the live rights first, and not all sessions of three months.
KNOWN = """
SELECT mac FROM grants WHERE state = 'live' AND mac <> ''
UNION SELECT s.mac FROM grants g CROSS JOIN sessions s WHERE s.grant_id = g.id AND g.state = 'live' AND s.mac <> ''
"""
# Written out, so that SQLite may use the indexes over live rights and open sessions alone.
LIVE = SQL("t1.state = 'live'")
OPEN = SQL("t1.ended_at IS NULL")


@dataclass(frozen=True)
class Progress:
    """How far work for a guest is: `waiting`, `delayed` (tried in vain, and again later), `done` or `failed`."""

    state: str
    why: str = ""


def known_macs() -> frozenset[str]:
    """The devices that somebody's live grant was bought with or used on."""
    return frozenset(row[0] for row in db.execute_sql(KNOWN).fetchall())


def of_mac(mac: str) -> Grant | None:
    """The live grant this device was bought for or last used with. A MAC proves nothing: show no code for it."""
    if not mac or Device.select().where(Device.mac == mac).exists():  # a TV comes in by itself
        return None
    # Two questions: with both in one, every right there ever was is looked at.
    used = Session.select(Session.grant).where(Session.mac == mac, Session.grant.is_null(False))
    found = {grant.id: grant for grant in Grant.select().where(LIVE, Grant.mac == mac)}
    found |= {grant.id: grant for grant in Grant.select().where(Grant.id.in_(used), Grant.state == "live")}
    newest_first = (found[number] for number in sorted(found, reverse=True))
    return next((grant for grant in newest_first if grant.mac == mac or mac in _last_devices(grant)), None)


def _last_devices(grant: Grant) -> list[str]:
    """As many as the plan has places: whoever moved his code away from a device is not known there for long."""
    last = fn.MAX(Session.started_at)
    told = Session.select(Session.mac).where(
        Session.grant == grant.id, Session.mac != "", Session.username != Session.mac
    )
    return [mac for (mac,) in told.group_by(Session.mac).order_by(last.desc()).limit(int(grant.devices)).tuples()]


@transaction
def promise_login(grant: Grant, mac: str, ip: str, router: Router, now: datetime) -> str:
    """Promise to log this device in at this router; returns the name by which `login_progress` knows it."""
    key = f"login:{grant.id}:{mac}"
    known = Job.get_or_none(jobs.IS_OPEN, Job.unique_key == key)
    if known is not None:
        return str(known.args["name"])
    name = secrets.token_hex(16)
    _promise_look(grant.id, {"mac": mac, "ip": ip, "name": name}, router.id, 1, now)
    return name


@transaction
def record_not_found(args: dict[str, Any], now: datetime) -> None:
    """The router does not see the device yet: look again in a moment."""
    told = {key: args[key] for key in ("mac", "ip", "name")}
    _promise_look(args["grant_id"], told, args["router_id"], args["look"] + 1, now, run_at=now + BETWEEN_LOOKS)


def _promise_look(
    grant_id: int, told: dict[str, Any], router_id: int, look: int, now: datetime, run_at: datetime | None = None
) -> None:
    # Not later than somebody waits for it: his time may not begin to run without him.
    # No lane: a device that has to be looked for keeps nobody else waiting at this router.
    jobs.promise(
        "guest.login", "provisioning", now, run_at=run_at, priority=jobs.HIGH,
        args={**told, "grant_id": grant_id, "router_id": router_id, "look": look},
        unique_key=f"login:{grant_id}:{told['mac']}",
        once_key=f"login:{told['name']}:{look}", cause=f"grant:{grant_id}", not_after=now + wishes.PATIENCE,
    )  # fmt: skip


def login_progress(name: str) -> Progress | None:
    """How far this login is; None when there is none of this name, or no more."""
    keys = [f"login:{name}:{look}" for look in range(1, LOOKS + 1)]
    last = Job.select().where(Job.once_key.in_(keys)).order_by(Job.id.desc()).first()
    return None if last is None else Progress(_word(last))


@transaction
def promise_kick(grant: Grant, why: str, mac: str, now: datetime) -> None:
    """End the sessions of this grant on every router. `why`: move (to the device `mac`), or pause.

    The right itself stays: whoever has the code may come in again. A move leaves the TVs online, for they have places
    of their own; a pause ends their use as well.
    """
    for router in list(Router.select().where((Router.mode == "radius") | (Router.username != ""))):
        wishes.promise(
            "grant.move", _kick_key(why, grant, router.id), router.id, now,
            args={"grant_id": grant.id, "why": why, "mac": mac}, cause=f"grant:{grant.id}",
        )  # fmt: skip


@transaction
def record_kicked(grant_id: int, why: str, mac: str, ended: Iterable[int], now: datetime) -> None:
    """The router has ended these sessions; the grant's device from now on is the one that asked."""
    grant = Grant.get_by_id(grant_id)
    Session.update(ended_at=now, bps_in=0.0, bps_out=0.0, cause="admin-reset").where(
        Session.id.in_(list(ended)), Session.ended_at.is_null()
    ).execute()
    if why == "move" and mac and grant.mac != mac:
        grant.put(mac=mac)
        events.record("grant.moved", now, username=mask_code(grant.username), mac=mask_mac(mac))


def kick_progress(grant: Grant, now: datetime) -> Progress | None:
    """How far the last move or pause of the last minutes is; None when there was none."""
    routers = [row for (row,) in Router.select(Router.id).tuples()]
    keys = [_kick_key(why, grant, router) for why in ("move", "pause") for router in routers]
    found = [job for job in wishes.newest(keys) if now - job.created_at < REMEMBERED]
    if not found:
        return None
    why = str(found[-1].args["why"])
    last = {job.args["router_id"]: _kick_word(job, now) for job in found if job.args["why"] == why}
    # The router where he stands, if it is known: another one that is away has nobody of his online.
    here = last.get(grant.router_id)
    words = [here] if here is not None else list(last.values())
    state = next((word for word in ("waiting", "delayed", "failed") if word in words), "done")
    return Progress(state, why)


def _kick_word(job: Job, now: datetime) -> str:
    """What is still open after so long will not be done."""
    word = _word(job)
    return "failed" if word in ("waiting", "delayed") and wishes.is_stale(job.created_at, now) else word


def _kick_key(why: str, grant: Grant, router_id: int) -> str:
    return f"{why}:{grant.id}:{router_id}"


def open_at(grant: Grant, router_id: int) -> list[Session]:
    """The open sessions of this grant at one router, told of lately or not."""
    return list(Session.select().where(Session.grant == grant.id, Session.router == router_id, OPEN))


def spellings(grant: Grant, router_id: int) -> set[str]:
    """The names by which this grant's devices logged in at one router: codes in the letters that were typed, MACs."""
    told = Session.select(Session.username).where(Session.grant == grant.id, Session.router == router_id)
    return {name for (name,) in told.distinct().tuples() if name}


def open_sessions(grant: Grant, now: datetime) -> list[Session]:
    """The devices that are online on this grant, by what routers last told."""
    heard = Session.seen_at >= now - sessions.HEARD
    return list(Session.select().where(Session.grant == grant.id, OPEN, heard))


def session_at(ip: str, now: datetime) -> Session | None:
    """The one session of this address; None as well when two networks have the same address."""
    # The plus keeps SQLite from the index over all sessions that ever were somebody's.
    of_somebody = SQL("+t1.grant_id IS NOT NULL")
    heard = Session.seen_at >= now - sessions.HEARD
    found = list(Session.select().where(Session.ip == ip, OPEN, of_somebody, heard).limit(2))
    return found[0] if len(found) == 1 else None


def _word(job: Job) -> str:
    if job.state in ("done", "failed"):
        return str(job.state)
    if job.state == "cancelled":
        return "failed"
    return "delayed" if job.errors else "waiting"
