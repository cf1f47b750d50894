"""A real box in a process of its own, with as many checkouts waiting for their answer as a measurement needs."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge import boot, settings
from edge.cli.first_run import sample_plans
from edge.demo import free_port, free_udp_port
from edge.domain import payments, plans
from edge.models import Job
from edge.values.stk import PushAnswer

PASSWORD = "edge"


@dataclass(frozen=True)
class Waiting:
    """A checkout that M-Pesa has not answered yet."""

    secret: str
    checkout: str
    msisdn: str
    token: str

    @property
    def body(self) -> bytes:
        """M-Pesa's word that it was paid."""
        items = {
            "Amount": 20.00, "MpesaReceiptNumber": "U" + secrets.token_hex(5).upper()[:9],
            "TransactionDate": 20261105143022, "PhoneNumber": int(self.msisdn),
        }  # fmt: skip
        told = {
            "MerchantRequestID": "7a1c-4e0b", "CheckoutRequestID": self.checkout, "ResultCode": 0,
            "ResultDesc": "The service request is processed successfully.",
            "CallbackMetadata": {"Item": [{"Name": name, "Value": value} for name, value in items.items()]},
        }  # fmt: skip
        return json.dumps({"Body": {"stkCallback": told}}).encode()


@dataclass
class Box:
    """The box under measurement."""

    state: Path
    port: int
    process: subprocess.Popen[bytes]
    waiting: list[Waiting]
    radius_port: int = 0
    radius_secret: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def pids(self) -> list[int]:
        """The box's own processes: itself and its children (FreeRADIUS)."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                children = task / "children"
                found += [int(child) for child in children.read_text().split() if int(child) not in found]
        return found


def seed(count: int, poll_s: tuple[int, ...] = ()) -> list[Waiting]:
    """This many prompted checkouts of plan 1, written by the domain's own verbs; M-Pesa is asked after `poll_s`."""
    found = []
    payments.PROMPTS_IN_ALL = 1_000_000  # here; the box under measurement keeps its limit
    for number in range(count):
        now = datetime.now(UTC)
        wish = payments.Wish(plan_id=1, msisdn=f"2547{number:08d}", mac="")
        payment, _ = payments.initiate(wish, now)
        checkout = f"ws_CO_05112026143015{number:09d}"
        payments.record_prompted(payment.id, PushAnswer(checkout, "7a1c"), poll_s or (3600,), now)
        found.append(Waiting(payment.secret, checkout, payment.msisdn, payment.token))
    prompts = Job.name.in_(("payment.prompt",) if poll_s else ("payment.prompt", "payment.ask"))
    Job.update(state="done", finished_at=datetime.now(UTC)).where(prompts).execute()
    return found


@contextmanager
def running(
    count: int = 0, *, router_port: int = 0, mode: str = "", modem_port: str = "", preload: str = "",
    modem_extra: str = "", extra: str = "", fill: Callable[[Path], None] | None = None,
) -> Iterator[Box]:  # fmt: skip
    """`edge run` over a fresh state folder; `mode` local or radius adds the router `gate`.

    `fill` writes what an old box has, into its database, before anything else does.
    """
    state = Path(tempfile.mkdtemp(prefix="edge-bench-"))
    port, auth_port, acct_port, secret = free_port(), free_udp_port(), free_udp_port(), secrets.token_hex(16)
    lines = [
        f'[web]\nhost = "127.0.0.1"\nport = {port}\npublic_url = "http://127.0.0.1:{port}"',
        f'[radius]\nhost = "127.0.0.1"\nauth_port = {auth_port}\nacct_port = {acct_port}',
        f'[modem]\nport = "{modem_port}"\n{modem_extra}', extra,
    ]  # fmt: skip
    if mode:
        lines.append(
            f'[[routers]]\nname = "gate"\nhost = "127.0.0.1"\nport = {router_port or 1}\nusername = "edge"\n'
            f'password = "{PASSWORD}"\nmode = "{mode}"\nradius_secret = "{secret}"'
        )
    config = state / "edge.toml"
    config.touch(mode=0o600)
    config.write_text("\n".join(lines))
    told = settings.load(state, environ={})
    with boot.opened(told, is_new=True):
        plans.seed(sample_plans())
    if fill is not None:
        fill(told.database_path)
    with boot.opened(told):
        waiting = seed(count) if count else []
    environ = {**os.environ, "EDGE_LOG": "ERROR", **({"LD_PRELOAD": preload} if preload else {})}
    command = [sys.executable, "-m", "edge", "--state", str(state), "run"]
    log = (state / "log").open("wb")
    process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        _wait_for(port, process, state / "log")
        yield Box(state, port, process, waiting, auth_port, secret)
    finally:
        process.terminate()
        process.wait(30)
        log.close()
        shutil.rmtree(state, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):  # several may start at once
        if process.poll() is not None:
            raise RuntimeError(f"the box ended: {log.read_text()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the box does not answer")
