"""A text as the network carries it: which alphabet it needs, and how it is cut into segments."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edge.values.gsm7 import to_septets

Alphabet = Literal["gsm7", "ucs2", "octets"]

# Of one segment alone, and of one among many: six octets go to the header that joins them (3GPP 23.040, 9.2.3.24).
GSM7_SEPTETS = (160, 153)
UCS2_OCTETS = (140, 134)

_PLAIN = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "‐": "-", "‑": "-", "–": "-", "—": "-", "…": "...", "•": "-", "\u00a0": " ", "\u202f": " ", "\t": " ",
})  # fmt: skip


@dataclass(frozen=True)
class Segments:
    """A text cut up: septets one a byte for `gsm7`, UTF-16 (high byte first) for `ucs2`."""

    alphabet: Alphabet
    contents: tuple[bytes, ...]


def cut(text: str) -> Segments:
    """As few segments as possible; an escape pair or a surrogate pair is never parted."""
    septets = to_septets(text)
    if septets is not None:
        return Segments("gsm7", _fill(septets, *GSM7_SEPTETS))
    # What the phones call UCS-2 is UTF-16; half a pair alone is no character and becomes a question mark.
    return Segments("ucs2", _fill((char.encode("utf-16-be", "replace") for char in text), *UCS2_OCTETS))


def count_segments(text: str) -> int:
    """How many segments the operator will charge for."""
    return len(cut(text).contents)


def simplify(text: str) -> str:
    """Curly quotes, dashes and odd spaces as plain ones: one of them more than halves a segment."""
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


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
