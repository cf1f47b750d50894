"""M-Pesa's confirmation texts, read word for word: money that came in, and money that went back.

The layouts T1 to T6b and X1 to X3 are those of texts that were seen, 2011 to 2026. What fits none exactly is nobody's
to guess: None, and a person looks.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from edge.errors import BadInput
from edge.values.msisdn import read_msisdn

NAIROBI = ZoneInfo("Africa/Nairobi")
LONGEST = 1200
AROUND_MIDNIGHT = timedelta(minutes=5)  # the code is made a moment before the text
FIRST_YEAR, LAST_YEAR = 2006, 2031  # A to Z in a code's first place

Account = Literal["till", "paybill", "person", "pochi", ""]


@dataclass(frozen=True)
class MoneyText:
    """What one text says. `kind`: "credit", or "reversal", whose `receipt` is the one that was reversed."""

    kind: Literal["credit", "reversal"]
    receipt: str  # upper case
    layout: str  # T1, T1a, T1b, T2, T2a, T3, T3m, T4, T5; T6, T6a, T6b, and T6? for words not seen before
    amount_cents: int | None = None
    payer: str | None = None  # twelve digits, where the number is told in full
    payer_shape: str = ""  # the number as it came, perhaps masked
    payer_name: str = ""
    account: str | None = None  # what was typed at a paybill
    at: datetime | None = None  # UTC, to the minute
    balance_cents: int | None = None
    purse: Account = ""  # whose balance that is
    date_fits: bool | None = None  # the date that the receipt's code tells is the text's; None: it tells none
    codes: tuple[str, ...] = ()  # of a reversal: every receipt code in the text


_MONEY = r"Ksh\.? ?(?P<{}>(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]{{1,9}})\.[0-9]{{2}})(?![0-9])"
_AMOUNT, _BALANCE = _MONEY.format("amount"), _MONEY.format("balance")
_CODE = r"(?P<receipt>(?=[0-9]*[A-Z])[A-Z0-9]{9,10})"  # one in fifteen has no digit
_WHEN = r"on (?P<date>[0-9]{1,2}/[0-9]{1,2}/(?:[0-9]{4}|[0-9]{2})) at (?P<time>[0-9]{1,2}:[0-9]{2}) ?(?P<half>[AP]M)"
# In full, or with letters or stars for what is hidden: 0722***000, 0722XXXXXX, 2547****0001.
_PHONE = r"(?P<phone>\+?(?:254[0-9]{9}|0[0-9]{9}|[0-9]{2,6}[*X•]{2,8}[0-9]{0,4}))"
_NAME = r"(?P<name>[^0-9*]{1,80}?)"
_BUSINESS = r"(?P<name>[0-9]{4,7} ?- ?.{1,80}?)"
_REST = r"(?:[. ].*)?"
_HEAD = _CODE + r" Confirmed\.? ?"

_LAYOUTS = {
    "T2": _HEAD + _WHEN + f" ?{_AMOUNT} received from {_NAME}(?: {_PHONE})?"
    r"\. ?Account Number (?P<account>.{1,40}) New Utility balance is " + _BALANCE + _REST,
    "T1b": _HEAD + _WHEN + f" ?{_AMOUNT} received from {_BUSINESS}(?:: ?{_PHONE})?"
    r"\. ?New Account balance is " + _BALANCE + _REST,
    "T1": _HEAD + _WHEN + f" ?{_AMOUNT} received from (?:{_PHONE} )?{_NAME}"
    r"\.? ?New Account balance is " + _BALANCE + _REST,
    "T5": _HEAD + f"You have received {_AMOUNT} from {_BUSINESS} {_WHEN}"
    r"\.? ?New M-PESA balance is " + _BALANCE + _REST,
    "T4": _HEAD + f"You have received {_AMOUNT} from {_NAME}(?: {_PHONE})? {_WHEN}"
    r"\.? ?New business balance is " + _BALANCE + _REST,
    "T3": _HEAD + f"You have received {_AMOUNT} from {_NAME}(?: {_PHONE})? {_WHEN}"
    r"\.? ?New M-PESA balance is " + _BALANCE + _REST,
}  # fmt: skip
_CREDITS = {name: re.compile(words, re.IGNORECASE | re.ASCII) for name, words in _LAYOUTS.items()}
_PURSES: dict[str, Account] = {
    "T1": "till", "T1b": "till", "T2": "paybill", "T3": "person", "T4": "pochi", "T5": "person",
}  # fmt: skip

_GONE = _CODE.replace("?P<receipt>", "?P<gone>")
_REVERSALS = {
    name: re.compile(words, re.IGNORECASE | re.ASCII)
    for name, words in {
        "T6": rf"{_HEAD}Transaction {_GONE} has been reversed\.? ?(?:Your account balance is now {_BALANCE}{_REST}|)",
        "T6a": rf"{_HEAD}Reversal of transaction {_GONE} has been successfully reversed"
        rf"(?:.*?New M-PESA balance is {_BALANCE}{_REST}|[. ].*|)",
        "T6b": rf"{_HEAD}Your .{{1,40}}? transaction {_GONE} of (?P<amount>[0-9,]{{1,11}}(?:\.[0-9]{{2}})?) ?Ksh "
        rf"has been refunded by .*",
    }.items()
}
# The payer's own texts end so: it is advice, and reverses nothing.
_ADVICE = re.compile(r"\bto reverse,? ?(?:please )?(?:forward|send|dial|call|sms)\b", re.IGNORECASE)
# Among other words: with a digit in it, or in capitals with a year, month and day in front.
_ANY_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?:(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{9,10}|[A-Z][A-L][1-9A-V][A-Z0-9]{7})"
    r"(?![A-Za-z0-9])"
)

_OTHER = {
    "X1": re.compile(rf"{_HEAD}Ksh\.? ?[0-9.,]+ sent to .*", re.IGNORECASE),
    "X2": re.compile(rf"{_HEAD}Ksh\.? ?[0-9.,]+ paid to .*", re.IGNORECASE),
    "X3": re.compile(
        rf"(?:{_HEAD})?(?:{_WHEN} ?)?(?:Give Ksh|Withdraw Ksh|You bought Ksh|Ksh\.? ?[0-9.,]+ transferred|"
        r"Your M-PESA balance|Your account balance was|Failed\b|Transaction cost).*",
        re.IGNORECASE,
    ),
}


def read_mpesa_sms(text: str) -> MoneyText | None:
    """What a text from MPESA says of money; None when it is of another kind, or not exactly as M-Pesa writes.

    White space, capitals, and commas in amounts may vary, and what stands behind the balance may be anything.
    """
    if len(text) > LONGEST:
        return None
    words = " ".join(text.split())
    for layout, pattern in _CREDITS.items():
        found = pattern.fullmatch(words)
        if found is not None:
            return _read_credit(layout, found, text)
    return _read_reversal(words)


def other_kind(text: str) -> str:
    """X1, X2 or X3 for M-Pesa's texts about money that went out, or about none; empty for what is not known."""
    words = " ".join(text[:LONGEST].split())
    return next((name for name, pattern in _OTHER.items() if pattern.fullmatch(words)), "")


def code_date(receipt: str) -> date | None:
    """The day that a receipt's first three letters tell: year, month, day (UK5… is 5 November 2026).

    None where they tell no day; codes of nine letters, from before 2014, never do.
    """
    if not re.fullmatch(r"[A-Z][A-L][1-9A-V][A-Z0-9]{7}", receipt):
        return None
    year, month = FIRST_YEAR + ord(receipt[0]) - ord("A"), ord(receipt[1]) - ord("A") + 1
    try:
        return date(year, month, int(receipt[2], 32))
    except ValueError:
        return None


def _read_credit(layout: str, found: re.Match[str], text: str) -> MoneyText | None:
    told = found.groupdict()
    at = _instant(told["date"], told["time"], told["half"])
    amount_cents = _cents(told["amount"])
    if at is None or amount_cents <= 0:
        return None
    receipt = told["receipt"].upper()
    shape = told.get("phone") or ""
    account = told.get("account")
    return MoneyText(
        "credit", receipt, _variant(layout, receipt, shape, text), amount_cents, _full(shape), shape,
        told["name"].strip(" ."), None if account is None else account.strip(), at, _cents(told["balance"]),
        _PURSES[layout], _fits(receipt, at),
    )  # fmt: skip


def _variant(layout: str, receipt: str, shape: str, text: str) -> str:
    """The same words, as they were written once or are now."""
    is_in_lines = re.search(r"Confirmed\.\s*\n", text, re.IGNORECASE) is not None
    if layout == "T1" and (is_in_lines or len(receipt) < 10):
        return "T1a"
    if layout == "T2" and (is_in_lines or re.search(r"Time: ?[0-9]{2}/[0-9]{2}/[0-9]{4}", text)):
        return "T2a"
    return "T3m" if layout == "T3" and shape and _full(shape) is None else layout


def _read_reversal(words: str) -> MoneyText | None:
    """Any text that speaks of reversing flags the codes in it; how M-Pesa words it to a till is not settled."""
    codes = tuple(dict.fromkeys(found[0].upper() for found in _ANY_CODE.finditer(words)))
    for layout, pattern in _REVERSALS.items():
        found = pattern.fullmatch(words)
        if found is not None:
            told = found.groupdict()
            gone = told["gone"].upper()
            reversal = MoneyText("reversal", gone, layout, codes=codes)
            amount, balance = told.get("amount"), told.get("balance")
            return replace(
                reversal, amount_cents=None if amount is None else _cents(amount),
                balance_cents=None if balance is None else _cents(balance),
            )  # fmt: skip
    if "revers" not in _ADVICE.sub("", words).lower() or not codes:
        return None
    # The notice's own code stands first, that of the payment behind it.
    return MoneyText("reversal", codes[1] if len(codes) > 1 else codes[0], "T6?", codes=codes)


def _cents(amount: str) -> int:
    whole, _, hundredths = amount.replace(",", "").partition(".")
    return int(whole or 0) * 100 + int(hundredths or 0)


def _full(shape: str) -> str | None:
    try:
        return read_msisdn(shape)
    except BadInput:
        return None


def _instant(day: str, time: str, half: str) -> datetime | None:
    """`5/11/26`, `2:30`, `PM` in Nairobi; None when there is no such moment."""
    date_, month, year = (int(number) for number in day.split("/"))
    hour, minute = (int(number) for number in time.split(":"))
    if not 1 <= hour <= 12:
        return None
    hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    try:
        local = datetime(year if year >= 100 else 2000 + year, month, date_, hour, minute, tzinfo=NAIROBI)
    except ValueError:
        return None
    return local.astimezone(UTC) if 2000 <= local.year <= 2100 else None


def _fits(receipt: str, at: datetime) -> bool | None:
    local = at.astimezone(NAIROBI)
    if len(receipt) < 10 or local.year > LAST_YEAR:
        return None
    told = code_date(receipt)
    return told is not None and told in {(local + span).date() for span in (-AROUND_MIDNIGHT, AROUND_MIDNIGHT)}
