"""What all desks of the pretend M-Pesa stand on: its names, its book, its threads, and how it says no."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge.simulators.mpesa import texts, wire
from edge.simulators.mpesa.book import Book, Row
from edge.simulators.mpesa.customers import Customer, by_last_digit, name_of
from edge.simulators.mpesa.server import Served, post
from edge.simulators.mpesa.wire import Reply, reply

SANDBOX_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"  # published by Safaricom


@dataclass(frozen=True)
class Door:
    """One address of the API: what answers, and the fields that are looked at first."""

    handler: Callable[[dict[str, Any]], Reply]
    fields: tuple[tuple[str, str, str], ...] = ()
    is_signed: bool = False  # with the shop's passkey, as prompts and questions about them are


class Ground(Served):
    """Shared by all desks; whoever sets an attribute changes M-Pesa's behaviour from then on."""

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
        self._customers: dict[str, Customer] = {}
        self._doors: dict[str, Door] = {}
        self._outage_until = 0.0
        self.book = Book()
        super().__init__()
        self.holder = "MAMA NJERI WIFI"
        self.on_money: Callable[[str, Row], object] | None = None  # the owner's text for each payment and reversal
        self.text_phone: texts.PhoneForm = "full"
        self.charge_cents = 0  # M-Pesa's own share of each payment: a line of its own under the same receipt
        self.by_digit = by_digit
        self.customer = Customer()  # everybody without a script, unless by_digit
        self.digit_delay_s = 0.0

    def script(self, msisdn: str, customer: Customer) -> None:
        """From now on this phone behaves so."""
        self._customers[msisdn] = customer

    def outage(self, seconds: float) -> None:
        """For so long nobody gets an answer, and what M-Pesa would post in that time is lost; people pay all the same.

        0 ends it.
        """
        self._outage_until = time.monotonic() + seconds
        self._log(f"outage: M-Pesa's API is away for {seconds:g} s" if seconds else "outage: over")

    @property
    def is_away(self) -> bool:
        return time.monotonic() < self._outage_until

    def wait_until_quiet(self, timeout_s: float = 10.0) -> bool:
        """Wait until every customer who will act has acted and was told about; False when time ran out."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._busy_threads == 0, timeout_s)

    def statement_rows(self) -> list[Row]:
        """Every transaction that completed, in its order."""
        return self.book.rows()

    def statement_csv(self, *, preamble: bool = False) -> str:
        """The statement as the organisation portal exports it, newest first."""
        return self.book.statement(self._till or self._shortcode, self.holder, preamble=preamble)

    def _refuse(self, status: int, code: str, words: str) -> Reply:
        with self._lock:
            request_id = self._names.request_id()
        return reply(status, {"requestId": request_id, "errorCode": code, "errorMessage": words})

    def _customer_of(self, msisdn: str) -> Customer:
        default = by_last_digit(msisdn, self.digit_delay_s) if self.by_digit else self.customer
        return self._customers.get(msisdn, default)

    def _later(self, work: Callable[..., object], *args: object) -> Callable[[], None]:
        """To be started when its moment comes. Counted as busy at once, so that nobody thinks it is quiet before the
        thread has begun.
        """
        with self._lock:
            self._busy_threads += 1
        return threading.Thread(target=self._run, args=(work, args), daemon=True).start

    def _run(self, work: Callable[..., object], args: tuple[object, ...]) -> None:
        try:
            work(*args)
        finally:
            with self._quiet:
                self._busy_threads -= 1
                self._quiet.notify_all()

    def _post(self, url: str, body: dict[str, Any], timeout_s: float = 10.0) -> tuple[int, bytes] | None:
        """Post without M-Pesa's header of prompts; None when nobody answered, or M-Pesa is away."""
        if self.is_away:
            return None
        return post(url, body, timeout_s=timeout_s)

    def _take_money(
        self, msisdn: str, shillings: int, account: str, *, is_till: bool, by_prompt: bool, started_at: datetime,
        receipt: str = "", name: str = "",
    ) -> Row:  # fmt: skip
        """A customer's payment: booked, and told to the owner by text."""
        now = datetime.now(UTC)
        with self._lock:
            receipt = receipt or self._names.receipt(now)
        name = name or self._customer_of(msisdn).name or name_of(msisdn)
        reason = ("Customer Merchant Payment" if is_till else "Pay Bill") + (" Online" if by_prompt else "")
        details = f"{reason} from {msisdn} - {name}" + ("" if is_till else f" Acc. {account}")
        row = self.book.add(
            Row(receipt, now, started_at, details, reason, "payment", msisdn, name, account, in_cents=shillings * 100,
                is_till=is_till)
        )  # fmt: skip
        if self.charge_cents:
            self.book.add(
                Row(receipt, now, started_at, "Pay Merchant Charge", "Pay Merchant Charge", "charge", msisdn, name,
                    out_cents=self.charge_cents)
            )  # fmt: skip
        self._tell_owner(row)
        return row

    def _reverse(self, row: Row, cents: int, by: str) -> Row:
        """Send a payment, or a part of it, back to who paid."""
        now = datetime.now(UTC)
        with self._lock:
            receipt = self._names.receipt(now)
            row.is_reversed = True
        back = self.book.add(
            Row(receipt, now, now, f"Reversal of {row.receipt} {by}", "Reversal", "reversal", row.msisdn, row.name,
                row.account, out_cents=cents, linked=row.receipt, is_till=row.is_till)
        )  # fmt: skip
        self._tell_owner(back)
        return back

    def _tell_owner(self, row: Row) -> None:
        text = texts.text_of(row, self.charge_cents, self.text_phone)
        if self.on_money is not None and text:
            self.on_money(text, row)
