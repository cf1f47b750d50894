"""The box looks after itself: are its parts there, and what may be forgotten."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from edge import desk, history, jobs
from edge.domain import (
    accounting,
    breakers,
    checks,
    clock,
    delivery_reports,
    events,
    modem_samples,
    notices,
    samples,
    sessions,
)
from edge.domain.modem_samples import Look
from edge.errors import DeviceError
from edge.handlers.world import World, WriteDown
from edge.settings import Settings

MODEM_CURE = "check the stick, its SIM and the antenna"


def check_mpesa(world: World, now: datetime) -> WriteDown | None:
    """Do M-Pesa's keys open the door? Charges nobody."""
    return check_part("mpesa", world.devices.mpesa().check, "check [mpesa] in edge.toml and the internet connection")


def check_modem(world: World, now: datetime) -> WriteDown | None:
    """Does the modem answer, and does the network hear it? Texts that waited for it go as soon as it does."""
    try:
        status = world.devices.modem().status()
    except DeviceError as reason:
        return partial(_record_modem, Look(words=str(reason)), "")
    look = Look(status.signal_dbm, status.registered, status.operator, status.trouble)
    return partial(_record_modem, look, "; ".join([status.summary, *status.warnings]))


def _record_modem(look: Look, words: str, then: datetime) -> None:
    before = modem_samples.latest()
    modem_samples.record(look, then)
    if look.words:
        checks.record("modem", "problem", look.words, then, MODEM_CURE)
        return
    breakers.note_success("modem", then)
    checks.record("modem", "ok", words, then)
    if before is not None and before.words:  # else whoever waits out a back-off of its own is to wait it out
        jobs.hurry("modem", then)


def check_part(name: str, ask: Callable[[], str | None], cure: str) -> WriteDown:
    try:
        words = ask() or "answers"
    except DeviceError as reason:
        trouble = str(reason)
        return lambda then: checks.record(name, "problem", trouble, then, cure)

    def answered(then: datetime) -> None:
        breakers.note_success(name, then)
        checks.record(name, "ok", words, then)

    return answered


def tidy(world: World, now: datetime) -> WriteDown | None:
    """Forget finished work and old events, by the chunk: between two of them guests are served."""
    if not clock.is_trusted(now):
        return None  # what is a week old by a wrong clock may be of today
    while desk.prune(now, retention(world.settings)) > 0:
        pass
    prunes = (
        sessions.prune, samples.prune, checks.prune, accounting.trim, modem_samples.prune, delivery_reports.prune,
        notices.prune,
    )  # fmt: skip
    for forget in prunes:
        while forget(now) > 0:
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
