"""What the network says of the SIM's balance, read by a template that the owner may write.

A template is the answer's own words with `{balance}`, `{date}` and `{bundle}` where those stand, and `*` for anything:
`Bal: {balance} * expires {date}`. Capitals and spaces do not matter, and more may stand around it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from edge.errors import BadInput

NAIROBI = timezone(timedelta(hours=3))
MOST_LETTERS, MOST_BUNDLES = 300, 5
LONGEST_ANSWER = 2_000
NAMES = ("balance", "date", "bundle")

# Assumed, from what these networks have answered over the years, and the words vary: whoever sees other ones sets
# [modem] balance_pattern. The first that fits is taken.
ASSUMED: dict[str, tuple[str, ...]] = {
    "Safaricom *144#": ("Airtime Bal*{balance}*Expir*{date}", "Airtime Bal*{balance}"),
    "Airtel *131#": ("balance is {balance}*valid*{date}", "balance is {balance}"),
    "Telkom *131#": ("Main Bal*{balance}*Expir*{date}", "Main Bal*{balance}"),
    "others": ("Bal*{balance}*Expir*{date}", "Bal*{balance}", "Salio*{balance}", "{balance}*Bal"),
}

_SIGN = r"(?:KSHS?|KES|SHS?)"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "(?:" + "|".join(_MONTHS) + ")[a-z]*"
# `Ksh.5` is five shillings; neither the day of a date, nor the 500 of 500MB, nor the hour of 12:30, nor the number of
# an entry in a menu is an amount.
_ENTRY = r"(?:(?m:^)\d{1,2}[.:)]|\d{1,2}[:)])\s*[A-Z]"
_AMOUNT = (
    rf"(?:-?\b{_SIGN}[.:]?\s*-?|(?<!\d)(?<!\d[.,:/-])(?!{_ENTRY})-?)(?:(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,9}})(?:\.\d{{1,2}})?|\.\d\d)"
    rf"(?![\d%]|\.\d|,\d{{3}}\b|[:/-]\d|\s*(?:[KMG]B|SMS|MIN)|(?:st|nd|rd|th)?[-/ ]+{_MONTH}\b)"
    rf"(?:\s*(?:{_SIGN}\b|/[=-]))?"
)
_TIME = r"(?:[ ,T]*(?:at\s+)?\d{1,2}:\d{2}(?::\d{2})?(?:\s*[AP]M\b)?)?"
_DATE = (
    rf"(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})(?!\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[-/ ]+{_MONTH}[-/, ]+(?:\d{{4}}|\d{{2}})(?!\d)"
    rf"|{_MONTH}\s+\d{{1,2}},?\s+\d{{4}}){_TIME}"
)
_QUANTITY = re.compile(r"\b\d[\d,]*(?:\.\d+)?\s*(?:[KMG]B|SMS|MIN(?:UTE)?S?)\b", re.IGNORECASE)
_TEXTS = re.compile(r"(\d[\d,]{0,11})\s*SMS\b", re.IGNORECASE)
_MONEY = re.compile(rf"(-?)(?:{_SIGN}[.:]?\s*)?(-?)([\d,]*)(?:\.(\d+))?\s*(?:{_SIGN}|/[=-])?", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """What was read: cents, until when it can be used, and what else is left, as `120 SMS`."""

    balance_cents: int | None = None
    ends_at: datetime | None = None
    bundles: tuple[str, ...] = ()

    @property
    def texts(self) -> int:
        """How many texts the bundles hold."""
        return count_texts("; ".join(self.bundles))


def read(words: str, template: str = "", zone: tzinfo = NAIROBI) -> Reading | None:
    """By this template alone, or by the assumed ones when it is empty; None when nothing fits.

    `zone` is of the dates in the words. BadInput when the template is none.
    """
    words = words[:LONGEST_ANSWER]
    templates = (template,) if template.strip() else tuple(each for kind in ASSUMED.values() for each in kind)
    for each in templates:
        found = _pattern(each).search(words)
        if found is not None:
            return _reading(found, words, zone)
    return None


def check_template(template: str) -> None:
    """BadInput says what is wrong with it."""
    _pattern(template)


def read_money(words: str) -> int | None:
    """The first amount, in cents: `KSh 1,234.50`, `12.00KSH`, `Ksh.5`; None when there is none."""
    found = re.search(_AMOUNT, words, re.IGNORECASE)
    return None if found is None else _cents(found[0])


def read_date(words: str, zone: tzinfo = NAIROBI) -> datetime | None:
    """The first date, as UTC; a day without a time is meant to its end. None when there is no such day."""
    found = re.search(_DATE, words, re.IGNORECASE)
    return None if found is None else _instant(found[0], zone)


def count_texts(bundles: str) -> int:
    """`120 SMS; 2 GB` → 120."""
    return sum(int(found[1].replace(",", "")) for found in _TEXTS.finditer(bundles))


@lru_cache(maxsize=64)
def _pattern(template: str) -> re.Pattern[str]:
    """Whatever stands behind a `*` or begins a bundle is held to where it is found first: no answer takes long."""
    parts = [part for part in re.split(r"(\{[^{}]*\}|\*+)", template.strip()) if part]
    names = [_name(part) for part in parts if _is_name(part)]
    if len(template) > MOST_LETTERS or names.count("bundle") > MOST_BUNDLES:
        raise BadInput(f"a template has at most {MOST_LETTERS} letters and {MOST_BUNDLES} bundles", "balance_pattern")
    if not names:
        raise BadInput("a template names {balance}, as in: Bal: {balance} expires {date}", "balance_pattern")
    if names.count("balance") > 1 or names.count("date") > 1:
        raise BadInput("a template names {balance} and {date} once each", "balance_pattern")
    told, is_held, bundles = "", False, 0
    for place, part in enumerate(parts):
        name = _name(part) if _is_name(part) else ""
        if is_held and (part.startswith("*") or name == "bundle"):
            told, is_held = told + ")", False
        if part.startswith("*"):
            told, is_held = told + "(?>.*?", True
        elif name == "bundle":
            bundles += 1
            how_far = "" if place + 1 == len(parts) else "?"
            told, is_held = told + rf"(?>(?P<bundle{bundles}>[^\n]{{1,80}}{how_far})", True
        elif name:
            told += f"(?P<{name}>{_AMOUNT if name == 'balance' else _DATE})"
        else:
            told += r"\s*".join(re.escape(word) for word in re.split(r"\s+", part))
    return re.compile(told + ")" * is_held, re.IGNORECASE | re.DOTALL)


def _is_name(part: str) -> bool:
    return part.startswith("{") and part.endswith("}")


def _name(part: str) -> str:
    name = part.strip("{} ").lower()
    if name not in NAMES:
        raise BadInput(f"{part}: a template knows " + ", ".join(f"{{{each}}}" for each in NAMES), "balance_pattern")
    return name


def _reading(found: re.Match[str], words: str, zone: tzinfo) -> Reading:
    """Bundles that the template does not name are looked for by their units."""
    told = {name: value.strip() for name, value in found.groupdict().items() if value}
    named = tuple(value for name, value in told.items() if name.startswith("bundle") and value)
    counted = tuple(dict.fromkeys(each[0] for each in _QUANTITY.finditer(words)))
    balance, date = told.get("balance"), told.get("date")
    return Reading(
        None if balance is None else _cents(balance),
        None if date is None else _instant(date, zone),
        named or counted,
    )


def _cents(amount: str) -> int:
    found = _MONEY.fullmatch(amount)
    assert found is not None, amount  # it was found as an amount
    whole, part = found[3].replace(",", "") or "0", (found[4] or "").ljust(2, "0")
    return (int(whole) * 100 + int(part)) * (-1 if found[1] or found[2] else 1)


def _instant(words: str, zone: tzinfo) -> datetime | None:
    """A day before a month, as Kenya writes it, unless there is no such month."""
    day_words, clock_words = _split(words)
    numbers = [int(number) for number in re.findall(r"\d+", day_words)]
    month = re.search(_MONTH, day_words, re.IGNORECASE)
    if month is not None:
        year, day = (numbers[1], numbers[0])
        order = (year, _MONTHS.index(month[0][:3].lower()) + 1, day)
    elif numbers[0] > 31:
        order = (numbers[0], numbers[1], numbers[2])
    else:
        first, second, year = numbers
        order = (year, first, second) if second > 12 else (year, second, first)
    year = order[0] if order[0] > 99 else order[0] + 2000
    try:
        hour, minute, second = _clock(clock_words)
        return datetime(year, order[1], order[2], hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _split(words: str) -> tuple[str, str]:
    """The day, and the time behind it."""
    found = re.search(r"\d{1,2}:\d{2}.*$", words, re.DOTALL)
    return (words, "") if found is None else (words[: found.start()], found[0])


def _clock(words: str) -> tuple[int, int, int]:
    if not words:
        return 23, 59, 59
    hour, minute, second = (*(int(number) for number in re.findall(r"\d+", words)), 0)[:3]
    half = words[-2:].upper()
    if half in ("AM", "PM"):
        hour = hour % 12 + (12 if half == "PM" else 0)
    return hour, minute, second
