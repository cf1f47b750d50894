"""What comes and goes on the pretend router, as `print` answers it: sessions, hosts, cookies, log…"""

from datetime import timedelta

from edge.simulators.router.command import Look
from edge.simulators.router.guests import Cookie, Host, Session
from edge.simulators.router.machine import Machine
from edge.simulators.router.tables import Row


class LiveRows:
    """The live menus of one machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._hotspot = machine, machine.hotspot

    def interfaces(self, look: Look) -> list[Row]:
        """/interface, with what went through them."""
        self._machine.meter.read()
        return self._machine.rows_of(self._machine.configuration.interfaces, look)

    def sessions(self) -> list[Row]:
        """/ip/hotspot/active"""
        self._hotspot.tick()
        return [self._session(session) for session in self._hotspot.sessions.values()]

    def hosts(self) -> list[Row]:
        """/ip/hotspot/host"""
        return [self._host(host) for host in self._hotspot.hosts.values()]

    def cookies(self) -> list[Row]:
        """/ip/hotspot/cookie"""
        self._hotspot.tick()
        return [self._cookie(cookie) for cookie in self._hotspot.cookies.values()]

    def queues(self) -> list[Row]:
        """/queue/simple: one for every guest with a rate, made at login; a CoA changes it."""
        rows = []
        for session in self._hotspot.sessions.values():
            rate = self._hotspot.rate_of(session)
            if rate:
                rows.append({
                    ".id": session.id, "name": f"<hotspot-{session.user}>", "target": f"{session.ip}/32",
                    "max-limit": rate.partition(" ")[0], "bytes": f"{session.bytes_in}/{session.bytes_out}",
                    "dynamic": "true", "disabled": "false",
                })  # fmt: skip
        return rows

    def connections(self) -> list[Row]:
        """/user/active"""
        rows, machine = [], self._machine
        for connection in list(machine.accounts.connections.values()):
            ago = timedelta(seconds=self._hotspot.now() - connection.since)
            rows.append({
                ".id": connection.id, "when": machine.moment(ago), "name": connection.name,
                "address": connection.address, "via": "api", "group": connection.group, "radius": "false",
            })  # fmt: skip
        return rows

    def log(self) -> list[Row]:
        """/log"""
        return [
            {".id": f"*{number:X}", "time": moment, "topics": topics, "message": message}
            for number, moment, topics, message in self._machine.log_lines
        ]

    def _session(self, session: Session) -> Row:
        spot, duration = self._hotspot, self._machine.duration
        now, left, idle_s = spot.now(), spot.time_left(session), spot.stays.idle_timeout(session)
        row = {
            ".id": session.id,
            "server": session.server,
            "user": session.user,
            "address": session.ip,
            "mac-address": session.mac,
            "login-by": session.login_by,
            "uptime": duration(now - session.since),
            "idle-time": duration(now - session.busy_at),
            "keepalive-timeout": duration(120),
            "bytes-in": str(session.bytes_in),
            "bytes-out": str(session.bytes_out),
            "packets-in": str(session.bytes_in // 1000),
            "packets-out": str(session.bytes_out // 1000),
            "radius": "false" if session.terms is None else "true",
        }
        row |= {} if left is None else {"session-time-left": duration(max(0, round(left)))}
        row |= {} if idle_s is None else {"idle-timeout": duration(idle_s)}
        return row | {f"limit-bytes-{way}": str(limit) for way, limit in spot.stays.byte_limits(session).items()}

    def _host(self, host: Host) -> Row:
        duration, session = self._machine.duration, self._hotspot.session_of(host.mac)
        return {
            ".id": host.id,
            "mac-address": host.mac,
            "address": host.ip,
            "to-address": host.ip,
            "server": host.server,
            "uptime": duration(self._hotspot.now() - host.since),
            "idle-time": duration(0),
            "bytes-in": "0" if session is None else str(session.bytes_in),
            "bytes-out": "0" if session is None else str(session.bytes_out),
            "found-by": "DHCP",
            "DHCP": "true",
            "authorized": "false" if session is None else "true",
            "bypassed": "true" if self._hotspot.binding_of(host) == "bypassed" else "false",
        }

    def _cookie(self, cookie: Cookie) -> Row:
        return {
            ".id": cookie.id,
            "user": cookie.user,
            "mac-address": cookie.mac,
            "expires-in": self._machine.duration(cookie.expires_at - self._hotspot.now()),
            "mac-cookie": "true",
        }
