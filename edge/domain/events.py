"""What happened, in order, for the people who watch."""

from datetime import datetime
from typing import Any

from edge.database import transaction
from edge.models import Event

KEPT = 10_000


@transaction
def record(name: str, now: datetime, **data: Any) -> None:
    """Write the event in the transaction of its cause."""
    Event.create(name=name, at=now, data=data)


def since(last: int, limit: int = 200) -> list[Event]:
    """Events after this sequence number, oldest first."""
    return list(Event.select().where(Event.id > last).order_by(Event.id).limit(limit))


def last_id() -> int:
    """The newest sequence number; 0 when nothing happened yet."""
    newest = Event.select(Event.id).order_by(Event.id.desc()).first()
    return newest.id if newest else 0


@transaction
def trim() -> int:
    """Keep the newest; the books are elsewhere."""
    return int(Event.delete().where(Event.id <= last_id() - KEPT).execute())
