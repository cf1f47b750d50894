"""`edge sessions`: who is online, and logging a device out."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from edge.bell import bell
from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import network
from edge.domain import sessions as stays
from edge.domain.sessions import Online
from edge.errors import BadInput
from edge.values.codes import mask_code
from edge.values.duration import show_duration
from edge.values.mac import is_private


class WithList(BoxGroup):
    """Without a verb the list is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`edge sessions --router gate` is `edge sessions list --router gate`."""
        is_said = any(word in self.commands or word in ("--help", "-h") for word in args)
        return super().parse_args(ctx, args if is_said else ["list", *args])


@click.group(cls=WithList)
def sessions() -> None:
    """Who is online; `edge sessions` alone lists them."""


@sessions.command("list")
@click.option("--router", "router_name", metavar="NAME", help="Only at this router.")
def list_sessions(router_name: str | None) -> None:
    """Everybody who is online, as the routers told last, the newest first."""
    with asked().box():
        router = network.get(router_name) if router_name else None
        found = stays.live(datetime.now(UTC), router=router, limit=100_000).rows

        def lines() -> Iterator[str]:
            heads = ("session", "router", "code", "plan", "device", "address", "online", "left", "Mbit/s", "MB")
            yield from table([_line(online) for online in found], heads)
            yield "" if found else "Nobody is online."

        show({"sessions": [_view(online) for online in found]}, lines)


@sessions.command()
@click.argument("code_or_mac")
def kick(code_or_mac: str) -> None:
    """Log a guest out: every device of a CODE or phone number, or the one with this MAC. He may log in again."""
    with asked().box():
        now = datetime.now(UTC)
        found = stays.open_ones(code_or_mac)
        if not found:
            raise BadInput(f"Nobody is online as {code_or_mac}. `edge sessions` lists who is.", "code_or_mac")
        for session in found:
            stays.kick(session, now, "the command line")
        bell.ring()
        count = len(found)
        words = f"{count} device{'' if count == 1 else 's'} will be logged out as soon as the router answers."
        show({"kicked": [session.id for session in found]}, lambda: iter([words]))


def _line(online: Online) -> tuple[Any, ...]:
    session = online.session
    speed = f"{session.bps_out / 1e6:.1f}" if online.is_heard else "not heard of"
    device = session.mac + (" (private)" if is_private(session.mac) else "")
    return (
        session.id, online.router, _code(online), online.plan, device, session.ip, show_duration(session.seconds),
        "" if online.left_s is None else show_duration(online.left_s), speed,
        round((session.bytes_in + session.bytes_out) / 1e6, 1),
    )  # fmt: skip


def _code(online: Online) -> str:
    """Codes open doors: only what nobody here granted is told whole."""
    return mask_code(online.session.username) if online.grant else online.session.username


def _view(online: Online) -> dict[str, Any]:
    session = online.session
    return {
        "id": session.id, "router": online.router, "source": session.source, "code": _code(online),
        "plan": online.plan or None, "mac": session.mac, "private_mac": is_private(session.mac), "ip": session.ip,
        "started_at": session.started_at.isoformat(), "seen_at": session.seen_at.isoformat(),
        "seconds": session.seconds, "seconds_left": online.left_s, "bytes_in": session.bytes_in,
        "bytes_out": session.bytes_out, "bps_in": session.bps_in, "bps_out": session.bps_out,
        "heard": online.is_heard,
    }  # fmt: skip
