"""What a modem's `+CMS ERROR` means for a text, and whether it may be sent again (3GPP 27.005 3.2.5, 24.011 8.2.5.4).

Behind the Ctrl-Z an error is one of four:

* *refused*: the number, the message or the message centre's rules; the same text would get the same answer.
* *away*: the modem or its SIM is not ready (no SIM, PIN, busy, no service, no message centre, memory full). Such words
  come before the radio is asked, so that nothing left.
* *later*: the network's own no for now. Causes 1 to 127 are those of an RP-ERROR, the message by which the network
  says that it did not take the text; 192 to 211 are those of the message centre in the same RP-ERROR.
* *unknown*: 332 (the network did not answer), 500 (unknown), 300, 512 and above (the maker's own), bare `ERROR`, and
  words nobody knows. The modem does not say that the network said no, and the text may be out. How quickly they come
  proves nothing: what is "quick" is another thing on each network, and sticks say 500 for almost everything.

After a long wait *away* and *later* are *unknown* too: the modem's patience (TR1M, 35 to 45 s, 24.011 10) ends with
whichever of these its maker chose, while the network may hold the text.
"""

import re
from typing import Literal

Verdict = Literal["refused", "away", "later", "unknown"]

MEANINGS = {
    1: "number not assigned", 8: "barred by the operator", 10: "barred", 17: "network trouble",
    21: "rejected by the network", 22: "network crowded", 27: "phone out of reach", 28: "SIM not known to the network",
    29: "not allowed for this SIM", 30: "number unknown", 38: "network out of order", 41: "network trouble",
    42: "network crowded", 47: "network has no room", 50: "not subscribed to texts", 69: "not offered by this network",
    96: "wrong message centre?", 111: "protocol trouble, wrong message centre?", 192: "message centre busy",
    194: "message centre out of order", 208: "SIM memory full", 300: "modem trouble", 301: "modem busy",
    302: "not allowed now", 303: "not supported", 304: "malformed", 305: "malformed", 310: "no SIM",
    311: "SIM asks for its PIN", 312: "SIM asks for another PIN", 313: "SIM broken", 314: "SIM busy",
    315: "wrong SIM", 316: "SIM asks for its PUK", 317: "SIM asks for its PIN2", 318: "SIM asks for its PUK2",
    320: "memory failure", 322: "memory full", 330: "message centre unknown", 331: "no network",
    332: "network did not answer", 500: "unknown trouble", 515: "modem busy",
}  # fmt: skip

# As modems say it that were asked for numbers and speak in words.
_SPOKEN = {
    "unassigned (unallocated) number": 1, "operator determined barring": 8, "call barred": 10,
    "network failure": 17, "short message transfer rejected": 21, "congestion": 42, "destination out of service": 27,
    "network out of order": 38, "temporary failure": 41, "resources unavailable, unspecified": 47,
    "me failure": 300, "sms service of me reserved": 301, "operation not allowed": 302, "operation not supported": 303,
    "invalid pdu mode parameter": 304, "invalid text mode parameter": 305, "sim not inserted": 310,
    "sim pin required": 311, "sim failure": 313, "sim busy": 314, "sim wrong": 315, "sim puk required": 316,
    "memory failure": 320, "memory full": 322, "smsc address unknown": 330, "no network service": 331,
    "network timeout": 332, "unknown error": 500,
}  # fmt: skip

# Of the number, of this SIM's rights, of the message centre's rules, of the message itself. A missing or locked
# SIM is not among them: somebody may put it right, and the text has gone nowhere.
_REFUSED = {1, 8, 10, 28, 29, 30, 50, 193, 303, 304, 305, *range(128, 192), *range(195, 200)}
_AWAY = {208, 209, 211, 301, 302, *range(310, 319), 320, 322, 330, 331, 515}
_LATER = {*range(1, 128), 192, 194} - _REFUSED
_NO_SIM_CME = {10, 11, 12, 13, 14, 30}  # no SIM, PIN, PUK, broken, busy; no network
_NOT_UNDERSTOOD = {"COMMAND NOT SUPPORT", "TOO MANY PARAMETERS"}  # it never came to the text
STORAGE = {208, 209, 211, 320, 322}
OF_THE_SIM = {8, 10, 21, 28, 29, 50}  # barred or out of airtime, when one text after another gets it


def cms_code(words: str) -> int | None:
    """`+CMS ERROR: 38`, `+CMS ERROR:38` and `+CMS ERROR: Network out of order` → 38; None for any other words."""
    found = re.fullmatch(r"\+CMS ERROR:\s*(\d{1,5})", words, re.ASCII)
    if found:
        return int(found[1])
    spoken = re.fullmatch(r"\+CMS ERROR:\s*(.+)", words)
    return _SPOKEN.get(spoken[1].strip().lower()) if spoken else None


def judge(words: str, *, handed_over: bool, is_late: bool = False) -> Verdict:
    """What to do after these words: see above. Before the hand-over nothing is unknown, for nothing can have left."""
    code = cms_code(words)
    if code in _REFUSED:
        return "refused"
    if code in _AWAY or _cme_code(words) in _NO_SIM_CME:
        return "unknown" if is_late and handed_over else "away"
    if not handed_over or words in _NOT_UNDERSTOOD:
        return "later"
    return "later" if code in _LATER and not is_late else "unknown"


def _cme_code(words: str) -> int | None:
    found = re.fullmatch(r"\+CME ERROR:\s*(\d{1,5})", words, re.ASCII)
    return int(found[1]) if found else None


def explain(words: str) -> str:
    """The modem's own words, with their meaning where one is known."""
    meaning = MEANINGS.get(cms_code(words) or 0)
    return f"{words} ({meaning})" if meaning and meaning not in words.lower() else words
