"""What the pretend modem keeps: texts sent, texts stored, and the settings that go with the power."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from edge.tpdu import Submit


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class SentSms:
    """One whole text the network took, its segments joined; `at` is when it took the last of them."""

    msisdn: str
    text: str
    pdus: tuple[str, ...]
    references: tuple[int, ...]
    at: datetime = field(default_factory=_now)


@dataclass(frozen=True)
class Segment:
    """One SUBMIT the network took."""

    submit: Submit
    pdu: str
    reference: int
    at: datetime = field(default_factory=_now)


@dataclass
class Stored:
    """One entry of the memory: the PDU, its length as AT counts it, and AT's own state.

    0 unread, 1 read, 2 written and not sent, 3 written and sent.
    """

    pdu: str
    length: int
    state: int = 0


@dataclass
class Volatile:
    """What a modem forgets when it loses power."""

    echo: bool = True
    errors: int = 0  # +CMEE
    registration: int = 0  # +CREG
    registration_lte: int = 0
    registration_data: int = 0
    charset: str = "IRA"
    long_operator: bool = True
    service: int = 0  # +CSMS
    memories: tuple[str, str, str] = ("SM", "SM", "SM")
    routing: tuple[int, ...] = (0, 0, 0, 0, 0)  # +CNMI
    functionality: int = 1
    pin_entered: bool = False
    is_text_mode: bool = False  # +CMGF
    parameters: tuple[int, ...] = (17, 167, 0, 0)  # +CSMP: first octet, validity, protocol, coding
    shows_details: bool = False  # +CSDH
    has_plain_ussd: bool = False  # ^USSDMODE=0
    is_quiet: bool = False  # ^CURC=0
