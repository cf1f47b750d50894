"""What the tests of the pretend router share: a client that knows nothing but bytes, and a phone's browser."""

import html
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import requests

from edge.simulators.router import RouterSimulator
from edge.simulators.router.words import SentenceReader, encode_sentence

PHONE, TABLET = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"
ASHA = {"X-Sim-MAC": PHONE, "X-Sim-IP": "10.5.50.2"}
Sentence = list[str]


class Wire:
    """A client that knows nothing but bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._reader = SentenceReader()
        self._waiting: list[Sentence] = []

    def send(self, *words: str | bytes) -> None:
        self.socket.sendall(encode_sentence(words))

    def read(self) -> Sentence:
        """The next sentence; [] when the router hung up."""
        while not self._waiting:
            data = self.socket.recv(65536)
            if not data:
                return []
            self._waiting += [[word.decode() for word in words] for words in self._reader.feed(data)]
        return self._waiting.pop(0)

    def read_until_done(self) -> list[Sentence]:
        sentences = [self.read()]
        while sentences[-1] and sentences[-1][0] != "!done":
            sentences.append(self.read())
        return sentences

    def ask(self, *words: str | bytes) -> list[Sentence]:
        self.send(*words)
        return self.read_until_done()


def log_in(gate: RouterSimulator, name: str = "edge", password: str = "edge") -> Wire:
    """A client who is in."""
    wire = Wire(gate.port)
    assert wire.ask("/login", f"=name={name}", f"=password={password}") == [["!done"]]
    return wire


def message(answer: list[Sentence]) -> str:
    """The words of a refusal; '' when there was none."""
    if answer[0][0] != "!trap":
        return ""
    return next(word.removeprefix("=message=") for word in answer[0] if word.startswith("=message="))


def rows(answer: list[Sentence]) -> list[dict[str, str]]:
    """The rows of an answer."""
    told = [[word.removeprefix("=").partition("=") for word in words[1:]] for words in answer if words[0] == "!re"]
    return [{name: value for name, _, value in words} for words in told]


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def get(gate: RouterSimulator, path: str, **more: Any) -> requests.Response:
    options: dict[str, Any] = {"headers": ASHA, "timeout": 30, "allow_redirects": False} | more
    return requests.get(f"http://127.0.0.1:{gate.http_port}{path}", **options)


def form_of(page: str) -> dict[str, str]:
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page))
    action = re.search(r'<form method="post" action="([^"]+)"', page)
    assert action is not None
    return {name: html.unescape(value) for name, value in (fields | {"action": action[1]}).items()}


def unescape(octal: str) -> bytes:
    return bytes(int(digits, 8) for digits in re.findall(r"\\([0-7]{3})", octal))
