"""The pretend modem itself: a handset that speaks AT over a cable, or over several."""

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.simulators.modem.commands import Commands
from edge.simulators.modem.dialogue import Dialogue
from edge.simulators.modem.families import Role
from edge.simulators.modem.faults import Fault
from edge.simulators.modem.handset import Handset
from edge.simulators.modem.line import PtyLine, Unplugged
from edge.simulators.modem.records import Volatile
from edge.simulators.modem.reports import Reports
from edge.simulators.modem.sending import Stage
from edge.simulators.modem.text_mode import arrival
from edge.simulators.modem.ussd import Ussd
from edge.tpdu import Pdu, encode_deliver

Log = Callable[[str], object]
FAREWELL_S = 0.1


class Port:
    """One of the stick's interfaces: a line and who answers at it."""

    def __init__(self, simulator: "ModemSimulator", role: Role, link: Path | None, log: Log) -> None:
        self.role = role
        self.line = PtyLine(self._hear, link)
        stage = Stage(
            simulator.reports, lambda seconds: simulator.fall_off(seconds, self.line), simulator.restart,
            simulator.receive,
        )  # fmt: skip
        commands = Commands(simulator, simulator.ussd, lambda: simulator.reset(self.line))
        self.dialogue = Dialogue(simulator, self.line, commands, stage, log, simulator.bring_what_waits)

    def _hear(self, octet: int) -> None:
        if self.role != "mute":
            self.dialogue.hear(octet)


class ModemSimulator(Handset):
    """A modem to open at `port`; `link` is a name that stays when it is pulled out and put back.

    With `by_id` (a folder, as /dev/serial/by-id) it has all the ports of its family, each under its own name there.
    """

    def __init__(
        self, link: Path | None = None, *, log: Log | None = None, family: str = "generic", by_id: Path | None = None
    ) -> None:
        super().__init__(family)
        self.reports = Reports(self, self.say, lambda: self.is_plugged)
        self.ussd = Ussd(self, self.say, self.clock)
        self.gossip_every_s = 0.0  # one line of its family's news each; 0 is never
        self.delivered: list[Pdu] = []  # every part that was brought, in order
        self._received = 0
        self._ports = self._build_ports(link, by_id, log or (lambda line: None))
        self._plugging = threading.RLock()
        self._pulls = 0  # whoever is to plug it in again knows by this number whether it is still for him to do
        self._gossips = 0

    def __enter__(self) -> "ModemSimulator":
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock.stop()
        self._gossips = 0
        self.unplug()

    @property
    def port(self) -> str:
        """What to open; without a name of its own it is another one after each `plug`."""
        return self._speaker.line.path

    @property
    def ports(self) -> list[str]:
        """All of them, as they are numbered."""
        return [port.line.path for port in self._ports]

    @property
    def is_plugged(self) -> bool:
        """Is it in its socket?"""
        return self._speaker.line.is_plugged

    # The cable.

    def plug(self) -> None:
        """Put it in: it has forgotten all that is volatile."""
        with self._plugging:
            self._power_up()
            for port in self._ports:
                port.line.plug()
        if self.gossip_every_s and not self._gossips:
            self._gossip()

    def unplug(self) -> None:
        """Pull it out."""
        with self._plugging:
            self._pulls += 1
            for port in self._ports:
                port.line.unplug()

    def unplug_for(self, seconds: float) -> None:
        """Pull it out, and put it back after so long unless somebody else has moved it."""
        self._pull()
        self._plug_later(seconds)

    def move(self, seconds: float = 0.0) -> None:
        """Pull it out and put it back under the next name: ttyUSB0 becomes ttyUSB1."""
        self._pull()
        for port in self._ports:
            if port.line.link is not None:
                port.line.rename(_next_name(port.line.link))
        self._plug_later(seconds)

    def fall_off(self, seconds: float | None, line: PtyLine) -> None:
        """It leaves the bus by itself, while it speaks at this line; back after so long, None is not at all."""
        self._pull(but=line)
        if seconds is not None:
            self._plug_later(self.faults.real(seconds))
        raise Unplugged

    def restart(self) -> None:
        """It starts anew by itself, as on a weak supply; the port stays."""
        self._power_up()
        for line in self.manners.boot:
            self.say(line)

    def reset(self, line: PtyLine) -> None:
        """AT+CFUN=1,1, asked at this line."""
        if self.manners.reset_s == 0.0:
            self.restart()
        else:
            line.pause(FAREWELL_S)  # its OK is still read
            self.fall_off(self.manners.reset_s, line)

    def say(self, line: str) -> None:
        """Something nobody asked for, now; lost when it is unplugged or deaf."""
        if not self.faults.is_on("deaf"):
            with suppress(Unplugged, OSError):
                self._speaker.line.say(f"\r\n{line}\r\n".encode("latin-1", "replace"))

    # Texts that come in.

    def receive(
        self,
        sender: str,
        text: str,
        *,
        smsc: str = "+254722500029",
        pid: int = 0,
        sent_at: datetime | None = None,
        order: Sequence[int] = (),
        only: Sequence[int] = (),
    ) -> list[int]:
        """Somebody texts this SIM: stored and announced as +CNMI says. Returns the slots taken.

        `sender`: `+` and digits, digits, or a name of up to 11 letters. `smsc`: the message centre's number, `pid`
        TP-PID. Parts of a long text come in `order` (1, 2, …), or `only` some of them. What there is no room for
        waits at the message centre.
        """
        self._received += 1
        pdus = encode_deliver(
            sender, text, sent_at or datetime.now(UTC), reference=self._received, smsc=smsc, protocol=pid
        )
        wanted = order or only or range(1, len(pdus) + 1)
        return self.deliver([pdus[number - 1] for number in wanted])

    def deliver(self, pdus: Iterable[Pdu]) -> list[int]:
        """The network brings these, perhaps once more. Returns the slots taken."""
        found = []
        for pdu in pdus:
            self.delivered.append(pdu)
            if self.volatile.routing[1] == 2:
                is_text = self.volatile.is_text_mode
                self.say("+CMT: " + (arrival(pdu.hex, self.volatile) if is_text else f",{pdu.length}\r\n{pdu.hex}"))
                continue
            slot = self._bring(pdu)
            if slot is None:
                self.held_back.append(pdu)
                self.say("^SMMEMFULL" if self.family == "huawei" else "+SMS FULL")
            else:
                found.append(slot)
        return found

    def replay(self) -> list[int]:
        """The network repeats everything, as after an acknowledgement that it did not hear."""
        return self.deliver(list(self.delivered))

    def bring_what_waits(self) -> None:
        """The message centre tries again, here as soon as there is room."""
        self.reports.bring_what_waits()
        if not self.held_back:
            return
        with self.changed:
            waiting = list(self.held_back)
            self.held_back.clear()
        while waiting and self._bring(waiting[0]) is not None:
            del waiting[0]
        with self.changed:
            self.held_back.extendleft(reversed(waiting))

    def _bring(self, pdu: Pdu) -> int | None:
        slot = self.store(pdu.hex, pdu.length)
        if slot is not None and self.volatile.routing[1] == 1:
            place = f'"{self.volatile.memories[2]}",{slot}' if self.manners.has_index_in_news else ",-1"
            self.say(f"+CMTI: {place}")
        return slot

    # How it is put together.

    @property
    def _speaker(self) -> Port:
        return next(port for port in self._ports if port.role == "at")

    def _build_ports(self, link: Path | None, by_id: Path | None, log: Log) -> list[Port]:
        if by_id is None:
            return [Port(self, "at", link, log)]
        name = f"{self.manners.by_id}-if{{:02d}}-port0"
        return [Port(self, role, by_id / name.format(place), log) for place, role in enumerate(self.manners.ports)]

    def _beginnings(self) -> Mapping[str, Callable[[Fault], object]]:
        return {
            **super()._beginnings(),
            "unplugged": lambda fault: self.unplug_for(self.faults.real(fault.seconds or 0.0)),
            "moved": lambda fault: self.move(self.faults.real(fault.seconds or 0.0)),
        }

    def _pull(self, but: PtyLine | None = None) -> None:
        """Out of the socket, without waiting until it is: a port may do this to itself and to its neighbours."""
        self._pulls += 1
        for port in self._ports:
            if port.line is not but:
                port.line.let_go()

    def _plug_later(self, seconds: float) -> None:
        pulls = self._pulls

        def put_back() -> None:
            with self._plugging:
                if self._pulls == pulls:
                    self.plug()

        self.clock.after(seconds, put_back)

    def _gossip(self) -> None:
        """News of its family, one after another."""
        news = self.manners.gossip
        if news and self.is_plugged and self.gossip_every_s:
            told = news[self._gossips % len(news)]
            if not (self.volatile.is_quiet and told.startswith("^") and not told.startswith("^BOOT")):
                self.say(told)
        self._gossips += 1
        self.clock.after(self.gossip_every_s or 1.0, self._gossip)

    def _power_up(self) -> None:
        self.volatile = Volatile()
        for port in self._ports:
            port.dialogue.reset()


def _next_name(link: Path) -> Path:
    found = re.fullmatch(r"(.*?)(\d*)", link.name)
    stem, number = (found[1], found[2]) if found else (link.name, "")
    return link.with_name(f"{stem}{int(number or -1) + 1 if number else 1}")
