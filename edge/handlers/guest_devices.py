"""A guest's devices at the routers: logged in without a form, moved or paused, and TVs taken off again."""

import contextlib
from datetime import datetime
from typing import Any

from edge.devices import coa
from edge.domain import access, accounting, guest_devices, guest_logins
from edge.errors import Refused
from edge.handlers import radius
from edge.handlers.world import World, WriteDown
from edge.models import Grant
from edge.models import Router as RouterRow


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
    world: World, now: datetime, grant_id: int, router_id: int, why: str, mac: str
) -> WriteDown | None:
    """End what runs of this grant at one router: cookies first, then sessions. The code itself stays good."""
    grant = Grant.get_by_id(grant_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None:
        return None
    told: WriteDown | None = None
    if row.username:
        world.router(row).kick(grant.username)
    else:
        told = radius.disconnect_grant(world, now, grant_id, router_id)

    def write_down(then: datetime) -> None:
        if told is not None:
            told(then)
        guest_logins.record_kicked(grant_id, router_id, why, mac, then)

    return write_down


def withdraw_device(world: World, now: datetime, mac: str, router_id: int, grant_id: int) -> WriteDown | None:
    """Take a TV off one router: its user, its cookies, its session; unless it was let in anew meanwhile."""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or guest_devices.live(mac) is not None:
        return None
    if row.username:
        world.router(row).withdraw(mac)
        return lambda then: None
    for session in accounting.open_sessions(Grant.get_by_id(grant_id), row):
        if session.login.upper() == mac:
            with contextlib.suppress(coa.NoSession):
                world.disconnect(row, session)
    return lambda then: None
