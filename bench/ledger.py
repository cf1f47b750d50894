"""How quick and how cheap the job system is, beside Huey's own queue on SQLite in the same run."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from huey import SqliteHuey
from huey.consumer import Consumer

from bench.client import quantile
from bench.measures import TICKS, Row
from edge import boot, database, jobs, settings
from edge.database import db
from edge.models import Job

JOBS = 4000
WORKERS = 4
# M-Pesa out of reach: a pretended one in the same process would be measured as well.
SETTINGS = f"""
[queue]
keep_done = 100000000
[queue.workers]
default = {WORKERS}
[mpesa]
mode = "sandbox"
base_url = "http://127.0.0.1:9"
consumer_key = "key"
consumer_secret = "secret"
passkey = "pass"
"""


@dataclass
class Bench:
    """A box's ledger in this process, as the web has it, and an ear for what the worker tells."""

    state: Path
    ear: socket.socket
    preload: str = ""

    def start(self, *queues: str) -> "subprocess.Popen[bytes]":
        """A worker process; returns when it works."""
        process = self.spawn(*queues)
        assert self.ear.recv(100) == b"ready"
        return process

    def spawn(self, *queues: str) -> "subprocess.Popen[bytes]":
        """A worker process that has just been started."""
        command = [sys.executable, "-m", "bench.driver", str(self.state), str(self.state / "ear"), *queues]
        shim = {"LD_PRELOAD": self.preload} if self.preload else {}
        return subprocess.Popen(command, env={**os.environ, **shim, "SLOW_FLUSH_MS": "8"}, stderr=subprocess.DEVNULL)

    def promise(self, n: int, name: str = "bench.tell", queue: str = "default") -> None:
        """One job, durable when this returns."""
        jobs.promise(name, queue, datetime.now(UTC), args={"n": n})

    def heard(self) -> tuple[int, float, int]:
        """Which job began, when by the monotonic clock, in which process."""
        number, at, pid = self.ear.recv(100).split()
        return int(number), float(at), int(pid)


@contextmanager
def ledger(preload: str = "", finished: int = 0) -> Iterator[Bench]:
    """A fresh box with this many finished jobs in its books."""
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        state = Path(folder)
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.bind(str(state / "ear"))
        ear.settimeout(120)
        config = state / "edge.toml"
        config.touch(mode=0o600)
        config.write_text(SETTINGS)
        with boot.opened(settings.load(state, environ={}), is_new=True):
            database.writer.start()
            _grow_old(finished)
            yield Bench(state, ear, preload)
        ear.close()


def _grow_old(count: int) -> None:
    """So much finished work, spread over an hour."""
    db.execute_sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO jobs (queue, name, args, state, priority, run_at, attempt, tries, backoff, timeout_s, cause,"
        " errors, created_at, started_at, finished_at, trace, deaths, progress_words) "
        "SELECT 'default', 'bench.nothing', '{}', 'done', 0, ? - i % 3600, 1, 3, '[2,4,8]', 60, '', '[]',"
        " ? - i % 3600, ? - i % 3600, ? - i % 3600, 'x', 0, '' FROM n WHERE ? > 0",
        (count, *[time.time()] * 4, count),
    )


def latency(finished: int = 0, label: str = "") -> list[Row]:
    """Promised here, begun in an idle worker process; and after a quiet minute."""
    with ledger(finished=finished) as bench:
        process = bench.start()
        try:
            for n in range(500):  # a box that has worked before: its log is written over, and grows no more
                bench.promise(n)
                bench.heard()
            time.sleep(2)
            took = [_one(bench, n) for n in range(200)]
            rows = [_latency_row(f"enqueue → start, idle worker{label}", took)]
            if not label:
                time.sleep(61)
                alone = _one(bench, 999)
                rows.append(Row("the same after a quiet minute", f"{alone:.1f} ms", "< 10 ms", alone < 10))
        finally:
            _end(process)
    return rows


def _one(bench: Bench, n: int) -> float:
    """Milliseconds from before the promise until the job began."""
    began = time.monotonic()
    bench.promise(n)
    _, at, _ = bench.heard()
    time.sleep(0.02)
    return (at - began) * 1000


def _latency_row(what: str, took: list[float]) -> Row:
    p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    return Row(what, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", "p50 < 2 ms, p99 < 10 ms", p50 < 2 and p99 < 10)


def idle(seconds: float = 60.0) -> list[Row]:
    """All queues of the contract in one process, with nothing to do."""
    with ledger() as bench:
        process = bench.start()
        try:
            time.sleep(10)
            before, began = _cpu(process.pid), time.monotonic()
            time.sleep(seconds)
            share = (_cpu(process.pid) - before) / (time.monotonic() - began) * 100
            memory = _memory_mb(process.pid)
        finally:
            _end(process)
    return [
        Row("all workers idle in one process: CPU", f"{share:.2f} % of one core", "< 0.1 %", share < 0.1),
        Row("all workers idle in one process: resident", f"{memory:.0f} MB", "< 90 MB", memory < 90),
    ]


def throughput(finished: int = 0, label: str = "") -> list[Row]:
    """Jobs that do nothing: promised one by one, then run by four workers; Huey's SQLite queue beside it."""
    ours_in, ours_out = _ours("", finished)
    theirs_in, theirs_out = _hueys()
    ratio = ours_out / theirs_out
    run = f"{ours_out:.0f}; Huey's SQLite {theirs_out:.0f}: × {ratio:.2f}"
    return [
        Row(f"durable jobs promised a second{label}", f"{ours_in:.0f}; Huey's SQLite {theirs_in:.0f}"),
        Row(f"durable jobs run a second, 4 workers{label}", run, "× 0.6", ratio >= 0.6),
    ]


def slow_throughput(shim: str) -> list[Row]:
    """The same with each flush 8 ms longer: promised durably, worked without a flush."""
    _, rate = _ours(shim, 0)
    return [Row("jobs run a second, each flush 8 ms longer", f"{rate:.0f}", "> 1,000", rate > 1000)]


def _ours(preload: str, finished: int) -> tuple[float, float]:
    with ledger(preload, finished) as bench:
        began = time.monotonic()
        for n in range(JOBS):
            bench.promise(n, "bench.nothing")
        promised = JOBS / (time.monotonic() - began)
        process = bench.start("default")
        try:
            began = time.monotonic()
            ours = (Job.name == "bench.nothing", jobs.IS_OPEN)
            left = Job.select().where(*ours).count()
            while Job.select().where(*ours).exists():
                time.sleep(0.02)
            run = left / (time.monotonic() - began)
        finally:
            _end(process)
    return promised, run


def _hueys() -> tuple[float, float]:
    """Huey's own queue, which forgets what a crash interrupts."""
    with tempfile.TemporaryDirectory() as folder:
        huey = SqliteHuey("bench", filename=f"{folder}/huey.db", fsync=True, results=False)
        done = threading.Semaphore(0)
        nothing = huey.task(name="nothing")(lambda n: done.release())
        began = time.monotonic()
        for n in range(JOBS):
            nothing(n)
        promised = JOBS / (time.monotonic() - began)
        consumer = _Quiet(huey, workers=WORKERS, periodic=False, initial_delay=0.001, max_delay=0.01)
        began = time.monotonic()
        consumer.start()
        for _ in range(JOBS):
            done.acquire()
        run = JOBS / (time.monotonic() - began)
        consumer.stop_flag.set()
        for _, thread in consumer.worker_threads:
            thread.join()
    return promised, run


class _Quiet(Consumer):  # type: ignore[misc]
    """A consumer that leaves the signals alone."""

    def _set_signal_handlers(self) -> None:
        """Left to the process."""


def rescue(rounds: int = 5) -> list[Row]:
    """kill -9 in the middle of a job, a new process at once: until the job is begun again."""
    took = []
    for _ in range(rounds):
        with ledger() as bench:
            process = bench.start("default")
            bench.promise(1, "bench.sleep")
            bench.heard()
            process.kill()
            killed = time.monotonic()
            process.wait()
            process = bench.spawn("default")
            while (told := bench.ear.recv(100)) == b"ready":  # it may begin before it says that it is ready
                pass
            at = float(told.split()[1])
            took.append((at - killed) * 1000)
            process.kill()
            process.wait()
    worst = max(took)
    return [Row("rescued after kill -9, process start included", f"{worst:.0f} ms at worst", "< 500 ms", worst < 500)]


def old_age(count: int = 1_000_000) -> list[Row]:
    """A million finished jobs in the books: it must not be felt."""
    label = f", {count:,} finished rows"
    return [*latency(count, label), *throughput(count, label)]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(60)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory_mb(pid: int) -> float:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Rss:")) / 1024
