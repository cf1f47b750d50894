"""The right to be online: promised when paid, placed on routers, ended when its time or data is used up."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from edge import jobs
from edge.database import db, transaction
from edge.domain import clock, disconnects, events, lanes
from edge.models import Grant, Payment, Placement, Plan, Router
from edge.money_models import Voucher
from edge.radius_views import USED_BYTES, USED_S
from edge.values.codes import mask_code
from edge.values.msisdn import mask_msisdn

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # no 0/O, 1/I/L: read aloud and typed on cheap phones
CODE_LETTERS = 8
ROUND = timedelta(minutes=5)  # between two rounds of tries on a router that says no
ROUND_WHILE_DOWN = timedelta(hours=1)  # its check finds its return sooner

USED = f"SELECT {USED_S}, {USED_BYTES} FROM grants g WHERE g.id = ?"


@dataclass(frozen=True)
class Left:
    """What is still owed: whole seconds, and bytes where data is limited."""

    seconds: int
    bytes: int | None

    @property
    def is_nothing(self) -> bool:
        return self.seconds <= 0 or self.bytes == 0

    @property
    def used_up(self) -> str:
        """Which of the two is used up."""
        return "data" if self.bytes == 0 else "time"


def promise(payment: Payment, now: datetime, *, provisional: bool = False) -> Grant:
    """Write the right that this payment bought, and the work that lets the guest in."""
    return give(
        Plan.get_by_id(payment.plan_id), "payment", now, payment=payment, msisdn=payment.msisdn, mac=payment.mac,
        context=payment.context, provisional=provisional,
    )  # fmt: skip


@transaction
def give(
    plan: Plan, why: str, now: datetime, *, payment: Payment | None = None, msisdn: str = "", mac: str = "",
    context: Mapping[str, Any] | None = None, username: str = "", seconds: int | None = None,
    bytes_left: int | None = None, provisional: bool = False,
) -> Grant:  # fmt: skip
    """Write a right to be online, and the work that lets the guest in; a name, time and data of its own if given."""
    routers = Router.all_where("TRUE")
    grant: Grant = Grant.create(
        payment=payment, plan=plan, why=why, msisdn=msisdn, mac=mac, router=home_of(context or {}, routers),
        username=username or _new_code(), password=_new_pin(), seconds=plan.seconds if seconds is None else seconds,
        bytes=plan.bytes if bytes_left is None else bytes_left, rate=plan.full_rate, devices=plan.devices,
        metered=plan.metered, idle_s=plan.idle_s, valid_s=plan.valid_s, remind_s=plan.remind_s,
        provisional=provisional, created_at=now,
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


def promise_placement(grant_id: int, router_id: int, now: datetime) -> None:
    """Promise the work of letting one guest in at one router; new guests go before repairs by their order."""
    jobs.promise(
        "grant.place", "provisioning", now, args={"grant_id": grant_id, "router_id": router_id},
        lane=lanes.of_router(router_id), unique_key=f"place:{grant_id}:{router_id}", cause=f"grant:{grant_id}",
    )  # fmt: skip


@transaction
def begin(grant: Grant, now: datetime) -> None:
    """The network lets him in from now on: his time starts, once. Metered time ends by the calendar where its plan
    says so."""
    start = clock.reckoned(now)
    lasts_s = grant.valid_s if grant.metered else grant.seconds
    ends = None if lasts_s is None else start + timedelta(seconds=lasts_s)
    Grant.update(starts_at=start, ends_at=ends).where(Grant.id == grant.id, Grant.starts_at.is_null()).execute()


def used(grant: Grant) -> tuple[int, int]:
    """Seconds online and bytes of this grant so far, all devices together, as the routers and RADIUS count them."""
    seconds, count = db.execute_sql(USED, (grant.id,)).fetchone()
    return int(seconds), int(count)


def left(grant: Grant, now: datetime) -> Left:
    """What is still owed; the full time before it began."""
    if grant.state != "live":
        return Left(0, None if grant.bytes is None else 0)
    used_s, used_bytes = used(grant) if grant.metered or grant.bytes is not None else (0, 0)
    return left_of(grant, used_s, used_bytes, clock.reckoned(now))


def left_of(grant: Grant, used_s: int, used_bytes: int, instant: datetime) -> Left:
    """The same for a live grant, when it is known what was used of it, at the instant that counts."""
    seconds = grant.seconds if grant.ends_at is None else int((grant.ends_at - instant).total_seconds())
    if grant.metered:  # a right taken over from another system may have an end by the calendar beside
        metered_s = grant.seconds - used_s
        seconds = metered_s if grant.ends_at is None else min(metered_s, seconds)
    return Left(max(0, int(seconds)), None if grant.bytes is None else max(0, int(grant.bytes) - used_bytes))


def seconds_left(grant: Grant, now: datetime) -> int:
    """What is still owed, in whole seconds; the full time before it began."""
    return left(grant, now).seconds


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
def record_placed(grant_id: int, router_id: int, now: datetime, words: str = "") -> None:
    """The router has this user: the guest can come in. `words` tell what of his it refused, to be tried next round."""
    placement = Placement.get_or_none(Placement.grant == grant_id, Placement.router == router_id)
    if placement is None:
        return  # the router was removed while it was told
    grant = Grant.get_by_id(grant_id)
    first = placement.written_at is None
    placement.put(
        state="there" if grant.state == "live" else "leaving", words=words, written_at=now,
        not_before=now + ROUND if words else None, alarmed_at=None,
    )  # fmt: skip
    if grant.state == "live":
        begin(grant, now)
    if first and grant.why != "import":  # one taken over was in before, and at no other router yet
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
    words = words.replace(grant.username, mask_code(grant.username))
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


@transaction
def end(grant: Grant, why: str, now: datetime) -> None:
    """Nothing is left of it (time, data), or staff ended it: every router is to forget him. Harmless to repeat."""
    if not Grant.update(state="ended", why_ended=why).where(Grant.id == grant.id, Grant.state == "live").execute():
        return
    for placement in list(grant.placements.where(Placement.state != "gone")):
        placement.put(state="leaving", not_before=None)
        promise_withdrawal(grant.id, placement.router_id, now)
    disconnects.promise_disconnects(grant, now)
    if why != "time":
        events.record(
            "grant.ended", now, payment=grant.payment_id, username=mask_code(grant.username), why=why,
            phone=mask_msisdn(grant.msisdn),
        )  # fmt: skip


def promise_withdrawal(grant_id: int, router_id: int, now: datetime) -> None:
    """Promise the work of taking one guest off one router."""
    jobs.promise(
        "grant.withdraw", "provisioning", now, args={"grant_id": grant_id, "router_id": router_id}, priority=jobs.LOW,
        lane=lanes.of_router(router_id), unique_key=f"withdraw:{grant_id}:{router_id}", cause=f"grant:{grant_id}",
    )  # fmt: skip


def _new_code() -> str:
    """Guest codes: 8 letters of 31, 39.6 bits, and unique among all there are."""
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LETTERS))
        if not Grant.any_where("UPPER(username) = ?", code) and not Voucher.any_where("code = ?", code):
            return code


def _new_pin() -> str:
    return f"{secrets.randbelow(10_000):04d}"


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 3)
