"""Free trials: once a phone and once a device, the code by text alone, and nothing for whoever farms them."""

from datetime import timedelta

import pytest

from edge.domain import events, guest_logins, plans, trials
from edge.errors import BadInput, TooMany
from edge.models import Event, Grant, Message, Plan
from edge.money_models import Trial
from edge.settings import Settings
from edge.texts import catalogue
from edge.web import build
from tests.conftest import NOW
from tests.web_client import Browser

TRUE, MADE_UP = "AC:DE:48:00:11:22", "A6:DE:48:00:11:{:02X}"
CLIENT = "10.5.50.9"


@pytest.fixture
def can_text(monkeypatch):
    monkeypatch.setattr(plans.shop, "can_text", True)


@pytest.fixture
def free(box, gate, can_text):
    """Ten minutes, free."""
    return plans.add(name="Ten minutes", price_cents=0, seconds=600, is_trial=True)


@pytest.fixture
def phone(free, box):
    """A guest's browser."""
    return Browser(build(Settings(state=box.folder)), CLIENT)


def test_a_phone_gets_its_code_by_text(box, free):
    grant = trials.give(free.id, box.asha, TRUE, CLIENT, NOW)
    assert (grant.why, grant.seconds, grant.msisdn, grant.payment) == ("trial", 600, box.asha, None)
    text = Message.get()
    assert text.msisdn == box.asha
    assert text.text == f"{catalogue.shop}: 10 minutes of WiFi, free. Code {grant.username} PIN {grant.password}"
    assert {row.key for row in Trial.select()} >= {f"phone:{box.asha}", f"mac:{TRUE}"}
    assert [job.args["grant_id"] for job in box.jobs("grant.place")] == [grant.id]
    assert grant.username not in str(Event.get(Event.name == "trial.given").data)


@pytest.mark.parametrize(("msisdn", "mac", "told"), [("asha", "", "number"), ("juma", TRUE, "device")])
def test_a_phone_and_a_device_have_one_trial_for_ever(box, free, msisdn, mac, told):
    trials.give(free.id, box.asha, TRUE, CLIENT, NOW)
    with pytest.raises(BadInput, match=f"This {told} had its free trial"):
        trials.give(free.id, getattr(box, msisdn), mac, CLIENT, NOW + timedelta(days=400))
    assert (Grant.select().count(), Message.select().count()) == (1, 1)


def test_a_trial_refused_for_the_device_does_not_use_up_the_phones(box, free):
    trials.give(free.id, box.asha, TRUE, CLIENT, NOW)
    with pytest.raises(BadInput):
        trials.give(free.id, box.juma, TRUE, CLIENT, NOW)
    assert trials.give(free.id, box.juma, MADE_UP.format(1), CLIENT, NOW).msisdn == box.juma


def test_twenty_at_once_get_one_trial(box, free, at_once):
    answers = at_once(lambda number: trials.give(free.id, box.asha, MADE_UP.format(number), CLIENT, NOW))
    assert sum(isinstance(answer, Grant) for answer in answers) == 1
    assert all(isinstance(answer, Grant | BadInput) for answer in answers)
    assert (Grant.select().count(), Message.select().count()) == (1, 1)


def test_trial_farming_with_random_macs_gives_nothing(box, free, phone):
    """Abuse case 11: new MACs for the own phone, strangers' phones for the own device, and the button for a MAC."""
    told = {"trial_id": str(free.id), "phone_number": box.asha, "mac_address": MADE_UP.format(0)}
    assert phone.post("/trial", told).status == 303
    for number in range(1, 6):
        answer = phone.post("/trial", told | {"mac_address": MADE_UP.format(number)})
        assert answer.status == 400 and "had its free trial already" in answer.words
    for number in range(1, 5):  # strangers' phones: the code goes to them, and never onto a page
        stranger = f"25471100000{number}"
        answer = phone.post("/trial", told | {"phone_number": stranger, "mac_address": MADE_UP.format(99 + number)})
        grant = Grant.get(Grant.msisdn == stranger)
        page = phone.get("/trial", f"mac={MADE_UP.format(99 + number)}")
        assert grant.username not in answer.text + page.text + answer.header("Location")
        assert guest_logins.of_mac(MADE_UP.format(99 + number)) is None
    assert "/connect" not in phone.get("/", f"mac={MADE_UP.format(100)}").text


def test_one_address_gets_so_many_a_day_but_not_a_router_behind_which_all_guests_are(box, free, gate, monkeypatch):
    monkeypatch.setattr(trials, "PER_ADDRESS", 2)

    def ask(number, client, at=NOW):
        return trials.give(free.id, f"2547110000{number:02}", "", client, at)

    ask(1, CLIENT), ask(2, CLIENT)
    with pytest.raises(TooMany, match="come back tomorrow"):
        ask(3, CLIENT)
    ask(3, "10.5.50.99"), ask(4, CLIENT, NOW + timedelta(days=1, minutes=1))
    for number in range(5, 9):
        ask(number, gate.host)


def test_in_all_there_are_so_many_a_day_and_the_count_is_forgotten(box, free, gate, monkeypatch):
    monkeypatch.setattr(trials, "IN_ALL", 2)
    for number in range(2):
        trials.give(free.id, f"25471100000{number}", "", gate.host, NOW)
    with pytest.raises(TooMany):
        trials.give(free.id, box.asha, "", gate.host, NOW)
    trials.give(free.id, box.asha, "", gate.host, NOW + timedelta(days=1, minutes=1))
    assert Trial.select().where(Trial.key.startswith("from:")).count() == 1
    assert Trial.select().where(Trial.key.startswith("phone:")).count() == 3


def test_without_a_way_to_text_there_is_no_trial(box, free, monkeypatch):
    monkeypatch.setattr(plans.shop, "can_text", False)
    assert plans.trials(NOW) == []
    assert trials.is_wanted(free)
    with pytest.raises(BadInput, match="no free trial"):
        trials.give(free.id, box.asha, "", CLIENT, NOW)


@pytest.mark.parametrize("number", ["1", "99", "x", "", "9" * 30])
def test_no_other_plan_is_given_for_nothing(box, free, phone, number):
    answer = phone.post("/trial", {"trial_id": number, "phone_number": box.asha})
    assert answer.status == 400 and "no free trial" in answer.words
    assert Grant.select().count() == 0


def test_the_page_offers_it_beside_what_is_sold_and_keeps_what_was_typed(box, free, phone):
    page = phone.get("/")
    assert "Ten minutes Free" in page.words and 'formaction="/trial"' in page.text
    assert 'value="1" checked' in page.text  # the plan that costs
    wrong = phone.post("/trial", {"trial_id": str(free.id), "phone_number": "12"})
    assert wrong.status == 400 and 'value="12"' in wrong.text and "not a Kenyan mobile number" in wrong.words
    Plan.update(on_sale=False).where(Plan.id == 1).execute()
    answer = phone.post("/trial", {"trial_id": str(free.id), "phone_number": "0712345678", "ip": CLIENT})
    assert answer.header("Location") == f"/trial?ip={CLIENT}"
    assert "on its way by text" in phone.get("/trial").words
    assert events.last_id() > 0
