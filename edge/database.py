"""The one database file: how it is opened, and the one writer that shares its commits."""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import peewee

from edge.errors import EdgeError, NotDurable

P = ParamSpec("P")
T = TypeVar("T")

db = peewee.DatabaseProxy()

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "busy_timeout": 10_000,
    "cache_size": -1_000,  # KiB a connection; each thread has its own
    "journal_size_limit": 16 * 1024 * 1024,
}
BATCH = 64

# SQLite's primary codes that blame one statement. Every other one (full, locked, read-only, damaged, input or
# output) concerns the whole file, and nothing of the transaction may be called kept (sqlite.org/rescode.html).
_STATEMENT_FAULTS = frozenset(
    {
        sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE,
    }
)  # fmt: skip


class DatabaseBroken(EdgeError):
    """The file failed its integrity check; restore a backup before selling on."""


def open_database(path: Path) -> None:
    """Bind every model to this file. Threads connect by themselves when they first ask."""
    db.initialize(peewee.SqliteDatabase(str(path), pragmas=PRAGMAS, timeout=10, autoconnect=True))


def close_database() -> None:
    """Close this thread's connection."""
    if db.obj is not None and not db.is_closed():
        db.close()


def quick_check() -> None:
    """Raise DatabaseBroken with SQLite's own words when a page of the file is damaged."""
    try:
        words = [row[0] for row in db.execute_sql("PRAGMA quick_check").fetchall()]
    except (peewee.DatabaseError, sqlite3.DatabaseError) as reason:  # too damaged to be read through
        words = [str(reason)]
    if words != ["ok"]:
        raise DatabaseBroken("the database is damaged: " + "; ".join(words[:3]))


def is_storage_fault(reason: BaseException | None) -> bool:
    """Is this the file's fault (disk full, locked, damaged …), and not that of what was asked of it?"""
    seen = 0
    while reason is not None and seen < 10:
        code = getattr(reason, "sqlite_errorcode", None)
        if code is not None and code & 0xFF not in _STATEMENT_FAULTS:
            return True
        reason, seen = reason.__cause__ or reason.__context__, seen + 1
    return False


class Writer:
    """One thread that runs everybody's transactions, each in a savepoint, and commits them together.

    A flush on an SD card takes ten milliseconds and more; shared, it is paid once for all who wait.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._door = threading.Lock()  # nobody slips in behind the writer's last batch and waits for ever

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        with self._door:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Finish what was handed over; later work runs in its caller's thread."""
        with self._door:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._work.put(None)
        if thread is not None:
            thread.join()

    def write(self, work: Callable[[], T]) -> T:
        """Run `work` in the next shared transaction; returns, or raises, once it is durable on disk.

        NotDurable when the database could not keep it; whatever else `work` raised undoes `work` alone.
        """
        promise: Future[T] = Future()
        with self._door:
            shared = self._thread is not None and self._thread is not threading.current_thread()
            if shared:
                self._work.put((work, promise))
        return promise.result() if shared else write_alone(work)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch = [self._work.get()]
            while len(batch) < BATCH and not self._work.empty():
                batch.append(self._work.get())
            stopping = None in batch
            self._commit([entry for entry in batch if entry is not None])
        close_database()

    def _commit(self, batch: list[tuple[Callable[[], Any], "Future[Any]"]]) -> None:
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with db.atomic("IMMEDIATE"):
                for work, promise in batch:
                    answers.append((promise, *_attempt(work)))
        except BaseException as reason:  # whatever it was, nobody in this batch may be told "kept"
            for _, promise in batch:
                promise.set_exception(_not_durable(reason))
            return
        for promise, answer, fault in answers:
            if fault is None:
                promise.set_result(answer)
            else:
                promise.set_exception(fault)


def _attempt(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """One caller's share of the batch: its fault undoes its own writes and nobody else's."""
    try:
        with db.savepoint():
            return work(), None
    except BaseException as reason:  # handed back to the caller, who waits for it
        if is_storage_fault(reason) or not _is_alive():
            raise
        return None, reason


def _is_alive() -> bool:
    """On some faults SQLite undoes the whole transaction by itself; what follows would be kept piece by piece."""
    return bool(db.connection().in_transaction)


def write_alone(work: Callable[[], T]) -> T:
    """The same promise without a writer thread: a command line, a test."""
    try:
        with db.atomic("IMMEDIATE"):
            return work()
    except peewee.DatabaseError as reason:
        if is_storage_fault(reason):
            raise _not_durable(reason) from reason
        raise


def _not_durable(reason: BaseException) -> NotDurable:
    return NotDurable(f"the database could not keep it: {reason}")


writer = Writer()


def transaction(verb: Callable[P, T]) -> Callable[P, T]:
    """Make a domain verb one durable transaction; called inside another, it is part of that one."""

    @wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if db.in_transaction():
            return verb(*args, **kwargs)
        return writer.write(partial(verb, *args, **kwargs))

    return run
