"""SMS on the wire: vectors that independent decoders agree on, the limits of segments, and hostile octets."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import BadInput
from edge.tpdu import (
    Part,
    StatusReport,
    alphabet_of,
    decode_deliver,
    decode_report,
    decode_submit,
    encode_deliver,
    encode_report,
    encode_submit,
    is_flash,
    join_pieces,
    join_text,
)
from edge.values import gsm7
from edge.values.sms_text import count_segments, cut, forcing, simplify, transliterate

ASHA = "254712345678"
NAIROBI = timezone(timedelta(hours=3))
LAST_MINUTE = datetime(2026, 1, 31, 23, 59, 58, tzinfo=NAIROBI)

MPESA = (
    "07915274220500920409D04D68711A0400006211229023122110D57619FE5E97C3A065710AAAC160"
)
DIAFAAN = "0791448720003023240DD0E474D81C0EBB010000111011315214000BE474D81C0EBB5DE3771B"
SEVEN_LETTERS = "0791527422050092040DD041E19058341E0100006210133295852105E8329BFD06"
ELEVEN_LETTERS = "07915274220500920414D0C1B49C5E66839A6F771E00006210133295852105E8329BFD06"
EURO = "0791527422050092040C915274214365870000621013329585210761F198BC29E301"
WIDE_REFERENCE = (
    "0791527422050092440C91527421436587000062101332958521A006080412340201D2301CFE96D341ECB7FB0C9286E1F0B79C0E62"
    "BFDD6790340C87BFE57410FBED3E83A46138FC2DA783D86FF719240DC3E16F391DC47EBBCF2069180E7FCBE920F6DB7D0649C370F8"
    "5B4E07B1DFEE33481A86C3DF723A88FD769F41D2301CFE96D341ECB7FB0C9286E1F0B79C0E62BFDD6790340C87BFE57410FBED3E83"
    "A46138FC2DA783D8",
    "0791527422050092440C9152742143658700006210133295852119060804123402026FF719240DC3E16F391DC47EBBCF20",
)
REPORT = "0791527422050092064D0C91527421436587621013329585216210133295852100"


def test_the_alphabet_has_128_places_and_no_character_twice() -> None:
    assert len(gsm7.BASIC) == 128
    assert len(set(gsm7.BASIC) | set(gsm7.EXTENSION.values())) == 138


def test_hellohello_packs_into_nine_octets() -> None:
    septets = b"".join(gsm7.to_septets("hellohello") or [])
    assert gsm7.pack(septets).hex().upper() == "E8329BFD4697D9EC37"
    assert gsm7.unpack(bytes.fromhex("E8329BFD4697D9EC37"), 10) == septets


@pytest.mark.parametrize(
    ("pdu", "sender", "text", "sent_at"),
    [
        (MPESA, "MPESA", "Umepokea KES 500", datetime(2026, 11, 22, 9, 32, 21, tzinfo=NAIROBI)),
        (DIAFAAN, "diafaan", "diafaan.com", datetime(2011, 1, 11, 13, 25, 41, tzinfo=UTC)),
        (SEVEN_LETTERS, "ABCDEFG", "hello", LAST_MINUTE),
        (ELEVEN_LETTERS, "Airtel Mony", "hello", LAST_MINUTE),
        (EURO, "+254712345678", "abcd€x", LAST_MINUTE),
    ],
)
def test_received_texts_are_read(pdu: str, sender: str, text: str, sent_at: datetime) -> None:
    deliver = decode_deliver(pdu)
    assert (deliver.sender, deliver.content.text, deliver.sent_at) == (sender, text, sent_at)


def test_a_wide_reference_costs_no_letter() -> None:
    first, second = (decode_deliver(pdu).content for pdu in WIDE_REFERENCE)
    assert (first.part, second.part) == (Part(0x1234, 2, 1, True), Part(0x1234, 2, 2, True))
    assert join_text([first, second]) == "Rapport long " * 13


def test_a_delivery_report_is_read_and_written() -> None:
    report = decode_report(REPORT)
    assert report == StatusReport(77, "+" + ASHA, LAST_MINUTE, LAST_MINUTE, 0)
    assert report.is_delivered and report.is_final
    assert encode_report(report).hex == REPORT


@pytest.mark.parametrize(
    ("status", "delivered", "final"),
    [(0x00, True, True), (0x01, True, True), (0x20, False, False), (0x3F, False, False), (0x46, False, True),
     (0x63, False, True)],
)  # fmt: skip
def test_a_report_that_the_centre_still_tries_is_not_the_last(status: int, delivered: bool, final: bool) -> None:
    report = StatusReport(1, ASHA, None, None, status)
    assert (report.is_delivered, report.is_final) == (delivered, final)


def test_a_submit_stands_octet_by_octet() -> None:
    (pdu,) = encode_submit(ASHA, "hellohello")
    assert pdu.hex == "00" + "11" + "00" + "0C91527421436587" + "00" + "00" + "A7" + "0A" + "E8329BFD4697D9EC37"
    assert pdu.length == len(pdu.hex) // 2 - 1


@pytest.mark.parametrize(
    ("number", "address"),
    [("40404", "05810404F4"), ("144", "038141F4"), ("0712345678", "0A817021436587"), (ASHA, "0C91527421436587")],
)
def test_short_codes_and_national_numbers_do_not_claim_to_be_international(number: str, address: str) -> None:
    (pdu,) = encode_submit(number, "x")
    assert pdu.hex[6:].startswith(address)
    assert decode_submit(pdu.hex).number == number


@pytest.mark.parametrize(
    ("minutes", "octet"),
    [(5, "00"), (720, "8F"), (721, "90"), (1440, "A7"), (10080, "AD"), (635040, "FF"), (9_999_999, "FF")],
)
def test_validity_rounds_up_to_a_step_there_is(minutes: int, octet: str) -> None:
    (pdu,) = encode_submit(ASHA, "x", validity_minutes=minutes)
    assert pdu.hex[26:28] == octet
    assert (decode_submit(pdu.hex).validity_minutes or 0) >= min(minutes, 635040)


@pytest.mark.parametrize(("text", "coding"), [("x", "10"), ("ê", "18")])
def test_a_flash_is_of_class_0(text: str, coding: str) -> None:
    (pdu,) = encode_submit(ASHA, text, flash=True)
    assert pdu.hex[24:26] == coding
    assert decode_submit(pdu.hex).is_flash and not decode_submit(encode_submit(ASHA, text)[0].hex).is_flash
    assert decode_deliver(encode_deliver("MPESA", text, LAST_MINUTE, flash=True)[0].hex).is_flash


@pytest.mark.parametrize(
    ("coding", "flash"),
    [(0x00, False), (0x10, True), (0x18, True), (0x11, False), (0x50, True), (0xF0, True), (0xF4, True), (0xF1, False),
     (0xC0, False), (0xE0, False), (0x90, False)],
)  # fmt: skip
def test_only_class_0_is_a_flash(coding: int, flash: bool) -> None:
    assert is_flash(coding) is flash


@pytest.mark.parametrize(("letter", "among_many"), [("x", 152), ("ê", 66)])
def test_a_wide_reference_joins_parts_that_hold_one_letter_less(letter: str, among_many: int) -> None:
    pdus = encode_submit(ASHA, letter * 2 * among_many, reference=0x1234, wide_reference=True)
    contents = [decode_submit(pdu.hex).content for pdu in pdus]
    assert [content.part for content in contents] == [Part(0x1234, 2, 1, True), Part(0x1234, 2, 2, True)]
    assert join_text(contents) == letter * 2 * among_many
    assert len(encode_submit(ASHA, letter * (2 * among_many + 1), wide_reference=True)) == 3


def test_a_report_is_asked_for_in_each_segment() -> None:
    pdus = encode_submit(ASHA, "x" * 200, report=True)
    assert [decode_submit(pdu.hex).wants_report for pdu in pdus] == [True, True]


@pytest.mark.parametrize(
    ("text", "alphabet", "segments"),
    [
        ("", "gsm7", 1), ("x" * 160, "gsm7", 1), ("x" * 161, "gsm7", 2), ("x" * 306, "gsm7", 2),
        ("x" * 307, "gsm7", 3), ("€" * 80, "gsm7", 1), ("€" * 81, "gsm7", 2), ("x" * 159 + "€", "gsm7", 2),
        ("é" * 160, "gsm7", 1), ("ê" * 70, "ucs2", 1), ("ê" * 71, "ucs2", 2), ("ê" * 134, "ucs2", 2),
        ("ê" * 135, "ucs2", 3), ("😀" * 35, "ucs2", 1), ("😀" * 36, "ucs2", 2), ("`", "ucs2", 1), ("ç", "ucs2", 1),
        ("Ç", "gsm7", 1), ("\x1a", "ucs2", 1), ("\x1b", "ucs2", 1), ("\r\n", "gsm7", 1), ("\x00", "ucs2", 1),
    ],
)  # fmt: skip
def test_segments_are_counted_as_the_operator_counts_them(text: str, alphabet: str, segments: int) -> None:
    assert (cut(text).alphabet, count_segments(text)) == (alphabet, segments)
    assert len(encode_submit(ASHA, text)) == segments


def test_an_escape_pair_is_never_parted() -> None:
    first, second = cut("x" * 152 + "€" + "y" * 20).contents
    assert (len(first), second[:2]) == (152, bytes([0x1B, 0x65]))


def test_a_surrogate_pair_is_never_parted() -> None:
    contents = cut("ê" * 66 + "😀" + "ê" * 20).contents
    assert [content.decode("utf-16-be") for content in contents] == ["ê" * 66, "😀" + "ê" * 20]


def test_halves_that_a_network_parted_are_joined_before_reading() -> None:
    whole = decode_deliver(EURO).content
    halves = [type(whole)("gsm7", whole.content[:5]), type(whole)("gsm7", whole.content[5:])]
    assert halves[0].text == "abcd"
    assert join_text(halves) == "abcd€x"


def test_half_a_surrogate_is_a_question_mark() -> None:
    (pdu,) = encode_submit(ASHA, "ê\ud83d")
    assert decode_submit(pdu.hex).content.text == "ê?"


def test_plain_quotes_and_dashes_keep_a_text_cheap() -> None:
    curly = "“Karibu” – it’s yours… cafe\u0301"
    assert simplify(curly) == "\"Karibu\" - it's yours... café"
    assert (cut(curly).alphabet, cut(simplify(curly)).alphabet) == ("ucs2", "gsm7")


@pytest.mark.parametrize(
    ("text", "alphabet", "segments"),
    [("a" * 160, "gsm7", 1), ("a" * 161, "gsm7", 2), ("€" * 80, "gsm7", 1), ("€" * 81, "gsm7", 2),
     ("[" * 153, "gsm7", 3), ("😀" * 35, "ucs2", 1), ("😀" * 36, "ucs2", 2), ("Asante – karibu", "ucs2", 1)],
)  # fmt: skip
def test_the_table_that_is_checked_before_sending(text: str, alphabet: str, segments: int) -> None:
    assert (cut(text).alphabet, count_segments(text)) == (alphabet, segments)


def test_the_letters_that_make_a_text_dear_are_named_once_each() -> None:
    assert forcing("Asante – karibu – 😀 é€") == ("–", "😀")
    assert forcing(simplify("Asante – karibu")) == ()


def test_letters_lose_their_marks_only_when_that_is_switched_on() -> None:
    typed = "Le garçon a été à l’hôtel – cœur, naïve, Ş, \u200bمرحبا 😀"
    assert transliterate(typed) == "Le garcon a été à l'hotel - coeur, naive, S, مرحبا 😀"
    assert transliterate(typed, is_on=False) == typed


@pytest.mark.parametrize(
    "number",
    ["", "7", "+254712345678", "2547 12345678", "254712345678\r", "254712345678\n", "254712345678\x1aAT",
     "٢٥٤٧١٢٣٤٥٦٧٨", "²54712345678", "1" * 16, 'AT+CMGS="1"', "*144#"],
)  # fmt: skip
def test_a_number_is_plain_digits_or_nothing_is_encoded(number: str) -> None:
    with pytest.raises(BadInput):
        encode_submit(number, "x")


def test_more_than_255_segments_there_cannot_be() -> None:
    assert len(encode_submit(ASHA, "x" * 153 * 255)) == 255
    with pytest.raises(BadInput):
        encode_submit(ASHA, "x" * (153 * 255 + 1))


@pytest.mark.parametrize(
    ("coding", "alphabet"),
    [(0x00, "gsm7"), (0x04, "octets"), (0x08, "ucs2"), (0x0C, "gsm7"), (0x10, "gsm7"), (0x18, "ucs2"), (0x20, "octets"),
     (0xC0, "gsm7"), (0xD0, "gsm7"), (0xE0, "ucs2"), (0xF0, "gsm7"), (0xF1, "gsm7"), (0xF4, "octets"), (0x80, "gsm7")],
)  # fmt: skip
def test_the_coding_octet_names_the_alphabet(coding: int, alphabet: str) -> None:
    assert alphabet_of(coding) == alphabet


def test_west_of_greenwich_the_stamp_has_its_sign_in_bit_3() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone(timedelta(hours=-5)))
    (pdu,) = encode_deliver("+15550100", "x", moment)
    deliver = decode_deliver(pdu.hex)
    assert (deliver.sent_at, deliver.stamp[-2:]) == (moment, "0A")


def test_a_stamp_that_makes_no_sense_is_no_instant() -> None:
    deliver = decode_deliver(MPESA.replace("62112290231221", "00000000000000"))
    assert (deliver.sent_at, deliver.stamp) == (None, "0" * 14)


def test_unknown_header_elements_are_skipped_and_impossible_parts_are_none() -> None:
    ports_then_part = "0B" + "05040B8423F0" + "0003AA0201"
    head = "00" + "51" + "000C91527421436587" + "00" + "04" + "A7"
    assert decode_submit(f"{head}0D{ports_then_part}41").content.part == Part(0xAA, 2, 1)
    assert decode_submit(f"{head}070500030A020041").content.part is None
    assert decode_submit(f"{head}070500030A020341").content.part is None


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=700)
alphabet = sorted({*gsm7.BASIC, *gsm7.EXTENSION.values()} - {"\x1b"})
plain_texts = st.text(st.sampled_from(alphabet), max_size=700)
unhurried = settings(deadline=None)


@unhurried
@given(
    text=st.one_of(texts, plain_texts),
    number=st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True),
    reference=st.integers(0, 70_000),
    wide=st.booleans(),
    flash=st.booleans(),
)
def test_whatever_is_submitted_is_read_back(text: str, number: str, reference: int, wide: bool, flash: bool) -> None:
    pdus = encode_submit(number, text, reference=reference, wide_reference=wide, flash=flash)
    submits = [decode_submit(pdu.hex) for pdu in pdus]
    assert {(submit.number, submit.is_flash) for submit in submits} == {(number, flash)}
    assert join_text(submit.content for submit in submits) == text
    assert join_pieces(submit.content.piece for submit in submits) == text
    parts, told = [submit.content.part for submit in submits], reference & (0xFFFF if wide else 0xFF)
    if len(submits) > 1:
        assert parts == [Part(told, len(submits), place, wide) for place in range(1, len(submits) + 1)]
    else:
        assert parts == [None]


@unhurried
@given(st.one_of(texts, plain_texts), st.sampled_from(["+254712345678", "40404", "MPESA", "ABCDEFG", "Airtel Mony"]))
def test_whatever_is_delivered_is_read_back(text: str, sender: str) -> None:
    delivers = [decode_deliver(pdu.hex) for pdu in encode_deliver(sender, text, LAST_MINUTE, reference=7)]
    assert {(each.sender, each.sent_at) for each in delivers} == {(sender, LAST_MINUTE)}
    assert join_text(each.content for each in delivers) == text


stamps = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(NAIROBI)).map(
    lambda moment: moment.replace(microsecond=0)
)


@unhurried
@given(
    st.builds(
        StatusReport, st.integers(0, 255), st.from_regex(r"\+?[1-9][0-9]{2,14}", fullmatch=True),
        stamps, stamps, st.integers(0, 255),
    )
)  # fmt: skip
def test_whatever_is_reported_is_read_back(report: StatusReport) -> None:
    read = decode_report(encode_report(report).hex)
    assert read.recipient.removeprefix("+") == report.recipient.removeprefix("+")
    assert (read.reference, read.sent_at, read.done_at, read.status) == (
        report.reference, report.sent_at, report.done_at, report.status,
    )  # fmt: skip


@pytest.mark.parametrize(("reference", "status"), [(256, 0), (-1, 0), (0, 256)])
def test_a_report_has_one_octet_for_each_figure(reference: int, status: int) -> None:
    with pytest.raises(BadInput):
        encode_report(StatusReport(reference, ASHA, None, None, status))


@unhurried
@given(st.sampled_from([MPESA, EURO, *WIDE_REFERENCE, REPORT]), st.integers(0, 400), st.integers(1, 255))
def test_a_genuine_pdu_with_one_wrong_octet_is_read_or_refused(pdu: str, place: int, wrong: int) -> None:
    octets = bytearray.fromhex(pdu)
    octets[place % len(octets)] ^= wrong
    for decode in (decode_submit, decode_deliver, decode_report):
        for length in (len(octets), len(octets) - 1, place % len(octets)):
            with suppress(BadInput):
                decode(octets[:length].hex())


@unhurried
@given(st.one_of(st.binary(max_size=200).map(bytes.hex), st.text(max_size=40)))
def test_hostile_octets_are_read_or_refused_and_nothing_else(pdu: str) -> None:
    for decode in (decode_submit, decode_deliver, decode_report):
        with suppress(BadInput):
            decode(pdu)
