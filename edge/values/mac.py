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


def as_mac(typed: str) -> str:
    """`read_mac`; '' when it is none."""
    try:
        return read_mac(typed)
    except BadInput:
        return ""


def is_by_mac(username: str, mac: str) -> bool:
    """Did this device log in by its address? Twelve digits alone may also be somebody's phone number."""
    return bool(mac) and as_mac(username) == mac


def is_private(mac: str) -> bool:
    """Did the device make this address up? The bit for that is set in the first byte (IEEE 802: locally administered).

    Phones do so for each network they join, and some for each day.
    """
    first = mac[:2]
    return len(first) == 2 and all(letter in "0123456789ABCDEFabcdef" for letter in first) and bool(int(first, 16) & 2)


def mask_mac(mac: str) -> str:
    """`AA:BB:CC:DD:EE:FF` → `…EE:FF`."""
    return f"…{mac[-5:]}" if len(mac) > 5 else mac
