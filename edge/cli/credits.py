"""`edge credits`: what is there for texts that staff write, and every movement of it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.cli.queue import LIMIT
from edge.domain import credits as ledger
from edge.pages import texts_words
from edge.pages.staff_words import clock, plain
from edge.pages.views import show_instant
from edge.sms_models import CreditEntry

NEGATIVE = {"ignore_unknown_options": True}  # -20 is a number here


@click.group(cls=BoxGroup)
def credits() -> None:
    """Credits: one is one segment of a text that staff write, campaigns among them."""


@credits.command()
def balance() -> None:
    """How many there are, are set aside, and were used."""
    with asked().box():
        found = ledger.balance()

        def lines() -> Iterator[str]:
            for name, amount in (("available", found.available), ("set aside", found.reserved), ("used", found.spent)):
                yield f"{name:<10} {amount:>12,}"

        show(asdict(found), lines)


@credits.command("top-up")
@click.argument("amount", type=click.IntRange(1, ledger.MOST))
@click.option("--words", default="", help="Where they come from, for the statement.")
def top_up(amount: int, words: str) -> None:
    """Add AMOUNT credits."""
    with asked().box():
        _show_entry(ledger.top_up(amount, words, None, datetime.now(UTC)))


@credits.command(context_settings=NEGATIVE)
@click.argument("amount", type=int)
@click.option("--words", required=True, help="Why; it stands on the statement.")
def correct(amount: int, words: str) -> None:
    """Put the balance right by AMOUNT more, or fewer when it is below zero, like -20."""
    with asked().box():
        _show_entry(ledger.correct(amount, words, None, datetime.now(UTC)))


@credits.command()
@click.option("--before", type=click.IntRange(1), metavar="LINE", help="Only lines older than this one.")
@LIMIT
def statement(before: int | None, limit: int) -> None:
    """Every movement, the newest first: who, why, for what, and what was left."""
    with asked().box() as told:
        found = texts_words.statement(ledger.statement(before, limit))
        zone, now = ZoneInfo(told.box.timezone), datetime.now(UTC)

        def lines() -> Iterator[str]:
            heads = ("line", "when", "what", "credits", "left", "who", "for")
            rows = [(line.entry.id, clock(line.entry.at, now, zone), line.why, _amount(line),
                     f"{line.entry.available:,}", line.who, _about(line)) for line in found]  # fmt: skip
            yield from table(rows, heads) if rows else ["No credits were ever moved."]

        show({"entries": [_view(line) for line in found]}, lines)


@credits.command()
def verify() -> None:
    """Add up all lines anew; exit code 1 when an account says something else."""
    with asked().box():
        faults = ledger.verify()
        held = ledger.balance()
        fine = f"Every account is the sum of its lines; {held.available:,} credits are available."
        show({"faults": faults}, lambda: iter(faults or [fine]))
    if faults:
        sys.exit(1)


def _amount(line: texts_words.Line) -> str:
    return f"{line.change:+,}" if line.change else f"({line.entry.amount:,})"


def _about(line: texts_words.Line) -> str:
    entry = line.entry
    about = f"campaign {entry.campaign_id} {line.campaign}" if entry.campaign_id else (
        f"text {entry.message_id}" if entry.message_id else "")  # fmt: skip
    return " ".join(part for part in (about, plain(entry.words)) if part)


def _show_entry(entry: CreditEntry) -> None:
    line = texts_words.statement([entry])[0]
    show(_view(line), lambda: iter([f"{line.change:+,}: {entry.available:,} credits are available."]))


def _view(line: texts_words.Line) -> dict[str, Any]:
    entry = line.entry
    return {
        "id": entry.id, "at": show_instant(entry.at), "why": entry.why, "from": entry.giver, "to": entry.taker,
        "amount": entry.amount, "change": line.change, "available": entry.available, "words": entry.words,
        "staff_id": entry.staff_id, "campaign_id": entry.campaign_id, "message_id": entry.message_id,
    }  # fmt: skip
