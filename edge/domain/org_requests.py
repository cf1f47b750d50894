"""Questions and orders to M-Pesa's organisation APIs: promised, sent, and answered later at an address of their own."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL

from edge import jobs
from edge.database import transaction
from edge.domain import events
from edge.errors import BadInput
from edge.models import Payment, Staff
from edge.money_models import OrgRequest, Receipt, Refund, Secret
from edge.values.money import show_money
from edge.values.mpesa_words import explain
from edge.values.msisdn import mask_msisdn
from edge.values.org_api import ALREADY_REVERSED, SAYS_NOTHING, OrgAnswer, OrgResult, pay_out_of, status_of

JOBS = {"status": "mpesa.status", "reversal": "mpesa.reverse", "pay_out": "mpesa.pay_out", "register": "mpesa.register"}
OPEN = ("wanted", "sent")
UNANSWERED = ("wanted", "sent", "unconfirmed", "timed-out")  # a result is still awaited, or at least heard
STATUS_WITHIN = timedelta(minutes=10)  # M-Pesa tells within seconds; after that it never will
ORDER_WITHIN = timedelta(hours=1)
ASK_PAUSES = (timedelta(seconds=30), timedelta(hours=6))  # as long as a question is old, between these
ASK_WITHIN = timedelta(days=3)
MOST_QUESTIONS = 6  # about one transaction, when M-Pesa takes them and tells nothing
LEAST_PAY_OUT_CENTS = 10_00
MOST_PAY_OUT_CENTS = 250_000_00

# What else follows in the transaction that writes down a result, by kind; the words go into the inbox.
on_result: dict[str, Callable[[OrgRequest, OrgResult, datetime], str]] = {}
# The same when it ended without one: refused, unconfirmed, timed out. The row's state and words tell which and why.
on_trouble: dict[str, Callable[[OrgRequest, datetime], object]] = {}


@transaction
def promise_status(
    about: Receipt | Payment | OrgRequest | str, now: datetime, *, run_at: datetime | None = None
) -> OrgRequest:
    """Have M-Pesa asked what became of a transaction: by a receipt (its row, its payment or its code), or of a pay-out.

    While that question is under way no second one is promised. BadInput when there is nothing to ask by.
    """
    links: dict[str, Any] = {}
    if isinstance(about, Receipt):
        code, links = str(about.code), {"receipt": about, "payment": about.payment_id}
    elif isinstance(about, Payment):
        code, links = str(about.receipt or ""), {"payment": about}
    elif isinstance(about, OrgRequest):
        code, links = str(about.originator_id or ""), {"refund": about.refund_id, "payment": about.payment_id}
    else:
        code = about.strip().upper()
    if not code:
        raise BadInput("M-Pesa can be asked by a receipt alone, and there is none yet.", "receipt")
    same = (OrgRequest.kind == "status", OrgRequest.code == code, OrgRequest.state.in_(OPEN))
    known: OrgRequest | None = OrgRequest.get_or_none(*same)
    return known or _promise("status", now, run_at=run_at, code=code, **links)


@transaction
def promise_reversal(
    about: Payment | Receipt, amount_cents: int, staff: Staff | None, now: datetime, *, refund: Refund | None = None
) -> OrgRequest:
    """Have M-Pesa send a customer's payment back, or a part of it (whole shillings, in cents). Once a receipt."""
    receipt = about if isinstance(about, Receipt) else None
    payment_id = about.payment_id if isinstance(about, Receipt) else about.id
    code = str((about.code if isinstance(about, Receipt) else about.receipt) or "")
    if not code:
        raise BadInput("Without its receipt M-Pesa can't send a payment back. Pay it out, or give cash.", "receipt")
    if not 0 < amount_cents <= about.amount_cents or amount_cents % 100:
        raise BadInput(f"Whole shillings, at most {show_money(about.amount_cents)}.", "amount")
    before = OrgRequest.get_or_none(
        OrgRequest.kind == "reversal", OrgRequest.code == code, OrgRequest.state != "failed"
    )
    if before is not None:
        raise BadInput(f"{code} is being sent back, or was: M-Pesa does that once.", "receipt")
    words = f"asked by {staff.name}" if staff is not None else ""
    return _promise(
        "reversal", now, code=code, receipt=receipt, payment=payment_id, refund=refund, amount_cents=amount_cents,
        msisdn=about.msisdn or "", words=words,
    )  # fmt: skip


@transaction
def promise_pay_out(
    msisdn: str, amount_cents: int, words: str, now: datetime, *, refund: Refund | None = None,
    payment: Payment | None = None, receipt: Receipt | None = None,
) -> OrgRequest:  # fmt: skip
    """Have M-Pesa pay a phone from the shop's utility account: KSh 10 to 250,000, whole shillings, in cents.

    It carries an id of ours, so that M-Pesa can be asked about it should its answer be lost.
    """
    if not LEAST_PAY_OUT_CENTS <= amount_cents <= MOST_PAY_OUT_CENTS or amount_cents % 100:
        raise BadInput("M-Pesa pays out whole shillings from 10 to 250,000.", "amount")
    return _promise(
        "pay_out", now, msisdn=msisdn, amount_cents=amount_cents, words=words, refund=refund, payment=payment,
        receipt=receipt, originator_id=str(uuid.uuid4()),
    )  # fmt: skip


@transaction
def promise_register(short_code: str, now: datetime) -> OrgRequest:
    """Have M-Pesa tell us the payments that customers begin. While that is under way it is not promised twice."""
    known: OrgRequest | None = OrgRequest.get_or_none(
        OrgRequest.kind == "register", OrgRequest.code == short_code, OrgRequest.state == "wanted"
    )
    return known or _promise("register", now, code=short_code)


def _promise(kind: str, now: datetime, *, run_at: datetime | None = None, **columns: Any) -> OrgRequest:
    request = OrgRequest.create(kind=kind, secret=secrets.token_hex(20), created_at=now, **columns)
    _promise_job(request, now, run_at)
    return request


def _promise_job(request: OrgRequest, now: datetime, run_at: datetime | None) -> None:
    jobs.promise(
        JOBS[request.kind], "payments", now, args={"request_id": request.id}, run_at=run_at,
        unique_key=f"org:{request.id}", cause=f"{request.kind}:{request.id}",
    )  # fmt: skip


@transaction
def c2b_secret(now: datetime) -> str:
    """The shop's own secret, in the address that M-Pesa tells its payments to; made when first needed, then kept."""
    Secret.create_unless_there(name="c2b", value=secrets.token_hex(20), created_at=now)
    return str(Secret.get(Secret.name == "c2b").value)


def is_c2b_secret(told: str) -> bool:
    """Is this the shop's address? Looked up whole: who guesses learns nothing from the time it takes."""
    return bool(Secret.select().where(Secret.name == "c2b", Secret.value == told).exists())


def registered(short_code: str) -> OrgRequest | None:
    """The last registration that M-Pesa took for this short code."""
    done = (OrgRequest.kind == "register", OrgRequest.code == short_code, OrgRequest.state == "done")
    found: OrgRequest | None = OrgRequest.select().where(*done).order_by(OrgRequest.id.desc()).first()
    return found


# What becomes of it.


def to_send(request_id: int) -> OrgRequest | None:
    """The request while it waits to be sent; None when that was done before."""
    request = OrgRequest.get_by_id(request_id)
    return request if request.state == "wanted" else None


@transaction
def record_sent(request_id: int, answer: OrgAnswer, now: datetime) -> None:
    """M-Pesa took it. Its result may have been faster."""
    request = OrgRequest.get_by_id(request_id)
    is_new = request.originator_id is None and answer.originator_conversation_id
    if is_new and not OrgRequest.get_or_none(OrgRequest.originator_id == answer.originator_conversation_id):
        request.put(originator_id=answer.originator_conversation_id)
    request.put(conversation_id=request.conversation_id or answer.conversation_id or None, sent_at=now)
    waiting = (OrgRequest.id == request_id, OrgRequest.state.in_(("wanted", "unconfirmed")))
    OrgRequest.update(state="sent").where(*waiting).execute()


@transaction
def record_done(request_id: int, words: str, now: datetime) -> None:
    """Done at once: a registration."""
    OrgRequest.get_by_id(request_id).put(state="done", words=words[:300], sent_at=now, closed_at=now)


@transaction
def record_unasked(request_id: int, words: str, now: datetime) -> None:
    """M-Pesa could not be reached with a question: it is asked again, later each time, for three days."""
    request = OrgRequest.get_by_id(request_id)
    age = now - request.created_at
    if age < ASK_WITHIN:
        request.put(words=words[:300])
        _promise_job(request, now, now + min(max(age, ASK_PAUSES[0]), ASK_PAUSES[1]))
    else:
        _trouble(request, ("wanted",), "failed", words, now)


@transaction
def record_refused(request_id: int, words: str, now: datetime) -> None:
    """M-Pesa did not take it, and will not: nothing was done."""
    _trouble(OrgRequest.get_by_id(request_id), ("wanted",), "failed", words, now)


@transaction
def record_unconfirmed(request_id: int, words: str, now: datetime) -> None:
    """Nobody knows whether M-Pesa took it. A result that comes yet still counts; of a pay-out M-Pesa is asked."""
    request = OrgRequest.get_by_id(request_id)
    _trouble(request, OPEN, "unconfirmed", words, now)
    _ask_about_pay_out(request, now)


@transaction
def record_timeout(request_id: int, notice: OrgResult, now: datetime) -> str:
    """It expired in M-Pesa's queue. That is not the same as failure: an order may have been carried out."""
    request = OrgRequest.get_by_id(request_id)
    if _is_anothers(request, notice):
        return "of another request"
    if not _trouble(request, (*OPEN, "unconfirmed"), "timed-out", notice.words or "expired in M-Pesa's queue", now):
        return "told before"
    _ask_about_pay_out(request, now)
    _ask_again(request, now)
    return "timed out"


@transaction
def record_result(request_id: int, result: OrgResult, now: datetime) -> str:
    """How it ended, once; what came of it in words. Also after it timed out, or was given up as unconfirmed."""
    request = OrgRequest.get_by_id(request_id)
    if _is_anothers(request, result):
        return "of another request"
    state = _state_of(request, result)
    words = result.words or explain(result.result_code, api="org").owner
    won = _close(
        request, UNANSWERED, state, words, now, result=asdict(result),
        conversation_id=request.conversation_id or result.conversation_id or None,
    )  # fmt: skip
    if not won:
        return "told before"
    request = OrgRequest.get_by_id(request_id)
    _tell(request, now)
    if request.kind == "status" and SAYS_NOTHING.fullmatch(result.result_code):
        _ask_again(request, now)
    if is_about_pay_out(request):
        return _settle_pay_out(request, result, now)
    follow = on_result.get(request.kind)
    return (follow(request, result, now) if follow is not None else "") or state


def _state_of(request: OrgRequest, result: OrgResult) -> str:
    if result.is_done or (request.kind == "reversal" and result.result_code == ALREADY_REVERSED):
        return "done"
    is_order = request.kind in ("reversal", "pay_out")
    return "unconfirmed" if is_order and SAYS_NOTHING.fullmatch(result.result_code) else "failed"


def _is_anothers(request: OrgRequest, told: OrgResult) -> bool:
    """The address is the proof; names that both differ belong to another order all the same. A question may have been
    asked twice, and each answer is as good.
    """
    pairs = (
        (request.originator_id, told.originator_conversation_id), (request.conversation_id, told.conversation_id),
    )  # fmt: skip
    known = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
    return request.kind != "status" and bool(known) and all(ours != theirs for ours, theirs in known)


def _close(request: OrgRequest, states: tuple[str, ...], state: str, words: str, now: datetime, **columns: Any) -> bool:
    """One conditional UPDATE: of two who tell the end, one is first."""
    still = (OrgRequest.id == request.id, OrgRequest.state.in_(states))
    told = {"state": state, "words": words[:300], "closed_at": now, **columns}
    return bool(OrgRequest.update(**told).where(*still).execute() == 1)


def _trouble(request: OrgRequest, states: tuple[str, ...], state: str, words: str, now: datetime) -> bool:
    if not _close(request, states, state, words, now):
        return False
    request = OrgRequest.get_by_id(request.id)
    if request.kind in ("reversal", "pay_out"):
        events.record(
            "money.order_in_doubt" if state != "failed" else "money.order_failed", now, kind=request.kind,
            request=request.id, receipt=request.code, phone=mask_msisdn(request.msisdn), words=words[:300],
        )  # fmt: skip
    follow = on_trouble.get(request.kind)
    if follow is not None and not is_about_pay_out(request):
        follow(request, now)
    return True


def _tell(request: OrgRequest, now: datetime) -> None:
    if request.kind in ("reversal", "pay_out"):
        events.record(
            "money.order_ended", now, kind=request.kind, request=request.id, state=request.state,
            receipt=request.code, phone=mask_msisdn(request.msisdn), words=request.words,
            amount=show_money(request.amount_cents or 0),
        )  # fmt: skip


# A pay-out whose end is not known is asked about, by the id that it was given.


def is_about_pay_out(request: OrgRequest) -> bool:
    """Is this a question by the id of an order of ours? Receipts have no dash."""
    return bool(request.kind == "status" and "-" in request.code)


def _ask_again(question: OrgRequest, now: datetime) -> None:
    """A question that M-Pesa took and did not answer: a new one, later each time."""
    if question.kind != "status":
        return
    asked = OrgRequest.select().where(OrgRequest.kind == "status", OrgRequest.code == question.code).count()
    if asked < MOST_QUESTIONS:
        links = {"payment": question.payment_id, "receipt": question.receipt_id, "refund": question.refund_id}
        _promise("status", now, run_at=now + STATUS_WITHIN * 2**asked, code=question.code, **links)


def _ask_about_pay_out(request: OrgRequest, now: datetime) -> None:
    if request.kind == "pay_out" and request.originator_id:
        promise_status(request, now, run_at=now + timedelta(minutes=1))


def _settle_pay_out(question: OrgRequest, result: OrgResult, now: datetime) -> str:
    """The answer to that question is the pay-out's own result, when it is one."""
    order = OrgRequest.get_or_none(OrgRequest.kind == "pay_out", OrgRequest.originator_id == question.code)
    told = status_of(result)
    if order is None or told.state == "unknown":
        return f"says nothing of the pay-out: {told.words}"[:200]
    code = "0" if told.state == "completed" else result.first("ReasonType") or "failed"
    parameters = {
        "TransactionReceipt": [told.receipt], "TransactionAmount": result.parameters.get("Amount", []),
        "ReceiverPartyPublicName": [told.credit_party],
    }  # fmt: skip
    end = OrgResult("pay_out", code, told.words, order.originator_id, "", told.receipt, parameters)
    return f"pay-out: {record_result(order.id, end, now)}"


# Nobody waits for ever.


def expire_if_due(now: datetime) -> int:
    """Look without a lock; requests that M-Pesa took and never told about end as timed out. Returns how many."""
    late = ((now - STATUS_WITHIN).timestamp(), (now - ORDER_WITHIN).timestamp())
    return expire_overdue(now) if OrgRequest.any_where(OVERDUE, *late) else 0


OVERDUE = "state = 'sent' AND (sent_at < ? AND kind = 'status' OR sent_at < ?)"


@transaction
def expire_overdue(now: datetime) -> int:
    """The same with the lock. An order that nobody told about is unconfirmed, a question merely timed out."""
    late = ((now - STATUS_WITHIN).timestamp(), (now - ORDER_WITHIN).timestamp())
    found = list(OrgRequest.select().where(SQL(OVERDUE, late)))
    for request in found:
        if request.kind == "status":
            _trouble(request, OPEN, "timed-out", "M-Pesa took the question and never answered it", now)
            _ask_again(request, now)
        else:
            record_unconfirmed(request.id, "M-Pesa took it and never told how it ended: see the statement", now)
    return len(found)


def paid_out(request: OrgRequest) -> str:
    """The receipt of a pay-out that is done; empty otherwise."""
    return pay_out_of(OrgResult(**request.result)).receipt if request.state == "done" and request.result else ""
