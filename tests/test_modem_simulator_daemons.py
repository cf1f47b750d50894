"""The pretend modem under daemons that others wrote: gammu-smsd and smstools3 send and receive through it unchanged."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.simulators.modem import ModemSimulator

ASHA = "254712345678"
KARIBU = "Karibu [Asha]: 1 hour is €0.15 ~ KSh 20"
SMSTOOLS = shutil.which("smsd", path=os.environ.get("PATH", "") + ":/usr/sbin")
SMSTOOLS_FOLDERS = ("incoming", "outgoing", "checked", "sent", "failed")
needs_gammu_smsd = pytest.mark.skipif(
    shutil.which("gammu-smsd") is None, reason="gammu-smsd is missing: apt-get install gammu-smsd"
)
needs_smstools = pytest.mark.skipif(SMSTOOLS is None, reason="smsd is missing: apt-get install smstools")


@contextmanager
def daemon(*command: str) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                running.kill()


def wait_for(found: Callable[[], str], words: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while words not in (told := found()):
        assert time.monotonic() < deadline, f"{words!r} is not in {told!r}"
        time.sleep(0.05)


def read_all(folder: Path, encoding: str) -> str:
    return "".join(path.read_bytes().decode(encoding, "replace") for path in folder.iterdir())


@needs_gammu_smsd
def test_gammu_smsd_sends_and_receives(tmp_path: Path) -> None:
    for name in ("inbox", "outbox", "sent", "error"):
        (tmp_path / name).mkdir()
    with ModemSimulator(tmp_path / "modem", family="huawei") as stick:
        stick.delivery_reports = True
        rc = tmp_path / "smsdrc"
        rc.write_text(
            f"[gammu]\ndevice = {stick.port}\nconnection = at115200\nsynchronizetime = no\n"
            f"[smsd]\nservice = files\nlogfile = {tmp_path}/log\nloopsleep = 1\nchecksecurity = 0\nresetfrequency = 0\n"
            f"inboxpath = {tmp_path}/inbox/\noutboxpath = {tmp_path}/outbox/\nsentsmspath = {tmp_path}/sent/\n"
            f"errorsmspath = {tmp_path}/error/\ninboxformat = unicode\n"
        )
        stick.receive("+" + ASHA, "Habari yako €")
        (tmp_path / "outbox" / f"OUT+{ASHA}.txt").write_text(KARIBU, encoding="utf-8")
        with daemon("gammu-smsd", "-c", str(rc)):
            wait_for(lambda: read_all(tmp_path / "inbox", "utf-16"), "Habari yako €")
            assert stick.wait_for_sent(1, timeout_s=60)
            wait_for(lambda: " ".join(os.listdir(tmp_path / "sent")), ASHA)
        assert [(sms.msisdn, sms.text) for sms in stick.sent] == [(ASHA, KARIBU)]
        assert stick.memory == {}


@needs_smstools
def test_smstools_sends_and_receives(tmp_path: Path) -> None:
    for name in SMSTOOLS_FOLDERS:
        (tmp_path / name).mkdir()
    assert SMSTOOLS is not None
    with ModemSimulator(tmp_path / "modem") as stick:
        conf = tmp_path / "smsd.conf"
        conf.write_text(
            "devices = GSM1\n" + "".join(f"{name} = {tmp_path}/{name}\n" for name in SMSTOOLS_FOLDERS)
            + f"logfile = {tmp_path}/log\ninfofile = {tmp_path}/working\npidfile = {tmp_path}/pid\n"
            "delaytime = 1\nerrorsleeptime = 1\nautosplit = 3\nincoming_utf8 = yes\n"
            f"[GSM1]\ndevice = {stick.port}\nincoming = yes\nreport = yes\nbaudrate = 115200\nrtscts = no\n"
        )
        stick.receive("+" + ASHA, "Habari yako €")
        (tmp_path / "outgoing" / "one").write_text(f"To: {ASHA}\n\n{KARIBU.replace('€', 'KES ')}")
        (tmp_path / "outgoing" / "two").write_text(f"To: {ASHA}\nAlphabet: UTF-8\n\n" + "Karibu sana kwetu. " * 12)
        with daemon(SMSTOOLS, "-t", "-c", str(conf)):
            wait_for(lambda: read_all(tmp_path / "incoming", "utf-8"), "Habari yako €")
            assert stick.wait_for_sent(2, timeout_s=60)
            wait_for(lambda: " ".join(sorted(os.listdir(tmp_path / "sent"))), "one two")
        texts = sorted((sms.msisdn, sms.text.strip(), len(sms.pdus)) for sms in stick.sent)
        assert texts == [
            (ASHA, KARIBU.replace("€", "KES "), 1), (ASHA, ("Karibu sana kwetu. " * 12).strip(), 2),
        ]  # fmt: skip
        assert stick.memory == {}
