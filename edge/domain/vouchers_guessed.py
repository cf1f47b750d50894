"""Wrong vouchers: how often somebody may guess, and what happens when many do. Nobody can lock out anybody else."""

from datetime import datetime, timedelta

from edge.database import transaction
from edge.domain import events, pauses
from edge.models import Router, Throttle

FREE, FREE_PER_CLIENT = 10, 30  # wrong ones before the first pause: of a device at an address, of the address
FEW = 3  # instead, while many guess
CALM = 200  # wrong ones in an hour, of all together, that may be honest mistakes
HOUR = timedelta(hours=1)
ALL = "voucher"


def refuse_if_paused(client: str, mac: str, now: datetime) -> None:
    """TooMany while this device, or its address, has to wait.

    A pause belongs to whoever guessed, never to a code: nobody can spoil another's voucher. When many guess, everybody
    has fewer tries before his first pause, and still some: a total that locked would lock out the honest. Somebody who
    can be any number of devices, behind a router that gives all its guests one address, is held off by the length of
    the codes alone.
    """
    pauses.refuse_if_paused(_locks(client, mac, is_stormy=False), now)


@transaction
def record_failure(client: str, mac: str, now: datetime) -> None:
    """One more wrong code from there; staff hear of it when they become many."""
    pauses.record_failure(_locks(client, mac, is_stormy=_count_all(now) > CALM), now)


def _count_all(now: datetime) -> int:
    """How many wrong ones came within this hour, with this one."""
    row = Throttle.get_or_none(Throttle.name == ALL)
    is_running = row is not None and now < row.free_at <= now + HOUR
    count = 1 + (row.failures if is_running else 0)
    Throttle.replace(name=ALL, free_at=row.free_at if is_running else now + HOUR, failures=count).execute()
    if count == CALM + 1:
        events.record("vouchers.guessed", now, count=CALM)
    return count


def _locks(client: str, mac: str, is_stormy: bool) -> list[pauses.Lock]:
    locks = [(f"voucher:{client}:{mac}", FEW if is_stormy else FREE)]
    # A router that gives all its guests its own address: there one of them would keep the others out.
    if not Router.is_at(client):
        locks.append((f"voucher:{client}", FEW if is_stormy else FREE_PER_CLIENT))
    return locks
