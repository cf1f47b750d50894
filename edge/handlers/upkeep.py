"""The box looks after itself: are its parts there, and what may be forgotten."""

from collections.abc import Callable
from datetime import datetime, timedelta

from edge import desk, history
from edge.domain import accounting, breakers, checks, clock, events, samples, sessions
from edge.errors import DeviceError, Unreachable
from edge.handlers.world import World, WriteDown
from edge.settings import Settings


def check_mpesa(world: World, now: datetime) -> WriteDown | None:
    """Do M-Pesa's keys open the door? Charges nobody."""
    return check_part("mpesa", world.devices.mpesa().check, "check [mpesa] in edge.toml and the internet connection")


def check_modem(world: World, now: datetime) -> WriteDown | None:
    """Does the modem answer, and does the network hear it?"""

    def look() -> str:
        status = world.devices.modem().status()
        if status.sim != "ready":
            raise Unreachable(f"the SIM is not ready: {status.sim}")
        if not status.registered:
            raise Unreachable("the SIM is not registered on a network")
        return f"{status.operator or 'registered'}, signal {status.signal_dbm} dBm"

    return check_part("modem", look, "check the stick, its SIM and the antenna")


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
    for forget in (sessions.prune, samples.prune, checks.prune, accounting.trim):
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
