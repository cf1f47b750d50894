"""The GSM modem: AT commands over a serial port, one conversation at a time."""

import logging
import re
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import serial

from edge.errors import BadInput, Refused, Unconfirmed, Unreachable
from edge.tpdu import Pdu, encode_submit
from edge.values import at_words
from edge.values.cms_errors import explain, is_doubtful, is_permanent

log = logging.getLogger("edge.modem")

ESC, CTRL_Z = b"\x1b", b"\x1a"
PORT_FAULTS = (serial.SerialException, OSError, termios.error)
LONGEST_LINE = 4096
LISTEN_S, RESYNC_S, SIM_BUSY_S, SIM_PAUSE_S = 0.05, 1.0, 30.0, 0.5
# The modem's own patience ends after 35 to 45 s (TR1M, 3GPP 24.011): an error this late is not the network's word.
DOUBTFUL_AFTER_S = 30.0
ROUTE_NEW_TEXTS = ("2,1,0,1,0", "2,1,0,2,0", "1,1,0,1,0", "2,1,0,0,0", "2,1")  # the first that it accepts
TWO_LINES = tuple(header.encode() for header in at_words.TWO_LINES)
QUIRKS = {"huawei": ("AT^CURC=0",)}  # by maker: fewer lines nobody asked for


@dataclass(frozen=True)
class ModemStatus:
    """What the modem tells of itself; `sim` is "ready" or what is the matter, `signal_dbm` None when unknown."""

    manufacturer: str
    model: str
    imei: str
    registered: bool
    operator: str
    signal_dbm: int | None
    sim: str


class _Gone(Exception):
    """The port is not there, or no longer."""


class _Silent(Exception):
    """No answer in time."""


class _Failed(Exception):
    """The modem answered with an error, told in its words."""


class Modem:
    """One modem; threads take turns. Opened when first used, opened again after it was pulled out."""

    def __init__(
        self,
        port: str,
        baud: int = 115200,
        pin: str = "",
        quirks: str = "auto",
        *,
        submit_timeout_s: float = 120.0,
        answer_timeout_s: float = 10.0,
        turn_timeout_s: float = 30.0,
    ) -> None:
        self._port, self._baud = port, baud
        self._pin, self._pin_spent = pin, False
        self._quirks = quirks
        self._submit_timeout_s, self._answer_timeout_s = submit_timeout_s, answer_timeout_s
        self._turn_timeout_s = turn_timeout_s
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._manufacturer = self._model = self._imei = ""
        self._sim = "unknown"
        self._is_registered = False
        self._reference = int(time.time())  # starts elsewhere after each restart, so that old parts find no new mates

    def send_sms(self, msisdn: str, text: str) -> tuple[int, ...]:
        """Hand every segment to the network and return its message references.

        `msisdn`: ASCII digits, international without plus. Unreachable: nothing was sent. Refused: the number, the
        text or the network's final no. Unconfirmed: some of it is out, or may be.
        """
        self._reference += 1
        try:
            pdus = encode_submit(msisdn, text, reference=self._reference)
        except BadInput as reason:
            raise Refused(str(reason)) from None
        with self._conversation() as line:
            self._require_network(line)
            # Cheap, and a modem that restarted unheard would take the PDU for the words of a text.
            line.ask("AT+CMGF=0", self._answer_timeout_s)
            if len(pdus) > 1:
                line.try_to("AT+CMMS=2", self._answer_timeout_s)  # keeps the radio link between segments
            return self._submit_all(line, pdus)

    def status(self) -> ModemStatus:
        """Ask for network, signal and SIM; Unreachable when the modem does not answer."""
        with self._conversation() as line:
            if self._sim != "ready":
                self._unlock_sim(line)
            self._look_for_network(line)
            return ModemStatus(
                self._manufacturer,
                self._model,
                self._imei,
                self._is_registered,
                at_words.read_operator(_first(line.try_to("AT+COPS?", self._answer_timeout_s))),
                at_words.read_signal(_first(line.try_to("AT+CSQ", self._answer_timeout_s))),
                self._sim,
            )

    def close(self) -> None:
        """Let go of the port; the next call opens it again."""
        if self._lock.acquire(timeout=self._turn_timeout_s):
            try:
                self._hang_up()
            finally:
                self._lock.release()

    # One conversation: whoever has the lock has the modem.

    @contextmanager
    def _conversation(self) -> Iterator["_Line"]:
        if not self._lock.acquire(timeout=self._turn_timeout_s):
            raise Unreachable("the modem is busy with something else")
        try:
            yield self._open()
        except _Gone as reason:
            self._hang_up()
            raise Unreachable(f"no modem at {self._port}: {reason}") from None
        except _Silent as reason:
            raise Unreachable(f"the modem does not answer: {reason}") from None
        except _Failed as reason:
            raise Unreachable(explain(str(reason))) from None
        finally:
            self._lock.release()

    def _open(self) -> "_Line":
        """The line, greeted. One that was pulled out and put back meanwhile is simply opened again."""
        if self._line is not None:
            try:
                if self._line.listen():
                    self._line.is_strange = True  # an answer to nothing
            except _Gone:
                self._hang_up()
        if self._line is None:
            self._line = _Line(self._port, self._baud)
        if self._line.is_strange:
            self._greet(self._line)
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None
        self._is_registered = False
        self._sim = "unknown"

    def _greet(self, line: "_Line") -> None:
        """Everything here is volatile, so it is said again after each opening, restart and time-out."""
        limit_s = self._answer_timeout_s
        self._is_registered = False
        line.wake(limit_s)
        for command in ("ATE0", "ATV1", "AT+CMEE=1"):
            line.try_to(command, limit_s)
        self._manufacturer, self._model, self._imei = (
            _first(line.try_to(command, limit_s)) for command in at_words.ANSWERED_BARE
        )
        self._unlock_sim(line)
        if _first(line.try_to("AT+CFUN?", limit_s)) in ("0", "4"):
            line.try_to("AT+CFUN=1", limit_s)
        for command in ("AT+COPS=3,0", 'AT+CSCS="GSM"', "AT+CMGF=0"):
            line.try_to(command, limit_s)
        # Read only: a message centre that we rewrote would be ours to know, and it is the operator's.
        if '""' in _first(line.try_to("AT+CSCA?", limit_s)):
            log.warning("the SIM knows no message centre: texts will be refused with 330")
        line.try_to("AT+CSMS=0", limit_s)
        for routing in ROUTE_NEW_TEXTS:
            if line.try_to(f"AT+CNMI={routing}", limit_s) is not None:
                break
        family = self._manufacturer.lower() if self._quirks == "auto" else self._quirks
        for command in (command for maker, commands in QUIRKS.items() if maker in family for command in commands):
            line.try_to(command, limit_s)
        line.is_strange = False

    def _unlock_sim(self, line: "_Line") -> None:
        """Wait for a SIM that is still waking up; enter the PIN once and, once it was refused, never again."""
        until = time.monotonic() + SIM_BUSY_S
        is_entered = False
        while True:
            self._sim = self._ask_sim(line)
            if self._sim == "SIM PIN" and not is_entered and self._may_enter_pin(line):
                is_entered = self._enter_pin(line)
            elif not (at_words.is_sim_busy(self._sim) or (is_entered and self._sim == "SIM PIN")):
                return
            if time.monotonic() > until:
                return
            line.listen(SIM_PAUSE_S)

    def _ask_sim(self, line: "_Line") -> str:
        try:
            words = _first(line.ask("AT+CPIN?", self._answer_timeout_s)).upper()
        except _Failed as reason:
            return str(reason)
        if words != "READY":
            return words or "unknown"
        self._pin_spent = False
        return "ready"

    def _enter_pin(self, line: "_Line") -> bool:
        self._pin_spent = True
        taken = line.try_to(f'AT+CPIN="{self._pin}"', self._answer_timeout_s) is not None
        if not taken:
            log.error("the SIM refused its PIN; it is not tried again before the box restarts")
        return taken

    def _may_enter_pin(self, line: "_Line") -> bool:
        """Three wrong tries lock the SIM, and a box that restarts would spend them all: the last two are left."""
        if self._pin_spent or not re.fullmatch(r"[0-9]{4,8}", self._pin):
            return False
        tries = _first(line.try_to('AT+CPINR="SIM PIN"', self._answer_timeout_s)).split(",")
        return len(tries) < 2 or tries[1].strip() not in ("0", "1", "2")

    def _require_network(self, line: "_Line") -> None:
        if self._sim != "ready":
            self._unlock_sim(line)
        if self._sim != "ready":
            cure = "; set [modem] pin, or switch its PIN off in a phone" if self._sim == "SIM PIN" else ""
            raise Unreachable(f"the SIM is not ready: {self._sim}{cure}")
        if not self._is_registered:
            self._look_for_network(line)
        if not self._is_registered:
            raise Unreachable("the SIM is not registered on a network")

    def _look_for_network(self, line: "_Line") -> None:
        answers = (line.try_to(command, self._answer_timeout_s) for command in ("AT+CREG?", "AT+CEREG?"))
        self._is_registered = any(at_words.is_registered(_first(answer)) for answer in answers)

    # Handing over.

    def _submit_all(self, line: "_Line", pdus: tuple[Pdu, ...]) -> tuple[int, ...]:
        """Back to back: an operator may drop the rest of a text whose segments come late."""
        references: list[int] = []
        for pdu in pdus:
            try:
                references.append(self._submit(line, pdu))
            except (Unreachable, Refused, _Gone, _Silent) as reason:
                self._sim, self._is_registered = "unknown", False  # perhaps no longer as we knew them
                if not references:
                    raise
                raise Unconfirmed(f"{len(references)} of {len(pdus)} segments were sent, then: {reason}") from None
        return tuple(references)

    def _submit(self, line: "_Line", pdu: Pdu) -> int:
        """One segment. Until the Ctrl-Z leaves us nothing can be sent; from then on it may have been."""
        try:
            line.ask_for_prompt(f"AT+CMGS={pdu.length}", self._answer_timeout_s)
        except _Failed as reason:
            raise _rejection(str(reason)) from None
        line.write(pdu.hex.encode("ascii"))
        handed_over = time.monotonic()
        try:
            line.write(CTRL_Z)
            return line.read_reference(self._submit_timeout_s)
        except _Failed as reason:
            waited_s = time.monotonic() - handed_over
            if waited_s > min(DOUBTFUL_AFTER_S, self._submit_timeout_s / 4) and is_doubtful(str(reason)):
                raise Unconfirmed(f"{explain(str(reason))} after {waited_s:.0f} s") from None
            raise _rejection(str(reason)) from None
        except _Silent as reason:
            raise Unconfirmed(f"handed over, but {reason}") from None
        except _Gone as reason:
            self._hang_up()
            raise Unconfirmed(f"handed over, then the modem vanished: {reason}") from None


class _Line:
    """An open port: commands out, lines in. Lines nobody asked for may stand anywhere."""

    def __init__(self, port: str, baud: int) -> None:
        self.is_strange = True  # not greeted since it was opened, restarted or fell silent
        self._fell_silent = False
        self._buffer = b""
        self._written = b""
        self._header_seen = False
        try:
            self._serial = serial.Serial(port, baud, timeout=LISTEN_S, write_timeout=5.0, exclusive=True)
        except (*PORT_FAULTS, ValueError) as reason:
            raise _Gone(_words(reason)) from None

    def close(self) -> None:
        try:
            self._serial.close()
        except PORT_FAULTS as reason:
            log.debug("closing: %s", reason)

    def ask(self, command: str, limit_s: float) -> list[str]:
        """The lines that answer this command, without its prefix; _Failed when it said no."""
        self.write(command.encode("ascii") + b"\r")
        found: list[str] = []
        deadline = time.monotonic() + limit_s
        while (line := self._next_line(command.split("=")[0], deadline)) != "OK":  # a PIN may stand behind the `=`
            if at_words.is_failure(line):
                raise _Failed(at_words.clean(line))
            answer = at_words.find_answer(command, line)
            if answer is None:
                self._overhear(line)
            else:
                found.append(answer)
        return found

    def try_to(self, command: str, limit_s: float) -> list[str] | None:
        """As `ask`; None when the modem won't: it may do without this one."""
        try:
            return self.ask(command, limit_s)
        except _Failed as reason:
            log.debug("%s: %s", command.split("=")[0], reason)
            return None

    def ask_for_prompt(self, command: str, limit_s: float) -> None:
        """Wait for `> `, which ends in no line end."""
        self.write(command.encode("ascii") + b"\r")
        deadline = time.monotonic() + limit_s
        while (line := self._next_line(f"the prompt after {command}", deadline, prompt=True)) != ">":
            if at_words.is_failure(line):
                raise _Failed(at_words.clean(line))
            self._overhear(line)

    def read_reference(self, limit_s: float) -> int:
        """The message reference; what comes behind it no longer matters, the network has the text."""
        reference: int | None = None
        deadline = time.monotonic() + limit_s
        try:
            while (line := self._next_line("the text", deadline)) != "OK":
                if at_words.is_failure(line) and reference is None:
                    raise _Failed(at_words.clean(line))
                told = at_words.read_reference(line)
                if told is None:
                    self._overhear(line)
                else:
                    reference, deadline = told, min(deadline, time.monotonic() + 5.0)
        except (_Silent, _Gone):
            if reference is None:
                raise
        if reference is None:
            self._fall_silent()
            raise _Silent("the modem said OK without a message reference")
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
            except (_Failed, _Silent):
                pause_s = LISTEN_S
            if time.monotonic() > deadline:
                raise _Silent(f"not even to AT in {limit_s:g} s")

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
            raise _Silent("it takes no more characters") from None
        except PORT_FAULTS as reason:
            raise _Gone(_words(reason)) from None

    def _next_line(self, waiting_for: str, deadline: float, *, prompt: bool = False) -> str:
        while (line := self._cut_line(prompt=prompt)) is None:
            if time.monotonic() > deadline:
                self._fall_silent()
                raise _Silent(f"no answer to {waiting_for}")
            self._receive(wait=True)
        return line

    def _fall_silent(self) -> None:
        """Whatever comes now may be a late answer: nothing is believed before the next wake-up."""
        self.is_strange = self._fell_silent = True
        self._buffer = b""
        self._header_seen = False
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
            raise _Gone(_words(reason)) from None
        if len(self._buffer) > LONGEST_LINE and not re.search(rb"[\r\n]", self._buffer):
            self._buffer = b""  # no modem's language has such words

    def _cut_line(self, *, prompt: bool) -> str | None:
        """The next line that says something; echoes and two-line news are dropped here."""
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n\x00 ")
            if prompt and not self._header_seen and self._buffer.startswith(b">"):
                self._buffer = self._buffer[1:]
                return ">"
            end = re.search(rb"[\r\n]", self._buffer)
            if end is None:
                return None
            raw, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            line = raw.strip(b" \x00\x1a\x1b")
            if self._header_seen:
                self._header_seen = False
            elif line.startswith(TWO_LINES):
                self._header_seen = True
            elif line and line != self._written:
                return line.decode("latin-1")

    def _overhear(self, line: str) -> None:
        if at_words.is_boot(line):
            self.is_strange = True
        log.debug("unasked: %s", at_words.clean(line))


def _rejection(words: str) -> Refused | Unreachable:
    return Refused(explain(words)) if is_permanent(words) else Unreachable(explain(words))


def _first(answer: list[str] | None) -> str:
    return answer[0] if answer else ""


def _words(reason: BaseException) -> str:
    return re.sub(r"^\[Errno \d+\] ", "", str(reason)) or type(reason).__name__
