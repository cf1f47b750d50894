"""Money that arrived, as one of its witnesses tells it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Arrival:
    """So many cents under this receipt; the rest as far as this witness knows it."""

    code: str  # M-Pesa's TransID, upper case
    amount_cents: int
    provider: str = "mpesa"
    msisdn: str = ""  # the payer, in full
    payer_shape: str = ""  # his number as it came: masked, hashed
    payer_name: str = ""
    account: str = ""  # what he typed
    paid_at: datetime | None = None
