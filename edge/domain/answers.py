"""What the box answers by itself: few texts, to people's phones alone, so that no robot can be kept talking."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from edge import texts
from edge.database import transaction
from edge.domain import contacts, daily, events, messages
from edge.errors import BadInput
from edge.models import Message
from edge.money_models import IncomingText
from edge.sealing import seal
from edge.values.msisdn import read_msisdn

A_NUMBER, IN_ALL = 10, 300  # of all kinds, a day
SHORTEST = 7  # digits; what is shorter is a service
DAY = timedelta(days=1)


def number_of(row: IncomingText) -> str:
    """The digits of whoever sent it, `2547…` for a phone of here; empty for a name and for a short code."""
    digits = re.sub(r"[^0-9]", "", row.sender)
    if row.is_name or len(digits) < SHORTEST or not re.fullmatch(r"[+0-9 ()\-.]+", row.sender):
        return ""
    try:
        return read_msisdn(row.sender)
    except BadInput:
        return digits


def can_be_answered(number: str) -> bool:
    """Is it a mobile phone of here? Nobody makes the box text abroad, or a service that costs."""
    try:
        return read_msisdn(number) == number
    except BadInput:
        return False


@transaction
def give(
    row: IncomingText, number: str, words: str, now: datetime, *, kind: str = "reply", most: int = A_NUMBER,
    of: str = "answer",
) -> Message | None:  # fmt: skip
    """Answer this text; None when this number, or all together, had enough today. `of`: what `most` counts.

    `kind` is `code` for what only its receiver may read.
    """
    if not can_be_answered(number):
        return None
    # The counters' names are read from the card: a number stands there sealed, as everywhere.
    if not daily.take(f"{of}:{seal.number(number)}", most, now):
        return None
    if not daily.take("answers:all", IN_ALL, now):
        if daily.take("answers-told:all", 1, now):
            events.record("text.answers_ended", now, count=IN_ALL)
        return None
    return messages.promise(number, words, now, kind=kind, answers_id=row.id)


@transaction
def give_once_a_day(row: IncomingText, number: str, words: str, now: datetime) -> Message | None:
    """The same for help, and for what was not understood: one of them a day."""
    known = contacts.find(number)
    last = known.answered_at if known is not None else None
    if last is not None and timedelta(0) <= now - last < DAY:
        return None
    message = give(row, number, words, now)
    if message is not None:
        contacts.note_answer(number, now)
    return message


def in_one_segment(say: Callable[[texts.Catalogue], str]) -> str:
    """What is said with the shop's name, cut so that it fits."""

    def words(shop: str) -> str:
        catalogue = texts.Catalogue()
        catalogue.configure(texts.catalogue.language, shop)
        return say(catalogue)

    return messages.in_one_segment(words, texts.catalogue.shop)
