"""The modem driver over a real serial line: what is sent once, what may be tried again, what is a question."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import Away, DeviceError, Refused, Unconfirmed, Unreachable
from edge.gsm_modem import Modem
from edge.simulators.modem import ModemSimulator

ASHA, JUMA = "254712345678", "254110000007"
SALE = "Edge WiFi: your code is 7K2Q-9F3C, PIN 4821. 1 hour from now on, until 14:05. Receipt QGH7K2M91X, KSh 20."
STORM = (
    "^RSSI:18", '+CMTI: "SM",3', "RING", "NO CARRIER", "+CDS: 25\r\n0006AAOK", '+CREG: 1,"1A2B","CDEF"',
    "BUSY", "+CMT: ,24\r\nOK", "+CMT: ,24\r\n+CMS ERROR: 38", "^BOOT:1,0,0,0,0", "OVER-VOLTAGE WARNNING",
    "+CBM: 9\r\n> ", "+CMT: ,24\r\n+CMGS: 99",
)  # fmt: skip


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    """A modem in its socket; the link is its name by id."""
    with ModemSimulator(tmp_path / "modem") as opened:
        yield opened


@pytest.fixture
def modem(stick: ModemSimulator) -> Iterator[Modem]:
    opened = open_modem(stick)
    yield opened
    opened.close()


def open_modem(stick: ModemSimulator, **more: Any) -> Modem:
    return Modem(stick.port, **({"submit_timeout_s": 20.0} | more))


@pytest.fixture
def hasty(stick: ModemSimulator) -> Iterator[Modem]:
    """A driver with little patience, for tests of silence."""
    opened = open_modem(stick, submit_timeout_s=1.0, answer_timeout_s=1.5)
    yield opened
    opened.close()


def texts(stick: ModemSimulator) -> list[tuple[str, str]]:
    return [(sms.msisdn, sms.text) for sms in stick.sent]


# Texts.


def test_the_text_of_a_sale_is_one_segment(stick: ModemSimulator, modem: Modem) -> None:
    assert len(SALE) < 160
    assert modem.send_sms(ASHA, SALE) == (1,)
    assert texts(stick) == [(ASHA, SALE)]
    assert not stick.segments[0].submit.wants_report


def test_a_long_text_goes_out_in_two_segments_back_to_back(stick: ModemSimulator, modem: Modem) -> None:
    assert modem.send_sms(ASHA, SALE * 2) == (1, 2)
    assert texts(stick) == [(ASHA, SALE * 2)]
    assert "".join(command[:8] for command in list(stick.commands)[-2:]) == "AT+CMGS=" * 2


def test_two_long_texts_do_not_share_a_reference(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, SALE * 2)
    modem.send_sms(ASHA, SALE * 2)
    parts = [segment.submit.content.part for segment in stick.segments]
    assert len({part.reference for part in parts if part}) == 2


@pytest.mark.parametrize("text", ["Karibu 😀", "😀" * 100, "Asante sana ê", "", "@£$€{}[]~|\\^", "مرحبا بكم في الشبكة"])
def test_any_text_arrives_as_it_was_written(stick: ModemSimulator, modem: Modem, text: str) -> None:
    modem.send_sms(ASHA, text)
    assert texts(stick) == [(ASHA, text)]


@pytest.mark.parametrize(
    "text",
    [
        "\x1a", "\x1b", "\r", "hello\x1a\rAT+CMGD=1,4\r", "hello\x1b\rATD0900123456;\r\n", "\r\nOK\r\n",
        "\r\n+CMGS: 7\r\n\r\nOK", '"\rAT+CMGS="254700000000"\r', "\x00\x08\x7f", "AT+CFUN=1,1\r", "\r\n> ",
        "\r\n+CMS ERROR: 1\r\n",
    ],
)  # fmt: skip
def test_a_text_is_never_a_command(stick: ModemSimulator, modem: Modem, text: str) -> None:
    modem.send_sms(ASHA, "before")
    known = len(stick.commands)
    modem.send_sms(JUMA, text)
    assert texts(stick) == [(ASHA, "before"), (JUMA, text)]
    assert [command.split("=")[0] for command in list(stick.commands)[known:]] == ["AT+CMGS"]


@pytest.mark.parametrize(
    "msisdn",
    ["", "+254712345678", "254712345678\r", "254712345678\n", "254712345678\x1a", '1"\rAT+CFUN=0\r',
     "2547 12345678", "٢٥٤٧١٢٣٤٥٦٧٨", "*144#", "2" * 16],
)  # fmt: skip
def test_a_number_is_digits_or_the_modem_is_not_even_asked(stick: ModemSimulator, modem: Modem, msisdn: str) -> None:
    with pytest.raises(Refused):
        modem.send_sms(msisdn, SALE)
    assert not stick.commands


def test_a_text_no_phone_could_join_is_refused(stick: ModemSimulator, modem: Modem) -> None:
    with pytest.raises(Refused, match="256 segments"):
        modem.send_sms(ASHA, "x" * 153 * 256)
    assert stick.segments == []


# Silence and errors.


def test_silence_after_handing_over_is_unconfirmed_and_never_sent_again(stick: ModemSimulator, hasty: Modem) -> None:
    stick.silent = True
    with pytest.raises(Unconfirmed):
        hasty.send_sms(ASHA, SALE)
    assert [command for command in stick.commands if command.startswith("AT+CMGS")] == [f"AT+CMGS={tpdu_length(SALE)}"]
    assert stick.sent == []
    stick.silent = False
    assert len(hasty.send_sms(JUMA, SALE)) == 1
    assert texts(stick) == [(JUMA, SALE)]


def tpdu_length(text: str) -> int:
    return 14 + (len(text) * 7 + 7) // 8


def test_a_lost_answer_is_unconfirmed_although_the_text_is_out(stick: ModemSimulator, hasty: Modem) -> None:
    stick.lose_answer = True
    with pytest.raises(Unconfirmed):
        hasty.send_sms(ASHA, SALE)
    assert texts(stick) == [(ASHA, SALE)]


def test_a_late_answer_is_not_taken_for_the_next_one(stick: ModemSimulator, hasty: Modem) -> None:
    stick.delay_s = 1.8
    with pytest.raises(Unconfirmed):
        hasty.send_sms(ASHA, SALE)
    stick.delay_s = 0.0
    for _ in range(3):
        try:
            assert hasty.send_sms(JUMA, "second") == (2,)
            break
        except Unreachable:  # it was still busy with the first
            continue
    assert texts(stick) == [(ASHA, SALE), (JUMA, "second")]


def test_no_prompt_means_nothing_was_sent(stick: ModemSimulator, hasty: Modem) -> None:
    stick.no_prompt = True
    with pytest.raises(Unreachable, match="prompt"):
        hasty.send_sms(ASHA, SALE)
    stick.no_prompt = False
    hasty.send_sms(ASHA, SALE)
    assert texts(stick) == [(ASHA, SALE)]
    assert not stick.unknown_commands


def test_a_slow_prompt_is_waited_for_and_no_octet_is_lost(stick: ModemSimulator, modem: Modem) -> None:
    stick.prompt_delay_s = 0.3
    modem.send_sms(ASHA, SALE)
    assert texts(stick) == [(ASHA, SALE)]


def test_a_mute_modem_is_unreachable(stick: ModemSimulator, hasty: Modem) -> None:
    stick.mute = True
    with pytest.raises(Unreachable, match="does not answer"):
        hasty.send_sms(ASHA, SALE)
    stick.mute = False
    hasty.send_sms(ASHA, SALE)
    assert texts(stick) == [(ASHA, SALE)]


def test_a_final_no_is_refused(stick: ModemSimulator, modem: Modem) -> None:
    for code in (1, 8, 10, 28, 29, 30, 50, 128, 191, 193, 195, 199, 303, 304, 305):
        stick.next_cms_errors.append(code)
        with pytest.raises(Refused, match=rf"\+CMS ERROR: {code}\b"):
            modem.send_sms(ASHA, SALE)
        modem.send_sms(ASHA, SALE)


def test_one_text_after_another_refused_to_this_sim_is_the_sims_trouble(stick: ModemSimulator, modem: Modem) -> None:
    stick.next_cms_errors.extend([50, 21, 50, 50, None, 50])
    for expected in (Refused, Unreachable, Away, Away):
        with pytest.raises(expected) as told:
            modem.send_sms(ASHA, SALE)
        assert isinstance(told.value, Away) == (expected is Away)
    modem.send_sms(ASHA, SALE)
    with pytest.raises(Refused):
        modem.send_sms(ASHA, SALE)


LATER = (
    17, 21, 22, 27, 38, 41, 42, 47, 69, 81, 95, 96, 111, 127, 192, 194, "+CMS ERROR: Network out of order",
    "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS",
)  # fmt: skip
ITSELF = (208, 209, 211, 301, 302, 310, 311, 312, 313, 314, 315, 316, 320, 322, 330, 331, 515, "+CME ERROR: 14",
          "+CMS ERROR: no network service")  # fmt: skip
NOBODY_KNOWS = (300, 332, 500, 512, 999, "+CMS ERROR:321", "ERROR", "+CME ERROR: 100", "+CMS ERROR: something else")


@pytest.mark.parametrize("code", LATER)
def test_a_no_for_now_may_be_tried_again(stick: ModemSimulator, modem: Modem, code: int | str) -> None:
    assert after(stick, modem, code) is Unreachable
    assert len(modem.send_sms(ASHA, SALE)) == 1


@pytest.mark.parametrize("code", ITSELF)
def test_what_is_the_modems_own_trouble_spends_no_try_of_the_text(
    stick: ModemSimulator, modem: Modem, code: int | str
) -> None:
    assert after(stick, modem, code) is Away
    assert modem.trouble
    assert len(modem.send_sms(ASHA, SALE)) == 1
    assert not modem.trouble


@pytest.mark.parametrize("code", NOBODY_KNOWS)
def test_an_error_that_does_not_say_who_said_no_is_a_question_however_quick(
    stick: ModemSimulator, modem: Modem, code: int | str
) -> None:
    assert after(stick, modem, code) is Unconfirmed
    assert len(modem.send_sms(JUMA, SALE)) == 1


def after(stick: ModemSimulator, modem: Modem, code: int | str) -> type[Exception]:
    """How the driver takes this answer to a text."""
    stick.next_cms_errors.append(code)
    with pytest.raises(DeviceError) as told:
        modem.send_sms(ASHA, SALE)
    assert str(told.value).startswith(code if isinstance(code, str) else f"+CMS ERROR: {code}")
    return type(told.value)


def test_an_error_though_the_network_has_it_is_never_answered_by_sending_again(
    stick: ModemSimulator, modem: Modem
) -> None:
    stick.faults.put("error-though-sent", texts=1, code=500)
    with pytest.raises(Unconfirmed, match="500"):
        modem.send_sms(ASHA, SALE)
    assert texts(stick) == [(ASHA, SALE)]


def test_the_owner_reads_the_modems_words_and_their_meaning(stick: ModemSimulator, modem: Modem) -> None:
    stick.cms_error = 38
    with pytest.raises(Unreachable) as told:
        modem.send_sms(ASHA, SALE)
    assert str(told.value) == "+CMS ERROR: 38 (network out of order)"


@pytest.mark.parametrize("error", [332, 500, "ERROR", 38, 41, 331])
def test_a_network_error_after_a_long_wait_is_unconfirmed(stick: ModemSimulator, error: int | str) -> None:
    stick.cms_error, stick.delay_s = error, 1.0
    modem = open_modem(stick, submit_timeout_s=3.0)
    with pytest.raises(Unconfirmed, match="ERROR"):
        modem.send_sms(ASHA, SALE)
    modem.close()


@pytest.mark.parametrize(
    ("code", "expected"), [(304, Refused), (302, Away), ("ERROR", Unreachable), (500, Unreachable), (331, Away)]
)
def test_an_error_instead_of_the_prompt(
    stick: ModemSimulator, modem: Modem, code: int | str, expected: type[Exception]
) -> None:
    stick.prompt_error = code
    with pytest.raises(expected):
        modem.send_sms(ASHA, SALE)
    assert stick.segments == []


@pytest.mark.parametrize("code", [304, 500])
def test_a_later_segment_that_fails_makes_the_whole_text_a_question(
    stick: ModemSimulator, modem: Modem, code: int
) -> None:
    stick.next_cms_errors.extend([None, code])
    with pytest.raises(Unconfirmed, match=f"1 of 3 segments .* ERROR: {code}"):
        modem.send_sms(ASHA, SALE * 4)
    assert (len(stick.segments), stick.sent) == (1, [])


def test_a_later_segment_that_surely_did_not_leave_is_tried_again_at_once(
    stick: ModemSimulator, modem: Modem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.modem_handover.AGAIN_AFTER_S", (0.01, 0.01, 0.01))
    stick.next_cms_errors.extend([None, 38, 42, None])
    assert modem.send_sms(ASHA, SALE * 4) == (1, 2, 3)
    assert texts(stick) == [(ASHA, SALE * 4)]
    stick.next_cms_errors.extend([None, 38, 38, 38, 38])
    with pytest.raises(Unconfirmed, match=r"1 of 3 segments .* ERROR: 38"):
        modem.send_sms(ASHA, SALE * 4)


def test_a_first_segment_that_fails_sends_nothing(stick: ModemSimulator, modem: Modem) -> None:
    stick.next_cms_errors.append(38)
    with pytest.raises(Unreachable):
        modem.send_sms(ASHA, SALE * 4)
    assert stick.segments == []


# The cable.


def test_a_missing_port_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no modem at"):
        Modem(str(tmp_path / "nothing")).send_sms(ASHA, SALE)


def test_something_that_is_no_port_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a modem")
    with pytest.raises(Unreachable):
        Modem(str(tmp_path / "file")).status()


@pytest.mark.parametrize("step", ["command", "prompt"])
def test_a_modem_that_vanishes_before_the_hand_over_sent_nothing(
    stick: ModemSimulator, modem: Modem, step: Any
) -> None:
    stick.vanish_at = step
    with pytest.raises(Unreachable):
        modem.send_sms(ASHA, SALE)
    assert stick.segments == []
    stick.vanish_at = ""
    stick.plug()
    modem.send_sms(ASHA, SALE)
    assert texts(stick) == [(ASHA, SALE)]


def test_a_modem_that_vanishes_after_the_hand_over_is_a_question(stick: ModemSimulator, modem: Modem) -> None:
    stick.vanish_at = "hand-over"
    with pytest.raises(Unconfirmed, match="vanished"):
        modem.send_sms(ASHA, SALE)
    assert len(stick.sent) == 1


def test_pulled_out_and_put_back_it_goes_on_at_once(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    stick.unplug()
    with pytest.raises(Unreachable):
        modem.send_sms(ASHA, "nobody there")
    with pytest.raises(Unreachable):
        modem.status()
    stick.plug()
    modem.send_sms(ASHA, "two")
    stick.unplug()
    stick.plug()
    modem.send_sms(ASHA, "three")
    assert texts(stick) == [(ASHA, "one"), (ASHA, "two"), (ASHA, "three")]
    assert not stick.echo


def test_a_modem_that_started_anew_is_greeted_again(stick: ModemSimulator) -> None:
    stick.pin = "1234"
    modem = open_modem(stick, pin="1234")
    modem.send_sms(ASHA, "one")
    stick.restart()
    let_it_cross()
    modem.send_sms(ASHA, "two")
    assert not stick.echo
    assert texts(stick) == [(ASHA, "one"), (ASHA, "two")]
    modem.close()


def test_a_modem_that_started_anew_unheard_costs_one_try(stick: ModemSimulator) -> None:
    stick.pin = "1234"
    modem = open_modem(stick, pin="1234")
    modem.send_sms(ASHA, "one")
    stick.volatile.pin_entered = False
    with pytest.raises(Unreachable, match="311"):
        modem.send_sms(ASHA, "two")
    modem.send_sms(ASHA, "two")
    assert texts(stick) == [(ASHA, "one"), (ASHA, "two")]
    modem.close()


def let_it_cross() -> None:
    """Nothing tells when a line has crossed the cable."""
    time.sleep(0.1)


def test_two_drivers_do_not_share_a_port(stick: ModemSimulator, modem: Modem) -> None:
    modem.status()
    with pytest.raises(Unreachable):
        open_modem(stick).status()


def test_a_stale_prompt_is_left_before_anything_else(stick: ModemSimulator, modem: Modem) -> None:
    leave_a_prompt_open(stick)
    modem.send_sms(ASHA, SALE)
    assert texts(stick) == [(ASHA, SALE)]


def leave_a_prompt_open(stick: ModemSimulator) -> None:
    port = os.open(stick.port, os.O_RDWR | os.O_NOCTTY)
    os.write(port, b"AT+CMGS=30\r")
    heard = b""
    while not heard.endswith(b"> "):
        heard += os.read(port, 100)
    os.close(port)


# What nobody asked for.


def test_news_in_every_place_disturb_nothing(stick: ModemSimulator, modem: Modem) -> None:
    stick.urcs = STORM
    assert modem.send_sms(ASHA, SALE * 2) == (1, 2)
    status = modem.status()
    assert (status.manufacturer, status.imei, status.operator) == (stick.manufacturer, stick.imei, "Safaricom")
    assert texts(stick) == [(ASHA, SALE * 2)]


@pytest.mark.parametrize("news", STORM)
def test_each_piece_of_news_alone_disturbs_nothing(stick: ModemSimulator, modem: Modem, news: str) -> None:
    stick.urcs = (news,)
    assert modem.send_sms(ASHA, SALE) == (1,)
    assert modem.status().registered


def test_news_while_idle_disturb_nothing(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    for news in STORM:
        stick.say(news)
    assert modem.send_sms(ASHA, "two") == (2,)


def test_an_answer_to_nothing_makes_it_start_afresh(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    for news in ("+CMGS: 99", "OK", "ERROR"):
        stick.say(news)
    let_it_cross()
    assert modem.send_sms(ASHA, "two") == (2,)
    assert list(stick.commands).count("ATE0") == 2


def test_a_received_text_disturbs_nothing_and_waits_in_the_modem(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    assert stick.receive("MPESA", "Umepokea KES 500") == [1]
    modem.send_sms(ASHA, "two")
    assert len(stick.memory) == 1


def test_an_echo_that_will_not_stop_disturbs_nothing(stick: ModemSimulator, modem: Modem) -> None:
    stick.echo_always = True
    stick.urcs = ("^RSSI:3",)
    assert modem.send_sms(ASHA, SALE) == (1,)
    assert modem.status().imei == stick.imei


def test_a_port_that_babbles_for_ever_is_only_slow(stick: ModemSimulator, hasty: Modem) -> None:
    hasty.send_sms(ASHA, "one")
    stick.mute = True
    stop = threading.Event()

    def babble() -> None:
        while not stop.is_set():
            stick.say("x" * 600)

    thread = threading.Thread(target=babble)
    thread.start()
    try:
        with pytest.raises(Unreachable):
            hasty.send_sms(ASHA, "two")
    finally:
        stop.set()
        thread.join()


# The SIM and the network.


def test_the_pin_is_entered_when_the_sim_asks(stick: ModemSimulator) -> None:
    stick.pin = "1234"
    modem = open_modem(stick, pin="1234")
    modem.send_sms(ASHA, SALE)
    assert (stick.pins_entered, len(stick.sent)) == (["1234"], 1)
    modem.close()


def test_a_wrong_pin_is_entered_once_and_never_again(stick: ModemSimulator) -> None:
    stick.pin = "1234"
    modem = open_modem(stick, pin="9999")
    for _ in range(3):
        with pytest.raises(Unreachable, match="SIM PIN"):
            modem.send_sms(ASHA, SALE)
        assert modem.status().sim == "SIM PIN"
    stick.unplug()
    stick.plug()
    with pytest.raises(Unreachable):
        modem.send_sms(ASHA, SALE)
    assert stick.pins_entered == ["9999"]
    modem.close()


def test_a_box_that_restarts_leaves_the_sim_its_last_tries(stick: ModemSimulator) -> None:
    stick.pin = "1234"
    for _ in range(4):
        modem = open_modem(stick, pin="9999")
        with pytest.raises(Unreachable):
            modem.send_sms(ASHA, SALE)
        modem.close()
    assert (stick.pins_entered, stick.pin_tries_left) == (["9999"], 2)


@pytest.mark.parametrize("pin", ["", '1234"\rAT+CFUN=0\r', "abcd"])
def test_without_a_proper_pin_none_is_entered(stick: ModemSimulator, pin: str) -> None:
    stick.pin = "1234"
    modem = open_modem(stick, pin=pin)
    with pytest.raises(Unreachable, match="SIM PIN"):
        modem.send_sms(ASHA, SALE)
    assert (stick.pins_entered, stick.volatile.functionality) == ([], 1)
    modem.close()


def test_a_pin_never_stands_in_a_log_or_an_error(stick: ModemSimulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    stick.pin = "1234"
    modem = open_modem(stick, pin="7391")
    with pytest.raises(Unreachable) as told:
        modem.send_sms(ASHA, SALE)
    assert "7391" not in caplog.text + str(told.value)
    modem.close()


def test_a_sim_that_wakes_slowly_is_waited_for(stick: ModemSimulator, modem: Modem) -> None:
    stick.sim_error = 14
    waker = threading.Timer(0.7, lambda: setattr(stick, "sim_error", None))
    waker.start()
    modem.send_sms(ASHA, SALE)
    assert len(stick.sent) == 1


def test_a_missing_sim_is_told_and_its_return_is_noticed(stick: ModemSimulator, modem: Modem) -> None:
    stick.sim_error = 10
    with pytest.raises(Unreachable, match="CME ERROR: 10"):
        modem.send_sms(ASHA, SALE)
    status = modem.status()
    assert (status.sim, status.registered, status.model) == ("+CME ERROR: 10", False, stick.model)
    stick.sim_error = None
    modem.send_sms(ASHA, SALE)
    assert len(stick.sent) == 1


def test_without_a_network_nothing_is_handed_over(stick: ModemSimulator, modem: Modem) -> None:
    stick.registered = False
    with pytest.raises(Unreachable, match="not registered"):
        modem.send_sms(ASHA, SALE)
    assert not any(command.startswith("AT+CMGS") for command in stick.commands)
    stick.registered = True
    modem.send_sms(ASHA, SALE)
    assert len(stick.sent) == 1


def test_a_network_that_goes_away_is_noticed_by_the_error(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    stick.registered = False
    with pytest.raises(Unreachable, match="331"):
        modem.send_sms(ASHA, "two")
    with pytest.raises(Unreachable, match="not registered"):
        modem.send_sms(ASHA, "two")


def test_status_tells_modem_network_and_signal(stick: ModemSimulator, modem: Modem) -> None:
    stick.signal = 15
    status = modem.status()
    assert (status.manufacturer, status.model, status.imei) == (stick.manufacturer, stick.model, stick.imei)
    assert (status.registered, status.operator, status.signal_dbm, status.sim) == (True, "Safaricom", -83, "ready")
    stick.signal, stick.registered = 99, False
    status = modem.status()
    assert (status.registered, status.operator, status.signal_dbm) == (False, "", None)


def test_a_radio_that_is_off_is_switched_on(stick: ModemSimulator, modem: Modem) -> None:
    stick.volatile.functionality = 4
    modem.send_sms(ASHA, SALE)
    assert len(stick.sent) == 1


def test_the_message_centre_is_never_rewritten(stick: ModemSimulator, modem: Modem) -> None:
    assert modem.status().smsc == stick.smsc
    modem.send_sms(ASHA, SALE)
    assert [command for command in stick.commands if "CSCA" in command] == ["AT+CSCA?"]


def test_a_huawei_stick_is_asked_to_chatter_less(stick: ModemSimulator, modem: Modem) -> None:
    stick.manufacturer = "Huawei Technologies"
    modem.status()
    assert "AT^CURC=0" in stick.commands
    assert stick.volatile.routing == (2, 1, 0, 1, 0)


# Turns and time.


def test_threads_take_turns_and_every_text_arrives_once(stick: ModemSimulator, modem: Modem) -> None:
    stick.urcs = ("^RSSI:3", "+CDS: 25\r\n0006AA")
    told = [f"text {number}" for number in range(20)]
    threads = [threading.Thread(target=modem.send_sms, args=(ASHA, text)) for text in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sms.text for sms in stick.sent) == sorted(told)


def test_who_waits_too_long_for_a_turn_is_sent_away(stick: ModemSimulator) -> None:
    modem = open_modem(stick, turn_timeout_s=0.1)
    modem.status()
    stick.delay_s = 3.0
    first = threading.Thread(target=modem.send_sms, args=(ASHA, "first"))
    first.start()
    wait_until(lambda: stick.commands[-1].startswith("AT+CMGS"))
    with pytest.raises(Unreachable, match="busy"):
        modem.send_sms(JUMA, "second")
    first.join()
    assert texts(stick) == [(ASHA, "first")]
    modem.close()


def test_the_message_reference_wraps(stick: ModemSimulator, modem: Modem) -> None:
    references = [modem.send_sms(ASHA, "x")[0] for _ in range(257)]
    assert references[254:] == [255, 0, 1]


def wait_until(is_so: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
