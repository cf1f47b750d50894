"""A router asked about one guest, and told to let go of his sessions or to log his device in anew."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from edge.devices.router import Router
from edge.devices.router_look import RouterLook, trouble_of
from edge.domain import guest_doctor, wishes
from edge.errors import DeviceError, Refused, Unreachable
from edge.handlers.world import World, WriteDown, open_router
from edge.models import Grant
from edge.models import Router as RouterRow
from edge.values.guest_look import GuestLook, SeenCookie, SeenSession

LOOK_TIMEOUT_S = 4.0
LOOKS, BETWEEN_LOOKS_S = 3, 1.0  # a phone that was kicked is back among the hosts after a moment


def look_for_guest(
    world: World, now: datetime, router_id: int, about: str, username: str, mac: str
) -> WriteDown | None:
    """What one router knows of one guest. That it can't be asked is an answer too, so nothing is tried again."""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None:
        return None
    seen = _look(world.router(row), username, mac)
    return lambda then: guest_doctor.record_look(about, router_id, seen, then)


def look_at(row: RouterRow, username: str, mac: str) -> GuestLook:
    """Ask this router by a conversation that ends with the look: for whoever is no worker and has none of his own."""
    router = open_router(row, timeout_s=LOOK_TIMEOUT_S)
    try:
        return _look(router, username, mac)
    finally:
        router.close()


def _look(router: Router, username: str, mac: str) -> GuestLook:
    try:
        asked_at = datetime.now(UTC)
        facts = router.facts()
        offset_s = None if facts.clock is None else (facts.clock - asked_at).total_seconds()
        seen = RouterLook(router.conversation).at(username, mac)
        return replace(seen, hotspot=facts.hotspot_words, clock_offset_s=offset_s)
    except DeviceError as reason:
        return trouble_of(reason)


def log_in_anew(
    world: World, now: datetime, grant_id: int, router_id: int, mac: str, asked_at: float | None = None
) -> WriteDown | None:
    """Kick whatever his device is logged in with, and log it in with his own code."""
    found = _see(world, now, grant_id, router_id, mac, asked_at)
    if found is None:
        return None
    grant, router, seen = found
    names = {one.user for one in _traces(seen) if one.is_his_device}
    for name in sorted(names):
        router.kick(name, mac)
    if mac:
        _log_in(router, grant, mac)
    else:
        router.kick(grant.username)  # whichever device it is: it will ask for the code again
    return None


def _log_in(router: Router, grant: Grant, mac: str) -> None:
    """Refused when his device is not on the WiFi: then he has to come near and press Connect himself."""
    for again in range(LOOKS):
        if again:
            time.sleep(BETWEEN_LOOKS_S)
        hosts = _look(router, grant.username, mac).hosts or ()
        if any(host.authorized for host in hosts):
            return
        if any(router.log_in(grant.username, grant.password, host.ip, mac) for host in hosts):
            return
    raise Refused("his device is not on the WiFi of this router")


def free_devices(
    world: World, now: datetime, grant_id: int, router_id: int, mac: str, asked_at: float | None = None
) -> WriteDown | None:
    """Kick the other devices that use his code, so that the one he holds may come in."""
    found = _see(world, now, grant_id, router_id, mac, asked_at)
    if found is None:
        return None
    grant, router, seen = found
    others = {one.mac for one in _traces(seen) if one.is_his_code} - {mac, ""}
    for other in sorted(others):
        router.kick(grant.username, other)
    return None


def _traces(seen: GuestLook) -> list[SeenSession | SeenCookie]:
    """What runs, and what would bring it back."""
    return [*(seen.sessions or ()), *(seen.cookies or ())]


def _see(
    world: World, now: datetime, grant_id: int, router_id: int, mac: str, asked_at: float | None
) -> tuple[Grant, Router, GuestLook] | None:
    """Him and his router as they are now; None when the router is gone, or his time is over. TooLate, Unreachable."""
    wishes.refuse_if_stale(asked_at, now)
    grant: Grant = Grant.get_by_id(grant_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or grant.state != "live":
        return None
    router = world.router(row)
    seen = _look(router, grant.username, mac)
    if seen.trouble:
        raise Unreachable(seen.trouble)
    return grant, router, seen
