"""The pretend M-Pesa's own book of the shop's account: every transaction that completed, and its statement."""

import csv
import io
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal

NAIROBI = timezone(timedelta(hours=3))
Kind = Literal["payment", "charge", "reversal", "pay_out"]
# As the organisation portal exports them.
COLUMNS = (
    "Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status", "Paid In", "Withdrawn",
    "Balance", "Balance Confirmed", "Reason Type", "Other Party Info", "Linked Transaction ID", "A/C No.",
)  # fmt: skip


@dataclass
class Row:
    """One transaction that completed; amounts in cents, both positive."""

    receipt: str
    at: datetime
    started_at: datetime
    details: str
    reason: str
    kind: Kind
    msisdn: str
    name: str
    account: str = ""
    in_cents: int = 0
    out_cents: int = 0
    balance_cents: int = 0
    linked: str = ""
    status: str = "Completed"
    is_till: bool = False
    is_reversed: bool = False
    originator_id: str = ""

    @property
    def other_party(self) -> str:
        return f"{self.msisdn} - {self.name}"


class Book:
    """Rows in the order of completion, and the balance after each."""

    def __init__(self, opening_cents: int = 0) -> None:
        self._lock = threading.RLock()
        self._rows: list[Row] = []
        self._by_receipt: dict[str, Row] = {}
        self.opening_cents = opening_cents

    @property
    def balance_cents(self) -> int:
        with self._lock:
            return self._rows[-1].balance_cents if self._rows else self.opening_cents

    def add(self, row: Row) -> Row:
        """Write it down; its balance is reckoned here."""
        with self._lock:
            row.balance_cents = self.balance_cents + row.in_cents - row.out_cents
            self._rows.append(row)
            if row.kind != "charge":  # a charge goes under the receipt of what it was charged for
                self._by_receipt[row.receipt] = row
            return row

    def find(self, receipt: str) -> Row | None:
        """By its receipt, or by the id that its caller gave the request."""
        with self._lock:
            told = self._by_receipt.get(receipt)
            return told or next((row for row in self._rows if receipt and row.originator_id == receipt), None)

    def rows(self) -> list[Row]:
        with self._lock:
            return list(self._rows)

    def statement(self, short_code: str, holder: str, *, preamble: bool = False) -> str:
        """The organisation portal's CSV, newest first; `preamble` with the lines that stand above its table."""
        rows = self.rows()
        paper = io.StringIO()
        writer = csv.writer(paper, lineterminator="\r\n")
        if preamble:
            span = f"From {_stamp(rows[0].at)} To {_stamp(rows[-1].at)}" if rows else ""
            told = (("Account Holder", holder), ("Short Code", short_code), ("Account", "Utility Account"),
                    ("Time Period", span), ("Opening Balance", _money(self.opening_cents)))  # fmt: skip
            writer.writerows([*told, ()])
        writer.writerow(COLUMNS)
        writer.writerows(_cells(row) for row in reversed(rows))
        return paper.getvalue()


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.receipt, _stamp(row.at), _stamp(row.started_at), row.details, row.status,
        _money(row.in_cents) if row.in_cents else "", _money(-row.out_cents) if row.out_cents else "",
        _money(row.balance_cents), "true", row.reason, row.other_party, row.linked, row.account,
    )  # fmt: skip


def _stamp(moment: datetime) -> str:
    return moment.astimezone(NAIROBI).strftime("%d-%m-%Y %H:%M:%S")


def _money(cents: int) -> str:
    return f"{cents / 100:.2f}"
