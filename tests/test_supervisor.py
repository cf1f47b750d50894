"""The process tells systemd that it is ready, stopping, alive; checked on a real datagram socket."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from edge.supervisor import BEGIN_ANEW_WITHIN_S, Supervisor, Watchdog

ROOT = Path(__file__).resolve().parent.parent
UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))


class Listener:
    """systemd's end of the socket."""

    def __init__(self, address):
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(30)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def heard(self):
        """The next datagram's lines."""
        return self._socket.recv(65536).decode().splitlines()

    def is_silent(self):
        """Has nothing been said that was not heard?"""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._socket.recv(65536)
            return False
        self._socket.settimeout(30)
        return True

    def close(self):
        self._socket.close()


@pytest.fixture
def listener(tmp_path):
    listening = Listener(str(tmp_path / "notify"))
    yield listening
    listening.close()


def test_each_word_is_one_datagram_as_sd_notify_writes_it(listener):
    supervisor = Supervisor(listener.address)
    assert supervisor.ready("serving 8080")
    assert listener.heard() == ["READY=1", "STATUS=serving 8080"]
    assert supervisor.stopping() and listener.heard() == ["STOPPING=1"]
    assert supervisor.alive() and listener.heard() == ["WATCHDOG=1"]
    assert supervisor.status("one\nline — Njeri's") and listener.heard() == ["STATUS=one line — Njeri's"]
    assert supervisor.reloading()
    begun, moment = listener.heard()
    assert begun == "RELOADING=1" and re.fullmatch(r"MONOTONIC_USEC=\d+", moment)


def test_the_watchdog_is_patient_while_the_box_begins_anew_and_no_longer(listener):
    supervisor = Supervisor(listener.address, watchdog_s=30)
    supervisor.reloading()
    assert listener.heard()[2:] == ["WATCHDOG_USEC=600000000"]
    supervisor.ready("serving")
    assert listener.heard() == ["READY=1", "WATCHDOG_USEC=60000000", "STATUS=serving"]


def test_an_abstract_socket_is_spoken_to_as_well():
    listening = Listener(f"@edge-test-{os.getpid()}")
    assert Supervisor(listening.address).ready()
    assert listening.heard() == ["READY=1"]
    listening.close()


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-is-here", "vsock:2:1234", "/" + "x" * 300])
def test_a_supervisor_that_is_not_there_changes_nothing(address):
    assert Supervisor(address).ready() is False


def test_a_supervisor_that_does_not_read_holds_nobody_up(listener):
    supervisor = Supervisor(listener.address)
    said = next(count for count in range(10_000) if not supervisor.alive())
    assert said > 0


def test_the_variables_are_taken_out_so_that_no_child_speaks_for_the_box():
    environ = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    supervisor = Supervisor.from_environment(environ)
    assert (supervisor.address, supervisor.watchdog_s, environ) == ("/run/n", 30.0, {"HOME": "/"})


@pytest.mark.parametrize(
    ("usec", "pid", "half"),
    [
        ("60000000", "", 30.0), ("60000000", "ours", 30.0), ("500000", "", 0.25),
        ("60000000", "1", None), ("", "", None), ("0", "", None), ("soon", "", None), ("-5", "", None), ("²", "", None),
    ],
)  # fmt: skip
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(usec, pid, half):
    pid = str(os.getpid()) if pid == "ours" else pid
    assert Supervisor.from_environment({"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}).watchdog_s == half


def test_without_a_supervisor_nothing_is_sent_and_nothing_waits():
    supervisor = Supervisor.from_environment({})
    assert (supervisor.ready(), supervisor.watchdog_s, Watchdog(supervisor).beat()) == (False, None, [])


def test_the_box_is_alive_only_while_all_its_parts_are(listener):
    state = {"web": "", "writer": ""}
    watchdog = Watchdog(Supervisor(listener.address))
    watchdog.register("web", lambda: state["web"])
    watchdog.register("writer", lambda: state["writer"])
    assert watchdog.beat() == [] and listener.heard() == ["WATCHDOG=1"]
    state["writer"] = "no commit for 90 s"
    assert watchdog.beat() == ["writer: no commit for 90 s"]
    assert listener.heard() == ["STATUS=writer: no commit for 90 s"]
    assert watchdog.beat() and listener.is_silent()
    state["writer"] = ""
    assert watchdog.beat() == []
    assert listener.heard() == ["STATUS=all parts live again"] and listener.heard() == ["WATCHDOG=1"]


def test_a_part_that_can_not_answer_is_not_alive_until_it_is_forgotten(listener):
    def breaks():
        raise RuntimeError("no thread left")

    watchdog = Watchdog(Supervisor(listener.address))
    watchdog.register("workers", breaks)
    assert watchdog.beat() == ["workers: could not answer: no thread left"]
    watchdog.forget("workers")
    assert watchdog.beat() == []


@pytest.mark.skipif(shutil.which("systemd-notify") is None, reason="systemd-notify is missing: it comes with systemd")
def test_systemd_s_own_tool_says_the_same(listener):
    environ = {**os.environ, "NOTIFY_SOCKET": listener.address}
    subprocess.run(["systemd-notify", "--no-block", "--ready", "--status=serving"], env=environ, check=True, timeout=60)
    theirs = [line for line in listener.heard() if not line.startswith("MAINPID=")]
    assert Supervisor(listener.address).ready("serving")
    assert listener.heard() == theirs == ["READY=1", "STATUS=serving"]


def test_a_process_reads_its_own_environment(listener):
    words = "from edge.supervisor import Supervisor; import os; s = Supervisor.from_environment(); s.ready(); s.alive()"
    told = f"{words}; assert 'NOTIFY_SOCKET' not in os.environ; print(s.watchdog_s)"
    environ = {**os.environ, "NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "3000000"}
    usec = "WATCHDOG_USEC=3000000"
    command = [sys.executable, "-c", told]
    ran = subprocess.run(command, env=environ, check=True, timeout=60, capture_output=True, text=True, cwd=ROOT)
    assert (listener.heard(), listener.heard(), ran.stdout.strip()) == (["READY=1", usec], ["WATCHDOG=1"], "1.5")


def read_unit(path):
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(path.read_text(encoding="utf-8"))
    return unit["Service"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_units_wait_for_the_box_s_word_and_watch_it(path):
    service = read_unit(path)
    assert (service["Type"], service["NotifyAccess"], service["WatchdogSec"]) == ("notify", "main", "60")
    assert (service["ExecReload"], service["Restart"]) == ("/bin/kill -HUP $MAINPID", "always")
    assert float(service["TimeoutStartSec"]) == BEGIN_ANEW_WITHIN_S
    assert "AF_UNIX" in service["RestrictAddressFamilies"]  # or nobody would hear us


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: it comes with systemd")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_finds_no_fault_with_the_units_and_calls_them_safe(path, tmp_path):
    copy = tmp_path / path.name
    text = path.read_text(encoding="utf-8")
    copy.write_text(text.replace("/usr/bin/edge", shutil.which("true")), encoding="utf-8")
    verify = ["systemd-analyze", "verify", "--man=no", str(copy)]
    ran = subprocess.run(verify, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0 and [line for line in ran.stderr.splitlines() if path.stem in line] == []
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(copy)]
    judged = subprocess.run(security, capture_output=True, text=True, timeout=100)
    assert judged.returncode == 0, judged.stdout[-300:]
