"""Prompts (STK push): how they are taken, how they end, what is posted, and what is answered when asked."""

import json
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

from edge.simulators.mpesa import wire
from edge.simulators.mpesa.book import Row
from edge.simulators.mpesa.by_hand import ByHand
from edge.simulators.mpesa.customers import PAID, RULE_LIMITED, WRONG_TILL, Customer, Outcome, outcome_of
from edge.simulators.mpesa.ground import Door
from edge.simulators.mpesa.server import post_callback
from edge.simulators.mpesa.wire import Asked, Checkout, Delivery, Reply, reply
from edge.values.msisdn import mask_msisdn

WRONG_WORDS = ("mpesa", "m-pesa", "safaricom", "ngrok")  # M-Pesa may refuse addresses that contain these


class Checkouts(ByHand):
    """Read `pushes`, `queries` and `callbacks`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._doors["/mpesa/stkpush/v1/processrequest"] = Door(self._push, wire.PUSH_FIELDS, is_signed=True)
        self._doors["/mpesa/stkpushquery/v1/query"] = Door(self._query, wire.QUERY_FIELDS, is_signed=True)
        self._asked_at: deque[float] = deque()
        self._late: dict[str, tuple[Checkout, Outcome]] = {}
        self._by_id: dict[str, Checkout] = {}
        self.lose_push_answer = False  # accepts, then hangs up
        self.hold_push_answer = threading.Event()  # while set, it accepts and the answer stays on the way
        self.subscriber_lock_s = self.rule_17_s = 0.0
        self.refuse_words = False  # of two reports, the one in which the address of a prompt is looked at as well
        self.query_fault_share = 0.0  # of queries about finished checkouts, answered with an empty 500.001.1001
        self.rate_limit = 0  # queries a minute; 0 is no limit
        self.spike_arrest = False  # and none sooner than its share of the minute: the sandbox's burst of 1
        self.pending_form = "4999"  # or "empty", "processing"
        self.unknown_form = "500"  # or "400"
        self.pushes: list[Checkout] = []
        self.queries: list[Asked] = []
        self.callbacks: list[Delivery] = []

    def release(self, msisdn: str) -> None:
        """Whoever `pays_late` on this phone pays now."""
        with self._lock:
            checkout, outcome = self._late.pop(msisdn)
        self._later(self._live, checkout, outcome)()

    def most_queries_in_a_minute(self) -> int:
        """Of any sixty seconds in a row, also those that were turned away: the proof that a budget was kept."""
        with self._lock:
            times = [asked.at_s for asked in self.queries]
        most, first = 0, 0
        for place, at in enumerate(times):
            while times[first] <= at - 60:
                first += 1
            most = max(most, place - first + 1)
        return most

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

    # Pushes.

    def _push(self, told: dict[str, Any]) -> Reply:
        fields = {name: wire.as_text(value) for name, value in told.items()}
        url, now = fields["CallBackURL"], datetime.now(UTC)
        if self.https_only and not url.startswith("https://"):
            return self._refuse(400, "400.002.02", "Bad Request - Invalid CallBackURL")
        if any(word in url.lower() for word in WRONG_WORDS):
            if self.refuse_words:
                return self._refuse(400, "400.002.02", "Bad Request - Invalid CallBackURL")
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
            self._by_id[checkout.checkout_request_id] = checkout
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
        start = self._later(self._live, checkout, outcome)
        while self.hold_push_answer.is_set() and not self._closing.wait(0.01):
            pass
        return Reply(200, body, lost=lost, then=start)

    def _is_locked(self, msisdn: str, now: datetime) -> bool:
        """One prompt a phone at a time."""
        return any(
            push.msisdn == msisdn and (now - push.pushed_at).total_seconds() < self.subscriber_lock_s
            for push in self.pushes
        )

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
        row = self._end(checkout, outcome)
        if row is not None and self.stk_c2b == "before":
            self._confirm(row)
        for _ in range(checkout.customer.callbacks):
            self._deliver(checkout, outcome)
        if row is not None and self.stk_c2b == "after":
            self._confirm(row)

    def _end(self, checkout: Checkout, outcome: Outcome) -> Row | None:
        """The last word; money that moved is in the book."""
        with self._lock:
            checkout.ended_at = datetime.now(UTC)
            if outcome is PAID:
                checkout.receipt = checkout.customer.receipt or self._names.receipt(checkout.ended_at)
            checkout.outcome = outcome
        if checkout.receipt is None:
            return None
        is_till = checkout.fields["TransactionType"] == "CustomerBuyGoodsOnline"
        account = "" if is_till else checkout.fields["AccountReference"]
        return self._take_money(
            checkout.msisdn, checkout.amount, account, is_till=is_till, by_prompt=True, started_at=checkout.pushed_at,
            receipt=checkout.receipt,
        )  # fmt: skip

    def _deliver(self, checkout: Checkout, outcome: Outcome) -> None:
        body = wire.callback(checkout, outcome)
        status = None if self.is_away else post_callback(checkout.callback_url, self._shortcode, body)
        with self._lock:
            self.callbacks.append(Delivery(checkout.checkout_request_id, checkout.callback_url, body, status))
        heard = f"answered {status}" if status else "nobody answered"
        self._log(f"callback: result {outcome.code} for {mask_msisdn(checkout.msisdn)}, {heard}")

    # Queries.

    def _query(self, told: dict[str, Any]) -> Reply:
        name = wire.as_text(told["CheckoutRequestID"])
        found = reply(429, wire.SPIKE_ARREST) if self._is_too_fast() else self._tell(name)
        with self._lock:
            self.queries.append(Asked(name, found.status, json.loads(found.body), time.monotonic()))
        return found

    def _is_too_fast(self) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._asked_at and self._asked_at[0] <= now - 60:
                self._asked_at.popleft()
            if self.rate_limit and len(self._asked_at) >= self.rate_limit:
                return True
            # Apigee spreads the rate over the minute: burst 1 of 5 a minute is one each 12 s.
            if self.spike_arrest and self._asked_at and now - self._asked_at[-1] < 60 / (self.rate_limit or 5):
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
            return self._by_id.get(checkout_request_id)
