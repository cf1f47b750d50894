"""The pretend router as a machine: its version, clock and faults, and its tables as `print` answers them."""

import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.simulators.router.accounts import Accounts
from edge.simulators.router.command import Look
from edge.simulators.router.configuration import Configuration, Factory, settings_of
from edge.simulators.router.files import Files
from edge.simulators.router.guests import Host
from edge.simulators.router.hotspot import Hotspot
from edge.simulators.router.meter import Meter
from edge.simulators.router.tables import Release, Row, Table, Trap
from edge.values.hotspot import read_date, write_date, write_duration

# Without a battery the clock starts here (manual: System clock).
BIRTH = datetime(1970, 1, 2, tzinfo=UTC)


class Machine:
    """What both doors, the API and the login page, look at. Fault attributes may be set at any time."""

    def __init__(
        self, *, username: str, password: str, version: str, identity: str, portal_url: str, factory: Factory
    ) -> None:
        self.version, self.identity, self.portal_url = version, identity, portal_url
        self._version_read: tuple[str, Release] = ("", ())
        self.factory = factory
        self.board = "hAP ac^2"
        self.hotspot = Hotspot(time.monotonic, self.interface_names, self.pool_names)
        self.configuration = Configuration(factory, lambda: self.release, self.hotspot.servers.names)
        self.accounts = Accounts(username, password)
        self.files = Files(flash=factory.flash, room=factory.file_room)
        self.meter = Meter(self.hotspot, self.configuration.interfaces)
        self.log_lines: deque[tuple[int, str, str, str]] = deque(maxlen=1000)
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
        self.story: Callable[[str], object] = lambda line: None  # is told of every guest who comes and goes
        self.tls: ssl.SSLContext | None = None  # the API speaks TLS with it
        self.offline = False  # no internet: pings are lost
        self.unreachable: set[str] = set()  # hosts that do not answer pings
        self.host_names: dict[str, str] = {}  # what devices call themselves, by MAC
        self.rogue_dhcp = ""  # MAC and address of a stranger's DHCP server
        self.closing = threading.Event()
        self._booted_at = self.hotspot.now()
        self._clock_set: tuple[datetime, float] | None = None
        self._forbidden = False
        self._button: tuple[bool, float] | None = None  # what pressing it changes, and until when
        self._settle()

    def _settle(self) -> None:
        """Make the hotspot's tables those of this router."""
        spot = self.hotspot
        for table in (spot.users, spot.profiles, spot.servers, spot.server_profiles, spot.bindings,
                      spot.radius_servers, self.accounts.users, self.accounts.groups, self.files.table):  # fmt: skip
            table.release = lambda: self.release
        spot.nas.identity, spot.nas.release = lambda: self.identity, lambda: self.release
        spot.arrived, spot.log = self._give_address, self._tell
        spot.make(bare=not self.factory.hotspot, folder=self.files.folder)
        spot.users.most = self.factory.most_users
        spot.licence_level = self.factory.license_level

    @property
    def username(self) -> str:
        """Of the API user the router was made with."""
        return self.accounts.first["name"]

    @username.setter
    def username(self, name: str) -> None:
        self.accounts.give_first({"name": name})

    @property
    def password(self) -> str:
        """His password."""
        return self.accounts.first["password"]

    @password.setter
    def password(self, password: str) -> None:
        self.accounts.give_first({"password": password})

    @property
    def ntp(self) -> bool:
        """Does it know the time after a reboot? (/system/ntp/client enabled)"""
        return settings_of(self.configuration.ntp_client)["enabled"] == "true"

    @ntp.setter
    def ntp(self, enabled: bool) -> None:
        settings_of(self.configuration.ntp_client)["enabled"] = "true" if enabled else "false"

    @property
    def max_sessions(self) -> int:
        """How many API connections it takes (/ip/service; may be changed there from 7.16)."""
        return int(self.configuration.service("api")["max-sessions"])

    @max_sessions.setter
    def max_sessions(self, most: int) -> None:
        self.configuration.service("api")["max-sessions"] = str(most)

    @property
    def release(self) -> Release:
        """`7.19.6 (stable)` → (7, 19, 6)."""
        if self.version != self._version_read[0]:
            numbers = re.findall(r"\d+", self.version.split(" ")[0])[:3]
            self._version_read = self.version, tuple(int(number) for number in numbers)
        return self._version_read[1]

    def interface_names(self) -> list[str]:
        return self.configuration.interfaces.names()

    def pool_names(self) -> list[str]:
        return self.configuration.pools.names()

    @property
    def device_mode_off(self) -> bool:
        """Does device-mode forbid the hotspot?"""
        return self._forbidden

    @device_mode_off.setter
    def device_mode_off(self, forbidden: bool) -> None:
        self._forbidden = forbidden
        self.judge_servers()

    def judge_servers(self) -> None:
        """Device-mode without hotspot makes every server invalid."""
        self.hotspot.forbid(self._forbidden)

    def await_button(self, allow_hotspot: bool, seconds: float) -> None:
        """`/system/device-mode/update`: a person has so many seconds to press the button."""
        self._button = (allow_hotspot, self.hotspot.now() + seconds)

    def press_button(self) -> bool:
        """A person presses the button, or cuts the power: did that change the device-mode? Both restart it."""
        button, self._button = self._button, None
        is_in_time = button is not None and self.hotspot.now() <= button[1]
        if button is not None and is_in_time:
            self.device_mode_off = not button[0]
            self.reboot_soon()
        return is_in_time

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

    def clock_was_set(self, values: Row) -> None:
        """/system/clock/set: a zone's name changes the offset, date and time what it believes."""
        zone = values.get("time-zone-name", "")
        if zone and zone != "manual":
            self.gmt_offset_s = _offset_of(zone)
        if "date" in values or "time" in values:
            local = self.wall_clock() + timedelta(seconds=self.gmt_offset_s)
            day = read_date(values["date"]) if "date" in values else local.date()
            if day is None:
                raise Trap("invalid value for argument date", 1)
            hours, minutes, seconds = (int(part) for part in values.get("time", f"{local:%H:%M:%S}").split(":"))
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            told = midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)
            self.set_clock(told - timedelta(seconds=self.gmt_offset_s))

    def restart(self) -> None:
        """Uptime begins again, and without NTP the clock does too."""
        self.hotspot.reboot()
        self.configuration.forget_hosts()
        self.files.forget_memory()
        self.meter.restart()
        self.log_lines.clear()
        self._button = None
        self._booted_at = self.hotspot.now()
        if not self.ntp:
            self.set_clock(BIRTH)
        self.note("system,info", "router rebooted")

    def _tell(self, line: str) -> None:
        self.note("hotspot,account,info,debug", line)
        self.story(line)

    def _give_address(self, host: Host) -> None:
        self.configuration.lease(host.mac, host.ip, self.host_names.get(host.mac, ""))

    def reboot_soon(self) -> None:
        """The simulator around this machine restarts it."""

    def heed_services(self) -> None:
        """/ip/service changed: the simulator around this machine opens and closes its ports."""

    def listen_for_orders(self) -> None:
        """/radius/incoming changed: the simulator around this machine opens and closes its port."""

    def note(self, topics: str, message: str) -> None:
        """A line in the router's /log."""
        number = self.log_lines[-1][0] + 1 if self.log_lines else 1
        self.log_lines.append((number, self.moment(), topics, message))

    def moment(self, ago: timedelta = timedelta()) -> str:
        """The time it believes in, as it stands beside files and in the log."""
        local = self.wall_clock() + timedelta(seconds=self.gmt_offset_s) - ago
        return f"{write_date(local.date(), iso=self.release >= (7, 10))} {local:%H:%M:%S}"

    def duration(self, seconds: float) -> str:
        """In the release's way: version 6 prints colons here, so that both are met."""
        return write_duration(int(seconds), colons=self.release < (7,))

    # Rows as `print` answers them.

    def resource(self) -> list[Row]:
        busy, taken = self.meter.load()
        return [
            {
                "uptime": self.duration(self.hotspot.now() - self._booted_at),
                "version": self.version,
                "build-time": "2026-01-14 10:12:34",
                "free-memory": str(64_225_280 - taken),
                "total-memory": "134217728",
                "cpu": "ARM",
                "cpu-count": "4",
                "cpu-load": str(busy),
                "free-hdd-space": "1474560",
                "total-hdd-space": "16777216",
                "architecture-name": "arm",
                "board-name": self.board,
                "platform": "MikroTik",
            }
        ]

    def clock_row(self) -> list[Row]:
        zone = settings_of(self.configuration.clock)
        local = self.wall_clock() + timedelta(seconds=self.gmt_offset_s)
        hours, minutes = divmod(abs(self.gmt_offset_s) // 60, 60)
        return [
            {
                "time": f"{local:%H:%M:%S}",
                "date": write_date(local.date(), iso=self.release >= (7, 10)),
                "time-zone-autodetect": zone["time-zone-autodetect"],
                "time-zone-name": zone["time-zone-name"],
                "gmt-offset": f"{'-' if self.gmt_offset_s < 0 else '+'}{hours:02}:{minutes:02}",
                "dst-active": "false",
            }
        ]

    def device_mode(self) -> list[Row]:
        return [{"mode": "home" if self._forbidden else "advanced", "hotspot": "no" if self._forbidden else "yes"}]

    def rows_of(self, table: Table, look: Look) -> list[Row]:
        """The rows of a table that a print looks at."""
        colons = self.release < (7,)
        return table.show(table.ids(look.name), colons=colons, secrets=look.secrets, only=look.only)


def _offset_of(zone: str) -> int:
    """Seconds east of Greenwich now."""
    try:
        offset = datetime.now(ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Trap("input does not match any value of time-zone-name", 1) from None
    return int(offset.total_seconds()) if offset is not None else 0
