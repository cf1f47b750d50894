"""What every look costs, how a worker is woken, and Huey's own workers on the ledger."""

import re
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from edge import desk, history, jobs, tasks
from edge.bell import Bell, bell
from edge.database import db, transaction
from edge.domain import convergence, payments
from edge.errors import NotDurable
from edge.ledger import Busy, LedgerHuey, consumer_of
from edge.models import Job, Placement
from edge.settings import Settings
from tests.test_jobs import promise

# What every look costs, whatever the history


def plan_of(query):
    sql, params = query
    return [row[3] for row in db.execute_sql("EXPLAIN QUERY PLAN " + sql, params).fetchall()]


def captured(act):
    """The statements that this verb sends."""
    seen = []

    def hook(event):
        seen.append((event.sql, tuple(event.params or ())))

    db.query_hooks.append(hook)
    try:
        act()
    finally:
        db.query_hooks.remove(hook)
    return [(sql, params) for sql, params in seen if sql.lstrip()[:6] in ("SELECT", "UPDATE", "DELETE")]


@pytest.fixture
def busy(box, gate):
    """A box with a past."""
    for n in range(60):
        Job.create(
            name="work", queue="payments", state=("done", "failed", "waiting", "scheduled", "running")[n % 5],
            run_at=box.now, tries=1, timeout_s=1, created_at=box.now, lane="router:1", unique_key=f"k{n}",
        )  # fmt: skip
    box.paid()
    return box


LOOKS = {
    "claim": lambda box: jobs.claim("sms", "us", box.now),
    "upcoming": lambda box: jobs.upcoming("payments"),
    "next due": lambda box: jobs.next_due(box.now),
    "promote": lambda box: jobs.promote(box.now),
    "renew": lambda box: jobs.renew("us", box.now),
    "orphans": lambda box: jobs.orphans(lambda name: True, lambda name: True, box.now),
    "counts": lambda box: desk.counts(box.now),
    "cancel": lambda box: jobs.cancel("k2", box.now),
    "hurry": lambda box: jobs.hurry("router:1", box.now),
    "finish in a lane": lambda box: jobs.finish(Job.get(Job.state == "running"), None, box.now),
    "expire": lambda box: payments.expire_if_due(box.now),
    "sweep": lambda box: convergence.sweep_if_due(box.now),
    "buy": lambda box: payments.initiate(box.wish(box.juma), box.now),
    "callback": lambda box: box.call(njeris_payment(box)),
    "by token": lambda box: payments.standing(payments.by_token(njeris_payment(box).token), box.now),
}


def njeris_payment(box):
    return payments.by_token(box.pending(box.njeri).token)


@pytest.mark.parametrize("look", LOOKS)
def test_no_frequent_look_reads_a_whole_history(busy, look):
    for statement, params in captured(lambda: LOOKS[look](busy)):
        is_small = re.search(r'FROM "(routers|plans|clock|checks)"', statement)
        scans = [step for step in plan_of((statement, params)) if step.startswith("SCAN ")]
        whole = [step for step in scans if "INDEX" not in step and step not in ("SCAN CONSTANT ROW", "SCAN r")]
        assert not whole or is_small, statement


def test_the_claim_walks_its_own_index_in_order(busy):
    plan = " / ".join(plan_of((jobs.NEXT, ("payments", 1))))
    assert "SEARCH j USING INDEX jobs_next (queue=?)" in plan
    assert "jobs_held" in plan
    assert "TEMP B-TREE" not in plan


# The bell


def test_a_datagram_wakes_the_worker_in_another_process(tmp_path):
    ear, voice = Bell(), Bell()
    ear.listen(tmp_path / "bell.sock")
    voice.point_to(tmp_path / "bell.sock")
    seen = ear.count("sms")
    voice.ring(["sms"])
    assert ear.wait("sms", seen, 30) == seen + 1
    assert (tmp_path / "bell.sock").stat().st_mode & 0o777 == 0o600


def test_a_bell_nobody_hears_is_no_fault(tmp_path):
    voice = Bell()
    voice.point_to(tmp_path / "nowhere" / "bell.sock")
    voice.ring(["sms"])
    (tmp_path / "bell.sock").touch()
    voice.point_to(tmp_path / "bell.sock")
    voice.ring()


def test_a_deep_state_folder_is_rung_too(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    ear, voice = Bell(), Bell()
    ear.listen(deep / "bell.sock")
    voice.point_to(deep / "bell.sock")
    voice.ring()
    assert ear.wait("sms", 0, 30) == 1


def test_a_ring_before_the_wait_is_not_lost():
    here = Bell()
    seen = here.count("sms")
    here.ring(["payments"])
    assert here.wait("sms", seen, 0.01) == seen
    here.ring(["sms"])
    assert here.wait("sms", seen, 30) == seen + 1


# Huey's own workers on the ledger


@contextmanager
def working(run, workers):
    """Huey's consumer of the queue of payments."""
    huey = LedgerHuey("payments", "us", run, lambda name: True)
    consumer = consumer_of(huey, workers)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    consumer.start()
    try:
        yield
    finally:
        huey.stopping.set()
        consumer.stop_flag.set()
        bell.ring()
        for _, thread in consumer.worker_threads:
            thread.join(30)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_hueys_workers_do_what_is_promised_once(box, shared_writer):
    done, order = [], threading.Lock()

    def run(job, ahead):
        with order:
            done.append(job.id)
        return jobs.finish(job, None, box.now, then=lambda: ahead(True))

    ids = [promise(box) for _ in range(20)]
    with working(run, 3):
        ids += [promise(box) for _ in range(20)]
        until = time.monotonic() + 60
        while Job.select().where(Job.state == "done").count() < 40 and time.monotonic() < until:
            time.sleep(0.01)
    assert sorted(done) == ids


def test_one_ring_for_many_jobs_wakes_as_many_workers_as_there_are(box, shared_writer):
    together = threading.Barrier(4)

    def run(job, ahead):
        together.wait(30)  # nobody goes on until three are at work at once
        jobs.finish(job, None, box.now)

    with working(run, 3):
        waited = time.monotonic() + 30
        while bell._waiting["payments"] < 3 and time.monotonic() < waited:
            time.sleep(0.01)
        desk.pause("payments", "", box.now)
        for _ in range(3):
            promise(box)
        time.sleep(0.1)
        desk.resume("payments", box.now)
        together.wait(30)


@transaction
def nothing():
    """A verb with nothing to write."""


def test_an_idle_look_leaves_the_card_alone(box, gate):
    before = (box.folder / "edge.db-wal").stat().st_size
    nothing()
    for queue in jobs.QUEUES:
        assert not jobs.upcoming(queue)
    assert (payments.expire_if_due(box.now), convergence.sweep_if_due(box.now)) == (0, 0)
    assert (box.folder / "edge.db-wal").stat().st_size == before
    assert Placement.select().count() == 0


def test_two_worker_processes_hear_every_ring(tmp_path):
    first, second, voice = Bell(), Bell(), Bell()
    for ear in (first, second):
        ear.listen(tmp_path / "bell.sock")
    voice.point_to(tmp_path / "bell.sock")
    voice.ring(["sms"])
    assert [ear.wait("sms", 0, 10) for ear in (first, second)] == [1, 1]


def test_a_worker_rings_for_the_others_and_not_twice_for_itself(tmp_path):
    first, second = Bell(), Bell()
    for ear in (first, second):
        ear.listen(tmp_path / "bell.sock")
        ear.point_to(tmp_path / "bell.sock")
    second.ring(["sms"])
    assert (first.wait("sms", 0, 10), second.count("sms")) == (1, 1)


# The next job is claimed with the end of the last one


class Desk:
    """Two threads of one queue's workers, without the threads: what each would claim, and in which transaction."""

    def __init__(self, box, repeatable=lambda name: name != "once"):
        self.box = box
        self.huey = LedgerHuey("payments", "us", lambda job, ahead: None, repeatable)

    def claim(self):
        return self.huey._claim()

    def ahead(self, is_durable=True, thread=None):
        return self.huey._claim_ahead(thread or threading.current_thread(), is_durable)

    def finish(self, job, durable=True, write_down=None):
        return jobs.finish(job, write_down, self.box.now, durable=durable, then=lambda: self.ahead(durable))


@pytest.fixture
def bench(box):
    return Desk(box)


def test_the_next_job_by_priority_is_claimed_with_the_end_of_the_last(box, bench):
    promise(box)
    job = bench.claim()
    low, high = promise(box, priority=jobs.LOW), promise(box, priority=jobs.HIGH)
    following = bench.finish(job)
    assert (following.id, following.state, following.holder, following.attempt) == (high, "running", "us", 1)
    assert bench.finish(following).id == low


def test_an_end_that_is_undone_claims_nothing(box, bench):
    promise(box)
    job, behind = bench.claim(), promise(box)
    with pytest.raises(ZeroDivisionError):
        bench.finish(job, write_down=lambda: 1 / 0)
    assert (Job.get_by_id(job.id).state, Job.get_by_id(behind).state) == ("running", "waiting")
    assert bench.huey._wanted == set()


def test_a_commit_that_fails_claims_nothing(box, bench, shared_writer, monkeypatch):
    promise(box)
    job, behind = bench.claim(), promise(box)
    broken = []

    def commit(database):
        if not broken:
            broken.append(True)
            raise sqlite_full()
        return type(database).commit(database)

    monkeypatch.setattr(db.obj, "commit", lambda: commit(db.obj))
    with pytest.raises(NotDurable):
        bench.finish(job)
    assert (Job.get_by_id(job.id).state, Job.get_by_id(behind).state) == ("running", "waiting")
    assert bench.finish(job).id == behind


def sqlite_full():
    """What SQLite says when the card is full."""
    reason = sqlite3.OperationalError("database or disk is full")
    reason.sqlite_errorcode = sqlite3.SQLITE_FULL
    return reason


def test_what_may_not_be_repeated_is_not_claimed_in_a_commit_that_is_not_flushed(box, bench):
    promise(box)
    job, once = bench.claim(), promise(box, name="once")
    promise(box, priority=jobs.LOW)
    assert bench.finish(job, durable=False) is None  # nor is anything of less urgency claimed in its place
    job = bench.claim()
    assert job.id == once
    assert bench.finish(job, durable=True) is not None


def test_a_paused_queue_claims_nothing_ahead(box, bench):
    promise(box)
    job = bench.claim()
    promise(box)
    desk.pause("payments", "", box.now)
    assert bench.finish(job) is None


def test_a_lane_is_free_for_the_next_job_of_it_and_closed_for_all_others(box, bench):
    for queue in ("payments", "payments", "sms", "payments"):
        promise(box, queue, lane="router:1")
    job = bench.claim()
    assert bench.ahead() is None  # another thread's end: the lane is taken
    following = bench.finish(job)
    assert (following.id, jobs.upcoming("sms")) == (2, [])
    jobs.finish(following, None, box.now)
    assert [job_id for job_id, _ in jobs.upcoming("sms")] == [3]


def test_whoever_leaves_or_stops_claims_nothing_ahead(box, bench):
    promise(box)
    gone = threading.Thread()
    bench.huey._retired.add(gone)
    assert bench.ahead(thread=gone) is None
    bench.huey.stopping.set()
    assert bench.ahead() is None


def test_a_job_that_one_thread_is_claiming_is_left_to_it(box, bench):
    first, second = promise(box), promise(box)
    bench.huey._wanted.add(first)
    assert bench.claim().id == second
    assert bench.claim() is None


# Whose end was written and who came back too late


def test_a_thread_that_was_given_up_in_the_moment_it_ended_lets_go_what_it_had_claimed(box):
    first, second = promise(box), promise(box)
    Job.update(timeout_s=0).execute()
    ended, go_on = threading.Event(), threading.Event()

    def run(job, ahead):
        following = jobs.finish(job, None, box.now, then=lambda: ahead(True))
        ended.set()
        go_on.wait(30)
        return following

    huey = LedgerHuey("payments", "us", run, lambda name: True)
    consumer = consumer_of(huey, 1)
    consumer.start()
    try:
        assert ended.wait(30)
        ((thread, entry),) = huey.overdue().items()
        assert entry.job.id == first
        assert [huey.retire(thread), huey.retire(thread)] == [True, False]
        assert (huey.overdue(), huey.stuck()) == ({}, 1)
        ended.clear()
        consumer.add_spare()
        go_on.set()
        assert ended.wait(30)  # the spare did the second
        thread.join(30)
        assert not thread.is_alive()
    finally:
        stop(huey, consumer)
    job = Job.get_by_id(second)
    assert (job.state, job.attempt, job.tries, job.deaths) == ("done", 2, 4, 0)


def stop(huey, consumer):
    huey.stopping.set()
    consumer.stop_flag.set()
    bell.ring()
    for _, thread in consumer.worker_threads:
        thread.join(30)


def test_a_thread_that_went_on_to_its_next_job_is_not_retired_for_the_last_one(box):
    huey = LedgerHuey("payments", "us", lambda job, ahead: None, lambda name: True)
    me = threading.current_thread()
    huey._busy[me] = Busy(Job(id=1, timeout_s=0), time.monotonic() - 1)
    assert list(huey.overdue()) == [me]
    huey._busy[me] = Busy(Job(id=2, timeout_s=60), time.monotonic())
    assert (huey.retire(me), huey.stuck()) == (False, 0)


# What is flushed, and what a power cut may undo


@pytest.fixture
def levels(box, shared_writer):
    """Every statement of a transaction, with how its commit is kept: FULL or NORMAL."""
    seen = []

    def hook(event):
        if db.in_transaction():
            [kept] = db.connection().execute("PRAGMA synchronous").fetchone()
            seen.append(({1: "NORMAL", 2: "FULL"}[kept], event.sql, tuple(event.params or ())))

    db.query_hooks.append(hook)

    def of(part):
        found = [level for level, sql, params in seen if part in f"{sql} {params}"]
        seen.clear()
        return set(found)

    yield of
    db.query_hooks.remove(hook)


CLAIM, END = "SET state = 'running'", "'done'"


@pytest.mark.parametrize("name, kept", [("again", "NORMAL"), ("once", "FULL")])
def test_a_claim_is_flushed_when_its_work_may_not_be_repeated(box, bench, levels, name, kept):
    promise(box, name=name)
    assert levels("INTO jobs") == {"FULL"}  # a promise always is
    assert bench.claim() is not None
    assert levels(CLAIM) == {kept}


@pytest.mark.parametrize(
    "name, kept",
    [("box.tidy", "NORMAL"), ("grant.place", "NORMAL"), ("sms.send", "FULL"), ("payment.prompt", "FULL"),
     ("payment.ask", "FULL"), ("inbox.settle", "FULL")],
)  # fmt: skip
def test_an_end_is_flushed_when_it_may_not_be_repeated_or_a_guest_sees_it(box, bench, levels, name, kept):
    task = replace(tasks.TASKS[name], handler=lambda world, now: lambda then: None, provider=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, name, task)
        promise(box, name=name)
        job, behind = bench.claim(), promise(box, name="again")
        levels("")
        following = tasks.run(job, bench.ahead, world=tasks.World(None, Settings(state=box.folder)))
    assert levels(END) == {kept}
    assert following.id == behind


def test_a_callback_is_flushed(box, levels):
    payment = box.prompted()
    levels("")
    assert box.call(payment) == "paid"
    assert levels('"inbox"') == {"FULL"}


def test_whoever_fails_or_is_put_back_is_flushed(box, bench, levels):
    promise(box)
    jobs.put_back(bench.claim(), "no answer", box.now)
    assert levels("scheduled") == {"FULL"}


def test_progress_and_history_are_not_worth_a_flush(box, bench, levels):
    promise(box)
    job = bench.claim()
    levels("")
    jobs.record_progress(job, 10)
    assert levels("progress") == {"NORMAL"}
    history.note(job, "done", box.now)
    history.flush(box.now)
    assert levels("job_minutes") == {"NORMAL"}


def test_one_that_must_be_kept_has_all_that_share_its_commit_flushed(box, levels, shared_writer):
    begun, gate, behind = threading.Event(), threading.Event(), []
    first = shared_writer.begin(lambda: begun.set() or gate.wait(30))
    assert begun.wait(30)
    threads = [
        threading.Thread(target=lambda d=durable: shared_writer.write(lambda: transact(behind, d), durable=d))
        for durable in (False, True, False)
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while len(shared_writer._work) < 3 and time.monotonic() < until:
        time.sleep(0.005)
    gate.set()
    first.result(30)
    for thread in threads:
        thread.join(30)
    assert sorted(behind) == [False, False, True]
    assert levels("shared") == {"FULL"}


def transact(behind, durable):
    db.execute_sql("SELECT 'shared'")
    behind.append(durable)
