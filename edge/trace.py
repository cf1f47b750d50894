"""One name for everything that one request, or one hour, set in motion: on jobs, in logs, in spans."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# version, trace id, parent id, flags; a later version may say more behind them (W3C Trace Context, 3.2)
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")

_current: ContextVar[str] = ContextVar("trace", default="")


def current() -> str:
    """The trace of what runs here; empty outside any."""
    return _current.get()


def new() -> str:
    """A trace nobody had before: 32 hexadecimal digits, as W3C Trace Context writes them."""
    return secrets.token_hex(16)


def from_traceparent(header: str) -> str:
    """The trace that a caller's `traceparent` names (W3C Trace Context); a new one when it names none."""
    told = _TRACEPARENT.fullmatch(header.strip(" \t"))
    if told is None or (told[1] == "00" and told[3]):
        return new()
    return told[2]


@contextmanager
def within(trace: str) -> Iterator[str]:
    """Whatever is promised and logged in here carries this trace."""
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)
