"""Lists of numbers: any spreadsheet's CSV is read, each number is kept once, and every fault is told with its line."""

import pytest

from edge.database import db
from edge.domain import contacts, sms_lists
from edge.errors import BadInput
from edge.sms_models import SmsList
from edge.values import phone_list
from edge.values.any_msisdn import read_any_msisdn
from edge.values.msisdn import local_msisdn, mask_msisdn, show_msisdn
from edge.values.phone_list import read_phone_list
from tests.conftest import NOW, Box

ASHA, JUMA, NJERI = "254712345678", "254722000111", "254733000222"


def told(raw: bytes) -> list[tuple[str, list[str]]]:
    return [(msisdn, cells) for _, msisdn, cells in read_phone_list(raw).rows]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("0712 345 678", ASHA), ("+254712345678", ASHA), ("254712345678", ASHA), ("'0712345678", ASHA),
        ('="0712345678"', ASHA), ("712345678.0", ASHA), ("0110 000 007", "254110000007"),
        ("+44 7911 123456", "447911123456"), ("0044 7911 123456", "447911123456"), ("447911123456", "447911123456"),
        ("+255 712 345 678", "255712345678"), ("+1 212 555 2368", "12125552368"),
    ],
)  # fmt: skip
def test_mobile_numbers_of_any_country_are_read_and_read_again_as_they_are_kept(typed: str, kept: str) -> None:
    assert read_any_msisdn(typed) == kept
    assert read_any_msisdn(kept) == kept
    assert read_any_msisdn(local_msisdn(kept)) == kept


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "missing"), ("020 2222222", "landline"), ("+254 20 2222222", "landline"), ("Safaricom", "name"),
        ("40404", "short"), ("0712", "short"), ("2.54712E+11", "spreadsheet"), ("+44 20 7946 0018", "landline"),
        ("0812345678", "not a mobile"), ("+999 123456789", "not a mobile"), ("1" * 41, "too long"),
        ("0800 720 721", "mobile phone"),
    ],
)  # fmt: skip
def test_what_no_text_can_reach_is_refused_with_the_reason(typed: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as reason:
        read_any_msisdn(typed)
    assert reason.value.field == "phone"


def test_numbers_from_abroad_are_shown_and_masked_as_such() -> None:
    assert (show_msisdn("447911123456"), mask_msisdn("447911123456")) == ("+447911123456", "+4479•••456")
    assert (show_msisdn(ASHA), mask_msisdn(ASHA), local_msisdn(ASHA)) == ("0712 345 678", "0712•••678", "0712345678")


@pytest.mark.parametrize(
    "raw",
    [
        b"name,phone\nAsha,0712345678\nJuma,0722000111\n",
        b"\xef\xbb\xbfphone;name\r\n0712345678;Asha\r\n+254722000111;Juma\r\n",
        b"Asha\t0712345678\nJuma\t0722000111", b"sep=;\nName;Simu\nAsha;0712345678\nJuma;0722000111\n",
        '"name","phone"\n"Asha","0712 345 678"\n\n"Juma","0722 000 111"\n'.encode("utf-16"),
    ],
)  # fmt: skip
def test_a_list_is_read_with_and_without_heads_whatever_stands_between_its_cells(raw: bytes) -> None:
    assert told(raw) == [(ASHA, ["Asha"]), (JUMA, ["Juma"])]


def test_names_are_read_in_utf_8_and_in_what_windows_writes() -> None:
    for coding in ("utf-8", "cp1252"):
        assert told("phone,name\n0712345678,Zoë\n".encode(coding)) == [(ASHA, ["Zoë"])]


def test_numbers_alone_one_a_line_are_a_list() -> None:
    assert told(b"0712345678\n0722000111") == [(ASHA, []), (JUMA, [])]


def test_columns_become_placeholders() -> None:
    found = read_phone_list(b"First Name,phone number,Phone,1st Visit,,First name\nAsha,0712345678,x,y,z,w\n")
    assert found.columns == ["first_name", "column_3", "column_4", "column_5", "first_name_6"]
    assert found.rows[0][2] == ["Asha", "x", "y", "z", "w"]


def test_the_column_with_the_numbers_is_found_whatever_it_is_called() -> None:
    assert told(b"id,contact\n1,0712345678\n2,0722000111\n") == [(ASHA, ["1"]), (JUMA, ["2"])]


def test_every_fault_is_told_with_its_line() -> None:
    found = read_phone_list(
        b"phone,name\n0712345678,Asha\nnobody,Juma\n\n0712 345 678,Asha again\n020 2222222,Office\n"
        b"0722000111,Otieno, Peter\n,Nobody\n0733000222,\"Njeri\nof the shop\"\n0110000007,\"stray\n0110000008,After\n"
    )
    assert [(fault.line, fault.words.split()[0]) for fault in found.faults] == [
        (3, "This"), (5, "The"), (6, "This"), (7, "It"), (8, "A")
    ]  # fmt: skip
    assert "line 2" in found.faults[1].words
    assert [(line, cells) for line, _, cells in found.rows] == [
        (2, ["Asha"]), (9, ["Njeri of the shop"]), (11, ["stray"]), (12, ["After"])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"), (b"\n\n", "empty"), (b"PK\x03\x04rest", "spreadsheet itself"),
        (b"\x00\x01\x02", "not a text file"),
        (b"name,age\nAsha,20\n", "No column"), (b"x" * (phone_list.MOST_BYTES + 1), "4 MB"),
        (b"phone\n0712345678\n" + b"nonsense\n" * 3_000, "right file"), (b"0712345678," + b"x," * 40, "20 columns"),
    ],
)  # fmt: skip
def test_another_file_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_phone_list(raw)


def test_a_cell_of_many_letters_and_a_formula_are_only_words() -> None:
    rows = told(b"phone,name\n0712345678,=cmd|' /C calc'!A0\n0722000111," + b"x" * 200_000 + b"\n")
    assert rows[0] == (ASHA, ["=cmd|' /C calc'!A0"])
    assert all(len(cell) <= 160 for _, cells in rows for cell in cells)


def test_whoever_opted_out_is_left_out_of_a_list_and_told(box: Box) -> None:
    contacts.opt_out(JUMA, "STOP", NOW)
    raw = b"phone,name\n0712345678,Asha\n0722000111,Juma\n0712345678,Asha\n"
    found = sms_lists.add("Regulars", raw, "they signed", None, NOW)
    assert [(fault.line, fault.words) for fault in found.faults] == [
        (3, sms_lists.OPTED_OUT), (4, "The same number as in line 2.")
    ]  # fmt: skip
    assert found.row.rows == 1
    assert list(sms_lists.people(sms_lists.get(found.row.id))) == [(ASHA, {"phone": "0712345678", "name": "Asha"})]


def test_a_list_of_nobody_is_not_kept(box: Box) -> None:
    contacts.opt_out(JUMA, "STOP", NOW)
    with pytest.raises(BadInput, match="Line 1: This number wants no texts"):
        sms_lists.add("Nobody", b"0722000111", "", None, NOW)
    assert sms_lists.everything() == []


def test_nobody_reads_the_numbers_of_a_list_from_the_card(box: Box) -> None:
    row = sms_lists.add("Regulars", b"phone,name\n0712345678,Asha\n", "", None, NOW).row
    kept = db.execute_sql("SELECT body FROM sms_lists").fetchone()[0]
    assert "712345678" not in kept
    assert "Asha" not in kept
    assert "Asha" in SmsList.get_by_id(row.id).body


def test_the_same_file_sent_twice_is_one_list(box: Box) -> None:
    first, again = (sms_lists.add("Regulars", b"0712345678", "", None, NOW).row for _ in range(2))
    assert first.id == again.id
    sms_lists.delete(first)
    with pytest.raises(BadInput, match="no list"):
        sms_lists.get(first.id)
