"""The HTTP side of the pretend M-Pesa: listens, answers, and posts callbacks."""

import http.client
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from edge.errors import BadInput
from edge.simulators.mpesa.wire import Reply

BODY_LIMIT = 256 * 1024
Answer = Callable[[str, str, dict[str, str], bytes], Reply | None]


class Listener(ThreadingHTTPServer):
    """A threaded HTTP/1.1 server that hands every request to one function."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], answer: Answer) -> None:
        self.answer = answer
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nobody's fault."""


class Served:
    """A simulator that speaks HTTP while it is entered; what it begins meanwhile ends with it."""

    def __init__(self) -> None:
        self._closing = threading.Event()
        self._listener: Listener | None = None

    def __enter__(self) -> Self:
        self._listener = self._listen()
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
        self.wait_until_quiet()

    @property
    def base_url(self) -> str:
        """Where it listens; only while it is open."""
        if self._listener is None:
            raise BadInput("the simulator is not open")
        host, port = self._listener.server_address[:2]
        return f"http://{host!s}:{port}"

    def _listen(self) -> Listener:
        """Open its port."""
        raise NotImplementedError

    def wait_until_quiet(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that it began has ended; False when time ran out."""
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Apigee"
    timeout = 30
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isascii() and length.isdigit() else 0
        if size > BODY_LIMIT:
            self.close_connection = True
            return
        raw = self.rfile.read(size)
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = self.server.answer(self.command, self.path, headers, raw)
        try:
            if found is None or found.lost:
                self._hang_up()
            else:
                self._send(found)
        finally:  # whoever hung up before our answer still gets the prompt
            if found is not None and found.then is not None:
                found.then()

    def _send(self, found: Reply) -> None:
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(found.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(found.body)
        self.wfile.flush()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """The simulator tells its own story."""


def post_callback(url: str, shortcode: str, body: dict[str, Any], timeout_s: float = 10.0) -> int | None:
    """Post how a checkout ended, once, with the header that M-Pesa sends with it; None when nobody answered."""
    found = post(url, body, {"BusinessShortCode": shortcode}, timeout_s)
    return None if found is None else found[0]


def post(
    url: str, body: dict[str, Any], more_headers: dict[str, str] | None = None, timeout_s: float = 10.0
) -> tuple[int, bytes] | None:
    """Post to exactly this address, once; status and body of the answer, None when nobody answered in time."""
    headers = {"Content-Type": "application/json;charset=UTF-8", **(more_headers or {}), "Connection": "close"}
    try:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        target = url.split(parts.netloc, 1)[1].partition("#")[0] or "/"
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        try:
            connection.request("POST", target, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read(BODY_LIMIT)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):
        return None
