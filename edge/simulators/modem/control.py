"""A door for texts to the pretend modem: a Unix socket that takes one line a text."""

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

from edge.errors import BadInput, EdgeError
from edge.simulators.modem.simulator import ModemSimulator

LONGEST = 16_000
PATIENCE_S = 10.0
OPTIONS = ("smsc", "pid", "order", "only")
HOW = "[smsc=+NUMBER] [pid=N] [order=2,1] [only=1] SENDER TEXT, with \\n for a new line; or: replay"


class TextDoor:
    """Listens at `path` while it is open: `MPESA UK5T7ABCD1 Confirmed…` is a text from MPESA."""

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


def obey(simulator: ModemSimulator, line: str) -> str:
    """Bring one text as the line says; what came of it in words."""
    words = line.strip()
    if words == "replay":
        return f"brought again: {len(simulator.replay())}"
    options: dict[str, str] = {}
    while found := re.match(rf"({'|'.join(OPTIONS)})=(\S*)\s+", words):
        options[found[1]] = found[2]
        words = words[found.end() :]
    sender, _, text = words.partition(" ")
    if not sender or not text:
        return f"not understood: say {HOW}"
    try:
        slots = simulator.receive(
            sender, text.replace("\\n", "\n"), smsc=options.get("smsc", "+254722500029"),
            pid=int(options.get("pid", "0")), order=_numbers(options.get("order", "")),
            only=_numbers(options.get("only", "")),
        )  # fmt: skip
    except (BadInput, ValueError, IndexError) as reason:
        return f"not understood: {reason}; say {HOW}"
    return f"brought: {len(slots)} in memory {simulator.volatile.memories[2]}, {len(simulator.held_back)} held back"


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


def _numbers(said: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in said.split(",") if number)
    if any(number < 1 for number in numbers):
        raise BadInput("parts are counted from 1")
    return numbers
