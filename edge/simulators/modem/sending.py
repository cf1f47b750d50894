"""One text on its way out of the pretend modem: prompt, hand-over, answer, and all that may go wrong between."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from edge.errors import BadInput
from edge.simulators.modem.answers import Trouble, cms
from edge.simulators.modem.commands import Commands
from edge.simulators.modem.families import FAMILIES
from edge.simulators.modem.faults import Fault, Plan, Step
from edge.simulators.modem.handset import Handset
from edge.simulators.modem.line import PtyLine
from edge.simulators.modem.reports import Reports
from edge.simulators.modem.text_mode import encode
from edge.tpdu import Pdu, Submit, decode_submit

NOISE = (b"\xff\x00\x80\xfe?????\r\n", b"\r\n\xa5\x91UNDER\x00\xff\r\n", b"\x00\x00\x00", b"\r\n????????????????\r\n")
STORM = tuple(news for family in FAMILIES.values() for news in family.gossip)
STATES = {"STO UNSENT": 2, "STO SENT": 3, "0": 0, "1": 1, "2": 2, "3": 3}
FINE = Plan()


class Voice(Protocol):
    """How a dialogue says the lines of an answer."""

    def answer(self, lines: list[str], end: str = "OK") -> None:
        """All lines of an answer, and how it ends."""

    def gossip(self) -> None:
        """What is said between lines."""


@dataclass
class Stage:
    """What the simulator does for a sending, beside its line."""

    reports: Reports
    fall_off: Callable[[float | None], object]  # the stick leaves the bus for so long; None: until it is plugged
    restart: Callable[[], object]
    bring: Callable[[str, str], object]  # a text from outside


class Sending:
    """CMGS, CMGW and CMSS of one port."""

    def __init__(self, handset: Handset, line: PtyLine, voice: Voice, commands: Commands, stage: Stage) -> None:
        self._handset = handset
        self._line = line
        self._voice = voice
        self._commands = commands
        self._stage = stage
        self._length = 0  # octets of the TPDU, in PDU mode
        self._number = ""  # in text mode
        self._keeps: int | None = None  # CMGW stores in this state what CMGS sends
        self.plan = FINE

    def offer_prompt(self, name: str, given: str) -> bool:
        """Answer the command; is a text awaited now?"""
        handset = self._handset
        self.plan = handset.faults.draw() if name == "+CMGS" else FINE
        if handset.is_deaf:
            return False  # a fault began with this very command
        self._vanish_at("command")
        if handset.no_prompt or "no-prompt" in self.plan:
            return False
        self._check_prompt(name, given)
        self._line.pause(handset.prompt_delay_s + self._seconds("slow-prompt"))
        lost = self._line.drop_input().strip(b"\n")
        if lost:
            handset.lost_input.append(lost)
        self._voice.gossip()
        self._line.say(b"\r\n")
        self._vanish_at("prompt")  # half of it: whoever has all of it may hand over before the cable is out
        self._line.say(b"> ")
        return True

    def _check_prompt(self, name: str, given: str) -> None:
        handset = self._handset
        error: int | str | None = handset.prompt_error
        if fault := self.plan.get("prompt-error"):
            error = fault.code
        if error is not None:
            raise Trouble(cms(error))
        target, *more = [each.strip() for each in given.split(",")]
        self._commands.require_sim()
        if handset.volatile.is_text_mode:
            self._number = target.strip('"')
        elif re.fullmatch(r"\d{1,3}", target, re.ASCII) and int(target) >= 7:
            self._length = int(target)
        else:
            raise Trouble(cms(304))
        self._keeps = None
        if name == "+CMGW":
            self._keeps = STATES.get(more[-1].strip('"'), 2) if more else 2
        elif handset.registration_state() != 1:
            raise Trouble(cms(331))

    def hand_over(self, typed: bytes) -> None:
        """Everything up to Ctrl-Z is here."""
        if self._handset.volatile.is_text_mode:
            pdu = encode(self._number, typed, self._handset.volatile)
            submit = decode_submit(pdu.hex)
        else:
            pdu = Pdu(typed.decode("latin-1"), self._length)
            submit = None
        if self._keeps is not None:
            self._keep(pdu, self._keeps)
            return
        self._pass_on("+CMGS", submit or _read(pdu), pdu)

    def from_memory(self, given: str) -> None:
        """AT+CMSS=slot: send what CMGW stored."""
        handset = self._handset
        slot = given.split(",")[0]
        stored = handset.memories[handset.volatile.memories[1]].get(int(slot)) if slot.isdecimal() else None
        if stored is None:
            raise Trouble(cms(321))
        self._commands.require_sim()
        if handset.registration_state() != 1:
            raise Trouble(cms(331))
        self.plan = handset.faults.draw()
        self._pass_on("+CMSS", _read(Pdu(stored.pdu, stored.length)), Pdu(stored.pdu, stored.length))
        stored.state = 3

    def _keep(self, pdu: Pdu, state: int) -> None:
        """A DELIVER may be written too: gammu copies received texts so."""
        if state in (2, 3):
            _read(pdu)
        slot = self._handset.store(pdu.hex, pdu.length, self._handset.volatile.memories[1], state)
        if slot is None:
            raise Trouble(cms(322))
        self._voice.answer([f"+CMGW: {slot}"])

    def _pass_on(self, name: str, submit: Submit, pdu: Pdu) -> None:
        handset, plan = self._handset, self.plan
        self._before(pdu)
        if handset.silent or "no-answer" in plan:
            return
        error = handset.next_cms_errors.popleft() if handset.next_cms_errors else handset.cms_error
        self._line.pause(handset.delay_s)
        self._refuse(error)
        self._break_down(submit, pdu)
        reference = handset.take(submit, pdu.hex)
        if refused := plan.get("error-though-sent"):
            raise Trouble(cms(refused.code or 500))
        self._vanish_at("hand-over")
        self._answer(name, submit, reference)

    def _before(self, pdu: Pdu) -> None:
        """What is said before the answer."""
        if "pdu-echo" in self.plan:
            self._line.say(pdu.hex.encode("latin-1") + b"\r\n")
        if "garbage" in self.plan:
            self._noise()
        self._voice.gossip()
        if "incoming" in self.plan:
            self._stage.bring("+254110000099", f"Sent while you were sending, {datetime.now(UTC):%H:%M:%S.%f}")

    def _refuse(self, error: int | str | None) -> None:
        """The network or the modem says no."""
        handset = self._handset
        if error is not None:
            raise Trouble(cms(error))
        if fault := self.plan.get("error"):
            raise Trouble(cms(fault.code or 500))
        if handset.faults.is_on("sim-full") and handset.is_full():
            raise Trouble(cms(322))
        if handset.registration_state() != 1:
            raise Trouble(cms(331))
        if handset.is_out_of_airtime():
            if handset.airtime_error is None:
                raise Silence
            raise Trouble(cms(handset.airtime_error))

    def _break_down(self, submit: Submit, pdu: Pdu) -> None:
        """The faults in which the modem itself goes, with the text or without it."""
        for name, happen in (("port-gone", self._fall_off), ("hang", self._go_deaf), ("restart", self._restart)):
            fault = self.plan.get(name)
            if fault is not None and fault.step == "hand-over":
                if fault.is_sent:
                    self._stage.reports.owe(submit, self._handset.take(submit, pdu.hex), is_at_once=False)
                happen(fault)
                raise Silence

    def _answer(self, name: str, submit: Submit, reference: int) -> None:
        handset, plan, reports = self._handset, self.plan, self._stage.reports
        is_lost = handset.lose_answer or "answer-lost" in plan
        if reports.come_first or is_lost:
            reports.owe(submit, reference, is_at_once=reports.come_first)
        if is_lost:
            return
        self._line.pause(self._seconds("answer-late"))
        if "half-answer" in plan:
            self._line.say(f"\r\n{name}: {reference}"[:-1].encode())
            return
        self._voice.answer([f"{name}: {reference}"])
        if not reports.come_first:
            reports.owe(submit, reference, is_at_once=True)

    def lines_between(self) -> tuple[str, ...]:
        """The unsolicited lines of this sending."""
        return STORM if "chatter" in self.plan else ()

    def _noise(self) -> None:
        for noise in NOISE:
            self._line.say(noise)

    def _seconds(self, name: str) -> float:
        fault = self.plan.get(name)
        return self._handset.faults.real(fault.seconds or 0.0) if fault else 0.0

    def _vanish_at(self, step: Step) -> None:
        if self._handset.vanish_at == step:
            self._stage.fall_off(None)
        fault = self.plan.get("port-gone")
        if fault is not None and fault.step == step and step != "hand-over":
            self._fall_off(fault)

    def _fall_off(self, fault: Fault) -> None:
        self._stage.fall_off(fault.seconds)

    def _go_deaf(self, fault: Fault) -> None:
        self._handset.faults.put("deaf", seconds=fault.seconds)

    def _restart(self, fault: Fault) -> None:
        self._stage.restart()


class Silence(Exception):
    """Nothing is answered, and nothing more happens."""


def _read(pdu: Pdu) -> Submit:
    """A length that does not fit, odd hex or a bad field is 304 at once: the sender's own fault."""
    try:
        submit = decode_submit(pdu.hex)
    except BadInput:
        raise Trouble(cms(304)) from None
    if len(pdu.hex) // 2 - 1 - int(pdu.hex[:2], 16) != pdu.length:
        raise Trouble(cms(304))
    return submit
