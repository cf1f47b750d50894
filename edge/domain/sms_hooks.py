"""What SMS gateways call in with: kept raw first, then believed. A text's state only ever moves forward."""

import re
from datetime import datetime, timedelta
from functools import partial

from edge import database, jobs
from edge.database import transaction
from edge.domain import contacts, inbox, incoming_texts, messages, payments
from edge.errors import BadInput
from edge.models import Inbox, Message
from edge.values.msisdn import read_msisdn
from edge.values.sms_gateway import Incoming, Report, Told

PREFIX = "sms-"  # of the kinds in the inbox, before the route's name
UNSIGNED = "not signed with our token"
STRANGERS_BODY = 8 * 1024
# A report may overtake the answer that names its text; the answer is written down, or missed for good, within a minute.
AGAIN_S = (5, 60)
NOT_YET = f"{inbox.UNSETTLED}: no text of ours is known by this reference yet"
NOT_OURS = "no text of ours"
LOST_WITHIN = timedelta(days=1)
PERHAPS_WITHIN = timedelta(days=7)  # gateways try for days: a report may as well be of an older one
_OURS = re.compile(r"edge-([0-9]{1,15})-([0-9]{1,6})")  # its number, and which try by hand it is


def receive(call: inbox.Call, told: Told | None, now: datetime, *, is_authentic: bool = True) -> str:
    """Keep a gateway's call, durable when this returns, and settle it right after; a repeat changes nothing.

    One that is not authentic has an address of its own in the books, so that it can't shadow the real one, and is
    forgotten with the other strangers.
    """
    address, body, fault = call.address, call.body, call.fault
    if not is_authentic:
        address, body, fault = address + "?", body[:STRANGERS_BODY], UNSIGNED
    elif isinstance(told, Incoming) and not told.reference:
        address += f"?{now:%Y-%m-%dT%H:%M}"  # the same words an hour later are another text
    outcome = inbox.receive(
        inbox.Call(address, call.source, call.headers, body, None, kind=call.kind, fault=fault), now
    )
    if outcome or told is None:
        return outcome
    row = Inbox.get(Inbox.digest == payments.digest(address, body))
    return database.writer.follow(partial(settle, row.id, told, now)) or "kept"


@transaction
def settle(inbox_id: int, told: Told, now: datetime) -> str:
    """Act on a kept call, once; what waits for its text, or is replayed, is looked at again."""
    row: Inbox = Inbox.get_by_id(inbox_id)
    if row.outcome and not row.outcome.startswith(inbox.UNSETTLED):
        return str(row.outcome)
    route = row.kind.removeprefix(PREFIX)
    if isinstance(told, Report):
        outcome = _settle_report(row, route, told, now)
    elif isinstance(told, Incoming):
        outcome = _keep_text(row, route, told, now)
    else:
        outcome = _opt_out(told.msisdn, told.words, now)
    row.put(outcome=outcome[:300], is_proof=True)
    return outcome


def _settle_report(row: Inbox, route: str, report: Report, now: datetime) -> str:
    message = _find(route, report)
    if message is None:
        if _promise_again(row, now):
            return NOT_YET
        message = _find_lost(route, report, now)
    if report.is_blocked:
        _opt_out(message.msisdn if message is not None else report.msisdn, f"{route} says so: {report.words}", now)
    if message is None:
        return NOT_OURS
    _move(message, route, report, now)
    return f"{report.kind}: text {message.id}"


def _move(message: Message, route: str, report: Report, now: datetime) -> None:
    if message.state == "unconfirmed":  # its answer was lost; that the gateway has it is known now
        messages.mark_sent(message.id, route, report.reference, now)
    if report.kind == "delivered":
        messages.mark_delivered(message.id, now)
    elif report.kind == "failed":
        messages.mark_undelivered(message.id, report.words, now)


def _find(route: str, report: Report) -> Message | None:
    """By the gateway's id, or by ours where it gives that back; not while its answer is still under way."""
    known = messages.find_by_reference(route, report.reference)
    ours = _OURS.fullmatch(report.ours)
    if known is not None or ours is None:
        return known
    tried = Message.id == int(ours[1]), Message.round == int(ours[2]), Message.route == route
    message: Message | None = Message.get_or_none(*tried, Message.state != "queued")
    return message


def _find_lost(route: str, report: Report, now: datetime) -> Message | None:
    """A text whose answer was lost has no reference. If just one to this number is missing, this is it."""
    number = _number(report.msisdn)
    if not number:
        return None
    lost = Message.select().where(
        Message.msisdn == number, Message.state == "unconfirmed", Message.route == route, Message.reference == "",
        Message.closed_at > now - PERHAPS_WITHIN,
    )  # fmt: skip
    found: list[Message] = list(lost.limit(2))
    if len(found) != 1 or found[0].closed_at <= now - LOST_WITHIN or messages.is_in_hand(number):
        return None
    return found[0]


def _promise_again(row: Inbox, now: datetime) -> bool:
    """False when it has waited long enough; a person's replay does not wait."""
    received_at: datetime = row.received_at
    age_s = (now - received_at).total_seconds()
    wait_s = next((wait for wait in AGAIN_S if 0 <= age_s < wait), None)
    if wait_s is None:
        return False
    jobs.promise(
        "inbox.settle", "sms", now, args={"inbox_id": row.id}, unique_key=f"inbox:{row.id}:{wait_s}",
        run_at=received_at + timedelta(seconds=wait_s),
    )  # fmt: skip
    return True


def _keep_text(row: Inbox, route: str, text: Incoming, now: datetime) -> str:
    """To the same inbox as the modem's texts; by its route it is known that this is not M-Pesa, whatever it says."""
    name = text.sender.strip()
    number = _number(name)
    kept = incoming_texts.ReceivedText(
        raw=f"{route}:{text.reference or row.digest}", sender=f"+{number}" if number else name,
        is_name=not re.fullmatch(r"\+?[0-9]{3,15}", name), text=text.text, route=route,
    )  # fmt: skip
    return "a text, kept" if incoming_texts.keep([kept], now) else "repeat: this text is here already"


def _opt_out(msisdn: str, words: str, now: datetime) -> str:
    number = _number(msisdn)
    if not number:
        return "no phone number of ours"
    contacts.opt_out(number, words, now)
    return "opted out"


def _number(told: str) -> str:
    """2547…; empty for what is no mobile number here."""
    try:
        return read_msisdn(told)
    except BadInput:
        return ""
