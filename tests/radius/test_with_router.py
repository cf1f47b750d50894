"""FreeRADIUS, a pretend RouterOS and the box together: let in, counted, and put out when nothing is left."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.devices.opening import Devices
from edge.devices.radius import FreeRadius
from edge.domain import access, accounting
from edge.domain.disconnects import promise_disconnects
from edge.handlers.radius import disconnect_grant
from edge.handlers.world import World
from edge.models import Clock, Grant, Router
from edge.network_models import Device
from edge.settings import Settings
from edge.simulators.router import RouterSimulator
from tests.radius import shop as radius_shop
from tests.radius.shop import ASHA_PHONE, ATTIC_SECRET, GATE, GATE_SECRET, GIB, NOW, grant, sessions, wait_for

pytestmark = radius_shop.NEEDED
TV = "AA:BB:CC:00:00:77"


@pytest.fixture
def hotspot(server: FreeRadius) -> Iterator[RouterSimulator]:
    """As `edge router setup` leaves it: our server in /radius, TVs by their MAC, Disconnects heard."""
    with RouterSimulator(password="x") as router:
        router.hotspot.radius_servers.add(
            {
                "address": GATE, "secret": GATE_SECRET, "service": "hotspot", "timeout": "3s", "src-address": GATE,
                "authentication-port": str(server._ports["auth"]), "accounting-port": str(server._ports["acct"]),
            }
        )  # fmt: skip
        for profile in router.hotspot.server_profiles.rows.values():
            profile.update({"use-radius": "true", "radius-accounting": "true", "login-by": "mac,mac-cookie,http-pap"})
        router.ear.is_open = True
        Router.update(facts={"coa_port": router.coa_port}).where(Router.name == "gate").execute()
        yield router


@pytest.fixture
def asha(shop: Path) -> Iterator[Grant]:
    now = datetime.now(UTC)
    Clock.update(seen_at=now).execute()
    yield grant(f"NET{time.monotonic_ns() % 10**5:05d}", bytes=GIB, devices=2, starts_at=now,
                ends_at=now + timedelta(hours=1))  # fmt: skip
    Device.delete().execute()
    Clock.update(seen_at=NOW).execute()


def names_online(router: RouterSimulator) -> list[str]:
    return sorted(str(row["user"]) for row in router.active())


def test_a_phone_and_a_tv_are_let_in_counted_and_put_out_together(
    server: FreeRadius, shop: Path, hotspot: RouterSimulator, asha: Grant
) -> None:
    Device.create(grant=asha, mac=TV, created_at=NOW)
    typed = asha.username.lower()
    hotspot.add_host(ASHA_PHONE, "10.5.50.9")
    assert hotspot.log_in(typed, "9999", ASHA_PHONE) != ""
    assert hotspot.log_in(typed, "0123", ASHA_PHONE) == ""
    hotspot.add_host(TV, "10.5.50.10")  # comes near, and is in
    wait_for(lambda: names_online(hotspot) == sorted([typed, TV]))
    wait_for(lambda: len(sessions(shop, asha.username)) == 2)
    hotspot.traffic(TV, GIB // 2, GIB // 4)
    hotspot.traffic(ASHA_PHONE, 5, GIB // 4)
    hotspot.jump(300)  # an interim update
    wait_for(lambda: access.used(asha)[1] >= GIB)
    now = datetime.now(UTC)
    accounting.fold(now)
    ended = Grant.get_by_id(asha.id)
    assert (ended.state, ended.why_ended) == ("ended", "data")
    promise_disconnects(ended, now)
    settings = Settings(state=shop.parent)
    gate = Router.get(Router.name == "gate")
    disconnect_grant(World(Devices(settings), settings), now, grant_id=asha.id, router_id=gate.id)
    assert names_online(hotspot) == []
    assert hotspot.log_in(typed, "0123", ASHA_PHONE) == "Your data is used up"
    wait_for(lambda: accounting.open_sessions(asha, gate) == [])  # their Stops have come


def test_a_router_with_another_secret_lets_nobody_in_and_says_why(
    server: FreeRadius, hotspot: RouterSimulator, asha: Grant
) -> None:
    for row in hotspot.hotspot.radius_servers.rows.values():
        row.update({"secret": ATTIC_SECRET, "timeout": "100ms"})
    hotspot.add_host(ASHA_PHONE, "10.5.50.9")
    assert hotspot.log_in(asha.username, "0123", ASHA_PHONE) == "RADIUS server is not responding"


def test_staff_end_a_stay_at_once(shop: Path, hotspot: RouterSimulator, asha: Grant) -> None:
    hotspot.add_host(ASHA_PHONE, "10.5.50.9")
    assert hotspot.log_in(asha.username, "0123", ASHA_PHONE) == ""
    wait_for(lambda: sessions(shop, asha.username))
    now = datetime.now(UTC)
    access.end(asha, "staff", now)
    settings = Settings(state=shop.parent)
    gate = Router.get(Router.name == "gate")
    disconnect_grant(World(Devices(settings), settings), now, grant_id=asha.id, router_id=gate.id)
    assert names_online(hotspot) == []
    assert hotspot.log_in(asha.username, "0123", ASHA_PHONE) == "Your access was ended"
