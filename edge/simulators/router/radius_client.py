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
FRAMED_IP_ADDRESS, REPLY_MESSAGE, CLASS, VENDOR_SPECIFIC, SESSION_TIMEOUT = 8, 18, 25, 26, 27
CALLED_STATION_ID, CALLING_STATION_ID, NAS_IDENTIFIER, CHAP_CHALLENGE, NAS_PORT_TYPE = 30, 31, 32, 60, 61
PORT_LIMIT = 62
# RFC 2866, 5
ACCT_STATUS_TYPE, ACCT_DELAY_TIME, ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS, ACCT_SESSION_ID = 40, 41, 42, 43, 44
ACCT_SESSION_TIME, ACCT_TERMINATE_CAUSE = 46, 49
# RFC 2869, 5
ACCT_INPUT_GIGAWORDS, ACCT_OUTPUT_GIGAWORDS = 52, 53
MESSAGE_AUTHENTICATOR, ACCT_INTERIM_INTERVAL, NAS_PORT_ID = 80, 85, 87
RATE_LIMIT, HOST_IP, TOTAL_LIMIT, TOTAL_LIMIT_GIGAWORDS = 8, 10, 17, 18  # MikroTik's own

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


@dataclass(frozen=True)
class Rejected:
    """No, and the words that RouterOS shows the guest as $(error)."""

    words: str


class RadiusClient:
    """One router's way to one server; every question has its own socket, so threads may share it."""

    def __init__(
        self, host: str, auth_port: int, acct_port: int, secret: str, *, nas_identifier: str,
        source: str = "127.0.0.1", timeout_s: float = 3.0,
    ) -> None:  # fmt: skip
        self._auth = (host, auth_port)
        self._acct = (host, acct_port)
        self._secret = secret.encode()
        self._nas_identifier = nas_identifier
        self._source = source
        self._timeout_s = timeout_s

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
        packet = _sign_request(secrets.randbelow(256), authenticator, body, self._secret)
        reply = self._exchange(packet, self._auth, lambda raw: _is_true_answer(raw, packet, self._secret))
        attributes = read_attributes(reply[20:])
        if reply[0] == ACCESS_ACCEPT:
            return _read_accept(attributes)
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
        packet = head + _md5(head, bytes(16), body, self._secret) + body  # RFC 2866, 3: Request Authenticator
        self._exchange(
            packet, self._acct,
            lambda raw: raw[0] == ACCOUNTING_RESPONSE and _is_from_server(raw, packet, self._secret),
        )  # fmt: skip

    def _about(self, username: str, mac: str, ip: str, session_id: str) -> bytes:
        """Who and where: what RouterOS's hotspot sends with every request."""
        texts = (
            (NAS_IDENTIFIER, self._nas_identifier), (USER_NAME, username), (CALLING_STATION_ID, mac),
            (CALLED_STATION_ID, "hotspot1"), (NAS_PORT_ID, "bridge"), (ACCT_SESSION_ID, session_id),
        )  # fmt: skip
        body = b"".join(_attribute(number, text.encode()) for number, text in texts if text)
        body += _number(NAS_PORT_TYPE, WIRELESS_802_11) + _number(NAS_PORT, 0x80000001)
        body += _attribute(NAS_IP_ADDRESS, _packed(self._source)) + _attribute(FRAMED_IP_ADDRESS, _packed(ip))
        return body + _attribute(VENDOR_SPECIFIC, struct.pack("!IBB", MIKROTIK, HOST_IP, 6) + _packed(ip))

    def _exchange(self, packet: bytes, server: tuple[str, int], is_good: Callable[[bytes], bool]) -> bytes:
        """Send the same packet up to three times (RFC 2865, 2.5); what is no good answer is dropped unseen."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.bind((self._source, 0))
            for _ in range(TRIES):
                line.sendto(packet, server)
                deadline = time.monotonic() + self._timeout_s
                while (left_s := deadline - time.monotonic()) > 0:
                    line.settimeout(left_s)
                    try:
                        raw, sender = line.recvfrom(MOST_BYTES)
                    except TimeoutError:
                        break
                    if sender == server and _is_packet(raw) and raw[1] == packet[1] and is_good(raw):
                        return raw
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


def _read_accept(attributes: Attributes) -> Accepted:
    def number(name: int) -> int | None:
        value = attributes.get(name, [b""])[0]
        return int.from_bytes(value, "big") if len(value) == 4 else None

    low, high = number(-TOTAL_LIMIT), number(-TOTAL_LIMIT_GIGAWORDS)
    return Accepted(
        session_timeout_s=number(SESSION_TIMEOUT),
        rate=attributes.get(-RATE_LIMIT, [b""])[0].decode("utf-8", "replace"),
        total_limit=None if low is None and high is None else (high or 0) << 32 | (low or 0),
        port_limit=number(PORT_LIMIT),
        class_=attributes.get(CLASS, [b""])[0],
        interim_s=number(ACCT_INTERIM_INTERVAL),
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
    place = 20
    for number, value in _split(raw[20:]):
        if number == MESSAGE_AUTHENTICATOR and len(value) == 16:
            signed = raw[:4] + request[4:20] + raw[20 : place + 2] + bytes(16) + raw[place + 18 :]
            return hmac.compare_digest(hmac.digest(secret, signed, "md5"), value)
        place += 2 + len(value)
    return False


def _is_from_server(raw: bytes, request: bytes, secret: bytes) -> bool:
    """RFC 2865, 3: the Response Authenticator."""
    return hmac.compare_digest(_md5(raw[:4], request[4:20], raw[20:], secret), raw[4:20])


def _is_packet(raw: bytes) -> bool:
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


def _md5(*parts: bytes) -> bytes:
    return hashlib.md5(b"".join(parts), usedforsecurity=False).digest()
