"""The RADIUS side of the pretend router: which server of /radius is asked, and the accounting that follows."""

import logging
import queue
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from edge.simulators.router.guests import Host, Proof, Session, Terms
from edge.simulators.router.menus import read_timeout
from edge.simulators.router.radius import Accepted, Radius, Rejected
from edge.simulators.router.radius_client import RadiusClient
from edge.simulators.router.tables import Release, Row, Table

log = logging.getLogger("edge.simulators.router")

NO_ANSWER = "RADIUS server is not responding"
FIGURES = ("pending", "requests", "accepts", "rejects", "resends", "timeouts", "bad-replies")
# Acct-Terminate-Cause (RFC 2866, 5.10) by RouterOS's word for the end.
CAUSES = {
    "user-request": 1, "lost-carrier": 2, "lost-service": 3, "idle-timeout": 4, "session-timeout": 5, "admin-reset": 6,
    "admin-reboot": 7, "traffic-limit": 10,
}  # fmt: skip


Report = Literal["start", "interim", "stop"]


@dataclass(frozen=True)
class Asking:
    """A login as RADIUS hears of it."""

    host: Host
    name: str
    proof: Proof = field(repr=False)
    session_id: str
    interface: str = "bridge"


class Nas:
    """Asks the servers of /radius in their order, or the one that a test put in their place."""

    def __init__(self, servers: Table) -> None:
        self.instead: Radius | None = None
        self.identity: Callable[[], str] = lambda: "gate"
        self.release: Callable[[], Release] = lambda: (7, 19)
        self.source = "127.0.0.1"
        self._servers = servers
        self._figures: dict[str, Counter[str]] = {}
        self._boots, self._stays = secrets.randbelow(64), 0
        self._guard = threading.Lock()
        self._books: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._bookkeeper: threading.Thread | None = None

    def offices(self, profile: Row, host: Host, interface: str) -> list[Radius]:
        """Whom to ask for a guest of this server profile; [] when RADIUS has no say."""
        if self.instead is not None:
            return [self.instead]
        if profile.get("use-radius") != "true":
            return []
        rows = [(key, row) for key, row in self._servers.rows.items() if self._serves(row, host.server)]
        return [self._client(row_id, row, host, interface) for row_id, row in rows]

    def server_of(self, address: str) -> Row | None:
        """The entry of /radius with this address; its secret also signs what comes from there."""
        rows = self._servers.rows.values()
        return next((row for row in rows if row["address"] == address and row["disabled"] != "true"), None)

    def ask(self, offices: list[Radius], asking: Asking) -> tuple[Radius, Accepted] | str:
        """The server that accepted and what it allows, or the words of the refusal; '' when it gave none."""
        for office in offices:
            try:
                answer = office.log_in(
                    asking.name, asking.proof.password, mac=asking.host.mac, ip=asking.host.ip,
                    chap=asking.proof.chap, session_id=asking.session_id,
                )  # fmt: skip
            except OSError:  # a time-out, or nobody listens there: the next one may
                continue
            return answer.words if isinstance(answer, Rejected) else (office, answer)
        return NO_ANSWER

    def new_session_id(self) -> str:
        """Service, a counter of starts, a counter of stays: RouterOS's Acct-Session-Id."""
        with self._guard:
            self._stays += 1
            return f"80{self._boots:02x}{self._stays:04x}"

    def restart(self) -> None:
        """Another start: ids may come again, no Accounting-On is sent, and no Stop."""
        with self._guard:
            self._boots, self._stays = (self._boots + 1) % 64, 0
            self._figures.clear()

    def account(self, kind: Report, session: Session, seconds: int, cause: str) -> None:
        """Written down now, sent by a thread of its own: a silent RADIUS server keeps nobody waiting."""
        if session.terms is None or session.office is None:
            return
        send = partial(
            session.office.account, kind, username=session.user, mac=session.mac, ip=session.ip,
            session_id=session.session_id, class_=session.terms.class_, seconds=seconds,
            bytes_in=session.bytes_in, bytes_out=session.bytes_out, cause=CAUSES.get(cause, 1),
        )  # fmt: skip
        if self._bookkeeper is None:
            self._bookkeeper = threading.Thread(target=self._keep_books, daemon=True)
            self._bookkeeper.start()
        self._books.put(send)

    def figures(self, row_id: str) -> Row:
        """One row of /radius/monitor."""
        return {name: str(self._figures.get(row_id, Counter())[name]) for name in FIGURES} | {"last-request-rtt": "1ms"}

    def close(self) -> None:
        """Let the last accounting packet out, within reason."""
        if self._bookkeeper is not None:
            self._books.put(None)
            self._bookkeeper.join(2.0)

    def _serves(self, row: Row, server: str) -> bool:
        is_hotspots = "hotspot" in row["service"].split(",") and row["disabled"] != "true"
        return is_hotspots and row["called-id"] in ("", server) and row["protocol"] == "udp"

    def _client(self, row_id: str, row: Row, host: Host, interface: str) -> RadiusClient:
        figures = self._figures.setdefault(row_id, Counter())
        is_strict = self.release() >= (7, 15)
        return RadiusClient(
            row["address"], int(row["authentication-port"]), int(row["accounting-port"]), row["secret"],
            nas_identifier=self.identity(), source=row["src-address"] or self.source,
            timeout_s=read_timeout(row["timeout"]), server=host.server, interface=interface, signs=is_strict,
            trusts_unsigned=not is_strict or row["require-message-auth"] == "no",
            count=lambda figure: figures.update((figure,)),
        )  # fmt: skip

    def _keep_books(self) -> None:
        while (send := self._books.get()) is not None:
            try:
                send()
            except OSError as error:  # a time-out is one too
                log.warning("an accounting packet was not answered: %s", error)


def terms_of(accepted: Accepted) -> Terms:
    """An Access-Accept, as a stay keeps it."""
    return Terms(
        accepted.session_timeout_s, accepted.idle_s, accepted.rate, accepted.total_limit, accepted.recv_limit,
        accepted.xmit_limit, accepted.port_limit, accepted.interim_s, accepted.class_, accepted.group or "default",
    )  # fmt: skip


def write_mac(mac: str, form: str) -> str:
    """A MAC by radius-mac-format: `XX:XX:XX:XX:XX:XX`, `XXXXXX-XXXXXX`, `XXXXXXXXXXXX`…"""
    digits = iter(mac.replace(":", ""))
    return "".join(next(digits, "") if letter == "X" else letter for letter in form)
