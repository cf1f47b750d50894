"""The GSM modem: AT commands over a serial port, one conversation at a time."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edge.errors import Away, BadInput, DeviceError, Refused
from edge.modem_greeting import GREETING_S, Acquaintance
from edge.modem_handover import Handover
from edge.modem_line import Failed, Gone, Line, Overheard, Silent, StartedAnew
from edge.modem_ports import PortFinder
from edge.modem_resets import POWER, RADIO, REOPEN, RESTART, USB, ResetLadder, Step
from edge.modem_texts import Fill, StoredText, TextMemories, of_greeting, read_report, shown_text
from edge.modem_ussd import dial
from edge.tpdu import StatusReport, encode_submit
from edge.values import at_words
from edge.values.cms_errors import explain
from edge.values.ussd import UssdAnswer

log = logging.getLogger("edge.modem")

TURN_PAUSE_S, BABBLE_PAUSE_S, ABSENT_PAUSE_S = 0.2, 0.05, 1.0
REOPEN_PAUSE_S, RADIO_S, RESTART_S = 1.0, 15.0, 3.0
CONVERSATION_S = 90.0  # a greeting included
READING_S = 110.0  # a list that hangs, and then slot by slot
MOST_REPORTS = 500
NEARLY_FULL = 0.8  # of a memory for texts
WEAK_DBM = -99  # under +CSQ 8 texts begin to fail
Power = Callable[[str, str], str]  # port, step → what was done


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
    registration: str = "unknown"  # home, roaming, searching, denied …
    revision: str = ""
    family: str = ""
    iccid: str = ""
    imsi: str = ""
    smsc: str = ""
    network_time: datetime | None = None  # a hint: the modem's own clock, as the network set it
    port: str = ""
    memories: tuple[Fill, ...] = ()
    is_full: bool = False  # it said that it has no room for texts
    resets: str = ""  # what the reset ladder did in the last hour

    @property
    def trouble(self) -> str:
        """Why no text could leave, in words; empty when one could."""
        if self.sim != "ready":
            return f"the SIM is not ready: {self.sim}"
        return "" if self.registered else f"the SIM is not registered on a network: {self.registration}"

    @property
    def summary(self) -> str:
        """Network and signal in one line."""
        signal = "unknown" if self.signal_dbm is None else f"{self.signal_dbm} dBm"
        return f"{self.operator or self.registration}, signal {signal}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What will go wrong later: of a full memory the message centre holds texts back, and drops them after days."""
        words = [
            f"memory {fill.memory} is nearly full: {fill.used} of {fill.room} texts"
            for fill in self.memories if fill.used >= NEARLY_FULL * fill.room
        ]  # fmt: skip
        if self.sim == "ready" and not self.smsc:
            words.append("the SIM knows no message centre: texts will be refused with 330")
        if self.signal_dbm is not None and self.signal_dbm <= WEAK_DBM:
            words.append("the signal is weak")
        return (*words, *([f"in the last hour: {self.resets}"] if self.resets else []))


@dataclass
class _Card:
    """What does not change between two greetings."""

    greeting: int = -1
    told: dict[str, str] = field(default_factory=dict)


class Modem:
    """One modem; threads take turns. Opened when first used, opened again after it was pulled out.

    Every call ends: after `turn_timeout_s` for its turn, GREETING_S for a modem that has to be met anew, and its own
    time (a text: `submit_timeout_s` and a prompt each segment; USSD: what it was given; reading READING_S; the others
    are over after CONVERSATION_S, the greeting included). `port`: a path, or "auto" to look for it. `pin_guard`: a
    file that remembers a refused PIN. `power`: what may be done to the USB device.
    """

    def __init__(
        self, port: str, baud: int = 115200, pin: str = "", quirks: str = "auto", *,
        submit_timeout_s: float = 120.0, answer_timeout_s: float = 10.0, turn_timeout_s: float = 30.0,
        resets: bool = True, pin_guard: Path | None = None, power: Power | None = None,
        finder: PortFinder | None = None, ladder: ResetLadder | None = None,
    ) -> None:  # fmt: skip
        self._finder = finder or PortFinder(port, baud)
        self._submit_timeout_s, self._answer_timeout_s = submit_timeout_s, answer_timeout_s
        self._turn_timeout_s = turn_timeout_s
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._port = ""
        self._who = Acquaintance(pin, quirks, answer_timeout_s, pin_guard)
        self._memories = TextMemories(answer_timeout_s, self._greet)
        self._handover = Handover(answer_timeout_s)
        self._ladder = ladder or ResetLadder(resets=resets, has_power=power is not None)
        self._power = power
        self._overheard = Overheard()
        self._reports: deque[StatusReport] = deque(maxlen=MOST_REPORTS)
        self._card = _Card()
        self._reference = int(time.time())  # starts elsewhere after each restart, so that old parts find no new mates
        self.trouble = ""  # why no text could leave when last tried; empty when one could

    def send_sms(
        self, msisdn: str, text: str, *, report: bool = False, flash: bool = False, validity_minutes: int = 1440
    ) -> tuple[int, ...]:
        """Hand every segment to the network and return its message references.

        `msisdn`: ASCII digits, international without plus. `report`: the network is to tell what becomes of it, see
        `take_reports`. Away: the modem, its SIM or its network is not there. Unreachable: nothing was sent. Refused:
        the number, the text or the network's final no. Unconfirmed: some of it is out, or may be.
        """
        self._reference += 1
        try:
            pdus = encode_submit(
                msisdn, text, reference=self._reference, report=report, flash=flash, validity_minutes=validity_minutes
            )
        except BadInput as reason:
            raise Refused(str(reason)) from None
        with self._conversation() as line:
            self._require_network(line)
            line.until = math.inf  # each segment has its own time
            timeout_s = min(self._submit_timeout_s, self._who.family.submit_timeout_s)
            try:
                try:
                    return self._handover.submit_all(line, pdus, timeout_s)
                except StartedAnew:
                    line.until = time.monotonic() + GREETING_S
                    self._greet(line)
                    self._require_network(line)
                    line.until = math.inf
                    return self._handover.submit_all(line, pdus, timeout_s)
            except StartedAnew:
                raise Away("the modem starts anew again and again") from None
            except DeviceError:
                self._who.forget()  # perhaps no longer as we knew it
                raise

    def ussd(self, code: str, timeout_s: float = 45.0) -> UssdAnswer:
        """Dial a code such as `*144#`. Refused: it is none, or the modem won't. Unconfirmed: no answer in time."""
        with self._conversation(GREETING_S + timeout_s) as line:
            self._require_network(line)
            try:
                return dial(line, code, self._who.family, timeout_s)
            except BadInput as reason:
                raise Refused(str(reason)) from None

    def require_ready(self) -> None:
        """Away unless a text could leave now; quick."""
        with self._conversation() as line:
            self._who.is_registered = False
            self._require_network(line)

    def status(self) -> ModemStatus:
        """Ask for network, signal and SIM; Away when the modem does not answer."""
        with self._conversation() as line:
            who = self._who
            if who.sim != "ready":
                who.unlock_sim(line)
            who.look_for_network(line)
            self._note_network()
            card = self._read_card(line)
            return ModemStatus(
                who.manufacturer, who.model, who.imei, who.is_registered,
                at_words.read_operator(self._tell(line, "AT+COPS?")), at_words.read_signal(self._tell(line, "AT+CSQ")),
                who.sim, who.registration, card["AT+CGMR"], who.family.name,
                at_words.read_iccid(card[who.family.iccid]), card["AT+CIMI"], at_words.read_operator(card["AT+CSCA?"]),
                at_words.read_clock(self._tell(line, "AT+CCLK?")), self._port,
                self._memories.fills(line) if who.sim == "ready" else (), self._overheard.is_full, self._ladder.tell(),
            )  # fmt: skip

    @property
    def has_news(self) -> bool:
        """Did it say that a text came?"""
        return self._overheard.has_news

    def has_texts(self) -> bool:
        """Is there a text or a report to read? Quick, and changes nothing; Away when modem or SIM is not there."""
        with self._conversation() as line:
            self._who.require_sim(line)
            self._overheard.has_news = False
            found = self._memories.has_texts(line)
            self._overheard.is_full = self._overheard.is_full and found
            return found or bool(self._overheard.shown) or self._has_reports()

    def read_texts(self) -> list[StoredText]:
        """Every received text there is; they stay where they are until `delete_texts`.

        One whose PDU makes no sense has no `deliver`. Unreachable: nothing was read, nothing is lost.
        """
        with self._conversation(GREETING_S + READING_S) as line:
            self._who.require_sim(line)
            self._overheard.has_news = False
            line.ask("AT+CMGF=0", self._answer_timeout_s)
            found = self._memories.read(line) + [shown_text(pdu) for pdu in self._overheard.shown]
            return of_greeting(found, self._who.greeted)

    def delete_texts(self, texts: Iterable[StoredText]) -> int:
        """Empty the slots of these texts, which are in safe keeping; returns how many the modem would not empty.

        Texts from before the modem was pulled out or restarted are left alone: they are read again.
        """
        texts = list(texts)
        with self._conversation(GREETING_S + READING_S) as line:
            shown = {text.pdu for text in texts if not text.memory and text.index < 0}
            self._overheard.shown[:] = [pdu for pdu in self._overheard.shown if pdu not in shown]
            current = [text for text in texts if text.index >= 0 and text.greeting == self._who.greeted]
            return self._memories.delete(line, current)

    def take_reports(self) -> list[StatusReport]:
        """The delivery reports that came, each once; `give_back_reports` what could not be kept."""
        heard = self._overheard
        if heard.stored_reports:
            with self._conversation(GREETING_S + READING_S) as line:
                self._who.require_sim(line)
                while heard.stored_reports:
                    self._reports.extend(self._memories.take_reports(line, *heard.stored_reports[0]))
                    heard.stored_reports.popleft()
        found: list[StatusReport] = []
        while self._reports:
            found.append(self._reports.popleft())
        while heard.reports:
            report = read_report(heard.reports.popleft())
            found += [] if report is None else [report]
        return list(dict.fromkeys(found))

    def give_back_reports(self, reports: Sequence[StatusReport]) -> None:
        """They could not be written down: they are taken once more."""
        self._reports.extend(reports)

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until the modem says that a text or a report came, at most so long; takes no turn, opens nothing."""
        until = time.monotonic() + timeout_s
        while not self._overheard.is_worth_a_look and (left_s := until - time.monotonic()) > 0:
            line = self._line
            if line is None or line.is_strange:
                time.sleep(min(left_s, ABSENT_PAUSE_S))
            elif line.wait(left_s):
                if not self._lock.acquire(blocking=False):
                    time.sleep(min(left_s, TURN_PAUSE_S))  # whoever has the turn hears it
                    continue
                try:
                    self._listen()
                finally:
                    self._lock.release()
                if not self._overheard.is_worth_a_look:
                    time.sleep(min(left_s, BABBLE_PAUSE_S))  # a port that babbles shall not keep us running
        return self._overheard.is_worth_a_look

    def close(self) -> None:
        """Let go of the port; the next call opens it again."""
        if self._lock.acquire(timeout=self._turn_timeout_s):
            try:
                self._hang_up()
            finally:
                self._lock.release()

    # One conversation: whoever has the lock has the modem.

    @contextmanager
    def _conversation(self, limit_s: float = 0.0) -> Iterator[Line]:
        """Ends after CONVERSATION_S unless another limit is given."""
        if not self._lock.acquire(timeout=self._turn_timeout_s):
            raise Away("the modem is busy with something else")
        try:
            yield self._open(limit_s or CONVERSATION_S)
            self._ladder.note_answer()
        except Gone as reason:
            raise self._away(f"no modem at {self._finder.place}: {reason}") from None
        except Silent as reason:
            self._ladder.note_trouble("deaf")
            raise self._away(f"the modem does not answer: {reason}") from None
        except Failed as reason:
            raise self._away(explain(str(reason))) from None
        except Away as reason:
            raise self._away(str(reason)) from None
        finally:
            if self._line is not None and not self._line.is_gone:
                self._line.hear_out()
            else:
                self._hang_up()  # at once: while we hold the old port, the modem can't come back under its name
                self._ladder.note_no_port()
            self._lock.release()

    def _away(self, words: str) -> Away:
        self.trouble = words
        return Away(words)

    def _open(self, limit_s: float) -> Line:
        """The line, greeted. One that was pulled out and put back meanwhile is simply opened again."""
        self._listen()
        step = self._ladder.next_step(returns_from_restart=self._who.family.returns_from_restart)
        if step is not None:
            self._climb(step)
        if self._line is None:
            with self._finder.opened(self._overheard) as (line, port):
                self._line, self._port = line, port
            self._ladder.note_port()
        self._line.until = time.monotonic() + limit_s
        if self._line.is_strange:
            self._greet(self._line)
        return self._line

    def _listen(self) -> None:
        if self._line is not None:
            self._line.until = math.inf
            try:
                if self._line.listen():
                    self._line.is_strange = True  # an answer to nothing
            except Gone:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None
        self._who.forget()

    def _greet(self, line: Line) -> None:
        self._memories.forget()
        self._who.greet(line, self._port)
        self._finder.note_imei(self._who.imei)

    def _require_network(self, line: Line) -> None:
        try:
            self._who.require_network(line)
        finally:
            self._note_network()
        self.trouble = ""

    def _note_network(self) -> None:
        """Without a SIM there is no network, and no reset helps."""
        if self._who.is_registered:
            self.trouble = ""
            self._ladder.note_health()
        elif self._who.sim == "ready":
            self._ladder.note_trouble("offline")

    def _climb(self, step: Step) -> None:
        """One step of the ladder. Away: it now has to come back by itself."""
        line, port = self._line, self._port
        if step is RADIO and line is not None:
            line.until = time.monotonic() + GREETING_S
            line.wake(self._answer_timeout_s)
            for command in ("AT+CFUN=4", "AT+CFUN=1"):
                line.try_to(command, RADIO_S)
            line.is_strange = True
        elif step is RESTART and line is not None:
            line.until = time.monotonic() + RESTART_S
            with suppress(Silent, Gone):  # it may be gone before it says OK; a port closed at once could swallow it
                line.try_to("AT+CFUN=1,1", RESTART_S)
            self._hang_up()
            raise Away("the modem was told to restart")
        elif step is REOPEN:
            self._hang_up()
            time.sleep(REOPEN_PAUSE_S)
        elif step in (USB, POWER) and self._power is not None:
            self._hang_up()
            raise Away(f"{step.words}: {self._power(port, step.name)}")

    # What it tells.

    def _read_card(self, line: Line) -> dict[str, str]:
        """Asked once an acquaintance. The message centre is never rewritten: it is the operator's."""
        if self._card.greeting != self._who.greeted or not self._card.told.get("AT+CIMI"):
            commands = ("AT+CGMR", "AT+CIMI", "AT+CSCA?", self._who.family.iccid)
            self._card = _Card(self._who.greeted, {command: self._tell(line, command) for command in commands})
            if '""' in self._card.told["AT+CSCA?"]:
                log.warning("the SIM knows no message centre: texts will be refused with 330")
        return self._card.told

    def _has_reports(self) -> bool:
        return bool(self._reports or self._overheard.reports or self._overheard.stored_reports)

    def _tell(self, line: Line, command: str) -> str:
        told = line.try_to(command, self._answer_timeout_s)
        return told[0] if told else ""
