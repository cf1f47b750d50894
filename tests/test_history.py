"""The history of the queues: counted in memory, written by the minute, kept when the jobs are forgotten."""

import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from edge import database, desk, history, jobs
from edge.errors import NotDurable
from edge.models import Job, JobMinute
from tests.test_jobs import claim, promise


@pytest.fixture(autouse=True)
def a_clean_slate():
    history._sums.clear()
    yield
    history._sums.clear()


def ended(box, queue="sms", waited_s=0.0, ran_s=0.0):
    """A job that waited and ran so long, ending now."""
    began = box.now - timedelta(seconds=ran_s)
    return Job(name="sms.send", queue=queue, run_at=began - timedelta(seconds=waited_s), started_at=began)


def rows():
    return list(JobMinute.select().order_by(JobMinute.minute, JobMinute.queue))


def test_a_minute_tells_how_many_how_long_and_the_longest(box):
    for outcome, waited_s, ran_s in [("done", 1, 2), ("done", 5, 0.5), ("failed", 0, 3), ("retried", 0, 0)]:
        history.note(ended(box, waited_s=waited_s, ran_s=ran_s), outcome, box.now)
    history.flush(box.now)
    (row,) = rows()
    assert (row.minute, row.queue, row.name) == (box.now.timestamp() // 60, "sms", "sms.send")
    assert (row.done, row.failed, row.retried) == (2, 1, 1)
    assert (row.run_s, row.run_max_s, row.wait_s, row.wait_max_s) == (5.5, 3, 6, 5)


def test_minutes_and_queues_stand_apart(box):
    history.note(ended(box), "done", box.now)
    history.note(ended(box, "push"), "done", box.now)
    history.note(ended(box), "done", box.after(seconds=60))
    history.flush(box.now)
    assert [(row.queue, row.done) for row in rows()] == [("push", 1), ("sms", 1), ("sms", 1)]


def test_a_second_flush_writes_nothing_twice(box):
    history.note(ended(box), "done", box.now)
    history.flush(box.now)
    history.flush(box.now)
    assert [row.done for row in rows()] == [1]


ANOTHER = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from edge import database, history
from edge.models import Job
database.open_database(Path(sys.argv[1]))
now = datetime.fromisoformat(sys.argv[2])
began = now - timedelta(seconds=4)
for outcome in ("done", "done", "failed"):
    history.note(Job(name="sms.send", queue="sms", run_at=began - timedelta(seconds=1), started_at=began), outcome, now)
history.flush(now)
"""


def test_what_two_processes_did_in_one_minute_adds_up(box):
    history.note(ended(box, waited_s=3, ran_s=1), "done", box.now)
    history.flush(box.now)
    told = [sys.executable, "-c", ANOTHER, str(box.path), box.now.isoformat()]
    subprocess.run(told, check=True, timeout=60)
    history.note(ended(box, waited_s=2, ran_s=2), "retried", box.now)
    history.flush(box.now)
    (row,) = rows()
    assert (row.done, row.failed, row.retried) == (3, 1, 1)
    assert (row.run_s, row.run_max_s, row.wait_s, row.wait_max_s) == (15, 4, 8, 3)


def test_nothing_is_lost_between_those_who_count_and_those_who_flush(box, shared_writer):
    counting = threading.Event()

    def count():
        for _ in range(500):
            history.note(ended(box, ran_s=1), "done", box.now)

    def flush():
        while not counting.is_set():
            history.flush(box.now)
        database.close_database()

    flushers = [threading.Thread(target=flush) for _ in range(2)]
    counters = [threading.Thread(target=count) for _ in range(4)]
    for thread in flushers + counters:
        thread.start()
    for thread in counters:
        thread.join(60)
    counting.set()
    for thread in flushers:
        thread.join(60)
    history.flush(box.now)
    assert [(row.done, row.run_s) for row in rows()] == [(2000, 2000)]


def test_what_a_full_disk_refused_is_written_with_the_next(box, monkeypatch):
    history.note(ended(box, waited_s=3, ran_s=1), "done", box.now)
    with monkeypatch.context() as full:
        full.setattr(database.writer, "write", lambda work, durable: raises(NotDurable("full")))
        with pytest.raises(NotDurable):
            history.flush(box.now)
        history.note(ended(box, waited_s=1, ran_s=2), "done", box.now)
    history.flush(box.now)
    (row,) = rows()
    assert (row.done, row.run_s, row.run_max_s, row.wait_s, row.wait_max_s) == (2, 3, 2, 4, 3)


def raises(reason):
    raise reason


def test_a_clock_that_steps_back_makes_no_duration_negative(box):
    job = Job(name="x", queue="sms", run_at=box.now + timedelta(hours=3), started_at=box.now + timedelta(hours=1))
    history.note(job, "done", box.now)
    history.flush(box.now)
    (row,) = rows()
    assert (row.done, row.run_s, row.wait_s) == (1, 0, 0)


def test_it_outlives_the_jobs_and_is_forgotten_after_a_month(box):
    promise(box)
    job = claim(box)
    jobs.finish(job, None, box.now)
    history.note(job, "done", box.now)
    history.flush(box.now)
    desk.prune(box.after(days=30))
    history.trim(box.now)
    assert (Job.select().count(), len(rows())) == (0, 1)
    history.trim(box.after(days=2))
    assert rows() == []


def test_older_minutes_become_hours_and_nothing_is_lost_or_counted_twice(box):
    today = int(box.now.timestamp() // 60)
    hour = (today - 3 * 24 * 60) // 60 * 60
    for minute in (hour, hour + 7, hour + 59, hour + 60, today):
        JobMinute.create(minute=minute, queue="sms", name="sms.send", done=2, run_s=1.0, run_max_s=minute - hour)
    for _ in range(2):
        history.trim(box.now)
        found = JobMinute.select().order_by(JobMinute.minute)
        assert [(row.minute, row.done, row.run_s, row.run_max_s) for row in found] == [
            (hour, 6, 3.0, 59), (hour + 60, 2, 1.0, 60), (today, 2, 1.0, today - hour),
        ]  # fmt: skip
