"""The pretend router and FreeRADIUS's own programs: logins by /radius against the server, CoA by radclient."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import requests

from edge.simulators.router import RouterSimulator
from tests.peers.freeradius import FreeRadius, needs_freeradius
from tests.peers.routeros_wire import ASHA, PHONE, TABLET, form_of, get, log_in, rows, unescape, wait_for

pytestmark = needs_freeradius
USERS = """
njeri Cleartext-Password := "7K2Q"
\tSession-Timeout = 600,
\tIdle-Timeout = 300,
\tPort-Limit = 1,
\tMikrotik-Rate-Limit = "1M/2M",
\tMikrotik-Total-Limit = 705032704,
\tMikrotik-Total-Limit-Gigawords = 1,
\tAcct-Interim-Interval = 60,
\tClass = 0x6772616e742d37
AA:BB:CC:00:00:02 Auth-Type := Accept, Calling-Station-Id == "AA:BB:CC:00:00:02"
\tSession-Timeout = 900
over Auth-Type := Reject
\tReply-Message = "Your hour is over"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FreeRadius]:
    with FreeRadius(USERS) as running:
        yield running


def point(gate: RouterSimulator, server: FreeRadius, **more: str) -> None:
    """What the technician does: the server's address and secret, and a profile that uses it."""
    told = {"address": "127.0.0.1", "secret": "s3cret", "service": "hotspot", "timeout": "5s"} | more
    told |= {"authentication-port": str(server.auth), "accounting-port": str(server.acct)}
    wire = log_in(gate)
    assert wire.ask("/radius/add", *(f"={name}={value}" for name, value in told.items()))[0][0] == "!done"
    assert wire.ask("/ip/hotspot/profile/set", "=.id=default", "=use-radius=yes") == [["!done"]]
    assert wire.ask("/radius/incoming/set", "=accept=yes") == [["!done"]]
    wire.socket.close()


@pytest.fixture
def gate(server: FreeRadius) -> Iterator[RouterSimulator]:
    with RouterSimulator() as simulator:
        point(simulator, server)
        yield simulator


@pytest.fixture
def online(gate: RouterSimulator) -> RouterSimulator:
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("njeri", "7K2Q", PHONE) == ""
    return gate


def order(gate: RouterSimulator, kind: str, secret: str = "s3cret", **told: str) -> str:
    """What radclient heard, '' when nothing: `ACK`, `NAK 503`…"""
    lines = "".join(f'{name.replace("_", "-")} = "{value}"\n' for name, value in told.items())
    asked = subprocess.run(
        [shutil.which("radclient") or "", "-x", "-t", "2", "-r", "1", f"127.0.0.1:{gate.coa_port}", kind, secret],
        input=lines + "Message-Authenticator = 0x00\n", capture_output=True, text=True, timeout=60, check=False,
    ).stdout.partition("Received ")[2]  # fmt: skip
    if not asked:
        return ""
    cause = asked.partition("Error-Cause = ")[2].split("\n")[0]
    return "ACK" if "-ACK" in asked.split(" ")[0] else f"NAK {cause}"


# Logins.


def test_a_code_logs_in_by_the_table_and_keeps_its_terms(gate: RouterSimulator, online: RouterSimulator) -> None:
    session = gate.active()[0]
    assert (session["radius"], session["limit-bytes-total"]) == ("true", str((1 << 32) + 705_032_704))
    assert session["idle-timeout"] == "5m" and session["session-time-left"].startswith(("10m", "9m"))
    assert gate.rate_of(PHONE) == "1M/2M"
    gate.add_host(TABLET, "10.5.50.3")
    assert gate.log_in("njeri", "7K2Q", TABLET) == "no more sessions are allowed for user njeri"
    assert gate.log_in("njeri", "wrong", TABLET) == "invalid username or password"
    assert gate.log_in("over", "x", TABLET) == "Your hour is over"
    figures = rows(log_in(gate).ask("/radius/monitor", "=once="))[0]
    assert (figures["accepts"], figures["rejects"], figures["timeouts"]) == ("2", "2", "0")


def test_the_answer_to_a_challenge_convinces_the_server(gate: RouterSimulator) -> None:
    gate.hotspot.profile_of(None)["login-by"] = "http-chap"
    form = form_of(get(gate, "/login").text)
    hashed = hashlib.md5(unescape(form["chap-id"]) + b"7K2Q" + unescape(form["chap-challenge"])).hexdigest()
    requests.post(form["action"], {"username": "njeri", "password": hashed}, headers=ASHA, timeout=30)
    assert gate.active()[0]["login-by"] == "http-chap"


def test_a_tv_comes_in_by_its_mac_and_nobody_else_by_it(gate: RouterSimulator) -> None:
    gate.hotspot.profile_of(None)["login-by"] = "mac,http-pap"
    gate.add_host(TABLET, "10.5.50.3")
    assert (gate.active()[0]["login-by"], gate.active()[0]["user"]) == ("mac", TABLET)
    assert gate.cookies() == []
    gate.add_host(PHONE, "10.5.50.2")
    assert len(gate.active()) == 1
    assert gate.log_in(TABLET, "", PHONE) != ""


def test_a_cookie_asks_the_server_again(gate: RouterSimulator, online: RouterSimulator) -> None:
    gate.remove_host(PHONE)
    assert gate.active() == [] and len(gate.cookies()) == 1
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.active()[0]["login-by"] == "mac-cookie" and gate.active()[0]["radius"] == "true"


def test_the_books_tell_a_stay_with_its_class_and_gigawords(server: FreeRadius) -> None:
    with RouterSimulator(identity="books") as gate:
        point(gate, server)
        gate.add_host(PHONE, "10.5.50.2")
        assert gate.log_in("njeri", "7K2Q", PHONE) == ""

        def told(kind: str) -> list[dict[str, str]]:
            return [book for book in server.books()
                    if book.get("NAS-Identifier") == "books" and book["Acct-Status-Type"] == kind]  # fmt: skip

        gate.traffic(PHONE, 7, 1 << 32)
        gate.jump(61)
        gate.jump(1000)
        wait_for(lambda: bool(told("Stop")))
        start, interim, stop = told("Start")[0], told("Interim-Update")[0], told("Stop")[0]
    assert {book["Class"] for book in (start, interim, stop)} == {"0x6772616e742d37"}
    assert len({book["Acct-Session-Id"] for book in (start, interim, stop)}) == 1
    assert (stop["Acct-Output-Octets"], stop["Acct-Output-Gigawords"], stop["Acct-Input-Octets"]) == ("0", "1", "7")
    assert (stop["Acct-Terminate-Cause"], stop["Acct-Session-Time"]) == ("Idle-Timeout", "300")
    assert (stop["Called-Station-Id"], stop["Calling-Station-Id"]) == ("hotspot1", PHONE)


def test_a_reboot_tells_no_stop_and_no_accounting_on(server: FreeRadius) -> None:
    with RouterSimulator(identity="reboots") as gate:
        point(gate, server)
        ids = []
        for _ in range(2):
            gate.add_host(PHONE, "10.5.50.2")
            assert gate.log_in("njeri", "7K2Q", PHONE) == ""
            ids.append(next(iter(gate.hotspot.sessions.values())).session_id)
            gate.reboot()
        mine = [book for book in server.books() if book.get("NAS-Identifier") == "reboots"]
        wait_for(lambda: len([b for b in server.books() if b.get("NAS-Identifier") == "reboots"]) >= 2)
    assert {book["Acct-Status-Type"] for book in mine} <= {"Start"}
    assert ids[0] != ids[1] and ids[0][4:] == ids[1][4:]  # only the counter of starts tells them apart


@pytest.mark.parametrize(
    ("version", "demand", "gets_in"),
    [("7.19.6", "", False), ("7.19.6", "no", True), ("7.14.3", "", True), ("6.49.10", "", True)],
)
def test_an_answer_without_message_authenticator_counts_only_where_none_is_demanded(
    version: str, demand: str, gets_in: bool
) -> None:
    with FreeRadius(USERS, signs=False) as server, RouterSimulator(version=version) as gate:
        more = {"require-message-auth": demand} if demand else {}
        point(gate, server, timeout="5s" if gets_in else "300ms", **more)
        gate.add_host(PHONE, "10.5.50.2")
        said = gate.log_in("njeri", "7K2Q", PHONE)
        figures = gate.hotspot.nas.figures("*0")
    assert said == ("" if gets_in else "RADIUS server is not responding")
    assert (int(figures["bad-replies"]) > 0) is not gets_in


def test_a_wrong_secret_and_a_dead_server_are_silence_and_the_next_server_is_asked(server: FreeRadius) -> None:
    with RouterSimulator() as gate:
        point(gate, server, secret="wrong", timeout="100ms")
        gate.add_host(PHONE, "10.5.50.2")
        assert gate.log_in("njeri", "7K2Q", PHONE) == "RADIUS server is not responding"
        point(gate, server)
        assert gate.log_in("njeri", "7K2Q", PHONE) == ""


def test_local_users_win_and_profiles_may_leave_radius_out(gate: RouterSimulator) -> None:
    gate.add_user("njeri", "local")
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("njeri", "7K2Q", PHONE) == "invalid username or password"
    gate.hotspot.users.clear()
    gate.hotspot.profile_of(None)["use-radius"] = "false"
    assert gate.log_in("njeri", "7K2Q", PHONE) == "invalid username or password"


# Orders.


def test_a_disconnect_ends_the_session_and_its_cookie(gate: RouterSimulator, online: RouterSimulator) -> None:
    session_id = next(iter(gate.hotspot.sessions.values())).session_id
    named = {"User_Name": "njeri", "Framed_IP_Address": "10.5.50.2"}
    assert order(gate, "disconnect", **named, Acct_Session_Id="80000000") == "NAK Session-Context-Not-Found"
    assert order(gate, "disconnect", User_Name="njeri", Framed_IP_Address="10.5.50.9").startswith("NAK")
    assert order(gate, "disconnect", User_Name="njeri") == "NAK Missing-Attribute"
    assert len(gate.active()) == 1
    assert order(gate, "disconnect", **named, Acct_Session_Id=session_id) == "ACK"
    assert gate.active() == gate.cookies() == []
    assert order(gate, "disconnect", **named) == "NAK Session-Context-Not-Found"


def test_a_coa_changes_time_and_rate(gate: RouterSimulator, online: RouterSimulator) -> None:
    named = {"User_Name": "njeri", "Framed_IP_Address": "10.5.50.2"}
    assert order(gate, "coa", **named, Session_Timeout="60", Mikrotik_Rate_Limit="4M/8M", Idle_Timeout="30") == "ACK"
    session = gate.active()[0]
    assert session["session-time-left"] in ("1m", *(f"{seconds}s" for seconds in range(45, 60)))
    assert (gate.rate_of(PHONE), session["idle-timeout"]) == ("4M/8M", "30s")
    gate.jump(20)
    gate.traffic(PHONE, 1, 1)
    gate.jump(45)
    assert gate.active() == []


def test_strangers_orders_are_not_answered(gate: RouterSimulator, online: RouterSimulator) -> None:
    named = {"User_Name": "njeri", "Framed_IP_Address": "10.5.50.2"}
    assert order(gate, "disconnect", "guess", **named) == ""
    log_in(gate).ask("/radius/incoming/set", "=accept=no")
    assert order(gate, "disconnect", **named) == ""
    assert len(gate.active()) == 1


def test_an_ack_may_be_a_lie_and_local_users_have_no_coa(gate: RouterSimulator, online: RouterSimulator) -> None:
    gate.ear.lies = True
    assert order(gate, "disconnect", User_Name="njeri", Framed_IP_Address="10.5.50.2") == "ACK"
    assert len(gate.active()) == 1
    gate.add_user("asha", "0712")
    gate.add_host(TABLET, "10.5.50.3")
    assert gate.log_in("asha", "0712", TABLET) == ""
    assert order(gate, "disconnect", User_Name="asha", Framed_IP_Address="10.5.50.3").startswith("NAK")


def test_the_port_in_the_table_is_used_when_it_is_asked_for() -> None:
    with RouterSimulator() as other:
        free = other.coa_port  # ours as soon as the other is gone
    with RouterSimulator(coa_port=None) as gate:
        wire = log_in(gate)
        wire.ask("/radius/add", "=address=127.0.0.1", "=secret=s3cret", "=service=hotspot")
        wire.ask("/radius/incoming/set", "=accept=yes", f"=port={free}")
        assert gate.coa_port == free
        assert order(gate, "disconnect", User_Name="x", Framed_IP_Address="10.5.50.2").startswith("NAK")
