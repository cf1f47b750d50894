"""Texts that came in, judged; and a router restarted because the owner texted so."""

from datetime import datetime
from zoneinfo import ZoneInfo

from edge.devices import router_reboot
from edge.domain import keywords, owner_commands, reboots, wishes
from edge.errors import Refused
from edge.handlers.world import World, WriteDown
from edge.models import Router
from edge.settings import Settings


def rules_of(settings: Settings) -> keywords.Rules:
    """What the settings say of texts that come in."""
    zone = ZoneInfo(settings.box.timezone)
    owners = owner_commands.Owners(
        owner_commands.read_numbers(settings.sms.owner_numbers), settings.sms.owner_pin, zone
    )  # fmt: skip
    return keywords.Rules(settings.sms.replies, owners, zone)


def answer_text(world: World, now: datetime, text_id: int) -> WriteDown | None:
    """Judge one text and do what it wants."""
    return lambda then: keywords.answer(text_id, rules_of(world.settings), then)


def reboot_router(
    world: World, now: datetime, router_id: int, text_id: int, asked_at: float | None = None
) -> WriteDown | None:
    """Restart one router, soon after it was asked for or not at all."""
    wishes.refuse_if_stale(asked_at, now)
    row = Router.get_or_none(Router.id == router_id)
    if row is None:
        return None
    if not row.username:
        raise Refused(f"the box has no API user on {row.name}")
    router_reboot.reboot(world.router(row).conversation)
    return lambda then: reboots.record_done(router_id, text_id, then)
