"""M-Pesa's texts: every layout is read to the cent, and nothing that is not money coming in becomes any."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.simulators.mpesa_sms import CREDITS, OTHERS, REVERSALS, Notice, new_receipt, ruffle, write
from edge.values.mpesa_sms import code_date, other_kind, read_mpesa_sms

AT = datetime(2026, 11, 5, 11, 30, tzinfo=UTC)  # 2:30 PM in Nairobi
PAID = Notice("UK5T7ABCD1", 2000, AT, "JANE  DOE", "254700000001", "WIFI7K2Q")

SEEN = {
    "T1": "UK5T7ABCD1 Confirmed.on 5/11/26 at 2:30 PMKSH20.00 received from 254700000001 Jane Doe. New Account balance "
    "is KSH1,090.05. Transaction cost, KSH0.00. Pay with ease.",
    "T1a": "EA54HY643 Confirmed.\non 28/9/13 at 1:14 PM\nKsh50.00 received from\n254700000001 JANE D.\nNew Account "
    "balance is Ksh54.00",
    "T1b": "RAQ5ABCDE1 Confirmed on 26/1/23 at 12:47 PM Ksh45,200.00 received from 488519-NCBA Bank M- "
    "pesa:254700000001. New Account balance is Ksh45,300.00",
    "T2": "UK5T7ABCD1 Confirmed. on 5/11/26 at 2:30 PM Ksh20.00 received from JANE DOE 254700000001.  Account Number "
    "WIFI7K2Q New Utility balance is Ksh80.00",
    "T2a": "BD57QC123 Confirmed.\non 5/4/11 at 2:45 PM\nKsh20.00 received from JANE DOE 254700000001.\nAccount Number "
    "WIFI 7\nNew Utility balance is Ksh80.00\nTime: 05/04/2011 14:45:34",
    "T3": "UK5T7ABCD1 Confirmed.You have received Ksh20.00 from JANE DOE 0700000001 on 5/11/26 at 2:30 PM  New M-PESA "
    "balance is Ksh3,200.00. Anything",
    "T3m": "UK5T7ABCD1 Confirmed.You have received Ksh20.00 from JANE DOE 0700***001 on 5/11/26 at 2:30 PM  New "
    "M-PESA balance is Ksh3200.00.",
    "T4": "UK5T7ABCD1 Confirmed.You have received Ksh20.00 from JANE  DOE on 5/11/26 at 2:30 PM  New business balance "
    "is Ksh30.00. To access your funds, Dial *334#,select Pochi la Biashara & Withdraw funds.",
    "T5": "UK5T7ABCD1 Confirmed. You have received Ksh3,500.00 from 501901 - KCB Money Transfer Services on 5/11/26 at "
    "2:30 PM New M-PESA balance is Ksh3,600.00",
}  # fmt: skip
# amount, payer in full, payer as told, name, account, balance
MEANT = {
    "T1": (2000, "254700000001", "254700000001", "Jane Doe", None, 109005),
    "T1a": (5000, "254700000001", "254700000001", "JANE D", None, 5400),
    "T1b": (4520000, "254700000001", "254700000001", "488519-NCBA Bank M- pesa", None, 4530000),
    "T2": (2000, "254700000001", "254700000001", "JANE DOE", "WIFI7K2Q", 8000),
    "T2a": (2000, "254700000001", "254700000001", "JANE DOE", "WIFI 7", 8000),
    "T3": (2000, "254700000001", "0700000001", "JANE DOE", None, 320000),
    "T3m": (2000, None, "0700***001", "JANE DOE", None, 320000),
    "T4": (2000, None, "", "JANE DOE", None, 3000),
    "T5": (350000, None, "", "501901 - KCB Money Transfer Services", None, 360000),
}


@pytest.mark.parametrize("layout", CREDITS)
def test_a_text_that_was_seen_is_read_to_the_cent(layout):
    told = read_mpesa_sms(SEEN[layout])
    assert (told.kind, told.layout, told.receipt) == ("credit", layout, SEEN[layout].split()[0])
    found = (told.amount_cents, told.payer, told.payer_shape, told.payer_name, told.account, told.balance_cents)
    assert found == MEANT[layout]
    if "5/11/26" in SEEN[layout]:
        assert (told.at, told.date_fits) == (AT, True)


@pytest.mark.parametrize("layout", CREDITS)
@pytest.mark.parametrize("is_hidden", [False, True])
def test_white_space_and_capitals_change_nothing(layout, is_hidden):
    notice = replace(PAID, is_number_hidden=is_hidden)
    plain = read_mpesa_sms(write(layout, notice))
    assert plain is not None and (plain.amount_cents, plain.balance_cents) == (2000, notice.balance_cents)
    if is_hidden:
        assert plain.payer is None
    for seed in range(40):
        text = ruffle(write(layout, notice), random.Random(seed))
        for said in (text, text.upper(), text.lower()):
            told = read_mpesa_sms(said)
            assert told is not None, said
            assert (told.receipt, told.amount_cents, told.at, told.payer, told.balance_cents) == (
                plain.receipt, plain.amount_cents, plain.at, plain.payer, plain.balance_cents,
            )  # fmt: skip


@pytest.mark.parametrize("mask", ["0722***000", "0722XXXXXX", "0712***678", "2547****0001", "+2547xxxxx001"])
def test_however_a_number_is_hidden_it_is_no_number(mask):
    for text in (SEEN["T3m"].replace("0700***001", mask), SEEN["T1"].replace("254700000001", mask)):
        told = read_mpesa_sms(text)
        assert (told.payer, told.payer_shape, told.payer_name.upper()) == (None, mask, "JANE DOE")


def test_a_number_may_be_missing_altogether():
    for layout in ("T1", "T2", "T3"):
        text = SEEN[layout].replace(" 254700000001", "").replace(" 0700000001", "")
        told = read_mpesa_sms(text)
        assert (told.layout, told.payer, told.payer_shape, told.payer_name.upper()) == (layout, None, "", "JANE DOE")


@pytest.mark.parametrize("layout", REVERSALS)
def test_a_reversal_names_the_payment_that_is_gone(layout):
    told = read_mpesa_sms(write(layout, replace(PAID, own_receipt="UK6X0REV01")))
    assert (told.kind, told.layout, told.receipt) == ("reversal", layout, "UK5T7ABCD1")
    assert told.codes == ("UK6X0REV01", "UK5T7ABCD1")
    assert (told.balance_cents, told.amount_cents) == ((None, 2000) if layout == "T6b" else (109005, None))


@pytest.mark.parametrize(
    "text, receipt",
    [
        ("Dear customer, a reversal request for UK5T7ABCD1 was received.", "UK5T7ABCD1"),
        ("UK6X0REV01 Confirmed. Your till has been debited as UK5T7ABCD1 was REVERSED.", "UK5T7ABCD1"),
        ("uk5t7abcd1 imereversiwa", "UK5T7ABCD1"),
        ("CONFIRMED. REVERSAL OF TRANSACTION UKBTQABCDE SUCCESSFUL", "UKBTQABCDE"),
    ],
)
def test_a_reversal_in_words_not_seen_before_flags_its_code_all_the_same(text, receipt):
    told = read_mpesa_sms(text)
    assert (told.kind, told.layout, told.receipt, told.amount_cents) == ("reversal", "T6?", receipt, None)


@pytest.mark.parametrize("layout", OTHERS)
def test_what_went_out_is_not_money_that_came_in(layout):
    for seed in range(20):
        text = ruffle(write(layout, PAID), random.Random(seed))
        assert (read_mpesa_sms(text), other_kind(text)) == (None, layout[:2])


@pytest.mark.parametrize(
    "old, new",
    [
        ("5/11/26", "31/2/26"), ("2:30 PM", "14:30 PM"), ("2:30 PM", "0:30 AM"), ("2:30 PM", "2:60 PM"),
        ("Ksh20.00", "Ksh0.00"), ("Ksh20.00", "Ksh20.0"), ("Ksh20.00", "Ksh20"), ("Ksh20.00", "Ksh-20.00"),
        ("Ksh20.00", "USD20.00"), ("Ksh20.00", "Ksh2,0.00"), ("Ksh20.00", "Ksh٢٠.00"), ("received", "requested"),
        ("Confirmed", "Confirm"), ("UK5T7ABCD1", "1234567890"), ("UK5T7ABCD1", "UK5T7ABC"), ("UK5T7ABCD1 ", ""),
        ("UK5T7ABCD1", "Re: UK5T7ABCD1"), ("New Utility balance is Ksh80.00", ""),
        ("New Utility balance is Ksh80.00", "New Utility balance is Ksh8"), ("from JANE DOE", "from 12 JANE DOE"),
    ],
)  # fmt: skip
def test_what_is_not_exactly_right_is_for_a_person(old, new):
    assert old in SEEN["T2"]
    assert read_mpesa_sms(SEEN["T2"].replace(old, new)) is None


def test_a_payer_who_types_words_for_an_account_changes_no_amount():
    for account in ("A New Utility balance is Ksh1.00", "X. New Account balance is Ksh9.00", "revers UK5T7ABCD9"):
        told = read_mpesa_sms(SEEN["T2"].replace("WIFI7K2Q", account))
        assert (told.kind, told.layout, told.amount_cents, told.account, told.balance_cents) == (
            "credit", "T2", 2000, account, 8000,
        )  # fmt: skip


@pytest.mark.parametrize(
    "said, instant",
    [("12:05 AM", (4, 21)), ("1:05 AM", (4, 22)), ("12:05 PM", (5, 9)), ("1:05 PM", (5, 10)), ("11:05 PM", (5, 20))],
)
def test_midnight_and_noon_are_where_people_have_them(said, instant):
    told = read_mpesa_sms(SEEN["T2"].replace("2:30 PM", said))
    assert told.at == datetime(2026, 11, *instant, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "receipt, said, fits",
    [
        ("UK5T7ABCD1", "5/11/26", True), ("UK6T7ABCD1", "5/11/26", False), ("TK5T7ABCD1", "5/11/26", False),
        ("UL5T7ABCD1", "5/11/26", False), ("UZ5T7ABCD1", "5/11/26", False), ("UKVT7ABCD1", "30/11/26", False),
        ("UKUT7ABCD1", "30/11/26", True), ("EA54HY643", "5/11/26", None), ("TCK1AB2CD3", "20/3/25", True),
    ],
)  # fmt: skip
def test_the_receipts_own_date_is_compared_with_the_texts(receipt, said, fits):
    assert read_mpesa_sms(SEEN["T1"].replace("UK5T7ABCD1", receipt).replace("5/11/26", said)).date_fits is fits


def test_around_midnight_the_code_may_be_of_the_day_before():
    text = SEEN["T1"].replace("5/11/26 at 2:30 PM", "6/11/26 at 12:03 AM")
    assert read_mpesa_sms(text).date_fits is True
    assert read_mpesa_sms(text.replace("12:03", "12:13")).date_fits is False


@given(st.datetimes(datetime(2006, 1, 2), datetime(2031, 12, 30), timezones=st.just(UTC)))
def test_a_code_tells_the_day_it_was_made(at):
    receipt = new_receipt(at)
    assert code_date(receipt) is not None
    assert read_mpesa_sms(write("T1", replace(PAID, receipt=receipt, at=at))).date_fits is True


@given(st.text(max_size=1500))
def test_no_text_breaks_the_reader(text):
    told = read_mpesa_sms(text)
    assert told is None or told.kind == "reversal"
    other_kind(text)


PIECES = st.sampled_from([*" ".join(SEEN.values()).split(" "), "\n", ".", "revers", "Ksh1.00", SEEN["T1"], SEEN["T2"]])


@given(st.lists(PIECES, max_size=40).map(" ".join), st.data())
def test_a_broken_receipt_never_breaks_the_reader(text, data):
    read_mpesa_sms(text)
    whole = SEEN[data.draw(st.sampled_from(CREDITS))]
    cut = data.draw(st.integers(0, len(whole)))
    told = read_mpesa_sms(whole[:cut] + text)
    if told is not None and told.kind == "credit" and cut > whole.index("balance"):
        assert told.amount_cents == read_mpesa_sms(whole).amount_cents


@given(st.sampled_from([name for name in OTHERS if name != "X3 failed"]), st.one_of(
    st.text(max_size=200), st.lists(PIECES, max_size=30).map(" ".join)
))  # fmt: skip
def test_whatever_stands_behind_money_that_went_out_it_never_becomes_a_credit(layout, tail):
    told = read_mpesa_sms(write(layout, PAID) + tail)
    assert told is None or told.kind == "reversal"


def test_a_hostile_text_is_read_in_no_time():
    for filler in ("1,234", "Ksh1.00 ", "A. New Account balance is Ksh", " on 5/11/26 at 2:30 PM", "UK5T7ABCD1 ", "*"):
        for head in SEEN.values():
            began = datetime.now(UTC)
            read_mpesa_sms((head[:60] + filler * 300)[:1200])
            assert (datetime.now(UTC) - began).total_seconds() < 1
