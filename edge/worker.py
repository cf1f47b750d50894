"""The worker process: opens devices, runs the queues under Huey, and keeps the box's own rhythm."""

import contextlib
import ctypes
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from peewee import DatabaseError

from edge import history, holder, jobs, tasks, trace
from edge.bell import SCHEDULE, bell
from edge.database import close_database, transaction
from edge.delivery import delivery
from edge.devices import radius
from edge.devices.opening import Devices
from edge.devices.radius import FreeRadius
from edge.domain import (
    accounting,
    airtime,
    campaign_run,
    checks,
    clock,
    convergence,
    guest_devices,
    inbox,
    lanes,
    logins,
    messages,
    org_requests,
    payments,
    provisional,
    reminders,
    routing,
    shifts,
)
from edge.errors import DeviceError, EdgeError, NotDurable
from edge.handlers import modem_inbox
from edge.handlers.world import World
from edge.ledger import LedgerConsumer, LedgerHuey, consumer_of
from edge.models import Heartbeat, Job, Router
from edge.settings import Settings
from edge.texts import data_folder

log = logging.getLogger("edge.worker")

STOP_WITHIN_S = 15.0
RHYTHMS_END_S = 5.0
STANDSTILL_S = 60.0  # of the rhythm that renews leases: the watchdog is told
MOST_STUCK = 6  # threads; then the process is worn out and begins anew
DUTIES_CURE = "see the log (docs/logs.md); if it stays, restart the workers: edge workers restart"
TEXTS_EVERY_S, HEAR_FOR_S = 25.0, 4.0
BACK_EVERY_S = 3.0  # an absent modem is looked for so often: texts wait for it
NET_EVERY_S = 5.0  # whoever was promised work and not rung for hears of it so late


def _now() -> datetime:
    return datetime.now(UTC)


class Workers:
    """Every queue's workers in this process, and the few rhythms that keep the box right."""

    def __init__(self, settings: Settings, queues: Iterable[str] = ()) -> None:
        self.settings = settings
        self.queues = list(queues) or list(jobs.QUEUES)
        self.holder = holder.own_name()
        self.devices = Devices(settings)
        self.world = World(self.devices, settings)
        self._consumers: list[LedgerConsumer] = []
        self._hueys: list[LedgerHuey] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._radius: FreeRadius | None = None
        self._unheld: set[tuple[int, int]] = set()  # ours in the ledger, and in nobody's hand when last looked at
        self._job_began = threading.Event()
        self._begun_at = _now()
        self._turned_at = time.monotonic()
        self._failed_duties: dict[int, str] = {}
        self._duties_told = ""

    def start(self) -> None:
        """Rescue what an earlier life left, then begin. Call from the main thread."""
        bell.listen(self.settings.bell_path)
        delivery.listen(self.queues)
        self._beat()
        # A process that began anew by itself has the name of its earlier life.
        own = list(Job.select().where(Job.state == "running", Job.holder == self.holder))
        rescued = tasks.take_up(own, _now()) + tasks.rescue(_now())
        if rescued:
            log.warning("%d jobs of an earlier life taken up again", rescued)
        self._ensure_radius()
        run = partial(tasks.run, world=self.world)
        for name in self.queues:
            huey = LedgerHuey(name, self.holder, run, tasks.is_repeatable, self._job_began)
            consumer = consumer_of(huey, jobs.QUEUES[name].workers)
            self._hueys.append(huey)
            self._consumers.append(consumer)
            consumer.start()
        rhythms = [self._promote, self._keep_time, self._watch_times]
        if self.settings.modem.port and "sms" in self.queues:
            rhythms.append(self._hear_texts)
        for rhythm in rhythms:
            thread = threading.Thread(target=rhythm, name=rhythm.__name__.strip("_"), daemon=True)
            thread.start()
            self._threads.append(thread)

    def watch(self) -> str:
        """Let Huey replace workers that died; call now and then. Returns why to begin anew, empty when all is well."""
        for consumer in self._consumers:
            consumer.check_worker_health()
        stuck = self.stuck()
        if stuck >= MOST_STUCK:
            return f"{stuck} workers are stuck"
        try:
            beat = Heartbeat.get_or_none(Heartbeat.holder == self.holder)
        except DatabaseError:  # away for a moment, and the workers wait for it
            return ""
        asked = None if beat is None else beat.restart_asked_at
        return "a restart was asked for" if asked is not None and asked > self._begun_at else ""

    def probe(self) -> str:
        """Empty while the box's rhythms keep their time."""
        ended = [thread.name for thread in self._threads if not thread.is_alive()]
        if ended and not self._stopping.is_set():
            return f"{', '.join(ended)} ended"
        still_s = time.monotonic() - self._turned_at
        return f"the rhythm has stood still for {still_s:.0f} s" if still_s > STANDSTILL_S else ""

    def stuck(self) -> int:
        """Threads that overran their job's time and have not come back."""
        return sum(huey.stuck() for huey in self._hueys)

    def stop(self) -> None:
        """Finish the work in hand within the limit; what is not finished then is put back, if that harms nobody."""
        self._stopping.set()
        self._job_began.set()
        for huey in self._hueys:
            huey.stopping.set()
        for consumer in self._consumers:
            consumer.stop_flag.set()
        bell.ring()
        until = time.monotonic() + STOP_WITHIN_S
        for consumer in self._consumers:
            for _, thread in consumer.worker_threads:
                thread.join(max(0.0, until - time.monotonic()))
        for thread in self._threads:  # also when a worker that hangs has taken all the time: else they find no database
            thread.join(max(RHYTHMS_END_S, until - time.monotonic()))
        self._put_back_what_is_left()
        history.flush(_now())
        if self._radius is not None:
            self._radius.stop()
        self.devices.close()
        _forget_heartbeat(self.holder)

    def _put_back_what_is_left(self) -> None:
        for huey in self._hueys:
            # What can't be repeated is a question, which the next life asks.
            cut_off = [entry.job for entry in huey.busy().values() if tasks.is_repeatable(entry.job.name)]
            for job in [*huey.unbegun(), *cut_off]:
                try:
                    jobs.unclaim(job, _now())
                except EdgeError as reason:  # it has ended meanwhile; or the disk is full, and the next life finds it
                    log.warning("job %s (%s) was not put back: %s", job.id, job.name, reason)

    def _watch_times(self) -> None:
        """Whoever overruns his job's time loses it, and a spare takes his place; by the steady clock."""
        while not self._stopping.wait(0.5):
            try:
                if not any(huey.busy() for huey in self._hueys):
                    self._job_began.clear()
                    if not any(huey.busy() for huey in self._hueys):
                        self._job_began.wait()
                for huey, consumer in zip(self._hueys, self._consumers, strict=True):
                    for thread, entry in huey.overdue().items():
                        tasks.fail_overdue(entry.job)  # first: what can't be written now is tried again
                        if huey.retire(thread):
                            log.error("job %s (%s) overran its %s s", entry.job.id, entry.job.name, entry.job.timeout_s)
                            consumer.add_spare()
            except Exception:  # a full disk must not end the watch
                log.exception("time-outs could not be watched")
        close_database()

    def _promote(self) -> None:
        """Scheduled work becomes waiting when its time comes; and the net under the bell."""
        looked_at = 0.0
        while not self._stopping.is_set():
            seen, pause = bell.count(SCHEDULE), NET_EVERY_S
            try:
                if time.monotonic() - looked_at >= NET_EVERY_S:
                    looked_at = time.monotonic()
                    bell.hear(jobs.waiting_queues())
                due_s = jobs.next_due(_now())
                if due_s is not None and due_s <= 0:
                    jobs.promote(_now())
                    due_s = jobs.next_due(_now())
                pause = NET_EVERY_S if due_s is None else min(NET_EVERY_S, due_s)
            except Exception:  # a full disk must not end the rhythm
                log.exception("scheduled work could not be looked at")
            bell.wait(SCHEDULE, seen, max(0.02, pause))
        close_database()

    def _hear_texts(self) -> None:
        """A text is read as soon as the modem tells of it; it may not tell, so that it is asked now and then."""
        looked_at = time.monotonic() - TEXTS_EVERY_S
        while not self._stopping.is_set():
            try:
                modem = self.devices.modem()
                if modem.trouble and not self._stopping.wait(BACK_EVERY_S):
                    modem_inbox.note_return(modem, _now())
                if time.monotonic() - looked_at >= TEXTS_EVERY_S:
                    looked_at = time.monotonic()
                    modem_inbox.look_for_texts(modem, _now())
                elif modem.wait_for_news(HEAR_FOR_S):
                    modem_inbox.hear(modem, _now())
                    self._stopping.wait(1.0)
            except DeviceError as reason:  # its check tells of it
                log.debug("no look for texts: %s", reason)
                self._stopping.wait(HEAR_FOR_S)
            except Exception:  # a full disk must not end the rhythm
                log.exception("texts could not be looked for")
                self._stopping.wait(HEAR_FOR_S)
        close_database()

    def _keep_time(self) -> None:
        """Heartbeat, leases, sweeps and checks, each at its own pace."""
        rhythms: list[tuple[float, Callable[[], object]]] = [
            (20.0, self._beat),
            (5.0, self._sweep),
            (20.0, lambda: history.flush(_now())),
            (60.0, self._promise_checks),
            (60.0, lambda: reminders.send_if_due(_now()) if routing.is_set_up() else 0),
            (60.0, lambda: airtime.ask_if_due(_now()) if self.settings.modem.port else False),
            (20.0, _look_for_the_absent),
            (3600.0, partial(_promise_once, "box.tidy", "log-rotation", "h", {})),
            (3600.0, lambda: shifts.tell_left_open(_now())),
            (60.0, lambda: messages.close_forgotten(_now())),
        ]
        due = [0.0] * len(rhythms)
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            for place, (every_s, act) in enumerate(rhythms):
                if time.monotonic() >= due[place] - 0.5:  # together: each waking costs more than most duties
                    due[place] = time.monotonic() + every_s
                    try:
                        act()
                    except Exception as reason:  # the next beat tries again
                        log.exception("a regular duty failed")
                        self._failed_duties[place] = f"{type(reason).__name__}: {reason}"
                    else:
                        self._failed_duties.pop(place, None)
            self._tell_duties()
            self._stopping.wait(max(0.05, min(due) - time.monotonic()))
        close_database()

    def _tell_duties(self) -> None:
        """A duty that fails again and again would go unseen: nobody waits for it."""
        words = "; ".join(sorted(set(self._failed_duties.values())))
        if words != self._duties_told:
            with contextlib.suppress(DatabaseError, NotDurable):  # told when the database can be written again
                checks.record("duties", "problem" if words else "ok", words or "done in time", _now(), DUTIES_CURE)
                self._duties_told = words

    def _beat(self) -> None:
        # NTP's word before and after: a step between the two is seen, whichever way it went.
        synchronised = is_synchronised()
        now = _now()
        synchronised = synchronised and is_synchronised()
        queues = {name: jobs.QUEUES[name].workers for name in self.queues}
        _record_beat(self.holder, queues, self.stuck(), synchronised, now)

    def _sweep(self) -> None:
        """Look first, write only where something is to be done: an idle box leaves its card alone."""
        now = _now()
        if Job.any_where("state = 'running'"):
            self._take_up_what_nobody_holds(now)
            tasks.rescue(now)
        inbox.promise_forgotten(now)
        payments.expire_if_due(now)
        org_requests.expire_if_due(now)
        campaign_run.sweep(now)
        provisional.withdraw_stale(now)
        convergence.sweep_if_due(now)
        guest_devices.forget_ended_if_due(now)
        accounting.fold(now)
        self._ensure_radius()
        if self._radius is not None:
            logins.record(self._radius.take_logins())
            self._check_radius(now)
        if not clock.is_trusted(now) and (is_synchronised() or clock.router_offsets(now)):
            self._beat()  # somebody vouches for it now

    def _take_up_what_nobody_holds(self, now: datetime) -> None:
        """Its end could not be written down: after two looks it is taken up as after a crash."""
        held = {in_hand for huey in self._hueys for in_hand in huey.held()}
        own = Job.select().where(Job.state == "running", Job.holder == self.holder)
        loose = {(job.id, job.attempt): job for job in own if (job.id, job.attempt) not in held}
        tasks.take_up([job for key, job in loose.items() if key in self._unheld], now)
        self._unheld = set(loose)

    def _promise_checks(self) -> None:
        for router in list(Router.select()):
            if router.mode == "local" or router.username:
                _promise_once("router.check", "router-checks", f"{router.id}:m", {"router_id": router.id},
                              lane=lanes.of_router(router.id))  # fmt: skip
            if router.username:
                _promise_once("router.data", "router-data", f"{router.id}:m", {"router_id": router.id},
                              lane=lanes.of_router(router.id))  # fmt: skip
        _promise_once("mpesa.check", "default", "m", {})
        if self.settings.modem.port:
            _promise_once("modem.check", "sms", "m", {}, lane="modem")  # by the machine that has it

    def _ensure_radius(self) -> None:
        """Start FreeRADIUS as soon as a router asks by RADIUS; beside the workers that let guests in."""
        if self._radius is not None or not self.settings.radius.enabled or "provisioning" not in self.queues:
            return
        if not Router.any_where("mode = 'radius'"):
            return
        if not radius.installed():
            words, cure = "FreeRADIUS is not installed", "apt-get install freeradius freeradius-utils"
            self._tell_radius("problem", words, cure, _now())
            return
        told = self.settings.radius
        self._radius = FreeRadius(
            self.settings.state / "radius", self.settings.database_path, data_folder() / "radius",
            host=told.host, auth_port=told.auth_port, acct_port=told.acct_port,
        )  # fmt: skip
        self._radius.start()

    def _check_radius(self, now: datetime) -> None:
        assert self._radius is not None
        try:
            self._radius.probe()
        except EdgeError as reason:
            state, words = "problem", str(reason)
        else:
            state, words = "ok", "answers"
            stranger = self._radius.last_unknown
            words += f"; {stranger} asked too, and is no router of this box" if stranger else ""
        self._tell_radius(state, words, "see `edge doctor`; the daemon is started again by itself", now)

    def _tell_radius(self, state: str, words: str, cure: str, now: datetime) -> None:
        """Once a minute, or when it changes: the card is not written each five seconds."""
        last = next((check for check in checks.everything() if check.name == "radius"), None)
        if last is None or last.state != state or now - last.checked_at > timedelta(minutes=1):
            checks.record("radius", state, words, now, cure)


@transaction
def _record_beat(name: str, queues: dict[str, int], stuck: int, synchronised: bool, now: datetime) -> None:
    """One write: this process lives, its leases hold, and the clock is judged."""
    Heartbeat.insert(
        holder=name, queues=queues, started_at=now, seen_at=now, host=socket.gethostname(), pid=os.getpid()
    ).on_conflict(conflict_target=[Heartbeat.holder], update={Heartbeat.seen_at: now, Heartbeat.stuck: stuck}).execute()
    Heartbeat.delete().where(Heartbeat.seen_at < now - timedelta(days=1)).execute()
    jobs.renew(name, now)
    clock.beat(now, synchronised, clock.router_offsets(now))


@transaction
def _forget_heartbeat(name: str) -> None:
    Heartbeat.delete().where(Heartbeat.holder == name).execute()


def _look_for_the_absent() -> None:
    """A router that is away is looked for more often: whoever paid meanwhile waits for it. One look at a time each."""
    for router in list(Router.select(Router.id).where(Router.down_since.is_null(False))):
        with trace.within(trace.new()):
            jobs.promise(
                "router.check", "router-checks", _now(), args={"router_id": router.id}, priority=jobs.LOW,
                lane=lanes.of_router(router.id), unique_key=f"absent:{router.id}",
            )  # fmt: skip


def _promise_once(name: str, queue: str, period: str, args: dict[str, object], lane: str | None = None) -> None:
    """Periodic work, promised once however many processes there are: its key names the minute or hour."""
    now = _now()
    stamp = f"{now:%Y%m%d%H}" if period.endswith("h") else f"{now:%Y%m%d%H%M}"
    with trace.within(trace.new()):
        jobs.promise(
            name, queue, now, args=args, lane=lane, priority=jobs.LOW, once_key=f"cron:{name}:{period}:{stamp}"
        )


def work_once(settings: Settings, queues: Iterable[str] = ()) -> int:
    """Do what is due in these queues and end: for cron, tests and mode inline. Returns how many jobs were run."""
    workers = Workers(settings, queues)
    done = 0
    try:
        tasks.rescue(_now())
        jobs.promote(_now())
        while True:
            claimed = next(
                (job for name in workers.queues if (job := jobs.claim(name, workers.holder, _now())) is not None), None
            )
            if claimed is None:
                return done
            tasks.run(claimed, world=workers.world)
            done += 1
    finally:
        workers.devices.close()


class _Timex(ctypes.Structure):
    """Linux's struct timex; only its size and the answer's state matter here."""

    _fields_ = [("modes", ctypes.c_uint), ("rest", ctypes.c_char * 248)]


def is_synchronised() -> bool:
    """The kernel's word on NTP: adjtimex answers TIME_ERROR (5) while nobody disciplines the clock."""
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(_Timex())))
    return 0 <= state < 5
