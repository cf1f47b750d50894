"""The pretend hotspot's own mind: who may come in, for how long, and what is counted."""

import secrets
import threading
from collections.abc import Callable

from edge.simulators.router import menus
from edge.simulators.router.guests import Challenge, Cookie, Host, Proof, Session, Terms
from edge.simulators.router.nas import Asking, Nas, Report, terms_of, write_mac
from edge.simulators.router.radius import Radius
from edge.simulators.router.stays import Stays, is_limit
from edge.simulators.router.tables import Row, Trap

WRONG = "invalid username or password"
FULL = "session limit reached"
SHUT = "hotspot service is shutting down"
FORBIDDEN = "inactivated, not allowed by device-mode"
# A plain idle logout keeps the MAC cookie; these do not (manual: HotSpot, "MAC cookie").
FORGETS_COOKIE = ("user-request", "admin-reset", "session-timeout", "traffic-limit")
# How many guests at once a licence level allows (vendors' tables); others: any number.
SEATS = {0: 1, 1: 1, 3: 1, 4: 200, 5: 500}


class Hotspot:
    """Tables, hosts, sessions and cookies. Everything happens under `lock`; RADIUS is asked outside it."""

    def __init__(
        self, clock: Callable[[], float], interfaces: Callable[[], list[str]], pools: Callable[[], list[str]]
    ) -> None:
        self.clock = clock  # seconds, only going forward; add to it to let time pass
        self._jumped = 0.0
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.log: Callable[[str], object] = lambda line: None
        self.profiles = menus.user_profiles()
        self.server_profiles = menus.server_profiles()
        self.servers = menus.servers(self.server_profiles, interfaces, pools)
        self.users = menus.users(self.profiles, self.servers)
        self.bindings = menus.bindings()
        self.radius_servers = menus.radius_servers()
        self.nas = Nas(self.radius_servers)
        self.stays = Stays(self.users, self.profiles)
        self.hosts: dict[str, Host] = {}
        self.cookies: dict[str, Cookie] = {}
        self.arrived: Callable[[Host], None] = lambda host: None
        self.licence_level = 6
        self.carried = (0, 0)  # bytes from guests and to them, all sessions ever
        self._hosts_by_ip: dict[str, Host] = {}
        self._cookie_ids: dict[str, str] = {}  # by MAC, which has at most one
        self._next_id = 1

    def make(self, *, bare: bool, folder: str) -> None:
        """As the router comes: one server on the bridge, or none at all."""
        self.server_profiles.plant(name="default", default="true", html_directory=folder, login_by="cookie,http-chap")
        if not bare:
            profile = next(iter(self.server_profiles.rows.values()))
            profile["login-by"] = "mac-cookie,http-pap"
            self.servers.plant(name="hotspot1", interface="bridge", address_pool="hs-pool-1")

    @property
    def sessions(self) -> dict[str, Session]:
        """Everybody who is online, by id."""
        return self.stays.sessions

    @property
    def radius(self) -> Radius | None:
        """Who is asked in place of the servers in /radius."""
        return self.nas.instead

    @radius.setter
    def radius(self, radius: Radius | None) -> None:
        self.nas.instead = radius

    def now(self) -> float:
        return self.clock() + self._jumped

    def jump(self, seconds: float) -> None:
        """So much time passes at once."""
        with self.lock:
            self._jumped += seconds
            self.tick()

    # Hosts and servers.

    def arrive(self, mac: str, ip: str, server: str = "", *, anew: bool = False) -> Host:
        """A device shows itself; its MAC or a MAC cookie may log it straight in.

        On another server it is another host: what it left behind there ends, as when it is out of range. `anew`: it
        joined the WiFi just now, so its MAC is tried again.
        """
        with self.lock:
            host = self.hosts.get(mac)
            if host is not None and server not in ("", host.server):
                self.leave(host, "lost-carrier")
                host = None
            is_new = host is None
            if host is None:
                host = self.hosts[mac] = Host(self._new_id(), mac, ip, self.now(), server or self._first_server())
                self._note()
            if self._hosts_by_ip.get(host.ip) is host:
                del self._hosts_by_ip[host.ip]
            host.ip, self._hosts_by_ip[ip] = ip, host
            self.arrived(host)
        self._come_back(host, by_mac=is_new or anew)
        return host

    def leave(self, host: Host, cause: str) -> None:
        """A host is gone, and its session with it."""
        with self.lock:
            session = self.session_of(host.mac)
            if session is not None:
                self.end(session, cause)
            self.hosts.pop(host.mac, None)
            if self._hosts_by_ip.get(host.ip) is host:
                del self._hosts_by_ip[host.ip]
            self._note()

    def host_at(self, ip: str) -> Host | None:
        return self._hosts_by_ip.get(ip)

    def binding_of(self, host: Host) -> str:
        """`regular`, `bypassed` or `blocked` (/ip/hotspot/ip-binding; the first that fits)."""
        for row in self.bindings.rows.values():
            fits = row["mac-address"] in ("", host.mac) and row["address"] in ("", host.ip)
            if fits and row["disabled"] != "true" and row["server"] in ("all", host.server):
                return row["type"]
        return "regular"

    def challenge(self, host: Host) -> Challenge:
        """A fresh one for a login page."""
        told = Challenge(secrets.randbelow(256), secrets.token_bytes(16), self.now())
        host.challenges.append(told)
        return told

    def server_of(self, host: Host | None) -> Row | None:
        """The server a host belongs to; without a host the first there is."""
        if host is None:
            return next(iter(self.servers.rows.values()), None)
        return next(iter(self.servers.named(host.server)), None)

    def profile_of(self, host: Host | None) -> Row:
        """That server's profile; {} when there is none."""
        server = self.server_of(host)
        rows = self.server_profiles.named(server["profile"]) if server is not None else []
        return rows[0] if rows else {}

    def login_by(self, host: Host | None = None) -> list[str]:
        """The ways of logging in that the host's server allows."""
        return self.profile_of(host).get("login-by", "").split(",")

    def works(self, host: Host | None = None) -> bool:
        """Is the host's server, or any of them, neither disabled nor invalid?"""
        rows = self.servers.rows.values() if host is None else self.servers.named(host.server)
        return any(row["invalid"] == "false" == row["disabled"] for row in rows)

    def forbid(self, forbidden: bool) -> None:
        """Device-mode takes the hotspot away, or gives it back."""
        with self.lock:
            for row in self.servers.rows.values():
                row["invalid"] = "true" if forbidden else "false"
                row["comment"] = FORBIDDEN if forbidden else row["comment"].replace(FORBIDDEN, "")
            self._note()

    # In and out.

    def log_in(self, host: Host, name: str, proofs: list[Proof], how: str) -> str:
        """'' when he is in, else the words of errors.txt. Local users first; RADIUS only for names unknown here."""
        with self.lock:
            self._settle(name, host.mac)
            if not self.works(host):
                return SHUT
            running = self.session_of(host.mac)
            if running is not None and running.user == name:
                return ""
            rows = [row for row in self.users.named(name) if row["default"] != "true"]
            server = self.server_of(host) or {}
            offices = [] if rows else self.nas.offices(self.profile_of(host), host, server.get("interface", ""))
            if not offices:
                return self._log_in_locally(host, rows, proofs, how)
        return self._log_in_by_radius(offices, host, name, proofs, how)

    def session_of(self, mac: str) -> Session | None:
        return self.stays.of_mac(mac)

    def end(self, session: Session, cause: str, after_s: float | None = None) -> None:
        """A stay ends: counters go to the user's row, the cookie may go, RADIUS is told."""
        with self.lock:
            row = self.stays.user_row(session)
            if not self.stays.take(session):
                return
            seconds = int(self.now() - session.since) if after_s is None else round(after_s)
            if row is not None:
                _count(row, session, seconds)
            if cause in FORGETS_COOKIE:
                self.forget_cookie(self._cookie_ids.get(session.mac, ""))
            self._account("stop", session, seconds, cause)
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
            session.busy_at = self.now()
            self.carried = (self.carried[0] + bytes_in, self.carried[1] + bytes_out)
            self._judge(session)

    def tick(self) -> None:
        """End what is over by now, and tell RADIUS how the rest goes."""
        with self.lock:
            for session in list(self.sessions.values()):
                self._judge(session)
            now = self.now()
            for cookie in [cookie for cookie in self.cookies.values() if cookie.expires_at <= now]:
                self.forget_cookie(cookie.id)

    def time_left(self, session: Session) -> float | None:
        """Seconds until this stay ends by itself; None when nothing limits it."""
        return self.stays.time_left(session, self.now())

    def rate_of(self, session: Session) -> str:
        """The rate limit of a stay, upload/download; '' is none."""
        return self.stays.rate_of(session)

    def forget_cookie(self, cookie_id: str) -> None:
        """The device has to log in again; harmless when there is none."""
        cookie = self.cookies.pop(cookie_id, None)
        if cookie is not None:
            self._cookie_ids.pop(cookie.mac, None)

    def reboot(self) -> None:
        """Open stays and their counters are lost, nobody is told; cookies survive in flash."""
        with self.lock:
            self.nas.restart()
            self.stays.clear()
            self.hosts.clear()
            self._hosts_by_ip.clear()
            self._note()

    def reset(self) -> None:
        """All that was configured for guests is gone."""
        with self.lock:
            self.reboot()
            self.cookies.clear()
            self._cookie_ids.clear()
            for table in (self.users, self.profiles):
                table.clear()
            self._note()

    # Helpers, in the order they are called.

    def _new_id(self) -> str:
        self._next_id += 1
        return f"*{self._next_id:X}"

    def _note(self) -> None:
        self.changed.notify_all()

    def _first_server(self) -> str:
        server = self.server_of(None)
        return "" if server is None else server["name"]

    def _come_back(self, host: Host, *, by_mac: bool) -> None:
        with self.lock:
            ways = [] if self.session_of(host.mac) is not None else self.login_by(host)
            cookie = self.cookies.get(self._cookie_ids.get(host.mac, "")) if "mac-cookie" in ways else None
        if cookie is not None:
            if not self.log_in(host, cookie.user, [Proof(cookie.password)], "mac-cookie"):
                return
            with self.lock:
                self.forget_cookie(cookie.id)  # one that failed is forgotten
        if by_mac and "mac" in ways and self.binding_of(host) == "regular":
            self._log_in_by_mac(host)

    def _log_in_by_mac(self, host: Host) -> None:
        """`login-by=mac`: its MAC is the name; the password by mac-auth-mode (manual: HotSpot server profile)."""
        profile = self.profile_of(host)
        has_twin = profile["mac-auth-mode"] == "mac-as-username-and-password"
        local = bool(self.users.named(host.mac))
        name = host.mac if local else write_mac(host.mac, profile["radius-mac-format"])
        self.log_in(host, name, [Proof(name if has_twin else profile["mac-auth-password"])], "mac")

    def _settle(self, name: str, mac: str) -> None:
        """End what is over of those whom a login concerns."""
        running = self.session_of(mac)
        for session in [*self.stays.of_user(name), *([running] if running is not None else [])]:
            self._judge(session)

    def _judge(self, session: Session) -> None:
        """End one stay if it is over, or report it if that is due."""
        if session.id not in self.sessions:
            return
        now = self.now()
        end = self.stays.due_end(session, now)
        if end is not None:
            self.end(session, end[1], end[0] - session.since)
        elif self.stays.is_over_bytes(session):
            self.end(session, "traffic-limit")
        elif self._is_report_due(session):
            session.told_at = now
            self._account("interim", session, int(now - session.since), "")

    def _log_in_locally(self, host: Host, rows: list[Row], proofs: list[Proof], how: str) -> str:
        row = next((row for row in rows if row["server"] in ("all", host.server)), None)
        if row is None or row["disabled"] == "true" or not any(proof.fits(row["password"]) for proof in proofs):
            return WRONG
        profile = (self.profiles.named(row["profile"]) or self.profiles.named("default"))[0]
        refusal = _refusal(row, host) or self._crowd_refusal(row["name"], host, None, profile)
        if not refusal:
            self._open(host, row["name"], how, row["password"])
        return refusal

    def _crowd_refusal(self, name: str, host: Host, terms: Terms | None, profile: Row) -> str:
        if self.stays.is_crowded(name, host.mac, terms, profile):
            return f"no more sessions are allowed for user {name}"
        seats = SEATS.get(self.licence_level)
        others = len(self.sessions) - (self.session_of(host.mac) is not None)
        return FULL if seats is not None and others >= seats else ""

    def _log_in_by_radius(self, offices: list[Radius], host: Host, name: str, proofs: list[Proof], how: str) -> str:
        if not proofs:
            return WRONG
        proof, session_id = proofs[0], self.nas.new_session_id()
        answer = self.nas.ask(offices, Asking(host, name, proof, session_id))
        if isinstance(answer, str):
            return answer or WRONG
        office, accepted = answer
        terms = terms_of(accepted)
        with self.lock:
            profile = (self.profiles.named(terms.profile) or self.profiles.named("default"))[0]
            refusal = self._crowd_refusal(name, host, terms, profile)
            if not refusal:
                self._open(host, name, how, proof.password, terms, office, session_id)
            return refusal

    def _open(
        self, host: Host, name: str, how: str, password: str, terms: Terms | None = None,
        office: Radius | None = None, session_id: str = "",
    ) -> None:  # fmt: skip
        before = self.session_of(host.mac)
        if before is not None:
            self.end(before, "user-request")
        now = self.now()
        session = Session(
            self._new_id(), name, host.mac, host.ip, now, how, session_id or self.nas.new_session_id(), host.server,
            terms, office, told_at=now, busy_at=now,
        )  # fmt: skip
        self.stays.add(session)
        self._leave_cookie(session, password)
        self._account("start", session, 0, "")
        self._note()
        self.log(f"{name} is online from {host.mac} ({how})")

    def _leave_cookie(self, session: Session, password: str) -> None:
        """Not for a login by MAC, which needs none."""
        profile = self.stays.profile_of(session)
        ways = self.login_by(self.hosts.get(session.mac))
        if "mac-cookie" not in ways or not password or session.login_by == "mac" or profile["add-mac-cookie"] != "true":
            return
        self.forget_cookie(self._cookie_ids.get(session.mac, ""))
        expires_at = self.now() + int(profile["mac-cookie-timeout"])
        cookie = Cookie(self._new_id(), session.user, password, session.mac, expires_at)
        self.cookies[cookie.id], self._cookie_ids[cookie.mac] = cookie, cookie.id

    def _is_report_due(self, session: Session) -> bool:
        if session.terms is None:
            return False
        told = self.profile_of(self.hosts.get(session.mac)).get("radius-interim-update", "received")
        every_s = session.terms.interim_s if told == "received" else int(told)
        return bool(every_s) and self.now() - session.told_at >= (every_s or 0)

    def _account(self, kind: Report, session: Session, seconds: int, cause: str) -> None:
        if self.profile_of(self.hosts.get(session.mac)).get("radius-accounting") != "false":
            self.nas.account(kind, session, seconds, cause)


def _refusal(row: Row, host: Host) -> str:
    name = row["name"]
    if row["mac-address"] not in ("", "00:00:00:00:00:00", host.mac):
        return f"user {name} is not allowed to log in from this MAC address"
    if is_limit(row["limit-uptime"]) and int(row["uptime"]) >= int(row["limit-uptime"]):
        return f"user {name} has reached uptime limit"
    used = {"in": int(row["bytes-in"]), "out": int(row["bytes-out"])}
    used["total"] = used["in"] + used["out"]
    limits = {way: row[f"limit-bytes-{way}"] for way in used}
    if any(is_limit(limit) and used[way] >= int(limit) for way, limit in limits.items()):
        return f"user {name} has reached traffic limit"
    return ""


def _count(row: Row, session: Session, seconds: int) -> None:
    """The user's row grows when a stay ends."""
    for name, more in (("uptime", seconds), ("bytes-in", session.bytes_in), ("bytes-out", session.bytes_out)):
        row[name] = str(int(row[name]) + more)
