"""One question to our own RADIUS server, on the wire: does it live, and can it read the database?"""

import hashlib
import hmac
import secrets
import socket
import time

ACCESS_ACCEPT, STATUS_SERVER = 2, 12  # RFC 5997
MESSAGE_AUTHENTICATOR = 80  # RFC 2869, 5.14


def status_request(secret: bytes) -> bytes:
    """A Status-Server packet with its Message-Authenticator (RFC 5997, 3; RFC 2869, 5.14)."""
    head = bytes([STATUS_SERVER, secrets.randbelow(256)]) + (38).to_bytes(2, "big") + secrets.token_bytes(16)
    attribute = bytes([MESSAGE_AUTHENTICATOR, 18])
    return head + attribute + hmac.digest(secret, head + attribute + bytes(16), "md5")


def receive(asker: socket.socket, request: bytes, secret: bytes, within_s: float) -> int | None:
    """The code of the reply to this very request (RFC 2865, 3: Response Authenticator); None when none came."""
    deadline = time.monotonic() + within_s
    while (left_s := deadline - time.monotonic()) > 0:
        asker.settimeout(left_s)
        try:
            reply = asker.recv(4096)
        except TimeoutError:
            return None
        if len(reply) < 20 or reply[1] != request[1] or int.from_bytes(reply[2:4], "big") != len(reply):
            continue
        proof = hashlib.md5(reply[:4] + request[4:20] + reply[20:] + secret, usedforsecurity=False).digest()
        if hmac.compare_digest(proof, reply[4:20]):
            return reply[0]
    return None
