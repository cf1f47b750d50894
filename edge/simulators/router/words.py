"""RouterOS's API on the wire: lengths, words, sentences (manual: API, "API words" and "API sentences")."""

from collections.abc import Iterable, Iterator

LONGEST_WORD = 64 * 1024 * 1024
CONTROL = 0xF8  # a first byte from here on is reserved: nobody knows how long the word is


class Malformed(Exception):
    """What came is no sentence: the connection can't go on."""


def encode_length(length: int) -> bytes:
    """0x7F → `7F`, 0x80 → `80 80`, 0x4000 → `C0 40 00`, 0x200000 → `E0 20 00 00`, 0x10000000 → `F0 10 00 00 00`."""
    for size, (limit, mark) in enumerate(((0x80, 0), (0x4000, 0x80), (0x200000, 0xC0), (0x10000000, 0xE0)), start=1):
        if length < limit:
            return (length | mark << 8 * (size - 1)).to_bytes(size, "big")
    return b"\xf0" + length.to_bytes(4, "big")


def decode_length(data: bytes | bytearray) -> tuple[int, int] | None:
    """The length told at the start of these bytes and how many bytes told it; None when more are needed."""
    if not data:
        return None
    first = data[0]
    if first >= CONTROL:
        raise Malformed(f"control byte {first:#04x}")
    size = 1 + (first >= 0x80) + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)
    if len(data) < size:
        return None
    kept = 0 if size == 5 else first & (0xFF >> size)
    return int.from_bytes(bytes([kept, *data[1:size]]), "big"), size


def encode_sentence(words: Iterable[str | bytes]) -> bytes:
    """The words, and the empty word that ends them; text that was no UTF-8 leaves as it came."""
    raw = [word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape") for word in words]
    return b"".join(encode_length(len(word)) + word for word in [*raw, b""])


class SentenceReader:
    """Puts sentences together from whatever pieces TCP brings."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._words: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """The sentences that are complete with these bytes; empty ones are left out. Malformed ends it all."""
        self._data += data
        at = 0
        while (told := decode_length(self._data[at : at + 5])) is not None:
            length, size = told
            if length > LONGEST_WORD:
                raise Malformed("a word without end")
            if len(self._data) < at + size + length:
                break
            word = bytes(self._data[at + size : at + size + length])
            at += size + length
            if word:
                self._words.append(word)
            elif self._words:
                sentence, self._words = self._words, []
                yield sentence
        del self._data[:at]
