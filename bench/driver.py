"""A worker process for measuring: the box's own workers, and one more kind of work that only says it began."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

for name in ("redis", "psycopg", "psycopg2"):  # here for the tests; a box that needs them not does not have them
    sys.modules[name] = None  # type: ignore[assignment]

from edge import boot, database, settings, tasks  # noqa: E402
from edge.worker import Workers  # noqa: E402


def main() -> None:
    """`python -m bench.driver STATE EAR QUEUE…`: work until SIGTERM; each job is told to the datagram socket EAR."""
    state, ear = Path(sys.argv[1]), sys.argv[2]
    voice = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    voice.connect(ear)
    told = settings.load(state, environ={})
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    tasks.TASKS["bench.tell"] = tasks.Task(_teller(voice), repeatable=True)
    tasks.TASKS["bench.nothing"] = tasks.Task(lambda world, now, **args: None, repeatable=True)
    tasks.TASKS["bench.sleep"] = tasks.Task(_sleeper(voice), repeatable=True)
    boot.open_box(told)
    database.writer.start()
    workers = Workers(told, sys.argv[3:])
    workers.start()
    voice.send(b"ready")
    ending.wait()
    workers.stop()
    boot.close_box()


def _teller(voice: socket.socket) -> Callable[..., None]:
    def tell(world: tasks.World, now: datetime, n: int) -> None:
        voice.send(f"{n} {time.monotonic()} {os.getpid()}".encode())

    return tell


def _sleeper(voice: socket.socket) -> Callable[..., None]:
    def sleep(world: tasks.World, now: datetime, n: int) -> None:
        voice.send(f"{n} {time.monotonic()} {os.getpid()}".encode())
        time.sleep(60)

    return sleep


if __name__ == "__main__":
    main()
