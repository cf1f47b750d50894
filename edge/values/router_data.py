"""What a router tells of itself each minute: who is online, how much it carries, how it does."""

from dataclasses import dataclass, field

from edge.errors import BadInput
from edge.values.hotspot import ActiveSession
from edge.values.mac import read_mac


@dataclass(frozen=True)
class LiveSession(ActiveSession):
    """A device that is online, and how fast just now: bits per second since the last look."""

    by_radius: bool = False
    bps_in: float = 0.0
    bps_out: float = 0.0


@dataclass(frozen=True)
class RouterReading:
    """One look. None stands for what the router did not tell; memory in bytes, rates in bits per second.

    `bps_in` came from the internet, `bps_out` went there, by the interface that leads to it.
    """

    uptime_s: int
    sessions: list[LiveSession] = field(default_factory=list)
    cpu_load: int | None = None
    free_memory: int | None = None
    hosts: int | None = None
    bps_in: float | None = None
    bps_out: float | None = None


def as_mac(typed: str) -> str:
    """A hardware address in RouterOS's notation; '' when it is none."""
    try:
        return read_mac(typed)
    except BadInput:
        return ""


def is_private(mac: str) -> bool:
    """Did the device make this address up? The bit for that is set in the first byte (IEEE 802: locally administered).

    Phones do so for each network they join, and some for each day.
    """
    first = mac[:2]
    return len(first) == 2 and all(letter in "0123456789ABCDEFabcdef" for letter in first) and bool(int(first, 16) & 2)
