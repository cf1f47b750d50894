"""The pretend modem itself: a handset that speaks AT over a cable."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.simulators.modem.dialogue import Dialogue
from edge.simulators.modem.handset import Handset, Volatile
from edge.simulators.modem.line import PtyLine, Unplugged
from edge.tpdu import encode_deliver


class ModemSimulator(Handset):
    """A modem to open at `port`; `link` is a name that stays when it is pulled out and put back."""

    def __init__(self, link: Path | None = None, *, log: Callable[[str], object] | None = None) -> None:
        super().__init__()
        self._line = PtyLine(lambda octet: self._dialogue.hear(octet), link)
        self._dialogue = Dialogue(self, self._line, log or (lambda line: None))
        self._received = 0

    def __enter__(self) -> "ModemSimulator":
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    @property
    def port(self) -> str:
        """What to open; without a link it is another one after each `plug`."""
        return self._line.path

    def plug(self) -> None:
        """Put it in: it has forgotten all that is volatile."""
        self._power_up()
        self._line.plug()

    def unplug(self) -> None:
        """Pull it out."""
        self._line.unplug()

    def restart(self) -> None:
        """It starts anew by itself, as on a weak supply; the port stays."""
        self._power_up()
        for line in ("RDY", "+CFUN: 1", "Call Ready", "SMS Ready"):
            self.say(line)

    def say(self, line: str) -> None:
        """Something nobody asked for, now; lost when it is unplugged."""
        with suppress(Unplugged):
            self._line.say(f"\r\n{line}\r\n".encode("latin-1"))

    def receive(self, sender: str, text: str) -> list[int]:
        """Somebody texts this SIM: stored and announced as +CNMI says. Returns the slots taken."""
        self._received += 1
        slots = []
        for pdu in encode_deliver(sender, text, datetime.now(UTC), reference=self._received):
            if self.volatile.routing[1] == 2:
                self.say(f"+CMT: ,{pdu.length}\r\n{pdu.hex}")
                continue
            slot = self.store(pdu.hex, pdu.length)
            if slot is not None:
                slots.append(slot)
                if self.volatile.routing[1] == 1:
                    self.say(f'+CMTI: "{self.volatile.memories[2]}",{slot}')
        return slots

    def _power_up(self) -> None:
        self.volatile = Volatile()
        self._dialogue.reset()
