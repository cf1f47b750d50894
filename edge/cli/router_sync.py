"""`edge router sync`: compare a router with what is owed there now, and have the difference mended."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from edge.bell import bell
from edge.cli.command import BoxCommand, asked, show
from edge.domain import comparison, convergence, network, strangers
from edge.domain.comparison import Look
from edge.errors import BadInput
from edge.handlers.world import open_router
from edge.models import Router


@click.command("sync", cls=BoxCommand)
@click.argument("name")
def sync_command(name: str) -> None:
    """Compare the router NAME with what guests have paid for, and have the workers mend it.

    The box does so by itself every minute; this is for who will not wait. Users that this box did not let in are
    counted, and left alone.
    """
    with asked().box():
        row = network.get(name)
        if not row.username:
            raise BadInput(f"{name} has no API user: the box can't look at it. It asks RADIUS for each guest.", "name")
        now = datetime.now(UTC)
        look = _look(row, now)
        convergence.record(row.id, look, now)
        strangers.record(row.id, look.strangers, now)
        bell.ring()
        show(_document(row, look), lambda: _lines(row, look))


def _look(row: Router, now: datetime) -> Look:
    device = open_router(row)
    try:
        users = device.users()
        return comparison.look_at(row.id, users, device.active(), now)
    finally:
        device.close()


def _document(row: Router, look: Look) -> dict[str, Any]:
    return {
        "router": row.name, "mended": len(look.wanted), "reasons": dict(Counter(look.wanted.values())),
        "over": len(look.over) + len(look.ghosts), "strangers": len(look.strangers),
    }  # fmt: skip


def _lines(row: Router, look: Look) -> Iterator[str]:
    for words, count in Counter(look.wanted.values()).most_common():
        yield f"{count} × {words}"
    if look.wanted:
        yield f"The workers are bringing {row.name} {len(look.wanted)} guests now: edge queue status"
    if look.over or look.ghosts:
        yield f"{len(look.over) + len(look.ghosts)} guests whose time or data is over are taken off."
    if look.strangers:
        yield f"{len(look.strangers)} users of {row.name} were not let in by this box; they are left alone."
    if not look.wanted and not look.over and not look.ghosts:
        yield f"{row.name} has everybody as it should."
