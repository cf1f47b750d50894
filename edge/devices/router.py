"""A MikroTik router by its API: admit a guest, withdraw him, see who is there."""

import re
import time

from edge.devices.routeros import Conversation, Row, Trap
from edge.errors import DeviceError, Refused, Unreachable
from edge.values.hotspot import (
    OURS,
    ActiveSession,
    HotspotUser,
    KnownUser,
    Profile,
    RouterFacts,
    read_clock,
    read_duration,
)

USER, PROFILE = "/ip/hotspot/user", "/ip/hotspot/user/profile"
ACTIVE, COOKIE, HOST, HOTSPOT = "/ip/hotspot/active", "/ip/hotspot/cookie", "/ip/hotspot/host", "/ip/hotspot"
PROFILES_TRUSTED_S = 300.0  # staff may edit a profile by hand: look again now and then
CLOSE_ENOUGH_S = 2  # every change is written to the router's flash; so little time is not worth one
KICKS = 4
USER_COLUMNS = (
    ".id,name,comment,server,profile,disabled,password,uptime,bytes-in,bytes-out,limit-uptime,limit-bytes-total"
)
_RATE = re.compile(r"[0-9]+[kMG]?(/[0-9]+[kMG]?)?( [0-9]+[kMG]?(/[0-9]+[kMG]?)?)*|", re.ASCII)
_SURROGATE_OR_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MISSING_PROFILE = ("input does not match any value of profile", "ambiguous value of profile")


class Router:
    """One router in mode local; safe to share between threads, which take turns.

    TLS checks the router's certificate against `ca_file`, or this system's. A router without a certificate is spoken
    to with anonymous Diffie-Hellman, and the log says so (see `Conversation`).
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        *,
        tls: bool = False,
        hotspot_server: str = "",
        timeout_s: float = 10.0,
        ca_file: str = "",
    ) -> None:
        self._talk = Conversation(
            host, port, username, password, tls=tls, ca_file=ca_file, timeout_s=timeout_s
        )
        self._server = hotspot_server or "all"
        self._profiles: dict[str, tuple[Profile, int, float]] = {}  # as seen on which connection, and when

    def admit(self, user: HotspotUser) -> None:
        """Bring the router to this: the user exists, with this much time and data from now on. Harmless to repeat."""
        _check_user(user)
        _check_words(self._server)
        with self._talk.held():
            try:
                self._admit(user)
                return
            except Trap as trap:
                error = _hush(trap, user.password)
        raise error

    def withdraw(self, name: str) -> None:
        """Off the router, and kept off: the credential first, then cookies, then every session; then look again."""
        _check_words(name)
        with self._talk.held():
            try:
                self._withdraw(name)
                return
            except Trap as trap:
                error = trap.as_error()
        raise error

    def facts(self) -> RouterFacts:
        """Version, clock and uptime, and whether its hotspot can let anybody in."""
        with self._talk.held():
            try:
                return self._facts()
            except Trap as trap:
                error = trap.as_error()
        raise error

    def users(self) -> list[KnownUser]:
        """Everybody of ours in its table."""
        columns = ".id,name,comment,profile,disabled,uptime,bytes-in,bytes-out"
        return [_read_user(row) for row in self._print(USER, columns) if _is_ours(row)]

    def active(self) -> list[ActiveSession]:
        """Everybody who is online, ours or not."""
        columns = ".id,user,mac-address,address,uptime,bytes-in,bytes-out,session-time-left"
        return [_read_session(row) for row in self._print(ACTIVE, columns)]

    def log_in(self, name: str, password: str, ip: str, mac: str) -> bool:
        """Log a device in without a form; False when it is not among the router's hosts (yet).

        Unconfirmed when the answer was lost: asking a second time may open a second session.
        """
        _check_words(name, password, ip, mac)
        with self._talk.held():
            try:
                return self._log_in(name, password, ip, mac)
            except Trap as trap:
                error = _hush(trap, password)
        raise error

    def close(self) -> None:
        """Hang up; the next verb connects again."""
        self._talk.close()

    def _print(self, menu: str, columns: str) -> list[Row]:
        with self._talk.held():
            try:
                return self._talk.ask(menu, arguments={".proplist": columns}, whole_table=True)
            except Trap as trap:
                error = trap.as_error()
        raise error

    def _rows(self, menu: str, columns: str, **where: str) -> list[Row]:
        return self._talk.ask(menu, arguments={".proplist": columns}, where=where)

    # Admitting.

    def _admit(self, user: HotspotUser) -> None:
        self._need_profile(user.profile)
        try:
            self._upsert(user)
        except Trap as trap:
            if not trap.says(*_MISSING_PROFILE):
                raise
            self._profiles.clear()
            self._need_profile(user.profile)
            self._upsert(user)

    def _need_profile(self, profile: Profile) -> None:
        """Profiles seen on this connection are not asked for again: a new guest costs two commands."""
        if self._knows(profile):
            return
        wanted = {"rate-limit": profile.rate, "shared-users": str(profile.devices)}
        rows = self._rows(PROFILE, ".id,name,rate-limit,shared-users", name=profile.name)
        if not rows:
            try:
                self._talk.ask(PROFILE, "add", {"name": profile.name} | wanted)
            except Trap as trap:
                if not trap.says("already"):
                    raise
                rows = self._rows(PROFILE, ".id,name,rate-limit,shared-users", name=profile.name)
        for row in rows[:1]:
            changed = {key: value for key, value in wanted.items() if row.get(key, "") != value}
            if changed:
                self._talk.ask(PROFILE, "set", {".id": _id_of(row)} | changed)
        self._profiles[profile.name] = (profile, self._talk.life, time.monotonic())

    def _knows(self, profile: Profile) -> bool:
        known, life, seen_at = self._profiles.get(profile.name, (None, 0, 0.0))
        is_fresh = life == self._talk.life and time.monotonic() - seen_at < PROFILES_TRUSTED_S
        return known == profile and is_fresh

    def _upsert(self, user: HotspotUser) -> None:
        """Somebody else may add or remove the same user between our look and our deed: then look once more."""
        last: Trap | None = None
        for _ in range(2):
            rows = self._rows(USER, USER_COLUMNS, name=user.name)
            _only_ours(rows, user.name)
            try:
                if rows:
                    self._update(rows, user)
                else:
                    self._talk.ask(USER, "add", self._wanted(user, used_s=0, used_bytes=0))
                return
            except Trap as trap:
                if not trap.says("already have", "no such item"):
                    raise
                last = trap
        raise last or Trap("")

    def _update(self, rows: list[Row], user: HotspotUser) -> None:
        """Counters of the row are those of ended sessions: what runs now is added from `active`."""
        sessions = self._rows(ACTIVE, ".id,user,uptime,bytes-in,bytes-out", user=user.name)
        running_s = sum(_seconds(session, "uptime") for session in sessions)
        running_bytes = sum(_bytes_used(session) for session in sessions)
        for row in rows:
            wanted = self._wanted(user, _seconds(row, "uptime") + running_s, _bytes_used(row) + running_bytes)
            if len(rows) > 1:
                del wanted["server"]  # one row a hotspot server: each stays with its own
            changed = {key: value for key, value in wanted.items() if not _is_same(key, row.get(key, ""), value)}
            if changed:
                self._talk.ask(USER, "set", {".id": _id_of(row)} | changed)

    def _wanted(self, user: HotspotUser, used_s: int, used_bytes: int) -> dict[str, str]:
        """Limits count from the user's first second: what is left comes on top of what is used."""
        limit_bytes = 0 if user.bytes_left is None else used_bytes + user.bytes_left
        return {
            "name": user.name,
            "password": user.password,
            "profile": user.profile.name,
            "server": self._server,
            "limit-uptime": f"{used_s + user.seconds_left}s",
            "limit-bytes-total": str(limit_bytes),
            "comment": user.comment,
            "disabled": "no",
        }

    # Withdrawing.

    def _withdraw(self, name: str) -> None:
        rows = self._rows(USER, ".id,name,comment", name=name)
        _only_ours(rows, name)
        self._remove(USER, rows)
        self._remove(COOKIE, self._rows(COOKIE, ".id,user", user=name))
        for again in range(KICKS):
            sessions = self._rows(ACTIVE, ".id,user", user=name)
            if not sessions:
                return
            if again:
                time.sleep(0.1 * 2**again)
            self._remove(ACTIVE, sessions)
        if self._rows(ACTIVE, ".id,user", user=name):
            raise Unreachable(f"the router keeps {name} online although it was told to end his session")

    def _remove(self, menu: str, rows: list[Row]) -> None:
        """One by one: with several ids in a command, one that is gone already would spoil it for the rest."""
        for row in rows:
            try:
                self._talk.ask(menu, "remove", {".id": _id_of(row)})
            except Trap as trap:
                if not trap.says("no such item"):
                    raise

    # Looking.

    def _facts(self) -> RouterFacts:
        resource = _first(self._rows("/system/resource", "version,board-name,uptime"))
        identity = _first(self._rows("/system/identity", "name"))
        clock = _first(self._rows("/system/clock", "date,time,gmt-offset"))
        words = self._hotspot_trouble()
        return RouterFacts(
            version=resource.get("version", ""),
            board=resource.get("board-name", ""),
            identity=identity.get("name", ""),
            uptime_s=_seconds(resource, "uptime"),
            clock=read_clock(clock.get("date", ""), clock.get("time", ""), clock.get("gmt-offset", "")),
            hotspot_ok=not words,
            hotspot_words=words,
        )

    def _hotspot_trouble(self) -> str:
        """'' when at least one hotspot server that concerns us can work."""
        rows = self._rows(HOTSPOT, ".id,name,invalid,disabled,comment")
        if self._server != "all":
            rows = [row for row in rows if row.get("name") == self._server]
            if not rows:
                return f"this router has no hotspot server named {self._server}: mend hotspot_server"
        if not rows:
            return "this router has no hotspot server yet: run `edge router setup`"
        enabled = [row for row in rows if not _is_true(row, "disabled")]
        if not enabled:
            return f"the hotspot server {rows[0].get('name', '')} is disabled on the router: enable it"
        if any(not _is_true(row, "invalid") for row in enabled):
            return ""
        return self._invalid_words(enabled[0])

    def _invalid_words(self, row: Row) -> str:
        name = row.get("name", "")
        if "device-mode" in row.get("comment", "") or self._is_mode_off():
            return (
                f"the hotspot {name} is switched off by the router's device-mode: type "
                "/system/device-mode/update hotspot=yes there, then press its reset or mode button, or cut its "
                "power, within 5 minutes"
            )
        return f"the hotspot {name} is invalid: check its interface and address pool on the router"

    def _is_mode_off(self) -> bool:
        try:
            mode = _first(self._rows("/system/device-mode", "mode,hotspot"))
        except Trap:  # older releases have no such menu
            return False
        return mode.get("hotspot") in ("no", "false")

    def _log_in(self, name: str, password: str, ip: str, mac: str) -> bool:
        # A look first: it also finds out whether the kept connection still lives.
        if not self._talk.ask(
            HOST, arguments={".proplist": ".id,mac-address,address"}, any_of={"address": ip, "to-address": ip}
        ):
            return False
        arguments = {"user": name, "password": password, "ip": ip, "mac-address": mac}
        try:
            self._talk.ask(ACTIVE, "login", arguments, repeatable=False)
        except Trap as trap:
            if not trap.says("unknown host"):
                raise
            return False
        return True


def _check_user(user: HotspotUser) -> None:
    """Nothing reaches a router that could mean more than it says; zero would mean `no limit` there."""
    _check_words(user.name, user.password, user.comment, user.profile.name, user.profile.rate)
    if not user.name or not user.profile.name:
        raise Refused("a hotspot user and its profile need a name")
    if not user.comment.startswith(OURS):
        raise Refused(f"the comment of a hotspot user of ours begins with {OURS}")
    if not _RATE.fullmatch(user.profile.rate):
        raise Refused("a rate looks like 2M/5M: upload, then download")
    if user.profile.devices < 1:
        raise Refused("at least one device must be allowed")
    if user.seconds_left <= 0 or (user.bytes_left is not None and user.bytes_left <= 0):
        raise Refused("no time or data is left to admit anybody with")


def _check_words(*words: str) -> None:
    if any(_SURROGATE_OR_CONTROL.search(word) for word in words):
        raise Refused("names and comments on a router must be plain text, without control characters")


def _hush(trap: Trap, secret: str) -> DeviceError:
    """A router that repeats what it was told must not bring a guest's password into a log."""
    return Trap(trap.words.replace(secret, "***") if len(secret) >= 3 else trap.words).as_error()


def _only_ours(rows: list[Row], name: str) -> None:
    if any(not _is_ours(row) for row in rows):
        raise Refused(
            f"the router has a user {name} of its own, without our mark in its comment: rename or remove it there"
        )


def _is_ours(row: Row) -> bool:
    return row.get("comment", "").startswith(OURS)


def _is_true(row: Row, key: str) -> bool:
    return row.get(key, "") in ("true", "yes")


def _is_same(key: str, has: str, wanted: str) -> bool:
    """Does the router have it so already? An absent limit is none, and durations are written in many ways."""
    if key == "limit-uptime":
        limit_s, wanted_s = read_duration(has), read_duration(wanted)
        return bool(limit_s and wanted_s) and abs((limit_s or 0) - (wanted_s or 0)) <= CLOSE_ENOUGH_S
    if key == "limit-bytes-total":
        return (has or "0") == wanted
    if key == "disabled":
        return has in ("", "false", "no")
    if key == "server":
        return (has or "all") == wanted
    return has == wanted


def _id_of(row: Row) -> str:
    return row.get("id", "")


def _first(rows: list[Row]) -> Row:
    return rows[0] if rows else {}


def _seconds(row: Row, key: str) -> int:
    return read_duration(row.get(key, "")) or 0


def _number(row: Row, key: str) -> int:
    text = row.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 25 else 0


def _bytes_used(row: Row) -> int:
    return _number(row, "bytes-in") + _number(row, "bytes-out")


def _read_user(row: Row) -> KnownUser:
    return KnownUser(
        name=row.get("name", ""),
        comment=row.get("comment", ""),
        profile=row.get("profile", ""),
        disabled=_is_true(row, "disabled"),
        uptime_s=_seconds(row, "uptime"),
        bytes_used=_bytes_used(row),
    )


def _read_session(row: Row) -> ActiveSession:
    return ActiveSession(
        user=row.get("user", ""),
        mac=row.get("mac-address", "").upper(),
        ip=row.get("address", ""),
        uptime_s=_seconds(row, "uptime"),
        bytes_in=_number(row, "bytes-in"),
        bytes_out=_number(row, "bytes-out"),
        session_time_left_s=read_duration(row.get("session-time-left", "")),
    )
