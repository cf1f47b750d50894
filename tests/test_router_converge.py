"""Many guests at once, over the wire: one command each, one print a look, and a kick that leaves the right alone."""

import pytest

from edge.devices.router import Router
from edge.domain import access, checks, comparison
from edge.handlers.network import check_router, sync_router
from edge.handlers.world import Missed, World
from edge.models import Grant, Job, Placement
from edge.settings import Settings
from edge.simulators.router import RouterSimulator
from edge.values.hotspot import HotspotUser, Profile

SECRET = "router-secret"
PHONE, LAPTOP = "AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02"
HOUR = Profile("edge-plan-00001", "2M/5M", 2)


@pytest.fixture
def gate():
    with RouterSimulator(password=SECRET) as simulator:
        yield simulator


@pytest.fixture
def router(gate):
    opened = Router("127.0.0.1", gate.port, "edge", SECRET)
    yield opened
    opened.close()


def guest(n, **more):
    told = {"seconds_left": 3600, "bytes_left": None, "comment": f"edge:{n}", "profile": HOUR} | more
    return HotspotUser(f"GUEST{n:03d}", "0712", **told)


class OneRouter:
    """The devices of a worker that knows one router."""

    def __init__(self, router):
        self._router = router

    def router(self, *_, **__):
        return self._router


def let_in(box, row, guests):
    """So many guests whom this router was told."""
    payments = [box.paid(f"2547000000{n:02d}") for n in range(guests)]
    Job.update(state="done").where(Job.name == "grant.place").execute()
    for payment in payments:
        access.record_placed(box.grant(payment).id, row.id, box.now)
    return payments


@pytest.fixture
def world(router, tmp_path):
    return World(OneRouter(router), Settings(state=tmp_path))


def test_guests_whom_the_router_lost_cost_one_command_each(gate, router):
    router.admit(guest(0))
    gate.commands.clear()
    done = router.converge([guest(n) for n in range(1, 51)])
    assert (len(done.there), done.refused, done.broken) == (50, {}, "")
    assert gate.commands == ["/ip/hotspot/user/add"] * 50
    assert len(gate.users()) == 51


def test_a_guest_who_is_there_already_is_brought_to_what_is_left(gate, router):
    router.admit(guest(1))
    done = router.converge([guest(1, seconds_left=600), guest(2)])
    assert done.there == {"GUEST001", "GUEST002"}
    assert next(row for row in gate.users() if row["name"] == "GUEST001")["limit-uptime"] == "10m"


def test_one_whom_the_router_refuses_holds_up_nobody(gate, router):
    gate.add_user("GUEST002", comment="the owner's own")
    done = router.converge([guest(1), guest(2), guest(3)])
    assert done.there == {"GUEST001", "GUEST003"}
    assert "of its own" in done.refused["GUEST002"]


def test_what_was_done_before_the_connection_broke_is_told(gate, router):
    router.admit(guest(0))

    def guests():
        yield guest(1)
        gate.unplugged = True
        yield guest(2)

    done = router.converge(guests())
    assert (done.there, done.refused) == ({"GUEST001"}, {})
    assert done.broken


def test_a_kicked_device_is_off_and_may_come_back(gate, router):
    router.admit(guest(1))
    for mac, ip in ((PHONE, "10.5.50.7"), (LAPTOP, "10.5.50.8")):
        gate.add_host(mac, ip)
        assert gate.log_in("GUEST001", "0712", mac) == ""
    router.kick("GUEST001", PHONE)
    assert [row["mac-address"] for row in gate.active()] == [LAPTOP]
    assert [row["mac-address"] for row in gate.cookies()] == [LAPTOP]
    assert gate.log_in("GUEST001", "0712", PHONE) == ""
    router.kick("GUEST001")
    assert gate.active() == gate.cookies() == []


def test_a_tv_is_let_in_from_its_own_mac_alone(gate, router):
    router.admit(HotspotUser(PHONE, "", HOUR, 3600, None, "edge:1", mac=PHONE))
    assert gate.users()[0]["mac-address"] == PHONE


def test_a_router_that_was_reset_has_everybody_back_with_what_is_left(box, gate, router, world):
    row = box.router("gate", host="127.0.0.1")
    payments = let_in(box, row, 12)
    box.after(minutes=20)
    check_router(world, box.now, row.id)(box.now)
    assert [job.args for job in box.jobs("router.sync", "waiting")] == [{"router_id": row.id}]
    sync_router(world, box.now, row.id)(box.now)
    users = {user["name"]: user["limit-uptime"] for user in gate.users()}
    assert users == {box.grant(payment).username: "40m" for payment in payments}
    assert {placement.state for placement in Placement.select()} == {"there"}


def test_a_look_at_a_router_prints_each_menu_once_and_writes_nothing_there(box, gate, router, world):
    row = box.router("gate", host="127.0.0.1")
    let_in(box, row, 20)
    for grant in Grant.select():
        router.converge(comparison.users_of(grant, access.left(grant, box.now)))
    gate.commands.clear()
    check_router(world, box.now, row.id)(box.now)
    prints = [command for command in gate.commands if command.startswith("/ip/hotspot/")]
    assert sorted(prints) == [
        "/ip/hotspot/active/print", "/ip/hotspot/print", "/ip/hotspot/profile/print", "/ip/hotspot/user/print"
    ]
    assert not [command for command in gate.commands if not command.endswith("/print")]
    assert {placement.state for placement in Placement.select()} == {"there"}


def test_a_slice_that_broke_off_keeps_what_was_done_and_goes_on(box, gate, router, world, monkeypatch):
    row = box.router("gate", host="127.0.0.1")
    let_in(box, row, 12)
    Placement.update(state="wanted").execute()
    router.facts()
    lost = gate.hotspot.users.add

    def add(values):
        gate.lose_answer = len(gate.hotspot.users.rows) > 6  # the last one is done, and nobody hears of it
        return lost(values)

    monkeypatch.setattr(gate.hotspot.users, "add", add)
    told = sync_router(world, box.now, row.id)
    assert isinstance(told, Missed)
    told.write_down(box.now)
    there = Placement.select().where(Placement.state == "there").count()
    assert 0 < there < 12
    assert len(box.jobs("router.sync", "waiting")) == 1
    gate.lose_answer = False
    monkeypatch.undo()
    sync_router(world, box.now, row.id)(box.now)
    assert Placement.select().where(Placement.state == "there").count() == 12
    assert len(gate.users()) == 12


def test_a_reboot_is_told_once_and_its_time_kept(box, gate, router, world):
    row = box.router("gate", host="127.0.0.1")
    checks.record_router(row.id, True, "", box.now)
    gate.jump(3600)
    check_router(world, box.now, row.id)(box.now)
    gate.reboot()
    for _ in range(2):
        check_router(world, box.after(minutes=1), row.id)(box.now)
    assert [event["router"] for event in box.events("router.rebooted")] == ["gate"]
