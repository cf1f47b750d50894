"""CSV for spreadsheets: UTF-8 that Excel believes, and no cell that a spreadsheet would take for a formula."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

BOM = "\ufeff"
# OWASP, "CSV Injection": what a spreadsheet reads as the beginning of a formula, also behind blanks.
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CHUNK = 500  # rows handed on at once


def safe_cell(value: Any) -> str:
    """Numbers stay numbers; a text that a spreadsheet would reckon with gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    text = str(value).replace("\0", "")
    return "'" + text if text.startswith(_BEGINS_FORMULA) or text.lstrip().startswith(_BEGINS_FORMULA) else text


def shillings(cents: int) -> int | float:
    """Cents as a spreadsheet's number of shillings."""
    return cents // 100 if cents % 100 == 0 else cents / 100


def write(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The file in pieces, begun with a byte order mark and the heads; lines end as RFC 4180 wants."""
    piece = io.StringIO()
    writer = csv.writer(piece)
    piece.write(BOM)
    writer.writerow([safe_cell(head) for head in heads])
    for number, row in enumerate(rows, 1):
        writer.writerow([safe_cell(cell) for cell in row])
        if number % CHUNK == 0:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()
