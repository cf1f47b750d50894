"""Huey's workers on our ledger: its own consumer claims rows, so there is no message to lose."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from huey import Huey
from huey.consumer import Consumer, Worker, WorkerRecycle
from huey.storage import MemoryStorage
from peewee import PeeweeException

from edge import jobs
from edge.bell import bell
from edge.database import close_database
from edge.errors import EdgeError
from edge.models import Job

log = logging.getLogger("edge.ledger")

BLIND_S = 2.0
POLL_S = 60.0  # the net under the bell is the worker's rhythm; this is the net under that

Runner = Callable[[Job, jobs.Ahead], Job | None]


class BellStorage(MemoryStorage):  # type: ignore[misc]
    """Nothing is stored here; `blocking` tells Huey's worker not to sleep, because dequeue itself waits."""

    blocking = True


@dataclass(frozen=True)
class Busy:
    """A thread at work: on which job, and since when by the monotonic clock."""

    job: Job
    began: float

    @property
    def is_overdue(self) -> bool:
        return bool(time.monotonic() - self.began > self.job.timeout_s)


class LedgerHuey(Huey):  # type: ignore[misc]
    """One queue of the ledger, seen by Huey as a queue of its own."""

    def __init__(
        self, queue: str, holder: str, run: Runner, is_repeatable: Callable[[str], bool],
        begun: threading.Event | None = None,
    ) -> None:  # fmt: skip
        """`begun` is set whenever a job begins: whoever watches time-outs may sleep until then."""
        super().__init__(queue, results=False, storage_class=BellStorage)
        self.queue = queue
        self.holder = holder
        self.stopping = threading.Event()
        self._run_job = run
        self._is_repeatable = is_repeatable
        self._begun = begun or threading.Event()
        self._is_blind = False
        self._lock = threading.Lock()
        self._wanted: set[int] = set()  # jobs that a thread here is claiming just now
        self._ahead: dict[threading.Thread, Job] = {}  # claimed with the end of the last one, begun next
        self._busy: dict[threading.Thread, Busy] = {}
        self._retired: set[threading.Thread] = set()  # they overran their time: a spare has their place
        self._task = self.task(name=f"{queue}.job")(self._run)

    def dequeue(self) -> Any:
        """Wait for the bell or the poll, then claim the next row; None lets Huey look at its stop flag."""
        if self.stopping.is_set():
            time.sleep(0.05)
            return None
        job = self._ahead.pop(threading.current_thread(), None)
        if job is None:
            count = bell.count(self.queue)
            try:
                job = self._claim()
            except (EdgeError, PeeweeException) as reason:
                self._wait_for_the_database(reason)
                return None
            self._is_blind = False
            if job is None:
                bell.wait(self.queue, count, POLL_S)
                return None
        return self._task.s(job)

    def _wait_for_the_database(self, reason: Exception) -> None:
        """Full, away or locked: said once, and looked for again in a while."""
        if not self._is_blind:
            self._is_blind = True
            log.error("the queue %s can't be looked into, and is again every %.0f s: %s", self.queue, BLIND_S, reason)
        self.stopping.wait(BLIND_S)

    def read_schedule(self, timestamp: Any = None) -> list[Any]:
        """Nothing: the ledger promotes its own rows."""
        return []

    def busy(self) -> dict[threading.Thread, Busy]:
        """Who works on what just now."""
        with self._lock:
            return dict(self._busy)

    def unbegun(self) -> list[Job]:
        """What was claimed ahead and never begun, once the threads have stopped."""
        with self._lock:
            left = list(self._ahead.values())
            self._ahead.clear()
        return left

    def held(self) -> set[tuple[int, int]]:
        """The jobs that this process has in hand, by number and attempt."""
        with self._lock:
            in_hand = [*(entry.job for entry in self._busy.values()), *self._ahead.values()]
        return {(job.id, job.attempt) for job in in_hand}

    def overdue(self) -> dict[threading.Thread, Busy]:
        """Who has overrun his job's time, and was not retired for it yet."""
        with self._lock:
            return {thread: entry for thread, entry in self._busy.items() if self._is_overdue(thread)}

    def retire(self, thread: threading.Thread) -> bool:
        """A spare gets the place of this thread; False when it came back meanwhile, or was retired before."""
        with self._lock:
            is_overdue = self._is_overdue(thread)
            if is_overdue:
                self._retired.add(thread)
        return is_overdue

    def _is_overdue(self, thread: threading.Thread) -> bool:
        entry = self._busy.get(thread)
        return entry is not None and entry.is_overdue and thread not in self._retired

    def is_retired(self, thread: threading.Thread) -> bool:
        return thread in self._retired

    def leave(self) -> bool:
        """Must this thread go, now that it has come back? What it had claimed ahead is let go."""
        me = threading.current_thread()
        if me not in self._retired:
            return False
        with self._lock:
            self._retired.discard(me)
            left = self._ahead.pop(me, None)
        if left is not None:
            jobs.unclaim(left, datetime.now(UTC))
        return True

    def stuck(self) -> int:
        """Threads that overran their time and have not come back."""
        with self._lock:
            return len(self._retired & self._busy.keys())

    def _run(self, job: Job) -> None:
        me = threading.current_thread()
        with self._lock:
            self._busy[me] = Busy(job, time.monotonic())
        if not self._begun.is_set():
            self._begun.set()
        try:
            following = self._run_job(job, partial(self._claim_ahead, me))
            if following is not None:
                with self._lock:
                    self._ahead[me] = following
        finally:
            with self._lock:
                self._busy.pop(me, None)

    def _claim(self) -> Job | None:
        """The next job nobody here is claiming already; what may not be repeated is claimed on the disk."""
        while True:
            found = self._pick(lambda name: True)
            if found is None:
                return None
            job_id, name = found
            try:
                job = jobs.take(job_id, self.holder, datetime.now(UTC), durable=not self._is_repeatable(name))
            finally:
                self._wanted.discard(job_id)
            if job is not None:
                return job

    def _claim_ahead(self, thread: threading.Thread, is_durable: bool) -> Job | None:
        """In the transaction that ends this thread's job: the next one, if that commit is good enough for it."""
        if self.stopping.is_set() or thread in self._retired:
            return None
        found = self._pick(lambda name: is_durable or self._is_repeatable(name))
        if found is None:
            return None
        try:
            return jobs.taken(found[0], self.holder, datetime.now(UTC))
        finally:
            self._wanted.discard(found[0])

    def _pick(self, suits: Callable[[str], bool]) -> tuple[int, str] | None:
        with self._lock:
            free = [found for found in jobs.upcoming(self.queue, 2 + len(self._wanted)) if found[0] not in self._wanted]
            if not free or not suits(free[0][1]):
                return None
            self._wanted.add(free[0][0])
        if len(free) > 1 and bell.is_awaited(self.queue):
            bell.hear([self.queue])  # more than one can take
        return free[0]


class LedgerWorker(Worker):  # type: ignore[misc]
    """Huey's worker, which leaves when a spare got its place meanwhile."""

    def loop(self, now: Any = None) -> None:
        if self.huey.leave():
            raise WorkerRecycle
        super().loop(now)

    def shutdown(self) -> None:
        super().shutdown()
        close_database()


class LedgerConsumer(Consumer):  # type: ignore[misc]
    """Huey's consumer, but for signals: a process has one handler of them, and it is ours (`boot.Service`)."""

    worker_class = LedgerWorker

    def _set_signal_handlers(self) -> None:
        """Left to the process."""

    def add_spare(self) -> None:
        """A new worker thread in the place of each that is stuck; nobody waits for that one at the end."""
        for place, (_, stuck) in enumerate(self.worker_threads):
            if self.huey.is_retired(stuck):
                worker = self._create_worker()
                thread = self._create_process(worker, f"Worker-{place + 1}")
                thread.start()  # before whoever stops us may find it and wait for it
                self.worker_threads[place] = (worker, thread)


def consumer_of(huey: LedgerHuey, workers: int) -> LedgerConsumer:
    """Huey's consumer for this queue: it starts, watches and replaces the worker threads."""
    return LedgerConsumer(huey, workers=workers, periodic=False, scheduler_interval=60, worker_type="thread")
