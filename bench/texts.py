"""Texts through one pretend modem, side by side: Edge, the two usual daemons, and a loop that does nothing else."""

import os
import select
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from bench import text_daemons
from bench.box import Box, running
from bench.measures import Row
from bench.modem_stage import Stick, pretend_modem
from bench.text_daemons import Spool
from edge import boot, settings
from edge.domain import messages
from edge.tpdu import encode_submit

DELAY_S = 0.05  # what the modem takes for a text
TEXTS, FIRSTS = 200, 10
TEXTS_OF_DAEMONS = 30  # they take their time
SETTLED_S = 3.0
MOST_S = 180.0
WORDS = "Your hour on the network begins now. Code {:04d}"


@dataclass(frozen=True)
class Pace:
    """What one sender took beyond the modem's own time: seconds of each text, to the first, and AT commands a text."""

    each_s: list[float]
    first_s: tuple[float, ...]
    commands: float

    @property
    def median_s(self) -> float:
        return statistics.median(self.each_s)

    def tell(self) -> str:
        """In one cell of the table. The mean tells of whoever else uses this machine as well."""
        mean_s = statistics.mean(self.each_s)
        return f"{self.median_s * 1000:.1f} ms (mean {mean_s * 1000:.1f}), {self.commands:.2f} AT commands"


def pace() -> list[Row]:
    """The same modem for all of them."""
    raw, edge = _measure(_raw_loop), _measure(_edge)
    first = sorted(edge.first_s)
    rows = [
        Row(f"a text beyond the modem's {DELAY_S * 1000:.0f} ms: a raw loop", raw.tell()),
        Row(f"the same: Edge, {TEXTS} texts", edge.tell(), "≤ 10 ms, ≤ 1.1 AT commands",
            edge.median_s <= 0.010 and edge.commands <= 1.1),
        Row(f"from due to handed over, modem idle and known, {FIRSTS} times",
            f"median {statistics.median(first) * 1000:.0f}, worst {first[-1] * 1000:.0f} ms", "< 100 ms",
            statistics.median(first) < 0.1),
    ]  # fmt: skip
    return rows + [row for daemon in DAEMONS for row in _of_daemon(*daemon)]


Sender = Callable[[Stick, Path], Pace]


def _measure(sender: Sender) -> Pace:
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        with pretend_modem(Path(folder) / "modem", DELAY_S) as stick:
            return sender(stick, Path(folder))


# Edge.


@contextmanager
def opened(box: Box) -> Iterator[None]:
    """The box's database, in this process as well."""
    with boot.opened(settings.load(box.state, environ={})):
        yield


def _edge(stick: Stick, folder: Path) -> Pace:
    with running(modem_port=stick.port) as box, opened(box):
        _promise(0)
        _wait_for(stick, 1)
        firsts = [_first_of_edge(stick, number) for number in range(1, FIRSTS + 1)]
        time.sleep(SETTLED_S)
        before = stick.count("commands")
        for number in range(100, 100 + TEXTS):
            _promise(number)
        _wait_for(stick, 1 + FIRSTS + TEXTS)
        commands = stick.count("commands") - before
        at = [text.at for text in stick.texts()[-TEXTS:]]
        _none_twice(stick)
    return Pace(_each(at), tuple(firsts), commands / TEXTS)


def _first_of_edge(stick: Stick, number: int) -> float:
    """From the moment at which the job is due to that at which the modem has the text."""
    time.sleep(SETTLED_S)
    due = time.time()
    _promise(number)
    _wait_for(stick, number + 1)
    return stick.texts()[-1].at - DELAY_S - due


def _promise(number: int) -> None:
    messages.promise(f"2547{number:08d}", WORDS.format(number), datetime.now(UTC))


# The loop.


def _raw_loop(stick: Stick, folder: Path) -> Pace:
    """Nothing but the two steps of a text, back to back."""
    port = os.open(stick.port, os.O_RDWR | os.O_NOCTTY)
    try:
        for command in (b"ATE0\r", b"AT+CMGF=0\r"):
            _say(port, command, b"OK\r\n")
        before, began = stick.count("commands"), time.time()
        for number in range(TEXTS):
            (pdu,) = encode_submit(f"2547{number:08d}", WORDS.format(number))
            _say(port, f"AT+CMGS={pdu.length}\r".encode(), b"> ")
            _say(port, pdu.hex.encode() + b"\x1a", b"OK\r\n")
    finally:
        os.close(port)
    at = [text.at for text in stick.texts()]
    return Pace(_each(at), (at[0] - DELAY_S - began,), (stick.count("commands") - before) / TEXTS)


def _say(port: int, words: bytes, until: bytes) -> None:
    os.write(port, words)
    heard = b""
    while not heard.endswith(until):
        if not select.select([port], [], [], 10.0)[0]:
            raise RuntimeError(f"the modem says only {heard!r}")
        heard += os.read(port, 1000)


# The daemons.


def _of_daemon(name: str, is_there: Callable[[], bool], start: Callable[..., object], how: str) -> list[Row]:
    if not is_there():
        return [Row(f"the same: {name}", "it is not installed here")]
    rows = []
    for is_quick, label in ((False, "as it comes"), (True, how)):
        told = _measure(lambda stick, folder, is_quick=is_quick: _daemon(stick, folder, start, is_quick))  # type: ignore[misc]
        words = f"{told.tell()}, first after {told.first_s[0]:.1f} s"
        rows.append(Row(f"the same: {name}, {label}", words))
    return rows


def _daemon(stick: Stick, folder: Path, start: Callable[..., object], is_quick: bool) -> Pace:
    with start(stick.port, folder / "spool", is_quick=is_quick) as spool:  # type: ignore[attr-defined]
        _put(spool, 0)
        _wait_for(stick, 1)
        time.sleep(SETTLED_S)
        before, began = stick.count("commands"), time.time()
        for number in range(1, TEXTS_OF_DAEMONS + 1):
            _put(spool, number)
        _wait_for(stick, TEXTS_OF_DAEMONS + 1)
        commands = stick.count("commands") - before
        at = [text.at for text in stick.texts()[1:]]
        time.sleep(2.0)  # else the last one would be sent again: it is stopped before it has read the answer
        _none_twice(stick)
    return Pace(_each(at), (at[0] - DELAY_S - began,), commands / TEXTS_OF_DAEMONS)


def _put(spool: Spool, number: int) -> None:
    spool.put(number, f"2547{number:08d}", WORDS.format(number))


DAEMONS = (
    ("gammu-smsd", text_daemons.gammu_smsd_is_there, text_daemons.gammu_smsd, "no pauses, no checks"),
    ("smstools3", text_daemons.smstools_is_there, text_daemons.smstools, "shortest pauses, no checks"),
)


# What all of them share.


def _each(at: list[float]) -> list[float]:
    """What each text but the first took beyond the modem's own time."""
    return [after - before - DELAY_S for before, after in pairwise(at)]


def _wait_for(stick: Stick, count: int) -> None:
    deadline = time.monotonic() + MOST_S
    while stick.count() < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{stick.count()} of {count} texts were sent in {MOST_S:.0f} s")
        time.sleep(0.05)


def _none_twice(stick: Stick) -> None:
    numbers = [text.msisdn for text in stick.texts()]
    if len(set(numbers)) != len(numbers):
        raise RuntimeError("a text was sent twice")
