"""Texts to the shop: words obeyed at once, codes redeemed, an owner's commands, and no robot kept talking."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from edge import jobs, tasks, texts
from edge.devices import router_reboot
from edge.devices.opening import Devices
from edge.devices.router import Router as RouterDevice
from edge.domain import (
    access,
    answers,
    campaigns,
    contacts,
    credits,
    gifts,
    incoming_texts,
    keywords,
    messages,
    owner_commands,
    people,
    quiet_hours,
    routing,
    templates,
    vouchers,
)
from edge.domain.incoming_texts import ReceivedText
from edge.domain.keywords import Rules
from edge.domain.owner_commands import Owners
from edge.errors import BadInput, Refused, Unconfirmed
from edge.handlers import texts as handling
from edge.handlers.world import World
from edge.models import Check, Grant, Message, Plan, Router, Throttle
from edge.money_models import IncomingText
from edge.settings import Settings
from edge.settings_sections import Sms
from edge.simulators.router import RouterSimulator
from edge.sms_models import Campaign
from edge.tpdu import Content, decode_deliver, encode_deliver
from edge.values.sms_words import command, keyword
from tests.conftest import Box

ASHA, JUMA, NJERI = "+254712345678", "+254722000111", "+254733000222"
PIN = "4711"
OWNERS = Owners(frozenset({NJERI[1:]}), PIN)


class Phone:
    """The box's number: texts come in, are kept and judged; what it answered is to be seen."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.rules = Rules(owners=OWNERS)
        self._number = itertools.count()

    def gets(self, text: str, sender: str = ASHA, **more: Any) -> IncomingText:
        row = self.keep(text, sender, **more)
        keywords.answer(row.id, self.rules, self.box.now)
        return IncomingText.get_by_id(row.id)

    def keep(self, text: str, sender: str = ASHA, **more: Any) -> IncomingText:
        raw = f"{next(self._number)}"
        is_name = not sender.removeprefix("+").isdigit()
        told = {"is_name": is_name, "sent_at": self.box.now, **more}
        assert incoming_texts.keep([ReceivedText(raw, sender, text=text, **told)], self.box.now) == 1
        return IncomingText.select().order_by(IncomingText.id.desc()).get()

    def said(self, number: str = ASHA) -> list[str]:
        found = Message.select().where(Message.msisdn == number[1:]).order_by(Message.id)
        return [message.text for message in found]


@pytest.fixture
def phone(box: Box) -> Iterator[Phone]:
    routing.configure(Sms(), has_modem=True, is_rehearsal=False)
    before = texts.catalogue.shop
    texts.catalogue.shop = "Njeri WiFi"
    yield Phone(box)
    texts.catalogue.shop = before
    routing.configure(Sms(), has_modem=False, is_rehearsal=False)


# Words.


@pytest.mark.parametrize(
    "typed",
    ["STOP", "stop", " Stop! ", "“Stop” please", "S.T.O.P.", "STOP,thanks", "Śtóp", "ＳＴＯＰ", "\u202eSTOP", "acha",
     "\x00\x1astop", "Sitaki.", "ONDOA", "toa", "unsubscribe", "STOPALL", "cancel", "end", "quit", "!!! Acha"],
)  # fmt: skip
def test_stop_is_understood_however_it_was_typed(typed):
    assert keyword(typed).kind == "stop"


@pytest.mark.parametrize("typed", ["stopped", "please stop", "", "   ", "...", "😀", "nonstop", "a" * 2_000, "\x00"])
def test_what_only_contains_a_word_is_none(typed):
    assert keyword(typed) is None


@pytest.mark.parametrize(
    "typed, found",
    [("4711 leo", ("4711", "today", "")), ("4711  Restart  the gate ", ("4711", "restart", "the gate")),
     ("４７１１ STATUS", ("4711", "status", "")), ("4711 dance", ("4711", "", "")), ("leo", None),
     ("4711", None), ("471 leo", None), ("123456789 leo", None)],
)  # fmt: skip
def test_a_command_is_a_pin_and_a_word(typed, found):
    told = command(typed)
    assert (None if told is None else (told.pin, told.name, told.rest)) == found


# STOP and START.


def test_stop_is_obeyed_and_confirmed_once_and_start_undoes_it(phone):
    row = phone.gets("Acha!")
    assert contacts.is_blocked(ASHA[1:])
    assert (row.kind, row.state, row.read_at) == ("stop", "settled", phone.box.now)
    phone.gets("STOP")
    assert len(phone.said()) == 1 and "ANZA" in phone.said()[0]  # in the language he used
    phone.gets("START")
    assert contacts.may_market(ASHA[1:]) and len(phone.said()) == 2
    (first, second) = Message.select().order_by(Message.id)
    assert (first.kind, first.cost, first.answers_id, second.kind) == ("reply", 0, row.id, "reply")


def test_two_stops_at_once_are_confirmed_once(phone, at_once):
    rows = [phone.keep("STOP") for _ in range(2)]
    at_once(lambda place: keywords.answer(rows[place].id, phone.rules, phone.box.now), 2)
    assert contacts.is_blocked(ASHA[1:]) and len(phone.said()) == 1


def test_one_text_judged_twice_at_once_is_judged_once(phone, at_once):
    row = phone.keep("SALIO")
    at_once(lambda _: keywords.answer(row.id, phone.rules, phone.box.now), 3)
    assert len(phone.said()) == 1


def test_stop_in_the_middle_of_a_campaign_reaches_whoever_is_still_to_be_texted(phone):
    njeri = people.add("Njeri", "a long password", "owner", phone.box.now)
    credits.top_up(10, "", None, phone.box.now)
    quiet_hours.configure("")
    audience = {"kind": "numbers", "numbers": [ASHA[1:], JUMA[1:]]}
    campaign = campaigns.create("Easter", "Open until ten", "service", audience, njeri, phone.box.now)
    sent = {
        number: Message.create(msisdn=number[1:], text="Open until ten", kind="campaign", campaign_id=campaign.id,
                               created_at=phone.box.now)
        for number in (ASHA, JUMA)
    }  # fmt: skip
    Campaign.update(state="processing").execute()
    phone.gets("Sitaki")
    asha, juma = (campaigns.word_on(sent[number], phone.box.now) for number in (ASHA, JUMA))
    assert juma is None and asha is not None
    asha(phone.box.now)
    assert Message.get_by_id(sent[ASHA].id).state == "suppressed"
    assert len(phone.said()) == 2  # the campaign's, which is not sent, and the confirmation, which is


def test_stop_holds_where_the_box_may_not_answer(phone):
    phone.rules = Rules(replies=False)
    phone.gets("STOP")
    assert contacts.is_blocked(ASHA[1:]) and phone.said() == []


def test_who_writes_more_than_the_word_is_read_by_a_person_too(phone):
    assert phone.gets("End of my bundle already, please look").read_at is None


def test_stop_in_the_first_part_of_a_long_text_waits_for_no_other_part(phone):
    row = phone.gets("STOP sending me this " + "x" * 130, reference=9, part=1, parts=2)
    assert contacts.is_blocked(ASHA[1:]) and row.kind == "stop" and len(phone.said()) == 1
    phone.gets(" thank you", reference=9, part=2, parts=2)
    (whole,) = incoming_texts.last_ones()
    assert whole.text.endswith("x thank you") and len(phone.said()) == 1


@pytest.mark.parametrize("sender", ["Safaricom", "STOP", "22345", "40222", "+2547"])
@pytest.mark.parametrize("text", ["STOP", "HELP", "SALIO", "hello"])
def test_names_and_short_codes_are_never_answered(phone, sender, text):
    row = phone.gets(text, sender)
    assert row.kind == "person" and not Message.select().exists()


def test_a_phone_abroad_is_left_alone_and_not_texted(phone):
    assert phone.gets("STOP", "+447700900123").kind == "stop"
    phone.gets("HELP", "+447700900123")
    assert contacts.is_blocked("447700900123") and not Message.select().exists()


# Help, and everybody else.


def test_help_is_answered_once_a_day(phone):
    for _ in range(3):
        phone.gets("Msaada")
    assert len(phone.said()) == 1 and phone.said()[0].startswith("Njeri WiFi: tuma swali")
    phone.box.after(hours=25)
    phone.gets("help")
    assert len(phone.said()) == 2


@pytest.mark.parametrize(
    "text",
    ["Je, bado iko?", "wifi 1 hour", "room 101 please", "UK5T7ABCD1", "habari", "", "\x00\x1a\x1b", "\u202e\u2066abc",
     "x" * 2_000, "😀" * 500, "<script>alert(1)</script>", "{shop} {code}", "1234567890123456789012345"],
)  # fmt: skip
def test_what_is_no_keyword_is_a_persons_to_read_and_not_answered(phone, text):
    row = phone.gets(text)
    assert (row.kind, row.read_at, phone.said()) == ("person", None, [])
    assert row.text == text.replace("\x00", "\ufffd")


def test_a_robot_that_answers_whatever_it_gets_is_soon_left_alone(phone):
    for _ in range(60):
        for word in ("STOP", "START", "HELP", "SALIO", "ABC DEF GH2"):
            phone.gets(word)
    assert len(phone.said()) <= answers.A_NUMBER + 1
    assert all(keyword(words) is None for words in phone.said())  # nor does it sound like one to another box


def test_all_numbers_together_are_answered_so_often_a_day(phone, monkeypatch):
    monkeypatch.setattr(answers, "IN_ALL", 5)
    for number in range(9):
        phone.gets("HELP", f"+25471200000{number}")
    assert Message.select().count() == 5 and len(phone.box.events("text.answers_ended")) == 1


def test_numbers_stand_nowhere_open_in_what_limits_them(phone):
    for text, sender in (("HELP", ASHA), ("STOP", ASHA), ("ABC DEF GH2", ASHA), ("9999 LEO", NJERI)):
        phone.gets(text, sender)
    assert not [row.name for row in Throttle.select() if "712345678" in row.name or "733000222" in row.name]


def test_answers_to_orders_have_a_hook_before_people_read_them(phone, monkeypatch):
    monkeypatch.setattr(keywords, "on_order", lambda row, number, now: "order 7: yes" if row.text == "Ndio" else None)
    assert (phone.gets("Ndio").kind, phone.gets("Ndio").outcome) == ("order", "order 7: yes")
    assert phone.gets("Hapana, sitaki").kind == "person"
    assert phone.gets("STOP").kind == "stop"


# Time left, and codes.


def live(msisdn: str = ASHA, **more: Any) -> Grant:
    return access.give(Plan.get_by_id(1), "gift", datetime.now(UTC), msisdn=msisdn[1:], **more)


def test_balance_tells_the_phone_that_bought_and_no_other(phone):
    first, second, other = live(), live(seconds=7200), live(JUMA)
    phone.gets("Balance")
    (said,) = phone.said()
    assert first.username in said and second.password in said and "2 hours" in said
    assert other.username not in said and phone.said(JUMA) == []
    assert Message.get().kind == "code"  # staff do not see it
    phone.gets("BALANCE", "+254700000001")
    assert "no time left" in phone.said("+254700000001")[0]


def test_salio_is_answered_in_kiswahili_unless_the_owner_has_words_of_his_own(phone):
    grant = live(seconds=5400)
    phone.gets("Salio")
    templates.save("CODE_AGAIN", "{{code}} {{pin}}: {{left}} to go", None, phone.box.now)
    phone.gets("Salio")
    shipped, own = phone.said()
    assert "Code yako ya WiFi ni" in shipped and shipped.endswith("Imebaki saa 1 dakika 30")
    assert own == f"{grant.username} {grant.password}: 1 hour 30 minutes to go"


def test_balance_is_answered_a_sane_number_of_times(phone):
    live()
    for _ in range(20):
        phone.gets("BALANCE")
    assert len(phone.said()) == keywords.OFTEN
    phone.box.after(hours=25)
    phone.gets("BALANCE")
    assert len(phone.said()) == keywords.OFTEN + 1


def a_voucher(box: Box, **more: Any) -> str:
    batch = vouchers.make(Plan.get_by_id(1), 1, box.now, **more)
    return batch.vouchers.get().code


def test_a_vouchers_code_is_redeemed_for_the_phone_that_sent_it(phone):
    code = a_voucher(phone.box)
    row = phone.gets(f"{code[:3]} {code[3:6].lower()}-{code[6:]}.")
    grant = Grant.get(Grant.username == code)
    assert (grant.msisdn, grant.why, row.kind) == (ASHA[1:], "voucher", "voucher")
    assert code in phone.said()[0] and grant.password in phone.said()[0]
    assert code not in row.outcome
    phone.gets(code)  # he asks again, and is told again
    assert len(phone.said()) == 2


def test_a_code_that_another_phone_used_tells_nothing(phone):
    code = a_voucher(phone.box)
    phone.gets(code)
    row = phone.gets(code, JUMA)
    grant = Grant.get(Grant.username == code)
    assert grant.password not in "".join(phone.said(JUMA)) and grant.msisdn == ASHA[1:]
    assert "in use" in row.outcome and len(phone.said(JUMA)) == 1


def test_a_code_used_on_the_portal_is_not_told_to_whoever_texts_it(phone):
    code = a_voucher(phone.box)
    vouchers.redeem(code, "02:00:00:00:00:01", "10.5.50.9", {}, phone.box.now)
    phone.box.after(minutes=1)
    phone.gets(code, JUMA)
    assert Grant.get(Grant.username == code).msisdn == ""
    assert Grant.get(Grant.username == code).password not in phone.said(JUMA)[0]


def test_one_code_from_two_phones_at_once_is_one_phones(phone, at_once):
    code = a_voucher(phone.box)
    rows = [phone.keep(code, sender) for sender in (ASHA, JUMA)]
    at_once(lambda place: keywords.answer(rows[place].id, phone.rules, phone.box.now), 2)
    grant = Grant.get(Grant.username == code)
    winner, loser = (ASHA, JUMA) if grant.msisdn == ASHA[1:] else (JUMA, ASHA)
    assert grant.password in phone.said(winner)[0] and grant.password not in phone.said(loser)[0]


def test_a_wrong_code_is_answered_once_and_guessing_ends(phone):
    outcomes = [phone.gets(f"ABC DEF G{number:02d}").outcome for number in range(15)]
    assert outcomes[0] == "a code that is not known; answered" and outcomes[1] == "a code that is not known"
    assert "Too many wrong codes" in outcomes[-1] and len(phone.said()) == 1
    code = a_voucher(phone.box)
    phone.gets(code)
    assert not Grant.select().where(Grant.username == code).exists()  # not even a right one, for a while
    phone.gets(code, JUMA)
    assert Grant.get(Grant.username == code).msisdn == JUMA[1:]  # and nobody else waits


def test_an_expired_voucher_says_so(phone):
    code = a_voucher(phone.box, expires_at=phone.box.now + timedelta(hours=1))
    phone.box.after(hours=2)
    phone.gets(code)
    assert "expired" in phone.said()[0]


# The work.


def test_a_worker_judges_what_came_by_what_the_settings_say(phone, monkeypatch):
    told = Settings(phone.box.folder, sms=Sms(owner_numbers=("0733 000 222",), owner_pin=PIN))
    for text, sender in ((f"{PIN} LEO", NJERI), ("Acha", ASHA), ("habari", JUMA)):
        phone.keep(text, sender)
    monkeypatch.setattr(tasks, "_now", lambda: phone.box.now)
    while (job := jobs.claim("sms", "w", phone.box.now)) is not None and job.name == "texts.answer":
        tasks.run(job, world=World(Devices(told), told))
    assert [row.kind for row in IncomingText.select().order_by(IncomingText.id)] == ["owner", "stop", "person"]
    assert {job.state for job in phone.box.jobs("texts.answer")} == {"done"}


def test_a_text_that_breaks_its_reader_is_a_persons_to_read(phone):
    row = phone.keep("4711 STATUS", NJERI)
    tasks.TASKS["texts.answer"].given_up({"text_id": row.id}, "ZeroDivisionError", phone.box.now)
    row = IncomingText.get_by_id(row.id)
    assert (row.kind, row.read_at) == ("person", None) and "could not act on it" in row.outcome
    assert owner_commands.shown(row, OWNERS) == "•••• STATUS"


# Parts.


def parts_of(text: str, sent_at: datetime) -> list[ReceivedText]:
    found = []
    for pdu in encode_deliver(ASHA, text, sent_at, reference=7):
        told = decode_deliver(pdu.hex)
        part = told.content.part
        found.append(ReceivedText(pdu.hex, told.sender, text=told.content.piece, sent_at=told.sent_at,
                                  reference=part.reference, part=part.number, parts=part.total))  # fmt: skip
    return found


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_parts_that_were_cut_through_a_letter_are_joined_as_they_were(phone, order):
    text = "😀" * 50
    units = text.encode("utf-16-be")
    halves = (units[:134], units[134:])  # the network's cut: in the middle of a pair
    assert 0xD8 <= halves[0][-2] < 0xDC
    parts = parts_of(text, phone.box.now)
    from_network = [
        ReceivedText(f"n{place}", ASHA, text=Content("ucs2", half).piece, reference=8, part=place + 1, parts=2)
        for place, half in enumerate(halves)
    ]
    for place in order:
        incoming_texts.keep([from_network[place], parts[place]], phone.box.now)
    assert [row.text for row in incoming_texts.last_ones()] == [text, text]


def test_a_stop_that_was_cut_through_a_letter_is_obeyed_and_still_joined(phone):
    units = ("STOP " + "😀" * 40).encode("utf-16-be")
    row = phone.gets(Content("ucs2", units[:132]).piece, reference=8, part=1, parts=2)
    assert row.kind == "stop" and contacts.is_blocked(ASHA[1:])
    phone.gets(Content("ucs2", units[132:]).piece, reference=8, part=2, parts=2)
    assert IncomingText.get_by_id(row.id).text == "STOP " + "😀" * 40


def test_a_text_whose_parts_never_came_is_shown_with_its_gap(phone):
    parts = parts_of("Habari, nimelipa lakini sijapata mtandao. " * 10, phone.box.now)
    incoming_texts.keep([parts[0], parts[2]], phone.box.now)
    (early, late) = IncomingText.select().order_by(IncomingText.id)
    keywords.answer(early.id, phone.rules, phone.box.now)
    assert IncomingText.get_by_id(early.id).kind == ""  # it may become whole yet
    now = phone.box.after(hours=6)
    keywords.answer(late.id, phone.rules, now)
    keywords.answer(early.id, phone.rules, now)
    (row,) = incoming_texts.last_ones()
    assert (row.kind, row.read_at) == ("person", None)
    assert row.text.startswith("Habari") and row.text.count(incoming_texts.GAP) == 1
    assert {job.args["text_id"] for job in phone.box.jobs("texts.answer", "scheduled")} == {early.id, late.id}


# The owner.


def test_an_owner_is_told_the_days_takings_and_the_pin_is_kept_nowhere(phone):
    phone.box.paid()
    row = phone.gets(f"{PIN} leo", NJERI)
    assert "KSh 20 taken, 1 sales" in phone.said(NJERI)[0]
    assert (row.kind, row.text) == ("owner", "•••• leo")
    assert PIN not in row.outcome + "".join(phone.said(NJERI)) + str(phone.box.events("text.owner_locked"))


def test_an_owner_is_told_in_one_segment_how_the_box_is(phone, gate, attic):
    attic.put(down_since=phone.box.now - timedelta(hours=2))
    Check.create(name="modem", state="problem", words="no SIM card", checked_at=phone.box.now, changed_at=phone.box.now)
    Check.create(name="mpesa", state="ok", words="", checked_at=phone.box.now, changed_at=phone.box.now)
    phone.gets(f"{PIN} STATUS", NJERI)
    (said,) = phone.said(NJERI)
    assert messages.cost_of(said).segments == 1
    assert "attic down 2 hours" in said and "Modem: no SIM card" in said


def test_nobody_else_commands_though_he_knows_the_pin(phone):
    row = phone.gets(f"{PIN} LEO", ASHA)
    assert (row.kind, phone.said()) == ("person", []) and PIN not in row.text
    assert phone.gets(f"{PIN} LEO", NJERI, route="africastalking").kind == "person"
    phone.rules = Rules(owners=Owners(frozenset({NJERI[1:]}), ""))
    assert phone.gets("4711 LEO", NJERI).kind == "person"


def test_five_wrong_pins_lock_a_number_for_an_hour_and_the_owner_hears_of_it_once(phone):
    for wrong in range(7):
        row = phone.gets(f"{1000 + wrong} STATUS", NJERI)
        assert row.text == "•••• STATUS" and str(1000 + wrong) not in row.outcome
    assert "too many wrong PINs" in phone.gets(f"{PIN} STATUS", NJERI).outcome
    assert phone.said(NJERI) == []
    assert phone.box.events("text.owner_locked") == [{"phone": "0733•••222", "count": 5}]
    phone.box.after(minutes=61)
    phone.gets(f"{PIN} STATUS", NJERI)
    assert len(phone.said(NJERI)) == 1


def test_a_right_pin_forgives_wrong_ones(phone):
    for _ in range(3):
        for _ in range(4):
            phone.gets("9999 STATUS", NJERI)
        phone.gets(f"{PIN} STATUS", NJERI)
    assert len(phone.said(NJERI)) == 3 and phone.box.events("text.owner_locked") == []


def test_a_text_that_nobody_judged_yet_is_shown_without_its_pin(phone):
    row = phone.keep(f"{PIN} STATUS", NJERI)
    assert owner_commands.shown(row, OWNERS) == "•••• STATUS"
    assert owner_commands.shown(phone.keep("４７１１ STATUS", NJERI), OWNERS) == "•••• STATUS"


def test_who_writes_something_else_behind_the_pin_is_told_what_there_is(phone):
    phone.gets(f"{PIN} dance", NJERI)
    assert "STATUS, LEO, RESTART" in phone.said(NJERI)[0]


@pytest.mark.parametrize(
    "typed, phone_number, seconds",
    [("0712 345 678", "254712345678", 3600), ("+254712345678 2", "254712345678", 7200),
     ("0712345678 3 hours", "254712345678", 10800), ("0712345678 24h", "254712345678", 86400),
     ("0712 345678 1 hour", "254712345678", 3600), ("0722000111 day", "254722000111", 86400)],
)  # fmt: skip
def test_a_gift_is_a_phone_and_hours_or_a_plan(box, typed, phone_number, seconds):
    Plan.create(name="Day pass", price_cents=10000, seconds=86400)
    wish = gifts.read(typed)
    assert (wish.msisdn, wish.seconds) == (phone_number, seconds)


@pytest.mark.parametrize("typed", ["", "2", "0712345678 0", "0712345678 25", "0712345678 nothing", "0712", "x" * 150])
def test_a_gift_that_is_none_says_how_to_write_it(box, typed):
    with pytest.raises(BadInput):
        gifts.read(typed)


def test_a_gift_lets_its_guest_in_and_no_money_moves(phone, gate):
    phone.gets(f"{PIN} ZAWADI 0712 345 678 2", NJERI)
    grant = Grant.get(Grant.why == "gift")
    assert (grant.msisdn, grant.seconds, grant.payment_id) == (ASHA[1:], 7200, None)
    assert grant.password in phone.said(ASHA)[0] and "2 hours given to 0712..678" in phone.said(NJERI)[0]
    assert phone.box.jobs("grant.place") and len(phone.box.events("grant.gifted")) == 1
    assert grant.password not in phone.said(NJERI)[0]


def test_gifts_and_restarts_end_for_the_day(phone, gate):
    for _ in range(owner_commands.GIFTS + 3):
        phone.gets(f"{PIN} GIFT 0712345678", NJERI)
    assert Grant.select().where(Grant.why == "gift").count() == owner_commands.GIFTS
    assert "often enough" in phone.said(NJERI)[-1]


def test_a_router_is_restarted_once_in_ten_minutes(phone, gate, attic):
    phone.gets(f"{PIN} RESTART Ga", NJERI)
    (job,) = phone.box.jobs("router.reboot")
    assert (job.args["router_id"], job.lane, phone.said(NJERI)) == (gate.id, f"router:{gate.id}", [])
    assert "less than 10 minutes ago" in phone.gets(f"{PIN} RESTART gate", NJERI).outcome
    phone.gets(f"{PIN} RESTART nowhere", NJERI)
    assert "attic, gate" in phone.said(NJERI)[-1]
    phone.gets(f"{PIN} RESTART", NJERI)
    assert "attic, gate" in phone.said(NJERI)[-1]


@pytest.fixture
def sim() -> Iterator[RouterSimulator]:
    with RouterSimulator() as opened:
        yield opened


@pytest.fixture
def reboots(phone: Phone, sim: RouterSimulator) -> Callable[[], Any]:
    """The owner asks, and a worker does it; returns what the job raised."""
    row = Router.create(name="gate", host="127.0.0.1", port=sim.port, username="edge", password="edge")

    def run() -> Any:
        phone.gets(f"{PIN} RESTART", NJERI)
        (job,) = phone.box.jobs("router.reboot", "waiting")
        device = RouterDevice("127.0.0.1", sim.port, "edge", "edge", timeout_s=5.0)
        world = SimpleNamespace(router=lambda _: device, settings=Settings(phone.box.folder))
        try:
            handling.reboot_router(world, phone.box.now, **job.args)(phone.box.now)
        except (Refused, Unconfirmed) as reason:
            return reason
        finally:
            device.close()
        return row

    return run


def test_a_restart_reaches_the_router_and_the_owner_hears_of_it(phone, sim, reboots):
    assert isinstance(reboots(), Router)
    assert "/system/reboot" in sim.commands
    assert "gate restarts now" in phone.said(NJERI)[0]


def test_a_router_that_may_not_be_restarted_says_which_right_is_missing(phone, sim, reboots):
    sim.deny = True
    reason = reboots()
    assert isinstance(reason, Refused) and "policy reboot" in str(reason)


def test_a_restart_that_comes_too_late_is_not_done(phone, sim, reboots):
    phone.gets(f"{PIN} RESTART", NJERI)
    (job,) = phone.box.jobs("router.reboot", "waiting")
    with pytest.raises(Refused, match="not done so late"):
        handling.reboot_router(None, phone.box.after(minutes=5), **job.args)


def test_a_line_that_breaks_after_the_word_leaves_it_unconfirmed(sim):
    device = RouterDevice("127.0.0.1", sim.port, "edge", "edge", timeout_s=1.0)
    device.facts()
    sim.silent = True
    with pytest.raises(Unconfirmed):
        router_reboot.reboot(device.conversation)
    device.close()
