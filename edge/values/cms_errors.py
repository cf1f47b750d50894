"""What a modem's `+CMS ERROR` means for a text, and whether asking again can help (3GPP 27.005, 24.011)."""

import re

MEANINGS = {
    1: "number not assigned", 8: "barred by the operator", 10: "barred", 21: "rejected by the network",
    27: "phone out of reach", 28: "SIM not known to the network", 29: "not allowed for this SIM",
    30: "number unknown", 38: "network out of order", 41: "network trouble", 42: "network crowded",
    47: "network has no room", 50: "not subscribed to texts", 69: "not offered by this network",
    96: "wrong message centre?", 111: "protocol trouble, wrong message centre?", 192: "message centre busy",
    194: "message centre out of order", 208: "SIM memory full", 300: "modem trouble", 301: "modem busy",
    302: "not allowed now", 303: "not supported", 304: "malformed", 305: "malformed", 310: "no SIM",
    311: "SIM asks for its PIN", 312: "SIM asks for another PIN", 313: "SIM broken", 314: "SIM busy",
    315: "wrong SIM", 316: "SIM asks for its PUK", 322: "memory full", 330: "message centre unknown",
    331: "no network", 332: "network did not answer", 500: "unknown trouble",
}  # fmt: skip

# Of the number, of this SIM's rights, of the message centre's rules, of the message itself. A missing or locked
# SIM is not among them: somebody may put it right, and the text has gone nowhere.
_PERMANENT = {1, 8, 10, 28, 29, 30, 50, 193, 303, 304, 305, *range(128, 192), *range(195, 200)}

# The network may hold the text although the modem gave up waiting for its word.
_DOUBTFUL = {332, 500}


def cms_code(words: str) -> int | None:
    """`+CMS ERROR: 38` or `+CMS ERROR:38` → 38; None for any other words."""
    found = re.fullmatch(r"\+CMS ERROR:\s*(\d{1,5})", words, re.ASCII)
    return int(found[1]) if found else None


def is_permanent(words: str) -> bool:
    """Would the same text get the same answer again?"""
    return cms_code(words) in _PERMANENT


def is_doubtful(words: str) -> bool:
    """After a long wait, may the network hold the text in spite of this error? True for a bare `ERROR` too."""
    code = cms_code(words)
    return code is None or code in _DOUBTFUL or code >= 512


def explain(words: str) -> str:
    """The modem's own words, with their meaning where one is known."""
    meaning = MEANINGS.get(cms_code(words) or 0)
    return f"{words} ({meaning})" if meaning else words
