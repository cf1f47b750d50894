"""A device's hardware address: read in any usual notation, kept in RouterOS's."""

import re

from edge.errors import BadInput


def read_mac(typed: str) -> str:
    """`aa-bb-cc-dd-ee-ff`, `aabb.ccdd.eeff`, `aabbccddeeff` … → `AA:BB:CC:DD:EE:FF`; nothing typed → ''."""
    if not typed.strip():
        return ""
    digits = re.sub(r"[\s:.\-]", "", typed)
    if not re.fullmatch(r"[0-9A-Fa-f]{12}", digits):
        raise BadInput("This is not a device address. It looks like AA:BB:CC:DD:EE:FF.", "mac_address")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2)).upper()
