"""What RADIUS's accounting becomes: sessions to see, rights ended that are used up, sessions closed unheard."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge import database
from edge.database import db
from edge.domain import access, accounting, logins
from edge.domain.disconnects import promise_disconnects
from edge.models import Clock, Grant, Placement, Router
from edge.network_models import Login, Session
from edge.radius_views import RADACCT, RADACCT_3
from tests.conftest import NOW, Box

PHONE, TV = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"
MIB = 1 << 20


@pytest.fixture
def gate(box: Box) -> Router:
    return box.router("gate", mode="radius", host="10.5.50.1")


def grant(**told: Any) -> Grant:
    columns = {
        "plan": 1, "username": "ASHA2345", "password": "0123", "seconds": 3600, "created_at": NOW, "starts_at": NOW,
        "ends_at": NOW + timedelta(hours=1),
    }  # fmt: skip
    return Grant.create(**columns | told)


def wrote(key: str, name: str = "ASHA2345", mac: str = PHONE, host: str = "10.5.50.1", **told: Any) -> None:
    """FreeRADIUS wrote this down (data/radius/queries.conf)."""
    at = int(NOW.timestamp())
    columns: dict[str, Any] = {
        "acctuniqueid": key, "acctsessionid": f"80a-{key}", "username": name, "login": name.lower(),
        "nasipaddress": host, "callingstationid": mac, "framedipaddress": "10.5.50.9", "acctstarttime": at,
        "acctupdatetime": at, "acctstoptime": None, "acctsessiontime": 0, "acctinputoctets": 0, "acctoutputoctets": 0,
        "is_folded": 0,
    } | told  # fmt: skip
    sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
    db.execute_sql(
        f"INSERT INTO radacct ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT (acctuniqueid) DO UPDATE SET {sets}",
        list(columns.values()),
    )


def row(key: str) -> dict[str, Any]:
    names = ("acctstoptime", "acctterminatecause", "is_folded")
    found = db.execute_sql(f"SELECT {', '.join(names)} FROM radacct WHERE acctuniqueid = ?", (key,)).fetchone()
    return dict(zip(names, found, strict=True))


def at(**span: float) -> int:
    return int((NOW + timedelta(**span)).timestamp())


# Sessions


def test_a_session_is_shown_with_whose_it_is_where_and_how_fast(box: Box, gate: Router) -> None:
    asha = grant()
    wrote("a")
    assert accounting.fold(box.now) == 1
    wrote("a", acctupdatetime=at(seconds=300), acctsessiontime=300, acctinputoctets=3 * MIB, acctoutputoctets=30 * MIB)
    assert accounting.fold(box.after(seconds=300)) == 1
    session = Session.get()
    assert (session.source, session.key, session.router_id, session.grant_id) == ("radius", "a", gate.id, asha.id)
    assert (session.username, session.mac, session.ip) == ("asha2345", PHONE, "10.5.50.9")
    assert (session.started_at, session.seen_at) == (NOW, NOW + timedelta(seconds=300))
    assert (session.ended_at, session.seconds) == (None, 300)
    assert (session.bytes_in, session.bytes_out) == (3 * MIB, 30 * MIB)
    assert (session.bps_in, session.bps_out) == (pytest.approx(3 * MIB * 8 / 300), pytest.approx(30 * MIB * 8 / 300))
    wrote("a", acctupdatetime=at(seconds=310), acctstoptime=at(seconds=310), acctterminatecause="User-Request")
    accounting.fold(box.after(seconds=10))
    session = Session.get()
    assert (session.ended_at, session.cause) == (NOW + timedelta(seconds=310), "User-Request")
    assert (session.bps_in, session.bps_out) == (0, 0)


def test_a_session_of_nobody_we_know_is_shown_too(box: Box) -> None:
    wrote("x", name="STRANGER", host="10.9.9.9")
    accounting.fold(box.now)
    session = Session.get()
    assert (session.grant_id, session.router_id) == (None, None)


def test_a_look_when_nothing_changed_writes_nothing(box: Box, gate: Router) -> None:
    grant()
    for number in range(300):
        wrote(f"old-{number}", acctstoptime=at())
    assert accounting.fold(box.now) == 300
    before = db.execute_sql("SELECT total_changes()").fetchone() if db.serves_one_machine else None
    began = time.perf_counter()
    for _ in range(50):
        assert accounting.fold(box.now) == 0
    took_ms = (time.perf_counter() - began) / 50 * 1000
    print(f"a look with nothing to do: {took_ms:.2f} ms")
    if db.serves_one_machine:
        assert db.execute_sql("SELECT total_changes()").fetchone() == before


def test_many_changes_are_taken_in_slices(box: Box, gate: Router) -> None:
    with db.atomic("IMMEDIATE"):
        for number in range(accounting.SLICE * 2 + 7):
            wrote(f"n-{number}", name=f"NAME{number}")
    assert accounting.fold(box.now) == accounting.SLICE * 2 + 7
    assert Session.select().count() == accounting.SLICE * 2 + 7
    assert accounting.fold(box.now) == 0


def test_the_writers_thread_takes_it_up_as_well(box: Box, shared_writer: database.Writer) -> None:
    wrote("a")
    assert accounting.fold(box.now) == 1
    assert Session.select().count() == 1


# What is used up


def test_a_right_ends_when_its_data_is_used_up_on_all_devices_and_routers(box: Box, gate: Router) -> None:
    asha = grant(bytes=100 * MIB)
    Placement.create(grant=asha, router=box.router("attic"), state="there", used_bytes=30 * MIB)
    wrote("a", acctinputoctets=10 * MIB, acctoutputoctets=20 * MIB)
    wrote("b", mac=TV, acctinputoctets=9 * MIB, acctoutputoctets=30 * MIB)
    accounting.fold(box.now)
    assert access.used(asha) == (0, 99 * MIB)
    assert Grant.get().state == "live"
    wrote("b", mac=TV, acctinputoctets=10 * MIB, acctoutputoctets=30 * MIB)
    accounting.fold(box.now)
    ended = Grant.get()
    assert (ended.state, ended.why_ended) == ("ended", "data")


def test_metered_time_ends_by_what_was_used_and_not_by_the_calendar(box: Box, gate: Router) -> None:
    asha = grant(metered=True, ends_at=None)
    wrote("a", acctsessiontime=1800, acctstoptime=at(minutes=30))
    accounting.fold(box.after(days=5))
    assert Grant.get().state == "live"
    wrote("b", mac=TV, acctsessiontime=1800, acctupdatetime=int(box.now.timestamp()))
    accounting.fold(box.now)
    ended = Grant.get()
    assert (ended.state, ended.why_ended) == ("ended", "time")
    assert access.used(asha) == (3600, 0)


def test_time_by_the_wall_clock_is_not_ended_by_seconds_online(box: Box, gate: Router) -> None:
    grant(devices=2)
    wrote("a", acctsessiontime=9000)
    accounting.fold(box.now)
    assert Grant.get().state == "live"


def test_the_routers_counts_end_a_right_even_by_a_clock_that_nobody_believes(box: Box, gate: Router) -> None:
    Clock.update(trusted=False).execute()
    grant(bytes=MIB)
    wrote("a", acctinputoctets=MIB)
    accounting.fold(box.now)
    assert Grant.get().state == "ended"


# Ending sessions


def test_a_disconnect_is_promised_where_he_is_online_and_once(box: Box, gate: Router) -> None:
    asha = grant()
    cellar = box.router("cellar", mode="radius", host="10.5.51.1")
    box.router("attic", host="10.5.60.1")  # local: whatever was accounted there once
    wrote("a")
    wrote("b", mac=TV, host="10.5.50.1")
    wrote("c", host=cellar.host, acctstoptime=at())
    wrote("d", host="10.5.60.1")
    assert promise_disconnects(asha, box.now) == promise_disconnects(asha, box.now) == 1
    [job] = box.jobs("grant.disconnect")
    assert (job.queue, job.lane) == ("provisioning", f"router:{gate.id}")
    assert job.args == {"grant_id": asha.id, "router_id": gate.id}


def test_a_session_that_outlives_its_right_is_disconnected_when_it_is_heard_of(box: Box, gate: Router) -> None:
    grant(state="ended")
    wrote("a")
    accounting.fold(box.now)
    assert len(box.jobs("grant.disconnect")) == 1
    wrote("b", name="BABA2345", acctstoptime=at())
    accounting.fold(box.now)
    assert len(box.jobs("grant.disconnect")) == 1


def test_sessions_before_a_routers_start_are_closed_and_later_ones_left(box: Box, gate: Router) -> None:
    grant(devices=3)
    cellar = box.router("cellar", mode="radius", host="10.5.51.1")
    wrote("old", acctupdatetime=at(minutes=-3))
    wrote("new", acctupdatetime=at(minutes=-1))
    wrote("elsewhere", host=cellar.host, acctupdatetime=at(minutes=-3))
    gate.put(booted_at=NOW - timedelta(minutes=2))
    assert accounting.fold(box.now) == 3
    assert row("old") == {"acctstoptime": at(minutes=-3), "acctterminatecause": "NAS-Reboot", "is_folded": 1}
    assert row("new")["acctstoptime"] is row("elsewhere")["acctstoptime"] is None
    assert Session.get(Session.key == "old").ended_at == NOW - timedelta(minutes=3)


def test_a_session_not_heard_of_for_three_updates_is_closed_when_it_was_last_heard(box: Box, gate: Router) -> None:
    grant(devices=2)
    wrote("lost", acctupdatetime=at(minutes=-16))
    wrote("quiet", acctupdatetime=at(minutes=-14))
    accounting.fold(box.now)
    assert row("lost") == {"acctstoptime": at(minutes=-16), "acctterminatecause": "Lost-Carrier", "is_folded": 1}
    assert row("quiet")["acctstoptime"] is None


def test_no_session_is_closed_by_a_clock_that_nobody_believes(box: Box, gate: Router) -> None:
    Clock.update(trusted=False).execute()
    gate.put(booted_at=NOW - timedelta(minutes=2))
    wrote("lost", acctupdatetime=at(minutes=-16))
    accounting.fold(box.now)
    assert row("lost")["acctstoptime"] is None
    Clock.update(trusted=True).execute()
    leapt = box.now + timedelta(days=400)  # between two beats
    accounting.fold(leapt)
    assert row("lost")["acctstoptime"] is None


def test_a_session_the_router_does_not_have_is_closed_and_one_that_goes_on_is_opened_again(
    box: Box, gate: Router
) -> None:
    asha = grant()
    wrote("a")
    accounting.fold(box.now)
    [session] = accounting.open_sessions(asha, gate)
    assert (session.login, session.mac, session.ip, session.session_id) == ("asha2345", PHONE, "10.5.50.9", "80a-a")
    accounting.record_gone([session.unique_id], "Lost-Carrier", box.now)
    accounting.fold(box.now)
    assert accounting.open_sessions(asha, gate) == []
    assert Session.get().ended_at == NOW
    wrote("a", acctsessiontime=300)  # FreeRADIUS took a record that tells more
    accounting.fold(box.now)
    assert Session.get().ended_at is None


def test_old_records_are_forgotten_unless_a_live_right_is_reckoned_by_them(box: Box, gate: Router) -> None:
    grant(bytes=1000)
    grant(username="OVER2345", state="ended")
    for key, name, days in (("a", "ASHA2345", 91), ("b", "OVER2345", 91), ("c", "OVER2345", 89), ("d", "NOBODY23", 91)):
        wrote(key, name=name, acctstoptime=at(days=-days), is_folded=1)
    wrote("e", name="OVER2345", acctstoptime=at(days=-91))  # nobody has looked at it yet
    assert (accounting.trim(box.now), accounting.trim(box.now)) == (2, 0)
    left = db.execute_sql("SELECT acctuniqueid FROM radacct ORDER BY acctuniqueid").fetchall()
    assert [key for (key,) in left] == ["a", "c", "e"]


# The log of logins


class Seen:
    def __init__(self, name: str, accepted: bool = False, words: str = "wrong PIN", mac: str = PHONE) -> None:
        self.at, self.router, self.name, self.mac = NOW.timestamp(), "gate", name, mac
        self.accepted, self.words = accepted, words


def test_logins_are_kept_with_their_codes_masked(box: Box) -> None:
    assert logins.record([]) == 0
    assert logins.record([Seen("ASHA2345"), Seen(TV, True, "by its MAC", TV), Seen("x" * 300)]) == 3
    rows = list(Login.select().order_by(Login.id))
    assert [entry.username for entry in rows] == ["AS••••••", TV, "xx" + "•" * 14]
    assert [(entry.at, entry.router, entry.mac) for entry in rows[:1]] == [(NOW, "gate", PHONE)]
    assert [(entry.accepted, entry.words) for entry in rows[:2]] == [(False, "wrong PIN"), (True, "by its MAC")]


def test_only_the_newest_logins_are_kept(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "KEPT", 10)
    logins.record(Seen(f"A{number:03d}") for number in range(8))
    logins.record(Seen(f"B{number:03d}") for number in range(8))
    names = [entry.username[0] for entry in Login.select().order_by(Login.id)]
    assert names == ["A"] * 2 + ["B"] * 8
    logins.record(Seen(f"C{number:03d}") for number in range(99))
    assert [entry.username[0] for entry in Login.select()] == ["C"] * 10


# The table


def test_a_database_made_before_has_its_accounting_brought_up_to_date(box: Box) -> None:
    if not db.serves_one_machine:
        pytest.skip("SQLite's catalogue")

    def columns() -> list[str]:
        return [found[1] for found in db.execute_sql("PRAGMA table_info(radacct)").fetchall()]

    made = columns()
    db.execute_sql("DROP TABLE radacct")
    older = RADACCT[0].replace(", login TEXT NOT NULL DEFAULT '',\n       is_folded INTEGER NOT NULL DEFAULT 0)", ")")
    assert "login" not in older
    for statement in (older, RADACCT[1], *RADACCT_3):
        db.execute_sql(statement)
    assert columns() == made
    wrote("a")
    assert accounting.fold(box.now) == 1


def test_instants_are_whole_and_in_utc(box: Box, gate: Router) -> None:
    wrote("a", acctstarttime=None, acctupdatetime=None)
    accounting.fold(box.now)
    assert Session.get().started_at == datetime(1970, 1, 1, tzinfo=UTC)
