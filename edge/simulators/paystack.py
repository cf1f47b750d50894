"""A pretend Paystack that speaks its real wire: charges, verification, signed webhooks, and customers who act."""

import hashlib
import hmac
import http.client
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from edge.simulators.mpesa.server import Listener, Served
from edge.simulators.mpesa.wire import Reply, reply
from edge.values.msisdn import mask_msisdn

SECRET_KEY = "sk_test_edge-rehearsal"
PATIENCE = "Please complete authorization process on your mobile phone"
Kind = Literal["pays", "cancels", "no_money", "pays_late", "no_answer", "asks_otp"]
FAILURES = {"cancels": "Request cancelled by user", "no_money": "The balance is insufficient for the transaction"}
_PHONE = re.compile(r"\+?254[17][0-9]{8}")
_REFERENCE = re.compile(r"[A-Za-z0-9.=-]{1,100}")  # the letters Paystack allows in one


@dataclass(frozen=True)
class Customer:
    """One phone's behaviour; `pays_late` waits for `PaystackSimulator.release`.

    `webhooks`: how often Paystack tells of it, 0 for never; `forged`: signed with another key; `changed`: with another
    body than the one that was signed.
    """

    kind: Kind = "pays"
    delay_s: float = 0.0
    webhooks: int = 1
    forged: bool = False
    changed: bool = False
    webhook_first: bool = False  # before the charge is answered


@dataclass
class Charged:
    """One charge, as Paystack knows it. `amount` is in cents."""

    number: int
    reference: str
    amount: int
    msisdn: str
    email: str
    customer: Customer
    state: str = "ongoing"
    words: str = PATIENCE
    ended_at: datetime | None = None
    requested: int = field(default=0)


@dataclass(frozen=True)
class Delivery:
    """One webhook that was posted; `status` is None when nobody answered."""

    reference: str
    headers: dict[str, str]
    body: bytes
    status: int | None


class PaystackSimulator(Served):
    """Paystack on a local port; set fault attributes at any time, read `charges`, `asked` and `webhooks`."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, secret_key: str = SECRET_KEY, webhook_url: str = "", *,
        by_digit: bool = False, digit_delay_s: float = 0.0, log: Callable[[str], object] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._address, self._key = (host, port), secret_key
        self._by_digit, self._digit_delay_s = by_digit, digit_delay_s
        self._log = log or (lambda line: None)
        self._lock = threading.RLock()
        self._quiet = threading.Condition(self._lock)
        self._busy = 0
        self._customers: dict[str, Customer] = {}
        self.webhook_url = webhook_url
        self.customer = Customer()  # everybody without a script
        self.down = self.html = self.busy = self.broken = False
        self.lose_charge_answer = False  # takes the charge, then hangs up
        self.lose_charge = False  # hangs up without having taken it
        self.charges: dict[str, Charged] = {}
        self.asked: list[str] = []
        self.webhooks: list[Delivery] = []

    def _listen(self) -> Listener:
        return Listener(self._address, self._answer)

    def script(self, msisdn: str, customer: Customer) -> None:
        """From now on this phone behaves so."""
        self._customers[msisdn] = customer

    def release(self, reference: str) -> None:
        """Whoever `pays_late` pays this charge now."""
        self._live(replace_kind(self.charges[reference], "pays"))

    def wait_until_quiet(self, timeout_s: float = 10.0) -> bool:
        """Wait until every customer who will act has acted and was told about; False when time ran out."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._busy == 0, timeout_s)

    def event(self, reference: str, **changes: Any) -> bytes:
        """The webhook's body of a paid charge, with other values in `data` where wanted."""
        data = _transaction(self.charges[reference]) | changes
        return json.dumps({"event": "charge.success", "data": data}).encode()

    def sign(self, body: bytes, key: str = "") -> str:
        """The signature of these bytes, with Paystack's key of this shop or another."""
        return hmac.new((key or self._key).encode(), body, hashlib.sha512).hexdigest()

    def post(self, body: bytes, signature: str | None = None, reference: str = "") -> int | None:
        """Post these bytes to the webhook's address; signed, unless another signature is given."""
        signed = self.sign(body) if signature is None else signature
        headers = {"Content-Type": "application/json", **({"x-paystack-signature": signed} if signed else {})}
        status = _post(self.webhook_url, body, headers)
        with self._lock:
            self.webhooks.append(Delivery(reference, headers, body, status))
        return status

    # What comes in over the wire.

    def _answer(self, method: str, target: str, headers: dict[str, str], raw: bytes) -> Reply | None:
        if self.down or self._closing.is_set():
            return None
        if self.html:
            return Reply(403, b"<html>Attention Required! | Cloudflare</html>", "text/html")
        if self.broken:
            return Reply(502, b"<html>502 Bad Gateway</html>", "text/html")
        if self.busy:
            return _no(429, "Too many requests")
        if headers.get("authorization") != f"Bearer {self._key}":
            return _no(401, "Invalid key")
        path = target.partition("?")[0]
        if method == "POST" and path == "/charge":
            return self._charge(raw)
        if method == "GET" and path.startswith("/transaction/verify/"):
            return self._verify(unquote(path.removeprefix("/transaction/verify/")))
        return _no(404, "Endpoint not found")

    def _charge(self, raw: bytes) -> Reply | None:
        if self.lose_charge:
            return None
        found = self._read_charge(raw)
        if isinstance(found, str):
            return _no(400, found)
        with self._lock:
            if found.reference in self.charges:
                return _no(400, "Duplicate Transaction Reference")
            self.charges[found.reference] = found
        self._log(f"charge: KES {found.amount / 100:.2f} from {mask_msisdn(found.msisdn)}, who {found.customer.kind}")
        if found.customer.kind == "asks_otp":
            return self._say("send_otp", found, "Please enter the OTP sent to your phone", None)
        if found.customer.webhook_first:
            self._live(found)
            return self._say("pay_offline", found, PATIENCE, None)
        waits = found.customer.kind in ("pays_late", "no_answer")
        return self._say("pay_offline", found, PATIENCE, None if waits else self._prepare(found))

    def _read_charge(self, raw: bytes) -> Charged | str:
        """The charge, or what Paystack says is wrong with it."""
        try:
            told = json.loads(raw)
            money = told["mobile_money"]
            amount, reference, email = told["amount"], told["reference"], told["email"]
            phone, provider = money["phone"], money["provider"]
        except (ValueError, KeyError, TypeError):
            return "Invalid request"
        if not isinstance(amount, int) or amount < 100:
            return "Invalid Amount Sent"
        if told.get("currency") != "KES" or provider != "mpesa":
            return "Currency not supported by merchant"
        if not _REFERENCE.fullmatch(str(reference)) or "@" not in str(email):
            return "Invalid transaction reference" if "@" in str(email) else "Invalid Email Address Passed"
        if not _PHONE.fullmatch(str(phone)):
            return "Please provide a valid phone number"
        msisdn = str(phone).removeprefix("+")
        with self._lock:
            number = 4_099_260_516 + len(self.charges)
        return Charged(number, reference, amount, msisdn, email, self._customer_of(msisdn), requested=amount)

    def _customer_of(self, msisdn: str) -> Customer:
        """0-6 pays, 7 cancels, 8 has no money, 9 pays and is told of twice; or as scripted."""
        kinds: dict[str, Kind] = {"7": "cancels", "8": "no_money"}
        last = msisdn[-1:]
        by_digit = Customer(kinds.get(last, "pays"), self._digit_delay_s, 2 if last == "9" else 1)
        return self._customers.get(msisdn, by_digit if self._by_digit else self.customer)

    def _say(self, state: str, charge: Charged, words: str, then: Callable[[], None] | None) -> Reply:
        data = {"reference": charge.reference, "status": state, "display_text": words}
        body = json.dumps({"status": True, "message": "Charge attempted", "data": data}).encode()
        return Reply(200, body, lost=self.lose_charge_answer, then=then)

    def _prepare(self, charge: Charged) -> Callable[[], None]:
        """Count the customer as busy at once, so that nobody thinks it is quiet before the thread has begun."""
        with self._lock:
            self._busy += 1
        return threading.Thread(target=self._live_and_tell, args=(charge,), daemon=True).start

    def _live_and_tell(self, charge: Charged) -> None:
        try:
            if not self._closing.wait(charge.customer.delay_s):
                self._live(charge)
        finally:
            with self._quiet:
                self._busy -= 1
                self._quiet.notify_all()

    def _live(self, charge: Charged) -> None:
        """The customer acts, and Paystack tells the shop of success; of failure it says nothing."""
        with self._lock:
            charge.ended_at = datetime.now(UTC)
            failure = FAILURES.get(charge.customer.kind)
            charge.state, charge.words = ("failed", failure) if failure else ("success", "Approved")
        if charge.state != "success" or not self.webhook_url:
            return
        body = self.event(charge.reference)
        signature = self.sign(body, "sk_test_of-somebody-else" if charge.customer.forged else "")
        if charge.customer.changed:
            body = self.event(charge.reference, amount=charge.amount * 100)
        for _ in range(charge.customer.webhooks):
            status = self.post(body, signature, charge.reference)
            self._log(f"webhook: {charge.reference}, " + (f"answered {status}" if status else "nobody answered"))

    def _verify(self, reference: str) -> Reply:
        with self._lock:
            self.asked.append(reference)
            charge = self.charges.get(reference)
            if charge is None:
                return _no(400, "Transaction reference not found.")
            return reply(
                200, {"status": True, "message": "Verification successful", "data": _transaction(charge)}
            )


def replace_kind(charge: Charged, kind: Kind) -> Charged:
    """The same charge, whose customer now behaves so."""
    charge.customer = replace(charge.customer, kind=kind)
    return charge


def serve(
    host: str = "127.0.0.1", port: int = 8175, secret_key: str = SECRET_KEY,
    webhook_url: str = "http://127.0.0.1:8080/hooks/paystack", delay_s: float = 5.0,
    log: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """Answer as Paystack would until interrupted; the last digit of a phone decides what it does."""
    simulator = PaystackSimulator(host, port, secret_key, webhook_url, by_digit=True, digit_delay_s=delay_s, log=log)
    with simulator:
        for line in (
            f"Paystack simulator at {simulator.base_url}",
            f"secret_key {secret_key}; it posts to {webhook_url}",
            f"Phones answer after {delay_s:g} s, by their last digit:",
            "  0-6  pay          7  cancel",
            "  8    no money     9  pay, and Paystack tells of it twice",
            "Ctrl-C stops it.",
        ):
            log(line)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            log("Paystack simulator stopped")


def _transaction(charge: Charged) -> dict[str, Any]:
    """A transaction as verification and webhook tell it (Paystack API reference: Verify Transaction)."""
    ended = None if charge.ended_at is None else charge.ended_at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "id": charge.number, "domain": "test", "status": charge.state, "reference": charge.reference,
        "amount": charge.amount, "message": None, "gateway_response": charge.words, "paid_at": ended,
        "channel": "mobile_money", "currency": "KES", "ip_address": "127.0.0.1", "metadata": "",
        "fees": charge.amount * 15 // 1000, "requested_amount": charge.requested,
        "authorization": {"channel": "mobile_money", "bank": "M-PESA", "country_code": "KE",
                          "mobile_money_number": charge.msisdn},
        "customer": {"id": 1, "email": charge.email, "customer_code": "CUS_rehearsal", "phone": None},
    }  # fmt: skip


def _no(status: int, words: str) -> Reply:
    return reply(status, {"status": False, "message": words, "type": "validation_error"})


def _post(url: str, body: bytes, headers: dict[str, str], timeout_s: float = 10.0) -> int | None:
    """Post exactly these bytes, once; None when nobody answered."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        try:
            connection.request("POST", parts.path or "/", body, {**headers, "Connection": "close"})
            return connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):
        return None
