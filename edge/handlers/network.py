"""Routers told who may be online, and asked how they are."""

import contextlib
from datetime import UTC, datetime

from edge.devices.router import Router
from edge.devices.router_rows import NotOurs
from edge.domain import access, breakers, checks, comparison, convergence, lanes, network, strangers
from edge.errors import DeviceError, Refused, Unreachable
from edge.handlers.router_setup import adopt_login
from edge.handlers.world import Missed, World, WriteDown
from edge.models import Grant
from edge.models import Router as RouterRow
from edge.network_models import Device
from edge.values.hotspot import HotspotUser


def place_grant(world: World, now: datetime, grant_id: int, router_id: int) -> WriteDown | None:
    """Bring one router to what one grant says, with the time and data that are left."""
    grant = Grant.get_by_id(grant_id)
    left = access.left(grant, now)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or grant.state != "live":
        return None
    if left.is_nothing:
        return _end_used_up({grant_id: left.used_up} if left.used_up == "data" or grant.metered else {})
    router = world.router(row)
    own, *tvs = comparison.users_of(grant, left)
    router.admit(own)
    words = "; ".join(said for tv in tvs if (said := _refusal(router, tv)))
    return lambda then: access.record_placed(grant_id, router_id, then, words)


def _refusal(router: Router, tv: HotspotUser) -> str:
    """Admits a TV; a router that refuses it keeps nobody else out. In which words, or ''."""
    try:
        router.admit(tv)
    except Refused as reason:
        return str(reason)
    return ""


def _end_used_up(over: dict[int, str]) -> WriteDown:
    return lambda then: convergence.end_used_up(over, then)


def sync_router(world: World, now: datetime, router_id: int) -> WriteDown | Missed | None:
    """Bring one router a slice of the guests it lacks, as after a reset; whoever buys meanwhile goes first."""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    grants = convergence.next_slice(router_id, now) if row is not None else []
    if row is None or not grants:
        return None
    whose = {user.name: due.grant for due in grants for user in due.users}
    over = {due.grant.id: due.left.used_up for due in grants if due.left.is_nothing}
    done = world.router(row).converge(user for due in grants for user in due.users)
    if done.broken and not done.there:
        raise Unreachable(done.broken)
    there = {whose[name].id: "" for name in done.there if whose[name].username == name}
    refused = {whose[name].id: words for name, words in done.refused.items() if whose[name].id not in there}
    there |= {whose[name].id: words for name, words in done.refused.items() if whose[name].id in there}  # a TV of his
    is_whole = len(grants) == convergence.SLICE or bool(done.broken)

    def write_down(then: datetime) -> None:
        convergence.end_used_up(over, then)
        convergence.record_slice(router_id, there, refused, is_whole, then)

    return Missed(write_down, done.broken) if done.broken else write_down


def withdraw_grant(world: World, now: datetime, grant_id: int, router_id: int) -> WriteDown | None:
    """Take a guest whose time is over off the router: credential, cookies, session; his TVs too."""
    grant = Grant.get_by_id(grant_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or grant.state == "live":
        return None
    router = world.router(row)
    for name in (grant.username, *(tv.mac for tv in Device.select().where(Device.grant == grant_id))):
        with contextlib.suppress(NotOurs):  # a person made him his own: he stays, and is shown as a stranger
            router.withdraw(name)
    return lambda then: access.record_gone(grant_id, router_id, then)


def check_router(world: World, now: datetime, router_id: int) -> WriteDown | None:
    """Is it there, is it right, and does it still know everybody who paid?"""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None:
        return None
    cure = network.cure_of(row)
    try:
        row = adopt_login(row, now)
        router = world.router(row)
        asked_at = datetime.now(UTC)
        facts = router.facts()
        users = router.users()
        look = comparison.look_at(router_id, users, router.active(), now)
    except DeviceError as reason:
        words = str(reason)
        return lambda then: checks.record_router(router_id, False, words, then, cure)

    def write_down(then: datetime) -> None:
        words = facts.hotspot_words or f"RouterOS {facts.version}"
        breakers.note_success(lanes.of_router(router_id), then)
        checks.record_router(router_id, facts.hotspot_ok, words, then, cure)
        network.record_facts(router_id, facts, asked_at, then)
        if facts.clock is not None:
            checks.record_router_clock(router_id, (facts.clock - asked_at).total_seconds(), asked_at)
        convergence.record(router_id, look, then)
        strangers.record(router_id, look.strangers, then)

    return write_down
