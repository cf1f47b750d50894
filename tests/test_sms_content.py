"""What segments carry: national tables, texts that a network cut anywhere, and a second opinion by another decoder."""

from datetime import datetime, timedelta, timezone
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.tpdu import (
    Content,
    Part,
    decode_deliver,
    decode_submit,
    encode_deliver,
    encode_submit,
    join_pieces,
    join_text,
)
from edge.values import gsm7, gsm7_national
from edge.values.sms_text import cut

ASHA = "254712345678"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=timezone(timedelta(hours=3)))
unhurried = settings(deadline=None)


def deliver(header: str, coding: str, length: int, octets: bytes) -> Content:
    """A text with this header (its own length not among it), as if from 40404."""
    head = bytes([len(header) // 2]).hex() + header if header else ""
    first = "40" if header else "00"
    pdu = f"00{first}05810404F400{coding}62102290000021{length:02X}{head}{octets.hex()}"
    return decode_deliver(pdu).content


def in_septets(header: str, septets: bytes) -> Content:
    size = len(header) // 2 + 1
    taken = (size * 8 + 6) // 7
    return deliver(header, "00", taken + len(septets), gsm7.pack(septets, taken * 7 - size * 8))


@pytest.mark.parametrize(
    ("header", "septets", "text"),
    [
        ("240101", b"\x1bG\x1bg\x1bI\x1bi\x1bS\x1bs\x1bc\x1be", "ĞğİıŞşç€"),
        ("250101", b"\x0b\x0c\x1c\x1d\x40\x60\x07\x04", "ĞğŞşİçı€"),
        ("250101240101", b"\x0b\x1bc\x1b\x14", "Ğç^"),
        ("240102", b"\x09\x1b\x09\x1bA\x1bi\x1bu\x1be", "ÇçÁíú€"),
        ("240103", b"\x1b\x05\x1b\x0b\x1b\x7b\x1b\x7f\x1b\x12", "êÔãâΦ"),
        ("250103", b"\x04\x09\x0b\x5b\x7c\x1b\x5c\x60", "êçÔÃõÕ~"),
    ],
)
def test_national_letters_are_read_by_the_table_the_header_names(header: str, septets: bytes, text: str) -> None:
    content = in_septets(header, septets)
    assert (content.text, content.is_best_effort) == (text, False)


def test_no_table_has_a_letter_twice_or_a_place_too_few() -> None:
    for table in gsm7_national.LOCKING.values():
        assert (len(table), len(set(table)), table[gsm7.ESCAPE]) == (128, 128, "\x1b")
    for letters in gsm7_national.SINGLE.values():
        assert letters.items() >= gsm7.EXTENSION.items()
        assert all(0 <= code < 128 and code != gsm7.ESCAPE for code in letters)


def test_a_table_nobody_here_knows_is_read_by_the_default_one_and_marked() -> None:
    content = in_septets("250106", b"abc\x1be")
    assert (content.text, content.is_best_effort, content.locking) == ("abc€", True, 6)
    assert in_septets("240163", b"a").is_best_effort
    assert in_septets("250102", b"a").is_best_effort  # Spanish has no locking table


@pytest.mark.parametrize(
    "header",
    ["05040B8423F0", "04022328", "2003414243", "240101" + "70" + "00", "FF00", "25", "2505", "00030101", "0804"],
)
def test_ports_unknown_elements_and_cut_ones_leave_the_text_alone(header: str) -> None:
    content = in_septets(header, b"hello")
    assert (content.text, content.part) == ("hello", None)


def test_a_text_can_tell_its_part_its_table_and_its_port_at_once() -> None:
    content = in_septets("0003AA0201" + "05040B8423F0" + "240101", b"\x1bg")
    assert (content.part, content.text) == (Part(0xAA, 2, 1), "ğ")


def test_plain_octets_are_kept_one_by_one() -> None:
    content = deliver("", "04", 4, bytes([0, 0x41, 0xE9, 0xFF]))
    assert (content.alphabet, content.text, content.content.hex()) == ("octets", "\x00Aéÿ", "0041e9ff")


def test_parts_of_two_alphabets_are_read_each_by_its_own() -> None:
    parts = [Content("gsm7", b"Habari "), Content("ucs2", "– ê".encode("utf-16-be")), Content("octets", b" ok")]
    assert join_text(parts) == join_pieces(part.piece for part in parts) == "Habari – ê ok"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
plain_texts = st.text(st.sampled_from(sorted({*gsm7.BASIC, *gsm7.EXTENSION.values()} - {"\x1b"})), max_size=60)


@unhurried
@given(st.one_of(texts, plain_texts), st.data())
def test_a_text_that_a_network_cut_anywhere_is_whole_again_when_its_pieces_are_put_together(
    text: str, data: st.DataObject
) -> None:
    segments = cut(text)
    whole = b"".join(segments.contents)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    parts = [
        Content(segments.alphabet, whole[start:end])
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
    ]
    assert join_text(parts) == text
    pieces = [part.piece for part in parts]
    assert join_pieces(pieces) == text
    assert [piece.encode().decode() for piece in pieces] == pieces  # as a database keeps them


@unhurried
@given(st.lists(st.builds(Content, st.sampled_from(["gsm7", "ucs2", "octets"]), st.binary(max_size=20),
                          st.none(), st.integers(0, 255), st.integers(0, 255)), max_size=4))  # fmt: skip
def test_any_octets_are_words_of_some_kind(parts: list[Content]) -> None:
    for words in (join_text(parts), join_pieces(part.piece for part in parts)):
        words.encode()


def test_half_a_letter_that_stays_alone_is_a_mark_and_half_an_escape_is_nothing() -> None:
    smile = "😀".encode("utf-16-be")
    assert join_pieces([Content("ucs2", smile[:2]).piece]) == "\ufffd"
    assert join_pieces([Content("ucs2", smile[:3]).piece]).startswith("\ufffd")
    assert join_pieces([Content("gsm7", b"ab\x1b").piece]) == "ab"


def test_an_escape_that_was_cut_keeps_its_language() -> None:
    parts = [Content("gsm7", b"a\x1b", None, 1, 1), Content("gsm7", b"gb", None, 1, 1)]
    assert join_text(parts) == join_pieces(part.piece for part in parts) == "ağb"


# A second opinion. smspdudecoder 2.2.0 knows no national tables, no reports and no halves of letters; it also reads
# the seven spare bits behind a text with extended letters, or behind a name of seven letters, as an @.


def opinion(pdu: str, kind: str) -> dict:
    fields = pytest.importorskip("smspdudecoder.fields", reason="smspdudecoder (with bitstring<5) is missing")
    return getattr(fields, kind).decode(StringIO(pdu))


@settings(deadline=None, max_examples=60)
@given(st.one_of(texts, plain_texts, plain_texts.map(lambda text: text * 5)), st.booleans())
def test_another_decoder_reads_the_same_words(text: str, wide: bool) -> None:
    for pdu in encode_submit(ASHA, text, wide_reference=wide, reference=7):
        ours, theirs = decode_submit(pdu.hex), opinion(pdu.hex, "SMSSubmit")
        assert theirs["recipient"]["number"] == ours.number
        assert theirs["user_data"]["data"] == ours.content.text + "@" * _is_misread(ours.content)


@settings(deadline=None, max_examples=30)
@given(st.text("ABCXYZ abcxyz-ÄØ", min_size=1, max_size=11), texts)
def test_another_decoder_reads_the_same_sender_and_time(name: str, text: str) -> None:
    pdu = encode_deliver(name, text, NOON)[0].hex
    ours, theirs = decode_deliver(pdu), opinion(pdu, "SMSDeliver")
    assert theirs["scts"] == ours.sent_at == NOON
    assert theirs["sender"]["number"] in (ours.sender, ours.sender + "@")
    assert theirs["smsc"]["number"] == ours.smsc.removeprefix("+")


def _is_misread(content: Content) -> bool:
    if content.alphabet != "gsm7" or gsm7.ESCAPE not in content.content:
        return False
    header = 0 if content.part is None else 8 if content.part.is_wide else 7
    return (header + len(content.content)) % 8 == 7
