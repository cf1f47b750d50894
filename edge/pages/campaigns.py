"""Campaigns on the dashboard: drafted, priced before they go, followed while they go, and their failed ones retried."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import campaign_figures, campaigns, credits, messages, plans, sms_lists
from edge.errors import BadInput
from edge.models import Message, Router
from edge.pages import campaign_api, campaign_form, campaign_words, frame, texts_words
from edge.pages.dashboard import HTML, error_page
from edge.sms_models import Campaign
from edge.texts import say

HERE = "/admin/sms/campaigns"
PAGE = 30  # campaigns of a list
RECIPIENTS = 50
LOOK_AGAIN_S = 2  # while the recipients of a draft are being counted; browsers do this without a script
DONE = ("submitted", "scheduled", "paused", "resumed", "cancelled", "retried", "deleted", "changed")


def campaigns_page() -> Any:
    """All campaigns, the newest first, and how far each is."""
    found = campaigns.everything(frame.number("before"), PAGE + 1)
    rows = [(row, campaigns.progress(row)) for row in found[:PAGE]]
    return _page("admin_campaigns.html", rows=rows, older=found[PAGE - 1].id if len(found) > PAGE else None)


def new_page() -> Any:
    """The form of a new draft; `list` names an uploaded list to begin with."""
    return _form_page(None, campaign_form.blank(frame.asked("list")), None, 200)


def new_post() -> Any:
    """A draft, or only a look at what its words take."""
    typed = campaign_form.typed()
    if typed["do"] == "count":
        return _form_page(None, typed, None, 200)
    try:
        given = campaign_form.read(typed)
        campaign = campaigns.create(**given, staff=frame.signed_in(), now=_now())
    except BadInput as reason:
        return _form_page(None, typed, reason, 400)
    return frame.see_other(f"{HERE}/{campaign.id}")


def edit_page(campaign_id: int) -> Any:
    """The same form for a draft."""
    campaign = _campaign(campaign_id)
    if campaign is None or campaign.state != "draft":
        return error_page(404, say("admin.nothing"))
    return _form_page(campaign, campaign_form.of(campaign), None, 200)


def edit_post(campaign_id: int) -> Any:
    """The draft as it is to be now: its recipients are counted anew."""
    campaign = _campaign(campaign_id)
    if campaign is None:
        return error_page(404, say("admin.nothing"))
    typed = campaign_form.typed()
    if typed["do"] == "count":
        return _form_page(campaign, typed, None, 200)
    try:
        campaigns.change(campaign, _now(), **campaign_form.read(typed))
    except BadInput as reason:
        return _form_page(campaign, typed, reason, 400)
    return frame.see_other(f"{HERE}/{campaign_id}?did=changed")


def count_post() -> HTTPResponse:
    """What the words of the form take, as plain text: the counter below them while they are typed."""
    typed = campaign_form.typed()
    words = campaign_words.counted(typed["text"], campaign_form.names(typed))
    return HTTPResponse(words, 200, {"Content-Type": "text/plain; charset=UTF-8", "Cache-Control": "no-store"})


def campaign_page(campaign_id: int) -> Any:
    """A draft with what it will take; else how far it is and what became of whom."""
    return _campaign_page(campaign_id, None, 200)


def submit_post(campaign_id: int) -> Any:
    """Send it now, or at the time that was typed, by the clock on the shop's wall."""
    is_later = frame.typed("when") == "at"

    def act() -> None:
        at = campaign_form.read_time(frame.typed("at"), frame.shop_zone()) if is_later else None
        campaigns.submit(campaign_id, frame.signed_in(), _now(), at)

    return _act(campaign_id, act, "scheduled" if is_later else "submitted")


def pause_post(campaign_id: int) -> Any:
    """Nothing more is handed over until somebody lets it go on."""
    return _act(campaign_id, lambda: campaigns.pause(campaign_id, frame.signed_in(), _now()), "paused")


def resume_post(campaign_id: int) -> Any:
    """Go on where it stopped."""
    return _act(campaign_id, lambda: campaigns.resume(campaign_id, frame.signed_in(), _now()), "resumed")


def cancel_post(campaign_id: int) -> Any:
    """Whoever was not sent it is not."""

    def act() -> None:
        if frame.typed("sure") != "yes":
            raise BadInput(say("campaigns.sure_first"), "sure")
        campaigns.cancel(campaign_id, frame.signed_in(), _now())

    return _act(campaign_id, act, "cancelled")


def retry_post(campaign_id: int) -> Any:
    """Those that surely were not sent, once more."""
    return _act(campaign_id, lambda: campaigns.retry_failed(campaign_id, frame.signed_in(), _now()), "retried")


def delete_post(campaign_id: int) -> Any:
    """A draft that nobody wants."""
    campaign = _campaign(campaign_id)
    if campaign is None:
        return error_page(404, say("admin.nothing"))
    try:
        campaigns.delete(campaign)
    except BadInput as reason:
        return _campaign_page(campaign_id, reason, 400)
    return frame.see_other(f"{HERE}?did=deleted")


def _act(campaign_id: int, act: Callable[[], object], did: str) -> Any:
    if _campaign(campaign_id) is None:
        return error_page(404, say("admin.nothing"))
    try:
        act()
    except credits.Short as reason:
        words = say("texts_page.short", needed=f"{reason.needed:,}", available=f"{reason.available:,}")
        return _campaign_page(campaign_id, BadInput(words, "credits"), 400)
    except BadInput as reason:
        return _campaign_page(campaign_id, reason, 400)
    return frame.see_other(f"{HERE}/{campaign_id}?did={did}")


# What the pages are made of.


def _campaign_page(campaign_id: int, fault: BadInput | None, status: int) -> Any:
    campaign = _campaign(campaign_id)
    if campaign is None:
        return error_page(404, say("admin.nothing"))
    told = {"fault": "" if fault is None else str(fault), "wrong": "" if fault is None else fault.field}
    return _draft_page(campaign, told, status) if campaign.state == "draft" else _running_page(campaign, told, status)


def _draft_page(campaign: Campaign, told: dict[str, str], status: int) -> HTTPResponse:
    quote, now = campaigns.quote(campaign), _now()
    limits = request.app.config["edge.settings"].sms
    page = _page(
        "admin_campaign_draft.html", campaign=campaign, quote=quote, held=credits.balance(), **told,
        estimate=campaign_words.estimate(quote, limits, now) if quote.recipients else "",
        waits_until=campaign_words.waits_until(campaign, now), quiet_hours=limits.quiet_hours,
        of_text=messages.cost_of(campaign.text), at=frame.typed("at"),
    )  # fmt: skip
    is_counting = not quote.is_listed and not campaign.words
    refresh = {"Refresh": str(LOOK_AGAIN_S)} if is_counting and request.method == "GET" else {}
    return HTTPResponse(page, status, {**HTML, **refresh})


def _running_page(campaign: Campaign, told: dict[str, str], status: int) -> HTTPResponse:
    asked = frame.asked("state")
    shown = asked if asked in campaign_words.RECIPIENT_STATES else ""
    before = frame.number("before") if request.method == "GET" else None
    found: list[Message] = campaigns.recipients(campaign, shown, before, RECIPIENTS + 1)
    standing, progress = campaign_api.status_view(campaign), campaigns.progress(campaign)
    page = _page(
        "admin_campaign.html", campaign=campaign, standing=standing, progress=progress, shown=shown, **told,
        rows=found[:RECIPIENTS], older=found[RECIPIENTS - 1].id if len(found) > RECIPIENTS else None,
        has_reports=texts_words.has_reports(request.app.config["edge.settings"].sms.reports, "campaign"),
        open=campaigns.OPEN, waits_until=campaign_words.waits_until(campaign, _now()),
        again=campaign_figures.to_retry(campaign) if progress.failed and standing["is_final"] else (0, 0),
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _form_page(campaign: Campaign | None, typed: dict[str, Any], fault: BadInput | None, status: int) -> Any:
    names = campaign_form.names(typed)
    page = _page(
        "admin_campaign_form.html", campaign=campaign, form=typed, names=names, most=campaigns.LONGEST,
        plans=plans.everything(), lists=sms_lists.everything(), routers=list(Router.select().order_by(Router.name)),
        counted=campaign_words.counted(typed["text"], names) if typed["text"].strip() else "",
        fault="" if fault is None else str(fault), wrong="" if fault is None else fault.field,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _page(template: str, **values: Any) -> str:
    did = frame.asked("did")
    return frame.page(
        template, "texts", texts_here="campaigns", tw=texts_words, cw=campaign_words,
        is_owner=frame.signed_in().role in frame.SEES_SECRETS,
        notice=say(f"campaigns.did_{did}") if did in DONE else "", **values,
    )  # fmt: skip


def _campaign(campaign_id: int) -> Campaign | None:
    found: Campaign | None = Campaign.get_or_none(Campaign.id == campaign_id) if 0 < campaign_id < 2**63 else None
    return found


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
