"""Texts: one row each, handed over once, and an honest word on what became of it."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import SQL, fn

from edge import jobs
from edge.database import transaction
from edge.domain import campaign_watch, clock, credits, events, routing
from edge.domain.credits import Cause
from edge.models import Job, Message, Payment, Staff
from edge.sms_models import MessageSegment
from edge.values.gsm7 import to_septets
from edge.values.msisdn import mask_msisdn
from edge.values.sms_text import count_segments, cut, forcing, simplify, transliterate

# The modem may take 130 s to get its turn and to be ready, the network 120 s to accept a segment (Quectel EC25's
# manual): only after both is it silence. Each further segment may take as long again.
MODEM_TAKES_S, SEGMENT_TAKES_S = 250, 130
# Whoever waits for a code waits for it now; of a reminder that comes a day late nobody has any use. What was paid for
# is told after a power cut of days as well: its time was given back.
PRIORITY = {"code": jobs.HIGH, "reply": 5, "alert": 3, "hand": 2, "notice": 0, "campaign": jobs.LOW}
KEPT_FOR = {
    "code": timedelta(days=7), "reply": timedelta(hours=6), "alert": timedelta(hours=6), "hand": timedelta(days=2),
    "notice": timedelta(hours=1), "campaign": timedelta(days=3),
}  # fmt: skip
LOST = "it is no longer on the queue: staff took it off"
UNTOLD = "the work of sending it failed, and nobody knows whether it left"
FORGOTTEN_AFTER = timedelta(minutes=2)


@dataclass(frozen=True)
class Rules:
    """What the settings say: `refund` as in `[sms] refund`; whether texts are to be simplified and reported."""

    simplify: bool = True
    reports: bool = False
    refund: str = "unsent"


_rules = Rules()


def configure(rules: Rules) -> None:
    """Take over what the settings say."""
    global _rules
    _rules = rules


def wants_reports() -> bool:
    """Is the network to tell what becomes of texts? Some tariffs charge for it."""
    return _rules.reports


@dataclass(frozen=True)
class Quote:
    """What a text takes: segments, the alphabet, letters, and which of them make it dear."""

    text: str
    segments: int
    alphabet: str
    letters: int
    forcing: tuple[str, ...]


def cost_of(text: str) -> Quote:
    """Before sending: a letter that the 7-bit alphabet lacks more than halves what a segment holds."""
    plain = as_sent(text)
    segments = cut(plain)
    return Quote(plain, len(segments.contents), segments.alphabet, len(plain), forcing(plain))


def as_sent(text: str) -> str:
    """With quotes, dashes and odd spaces in their plain form, unless the settings want them as typed."""
    return simplify(text) if _rules.simplify else text


def useful_until(kind: str, now: datetime, within: timedelta | None = None) -> datetime | None:
    """None under a clock that may not be believed: once it is put right, all that was written before would be old."""
    return now + (within or KEPT_FOR[kind]) if clock.is_trusted(now) else None


def is_too_old(message: Message, now: datetime) -> bool:
    """Nothing expires by a clock that may not be believed."""
    return message.expires_at is not None and bool(message.expires_at < now) and clock.is_trusted(now)


@transaction
def promise(
    msisdn: str, text: str, now: datetime, payment: Payment | None = None, *, kind: str = "code",
    staff_id: int | None = None, answers_id: int | None = None, cost: int = 0, expires_in: timedelta | None = None,
    wants_report: bool | None = None, flash: bool = False,
) -> Message:  # fmt: skip
    """Write the text and the work of sending it, for whatever takes it: see `edge/domain/routing.py`."""
    text = as_sent(text)
    message: Message = Message.create(
        msisdn=msisdn, text=text, kind=kind, payment=payment, staff_id=staff_id, answers_id=answers_id, cost=cost,
        segments=count_segments(text), created_at=now, expires_at=useful_until(kind, now, expires_in),
        wants_report=_rules.reports if wants_report is None else wants_report, flash=flash,
    )  # fmt: skip
    promise_sending(message, now)
    return message


@transaction
def promise_sending(message: Message, now: datetime, route: str = "") -> None:
    """The work of sending it, by this route or the best one now. The modem is a lane: one conversation at a time."""
    route = route or _best_route(message, tried_of(message), now)
    jobs.promise(
        "sms.send", "sms", now, args={"message_id": message.id, "route": route}, priority=PRIORITY[message.kind],
        lane=routing.MODEM if route == routing.MODEM else None, unique_key=key_of(message.id),
        cause=f"payment:{message.payment_id}" if message.payment_id else "",
        timeout_s=MODEM_TAKES_S + SEGMENT_TAKES_S * (message.segments - 1),
    )  # fmt: skip


def tried_of(message: Message) -> tuple[str, ...]:
    """The routes that surely did not take it."""
    return tuple(filter(None, message.tried.split(",")))


def _best_route(message: Message, without: Sequence[str], now: datetime) -> str:
    """Empty when there is none: whoever takes the work up looks again."""
    found = routing.candidates(message.kind, message.msisdn, without, now)
    return found[0].name if found else ""


def key_of(message_id: int) -> str:
    """What the work of sending it is known by, whichever the route: so that there is never more than one of it."""
    return f"sms:{message_id}"


@transaction
def write_by_hand(
    msisdn: str, text: str, staff: Staff | None, now: datetime, *, answers_id: int | None = None, flash: bool = False
) -> Message:
    """A text that staff typed: it takes credits, and is not written when they are too few (`credits.Short`)."""
    cost = cost_of(text).segments
    staff_id = staff.id if staff is not None else None
    message = promise(msisdn, text, now, kind="hand", staff_id=staff_id, answers_id=answers_id, cost=cost, flash=flash)
    credits.reserve(cost, Cause(f"reserve:{message.id}", "reserve", "", staff_id, None, message.id), now)
    return message


# What became of it. A text leaves `queued` once; late news may still turn `unconfirmed`, `sent` and `failed` to better.


@transaction
def mark_sent(
    message_id: int, route: str, reference: str, now: datetime, *, price_cents: int | None = None,
    references: Sequence[int] = (),
) -> None:  # fmt: skip
    """The network or the gateway took it. `references`: the modem's own, one a segment, by which reports find it."""
    message = Message.get_by_id(message_id)
    sent = {"state": "sent", "route": route, "reference": reference, "words": "", "price_cents": price_cents}
    if not message.put_if("state IN ('queued', 'unconfirmed')", **sent, sent_at=now, closed_at=None):
        return
    for number, told in enumerate(references, 1):
        MessageSegment.create(message=message_id, number=number, reference=told, sent_at=now)
    _settle_credits(message, "spend", now)


@transaction
def mark_delivered(message_id: int, now: datetime, words: str = "") -> None:
    """A report says that the phone has it: that is the last word."""
    known = (Message.id == message_id, Message.state.in_(("queued", "sent", "unconfirmed", "failed")))
    before = Message.get_by_id(message_id).state
    if Message.update(state="delivered", delivered_at=now, words=words[:300]).where(*known).execute() == 1:
        message = Message.get_by_id(message_id)
        if message.sent_at is None:
            message.put(sent_at=now)
        if before != "failed":
            _settle_credits(message, "spend", now)


@transaction
def mark_undelivered(message_id: int, words: str, now: datetime) -> None:
    """A report says that it never will arrive. Its credits come back where the settings say so."""
    out = (Message.id == message_id, Message.state.in_(("sent", "unconfirmed")))
    if Message.update(state="failed", words=words[:300], closed_at=now).where(*out).execute() == 1:
        message = Message.get_by_id(message_id)
        if _rules.refund == "undelivered":
            _settle_credits(message, "refund", now)
        _tell(message, "failed", words, now)


@transaction
def mark_no_way(message_id: int, words: str, now: datetime) -> None:
    """There is nothing to send it with: no alarm, since the owner chose so."""
    _close(message_id, "failed", words, now)


@transaction
def mark_failed(message_id: int, words: str, now: datetime) -> None:
    """It surely did not leave."""
    message = _close(message_id, "failed", words, now)
    if message is not None:
        _tell(message, "failed", words, now)


@transaction
def mark_unconfirmed(message_id: int, words: str, now: datetime, route: str = "") -> None:
    """The network may hold it already: asking is safe, sending is not."""
    message = _close(message_id, "unconfirmed", words, now)
    if message is not None:
        message.put(route=route or message.route)
        _tell(message, "unconfirmed", words, now)


@transaction
def mark_suppressed(message_id: int, words: str, now: datetime) -> None:
    """It is left out on purpose, and costs nothing."""
    _close(message_id, "suppressed", words, now)


def _close(message_id: int, state: str, words: str, now: datetime) -> Message | None:
    """None when it was not in hand any more."""
    in_hand = (Message.id == message_id, Message.state.in_(Message.IN_HAND))
    if Message.update(state=state, words=words[:300], closed_at=now).where(*in_hand).execute() != 1:
        return None
    message = Message.get_by_id(message_id)
    _settle_credits(message, "spend" if state == "unconfirmed" else "release", now)
    return message


def _settle_credits(message: Message, what: str, now: datetime) -> None:
    """What was set aside for it is used up or free again, once a round; and its campaign hears that one has ended."""
    if message.cost:
        key = f"{what if what == 'refund' else 'settle'}:{message.id}:{message.round}"
        cause = Cause(key, what, "", message.staff_id, message.campaign_id, message.id)
        {"spend": credits.spend, "release": credits.release, "refund": credits.refund}[what](message.cost, cause, now)
    if message.campaign_id is not None and what != "refund":
        campaign_watch.one_ended(message.campaign_id, now)


def _tell(message: Message, state: str, words: str, now: datetime) -> None:
    if message.campaign_id is None:  # a campaign tells of all of its own at its end
        phone = mask_msisdn(message.msisdn)
        events.record(f"sms.{state}", now, phone=phone, payment=message.payment_id, words=words[:300])


@transaction
def move_on(message_id: int, next_route: str, now: datetime, *, tried: str = "") -> None:
    """Another route is asked. `tried`: the one that surely did not take it, and is not asked again for this text."""
    message = Message.get_by_id(message_id)
    if message.state == "queued":
        if tried:
            message.put(tried=",".join((*tried_of(message), tried)))
        promise_sending(message, now, next_route)


@transaction
def give_up(message_id: int, route: str, words: str, now: datetime) -> None:
    """All tries by this route are used up, none of them left: the next one is asked, or it ends here."""
    message = Message.get_by_id(message_id)
    if message.state != "queued":
        return
    following = _best_route(message, (*tried_of(message), route), now)
    if following:
        move_on(message_id, following, now, tried=route)
    else:
        mark_failed(message_id, words, now)


@transaction
def close_forgotten(now: datetime) -> int:
    """A text whose work was cleared from the queue will not be sent: it says so, and its credits are free again.

    Work that failed, and whose end could not be told of the text, may have sent it: a question, not a second try.
    """
    waiting = Message.all_where("state = 'queued' AND created_at < ?", (now - FORGOTTEN_AFTER).timestamp())
    lost = [message for message in waiting if not _has_open_work(message)]
    for message in lost:
        if _may_have_left(message):
            _close(message.id, "unconfirmed", UNTOLD, now)
        else:
            _close(message.id, "failed", LOST, now)
    return len(lost)


def _has_open_work(message: Message) -> bool:
    return Job.any_where(f"{jobs.IS_OPEN.sql} AND unique_key = ?", key_of(message.id))


def _may_have_left(message: Message) -> bool:
    failed = Job.all_where(
        f"{jobs.IS_CLOSED.sql} AND queue = 'sms' AND state = 'failed' AND unique_key = ? AND created_at >= ?",
        key_of(message.id), message.created_at.timestamp(),
    )  # fmt: skip
    return any(job.args.get("route", "") not in tried_of(message) for job in failed)


# Looks.


def is_in_hand(msisdn: str) -> bool:
    """Does a worker, who perhaps died just now, send this number a text? Then a report may be of that one."""
    queued = Message.select(Message.id).where(Message.msisdn == msisdn, Message.state == "queued").tuples()
    return any(
        Job.any_where("state = 'running' AND unique_key = ?", key_of(message_id)) for (message_id,) in list(queued)
    )


def find_by_reference(route: str, reference: str) -> Message | None:
    """The text that this gateway knows by this id."""
    if not reference:
        return None
    return Message.one_where("route = ? AND reference = ? ORDER BY id DESC", route, reference)


def outbox(
    state: str = "", kind: str = "", msisdn: str = "", before: int | None = None, limit: int = 50
) -> list[Message]:
    """The newest texts; what is only listed for a campaign is not among them."""
    found = Message.select().where(SQL("state <> 'listed'"))  # in these words its index is known again
    if state:
        found = found.where(Message.state == state)
    if kind:
        found = found.where(Message.kind == kind)
    if msisdn:
        found = found.where(Message.msisdn == msisdn)
    last = Message.get_or_none(Message.id == before) if before is not None else None
    if last is not None:
        at = last.created_at
        found = found.where(Message.created_at <= at, (Message.created_at < at) | (Message.id < last.id))
    return list(found.order_by(Message.created_at.desc(), Message.id.desc()).limit(limit))


@dataclass(frozen=True)
class Stats:
    """What one person was sent; `sent` are all that the network took, delivered ones among them."""

    sent: int
    delivered: int
    failed: int
    unconfirmed: int
    segments: int
    cost_cents: int
    last_sent_at: datetime | None


def stats_of(msisdn: str) -> Stats:
    """Over all texts that are kept of this number."""
    rows = (
        Message.select(
            Message.state, fn.COUNT(Message.id), fn.SUM(Message.segments),
            fn.COALESCE(fn.SUM(Message.price_cents), 0), fn.MAX(Message.sent_at),
        ).where(Message.msisdn == msisdn).group_by(Message.state).tuples()
    )  # fmt: skip
    found = {row[0]: row[1:] for row in rows}
    out = [found[state] for state in ("sent", "delivered") if state in found]
    last = max((row[3] for row in out if row[3] is not None), default=None)

    def count(state: str) -> int:
        return int(found[state][0]) if state in found else 0

    return Stats(
        count("sent") + count("delivered"), count("delivered"), count("failed"), count("unconfirmed"),
        sum(int(row[1]) for row in out), sum(int(row[2]) for row in out), last,
    )  # fmt: skip


def in_one_segment(say: Callable[[str], str], shop: str) -> str:
    """What `say` makes of the shop's name, with so much of the name as one segment has room for.

    A letter that the 7-bit alphabet lacks would more than halve the segment: it is written plainly or left out.
    """
    plain = transliterate(unicodedata.normalize("NFKC", shop))
    name = " ".join("".join(letter for letter in plain if to_septets(letter) is not None).split()) or "WiFi"
    while name and count_segments(say(name)) > 1:
        name = name[:-1].rstrip()
    return simplify(say(name))
