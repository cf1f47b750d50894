"""SMS on the wire: SUBMIT, DELIVER and STATUS-REPORT in hex, encoded and decoded (3GPP 23.040)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from edge.errors import BadInput
from edge.values import gsm7
from edge.values.sms_content import Content, Part, join_pieces, join_text
from edge.values.sms_text import Alphabet, Segments, cut

__all__ = [
    "Content", "Deliver", "Part", "Pdu", "StatusReport", "Submit", "alphabet_of", "decode_deliver", "decode_report",
    "decode_submit", "encode_deliver", "encode_report", "encode_submit", "is_flash", "join_pieces", "join_text",
]  # fmt: skip

DELIVER, SUBMIT, STATUS_REPORT = 0, 1, 2  # the low two bits of the first octet; 2 from a phone is a COMMAND
HAS_RELATIVE_VALIDITY, WANTS_REPORT, HAS_HEADER = 0x10, 0x20, 0x40
NO_MORE_MESSAGES = 0x04  # in a DELIVER and a STATUS-REPORT
INTERNATIONAL, NATIONAL, ALPHANUMERIC = 0x91, 0x81, 0xD0
CODING: dict[Alphabet, int] = {"gsm7": 0x00, "octets": 0x04, "ucs2": 0x08}
FLASH = 0x10  # class 0: shown at once, and often not kept
JOINED, JOINED_WIDE = 0x00, 0x08  # header elements with an 8-bit and a 16-bit reference
SINGLE_SHIFT, LOCKING_SHIFT = 0x24, 0x25  # header elements that name a national table
MOST_SEGMENTS = 255
OWN_SMSC = "00"  # take the message centre the SIM knows
_DIGITS = "0123456789*#abc"


@dataclass(frozen=True)
class Pdu:
    """One TPDU for `AT+CMGS=length`: `hex` begins with the message centre, which `length` does not count."""

    hex: str
    length: int


@dataclass(frozen=True)
class Submit:
    """A text on its way to the network."""

    number: str
    content: Content
    wants_report: bool
    validity_minutes: int | None
    is_flash: bool = False


@dataclass(frozen=True)
class Deliver:
    """A text from the network. `sent_at` is None when the message centre's stamp (kept raw) makes no sense.

    `is_name`: the sender is letters, and no number that only looks like them. `smsc`: the message centre's number,
    empty where none is told; `protocol`: TP-PID, 0 in an ordinary text. `is_flash`: to be shown at once.
    """

    sender: str
    content: Content
    sent_at: datetime | None
    stamp: str
    is_name: bool = False
    smsc: str = ""
    protocol: int = 0
    is_flash: bool = False


@dataclass(frozen=True)
class StatusReport:
    """What became of a text: `status` is TP-Status, `reference` the modem's message reference."""

    reference: int
    recipient: str
    sent_at: datetime | None
    done_at: datetime | None
    status: int

    @property
    def is_delivered(self) -> bool:
        """0x00 delivered, 0x01 forwarded without confirmation, 0x02 replaced, rest of the row reserved."""
        return self.status < 0x20

    @property
    def is_final(self) -> bool:
        """0x20-0x3F: the message centre is still trying."""
        return not 0x20 <= self.status < 0x40


def encode_submit(
    number: str,
    text: str,
    *,
    reference: int = 0,
    report: bool = False,
    validity_minutes: int = 1440,
    flash: bool = False,
    wide_reference: bool = False,
) -> tuple[Pdu, ...]:
    """One SUBMIT a segment. `number`: ASCII digits, international without plus, or a short code; else BadInput.

    `flash`: shown at once, and often not kept. `wide_reference`: parts are joined by 16 bits of the reference, which
    come round less often than 8, and take a letter of each segment.
    """
    if not re.fullmatch(r"[0-9]{2,15}", number):
        raise BadInput("a phone number has 2 to 15 digits and nothing else")
    segments = cut(text, wide_reference=wide_reference)
    first = SUBMIT | HAS_RELATIVE_VALIDITY | (WANTS_REPORT if report else 0)
    coding = bytes([0, CODING[segments.alphabet] | (FLASH if flash else 0), _encode_validity(validity_minutes)])
    pdus = []
    for content in _contents(segments, reference, wide_reference):
        head = bytes([first | (HAS_HEADER if content.part else 0), 0]) + _encode_address(number)
        tpdu = head + coding + _encode_content(content)
        pdus.append(Pdu(OWN_SMSC + tpdu.hex().upper(), len(tpdu)))
    return tuple(pdus)


def encode_deliver(
    sender: str,
    text: str,
    sent_at: datetime,
    *,
    reference: int = 0,
    smsc: str = "254722500029",
    protocol: int = 0,
    flash: bool = False,
    wide_reference: bool = False,
) -> tuple[Pdu, ...]:
    """One DELIVER a segment, as a message centre would send it. `sender`: `+` and digits, digits, or a name."""
    segments = cut(text, wide_reference=wide_reference)
    coding = bytes([protocol, CODING[segments.alphabet] | (FLASH if flash else 0)])
    pdus = []
    for content in _contents(segments, reference, wide_reference):
        first = DELIVER | NO_MORE_MESSAGES | (HAS_HEADER if content.part else 0)
        tpdu = bytes([first]) + _encode_address(sender) + coding + _encode_stamp(sent_at) + _encode_content(content)
        pdus.append(_from_smsc(smsc, tpdu))
    return tuple(pdus)


def encode_report(report: StatusReport, *, smsc: str = "254722500029") -> Pdu:
    """A STATUS-REPORT as a message centre would send it; missing instants become the epoch."""
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    if not (0 <= report.reference <= 0xFF and 0 <= report.status <= 0xFF):
        raise BadInput("a report's reference and status are one octet each")
    tpdu = bytes([STATUS_REPORT | NO_MORE_MESSAGES, report.reference]) + _encode_address(report.recipient)
    tpdu += _encode_stamp(report.sent_at or epoch) + _encode_stamp(report.done_at or epoch)
    return _from_smsc(smsc, tpdu + bytes([report.status]))


def _contents(segments: Segments, reference: int, wide: bool) -> list[Content]:
    """The segments with what joins them, which one alone does not need."""
    total = len(segments.contents)
    if total > MOST_SEGMENTS:
        raise BadInput(f"this text needs {total} segments; the most there can be is {MOST_SEGMENTS}")
    if total == 1:
        return [Content(segments.alphabet, segments.contents[0])]
    reference &= 0xFFFF if wide else 0xFF
    return [
        Content(segments.alphabet, content, Part(reference, total, place, wide))
        for place, content in enumerate(segments.contents, 1)
    ]


def decode_submit(pdu: str) -> Submit:
    """Read what a phone hands to its modem; BadInput when it is not a SUBMIT in one piece."""
    octets, first = _open(pdu, SUBMIT)
    octets.take(1)  # the reference is the modem's to give
    number = _decode_address(octets).removeprefix("+")
    octets.take(1)
    coding = octets.one()
    validity: int | None = None
    if first & 0x18 == HAS_RELATIVE_VALIDITY:
        validity = _decode_validity(octets.one())
    elif first & 0x18:
        octets.take(7)  # absolute or enhanced: as long as a time stamp
    content = _decode_content(octets, coding, bool(first & HAS_HEADER))
    if octets.left:
        raise BadInput("octets are left over behind the text")
    return Submit(number, content, bool(first & WANTS_REPORT), validity, is_flash(coding))


def decode_deliver(pdu: str) -> Deliver:
    """Read a received text; BadInput when it is not a DELIVER in one piece."""
    octets, first = _open(pdu, DELIVER)
    is_name = octets.peek(1) & 0x70 == ALPHANUMERIC & 0x70
    sender = _decode_address(octets)
    protocol, coding = octets.one(), octets.one()
    stamp = octets.take(7)
    content = _decode_content(octets, coding, bool(first & HAS_HEADER))
    smsc = _decode_centre(bytes.fromhex(pdu))
    told = stamp.hex().upper()
    return Deliver(sender, content, _decode_stamp(stamp), told, is_name, smsc, protocol, is_flash(coding))


def decode_report(pdu: str) -> StatusReport:
    """Read a delivery report; BadInput when it is not one."""
    octets, _ = _open(pdu, STATUS_REPORT)
    reference = octets.one()
    recipient = _decode_address(octets)
    sent_at, done_at = _decode_stamp(octets.take(7)), _decode_stamp(octets.take(7))
    return StatusReport(reference, recipient, sent_at, done_at, octets.one())


class _Octets:
    """Takes a PDU apart from left to right."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @property
    def left(self) -> int:
        return len(self._raw)

    def take(self, count: int) -> bytes:
        if count > len(self._raw):
            raise BadInput("the PDU ends too early")
        taken, self._raw = self._raw[:count], self._raw[count:]
        return taken

    def one(self) -> int:
        return self.take(1)[0]

    def peek(self, place: int) -> int:
        if place >= len(self._raw):
            raise BadInput("the PDU ends too early")
        return self._raw[place]


def _open(pdu: str, kind: int) -> tuple[_Octets, int]:
    """Past the message centre, to what follows the first octet."""
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", pdu):
        raise BadInput("a PDU is pairs of hex digits")
    octets = _Octets(bytes.fromhex(pdu))
    octets.take(octets.one())
    first = octets.one()
    if first & 0x03 != kind:
        raise BadInput("this is another kind of PDU")
    return octets, first


def _from_smsc(smsc: str, tpdu: bytes) -> Pdu:
    if not smsc:
        return Pdu(OWN_SMSC + tpdu.hex().upper(), len(tpdu))
    digits = smsc.removeprefix("+")
    if not re.fullmatch(r"[0-9*#]{1,20}", digits):
        raise BadInput("a message centre has a number")
    centre = bytes([INTERNATIONAL]) + _swap(digits)
    return Pdu((bytes([len(centre)]) + centre + tpdu).hex().upper(), len(tpdu))


def _swap(digits: str) -> bytes:
    """Two digits an octet, the first in the low half, F where the last is missing."""
    codes = [_DIGITS.index(digit) for digit in digits] + [0xF] * (len(digits) % 2)
    return bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2], strict=True))


def _encode_address(number: str) -> bytes:
    """Digits without plus count as international from seven on; a leading zero or a short code is national."""
    digits = number.removeprefix("+")
    if not re.fullmatch(r"[0-9*#]+", digits):
        return _encode_name(number)
    is_short = len(digits) < 7 or digits.startswith("0")
    kind = NATIONAL if is_short and not number.startswith("+") else INTERNATIONAL
    return bytes([len(digits), kind]) + _swap(digits)


def _encode_name(name: str) -> bytes:
    septets = b"".join(gsm7.to_septets(name) or [])
    if not 0 < len(septets) <= 11:
        raise BadInput("a sender's name has 1 to 11 plain letters")
    return bytes([(len(septets) * 7 + 3) // 4, ALPHANUMERIC]) + gsm7.pack(septets)


def _decode_address(octets: _Octets) -> str:
    """The length counts half octets, also for names, whose seven letters must not become eight."""
    length, kind = octets.one(), octets.one()
    raw = octets.take((length + 1) // 2)
    if kind & 0x70 == ALPHANUMERIC & 0x70:
        return gsm7.from_septets(gsm7.unpack(raw, length * 4 // 7))
    return _digits(raw, kind, length)


def _decode_centre(raw: bytes) -> str:
    """The length counts octets, the kind of number among them (3GPP 24.011, 8.2.5)."""
    return _digits(raw[2 : raw[0] + 1], raw[1], 2 * raw[0]) if raw[0] > 1 else ""


def _digits(raw: bytes, kind: int, length: int) -> str:
    halves = [half for octet in raw for half in (octet & 0x0F, octet >> 4)][:length]
    digits = "".join(_DIGITS[half] for half in halves if half < len(_DIGITS))
    return "+" + digits if kind & 0x70 == INTERNATIONAL & 0x70 else digits


def _encode_content(content: Content) -> bytes:
    """The length counts septets of 7-bit text, header included, and octets of anything else."""
    header = b""
    if content.part is not None:
        part = content.part
        kind, width = (JOINED_WIDE, 2) if part.is_wide else (JOINED, 1)
        told = part.reference.to_bytes(width, "big") + bytes([part.total, part.number])
        header = bytes([len(told) + 2, kind, len(told)]) + told
    if content.alphabet != "gsm7":
        return bytes([len(header) + len(content.content)]) + header + content.content
    taken = _septets_of(header)
    packed = gsm7.pack(content.content, taken * 7 - len(header) * 8)
    return bytes([taken + len(content.content)]) + header + packed


def _decode_content(octets: _Octets, coding: int, has_header: bool) -> Content:
    alphabet = alphabet_of(coding)
    length = octets.one()
    raw = octets.take((length * 7 + 7) // 8 if alphabet == "gsm7" else length)
    header = b""
    if has_header:
        if not raw or raw[0] >= len(raw):
            raise BadInput("the header is longer than the text")
        header, raw = raw[: raw[0] + 1], raw[raw[0] + 1 :]
    elements = _elements(header[1:])
    part = _find_part(elements)
    if alphabet != "gsm7":
        return Content(alphabet, raw, part)
    taken = _septets_of(header)
    septets = gsm7.unpack(raw, max(0, length - taken), taken * 7 - len(header) * 8)
    locking, single = (_find_language(elements, kind) for kind in (LOCKING_SHIFT, SINGLE_SHIFT))
    return Content("gsm7", septets, part, locking, single)


def _septets_of(header: bytes) -> int:
    """How many septets the header takes, filled up to a whole one."""
    return (len(header) * 8 + 6) // 7


def _elements(header: bytes) -> list[tuple[int, bytes]]:
    """Kind and value of each element; what is cut short at the end is none."""
    found = []
    while len(header) >= 2 and len(header) >= 2 + header[1]:
        found.append((header[0], header[2 : 2 + header[1]]))
        header = header[2 + header[1] :]
    return found


def _find_part(elements: list[tuple[int, bytes]]) -> Part | None:
    """The last one told counts (9.2.3.24); impossible parts are no parts."""
    for kind, value in reversed(elements):
        if (kind, len(value)) in ((JOINED, 3), (JOINED_WIDE, 4)):
            part = Part(int.from_bytes(value[:-2], "big"), value[-2], value[-1], kind == JOINED_WIDE)
            return part if 1 <= part.number <= part.total else None
    return None


def _find_language(elements: list[tuple[int, bytes]], wanted: int) -> int:
    """The number of a national table, 0 for the default one."""
    return next((value[0] for kind, value in reversed(elements) if kind == wanted and len(value) == 1), 0)


def alphabet_of(coding: int) -> Alphabet:
    """TP-DCS → alphabet (3GPP 23.038, 4); unknown values read as 7-bit."""
    if coding < 0x80:
        if coding & 0x20:
            return "octets"  # compressed
        return ("gsm7", "octets", "ucs2", "gsm7")[coding >> 2 & 0x03]
    if coding & 0xF0 == 0xE0:
        return "ucs2"
    return "octets" if coding & 0xF4 == 0xF4 else "gsm7"


def is_flash(coding: int) -> bool:
    """TP-DCS → class 0, in the groups that have classes (3GPP 23.038, 4)."""
    has_class = coding & 0x90 == 0x10 or coding & 0xF0 == 0xF0
    return has_class and coding & 0x03 == 0


def _encode_validity(minutes: int) -> int:
    """TP-VP relative: 5 minutes to 63 weeks, rounded up to the next step there is."""
    for code in range(256):
        if _decode_validity(code) >= minutes:
            return code
    return 255


def _decode_validity(code: int) -> int:
    """Minutes (3GPP 23.040, 9.2.3.12.1)."""
    if code <= 143:
        return (code + 1) * 5
    if code <= 167:
        return 720 + (code - 143) * 30
    return (code - 166) * 1440 if code <= 196 else (code - 192) * 10080


def _encode_stamp(moment: datetime) -> bytes:
    """Seven swapped BCD octets; the last counts quarters of an hour from UTC, its sign in bit 3."""
    offset = moment.utcoffset() or timedelta()
    quarters = int(abs(offset) / timedelta(minutes=15))
    raw = _swap(f"{moment:%y%m%d%H%M%S}{quarters:02d}")
    return raw[:6] + bytes([raw[6] | (0x08 if offset < timedelta() else 0)])


def _decode_stamp(raw: bytes) -> datetime | None:
    """Message centres send zeros and nonsense too: None then."""
    try:
        year, month, day, hour, minute, second = (int(f"{octet & 0x0F:x}{octet >> 4:x}") for octet in raw[:6])
        quarters = int(f"{raw[6] & 0x07:x}{raw[6] >> 4:x}")
        zone = timezone(timedelta(minutes=15 * (-quarters if raw[6] & 0x08 else quarters)))
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
