"""The pretend hotspot's own mind: who may come in, for how long, and what is counted."""

import logging
import queue
import secrets
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from edge.simulators.router import menus
from edge.simulators.router.guests import Challenge, Cookie, Host, Proof, Session
from edge.simulators.router.radius import Accepted, Radius, Rejected
from edge.simulators.router.tables import Row, Trap

log = logging.getLogger("edge.simulators.router")

WRONG = "invalid username or password"
NO_RADIUS = "RADIUS server is not responding"
FORBIDDEN = "inactivated, not allowed by device-mode"
# A plain idle logout keeps the MAC cookie; these do not (manual: HotSpot, "MAC cookie").
FORGETS_COOKIE = ("user-request", "admin-reset", "session-timeout", "traffic-limit")


class Hotspot:
    """Tables, hosts, sessions and cookies. Everything happens under `lock`; RADIUS is asked outside it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock  # seconds, only going forward; add to it to let time pass
        self._jumped = 0.0
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.radius: Radius | None = None
        self.log: Callable[[str], object] = lambda line: None
        self.profiles = menus.user_profiles()
        self.server_profiles = menus.server_profiles()
        self.servers = menus.servers(self.server_profiles)
        self.servers.add({"name": "hotspot1"})
        self.server_profiles.change("*0", {"login-by": "mac-cookie,http-pap"})
        self.users = menus.users(self.profiles, self.servers)
        self.bindings = menus.bindings()
        self.radius_servers = menus.radius_servers()
        self.hosts: dict[str, Host] = {}
        self.sessions: dict[str, Session] = {}
        self.cookies: dict[str, Cookie] = {}
        self._next_id = 1
        self._boots, self._stays = secrets.randbelow(64), 0
        self._books: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._bookkeeper: threading.Thread | None = None

    def now(self) -> float:
        return self.clock() + self._jumped

    def jump(self, seconds: float) -> None:
        """So much time passes at once."""
        with self.lock:
            self._jumped += seconds
            self.tick()

    # Hosts.

    def arrive(self, mac: str, ip: str) -> Host:
        """A device shows itself; a MAC cookie may log it straight in."""
        with self.lock:
            host = self.hosts.get(mac)
            if host is None:
                host = self.hosts[mac] = Host(self._new_id(), mac, ip, self.now())
                self._note()
            host.ip = ip
        self._come_back(host)
        return host

    def host_at(self, ip: str) -> Host | None:
        return next((host for host in self.hosts.values() if host.ip == ip), None)

    def challenge(self, host: Host) -> Challenge:
        """A fresh one for a login page."""
        told = Challenge(secrets.randbelow(256), secrets.token_bytes(16), self.now())
        host.challenges.append(told)
        return told

    def login_by(self) -> str:
        """The ways of logging in that the first server's profile allows."""
        rows = self.server_profiles.named(next(iter(self.servers.rows.values()))["profile"])
        return rows[0]["login-by"] if rows else ""

    def works(self) -> bool:
        """Is there a hotspot server that is neither disabled nor invalid?"""
        return any(row["invalid"] == "false" == row["disabled"] for row in self.servers.rows.values())

    def forbid(self, forbidden: bool) -> None:
        """Device-mode takes the hotspot away, or gives it back."""
        with self.lock:
            for row in self.servers.rows.values():
                row["invalid"] = "true" if forbidden else "false"
                row["comment"] = FORBIDDEN if forbidden else ""
            self._note()

    # In and out.

    def log_in(self, host: Host, name: str, proofs: list[Proof], how: str) -> str:
        """'' when he is in, else the words of errors.txt. Local users first; RADIUS only for names unknown here."""
        with self.lock:
            self.tick()
            if not self.works():
                return "hotspot service is shutting down"
            running = self.session_of(host.mac)
            if running is not None and running.user == name:
                return ""
            rows = [row for row in self.users.named(name) if row["default"] != "true"]
            if rows or self.radius is None:
                return self._log_in_locally(host, rows, proofs, how)
            radius = self.radius
        return self._log_in_by_radius(radius, host, name, proofs, how)

    def session_of(self, mac: str) -> Session | None:
        return next((session for session in self.sessions.values() if session.mac == mac), None)

    def end(self, session: Session, cause: str, after_s: float | None = None) -> None:
        """A stay ends: counters go to the user's row, the cookie may go, RADIUS is told."""
        with self.lock:
            if self.sessions.pop(session.id, None) is None:
                return
            seconds = int(self.now() - session.since) if after_s is None else round(after_s)
            if session.accepted is None:
                self._count(session, seconds)
            if cause in FORGETS_COOKIE:
                self.cookies = {key: kept for key, kept in self.cookies.items() if kept.mac != session.mac}
            self._account("stop", session, seconds)
            self._note()
            self.log(f"{session.user} is offline after {seconds} s ({cause})")

    def traffic(self, mac: str, bytes_in: int, bytes_out: int) -> None:
        """A device sent and received so much."""
        with self.lock:
            session = self.session_of(mac)
            if session is None:
                raise Trap(f"{mac} is not logged in")
            session.bytes_in += bytes_in
            session.bytes_out += bytes_out
            self.tick()

    def tick(self) -> None:
        """End what is over by now, and tell RADIUS how the rest goes."""
        with self.lock:
            now = self.now()
            for session in list(self.sessions.values()):
                left_s, left_bytes = self.time_left(session), self._bytes_left(session)
                if left_s is not None and left_s <= 0:
                    self.end(session, "session-timeout", now - session.since + left_s)
                elif left_bytes is not None and left_bytes <= 0:
                    self.end(session, "traffic-limit")
                elif self._is_report_due(session):
                    session.told_at = now
                    self._account("interim", session, int(now - session.since))
            for key, cookie in list(self.cookies.items()):
                if cookie.expires_at <= now:
                    del self.cookies[key]

    def time_left(self, session: Session) -> float | None:
        """Seconds until this stay ends by itself; None when nothing limits it."""
        spent = self.now() - session.since
        if session.accepted is not None:
            limit = session.accepted.session_timeout_s
            return None if limit is None else limit - spent
        limits = []
        for row in self.users.named(session.user)[:1]:
            if _is_limit(row["limit-uptime"]):
                limits.append(int(row["limit-uptime"]) - int(row["uptime"]) - spent)
            for profile in self.profiles.named(row["profile"]):
                if _is_limit(profile["session-timeout"]):
                    limits.append(int(profile["session-timeout"]) - spent)
        return min(limits, default=None)

    def rate_of(self, session: Session) -> str:
        """The rate limit of a stay, upload/download; '' is none."""
        if session.accepted is not None and session.accepted.rate:
            return session.accepted.rate
        names = [row["profile"] for row in self.users.named(session.user)[:1]] or ["default"]
        return next((row["rate-limit"] for row in self.profiles.named(names[0])), "")

    def reboot(self) -> None:
        """Open stays and their counters are lost, nobody is told; cookies survive in flash."""
        with self.lock:
            self._boots, self._stays = (self._boots + 1) % 64, 0
            self.sessions.clear()
            self.hosts.clear()
            self._note()

    def reset(self) -> None:
        """All that was configured for guests is gone."""
        with self.lock:
            self.reboot()
            self.cookies.clear()
            for table in (self.users, self.profiles):
                table.clear()
            self._note()

    def close(self) -> None:
        """Let the last accounting packet out, within reason."""
        keeper = self._bookkeeper
        if keeper is not None:
            self._books.put(None)
            keeper.join(2.0)

    # Helpers, in the order they are called.

    def _new_id(self) -> str:
        self._next_id += 1
        return f"*{self._next_id:X}"

    def _note(self) -> None:
        self.changed.notify_all()

    def _come_back(self, host: Host) -> None:
        with self.lock:
            is_in = self.session_of(host.mac) is not None or "mac-cookie" not in self.login_by()
            cookies = [] if is_in else [cookie for cookie in self.cookies.values() if cookie.mac == host.mac]
        for cookie in cookies:
            if self.log_in(host, cookie.user, [Proof(cookie.password)], "mac-cookie"):
                with self.lock:
                    self.cookies.pop(cookie.id, None)  # one that failed is forgotten

    def _log_in_locally(self, host: Host, rows: list[Row], proofs: list[Proof], how: str) -> str:
        row = rows[0] if rows else None
        if row is None or row["disabled"] == "true" or not any(proof.fits(row["password"]) for proof in proofs):
            return WRONG
        refusal = self._refusal(row, host)
        if refusal:
            return refusal
        self._open(host, row["name"], how, None, row["password"])
        return ""

    def _refusal(self, row: Row, host: Host) -> str:
        name = row["name"]
        if row["mac-address"] not in ("", "00:00:00:00:00:00", host.mac):
            return f"user {name} is not allowed to log in from this MAC address"
        if _is_limit(row["limit-uptime"]) and int(row["uptime"]) >= int(row["limit-uptime"]):
            return f"user {name} has reached uptime limit"
        used = int(row["bytes-in"]) + int(row["bytes-out"])
        if _is_limit(row["limit-bytes-total"]) and used >= int(row["limit-bytes-total"]):
            return f"user {name} has reached traffic limit"
        profile = next(iter(self.profiles.named(row["profile"])), None)
        shared = profile["shared-users"] if profile else "1"
        return self._crowd_refusal(name, host, None if shared == "unlimited" else int(shared))

    def _crowd_refusal(self, name: str, host: Host, most: int | None) -> str:
        online = [session for session in self.sessions.values() if session.user == name and session.mac != host.mac]
        too_many = most is not None and len(online) >= most
        return f"no more sessions are allowed for user {name}" if too_many else ""

    def _log_in_by_radius(self, radius: Radius, host: Host, name: str, proofs: list[Proof], how: str) -> str:
        if not proofs:
            return WRONG
        proof, session_id = proofs[0], self._new_session_id()
        try:
            answer = radius.log_in(
                name, proof.password, mac=host.mac, ip=host.ip, chap=proof.chap, session_id=session_id
            )
        except TimeoutError:
            return NO_RADIUS
        if isinstance(answer, Rejected):
            return answer.words or WRONG
        with self.lock:
            refusal = self._crowd_refusal(name, host, answer.port_limit)
            if not refusal:
                self._open(host, name, how, answer, proof.password, session_id)
            return refusal

    def _new_session_id(self) -> str:
        """Service, a counter of starts, a counter of stays: RouterOS's Acct-Session-Id."""
        with self.lock:
            self._stays += 1
            return f"80{self._boots:02x}{self._stays:04x}"

    def _open(
        self, host: Host, name: str, how: str, accepted: Accepted | None, password: str, session_id: str = ""
    ) -> None:
        before = self.session_of(host.mac)
        if before is not None:
            self.end(before, "user-request")
        now = self.now()
        session = Session(
            self._new_id(), name, host.mac, host.ip, now, how, session_id or self._new_session_id(), accepted,
            told_at=now,
        )  # fmt: skip
        self.sessions[session.id] = session
        self._leave_cookie(session, password)
        self._account("start", session, 0)
        self._note()
        self.log(f"{name} is online from {host.mac} ({how})")

    def _leave_cookie(self, session: Session, password: str) -> None:
        if "mac-cookie" not in self.login_by() or not password:
            return
        names = [row["profile"] for row in self.users.named(session.user)[:1]] or ["default"]
        for profile in self.profiles.named(names[0]):
            if profile["add-mac-cookie"] == "true":
                self.cookies = {key: kept for key, kept in self.cookies.items() if kept.mac != session.mac}
                expires_at = self.now() + int(profile["mac-cookie-timeout"])
                cookie = Cookie(self._new_id(), session.user, password, session.mac, expires_at)
                self.cookies[cookie.id] = cookie

    def _is_report_due(self, session: Session) -> bool:
        every_s = session.accepted.interim_s if session.accepted is not None else None
        return every_s is not None and self.now() - session.told_at >= max(1, every_s)

    def _bytes_left(self, session: Session) -> int | None:
        used = session.bytes_in + session.bytes_out
        if session.accepted is not None:
            limit = session.accepted.total_limit
            return None if limit is None else limit - used
        for row in self.users.named(session.user)[:1]:
            if _is_limit(row["limit-bytes-total"]):
                return int(row["limit-bytes-total"]) - int(row["bytes-in"]) - int(row["bytes-out"]) - used
        return None

    def _count(self, session: Session, seconds: int) -> None:
        for row in self.users.named(session.user)[:1]:
            added = {"uptime": seconds, "bytes-in": session.bytes_in, "bytes-out": session.bytes_out}
            for name, more in added.items():
                row[name] = str(int(row[name]) + more)

    def _account(self, kind: Literal["start", "interim", "stop"], session: Session, seconds: int) -> None:
        """Written down now, sent by a thread of its own: a silent RADIUS server keeps nobody waiting."""
        if session.accepted is None or self.radius is None:
            return
        send = partial(
            self.radius.account, kind, username=session.user, mac=session.mac, ip=session.ip,
            session_id=session.session_id, class_=session.accepted.class_, seconds=seconds,
            bytes_in=session.bytes_in, bytes_out=session.bytes_out,
        )  # fmt: skip
        if self._bookkeeper is None:
            self._bookkeeper = threading.Thread(target=self._keep_books, daemon=True)
            self._bookkeeper.start()
        self._books.put(send)

    def _keep_books(self) -> None:
        while (send := self._books.get()) is not None:
            try:
                send()
            except OSError as error:  # a time-out is one too
                log.warning("an accounting packet was not answered: %s", error)


def _is_limit(value: str) -> bool:
    return value not in ("", "0")
