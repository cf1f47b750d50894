"""The bell: it says "look sooner" to whoever works a queue, here or in another process. It never raises."""

import contextlib
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

log = logging.getLogger("edge.bell")

EVERY_QUEUE = "*"
SCHEDULE = "@"  # rung when work was put off: whoever wakes it sleeps no longer than until then


class Bell:
    """A condition for threads of this process, a Unix datagram for the worker in another; a carrier goes farther."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, threading.Condition] = {}  # one a queue: a ring wakes nobody else's workers
        self._rings: dict[str, int] = {}
        self._waiting: Counter[str] = Counter()
        self._carrier: Callable[[list[str]], object] | None = None
        self._path: Path | None = None
        self._own: Path | None = None
        self._voice: socket.socket | None = None

    def point_to(self, path: Path) -> None:
        """Ring at this socket when the workers live in another process."""
        self._path = path

    def carry(self, carrier: Callable[[list[str]], object] | None) -> None:
        """Ring on other machines too: the carrier takes the names of queues and returns at once (`edge.delivery`)."""
        self._carrier = carrier

    def ring(self, queues: Iterable[str] = (EVERY_QUEUE,)) -> None:
        """Wake somebody who waits for each of these queues.

        Lost harmlessly when nobody listens: the poll finds the row.
        """
        try:
            self._ring(list(queues))
        except Exception:  # after a commit a raise would deny what is already in the books
            log.exception("the bell broke; the workers' poll will find the row")

    def _ring(self, names: list[str]) -> None:
        self.hear(names)
        if self._path is not None:
            self._call(self._path, names)
        if self._carrier is not None and names != [SCHEDULE]:
            self._carrier(names)

    def hear(self, names: Iterable[str]) -> None:
        """It was rung elsewhere: wake somebody who waits here. Who finds more than he can take wakes the next."""
        with self._lock:
            for name in names:
                self._rings[name] = self._rings.get(name, 0) + 1
                if name == EVERY_QUEUE:
                    for changed in self._changed.values():
                        changed.notify_all()
                elif name in self._changed:
                    self._changed[name].notify()

    def wait(self, queue: str, seen: int, timeout_s: float) -> int:
        """Sleep until this queue was rung after `seen`, or the time is over; returns the count to pass next time."""
        with self._lock:
            changed = self._changed.setdefault(queue, threading.Condition(self._lock))
            self._waiting[queue] += 1
            try:
                changed.wait_for(lambda: self.count(queue) != seen, timeout_s)
            finally:
                self._waiting[queue] -= 1
            return self.count(queue)

    def is_awaited(self, queue: str) -> bool:
        """Does somebody in this process wait for this queue?"""
        return self._waiting[queue] > 0

    def count(self, queue: str) -> int:
        """How often this queue was rung."""
        return self._rings.get(queue, 0) + self._rings.get(EVERY_QUEUE, 0)

    def listen(self, path: Path) -> None:
        """Become a worker's ear: a datagram socket in the state folder that only this user may ring.

        A second worker process listens beside the first, at `bell.PID.sock`; whoever rings, rings all.
        """
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._own = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}") if _is_heard(path) else path
        with contextlib.suppress(FileNotFoundError):
            self._own.unlink()
        ear.bind(_within_limit(self._own))
        os.chmod(self._own, 0o600)
        threading.Thread(target=self._hear, args=(ear,), name="bell", daemon=True).start()

    def _hear(self, ear: socket.socket) -> None:
        while True:
            self.hear(ear.recv(4096).decode(errors="replace").split() or [EVERY_QUEUE])

    def _call(self, path: Path, names: list[str]) -> None:
        if self._voice is None:
            self._voice = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._voice.setblocking(False)
        own = self._own.name if self._own is not None else ""
        told = " ".join(names).encode()
        for name in os.listdir(path.parent):  # on everybody's way, so without the comfort of glob
            if name != own and name.startswith(path.stem) and name.endswith(path.suffix):
                with contextlib.suppress(OSError):  # nobody listens: that worker's slow poll will find the row
                    self._voice.sendto(told, _within_limit(path.parent / name))


def _is_heard(path: Path) -> bool:
    """Does a living process listen there?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(_within_limit(path))
        except OSError:
            return False
    return True


def _within_limit(path: Path) -> str:
    """A socket's address holds 107 bytes; a deep state folder is named through an open handle on it."""
    if len(os.fsencode(path)) < 108:
        return str(path)
    if path.parent not in _FOLDERS:
        _FOLDERS[path.parent] = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    return f"/proc/self/fd/{_FOLDERS[path.parent]}/{path.name}"


_FOLDERS: dict[Path, int] = {}

bell = Bell()
