"""Everything that goes wrong between the box and its modem: each text once, or a question where nobody can know."""

import contextlib
import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.errors import Away, DeviceError, Refused, Unconfirmed, Unreachable
from edge.gsm_modem import Modem
from edge.simulators.modem import ModemSimulator

ASHA = "254712345678"
FASTER = 40.0  # seconds of a fault pass so much quicker


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem") as opened:
        opened.faults.speed = FASTER
        yield opened


@pytest.fixture
def modem(stick: ModemSimulator) -> Iterator[Modem]:
    opened = Modem(stick.port, submit_timeout_s=4.0, answer_timeout_s=1.5)
    yield opened
    opened.close()


@dataclass
class Story:
    """What became of some texts, and how often each was tried."""

    sent: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    away: int = 0
    again: int = 0


def send_all(modem: Modem, count: int = 20, patience_s: float = 60.0) -> Story:
    """As the queue does: again when it surely did not leave, never when nobody knows."""
    story = Story()
    for number in range(count):
        text, until = f"Code {number:02d}", time.monotonic() + patience_s
        while text not in (*story.sent, *story.unconfirmed, *story.refused):
            assert time.monotonic() < until, f"{text} is not done"
            try:
                modem.send_sms(ASHA, text)
                story.sent.append(text)
            except Unconfirmed:
                story.unconfirmed.append(text)
            except Refused:
                story.refused.append(text)
            except Away:
                story.away += 1
                time.sleep(0.05)
            except Unreachable:
                story.again += 1
    return story


SURE = [
    ("error", {"code": 38, "chance": 0.1}), ("error", {"code": 42, "chance": 0.1}),
    ("error", {"code": 331, "chance": 0.1}), ("error", {"code": 38, "texts": 3}),
    ("answer-late", {"texts": 2}), ("deaf", {"texts": 1, "seconds": 20.0}),
    ("no-service", {"texts": 1, "seconds": 20.0}), ("chatter", {}), ("slow-prompt", {"texts": 2}),
    ("no-prompt", {"texts": 1}), ("garbage", {}), ("incoming", {"texts": 5}),
    ("sim-full", {"texts": 1, "seconds": 20.0}),
    ("port-gone", {"texts": 1, "step": "prompt"}), ("prompt-error", {"texts": 2, "code": 500}), ("pdu-echo", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "how"), SURE)
def test_every_text_is_sent_once(stick: ModemSimulator, modem: Modem, name: str, how: dict[str, Any]) -> None:
    modem.send_sms(ASHA, "before")
    stick.faults.put(name, **how)
    story = send_all(modem)
    assert len(story.sent) == 20
    assert [sms.text for sms in stick.sent] == ["before", *story.sent]


DOUBTFUL = [
    ("error", {"code": 500, "texts": 2}, 2), ("error", {"code": 500, "texts": 3}, 3),
    ("error-though-sent", {"code": 500, "texts": 2}, 2), ("no-answer", {"texts": 1}, 1),
    ("answer-lost", {"texts": 2}, 2), ("half-answer", {"texts": 1}, 1),
    ("port-gone", {"texts": 1, "is_sent": True}, 1), ("port-gone", {"texts": 1, "is_sent": False}, 1),
    ("hang", {"texts": 1, "is_sent": True}, 1), ("restart", {"texts": 1, "is_sent": True}, 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "how", "doubts"), DOUBTFUL)
def test_where_nobody_can_know_it_is_a_question_and_nothing_is_doubled(
    stick: ModemSimulator, name: str, how: dict[str, Any], doubts: int
) -> None:
    modem = Modem(stick.port, submit_timeout_s=1.0, answer_timeout_s=1.0)
    modem.send_sms(ASHA, "before")
    stick.faults.put(name, **how)
    story = send_all(modem, count=8)
    modem.close()
    assert (len(story.unconfirmed), len(story.sent)) == (doubts, 8 - doubts)
    assert stick.doubled() == []
    assert set(story.sent) <= {sms.text for sms in stick.sent}


def test_a_modem_that_restarts_unheard_never_takes_a_pdu_for_words(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    stick.volatile.is_text_mode, stick.echo = True, True  # a profile with CMGF=1, and nobody heard it boot
    modem.send_sms(ASHA, "two")
    assert [(sms.msisdn, sms.text) for sms in stick.sent] == [(ASHA, "one"), (ASHA, "two")]


def test_a_text_after_a_pause_asks_for_its_mode_first_and_a_burst_does_not(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    before = len(stick.commands)
    for number in range(20):
        modem.send_sms(ASHA, f"text {number}")
    assert [command.partition("=")[0] for command in list(stick.commands)[before:]] == ["AT+CMGS"] * 20
    time.sleep(1.6)
    stick.volatile.is_text_mode = True
    modem.send_sms(ASHA, "late")
    assert stick.sent[-1].text == "late"


def test_a_text_costs_less_than_ten_milliseconds_beyond_the_modems_own(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "before")
    stick.delay_s = 0.02
    took = []
    for number in range(15):
        began = time.monotonic()
        modem.send_sms(ASHA, f"text {number}")
        took.append(time.monotonic() - began - stick.delay_s)
    assert sorted(took)[len(took) // 2] < 0.01  # the median: others use this machine as well


def test_the_first_text_meets_the_modem_without_waiting(stick: ModemSimulator) -> None:
    took = []
    for _ in range(3):
        modem = Modem(stick.port)
        began = time.monotonic()
        modem.send_sms(ASHA, "first")
        took.append(time.monotonic() - began)
        modem.close()
    assert min(took) < 0.1


# Nothing lasts longer than its limit.


@dataclass
class Port:
    """A serial port on which somebody else than a modem sits."""

    path: str
    master: int
    said: Callable[[], bytes]
    stop: threading.Event = field(default_factory=threading.Event)

    def babble(self) -> None:
        os.set_blocking(self.master, False)
        while not self.stop.is_set():
            with contextlib.suppress(OSError):
                os.read(self.master, 1000)
            try:
                os.write(self.master, self.said())
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return


WORDS = {
    "a deaf line": lambda: b"",
    "garbage without end": lambda: os.urandom(300),
    "unsolicited lines without end": lambda: b"\r\n^RSSI:18\r\n" * 20,
    "restarts without end": lambda: b"\r\nRDY\r\n",
    "prompts without end": lambda: b"\r\n> ",
    "a text that never ends": lambda: b'\r\n+CUSD: 1,"Karibu\r\n1. Bei\r\n',
    "answers without end": lambda: b"\r\nOK\r\n",
}  # fmt: skip


@pytest.fixture(params=WORDS)
def noise(request: pytest.FixtureRequest) -> Iterator[Port]:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = Port(os.ttyname(slave), master, WORDS[request.param])
    thread = threading.Thread(target=port.babble, daemon=True)
    thread.start()
    yield port
    port.stop.set()
    thread.join()
    os.close(master)
    os.close(slave)


def test_no_call_outlasts_its_limit_whatever_is_on_the_line(noise: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {
        "gsm_modem.GREETING_S": 0.3, "gsm_modem.CONVERSATION_S": 0.5, "gsm_modem.READING_S": 0.3,
        "modem_line.RESYNC_S": 0.1, "modem_line.QUOTE_S": 0.2, "modem_texts.LIST_S": 0.3,
    }  # fmt: skip
    for name, limit_s in limits.items():
        monkeypatch.setattr(f"edge.{name}", limit_s)
    modem = Modem(noise.path, answer_timeout_s=0.3, submit_timeout_s=0.3, turn_timeout_s=0.3)
    calls: list[Callable[[], object]] = [
        lambda: modem.send_sms(ASHA, "text"), modem.status, modem.require_ready, modem.has_texts, modem.read_texts,
        lambda: modem.ussd("*144#", 0.3), lambda: modem.wait_for_news(0.3),
    ]  # fmt: skip
    for call in calls:
        began = time.monotonic()
        with contextlib.suppress(DeviceError):
            call()
        assert time.monotonic() - began < 5.0
    modem.close()


def test_a_port_that_takes_no_characters_is_away_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.modem_line.WRITE_S", 0.3)
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(slave, False)
    try:
        while True:
            os.write(slave, b"x" * 1000)
    except BlockingIOError:
        pass
    modem = Modem(os.ttyname(slave), answer_timeout_s=1.0)
    began = time.monotonic()
    with pytest.raises(Away):
        modem.send_sms(ASHA, "text")
    assert time.monotonic() - began < 3.0
    modem.close()
    os.close(master)
    os.close(slave)


def test_waiting_for_news_on_a_babbling_port_does_not_spin(stick: ModemSimulator, modem: Modem) -> None:
    modem.send_sms(ASHA, "one")
    stop = threading.Event()

    def babble() -> None:
        while not stop.wait(0.005):
            stick.say("^RSSI:18")

    thread = threading.Thread(target=babble)
    thread.start()
    began = time.thread_time()
    assert not modem.wait_for_news(0.5)
    spent_s = time.thread_time() - began
    stick.receive("MPESA", "Umepokea")
    assert modem.wait_for_news(5.0)
    stop.set()
    thread.join()
    assert spent_s < 0.2
