"""What one look at a router saw of one guest: small enough to be kept, and without his PIN."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from edge.values.codes import LETTERS_SHOWN, mask_code
from edge.values.mac import mask_mac


@dataclass(frozen=True)
class SeenUser:
    """His row in the router's table of users; `left_s` and `left_bytes` are None where nothing limits them."""

    is_ours: bool
    disabled: bool
    profile: str
    left_s: int | None = None
    left_bytes: int | None = None
    bound_to: str = ""  # only this MAC may use it


@dataclass(frozen=True)
class SeenSession:
    """A stay under way: with his code, or from his device."""

    user: str
    mac: str
    ip: str
    uptime_s: int
    bytes: int
    is_his_code: bool
    is_his_device: bool


@dataclass(frozen=True)
class SeenCookie:
    """What logs a device in again by itself."""

    user: str
    mac: str
    left_s: int | None
    is_his_code: bool
    is_his_device: bool


@dataclass(frozen=True)
class SeenHost:
    """His device on the WiFi, logged in or not."""

    ip: str
    authorized: bool
    bypassed: bool


@dataclass(frozen=True)
class SeenLease:
    """The address that DHCP gave his device; `status` is RouterOS's word: bound, waiting, offered …"""

    ip: str
    status: str
    is_blocked: bool
    host_name: str = ""


@dataclass(frozen=True)
class GuestLook:
    """One router asked about one guest. None stands for what it would not tell (an old release, no permission).

    `trouble` is why it could not be asked at all; everything else is empty then. `clock_offset_s` is its clock less
    ours.
    """

    trouble: str = ""
    hotspot: str = ""  # what is wrong with its hotspot, and the cure
    users: tuple[SeenUser, ...] | None = None
    sessions: tuple[SeenSession, ...] | None = None
    cookies: tuple[SeenCookie, ...] | None = None
    hosts: tuple[SeenHost, ...] | None = None  # None as well when it is not known which device is his
    leases: tuple[SeenLease, ...] | None = None
    is_blocked: bool | None = None  # an ip-binding shuts his device out
    garden: bool | None = None  # guests who have not logged in reach the box
    uplink: bool | None = None  # the router reaches the internet
    clock_offset_s: float | None = None

    @property
    def presence(self) -> int:
        """How much speaks for his standing here: 3 he is online, 2 his device is on the WiFi, 1 his code is known."""
        if self.sessions:
            return 3
        return 2 if self.hosts else int(bool(self.users))

    def as_document(self) -> dict[str, Any]:
        """For keeping where all staff may read it: codes and MACs as far as one needs them to tell two apart."""
        sessions = self.sessions and tuple(
            replace(one, user=mask_code(one.user[:LETTERS_SHOWN]), mac=mask_mac(one.mac)) for one in self.sessions
        )
        cookies = self.cookies and tuple(
            replace(one, user=mask_code(one.user[:LETTERS_SHOWN]), mac=mask_mac(one.mac)) for one in self.cookies
        )
        users = self.users and tuple(replace(user, bound_to=mask_mac(user.bound_to)) for user in self.users)
        return asdict(replace(self, sessions=sessions, cookies=cookies, users=users))

    @classmethod
    def of_document(cls, told: dict[str, Any]) -> Self:
        """What `as_document` kept; what another release kept besides is passed over."""
        values = {name: told[name] for name in cls.__dataclass_fields__ if name in told}
        for name, kind in _ROWS.items():
            rows = values.get(name)
            if rows is not None:
                fields = kind.__dataclass_fields__
                values[name] = tuple(kind(**{key: row[key] for key in row if key in fields}) for row in rows)
        return cls(**values)


_ROWS: dict[str, Any] = {
    "users": SeenUser, "sessions": SeenSession, "cookies": SeenCookie, "hosts": SeenHost, "leases": SeenLease,
}  # fmt: skip
