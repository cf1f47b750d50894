"""The right to be online: each router is brought to it for ever, with what is left of it."""

from datetime import timedelta

import pytest

from edge import jobs
from edge.domain import access, checks, comparison, convergence, payments
from edge.models import Grant, Job, Placement, Router
from edge.values.codes import mask_code
from edge.values.hotspot import KnownUser

AT_GATE = {"link-login-only": "http://10.5.50.1/login"}
AT_ATTIC = {"link-login-only": "http://10.5.60.1/login?dst=x"}


def status(box, payment):
    return payments.standing(payments.by_token(payment.token), box.now).status


def placement(grant, router):
    return Placement.get(Placement.grant == grant, Placement.router == router)


def place(box, payment, router):
    """The router was told: its job ends with the outcome."""
    grant = box.grant(payment)
    key = f"place:{grant.id}:{router.id}"
    Job.update(state="done").where(Job.unique_key == key, Job.state.in_(jobs.OPEN)).execute()
    access.record_placed(grant.id, router.id, box.now)


def give_up(box, payment, router, words="no answer"):
    """A whole round of tries came to nothing."""
    grant = box.grant(payment)
    key = f"place:{grant.id}:{router.id}"
    Job.update(state="failed").where(Job.unique_key == key, Job.state.in_(jobs.OPEN)).execute()
    access.record_not_placed(grant.id, router.id, words, box.now)


def known(grant, **more):
    """The grant as the router's table has it, when nothing is wrong."""
    told = {
        "name": grant.username, "comment": f"edge:{grant.id}",
        "profile": comparison.profile_of(grant, grant.devices).name,
        "disabled": False, "uptime_s": 0, "bytes_used": 0, "limit_s": grant.seconds * grant.devices,
        "limit_bytes": grant.bytes or 0,
    }  # fmt: skip
    return KnownUser(**{**told, **more})


def stranger(name, comment=""):
    return KnownUser(name, comment, "default", False, 0, 0)


def wanted(box):
    """The routers that somebody is on his way to tell."""
    return [job.args["router_id"] for job in box.jobs("grant.place", *jobs.OPEN)]


def test_a_payment_is_wanted_on_every_local_router_in_its_lane(box, gate, attic):
    cellar = box.router("cellar", mode="radius")
    payment = box.paid()
    promised = box.jobs("grant.place")
    assert [(job.lane, job.queue, job.cause) for job in promised] == [
        (f"router:{router.id}", "provisioning", f"grant:{box.grant(payment).id}") for router in (gate, attic)
    ]
    assert cellar.id not in wanted(box)


def test_locally_the_time_begins_when_a_router_has_the_guest(box, gate):
    payment = box.paid()
    box.after(minutes=30)
    assert (box.grant(payment).starts_at, status(box, payment)) == (None, "paid")
    assert access.seconds_left(box.grant(payment), box.now) == 3600
    place(box, payment, gate)
    grant = box.grant(payment)
    assert (grant.starts_at, grant.ends_at) == (box.now, box.now + timedelta(hours=1))
    assert status(box, payment) == "online"


def test_by_radius_the_time_begins_with_the_commit_and_he_is_in_at_once(box):
    box.router("cellar", mode="radius")
    payment = box.paid()
    assert box.grant(payment).starts_at == box.now
    assert status(box, payment) == "online"
    assert wanted(box) == []


def test_a_second_placement_starts_no_second_hour(box, gate, attic):
    payment = box.paid()
    place(box, payment, gate)
    began = box.grant(payment).ends_at
    box.after(minutes=10)
    place(box, payment, attic)
    place(box, payment, gate)
    assert box.grant(payment).ends_at == began
    assert [event["router"] for event in box.events("user.provisioned")] == ["gate", "attic"]


def test_online_means_the_router_where_he_stands(box, gate, attic):
    payment = box.paid(context=AT_ATTIC)
    place(box, payment, gate)
    assert (box.grant(payment).router, status(box, payment)) == (attic, "paid")
    place(box, payment, attic)
    assert status(box, payment) == "online"


@pytest.mark.parametrize(
    "context, before, after",
    [(AT_GATE, "paid", "online"), ({"link-login-only": "http://cellar.test/login"}, "online", "online"),
     ({}, "paid", "online")],
)  # fmt: skip
def test_with_routers_of_both_kinds_he_is_online_where_he_stands(box, gate, context, before, after):
    box.router("cellar", mode="radius")
    payment = box.paid(context=context)
    assert box.grant(payment).starts_at == box.now
    assert status(box, payment) == before
    place(box, payment, gate)
    assert status(box, payment) == after


@pytest.mark.parametrize(
    "link, home",
    [("http://10.5.50.1/login", "gate"), ("http://GATE.wifi:8080/x", "gate"), ("https://10.5.60.1", "attic"),
     ("http://evil.example/", None), ("", None), ("http://[broken", None), ("10.5.50.1", None)],
)  # fmt: skip
def test_where_he_stands_is_told_by_the_login_page_that_sent_him(box, gate, attic, link, home):
    gate.put(login_url="http://gate.wifi/login")
    found = access.home_of({"link-login-only": link}, list(Router.select()))
    assert (found and found.name) == home
    twin = box.router("twin", host="10.5.50.1")
    assert access.home_of(AT_GATE, [gate, twin]) is None


def test_a_grant_keeps_when_its_router_is_removed(box, gate):
    payment = box.paid(context=AT_GATE)
    Placement.delete().execute()
    gate.delete_instance()
    assert box.grant(payment).router is None
    access.record_placed(box.grant(payment).id, 1, box.now)  # the router was told while it was removed
    access.record_not_placed(box.grant(payment).id, 1, "no answer", box.now)
    assert convergence.sweep_if_due(box.now) == 0


# For ever, and without noise


def test_a_router_that_says_no_gets_another_round_every_five_minutes_and_one_alarm(box, gate):
    payment = box.paid()
    for _ in range(3):
        give_up(box, payment, gate, "wrong password")
        convergence.sweep_if_due(box.after(minutes=4))
        assert wanted(box) == []
        convergence.sweep_if_due(box.after(minutes=1, seconds=1))
        assert wanted(box) == [gate.id]
    assert len(box.events("provisioning.failed")) == 1
    assert placement(box.grant(payment), gate).words == "wrong password"
    place(box, payment, gate)
    Placement.update(state="wanted").execute()
    convergence.sweep_if_due(box.now)
    give_up(box, payment, gate, "another trouble")
    assert len(box.events("provisioning.failed")) == 2


def test_while_a_router_is_known_to_be_away_nothing_is_promised_again_and_again(box, gate):
    payment = box.paid()
    checks.record_router(gate.id, False, "no answer", box.now)
    give_up(box, payment, gate)
    before = Job.select().count()
    for _ in range(59):
        convergence.sweep_if_due(box.after(minutes=1))
    assert Job.select().count() == before
    convergence.sweep_if_due(box.after(minutes=2))
    assert wanted(box) == [gate.id]  # an hourly round all the same: its check may be the thing that is broken
    give_up(box, payment, gate)
    assert len(box.events("provisioning.failed")) == 1


def test_a_router_that_is_back_gets_everything_at_once(box, gate, attic):
    asha, juma, njeri = box.paid(), box.paid(box.juma), box.paid(box.njeri)
    checks.record_router(gate.id, False, "no answer", box.now)
    give_up(box, asha, gate)
    give_up(box, asha, attic)
    waits = Job.get(Job.unique_key == f"place:{box.grant(juma).id}:{gate.id}")
    waits.put(state="scheduled", attempt=3, run_at=box.now + timedelta(minutes=2))
    place(box, njeri, gate)
    assert checks.record_router(gate.id, True, "RouterOS 7.15", box.after(seconds=30))
    here = [job for job in box.jobs("grant.place", "waiting") if job.args["router_id"] == gate.id]
    assert sorted(job.args["grant_id"] for job in here) == [box.grant(asha).id, box.grant(juma).id]
    assert all(job.run_at <= box.now for job in here)
    still = {job.unique_key for job in box.jobs("grant.place", *jobs.OPEN)}
    assert f"place:{box.grant(asha).id}:{attic.id}" not in still  # the other router waits for its own round


def test_a_wish_with_no_job_is_promised_again(box, gate):
    box.paid()
    Job.delete().execute()
    assert convergence.sweep_if_due(box.now) == 0
    assert wanted(box) == [gate.id]


def test_a_new_router_gets_everybody_who_has_paid(box, gate):
    payment = box.paid()
    place(box, payment, gate)
    attic = box.router("attic", host="10.5.60.1")
    convergence.sweep_if_due(box.after(minutes=1))
    assert wanted(box) == [attic.id]
    assert placement(box.grant(payment), attic).state == "wanted"


def test_when_a_router_asks_radius_from_now_on_no_right_waits_to_begin(box, gate):
    payment = box.paid()
    gate.put(mode="radius")
    convergence.sweep_if_due(box.after(minutes=1))
    assert box.grant(payment).starts_at == box.now


def test_a_router_that_lost_a_guest_gets_him_again_and_one_that_kept_him_too_long_is_told(box, gate):
    asha, juma, njeri = box.paid(), box.paid(box.juma), box.paid(box.njeri)
    for payment in (asha, juma, njeri):
        place(box, payment, gate)
    Grant.update(state="ended", why_ended="time").where(Grant.id == box.grant(njeri).id).execute()
    Placement.update(state="gone").where(Placement.grant == box.grant(njeri)).execute()
    here = [known(box.grant(asha)), known(box.grant(njeri)), *(stranger(f"n{i}") for i in range(1200))]
    look = comparison.look_at(gate.id, here, [], box.now)
    assert len(look.strangers) == 1200
    assert convergence.record(gate.id, look, box.now) == 1
    assert [job.args["grant_id"] for job in box.jobs("grant.place", "waiting")] == [box.grant(juma).id]
    assert [job.args["grant_id"] for job in box.jobs("grant.withdraw", "waiting")] == [box.grant(njeri).id]
    assert convergence.record(gate.id, comparison.look_at(gate.id, here, [], box.now), box.now) == 0


# The end


def test_when_the_time_is_over_every_router_is_told(box, gate, attic):
    payment = box.paid()
    place(box, payment, gate)
    place(box, payment, attic)
    assert convergence.sweep_if_due(box.after(minutes=59)) == 0
    assert convergence.sweep_if_due(box.after(minutes=1)) == 1
    assert status(box, payment) == "ended"
    assert [job.args["router_id"] for job in box.jobs("grant.withdraw", "waiting")] == [gate.id, attic.id]
    assert access.seconds_left(box.grant(payment), box.now) == 0
    access.record_gone(box.grant(payment).id, gate.id, box.now)
    assert placement(box.grant(payment), gate).state == "gone"
    assert placement(box.grant(payment), attic).state == "leaving"


def test_a_withdrawal_that_fails_is_tried_again_next_round(box, gate):
    payment = box.paid()
    place(box, payment, gate)
    convergence.sweep_if_due(box.after(minutes=61))
    Job.update(state="failed").where(Job.name == "grant.withdraw").execute()
    access.record_not_withdrawn(box.grant(payment).id, gate.id, "no answer", box.now)
    convergence.sweep_if_due(box.after(minutes=4))
    assert box.jobs("grant.withdraw", *jobs.OPEN) == []
    convergence.sweep_if_due(box.after(minutes=2))
    assert len(box.jobs("grant.withdraw", "waiting")) == 1
    assert box.events("provisioning.failed") == []


def test_a_router_told_just_when_the_time_ended_is_told_to_forget(box, gate):
    payment = box.paid()
    place(box, payment, gate)
    convergence.sweep(box.after(minutes=61))
    access.record_placed(box.grant(payment).id, gate.id, box.now)
    assert placement(box.grant(payment), gate).state == "leaving"
    assert box.jobs("grant.withdraw", "waiting")


def test_no_two_guests_have_one_code(box, gate, monkeypatch):
    letters = iter("AAAAAAAA" * 2 + "BBBBBBBB")
    monkeypatch.setattr(access.secrets, "choice", lambda alphabet: next(letters))
    asha, juma = box.paid(), box.paid(box.juma)
    assert (box.grant(asha).username, box.grant(juma).username) == ("AAAAAAAA", "BBBBBBBB")


def test_codes_are_easy_to_read_aloud_and_pins_have_four_digits(box, gate):
    grant = box.grant(box.paid())
    assert set(grant.username) <= set(access.ALPHABET) and len(grant.username) == 8
    assert not set("01OIL") & set(access.ALPHABET)
    assert grant.password.isdecimal() and len(grant.password) == 4
    assert mask_code("ABCDEFGH") == "AB••••••"
