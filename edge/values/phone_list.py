"""A list of phone numbers as a spreadsheet exports it (CSV), read liberally; each fault is told with its line."""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge.errors import BadInput
from edge.values.any_msisdn import read_any_msisdn

MOST_BYTES = 4 * 1024 * 1024
MOST_COLUMNS = 20
LONGEST_CELL = 160  # as long as a placeholder's value may be
KEPT_FAULTS = 200  # with their lines; the others are counted
HOPELESS = 1_000  # faults, when they are more than half: this is another file
LOOKED_AT = 30  # lines, to find out where the phones stand
FIELD = "file"
PHONE = "phone"

_DELIMITERS = (",", ";", "\t", "|")
_PHONE_HEADS = ("phone", "msisdn", "mobile", "tel", "cell", "simu", "namba", "number", "nambari")
_LINES_OF_RECORD = 5  # a quoted cell may go over a few lines; a stray quote must not swallow the rest of the file

Record = tuple[int, list[str]]


@dataclass(frozen=True)
class Fault:
    """A line that is left out, and why."""

    line: int
    words: str


@dataclass
class PhoneList:
    """`columns` are the placeholders besides the phone; `rows` are line, number and cells, each number once."""

    columns: list[str] = field(default_factory=list)
    rows: list[tuple[int, str, list[str]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0

    def refuse(self, line: int, words: str) -> None:
        self.fault_count += 1
        if len(self.faults) < KEPT_FAULTS:
            self.faults.append(Fault(line, words))


def read_phone_list(raw: bytes, country: str = "KE") -> PhoneList:
    """Read the file; BadInput when it is too large, is no CSV, or has no column of phone numbers."""
    if len(raw) > MOST_BYTES:
        raise BadInput(f"A list has {MOST_BYTES // 2**20} MB at most: split it.", FIELD)
    text = _text_of(raw)
    delimiter, lines = _delimiter_of(text.splitlines())
    first = next(_records(lines, delimiter), None)
    if first is None:
        raise BadInput("This file is empty.", FIELD)
    has_heads = not any(_is_number(cell, country) for cell in first[1])
    place = _place_of_phone(first[1] if has_heads else [], lines, delimiter, country)
    found = PhoneList(_names_of(first[1], has_heads, place))
    _read_rows(found, _records(lines, delimiter, after=first[0] if has_heads else 0), place, country)
    return found


def _read_rows(found: PhoneList, records: Iterator[Record], place: int, country: str) -> None:
    seen: dict[str, int] = {}
    width = len(found.columns) + 1
    for line, cells in records:
        if any(cell.strip() for cell in cells[max(width, place + 1) :]):
            found.refuse(line, f"It has {len(cells)} cells where {width} are expected.")
            continue
        try:
            msisdn = read_any_msisdn(cells[place] if place < len(cells) else "", country)
        except BadInput as reason:
            found.refuse(line, str(reason))
            if found.fault_count >= HOPELESS > len(found.rows):
                raise BadInput(
                    f"More than half of its first {line:,} lines have no phone number: is it the right file?", FIELD
                ) from None
            continue
        if msisdn in seen:
            found.refuse(line, f"The same number as in line {seen[msisdn]}.")
            continue
        seen[msisdn] = line
        others = [_cell(cell) for number, cell in enumerate(cells[: width + 1]) if number != place][: width - 1]
        found.rows.append((line, msisdn, others + [""] * (width - 1 - len(others))))


def _text_of(raw: bytes) -> str:
    if raw.startswith(b"PK\x03\x04") or raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise BadInput("This is a spreadsheet itself: save it there as CSV, and upload that.", FIELD)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace").lstrip("\ufeff")
    if b"\0" in raw:
        raise BadInput("This is not a text file: save the list as CSV, and upload that.", FIELD)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _delimiter_of(lines: list[str]) -> tuple[str, list[str]]:
    """What stands between the cells; a `sep=;` of Excel's is a line without a number."""
    first = next((line for line in lines if line.strip()), "")
    told = re.fullmatch(r'"?sep=(.)"?', first.rstrip(" \r"), re.I)
    if told is not None:
        return told[1], ["" if line is first else line for line in lines]
    bare = re.sub(r'"[^"]*"', "", first)
    return max(_DELIMITERS, key=bare.count), lines


def _records(lines: list[str], delimiter: str, after: int = 0) -> Iterator[Record]:
    """Records that say something, with the number of the line in the file where each begins."""
    number = after
    while number < len(lines):
        taken = 1 if lines[number].count('"') % 2 == 0 else _taken(lines, number)
        record = "\n".join(lines[number : number + taken])
        try:
            cells = next(csv.reader([record], delimiter=delimiter), [])
        except csv.Error:  # one cell of more than 128 KB: it is no number
            cells = [record[: LONGEST_CELL]]
        number += taken
        if any(cell.strip() for cell in cells):
            yield number - taken + 1, cells


def _taken(lines: list[str], number: int) -> int:
    quotes = 0
    for taken, line in enumerate(lines[number : number + _LINES_OF_RECORD], 1):
        quotes += line.count('"')
        if quotes % 2 == 0:
            return taken
    return 1


def _is_number(cell: str, country: str) -> bool:
    try:
        return bool(read_any_msisdn(cell, country))
    except BadInput:
        return False


def _place_of_phone(heads: list[str], lines: list[str], delimiter: str, country: str) -> int:
    """Where most of the first lines have a number; among equals where the head says so."""
    counted: dict[int, int] = {}
    for looked_at, (_, cells) in enumerate(_records(lines, delimiter)):
        if looked_at > LOOKED_AT:
            break
        for place, cell in enumerate(cells[: MOST_COLUMNS + 1]):
            counted[place] = counted.get(place, 0) + _is_number(cell, country)
    named = [place for place, head in enumerate(heads) if any(word in head.lower() for word in _PHONE_HEADS)]
    best = max(counted, key=lambda place: (counted[place] > 0, place in named, counted[place]), default=0)
    if not counted.get(best) and not named:
        raise BadInput("No column of this file has phone numbers like 0712 345 678.", FIELD)
    return best if counted.get(best) else named[0]


def _names_of(first: list[str], has_heads: bool, place: int) -> list[str]:
    """What the other columns are called as placeholders."""
    if len(first) > MOST_COLUMNS + 1:
        raise BadInput(
            f"A list has {MOST_COLUMNS} columns besides the phone at most; this has {len(first) - 1}.", FIELD
        )
    names: list[str] = []
    for number, head in enumerate(first, 1):
        if number - 1 == place:
            continue
        name = re.sub(r"[^a-z0-9]+", "_", head.lower().strip()).strip("_")[:40].rstrip("_") if has_heads else ""
        if not name or not name[0].isalpha() or name == PHONE:
            name = f"column_{number}"
        while name in names:
            name = f"{name[:36]}_{number}"
        names.append(name)
    return names


def _cell(cell: str) -> str:
    """One line of words; a spreadsheet's ="…" around it is taken off."""
    words = " ".join(cell.split())
    whole = re.fullmatch(r'="(.*)"', words)
    return (whole[1] if whole else words)[:LONGEST_CELL]
