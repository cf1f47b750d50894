"""Sessions by RADIUS ended at their router: by a Disconnect, and where that does not reach it, by its API."""

from datetime import datetime

from edge.devices import coa
from edge.domain import accounting
from edge.domain.accounting import OpenSession
from edge.errors import Refused, Unreachable
from edge.handlers.world import World, WriteDown
from edge.models import Grant, Router


def disconnect_grant(world: World, now: datetime, grant_id: int, router_id: int) -> WriteDown | None:
    """End every session of this grant at this router. Its credential is dead by now, or it would log in again.

    An ACK is no proof: a router with an API login is asked who is online, and whoever stayed is kicked there, cookies
    first. A session that the router does not have is closed in the accounting.
    """
    grant, router = Grant.get_or_none(Grant.id == grant_id), Router.get_or_none(Router.id == router_id)
    sessions = accounting.open_sessions(grant, router) if grant is not None and router is not None else []
    if not sessions:
        return None
    unknown: list[OpenSession] = []
    trouble: Refused | Unreachable | None = None
    for session in sessions:
        try:
            world.disconnect(router, session)
        except coa.NoSession:
            unknown.append(session)
        except (Refused, Unreachable) as reason:
            trouble = reason
            if isinstance(reason, Unreachable):
                break  # it would be silent for the others as well
    if router.username:
        _kick_who_stayed(world, router, sessions)
    elif trouble is not None:
        raise trouble
    gone = [session.unique_id for session in unknown]
    return (lambda then: accounting.record_gone(gone, "Lost-Carrier", then)) if gone else None


def _kick_who_stayed(world: World, router: Router, sessions: list[OpenSession]) -> None:
    """By name and device: another grant's session on the same name does not exist, but another device's may."""
    api = world.router(router)
    online = {(active.user, active.mac) for active in api.active()}
    for session in sessions:
        if (session.login, session.mac) in online:
            api.kick(session.login, session.mac)
