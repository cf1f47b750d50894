"""The SIM's airtime: answers read by templates, asked for in time, told of before it ends, and dialled once."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import jobs, tasks
from edge.devices.opening import Devices
from edge.domain import airtime, checks, messages
from edge.domain.airtime import Rules
from edge.errors import BadInput
from edge.handlers.world import World
from edge.models import Check, Job
from edge.settings import Settings
from edge.settings_sections import ModemSettings
from edge.simulators.modem import ModemSimulator
from edge.sms_models import Airtime, MessageSegment, Notification
from edge.values import airtime as answers
from edge.values.airtime import Reading, read

CODE = "*144#"
ASHA = "254712345678"
END_OF_2027 = datetime(2027, 12, 30, 20, 59, 59, tzinfo=UTC)  # midnight in Nairobi


@pytest.fixture(autouse=True)
def rules() -> Iterator[None]:
    airtime.configure(Rules(CODE))
    yield
    airtime.configure(Rules())


# Words.


@pytest.mark.parametrize(
    ("words", "cents"),
    [
        ("KSh 1,234.50", 1_234_50), ("12.00KSH", 12_00), ("Ksh.5", 5_00), ("KES 0.00", 0), ("Kshs 20", 20_00),
        ("Ksh .50", 50), ("50/=", 50_00), ("-12.00", -12_00), ("Ksh -5", -5_00), ("-Ksh 5", -5_00), ("Bal:50", 50_00),
        ("12.5 KSH", 12_50), ("12.00,20SMS", 12_00), ("Bal 1,000,000", 1_000_000_00), ("50.00. Exp", 50_00),
        ("500MB", None), ("20 SMS", None), ("30-12-2027", None), ("at 12:30", None), ("3rd Dec", None), ("100%", None),
        ("", None), ("no money", None), ("1.234.567", None),
    ],
)  # fmt: skip
def test_amounts_are_read_as_they_are_written_and_nothing_else_is_one(words: str, cents: int | None) -> None:
    assert answers.read_money(words) == cents


@pytest.mark.parametrize(
    "words",
    ["30-12-2027", "30/12/27", "30.12.2027", "2027-12-30", "12/30/2027", "30 Dec 2027", "30th December, 2027",
     "Dec 30, 2027", "30-Dec-2027", "30-12-2027 23:59:59", "2027-12-30T23:59:59", "30/12/2027 at 11:59:59 PM"],
)  # fmt: skip
def test_dates_are_read_as_they_are_written(words: str) -> None:
    assert answers.read_date(words) == END_OF_2027


@pytest.mark.parametrize("words", ["31-02-2027", "99/99/9999", "0000-00-00", "12:30", "30-12-2027 25:61", "", "1 Dec"])
def test_a_day_that_does_not_exist_is_none(words: str) -> None:
    assert answers.read_date(words) is None


@pytest.mark.parametrize(
    ("words", "reading"),
    [
        ("Airtime Balance: 123.45 KSH. Expiry: 30-12-2027", Reading(123_45, END_OF_2027)),
        ("Airtime Bal: 0.00KSH, Expiry: 2027-12-30. 120 SMS, 1.5GB", Reading(0, END_OF_2027, ("120 SMS", "1.5GB"))),
        ("Bal:0.50KSH\n1:Bundles\n98:MORE", Reading(50)),
        ("Your balance is Ksh 5.00. Validity 30/12/2027", Reading(5_00, END_OF_2027)),
        ("Main Bal: KES 10.0, Expires: 30-Dec-2027", Reading(10_00, END_OF_2027)),
        ("Balance as at 26/11/2026 12:30 is KES 50", Reading(50_00)),
        ("Salio lako ni KSh 5.00", Reading(5_00)),
        ("Ksh.5 is your balance", Reading(5_00)),
        ("Bal:\r\n50.00", Reading(50_00)),
    ],
)
def test_without_a_template_the_usual_answers_are_read(words: str, reading: Reading) -> None:
    assert read(words) == reading


@pytest.mark.parametrize("words", ["", "Hello", "Try again later", "Balance: unknown", "1:Balance\n2:Bundles\n0:Exit",
                                   "1. Balance\n2. Bundles"])
def test_an_answer_without_a_balance_is_no_reading(words: str) -> None:
    assert read(words) is None


def test_the_owners_template_names_what_stands_where() -> None:
    words = "Una 50 bob, texts: 30 hadi 30/12/2027; data 2 pieces"
    template = "una {balance} bob * texts: {bundle} hadi {date}; data {bundle}"
    assert read(words, template) == Reading(50_00, END_OF_2027, ("30", "2 pieces"))
    assert read("Airtime Bal: 5.00", template) is None
    assert read("Bonus: 7. Real: 5", "real: {balance}") == Reading(5_00)
    assert read("You have 20 SMS left", "you have {bundle} left") == Reading(None, None, ("20 SMS",))


@pytest.mark.parametrize(
    "template",
    ["Bal", "*", "{amount}", "{balance} {balance}", "{date}{date}", "{bundle}" * 6, "x" * 301 + "{balance}", "{}"],
)
def test_a_template_that_is_none_says_so(template: str) -> None:
    with pytest.raises(BadInput):
        answers.check_template(template)


def test_signs_of_other_languages_than_the_templates_own_are_plain_letters() -> None:
    assert read("(a+)+$ [5]", "(a+)+$ [{balance}]") == Reading(5_00)
    assert read("{5}", "{ {balance}") == Reading(5_00)


@settings(deadline=None)
@given(st.text(max_size=80), st.text(st.sampled_from("ab *{}balncedtu:.(|["), max_size=40))
def test_any_answer_is_read_by_any_template_or_is_not(words: str, template: str) -> None:
    try:
        assert read(words, template) is None or True
    except BadInput:
        assert template.strip()


@pytest.mark.parametrize("template", ["*".join(["a"] * 100) + "{balance}", "{bundle}{bundle}{bundle}x{balance}"])
def test_no_template_keeps_the_worker_busy(template: str) -> None:
    began = time.monotonic()
    read("a" * 2_000, template)
    read("5 " * 1_000, template)
    assert time.monotonic() - began < 5


def test_texts_of_bundles_are_counted() -> None:
    assert (Reading(bundles=("1,200 SMS", "2 GB", "30sms")).texts, Reading().texts) == (1_230, 0)


# What is written down, and told.


def said(words: str, now: datetime) -> Airtime:
    return airtime.record(CODE, words, now)


def check() -> Check:
    return Check.get(Check.name == "airtime")


def notices() -> list[str]:
    return [row.name for row in Notification.select().order_by(Notification.id)]


def test_a_good_balance_is_kept_with_what_it_lasts_for(box, now):
    row = said("Airtime Bal: 250.50 KSH. Expiry: 30-12-2027. 20 SMS", now)
    assert (row.balance_cents, row.ends_at, row.bundles) == (250_50, END_OF_2027, "20 SMS")
    assert (airtime.texts_left(row), airtime.is_too_low(now), notices()) == (270, False, [])
    assert (check().state, check().words) == ("ok", "KSh 250.50 and 20 SMS, until 30 Dec 2027: about 270 texts")


def test_a_low_balance_is_told_once_until_it_has_recovered(box, now):
    for shillings, told in ((60, 0), (40, 1), (30, 1), (300, 1), (20, 2), (10, 2)):
        said(f"Bal: {shillings}.00", box.after(hours=6))
        assert notices() == ["airtime.low"] * told
    assert airtime.is_too_low(box.now)
    assert check().state == "problem" and check().cure.startswith("top the SIM up")
    assert "KSh 10: about 10 texts" in check().words
    assert len(box.jobs("notice.send")) == 2


def test_a_bundle_of_texts_is_as_good_as_money(box, now):
    said("Bal: 3.00. You have 500 SMS", now)
    assert (airtime.is_too_low(now), check().state) == (False, "ok")


def test_airtime_that_ends_soon_is_told_once(box, now):
    for _ in range(2):
        said(f"Bal: 500.00 Expires {now + timedelta(days=1):%d-%m-%Y}", box.after(hours=6))
    assert (notices(), check().state, airtime.is_too_low(box.now)) == (["airtime.ends"], "problem", False)


def test_an_answer_that_cannot_be_read_is_shown_with_the_cure(box, now):
    said("Karibu! Chagua: 1. Bundles", now)
    assert check().state == "problem" and "Chagua" in check().words and "balance_pattern" in check().cure
    assert airtime.latest() is None and not airtime.is_too_low(now)


def test_an_old_reading_stops_nothing(box, now):
    said("Bal: 1.00", now)
    assert airtime.is_too_low(box.after(hours=20))
    assert not airtime.is_too_low(box.after(hours=20))


def test_no_answer_is_the_modems_trouble_until_it_lasts(box, now):
    said("Bal: 100.00", now)
    airtime.record_no_answer(CODE, "the SIM is not registered", box.after(hours=6))
    assert check().state == "ok"
    airtime.record_no_answer(CODE, "the SIM is not registered", box.after(hours=13))
    assert check().state == "problem" and "not registered" in check().words
    assert airtime.latest().balance_cents == 100_00


def test_another_code_is_kept_and_judged_by_nobody(box, now):
    row = airtime.record("*188#", "You have bought 200 SMS. Bal: 1.00", now)
    assert (row.balance_cents, row.bundles, airtime.latest(), checks.everything()) == (None, "", None, [])
    assert airtime.answer_to("*188#", now).words == row.words
    assert airtime.answer_to(CODE, now) is None and airtime.answer_to("*188#", box.after(seconds=1)) is None


def test_four_hundred_answers_are_kept(box, now):
    Airtime.insert_many(
        {"at": now, "code": CODE, "balance_cents": 1, "words": str(number)} for number in range(405)
    ).execute()
    said("Bal: 100.00", now)
    assert Airtime.select().count() == 400


# When it is asked for.


def asked(box) -> int:
    """How often since last time; what was promised is done with."""
    found = box.jobs("modem.balance", *jobs.OPEN)
    Job.delete().where(Job.name == "modem.balance").execute()
    return len(found)


def test_the_balance_is_asked_for_every_few_hours_behind_all_texts(box, now):
    assert airtime.ask_if_due(now) and not airtime.ask_if_due(now)
    (job,) = box.jobs("modem.balance")
    assert (job.queue, job.lane, job.priority, job.args) == ("sms", "modem", jobs.LOW, {"code": CODE})
    code = messages.promise(ASHA, "Your code", box.after(seconds=1))
    assert code and jobs.upcoming("sms")[0][1] == "sms.send"
    asked(box)
    said("Bal: 100.00", now)
    assert not airtime.ask_if_due(box.after(hours=5))
    assert airtime.ask_if_due(box.after(hours=1))


def test_without_a_code_nothing_is_asked(box, now):
    airtime.configure(Rules())
    assert not airtime.ask_if_due(now) and airtime.latest() is None and not airtime.is_too_low(now)


def test_silence_is_asked_again_after_an_hour(box, now):
    airtime.record_no_answer(CODE, "no modem", now)
    assert [airtime.ask_if_due(box.after(minutes=minutes)) for minutes in (30, 31)] == [False, True]


def test_a_clock_that_was_put_back_does_not_stop_the_asking(box, now):
    said("Bal: 100.00", now + timedelta(days=30))
    assert airtime.ask_if_due(now)


def test_it_is_asked_early_when_so_many_texts_were_sent_that_it_must_be_low(box, now):
    said("Bal: 55.00", now)
    message = messages.promise(ASHA, "Hi", now)
    for number in range(6):
        assert not airtime.ask_if_due(box.after(minutes=5))
        MessageSegment.create(message=message, number=number, reference=number, sent_at=box.now)
    assert airtime.ask_if_due(box.now)


@pytest.mark.parametrize("told", [Rules("hello"), Rules(CODE, "no names"), Rules('*144#"\rAT')])
def test_a_code_or_a_pattern_that_is_none_is_told_at_the_start(told: Rules) -> None:
    with pytest.raises(BadInput):
        airtime.configure(told)


def test_a_code_by_hand_is_promised_once_and_never_dialled_twice(box, now):
    assert airtime.ask("*188*1#", now) and airtime.ask("*188*1#", now) is None
    (job,) = box.jobs("modem.ussd")
    assert (job.args, job.lane, tasks.is_repeatable("modem.ussd")) == ({"code": "*188*1#"}, "modem", False)
    assert tasks.is_repeatable("modem.balance")
    with pytest.raises(BadInput):
        airtime.ask("DROP TABLE", now)


# At a pretend modem.


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem") as opened:
        yield opened


@pytest.fixture
def dialled(box, stick, tmp_path) -> Iterator[list[Job]]:
    """Runs what is promised, at a modem that is there; the jobs that were run."""
    told = Settings(state=tmp_path, modem=ModemSettings(port=stick.port))
    devices = Devices(told)

    def run() -> list[Job]:
        done = []
        while (job := jobs.claim("sms", "test", datetime.now(UTC))) is not None:
            tasks.run(job, world=World(devices, told))
            done.append(Job.get_by_id(job.id))
        return done

    yield run
    devices.close()


def test_the_balance_is_dialled_read_and_written_down(stick, dialled):
    stick.airtime_cents = 123_45
    airtime.ask_if_due(datetime.now(UTC))
    assert [job.state for job in dialled()] == ["done"]
    row = airtime.latest()
    assert (row.balance_cents, row.ends_at) == (123_45, END_OF_2027)
    assert (stick.ussd_asked, check().state) == ([CODE], "ok")


def test_an_answer_to_a_code_by_hand_is_a_row_for_whoever_waits(stick, dialled):
    since = datetime.now(UTC)
    airtime.ask("*999#", since)
    assert [job.state for job in dialled()] == ["done"]
    assert airtime.answer_to("*999#", since).words == "the network does not know this code"
    stick.unplug()
    airtime.ask("*188#", since)
    assert [job.state for job in dialled()] == ["done"]
    assert "no modem" in airtime.answer_to("*188#", since).words
