"""A router with a history: everybody in its table read with what he has left, and marked as ours one by one."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from edge.devices.router_rows import ANY_MAC, first, id_of, is_true, number, seconds
from edge.devices.routeros import Conversation, Row, Trap
from edge.errors import DeviceError
from edge.values.foreign_users import (
    UNLIMITED_DEVICES,
    ForeignProfile,
    ForeignUser,
    Scan,
    read_script,
    read_zone,
)
from edge.values.hotspot import OURS, read_clock

USER, PROFILE, ACTIVE = "/ip/hotspot/user", "/ip/hotspot/user/profile", "/ip/hotspot/active"
USER_COLUMNS = (
    ".id,name,password,profile,comment,disabled,default,dynamic,mac-address,uptime,bytes-in,bytes-out,limit-uptime,"
    "limit-bytes-total,limit-bytes-in,limit-bytes-out"
)
MASK = "*****"  # what some releases print instead of a secret


class RouterTakeover:
    """A conversation of its own: a whole table is read, which takes small routers a while."""

    def __init__(
        self, host: str, port: int, username: str, password: str, *, tls: bool = False, timeout_s: float = 20.0
    ) -> None:
        self._talk = Conversation(host, port, username, password, tls=tls, ca_file="", timeout_s=timeout_s)

    def scan(self) -> Scan:
        """Everybody but RouterOS's own trial user and whom RADIUS made. Reads only."""
        with self._talk.held():
            try:
                return self._scan()
            except Trap as trap:
                error = trap.as_error()
        raise error

    def mark(self, comments: Iterable[tuple[str, str, str]]) -> Iterator[str]:
        """Give users a new comment, nothing else: (name, the comment he had, the new one). Yields who has it now.

        One who is gone, or whose comment somebody changed meanwhile, is passed over.
        """
        for name, before, after in comments:
            if self._mark(name, before, after):
                yield name

    def close(self) -> None:
        """Hang up."""
        self._talk.close()

    def _scan(self) -> Scan:
        asked_at = datetime.now(UTC)
        clock = first(self._rows("/system/clock", "date,time,time-zone-name,gmt-offset"))
        profiles = {
            row.get("name", ""): _profile(row)
            for row in self._rows(PROFILE, ".id,name,rate-limit,shared-users,on-login")
        }
        rows = [row for row in self._users() if not is_true(row, "default") and not is_true(row, "dynamic")]
        running = _running(self._rows(ACTIVE, ".id,user,uptime,bytes-in,bytes-out", whole=True))
        are_shown = any(row.get("password", "") not in ("", MASK) for row in rows)
        instant = read_clock(clock.get("date", ""), clock.get("time", ""), clock.get("gmt-offset", ""))
        return Scan(
            users=tuple(_user(row, running, are_shown) for row in rows),
            profiles=profiles,
            zone=read_zone(clock.get("time-zone-name", ""), clock.get("gmt-offset", "")),
            clock_offset_s=None if instant is None else (instant - asked_at).total_seconds(),
        )

    def _users(self) -> list[Row]:
        """With passwords where the API user may see them: from 7.21 they are asked for by a word of their own."""
        try:
            return self._rows(USER, USER_COLUMNS, whole=True, **{"show-sensitive": ""})
        except Trap as trap:
            if not trap.says("unknown parameter", "not enough permissions"):
                raise
        return self._rows(USER, USER_COLUMNS, whole=True)

    def _rows(self, menu: str, columns: str, whole: bool = False, **words: str) -> list[Row]:
        return self._talk.ask(menu, arguments={".proplist": columns, **words}, whole_table=whole)

    def _mark(self, name: str, before: str, after: str) -> bool:
        with self._talk.held():
            try:
                found = self._talk.ask(USER, arguments={".proplist": ".id,name,comment"}, where={"name": name})
                rows = [row for row in found if row.get("comment", "") in (before, after)]
                for row in rows:
                    if row.get("comment", "") != after:
                        self._talk.ask(USER, "set", {".id": id_of(row), "comment": after})
                return bool(rows)
            except Trap as trap:
                if trap.says("no such item"):
                    return False
                error: DeviceError = trap.as_error()
        raise error


def _user(row: Row, running: dict[str, tuple[int, int, int]], are_shown: bool) -> ForeignUser:
    name, mac = row.get("name", ""), row.get("mac-address", "").upper()
    ran_s, ran_in, ran_out = running.get(name, (0, 0, 0))
    password = row.get("password", "")
    return ForeignUser(
        name=name,
        # Nobody's shown: hidden. One's missing among others that are shown: he has none.
        password=password if are_shown and password != MASK else None,
        profile=row.get("profile", ""),
        comment=row.get("comment", ""),
        disabled=is_true(row, "disabled"),
        mac="" if mac == ANY_MAC else mac,
        limit_s=seconds(row, "limit-uptime"),
        used_s=seconds(row, "uptime") + ran_s,
        limit_bytes=number(row, "limit-bytes-total"),
        limit_in=number(row, "limit-bytes-in"),
        limit_out=number(row, "limit-bytes-out"),
        used_in=number(row, "bytes-in") + ran_in,
        used_out=number(row, "bytes-out") + ran_out,
    )


def _running(rows: list[Row]) -> dict[str, tuple[int, int, int]]:
    """What sessions under way have used, by name: the user's own row counts it when they end."""
    found: dict[str, tuple[int, int, int]] = {}
    for row in rows:
        ran_s, ran_in, ran_out = found.get(row.get("user", ""), (0, 0, 0))
        found[row.get("user", "")] = (
            ran_s + seconds(row, "uptime"), ran_in + number(row, "bytes-in"), ran_out + number(row, "bytes-out"),
        )  # fmt: skip
    return found


def _profile(row: Row) -> ForeignProfile:
    shared = row.get("shared-users", "1")
    validity_s, price = read_script(row.get("on-login", ""))
    return ForeignProfile(
        name=row.get("name", ""),
        rate=row.get("rate-limit", ""),
        devices=UNLIMITED_DEVICES if shared == "unlimited" else max(1, number(row, "shared-users")),
        validity_s=validity_s,
        price=price,
    )


def mark_of(grant_id: int) -> str:
    """The comment of a user of ours."""
    return f"{OURS}{grant_id}"
