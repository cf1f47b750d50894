"""Paystack (Kenya): charge a phone, verify how it ended, and read what it posts back, judged by its signature."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edge.devices.exchange import Reply, exchange
from edge.errors import BadInput, Refused, Unconfirmed, Unreachable
from edge.values.gateway import Answer, Charge, Notice, Started

CHARGE_PATH, VERIFY_PATH = "/charge", "/transaction/verify/"
SIGNATURE = "X-Paystack-Signature"
CURRENCY = "KES"
# States of a charge and of a transaction (Paystack API reference: Charge, Transaction). `abandoned` is said of one that
# nobody has finished yet as well, so it is no failure.
UNDER_WAY = frozenset({"pending", "pay_offline", "ongoing", "processing", "queued", "success"})
ENDED_UNPAID = frozenset({"failed", "timeout", "reversed"})
ASKS_MORE = "send_"  # send_otp, send_pin …: nothing moves until that is submitted, which no portal of ours can
# What Paystack says to a reference that it knows already.
DUPLICATE = "duplicate"


@dataclass(frozen=True)
class _Told:
    """One answer: its status, its envelope's flag, `data` and the words in it."""

    status: int
    is_ok: bool
    data: dict[str, Any]
    words: str
    is_document: bool

    @property
    def turned_away(self) -> bool:
        """By something in front of Paystack, or by its rate limit: nothing was done."""
        return self.status in (429, 503) or 300 <= self.status < 400 or (self.status == 403 and not self.is_document)

    @property
    def is_refusal(self) -> bool:
        return 400 <= self.status < 500 and self.status != 408


class Paystack:
    """One Paystack account; safe to share between threads."""

    name = "paystack"
    takes_our_reference = True

    def __init__(self, base_url: str, secret_key: str, email: str, *, timeout_s: float = 20.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = secret_key.strip()
        self._email = email.strip()
        self._timeout_s = timeout_s

    def start(self, charge: Charge) -> Started:
        """Have Paystack ring the phone; Unconfirmed when it may ring although no answer came."""
        body = {
            "email": self._email,
            "amount": charge.amount_cents,  # cents, too (Paystack API reference: amounts are in the subunit)
            "currency": CURRENCY,
            "reference": charge.reference,
            "mobile_money": {"phone": "+" + charge.msisdn, "provider": "mpesa"},
        }
        told = self._tell(self._exchange("POST", CHARGE_PATH, body))
        return _read_started(told, charge.reference)

    def ask(self, reference: str) -> Answer:
        """How did this charge end? A lost answer is only Unreachable."""
        try:
            told = self._tell(self._exchange("GET", VERIFY_PATH + quote(reference, safe="")))
        except Unconfirmed as lost:
            raise Unreachable(str(lost)) from None
        return _read_answer(told, reference)

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """What was posted to the webhook's address."""
        return read_notice(self._key, headers.get(SIGNATURE, ""), body)

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        headers = {"Authorization": f"Bearer {self._key}"}
        return exchange("Paystack", method, self._base_url + path, self._timeout_s, headers=headers, body=body)

    def _tell(self, reply: Reply) -> _Told:
        document = _load(reply.body)
        if document is None:
            kind = "a web page" if b"<" in reply.body else "something unreadable" if reply.body else "an empty page"
            return _Told(reply.status, False, {}, f"HTTP {reply.status} with {kind}", False)
        data = document.get("data")
        data = data if isinstance(data, dict) else {}
        places = (data.get("gateway_response"), data.get("message"), data.get("display_text"), document.get("message"))
        words = next((place for place in places if isinstance(place, str) and place.strip()), f"HTTP {reply.status}")
        return _Told(reply.status, document.get("status") is True, data, self._hush(words), True)

    def _hush(self, words: str) -> str:
        """A server that repeats our request must not bring its key into a log."""
        if len(self._key) >= 8:
            words = words.replace(self._key, "***")
        words = re.sub(r"sk_(?:live|test)_\w+", "***", words)
        return re.sub(r"[^\x20-\x7e]+", " ", words).strip()[:200]


def read_notice(secret_key: str, signature: str, body: bytes) -> Notice:
    """A webhook, authentic when its signature is the HMAC-SHA512 of these very bytes with our secret key.

    BadInput when an authentic one is no event. Of what proves nothing only the claim is returned, if there is one.
    (Paystack documentation, Webhooks: event, data, x-paystack-signature.)
    """
    wanted = hmac.new(secret_key.strip().encode(), body, hashlib.sha512).hexdigest()
    is_authentic = bool(secret_key.strip()) and hmac.compare_digest(wanted.encode(), signature.strip().lower().encode())
    document = _load(body)
    event = document.get("event") if document is not None else None
    if document is None or not isinstance(event, str) or not event:
        if is_authentic:
            raise BadInput("this is no Paystack event", "event")
        return Notice(False, "")
    data = document.get("data")
    reference = data.get("reference") if isinstance(data, dict) else None
    event = re.sub(r"[^\x21-\x7e]+", " ", event)[:60]
    if event != "charge.success" or not isinstance(data, dict) or not isinstance(reference, str):
        return Notice(is_authentic, event)
    return Notice(is_authentic, event, reference[:100], _claim(data))


def _read_started(told: _Told, reference: str) -> Started:
    state = _text(told.data.get("status"))
    if told.turned_away:
        raise Unreachable(f"Paystack did not take it now: {told.words}")
    if DUPLICATE in told.words.lower():
        raise Unconfirmed(f"Paystack knows this charge already: {told.words}")
    if told.is_refusal or state in ENDED_UNPAID:
        raise Refused(f"Paystack said no: {told.words}")
    if state.startswith(ASKS_MORE) or state == "open_url":
        raise Refused(f"Paystack asks the guest for more than his PIN ({state}), which this portal can't: {told.words}")
    if told.status == 200 and told.is_ok and state in UNDER_WAY:
        return Started("rings", reference, told.words)
    raise Unconfirmed(f"Paystack's answer does not say whether the phone rings: {told.words}")


def _read_answer(told: _Told, asked: str) -> Answer:
    if told.is_document and told.status in (400, 404) and "not found" in told.words.lower():
        return Answer("unknown", "not-found", told.words)  # not yet, or never: of a lost charge nobody knows
    if told.status != 200 or not told.is_ok:
        raise Unreachable(f"Paystack did not answer our question: {told.words}")
    if told.data.get("reference") != asked:
        return Answer("unknown", "", "Paystack told of another payment")
    state = _text(told.data.get("status"))
    if state == "success":
        return _claim(told.data)
    if state in ENDED_UNPAID:
        return Answer("failed", state, told.words)
    return Answer("pending" if state in UNDER_WAY or state == "abandoned" else "unknown", state, told.words)


def _claim(data: dict[str, Any]) -> Answer:
    """What a finished transaction says. Another currency is no amount of ours; the receipt is Paystack's own number."""
    amount = _whole(data.get("amount")) if data.get("currency") == CURRENCY else None
    number = _whole(data.get("id"))
    state = _text(data.get("status"))
    words = _text(data.get("gateway_response")) or state
    receipt = None if number is None else str(number)
    return Answer("paid" if state == "success" else "unknown", state, words, receipt, amount)


def _load(raw: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _whole(value: object) -> int | None:
    """A positive whole number, also where it came as text."""
    found = re.fullmatch(r"[1-9][0-9]{0,17}", str(value)) if isinstance(value, int | str) else None
    return None if found is None else int(found[0])


def _text(value: object) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", value).strip()[:200] if isinstance(value, str) else ""
