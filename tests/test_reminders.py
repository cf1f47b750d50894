"""A text before the end: once, by a clock that may be believed, and not at night."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.domain import access, clock, plans, reminders
from edge.models import Clock, Grant, Message, Placement, Plan
from edge.texts import catalogue
from edge.values.gsm7 import to_septets
from tests.conftest import NOW

TEN = 600


@pytest.fixture
def asha(box, gate):
    """An hour of Asha's that began just now, and a text ten minutes before its end."""
    return begun(box, gate, remind_s=TEN)


def begun(box, gate, at=NOW, **columns):
    plan = Plan.create(name="reminded", price_cents=2000, **{"seconds": 3600, **columns})
    grant = access.give(plan, "gift", at, msisdn=box.asha, context={"link-login-only": "http://10.5.50.1/login"})
    clock.beat(at, synchronised=True)
    access.record_placed(grant.id, gate.id, at)
    return Grant.get_by_id(grant.id)


def texts():
    return [message.text for message in Message.select()]


def test_a_guest_is_told_once_before_the_end(box, asha):
    assert reminders.send_if_due(box.after(minutes=49)) == 0
    assert reminders.send_if_due(box.after(minutes=1)) == 1
    assert reminders.send_if_due(box.after(minutes=1)) == 0
    told = f"10 minutes left. Your code is {asha.username}. To go on, buy again at http://10.5.50.1/login"
    assert texts() == [f"{catalogue.shop}: {told}"]


def test_two_workers_at_once_send_one_text(box, asha, at_once):
    box.after(minutes=55)
    at_once(lambda number: reminders.send_if_due(box.now), 8)
    assert len(texts()) == 1


def test_it_fits_one_text_whatever_the_shops_name_is(box, asha, monkeypatch):
    monkeypatch.setattr("edge.texts.catalogue.shop", "Njeri’s “Café” \U0001f600 " * 12)
    asha.router.put(login_url="http://hotspot.njeri.example/login")
    reminders.send_if_due(box.after(minutes=55))
    septets = to_septets(texts()[0])
    assert septets is not None and len(septets) <= 160 and asha.username in texts()[0]


@pytest.mark.parametrize(
    "columns", [{}, {"remind_s": 3600}, {"remind_s": TEN, "seconds": 300}], ids=["none", "as long", "longer"]
)
def test_without_a_reminder_or_with_one_from_the_beginning_on_nothing_is_sent(box, gate, columns):
    begun(box, gate, **columns)
    for _ in range(12):
        assert reminders.send_if_due(box.after(minutes=4)) == 0


def test_nobody_is_told_of_an_end_that_is_over_or_who_has_no_phone(box, gate):
    begun(box, gate, remind_s=TEN)
    Grant.update(msisdn="").execute()
    assert reminders.send_if_due(box.after(minutes=55)) == 0
    Grant.update(msisdn=box.asha).execute()
    assert reminders.send_if_due(box.after(minutes=10)) == 0
    Grant.update(state="ended").execute()
    assert reminders.send_if_due(box.now - timedelta(minutes=10)) == 0


def test_an_untrusted_clock_reminds_nobody(box, asha):
    box.after(minutes=55)
    Clock.update(trusted=False).execute()
    assert reminders.send_if_due(box.now) == 0
    Clock.update(trusted=True).execute()
    assert reminders.send_if_due(box.now) == 1


def test_data_that_is_nearly_used_up_is_told_too(box, gate):
    begun(box, gate, bytes=10**9, remind_s=TEN)
    Placement.update(used_bytes=899_000_000).execute()
    assert reminders.send_if_due(box.after(minutes=1)) == 0
    Placement.update(used_bytes=920_000_000).execute()
    assert reminders.send_if_due(box.after(minutes=1)) == 1
    assert "80 MB left" in texts()[0]


def test_time_of_use_is_told_by_what_was_used_and_by_its_last_day(box, gate):
    begun(box, gate, metered=True, remind_s=TEN)
    Placement.update(used_s=2999).execute()
    assert reminders.send_if_due(box.after(hours=3)) == 0
    Placement.update(used_s=3100).execute()
    assert reminders.send_if_due(box.after(hours=2)) == 1
    assert "9 minutes left" in texts()[0]


@pytest.mark.parametrize(
    ("begins", "hours", "remind_h", "sent_at"),
    [
        ("12:00", 10, 1, "21:00"),  # by day
        ("12:30", 10, 0.5, "22:00"),  # it ends at night
        ("20:00", 12, 4, "07:00"),  # due at 04:00, ends at 08:00: waits for the morning
        ("20:00", 10, 4, "02:00"),  # ends at 06:00
        ("20:00", 48, 44, "07:00"),  # due at midnight, ends the day after
    ],
)
def test_nobody_is_woken_at_night_unless_it_ends_then(box, gate, begins, hours, remind_h, sent_at):
    hour, minute = map(int, begins.split(":"))
    at = datetime(2026, 3, 2, hour, minute, tzinfo=plans.shop.zone).astimezone(UTC)
    begun(box, gate, at, seconds=hours * 3600, remind_s=int(remind_h * 3600))
    box.now = at
    for _ in range(hours * 2):
        if reminders.send_if_due(box.after(minutes=30)):
            break
    assert f"{box.now.astimezone(plans.shop.zone):%H:%M}" == sent_at


def test_an_idle_minute_writes_nothing(box, asha):
    before = Message.select().count(), Grant.get_by_id(asha.id).reminded_at
    assert reminders.send_if_due(box.after(minutes=2)) == 0
    assert (Message.select().count(), Grant.get_by_id(asha.id).reminded_at) == before
