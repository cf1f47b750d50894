"""Hotspot users whom nobody granted anything: found, shown, and removed only on the owner's word."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from peewee import Case

from edge.database import transaction
from edge.domain import events
from edge.models import Router
from edge.network_models import Stranger
from edge.values.hotspot import KnownUser

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
                Stranger.state: Case(None, [(Stranger.state == "unwanted", "unwanted")], "found"),
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
