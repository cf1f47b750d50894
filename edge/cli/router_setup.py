"""`edge router setup` and `edge router script`: a router brought to what the box needs, at once or by a pasted line."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from edge.cli.command import BoxCommand, asked, show
from edge.devices.router_setup import Outcome, RouterSetup
from edge.domain import network, setup
from edge.errors import BadInput, DeviceError, EdgeError
from edge.handlers import router_setup as setting_up
from edge.handlers.router_setup import Found, Login
from edge.models import Router
from edge.settings import Settings
from edge.values.networks import is_host
from edge.values.router_findings import Finding
from edge.values.router_script import paste_line
from edge.values.router_script import script as script_of
from edge.values.router_setup import Change, Wish

LEVELS = {"problem": "PROBLEM", "warning": "WARNING", "note": "NOTE   "}


@click.command("setup", cls=BoxCommand)
@click.argument("name")
@click.option("--interface", help="Where guests are, when the router has no hotspot yet.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--dry-run", is_flag=True, help="Only show what is wrong and what would change.")
@click.option("--undo", "is_undo", is_flag=True, help="Put back what was changed, and take away what was added.")
@click.option("--box", default="", metavar="ADDRESS", help="The box's address as the router sees it; else found out.")
@click.option("--username", default="", help="Another login for this once, like admin; the box does not keep it.")
@click.option("--password-stdin", is_flag=True, help="Read its password from standard input.")
def setup_command(
    name: str, interface: str | None, yes: bool, dry_run: bool, is_undo: bool, box: str, username: str,
    password_stdin: bool,
) -> None:  # fmt: skip
    """Set the router NAME up: hotspot, login page, RADIUS, walled garden, clock. Shows all changes before it asks.

    The first time needs a login that may make users (policy), like admin. The box makes a user of few rights for
    itself, and comes as that one from then on.
    """
    if asked().as_json and not (yes or dry_run):
        raise click.UsageError("With --json say --yes, or --dry-run.")
    if box and not is_host(box):
        raise click.BadParameter("The box's address looks like 192.168.88.10.", param_hint="--box")
    with asked().box() as told:
        row = setup.prepare(network.get(name).id, interface)
        if box:
            setup.name_place(row.id, f"{box}:{told.web.port}")
        login = _login(row, username, password_stdin)
        with setting_up.device_of(row, login) as device:
            wish = setting_up.wish_of(told, row, login.username, box)
            if is_undo:
                _undo(row, device, wish, yes=yes, dry_run=dry_run)
            else:
                _set_up(row, device, wish, login, yes=yes, dry_run=dry_run)


def _login(row: Router, username: str, password_stdin: bool) -> Login:
    if not username:
        return setting_up.login_of(row)
    setup.check_words({"username": username})
    if password_stdin:
        return Login(username, sys.stdin.readline().rstrip("\r\n"))
    return Login(username, click.prompt(f"Password of {username} on the router", hide_input=True))


def _set_up(row: Router, device: RouterSetup, wish: Wish, login: Login, *, yes: bool, dry_run: bool) -> None:
    found = _look(row, device, wish)
    outcome = Outcome()
    is_hidden = asked().as_json
    if not is_hidden:
        _show_found(found)
    if found.changes and not dry_run and (yes or click.confirm("Do all this?")):
        outcome = setting_up.apply(device, row, found, _tick)
        setup.record_done(row.id, outcome.done, outcome.left, datetime.now(UTC), "edge router setup")
        found = _look_after(row, login, wish, found)
    show(_document(row, found, outcome), lambda: _ending(row, found, outcome, dry_run))
    if outcome.left or any(finding.level == "problem" for finding in found.findings):
        click.get_current_context().exit(1)


def _look(row: Router, device: RouterSetup, wish: Wish) -> Found:
    found = setting_up.look(device, wish, datetime.now(UTC))
    setup.record_look(row.id, found.findings, found.changes, found.interfaces, datetime.now(UTC))
    return found


def _look_after(row: Router, login: Login, wish: Wish, found: Found) -> Found:
    """How it is now, by the wish as it is now: the box knows what it has given."""
    fresh = network.get(row.name)
    again = setup.rewish(wish, fresh)
    with setting_up.device_of(row, login) as device:
        try:
            return _look(fresh, device, again)
        except DeviceError:  # it may no longer take this login, and needs not
            return found


def _show_found(found: Found) -> None:
    for finding in found.findings:
        click.echo(f"{LEVELS[finding.level]} {finding.words}\n        → {finding.cure}")
    if found.changes:
        click.echo(f"To change on the router ({len(found.changes)}):")
    for change in found.changes:
        click.echo(f"  {'+' if change.verb == 'add' else '~'} {change.line}")


def _tick(change: Change) -> None:
    if not asked().as_json:
        click.echo(f"  done: {change.words}")


def _ending(row: Router, found: Found, outcome: Outcome, dry_run: bool) -> Iterator[str]:
    for change, words in outcome.left:
        yield f"PROBLEM not done: {change.words}. The router says: {words}"
    if outcome.done:
        yield f"Router {row.name} is set up: {len(outcome.done)} changes."
        yield f"To put them back: edge router setup {row.name} --undo"
    elif not found.changes:
        yield f"Router {row.name} is as it should be: nothing to change."
    elif dry_run:
        yield "Nothing was changed."


def _document(row: Router, found: Found, outcome: Outcome) -> dict[str, Any]:
    return {
        "router": row.name,
        "findings": [_plain(finding) for finding in found.findings],
        "changes": [change.line for change in found.changes],
        "done": [change.line for change in outcome.done],
        "left": [{"change": change.line, "words": words} for change, words in outcome.left],
    }


def _plain(finding: Finding) -> dict[str, str]:
    return {key: str(value) for key, value in asdict(finding).items()}


def _undo(row: Router, device: RouterSetup, wish: Wish, *, yes: bool, dry_run: bool) -> None:
    changes, barred = setting_up.way_back(device, row, wish)
    if not asked().as_json:
        for change in changes:
            click.echo(f"  ~ {change.line}")
    outcome = Outcome()
    if changes and not dry_run and (yes or click.confirm("Put all this back?")):
        outcome = setting_up.put_back(device, changes, wish, _tick)
        stay = barred + [change.key for change, _ in outcome.left]
        kept = (row.username, row.password)  # a login that was said for once is not kept
        setup.record_undone(row.id, outcome.done, stay, datetime.now(UTC), kept, "edge router setup")
    document = {
        "router": row.name, "changes": [change.line for change in changes], "barred": barred,
        "done": [change.line for change in outcome.done],
        "left": [{"change": change.line, "words": words} for change, words in outcome.left],
    }  # fmt: skip
    show(document, lambda: _undo_ending(row, changes, barred, outcome))
    if outcome.left:
        click.get_current_context().exit(1)


def _undo_ending(row: Router, changes: list[Change], barred: list[str], outcome: Outcome) -> Iterator[str]:
    for change, words in outcome.left:
        yield f"PROBLEM not put back: {change.words}. The router says: {words}"
    if not changes and not barred:
        yield f"There is nothing to put back on {row.name}."
    if outcome.done:
        yield f"Router {row.name} is as it was before: {len(outcome.done)} changes put back."
    if any(change.menu == "/user" and change.find.get("name") == row.username for change in outcome.done):
        yield f"The box has no login there any more. To set it up again: edge router setup {row.name} --username admin"
    if barred:
        yield "The box's own user and group stay: only a login with policy may take them away (--username admin)."


# The script.


@click.command("script", cls=BoxCommand)
@click.argument("name")
@click.option("--url", default="", help="Where the router finds the box, like http://192.168.88.10:8080.")
@click.option("--interface", help="Where guests are, when the router has no hotspot yet and several bridges.")
@click.option("--whole", is_flag=True, help="Print the script itself; the box comes as the user in it from then on.")
def script_command(name: str, url: str, interface: str | None, whole: bool) -> None:
    """For a router that the box can't reach yet: the line to paste into the terminal of router NAME.

    The line works once, within 24 hours, on RouterOS 6 and 7.
    """
    with asked().box() as told:
        row = network.get(name)
        box, port = _place(url, told, row)
        token = setup.issue_script(row, datetime.now(UTC), box, port, interface)
        if whole:
            setup.open_script(token, datetime.now(UTC))
            text = script_of(setting_up.wish_at(told, network.get(name), "", box, port))
            show({"router": name, "script": text}, lambda: iter(text.splitlines()))
            return
        line = paste_line(f"http://{box}:{port}/setup/{token}.rsc")
        show({"router": name, "line": line}, lambda: _script_lines(row, line))


def _script_lines(row: Router, line: str) -> Iterator[str]:
    yield f"Paste this into a terminal of {row.name} (WinBox: New Terminal, or ssh), logged in as admin."
    yield "It works once, within 24 hours. It fetches secrets by plain http: paste it while nobody listens."
    yield ""
    yield line
    yield ""
    yield f"Then: edge router setup {row.name} does the rest. What the line does, --undo can't put back."


def _place(url: str, told: Settings, row: Router) -> tuple[str, int]:
    """Where the router finds the box."""
    if not url:
        try:
            return setting_up.box_address(told, row), told.web.port
        except EdgeError as reason:
            raise BadInput(
                f"{reason}. Say where the router finds the box: --url http://192.168.88.10:8080", "url"
            ) from None
    return setup.read_box_url(url)
