"""Texts handed to the modem."""

from datetime import datetime

from edge.domain import messages
from edge.errors import Refused
from edge.handlers.world import World, WriteDown
from edge.models import Message


def send_sms(world: World, now: datetime, message_id: int) -> WriteDown | None:
    """Hand one text to the modem, once."""
    message = Message.get_by_id(message_id)
    if message.state == "unconfirmed":
        raise Refused("it is not known whether this text left: it is not sent a second time")
    if message.state != "queued":
        return None
    if not world.settings.modem.port:
        return lambda then: messages.mark_no_way(message_id, "no modem is set up")
    references = world.devices.modem().send_sms(message.msisdn, message.text)
    reference = ",".join(str(number) for number in references)
    return lambda then: messages.mark_sent(message_id, reference, then)
