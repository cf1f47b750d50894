"""Hotspot users whom nobody granted anything: found, shown, and removed only on the owner's word."""

import contextlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from peewee import Case, fn

from edge import jobs
from edge.database import transaction
from edge.domain import events, lanes
from edge.errors import BadInput
from edge.models import Router
from edge.network_models import Stranger
from edge.values.codes import LETTERS_SHOWN, mask_code
from edge.values.hotspot import KnownUser
from edge.values.msisdn import mask_msisdn, read_msisdn

DECIDED = ("unwanted", "left")  # the owner has said what is to become of him
SEEN_EVERY = timedelta(hours=1)  # a card is not written each minute for what stays as it was


def record(router_id: int, found: Iterable[KnownUser], now: datetime) -> None:
    """Keep who was found on this router, and forget who is there no more. Writes only what changed."""
    here = {user.name: user for user in found}
    known = {row.name: row for row in Stranger.select().where(Stranger.router == router_id, Stranger.state != "gone")}
    changed = [user for name, user in here.items() if name not in known or _differs(known[name], user, now)]
    left = [row.id for name, row in known.items() if name not in here]
    if changed or left:
        _record(router_id, changed, left, len(here.keys() - known.keys()), now)


def _differs(row: Stranger, user: KnownUser, now: datetime) -> bool:
    return (row.profile, row.comment) != (user.profile, user.comment) or now - row.seen_at > SEEN_EVERY


@transaction
def _record(router_id: int, changed: list[KnownUser], left: list[int], new: int, now: datetime) -> None:
    router = Router.get_or_none(Router.id == router_id)
    if router is None:
        return
    for user in changed:
        Stranger.insert(
            router=router_id, name=user.name, profile=user.profile, comment=user.comment, first_seen_at=now, seen_at=now
        ).on_conflict(
            conflict_target=[Stranger.router, Stranger.name],
            update={
                Stranger.profile: user.profile, Stranger.comment: user.comment, Stranger.seen_at: now,
                Stranger.state: Case(None, [(Stranger.state.in_(DECIDED), Stranger.state)], "found"),
            },
        ).execute()  # fmt: skip
    for start in range(0, len(left), 400):
        Stranger.update(state="gone").where(Stranger.id.in_(left[start : start + 400])).execute()
    if new:
        events.record("strangers.found", now, router=router.name, users=new)


def of(router_id: int) -> list[Stranger]:
    """Who is on this router without a right of ours, by name."""
    here = Stranger.select().where(Stranger.router == router_id, Stranger.state != "gone")
    return list(here.order_by(Stranger.name))


def count() -> dict[int, int]:
    """Router → how many are found there and wait for the owner's word."""
    rows = Stranger.select(Stranger.router, fn.COUNT(Stranger.id)).where(Stranger.state == "found")
    return dict(rows.group_by(Stranger.router).tuples())


def find(stranger_id: int) -> Stranger | None:
    """One of them, whatever became of him."""
    found: Stranger | None = Stranger.get_or_none(Stranger.id == stranger_id) if 0 < stranger_id < 2**63 else None
    return found


def shown_name(name: str) -> str:
    """For events, which all staff may read: a router's own user may be named by a phone number, or by a code."""
    with contextlib.suppress(BadInput):
        return mask_msisdn(read_msisdn(name))
    return mask_code(name[:LETTERS_SHOWN])


@transaction
def remove(stranger: Stranger, now: datetime, who: str) -> None:
    """The owner wants him off the router; a worker does it. BadInput when he is gone already."""
    if stranger.state == "gone":
        raise BadInput(f"{stranger.name} is on this router no more.", "stranger")
    stranger.put(state="unwanted")
    jobs.promise(
        "stranger.remove", "provisioning", now, args={"stranger_id": stranger.id, "router_id": stranger.router_id},
        lane=lanes.of_router(stranger.router_id), unique_key=f"stranger:{stranger.id}",
    )  # fmt: skip
    events.record("stranger.unwanted", now, who=who, user=shown_name(stranger.name), router=stranger.router.name)


@transaction
def leave(stranger: Stranger, now: datetime, who: str) -> None:
    """The owner knows him: he stays, and is asked about no more."""
    if stranger.state != "found":
        raise BadInput(f"{stranger.name} is decided about already.", "stranger")
    stranger.put(state="left")
    events.record("stranger.left", now, who=who, user=shown_name(stranger.name), router=stranger.router.name)


@transaction
def record_removed(stranger_id: int, now: datetime) -> None:
    """The router knows him no more."""
    row = find(stranger_id)
    if row is not None:
        row.put(state="gone")
        events.record("stranger.removed", now, user=shown_name(row.name), router=row.router.name)


@transaction
def record_not_removed(stranger_id: int, words: str, now: datetime) -> None:
    """It could not be done: the owner is asked again, and told why."""
    row = find(stranger_id)
    if row is not None and row.state == "unwanted":
        row.put(state="found")
        events.record("stranger.stayed", now, user=shown_name(row.name), router=row.router.name, words=words)
