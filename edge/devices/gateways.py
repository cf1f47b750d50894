"""A gateway takes money for the shop. Whoever can be started, asked and read like this may: see `docs/developer.md`."""

from collections.abc import Mapping
from typing import Protocol

from edge.devices.mpesa import Mpesa, read_stk_result
from edge.values.gateway import Answer, Charge, Kind, Notice, Started
from edge.values.stk import Push


class Gateway(Protocol):
    """One way to be paid. Its calls raise Unreachable (nothing was done), Refused (it said no) or Unconfirmed."""

    name: str  # as in `Payment.provider`
    takes_our_reference: bool  # then a start whose answer was lost is asked about, and not left open

    def start(self, charge: Charge) -> Started:
        """Ask the guest for the money. Never repeated: a second one may be a second prompt."""

    def ask(self, reference: str) -> Answer:
        """How did it end? Asking changes nothing, so this is never Unconfirmed."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """What was posted to us, judged over its raw bytes; BadInput when that says nothing at all."""


class MpesaGateway:
    """M-Pesa by STK push."""

    name = "mpesa"
    takes_our_reference = False

    def __init__(self, mpesa: Mpesa) -> None:
        self._mpesa = mpesa

    def start(self, charge: Charge) -> Started:
        push = Push(charge.msisdn, charge.amount_cents, charge.reference, charge.description, charge.callback_url)
        return Started("rings", self._mpesa.push(push).checkout_request_id)

    def ask(self, reference: str) -> Answer:
        told = self._mpesa.query(reference)
        return Answer(told.kind, told.result_code, told.words)

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Never authentic by itself: M-Pesa signs nothing. The payment's own secret address is what proves it."""
        told = read_stk_result(body)
        kind: Kind = "paid" if told.is_paid else "failed"
        claim = Answer(kind, told.result_code, told.result_desc, told.receipt, told.amount_cents)
        return Notice(False, "stkCallback", told.checkout_request_id, claim)


class AtTheCounter:
    """Paid the moment it is asked for, in front of staff: cash by whoever takes it, a voucher by its code."""

    takes_our_reference = True

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self, charge: Charge) -> Started:
        return Started("paid", charge.reference)

    def ask(self, reference: str) -> Answer:
        return Answer("unknown", "", "nobody but our own books knows of it")

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        return Notice(False, "")
