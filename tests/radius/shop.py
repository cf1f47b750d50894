"""A shop in mode radius for tests: the real FreeRADIUS over a box's own rows, and pretend routers that ask it."""

import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge import database, schema
from edge.demo import free_udp_port
from edge.devices import radius
from edge.devices.radius import FreeRadius
from edge.models import Clock, Grant, Plan, Router
from edge.simulators.router.radius_client import Accepted, RadiusClient, Rejected, chap_response
from edge.texts import data_folder

NEEDED = [
    pytest.mark.skipif(not radius.installed(), reason="freeradius is missing: make test installs it where it may"),
    pytest.mark.skipif(shutil.which("radclient") is None, reason="radclient is missing: make test installs it"),
]

# Years before the machine's clock: what holds now is the box's own clock row.
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
GATE, ATTIC, CELLAR, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.66"
GATE_SECRET, ATTIC_SECRET = "gate-of-the-shop-1234", "attic'\"s \\secret %{x} $1"
ASHA_PHONE, JUMA_PHONE = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"
GIB = 1 << 30


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """A box's database with two routers in mode radius and one in mode local."""
    path = folder / "edge.db"
    database.open_database(path)
    schema.migrate(path)
    Clock.create(id=1, trusted=True, seen_at=NOW)
    Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600, rate="2M/5M")
    Router.create(name="gate", host=GATE, mode="radius", radius_secret=GATE_SECRET)
    Router.create(name="attic", host=ATTIC, mode="radius", radius_secret=ATTIC_SECRET)
    Router.create(name="cellar", host=CELLAR, mode="local", radius_secret="cellar-is-local-1234")
    yield path
    database.close_database()


@contextmanager
def serving(path: Path) -> Iterator[FreeRadius]:
    """FreeRADIUS over this database."""
    daemon = daemon_over(path, path.parent / "radius")
    daemon.start()
    yield daemon
    daemon.stop()


def daemon_over(path: Path, folder: Path, templates: Path | None = None, **told: Any) -> FreeRadius:
    ports = {"auth_port": free_udp_port(), "acct_port": free_udp_port()} | told
    return FreeRadius(folder, path, templates or data_folder() / "radius", **{"host": "127.0.0.1"} | ports)


def router_at(daemon: FreeRadius, source: str, secret: str, timeout_s: float = 5.0) -> RadiusClient:
    ports = daemon._ports
    return RadiusClient("127.0.0.1", ports["auth"], ports["acct"], secret, nas_identifier="gate", source=source,
                        timeout_s=timeout_s)  # fmt: skip


def grant(username: str, **told: Any) -> Grant:
    columns = {
        "plan": 1, "username": username, "password": "0123", "seconds": 3600, "rate": "2M/5M", "created_at": NOW,
        "starts_at": NOW, "ends_at": NOW + timedelta(minutes=10),
    }  # fmt: skip
    with database.db.atomic("IMMEDIATE"):
        return Grant.create(**columns | told)


def log_in(
    router: RadiusClient, name: str, pin: str = "0123", mac: str = ASHA_PHONE, **told: Any
) -> Accepted | Rejected:
    return router.log_in(name, pin, mac=mac, ip="10.5.50.9", **{"session_id": "80a00001"} | told)


def by_chap(pin: str) -> tuple[int, bytes, bytes]:
    challenge = secrets.token_bytes(16)
    return 0xF9, challenge, chap_response(0xF9, pin, challenge)


def account(router: RadiusClient, kind: Any, name: str, mac: str = ASHA_PHONE, **told: Any) -> None:
    usual = {"ip": "10.5.50.9", "session_id": "80a00001", "class_": b"", "seconds": 0, "bytes_in": 0, "bytes_out": 0}
    router.account(kind, username=name, mac=mac, **usual | told)


def radclient(daemon: FreeRadius, kind: str, lines: str, secret: str = GATE_SECRET) -> str:
    port = daemon._ports["acct" if kind == "acct" else "auth"]
    asked = subprocess.run(
        ["radclient", "-x", "-t", "5", "-r", "3", f"127.0.0.1:{port}", kind, secret], input=lines, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return asked.stdout.partition("Received ")[2]


def sessions(path: Path, name: str) -> list[dict[str, Any]]:
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM radacct WHERE username = ? ORDER BY radacctid", (name,))
        rows = [dict(row) for row in found]
    connection.close()
    return rows


def wait_for(holds: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@contextmanager
def opened_beside(folder: Path) -> Iterator[tuple[Path, int]]:
    """A shop of its own beside the module's, whose database stays open: its file, and the number of its gate."""
    path = folder / "edge.db"
    database.db.execute_sql("VACUUM INTO ?", (str(path),))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("DELETE FROM radacct")
        other.execute("DELETE FROM devices")
        other.execute("DELETE FROM placements")
        other.execute("DELETE FROM grants")
        other.execute(
            "INSERT INTO grants (plan_id, why, msisdn, mac, username, password, seconds, rate, devices, credited_s, "
            "metered, provisional, state, why_ended, created_at, starts_at, ends_at) VALUES (1, 'gift', '', '', "
            "'ASHA2345', '0123', 3600, '2M/5M', 500, 0, 0, 0, 'live', '', ?, ?, ?)",
            (NOW.timestamp(), NOW.timestamp(), NOW.timestamp() + 3600),
        )
        router_id = other.execute("SELECT id FROM routers WHERE name = 'gate'").fetchone()[0]
    yield path, router_id


def templates_with(folder: Path, old: str, new: str) -> Path:
    """The templates with one thing changed."""
    shutil.copytree(data_folder() / "radius", folder / "templates")
    text = (folder / "templates" / "radiusd.conf").read_text(encoding="utf-8")
    assert old in text
    (folder / "templates" / "radiusd.conf").write_text(text.replace(old, new), encoding="utf-8")
    return folder / "templates"


def kill(daemon: FreeRadius) -> None:
    """The power goes, and it is back in a moment."""
    first = daemon.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: daemon.pid not in (None, first) and daemon._ready.is_set())


def load(daemon: FreeRadius, kind: str, requests: str, at_once: int) -> dict[str, float]:
    """All these requests by radclient, so many in flight: how many were accepted, and how many a second."""
    port = daemon._ports["acct" if kind == "acct" else "auth"]
    line = ["radclient", "-q", "-s", "-p", str(at_once), "-t", "5", "-r", "3", f"127.0.0.1:{port}", kind, GATE_SECRET]
    began = time.monotonic()
    asked = subprocess.run(line, input=requests, text=True, capture_output=True, timeout=120, check=False)
    took = time.monotonic() - began
    found = re.search(r"Accepted\s*: (\d+)", asked.stdout)
    assert found is not None, asked.stdout + asked.stderr
    return {"accepted": int(found[1]), "rate": int(found[1]) / took}
