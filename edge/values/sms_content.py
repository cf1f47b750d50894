"""What the segments of a text carry, and how they become words again: joined first and read afterwards.

Some networks cut a text wherever a segment is full: through an escape pair, a surrogate pair, or the two octets of
one UTF-16 unit. A part is therefore kept as a *piece*: its words, and in place of a half that stood alone a character
from the end of plane 16, where no language has any. Pieces put together give the whole text, whatever was cut.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from edge.values import gsm7, gsm7_national
from edge.values.sms_text import Alphabet

_OCTET = 0x10F500  # and 256 places: one octet of a UTF-16 unit
_ESCAPE = 0x10F600  # and 256 places: an escape, in the tables of two languages, sixteen each
_SURROGATE = 0x10F800  # and 2,048 places: half a surrogate pair
_MARKED = re.compile("[\U0010f500-\U0010ffff]")
_ESCAPED = re.compile("([\U0010f600-\U0010f6ff])(.?)", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """Which part of a long text a segment is; `number` counts from 1. `is_wide`: the reference has 16 bits."""

    reference: int
    total: int
    number: int
    is_wide: bool = False


@dataclass(frozen=True)
class Content:
    """What one segment carries: septets one a byte, UTF-16, or plain octets; its header left out.

    `locking`, `single`: the national tables that the header names.
    """

    alphabet: Alphabet
    content: bytes
    part: Part | None = None
    locking: int = 0
    single: int = 0

    @property
    def text(self) -> str:
        """This segment's own words; of a long text use `join_text`."""
        return join_text([self])

    @property
    def piece(self) -> str:
        """This segment as it is kept until the others are there; nothing of it is lost. See `join_pieces`."""
        if self.alphabet == "ucs2":
            return _piece_of_units(self.content)
        text = _read(self.alphabet, self.content, self.locking, self.single)
        if self.alphabet == "gsm7" and gsm7.ends_in_escape(_septets(self.content)):
            text += chr(_ESCAPE + (self.locking & 0x0F) * 16 + (self.single & 0x0F))
        return text

    @property
    def is_best_effort(self) -> bool:
        """It was written by a national table that is not known here, and is read by the default one."""
        return self.alphabet == "gsm7" and not gsm7_national.is_known(self.locking, self.single)


def join_text(contents: Iterable[Content]) -> str:
    """Join what is of one alphabet, and read it afterwards."""
    runs = groupby(contents, key=lambda each: (each.alphabet, each.locking, each.single))
    return "".join(
        _read(alphabet, b"".join(each.content for each in run), locking, single)
        for (alphabet, locking, single), run in runs
    )


def join_pieces(pieces: Iterable[str]) -> str:
    """The words of all pieces in their order; a half that stays alone is U+FFFD, a lone escape nothing."""
    text = "".join(pieces)
    if not _MARKED.search(text):
        return text
    text = _ESCAPED.sub(_read_escaped, text)
    return text if not _MARKED.search(text) else b"".join(map(_octets_of, text)).decode("utf-16-be", "replace")


def _read(alphabet: Alphabet, content: bytes, locking: int, single: int) -> str:
    if alphabet == "gsm7":
        return gsm7.from_septets(_septets(content), locking, single)
    return content.decode("utf-16-be" if alphabet == "ucs2" else "latin-1", "replace")


def _septets(content: bytes) -> bytes:
    return bytes(code & 0x7F for code in content)


def _piece_of_units(content: bytes) -> str:
    """Each character as it is, save halves, and the few characters that would be taken for the mark of one."""
    even = len(content) & ~1
    text = []
    for char in content[:even].decode("utf-16-be", "surrogatepass"):
        if 0xD800 <= ord(char) < 0xE000:
            text.append(_mark(ord(char)))
        elif ord(char) >= _OCTET:
            pair = char.encode("utf-16-be")
            text += [_mark(int.from_bytes(pair[:2], "big")), _mark(int.from_bytes(pair[2:], "big"))]
        else:
            text.append(char)
    return "".join(text) + "".join(chr(_OCTET + octet) for octet in content[even:])


def _mark(half: int) -> str:
    return chr(_SURROGATE + half - 0xD800)


def _octets_of(char: str) -> bytes:
    code = ord(char)
    if code >= _SURROGATE:
        return (code - _SURROGATE + 0xD800).to_bytes(2, "big")
    if _OCTET <= code < _ESCAPE:
        return bytes([code - _OCTET])
    return char.encode("utf-16-be", "replace")


def _read_escaped(found: re.Match[str]) -> str:
    languages = ord(found[1]) - _ESCAPE
    return gsm7.escaped_as(found[2], languages >> 4, languages & 0x0F) if found[2] else ""
