"""Who is on the pretend hotspot: hosts, their sessions, the cookies that bring them back, the proofs they offer."""

import hashlib
from collections import deque
from dataclasses import dataclass, field

from edge.simulators.router.radius import Chap, Radius

CHALLENGE_LASTS_S = 3600.0


@dataclass(frozen=True)
class Challenge:
    """What a login page gave a browser to hash its password with."""

    ident: int
    challenge: bytes
    issued_at: float


@dataclass
class Host:
    """A device on the WiFi, logged in or not."""

    id: str
    mac: str
    ip: str
    since: float
    server: str = "hotspot1"
    challenges: deque[Challenge] = field(default_factory=lambda: deque(maxlen=8))


@dataclass
class Terms:
    """What RADIUS allows a stay; None where it is silent and the user profile decides. A CoA changes them."""

    session_timeout_s: int | None = None
    idle_s: int | None = None
    rate: str = ""
    total_limit: int | None = None
    recv_limit: int | None = None
    xmit_limit: int | None = None
    port_limit: int | None = None
    interim_s: int | None = None
    class_: bytes = b""
    profile: str = "default"


@dataclass
class Session:
    """One stay. Counters reach the user's row when it ends."""

    id: str
    user: str
    mac: str
    ip: str
    since: float
    login_by: str
    session_id: str
    server: str = "hotspot1"
    terms: Terms | None = None  # RADIUS's; None for a local user
    office: Radius | None = None  # which RADIUS server keeps its books
    bytes_in: int = 0
    bytes_out: int = 0
    told_at: float = 0.0  # the last interim update
    busy_at: float = 0.0  # when bytes last went through


@dataclass
class Cookie:
    """Brings a MAC back without asking: RouterOS keeps the name and the password."""

    id: str
    user: str
    password: str = field(repr=False)
    mac: str
    expires_at: float


@dataclass(frozen=True)
class Proof:
    """A password as it came, or the answer to a challenge."""

    password: str = field(repr=False)
    chap: Chap | None = None

    def fits(self, clear: str) -> bool:
        """Does this prove knowledge of the password?"""
        if self.chap is None:
            return self.password == clear
        ident, challenge, response = self.chap
        told = clear.encode("utf-8", "surrogateescape")
        return hashlib.md5(bytes([ident]) + told + challenge, usedforsecurity=False).digest() == response


def proofs_of(host: Host, password: str, login_by: list[str], now: float) -> list[Proof]:
    """How a posted password may be meant, by the ways of logging in that the hotspot allows; [] is `chap-missing`."""
    proofs = []
    if "http-chap" in login_by and len(password) == 32:
        for told in reversed(host.challenges):
            if now - told.issued_at <= CHALLENGE_LASTS_S:
                try:
                    proofs.append(Proof("", (told.ident, told.challenge, bytes.fromhex(password))))
                except ValueError:
                    break
    if "http-pap" in login_by:
        proofs.append(Proof(password))
    return proofs
