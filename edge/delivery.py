"""The bell beyond one machine: Redis carries a ring, or PostgreSQL itself. Lost or doubled, it changes nothing."""

import logging
import queue
import select
import threading
import time
from collections.abc import Iterable
from typing import Any, Protocol

import peewee
from huey import storage

from edge.bell import EVERY_QUEUE, bell
from edge.errors import EdgeError
from edge.postgres import PATIENCE

log = logging.getLogger("edge.delivery")

PATIENCE_S = 3.0  # with a server that does not answer
LISTEN_S = 1.0  # so long without a word; then the queues are chosen anew
PAUSE_S = 2.0  # until a server that was away is asked again
KEPT, KEPT_S = 64, 60  # messages a queue, and for how long, when nobody listens
AT_ONCE = 256


class NoRedis(EdgeError):
    """The library that speaks with Redis is not installed."""


class Line(Protocol):
    """A way to other machines."""

    def send(self, names: list[str]) -> None:
        """Tell of these queues, once for each time they are named."""

    def hear(self, queues: list[str], timeout_s: float) -> list[str]:
        """Which of these were told of; waits so long."""

    def close(self) -> None:
        """Let go of the connection."""


class RedisLine:
    """One of Huey's lists a queue: a message wakes one process, whose workers then look into the database."""

    def __init__(self, url: str) -> None:
        if storage.Redis is None:
            raise NoRedis("[queue] url names Redis, and its library is missing: pip install edge[redis]")
        self._pool = storage.ConnectionPool.from_url(
            url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S
        )
        self._lists: dict[str, storage.RedisStorage] = {}
        self._server = storage.Redis(connection_pool=self._pool)

    def send(self, names: list[str]) -> None:
        pipe = self._server.pipeline(transaction=False)
        for name in names:
            pipe.lpush(self._key(name), b"look")
        for name in set(names):  # nobody listens, perhaps, and it must not grow
            pipe.ltrim(self._key(name), 0, KEPT - 1)
            pipe.expire(self._key(name), KEPT_S)
        pipe.execute()

    def hear(self, queues: list[str], timeout_s: float) -> list[str]:
        """A busy process leaves its messages to others; it looks by itself as soon as it has a free hand."""
        awaited = {self._key(name).encode(): name for name in queues if bell.is_awaited(name)}
        if not awaited:
            time.sleep(0.05)
            return []
        found = self._server.brpop(list(awaited), timeout=timeout_s)
        if found is None:
            return []
        name = awaited[found[0]]
        if bell.is_awaited(name):
            return [name]
        self.send([name])  # the last free hand was taken meanwhile
        return []

    def close(self) -> None:
        self._pool.disconnect()

    def _key(self, name: str) -> str:
        if name not in self._lists:
            self._lists[name] = storage.RedisStorage(f"edge.{name}", connection_pool=self._pool, clean_name=False)
        return str(self._lists[name].queue_key)


class PostgresLine:
    """NOTIFY and LISTEN: every process hears every ring, without a second server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._heard: list[str] = []

    def send(self, names: list[str]) -> None:
        self._open().execute("SELECT pg_notify('edge', %s)", (" ".join(sorted(set(names))),))

    def hear(self, queues: list[str], timeout_s: float) -> list[str]:
        connection = self._open()
        connection.execute("LISTEN edge")  # once would do; it brings in what has come meanwhile, too
        if not self._heard and select.select([connection], [], [], timeout_s)[0]:
            connection.execute("SELECT 1")  # notes are handed over on the way
        heard, self._heard[:] = set(self._heard), []
        return [name for name in queues if name in heard]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> Any:
        if self._connection is None:
            self._connection = peewee.psycopg.connect(self._url, autocommit=True, **PATIENCE)
            self._connection.add_notify_handler(lambda note: self._heard.extend(note.payload.split()))
        return self._connection


def line_to(url: str) -> Line | None:
    """The way that this address names; None for a box that is one machine. NoRedis when its library is missing."""
    if url.startswith("postgresql://"):
        return PostgresLine(url)
    return RedisLine(url) if url and not url.startswith("sqlite:") else None


class Delivery:
    """Carries rings in a thread of its own, so that no commit waits for it, and hears them in another."""

    def __init__(self) -> None:
        self._url = ""
        self._out: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._ending = threading.Event()

    def point_to(self, url: str) -> None:
        """Ring by this address, redis://… or postgresql://…; by any other, on this machine alone."""
        self.close()
        line = line_to(url)
        self._url, self._out = url, queue.SimpleQueue()
        self._ending.clear()
        if line is not None:
            bell.carry(self._out.put)
            self._begin(self._send, line)

    def listen(self, queues: Iterable[str]) -> None:
        """Wake this process's workers when one of their queues is rung on another machine."""
        line = line_to(self._url)
        if line is not None:
            self._begin(self._hear, line, list(queues))

    def close(self) -> None:
        """Send what is to be sent, and end."""
        bell.carry(None)
        self._ending.set()
        self._out.put(None)
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)
        self._threads.clear()

    def _begin(self, act: Any, *args: Any) -> None:
        thread = threading.Thread(target=act, args=args, name=f"delivery{act.__name__}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _send(self, line: Line) -> None:
        is_away = False
        while (names := self._gather()) is not None:
            try:
                if names:
                    line.send(names)
                is_away = _told(is_away, None)
            except Exception as reason:  # a ring is no more than a hint, and whatever broke must not end the thread
                is_away = _told(is_away, reason)
                line.close()
                self._ending.wait(0 if self._out.empty() else PAUSE_S)
        line.close()

    def _gather(self) -> list[str] | None:
        """All that were rung since; None at the end. What nobody could be told of in time is told no more."""
        names: list[str] | None = self._out.get()
        while names is not None and not self._out.empty():
            more = self._out.get()
            if more is None:
                self._out.put(None)
                break
            names = [*names, *more][-AT_ONCE:]
        return None if names is None else [name for name in names if name != EVERY_QUEUE]

    def _hear(self, line: Line, queues: list[str]) -> None:
        is_away = False
        while not self._ending.is_set():
            try:
                bell.hear(line.hear(queues, LISTEN_S))
                if is_away:
                    bell.hear(queues)  # what was rung meanwhile was not heard
                is_away = _told(is_away, None)
            except Exception as reason:  # the workers' slow poll carries on
                is_away = _told(is_away, reason)
                line.close()
                self._ending.wait(PAUSE_S)
        line.close()


def _told(was_away: bool, reason: Exception | None) -> bool:
    """Tell once that the way is blocked, and once that it is free again; returns whether it is blocked."""
    if reason is not None and not was_away:
        log.warning("no ring reaches other machines, whose workers look every few seconds anyway: %s", reason)
    if reason is None and was_away:
        log.warning("rings reach other machines again")
    return reason is not None


def health(url: str) -> list[tuple[str, str, str]]:
    """How the way to other machines does: state (ok, problem), words and cure, for `edge doctor`."""
    try:
        line = line_to(url)
        if line is None:
            return []
        try:
            line.hear([], 0.1)
            line.send(["doctor"])
        finally:
            line.close()
    except Exception as reason:  # of whatever library, it means the same
        words = f"no ring reaches other machines, their workers find work within 5 seconds: {reason}"
        return [("warning", words, "start Redis (systemctl start redis-server), or mend [queue] url")]
    return [("ok", "rings reach other machines by " + ("Redis" if isinstance(line, RedisLine) else "PostgreSQL"), "")]


delivery = Delivery()
