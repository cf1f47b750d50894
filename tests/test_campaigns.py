"""Campaigns: priced before, sent once a recipient whatever happens, and every credit accounted for after."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge import holder, jobs, tasks
from edge.database import db
from edge.devices.opening import Devices
from edge.domain import campaign_run, campaigns, contacts, credits, events, messages, people, quiet_hours, routing
from edge.errors import BadInput
from edge.handlers.world import World
from edge.models import Job, Message, Staff
from edge.settings import Settings
from edge.settings_sections import Sms
from edge.sms_models import Campaign, Notification
from tests.conftest import NOW, Box

ASHA, JUMA = "254712345678", "254110000007"


@pytest.fixture
def njeri(box: Box, monkeypatch: pytest.MonkeyPatch) -> Staff:
    monkeypatch.setattr(people, "N", 2**8)
    routing.configure(Sms(), has_modem=False, is_rehearsal=True)
    quiet_hours.configure("")
    campaign_run.configure(0)
    messages.configure(messages.Rules())
    credits.top_up(1_000, "", None, NOW)
    return people.add("Njeri", "a long password", "owner", NOW)


def numbers(count: int) -> list[str]:
    return [f"2547{place:08d}" for place in range(count)]


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Do what is due on the queue of texts, as a worker would by that clock; returns how many jobs that were."""
    world = World(Devices(Settings(state=tmp_path)), Settings(state=tmp_path))

    def run(most: int = 10_000, now: Any = NOW) -> int:
        done = 0
        monkeypatch.setattr(tasks, "_now", lambda: now)
        jobs.promote(now)
        while done < most and (job := jobs.claim("sms", "w", now)) is not None:
            tasks.run(job, world=world)
            done += 1
        return done

    return run


def draft(
    staff: Staff, drive: Callable[..., int], count: int = 10, text: str = "Open until ten today", **more: Any
) -> Campaign:
    audience = {"kind": "numbers", "numbers": numbers(count)}
    campaign = campaigns.create("Easter", text, more.pop("kind", "service"), audience, staff, NOW)
    drive()
    return Campaign.get_by_id(campaign.id)


def states(campaign: Campaign) -> dict[str, int]:
    told = campaigns.progress(Campaign.get_by_id(campaign.id))
    counted = {
        state: getattr(told, state)
        for state in ("listed", "queued", "sent", "delivered", "failed", "unconfirmed", "suppressed")
    }
    return {state: count for state, count in counted.items() if count}


def accounts() -> tuple[int, int, int]:
    assert credits.verify() == []
    told = credits.balance()
    return told.available, told.reserved, told.spent


def test_a_draft_is_priced_and_costs_nothing_yet(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive, text="Asante – karibu 😀")
    told = campaigns.quote(campaign)
    assert (told.recipients, told.segments, told.credits, told.is_listed) == (10, 10, 10, True)
    assert told.samples[0] == ("0700•••000", "Asante - karibu 😀", 1)
    assert accounts() == (1_000, 0, 0)


def test_a_campaign_reaches_everybody_once_and_says_so(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive, count=130)
    campaigns.submit(campaign.id, njeri, NOW)
    assert accounts() == (870, 130, 0)
    drive()
    row = Campaign.get_by_id(campaign.id)
    assert (row.state, states(row)) == ("completed", {"sent": 130})
    assert row.started_at is not None and row.finished_at is not None
    assert accounts() == (870, 0, 130)
    assert len({message.msisdn for message in Message.select()}) == 130
    told = Notification.get(Notification.name == "campaign.completed")
    assert "130" in told.body and "100 %" in told.body


def test_too_few_credits_are_told_with_figures_and_nothing_is_sent(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive, count=8, text="x" * 161)
    credits.correct(-990, "a test", None, NOW)
    with pytest.raises(credits.Short) as told:
        campaigns.submit(campaign.id, njeri, NOW)
    assert (told.value.needed, told.value.available) == (16, 10)
    assert Campaign.get_by_id(campaign.id).state == "draft"
    assert drive() == 0
    assert accounts() == (10, 0, 0)


def test_it_is_submitted_once(njeri: Staff, drive: Callable[..., int], at_once: Callable[..., list[Any]]) -> None:
    campaign = draft(njeri, drive)
    answers = at_once(lambda _: campaigns.submit(campaign.id, njeri, NOW), 5)
    assert sum(isinstance(answer, Campaign) for answer in answers) == 1
    assert accounts() == (990, 10, 0)


def test_a_paused_campaign_hands_over_nothing_and_goes_on_where_it_stopped(
    njeri: Staff, drive: Callable[..., int]
) -> None:
    campaign = draft(njeri, drive, count=120)
    campaigns.submit(campaign.id, njeri, NOW)
    drive(31)
    sent = states(campaign)["sent"]
    campaigns.pause(campaign.id, njeri, NOW)
    drive()
    assert states(campaign) == {"sent": sent, "listed": 120 - sent}
    assert accounts() == (880, 120 - sent, sent)
    began = Campaign.get_by_id(campaign.id).started_at
    campaigns.resume(campaign.id, njeri, NOW + timedelta(hours=1))
    drive(now=NOW + timedelta(hours=1))
    row = Campaign.get_by_id(campaign.id)
    assert (row.state, row.started_at, states(row)) == ("completed", began, {"sent": 120})
    assert accounts() == (880, 0, 120)


def test_a_cancelled_campaign_gives_back_what_it_did_not_use(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive, count=120)
    campaigns.submit(campaign.id, njeri, NOW)
    drive(21)
    campaigns.cancel(campaign.id, njeri, NOW)
    drive()
    row = Campaign.get_by_id(campaign.id)
    sent = states(row)["sent"]
    assert (row.state, states(row)) == ("cancelled", {"sent": sent, "suppressed": 120 - sent})
    assert row.finished_at is not None
    assert accounts() == (1_000 - sent, 0, sent)


def test_a_worker_that_died_leaves_one_question_and_no_second_text(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive, count=60)
    campaigns.submit(campaign.id, njeri, NOW)
    drive(11)
    job = jobs.claim("sms", f"1:1:{holder.own_name().rpartition(':')[2]}", NOW)  # ran here, and does no more
    assert job is not None and job.name == "sms.send"
    tasks.rescue(NOW)
    drive()
    row = Campaign.get_by_id(campaign.id)
    assert (row.state, states(row)) == ("completed", {"sent": 59, "unconfirmed": 1})
    assert accounts() == (940, 0, 60)


def test_a_queue_that_staff_cleared_loses_nobody(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive, count=60)
    campaigns.submit(campaign.id, njeri, NOW)
    drive(5)
    Job.update(state="cancelled").where(Job.state == "waiting").execute()
    later = NOW + timedelta(minutes=5)
    messages.close_forgotten(later)
    campaign_run.sweep(later)
    drive(now=later)
    told = states(campaign)
    assert told["sent"] + told["failed"] == 60
    assert Campaign.get_by_id(campaign.id).state == "completed"
    assert campaigns.retry_failed(campaign.id, njeri, later) == told["failed"]
    drive(now=later)
    assert states(campaign) == {"sent": 60}
    assert accounts() == (940, 0, 60)


def test_whoever_says_stop_in_the_middle_is_left_out_and_not_paid_for(
    njeri: Staff, drive: Callable[..., int]
) -> None:
    campaign = draft(njeri, drive, count=120)
    campaigns.submit(campaign.id, njeri, NOW)
    drive(2)
    contacts.opt_out(numbers(120)[30], "STOP", NOW)  # his text waits for a worker
    contacts.opt_out(numbers(120)[119], "STOP", NOW)  # and his is not made ready yet
    drive()
    assert states(campaign) == {"sent": 118, "suppressed": 2}
    assert accounts() == (882, 0, 118)


def test_whoever_opted_out_before_is_not_on_the_list(njeri: Staff, drive: Callable[..., int]) -> None:
    contacts.opt_out(numbers(1)[0], "STOP", NOW)
    campaign = draft(njeri, drive)
    assert campaigns.quote(campaign).left_out == {"opted out": 1}
    assert campaigns.quote(campaign).recipients == 9


def test_advertising_goes_to_those_who_agreed(njeri: Staff, drive: Callable[..., int]) -> None:
    contacts.opt_in(numbers(3)[1], "START", NOW)
    campaign = draft(njeri, drive, kind="marketing")
    told = campaigns.quote(campaign)
    assert (told.recipients, told.left_out) == (1, {"did not agree to advertising": 9})


def test_advertising_waits_for_the_morning(njeri: Staff, drive: Callable[..., int]) -> None:
    quiet_hours.configure("00:00-23:59")
    contacts.opt_in(ASHA, "START", NOW)
    campaign = campaigns.create(
        "Offer", "Half price", "marketing", {"kind": "numbers", "numbers": [ASHA]}, njeri, NOW
    )  # fmt: skip
    drive()
    campaigns.submit(campaign.id, njeri, NOW)
    drive()
    assert states(campaign) == {"listed": 1}
    quiet_hours.configure("")
    drive(now=NOW + timedelta(days=1))
    assert states(campaign) == {"sent": 1}


def test_nobody_gets_more_campaigns_a_week_than_the_owner_allows(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign_run.configure(2)
    contacts.opt_in(ASHA, "START", NOW)
    for _ in range(3):
        offer = {"kind": "numbers", "numbers": [ASHA]}
        campaign = campaigns.create("Offer", "Half price", "marketing", offer, njeri, NOW)
        drive()
        campaigns.submit(campaign.id, njeri, NOW)
        drive()
    assert [states(row) for row in Campaign.select().order_by(Campaign.id)] == [
        {"sent": 1}, {"sent": 1}, {"suppressed": 1}
    ]  # fmt: skip
    assert accounts() == (998, 0, 2)


def test_a_scheduled_campaign_waits_for_its_time(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive)
    campaigns.submit(campaign.id, njeri, NOW, NOW + timedelta(hours=2))
    assert Campaign.get_by_id(campaign.id).state == "scheduled"
    assert drive(now=NOW + timedelta(hours=1)) == 0
    drive(now=NOW + timedelta(hours=2))
    assert states(campaign) == {"sent": 10}


def test_a_campaign_of_somebody_who_may_not_send_any_more_stops_with_the_reason(
    njeri: Staff, drive: Callable[..., int]
) -> None:
    campaign = draft(njeri, drive, count=120)
    campaigns.submit(campaign.id, njeri, NOW)
    drive(12)
    Staff.update(role="cashier").where(Staff.id == njeri.id).execute()
    drive()
    row = Campaign.get_by_id(campaign.id)
    assert row.state == "failed" and "may not send" in row.words
    told = states(row)
    assert told["sent"] + told["failed"] == 120
    assert accounts() == (1_000 - told["sent"], 0, told["sent"])


def test_a_recipient_without_a_value_stops_the_submission_and_is_named(
    njeri: Staff, drive: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = draft(njeri, drive, text="Your number is {{phone}}")
    assert campaigns.quote(campaign).samples[0][1].startswith("Your number is ")
    with pytest.raises(BadInput, match="shoe_size"):
        campaigns.change(campaign, NOW, text="Your size is {{shoe_size}}")


def test_a_draft_that_is_changed_while_it_is_listed_is_listed_anew(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = campaigns.create(
        "Easter", "short", "service", {"kind": "numbers", "numbers": numbers(5)}, njeri, NOW
    )  # fmt: skip
    campaigns.change(Campaign.get_by_id(campaign.id), NOW, text="x" * 200)
    with pytest.raises(BadInput, match="counted"):
        campaigns.submit(campaign.id, njeri, NOW)
    drive()
    assert campaigns.quote(Campaign.get_by_id(campaign.id)).credits == 10


def test_a_number_named_twice_gets_one_text(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = campaigns.send_now([ASHA, "0712 345 678", JUMA], "Closed tomorrow", "News", njeri, NOW)
    drive()
    assert states(campaign) == {"sent": 2}


def test_all_failed_is_a_failed_campaign(njeri: Staff, drive: Callable[..., int]) -> None:
    routing.configure(Sms(), has_modem=False, is_rehearsal=False)
    campaign = campaigns.send_now([ASHA, JUMA], "Closed tomorrow", "News", njeri, NOW)
    drive()
    row = Campaign.get_by_id(campaign.id)
    assert (row.state, states(row)) == ("failed", {"failed": 2})
    assert "no modem or gateway" in row.words
    assert accounts() == (1_000, 0, 0)
    assert Notification.get(Notification.name == "campaign.failed").title == "Campaign News: failed"


def test_texts_of_a_campaign_let_codes_pass(njeri: Staff, drive: Callable[..., int]) -> None:
    campaign = draft(njeri, drive, count=60)
    campaigns.submit(campaign.id, njeri, NOW)
    drive(3)
    code = messages.promise(ASHA, "Your code is 7K2Q-9F3C", NOW)
    drive(2)
    assert Message.get_by_id(code.id).state == "sent"


def test_numbers_and_words_are_sealed_on_the_card(njeri: Staff, drive: Callable[..., int], tmp_path: Path) -> None:
    campaigns.send_now([ASHA], "Closed tomorrow", "News", njeri, NOW)
    drive()
    told = db.execute_sql("SELECT msisdn, text FROM messages").fetchone()
    assert ASHA not in str(told) and "tomorrow" not in str(told)
    assert Message.get(Message.msisdn == ASHA).text == "Closed tomorrow"
    assert not any(ASHA in str(event.data) for event in events.since(0))


def test_whoever_ticks_the_box_agrees_when_he_has_paid_with_that_very_phone(box: Box) -> None:
    payment = box.prompted(context={"offers": "yes"})
    assert not contacts.may_market(payment.msisdn)
    assert box.call(payment) == "paid"
    assert contacts.may_market(payment.msisdn)


def test_a_tick_does_not_undo_a_stop(box: Box) -> None:
    payment = box.prompted(context={"offers": "yes"})
    contacts.opt_out(payment.msisdn, "STOP", NOW)
    assert box.call(payment) == "paid"
    assert not contacts.may_market(payment.msisdn)
