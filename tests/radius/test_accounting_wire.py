"""Accounting on the wire: records late, twice, out of order, huge and unknown, each of which ends in one true row."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.database import db
from edge.devices.radius import FreeRadius
from edge.domain import access, accounting, clock
from edge.models import Clock, Grant, Router
from edge.network_models import Session
from edge.simulators.router.radius_client import Accepted, RadiusClient, Rejected
from tests.radius import shop as radius_shop
from tests.radius.shop import (
    ASHA_PHONE,
    ATTIC,
    ATTIC_SECRET,
    GATE,
    GIB,
    JUMA_PHONE,
    NOW,
    account,
    grant,
    log_in,
    radclient,
    router_at,
    sessions,
    wait_for,
)

pytestmark = radius_shop.NEEDED


@pytest.fixture
def settle(shop: Path, gate: RadiusClient) -> Any:
    """Wait until all that was told before is written down: records are kept in order."""
    count = iter(range(1000))

    def wait() -> None:
        mark = f"MARK{time.monotonic_ns()}{next(count)}"
        account(gate, "start", mark)
        wait_for(lambda: sessions(shop, mark))

    return wait


def only(shop: Path, name: str) -> dict[str, Any]:
    [row] = sessions(shop, name)
    return row


def test_counters_never_go_back_whatever_the_order(shop: Path, gate: RadiusClient, settle: Any) -> None:
    account(gate, "start", "ORDER234")
    account(gate, "interim", "ORDER234", seconds=600, bytes_in=5 * GIB, bytes_out=7)
    account(gate, "interim", "ORDER234", seconds=300, bytes_in=4 * GIB, bytes_out=9)
    account(gate, "start", "ORDER234")
    settle()
    row = only(shop, "ORDER234")
    assert (row["acctsessiontime"], row["acctinputoctets"], row["acctoutputoctets"]) == (600, 5 * GIB, 9)
    assert row["acctstoptime"] is None
    account(gate, "stop", "ORDER234", seconds=610, bytes_in=5 * GIB + 1, bytes_out=8)
    settle()
    row = only(shop, "ORDER234")
    assert (row["acctsessiontime"], row["acctinputoctets"], row["acctoutputoctets"]) == (610, 5 * GIB + 1, 9)
    assert row["acctterminatecause"] == "User-Request"


def test_a_late_or_repeated_record_leaves_an_ended_session_ended(shop: Path, gate: RadiusClient, settle: Any) -> None:
    account(gate, "stop", "ENDED234", seconds=60, bytes_in=7, cause=5)
    settle()
    ended_at = only(shop, "ENDED234")["acctstoptime"]
    time.sleep(1.1)
    account(gate, "interim", "ENDED234", seconds=60, bytes_in=7)
    account(gate, "interim", "ENDED234", seconds=30, bytes_in=3)
    account(gate, "stop", "ENDED234", seconds=60, bytes_in=7, cause=1)
    account(gate, "start", "ENDED234")
    settle()
    row = only(shop, "ENDED234")
    assert (row["acctstoptime"], row["acctterminatecause"]) == (ended_at, "Session-Timeout")
    assert (row["acctsessiontime"], row["acctinputoctets"]) == (60, 7)


@pytest.mark.parametrize(("kind", "is_open"), [("interim", True), ("stop", False)])
def test_the_first_that_is_heard_of_a_session_may_be_its_middle_or_its_end(
    shop: Path, gate: RadiusClient, settle: Any, kind: str, is_open: bool
) -> None:
    name = f"FIRST{kind[:3].upper()}"
    account(gate, kind, name, seconds=300, bytes_out=6 * GIB)
    settle()
    row = only(shop, name)
    assert (row["acctsessiontime"], row["acctoutputoctets"]) == (300, 6 * GIB)
    assert (row["acctstoptime"] is None) is is_open
    assert row["acctstarttime"] == row["acctupdatetime"] - 300


def test_a_session_given_up_for_lost_goes_on_when_more_is_heard_of_it(
    shop: Path, gate: RadiusClient, settle: Any
) -> None:
    for key, told in (("80a00001", {"seconds": 300}), ("80a00002", {"seconds": 0})):
        account(gate, "interim", "LOST2345", session_id=key, **told)
    settle()
    lost = [row["acctuniqueid"] for row in sessions(shop, "LOST2345")]
    accounting.record_gone(lost, "Lost-Carrier", datetime.now(UTC))
    account(gate, "interim", "LOST2345", session_id="80a00001", seconds=900, bytes_in=5)
    account(gate, "stop", "LOST2345", session_id="80a00002", seconds=910, cause=4)
    settle()
    on, ended = sessions(shop, "LOST2345")
    assert (on["acctstoptime"], on["acctterminatecause"], on["acctsessiontime"]) == (None, "", 900)
    assert (ended["acctterminatecause"], ended["acctsessiontime"]) == ("Idle-Timeout", 910)
    assert ended["is_folded"] == 0


def test_the_same_number_after_a_routers_restart_is_another_session(
    shop: Path, gate: RadiusClient, settle: Any
) -> None:
    for token in (b"first", b"second"):
        account(gate, "stop", "TWICE234", class_=token, seconds=60, bytes_in=10)
    settle()
    assert [row["class"] for row in sessions(shop, "TWICE234")] == ["first", "second"]
    assert [(row["acctsessiontime"], row["acctinputoctets"]) for row in sessions(shop, "TWICE234")] == [(60, 10)] * 2


@pytest.mark.parametrize("kind", ["Tunnel-Start", "Failed", "99", "Accounting-On", "Accounting-Off"])
def test_no_kind_of_record_holds_up_the_next(server: FreeRadius, shop: Path, settle: Any, kind: str) -> None:
    for line in (
        f'User-Name="KIND2345",Acct-Session-Id="80a1",Acct-Status-Type={kind},NAS-IP-Address=127.0.0.1',
        f"Acct-Status-Type={kind}",
        'Acct-Status-Type=Start,User-Name="",Acct-Session-Id=""',
    ):
        assert "Accounting-Response" in radclient(server, "acct", line)
    settle()
    server.probe()


def test_a_router_that_does_say_it_starts_closes_its_own_sessions_only(
    server: FreeRadius, shop: Path, gate: RadiusClient, settle: Any
) -> None:
    attic = router_at(server, ATTIC, ATTIC_SECRET)
    account(gate, "start", "BOOT2345")
    account(attic, "start", "BOOT2346")
    settle()
    assert "Accounting-Response" in radclient(server, "acct", "Acct-Status-Type=Accounting-On,NAS-IP-Address=9.9.9.9")
    settle()
    row = only(shop, "BOOT2345")
    assert (row["acctterminatecause"], row["is_folded"]) == ("NAS-Reboot", 0)
    assert only(shop, "BOOT2346")["acctstoptime"] is None


def test_what_no_session_could_use_is_cut_to_what_can_be_added_up(shop: Path, gate: RadiusClient, settle: Any) -> None:
    grant("HUGE2345", bytes=GIB)
    for number in range(3):
        account(gate, "stop", "HUGE2345", session_id=f"80a{number}", seconds=2**32 - 1, bytes_in=2**63, bytes_out=2**63)
    settle()
    assert {row["acctinputoctets"] for row in sessions(shop, "HUGE2345")} == {1048575 << 32}
    assert log_in(gate, "HUGE2345") == Rejected("Your data is used up")
    assert access.used(Grant.get(Grant.username == "HUGE2345"))[1] == 6 * (1048575 << 32)


def test_the_router_is_whoever_asks_and_not_what_it_calls_itself(server: FreeRadius, shop: Path, settle: Any) -> None:
    line = 'User-Name="named234",Acct-Session-Id="80a1",Acct-Status-Type=Start,NAS-IP-Address=10.99.0.1'
    assert "Accounting-Response" in radclient(server, "acct", line)
    settle()
    row = only(shop, "NAMED234")
    assert (row["nasipaddress"], row["login"]) == (GATE, "named234")


def test_from_the_wire_to_the_end_of_a_right(shop: Path, gate: RadiusClient, settle: Any) -> None:
    """Two devices use up their data; the right ends, and its open session is to be disconnected."""
    now = datetime.now(UTC)
    row = clock.state()
    assert row is not None
    row.put(seen_at=now)
    asha = grant("WIRE2345", bytes=GIB, devices=2, starts_at=now, ends_at=now + timedelta(hours=1))
    try:
        answer = log_in(gate, "WIRE2345")
        assert isinstance(answer, Accepted)
        account(gate, "start", "WIRE2345", class_=answer.class_)
        settle()
        accounting.fold(now)
        session = Session.get(Session.grant == asha)
        assert (session.mac, session.router.name, session.ended_at) == (ASHA_PHONE, "gate", None)
        account(gate, "stop", "WIRE2345", mac=JUMA_PHONE, session_id="80a2", seconds=10, bytes_out=GIB // 2)
        account(gate, "interim", "WIRE2345", class_=answer.class_, seconds=20, bytes_in=GIB // 2)
        settle()
        accounting.fold(now)
        ended = Grant.get_by_id(asha.id)
        assert (ended.state, ended.why_ended) == ("ended", "data")
        assert log_in(gate, "WIRE2345") == Rejected("Your data is used up")
        [session] = accounting.open_sessions(ended, Router.get(Router.name == "gate"))
        assert (session.login, session.mac, session.ip) == ("WIRE2345", ASHA_PHONE, "10.5.50.9")
        account(gate, "interim", "WIRE2345", class_=answer.class_, seconds=30, bytes_in=GIB // 2)
        settle()
        accounting.fold(now)
        promised = db.execute_sql("SELECT COUNT(*) FROM jobs WHERE name = 'grant.disconnect' AND cause = ?",
                                  (f"grant:{asha.id}",)).fetchone()  # fmt: skip
        assert promised == (1,)
    finally:
        Clock.update(seen_at=NOW).execute()
