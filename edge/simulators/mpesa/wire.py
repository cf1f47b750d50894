"""The shapes M-Pesa puts on the wire: ids, receipts, callbacks, refusals."""

import base64
import json
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from edge.simulators.mpesa.customers import PAID, Customer, Outcome

NAIROBI = timezone(timedelta(hours=3))
INCAPSULA = (
    "<html><head><META NAME='robots' CONTENT='noindex,nofollow'></head><body>Request unsuccessful. "
    "Incapsula incident ID: 1215000220117346987-201334567890</body></html>"
)
SPIKE_ARREST = {
    "fault": {
        "faultstring": "Spike arrest violation. Allowed rate : MessageRate{messagesPerPeriod=5, "
        "periodInMicroseconds=60000000, maxBurstMessageCount=1.0}",
        "detail": {"errorcode": "policies.ratelimit.SpikeArrestViolation"},
    }
}
ACCEPTED = "Success. Request accepted for processing"
# The name in the refusal, the field, and what it must look like.
PUSH_FIELDS = (
    ("BusinessShortCode", "BusinessShortCode", r"[0-9]{5,7}"),
    ("Password", "Password", r"\S+"),
    ("Timestamp", "Timestamp", r"[0-9]{14}"),
    ("TransactionType", "TransactionType", r"CustomerPayBillOnline|CustomerBuyGoodsOnline"),
    ("Amount", "Amount", r"[1-9][0-9]{0,5}"),
    ("PartyA", "PartyA", r"254[17][0-9]{8}"),
    ("PartyB", "PartyB", r"[0-9]{5,7}"),
    ("PhoneNumber", "PhoneNumber", r"254[17][0-9]{8}"),
    ("CallBackURL", "CallBackURL", r"https?://[!-;=?-~]+"),
    ("AccountReference", "AccountReference", r"[^@#&<>]{1,20}"),
    ("Remarks", "TransactionDesc", r"[^@#&<>]{1,13}"),
)
QUERY_FIELDS = (*PUSH_FIELDS[:3], ("CheckoutRequestID", "CheckoutRequestID", r"\S+"))
_ADDRESS = r"https?://[!-;=?-~]+"
REGISTER_FIELDS = (
    ("ShortCode", "ShortCode", r"[0-9]{5,7}"),
    ("ResponseType", "ResponseType", r"Completed|Cancelled"),
    ("ConfirmationURL", "ConfirmationURL", _ADDRESS),
    ("ValidationURL", "ValidationURL", _ADDRESS),
)
SIMULATE_FIELDS = (
    ("ShortCode", "ShortCode", r"[0-9]{5,7}"),
    ("CommandID", "CommandID", r"CustomerPayBillOnline|CustomerBuyGoodsOnline"),
    ("Amount", "Amount", r"[1-9][0-9]{0,5}"),
    ("Msisdn", "Msisdn", r"254[17][0-9]{8}"),
)
_RETURNING = (
    ("Remarks", "Remarks", r"[^@#&<>]{2,100}"),
    ("QueueTimeOutURL", "QueueTimeOutURL", _ADDRESS),
    ("ResultURL", "ResultURL", _ADDRESS),
)
_CREDENTIAL = ("SecurityCredential", "SecurityCredential", r"[A-Za-z0-9+/]{342}==")
STATUS_FIELDS = (
    ("Initiator", "Initiator", r"\S+"),
    _CREDENTIAL,
    ("CommandID", "CommandID", r"TransactionStatusQuery"),
    ("PartyA", "PartyA", r"[0-9]{5,12}"),
    ("IdentifierType", "IdentifierType", r"[124]"),
    *_RETURNING,
)
BALANCE_FIELDS = (
    ("Initiator", "Initiator", r"\S+"),
    _CREDENTIAL,
    ("CommandID", "CommandID", r"AccountBalance"),
    ("PartyA", "PartyA", r"[0-9]{5,7}"),
    ("IdentifierType", "IdentifierType", r"4"),
    *_RETURNING,
)
REVERSAL_FIELDS = (
    ("Initiator", "Initiator", r"\S+"),
    _CREDENTIAL,
    ("CommandID", "CommandID", r"TransactionReversal"),
    ("TransactionID", "TransactionID", r"[A-Z0-9]{6,20}"),
    ("Amount", "Amount", r"[1-9][0-9]{0,5}"),
    ("ReceiverParty", "ReceiverParty", r"[0-9]{5,7}"),
    ("RecieverIdentifierType", "RecieverIdentifierType", r"11"),
    *_RETURNING,
)
B2C_FIELDS = (
    ("InitiatorName", "InitiatorName", r"\S+"),
    _CREDENTIAL,
    ("CommandID", "CommandID", r"BusinessPayment|SalaryPayment|PromotionPayment"),
    ("Amount", "Amount", r"[1-9][0-9]{1,5}"),
    ("PartyA", "PartyA", r"[0-9]{5,7}"),
    ("PartyB", "PartyB", r"254[17][0-9]{8}"),
    *_RETURNING,
)


@dataclass(frozen=True)
class Reply:
    """One HTTP answer; `lost` closes the connection instead, `then` runs when it is on its way."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    lost: bool = False
    then: Callable[[], None] | None = None


@dataclass
class Checkout:
    """One push that was accepted, and how it went on."""

    msisdn: str
    amount: int
    callback_url: str
    checkout_request_id: str
    merchant_request_id: str
    customer: Customer
    fields: dict[str, str]
    pushed_at: datetime
    outcome: Outcome | None = None
    receipt: str | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Asked:
    """One STK query and what was answered."""

    checkout_request_id: str
    status: int
    answer: dict[str, Any] = field(default_factory=dict)
    at_s: float = 0.0  # by the monotonic clock


@dataclass(frozen=True)
class Posted:
    """One C2B notice or organisation result that was posted; status None when nobody answered."""

    kind: str  # validation, confirmation, result, timeout
    url: str
    body: dict[str, Any]
    status: int | None


@dataclass(frozen=True)
class Delivery:
    """One callback that was posted; status None when nobody answered."""

    checkout_request_id: str
    url: str
    body: dict[str, Any]
    status: int | None


def reply(status: int, document: dict[str, Any]) -> Reply:
    """A JSON answer."""
    return Reply(status, json.dumps(document).encode())


def first_fault(told: dict[str, Any], fields: tuple[tuple[str, str, str], ...]) -> str | None:
    """The first field M-Pesa would refuse, by the name it gives it."""
    for name, key, shape in fields:
        if not re.fullmatch(shape, as_text(told.get(key))):
            return name
    return "Amount" if "Amount" in told and int(as_text(told["Amount"])) > 250_000 else None


def as_text(value: object) -> str:
    """Numbers and text are both taken; nothing else is."""
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""


def password(shortcode: str, passkey: str, timestamp: str) -> str:
    """base64(shortcode + passkey + timestamp), plainly joined."""
    return base64.b64encode(f"{shortcode}{passkey}{timestamp}".encode()).decode()


class Names:
    """Makes ids and receipts in M-Pesa's shapes, the same ones again from the same seed."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._given: set[str] = set()

    def token(self) -> str:
        return self._letters(string.ascii_letters + string.digits, 28)

    def request_id(self) -> str:
        """4-4-4-12 hex and a counter, as of 2026."""
        groups = "-".join(self._letters("0123456789abcdef", size) for size in (4, 4, 4, 12))
        return f"{groups}{self._random.randrange(100, 10_000_000)}"

    def checkout_id(self, now: datetime, msisdn: str) -> str:
        """ws_CO_, Nairobi day and time, a digit or two, and the payer's last nine digits."""
        moment = now.astimezone(NAIROBI).strftime("%d%m%Y%H%M%S")
        return self._unique(
            lambda tries: f"ws_CO_{moment}{self._random.randrange(10 if tries < 20 else 999)}{msisdn[-9:]}"
        )

    def receipt(self, now: datetime) -> str:
        """Year letter from A=2006, month letter, day as 1-9 A-V, seven opaque characters."""
        day = now.astimezone(NAIROBI)
        prefix = chr(ord("A") + day.year - 2006) + chr(ord("A") + day.month - 1)
        prefix += (string.digits + string.ascii_uppercase)[day.day]
        return self._unique(lambda _: prefix + self._letters(string.ascii_uppercase + string.digits, 7))

    def conversation_id(self, now: datetime) -> str:
        """AG_, Nairobi day, 20 hex."""
        return f"AG_{now.astimezone(NAIROBI):%Y%m%d}_{self._letters('0123456789abcdef', 20)}"

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def _unique(self, make: Callable[[int], str]) -> str:
        tries = 0
        while (name := make(tries)) in self._given:
            tries += 1
        self._given.add(name)
        return name

    def _letters(self, alphabet: str, size: int) -> str:
        return "".join(self._random.choices(alphabet, k=size))


def nairobi_stamp(moment: datetime) -> int:
    """YYYYMMDDHHmmss as a number, in Nairobi time."""
    return int(moment.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S"))


def callback(checkout: Checkout, outcome: Outcome) -> dict[str, Any]:
    """What M-Pesa posts when a checkout has ended; only a paid one carries metadata."""
    told: dict[str, Any] = {
        "MerchantRequestID": checkout.merchant_request_id,
        "CheckoutRequestID": checkout.checkout_request_id,
        "ResultCode": outcome.code,
        "ResultDesc": outcome.callback_desc,
    }
    if outcome.code == PAID.code:
        told["CallbackMetadata"] = {"Item": _items(checkout)}
    return {"Body": {"stkCallback": told}}


def _items(checkout: Checkout) -> list[dict[str, Any]]:
    customer = checkout.customer
    amounts = {"float": float(checkout.amount), "int": checkout.amount, "string": f"{checkout.amount}.00"}
    masked = f"{checkout.msisdn[:4]}*****{checkout.msisdn[-3:]}"
    phones = {"int": int(checkout.msisdn), "string": checkout.msisdn, "masked": masked}
    items: list[dict[str, Any]] = [
        {"Name": "Amount", "Value": amounts[customer.amount_form]},
        {"Name": "MpesaReceiptNumber", "Value": checkout.receipt},
        {"Name": "TransactionDate", "Value": nairobi_stamp(checkout.ended_at or datetime.now(UTC))},
        {"Name": "PhoneNumber", "Value": phones[customer.phone_form]},
    ]
    if customer.balance == "no_value":
        items.insert(2, {"Name": "Balance"})
    return items[::-1] if customer.reordered else items


FORGED_ITEMS = {
    "amount": "Amount",
    "receipt": "MpesaReceiptNumber",
    "transaction_date": "TransactionDate",
    "msisdn": "PhoneNumber",
}
FORGED_FIELDS = {"result_desc": "ResultDesc", "merchant_request_id": "MerchantRequestID"}


def forge(body: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The callback with other values, by the names in the two tables above."""
    told = body["Body"]["stkCallback"]
    items = told.get("CallbackMetadata", {}).get("Item", [])
    for name, value in overrides.items():
        if name in FORGED_FIELDS:
            told[FORGED_FIELDS[name]] = value
            continue
        for item in items:
            if item["Name"] == FORGED_ITEMS[name]:
                item["Value"] = value
    return body
