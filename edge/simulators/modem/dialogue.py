"""How the pretend modem speaks: octet by octet, echo, prompt, answers, and news nobody asked for."""

import re
from collections.abc import Callable, Iterator
from typing import NoReturn

from edge.simulators.modem.answers import Hang, Trouble
from edge.simulators.modem.commands import Commands
from edge.simulators.modem.handset import Handset
from edge.simulators.modem.line import PtyLine
from edge.simulators.modem.sending import FINE, Sending, Silence, Stage

CR, LF, CTRL_Z, ESC, BACKSPACE = 0x0D, 0x0A, 0x1A, 0x1B, 0x08
LONGEST_COMMAND = 556  # a SIM800 takes so many characters
LONGEST_PDU = 400
LONGEST_WORDS = 1300  # in text mode, UCS-2 in hex
EXTENDED = re.compile(r"([+^*$%][A-Z0-9]+)\s*(=\?|\?|=)?\s*((?:[^;\"]|\"[^\"]*\"?)*);?", re.IGNORECASE)
BASIC = re.compile(r"(?:&F\d?|E[01]?|V[01]?|Q0?|Z\d?|I\d?|S\d+=\d+|X\d|H0?|&[CDW]\d?)", re.IGNORECASE)
PROMPTING = ("+CMGS", "+CMGW")


class Dialogue:
    """Typed octets in, answers out: a command line until CR, a text until Ctrl-Z."""

    def __init__(
        self,
        handset: Handset,
        line: PtyLine,
        commands: Commands,
        stage: Stage,
        log: Callable[[str], object],
        after: Callable[[], object],
    ) -> None:
        self._handset = handset
        self._line = line
        self._log = log
        self._after = after  # each command that went well
        self._commands = commands
        self._sending = Sending(handset, line, self, commands, stage)
        self._typed = bytearray()
        self._awaits_text = False

    def reset(self) -> None:
        """Forget what was half typed."""
        self._typed.clear()
        self._awaits_text = False
        self._sending.plan = FINE

    def hear(self, octet: int) -> None:
        """One octet from the cable."""
        if self._handset.echo and not self._handset.is_deaf:
            self._line.say(bytes([octet]))
        if self._awaits_text:
            self._hear_text(octet)
        elif octet == CR:
            command, self._typed = self._typed.decode("latin-1").strip(), bytearray()
            if command and not self._handset.is_deaf:
                self._obey(command)
        elif octet == ESC:
            self._typed.clear()
        elif octet == BACKSPACE:
            del self._typed[-1:]
        elif octet != LF and octet != CTRL_Z and len(self._typed) < LONGEST_COMMAND:
            self._typed.append(octet)

    def answer(self, lines: list[str], end: str = "OK") -> None:
        """All lines of an answer, how it ends, and what is said between them."""
        self.gossip()
        for line in lines:
            self._say(line)
            self.gossip()
        self._say(end)
        self.gossip()

    def gossip(self) -> None:
        """What nobody asked for."""
        for news in self._handset.urcs or self._sending.lines_between():
            self._say(news)

    def _say(self, line: str) -> None:
        self._line.say(f"\r\n{line}\r\n".encode("latin-1", "replace"))

    # Commands.

    def _obey(self, command: str) -> None:
        self._handset.commands.append(command)
        try:
            lines = self._run(command)
            if self._awaits_text or lines is None:
                return
            self.answer(lines)
            afterwards, self._commands.afterwards = self._commands.afterwards, None
            if afterwards is not None:
                afterwards()
            self._after()
        except Hang:
            self._log(f"hangs at {command!r}")
        except Silence:
            self._log(f"says nothing to {command!r}")
        except Trouble as trouble:
            self._end_badly(trouble)

    def _run(self, command: str) -> list[str] | None:
        """The lines of the answer; None when it is already said or never will be."""
        lines: list[str] = []
        for name, kind, given in self._parts(command):
            if name in PROMPTING and kind == "=":
                self._awaits_text = self._sending.offer_prompt(name, given)
                self._typed.clear()
                self._note_lost_input()
                if not self._awaits_text:
                    self._sending.plan = FINE
                return None
            if name == "+CMSS" and kind == "=":
                self._sending.from_memory(given)
                self._sending.plan = FINE
                return None
            if name.startswith(("+", "^", "*", "$", "%")):
                lines += self._handler(name, command)(kind, given)
            else:
                lines += self._basic(name)
        return lines

    def _parts(self, command: str) -> Iterator[tuple[str, str, str]]:
        """`ATE0+CMEE=1;+CREG=2` is three commands (ITU-T V.250, 5.2 and 5.4)."""
        if command[:2].upper() != "AT":
            self._unknown(command, "ERROR")
        rest = command[2:].lstrip(" ;")
        while rest:
            found = EXTENDED.match(rest)
            if found:
                yield found[1].upper(), found[2] or "", found[3].strip()
            else:
                found = BASIC.match(rest)
                if found is None:
                    self._unknown(command, "ERROR")
                yield found[0].upper(), "", ""
            rest = rest[found.end() :].lstrip(" ;")

    def _handler(self, name: str, command: str) -> Callable[[str, str], list[str]]:
        return self._commands.find(name) or self._unknown(command, self._commands.unknown())

    def _unknown(self, command: str, end: str) -> NoReturn:
        self._handset.unknown_commands.append(command)
        self._log(f"unknown command: {command!r}")
        raise Trouble(end)

    def _basic(self, name: str) -> list[str]:
        """Echo and identity; the rest changes nothing here."""
        handset = self._handset
        if name.startswith("I"):
            return [f"Manufacturer: {handset.manufacturer}", f"Model: {handset.model}", f"IMEI: {handset.imei}"]
        if name[0] in "EZ" or name.startswith("&F"):
            handset.echo = name in ("E1", "&F", "&F0") or name[0] == "Z"
        return []

    def _end_badly(self, trouble: Trouble) -> None:
        self.answer([], trouble.line)
        self._sending.plan = FINE

    def _note_lost_input(self) -> None:
        while self._handset.lost_input:
            self._log(f"lost, because it came before the prompt: {self._handset.lost_input.popleft()!r}")

    # Texts.

    def _hear_text(self, octet: int) -> None:
        if octet == ESC:
            self.reset()
            self.answer([])
        elif octet == CTRL_Z:
            self._hand_over()
        elif len(self._typed) <= (LONGEST_WORDS if self._handset.volatile.is_text_mode else LONGEST_PDU):
            self._typed.append(octet)
            if octet == CR and self._handset.volatile.is_text_mode:
                self._line.say(b"\r\n> ")

    def _hand_over(self) -> None:
        typed, self._typed = bytes(self._typed), bytearray()
        self._awaits_text = False
        try:
            if not self._handset.is_deaf:
                self._sending.hand_over(typed)
                self._after()
        except Silence:
            self._log("says nothing to a text")
        except Trouble as trouble:
            self.answer([], trouble.line)
        finally:
            self._sending.plan = FINE
