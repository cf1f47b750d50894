"""Guests' devices at a router: TVs by their MAC, a code moved to another device, a pause, a login without a form."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge import jobs, tasks
from edge.database import db
from edge.devices.opening import Devices
from edge.domain import access, accounting, convergence, guest_devices, guest_logins, wishes
from edge.errors import BadInput
from edge.handlers.world import World
from edge.models import Breaker, Grant, Job, Placement, Plan, Router
from edge.network_models import Device, Session
from edge.settings import Settings
from edge.simulators.router import RouterSimulator
from tests.office import Office

PHONE, OTHER, TV, XBOX = "AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02", "00:1D:BA:11:22:33", "00:50:F2:44:55:66"
PHONE_OF_JUMA = "AA:BB:CC:00:00:33"


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


def test_a_pause_logs_the_tvs_out_and_a_move_leaves_them(box, world, router, asha):
    guest_devices.add(asha, TV, "", "guest", box.now)
    work(world)
    join(router, asha, PHONE, "10.5.50.7")
    router.add_host(TV, "10.5.50.77")
    assert router.log_in(TV, "", TV) == ""
    now = datetime.now(UTC)
    stayed(asha, PHONE, now)
    stayed(asha, TV, now, username=TV)
    guest_logins.promise_kick(asha, "move", OTHER, now)
    work(world)
    assert [row["user"] for row in router.active()] == [TV]
    assert {row.mac: row.ended_at is None for row in Session.select()} == {PHONE: False, TV: True}
    guest_logins.promise_kick(asha, "pause", "", datetime.now(UTC))
    work(world)
    assert router.active() == []
    assert Session.select().where(Session.ended_at.is_null()).count() == 0


def test_a_pause_right_after_a_move_is_done_too(box, world, router, asha):
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
    guest_logins.promise_kick(asha, "pause", "", datetime.now(UTC))
    assert guest_logins.kick_progress(asha, datetime.now(UTC)) == guest_logins.Progress("waiting", "pause")
    work(world)
    assert [job.args["why"] for job in box.jobs("grant.move", "done")] == ["move", "pause"]


def test_the_progress_of_a_move_is_that_of_the_newest(box, world, router, asha):
    for _ in range(3):
        guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
        assert guest_logins.kick_progress(asha, datetime.now(UTC)).state == "waiting"
        work(world)
        assert guest_logins.kick_progress(asha, datetime.now(UTC)).state == "done"
    assert len(box.jobs("grant.move", "done")) == 3
    assert guest_logins.kick_progress(asha, datetime.now(UTC) + timedelta(minutes=4)) is None


def test_what_was_asked_for_long_ago_throws_nobody_out_and_is_told(box, world, router, asha):
    asked_at = datetime.now(UTC) - wishes.PATIENCE - timedelta(seconds=20)
    guest_logins.promise_kick(asha, "move", OTHER, asked_at)
    assert guest_logins.kick_progress(asha, datetime.now(UTC)) == guest_logins.Progress("failed", "move")
    join(router, asha, PHONE, "10.5.50.7")
    work(world)
    assert online(router, asha.username) == [PHONE]
    assert Grant.get_by_id(asha.id).mac == PHONE
    assert "ask again" in box.jobs("grant.move", "failed")[0].errors[-1]["words"]
    assert guest_logins.kick_progress(asha, datetime.now(UTC)).state == "failed"


def test_who_asks_again_while_an_old_wish_waits_is_heard(box, world, router, asha):
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC) - timedelta(hours=3))
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
    assert guest_logins.kick_progress(asha, datetime.now(UTC)).state == "waiting"
    join(router, asha, PHONE, "10.5.50.7")
    work(world)
    assert online(router, asha.username) == []
    assert guest_logins.kick_progress(asha, datetime.now(UTC)).state == "done"


def test_work_of_an_older_release_that_told_no_time_is_done(box, world, router, asha):
    join(router, asha, PHONE, "10.5.50.7")
    args = {"grant_id": asha.id, "router_id": Router.get().id, "why": "pause", "mac": ""}
    jobs.promise("grant.move", "provisioning", datetime.now(UTC), args=args)
    work(world)
    assert online(router, asha.username) == []


# By RADIUS.


@pytest.fixture
def hall(box, world):
    """Router `hall`, which asks by RADIUS, and at which the box has an API login as well."""
    with RouterSimulator(identity="hall", radius=Office()) as simulator:
        Router.create(
            name="hall", host="127.0.0.1", port=simulator.port, mode="radius", username=simulator.username,
            password=simulator.password, radius_secret="at-least-8",
        )  # fmt: skip
        yield simulator


def accounted(grant, login, mac):
    """The accounting and the row of a session by RADIUS."""
    at = datetime.now(UTC)
    db.execute_sql(
        "INSERT INTO radacct (acctuniqueid, acctsessionid, username, login, nasipaddress, callingstationid, "
        "framedipaddress, acctstarttime, acctupdatetime) VALUES (?, ?, ?, ?, '127.0.0.1', ?, '10.5.50.7', ?, ?)",
        (f"u{mac}", f"s{mac}", grant.username, login, mac, at.timestamp(), at.timestamp()),
    )
    accounting.fold(at)


def visitor(**told):
    return Grant.create(plan=1, username="ASHA2345", password="0712", seconds=3600, created_at=datetime.now(UTC),
                        devices=3, metered=True, **told)  # fmt: skip


@pytest.mark.parametrize("is_accounted", [True, False])
def test_a_code_typed_in_small_letters_is_kicked_as_it_was_typed(box, world, hall, is_accounted):
    asha = visitor(mac=PHONE)
    hall.add_host(PHONE, "10.5.50.7")
    assert hall.log_in("asha2345", "0712", PHONE) == ""
    if is_accounted:
        accounted(asha, "asha2345", PHONE)
    else:  # the accounting is behind, but the router was read
        stayed(asha, PHONE, datetime.now(UTC), username="asha2345")
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC))
    work(world)
    assert (hall.active(), hall.cookies()) == ([], [])
    assert Session.get().ended_at is not None
    assert Grant.get_by_id(asha.id).mac == OTHER


def by_mac(hall, mac_format):
    profile = hall.hotspot.profile_of(None)
    profile |= {"radius-mac-format": mac_format, "login-by": "mac,mac-cookie,http-pap", "use-radius": "true"}
    hall.add_host(TV, "10.5.50.77")
    return [(row["user"], row["mac-address"]) for row in hall.active()]


@pytest.mark.parametrize(
    ("mac_format", "spelt"),
    [("XX:XX:XX:XX:XX:XX", TV), ("XX-XX-XX-XX-XX-XX", "00-1D-BA-11-22-33"), ("XXXXXXXXXXXX", "001DBA112233")],
)
def test_a_tv_by_radius_is_put_out_however_the_router_spells_its_mac(box, world, hall, mac_format, spelt):
    asha = visitor()
    device = Device.create(grant=asha, mac=TV, created_at=box.now)
    assert by_mac(hall, mac_format) == [(spelt, TV)]
    accounted(asha, spelt, TV)
    hall.hotspot.profile_of(None)["login-by"] = "http-pap"  # else it is back before anybody looks
    guest_devices.remove(device, "guest", box.now)
    work(world)
    assert hall.active() == []


@pytest.mark.parametrize("spelt", ["XX:XX:XX:XX:XX:XX", "XXXXXX-XXXXXX"])
def test_a_pause_puts_a_tv_by_radius_out(box, world, hall, spelt):
    asha = visitor()
    Device.create(grant=asha, mac=TV, created_at=box.now)
    ((name, _),) = by_mac(hall, spelt)
    accounted(asha, name, TV)
    hall.hotspot.profile_of(None)["login-by"] = "http-pap"
    guest_logins.promise_kick(asha, "pause", "", datetime.now(UTC))
    work(world)
    assert hall.active() == []
    assert Session.get().ended_at is not None


class Orders(World):
    """Keeps which sessions were to be ended by a Disconnect."""

    def disconnect(self, row, session):
        told.append(session.login)


told: list[str] = []


def test_a_disconnect_knows_a_tv_in_any_spelling(box, world):
    Router.create(name="mute", host="127.0.0.1", mode="radius", radius_secret="at-least-8")
    asha = visitor()
    device = Device.create(grant=asha, mac=TV, created_at=box.now)
    accounted(asha, "001D:BA11:2233", TV)
    accounted(asha, "asha2345", PHONE)
    told.clear()
    guest_devices.remove(device, "guest", box.now)
    work(Orders(world.devices, world.settings))
    assert told == ["001D:BA11:2233"]


def test_only_what_the_router_was_told_is_booked_as_ended(box, world):
    Router.create(name="mute", host="127.0.0.1", mode="radius", radius_secret="at-least-8")
    asha = visitor()
    accounted(asha, "asha2345", PHONE)
    stayed(asha, OTHER, datetime.now(UTC))  # of which the accounting knows nothing
    told.clear()
    guest_logins.promise_kick(asha, "pause", "", datetime.now(UTC))
    work(Orders(world.devices, world.settings))
    assert told == ["asha2345"]
    assert {row.mac: row.ended_at is None for row in Session.select()} == {PHONE: False, OTHER: True}


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


def stayed(grant, mac, at, username=""):
    Session.create(
        key=f"{mac}{at}", source="router", router=Router.get(), grant=grant, mac=mac,
        username=username or grant.username, started_at=at, seen_at=at,
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


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda asha, now: guest_logins.kick_progress(asha, now), ("jobs_once", "routers_name")),
        (lambda asha, now: guest_logins.session_at("10.5.50.7", now), ("sessions_at",)),
        (lambda asha, now: guest_logins.open_sessions(asha, now), ("sessions_of",)),
        (lambda asha, now: guest_logins.of_mac(TV), ("devices_mac", "grants_mac", "sessions_mac")),
        (lambda asha, now: guest_logins.known_macs(), ("grants_live",)),
    ],
    ids=["how far a move is", "whose address", "a page", "whose device", "all devices"],
)
def test_what_a_page_asks_is_found_by_an_index_however_long_the_history(box, asha, ask, index):
    asked = []
    db.connection().set_trace_callback(asked.append)
    ask(asha, datetime.now(UTC))
    db.connection().set_trace_callback(None)
    found = [words for words in asked if words.lstrip().startswith("SELECT")]
    assert found
    for words in found:
        plan = [str(row[3]) for row in db.execute_sql("EXPLAIN QUERY PLAN " + words).fetchall()]
        assert any(name in step for name in index for step in plan), plan
        for step in plan:  # a table may be walked through only by a small index
            assert not step.startswith("SCAN") or "INDEX" in step or "CONSTANT" in step, plan


def test_an_old_wish_says_nothing_of_whether_the_router_is_back(box, world, router, asha):
    guest_logins.promise_kick(asha, "move", OTHER, datetime.now(UTC) - timedelta(hours=3))
    name, now = f"router:{Router.get().id}", datetime.now(UTC)
    Breaker.create(name=name, state="open", failures=7, opened=1, retry_at=now, changed_at=now)
    work(world)
    assert box.jobs("grant.move", "failed")
    assert Breaker.get(Breaker.name == name).state == "open"


def test_nobody_takes_another_guests_phone_for_a_tv(box, asha):
    juma = box.grant(box.paid(box.juma, mac=PHONE_OF_JUMA))
    asha.put(devices=3)
    with pytest.raises(BadInput, match="time of its own"):
        guest_devices.add(asha, PHONE_OF_JUMA, "", guest_devices.GUEST, box.now)
    assert guest_logins.of_mac(PHONE_OF_JUMA).id == juma.id
    assert guest_devices.add(asha, PHONE_OF_JUMA, "", "owner", box.now).mac == PHONE_OF_JUMA  # staff know why
