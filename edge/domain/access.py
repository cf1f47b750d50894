"""The right to be online: promised when paid, placed on routers, ended when its time is over."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from edge import jobs
from edge.database import db, transaction
from edge.domain import clock, events
from edge.models import Grant, Payment, Placement, Plan, Router
from edge.values.msisdn import mask_msisdn

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # no 0/O, 1/I/L: read aloud and typed on cheap phones
CODE_LETTERS = 8
ROUND = timedelta(minutes=5)  # between two rounds of tries on a router that says no
ROUND_WHILE_DOWN = timedelta(hours=1)  # its check, every minute, finds its return sooner


@transaction
def promise(payment: Payment, now: datetime) -> Grant:
    """Write the right that this payment bought, and the work that lets the guest in."""
    plan = Plan.get_by_id(payment.plan_id)
    routers = list(Router.select())
    grant: Grant = Grant.create(
        payment=payment, plan=plan, msisdn=payment.msisdn, mac=payment.mac, router=home_of(payment.context, routers),
        username=_new_code(), password=_new_pin(), seconds=plan.seconds, bytes=plan.bytes, rate=plan.rate,
        devices=plan.devices, created_at=now,
    )  # fmt: skip
    for router in routers:
        if router.mode == "local":
            place(grant, router, now)
    # RADIUS reads the grant itself: it lets him in from this commit on. Beside local routers too, or each login
    # by RADIUS before the first placement would get the whole time again.
    if any(router.mode == "radius" for router in routers):
        begin(grant, now)
    return grant


def home_of(context: Mapping[str, Any], routers: list[Router]) -> Router | None:
    """The router whose login page sent the guest here; None when that is not known."""
    host = _host(str(context.get("link-login-only", "")))
    homes = [router for router in routers if host and host in (router.host.lower(), _host(router.login_url))]
    return homes[0] if len(homes) == 1 else None


def _host(link: str) -> str:
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""


@transaction
def place(grant: Grant, router: Router, now: datetime) -> None:
    """Want this grant on this router, and promise the work."""
    Placement.create_unless_there(grant=grant, router=router)
    promise_placement(grant.id, router.id, now)


def lane_of(router_id: int) -> str:
    """One job at a time per router."""
    return f"router:{router_id}"


def promise_placement(grant_id: int, router_id: int, now: datetime) -> None:
    """Promise the work of letting one guest in at one router; new guests go before repairs by their order."""
    jobs.promise(
        "grant.place", "provisioning", now, args={"grant_id": grant_id, "router_id": router_id},
        lane=lane_of(router_id), unique_key=f"place:{grant_id}:{router_id}", cause=f"grant:{grant_id}",
    )  # fmt: skip


@transaction
def begin(grant: Grant, now: datetime) -> None:
    """The network lets him in from now on: his time starts, once."""
    start = clock.reckoned(now)
    Grant.update(starts_at=start, ends_at=start + timedelta(seconds=grant.seconds)).where(
        Grant.id == grant.id, Grant.starts_at.is_null()
    ).execute()


def seconds_left(grant: Grant, now: datetime) -> int:
    """What is still owed, in whole seconds; the full time before it began."""
    if grant.state != "live":
        return 0
    if grant.ends_at is None:
        return int(grant.seconds)
    return max(0, int((grant.ends_at - clock.reckoned(now)).total_seconds()))


def is_let_in(grant: Grant) -> bool:
    """Does the network let him in where he stands? His own router must, or any when nobody knows where he is."""
    there = Placement.select().where(Placement.grant == grant, Placement.state == "there")
    if grant.router_id is not None and grant.router.mode == "local":
        return bool(there.where(Placement.router == grant.router_id).exists())
    if grant.router_id is not None:
        return grant.starts_at is not None
    # With routers of both kinds he may stand before the local one, which has to be told first.
    modes = {router.mode for router in Router.select(Router.mode)}
    return bool(there.exists()) or (grant.starts_at is not None and modes == {"radius"})


@transaction
def record_placed(grant_id: int, router_id: int, now: datetime) -> None:
    """The router has this user: the guest can come in."""
    placement = Placement.get_or_none(Placement.grant == grant_id, Placement.router == router_id)
    if placement is None:
        return  # the router was removed while it was told
    grant = Grant.get_by_id(grant_id)
    first = placement.written_at is None
    placement.put(
        state="there" if grant.state == "live" else "leaving", words="", written_at=now, not_before=None,
        alarmed_at=None,
    )  # fmt: skip
    if grant.state == "live":
        begin(grant, now)
    if first:
        events.record(
            "user.provisioned", now, router=placement.router.name, username=mask_code(grant.username),
            phone=mask_msisdn(grant.msisdn), payment=grant.payment_id, waited_s=_seconds(now - grant.created_at),
        )  # fmt: skip


@transaction
def record_not_placed(grant_id: int, router_id: int, words: str, now: datetime) -> None:
    """All tries of a round are used up: raise the alarm, once until it succeeds. The rounds go on for ever."""
    placement = _wait_a_round(grant_id, router_id, words, now)
    if placement is None or placement.alarmed_at is not None:
        return
    placement.put(alarmed_at=now)
    grant = placement.grant
    events.record(
        "provisioning.failed", now, router=placement.router.name, payment=grant.payment_id,
        phone=mask_msisdn(grant.msisdn), words=words,
    )  # fmt: skip


@transaction
def record_not_withdrawn(grant_id: int, router_id: int, words: str, now: datetime) -> None:
    """Somebody's time is over and the router was not told: again next round; its own limits hold meanwhile."""
    _wait_a_round(grant_id, router_id, words, now)


def _wait_a_round(grant_id: int, router_id: int, words: str, now: datetime) -> Placement | None:
    placement: Placement | None = Placement.get_or_none(Placement.grant == grant_id, Placement.router == router_id)
    if placement is not None:
        pause = ROUND if placement.router.down_since is None else ROUND_WHILE_DOWN
        placement.put(words=words, not_before=now + pause)
    return placement


@transaction
def record_gone(grant_id: int, router_id: int, now: datetime) -> None:
    """The router no longer knows this user."""
    Placement.update(state="gone", words="", not_before=None).where(
        Placement.grant == grant_id, Placement.router == router_id, Placement.state == "leaving"
    ).execute()


# Wishes that nobody works on. A `not_before` far ahead was written by a clock that has been put right since.
ADRIFT = """
SELECT p.state, p.grant_id, p.router_id FROM placements p JOIN grants g ON g.id = p.grant_id
WHERE p.state IN ('wanted', 'leaving') AND (p.not_before IS NULL OR p.not_before NOT BETWEEN ? AND ?)
  AND (p.state = 'leaving' OR (g.state = 'live' AND (g.ends_at IS NULL OR g.ends_at > ?)))
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.state IN ('scheduled', 'waiting', 'running') AND j.unique_key =
    CASE p.state WHEN 'wanted' THEN 'place:' ELSE 'withdraw:' END || p.grant_id || ':' || p.router_id)
ORDER BY p.id
"""
UNPLACED = """
SELECT g.id, r.id FROM grants g JOIN routers r ON r.mode = 'local'
WHERE g.state = 'live' AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.grant_id = g.id AND p.router_id = r.id)
ORDER BY +g.id
"""  # the plus: else the planner walks all there ever were, to have them in order


def sweep_if_due(now: datetime) -> int:
    """Look without a lock, and write only when wishes and work differ."""
    over = Grant.any_where("state = 'live' AND ends_at <= ?", now.timestamp()) and clock.is_trusted(now)
    over = over and _overdue(now).exists()
    return sweep(now) if over or _adrift(now) or _unbegun() or db.execute_sql(UNPLACED).fetchall() else 0


@transaction
def sweep(now: datetime) -> int:
    """Bring wishes and work together: end what is over, promise what nobody works on. Returns how many ended."""
    ended = _end_overdue(now) if clock.is_trusted(now) else 0
    _promise_adrift(_adrift(now), now)
    for grant in _unbegun():
        begin(grant, now)
    for grant_id, router_id in db.execute_sql(UNPLACED).fetchall():  # a router that joined later gets everybody
        Placement.create_unless_there(grant=grant_id, router=router_id)
        promise_placement(grant_id, router_id, now)
    return ended


@transaction
def resume(router: Router, now: datetime) -> None:
    """This router is back: what is wanted there is promised at once, without waiting for the next round."""
    Placement.update(not_before=None).where(Placement.router == router, Placement.not_before.is_null(False)).execute()
    _promise_adrift([wish for wish in _adrift(now) if wish[2] == router.id], now)


def _adrift(now: datetime) -> list[tuple[str, int, int]]:
    """(state, grant, router) of every wish that has no job and is not waiting for its next round."""
    instant, farthest = now.timestamp(), (now + ROUND_WHILE_DOWN).timestamp()
    return list(db.execute_sql(ADRIFT, (instant, farthest, clock.reckoned(now).timestamp())).fetchall())


def _promise_adrift(wishes: list[tuple[str, int, int]], now: datetime) -> None:
    for state, grant_id, router_id in wishes:
        if state == "wanted":
            promise_placement(grant_id, router_id, now)
        else:
            _promise_withdrawal(grant_id, router_id, now)


def _unbegun() -> list[Grant]:
    """A router came that asks RADIUS: now no right may wait for a local router to begin."""
    by_radius = Router.any_where("mode = 'radius'")
    return list(Grant.select().where(Grant.state == "live", Grant.starts_at.is_null())) if by_radius else []


def _overdue(now: datetime) -> Any:
    """Time over, and no outage that still has to be credited: of the guest's own router, or of all there are."""
    down = {router.id: router.down_since is not None for router in Router.select(Router.id, Router.down_since)}
    over = Grant.select().where(Grant.state == "live", Grant.ends_at <= now)
    if not any(down.values()):
        return over
    served = Grant.router.not_in([router_id for router_id, is_down in down.items() if is_down])
    return over.where(served if all(down.values()) else served | Grant.router.is_null())


def _end_overdue(now: datetime) -> int:
    overdue = list(_overdue(now))
    for grant in overdue:
        grant.put(state="ended")
        for placement in list(grant.placements.where(Placement.state != "gone")):
            placement.put(state="leaving", not_before=None)
            _promise_withdrawal(grant.id, placement.router_id, now)
    return len(overdue)


def _promise_withdrawal(grant_id: int, router_id: int, now: datetime) -> None:
    jobs.promise(
        "grant.withdraw", "provisioning", now, args={"grant_id": grant_id, "router_id": router_id}, priority=jobs.LOW,
        lane=lane_of(router_id), unique_key=f"withdraw:{grant_id}:{router_id}", cause=f"grant:{grant_id}",
    )  # fmt: skip


@transaction
def record_router_users(router_id: int, names: set[str], now: datetime) -> int:
    """Compare what the router has with what is owed there, promise the difference; returns how many were missing."""
    here = Placement.select(Placement, Grant).join(Grant).where(Placement.router == router_id)
    owed = list(here.where(Placement.state == "there", Grant.state == "live"))
    missing = [placement for placement in owed if placement.grant.username not in names]
    for placement in missing:
        placement.put(state="wanted", words="the router had lost this guest")
        promise_placement(placement.grant.id, router_id, now)
    known = sorted(names)
    for start in range(0, len(known), 500):  # SQLite takes so many values at once, and not many more
        part = Grant.username.in_(known[start : start + 500])
        for placement in list(here.where(Placement.state == "gone", Grant.state == "ended", part)):
            placement.put(state="leaving", words="the router knew this guest again")
            _promise_withdrawal(placement.grant.id, router_id, now)
    return len(missing)


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
