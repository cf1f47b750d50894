"""Opens the box in its order and closes it again: database, words, queues, the routers that the settings name."""

import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from zoneinfo import ZoneInfo

from edge import database, jobs, schema, telemetry, texts
from edge.bell import bell
from edge.database import db
from edge.delivery import delivery
from edge.domain import (
    airtime,
    books,
    campaign_run,
    checks,
    credits,
    messages,
    network,
    plans,
    provisional,
    quiet_hours,
    refunds,
    routing,
    witnesses,
)
from edge.errors import EdgeError
from edge.models import Check
from edge.money_models import Secret
from edge.sealing import seal
from edge.settings import BadSettings, Settings
from edge.supervisor import Supervisor, Watchdog
from edge.worker import Workers

if TYPE_CHECKING:
    from edge.web import WebServer

log = logging.getLogger("edge.boot")

WATCH_EVERY_S = 2.0


SEALED = 5  # the version of the database from which on texts and numbers are sealed
DATA_KEYS = "data_keys"
KEYS_CURE = "bring the file data.keys back from the backup and restart; without it the old texts stay unreadable"
KEYS_OF_FLEET = (
    "copy it from the machine that made the database (its name there: `[privacy] key_file`, else data.keys in its "
    "state folder), readable by its owner alone"
)


class NoBoxYet(EdgeError):
    """There is no database in this state folder."""


def open_box(settings: Settings, *, is_new: bool = False) -> None:
    """Open the database (made when `is_new`), check and migrate it, and take over what the settings say."""
    place = settings.database_place
    if isinstance(place, Path) and not is_new and not place.exists():
        raise NoBoxYet(f"there is no box in {settings.state} yet: make one with `edge init`")
    if is_new or not isinstance(place, Path):  # a second machine has no more of its own than this folder
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.box.language not in texts.languages():
        known = ", ".join(texts.languages())
        raise BadSettings(f"[box] language: there is no {settings.box.language!r}; known: {known}")
    if isinstance(place, Path):
        _only_for_us(place)
    database.open_database(place)
    seal.point_to(settings.key_path)
    database.quick_check()
    if not is_new and not isinstance(place, Path) and not schema.is_made():
        raise NoBoxYet("there is no box in this database yet: make one with `edge init`")
    _refuse_without_keys(settings)
    schema.migrate(place)
    _know_keys(settings, datetime.now(UTC))
    books.backfill(datetime.now(UTC))
    refunds.listen()
    texts.catalogue.configure(settings.box.language, settings.box.name)
    _configure_texts(settings)
    plans.configure(settings.box.timezone, can_text=routing.is_set_up())
    money = settings.mpesa
    witnesses.configure(
        money.misfit, provisional.Caps(money.unverified_limit * 100, money.unverified_open),
        can_ask_by_receipt=bool(money.initiator and settings.web.public_url),
    )  # fmt: skip
    told = settings.queue
    jobs.configure(told.workers, told.timeout_s, told.tries, told.backoff_s)
    if settings.queue.mode == "inline":
        jobs.set_workers(dict.fromkeys(jobs.QUEUES, 1))
    bell.point_to(settings.bell_path)
    delivery.point_to(settings.delivery_url)
    network.adopt([asdict(router) for router in settings.routers], datetime.now(UTC))


class WrongKeys(EdgeError):
    """This machine's key file is not the one that the database was begun with."""


def _refuse_without_keys(settings: Settings) -> None:
    """A further machine of a fleet brings the keys along, rather than make its own and find nobody's number."""
    if not db.serves_one_machine and db.version() >= SEALED and not settings.key_path.exists():
        raise WrongKeys(f"the key file {settings.key_path} is missing: {KEYS_OF_FLEET}")


def _know_keys(settings: Settings, now: datetime) -> None:
    """What was sealed with other keys can't be read, nor found: whoever said STOP would be texted again."""
    if not Secret.any_where("name = ?", DATA_KEYS):
        Secret.create_unless_there(name=DATA_KEYS, value=seal.fingerprint, created_at=now)
    is_right = Secret.get_by_id(DATA_KEYS).value == seal.fingerprint
    if not is_right and not db.serves_one_machine:
        raise WrongKeys(f"the key file {settings.key_path} is not the one of this database: {KEYS_OF_FLEET}")
    if not is_right:
        words = f"texts, phone numbers and who wants no texts were sealed with another key than {settings.key_path}"
        checks.record("keys", "problem", words, now, KEYS_CURE)
        log.error("%s: %s", words, KEYS_CURE)
    elif Check.any_where("name = 'keys' AND state <> 'ok'"):
        checks.record("keys", "ok", "the key file is the right one", now)


def _configure_texts(settings: Settings) -> None:
    told = settings.sms
    messages.configure(messages.Rules(told.simplify, told.reports, told.refund))
    routing.configure(told, has_modem=bool(settings.modem.port), is_rehearsal=settings.mpesa.mode == "simulated")
    quiet_hours.configure(told.quiet_hours)
    campaign_run.configure(told.person_per_week)
    credits.configure(told.low_credits)
    dialled = settings.modem
    airtime.configure(
        airtime.Rules(
            dialled.balance_code, dialled.balance_pattern, timedelta(hours=dialled.balance_every_h),
            dialled.balance_low * 100, ZoneInfo(settings.box.timezone),
        )
    )  # fmt: skip


def is_there(settings: Settings) -> bool:
    """Was this box made already?"""
    place = settings.database_place
    if isinstance(place, Path):
        return place.exists()
    database.open_database(place)
    try:
        return schema.is_made()
    finally:
        database.close_database()


def close_box() -> None:
    """Write what is in hand, and let go of the file."""
    database.writer.stop()
    delivery.close()
    database.close_database()


def _only_for_us(path: Path) -> None:
    """The database holds codes and phone numbers: nobody else of this machine reads it, nor its log."""
    path.touch(mode=0o600)
    path.chmod(0o600)


@contextmanager
def opened(settings: Settings, *, is_new: bool = False) -> Iterator[None]:
    """The box, open for one command."""
    open_box(settings, is_new=is_new)
    try:
        yield
    finally:
        close_box()


class PortTaken(EdgeError):
    """Something else listens there, or the address is not this machine's."""


class Service:
    """The parts of one process, started in order and stopped in reverse."""

    def __init__(self, settings: Settings, *, web: bool, work: bool, queues: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.web = _open_web(settings) if web else None
        self.workers = Workers(settings, queues) if work else None
        self._ending = threading.Event()
        self._why_again = ""  # begin anew after the end
        self._environ = dict(os.environ)
        self._supervisor = Supervisor.from_environment()
        self._watchdog = Watchdog(self._supervisor)

    def start(self) -> None:
        """Begin serving. Call from the main thread, with the box open."""
        database.writer.start()
        if self.workers is not None:
            self.workers.start()
        if self.web is not None:
            self.web.start()
        gc.collect()
        gc.freeze()  # what is loaded now stays: collections need not walk through it while guests wait
        gc.set_threshold(20_000, 20, 20)

    def stop(self) -> None:
        """No new guests, then no new work, then the last commit."""
        if self.web is not None:
            self.web.stop()
        if self.workers is not None:
            self.workers.stop()
        telemetry.stop()
        close_box()

    def words(self) -> list[str]:
        """What runs here, for whoever started it."""
        lines = []
        if self.web is not None:
            lines.append(f"Portal     http://{self.web.address}/")
            lines.append(f"Dashboard  http://{self.web.address}/admin/")
        if self.workers is not None:
            lines.append(f"Working on {', '.join(self.workers.queues)}")
        return lines

    def end(self, *_: object) -> None:
        """Ask `run` to come to its end; fits a signal handler."""
        self._ending.set()

    def run(self, say: Callable[[str], object] = log.info) -> None:
        """Start, say what runs, serve until SIGTERM or Ctrl-C, stop."""
        faulthandler.enable()  # when the watchdog ends us, the journal shows where each thread stood
        self.heed()
        self.start()

        def tell() -> None:
            with suppress(OSError):  # a full disk, if it goes to a file there
                for line in self.words():
                    say(line)

        self.serve(tell)

    def heed(self) -> None:
        """From now on SIGTERM and Ctrl-C end `serve`, also while things still start; SIGHUP begins anew."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self.end)
        signal.signal(signal.SIGHUP, lambda *_: self.renew("SIGHUP"))

    def renew(self, why: str) -> None:
        """End in good order, and begin anew in the same process: the settings are read again."""
        self._why_again = why
        self._ending.set()

    def serve(self, ready: Callable[[], object]) -> None:
        """Once started: tell by `ready`, serve until the end is asked for, stop."""
        if self.web is not None:
            self._watchdog.register("web", self.web.probe)
        if self.workers is not None:
            self._watchdog.register("workers", self.workers.probe)
        ready()
        self._supervisor.ready("; ".join(self.words()))
        beat_at = time.monotonic()
        beat_s = self._supervisor.watchdog_s
        while not self._ending.wait(WATCH_EVERY_S if beat_s is None else min(WATCH_EVERY_S, beat_s)):
            why = self.workers.watch() if self.workers is not None else ""
            if why:
                self.renew(why)
            if beat_s is not None and time.monotonic() >= beat_at:
                beat_at = time.monotonic() + beat_s - min(WATCH_EVERY_S, beat_s)
                self._watchdog.beat()
        self._supervisor.reloading() if self._why_again else self._supervisor.stopping()
        self.stop()
        if self._why_again:
            log.warning("beginning anew: %s", self._why_again)
            _begin_anew(self._environ)


def _begin_anew(environ: dict[str, str]) -> NoReturn:
    """The same command in the same process, from its first line; whoever started it notices nothing."""
    command = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(os.readlink("/proc/self/exe"), command, environ)


def _open_web(settings: Settings) -> "WebServer":
    """The pages are brought in where they are served: a worker does without, and is back sooner when it died."""
    try:
        server: WebServer = import_module("edge.web").WebServer(settings)
        return server
    except OSError as reason:
        place = f"{settings.web.host}:{settings.web.port}"
        raise PortTaken(
            f"can't listen on {place} ({reason.strerror}): stop what uses it, or set another [web] port"
        ) from reason


def service_of(settings: Settings, *, web: bool, work: bool, queues: tuple[str, ...] = ()) -> Service:
    """The parts that this process is to be; in mode inline the web process does the work as well."""
    if settings.queue.mode == "inline" and web:
        work = True
    return Service(settings, web=web, work=work, queues=queues)


def with_port(settings: Settings, port: int | None) -> Settings:
    """The same settings on another port."""
    return settings if port is None else replace(settings, web=replace(settings.web, port=port))
