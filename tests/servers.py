"""Real servers for tests: PostgreSQL and Redis in throw-away folders, started, stopped and killed as a test likes."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from edge.demo import free_port


def _program(name: str) -> str:
    """Its path; Debian keeps PostgreSQL's programs in a folder a version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(found[0]) if found else shutil.which(name) or ""


needs_postgres = pytest.mark.skipif(
    not _program("initdb"), reason="postgresql is missing: make test installs it where it may"
)
needs_redis = pytest.mark.skipif(
    not shutil.which("redis-server"), reason="redis-server is missing: make test installs it where it may"
)


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then as nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Server:
    """One process in a folder of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edge-server-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Begin to serve, at the same address as before."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.line(), stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **_unprivileged()
            )
        _wait(self.answers, lambda: (self.folder / "log").read_text(errors="replace")[-2000:])

    def end(self, how: int) -> None:
        """Send this signal, and wait until it is gone."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(how)
            process.wait(30)

    def kill(self) -> None:
        """As a power cut does."""
        self.end(signal.SIGKILL)

    def line(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError


class Postgres(Server):
    """PostgreSQL as Debian ships it, with its own defaults but for the address and what is `told`."""

    def __init__(self, *told: str) -> None:
        super().__init__()
        self.told = told
        line = [_program("initdb"), "-D", f"{self.folder}/data", "-A", "trust", "-U", "edge", "-E", "UTF8"]
        subprocess.run(
            [*line, "--locale=C", "--no-sync"], check=True, capture_output=True, cwd=self.folder, **_unprivileged()
        )

    def line(self) -> list[str]:
        told = [*self.told, f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1", f"port={self.port}"]
        return [_program("postgres"), "-D", f"{self.folder}/data", *(part for one in told for part in ("-c", one))]

    def answers(self) -> bool:
        line = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(line).returncode == 0

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://edge@127.0.0.1:{self.port}/{name}"

    def make(self, name: str, template: str = "template0") -> str:
        """A new database; its address."""
        self.ask(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def ask(self, words: str, name: str = "postgres") -> str:
        """What psql says to this."""
        line = [_program("psql"), "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", words, self.url(name)]
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def stop(self) -> None:
        """As `systemctl restart` does: clients are cut off."""
        self.end(signal.SIGINT)

    def kill(self) -> None:
        """All its processes at once; what was flushed is all there is when it starts again."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
        super().kill()


class Redis(Server):
    """Redis that keeps nothing on disk: what it knows may be lost."""

    def line(self) -> list[str]:
        told = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": self.folder}
        return ["redis-server", *(word for key, value in told.items() for word in (f"--{key}", str(value)))]

    def answers(self) -> bool:
        return self.ask("PING") == "PONG"

    def ask(self, *words: str) -> str:
        return subprocess.run(
            ["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True
        ).stdout.strip()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


def _wait(holds: Callable[[], bool], words: Callable[[], str], timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, words()
        time.sleep(0.02)
