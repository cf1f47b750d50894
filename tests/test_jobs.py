"""The ledger of work: who may do what, once, and what happens when he doesn't come back."""

import contextlib
import re
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from edge import holder, jobs, tasks
from edge.bell import Bell, bell
from edge.database import db, transaction
from edge.domain import access, clock, payments
from edge.errors import BadInput, NotDurable, Refused, Unconfirmed, Unreachable
from edge.ledger import LedgerHuey, consumer_of
from edge.models import Event, Job, Placement
from edge.tasks import Later, Task


def promise(box, queue="payments", name="work", **more):
    return jobs.promise(name, queue, box.now, **more)


def claim(box, queue="payments", who="us"):
    return jobs.claim(queue, who, box.now)


def state(job_id):
    return Job.get_by_id(job_id).state


@pytest.fixture
def rings():
    """How often each queue was rung since."""
    before = dict(bell._rings)
    return lambda queue: bell._rings.get(queue, 0) - before.get(queue, 0)


# Promise


def test_work_is_promised_with_its_cause_or_not_at_all(box, rings):
    with contextlib.suppress(ZeroDivisionError), db.atomic("IMMEDIATE"):
        promise(box)
        raise ZeroDivisionError
    assert (Job.select().count(), rings("payments")) == (0, 0)
    assert Job.get_by_id(promise(box)).state == "waiting"
    assert rings("payments") == 1


def test_the_bell_rings_after_the_commit_and_not_before(box, rings):
    with db.atomic("IMMEDIATE"):
        promise(box)
        assert rings("payments") == 0
    assert rings("payments") == 1


def test_a_savepoint_that_is_undone_may_ring_for_nothing_and_hurts_nobody(box, rings):
    with db.atomic("IMMEDIATE"):
        with contextlib.suppress(ZeroDivisionError), db.savepoint():
            promise(box)
            raise ZeroDivisionError
    assert Job.select().count() == 0
    assert claim(box) is None


def test_a_bell_that_breaks_does_not_deny_what_is_in_the_books(box, monkeypatch):
    monkeypatch.setattr(bell, "_ring", lambda names: 1 / 0)
    assert state(promise(box)) == "waiting"


def test_later_work_waits_for_its_time_and_rings_nobody(box, rings):
    job_id = promise(box, run_at=box.now + timedelta(minutes=1))
    assert (state(job_id), rings("payments"), claim(box)) == ("scheduled", 0, None)
    assert not jobs.is_promotion_due(box.now)
    assert jobs.next_due(box.now) == 60
    box.after(minutes=1)
    assert jobs.is_promotion_due(box.now)
    assert jobs.promote(box.now) == ["payments"]
    assert (state(job_id), rings("payments")) == ("waiting", 1)
    assert jobs.next_due(box.now) is None


def test_a_key_is_unique_while_its_job_is_open(box):
    first = promise(box, unique_key="k")
    assert promise(box, unique_key="k") is None
    job = claim(box)
    assert promise(box, unique_key="k") is None
    jobs.finish(job, lambda: promise(box, unique_key="k"), box.now)
    assert (state(first), Job.select().count()) == ("done", 2)


def test_a_once_key_is_unique_for_ever(box):
    assert promise(box, once_key="cron:x:202603020900")
    jobs.finish(claim(box), None, box.now)
    assert promise(box, once_key="cron:x:202603020900") is None


def test_a_key_that_is_cancelled_is_free(box):
    later = promise(box, unique_key="k", run_at=box.now + timedelta(days=1))
    assert jobs.cancel("k", box.now)
    assert state(later) == "cancelled"
    assert promise(box, unique_key="k")
    claim(box)
    assert not jobs.cancel("k", box.now)  # what runs already is left to its end
    assert not jobs.cancel("nobody", box.now)


# Claim


def test_the_order_is_priority_then_time_then_number(box):
    low = promise(box, priority=jobs.LOW)
    first, second = promise(box), promise(box)
    high = promise(box, priority=jobs.HIGH)
    older = promise(box, run_at=box.now - timedelta(hours=1))
    assert [claim(box).id for _ in range(5)] == [high, older, first, second, low]
    assert claim(box) is None


def test_a_job_has_one_worker_however_many_ask(box, at_once):
    ids = [promise(box) for _ in range(10)]
    won = at_once(lambda place: [job.id for _ in range(5) if (job := claim(box, who=str(place)))], 8)
    assert sorted(job_id for some in won for job_id in some) == ids
    assert Job.select().where(Job.attempt != 1).count() == 0


def test_a_queue_claims_its_own_work_alone(box):
    promise(box, "sms")
    assert claim(box, "payments") is None
    assert claim(box, "sms").queue == "sms"


def test_a_lane_has_one_job_running_across_all_queues(box, at_once):
    for queue in ("provisioning", "router-checks", "router-data") * 2:
        promise(box, queue, lane="router:1")
    free = promise(box, "provisioning", lane="router:2", priority=jobs.LOW)
    won = at_once(lambda place: claim(box, ("provisioning", "router-checks", "router-data")[place % 3]), 9)
    running = [job for job in won if job is not None]
    assert sorted(job.lane for job in running) == ["router:1", "router:2"]
    assert free in {job.id for job in running}
    assert not any(jobs.is_work_waiting(queue) for queue in ("provisioning", "router-checks", "router-data"))


@pytest.mark.parametrize("end", ["finish", "put_back", "snooze", "give_up"])
def test_a_lane_that_is_free_again_wakes_every_queue_that_waits_for_it(box, rings, end):
    promise(box, "router-checks", lane="router:1")
    promise(box, "sms", lane="modem")
    job = claim(box, "router-checks")
    promise(box, "provisioning", lane="router:1")
    before = rings("provisioning"), rings("sms")
    {
        "finish": lambda: jobs.finish(job, None, box.now),
        "put_back": lambda: jobs.put_back(job, "no", box.now),
        "snooze": lambda: jobs.snooze(job, box.now + timedelta(minutes=1), box.now),
        "give_up": lambda: jobs.give_up(job, "no", box.now),
    }[end]()
    assert (rings("provisioning"), rings("sms")) == (before[0] + 1, before[1])


def test_a_clock_that_steps_back_hides_no_waiting_work(box):
    promise(box)
    box.now -= timedelta(hours=3)
    assert jobs.is_work_waiting("payments")
    assert claim(box) is not None


# The end of an attempt


def test_a_job_ends_together_with_what_came_of_it(box):
    job = claim(box) if promise(box) else None
    with pytest.raises(ZeroDivisionError):
        jobs.finish(job, lambda: (Event.create(name="x", at=box.now), 1 / 0), box.now)
    assert (state(job.id), box.events("x")) == ("running", [])
    jobs.finish(job, lambda: Event.create(name="x", at=box.now), box.now)
    assert (state(job.id), len(box.events("x"))) == ("done", 1)


@pytest.mark.parametrize("end", ["finish", "put_back", "snooze", "give_up"])
def test_who_comes_back_too_late_changes_nothing(box, end):
    promise(box)
    slow = claim(box)
    jobs.put_back(slow, "took too long", box.now)
    jobs.promote(box.after(minutes=1))
    other = claim(box, who="another")
    wrote = []
    with pytest.raises(jobs.NotYours):
        {
            "finish": lambda: jobs.finish(slow, lambda: wrote.append(Event.create(name="late", at=0.0)), box.now),
            "put_back": lambda: jobs.put_back(slow, "no", box.now),
            "snooze": lambda: jobs.snooze(slow, box.now, box.now),
            "give_up": lambda: jobs.give_up(slow, "no", box.now, lambda: Event.create(name="late", at=0.0)),
        }[end]()
    assert box.events("late") == []
    jobs.finish(other, None, box.now)
    assert Job.get_by_id(slow.id).attempt == 2


def fails(box, job, words="no answer"):
    """One more attempt that did nothing; how long it is put off, in seconds."""
    outcome = jobs.put_back(job, words, box.now)
    return round((Job.get_by_id(job.id).run_at - box.now).total_seconds()) if outcome == "scheduled" else outcome


def again(box, job_id):
    Job.update(state="waiting").where(Job.id == job_id).execute()
    return claim(box, Job.get_by_id(job_id).queue)


@pytest.mark.parametrize(
    "queue, pauses",
    [("payments", [10, 30]), ("provisioning", [5, 15, 30, 60]), ("sms", [5, 5]), ("downloads", [2]),
     ("router-checks", [])],
)  # fmt: skip
def test_back_off_follows_the_queues_list_and_tries_counts_attempts(box, queue, pauses):
    job = again(box, promise(box, queue))
    told = []
    for pause in pauses:
        assert fails(box, job) == pause
        job = again(box, job.id)
    assert jobs.put_back(job, "no answer", box.now, lambda: told.append("given up")) == "failed"
    assert told == ["given up"]
    assert [error["attempt"] for error in Job.get_by_id(job.id).errors] == list(range(1, len(pauses) + 2))


def test_a_snooze_spends_no_try_and_does_not_lengthen_the_back_off(box):
    job = again(box, promise(box))
    for _ in range(7):
        jobs.snooze(job, box.now + timedelta(seconds=12), box.now)
        job = again(box, job.id)
    assert fails(box, job) == 10
    job = again(box, job.id)
    jobs.snooze(job, box.now + timedelta(seconds=12), box.now)
    assert [fails(box, again(box, job.id)) for _ in range(2)] == [30, "failed"]


def test_a_retry_by_hand_is_a_whole_round_and_the_attempt_never_goes_back(box):
    job = again(box, promise(box))
    for expected in (10, 30, "failed"):
        assert fails(box, job) == expected
        job = again(box, job.id) if expected != "failed" else job
    assert jobs.retry([job.id], box.now) == 1
    job = claim(box)
    assert job.attempt == 4
    assert fails(box, job) == 10
    assert len(Job.get_by_id(job.id).errors) == 4


def test_what_is_told_of_a_failure_stays_short(box):
    job = again(box, promise(box))
    job.put(tries=100)
    for _ in range(30):
        jobs.put_back(job, "x" * 5000, box.now)
        job = again(box, job.id)
    assert len(job.errors) == jobs.ERRORS_KEPT and job.errors[-1]["attempt"] == 30
    assert {len(error["words"]) for error in job.errors} == {500}


def test_only_failed_work_is_retried(box):
    job_id = promise(box)
    with pytest.raises(BadInput, match="only failed jobs"):
        jobs.retry([job_id], box.now)
    with pytest.raises(BadInput):
        jobs.retry([999], box.now)
    assert jobs.retry(None, box.now) == 0


def test_a_retry_of_all_takes_the_newest_of_twins_and_none_that_is_under_way(box):
    for key in ("a", "a", "b", None):
        promise(box, unique_key=key)
        jobs.give_up(claim(box), "no", box.now)
    under_way = promise(box, unique_key="b")
    assert jobs.retry(None, box.now) == 2
    assert [job.unique_key for job in box.jobs("work", "waiting")] == ["a", None, "b"]
    assert [job.id for job in box.jobs("work", "failed")] == [1, 3]
    assert state(under_way) == "waiting"


def test_a_verdict_that_breaks_does_not_keep_its_job_open(box):
    promise(box)
    job = claim(box)
    jobs.give_up(job, "no", box.now, lambda: (Event.create(name="half", at=0.0), 1 / 0))
    assert (state(job.id), box.events("half")) == ("failed", [])


def test_hurry_calls_back_what_waits_out_a_back_off_in_this_lane(box, rings):
    tired, other = promise(box, lane="router:1"), promise(box, lane="router:2")
    for _ in range(2):
        jobs.put_back(claim(box), "no answer", box.now)
    meant = promise(box, lane="router:1", run_at=box.now + timedelta(days=1))
    before = rings("payments")
    assert jobs.hurry("router:1", box.now) == 1
    assert [state(job_id) for job_id in (tired, other, meant)] == ["waiting", "scheduled", "scheduled"]
    assert rings("payments") == before + 1


def test_delays_given_by_a_clock_that_ran_ahead_are_mended(box):
    right = box.now
    promise(box, unique_key="soon", run_at=right + timedelta(seconds=20))
    box.now += timedelta(days=3650)
    later = promise(box, unique_key="later", run_at=box.now + timedelta(seconds=30))
    promise(box)
    job = claim(box)
    jobs.put_back(job, "no", box.now)
    box.now = right
    assert jobs.mend_delays(box.now) == 2
    assert Job.get_by_id(later).run_at == box.now + timedelta(seconds=30)
    assert Job.get_by_id(job.id).run_at == box.now + timedelta(seconds=10)
    assert jobs.mend_delays(box.now) == 0


def test_the_clocks_beat_mends_delays(box):
    box.now += timedelta(days=3650)
    job_id = promise(box, run_at=box.now + timedelta(seconds=30))
    box.now -= timedelta(days=3650)
    clock.beat(box.after(seconds=20), synchronised=True)
    assert jobs.promote(box.after(seconds=30)) == ["payments"]
    assert state(job_id) == "waiting"


# Rescue


def rescue(box, alive=(), repeatable=True):
    told = []
    count = jobs.rescue(
        jobs.orphans(lambda name: name in alive), lambda name: repeatable,
        lambda job: told.append("unconfirmed"), lambda job: told.append("given up"), box.now,
    )  # fmt: skip
    return count, told


def test_harmless_work_of_the_dead_goes_first_again(box):
    old = promise(box)
    claim(box, who="dead")
    box.after(minutes=5)
    new = promise(box)
    assert rescue(box) == (1, [])
    assert [claim(box).id, claim(box).id] == [old, new]


def test_work_of_the_living_is_left_alone(box):
    promise(box)
    claim(box, who="alive")
    assert rescue(box, alive=["alive"]) == (0, [])


def test_what_can_not_be_repeated_becomes_a_question(box):
    job_id = promise(box)
    claim(box, who="dead")
    assert rescue(box, repeatable=False) == (1, ["unconfirmed"])
    assert (state(job_id), claim(box)) == ("failed", None)


def test_a_job_that_kills_its_process_ends_in_failed(box):
    job_id = promise(box)
    told = []
    for _ in range(3):
        claim(box, who="dead")
        told += rescue(box)[1]
    assert (state(job_id), told) == ("failed", ["given up"])


def test_one_that_was_taken_up_elsewhere_keeps_nobody_waiting(box):
    ids = [promise(box) for _ in range(3)]
    for _ in ids:
        claim(box, who="dead")
    found = jobs.orphans(lambda name: False)
    jobs.finish(found[1], None, box.now)
    assert jobs.rescue(found, lambda name: True, lambda job: None, lambda job: None, box.now) == 2
    assert [state(job_id) for job_id in ids] == ["waiting", "done", "waiting"]


def test_a_process_knows_itself_and_the_dead():
    own = holder.own_name()
    assert holder.is_alive(own)
    pid, start, boot = own.split(":")
    for name in (f"{pid}:{int(start) - 1}:{boot}", f"{pid}:{start}:00000000", "999999999:1:x", "", "nonsense", "²:1:x"):
        assert not holder.is_alive(name)


# What the tasks make of it


@pytest.fixture
def kind(monkeypatch):
    """A kind of work whose handler does what the test says."""

    def make(handler, repeatable, **more):
        monkeypatch.setitem(tasks.TASKS, "test.work", Task(handler, repeatable=repeatable, **more))

    return make


def run_one(box, handler, kind, repeatable, **more):
    told = []
    kind(
        handler, repeatable,
        unconfirmed=lambda args, words, now: told.append(("unconfirmed", args["n"], words)),
        given_up=lambda args, words, now: told.append(("given up", args["n"], words)), **more,
    )  # fmt: skip
    job_id = promise(box, "default", "test.work", args={"n": 7})
    tasks.run(claim(box, "default"), SimpleNamespace())
    return Job.get_by_id(job_id), told


def raises(reason):
    def handler(world, now, n):
        raise reason

    return handler


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize(
    "reason, outcome",
    [
        (Unreachable("no answer"), ("scheduled", [])),
        (Refused("wrong PIN"), ("failed", ["given up"])),
        (Unconfirmed("silence"), ("failed", ["unconfirmed"])),
        (ZeroDivisionError("a fault"), {True: ("scheduled", []), False: ("failed", ["unconfirmed"])}),
        (NotDurable("full"), {True: ("scheduled", []), False: ("failed", ["unconfirmed"])}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_says_what_to_do_next(box, kind, reason, outcome, repeatable):
    job, told = run_one(box, raises(reason), kind, repeatable)
    expected = outcome[repeatable] if isinstance(outcome, dict) else outcome
    assert (job.state, [verdict for verdict, *_ in told]) == expected
    assert str(reason) in job.errors[0]["words"]
    assert all(n == 7 and str(reason) in words for _, n, words in told)


@pytest.mark.parametrize("repeatable", [True, False])
def test_later_spends_no_try(box, kind, repeatable):
    job, told = run_one(box, raises(Later(datetime(2100, 1, 1, tzinfo=UTC))), kind, repeatable)
    assert (job.state, job.tries, job.errors, told) == ("scheduled", 4, [], [])


def test_unreachable_to_the_last_try_is_given_up(box, kind):
    kind(raises(Unreachable("no answer")), False, given_up=lambda args, words, now: Event.create(name="told", at=now))
    job_id = promise(box, "default", "test.work", args={"n": 7})
    for _ in range(3):
        tasks.run(again(box, job_id), SimpleNamespace())
    assert (state(job_id), len(box.events("told"))) == ("failed", 1)


def test_what_came_of_it_is_written_with_the_end(box, kind):
    def handler(world, now, n):
        assert not db.in_transaction()  # devices are asked outside any transaction
        return lambda then: Event.create(name="done", at=then)

    job, _ = run_one(box, handler, kind, True)
    assert (job.state, len(box.events("done"))) == ("done", 1)


@pytest.mark.parametrize("repeatable, outcome", [(True, "scheduled"), (False, "failed")])
def test_an_outcome_that_does_not_fit_the_books_holds_no_job_for_ever(box, kind, repeatable, outcome):
    job, told = run_one(box, lambda world, now, n: lambda then: 1 / 0, kind, repeatable)
    assert (job.state, [verdict for verdict, *_ in told]) == (outcome, [] if repeatable else ["unconfirmed"])


def test_a_full_disk_is_waited_for_before_what_is_done_is_called_unknown(box, kind, monkeypatch):
    monkeypatch.setattr(tasks, "WRITE_AGAIN_S", (0.01, 0.01))
    moods = iter([NotDurable("full"), NotDurable("full"), None])

    def write_down(then):
        if reason := next(moods):
            raise reason
        Event.create(name="sent", at=then)

    job, told = run_one(box, lambda world, now, n: write_down, kind, False)
    assert (job.state, told, len(box.events("sent"))) == ("done", [], 1)


def test_a_job_taken_away_meanwhile_writes_nothing(box, kind):
    def slow(world, now, n):
        jobs.put_back(Job.get(Job.name == "test.work"), "took too long", now)
        return lambda then: Event.create(name="late", at=then)

    job, _ = run_one(box, slow, kind, True)
    assert (job.state, box.events("late")) == ("scheduled", [])


def test_what_is_true_late_is_written_though_the_job_was_taken_away(box, kind):
    def slow(world, now, n):
        jobs.give_up(Job.get(Job.name == "test.work"), "took too long", now)
        return lambda then: Event.create(name="late", at=then)

    job, _ = run_one(box, slow, kind, False, is_true_late=True)
    assert (job.state, len(box.events("late"))) == ("failed", 1)
    assert {name for name, task in tasks.TASKS.items() if task.is_true_late} >= {"payment.prompt", "sms.send"}


def test_work_of_another_release_fails_in_words(box):
    job_id = promise(box, "default", "from.the.future")
    tasks.run(claim(box, "default"), SimpleNamespace())
    assert "no work named 'from.the.future'" in Job.get_by_id(job_id).errors[0]["words"]
    assert state(job_id) == "failed"


@pytest.mark.parametrize("name", ["router.check", "sms.send", "from.the.future"])
def test_a_job_past_its_time_out_is_taken_from_its_thread(box, name):
    args = {"router.check": {"router_id": 1}, "sms.send": {"message_id": 1}}.get(name, {})
    job_id = promise(box, "router-checks", name, args=args)
    claim(box, "router-checks")
    assert tasks.fail_overdue(box.after(seconds=30)) == 0
    assert tasks.fail_overdue(box.after(seconds=1)) == 1
    assert (state(job_id), tasks.fail_overdue(box.now)) == ("failed", 0)


def test_the_work_of_an_earlier_life_is_taken_up(box, gate):
    payment = box.pending()
    claim(box, who="1:1:dead")
    assert tasks.rescue(box.now) == 1
    assert payments.by_token(payment.token).state == "prompted"  # perhaps it rings: never pushed again
    assert box.events("prompt.unconfirmed")
    assert claim(box) is None


def test_finished_work_is_forgotten_by_the_chunk(box):
    old = datetime.now(UTC) - timedelta(days=8)
    row = {"name": "work", "queue": "default", "state": "done", "run_at": old, "tries": 1, "timeout_s": 1}
    Job.insert_many([row | {"created_at": old, "finished_at": old} for _ in range(1203)]).execute()
    assert jobs.prune(datetime.now(UTC)) == 500
    job_id = promise(box, "log-rotation", "box.tidy")
    tasks.run(claim(box, "log-rotation"), SimpleNamespace())
    assert [job.id for job in Job.select()] == [job_id]


@pytest.mark.parametrize(
    "state_, once_key, age_days, stays",
    [("done", None, 6.9, True), ("done", None, 7.1, False), ("cancelled", None, 7.1, False), ("failed", None, 29, True),
     ("failed", None, 31, False), ("done", "cron:x:m:1", 0.9, True), ("done", "cron:x:m:1", 1.1, False),
     ("failed", "cron:x:m:1", 2, True), ("waiting", None, 400, True), ("running", None, 400, True)],
)  # fmt: skip
def test_how_long_finished_work_is_remembered(box, state_, once_key, age_days, stays):
    at = box.now - timedelta(days=age_days)
    Job.create(
        name="work", queue="default", state=state_, run_at=at, tries=1, timeout_s=1, created_at=at, finished_at=at,
        once_key=once_key,
    )  # fmt: skip
    assert jobs.prune(box.now) == (0 if stays else 1)


def test_the_queues_are_counted(box):
    promise(box)
    promise(box, run_at=box.now + timedelta(hours=1))
    promise(box, "sms")
    claim(box, "sms")
    jobs.give_up(claim(box), "no", box.now)
    promise(box)
    table = jobs.counts(box.after(seconds=90))
    assert table["payments"] == {
        "name": "payments", "waiting": 1, "scheduled": 1, "running": 0, "done": 0, "failed": 1, "oldest_s": 90,
    }  # fmt: skip
    assert table["sms"]["running"] == 1
    assert set(table) == set(jobs.QUEUES)


def test_workers_are_set_by_name_and_at_least_one(monkeypatch):
    monkeypatch.setattr(jobs, "QUEUES", dict(jobs.QUEUES))
    jobs.set_workers({"sms": 7})
    assert jobs.QUEUES["sms"].workers == 7
    for counts in ({"sma": 1}, {"sms": 0}):
        with pytest.raises(BadInput, match="workers"):
            jobs.set_workers(counts)


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
    "is work waiting": lambda box: jobs.is_work_waiting("payments"),
    "is promotion due": lambda box: jobs.is_promotion_due(box.now),
    "next due": lambda box: jobs.next_due(box.now),
    "promote": lambda box: jobs.promote(box.now),
    "renew": lambda box: jobs.renew("us", box.now),
    "orphans": lambda box: jobs.orphans(lambda name: True),
    "counts": lambda box: jobs.counts(box.now),
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
    plan = " / ".join(plan_of((jobs.NEXT, ("payments",))))
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

    def run(job):
        with order:
            done.append(job.id)
        jobs.finish(job, None, box.now)

    huey = LedgerHuey("payments", "us", run)
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
        assert not jobs.is_work_waiting(queue)
    assert (payments.expire_if_due(box.now), access.sweep_if_due(box.now)) == (0, 0)
    assert (box.folder / "edge.db-wal").stat().st_size == before
    assert Placement.select().count() == 0
