"""What M-Pesa posts about our questions and orders: kept first, as everything that calls in, settled afterwards."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from edge import jobs
from edge.database import db, is_storage_fault, transaction
from edge.domain import inbox, org_requests, payments
from edge.errors import EdgeError
from edge.models import Inbox
from edge.money_models import OrgRequest
from edge.values.org_api import OrgResult

KIND = "org"
REQUEST, POST = "Org-Request", "Org-Post"  # beside its headers: which request a kept row is about, and what it tells
NOT_ON_LIST = "address not on the list"


@dataclass(frozen=True)
class OrgCall:
    """One POST to a request's own address. `result` is None when it can't be read, and `fault` says why."""

    post: Literal["result", "timeout"]
    address: str
    source: str
    headers: dict[str, str]
    body: bytes
    result: OrgResult | None
    trusted_source: bool = True
    fault: str = ""


def receive(secret: str, call: OrgCall, now: datetime) -> str | None:
    """Keep it, durable when this returns, and settle it; what came of it. None when nobody was given this secret."""
    kept = _keep(secret, call, now)
    if kept is None:
        return None
    inbox_id, outcome = kept
    return outcome if inbox_id is None or call.result is None else settle(inbox_id, call.result, now)


@transaction
def _keep(secret: str, call: OrgCall, now: datetime) -> tuple[int | None, str] | None:
    """The row's number when it is new, and its outcome so far."""
    request = OrgRequest.get_or_none(OrgRequest.secret == secret)
    if request is None:
        return None
    headers = call.headers | {REQUEST: str(request.id), POST: call.post}
    fault = call.fault or ("" if call.trusted_source else NOT_ON_LIST)
    row = db.execute_sql(
        inbox.KEEP,
        (
            payments.digest(call.address, call.body), call.source, KIND, json.dumps(headers), call.body[: inbox.LIMIT],
            request.payment_id, call.trusted_source, fault, now.timestamp(),
        ),
    ).fetchone()  # fmt: skip
    return (None, f"repeat: {row[2]}") if row[1] else (None if fault else row[0], row[2])


@transaction
def settle(inbox_id: int, result: OrgResult, now: datetime) -> str:
    """Act on a kept row, once. When that breaks, the row stays and a job tries again."""
    row = Inbox.get_by_id(inbox_id)
    if row.outcome and not row.outcome.startswith(inbox.UNSETTLED):
        return str(row.outcome)
    try:
        with db.savepoint():
            outcome = _settle(row, result, now)
    except EdgeError as reason:
        outcome = f"not settled: {reason}"
    except Exception as reason:  # the row speaks for itself
        if is_storage_fault(reason):
            raise
        jobs.promise(
            "inbox.settle", "payments", now, args={"inbox_id": inbox_id}, priority=jobs.HIGH,
            unique_key=f"inbox:{inbox_id}",
        )  # fmt: skip
        outcome = f"{inbox.UNSETTLED}: {type(reason).__name__}"
    row.put(outcome=outcome)
    return outcome


@transaction
def settle_again(inbox_id: int, result: OrgResult, now: datetime) -> None:
    """A row whose settlement broke or was cut off; whatever breaks again is the job's to tell."""
    row = Inbox.get_by_id(inbox_id)
    if not row.outcome or row.outcome.startswith(inbox.UNSETTLED):
        row.put(outcome=_settle(row, result, now))


def is_timeout(row: Inbox) -> bool:
    """Does this kept row tell that a request expired in the queue?"""
    return bool(row.headers.get(POST) == "timeout")


def _settle(row: Inbox, result: OrgResult, now: datetime) -> str:
    if not row.is_proof:
        return NOT_ON_LIST
    record = org_requests.record_timeout if is_timeout(row) else org_requests.record_result
    return record(int(row.headers[REQUEST]), result, now)
