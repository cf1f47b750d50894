"""`edge doctor guest`: why one guest is not online, asked of the rows and of his routers themselves."""

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import click

from edge.cli.command import BoxCommand, asked, show
from edge.domain import guest_doctor
from edge.domain.guest_doctor import Examination, Subject
from edge.handlers.guest_doctor import look_at
from edge.models import Router
from edge.own_address import reachable_at
from edge.pages import guest_doctor_words as words
from edge.pages import staff_words
from edge.pages.staff_words import plain
from edge.settings import Settings
from edge.values.guest_look import GuestLook
from edge.values.msisdn import show_msisdn


@click.command(cls=BoxCommand)
@click.argument("who")
def guest(who: str) -> None:
    """Say why a guest is not online: WHO is a phone number, code, device address or M-Pesa receipt.

    Asks his routers now; exits 1 when something stands in his way.
    """
    with asked().box() as told:
        subject = guest_doctor.find(who)
        looks = _ask(subject)
        now = datetime.now(UTC)
        found = guest_doctor.examine(subject, now, looks)
        zone = ZoneInfo(told.box.timezone)
        page = f"{_dashboard(told)}/admin/doctor?{urlencode({'q': who})}"
        show(_document(found, now, zone), lambda: _lines(found, now, zone, page))
        if not found.is_well:
            click.get_current_context().exit(1)


def _ask(subject: Subject) -> dict[int, GuestLook]:
    """All his routers at once: one that is away costs no more than its own time-out."""
    routers = [row for row in guest_doctor.routers_for(subject) if row.username and (subject.name or subject.mac)]
    if not routers:
        return {}

    def look(row: Router) -> GuestLook:
        return look_at(row, subject.name, subject.mac)

    with ThreadPoolExecutor(len(routers)) as pool:
        return dict(zip((row.id for row in routers), pool.map(look, routers), strict=True))


def _dashboard(told: Settings) -> str:
    """Where a browser in the same network finds it."""
    host = told.web.host
    host = reachable_at("" if host.startswith("0.") else host)
    return f"http://{host}:{told.web.port}"


def _lines(found: Examination, now: datetime, zone: ZoneInfo, page: str) -> Iterator[str]:
    yield words.headline(found, lambda then: staff_words.clock(then, now, zone), True)
    yield ""
    for entry in _findings(found, now, zone):
        yield f"{entry['state'].upper():8} {entry['name']}: {entry['words']}"
        if entry["state"] == "problem":
            yield from (f"{'':8}   cure: {_cure(cure, found, page)}" for cure in entry["cures"])


def _cure(cure: str, found: Examination, page: str) -> str:
    """The command that does it; else what to press, and where."""
    if cure == "recheck" and found.subject.payment is not None:
        return f"edge payment recheck {found.subject.payment.id}"
    if cure in ("check", "place") and found.router is not None:
        return f"edge router sync {shlex.quote(plain(found.router.name))}"
    return f"{words.cure_name(cure)}: {page}"


def _document(found: Examination, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    subject = found.subject
    row = subject.payment or subject.grant
    msisdn = row.msisdn if row is not None else ""
    return {
        "well": found.is_well,
        "headline": words.headline(found, lambda then: staff_words.clock(then, now, zone), True),
        "phone": show_msisdn(msisdn) if msisdn else "",
        "payment": subject.payment.id if subject.payment else None,
        "username": subject.name,
        "mac_address": subject.mac,
        "router": found.router.name if found.router else None,
        "findings": _findings(found, now, zone),
    }


def _findings(found: Examination, now: datetime, zone: ZoneInfo) -> list[dict[str, Any]]:
    return [
        {
            "part": one.part, "name": words.part_name(one.part), "state": one.state,
            "words": words.sentence(one, lambda then: staff_words.clock(then, now, zone), True),
            "cures": list(one.cures),
        }
        for one in found.findings
    ]  # fmt: skip
