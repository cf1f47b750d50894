"""What a campaign's texts cost altogether, and what it would take to try its failed ones anew."""

from peewee import fn

from edge.models import Message
from edge.sms_models import Campaign


def taken(campaign: Campaign) -> int:
    """The segments, and so the credits, of all its recipients."""
    rows = Message.select(fn.COALESCE(fn.SUM(Message.cost), 0)).where(Message.campaign_id == campaign.id)
    return int(rows.scalar())


def to_retry(campaign: Campaign) -> tuple[int, int]:
    """How many of its texts surely were not sent and may be tried anew, and the credits that they need."""
    failed = (Message.campaign_id == campaign.id, Message.state == "failed", Message.sent_at.is_null())
    rows = Message.select(fn.COUNT(Message.id), fn.COALESCE(fn.SUM(Message.cost), 0)).where(*failed)
    count, cost = rows.tuples().first()
    return int(count), int(cost)
