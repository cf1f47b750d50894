"""RouterOS's page language: `$(variable)`, `$(if …)`, and the two conditions that set a status and a header instead.

Manual: Hotspot customisation, "Variables" and "Advanced". Variables of the page are set into HTML, so what could end an
attribute or open a tag is escaped; `-esc` escapes for an address.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

_SEQUENCE = re.compile(r"\$\(([^()]*)\)")
_SETTING = re.compile(r"""http-header\s*==\s*["']?([A-Za-z-]+)["']?""")
_HTML = str.maketrans({"<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})
_SETS = ("http-status", "http-header")


@dataclass
class Rendered:
    """A page that is ready, with the status and the headers it set."""

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class _Branch:
    """One `$(if …)` that is open."""

    is_on: bool  # what follows is shown
    was_on: bool  # one of its branches has been shown already
    sets: str = ""  # instead of showing: `http-status` or the name of a header


def render(page: str, variables: Mapping[str, str]) -> Rendered:
    """The page as a browser gets it; a variable nobody knows is empty."""
    done, branches = Rendered(), list[_Branch]()
    for number, piece in enumerate(_SEQUENCE.split(page)):
        if number % 2 == 0:
            _put(piece, branches, done)
        else:
            _take(piece.strip(), branches, variables, done)
    return done


def _take(told: str, branches: list[_Branch], variables: Mapping[str, str], done: Rendered) -> None:
    word, _, rest = told.partition(" ")
    if word == "if":
        branches.append(_open(rest.strip(), variables, done, all(branch.is_on for branch in branches)))
    elif word == "elif" and branches:
        holds = not branches[-1].was_on and _holds(rest.strip(), variables)
        branches[-1] = _Branch(holds, branches[-1].was_on or holds)
    elif word == "else" and branches:
        branches[-1] = _Branch(not branches[-1].was_on, True)
    elif word == "endif" and branches:
        branches.pop()
    else:
        is_raw = bool(branches) and bool(branches[-1].sets)
        _put(value_of(told, variables) if is_raw else value_of(told, variables).translate(_HTML), branches, done)


def _open(condition: str, variables: Mapping[str, str], done: Rendered, is_seen: bool) -> _Branch:
    if not condition.startswith(_SETS):
        holds = _holds(condition, variables)
        return _Branch(holds, holds)
    header = _SETTING.match(condition)
    status = re.search(r"==\s*(\d{3})", condition)
    if is_seen and status is not None and header is None:
        done.status = int(status[1])
    return _Branch(True, True, header[1] if header else "http-status")


def _put(text: str, branches: list[_Branch], done: Rendered) -> None:
    if not all(branch.is_on for branch in branches):
        return
    setting = next((branch.sets for branch in reversed(branches) if branch.sets), "")
    if not setting:
        done.body += text
    elif setting != "http-status":
        done.headers[setting] = done.headers.get(setting, "") + "".join(text.splitlines()).strip()


def value_of(name: str, variables: Mapping[str, str]) -> str:
    """One variable; `-esc` is for an address."""
    if name not in variables and name.endswith("-esc"):
        return quote(variables.get(name.removesuffix("-esc"), ""), safe="")
    return variables.get(name, "")


def _holds(condition: str, variables: Mapping[str, str]) -> bool:
    """`x`, `not x`, `x == v`, `x != v`; the value may stand in quotes."""
    for operator in ("==", "!="):
        name, found, value = condition.partition(operator)
        if found:
            is_equal = value_of(name.strip(), variables) == value.strip().strip("\"'")
            return is_equal is (operator == "==")
    if condition.startswith("not "):
        return not _holds(condition.removeprefix("not ").strip(), variables)
    return value_of(condition, variables) not in ("", "no", "false")
