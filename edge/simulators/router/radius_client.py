"""The RADIUS client inside a pretend router: asks and counts as RouterOS 7.15 and newer does."""

import hashlib
import hmac
import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

TRIES = 3  # RouterOS gives up after about three time-outs
MOST_BYTES = 4096  # RFC 2865, 3
MIKROTIK = 14988  # its enterprise number; attributes as in FreeRADIUS's dictionary.mikrotik

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT = 1, 2, 3
ACCOUNTING_REQUEST, ACCOUNTING_RESPONSE = 4, 5

# RFC 2865, 5
USER_NAME, USER_PASSWORD, CHAP_PASSWORD, NAS_IP_ADDRESS, NAS_PORT = 1, 2, 3, 4, 5
FRAMED_IP_ADDRESS, REPLY_MESSAGE, CLASS, VENDOR_SPECIFIC, SESSION_TIMEOUT, IDLE_TIMEOUT = 8, 18, 25, 26, 27, 28
CALLED_STATION_ID, CALLING_STATION_ID, NAS_IDENTIFIER, CHAP_CHALLENGE, NAS_PORT_TYPE = 30, 31, 32, 60, 61
PORT_LIMIT = 62
# RFC 2866, 5
ACCT_STATUS_TYPE, ACCT_DELAY_TIME, ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS, ACCT_SESSION_ID = 40, 41, 42, 43, 44
ACCT_SESSION_TIME, ACCT_TERMINATE_CAUSE = 46, 49
# RFC 2869, 5
ACCT_INPUT_GIGAWORDS, ACCT_OUTPUT_GIGAWORDS = 52, 53
MESSAGE_AUTHENTICATOR, ACCT_INTERIM_INTERVAL, NAS_PORT_ID = 80, 85, 87
# MikroTik's own
RECV_LIMIT, XMIT_LIMIT, GROUP, RATE_LIMIT, HOST_IP, RECV_GIGAWORDS, XMIT_GIGAWORDS = 1, 2, 3, 8, 10, 14, 15
TOTAL_LIMIT, TOTAL_LIMIT_GIGAWORDS = 17, 18

WIRELESS_802_11 = 19
USER_REQUEST = 1  # an Acct-Terminate-Cause
KINDS = {"start": 1, "stop": 2, "interim": 3}

Attributes = dict[int, list[bytes]]


@dataclass(frozen=True)
class Accepted:
    """What the guest may have; None or an empty text where the server sent nothing. Limits in seconds and bytes."""

    session_timeout_s: int | None
    rate: str
    total_limit: int | None
    port_limit: int | None
    class_: bytes
    interim_s: int | None
    idle_s: int | None = None
    group: str = ""  # the user profile
    recv_limit: int | None = None  # from the guest
    xmit_limit: int | None = None  # to him


@dataclass(frozen=True)
class Rejected:
    """No, and the words that RouterOS shows the guest as $(error)."""

    words: str


class RadiusClient:
    """One router's way to one server; every question has its own socket, so threads may share it."""

    def __init__(
        self, host: str, auth_port: int, acct_port: int, secret: str, *, nas_identifier: str,
        source: str = "127.0.0.1", timeout_s: float = 3.0, server: str = "hotspot1", interface: str = "bridge",
        signs: bool = True, trusts_unsigned: bool = False, count: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        """`signs`: requests carry a Message-Authenticator; `trusts_unsigned`: answers need none (releases before
        7.15, or require-message-auth=no). `count` is told of each figure that /radius/monitor shows."""
        self._auth = (host, auth_port)
        self._acct = (host, acct_port)
        self._secret = secret.encode()
        self._nas_identifier = nas_identifier
        self._source = source
        self._timeout_s = timeout_s
        self._server, self._interface = server, interface
        self._signs, self._trusts_unsigned = signs, trusts_unsigned
        self._count = count or (lambda figure: None)

    def log_in(
        self, username: str, password: str, *, mac: str, ip: str, chap: tuple[int, bytes, bytes] | None = None,
        session_id: str,
    ) -> Accepted | Rejected:  # fmt: skip
        """One Access-Request, by PAP or with `chap` = (id, challenge, response); `password` is unused then.

        Raises TimeoutError when nobody gave a valid answer in three tries: RouterOS's "RADIUS server is not
        responding", which is also what a wrong secret looks like.
        """
        authenticator = secrets.token_bytes(16)
        if chap is None:
            proof = _attribute(USER_PASSWORD, hide_password(password.encode(), self._secret, authenticator))
        else:
            ident, challenge, response = chap
            proof = _attribute(CHAP_PASSWORD, bytes([ident]) + response) + _attribute(CHAP_CHALLENGE, challenge)
        body = self._about(username, mac, ip, session_id) + proof
        if self._signs:
            packet = _sign_request(secrets.randbelow(256), authenticator, body, self._secret)
        else:
            packet = _head(ACCESS_REQUEST, secrets.randbelow(256), len(body)) + authenticator + body
        reply = self._exchange(packet, self._auth, lambda raw: self._is_answer(raw, packet))
        attributes = read_attributes(reply[20:])
        if reply[0] == ACCESS_ACCEPT:
            self._count("accepts")
            return read_accept(attributes)
        self._count("rejects")
        return Rejected(b"\n".join(attributes.get(REPLY_MESSAGE, [])).decode("utf-8", "replace"))

    def account(
        self, kind: Literal["start", "interim", "stop"], *, username: str, mac: str, ip: str, session_id: str,
        class_: bytes, seconds: int, bytes_in: int, bytes_out: int, cause: int = USER_REQUEST,
    ) -> None:  # fmt: skip
        """Tell how a session goes: `bytes_in` from the guest, `bytes_out` to him; TimeoutError after three tries."""
        body = self._about(username, mac, ip, session_id) + _number(ACCT_STATUS_TYPE, KINDS[kind])
        body += _number(ACCT_DELAY_TIME, 0) + (_attribute(CLASS, class_) if class_ else b"")
        if kind != "start":
            body += _number(ACCT_SESSION_TIME, seconds)
            body += _number(ACCT_INPUT_OCTETS, bytes_in & 0xFFFFFFFF) + _number(ACCT_INPUT_GIGAWORDS, bytes_in >> 32)
            body += _number(ACCT_OUTPUT_OCTETS, bytes_out & 0xFFFFFFFF)
            body += _number(ACCT_OUTPUT_GIGAWORDS, bytes_out >> 32)
        if kind == "stop":
            body += _number(ACCT_TERMINATE_CAUSE, cause)
        head = _head(ACCOUNTING_REQUEST, secrets.randbelow(256), len(body))
        packet = head + sign(head, bytes(16), body, self._secret) + body  # RFC 2866, 3: Request Authenticator
        self._exchange(
            packet, self._acct,
            lambda raw: raw[0] == ACCOUNTING_RESPONSE and _is_from_server(raw, packet, self._secret),
        )  # fmt: skip

    def _is_answer(self, raw: bytes, request: bytes) -> bool:
        if self._trusts_unsigned and raw[0] in (ACCESS_ACCEPT, ACCESS_REJECT):
            return _is_from_server(raw, request, self._secret)
        return _is_true_answer(raw, request, self._secret)

    def _about(self, username: str, mac: str, ip: str, session_id: str) -> bytes:
        """Who and where: what RouterOS's hotspot sends with every request."""
        texts = (
            (NAS_IDENTIFIER, self._nas_identifier), (USER_NAME, username), (CALLING_STATION_ID, mac),
            (CALLED_STATION_ID, self._server), (NAS_PORT_ID, self._interface), (ACCT_SESSION_ID, session_id),
        )  # fmt: skip
        body = b"".join(_attribute(number, text.encode()) for number, text in texts if text)
        body += _number(NAS_PORT_TYPE, WIRELESS_802_11) + _number(NAS_PORT, 0x80000001)
        body += _attribute(NAS_IP_ADDRESS, _packed(self._source)) + _attribute(FRAMED_IP_ADDRESS, _packed(ip))
        return body + _attribute(VENDOR_SPECIFIC, struct.pack("!IBB", MIKROTIK, HOST_IP, 6) + _packed(ip))

    def _exchange(self, packet: bytes, server: tuple[str, int], is_good: Callable[[bytes], bool]) -> bytes:
        """Send the same packet up to three times (RFC 2865, 2.5); what is no good answer is dropped unseen."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.bind((self._source, 0))
            for attempt in range(TRIES):
                self._count("resends" if attempt else "requests")
                line.sendto(packet, server)
                deadline = time.monotonic() + self._timeout_s
                while (left_s := deadline - time.monotonic()) > 0:
                    line.settimeout(left_s)
                    try:
                        raw, sender = line.recvfrom(MOST_BYTES)
                    except TimeoutError:
                        break
                    if sender == server and is_packet(raw) and raw[1] == packet[1] and is_good(raw):
                        return raw
                    self._count("bad-replies")
            self._count("timeouts")
        raise TimeoutError("RADIUS server is not responding")


def hide_password(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """RFC 2865, 5.2: padded to sixteens, each hidden by MD5 of the secret and the sixteen before it."""
    padded = password.ljust(max(16, -(-len(password) // 16) * 16), b"\0")
    hidden = b""
    for place in range(0, len(padded), 16):
        mask = _md5(secret, hidden[-16:] or authenticator)
        hidden += bytes(a ^ b for a, b in zip(padded[place : place + 16], mask, strict=True))
    return hidden


def chap_response(ident: int, password: str, challenge: bytes) -> bytes:
    """RFC 1994, 4.1: MD5 over id, password and challenge, as RouterOS's login page reckons it in the browser."""
    return _md5(bytes([ident]), password.encode(), challenge)


def read_attributes(body: bytes) -> Attributes:
    """Attributes by number, MikroTik's own under minus theirs; whatever does not add up ends the reading."""
    found: Attributes = {}
    for number, value in _split(body):
        if number == VENDOR_SPECIFIC and len(value) > 4 and int.from_bytes(value[:4], "big") == MIKROTIK:
            for own, inner in _split(value[4:]):
                found.setdefault(-own, []).append(inner)
        else:
            found.setdefault(number, []).append(value)
    return found


def _split(body: bytes) -> list[tuple[int, bytes]]:
    pairs = []
    while len(body) >= 2 and 2 <= body[1] <= len(body):
        pairs.append((body[0], body[2 : body[1]]))
        body = body[body[1] :]
    return pairs


def read_accept(attributes: Attributes) -> Accepted:
    """What these attributes grant; a CoA speaks in the same ones."""

    def number(name: int) -> int | None:
        value = attributes.get(name, [b""])[0]
        return int.from_bytes(value, "big") if len(value) == 4 else None

    def limit(low_name: int, high_name: int) -> int | None:
        low, high = number(-low_name), number(-high_name)
        return None if low is None and high is None else (high or 0) << 32 | (low or 0)

    return Accepted(
        session_timeout_s=number(SESSION_TIMEOUT),
        rate=attributes.get(-RATE_LIMIT, [b""])[0].decode("utf-8", "replace"),
        total_limit=limit(TOTAL_LIMIT, TOTAL_LIMIT_GIGAWORDS),
        port_limit=number(PORT_LIMIT),
        class_=attributes.get(CLASS, [b""])[0],
        interim_s=number(ACCT_INTERIM_INTERVAL),
        idle_s=number(IDLE_TIMEOUT),
        group=attributes.get(-GROUP, [b""])[0].decode("utf-8", "replace"),
        recv_limit=limit(RECV_LIMIT, RECV_GIGAWORDS),
        xmit_limit=limit(XMIT_LIMIT, XMIT_GIGAWORDS),
    )


def _sign_request(ident: int, authenticator: bytes, body: bytes, secret: bytes) -> bytes:
    """An Access-Request with its Message-Authenticator in front (RFC 2869, 5.14)."""
    head = _head(ACCESS_REQUEST, ident, len(body) + 18) + authenticator
    stamp = bytes([MESSAGE_AUTHENTICATOR, 18])
    return head + stamp + hmac.digest(secret, head + stamp + bytes(16) + body, "md5") + body


def _is_true_answer(raw: bytes, request: bytes, secret: bytes) -> bool:
    """RouterOS 7.15+, require-message-auth=yes-for-request-resp: both signatures, or it was never said."""
    if raw[0] not in (ACCESS_ACCEPT, ACCESS_REJECT) or not _is_from_server(raw, request, secret):
        return False
    place = place_of(raw, MESSAGE_AUTHENTICATOR)
    if place is None:
        return False
    signed = raw[:4] + request[4:20] + raw[20 : place + 2] + bytes(16) + raw[place + 18 :]
    return hmac.compare_digest(hmac.digest(secret, signed, "md5"), raw[place + 2 : place + 18])


def place_of(raw: bytes, wanted: int) -> int | None:
    """Where in a packet the first attribute of this number with sixteen bytes begins."""
    place = 20
    for number, value in _split(raw[20:]):
        if number == wanted and len(value) == 16:
            return place
        place += 2 + len(value)
    return None


def _is_from_server(raw: bytes, request: bytes, secret: bytes) -> bool:
    """RFC 2865, 3: the Response Authenticator."""
    return hmac.compare_digest(sign(raw[:4], request[4:20], raw[20:], secret), raw[4:20])


def is_packet(raw: bytes) -> bool:
    """Is it as long as it says? (RFC 2865, 3)"""
    return len(raw) >= 20 and int.from_bytes(raw[2:4], "big") == len(raw)


def _head(code: int, ident: int, body_length: int) -> bytes:
    return struct.pack("!BBH", code, ident, 20 + body_length)


def _attribute(number: int, value: bytes) -> bytes:
    if len(value) > 253:
        raise ValueError(f"attribute {number} is longer than RADIUS allows (253 bytes)")
    return bytes([number, len(value) + 2]) + value


def _number(number: int, value: int) -> bytes:
    return _attribute(number, struct.pack("!I", value))


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def sign(head: bytes, authenticator: bytes, body: bytes, secret: bytes) -> bytes:
    """What stands in a packet's authenticator field: of an answer with the request's (RFC 2865, 3), else with none."""
    return _md5(head, authenticator, body, secret)


def _md5(*parts: bytes) -> bytes:
    return hashlib.md5(b"".join(parts), usedforsecurity=False).digest()
