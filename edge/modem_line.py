"""The port of the modem: commands out, lines in, and what is said unasked in between."""

import errno
import logging
import math
import os
import re
import select
import termios
import time
from collections import deque
from collections.abc import Callable

import serial

from edge.values import at_words, ussd

log = logging.getLogger("edge.modem")

ESC, CTRL_Z = b"\x1b", b"\x1a"
_PORT_WORDS = {
    errno.ENOENT: "nothing is plugged in there", errno.EBUSY: "another program has the port",
    errno.EACCES: "the port may not be opened: is the user in the group dialout?",
}  # fmt: skip
PORT_FAULTS = (serial.SerialException, OSError, termios.error)
GULP, LONGEST_LINE = 4096, 4096
MOST_SHOWN, MOST_REPORTS, MOST_WORDS = 50, 500, 10
LISTEN_S, RESYNC_S = 0.05, 1.0
WRITE_S = 3.0  # a port that takes no more characters for so long is as good as deaf
# A text that is still under way after so long, when the modem's own patience has ended (TR1M, 24.011 10): `AT` tells
# whether its answer was lost. A modem that is still at it answers `AT` behind it (one command at a time, 27.007 4).
ASK_AGAIN_S = 45.0
QUOTE_S, LONGEST_QUOTE = 2.0, 2000  # words in quotes may hold line ends; so long we wait for the closing one
TWO_LINES = tuple(header.encode() for header in at_words.TWO_LINES)


class Gone(Exception):
    """The port is not there, or no longer."""


class Silent(Exception):
    """No answer in time."""


class Failed(Exception):
    """The modem answered with an error, told in its words."""


class StartedAnew(Exception):
    """It echoes again, so that it has forgotten all it was told: nothing was handed over."""


class Overheard:
    """What the modem said unasked and nobody fetched yet; it outlives the port."""

    def __init__(self) -> None:
        self.has_news = False  # a text came, it said
        self.is_full = False  # and it has no room for more
        self.shown: list[str] = []  # PDUs of texts that it shows and stores nowhere
        self.reports: deque[str] = deque(maxlen=MOST_REPORTS)  # PDUs
        self.stored_reports: deque[tuple[str, int]] = deque(maxlen=MOST_REPORTS)  # memory and slot
        self.ussd: deque[str] = deque(maxlen=MOST_WORDS)  # lines of `+CUSD`

    @property
    def is_worth_a_look(self) -> bool:
        """Did a text or a report come?"""
        return self.has_news or bool(self.reports) or bool(self.stored_reports)

    def take(self, line: str) -> None:
        """One line that nobody asked for."""
        if at_words.is_arrival(line):
            self.has_news = True
        if at_words.is_full(line):
            self.is_full = True
        if line.startswith("+CUSD:"):
            self.ussd.append(line)
        stored = at_words.read_stored_report(line)
        if stored is not None:
            self.stored_reports.append(stored)

    def take_pdu(self, header: bytes, pdu: bytes) -> None:
        """A text or report that is shown at once stands in no memory: what is not kept here is lost."""
        if not re.fullmatch(rb"[0-9A-Fa-f]{20,400}", pdu):
            return
        if header.startswith(b"+CMT:"):
            self.has_news = True
            self.shown[:] = [*self.shown, pdu.decode("ascii")][-MOST_SHOWN:]
        elif header.startswith(b"+CDS:"):
            self.reports.append(pdu.decode("ascii"))


class Line:
    """An open port. Lines nobody asked for may stand anywhere; no call outlasts its limit, nor `until`."""

    def __init__(self, port: str, baud: int, overheard: Overheard | None = None) -> None:
        self.is_strange = True  # not greeted since it was opened, restarted or fell silent
        self.is_gone = False
        self.is_booting = False  # and has more to say before it is ready
        self.fell_silent = False
        self.has_echo = True  # ATE0 changed nothing
        self.echoed = False
        self.until = math.inf  # of the steady clock: all patience of this conversation ends then
        self.answered_at = -math.inf  # when it last said OK or no
        self.overheard = overheard or Overheard()
        self._buffer = b""
        self._written = b""
        self._header = b""  # of two-line news, whose second line is to come
        self._quote, self._quoted_at = b"", 0.0
        self._ask_again_at = math.inf
        try:
            self._serial = serial.Serial(port, baud, timeout=LISTEN_S, write_timeout=WRITE_S, exclusive=True)
        except (*PORT_FAULTS, ValueError) as reason:
            raise Gone(_words(reason)) from None

    def close(self) -> None:
        try:
            self._serial.reset_output_buffer()  # else the kernel may wait half a minute for a dead stick to take it
            self._serial.close()
        except PORT_FAULTS as reason:
            log.debug("closing: %s", reason)
            _close_anyway(self._serial)

    def ask(self, command: str, limit_s: float) -> list[str]:
        """The lines that answer this command, without its prefix; Failed when it said no."""
        self.write(command.encode("ascii") + b"\r")
        found: list[str] = []
        deadline = time.monotonic() + limit_s
        while (line := self._next_line(command.split("=")[0], deadline)) != "OK":  # a PIN may stand behind the `=`
            self._fail_at(line)
            answer = None if line.startswith("+CUSD:") else at_words.find_answer(command, line)
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
            self._fail_at(line)
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
        """Wait for `> `, which ends in no line end. StartedAnew when the command came back as an echo before it."""
        self.write(command.encode("ascii") + b"\r")
        deadline = time.monotonic() + limit_s
        while (line := self._next_line(f"the prompt after {command}", deadline, prompt=True)) != ">":
            self._fail_at(line)
            self._overhear(line)
        if (self.echoed and not self.has_echo) or self.is_strange:
            self._fall_silent()  # out of the prompt
            raise StartedAnew

    def read_reference(self, limit_s: float) -> int:
        """The message reference; what comes behind it no longer matters, the network has the text.

        Silent after `limit_s`, or as soon as the modem is ready again and has said nothing of it.
        """
        reference: int | None = None
        deadline = time.monotonic() + limit_s
        self._ask_again_at = time.monotonic() + min(ASK_AGAIN_S, limit_s / 2)
        try:
            while (line := self._next_line("the text", deadline)) != "OK":
                if reference is None:
                    self._fail_at(line)
                told = at_words.read_reference(line)
                if told is None:
                    self._overhear(line)
                else:
                    reference, deadline = told, min(deadline, time.monotonic() + 5.0)
                    self._ask_again_at = math.inf
        except (Silent, Gone):
            if reference is None:
                raise
        finally:
            self._ask_again_at = math.inf
        if reference is None:
            self._fall_silent()
            raise Silent("the modem is ready again and has told no message reference")
        return reference

    def wake(self, limit_s: float, *, slowly: bool = False) -> None:
        """ESC ends a stale prompt; then `AT` until it says OK.

        After silence, and when told, until one clean OK with nothing behind it, which may be a late answer.
        """
        deadline = min(time.monotonic() + limit_s, self.until)
        slowly = slowly or self.fell_silent
        pause_s = RESYNC_S if self.fell_silent else LISTEN_S if slowly else 0.0
        self.write(ESC)
        while True:
            self.listen(pause_s)
            try:
                self.ask("AT", max(0.1, min(1.0, limit_s, deadline - time.monotonic())))
                if not (slowly and self.listen(LISTEN_S)):
                    self.fell_silent = False
                    return
            except (Failed, Silent):
                slowly, pause_s = True, LISTEN_S
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
        deadline = min(time.monotonic() + for_s, self.until)
        ended = False
        while True:
            self._receive(deadline)
            while (line := self._cut_line(prompt=False)) is not None:
                self._overhear(line)
                ended = ended or at_words.is_end(line)
            if time.monotonic() >= deadline:
                return ended

    def hear_out(self) -> None:
        """What stands behind the last answer: it was read with it, and nobody would be woken by it."""
        while (line := self._cut_line(prompt=False)) is not None:
            self._overhear(line)
            if at_words.is_end(line):
                self.is_strange = True  # an answer to nothing

    def listen_until(self, is_it: Callable[[str], bool], for_s: float) -> bool:
        """Wait until this line is said unasked; False when it was not in time."""
        deadline = min(time.monotonic() + for_s, self.until)
        while True:
            while (line := self._cut_line(prompt=False)) is not None:
                self._overhear(line)
                if is_it(line):
                    return True
            if time.monotonic() >= deadline:
                return False
            self._receive(deadline)

    def write(self, octets: bytes) -> None:
        """All of it, or Silent after some seconds."""
        if octets not in (CTRL_Z, ESC):
            self._written, self.echoed = octets.strip(), False
        deadline = time.monotonic() + WRITE_S
        while octets := self._write_some(octets):
            if not self._may_write(deadline):
                self._fall_silent()
                raise Silent("it takes no more characters")

    def _write_some(self, octets: bytes) -> bytes:
        """What is left to write."""
        try:
            return octets[os.write(self._serial.fileno(), octets) :]
        except BlockingIOError:
            return octets
        except PORT_FAULTS as reason:
            raise self._gone(_words(reason)) from None

    def _may_write(self, deadline: float) -> bool:
        try:
            return bool(select.select([], [self._serial], [], max(0.0, deadline - time.monotonic()))[1])
        except (*PORT_FAULTS, ValueError, TypeError) as reason:
            raise self._gone(_words(reason)) from None

    def _gone(self, words: str) -> Gone:
        self.is_gone = self.is_strange = True
        return Gone(words)

    def _fail_at(self, line: str) -> None:
        if at_words.is_failure(line):
            raise Failed(at_words.clean(line))

    def _next_line(self, waiting_for: str, deadline: float, *, prompt: bool = False) -> str:
        """The deadline is looked at whenever a gulp is used up: lines without end do not carry it away."""
        deadline = min(deadline, self.until)
        while (line := self._cut_line(prompt=prompt)) is None:
            now = time.monotonic()
            if now > deadline:
                self._fall_silent()
                raise Silent(f"no answer to {waiting_for}")
            if now > self._ask_again_at:
                self._ask_again_at = math.inf
                self.write(b"AT\r")
            self._receive(min(deadline, self._ask_again_at))
        if at_words.is_end(line) or line == ">":
            self.answered_at = time.monotonic()
        return line

    def _fall_silent(self) -> None:
        """Whatever comes now may be a late answer: nothing is believed before the next wake-up."""
        self.is_strange = self.fell_silent = True
        self._buffer = self._header = self._quote = b""
        try:
            self._write_some(ESC)
        except Gone as reason:
            log.debug("after silence: %s", reason)

    def _receive(self, deadline: float) -> None:
        """A gulp of what is there; when nothing is, wait for it until the deadline."""
        wait_s = max(0.0, deadline - time.monotonic())
        try:
            if not select.select([self._serial], [], [], min(wait_s, QUOTE_S) if self._quote else wait_s)[0]:
                return
            gulp = os.read(self._serial.fileno(), GULP)
        except BlockingIOError:
            return
        except (*PORT_FAULTS, ValueError, TypeError) as reason:
            raise self._gone(_words(reason)) from None
        if not gulp:
            raise self._gone("it was pulled out")
        self._buffer += gulp
        if len(self._buffer) > LONGEST_LINE and not re.search(rb"[\r\n]", self._buffer):
            self._buffer = b""  # no modem's language has such words

    def _cut_line(self, *, prompt: bool) -> str | None:
        """The next line that says something; echoes and two-line news are dropped here."""
        if self._quote and time.monotonic() - self._quoted_at > QUOTE_S:
            self._give_quote_up()
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n\x00 ")
            if prompt and not self._header and (found := re.match(rb"[^\x20-\x7e]*>", self._buffer)):
                self._buffer = self._buffer[found.end() :]
                return ">"
            end = re.search(rb"[\r\n]", self._buffer)
            if end is None:
                return None
            raw, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            if self._header:
                self.overheard.take_pdu(self._header, raw.strip(b" \x00"))
                self._header = b""
                continue
            line = self._unquote(at_words.strip_noise(raw))
            if line.startswith(TWO_LINES):
                self._header = line
            elif line and line == self._written:
                self.echoed = True
            elif line:
                return line.decode("latin-1")

    def _unquote(self, line: bytes) -> bytes:
        """A whole line: what stands in quotes may hold line ends. Empty while its end is to come."""
        if not self._quote:
            if not line.startswith(b"+CUSD:") or ussd.is_whole(line.decode("latin-1")):
                return line
            self._quote, self._quoted_at = line, time.monotonic()
            return b""
        self._quote += b"\n" + line
        if ussd.is_whole(self._quote.decode("latin-1")):
            line, self._quote = self._quote, b""
            return line
        if len(self._quote) > LONGEST_QUOTE or at_words.read_reference(line.decode("latin-1")) is not None:
            self._give_quote_up()
        return b""

    def _give_quote_up(self) -> None:
        """It was never closed: what was taken for words are lines like all others."""
        first, _, rest = self._quote.partition(b"\n")
        self._quote = b""
        self._overhear((first + b'"').decode("latin-1"))
        self._buffer = rest + b"\n" + self._buffer if rest else self._buffer

    def _overhear(self, line: str) -> None:
        if at_words.is_boot(line):
            self.is_strange = True
            self.is_booting = at_words.is_boot_begin(line) or (self.is_booting and not at_words.is_boot_end(line))
        self.overheard.take(line)
        log.debug("unasked: %s", at_words.clean(line))


def _close_anyway(port: serial.Serial) -> None:
    try:
        port.close()
    except PORT_FAULTS as reason:
        log.debug("closing once more: %s", reason)


def _words(reason: BaseException) -> str:
    """Without the name of the port, which whoever tells it says himself."""
    known = _PORT_WORDS.get(getattr(reason, "errno", None) or 0)
    if known is not None:
        return known
    return re.sub(r"^\[Errno \d+\] ", "", str(reason)) or type(reason).__name__
