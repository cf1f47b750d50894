"""`edge device`: TVs and consoles that come in by their MAC, on a guest's time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from edge.bell import bell
from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import guest_devices
from edge.errors import BadInput
from edge.models import Grant, Router
from edge.network_models import Device
from edge.values.codes import mask_code


@click.group(cls=BoxGroup)
def device() -> None:
    """TVs and consoles that come in by their MAC, on a guest's time."""


@device.command()
@click.argument("code")
@click.argument("mac")
@click.option("--label", default="", help="A name for it.")
def add(code: str, mac: str, label: str) -> None:
    """Let the device MAC in on the time of the guest with this CODE, within his plan."""
    with asked().box():
        grant = Grant.get_or_none(Grant.username == code.strip().upper()) or Grant.get_or_none(Grant.username == code)
        if grant is None:
            raise BadInput(f"There is no code {code}.", "code")
        row = guest_devices.add(grant, mac, label, "owner", datetime.now(UTC))
        bell.ring()
        deaf = [router.name for router in Router.select() if guest_devices.lets_in_by_mac(router) is False]

        def lines() -> Iterator[str]:
            yield f"{row.mac} may come in on the time of {mask_code(grant.username)}."
            if deaf:
                yield f"No login by MAC yet at: {', '.join(deaf)}. `edge router setup` switches it on."

        show({**_view(row), "without_mac_login": deaf}, lines)


@device.command("list")
def list_devices() -> None:
    """All that were added, and on whose time."""
    with asked().box():
        views = [_view(row) for row in guest_devices.everything()]

        def lines() -> Iterator[str]:
            rows = [(v["mac"], v["label"], v["code"], v["state"], v["added_by"]) for v in views]
            yield from table(rows, ("mac", "name", "code", "time", "added by"))

        show({"devices": views}, lines)


@device.command()
@click.argument("mac")
def remove(mac: str) -> None:
    """Take the device MAC off."""
    with asked().box():
        row = guest_devices.get(mac)
        guest_devices.remove(row, "owner", datetime.now(UTC))
        bell.ring()
        show({"removed": row.mac}, lambda: iter([f"{row.mac} is taken off."]))


def _view(row: Device) -> dict[str, Any]:
    return {
        "mac": row.mac, "label": row.label, "code": mask_code(row.grant.username), "state": row.grant.state,
        "added_by": row.added_by, "created_at": row.created_at.isoformat(),
    }  # fmt: skip
