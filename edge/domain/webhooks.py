"""Every call that came in, to be looked at and replayed; and those of gateways that sign what they post."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from peewee import SQL

from edge import database, jobs, trace
from edge.database import transaction
from edge.domain import events, inbox, payments, provider_results, reports
from edge.errors import BadInput
from edge.models import Inbox, Payment
from edge.values.gateway import Notice

UNSIGNED = "not signed with our key"
STRANGERS_BODY = 8 * 1024  # of a call that proves nothing, so much is kept: a real one is smaller
FILTERS = ("all", "waiting", "unproven")
KINDS = ("stk", "c2b", "org", "paystack", "sms-africastalking", "sms-twilio", "sms-http")
MOST = 1_000  # calls that one search leads to
SEARCHED = 20_000  # of the newest calls, by their source and their outcome's words
WAITING = ("outcome = ''", "outcome >= 'to be settled' AND outcome < 'to be settlee'")
REPLAYED, BEFORE = "; replayed", "; before: "


def receive(call: inbox.Call, notice: Notice | None, now: datetime) -> str:
    """Keep a gateway's raw call, durable when this returns, and settle it right after, as `inbox.receive` does.

    `notice` is what it says; None when it is signed and can't be read. One that is not signed has an address of its own
    in the books, so that it can't shadow the real one, and is forgotten with the other strangers.
    """
    is_signed = notice is None or notice.is_authentic
    payment = None
    if notice is not None and is_signed:
        payment = provider_results.payment_of(notice.reference, call.kind)
    fault = call.fault or _fault(notice)
    address, body = (call.address, call.body) if is_signed else (call.address + "?", call.body[:STRANGERS_BODY])
    kept = inbox.Call(address, call.source, call.headers, body, None, payment, kind=call.kind, fault=fault)
    outcome = inbox.receive(kept, now)
    if outcome or notice is None:
        return outcome
    row = Inbox.get(Inbox.digest == payments.digest(address, body))
    return database.writer.follow(partial(settle, row.id, notice, now)) or "kept"


def _fault(notice: Notice | None) -> str:
    if notice is None:
        return "unreadable"
    if not notice.is_authentic:
        return UNSIGNED
    return "" if notice.answer is not None else f"acknowledged: {notice.event}"


@transaction
def settle(inbox_id: int, notice: Notice, now: datetime) -> str:
    """Act on a kept call of a gateway, once; a replay finds what is there already."""
    row = Inbox.get_by_id(inbox_id)
    if row.outcome and not row.outcome.startswith(inbox.UNSETTLED):
        return str(row.outcome)
    outcome = _settle(row, notice, now)
    row.put(outcome=outcome)
    return outcome


def _settle(row: Inbox, notice: Notice, now: datetime) -> str:
    if not (notice.is_authentic or row.is_proof):
        return UNSIGNED
    if notice.answer is None:
        return f"acknowledged: {notice.event}"
    payment = provider_results.payment_of(notice.reference, row.kind)
    if payment is None:
        return "no payment of ours"
    if row.payment_id is None:
        row.put(payment=payment, is_proof=True)
    with trace.within(payment.trace):
        return provider_results.record(payment, notice.answer, row.kind, now)


@transaction
def replay(inbox_id: int, who: str, now: datetime) -> Inbox:
    """Have a kept call settled anew; what was credited already is not credited again. BadInput for no such call."""
    row: Inbox | None = Inbox.get_or_none(Inbox.id == inbox_id)
    if row is None:
        raise BadInput(f"There is no call {inbox_id}.", "webhook")
    before = row.outcome.partition(BEFORE)[2] or row.outcome
    jobs.promise(
        "inbox.settle", "payments", now, args={"inbox_id": row.id, "who": who, "before": before}, priority=jobs.HIGH,
        unique_key=f"inbox:{row.id}", cause=f"payment:{row.payment_id}" if row.payment_id else "",
    )  # fmt: skip
    row.put(outcome=f"{inbox.UNSETTLED} again, as {who} wishes{BEFORE}{before}")
    return row


@transaction
def record_outcome(inbox_id: int, words: str, now: datetime) -> None:
    """Nothing could be done with it, and why."""
    Inbox.update(outcome=words[:300]).where(Inbox.id == inbox_id).execute()


@transaction
def record_replayed(inbox_id: int, who: str, before: str, now: datetime) -> None:
    """It was settled anew: what came of it now, beside what came of it the first time."""
    row = Inbox.get_by_id(inbox_id)
    came = row.outcome.partition(BEFORE)[0].removesuffix(REPLAYED)
    row.put(outcome=f"{came}{REPLAYED}{BEFORE}{before}" if before else came + REPLAYED)
    events.record("webhook.replayed", now, webhook=row.id, payment=row.payment_id, who=who, outcome=came)


def newest(
    limit: int, *, kind: str = "", shown: str = "all", typed: str = "", before_id: int | None = None
) -> list[Inbox]:
    """The newest calls; of one kind, of one filter, or those that what was typed finds: a payment's number, receipt,
    phone or code, a call's number, its source, words of its outcome."""
    wanted: list[Any] = []
    if kind:
        wanted.append(Inbox.kind == kind)
    if kind not in ("", "stk"):
        wanted.append(SQL("kind <> 'stk'"))
    if shown == "waiting":
        wanted.append(Inbox.id.in_(_waiting()))
    elif shown == "unproven":
        wanted.append(~Inbox.is_proof)
    if typed:
        wanted.append(_matches(typed, [sale.payment for sale in reports.find_payments(typed, limit)]))
    if before_id is not None:
        wanted.append(Inbox.id < before_id)
    found = Inbox.select().where(*wanted) if wanted else Inbox.select()
    return list(found.order_by(Inbox.id.desc()).limit(limit))


def _waiting() -> list[int]:
    """In SQL's own words, as the partial indexes have them."""
    rows = [Inbox.select(Inbox.id).where(SQL(words)).tuples() for words in WAITING]
    return [row for found in rows for (row,) in found]


def _matches(typed: str, sold: Sequence[Payment]) -> Any:
    last = Inbox.select(Inbox.id).order_by(Inbox.id.desc()).limit(1).scalar() or 0
    by_words = (Inbox.id > last - SEARCHED) & (Inbox.outcome.contains(typed) | (Inbox.source == typed))
    # Each way by itself: an OR over them would read every call there ever was.
    found: set[int] = set()
    for way in (by_words, Inbox.payment.in_(list(sold))):
        found |= {row for (row,) in Inbox.select(Inbox.id).where(way).order_by(Inbox.id.desc()).limit(MOST).tuples()}
    number = typed.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 10:
        found.add(int(number))
    return Inbox.id.in_(found)


def get(inbox_id: int) -> Inbox | None:
    """One call."""
    found: Inbox | None = Inbox.get_or_none(Inbox.id == inbox_id)
    return found
