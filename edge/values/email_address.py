"""An e-mail address: read as it is typed, and shown so that it is recognised and not readable."""

import re

from edge.errors import BadInput

# Narrower than RFC 5321: without quotes, comments and letters that a relay may not take.
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,64}(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,64}){0,20}"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,63}"
)
LONGEST = 254


def read_address(typed: str) -> str:
    """The address without blanks around it; BadInput when no letter could be sent there."""
    address = typed.strip()
    if len(address) > LONGEST or not _ADDRESS.fullmatch(address) or len(address.rpartition("@")[0]) > 64:
        raise BadInput("This is not an e-mail address. Type it like njeri@example.com.", "email")
    return address


def mask_address(address: str) -> str:
    """For logs and lists: n•••@example.com."""
    name, at, domain = address.rpartition("@")
    return f"{name[:1]}•••{at}{domain}"
