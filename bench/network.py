"""How quickly routers are brought to what is owed, and what a router's absence costs."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any

from routeros_api import RouterOsApiPool

from bench.box import PASSWORD, running
from bench.client import once, post, quantile
from bench.measures import Row
from edge import boot, database, settings
from edge.cli.first_run import sample_plans
from edge.database import transaction
from edge.demo import free_port
from edge.devices.opening import Devices
from edge.domain import access, clock, plans
from edge.handlers.network import check_router
from edge.handlers.world import World
from edge.models import Grant, Placement, Plan, Router
from edge.simulators.router import RouterSimulator

GUESTS = 5000
AWAY_S = 600


@contextmanager
def simulated() -> Iterator[int]:
    """A pretend router in a process of its own; its API's port."""
    port = free_port()
    command = [
        sys.executable, "-m", "edge", "simulate", "router", "--port", str(port), "--http-port", str(free_port()),
        "--password", PASSWORD,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def connected(port: int) -> Iterator[Any]:
    """A plain client of the API, with the kernel told to send at once."""
    pool = RouterOsApiPool("127.0.0.1", username="edge", password=PASSWORD, port=port, plaintext_login=True)
    api = pool.get_api()
    pool.socket.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    yield api
    pool.disconnect()


def users_on(api: Any) -> int:
    """How many hotspot users it has, beside RouterOS's own."""
    told = api.get_binary_resource("/").call("ip/hotspot/user/print", {"count-only": b""})
    return int(told.done_message["ret"]) - 1


@contextmanager
def box(port: int, guests: int) -> Iterator[Path]:
    """A box whose router had this many guests, all of them paid for."""
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        state = Path(folder)
        config = state / "edge.toml"
        config.touch(mode=0o600)
        config.write_text(
            f'[mpesa]\nmode = "simulated"\nbase_url = "http://127.0.0.1:9"\n[[routers]]\nname = "gate"\n'
            f'host = "127.0.0.1"\nport = {port}\nusername = "edge"\npassword = "{PASSWORD}"\n'
        )
        with boot.opened(settings.load(state, environ={}), is_new=True):
            plans.seed(sample_plans())
            clock.beat(datetime.now(UTC), synchronised=True)
            _let_in(guests)
            database.writer.start()
            yield state


@transaction
def _let_in(guests: int) -> None:
    now, plan = datetime.now(UTC), Plan.get_by_id(1)
    for n in range(guests):
        grant = _new_grant(n, plan, now)
        grant.put(starts_at=now, ends_at=now + timedelta(hours=1))
        Placement.create(grant=grant, router=1, state="there", written_at=now)


def _new_grant(n: int, plan: Plan, now: datetime) -> Grant:
    return Grant.create(
        plan=plan, username=f"BENCH{n:05d}", password="1234", seconds=3600, rate=plan.rate, devices=1, created_at=now,
        why="bench",
    )  # fmt: skip


@contextmanager
def worker(state: Path) -> Iterator[None]:
    """The queues that speak with routers, in a process of their own."""
    command = [
        sys.executable, "-m", "edge", "--state", str(state), "worker", "--queue", "provisioning", "--queue",
        "router-checks",
    ]  # fmt: skip
    process = subprocess.Popen(command, env={**os.environ, "EDGE_LOG": "ERROR"}, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def converge() -> list[Row]:
    """A router that lost 5,000 guests, beside the bare cost of the same commands; a sale meanwhile; a sweep after."""
    bare = _bare()
    with simulated() as port, connected(port) as api, box(port, GUESTS) as state:
        began = time.monotonic()
        with worker(state):
            while users_on(api) == 0:
                time.sleep(0.05)
            first = time.monotonic()
            meanwhile = [_sell(api, 90_000 + n) for n in range(5)]
            while users_on(api) < GUESTS + len(meanwhile):
                time.sleep(0.1)
                assert time.monotonic() - began < 300
            took = time.monotonic() - began
            time.sleep(5)
            idle = [_sell(api, 91_000 + n, 0.2) for n in range(100)]
        sweep_s = _sweep()
    times = (took - (first - began)) / bare
    worst, p50, p99 = max(meanwhile) * 1000, quantile(idle, 0.5) * 1000, quantile(idle, 0.99) * 1000
    return [
        Row("5,000 guests onto an empty router, process start included",
            f"{took:.1f} s ({first - began:.1f} s to the first)", "< 30 s", took < 30),
        Row("the same from the first guest on, beside bare commands", f"{bare:.1f} s bare: × {times:.2f}", "< × 2",
            times < 2),
        Row("a new guest let in meanwhile", f"{worst:.0f} ms at worst of 5"),
        Row("new grant → user on the router, idle, 5,000 there", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "p50 < 50 ms",
            p50 < 50),
        Row("a sweep over 5,000 users with nothing to do", f"{sweep_s:.2f} s", "< 3 s", sweep_s < 3),
    ]  # fmt: skip


def _bare() -> float:
    with simulated() as port, connected(port) as api:
        users, profiles = api.get_resource("/ip/hotspot/user"), api.get_resource("/ip/hotspot/user/profile")
        profiles.add(**{"name": "edge-plan-00001-2M/5M-01", "rate-limit": "2M/5M", "shared-users": "1"})
        began = time.monotonic()
        for n in range(GUESTS):
            users.add(**{
                "name": f"BENCH{n:05d}", "password": "1234", "profile": "edge-plan-00001-2M/5M-01", "server": "all",
                "limit-uptime": "3600s", "limit-bytes-total": "0", "comment": f"edge:{n}", "disabled": "no",
            })  # fmt: skip
        return time.monotonic() - began


def _sell(api: Any, n: int, pause_s: float = 0.0) -> float:
    """Seconds from before the grant was promised until the router has the user."""
    users, now = api.get_resource("/ip/hotspot/user"), datetime.now(UTC)
    began = time.monotonic()
    _promise(n, now)
    while not users.get(name=f"BENCH{n:05d}"):
        time.sleep(0.001)
    took = time.monotonic() - began
    time.sleep(pause_s)
    return took


@transaction
def _promise(n: int, now: datetime) -> None:
    access.place(_new_grant(n, Plan.get_by_id(1), now), Router.get_by_id(1), now)


def _sweep() -> float:
    told = settings.load(Path(database.db.database).parent, environ={})
    world = World(Devices(told), told)
    try:
        check_router(world, datetime.now(UTC), 1)  # connected
        began = time.monotonic()
        write_down = check_router(world, datetime.now(UTC), 1)
        assert callable(write_down)
        write_down(datetime.now(UTC))
        return time.monotonic() - began
    finally:
        world.devices.close()


def away(seconds: int = AWAY_S) -> list[Row]:
    """A router gone for ten minutes under a sale a second, and another beside it."""
    with RouterSimulator(password=PASSWORD) as gate, RouterSimulator(password=PASSWORD, identity="attic") as attic:
        other = (
            f'[[routers]]\nname = "attic"\nhost = "127.0.0.1"\nport = {attic.port}\nusername = "edge"\n'
            f'password = "{PASSWORD}"\nmode = "local"\n'
        )
        with running(seconds, router_port=gate.port, mode="local", extra=other) as shop:
            time.sleep(5)
            gate.unplugged = True
            took: list[float] = []
            began = time.monotonic()
            for n, entry in enumerate(shop.waiting):
                time.sleep(max(0.0, began + n - time.monotonic()))
                sold = time.monotonic()
                assert once(shop.port, post(f"/cb/{entry.secret}", entry.body)) == 200
                while len(attic.users()) <= n and time.monotonic() - sold < 30:
                    time.sleep(0.002)
                took.append(time.monotonic() - sold)
            gate.unplugged = False
            back = time.monotonic()
            while len(gate.users()) < len(shop.waiting) and time.monotonic() - back < 300:
                time.sleep(0.05)
            returned, there = time.monotonic() - back, len(gate.users())
    p50, p99 = quantile(took, 0.5) * 1000, quantile(took, 0.99) * 1000
    everybody = there == len(took)
    return [
        Row(f"router gone {seconds} s under a sale a second: all there", f"{there} of {len(took)} in {returned:.0f} s",
            "all, < 60 s", everybody and returned < 60),
        Row("callback → let in at the other router meanwhile", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "undelayed",
            p50 < 150 and p99 < 1000),
    ]  # fmt: skip

