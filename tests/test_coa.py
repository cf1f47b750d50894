"""Sessions ended at their router: Disconnect and CoA on the wire to a pretend NAS, and the job that sends them."""

import hashlib
import hmac
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from edge import tasks
from edge.database import db
from edge.devices import coa
from edge.devices.opening import Devices
from edge.domain import access, accounting
from edge.domain.disconnects import promise_disconnects
from edge.errors import Refused, Unreachable
from edge.handlers.radius import disconnect_grant
from edge.handlers.world import World
from edge.models import Grant, Router
from edge.settings import Settings
from edge.simulators.router import RouterSimulator
from edge.simulators.router.radius_client import Accepted, read_attributes
from tests.conftest import NOW, Box

pytestmark = pytest.mark.skipif(
    shutil.which("radclient") is None, reason="radclient is missing: make test installs it where it may"
)

SECRET = "the 'gate's\" secret \\ %{x} 1234"
PHONE, TV = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"
DISCONNECT, ACK, NAK, COA = 40, 41, 42, 43
NO_SESSION, PROHIBITED = 503, 501
SESSION = {"username": "asha2345", "ip": "10.5.50.9", "session_id": "80a00001"}


class Nas:
    """A router's CoA port: takes a request only if both of its signatures are good, and answers as it is told."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.line.bind((host, 0))
        self.port = int(self.line.getsockname()[1])
        self.secret = SECRET.encode()
        self.heard: list[tuple[int, dict[int, list[bytes]]]] = []
        self.answer: Callable[[dict[int, list[bytes]]], int] = lambda told: 0  # an Error-Cause, 0 for yes
        self.silent_times = 0
        self.forges = False

    def serve(self) -> None:
        while True:
            raw, sender = self.line.recvfrom(4096)
            if not raw:
                return
            if not self._is_signed(raw):
                continue
            told = read_attributes(raw[20:])
            self.heard.append((raw[0], told))
            if self.silent_times:
                self.silent_times -= 1
                continue
            cause = self.answer(told)
            body = bytes([101, 6]) + cause.to_bytes(4, "big") if cause > 0 else b""
            head = bytes([raw[0] + (2 if cause else 1), raw[1]]) + (20 + len(body)).to_bytes(2, "big")
            key = b"another" if self.forges else self.secret
            self.line.sendto(head + hashlib.md5(head + raw[4:20] + body + key).digest() + body, sender)

    def _is_signed(self, raw: bytes) -> bool:
        """RFC 5176, 2.3 and 3.3: the Request Authenticator, and the Message-Authenticator."""
        blank = raw[:4] + bytes(16) + raw[20:]
        place = raw.find(b"\x50\x12", 20)
        if place < 0 or hashlib.md5(blank + self.secret).digest() != raw[4:20]:
            return False
        unsigned = blank[: place + 2] + bytes(16) + blank[place + 18 :]
        return hmac.compare_digest(hmac.digest(self.secret, unsigned, "md5"), raw[place + 2 : place + 18])


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[Nas]:
    nas = Nas(host)
    thread = threading.Thread(target=nas.serve)
    thread.start()
    try:
        yield nas
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.sendto(b"", (host, nas.port))
        thread.join(30)
        nas.line.close()


@pytest.fixture
def nas() -> Iterator[Nas]:
    with listening() as found:
        yield found


def end(nas: Nas, secret: str = SECRET, timeout_s: float = 3.0, **other: Any) -> None:
    coa.disconnect("127.0.0.1", nas.port, secret, timeout_s=timeout_s, **SESSION | other)


# The wire


def test_a_session_is_named_by_everything_routeros_asks_for(nas: Nas) -> None:
    end(nas)
    [(code, told)] = nas.heard
    assert code == DISCONNECT
    assert {number: values for number, values in told.items() if number != 80} == {
        1: [b"asha2345"], 8: [bytes([10, 5, 50, 9])], 44: [b"80a00001"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["o'b;--", 'say "x"', "back\\slash", "%{User-Name}", "$(reboot)", "`id`", "Zoë, 1=2"])
def test_names_are_taken_by_the_letter(nas: Nas, name: str) -> None:
    end(nas, username=name)
    assert nas.heard[0][1][1] == [name.encode()]


@pytest.mark.parametrize("name", ["two\nlines", "a\0b", "x" * 300])
def test_what_is_no_name_is_not_sent(nas: Nas, name: str) -> None:
    with pytest.raises(Refused, match="plain text"):
        end(nas, username=name)
    assert nas.heard == []


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (NO_SESSION, coa.NoSession, "no such session"), (PROHIBITED, Refused, "accept=yes port=3799"),
        (403, Refused, "another router"), (504, Refused, "can't end this session"), (999, Refused, "said no: 999"),
        (-1, Refused, "without a reason"),
    ],
)  # fmt: skip
def test_a_no_is_told_in_words(nas: Nas, cause: int, kind: type[Refused], words: str) -> None:
    nas.answer = lambda told: cause
    with pytest.raises(kind, match=words) as found:
        end(nas)
    assert type(found.value) is kind


def test_a_lost_packet_is_sent_again(nas: Nas) -> None:
    nas.silent_times = 2
    end(nas)
    assert len(nas.heard) == 3


def test_silence_is_unreachable_after_three_tries_and_no_longer_than_was_said(nas: Nas) -> None:
    nas.silent_times = 99
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer on its CoA port"):
        end(nas, timeout_s=0.6)
    assert len(nas.heard) == 3
    assert 0.5 < time.monotonic() - began < 20


def test_a_closed_port_is_unreachable() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable):
        coa.disconnect("127.0.0.1", port, SECRET, timeout_s=0.3, **SESSION)


def test_another_secret_is_silence_and_a_forged_yes_is_none(nas: Nas) -> None:
    with pytest.raises(Unreachable):
        end(nas, secret="not the gate's secret", timeout_s=0.3)
    assert nas.heard == []
    nas.forges = True
    with pytest.raises(Unreachable, match="another secret"):
        end(nas, timeout_s=0.3)


@pytest.mark.parametrize("host", ["gate.lan", "", "127.0.0.1; reboot", "::1"])
def test_a_host_that_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(Refused, match="not an IPv4 address"):
        coa.disconnect(host, 3799, SECRET, **SESSION)


def test_a_missing_program_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *name, **told: None)
    with pytest.raises(Unreachable, match="apt-get install freeradius-utils"):
        coa.disconnect("127.0.0.1", 3799, SECRET, **SESSION)


# The job


def grant(**told: Any) -> Grant:
    columns = {
        "plan": 1, "username": "ASHA2345", "password": "0123", "seconds": 3600, "created_at": NOW, "starts_at": NOW,
        "ends_at": NOW + timedelta(hours=1), "bytes": 1000, "devices": 2,
    }  # fmt: skip
    return Grant.create(**columns | told)


def online(key: str, login: str, mac: str) -> None:
    db.execute_sql(
        "INSERT INTO radacct (acctuniqueid, acctsessionid, username, login, nasipaddress, callingstationid, "
        "framedipaddress, acctstarttime, acctupdatetime, is_folded) "
        "VALUES (?, ?, 'ASHA2345', ?, '127.0.0.1', ?, '10.5.50.9', ?, ?, 1)",
        (key, f"80a-{key}", login, mac, NOW.timestamp(), NOW.timestamp()),
    )


@pytest.fixture
def gate(box: Box, nas: Nas) -> Router:
    """By RADIUS alone: the box has no login of its own there."""
    return Router.create(name="gate", host="127.0.0.1", mode="radius", radius_secret=SECRET,
                         facts={"coa_port": nas.port})  # fmt: skip


@pytest.fixture
def world(box: Box) -> World:
    settings = Settings(state=box.folder)
    return World(Devices(settings), settings)


def test_every_session_of_an_ended_grant_is_disconnected_by_the_name_its_router_knows(
    box: Box, nas: Nas, gate: Router, world: World
) -> None:
    asha = grant()
    online("a", "asha2345", PHONE)
    online("b", TV, TV)
    access.end(asha, "staff", box.now)
    promise_disconnects(asha, box.now)
    [job] = box.jobs("grant.disconnect")
    assert disconnect_grant(world, box.now, **job.args) is None  # their router tells of their end
    assert [told[1] for _, told in nas.heard] == [[b"asha2345"], [TV.encode()]]
    assert [told[44] for _, told in nas.heard] == [[b"80a-a"], [b"80a-b"]]


def test_a_session_that_the_router_does_not_have_is_over(box: Box, nas: Nas, gate: Router, world: World) -> None:
    asha = grant()
    online("a", "asha2345", PHONE)
    online("b", TV, TV)
    nas.answer = lambda told: NO_SESSION if told[44] == [b"80a-a"] else 0
    write_down = disconnect_grant(world, box.now, grant_id=asha.id, router_id=gate.id)
    assert write_down is not None
    write_down(box.now)
    assert [session.unique_id for session in accounting.open_sessions(asha, gate)] == ["b"]


def test_a_router_that_says_no_or_nothing_is_told_as_it_is(
    box: Box, nas: Nas, gate: Router, world: World
) -> None:
    asha = grant()
    online("a", "asha2345", PHONE)
    nas.answer = lambda told: PROHIBITED
    with pytest.raises(Refused, match="forbids"):
        disconnect_grant(world, box.now, grant_id=asha.id, router_id=gate.id)
    gate.put(radius_secret="changed on one side only")
    with pytest.raises(Unreachable):
        disconnect_grant(world, box.now, grant_id=asha.id, router_id=gate.id)


@contextmanager
def shown_by_api(gate: Router) -> Iterator[RouterSimulator]:
    """The same router, now with an API login for the box; Asha's phone and her TV are online there, and Juma."""
    with RouterSimulator(password="x") as api:
        api.radius = Office()
        gate.put(port=api.port, username="edge", password="x")
        for number, name in enumerate(("asha2345", TV, "JUMA2345")):
            mac = TV if name == TV else f"AA:BB:CC:00:00:{2 * number + 1:02X}"
            api.add_host(mac, f"10.5.50.{9 + number}")
            assert api.log_in(name, "0123", mac) == ""
        yield api


class Office:
    """A RADIUS server that lets everybody in."""

    def log_in(self, username: str, password: str, **told: Any) -> Accepted:
        return Accepted(3600, "", None, 2, b"", 300)

    def account(self, kind: str, **told: Any) -> None:
        pass


def who_is_online(api: RouterSimulator) -> list[str]:
    return sorted(str(row["user"]) for row in api.active())


@pytest.mark.parametrize("cause", [0, PROHIBITED, NO_SESSION])
def test_whoever_stays_online_after_the_routers_answer_is_kicked_by_its_api(
    box: Box, nas: Nas, gate: Router, world: World, cause: int
) -> None:
    asha = grant()
    online("a", "asha2345", PHONE)
    online("b", TV, TV)
    nas.answer = lambda told: cause  # and nothing is done: an ACK is no proof
    with shown_by_api(gate) as api:
        disconnect_grant(world, box.now, grant_id=asha.id, router_id=gate.id)
        assert who_is_online(api) == ["JUMA2345"]
        world.devices.close()
    assert len(nas.heard) == 2


def test_a_router_that_does_not_listen_for_disconnects_is_told_by_its_api(
    box: Box, nas: Nas, gate: Router, world: World
) -> None:
    asha = grant()
    online("a", "asha2345", PHONE)
    online("b", TV, TV)
    nas.silent_times = 99
    with shown_by_api(gate) as api:
        assert disconnect_grant(world, box.now, grant_id=asha.id, router_id=gate.id) is None
        assert who_is_online(api) == ["JUMA2345"]
        world.devices.close()
    assert len(nas.heard) == 3  # the second session was not asked for in vain
    with pytest.raises(Unreachable):
        disconnect_grant(world, box.now, grant_id=asha.id, router_id=gate.id)


def test_nothing_is_asked_where_nobody_is_online(box: Box, nas: Nas, gate: Router, world: World) -> None:
    asha = grant()
    assert disconnect_grant(world, box.now, grant_id=asha.id, router_id=gate.id) is None
    assert disconnect_grant(world, box.now, grant_id=asha.id, router_id=99) is None
    assert disconnect_grant(world, box.now, grant_id=99, router_id=gate.id) is None
    assert nas.heard == []


def test_a_disconnect_may_be_done_twice() -> None:
    assert tasks.is_repeatable("grant.disconnect")
