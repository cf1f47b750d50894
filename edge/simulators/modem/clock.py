"""The clock of the pretend modem and its network: what is to happen later happens in one thread."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Clock:
    """Starts its thread with the first thing to do; what is still open when it stops never happens."""

    def __init__(self) -> None:
        self._open: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Do this so much later; it must be quick."""
        with self._changed:
            heapq.heappush(self._open, (time.monotonic() + seconds, next(self._count), do))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="modem-simulator-clock", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def stop(self) -> None:
        """Forget what is open; it may be used again afterwards."""
        with self._changed:
            self._open.clear()
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while (do := self._next()) is not None:
            do()

    def _next(self) -> Callable[[], object] | None:
        with self._changed:
            while self._thread is threading.current_thread():
                wait_s = self._open[0][0] - time.monotonic() if self._open else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._open)[2]
                self._changed.wait(wait_s)
        return None
