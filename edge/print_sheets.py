"""Vouchers on paper: A4 sheets to cut, and slips for 58 and 80 mm receipt printers, as PDF."""

import logging
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import segno
from fpdf import FPDF

from edge.errors import BadInput
from edge.values.slip import COLUMNS, PAPERS, ROWS, SHEET, Slip
from edge.values.voucher_code import show_code

_A4_W, _A4_H, _EDGE = 210.0, 297.0, 10.0  # millimetres
_PRINTABLE = {"58": 48.0, "80": 72.0}  # what the printing head of such a roll reaches
_MARK = 1.5  # half a cut mark
_QUIET = 4  # white modules around a QR code: ISO/IEC 18004 asks for four
_CORE, _MONO = "Helvetica", "Courier"
# Debian's fonts-dejavu-core. Taken only for names that Latin-1 can't write: the others need no font in the file.
_DEJAVU = Path("/usr/share/fonts/truetype/dejavu")

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells each table of a font


@dataclass(frozen=True)
class _Box:
    """A place on the page, in millimetres."""

    x: float
    y: float
    w: float


def pdf(slips: Sequence[Slip], shop: str, paper: str, now: datetime) -> bytes:
    """The slips on this paper: one of PAPERS, else BadInput."""
    if paper not in PAPERS:
        raise BadInput(f"Paper is one of: {', '.join(PAPERS)}.", "paper")
    if not slips:
        raise BadInput("There is no voucher to print: none of them can be used any more.", "paper")
    told = [shop, *(text for slip in slips for text in (slip.plan, slip.price, slip.what, slip.expires, slip.how))]
    sheet = _Paper(told, now)
    if paper == "a4":
        _print_sheets(sheet, slips, shop)
    else:
        _print_roll(sheet, _Ruler(told, now), slips, shop, paper)
    return bytes(sheet.output())


class _Paper(FPDF):
    """A document that can write whatever a shop is called."""

    def __init__(self, told: Iterable[str], now: datetime) -> None:
        super().__init__(unit="mm", format="A4")
        self.set_auto_page_break(False)
        self.set_margin(0)
        self.c_margin = 0.0  # else each cell keeps a millimetre to itself, and is cut a millimetre early
        self.set_creation_date(now.astimezone(UTC))
        is_latin = all(_is_latin(text) for text in told)
        fonts = {"": _DEJAVU / "DejaVuSans.ttf", "B": _DEJAVU / "DejaVuSans-Bold.ttf"}
        self.writes_all = not is_latin and all(path.is_file() for path in fonts.values())
        if self.writes_all:
            for style, path in fonts.items():
                self.add_font("DejaVu", style, path)
        self.own = "DejaVu" if self.writes_all else _CORE

    def readable(self, text: str) -> str:
        """One line of what this document's letters can write; another script without its font becomes marks."""
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        if self.writes_all or _is_latin(line):
            return line
        plain = unicodedata.normalize("NFKD", line)
        kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
        return kept.encode("latin-1", "replace").decode("latin-1")

    def write_line(self, box: _Box, text: str, points: float, *, bold: bool = False, align: str = "L") -> float:
        """One line, in smaller letters where it is long, and cut where that would be too small; its height."""
        text, style = self.readable(text), "B" if bold else ""
        points = self._fitting(text, box.w, points, self.own, style)
        while text and self.get_string_width(text) > box.w:
            text = text[:-1]
        return self._put(box, text, points, align)

    def write_code(self, box: _Box, code: str, points: float, align: str = "L") -> float:
        """The code in groups, as large as it fits."""
        text = show_code(code)
        return self._put(box, text, self._fitting(text, box.w, points, _MONO, "B", least=5.0), align)

    def write_text(self, box: _Box, text: str, points: float, most: int, align: str = "L") -> float:
        """At most so many lines of small print; its height."""
        self.set_font(self.own, "", points)
        lines = self.multi_cell(box.w, text=self.readable(text) or " ", dry_run=True, output="LINES", align="L")
        assert isinstance(lines, list)  # as LINES has it
        height = 0.0
        for line in lines[:most]:
            height += self._put(_Box(box.x, box.y + height, box.w), line.strip(), points, align)
        return height

    def _fitting(self, text: str, width: float, points: float, font: str, style: str, least: float = 0.0) -> float:
        self.set_font(font, style, points)
        wide = self.get_string_width(text)
        if wide > width:
            points = max(least or points * 0.7, points * width / wide * 0.99)
            self.set_font(font, style, points)
        return points

    def _put(self, box: _Box, text: str, points: float, align: str) -> float:
        height = points * 0.3528 * 1.2  # a point is 0.3528 mm
        self.set_xy(box.x, box.y)
        self.cell(box.w, height, text, align=align)
        return height

    def draw_qr(self, box: _Box, url: str) -> None:
        """A QR code with its quiet zone, as wide as the box; M: readable with a sixth of it worn off."""
        code = segno.make(url, error="m", micro=False, boost_error=False)
        module = box.w / (code.symbol_size(border=0)[0] + 2 * _QUIET)
        self.set_fill_color(0)
        for row, line in enumerate(code.matrix):
            column = 0
            for is_dark, run in groupby(line):
                length = len(list(run))
                if is_dark:
                    x, y = box.x + (column + _QUIET) * module, box.y + (row + _QUIET) * module
                    self.rect(x, y, length * module, module, style="F")
                column += length


class _Ruler(_Paper):
    """Only to find out how long something gets: a page must have its length before it is written on."""

    def draw_qr(self, box: _Box, url: str) -> None:
        """Its size is known."""


def _print_sheets(sheet: _Paper, slips: Sequence[Slip], shop: str) -> None:
    width, height = (_A4_W - 2 * _EDGE) / COLUMNS, (_A4_H - 2 * _EDGE) / ROWS
    for number, slip in enumerate(slips):
        row, column = divmod(number % SHEET, COLUMNS)
        if not number % SHEET:
            sheet.add_page()
            _draw_cut_marks(sheet, width, height)
        _print_cell(sheet, slip, shop, _Box(_EDGE + column * width, _EDGE + row * height, width))


def _print_cell(sheet: _Paper, slip: Slip, shop: str, cell: _Box) -> None:
    qr, pad = 25.0, 2.5
    sheet.draw_qr(_Box(cell.x + cell.w - qr, cell.y + 0.5, qr), slip.url)
    x, y, w = cell.x + pad, cell.y + 3.0, cell.w - qr - pad
    y += sheet.write_line(_Box(x, y, w), shop, 8)
    y += sheet.write_line(_Box(x, y, w), slip.plan, 11, bold=True)
    y += sheet.write_line(_Box(x, y, w), slip.price, 11, bold=True)
    for line in (slip.what, slip.expires):
        y += sheet.write_line(_Box(x, y, w), line, 7) if line else 0.0
    wide = cell.w - 2 * pad
    sheet.write_code(_Box(x, cell.y + 23.2, wide), slip.code, 17)
    sheet.write_text(_Box(x, cell.y + 29.7, wide), slip.how, 5.5, 2)


def _draw_cut_marks(sheet: _Paper, width: float, height: float) -> None:
    """A small cross wherever four vouchers meet: a line around each would print on its neighbour."""
    sheet.set_draw_color(150)
    sheet.set_line_width(0.1)
    for column in range(COLUMNS + 1):
        for row in range(ROWS + 1):
            x, y = _EDGE + column * width, _EDGE + row * height
            sheet.line(x - _MARK, y, x + _MARK, y)
            sheet.line(x, y - _MARK, x, y + _MARK)


def _print_roll(sheet: _Paper, ruler: _Ruler, slips: Sequence[Slip], shop: str, paper: str) -> None:
    """One page a voucher, exactly as long as it needs: the printer cuts, or one tears, at its end."""
    width, printable = float(paper), _PRINTABLE[paper]
    box = _Box((width - printable) / 2, 3.0, printable)
    ruler.add_page()
    for slip in slips:
        height = _print_slip(ruler, slip, shop, box) + 3.0
        sheet.add_page(format=(width, max(height, width)))
        _print_slip(sheet, slip, shop, box)


def _print_slip(sheet: _Paper, slip: Slip, shop: str, box: _Box) -> float:
    """From top to bottom; returns where it ends."""
    x, y, w = box.x, box.y, box.w
    y += sheet.write_line(_Box(x, y, w), shop, 11, bold=True, align="C") + 1.5
    y += sheet.write_line(_Box(x, y, w), slip.plan, 14, bold=True, align="C")
    y += sheet.write_line(_Box(x, y, w), slip.price, 14, bold=True, align="C")
    y += sheet.write_line(_Box(x, y, w), slip.what, 9, align="C") + 2.0 if slip.what else 2.0
    y += sheet.write_code(_Box(x, y, w), slip.code, 22, align="C") + 0.5
    qr = min(w, 42.0)
    sheet.draw_qr(_Box(x + (w - qr) / 2, y, qr), slip.url)
    y += qr
    for text in (slip.how, slip.expires):
        y += sheet.write_text(_Box(x, y, w), text, 8, 6, align="C") + 1.0 if text else 0.0
    return y


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 256 for letter in text)
