"""Batches: jobs that belong together, and one completion when the last of them has ended, in whatever way."""

from datetime import timedelta

import pytest

from edge import desk, jobs
from edge.models import Batch, Job
from tests.test_jobs import claim, promise, state

THEN = ("campaign.told", "notifications", {"campaign": 7})


@pytest.fixture
def batch(box):
    return jobs.start_batch("campaign 7", box.now, THEN)


def told(box):
    return [job.args for job in box.jobs("campaign.told")]


def row(batch):
    return Batch.get_by_id(batch.id)


def counted(batch):
    return row(batch).total, row(batch).open, row(batch).failed


ENDS = {
    "done": lambda box, job: jobs.finish(job, None, box.now),
    "failed": lambda box, job: jobs.give_up(job, "no", box.now),
    "tries used up": lambda box, job: jobs.put_back(retried_to_the_end(job), "no answer", box.now),
    "cancelled": lambda box, job: desk.cancel(unbegun(box, job), box.now),
    "cancelled by its key": lambda box, job: jobs.cancel(keyed(unbegun(box, job)), box.now),
    "parked": lambda box, job: parked(box, job),
    "a question": lambda box, job: jobs.rescue([job], lambda name: False, print, print, box.now),
    "too late": lambda box, job: too_late(box, unbegun(box, job)),
}


def retried_to_the_end(job):
    job.tries = job.attempt
    return job


def unbegun(box, job):
    jobs.unclaim(job, box.now)
    return job.id


def keyed(job_id):
    Job.update(unique_key="k").where(Job.id == job_id).execute()
    return "k"


def parked(box, job):
    job.deaths = jobs.DEATHS - 1
    jobs.rescue([job], lambda name: True, print, print, box.now)


def too_late(box, job_id):
    desk.move(job_id, box.now + timedelta(minutes=1), box.now)
    Job.update(not_after=box.now).where(Job.id == job_id).execute()
    jobs.promote(box.after(minutes=2))


@pytest.mark.parametrize("end", ENDS)
def test_the_last_job_to_end_promises_the_completion_once_however_it_ends(box, batch, end):
    for _ in range(3):
        promise(box, batch=batch)
    jobs.seal(batch, box.now)
    for _ in range(2):
        jobs.finish(claim(box), None, box.now)
        assert told(box) == []
    ENDS[end](box, claim(box))
    assert told(box) == [{"campaign": 7, "batch_id": batch.id}]
    assert counted(batch) == (3, 0, 0 if end == "done" else 1)
    assert row(batch).finished_at == box.now


def test_a_batch_that_is_not_sealed_waits_for_more_jobs(box, batch):
    promise(box, batch=batch)
    jobs.finish(claim(box), None, box.now)
    assert told(box) == []
    promise(box, batch=batch)
    jobs.seal(batch, box.now)
    assert told(box) == []
    jobs.finish(claim(box), None, box.now)
    assert len(told(box)) == 1


def test_a_batch_sealed_after_its_last_job_ended_is_complete_at_once(box, batch):
    promise(box, batch=batch)
    jobs.finish(claim(box), None, box.now)
    jobs.seal(batch, box.now)
    assert len(told(box)) == 1


def test_a_batch_of_no_jobs_is_complete_when_it_is_sealed_and_only_once(box, batch):
    jobs.seal(batch, box.now)
    jobs.seal(batch, box.after(seconds=1))
    assert len(told(box)) == 1


def test_a_batch_without_completion_just_ends(box):
    batch = jobs.start_batch("quiet", box.now)
    promise(box, batch=batch)
    jobs.seal(batch, box.now)
    jobs.finish(claim(box), None, box.now)
    assert row(batch).finished_at == box.now
    assert box.jobs("", "waiting", "scheduled") == []


def test_a_retry_after_the_end_changes_the_count_and_promises_nothing_again(box, batch):
    job_id = promise(box, batch=batch)
    jobs.seal(batch, box.now)
    jobs.give_up(claim(box), "no", box.now)
    assert (counted(batch), len(told(box))) == ((1, 0, 1), 1)
    desk.retry([job_id], box.now)
    assert counted(batch) == (1, 1, 0)
    jobs.finish(claim(box), None, box.now)
    assert (counted(batch), len(told(box))) == ((1, 0, 0), 1)


def test_a_retry_before_the_end_is_waited_for(box, batch):
    first = promise(box, batch=batch)
    jobs.give_up(claim(box), "no", box.now)
    promise(box, batch=batch, run_at=box.now + timedelta(hours=1))
    jobs.seal(batch, box.now)
    desk.retry([first], box.now)
    jobs.promote(box.after(hours=1))
    jobs.finish(claim(box), None, box.now)
    assert told(box) == []
    jobs.finish(claim(box), None, box.now)
    assert (counted(batch), len(told(box))) == ((2, 0, 0), 1)


def test_back_off_and_snooze_are_no_ends(box, batch):
    promise(box, batch=batch)
    jobs.seal(batch, box.now)
    jobs.put_back(claim(box), "no answer", box.now)
    jobs.promote(box.after(minutes=5))
    jobs.snooze(claim(box), box.now + timedelta(minutes=1), box.now)
    assert (counted(batch), told(box)) == ((1, 1, 0), [])


def test_a_job_that_is_promised_already_is_not_counted_twice(box, batch):
    promise(box, unique_key="k")
    promise(box, unique_key="k", batch=batch)
    assert counted(batch) == (0, 0, 0)


def test_whoever_comes_too_late_does_not_count(box, batch):
    promise(box, batch=batch)
    slow = claim(box)
    promise(box, batch=batch)
    jobs.give_up(slow, "took too long", box.now)
    jobs.seal(batch, box.now)
    with pytest.raises(jobs.NotYours):
        jobs.finish(slow, None, box.now)
    assert (counted(batch), told(box)) == ((2, 1, 1), [])


def test_an_end_that_is_undone_does_not_count(box, batch):
    promise(box, batch=batch)
    jobs.seal(batch, box.now)
    job = claim(box)
    with pytest.raises(ZeroDivisionError):
        jobs.finish(job, lambda: 1 / 0, box.now)
    assert (counted(batch), told(box), state(job.id)) == ((1, 1, 0), [], "running")


def test_many_who_finish_at_once_promise_one_completion(box, batch, shared_writer, at_once):
    for _ in range(16):
        promise(box, batch=batch)
    held = [claim(box) for _ in range(16)]
    ends = [lambda job: jobs.finish(job, None, box.now), lambda job: jobs.give_up(job, "no", box.now)]
    answers = at_once(lambda n: jobs.seal(batch, box.now) if n == 16 else ends[n % 2](held[n]), 17)
    assert not any(isinstance(answer, Exception) for answer in answers)
    assert (counted(batch), len(told(box))) == ((16, 0, 8), 1)


def test_a_job_may_promise_more_of_its_own_batch_in_its_end(box, batch):
    promise(box, batch=batch)
    jobs.seal(batch, box.now)
    jobs.finish(claim(box), lambda: promise(box, batch=row(batch)), box.now)
    assert (counted(batch), told(box)) == ((2, 1, 0), [])
    jobs.give_up(claim(box), "no", box.now, lambda: promise(box, batch=row(batch)))
    assert (counted(batch), told(box)) == ((3, 1, 1), [])
    jobs.finish(claim(box), None, box.now)
    assert (counted(batch), len(told(box))) == ((3, 0, 1), 1)


def test_a_completion_for_a_queue_of_another_release_keeps_no_job_open(box):
    batch = jobs.start_batch("old", box.now, ("old.told", "faxes", {}))
    job_id = promise(box, batch=batch)
    jobs.seal(batch, box.now)
    jobs.finish(claim(box), None, box.now)
    assert state(job_id) == "done"
    assert [job.queue for job in box.jobs("old.told")] == ["default"]


def test_a_batch_is_forgotten_with_its_jobs_and_no_sooner(box, batch):
    promise(box, batch=batch)
    jobs.seal(batch, box.now)
    jobs.finish(claim(box), None, box.now)
    desk.prune(box.after(days=29))
    assert Batch.select().count() == 1
    desk.prune(box.after(days=2))
    assert Batch.select().count() == 0


def test_a_batch_that_is_open_is_not_forgotten(box, batch):
    promise(box, batch=batch, run_at=box.now + timedelta(days=100))
    jobs.seal(batch, box.now)
    desk.prune(box.after(days=99))
    assert counted(batch) == (1, 1, 0)
