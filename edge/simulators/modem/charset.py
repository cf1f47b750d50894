"""The alphabets in which words go over the line: +CSCS (3GPP 27.005, 3.1)."""

from edge.values import gsm7

CHARSETS = ("GSM", "IRA", "UCS2")


def to_line(text: str, charset: str) -> str:
    """As the modem says these words; letters the alphabet lacks become `?`."""
    if charset == "UCS2":
        return text.encode("utf-16-be").hex().upper()
    if charset == "GSM":
        return b"".join((gsm7.to_septets(letter) or [b"?"])[0] for letter in text).decode("latin-1")
    return text.encode("latin-1", "replace").decode("latin-1")


def from_line(said: str, charset: str) -> str:
    """What was typed; ValueError when it is not hex where it must be."""
    if charset == "UCS2":
        return bytes.fromhex(said).decode("utf-16-be")
    if charset == "GSM":
        return gsm7.from_septets(bytes(code & 0x7F for code in said.encode("latin-1", "replace")))
    return said
