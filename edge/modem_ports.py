"""Finding the modem's port among those there are: asked politely, known again by its IMEI."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.modem_line import Failed, Gone, Line, Overheard, Silent
from edge.values import at_words
from edge.values.modem_families import find_family

log = logging.getLogger("edge.modem")

AUTO = "auto"
PROBE_S = 2.0  # each of AT and AT+CGSN
SEARCH_S = 30.0
AGAIN_S = 10.0  # after a search that found nothing, and cost time
BAUDS = (115200, 9600, 57600, 19200, 38400, 460800)
# By id tells the device and the interface, and stays; by path the socket; the rest moves with each re-plug.
PLACES = (
    ("serial/by-id/*",), ("serial/by-path/*",), ("ttyUSB*", "ttyACM*"), ("serial0", "ttyAMA0", "ttyS0"),
)  # fmt: skip
NAMELESS = ("ttyUSB", "ttyACM")  # several devices may stand under these
UARTS = ("serial0", "ttyAMA0", "ttyS0")
_INTERFACE = re.compile(r"-if(\d\d)(?:-port\d+)?$|:1\.(\d+)(?:-port\d+)?$|(\d+)$")


@dataclass(frozen=True)
class Found:
    """A port that speaks AT, and whose it is. `imei` is empty where a modem does not tell it."""

    path: str
    baud: int
    imei: str


class PortFinder:
    """Where the modem is: at the one place the settings name, or wherever it answers."""

    def __init__(
        self, port: str, baud: int, *, folder: Path = Path("/dev"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._port, self._baud, self._folder, self._clock = port, baud, folder, clock
        self._last: Found | None = None
        self._failed_at: float | None = None
        self._seen: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What to call it in words."""
        return self._port if self._port != AUTO else self._last.path if self._last else "any port"

    @contextmanager
    def opened(self, overheard: Overheard) -> Iterator[tuple[Line, str]]:
        """The open port and its path; Gone when there is none. It stays open unless the block fails."""
        line, path = self._open(overheard)
        try:
            yield line, path
        except BaseException:
            line.close()
            raise

    def note_imei(self, imei: str) -> None:
        """It is this one; looked for again after it was pulled out."""
        if self._last is not None and imei:
            self._last = Found(self._last.path, self._last.baud, imei)

    def _open(self, overheard: Overheard) -> tuple[Line, str]:
        if self._port != AUTO:
            return Line(self._port, self._baud, overheard), self._port
        found = self._find()
        self._last = found
        return Line(found.path, found.baud, overheard), found.path

    def _find(self) -> Found:
        """First where it was; then everywhere. What has the known IMEI wins over any other that answers."""
        ports = tuple(self.candidates())
        is_worn_out = self._failed_at is not None and self._clock() - self._failed_at < AGAIN_S
        if not ports or (is_worn_out and ports == self._seen):
            raise Gone("no port speaks AT" if ports else "there is no serial port")
        self._seen = ports
        until = self._clock() + SEARCH_S
        known, others = self._last, []
        if known is not None and known.path in ports:
            again = probe(known.path, known.baud)
            if again is not None and again.imei == known.imei:
                return self._remember(again)
        for found in self._answering(ports, until):
            if known is None or not known.imei or found.imei == known.imei:
                return self._remember(found)
            others.append(found)
        if others:
            log.warning("the modem with IMEI %s is not there; another one takes its place", known.imei if known else "")
            return self._remember(others[0])
        if known is not None and known.path in ports:
            return known  # deaf, perhaps: whoever resets it has to have it
        self._failed_at = self._clock()
        raise Gone("no port speaks AT")

    def _remember(self, found: Found) -> Found:
        self._failed_at = None
        return found

    def candidates(self) -> list[str]:
        """Every port, the best names first, each device once."""
        ports: dict[Path, str] = {}
        for patterns in PLACES:
            for pattern in patterns:
                for path in sorted(self._folder.glob(pattern), key=_place_of):
                    ports.setdefault(path.resolve(), str(path))
        return list(ports.values())

    def _answering(self, ports: tuple[str, ...], until: float) -> Iterator[Found]:
        """Device by device. Of most the lowest interface that answers; of a Huawei the highest, which hears news."""
        devices: dict[str, list[str]] = {}
        for path in ports:
            devices.setdefault(device_of(path), []).append(path)
        mute_uarts = []
        for device, paths in devices.items():
            from_above = find_family(device, "").takes_highest_port
            rest = list(reversed(paths) if from_above else paths)
            while (found := self._first_answer(rest, until)) is not None:
                yield found if from_above else self._highest_of(found, paths, until)
                if device not in NAMELESS:
                    break
                rest = rest[rest.index(found.path) + 1 :]
            if found is None and Path(paths[0]).name in UARTS:
                mute_uarts += paths
        yield from self._at_other_bauds(mute_uarts, until)

    def _first_answer(self, paths: Iterable[str], until: float) -> Found | None:
        for path in paths:
            if self._clock() > until:
                return None
            found = probe(path, self._baud)
            if found is not None:
                return found
        return None

    def _highest_of(self, found: Found, paths: list[str], until: float) -> Found:
        """A Huawei whose name did not tell that it is one."""
        above = paths[paths.index(found.path) + 1 :]
        if above and _is_huawei(found):
            better = self._first_answer(reversed(above), until)
            if better is not None and better.imei == found.imei:
                return better
        return found

    def _at_other_bauds(self, paths: list[str], until: float) -> Iterator[Found]:
        for path in paths:
            for baud in BAUDS:
                if baud != self._baud and self._clock() < until:
                    found = probe(path, baud)
                    if found is not None:
                        log.info("%s answers at %s baud", path, baud)
                        yield found
                        break


def device_of(path: str) -> str:
    """What all interfaces of one device have in common: its name without the interface's number."""
    name = Path(path).name
    if Path(path).parent.name not in ("by-id", "by-path"):
        return re.sub(rf"^({'|'.join(NAMELESS)})\d+$", r"\1", name)
    return _INTERFACE.sub("", name)


def _place_of(path: Path) -> tuple[str, int]:
    found = _INTERFACE.search(path.name)
    number = next((told for told in found.groups() if told), "0") if found else "0"
    return device_of(str(path)), int(number)


def probe(path: str, baud: int) -> Found | None:
    """Does a modem answer there? Takes twice PROBE_S at most, and leaves the port closed."""
    try:
        line = Line(path, baud)
    except Gone as reason:
        log.debug("%s: %s", path, reason)
        return None
    try:
        line.wake(PROBE_S, slowly=True)
        told = line.try_to("AT+CGSN", PROBE_S)
        return Found(path, baud, told[0] if told else "")
    except (Gone, Silent, Failed) as reason:
        log.debug("%s at %s baud: %s", path, baud, reason)
        return None
    finally:
        line.close()


def _is_huawei(found: Found) -> bool:
    try:
        line = Line(found.path, found.baud)
    except Gone:
        return False
    try:
        line.wake(PROBE_S)
        told = line.try_to(at_words.ANSWERED_BARE[0], PROBE_S)
        return find_family(told[0] if told else "", "").takes_highest_port
    except (Gone, Silent):
        return False
    finally:
        line.close()
