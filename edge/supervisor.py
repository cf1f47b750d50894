"""Talks to whoever started this process, as a rule systemd: ready, stopping, alive (sd_notify(3), in our words)."""

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping

log = logging.getLogger("edge.supervisor")

TELL_WITHIN_S = 1.0
BEGIN_ANEW_WITHIN_S = 600  # TimeoutStartSec of the units: a large database on a slow card is checked first

Probe = Callable[[], str]


class Supervisor:
    """Where word is sent, and how often it is expected; without an address nobody listens, and nothing is sent.

    `watchdog_s` is how often to tell that the process lives, in seconds; None: nobody waits for it.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.address = address
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] | None = None) -> "Supervisor":
        """As $NOTIFY_SOCKET, $WATCHDOG_USEC, $WATCHDOG_PID say; they are taken out: no child shall speak for us."""
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", "")
        return cls(address, _interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")))

    def ready(self, status: str = "") -> bool:
        """It serves; also the end of `reloading`: the watchdog waits as long as ever again."""
        watched = [] if self.watchdog_s is None else [f"WATCHDOG_USEC={self.watchdog_s * 2_000_000:.0f}"]
        return self.tell("READY=1", *watched, *([f"STATUS={status}"] if status else []))

    def reloading(self) -> bool:
        """It begins anew; `ready` must follow. The watchdog, which does not sleep meanwhile, is asked for patience."""
        patience = [] if self.watchdog_s is None else [f"WATCHDOG_USEC={BEGIN_ANEW_WITHIN_S * 1_000_000}"]
        return self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", *patience)

    def stopping(self) -> bool:
        """It is on its way out: what is in hand is being finished."""
        return self.tell("STOPPING=1")

    def status(self, words: str) -> bool:
        """What `systemctl status` shows."""
        return self.tell(f"STATUS={words}")

    def alive(self) -> bool:
        """The watchdog's time begins anew."""
        return self.tell("WATCHDOG=1")

    def tell(self, *assignments: str) -> bool:
        """Send these in one datagram; False when nobody listens. Never raises, and never waits longer than a second."""
        if not self.address.startswith(("/", "@")):
            return False
        place = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        words = "\n".join(line.replace("\n", " ") for line in assignments)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(TELL_WITHIN_S)
                sender.sendto(words.encode("utf-8", "replace"), place)
        except OSError as reason:
            log.debug("the supervisor does not listen: %s", reason)
            return False
        return True


class Watchdog:
    """Asks every part whether it lives, and says so only when all do; silence makes systemd start the process anew."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._probes: dict[str, Probe] = {}
        self._told: list[str] = []

    def register(self, name: str, probe: Probe) -> None:
        """Ask this part from now on. The probe answers at once: nothing when the part lives, else what is wrong."""
        self._probes[name] = probe

    def forget(self, name: str) -> None:
        """Ask this part no more."""
        self._probes.pop(name, None)

    def beat(self) -> list[str]:
        """What is wrong, a part a line; if nothing, the supervisor hears that we live. Call it every `watchdog_s`."""
        faults = [f"{name}: {fault}" for name, probe in list(self._probes.items()) if (fault := _ask(probe))]
        if faults != self._told:
            self._told = faults
            self._supervisor.status("; ".join(faults) or "all parts live again")
            if faults:
                log.error("not alive, and restarted if it stays so: %s", "; ".join(faults))
        if not faults:
            self._supervisor.alive()
        return faults


def _ask(probe: Probe) -> str:
    try:
        return probe()
    except Exception as reason:  # a part that can't even answer is not alive
        log.exception("a part could not say whether it lives")
        return f"could not answer: {reason}"


def _interval(usec: str, pid: str) -> float | None:
    """Half of what the supervisor allows, as sd_watchdog_enabled(3) advises; only for the process it is meant for."""
    if pid and pid != str(os.getpid()):
        return None
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    return int(usec) / 2_000_000
