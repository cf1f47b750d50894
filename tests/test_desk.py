"""The desk: what a person asks of the ledger, and what is forgotten when."""

import subprocess
import sys
from datetime import timedelta

import pytest

from edge import database, desk, jobs, tasks
from edge.domain import queues
from edge.errors import BadInput
from edge.handlers import upkeep
from edge.models import Heartbeat, Job, Message
from edge.settings import Settings
from edge.settings_sections import Queues
from tests.test_jobs import claim, promise, rings, state

__all__ = ["rings"]

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def run_at(job_id):
    return Job.get_by_id(job_id).run_at


def words(job_id):
    return Job.get_by_id(job_id).errors[-1]["words"]


# Work for later: listed, moved, cancelled, late rather than lost

IN_ANOTHER_LIFE = """
import sys
from datetime import datetime
from pathlib import Path
from edge import database, jobs
database.open_database(Path(sys.argv[1]))
now = datetime.fromisoformat(sys.argv[2])
print(jobs.promote(now), [job.name for name in jobs.QUEUES if (job := jobs.claim(name, "me", now))])
"""


def in_another_life(box):
    """What a process that starts now finds to do."""
    database.close_database()
    told = [sys.executable, "-c", IN_ANOTHER_LIFE, str(box.path), box.now.isoformat()]
    return subprocess.run(told, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_work_for_later_outlives_the_process_and_is_late_rather_than_lost(box):
    promise(box, run_at=box.now + HOUR, name="far.away")
    box.now += timedelta(minutes=59)
    assert in_another_life(box) == "[] []"
    box.now += 3 * DAY
    assert in_another_life(box) == "['payments'] ['far.away']"


def test_what_comes_too_late_asks_a_person_and_is_done_when_he_says_so(box):
    job_id = promise(box, run_at=box.now + HOUR, not_after=box.now + 2 * HOUR)
    box.after(hours=2, seconds=1)
    assert (jobs.promote(box.now), claim(box)) == ([], None)
    assert state(job_id) == "failed"
    assert words(job_id) == jobs.TOO_LATE.format("02 Mar 10:00")
    assert desk.retry([job_id], box.now) == 1
    assert claim(box).id == job_id


def test_what_is_not_yet_too_late_is_done_unasked(box):
    job_id = promise(box, run_at=box.now + HOUR, not_after=box.now + 2 * HOUR)
    jobs.promote(box.after(hours=2))
    assert claim(box).id == job_id


@pytest.mark.parametrize("waited", ["in a queue that was paused", "behind a box that was off", "for its back-off"])
def test_work_that_was_due_in_time_and_could_not_begin_asks_too(box, waited, monkeypatch):
    job_id = promise(box, name="test.work", queue="default", not_after=box.now + HOUR)
    done = []
    monkeypatch.setitem(tasks.TASKS, "test.work", tasks.Task(lambda world, now: done.append(now), True))
    if waited == "for its back-off":
        jobs.put_back(claim(box, "default"), "no answer", box.now)
    box.after(hours=1, seconds=1)
    monkeypatch.setattr(tasks, "_now", lambda: box.now)
    jobs.promote(box.now)
    if (job := claim(box, "default")) is not None:
        tasks.run(job, world=tasks.World(None, Settings(state=box.folder)))
    assert (state(job_id), done) == ("failed", [])
    assert words(job_id).startswith("It was to be done at 02 Mar 09:00 UTC")
    desk.retry([job_id], box.now)
    tasks.run(claim(box, "default"), world=tasks.World(None, Settings(state=box.folder)))
    assert (state(job_id), len(done)) == ("done", 1)


def test_work_is_moved_to_another_time(box, rings):
    job_id = promise(box, run_at=box.now + HOUR, not_after=box.now + 2 * HOUR)
    desk.move(job_id, box.now + 5 * HOUR, box.now)
    assert (state(job_id), run_at(job_id), rings("payments")) == ("scheduled", box.now + 5 * HOUR, 0)
    jobs.promote(box.after(hours=5))
    assert state(job_id) == "waiting"  # whoever moved it wants it then: it isn't too late


def test_work_moved_to_the_past_is_due_now_and_rings(box, rings):
    job_id = promise(box, run_at=box.now + HOUR)
    desk.move(job_id, box.now - HOUR, box.now)
    assert (state(job_id), rings("payments")) == ("waiting", 1)
    assert claim(box).id == job_id


def test_work_that_waits_already_can_be_put_off(box):
    job_id = promise(box)
    desk.move(job_id, box.now + HOUR, box.now)
    assert (state(job_id), claim(box)) == ("scheduled", None)


def test_work_is_not_moved_for_years(box):
    job_id = promise(box, run_at=box.now + HOUR)
    with pytest.raises(BadInput, match="more than a year"):
        desk.move(job_id, box.now + 400 * DAY, box.now)


@pytest.mark.parametrize("verb", ["move", "cancel"])
@pytest.mark.parametrize("begun, told", [("running", "is being worked on"), ("done", "has ended: done")])
def test_what_has_begun_is_neither_moved_nor_cancelled(box, verb, begun, told):
    promise(box)
    job = claim(box)
    if begun == "done":
        jobs.finish(job, None, box.now)
    with pytest.raises(BadInput, match=told):
        desk.move(job.id, box.now, box.now) if verb == "move" else desk.cancel(job.id, box.now)
    with pytest.raises(BadInput, match="there is no job 999"):
        desk.move(999, box.now, box.now) if verb == "move" else desk.cancel(999, box.now)
    assert state(job.id) == begun


@pytest.mark.parametrize("later", [True, False])
def test_cancelled_work_is_never_done_and_frees_its_key(box, later):
    job_id = promise(box, unique_key="k", run_at=box.now + HOUR if later else None)
    assert desk.cancel(job_id, box.now).state == "cancelled"
    jobs.promote(box.after(days=1))
    assert claim(box) is None
    assert promise(box, unique_key="k") is not None


def test_of_a_cancel_and_a_claim_at_once_one_wins(box, shared_writer, at_once):
    for _ in range(10):
        job_id = promise(box)
        won, lost = at_once(lambda n, i=job_id: claim(box) if n else desk.cancel(i, box.now), 2)[::-1]
        if state(job_id) == "running":
            assert won.id == job_id and isinstance(lost, BadInput)
            jobs.finish(won, None, box.now)
        else:
            assert (state(job_id), won, lost.id) == ("cancelled", None, job_id)


# Retry


def test_a_retry_forgets_the_deaths_and_the_time_limit(box):
    job_id = promise(box, not_after=box.now + SECOND)
    claim(box)
    Job.update(deaths=3, state="failed", finished_at=box.now).where(Job.id == job_id).execute()
    desk.retry([job_id], box.after(hours=1))
    job = Job.get_by_id(job_id)
    assert (job.state, job.deaths, job.not_after, job.finished_at) == ("waiting", 0, None, None)
    assert job.tries == job.attempt + jobs.QUEUES["payments"].tries


def test_a_retry_shows_no_progress_of_the_attempt_before(box):
    job_id = promise(box)
    job = claim(box)
    jobs.record_progress(job, 80, "eight of ten")
    jobs.give_up(job, "no", box.now)
    assert (Job.get_by_id(job_id).progress, Job.get_by_id(job_id).progress_words) == (80, "eight of ten")
    desk.retry([job_id], box.now)
    again = claim(box)
    assert (again.id, again.progress, again.progress_words) == (job_id, None, "")


def test_two_who_retry_the_same_job_give_it_one_round(box, shared_writer, at_once):
    job_id = promise(box)
    jobs.give_up(claim(box), "no", box.now)
    answers = at_once(lambda n: desk.retry([job_id], box.now), 6)
    assert sorted(str(answer) for answer in answers).count("1") == 1
    assert sum(isinstance(answer, BadInput) for answer in answers) == 5
    assert Job.get_by_id(job_id).tries == 1 + jobs.QUEUES["payments"].tries


# Pause


def test_a_paused_queue_is_left_alone_and_the_others_are_not(box):
    paused, other = promise(box), promise(box, "sms")
    desk.pause("payments", "M-Pesa is down", box.now)
    assert (jobs.upcoming("payments"), claim(box)) == ([], None)
    assert jobs.take(paused, "us", box.now) is None  # nor by whoever looked a moment earlier
    assert claim(box, "sms").id == other
    assert desk.paused()["payments"].words == "M-Pesa is down"


def test_a_paused_queue_ends_what_runs_and_takes_up_nothing_with_it(box):
    promise(box)
    running = claim(box)
    promise(box)
    desk.pause("payments", "", box.now)
    ahead = jobs.finish(running, None, box.now, then=lambda: claim(box))
    assert (ahead, state(running.id)) == (None, "done")


def test_a_resumed_queue_is_rung_and_goes_on_in_its_old_order(box, rings):
    low, high = promise(box, priority=jobs.LOW), promise(box, priority=jobs.HIGH)
    desk.pause("payments", "", box.now)
    desk.pause("payments", "twice", box.after(seconds=1))
    before = rings("payments")
    assert desk.resume("payments", box.now)
    assert rings("payments") == before + 1
    assert [claim(box).id, claim(box).id] == [high, low]
    assert not desk.resume("payments", box.now)


@pytest.mark.parametrize("verb", [desk.clear, desk.resume, lambda queue, now: desk.pause(queue, "", now)])
def test_a_queue_that_is_none_is_named(box, verb):
    with pytest.raises(BadInput, match="there is no queue 'smss'"):
        verb("smss", box.now)


# Clear and prune


def ended(box, queue="default", state="done", ago=timedelta(0), **more):
    at = box.now - ago
    return Job.create(
        name="work", queue=queue, state=state, run_at=at, tries=1, timeout_s=1, created_at=at, finished_at=at, **more
    ).id


def left(**of):
    found = Job.select().order_by(Job.id)
    for name, value in of.items():
        found = found.where(getattr(Job, name) == value)
    return [job.id for job in found]


def test_clear_forgets_the_failed_jobs_of_one_queue_or_of_all(box):
    ended(box, state="failed")
    other, done, waiting = ended(box, "sms", "failed"), ended(box), promise(box)
    assert desk.clear("default", box.now) == 1
    assert left() == [other, done, waiting]
    assert desk.clear(None, box.now) == 1
    assert left() == [done, waiting]


def test_a_queue_keeps_its_newest_so_many_and_no_other_pays_for_it(box):
    ids = [ended(box, ago=SECOND * (10 - n)) for n in range(10)]
    failed = [ended(box, state="failed", ago=SECOND * (10 - n)) for n in range(10)]
    other = [ended(box, "sms") for _ in range(3)]
    assert desk.prune(box.now, desk.Retention(done=4, failed=6)) == 10
    assert left(queue="default", state="done") == ids[6:]
    assert left(queue="default", state="failed") == failed[4:]
    assert left(queue="sms") == other


def test_a_prune_takes_no_more_than_a_chunk(box):
    for _ in range(12):
        ended(box, ago=8 * DAY)
        ended(box, "sms")
    kept = desk.Retention(done=2)
    assert [desk.prune(box.now, kept, limit=5) for _ in range(6)] == [5, 5, 5, 5, 2, 0]
    assert len(left()) == len(left(queue="sms")) == 2


def test_the_settings_say_what_is_kept(box):
    told = Queues(keep_done_days=1, keep_done=2, keep_failed_days=3, keep_failed=4)
    kept = upkeep.retention(Settings(state=box.folder, queue=told))
    assert kept == desk.Retention(DAY, 2, 3 * DAY, 4)
    ended(box, ago=timedelta(days=1.1))
    ended(box, state="failed", ago=timedelta(days=3.1))
    recent = ended(box, state="failed", ago=timedelta(days=2.9))
    desk.prune(box.now, kept)
    assert left() == [recent]


def test_what_is_open_is_never_forgotten_however_much_there_is(box):
    for _ in range(5):
        promise(box)
    promise(box, run_at=box.now + 400 * DAY)
    claim(box)
    box.after(days=500)
    assert desk.prune(box.now, desk.Retention(done=0, failed=0)) == 0
    assert len(left()) == 6


def test_periodic_work_is_forgotten_after_a_day_with_its_key(box):
    ended(box, ago=25 * HOUR, once_key="cron:x:m:1")
    recent = ended(box, ago=23 * HOUR, once_key="cron:x:m:2")
    plain = ended(box, ago=25 * HOUR, once_key="invoice:1")
    assert desk.prune(box.now) == 1
    assert left() == [recent, plain]


# Restart


def test_every_worker_is_asked_to_begin_anew(box, rings):
    for name in ("a", "b"):
        Heartbeat.create(holder=name, started_at=box.now, seen_at=box.now)
    assert desk.ask_restart(box.now) == 2
    assert {beat.restart_asked_at for beat in Heartbeat.select()} == {box.now}
    assert rings("sms") == 1


def test_a_text_that_is_cancelled_says_that_it_will_not_leave(box):
    payment = box.paid()
    [job] = box.jobs("sms.send")
    queues.cancel(job.id, box.now, "Njeri")
    message = Message.get(Message.payment == payment)
    assert (message.state, message.words) == ("failed", "cancelled by Njeri")
