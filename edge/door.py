"""The door of the web server: what needs no thread of its own is answered by the loop that reads the sockets.

waitress hands every request to a thread. For a page that is ready in memory, or a callback that only waits for the
writer, the handing over costs more than the work: threads wait in line for the interpreter's lock, and 200 phones wait
with them. Built on waitress 3's own seams: its dispatcher, its channel and its task.
"""

from collections.abc import Callable
from typing import Any, Protocol

from waitress.channel import HTTPChannel
from waitress.task import ThreadedTaskDispatcher, WSGITask

PREPARED = "edge.prepared"  # in a request's environ: status line, headers and body that were made beforehand

Prepared = tuple[str, list[tuple[str, str]], bytes]


class Application(Protocol):
    """A WSGI application that knows which requests need no thread; it answers with `PREPARED` where that is given."""

    def needs_no_thread(self, method: str, path: str) -> bool:
        """Asked of every request, in the loop: it must not block, and neither may what it says yes to."""

    def begin(self, environ: dict[str, Any], done: Callable[[Prepared | None], None]) -> None:
        """Call `done` once, from any thread; None: let a thread answer in the usual way."""


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """waitress's threads, for whatever the door does not answer itself."""

    def __init__(self, application: Application, threads: int) -> None:
        super().__init__()
        self._application = application
        self.set_thread_count(threads)

    def add_task(self, task: Any) -> None:
        """Called by waitress under the channel's lock with the channel whose first request is complete."""
        request = task.requests[0]
        if isinstance(task, Channel) and task.is_reading and request.error is None:
            task.is_for_the_door = self._application.needs_no_thread(request.command, request.path)
            if task.is_for_the_door:
                return
        super().add_task(task)


def accept_in_crowds(server: Any, at_once: int = 32) -> None:
    """Let in whoever waits in one turn of the loop; waitress lets in one a turn, and a turn asks every connection."""
    accept_one = server.handle_accept

    def accept_some() -> None:
        for _ in range(at_once):
            known = len(server.active_channels)
            accept_one()
            if len(server.active_channels) == known or not server.readable():
                return

    server.channel_class = Channel
    server.handle_accept = accept_some


class _Task(WSGITask):  # type: ignore[misc]
    """A request of a channel, with what was prepared for it."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        if self.channel.prepared is not None:
            environ[PREPARED], self.channel.prepared = self.channel.prepared, None
        return environ


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection; while it reads, what the door answers is begun as soon as the channel's lock is free again."""

    task_class = _Task
    is_reading = is_for_the_door = False
    prepared: Prepared | None = None

    def received(self, data: bytes) -> bool:
        self.is_reading = True
        try:
            taken = bool(super().received(data))
        finally:
            self.is_reading = False
        if self.is_for_the_door:
            self.is_for_the_door = False
            self._begin()
        return taken

    def _begin(self) -> None:
        """Ask for the answer; it leaves in this turn of the loop when it is there at once, else in the next."""
        is_now = True

        def done(prepared: Prepared | None) -> None:
            if is_now:
                self._answer(prepared)
            else:
                self.server.trigger.pull_trigger(lambda: self._answer(prepared))

        self.server.application.begin(_Task(self, self.requests[0]).get_environment(), done)
        is_now = False

    def _answer(self, prepared: Prepared | None) -> None:
        if prepared is None:
            self.server.task_dispatcher.add_task(self)
            return
        self.prepared = prepared
        self.service()
        if self.connected:
            self.handle_write()
