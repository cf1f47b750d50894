"""The pretend router as a machine: its version, clock and faults, and its tables as `print` answers them."""

import re
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

from edge.simulators.router.guests import Cookie, Host, Session
from edge.simulators.router.hotspot import Hotspot
from edge.simulators.router.tables import Row, Table
from edge.values.hotspot import write_date, write_duration

# Without a battery the clock starts here (manual: System clock).
BIRTH = datetime(1970, 1, 2, tzinfo=UTC)


class Machine:
    """What both doors, the API and the login page, look at. Fault attributes may be set at any time."""

    def __init__(self, *, username: str, password: str, version: str, identity: str, portal_url: str) -> None:
        self.username, self.password = username, password
        self.version, self.identity, self.portal_url = version, identity, portal_url
        self.board = "hAP ac^2"
        self.hotspot = Hotspot(time.monotonic)
        self.commands: list[str] = []  # paths of the API commands received
        self.half_sentence = False  # answers stop in the middle and the connection closes
        self.silent = False  # reads and never answers, nor does anything
        self.lose_answer = False  # does it, and hangs up instead of answering
        self.hold_answer = ""  # does commands of this path, and their answers stay on the way
        self.drip = False  # answers come byte by byte,
        self.drip_s = 0.2  # with so many seconds between two
        self.fragment = 0  # answers come in pieces of so many bytes
        self.delay_s = 0.0  # before every answer
        self.deny = False  # the API user's group may do nothing
        self.empty_reply: bool | None = None  # whether `!empty` announces no rows; None: as the version does
        self.hide_passwords: bool | None = None  # whether print leaves them out; None: as the version does
        self.gmt_offset_s = 10_800
        self.ntp = True  # knows the time after a reboot
        self.max_sessions = 20
        self.tls: ssl.SSLContext | None = None  # the API speaks TLS with it
        self.closing = threading.Event()
        self._booted_at = self.hotspot.now()
        self._clock_set: tuple[datetime, float] | None = None
        self._forbidden = False

    @property
    def release(self) -> tuple[int, ...]:
        """`7.19.6 (stable)` → (7, 19, 6)."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version.split(" ")[0])[:3])

    @property
    def device_mode_off(self) -> bool:
        """Does device-mode forbid the hotspot?"""
        return self._forbidden

    @device_mode_off.setter
    def device_mode_off(self, forbidden: bool) -> None:
        self._forbidden = forbidden
        self.hotspot.forbid(forbidden)

    @property
    def announces_empty(self) -> bool:
        return self.release >= (7, 18) if self.empty_reply is None else self.empty_reply

    @property
    def keeps_secrets(self) -> bool:
        return self.release >= (7, 21) if self.hide_passwords is None else self.hide_passwords

    def wall_clock(self) -> datetime:
        """The time it believes in, in UTC."""
        if self._clock_set is not None:
            then, at = self._clock_set
            return then + timedelta(seconds=self.hotspot.now() - at)
        return datetime.now(UTC) + timedelta(seconds=self.hotspot.now() - time.monotonic())

    def set_clock(self, moment: datetime | None) -> None:
        """Believe in another time from now on; None is the right one again."""
        self._clock_set = None if moment is None else (moment, self.hotspot.now())

    def restart(self) -> None:
        """Uptime begins again, and without NTP the clock does too."""
        self.hotspot.reboot()
        self._booted_at = self.hotspot.now()
        if not self.ntp:
            self.set_clock(BIRTH)

    def duration(self, seconds: float) -> str:
        """In the release's way: version 6 prints colons here, so that both are met."""
        return write_duration(int(seconds), colons=self.release < (7,))

    # Rows as `print` answers them.

    def resource(self) -> list[Row]:
        return [
            {
                "uptime": self.duration(self.hotspot.now() - self._booted_at),
                "version": self.version,
                "build-time": "2026-01-14 10:12:34",
                "free-memory": "64225280",
                "total-memory": "134217728",
                "cpu": "ARM",
                "cpu-count": "4",
                "cpu-load": "3",
                "free-hdd-space": "1474560",
                "total-hdd-space": "16777216",
                "architecture-name": "arm",
                "board-name": self.board,
                "platform": "MikroTik",
            }
        ]

    def clock_row(self) -> list[Row]:
        local = self.wall_clock() + timedelta(seconds=self.gmt_offset_s)
        hours, minutes = divmod(abs(self.gmt_offset_s) // 60, 60)
        return [
            {
                "time": f"{local:%H:%M:%S}",
                "date": write_date(local.date(), iso=self.release >= (7, 10)),
                "time-zone-autodetect": "true",
                "time-zone-name": "Africa/Nairobi",
                "gmt-offset": f"{'-' if self.gmt_offset_s < 0 else '+'}{hours:02}:{minutes:02}",
                "dst-active": "false",
            }
        ]

    def device_mode(self) -> list[Row]:
        return [{"mode": "home" if self._forbidden else "advanced", "hotspot": "no" if self._forbidden else "yes"}]

    def rows_of(self, table: Table, *, secrets: bool, name: str | None = None) -> list[Row]:
        """All rows of a table, or those of one name."""
        colons = self.release < (7,)
        return [table.show(row_id, colons=colons, secrets=secrets) for row_id in table.ids(name)]

    def active_rows(self) -> list[Row]:
        self.hotspot.tick()
        return [self._session_row(session) for session in self.hotspot.sessions.values()]

    def host_rows(self) -> list[Row]:
        return [self._host_row(host) for host in self.hotspot.hosts.values()]

    def cookie_rows(self) -> list[Row]:
        self.hotspot.tick()
        return [self._cookie_row(cookie) for cookie in self.hotspot.cookies.values()]

    def _session_row(self, session: Session) -> Row:
        left = self.hotspot.time_left(session)
        row = {
            ".id": session.id,
            "server": "hotspot1",
            "user": session.user,
            "address": session.ip,
            "mac-address": session.mac,
            "login-by": session.login_by,
            "uptime": self.duration(self.hotspot.now() - session.since),
            "idle-time": self.duration(0),
            "keepalive-timeout": self.duration(120),
            "bytes-in": str(session.bytes_in),
            "bytes-out": str(session.bytes_out),
            "packets-in": str(session.bytes_in // 1000),
            "packets-out": str(session.bytes_out // 1000),
            "radius": "false" if session.accepted is None else "true",
        }
        return row if left is None else row | {"session-time-left": self.duration(max(0, round(left)))}

    def _host_row(self, host: Host) -> Row:
        return {
            ".id": host.id,
            "mac-address": host.mac,
            "address": host.ip,
            "to-address": host.ip,
            "server": "hotspot1",
            "uptime": self.duration(self.hotspot.now() - host.since),
            "idle-time": self.duration(0),
            "authorized": "true" if self.hotspot.session_of(host.mac) else "false",
            "bypassed": "false",
        }

    def _cookie_row(self, cookie: Cookie) -> Row:
        return {
            ".id": cookie.id,
            "user": cookie.user,
            "mac-address": cookie.mac,
            "expires-in": self.duration(cookie.expires_at - self.hotspot.now()),
            "mac-cookie": "true",
        }
