"""What the queues did, minute by minute: counted in memory, written now and then, kept when jobs are forgotten."""

import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import add

from edge import database
from edge.database import db
from edge.errors import NotDurable
from edge.models import Job, JobMinute

KEPT, BY_THE_MINUTE = 31 * 24 * 60, 2 * 24 * 60  # minutes


@dataclass
class _Sum:
    done: int = 0
    failed: int = 0
    retried: int = 0
    run_s: float = 0.0
    run_max_s: float = 0.0
    wait_s: float = 0.0
    wait_max_s: float = 0.0


_lock = threading.Lock()
_sums: dict[tuple[int, str, str], _Sum] = defaultdict(_Sum)

# What another process wrote of the same minute is added to.
COLUMNS = "minute, queue, name, done, failed, retried, run_s, run_max_s, wait_s, wait_max_s"
ADD_UP = """
ON CONFLICT (minute, queue, name) DO UPDATE SET
  done = job_minutes.done + excluded.done, failed = job_minutes.failed + excluded.failed,
  retried = job_minutes.retried + excluded.retried, run_s = job_minutes.run_s + excluded.run_s,
  wait_s = job_minutes.wait_s + excluded.wait_s,
  run_max_s = CASE WHEN excluded.run_max_s > job_minutes.run_max_s THEN excluded.run_max_s
                   ELSE job_minutes.run_max_s END,
  wait_max_s = CASE WHEN excluded.wait_max_s > job_minutes.wait_max_s THEN excluded.wait_max_s
                    ELSE job_minutes.wait_max_s END
"""
ADD = f"INSERT INTO job_minutes ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {ADD_UP}"


def note(job: Job, outcome: str, now: datetime) -> None:
    """One attempt has ended: `done`, `failed` or `retried`. A crash forgets what was not flushed; the jobs do not."""
    began = job.started_at or now
    run_s = max(0.0, (now - began).total_seconds())
    wait_s = max(0.0, (began - job.run_at).total_seconds())
    with _lock:
        entry = _sums[int(now.timestamp() // 60), job.queue, job.name]
        setattr(entry, outcome, getattr(entry, outcome) + 1)
        entry.run_s += run_s
        entry.run_max_s = max(entry.run_max_s, run_s)
        entry.wait_s += wait_s
        entry.wait_max_s = max(entry.wait_max_s, wait_s)


def flush(now: datetime) -> None:
    """Write down what was counted since; a power cut may undo it."""
    with _lock:
        counted = dict(_sums)
        _sums.clear()
    if not counted:
        return
    try:
        database.writer.write(partial(_add, counted), durable=False)
    except NotDurable:
        _count_back(counted)
        raise


def _count_back(counted: dict[tuple[int, str, str], _Sum]) -> None:
    """It could not be written: it is written with the next."""
    with _lock:
        for key, kept in counted.items():
            entry = _sums[key]
            for name, value in vars(kept).items():
                join = max if "_max_" in name else add
                setattr(entry, name, join(getattr(entry, name), value))


def _add(counted: dict[tuple[int, str, str], _Sum]) -> None:
    for key, entry in counted.items():
        db.execute_sql(ADD, (*key, *vars(entry).values()))


# Of the day before yesterday nobody asks for the minute: an hour's minutes become one row, at its beginning.
ROLL_UP = f"""
INSERT INTO job_minutes ({COLUMNS})
SELECT (minute / 60) * 60, queue, name, SUM(done), SUM(failed), SUM(retried), SUM(run_s), MAX(run_max_s), SUM(wait_s),
       MAX(wait_max_s)
FROM job_minutes WHERE minute < ? AND minute <> (minute / 60) * 60 GROUP BY (minute / 60) * 60, queue, name
{ADD_UP}
"""
ROLLED_UP = "DELETE FROM job_minutes WHERE minute < ? AND minute <> (minute / 60) * 60"


def trim(now: datetime) -> None:
    """Forget what is older than a month, and keep by the hour what is older than two days."""
    today = int(now.timestamp() // 60)
    by_the_hour = (today - BY_THE_MINUTE) // 60 * 60

    def write_down() -> None:
        JobMinute.delete().where(JobMinute.minute < today - KEPT).execute()
        db.execute_sql(ROLL_UP, (by_the_hour,))
        db.execute_sql(ROLLED_UP, (by_the_hour,))

    database.writer.write(write_down, durable=False)
