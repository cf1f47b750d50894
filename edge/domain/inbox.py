"""Everything that calls in is kept first and believed afterwards."""

import contextlib
import json
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from edge import database, jobs, trace
from edge.database import db, is_storage_fault, transaction
from edge.domain import asking, confirmations, org_requests, payments, receipts
from edge.errors import BadInput, EdgeError
from edge.models import Inbox, Payment
from edge.sealing import seal
from edge.values.msisdn import read_msisdn
from edge.values.org_api import C2bNotice
from edge.values.stk import StkResult

LIMIT = 64 * 1024
OF_TEXTS, SEALED_AS = "sms-", "inbox.body"
UNSETTLED = "to be settled"
SETTLED_WITHIN = timedelta(seconds=3)  # after that a call counts as forgotten
HINTS_KEPT = 2000  # strangers may call the bare address; they may not fill the card


Result = StkResult | C2bNotice
ANY_SHOP = confirmations.Shop()


@dataclass(frozen=True)
class Call:
    """One POST that reached us: where, from whom, and what it says (None: unreadable)."""

    address: str
    source: str
    headers: dict[str, str]
    body: bytes
    result: Result | None
    payment: Payment | None = None  # whose secret address it came to
    trusted_source: bool = True
    kind: str = "stk"
    fault: str = ""
    shops: frozenset[str] = field(default_factory=frozenset)  # our own short codes
    policy: str = "hold"  # what becomes of too little or too much

    @property
    def shop(self) -> confirmations.Shop:
        return confirmations.Shop(self.shops, self.policy)

    @property
    def doubt(self) -> str:
        """Why it proves nothing; empty for the payment's own address, a trusted source and our shop."""
        shop = self.headers.get("Businessshortcode", "")
        if self.payment is None and self.kind != "c2b":
            return "hint"
        if not self.trusted_source:
            return "address not on the list"
        return "another shop" if shop and self.shops and shop not in self.shops else ""


Kept = tuple[tuple[int | None, str], Call]  # the row when it is new, its outcome so far; the call, its payment known

# One statement, and not Peewee's: M-Pesa waits for it, and building it anew took four times as long as running it.
KEEP = """
INSERT INTO inbox (digest, source, kind, headers, body, payment_id, is_proof, outcome, repeats, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)
ON CONFLICT (digest) DO UPDATE SET repeats = inbox.repeats + 1 RETURNING id, repeats, outcome
"""


def receive(call: Call, now: datetime) -> str:
    """Keep the raw call, durable when this returns; it is settled right after, in a transaction of its own.

    Returns what came of it, as far as that is known by then. A settlement that a crash cuts off is found by
    `promise_forgotten`.
    """
    return _follow(_keep(call, now), call, now)


def receive_at(secret: str, call: Call, now: datetime) -> str | None:
    """The same for a call to a payment's own address; None when nobody was given this secret: nothing is kept then."""
    return _follow_at(_keep_at(secret, call, now), now)


def receive_confirmation(secret: str, call: Call, now: datetime) -> str | None:
    """The same for what M-Pesa posts to the shop's own address; None when this is not its secret."""
    return receive(call, now) if org_requests.is_c2b_secret(secret) else None


def begin_receive_at(secret: str, call: Call, now: datetime) -> "Future[str | None]":
    """`receive_at` without waiting: answered, or broken, in the writer's thread."""
    answer: Future[str | None] = Future()

    def kept(promise: "Future[Kept | None]") -> None:
        try:
            answer.set_result(_follow_at(promise.result(), now))
        except Exception as reason:  # for whoever asks the answer
            answer.set_exception(reason)

    database.writer.begin(partial(_keep_at, secret, call, now)).add_done_callback(kept)
    return answer


def _follow_at(found: "Kept | None", now: datetime) -> str | None:
    return None if found is None else _follow(found[0], found[1], now)


def _follow(kept: tuple[int | None, str], call: Call, now: datetime) -> str:
    inbox_id, outcome = kept
    if inbox_id is None or call.result is None:
        return outcome
    return database.writer.follow(partial(settle, inbox_id, call.result, now, call.doubt, call.shop)) or "kept"


@transaction
def _keep_at(secret: str, call: Call, now: datetime) -> Kept | None:
    """Only the payment's number is looked up: settling reads it anew."""
    row = db.execute_sql("SELECT id FROM payments WHERE secret = ?", (secret,)).fetchone()
    if row is None:
        return None
    owner = Payment(__no_default__=1)
    owner.id = row[0]
    call = replace(call, payment=owner)
    return _keep(call, now), call


@transaction
def _keep(call: Call, now: datetime) -> tuple[int | None, str]:
    """The row's number when it is new, and its outcome so far."""
    digest = payments.digest(call.address, call.body)
    row = db.execute_sql(
        KEEP,
        (
            digest, call.source, call.kind, json.dumps(call.headers),
            _as_kept(call), None if call.payment is None else call.payment.id, not call.doubt, call.fault,
            now.timestamp(),
        ),
    ).fetchone()  # fmt: skip
    if call.payment is None:
        _forget_strangers(row[0])
    return (None, f"repeat: {row[2]}") if row[1] else (row[0], row[2])


def _as_kept(call: Call) -> bytes:
    """What gateways call in with holds people's texts and numbers: sealed as those are."""
    body = call.body[:LIMIT]
    return seal.text(body.decode("latin-1"), SEALED_AS).encode() if call.kind.startswith(OF_TEXTS) else body


def body_of(row: Inbox) -> bytes:
    """The body as it came."""
    body = bytes(row.body)
    if not row.kind.startswith(OF_TEXTS):
        return body
    return seal.open_text(body.decode("latin-1"), SEALED_AS).encode("latin-1")


@transaction
def settle(
    inbox_id: int, result: Result, now: datetime, doubt: str, shop: confirmations.Shop = ANY_SHOP
) -> str:
    """Act on a kept call, once; the row stays whatever the settlement does."""
    row = Inbox.get_by_id(inbox_id)
    if row.outcome:
        return str(row.outcome)
    try:
        with db.savepoint():
            outcome = _settle_traced(_payment_of(row), doubt, result, shop, now)
    except EdgeError as reason:
        outcome = f"not settled: {reason}"
    except Exception as reason:  # the row speaks for itself: let a job try the settlement again
        if is_storage_fault(reason):
            raise
        _promise(row.id, now)
        outcome = f"{UNSETTLED}: {type(reason).__name__}"
    row.put(outcome=outcome, **_owner_of(result))
    return outcome


@transaction
def settle_again(
    inbox_id: int, result: Result, now: datetime, shop: confirmations.Shop = ANY_SHOP
) -> None:
    """A call whose settlement broke or was cut off; what proved nothing then proves nothing now."""
    row = Inbox.get_by_id(inbox_id)
    if not row.outcome or row.outcome.startswith(UNSETTLED):
        doubt = "" if row.is_proof else "hint"
        row.put(outcome=_settle_traced(_payment_of(row), doubt, result, shop, now))


def _owner_of(result: Result) -> dict[str, int]:
    """Whose payment a confirmation turned out to be, so that it is found in that payment's story."""
    found = receipts.find(result.receipt) if isinstance(result, C2bNotice) else None
    return {} if found is None or found.payment_id is None else {"payment": found.payment_id}


def _payment_of(row: Inbox) -> Payment | None:
    return None if row.payment_id is None else Payment.get_by_id(row.payment_id)


@transaction
def record_unsettled(inbox_id: int, words: str) -> None:
    """All tries are used up: the failed job waits for a person."""
    Inbox.update(outcome=f"{UNSETTLED}: {words}"[:300]).where(Inbox.id == inbox_id).execute()


FORGOTTEN = "SELECT id FROM inbox WHERE outcome = '' AND (received_at < ? OR received_at > ?)"


def promise_forgotten(now: datetime) -> int:
    """Calls that were kept and, the web having died that moment, never settled: a job each. Returns how many."""
    around = (now - SETTLED_WITHIN).timestamp(), (now + SETTLED_WITHIN).timestamp()  # clocks jump
    found = [row[0] for row in db.execute_sql(FORGOTTEN, around).fetchall()]
    for inbox_id in found:
        _promise(inbox_id, now)
    return len(found)


def _promise(inbox_id: int, now: datetime) -> None:
    jobs.promise(
        "inbox.settle", "payments", now, args={"inbox_id": inbox_id}, priority=jobs.HIGH,
        unique_key=f"inbox:{inbox_id}",
    )  # fmt: skip


def _forget_strangers(newest_id: int) -> None:
    """Hints are worth little: only the newest are kept, so that nobody fills the card with them."""
    if newest_id % 100 == 0:
        newest_first = (Inbox.received_at.desc(), Inbox.id.desc())
        unproven = Inbox.select(Inbox.id).where(Inbox.payment.is_null(), Inbox.is_proof.in_([False]))
        hints = unproven.order_by(*newest_first)
        Inbox.delete().where(Inbox.id.in_(hints.offset(HINTS_KEPT).limit(1_000_000))).execute()


def _settle_traced(
    payment: Payment | None, doubt: str, result: Result, shop: confirmations.Shop, now: datetime
) -> str:
    with trace.within(trace.current() if payment is None else payment.trace):
        if isinstance(result, C2bNotice):
            return doubt or confirmations.confirm(result, shop, now)
        return _settle(payment, doubt, result, now)


def _settle(payment: Payment | None, doubt: str, result: StkResult, now: datetime) -> str:
    if payment is None:
        return _by_hint(result, now)
    if doubt:
        asking.hint(payment, now)
        return f"{doubt}: asking M-Pesa"
    return _by_proof(payment, result, now)


def _by_proof(payment: Payment, result: StkResult, now: datetime) -> str:
    """The payment's own secret address: the right checkout, phone and amount are proof enough to serve the guest."""
    known = payment.checkout_request_id
    if known is not None and known != result.checkout_request_id:
        asking.hint(payment, now)
        return "another checkout: asking M-Pesa"
    others = ("checkout_request_id = ? AND id <> ?", result.checkout_request_id, payment.id)
    if known is None and Payment.any_where(*others):
        return "this checkout belongs to another payment"
    if result.is_paid and result.amount_cents is None:
        payments.learn_checkout(payment, result.checkout_request_id)
        asking.hint(payment, now)
        return "no amount: asking M-Pesa"
    if result.is_paid and result.amount_cents != payment.amount_cents:
        asking.hint(payment, now)
        return "another amount: asking M-Pesa"
    if result.is_paid and _is_other_phone(payment.msisdn, result.msisdn):
        asking.hint(payment, now)
        return "another phone: asking M-Pesa"
    return payments.record_result(payment, result, "callback", now)


def _is_other_phone(asked: str, told: str | None) -> bool:
    """Masked and missing numbers prove nothing either way."""
    if told is None:
        return False
    with contextlib.suppress(BadInput):
        return read_msisdn(told) != asked
    return False


def _by_hint(result: StkResult, now: datetime) -> str:
    payment = Payment.get_or_none(Payment.checkout_request_id == result.checkout_request_id)
    if payment is None:
        return "hint about an unknown checkout"
    asking.hint(payment, now)
    return "hint: asking M-Pesa"
