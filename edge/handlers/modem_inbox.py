"""The modem's inbox: texts read, kept, and only then deleted; M-Pesa's handed to the money one by one."""

import logging
from datetime import datetime

from edge import jobs
from edge.domain import incoming_texts
from edge.domain.incoming_texts import ReceivedText
from edge.gsm_modem import Modem
from edge.handlers.world import World, WriteDown
from edge.modem_texts import StoredText

log = logging.getLogger("edge.modem")

READ_TAKES_S = 180  # a list that hangs, and then slot by slot
MOST_ROUNDS = 5
AHEAD_OF_ALL = jobs.HIGH + 5  # of the texts that leave: somebody waits for his money to be seen


def look_for_texts(modem: Modem, now: datetime) -> bool:
    """Ask the modem whether a text waits, and promise to read it; an empty inbox writes nothing.

    True when there was something, and somebody is at it or will be. Unreachable as the modem says.
    """
    if not modem.has_texts():
        return False
    promise_to_read(now)
    return True


def promise_to_read(now: datetime) -> bool:
    """One reading at a time; False when it is promised already."""
    job_id = jobs.promise(
        "modem.inbox", "sms", now, priority=AHEAD_OF_ALL, lane="modem", unique_key="modem.inbox",
        timeout_s=READ_TAKES_S,
    )  # fmt: skip
    return job_id is not None


def read_inbox(world: World, now: datetime) -> WriteDown | None:
    """Read, keep, delete, in this order: what is cut off in between is read again, and known by its digest."""
    modem = world.devices.modem()
    for _ in range(MOST_ROUNDS):
        texts = modem.read_texts()
        if not texts:
            break
        new = incoming_texts.keep([received(text) for text in texts], now)  # durable when this returns
        refused = modem.delete_texts(texts)
        log.info("%d texts read, %d of them new", len(texts), new)
        if refused:
            log.warning("the modem does not delete %d texts: its memory will fill up", refused)
            break
        if not modem.has_texts():
            break
    return None


def settle_text(world: World, now: datetime, text_id: int) -> WriteDown | None:
    """Hand one text to the money."""
    return lambda then: incoming_texts.settle(text_id, then)


def received(stored: StoredText) -> ReceivedText:
    """A text as the box keeps it; of an unreadable one only its PDU."""
    told = stored.deliver
    if told is None:
        return ReceivedText(stored.pdu, is_readable=False)
    part = told.content.part
    return ReceivedText(
        stored.pdu, told.sender, told.is_name, told.content.text, told.smsc, told.protocol, told.sent_at,
        *((part.reference, part.number, part.total) if part is not None else (0, 1, 1)),
    )  # fmt: skip
