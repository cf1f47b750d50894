"""The GSM modem: AT commands over a serial port, one conversation at a time."""

import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge.errors import BadInput, Refused, Unconfirmed, Unreachable
from edge.modem_line import CTRL_Z, Failed, Gone, Line, Silent
from edge.modem_texts import StoredText, TextMemories, of_greeting, shown_text
from edge.tpdu import Pdu, encode_submit
from edge.values import at_words
from edge.values.cms_errors import explain, is_doubtful, is_permanent

log = logging.getLogger("edge.modem")

SIM_BUSY_S, SIM_PAUSE_S, TURN_PAUSE_S = 30.0, 0.5, 0.2
# The modem's own patience ends after 35 to 45 s (TR1M, 3GPP 24.011): an error this late is not the network's word.
DOUBTFUL_AFTER_S = 30.0
ROUTE_NEW_TEXTS = ("2,1,0,1,0", "2,1,0,2,0", "1,1,0,1,0", "2,1,0,0,0", "2,1")  # the first that it accepts
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
        self._line: Line | None = None
        self._manufacturer = self._model = self._imei = ""
        self._sim = "unknown"
        self._is_registered = False
        self._greeted = 0  # how often
        self._memories = TextMemories(answer_timeout_s, self._greet)
        self._shown: list[str] = []  # PDUs of texts that stand in no memory
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

    def has_texts(self) -> bool:
        """Is there anything to read? Quick, and changes nothing; Unreachable when the modem or its SIM is not there."""
        with self._conversation() as line:
            self._require_sim(line)
            line.has_news = False
            return self._memories.has_texts(line) or bool(self._shown)

    def read_texts(self) -> list[StoredText]:
        """Every received text there is; they stay where they are until `delete_texts`.

        One whose PDU makes no sense has no `deliver`. Unreachable: nothing was read, nothing is lost.
        """
        with self._conversation() as line:
            self._require_sim(line)
            line.has_news = False
            line.ask("AT+CMGF=0", self._answer_timeout_s)
            found = self._memories.read(line) + [shown_text(pdu) for pdu in self._shown]
            return of_greeting(found, self._greeted)

    def delete_texts(self, texts: Iterable[StoredText]) -> int:
        """Empty the slots of these texts, which are in safe keeping; returns how many the modem would not empty.

        Texts from before the modem was pulled out or restarted are left alone: they are read again.
        """
        texts = list(texts)
        with self._conversation() as line:
            shown = {text.pdu for text in texts if not text.memory and text.index < 0}
            self._shown[:] = [pdu for pdu in self._shown if pdu not in shown]
            current = [text for text in texts if text.index >= 0 and text.greeting == self._greeted]
            return self._memories.delete(line, current)

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until the modem says that a text came, at most so long; takes no turn, and opens nothing."""
        line = self._line
        if line is None or line.is_strange:
            time.sleep(timeout_s)
            return False
        if not line.has_news and line.wait(timeout_s):
            if not self._lock.acquire(blocking=False):
                time.sleep(TURN_PAUSE_S)  # whoever has the turn hears it
                return line.has_news
            try:
                self._listen()
            finally:
                self._lock.release()
        return line.has_news

    def close(self) -> None:
        """Let go of the port; the next call opens it again."""
        if self._lock.acquire(timeout=self._turn_timeout_s):
            try:
                self._hang_up()
            finally:
                self._lock.release()

    # One conversation: whoever has the lock has the modem.

    @contextmanager
    def _conversation(self) -> Iterator[Line]:
        if not self._lock.acquire(timeout=self._turn_timeout_s):
            raise Unreachable("the modem is busy with something else")
        try:
            yield self._open()
        except Gone as reason:
            self._hang_up()
            raise Unreachable(f"no modem at {self._port}: {reason}") from None
        except Silent as reason:
            raise Unreachable(f"the modem does not answer: {reason}") from None
        except Failed as reason:
            raise Unreachable(explain(str(reason))) from None
        finally:
            self._lock.release()

    def _open(self) -> Line:
        """The line, greeted. One that was pulled out and put back meanwhile is simply opened again."""
        self._listen()
        if self._line is None:
            self._line = Line(self._port, self._baud, self._shown)
        if self._line.is_strange:
            self._greet(self._line)
        return self._line

    def _listen(self) -> None:
        if self._line is not None:
            try:
                if self._line.listen():
                    self._line.is_strange = True  # an answer to nothing
            except Gone:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None
        self._is_registered = False
        self._sim = "unknown"

    def _greet(self, line: Line) -> None:
        """Everything here is volatile, so it is said again after each opening, restart and time-out."""
        limit_s = self._answer_timeout_s
        self._is_registered = False
        self._greeted += 1
        self._memories.forget()
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

    def _unlock_sim(self, line: Line) -> None:
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

    def _ask_sim(self, line: Line) -> str:
        try:
            words = _first(line.ask("AT+CPIN?", self._answer_timeout_s)).upper()
        except Failed as reason:
            return str(reason)
        if words != "READY":
            return words or "unknown"
        self._pin_spent = False
        return "ready"

    def _enter_pin(self, line: Line) -> bool:
        self._pin_spent = True
        taken = line.try_to(f'AT+CPIN="{self._pin}"', self._answer_timeout_s) is not None
        if not taken:
            log.error("the SIM refused its PIN; it is not tried again before the box restarts")
        return taken

    def _may_enter_pin(self, line: Line) -> bool:
        """Three wrong tries lock the SIM, and a box that restarts would spend them all: the last two are left."""
        if self._pin_spent or not re.fullmatch(r"[0-9]{4,8}", self._pin):
            return False
        tries = _first(line.try_to('AT+CPINR="SIM PIN"', self._answer_timeout_s)).split(",")
        return len(tries) < 2 or tries[1].strip() not in ("0", "1", "2")

    def _require_network(self, line: Line) -> None:
        self._require_sim(line)
        if not self._is_registered:
            self._look_for_network(line)
        if not self._is_registered:
            raise Unreachable("the SIM is not registered on a network")

    def _require_sim(self, line: Line) -> None:
        if self._sim != "ready":
            self._unlock_sim(line)
        if self._sim != "ready":
            cure = "; set [modem] pin, or switch its PIN off in a phone" if self._sim == "SIM PIN" else ""
            raise Unreachable(f"the SIM is not ready: {self._sim}{cure}")

    def _look_for_network(self, line: Line) -> None:
        answers = (line.try_to(command, self._answer_timeout_s) for command in ("AT+CREG?", "AT+CEREG?"))
        self._is_registered = any(at_words.is_registered(_first(answer)) for answer in answers)

    # Handing over.

    def _submit_all(self, line: Line, pdus: tuple[Pdu, ...]) -> tuple[int, ...]:
        """Back to back: an operator may drop the rest of a text whose segments come late."""
        references: list[int] = []
        for pdu in pdus:
            try:
                references.append(self._submit(line, pdu))
            except (Unreachable, Refused, Gone, Silent) as reason:
                self._sim, self._is_registered = "unknown", False  # perhaps no longer as we knew them
                if not references:
                    raise
                raise Unconfirmed(f"{len(references)} of {len(pdus)} segments were sent, then: {reason}") from None
        return tuple(references)

    def _submit(self, line: Line, pdu: Pdu) -> int:
        """One segment. Until the Ctrl-Z leaves us nothing can be sent; from then on it may have been."""
        try:
            line.ask_for_prompt(f"AT+CMGS={pdu.length}", self._answer_timeout_s)
        except Failed as reason:
            raise _rejection(str(reason)) from None
        line.write(pdu.hex.encode("ascii"))
        handed_over = time.monotonic()
        try:
            line.write(CTRL_Z)
            return line.read_reference(self._submit_timeout_s)
        except Failed as reason:
            waited_s = time.monotonic() - handed_over
            if waited_s > min(DOUBTFUL_AFTER_S, self._submit_timeout_s / 4) and is_doubtful(str(reason)):
                raise Unconfirmed(f"{explain(str(reason))} after {waited_s:.0f} s") from None
            raise _rejection(str(reason)) from None
        except Silent as reason:
            raise Unconfirmed(f"handed over, but {reason}") from None
        except Gone as reason:
            self._hang_up()
            raise Unconfirmed(f"handed over, then the modem vanished: {reason}") from None


def _rejection(words: str) -> Refused | Unreachable:
    return Refused(explain(words)) if is_permanent(words) else Unreachable(explain(words))


def _first(answer: list[str] | None) -> str:
    return answer[0] if answer else ""
