"""Routers read over the wire: who is online and how fast, what it carries; kicks and strangers, by the worker."""

import logging
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from edge import jobs
from edge.database import db
from edge.devices import router_data
from edge.devices.router import Router
from edge.domain import accounting, breakers, sessions, strangers
from edge.errors import Refused, Unreachable
from edge.models import Breaker, Event, Grant, Job
from edge.models import Router as RouterRow
from edge.network_models import Device, RouterSample, Session, Stranger
from edge.settings import Settings
from edge.simulators.router import RouterSimulator
from edge.values.hotspot import KnownUser
from edge.worker import Workers, work_once
from tests.conftest import Box
from tests.office import Office

PHONE, TABLET, TV = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02", "AC:BB:CC:00:00:03"
SECRET = "hunter2-of-the-router"


@pytest.fixture
def gate() -> Iterator[RouterSimulator]:
    with RouterSimulator(password=SECRET) as simulator:
        yield simulator


@pytest.fixture
def device(gate: RouterSimulator) -> Iterator[Router]:
    opened = Router("127.0.0.1", gate.port, "edge", SECRET, timeout_s=20.0)
    yield opened
    opened.close()


@pytest.fixture
def row(box: Box, gate: RouterSimulator) -> RouterRow:
    return row_of(gate)


def row_of(gate: RouterSimulator, name: str = "gate", **more: object) -> RouterRow:
    told = {"host": "127.0.0.1", "port": gate.port, "username": "edge", "password": SECRET}
    return RouterRow.create(name=name, **{**told, **more})


def grant_of(box: Box, code: str = "ASHA2345", **more: object) -> Grant:
    return Grant.create(plan=1, username=code, password="0712", seconds=3600, created_at=box.now, **more)


def online(gate: RouterSimulator, mac: str = PHONE, name: str = "ASHA2345", password: str = "0712") -> None:
    if not gate.hotspot.users.named(name):
        gate.add_user(name, password)
    gate.add_host(mac, "10.5.50." + str(int(mac[-2:], 16) + 1))
    assert gate.log_in(name, password, mac) == ""


def look(box: Box, row: RouterRow) -> None:
    """The worker reads this router, as it does each minute."""
    now = datetime.now(UTC)
    jobs.promise("router.data", "router-data", now, args={"router_id": row.id}, lane=f"router:{row.id}")
    work_once(Settings(state=box.folder), ["router-data"])
    assert not Job.select().where(Job.name == "router.data", Job.state != "done").exists()


def work(box: Box) -> None:
    work_once(Settings(state=box.folder), ["provisioning"])


def events(name: str) -> list[dict[str, object]]:
    return [event.data for event in Event.select().where(Event.name == name).order_by(Event.id)]


def only(router: RouterRow) -> Session:
    (found,) = Session.select().where(Session.router == router)
    return found


# Reading.


def test_one_look_tells_who_is_online_and_how_the_router_does(gate: RouterSimulator, device: Router) -> None:
    online(gate)
    gate.add_host(TABLET, "10.5.50.9")
    gate.traffic(PHONE, 100_000, 900_000)
    reading = router_data.read(device)
    (session,) = reading.sessions
    assert (session.user, session.mac, session.ip) == ("ASHA2345", PHONE, "10.5.50.2")
    assert (session.bytes_in, session.bytes_out, session.by_radius) == (100_000, 900_000, False)
    assert reading.hosts == 2 and reading.cpu_load is not None and reading.free_memory
    assert reading.bps_in is not None and reading.bps_in > 0 and reading.bps_out is not None


def test_each_menu_is_printed_once_and_nothing_is_written(gate: RouterSimulator, device: Router) -> None:
    online(gate)
    router_data.read(device)
    gate.commands.clear()
    router_data.read(device)
    assert len(gate.commands) == len(set(gate.commands))
    assert all(path.endswith(("/print", "/monitor-traffic")) for path in gate.commands)


def test_the_speed_is_that_since_the_last_look_by_the_routers_own_seconds(
    gate: RouterSimulator, device: Router
) -> None:
    online(gate)
    gate.jump(600)
    gate.traffic(PHONE, 1_000_000, 50_000_000)
    assert router_data.read(device).sessions[0].bps_out == 0.0  # not seen before, and no child of this minute
    gate.traffic(PHONE, 750_000, 7_500_000)
    gate.jump(60)
    (session,) = router_data.read(device).sessions
    assert session.bps_in == pytest.approx(100_000, rel=0.15)
    assert session.bps_out == pytest.approx(1_000_000, rel=0.15)


def test_a_session_that_began_anew_since_has_no_negative_speed(gate: RouterSimulator, device: Router) -> None:
    online(gate)
    gate.traffic(PHONE, 5_000, 9_000_000)
    gate.jump(30)
    router_data.read(device)
    gate.log_out(PHONE)
    online(gate)
    gate.traffic(PHONE, 0, 1_000_000)
    gate.jump(10)
    (session,) = router_data.read(device).sessions
    assert session.bps_out == pytest.approx(800_000, rel=0.3)


@pytest.mark.parametrize("version", ["6.49.10 (long-term)", "7.9 (stable)", "7.22.1 (stable)"])
def test_every_release_is_read(version: str) -> None:
    with RouterSimulator(password=SECRET, version=version) as gate:
        online(gate)
        gate.jump(3700)
        device = Router("127.0.0.1", gate.port, "edge", SECRET, timeout_s=20.0)
        reading = router_data.read(device)
        device.close()
    assert reading.sessions[0].uptime_s == pytest.approx(3700, abs=30)
    assert reading.uptime_s >= reading.sessions[0].uptime_s and reading.bps_in is not None


def test_a_router_that_may_tell_nothing_says_so(gate: RouterSimulator, device: Router) -> None:
    gate.deny = True
    with pytest.raises(Refused, match="read, write and api"):
        router_data.read(device)


# What becomes of it.


def test_a_session_is_kept_from_its_login_to_its_end(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    grant = grant_of(box)
    online(gate)
    gate.jump(20)
    look(box, row)
    begun = only(row)
    assert (begun.grant_id, begun.source, begun.ended_at) == (grant.id, "router", None)
    gate.traffic(PHONE, 1_000, 2_000)
    gate.jump(60)
    look(box, row)
    seen = only(row)
    assert seen.id == begun.id and seen.seconds >= 80 and (seen.bytes_in, seen.bytes_out) == (1_000, 2_000)
    gate.log_out(PHONE)
    look(box, row)
    ended = only(row)
    assert ended.ended_at == seen.seen_at and ended.bps_out == 0  # at its last sight: nobody saw it later
    assert ended.bytes_out == 2_000


def test_who_logs_in_again_has_a_second_session_and_is_not_counted_twice(
    box: Box, gate: RouterSimulator, row: RouterRow
) -> None:
    online(gate)
    gate.traffic(PHONE, 0, 500)
    gate.jump(10)
    look(box, row)
    gate.log_out(PHONE)
    gate.jump(300)  # longer than the first stay: uptime alone would not tell them apart
    online(gate)
    gate.traffic(PHONE, 0, 900)
    gate.jump(200)
    look(box, row)
    first, second = Session.select().order_by(Session.id)
    assert (first.bytes_out, second.bytes_out) == (500, 900)
    assert first.ended_at is not None and second.ended_at is None


def test_a_clock_that_leaps_cuts_no_session_in_two(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    online(gate)
    look(box, row)
    Session.update(seen_at=datetime.now(UTC) - timedelta(days=30), started_at=datetime.now(UTC)).execute()
    look(box, row)
    assert only(row).ended_at is None


def test_a_reboot_ends_what_ran_and_begins_what_comes(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    online(gate)
    gate.jump(500)
    look(box, row)
    gate.reboot()
    look(box, row)
    assert only(row).ended_at is not None
    online(gate)
    gate.jump(600)
    look(box, row)
    assert [session.ended_at is None for session in Session.select().order_by(Session.id)] == [False, True]


def test_a_tv_that_logs_in_by_its_mac_belongs_to_the_grant_it_was_put_on(
    box: Box, gate: RouterSimulator, row: RouterRow
) -> None:
    grant = grant_of(box)
    Device.create(grant=grant, mac=TV, created_at=box.now)
    online(gate, TV, TV, "")
    online(gate, PHONE, "somebody-elses", "x")
    look(box, row)
    assert {session.mac: session.grant_id for session in Session.select()} == {TV: grant.id, PHONE: None}


def test_a_minute_leaves_one_sample(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    online(gate)
    look(box, row)
    look(box, row)
    (sample,) = RouterSample.select()
    assert sample.router_id == row.id and sample.online == 1 and sample.hosts == 1
    assert sample.cpu_load is not None and sample.bps_in is not None


def test_sessions_by_radius_are_the_accountings_and_get_no_twin(box: Box) -> None:
    with RouterSimulator(password=SECRET, radius=Office()) as gate:
        row = row_of(gate, mode="radius")
        told = {"router": row.id, "username": "ASHA2345", "mac": PHONE, "started_at": box.now, "seen_at": box.now}
        known = Session.create(key="unique-1", source="radius", seconds=60, **told)
        for mac, typed in ((PHONE, "asha2345"), (TABLET, "juma2345")):  # of the tablet the accounting knows nothing yet
            gate.add_host(mac, "10.5.50." + mac[-1])
            assert gate.log_in(typed, "0712", mac) == ""
        online(gate, TV, "by-hand")  # and this one is in the router's own table
        gate.jump(90)
        gate.traffic(PHONE, 0, 9_000)
        look(box, row)
    by_mac = {session.mac: session for session in Session.select()}
    assert set(by_mac) == {PHONE, TV} and by_mac[TV].source == "router"
    seen = by_mac[PHONE]
    assert seen.id == known.id and seen.seen_at > box.now and seen.bytes_out == 9_000
    assert seen.bps_out > 0 and seen.ended_at is None


def test_a_session_that_the_accounting_still_calls_open_is_left_to_it_without_speed(
    box: Box, gate: RouterSimulator
) -> None:
    row = row_of(gate, mode="radius")
    told = {"router": row.id, "username": "ASHA2345", "mac": PHONE, "started_at": box.now, "seen_at": box.now}
    Session.create(key="unique-1", source="radius", bps_out=5.0, **told)
    look(box, row)
    assert only(row).ended_at is None and only(row).bps_out == 0


def test_thousands_of_sessions_are_read_and_written_in_parts(box: Box, row: RouterRow) -> None:
    found = [
        router_data.LiveSession(f"G{n:07d}", f"02:00:00:00:{n // 256:02X}:{n % 256:02X}", "10.5.50.9", 60, n, n, None)
        for n in range(5_000)
    ]
    began = time.monotonic()
    sessions.record_active(row.id, found, 1_000, box.now)
    later = [router_data.LiveSession(s.user, s.mac, s.ip, 120, s.bytes_in, s.bytes_out, None) for s in found]
    sessions.record_active(row.id, later, 1_060, box.after(minutes=1))
    took_s = time.monotonic() - began
    assert Session.select().where(Session.ended_at.is_null(), Session.seconds == 120).count() == 5_000
    assert took_s < 60, took_s


# Routers that do not answer.


@contextmanager
def mute_router() -> Iterator[int]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken: list[socket.socket] = []

        def take() -> None:
            try:
                while True:
                    taken.append(listening.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


def test_a_dead_router_costs_one_try_and_is_not_asked_until_it_was_found_back(
    box: Box, gate: RouterSimulator, row: RouterRow
) -> None:
    gate.unplugged = True
    look(box, row)
    assert Breaker.get_by_id(f"router:{row.id}").failures == 1
    gate.unplugged = False
    gate.commands.clear()
    look(box, row)
    assert gate.commands == [] and RouterSample.select().count() == 0
    breakers.note_success(f"router:{row.id}", datetime.now(UTC))  # as its check does
    look(box, row)
    assert RouterSample.select().count() == 1


def test_a_mute_router_delays_no_other(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    workers = Workers(Settings(state=box.folder), ["router-data"])
    workers.start()
    try:
        with mute_router() as port:
            mute = row_of(gate, "attic", port=port)
            now = datetime.now(UTC)
            for router in (mute, row):
                told = {"router_id": router.id}
                jobs.promise("router.data", "router-data", now, args=told, lane=f"router:{router.id}")
            until = time.monotonic() + 60
            # It waits for its answer, and nobody waits for it.
            while not (
                RouterSample.select().where(RouterSample.router == row).exists()
                and Job.select().where(Job.lane == f"router:{mute.id}", Job.state == "running").exists()
            ):
                assert time.monotonic() < until
                time.sleep(0.02)
    finally:
        workers.stop()


def test_a_router_that_refuses_us_is_no_failed_job_each_minute(
    box: Box, gate: RouterSimulator, row: RouterRow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.router")
    row.put(password="wrong")
    look(box, row)
    assert RouterSample.select().count() == 0 and "tells nothing of itself" in caplog.text
    assert "wrong" not in caplog.text


# Kicked.


def test_a_kicked_device_loses_cookie_and_session_and_the_event_says_who_wished_it(
    box: Box, gate: RouterSimulator, row: RouterRow
) -> None:
    grant_of(box)
    online(gate)
    look(box, row)
    assert gate.cookies() and gate.active()
    session = only(row)
    assert sessions.kick(session, datetime.now(UTC), "Njeri")
    assert not sessions.kick(session, datetime.now(UTC), "Njeri")  # promised already
    gate.commands.clear()
    work(box)
    assert gate.active() == [] and gate.cookies() == []
    removed = [path for path in gate.commands if path.endswith("remove")]
    assert removed == ["/ip/hotspot/cookie/remove", "/ip/hotspot/active/remove"]
    assert gate.commands[-1] == "/ip/hotspot/active/print"  # and it was looked whether he stays away
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.active() == []  # no cookie brings him back
    assert only(row).ended_at is not None
    told = {"who": "Njeri", "guest": "AS••••••", "device": PHONE, "router": "gate"}
    assert events("session.kick_asked") == [told] and events("session.kicked") == [told]


def test_only_the_device_that_was_meant_is_kicked(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    gate.hotspot.profiles.change("*0", {"shared-users": "2"})
    online(gate)
    online(gate, TABLET)
    look(box, row)
    sessions.kick(Session.get(Session.mac == PHONE), datetime.now(UTC), "Njeri")
    work(box)
    assert [shown["mac-address"] for shown in gate.active()] == [TABLET]


def test_a_kick_that_cannot_be_done_is_told(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    online(gate)
    look(box, row)
    gate.deny = True
    sessions.kick(only(row), datetime.now(UTC), "Njeri")
    work(box)
    (told,) = events("session.kick_failed")
    assert told["who"] == "Njeri" and "may not do this" in str(told["words"])
    assert only(row).ended_at is None


def test_a_kick_that_was_wished_for_hours_ago_is_not_done(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    online(gate)
    look(box, row)
    session = only(row)
    assert sessions.kick(session, datetime.now(UTC) - timedelta(hours=3), "Njeri")
    work(box)
    assert len(gate.active()) == 1 and only(row).ended_at is None
    assert "180 minutes ago" in str(events("session.kick_failed")[0]["words"])
    assert sessions.kick(session, datetime.now(UTC), "Njeri")
    work(box)
    assert gate.active() == []


def test_a_kick_that_still_waits_for_the_router_gives_way_to_a_new_one(
    box: Box, gate: RouterSimulator, row: RouterRow
) -> None:
    online(gate)
    look(box, row)
    assert sessions.kick(only(row), datetime.now(UTC) - timedelta(minutes=3), "Njeri")
    assert sessions.kick(only(row), datetime.now(UTC), "Njeri")
    assert [job.state for job in Job.select().where(Job.name == "session.kick").order_by(Job.id)] == [
        "cancelled", "waiting",
    ]  # fmt: skip
    work(box)
    assert gate.active() == []


def test_a_router_without_an_api_user_is_told_by_radius(
    box: Box, gate: RouterSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(gate, mode="radius", username="", radius_secret="at-least-8")
    grant = grant_of(box)
    told = {"router": row.id, "username": "ASHA2345", "mac": PHONE, "started_at": box.now, "seen_at": box.now}
    session = Session.create(key="unique-1", source="radius", grant=grant, **told)
    sessions.kick(session, datetime.now(UTC), "Njeri")
    work(box)
    (told_why,) = events("session.kick_failed")
    assert "RADIUS knows no such session" in str(told_why["words"])
    assert accounting.open_sessions(grant, row) == []


@pytest.mark.skipif(
    shutil.which("radclient") is None, reason="radclient is missing: make test installs it where it may"
)
def test_a_radius_disconnect_ends_a_session_where_there_is_no_api_user(box: Box) -> None:
    with RouterSimulator(password=SECRET, radius=Office()) as gate:
        device = Router("127.0.0.1", gate.port, "edge", SECRET, timeout_s=20.0)
        entry = {"service": "hotspot", "address": "127.0.0.1", "secret": "at-least-8"}
        device.conversation.ask("/radius", "add", entry)
        device.conversation.ask("/radius/incoming", "set", {"accept": "yes"})
        device.close()
        row = row_of(gate, mode="radius", username="", radius_secret="at-least-8", facts={"coa_port": gate.coa_port})
        grant = grant_of(box)
        gate.add_host(PHONE, "10.5.50.2")
        assert gate.log_in("asha2345", "0712", PHONE) == ""
        running = gate.hotspot.session_of(PHONE)
        assert running is not None
        now_s = box.now.timestamp()
        db.execute_sql(
            "INSERT INTO radacct (acctuniqueid, acctsessionid, username, login, nasipaddress, callingstationid, "
            "framedipaddress, acctstarttime, acctupdatetime) VALUES ('u', ?, 'ASHA2345', 'asha2345', '127.0.0.1', ?, "
            "'10.5.50.2', ?, ?)",
            (running.session_id, PHONE, now_s, now_s),
        )
        accounting.fold(box.now)
        session = only(row)
        assert (session.source, session.grant_id) == ("radius", grant.id)
        sessions.kick(session, datetime.now(UTC), "Njeri")
        work(box)
        assert gate.active() == []
    assert only(row).ended_at is not None and events("session.kicked")[0]["who"] == "Njeri"


# Strangers.


def strange(box: Box, row: RouterRow, name: str = "old-voucher", comment: str = "vc-811") -> Stranger:
    user = KnownUser(name, comment, "default", False, 0, 0)
    strangers.record(row.id, [user], box.now)
    return Stranger.get(Stranger.name == name)


def test_a_stranger_goes_only_on_the_owners_word(box: Box, gate: RouterSimulator, row: RouterRow) -> None:
    online(gate, PHONE, "old-voucher", "x")
    gate.hotspot.users.change(gate.hotspot.users.find("old-voucher"), {"comment": "vc-811"})
    stranger = strange(box, row)
    work(box)
    assert gate.users() and gate.active()
    strangers.remove(stranger, datetime.now(UTC), "Njeri")
    work(box)
    assert gate.users() == [] and gate.active() == [] and gate.cookies() == []
    assert Stranger.get_by_id(stranger.id).state == "gone"
    assert events("stranger.unwanted") == [{"who": "Njeri", "user": "ol•••••••••", "router": "gate"}]
    assert events("stranger.removed") == [{"user": "ol•••••••••", "router": "gate"}]


def test_a_user_who_was_changed_since_he_was_seen_is_not_removed(
    box: Box, gate: RouterSimulator, row: RouterRow
) -> None:
    gate.add_user("old-voucher", "x", comment="edge:5")
    stranger = strange(box, row)
    strangers.remove(stranger, datetime.now(UTC), "Njeri")
    work(box)
    assert len(gate.users()) == 1
    assert Stranger.get_by_id(stranger.id).state == "found"
    assert "not the one that was found" in str(events("stranger.stayed")[0]["words"])


@pytest.mark.parametrize("name", ["0712345678", "+254712345678", "old-voucher-of-2024-by-hand"])
def test_no_event_tells_a_strangers_whole_name(box: Box, gate: RouterSimulator, row: RouterRow, name: str) -> None:
    gate.add_user(name, "x", comment="edge:5")
    stranger = strange(box, row, name)
    strangers.remove(stranger, datetime.now(UTC), "Njeri")
    work(box)
    strangers.leave(Stranger.get_by_id(stranger.id), datetime.now(UTC), "Njeri")
    strangers.record_removed(stranger.id, datetime.now(UTC))
    told = [str(event.data) for event in Event.select().where(Event.name.startswith("stranger."))]
    assert len(told) == 4  # unwanted, stayed, left, removed
    job = Job.get(Job.name == "stranger.remove")
    assert not any(name in words or "712345678" in words for words in [*told, str(job.errors)])


def test_whom_the_owner_leaves_is_not_asked_about_again(box: Box, row: RouterRow) -> None:
    stranger = strange(box, row)
    strangers.leave(stranger, box.now, "Njeri")
    later = box.after(hours=2)
    strangers.record(row.id, [KnownUser("old-voucher", "vc-811", "default", False, 0, 0)], later)
    assert Stranger.get_by_id(stranger.id).state == "left" and strangers.count() == {}
    assert Stranger.get_by_id(stranger.id).seen_at == later


def test_a_router_gone_while_a_stranger_is_removed_is_tried_again(
    box: Box, gate: RouterSimulator, row: RouterRow
) -> None:
    gate.add_user("old-voucher", "x", comment="vc-811")
    stranger = strange(box, row)
    gate.unplugged = True
    strangers.remove(stranger, datetime.now(UTC), "Njeri")
    work(box)
    assert Job.get(Job.name == "stranger.remove").state == "scheduled"
    assert Stranger.get_by_id(stranger.id).state == "unwanted"


def test_a_silent_router_is_unreachable(gate: RouterSimulator) -> None:
    gate.silent = True
    device = Router("127.0.0.1", gate.port, "edge", SECRET, timeout_s=0.3)
    with pytest.raises(Unreachable):
        router_data.read(device)
    device.close()
