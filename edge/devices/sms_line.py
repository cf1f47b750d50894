"""The line to an SMS gateway: HTTP kept open while texts follow each other, and honest about what may have arrived."""

import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from select import POLLIN, poll
from typing import Any
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from edge.devices.exchange import ANSWER_LIMIT, Reply
from edge.errors import Away, DeviceError, Refused, Unconfirmed, Unreachable

# Servers keep an idle line 5 s (Apache, Node) or more: within 2 s none hangs up just as a text goes out, which would
# look like taken. A campaign's texts follow each other faster than that.
FRESH_S = 2.0
CONNECT_S = 10.0
_PLAIN = re.compile(r"[\x21-\x7e]+")


class Line:
    """One gateway's address; safe to share between threads, each text on a connection of its own meanwhile."""

    def __init__(self, who: str, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._who, self._timeout_s = who, timeout_s
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_tls else 80)
        self._named = parts.netloc.rpartition("@")[2]
        self._lock = threading.Lock()
        self._idle: list[tuple[socket.socket, float]] = []
        self._context: ssl.SSLContext | None = None

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Ask once. Away when it can't have arrived, Unconfirmed when it may have. Errors hold no key and no text."""
        deadline = time.monotonic() + self._timeout_s
        request = self._compose(method, target, headers, body)
        line = self._hand_over(request, deadline)
        try:
            reply, may_stay = _hear(line, method, deadline)
        except (OSError, HTTPException, ValueError) as error:
            line.close()
            failure = Unconfirmed(f"{self._who}'s answer was lost ({type(error).__name__})")
        else:
            self._put_back(line, may_stay)
            return reply
        raise failure

    def close(self) -> None:
        """Hang up where nobody speaks."""
        with self._lock:
            lines, self._idle = self._idle, []
        for line, _ in lines:
            line.close()

    def _compose(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        if not _PLAIN.fullmatch(target):
            raise Away(f"{self._who}'s address cannot be used; check it in the settings")
        told = {"Host": self._named, "Accept": "application/json", "User-Agent": "edge", **headers}
        if body or method != "GET":
            told["Content-Length"] = str(len(body))
        if not all(value.isascii() and value.isprintable() for value in told.values()):
            raise Away(f"{self._who}'s key or a header holds letters that none has")
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body

    def _hand_over(self, request: bytes, deadline: float) -> socket.socket:
        """What could not be handed over whole was not understood by anybody either."""
        kept = self._take()
        if kept is not None:
            try:
                _send(kept, request, deadline)
                return kept
            except OSError:
                kept.close()
        line = self._open(deadline)
        try:
            _send(line, request, deadline)
            return line
        except OSError:
            line.close()
        raise Away(f"{self._who} hung up before it had the whole text")

    def _take(self) -> socket.socket | None:
        """A line that was used a moment ago and is still open."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                line, used_at = self._idle.pop()
            if time.monotonic() - used_at <= FRESH_S and not _has_news(line):
                return line
            line.close()

    def _put_back(self, line: socket.socket, may_stay: bool) -> None:
        if not may_stay:
            line.close()
            return
        with self._lock:
            self._idle.append((line, time.monotonic()))

    def _open(self, deadline: float) -> socket.socket:
        line: socket.socket | None = None
        try:
            left = max(0.1, min(CONNECT_S, deadline - time.monotonic()))
            line = socket.create_connection((self._host, self._port), timeout=left)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._trusted().wrap_socket(line, server_hostname=self._host) if self._is_tls else line
        except ssl.SSLCertVerificationError:
            failure = f"{self._who}'s certificate is not trusted: check the box's clock and the internet line"
        except (OSError, ValueError):
            failure = f"{self._who} could not be reached: no connection, or its name was not found"
        if line is not None:
            line.close()
        raise Away(failure)

    def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
        return self._context


class _Timed(io.RawIOBase):
    """What comes in, until the deadline: a time-out a read would let a server drip for ever."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        self._line, self._deadline = line, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        _limit(self._line, self._deadline)
        return self._line.recv_into(buffer)


def _send(line: socket.socket, request: bytes, deadline: float) -> None:
    _limit(line, deadline)
    line.sendall(request)


def _limit(line: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    line.settimeout(left)


def _hear(line: socket.socket, method: str, deadline: float) -> tuple[Reply, bool]:
    """The answer, and whether the line may be used again. A body that is too long is empty."""
    response = HTTPResponse(line, method=method)
    response.fp.close()
    response.fp = io.BufferedReader(_Timed(line, deadline))
    response.begin()
    body = response.read(ANSWER_LIMIT + 1)
    is_long = len(body) > ANSWER_LIMIT
    return Reply(response.status, b"" if is_long else body), response.isclosed() and not response.will_close


def _has_news(line: socket.socket) -> bool:
    """An idle line has nothing to say but that it is over."""
    watch = poll()
    watch.register(line, POLLIN)
    return bool(watch.poll(0))


def turned_away(who: str, reply: Reply, words: str) -> DeviceError:
    """What an answer means that is no success: by its status alone, where the gateway's own code does not say more."""
    status = reply.status
    if status in (401, 402, 403, 404, 405) or 300 <= status < 400:
        return Away(f"{who} does not serve this account: {words}")
    if status in (429, 503):
        return Unreachable(f"{who} did not take it now: {words}")
    if status == 408 or not 400 <= status < 500:
        return Unconfirmed(f"{who} broke, and does not say whether it took the text: {words}")
    return Refused(f"{who} said no: {words}")


def plain(words: object, *secrets: str) -> str:
    """A gateway's words for people and logs: no key of ours, no phone number, nothing that moves a cursor."""
    text = str(words)
    for secret in secrets:
        if len(secret) >= 8:
            text = text.replace(secret, "***")
    text = re.sub(r"\+?[0-9]{9,15}(?![0-9])", "•••", text)
    return re.sub(r"[^\x20-\x7e•]+", " ", text).strip()[:200]


def shown(reply: Reply, *secrets: str) -> str:
    """An answer that is no document, in words."""
    if b"<" in reply.body or not reply.body:
        return f"HTTP {reply.status} with {'a web page' if reply.body else 'an empty page'}"
    return f"HTTP {reply.status}: {plain(reply.body[:400].decode('utf-8', 'replace'), *secrets)}"
