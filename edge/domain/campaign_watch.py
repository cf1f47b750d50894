"""A campaign's next step is promised whenever one of its texts has ended and few are left in hand."""

from datetime import datetime, timedelta

from edge import jobs
from edge.database import db
from edge.models import Job

SOON = timedelta(minutes=1)  # longer than the pause after a step that failed
LOW_WATER = 20  # texts in hand; below it the next ones are made ready, so that no worker waits

IN_HAND = """
SELECT COUNT(*) FROM (SELECT 1 FROM messages WHERE campaign_id = ? AND state = 'queued' LIMIT ?) AS few
"""


def one_ended(campaign_id: int, now: datetime) -> None:
    """Called in the transaction that ends a text."""
    left = int(db.execute_sql(IN_HAND, (campaign_id, LOW_WATER + 1)).fetchone()[0])
    if left <= LOW_WATER:
        promise_slice(campaign_id, now)


def promise_slice(campaign_id: int, now: datetime, run_at: datetime | None = None) -> bool:
    """The next recipients, or the end: one at a time. False when it is promised already."""
    job_id = jobs.promise(
        "campaign.slice", "sms", now, args={"campaign_id": campaign_id}, run_at=run_at, priority=jobs.NORMAL + 1,
        unique_key=f"campaign:{campaign_id}:slice", timeout_s=300, cause=f"campaign:{campaign_id}",
    )  # fmt: skip
    return job_id is not None


def promise_now(campaign_id: int, now: datetime) -> bool:
    """The same, and a step that waits for its hour or for the morning waits no longer; False when it is due already."""
    waits = "state = 'scheduled' AND unique_key = ? AND run_at > ?"
    if Job.any_where(waits, f"campaign:{campaign_id}:slice", (now + SOON).timestamp()):
        jobs.cancel(f"campaign:{campaign_id}:slice", now)
    return promise_slice(campaign_id, now)
