"""The GSM 7-bit alphabet: text to septets and back, and septets packed into octets (3GPP 23.038)."""

from collections.abc import Iterable

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
EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\",
    0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
_SEPTETS = {char: bytes([code]) for code, char in enumerate(BASIC) if code != ESCAPE}
_SEPTETS |= {char: bytes([ESCAPE, code]) for code, char in EXTENSION.items()}


def to_septets(text: str) -> list[bytes] | None:
    """One or two septets for each character; None when a character is not in the alphabet."""
    units = [_SEPTETS.get(char) for char in text]
    known = [unit for unit in units if unit is not None]
    return known if len(known) == len(units) else None


def from_septets(septets: bytes) -> str:
    """The text; an unknown extension reads as its basic character, a lone escape at the end as nothing."""
    text, escaped = "", False
    for code in septets:
        if escaped:
            text += EXTENSION.get(code, " " if code == ESCAPE else BASIC[code])
            escaped = False
        elif code == ESCAPE:
            escaped = True
        else:
            text += BASIC[code]
    return text


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
