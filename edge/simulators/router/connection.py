"""One client of the pretend router's API: login, tags, listeners, and everything that can go wrong on a wire."""

import contextlib
import hashlib
import secrets
import socket
import threading
from collections.abc import Iterable

from edge.simulators.router.accounts import Connection
from edge.simulators.router.command import DONE, Command, Reply
from edge.simulators.router.console import Console
from edge.simulators.router.machine import Machine
from edge.simulators.router.tables import Row, Trap
from edge.simulators.router.words import Malformed, SentenceReader, encode_sentence

BEFORE_LOGIN_LIMIT = 64 * 1024
KEPT_COMMANDS = 10_000


class ApiConnection:
    """Reads sentences until the client or a fault ends it."""

    def __init__(self, wire: socket.socket, machine: Machine) -> None:
        self._wire, self._machine = wire, machine
        self._address = str(wire.getpeername()[0])
        self._connection: Connection | None = None
        self._console = Console(machine)
        self._writing = threading.Lock()
        self._listeners: dict[str | None, threading.Event] = {}
        self._is_over = False
        self._challenge = b""

    def run(self) -> None:
        """Until the end of the connection."""
        reader, unauthorised = SentenceReader(), 0
        try:
            while not self._is_over and (data := self._wire.recv(64 * 1024)):
                unauthorised += 0 if self._connection else len(data)
                if unauthorised > BEFORE_LOGIN_LIMIT:
                    self._end("too large sentence before login")
                    break
                for words in reader.feed(data):
                    if not self._is_over:
                        self._take(read_command(words))
        except (OSError, Malformed):
            pass  # cut off by the client, by a fault switch, or beyond understanding: it ends either way
        finally:
            self._is_over = True
            self._machine.accounts.leave(self._connection)
            for stop in self._listeners.values():
                stop.set()

    def _take(self, command: Command) -> None:
        machine = self._machine
        machine.commands.append(command.path)
        del machine.commands[:-KEPT_COMMANDS]
        if machine.delay_s:
            machine.closing.wait(machine.delay_s)
        if machine.silent:
            return
        if command.path == "/login":
            self._send(self._log_in(command), command.tag)
        elif command.path == "/quit":
            self._end("session terminated on request")
        elif self._connection is None:
            self._end("not logged in")
        elif command.path == "/cancel":
            self._cancel(command)
        elif command.verb == "listen":
            self._listen(command)
        else:
            found = self._console.run(command)
            while command.path == machine.hold_answer and not machine.closing.wait(0.01):
                pass
            self._send(found, command.tag)

    def _log_in(self, command: Command) -> list[Reply]:
        """By challenge before 6.43, both ways until 6.45, then by the plain password only."""
        told, release = command.attributes, self._machine.release
        by_challenge, by_password = release < (6, 45, 1), release >= (6, 43)
        user = self._machine.accounts.user(told.get("name", ""), self._address)
        is_right = False
        if "response" in told and by_challenge and self._challenge:
            password = b"" if user is None else user["password"].encode("utf-8", "surrogateescape")
            right = "00" + hashlib.md5(b"\0" + password + self._challenge, usedforsecurity=False).hexdigest()
            is_right = told["response"] == right
            self._challenge = b""
        elif "name" in told and by_password:
            is_right = user is not None and told.get("password") == user["password"]
        elif by_challenge:
            self._challenge = secrets.token_bytes(16)
            return [("!done", {"ret": self._challenge.hex()})]
        if user is not None and is_right and "api" in self._machine.accounts.policies_of(user["name"]):
            self._enter(user["name"])
            return [DONE]
        self._machine.note("system,error,critical", f"login failure for user {told.get('name', '')[:64]} via api")
        words = "invalid user name or password (6)" if by_password else "cannot log in"
        return [("!trap", {"message": words}), DONE]

    def _enter(self, name: str) -> None:
        accounts = self._machine.accounts
        accounts.leave(self._connection)
        self._connection = accounts.enter(name, self._address, self._machine.hotspot.now(), self._hang_up)
        self._console = Console(self._machine, self._connection)

    def _cancel(self, command: Command) -> None:
        asked = command.attributes.get("tag")
        for tag, stop in list(self._listeners.items()):
            if asked is None or tag == asked:
                stop.set()
        self._send([DONE], command.tag)

    def _listen(self, command: Command) -> None:
        """Changes of a menu, told by a thread of their own between the other answers."""
        try:
            rows = self._snapshot(command.menu)
        except Trap:
            self._send(self._console.run(command), command.tag)
            return
        stop = threading.Event()
        self._listeners[command.tag] = stop
        threading.Thread(target=self._tell_changes, args=(command, rows, stop), daemon=True).start()

    def _tell_changes(self, command: Command, before: dict[str, Row], stop: threading.Event) -> None:
        changed = self._machine.hotspot.changed
        with contextlib.suppress(OSError):
            while not stop.is_set():
                with changed:
                    changed.wait(0.05)
                    now = self._snapshot(command.menu)
                replies: list[Reply] = [("!re", row) for key, row in now.items() if key not in before]
                replies += [("!re", {".id": key, ".dead": "yes"}) for key in before if key not in now]
                before = now
                if replies:
                    self._send(replies, command.tag)
            if not self._is_over:
                self._send([("!trap", {"category": "2", "message": "interrupted"}), DONE], command.tag)

    def _snapshot(self, menu: str) -> dict[str, Row]:
        return {row[".id"]: row for row in self._console.rows(menu) if ".id" in row}

    def _send(self, replies: Iterable[Reply], tag: str | None) -> None:
        tagged = [] if tag is None else [f".tag={tag}"]
        self._write(
            b"".join(
                encode_sentence([word, *tagged, *(f"={key}={value}" for key, value in attributes.items())])
                for word, attributes in replies
            )
        )

    def _end(self, reason: str) -> None:
        """`!fatal` carries its reason as a bare word, and closes."""
        self._write(encode_sentence(["!fatal", reason]))
        self._hang_up()

    def _write(self, data: bytes) -> None:
        machine = self._machine
        with self._writing:
            if machine.lose_answer:
                self._hang_up()
            elif machine.half_sentence:
                self._wire.sendall(data[: max(1, len(data) // 2)])
                self._hang_up()
            elif machine.drip or machine.fragment:
                self._write_in_pieces(data, 1 if machine.drip else machine.fragment)
            else:
                self._wire.sendall(data)

    def _write_in_pieces(self, data: bytes, size: int) -> None:
        for at in range(0, len(data), size):
            self._wire.sendall(data[at : at + size])
            self._machine.closing.wait(self._machine.drip_s if self._machine.drip else 0.001)

    def _hang_up(self) -> None:
        self._is_over = True
        with contextlib.suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)


def read_command(words: list[bytes]) -> Command:
    """A sentence's words, sorted: the command, `=name=value`, `.tag=`, `?query`."""
    told = [word.decode("utf-8", "surrogateescape") for word in words]
    command = Command(told[0])
    for word in told[1:]:
        if word.startswith("="):
            name, _, value = word[1:].partition("=")
            command.attributes[name] = value
        elif word.startswith("?"):
            command.queries.append(word)
        elif word.startswith(".tag="):
            command.tag = word.removeprefix(".tag=")
    return command
