"""Words that a text to the shop may begin with, in English and Kiswahili, however they were typed."""

import re
import unicodedata
from dataclasses import dataclass

LOOKED_AT = 200  # letters of a text; whoever wants something says so at its beginning

_WORDS = {
    ("stop", "en"): "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT",
    ("stop", "sw"): "ACHA SITAKI ONDOA TOA",
    ("start", "en"): "START",
    ("start", "sw"): "ANZA",
    ("help", "en"): "HELP",
    ("help", "sw"): "MSAADA",
    ("balance", "en"): "BALANCE",
    ("balance", "sw"): "SALIO",
}
_COMMANDS = {
    "STATUS": "status", "HALI": "status", "TODAY": "today", "LEO": "today", "RESTART": "restart", "GIFT": "gift",
    "ZAWADI": "gift",
}  # fmt: skip


@dataclass(frozen=True)
class Keyword:
    """What is wanted (stop, start, help, balance) and in which language it was said (en, sw)."""

    kind: str
    language: str


_KEYWORDS = {word: Keyword(*key) for key, words in _WORDS.items() for word in words.split()}


@dataclass(frozen=True)
class Command:
    """What an owner wants of the box. `name`: status, today, restart, gift; empty when it is none of these."""

    pin: str
    name: str
    rest: str = ""


def keyword(text: str) -> Keyword | None:
    """What the first word wants; None when it is no keyword. Case, punctuation and accents do not count."""
    first = next(iter(_tokens(text)), "")
    return _KEYWORDS.get(_joined(first)) or _KEYWORDS.get(next(iter(_runs(first)), ""))


def count_words(text: str) -> int:
    """How many words the beginning of a text has; what is mere punctuation is none."""
    return len(_tokens(text))


def command(text: str) -> Command | None:
    """`PIN COMMAND rest` of an owner; None for a text that does not begin with 4 to 8 digits and a word."""
    tokens = plain(text).split()
    if len(tokens) < 2 or not re.fullmatch(r"[0-9]{4,8}", tokens[0]):
        return None
    return Command(tokens[0], _COMMANDS.get(_joined(tokens[1].upper()), ""), " ".join(tokens[2:]))


def plain(text: str) -> str:
    """The beginning of a text without accents, marks of direction and controls, in one line."""
    parts = unicodedata.normalize("NFKD", text[:LOOKED_AT])
    kept = (" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in parts
            if unicodedata.category(letter) not in ("Mn", "Cf"))  # fmt: skip
    return " ".join("".join(kept).split())


def _tokens(text: str) -> list[str]:
    return [token for token in plain(text).upper().split() if _joined(token)]


def _joined(token: str) -> str:
    """`S.T.O.P!` is STOP."""
    return "".join(_runs(token))


def _runs(token: str) -> list[str]:
    return re.findall(r"[^\W_]+", token)
