"""Bought again while time is left: it adds up under one code, and comes out again when its money went back."""

from datetime import timedelta

import pytest

from edge.database import db
from edge.domain import access, convergence, plans, renewal
from edge.handlers import network as handlers
from edge.models import Grant, Job, Placement, Plan
from edge.network_models import Session

PHONE, WIFES = "AC:DE:48:00:11:22", "AC:DE:48:00:99:88"
PRIVATE, OTHER_PRIVATE = "A6:DE:48:00:11:22", "A6:DE:48:00:11:33"


LIVE = Grant.state == "live"


def give(box, plan=None, *, msisdn=None, mac="", **more):
    told = box.asha if msisdn is None else msisdn
    return access.give(plan or Plan.get_by_id(1), "payment", box.now, msisdn=told, mac=mac, **more)


def begun(box, router, plan=None, **more):
    """A right that its router lets in since just now."""
    grant = give(box, plan, **more)
    access.record_placed(grant.id, router.id, box.now)
    Job.update(state="done").where(Job.name == "grant.place").execute()
    return Grant.get_by_id(grant.id)


def again(grant):
    return Grant.get_by_id(grant.id)


def test_an_hour_bought_while_twelve_minutes_are_left_makes_seventy_two(box, gate):
    old = begun(box, gate)
    box.after(minutes=48)
    new = give(box)
    force = renewal.join(new, box.now)
    assert (force.id, force.state, access.seconds_left(force, box.now)) == (old.id, "live", 72 * 60)
    assert (force.seconds, force.ends_at) == (7200, old.ends_at + timedelta(hours=1))
    new = again(new)
    assert (new.state, new.why_ended, new.joined_id) == ("ended", "joined", old.id)
    assert renewal.in_force(new).id == old.id
    assert box.events("grant.renewed")[0]["seconds"] == 3600


def test_the_router_hears_of_the_new_end_and_never_of_the_new_code(box, gate):
    old = begun(box, gate)
    new = give(box)
    renewal.join(new, box.now)
    wanted = [(job.args["grant_id"], job.state) for job in box.jobs("grant.place") if job.state != "done"]
    assert wanted == [(new.id, "cancelled"), (old.id, "waiting")]
    assert Placement.get(Placement.grant == new).state == "gone"
    assert box.jobs("grant.withdraw") == [] and convergence.sweep_if_due(box.now) == 0


def test_a_router_that_was_told_of_the_new_code_just_now_forgets_it_again(box, gate):
    begun(box, gate)
    new = give(box)
    Job.update(state="running").where(Job.name == "grant.place", Job.state == "waiting").execute()
    renewal.join(new, box.now)
    assert Placement.get(Placement.grant == new).state == "leaving"
    assert [job.args["grant_id"] for job in box.jobs("grant.withdraw", "waiting")] == [new.id]
    access.record_placed(new.id, gate.id, box.now)
    assert Placement.get(Placement.grant == new).state == "leaving"


def test_radius_reads_the_new_end(box):
    box.router("gate", mode="radius")
    old = give(box)
    renewal.join(give(box), box.now)
    left = db.execute_sql("SELECT seconds_left FROM radius_rights WHERE username = ?", (old.username,)).fetchone()[0]
    assert left == 7200


def test_data_and_time_of_use_add_up_too(box, gate):
    plan = plans.add(name="Use", price_cents=2000, seconds=3600, bytes=10**9, metered=True, valid_s=86_400)
    old = begun(box, gate, plan)
    Placement.update(used_s=3000, used_bytes=900_000_000).where(Placement.grant == old).execute()
    box.after(hours=5)
    force = renewal.join(give(box, plan), box.now)
    assert access.left(force, box.now) == access.Left(600 + 3600, 1_100_000_000)
    assert force.ends_at == box.now + timedelta(days=1)  # the day of the later one


def test_one_that_has_not_begun_begins_with_the_sum(box, gate):
    old = give(box)
    renewal.join(give(box), box.now)
    access.record_placed(old.id, gate.id, box.now)
    assert again(old).ends_at == box.now + timedelta(hours=2)


def test_a_third_is_added_to_the_first(box, gate):
    old = begun(box, gate)
    joined = [renewal.join(give(box), box.now) for _ in range(3)]
    assert {grant.id for grant in joined} == {old.id}
    assert again(old).seconds == 4 * 3600
    new = Grant.get(Grant.joined == old)
    assert renewal.join(new, box.now).id == old.id and again(old).seconds == 4 * 3600  # and harmless to repeat


def test_he_is_reminded_again_before_the_new_end(box, gate):
    old = begun(box, gate)
    old.put(reminded_at=box.now)
    renewal.join(give(box), box.now)
    assert again(old).reminded_at is None


def other(box, **columns):
    return plans.add(name="Other", price_cents=2000, seconds=3600, **columns)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"msisdn": "254722000111"}),  # another phone
        ({}, {"msisdn": ""}),  # nobody knows whose
        ({"msisdn": "", "mac": PHONE}, {"msisdn": "", "mac": PHONE}),  # an address that anybody can copy
        ({}, {"provisional": True}),
        ({"provisional": True}, {}),
        ({"mac": PHONE}, {"mac": WIFES}),  # two devices with their true addresses
    ],
)
def test_what_may_be_another_guests_has_a_code_of_its_own(box, gate, old, new):
    first, second = begun(box, gate, **old), give(box, **new)
    assert renewal.join(second, box.now).id == second.id
    assert (again(first).seconds, again(second).state) == (3600, "live")
    assert [job.args["grant_id"] for job in box.jobs("grant.place", "waiting")] == [second.id]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"mac": PRIVATE}, {"mac": OTHER_PRIVATE}),  # the phone made up another address today
        ({"mac": PHONE}, {"mac": ""}),
        ({"mac": PHONE}, {"mac": PHONE}),
    ],
)
def test_the_same_guest_is_known_by_his_phone(box, gate, old, new):
    first = begun(box, gate, **old)
    assert renewal.join(give(box, **new), box.now).id == first.id


@pytest.mark.parametrize(("online", "joins"), [(PRIVATE, False), (OTHER_PRIVATE, True)])
def test_one_phone_may_pay_for_two_people(box, gate, online, joins):
    """Juma is online on the first; what is paid before another device is for that one."""
    old = begun(box, gate, mac=PRIVATE)
    Session.create(
        grant=old, router=gate, source="api", key="1", username=old.username, mac=online, ip="10.5.50.9",
        started_at=box.now, seen_at=box.now,
    )  # fmt: skip
    new = give(box, mac=OTHER_PRIVATE)
    assert (renewal.join(new, box.now).id == old.id) is joins


def test_other_plans_other_terms_and_plans_that_do_not_join_keep_apart(box, gate):
    begun(box, gate)
    plan = other(box)
    new = give(box, plan)
    assert renewal.join(new, box.now).id == new.id
    plans.change(plan, rate="5M/9M")  # who bought before keeps the old rate
    newer = give(box, plans.get(plan.id))
    assert renewal.join(newer, box.now).id == newer.id
    alone = other(box, joins=False)
    begun(box, gate, alone)
    own = give(box, alone)
    assert renewal.join(own, box.now).id == own.id


def test_one_that_ends_at_the_same_moment_is_not_joined(box, gate):
    """Nothing is left of it: the router has cut him off, and the sweep is about to end it."""
    old = begun(box, gate)
    box.after(hours=1)
    new = give(box)
    assert renewal.join(new, box.now).id == new.id
    convergence.sweep(box.now)
    assert (again(old).state, again(new).state) == ("ended", "live")


def test_one_that_ended_while_it_was_looked_at_loses_nothing(box, gate, monkeypatch):
    old = begun(box, gate)
    new = give(box)
    looked = renewal._is_over

    def ended_meanwhile(grant, now):
        was_over = looked(grant, now)
        Grant.update(state="ended", why_ended="staff").where(Grant.id == old.id).execute()
        return was_over

    monkeypatch.setattr(renewal, "_is_over", ended_meanwhile)
    assert renewal.join(new, box.now).id == new.id
    kept = again(new)
    assert (kept.state, kept.why_ended, kept.joined_id, kept.seconds) == ("live", "", None, 3600)
    assert again(old).seconds == 3600


def test_payments_at_once_all_count(box, gate, at_once):
    old = begun(box, gate)
    news = [give(box) for _ in range(8)]
    answers = at_once(lambda number: renewal.join(news[number], box.now), 8)
    assert {answer.id for answer in answers} == {old.id} == {grant.id for grant in Grant.select().where(LIVE)}
    assert again(old).seconds == 9 * 3600


def test_the_place_job_tells_the_router_the_sum(box, gate):
    old = begun(box, gate)
    box.after(minutes=48)
    renewal.join(give(box), box.now)
    told = []

    class World:
        def router(self, row):
            return self

        def admit(self, user):
            told.append(user.seconds_left)

    handlers.place_grant(World(), box.now, old.id, gate.id)(box.now)
    assert told == [72 * 60]


def test_money_that_goes_back_takes_its_time_along(box, gate):
    old = begun(box, gate)
    new = give(box)
    renewal.join(new, box.now)
    Job.update(state="done").execute()
    box.after(minutes=30)
    assert renewal.unjoin(again(new), "refunded", box.now).id == old.id
    assert access.seconds_left(again(old), box.now) == 30 * 60
    assert (again(new).why_ended, again(old).state) == ("refunded", "live")
    assert [job.args["grant_id"] for job in box.jobs("grant.place", "waiting")] == [old.id]
    renewal.take_back(again(new), "refunded", box.now)  # harmless to repeat
    assert access.seconds_left(again(old), box.now) == 30 * 60


def test_time_that_is_used_up_already_ends_with_its_money(box, gate):
    old = begun(box, gate)
    new = give(box)
    renewal.join(new, box.now)
    box.after(minutes=90)
    renewal.take_back(again(new), "reversed", box.now)
    assert (again(old).state, again(old).why_ended) == ("ended", "reversed")


def test_the_first_ones_money_goes_back_and_what_was_added_stays(box, gate):
    old = begun(box, gate)
    renewal.join(give(box), box.now)
    box.after(minutes=10)
    renewal.take_back(again(old), "refunded", box.now)
    for _ in range(2):  # given back in cash, and then M-Pesa sends it back too: others' time is not touched
        renewal.take_back(again(old), "reversed", box.now)
        assert (again(old).state, access.seconds_left(again(old), box.now)) == ("live", 50 * 60)


def test_one_that_nobody_added_to_ends_when_its_money_goes_back(box, gate):
    old = begun(box, gate)
    renewal.take_back(old, "refunded", box.now)
    assert (again(old).state, again(old).why_ended) == ("ended", "refunded")


def test_the_guest_is_told_before_and_after(box, gate):
    old = begun(box, gate)
    box.after(minutes=48)
    words = renewal.words_before(old, box.now, is_sold=True)
    assert words.startswith("You have 12 minutes left of 1 hour. If you buy 1 hour again")
    assert "a code of its own" in renewal.words_before(old, box.now, is_sold=False)
    payment = box.pending()
    payment.put(receipt="UC25T00001")
    text = renewal.text(payment, renewal.join(give(box), box.now), box.now)
    assert "Added: you have 1 hour 12 minutes now" in text and old.username in text and "UC25T00001" in text


def test_a_second_payment_of_the_same_phone_is_one_code_with_both_hours(box, gate):
    first, second = box.paid(), box.paid()
    force = renewal.in_force(box.grant(second))
    assert (force.id, force.seconds) == (box.grant(first).id, 7200)
    assert Grant.select().where(LIVE).count() == 1
    assert force.username in second.messages.get().text
