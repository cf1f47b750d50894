"""A guest's device logged in without a form, and his time moved to another device or paused."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from edge import jobs
from edge.database import db, transaction
from edge.domain import access, events
from edge.models import Grant, Job, Router
from edge.network_models import Device, Session

LOOKS = 4  # for the device among the router's hosts: phones that slept or changed address are there a moment later
BETWEEN_LOOKS = timedelta(seconds=3)
IN_VAIN_AFTER = timedelta(minutes=2)  # whoever asked has gone, and his time may not begin to run without him
REMEMBERED = timedelta(minutes=3)
FRESH = timedelta(minutes=3)  # a session that no router spoke of for so long may be over

KNOWN = """
SELECT mac FROM grants WHERE state = 'live' AND mac <> ''
UNION SELECT s.mac FROM sessions s JOIN grants g ON g.id = s.grant_id WHERE g.state = 'live' AND s.mac <> ''
"""


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
    used = Session.select(Session.grant).where(Session.mac == mac, Session.grant.is_null(False))
    live = Grant.select().where(Grant.state == "live", (Grant.mac == mac) | Grant.id.in_(used))
    found = list(live.order_by(Grant.id.desc()))
    return next((grant for grant in found if grant.mac == mac or mac in _last_devices(grant)), None)


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
    # No lane: a device that has to be looked for keeps nobody else waiting at this router.
    jobs.promise(
        "guest.login", "provisioning", now, run_at=run_at, priority=jobs.HIGH,
        args={**told, "grant_id": grant_id, "router_id": router_id, "look": look},
        unique_key=f"login:{grant_id}:{told['mac']}",
        once_key=f"login:{told['name']}:{look}", cause=f"grant:{grant_id}", not_after=now + IN_VAIN_AFTER,
    )  # fmt: skip


def login_progress(name: str) -> Progress | None:
    """How far this login is; None when there is none of this name, or no more."""
    keys = [f"login:{name}:{look}" for look in range(1, LOOKS + 1)]
    last = Job.select().where(Job.once_key.in_(keys)).order_by(Job.id.desc()).first()
    return None if last is None else Progress(_word(last))


@transaction
def promise_kick(grant: Grant, why: str, mac: str, now: datetime) -> None:
    """End the sessions of this grant on every router. `why`: move (to the device `mac`), or pause.

    The right itself stays: whoever has the code may come in again.
    """
    for router in Router.select().where((Router.mode == "radius") | (Router.username != "")):
        jobs.promise(
            "grant.move", "provisioning", now, priority=jobs.HIGH, lane=access.lane_of(router.id),
            args={"grant_id": grant.id, "router_id": router.id, "why": why, "mac": mac},
            unique_key=f"move:{grant.id}:{router.id}", cause=f"grant:{grant.id}",
        )  # fmt: skip


@transaction
def record_kicked(grant_id: int, router_id: int, why: str, mac: str, now: datetime) -> None:
    """No session of this grant is left at this router; its device from now on is the one that asked."""
    grant = Grant.get_by_id(grant_id)
    Session.update(ended_at=now, bps_in=0.0, bps_out=0.0, cause="admin-reset").where(
        Session.grant == grant_id, Session.router == router_id, Session.ended_at.is_null()
    ).execute()
    if why == "move" and mac and grant.mac != mac:
        grant.put(mac=mac)
        events.record("grant.moved", now, username=access.mask_code(grant.username), mac=mac)


def kick_progress(grant: Grant, now: datetime) -> Progress | None:
    """How far the last move or pause of the last minutes is; None when there was none."""
    asked = Job.select().where(
        Job.name == "grant.move", Job.cause == f"grant:{grant.id}", Job.created_at > now - REMEMBERED
    )
    found = sorted(asked, key=lambda job: job.id)
    if not found:
        return None
    why = str(found[-1].args["why"])
    last = {job.args["router_id"]: _word(job) for job in found if job.args["why"] == why}
    # The router where he stands, if it is known: another one that is away has nobody of his online.
    here = last.get(grant.router_id)
    words = [here] if here is not None else list(last.values())
    state = next((word for word in ("waiting", "delayed", "failed") if word in words), "done")
    return Progress(state, why)


def open_sessions(grant: Grant, now: datetime) -> list[Session]:
    """The devices that are online on this grant, by what routers last told."""
    fresh = Session.select().where(
        Session.grant == grant.id, Session.ended_at.is_null(), Session.seen_at > now - FRESH
    )
    return list(fresh)


def session_at(ip: str, now: datetime) -> Session | None:
    """The one session of this address; None as well when two networks have the same address."""
    fresh = Session.select(Session).where(
        Session.ip == ip, Session.ended_at.is_null(), Session.seen_at > now - FRESH, Session.grant.is_null(False)
    )
    found = list(fresh.limit(2))
    return found[0] if len(found) == 1 else None


def _word(job: Job) -> str:
    if job.state in ("done", "failed"):
        return str(job.state)
    if job.state == "cancelled":
        return "failed"
    return "delayed" if job.errors else "waiting"
