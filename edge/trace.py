"""One name for everything that one request, or one hour, set in motion: on jobs, in logs, in spans."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("trace", default="")


def current() -> str:
    """The trace of what runs here; empty outside any."""
    return _current.get()


def new() -> str:
    """A trace nobody had before: 32 hexadecimal digits, as W3C Trace Context writes them."""
    return secrets.token_hex(16)


@contextmanager
def within(trace: str) -> Iterator[str]:
    """Whatever is promised and logged in here carries this trace."""
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)
