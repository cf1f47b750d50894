"""What M-Pesa tells of payments by hand and of our orders: every shape it is known to come in, and nothing guessed."""

import contextlib
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.mpesa import read_c2b, read_org_result, read_timeout
from edge.errors import BadInput
from edge.values.mpesa_urls import url_faults
from edge.values.mpesa_words import _ORG_WORDS, _WORDS, FINAL_FAILURES, explain
from edge.values.mpesa_words_sw import ORG_WORDS_SW, WORDS_SW
from edge.values.org_api import (
    OrgResult,
    balances_of,
    clean_account,
    pay_out_of,
    phone_fits,
    read_cents,
    read_moment,
    reversal_of,
    status_of,
)

ASHA = "254700000001"
DIGEST = hashlib.sha256(ASHA.encode()).hexdigest()
# Literally the confirmation of the Daraja portal's C2B page, with invented values.
SAMPLE = {
    "TransactionType": "Pay Bill", "TransID": "UK5T7ABCD1", "TransTime": "20261105143022", "TransAmount": "20.00",
    "BusinessShortCode": "600984", "BillRefNumber": "WIFI7K2Q", "InvoiceNumber": "", "OrgAccountBalance": "4920.00",
    "ThirdPartyTransID": "", "MSISDN": "2547 ***** 001", "FirstName": "JANE", "MiddleName": "", "LastName": "",
}  # fmt: skip


def posted(**changed: Any) -> bytes:
    told = {name: value for name, value in (SAMPLE | changed).items() if value is not ...}
    return json.dumps(told).encode()


def test_the_portals_own_sample_is_read_whole() -> None:
    notice = read_c2b(posted())
    assert (notice.receipt, notice.amount_cents, notice.short_code, notice.account) == (
        "UK5T7ABCD1", 2000, "600984", "WIFI7K2Q",
    )  # fmt: skip
    assert notice.at == datetime(2026, 11, 5, 11, 30, 22, tzinfo=UTC)  # Nairobi is three hours ahead
    assert (notice.msisdn, notice.msisdn_shape, notice.payer_name) == (None, "2547 ***** 001", "JANE")
    assert (notice.kind, notice.balance_cents) == ("Pay Bill", 492000)


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({"TransAmount": "20"}, "amount_cents", 2000),
        ({"TransAmount": 20}, "amount_cents", 2000),
        ({"TransAmount": 20.5}, "amount_cents", 2050),
        ({"TransID": "uk5t7abcd1"}, "receipt", "UK5T7ABCD1"),
        ({"TransTime": "soon"}, "at", None),
        ({"TransTime": 20261105143022}, "at", datetime(2026, 11, 5, 11, 30, 22, tzinfo=UTC)),
        ({"BillRefNumber": "  wifi 7k2q\t\n "}, "account", "WIFI 7K2Q"),
        ({"BillRefNumber": ...}, "account", ""),
        ({"BillRefNumber": None}, "account", ""),
        ({"MSISDN": ASHA}, "msisdn", ASHA),
        ({"MSISDN": int(ASHA)}, "msisdn", ASHA),
        ({"MSISDN": DIGEST}, "msisdn_shape", DIGEST),
        ({"MSISDN": ...}, "msisdn_shape", ""),
        ({"FirstName": ..., "MiddleName": ..., "LastName": ...}, "payer_name", ""),
        ({"FirstName": "JANE", "LastName": "WANGŨI"}, "payer_name", "JANE WANGŨI"),
        ({"TransactionType": "Customer Merchant Payment"}, "kind", "Customer Merchant Payment"),
        ({"TransactionType": ""}, "kind", ""),
        ({"OrgAccountBalance": ""}, "balance_cents", None),
        ({"BusinessShortCode": 600984}, "short_code", "600984"),
        ({"Unheard": [1, {"of": 2}]}, "receipt", "UK5T7ABCD1"),
    ],
)  # fmt: skip
def test_every_form_of_a_field_is_understood(changed: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(read_c2b(posted(**changed)), field) == value


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{", b"null", posted(TransID=...), posted(TransID=""), posted(TransID="a b"), posted(TransAmount=...),
     posted(TransAmount="-20"), posted(TransAmount="NaN"), posted(TransAmount=True), posted(TransAmount="1e9"),
     b"\xff"],
)  # fmt: skip
def test_what_is_no_payment_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInput):
        read_c2b(raw)


@given(st.binary(max_size=200) | st.dictionaries(st.text(max_size=8), st.integers() | st.text()).map(
    lambda told: json.dumps(told).encode()))  # fmt: skip
def test_nothing_that_is_posted_breaks_a_reader(raw: bytes) -> None:
    for read in (read_c2b, read_org_result, read_timeout):
        with contextlib.suppress(BadInput):
            read(raw)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        (ASHA, True), ("0700000001", True), ("+254 700 000 001", True), ("254700000002", False),
        ("2547 ***** 001", True), ("25470****001", True), ("0700***001", True), ("0700XXXXXX", True),
        ("0700•••001", True), ("254700xxxxxx", True), ("*******001", True), ("25470*****", True),
        ("2547 ***** 126", False), ("25471****001", False), ("0722XXXXXX", False), ("0722***001", False),
        ("*******002", False),
        (DIGEST, True), (DIGEST.upper(), True), ("0" * 64, False),
        (DIGEST[:34] + " ***** " + DIGEST[-25:], True), ("ab" * 17 + " ***** " + DIGEST[-25:], False),
        (hashlib.sha256(b"0700000001").hexdigest(), True),
        ("", None), ("254*********", None), ("*********", None), ("0*********", None), ("JANE", None), ("12", None),
    ],
)  # fmt: skip
def test_a_payer_is_recognised_by_what_is_seen_of_his_number(shape: str, fits: bool | None) -> None:
    assert phone_fits(shape, ASHA) is fits


@given(st.text(max_size=80))
def test_no_shape_of_a_number_breaks_the_comparison(shape: str) -> None:
    assert phone_fits(shape, ASHA) in (True, False, None)


@pytest.mark.parametrize(
    ("told", "cents"),
    [("20", 2000), ("20.0", 2000), ("1,020.50", 102050), ("KES 20.00", 2000), ("-20.00", -2000), ("", None),
     ("twenty", None), ("20.005", None), ("1e3", None)],
)  # fmt: skip
def test_amounts_are_read_to_the_cent(told: str, cents: int | None) -> None:
    assert read_cents(told) == cents


def test_both_notations_of_an_instant_are_nairobi_time() -> None:
    assert read_moment("06.07.2024 22:48:52") == datetime(2024, 7, 6, 19, 48, 52, tzinfo=UTC)
    assert read_moment("20240706224852") == datetime(2024, 7, 6, 19, 48, 52, tzinfo=UTC)
    assert [read_moment(told) for told in ("", "20241306224852", "6 July", "00010101000000")] == [None] * 4


def test_an_account_is_cleaned_and_never_longer_than_it_matters() -> None:
    assert clean_account(" wifi\x007k\u200b2q ") == "WIFI 7K 2Q"
    assert len(clean_account("x" * 500)) == 40


# Literally the envelope of the facts, with Safaricom's own addresses in it.
def envelope(**changed: Any) -> bytes:
    result = {
        "ResultType": 0, "ResultCode": 0, "ResultDesc": "The service request is processed successfully.",
        "OriginatorConversationID": "1236-7134259-1", "ConversationID": "AG_20261105_1234409f86436c583e3f",
        "TransactionID": "UK50000000",
        "ResultParameters": {"ResultParameter": [{"Key": "ReceiptNo", "Value": "UK5T7ABCD1"}]},
        "ReferenceData": {"ReferenceItem": {"Key": "QueueTimeoutURL", "Value": "https://internalsandbox.example"}},
    } | changed  # fmt: skip
    return json.dumps({"Result": {name: value for name, value in result.items() if value is not ...}}).encode()


def listed(*pairs: tuple[str, Any]) -> dict[str, Any]:
    return {"ResultParameter": [{"Key": key} if value is ... else {"Key": key, "Value": value} for key, value in pairs]}


def test_the_common_envelope_is_read() -> None:
    told = read_org_result(envelope())
    assert (told.result_code, told.is_done, told.receipt) == ("0", True, "UK50000000")
    assert (told.originator_conversation_id, told.conversation_id) == (
        "1236-7134259-1", "AG_20261105_1234409f86436c583e3f",
    )  # fmt: skip
    assert told.parameters == {"ReceiptNo": ["UK5T7ABCD1"]}


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"ResultParameter": {"Key": "ReceiptNo", "Value": "UK5"}}, {"ReceiptNo": ["UK5"]}),
        (listed(("A", "x"), ("A", "y")), {"A": ["x", "y"]}),
        (listed(("A", ...)), {"A": [""]}),
        (listed(("A", 20), ("B", 20.50), ("C", None), ("D", True)), {"A": ["20"], "B": ["20.5"], "C": [""], "D": [""]}),
        (..., {}), (None, {}), ({}, {}), ({"ResultParameter": [3, None, {"Value": 1}]}, {}),
    ],
)  # fmt: skip
def test_one_parameter_is_an_object_and_several_are_a_list(parameters: Any, found: dict[str, list[str]]) -> None:
    assert read_org_result(envelope(ResultParameters=parameters)).parameters == found


@pytest.mark.parametrize(("code", "text"), [(0, "0"), ("0", "0"), (2001, "2001"), ("R000002", "R000002"), (0.0, "0")])
def test_a_result_code_is_text_however_it_came(code: Any, text: str) -> None:
    assert read_org_result(envelope(ResultCode=code)).result_code == text


def test_a_result_without_a_code_is_none_and_a_timeout_needs_none() -> None:
    for code in (..., None, True, ""):
        with pytest.raises(BadInput):
            read_org_result(envelope(ResultCode=code))
        assert read_timeout(envelope(ResultCode=code)).originator_conversation_id == "1236-7134259-1"
    assert read_timeout(b'{"OriginatorCoversationID": "1-2"}').originator_conversation_id == "1-2"


def status(state: str, **more: Any) -> OrgResult:
    pairs = (
        ("DebitPartyName", "254700000001 - JANE DOE"), ("DebitPartyName", "600984 - SHOP"),
        ("TransactionStatus", state), ("Amount", 20.0), ("ReceiptNo", "UK5T7ABCD1"),
        ("FinalisedTime", 20261105143022),
    )  # fmt: skip
    return read_org_result(envelope(ResultParameters=listed(*pairs), **more))


def test_a_status_names_payer_amount_and_instant() -> None:
    found = status_of(status("Completed"))
    assert (found.state, found.receipt, found.amount_cents) == ("completed", "UK5T7ABCD1", 2000)
    assert (found.debit_party_msisdn, found.debit_party_name, found.credit_party) == (ASHA, "JANE DOE", "600984 - SHOP")
    assert found.at == datetime(2026, 11, 5, 11, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "state"),
    [("Completed", "completed"), ("Cancelled", "failed"), ("Declined", "failed"), ("Expired", "failed"),
     ("Authorized", "unknown"), ("", "unknown"), ("Something new", "unknown")],
)  # fmt: skip
def test_a_status_ends_only_with_a_known_last_word(told: str, state: str) -> None:
    assert status_of(status(told)).state == state


def test_a_question_that_went_wrong_says_nothing_about_the_money() -> None:
    assert status_of(status("Completed", ResultCode=2001)).state == "unknown"


def test_a_pay_out_has_its_dotted_date() -> None:
    pairs = (
        ("TransactionAmount", 100), ("TransactionReceipt", "UK5PAYOUT1"),
        ("ReceiverPartyPublicName", "254700000001 - JANE DOE"),
        ("TransactionCompletedDateTime", "06.07.2024 22:48:52"), ("B2CUtilityAccountAvailableFunds", 950.5),
    )  # fmt: skip
    found = pay_out_of(read_org_result(envelope(ResultParameters=listed(*pairs))))
    assert (found.state, found.receipt, found.amount_cents, found.msisdn) == ("done", "UK5PAYOUT1", 10000, ASHA)
    assert (found.at, found.available_cents) == (datetime(2024, 7, 6, 19, 48, 52, tzinfo=UTC), 95050)
    assert pay_out_of(read_org_result(envelope(ResultCode=2040))).state == "failed"
    assert pay_out_of(read_org_result(envelope(ResultCode=100000005))).state == "unknown"


def test_a_reversal_done_before_is_done() -> None:
    pairs = (("Amount", "20.00"), ("TransCompletedTime", 20261105143022), ("OriginalTransactionID", "UK5T7ABCD1"))
    found = reversal_of(read_org_result(envelope(ResultParameters=listed(*pairs))))
    assert (found.state, found.receipt, found.original_receipt, found.amount_cents) == (
        "done", "UK50000000", "UK5T7ABCD1", 2000,
    )  # fmt: skip
    again = reversal_of(read_org_result(envelope(ResultCode="R000001")))
    assert (again.state, again.was_done_before) == ("done", True)
    assert reversal_of(read_org_result(envelope(ResultCode="R000002"))).state == "failed"


def test_balances_are_read_by_account() -> None:
    told = "Working Account|KES|700000.00|700000.00|0.00|0.00&Utility Account|KES|228037.50|228037.50|0.00|0.00"
    result = read_org_result(envelope(ResultParameters=listed(("AccountBalance", told))))
    assert balances_of(result) == {"Working Account": 70000000, "Utility Account": 22803750}


@pytest.mark.parametrize(
    ("url", "live", "words"),
    [
        ("https://wifi.shop.co.ke/cb/9f3c/c2b/confirmation", True, ""),
        ("https://wifi.shop.co.ke:8443", True, ""),
        ("https://41.90.1.2/x", True, ""),
        ("http://wifi.shop.co.ke", False, ""),
        ("http://wifi.shop.co.ke", True, "https alone"),
        ("https://MPESA.shop.co.ke/", True, '"mpesa"'),
        ("https://shop.co.ke/M-Pesa/cb", True, '"mpesa"'),
        ("https://shop.co.ke/m_pesa", True, '"mpesa"'),
        ("https://safaricom.shop.co.ke", True, '"safaricom"'),
        ("https://executive.co.ke", True, '"exe"'),
        ("https://shop.co.ke/cmd", True, '"cmd"'),
        ("https://shop.co.ke/sqlite", True, '"sql"'),
        ("https://shop.co.ke/jquery", True, '"query"'),
        ("https://12ab.ngrok-free.app", True, '"ngrok"'),
        ("https://192.168.1.5/cb", True, "from the internet"),
        ("https://127.0.0.1/cb", True, "from the internet"),
        ("https://edge.local/cb", True, "from the internet"),
        ("https://edge/cb", True, "from the internet"),
        ("https://shop.co.ke/<x>", True, "angle bracket"),
        ("https://me:you@shop.co.ke/", True, "name or password"),
        ("wifi.shop.co.ke", True, "no address"),
        ("ftp://shop.co.ke", True, "no address"),
        ("", True, "no address"),
        ("https://shop.co.ke:port/", True, "no address"),
    ],
)
def test_the_word_rules_of_addresses_are_told_in_words(url: str, live: bool, words: str) -> None:
    faults = "; ".join(url_faults(url, live))
    assert words in faults and bool(words) is bool(faults)


def test_every_code_has_words_in_both_languages_and_a_next_step() -> None:
    assert (WORDS_SW.keys(), ORG_WORDS_SW.keys()) == (_WORDS.keys(), _ORG_WORDS.keys())
    known = ("18", "20", "21", "22", "15", "2040", "R000001", "R000002", "100000000", "100000011", "100000100",
             *(f"C2B000{last}" for last in range(11, 17)))  # fmt: skip
    for code in known:
        for language in ("en", "sw"):
            words = explain(code, language=language, api="org")
            assert len(words.guest) > 5 and len(words.owner) > 5 and "{" not in words.owner + words.guest
    assert not any(code in FINAL_FAILURES for code in ("15", "R000001", "C2B00012", "100000000"))


def test_one_code_may_mean_two_things_and_an_unknown_one_still_has_a_next_step() -> None:
    assert "PIN" in explain("2001").guest and "initiator" in explain("2001", api="org").owner
    assert "PIN" in explain("2001", language="sw").guest
    assert "XYZ" in explain("XYZ", "odd {words}").owner and "odd {words}" in explain("XYZ", "odd {words}", "sw").owner
    assert explain("XYZ", language="fr").guest == explain("XYZ").guest
