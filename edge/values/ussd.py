"""USSD as modems write it: a code on its way out, and what the network answered, whichever way that is put."""

import re
from dataclasses import dataclass
from typing import Literal

from edge.errors import BadInput
from edge.values import gsm7

Way = Literal["plain", "packed", "ucs2"]
DONE, MENU, ENDED, OTHER_CLIENT, NOT_SUPPORTED, TIMED_OUT = range(6)  # 3GPP 27.007, 7.15
MODE_WORDS = {
    ENDED: "the network ended it", OTHER_CLIENT: "something else in the modem took the answer",
    NOT_SUPPORTED: "the network does not know this code", TIMED_OUT: "the network took too long",
}  # fmt: skip
CODED_UCS2, CODED_GSM7, CODED_OCTETS = 72, 15, 0
SHORTEST_HEX = 6  # `50` is fifty, not a letter
PLAUSIBLE = 0.85
HINT = 0.1  # what its own word on its coding is worth: it is often wrong
_USUAL_MARKS = frozenset(" \n\r.,:;-/*#()%+=!?'\"&@_")


@dataclass(frozen=True)
class UssdAnswer:
    """One answer. `mode`: 1 waits for a reply, 0 is the last word, others say why there is none; `raw`: as it came."""

    mode: int
    text: str
    raw: str
    coding: int | None = None

    @property
    def is_menu(self) -> bool:
        """The network waits for a reply, or to be told that none comes."""
        return self.mode == MENU

    @property
    def trouble(self) -> str:
        """Why there is no answer, in words; empty when there is one."""
        return MODE_WORDS.get(self.mode, "")


def check_code(code: str) -> str:
    """The code without spaces; BadInput when it is no `*144#`, nor a reply to a menu."""
    bare = re.sub(r"\s", "", code)
    if not re.fullmatch(r"[0-9*#]{1,160}", bare):
        raise BadInput("a USSD code has digits, * and #, as in *144#", "code")
    return bare


def encode_request(code: str, way: Way = "plain") -> str:
    """What stands between the quotes of AT+CUSD. `packed`: Huawei, `*144#` → AA188D3602; `ucs2`: with CSCS UCS2."""
    code = check_code(code)
    if way == "plain":
        return code
    if way == "ucs2":
        return code.encode("utf-16-be").hex().upper()
    return pack(code).hex().upper()


def pack(text: str) -> bytes:
    """Packed septets; seven spare bits at the end carry a carriage return, else they read as @ (23.038, 6.1.2.3.1)."""
    units = gsm7.to_septets(text)
    if units is None:
        raise BadInput("this has letters that the 7-bit alphabet lacks")
    septets = b"".join(units)
    if len(septets) % 8 == 7 or (septets and len(septets) % 8 == 0 and septets.endswith(b"\r")):
        septets += b"\r"
    return gsm7.pack(septets)


def is_whole(line: str) -> bool:
    """Is the closing quote there? An answer has line breaks of its own."""
    _, opening, rest = line.partition('"')
    return not opening or re.search(r'"\s*(?:,\s*\d*\s*)?$', rest) is not None


def read_cusd(line: str) -> UssdAnswer:
    """`+CUSD: m,"text",dcs`, or what stands behind the colon; BadInput when it is no such thing."""
    told = re.sub(r"^\s*\+CUSD:", "", line)
    found = re.fullmatch(r'\s*(\d)\s*(?:,\s*(?:"(.*)"|([^",]*))?\s*(?:,\s*(\d{1,3})?\s*)?)?', told, re.DOTALL)
    if found is None:
        raise BadInput("this is no answer to a USSD code")
    raw = found[2] if found[2] is not None else (found[3] or "").strip()
    coding = int(found[4]) if found[4] else None
    return UssdAnswer(int(found[1]), decode_text(raw, coding), raw, coding)


def decode_text(raw: str, coding: int | None = None) -> str:
    """The words, whichever way they are written: plain, or hex of packed septets, of UTF-16 or of plain octets.

    What they are said to be is often wrong (gammu/gammu#358, #513), so each way is tried, and the most readable
    words are kept.
    """
    if len(raw) < SHORTEST_HEX or len(raw) % 2 or not re.fullmatch(r"[0-9A-Fa-f]+", raw):
        return raw
    octets = bytes.fromhex(raw)
    if raw.isdecimal() and any(octets[::2]):
        return raw  # a number, or a date
    found = [
        (_readable(text) + (HINT if coding == usual else 0.0), text)
        for text, usual in (
            (_utf16(octets), CODED_UCS2), (_unpack(octets), CODED_GSM7), (octets.decode("latin-1"), CODED_OCTETS),
        )
    ]  # fmt: skip
    best, text = max(found, key=lambda each: each[0])
    return text if best >= PLAUSIBLE else raw


def _utf16(octets: bytes) -> str:
    return octets.decode("utf-16-be", "replace") if len(octets) % 2 == 0 else ""


def _unpack(octets: bytes) -> str:
    """Seven spare bits are a filler, as the standard has it or as some networks do."""
    septets = gsm7.unpack(octets, len(octets) * 8 // 7)
    if len(septets) % 8 == 0 and septets.endswith((b"\r", b"\0")):
        septets = septets[:-1]
    return gsm7.from_septets(septets)


def _readable(text: str) -> float:
    """0 to 1: how much it looks like something that was written to be read."""
    blocks = [ord(char) >> 9 for char in text if ord(char) > 0x24F and char.isalpha()]
    usual = max(blocks, key=blocks.count, default=0)
    return sum(_weight(char, usual) for char in text) / len(text) if text else 0.0


def _weight(char: str, block: int) -> float:
    """Letters of one foreign script are words; letters of many are what octets of something else look like."""
    if char.isascii():
        return 1.0 if char.isalnum() or char == " " else 0.9 if char in _USUAL_MARKS else 0.0
    if char.isalpha() and ord(char) <= 0x24F:
        return 0.6
    return 0.95 if char.isalpha() and ord(char) >> 9 == block and block > 1 else 0.0
