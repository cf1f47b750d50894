"""What `edge doctor` says of texts: routes, who works on them, what failed, campaigns, credits and airtime."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from edge import desk
from edge.domain import airtime, credits, queues, text_figures
from edge.models import Job, Message
from edge.pages import texts_words
from edge.pages.staff_words import plain
from edge.settings import Settings
from edge.sms_models import Airtime
from edge.values.money import show_money

Told = tuple[str, str, str, str]  # part, state, words, cure
BEHIND_S = 60  # the oldest text that is due waits longer than this, although workers are there
LASTS_MIN = 120  # what the workers have before them; more deserves a word
ADD_WORKERS = (
    "more of them help with gateways: [queue.workers] sms = 6; a modem takes one text at a time, so beside it a "
    "gateway in [sms] helps"
)


def findings(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    """Every cause that holds; one line that all is well when none does."""
    found = [
        fault
        for look in (_routes, _workers, _backlog, _failures, _campaigns, _credits, _airtime)
        for fault in look(told, now, span)
    ]
    yield from found
    if not any(state != "ok" for _, state, _, _ in found):
        day = text_figures.since(now - span)
        out = day.of_state("sent", "delivered")
        yield "texts", "ok", f"{out} sent lately, {text_figures.left()} waiting", ""


def _routes(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    ways = texts_words.ways(now)
    if not ways:
        words = "no route is set up: guests get no texts"
        yield "texts", "warning", words, "set [modem] port in edge.toml, or a gateway in [sms]"
    elif ways == [texts_words.SIMULATED]:
        words = "simulated: nothing is set up that could send them, and each is marked as sent"
        yield "texts", "warning", words, "to send: set [modem] port in edge.toml, or a gateway in [sms]"


def _workers(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    if not queues.workers(now)["sms"]:
        words = f"no worker serves the queue sms: {_texts(text_figures.left())} wait"
        yield "text workers", "problem", words, "`edge run`, `edge worker --queue sms` or `edge sms work --daemon`"
    elif "sms" in desk.paused():
        words = f"the queue sms is paused, and {_texts(text_figures.left())} wait"
        yield "text workers", "warning", words, "`edge queue resume sms`"


def _backlog(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    entry = queues.entry("sms", now)
    if not entry["workers"] or "sms" in desk.paused():
        return
    left, pace = text_figures.left(), text_figures.pace(now)
    is_behind = entry["waiting"] > entry["workers"] and entry["oldest_s"] > BEHIND_S
    lasts_min = left / pace if pace else 0.0
    if is_behind or lasts_min > LASTS_MIN:
        words = f"too few workers for the backlog: {_texts(left)} wait for {entry['workers']}"
        if pace:
            words += f", which send {pace:.0f} a minute: about {lasts_min:.0f} min of work"
        yield "text workers", "warning", words, ADD_WORKERS


def _failures(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    failed = Job.select().where(Job.queue == "sms", Job.state == "failed", Job.finished_at > now - span).count()
    failed -= queues.unknown_texts(now - span)  # they are told of below, and can't be tried again
    unknown = Message.select().where(Message.state == "unconfirmed", Message.created_at > now - span).count()
    if failed > 0:
        words = f"{failed} job{'s' if failed > 1 else ''} of the queue sms failed lately"
        yield "failed texts", "warning", words, "`edge queue failed --queue sms` tells why"
    if unknown:
        words = f"of {_texts(unknown)} nobody knows whether they left; none is sent twice"
        yield "unconfirmed texts", "warning", words, "`edge sms list --only unconfirmed`; ask the person, or write anew"


def _campaigns(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    for campaign, needed, reserved in text_figures.unreserved():
        words = f"credits were not taken before dispatch: campaign {campaign.id} is {campaign.state}, "
        words += f"needs {needed:,} and has {reserved:,} set aside"
        yield "campaign credits", "problem", words, f"`edge campaign pause {campaign.id}`, then `edge credits verify`"


def _credits(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    for fault in credits.verify():
        yield "credits", "problem", fault, "restore the last good backup, or ask for help; `edge credits statement`"
    held = credits.balance()
    if texts_words.is_low(held, told.sms.low_credits):
        words = f"{held.available:,} are left, fewer than {told.sms.low_credits:,}"
        yield "credits", "warning", words, "edge credits top-up AMOUNT"


def _airtime(told: Settings, now: datetime, span: timedelta) -> Iterator[Told]:
    if not (told.modem.port and told.modem.balance_code):
        return
    last = Airtime.one_where("code = ? ORDER BY id DESC", told.modem.balance_code)
    known = airtime.latest()
    if last is None:
        cure = f"edge modem ussd '{told.modem.balance_code}'"
        yield "airtime", "warning", "the network was not asked for it yet", cure
    elif last.balance_cents is None and not last.bundles:
        words = f"the last answer could not be read: {plain(last.words)}"
        yield "airtime", "warning", words, "[modem] balance_code and balance_pattern in edge.toml"
    if known is not None and airtime.is_too_low(now):
        words = f"{show_money(known.balance_cents or 0)} left, less than KSh {told.modem.balance_low}"
        yield "airtime", "warning", words, airtime.TOP_UP
    elif known is not None and known.ends_at is not None and known.ends_at < now + airtime.ENDS_SOON:
        yield "airtime", "warning", f"it ends on {known.ends_at:%Y-%m-%d}", airtime.TOP_UP


def _texts(count: int) -> str:
    return "1 text" if count == 1 else f"{count:,} texts"
