"""Circuit breakers: a provider that fails again and again is left alone, tried by one, and believed when it answers."""

from datetime import timedelta

import pytest

from edge import jobs, tasks
from edge.domain import breakers
from edge.errors import NotDurable, Refused, Unconfirmed, Unreachable
from edge.handlers import upkeep
from edge.models import Breaker, Job
from edge.settings import Settings
from edge.tasks import Later, Missed, Task, World
from tests.test_jobs import again, claim, promise, state


def fail(box, count=breakers.FAILURES, name="mpesa"):
    for _ in range(count):
        breakers.note_failure(name, "connection refused", box.now)


def row(name="mpesa"):
    return Breaker.get_by_id(name)


def shown(name="mpesa"):
    return row(name).state


def pause_s(box, name="mpesa"):
    until = breakers.may_pass(name, box.now)
    return None if until is None else (until - box.now).total_seconds()


def test_a_provider_that_never_failed_costs_no_row(box):
    assert breakers.may_pass("mpesa", box.now) is None
    breakers.note_success("mpesa", box.now)
    assert Breaker.select().count() == 0


def test_five_failures_in_a_row_open_and_four_do_not(box):
    fail(box, 4)
    assert (pause_s(box), shown()) == (None, "closed")
    fail(box, 1)
    assert (pause_s(box), shown(), row().words) == (10, "open", "connection refused")


def test_an_answer_between_begins_the_count_anew(box):
    fail(box, 4)
    breakers.note_success("mpesa", box.now)
    fail(box, 4)
    assert pause_s(box) is None


def test_each_trial_that_fails_makes_the_pause_longer_up_to_a_minute(box):
    fail(box)
    seen = []
    for _ in range(6):
        seen.append(pause_s(box))
        assert breakers.may_pass("mpesa", box.after(seconds=seen[-1])) is None
        fail(box, 1)
    assert seen == [10, 20, 40, 60, 60, 60]


def test_calls_that_were_under_way_when_it_opened_make_the_pause_no_longer(box):
    fail(box, breakers.FAILURES + 4)
    assert pause_s(box) == 10


def test_one_is_let_through_when_the_pause_is_over_and_the_others_look_again_soon(box):
    fail(box)
    box.after(seconds=10)
    assert breakers.may_pass("mpesa", box.now) is None
    assert (shown(), pause_s(box)) == ("trial", breakers.LOOK_AGAIN_S)


def test_of_many_who_ask_at_once_one_may_try(box, shared_writer, at_once):
    fail(box)
    box.after(seconds=10)
    answers = at_once(lambda n: breakers.may_pass("mpesa", box.now), 12)
    assert answers.count(None) == 1
    assert {answer for answer in answers if answer} == {box.now + timedelta(seconds=breakers.LOOK_AGAIN_S)}


def test_a_trial_that_nobody_ends_is_followed_by_another(box):
    fail(box)
    box.after(seconds=10)
    assert breakers.may_pass("mpesa", box.now) is None  # and his process dies
    assert pause_s(box) is not None
    assert breakers.may_pass("mpesa", box.after(seconds=breakers.TRIAL_S)) is None


def test_an_answer_closes_and_the_next_outage_begins_with_a_short_pause(box):
    fail(box)
    for _ in range(3):
        box.after(seconds=60)
        breakers.may_pass("mpesa", box.now)
        fail(box, 1)
    breakers.note_success("mpesa", box.after(seconds=60))
    assert (pause_s(box), shown(), row().failures, row().words) == (None, "closed", 0, "")
    fail(box)
    assert pause_s(box) == 10


def test_staff_hear_of_the_pause_and_of_the_return_once_each(box, shared_writer, at_once):
    fail(box)
    for _ in range(3):
        breakers.may_pass("mpesa", box.after(seconds=60))
        fail(box, 1)
    at_once(lambda n: breakers.note_success("mpesa", box.now), 8)
    assert box.events("provider.paused") == [{"provider": "mpesa", "words": "connection refused"}]
    assert box.events("provider.returned") == [{"provider": "mpesa"}]


def test_many_failures_at_once_open_it_once(box, shared_writer, at_once):
    at_once(lambda n: breakers.note_failure("mpesa", "no", box.now), 12)
    assert (shown(), row().failures, len(box.events("provider.paused"))) == ("open", 12, 1)


@pytest.mark.parametrize("back", [timedelta(hours=3), timedelta(days=3650)])
def test_a_clock_that_steps_back_does_not_lock_a_provider_out(box, back):
    fail(box)
    box.now -= back
    assert breakers.may_pass("mpesa", box.now) is None
    fail(box, 1)
    assert 0 < pause_s(box) <= 60


def test_a_clock_that_jumps_ahead_just_ends_the_pause(box):
    fail(box)
    box.now += timedelta(days=3650)
    assert breakers.may_pass("mpesa", box.now) is None


def test_providers_fail_and_return_each_for_itself(box):
    fail(box, name="router:1")
    assert breakers.may_pass("router:2", box.now) is None
    fail(box, 4, "router:2")
    breakers.note_success("router:2", box.now)
    assert (shown("router:1"), shown("router:2")) == ("open", "closed")
    assert [row.name for row in breakers.everything()] == ["router:1", "router:2"]


# With the tasks


@pytest.fixture
def call(box, monkeypatch):
    """Do one job for this provider, whose handler raises or answers `outcome`; the job as it is then."""
    monkeypatch.setattr(tasks, "_now", lambda: box.now)
    called = []

    def do(outcome=None, provider="mpesa"):
        def handler(world, now, who):
            called.append(who)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setitem(
            tasks.TASKS, "test.call", Task(handler, repeatable=True, provider=lambda args: args["who"])
        )
        job_id = promise(box, "provisioning", "test.call", args={"who": provider})
        tasks.run(claim(box, "provisioning"), world=World(None, Settings(state=box.folder)))
        return Job.get_by_id(job_id)

    do.called = called
    return do


DOWN = Unreachable("no route to host")


def answer(then):
    """What is written down after an answer."""


def test_work_for_a_provider_that_is_left_alone_waits_and_spends_no_try(box, call):
    for _ in range(breakers.FAILURES):
        assert call(DOWN).errors
    job = call(DOWN)
    assert len(call.called) == breakers.FAILURES  # it was not called a sixth time
    assert (job.state, job.run_at, job.errors) == ("scheduled", box.now + timedelta(seconds=10), [])
    assert job.tries - job.attempt == jobs.QUEUES["provisioning"].tries


@pytest.mark.parametrize("heard", [answer, Refused("wrong password")])
def test_a_provider_that_says_yes_or_no_is_there(box, call, heard):
    for _ in range(breakers.FAILURES - 1):
        call(DOWN)
    call(heard)
    call(DOWN)
    assert (shown(), row().failures) == ("closed", 1)


def test_one_that_was_not_reached_counts_though_its_job_is_done(box, call):
    for _ in range(breakers.FAILURES):
        assert call(Missed(answer, "timed out")).state == "done"
    assert (shown(), row().words) == ("open", "timed out")


@pytest.mark.parametrize("spared", [None, "later"], ids=["nothing to do", "not yet its turn"])
def test_whoever_is_let_through_and_does_not_call_leaves_his_turn_to_the_next(box, call, spared):
    for _ in range(breakers.FAILURES):
        call(DOWN)
    box.after(seconds=10)
    call(Later(box.now + timedelta(hours=1)) if spared else None)
    assert shown() == "open"
    call(answer)
    assert shown() == "closed"


def test_a_fault_of_ours_neither_opens_nor_closes(box, call):
    for _ in range(breakers.FAILURES + 1):
        call(ZeroDivisionError("ours"))
    assert Breaker.select().count() == 0


def test_silence_counts_as_a_failure(box, call):
    for _ in range(breakers.FAILURES):
        call(Unconfirmed("silence"))
    assert shown() == "open"


def test_a_dead_router_holds_up_no_other_routers_work(box, call):
    for _ in range(breakers.FAILURES):
        call(DOWN, "router:1")
    assert call(DOWN, "router:1").state == "scheduled"
    assert call(answer, "router:2").state == "done"
    assert call.called == ["router:1"] * breakers.FAILURES + ["router:2"]


def test_a_check_that_succeeds_lets_the_work_go_on(box, gate):
    fail(box, name=f"router:{gate.id}")
    for _ in range(breakers.FAILURES):
        breakers.note_failure("modem", "no answer", box.now)
    upkeep.check_part("modem", lambda: "registered", "cure")(box.now)
    assert (shown("modem"), shown(f"router:{gate.id}")) == ("closed", "open")


def test_a_text_that_was_snoozed_leaves_when_the_modem_is_back(box, call):
    for _ in range(breakers.FAILURES):
        call(DOWN, "modem")
    job = call(answer, "modem")
    assert job.state == "scheduled"
    breakers.note_success("modem", box.now)
    tasks.run(again(box, job.id), world=World(None, Settings(state=box.folder)))
    assert state(job.id) == "done"


def test_a_breaker_that_can_not_be_written_costs_the_job_nothing(box, call, monkeypatch):
    def full(name, words, now):
        raise NotDurable("the disk is full")

    monkeypatch.setattr(breakers, "note_failure", full)
    job = call(DOWN)
    assert (job.state, job.attempt) == ("scheduled", 1)
