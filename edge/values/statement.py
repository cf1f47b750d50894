"""An M-Pesa organisation statement as the portal exports it (CSV), read liberally: no line is lost, none is guessed."""

import codecs
import csv
import io
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from edge.errors import BadInput
from edge.values.msisdn import read_msisdn

EAT = timezone(timedelta(hours=3))  # M-Pesa's wall clock, whatever the shop's
MOST_BYTES = 32 * 1024 * 1024
LONGEST_CELL = 2_000
DELIMITERS = (",", ";", "\t", "|")

# Heads as the portal writes them and as other exports do, in small letters without anything else.
_HEADS = {
    "receiptno": "code", "receipt": "code", "receiptnumber": "code", "transactionid": "code", "mpesareceipt": "code",
    "mpesareceiptnumber": "code", "transid": "code",
    "completiontime": "at", "completed": "at", "completedtime": "at", "completiondate": "at", "date": "at",
    "transactiondate": "at", "datetime": "at",
    "initiationtime": "begun", "initiated": "begun", "initiationdate": "begun",
    "details": "details", "description": "details", "narration": "details",
    "transactionstatus": "status", "status": "status",
    "paidin": "in", "credit": "in", "amountin": "in", "moneyin": "in",
    "withdrawn": "out", "withdrawal": "out", "withdrawals": "out", "paidout": "out", "debit": "out", "moneyout": "out",
    "balance": "balance", "balanceconfirmed": "confirmed",
    "reasontype": "reason", "transactiontype": "reason", "type": "reason",
    "otherpartyinfo": "party", "otherparty": "party", "otherpartyinformation": "party",
    "linkedtransactionid": "linked", "linkedtransaction": "linked", "linkedreceipt": "linked",
    "acno": "account", "accountno": "account", "accountnumber": "account", "account": "account",
    "billreference": "account", "billrefnumber": "account",
}  # fmt: skip
_CODE = re.compile(r"[A-Z0-9]{6,20}")
LETTERS_OF_RECEIPT = 10
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_DAY_FIRST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})")
_NAMED = re.compile(r"(\d{1,2})[- ]([A-Za-z]{3})[A-Za-z]*[- ,]+(\d{4}|\d{2})")
_TIME = re.compile(r"[T ,]*(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?\s*")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class Line:
    """One line of the table; amounts in cents, both positive; `number` is its line in the file."""

    number: int
    code: str
    at: datetime
    details: str = ""
    status: str = ""
    in_cents: int = 0
    out_cents: int = 0
    balance_cents: int | None = None
    reason: str = ""
    other_party: str = ""
    linked: str = ""
    account: str = ""


@dataclass(frozen=True)
class Unread:
    """A line that is no line of money as far as one can tell: kept as it stands, for a person."""

    number: int
    text: str
    words: str


@dataclass(frozen=True)
class Told:
    """A whole statement: what the block above the table says, its lines, and what could not be read."""

    heads: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


def read_statement(raw: bytes) -> Told:
    """Read the file; BadInput when it has no table of M-Pesa in it. (Columns: the M-Pesa organisation portal's.)"""
    if len(raw) > MOST_BYTES:
        raise BadInput(f"A statement has {MOST_BYTES // 2**20} MB at most: export fewer days.", "file")
    text = _text_of(raw)
    found = _find_table(text)
    if found is None:
        raise BadInput(
            "This is no M-Pesa statement: no line has the heads Receipt No., Completion Time and Paid In. Export it "
            "from the M-Pesa portal as CSV.", "file",
        )  # fmt: skip
    before, delimiter, heads, rest, offset = found
    names = _names_of(heads)
    lines: list[Line] = []
    unread: list[Unread] = []
    for number, cells in _records(rest, delimiter, offset):
        if cells == heads or not any(cell.strip() for cell in cells):
            continue  # blank, or the heads again on a new page
        try:
            lines.append(_line(number, names, cells, delimiter))
        except ValueError as reason:
            unread.append(Unread(number, delimiter.join(cells)[:LONGEST_CELL], str(reason)))
    return Told(before, lines, unread)


def read_amount(typed: str, *, comma_is_point: bool = False) -> int:
    """`1,234.50`, `KES 20`, `-20.00`, `(20)` → cents with their sign; nothing → 0. ValueError for anything else."""
    text = re.sub(r"(?i)ksh|kes|[\s'\u00a0\u202f]", "", typed)
    if text in ("", "-"):
        return 0
    is_less = text.startswith(("-", "(", "\u2212")) or text.endswith("-")
    text = text.strip("-\u2212()+")
    if re.fullmatch(r"[\d.]*\d,\d{1,2}", text) and (comma_is_point or "." in text):
        text = text.replace(".", "").replace(",", ".")
    match = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)?(?:\.(\d{1,2})0*)?", text)
    if match is None or not (match[1] or match[2]) or len(text) > 18:
        raise ValueError(f"{typed.strip()[:40]!r} is no amount")
    cents = int((match[1] or "0").replace(",", "")) * 100 + int((match[2] or "0").ljust(2, "0"))
    return -cents if is_less else cents


def read_instant(typed: str) -> datetime:
    """`2026-03-02 09:14:05`, `2/3/2026 9:14 AM`: M-Pesa's wall clock, returned as UTC. Days come before months."""
    text = typed.strip().strip("'\"")
    for pattern, order in ((_YEAR_FIRST, "ymd"), (_DAY_FIRST, "dmy"), (_NAMED, "dmy")):
        match = pattern.match(text)
        if match is not None:
            found = dict(zip(order, match.groups(), strict=True))
            year, month = int(found["y"]), _month(found["m"])
            hour, minute, second = _time(text[match.end() :], typed)
            year += 2000 if year < 100 else 0
            try:
                return datetime(year, month, int(found["d"]), hour, minute, second, tzinfo=EAT).astimezone(UTC)
            except ValueError:
                break
    raise ValueError(f"{text[:40]!r} is no day and time")


def code_day(code: str) -> datetime | None:
    """The midnight (EAT) of the day that a receipt's first three letters name; None for codes of another make.

    Year A = 2006, month A = January, day 1-9 then A = 10: as observed on receipts of 2014 and later.
    """
    if not re.fullmatch(r"[A-Z][A-L][1-9A-V][A-Z0-9]{7}", code):
        return None
    day = int(code[2]) if code[2].isdigit() else ord(code[2]) - ord("A") + 10
    try:
        return datetime(2006 + ord(code[0]) - ord("A"), ord(code[1]) - ord("A") + 1, day, tzinfo=EAT)
    except ValueError:
        return None


def is_completed(status: str) -> bool:
    """Did the money move? A line that tells no status is one that did."""
    return status.strip().lower() in ("", "completed", "complete", "success", "successful")


def read_party(other_party: str) -> tuple[str, str, str]:
    """`254712345678 - JANE DOE` → the number in full, the number as it came when it is not in full, the name."""
    head, _, name = other_party.partition(" - ")
    if not name and " " in head.strip():
        head, _, name = head.strip().partition(" ")
    shape = head.strip()
    try:
        return read_msisdn(shape), "", name.strip()
    except BadInput:
        if any(letter.isdigit() for letter in shape):
            return "", shape, name.strip()
        return "", "", other_party.strip()


def _text_of(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace").lstrip("\ufeff")
    head = raw[:400]
    if head.count(0) > len(head) // 4:  # UTF-16 without its mark
        return raw.decode("utf-16-le" if head[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _find_table(text: str) -> tuple[dict[str, str], str, list[str], str, int] | None:
    """What stands before the table, its delimiter and heads, the rest, and the number of lines up to there."""
    before: dict[str, str] = {}
    place = 0
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        place += len(line)
        for delimiter in DELIMITERS:
            cells = next(csv.reader([line], delimiter=delimiter), [])
            names = _names_of(cells)
            if "code" in names and "at" in names and ("in" in names or "out" in names):
                return before, delimiter, cells, text[place:], number
        cells = next(csv.reader([line], delimiter=";" if line.count(";") > line.count(",") else ","), [])
        told = [cell.strip(" :\t") for cell in cells if cell.strip(" :\t")]
        if len(told) >= 2 and len(before) < 40:
            before[told[0][:60]] = " ".join(told[1:])[:200]
        if number > 200:
            break
    return None


def _names_of(cells: list[str]) -> list[str]:
    return [_HEADS.get(re.sub(r"[^a-z]", "", cell.lower()), "") for cell in cells]


def _records(text: str, delimiter: str, offset: int) -> list[tuple[int, list[str]]]:
    """Records with the number of the line in the file where each begins."""
    found: list[tuple[int, list[str]]] = []
    lines = text.replace("\0", "").splitlines()
    number = 0
    while number < len(lines):
        # A quoted cell may go over a few lines; a stray quote must not swallow the rest of the file.
        taken = 1 if lines[number].count('"') % 2 == 0 else _lines_of_record(lines, number)
        record = "\n".join(lines[number : number + taken])
        found.append((offset + number + 1, next(csv.reader([record], delimiter=delimiter), [])))
        number += taken
    return found


def _lines_of_record(lines: list[str], number: int) -> int:
    quotes = 0
    for taken, line in enumerate(lines[number : number + 5], 1):
        quotes += line.count('"')
        if quotes % 2 == 0:
            return taken
    return 1


def _line(number: int, names: list[str], cells: list[str], delimiter: str) -> Line:
    told: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=False):
        if name and name not in told:
            told[name] = " ".join(cell.split())[:LONGEST_CELL]
    code = told.get("code", "").strip("'\"= ").upper()
    # One real receipt in fifteen has no digit; of another length, letters alone are a word of the export's.
    if not _CODE.fullmatch(code) or (code.isalpha() and len(code) != LETTERS_OF_RECEIPT):
        raise ValueError(f"{code[:40]!r} is no receipt number" if code else "it has no receipt number")
    is_comma = delimiter == ";"
    came = read_amount(told.get("in", ""), comma_is_point=is_comma)
    went = read_amount(told.get("out", ""), comma_is_point=is_comma)
    balance = told.get("balance", "")
    return Line(
        number=number, code=code, at=read_instant(told.get("at") or told.get("begun", "")),
        details=told.get("details", ""), status=told.get("status", ""),
        in_cents=max(came, 0), out_cents=abs(went) + max(-came, 0),
        balance_cents=read_amount(balance, comma_is_point=is_comma) if balance else None,
        reason=told.get("reason", ""), other_party=told.get("party", ""),
        linked=told.get("linked", "").strip("'\"= ").upper(), account=told.get("account", ""),
    )  # fmt: skip


def _month(typed: str) -> int:
    return int(typed) if typed.isdigit() else _MONTHS.index(typed.lower()) + 1 if typed.lower() in _MONTHS else 0


def _time(rest: str, typed: str) -> tuple[int, int, int]:
    if not rest.strip():
        return 0, 0, 0
    match = _TIME.fullmatch(rest)
    if match is None:
        raise ValueError(f"{typed.strip()[:40]!r} is no day and time")
    hour, half = int(match[1]), (match[4] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return hour, int(match[2]), int(match[3] or 0)
