"""A box in processes of its own, that a test may start, kill and look into."""

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from edge.demo import free_port, free_udp_port
from edge.simulators.modem import ModemSimulator
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.router import RouterSimulator
from tests.torture import shims

PATIENCE_S = 75.0  # a router that was away is looked at every minute
RADIUS_SECRET = "a-secret-of-gate-and-the-box"


def wait_for(what: Callable[[], Any], timeout_s: float = PATIENCE_S, every_s: float = 0.03) -> Any:
    """The first true answer of `what`; an assertion tells what never came."""
    until = time.monotonic() + timeout_s
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < until, f"waited {timeout_s} s in vain for {what.__name__}: last {found!r}"
        time.sleep(every_s)


class Box:
    """Web and worker as two processes over one state folder, and the simulators beside them."""

    def __init__(self, state: Path, mpesa: MpesaSimulator, router: RouterSimulator, modem: ModemSimulator) -> None:
        self.state, self.mpesa, self.router, self.modem = state, mpesa, router, modem
        self.port = free_port()
        self.auth_port, self.acct_port = free_udp_port(), free_udp_port()
        self.processes: dict[str, Any] = {}
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
        self.sections = {
            "web": {"host": "127.0.0.1", "port": self.port, "public_url": self.url},
            "mpesa": {"base_url": mpesa.base_url, "timeout_s": 5.0, "queries_per_minute": 600},
            "modem": {"port": modem.port, "submit_timeout_s": 2.0},
            "radius": {"host": "127.0.0.1", "auth_port": self.auth_port, "acct_port": self.acct_port},
        }
        self.router_keys = {
            "name": "gate", "host": "127.0.0.1", "port": router.port, "username": router.username,
            "password": router.password, "mode": "local", "login_url": router.login_url,
        }  # fmt: skip

    def preload(self, name: str, **environ: str) -> None:
        """Put this shim between every process of the box and the kernel."""
        loaded = [self.environ["LD_PRELOAD"]] if "LD_PRELOAD" in self.environ else []
        self.environ |= {"LD_PRELOAD": ":".join([*loaded, str(shims.built(name))]), **environ}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make(self) -> None:
        """Settings, then `edge init`, as a technician does it."""
        config = self.state / "edge.toml"
        config.touch(mode=0o600)
        config.write_text(self._toml())
        self.command("init", "--owner", "njeri", "--password-stdin", stdin="a password of Njeri's own\n")

    def _toml(self) -> str:
        lines = []
        for name, keys in [*self.sections.items(), ("[routers]", self.router_keys)]:
            lines.append(f"[{name}]")
            lines += [f"{key} = {_literal(value)}" for key, value in keys.items()]
        return "\n".join(lines) + "\n"

    def command(self, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """One `edge` command on this box."""
        line = [sys.executable, "-m", "edge", "--state", str(self.state), *words]
        done = subprocess.run(line, input=stdin, capture_output=True, text=True, env=self.environ, timeout=60)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *parts: str) -> None:
        """Start `web`, `worker`, or both as `run`, and wait until they serve and have said so."""
        said = {part: self._said(part) for part in parts or ("web", "worker")}
        for part in parts or ("web", "worker"):
            self.processes[part] = self._launch(part)
        for part in parts or ("web", "worker"):
            if part in ("web", "run"):
                wait_for(self.answers)
            if part in ("worker", "run"):
                pid = self.processes[part].pid
                wait_for(lambda pid=pid: self.rows("SELECT 1 FROM heartbeats WHERE holder LIKE ?", f"{pid}:%"))
        for part, length in said.items():
            wait_for(lambda part=part, length=length: self._said(part) > length)

    def _said(self, part: str) -> int:
        log = self.state / f"{part}.log"
        return log.stat().st_size if log.exists() else 0

    def _launch(self, part: str) -> Any:
        line = [sys.executable, "-m", "edge", "--state", str(self.state), part]
        with (self.state / f"{part}.log").open("ab") as log:
            return subprocess.Popen(line, env=self.environ, stdout=log, stderr=log)

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def kill(self, part: str) -> None:
        """The power goes for this process: no handler runs."""
        process = self.processes.pop(part)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def fill_disk(self, *parts: str) -> None:
        """From now on these processes get not one byte more into any file."""
        self._limit_files(parts, (0, resource.RLIM_INFINITY))

    def make_room(self, *parts: str) -> None:
        """There is room again."""
        self._limit_files(parts, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def _limit_files(self, parts: tuple[str, ...], limits: tuple[int, int]) -> None:
        for part in parts or tuple(self.processes):
            with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
                resource.prlimit(self.processes[part].pid, resource.RLIMIT_FSIZE, limits)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)
        self.processes.clear()

    # What a guest does.

    def initiate(self, phone: str = "0712345670", mac: str = "AA:BB:CC:DD:EE:01", plan: int = 1) -> dict[str, Any]:
        wish = {"package_id": plan, "phone_number": phone, "mac_address": mac}
        answer = requests.post(f"{self.url}/api/payments/initiate", json=wish, timeout=20)
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json())

    def status(self, token: str) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/api/payments/{token}", timeout=20).json())

    def wait_for_status(self, token: str, *wanted: str) -> dict[str, Any]:
        def standing() -> dict[str, Any] | None:
            told = self.status(token)
            return told if told["status"] in wanted else None

        return dict(wait_for(standing))

    # What lies in the database.

    def rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Looked at from outside, without a lock."""
        with sqlite3.connect(f"file:{self.state / 'edge.db'}?mode=ro", uri=True, timeout=10) as database:
            found = database.execute(question, values).fetchall()
        database.close()
        return found

    def count(self, table: str, where: str = "1") -> int:
        return int(self.rows(f"SELECT COUNT(*) FROM {table} WHERE {where}")[0][0])

    def log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.state.glob("*.log")))


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_literal(entry) for entry in value) + "]"
    return str(value) if isinstance(value, int | float) else '"' + str(value) + '"'
