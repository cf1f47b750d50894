"""The two TCP ports of the pretend router; both can be pulled out and plugged in again."""

import contextlib
import socket
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from edge.simulators.router.connection import ApiConnection
from edge.simulators.router.machine import Machine
from edge.simulators.router.pages import Page, Pages, Visit

BODY_LIMIT = 64 * 1024


class _Server(socketserver.ThreadingTCPServer):
    """A thread a connection; all of them can be cut at once."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    tls: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler], port: "Port") -> None:
        self.port = port
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, handler)

    def get_request(self) -> tuple[Any, Any]:
        """With TLS the handshake waits for the connection's own thread."""
        wire, address = super().get_request()
        if self.tls is not None:
            wire = self.tls.wrap_socket(wire, server_side=True, do_handshake_on_connect=False)
        return wire, address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Every open connection ends now."""
        with self._guard:
            for wire in self._open:
                with contextlib.suppress(OSError):
                    wire.shutdown(socket.SHUT_RDWR)

    def count(self) -> int:
        with self._guard:
            return len(self._open)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nobody's fault."""


class Port:
    """One listening port. Its number stays the same however often it is unplugged."""

    def __init__(self, machine: Machine, address: tuple[str, int]) -> None:
        self.machine = machine
        self.host, self.number = address
        self._server: _Server | None = None

    def plug(self) -> None:
        """Listen."""
        if self._server is None:
            self._server = self.open_server((self.host, self.number))
            self.number = int(self._server.server_address[1])
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def unplug(self) -> None:
        """Refuse whoever comes and cut off whoever is there."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.cut()

    def close_door(self) -> None:
        """Refuse whoever comes; who is there stays."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def cut(self) -> None:
        """Cut off whoever is there; new connections are welcome."""
        if self._server is not None:
            self._server.cut()

    def is_crowded(self) -> bool:
        """Does this connection go beyond the most that the service takes?"""
        return self._server is not None and self._server.count() > self.machine.max_sessions

    def open_server(self, address: tuple[str, int]) -> _Server:
        raise NotImplementedError


class ApiPort(Port):
    """RouterOS's API."""

    def open_server(self, address: tuple[str, int]) -> _Server:
        server = _Server(address, _ApiHandler, self)
        server.tls = self.machine.tls
        return server


class WebPort(Port):
    """The hotspot's own web pages."""

    def __init__(self, machine: Machine, address: tuple[str, int], pages: Pages) -> None:
        super().__init__(machine, address)
        self.pages = pages

    def open_server(self, address: tuple[str, int]) -> _Server:
        return _Server(address, _WebHandler, self)


class _ApiHandler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        port = self.server.port
        if port.is_crowded():
            return
        wire = self.request
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(wire, ssl.SSLSocket):
            wire.do_handshake()
        ApiConnection(wire, port.machine).run()


class _WebHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "RouterOS"
    sys_version = ""
    timeout = 30
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        told = self.headers.get("Content-Length", "0")
        size = int(told) if told.isascii() and told.isdigit() and len(told) < 10 else 0
        if size > BODY_LIMIT:
            self.close_connection = True
            return
        raw = self.rfile.read(size).decode("utf-8", "replace")
        form = dict(parse_qsl(raw, keep_blank_values=True)) if self.command == "POST" else {}
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.server.port
        assert isinstance(port, WebPort)
        self._send(port.pages.answer(Visit(self.command, self.path, headers, form, str(self.client_address[0]))))

    def _send(self, page: Page) -> None:
        body = page.body.encode("utf-8", "replace")
        self.send_response(page.status)
        headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"} | page.headers
        if page.status != 204:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and page.status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The simulator tells its own story."""
