"""The GSM 7-bit alphabet: text to septets and back, and septets packed into octets (3GPP 23.038)."""

from collections.abc import Iterable

from edge.values import gsm7_national

ESCAPE = 0x1B
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION = gsm7_national.SINGLE[gsm7_national.DEFAULT]
_SEPTETS = {char: bytes([code]) for code, char in enumerate(BASIC) if code != ESCAPE}
_SEPTETS |= {char: bytes([ESCAPE, code]) for code, char in EXTENSION.items()}


def to_septets(text: str) -> list[bytes] | None:
    """One or two septets for each character; None when a character is not in the alphabet."""
    units = [_SEPTETS.get(char) for char in text]
    known = [unit for unit in units if unit is not None]
    return known if len(known) == len(units) else None


def from_septets(septets: bytes, locking: int = 0, single: int = 0) -> str:
    """The text, by the national tables of these languages, or the default ones.

    An unknown extension reads as its basic character, a lone escape at the end as nothing.
    """
    basic = basic_table(locking)
    text, escaped = [], False
    for code in septets:
        if escaped:
            text.append(escaped_as(basic[code], locking, single))
            escaped = False
        elif code == ESCAPE:
            escaped = True
        else:
            text.append(basic[code])
    return "".join(text)


def basic_table(locking: int) -> str:
    """The 128 characters without an escape; the default ones for a language whose table is not known."""
    return gsm7_national.LOCKING.get(locking, BASIC)


def escaped_as(char: str, locking: int, single: int) -> str:
    """What the character of the basic table means behind an escape."""
    code = basic_table(locking).find(char)
    if code == ESCAPE:
        return " "  # an escape behind an escape is kept for tables yet to come (6.2.1.1)
    return gsm7_national.SINGLE.get(single, EXTENSION).get(code, char)


def ends_in_escape(septets: bytes) -> bool:
    """Is the last one an escape whose other half is missing?"""
    return (len(septets) - len(septets.rstrip(bytes([ESCAPE])))) % 2 == 1


def pack(septets: Iterable[int], fill_bits: int = 0) -> bytes:
    """Septets into octets, lowest bit first, after `fill_bits` zero bits."""
    bits, position = 0, fill_bits
    for code in septets:
        bits |= code << position
        position += 7
    return bits.to_bytes((position + 7) // 8, "little")


def unpack(octets: bytes, count: int, fill_bits: int = 0) -> bytes:
    """Exactly `count` septets: spare bits at the end would read as an `@`."""
    bits = int.from_bytes(octets, "little") >> fill_bits
    return bytes(bits >> 7 * place & 0x7F for place in range(count))
