"""The port of the modem: commands out, lines in, and what is said unasked in between."""

import logging
import re
import select
import termios
import time

import serial

from edge.values import at_words

log = logging.getLogger("edge.modem")

ESC, CTRL_Z = b"\x1b", b"\x1a"
PORT_FAULTS = (serial.SerialException, OSError, termios.error)
LONGEST_LINE = 4096
MOST_DIRECT = 50
LISTEN_S, RESYNC_S = 0.05, 1.0
TWO_LINES = tuple(header.encode() for header in at_words.TWO_LINES)


class Gone(Exception):
    """The port is not there, or no longer."""


class Silent(Exception):
    """No answer in time."""


class Failed(Exception):
    """The modem answered with an error, told in its words."""


class Line:
    """An open port: commands out, lines in. Lines nobody asked for may stand anywhere."""

    def __init__(self, port: str, baud: int, direct: list[str] | None = None) -> None:
        self.is_strange = True  # not greeted since it was opened, restarted or fell silent
        self.has_news = False  # a text came, it said
        self.direct = [] if direct is None else direct  # PDUs that it handed over without storing them
        self._fell_silent = False
        self._buffer = b""
        self._written = b""
        self._header = b""  # of two-line news, whose second line is to come
        try:
            self._serial = serial.Serial(port, baud, timeout=LISTEN_S, write_timeout=5.0, exclusive=True)
        except (*PORT_FAULTS, ValueError) as reason:
            raise Gone(_words(reason)) from None

    def close(self) -> None:
        try:
            self._serial.close()
        except PORT_FAULTS as reason:
            log.debug("closing: %s", reason)

    def ask(self, command: str, limit_s: float) -> list[str]:
        """The lines that answer this command, without its prefix; Failed when it said no."""
        self.write(command.encode("ascii") + b"\r")
        found: list[str] = []
        deadline = time.monotonic() + limit_s
        while (line := self._next_line(command.split("=")[0], deadline)) != "OK":  # a PIN may stand behind the `=`
            if at_words.is_failure(line):
                raise Failed(at_words.clean(line))
            answer = at_words.find_answer(command, line)
            if answer is None:
                self._overhear(line)
            else:
                found.append(answer)
        return found

    def ask_for_texts(self, command: str, limit_s: float) -> list[tuple[str, str]]:
        """Header and PDU of every text in the answer to `+CMGL` or `+CMGR`; an empty PDU where none came."""
        self.write(command.encode("ascii") + b"\r")
        found: list[tuple[str, str]] = []
        deadline = time.monotonic() + limit_s
        while (line := self._next_line(command, deadline)) != "OK":
            if at_words.is_failure(line):
                raise Failed(at_words.clean(line))
            header = at_words.find_answer(command, line)
            if header is not None:
                found.append((header, ""))
            elif found and not found[-1][1] and not at_words.is_news(line):
                found[-1] = (found[-1][0], line)
            else:
                self._overhear(line)
        return found

    def try_to(self, command: str, limit_s: float) -> list[str] | None:
        """As `ask`; None when the modem won't: it may do without this one."""
        try:
            return self.ask(command, limit_s)
        except Failed as reason:
            log.debug("%s: %s", command.split("=")[0], reason)
            return None

    def ask_for_prompt(self, command: str, limit_s: float) -> None:
        """Wait for `> `, which ends in no line end."""
        self.write(command.encode("ascii") + b"\r")
        deadline = time.monotonic() + limit_s
        while (line := self._next_line(f"the prompt after {command}", deadline, prompt=True)) != ">":
            if at_words.is_failure(line):
                raise Failed(at_words.clean(line))
            self._overhear(line)

    def read_reference(self, limit_s: float) -> int:
        """The message reference; what comes behind it no longer matters, the network has the text."""
        reference: int | None = None
        deadline = time.monotonic() + limit_s
        try:
            while (line := self._next_line("the text", deadline)) != "OK":
                if at_words.is_failure(line) and reference is None:
                    raise Failed(at_words.clean(line))
                told = at_words.read_reference(line)
                if told is None:
                    self._overhear(line)
                else:
                    reference, deadline = told, min(deadline, time.monotonic() + 5.0)
        except (Silent, Gone):
            if reference is None:
                raise
        if reference is None:
            self._fall_silent()
            raise Silent("the modem said OK without a message reference")
        return reference

    def wake(self, limit_s: float) -> None:
        """ESC ends a stale prompt; then `AT` until one clean OK and nothing behind it, which may be a late answer."""
        deadline = time.monotonic() + limit_s
        pause_s = RESYNC_S if self._fell_silent else LISTEN_S
        self.write(ESC)
        while True:
            self.listen(pause_s)
            try:
                self.ask("AT", min(1.0, limit_s))
                if not self.listen(LISTEN_S):
                    self._fell_silent = False
                    return
            except (Failed, Silent):
                pause_s = LISTEN_S
            if time.monotonic() > deadline:
                raise Silent(f"not even to AT in {limit_s:g} s")

    def wait(self, for_s: float) -> bool:
        """Wait without touching it until something is said, or it is gone; needs no turn."""
        try:
            return bool(select.select([self._serial], [], [], for_s)[0])
        except (*PORT_FAULTS, ValueError, TypeError):  # closed by whoever has the turn
            return True

    def listen(self, for_s: float = 0.0) -> bool:
        """Take in what is said unasked; True when the end of some answer was among it."""
        deadline = time.monotonic() + for_s
        ended = False
        while True:
            self._receive(wait=time.monotonic() < deadline)
            while (line := self._cut_line(prompt=False)) is not None:
                self._overhear(line)
                ended = ended or at_words.is_end(line)
            if time.monotonic() >= deadline:
                return ended

    def write(self, octets: bytes) -> None:
        self._written = octets.strip() if octets != CTRL_Z else self._written
        try:
            self._serial.write(octets)
        except serial.SerialTimeoutException:
            self._fall_silent()
            raise Silent("it takes no more characters") from None
        except PORT_FAULTS as reason:
            raise Gone(_words(reason)) from None

    def _next_line(self, waiting_for: str, deadline: float, *, prompt: bool = False) -> str:
        while (line := self._cut_line(prompt=prompt)) is None:
            if time.monotonic() > deadline:
                self._fall_silent()
                raise Silent(f"no answer to {waiting_for}")
            self._receive(wait=True)
        return line

    def _fall_silent(self) -> None:
        """Whatever comes now may be a late answer: nothing is believed before the next wake-up."""
        self.is_strange = self._fell_silent = True
        self._buffer = b""
        self._header = b""
        try:
            self._serial.write(ESC)
        except PORT_FAULTS as reason:
            log.debug("after silence: %s", reason)

    def _receive(self, *, wait: bool) -> None:
        try:
            waiting = self._serial.in_waiting
            if waiting or wait:
                self._buffer += self._serial.read(max(1, min(waiting, LONGEST_LINE)))
        except (*PORT_FAULTS, TypeError) as reason:
            raise Gone(_words(reason)) from None
        if len(self._buffer) > LONGEST_LINE and not re.search(rb"[\r\n]", self._buffer):
            self._buffer = b""  # no modem's language has such words

    def _cut_line(self, *, prompt: bool) -> str | None:
        """The next line that says something; echoes and two-line news are dropped here."""
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n\x00 ")
            if prompt and not self._header and self._buffer.startswith(b">"):
                self._buffer = self._buffer[1:]
                return ">"
            end = re.search(rb"[\r\n]", self._buffer)
            if end is None:
                return None
            raw, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            line = raw.strip(b" \x00\x1a\x1b")
            if self._header:
                self._take_news(line)
            elif line.startswith(TWO_LINES):
                self._header = line
            elif line and line != self._written:
                return line.decode("latin-1")

    def _take_news(self, line: bytes) -> None:
        """A text that is shown at once stands in no memory: what is not kept here is lost."""
        header, self._header = self._header, b""
        if header.startswith(b"+CMT:") and re.fullmatch(rb"[0-9A-Fa-f]{20,400}", line):
            self.has_news = True
            self.direct[:] = [*self.direct, line.decode("ascii")][-MOST_DIRECT:]

    def _overhear(self, line: str) -> None:
        if at_words.is_boot(line):
            self.is_strange = True
        if at_words.is_arrival(line):
            self.has_news = True
        log.debug("unasked: %s", at_words.clean(line))


def _words(reason: BaseException) -> str:
    return re.sub(r"^\[Errno \d+\] ", "", str(reason)) or type(reason).__name__
