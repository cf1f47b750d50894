"""The pretend router's ear for RADIUS: Disconnect and CoA requests (RFC 5176), as /radius/incoming takes them."""

import contextlib
import hmac
import ipaddress
import socket
import threading

from edge.simulators.router import radius_client as radius
from edge.simulators.router.guests import Session
from edge.simulators.router.hotspot import Hotspot
from edge.simulators.router.radius_client import Attributes

DISCONNECT, COA = 40, 43
ACK, NAK = 1, 2  # are added to the code of the request
ERROR_CAUSE = 101
MISSING_ATTRIBUTE, SESSION_NOT_FOUND = 402, 503  # RFC 5176, 3.5


class Ear:
    """One UDP port. What does not come from a server of /radius, with its secret, is dropped unanswered.

    A session is known by User-Name and Framed-IP-Address together, and by Acct-Session-Id when that is given too: one
    of them alone is refused, as running routers do.
    """

    def __init__(self, hotspot: Hotspot, host: str, number: int) -> None:
        self._hotspot, self._host = hotspot, host
        self.number = number
        self.is_open = False  # /radius/incoming accept
        self.is_deaf = False  # packets get lost on the way
        self.lies = False  # says ACK and does nothing
        self.counts_from_now = False  # a CoA's Session-Timeout begins with the CoA, not with the session
        self._line: socket.socket | None = None

    def plug(self) -> None:
        """Listen; a number of 0 becomes whatever is free."""
        if self._line is not None:
            return
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            line.bind((self._host, self.number))
        except OSError:
            line.close()
            raise
        self._line, self.number = line, int(line.getsockname()[1])
        threading.Thread(target=self._listen, args=(line,), daemon=True).start()

    def unplug(self) -> None:
        """Hear nothing more; the thread ends with the port."""
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _listen(self, line: socket.socket) -> None:
        while self._line is line:
            try:
                raw, sender = line.recvfrom(radius.MOST_BYTES)
            except OSError:
                continue
            if not raw:  # the port was shut
                continue
            answer = b"" if self.is_deaf or not self.is_open else self._answer(raw, str(sender[0]))
            if answer:
                with contextlib.suppress(OSError):
                    line.sendto(answer, sender)

    def _answer(self, raw: bytes, sender: str) -> bytes:
        server = self._hotspot.nas.server_of(sender)
        if server is None or not radius.is_packet(raw) or raw[0] not in (DISCONNECT, COA):
            return b""
        secret = server["secret"].encode("utf-8", "surrogateescape")
        if not _is_signed(raw, secret):
            return b""
        told = radius.read_attributes(raw[20:])
        session = None if _is_vague(told) else self._find(told)
        if session is None:
            cause = MISSING_ATTRIBUTE if _is_vague(told) else SESSION_NOT_FOUND
            return _reply(raw, raw[0] + NAK, bytes([ERROR_CAUSE, 6]) + cause.to_bytes(4, "big"), secret)
        if not self.lies:
            self._obey(raw[0], session, told)
        return _reply(raw, raw[0] + ACK, b"", secret)

    def _find(self, told: Attributes) -> Session | None:
        """A session that RADIUS let in; of local users a CoA knows nothing."""
        name = told[radius.USER_NAME][0].decode("utf-8", "replace")
        address, session_ids = told[radius.FRAMED_IP_ADDRESS][0], told.get(radius.ACCT_SESSION_ID)
        with self._hotspot.lock:
            for session in self._hotspot.stays.of_user(name):
                fits = ipaddress.IPv4Address(session.ip).packed == address and session.terms is not None
                if fits and (session_ids is None or session_ids[0] == session.session_id.encode()):
                    return session
        return None

    def _obey(self, code: int, session: Session, told: Attributes) -> None:
        with self._hotspot.lock:
            if code == DISCONNECT:
                self._hotspot.end(session, "admin-reset")
            elif session.terms is not None:
                self._change(session, told)
                self._hotspot.tick()

    def _change(self, session: Session, told: Attributes) -> None:
        """What a CoA may change (manual: RADIUS, "Change of Authorization"); Mikrotik-Total-Limit is not among it."""
        wanted, terms = radius.read_accept(told), session.terms
        assert terms is not None
        if wanted.session_timeout_s is not None:
            spent = int(self._hotspot.now() - session.since) if self.counts_from_now else 0
            terms.session_timeout_s = wanted.session_timeout_s + spent
        terms.rate = wanted.rate or terms.rate
        terms.profile = wanted.group or terms.profile
        for name in ("idle_s", "port_limit", "recv_limit", "xmit_limit"):
            if getattr(wanted, name) is not None:
                setattr(terms, name, getattr(wanted, name))


def _is_vague(told: Attributes) -> bool:
    return radius.USER_NAME not in told or len(told.get(radius.FRAMED_IP_ADDRESS, [b""])[0]) != 4


def _is_signed(raw: bytes, secret: bytes) -> bool:
    """Request Authenticator as in accounting (RFC 5176, 2.3); a Message-Authenticator must be right if there is one."""
    if not hmac.compare_digest(radius.sign(raw[:4], bytes(16), raw[20:], secret), raw[4:20]):
        return False
    place = radius.place_of(raw, radius.MESSAGE_AUTHENTICATOR)
    if place is None:
        return True
    signed = raw[:4] + bytes(16) + raw[20 : place + 2] + bytes(16) + raw[place + 18 :]
    return hmac.compare_digest(hmac.digest(secret, signed, "md5"), raw[place + 2 : place + 18])


def _reply(request: bytes, code: int, body: bytes, secret: bytes) -> bytes:
    """Both signatures: the Message-Authenticator is reckoned with the request's authenticator, then the response's."""
    stamp = bytes([radius.MESSAGE_AUTHENTICATOR, 18])
    head = bytes([code, request[1]]) + (38 + len(body)).to_bytes(2, "big")
    body = stamp + hmac.digest(secret, head + request[4:20] + stamp + bytes(16) + body, "md5") + body
    return head + radius.sign(head, request[4:20], body, secret) + body
