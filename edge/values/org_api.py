"""What M-Pesa tells of payments that a customer began, and of what we asked its organisation APIs, as values."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from edge.errors import BadInput
from edge.values.msisdn import read_msisdn

NAIROBI = timezone(timedelta(hours=3))  # no summer time, ever
HASH_LENGTH = 64
LEAST_OF_A_HASH = 20  # visible hex digits; a masked number shows at most twelve
MASKS = "*xX•.·#_?…"


@dataclass(frozen=True)
class C2bNotice:
    """A payment that the customer began himself, as M-Pesa posts it to validate and to confirm. Amounts in cents."""

    receipt: str
    amount_cents: int
    at: datetime | None  # None when it is no date
    short_code: str
    account: str  # what the payer typed: trimmed, upper case; empty at a till
    msisdn: str | None  # only where it came in full
    msisdn_shape: str  # as it came: full, masked, hashed, a masked hash, empty
    payer_name: str
    kind: str  # "Pay Bill", "Buy Goods", "Customer Merchant Payment" or nothing: told, not to be relied on
    balance_cents: int | None = None  # of the shop's account afterwards; never in a validation


@dataclass(frozen=True)
class OrgAnswer:
    """M-Pesa took an order or a question; how it ends is posted later, under these names."""

    originator_conversation_id: str
    conversation_id: str


@dataclass(frozen=True)
class OrgResult:
    """How an order or a question to the organisation APIs ended. A key may be told several times, and with no value."""

    kind: str  # status, reversal, pay_out, balance by what it brings; else empty
    result_code: str
    words: str
    originator_conversation_id: str
    conversation_id: str
    receipt: str  # TransactionID: of the new transaction, where there is one
    parameters: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.result_code == "0"

    def first(self, *names: str) -> str:
        """The first value told under one of these names; empty when there is none."""
        values = (value for name in names for value in self.parameters.get(name, ()) if value)
        return next(values, "")


@dataclass(frozen=True)
class TransactionStatus:
    """What M-Pesa knows of one transaction. `unknown` says nothing about the money: ask again, or a person."""

    state: Literal["completed", "failed", "unknown"]
    receipt: str
    amount_cents: int | None
    debit_party_msisdn: str | None
    debit_party_name: str
    at: datetime | None
    words: str
    credit_party: str = ""


@dataclass(frozen=True)
class ReversalResult:
    """How a reversal ended; `done` also when it had been reversed before."""

    state: Literal["done", "failed", "unknown"]
    receipt: str  # of the reversal itself
    original_receipt: str
    amount_cents: int | None
    at: datetime | None
    words: str
    was_done_before: bool = False


@dataclass(frozen=True)
class PayOutResult:
    """How a pay-out (B2C) ended."""

    state: Literal["done", "failed", "unknown"]
    receipt: str
    amount_cents: int | None
    msisdn: str | None
    name: str
    at: datetime | None
    words: str
    available_cents: int | None = None  # left in the utility account


# Of a transaction that has ended without money moving (Daraja portal, Transaction Status).
ENDED_WITHOUT = frozenset({"cancelled", "declined", "expired", "failed"})
# The gateway was too busy, or lost its way: nothing is said about the money (Daraja portal, result codes).
SAYS_NOTHING = re.compile(r"1000000[01][0-9]|100000100|4999")
ALREADY_REVERSED = "R000001"


def status_of(result: OrgResult) -> TransactionStatus:
    """A Transaction Status result. A question that went wrong says nothing about the transaction: unknown."""
    parties = result.parameters.get("DebitPartyName", [])
    msisdn, name = split_party(parties[0] if parties else "")
    # The portal's own sample prints DebitPartyName twice; the second is the credit party.
    credit = result.first("CreditPartyName") or (parties[1] if len(parties) > 1 else "")
    told = result.first("TransactionStatus")
    state: Literal["completed", "failed", "unknown"] = "unknown"
    if result.is_done and told.lower() == "completed":
        state = "completed"
    elif result.is_done and told.lower() in ENDED_WITHOUT:
        state = "failed"
    return TransactionStatus(
        state, result.first("ReceiptNo").upper(), read_cents(result.first("Amount", "TransactionAmount")), msisdn, name,
        read_moment(result.first("FinalisedTime")), told or result.words, credit,
    )  # fmt: skip


def went_out(result: OrgResult) -> bool:
    """Was it the shop that paid? Whoever got a pay-out, or his money back, holds a receipt of that too."""
    parties = result.parameters.get("DebitPartyName", [])
    payer = (parties[0] if parties else "").partition("-")[0].strip()
    credit = result.first("CreditPartyName") or (parties[1] if len(parties) > 1 else "")
    return bool(re.fullmatch(r"[0-9]{5,7}", payer)) or split_party(credit)[0] is not None


def reversal_of(result: OrgResult) -> ReversalResult:
    """A reversal's result."""
    before = result.result_code == ALREADY_REVERSED
    return ReversalResult(
        "done" if before else _order_state(result), result.receipt, result.first("OriginalTransactionID").upper(),
        read_cents(result.first("Amount", "TransAmount")),
        read_moment(result.first("TransCompletedTime", "TransactionCompletedTime")), result.words, before,
    )  # fmt: skip


def pay_out_of(result: OrgResult) -> PayOutResult:
    """A B2C result."""
    msisdn, name = split_party(result.first("ReceiverPartyPublicName"))
    return PayOutResult(
        _order_state(result), (result.first("TransactionReceipt") or result.receipt).upper(),
        read_cents(result.first("TransactionAmount")), msisdn, name,
        read_moment(result.first("TransactionCompletedDateTime")), result.words,
        read_cents(result.first("B2CUtilityAccountAvailableFunds")),
    )  # fmt: skip


def balances_of(result: OrgResult) -> dict[str, int]:
    """Account name → cents available, of an Account Balance result: `Utility Account|KES|700000.00|…&…`."""
    found = {}
    for account in result.first("AccountBalance").split("&"):
        parts = [part.strip() for part in account.split("|")]
        cents = read_cents(parts[2]) if len(parts) > 2 else None
        if parts[0] and cents is not None:
            found[parts[0]] = cents
    return found


def _order_state(result: OrgResult) -> Literal["done", "failed", "unknown"]:
    if result.is_done:
        return "done"
    return "unknown" if SAYS_NOTHING.fullmatch(result.result_code) else "failed"


def split_party(told: str) -> tuple[str | None, str]:
    """`254700000001 - JANE DOE` → number and name; None for a short code or a masked number."""
    number, dash, name = told.partition("-")
    if not dash:
        number, name = ("", told) if not re.search(r"[0-9]{4}", told) else (told, "")
    try:
        msisdn: str | None = read_msisdn(number)
    except BadInput:
        msisdn = None
    return msisdn, " ".join(name.split())


def read_cents(told: str) -> int | None:
    """`20`, `20.0`, `1,020.00` and `KES 20.00` as cents; None for anything else. Negative amounts are kept."""
    plain = told.strip().replace(",", "")
    match = re.fullmatch(r"(?:KES|KSH)?\s*(-?)([0-9]{1,12})(?:\.([0-9]{1,2})0{0,10})?", plain, re.I)
    if match is None:
        return None
    cents = int(match[2]) * 100 + int((match[3] or "").ljust(2, "0"))
    return -cents if match[1] else cents


def read_moment(told: str) -> datetime | None:
    """Nairobi time in M-Pesa's two notations, `20261105143022` and `06.07.2024 22:48:52`, as UTC; else None."""
    told = told.strip()
    shapes = ("%Y%m%d%H%M%S",) if told.isascii() and told.isdigit() else ("%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S")
    for shape in shapes:
        try:
            moment = datetime.strptime(told, shape).replace(tzinfo=NAIROBI)
        except ValueError:
            continue
        return moment.astimezone(UTC) if 2007 <= moment.year < 2100 else None
    return None


def clean_account(typed: str) -> str:
    """What a payer typed as account: upper case, no control characters, single blanks, at most 40 letters."""
    printable = "".join(letter if letter.isprintable() else " " for letter in typed)
    return " ".join(printable.split()).upper()[:40]


def phone_fits(shape: str, msisdn: str) -> bool | None:
    """Could `shape` be this phone (`2547…`)? True and False; None when it says nothing.

    Full numbers and SHA-256 hashes decide. Of a masked one True only says that nothing visible contradicts: another
    phone may fit as well.
    """
    shape = shape.strip()
    told = re.sub(r"[\s()\-]+", "", shape)
    if not told:
        return None
    try:
        return read_msisdn(told) == msisdn
    except BadInput:
        pass
    ends = re.fullmatch(rf"([0-9a-fA-F]*)([{re.escape(MASKS)}]+)([0-9a-fA-F]*)", told)
    if ends is None:
        is_hash = re.fullmatch(rf"[0-9a-fA-F]{{{HASH_LENGTH}}}", told)
        return any(told.lower() == one for one in _hashes(msisdn)) if is_hash else _fits_mask(told, msisdn)
    if len(ends[1]) + len(ends[3]) >= LEAST_OF_A_HASH:
        return any(one.startswith(ends[1].lower()) and one.endswith(ends[3].lower()) for one in _hashes(msisdn))
    return _fits_mask(told, msisdn)


def _hashes(msisdn: str) -> list[str]:
    """Of `2547XXXXXXXX`, as Kopo Kopo's fixtures prove for the same convention; for Daraja itself that is inferred, so
    the other notations are tried too.
    """
    notations = (msisdn, f"+{msisdn}", "0" + msisdn[3:], msisdn[3:])
    return [hashlib.sha256(notation.encode()).hexdigest() for notation in notations]


def _fits_mask(told: str, msisdn: str) -> bool | None:
    """The visible digits before the first and after the last mask; how many masks stand between is not reliable."""
    match = re.fullmatch(rf"\+?([0-9]*)[{re.escape(MASKS)}](?:.*[{re.escape(MASKS)}])?([0-9]*)", told)
    if match is None:
        return None
    head, tail = match[1], match[2]
    national = msisdn[3:]
    if "254".startswith(head[:3]) and head:
        head, known = head[3:], len(head) > 3
    else:
        head, known = head.removeprefix("0"), len(head.removeprefix("0")) > 0
    if not known and not tail:
        return None
    return len(head) + len(tail) <= len(national) and national.startswith(head) and national.endswith(tail)
