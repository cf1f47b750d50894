"""Getting acquainted with a modem: what it is, its SIM and PIN, its network, and what it must be told each time."""

import hashlib
import logging
import re
import time
from pathlib import Path

from edge.errors import Away
from edge.modem_line import Failed, Line
from edge.values import at_words
from edge.values.modem_families import GENERIC, Family, find_family

log = logging.getLogger("edge.modem")

GREETING_S = 60.0  # all of it, a slow SIM included
SIM_BUSY_S, SIM_PAUSE_S = 30.0, 0.5
ROUTE_NEW_TEXTS = ("2,1,0,1,0", "2,1,0,2,0", "1,1,0,1,0", "2,1,0,0,0", "2,1")  # the first that it accepts
UART = re.compile(r".*/(ttyAMA|ttyS|serial)\d+")


class Acquaintance:
    """Who the modem is, and what state it was in when last asked."""

    def __init__(self, pin: str, quirks: str, answer_s: float, pin_guard: Path | None = None) -> None:
        self.manufacturer = self.model = self.imei = ""
        self.family: Family = GENERIC
        self.sim = "unknown"
        self.is_registered = False
        self.registration = "unknown"
        self.greeted = 0  # how often
        self._quirks, self._answer_s = quirks, answer_s
        self._pins = PinRules(pin, answer_s, pin_guard)

    def forget(self) -> None:
        """It was pulled out, or failed: nothing that was known need still be so."""
        self.sim, self.is_registered, self.registration = "unknown", False, "unknown"

    def greet(self, line: Line, port: str) -> None:
        """Everything here is volatile, so it is said again after each opening, restart and time-out."""
        self.forget()
        self.greeted += 1
        if line.is_booting and self.family.ready:
            line.listen_until(lambda said: said in self.family.ready, self.family.ready_within_s)
        line.is_booting = False
        line.wake(self._answer_s)
        if not self._begin(line):
            # What we took for the answer to AT was perhaps the answer to ESC: then each answer is one too early.
            line.wake(self._answer_s, slowly=True)
            self._begin(line)
        self.manufacturer, self.model = (self._tell(line, command) for command in ("AT+CGMI", "AT+CGMM"))
        self.family = find_family(self.manufacturer, self.model, self._quirks)
        self.unlock_sim(line)
        if self._tell(line, "AT+CFUN?") in ("0", "4"):
            line.try_to("AT+CFUN=1", self._answer_s)
        # CSMS 0: else each text and report that is shown at once waits for an acknowledgement.
        for command in ("AT+COPS=3,0", 'AT+CSCS="GSM"', "AT+CMGF=0", "AT+CSMS=0"):
            line.try_to(command, self._answer_s)
        for routing in ROUTE_NEW_TEXTS:
            if line.try_to(f"AT+CNMI={routing}", self._answer_s) is not None:
                break
        port_kind = "uart1" if UART.fullmatch(port) else "usbat"
        for command in self.family.init:
            line.try_to(command.format(port_kind=port_kind), self._answer_s)
        line.is_strange = False

    def _begin(self, line: Line) -> bool:
        """Silence its echo and learn its IMEI; False when that was not told."""
        for command in ("ATE0", "ATV1", "AT+CMEE=1"):
            line.try_to(command, self._answer_s)
        imei = self._tell(line, "AT+CGSN")
        line.has_echo = line.echoed  # of this last command, after ATE0
        self.imei = imei
        return bool(imei)

    def unlock_sim(self, line: Line) -> None:
        """Wait for a SIM that is still waking up; enter the PIN once and, once it was refused, never again."""
        until = time.monotonic() + SIM_BUSY_S
        is_entered = False
        while True:
            self.sim = self._ask_sim(line)
            if self.sim == "SIM PIN" and not is_entered and self._pins.may_enter(line, self.family.iccid):
                is_entered = self._pins.enter(line)
                continue
            if not (at_words.is_sim_busy(self.sim) or (is_entered and self.sim == "SIM PIN")):
                return
            if time.monotonic() > min(until, line.until):
                return
            line.listen(SIM_PAUSE_S)

    def _ask_sim(self, line: Line) -> str:
        try:
            words = _first(line.ask("AT+CPIN?", self._answer_s)).upper()
        except Failed as reason:
            return str(reason)
        if words != "READY":
            return words or "unknown"
        self._pins.note_open()
        return "ready"

    def require_sim(self, line: Line) -> None:
        """Away unless the SIM is there and open."""
        if self.sim != "ready":
            self.unlock_sim(line)
        if self.sim != "ready":
            cure = "; set [modem] pin, or switch its PIN off in a phone" if self.sim == "SIM PIN" else ""
            raise Away(f"the SIM is not ready: {self.sim}{cure}")

    def require_network(self, line: Line) -> None:
        """Away unless a network has the SIM."""
        self.require_sim(line)
        if not self.is_registered:
            self.look_for_network(line)
        if not self.is_registered:
            raise Away("the SIM is not registered on a network")

    def look_for_network(self, line: Line) -> None:
        """2G and 3G say it by CREG, LTE by CEREG; either will do."""
        self.is_registered = False
        for command in ("AT+CREG?", "AT+CEREG?"):
            answer = self._tell(line, command)
            if answer or command == "AT+CREG?":
                self.registration = at_words.read_registration(answer)
            if at_words.is_registered(answer):
                self.is_registered = True
                return

    def _tell(self, line: Line, command: str) -> str:
        return _first(line.try_to(command, self._answer_s))


class PinRules:
    """A wrong PIN is never entered twice: three of them lock the SIM.

    `guard`: a file that outlives the process. It holds which PIN was refused by which SIM, as a digest.
    """

    def __init__(self, pin: str, answer_s: float, guard: Path | None) -> None:
        self._pin, self._answer_s, self._guard = pin, answer_s, guard
        self._is_spent = False
        self._iccid = ""

    def note_open(self) -> None:
        """The SIM is open: whatever was entered was right."""
        self._is_spent = False

    def may_enter(self, line: Line, iccid_command: str) -> bool:
        """A box that restarts would spend all three tries: the last two are left to people."""
        if self._is_spent or not re.fullmatch(r"[0-9]{4,8}", self._pin):
            return False
        tries = _first(line.try_to('AT+CPINR="SIM PIN"', self._answer_s)).split(",")
        left = tries[1].strip() if len(tries) > 1 else ""
        if left in ("0", "1", "2"):
            return False
        self._iccid = at_words.read_iccid(_first(line.try_to(iccid_command, self._answer_s)))
        # Tried, and how it went was never written down: only a SIM that counts can say that it was not refused.
        known = self._read_guard()
        return known != self._digest("refused") and (known != self._digest("trying") or left == "3")

    def enter(self, line: Line) -> bool:
        """Once; what may go wrong on the way is written down before it can."""
        self._is_spent = True
        self._write_guard(self._digest("trying"))
        try:
            line.ask(f'AT+CPIN="{self._pin}"', self._answer_s)
        except Failed as reason:
            log.error("the SIM refused its PIN (%s); it is not tried again until another one is set", reason)
            self._write_guard(self._digest("refused"))
            return False
        self._write_guard("")
        return True

    def _digest(self, word: str) -> str:
        told = hashlib.pbkdf2_hmac("sha256", self._pin.encode(), f"edge modem {self._iccid}".encode(), 20_000)
        return f"{word} {told.hex()}"

    def _read_guard(self) -> str:
        try:
            return self._guard.read_text("ascii").strip() if self._guard is not None else ""
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as reason:
            log.warning("the note on refused PINs can't be read: %s", reason)
            return ""

    def _write_guard(self, words: str) -> None:
        if self._guard is None:
            return
        try:
            if not words:
                self._guard.unlink(missing_ok=True)
                return
            self._guard.touch(mode=0o600)
            self._guard.write_text(words, "ascii")
        except OSError as reason:
            log.warning("the note on refused PINs can't be written: %s", reason)


def _first(answer: list[str] | None) -> str:
    return answer[0] if answer else ""
