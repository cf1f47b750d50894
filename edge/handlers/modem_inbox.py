"""The modem's inbox: texts and reports read, kept, and only then deleted; M-Pesa's handed to the money one by one."""

import logging
from datetime import datetime

from edge import jobs
from edge.domain import breakers, delivery_reports, incoming_texts
from edge.domain.delivery_reports import NetworkReport
from edge.domain.incoming_texts import ReceivedText
from edge.gsm_modem import Modem
from edge.handlers.world import World, WriteDown
from edge.modem_texts import StoredText
from edge.tpdu import StatusReport

log = logging.getLogger("edge.modem")

READ_TAKES_S = 180  # a list that hangs, and then slot by slot
MOST_ROUNDS = 5
AHEAD_OF_ALL = jobs.HIGH + 5  # of the texts that leave: somebody waits for his money to be seen


def look_for_texts(modem: Modem, now: datetime) -> bool:
    """Ask the modem whether a text waits, and promise to read it; an empty inbox writes nothing.

    True when there was something, and somebody is at it or will be. Unreachable as the modem says.
    """
    delivery_reports.match_loose(now)
    if not modem.has_texts():
        return False
    promise_to_read(now)
    return True


def hear(modem: Modem, now: datetime) -> None:
    """Something came by itself: reports are kept at once, which leaves the port to the texts that leave."""
    keep_reports(modem, now)
    if modem.has_news:
        look_for_texts(modem, now)
    else:
        delivery_reports.match_loose(now)


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
    keep_reports(modem, now)
    for _ in range(MOST_ROUNDS):
        texts = modem.read_texts()
        if not texts:
            break
        reports = [reported(text.report) for text in texts if text.report is not None]
        delivery_reports.keep(reports, now)
        new = incoming_texts.keep([received(text) for text in texts if text.report is None], now)  # durable from now on
        refused = modem.delete_texts(texts)
        log.info("%d texts read, %d of them new", len(texts), new)
        if refused:
            log.warning("the modem does not delete %d texts: its memory will fill up", refused)
            break
        if not modem.has_texts():
            break
    return None


def keep_reports(modem: Modem, now: datetime) -> int:
    """What the network told of texts that left; given back to the modem's driver when it can't be written down."""
    reports = modem.take_reports()
    if not reports:
        return 0
    try:
        return delivery_reports.keep([reported(report) for report in reports], now)
    except Exception:
        modem.give_back_reports(reports)
        raise


def note_return(modem: Modem, now: datetime) -> int:
    """Could a text leave now? Then those that wait for the modem go at once: how many. Away when it could not."""
    modem.require_ready()
    breakers.note_success("modem", now)
    waited = jobs.hurry("modem", now)
    log.info("the modem is back; %d jobs waited for it", waited)
    return waited


def reported(report: StatusReport) -> NetworkReport:
    """A report as the box keeps it."""
    return NetworkReport(report.reference, report.recipient, report.sent_at, report.done_at, report.status)


def settle_text(world: World, now: datetime, text_id: int) -> WriteDown | None:
    """Hand one text to the money."""
    return lambda then: incoming_texts.settle(text_id, then)


def received(stored: StoredText) -> ReceivedText:
    """A text as the box keeps it; of an unreadable one only its PDU."""
    told = stored.deliver
    if told is None:
        return ReceivedText(stored.pdu, is_readable=False)
    part = told.content.part
    is_part = part is not None and part.total > 1
    return ReceivedText(
        stored.pdu, told.sender, told.is_name, told.content.piece if is_part else told.content.text, told.smsc,
        told.protocol, told.sent_at,
        # A reference of 16 bits is another one than the same number of 8.
        *((part.reference | part.is_wide << 16, part.number, part.total) if part is not None else (0, 1, 1)),
    )  # fmt: skip
