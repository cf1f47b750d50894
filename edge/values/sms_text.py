"""A text as the network carries it: which alphabet it needs, and how it is cut into segments."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edge.values.gsm7 import to_septets

Alphabet = Literal["gsm7", "ucs2", "octets"]

# Of one segment alone, of one among many, and of one among many that are joined by a wide reference: six or seven
# octets go to the header that joins them (3GPP 23.040, 9.2.3.24).
GSM7_SEPTETS = (160, 153, 152)
UCS2_OCTETS = (140, 134, 132)

_PLAIN = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "`": "'", "´": "'", "′": "'", "‹": "'", "›": "'",
    "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"', "«": '"', "»": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "•": "-", "…": "...",
    "\t": " ", "\u00a0": " ", "\u202f": " ", "\u3000": " ", **{chr(code): " " for code in range(0x2000, 0x200B)},
    "\u200b": "", "\u2060": "", "\ufeff": "", "\u00ad": "",
})  # fmt: skip
_SPELT_OUT = {"œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "ĳ": "ij", "þ": "th", "ð": "d"}


@dataclass(frozen=True)
class Segments:
    """A text cut up: septets one a byte for `gsm7`, UTF-16 (high byte first) for `ucs2`."""

    alphabet: Alphabet
    contents: tuple[bytes, ...]


def cut(text: str, *, wide_reference: bool = False) -> Segments:
    """As few segments as possible; an escape pair or a surrogate pair is never parted."""
    septets = to_septets(text)
    many = 2 if wide_reference else 1
    if septets is not None:
        return Segments("gsm7", _fill(septets, GSM7_SEPTETS[0], GSM7_SEPTETS[many]))
    # What the phones call UCS-2 is UTF-16; half a pair alone is no character and becomes a question mark.
    units = (char.encode("utf-16-be", "replace") for char in text)
    return Segments("ucs2", _fill(units, UCS2_OCTETS[0], UCS2_OCTETS[many]))


def count_segments(text: str) -> int:
    """How many segments the operator will charge for."""
    return len(cut(text).contents)


def forcing(text: str) -> tuple[str, ...]:
    """The characters that the 7-bit alphabet lacks, each once: they more than halve what a segment holds."""
    return tuple(char for char in dict.fromkeys(text) if to_septets(char) is None)


def simplify(text: str) -> str:
    """Curly quotes, dashes and odd spaces as plain ones: one of them more than halves a segment."""
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def transliterate(text: str, is_on: bool = True) -> str:
    """`simplify`, and Latin letters that the 7-bit alphabet lacks without their marks (`ê` → `e`, `œ` → `oe`).

    What has no plain form, as emoji and other scripts, stays, and forces UCS-2. Switched off: the text as typed.
    """
    return "".join(map(_plain_letter, simplify(text))) if is_on else text


def _plain_letter(char: str) -> str:
    if to_septets(char) is not None:
        return char
    bare = _SPELT_OUT.get(char) or "".join(
        part for part in unicodedata.normalize("NFD", char) if not unicodedata.combining(part)
    )
    return bare if bare and to_septets(bare) is not None else char


def _fill(units: Iterable[bytes], alone: int, among_many: int) -> tuple[bytes, ...]:
    units = list(units)
    whole = b"".join(units)
    if len(whole) <= alone:
        return (whole,)
    contents = [b""]
    for unit in units:
        if len(contents[-1]) + len(unit) > among_many:
            contents.append(b"")
        contents[-1] += unit
    return tuple(contents)
