"""How the day's texts go: counted by route and state. And the story of one of them, as its rows tell it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from peewee import fn

from edge import jobs
from edge.database import db
from edge.domain import credits, messages
from edge.models import Job, Message
from edge.sms_models import Campaign, MessageSegment

AROUND = timedelta(minutes=1)  # a job ends in the transaction that writes down what came of its text
LATELY = timedelta(minutes=10)
STATES = ("queued", "sent", "delivered", "unconfirmed", "failed", "suppressed")


@dataclass(frozen=True)
class Day:
    """Texts by route and state; those that no route has taken stand under an empty name."""

    counts: dict[tuple[str, str], int]

    def of_state(self, *states: str) -> int:
        """How many are in one of these states."""
        return sum(count for (_, state), count in self.counts.items() if state in states)

    @property
    def routes(self) -> dict[str, Counter[str]]:
        """What became of what each route took, the busiest first."""
        found: dict[str, Counter[str]] = {}
        for (route, state), count in self.counts.items():
            if route:
                found.setdefault(route, Counter())[state] += count
        return dict(sorted(found.items(), key=lambda entry: -entry[1].total()))


@dataclass(frozen=True)
class Step:
    """One thing that happened to a text: a name for the catalogue, and what goes into the words."""

    at: datetime
    name: str
    data: dict[str, Any] = field(default_factory=dict)
    is_bad: bool = False


def today(now: datetime, zone: ZoneInfo) -> Day:
    """Since midnight on the shop's wall."""
    return since(now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0))


def since(start: datetime) -> Day:
    """Texts written since then; what is only listed for a campaign is none yet."""
    rows = db.execute_sql(
        "SELECT route, state, COUNT(*) FROM messages WHERE created_at >= ? AND state <> 'listed' GROUP BY route, state",
        (start.timestamp(),),
    ).fetchall()
    return Day({(str(route), str(state)): int(count) for route, state, count in rows})


def left() -> int:
    """Texts that are still to leave: those in the queue, and those on the list of a campaign that is under way."""
    queued = "SELECT COUNT(*) FROM messages WHERE state = 'queued'"
    listed = (
        "SELECT COUNT(*) FROM messages WHERE state = 'listed' AND campaign_id IN "
        "(SELECT id FROM sms_campaigns WHERE state IN ('pending', 'processing'))"
    )
    return sum(int(db.execute_sql(words).fetchone()[0]) for words in (queued, listed))


def pace(now: datetime) -> float:
    """Texts a minute that workers have sent, over the minutes of the last ten in which they sent any."""
    since_minute = int((now - LATELY).timestamp() // 60)
    done, minutes = db.execute_sql(
        "SELECT COALESCE(SUM(done), 0), COUNT(DISTINCT minute) FROM job_minutes "
        "WHERE name = 'sms.send' AND done > 0 AND minute >= ?",
        (since_minute,),
    ).fetchone()
    return float(done) / minutes if minutes else 0.0


def campaigns_by_state() -> dict[str, int]:
    """How many campaigns there are of each state."""
    rows = Campaign.select(Campaign.state, fn.COUNT(Campaign.id)).group_by(Campaign.state).tuples()
    return {state: int(count) for state, count in list(rows)}


def unreserved() -> list[tuple[Campaign, int, int]]:
    """Campaigns under way whose texts in hand cost more than was set aside for them: with both figures."""
    found = []
    for campaign in Campaign.all_where("state IN ('scheduled', 'pending', 'processing', 'paused')"):
        needed = Message.select(fn.SUM(Message.cost)).where(
            Message.campaign_id == campaign.id, Message.state.in_(Message.IN_HAND)
        ).scalar()  # fmt: skip
        reserved = credits.reserved_for(campaign.id)
        if (needed or 0) > reserved:
            found.append((campaign, int(needed), reserved))
    return found


# One text.


def story(message: Message) -> list[Step]:
    """From when it was written to the last word on it, in the order of time."""
    steps = [Step(message.created_at, "queued" if message.state != "listed" else "listed")]
    if message.sent_at is not None:
        steps.append(Step(message.sent_at, "sent", {"route": message.route, "reference": message.reference}))
    steps += [step for part in parts(message) if (step := _reported(part)) is not None]
    if message.delivered_at is not None:
        steps.append(Step(message.delivered_at, "delivered"))
    if message.closed_at is not None and message.state in ("failed", "unconfirmed", "suppressed"):
        steps.append(Step(message.closed_at, message.state, {"words": message.words}, message.state != "suppressed"))
    return sorted(steps, key=lambda step: step.at)


def parts(message: Message) -> list[MessageSegment]:
    """Its segments as the modem handed them over; none when a gateway took it."""
    found = MessageSegment.select().where(MessageSegment.message == message.id)
    return list(found.order_by(MessageSegment.number, MessageSegment.id))


def _reported(part: MessageSegment) -> Step | None:
    if part.status is None or part.done_at is None:
        return None
    is_bad = part.status >= 0x40  # 3GPP 23.040, 9.2.3.15: below 0x20 it arrived, below 0x40 the network tries on
    name = "part_failed" if is_bad else "part_delivered" if part.status < 0x20 else "part_tried"
    return Step(part.done_at, name, {"number": part.number, "status": f"0x{part.status:02X}"}, is_bad)


def work_of(message: Message) -> list[Job]:
    """The jobs that sent it, or will: the latest first. Finished work is forgotten after a while."""
    mine = Job.unique_key == messages.key_of(message.id)
    found = list(Job.select().where(jobs.IS_OPEN, mine))
    ended = message.closed_at or message.sent_at
    if ended is not None:
        begun = ended - AROUND if message.campaign_id else message.created_at
        closed = Job.select().where(
            jobs.IS_CLOSED, Job.queue == "sms", Job.state.in_(("done", "failed", "cancelled")),
            Job.finished_at.between(begun - AROUND, ended + AROUND), mine,
        )  # fmt: skip
        found += list(closed)
    return sorted(found, key=lambda job: -job.id)
