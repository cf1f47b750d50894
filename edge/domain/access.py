"""The right to be online: promised when paid, placed on routers, ended when its time is over."""

import secrets
from datetime import datetime, timedelta

from edge import jobs
from edge.database import transaction
from edge.domain import clock, events
from edge.models import Grant, Payment, Placement, Router
from edge.values.msisdn import mask_msisdn

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # no 0/O, 1/I/L: read aloud and typed on cheap phones
CODE_LETTERS = 8
RESCUE_AFTER = timedelta(minutes=1)


@transaction
def promise(payment: Payment, now: datetime) -> Grant:
    """Write the right that this payment bought, and the work that lets the guest in."""
    plan = payment.plan
    grant = Grant.create(
        payment=payment, plan=plan, msisdn=payment.msisdn, mac=payment.mac, username=_new_code(), password=_new_pin(),
        seconds=plan.seconds, bytes=plan.bytes, rate=plan.rate, devices=plan.devices, created_at=now,
    )  # fmt: skip
    routers = list(Router.select())
    for router in routers:
        if router.mode == "local":
            place(grant, router, now)
    if any(router.mode == "radius" for router in routers):
        begin(grant, now)  # RADIUS reads the grant itself: the network lets him in from this commit on
    return grant


@transaction
def place(grant: Grant, router: Router, now: datetime) -> None:
    """Want this grant on this router, and promise the work."""
    Placement.insert(grant=grant, router=router).on_conflict_ignore().execute()
    promise_placement(grant.id, router, now)


def promise_placement(grant_id: int, router: Router, now: datetime) -> None:
    """One job at a time per router: its lane; new guests go before repairs by their order."""
    jobs.promise(
        "grant.place", "provisioning", now, args={"grant_id": grant_id, "router_id": router.id},
        lane=f"router:{router.id}", unique_key=f"place:{grant_id}:{router.id}", cause=f"grant:{grant_id}",
    )  # fmt: skip


@transaction
def begin(grant: Grant, now: datetime) -> None:
    """The network lets him in from now on: his time starts, once."""
    Grant.update(starts_at=now, ends_at=now + timedelta(seconds=grant.seconds)).where(
        Grant.id == grant.id, Grant.starts_at.is_null()
    ).execute()


def seconds_left(grant: Grant, now: datetime) -> int:
    """What is still owed, in whole seconds; the full time before it began."""
    if grant.state != "live":
        return 0
    return grant.seconds if grant.ends_at is None else max(0, int((grant.ends_at - now).total_seconds()))


@transaction
def record_placed(grant_id: int, router_id: int, now: datetime) -> None:
    """The router has this user: the guest can come in."""
    grant = Grant.get_by_id(grant_id)
    router = Router.get_by_id(router_id)
    placement = Placement.get(Placement.grant == grant, Placement.router == router)
    first = placement.written_at is None
    placement.put(state="there" if grant.state == "live" else "leaving", words="", written_at=now)
    begin(grant, now)
    if first:
        events.record(
            "user.provisioned", now, router=router.name, username=mask_code(grant.username),
            phone=mask_msisdn(grant.msisdn), payment=grant.payment_id, waited_s=_seconds(now - grant.created_at),
        )  # fmt: skip


@transaction
def record_not_placed(grant_id: int, router_id: int, words: str, now: datetime) -> None:
    """All tries are used up: raise the alarm. The sweep goes on promising, for ever."""
    grant = Grant.get_by_id(grant_id)
    Placement.update(words=words).where(Placement.grant == grant_id, Placement.router == router_id).execute()
    router = Router.get_or_none(Router.id == router_id)
    events.record(
        "provisioning.failed", now, router=router.name if router else "?", payment=grant.payment_id,
        phone=mask_msisdn(grant.msisdn), words=words,
    )  # fmt: skip


@transaction
def record_gone(grant_id: int, router_id: int, now: datetime) -> None:
    """The router no longer knows this user."""
    Placement.update(state="gone", words="").where(
        Placement.grant == grant_id, Placement.router == router_id, Placement.state == "leaving"
    ).execute()


def sweep_if_due(now: datetime) -> int:
    """Look without a lock, and write only when wishes and work differ."""
    over = Grant.select().where(Grant.state == "live", Grant.ends_at <= now).exists() and clock.is_trusted()
    adrift = Placement.select().where(Placement.state.in_(("wanted", "leaving"))).exists()
    locals_ = Router.select().where(Router.mode == "local").count()
    live = Grant.select().where(Grant.state == "live").count()
    placed = Placement.select().join(Grant).where(Grant.state == "live").count()
    return sweep(now) if over or adrift or placed < live * locals_ else 0


@transaction
def sweep(now: datetime) -> int:
    """Bring wishes and work together: end what is over, promise what nobody works on. Returns how many ended."""
    ended = _end_overdue(now) if clock.is_trusted() else 0
    stale = (
        Placement.select(Placement, Grant, Router)
        .join_from(Placement, Grant)
        .join_from(Placement, Router)
        .where(Placement.state.in_(("wanted", "leaving")), Grant.created_at < now - RESCUE_AFTER)
    )
    for placement in stale:
        if placement.state == "wanted":
            promise_placement(placement.grant.id, placement.router, now)
        else:
            _promise_withdrawal(placement.grant.id, placement.router, now)
    _place_on_new_routers(now)
    return ended


def _end_overdue(now: datetime) -> int:
    """Time over, and no outage that still has to be credited: the right ends."""
    down = {router.id for router in Router.select().where(Router.down_since.is_null(False))}
    overdue = list(Grant.select().where(Grant.state == "live", Grant.ends_at <= now))
    ended = 0
    for grant in overdue:
        placements = list(grant.placements.where(Placement.state != "gone"))
        if placements and all(placement.router_id in down for placement in placements):
            continue  # its router is away: that time is given back when it returns
        grant.put(state="ended")
        ended += 1
        for placement in placements:
            placement.put(state="leaving")
            _promise_withdrawal(grant.id, placement.router, now)
    return ended


def _promise_withdrawal(grant_id: int, router: Router, now: datetime) -> None:
    jobs.promise(
        "grant.withdraw", "provisioning", now, args={"grant_id": grant_id, "router_id": router.id}, priority=jobs.LOW,
        lane=f"router:{router.id}", unique_key=f"withdraw:{grant_id}:{router.id}", cause=f"grant:{grant_id}",
    )  # fmt: skip


def _place_on_new_routers(now: datetime) -> None:
    """A router that joined later gets everybody who has paid."""
    for router in Router.select().where(Router.mode == "local"):
        placed = Placement.select(Placement.grant).where(Placement.router == router)
        for grant in Grant.select().where(Grant.state == "live", Grant.id.not_in(placed)):
            place(grant, router, now)


@transaction
def record_router_users(router_id: int, names: set[str], now: datetime) -> int:
    """Compare what the router has with what is owed there, and promise the difference; returns how many were missing."""
    router = Router.get_by_id(router_id)
    missing = 0
    there = (
        Placement.select(Placement, Grant)
        .join(Grant)
        .where(Placement.router == router, Placement.state == "there", Grant.state == "live")
    )
    for placement in there:
        if placement.grant.username not in names:
            missing += 1
            placement.put(state="wanted", words="the router had lost this guest")
            promise_placement(placement.grant.id, router, now)
    return missing


def _new_code() -> str:
    """Guest codes: 8 letters of 31, 39.6 bits, and unique among all there are."""
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LETTERS))
        if not Grant.select().where(Grant.username == code).exists():
            return code


def _new_pin() -> str:
    return f"{secrets.randbelow(10_000):04d}"


def mask_code(code: str) -> str:
    """Enough of a code for staff to recognise it."""
    return code[:2] + "•" * (len(code) - 2)


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 3)
