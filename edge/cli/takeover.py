"""`edge router import` and `edge router export`: a router with users of somebody else's, taken over or given back."""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.bell import bell
from edge.cli.command import BoxCommand, asked, show, table
from edge.devices.router_takeover import RouterTakeover, mark_of
from edge.domain import network, takeover
from edge.domain.takeover import Proposal
from edge.errors import DeviceError, Unreachable
from edge.models import Router
from edge.pages.staff_words import plain
from edge.values.duration import show_duration
from edge.values.foreign_users import ForeignUser
from edge.values.router_export import as_script, as_table, wall_clock
from edge.values.sizes import show_bytes

SHOWN = {"take": "take over", "keep": "leave", "ours": "ours already"}


@click.command("import", cls=BoxCommand)
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--username", default="", help="Another login for this once, like admin, which may see passwords.")
@click.option("--password-stdin", is_flag=True, help="Read its password from standard input.")
def import_command(name: str, dry_run: bool, yes: bool, username: str, password_stdin: bool) -> None:
    """Take over the users that stand on the router NAME, with the time and data they have left.

    Made by Mikhmon or by hand. Shows first what would be done. On the router only comments are changed, nothing is
    removed; whoever can't be taken over stays as he is. It may be repeated, and goes on where it was cut off.
    """
    if asked().as_json and not (yes or dry_run):
        raise click.UsageError("With --json say --yes, or --dry-run.")
    with asked().box() as told:
        row = network.get(name)
        zone = ZoneInfo(told.box.timezone)
        device = _device(row, username, password_stdin)
        try:
            scan = device.scan()
            found = takeover.propose(row, scan, datetime.now(UTC))
            warned = takeover.warnings(scan)
            is_asked = not asked().as_json and not dry_run
            if is_asked:
                _print([*_preview(found, zone), *(f"Note: {words}" for words in warned)])
            count = sum(one.verdict == "take" for one in found)
            is_wanted = not dry_run and count > 0
            if is_wanted and not yes and not click.confirm(f"Take over {count} users of router {row.name}?"):
                return
            taken = _take_over(row, device, found) if is_wanted else 0
        finally:
            device.close()
        _tell(row, found, taken, warned, dry_run, zone)


@click.command("export", cls=BoxCommand)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["rsc", "csv"]), default="rsc", show_default=True,
              help="A RouterOS script, or a table.")  # fmt: skip
def export_command(name: str, form: str) -> None:
    """Write everybody who has time left at the router NAME, with what he has left: for whoever leaves.

    The script adds those whom a router does not have; passwords stand in it.
    """
    with asked().box() as told:
        row = network.get(name)
        now, zone = datetime.now(UTC), ZoneInfo(told.box.timezone)
        leavers = takeover.leavers(row, now)
        if form == "rsc":
            text = as_script(leavers, f"Users of router {row.name}, {now.astimezone(zone):%Y-%m-%d %H:%M}", zone)
        else:
            text = as_table(leavers, zone)
        document = {"router": row.name, "users": len(leavers), "format": form, "text": text}
        if asked().as_json:
            show(document, lambda: iter(()))
        else:
            click.echo(text, nl=False)


def _device(row: Router, username: str, password_stdin: bool) -> RouterTakeover:
    password = row.password
    if username:
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else click.prompt(
            f"Password of {username}", hide_input=True
        )
    return RouterTakeover(row.host, row.port, username or row.username, password, tls=row.tls)


def _take_over(row: Router, device: RouterTakeover, found: list[Proposal]) -> int:
    """Batch by batch: what was done before the router went away stays done."""
    taken = 0
    wanted = iter([one for one in found if one.verdict == "take"])
    while batch := list(islice(wanted, takeover.BATCH)):
        begun = takeover.begin(row, batch, datetime.now(UTC))
        users = {one.user.name: one.user for one in batch}
        marked: list[tuple[int, ForeignUser]] = []
        trouble: DeviceError | None = None
        try:
            for name in device.mark((one, users[one].comment, mark_of(begun[one])) for one in users):
                marked.append((begun[name], users[name]))
        except DeviceError as reason:
            trouble = reason
        taken += takeover.finish(row, marked, datetime.now(UTC))
        if trouble is not None:
            takeover.record_done(row, taken, 0, datetime.now(UTC))
            bell.ring()
            raise Unreachable(f"{trouble}; {taken} users were taken over before that: repeat the import to go on")
    takeover.record_done(row, taken, sum(one.verdict == "keep" for one in found), datetime.now(UTC))
    bell.ring()
    return taken


def _tell(
    row: Router, found: list[Proposal], taken: int, warned: list[str], dry_run: bool, zone: ZoneInfo
) -> None:
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in SHOWN}
    document = {
        "router": row.name, "dry_run": dry_run, "taken": taken, "to_take": counts["take"], "kept": counts["keep"],
        "ours": counts["ours"], "warnings": warned, "users": [_view(one) for one in found if one.verdict != "ours"],
    }  # fmt: skip

    def lines() -> Iterator[str]:
        if dry_run:
            yield from _preview(found, zone)
            yield from (f"Note: {words}" for words in warned)
            yield f"Nothing was changed. {counts['take']} users would be taken over, {counts['keep']} left as they are."
        else:
            yield f"{taken} users taken over, {counts['keep']} left as they are, {counts['ours']} ours already."

    show(document, lines)


def _preview(found: list[Proposal], zone: ZoneInfo) -> Iterator[str]:
    """Who is taken over with what, who is left and why; ours are only counted."""
    shown = [one for one in found if one.verdict != "ours"]
    if not shown:
        yield "There is nobody on this router but guests of the box."
        return
    rows = [
        (SHOWN[one.verdict], _short(one.user.name, 24), _short(one.user.profile, 18),
         plain(one.words) if one.verdict == "keep" else _what_is_left(one, zone))
        for one in shown
    ]  # fmt: skip
    yield from table(rows, ("", "user", "profile", "what is left, or why not"))


def _what_is_left(one: Proposal, zone: ZoneInfo) -> str:
    parts = [f"{show_duration(one.seconds)} online" if one.metered else show_duration(one.seconds)]
    if one.bytes is not None:
        parts.append(show_bytes(one.bytes))
    if one.ends_at is not None:
        parts.append(f"until {wall_clock(one.ends_at, zone)}")
    return ", ".join(parts)


def _view(one: Proposal) -> dict[str, Any]:
    return {
        "username": one.user.name, "profile": one.user.profile, "comment": one.user.comment, "verdict": one.verdict,
        "words": one.words, "seconds": one.seconds, "bytes": one.bytes, "metered": one.metered,
        "ends_at": one.ends_at.isoformat() if one.ends_at else None, "plan": one.offer.name if one.offer else None,
    }  # fmt: skip


def _short(text: str, most: int) -> str:
    shown = plain(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
