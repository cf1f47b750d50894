"""Huey's workers on our ledger: its own consumer claims rows, so there is no message to lose."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from huey import Huey
from huey.consumer import Consumer
from huey.storage import MemoryStorage

from edge import jobs
from edge.bell import bell
from edge.models import Job

log = logging.getLogger("edge.ledger")

POLL_S = 5.0  # the net under the bell
Runner = Callable[[Job], None]


class BellStorage(MemoryStorage):  # type: ignore[misc]
    """Nothing is stored here; `blocking` tells Huey's worker not to sleep, because dequeue itself waits."""

    blocking = True


class LedgerHuey(Huey):  # type: ignore[misc]
    """One queue of the ledger, seen by Huey as a queue of its own."""

    def __init__(self, queue: str, holder: str, run: Runner) -> None:
        super().__init__(queue, results=False, storage_class=BellStorage)
        self.queue = queue
        self.holder = holder
        self.stopping = threading.Event()
        self._door = threading.Lock()
        self._task = self.task(name=f"{queue}.job")(run)

    def dequeue(self) -> Any:
        """Wait for the bell or the poll, then claim the next row; None lets Huey look at its stop flag."""
        if self.stopping.is_set():
            time.sleep(0.05)
            return None
        count = bell.count(self.queue)
        job = self._claim()
        if job is None:
            bell.wait(self.queue, count, POLL_S)
            return None
        return self._task.s(job)

    def read_schedule(self, timestamp: Any = None) -> list[Any]:
        """Nothing: the ledger promotes its own rows."""
        return []

    def _claim(self) -> Job | None:
        with self._door:  # the bell wakes all: whoever comes second looks again before asking for the write lock
            if not jobs.is_work_waiting(self.queue):
                return None
            return jobs.claim(self.queue, self.holder, datetime.now(UTC))


class LedgerConsumer(Consumer):  # type: ignore[misc]
    """Huey's consumer, but for signals: a process has one handler of them, and it is ours (`boot.Service`)."""

    def _set_signal_handlers(self) -> None:
        """Left to the process."""


def consumer_of(huey: LedgerHuey, workers: int) -> LedgerConsumer:
    """Huey's consumer for this queue: it starts, watches and replaces the worker threads."""
    return LedgerConsumer(huey, workers=workers, periodic=False, scheduler_interval=60, worker_type="thread")
