"""How the modem did, minute by minute, for a week."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.database import db, transaction
from edge.domain import samples
from edge.sms_models import ModemSample

KEPT = timedelta(days=7)
APART = timedelta(seconds=30)  # two looks of one minute leave one row


@dataclass(frozen=True)
class Look:
    """What one look told. `words`: what was wrong, empty when nothing was."""

    signal_dbm: int | None = None
    registered: bool = False
    operator: str = ""
    words: str = ""


@dataclass(frozen=True)
class Slice:
    """A quarter of an hour: looks, how many of them found it on a network, and the mean signal in dBm."""

    start: datetime
    looks: int = 0
    registered: int = 0
    signal_dbm: float | None = None


@transaction
def record(look: Look, now: datetime) -> None:
    """Keep what one look told, once a minute."""
    last = latest()
    if last is not None and abs(now - last.at) < APART:
        return
    ModemSample.create(
        at=now, signal_dbm=look.signal_dbm, registered=look.registered, operator=look.operator[:60],
        words=look.words[:200],
    )  # fmt: skip


def latest() -> ModemSample | None:
    """What it told last."""
    found: ModemSample | None = ModemSample.select().order_by(ModemSample.at.desc(), ModemSample.id.desc()).first()
    return found


def day(now: datetime) -> list[Slice]:
    """The last 24 hours, the oldest first; a slice without a look is empty."""
    rows = list(ModemSample.select().where(ModemSample.at >= now - samples.DAY, ModemSample.at <= now))
    return [_slice(start, looks) for start, looks in samples.by_slice(rows, now)]


def _slice(start: datetime, looks: list[ModemSample]) -> Slice:
    signals = [look.signal_dbm for look in looks if look.signal_dbm is not None]
    mean = sum(signals) / len(signals) if signals else None
    return Slice(start, len(looks), sum(look.registered for look in looks), mean)


@transaction
def prune(now: datetime, most: int = 1_000) -> int:
    """Forget what is older than a week; returns how many rows that were."""
    return int(
        db.execute_sql(
            "DELETE FROM modem_samples WHERE id IN (SELECT id FROM modem_samples WHERE at < ? LIMIT ?)",
            ((now - KEPT).timestamp(), most),
        ).rowcount
    )
