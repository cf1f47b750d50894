"""`edge sms`: texts that leave: one by hand, what became of it, and the workers of their queue."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.bell import bell
from edge.cli.command import BoxGroup, asked, cut, show, table
from edge.cli.job_views import count
from edge.cli.queue import LIMIT, YES, ask_first
from edge.cli.serving import serve
from edge.domain import credits, messages, queues, templates, text_figures
from edge.errors import BadInput
from edge.models import Message
from edge.pages import texts_words
from edge.pages.staff_words import clock, plain
from edge.pages.views import show_instant
from edge.settings import Settings
from edge.values.any_msisdn import read_any_msisdn
from edge.values.msisdn import mask_msisdn
from edge.worker import work_once

LOOK_S = 0.2
WENT = ("sent", "delivered")
SERVED = ("sms", "notifications", "emails")  # a campaign's end is told by the other two
WAIT = click.option("--wait", "wait_s", type=click.FloatRange(0, 3600), default=60, show_default=True,
                    metavar="SECONDS", help="Wait at most so long for the outcome.")  # fmt: skip


@click.group(cls=BoxGroup)
def sms() -> None:
    """Texts that leave: written by hand, looked at, worked on."""


@sms.command()
@click.argument("number")
@click.argument("text")
@click.option("--flash", is_flag=True, help="Shown at once on the phone, and often not kept; by the modem only.")
@YES
@WAIT
def send(number: str, text: str, flash: bool, yes: bool, wait_s: float) -> None:
    """Text the mobile NUMBER; what it takes is said before. It takes credits, and is sent once.

    Exit code 1 when it did not leave, or nobody knows; 0 when the network took it, or it still waits after --wait.
    """
    with asked().box() as told:
        _send(told, read_any_msisdn(number), texts_words.read_text(text), yes, wait_s, flash=flash)


@sms.command()
@click.argument("number")
@click.argument("name")
@click.argument("values", nargs=-1, metavar="KEY=VALUE…")
@YES
@WAIT
def template(number: str, name: str, values: tuple[str, ...], yes: bool, wait_s: float) -> None:
    """Text a NUMBER with the template NAME; every word that it leaves open is given as KEY=VALUE.

    What is missing is an error, and nothing is written.
    """
    with asked().box() as told:
        text = templates.render(name, _pairs(values))
        _send(told, read_any_msisdn(number), texts_words.read_text(text), yes, wait_s)


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    found = dict(word.split("=", 1) for word in given if "=" in word)
    if len(found) != len(given):
        raise click.UsageError("write each word once, as KEY=VALUE")
    return found


def _send(told: Settings, msisdn: str, text: str, yes: bool, wait_s: float, *, flash: bool = False) -> None:
    quote, there = messages.cost_of(text), credits.balance().available
    if quote.segments > there:
        raise credits.Short(quote.segments, there)
    if not asked().as_json:
        click.echo(texts_words.quote_words(quote) + f" {there:,} are there.")
    ask_first(f"Send it to {mask_msisdn(msisdn)}?", yes)
    message = messages.write_by_hand(msisdn, text, None, datetime.now(UTC), flash=flash)
    bell.ring()
    if told.queue.mode == "inline":
        work_once(told, ("sms",))
    message = _wait_for(message, wait_s)
    show(_view(message, is_whole=True), lambda: iter([_outcome(message)]))
    if message.state not in (*WENT, "queued"):
        click.get_current_context().exit(1)


def _wait_for(message: Message, wait_s: float) -> Message:
    until = time.monotonic() + wait_s
    while message.state == "queued" and time.monotonic() < until and _is_worked_on():
        time.sleep(LOOK_S)
        message = Message.get_by_id(message.id)
    return Message.get_by_id(message.id)


def _is_worked_on() -> bool:
    return queues.workers(datetime.now(UTC))["sms"] > 0


def _outcome(message: Message) -> str:
    words = f"text {message.id} to {mask_msisdn(message.msisdn)}: {texts_words.state(message)}"
    if message.state == "queued" and not _is_worked_on():
        return f"{words}. Nobody works on the queue of texts: `edge sms work` sends it."
    if message.state == "queued" and (why := texts_words.held_up(message.kind)):
        return f"{words}. {why}"
    told = [texts_words.route(message.route)] if message.route else []
    return ", ".join([words, *told, *([plain(message.words)] if message.words else [])])


@sms.command("list")
@click.option("--only", type=click.Choice(text_figures.STATES), help="In this state.")
@click.option("--kind", type=click.Choice(texts_words.KINDS), help="Of this kind.")
@click.option("--to", "number", default="", metavar="NUMBER", help="To this number, in full.")
@LIMIT
def list_texts(only: str | None, kind: str | None, number: str, limit: int) -> None:
    """The newest texts, and where they stand."""
    with asked().box() as told:
        msisdn = read_any_msisdn(number) if number else ""
        found = messages.outbox(only or "", kind or "", msisdn, limit=limit)
        zone, now = ZoneInfo(told.box.timezone), datetime.now(UTC)

        def lines() -> Iterator[str]:
            heads = ("text", "when", "to", "kind", "state", "segments", "by", "price", "words")
            rows = [
                (m.id, clock(m.created_at, now, zone), mask_msisdn(m.msisdn), m.kind, m.state, m.segments, m.route,
                 texts_words.price(m), cut(plain(m.words), 50)) for m in found
            ]  # fmt: skip
            yield from table(rows, heads) if rows else ["No texts."]

        show({"texts": [_view(message) for message in found]}, lines)


@sms.command("show")
@click.argument("message_id", type=click.IntRange(1, 2**31 - 1), metavar="ID")
def show_text(message_id: int) -> None:
    """One text: its words and its story."""
    with asked().box() as told:
        message: Message | None = Message.get_or_none(Message.id == message_id)
        if message is None:
            raise BadInput(f"there is no text {message_id}", "message")
        zone, now = ZoneInfo(told.box.timezone), datetime.now(UTC)

        def lines() -> Iterator[str]:
            yield f"{_outcome(message)} ({texts_words.kind(message.kind)}, {texts_words.counted(message.segments)})"
            yield from ("", *message.text.splitlines(), "")
            for step in text_figures.story(message):
                yield f"{clock(step.at, now, zone):>18}  {texts_words.step(step)}"
            for job in text_figures.work_of(message):
                yield f"job {job.id} is {job.state}: edge queue show {job.id}"

        show(_view(message, is_whole=True), lines)


@sms.command()
@click.option("--daemon", is_flag=True, help="Go on serving, until Ctrl-C or a stop of the service.")
def work(daemon: bool) -> None:
    """Do what is due in the queue of texts, and end; with --daemon keep serving it."""
    if daemon:
        serve(asked().settings(), web=False, work=True, queues=SERVED)
        return
    with asked().box() as told:
        done = work_once(told, ("sms",))
        show({"done": done}, lambda: iter([f"{count(done, 'job')} done."]))


def _view(message: Message, *, is_whole: bool = False) -> dict[str, Any]:
    """One text for programs; whole with its words, and the number still masked: scripts end up in logs."""
    told = {
        "id": message.id, "to": mask_msisdn(message.msisdn), "kind": message.kind, "state": message.state,
        "segments": message.segments, "credits": message.cost, "route": message.route,
        "simulated": message.route == texts_words.SIMULATED, "reference": message.reference,
        "price_cents": message.price_cents, "words": message.words, "campaign_id": message.campaign_id,
        "payment_id": message.payment_id, "created_at": show_instant(message.created_at),
        "sent_at": show_instant(message.sent_at), "delivered_at": show_instant(message.delivered_at),
        "closed_at": show_instant(message.closed_at),
    }  # fmt: skip
    if is_whole:
        told |= {"text": message.text, "jobs": [job.id for job in text_figures.work_of(message)]}
    return told
