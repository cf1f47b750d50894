"""M-Pesa's Daraja API: ring a phone, ask how a checkout ended; and the door to what M-Pesa posts back."""

import base64
from datetime import datetime
from typing import Literal

from edge.devices.mpesa_read import (
    read_c2b,
    read_org_result,
    read_stk_result,
    read_timeout,
)
from edge.devices.mpesa_wire import Answer, Wire, as_text, clean, is_name
from edge.errors import Refused, Unconfirmed, Unreachable
from edge.values.mpesa_words import FINAL_FAILURES
from edge.values.org_api import NAIROBI
from edge.values.stk import Push, PushAnswer, QueryAnswer

__all__ = ["NAIROBI", "Mpesa", "read_c2b", "read_org_result", "read_stk_result", "read_timeout"]

PUSH_PATH = "/mpesa/stkpush/v1/processrequest"
QUERY_PATH = "/mpesa/stkpushquery/v1/query"
TRANSACTION_TYPES = {"paybill": "CustomerPayBillOnline", "till": "CustomerBuyGoodsOnline"}


class Mpesa:
    """One Daraja app and shortcode; safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        consumer_key: str,
        consumer_secret: str,
        shortcode: str,
        passkey: str,
        *,
        till: str = "",
        kind: Literal["paybill", "till"] = "paybill",
        timeout_s: float = 20.0,
    ) -> None:
        self._shortcode = shortcode
        self._passkey = passkey.strip()
        self._party = till if kind == "till" and till else shortcode
        self._transaction_type = TRANSACTION_TYPES[kind]
        self.wire = Wire(base_url, consumer_key, consumer_secret, timeout_s=timeout_s, secrets=(self._passkey,))

    def push(self, push: Push) -> PushAnswer:
        """Ring the phone; Unconfirmed when it may ring although no answer came."""
        shillings, cents = divmod(push.amount_cents, 100)
        if cents or shillings < 1:
            raise Refused("M-Pesa takes whole shillings only, at least one")
        body = self._signed() | {
            "TransactionType": self._transaction_type,
            "Amount": str(shillings),
            "PartyA": push.msisdn,
            "PartyB": self._party,
            "PhoneNumber": push.msisdn,
            "CallBackURL": push.callback_url,
            "AccountReference": clean(push.account_reference, 12, "WiFi"),
            "TransactionDesc": clean(push.description, 13, "WiFi"),
        }
        return _read_push(self.wire.post(PUSH_PATH, body))

    def query(self, checkout_request_id: str) -> QueryAnswer:
        """Ask how a checkout ended; asking changes nothing, so a lost answer is only Unreachable."""
        try:
            answer = self.wire.post(QUERY_PATH, self._signed() | {"CheckoutRequestID": checkout_request_id})
        except Unconfirmed as lost:
            raise Unreachable(str(lost)) from None
        return _read_query(answer, checkout_request_id)

    def check(self) -> None:
        """Do our keys open the door? Fetches a fresh token and charges nobody."""
        self.wire.check()

    def _signed(self) -> dict[str, str]:
        """The fields every request carries; the timestamp is made once, because the password contains it."""
        timestamp = datetime.now(NAIROBI).strftime("%Y%m%d%H%M%S")
        password = base64.b64encode(f"{self._shortcode}{self._passkey}{timestamp}".encode()).decode()
        return {"BusinessShortCode": self._shortcode, "Password": password, "Timestamp": timestamp}


def _read_push(answer: Answer) -> PushAnswer:
    response_code = as_text(answer.document.get("ResponseCode"))
    checkout, merchant = (answer.document.get(name) for name in ("CheckoutRequestID", "MerchantRequestID"))
    if answer.status == 200 and response_code == "0" and isinstance(checkout, str) and is_name(checkout):
        return PushAnswer(checkout, merchant if isinstance(merchant, str) and is_name(merchant) else "")
    if answer.is_busy:
        raise Unreachable(f"M-Pesa did not take it now: {answer.words}")
    if answer.is_refusal or (answer.status == 200 and response_code not in ("", "0")):
        raise Refused(f"M-Pesa said no: {answer.words}")
    raise Unconfirmed(f"M-Pesa's answer does not say whether the phone rings: {answer.words}")


def _read_query(answer: Answer, asked: str) -> QueryAnswer:
    """4999 and every 500.001.1001 mean `ask again`, never `failed` (measured on the sandbox, 2026)."""
    if answer.code == "500.001.1001":
        waiting = answer.says("being processed") or not as_text(answer.document.get("errorMessage"))
        return QueryAnswer("pending" if waiting else "unknown", "", answer.words)
    if answer.is_busy or not answer.document:
        raise Unreachable(f"M-Pesa did not answer our question: {answer.words}")
    code = as_text(answer.document.get("ResultCode"))
    about = answer.document.get("CheckoutRequestID", asked)
    if answer.status != 200 or about != asked or as_text(answer.document.get("ResponseCode", "0")) != "0":
        return QueryAnswer("unknown", code, answer.words)
    if code in FINAL_FAILURES:
        return QueryAnswer("failed", code, answer.words)
    return QueryAnswer(
        "paid" if code == "0" else "pending" if code == "4999" else "unknown", code, answer.words
    )
