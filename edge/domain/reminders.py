"""A text before the end: so much time is left, or little data; with the code, and where to buy again."""

from datetime import datetime, time, timedelta

from edge.database import db, transaction
from edge.domain import access, clock, messages, plans, templates
from edge.domain.access import Left
from edge.models import Grant
from edge.radius_views import USED_BYTES, USED_S
from edge.texts import say
from edge.values.duration import show_duration
from edge.values.sizes import show_bytes

MORNING, NIGHT = time(7), time(22)
LITTLE_DATA = 0.1  # of what was bought

# What the index grants_to_remind is over, in its own words. A reminder as long as the time itself says nothing.
WAITING = """g.state = 'live' AND g.remind_s IS NOT NULL AND g.reminded_at IS NULL AND g.msisdn <> ''
  AND g.starts_at IS NOT NULL AND g.remind_s < g.seconds"""
BY_CLOCK = f"SELECT g.id, 0, 0 FROM grants g WHERE {WAITING} AND g.ends_at > ? AND g.ends_at - g.remind_s <= ?"
BY_USE = f"SELECT g.id, {USED_S}, {USED_BYTES} FROM grants g WHERE {WAITING} AND (g.metered OR g.bytes IS NOT NULL)"


def send_if_due(now: datetime) -> int:
    """Look without a lock, and write only when somebody is to be told; returns how many were. Nobody by a clock that
    may not be believed.
    """
    if not clock.is_trusted(now):
        return 0
    due = [(grant, left) for grant, left in _due(now) if _may_text(grant, now)]
    return sum(_send(grant, left, now) for grant, left in due)


def _due(now: datetime) -> list[tuple[Grant, Left]]:
    used = {row[0]: row[1:] for row in db.execute_sql(BY_CLOCK, (now.timestamp(), now.timestamp())).fetchall()}
    used |= {row[0]: row[1:] for row in db.execute_sql(BY_USE).fetchall()}
    found = []
    for grant_id, (used_s, used_bytes) in used.items():
        grant = Grant.get_by_id(grant_id)
        left = access.left_of(grant, used_s, used_bytes, now)
        if not left.is_nothing and (left.seconds <= grant.remind_s or _is_little(left, grant)):
            found.append((grant, left))
    return found


def _is_little(left: Left, grant: Grant) -> bool:
    return left.bytes is not None and left.bytes < grant.bytes * LITTLE_DATA


def _may_text(grant: Grant, now: datetime) -> bool:
    """Not at night, unless it ends before the morning."""
    local = now.astimezone(plans.shop.zone)
    if MORNING <= local.time() < NIGHT:
        return True
    day = local.date() + timedelta(days=local.time() >= NIGHT)
    return grant.ends_at is not None and grant.ends_at <= datetime.combine(day, MORNING, plans.shop.zone)


@transaction
def _send(grant: Grant, left: Left, now: datetime) -> bool:
    """Once: whoever changes the row promises the text."""
    waiting = (Grant.id == grant.id, Grant.state == "live", Grant.reminded_at.is_null())
    if Grant.update(reminded_at=now).where(*waiting).execute() != 1:
        return False
    messages.promise(grant.msisdn, _text(grant, left), now, kind="notice")
    return True


def _text(grant: Grant, left: Left) -> str:
    is_time = left.seconds <= grant.remind_s
    rest = show_duration(left.seconds) if is_time or left.bytes is None else show_bytes(left.bytes)
    address = grant.router.login_url if grant.router_id is not None else ""
    where = say("plans.remind_at", address=address) if address else say("plans.remind_here")
    return templates.render("REMINDER", {"left": rest, "code": grant.username, "where": where})
