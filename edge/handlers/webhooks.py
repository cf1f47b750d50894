"""A kept call settled: one whose first settlement broke or was cut off, or one that a person wants replayed."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from edge.devices.mpesa_read import read_c2b, read_org_result, read_stk_result, read_timeout
from edge.devices.paystack import SIGNATURE, read_notice
from edge.domain import confirmations, inbox, org_inbox, webhooks
from edge.errors import BadInput
from edge.handlers import sms_hooks
from edge.handlers.world import World, WriteDown
from edge.models import Inbox

Settler = Callable[[World, Inbox, bytes], WriteDown]


def settle_inbox(world: World, now: datetime, inbox_id: int, who: str = "", before: str = "") -> WriteDown | None:
    """Read it by its kind and let the domain settle it; `who` wants it replayed, and `before` is what came of it then.

    Harmless however often: what was credited is credited once.
    """
    row: Inbox = Inbox.get_by_id(inbox_id)
    settle = _settlement(world, row)

    def write_down(then: datetime) -> None:
        settle(then)
        if who:
            webhooks.record_replayed(inbox_id, who, before, then)

    return write_down


def _settlement(world: World, row: Inbox) -> WriteDown:
    settler = SETTLERS.get(row.kind)
    if settler is None:
        return partial(webhooks.record_outcome, row.id, f"nothing here reads calls of the kind {row.kind}")
    try:
        return settler(world, row, inbox.body_of(row))
    except BadInput as reason:
        return partial(webhooks.record_outcome, row.id, f"unreadable: {reason}")


def _stk(world: World, row: Inbox, body: bytes) -> WriteDown:
    return partial(inbox.settle_again, row.id, read_stk_result(body))


def _c2b(world: World, row: Inbox, body: bytes) -> WriteDown:
    told = world.settings.mpesa
    shop = confirmations.Shop(frozenset(filter(None, (told.shortcode, told.till))), told.misfit)
    notice = read_c2b(body)
    return lambda then: inbox.settle_again(row.id, notice, then, shop)


def _org(world: World, row: Inbox, body: bytes) -> WriteDown:
    read = read_timeout if org_inbox.is_timeout(row) else read_org_result
    return partial(org_inbox.settle_again, row.id, read(body))


def _paystack(world: World, row: Inbox, body: bytes) -> WriteDown:
    """By the signature, and today's key: what came while another key was set is believed now if it fits."""
    return partial(
        webhooks.settle, row.id, read_notice(world.settings.paystack.secret_key, row.headers.get(SIGNATURE, ""), body)
    )


SETTLERS: dict[str, Settler] = {
    "stk": _stk, "c2b": _c2b, "org": _org, "paystack": _paystack, "sms-africastalking": sms_hooks.settle,
    "sms-twilio": sms_hooks.settle, "sms-http": sms_hooks.settle,
}  # fmt: skip
