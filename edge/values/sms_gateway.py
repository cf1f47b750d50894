"""What an SMS gateway is asked and what it tells, as values: the same for each of them."""

from dataclasses import dataclass
from typing import Literal

from edge.errors import Refused


class Blocked(Refused):
    """The network or the gateway says that this number wants no texts."""


@dataclass(frozen=True)
class Accepted:
    """The gateway took a text."""

    reference: str  # the gateway's own id, by which its reports name the text
    price_cents: int | None = None  # in KES; None where it does not tell, or tells in another currency
    segments: int | None = None


@dataclass(frozen=True)
class Report:
    """What a gateway says of a text that it took. `sent` and `buffered` are under way."""

    kind: Literal["delivered", "failed", "sent", "buffered"]
    reference: str
    words: str = ""
    is_blocked: bool = False  # the number is on a list of those who want no texts
    msisdn: str = ""
    ours: str = ""  # our own reference, where the gateway gives it back


@dataclass(frozen=True)
class Incoming:
    """A text that came to the gateway's number."""

    reference: str
    sender: str  # as it came: a number with or without plus, or a name
    text: str


@dataclass(frozen=True)
class OptedOut:
    """Somebody told the gateway itself that he wants no more."""

    msisdn: str
    words: str


Told = Report | Incoming | OptedOut
