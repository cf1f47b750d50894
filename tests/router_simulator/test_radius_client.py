"""The pretend router as a RADIUS client: whom it asks, what it tells, and what it does when RADIUS orders."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import requests

from edge.simulators.router import RouterSimulator
from edge.simulators.router.radius import Chap
from tests.peers.routeros_wire import ASHA, PHONE, TABLET, form_of, get, unescape, wait_for


@dataclass
class Yes:
    session_timeout_s: int | None = 600
    rate: str = "1M/2M"
    total_limit: int | None = None
    port_limit: int | None = None
    class_: bytes = b"grant-7"
    interim_s: int | None = 60
    idle_s: int | None = None
    group: str = ""
    recv_limit: int | None = None
    xmit_limit: int | None = None


@dataclass
class No:
    words: str = "Your hour is over"


@dataclass
class Office:
    """What stands at the other end of RADIUS: answers, and keeps the books."""

    answer: Any = field(default_factory=Yes)
    asked: list[tuple[str, str, str, Chap | None]] = field(default_factory=list)
    books: list[tuple[str, int, int, int]] = field(default_factory=list)

    def log_in(
        self, username: str, password: str, *, mac: str, ip: str, chap: Chap | None = None, session_id: str
    ) -> Any:
        self.asked.append((username, password, mac, chap))
        if self.answer is None:
            raise TimeoutError
        return self.answer

    def account(self, kind: str, **told: Any) -> None:
        assert told["class_"] == b"grant-7" and told["session_id"]
        self.books.append((kind, told["seconds"], told["bytes_in"], told["bytes_out"]))


def test_radius_is_asked_only_about_users_the_router_does_not_know(gate: RouterSimulator) -> None:
    office = Office()
    gate.radius = office
    gate.add_user("asha", "0712")
    get(gate, "/login?username=asha&password=wrong")
    assert office.asked == [] and gate.active() == []
    get(gate, "/login?username=njeri&password=7K2Q")
    assert office.asked == [("njeri", "7K2Q", PHONE, None)]
    session = gate.active()[0]
    assert (session["user"], session["radius"]) == ("njeri", "true")
    assert session["session-time-left"].startswith(("10m", "9m"))
    assert "1M/2M" in get(gate, "/status").text


def test_radius_hears_how_a_session_starts_goes_on_and_ends(gate: RouterSimulator) -> None:
    office = Office()
    gate.radius = office
    get(gate, "/login?username=njeri&password=7K2Q")
    gate.traffic(PHONE, 10, 2**33)
    gate.jump(61)
    gate.jump(1000)
    wait_for(lambda: len(office.books) >= 3)
    assert [entry[0] for entry in office.books] == ["start", "interim", "stop"]
    assert office.books[-1] == ("stop", 600, 10, 2**33)
    assert gate.active() == []


def test_what_radius_refuses_the_guest_reads(gate: RouterSimulator) -> None:
    office = Office(No())
    gate.radius = office
    assert "Your hour is over" in get(gate, "/login?username=njeri&password=7K2Q").text
    office.answer = No("")
    assert "invalid username or password" in get(gate, "/login?username=njeri&password=7K2Q").text
    office.answer = None
    assert "RADIUS server is not responding" in get(gate, "/login?username=njeri&password=7K2Q").text
    office.answer = Yes(port_limit=1)
    get(gate, "/login?username=njeri&password=7K2Q")
    other = {"X-Sim-MAC": TABLET, "X-Sim-IP": "10.5.50.3"}
    assert "no more sessions" in get(gate, "/login?username=njeri&password=7K2Q", headers=other).text


def test_a_challenge_answered_goes_to_radius_as_chap(gate: RouterSimulator) -> None:
    office = Office()
    gate.radius = office
    gate.hotspot.server_profiles.change("*0", {"login-by": "http-chap,http-pap"})
    form = form_of(get(gate, "/login").text)
    ident, challenge = unescape(form["chap-id"]), unescape(form["chap-challenge"])
    hashed = hashlib.md5(ident + b"7K2Q" + challenge)
    requests.post(form["action"], {"username": "njeri", "password": hashed.hexdigest()}, headers=ASHA, timeout=30)
    assert office.asked[0][3] == (ident[0], challenge, hashed.digest())
