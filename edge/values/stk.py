"""What M-Pesa says about a checkout, as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Push:
    """One STK push to send: who pays, how much (whole cents), for what, and where the answer goes."""

    msisdn: str
    amount_cents: int
    account_reference: str
    description: str
    callback_url: str


@dataclass(frozen=True)
class PushAnswer:
    """M-Pesa took the push: its names for this checkout."""

    checkout_request_id: str
    merchant_request_id: str


@dataclass(frozen=True)
class StkResult:
    """How a checkout ended, read from a callback. Amounts in cents; None where the callback was silent."""

    checkout_request_id: str
    merchant_request_id: str
    result_code: str
    result_desc: str
    amount_cents: int | None = None
    receipt: str | None = None
    paid_at: datetime | None = None
    msisdn: str | None = None

    @property
    def is_paid(self) -> bool:
        return self.result_code == "0"


@dataclass(frozen=True)
class QueryAnswer:
    """What M-Pesa answers when asked about a checkout; `pending` and `unknown` mean: ask again."""

    kind: Literal["paid", "failed", "pending", "unknown"]
    result_code: str
    words: str
