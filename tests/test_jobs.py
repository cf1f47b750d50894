"""The ledger of work: who may do what, once, and what happens when he doesn't come back."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from edge import desk, holder, jobs, tasks, trace
from edge.bell import bell
from edge.database import db
from edge.domain import clock
from edge.errors import BadInput
from edge.models import Event, Job
from edge.settings import Settings
from edge.tasks import World


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
    assert jobs.next_due(box.now) == 60
    box.after(minutes=1)
    assert jobs.next_due(box.now) == 0
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
    assert not any(jobs.upcoming(queue) for queue in ("provisioning", "router-checks", "router-data"))


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
    assert jobs.upcoming("payments")
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
    assert desk.retry([job.id], box.now) == 1
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
        desk.retry([job_id], box.now)
    with pytest.raises(BadInput):
        desk.retry([999], box.now)
    assert desk.retry(None, box.now) == 0


def test_a_retry_of_all_takes_the_newest_of_twins_and_none_that_is_under_way(box):
    for key in ("a", "a", "b", None):
        promise(box, unique_key=key)
        jobs.give_up(claim(box), "no", box.now)
    under_way = promise(box, unique_key="b")
    assert desk.retry(None, box.now) == 2
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


def orphans(box, alive=()):
    """On this machine; `alive` are its living processes."""
    return jobs.orphans(lambda name: name not in alive, lambda name: True, box.now)


def rescue(box, alive=(), repeatable=True):
    told = []
    count = jobs.rescue(
        orphans(box, alive), lambda name: repeatable,
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
    found = orphans(box)
    jobs.finish(found[1], None, box.now)
    assert jobs.rescue(found, lambda name: True, lambda job: None, lambda job: None, box.now) == 2
    assert [state(job_id) for job_id in ids] == ["waiting", "done", "waiting"]


def test_a_process_knows_itself_and_the_dead():
    own = holder.own_name()
    assert holder.is_alive(own)
    pid, start, boot = own.split(":")
    for name in (f"{pid}:{int(start) - 1}:{boot}", f"{pid}:{start}:00000000", "999999999:1:x", "", "nonsense", "²:1:x"):
        assert not holder.is_alive(name)


# The desk


def test_finished_work_is_forgotten_by_the_chunk(box):
    old = datetime.now(UTC) - timedelta(days=8)
    row = {"name": "work", "queue": "default", "state": "done", "run_at": old, "tries": 1, "timeout_s": 1}
    Job.insert_many([row | {"created_at": old, "finished_at": old} for _ in range(1203)]).execute()
    assert desk.prune(datetime.now(UTC)) == 500
    clock.beat(datetime.now(UTC), synchronised=True)
    job_id = promise(box, "log-rotation", "box.tidy")
    tasks.run(claim(box, "log-rotation"), world=World(None, Settings(state=box.folder)))
    assert [job.id for job in Job.select()] == [job_id]


def test_by_a_clock_nobody_vouches_for_nothing_is_forgotten(box):
    old = datetime.now(UTC) - timedelta(days=8)
    row = {"name": "work", "queue": "default", "state": "done", "run_at": old, "tries": 1, "timeout_s": 1}
    Job.create(**row, created_at=old, finished_at=old)
    clock.beat(datetime.now(UTC), synchronised=False)
    promise(box, "log-rotation", "box.tidy")
    tasks.run(claim(box, "log-rotation"), world=World(None, Settings(state=box.folder)))
    assert len(box.jobs("work")) == 1


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
    assert desk.prune(box.now) == (0 if stays else 1)


def test_the_queues_are_counted(box):
    promise(box)
    promise(box, run_at=box.now + timedelta(hours=1))
    promise(box, "sms")
    claim(box, "sms")
    jobs.give_up(claim(box), "no", box.now)
    promise(box)
    table = desk.counts(box.after(seconds=90))
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


def test_those_who_died_together_twice_are_tried_apart_so_that_one_is_parked_and_not_all(box):
    ids = [promise(box) for _ in range(3)]
    Job.update(tries=5).execute()
    for _ in range(2):
        for _ in ids:
            claim(box, who="dead")
        rescue(box)
        box.after(minutes=1)
    assert [state(job_id) for job_id in ids] == ["waiting", "scheduled", "scheduled"]
    assert claim(box, who="dead").id == ids[0]
    assert rescue(box) == (1, ["given up"])
    assert claim(box) is None
    jobs.promote(box.after(seconds=6))
    for _ in range(2):
        jobs.finish(claim(box), None, box.now)
    assert [state(job_id) for job_id in ids] == ["failed", "done", "done"]


def test_one_that_does_not_fit_the_books_keeps_nobody_waiting(box):
    ids = [promise(box) for _ in range(3)]
    for _ in ids:
        claim(box, who="dead")
    found = orphans(box)
    found[0].errors = None  # a row that something else wrote
    assert jobs.rescue(found, lambda name: True, lambda job: None, lambda job: None, box.now) == 2
    assert [state(job_id) for job_id in ids] == ["running", "waiting", "waiting"]


# How far it is


def test_progress_is_shown_while_it_runs_and_kept_when_it_has_ended(box):
    promise(box)
    job = claim(box)
    for percent, shown in ((-5, 0), (40, 40), (1000, 100)):
        jobs.record_progress(job, percent, "x" * 500)
        row = Job.get_by_id(job.id)
        assert (row.progress, row.progress_words) == (shown, "x" * 200)
    jobs.finish(job, None, box.now)
    assert Job.get_by_id(job.id).progress == 100


def test_progress_of_one_who_lost_the_job_is_not_written(box):
    promise(box)
    slow = claim(box)
    jobs.put_back(slow, "took too long", box.now)
    with pytest.raises(jobs.NotYours):
        jobs.record_progress(slow, 50)
    jobs.promote(box.after(minutes=1))
    other = claim(box)
    jobs.record_progress(other, 10)
    with pytest.raises(jobs.NotYours):
        jobs.record_progress(slow, 60)
    assert Job.get_by_id(slow.id).progress == 10


def test_each_attempt_begins_with_no_progress(box):
    promise(box)
    job = claim(box)
    jobs.record_progress(job, 90, "nearly")
    again_ = again(box, job.id) if jobs.put_back(job, "no", box.now) else None
    assert (again_.progress, again_.progress_words) == (None, "")


# Claimed and not begun


def test_what_is_let_go_unbegun_keeps_its_place_and_spends_no_try(box, rings):
    first, second = promise(box), promise(box)
    job = claim(box)
    before = rings("payments")
    jobs.unclaim(job, box.after(minutes=1))
    row = Job.get_by_id(first)
    assert (row.state, row.tries - row.attempt, row.holder, row.lease_until) == ("waiting", 3, None, None)
    assert rings("payments") == before + 1
    assert [claim(box).id, claim(box).id] == [first, second]
    assert fails(box, Job.get_by_id(first)) == 10  # the first back-off


def test_what_is_let_go_under_a_clock_that_stepped_back_is_not_put_off(box):
    promise(box)
    job = claim(box)
    box.now -= timedelta(hours=3)
    jobs.unclaim(job, box.now)
    assert claim(box).id == job.id


# One name for what was set in motion


def test_what_is_promised_in_a_request_carries_its_trace_through_the_shared_writer(box, shared_writer):
    with trace.within("a" * 32):
        ids = [promise(box), promise(box)]
    alone = promise(box)
    traces = [Job.get_by_id(job_id).trace for job_id in (*ids, alone)]
    assert traces[:2] == ["a" * 32] * 2
    assert len(traces[2]) == 32 and traces[2] != traces[0]
