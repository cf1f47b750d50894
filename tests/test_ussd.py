"""USSD as modems write it: codes on their way out, and answers in every dress they come in."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import BadInput
from edge.simulators.modem import ussd as pretend
from edge.values import ussd

MENU = '1:A\r\n2:B "best"\r\n'
BALANCE = "Airtime Balance: 1,234.50 KSH. Expiry: 30-12-2027"


@pytest.mark.parametrize(
    ("code", "way", "written"),
    [
        ("*144#", "plain", "*144#"),
        ("*144#", "packed", "AA188D3602"),
        ("*100#", "packed", "AA180C3602"),
        ("*144#", "ucs2", "002A0031003400340023"),
        (" *144 # ", "plain", "*144#"),
        ("98", "plain", "98"),
    ],
)
def test_a_code_is_written_as_the_family_wants_it(code: str, way: ussd.Way, written: str) -> None:
    assert ussd.encode_request(code, way) == written


@pytest.mark.parametrize("code", ["", "*144", "*1*2*3#", "#", "0712345678"])
def test_codes_and_replies_have_digits_stars_and_hashes(code: str) -> None:
    if code:
        assert ussd.check_code(code) == code
    else:
        with pytest.raises(BadInput):
            ussd.check_code(code)


@pytest.mark.parametrize("code", ['*144#",15\rAT+CMGD=1', "hello", "*144#\x1a", "*١٤٤#", "+254712", "1" * 161])
def test_what_could_be_another_command_is_no_code(code: str) -> None:
    with pytest.raises(BadInput):
        ussd.encode_request(code, "plain")


@pytest.mark.parametrize(("letters", "octets"), [(7, 7), (8, 7), (15, 14), (16, 14)])
def test_spare_bits_carry_a_carriage_return_and_not_an_at(letters: int, octets: int) -> None:
    packed = ussd.pack("a" * letters)
    assert len(packed) == octets
    assert ussd.decode_text(packed.hex(), 15) == "a" * letters


@pytest.mark.parametrize("text", [
    BALANCE, "Salio lako ni KSh 5.00, linaisha 3/3/2027.", "1:Daily SMS 200 @Ksh 5\n2:Weekly SMS 1000 @Ksh 20\n98:MORE",
    "Goodbye", "Your request failed. Try again later or dial 100.", "You have 0 SMS", "Crédit: 500 F", "Bal: 12.00",
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["plain", "packed", "ucs2", "octets"])
@pytest.mark.parametrize("coding", [15, 72, 0, None])
def test_an_answer_reads_the_same_in_every_dress_whatever_it_says_of_itself(text, encoding, coding) -> None:
    assert ussd.decode_text(pretend.write(text, encoding), coding) == text


@pytest.mark.parametrize("text", ["ሂሳብዎ 5 ብር ነው።", "Остаток: 5", "رصيدك 50 شلن"])
def test_other_scripts_come_as_ucs2(text: str) -> None:
    assert ussd.decode_text(text.encode("utf-16-be").hex(), 72) == text
    assert ussd.decode_text(text.encode("utf-16-be").hex(), 15) == text


@pytest.mark.parametrize("text", ["50", "0712345678", "FACE", "", "ABC", "2547123456789012", "20261126"])
def test_what_only_looks_like_hex_stays_as_it_is(text: str) -> None:
    assert ussd.decode_text(text, 15) == text


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ('+CUSD: 0,"Bal: 5",15', ussd.UssdAnswer(0, "Bal: 5", "Bal: 5", 15)),
        ('0,"Bal: 5"', ussd.UssdAnswer(0, "Bal: 5", "Bal: 5", None)),
        (f'+CUSD:1,"{MENU}",15\r\n', ussd.UssdAnswer(1, MENU, MENU, 15)),
        ("+CUSD: 4", ussd.UssdAnswer(4, "", "", None)),
        ("+CUSD: 2,", ussd.UssdAnswer(2, "", "", None)),
        ('+CUSD: 0,"",15', ussd.UssdAnswer(0, "", "", 15)),
        ('+CUSD: 0,"AA188D3602",15', ussd.UssdAnswer(0, "*144#", "AA188D3602", 15)),
        ('+CUSD: 0,"a","b",15', ussd.UssdAnswer(0, 'a","b', 'a","b', 15)),
    ],
)  # fmt: skip
def test_the_line_of_an_answer_is_taken_apart(line: str, answer: ussd.UssdAnswer) -> None:
    assert ussd.read_cusd(line) == answer


@pytest.mark.parametrize("line", ["", "+CUSD:", "OK", "+CUSD: x", '+CUSD: "text"', "+CSQ: 20,99", '+CUSD: 0,"text'])
def test_another_line_is_no_answer(line: str) -> None:
    with pytest.raises(BadInput):
        ussd.read_cusd(line)


def test_an_answer_is_whole_when_its_closing_quote_is_there() -> None:
    assert [ussd.is_whole(line) for line in ('+CUSD: 1,"1:A', '+CUSD: 1,"1:A\n2:B",15', "+CUSD: 4", '+CUSD: 0,"')] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_menu_waits_and_a_refusal_says_why() -> None:
    assert ussd.read_cusd('+CUSD: 1,"1:A",15').is_menu
    assert ussd.read_cusd("+CUSD: 4").trouble == "the network does not know this code"
    assert ussd.read_cusd('+CUSD: 0,"x",15').trouble == ""


@settings(deadline=None)
@given(st.text(max_size=60), st.one_of(st.none(), st.integers(0, 255)))
def test_whatever_comes_is_read_or_refused_and_nothing_else(text: str, coding: int | None) -> None:
    assert isinstance(ussd.decode_text(text, coding), str)
    with suppress(BadInput):
        assert ussd.read_cusd(text).raw in text


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_hex_is_read(octets: bytes) -> None:
    assert isinstance(ussd.decode_text(octets.hex(), 15), str)
