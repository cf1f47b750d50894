"""The cable of the pretend modem: a pseudo-terminal that can be pulled out and put back."""

import os
import select
import threading
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge.errors import BadInput

HEARD_AT_ONCE = 1024
BLOCKED_S = 2.0


class Unplugged(Exception):
    """The cable is out: whoever speaks or listens stops here."""


class PtyLine:
    """Calls `hear` for each octet, in a thread of its own; `link` always points to the port of the day."""

    def __init__(self, hear: Callable[[int], object], link: Path | None = None) -> None:
        self._hear = hear
        self._link = link
        self._placed: Path | None = None  # the link that leads to the port of the day
        self._path = ""
        self._heard = bytearray()
        self._master = self._slave = -1
        self._stop_read = self._stop_write = -1
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._speaking = threading.Lock()

    @property
    def path(self) -> str:
        """Where clients open it: the link, or the pseudo-terminal itself."""
        if self._link is None and not self._path:
            raise BadInput("the simulator is not open")
        return str(self._link) if self._link is not None else self._path

    def plug(self) -> None:
        """A new pseudo-terminal. We hold its far end open too: Linux reports an error to us when nobody does."""
        if self._thread is not None:
            if not self._stopping.is_set():
                return
            self._thread.join()  # it may still be pulling itself out
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._path = os.ttyname(self._slave)
        self._stop_read, self._stop_write = os.pipe()
        self._stopping.clear()
        self._heard.clear()
        self._placed = self._link
        if self._link is not None:
            fresh = self._link.with_name(f".{self._link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._path)
            fresh.replace(self._link)
        self._thread = threading.Thread(target=self._listen, name="modem-simulator", daemon=True)
        self._thread.start()

    @property
    def is_plugged(self) -> bool:
        """Can it be spoken through?"""
        return self._thread is not None and not self._stopping.is_set()

    def rename(self, link: Path) -> None:
        """The name it gets when it is plugged next."""
        self._link = link

    @property
    def link(self) -> Path | None:
        """The name that stays, where it has one."""
        return self._link

    def let_go(self) -> None:
        """Pull it out soon, without waiting: for the other ports of a stick that falls off."""
        if self.is_plugged:
            self._stopping.set()
            with suppress(OSError):
                os.write(self._stop_write, b".")

    def unplug(self) -> None:
        """Pull it out; whoever has it open gets an error. Returns when it is out."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._stopping.set()
        with suppress(OSError):  # it just pulled itself out
            os.write(self._stop_write, b".")
        if thread is not threading.current_thread():
            thread.join()

    def say(self, octets: bytes) -> None:
        """Write all of it; what nobody reads for two seconds is lost, as on a real line."""
        with self._speaking:
            deadline = time.monotonic() + BLOCKED_S
            while octets and time.monotonic() < deadline:
                if self._stopping.is_set() or self._master < 0:
                    raise Unplugged
                select.select([], [self._master], [], 0.05)
                with suppress(BlockingIOError):
                    octets = octets[os.write(self._master, octets) :]

    def pause(self, seconds: float) -> None:
        """Be busy for so long, unless the cable is pulled."""
        if seconds > 0 and self._stopping.wait(seconds):
            raise Unplugged

    def drop_input(self) -> bytes:
        """What was typed too early is lost."""
        with suppress(BlockingIOError):
            self._heard += os.read(self._master, HEARD_AT_ONCE)
        lost = bytes(self._heard)
        self._heard.clear()
        return lost

    def _listen(self) -> None:
        try:
            while not self._stopping.is_set():
                select.select([self._master, self._stop_read], [], [])
                with suppress(BlockingIOError):
                    self._heard += os.read(self._master, HEARD_AT_ONCE)
                while self._heard:
                    self._hear(self._heard.pop(0))
        except (Unplugged, OSError):
            pass  # the cable is out, which is how this ends
        finally:
            self._pull_out()

    def _pull_out(self) -> None:
        self._stopping.set()
        if self._placed is not None:
            with suppress(OSError):
                self._placed.unlink()
        with self._speaking:
            for descriptor in (self._master, self._slave, self._stop_read, self._stop_write):
                os.close(descriptor)
            self._master = self._slave = -1
