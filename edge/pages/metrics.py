"""The figures for Prometheus, in its text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats)."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from edge import __version__
from edge.domain import board, breakers, clock, queues
from edge.models import JobMinute
from edge.pages.counters import totals
from edge.pages.metrics_texts import texts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("waiting", "scheduled", "running", "done", "failed")
BREAKER_STATES = ("closed", "open", "trial")
OUTCOMES = ("done", "failed", "retried")
LATELY = timedelta(minutes=5)
TODAY = "since midnight UTC, when it begins at 0 again"
CALLS = {
    "callbacks": "Calls to a payment's own address.",
    "callbacks_unknown": "Calls to an address that nobody was given.",
    "webhooks": "Signed calls of other providers.",
    "webhooks_refused": "Calls to a provider's address that were not signed with our key, or too long.",
}

Labels = dict[str, str]
Sample = tuple[str, Labels, float]  # what follows the family's name, labels, value
_STARTED = time.time()


def text(now: datetime) -> str:
    """All figures at this instant.

    What jobs did is summed over today's minutes alone: a month of them takes too long to add up every fifteen seconds,
    and Prometheus takes a counter that falls for one that began anew.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    parts = (
        _box(now), _queues(queues.status(now)), _workers(now), _attempts(board.sums_since(midnight)),
        _starts(board.sums_since(now - LATELY)), _providers(), _calls(),
        texts(family, midnight, now),
    )  # fmt: skip
    return "".join(told for part in parts for told in part)


def family(name: str, kind: str, words: str, samples: Iterable[Sample]) -> str:
    """One metric with its HELP and TYPE lines."""
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{suffix}{_labels(labels)} {_number(value)}" for suffix, labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    told = ",".join(f'{name}="{_label(value)}"' for name, value in labels.items())
    return f"{{{told}}}" if told else ""


def _label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(round(value, 6))


def _one(value: float) -> list[Sample]:
    return [("", {}, value)]


def _box(now: datetime) -> Iterator[str]:
    yield family("edge_build_info", "gauge", "The release, as a label.", [("", {"version": __version__}, 1)])
    yield family("edge_uptime_seconds", "gauge", "Since this web process began.", _one(int(time.time() - _STARTED)))
    yield family("edge_clock_trusted", "gauge", "1 while the box believes its clock.", _one(clock.is_trusted(now)))


def _queues(found: dict[str, Any]) -> Iterator[str]:
    entries = found["queues"]

    def each(key: str) -> list[Sample]:
        return [("", {"queue": entry["name"]}, entry[key]) for entry in entries]

    depth = [("", {"queue": entry["name"], "state": state}, entry[state]) for entry in entries for state in STATES]
    paused = [("", {"queue": entry["name"]}, entry["name"] in found["paused"]) for entry in entries]
    yield family("edge_queue_jobs", "gauge", "Jobs in the ledger, by queue and state.", depth)
    yield family("edge_queue_oldest_seconds", "gauge", "How long the oldest waiting job is due.", each("oldest_s"))
    yield family("edge_queue_workers", "gauge", "Worker threads of living processes.", each("workers"))
    yield family("edge_queue_paused", "gauge", "1 while a person keeps the queue paused.", paused)
    yield family("edge_work_healthy", "gauge", "0 while the work needs a person.", _one(found["healthy"]))


def _workers(now: datetime) -> Iterator[str]:
    beats = queues.alive(now)
    stuck = sum(beat.stuck for beat in beats)
    yield family("edge_worker_processes", "gauge", "Worker processes whose heart beat lately.", _one(len(beats)))
    yield family("edge_worker_stuck_threads", "gauge", "Threads that overran their time; replaced.", _one(stuck))


def _attempts(sums: list[JobMinute]) -> Iterator[str]:
    """Tries are the attempts put back; a job that was done at the third has left two of them."""
    ended = [("", {**_of(row), "outcome": name}, getattr(row, name)) for row in sums for name in OUTCOMES]
    yield family("edge_job_attempts_total", "counter", f"Attempts that ended, {TODAY}.", ended)
    for what, words in (("run", "What they took"), ("wait", "How long they were due before they began")):
        samples = [
            sample
            for row in sums
            for sample in (("_sum", _of(row), getattr(row, f"{what}_s")), ("_count", _of(row), _ended(row)))
        ]
        yield family(f"edge_job_{what}_seconds", "summary", f"{words}, {TODAY}.", samples)


def _starts(sums: list[JobMinute]) -> Iterator[str]:
    """From the promise, over the commit and the bell, to the start, as long as a worker is free."""
    means = [("", _of(row), row.wait_s / _ended(row)) for row in sums if _ended(row)]
    longest = [("", _of(row), row.wait_max_s) for row in sums]
    yield family("edge_job_start_latency_seconds", "gauge", "Due until begun, mean of five minutes.", means)
    yield family("edge_job_start_latency_max_seconds", "gauge", "Due until begun, longest in five minutes.", longest)
    slowest = [("", _of(row), row.run_max_s) for row in sums]
    yield family("edge_job_run_max_seconds", "gauge", "The slowest attempt in five minutes.", slowest)


def _of(row: JobMinute) -> Labels:
    return {"queue": row.queue, "name": row.name}


def _ended(row: JobMinute) -> int:
    return int(row.done + row.failed + row.retried)


def _providers() -> Iterator[str]:
    rows = [(queues.part_of(row.name), row) for row in breakers.everything()]
    state = [("", {"provider": name, "state": s}, row.state == s) for name, row in rows for s in BREAKER_STATES]
    failures = [("", {"provider": name}, row.failures) for name, row in rows]
    yield family("edge_breaker_state", "gauge", "1 for the state that a provider's breaker is in.", state)
    yield family("edge_breaker_failures", "gauge", "Failures of a provider in a row.", failures)


def _calls() -> Iterator[str]:
    counted = totals()
    for name in sorted(CALLS.keys() | counted.keys()):
        words = CALLS.get(name, "Counted since this web process began.")
        yield family(f"edge_{name}_total", "counter", words, _one(counted.get(name, 0)))
