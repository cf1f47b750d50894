"""A router with users of somebody else's: taken over with what they have left; and given back, for who leaves.

Each user goes three steps, and each may be repeated. First a row is written for him that is not live yet; then the
router's user gets our mark, and nothing else of his is changed; then the row is live. Had the row been live before the
mark, the box would have met a stranger's user under its own guest's name. What an interrupted run left is finished by
the next one, which finds it by the mark or by the name.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from peewee import fn

from edge.database import transaction
from edge.domain import access, clock, events
from edge.errors import BadInput
from edge.models import Grant, Placement, Plan, Router
from edge.network_models import Stranger
from edge.values.foreign_users import ForeignProfile, ForeignUser, Scan, read_end
from edge.values.hotspot import OURS, is_plain, is_rate
from edge.values.msisdn import read_msisdn
from edge.values.router_export import Leaver

_MAC = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}", re.IGNORECASE)  # twelve digits alone are a phone number
WHY = "import"
BATCH = 50
LONGEST = timedelta(days=366)  # of online time for who has data and no limit of time: the router's columns want one
CLOCK_MAY_DIFFER_S = 120
LONGEST_PLAN_NAME = 60
LAST = 1_000  # place of plans that are not on sale


@dataclass(frozen=True)
class Offer:
    """A plan as it would have to be for a profile of theirs."""

    name: str
    price_cents: int
    seconds: int
    rate: str
    devices: int
    metered: bool


@dataclass(frozen=True)
class Proposal:
    """What is to become of one user: `take`, `keep` as he is, or `ours` already; `words` say why he is kept.

    `seconds` and `bytes` are what he has left; `metered` counts online time, and `ends_at` is the end by the calendar.
    """

    user: ForeignUser
    verdict: str
    words: str = ""
    offer: Offer | None = None
    seconds: int = 0
    bytes: int | None = None
    metered: bool = False
    ends_at: datetime | None = None
    grant_id: int | None = None  # begun by an earlier run


def propose(router: Router, scan: Scan, now: datetime) -> list[Proposal]:
    """What would be done, in the router's order. Reads only."""
    if router.mode != "local":
        raise BadInput(
            f"Router {router.name} asks the box by RADIUS, and its own users go before that. Import them while it is "
            "in mode local.", "name",
        )  # fmt: skip
    known = _known({user.name for user in scan.users})
    counts = Counter(user.name for user in scan.users)
    twins = {name: "is there twice, for two hotspot servers" for name, count in counts.items() if count > 1}
    alike = Counter(_folded(name) for name in counts.keys() | known.keys())
    for name in counts.keys() - known.keys():
        if alike[_folded(name)] > 1:
            twins.setdefault(name, "has the name of somebody else but for small and capital letters: rename one")
    return [_propose(router, user, scan, known, twins.get(user.name, ""), now) for user in scan.users]


def warnings(scan: Scan) -> list[str]:
    """What the owner should know before he says yes."""
    offset_s = scan.clock_offset_s
    if offset_s is not None and abs(offset_s) > CLOCK_MAY_DIFFER_S:
        hours, minutes = divmod(abs(round(offset_s)) // 60, 60)
        return [
            f"The router's clock is wrong by {hours} h {minutes} min: ends that its scripts wrote may be wrong as well."
        ]
    return []


@transaction
def begin(router: Router, proposals: Sequence[Proposal], now: datetime) -> dict[str, int]:
    """Write the rows, not live yet, and keep what the router said of each user; returns name → grant."""
    begun: dict[str, int] = {}
    for proposal in proposals:
        grant_id = proposal.grant_id
        if grant_id is None:
            grant_id = _create(router, proposal, now).id
        elif not proposal.user.comment.startswith(OURS):
            _write_left(Grant.get_by_id(grant_id), proposal)  # looked at anew, and not marked yet
        if not proposal.user.comment.startswith(OURS):
            _keep(router, proposal.user, now)
        begun[proposal.user.name] = grant_id
    return begun


@transaction
def finish(router: Router, taken: Iterable[tuple[int, ForeignUser]], now: datetime) -> int:
    """The router's users carry our mark: from now on the box looks after them. Returns how many are new."""
    count = 0
    for grant_id, user in taken:
        grant = Grant.get_by_id(grant_id)
        if not _is_begun(grant):
            continue
        start = clock.reckoned(now)
        grant.put(state="live", starts_at=start)
        before = [0, 0, user.used_s, user.used_in + user.used_out, 0]  # used under somebody else: what comes now counts
        Placement.create_unless_there(
            grant=grant, router=router, state="there", written_at=now, counted={grant.username: before}
        )
        count += 1
    return count


@transaction
def record_done(router: Router, taken: int, kept: int, now: datetime) -> None:
    """Tell the people who watch."""
    if taken:
        events.record("router.imported", now, router=router.name, users=taken, kept=kept)


# Judging one user


def _propose(
    router: Router, user: ForeignUser, scan: Scan, known: Mapping[str, Grant], twin: str, now: datetime
) -> Proposal:
    grant = known.get(user.name)
    if user.comment.startswith(OURS):
        return _marked(router, user, grant)
    words = _why_not(user, grant, twin)
    if words:
        return Proposal(user, "keep", words)
    profile = scan.profiles.get(user.profile, ForeignProfile(user.profile))
    found = _left(user, profile, read_end(user.comment, scan.zone), clock.reckoned(now))
    if found.verdict == "keep":
        return found
    return replace(found, offer=_offer(profile, found), grant_id=grant.id if grant is not None else None)


def _marked(router: Router, user: ForeignUser, grant: Grant | None) -> Proposal:
    """Ours, or begun by a run that was cut off, or another box's."""
    if grant is None or user.comment != f"{OURS}{grant.id}":
        return Proposal(user, "keep", "carries the mark of another box")
    if _is_begun(grant) and grant.router_id == router.id:
        return Proposal(
            user, "take", seconds=grant.seconds, bytes=grant.bytes, metered=grant.metered, ends_at=grant.ends_at,
            grant_id=grant.id,
        )  # fmt: skip
    return Proposal(user, "ours")


def _why_not(user: ForeignUser, grant: Grant | None, twin: str) -> str:
    """What keeps the box from looking after this user at all; '' when nothing does. `twin`: who else has his name."""
    if not is_plain(user.name) or not user.name:
        return "has a name with control characters"
    if _MAC.fullmatch(user.name):
        return "lets a device in by its address: add the device in its owner's page instead"
    if twin:
        return twin
    if grant is not None and not _is_begun(grant):
        return "has the name of a guest of the box"
    if user.disabled:
        return "is disabled there"
    if user.password is None:
        return "has a password that the router does not show to this login: import with --username admin"
    if not is_plain(user.password):
        return "has a password with control characters"
    return ""


def _left(user: ForeignUser, profile: ForeignProfile, end: datetime | None, now: datetime) -> Proposal:
    """What he still has; kept when that is nothing, can't be told, or has no end."""
    seconds, data = user.seconds_left, user.bytes_left
    if seconds == 0 or data == 0 or (end is not None and end <= now):
        return Proposal(user, "keep", "has nothing left")
    if end is None and profile.validity_s and user.waits_for_first_login:
        if not user.was_used:
            return Proposal(user, "keep", "was not used yet: his time begins at his first login; import again then")
        if seconds is None:
            return Proposal(user, "keep", "is in use, and his end is not written yet: import again in a minute")
    if end is not None and seconds is None:
        left_s = int((end - now).total_seconds())
        return Proposal(user, "take", seconds=max(1, left_s), bytes=data, ends_at=end)
    if seconds is None and data is None:
        return Proposal(user, "keep", "has no limit at all")
    if seconds is None:
        seconds = int(LONGEST.total_seconds())
    return Proposal(user, "take", seconds=seconds, bytes=data, metered=True, ends_at=end)


def _offer(profile: ForeignProfile, found: Proposal) -> Offer:
    name = "".join(letter for letter in profile.name if letter.isprintable()).strip()[:LONGEST_PLAN_NAME]
    rate = " ".join(profile.rate.split())
    return Offer(
        name=name or "taken over",
        price_cents=(profile.price or 0) * 100,
        seconds=profile.validity_s or found.user.limit_s or found.seconds,
        rate=rate if is_rate(rate) else "",
        devices=profile.devices,
        metered=found.metered,
    )


def _folded(name: str) -> str:
    """As SQLite and FreeRADIUS compare names: they know capitals of ASCII only."""
    return "".join(letter.upper() if letter.isascii() else letter for letter in name)


def _known(names: Iterable[str]) -> dict[str, Grant]:
    """Guests of the box by name who have one of these, in whatever letters."""
    wanted = [name for name in names if is_plain(name)]  # PostgreSQL knows no text with a zero byte
    found: dict[str, Grant] = {}
    for start in range(0, len(wanted), 400):  # so many values at once, and not many more
        few = wanted[start : start + 400]
        either = Grant.username.in_(few) | fn.UPPER(Grant.username).in_([_folded(name) for name in few])
        part = Grant.select().where(either)
        found.update({grant.username: grant for grant in part})
    return found


def _is_begun(grant: Grant) -> bool:
    """Written by a run that has not come to its end."""
    return bool(
        grant.why == WHY and grant.state == "ended" and grant.why_ended == "" and grant.starts_at is None
        and not Placement.select().where(Placement.grant == grant).exists()
    )  # fmt: skip


# Writing


def _create(router: Router, proposal: Proposal, now: datetime) -> Grant:
    user, offer = proposal.user, proposal.offer
    assert offer is not None and user.password is not None
    plan = _plan(router, offer)
    grant: Grant = Grant.create(
        plan=plan, why=WHY, state="ended", msisdn=_phone(user.name), mac=user.mac, router=router, username=user.name,
        password=user.password, seconds=proposal.seconds, bytes=proposal.bytes, rate=plan.rate, devices=plan.devices,
        metered=proposal.metered, ends_at=proposal.ends_at, created_at=now,
    )  # fmt: skip
    return grant


def _write_left(grant: Grant, proposal: Proposal) -> None:
    grant.put(
        seconds=proposal.seconds, bytes=proposal.bytes, metered=proposal.metered, ends_at=proposal.ends_at,
        password=proposal.user.password,
    )  # fmt: skip


def _plan(router: Router, offer: Offer) -> Plan:
    """The plan of this name that gives the same speed to as many devices; else a new one that is not on sale.

    Its profile on the router is one for all who have the plan, so what it gives must be the same.
    """
    names = (offer.name, f"{offer.name} ({router.name})"[: LONGEST_PLAN_NAME + 60])
    plans: list[Plan] = list(Plan.select().order_by(Plan.on_sale.desc(), Plan.id))
    for plan in plans:
        is_named = plan.name.casefold() in (name.casefold() for name in names)
        if is_named and (plan.rate, plan.devices) == (offer.rate, offer.devices):
            return plan
    is_taken = any(plan.name == offer.name for plan in plans)
    made: Plan = Plan.create(
        name=names[1] if is_taken else offer.name, price_cents=offer.price_cents, seconds=offer.seconds,
        rate=offer.rate, devices=offer.devices, metered=offer.metered, on_sale=False, position=LAST,
    )  # fmt: skip
    return made


def _keep(router: Router, user: ForeignUser, now: datetime) -> None:
    """What stood in his row before our mark, for the way back."""
    profile, comment = user.profile.replace("\0", ""), user.comment.replace("\0", "")
    Stranger.insert(
        router=router, name=user.name, profile=profile, comment=comment, state="gone", first_seen_at=now, seen_at=now
    ).on_conflict(
        conflict_target=[Stranger.router, Stranger.name],
        update={Stranger.profile: profile, Stranger.comment: comment, Stranger.seen_at: now},
    ).execute()  # fmt: skip


def _phone(name: str) -> str:
    """Some shops use the guest's number as his name; then he is found by it."""
    try:
        return read_msisdn(name) if len(name) >= 9 else ""
    except BadInput:
        return ""


# The way back


def leavers(router: Router, now: datetime) -> list[Leaver]:
    """Everybody who has something left and is let in at this router, with the profile and comment he once had there."""
    live = Grant.select(Grant, Plan).join(Plan).where(Grant.state == "live").order_by(Grant.id)
    if router.mode == "local":
        here = Placement.select(Placement.grant).where(
            Placement.router == router, Placement.state.in_(("wanted", "there"))
        )
        live = live.where(Grant.id.in_(here))
    before = {row.name: row for row in Stranger.select().where(Stranger.router == router)}
    return [leaver for grant in list(live) if (leaver := _leaver(grant, before, now)) is not None]


def _leaver(grant: Grant, before: Mapping[str, Stranger], now: datetime) -> Leaver | None:
    left = access.left(grant, now)
    if left.is_nothing:
        return None
    old = before.get(grant.username) if grant.why == WHY else None
    return Leaver(
        name=grant.username, password=grant.password, profile=old.profile if old and old.profile else grant.plan.name,
        rate=grant.rate, devices=grant.devices, seconds=left.seconds, bytes=left.bytes, metered=grant.metered,
        ends_at=grant.ends_at, comment=old.comment if old else "",
    )  # fmt: skip
