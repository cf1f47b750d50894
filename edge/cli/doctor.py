"""`edge doctor`: every part of the box, what is wrong with it, why, and the cure."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click
import requests

from edge import boot, database, delivery, holder
from edge.cli import doctor_texts
from edge.cli.command import BoxCommand, BoxGroup, asked, show
from edge.cli.guest_doctor import guest
from edge.devices import radius
from edge.devices.opening import Devices
from edge.domain import breakers, clock, network, org_requests, plans, queues, trials
from edge.errors import BadInput, DeviceError, EdgeError
from edge.handlers.world import open_router
from edge.models import Check, Heartbeat, Job, Payment, Plan, Staff
from edge.models import Router as RouterRow
from edge.settings import Settings
from edge.values.mpesa_urls import url_faults

FRESH = timedelta(minutes=2)
LEAST_FREE = 100 * 1024 * 1024
SPAN = re.compile(r"(\d+)([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Finding:
    """What was found of one part: `ok`, `warning` or `problem`, why, and the cure."""

    part: str
    state: str
    words: str
    cure: str = ""


@click.group(cls=BoxGroup, invoke_without_command=True)
@click.option("--since", default="1h", show_default=True, help="How far to look back for failures: 30m, 1h, 2d.")
@click.pass_context
def doctor(context: click.Context, since: str) -> None:
    """Check every part and say what is wrong, why, and the cure; exits 1 when something is broken."""
    if context.invoked_subcommand is None:
        BoxCommand("doctor", callback=_whole_box).invoke(context)


def _whole_box(since: str) -> None:
    span = SPAN.fullmatch(since)
    if span is None:
        raise click.BadParameter("write it like 30m, 1h or 2d", param_hint="--since")
    findings = list(_look(timedelta(**{UNITS[span[2]]: int(span[1])})))
    healthy = all(finding.state != "problem" for finding in findings)
    document = {"healthy": healthy, "findings": [asdict(finding) for finding in findings]}
    show(document, lambda: _lines(findings))
    if not healthy:
        click.get_current_context().exit(1)


doctor.add_command(guest)


def _lines(findings: list[Finding]) -> Iterator[str]:
    for found in findings:
        yield f"{found.state.upper():8} {found.part}: {found.words}"
        if found.cure and found.state != "ok":
            yield f"{'':8}   cure: {found.cure}"


def _look(span: timedelta) -> Iterator[Finding]:
    """From the settings outwards; without settings or database there is nothing further to look at."""
    try:
        told = asked().settings()
    except EdgeError as reason:
        yield Finding("settings", "problem", str(reason), "mend the lines named, then ask again")
        return
    yield Finding("settings", "ok", f"read, state folder {told.state}")
    try:
        boot.open_box(told)
    except EdgeError as reason:
        yield Finding("database", "problem", str(reason), "for a new box: `edge init`")
        return
    try:
        now = datetime.now(UTC)
        for look in LOOKS:
            yield from look(told, now, span)
    finally:
        boot.close_box()


def _database(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    for state, words, cure in database.health():
        yield Finding("database", state, words, cure)
    for state, words, cure in delivery.health(told.delivery_url):
        yield Finding("other machines", state, words, cure)


def _providers(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    """Whom the box leaves alone for a while, because calling them failed again and again."""
    for row in breakers.everything():
        if row.state != "closed":
            words = f"left alone after {row.failures} failures in a row: {row.words}"
            yield Finding(row.name, "warning", words, "it is tried again by itself, at least once a minute")


def _disk(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    free = shutil.disk_usage(told.state).free
    words = f"{free // 1024 // 1024:,} MiB free where the box keeps its state"
    if free < LEAST_FREE:
        yield Finding("disk", "problem", words, "make room, or the box can't keep sales: old backups, logs, archives")
    else:
        yield Finding("disk", "ok", words)


def _clock(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    row = clock.state()
    if row is None:
        yield Finding("clock", "warning", "no worker has judged it yet", "start the workers: `edge run`")
    elif not row.trusted:
        yield Finding("clock", "warning", row.words, "connect the internet for NTP, or a router with the right time")
    else:
        yield Finding("clock", "ok", row.words)


def _shop(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    on_sale = Plan.select().where(Plan.on_sale).count()
    yield Finding("plans", "ok", f"{on_sale} on sale") if on_sale else Finding(
        "plans", "problem", "nothing is on sale", "`edge init` writes a sample price list into an empty box"
    )
    if any(trials.is_wanted(plan) for plan in plans.everything()):
        words = "there is a free trial, and nobody can get it: its code goes by text, and no modem is set up"
        yield Finding("free trial", "warning", words, "set [modem] port in edge.toml, or hide the plan")
    if not Staff.select().where(Staff.role == "owner").exists():
        yield Finding("owner", "problem", "nobody can sign in", "`edge init --owner NAME`")


def _web(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    host = "127.0.0.1" if told.web.host in ("0.0.0.0", "::", "") else told.web.host
    url = f"http://{host}:{told.web.port}/health"
    try:
        answer = requests.get(url, timeout=5)
        is_ours = answer.status_code == 200 and answer.json().get("status") == "ok"
    except (requests.RequestException, ValueError):
        yield Finding("web", "problem", f"{url} does not answer", "start it: `edge run`, or systemctl start edge-web")
        return
    if is_ours:
        yield Finding("web", "ok", f"{url} answers")
    else:
        yield Finding("web", "problem", f"something else answers at {url}", "set [web] port to a free one")


def _workers(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    state = queues.status(now)
    fresh = Heartbeat.select().where(Heartbeat.seen_at > now - queues.ALIVE_FOR)
    alive = sum(not holder.is_gone(beat.holder) for beat in fresh)
    if not alive:
        yield Finding("workers", "problem", "nobody works", "start them: `edge run`, or systemctl start edge-worker")
    elif not state["healthy"]:
        yield Finding("workers", "problem", "; ".join(state["reasons"]), "`edge queue status` shows which queue")
    else:
        yield Finding("workers", "ok", f"{alive} process{'es' if alive > 1 else ''} at work")


def _failures(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    of_others = Job.queue != "sms"  # which says for itself what a text may still need
    failed = Job.select().where(Job.state == "failed", Job.finished_at > now - span, of_others).count()
    stuck = Payment.select().where(Payment.state == "pending", Payment.created_at < now - timedelta(minutes=5)).count()
    if failed or stuck:
        words = f"{failed} jobs failed lately" + (f", {stuck} payments wait to be asked for" if stuck else "")
        yield Finding("work", "warning", words, "`edge queue failed` tells why; `edge queue retry all` tries again")
    else:
        yield Finding("work", "ok", "nothing failed lately")


def _mpesa(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    mode = told.mpesa.mode
    way = "called back" if told.web.public_url else "pull mode: the box asks"
    yield from _mpesa_addresses(told)
    if mode == "simulated":
        yield Finding("M-Pesa", "warning", f"simulated, no real money moves; {way}", 'to sell: [mpesa] mode = "live"')
        if not told.mpesa.base_url:
            return
    cure = "check [mpesa] in edge.toml and the internet connection"
    yield _heard_or_ask("mpesa", "M-Pesa", now, cure, lambda: _ask_mpesa(told))


def _mpesa_addresses(told: Settings) -> Iterator[Finding]:
    """Would M-Pesa take our public address, and does it tell us of payments by hand?"""
    public, is_real = told.web.public_url, told.mpesa.mode in ("sandbox", "live")
    faults = url_faults(public, live=told.mpesa.mode == "live") if public and is_real else []
    if faults:
        words = f"M-Pesa would refuse [web] public_url: {'; '.join(faults)}"
        yield Finding("M-Pesa address", "problem", words, "give the box another address, or leave public_url empty")
    if told.mpesa.c2b == "off":
        return
    if not public:
        cure = 'set [web] public_url, or [mpesa] c2b = "off"'
        yield Finding("M-Pesa by hand", "problem", "M-Pesa can't tell of payments: the box has no public_url", cure)
        return
    done = org_requests.registered(told.mpesa.shortcode)
    if done is None:
        words = "M-Pesa was not asked to tell of payments that guests begin themselves"
        yield Finding("M-Pesa by hand", "warning", words, "edge mpesa register")
    else:
        yield Finding("M-Pesa by hand", "ok", f"registered on {done.closed_at:%Y-%m-%d}")


def _ask_mpesa(told: Settings) -> str:
    devices = Devices(told)
    try:
        devices.mpesa().check()
    finally:
        devices.close()
    return "the keys open the door"


def _modem(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    if not told.modem.port:  # whether texts leave some other way, `_texts` says
        return
    cure = "check the stick, its SIM and the antenna"
    yield _heard_or_ask("modem", "modem", now, cure, lambda: _ask_modem(told))


def _ask_modem(told: Settings) -> str:
    devices = Devices(told)
    try:
        status = devices.modem().status()
    finally:
        devices.close()
    if not status.registered:
        raise BadInput("the SIM is not registered on a network")
    return f"{status.operator or 'registered'}, signal {status.signal_dbm} dBm"


def _texts(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    for found in doctor_texts.findings(told, now, span):
        yield Finding(*found)


def _radius(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    if not told.radius.enabled or not RouterRow.select().where(RouterRow.mode == "radius").exists():
        return
    if not radius.installed():
        yield Finding("RADIUS", "problem", "FreeRADIUS is not installed", "sudo apt-get install freeradius")
        return
    heard = Check.get_or_none(Check.name == "radius")
    if heard is None or now - heard.checked_at > FRESH:
        yield Finding("RADIUS", "warning", "the workers, who start it, have not told of it lately", "`edge run`")
    else:
        yield Finding("RADIUS", _state(heard), heard.words, heard.cure)


def _routers(told: Settings, now: datetime, span: timedelta) -> Iterator[Finding]:
    rows = network.routers()
    if not rows:
        yield Finding("routers", "problem", "there is none: nobody can be let in", "edge router add NAME HOST")
    for row in rows:
        if row.mode == "radius" and not row.username:
            yield Finding(f"router {row.name}", "ok", "asks the box by RADIUS; no API user is set up to look at it")
            continue
        ask, cure = partial(_ask_router, row), network.cure_of(row)
        yield _heard_or_ask(f"router:{row.name}", f"router {row.name}", now, cure, ask)


def _ask_router(row: RouterRow) -> str:
    device = open_router(row)
    try:
        facts = device.facts()
    finally:
        device.close()
    if not facts.hotspot_ok:
        raise BadInput(facts.hotspot_words)
    return f"RouterOS {facts.version}, hotspot is running"


def _heard_or_ask(name: str, part: str, now: datetime, cure: str, ask: Callable[..., str]) -> Finding:
    """The workers' last word while it is fresh (the modem speaks with one at a time), else ask now."""
    heard: Any = Check.get_or_none(Check.name == name)
    if heard is not None and now - heard.checked_at < FRESH:
        return Finding(part, _state(heard), heard.words, heard.cure or cure)
    try:
        return Finding(part, "ok", ask())
    except (DeviceError, BadInput) as reason:
        return Finding(part, "problem", str(reason), cure)


def _state(heard: Check) -> str:
    return {"ok": "ok", "problem": "problem"}.get(heard.state, "warning")


LOOKS = (
    _database, _disk, _clock, _shop, _web, _workers, _failures, _providers, _mpesa, _modem, _texts, _radius,
    _routers,
)  # fmt: skip
