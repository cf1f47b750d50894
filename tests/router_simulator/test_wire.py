"""The pretend router's wire by the bytes: words, logins, tags, and what menus answer."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.simulators.router import RouterSimulator
from edge.simulators.router.queries import matches
from edge.simulators.router.tables import Trap
from edge.simulators.router.words import Malformed, SentenceReader, decode_length, encode_length, encode_sentence
from tests.peers.routeros_wire import PHONE, TABLET, Wire

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
