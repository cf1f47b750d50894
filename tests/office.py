"""The other end of RADIUS, for tests that care only for what the router makes of it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Welcome:
    """An Access-Accept that limits nothing."""

    session_timeout_s: int | None = None
    rate: str = ""
    total_limit: int | None = None
    port_limit: int | None = None
    class_: bytes = b""
    interim_s: int | None = None
    idle_s: int | None = None
    group: str = ""
    recv_limit: int | None = None
    xmit_limit: int | None = None


class Office:
    """A RADIUS server that lets everybody in."""

    def log_in(self, username: str, password: str, **told: Any) -> Welcome:
        return Welcome()

    def account(self, kind: str, **told: Any) -> None:
        """Nobody reads it."""
