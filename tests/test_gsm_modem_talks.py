"""What the modem tells besides texts: delivery reports, USSD, its state, its families."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.errors import Refused, Unconfirmed
from edge.gsm_modem import Modem
from edge.simulators.modem import ModemSimulator
from edge.simulators.modem.ussd_scripts import UssdScript
from edge.tpdu import StatusReport, encode_report
from edge.values import at_words
from edge.values.modem_families import FAMILIES, find_family

ASHA = "254712345678"


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem") as opened:
        yield opened


@pytest.fixture
def modem(stick: ModemSimulator) -> Iterator[Modem]:
    opened = Modem(stick.port, submit_timeout_s=20.0, answer_timeout_s=3.0)
    yield opened
    opened.close()


def wait_for_reports(modem: Modem, count: int = 1) -> list[StatusReport]:
    found: list[StatusReport] = []
    until = time.monotonic() + 10.0
    while len(found) < count and time.monotonic() < until:
        modem.wait_for_news(0.2)
        found += modem.take_reports()
    return found


# Reports.


@pytest.mark.parametrize("family", ["generic", "sim800", "huawei", "quectel", "sim7600"])
def test_a_report_that_was_asked_for_is_handed_over_once(stick: ModemSimulator, modem: Modem, family: str) -> None:
    stick.family, stick.delivery_reports, stick.report_delay_s = family, True, 0.05
    (reference,) = modem.send_sms(ASHA, "one", report=True)
    modem.send_sms(ASHA, "two")
    (report,) = wait_for_reports(modem)
    assert (report.reference, report.recipient, report.status) == (reference, "+" + ASHA, 0)
    assert modem.take_reports() == []
    assert [segment.submit.wants_report for segment in stick.segments] == [True, False]


def test_a_report_before_the_answer_disturbs_nothing(stick: ModemSimulator, modem: Modem) -> None:
    stick.delivery_reports, stick.report_delay_s = True, -1.0
    reference = modem.send_sms(ASHA, "one", report=True)[0]
    assert [report.reference for report in modem.take_reports()] == [reference]


@pytest.mark.parametrize("announced_in", ["SR", "SM"])
def test_reports_that_the_modem_only_stores_are_read_and_deleted(
    stick: ModemSimulator, modem: Modem, announced_in: str
) -> None:
    stick.family = "quectel"
    modem.send_sms(ASHA, "one")
    for reference in (7, 8):
        pdu = encode_report(StatusReport(reference, "+" + ASHA, None, None, 0))
        slot = stick.store(pdu.hex, pdu.length, "SR")
    stick.say(f'+CDSI: "{announced_in}",{slot}')
    assert modem.wait_for_news(5.0)
    assert sorted(report.reference for report in modem.take_reports()) == [7, 8]
    assert not stick.memories["SR"]
    modem.send_sms(ASHA, "two")
    assert len(stick.sent) == 2


def test_a_report_among_the_texts_is_known_as_one(stick: ModemSimulator, modem: Modem) -> None:
    pdu = encode_report(StatusReport(9, "+" + ASHA, None, None, 0))
    stick.store(pdu.hex, pdu.length)
    (stored,) = modem.read_texts()
    assert (stored.deliver, stored.report and stored.report.reference) == (None, 9)


def test_reports_that_could_not_be_kept_are_given_back(stick: ModemSimulator, modem: Modem) -> None:
    stick.delivery_reports = True
    modem.send_sms(ASHA, "one", report=True)
    reports = wait_for_reports(modem)
    assert len(reports) == 1
    modem.give_back_reports(reports)
    assert modem.take_reports() == reports


def test_a_text_may_be_shown_at_once_and_end_after_an_hour(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "now", flash=True, validity_minutes=60)
    submit = stick.segments[0].submit
    assert (submit.is_flash, submit.validity_minutes) == (True, 60)


# USSD.


@pytest.mark.parametrize("family", ["generic", "sim800", "huawei", "quectel", "sim7600"])
def test_each_family_is_asked_its_own_way(stick: ModemSimulator, modem: Modem, family: str) -> None:
    stick.family = family
    stick.ussd_answers["*144#"] = "Your balance is KSH 20.00"
    answer = modem.ussd("*144#", 5.0)
    assert (answer.mode, answer.text) == (0, "Your balance is KSH 20.00")
    assert stick.ussd_asked == ["*144#"]


def test_an_answer_of_many_lines_is_heard_to_its_end(stick: ModemSimulator, modem: Modem) -> None:
    words = "Karibu\n1. Bonga\n\n2. OK\n3. +CMTI"
    stick.ussd_answers["*100#"] = UssdScript(words, replies={"1": "no"})
    answer = modem.ussd("*100#", 5.0)
    assert answer.mode == 1
    assert answer.text.replace("\r", "").split("\n")[-1] == "3. +CMTI"
    assert stick.commands[-1] == "AT+CUSD=2"


def test_an_empty_first_answer_is_not_the_answer(stick: ModemSimulator, modem: Modem) -> None:
    stick.ussd_answers["*144#"] = [UssdScript(""), UssdScript("KSH 5", delay_s=0.2)]
    assert modem.ussd("*144#", 5.0).text == "KSH 5"


def test_no_answer_is_a_question_and_leaves_no_session_open(stick: ModemSimulator, modem: Modem) -> None:
    stick.ussd_answers["*144#"] = UssdScript("late", delay_s=30.0)
    began = time.monotonic()
    with pytest.raises(Unconfirmed, match="did not answer"):
        modem.ussd("*144#", 0.5)
    assert time.monotonic() - began < 3.0
    assert stick.commands[-1] == "AT+CUSD=2"
    assert len(modem.send_sms(ASHA, "after")) == 1


def test_an_answer_whose_quotes_never_close_swallows_nothing(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    stick.say('+CUSD: 0,"half of it')
    assert modem.send_sms(ASHA, "two") == (2,)
    stick.urcs = ('+CUSD: 0,"half of it',)
    assert modem.send_sms(ASHA, "three") == (3,)


@pytest.mark.parametrize("code", ["", "hello", '*1#"\rAT+CFUN=0', "*144#;"])
def test_what_is_no_code_is_not_dialled(stick: ModemSimulator, modem: Modem, code: str) -> None:
    with pytest.raises(Refused):
        modem.ussd(code)
    assert stick.ussd_asked == []


# Its state.


@pytest.mark.parametrize("family", ["generic", "sim800", "huawei", "quectel", "sim7600"])
def test_status_tells_everything_of_each_family(stick: ModemSimulator, modem: Modem, family: str) -> None:
    stick.family = family
    stick.receive(ASHA, "one")
    status = modem.status()
    assert (status.family, status.imei, status.imsi, status.iccid) == (family, stick.imei, stick.imsi, stick.iccid)
    assert (status.smsc, status.registration, status.port) == (stick.smsc, "home", stick.port)
    assert status.network_time is not None
    assert abs(status.network_time - datetime.now(UTC)) < timedelta(minutes=1)
    assert {(fill.memory, fill.used, fill.room) for fill in status.memories} >= {("SM", 1, 30)}
    assert (status.trouble, status.warnings) == ("", ())
    assert not [command for command in stick.unknown_commands if not command.startswith(("AT^", "AT+Q", "AT+CPINR"))]


def test_what_will_go_wrong_later_is_told_now(stick: ModemSimulator, modem: Modem) -> None:
    stick.fill()
    stick.signal, stick.smsc = 5, ""
    assert [words[:12] for words in modem.status().warnings] == ["memory SM is", "the SIM know", "the signal i"]
    stick.registered = False
    assert modem.status().trouble == "the SIM is not registered on a network: searching"


def test_a_full_memory_calls_for_a_reading(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    stick.fill()
    stick.receive(ASHA, "no room")
    assert modem.wait_for_news(5.0)
    assert modem.status().is_full
    modem.delete_texts(modem.read_texts())
    assert not modem.has_texts() or modem.delete_texts(modem.read_texts()) == 0


@pytest.mark.parametrize(
    ("manufacturer", "model", "family"),
    [("huawei", "E173", "huawei"), ("SIMCOM_Ltd", "SIMCOM_SIM800L", "sim800"), ("SIMCOM_Ltd", "SIM900", "sim800"),
     ("SIMCOM INCORPORATED", "SIMCOM_SIM7600E", "sim7600"), ("INCORPORATED", "A7670E-FASE", "sim7600"),
     ("Quectel", "EC25", "quectel"), ("Quectel_Ltd", "M95", "quectel"), ("ZTE", "MF190", "generic")],
)  # fmt: skip
def test_a_family_is_known_by_what_it_calls_itself(manufacturer: str, model: str, family: str) -> None:
    assert find_family(manufacturer, model).name == family


def test_the_settings_may_name_the_family() -> None:
    assert {find_family("ZTE", "MF190", family.name).name for family in FAMILIES} == {f.name for f in FAMILIES}
    assert find_family("huawei", "E173", "generic").name == "generic"
    assert not find_family("huawei", "E173").returns_from_restart


def test_the_modems_clock_is_a_hint_only_when_it_was_set() -> None:
    told = at_words.read_clock('"26/11/22,09:32:21+12"')
    assert told is not None
    assert (told.hour, told.utcoffset()) == (9, timedelta(hours=3))
    for never_set in ('"80/01/06,00:00:21+00"', '"26/13/22,09:32:21+12"', ""):
        assert at_words.read_clock(never_set) is None
