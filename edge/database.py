"""The one database: how it is opened, and the one writer that shares its commits."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import peewee

from edge import postgres, sqlite
from edge.errors import EdgeError, NotDurable
from edge.postgres import PostgresServer
from edge.sealing import FILE as KEY_FILE
from edge.sealing import seal
from edge.sqlite import SqliteFile

P = ParamSpec("P")
T = TypeVar("T")

db = peewee.DatabaseProxy()

BATCH = 64
FOLLOWERS = 8  # in one transaction: whoever calls meanwhile waits for no more
QUIET_S = 0.004  # nobody called for so long: time for what follows
LATEST_S = 0.2  # what follows is done between two batches when it waited for so long

Entry = tuple[Callable[[], Any], "Future[Any]", bool]
Answer = tuple[Any, BaseException | None]
log = logging.getLogger("edge.database")


class DatabaseBroken(EdgeError):
    """It is damaged, or unfit for a box: a backup must be restored, or a fit one made, before selling on."""


def open_database(place: Path | str) -> None:
    """Bind every model to this file, or to the server of a postgresql:// address. Threads connect when they ask.

    What is sealed in a file opens with the keys beside it; a server's with those the settings name (`seal.point_to`).
    NoDriver when the library that the server needs is missing.
    """
    in_memory = not isinstance(place, Path) or place.name == ":memory:"
    seal.point_to(None if in_memory else Path(place).parent / KEY_FILE)
    db.initialize(PostgresServer(place) if isinstance(place, str) else SqliteFile(place))


def close_database() -> None:
    """Close this thread's connection."""
    if db.obj is not None:
        db.close()


def quick_check() -> None:
    """Raise DatabaseBroken with the database's own words when it is damaged or unfit."""
    words = db.faults()
    if words:
        raise DatabaseBroken("the database is " + "; ".join(words))


def health() -> list[tuple[str, str, str]]:
    """How the database does: state (ok, warning, problem), words and cure of each finding, for `edge doctor`."""
    found: list[tuple[str, str, str]] = db.health()
    return found


def is_storage_fault(reason: BaseException | None) -> bool:
    """Is this the database's fault (disk full, locked, away …), and not that of what was asked of it?"""
    seen = 0
    while reason is not None and seen < 10:
        if sqlite.is_storage_fault(reason) or postgres.is_storage_fault(reason):
            return True
        reason, seen = reason.__cause__ or reason.__context__, seen + 1
    return False


class Writer:
    """Everybody's transactions, each in a savepoint, committed together.

    A flush on an SD card takes ten milliseconds and more; shared, it is paid once for all who wait. Whoever comes
    while nobody commits does so himself, and for those who came meanwhile the writer's thread does it. What follows
    from their writes, and nobody waits for, that thread does between the batches (`follow`).
    """

    def __init__(self) -> None:
        self._work: deque[Entry] = deque()
        self._turn = threading.Lock()  # whoever holds it commits
        self._call = threading.Semaphore(0)  # for the thread: something is left to do
        self._followers: deque[tuple[float, Callable[[], object]]] = deque()
        self.fault = ""  # why the last commit failed; empty when it did not
        self._is_stopping = False
        self._caught_up = threading.Condition()
        self._promised = self._followed = 0  # how many followers ever, and how many of them are done with
        self._thread: threading.Thread | None = None
        self._door = threading.Lock()  # nobody slips in behind the writer's last batch and waits for ever

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        with self._door:
            if self._thread is None:
                self._is_stopping = False
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Finish what was handed over; later work runs in its caller's thread."""
        with self._door:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._is_stopping = True
                self._call.release()
        if thread is not None:
            thread.join()

    def write(self, work: Callable[[], T], *, durable: bool = True) -> T:
        """Run `work` in the next shared transaction; returns, or raises, once it is durable on disk.

        NotDurable when the database could not keep it; whatever else `work` raised undoes `work` alone. Not
        `durable`: others see it at once, and a power cut before the next durable commit may undo it. For what would
        then be done again, harmlessly: it spares the card a flush.
        """
        is_free = self._thread is not None and not self._work and not db.in_transaction()
        if is_free and self._turn.acquire(blocking=False):
            return self._commit_own(work, durable)
        promise: Future[T] = Future()
        if not self._hand_over(work, promise, durable):
            return write_alone(work)
        self._commit_if_nobody_does()
        return promise.result()

    def _commit_own(self, work: Callable[[], T], durable: bool) -> T:
        """The usual case, and the quickest: nobody else writes. Who comes meanwhile is the thread's to serve."""
        try:
            answer, fault = self._commit([(work, durable)])[0]
        finally:
            self._turn.release()
            if self._work:
                self._call.release()
        if fault is not None:
            raise fault
        return answer  # type: ignore[no-any-return]

    def begin(self, work: Callable[[], T]) -> "Future[T]":
        """`write` without waiting: the answer, or what was raised, comes once it is durable, in the writer's thread."""
        promise: Future[T] = Future()
        if self._hand_over(work, promise, True):
            self._call.release()
            return promise
        try:
            promise.set_result(write_alone(work))
        except Exception as reason:  # handed to whoever asks the promise, as the writer does
            promise.set_exception(reason)
        return promise

    def _hand_over(self, work: Callable[[], T], promise: "Future[T]", durable: bool) -> bool:
        with self._door:
            shared = self._thread is not None and not db.in_transaction()
            if shared:
                self._work.append((partial(copy_context().run, work), promise, durable))  # its trace goes with it
        return shared

    def _commit_if_nobody_does(self) -> None:
        """One batch, with our own work in it or at its end. Who commits now looks again when he is done."""
        if self._turn.acquire(blocking=False):
            try:
                self._commit_batch()
            finally:
                self._turn.release()
            if self._work:
                self._call.release()

    def follow(self, work: Callable[[], T]) -> T | None:
        """Run `work` soon, in a transaction of its own, when nobody waits for a commit; None: not done yet.

        Only for what a sweep would find and do anyway. Without a running writer it is done now and answered.
        """
        with self._door:
            shared = self._thread is not None
            if shared:
                self._followers.append((time.monotonic(), partial(copy_context().run, work)))
                self._promised += 1
                self._call.release()
        return None if shared else write_alone(work)

    def catch_up(self, timeout_s: float) -> bool:
        """Wait until all that follows from earlier writes is done; False when the time is over first."""
        with self._door:
            promised = self._promised
        with self._caught_up:
            return self._caught_up.wait_for(lambda: self._followed >= promised, timeout_s)

    def _run(self) -> None:
        while not (self._is_stopping and not self._work):
            # Who came while the turn was ours did not take it himself. Nobody called for a moment: what follows.
            was_called = bool(self._work) or self._call.acquire(timeout=QUIET_S if self._followers else None)
            with self._turn:
                while self._work:
                    self._commit_batch()
                late = bool(self._followers) and time.monotonic() - self._followers[0][0] > LATEST_S
                if self._followers and (late or not was_called):
                    self._follow_up()
        with self._turn:
            while self._followers:
                self._follow_up()
        close_database()

    def _commit_batch(self) -> None:
        batch = [self._work.popleft() for _ in range(min(BATCH, len(self._work)))]
        if not batch:
            return
        try:
            answers = self._commit([(work, durable) for work, _, durable in batch])
        except NotDurable as reason:
            for _, promise, _ in batch:
                promise.set_exception(reason)
            return
        for (_, promise, _), (answer, fault) in zip(batch, answers, strict=True):
            if fault is None:
                promise.set_result(answer)
            else:
                promise.set_exception(fault)

    def _follow_up(self) -> None:
        """Some of what follows, in one transaction, until somebody waits again."""
        taken = 0
        try:
            db.flush_each_commit(True)
            with db.atomic("IMMEDIATE"):
                while self._followers and taken < FOLLOWERS and (not self._work or not taken):
                    taken += 1
                    _, fault = _attempt(self._followers.popleft()[1])
                    if fault is not None:
                        log.error("left to the sweep: %s", fault, exc_info=fault)
        except Exception:  # nobody waits for it, and the sweep finds it: the writer must live
            log.exception("what follows from a write could not be kept; left to the sweep")
            with self._door:
                if not taken:  # it could not even begin, and would not the next moment
                    taken = len(self._followers)
                    self._followers.clear()
        with self._caught_up:
            self._followed += taken
            self._caught_up.notify_all()

    def _commit(self, batch: list[tuple[Callable[[], Any], bool]]) -> list[Answer]:
        """One transaction for all of them; NotDurable when it could not be kept, whatever it was."""
        try:
            db.flush_each_commit(any(durable for _, durable in batch))
            with db.atomic("IMMEDIATE") as whole:
                if len(batch) == 1:
                    answers = [_attempt_all(batch[0][0], whole)]
                else:
                    answers = [_attempt(work) for work, _ in batch]
        except BaseException as reason:  # nobody in this batch may be told "kept"
            self.fault = f"nothing can be kept: {reason}"
            raise _not_durable(reason) from reason
        self.fault = ""
        return answers


def _attempt(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """One caller's share of the batch: its fault undoes its own writes and nobody else's."""
    try:
        with db.savepoint():
            return work(), None
    except BaseException as reason:  # handed back to the caller, who waits for it
        if is_storage_fault(reason) or not db.is_alive():
            raise
        return None, reason


def _attempt_all(work: Callable[[], T], whole: Any) -> tuple[T | None, BaseException | None]:
    """The same for a batch of one, spared the savepoint: two ways to a server and back."""
    try:
        return work(), None
    except BaseException as reason:  # handed back to the caller, who waits for it
        if is_storage_fault(reason):
            raise
        whole.rollback()
        return None, reason


def write_alone(work: Callable[[], T]) -> T:
    """The same promise without a writer thread: a command line, a test."""
    try:
        if not db.in_transaction():
            db.flush_each_commit(True)
        with db.atomic("IMMEDIATE"):
            return work()
    except peewee.PeeweeException as reason:
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
