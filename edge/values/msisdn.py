"""A Kenyan mobile number: read in any usual notation, kept as twelve digits."""

import re

from edge.errors import BadInput

_NATIONAL = re.compile(r"[17][0-9]{8}")


def read_msisdn(typed: str) -> str:
    """`0712 345 678`, `+254712345678`, `712345678` … → `254712345678`. No operator is guessed from the prefix."""
    digits = re.sub(r"[\s().\-]", "", typed)
    digits = digits.removeprefix("+")
    for prefix in ("00254", "254", "0"):
        if digits.startswith(prefix):
            digits = digits.removeprefix(prefix)
            break
    if not _NATIONAL.fullmatch(digits):
        raise BadInput("This is not a Kenyan mobile number. Type it like 0712 345 678.", "phone_number")
    return "254" + digits


def show_msisdn(msisdn: str) -> str:
    """As people here write it: 0712 345 678; a number from abroad with its plus."""
    return f"0{msisdn[3:6]} {msisdn[6:9]} {msisdn[9:]}" if not _is_foreign(msisdn) else f"+{msisdn}"


def local_msisdn(msisdn: str) -> str:
    """The same without blanks: 0712345678, +447911123456."""
    return f"0{msisdn[3:]}" if not _is_foreign(msisdn) else f"+{msisdn}"


def mask_msisdn(msisdn: str) -> str:
    """For logs and lists: enough to recognise, too little to call."""
    if len(msisdn) < 9:
        return "•••"
    return f"+{msisdn[:4]}•••{msisdn[-3:]}" if _is_foreign(msisdn) else f"0{msisdn[3:6]}•••{msisdn[-3:]}"


def _is_foreign(msisdn: str) -> bool:
    return len(msisdn) >= 9 and msisdn.isascii() and msisdn.isdigit() and not msisdn.startswith(("254", "0"))
