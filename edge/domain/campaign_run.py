"""A campaign on its way: its recipients made ready a few at a time, its end, and what is told of it."""

import logging
from datetime import datetime, timedelta

from peewee import fn

from edge.database import transaction
from edge.domain import (
    airtime,
    campaign_lists,
    campaign_watch,
    campaigns,
    contacts,
    credits,
    events,
    messages,
    notices,
    routing,
)
from edge.domain.credits import Cause
from edge.models import Message, Staff
from edge.sms_models import Campaign
from edge.values.sms_text import count_segments

log = logging.getLogger("edge.campaigns")

IN_HAND = 50  # texts of one campaign that wait for a worker: few to take back, enough to keep all workers busy
WOUND_UP = 2_000  # recipients at a time, when nobody is sent it any more
MAY_SEND = ("owner",)
ENDED = {"completed": "done"}
AIRTIME_LOW = "it waits: the SIM's airtime is low, and codes need it"
AIRTIME_AGAIN = timedelta(minutes=10)
_person_per_week = 0


def configure(person_per_week: int) -> None:
    """So many campaigns reach one person in seven days; 0 is any number."""
    global _person_per_week
    _person_per_week = person_per_week


@transaction
def step(campaign_id: int, now: datetime) -> None:
    """Make the next recipients ready, or end it. Harmless to repeat."""
    campaign = Campaign.get_by_id(campaign_id)
    if campaign.state in ("cancelled", "failed") and campaign.finished_at is None:
        _wind_up(campaign, now)
        return
    if campaign.state not in campaigns.OPEN:
        return
    if campaign.state != "processing":
        campaign.put(state="processing")
        if campaign.put_if("started_at IS NULL", started_at=now):
            events.record("campaign.started", now, campaign=campaign.id)
            log.info("campaign %s begins", campaign.id)
    no_right = _no_right(campaign)
    if no_right:
        fail(campaign.id, no_right, now)
    elif not _make_ready(campaign, now) and not _any(campaign, "listed") and not _any(campaign, "queued"):
        _finish(campaign, now)


def _no_right(campaign: Campaign) -> str:
    """A campaign is sent with the rights of its owner as they are now."""
    if campaign.staff_id is None:
        return "" if campaign.by_box else "whoever wrote it is no longer with the shop"
    staff = Staff.get_or_none(Staff.id == campaign.staff_id)
    if staff is None or staff.role not in MAY_SEND:
        return "whoever wrote it may not send campaigns any more"
    return ""


def waits_for_airtime(campaign: Campaign, now: datetime) -> datetime | None:
    """A campaign by the modem must not use up what codes need: it waits until the balance is up again."""
    is_low = routing.first_way("campaign") == routing.MODEM and airtime.is_too_low(now)
    if is_low != (campaign.words == AIRTIME_LOW):
        _say_it_waits(campaign.id, is_low)
    return now + AIRTIME_AGAIN if is_low else None


@transaction
def _say_it_waits(campaign_id: int, waits: bool) -> None:
    """Beside whatever else may be said there."""
    before, after = ("", AIRTIME_LOW) if waits else (AIRTIME_LOW, "")
    Campaign.update(words=after).where(Campaign.id == campaign_id, Campaign.words == before).execute()


def _any(campaign: Campaign, state: str) -> bool:
    return Message.any_where("campaign_id = ? AND state = ?", campaign.id, state)


def _make_ready(campaign: Campaign, now: datetime) -> int:
    """Returns how many texts were promised or left out."""
    queued = Message.select().where(Message.campaign_id == campaign.id, Message.state == "queued").count()
    rows = Message.all_where(
        "campaign_id = ? AND state = 'listed' ORDER BY id LIMIT ?", campaign.id, max(0, IN_HAND - queued)
    )
    blocked = contacts.blocked_among(message.msisdn for message in rows)
    for message in rows:
        reason = "opted out" if message.msisdn in blocked else _too_often(campaign, message, now)
        if reason:
            messages.mark_suppressed(message.id, reason, now)
            continue
        text = campaign_lists.text_of(campaign, message)
        if count_segments(text) > message.cost:  # the settings changed since it was priced
            messages.mark_failed(message.id, "it would take more segments than were set aside for it", now)
            continue
        message.put(
            state="queued", text=text, expires_at=messages.useful_until("campaign", now), created_at=now,
            wants_report=messages.wants_reports(),
        )  # fmt: skip
        messages.promise_sending(message, now)
    if rows:
        log.info("campaign %s: %d more texts made ready", campaign.id, len(rows))
    return len(rows)


def _too_often(campaign: Campaign, message: Message, now: datetime) -> str:
    if campaign.kind != "marketing" or not _person_per_week or message.round:
        return ""
    known = contacts.texted_since(message.msisdn, now - contacts.WEEK)
    return f"{known} campaigns reached this number within a week" if known >= _person_per_week else ""


@transaction
def fail(campaign_id: int, words: str, now: datetime) -> None:
    """It can't go on: nobody else is sent it, and what was set aside for them is free again."""
    campaign = Campaign.get_by_id(campaign_id)
    if campaign.state in campaigns.OPEN or campaign.state == "paused":
        campaigns.take_back(campaign)
        campaign.put(state="failed", words=words[:300])
        campaign_watch.promise_now(campaign.id, now)


def _wind_up(campaign: Campaign, now: datetime) -> None:
    """Whoever was not sent it: by the chunk, one line of the ledger each."""
    rows = Message.all_where("campaign_id = ? AND state = 'listed' ORDER BY id LIMIT ?", campaign.id, WOUND_UP)
    if rows:
        is_failed = campaign.state == "failed"
        state, words = ("failed", campaign.words) if is_failed else ("suppressed", "the campaign was cancelled")
        listed = (Message.campaign_id == campaign.id, Message.state == "listed", Message.id <= rows[-1].id)
        Message.update(state=state, words=words, closed_at=now).where(*listed).execute()
        key = f"release:campaign:{campaign.id}:{campaign.round}:{rows[-1].id}"
        credits.release(
            sum(message.cost for message in rows), Cause(key, "release", words, None, campaign.id), now
        )
        campaign_watch.promise_slice(campaign.id, now)
    elif not _any(campaign, "queued"):
        _finish(campaign, now)


def _finish(campaign: Campaign, now: datetime) -> None:
    """All recipients have their last word."""
    told = campaigns.progress(campaign)
    state = campaign.state
    if state == "processing":
        is_lost = told.failed > 0 and told.failed == told.total - told.suppressed
        state = "failed" if is_lost else "completed"
    words = campaign.words or (_commonest_fault(campaign) if told.failed else "")
    campaign.put(state=state, finished_at=now, words=words)
    log.info("campaign %s: %s, %d sent, %d failed", campaign.id, state, told.sent + told.delivered, told.failed)
    figures = {
        "total": told.total, "sent": told.sent + told.delivered, "failed": told.failed,
        "unconfirmed": told.unconfirmed, "left_out": told.suppressed, "success": told.success_percent,
    }  # fmt: skip
    if state != "cancelled":  # told when somebody did it
        events.record(f"campaign.{state}", now, campaign=campaign.id, **figures)
    notices.tell(
        f"campaign.{state}", f"Campaign {campaign.name}: {ENDED.get(state, state)}", _summary(told, words), now,
        staff_id=campaign.staff_id, link=f"/admin/sms/campaigns/{campaign.id}",
        key=f"campaign:{campaign.id}:{campaign.round}:{state}",
    )  # fmt: skip


def _commonest_fault(campaign: Campaign) -> str:
    rows = Message.select(Message.words, fn.COUNT(Message.id)).where(
        Message.campaign_id == campaign.id, Message.state == "failed"
    )
    words, count = rows.group_by(Message.words).order_by(fn.COUNT(Message.id).desc()).limit(1).tuples().first()
    return f"{'once' if count == 1 else f'{count} times'}: {words}"[:300]


def _summary(told: campaigns.Progress, words: str) -> str:
    lines = [
        f"Recipients: {told.total:,}",
        f"Sent: {told.sent + told.delivered:,} ({told.success_percent} %), of these known to have arrived: "
        f"{told.delivered:,}",
        f"Failed: {told.failed:,}",
        f"Nobody knows: {told.unconfirmed:,}",
        f"Left out: {told.suppressed:,}",
        f"Credits used: {told.credits_spent:,}",
    ]
    return "\n".join([*lines, f"Most of what failed, {words}"] if told.failed and words else lines)


def sweep(now: datetime) -> int:
    """Campaigns whose next step nobody promised, as after a queue was cleared; returns how many go on."""
    count = 0
    open_ones = "state IN ('scheduled', 'pending', 'processing') ORDER BY id"
    for campaign in Campaign.all_where(open_ones):
        is_due = campaign.state != "scheduled" or campaign.scheduled_at is None or campaign.scheduled_at <= now
        if is_due and not _any(campaign, "queued"):
            count += campaign_watch.promise_slice(campaign.id, now)
    for campaign in Campaign.all_where("state IN ('cancelled', 'failed') AND finished_at IS NULL"):
        count += campaign_watch.promise_now(campaign.id, now)
    return count
