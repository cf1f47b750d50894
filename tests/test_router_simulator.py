"""The pretend router: its wire by the bytes, its menus by another client, its login page as phones use it."""

import hashlib
import html
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.simulators.router import RouterSimulator, rehearsal, serve
from edge.simulators.router.queries import matches
from edge.simulators.router.radius import Chap
from edge.simulators.router.tables import Trap
from edge.simulators.router.words import Malformed, SentenceReader, decode_length, encode_length, encode_sentence

PEER = Path(__file__).parent / "peers" / "librouteros_peer.py"
PHONE, TABLET = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"
ASHA = {"X-Sim-MAC": PHONE, "X-Sim-IP": "10.5.50.2"}
Sentence = list[str]


@pytest.fixture
def gate() -> Iterator[RouterSimulator]:
    with RouterSimulator() as simulator:
        yield simulator


class Wire:
    """A client that knows nothing but bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._reader = SentenceReader()
        self._waiting: list[Sentence] = []

    def send(self, *words: str | bytes) -> None:
        self.socket.sendall(encode_sentence(words))

    def read(self) -> Sentence:
        """The next sentence; [] when the router hung up."""
        while not self._waiting:
            data = self.socket.recv(65536)
            if not data:
                return []
            self._waiting += [[word.decode() for word in words] for words in self._reader.feed(data)]
        return self._waiting.pop(0)

    def read_until_done(self) -> list[Sentence]:
        sentences = [self.read()]
        while sentences[-1] and sentences[-1][0] != "!done":
            sentences.append(self.read())
        return sentences

    def ask(self, *words: str | bytes) -> list[Sentence]:
        self.send(*words)
        return self.read_until_done()


@pytest.fixture
def wire(gate: RouterSimulator) -> Iterator[Wire]:
    opened = Wire(gate.port)
    assert opened.ask("/login", "=name=edge", "=password=edge") == [["!done"]]
    yield opened
    opened.socket.close()


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


# Words and sentences.


@pytest.mark.parametrize(
    ("length", "prefix"),
    [
        (0, "00"), (0x7F, "7F"), (0x80, "8080"), (0x3FFF, "BFFF"), (0x4000, "C04000"), (0x1FFFFF, "DFFFFF"),
        (0x200000, "E0200000"), (0xFFFFFFF, "EFFFFFFF"), (0x10000000, "F010000000"),
    ],
)  # fmt: skip
def test_lengths_have_five_forms(length: int, prefix: str) -> None:
    raw = bytes.fromhex(prefix)
    assert encode_length(length) == raw
    assert decode_length(raw) == (length, len(raw))
    for short in range(len(raw)):
        assert decode_length(raw[:short]) is None


@given(st.lists(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5), max_size=5), st.integers(1, 50))
def test_sentences_are_read_whatever_pieces_they_come_in(sentences: list[list[bytes]], size: int) -> None:
    raw = b"".join(encode_sentence(words) + b"\0" for words in sentences)
    reader = SentenceReader()
    read = [words for at in range(0, len(raw), size) for words in reader.feed(raw[at : at + size])]
    assert read == sentences


def test_control_bytes_and_endless_words_are_malformed() -> None:
    for raw in (b"\xf8", b"\xff\x00", b"\xf0\xff\xff\xff\xff"):
        with pytest.raises(Malformed):
            list(SentenceReader().feed(raw))


@pytest.fixture(scope="module")
def attic() -> Iterator[RouterSimulator]:
    with RouterSimulator(identity="attic") as simulator:
        yield simulator
        assert simulator.users() == []


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_simulator(attic: RouterSimulator, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", attic.port), timeout=30) as line:
        line.sendall(raw)
        line.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while line.recv(65536):
                pass


# Logging in.


def test_a_command_before_the_login_is_fatal_and_ends_the_connection(gate: RouterSimulator) -> None:
    stranger = Wire(gate.port)
    stranger.send("/system/resource/print", ".tag=7")
    assert stranger.read() == ["!fatal", "not logged in"]
    assert stranger.read() == []


def test_a_wrong_password_traps_and_another_try_is_allowed(gate: RouterSimulator) -> None:
    line = Wire(gate.port)
    wrong = line.ask("/login", "=name=edge", "=password=no", ".tag=a")
    assert wrong == [["!trap", ".tag=a", "=message=invalid user name or password (6)"], ["!done", ".tag=a"]]
    assert line.ask("/login", "=name=edge", "=password=edge") == [["!done"]]


@pytest.mark.parametrize(("version", "by_password"), [("6.42.12", False), ("6.43.2", True), ("6.45", True)])
def test_old_releases_challenge(version: str, by_password: bool) -> None:
    with RouterSimulator(version=version) as gate:
        line = Wire(gate.port)
        done = line.ask("/login")[-1]
        challenge = bytes.fromhex(done[1].removeprefix("=ret="))
        assert len(challenge) == 16
        response = "00" + hashlib.md5(b"\0edge" + challenge).hexdigest()
        assert line.ask("/login", "=name=edge", f"=response={response}") == [["!done"]]
        assert line.ask("/system/identity/print")[0] == ["!re", "=name=gate"]
        first = Wire(gate.port).ask("/login", "=name=edge", "=password=edge")[-1]
        assert (first == ["!done"]) is by_password


def test_new_releases_do_not(wire: Wire, gate: RouterSimulator) -> None:
    assert Wire(gate.port).ask("/login")[0][0] == "!trap"


def test_quit_is_fatal_with_a_bare_word(wire: Wire) -> None:
    wire.send("/quit")
    assert wire.read() == ["!fatal", "session terminated on request"]
    assert wire.read() == []


def test_no_more_sessions_than_the_service_takes(gate: RouterSimulator) -> None:
    gate.max_sessions = 2
    lines = [Wire(gate.port) for _ in range(2)]
    for line in lines:
        assert line.ask("/login", "=name=edge", "=password=edge") == [["!done"]]
    assert Wire(gate.port).read() == []


# Tags, listeners, segments.


def test_several_sentences_in_one_segment_and_one_in_many_are_answered_by_tag(wire: Wire) -> None:
    first = encode_sentence(["/system/identity/print", ".tag=one"])
    second = encode_sentence(["/nonsense/print", ".tag=two"])
    wire.socket.sendall(first + b"\0" + second)
    assert wire.read_until_done() == [["!re", ".tag=one", "=name=gate"], ["!done", ".tag=one"]]
    trap, done = wire.read_until_done()
    assert trap == ["!trap", ".tag=two", "=category=0", "=message=no such command prefix"]
    assert done == ["!done", ".tag=two"]
    for byte in first:
        wire.socket.sendall(bytes([byte]))
    assert wire.read_until_done()[0] == ["!re", ".tag=one", "=name=gate"]


def test_words_longer_than_64_kb_and_two_megabytes_pass(wire: Wire, gate: RouterSimulator) -> None:
    for number, size in enumerate((70_000, 0x200001)):
        wire.ask("/ip/hotspot/user/add", f"=name=long{number}", "=comment=" + "x" * size)
    assert [len(user["comment"]) for user in gate.users()] == [70_000, 0x200001]
    rows = wire.ask("/ip/hotspot/user/print", "=.proplist=comment", "?name=long1")
    assert len(rows[0][1]) == len("=comment=") + 0x200001


def test_listening_tells_changes_between_other_answers_until_it_is_cancelled(wire: Wire, gate: RouterSimulator) -> None:
    wire.send("/ip/hotspot/active/listen", ".tag=live")
    assert wire.ask("/system/identity/print", ".tag=other")[-1] == ["!done", ".tag=other"]
    gate.add_user("asha", "0712")
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("asha", "0712", PHONE) == ""
    told = wire.read()
    assert told[:2] == ["!re", ".tag=live"] and "=user=asha" in told
    row_id = next(word for word in told if word.startswith("=.id="))
    gate.log_out(PHONE)
    assert wire.read() == ["!re", ".tag=live", row_id, "=.dead=yes"]
    wire.send("/cancel", "=tag=live", ".tag=c")
    rest = [wire.read() for _ in range(3)]
    assert ["!done", ".tag=c"] in rest and ["!done", ".tag=live"] in rest
    assert ["!trap", ".tag=live", "=category=2", "=message=interrupted"] in rest


# Menus.


def test_add_print_set_and_remove_speak_of_ids_and_say_no_in_routeros_words(wire: Wire, gate: RouterSimulator) -> None:
    add = "/ip/hotspot/user/add"
    assert wire.ask(add, "=name=asha", "=limit-uptime=5400s", "=comment=", "=disabled=no") == [["!done", "=ret=*1"]]
    duplicate = "=message=failure: already have user with this name for this server"
    assert wire.ask(add, "=name=asha") == [["!trap", duplicate], ["!done"]]
    assert wire.ask(add, "=name=asha", "=server=hotspot1")[0] == ["!trap", duplicate]
    assert wire.ask(add, "=name=b", "=profile=x")[0][-1] == "=message=input does not match any value of profile"
    assert wire.ask(add, "=name=b", "=colour=red")[0][-1] == "=message=unknown parameter colour"
    assert wire.ask(add, "=name=b", "=uptime=5s")[0][-1] == "=message=unknown parameter uptime"
    assert wire.ask(add, "=name=b", "=limit-uptime=soon")[0][0] == "!trap"
    assert wire.ask(add, "=name=b", "=limit-bytes-total=-1")[0][0] == "!trap"
    row = wire.ask("/ip/hotspot/user/getall", "?name=asha")[0]
    assert "=limit-uptime=1h30m" in row and "=disabled=false" in row and "=uptime=0s" in row
    assert not [word for word in row if word.startswith(("=comment=", "=server=", "=limit-bytes"))]
    assert wire.ask("/ip/hotspot/user/set", "=.id=*1", "=name=juma", "=disabled=yes") == [["!done"]]
    assert wire.ask("/ip/hotspot/user/enable", "=numbers=juma") == [["!done"]]
    assert (gate.users()[0]["name"], gate.users()[0]["disabled"]) == ("juma", "false")
    for verb in ("set", "remove"):
        assert wire.ask(f"/ip/hotspot/user/{verb}", "=.id=*99")[0][-1] == "=message=no such item"
    assert wire.ask("/ip/hotspot/user/remove", "=.id=*1") == [["!done"]]
    assert wire.ask(add, "=name=c") == [["!done", "=ret=*2"]]  # ids are never used again
    assert wire.ask("/ip/hotspot/user/remove", "=.id=default-trial")[0][0] == "!trap"


def test_references_match_by_their_start_unless_that_is_ambiguous(wire: Wire, gate: RouterSimulator) -> None:
    for name in ("gold-1", "gold-2", "gold-10"):
        wire.ask("/ip/hotspot/user/profile/add", f"=name={name}")
    ambiguous = "=message=ambiguous value of profile, more than one possible value matches input"
    assert wire.ask("/ip/hotspot/user/add", "=name=a", "=profile=gold")[0][-1] == ambiguous
    wire.ask("/ip/hotspot/user/add", "=name=b", "=profile=gold-1")
    wire.ask("/ip/hotspot/user/add", "=name=c", "=profile=gold-2")
    wire.ask("/ip/hotspot/user/add", "=name=d", "=profile=def")
    assert [user["profile"] for user in gate.users()] == ["gold-1", "gold-2", "default"]


def test_print_knows_proplist_count_and_empty(wire: Wire, gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", comment="edge:1")
    menu = "/ip/hotspot/user/print"
    assert wire.ask(menu, "=.proplist=name,.id,address,comment", "?name=asha")[0] == [
        "!re", "=name=asha", "=.id=*1", "=comment=edge:1",
    ]  # fmt: skip
    assert wire.ask(menu, "=count-only=") == [["!done", "=ret=2"]]
    assert wire.ask(menu, "=count-only=", "?name=nobody") == [["!done", "=ret=0"]]
    assert wire.ask(menu, "?name=nobody") == [["!empty"], ["!done"]]
    gate.empty_reply = False
    assert wire.ask(menu, "?name=nobody") == [["!done"]]
    assert wire.ask(menu, "=.id=*1", "=.proplist=name")[0] == ["!re", "=name=asha"]
    assert wire.ask(menu, "=where=name")[0][-1] == "=message=unknown parameter where"


@pytest.mark.parametrize(
    ("version", "empty", "password"), [("7.17", False, True), ("7.18", True, True), ("7.21", True, False)]
)
def test_releases_differ_in_empty_answers_and_in_showing_passwords(version: str, empty: bool, password: bool) -> None:
    with RouterSimulator(version=version) as gate:
        gate.add_user("asha", "0712")
        line = Wire(gate.port)
        line.ask("/login", "=name=edge", "=password=edge")
        assert (line.ask("/ip/hotspot/active/print")[0] == ["!empty"]) is empty
        assert ("=password=0712" in line.ask("/ip/hotspot/user/print", "?name=asha")[0]) is password
        shown = line.ask("/ip/hotspot/user/print", "=show-sensitive=", "?name=asha")[0]
        assert ("=password=0712" in shown) is not password


ROW = {".id": "*1", "name": "asha", "comment": "edge:1", "uptime": "1h30m", "bytes-in": "900", "disabled": "false"}


@pytest.mark.parametrize(
    ("queries", "wanted"),
    [
        ([], True), (["?name"], True), (["?email"], False), (["?-email"], True), (["?-name"], False),
        (["?name=asha"], True), (["?=name=asha"], True), (["?name=juma"], False), (["?comment=edge:1"], True),
        (["?disabled=no"], True), (["?disabled=false"], True), (["?disabled=yes"], False), (["?.id=*1"], True),
        (["?<bytes-in=1000"], True), (["?>bytes-in=1000"], False), (["?>uptime=3600"], True), (["?<email=x"], False),
        (["?name=asha", "?comment=x"], False), (["?name=juma", "?name=asha", "?#|"], True),
        (["?name=asha", "?comment=x", "?#&"], False), (["?name=juma", "?#!"], True),
        (["?name=a", "?name=b", "?#|!"], True), (["?name=juma", "?name=asha", "?#1"], False),
        (["?name=juma", "?name=asha", "?#0"], True), (["?name=juma", "?#.|!"], True), (["?name=asha", "?#0.&"], True),
    ],
)  # fmt: skip
def test_queries_are_a_little_stack_machine(queries: list[str], wanted: bool) -> None:
    assert matches(ROW, queries) is wanted


def test_a_query_that_takes_more_than_there_is_traps(wire: Wire) -> None:
    with pytest.raises(Trap):
        matches(ROW, ["?name=a", "?#|"])
    assert wire.ask("/ip/hotspot/user/print", "?#!")[0][0] == "!trap"


def test_every_menu_answers(wire: Wire, gate: RouterSimulator) -> None:
    gate.add_host(PHONE, "10.5.50.2")
    for menu in ("/ip/hotspot", "/ip/hotspot/profile", "/ip/hotspot/user", "/ip/hotspot/user/profile",
                 "/ip/hotspot/host", "/system/resource", "/system/clock", "/system/device-mode"):  # fmt: skip
        assert wire.ask(f"{menu}/print")[0][0] == "!re", menu
    for menu in ("/ip/hotspot/active", "/ip/hotspot/cookie", "/ip/hotspot/ip-binding", "/radius"):
        assert wire.ask(f"{menu}/print") == [["!empty"], ["!done"]], menu
    assert wire.ask("/ip/hotspot/active/add", "=user=x")[0][-1] == "=message=no such command"
    assert wire.ask("/radius/add", "=address=10.0.0.2", "=secret=s", "=service=hotspot", "=timeout=3s")[0][0] == "!done"
    assert wire.ask("/ip/hotspot/ip-binding/add", "=mac-address=aa-bb-cc-00-00-01", "=type=bypassed")[0][0] == "!done"
    assert "=mac-address=AA:BB:CC:00:00:01" in wire.ask("/ip/hotspot/ip-binding/print")[0]
    assert wire.ask("/system/identity/set", "=name=attic") == [["!done"]] and gate.identity == "attic"
    gate.deny = True
    assert wire.ask("/system/resource/print")[0] == ["!trap", "=message=not enough permissions (9)"]


def test_active_login_wants_a_host_that_is_there(wire: Wire, gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712")
    menu = "/ip/hotspot/active/login"
    right = ("=user=asha", "=password=0712", "=ip=10.5.50.2", f"=mac-address={PHONE}")
    assert wire.ask(menu, *right)[0] == ["!trap", "=message=unknown host IP"]
    gate.add_host(PHONE, "10.5.50.2")
    assert wire.ask(menu, *right[:3], f"=mac-address={TABLET}")[0][-1] == "=message=wrong MAC provided"
    assert wire.ask(menu, *right[:3], "=mac-address=xx")[0][-1] == "=message=invalid value of mac-address"
    assert wire.ask(menu, right[0], "=password=x", *right[2:])[0][-1] == "=message=invalid username or password"
    assert wire.ask(menu, *right) == [["!done"]]
    assert gate.active()[0]["user"] == "asha"


@pytest.mark.parametrize("version", ["7.19.6 (stable)", "6.42.12 (long-term)"])
def test_librouteros_lives_with_it(version: str) -> None:
    with RouterSimulator(version=version) as gate:
        method = "token" if version.startswith("6") else "plain"
        seen = peer(gate.port, method, "edge")
    assert seen["resource"][0]["version"] == version
    assert seen["duplicate"] == "failure: already have user with this name for this server"
    assert (seen["no profile"], seen["category"]) == ("input does not match any value of profile", 1)
    assert [row["name"] for row in seen["either"]] == ["asha", "njeri"]
    uptime = "1h30m" if method == "plain" else "01:30:00"
    assert seen["either"][0] == {
        ".id": seen["added"], "name": "asha", "comment": "edge:1", "limit-uptime": uptime, "disabled": False,
    }  # fmt: skip
    assert seen["changed"][0]["limit-uptime"] == ("2h" if method == "plain" else "02:00:00")
    assert seen["changed"][0]["disabled"] is True
    assert (seen["nobody"], seen["count"], seen["left"]) == ([], [{"ret": 3}], ["default-trial", "njeri"])
    assert (seen["gone"], seen["length"]) == ("no such item", [70_000])
    assert seen["quit"] == "session terminated on request"


def test_librouteros_with_a_wrong_password_is_refused(gate: RouterSimulator) -> None:
    assert peer(gate.port, "plain", "wrong") == {"login": "invalid user name or password (6)"}


def peer(port: int, method: str, password: str) -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, str(PEER), str(port), method, password], capture_output=True, text=True, timeout=90
    )
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


# Time and limits.


def test_time_really_passes_and_ends_what_is_over(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", limit_uptime="1h")
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("asha", "0712", PHONE) == ""
    gate.jump(1800)
    assert gate.active()[0]["session-time-left"].startswith(("30m", "29m"))
    gate.log_out(PHONE)
    assert gate.users()[0]["uptime"].startswith("30m")
    assert gate.log_in("asha", "0712", PHONE) == ""
    gate.jump(7200)
    assert gate.active() == []
    assert gate.users()[0]["uptime"] in ("1h", "1h1s")
    assert gate.log_in("asha", "0712", PHONE) == "user asha has reached uptime limit"
    assert gate.cookies() == []


def test_a_short_limit_ends_by_itself(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", limit_uptime="1s")
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("asha", "0712", PHONE) == ""
    wait_for(lambda: gate.hotspot.sessions == {})


def test_data_is_limited_and_more_than_four_gibibytes_counted(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", limit_bytes_total=str(6 * 2**32))
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("asha", "0712", PHONE) == ""
    gate.traffic(PHONE, 2**32, 4 * 2**32)
    assert gate.active()[0]["bytes-out"] == str(4 * 2**32)
    gate.traffic(PHONE, 2**32, 0)
    assert gate.active() == []
    assert gate.log_in("asha", "0712", PHONE) == "user asha has reached traffic limit"


def test_a_reboot_forgets_who_is_online_and_keeps_who_may_be(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712")
    gate.add_host(PHONE, "10.5.50.2")
    gate.log_in("asha", "0712", PHONE)
    gate.ntp = False
    gate.jump(5000)
    gate.reboot()
    assert (gate.active(), gate.hosts(), len(gate.users()), len(gate.cookies())) == ([], [], 1, 1)
    assert gate.resource()[0]["uptime"] in ("0s", "1s", "2s")
    assert gate.clock_row()[0]["date"] == "1970-01-02"
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.active()[0]["login-by"] == "mac-cookie"
    gate.reset()
    assert gate.users() == gate.profiles() == gate.active() == gate.cookies() == []


def test_only_so_many_devices_at_once(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", mac_address="")
    for number, mac in enumerate((PHONE, TABLET)):
        gate.add_host(mac, f"10.5.50.{2 + number}")
    assert gate.log_in("asha", "0712", PHONE) == ""
    assert gate.log_in("asha", "0712", TABLET) == "no more sessions are allowed for user asha"
    gate.log_out(PHONE, "user-request")
    assert gate.log_in("asha", "0712", TABLET) == ""


# The login page.


def get(gate: RouterSimulator, path: str, **more: Any) -> requests.Response:
    options: dict[str, Any] = {"headers": ASHA, "timeout": 30, "allow_redirects": False} | more
    return requests.get(f"http://127.0.0.1:{gate.http_port}{path}", **options)


def form_of(page: str) -> dict[str, str]:
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page))
    action = re.search(r'<form method="post" action="([^"]+)"', page)
    assert action is not None
    return {name: html.unescape(value) for name, value in (fields | {"action": action[1]}).items()}


def test_a_phone_is_captured_logs_in_by_pap_and_is_online(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", comment="edge:1", limit_uptime="1h")
    probe = get(gate, "/generate_204")
    assert probe.status_code == 302 and probe.headers["Location"].startswith(gate.login_url)
    page = requests.get(probe.headers["Location"], headers=ASHA, timeout=30)
    form = form_of(page.text)
    assert form["link-login-only"] == form["action"]
    assert form["dst"] == f"http://127.0.0.1:{gate.http_port}/generate_204"
    wrong = requests.post(
        form["action"], {"username": "asha", "password": "<b>", "dst": form["dst"]}, headers=ASHA, timeout=30
    )
    assert "invalid username or password" in wrong.text and "<b>" not in wrong.text
    right = {"username": "asha", "password": "0712", "dst": form["dst"], "popup": "false"}
    done = requests.post(form["action"], right, headers=ASHA, timeout=30)
    assert "You are logged in" in done.text and form["dst"] in done.text
    assert get(gate, "/generate_204").status_code == 204
    assert get(gate, "/hotspot-detect.html").text.count("Success") == 2
    assert "asha" in get(gate, "/status").text and "10.5.50.2" in get(gate, "/status").text
    assert gate.active()[0]["mac-address"] == PHONE and gate.active()[0]["login-by"] == "http-pap"
    assert "logged out" in get(gate, "/logout").text
    assert gate.active() == gate.cookies() == []
    assert get(gate, "/status").status_code == 302


def unescape(octal: str) -> bytes:
    return bytes(int(digits, 8) for digits in re.findall(r"\\([0-7]{3})", octal))


def test_a_phone_answers_the_challenge_of_the_page(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712")
    gate.hotspot.server_profiles.change("*0", {"login-by": "http-chap"})
    form = form_of(get(gate, "/login").text)
    ident, challenge = unescape(form["chap-id"]), unescape(form["chap-challenge"])
    assert (len(ident), len(challenge)) == (1, 16)
    plain = requests.post(form["action"], {"username": "asha", "password": "0712"}, headers=ASHA, timeout=30)
    assert "did not send challenge response" in plain.text
    for secret, is_right in ((b"0000", False), (b"0712", True)):
        hashed = hashlib.md5(ident + secret + challenge).hexdigest()
        requests.post(form["action"], {"username": "asha", "password": hashed}, headers=ASHA, timeout=30)
        assert bool(gate.active()) is is_right
    assert gate.active()[0]["login-by"] == "http-chap"
    get(gate, "/logout")
    form = form_of(get(gate, "/login").text)
    gate.jump(4000)
    hashed = hashlib.md5(unescape(form["chap-id"]) + b"0712" + unescape(form["chap-challenge"])).hexdigest()
    requests.post(form["action"], {"username": "asha", "password": hashed}, headers=ASHA, timeout=30)
    assert gate.active() == []  # challenges grow old


def test_with_a_portal_guests_are_sent_there_with_all_it_needs_to_know(gate: RouterSimulator) -> None:
    gate.portal_url = "http://127.0.0.1:8080/?lang=en"
    gate.hotspot.server_profiles.change("*0", {"login-by": "http-pap,http-chap"})
    page = get(gate, "/login?dst=http%3A%2F%2Fexample.com%2F%3Fa%3D1%26b")
    assert page.status_code == 302
    parts = urlsplit(page.headers["Location"])
    told = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert (parts.netloc, told["lang"], told["mac"], told["ip"]) == ("127.0.0.1:8080", "en", PHONE, "10.5.50.2")
    assert (told["link-orig"], told["identity"]) == ("http://example.com/?a=1&b", "gate")
    assert len(unescape(told["chap-challenge"])) == 16
    assert told["link-login-only"].startswith(gate.login_url) and len(told["link-login-only"]) < 300
    refused = requests.post(
        told["link-login-only"], {"username": "x", "password": "y"}, timeout=30, allow_redirects=False
    )
    again = parse_qs(urlsplit(refused.headers["Location"]).query)
    assert (again["error"], again["username"]) == (["invalid username or password"], ["x"])
    assert again["mac"] == [PHONE]  # the link itself says who comes back


def test_every_browser_that_says_nothing_is_a_guest_of_its_own(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712")
    browsers = [requests.Session() for _ in range(2)]
    for browser in browsers:
        browser.get(f"http://127.0.0.1:{gate.http_port}/", timeout=30)
    assert len(gate.hosts()) == 2
    browsers[0].post(gate.login_url, {"username": "asha", "password": "0712"}, timeout=30)
    assert len(gate.hosts()) == 2 and len(gate.active()) == 1
    assert browsers[0].get(f"http://127.0.0.1:{gate.http_port}/gen_204", timeout=30).status_code == 204
    assert "Log in" in browsers[1].get(f"http://127.0.0.1:{gate.http_port}/gen_204", timeout=30).text


def test_a_cookie_brings_a_device_back_until_it_is_kicked(gate: RouterSimulator, wire: Wire) -> None:
    gate.add_user("asha", "0712")
    get(gate, "/login?username=asha&password=0712")
    gate.log_out(PHONE)  # out of range
    assert get(gate, "/generate_204").status_code == 204  # and back
    row_id = gate.active()[0][".id"]
    assert wire.ask("/ip/hotspot/active/remove", f"=.id={row_id}") == [["!done"]]
    assert gate.cookies() == []
    assert get(gate, "/generate_204").status_code == 302
    assert wire.ask("/ip/hotspot/active/remove", f"=.id={row_id}")[0][-1] == "=message=no such item (4)"


def test_device_mode_takes_the_page_away(gate: RouterSimulator) -> None:
    gate.device_mode_off = True
    assert get(gate, "/login").status_code == 503
    assert gate.hotspot.servers.rows["*0"]["comment"] == "inactivated, not allowed by device-mode"
    gate.device_mode_off = False
    assert get(gate, "/login").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/login?mac=zz&ip=1.2.3.4", "/login?mac=AA:BB:CC:00:00:01&ip=x", "/%ff", "//", "/login?dst=javascript:alert(1)",
     "/login?username=%00&password=%0d%0a", "/login?username=asha&username=b"],
)  # fmt: skip
def test_strange_addresses_are_answered(gate: RouterSimulator, path: str) -> None:
    page = get(gate, path, headers={"X-Sim-MAC": "nonsense"})
    assert page.status_code in (200, 302)
    assert "javascript:" not in re.sub(r'value="[^"]*"', "", page.text)


# RADIUS.


@dataclass
class Yes:
    session_timeout_s: int | None = 600
    rate: str = "1M/2M"
    total_limit: int | None = None
    port_limit: int | None = None
    class_: bytes = b"grant-7"
    interim_s: int | None = 60


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


# Alone.


def test_it_runs_alone_until_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    seen: list[list[Sentence]] = []

    def interrupt() -> None:
        port = int(next(found[1] for line in lines if (found := re.search(r"API at 127.0.0.1:(\d+)", line))))
        seen.append(Wire(port).ask("/login", "=name=owner", "=password=pw"))
        raise KeyboardInterrupt

    monkeypatch.setattr(rehearsal, "wait_for_interrupt", interrupt)
    serve(port=0, http_port=0, username="owner", password="pw", portal_url="http://127.0.0.1:9/", log=lines.append)
    assert seen == [[["!done"]]]
    assert any("http://127.0.0.1:9/" in line for line in lines) and "stopped" in lines[-1]


def test_many_phones_at_once(gate: RouterSimulator) -> None:
    for number in range(30):
        gate.add_user(f"g{number}", "1")

    def come(number: int) -> None:
        headers = {"X-Sim-MAC": f"AA:BB:CC:00:01:{number:02X}", "X-Sim-IP": f"10.5.50.{number + 2}"}
        get(gate, "/generate_204", headers=headers)
        get(gate, f"/login?username=g{number}&password=1", headers=headers)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gate.active()) == 30
