"""This machine's address on the way to another; no packet is sent to find it out."""

import socket

from edge.errors import Unreachable

NOBODY = "192.0.2.1"  # an address that is nobody's (RFC 5737): on the way to most others


def own_address(towards: str = NOBODY, port: int = 9) -> str:
    """As `towards` sees it, as long as nothing translates it. Unreachable when no way leads there."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.connect((towards, port))
            return str(trial.getsockname()[0])
    except (OSError, UnicodeError) as reason:
        raise Unreachable(f"no way leads to {towards[:60]}: {getattr(reason, 'strerror', None) or reason}") from None


def reachable_at(host: str) -> str:
    """Where people reach a server that listens at `host`; this machine alone when it has no network."""
    if host not in ("0.0.0.0", "::", ""):
        return host
    try:
        return own_address()
    except Unreachable:
        return "127.0.0.1"
