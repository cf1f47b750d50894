"""What the web server answers without a thread: on the wire it must not be told from the rest."""

import json
import re
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection

import pytest

from edge.database import writer
from edge.models import Inbox
from edge.settings import Settings
from edge.settings_sections import Web
from edge.web import ROUTES, WebServer, build

GET = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
LAST = b"GET /nothing HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n"
OK, NOT_FOUND = "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"


@pytest.fixture
def server(box, shared_writer):
    server = WebServer(Settings(state=box.folder, web=Web(host="127.0.0.1", port=0, threads=2)))
    server.start()
    yield server
    server.stop()


@contextmanager
def busy_writer():
    """The writer is held up until this ends."""
    go = threading.Event()
    writer.begin(go.wait)
    try:
        yield
    finally:
        go.set()


def call(secret: str, number: int = 1) -> bytes:
    told = {"MerchantRequestID": "m", "CheckoutRequestID": f"ws_CO_{number}", "ResultCode": 1032}
    body = json.dumps({"Body": {"stkCallback": told}}).encode()
    return f"POST /cb/{secret} HTTP/1.1\r\nHost: box\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def exchange(server: WebServer, *parts: bytes, pause_s: float = 0.0) -> list[str]:
    """Send these pieces on one connection; the status lines that come back, in their order."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(pause_s)
        answer = b""
        while data := line.recv(65536):
            answer += data
    return [row.decode() for row in re.findall(rb"HTTP/1\.1 \d+ [A-Za-z ]+", answer)]


def test_one_connection_asks_again_and_again(server):
    line = HTTPConnection("127.0.0.1", server.port, timeout=20)
    for _ in range(3):
        line.request("GET", "/")
        answer = line.getresponse()
        assert answer.status == 200 and b"</html>" in answer.read()
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    line.close()


def test_requests_sent_in_one_breath_are_answered_in_their_order(server, box):
    secret = box.prompted().secret
    told = exchange(server, GET + call(secret) + GET + call("0" * 32) + LAST)
    assert told == [OK, OK, OK, NOT_FOUND, NOT_FOUND]


def test_a_request_that_comes_letter_by_letter_is_a_request(server, box):
    letters = call(box.prompted().secret) + LAST
    assert exchange(server, *(letters[n : n + 1] for n in range(len(letters)))) == [OK, NOT_FOUND]


def test_a_callback_is_answered_when_it_is_kept_and_not_before_and_others_do_not_wait(server, box):
    secret = box.prompted().secret
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.3) as line:
        with busy_writer():
            line.sendall(call(secret))
            with pytest.raises(TimeoutError):
                line.recv(100)
            assert exchange(server, *[GET] * 5, LAST) == [OK] * 5 + [NOT_FOUND]
        line.settimeout(20)
        assert line.recv(100).startswith(OK.encode())
    assert Inbox.select().count() == 1


def test_more_callbacks_wait_than_there_are_threads_and_all_are_kept(server, box):
    secret = box.prompted().secret
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(40)]
    with busy_writer():
        for number, line in enumerate(lines):
            line.sendall(call(secret, number))
        time.sleep(0.2)
    assert [line.recv(15) for line in lines] == [OK.encode()] * 40
    assert Inbox.select().count() == 40
    for line in lines:
        line.close()


def test_who_hangs_up_before_the_answer_is_kept_all_the_same(server, box):
    secret = box.prompted().secret
    with busy_writer():
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(call(secret))
            time.sleep(0.1)
        time.sleep(0.1)
    writer.write(lambda: None)  # its turn comes after the callback's
    assert exchange(server, GET, LAST) == [OK, NOT_FOUND]
    assert Inbox.select().count() == 1


def test_a_fault_at_the_door_is_left_to_the_page_itself(box):
    def broken(query: str) -> str:
        raise ZeroDivisionError

    routes = tuple(replace(route, quick=broken) if route.quick else route for route in ROUTES)
    app = build(Settings(state=box.folder), routes)
    told: list[object] = []
    app.begin({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}, told.append)
    assert told == [None]


@pytest.mark.parametrize(
    ("method", "path", "is_quick"),
    [
        ("GET", "/", True), ("POST", "/cb/0123abcd", True), ("GET", "/cb/0123abcd", False), ("POST", "/cb/", False),
        ("POST", "/cb/0123abcd/result", False), ("POST", "/", False), ("GET", "/admin/", False),
    ],
)  # fmt: skip
def test_only_what_is_ready_or_waits_for_the_writer_needs_no_thread(box, method, path, is_quick):
    assert build(Settings(state=box.folder)).needs_no_thread(method, path) == is_quick
