"""A MikroTik router by its API: admit a guest, withdraw him, see who is there."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.devices.router_rows import (
    bytes_used,
    check_user,
    check_words,
    first,
    hush,
    id_of,
    is_same,
    is_true,
    only_ours,
    read_session,
    read_user,
    seconds,
)
from edge.devices.routeros import Conversation, Row, Trap
from edge.errors import Refused, Unreachable
from edge.values.hotspot import ActiveSession, HotspotUser, KnownUser, Profile, RouterFacts, read_clock

USER, PROFILE = "/ip/hotspot/user", "/ip/hotspot/user/profile"
SERVER_PROFILE = "/ip/hotspot/profile"
ACTIVE, COOKIE, HOST, HOTSPOT = "/ip/hotspot/active", "/ip/hotspot/cookie", "/ip/hotspot/host", "/ip/hotspot"
PROFILES_TRUSTED_S = 300.0  # staff may edit a profile by hand: look again now and then
KICKS = 4
USER_COLUMNS = (
    ".id,name,comment,server,profile,disabled,password,mac-address,uptime,bytes-in,bytes-out,limit-uptime,"
    "limit-bytes-total"
)
PROFILE_COLUMNS = ".id,name,rate-limit,shared-users,idle-timeout"
_MISSING_PROFILE = ("input does not match any value of profile", "ambiguous value of profile")


@dataclass
class Converged:
    """What came of many users: who is there now, who was refused, and what broke it off, in words."""

    there: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    broken: str = ""


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
        check_user(user)
        check_words(self._server)
        with self._talk.held():
            try:
                self._admit(user)
                return
            except Trap as trap:
                error = hush(trap, user.password)
        raise error

    def converge(self, users: Iterable[HotspotUser]) -> "Converged":
        """`admit` for many, most of whom the router has lost: one command each. What was done before the connection
        broke is told, and so is why it broke.
        """
        done = Converged()
        for user in users:
            try:
                self._admit_missing(user)
                done.there.add(user.name)
            except Refused as reason:
                done.refused[user.name] = str(reason)
            except Unreachable as reason:
                done.broken = str(reason)
                break
        return done

    def kick(self, name: str, mac: str = "") -> None:
        """End his sessions, or one device's; cookies first, or they bring it straight back. He may log in anew."""
        check_words(name, mac)
        with self._talk.held():
            try:
                self._end_sessions({"user": name} | ({"mac-address": mac} if mac else {}))
                return
            except Trap as trap:
                error = trap.as_error()
        raise error

    def withdraw(self, name: str) -> None:
        """Off the router, and kept off: the credential first, then cookies, then every session; then look again."""
        check_words(name)
        with self._talk.held():
            try:
                self._withdraw(name)
                return
            except Trap as trap:
                error = trap.as_error()
        raise error

    def remove_other(self, name: str, comment: str) -> None:
        """Take a user off who is none of ours, as he was when the owner saw him; harmless to repeat.

        Refused when somebody changed his comment since: then it may be another user of that name.
        """
        check_words(name)
        with self._talk.held():
            try:
                rows = self._rows(USER, ".id,name,comment", name=name)
                if any(row.get("comment", "") != comment for row in rows):
                    raise Refused("the user of this name on the router is not the one that was found: look at it again")
                self._remove(USER, rows)
                self._end_sessions({"user": name})
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
        """Everybody in its table but RouterOS's own trial user, ours and others."""
        columns = ".id,name,comment,profile,disabled,default,uptime,bytes-in,bytes-out,limit-uptime,limit-bytes-total"
        return [read_user(row) for row in self._print(USER, columns) if not is_true(row, "default")]

    def active(self) -> list[ActiveSession]:
        """Everybody who is online, ours or not."""
        columns = ".id,user,mac-address,address,uptime,bytes-in,bytes-out,session-time-left"
        return [read_session(row) for row in self._print(ACTIVE, columns)]

    def log_in(self, name: str, password: str, ip: str, mac: str) -> bool:
        """Log a device in without a form; False when it is not among the router's hosts (yet).

        Unconfirmed when the answer was lost: asking a second time may open a second session.
        """
        check_words(name, password, ip, mac)
        with self._talk.held():
            try:
                return self._log_in(name, password, ip, mac)
            except Trap as trap:
                error = hush(trap, password)
        raise error

    @property
    def conversation(self) -> Conversation:
        """For other verbs on the same connection."""
        return self._talk

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

    def _admit_missing(self, user: HotspotUser) -> None:
        check_user(user)
        check_words(self._server)
        with self._talk.held():
            try:
                self._need_profile(user.profile)
                self._talk.ask(USER, "add", self._wanted(user, used_s=0, used_bytes=0))
                return
            except Trap as trap:
                error = hush(trap, user.password)
                is_there_or_more = trap.says("already have", *_MISSING_PROFILE)
        if not is_there_or_more:
            raise error
        self.admit(user)

    def _need_profile(self, profile: Profile) -> None:
        """Profiles seen on this connection are not asked for again: a new guest costs two commands."""
        if self._knows(profile):
            return
        idle = "none" if profile.idle_s is None else f"{profile.idle_s}s"
        wanted = {"rate-limit": profile.rate, "shared-users": str(profile.devices), "idle-timeout": idle}
        rows = self._rows(PROFILE, PROFILE_COLUMNS, name=profile.name)
        if not rows:
            try:
                self._talk.ask(PROFILE, "add", {"name": profile.name} | wanted)
            except Trap as trap:
                if not trap.says("already"):
                    raise
                rows = self._rows(PROFILE, PROFILE_COLUMNS, name=profile.name)
        for row in rows[:1]:
            changed = {key: value for key, value in wanted.items() if not is_same(key, row.get(key, ""), value)}
            if changed:
                self._talk.ask(PROFILE, "set", {".id": id_of(row)} | changed)
        self._profiles[profile.name] = (profile, self._talk.life, time.monotonic())

    def _knows(self, profile: Profile) -> bool:
        known, life, seen_at = self._profiles.get(profile.name, (None, 0, 0.0))
        is_fresh = life == self._talk.life and time.monotonic() - seen_at < PROFILES_TRUSTED_S
        return known == profile and is_fresh

    def _upsert(self, user: HotspotUser) -> None:
        """Somebody else may add or remove him between our look and our deed: then look once more."""
        last: Trap | None = None
        for _ in range(2):
            rows = self._rows(USER, USER_COLUMNS, name=user.name)
            only_ours(rows, user.name)
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
        running_s = sum(seconds(session, "uptime") for session in sessions)
        running_bytes = sum(bytes_used(session) for session in sessions)
        for row in rows:
            wanted = self._wanted(user, seconds(row, "uptime") + running_s, bytes_used(row) + running_bytes)
            if len(rows) > 1:
                del wanted["server"]  # one row a hotspot server: each stays with its own
            changed = {key: value for key, value in wanted.items() if not is_same(key, row.get(key, ""), value)}
            if changed:
                self._talk.ask(USER, "set", {".id": id_of(row)} | changed)

    def _wanted(self, user: HotspotUser, used_s: int, used_bytes: int) -> dict[str, str]:
        """Limits count from the user's first second: what is left comes on top of what is used."""
        limit_bytes = 0 if user.bytes_left is None else used_bytes + user.bytes_left
        bound = {"mac-address": user.mac} if user.mac else {}
        return bound | {
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
        only_ours(rows, name)
        self._remove(USER, rows)
        self._end_sessions({"user": name})

    def _end_sessions(self, whose: dict[str, str]) -> None:
        """Cookies, then every session, not only the first; and look whether they stay away."""
        self._remove(COOKIE, self._rows(COOKIE, ".id,user", **whose))
        for again in range(KICKS):
            sessions = self._rows(ACTIVE, ".id,user", **whose)
            if not sessions:
                return
            if again:
                time.sleep(0.1 * 2**again)
            self._remove(ACTIVE, sessions)
        if self._rows(ACTIVE, ".id,user", **whose):
            raise Unreachable(f"the router keeps {whose['user']} online although it was told to end his session")

    def _remove(self, menu: str, rows: list[Row]) -> None:
        """One by one: with several ids in a command, one that is gone already would spoil it for the rest."""
        for row in rows:
            try:
                self._talk.ask(menu, "remove", {".id": id_of(row)})
            except Trap as trap:
                if not trap.says("no such item"):
                    raise

    # Looking.

    def _facts(self) -> RouterFacts:
        resource = first(self._rows("/system/resource", "version,board-name,uptime"))
        identity = first(self._rows("/system/identity", "name"))
        clock = first(self._rows("/system/clock", "date,time,gmt-offset"))
        servers = self._servers()
        words = self._hotspot_trouble(servers)
        return RouterFacts(
            version=resource.get("version", ""),
            board=resource.get("board-name", ""),
            identity=identity.get("name", ""),
            uptime_s=seconds(resource, "uptime"),
            clock=read_clock(clock.get("date", ""), clock.get("time", ""), clock.get("gmt-offset", "")),
            hotspot_ok=not words,
            hotspot_words=words,
            login_by=self._login_by(servers),
        )

    def _servers(self) -> list[Row]:
        """The hotspot servers that concern us."""
        rows = self._rows(HOTSPOT, ".id,name,profile,invalid,disabled,comment")
        return rows if self._server == "all" else [row for row in rows if row.get("name") == self._server]

    def _login_by(self, servers: list[Row]) -> str:
        profiles = {row.get("profile", "") for row in servers if not is_true(row, "disabled")}
        rows = self._rows(SERVER_PROFILE, "name,login-by") if profiles else []
        ways = [set(row.get("login-by", "").split(",")) for row in rows if row.get("name") in profiles]
        return ",".join(sorted(set.intersection(*ways))) if ways else ""

    def _hotspot_trouble(self, rows: list[Row]) -> str:
        """'' when at least one of these hotspot servers can work."""
        if not rows and self._server != "all":
            return f"this router has no hotspot server named {self._server}: mend hotspot_server"
        if not rows:
            return "this router has no hotspot server yet: run `edge router setup`"
        enabled = [row for row in rows if not is_true(row, "disabled")]
        if not enabled:
            return f"the hotspot server {rows[0].get('name', '')} is disabled on the router: enable it"
        if any(not is_true(row, "invalid") for row in enabled):
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
            mode = first(self._rows("/system/device-mode", "mode,hotspot"))
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
