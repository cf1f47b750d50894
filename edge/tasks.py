"""Job name → handler. A handler finds the row, asks the device, and returns what is to be written down."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from peewee import DatabaseError, SqliteDatabase

from edge import desk, history, holder, jobs, logs, telemetry, trace
from edge.database import db
from edge.devices.mpesa import read_stk_result
from edge.devices.opening import Devices
from edge.devices.router import Router
from edge.domain import access, breakers, checks, clock, events, inbox, messages, payments, throttle
from edge.errors import DeviceError, NotDurable, Refused, Unconfirmed, Unreachable
from edge.models import Grant, Inbox, Job, Message, Payment
from edge.models import Router as RouterRow
from edge.settings import Settings
from edge.values.hotspot import HotspotUser, Profile
from edge.values.stk import Push

log = logging.getLogger("edge.tasks")

WRITE_AGAIN_S = (1.0, 5.0, 15.0)

WriteDown = Callable[[datetime], object]
Verdict = Callable[[dict[str, Any], str, datetime], object]


class Later(Exception):
    """Not now: come back at `until`, and no try is spent."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"not before {until.isoformat()}")
        self.until = until


def _unheard(percent: int, words: str = "") -> None:
    """Progress of work that is no job."""


class NotOurTurn(Later):
    """The provider is left alone just now."""


@dataclass(frozen=True)
class World:
    """What a handler may ask: the devices, the settings, and to have its progress shown (percent, words)."""

    devices: Devices
    settings: Settings
    progress: Callable[[int, str], None] = _unheard


@dataclass(frozen=True)
class Missed:
    """The provider was not reached, and this is to be written down all the same."""

    write_down: WriteDown
    words: str


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


def prompt_payment(world: World, now: datetime, payment_id: int) -> WriteDown | None:
    """Ask M-Pesa to ring the guest's phone. Never twice: a second push is a second prompt."""
    payment = Payment.get_by_id(payment_id)
    if not payments.may_prompt(payment, now):
        return None
    settings = world.settings
    public = settings.web.public_url.rstrip("/")
    push = Push(
        msisdn=payment.msisdn,
        amount_cents=payment.amount_cents,
        account_reference=f"WIFI{payment.id}",
        description="WiFi " + payment.plan.name,
        callback_url=f"{public}/cb/{payment.secret}" if public else settings.mpesa.placeholder_url,
    )
    answer = world.devices.mpesa().push(push)
    return partial(_after_push, payment_id, answer, settings.mpesa.poll_s)


def _after_push(payment_id: int, answer: Any, poll_s: tuple[int, ...], now: datetime) -> None:
    payments.record_prompted(payment_id, answer, poll_s, now)


def ask_payment(world: World, now: datetime, payment_id: int, step: int | None = None) -> WriteDown | Missed | None:
    """Ask M-Pesa how a checkout ended, inside its one rate limit; guests who wait come before the books."""
    payment = Payment.get_by_id(payment_id)
    if payment.checkout_request_id is None or payment.confirmed_at is not None:
        return None
    told = world.settings.mpesa
    free_at = throttle.take("mpesa.query", told.queries_per_minute, now, can_wait=not payment.is_open)
    if free_at is not None:
        raise Later(free_at)
    try:
        answer = world.devices.mpesa().query(payment.checkout_request_id)
    except Unreachable as reason:
        if step is None and payment.state != "paid":
            raise
        # The list is the back-off.
        return Missed(lambda then: payments.record_unanswered(payment_id, told.poll_s, then, step), str(reason))
    return lambda then: payments.record_answer(payment_id, answer, told.poll_s, then, step)


def settle_inbox(world: World, now: datetime, inbox_id: int) -> WriteDown | None:
    """Settle a kept call whose first settlement broke."""
    result = read_stk_result(bytes(Inbox.get_by_id(inbox_id).body))
    return lambda then: inbox.settle_again(inbox_id, result, then)


def place_grant(world: World, now: datetime, grant_id: int, router_id: int) -> WriteDown | None:
    """Bring one router to what one grant says, with the remaining time."""
    grant = Grant.get_by_id(grant_id)
    left = access.seconds_left(grant, now)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or left == 0:
        return None
    _router(world, row).admit(
        HotspotUser(
            name=grant.username,
            password=grant.password,
            profile=Profile(f"edge-plan-{grant.plan_id:05d}", grant.rate, grant.devices),
            # RouterOS adds up the time of all devices; the calendar's end is enforced by the sweep as well.
            seconds_left=left * grant.devices,
            bytes_left=grant.bytes,
            comment=f"edge:{grant.id}",
        )
    )
    return lambda then: access.record_placed(grant_id, router_id, then)


def withdraw_grant(world: World, now: datetime, grant_id: int, router_id: int) -> WriteDown | None:
    """Take a guest whose time is over off the router: credential, cookies, session."""
    grant = Grant.get_by_id(grant_id)
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None or grant.state == "live":
        return None
    _router(world, row).withdraw(grant.username)
    return lambda then: access.record_gone(grant_id, router_id, then)


def check_router(world: World, now: datetime, router_id: int) -> WriteDown | None:
    """Is it there, is it right, and does it still know everybody who paid?"""
    row = RouterRow.get_or_none(RouterRow.id == router_id)
    if row is None:
        return None
    cure = "check its power and cable, then `edge router check " + row.name + "`"
    try:
        router = _router(world, row)
        asked_at = _now()
        facts = router.facts()
        names = {user.name for user in router.users()} if row.mode == "local" else None
    except DeviceError as reason:
        words = str(reason)
        return lambda then: checks.record_router(router_id, False, words, then, cure)

    def write_down(then: datetime) -> None:
        words = facts.hotspot_words or f"RouterOS {facts.version}"
        breakers.note_success(f"router:{router_id}", then)
        checks.record_router(router_id, facts.hotspot_ok, words, then, cure)
        if facts.clock is not None:
            checks.record_router_clock(router_id, (facts.clock - asked_at).total_seconds(), asked_at)
        if names is not None:
            access.record_router_users(router_id, names, then)

    return write_down


def check_mpesa(world: World, now: datetime) -> WriteDown | None:
    """Do M-Pesa's keys open the door? Charges nobody."""
    return _check_part("mpesa", world.devices.mpesa().check, "check [mpesa] in edge.toml and the internet connection")


def check_modem(world: World, now: datetime) -> WriteDown | None:
    """Does the modem answer, and does the network hear it?"""

    def look() -> str:
        status = world.devices.modem().status()
        if status.sim != "ready":
            raise Unreachable(f"the SIM is not ready: {status.sim}")
        if not status.registered:
            raise Unreachable("the SIM is not registered on a network")
        return f"{status.operator or 'registered'}, signal {status.signal_dbm} dBm"

    return _check_part("modem", look, "check the stick, its SIM and the antenna")


def _check_part(name: str, ask: Callable[[], str | None], cure: str) -> WriteDown:
    try:
        words = ask() or "answers"
    except DeviceError as reason:
        trouble = str(reason)
        return lambda then: checks.record(name, "problem", trouble, then, cure)

    def answered(then: datetime) -> None:
        breakers.note_success(name, then)
        checks.record(name, "ok", words, then)

    return answered


def send_sms(world: World, now: datetime, message_id: int) -> WriteDown | None:
    """Hand one text to the modem, once."""
    message = Message.get_by_id(message_id)
    if message.state == "unconfirmed":
        raise Refused("it is not known whether this text left: it is not sent a second time")
    if message.state != "queued":
        return None
    if not world.settings.modem.port:
        return lambda then: messages.mark_no_way(message_id, "no modem is set up")
    references = world.devices.modem().send_sms(message.msisdn, message.text)
    reference = ",".join(str(number) for number in references)
    return lambda then: messages.mark_sent(message_id, reference, then)


def tidy(world: World, now: datetime) -> WriteDown | None:
    """Forget finished work and old events, by the chunk: between two of them guests are served."""
    if not clock.is_trusted(now):
        return None  # what is a week old by a wrong clock may be of today
    while desk.prune(now, retention(world.settings)) > 0:
        pass
    history.trim(now)
    events.trim()
    return None


def retention(settings: Settings) -> desk.Retention:
    """How long finished work is remembered, as the settings say."""
    told = settings.queue
    return desk.Retention(
        timedelta(days=told.keep_done_days), told.keep_done, timedelta(days=told.keep_failed_days), told.keep_failed
    )


def _router(world: World, row: RouterRow) -> Router:
    return world.devices.router(
        row.host, row.port, row.username, row.password, tls=row.tls, server=row.hotspot_server
    )


def _router_of(args: dict[str, Any]) -> str:
    return f"router:{args['router_id']}"


TASKS: dict[str, Task] = {
    "payment.prompt": Task(
        prompt_payment,
        repeatable=False,
        unconfirmed=lambda args, words, now: payments.record_push_unconfirmed(args["payment_id"], words, now),
        given_up=lambda args, words, now: payments.record_push_refused(args["payment_id"], words, now),
        is_true_late=True,
        provider=lambda args: "mpesa",
    ),
    "payment.ask": Task(
        ask_payment,
        repeatable=True,
        given_up=lambda args, words, now: payments.record_question_lost(args["payment_id"], now, args.get("step")),
        provider=lambda args: "mpesa",
        lasting=True,
    ),
    "inbox.settle": Task(
        settle_inbox,
        repeatable=True,
        given_up=lambda args, words, now: inbox.record_unsettled(args["inbox_id"], words),
        lasting=True,
    ),
    "grant.place": Task(
        place_grant,
        repeatable=True,
        given_up=lambda args, words, now: access.record_not_placed(args["grant_id"], args["router_id"], words, now),
        provider=_router_of,
    ),
    "grant.withdraw": Task(
        withdraw_grant,
        repeatable=True,
        given_up=lambda args, words, now: access.record_not_withdrawn(args["grant_id"], args["router_id"], words, now),
        provider=_router_of,
    ),
    "router.check": Task(check_router, repeatable=True),
    "mpesa.check": Task(check_mpesa, repeatable=True),
    "modem.check": Task(check_modem, repeatable=True),
    "sms.send": Task(
        send_sms,
        repeatable=False,
        unconfirmed=lambda args, words, now: messages.mark_unconfirmed(args["message_id"], words, now),
        given_up=lambda args, words, now: messages.mark_failed(args["message_id"], words, now),
        is_true_late=True,
        provider=lambda args: "modem",
    ),
    "box.tidy": Task(tidy, repeatable=True),
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
        _left_alone(provider)
        jobs.snooze(job, later.until, _now())
    except Unreachable as reason:
        if provider:
            breakers.note_failure(provider, str(reason), _now())
        _note(job, jobs.put_back(job, str(reason), _now(), _verdict(task.given_up, job, str(reason))))
    except Refused as reason:
        _heard_from(provider)
        jobs.give_up(job, str(reason), _now(), _verdict(task.given_up, job, str(reason)))
        _note(job, "failed")
    except Unconfirmed as reason:
        if provider:
            breakers.note_failure(provider, str(reason), _now())  # silence, too
        jobs.give_up(job, f"unconfirmed: {reason}", _now(), _verdict(task.unconfirmed, job, str(reason)))
        _note(job, "failed")
    except jobs.NotYours:
        raise
    except Exception as fault:  # a fault of ours: the job tells it, and the worker lives on
        log.exception("job %s (%s) broke", job.id, job.name)
        _record_fault(job, task, f"{type(fault).__name__}: {fault}")
    else:
        if isinstance(write_down, Missed):
            breakers.note_failure(provider, write_down.words, _now())
            write_down = write_down.write_down
        elif write_down is not None:
            _heard_from(provider)
        else:
            _left_alone(provider)
        return _finish(job, task, write_down, ahead)
    return None


def _heard_from(provider: str) -> None:
    """It answered, whatever it said."""
    if provider:
        try:
            breakers.note_success(provider, _now())
        except (DatabaseError, NotDurable) as reason:  # the answer itself is worth more, and is written down next
            log.warning("that %s answered could not be written down: %s", provider, reason)


def _left_alone(provider: str) -> None:
    """It was not asked after all."""
    if provider:
        breakers.note_untried(provider, _now())


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
    if isinstance(db.obj, SqliteDatabase):  # its file serves one machine: who does not live here is dead
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
