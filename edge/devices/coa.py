"""What the box tells a router of a session that runs: end it (Disconnect), or change it (CoA). RFC 5176, by radclient.

FreeRADIUS's own `radclient` signs the request (Message-Authenticator), asks three times and believes only a reply
that the router's secret has signed. The router listens where `/radius/incoming accept=yes` stands, and only to an
address that it has as its RADIUS server.
"""

import ipaddress
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from edge.devices.radius import SEARCH_PATH
from edge.errors import Refused, Unreachable

PORT = 3799  # RFC 5176, 2; RouterOS's own default was 1700 once, so `edge router setup` sets it
TRIES = 3
# radclient starts, reads its dictionaries and ends within this, on top of waiting for the router.
SPARE_S = 10.0

# RFC 5176, 3.5, in the names of FreeRADIUS's dictionary.
CAUSES = {
    "Unsupported-Attribute": "it does not know one of the attributes",
    "Missing-Attribute": "it misses an attribute",
    "NAS-Identification-Mismatch": "it thinks another router was meant",
    "Invalid-Request": "it could not read the request",
    "Unsupported-Service": "it does not do this for a session of that kind",
    "Unsupported-Extension": "it does not know such requests",
    "Invalid-Attribute-Value": "one of the values is none that it takes",
    "Administratively-Prohibited": "its configuration forbids it: /radius/incoming set accept=yes port=3799",
    "Session-Context-Not-Found": "it has no such session",
    "Session-Context-Not-Removable": "it can't end this session",
    "Resources-Unavailable": "it has no memory or time left for it",
}
GONE = ("Session-Context-Not-Found", "Residual-Context-Removed")


class NoSession(Refused):
    """The router has no such session: it is over already."""


def disconnect(
    host: str, port: int, secret: str, *, username: str, ip: str, session_id: str, timeout_s: float = 3.0
) -> None:
    """End one session; returns when the router said that it did.

    `username` as the router has it, in the letters that were typed. Refused with the router's reason (NoSession where
    there is none such), Unreachable when it stayed silent for `timeout_s` seconds: off, not listening, or with
    another secret.
    """
    _ask(host, port, secret, "disconnect", _session(username, ip, session_id), timeout_s)


def _session(username: str, ip: str, session_id: str) -> list[str]:
    """RouterOS finds a session by all of these; one alone it often says no to."""
    return [
        f"User-Name = {_text(username)}",
        *([f"Framed-IP-Address = {_address(ip)}"] if ip else []),
        *([f"Acct-Session-Id = {_text(session_id)}"] if session_id else []),
    ]


def _ask(host: str, port: int, secret: str, verb: str, attributes: list[str], timeout_s: float) -> None:
    program = shutil.which("radclient", path=os.environ.get("PATH", "") + os.pathsep + SEARCH_PATH)
    if program is None:
        raise Unreachable("radclient is not installed: sudo apt-get install freeradius-utils")
    if not secret or not secret.isprintable():
        raise Refused("the router's RADIUS secret is empty or no plain text")
    target, pause = f"{_address(host)}:{port}", f"{timeout_s / TRIES:.2f}"
    lines = ", ".join([*attributes, "Message-Authenticator = 0x00"]) + "\n"
    with _on_a_pipe(secret) as reader:  # an argument could be read by everybody on this machine
        command = [program, "-4", "-x", "-r", str(TRIES), "-t", pause, "-S", f"/dev/fd/{reader}", target, verb]
        try:
            asked = subprocess.run(
                command, input=lines, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                env={"PATH": SEARCH_PATH}, pass_fds=(reader,), timeout=timeout_s + SPARE_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Unreachable("radclient did not come to an end") from None
    _judge(asked.stdout, timeout_s)


@contextmanager
def _on_a_pipe(secret: str) -> Iterator[int]:
    reader, writer = os.pipe()
    try:
        os.write(writer, secret.encode() + b"\n")
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _judge(told: str, timeout_s: float) -> None:
    """What radclient wrote: a line `Received …` for the one answer it believed, with its attributes below."""
    answer = re.search(r"^Received (?:Disconnect|CoA)-(ACK|NAK) (.*)", told, re.MULTILINE | re.DOTALL)
    if answer is not None and answer[1] == "ACK":
        return
    if answer is not None:
        cause = re.search(r"^\tError-Cause = (\S+)", answer[2], re.MULTILINE)
        name = cause[1] if cause else ""
        words = CAUSES.get(name, name or "without a reason")
        raise (NoSession if name in GONE else Refused)(f"the router said no: {words}")
    if "Shared secret is incorrect" in told:
        raise Unreachable("the router's answer is signed with another secret: set the same one on both sides")
    if "No reply" in told or "Failed" in told:
        raise Unreachable(f"the router did not answer on its CoA port for {timeout_s:.0f} s")
    raise Unreachable("radclient: " + (told.strip().splitlines() or ["it left no word"])[-1][:200])


def _text(value: str) -> str:
    """Between single quotes FreeRADIUS takes letters as they are, but for the quote and the backslash."""
    if not value.isprintable() or len(value.encode()) > 253:
        raise Refused("names of sessions are plain text of up to 253 bytes")
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise Refused(f"{text!r} is not an IPv4 address") from None
