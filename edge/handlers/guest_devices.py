"""A guest's devices at the routers: logged in without a form, moved or paused, and TVs taken off again."""

import contextlib
from datetime import datetime
from typing import Any

from edge.devices import coa
from edge.devices.router import Router
from edge.domain import access, accounting, guest_devices, guest_logins, wishes
from edge.errors import Refused
from edge.handlers import radius
from edge.handlers.world import World, WriteDown
from edge.models import Grant
from edge.models import Router as RouterRow
from edge.values.mac import as_mac, is_by_mac


def log_in_guest(world: World, now: datetime, **args: Any) -> WriteDown | None:
    """Log one device in at the router before which it stands. Never asked twice: there might be two sessions."""
    grant = Grant.get_by_id(args["grant_id"])
    row = RouterRow.get_or_none(RouterRow.id == args["router_id"])
    if row is None or access.left(grant, now).is_nothing:
        raise Refused("nothing is left of this time")
    if world.router(row).log_in(grant.username, grant.password, args["ip"], args["mac"]):
        return lambda then: None
    if args["look"] >= guest_logins.LOOKS:
        raise Refused(f"the router does not see {args['mac']} at {args['ip']}")
    return lambda then: guest_logins.record_not_found(args, then)


def move_grant(
    world: World, now: datetime, grant_id: int, router_id: int, why: str, mac: str, asked_at: float | None = None
) -> WriteDown | None:
    """End what runs of this grant at one router: cookies first, then sessions. The code itself stays good."""
    wishes.refuse_if_stale(asked_at, now)
    grant = Grant.get_by_id(grant_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None:
        return None
    if row.username:
        told, ended = None, _kick_by_api(world.router(row), row, grant, why)
    else:
        known = {session.unique_id for session in accounting.open_sessions(grant, row)}
        ended = [session.id for session in guest_logins.open_at(grant, router_id) if session.key in known]
        told = radius.disconnect_grant(world, now, grant_id, router_id)

    def write_down(then: datetime) -> None:
        if told is not None:
            told(then)
        guest_logins.record_kicked(grant_id, why, mac, ended, then)

    return write_down


def _kick_by_api(router: Router, row: RouterRow, grant: Grant, why: str) -> list[int]:
    """Returns the numbers of the sessions that were ended. By RADIUS a code bears the letters that were typed."""
    names = {grant.username}
    if row.mode == "radius":
        names |= guest_logins.spellings(grant, row.id)
        names |= {session.login for session in accounting.open_sessions(grant, row)}
    tvs = {device.mac for device in guest_devices.of_grant(grant)}
    names = {name for name in names if as_mac(name) not in tvs}
    macs = tvs if why == "pause" else set()
    running = guest_logins.open_at(grant, row.id)
    for name in sorted(names):
        router.kick(name)
    if macs:
        _kick_devices(router, macs)
    return [session.id for session in running if session.username in names or as_mac(session.username) in macs]


def _kick_devices(router: Router, macs: set[str]) -> None:
    """What came in by its MAC, which RADIUS may be told in any spelling (radius-mac-format)."""
    for session in router.active():
        if session.mac in macs and is_by_mac(session.user, session.mac):
            router.kick(session.user, session.mac)


def withdraw_device(world: World, now: datetime, mac: str, router_id: int, grant_id: int) -> WriteDown | None:
    """Take a TV off one router: its user, its cookies, its session; unless it was let in anew meanwhile."""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or guest_devices.live(mac) is not None:
        return None
    if row.username:
        router = world.router(row)
        router.withdraw(mac)
        if row.mode == "radius":
            _kick_devices(router, {mac})
        return lambda then: None
    for session in accounting.open_sessions(Grant.get_by_id(grant_id), row):
        if as_mac(session.login) == mac:  # logged in with the code, the same device may stay
            with contextlib.suppress(coa.NoSession):
                world.disconnect(row, session)
    return lambda then: None
