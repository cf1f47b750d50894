"""The pretend modem itself: a handset that speaks AT over a cable."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.simulators.modem.dialogue import Dialogue
from edge.simulators.modem.handset import Handset, Volatile
from edge.simulators.modem.line import PtyLine, Unplugged
from edge.tpdu import Pdu, encode_deliver


class ModemSimulator(Handset):
    """A modem to open at `port`; `link` is a name that stays when it is pulled out and put back."""

    def __init__(self, link: Path | None = None, *, log: Callable[[str], object] | None = None) -> None:
        super().__init__()
        self._line = PtyLine(lambda octet: self._dialogue.hear(octet), link)
        self._dialogue = Dialogue(self, self._line, log or (lambda line: None), self._bring_what_waits)
        self._received = 0
        self.delivered: list[Pdu] = []  # every part that was brought, in order

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
                self.say(f"+CMT: ,{pdu.length}\r\n{pdu.hex}")
                continue
            slot = self._bring(pdu)
            if slot is None:
                self.held_back.append(pdu)
                self.say("+SMS FULL")
            else:
                found.append(slot)
        return found

    def replay(self) -> list[int]:
        """The network repeats everything, as after an acknowledgement that it did not hear."""
        return self.deliver(list(self.delivered))

    def _bring(self, pdu: Pdu) -> int | None:
        slot = self.store(pdu.hex, pdu.length)
        if slot is not None and self.volatile.routing[1] == 1:
            self.say(f'+CMTI: "{self.volatile.memories[2]}",{slot}')
        return slot

    def _bring_what_waits(self) -> None:
        """The message centre tries again, here as soon as there is room."""
        with self.changed:
            waiting = list(self.held_back)
            self.held_back.clear()
        while waiting and self._bring(waiting[0]) is not None:
            del waiting[0]
        with self.changed:
            self.held_back.extendleft(reversed(waiting))

    def _power_up(self) -> None:
        self.volatile = Volatile()
        self._dialogue.reset()
