"""How the pretend modem speaks: octet by octet, echo, prompt, answers, and news nobody asked for."""

import re
from collections.abc import Callable

from edge.errors import BadInput
from edge.simulators.modem.commands import Commands, Hang, Trouble, cms
from edge.simulators.modem.handset import Handset, Step
from edge.simulators.modem.line import PtyLine, Unplugged
from edge.tpdu import Submit, decode_submit

CR, LF, CTRL_Z, ESC, BACKSPACE = 0x0D, 0x0A, 0x1A, 0x1B, 0x08
LONGEST_COMMAND = 556  # a SIM800 takes so many characters
LONGEST_PDU = 400
CALL = re.compile(r"AT([+^*$%][A-Z0-9]+)(=\?|\?|=)?(.*)", re.IGNORECASE | re.DOTALL)
BASIC = re.compile(r"(?:&F\d?|E[01]?|V[01]?|Q0?|Z\d?|S\d+=\d+|X\d|&[CDW]\d?)*", re.IGNORECASE)


class Dialogue:
    """Typed octets in, answers out: a command line until CR, a PDU until Ctrl-Z."""

    def __init__(
        self, handset: Handset, line: PtyLine, log: Callable[[str], object], after: Callable[[], object]
    ) -> None:
        self._handset = handset
        self._line = line
        self._log = log
        self._after = after  # each command that went well
        self._commands = Commands(handset)
        self._typed = bytearray()
        self._expected = -1  # octets of the TPDU to come; below zero: no PDU is awaited
        self._keeps = False  # CMGW stores what CMGS sends

    def reset(self) -> None:
        """Forget what was half typed."""
        self._typed.clear()
        self._expected = -1

    def hear(self, octet: int) -> None:
        """One octet from the cable."""
        if self._handset.echo and not self._handset.mute:
            self._line.say(bytes([octet]))
        if self._expected >= 0:
            self._hear_pdu(octet)
        elif octet == CR:
            command, self._typed = self._typed.decode("latin-1").strip(), bytearray()
            if command and not self._handset.mute:
                self._obey(command)
        elif octet == ESC:
            self._typed.clear()
        elif octet == BACKSPACE:
            del self._typed[-1:]
        elif octet != LF and octet != CTRL_Z and len(self._typed) < LONGEST_COMMAND:
            self._typed.append(octet)

    # Commands.

    def _obey(self, command: str) -> None:
        self._handset.commands.append(command)
        try:
            if command.upper().startswith(("AT+CMGS=", "AT+CMGW=")):
                self._offer_prompt(command)
            else:
                self._answer(self._run(command))
                self._after()
        except Hang:
            self._log(f"hangs at {command!r}")
        except Trouble as trouble:
            self._answer([], trouble.line)

    def _run(self, command: str) -> list[str]:
        call = CALL.fullmatch(command)
        if call:
            handler = self._commands.find(call[1].upper())
            if handler is not None:
                return handler(call[2] or "", call[3].strip())
        elif command.upper().startswith("AT") and BASIC.fullmatch(command[2:]):
            self._set_basics(command[2:].upper())
            return []
        elif command.upper() == "ATI":
            handset = self._handset
            return [f"Manufacturer: {handset.manufacturer}", f"Model: {handset.model}", f"IMEI: {handset.imei}"]
        self._handset.unknown_commands.append(command)
        self._log(f"unknown command: {command!r}")
        raise Trouble(self._commands.cme(4) if call else "ERROR")

    def _set_basics(self, settings: str) -> None:
        """Only echo changes anything here."""
        for found in re.finditer(r"E([01]?)|Z|&F", settings):
            self._handset.echo = found[0] in ("E1", "Z", "&F")

    def _answer(self, lines: list[str], end: str = "OK") -> None:
        self._gossip()
        for line in lines:
            self._say(line)
            self._gossip()
        self._say(end)
        self._gossip()

    def _say(self, line: str) -> None:
        self._line.say(f"\r\n{line}\r\n".encode("latin-1", "replace"))

    def _gossip(self) -> None:
        for news in self._handset.urcs:
            self._say(news)

    def _vanish_at(self, step: Step) -> None:
        if self._handset.vanish_at == step:
            raise Unplugged

    # PDUs.

    def _offer_prompt(self, command: str) -> None:
        handset = self._handset
        self._vanish_at("command")
        if handset.no_prompt:
            return
        if handset.prompt_error is not None:
            raise Trouble(_told(handset.prompt_error))
        length = command.partition("=")[2].split(",")[0]
        self._commands.require_sim()
        if not re.fullmatch(r"\d{1,3}", length, re.ASCII) or int(length) < 7:
            raise Trouble(cms(304))
        self._keeps = command.upper().startswith("AT+CMGW")
        if handset.registration_state() != 1 and not self._keeps:
            raise Trouble(cms(331))
        self._line.pause(handset.prompt_delay_s)
        lost = self._line.drop_input().strip(b"\n")
        if lost:
            self._log(f"lost, because it came before the prompt: {lost!r}")
        self._gossip()
        self._expected = int(length)
        self._line.say(b"\r\n")
        self._vanish_at("prompt")  # half of it: whoever has all of it may hand over before the cable is out
        self._line.say(b"> ")

    def _hear_pdu(self, octet: int) -> None:
        if octet == ESC:
            self.reset()
            self._answer([])
        elif octet == CTRL_Z:
            pdu, length = self._typed.decode("latin-1"), self._expected
            self.reset()
            try:
                self._hand_over(pdu, length)
            except Trouble as trouble:
                self._answer([], trouble.line)
        elif len(self._typed) <= LONGEST_PDU:
            self._typed.append(octet)

    def _hand_over(self, pdu: str, length: int) -> None:
        handset = self._handset
        submit = _read(pdu, length)
        if self._keeps:
            self._answer([f"+CMGW: {handset.store(pdu, length, handset.volatile.memories[1], state=2) or 0}"])
            return
        self._gossip()
        if handset.silent:
            return
        error = handset.next_cms_errors.popleft() if handset.next_cms_errors else handset.cms_error
        if handset.delay_s:
            self._line.pause(handset.delay_s)
        if error is not None:
            raise Trouble(_told(error))
        reference = handset.take(submit, pdu)
        self._vanish_at("hand-over")
        if handset.lose_answer:
            return
        self._answer([f"+CMGS: {reference}"])
        if handset.delivery_reports and submit.wants_report and handset.volatile.routing[3] == 1:
            report = self._commands.report(submit.number, reference)
            self._say(f"+CDS: {report.length}\r\n{report.hex}")


def _told(error: int | str) -> str:
    return error if isinstance(error, str) else cms(error)


def _read(pdu: str, length: int) -> Submit:
    """A length that does not fit, odd hex or a bad field is 304 at once: the sender's own fault."""
    try:
        submit = decode_submit(pdu)
    except BadInput:
        raise Trouble(cms(304)) from None
    if len(pdu) // 2 - 1 - int(pdu[:2], 16) != length:
        raise Trouble(cms(304))
    return submit
