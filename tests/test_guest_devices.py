"""Guests' devices at a router: TVs by their MAC, a code moved to another device, a pause, a login without a form."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge import jobs, tasks
from edge.devices.opening import Devices
from edge.domain import access, convergence, guest_devices, guest_logins
from edge.errors import BadInput
from edge.handlers.world import World
from edge.models import Grant, Job, Placement, Plan, Router
from edge.network_models import Device, Session
from edge.settings import Settings
from edge.simulators.router import RouterSimulator

PHONE, OTHER, TV, XBOX = "AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02", "00:1D:BA:11:22:33", "00:50:F2:44:55:66"


@pytest.fixture
def world(box):
    box.now = datetime.now(UTC)
    box.after()
    settings = Settings(state=box.folder)
    devices = Devices(settings)
    yield World(devices, settings)
    devices.close()


@pytest.fixture
def router():
    with RouterSimulator() as simulator:
        yield simulator


@pytest.fixture
def home(box, world, router):
    """Router `gate`, simulated, in mode local."""
    row = Router.create(
        name="gate", host="127.0.0.1", port=router.port, mode="local", username=router.username,
        password=router.password, login_url=router.login_url,
    )  # fmt: skip
    Plan.update(devices=3).execute()
    return row


def work(world):
    """Do what is due, and what has a moment to wait."""
    while True:
        now = datetime.now(UTC)
        Job.update(state="waiting", run_at=now).where(Job.state == "scheduled", Job.queue == "provisioning").execute()
        job = jobs.claim("provisioning", "w", datetime.now(UTC) + timedelta(seconds=1))
        if job is None:
            return
        tasks.run(job, world=world)


@pytest.fixture
def asha(box, world, home):
    """Her grant, placed on the router."""
    grant = box.grant(box.paid(mac=PHONE))
    work(world)
    return Grant.get_by_id(grant.id)


def online(router, name):
    return sorted(row["mac-address"] for row in router.active() if row["user"] == name)


def join(router, grant, mac, ip):
    router.add_host(mac, ip)
    return router.log_in(grant.username, grant.password, mac)


@pytest.mark.parametrize("typed", ["00-1d-ba-11-22-33", "001d.ba11.2233", "001DBA112233", " 00:1d:ba:11:22:33 "])
def test_a_tv_is_added_in_any_notation_and_comes_in_by_its_mac(box, world, router, asha, typed):
    device = guest_devices.add(asha, typed, "Living room", "guest", box.now)
    work(world)
    user = next(row for row in router.users() if row["name"] == TV)
    assert (device.mac, user["mac-address"], user["comment"]) == (TV, TV, f"edge:{asha.id}")
    router.add_host(TV, "10.5.50.77")
    assert router.log_in(TV, "", TV) == ""
    router.add_host(OTHER, "10.5.50.78")
    assert "MAC" in router.log_in(TV, "", OTHER)  # the name alone opens nothing to another device


def test_a_tv_goes_online_by_itself_where_the_router_lets_in_by_mac(box, world, router, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    work(world)
    router.add_host(TV, "10.5.50.77")
    assert online(router, TV) == []  # this router does not, which the guest's page says
    router.log_out(TV)
    router.hotspot.profile_of(None)["login-by"] = "mac,mac-cookie,http-pap"
    router.hotspot.hosts.clear()
    router.add_host(TV, "10.5.50.78")
    assert online(router, TV) == [TV]


def test_a_tv_that_is_taken_off_is_off_the_router_at_once(box, world, router, asha):
    device = guest_devices.add(asha, TV, "", "guest", box.now)
    work(world)
    router.add_host(TV, "10.5.50.77")
    router.log_in(TV, "", TV)
    guest_devices.remove(device, "guest", box.now)
    work(world)
    assert online(router, TV) == []
    assert [row["name"] for row in router.users()] == [asha.username]
    assert Device.select().count() == 0


def test_a_tv_taken_off_while_the_router_is_away_is_taken_off_when_it_returns(box, world, router, asha):
    device = guest_devices.add(asha, TV, "", "guest", box.now)
    work(world)
    router.unplugged = True
    guest_devices.remove(device, "guest", box.now)
    job = box.jobs("device.withdraw")[0]
    job.put(attempt=job.tries - 1)
    job = jobs.claim("provisioning", "w", datetime.now(UTC) + timedelta(seconds=1))
    tasks.run(job, world=world)
    assert [job.state for job in box.jobs("device.withdraw")] == ["failed", "scheduled"]  # the next round
    router.unplugged = False
    work(world)
    assert TV not in [row["name"] for row in router.users()]


def test_a_tv_that_was_added_again_is_not_taken_off_by_old_work(box, world, router, asha):
    device = guest_devices.add(asha, TV, "", "guest", box.now)
    guest_devices.remove(device, "guest", box.now)
    guest_devices.add(asha, TV, "", "guest", box.now)
    work(world)
    assert TV in [row["name"] for row in router.users()]


def test_the_plan_counts_the_tvs(box, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    assert guest_devices.seats(asha) == 2
    guest_devices.add(asha, XBOX, "", "guest", box.now)
    with pytest.raises(BadInput, match="one place stays for your phone"):
        guest_devices.add(asha, "00:50:F2:44:55:67", "", "guest", box.now)
    assert guest_devices.add(asha, XBOX, "", "guest", box.now).mac == XBOX  # the same again is no third


def test_a_plan_for_one_device_says_so(box, asha):
    asha.put(devices=1)
    with pytest.raises(BadInput, match="choose a plan for two"):
        guest_devices.add(asha, TV, "", "guest", box.now)


@pytest.mark.parametrize("typed", ["", "  ", "hello", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:01", "00:00:00:00:00:00",
                                   "AA:BB:CC:DD:EE", "<script>", "AA:BB:CC:DD:EE:FF:00"])  # fmt: skip
def test_what_no_device_has_as_its_address_is_refused_in_words(box, asha, typed):
    with pytest.raises(BadInput):
        guest_devices.add(asha, typed, "", "guest", box.now)
    assert Device.select().count() == 0


def test_nobody_takes_a_tv_from_somebody_elses_time(box, world, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    juma = box.grant(box.paid(box.juma))
    with pytest.raises(BadInput, match="somebody's time already"):
        guest_devices.add(juma, TV, "", "guest", box.now)


def test_the_end_of_the_time_is_the_end_of_its_tvs(box, world, router, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    work(world)
    router.add_host(TV, "10.5.50.77")
    router.log_in(TV, "", TV)
    access.end(asha, "staff", box.now)
    assert guest_devices.forget_ended_if_due(box.now) == 0  # the routers are still to be told of it
    work(world)
    assert (router.users(), router.active()) == ([], [])
    assert guest_devices.forget_ended_if_due(box.now) == 1
    assert guest_devices.forget_ended_if_due(box.now) == 0
    with pytest.raises(BadInput, match="over"):
        guest_devices.add(Grant.get_by_id(asha.id), XBOX, "", "guest", box.now)


def test_a_tv_can_move_to_new_time_when_the_old_is_over(box, world, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    access.end(asha, "time", box.now)
    again = box.grant(box.paid())
    assert guest_devices.add(again, TV, "", "guest", box.now).grant_id == again.id


def test_moving_ends_what_runs_and_the_new_device_comes_in(box, world, router, asha):
    asha.put(devices=1)
    access.promise_placement(asha.id, Router.get().id, box.now)
    work(world)
    assert join(router, asha, PHONE, "10.5.50.7") == ""
    assert "no more sessions" in join(router, asha, OTHER, "10.5.50.8")
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
    assert guest_logins.kick_progress(asha, datetime.now(UTC)).state == "waiting"
    work(world)
    assert (online(router, asha.username), router.cookies()) == ([], [])
    assert guest_logins.kick_progress(asha, datetime.now(UTC)) == guest_logins.Progress("done", "move")
    router.add_host(PHONE, "10.5.50.7")  # its cookie is gone: it does not come back by itself
    assert router.log_in(asha.username, asha.password, OTHER) == ""
    assert online(router, asha.username) == [OTHER]
    assert Grant.get_by_id(asha.id).mac == OTHER


def test_a_pause_logs_out_and_the_device_stays_the_guests(box, world, router, asha):
    join(router, asha, PHONE, "10.5.50.7")
    guest_logins.promise_kick(asha, "pause", "", datetime.now(UTC))
    work(world)
    assert online(router, asha.username) == []
    assert guest_logins.kick_progress(asha, datetime.now(UTC)) == guest_logins.Progress("done", "pause")
    assert Grant.get_by_id(asha.id).mac == PHONE


def test_a_router_that_is_away_is_told_to_whoever_waits(box, world, router, asha):
    router.unplugged = True
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
    tasks.run(jobs.claim("provisioning", "w", datetime.now(UTC)), world=world)
    assert guest_logins.kick_progress(asha, datetime.now(UTC)).state == "delayed"


def test_a_device_with_time_left_is_logged_in_without_a_form(box, world, router, asha):
    router.add_host(PHONE, "10.5.50.7")
    name = guest_logins.promise_login(asha, PHONE, "10.5.50.7", Router.get(), datetime.now(UTC))
    assert guest_logins.promise_login(asha, PHONE, "10.5.50.7", Router.get(), datetime.now(UTC)) == name
    work(world)
    assert guest_logins.login_progress(name).state == "done"
    assert online(router, asha.username) == [PHONE]


def test_a_phone_that_slept_is_looked_for_again_and_then_given_up_in_words(box, world, router, asha):
    name = guest_logins.promise_login(asha, PHONE, "10.5.50.7", Router.get(), datetime.now(UTC))
    tasks.run(jobs.claim("provisioning", "w", datetime.now(UTC)), world=world)
    assert guest_logins.login_progress(name).state == "waiting"
    work(world)
    assert guest_logins.login_progress(name).state == "failed"
    assert len(box.jobs("guest.login")) == guest_logins.LOOKS
    assert "does not see" in box.jobs("guest.login", "failed")[0].errors[-1]["words"]


def test_a_phone_that_woke_up_meanwhile_is_in(box, world, router, asha):
    name = guest_logins.promise_login(asha, PHONE, "10.5.50.7", Router.get(), datetime.now(UTC))
    tasks.run(jobs.claim("provisioning", "w", datetime.now(UTC)), world=world)
    router.add_host(PHONE, "10.5.50.7")
    work(world)
    assert guest_logins.login_progress(name).state == "done"


def stayed(grant, mac, at):
    Session.create(
        key=f"{mac}{at}", source="router", router=Router.get(), grant=grant, mac=mac, username=grant.username,
        started_at=at, seen_at=at,
    )  # fmt: skip


def test_a_device_is_known_by_the_mac_it_paid_with_or_was_last_used_on(box, asha):
    now = datetime.now(UTC)
    stayed(asha, OTHER, now)
    assert guest_logins.known_macs() == {PHONE, OTHER}
    assert [guest_logins.of_mac(mac) for mac in (PHONE, OTHER, TV, "")] == [asha, asha, None, None]
    access.end(asha, "staff", now)
    assert guest_logins.known_macs() == frozenset()
    assert guest_logins.of_mac(PHONE) is None


def test_a_device_from_which_the_code_was_moved_is_not_known_for_long(box, world, router, asha):
    asha.put(devices=1)
    stayed(asha, PHONE, datetime.now(UTC) - timedelta(minutes=5))
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
    work(world)
    assert Session.get().ended_at is not None
    stayed(asha, OTHER, datetime.now(UTC))
    assert [guest_logins.of_mac(mac) for mac in (PHONE, OTHER)] == [None, asha]


def test_a_tv_is_not_taken_for_a_phone_that_may_connect(box, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    stayed(asha, TV, datetime.now(UTC))
    assert guest_logins.of_mac(TV) is None


@pytest.mark.parametrize(
    ("mac", "private"),
    [("DA:A1:19:00:00:01", True), ("02:00:00:00:00:01", True), ("3C:5A:B4:00:00:01", False), ("", False), ("x", False)],
)
def test_an_address_that_a_phone_made_up_is_recognised(mac, private):
    assert guest_devices.is_private(mac) is private


@pytest.mark.parametrize(
    ("facts", "told"),
    [({}, None), ({"login_by": "mac,http-pap"}, True), ({"login_by": ["mac-cookie", "http-pap"]}, False)],
)
def test_a_router_tells_whether_it_lets_in_by_mac(facts, told):
    assert guest_devices.lets_in_by_mac(Router(name="gate", facts=facts)) is told


def test_a_cookie_brings_a_phone_back_without_paying_or_typing(box, world, router, asha):
    join(router, asha, PHONE, "10.5.50.7")
    router.log_out(PHONE)  # out of reach for a while
    router.add_host(PHONE, "10.5.50.9")  # back, with another address
    assert online(router, asha.username) == [PHONE]


def test_roaming_to_another_router_asks_for_no_second_payment(box, world, router, asha):
    with RouterSimulator(identity="attic") as attic:
        Router.create(
            name="attic", host="127.0.0.1", port=attic.port, mode="local", username=attic.username,
            password=attic.password,
        )  # fmt: skip
        convergence.sweep(box.now)
        guest_devices.add(asha, TV, "", "guest", box.now)
        work(world)
        assert {row["name"] for row in attic.users()} == {asha.username, TV}
        assert join(attic, asha, PHONE, "10.5.60.7") == ""
        attic.log_out(PHONE)
        attic.add_host(PHONE, "10.5.60.7")
        assert online(attic, asha.username) == [PHONE]
        guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
        work(world)
        assert (attic.active(), attic.cookies()) == ([], [])  # a move frees the places everywhere


def test_a_reset_router_gets_the_tvs_back_with_their_guest(box, world, router, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    work(world)
    router.reset()
    tasks.run(_check(box), world=world)
    work(world)
    assert {row["name"] for row in router.users()} == {asha.username, TV}
    assert Placement.get().state == "there"


def _check(box):
    now = datetime.now(UTC)
    jobs.promise("router.check", "router-checks", now, args={"router_id": Router.get().id})
    return jobs.claim("router-checks", "w", now)


def test_a_login_is_not_made_up_for_hours_later(box, world, router, asha):
    router.add_host(PHONE, "10.5.50.7")
    name = guest_logins.promise_login(asha, PHONE, "10.5.50.7", Router.get(), datetime.now(UTC))
    late = replace(world)
    Job.update(not_after=datetime.now(UTC) - timedelta(seconds=1)).execute()
    tasks.run(jobs.claim("provisioning", "w", datetime.now(UTC)), world=late)
    assert guest_logins.login_progress(name).state == "failed"
    assert router.active() == []
