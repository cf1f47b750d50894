"""A door to the pretend modem: a Unix socket that takes one line, a text to it or a mishap for it."""

import socket
import threading
from contextlib import suppress
from pathlib import Path

from edge.errors import EdgeError
from edge.simulators.modem.orders import obey
from edge.simulators.modem.simulator import ModemSimulator

LONGEST = 16_000
PATIENCE_S = 10.0


class TextDoor:
    """Listens at `path` while it is open: `MPESA UK5T7ABCD1 Confirmed…` is a text from MPESA; orders see `orders`."""

    def __init__(self, simulator: ModemSimulator, path: Path) -> None:
        self.path = path
        self._simulator = simulator
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> "TextDoor":
        self.path.unlink(missing_ok=True)
        self._socket.bind(str(self.path))
        self._socket.listen()
        threading.Thread(target=self._serve, name="text-door", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return  # the door is closed
            with caller, suppress(OSError):
                caller.settimeout(PATIENCE_S)
                line = caller.makefile("r", encoding="utf-8", errors="replace").readline(LONGEST)
                caller.sendall((obey(self._simulator, line) + "\n").encode())


def bring_text(door: Path, line: str) -> str:
    """Say this line at the door of a modem that runs elsewhere; its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(PATIENCE_S)
        try:
            caller.connect(str(door))
            caller.sendall(line.replace("\n", "\\n").encode() + b"\n")
            return caller.makefile("r", encoding="utf-8").readline().strip()
        except OSError as reason:
            raise EdgeError(f"nobody opens at {door}: start edge simulate modem --link there ({reason})") from None
