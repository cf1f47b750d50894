"""What the pretend network answers to USSD codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Encoding = Literal["", "plain", "packed", "ucs2", "octets"]
CODINGS: dict[Encoding, int] = {"": 15, "plain": 15, "packed": 15, "ucs2": 72, "octets": 0}
DONE, MENU, ENDED, NOT_SUPPORTED = 0, 1, 2, 4


@dataclass(frozen=True)
class UssdScript:
    """One answer. `{airtime}` in its text is what is left, as 123.45.

    `mode`: None is 1 (a menu) with `replies`, else 0. `encoding`: empty is as this family and +CSCS write it.
    `coding`: None is what goes with the encoding, -1 leaves it out. `error`: this line instead of OK.
    """

    text: str = ""
    mode: int | None = None
    encoding: Encoding = ""
    coding: int | None = None
    delay_s: float = 0.0
    replies: Mapping[str, "UssdAnswer"] = field(default_factory=dict)
    is_silent: bool = False
    error: str = ""


UssdAnswer: TypeAlias = "UssdScript | str | Sequence[UssdScript | str]"


def safaricom_scripts() -> dict[str, UssdAnswer]:
    """What a new pretend SIM can be asked."""
    bundles = UssdScript("1:Daily SMS 200 @Ksh 5\n2:Weekly SMS 1000 @Ksh 20\n98:MORE", replies={
        "1": "You have bought 200 SMS, valid for 24 hours.", "2": "You have bought 1000 SMS, valid for 7 days.",
    })  # fmt: skip
    return {
        "*144#": "Airtime Balance: {airtime} KSH. Expiry: 30-12-2027",
        "*188#": bundles,
        "*100#": UssdScript("1:Balance\n2:Bundles\n0:Exit", replies={
            "1": "Airtime Balance: {airtime} KSH", "2": bundles, "0": UssdScript("Goodbye", mode=ENDED),
        }),
    }  # fmt: skip
