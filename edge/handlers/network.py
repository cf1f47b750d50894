"""Routers told who may be online, and asked how they are."""

from datetime import UTC, datetime

from edge.devices.router import Router
from edge.domain import access, breakers, checks
from edge.errors import DeviceError
from edge.handlers.world import World, WriteDown
from edge.models import Grant
from edge.models import Router as RouterRow
from edge.values.hotspot import HotspotUser, Profile


def place_grant(world: World, now: datetime, grant_id: int, router_id: int) -> WriteDown | None:
    """Bring one router to what one grant says, with the remaining time."""
    grant = Grant.get_by_id(grant_id)
    left = access.seconds_left(grant, now)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or left == 0:
        return None
    _router(world, row).admit(
        HotspotUser(
            name=grant.username,
            password=grant.password,
            profile=Profile(f"edge-plan-{grant.plan_id:05d}", grant.rate, grant.devices),
            # RouterOS adds up the time of all devices; the calendar's end is enforced by the sweep as well.
            seconds_left=left * grant.devices,
            bytes_left=grant.bytes,
            comment=f"edge:{grant.id}",
        )
    )
    return lambda then: access.record_placed(grant_id, router_id, then)


def withdraw_grant(world: World, now: datetime, grant_id: int, router_id: int) -> WriteDown | None:
    """Take a guest whose time is over off the router: credential, cookies, session."""
    grant = Grant.get_by_id(grant_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or grant.state == "live":
        return None
    _router(world, row).withdraw(grant.username)
    return lambda then: access.record_gone(grant_id, router_id, then)


def check_router(world: World, now: datetime, router_id: int) -> WriteDown | None:
    """Is it there, is it right, and does it still know everybody who paid?"""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None:
        return None
    cure = "check its power and cable, then `edge router check " + row.name + "`"
    try:
        router = _router(world, row)
        asked_at = datetime.now(UTC)
        facts = router.facts()
        names = {user.name for user in router.users()} if row.mode == "local" else None
    except DeviceError as reason:
        words = str(reason)
        return lambda then: checks.record_router(router_id, False, words, then, cure)

    def write_down(then: datetime) -> None:
        words = facts.hotspot_words or f"RouterOS {facts.version}"
        breakers.note_success(f"router:{router_id}", then)
        checks.record_router(router_id, facts.hotspot_ok, words, then, cure)
        if facts.clock is not None:
            checks.record_router_clock(router_id, (facts.clock - asked_at).total_seconds(), asked_at)
        if names is not None:
            access.record_router_users(router_id, names, then)

    return write_down


def _router(world: World, row: RouterRow) -> Router:
    return world.devices.router(
        row.host, row.port, row.username, row.password, tls=row.tls, server=row.hotspot_server
    )
