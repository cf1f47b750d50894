"""What every look costs, how a worker is woken, and Huey's own workers on the ledger."""

import re
import signal
import threading
import time

import pytest

from edge import desk, jobs
from edge.bell import Bell, bell
from edge.database import db, transaction
from edge.domain import access, payments
from edge.ledger import LedgerHuey, consumer_of
from edge.models import Job, Placement
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
    "is promotion due": lambda box: jobs.is_promotion_due(box.now),
    "next due": lambda box: jobs.next_due(box.now),
    "promote": lambda box: jobs.promote(box.now),
    "renew": lambda box: jobs.renew("us", box.now),
    "orphans": lambda box: jobs.orphans(lambda name: True, lambda name: True, box.now),
    "counts": lambda box: desk.counts(box.now),
    "cancel": lambda box: jobs.cancel("k2", box.now),
    "hurry": lambda box: jobs.hurry("router:1", box.now),
    "finish in a lane": lambda box: jobs.finish(Job.get(Job.state == "running"), None, box.now),
    "expire": lambda box: payments.expire_if_due(box.now),
    "sweep": lambda box: access.sweep_if_due(box.now),
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


def test_hueys_workers_do_what_is_promised_once(box, shared_writer):
    done, order = [], threading.Lock()

    def run(job, ahead):
        with order:
            done.append(job.id)
        return jobs.finish(job, None, box.now, then=lambda: ahead(True))

    huey = LedgerHuey("payments", "us", run, lambda name: True)
    consumer = consumer_of(huey, 3)
    ids = [promise(box) for _ in range(20)]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    consumer.start()
    try:
        ids += [promise(box) for _ in range(20)]
        until = time.monotonic() + 60
        while Job.select().where(Job.state == "done").count() < 40 and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        huey.stopping.set()
        consumer.stop_flag.set()
        bell.ring()
        for _, thread in consumer.worker_threads:
            thread.join(30)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert sorted(done) == ids


@transaction
def nothing():
    """A verb with nothing to write."""


def test_an_idle_look_leaves_the_card_alone(box, gate):
    before = (box.folder / "edge.db-wal").stat().st_size
    nothing()
    for queue in jobs.QUEUES:
        assert not jobs.upcoming(queue)
    assert (payments.expire_if_due(box.now), access.sweep_if_due(box.now)) == (0, 0)
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
