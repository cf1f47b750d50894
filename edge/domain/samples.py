"""How each router did, minute by minute, for a week."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from edge.database import db, transaction
from edge.models import Router
from edge.network_models import RouterSample
from edge.sms_models import ModemSample
from edge.values.router_data import RouterReading

KEPT = timedelta(days=7)
APART = timedelta(seconds=30)  # two looks of one minute leave one row
STEP = timedelta(minutes=15)
DAY = timedelta(days=1)

Look = TypeVar("Look", RouterSample, ModemSample)


@dataclass(frozen=True)
class Slice:
    """A quarter of an hour: the most devices online, the mean rates of the uplink in bits per second, the mean CPU."""

    start: datetime
    looks: int = 0
    online: int = 0
    hosts: int = 0
    bps_in: float = 0.0
    bps_out: float = 0.0
    cpu_load: float = 0.0


@transaction
def record(router_id: int, reading: RouterReading, now: datetime) -> None:
    """Keep what one look told, once a minute."""
    last = latest(router_id)
    if (last is not None and abs(now - last.at) < APART) or not Router.any_where("id = ?", router_id):
        return
    RouterSample.create(
        router=router_id, at=now, cpu_load=reading.cpu_load, free_memory=reading.free_memory,
        online=len(reading.sessions), hosts=reading.hosts, bps_in=reading.bps_in, bps_out=reading.bps_out,
    )  # fmt: skip


def latest(router_id: int) -> RouterSample | None:
    """What it told last."""
    found: RouterSample | None = (
        RouterSample.select().where(RouterSample.router == router_id).order_by(RouterSample.at.desc()).first()
    )
    return found


def day(router_id: int, now: datetime) -> list[Slice]:
    """The last 24 hours, the oldest first; a slice without a look is empty."""
    rows = RouterSample.select().where(RouterSample.router == router_id, RouterSample.at >= now - DAY)
    return [_slice(start, looks) for start, looks in by_slice(rows, now)]


def by_slice(rows: Iterable[Look], now: datetime) -> list[tuple[datetime, list[Look]]]:
    """The quarters of hours of the last day, the oldest first, each with the looks taken in it."""
    step_s = STEP.total_seconds()
    begin_s = (now.timestamp() // step_s + 1) * step_s - DAY.total_seconds()
    looks: dict[int, list[Look]] = {}
    for row in rows:
        looks.setdefault(int((row.at.timestamp() - begin_s) // step_s), []).append(row)
    begin = datetime.fromtimestamp(begin_s, now.tzinfo)
    return [(begin + number * STEP, looks.get(number, [])) for number in range(int(DAY / STEP))]


def _slice(start: datetime, looks: list[RouterSample]) -> Slice:
    return Slice(
        start, len(looks), max((look.online or 0 for look in looks), default=0),
        max((look.hosts or 0 for look in looks), default=0), _mean(look.bps_in for look in looks),
        _mean(look.bps_out for look in looks), _mean(look.cpu_load for look in looks),
    )  # fmt: skip


def _mean(told: Iterable[float | None]) -> float:
    """Of what was told; 0 when nothing was."""
    values = [value for value in told if value is not None]
    return sum(values) / max(1, len(values))


@transaction
def prune(now: datetime, most: int = 1_000) -> int:
    """Forget what is older than a week; returns how many rows that were."""
    return int(
        db.execute_sql(
            "DELETE FROM router_samples WHERE id IN (SELECT id FROM router_samples WHERE at < ? LIMIT ?)",
            ((now - KEPT).timestamp(), most),
        ).rowcount
    )
