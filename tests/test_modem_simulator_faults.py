"""How the pretend modem misbehaves: each fault by what it says on the line and what the network has in the end."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge.cli.simulate import simulate
from edge.errors import BadInput
from edge.simulators.modem import NAMES, ModemSimulator, TextDoor, bring_text
from edge.simulators.modem.faults import OF_TEXTS, OF_TIME
from tests.modem_terminal import Terminal

ASHA = "254712345678"


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem0") as opened:
        yield opened


@pytest.fixture
def terminal(stick: ModemSimulator) -> Iterator[Terminal]:
    opened = Terminal(stick.port)
    opened.type(b"ATE0\r")
    yield opened
    opened.close()


def again(stick: ModemSimulator, timeout_s: float = 10.0) -> Terminal:
    """The port, once it is back."""
    deadline = time.monotonic() + timeout_s
    while not (stick.is_plugged and os.path.exists(stick.port)):
        assert time.monotonic() < deadline, "it never came back"
        time.sleep(0.02)
    return Terminal(stick.port)


def test_an_error_in_ten_is_one_of_the_four_that_networks_love(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.seed(4)
    stick.faults.put("error", chance=0.1)
    failed = []
    for n in range(60):
        heard = terminal.hand_over(ASHA, f"text {n}", until=b"\r\n")
        terminal.type(b"AT\r")
        failed += [heard] if b"ERROR" in heard else []
    assert 2 <= len(failed) <= 14
    assert all(end.split()[-1] in (b"500", b"38", b"42", b"331") for end in failed)
    assert len(stick.sent) == 60 - len(failed)
    assert len(stick.faults.struck) == len(failed)


def test_three_errors_in_a_row_and_then_none(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.put("error", texts=3, code=38)
    for _ in range(3):
        terminal.hand_over(ASHA, "hello", until=b"+CMS ERROR: 38\r\n")
    terminal.hand_over(ASHA, "hello")
    assert len(stick.sent) == 1


@pytest.mark.parametrize(("name", "said"), [
    ("error-though-sent", b"\r\n+CMS ERROR: 500\r\n"), ("answer-lost", b""), ("half-answer", b"\r\n+CMGS: "),
])  # fmt: skip
def test_some_answers_lie_or_are_lost_though_the_text_is_out(
    stick: ModemSimulator, terminal: Terminal, name: str, said: bytes
) -> None:
    stick.faults.put(name, texts=1, code=500)
    assert terminal.hand_over(ASHA, "hello", until=said or b"") == said
    assert stick.wait_for_sent(1)
    assert terminal.silence(0.1) == b""
    assert terminal.type(b"AT\r") == b"\r\nOK\r\n"
    assert len(stick.sent) == 1


def test_a_text_may_be_swallowed_without_a_word(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.put("no-answer", texts=1)
    terminal.hand_over(ASHA, "hello", until=b"")
    assert terminal.silence(0.1) == b""
    assert stick.segments == []


def test_a_late_answer_keeps_it_busy_and_comes(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.speed = 100.0
    stick.faults.put("answer-late", texts=1)  # 40 seconds of its own
    before = time.monotonic()
    assert terminal.hand_over(ASHA, "hello") == b"\r\n+CMGS: 1\r\n\r\nOK\r\n"
    assert time.monotonic() - before >= 0.4


def test_the_prompt_may_fail_or_be_slow_or_never_come(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.put("prompt-error", texts=1, code=515)
    terminal.type(b"AT+CMGS=19\r", until=b"+CMS ERROR: 515\r\n")
    stick.faults.put("no-prompt", texts=1)
    terminal.type(b"AT+CMGS=19\r", until=b"")
    assert terminal.silence(0.1) == b""
    stick.faults.put("slow-prompt", texts=1, seconds=0.2)
    before = time.monotonic()
    terminal.hand_over(ASHA, "hello")
    assert time.monotonic() - before >= 0.2
    assert len(stick.sent) == 1


@pytest.mark.parametrize("is_sent", [True, False])
@pytest.mark.parametrize("step", ["command", "prompt", "hand-over"])
def test_the_port_is_gone_in_mid_send_and_comes_back(stick: ModemSimulator, step: str, is_sent: bool) -> None:
    terminal = Terminal(stick.port)
    stick.faults.put("port-gone", texts=1, seconds=0.2, step=step, is_sent=is_sent)  # type: ignore[arg-type]
    with pytest.raises(OSError):
        terminal.hand_over(ASHA, "hello")
    terminal.close()
    back = again(stick)
    back.type(b"AT\r")
    back.close()
    assert len(stick.sent) == (1 if is_sent and step == "hand-over" else 0)


def test_it_starts_anew_in_mid_send_and_has_forgotten_everything(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"AT+CMEE=1\r")
    stick.faults.put("restart", texts=1, is_sent=True)
    assert b"RDY" in terminal.hand_over(ASHA, "hello", until=b"SMS Ready\r\n")
    assert terminal.type(b"AT+CMEE?\r").startswith(b"AT+CMEE?\r\r\n+CMEE: 0")
    assert len(stick.sent) == 1


def test_it_goes_deaf_in_mid_send_for_a_while(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.put("hang", texts=1, seconds=0.5, is_sent=False)
    terminal.hand_over(ASHA, "hello", until=b"")
    terminal.type(b"AT\r", until=b"")
    stick.receive("MPESA", "hello")
    assert terminal.silence(0.2) == b""
    assert wait_for_ok(terminal)
    assert stick.sent == []


def wait_for_ok(terminal: Terminal, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        terminal.type(b"AT\r", until=b"")
        if b"OK" in terminal.silence(0.05):
            return True
    return False


def test_noise_gossip_echo_and_texts_that_come_in_stand_between_the_lines(
    stick: ModemSimulator, terminal: Terminal
) -> None:
    terminal.type(b"AT+CNMI=2,1,0,1,0\r")
    for name in ("garbage", "chatter", "pdu-echo", "incoming"):
        stick.faults.put(name, texts=1)
    terminal.hand_over(ASHA, "hello", until=b"")
    heard, deadline = b"", time.monotonic() + 10
    while b"\r\nOK\r\n" not in heard:
        assert time.monotonic() < deadline
        heard += terminal.silence(0.1)
    for words in (b"????", b"\r\n^RSSI:18\r\n", b"0011000C91527421436587", b'+CMTI: "SM",1', b"+CMGS: 1\r\n"):
        assert words in heard
    assert [fault.fault.name for fault in stick.faults.struck] == ["garbage", "chatter", "pdu-echo", "incoming"]
    terminal.silence(0.2)
    assert terminal.hand_over(ASHA, "hello") == b"\r\n+CMGS: 2\r\n\r\nOK\r\n"
    assert [sms.text for sms in stick.doubled()] == ["hello"]


def test_without_service_it_searches_and_sends_nothing(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.put("no-service", seconds=0.3)
    assert b"+CREG: 0,2" in terminal.type(b"AT+CREG?\r")
    terminal.type(b"AT+CMGS=19\r", until=b"+CMS ERROR: 331\r\n")
    deadline = time.monotonic() + 10
    while b"+CREG: 0,1" not in terminal.type(b"AT+CREG?\r"):
        assert time.monotonic() < deadline
    terminal.hand_over(ASHA, "hello")


def test_a_full_sim_takes_texts_again_once_it_is_emptied(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.put("sim-full")
    assert b'+CPMS: "SM",30,30' in terminal.type(b"AT+CPMS?\r")
    terminal.hand_over(ASHA, "hello", until=b"+CMS ERROR: 322\r\n")
    terminal.type(b"AT+CMGD=3\r")
    terminal.hand_over(ASHA, "hello")


def test_the_sim_may_be_gone_busy_or_locked(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"AT+CMEE=1\r")
    for name, end in (("sim-gone", b"+CME ERROR: 10\r\n"), ("sim-busy", b"+CME ERROR: 14\r\n")):
        stick.faults.put(name)
        terminal.type(b"AT+CPIN?\r", until=end)
        stick.faults.take_back(name)
    stick.faults.put("sim-locked")
    assert b"+CPIN: SIM PUK" in terminal.type(b"AT+CPIN?\r")
    stick.faults.put("weak-signal")
    assert b"+CSQ: 3,99" in terminal.type(b"AT+CSQ\r")
    stick.faults.clear()
    assert b"+CSQ: 21,99" in terminal.type(b"AT+CSQ\r")


def test_airtime_goes_down_with_each_text_until_there_is_none(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.airtime_cents, stick.text_cents = 250, 100
    terminal.hand_over(ASHA, "one")
    terminal.hand_over(ASHA, "two")
    terminal.type(b'AT+CUSD=1,"*144#",15\r', until=b'+CUSD: 0,"Airtime Balance: 0.50 KSH. Expiry: 30-12-2027",15\r\n')
    terminal.hand_over(ASHA, "three", until=b"+CMS ERROR: 50\r\n")
    stick.airtime_error = None
    terminal.hand_over(ASHA, "three", until=b"")
    assert terminal.silence(0.1) == b""
    assert len(stick.sent) == 2


def test_it_comes_back_under_another_name(stick: ModemSimulator, tmp_path: Path) -> None:
    stick.faults.put("moved", seconds=0.05)
    back = again(stick)
    assert (stick.port, (tmp_path / "modem0").is_symlink()) == (str(tmp_path / "modem1"), False)
    back.type(b"AT\r")
    back.close()


def test_a_plug_that_was_pulled_by_hand_is_not_put_back_by_a_fault(stick: ModemSimulator) -> None:
    stick.faults.put("unplugged", seconds=0.1)
    stick.unplug()
    time.sleep(0.3)
    assert not stick.is_plugged


def test_a_schedule_and_chaos_put_faults_in_time_that_flies(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.faults.speed = 600.0
    stick.faults.follow([(60.0, "weak-signal"), (120.0, "clear"), (180.0, "no-service seconds=3600")])
    stick.faults.chaos(every_s=30.0, names=("deaf", "error"), longest_s=20.0)
    deadline = time.monotonic() + 20
    while len({struck.fault.name for struck in stick.faults.struck}) < 3 or not stick.faults.is_on("no-service"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stick.faults.clear()
    assert stick.faults.tell() == []
    assert {struck.fault.name for struck in stick.faults.struck} == {"weak-signal", "no-service", "deaf"}


def test_the_same_seed_brings_the_same_chaos() -> None:
    struck = []
    for _ in range(2):
        stick = ModemSimulator()
        stick.faults.seed(7)
        stick.faults.put("error", chance=0.5)
        struck.append([plan.get("error") for plan in (stick.faults.draw() for _ in range(20))])
    assert struck[0] == struck[1]
    assert len(set(struck[0])) > 2


def test_every_fault_can_be_put_by_words_and_nonsense_cannot(stick: ModemSimulator) -> None:
    assert set(NAMES) == {*OF_TEXTS, *OF_TIME}
    for name in OF_TEXTS:
        stick.faults.put_words(f"{name} texts=1 chance=0.5 for=60 seconds=2.5 code=38 sent=yes step=prompt")
    assert len(stick.faults.tell()) == len(OF_TEXTS)
    for words in ("", "nonsense", "error texts", "error texts=x", "error chance=7", "error sent=perhaps", "error x=1"):
        with pytest.raises(BadInput):
            stick.faults.put_words(words)


def test_it_can_be_broken_and_mended_from_outside(stick: ModemSimulator, tmp_path: Path) -> None:
    with TextDoor(stick, tmp_path / "texts") as door:
        def say(line: str) -> str:
            return bring_text(door.path, line)

        assert say("fault error chance=0.05 code=38") == "put: error"
        assert "error-though-sent: " in say("fault")
        assert "now: error chance=0.05" in say("status")
        assert (say("signal 5"), say("service off"), say("airtime 50")) == ("signal: 5", "service: off", "airtime: 50")
        assert (stick.signal, stick.registered, stick.airtime_cents) == (5, False, 5000)
        assert say("unplug") == "unplugged, until: plug"
        assert "unplugged; signal 5; no service" in say("status")
        assert say("plug") == f"plugged in at {stick.port}"
        assert say("unplug 0.05") == "unplugged for 0.05 s"
        again(stick).close()
        assert "chaos" in say("chaos 1000 7")
        assert say("well").endswith("now: none")
        assert (say("service on"), say("restart")) == ("service: on", "started anew")
        for nonsense in ("fault nonsense", "signal 40", "signal x", "service maybe", "airtime lots", "unplug soon"):
            assert say(nonsense).startswith("not understood")


def test_it_is_broken_by_command_and_started_only_with_faults_that_exist(stick: ModemSimulator, tmp_path: Path) -> None:
    def edge_simulate(*command: str) -> Result:
        return CliRunner().invoke(simulate, command)

    with TextDoor(stick, tmp_path / "texts") as door:
        to = ("modem-fault", "--to", str(door.path))
        assert edge_simulate(*to, "fault", "error", "chance=0.05").output == "put: error\n"
        assert "now: error chance=0.05" in edge_simulate(*to, "status").output
        assert "unplug" in edge_simulate(*to, "nonsense").output
    link = str(tmp_path / "other")
    started = edge_simulate("modem", "--link", link, "--family", "huawei", "--fault", "nonsense")
    assert "huawei E173" in started.output and "error-though-sent" in started.output
    assert not os.path.lexists(link)


def test_it_takes_more_than_five_hundred_texts_a_second(stick: ModemSimulator, terminal: Terminal) -> None:
    before = time.monotonic()
    for n in range(200):
        terminal.hand_over(ASHA, f"text {n}")
    assert 200 / (time.monotonic() - before) > 100  # measured alone: more than a thousand
    assert len(stick.sent) == 200
