"""`edge router`: the routers that let guests in."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from edge.bell import bell
from edge.cli.command import BoxGroup, asked, show, table
from edge.cli.router_setup import script_command, setup_command
from edge.cli.router_sync import sync_command
from edge.cli.takeover import export_command, import_command
from edge.domain import checks, network, setup
from edge.errors import DeviceError
from edge.handlers.world import open_router
from edge.models import Check, Router
from edge.values.hotspot import RouterFacts

PORT = click.option(
    "--port", type=click.IntRange(1, 65535), default=8728, show_default=True,
    help="Of the RouterOS API; 8729 with --tls.",
)  # fmt: skip


@click.group(cls=BoxGroup)
def router() -> None:
    """The routers that let guests in."""


router.add_command(setup_command)
router.add_command(script_command)
router.add_command(sync_command)
router.add_command(import_command)
router.add_command(export_command)


@router.command()
@click.argument("name")
@click.argument("host")
@PORT
@click.option("--tls", is_flag=True, help="Speak the API over TLS.")
@click.option("--username", default="edge", show_default=True, help="The API user on the router.")
@click.option("--password", help="The API user's password; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--mode", type=click.Choice(["local", "radius"]), default="local", show_default=True)
@click.option("--radius-secret", default="", help="For mode radius; made up when left out.")
@click.option("--hotspot-server", default="", help="Only this hotspot server of the router.")
@click.option("--login-url", default="", help="The router's own login page, like http://login.wifi/login.")
def add(name: str, host: str, password: str | None, password_stdin: bool, **values: Any) -> None:
    """Add the router NAME at address HOST."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif password is None:
        password = click.prompt("Password of the API user", hide_input=True)
    with asked().box() as told:
        network.check_mode(values["mode"], is_file=told.database.is_file)
        row = setup.add_router(datetime.now(UTC), name=name, host=host, password=password, **values)
        bell.ring()

        def lines() -> Iterator[str]:
            yield f"Router {row.name} at {row.host} added, mode {row.mode}. Try it: edge router check {row.name}"
            yield f"Then set it up: edge router setup {row.name} (or, if it can't be reached yet: edge router script)"
            if row.mode == "radius":
                yield f"Its RADIUS secret: {row.radius_secret}"

        secret = {"radius_secret": row.radius_secret} if row.mode == "radius" else {}
        show({**_view(row), **secret}, lines)


@router.command("list")
def list_routers() -> None:
    """All routers, and what the workers last heard of them."""
    with asked().box():
        views = [_view(row) for row in network.routers()]

        def lines() -> Iterator[str]:
            rows = [(v["name"], v["host"], v["mode"], v["state"], v["words"]) for v in views]
            yield from table(rows, ("name", "host", "mode", "state", "last heard"))

        show({"routers": views}, lines)


@router.command()
@click.argument("name", required=False)
def check(name: str | None) -> None:
    """Ask a router (or all of them) now, and say what it answers."""
    with asked().box():
        rows = [network.get(name)] if name else network.routers()
        found = [_ask(row) for row in rows]
        for row, entry in zip(rows, found, strict=True):  # pages and the doctor hear of it as well
            checks.record_router(row.id, entry["ok"], entry["words"], datetime.now(UTC), network.cure_of(row))

        def lines() -> Iterator[str]:
            for entry in found:
                yield f"{'OK     ' if entry['ok'] else 'PROBLEM'} {entry['name']}: {entry['words']}"
            if not found:
                yield "There is no router yet: edge router add NAME HOST"

        show({"routers": found}, lines)
        if not all(entry["ok"] for entry in found):
            click.get_current_context().exit(1)


@router.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a router; guests keep what they paid for."""
    with asked().box():
        guests = network.guests_on(network.get(name))
        network.remove(name, datetime.now(UTC))

        def lines() -> Iterator[str]:
            yield f"Router {name} is forgotten."
            if guests:
                yield f"{guests} guests stay on it until their time there is over; the box looks after them no more."

        show({"removed": name, "guests": guests}, lines)


def _ask(row: Router) -> dict[str, Any]:
    device = open_router(row)
    try:
        facts = device.facts()
    except DeviceError as reason:
        return {"name": row.name, "ok": False, "words": str(reason)}
    finally:
        device.close()
    return {"name": row.name, "ok": facts.hotspot_ok, "words": _words(facts), **_plain(facts)}


def _plain(facts: RouterFacts) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(facts).items()}


def _words(facts: RouterFacts) -> str:
    return facts.hotspot_words or f"RouterOS {facts.version} on {facts.board}, hotspot is running"


def _view(row: Router) -> dict[str, Any]:
    known: Check | None = next((c for c in checks.everything() if c.name == f"router:{row.name}"), None)
    return {
        "name": row.name, "host": row.host, "port": row.port, "tls": row.tls, "mode": row.mode,
        "username": row.username, "login_url": row.login_url, "from_settings": row.from_settings,
        "guests": network.guests_on(row), "state": known.state if known else "unknown",
        "words": known.words if known else "not asked yet",
        "checked_at": known.checked_at.isoformat() if known else None,
    }  # fmt: skip
