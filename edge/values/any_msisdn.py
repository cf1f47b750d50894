"""A number that texts can reach, of any country: read in any usual notation, kept as digits with the country's code."""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from edge.errors import BadInput
from edge.values.msisdn import read_msisdn

FIELD = "phone"
LONGEST = 40  # letters that anybody writes a number with

_KENYA = "254"
_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)  # in America nobody can tell the two apart
_SHORTENED = re.compile(r"\d+(?:[.,]\d+)?E\+?\d+", re.I)


def read_any_msisdn(typed: str, country: str = "KE") -> str:
    """`0712 345 678`, `+254712345678`, `+44 7911 123456` → `254712345678`, `447911123456`; BadInput says what is wrong.

    `country` (ISO 3166) is that of numbers without a code. Landlines are refused: they take no texts.
    """
    text = typed.strip(" \t\r\n'\"=\u200e\u200f\u202a\u202c\u00a0")
    if text.endswith(".0"):  # a spreadsheet took it for a number
        text = text[:-2]
    if not text or len(text) > LONGEST:
        raise BadInput("A phone number is missing." if not text else "This is too long for a phone number.", FIELD)
    if _SHORTENED.fullmatch(text):
        raise BadInput(
            "A spreadsheet has shortened this number and lost its digits: give the column the format Text.", FIELD
        )
    if country == "KE":
        try:
            return read_msisdn(text)
        except BadInput:
            pass  # of another country, or a landline: below
    if re.search(r"[A-Za-z]", text):
        raise BadInput("This is a name, not a phone number: nothing can be sent to it.", FIELD)
    return _read(text, country)


def _read(text: str, country: str) -> str:
    digits = re.sub(r"\D", "", text)
    if text.startswith("00"):
        text = "+" + digits[2:]
    number = _parse(text, country)
    if number is None and not text.startswith(("0", "+")):
        number = _parse("+" + digits, country)  # its plus was lost on the way, as in a spreadsheet
    if number is None:
        if len(digits) < 7:
            raise BadInput("This is too short for a phone number.", FIELD)
        raise BadInput(_expected(country), FIELD)
    kind = phonenumbers.number_type(number)
    told = f"{number.country_code}{phonenumbers.national_significant_number(number)}"
    if kind in _MOBILE and not (told.startswith(_KENYA) and not re.fullmatch(r"254[17]\d{8}", told)):
        return told
    if kind == PhoneNumberType.FIXED_LINE:
        raise BadInput("This is a landline: it takes no texts. Type the number of a mobile phone.", FIELD)
    raise BadInput("This is not the number of a mobile phone: nothing can be sent to it.", FIELD)


def _parse(text: str, country: str) -> phonenumbers.PhoneNumber | None:
    """None for what no phone has."""
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _expected(country: str) -> str:
    here = " like 0712 345 678, or one from abroad" if country == "KE" else ""
    return f"This is not a mobile number. Type it{here} with + and its country's code."
