"""What a look at a router finds, and what follows: lost, changed by hand, used up, over, and nobody's."""

from datetime import timedelta

import pytest

from edge import jobs
from edge.database import db
from edge.domain import access, checks, comparison, convergence
from edge.models import Grant, Job, Placement, Plan
from edge.network_models import Device, Session
from edge.values.hotspot import ActiveSession, KnownUser
from tests.test_access import known, place, placement, stranger

GB = 10**9


def paid(box, router, **columns):
    """A guest who is let in at this router, with what his plan says of time and data."""
    if columns:
        Plan.update(**columns).execute()
    payment = box.paid()
    place(box, payment, router)
    return box.grant(payment)


def session(grant, uptime_s=0, bytes_in=0, bytes_out=0, mac="AA:BB:CC:DD:EE:01"):
    return ActiveSession(grant.username, mac, "10.5.50.7", uptime_s, bytes_in, bytes_out, None)


def look(box, router, users, active=()):
    found = comparison.look_at(router.id, users, active, box.now)
    convergence.record(router.id, found, box.now)
    return found


def test_a_router_that_has_everybody_as_he_should_be_is_left_alone(box, gate):
    grant = paid(box, gate)
    before = Job.select().count()
    found = look(box, gate, [known(grant)])
    assert (found.counts, found.wanted, found.over, found.ghosts, found.strangers) == ([], {}, {}, [], [])
    assert Job.select().count() == before


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"disabled": True}, "disabled"),
        ({"profile": "vip"}, "another profile"),
        ({"limit_s": 0}, "stay too long"),
        ({"limit_s": 60}, "too early"),
        ({"limit_bytes": GB}, "limit of data"),
    ],
)
def test_a_guest_whom_somebody_changed_by_hand_is_put_right(box, gate, changed, words):
    grant = paid(box, gate)
    look(box, gate, [known(grant, **changed)])
    assert placement(grant, gate).state == "wanted"
    assert words in placement(grant, gate).words
    assert [job.args["grant_id"] for job in box.jobs("grant.place", "waiting")] == [grant.id]


def test_a_guest_given_a_day_by_hand_is_put_right_when_he_comes(box, gate):
    grant = paid(box, gate)
    assert look(box, gate, [known(grant, limit_s=86_400)]).wanted == {}
    look(box, gate, [known(grant, limit_s=86_400)], [session(grant, uptime_s=5)])
    assert "stay too long" in placement(grant, gate).words


def test_time_given_back_after_an_outage_reaches_the_router(box, gate):
    grant = paid(box, gate)
    grant.put(ends_at=grant.ends_at + timedelta(minutes=30), credited_s=1800)
    look(box, gate, [known(grant)])
    assert "too early" in placement(grant, gate).words


def test_a_guest_who_rests_keeps_his_time_on_the_router_for_the_calendar_ends_it(box, gate):
    grant = paid(box, gate)
    box.after(minutes=50)
    assert look(box, gate, [known(grant)]).wanted == {}


def test_data_is_counted_over_sessions_and_running_ones(box, gate):
    grant = paid(box, gate, bytes=2 * GB)
    users = [known(grant, bytes_used=GB // 2)]
    look(box, gate, users, [session(grant, bytes_in=GB // 4, bytes_out=GB // 4)])
    assert access.left(grant, box.now).bytes == GB
    look(box, gate, users, [session(grant, bytes_in=GB // 4, bytes_out=GB // 4)])
    assert access.left(grant, box.now).bytes == GB  # the same counters mean nothing more


def test_when_the_data_is_used_up_the_right_is_over_and_says_why(box, gate):
    grant = paid(box, gate, bytes=GB)
    look(box, gate, [known(grant, bytes_used=GB + 1)])
    ended = Grant.get_by_id(grant.id)
    assert (ended.state, ended.why_ended) == ("ended", "data")
    assert [job.args["grant_id"] for job in box.jobs("grant.withdraw", "waiting")] == [grant.id]
    assert [event["why"] for event in box.events("grant.ended")] == ["data"]


def test_metered_time_runs_only_while_he_is_online(box, gate):
    grant = paid(box, gate, metered=True)
    assert grant.ends_at is None
    box.after(days=2)
    look(box, gate, [known(grant, uptime_s=600)], [session(grant, uptime_s=300)])
    assert access.left(grant, box.now).seconds == 3600 - 900
    assert convergence.sweep_if_due(box.now) == 0
    look(box, gate, [known(grant, uptime_s=3600)])
    assert (Grant.get_by_id(grant.id).state, Grant.get_by_id(grant.id).why_ended) == ("ended", "time")


def test_metered_time_used_at_one_router_is_gone_at_the_other(box, gate, attic):
    grant = paid(box, gate, metered=True)
    access.record_placed(grant.id, attic.id, box.now)
    look(box, gate, [known(grant, uptime_s=1800)])
    assert look(box, attic, [known(grant)]).wanted == {}  # he is not there, and each minute it would be another limit
    found = look(box, attic, [known(grant)], [session(grant, uptime_s=5)])
    assert list(found.wanted.values()) == ["the router would have let this guest stay too long"]


def test_a_router_that_was_reset_counts_from_nought_and_nothing_used_comes_back(box, gate):
    grant = paid(box, gate, bytes=2 * GB)
    look(box, gate, [known(grant, bytes_used=GB, uptime_s=600)])
    look(box, gate, [])
    assert placement(grant, gate).state == "wanted"
    access.record_placed(grant.id, gate.id, box.now)
    look(box, gate, [known(grant, bytes_used=GB // 2, uptime_s=60, limit_bytes=GB)])
    assert access.used(grant) == (660, GB + GB // 2)


def test_a_session_that_ends_between_the_two_questions_is_not_counted_twice(box, gate):
    grant = paid(box, gate, bytes=2 * GB)
    look(box, gate, [known(grant)], [session(grant, uptime_s=600, bytes_out=GB)])
    look(box, gate, [known(grant)])  # asked before it ended, and after
    look(box, gate, [known(grant, uptime_s=600, bytes_used=GB)])
    assert access.used(grant) == (600, GB)


def test_what_radius_counted_is_used_as_well(box, gate):
    grant = paid(box, gate, bytes=2 * GB)
    db.execute_sql(
        "INSERT INTO radacct (acctuniqueid, username, acctsessiontime, acctinputoctets, acctoutputoctets)"
        " VALUES ('a', ?, 60, ?, ?)",
        (grant.username, GB // 2, GB // 2),
    )
    assert access.left(grant, box.now).bytes == GB


def test_users_that_nobody_granted_are_found_and_not_touched(box, gate):
    grant = paid(box, gate)
    foreign = [stranger("vc-1", "up-123"), stranger("ZZZZ2222", "edge:77")]
    found = look(box, gate, [known(grant), *foreign])
    assert found.strangers == foreign
    assert found.ghosts == []


def test_his_tv_is_owed_too(box, gate):
    grant = paid(box, gate)
    Device.create(grant=grant, mac="AA:BB:CC:00:00:0A", created_at=box.now)
    found = look(box, gate, [known(grant)])
    assert list(found.wanted.values()) == ["the router had lost this guest"]
    profile = comparison.profile_of(grant, 1).name
    tv = KnownUser("AA:BB:CC:00:00:0A", f"edge:{grant.id}", profile, False, 0, 0, 3600, 0)
    Placement.update(state="there").execute()
    found = look(box, gate, [known(grant), tv])
    assert (found.wanted, found.strangers) == ({}, [])


def test_a_tv_takes_one_of_the_places_of_its_plan(box, gate):
    grant = paid(box, gate, devices=3)
    Device.create(grant=grant, mac="AA:BB:CC:00:00:0A", created_at=box.now)
    own, tv = comparison.users_of(grant, access.left(grant, box.now))
    assert (own.profile.devices, own.seconds_left, own.mac) == (2, 7200, "")
    assert (tv.profile.devices, tv.seconds_left, tv.mac) == (1, 3600, "AA:BB:CC:00:00:0A")
    names = {own.profile.name, tv.profile.name, comparison.profile_of(Grant(plan=1, rate="2M/5M"), 12).name}
    assert len(names) == 3
    assert not any(one != other and other.startswith(one) for one in names for other in names)


def test_a_tv_that_comes_and_goes_gives_no_data_back(box, gate):
    grant = paid(box, gate, bytes=10 * GB, devices=2)
    tv = Device.create(grant=grant, mac="AA:BB:CC:00:00:0A", created_at=box.now)
    rows = {user.name: user for user in comparison.users_of(grant, access.left(grant, box.now))}

    def row(name, used):
        user = rows[name]
        return KnownUser(name, user.comment, user.profile.name, False, 0, used, user.seconds_left, 10 * GB + used)

    look(box, gate, [row(grant.username, 2 * GB), row(tv.mac, 6 * GB)])
    assert access.used(grant)[1] == 8 * GB
    tv.delete_instance()
    look(box, gate, [row(grant.username, 3 * GB)])
    assert access.used(grant)[1] == 9 * GB
    look(box, gate, [row(grant.username, 4 * GB)])
    assert access.left(grant, box.now).bytes == 0


def test_one_row_written_anew_counts_no_other_again(box, gate):
    grant = paid(box, gate, bytes=20 * GB, devices=2)
    tv = Device.create(grant=grant, mac="AA:BB:CC:00:00:0A", created_at=box.now)

    def row(name, used):
        return KnownUser(name, f"edge:{grant.id}", "x", False, 0, used, 3600, 20 * GB)

    look(box, gate, [row(grant.username, GB), row(tv.mac, 6 * GB)])
    look(box, gate, [row(tv.mac, 6 * GB)])
    access.record_placed(grant.id, gate.id, box.now)
    look(box, gate, [row(grant.username, 0), row(tv.mac, 6 * GB)])
    assert access.used(grant)[1] == 7 * GB


def test_metered_time_is_told_to_a_router_once_and_not_for_each_device(box, gate):
    grant = paid(box, gate, metered=True, devices=2)
    assert comparison.users_of(grant, access.left(grant, box.now))[0].seconds_left == 3600


def test_a_silent_guest_is_logged_out_by_the_router_when_his_plan_says_so(box, gate):
    profile = comparison.profile_of(Grant(plan=1, rate="2M/5M", idle_s=600), 1)
    assert (profile.idle_s, profile.name) == (600, "edge-plan-00001-2M/5M-600s-001")


def test_whoever_is_over_is_taken_off_a_router_that_was_forgotten_and_added_anew(box, gate):
    grant = paid(box, gate)
    access.end(grant, "time", box.now)
    Placement.delete().execute()
    Job.delete().execute()
    look(box, gate, [known(grant)])
    assert [job.args["grant_id"] for job in box.jobs("grant.withdraw", "waiting")] == [grant.id]


def test_a_right_that_is_being_taken_over_is_no_ghost(box, gate):
    grant = paid(box, gate)
    Placement.delete().execute()
    grant.put(state="ended", why_ended="")
    found = look(box, gate, [known(grant)])
    assert (found.ghosts, found.strangers) == ([], [])


def test_a_router_that_is_gone_for_days_keeps_nobodys_time_from_ending(box, gate, attic):
    grant = paid(box, gate)
    grant.put(router=attic.id)
    checks.record_router(attic.id, False, "no answer", box.now)
    assert convergence.sweep_if_due(box.after(hours=2)) == 0
    assert convergence.sweep_if_due(box.after(days=3)) == 1


def test_who_is_online_elsewhere_has_his_end_though_his_router_is_away(box, gate, attic):
    grant = paid(box, gate)
    grant.put(router=attic.id)
    checks.record_router(attic.id, False, "no answer", box.now)
    now = box.after(hours=2)
    Session.create(key="a", source="router", router=gate, grant=grant, started_at=now, seen_at=now)
    assert convergence.sweep_if_due(now) == 1


def test_a_tv_that_is_refused_is_tried_next_round_and_keeps_nobody_out(box, gate):
    grant = paid(box, gate, devices=2)
    Device.create(grant=grant, mac="AA:BB:CC:00:00:0A", created_at=box.now)
    profile = comparison.profile_of(grant, 1).name
    access.record_placed(grant.id, gate.id, box.now, "a user of that name stands there")
    assert look(box, gate, [known(grant, profile=profile)]).wanted == {}
    box.after(minutes=6)
    assert look(box, gate, [known(grant, profile=profile)]).wanted


def test_a_crowd_is_brought_by_one_job_and_a_new_guest_goes_before_it(box, gate):
    guests = [box.paid(f"2547000000{n:02d}") for n in range(12)]
    for payment in guests:
        place(box, payment, gate)
    look(box, gate, [])
    new = box.paid(box.juma)
    assert [job.args for job in box.jobs("router.sync", "waiting")] == [{"router_id": gate.id}]
    job = jobs.claim("provisioning", "us", box.now)
    assert (job.name, job.args["grant_id"]) == ("grant.place", box.grant(new).id)
    slice_ = convergence.next_slice(gate.id, box.now)
    assert [due.grant.id for due in slice_] == sorted((box.grant(guest).id for guest in guests), reverse=True)


def test_a_slice_is_written_down_at_once_and_the_next_is_promised(box, gate):
    guests = [box.paid(f"2547000000{n:02d}") for n in range(12)]
    for payment in guests[:6]:
        place(box, payment, gate)
    Placement.update(state="wanted").execute()
    Job.delete().execute()
    ids = [box.grant(guest).id for guest in guests]
    convergence.record_slice(gate.id, dict.fromkeys(ids[:10], ""), {ids[10]: "no"}, True, box.now)
    states = [placement(grant_id, gate).state for grant_id in ids]
    assert states == ["there"] * 10 + ["wanted"] * 2
    assert Grant.get_by_id(ids[9]).starts_at == box.now
    assert placement(ids[10], gate).words == "no"
    assert len(box.jobs("router.sync", "waiting")) == 1
