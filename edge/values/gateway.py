"""What a gateway is asked and what it tells, as values: the same for M-Pesa, Paystack, cash and vouchers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Charge:
    """Money to be asked for, in whole cents of KES."""

    reference: str  # ours, of this payment alone, for ever
    msisdn: str
    amount_cents: int
    description: str = ""
    callback_url: str = ""


@dataclass(frozen=True)
class Started:
    """`rings`: the guest confirms on his phone; `paid`: there is no more to do."""

    kind: Literal["rings", "paid"]
    reference: str  # by which the gateway is asked how it ended
    words: str = ""


Kind = Literal["paid", "failed", "pending", "unknown"]


@dataclass(frozen=True)
class Answer:
    """How a payment stands. `pending` and `unknown` mean: ask again; unknown is never failed."""

    kind: Kind
    code: str  # the gateway's own
    words: str
    receipt: str | None = None
    amount_cents: int | None = None  # None where it does not tell


@dataclass(frozen=True)
class Notice:
    """What was posted to us, whoever posted it. Only an authentic one may be believed."""

    is_authentic: bool
    event: str
    reference: str = ""
    answer: Answer | None = None  # what it claims of the payment; None: nothing
