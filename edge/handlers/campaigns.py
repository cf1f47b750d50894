"""A campaign's own work: its recipients written down, then made ready a few at a time."""

from collections import Counter
from datetime import datetime
from functools import partial

from edge.domain import audiences, campaign_lists, campaign_run, campaigns, quiet_hours
from edge.errors import BadInput, Refused
from edge.handlers.world import Later, World, WriteDown
from edge.sms_models import Campaign


def list_recipients(world: World, now: datetime, campaign_id: int) -> WriteDown | None:
    """Write its recipients down, a thousand in each transaction; begun anew after a crash."""
    campaign = Campaign.get_or_none(Campaign.id == campaign_id)
    if campaign is None or campaign.state != "draft":
        return None
    version = campaign_lists.version_of(campaign)
    left_out: Counter[str] = Counter()
    try:
        while not campaign_lists.begin(campaign):
            pass
        total = max(1, audiences.count(campaign.audience, now))
        done = 0
        for chunk in campaign_lists.chunks(audiences.people(campaign.audience, now)):
            left_out += campaign_lists.write(campaign, chunk, now)
            done += len(chunk)
            world.progress(done * 100 // total, f"{done:,} of {total:,} looked at")
    except BadInput as reason:
        raise Refused(str(reason)) from None
    except campaign_lists.Stale:
        version = ""  # a half: if it is a draft still, it is listed anew
    return lambda then: campaign_lists.close(campaign_id, version, left_out, then)


def slice_campaign(world: World, now: datetime, campaign_id: int) -> WriteDown | None:
    """The next step, once the hour allows it."""
    campaign = Campaign.get_or_none(Campaign.id == campaign_id)
    if campaign is None:
        return None
    if campaign.state in campaigns.OPEN:
        until = quiet_hours.until(campaign.kind, now) or campaign_run.waits_for_airtime(campaign, now)
        if until is not None:
            raise Later(until)
    return partial(campaign_run.step, campaign_id)
