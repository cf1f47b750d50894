"""Routers read each minute, guests logged out by staff, strangers taken off on the owner's word."""

import contextlib
import logging
from datetime import datetime

from edge.devices import coa, router_data
from edge.domain import accounting, breakers, lanes, samples, sessions, strangers, wishes
from edge.domain.accounting import OpenSession
from edge.errors import DeviceError, Refused, Unreachable
from edge.handlers.world import World, WriteDown
from edge.models import Breaker
from edge.models import Router as RouterRow
from edge.network_models import Session

log = logging.getLogger("edge.router")


def read_router(world: World, now: datetime, router_id: int) -> WriteDown | None:
    """Who is online and how the router does. One that was not reached is not asked until its check finds it back."""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    name = lanes.of_router(router_id)
    if row is None or Breaker.any_where("name = ? AND (failures > 0 OR state <> 'closed')", name):
        return None
    try:
        reading = router_data.read(world.router(row))
    except Unreachable as reason:
        words = str(reason)
        return lambda then: breakers.note_failure(name, words, then)
    except DeviceError as reason:  # its check, each minute too, raises the alarm
        log.info("router %s tells nothing of itself: %s", row.name, reason)
        return None
    sessions.record_active(router_id, reading.sessions, reading.uptime_s, now)
    return lambda then: samples.record(router_id, reading, then)


def kick_session(
    world: World, now: datetime, session_id: int, router_id: int, who: str, asked_at: float | None = None
) -> WriteDown | None:
    """Log one device out: its cookie, or that brings it straight back; the session; and look whether it stays away."""
    wishes.refuse_if_stale(asked_at, now)
    session = sessions.find(session_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if session is None or session.ended_at is not None or row is None:
        return None
    known = _accounted(session, row)
    if row.username:
        world.router(row).kick(known.login if known else session.username, session.mac)
    elif known is not None:
        with contextlib.suppress(coa.NoSession):  # it is over: that was what was wanted
            world.disconnect(row, known)
    else:
        raise Refused(f"the box has no API user on {row.name}, and RADIUS knows no such session: it can't be ended")
    return lambda then: sessions.record_kicked(session_id, who, then)


def remove_stranger(world: World, now: datetime, stranger_id: int, router_id: int) -> WriteDown | None:
    """Take a user off a router whom nobody granted anything: the owner said so."""
    stranger = strangers.find(stranger_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if stranger is None or stranger.state != "unwanted" or row is None:
        return None
    world.router(row).remove_other(stranger.name, stranger.comment)
    return lambda then: strangers.record_removed(stranger_id, then)


def _accounted(session: Session, row: RouterRow) -> OpenSession | None:
    """The same session as RADIUS knows it, with the letters that were typed at the router."""
    if session.source != "radius" or session.grant is None:
        return None
    found = accounting.open_sessions(session.grant, row)
    return next((known for known in found if known.unique_id == session.key), None)
