"""What a router tells of itself each minute: who is online, how much it carries, how it does."""

from dataclasses import dataclass, field

from edge.values.hotspot import ActiveSession


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
