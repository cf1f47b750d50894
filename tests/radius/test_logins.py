"""Who RADIUS lets in and what it says of it: TVs by their MAC, metered time, strangers, and logins that never wait."""

import contextlib
import hashlib
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge import database
from edge.database import db
from edge.devices.radius import FreeRadius
from edge.devices.radius_log import SeenLogin, pick_error, read_login
from edge.domain import access
from edge.models import Clock, Grant, Placement, Router
from edge.network_models import Device
from edge.simulators.router import radius_client
from edge.simulators.router.radius_client import Accepted, RadiusClient, Rejected
from tests.radius import shop as radius_shop
from tests.radius.shop import (
    ASHA_PHONE,
    GATE,
    GATE_SECRET,
    GIB,
    JUMA_PHONE,
    NOW,
    STRANGER,
    account,
    by_chap,
    grant,
    log_in,
    radclient,
    router_at,
    sessions,
    wait_for,
)

pytestmark = radius_shop.NEEDED
TV = "AA:BB:CC:00:00:77"


@pytest.fixture
def tv(shop: Path) -> Iterator[Grant]:
    """A TV on Asha's grant, which may have two devices."""
    asha = grant(f"TV{secrets.token_hex(3).upper()}", devices=2, bytes=6 * GIB, idle_s=600)
    Device.create(grant=asha, mac=TV, created_at=NOW)
    yield asha
    Device.delete().execute()


def seen(server: FreeRadius, name: str, within_s: float = 30.0) -> list[SeenLogin]:
    """What the log tells of this name; the log is read as it comes."""
    found: list[SeenLogin] = []

    def is_there() -> bool:
        found.extend(login for login in server.take_logins() if login.name.upper() == name.upper())
        return bool(found)

    wait_for(is_there, within_s)
    return found


# A TV by its MAC


@pytest.mark.parametrize("password", ["", TV, "what a technician once typed"])
@pytest.mark.parametrize("proof", ["pap", "chap"])
def test_a_listed_tv_is_let_in_by_its_mac_with_what_its_grant_has(
    gate: RadiusClient, tv: Grant, password: str, proof: str
) -> None:
    answer = log_in(gate, TV, password, mac=TV, **({"chap": by_chap(password)} if proof == "chap" else {}))
    assert isinstance(answer, Accepted)
    assert (answer.session_timeout_s, answer.rate, answer.port_limit) == (600, "2M/5M", 2)
    assert answer.total_limit == 6 * GIB


@pytest.mark.parametrize(
    "spelled",
    ["AA:BB:CC:00:00:77", "aa-bb-cc-00-00-77", "AABB:CC00:0077", "AABBCC:000077", "AABBCC-000077", "AABBCC000077",
     "AA BB CC 00 00 77"],
)  # fmt: skip
def test_a_tv_may_be_spelled_in_each_of_routeros_ways(gate: RadiusClient, tv: Grant, spelled: str) -> None:
    assert isinstance(log_in(gate, spelled, "", mac=spelled), Accepted)
    assert isinstance(log_in(gate, spelled, "", mac=TV), Accepted)


def test_a_tvs_name_opens_to_no_other_device(server: FreeRadius, gate: RadiusClient, tv: Grant) -> None:
    assert isinstance(log_in(gate, TV, TV, mac=JUMA_PHONE), Rejected)
    assert log_in(gate, "AABBCC000077", "", mac=JUMA_PHONE) == Rejected("")
    raw = radclient(server, "auth", f'User-Name="{TV}",User-Password="{TV}"')  # and none without its own address
    assert "Access-Reject" in raw


def test_a_device_that_nobody_listed_is_turned_away_and_never_mentioned(
    server: FreeRadius, gate: RadiusClient, tv: Grant
) -> None:
    server.take_logins()
    assert log_in(gate, ASHA_PHONE, "", mac=ASHA_PHONE) == Rejected("")
    assert log_in(gate, ASHA_PHONE, ASHA_PHONE, mac=ASHA_PHONE, chap=by_chap("")) == Rejected("")
    log_in(gate, TV, "", mac=TV)
    assert [login.name for login in seen(server, TV)] == [TV]
    assert any(ASHA_PHONE in line for line in server.log_lines())


def test_a_tv_ends_with_its_grant_and_is_told_why(gate: RadiusClient, tv: Grant) -> None:
    tv.put(ends_at=NOW)
    assert log_in(gate, TV, "", mac=TV) == Rejected("Your time is over")
    tv.put(ends_at=NOW + timedelta(hours=1), bytes=0)
    assert log_in(gate, TV, "", mac=TV) == Rejected("Your data is used up")
    tv.put(state="ended", why_ended="staff")
    assert log_in(gate, TV, "", mac=TV) == Rejected("Your access was ended")


def test_what_a_tv_uses_is_its_grants(shop: Path, gate: RadiusClient, tv: Grant) -> None:
    account(gate, "interim", TV, mac=TV, seconds=60, bytes_in=GIB, bytes_out=2 * GIB)
    wait_for(lambda: sessions(shop, tv.username))
    [row] = sessions(shop, tv.username)
    assert (row["login"], row["callingstationid"]) == (TV, TV)
    for name, pin, mac in ((TV, "", TV), (tv.username, "0123", ASHA_PHONE)):
        answer = log_in(gate, name, pin, mac=mac)
        assert isinstance(answer, Accepted)
        assert answer.total_limit == 3 * GIB
    account(gate, "start", tv.username, session_id="80a00002")
    wait_for(lambda: len(sessions(shop, tv.username)) == 2)
    third = log_in(gate, tv.username, mac=JUMA_PHONE)  # the TV is one of the two
    assert isinstance(third, Rejected)
    assert "already logged in" in third.words
    assert isinstance(log_in(gate, TV, "", mac=TV), Accepted)


# Limits


def test_metered_time_runs_only_online_and_on_all_routers_together(shop: Path, gate: RadiusClient) -> None:
    asha = grant("METER234", metered=True, ends_at=None, devices=2, starts_at=NOW - timedelta(days=30), credited_s=100)
    Placement.create(grant=asha, router=Router.get(Router.name == "cellar"), state="there", used_s=700)
    account(gate, "stop", "METER234", seconds=1000)
    account(gate, "interim", "METER234", mac=JUMA_PHONE, session_id="80a00002", seconds=1500)
    wait_for(lambda: len(sessions(shop, "METER234")) == 2)
    answer = log_in(gate, "METER234")
    assert isinstance(answer, Accepted)
    assert answer.session_timeout_s == 3600 - 700 - 1000 - 1500
    assert answer.total_limit is None
    account(gate, "stop", "METER234", mac=JUMA_PHONE, session_id="80a00002", seconds=2000)
    wait_for(lambda: sessions(shop, "METER234")[-1]["acctsessiontime"] == 2000)
    assert log_in(gate, "METER234") == log_in(gate, "METER234", "9999") == Rejected("Your time is over")


def test_whichever_limit_comes_first_both_are_told(server: FreeRadius, shop: Path, gate: RadiusClient) -> None:
    asha = grant("BOTH2345", metered=True, ends_at=None, bytes=5 * GIB, idle_s=900)
    Placement.create(grant=asha, router=Router.get(Router.name == "cellar"), used_bytes=4 * GIB + 1)
    told = radclient(server, "auth", 'User-Name="BOTH2345",User-Password="0123"')
    assert "Session-Timeout = 3600" in told
    assert "Idle-Timeout = 900" in told
    assert f"Mikrotik-Total-Limit = {GIB - 1}" in told
    assert "Mikrotik-Total-Limit-Gigawords = 0" in told
    account(gate, "stop", "BOTH2345", seconds=60, bytes_out=GIB)
    wait_for(lambda: sessions(shop, "BOTH2345"))
    assert log_in(gate, "BOTH2345") == Rejected("Your data is used up")


def test_why_a_right_ended_is_told(gate: RadiusClient) -> None:
    for number, (why, words) in enumerate(
        [("time", "Your time is over"), ("data", "Your data is used up"), ("staff", "Your access was ended")]
    ):
        grant(f"ENDED23{number}", state="ended", why_ended=why)
        assert log_in(gate, f"ENDED23{number}") == Rejected(words)


def test_a_right_is_found_at_once_among_thousands_and_their_history(shop: Path) -> None:
    with db.atomic("IMMEDIATE") as undo:
        for number in range(5000):
            Grant.create(plan=1, username=f"MANY{number:04d}", password="0123", seconds=3600, bytes=GIB,
                         metered=number % 2 == 0, created_at=NOW)  # fmt: skip
        db.execute_sql(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) "
            "INSERT INTO radacct (acctuniqueid, username, acctsessiontime, acctinputoctets, acctoutputoctets, "
            "acctstoptime) SELECT 'm' || i, printf('MANY%04d', i % 5000), 1, 1000, 1000, 1 FROM n"
        )
        took = []
        for view in ("radcheck", "radreply"):
            question = f"SELECT id, username, attribute, value, op FROM {view} WHERE username = '%s' ORDER BY id"
            plan = [row[3] for row in db.execute_sql(f"EXPLAIN QUERY PLAN {question % 'MANY0001'}").fetchall()]
            assert not {"SCAN g", "SCAN a", "SCAN p", "SCAN grants", "SCAN radacct"} & set(plan), plan
            began = time.perf_counter()
            for number in range(200):
                assert db.execute_sql(question % f"MANY{number:04d}").fetchall()
            took.append((time.perf_counter() - began) / 200 * 1000)
        undo.rollback()
    print(f"radcheck {took[0]:.2f} ms, radreply {took[1]:.2f} ms, parsed anew each time")
    assert sum(took) < 20


# Words


def test_the_log_tells_each_login_in_words(server: FreeRadius, shop: Path, gate: RadiusClient) -> None:
    grant("WORDS234")
    grant("WORDS235", ends_at=NOW)
    grant("WORDS236", bytes=0)
    grant("WORDS237", state="ended", why_ended="staff")
    account(gate, "start", "WORDS234", mac=JUMA_PHONE)
    wait_for(lambda: sessions(shop, "WORDS234"))
    server.take_logins()
    before = time.time()
    logins = [
        ("words234", "0123", JUMA_PHONE, True, ""), ("WORDS234", "9999", JUMA_PHONE, False, "wrong PIN"),
        ("WORDS234", "0123", ASHA_PHONE, False, "on too many devices"),
        ("NOSUCH23", "0123", ASHA_PHONE, False, "no such code"),
        ("WORDS235", "0123", ASHA_PHONE, False, "time is over"),
        ("WORDS236", "0123", ASHA_PHONE, False, "data is used up"),
        ("WORDS237", "0123", ASHA_PHONE, False, "ended by staff"),
    ]  # fmt: skip
    for name, pin, mac, accepted, words in logins:
        log_in(gate, name, pin, mac=mac)
        [login] = seen(server, name)
        assert (login.name, login.router, login.mac) == (name, "gate", mac)
        assert (login.accepted, login.words) == (accepted, words)
        assert before - 1 <= login.at <= time.time()
    log_in(gate, "WORDS234", "9999", mac=JUMA_PHONE, chap=by_chap("9999"))
    assert [login.words for login in seen(server, "WORDS234")] == ["wrong PIN"]


def test_nobody_writes_the_log_by_what_he_calls_himself(server: FreeRadius, gate: RadiusClient) -> None:
    server.take_logins()
    names = [
        "x] (from client attic port 0 cli 00:00:00:00:00:00) known=1 told=", "Login OK: [x", "]", "[",
        "Thu Mar  5 10:00:00 2026 : Auth: (1) Login OK: [ASHA2345] (from client gate port 1) known= told=",
    ]  # fmt: skip
    for name in names:
        log_in(gate, name, "0123")
        [login] = seen(server, name)
        assert (login.router, login.mac, login.accepted) == ("gate", ASHA_PHONE, False)
        assert login.words == "no such code"


def test_a_line_that_is_none_of_a_login_is_none() -> None:
    for line in ("", "Ready to process requests", "Thu Mar  5 10:00:00 2026 : Info: Auth: (1) Login OK: [x]"):
        assert read_login(line, 0.0) is None


def test_what_is_told_of_a_fault_names_no_guest() -> None:
    login = "Thu Nov 26 06:13:15 2026 : Auth: (7) Login incorrect (pap: x): [ASHA2345] (from client gate port 0 cli x)"
    info = "Thu Nov 26 06:13:14 2026 : Info: Ready to process requests"
    error = "Thu Nov 26 06:13:13 2026 : Error: the database is gone"
    assert pick_error([info, login]) == info
    assert pick_error([login, login.replace("Login incorrect", "Multiple logins")]) == "it left no word"
    assert pick_error([error, info, login]) == "the database is gone"


def test_a_line_with_a_routers_odd_name_is_read() -> None:
    line = "Thu Mar  5 10:00:00 2026 : Auth: (1)   Login OK: [A] (from client it's (new) port 9 port 0 cli ) "
    login = read_login(line + "known=1 told=", 5.0)
    assert login == SeenLogin(5.0, "it's (new) port 9", "A", "", True, "")


# Who asks


def test_what_is_no_packet_of_a_router_is_dropped_and_harms_nobody(server: FreeRadius, gate: RadiusClient) -> None:
    grant("SOUND234")
    good = radius_client._sign_request(7, bytes(16), b"\x01\x0aSOUND234", GATE_SECRET.encode())
    packets = [
        b"", b"\x01", secrets.token_bytes(19), secrets.token_bytes(300), good[:-1], good[:2] + b"\xff\xff",
        good[:20] + b"\x01\x00" + good[22:], good[:20] + b"\x01\xff", bytes([255]) + good[1:],
        radius_client._sign_request(7, bytes(16), b"\x01\x0aSOUND234", b"another secret"),
    ]  # fmt: skip
    for source in (GATE, STRANGER):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.bind((source, 0))
            for packet in packets:
                for kind in ("auth", "acct"):
                    sender.sendto(packet, ("127.0.0.1", server._ports[kind]))
            sender.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sender.recv(4096)
    assert isinstance(log_in(gate, "SOUND234"), Accepted)
    server.probe()


def _answer(sender: socket.socket, packet: bytes) -> bytes:
    """Sent until it is answered, as RouterOS does: FreeRADIUS ignores one that comes while it ends the first."""
    for _ in range(20):
        sender.send(packet)
        with contextlib.suppress(TimeoutError):
            return sender.recv(4096)
    raise TimeoutError("no answer in twenty seconds")


def test_a_packet_sent_again_is_answered_again_and_counted_once(
    server: FreeRadius, shop: Path, gate: RadiusClient
) -> None:
    """As RouterOS does after a lost answer; and a thief who replays it later tells nothing new."""
    grant("AGAIN234")
    body = gate._about("AGAIN234", ASHA_PHONE, "10.5.50.9", "80a00001") + b"\x28\x06\x00\x00\x00\x03"
    body += b"\x2e\x06\x00\x00\x00\x3c" + b"\x2a\x06\x00\x00\x00\x07"
    head = radius_client._head(radius_client.ACCOUNTING_REQUEST, 9, len(body))
    packet = head + hashlib.md5(head + bytes(16) + body + GATE_SECRET.encode()).digest() + body
    for _ in range(2):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.settimeout(1)
            sender.connect(("127.0.0.1", server._ports["acct"]))
            for _ in range(2):
                assert _answer(sender, packet)[0] == radius_client.ACCOUNTING_RESPONSE
    account(gate, "start", "AGAIN235")
    wait_for(lambda: sessions(shop, "AGAIN235"))
    [row] = sessions(shop, "AGAIN234")
    assert (row["acctsessiontime"], row["acctinputoctets"]) == (60, 7)


def test_a_changed_secret_holds_when_the_old_ones_lifetime_is_over(tmp_path: Path) -> None:
    """60 s in the shop, 1 s here."""
    with radius_shop.opened_beside(tmp_path) as (path, router_id):
        templates = radius_shop.templates_with(tmp_path, "lifetime        = 60", "lifetime        = 1")
        daemon = radius_shop.daemon_over(path, tmp_path / "radius", templates=templates)
        daemon.start()
        try:
            old = router_at(daemon, GATE, GATE_SECRET, timeout_s=0.3)
            new = router_at(daemon, GATE, "another secret of the gate", timeout_s=0.3)
            assert isinstance(log_in(router_at(daemon, GATE, GATE_SECRET), "ASHA2345"), Accepted)
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as owner:
                owner.execute(
                    "UPDATE routers SET radius_secret = 'another secret of the gate' WHERE id = ?", (router_id,)
                )
            wait_for(lambda: _is_let_in(new))
            assert not _is_let_in(old)
        finally:
            daemon.stop()


def _is_let_in(router: RadiusClient) -> bool:
    try:
        return isinstance(log_in(router, "ASHA2345"), Accepted)
    except TimeoutError:
        return False


# While the box is busy


def test_nobody_is_turned_away_while_the_box_sells_and_is_backed_up(
    server: FreeRadius, shop: Path, gate: RadiusClient, tmp_path: Path
) -> None:
    for number in range(20):
        grant(f"BUSY23{number:02d}", devices=3)
    over = threading.Event()
    faults: list[BaseException] = []

    def hold_the_lock() -> None:
        """Another process's long write, again and again."""
        with contextlib.closing(sqlite3.connect(shop, isolation_level=None, timeout=10)) as writer:
            while not over.is_set():
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("UPDATE plans SET position = position + 1")
                over.wait(0.3)
                writer.execute("COMMIT")
                over.wait(0.05)

    def back_up() -> None:
        with contextlib.closing(sqlite3.connect(shop)) as source:
            number = 0
            while not over.is_set():
                number += 1
                with contextlib.closing(sqlite3.connect(tmp_path / f"copy-{number % 2}.db")) as copy:
                    source.backup(copy, pages=16, sleep=0.01)

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (hold_the_lock, back_up)]
    for thread in threads:
        thread.start()
    try:
        began, count = time.monotonic(), 0
        while time.monotonic() < began + 3:
            name = f"BUSY23{count % 20:02d}"
            assert isinstance(log_in(gate, name, chap=by_chap("0123") if count % 2 else None), Accepted)
            account(gate, "interim", name, seconds=count, bytes_in=count)
            count += 1
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert faults == []
    wait_for(lambda: all(sessions(shop, f"BUSY23{number:02d}") for number in range(min(20, count))))
    print(f"{count} logins, one at a time, while the lock was held and copies were made")
    server.probe()


def test_ten_seconds_of_lock_and_a_kill_lose_no_session(tmp_path: Path) -> None:
    with radius_shop.opened_beside(tmp_path) as (path, _):
        daemon = radius_shop.daemon_over(path, tmp_path / "radius")
        daemon.start()
        gate = router_at(daemon, GATE, GATE_SECRET)
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                for number in range(300):
                    account(gate, "start", "ASHA2345", session_id=f"80a{number:05d}")
                    if number == 200:
                        radius_shop.kill(daemon)
                time.sleep(6)  # longer than FreeRADIUS itself waits for the lock (busy_timeout)
                writer.execute("ROLLBACK")
            wait_for(lambda: len(sessions(path, "ASHA2345")) == 300, 60)
        finally:
            daemon.stop()


def test_five_thousand_logins_leave_it_small(server: FreeRadius, gate: RadiusClient, tmp_path: Path) -> None:
    grant("SMALL235")
    requests = "".join(
        f'User-Name="SMALL235",User-Password="0123",Calling-Station-Id="{ASHA_PHONE}",NAS-Port={number}\n\n'
        for number in range(5000)
    )
    told = radius_shop.load(server, "auth", requests, at_once=40)
    assert told["accepted"] == 5000, told
    resident_kib = int(next(
        line.split()[1] for line in Path(f"/proc/{server.pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ))  # fmt: skip
    print(f"{resident_kib / 1024:.0f} MB resident, {told['rate']:.0f} logins a second")
    assert resident_kib < 60 * 1024


def test_time_stands_still_with_the_boxs_clock(gate: RadiusClient) -> None:
    """What holds is the clock row: a clock that nobody believes ends nobody's time."""
    grant("STILL234", ends_at=NOW + timedelta(seconds=5))
    Clock.update(trusted=False).execute()
    assert isinstance(log_in(gate, "STILL234"), Accepted)
    Clock.update(trusted=True, seen_at=NOW + timedelta(seconds=6)).execute()
    assert log_in(gate, "STILL234") == Rejected("Your time is over")
    Clock.update(seen_at=NOW).execute()
    assert database.db.execute_sql("SELECT COUNT(*) FROM radcheck WHERE username = ''").fetchone()[0] == 0


# The same as the box reckons


@pytest.mark.parametrize(
    ("told", "used_s", "used_bytes"),
    [
        ({}, 100, 100), ({"ends_at": NOW - timedelta(seconds=1)}, 0, 0), ({"starts_at": None, "ends_at": None}, 0, 0),
        ({"credited_s": 60, "ends_at": NOW + timedelta(seconds=660)}, 0, 0),
        ({"metered": True, "ends_at": None}, 600, 0), ({"metered": True, "ends_at": None}, 3600, 0),
        ({"metered": True, "ends_at": None}, 9000, 0), ({"metered": True, "ends_at": None, "starts_at": None}, 0, 0),
        ({"metered": True}, 600, 0), ({"metered": True}, 3300, 0), ({"metered": True}, 3600, 0),
        ({"metered": True, "ends_at": NOW}, 0, 0), ({"metered": True, "ends_at": NOW - timedelta(days=3)}, 100, 0),
        ({"metered": True, "credited_s": 500}, 3300, 0), ({"bytes": 5 * GIB}, 0, 4 * GIB), ({"bytes": GIB}, 0, GIB),
        ({"bytes": GIB}, 0, 2 * GIB), ({"bytes": 0}, 0, 0), ({"bytes": GIB, "metered": True}, 900, GIB - 1),
        ({"state": "ended", "why_ended": "time"}, 0, 0), ({"state": "ended", "bytes": GIB}, 0, 0),
        ({"state": "ended", "metered": True}, 0, 0),
    ],
)  # fmt: skip
def test_radius_and_the_box_find_the_same_left(
    shop: Path, told: dict[str, Any], used_s: int, used_bytes: int
) -> None:
    with db.atomic("IMMEDIATE") as undo:
        asha = grant("SAME2345", **told)
        Placement.create(grant=asha, router=Router.get(Router.name == "cellar"), used_s=used_s, used_bytes=used_bytes)
        left = access.left(asha, NOW)
        found = dict(db.execute_sql("SELECT attribute, value FROM radreply WHERE username = 'SAME2345'").fetchall())
        checked = dict(db.execute_sql("SELECT attribute, value FROM radcheck WHERE username = 'SAME2345'").fetchall())
        undo.rollback()
    assert int(found.get("Session-Timeout", 0)) == left.seconds
    whole = int(found.get("Mikrotik-Total-Limit", 0)) + (int(found.get("Mikrotik-Total-Limit-Gigawords", 0)) << 32)
    assert whole == (left.bytes or 0)
    assert ("Cleartext-Password" in checked) is not left.is_nothing
    words = {"time": "Your time is over", "data": "Your data is used up"}[left.used_up] if left.is_nothing else None
    assert found.get("Reply-Message") in (words, "Your time is over" if left.seconds == 0 else words)


# Names that another program gave


def test_a_name_in_any_letters_is_let_in_and_counted_as_its_grants(shop: Path, gate: RadiusClient) -> None:
    asha = grant("asha.Phone", devices=1, metered=True)
    for typed in ("asha.Phone", "ASHA.PHONE", "Asha.phone"):
        assert isinstance(log_in(gate, typed), Accepted)
    assert log_in(gate, "asha.phone", "9999") == Rejected("")
    account(gate, "interim", "Asha.phone", seconds=100, bytes_in=5)
    wait_for(lambda: sessions(shop, "asha.Phone"))
    assert sessions(shop, "asha.Phone")[0]["login"] == "Asha.phone"
    assert access.used(asha) == (100, 5)
    account(gate, "start", "asha.phone", session_id="80a00003")
    wait_for(lambda: len(sessions(shop, "asha.Phone")) == 2)
    crowded = log_in(gate, "asha.phone", mac=JUMA_PHONE)
    assert isinstance(crowded, Rejected) and "already logged in" in crowded.words
    answer = log_in(gate, "ASHA.phone")
    assert isinstance(answer, Accepted) and answer.session_timeout_s == 600  # the end by the calendar comes first
    Grant.update(ends_at=NOW + timedelta(days=9)).where(Grant.id == asha.id).execute()
    answer = log_in(gate, "ASHA.phone")
    assert isinstance(answer, Accepted) and answer.session_timeout_s == 3500


def test_a_tv_on_a_grant_with_small_letters_is_let_in_and_counted(shop: Path, gate: RadiusClient) -> None:
    asha = grant("tv.of.asha", devices=2)
    Device.create(grant=asha, mac=TV, created_at=NOW)
    assert isinstance(log_in(gate, TV, "", mac=TV), Accepted)
    account(gate, "stop", TV, mac=TV, session_id="80a000ff", seconds=60)
    wait_for(lambda: sessions(shop, "tv.of.asha"))
    assert access.used(asha)[0] == 60
    Device.delete().execute()
