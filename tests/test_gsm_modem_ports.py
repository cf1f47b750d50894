"""Finding the modem, guarding its PIN, and the resets it may get: in a pretended /dev and /sys."""

import contextlib
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from edge.errors import Away, Unreachable
from edge.gsm_modem import Modem
from edge.modem_line import Gone, Overheard
from edge.modem_ports import PortFinder, device_of
from edge.modem_power import UsbPower
from edge.modem_resets import ResetLadder
from edge.simulators.modem import ModemSimulator

ASHA = "254712345678"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /dev; whoever is mute there is given up quickly."""
    monkeypatch.setattr("edge.modem_ports.PROBE_S", 0.3)
    (tmp_path / "dev" / "serial" / "by-id").mkdir(parents=True)
    return tmp_path / "dev"


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem") as opened:
        yield opened


def plug(dev: Path, name: str, *sticks: ModemSimulator, mute: str = "") -> None:
    """Links as udev would make them: interface 00, 01, …; one without a modem behind it is mute."""
    for number, stick in enumerate(sticks):
        (dev / name.format(number)).symlink_to(stick.port)
    if mute:
        (dev / mute).symlink_to("/dev/null")


def auto(dev: Path, baud: int = 115200) -> PortFinder:
    return PortFinder("auto", baud, folder=dev)


def where(finder: PortFinder) -> str:
    with contextlib.suppress(StopIteration), finder.opened(Overheard()) as (line, path):
        line.close()
        return Path(path).name
    return ""


def test_the_port_that_answers_is_found_by_its_lasting_name(dev: Path, stick: ModemSimulator) -> None:
    plug(dev, "serial/by-id/usb-ACME-if02-port0", stick, mute="serial/by-id/usb-ACME-if00-port0")
    plug(dev, "ttyUSB{}", stick)
    modem = Modem("auto", finder=auto(dev))
    assert modem.status().port == str(dev / "serial/by-id/usb-ACME-if02-port0")
    modem.close()


def test_without_lasting_names_any_port_will_do(dev: Path, stick: ModemSimulator) -> None:
    plug(dev, "ttyUSB1", stick, mute="ttyUSB0")
    assert where(auto(dev)) == "ttyUSB1"


def test_of_a_huawei_the_highest_interface_that_answers_is_taken(dev: Path, tmp_path: Path) -> None:
    with ModemSimulator(tmp_path / "one") as one, ModemSimulator(tmp_path / "two") as two:
        one.family = two.family = "huawei"
        name = "serial/by-id/usb-HUAWEI_Mobile-if0{}-port0"
        plug(dev, name, one, two, mute=name.format(2))
        assert where(auto(dev)) == "usb-HUAWEI_Mobile-if01-port0"
        for link in list((dev / "serial/by-id").iterdir()):
            link.unlink()
        plug(dev, "ttyUSB{}", one, two)
        assert where(auto(dev)) == "ttyUSB1"
        one.family = two.family = "quectel"
        assert where(auto(dev)) == "ttyUSB0"


def test_after_a_replug_the_same_modem_is_found_under_its_new_name(dev: Path, tmp_path: Path) -> None:
    with ModemSimulator(tmp_path / "own") as own, ModemSimulator(tmp_path / "foreign") as foreign:
        foreign.imei = "111111111111111"
        plug(dev, "ttyUSB1", own)
        modem = Modem("auto", finder=auto(dev), answer_timeout_s=1.0)
        modem.send_sms(ASHA, "one")
        own.unplug()
        with pytest.raises(Away):
            modem.send_sms(ASHA, "nobody there")
        (dev / "ttyUSB1").unlink()
        own.plug()
        plug(dev, "ttyUSB{}", foreign)
        plug(dev, "ttyUSB2", own)
        modem.send_sms(ASHA, "two")
        modem.close()
        assert ([sms.text for sms in own.sent], foreign.sent) == (["one", "two"], [])


def test_another_modem_takes_the_place_of_one_that_is_gone(dev: Path, tmp_path: Path) -> None:
    with ModemSimulator(tmp_path / "own") as own, ModemSimulator(tmp_path / "new") as new:
        new.imei = "111111111111111"
        plug(dev, "ttyUSB0", own)
        modem = Modem("auto", finder=auto(dev), answer_timeout_s=1.0)
        modem.send_sms(ASHA, "one")
        own.unplug()
        (dev / "ttyUSB0").unlink()
        plug(dev, "ttyUSB0", new)
        modem.send_sms(ASHA, "two")
        modem.close()
        assert [sms.text for sms in new.sent] == ["two"]


def test_no_port_at_all_is_told_at_once_and_a_fruitless_search_is_not_repeated_at_once(dev: Path) -> None:
    with pytest.raises(Unreachable, match="there is no serial port"):
        Modem("auto", finder=auto(dev)).send_sms(ASHA, "one")
    plug(dev, "", mute="ttyUSB0")
    now = [0.0]
    finder = PortFinder("auto", 115200, folder=dev, clock=lambda: now[0])
    with pytest.raises(Gone, match="no port speaks AT"):
        where(finder)
    master, slave = os.openpty()
    (dev / "ttyUSB0").unlink()
    (dev / "ttyUSB0").symlink_to(os.ttyname(slave))
    with pytest.raises(Gone):
        where(finder)  # within seconds of the last one: not even asked
    os.close(master)
    os.close(slave)


def test_a_uart_is_asked_at_other_speeds_when_it_is_mute_at_the_set_one(
    dev: Path, stick: ModemSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr("edge.modem_ports.probe", lambda path, baud: asked.append((Path(path).name, baud)))
    plug(dev, "ttyUSB0", stick, mute="ttyAMA0")
    with pytest.raises(Gone):
        where(auto(dev, 9600))
    assert asked[:3] == [("ttyUSB0", 9600), ("ttyAMA0", 9600), ("ttyAMA0", 115200)]
    assert ("ttyUSB0", 115200) not in asked


@pytest.mark.parametrize(
    ("path", "device"),
    [("/dev/serial/by-id/usb-HUAWEI_HUAWEI_Mobile-if02-port0", "usb-HUAWEI_HUAWEI_Mobile"),
     ("/dev/serial/by-path/platform-3f980000.usb-usb-0:1.2:1.0-port0", "platform-3f980000.usb-usb-0:1.2"),
     ("/dev/ttyUSB3", "ttyUSB"), ("/dev/ttyAMA0", "ttyAMA0")],
)  # fmt: skip
def test_interfaces_of_one_device_are_known_as_such(path: str, device: str) -> None:
    assert device_of(path) == device


# The PIN.


class TestPinGuard:
    """A wrong PIN is entered once, also by a box that restarts, and by a SIM that does not count aloud."""

    @pytest.fixture
    def guard(self, tmp_path: Path) -> Path:
        return tmp_path / "modem-pin"

    def try_pin(self, stick: ModemSimulator, guard: Path, pin: str) -> str:
        modem = Modem(stick.port, pin=pin, pin_guard=guard, answer_timeout_s=1.0)
        try:
            return modem.status().sim
        finally:
            modem.close()

    def test_a_refused_one_is_not_entered_after_a_restart(self, stick: ModemSimulator, guard: Path) -> None:
        stick.pin = "1234"
        assert [self.try_pin(stick, guard, "9999") for _ in range(2)] == ["SIM PIN", "SIM PIN"]
        stick.pin_tries_left = 3  # somebody opened it in a phone; the settings are still wrong
        assert self.try_pin(stick, guard, "9999") == "SIM PIN"
        assert stick.pins_entered == ["9999"]
        assert "9999" not in guard.read_text()
        assert stat.S_IMODE(guard.stat().st_mode) == 0o600
        assert self.try_pin(stick, guard, "1234") == "ready"
        assert not guard.exists()

    def test_another_sim_may_have_it(self, stick: ModemSimulator, guard: Path) -> None:
        stick.pin = "1234"
        self.try_pin(stick, guard, "9999")
        stick.pin, stick.pin_tries_left, stick.iccid = "9999", 3, "89254021000000000099"
        assert self.try_pin(stick, guard, "9999") == "ready"

    def test_one_that_was_cut_off_is_entered_again_only_when_no_try_was_spent(
        self, stick: ModemSimulator, guard: Path
    ) -> None:
        stick.pin = "1234"
        stick.unplug()
        stick.plug()
        self.try_pin(stick, guard, "9999")
        guard.write_text(guard.read_text().replace("refused", "trying"))
        stick.pin_tries_left = 3
        self.try_pin(stick, guard, "9999")
        assert stick.pins_entered == ["9999", "9999"]


# Resets.


@dataclass
class Time:
    """A steady clock that is turned by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def climb(ladder: ResetLadder, clock: Time, seconds: int, *, returns: bool = True) -> list[tuple[int, str]]:
    """What is done when it is looked every 5 s, and when."""
    began, done = clock.now, []
    for _ in range(0, seconds, 5):
        step = ladder.next_step(returns_from_restart=returns)
        if step is not None:
            done.append((int(clock.now - began), step.name))
        clock.now += 5
    return done


def test_a_deaf_modem_is_reset_harder_and_harder_with_growing_pauses() -> None:
    clock = Time()
    ladder = ResetLadder(resets=True, has_power=True, clock=clock)
    ladder.note_port()
    ladder.note_trouble("deaf")
    done = climb(ladder, clock, 3600)
    firsts = {name: at for at, name in reversed(done)}
    assert list(dict(sorted(firsts.items(), key=lambda each: each[1]))) == ["reopen", "restart", "usb", "power"]
    times = [at for at, name in done if name == "reopen"]
    assert len(times) <= 12
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:4] == sorted(pauses[:4])
    for name in ("restart", "usb", "power"):
        assert len([1 for _, each in done if each == name]) <= 2
    assert "modem restarted 2×" in ladder.tell()
    ladder.note_answer()
    assert climb(ladder, clock, 300) == []


def test_without_leave_only_the_port_is_opened_anew() -> None:
    clock = Time()
    ladder = ResetLadder(resets=False, has_power=True, clock=clock)
    ladder.note_port()
    ladder.note_trouble("deaf")
    assert {name for _, name in climb(ladder, clock, 3600)} == {"reopen"}


def test_a_family_that_does_not_come_back_is_never_told_to_restart() -> None:
    clock = Time()
    ladder = ResetLadder(resets=True, has_power=False, clock=clock)
    ladder.note_port()
    ladder.note_trouble("offline")
    assert {name for _, name in climb(ladder, clock, 3600, returns=False)} == {"radio"}


def test_no_port_is_no_reason_for_a_reset_and_one_that_just_appeared_is_left_alone() -> None:
    clock = Time()
    ladder = ResetLadder(resets=True, has_power=True, clock=clock)
    ladder.note_trouble("deaf")
    ladder.note_no_port()
    assert climb(ladder, clock, 600) == []
    ladder.note_port()
    ladder.note_trouble("deaf")
    assert {name for _, name in climb(ladder, clock, 45)} == {"reopen"}


def test_a_modem_without_network_gets_its_radio_switched_and_then_a_restart(stick: ModemSimulator) -> None:
    clock = Time()
    stick.family = "sim800"
    ladder = ResetLadder(resets=True, has_power=False, clock=clock)
    modem = Modem(stick.port, ladder=ladder, answer_timeout_s=2.0)
    stick.registered = False
    for _ in range(3):
        clock.now += 200
        with pytest.raises(Away):
            modem.require_ready()
    assert "AT+CFUN=4" in stick.commands
    assert "AT+CFUN=1" in stick.commands
    clock.now += 600
    with pytest.raises(Away, match="restart"):
        modem.require_ready()
    stick.registered = True
    modem.send_sms(ASHA, "back")
    assert "AT+CFUN=1,1" in stick.commands
    assert modem.status().resets == "radio switched off and on 1×, modem restarted 1×"
    modem.close()


def test_a_deaf_modem_gets_its_port_opened_anew_and_then_its_power_cut(stick: ModemSimulator) -> None:
    clock = Time()
    done: list[tuple[str, str]] = []

    def power(port: str, step: str) -> str:
        done.append((port, step))
        stick.mute = False
        return "power off and on"

    ladder = ResetLadder(resets=True, has_power=True, clock=clock)
    modem = Modem(stick.port, ladder=ladder, power=power, answer_timeout_s=0.3)
    modem.send_sms(ASHA, "one")
    stick.mute = True
    for _ in range(2):
        clock.now += 150
        with pytest.raises(Away):
            modem.require_ready()
    assert done == [(stick.port, "usb")]
    modem.require_ready()
    modem.close()


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A stick behind port 4 of the hub 1-1, as the kernel shows it."""
    device = tmp_path / "sys" / "devices" / "usb1" / "1-1" / "1-1.4"
    tty = device / "1-1.4:1.2" / "ttyUSB2"
    tty.mkdir(parents=True)
    for name, words in (("authorized", "1"), ("idVendor", "12d1"), ("busnum", "1"), ("devnum", "7")):
        (device / name).write_text(words)
    (tmp_path / "sys" / "class" / "tty" / "ttyUSB2").mkdir(parents=True)
    (tmp_path / "sys" / "class" / "tty" / "ttyUSB2" / "device").symlink_to(tty)
    return tmp_path / "sys"


def test_the_usb_device_behind_a_port_is_deauthorised_and_comes_back(sysfs: Path) -> None:
    seen: list[str] = []
    power = UsbPower(sysfs=sysfs, sleep=lambda seconds: seen.append(switch.read_text()))
    device = power.find_device("/dev/ttyUSB2")
    assert device is not None
    switch = device / "authorized"
    assert power("/dev/ttyUSB2", "usb") == "deauthorised and back"
    assert (seen, switch.read_text()) == (["0"], "1")
    assert power("/dev/ttyAMA0", "usb") == "it is no USB device"


def test_the_socket_is_switched_where_uhubctl_may(sysfs: Path, tmp_path: Path) -> None:
    program = tmp_path / "uhubctl"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    program.chmod(0o755)
    assert UsbPower(sysfs=sysfs, uhubctl=str(program))("/dev/ttyUSB2", "power") == "power off and on"
    assert (tmp_path / "asked").read_text().strip() == "-a cycle -d 2 -l 1-1 -p 4"
    program.write_text("#!/bin/sh\necho 'no permission' >&2\nexit 1\n")
    assert "no permission" in UsbPower(sysfs=sysfs, uhubctl=str(program))("/dev/ttyUSB2", "power")
    assert "not installed" in UsbPower(sysfs=sysfs, uhubctl="no-such-program")("/dev/ttyUSB2", "power")
    assert subprocess.run([str(program)], capture_output=True, check=False).returncode == 1
