"""A provider that fails again and again is left alone for a while, so that work for others goes on."""

from datetime import datetime, timedelta

from edge.database import transaction
from edge.domain import events
from edge.models import Breaker, Router

FAILURES = 5  # in a row, until it is left alone
PAUSES_S = (10, 20, 40, 60)  # each time in a row longer
TRIAL_S = 60  # one call is let through; nobody else until it has ended, or so much later
LOOK_AGAIN_S = 5  # while somebody tries


def may_pass(name: str, now: datetime) -> datetime | None:
    """None when this provider may be called, else the instant to come back; a look, as long as all is well."""
    return _try(name, now) if Breaker.any_where("name = ? AND state <> 'closed'", name) else None


@transaction
def _try(name: str, now: datetime) -> datetime | None:
    """One caller at a time may try whether it is back."""
    row = Breaker.get_by_id(name)
    if row.state == "closed":
        return None
    retry_at: datetime = row.retry_at
    if now < retry_at <= now + timedelta(seconds=2 * TRIAL_S):  # farther ahead: the clock has been put back
        return min(retry_at, now + timedelta(seconds=LOOK_AGAIN_S)) if row.state == "trial" else retry_at
    row.put(state="trial", retry_at=now + timedelta(seconds=TRIAL_S), changed_at=now)
    return None


@transaction
def note_failure(name: str, words: str, now: datetime) -> None:
    """It could not be reached, once more."""
    row = Breaker.get_or_none(Breaker.name == name) or Breaker.create(name=name, changed_at=now)
    failures = row.failures + 1
    if row.state == "closed" and failures < FAILURES:
        row.put(failures=failures, words=words[:300])
        return
    if row.state == "open":  # called before it was left alone: that makes the pause no longer
        row.put(failures=failures, words=words[:300])
        return
    pause_s = PAUSES_S[min(row.opened, len(PAUSES_S) - 1)]
    if row.state == "closed":
        events.record("provider.paused", now, provider=_known_as(name), words=words[:300])
    row.put(
        state="open", failures=failures, opened=row.opened + 1, retry_at=now + timedelta(seconds=pause_s),
        changed_at=now, words=words[:300],
    )  # fmt: skip


def note_untried(name: str, now: datetime) -> None:
    """Whoever was let through did not call after all: the next one may."""
    if Breaker.any_where("name = ? AND state = 'trial'", name):
        _give_turn_back(name, now)


@transaction
def _give_turn_back(name: str, now: datetime) -> None:
    Breaker.update(state="open", retry_at=now).where(Breaker.name == name, Breaker.state == "trial").execute()


def note_success(name: str, now: datetime) -> None:
    """It answered: all is forgiven. Nothing is written while all was well."""
    if Breaker.any_where("name = ? AND (failures > 0 OR state <> 'closed')", name):
        _close(name, now)


@transaction
def _close(name: str, now: datetime) -> None:
    row = Breaker.get_by_id(name)
    if row.state != "closed":
        events.record("provider.returned", now, provider=_known_as(name))
    row.put(state="closed", failures=0, opened=0, retry_at=None, changed_at=now, words="")


def _known_as(name: str) -> str:
    """A router by the name that people gave it."""
    kind, _, number = name.partition(":")
    row = Router.get_or_none(Router.id == int(number)) if kind == "router" and number.isdigit() else None
    return name if row is None else f"router:{row.name}"


def everything() -> list[Breaker]:
    """Every provider that ever failed, those that are left alone first."""
    return sorted(Breaker.select(), key=lambda row: (row.state == "closed", row.name))


def is_closed_to(name: str, now: datetime) -> bool:
    """Is this provider left alone just now? Only a look: whoever then calls asks `may_pass`."""
    return Breaker.any_where("name = ? AND state <> 'closed' AND retry_at > ?", name, now.timestamp())
