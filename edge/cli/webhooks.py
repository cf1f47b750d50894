"""`edge webhooks`: every call that came in, as it came, and the way to have it settled anew."""

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.cli.command import BoxGroup, asked, cut, show, table
from edge.domain import inbox
from edge.domain import webhooks as calls
from edge.errors import BadInput
from edge.models import Inbox
from edge.pages.staff_words import plain
from edge.pages.views import show_instant
from edge.pages.webhooks import body_words, outcome_words
from edge.worker import work_once


@click.group(cls=BoxGroup)
def webhooks() -> None:
    """The calls that came in from M-Pesa and other providers."""


@webhooks.command("list")
@click.option("--kind", type=click.Choice(calls.KINDS), help="Of one provider's kind alone.")
@click.option("--outcome", default="", metavar="WORDS", help="Whose outcome has these words, as in `another amount`.")
@click.option("--only", type=click.Choice(calls.FILTERS), default="all", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.argument("search", required=False)
def list_calls(kind: str | None, outcome: str, only: str, limit: int, search: str | None) -> None:
    """The newest calls; or those of a phone number, receipt, code, WIFI number or source."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        found = calls.newest(limit, kind=kind or "", shown=only, typed=search or outcome)

        def lines() -> Iterator[str]:
            yield from table([_row(call, zone) for call in found], ("id", "when", "kind", "from", "payment", "outcome"))

        show({"webhooks": [_view(call) for call in found]}, lines)


@webhooks.command("show")
@click.option("--raw", is_flag=True, help="With phone numbers in full.")
@click.argument("call_id", type=int, metavar="ID")
def show_call(raw: bool, call_id: int) -> None:
    """One call: headers, body and what came of it."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        call = _find(call_id)
        body = body_words(call, masked=not raw)

        def lines() -> Iterator[str]:
            yield from table([_row(call, zone)], ("id", "when", "kind", "from", "payment", "outcome"))
            yield f"proves: {'yes' if call.is_proof else 'nothing'}; the same came {call.repeats} more times"
            yield from (f"{plain(name)}: {plain(str(value))}" for name, value in sorted(call.headers.items()))
            yield from ("", *body.splitlines())

        show({**_view(call), "headers": call.headers, "body": body}, lines)


@webhooks.command()
@click.argument("call_id", type=int, metavar="ID")
def replay(call_id: int) -> None:
    """Settle a kept call anew. What was credited already is not credited again."""
    with asked().box() as told:
        calls.replay(_find(call_id).id, getpass.getuser(), datetime.now(UTC))
        if told.queue.mode == "inline":
            work_once(told, ("payments",))
        call = _find(call_id)
        words = f"call {call_id}: {outcome_words(call)}; see edge webhooks show {call_id}"
        show({**_view(call), "replayed": True}, lambda: iter([words]))


def _find(call_id: int) -> Inbox:
    call = calls.get(call_id) if 0 < call_id < 2**63 else None
    if call is None:
        raise BadInput(f"There is no call {call_id}: see edge webhooks list.", "id")
    return call


def _row(call: Inbox, zone: ZoneInfo) -> tuple[Any, ...]:
    return (
        call.id, f"{call.received_at.astimezone(zone):%Y-%m-%d %H:%M:%S}", call.kind, plain(call.source),
        f"WIFI{call.payment_id}" if call.payment_id else "", cut(plain(outcome_words(call)), 100),
    )  # fmt: skip


def _view(call: Inbox) -> dict[str, Any]:
    return {
        "id": call.id, "received_at": show_instant(call.received_at), "kind": call.kind, "source": call.source,
        "payment": call.payment_id, "is_proof": bool(call.is_proof), "outcome": call.outcome, "repeats": call.repeats,
        "digest": call.digest, "bytes": len(inbox.body_of(call)),
    }  # fmt: skip
