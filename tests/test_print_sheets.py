"""Vouchers on paper: read back by other programs, from the picture and from the text."""

from datetime import UTC, datetime

import pypdfium2
import pytest
import zxingcpp

from edge import print_sheets
from edge.errors import BadInput
from edge.print_sheets import pdf
from edge.values.slip import SHEET, Slip

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PORTAL = "http://192.168.88.2:8080"
A4 = (210.0, 297.0)


def slips(count, **more):
    told = {"plan": "1 hour", "price": "KSh 20", "what": "1 hour, 500 MB", "how": "Join this WiFi, scan the picture.",
            "expires": "Begin before Sun 26 Feb 2027, 00:00"}  # fmt: skip
    codes = [f"ABCDEFG{first}{last}" for first in "ABCDEFGH" for last in "ABCDEFGHJK"][:count]
    return [Slip(code=code, url=f"{PORTAL}/v/{code}", **{**told, **more}) for code in codes]


def opened(found, shop="Kibanda WiFi", paper="a4"):
    return pypdfium2.PdfDocument(pdf(found, shop, paper, NOW))


def text_of(page):
    return page.get_textpage().get_text_range()


def size_of(page):
    return tuple(round(points * 25.4 / 72, 1) for points in page.get_size())


def codes_in(page):
    picture = page.render(scale=200 / 72).to_pil()
    return [found.text for found in zxingcpp.read_barcodes(picture)]


def test_a_sheet_holds_twenty_four_whose_pictures_lead_to_their_own_pages():
    found = slips(SHEET + 1)
    sheet = opened(found)
    assert (len(sheet), size_of(sheet[0])) == (2, A4)
    assert sorted(codes_in(sheet[0])) == [slip.url for slip in found[:SHEET]]
    assert codes_in(sheet[1]) == [found[SHEET].url]


def test_everything_that_a_guest_needs_stands_on_each_voucher():
    words = text_of(opened(slips(1))[0])
    for needed in ("Kibanda WiFi", "1 hour", "KSh 20", "500 MB", "ABC DEF GAA", "Begin before", "scan the picture"):
        assert needed in words, needed


@pytest.mark.parametrize(("paper", "width"), [("58", 58.0), ("80", 80.0)])
def test_a_roll_has_a_slip_a_voucher_as_long_as_it_needs(paper, width):
    found = slips(3)
    roll = opened(found, paper=paper)
    assert [codes_in(page) for page in roll] == [[slip.url] for slip in found]
    assert "ABC DEF GAA" in text_of(roll[0])
    (wide, short), (_, long) = (size_of(opened(slips(1, how=how), paper=paper)[0]) for how in ("x", "very long " * 30))
    assert wide == width
    assert short < long < 200
    for page in roll:  # nothing is left of the paper on either side
        left, _, right, _ = page.get_bbox()
        assert right - left <= width * 72 / 25.4 + 1


@pytest.mark.parametrize("font_there", [True, False], ids=["with DejaVu", "without"])
@pytest.mark.parametrize("shop", ["Кафе Našice", "咖啡 ጥሩ", "شاي", "a\nb\tc\x00", "‮evil", "x" * 300, ""])
def test_whatever_a_shop_is_called_it_is_printed(shop, font_there, monkeypatch, tmp_path):
    if not font_there:
        monkeypatch.setattr(print_sheets, "_DEJAVU", tmp_path)
    sheet = opened(slips(1, plan=shop, how=shop, price=shop), shop, "58" if len(shop) > 3 else "a4")
    assert codes_in(sheet[0]) == [f"{PORTAL}/v/ABCDEFGAA"]


def test_long_names_and_codes_stay_in_their_place():
    code = "ABCDEFGHJKMNPQRSTUVWXY"
    sheet = opened([Slip(code, "Everything for the whole family " * 5, "KSh 10,000,000", f"{PORTAL}/v/{code}")] * SHEET)
    assert sorted(codes_in(sheet[0])) == [f"{PORTAL}/v/{code}"] * SHEET
    assert text_of(sheet[0]).count("ABCD EFGH JKMN") == SHEET


def test_nothing_to_print_and_unknown_paper_are_said():
    with pytest.raises(BadInput, match="no voucher to print"):
        pdf([], "shop", "a4", NOW)
    with pytest.raises(BadInput, match="a4, 58, 80"):
        pdf(slips(1), "shop", "letter", NOW)
