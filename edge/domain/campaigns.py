"""Campaigns: one text to many, drafted, priced, submitted once, and paused, resumed or cancelled by whoever owns it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from peewee import fn

from edge import jobs
from edge.database import db, transaction
from edge.domain import audiences, campaign_lists, campaign_watch, contacts, credits, events, messages, quiet_hours
from edge.domain.credits import Cause
from edge.errors import BadInput
from edge.models import Job, Message, Staff
from edge.sms_models import Campaign
from edge.values import placeholders
from edge.values.msisdn import mask_msisdn

KINDS = ("marketing", "service")
MOST_AT_ONCE = 5_000  # numbers in one request; longer lists are uploaded
LONGEST = 1_500
OPEN = ("scheduled", "pending", "processing")
FINAL = ("completed", "failed", "cancelled")
SAMPLES = 3
STATES = ("listed", "queued", "sent", "delivered", "failed", "unconfirmed", "suppressed")
COUNT = "(SELECT COUNT(*) FROM messages WHERE campaign_id = ? AND state = ?)"


@dataclass(frozen=True)
class Quote:
    """What a draft will take. `is_listed`: its recipients are all known; until then the figures still grow."""

    recipients: int
    segments: int
    credits: int
    left_out: dict[str, int]
    is_listed: bool
    samples: tuple[tuple[str, str, int], ...]  # masked phone, text, segments


@dataclass(frozen=True)
class Progress:
    """How far it is, counted from its recipients."""

    status: str
    total: int
    listed: int
    queued: int
    sent: int
    delivered: int
    failed: int
    unconfirmed: int
    suppressed: int
    credits_reserved: int
    credits_spent: int

    @property
    def ended(self) -> int:
        return self.total - self.listed - self.queued

    @property
    def percent(self) -> int:
        """Whole percent; 100 only when nothing is left."""
        return 100 if not self.total else self.ended * 100 // self.total

    @property
    def success_percent(self) -> int:
        """Of those that were to be sent, how many the network took."""
        tried = self.sent + self.delivered + self.failed + self.unconfirmed
        return 0 if not tried else (self.sent + self.delivered) * 100 // tried


@transaction
def create(name: str, text: str, kind: str, audience: dict[str, Any], staff: Staff | None, now: datetime) -> Campaign:
    """A draft. Its recipients are written down by a worker; until then it can't be submitted.

    `staff` is None for whoever commands the box itself.
    """
    given = _checked(name, text, kind, audience)
    campaign: Campaign = Campaign.create(**given, staff=staff, by_box=staff is None, created_at=now)
    campaign_lists.promise(campaign.id, now)
    return campaign


@transaction
def change(
    campaign: Campaign, now: datetime, *, name: str | None = None, text: str | None = None, kind: str | None = None,
    audience: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Another wording or another audience for a draft: its recipients are listed anew."""
    _require(campaign, "draft")
    given = _checked(
        campaign.name if name is None else name, campaign.text if text is None else text,
        campaign.kind if kind is None else kind, campaign.audience if audience is None else audience,
    )  # fmt: skip
    campaign.put(**given, listed_at=None, left_out={}, words="")
    campaign_lists.promise(campaign.id, now)


@transaction
def delete(campaign: Campaign) -> None:
    """A draft that nobody wants."""
    _require(campaign, "draft")
    Message.delete().where(Message.campaign_id == campaign.id).execute()
    campaign.delete_instance()


def _checked(name: str, text: str, kind: str, audience: dict[str, Any]) -> dict[str, Any]:
    name, text = " ".join(name.split())[:80], text.replace("\r\n", "\n").strip()
    if not name:
        raise BadInput("Give the campaign a name.", "name")
    if not text:
        raise BadInput("Write what is to be sent.", "text")
    if len(text) > LONGEST:
        raise BadInput(f"A text has at most {LONGEST:,} letters; this one has {len(text):,}.", "text")
    if kind not in KINDS:
        raise BadInput("A campaign is marketing, or service for what guests must know.", "kind")
    audience = audiences.check(audience)
    placeholders.check(text, audiences.names(audience))
    return {"name": name, "text": text, "kind": kind, "audience": audience}


def quote(campaign: Campaign) -> Quote:
    """Recipients, segments and credits, who was left out and why, and how the first texts read."""
    listed = (Message.campaign_id == campaign.id, Message.state == "listed")
    count, cost = Message.select(fn.COUNT(Message.id), fn.SUM(Message.cost)).where(*listed).tuples().first()
    first = list(Message.select().where(*listed).order_by(Message.id).limit(SAMPLES))
    samples = tuple(
        (mask_msisdn(message.msisdn), campaign_lists.text_of(campaign, message), message.segments) for message in first
    )
    left_out = {why: int(number) for why, number in campaign.left_out.items()}
    return Quote(int(count), int(cost or 0), int(cost or 0), left_out, campaign.listed_at is not None, samples)


@transaction
def submit(campaign_id: int, staff: Staff | None, now: datetime, at: datetime | None = None) -> Campaign:
    """Send it now, or `at` that instant. Its credits are set aside in this transaction; Short when they are too few."""
    campaign = Campaign.get_by_id(campaign_id)
    _require(campaign, "draft")
    if campaign.listed_at is None:
        raise BadInput("Its recipients are still being counted. Please try again in a moment.", "state")
    if at is not None and at <= now:
        raise BadInput("That time has passed. Choose a later one, or send it now.", "at")
    told = quote(campaign)
    lacking = [why for why in told.left_out if why.startswith(campaign_lists.LACKS)]
    if lacking:
        raise BadInput(
            f"{campaign_lists.show_left_out(lacking[0], told.left_out[lacking[0]])}. Write what stands there instead, "
            'like {{name|default:"friend"}}, or leave the word out.', "text",
        )  # fmt: skip
    if not told.recipients:
        raise BadInput("Nobody is left to send this to.", "audience")
    cause = Cause(f"reserve:campaign:{campaign.id}:0", "reserve", campaign.name, staff and staff.id, campaign.id)
    credits.reserve(told.credits, cause, now)
    state = "pending" if at is None else "scheduled"
    campaign.put(
        state=state, submitted_at=now, scheduled_at=at, staff=staff or campaign.staff, recipients=told.recipients
    )
    campaign_watch.promise_slice(campaign.id, now, at)
    events.record("campaign.submitted", now, campaign=campaign.id, recipients=told.recipients, credits=told.credits)
    return campaign


@transaction
def send_now(
    numbers: Sequence[str], text: str, name: str, staff: Staff | None, now: datetime, kind: str = "service",
    request_key: str | None = None, request_digest: str = "",
) -> Campaign:  # fmt: skip
    """Draft, list and submit in one transaction, for up to 5,000 numbers; a wrong one among them refuses all.

    `request_key`, `request_digest`: see `edge/domain/send_requests.py`.
    """
    if len(numbers) > MOST_AT_ONCE:
        raise BadInput(f"At most {MOST_AT_ONCE:,} numbers at once; upload longer lists on the dashboard.", "to")
    given = _checked(name, text, kind, {"kind": "numbers", "numbers": list(numbers)})
    campaign: Campaign = Campaign.create(
        **given, staff=staff, by_box=staff is None, created_at=now, request_key=request_key,
        request_digest=request_digest,
    )  # fmt: skip
    campaign_lists.list_all(campaign, now)
    return submit(campaign.id, staff, now)


@transaction
def pause(campaign_id: int, staff: Staff | None, now: datetime) -> None:
    """Nothing more is handed over; what was handed over is out."""
    campaign = Campaign.get_by_id(campaign_id)
    _require(campaign, *OPEN)
    campaign.put(state="paused")
    take_back(campaign)
    events.record("campaign.paused", now, campaign=campaign.id, who=staff.name if staff is not None else "")


@transaction
def resume(campaign_id: int, staff: Staff | None, now: datetime) -> None:
    """Go on where it stopped; a time that it was to wait for still holds."""
    campaign = Campaign.get_by_id(campaign_id)
    _require(campaign, "paused")
    waits = campaign.started_at is None and campaign.scheduled_at is not None and campaign.scheduled_at > now
    state = "processing" if campaign.started_at is not None else "scheduled" if waits else "pending"
    campaign.put(state=state, words="")
    campaign_watch.promise_slice(campaign.id, now, campaign.scheduled_at if waits else None)
    events.record("campaign.resumed", now, campaign=campaign.id, who=staff.name if staff is not None else "")


@transaction
def cancel(campaign_id: int, staff: Staff | None, now: datetime) -> None:
    """Whoever was not sent it is not, and its credits come back; what was sent is out."""
    campaign = Campaign.get_by_id(campaign_id)
    _require(campaign, *OPEN, "paused")
    campaign.put(state="cancelled")
    take_back(campaign)
    campaign_watch.promise_now(campaign.id, now)  # which winds it up
    events.record("campaign.cancelled", now, campaign=campaign.id, who=staff.name if staff is not None else "")


def take_back(campaign: Campaign) -> None:
    """What waits for a worker goes back on the list; what a worker has in hand comes to its own end."""
    for message in Message.all_where("campaign_id = ? AND state = 'queued'", campaign.id):
        work = Job.one_where(
            f"{jobs.IS_OPEN.sql} AND state <> 'running' AND unique_key = ?", messages.key_of(message.id)
        )
        if work is not None:
            jobs.end_unbegun(work, "cancelled", work.created_at)
            message.put_if("state = 'queued'", state="listed")


@transaction
def retry_failed(campaign_id: int, staff: Staff | None, now: datetime) -> int:
    """Those that surely were not sent are tried anew, for new credits; returns how many."""
    campaign = Campaign.get_by_id(campaign_id)
    _require(campaign, "completed", "failed")
    failed = (Message.campaign_id == campaign.id, Message.state == "failed", Message.sent_at.is_null())
    count, cost = Message.select(fn.COUNT(Message.id), fn.SUM(Message.cost)).where(*failed).tuples().first()
    if campaign.finished_at is None:
        raise BadInput("It is still being wound up. Please try again in a moment.", "state")
    if not count:
        raise BadInput("None of its texts failed in a way that could be tried again.", "state")
    again = campaign.round + 1
    key = f"reserve:campaign:{campaign.id}:{again}"
    credits.reserve(int(cost), Cause(key, "reserve", campaign.name, staff and staff.id, campaign.id), now)
    Message.update(
        state="listed", round=Message.round + 1, words="", tried="", route="", closed_at=None, expires_at=None
    ).where(*failed).execute()
    campaign.put(state="processing", round=again, finished_at=None, words="", staff=staff or campaign.staff)
    campaign_watch.promise_slice(campaign.id, now)
    events.record("campaign.retried", now, campaign=campaign.id, recipients=int(count))
    return int(count)


def _require(campaign: Campaign, *states: str) -> None:
    if campaign.state not in states:
        raise BadInput(f"This campaign is {campaign.state}: that can't be done with it now.", "state")


# Looks.


def progress(campaign: Campaign) -> Progress:
    """Counted from its recipients, in one look: a few milliseconds for 100,000.

    The state that most of them are in, by the credits, is not counted: it is what is left of them all.
    """
    reserved, spent = credits.reserved_for(campaign.id), credits.spent_by(campaign.id)
    left = None
    if campaign.recipients is not None:
        ended = "delivered" if messages.wants_reports() else "sent"
        left = "listed" if reserved >= spent else ended
    counted = [state for state in STATES if state != left]
    values = [part for state in counted for part in (campaign.id, state)]
    told = dict(zip(counted, db.execute_sql(_counts(len(counted)), values).fetchone(), strict=True))
    if left is not None:
        told[left] = campaign.recipients - sum(told.values())
    return Progress(
        status=campaign.state, total=sum(told.values()), **told, credits_reserved=reserved, credits_spent=spent
    )


def _counts(states: int) -> str:
    """State by state: a group over all of them takes twice as long."""
    return "SELECT " + ", ".join([COUNT] * states)


def recipients(campaign: Campaign, state: str = "", before: int | None = None, limit: int = 50) -> list[Message]:
    """Its texts, the newest first. State by state, each from the index: else all of them would be put in order."""
    asked = "SELECT id FROM messages WHERE campaign_id = ? AND state = ? AND id < ? ORDER BY id DESC LIMIT ?"
    ids: list[int] = []
    for one in (state,) if state else STATES:
        ids += [row[0] for row in db.execute_sql(asked, (campaign.id, one, before or 2**62, limit)).fetchall()]
    newest = sorted(ids, reverse=True)[:limit]
    return list(Message.select().where(Message.id.in_(newest)).order_by(Message.id.desc()))


def everything(before: int | None = None, limit: int = 50) -> list[Campaign]:
    """The newest campaigns."""
    found = Campaign.select() if before is None else Campaign.select().where(Campaign.id < before)
    return list(found.order_by(Campaign.id.desc()).limit(limit))


def word_on(message: Message, now: datetime) -> Callable[[datetime], object] | None:
    """What is to be done with this recipient instead of sending, now that his turn has come; None: send."""
    campaign = Campaign.get_by_id(message.campaign_id)
    if campaign.state == "cancelled":
        return partial(messages.mark_suppressed, message.id, "the campaign was cancelled")
    if campaign.state != "processing" or quiet_hours.until(campaign.kind, now) is not None:
        return partial(_back_on_list, message.id)
    if contacts.is_blocked(message.msisdn):
        return partial(messages.mark_suppressed, message.id, "opted out")
    return None


@transaction
def _back_on_list(message_id: int, now: datetime) -> None:
    """He is not forgotten: the next slice comes to him."""
    message = Message.get_by_id(message_id)
    if message.put_if("state = 'queued'", state="listed"):
        campaign = Campaign.get_by_id(message.campaign_id)
        if campaign.state in OPEN:
            campaign_watch.one_ended(campaign.id, now)
