"""Who may use the pretend router's API: users, their groups' policies, and who is connected now."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from edge.simulators.router.tables import Column, Row, Table, Trap, same_name

POLICIES = (
    "local", "telnet", "ssh", "ftp", "reboot", "read", "write", "policy", "test", "winbox", "password", "web", "sniff",
    "sensitive", "api", "romon", "rest-api",
)  # fmt: skip
NOT_IN_V6 = ("rest-api",)
_READS = tuple(name for name in POLICIES if name not in ("ftp", "write", "policy"))
_WRITES = tuple(name for name in POLICIES if name not in ("ftp", "policy"))
EVERYTHING = frozenset(POLICIES)


@dataclass
class Connection:
    """One API client that has logged in."""

    id: str
    name: str
    group: str
    address: str
    since: float
    hang_up: Callable[[], None]


class Accounts:
    """The tables /user and /user/group, and the connections of those who came in."""

    def __init__(self, username: str, password: str) -> None:
        self.groups = Table(
            {
                "name": Column(),
                "policy": Column(check=_are_policies),
                "skin": Column(default="default"),
                "comment": Column(),
                "default": Column("flag", "", readonly=True, absent=("", "true")),
            },
            same_name,
        )
        self.users = Table(
            {
                "name": Column(),
                "group": Column("name", "", self.groups.names),
                "address": Column(check=_are_networks, absent=()),
                "password": Column(is_secret=True, is_shown=False),
                "last-logged-in": Column(readonly=True),
                "inactivity-policy": Column(default="none", since=(7, 16)),
                "inactivity-timeout": Column("duration", "600", since=(7, 16)),
                "expired": Column("flag", "false", readonly=True),
                "comment": Column(),
                "disabled": Column("flag", "false"),
            },
            _same_user,
            required=("name", "group"),
        )
        self._first = ""
        self.clear(username, password)
        self.connections: dict[str, Connection] = {}
        self._next = 0

    def clear(self, username: str = "", password: str = "") -> None:
        """Only the groups of every router, and the user it was made with."""
        told = self.first
        self.groups.empty()
        self.users.empty()
        for name, policies in (("read", _READS), ("write", _WRITES), ("full", POLICIES)):
            self.groups.plant(name=name, policy=",".join(policies), default="true")
        self._first = self.users.plant(
            name=username or told["name"], group="full", password=password or told["password"]
        )

    @property
    def first(self) -> Row:
        """The user the router was made with."""
        return self.users.rows.get(self._first, {"name": "", "password": ""})

    def give_first(self, values: Row) -> None:
        """Another name or password for him."""
        if self._first in self.users.rows:
            self.users.change(self._first, values)

    def user(self, name: str, address: str) -> Row | None:
        """The user of this name, if he may come from there at all."""
        row = next(iter(self.users.named(name)), None)
        if row is None or row["disabled"] == "true" or not _is_within(address, row["address"]):
            return None
        return row

    def policies_of(self, name: str) -> frozenset[str]:
        """What the group of this user may do; nothing when the user is gone."""
        for row in self.users.named(name):
            for group in self.groups.named(row["group"]):
                return frozenset(word for word in group["policy"].split(",") if word and not word.startswith("!"))
        return frozenset()

    def enter(self, name: str, address: str, now: float, hang_up: Callable[[], None]) -> Connection:
        """Somebody logged in."""
        self._next += 1
        row = self.users.named(name)[0]
        opened = Connection(f"*{self._next:X}", name, row["group"], address, now, hang_up)
        self.connections[opened.id] = opened
        return opened

    def leave(self, connection: Connection | None) -> None:
        """He is gone."""
        if connection is not None:
            self.connections.pop(connection.id, None)

    def end(self, connection_id: str) -> None:
        """Throw him out."""
        self.connections.pop(connection_id).hang_up()

    def group_rows(self, rows: list[Row], *, is_v6: bool) -> list[Row]:
        """Groups as print shows them: what is not allowed stands there too, with a `!`."""
        known = [name for name in POLICIES if not (is_v6 and name in NOT_IN_V6)]
        return [
            row | {"policy": _write_policies(row.get("policy", ""), known)} if "policy" in row else row for row in rows
        ]

    def refuse_last_admin(self, row_id: str) -> None:
        """RouterOS keeps at least one user with full rights."""
        full = [other for other, row in self.users.rows.items() if row["group"] == "full"]
        if full == [row_id]:
            raise Trap("failure: can not remove the last user with full access rights")


def _same_user(new: Row, old: Row) -> str:
    return "failure: user with the same name already exists"


def _are_policies(text: str) -> bool:
    return {word.removeprefix("!") for word in text.split(",")} <= EVERYTHING


def _write_policies(text: str, known: list[str]) -> str:
    given = {word for word in text.split(",") if not word.startswith("!")}
    return ",".join([*(name for name in known if name in given), *(f"!{name}" for name in known if name not in given)])


def _are_networks(text: str) -> bool:
    try:
        return all(ipaddress.ip_network(part, strict=False) is not None for part in text.split(","))
    except ValueError:
        return False


def _is_within(address: str, networks: str) -> bool:
    if not networks or not address:
        return True
    asking = ipaddress.ip_address(address)
    return any(asking in ipaddress.ip_network(part, strict=False) for part in networks.split(","))
