"""Texts that the modem's SIM received: kept once, joined, and those of M-Pesa handed on to the money."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge import jobs
from edge.database import transaction
from edge.domain import events
from edge.errors import BadInput
from edge.money_models import IncomingText, Receipt
from edge.values.mpesa_sms import MoneyText, other_kind, read_mpesa_sms
from edge.values.msisdn import mask_msisdn, read_msisdn
from edge.values.sms_content import join_pieces
from edge.values.sms_words import keyword

MPESA = "MPESA"
NOT_FROM_MPESA = "not from MPESA"
JOINED = "part of text "
GAP = " [...] "  # in place of what never came
INCOMPLETE_AFTER = timedelta(hours=6)
PARTS_COME_WITHIN = timedelta(hours=24)
SENT_TOGETHER = timedelta(hours=1)  # parts of one text, by the message centre; a reference comes round again later
FRESH = timedelta(minutes=30)
COMPARED = 20  # texts that M-Pesa confirmed, the last ones
USUAL_SHARE = 4  # every fourth of them: a forger who pays once does not make his own message centre a usual one
CHAIN = 200

# The money's own answer to a text of M-Pesa, in words; whoever plugs it in may put the row's state and receipt.
OnMoney = Callable[[IncomingText, MoneyText, datetime], str]
on_money: OnMoney | None = None


IS_JOINED = IncomingText.outcome.startswith(JOINED)


@dataclass(frozen=True)
class ReceivedText:
    """One text, or one part of a long one, as it came. `raw`: its PDU, or the gateway's id, by which it is known again.

    `text`: the words; of a part its piece, which may end in half a letter (see `edge/values/sms_content.py`).
    """

    raw: str
    sender: str = ""
    is_name: bool = False  # the sender is letters by its kind, and no number
    text: str = ""
    smsc: str = ""
    pid: int = 0
    sent_at: datetime | None = None
    reference: int = 0  # of a long text; the same for all its parts
    part: int = 1
    parts: int = 1
    is_readable: bool = True
    route: str = "modem"  # which of our numbers it came to

    @property
    def part_key(self) -> str:
        """What all parts of one text share; nobody else's message centre may join in."""
        if self.parts == 1:
            return ""
        told = f"{self.sender}/{self.smsc}/{self.reference}/{self.parts}"
        return hashlib.sha256(told.encode()).hexdigest()[:32]


@transaction
def keep(texts: Iterable[ReceivedText], now: datetime) -> int:
    """Write down what is new, once, and promise what follows from it; returns how many were new."""
    count = 0
    for text in texts:
        row = _create(text, now)
        if row is not None:
            count += 1
            _follow_up(row, now)
    return count


def _create(text: ReceivedText, now: datetime) -> IncomingText | None:
    is_mpesa = text.is_readable and text.is_name and text.sender == MPESA and text.route == "modem"
    state, outcome = ("new", "") if is_mpesa else ("ignored", NOT_FROM_MPESA)
    if not text.is_readable:
        state, outcome = "held", "unreadable: kept as the modem gave it"
    return IncomingText.create_unless_there(
        digest=hashlib.sha256(text.raw.upper().encode()).hexdigest(), sender=text.sender, is_name=text.is_name,
        smsc=text.smsc, pid=text.pid, text=(text.text if text.is_readable else text.raw).replace("\x00", "\ufffd"),
        part_key=text.part_key, part=text.part, parts=text.parts, sent_at=text.sent_at, received_at=now,
        kind="mpesa" if is_mpesa else "", state=state, outcome=outcome, route=text.route,
        read_at=now if is_mpesa else None,  # what M-Pesa tells is looked at where the money is
    )  # fmt: skip


def _follow_up(row: IncomingText, now: datetime) -> None:
    whole = row if row.parts == 1 else _join(row)
    if row.state == "held":
        return
    if row.kind != "mpesa":
        _promise_answer(row, whole, now)
        _tell_look_alike(whole or row, now)
    elif whole is not None or _is_told_early(row):
        _promise(whole or row, now, now)
    else:
        _promise(row, now + INCOMPLETE_AFTER, now)


def _join(row: IncomingText) -> IncomingText | None:
    """The first part, with all of the text in it, when this part completes it; the others are done with then."""
    found = _parts_there(row)
    if len(found) < row.parts:
        return None
    return _put_together(found)


def _parts_there(row: IncomingText) -> dict[int, IncomingText]:
    """What is there of the text of which this is a part, by number."""
    found: dict[int, IncomingText] = {row.part: row}
    mates = IncomingText.select().where(
        IncomingText.part_key == row.part_key, IncomingText.part != row.part,
        IncomingText.received_at > row.received_at - PARTS_COME_WITHIN,
    )  # fmt: skip
    for mate in sorted(mates, key=lambda mate: _apart(mate, row)):
        if _apart(mate, row) <= SENT_TOGETHER:
            found.setdefault(mate.part, mate)
    return found


def _put_together(found: dict[int, IncomingText]) -> IncomingText:
    """The first part that is there, with the words of all; what is missing is shown as a gap."""
    numbers = sorted(found)
    first, total = found[numbers[0]], found[numbers[0]].parts
    pieces, before = [], 0
    for number in numbers:
        pieces += [GAP] * (number - before > 1) + [found[number].text]
        before = number
    first.put(text=join_pieces(pieces + [GAP] * (before < total)), part_key="")
    for number in numbers[1:]:
        found[number].put(state="ignored", outcome=f"{JOINED}{first.id}", part_key="", read_at=first.received_at)
    return first


def _apart(one: IncomingText, other: IncomingText) -> timedelta:
    if one.sent_at is None or other.sent_at is None:
        return timedelta(0)
    apart: timedelta = abs(one.sent_at - other.sent_at)
    return apart


def _is_told_early(row: IncomingText) -> bool:
    """The first part has it all, and only the marketing behind it is missing."""
    return bool(row.part == 1) and read_mpesa_sms(words_of(row)) is not None


def _promise_answer(row: IncomingText, whole: IncomingText | None, now: datetime) -> None:
    """A text that is whole is judged at once, what is left of one later; but STOP waits for nothing."""
    if whole is None:
        _promise_judging(row, now + INCOMPLETE_AFTER, now)
    if whole is not None or (row.part == 1 and _says_stop(row)):
        _promise_judging(whole or row, now, now)


def _says_stop(row: IncomingText) -> bool:
    said = keyword(words_of(row))
    return said is not None and said.kind == "stop"


def _promise_judging(row: IncomingText, run_at: datetime, now: datetime) -> None:
    key = f"answer:{row.id}" if run_at <= now else f"answer:{row.id}:late"
    jobs.promise(
        "texts.answer", "sms", now, args={"text_id": row.id}, run_at=run_at, priority=jobs.HIGH, unique_key=key,
        cause=f"text:{row.id}",
    )  # fmt: skip


def _promise(row: IncomingText, run_at: datetime, now: datetime) -> None:
    key = f"text:{row.id}" if run_at <= now else f"text:{row.id}:late"
    jobs.promise(
        "texts.settle", "payments", now, args={"text_id": row.id}, run_at=run_at, priority=jobs.HIGH,
        unique_key=key, cause=f"text:{row.id}",
    )  # fmt: skip


def looks_like_mpesa(row: IncomingText) -> bool:
    """Does somebody who is not M-Pesa want to be taken for it?"""
    looks_like = re.sub(r"[^A-Z]", "", row.sender.upper().translate(str.maketrans("35", "ES")))
    return (row.is_name and "MPESA" in looks_like) or read_mpesa_sms(words_of(row)) is not None


def _tell_look_alike(row: IncomingText, now: datetime) -> None:
    """It opens nothing, and is shown."""
    if looks_like_mpesa(row):
        words = "this text speaks like M-Pesa and does not come from MPESA: it credits nothing"
        events.record("text.look_alike", now, text=row.id, sender=mask_sender(row), words=words)


@transaction
def settle(text_id: int, now: datetime) -> str:
    """Hand a text of M-Pesa to the money, once; returns what came of it."""
    row = IncomingText.get_by_id(text_id)
    if row.state != "new":
        return str(row.outcome)
    money = read_mpesa_sms(row.text)
    if money is None:
        return _set_aside(row)
    if on_money is None:
        return _put(row, "held", f"{money.layout}: {money.receipt}, and nobody here takes money from texts")
    outcome = on_money(row, money, now)
    state = IncomingText.get_by_id(text_id).state  # the money may have said so itself
    return _put(row, "settled" if state == "new" else state, outcome)


def _set_aside(row: IncomingText) -> str:
    if row.part_key:
        row.put(text=words_of(row))
        return _put(row, "held", f"part {row.part} of {row.parts}, the others never came")
    other = other_kind(row.text)
    if other:
        return _put(row, "ignored", f"{other}: no money that came in")
    return _put(row, "held", "not understood: please read it")


def _put(row: IncomingText, state: str, outcome: str) -> str:
    row.put(state=state, outcome=outcome[:300])
    return outcome


@transaction
def to_judge(text_id: int, now: datetime) -> IncomingText | None:
    """This text, if nobody has judged it yet; one whose other parts did not come in time with what there is of it."""
    row = IncomingText.get_by_id(text_id)
    if row.kind or row.state == "held" or row.outcome.startswith(JOINED):
        if row.part_key and now - row.received_at >= INCOMPLETE_AFTER:
            _put_together(_parts_there(row))
        return None
    if row.part_key and now - row.received_at >= INCOMPLETE_AFTER:
        return _put_together(_parts_there(row))
    return row


@transaction
def record_unjudged(text_id: int, words: str) -> None:
    """All tries are used up: it is a person's to read."""
    IncomingText.update(kind="person", outcome=f"the box could not act on it: {words}"[:300]).where(
        IncomingText.id == text_id, IncomingText.kind == ""
    ).execute()


@transaction
def record_unsettled(text_id: int, words: str) -> None:
    """All tries are used up: the failed job waits for a person."""
    IncomingText.update(state="held", outcome=f"to be settled: {words}"[:300]).where(
        IncomingText.id == text_id, IncomingText.state == "new"
    ).execute()


@transaction
def settle_again(text_id: int, now: datetime) -> None:
    """A person asks for another try at a text that was held."""
    held = IncomingText.id == text_id, IncomingText.state == "held", IncomingText.kind == "mpesa"
    if IncomingText.update(state="new").where(*held).execute() == 1:
        _promise(IncomingText.get_by_id(text_id), now, now)


def pending(now: datetime) -> list[IncomingText]:
    """M-Pesa's texts that are whole, or tell enough, and not settled yet; oldest first."""
    rows = IncomingText.select().where(IncomingText.state == "new", IncomingText.received_at <= now)
    found = list(rows.order_by(IncomingText.id))
    return [row for row in found if not row.part_key or _is_told_early(row)]


def last_ones(limit: int = 50) -> list[IncomingText]:
    """The newest texts; parts that were joined stand in their first."""
    return list(IncomingText.select().where(~IS_JOINED).order_by(IncomingText.id.desc()).limit(limit))


def words_of(row: IncomingText) -> str:
    """The text as people read it: of a part that waits for the others, what can be read of it."""
    return join_pieces([row.text]) if row.part_key else str(row.text)


def mask_sender(row: IncomingText) -> str:
    """A name as it is, a number too short to ring somebody by; a person's number masked."""
    if row.is_name or len(row.sender) <= 6:
        return str(row.sender)
    try:
        return mask_msisdn(read_msisdn(row.sender))
    except BadInput:
        return f"•••{row.sender[-3:]}"


# May this text be believed? Texts prove nothing by themselves: these are the doubts, for whoever decides.


def trust_of(row: IncomingText, now: datetime) -> list[str]:
    """Why this text may not be genuine, in words; none is no proof that it is."""
    money = read_mpesa_sms(row.text)
    confirmed = _confirmed(row)
    centres = _usual(text.smsc for text in confirmed)
    return [
        doubt
        for doubt in (
            "it does not come from MPESA" if row.sender != MPESA or not row.is_name else "",
            _doubt_of_route(row, confirmed, centres),
            _doubt_of_time(row, money, now),
            "" if money is None or money.date_fits is not False else "the receipt's date is not the text's",
            _doubt_of_balance(row, money, [text for text in confirmed if text.smsc in centres], centres),
        )
        if doubt
    ]


def _confirmed(row: IncomingText) -> list[IncomingText]:
    """Earlier texts whose receipts M-Pesa itself has confirmed, newest first; the first that told of each."""
    found = (
        IncomingText.select()
        .join(Receipt)
        .where(Receipt.verified, IncomingText.id < row.id, IncomingText.kind == "mpesa")
        .order_by(IncomingText.id.desc())
        .limit(2 * COMPARED)
    )
    first = {text.receipt_id: text for text in found}  # the oldest is written last
    return sorted(first.values(), key=lambda text: -int(text.id))[:COMPARED]


def _usual(values: Iterable[str | int]) -> set[str | int]:
    counted = Counter(values)
    return {value for value, count in counted.items() if count * USUAL_SHARE >= counted.total()}


def _doubt_of_route(row: IncomingText, confirmed: list[IncomingText], centres: set[str | int]) -> str:
    if not confirmed:
        return "no text was confirmed yet that its message centre could be compared with"
    if row.smsc not in centres:
        return f"it came by the message centre {row.smsc or 'nobody names'}, which M-Pesa's texts do not use"
    pids = _usual(text.pid for text in confirmed)
    return "" if row.pid in pids else f"its protocol number {row.pid} is not that of M-Pesa's texts"


def _doubt_of_time(row: IncomingText, money: MoneyText | None, now: datetime) -> str:
    if row.sent_at is None:
        return "its message centre names no time"
    if abs(now - row.sent_at) > FRESH:
        return f"it was sent {_minutes(now - row.sent_at)}"
    if money is not None and money.at is not None and abs(row.sent_at - money.at) > FRESH:
        return "the payment it tells of is of another hour than the text"
    return ""


def _minutes(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes} minutes ago" if minutes >= 0 else f"{-minutes} minutes from now by its message centre's clock"


def _doubt_of_balance(
    row: IncomingText, money: MoneyText | None, confirmed: list[IncomingText], centres: set[str | int]
) -> str:
    """From a confirmed balance on, each text's must be the one before and its amount; who forges does not know it."""
    if money is None or money.kind != "credit" or money.amount_cents is None:
        return ""
    known = {told.balance_cents for text in confirmed if (told := _of_purse(text, money)) is not None}
    if not known:
        return "no earlier balance is known to compare its balance with"
    since = min(text.id for text in confirmed)
    later = IncomingText.select().where(
        IncomingText.id > since, IncomingText.id < row.id, IncomingText.kind == "mpesa",
        IncomingText.smsc.in_([str(centre) for centre in centres]),
    )  # fmt: skip
    for text in reversed(list(later.order_by(IncomingText.id.desc()).limit(CHAIN))):
        told = _of_purse(text, money)
        if told is not None and _continues(told, known):
            known.add(told.balance_cents)
    return "" if _continues(money, known) else "its balance does not continue the one before"


def _of_purse(text: IncomingText, money: MoneyText) -> MoneyText | None:
    told = read_mpesa_sms(text.text)
    return told if told is not None and told.kind == "credit" and told.purse == money.purse else None


def _continues(told: MoneyText, known: set[int | None]) -> bool:
    return (told.balance_cents or 0) - (told.amount_cents or 0) in known
