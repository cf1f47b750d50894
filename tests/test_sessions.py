"""Sessions as rows: found, listed in pages, added up by day, pruned, and shown on the command line."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from edge import schema
from edge.__main__ import edge
from edge.database import close_database, db, open_database
from edge.domain import checks, clock, samples, sessions
from edge.errors import BadInput
from edge.models import Event, Grant, Job, Router
from edge.network_models import Flip, RouterSample, Session
from edge.settings import Settings
from edge.values.mac import as_mac, is_private
from edge.values.router_data import LiveSession, RouterReading
from edge.worker import work_once
from tests.conftest import Box

NAIROBI = ZoneInfo("Africa/Nairobi")
PHONE, TABLET = "DA:BB:CC:00:00:01", "AC:BB:CC:00:00:02"


def told(mac: str = PHONE, user: str = "ASHA2345", seconds: int = 60, **more: Any) -> LiveSession:
    values = {"user": user, "mac": mac, "ip": "10.5.50.2", "uptime_s": seconds, "bytes_in": 0, "bytes_out": 0}
    return LiveSession(**{**values, "session_time_left_s": None, **more})


def stay(box: Box, router: Router | None = None, **more: Any) -> Session:
    number = Session.select().count()
    values = {"key": f"k{number}", "source": "router", "router": router, "username": "ASHA2345", "mac": PHONE}
    return Session.create(**{**values, "started_at": box.now, "seen_at": box.now, **more})


# What routers tell.


def test_a_restart_of_the_box_tells_a_session_that_went_on_from_one_that_began(box: Box, gate: Router) -> None:
    sessions.record_active(gate.id, [told(seconds=100), told(TABLET, "JUMA2345", 100)], 1_000, box.now)
    # Two hours away: the one is still there, the other came back an hour ago. Both uptimes went up.
    later = box.after(hours=2)
    sessions.record_active(gate.id, [told(seconds=7_300), told(TABLET, "JUMA2345", 3_600)], 8_200, later)
    by_mac = {mac: list(Session.select().where(Session.mac == mac).order_by(Session.id)) for mac in (PHONE, TABLET)}
    assert len(by_mac[PHONE]) == 1 and len(by_mac[TABLET]) == 2
    assert by_mac[TABLET][0].ended_at is not None and by_mac[TABLET][1].started_at == later - timedelta(hours=1)


@pytest.mark.parametrize(
    ("seconds", "out", "same"),
    [(120, 10, True), (59, 10, True), (30, 10, False), (120, 9, False)],
    ids=["further on", "a second of jitter", "uptime went down", "bytes went down"],
)
def test_no_counter_of_one_session_goes_down(box: Box, gate: Router, seconds: int, out: int, same: bool) -> None:
    sessions.record_active(gate.id, [told(seconds=60, bytes_out=10)], 0, box.now)
    sessions.record_active(gate.id, [told(seconds=seconds, bytes_out=out)], 0, box.after(minutes=1))
    assert Session.select().count() == (1 if same else 2)


def test_what_one_router_tells_ends_nothing_at_another(box: Box, gate: Router, attic: Router) -> None:
    sessions.record_active(gate.id, [told()], 1_000, box.now)
    sessions.record_active(attic.id, [], 1_000, box.now)
    assert Session.get(Session.router == gate).ended_at is None


def test_names_with_colons_quotes_and_no_end_are_kept_as_they_came(box: Box, gate: Router) -> None:
    for name in ("a:b:c'; DROP TABLE sessions;--", "\u202eevil", "x" * 300):
        for seconds in (60, 120):
            sessions.record_active(gate.id, [told(user=name, seconds=seconds)], 1_000 + seconds, box.now)
        assert Session.select().where(Session.username == name).count() == 1


def test_a_router_that_was_removed_meanwhile_is_nothing_to_write_about(box: Box) -> None:
    sessions.record_active(99, [told()], 1_000, box.now)
    samples.record(99, RouterReading(1), box.now)
    assert Session.select().count() == RouterSample.select().count() == 0


# To look at.


def test_who_is_online_is_found_by_phone_code_and_device(box: Box, gate: Router) -> None:
    grant = box.grant(box.paid())
    mine = stay(box, gate, username=grant.username, grant=grant)
    stay(box, gate, username="OTHER234", mac=TABLET)
    for typed in ("0712 345 678", grant.username, grant.username.lower(), PHONE, "da-bb-cc-00-00-01"):
        (found,) = sessions.live(box.now, typed).rows
        assert found.session.id == mine.id and found.plan == "1 hour" and found.router == "gate"
    assert sessions.live(box.now, "0733 000 000").rows == []
    assert [row.left_s for row in sessions.live(box.now).rows] == [None, 3600]


@pytest.mark.parametrize("typed", ["ASHA2345", "asha-2345", "Asha 2345"])
def test_a_code_that_was_typed_in_small_letters_at_the_router_is_found(box: Box, gate: Router, typed: str) -> None:
    grant = Grant.create(plan=1, username="ASHA2345", password="1", seconds=3600, created_at=box.now)
    mine = stay(box, gate, username="asha2345", grant=grant)
    stay(box, gate, username="JUMA2345", mac=TABLET)
    assert [row.session.id for row in sessions.live(box.now, typed).rows] == [mine.id]
    assert sessions.grant_of(typed) == grant


def test_whoever_was_online_is_found_by_phone_code_and_device(box: Box, gate: Router) -> None:
    grant = box.grant(box.paid())
    stay(box, gate, username=grant.username, grant=grant, ended_at=box.now)
    last = stay(box, gate, username=grant.username.lower(), grant=grant, ended_at=box.now)
    stay(box, gate, username="OTHER234", mac=TABLET, ended_at=box.now)
    for typed in ("0712 345 678", grant.username, grant.username.lower(), PHONE, "da-bb-cc-00-00-01"):
        assert sessions.last_of(typed) == last
    assert sessions.last_of("0733 000 000") is None and sessions.last_of("NOBODY22") is None


@pytest.mark.parametrize("typed", ["0712 345 678", "ASHA2345", PHONE])
def test_the_past_is_searched_by_indexes(box: Box, gate: Router, typed: str) -> None:
    grant = Grant.create(
        plan=1, username="ASHA2345", password="1", seconds=3600, created_at=box.now, msisdn="254712345678"
    )
    stay(box, gate, grant=grant, ended_at=box.now)
    asked: list[str] = []
    db.connection().set_trace_callback(asked.append)
    assert sessions.last_of(typed)
    db.connection().set_trace_callback(None)
    found = [words for words in asked if 'FROM "sessions"' in words]
    assert found
    for words in found:
        plan = str(db.execute_sql("EXPLAIN QUERY PLAN " + words).fetchall())
        assert "SCAN" not in plan and ("sessions_of" in plan or "sessions_mac" in plan), plan


def test_a_page_ends_where_the_next_begins(box: Box, gate: Router) -> None:
    for number in range(7):
        stay(box, gate, mac=f"02:00:00:00:00:{number:02X}")
    seen, before = [], None
    while True:
        page = sessions.live(box.now, before=before, limit=3)
        seen += [row.session.id for row in page.rows]
        before = page.further
        if before is None:
            break
    assert seen == sorted(seen, reverse=True) and len(seen) == 7


def test_who_was_not_told_of_for_a_while_is_shown_as_such_and_not_counted(box: Box, gate: Router) -> None:
    stay(box, gate)
    assert sessions.count_live(box.now) == {gate.id: 1}
    later = box.after(minutes=16)
    assert sessions.count_live(later) == {}
    assert [row.is_heard for row in sessions.live(later).rows] == [False]


def test_a_guests_days_are_those_of_the_shops_calendar(box: Box, gate: Router) -> None:
    grant = box.grant(box.paid())
    other = box.grant(box.paid(box.juma))
    midnight = datetime(2026, 3, 1, 21, 0, tzinfo=box.now.tzinfo)  # in Nairobi
    for started_at in (midnight - timedelta(seconds=1), midnight, midnight + timedelta(hours=1)):
        stay(box, gate, grant=grant, started_at=started_at, seconds=60, bytes_in=1, bytes_out=10)
    stay(box, gate, grant=other, started_at=midnight)
    days = sessions.days_of_guest(grant, NAIROBI, box.now)
    assert [(day.day.day, day.sessions, day.seconds, day.bytes_in, day.bytes_out) for day in days] == [
        (2, 2, 120, 2, 20), (1, 1, 60, 1, 10),
    ]  # fmt: skip
    assert len(sessions.of_guest(grant)) == 3


@pytest.mark.parametrize(
    ("mac", "private"),
    [("DA:A1:19:00:00:01", True), ("02:00:00:00:00:01", True), ("AC:BB:CC:00:00:01", False), ("", False), ("?", False)],
)
def test_made_up_addresses_are_known_by_their_second_letter(mac: str, private: bool) -> None:
    assert is_private(mac) is private


def test_codes_are_no_addresses() -> None:
    assert as_mac("ABCDEFGH") == "" and as_mac("aabb.ccdd.eeff") == "AA:BB:CC:DD:EE:FF"


def test_a_phone_number_for_a_name_is_no_address_though_it_has_twelve_digits(box: Box, gate: Router) -> None:
    session = stay(box, gate, username="254712345678")
    assert sessions.kick(session, box.now, "Njeri")
    assert [event["guest"] for event in box.events("session.kick_asked")] == ["25••••••••••"]


def test_an_ended_session_is_not_kicked(box: Box, gate: Router) -> None:
    with pytest.raises(BadInput, match="ended already"):
        sessions.kick(stay(box, gate, ended_at=box.now), box.now, "Njeri")
    with pytest.raises(BadInput):
        sessions.kick(stay(box), box.now, "Njeri")  # its router was removed


# How routers did.


def test_a_day_is_told_in_quarters_of_an_hour(box: Box, gate: Router) -> None:
    for minutes, online, bps in ((0, 3, 1e6), (1, 5, 3e6), (60, 2, 8e6)):
        reading = RouterReading(1, [told()] * online, 10, 1, 9, bps, bps / 10)
        samples.record(gate.id, reading, box.now - timedelta(minutes=minutes))
    slices = samples.day(gate.id, box.now)
    assert len(slices) == 96 and slices[-1].start <= box.now < slices[-1].start + samples.STEP
    told_of = [(slice.online, slice.bps_in, slice.looks) for slice in slices if slice.looks]
    assert sum(looks for _, _, looks in told_of) == 3 and max(online for online, _, _ in told_of) == 5
    assert slices[-5].online == 2 and slices[-5].bps_in == 8e6


def test_two_looks_of_one_minute_leave_one_row(box: Box, gate: Router) -> None:
    for seconds in (0, 5, 60):
        samples.record(gate.id, RouterReading(1), box.now + timedelta(seconds=seconds))
    assert RouterSample.select().count() == 2


# Upkeep.


def test_the_box_forgets_by_the_chunk_and_ends_what_nobody_tells_of(box: Box, gate: Router) -> None:
    old, fresh = box.now - timedelta(days=91), box.now - timedelta(days=89)
    for ended_at in (old, old, old, fresh):
        stay(box, gate, ended_at=ended_at, seen_at=ended_at)
    lost = stay(box, None, seen_at=box.now - timedelta(days=2), bps_out=5.0)
    running = stay(box, gate)
    for at in (box.now - timedelta(days=8), box.now - timedelta(days=6)):
        RouterSample.create(router=gate, at=at)
        Flip.create(name="modem", state="ok", at=at - timedelta(days=83))
    assert sessions.prune(box.now, most=2) == 3  # two forgotten, one ended
    clock.beat(datetime.now(box.now.tzinfo), synchronised=True)
    assert [sessions.prune(box.now), samples.prune(box.now), checks.prune(box.now)] == [1, 1, 1]
    assert [sessions.prune(box.now), samples.prune(box.now), checks.prune(box.now)] == [0, 0, 0]
    ended = Session.get_by_id(lost.id)
    assert ended.ended_at == ended.seen_at and ended.bps_out == 0
    assert Session.get_by_id(running.id).ended_at is None and Session.select().count() == 3


def test_the_hourly_tidying_prunes_them_too(box: Box, gate: Router) -> None:
    now = datetime.now(box.now.tzinfo)
    clock.beat(now, synchronised=True)
    for _ in range(3):
        stay(box, gate, ended_at=now - timedelta(days=100))
        RouterSample.create(router=gate, at=now - timedelta(days=100))
        Flip.create(name="modem", state="ok", at=now - timedelta(days=100))
    Job.create(queue="log-rotation", name="box.tidy", run_at=now, tries=1, timeout_s=60, created_at=now)
    work_once(Settings(state=box.folder), ["log-rotation"])
    assert [table.select().count() for table in (Session, RouterSample, Flip)] == [0, 0, 0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda gate, now: sessions.record_active(gate.id, [], 1, now),
        lambda gate, now: sessions.live(now),
        lambda gate, now: sessions.live(now, router=gate, before=9),
        lambda gate, now: sessions.live(now, "0712 345 678"),
        lambda gate, now: sessions.count_live(now),
    ],
    ids=["the minute's look", "the page", "a later page", "a search", "the count"],
)
def test_who_is_online_is_read_from_the_small_index_over_open_ones(
    box: Box, gate: Router, ask: Callable[[Router, datetime], object]
) -> None:
    asked: list[str] = []
    db.connection().set_trace_callback(asked.append)
    ask(gate, box.now)
    db.connection().set_trace_callback(None)
    found = [words for words in asked if "sessions" in words and words.startswith("SELECT")]
    assert found
    for words in found:
        plan = str(db.execute_sql("EXPLAIN QUERY PLAN " + words).fetchall())
        assert "sessions_open" in plan or "sessions_at" in plan, plan


# On the command line.


@pytest.fixture
def run(tmp_path, monkeypatch) -> Callable[..., Any]:
    monkeypatch.setenv("EDGE_STATE", str(tmp_path))
    runner = CliRunner()

    def go(*words: str, code: int = 0) -> Any:
        answer = runner.invoke(edge, list(words))
        assert answer.exit_code == code, answer.output
        open_database(tmp_path / "edge.db")
        return json.loads(answer.stdout) if "--json" in words else answer.output

    return go


def test_edge_sessions_lists_who_is_online(box: Box, gate: Router, run: Callable[..., Any]) -> None:
    grant = box.grant(box.paid())
    stay(box, gate, username=grant.username, grant=grant, bytes_out=5_000_000, bps_out=2e6)
    stay(box, None, mac=TABLET, username="by-hand")
    close_database()
    shown = run("sessions")
    assert "1 hour" in shown and grant.username not in shown and f"{PHONE} (private)" in shown and "by-hand" in shown
    views = run("sessions", "--json")["sessions"]
    assert [view["mac"] for view in views] == [TABLET, PHONE]
    assert views[1]["bytes_out"] == 5_000_000 and views[1]["private_mac"] is True
    assert [view["mac"] for view in run("sessions", "--router", "gate", "--json")["sessions"]] == [PHONE]
    assert "There is no router named cellar" in run("sessions", "--router", "cellar", code=1)


def test_edge_sessions_kick_promises_the_work(box: Box, gate: Router, run: Callable[..., Any]) -> None:
    session = stay(box, gate)
    close_database()
    assert "1 device will be logged out" in run("sessions", "kick", "da-bb-cc-00-00-01")
    job = Job.get(Job.name == "session.kick")
    assert job.args["session_id"] == session.id and job.lane == f"router:{gate.id}"
    assert Event.get(Event.name == "session.kick_asked").data["who"] == "the command line"
    assert "Nobody is online as" in run("sessions", "kick", "NOBODY22", code=1)


def test_a_box_with_nobody_online_says_so(box: Box, run: Callable[..., Any]) -> None:
    close_database()
    assert "Nobody is online." in run("sessions")
    assert schema.is_made() and Grant.select().count() == 0
