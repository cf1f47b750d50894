"""What every handler is given, and what it may answer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from edge.devices import coa
from edge.devices.opening import Devices
from edge.devices.router import Router
from edge.domain.accounting import OpenSession
from edge.models import Router as RouterRow
from edge.settings import Settings

WriteDown = Callable[[datetime], object]


class Later(Exception):
    """Not now: come back at `until`, and no try is spent."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"not before {until.isoformat()}")
        self.until = until


def _unheard(percent: int, words: str = "") -> None:
    """Progress of work that is no job."""


class NotOurTurn(Later):
    """The provider is left alone just now."""


@dataclass(frozen=True)
class World:
    """What a handler may ask: the devices, the settings, and to have its progress shown (percent, words)."""

    devices: Devices
    settings: Settings
    progress: Callable[[int, str], None] = _unheard

    def disconnect(self, row: RouterRow, session: OpenSession) -> None:
        """End a session that came by RADIUS; NoSession when its router does not have it."""
        coa.disconnect(
            row.host, int(row.facts.get("coa_port") or self.settings.radius.coa_port), row.radius_secret,
            username=session.login, ip=session.ip, session_id=session.session_id,
        )  # fmt: skip

    def router(self, row: RouterRow) -> Router:
        """The one connection to this router."""
        return self.devices.router(
            row.host, row.port, row.username, row.password, tls=row.tls, server=row.hotspot_server
        )


@dataclass(frozen=True)
class Missed:
    """The provider was not reached, and this is to be written down all the same."""

    write_down: WriteDown
    words: str


def open_router(row: RouterRow, timeout_s: float = 10.0) -> Router:
    """A connection of its own, for whoever is no worker and closes it when done; the time-out is one command's."""
    return Router(
        row.host, row.port, row.username, row.password, tls=row.tls, hotspot_server=row.hotspot_server,
        timeout_s=timeout_s,
    )  # fmt: skip
