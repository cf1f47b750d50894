"""Bought again while time is left: the new time is added to the old, under the old code; and taken out again."""

from datetime import datetime, timedelta

from edge import jobs
from edge.database import transaction
from edge.domain import access, clock, events, guest_logins, templates
from edge.models import Grant, Job, Payment, Placement, Plan
from edge.texts import say
from edge.values.codes import mask_code
from edge.values.duration import show_duration
from edge.values.mac import is_private
from edge.values.money import show_money
from edge.values.msisdn import mask_msisdn
from edge.values.sizes import show_bytes

# What two grants must have alike to become one: whoever bought before the plan was changed keeps what he bought.
TERMS = ("plan_id", "rate", "devices", "metered", "idle_s")
JOINABLE = (
    "msisdn = ? AND plan_id = ? AND id <> ? AND state = 'live' AND NOT provisional AND why NOT IN ('import', 'trial') "
    "ORDER BY id"
)


@transaction
def join(grant: Grant, now: datetime) -> Grant:
    """Add a new grant to the same guest's live one of the same plan; returns the one that is in force from now on.

    Nothing is joined that is provisional, has other terms or is used up, nor what was bought for another device. Call
    it in the transaction that wrote the grant, before its code is told to anybody. Harmless to repeat.
    """
    grant = Grant.get_by_id(grant.id)
    is_root = Grant.any_where("joined_id = ? AND why_ended = 'joined'", grant.id)
    if grant.state != "live" or grant.provisional or is_root or not Plan.get_by_id(grant.plan_id).joins:
        return in_force(grant)
    old = _joinable(grant, now)
    if old is None or not _close(grant, old) or not _grow(old, grant, now):
        return grant
    _unplace(grant, now)
    promise_placements(old, now)
    events.record(
        "grant.renewed", now, phone=mask_msisdn(grant.msisdn), username=mask_code(old.username), plan=grant.plan.name,
        payment=grant.payment_id, seconds=grant.seconds,
    )  # fmt: skip
    return Grant.get_by_id(old.id)


def in_force(grant: Grant) -> Grant:
    """The grant to which this one's time was added; itself when it was not."""
    while grant.joined_id is not None and grant.why_ended == "joined":
        grant = grant.joined
    return grant


def _joinable(grant: Grant, now: datetime) -> Grant | None:
    if not grant.msisdn:  # a device's address can be copied, and the old code is shown to whoever is joined
        return None
    found = Grant.all_where(JOINABLE, grant.msisdn, grant.plan_id, grant.id)
    fit = (old for old in found if _fits(grant, old))
    return next((old for old in fit if not _is_over(old, now) and not _is_for_another(grant, old, now)), None)


def _fits(grant: Grant, old: Grant) -> bool:
    is_limited = (grant.bytes is None) == (old.bytes is None)
    return is_limited and all(getattr(grant, name) == getattr(old, name) for name in TERMS)


def _is_over(old: Grant, now: datetime) -> bool:
    return access.left(old, now).is_nothing


def _is_for_another(grant: Grant, old: Grant, now: datetime) -> bool:
    """One phone may pay for two people. Their devices tell their true addresses, or the old one's places are taken."""
    if not grant.mac:
        return False
    true_ones = {mac for mac in (grant.mac, old.mac) if mac and not is_private(mac)}
    online = {session.mac for session in guest_logins.open_sessions(old, now)}
    is_full = grant.mac not in online and len(online) >= int(old.devices)
    return is_full or (len(true_ones) == 2 and grant.mac not in online)


def _close(grant: Grant, old: Grant) -> bool:
    closed = Grant.update(state="ended", why_ended="joined", joined=old).where(
        Grant.id == grant.id, Grant.state == "live"
    )
    return bool(closed.execute() == 1)


def _grow(old: Grant, grant: Grant, now: datetime) -> bool:
    """One UPDATE: whoever else adds to it at the same moment loses nothing. False, and undone, if it ended just now."""
    columns = {"seconds": Grant.seconds + grant.seconds, "reminded_at": None}
    if grant.bytes is not None:
        columns["bytes"] = Grant.bytes + grant.bytes
    if old.ends_at is not None and not old.metered:
        columns["ends_at"] = Grant.ends_at + grant.seconds
    elif old.ends_at is not None and grant.valid_s is not None:
        last = clock.reckoned(now) + timedelta(seconds=grant.valid_s)
        columns["ends_at"] = max(last, old.ends_at)
    if Grant.update(columns).where(Grant.id == old.id, Grant.state == "live").execute() == 1:
        return True
    Grant.update(state="live", why_ended="", joined=None).where(Grant.id == grant.id).execute()
    return False


def _unplace(grant: Grant, now: datetime) -> None:
    """Its own code is not wanted anywhere: mostly no router has heard of it yet."""
    for placement in list(Placement.select().where(Placement.grant == grant)):
        key = f"place:{grant.id}:{placement.router_id}"
        jobs.cancel(key, now)
        is_told = placement.written_at is not None or Job.get_or_none(jobs.IS_OPEN, Job.unique_key == key) is not None
        placement.put(state="leaving" if is_told else "gone", not_before=None)
        if is_told:
            access.promise_withdrawal(grant.id, placement.router_id, now)


def promise_placements(grant: Grant, now: datetime) -> None:
    """Every router is to learn what is left of it now; RADIUS reads that by itself."""
    for placement in list(Placement.select().where(Placement.grant == grant, Placement.state.in_(("wanted", "there")))):
        placement.put(state="wanted" if placement.written_at is None else "there", not_before=None)
        access.promise_placement(grant.id, placement.router_id, now)


@transaction
def take_back(grant: Grant, why: str, now: datetime) -> Grant:
    """Its money went back: end it, or take its time out of the grant it was added to; what others added stays.

    Returns the grant that was in force. Harmless to repeat.
    """
    if grant.why_ended == "joined":
        return unjoin(grant, why, now)
    added = list(Grant.select().where(Grant.joined == grant, Grant.why_ended == "joined"))
    own_s = int(grant.seconds) - sum(int(one.seconds) for one in added)
    own_bytes = None if grant.bytes is None else int(grant.bytes) - sum(int(one.bytes) for one in added)
    if not added:
        access.end(grant, why, now)
    elif own_s > 0:  # else its own was taken out before, and what is left is others'
        _shrink(grant, own_s, own_bytes, why, now)
    return Grant.get_by_id(grant.id)


@transaction
def unjoin(grant: Grant, why: str, now: datetime) -> Grant:
    """Take a joined grant's time and data out of the one it was added to; returns that one."""
    old = in_force(grant)
    undone = Grant.update(why_ended=why).where(Grant.id == grant.id, Grant.why_ended == "joined").execute()
    if undone == 1:
        _shrink(old, int(grant.seconds), None if grant.bytes is None else int(grant.bytes), why, now)
    return Grant.get_by_id(old.id)


def _shrink(old: Grant, seconds: int, data: int | None, why: str, now: datetime) -> None:
    columns = {"seconds": Grant.seconds - seconds}
    if data is not None:
        columns["bytes"] = Grant.bytes - data
    if old.ends_at is not None and not old.metered:
        columns["ends_at"] = Grant.ends_at - seconds
    if Grant.update(columns).where(Grant.id == old.id, Grant.state == "live").execute() != 1:
        return
    old = Grant.get_by_id(old.id)
    if _is_over(old, now):
        access.end(old, why, now)
    else:
        promise_placements(old, now)


def text(payment: Payment, grant: Grant, now: datetime) -> str:
    """What the buyer is texted when his time was added to `grant`, the one in force; in one segment."""
    return templates.render("RENEWED", {
        "amount": show_money(payment.amount_cents), "receipt": payment.receipt, "code": grant.username,
        "left": show_duration(access.left(grant, now).seconds), "pin": grant.password,
    })  # fmt: skip


def show_left(grant: Grant, now: datetime, language: str = "en") -> str:
    """What is left of it, in a few words: `12 minutes`, `12 minutes, 80 MB`; in Kiswahili `dakika 12, 80 MB`."""
    left = access.left(grant, now)
    data = [] if left.bytes is None else [show_bytes(left.bytes)]
    return ", ".join([show_duration(left.seconds, language), *data])


def words_before(grant: Grant, now: datetime, *, is_sold: bool) -> str:
    """What a guest with time left is to know before he pays; `is_sold`: his plan is among those he may buy.

    '' when nothing is left.
    """
    if _is_over(grant, now):
        return ""
    joins = is_sold and grant.plan.joins and not grant.provisional and grant.why not in ("import", "trial")
    key = "plans.you_have_joins" if joins else "plans.you_have"
    return say(key, left=show_left(grant, now), plan=grant.plan.name)
