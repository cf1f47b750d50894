"""Text mode: texts typed and shown as words instead of PDUs (3GPP 27.005, 3.4 and 4)."""

from dataclasses import dataclass
from datetime import datetime

from edge.errors import BadInput
from edge.simulators.modem.answers import Trouble, cms
from edge.simulators.modem.charset import from_line, to_line
from edge.simulators.modem.records import Stored, Volatile
from edge.tpdu import Content, Pdu, alphabet_of, decode_deliver, decode_report, decode_submit, encode_submit

STATES = ("REC UNREAD", "REC READ", "STO UNSENT", "STO SENT", "ALL")
DELIVER, SUBMIT, REPORT = 0, 1, 2
WANTS_REPORT, HAS_RELATIVE_VALIDITY, VALIDITY_BITS = 0x20, 0x10, 0x18
INTERNATIONAL, NATIONAL = 145, 129


@dataclass(frozen=True)
class _Head:
    """The octets that text mode tells as numbers."""

    first: int
    address_kind: int
    protocol: int
    coding: int
    validity: int


def encode(number: str, typed: bytes, volatile: Volatile) -> Pdu:
    """The SUBMIT of what was typed behind the prompt, with the parameters of +CSMP; 304 or 305 when it is none."""
    first, validity, protocol, coding = volatile.parameters
    try:
        msisdn = from_line(number, volatile.charset).strip()
        said = typed.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
        text = from_line(said, "UCS2" if alphabet_of(coding) == "ucs2" else volatile.charset)
        pdus = encode_submit(msisdn.removeprefix("+"), text, report=bool(first & WANTS_REPORT))
    except BadInput:
        raise Trouble(cms(304)) from None
    except ValueError:  # no hex
        raise Trouble(cms(305)) from None
    if len(pdus) > 1:
        raise Trouble(cms(305))  # as most do: long texts are for PDU mode
    octets = bytearray.fromhex(pdus[0].hex)
    place = 5 + (octets[3] + 1) // 2  # behind centre, first octet, reference, length, kind and digits
    octets[place] = protocol
    octets[place + 1] |= coding & 0x13 if coding < 0x20 else 0  # the class: 0 is a flash
    if first & VALIDITY_BITS == HAS_RELATIVE_VALIDITY:
        octets[place + 2] = validity
    return Pdu(octets.hex().upper(), pdus[0].length)


def header(stored: Stored, volatile: Volatile, *, is_list: bool) -> tuple[str, str]:
    """What stands behind `+CMGL: 1,` or `+CMGR: `, and the words; both empty of words for nonsense."""
    state = f'"{STATES[stored.state]}"'
    try:
        kind = _first(stored.pdu) & 0x03
        if kind == REPORT:
            return f"{state},{report_fields(stored.pdu)}", ""
        return _told(stored, volatile, is_list=is_list, is_ours=kind == SUBMIT)
    except (BadInput, IndexError, ValueError):
        return f'{state},"",,""', stored.pdu


def _told(stored: Stored, volatile: Volatile, *, is_list: bool, is_ours: bool) -> tuple[str, str]:
    head = _read_head(stored.pdu, is_ours=is_ours)
    if is_ours:
        submit = decode_submit(stored.pdu)
        number, content, stamp, centre = submit.number, submit.content, "", ""
    else:
        deliver = decode_deliver(stored.pdu)
        number, content, centre = deliver.sender, deliver.content, deliver.smsc
        stamp = f'"{in_stamp(deliver.sent_at)}"'
    words = f'"{STATES[stored.state]}","{to_line(number, volatile.charset)}",'
    words += "" if is_ours and not is_list else f",{stamp}"
    if volatile.shows_details:
        length = len(content.content)
        told = [head.address_kind, head.first, head.protocol, head.coding, *([head.validity] if is_ours else [])]
        details = f'{",".join(map(str, told))},"{to_line(centre, volatile.charset)}",{INTERNATIONAL},{length}'
        words += f",{head.address_kind},{length}" if is_list else f",{details}"
    return words, shown(content, volatile.charset)


def arrival(pdu: str, volatile: Volatile) -> str:
    """What stands behind `+CMT: `, both lines of it."""
    deliver = decode_deliver(pdu)
    head = f'"{to_line(deliver.sender, volatile.charset)}",,"{in_stamp(deliver.sent_at)}"'
    return f"{head}\r\n{shown(deliver.content, volatile.charset)}"


def report_fields(pdu: str) -> str:
    """What stands behind `+CDS: `: first octet, reference, recipient, its kind, stamps, status."""
    report = decode_report(pdu)
    kind = INTERNATIONAL if report.recipient.startswith("+") else NATIONAL
    stamps = f'"{in_stamp(report.sent_at)}","{in_stamp(report.done_at)}"'
    return f'{_first(pdu)},{report.reference},"{report.recipient}",{kind},{stamps},{report.status}'


def shown(content: Content, charset: str) -> str:
    """The words of one segment: hex where they are not 7-bit."""
    if content.alphabet != "gsm7":
        return content.content.hex().upper()
    if charset == "GSM":
        return content.content.decode("latin-1")
    return to_line(content.text, charset)


def in_stamp(moment: datetime | None) -> str:
    """As modems write an instant: 26/11/22,09:32:21+12, the zone in quarters of an hour."""
    if moment is None:
        return "00/00/00,00:00:00+00"
    offset = moment.utcoffset()
    quarters = int(offset.total_seconds() // 900) if offset is not None else 0
    return f"{moment:%y/%m/%d,%H:%M:%S}{quarters:+03d}"


def _first(pdu: str) -> int:
    octets = bytes.fromhex(pdu)
    return octets[1 + octets[0]]


def _read_head(pdu: str, *, is_ours: bool) -> _Head:
    octets = bytes.fromhex(pdu)
    place = 1 + octets[0]
    first = octets[place]
    place += 2 if is_ours else 1  # a SUBMIT has its reference here
    behind = place + 2 + (octets[place] + 1) // 2
    return _Head(first, octets[place + 1], octets[behind], octets[behind + 1], octets[behind + 2])
