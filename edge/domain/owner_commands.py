"""What an owner may do by text: `PIN COMMAND` from a number that the settings name.

A text's sender can be forged, and says only who is answered: what counts is the PIN. It is kept nowhere.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from edge import texts
from edge.database import transaction
from edge.domain import (
    answers,
    daily,
    events,
    gifts,
    incoming_texts,
    money_reports,
    notices,
    people,
    reboots,
    sessions,
    status_words,
)
from edge.errors import BadInput
from edge.money_models import IncomingText
from edge.sealing import seal
from edge.texts import say
from edge.values.money import show_money
from edge.values.msisdn import mask_msisdn, read_msisdn
from edge.values.sms_text import count_segments, simplify
from edge.values.sms_words import Command, command, plain

WRONG = 5  # PINs in a row, and nothing is obeyed from this number for:
LOCKED = timedelta(hours=1)
ANSWERS = 40  # a day, to one of the owner's numbers
RESTARTS, GIFTS = 6, 10  # a day, by all of them together
HIDDEN = "••••"


@dataclass(frozen=True)
class Owners:
    """Whose texts are obeyed: numbers as 2547…, and their PIN; without one nobody's. `zone`: the shop's."""

    numbers: frozenset[str] = frozenset()
    pin: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


def read_numbers(typed: tuple[str, ...]) -> frozenset[str]:
    """The phone numbers among these, as they stand in the settings."""
    found = set()
    for one in typed:
        try:
            found.add(read_msisdn(one))
        except BadInput:
            continue  # `edge check` names it
    return frozenset(found)


def hide(row: IncomingText, owners: Owners) -> str:
    """The text as it may be kept and shown: what could be a PIN, right or wrong, is not in it."""
    text = incoming_texts.words_of(row)
    told = command(text)
    if told is not None and (told.name or told.pin == owners.pin):
        text = text if told.pin in text else plain(text)  # its digits were written in another way
        text = text.replace(told.pin, HIDDEN, 1)
    if owners.pin and answers.number_of(row) in owners.numbers:
        text = re.sub(rf"(?<![0-9]){re.escape(owners.pin)}(?![0-9])", HIDDEN, text)
    return text


def shown(row: IncomingText, owners: Owners) -> str:
    """The words of a text for people: one that nobody has judged, or could, may have a PIN in it."""
    return incoming_texts.words_of(row) if row.kind not in ("", "person") else hide(row, owners)


@transaction
def obey(row: IncomingText, number: str, owners: Owners, is_answered: bool, now: datetime) -> str | None:
    """What came of it, in words; None when it is no command of an owner. Only the modem's texts are obeyed:
    gateways keep a copy of theirs, the PIN in it."""
    told = command(row.text)
    if told is None or not owners.pin or number not in owners.numbers or row.route != "modem":
        return None
    is_right = people.is_same(told.pin, owners.pin)
    if not is_right and not told.name:
        return None
    lock = f"owner-locked:{seal.number(number)}"
    if daily.count(lock, now):
        return "not obeyed: too many wrong PINs came from this number"
    if not is_right:
        return _wrong(number, lock, now)
    daily.forget(f"owner-wrong:{seal.number(number)}")
    try:
        words, outcome = _COMMANDS.get(told.name, _unknown)(row, told, owners, now)
    except BadInput as reason:
        words, outcome = str(reason), f"not done: {reason}"
    if words and is_answered:
        answers.give(row, number, fit(words), now, most=ANSWERS, of="answer-owner")
    return outcome


def _wrong(number: str, lock: str, now: datetime) -> str:
    """Not answered: whoever guesses learns nothing. The owner is told once, on the dashboard."""
    name = f"owner-wrong:{seal.number(number)}"
    daily.take(name, WRONG, now)
    if daily.count(name, now) < WRONG:
        return "not obeyed: the PIN was wrong"
    daily.forget(name)
    daily.take(lock, 1, now, LOCKED)
    phone = mask_msisdn(number)
    events.record("text.owner_locked", now, phone=phone, count=WRONG)
    notices.tell(
        "text.owner_locked", say("sms_inbox.locked_title", phone=phone), say("sms_inbox.locked_body", count=WRONG), now,
        link="/admin/sms/inbox?show=owner", key=f"text.owner_locked:{seal.number(number)}:{now:%Y-%m-%dT%H}",
    )  # fmt: skip
    return f"not obeyed: the PIN was wrong, {WRONG} times now; nothing is obeyed from this number for an hour"


# The commands: what is answered, and what is written beside the text.


def _status(row: IncomingText, told: Command, owners: Owners, now: datetime) -> tuple[str, str]:
    return status_words.in_short(now), "told how the box is"


def _today(row: IncomingText, told: Command, owners: Owners, now: datetime) -> tuple[str, str]:
    day = now.astimezone(owners.zone).date()
    sums = money_reports.of_day(day, owners.zone)
    words = say(
        "sms_inbox.owner_today", day=f"{day:%d %b}", money=show_money(sums.net_cents), sales=sums.sales,
        online=sum(sessions.count_live(now).values()),
    )  # fmt: skip
    return words, "told today's takings"


def _restart(row: IncomingText, told: Command, owners: Owners, now: datetime) -> tuple[str, str]:
    """Answered by whoever tells the router: see `edge/domain/reboots.py`."""
    router = reboots.find(told.rest)
    if not daily.take("owner-restart:all", RESTARTS, now):
        raise BadInput(say("sms_inbox.owner_enough"))
    reboots.ask(router, row.id, now)
    return "", f"{router.name} is to restart"


def _gift(row: IncomingText, told: Command, owners: Owners, now: datetime) -> tuple[str, str]:
    wish = gifts.read(told.rest)
    if not daily.take("owner-gift:all", GIFTS, now):
        raise BadInput(say("sms_inbox.owner_enough"))
    gifts.give(wish, "owner, by text", now)
    words = say("sms_inbox.owner_gift", phone=_ended(wish.msisdn), time=wish.words)
    return words, f"gave {wish.words} to {mask_msisdn(wish.msisdn)}"


def _ended(msisdn: str) -> str:
    """Masked in letters that a text has."""
    return f"{msisdn[:6].replace('254', '0', 1)}..{msisdn[-3:]}"


def _unknown(row: IncomingText, told: Command, owners: Owners, now: datetime) -> tuple[str, str]:
    return say("sms_inbox.owner_commands"), "told which commands there are"


_COMMANDS: dict[str, Callable[[IncomingText, Command, Owners, datetime], tuple[str, str]]] = {
    "status": _status, "today": _today, "restart": _restart, "gift": _gift,
}  # fmt: skip


def fit(words: str) -> str:
    """Cut to one segment."""
    text = simplify(f"{texts.catalogue.shop}: {words}")
    while count_segments(text) > 1:
        text = text[: min(len(text) - 1, 160)].rstrip()
    return text
