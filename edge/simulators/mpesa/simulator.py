"""The pretend M-Pesa itself: what it knows, what it refuses, how checkouts end."""

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from edge.errors import BadInput
from edge.simulators.mpesa import wire
from edge.simulators.mpesa.customers import (
    PAID,
    RULE_LIMITED,
    WRONG_TILL,
    Customer,
    Outcome,
    by_last_digit,
    outcome_of,
)
from edge.simulators.mpesa.server import Listener, post_callback
from edge.simulators.mpesa.wire import Asked, Checkout, Delivery, Reply, reply
from edge.values.msisdn import mask_msisdn

SANDBOX_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"  # published by Safaricom
TOKEN_LASTS_S = 3599
Handler = Callable[[dict[str, Any]], Reply]
WRONG_WORDS = ("mpesa", "m-pesa", "safaricom", "ngrok")  # M-Pesa may refuse addresses that contain these


class MpesaSimulator:
    """Daraja on a local port; set fault attributes at any time, read `pushes`, `queries` and `callbacks`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        shortcode: str = "174379",
        passkey: str = SANDBOX_PASSKEY,
        consumer_key: str = "edge-rehearsal",
        consumer_secret: str = "edge-rehearsal",
        seed: int | None = None,
        *,
        by_digit: bool = False,
        till: str = "",
        log: Callable[[str], object] | None = None,
    ) -> None:
        self._address = (host, port)
        self._shortcode, self._passkey, self._till = shortcode, passkey, till
        self._keys = f"{consumer_key}:{consumer_secret}"
        self._names = wire.Names(seed)
        self._log = log or (lambda line: None)
        self._lock = threading.RLock()
        self._quiet = threading.Condition(self._lock)
        self._busy_threads = 0
        self._closing = threading.Event()
        self._customers: dict[str, Customer] = {}
        self._tokens: dict[str, float] = {}
        self._asked_at: deque[float] = deque()
        self._late: dict[str, tuple[Checkout, Outcome]] = {}
        self._listener: Listener | None = None
        self.by_digit = by_digit
        self.customer = Customer()  # everybody without a script, unless by_digit
        self.digit_delay_s = 0.0
        self.down = self.html = self.busy = self.maintenance = self.broken = False
        self.lose_push_answer = False  # accepts, then hangs up
        self.hold_push_answer = threading.Event()  # while set, it accepts and the answer stays on the way
        self.slow_s = self.subscriber_lock_s = self.rule_17_s = 0.0
        self.query_fault_share = (
            0.0  # of queries about finished checkouts, answered with an empty 500.001.1001
        )
        self.rate_limit = 0  # queries a minute; 0 is no limit
        self.single_token = self.text_expiry = self.empty_400 = self.https_only = False
        self.pending_form = "4999"  # or "empty", "processing"
        self.unknown_form = "500"  # or "400"
        self.pushes: list[Checkout] = []
        self.queries: list[Asked] = []
        self.callbacks: list[Delivery] = []

    def __enter__(self) -> "MpesaSimulator":
        self._listener = Listener(self._address, self._answer)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
        self.wait_until_quiet()

    @property
    def base_url(self) -> str:
        """Where it listens; only while it is open."""
        if self._listener is None:
            raise BadInput("the simulator is not open")
        host, port = self._listener.server_address[:2]
        return f"http://{host!s}:{port}"

    def script(self, msisdn: str, customer: Customer) -> None:
        """From now on this phone behaves so."""
        self._customers[msisdn] = customer

    def release(self, msisdn: str) -> None:
        """Whoever `pays_late` on this phone pays now."""
        with self._lock:
            checkout, outcome = self._late.pop(msisdn)
        self._prepare(checkout, outcome)()

    def expired_tokens(self) -> None:
        """Every token given out so far is worth nothing."""
        with self._lock:
            self._tokens.clear()

    def wait_until_quiet(self, timeout_s: float = 10.0) -> bool:
        """Wait until every customer who will act has acted and was told about; False when time ran out."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._busy_threads == 0, timeout_s)

    def callback_body(
        self, checkout_request_id: str, result_code: int | str = 0, **overrides: Any
    ) -> dict[str, Any]:
        """A callback as M-Pesa would post it, or a forgery of one by overrides (see `wire.forge`)."""
        found = self._find(checkout_request_id)
        now = datetime.now(UTC)
        with self._lock:
            request_id, receipt = self._names.request_id(), self._names.receipt(now)
        checkout = Checkout(
            found.msisdn if found else "254700000001",
            found.amount if found else 20,
            "",
            checkout_request_id,
            found.merchant_request_id if found else request_id,
            Customer(),
            {},
            now,
            receipt=found.receipt if found and found.receipt else receipt,
        )
        desc = PAID.callback_desc if result_code == 0 else "Request cancelled by user"
        return wire.forge(wire.callback(checkout, Outcome(result_code, desc, desc)), overrides)

    # What comes in over the wire.

    def _answer(self, method: str, target: str, headers: dict[str, str], raw: bytes) -> Reply | None:
        if self.slow_s:
            self._closing.wait(self.slow_s)
        if self.down or self._closing.is_set():
            return None
        fault = self._edge_fault()
        if fault is not None:
            return fault
        path, _, question = target.partition("?")
        if path == "/oauth/v1/generate":
            return self._give_token(question, headers)
        handlers = {
            "/mpesa/stkpush/v1/processrequest": self._push,
            "/mpesa/stkpushquery/v1/query": self._query,
        }
        handler = handlers.get(path)
        if handler is None:
            return self._refuse(404, "404.001.01", "Resource not found")
        if method != "POST":
            return self._refuse(405, "405.001", f"{method} Method Not Allowed")
        return self._check_caller(headers) or self._with_body(handler, headers, raw)

    def _edge_fault(self) -> Reply | None:
        """What stands before M-Pesa proper: Incapsula's page, Apigee's brakes, maintenance."""
        if self.html:
            return Reply(403, wire.INCAPSULA.encode(), "text/html")
        if self.maintenance:
            return Reply(503, b"<html>Service is currently under maintenance</html>", "text/html")
        if self.broken:
            return self._refuse(500, "500.003.1001", "Internal Server Error")
        if self.busy:
            return self._refuse(500, "500.003.02", "System is busy. Please try again in few minutes.")
        return None

    def _give_token(self, question: str, headers: dict[str, str]) -> Reply:
        if self.empty_400:
            return Reply(400)
        if question != "grant_type=client_credentials":
            return self._refuse(400, "400.008.02", "Invalid grant type passed")
        expected = "Basic " + base64.b64encode(self._keys.encode()).decode()
        if headers.get("authorization") != expected:
            return self._refuse(400, "400.008.01", "Invalid Authentication passed")
        with self._lock:
            if self.single_token:
                self._tokens.clear()
            token = self._names.token()
            self._tokens[token] = time.monotonic() + TOKEN_LASTS_S
        lasts = str(TOKEN_LASTS_S) if self.text_expiry else TOKEN_LASTS_S
        return reply(200, {"access_token": token, "expires_in": lasts})

    def _check_caller(self, headers: dict[str, str]) -> Reply | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return self._refuse(404, "404.001.04", "Invalid Authentication Header")
        with self._lock:
            good = self._tokens.get(token, 0.0) > time.monotonic()
        return None if good else self._refuse(404, "404.001.03", "Invalid Access Token")

    def _with_body(self, handler: Handler, headers: dict[str, str], raw: bytes) -> Reply:
        if not headers.get("content-type", "").lower().startswith("application/json"):
            return self._refuse(400, "400.002.02", "Bad Request - Invalid BusinessShortCode")
        try:
            told = json.loads(raw)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            return self._refuse(400, "400.002.05", "Invalid Request Payload")
        fields = wire.PUSH_FIELDS if handler == self._push else wire.QUERY_FIELDS
        fault = wire.first_fault(told, fields)
        if fault is not None:
            return self._refuse(400, "400.002.02", f"Bad Request - Invalid {fault}")
        return self._check_merchant(told) or handler(told)

    def _check_merchant(self, told: dict[str, Any]) -> Reply | None:
        shortcode = wire.as_text(told["BusinessShortCode"])
        if shortcode != self._shortcode:
            return self._refuse(500, "500.001.1001", "Merchant does not exist")
        if told["Password"] != wire.password(shortcode, self._passkey, wire.as_text(told["Timestamp"])):
            return self._refuse(500, "500.001.1001", "Wrong credentials")
        return None

    def _refuse(self, status: int, code: str, words: str) -> Reply:
        with self._lock:
            return reply(
                status, {"requestId": self._names.request_id(), "errorCode": code, "errorMessage": words}
            )

    # Pushes.

    def _push(self, told: dict[str, Any]) -> Reply:
        fields = {name: wire.as_text(value) for name, value in told.items()}
        url, now = fields["CallBackURL"], datetime.now(UTC)
        if self.https_only and not url.startswith("https://"):
            return self._refuse(400, "400.002.02", "Bad Request - Invalid CallBackURL")
        if any(word in url.lower() for word in WRONG_WORDS):
            self._log("warning: M-Pesa may refuse this CallBackURL because of a word in it")
        msisdn = fields["PhoneNumber"]
        with self._lock:
            if self._is_locked(msisdn, now):
                words = "Unable to lock subscriber, a transaction is already in process for the current subscriber"
                return self._refuse(500, "500.001.1001", words)
            checkout = Checkout(
                msisdn,
                int(fields["Amount"]),
                url,
                self._names.checkout_id(now, msisdn),
                self._names.request_id(),
                self._customer_of(msisdn),
                fields,
                now,
            )
            outcome = self._outcome_of(checkout)
            self.pushes.append(checkout)
        self._log(f"push: KSh {checkout.amount} from {mask_msisdn(msisdn)}, who {checkout.customer.kind}")
        return self._accept(checkout, outcome)

    def _accept(self, checkout: Checkout, outcome: Outcome) -> Reply:
        document = {
            "MerchantRequestID": checkout.merchant_request_id,
            "CheckoutRequestID": checkout.checkout_request_id,
            "ResponseCode": "0",
            "ResponseDescription": wire.ACCEPTED,
            "CustomerMessage": wire.ACCEPTED,
        }
        lost, body = self.lose_push_answer, json.dumps(document).encode()
        if checkout.customer.kind == "pays_late" and not checkout.customer.delay_s:
            with self._lock:
                self._late[checkout.msisdn] = (checkout, outcome)
            return Reply(200, body, lost=lost)
        if checkout.customer.callback_first:
            self._live(checkout, outcome)
            return Reply(200, body, lost=lost)
        start = self._prepare(checkout, outcome)
        while self.hold_push_answer.is_set() and not self._closing.wait(0.01):
            pass
        return Reply(200, body, lost=lost, then=start)

    def _prepare(self, checkout: Checkout, outcome: Outcome) -> Callable[[], None]:
        """Count the customer as busy at once, so that nobody thinks it is quiet before the thread has begun."""
        with self._lock:
            self._busy_threads += 1
        return threading.Thread(target=self._live_and_tell, args=(checkout, outcome), daemon=True).start

    def _is_locked(self, msisdn: str, now: datetime) -> bool:
        """One prompt a phone at a time."""
        return any(
            push.msisdn == msisdn and (now - push.pushed_at).total_seconds() < self.subscriber_lock_s
            for push in self.pushes
        )

    def _customer_of(self, msisdn: str) -> Customer:
        default = by_last_digit(msisdn, self.digit_delay_s) if self.by_digit else self.customer
        return self._customers.get(msisdn, default)

    def _outcome_of(self, checkout: Checkout) -> Outcome:
        fields = checkout.fields
        right = self._till if fields["TransactionType"] == "CustomerBuyGoodsOnline" else self._shortcode
        if right and fields["PartyB"] != right:
            return WRONG_TILL
        again = any(
            push.msisdn == checkout.msisdn
            and push.amount == checkout.amount
            and push.outcome is PAID
            and (checkout.pushed_at - push.pushed_at).total_seconds() < self.rule_17_s
            for push in self.pushes
        )
        return RULE_LIMITED if again else outcome_of(checkout.customer)

    def _live(self, checkout: Checkout, outcome: Outcome) -> None:
        """The customer looks at the prompt, acts, and M-Pesa tells the shop."""
        if self._closing.wait(checkout.customer.delay_s):
            return
        self._end(checkout, outcome)
        for _ in range(checkout.customer.callbacks):
            self._deliver(checkout, outcome)

    def _live_and_tell(self, checkout: Checkout, outcome: Outcome) -> None:
        try:
            self._live(checkout, outcome)
        finally:
            with self._quiet:
                self._busy_threads -= 1
                self._quiet.notify_all()

    def _end(self, checkout: Checkout, outcome: Outcome) -> None:
        with self._lock:
            checkout.ended_at = datetime.now(UTC)
            if outcome is PAID:
                checkout.receipt = checkout.customer.receipt or self._names.receipt(checkout.ended_at)
            checkout.outcome = outcome

    def _deliver(self, checkout: Checkout, outcome: Outcome) -> None:
        body = wire.callback(checkout, outcome)
        status = post_callback(checkout.callback_url, self._shortcode, body)
        with self._lock:
            self.callbacks.append(Delivery(checkout.checkout_request_id, checkout.callback_url, body, status))
        heard = f"answered {status}" if status else "nobody answered"
        self._log(f"callback: result {outcome.code} for {mask_msisdn(checkout.msisdn)}, {heard}")

    # Queries.

    def _query(self, told: dict[str, Any]) -> Reply:
        name = wire.as_text(told["CheckoutRequestID"])
        found = reply(429, wire.SPIKE_ARREST) if self._is_too_fast() else self._tell(name)
        with self._lock:
            self.queries.append(Asked(name, found.status, json.loads(found.body)))
        return found

    def _is_too_fast(self) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._asked_at and self._asked_at[0] <= now - 60:
                self._asked_at.popleft()
            if self.rate_limit and len(self._asked_at) >= self.rate_limit:
                return True
            self._asked_at.append(now)
            return False

    def _tell(self, name: str) -> Reply:
        checkout = self._find(name)
        if checkout is None and self.unknown_form == "400":
            return self._refuse(400, "400.002.02", "Bad Request - Invalid CheckoutRequestID")
        if checkout is None:
            return self._refuse(500, "500.001.1001", "The transaction does not Exist")
        if checkout.outcome is None:
            return self._tell_pending(checkout)
        if self._names.chance(self.query_fault_share):
            return self._refuse(500, "500.001.1001", "")
        return self._tell_result(checkout, str(checkout.outcome.code), checkout.outcome.query_desc)

    def _tell_pending(self, checkout: Checkout) -> Reply:
        if self.pending_form == "empty":
            return self._refuse(200, "500.001.1001", "")
        if self.pending_form == "processing":
            return self._refuse(500, "500.001.1001", "The transaction is being processed")
        return self._tell_result(checkout, "4999", "The transaction is still under processing")

    def _tell_result(self, checkout: Checkout, code: str, words: str) -> Reply:
        told = {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successfully",
            "MerchantRequestID": checkout.merchant_request_id,
            "CheckoutRequestID": checkout.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": words,
        }
        return reply(200, told)

    def _find(self, checkout_request_id: str) -> Checkout | None:
        with self._lock:
            return next(
                (push for push in self.pushes if push.checkout_request_id == checkout_request_id), None
            )
