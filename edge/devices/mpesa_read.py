"""Readers of what M-Pesa posts: ended checkouts, payments that customers began, results of organisation APIs."""

import contextlib
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from edge.devices.mpesa_wire import as_text
from edge.errors import BadInput
from edge.values.msisdn import read_msisdn
from edge.values.org_api import C2bNotice, OrgResult, clean_account, read_cents, read_moment
from edge.values.stk import StkResult

ITEMS = frozenset({"Amount", "MpesaReceiptNumber", "TransactionDate", "PhoneNumber"})
PARAMETERS_KEPT = 60
VALUE_LIMIT = 500
# What each organisation API alone tells (Daraja portal, result parameters).
SIGNS = (
    ("balance", "AccountBalance"), ("reversal", "OriginalTransactionID"), ("pay_out", "TransactionReceipt"),
    ("status", "TransactionStatus"),
)  # fmt: skip


def read_stk_result(raw: bytes) -> StkResult:
    """How a checkout ended, from the body of an STK callback; BadInput for whatever else was posted."""
    callback = _member(_member(_load(raw), "Body"), "stkCallback")
    checkout = _read_text(callback, "CheckoutRequestID", r"[!-~]{1,100}")
    merchant = _read_text(callback, "MerchantRequestID", r"[!-~]{1,100}")
    code = _read_text(callback, "ResultCode", r"[A-Za-z0-9_.-]{1,20}")
    if checkout is None or code is None:
        raise BadInput("CheckoutRequestID and ResultCode are needed", "stkCallback")
    items = _read_items(callback.get("CallbackMetadata"))
    receipt = _read_text(items, "MpesaReceiptNumber", r"[A-Za-z0-9]{6,20}")
    return StkResult(
        checkout_request_id=checkout,
        merchant_request_id=merchant or "",
        result_code=code,
        result_desc=_words(callback, "ResultDesc"),
        amount_cents=_read_amount(items, "Amount"),
        receipt=receipt.upper() if receipt else None,
        paid_at=_read_paid_at(items),
        msisdn=_read_text(items, "PhoneNumber", r"[ -~]{1,64}"),  # may be masked or hashed
    )


def read_c2b(raw: bytes) -> C2bNotice:
    """A payment that the customer began: the body of a validation or a confirmation. BadInput for anything else.

    All values are text as a rule, and numbers are taken too; names, account and balance may be empty or absent, the
    number masked or hashed (Daraja portal, C2B; production logs).
    """
    told = _load(raw)
    if not isinstance(told, dict):
        raise BadInput("this is no C2B notice", "TransID")
    receipt = _read_text(told, "TransID", r"[A-Za-z0-9]{6,20}")
    cents = _read_amount(told, "TransAmount")
    if receipt is None or cents is None:
        raise BadInput("TransID and TransAmount are needed", "TransID" if receipt is None else "TransAmount")
    shape = _words(told, "MSISDN", 128)
    msisdn = None
    with contextlib.suppress(BadInput):
        msisdn = read_msisdn(shape)
    names = [_words(told, name, 60, plain=False) for name in ("FirstName", "MiddleName", "LastName")]
    return C2bNotice(
        receipt=receipt.upper(),
        amount_cents=cents,
        at=read_moment(as_text(told.get("TransTime"))),
        short_code=_words(told, "BusinessShortCode", 20),
        account=clean_account(_words(told, "BillRefNumber", 80, plain=False)),
        msisdn=msisdn,
        msisdn_shape=shape,
        payer_name=" ".join(" ".join(names).split()),
        kind=_words(told, "TransactionType", 40),
        balance_cents=read_cents(_words(told, "OrgAccountBalance", 40)),
    )


def read_org_result(raw: bytes) -> OrgResult:
    """What an organisation API posts to its result address; BadInput when it is none."""
    result = _result_of(_load(raw))
    if not as_text(result.get("ResultCode")):
        raise BadInput("ResultCode is needed", "ResultCode")
    return _org_result(result)


def read_timeout(raw: bytes) -> OrgResult:
    """What is posted when a request expired in M-Pesa's queue: "a similar body". That is no failure, whatever code it
    brings; BadInput when it is no JSON object.
    """
    told = _load(raw)
    if not isinstance(told, dict):
        raise BadInput("this is no time-out notice", "Result")
    return _org_result(_result_of(told))


def _result_of(told: object) -> dict[str, Any]:
    """The envelope's inside; some post it bare."""
    if isinstance(told, dict) and isinstance(told.get("Result"), dict):
        inside: dict[str, Any] = told["Result"]
        return inside
    if not isinstance(told, dict):
        raise BadInput("this is no result", "Result")
    return told


def _org_result(result: dict[str, Any]) -> OrgResult:
    parameters = _read_parameters(result.get("ResultParameters"))
    names = ("OriginatorConversationID", "OriginatorCoversationID")  # the second is Safaricom's own misspelling
    return OrgResult(
        kind=next((kind for kind, sign in SIGNS if sign in parameters), ""),
        result_code=as_text(result.get("ResultCode"))[:20],
        words=_words(result, "ResultDesc"),
        originator_conversation_id=next((told for name in names if (told := _words(result, name, 100))), ""),
        conversation_id=_words(result, "ConversationID", 100),
        receipt=_words(result, "TransactionID", 20).upper(),
        parameters=parameters,
    )


def _read_parameters(told: object) -> dict[str, list[str]]:
    """One is an object, several are a list; a Value may be missing, a Key told twice, and a number is a number."""
    listed = told.get("ResultParameter") if isinstance(told, dict) else None
    entries = listed if isinstance(listed, list) else [listed]
    found: dict[str, list[str]] = {}
    for entry in entries[:PARAMETERS_KEPT]:
        if not isinstance(entry, dict):
            continue
        key = entry.get("Key", entry.get("Name"))
        if isinstance(key, str) and key.strip():
            found.setdefault(key.strip()[:60], []).append(_plain(entry.get("Value")))
    return found


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 16 else ""
    text = as_text(value)
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:VALUE_LIMIT].strip()


def _load(raw: bytes) -> object:
    try:
        # A stray byte in the description is no reason to lose a payment.
        text = raw.decode(json.detect_encoding(raw), "replace")
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        raise BadInput("this is not JSON") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _member(parent: object, name: str) -> dict[str, Any]:
    child = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(child, dict):
        raise BadInput(f"{name} is missing", name)
    return child


def _read_items(metadata: object) -> dict[str, Any]:
    """The item list by Name, never by place; `Balance` comes without a Value."""
    if metadata is None:
        return {}
    items = metadata.get("Item") or [] if isinstance(metadata, dict) else None
    if not isinstance(items, list):
        raise BadInput("CallbackMetadata holds no list", "CallbackMetadata")
    found: dict[str, Any] = {}
    for item in items:
        name = item.get("Name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise BadInput("an item has no Name", "CallbackMetadata")
        if name in found:
            raise BadInput(f"{name} is told twice", "CallbackMetadata")
        if name in ITEMS:
            found[name] = item.get("Value")
    return found


def _read_text(values: dict[str, Any], name: str, shape: str) -> str | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    text = as_text(value)
    if not re.fullmatch(shape, text):
        raise BadInput(f"{name} is unreadable", name)
    return text


def _words(values: dict[str, Any], name: str, limit: int = 200, *, plain: bool = True) -> str:
    """Text that nothing hangs on: whatever is none is empty. `plain`: ASCII alone."""
    text = _plain(values.get(name)) if plain or not isinstance(values.get(name), str) else str(values[name])
    return text.strip()[:limit].strip()


def _read_amount(values: dict[str, Any], name: str) -> int | None:
    """`20`, `20.0` and `"20.00"` are all twenty shillings, in cents."""
    value = values.get(name)
    if value is None or value == "":
        return None
    text = format(value, "f") if isinstance(value, Decimal) and abs(value.adjusted()) < 13 else as_text(value)
    match = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,2})0{0,10})?", text)
    if match is None:
        raise BadInput(f"{name} is unreadable", name)
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def _read_paid_at(items: dict[str, Any]) -> datetime | None:
    """Nairobi time without saying so. Nothing hangs on it: what is no date is none, and the payment counts."""
    text = as_text(items.get("TransactionDate"))
    return read_moment(text) if re.fullmatch(r"20[0-9]{12}", text) else None
