"""The router driver over the wire: guests come in, stay in, go out, and nothing a router does surprises the box."""

import datetime as dt
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.devices.router import Router
from edge.devices.routeros import Conversation
from edge.errors import DeviceError, Refused, Unconfirmed, Unreachable
from edge.simulators.router import RouterSimulator
from edge.simulators.router.words import encode_sentence
from edge.values.hotspot import (
    HotspotUser,
    Profile,
    read_clock,
    read_date,
    read_duration,
    read_offset,
    write_date,
    write_duration,
)

HOUR = Profile("edge-plan-00001", "2M/5M", 1)
SECRET = "hunter2-of-the-router"
PHONE, TABLET = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"


def asha(
    seconds: int = 3600,
    data: int | None = None,
    profile: Profile = HOUR,
    name: str = "ASHA2345",
    comment: str = "edge:1",
    password: str = "0712",
) -> HotspotUser:
    return HotspotUser(name, password, profile, seconds, data, comment)


@pytest.fixture
def gate() -> Iterator[RouterSimulator]:
    with RouterSimulator(password=SECRET) as simulator:
        yield simulator


@pytest.fixture
def router(gate: RouterSimulator) -> Iterator[Router]:
    opened = open_router(gate)
    yield opened
    opened.close()


def open_router(gate: RouterSimulator, timeout_s: float = 20.0, server: str = "", password: str = SECRET) -> Router:
    return Router("127.0.0.1", gate.port, "edge", password, timeout_s=timeout_s, hotspot_server=server)


def only(rows: list[dict[str, str]]) -> dict[str, str]:
    assert len(rows) == 1
    return rows[0]


def online(gate: RouterSimulator, mac: str = PHONE, name: str = "ASHA2345", password: str = "0712") -> None:
    gate.add_host(mac, "10.5.50." + str(int(mac[-2:], 16) + 1))
    assert gate.log_in(name, password, mac) == ""


def limit_s(gate: RouterSimulator) -> int:
    return read_duration(only(gate.users())["limit-uptime"]) or 0


# A guest comes.


def test_a_new_guest_gets_a_user_with_his_time_rate_and_devices(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha(data=5_000_000_000, profile=Profile("edge-plan-00001", "2M/5M", 3)))
    user, profile = only(gate.users()), only(gate.profiles())
    assert (user["name"], user["password"], user["profile"]) == ("ASHA2345", "0712", "edge-plan-00001")
    assert (user["limit-uptime"], user["limit-bytes-total"], user["comment"]) == ("1h", "5000000000", "edge:1")
    assert user["disabled"] == "false" and "server" not in user
    assert (profile["name"], profile["rate-limit"], profile["shared-users"]) == ("edge-plan-00001", "2M/5M", "3")
    online(gate)
    assert router.active()[0].session_time_left_s == pytest.approx(3600, abs=60)


def test_a_warm_connection_admits_a_new_guest_with_two_commands(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha())
    gate.commands.clear()
    router.admit(asha(name="NJERI234"))
    assert gate.commands == ["/ip/hotspot/user/print", "/ip/hotspot/user/add"]


def test_the_same_guest_twice_is_one_user_and_the_second_time_writes_nothing(
    gate: RouterSimulator, router: Router
) -> None:
    router.admit(asha())
    gate.commands.clear()
    router.admit(asha())
    assert len(gate.users()) == 1 and limit_s(gate) == 3600
    assert not [path for path in gate.commands if path.endswith(("add", "set"))]


def test_a_renewal_keeps_what_was_used_and_adds_what_was_bought(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha(data=1000))
    online(gate)
    gate.traffic(PHONE, 100, 200)
    gate.jump(600)
    gate.log_out(PHONE)
    router.admit(asha(seconds=7200, data=5000))
    user = only(gate.users())
    assert read_duration(user["uptime"]) == pytest.approx(600, abs=30)
    assert limit_s(gate) == pytest.approx(600 + 7200, abs=30)
    assert int(user["limit-bytes-total"]) == 300 + 5000


def test_a_guest_who_is_online_gets_his_time_on_top_of_the_session_under_way(
    gate: RouterSimulator, router: Router
) -> None:
    router.admit(asha(profile=Profile("edge-plan-00001", "", 2)))
    online(gate)
    online(gate, TABLET)
    gate.traffic(TABLET, 7, 0)
    gate.jump(900)
    assert only(gate.users())["uptime"] == "0s"  # RouterOS counts when a session ends
    router.admit(asha(seconds=3600, data=100))
    assert limit_s(gate) == pytest.approx(900 + 900 + 3600, abs=30)
    assert only(gate.users())["limit-bytes-total"] == "107"


def test_more_than_four_gibibytes_are_counted(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha(data=20 * 2**30))
    online(gate)
    gate.traffic(PHONE, 3 * 2**32, 5)
    assert router.active()[0].bytes_in == 3 * 2**32
    gate.log_out(PHONE)
    assert router.users()[0].bytes_used == 3 * 2**32 + 5
    router.admit(asha(data=6 * 2**32))
    assert int(only(gate.users())["limit-bytes-total"]) == 9 * 2**32 + 5


def test_a_limit_of_data_goes_away_when_the_new_plan_has_none(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha(data=1000))
    router.admit(asha())
    assert "limit-bytes-total" not in only(gate.users())


def test_a_user_changed_by_hand_is_mended(gate: RouterSimulator, router: Router) -> None:
    gate.add_user("ASHA2345", "old", comment="edge:1", disabled="yes", limit_bytes_total="1", limit_uptime="5m")
    router.admit(asha())
    user = only(gate.users())
    assert (user["password"], user["profile"], user["disabled"], user["limit-uptime"]) == (
        "0712", "edge-plan-00001", "false", "1h",
    )  # fmt: skip


def test_a_profile_changed_or_removed_by_hand_is_mended(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha())
    router.admit(asha(profile=Profile("edge-plan-00001", "1M/1M", 2)))
    assert (only(gate.profiles())["rate-limit"], only(gate.profiles())["shared-users"]) == ("1M/1M", "2")
    router.admit(asha(profile=Profile("edge-plan-00001", "", 2)))
    assert "rate-limit" not in only(gate.profiles())
    gate.reset()
    router.admit(asha(profile=Profile("edge-plan-00001", "", 2)))  # it is not looked for again until it is missed
    assert only(gate.profiles())["name"] == only(gate.users())["profile"] == "edge-plan-00001"


def test_a_profile_name_that_starts_another_is_its_own(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha(profile=Profile("edge-plan-00001", "", 1)))
    router.admit(asha(profile=Profile("edge-plan-0000", "", 1), name="NJERI234"))
    assert [user["profile"] for user in gate.users()] == ["edge-plan-00001", "edge-plan-0000"]


def test_the_guest_may_use_only_the_hotspot_server_that_was_named(gate: RouterSimulator) -> None:
    open_router(gate, server="hotspot1").admit(asha())
    assert only(gate.users())["server"] == "hotspot1"
    with pytest.raises(Refused, match="server"):
        open_router(gate, server="attic").admit(asha(name="NJERI234"))
    open_router(gate).admit(asha())
    assert "server" not in only(gate.users())


def test_two_boxes_that_add_the_same_guest_at_once_make_one_user(gate: RouterSimulator) -> None:
    faults: list[DeviceError] = []

    def admit() -> None:
        try:
            mine = open_router(gate)
            mine.admit(asha())
            mine.close()
        except DeviceError as error:
            faults.append(error)

    threads = [threading.Thread(target=admit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(gate.users()) == len(gate.profiles()) == 1


def test_threads_share_one_router(gate: RouterSimulator, router: Router) -> None:
    threads = [threading.Thread(target=router.admit, args=(asha(name=f"GUEST{n:03}"),)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gate.users()) == 20
    assert gate.commands.count("/login") == 1


# Not ours, and not well said.


@pytest.mark.parametrize("comment", ["", "manager", "my edge:1", "Edge:1"])
def test_a_user_that_is_not_ours_is_never_touched(gate: RouterSimulator, router: Router, comment: str) -> None:
    gate.add_user("ASHA2345", "staff", comment=comment)
    before = gate.users()
    verbs: list[Callable[[], object]] = [lambda: router.admit(asha()), lambda: router.withdraw("ASHA2345")]
    for verb in verbs:
        with pytest.raises(Refused, match="ASHA2345 of its own"):
            verb()
    assert gate.users() == before
    assert [user for user in router.users() if user.is_ours] == []


@pytest.mark.parametrize(
    "user",
    [
        asha(name="A\nB"), asha(name="A\0"), asha(name=""), asha(name="\ud800"), asha(password="a\r"),
        asha(comment="edge:1\n=disabled=yes"), asha(comment="mine"), asha(seconds=0), asha(seconds=-5), asha(data=0),
        asha(profile=Profile("", "", 1)), asha(profile=Profile("p", "", 0)), asha(profile=Profile("p\t", "", 1)),
        asha(profile=Profile("p", "2M/5M;/system/reboot", 1)), asha(profile=Profile("p", "fast", 1)),
        asha(profile=Profile("p", "2M/5M\n", 1)),
    ],
)  # fmt: skip
def test_what_could_mean_more_than_it_says_never_reaches_the_router(
    gate: RouterSimulator, router: Router, user: HotspotUser
) -> None:
    with pytest.raises(Refused):
        router.admit(user)
    assert gate.commands == []


@pytest.mark.parametrize(
    "text",
    ["=.id=*0", "x =disabled=yes", "!trap", '"; /system reboot; "', "$(reboot)", "?name=x", ".tag=9", "*1", "a,b",
     "Büro ☕", "=", "-1", "[find]", "x" * 20_000],
)  # fmt: skip
def test_names_passwords_and_comments_stay_the_text_they_are(gate: RouterSimulator, router: Router, text: str) -> None:
    user = asha(name=text, comment=f"edge:{text}", password=text, profile=Profile(text, "1M", 1))
    router.admit(user)
    router.admit(user)
    found = only(gate.users())
    assert (found["name"], found["password"], found["profile"]) == (text, text, text)
    assert found["comment"] == f"edge:{text}" and found["disabled"] == "false"
    assert [known.name for known in router.users()] == [text]
    router.withdraw(text)
    assert gate.users() == []


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=50))
def test_any_printable_name_survives_the_wire(text: str) -> None:
    with RouterSimulator() as gate:
        router = open_router(gate, password="edge")
        router.admit(asha(name=text))
        assert [known.name for known in router.users()] == [text]
        router.close()


# A guest goes.


def test_a_withdrawn_guest_is_off_and_cannot_come_back(gate: RouterSimulator, router: Router) -> None:
    family = Profile("edge-plan-00001", "", 3)
    router.admit(asha(profile=family))
    router.admit(asha(name="NJERI234", profile=family))
    online(gate)
    online(gate, TABLET)
    online(gate, "AA:BB:CC:00:00:03", "NJERI234")
    assert len(gate.cookies()) == len(gate.active()) == 3
    router.withdraw("ASHA2345")
    assert [row["user"] for row in gate.active()] == ["NJERI234"]
    assert [row["user"] for row in gate.cookies()] == ["NJERI234"]
    assert [row["name"] for row in gate.users()] == ["NJERI234"]
    gate.add_host(PHONE, "10.5.50.2")  # the phone tries its cookie
    assert [row["user"] for row in gate.active()] == ["NJERI234"]


def test_a_kick_blocks_the_credential_before_it_ends_the_sessions(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha())
    online(gate)
    gate.commands.clear()
    router.withdraw("ASHA2345")
    removed = [path.removesuffix("/remove") for path in gate.commands if path.endswith("/remove")]
    assert removed == ["/ip/hotspot/user", "/ip/hotspot/cookie", "/ip/hotspot/active"]
    assert gate.commands[-1] == "/ip/hotspot/active/print"


def test_withdrawing_is_harmless_to_repeat(gate: RouterSimulator, router: Router) -> None:
    router.withdraw("NOBODY22")
    router.admit(asha())
    router.withdraw("ASHA2345")
    router.withdraw("ASHA2345")
    assert gate.users() == []


# Looking.


def test_the_facts_of_a_router(gate: RouterSimulator, router: Router) -> None:
    gate.jump(90_061)
    facts = router.facts()
    assert (facts.version, facts.board, facts.identity) == ("7.19.6 (stable)", "hAP ac^2", "gate")
    assert facts.uptime_s == pytest.approx(90_061, abs=60)
    assert (facts.hotspot_ok, facts.hotspot_words) == (True, "")
    assert facts.clock is not None and facts.clock.tzinfo is UTC
    assert abs(facts.clock - datetime.now(UTC) - timedelta(seconds=90_061)) < timedelta(seconds=60)


def test_device_mode_is_named_with_its_cure(gate: RouterSimulator, router: Router) -> None:
    gate.device_mode_off = True
    facts = router.facts()
    assert not facts.hotspot_ok
    assert "device-mode" in facts.hotspot_words and "hotspot=yes" in facts.hotspot_words
    gate.device_mode_off = False
    assert router.facts().hotspot_ok


def test_a_router_without_a_working_hotspot_server_says_so(gate: RouterSimulator, router: Router) -> None:
    assert "attic" in open_router(gate, server="attic").facts().hotspot_words
    server = next(iter(gate.hotspot.servers.rows.values()))
    server["disabled"] = "true"
    assert "disabled" in router.facts().hotspot_words
    server.update(disabled="false", invalid="true")
    assert "interface" in router.facts().hotspot_words
    gate.hotspot.servers.remove("*0")
    facts = router.facts()
    assert (facts.hotspot_ok, "no hotspot server" in facts.hotspot_words) == (False, True)


@pytest.mark.parametrize("version", ["6.40.9 (bugfix)", "6.44.6", "6.49.10 (long-term)", "7.9.2", "7.12", "7.22.3"])
def test_every_release_is_understood(version: str) -> None:
    with RouterSimulator(version=version, password=SECRET) as gate:
        router = open_router(gate)
        assert router.users() == [] and router.active() == []  # nothing, with and without !empty
        router.admit(asha())
        online(gate)
        gate.jump(1800)
        router.admit(asha(seconds=864_000))
        assert limit_s(gate) == pytest.approx(864_000 + 1800, abs=60)
        facts = router.facts()
        assert facts.version == version and facts.hotspot_ok
        assert facts.clock is not None
        assert abs(facts.clock - datetime.now(UTC) - timedelta(seconds=1800)) < timedelta(seconds=60)
        assert router.active()[0].uptime_s == pytest.approx(1800, abs=60)
        router.withdraw("ASHA2345")
        assert gate.active() == gate.users() == []
        router.close()


def test_a_clock_of_1970_is_told_as_it_is(gate: RouterSimulator, router: Router) -> None:
    gate.ntp = False
    gate.reboot()
    clock = router.facts().clock
    assert clock is not None and clock.year == 1970


# Logging a device in.


def test_a_device_is_logged_in_without_a_form_once_it_is_among_the_hosts(
    gate: RouterSimulator, router: Router
) -> None:
    router.admit(asha())
    assert router.log_in("ASHA2345", "0712", "10.5.50.2", PHONE) is False
    gate.add_host(PHONE, "10.5.50.2")
    assert router.log_in("ASHA2345", "0712", "10.5.50.2", PHONE.lower()) is True
    session = router.active()[0]
    assert (session.user, session.mac, session.ip) == ("ASHA2345", PHONE, "10.5.50.2")
    with pytest.raises(Refused, match="wrong MAC"):
        router.log_in("ASHA2345", "0712", "10.5.50.2", TABLET)


def test_a_lost_answer_to_a_login_is_a_question_and_to_an_upsert_is_not(gate: RouterSimulator, router: Router) -> None:
    gate.add_host(PHONE, "10.5.50.2")
    router.admit(asha())
    gate.lose_answer = True
    with pytest.raises(Unreachable):
        router.admit(asha(name="NJERI234"))
    gate.lose_answer = False
    router.admit(asha(name="NJERI234"))
    assert len(gate.users()) == 2
    with scripted(DONE1 + HOST2, hears=2) as port:
        with pytest.raises(Unconfirmed):
            Router("127.0.0.1", port, "edge", SECRET, timeout_s=5).log_in("ASHA2345", "0712", "10.5.50.2", PHONE)


# Bad days.


def test_half_a_sentence_and_then_nothing_is_unreachable_and_the_next_call_works(
    gate: RouterSimulator, router: Router
) -> None:
    router.admit(asha())
    gate.half_sentence = True
    with pytest.raises(Unreachable, match="middle of an answer"):
        router.admit(asha(name="NJERI234"))
    gate.half_sentence = False
    router.admit(asha(name="NJERI234"))
    assert len(gate.users()) == 2
    assert gate.commands.count("/login") == 2


@pytest.mark.parametrize("fault", ["silent", "drip"])
@pytest.mark.parametrize("warm", [True, False])
def test_silence_is_unreachable_when_the_time_is_up(gate: RouterSimulator, fault: str, warm: bool) -> None:
    router = open_router(gate, timeout_s=1.0)
    if warm:
        router.facts()
    setattr(gate, fault, True)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="silent for 1 s"):
        router.facts()
    assert 0.9 < time.monotonic() - began < 15
    setattr(gate, fault, False)
    assert open_router(gate).facts().hotspot_ok
    router.close()


def test_an_unplugged_router_is_unreachable_and_comes_back(gate: RouterSimulator, router: Router) -> None:
    router.admit(asha())
    gate.unplugged = True
    for _ in range(2):
        with pytest.raises(Unreachable, match=f"no answer at 127.0.0.1:{gate.port}"):
            router.admit(asha())
    gate.unplugged = False
    router.admit(asha())


@pytest.mark.parametrize("event", ["reboot", "cut", "unplug"])
def test_a_router_restarted_between_two_calls_is_not_noticed(
    gate: RouterSimulator, router: Router, event: str
) -> None:
    router.admit(asha())
    if event == "unplug":
        gate.unplugged = True
        gate.unplugged = False
    else:
        getattr(gate, event)()
    router.admit(asha(name="NJERI234"))
    assert len(gate.users()) == 2
    gate.cut()
    assert len(router.users()) == 2
    gate.cut()
    router.withdraw("NJERI234")
    gate.cut()
    gate.add_host(PHONE, "10.5.50.2")
    assert router.log_in("ASHA2345", "0712", "10.5.50.2", PHONE)


def test_answers_in_crumbs_are_put_together(gate: RouterSimulator, router: Router) -> None:
    gate.fragment = 3
    router.admit(asha())
    assert router.facts().identity == "gate" and len(router.users()) == 1


def test_a_long_table_may_take_longer_than_one_answer(gate: RouterSimulator) -> None:
    for number in range(500):
        gate.add_user(f"G{number:04}", comment=f"edge:{number}", disabled="yes" if number % 2 else "no")
    router = open_router(gate)
    users = router.users()
    assert len(users) == 500 and sum(user.disabled for user in users) == 250
    router.close()


def test_who_finds_the_router_busy_does_not_wait_for_ever(gate: RouterSimulator) -> None:
    talk = Conversation("127.0.0.1", gate.port, "edge", SECRET, tls=False, ca_file="", timeout_s=2)
    with talk.held(), pytest.raises(Unreachable, match="busy"), talk.held():
        pass
    with talk.held():
        assert talk.ask("/system/identity") == [{"name": "gate"}]
    talk.close()


def test_a_wrong_password_is_refused_and_leaks_nothing(gate: RouterSimulator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Refused, match="invalid user name or password") as told:
        open_router(gate, password="not-the-secret").admit(asha(password="guest-secret"))
    assert shows_no(told.value, caplog, "not-the-secret", "guest-secret", SECRET)


def test_no_error_holds_a_password(
    gate: RouterSimulator, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    user = asha(password="guest-secret")
    with caplog.at_level(logging.DEBUG):
        for fault in ("deny", "half_sentence", "lose_answer", "unplugged"):
            setattr(gate, fault, True)
            with pytest.raises(DeviceError) as told:
                router.admit(user)
            assert shows_no(told.value, caplog, "guest-secret", SECRET)
            setattr(gate, fault, False)
        router.admit(user)
        with pytest.raises(Refused) as told:
            router.admit(asha(profile=Profile("p", "", 10**30), password="guest-secret"))
    assert shows_no(told.value, caplog, "guest-secret", SECRET)


def shows_no(error: BaseException, caplog: pytest.LogCaptureFixture, *secrets: str) -> bool:
    shown = f"{error!s} {error!r} {error.__cause__!r} {error.__context__!r} {caplog.text}"
    return not any(secret in shown for secret in secrets)


def test_a_router_that_repeats_the_password_is_hushed() -> None:
    parrot = say("!trap", ".tag=2", "=message=bad word guest-secret in hunter2-of-the-router") + say("!done", ".tag=2")
    with scripted(DONE1 + parrot) as port:
        router = Router("127.0.0.1", port, "edge", SECRET, timeout_s=5)
        with pytest.raises(Refused, match="bad word") as told:
            router.admit(asha(password="guest-secret"))
    assert "guest-secret" not in repr(told.value) and SECRET not in repr(told.value)


def test_missing_permissions_are_refused_with_the_cure(gate: RouterSimulator, router: Router) -> None:
    gate.deny = True
    verbs: list[Callable[[], object]] = [
        router.facts, router.users, lambda: router.admit(asha()), lambda: router.withdraw("X"),
    ]  # fmt: skip
    for verb in verbs:
        with pytest.raises(Refused, match=r"read, write and api.*not enough permissions \(9\)"):
            verb()
    gate.deny = False
    router.admit(asha())
    assert gate.commands.count("/login") == 1  # a trap does not end the conversation


# What no router should say, but one may.


def say(*words: str | bytes) -> bytes:
    return encode_sentence(words)


DONE1 = say("!done", ".tag=1")
HOST2 = say("!re", ".tag=2", "=.id=*1") + say("!done", ".tag=2")


@contextmanager
def scripted(script: bytes, hears: int = 1) -> Iterator[int]:
    """A server that says this to everybody's login, hears so many commands, and then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            with wire, suppress(OSError):
                wire.recv(65536)
                wire.sendall(script)
                for _ in range(hears):
                    wire.recv(65536)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (say("!fatal", "session terminated on request"), Unreachable),
        (say("!fatal", ".tag=2", "=message=too many"), Unreachable),
        (say("!trap", ".tag=2") + say("!done", ".tag=2"), Refused),
        (say("!trap", ".tag=2", b"=message=M\xfcll") + say("!done", ".tag=2"), DeviceError),
        (say("!trap", ".tag=2", "=message=std failure: timeout (13)") + say("!done", ".tag=2"), Unreachable),
        (say("!done", ".tag=77"), Unreachable),
        (say("!done"), Unreachable),
        (say("HTTP/1.1 400 Bad Request"), Unreachable),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Unreachable),
        (b"\xff\xff\xff\xff", Unreachable),
        (b"\xf0\xff\xff\xff\xff" + b"x" * 1000, Unreachable),
        (say("!re", ".tag=2", "nonsense"), Unreachable),
        (say("!re", ".tag=2", b"=\xff=x") + say("!done", ".tag=2"), Unreachable),
        (b"", Unreachable),
    ],
)
def test_whatever_else_is_said_is_one_of_three_errors(answer: bytes, kind: type[DeviceError]) -> None:
    with scripted(DONE1 + answer) as port:
        router = Router("127.0.0.1", port, "edge", SECRET, timeout_s=3)
        with pytest.raises(kind):
            router.users()
        with pytest.raises(DeviceError):  # and again, from the start
            router.users()
        router.close()


def test_hostile_rows_are_read_as_far_as_they_make_sense() -> None:
    row = say("!re", ".tag=2", "=name=x\x1b[2J", "=comment=edge:<b>", "=uptime=1e9", "=bytes-in=-5", b"=profile=\xff")
    with scripted(DONE1 + row + say("!done", ".tag=2")) as port:
        user = Router("127.0.0.1", port, "edge", SECRET, timeout_s=5).users()[0]
    assert (user.uptime_s, user.bytes_used, user.disabled, user.profile) == (0, 0, False, "\\xff")


@pytest.mark.parametrize(
    "login",
    [say("!fatal", "too many sessions"), say("!done", ".tag=1", "=ret=zz"), b"\xff", say("!trap", ".tag=1"), b""],
)
def test_a_login_that_goes_wrong_is_told_as_such(login: bytes) -> None:
    with scripted(login, hears=0) as port, pytest.raises(Unreachable, match="did not log us in"):
        Router("127.0.0.1", port, "edge", SECRET, timeout_s=5).users()


# TLS.


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1, as an owner makes one on the router."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "key.pem", folder / "gate.pem"
    paths[0].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    paths[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return paths


def test_a_certificate_must_be_trusted(tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with RouterSimulator(tls=context) as gate:
        with pytest.raises(Refused, match="not trusted"):
            Router("127.0.0.1", gate.port, "edge", "edge", tls=True, timeout_s=20).facts()
        router = Router("127.0.0.1", gate.port, "edge", "edge", tls=True, timeout_s=20, ca_file=str(certificate))
        router.admit(asha())
        gate.cut()
        assert router.facts().hotspot_ok
        router.close()
        with pytest.raises(Refused, match="can't be read"):
            Router("127.0.0.1", gate.port, "edge", "edge", tls=True, ca_file=str(tmp_path / "none.pem")).facts()


# RFC 7919's ffdhe2048: an anonymous-DH server needs a group, and making one takes long.
FFDHE2048 = """\
-----BEGIN X9.42 DH PARAMETERS-----
MIICDAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAgKCAQB//////////9b8KixRXaVN
V+4rEBOennjsXOLB5xabStTwmyCKMhn95knO5xJNn3y+l/GxsYY67HtA2QFXYjC9
ae+Paur+srCSGfqPr4M3aEKxsqqe9o152quJrz+r5JrMJ4Y4cHNFu/FTRO159/Q5
DvisUJtW85qYVmUnpB08vV4FWMFZkn2w6IRUpdlkcf3ctW1bsGv6NA6noVHvHKb6
Vyt287G5XYyFg9PkdwU2uE8BfnDm+/F2YBoCZpQaF7DIuX9OdMLB/8cniRl3eUDB
4f8djaY31rmd2v5eF2EQAuLHeMG+i0HZY3mlE2DZd/1ENaEcMJQuS///////////
-----END X9.42 DH PARAMETERS-----
"""


def test_a_router_without_a_certificate_is_spoken_to_and_the_log_says_what_that_is_worth(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    group = tmp_path / "dh.pem"
    group.write_text(FFDHE2048, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ADH:@SECLEVEL=0")
    context.load_dh_params(str(group))
    with RouterSimulator(tls=context) as gate:
        router = Router("127.0.0.1", gate.port, "edge", "edge", tls=True, timeout_s=20)
        assert router.facts().identity == "gate"
        router.close()
    assert "no certificate" in caplog.text and "not proven" in caplog.text


def test_tls_to_a_plain_port_is_unreachable(gate: RouterSimulator) -> None:
    with pytest.raises(Unreachable):
        Router("127.0.0.1", gate.port, "edge", SECRET, tls=True, timeout_s=3).facts()


# RouterOS's ways of writing time.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1w2d3h4m5s", 788_645), ("0s", 0), ("5400", 5400), ("5400s", 5400), ("1h30m", 5400), ("01:22:53", 4973),
        ("2d03:04:05", 183_845), ("1d 02:00:00", 93_600), ("72:00:00", 259_200), ("14ms612us", 0), ("3s250ms", 3),
        ("00:00:01.5", 1), ("2d20h12m20s", 245_540), (" 1H ", 3600), ("", None), ("none", None), ("1h30", None),
        ("-5s", None), ("1e9", None), ("9" * 100, None), ("unlimited", None), ("12:30", None),
    ],
)  # fmt: skip
def test_durations_come_in_two_forms(text: str, seconds: int | None) -> None:
    assert read_duration(text) == seconds


@given(st.integers(0, 10**9), st.booleans())
def test_a_duration_written_is_read_as_itself(seconds: int, colons: bool) -> None:
    assert read_duration(write_duration(seconds, colons=colons)) == seconds


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_is_read_or_is_none(text: str, other: str) -> None:
    readers: list[Callable[[str], object]] = [read_duration, read_date, read_offset]
    for reader in readers:
        reader(text)
    assert read_clock(text, other, other) is None or isinstance(read_clock(text, other, other), datetime)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2023-07-14", date(2023, 7, 14)), ("jul/14/2023", date(2023, 7, 14)), ("Jan/02/1970", date(1970, 1, 2)),
        ("feb/31/2023", None), ("2023-13-01", None), ("", None), ("14/07/2023", None), ("jul/14/0000", None),
    ],
)  # fmt: skip
def test_dates_changed_their_form_in_release_7_10(text: str, day: date | None) -> None:
    assert read_date(text) == day
    if day is not None and text == text.lower():
        assert write_date(day, iso="-" in text) == text


def test_a_clock_is_an_instant() -> None:
    noon = datetime(2026, 11, 25, 9, 30, 15, tzinfo=UTC)
    assert read_clock("2026-11-25", "12:30:15", "+03:00") == noon
    assert read_clock("nov/25/2026", "12:30:15", "10800") == noon
    assert read_clock("nov/25/2026", "04:30:15", str(2**32 - 18_000)) == noon
    assert read_clock("2026-11-25", "04:30:15", "-05:00") == noon
    assert read_clock("2026-11-25", "25:30:15", "") is None
    assert read_clock("0001-01-01", "00:00:00", "+03:00") is None
    assert noon.utcoffset() == dt.timedelta(0)
