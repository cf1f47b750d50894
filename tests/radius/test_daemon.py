"""Radius mode on the wire: Debian's FreeRADIUS reads the box's own rows, asked by radclient and by a pretend router."""

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge import database
from edge.demo import free_udp_port
from edge.devices import radius
from edge.devices.radius import FreeRadius
from edge.devices.radius_files import FILES
from edge.errors import Unreachable
from edge.models import Clock, Grant, Router
from edge.simulators.router import radius_client
from edge.simulators.router.radius_client import Accepted, RadiusClient, Rejected
from edge.texts import data_folder
from tests.radius import shop as radius_shop
from tests.radius.shop import (
    ASHA_PHONE,
    ATTIC,
    ATTIC_SECRET,
    CELLAR,
    GATE,
    GATE_SECRET,
    GIB,
    JUMA_PHONE,
    NOW,
    STRANGER,
    account,
    by_chap,
    daemon_over,
    grant,
    log_in,
    radclient,
    router_at,
    sessions,
    wait_for,
)

pytestmark = radius_shop.NEEDED

def is_well(daemon: FreeRadius) -> bool:
    try:
        daemon.probe()
    except Unreachable:
        return False
    return True


def is_gone(pid: int) -> bool:
    """Ended, or a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# Logging in


def test_a_code_logs_in_by_pap_with_all_that_was_bought(server: FreeRadius, gate: RadiusClient) -> None:
    grant("ASHA2345", devices=2, bytes=6_000_000_000)
    answer = log_in(gate, "ASHA2345")
    assert isinstance(answer, Accepted)
    assert answer == Accepted(600, "2M/5M", 6_000_000_000, 2, answer.class_, 300)
    assert len(answer.class_) >= 16
    again = log_in(gate, "ASHA2345")
    assert isinstance(again, Accepted)
    assert again.class_ != answer.class_


def test_a_code_logs_in_by_chap(gate: RadiusClient) -> None:
    grant("CHAP2345")
    assert isinstance(log_in(gate, "CHAP2345", chap=by_chap("0123")), Accepted)
    assert log_in(gate, "CHAP2345", chap=by_chap("0124")) == Rejected("")


def test_a_code_may_be_typed_in_small_letters(shop: Path, gate: RadiusClient) -> None:
    grant("SMALL234")
    assert isinstance(log_in(gate, "small234"), Accepted)
    account(gate, "start", "small234")
    wait_for(lambda: sessions(shop, "SMALL234"))


def test_a_wrong_pin_and_an_unknown_code_look_alike(gate: RadiusClient) -> None:
    grant("JUMA2345")
    assert log_in(gate, "JUMA2345", "9999") == log_in(gate, "NOBODY22", "0123") == Rejected("")


@pytest.mark.parametrize("kind", ["pap", "chap"])
def test_radtest_gets_in_and_is_turned_away(server: FreeRadius, kind: str) -> None:
    name = f"RT{kind.upper():X<6}"
    grant(name)
    for pin, said in (("0123", "Access-Accept"), ("0124", "Access-Reject")):
        command = ["radtest", "-t", kind, name, pin, f"127.0.0.1:{server._ports['auth']}", "0", GATE_SECRET]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert f"Received {said}" in asked.stdout


@pytest.mark.parametrize("signed", ["", ",Message-Authenticator=0x00"])
@pytest.mark.parametrize("proof", ["User-Password", "CHAP-Password"])
def test_every_answer_is_signed_even_if_the_question_was_not(server: FreeRadius, proof: str, signed: str) -> None:
    name = f"SI{proof[:4].upper()}{'S' if signed else 'U'}"
    grant(name)
    for pin, said in (("0123", "Access-Accept"), ("0124", "Access-Reject")):
        told = radclient(server, "auth", f'User-Name="{name}",{proof}="{pin}"{signed}')
        assert said in told
        assert "Message-Authenticator = 0x" in told  # and radclient drops a wrong one


def test_a_second_device_is_turned_away_until_the_first_one_leaves(shop: Path, gate: RadiusClient) -> None:
    grant("ONE23456")
    answer = log_in(gate, "ONE23456")
    assert isinstance(answer, Accepted)
    account(gate, "start", "ONE23456", class_=answer.class_)
    wait_for(lambda: sessions(shop, "ONE23456"))
    second = log_in(gate, "ONE23456", mac=JUMA_PHONE)
    assert isinstance(second, Rejected)
    assert "already logged in" in second.words
    assert isinstance(log_in(gate, "ONE23456"), Accepted)  # the same phone again, after a Stop that was lost
    account(gate, "stop", "ONE23456", class_=answer.class_)
    wait_for(lambda: sessions(shop, "ONE23456")[0]["acctstoptime"])
    assert isinstance(log_in(gate, "ONE23456", mac=JUMA_PHONE), Accepted)


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("OVER2345", {"ends_at": NOW}, "Your time is over"),
        ("OVER2346", {"ends_at": NOW - timedelta(days=1), "state": "ended"}, "Your time is over"),
        ("OVER2347", {"bytes": 0}, "Your data is used up"),
    ],
)
def test_a_right_that_is_over_says_so_and_nothing_else(
    server: FreeRadius, gate: RadiusClient, name: str, told: dict[str, Any], words: str
) -> None:
    grant(name, **told)
    assert log_in(gate, name) == log_in(gate, name, "9999") == Rejected(words)
    assert log_in(gate, name, chap=by_chap("0123")) == Rejected(words)
    raw = radclient(server, "auth", f'User-Name="{name}",User-Password="0123"')
    assert "Mikrotik" not in raw
    assert "Session-Timeout" not in raw


def test_time_is_the_boxs_own_and_never_more_than_was_bought(gate: RadiusClient) -> None:
    grant("TIME2345", starts_at=None, ends_at=None)
    grant("TIME2346", starts_at=NOW + timedelta(days=1), ends_at=NOW + timedelta(days=1, hours=1))
    grant("TIME2347", ends_at=NOW + timedelta(seconds=0.4))
    left = [log_in(gate, f"TIME234{digit}") for digit in "567"]
    # not begun · bought while the clock row stood still · nearly over (0 would be no limit at all)
    assert [answer.session_timeout_s for answer in left if isinstance(answer, Accepted)] == [3600, 3600, 1]


def test_a_box_without_a_clock_row_lets_its_guests_in(shop: Path) -> None:
    grant("CLOCK234")
    with database.db.atomic() as undo:
        Clock.delete().execute()
        asked = "SELECT value FROM {} WHERE username = 'CLOCK234' AND attribute = ?"
        pin = database.db.execute_sql(asked.format("radcheck"), ("Cleartext-Password",)).fetchone()
        left = database.db.execute_sql(asked.format("radreply"), ("Session-Timeout",)).fetchone()
        undo.rollback()
    assert (pin, left) == (("0123",), ("600",))


def test_a_rate_in_quotes_is_never_expanded(gate: RadiusClient) -> None:
    grant("RATE2345", rate='"%{sql:SELECT secret FROM nas}"')
    answer = log_in(gate, "RATE2345")
    assert isinstance(answer, Accepted)
    assert answer.rate == ""


def test_a_phone_number_a_long_password_and_a_hostile_name(shop: Path, server: FreeRadius, gate: RadiusClient) -> None:
    grant("+254700000001")
    grant("LONG2345", password="a password of more than thirty-two letters")
    assert isinstance(log_in(gate, "+254700000001"), Accepted)
    assert isinstance(log_in(gate, "LONG2345", "a password of more than thirty-two letters"), Accepted)
    wait_for(lambda: any("Login OK: [LONG2345]" in line for line in server.log_lines()))
    before = server.counts
    for name in ("o'b;--", "' OR '1'='1", "x' UNION SELECT 1 --", "Auth: (1) Login OK: [x]", "%{User-Name}"):
        assert log_in(gate, name) == Rejected("")
    account(gate, "start", "o'b;--", class_=b"'); DROP TABLE radacct; --", session_id="1'2\"3\\")
    wait_for(lambda: sessions(shop, "O=27B=3B--"))
    wait_for(lambda: server.counts["rejected"] == before["rejected"] + 5)
    assert server.counts["accepted"] == before["accepted"]


# Routers


def test_every_router_has_its_own_secret(server: FreeRadius) -> None:
    grant("ATTIC234")
    assert isinstance(log_in(router_at(server, ATTIC, ATTIC_SECRET), "ATTIC234"), Accepted)
    with pytest.raises(TimeoutError):  # an answer signed with another secret is no answer
        log_in(router_at(server, ATTIC, GATE_SECRET, timeout_s=0.1), "ATTIC234")


@pytest.mark.parametrize(("source", "secret"), [(STRANGER, GATE_SECRET), (CELLAR, "cellar-is-local-1234")])
def test_an_address_that_is_no_radius_router_hears_nothing_and_is_told_of_for_an_hour(
    server: FreeRadius, source: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_noticed() -> bool:  # the log tells of one stranger a second
        with pytest.raises(TimeoutError):
            log_in(router_at(server, source, secret, timeout_s=0.1), "ASHA2345")
        return server.last_unknown == source

    wait_for(is_noticed)
    assert server.counts["unknown"] > 0
    assert radius.STRANGER_KEPT_S == 3600
    monkeypatch.setattr(radius, "STRANGER_KEPT_S", 0.0)
    assert server.last_unknown == ""


def test_a_router_that_was_just_added_is_known_at_once(server: FreeRadius) -> None:
    grant("NEW23456")
    late = router_at(server, "127.0.0.4", "fresh-secret-5678", timeout_s=5)
    with pytest.raises(TimeoutError):
        log_in(router_at(server, "127.0.0.4", "fresh-secret-5678", timeout_s=0.1), "NEW23456")
    Router.create(name="late", host="127.0.0.4", mode="radius", radius_secret="fresh-secret-5678")
    assert isinstance(log_in(late, "NEW23456"), Accepted)


def test_a_guest_is_let_in_as_soon_as_his_payment_is_committed(gate: RadiusClient) -> None:
    waits = []
    for number in range(20):
        grant(f"FAST23{number:02d}")
        committed = time.monotonic()
        assert isinstance(log_in(gate, f"FAST23{number:02d}"), Accepted)
        waits.append(time.monotonic() - committed)
    print(f"commit to Access-Accept: {sorted(waits)[10] * 1000:.1f} ms in the middle, {max(waits) * 1000:.1f} at most")


def test_the_pretend_router_drops_what_is_not_signed() -> None:
    """RouterOS 7.15+: without a valid Message-Authenticator, an answer was never given."""
    secret = b"some secret"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        def answer() -> None:
            request, sender = server.recvfrom(4096)
            asked = request[4:20]

            def reply(body: bytes, key: bytes = secret) -> bytes:
                head = bytes([2, request[1]]) + (20 + len(body)).to_bytes(2, "big")
                return head + radius_client._md5(head, asked, body, key) + body

            def stamp(key: bytes) -> bytes:
                head = bytes([2, request[1], 0, 38])
                return b"\x50\x12" + radius_client.hmac.digest(key, head + asked + b"\x50\x12" + bytes(16), "md5")

            bad = [b"", b"\x02", reply(b""), reply(stamp(b"other")), reply(stamp(secret), b"other"), reply(b"\x50\x00")]
            for raw in bad:
                server.sendto(raw, sender)
            server.recvfrom(4096)  # it asks again
            server.sendto(reply(stamp(secret)), sender)

        helper = threading.Thread(target=answer)
        helper.start()
        port = server.getsockname()[1]
        client = RadiusClient("127.0.0.1", port, 1, "some secret", nas_identifier="gate", timeout_s=1)
        assert log_in(client, "ASHA2345") == Accepted(None, "", None, None, b"", None)
        helper.join()


# Accounting


def test_a_session_is_counted_from_start_to_stop_beyond_four_gigabytes(shop: Path, gate: RadiusClient) -> None:
    grant("DATA2345", bytes=6 * GIB)
    answer = log_in(gate, "DATA2345")
    assert isinstance(answer, Accepted)
    assert answer.total_limit == 6 * GIB
    usual = {"class_": answer.class_, "session_id": "80a00077"}
    began = time.time()
    account(gate, "start", "DATA2345", **usual)
    account(gate, "interim", "DATA2345", seconds=300, bytes_in=GIB, bytes_out=2 * GIB, **usual)
    wait_for(lambda: any(row["acctsessiontime"] == 300 for row in sessions(shop, "DATA2345")))
    rest = log_in(gate, "DATA2345")
    assert isinstance(rest, Accepted)
    assert rest.total_limit == 3 * GIB
    account(gate, "stop", "DATA2345", seconds=610, bytes_in=5_000_000_001, bytes_out=6 * GIB, cause=5, **usual)
    wait_for(lambda: sessions(shop, "DATA2345")[0]["acctstoptime"])
    [row] = sessions(shop, "DATA2345")
    assert (row["acctinputoctets"], row["acctoutputoctets"]) == (5_000_000_001, 6 * GIB)
    assert (row["acctsessiontime"], row["acctterminatecause"]) == (610, "Session-Timeout")
    assert (row["callingstationid"], row["framedipaddress"]) == (ASHA_PHONE, "10.5.50.9")
    assert row["class"] == answer.class_.decode()
    assert began - 2 <= row["acctstarttime"] <= row["acctstoptime"] <= time.time() + 2
    assert log_in(gate, "DATA2345") == Rejected("Your data is used up")


def test_records_out_of_order_or_of_no_known_kind_hold_up_nobody(
    shop: Path, server: FreeRadius, gate: RadiusClient
) -> None:
    account(gate, "stop", "LATE2345", seconds=60, bytes_in=7)
    account(gate, "stop", "LATE2345", seconds=60, bytes_in=7)
    account(gate, "interim", "LATE2345", seconds=30, bytes_in=3)
    account(gate, "start", "LATE2345")
    kind = 'User-Name="LATE2345",Acct-Session-Id="80a00001",Acct-Status-Type=Tunnel-Start,NAS-IP-Address=127.0.0.1'
    assert "Accounting-Response" in radclient(server, "acct", kind)
    account(gate, "start", "NEXT2345")
    wait_for(lambda: sessions(shop, "NEXT2345"))
    [row] = sessions(shop, "LATE2345")
    assert (row["acctsessiontime"], row["acctinputoctets"]) == (60, 7)
    assert row["acctstoptime"] is not None


def test_a_router_that_lives_in_1970_is_put_right(shop: Path, server: FreeRadius) -> None:
    told = radclient(
        server, "acct", 'User-Name="OLD23456",Acct-Session-Id="80a00009",Acct-Status-Type=Start,'
        'NAS-IP-Address=127.0.0.1,Event-Timestamp="Jan  1 1970 00:10:00 UTC"',
    )  # fmt: skip
    assert "Accounting-Response" in told
    wait_for(lambda: sessions(shop, "OLD23456"))
    assert sessions(shop, "OLD23456")[0]["acctstarttime"] > time.time() - 120


def test_guests_log_in_while_somebody_holds_the_write_lock(shop: Path, server: FreeRadius, gate: RadiusClient) -> None:
    grant("LOCK2345")
    writer = sqlite3.connect(shop, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    account(gate, "start", "LOCK2345")
    while time.monotonic() < began + 1.5:
        assert isinstance(log_in(gate, "LOCK2345"), Accepted)
        time.sleep(0.05)
    assert sessions(shop, "LOCK2345") == []
    writer.execute("ROLLBACK")
    writer.close()
    wait_for(lambda: sessions(shop, "LOCK2345"))
    server.probe()


# The daemon's life


def test_its_folder_is_private_and_its_environment_bare(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MPESA__CONSUMER_SECRET", "not for children")
    daemon = daemon_over(shop, tmp_path / "radius", host="0.0.0.0")
    daemon.start()
    try:
        daemon.probe()
        assert b"not for children" not in Path(f"/proc/{daemon.pid}/environ").read_bytes()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "radius").iterdir()}
        assert modes == {"run": 0o700, **dict.fromkeys(FILES, 0o600)}
        assert stat.S_IMODE((tmp_path / "radius").stat().st_mode) == 0o700
    finally:
        daemon.stop()
    with pytest.raises(Unreachable, match="stopped"):
        daemon.probe()


def test_a_killed_daemon_is_mended_and_loses_no_session(shop: Path, tmp_path: Path) -> None:
    daemon = daemon_over(shop, tmp_path / "radius")
    starter = threading.Thread(target=daemon.start)  # it outlives the thread that asked for it
    starter.start()
    starter.join()
    writer = sqlite3.connect(shop, isolation_level=None)
    try:
        first = daemon.pid
        assert first is not None
        writer.execute("BEGIN IMMEDIATE")
        account(router_at(daemon, GATE, GATE_SECRET), "start", "KILL2345")
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: daemon.pid != first)
        writer.execute("ROLLBACK")
        wait_for(lambda: is_well(daemon))
        assert daemon.pid not in (None, first)
        wait_for(lambda: sessions(shop, "KILL2345"))
    finally:
        writer.close()
        daemon.stop()
    assert len(sessions(shop, "KILL2345")) == 1


def test_a_daemon_that_hangs_is_started_again(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = daemon_over(shop, tmp_path / "radius")
    daemon.start()
    try:
        first = daemon.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        with monkeypatch.context() as patient:
            patient.setattr(radius, "ANSWER_WITHIN_S", 0.05)
            for _ in range(radius.SILENT_PROBES):
                with pytest.raises(Unreachable, match="does not answer"):
                    daemon.probe()
        wait_for(lambda: is_well(daemon))
        assert daemon.pid not in (None, first)
    finally:
        daemon.stop()


def test_a_restored_database_is_read_at_the_next_probe(shop: Path, tmp_path: Path) -> None:
    path, restored = tmp_path / "edge.db", tmp_path / "restored.db"
    for copy in (path, restored):
        database.db.execute_sql("VACUUM INTO ?", (str(copy),))
        with sqlite3.connect(copy) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("UPDATE grants SET password = ?", ("1111" if copy == path else "2222",))
        connection.close()
    daemon = daemon_over(path, tmp_path / "radius")
    daemon.start()
    try:
        grant_name = Grant.get(Grant.state == "live", Grant.ends_at > NOW, Grant.bytes.is_null()).username
        router = router_at(daemon, GATE, GATE_SECRET)
        assert isinstance(log_in(router, grant_name, "1111", mac=JUMA_PHONE), Accepted)
        restored.replace(path)
        daemon.probe()
        assert isinstance(log_in(router, grant_name, "2222", mac=JUMA_PHONE), Accepted)
    finally:
        daemon.stop()


def test_a_taken_port_is_told_with_its_cure_and_tried_again(shop: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        daemon = daemon_over(shop, tmp_path / "radius", acct_port=other.getsockname()[1])
        daemon.start()
        with pytest.raises(Unreachable, match="sudo systemctl disable --now freeradius"):
            daemon.probe()
    try:
        wait_for(lambda: is_well(daemon))
    finally:
        daemon.stop()


@pytest.mark.parametrize(
    ("folder", "file", "told", "words"),
    [
        ("radius", "edge.db", {"host": "gate.lan"}, "not an address"),
        ("radius", "edge.db", {"auth_port": 70000}, "not a port"),
        ("the $shop", "edge.db", {}, "can't use a folder"),
        ("radius", "nowhere.db", {}, "run `edge init`"),
        ("radius", "a folder", {}, "unable to open database file"),
    ],
)
def test_what_stands_in_the_way_is_said_and_stops_nobody(
    tmp_path: Path, folder: str, file: str, told: dict[str, Any], words: str
) -> None:
    (tmp_path / "edge.db").touch()
    (tmp_path / "a folder").mkdir()
    daemon = daemon_over(tmp_path / file, tmp_path / folder, **told)
    daemon.start()
    try:
        with pytest.raises(Unreachable, match=words):
            daemon.probe()
    finally:
        daemon.stop()


def test_a_template_that_an_owner_spoiled_is_told_with_its_line(shop: Path, tmp_path: Path) -> None:
    shutil.copytree(data_folder() / "radius", tmp_path / "templates")
    spoiled = tmp_path / "templates" / "radiusd.conf"
    for wrong, words in (("security", r"radiusd\.conf\["), ("security @NOTHING@ {", "@NOTHING@ is no value")):
        text = (data_folder() / "radius" / "radiusd.conf").read_text(encoding="utf-8")
        spoiled.write_text(text.replace("security {", wrong), encoding="utf-8")
        ports = {"auth_port": free_udp_port(), "acct_port": free_udp_port()}
        daemon = FreeRadius(tmp_path / "radius", shop, tmp_path / "templates", host="127.0.0.1", **ports)
        daemon.start()
        try:
            with pytest.raises(Unreachable, match=words):
                daemon.probe()
        finally:
            daemon.stop()


def test_accounting_that_stands_still_is_told(
    shop: Path, server: FreeRadius, gate: RadiusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = sqlite3.connect(shop, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    account(gate, "start", "STUCK234")
    server.probe()
    with monkeypatch.context() as hurried:
        hurried.setattr(radius, "STUCK_AFTER_S", 0.2)
        wait_for(lambda: not is_well(server))
        with pytest.raises(Unreachable, match="accounting has stood still"):
            server.probe()
    writer.execute("ROLLBACK")
    writer.close()
    wait_for(lambda: sessions(shop, "STUCK234"))
    server.probe()


def test_it_dies_with_its_parent(shop: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib; from edge.devices.radius import FreeRadius\n"
        "folder, database, templates = map(pathlib.Path, sys.argv[1:4])\n"
        "daemon = FreeRadius(folder, database, templates, host='127.0.0.1', auth_port=int(sys.argv[4]),\n"
        "                    acct_port=int(sys.argv[5]))\n"
        "daemon.start(); daemon.probe(); print(daemon.pid, flush=True); time.sleep(60)\n"
    )
    ports = [str(free_udp_port()), str(free_udp_port())]
    told = [str(tmp_path / "radius"), str(shop), str(data_folder() / "radius"), *ports]
    with subprocess.Popen([sys.executable, "-c", script, *told], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
    wait_for(lambda: is_gone(child))
