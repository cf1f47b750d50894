"""`edge modem`: the GSM modem, the texts that leave by it, those that its SIM received, and USSD codes."""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.bell import bell
from edge.cli.command import WATCH, BoxGroup, Lines, asked, cut, show, table
from edge.cli.command import watch as look_again
from edge.devices.opening import Devices
from edge.domain import airtime, checks, incoming_texts, messages, modem_samples, owner_commands, queues, text_figures
from edge.errors import BadInput, DeviceError
from edge.models import Check, Message
from edge.money_models import IncomingText
from edge.pages.board_words import mask
from edge.pages.staff_words import plain
from edge.pages.views import show_instant
from edge.settings import Settings
from edge.sms_models import Airtime
from edge.values.money import show_money
from edge.values.msisdn import mask_msisdn, read_msisdn
from edge.values.sms_text import count_segments
from edge.values.ussd import check_code
from edge.worker import work_once

LOOK_S = 0.2
FRESH = timedelta(minutes=3)  # the workers ask it every minute, and it speaks with one at a time


@click.group(cls=BoxGroup)
def modem() -> None:
    """The GSM modem: its network, texts that leave, texts that came."""


@modem.command()
def status() -> None:
    """The modem, its SIM, network, signal and airtime: the workers' last word while it is fresh, else asked now."""
    with asked().box() as told:
        document = _status(told) | _lately(told, datetime.now(UTC))
        show(document, lambda: _status_lines(document))


def _status_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['state']}: {document['words']}"
    if document["cure"]:
        yield f"  {document['cure']}"
    if document["signal_dbm"] is not None and document["state"] != "ok":  # else its words say it
        yield f"signal {document['signal_dbm']} dBm, {document['operator'] or 'no network'}"
    for name, value in document.get("device", {}).items():
        if name == "memories":
            value = ", ".join(f"{fill['memory']} {fill['used']} of {fill['room']}" for fill in value)
        if value not in ("", None, False):
            yield f"  {name.replace('_', ' ')}: {plain(value)}"
    known = document["airtime"]
    if known is not None:
        cents = known["balance_cents"]
        amount = show_money(cents) if cents is not None else "could not be read"
        yield f"airtime {amount}, {known['at']}: {plain(known['words'])}"
    yield f"texts waiting: {document['waiting']}"


@modem.command()
@click.argument("number")
@click.argument("text")
def send(number: str, text: str) -> None:
    """Text a Kenyan NUMBER. It leaves by the workers, once."""
    with asked().box() as told:
        if not told.modem.port:
            raise BadInput("No modem is set up: set [modem] port in edge.toml.", "modem.port")
        if not text.strip():
            raise BadInput("Say something.", "text")
        message = messages.promise(read_msisdn(number), text, datetime.now(UTC), kind="hand")
        bell.ring()
        if told.queue.mode == "inline":
            work_once(told, ("sms",))
        segments = count_segments(text)
        words = f"text {message.id} to {mask_msisdn(message.msisdn)}, {segments} segment{'' if segments == 1 else 's'}"
        show({"message": message.id, "segments": segments}, lambda: iter([f"{words}; see edge modem watch"]))


@modem.command()
@click.argument("code")
@click.option("--wait", "wait_s", type=click.FloatRange(1, 600), default=90, show_default=True, metavar="SECONDS",
              help="Wait at most so long for the answer.")  # fmt: skip
def ussd(code: str, wait_s: float) -> None:
    """Dial a USSD CODE like *144# and tell what the network answers.

    The workers, who have the modem, ask; without workers this command does. It may buy something, so it is dialled
    once. Exit code 1 when nothing came of it within --wait.
    """
    with asked().box() as told:
        if not told.modem.port:
            raise BadInput("No modem is set up: set [modem] port in edge.toml.", "modem.port")
        code = check_code(code)
        document = _ask_workers(code, wait_s) if queues.workers(datetime.now(UTC))["sms"] else _ask_modem(told, code)
        show(document, lambda: iter([plain_lines(document["text"])]))
    if not document["ok"]:
        sys.exit(1)


def _ask_workers(code: str, wait_s: float) -> dict[str, Any]:
    """A promise to whoever has the modem; what comes of it is a row, of no answer too."""
    asked_at = datetime.now(UTC)
    airtime.ask(code, asked_at)
    bell.ring()
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        found = airtime.answer_to(code, asked_at)
        if found is not None:
            return {"ok": True, "code": code, "text": found.words, "by": "workers", **_airtime_view(found)}
        time.sleep(LOOK_S)
    words = f"no answer within {wait_s:g} s; the workers have it in hand: edge queue list --queue sms"
    return {"ok": False, "code": code, "text": words, "by": "workers"}


def _ask_modem(told: Settings, code: str) -> dict[str, Any]:
    devices = Devices(told)
    try:
        answer = devices.modem().ussd(code)
    finally:
        devices.close()
    return {
        "ok": not answer.trouble, "code": code, "text": answer.text or answer.trouble, "by": "this command",
        "mode": answer.mode, "is_menu": answer.is_menu, "raw": answer.raw, "coding": answer.coding,
    }  # fmt: skip


def plain_lines(text: str) -> str:
    """Words of the network, line by line, without what a terminal would obey."""
    return "\n".join(plain(line) for line in text.splitlines())


@modem.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
def inbox(limit: int) -> None:
    """The newest texts that the SIM received, and what came of each."""
    with asked().box() as told:
        rows = incoming_texts.last_ones(limit)
        show({"texts": [_view(row) for row in rows]}, lambda: _incoming(rows, ZoneInfo(told.box.timezone)))


@modem.command()
@WATCH
def watch(every_s: float | None) -> None:
    """The modem, and its newest texts both ways, again and again."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)

        def look() -> tuple[Any, Lines]:
            heard = _heard(told)
            left = list(Message.select().order_by(Message.id.desc()).limit(10))
            came = incoming_texts.last_ones(10)
            document = {
                "modem": heard, "sent": [_sent_view(message) for message in left],
                "texts": [_view(row) for row in came],
            }  # fmt: skip

            def lines() -> Iterator[str]:
                yield f"{heard['state']}: {heard['words']}"
                yield ""
                rows = [(m.id, _clock(m.created_at, zone), mask_msisdn(m.msisdn), m.state, cut(m.words, 50))
                        for m in left]  # fmt: skip
                yield from table(rows, ("sent", "when", "to", "state", "words"))
                yield ""
                yield from _incoming(came, zone)

            return document, lines

        look_again(look, every_s or 2.0, zone)


def _status(told: Settings) -> dict[str, Any]:
    heard = _heard(told)
    if heard["state"] != "unknown" or not told.modem.port:
        return heard
    devices = Devices(told)
    try:
        found = devices.modem().status()
    except DeviceError as reason:
        return _told("problem", str(reason), "check the stick, its SIM and the antenna", None)
    finally:
        devices.close()
    where = f"{found.operator or 'on a network'}, signal {found.signal_dbm} dBm" if found.registered else "no network"
    words = f"{found.manufacturer} {found.model}, IMEI {found.imei}, SIM {found.sim}, {where}"
    told_now = _told("ok" if found.registered else "problem", words, "", datetime.now(UTC))
    return told_now | {"device": asdict(found)}


def _lately(told: Settings, now: datetime) -> dict[str, Any]:
    """What the workers wrote down of it: the last minute's signal, the last word on the airtime, what waits."""
    sample = modem_samples.latest()
    if sample is not None and now - sample.at > FRESH:
        sample = None
    known = airtime.latest()
    return {
        "signal_dbm": sample.signal_dbm if sample is not None else None,
        "operator": sample.operator if sample is not None else "",
        "registered": bool(sample.registered) if sample is not None else None,
        "airtime": _airtime_view(known) if known is not None else None,
        "waiting": text_figures.left(), "port": told.modem.port,
    }  # fmt: skip


def _airtime_view(row: Airtime) -> dict[str, Any]:
    return {
        "at": show_instant(row.at), "balance_cents": row.balance_cents, "ends_at": show_instant(row.ends_at),
        "bundles": row.bundles, "words": row.words,
    }  # fmt: skip


def _heard(told: Settings) -> dict[str, Any]:
    """The workers' last word; unknown when it is old."""
    if not told.modem.port:
        return _told("warning", "no modem is set up", "set [modem] port in edge.toml", None)
    last: Check | None = next((check for check in checks.everything() if check.name == "modem"), None)
    if last is None or datetime.now(UTC) - last.checked_at > FRESH:
        return _told("unknown", "the workers have not asked it lately", "edge worker", None)
    return _told(last.state, last.words, last.cure, last.checked_at)


def _told(state: str, words: str, cure: str, at: datetime | None) -> dict[str, Any]:
    return {"state": state, "words": words, "cure": cure, "checked_at": show_instant(at)}


def _incoming(rows: list[IncomingText], zone: ZoneInfo) -> Iterator[str]:
    heads = ("text", "when", "from", "state", "outcome", "words")
    lines = [(row.id, _clock(row.received_at, zone), plain(incoming_texts.mask_sender(row)), row.state,
              cut(row.outcome, 40),
              cut(_masked(row), 60)) for row in rows]  # fmt: skip
    yield from table(lines, heads)


def _masked(row: IncomingText) -> str:
    return plain(mask(owner_commands.shown(row, _owners())))


def _view(row: IncomingText) -> dict[str, Any]:
    return {
        "id": row.id, "from": incoming_texts.mask_sender(row), "is_name": row.is_name, "smsc": row.smsc,
        "pid": row.pid, "part": row.part, "parts": row.parts, "sent_at": show_instant(row.sent_at),
        "received_at": show_instant(row.received_at), "kind": row.kind, "state": row.state, "outcome": row.outcome,
        "receipt_id": row.receipt_id, "text": mask(owner_commands.shown(row, _owners())),
    }  # fmt: skip


def _sent_view(message: Message) -> dict[str, Any]:
    return {
        "id": message.id, "to": mask_msisdn(message.msisdn), "state": message.state, "words": message.words,
        "created_at": show_instant(message.created_at),
    }  # fmt: skip


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%m-%d %H:%M:%S}"


def _owners() -> owner_commands.Owners:
    told = asked().settings().sms
    return owner_commands.Owners(owner_commands.read_numbers(told.owner_numbers), told.owner_pin)
