"""Who is online on the pretend hotspot: sessions found by id, MAC and name, and what limits each of them."""

from edge.simulators.router.guests import Session, Terms
from edge.simulators.router.tables import Row, Table


class Stays:
    """Sessions, indexed: thousands may be online at once."""

    def __init__(self, users: Table, profiles: Table) -> None:
        self.sessions: dict[str, Session] = {}
        self._by_mac: dict[str, Session] = {}
        self._by_user: dict[str, dict[str, Session]] = {}
        self._users, self._profiles = users, profiles

    def add(self, session: Session) -> None:
        """Somebody is online."""
        self.sessions[session.id] = self._by_mac[session.mac] = session
        self._by_user.setdefault(session.user, {})[session.id] = session

    def take(self, session: Session) -> bool:
        """He is not any more; False when he was not."""
        if self.sessions.pop(session.id, None) is None:
            return False
        del self._by_mac[session.mac]
        del self._by_user[session.user][session.id]
        return True

    def clear(self) -> None:
        """Nobody is online."""
        self.sessions.clear()
        self._by_mac.clear()
        self._by_user.clear()

    def of_mac(self, mac: str) -> Session | None:
        return self._by_mac.get(mac)

    def of_user(self, name: str) -> list[Session]:
        return list(self._by_user.get(name, {}).values())

    # What limits a stay.

    def user_row(self, session: Session) -> Row | None:
        """The local user whose stay this is."""
        rows = self._users.named(session.user) if session.terms is None else []
        return next((row for row in rows if row["server"] in ("all", session.server)), None)

    def profile_of(self, session: Session) -> Row:
        """His user profile; RADIUS may have named another."""
        row = self.user_row(session)
        name = session.terms.profile if session.terms is not None else row["profile"] if row is not None else "default"
        found = self._profiles.named(name) or self._profiles.named("default")
        return found[0]

    def time_left(self, session: Session, now: float) -> float | None:
        """Seconds until this stay ends by itself; None when nothing limits it."""
        spent, row = now - session.since, self.user_row(session)
        limits = []
        told = session.terms.session_timeout_s if session.terms is not None else None
        if told is not None:
            limits.append(told - spent)
        else:
            timeout = self.profile_of(session)["session-timeout"]
            limits += [int(timeout) - spent] if is_limit(timeout) else []
        if row is not None and is_limit(row["limit-uptime"]):
            limits.append(int(row["limit-uptime"]) - int(row["uptime"]) - spent)
        return min(limits, default=None)

    def due_end(self, session: Session, now: float) -> tuple[float, str] | None:
        """When and by what a stay has ended by now, whichever came first; None while it goes on."""
        left_s, idle_s = self.time_left(session, now), self.idle_timeout(session)
        ends = [] if left_s is None else [(now + left_s, "session-timeout")]
        ends += [] if idle_s is None else [(session.busy_at + idle_s, "idle-timeout")]
        return min((end for end in ends if end[0] <= now), default=None)

    def byte_limits(self, session: Session) -> dict[str, int]:
        """What is left at the start of a stay by `in`, `out` and `total`; without a limit it is not there."""
        terms, row = session.terms, self.user_row(session)
        if terms is not None:
            told = {"in": terms.recv_limit, "out": terms.xmit_limit, "total": terms.total_limit}
            return {name: limit for name, limit in told.items() if limit is not None}
        if row is None:
            return {}
        used = {"in": int(row["bytes-in"]), "out": int(row["bytes-out"])}
        used["total"] = used["in"] + used["out"]
        limits = {name: row[f"limit-bytes-{name}"] for name in used}
        return {name: int(limit) - used[name] for name, limit in limits.items() if is_limit(limit)}

    def is_over_bytes(self, session: Session) -> bool:
        """Has this stay used up its data?"""
        used = {"in": session.bytes_in, "out": session.bytes_out, "total": session.bytes_in + session.bytes_out}
        return any(used[name] >= limit for name, limit in self.byte_limits(session).items())

    def idle_timeout(self, session: Session) -> int | None:
        """After so many seconds without a byte the stay ends; None: never."""
        if session.terms is not None and session.terms.idle_s is not None:
            return session.terms.idle_s or None
        told = self.profile_of(session)["idle-timeout"]
        return int(told) if told.isdigit() and is_limit(told) else None

    def rate_of(self, session: Session) -> str:
        """The rate limit of a stay, upload/download; '' is none."""
        told = session.terms.rate if session.terms is not None else ""
        return told or self.profile_of(session)["rate-limit"]

    def is_crowded(self, name: str, mac: str, terms: Terms | None, profile: Row) -> bool:
        """Are as many devices online by this name as may be, this one aside?"""
        told = terms.port_limit if terms is not None else None
        most = profile["shared-users"] if told is None else str(told)
        online = [session for session in self._by_user.get(name, {}).values() if session.mac != mac]
        return most != "unlimited" and len(online) >= int(most)


def is_limit(value: str) -> bool:
    return value not in ("", "0")
