"""Starts `edge` processes from one that has everything imported already: a tenth of a second instead of one.

What is forked is a process like any other: own number, own threads, own state, to be killed alone.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from edge.__main__ import main

ROOT = Path(__file__).resolve().parent.parent.parent


class Child:
    """One process of the box, as far as Popen's manners are needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def poll(self) -> int | None:
        """None while it lives."""
        return None if Path(f"/proc/{self.pid}").exists() else 0

    def wait(self, timeout_s: float = 60.0) -> int:
        until = time.monotonic() + timeout_s
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("edge", timeout_s)
            time.sleep(0.002)
        return 0


class Nursery:
    """The process that forks; everything it forks has its environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        line = [sys.executable, "-m", "tests.torture.nursery"]
        self._process = subprocess.Popen(
            line, env=dict(environ), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip

    def start(self, words: list[str], log: Path) -> Child:
        """`edge WORDS`, with what it says in this file."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([words, str(log)]) + "\n")
        self._process.stdin.flush()
        return Child(int(self._process.stdout.readline()))

    def close(self) -> None:
        """Its children live on: stop them first."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def serve() -> None:
    """Fork once a line, tell the number, go on."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who dies is gone at once
    while line := os.read(0, 65536):
        words, log = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(words, log)
            main()
            os._exit(0)
        os.write(1, f"{pid}\n".encode())


def _become(words: list[str], log: str) -> None:
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    sys.argv = ["edge", *words]


if __name__ == "__main__":
    serve()
