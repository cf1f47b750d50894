"""The two daemons that text from most boxes today, each over a folder of its own: as they come, and made quick."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_S = 20.0


@dataclass(frozen=True)
class Spool:
    """A running daemon: a text is a file in its outbox."""

    outbox: Path
    pattern: str

    def put(self, number: int, msisdn: str, text: str) -> None:
        """As its own tools do: written beside the outbox, and moved there when it is whole."""
        fresh = self.outbox.parent / f"fresh{number}"
        if self.pattern == "gammu":
            fresh.write_text(text, encoding="utf-8")
            name = f"OUTC20261126_120000_{number:02d}_+{msisdn}_sms{number}.txt"
        else:
            fresh.write_text(f"To: {msisdn}\n\n{text}\n", encoding="utf-8")
            name = f"text{number:04d}"
        fresh.replace(self.outbox / name)


def gammu_smsd_is_there() -> bool:
    """Is gammu-smsd installed?"""
    return shutil.which("gammu-smsd") is not None


def smstools_is_there() -> bool:
    """Is smstools3 installed?"""
    return _smsd() is not None


# Polling as often as it can, and nothing asked between texts.
QUICK_GAMMU = (
    "loopsleep = 0\ncommtimeout = 1\nstatusfrequency = 0\nchecksecurity = 0\ncheckbattery = 0\nchecksignal = 0\n"
    "checknetwork = 0\n"
)
QUICK_SMSTOOLS, QUICK_SMSTOOLS_MODEM = (
    "delaytime = 1\ndelaytime_mainprocess = 0\n",
    "check_network = 0\npoll_faster = 100\n",
)


@contextmanager
def gammu_smsd(port: str, folder: Path, *, is_quick: bool = False) -> Iterator[Spool]:
    """gammu-smsd with its FILES backend."""
    for name in ("inbox", "outbox", "sent", "error"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    config = folder / "smsdrc"
    config.write_text(
        f"[gammu]\ndevice = {port}\nconnection = at115200\nsynchronizetime = no\n\n[smsd]\nservice = files\n"
        f"logfile = {folder}/log\ninboxpath = {folder}/inbox/\noutboxpath = {folder}/outbox/\n"
        f"sentsmspath = {folder}/sent/\nerrorsmspath = {folder}/error/\n" + (QUICK_GAMMU if is_quick else "")
    )
    with _running(["gammu-smsd", "-c", str(config)]):
        yield Spool(folder / "outbox", "gammu")


@contextmanager
def smstools(port: str, folder: Path, *, is_quick: bool = False) -> Iterator[Spool]:
    """smstools3's smsd."""
    for name in ("incoming", "outgoing", "checked", "failed", "sent"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    spools = "\n".join(f"{name} = {folder}/{name}" for name in ("incoming", "outgoing", "checked", "failed", "sent"))
    config = folder / "smsd.conf"
    config.write_text(
        f"devices = GSM1\n{spools}\nlogfile = {folder}/log\ninfofile = {folder}/working\npidfile = {folder}/pid\n"
        f"{QUICK_SMSTOOLS if is_quick else ''}\n[GSM1]\ndevice = {port}\nincoming = yes\nbaudrate = 115200\n"
        f"{QUICK_SMSTOOLS_MODEM if is_quick else ''}"
    )
    program = _smsd()
    assert program is not None
    with _running([program, f"-c{config}", "-t"]):
        yield Spool(folder / "outgoing", "smstools")


def _smsd() -> str | None:
    return shutil.which("smsd") or shutil.which("smsd", path="/usr/sbin:/usr/local/sbin:/usr/local/bin")


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        time.sleep(0.5)
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
