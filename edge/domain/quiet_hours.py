"""Advertising is for the day: until when a campaign has to wait, by the clock on the shop's wall."""

from datetime import datetime, time, timedelta

from edge.domain import plans

_hours: tuple[time, time] | None = None


def configure(told: str) -> None:
    """`19:00-07:00`, or empty for none."""
    global _hours
    start, _, end = told.partition("-")
    _hours = (time.fromisoformat(start), time.fromisoformat(end)) if end else None


def until(kind: str, now: datetime) -> datetime | None:
    """When a campaign of this kind may go on; None when it may now. What guests must know is told at any hour."""
    if kind != "marketing" or _hours is None:
        return None
    start, end = _hours
    local = now.astimezone(plans.shop.zone)
    hour = local.time()
    is_quiet = start <= hour < end if start <= end else hour >= start or hour < end
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=int(hour >= end))
    return datetime.combine(day, end, plans.shop.zone).astimezone(now.tzinfo)
