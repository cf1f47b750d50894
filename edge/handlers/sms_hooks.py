"""A kept call of an SMS gateway settled again: one that waited for its text, was cut off, or is replayed."""

from functools import partial

from edge.domain import sms_hooks, webhooks
from edge.handlers.world import World, WriteDown
from edge.models import Inbox
from edge.values.sms_callbacks import TWILIO_SIGNATURE, is_signed_by_twilio, read, read_pairs, twilio_url


def settle(world: World, row: Inbox, body: bytes) -> WriteDown:
    """Read it by its kind; BadInput when it can't be. Of Twilio the signature is looked at anew, with today's token."""
    route = row.kind.removeprefix(sms_hooks.PREFIX)
    kind, query = row.headers.get("Content-Type", ""), row.headers.get("Query", "")
    if route == "twilio" and not row.is_proof:
        token, url = world.settings.sms.twilio.auth_token, twilio_url(world.settings.web.public_url, query)
        if not is_signed_by_twilio(token, url, read_pairs(body, kind), row.headers.get(TWILIO_SIGNATURE, "")):
            return partial(webhooks.record_outcome, row.id, sms_hooks.UNSIGNED)
    return partial(sms_hooks.settle, row.id, read(route, body, kind, query))
