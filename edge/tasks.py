"""Job name → handler, and what is done with its answer: written down together with the end of the job."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from peewee import DatabaseError

from edge import history, holder, jobs, logs, telemetry, trace
from edge.database import db
from edge.domain import (
    access,
    airtime,
    breakers,
    campaign_lists,
    campaign_run,
    convergence,
    guest_devices,
    inbox,
    incoming_texts,
    lanes,
    messages,
    notices,
    org_requests,
    payments,
    provider_results,
    reboots,
    sessions,
    setup,
    strangers,
    wishes,
)
from edge.errors import NotDurable, Refused, Unconfirmed, Unreachable
from edge.handlers import airtime as dialling
from edge.handlers import campaigns as sending
from edge.handlers import guest_devices as admitting
from edge.handlers import (
    guest_doctor,
    modem_inbox,
    mpesa_org,
    network,
    radius,
    router_data,
    router_setup,
    texts,
    upkeep,
    webhooks,
)
from edge.handlers import messages as texting
from edge.handlers import notices as posting
from edge.handlers import payments as asking
from edge.handlers.world import Later, Missed, NotOurTurn, World, WriteDown
from edge.models import Job

log = logging.getLogger("edge.tasks")

WRITE_AGAIN_S = (1.0, 5.0, 15.0)

Verdict = Callable[[dict[str, Any], str, datetime], object]
Handler = Callable[..., WriteDown | Missed | None]


@dataclass(frozen=True)
class Task:
    """One kind of work. `unconfirmed` and `given_up` are written in the transaction that closes the job."""

    handler: Handler
    repeatable: bool
    unconfirmed: Verdict | None = None
    given_up: Verdict | None = None
    is_true_late: bool = False  # what it learnt holds, though the job was taken away meanwhile
    provider: Callable[[dict[str, Any]], str] | None = None  # whose circuit breaker it heeds
    lasting: bool = False  # what it writes is shown at once: flushed, though it may be repeated


def _now() -> datetime:
    return datetime.now(UTC)


def _router_of(args: dict[str, Any]) -> str:
    return lanes.of_router(args["router_id"])


def _no_look(args: dict[str, Any], words: str, now: datetime) -> None:
    setup.record_no_look(args["router_id"], words, now)


def _org_refused(args: dict[str, Any], words: str, now: datetime) -> None:
    org_requests.record_refused(args["request_id"], words, now)


def _org_unconfirmed(args: dict[str, Any], words: str, now: datetime) -> None:
    org_requests.record_unconfirmed(args["request_id"], words, now)


TASKS: dict[str, Task] = {
    "payment.prompt": Task(
        asking.prompt_payment,
        repeatable=False,
        unconfirmed=lambda args, words, now: provider_results.record_start_unconfirmed(args["payment_id"], words, now),
        given_up=lambda args, words, now: payments.record_push_refused(args["payment_id"], words, now),
        is_true_late=True,
        provider=lambda args: asking.provider_of(args["payment_id"]),
    ),
    "payment.ask": Task(
        asking.ask_payment,
        repeatable=True,
        given_up=lambda args, words, now: payments.record_question_lost(args["payment_id"], now, args.get("step")),
        provider=lambda args: asking.provider_of(args["payment_id"]),
        lasting=True,
    ),
    "payment.unverified": Task(asking.open_unverified, repeatable=True, lasting=True),
    "inbox.settle": Task(
        webhooks.settle_inbox,
        repeatable=True,
        given_up=lambda args, words, now: inbox.record_unsettled(args["inbox_id"], words),
        lasting=True,
    ),
    "grant.place": Task(
        network.place_grant,
        repeatable=True,
        given_up=lambda args, words, now: access.record_not_placed(args["grant_id"], args["router_id"], words, now),
        provider=_router_of,
    ),
    "grant.withdraw": Task(
        network.withdraw_grant,
        repeatable=True,
        given_up=lambda args, words, now: access.record_not_withdrawn(args["grant_id"], args["router_id"], words, now),
        provider=_router_of,
    ),
    "grant.disconnect": Task(radius.disconnect_grant, repeatable=True),
    "device.withdraw": Task(
        admitting.withdraw_device,
        repeatable=True,
        given_up=lambda args, words, now: guest_devices.record_not_withdrawn(**args, now=now),
        provider=_router_of,
    ),
    "grant.move": Task(admitting.move_grant, repeatable=True, provider=_router_of, lasting=True),
    "guest.login": Task(admitting.log_in_guest, repeatable=False, provider=_router_of),
    "guest.look": Task(guest_doctor.look_for_guest, repeatable=True, lasting=True),
    "guest.again": Task(guest_doctor.log_in_anew, repeatable=True, provider=_router_of),
    "guest.free": Task(guest_doctor.free_devices, repeatable=True, provider=_router_of),
    "router.sync": Task(
        network.sync_router,
        repeatable=True,
        given_up=lambda args, words, now: convergence.record_sync_failed(args["router_id"], words, now),
        provider=_router_of,
    ),
    "router.look": Task(router_setup.look_at_router, repeatable=True, provider=_router_of, lasting=True),
    "router.setup": Task(
        router_setup.set_up_router,
        repeatable=True,
        given_up=_no_look,
        provider=_router_of,
        lasting=True,
    ),
    "router.unset": Task(
        router_setup.unset_router,
        repeatable=True,
        given_up=_no_look,
        provider=_router_of,
        lasting=True,
    ),
    "router.check": Task(network.check_router, repeatable=True),
    "router.data": Task(router_data.read_router, repeatable=True),
    "session.kick": Task(
        router_data.kick_session,
        repeatable=True,
        given_up=lambda args, words, now: sessions.record_not_kicked(args["session_id"], args["who"], words, now),
        provider=_router_of,
    ),
    "stranger.remove": Task(
        router_data.remove_stranger,
        repeatable=True,
        given_up=lambda args, words, now: strangers.record_not_removed(args["stranger_id"], words, now),
        provider=_router_of,
    ),
    "mpesa.check": Task(upkeep.check_mpesa, repeatable=True),
    "mpesa.status": Task(
        mpesa_org.ask_status, repeatable=True, given_up=_org_refused, provider=lambda args: "mpesa", lasting=True
    ),
    "mpesa.reverse": Task(
        mpesa_org.reverse, repeatable=False, unconfirmed=_org_unconfirmed, given_up=_org_refused, is_true_late=True,
        provider=lambda args: "mpesa",
    ),
    "mpesa.pay_out": Task(
        mpesa_org.pay_out, repeatable=False, unconfirmed=_org_unconfirmed, given_up=_org_refused, is_true_late=True,
        provider=lambda args: "mpesa",
    ),
    "mpesa.register": Task(
        mpesa_org.register, repeatable=True, given_up=_org_refused, provider=lambda args: "mpesa", lasting=True
    ),
    "modem.check": Task(upkeep.check_modem, repeatable=True),
    "modem.balance": Task(
        dialling.dial,
        repeatable=True,
        given_up=lambda args, words, now: airtime.record_no_answer(args["code"], words, now),
    ),
    "modem.ussd": Task(
        dialling.dial,
        repeatable=False,  # the code may buy something
        unconfirmed=lambda args, words, now: airtime.record_no_answer(args["code"], words, now),
        given_up=lambda args, words, now: airtime.record_no_answer(args["code"], words, now),
        lasting=True,
    ),
    "modem.inbox": Task(modem_inbox.read_inbox, repeatable=True),
    "texts.settle": Task(
        modem_inbox.settle_text,
        repeatable=True,
        given_up=lambda args, words, now: incoming_texts.record_unsettled(args["text_id"], words),
        lasting=True,
    ),
    "texts.answer": Task(
        texts.answer_text,
        repeatable=True,
        given_up=lambda args, words, now: incoming_texts.record_unjudged(args["text_id"], words),
        lasting=True,
    ),
    "router.reboot": Task(
        texts.reboot_router,
        repeatable=False,
        unconfirmed=lambda args, words, now: reboots.record_unconfirmed(
            args["router_id"], args["text_id"], words, now
        ),
        given_up=lambda args, words, now: reboots.record_failed(args["router_id"], args["text_id"], words, now),
        provider=_router_of,
    ),
    "sms.send": Task(
        texting.send_sms,
        repeatable=False,
        unconfirmed=lambda args, words, now: messages.mark_unconfirmed(
            args["message_id"], words, now, args.get("route", "")
        ),
        given_up=lambda args, words, now: messages.give_up(args["message_id"], args.get("route", ""), words, now),
        is_true_late=True,
    ),
    "campaign.list": Task(
        sending.list_recipients,
        repeatable=True,
        given_up=lambda args, words, now: campaign_lists.fail(args["campaign_id"], words, now),
    ),
    "campaign.slice": Task(
        sending.slice_campaign,
        repeatable=True,
        given_up=lambda args, words, now: campaign_run.fail(args["campaign_id"], words, now),
        lasting=True,
    ),
    "notice.send": Task(posting.send_notice, repeatable=True),
    "mail.send": Task(
        posting.send_mail,
        repeatable=False,
        unconfirmed=lambda args, words, now: notices.mark_unconfirmed(args["mail_id"], words, now),
        given_up=lambda args, words, now: notices.mark_failed(args["mail_id"], words, now),
        is_true_late=True,
    ),
    "box.tidy": Task(upkeep.tidy, repeatable=True),
}


# Work of another release: nobody can say what it does, so it is not done twice.
UNKNOWN = Task(lambda world, now, **args: None, repeatable=False)


def is_repeatable(name: str) -> bool:
    """May this kind of work be done again after a crash in the middle of it?"""
    return name in TASKS and TASKS[name].repeatable


def _alone(is_durable: bool) -> Job | None:
    """No job is claimed with the end of this one."""
    return None


def run(job: Job, ahead: jobs.Ahead = _alone, *, world: World) -> Job | None:
    """Do one claimed job: ask outside any transaction, then write down the outcome and the end together.

    Returns the job that `ahead` claimed in that same transaction.
    """
    told = {"queue": job.queue, "attempt": job.attempt}
    with trace.within(job.trace), logs.job_context(job.id, job.name), telemetry.span(f"job {job.name}", **told):
        try:
            return _run(job, world, ahead)
        except jobs.NotYours as reason:
            log.warning("%s", reason)
            return None


def _run(job: Job, world: World, ahead: jobs.Ahead) -> Job | None:
    task = TASKS.get(job.name)
    if task is None:
        jobs.give_up(job, f"this release knows no work named {job.name!r}", _now())
        return None
    if job.not_after is not None and job.not_after < _now():
        jobs.give_up(job, jobs.too_late_words(job), _now())
        _note(job, "failed")
        return None
    provider = ""
    try:
        provider = task.provider(job.args) if task.provider is not None else ""
        closed_until = breakers.may_pass(provider, _now()) if provider else None
        if closed_until is not None:
            raise NotOurTurn(closed_until)
        write_down = task.handler(replace(world, progress=partial(jobs.record_progress, job)), _now(), **job.args)
    except NotOurTurn as later:
        jobs.snooze(job, later.until, _now())
    except Later as later:
        _advise(breakers.note_untried, provider)
        jobs.snooze(job, later.until, _now())
    except Unreachable as reason:
        _advise(breakers.note_failure, provider, str(reason))
        _note(job, jobs.put_back(job, str(reason), _now(), _verdict(task.given_up, job, str(reason))))
    except Refused as reason:
        # Who came too late was not asked: whether the provider is back, nobody knows.
        _advise(breakers.note_untried if isinstance(reason, wishes.TooLate) else breakers.note_success, provider)
        jobs.give_up(job, str(reason), _now(), _verdict(task.given_up, job, str(reason)))
        _note(job, "failed")
    except Unconfirmed as reason:
        _advise(breakers.note_failure, provider, str(reason))  # silence, too
        jobs.give_up(job, f"unconfirmed: {reason}", _now(), _verdict(task.unconfirmed, job, str(reason)))
        _note(job, "failed")
    except jobs.NotYours:
        raise
    except Exception as fault:  # a fault of ours: the job tells it, and the worker lives on
        log.exception("job %s (%s) broke", job.id, job.name)
        _record_fault(job, task, f"{type(fault).__name__}: {fault}")
    else:
        if isinstance(write_down, Missed):
            _advise(breakers.note_failure, provider, write_down.words)
            write_down = write_down.write_down
        else:
            _advise(breakers.note_untried if write_down is None else breakers.note_success, provider)
        return _finish(job, task, write_down, ahead)
    return None


def _advise(note: Callable[..., object], provider: str, *words: str) -> None:
    """Tell the provider's breaker how it went. What came of the job is worth more, and is written down next."""
    if provider:
        try:
            note(provider, *words, _now())
        except (DatabaseError, NotDurable) as reason:
            log.warning("how it went with %s could not be written down: %s", provider, reason)


def _note(job: Job, state: str) -> None:
    history.note(job, "retried" if state == "scheduled" else state, _now())


def _finish(job: Job, task: Task, write_down: WriteDown | None, ahead: jobs.Ahead) -> Job | None:
    """Write down what came of it. The device has done its part, so a disk that is full is waited for a while.

    What may be repeated need not be flushed: a power cut that undoes its end has it done again. Unless a guest
    sees what came of it, as the code that he was sold.
    """
    durable = task.lasting or not task.repeatable
    for pause_s in (*WRITE_AGAIN_S, None):
        now = _now()
        outcome = None if write_down is None else partial(write_down, now)
        try:
            following = jobs.finish(job, outcome, now, durable=durable, then=partial(ahead, durable))
            history.note(job, "done", now)
            return following
        except jobs.NotYours:
            if task.is_true_late and outcome is not None:
                outcome()
            raise
        except NotDurable:
            if pause_s is None:
                raise  # nobody has it in hand then: the sweep takes it up again, as after a crash
            log.warning("job %s (%s) is done and can't be written down yet", job.id, job.name)
            time.sleep(pause_s)
        except Exception as fault:  # the outcome does not fit the books: tell it rather than hold the job for ever
            log.exception("the outcome of job %s (%s) could not be written down", job.id, job.name)
            _record_fault(job, task, f"{type(fault).__name__}: {fault}")
            return None
    return None


def _record_fault(job: Job, task: Task, words: str) -> None:
    """What can't be repeated may have been done before the fault: a question, not a second try."""
    if task.repeatable:
        _note(job, jobs.put_back(job, words, _now(), _verdict(task.given_up, job, words)))
    else:
        jobs.give_up(job, words, _now(), _verdict(task.unconfirmed, job, words))
        _note(job, "failed")


def _verdict(verdict: Verdict | None, job: Job, words: str) -> Callable[[], object] | None:
    return None if verdict is None else partial(verdict, job.args, words, _now())


def rescue(now: datetime) -> int:
    """Take up the work of those who died."""
    if db.serves_one_machine:  # who does not live here is dead
        found = jobs.orphans(lambda name: not holder.is_alive(name), lambda name: True, now)
    else:
        found = jobs.orphans(holder.is_gone, holder.is_here, now)
    return take_up(found, now) if found else 0


def take_up(orphans: list[Job], now: datetime) -> int:
    """Work that nobody has in hand any more: again if that harms nobody, else a question. Returns how many."""

    def unconfirmed(job: Job) -> None:
        verdict = TASKS[job.name].unconfirmed if job.name in TASKS else None
        if verdict is not None:
            with trace.within(job.trace):
                verdict(job.args, "the worker died while this was under way", now)

    def given_up(job: Job) -> None:
        verdict = TASKS[job.name].given_up if job.name in TASKS else None
        if verdict is not None:
            with trace.within(job.trace):
                verdict(job.args, "the worker died during every attempt", now)

    return jobs.rescue(orphans, is_repeatable, unconfirmed, given_up, now)


def fail_overdue(job: Job) -> bool:
    """A job past its time-out is taken from its thread in the ledger, so that its late end is fenced."""
    try:
        with trace.within(job.trace):
            _record_fault(job, TASKS.get(job.name, UNKNOWN), f"took longer than {job.timeout_s} s")
    except jobs.NotYours:  # it ended while we looked
        return False
    return True
