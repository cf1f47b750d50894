"""One router looked at for one guest: his user, sessions, cookies, device, address, and the way to the portal."""

from collections.abc import Callable
from typing import TypeVar

from edge.devices.router_rows import ANY_MAC, bytes_used, id_of, is_ours, is_true, number, seconds
from edge.devices.routeros import Conversation, Row, Trap
from edge.errors import DeviceError, Unreachable
from edge.values.guest_look import GuestLook, SeenCookie, SeenHost, SeenLease, SeenSession, SeenUser
from edge.values.hotspot import read_duration

USER, ACTIVE, COOKIE, HOST = "/ip/hotspot/user", "/ip/hotspot/active", "/ip/hotspot/cookie", "/ip/hotspot/host"
LEASE, BINDING = "/ip/dhcp-server/lease", "/ip/hotspot/ip-binding"
GARDENS = ("/ip/hotspot/walled-garden/ip", "/ip/hotspot/walled-garden")
MARK = "edge"  # how the comments of all that we set up begin
# Two of the best-known public resolvers: addresses, so that a router without DNS is not taken for one without internet.
OUTSIDE = ("1.1.1.1", "8.8.8.8")
PINGS = "2"

T = TypeVar("T")


class RouterLook:
    """Questions in a conversation with one router, kept few: somebody stands before the owner and waits.

    Reads only, and by name: no table is fetched whole but the walled garden.
    """

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def at(self, name: str, mac: str) -> GuestLook:
        """What this router knows of the guest with this code ('' if none is known) and this device ('' likewise).

        Unreachable or Refused when it can't be asked at all. What it does not tell, for want of a permission or of
        the menu, is None.
        """
        with self._talk.held():
            if self._told(lambda: self._talk.ask("/system/identity", arguments={".proplist": "name"})) is None:
                return GuestLook(trouble="the box's user may not read anything on this router")
            whose = {key: value for key, value in (("user", name), ("mac-address", mac)) if value}
            return GuestLook(
                users=self._told(lambda: self._users(name)) if name else (),
                sessions=self._told(lambda: self._sessions(whose, name, mac)),
                cookies=self._told(lambda: self._cookies(whose, name, mac)),
                hosts=self._told(lambda: self._hosts(mac)) if mac else None,
                leases=self._told(lambda: self._leases(mac)) if mac else None,
                is_blocked=self._told(lambda: self._is_blocked(mac)) if mac else None,
                garden=self._told(self._garden),
                uplink=self._told(self._uplink),
            )

    def _told(self, ask: Callable[[], T]) -> T | None:
        """None when the router says no to this one question; the other questions go on."""
        try:
            return ask()
        except Trap:
            return None

    def _rows(self, menu: str, columns: str, **either: str) -> list[Row]:
        found = self._talk.ask(menu, arguments={".proplist": columns}, any_of=either)
        return [row for row in found if id_of(row)]

    def _users(self, name: str) -> tuple[SeenUser, ...]:
        rows = self._rows(
            USER, ".id,name,comment,profile,disabled,mac-address,uptime,bytes-in,bytes-out,limit-uptime,"
            "limit-bytes-total", name=name,
        )  # fmt: skip
        running = self._rows(ACTIVE, ".id,user,uptime,bytes-in,bytes-out", user=name)
        ran_s = sum(seconds(row, "uptime") for row in running)
        ran_bytes = sum(bytes_used(row) for row in running)
        return tuple(_user(row, ran_s, ran_bytes) for row in rows)

    def _sessions(self, whose: dict[str, str], name: str, mac: str) -> tuple[SeenSession, ...]:
        rows = self._rows(ACTIVE, ".id,user,mac-address,address,uptime,bytes-in,bytes-out", **whose) if whose else []
        return tuple(
            SeenSession(
                row.get("user", ""), _mac(row), row.get("address", ""), seconds(row, "uptime"), bytes_used(row),
                bool(name) and row.get("user") == name, bool(mac) and _mac(row) == mac,
            )
            for row in rows
        )  # fmt: skip

    def _cookies(self, whose: dict[str, str], name: str, mac: str) -> tuple[SeenCookie, ...]:
        rows = self._rows(COOKIE, ".id,user,mac-address,expires-in", **whose) if whose else []
        return tuple(
            SeenCookie(
                row.get("user", ""), _mac(row), read_duration(row.get("expires-in", "")),
                bool(name) and row.get("user") == name, bool(mac) and _mac(row) == mac,
            )
            for row in rows
        )  # fmt: skip

    def _hosts(self, mac: str) -> tuple[SeenHost, ...]:
        rows = self._rows(HOST, ".id,mac-address,address,authorized,bypassed", **{"mac-address": mac})
        return tuple(
            SeenHost(row.get("address", ""), is_true(row, "authorized"), is_true(row, "bypassed")) for row in rows
        )

    def _leases(self, mac: str) -> tuple[SeenLease, ...]:
        rows = self._rows(
            LEASE, ".id,mac-address,address,status,host-name,blocked,block-access,disabled", **{"mac-address": mac}
        )
        return tuple(
            SeenLease(
                row.get("address", ""), row.get("status", ""), is_true(row, "blocked") or is_true(row, "block-access"),
                row.get("host-name", "")[:60],
            )
            for row in rows
            if not is_true(row, "disabled")
        )  # fmt: skip

    def _is_blocked(self, mac: str) -> bool:
        rows = self._rows(BINDING, ".id,mac-address,type,disabled", **{"mac-address": mac})
        return any(row.get("type") == "blocked" and not is_true(row, "disabled") for row in rows)

    def _garden(self) -> bool | None:
        """True: an entry of ours lets guests through; None: only somebody else's entries, which may do so too."""
        open_to = [row for menu in GARDENS for row in self._rows(menu, ".id,action,comment,disabled")]
        open_to = [
            row for row in open_to
            if not is_true(row, "disabled") and row.get("action", "accept") in ("accept", "allow")
        ]  # fmt: skip
        if any(row.get("comment", "").startswith(MARK) for row in open_to):
            return True
        return None if open_to else False

    def _uplink(self) -> bool | None:
        """By ping, which needs the policy `test`; each lost one takes a second. Asked last: silence spoils no more."""
        try:
            return any(self._answers(address) for address in OUTSIDE)
        except Unreachable:
            return None

    def _answers(self, address: str) -> bool:
        rows = self._talk.ask("/", "ping", {"address": address, "count": PINGS})
        # A gateway that says `net unreachable` has answered in time, too; then the row tells a status.
        return any(not row.get("status") and ("time" in row or number(row, "received") > 0) for row in rows)


def _user(row: Row, ran_s: int, ran_bytes: int) -> SeenUser:
    limit_s, limit_bytes = read_duration(row.get("limit-uptime", "")), number(row, "limit-bytes-total")
    bound = row.get("mac-address", "").upper()
    return SeenUser(
        is_ours=is_ours(row),
        disabled=is_true(row, "disabled"),
        profile=row.get("profile", ""),
        left_s=max(0, limit_s - seconds(row, "uptime") - ran_s) if limit_s else None,
        left_bytes=max(0, limit_bytes - bytes_used(row) - ran_bytes) if limit_bytes else None,
        bound_to="" if bound == ANY_MAC else bound,
    )


def _mac(row: Row) -> str:
    return row.get("mac-address", "").upper()


def trouble_of(reason: DeviceError) -> GuestLook:
    """A look that came to nothing, and why."""
    return GuestLook(trouble=str(reason))
