"""What the tasks make of an answer: each error says what to do next, and no job is held for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge import jobs, tasks, trace
from edge.database import db
from edge.domain import messages, payments, throttle
from edge.errors import NotDurable, Refused, Unconfirmed, Unreachable
from edge.handlers import messages as texting
from edge.handlers.world import Later, World
from edge.models import Event, Job
from edge.settings import Settings
from edge.tasks import Task
from tests.test_jobs import again, claim, promise, state

WORLD = World(None, Settings(state=Path("nowhere")))


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
    tasks.run(claim(box, "default"), world=WORLD)
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
        tasks.run(again(box, job_id), world=WORLD)
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
    tasks.run(claim(box, "default"), world=WORLD)
    assert "no work named 'from.the.future'" in Job.get_by_id(job_id).errors[0]["words"]
    assert state(job_id) == "failed"


@pytest.mark.parametrize("name", ["router.check", "sms.send", "from.the.future"])
def test_a_job_past_its_time_out_is_taken_from_its_thread(box, name):
    args = {"router.check": {"router_id": 1}, "sms.send": {"message_id": 1}}.get(name, {})
    job_id = promise(box, "router-checks", name, args=args)
    job = claim(box, "router-checks")
    assert tasks.fail_overdue(job)
    assert (state(job_id), tasks.fail_overdue(job)) == ("failed", False)


def test_the_work_of_an_earlier_life_is_taken_up(box, gate):
    payment = box.pending()
    claim(box, who="1:1:dead")
    assert tasks.rescue(box.now) == 1
    assert payments.by_token(payment.token).state == "prompted"  # perhaps it rings: never pushed again
    assert box.events("prompt.unconfirmed")
    assert claim(box) is None


def test_two_workers_who_read_the_clock_at_nearly_the_same_time_do_not_both_take_a_turn(box):
    a_moment = timedelta(milliseconds=5)
    assert throttle.take("mpesa.query", 5, box.now) is None
    assert throttle.take("mpesa.query", 5, box.now - a_moment) == box.now + timedelta(seconds=12)


def test_a_text_that_may_have_left_stays_a_question_when_it_is_tried_again(box):
    message = messages.promise(box.asha, "Your hour starts now", box.now)
    messages.mark_unconfirmed(message.id, "silence", box.now)
    with pytest.raises(Refused):
        texting.send_sms(WORLD, box.now, message.id)


# How far it is, and how long it may take


def test_a_handler_shows_how_far_it_is(box, kind, shared_writer):
    seen = []

    def handler(world, now):
        for percent in (0, 50):
            world.progress(percent, f"{percent} of 100 routers")
            row = Job.get(Job.name == "test.work")
            seen.append((row.progress, row.progress_words))

    kind(handler, True)
    job_id = promise(box, "default", "test.work")
    tasks.run(claim(box, "default"), world=WORLD)
    assert (seen, state(job_id)) == ([(0, "0 of 100 routers"), (50, "50 of 100 routers")], "done")


def test_a_handler_that_lost_its_job_is_stopped_where_it_tells_how_far_it_is(box, kind):
    went_on = []

    def handler(world, now):
        tasks.fail_overdue(Job.get(Job.name == "test.work"))
        world.progress(50, "")
        went_on.append(True)

    kind(handler, True)
    job_id = promise(box, "default", "test.work")
    assert tasks.run(claim(box, "default"), world=WORLD) is None
    assert (went_on, state(job_id), len(Job.get_by_id(job_id).errors)) == ([], "scheduled", 1)


@pytest.mark.parametrize("reason", [Unreachable("x"), Refused("x"), Unconfirmed("x"), KeyError("x"), NotDurable()])
def test_only_an_end_that_is_written_claims_the_next_job(box, kind, reason):
    kind(raises(reason), True)
    promise(box, "default", "test.work", args={"n": 1})
    asked = []
    tasks.run(claim(box, "default"), asked.append, world=WORLD)
    assert asked == []


# One name for what was set in motion


def test_what_a_job_promises_carries_its_trace(box, kind, shared_writer):
    def handler(world, now):
        early = promise(box, "sms", "early")
        return lambda then: (promise(box, "sms", "late"), early)

    kind(handler, True)
    job_id = promise(box, "default", "test.work")
    tasks.run(claim(box, "default"), world=WORLD)
    traces = {job.name: job.trace for job in box.jobs()}
    assert set(traces) == {"test.work", "early", "late"}
    assert set(traces.values()) == {Job.get_by_id(job_id).trace}


@pytest.mark.parametrize("end", ["refused", "unconfirmed", "timed out", "rescued"])
def test_what_the_end_of_a_job_promises_carries_its_trace_however_it_ends(box, kind, shared_writer, end):
    def verdict(args, words, now):
        promise(box, "sms", "told")

    reason = Refused("no") if end == "refused" else Unconfirmed("silence")
    kind(lambda world, now: (_ for _ in ()).throw(reason), False, unconfirmed=verdict, given_up=verdict)
    with trace.within("f" * 32):
        promise(box, "default", "test.work")
    job = claim(box, "default", who="1:1:dead")
    {
        "refused": lambda: tasks.run(job, world=WORLD),
        "unconfirmed": lambda: tasks.run(job, world=WORLD),
        "timed out": lambda: tasks.fail_overdue(job),
        "rescued": lambda: tasks.rescue(box.now),
    }[end]()
    assert [told.trace for told in box.jobs("told")] == ["f" * 32]


def test_all_that_is_done_for_a_payment_has_one_name_though_many_ask_for_it(box, gate, shared_writer):
    with trace.within("a" * 32):  # the guest's request
        payment = box.pending()
    prompt = claim(box)
    with trace.within(prompt.trace):  # the worker
        payments.record_prompted(payment.id, box.answer_to(payment), box.poll_s, box.now)
    with trace.within("b" * 32):  # M-Pesa's call
        assert box.call(payments.by_token(payment.token)) == "paid"
    names = {job.name for job in box.jobs()}
    assert names >= {"payment.prompt", "payment.ask", "grant.place", "sms.send"}
    assert len({job.trace for job in box.jobs()}) == 1


def test_work_without_a_cause_has_a_name_of_its_own(box):
    assert len({Job.get_by_id(promise(box)).trace for _ in range(3)}) == 3
