"""What people, workers and gateways do to a campaign at the wrong moment: nobody twice, nobody lost, no credit kept."""

import json
import logging
from datetime import timedelta
from itertools import islice
from urllib.parse import urlencode

import pytest

from edge import desk, holder, jobs, tasks
from edge.database import db
from edge.devices.opening import Devices
from edge.domain import (
    breakers,
    campaign_lists,
    campaign_run,
    campaigns,
    clock,
    contacts,
    credits,
    inbox,
    messages,
    plans,
    queues,
    quiet_hours,
    routing,
    sms_hooks,
)
from edge.errors import BadInput
from edge.handlers.world import World
from edge.models import Breaker, Event, Job, Message, Staff
from edge.settings import Settings
from edge.settings_sections import AfricasTalking, Sms, Twilio
from edge.simulators.sms_gateway import API_KEY, AUTH_TOKEN, USERNAME, SmsGatewaySimulator
from edge.simulators.sms_wires import ACCOUNT_SID, report_of
from edge.sms_models import Campaign, Notification
from edge.values.sms_callbacks import read
from tests.conftest import NOW

ASHA, JUMA = "254712345678", "254722000111"
SOON, MORNING = NOW + timedelta(minutes=10), NOW + timedelta(days=1)


@pytest.fixture
def gateway():
    with SmsGatewaySimulator() as simulator:
        simulator.reports = False
        yield simulator


@pytest.fixture
def njeri(box):
    credits.top_up(1_000, "", None, NOW)
    return Staff.create(name="Njeri", role="owner", password_hash="", created_at=NOW)


@pytest.fixture
def world(box, gateway):
    """Texts leave by Africa's Talking, then by Twilio."""
    url = gateway.base_url
    told = Sms(
        africastalking=AfricasTalking(USERNAME, API_KEY, base_url=url, timeout_s=5.0),
        twilio=Twilio(ACCOUNT_SID, AUTH_TOKEN, "+15005550006", url, timeout_s=5.0),
    )
    routing.configure(told, has_modem=False, is_rehearsal=False)
    messages.configure(messages.Rules())
    campaign_run.configure(0)
    plans.configure("Africa/Nairobi", can_text=False)
    settings = Settings(state=box.folder, sms=told)
    yield World(Devices(settings), settings)
    quiet_hours.configure("")


@pytest.fixture
def drive(world, monkeypatch):
    """Do what is due on the queue of texts by that clock; returns how many jobs that were."""

    def run(most=10_000, now=NOW):
        monkeypatch.setattr(tasks, "_now", lambda: now)
        jobs.promote(now)
        work = iter(lambda: jobs.claim("sms", holder.own_name(), now), None)
        return sum(1 for job in islice(work, most) if tasks.run(job, world=world) is None)

    return run


def numbers(count):
    return [f"2547{place:08d}" for place in range(count)]


def draft(staff, count=3, text="Open until ten", kind="service", some=None):
    audience = {"kind": "numbers", "numbers": some or numbers(count)}
    return campaigns.create("Easter", text, kind, audience, staff, NOW)


def row(campaign):
    return Campaign.get_by_id(campaign.id)


def states(campaign):
    told = campaigns.progress(row(campaign))
    return {state: getattr(told, state) for state in campaigns.STATES if getattr(told, state)}


def accounts():
    assert credits.verify() == []
    told = credits.balance()
    return told.available, told.reserved, told.spent


def leave_alone(route, until=NOW + timedelta(minutes=1)):
    Breaker.create(name=f"sms:{route}", state="open", failures=5, retry_at=until, changed_at=NOW)


# People who change their minds.


def test_a_campaign_for_next_month_that_is_cancelled_gives_its_credits_back_today(njeri, drive):
    campaign = draft(njeri)
    drive()
    campaigns.submit(campaign.id, njeri, NOW, NOW + timedelta(days=30))
    campaigns.cancel(campaign.id, njeri, NOW)
    drive()
    assert (row(campaign).finished_at, states(campaign), accounts()) == (NOW, {"suppressed": 3}, (1_000, 0, 0))


def test_one_that_waits_for_the_morning_and_is_cancelled_ends_tonight(njeri, drive):
    campaign = draft(njeri, kind="marketing", some=[ASHA])
    contacts.opt_in(ASHA, "START", NOW)
    quiet_hours.configure("00:00-23:59")
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    drive()
    campaigns.cancel(campaign.id, njeri, NOW)
    drive()
    assert (states(campaign), accounts()) == ({"suppressed": 1}, (1_000, 0, 0))


def test_one_that_is_paused_waits_and_its_hour_passes_over_it(njeri, drive):
    campaign = draft(njeri)
    drive()
    campaigns.submit(campaign.id, njeri, NOW, SOON)
    campaigns.pause(campaign.id, njeri, NOW)
    drive(now=SOON)
    assert states(campaign) == {"listed": 3}
    campaigns.resume(campaign.id, njeri, SOON)
    drive(now=SOON)
    assert states(campaign) == {"sent": 3}


def test_a_text_put_on_another_route_while_its_campaign_is_paused_waits_with_it(njeri, drive, gateway):
    campaign = draft(njeri, count=1)
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    drive(1)
    gateway.fault = "no_route"
    for later in range(3):
        drive(now=NOW + timedelta(seconds=10 * later))  # all its tries by the first route
    assert Message.get().tried == "africastalking"
    campaigns.pause(campaign.id, njeri, NOW)
    gateway.fault = None
    drive(now=SOON)
    assert (gateway.texts, states(campaign)) == ([], {"listed": 1})
    campaigns.resume(campaign.id, njeri, SOON)
    drive(now=SOON)
    assert [text.route for text in gateway.texts] == ["twilio"]


# Lists.


def test_a_draft_is_listed_by_one_worker_at_a_time_however_often_it_is_changed(njeri, drive, world, monkeypatch):
    campaign = draft(njeri, text="short")
    monkeypatch.setattr(tasks, "_now", lambda: NOW)
    first = jobs.claim("sms", holder.own_name(), NOW)
    campaigns.change(row(campaign), NOW, text="x" * 200)
    campaigns.change(row(campaign), NOW, text="y" * 400)
    assert jobs.claim("sms", holder.own_name(), NOW) is None
    tasks.run(first, world=world)
    drive()
    told = campaigns.quote(row(campaign))
    assert (told.is_listed, told.recipients, told.credits, told.left_out) == (True, 3, 9, {})


def test_a_late_list_is_not_written_over_a_draft_that_was_changed_sent_or_deleted(njeri, drive):
    campaign = draft(njeri)
    drive()
    before = row(campaign)
    campaigns.change(row(campaign), NOW, text="another")
    with pytest.raises(campaign_lists.Stale):
        campaign_lists.write(before, [(JUMA, {})], NOW)
    drive()
    before = row(campaign)
    campaigns.submit(campaign.id, njeri, NOW)
    for late in (lambda: campaign_lists.write(before, [(JUMA, {})], NOW), lambda: campaign_lists.begin(before)):
        with pytest.raises(campaign_lists.Stale):
            late()
    drive()
    assert (states(campaign), accounts()) == ({"sent": 3}, (997, 0, 3))
    other = draft(njeri)
    before = row(other)
    campaigns.delete(other)
    with pytest.raises(campaign_lists.Stale):
        campaign_lists.write(before, [(JUMA, {})], NOW)
    assert not Message.select().where(Message.state == "listed").exists()


def test_nothing_is_sent_to_half_a_list_while_it_is_written_anew(njeri, drive):
    campaign = draft(njeri)
    drive()
    campaign_lists.begin(row(campaign))  # somebody had the old work done once more
    with pytest.raises(BadInput, match="counted"):
        campaigns.submit(campaign.id, njeri, NOW)


def test_a_list_that_stops_have_emptied_ends_and_costs_nothing(njeri, drive, gateway):
    campaign = draft(njeri)
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    for msisdn in numbers(3):
        contacts.opt_out(msisdn, "STOP", NOW)
    drive()
    assert (row(campaign).state, states(campaign)) == ("completed", {"suppressed": 3})
    assert (gateway.texts, accounts()) == ([], (1_000, 0, 0))


# Work that is done once more.


def test_old_work_that_is_tried_again_beside_the_new_sends_nothing_twice(njeri, drive, gateway):
    campaign = draft(njeri, count=1)
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    gateway.fault = "refuse"
    drive()
    assert (row(campaign).state, states(campaign)) == ("failed", {"failed": 1})
    gateway.fault = None
    leave_alone("africastalking")
    Job.update(state="failed").where(Job.name == "sms.send").execute()
    campaigns.retry_failed(campaign.id, njeri, NOW)
    drive(1)  # it is made ready again, for the other route
    queues.retry_all(NOW, "sms")
    assert Job.select().where(Job.name == "sms.send", jobs.IS_OPEN).count() == 1
    drive()
    assert [text.route for text in gateway.texts] == ["twilio"]
    assert accounts() == (999, 0, 1)


def test_a_text_of_which_the_end_could_not_be_told_is_a_question_and_not_tried_again(njeri, drive, gateway):
    campaign = draft(njeri, count=2)
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    drive(1)
    one, two = list(Job.select().where(Job.name == "sms.send").order_by(Job.id))
    one.put(state="failed", finished_at=NOW)  # its verdict broke
    desk.cancel(two.id, NOW)
    assert messages.close_forgotten(SOON) == 2
    drive(now=SOON)
    assert states(campaign) == {"unconfirmed": 1, "failed": 1}
    assert campaigns.retry_failed(campaign.id, njeri, SOON) == 1
    drive(now=SOON)
    assert (states(campaign), len(gateway.texts)) == ({"sent": 1, "unconfirmed": 1}, 1)


def test_a_text_that_waits_for_another_route_and_is_cleared_was_surely_not_sent(njeri, drive, gateway):
    campaign = draft(njeri, count=1)
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    drive(1)
    gateway.fault = "no_route"
    for later in range(3):
        drive(now=NOW + timedelta(seconds=10 * later))
    desk.cancel(Job.get(Job.name == "sms.send", jobs.IS_OPEN).id, NOW)
    messages.close_forgotten(SOON)
    assert (Message.get().state, accounts()) == ("failed", (1_000, 0, 0))


def test_a_text_that_expires_unsent_gives_its_credits_back(njeri, drive, gateway):
    campaign = draft(njeri, count=2)
    drive()
    gateway.fault = "no_credit"
    messages.write_by_hand(ASHA, "Habari", njeri, NOW)
    campaigns.submit(campaign.id, njeri, NOW)
    drive()
    assert accounts() == (997, 3, 0)
    late = NOW + timedelta(days=4)
    clock.beat(late, synchronised=True)
    drive(now=late)
    assert {text.state for text in Message.select()} == {"failed"}
    assert (row(campaign).state, accounts(), gateway.texts) == ("failed", (1_000, 0, 0), [])


# Routes.


def test_whoever_finds_another_route_on_trial_leaves_the_trial_to_the_one_who_takes_it(njeri, drive, gateway):
    leave_alone("africastalking")
    leave_alone("twilio", until=NOW)
    message = messages.promise(ASHA, "Your code is 7K2Q-9F3C", NOW)
    Job.update(args={"message_id": message.id, "route": "africastalking"}).execute()
    drive()
    assert [text.route for text in gateway.texts] == ["twilio"]
    assert breakers.may_pass("sms:twilio", NOW) is None


# Reports without a reference that is known.


def report_on(taken, at):
    body = urlencode(report_of(taken, "delivered")).encode()
    call = inbox.Call("/hooks", "127.0.0.1", {}, body, None, kind=sms_hooks.PREFIX + taken.route)
    return sms_hooks.receive(call, read(taken.route, body, "application/x-www-form-urlencoded"), at)


@pytest.mark.parametrize("where", ["in the hand of a worker who died", "lost days ago"])
def test_a_report_is_not_taken_for_another_text_that_was_lost(njeri, drive, gateway, world, where):
    first = messages.promise(ASHA, "one", NOW)
    gateway.faults = ["lose"]
    drive()
    (taken,) = gateway.texts
    if where == "lost days ago":
        first.put(closed_at=NOW - timedelta(days=3))
    else:  # sent, and not written down
        first.put(state="queued", closed_at=None)
        Job.update(state="running", holder="1:1:dead").where(Job.name == "sms.send").execute()
    second = messages.promise(ASHA, "two", NOW)
    gateway.faults = ["drop"]
    drive()
    report_on(taken, NOW)
    drive(now=SOON)
    assert Message.get_by_id(second.id).state == "unconfirmed"


def test_a_report_on_the_one_text_that_was_lost_is_taken_for_it(njeri, drive, gateway):
    messages.promise(ASHA, "one", NOW)
    gateway.faults = ["lose"]
    drive()
    report_on(gateway.texts[0], NOW)
    drive(now=SOON)
    assert Message.get().state == "delivered"


# Law and privacy.


def test_two_offers_at_the_same_moment_count_as_two(njeri, drive, gateway):
    campaign_run.configure(1)
    contacts.opt_in(ASHA, "START", NOW)
    offers = [draft(njeri, text=f"Offer {number}", kind="marketing", some=[ASHA]) for number in range(2)]
    drive()
    for offer in offers:
        campaigns.submit(offer.id, njeri, NOW)
        campaign_run.step(offer.id, NOW)
    drive()
    assert [states(offer) for offer in offers] == [{"sent": 1}, {"suppressed": 1}]
    assert accounts() == (999, 0, 1)


def test_a_number_in_two_campaigns_gets_each_once(njeri, drive, gateway):
    both = [draft(njeri, text=f"News {number}", some=[ASHA, JUMA]) for number in range(2)]
    drive()
    for one in both:
        campaigns.submit(one.id, njeri, NOW)
    drive()
    assert sorted((text.to, text.text) for text in gateway.texts) == [
        (msisdn, f"News {number}") for msisdn in (ASHA, JUMA) for number in range(2)
    ]


def test_no_number_stands_in_full_where_people_and_programs_look(njeri, drive, gateway, caplog):
    """Twilio's refusal repeats the number; so do faults of ours."""
    caplog.set_level(logging.DEBUG)
    gateway.invalid = {ASHA, JUMA}
    leave_alone("africastalking")
    campaign = draft(njeri, some=[ASHA, JUMA])
    messages.write_by_hand(ASHA, "Habari", njeri, NOW)
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    drive()
    contacts.opt_out(ASHA, "STOP", NOW)
    assert [text.state for text in Message.select()] == ["failed"] * 3
    seen = [json.dumps([job.args, job.errors, job.cause, job.unique_key]) for job in Job.select()]
    seen += [str(event.data) for event in Event.select()]
    seen += [told.title + told.body for told in Notification.select()]
    seen += [text.words for text in Message.select()] + [row(campaign).words]
    seen += [record.getMessage() for record in caplog.records]
    card = db.execute_sql("SELECT msisdn, text, fields FROM messages UNION SELECT audience, '', '' FROM sms_campaigns")
    seen += [str(told) for told in card.fetchall()]
    assert len(seen) > 12
    for number in (ASHA, JUMA):
        assert not [words for words in seen if number[3:] in words]


# The clock.


def test_a_code_promised_under_a_wrong_clock_goes_when_it_is_put_right(njeri, drive):
    code = messages.promise(ASHA, "Your code is 7K2Q-9F3C", NOW - timedelta(days=40 * 365))
    drive()
    assert Message.get_by_id(code.id).state == "sent"


def test_nothing_is_too_old_by_a_clock_that_nobody_vouches_for(njeri, drive):
    code = messages.promise(ASHA, "Your code is 7K2Q-9F3C", NOW)
    drive(now=NOW + timedelta(days=40 * 365))
    assert Message.get_by_id(code.id).state == "sent"
