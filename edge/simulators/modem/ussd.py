"""The command +CUSD of the pretend modem: codes out, answers later, each written as its family does (27.007, 7.15)."""

import re
from collections.abc import Callable, Mapping

from edge.errors import BadInput
from edge.simulators.modem.answers import Trouble
from edge.simulators.modem.clock import Clock
from edge.simulators.modem.handset import Handset
from edge.simulators.modem.ussd_scripts import (
    CODINGS,
    DONE,
    ENDED,
    MENU,
    NOT_SUPPORTED,
    Encoding,
    UssdAnswer,
    UssdScript,
)
from edge.values import gsm7


class Ussd:
    """The command +CUSD; answers come later, by `say`."""

    def __init__(self, handset: Handset, say: Callable[[str], object], clock: Clock) -> None:
        self._handset = handset
        self._say = say
        self._clock = clock
        self._session = 0  # what was asked before this number is no longer answered
        self._menu: Mapping[str, UssdAnswer] = {}
        self._due: list[tuple[UssdScript, float, int]] = []  # asked for, and OK is not yet said

    def obey(self, kind: str, given: str) -> list[str]:
        """AT+CUSD, all its forms."""
        if kind == "=?":
            return ["+CUSD: (0-2)"]
        if kind == "?":
            return ["+CUSD: 1"]
        found = re.fullmatch(r'([012])(?:,(?:"([^"]*)"|([^",]+))(?:,\d+)?)?', given)
        if kind != "=" or found is None:
            raise Trouble(self._handset.cme(50))
        asked = found[2] or found[3]
        if found[1] == "2" or asked:
            self._session += 1
        if found[1] == "2":
            self._menu = {}
        elif asked:
            self._ask(self._read(asked))
        return []

    def _ask(self, code: str) -> None:
        handset = self._handset
        if handset.registration_state() != 1:
            raise Trouble(self._handset.cme(30))
        menu, self._menu = self._menu, {}
        handset.ussd_asked.append(code)
        script = menu.get(code) if menu else handset.ussd_answers.get(code)
        answers = [script] if isinstance(script, str | UssdScript) else list(script or ())
        scripts = [UssdScript(each) if isinstance(each, str) else each for each in answers]
        failed = next((each.error for each in scripts if each.error), "")
        if failed:
            raise Trouble(failed)
        if not scripts:
            scripts = [UssdScript(mode=NOT_SUPPORTED if not menu else ENDED)]
        after_s = 0.0
        for each in scripts:
            after_s += each.delay_s or handset.ussd_delay_s
            self._due.append((each, after_s, self._session))

    def answer(self) -> None:
        """OK is said: from now on the network may answer."""
        due, self._due = self._due, []
        for script, after_s, session in due:
            self._answer_later(script, after_s, session)

    def _answer_later(self, script: UssdScript, after_s: float, session: int) -> None:
        def answer() -> None:
            if self._session == session and not script.is_silent:
                self._menu = script.replies
                self._say(self._line(script))

        self._clock.after(after_s, answer)

    def _line(self, script: UssdScript) -> str:
        mode = script.mode if script.mode is not None else (MENU if script.replies else DONE)
        if not script.text and mode in (NOT_SUPPORTED, ENDED):
            return f"+CUSD: {mode}"
        text = script.text.replace("{airtime}", self._handset.airtime_words())
        encoding = script.encoding or self._usual()
        if encoding == "packed" and gsm7.to_septets(text) is None:
            encoding = "ucs2"  # as a network must
        coding = CODINGS[encoding] if script.coding is None else script.coding
        return f'+CUSD: {mode},"{write(text, encoding)}"' + ("" if coding < 0 else f",{coding}")

    def _usual(self) -> Encoding:
        if self._handset.manners.wants_packed_ussd and not self._handset.volatile.has_plain_ussd:
            return "packed"
        return "ucs2" if self._handset.volatile.charset == "UCS2" else "plain"

    def _read(self, asked: str) -> str:
        """What was asked for, as this family wants it written; else CME 100, as Huawei says."""
        usual = self._usual()
        try:
            if usual == "packed":
                return unpack(bytes.fromhex(asked))
            return bytes.fromhex(asked).decode("utf-16-be") if usual == "ucs2" else asked
        except ValueError:
            raise Trouble(self._handset.cme(100)) from None


def write(text: str, encoding: Encoding) -> str:
    """The characters between the quotes."""
    if encoding == "packed":
        return pack(text).hex().upper()
    if encoding == "ucs2":
        return text.encode("utf-16-be").hex().upper()
    return text.encode("latin-1", "replace").hex().upper() if encoding == "octets" else text


def pack(text: str) -> bytes:
    """Packed septets, where seven spare bits carry a carriage return (3GPP 23.038, 6.1.2.3.1)."""
    septets = gsm7.to_septets(text)
    if septets is None:
        raise BadInput("this answer has letters that GSM 7-bit lacks: give it the encoding ucs2")
    raw = b"".join(septets)
    return gsm7.pack(raw + b"\r" if len(raw) % 8 == 7 else raw)


def unpack(octets: bytes) -> str:
    """The reverse."""
    septets = gsm7.unpack(octets, len(octets) * 8 // 7)
    if len(septets) % 8 == 0 and septets.endswith((b"\r", b"\0")):
        septets = septets[:-1]
    return gsm7.from_septets(septets)
