"""The ledger under anything that several workers, people and crashes may do to it, in any order."""

import contextlib
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from edge import database, desk, jobs, schema
from edge.database import db
from edge.errors import BadInput
from edge.models import TABLES, Batch, Job

QUEUES, HOLDERS, LANES, KEYS = ("payments", "sms"), ("ann", "ben", "cai"), ("router:1", "modem"), ("k1", "k2")
CLOSED = ("done", "failed", "cancelled")
OPEN = jobs.OPEN
THEN = ("batch.told", "default", {})

# How often each happens; one rule throws the dice, because Hypothesis by itself leaves most rules out of a life.
WAYS = {
    "promise": 5, "claim": 8, "end": 9, "lose": 2, "die": 1, "pass_time": 3, "move": 1, "cancel": 1, "cancel_by_key": 1,
    "retry": 2, "retry_all": 1, "seal": 1, "pause": 1, "resume": 2,
}  # fmt: skip
ENDS = ("finish", "finish", "and go on", "and go on", "put back", "put back", "snooze", "unclaim", "give up", "break",
        "progress")  # fmt: skip


class Ledger(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        for table in TABLES:
            table.delete().execute()
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        self.attempts, self.ended, self.owners = {}, {}, {}
        self.claimed = []  # whatever anybody ever claimed, also those who lost it
        self.batches = [jobs.start_batch(f"batch {n}", self.now, THEN) for n in range(2)]
        self.sealed = set()

    @rule(dice=st.integers(0, 2**64), count=st.integers(4, 12))
    def things_happen(self, dice, count):
        self.any = Random(dice)
        for way in self.any.choices(list(WAYS), list(WAYS.values()), k=count):
            note(way)
            getattr(self, way)()
            self.check()

    # What may happen

    def promise(self):
        any_ = self.any.choice
        at, key = self.now + timedelta(seconds=any_((0, 0, 0, 5, 60))), any_((None, None, *KEYS))
        limit_s, batch = any_((None, None, None, 0, 30)), any_((None, 0, 1))
        taken = key is not None and Job.select().where(Job.unique_key == key, Job.state.in_(OPEN)).exists()
        job_id = jobs.promise(
            "work", any_(QUEUES), self.now, run_at=at, lane=any_((None, None, *LANES)), unique_key=key,
            priority=any_((jobs.LOW, jobs.NORMAL, jobs.HIGH)),
            not_after=None if limit_s is None else at + timedelta(seconds=limit_s),
            batch=None if batch in (None, *self.sealed) else self.batches[batch],
        )  # fmt: skip
        assert (job_id is None) == taken

    def claim(self):
        holder = self.any.choice(HOLDERS)
        self.own(jobs.claim(self.any.choice(QUEUES), holder, self.now), holder)

    def own(self, job, holder):
        if job is not None:
            assert job.id not in self.ended, "a closed job runs again"
            assert job.id not in self.owners and job.queue not in desk.paused()
            assert (job.holder, job.progress) == (holder, None)
            self.owners[job.id] = job.attempt
            self.claimed.append(job)

    def end(self):
        """Whoever owns the job ends his attempt."""
        found = [job for job in self.claimed if self.owners.get(job.id) == job.attempt]
        if not found:
            return
        job, holder, way = self.any.choice(found), self.any.choice(HOLDERS), self.any.choice(ENDS)
        before = self.row(job)
        if way == "break":
            with pytest.raises(ZeroDivisionError):
                self.act(job, holder, way)
            assert self.row(job) == before
            return
        if way != "progress":
            del self.owners[job.id]
        self.own(self.act(job, holder, way), holder)
        if way in ("snooze", "unclaim"):
            assert self.row(job)["tries"] - self.row(job)["attempt"] == job.tries - job.attempt + 1

    def lose(self):
        """Whoever lost his job changes nothing, whatever he does."""
        found = [job for job in self.claimed if self.owners.get(job.id) != job.attempt]
        if found:
            job = self.any.choice(found)
            before = self.row(job)
            with pytest.raises(jobs.NotYours):
                self.act(job, "ann", self.any.choice(ENDS))
            assert self.row(job) == before

    def act(self, job, holder, way):
        later = self.now + timedelta(seconds=self.any.choice((0, 12)))

        def following():
            found = jobs.upcoming(job.queue)
            return jobs.taken(found[0][0], holder, self.now) if found else None

        if way in ("finish", "and go on", "break"):
            write_down = (lambda: 1 / 0) if way == "break" else None
            return jobs.finish(job, write_down, self.now, then=None if way == "finish" else following)
        {
            "put back": lambda: jobs.put_back(job, "no answer", self.now),
            "snooze": lambda: jobs.snooze(job, later, self.now),
            "unclaim": lambda: jobs.unclaim(job, self.now),
            "give up": lambda: jobs.give_up(job, "no", self.now),
            "progress": lambda: jobs.record_progress(job, 40, "so far"),
        }[way]()
        return None

    @staticmethod
    def row(job):
        return Job.select().where(Job.id == job.id).dicts().get()

    def die(self):
        holder, repeatable = self.any.choice(HOLDERS), self.any.random() < 0.7
        orphans = jobs.orphans(lambda name: name == holder, lambda name: True, self.now)
        assert {job.holder for job in orphans} <= {holder}
        count = jobs.rescue(orphans, lambda name: repeatable, lambda job: None, lambda job: None, self.now)
        assert count == len(orphans)
        for job in orphans:
            del self.owners[job.id]
            assert self.row(job)["deaths"] == job.deaths + 1 <= jobs.DEATHS

    def pass_time(self):
        self.now += timedelta(seconds=self.any.choice((-30, 0, 1, 6, 70, 70)))
        jobs.promote(self.now)

    def move(self):
        at = self.now + timedelta(seconds=self.any.choice((-60, 0, 30)))
        self.of_any(lambda job: desk.move(job.id, at, self.now))

    def cancel(self):
        self.of_any(lambda job: desk.cancel(job.id, self.now))

    def of_any(self, verb):
        found = list(Job.select().order_by(Job.id))
        if found:
            job = self.any.choice(found)
            with contextlib.nullcontext() if job.state in ("waiting", "scheduled") else pytest.raises(BadInput):
                verb(job)

    def cancel_by_key(self):
        key = self.any.choice(KEYS)
        unbegun = Job.select().where(Job.unique_key == key, Job.state.in_(("waiting", "scheduled"))).exists()
        assert jobs.cancel(key, self.now) == unbegun

    def retry(self):
        found = list(Job.select().where(Job.state == "failed").order_by(Job.id))
        if found:
            self.retried([self.any.choice(found).id])

    def retry_all(self):
        self.retried(None)

    def retried(self, job_ids):
        desk.retry(job_ids, self.now)
        for job in Job.select().where(Job.state == "waiting"):
            if self.ended.get(job.id) == "failed":
                del self.ended[job.id]

    def seal(self):
        place = self.any.choice((0, 1))
        self.sealed.add(place)
        jobs.seal(self.batches[place], self.now)

    def pause(self):
        desk.pause(self.any.choice(QUEUES), "", self.now)

    def resume(self):
        desk.resume(self.any.choice(QUEUES), self.now)

    # What must hold, whatever happened

    def check(self):
        rows = list(Job.select().order_by(Job.id))
        self.what_has_ended_stays_so(rows)
        self.a_running_job_has_one_owner_and_a_lane_one_job([job for job in rows if job.state == "running"])
        keys = Counter(job.unique_key for job in rows if job.unique_key and job.state in OPEN)
        assert set(keys.values()) <= {1}
        table, counted = desk.counts(self.now), Counter((job.queue, job.state) for job in rows)
        for queue in QUEUES:
            for state in ("waiting", "scheduled", "running", "done", "failed"):
                assert table[queue][state] == counted[queue, state]
        for place, batch in enumerate(self.batches):
            self.a_batch_counts_its_open_jobs_and_is_told_once(rows, Batch.get_by_id(batch.id), place in self.sealed)

    def what_has_ended_stays_so(self, rows):
        for job in rows:
            assert job.attempt >= self.attempts.get(job.id, 0)
            self.attempts[job.id] = job.attempt
            if job.state in CLOSED:
                assert self.ended.setdefault(job.id, job.state) == job.state
                assert job.finished_at is not None and job.holder is None
            else:
                assert job.id not in self.ended

    def a_running_job_has_one_owner_and_a_lane_one_job(self, running):
        assert {job.id: job.attempt for job in running} == self.owners
        assert all(job.holder and job.lease_until for job in running)
        assert set(Counter(job.lane for job in running if job.lane).values()) <= {1}

    def a_batch_counts_its_open_jobs_and_is_told_once(self, rows, batch, is_sealed):
        of_it = [job.state for job in rows if job.batch_id == batch.id]
        assert batch.total == len(of_it)
        assert batch.open == sum(state in OPEN for state in of_it)
        assert batch.failed == sum(state in ("failed", "cancelled") for state in of_it)
        told = sum(job.once_key == f"batch:{batch.id}" for job in rows)
        assert told == (batch.finished_at is not None)
        assert told or not is_sealed or batch.open


@pytest.fixture(autouse=True)
def ledger():
    """In memory: hundreds of short lives."""
    database.open_database(Path(":memory:"))
    schema.create()
    yield
    db.close()


# These lives are always the same ones; EDGE_MACHINE_EXAMPLES=1000 lives new ones, and shortens what fails.
LIVES = os.environ.get("EDGE_MACHINE_EXAMPLES", "")
Ledger.TestCase.settings = settings(
    max_examples=int(LIVES or 15), stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck),
    derandomize=not LIVES, database=None, phases=(Phase.generate, Phase.shrink) if LIVES else (Phase.generate,),
)  # fmt: skip
TestLedger = Ledger.TestCase
