"""What FreeRADIUS's log says: who logged in, who was turned away and why, and what went wrong."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# FreeRADIUS 3.2 with `log { auth = yes }`, from the start of a line on: a guest may call himself "Login OK". A line
# `Multiple logins` is passed over: the same request's `Login incorrect` follows.
STAMP = r"\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} : "
SIGNS = (
    ("accepted", re.compile(STAMP + r"Auth: \(\d+\) +Login OK")),
    ("rejected", re.compile(STAMP + r"Auth: \(\d+\) +(Login incorrect|Invalid user)")),
    ("unknown", re.compile(STAMP + r"Error: Ignoring request .* from unknown client (?P<address>[0-9a-fA-F.:]+)")),
    ("locked", re.compile(STAMP + r"E[Rr]{2}[Oo][Rr]: .*database is locked")),
)
TROUBLE = re.compile(rf"({STAMP})?(Error|ERROR): ")
OF_A_LOGIN = re.compile(rf"({STAMP})?Auth: ")
READY = "Ready to process requests"

# `Auth: (7) Login incorrect (pap: …): [ASHA2345] (from client gate port 0 cli AA:BB:CC:00:00:01) known=1 told=…`: what
# stands behind the bracket is ours (msg_badpass in radiusd.conf). What the guest calls himself comes before, so the
# last such bracket counts.
LOGIN = re.compile(
    STAMP + r"Auth: \(\d+\) +(?P<verdict>Login OK|Login incorrect|Invalid user)[^\[]*: \[(?P<name>.*)\]"
    r" \(from client (?P<router>.*) port \d+(?: cli (?P<mac>[^()]*?))?\) known=(?P<known>\d*) told=(?P<told>.*)$"
)
MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[-: ]?){5}[0-9A-Fa-f]{2}")
TOLD = {
    "Your time is over": "time is over",
    "Your data is used up": "data is used up",
    "Your access was ended": "ended by staff",
    "You are already logged in - access denied": "on too many devices",  # FreeRADIUS's own
}


@dataclass(frozen=True)
class SeenLogin:
    """One login as it was judged; `at` in seconds since 1970. The name is as typed, and a MAC is in capitals."""

    at: float
    router: str
    name: str
    mac: str
    accepted: bool
    words: str


def read_login(line: str, at: float) -> SeenLogin | None:
    """The login that this line tells of. None for every other line, and for a device that nobody listed.

    Routers that let TVs in by their MAC ask for each device that comes near: such a no is nobody's news.
    """
    found = LOGIN.match(line)
    if found is None:
        return None
    name, mac, accepted = found["name"], (found["mac"] or "").upper(), found["verdict"] == "Login OK"
    by_mac = bool(MAC.fullmatch(name))
    if by_mac and not accepted and not found["known"]:
        return None
    words = ("by its MAC" if by_mac else "") if accepted else _why_not(found)
    return SeenLogin(at, found["router"], name, mac, accepted, words)


def _why_not(found: re.Match[str]) -> str:
    words = TOLD.get(found["told"].strip(), "")
    return words or ("wrong PIN" if found["known"] else "no such code")


def pick_error(log_lines: Iterable[str]) -> str:
    """The newest lines that tell what went wrong, without their dates; else the last one. None that names a guest."""
    lines = [line for line in log_lines if not OF_A_LOGIN.match(line)]
    told = [TROUBLE.sub("", line, count=1) for line in lines if TROUBLE.match(line)][-3:]
    return "; ".join(told or lines[-1:] or ["it left no word"])[:500]
