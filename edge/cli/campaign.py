"""`edge campaign`: one text to many, from the draft to the last recipient's outcome."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.bell import bell
from edge.cli.command import WATCH, BoxGroup, Lines, asked, cut, show, table, watch
from edge.cli.queue import LIMIT, YES, ask_first
from edge.domain import campaign_figures, campaigns, credits, plans, queues, sms_lists
from edge.errors import BadInput
from edge.models import Message, Plan, Router
from edge.pages import campaign_words, texts_words
from edge.pages.campaign_api import status_view
from edge.pages.staff_words import clock, plain
from edge.pages.views import show_instant
from edge.settings import Settings
from edge.sms_models import Campaign
from edge.values.msisdn import mask_msisdn
from edge.values.phone_list import MOST_BYTES

LOOK_S = 0.2
COUNTED_WITHIN_S = 60.0
NUMBER = click.argument("campaign_id", type=click.IntRange(1, 2**31 - 1), metavar="ID")
ALONE = "Nobody works on the queue of texts: `edge sms work` does what is due there."


@click.group(cls=BoxGroup)
def campaign() -> None:
    """One text to many: drafted, priced, then sent once to each."""


@campaign.command("list")
@LIMIT
def list_campaigns(limit: int) -> None:
    """The newest campaigns, and how far each is."""
    with asked().box() as told:
        found = [(one, status_view(one)) for one in campaigns.everything(limit=limit)]
        zone, now = ZoneInfo(told.box.timezone), datetime.now(UTC)

        def lines() -> Iterator[str]:
            heads = ("campaign", "made", "name", "state", "total", "sent", "failed", "unknown", "left out", "%")
            rows = [
                (one.id, clock(one.created_at, now, zone), cut(plain(one.name), 30), one.state, view["total"],
                 view["sent"], view["failed"], view["unconfirmed"], view["suppressed"], view["percent"])
                for one, view in found
            ]  # fmt: skip
            yield from table(rows, heads) if rows else ["No campaign yet."]

        show({"campaigns": [view for _, view in found]}, lines)


@campaign.command("show")
@NUMBER
@click.option("--only", type=click.Choice(campaign_words.RECIPIENT_STATES), help="Recipients in this state.")
@LIMIT
def show_campaign(campaign_id: int, only: str | None, limit: int) -> None:
    """One campaign: its words, whom it is for, what it takes, and its newest recipients."""
    with asked().box() as told:
        one = _campaign(campaign_id)
        quote, rows = campaigns.quote(one), campaigns.recipients(one, only or "", limit=limit)

        def lines() -> Iterator[str]:
            yield f"{plain(one.name)}: {campaign_words.state(one.state)}"
            yield f"{campaign_words.audience(one.audience)}. {campaign_words.kind(one.kind)}"
            yield from ("", *one.text.splitlines(), "")
            yield from _quote_lines(told, one, quote) if one.state == "draft" else _standing(one)
            yield from table([_recipient(row) for row in rows], ("text", "to", "state", "words")) if rows else []

        document = {**status_view(one), **_priced(one, quote), "recipients": [_recipient_view(row) for row in rows]}
        show(document, lines)


@campaign.command()
@click.argument("name")
@click.argument("text")
@click.option("--kind", type=click.Choice(campaigns.KINDS), default="marketing", show_default=True,
              help="Advertising, or what guests must know.")  # fmt: skip
@click.option("--plan", "plan_names", multiple=True, metavar="PLAN", help="Who bought this plan; may be repeated.")
@click.option("--router", "router_names", multiple=True, metavar="ROUTER", help="Who was at it; may be repeated.")
@click.option("--seen-within", type=click.IntRange(1), metavar="DAYS", help="Who was here within so many days.")
@click.option("--not-seen-for", type=click.IntRange(1), metavar="DAYS", help="Who was not.")
@click.option("--spent", type=click.IntRange(1), metavar="SHILLINGS", help="Who spent so much, or more.")
@click.option("--to", "numbers", multiple=True, metavar="NUMBER", help="These numbers alone; may be repeated.")
@click.option("--csv", "file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A file of numbers.")
@click.option("--agreed", default="", metavar="WORDS", help="How the people of --csv agreed to advertising.")
def create(name: str, text: str, kind: str, **told: Any) -> None:
    """Draft a campaign NAME with the words TEXT; nothing is sent yet.

    Without other words it is for everybody who was ever a guest. {{phone}}, {{plan}}, {{last_visit}}, {{spent}} and
    {{visits}} are filled in for each guest, and the columns of --csv for each of its lines.
    """
    with asked().box() as settings:
        audience, faults = _audience(settings, kind, told)
        one = campaigns.create(name, text, kind, audience, None, datetime.now(UTC))
        bell.ring()
        one = _counted(one)
        quote = campaigns.quote(one)

        def lines() -> Iterator[str]:
            yield from faults
            yield f"Campaign {one.id} is drafted."
            yield from _quote_lines(settings, one, quote)
            yield f"Send it: edge campaign submit {one.id}"

        show({**status_view(one), **_priced(one, quote), "faults": faults}, lines)


@campaign.command()
@NUMBER
@click.option("--at", type=click.DateTime(["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]), help="By the shop's clock; else now.")
@YES
def submit(campaign_id: int, at: datetime | None, yes: bool) -> None:
    """Send a draft, now or --at a time. How many get it and what it takes is told before."""
    with asked().box() as told:
        one = _counted(_campaign(campaign_id))
        quote, there = campaigns.quote(one), credits.balance().available
        if one.state == "draft" and quote.is_listed and quote.credits > there:
            raise credits.Short(quote.credits, there)
        if not asked().as_json and one.state == "draft":
            click.echo("\n".join(_quote_lines(told, one, quote)))
        if one.state == "draft" and quote.is_listed:
            ask_first(f"Send it to {quote.recipients:,} for {texts_words.counted_credits(quote.credits)}?", yes)
        starts = at and at.replace(tzinfo=ZoneInfo(told.box.timezone)).astimezone(UTC)
        _do(campaign_id, lambda now: campaigns.submit(campaign_id, None, now, starts))


@campaign.command()
@NUMBER
def pause(campaign_id: int) -> None:
    """Hand over nothing more until it goes on."""
    with asked().box():
        _do(campaign_id, lambda now: campaigns.pause(campaign_id, None, now))


@campaign.command()
@NUMBER
def resume(campaign_id: int) -> None:
    """Go on where it stopped."""
    with asked().box():
        _do(campaign_id, lambda now: campaigns.resume(campaign_id, None, now))


@campaign.command()
@NUMBER
@YES
def cancel(campaign_id: int, yes: bool) -> None:
    """Do not send it to whoever was not sent it; the credits for these come back."""
    with asked().box():
        left = status_view(_campaign(campaign_id))["pending"]
        ask_first(f"Cancel it for the {left:,} who were not sent it?", yes)
        _do(campaign_id, lambda now: campaigns.cancel(campaign_id, None, now))


@campaign.command()
@NUMBER
@YES
def retry(campaign_id: int, yes: bool) -> None:
    """Try those anew that surely were not sent, for new credits."""
    with asked().box():
        count, cost = campaign_figures.to_retry(_campaign(campaign_id))
        if count:
            ask_first(f"Try {count:,} again for {texts_words.counted_credits(cost)}?", yes)
        _do(campaign_id, lambda now: campaigns.retry_failed(campaign_id, None, now))


@campaign.command()
@NUMBER
@WATCH
def status(campaign_id: int, every_s: float | None) -> None:
    """How far it is."""

    def look() -> tuple[Any, Lines]:
        one = _campaign(campaign_id)
        return status_view(one), lambda: iter(_standing(one))

    with asked().box() as told:
        watch(look, every_s, ZoneInfo(told.box.timezone))


# What is asked and told.


def _do(campaign_id: int, act: Callable[[datetime], object]) -> None:
    _campaign(campaign_id)
    act(datetime.now(UTC))
    bell.ring()
    one = _campaign(campaign_id)
    alone = [] if _is_worked_on() else [ALONE]
    show(status_view(one), lambda: iter([*_standing(one), *alone]))


def _campaign(campaign_id: int) -> Campaign:
    found: Campaign | None = Campaign.get_or_none(Campaign.id == campaign_id)
    if found is None:
        raise BadInput(f"there is no campaign {campaign_id}; `edge campaign list` tells which there are", "campaign")
    return found


def _counted(one: Campaign) -> Campaign:
    """A draft once its recipients are counted; as it is when nobody counts them."""
    until = time.monotonic() + COUNTED_WITHIN_S
    while one.state == "draft" and one.listed_at is None and not one.words and time.monotonic() < until:
        if not _is_worked_on():
            break
        time.sleep(LOOK_S)
        one = _campaign(one.id)
    return one


def _is_worked_on() -> bool:
    return queues.workers(datetime.now(UTC))["sms"] > 0


def _quote_lines(told: Settings, one: Campaign, quote: campaigns.Quote) -> Iterator[str]:
    if one.words:
        yield f"Its recipients could not be written down: {plain(one.words)}"
    elif not quote.is_listed:
        yield "Its recipients are not counted yet." + ("" if _is_worked_on() else f" {ALONE}")
        return
    people = "1 recipient" if quote.recipients == 1 else f"{quote.recipients:,} recipients"
    yield f"{people}, {texts_words.counted(quote.segments)}: " + (
        f"{texts_words.counted_credits(quote.credits)} of {credits.balance().available:,} that are there."
    )
    if quote.left_out:
        yield f"Left out: {', '.join(campaign_words.left_out(quote.left_out))}."
    for phone, text, segments in quote.samples:
        yield f"  to {phone}, {texts_words.counted(segments)}: {cut(plain(text), 100)}"
    if quote.recipients:
        yield campaign_words.estimate(quote, told.sms, datetime.now(UTC))


def _standing(one: Campaign) -> Iterator[str]:
    view = status_view(one)
    yield f"{one.id} {plain(one.name)}: {campaign_words.state(one.state)}, {view['percent']} %"
    yield (
        f"{view['sent']:,} of {view['total']:,} sent ({view['delivered']:,} known to have arrived), {view['failed']:,} "
        f"failed, {view['unconfirmed']:,} nobody knows, {view['suppressed']:,} left out, {view['pending']:,} waiting"
    )
    yield f"credits: {view['credits']['spent']:,} used, {view['credits']['reserved']:,} set aside"
    if one.words:
        yield plain(one.words)


def _priced(one: Campaign, quote: campaigns.Quote) -> dict[str, Any]:
    return {
        "text": one.text, "kind": one.kind, "audience": campaign_words.audience(one.audience),
        "is_counted": quote.is_listed, "segments": campaign_figures.taken(one), "left_out": quote.left_out,
        "needed": quote.credits, "available": credits.balance().available,
        "samples": [{"to": phone, "text": text, "segments": segments} for phone, text, segments in quote.samples],
    }  # fmt: skip


def _recipient(row: Message) -> tuple[Any, ...]:
    return row.id, mask_msisdn(row.msisdn), texts_words.state(row), cut(plain(row.words), 70)


def _recipient_view(row: Message) -> dict[str, Any]:
    """The number masked: scripts end up in logs."""
    return {
        "id": row.id, "to": mask_msisdn(row.msisdn), "state": row.state, "words": row.words, "route": row.route,
        "sent_at": show_instant(row.sent_at), "delivered_at": show_instant(row.delivered_at),
    }  # fmt: skip


def _audience(settings: Settings, kind: str, told: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The audience that was said, and what was wrong in its file."""
    guests = {
        "plan_ids": [_plan(name).id for name in told["plan_names"]],
        "router_ids": [_router(name).id for name in told["router_names"]],
        "seen_within_days": told["seen_within"], "not_seen_for_days": told["not_seen_for"],
        "spent_at_least_cents": told["spent"] and told["spent"] * 100,
    }  # fmt: skip
    rules = {name: value for name, value in guests.items() if value}
    if bool(rules) + bool(told["numbers"]) + bool(told["file"]) > 1:
        raise click.UsageError("say guests, numbers or a file: one of them")
    if told["numbers"]:
        return {"kind": "numbers", "numbers": list(told["numbers"])}, []
    if not told["file"]:
        return ({"kind": "guests", **rules} if rules else {"kind": "all"}), []
    if kind == "marketing" and not told["agreed"].strip():
        raise BadInput("Say with --agreed how the people of this file agreed to advertising.", "agreed")
    with told["file"].open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    found = sms_lists.add(told["file"].stem, raw, told["agreed"], None, datetime.now(UTC), settings.box.country)
    faults = [f"Line {fault.line}: {fault.words}" for fault in found.faults]
    if found.fault_count > len(faults):
        faults.append(f"And {found.fault_count - len(faults):,} more lines.")
    return {"kind": "list", "list_id": found.row.id}, faults


def _plan(typed: str) -> Plan:
    if typed.isascii() and typed.isdigit():
        return plans.get(int(typed))
    found = [plan for plan in plans.everything() if plan.name.casefold() == typed.strip().casefold()]
    if len(found) != 1:
        how_many = "more than one" if found else "no"
        raise BadInput(f"There is {how_many} plan named {typed}; `edge plan list --all` tells which there are.", "plan")
    return found[0]


def _router(name: str) -> Router:
    found: Router | None = Router.get_or_none(Router.name == name)
    if found is None:
        raise BadInput(f"There is no router {name}; `edge router list` tells which there are.", "router")
    return found
