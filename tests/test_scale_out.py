"""Several machines, one PostgreSQL, one Redis: whatever dies in the middle, each callback is one sale."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from edge.demo import free_port
from edge.simulators.modem import ModemSimulator
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.router import RouterSimulator
from tests.servers import Postgres, Redis, needs_postgres, needs_redis
from tests.walks.box import wait_for

pytestmark = [needs_postgres, needs_redis, pytest.mark.timeout(180)]
LET_IN = "SELECT g.payment_id FROM grants g JOIN placements p ON p.grant_id = g.id WHERE p.state = 'there'"
SOLD = f"state = 'paid' AND id IN ({LET_IN})"
QUICK = ("payments", "provisioning", "router-checks")


class Fleet:
    """A web machine `front`, and worker machines: `north` with the modem, `south` for payments and routers.

    Each has a state folder of its own and is one process; they share nothing but the two servers.
    """

    def __init__(self, folder: Path, postgres: Postgres, redis: Redis | None) -> None:
        self.folder, self.postgres = folder, postgres
        self.database = f"fleet_{folder.name}"
        self.url = postgres.make(self.database)
        self.redis_url = redis.url if redis else ""
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
        self.mpesa, self.router, self.modem = MpesaSimulator(), RouterSimulator(), ModemSimulator()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Fleet":
        for device in (self.mpesa, self.router, self.modem):
            self._stack.enter_context(device)
        for machine in ("front", "north", "south"):
            self._settle(machine, self.modem.port if machine == "north" else "")
        line = [*self._line("front"), "init", "--owner", "njeri", "--password-stdin"]
        words = "a password of Njeri's own\n"
        done = subprocess.run(line, input=words, env=self.environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)
        self._stack.close()

    def _settle(self, machine: str, modem: str) -> None:
        state = self.folder / machine
        state.mkdir(mode=0o700)
        config = state / "edge.toml"
        config.touch(mode=0o600)
        config.write_text(f"""
[web]
host = "127.0.0.1"
port = {self.port}
public_url = "http://127.0.0.1:{self.port}"
[database]
url = "{self.url}"
[queue]
url = "{self.redis_url}"
[privacy]
key_file = "{self.folder / "data.keys"}"
[mpesa]
base_url = "{self.mpesa.base_url}"
timeout_s = 5.0
queries_per_minute = 600
[modem]
port = "{modem}"
submit_timeout_s = 2.0
[[routers]]
name = "gate"
host = "127.0.0.1"
port = {self.router.port}
username = "{self.router.username}"
password = "{self.router.password}"
login_url = "{self.router.login_url}"
""")

    def _line(self, machine: str) -> list[str]:
        return [sys.executable, "-m", "edge", "--state", str(self.folder / machine)]

    def start(self, machine: str, *words: str) -> None:
        """Begin `edge web` or `edge worker …` there, and wait until it serves."""
        with (self.folder / machine / "log").open("ab") as log:
            process = subprocess.Popen([*self._line(machine), *words], env=self.environ, stdout=log, stderr=log)
        self.processes[machine] = process
        if words[0] == "web":
            wait_for(self._answers)
        else:
            wait_for(lambda: self.ask(f"SELECT 1 FROM heartbeats WHERE holder LIKE '{process.pid}:%'"))

    def start_all(self) -> None:
        self.start("front", "web")
        self.start("north", "worker")
        self.start("south", "worker", *(word for queue in QUICK for word in ("--queue", queue)))

    def kill(self, machine: str) -> None:
        """The power goes there."""
        process = self.processes.pop(machine)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/health", timeout=2).status_code == 200
        return False

    def buy(self, number: int) -> str:
        """A guest of his own asks to pay; his payment's token."""
        wish = {
            "package_id": 1, "phone_number": f"07123{number:05d}", "mac_address": f"AA:BB:CC:DD:00:{number:02}",
        }  # fmt: skip
        answer = requests.post(f"http://127.0.0.1:{self.port}/api/payments/initiate", json=wish, timeout=20)
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["payment_id"])

    def buy_many(self, numbers: range) -> list[str]:
        with ThreadPoolExecutor(5) as guests:
            return list(guests.map(self.buy, numbers))

    def status(self, token: str) -> dict[str, Any]:
        return dict(requests.get(f"http://127.0.0.1:{self.port}/api/payments/{token}", timeout=20).json())

    def not_rung(self, tokens: list[str]) -> list[str]:
        """Those whose prompt died on its way to M-Pesa, as soon as that is known: it is never sent a second time."""
        open_prompts = "name = 'payment.prompt' AND state IN ('scheduled', 'waiting', 'running')"
        wait_for(lambda: not self.count("jobs", open_prompts))
        rung = {checkout.msisdn for checkout in self.mpesa.pushes}
        return [
            token for token in tokens if self.ask(f"SELECT msisdn FROM payments WHERE token = '{token}'") not in rung
        ]

    def are_online(self, tokens: list[str]) -> list[dict[str, Any]]:
        """What each of them was told, as soon as all are online."""

        def standing() -> list[dict[str, Any]] | None:
            told = [self.status(token) for token in tokens]
            return told if all(one["status"] == "online" for one in told) else None

        return list(wait_for(standing, every_s=0.2))

    def ask(self, words: str) -> str:
        return self.postgres.ask(words, self.database)

    def count(self, table: str, where: str = "true") -> int:
        return int(self.ask(f"SELECT COUNT(*) FROM {table} WHERE {where}"))

    def log(self, machine: str) -> str:
        return (self.folder / machine / "log").read_text(errors="replace")

    def each_is_one_sale(self, tokens: list[str]) -> None:
        """One push, payment, grant, router user and text each, and no work left over."""
        told = self.are_online(tokens)
        wait_for(lambda: self.count("messages", "state <> 'queued'") == len(tokens))
        wait_for(lambda: not self.count("jobs", "state IN ('waiting', 'running')"))
        codes = sorted(one["username"] for one in told)
        assert self.names_on_router() == codes
        pushed = [checkout.msisdn for checkout in self.mpesa.pushes]
        assert (len(pushed), len(set(pushed))) == (len(tokens), len(tokens))
        assert self.count("payments", "state = 'paid'") == self.count("grants") == len(tokens)
        assert self.count("messages", "state = 'sent'") == len(self.modem.sent) == len(tokens)
        assert len({sent.text for sent in self.modem.sent}) == len(tokens)
        assert len(self.acknowledged()) == len(tokens)

    def names_on_router(self) -> list[str]:
        return sorted(user["name"] for user in self.router.users() if user["name"] != "default-trial")

    def acknowledged(self) -> set[str]:
        """The checkouts whose callback was answered with 200."""
        calls = [call.body["Body"]["stkCallback"] for call in self.mpesa.callbacks if call.status == 200]
        return {call["CheckoutRequestID"] for call in calls}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def fleet(tmp_path: Path, postgres: Postgres, redis: Redis) -> Iterator[Fleet]:
    with Fleet(tmp_path, postgres, redis) as found:
        yield found


def test_a_worker_machine_dies_in_the_middle_of_twenty_sales(fleet: Fleet) -> None:
    fleet.start_all()
    fleet.mpesa.slow_s = 0.3
    south = fleet.processes["south"].pid
    with ThreadPoolExecutor(1) as crowd:
        sales = crowd.submit(fleet.buy_many, range(20))
        wait_for(lambda: len(fleet.mpesa.callbacks) >= 3)
        wait_for(lambda: fleet.count("jobs", f"holder LIKE '{south}:%'"))  # work in hand
        fleet.kill("south")
        tokens = sales.result(60)
    left = fleet.not_rung(tokens)
    assert len(left) <= 4  # a prompt each in the hands of the dead
    assert {fleet.status(token)["status"] for token in left} <= {"prompted"}  # "look at your phone", until it expires
    fleet.each_is_one_sale([token for token in tokens if token not in left])


def test_redis_goes_and_comes_back_and_sales_go_on(fleet: Fleet, redis: Redis) -> None:
    fleet.start_all()
    tokens = fleet.buy_many(range(3))
    fleet.are_online(tokens)
    redis.kill()
    tokens += fleet.buy_many(range(3, 6))
    fleet.are_online(tokens)
    assert fleet.log("front").count("no ring reaches other machines") == 1
    redis.start()
    wait_for(lambda: "rings reach other machines again" in fleet.log("north"))
    tokens += fleet.buy_many(range(6, 9))
    fleet.each_is_one_sale(tokens)


def test_postgresql_dies_in_the_middle_and_what_was_acknowledged_is_kept(fleet: Fleet) -> None:
    fleet.start_all()
    tokens = fleet.buy_many(range(5))
    wait_for(lambda: fleet.mpesa.callbacks, every_s=0.005)
    fleet.postgres.kill()
    fleet.postgres.start()
    wait_for(fleet.mpesa.wait_until_quiet)
    for checkout in fleet.acknowledged():
        wait_for(lambda checkout=checkout: fleet.count("payments", f"checkout_request_id = '{checkout}' AND {SOLD}"))
    fleet.are_online([fleet.buy(5)])  # and the shop goes on
    pushed = [checkout.msisdn for checkout in fleet.mpesa.pushes]
    assert len(pushed) == len(set(pushed)) <= len(tokens) + 1
    wait_for(lambda: not fleet.count("jobs", "state IN ('waiting', 'running')"))
    wait_for(lambda: fleet.count("grants") == len(fleet.names_on_router()) == len(fleet.modem.sent) >= 1)


def test_without_redis_postgresql_carries_the_rings(tmp_path: Path, postgres: Postgres) -> None:
    with Fleet(tmp_path, postgres, None) as fleet:
        fleet.start_all()
        fleet.each_is_one_sale(fleet.buy_many(range(5)))


def test_a_second_machine_begins_with_its_settings_alone_and_none_before_the_first(
    tmp_path: Path, postgres: Postgres
) -> None:
    with Fleet(tmp_path, postgres, None) as fleet:
        line = [*fleet._line("south"), "queue", "status"]
        assert subprocess.run(line, env=fleet.environ, capture_output=True).returncode == 0
        nowhere = {**fleet.environ, "EDGE_DATABASE__URL": postgres.make(f"empty_{tmp_path.name}")}
        done = subprocess.run(line, env=nowhere, capture_output=True, text=True)
        assert (done.returncode, "edge init" in done.stdout + done.stderr) == (1, True)
