"""M-Pesa's organisation APIs and payments by hand: the client and the pretend M-Pesa, over the wire."""

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.devices.mpesa import Mpesa, read_c2b, read_org_result, read_stk_result, read_timeout
from edge.devices.mpesa_org import Addresses, MpesaOrg, security_credential
from edge.devices.mpesa_wire import Wire
from edge.errors import BadInput, DeviceError, Refused, Unconfirmed, Unreachable
from edge.simulators.mpesa import Customer, MpesaSimulator
from edge.simulators.mpesa.book import COLUMNS, Row
from edge.values.org_api import pay_out_of, phone_fits, reversal_of, status_of
from edge.values.stk import Push
from tests.listener import listening

ASHA, JUMA = "254700000001", "254110000007"
KEY, SHOP, TILL = "edge-rehearsal", "174379", "5001234"
PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"


class Desk:
    """The shop's own addresses: keeps what was posted, and answers what a test says."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, bytes]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.pause_s = 0.0
        self.url = ""

    def at(self, end: str) -> list[bytes]:
        return [raw for path, raw in self.posts if path.endswith(end)]

    @property
    def addresses(self) -> Addresses:
        return Addresses(f"{self.url}/cb/9f3c/result", f"{self.url}/cb/9f3c/timeout")


@pytest.fixture
def desk() -> Iterator[Desk]:
    told = Desk()

    def answer(path: str, headers: dict[str, str], raw: bytes) -> tuple[int, bytes]:
        told.posts.append((path, raw))
        if "validation" in path and told.pause_s:
            time.sleep(told.pause_s)
        return told.answers.get(path.rpartition("/")[2], (200, b'{"ResultCode":0}'))

    with listening(answer) as told.url:
        yield told


@pytest.fixture
def simulator() -> Iterator[MpesaSimulator]:
    with MpesaSimulator(seed=7) as opened:
        yield opened


@pytest.fixture
def org(simulator: MpesaSimulator) -> MpesaOrg:
    return org_of(simulator)


def org_of(simulator: MpesaSimulator, **more: Any) -> MpesaOrg:
    given = {
        "initiator": simulator.initiator.name, "initiator_password": simulator.initiator.password,
        "certificate": lambda: simulator.initiator.certificate_pem,
    } | more  # fmt: skip
    return MpesaOrg(Wire(simulator.base_url, KEY, KEY, timeout_s=5), SHOP, **given)


def register(org: MpesaOrg, desk: Desk, **more: Any) -> Any:
    return org.register_c2b(f"{desk.url}/confirmation", f"{desk.url}/validation", **more)


def result_of(simulator: MpesaSimulator, desk: Desk) -> Any:
    assert simulator.wait_until_quiet()
    return read_org_result(desk.at("/result")[-1])


# The security credential.


def test_the_credential_is_344_letters_another_each_time_and_opens_with_the_key(simulator: MpesaSimulator) -> None:
    initiator = simulator.initiator
    made = [security_credential(initiator.password, pem) for pem in (
        initiator.certificate_pem, initiator.certificate_pem.decode(), initiator.public_key_pem)]  # fmt: skip
    assert {len(credential) for credential in made} == {344} and len(set(made)) == 3
    assert [initiator.refusal(initiator.name, credential) for credential in made] == ["", "", ""]


def test_what_is_no_certificate_is_told(simulator: MpesaSimulator) -> None:
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.PEM, shape)
    for pem in (b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", elliptic):
        with pytest.raises(BadInput):
            security_credential("x", pem)
    with pytest.raises(BadInput, match="password"):
        security_credential("x" * 300, simulator.initiator.public_key_pem)


def test_orders_without_an_initiator_are_refused_before_anything_is_sent(simulator: MpesaSimulator, desk: Desk) -> None:
    def gone() -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    for more in ({"initiator": ""}, {"certificate": None}, {"certificate": gone}, {"certificate": lambda: b"x"}):
        with pytest.raises(Refused):
            org_of(simulator, **more).reversal(desk.addresses, "UK5T7ABCD1", 2000)
    assert simulator.orders == []


# Registering.


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_registering_is_told_and_told_again(simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, version: Any) -> None:
    assert register(org, desk, version=version).already is False
    simulator.register_once = True
    assert register(org, desk, version=version).already is True
    [(code, told)] = simulator.registrations.items()
    assert (code, told.version, told.response_type) == (SHOP, version, "Completed")


@pytest.mark.parametrize(
    ("set_up", "kind", "words"),
    [
        ({"register_fault": "soap"}, Unreachable, "SC-SearchURL"),
        ({"register_fault": "unreachable"}, Unreachable, "currently unreachable"),
        ({"register_fault": "foreign"}, Refused, "URL management"),
        ({"c2b_version": "v1"}, Refused, 'c2b = "v1"'),
        ({"https_only": True}, Refused, "Invalid ConfirmationURL"),
        ({"busy": True}, Unreachable, "busy"),
        ({"html": True}, Unreachable, "web page"),
        ({"down": True}, Unreachable, "lost"),
    ],
)
def test_why_registering_failed_is_told_with_its_cure(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, set_up: dict[str, Any], kind: type[DeviceError], words: str
) -> None:
    for name, value in set_up.items():
        setattr(simulator, name, value)
    with pytest.raises(kind, match=words) as told:
        register(org, desk)
    assert type(told.value) is kind


def test_a_forbidden_word_in_an_address_is_named(org: MpesaOrg, desk: Desk) -> None:
    with pytest.raises(Refused, match="URL has the word MPESA"):
        org.register_c2b(f"{desk.url}/confirmation", f"{desk.url}/MPESA/validation")


# Customers who pay by hand.


@pytest.mark.parametrize(
    ("version", "form", "shape"),
    [
        ("v2", "", "2547 ***** 001"), ("v1", "", None), ("v2", "masked_tight", "25470****001"),
        ("v2", "full", ASHA), ("v1", "masked_hash", None),
    ],
)  # fmt: skip
def test_a_payment_by_hand_is_confirmed_with_the_number_as_the_version_shows_it(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, version: Any, form: Any, shape: str | None
) -> None:
    register(org, desk, version=version)
    simulator.c2b_msisdn = form
    receipt = simulator.pay_by_hand(ASHA, 20, "WIFI7K2Q")
    assert simulator.wait_until_quiet()
    [raw] = desk.at("/confirmation")
    assert all(isinstance(value, str) for value in json.loads(raw).values())
    notice = read_c2b(raw)
    assert (notice.receipt, notice.amount_cents, notice.account, notice.short_code) == (receipt, 2000, "WIFI7K2Q", SHOP)
    assert (notice.kind, notice.balance_cents) == ("Pay Bill", 2000)
    assert shape in (None, notice.msisdn_shape)
    assert phone_fits(notice.msisdn_shape, ASHA) is True and phone_fits(notice.msisdn_shape, JUMA) is False
    assert desk.at("/validation") == []  # off by default


@pytest.mark.parametrize(
    ("names", "shown"), [("all", "JANE WANJIRU DOE"), ("first", "JANE"), ("empty", ""), ("absent", "")]
)
def test_names_come_whole_in_part_or_not_at_all(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, names: Any, shown: str
) -> None:
    register(org, desk)
    simulator.c2b_names = names
    simulator.pay_by_hand(ASHA, 20, "X", name="JANE WANJIRU DOE")
    assert simulator.wait_until_quiet()
    told = json.loads(desk.at("/confirmation")[0])
    assert ("FirstName" in told) is (names != "absent")
    assert read_c2b(desk.at("/confirmation")[0]).payer_name == shown


def test_a_till_sends_customer_merchant_payment_without_an_account(desk: Desk) -> None:
    with MpesaSimulator(till=TILL) as simulator:
        org = org_of(simulator, till=TILL)
        register(org, desk, short_code=TILL)
        simulator.pay_by_hand(ASHA, 20)
        assert simulator.wait_until_quiet()
        simulator.till_posts_as = "store"
        simulator.c2b_confirmations = 2
        simulator.pay_by_hand(JUMA, 30)
        assert simulator.wait_until_quiet()
        notices = [read_c2b(raw) for raw in desk.at("/confirmation")]
        assert [(notice.kind, notice.account, notice.short_code) for notice in notices] == [
            ("Customer Merchant Payment", "", TILL), *[("Customer Merchant Payment", "", SHOP)] * 2,
        ]  # fmt: skip
        assert len({notice.receipt for notice in notices}) == 2


@pytest.mark.parametrize(
    ("answer", "response_type", "pays"),
    [
        ((200, b'{"ResultCode":"0","ResultDesc":"Accepted","ThirdPartyTransID":"T1"}'), "Cancelled", True),
        ((200, b'{"ResultCode":0}'), "Cancelled", True),
        ((200, b'{"ResultCode":"C2B00012","ResultDesc":"Rejected"}'), "Completed", False),
        ((200, b'{"ResultCode":1}'), "Completed", False),
        ((500, b""), "Completed", True),
        ((500, b""), "Cancelled", False),
        ((200, b"<html>"), "Completed", True),
        ((200, b"<html>"), "Cancelled", False),
    ],
)
def test_validation_says_yes_or_no_and_when_it_says_nothing_the_response_type_decides(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, answer: Any, response_type: Any, pays: bool
) -> None:
    register(org, desk, response_type=response_type)
    simulator.c2b_validation = True
    desk.answers["validation"] = answer
    receipt = simulator.pay_by_hand(ASHA, 20, "WIFI7K2Q")
    assert simulator.wait_until_quiet()
    assert bool(receipt) is pays is bool(simulator.statement_rows()) is bool(desk.at("/confirmation"))
    assert read_c2b(desk.at("/validation")[0]).balance_cents is None
    if b"T1" in answer[1]:
        assert json.loads(desk.at("/confirmation")[0])["ThirdPartyTransID"] == "T1"


def test_a_validation_that_takes_too_long_counts_as_none(simulator: MpesaSimulator, org: MpesaOrg, desk: Desk) -> None:
    register(org, desk, response_type="Cancelled")
    simulator.c2b_validation, simulator.validation_timeout_s, desk.pause_s = True, 0.2, 1.0
    assert simulator.pay_by_hand(ASHA, 20, "WIFI7K2Q") is None


@pytest.mark.parametrize("order", ["after", "before", ""])
def test_a_prompt_on_a_registered_short_code_tells_both_for_one_receipt(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, order: Any
) -> None:
    register(org, desk)
    simulator.stk_c2b = order
    mpesa = Mpesa(simulator.base_url, KEY, KEY, SHOP, PASSKEY, timeout_s=5)
    mpesa.push(Push(ASHA, 2000, "WIFI7K2Q", "WiFi", f"{desk.url}/callback"))
    assert simulator.wait_until_quiet()
    paths = [path.rpartition("/")[2] for path, _ in desk.posts]
    wanted = {"after": ["callback", "confirmation"], "before": ["confirmation", "callback"], "": ["callback"]}
    assert paths == wanted[order]
    told = read_stk_result(desk.at("/callback")[0])
    if order:
        notice = read_c2b(desk.at("/confirmation")[0])
        assert (notice.receipt, notice.account, notice.amount_cents) == (told.receipt, "WIFI7K2Q", 2000)
    assert [row.receipt for row in simulator.statement_rows()] == [told.receipt]


def test_the_sandbox_simulates_a_payment_by_hand(simulator: MpesaSimulator, org: MpesaOrg, desk: Desk) -> None:
    register(org, desk)
    assert org.simulate_c2b(ASHA, 2000, "WIFI7K2Q").originator_conversation_id
    assert simulator.wait_until_quiet()
    assert read_c2b(desk.at("/confirmation")[0]).account == "WIFI7K2Q"
    with pytest.raises(Refused, match="ShortCode"):
        org.simulate_c2b(ASHA, 2000, "X", short_code="600000")


# Orders and questions.


@pytest.mark.parametrize("as_string", [False, True])
def test_a_receipt_is_asked_about_and_answered(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, as_string: bool
) -> None:
    simulator.org_code_form = "string" if as_string else "int"
    receipt = simulator.pay_by_hand(ASHA, 20, "WIFI7K2Q", name="JANE DOE")
    answer = org.transaction_status(desk.addresses, receipt=receipt or "")
    result = result_of(simulator, desk)
    assert (result.originator_conversation_id, result.conversation_id) == (
        answer.originator_conversation_id, answer.conversation_id,
    )  # fmt: skip
    found = status_of(result)
    assert (found.state, found.receipt, found.amount_cents) == ("completed", receipt, 2000)
    assert (found.debit_party_msisdn, found.debit_party_name) == (ASHA, "JANE DOE")
    assert found.at is not None and abs(found.at - simulator.statement_rows()[0].at) < timedelta(seconds=1)
    org.transaction_status(desk.addresses, receipt="UK5NOTHERE")
    assert status_of(result_of(simulator, desk)).state == "unknown"


def test_money_is_sent_back_once(simulator: MpesaSimulator, org: MpesaOrg, desk: Desk) -> None:
    receipt = simulator.pay_by_hand(ASHA, 20, "WIFI7K2Q") or ""
    org.reversal(desk.addresses, receipt, 2000)
    found = reversal_of(result_of(simulator, desk))
    assert (found.state, found.original_receipt, found.amount_cents) == ("done", receipt, 2000)
    org.reversal(desk.addresses, receipt, 2000)
    assert reversal_of(result_of(simulator, desk)).was_done_before
    org.reversal(desk.addresses, "UK5NOTHERE", 2000)
    assert result_of(simulator, desk).result_code == "R000002"
    assert [(row.kind, row.balance_cents, row.linked) for row in simulator.statement_rows()] == [
        ("payment", 2000, ""), ("reversal", 0, receipt),
    ]  # fmt: skip


def test_a_pay_out_goes_out_once_whatever_happens_to_the_answer(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk
) -> None:
    simulator.pay_by_hand(ASHA, 500, "WIFI7K2Q")
    simulator.lose_org_answer = True
    with pytest.raises(Unconfirmed):
        org.b2c(desk.addresses, "ours-1", JUMA, 10000)
    simulator.lose_org_answer = False
    with pytest.raises(Unconfirmed, match="already"):
        org.b2c(desk.addresses, "ours-1", JUMA, 10000)
    found = pay_out_of(result_of(simulator, desk))
    assert (found.state, found.amount_cents, found.msisdn, found.available_cents) == ("done", 10000, JUMA, 40000)
    org.transaction_status(desk.addresses, original_conversation_id="ours-1")
    told = status_of(result_of(simulator, desk))
    assert (told.state, told.receipt, told.amount_cents) == ("completed", found.receipt, 10000)
    assert [row.kind for row in simulator.statement_rows()] == ["payment", "pay_out"]


def test_who_cannot_be_paid_is_told_by_code(simulator: MpesaSimulator, org: MpesaOrg, desk: Desk) -> None:
    org.b2c(desk.addresses, "ours-1", JUMA, 10000)
    assert result_of(simulator, desk).result_code == "1"
    simulator.pay_by_hand(ASHA, 500, "X")
    simulator.unregistered.add(JUMA)
    org.b2c(desk.addresses, "ours-2", JUMA, 10000)
    assert result_of(simulator, desk).result_code == "2040"
    for cents in (900, 25_000_100, 1050):
        with pytest.raises(Refused):
            org.b2c(desk.addresses, f"ours-{cents}", JUMA, cents)


def test_a_wrong_password_is_told_by_2001_and_then_locks(simulator: MpesaSimulator, desk: Desk) -> None:
    org = org_of(simulator, initiator_password="forgotten")
    codes = []
    for _ in range(4):
        org.transaction_status(desk.addresses, receipt="UK5T7ABCD1")
        codes.append(result_of(simulator, desk).result_code)
    assert codes == ["2001", "2001", "2001", "8006"]


def test_the_balance_is_read(simulator: MpesaSimulator, org: MpesaOrg, desk: Desk) -> None:
    simulator.pay_by_hand(ASHA, 20, "X")
    org.account_balance(desk.addresses)
    assert "Utility Account|KES|20.00" in result_of(simulator, desk).first("AccountBalance")


@pytest.mark.parametrize(("outcome", "booked"), [("timeout", 1), ("timeout_done", 2), ("silent", 2)])
def test_an_order_may_expire_in_the_queue_done_or_undone(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, outcome: Any, booked: int
) -> None:
    receipt = simulator.pay_by_hand(ASHA, 20, "X") or ""
    simulator.org_outcome = outcome
    answer = org.reversal(desk.addresses, receipt, 2000)
    assert simulator.wait_until_quiet()
    assert (desk.at("/result"), len(simulator.statement_rows())) == ([], booked)
    told = [read_timeout(raw).originator_conversation_id for raw in desk.at("/timeout")]
    assert told == ([] if outcome == "silent" else [answer.originator_conversation_id])


ORDERS: list[tuple[str, Callable[[MpesaOrg, Addresses], object], type[DeviceError]]] = [
    ("status", lambda org, back: org.transaction_status(back, receipt="UK5T7ABCD1"), Unreachable),
    ("balance", lambda org, back: org.account_balance(back), Unreachable),
    ("reversal", lambda org, back: org.reversal(back, "UK5T7ABCD1", 2000), Unconfirmed),
    ("pay-out", lambda org, back: org.b2c(back, "ours-1", ASHA, 2000), Unconfirmed),
]


@pytest.mark.parametrize(("name", "ask", "lost"), ORDERS, ids=[name for name, _, _ in ORDERS])
def test_a_lost_answer_is_unconfirmed_for_an_order_and_unreachable_for_a_question(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk, name: str, ask: Any, lost: type[DeviceError]
) -> None:
    for fault, kind in (("lose_org_answer", lost), ("down", None), ("busy", Unreachable), ("html", Unreachable)):
        setattr(simulator, fault, True)
        with pytest.raises(kind or (lost, Unreachable)) as told:
            ask(org, desk.addresses)
        assert kind is None or type(told.value) is kind
        setattr(simulator, fault, False)
    assert len(simulator.orders) == 1
    assert simulator.wait_until_quiet()


def test_part_of_a_shilling_and_a_question_about_nothing_are_never_sent(org: MpesaOrg, desk: Desk) -> None:
    for cents in (0, 50, 2050):
        with pytest.raises(Refused):
            org.reversal(desk.addresses, "UK5T7ABCD1", cents)
    with pytest.raises(Refused):
        org.transaction_status(desk.addresses)


def test_one_token_serves_prompts_and_orders_when_a_new_one_ends_the_old(
    simulator: MpesaSimulator, desk: Desk
) -> None:
    simulator.single_token = True
    mpesa = Mpesa(simulator.base_url, KEY, KEY, SHOP, PASSKEY, timeout_s=5)
    org = MpesaOrg(
        mpesa.wire, SHOP, initiator="testapi", initiator_password=simulator.initiator.password,
        certificate=lambda: simulator.initiator.public_key_pem,
    )  # fmt: skip
    other = org_of(simulator)  # another process with a token of its own
    for one in (org, other, org, other):
        one.transaction_status(desk.addresses, receipt="UK5T7ABCD1")
    assert mpesa.query("ws_CO_1").kind == "unknown"
    assert simulator.wait_until_quiet()


def test_no_secret_of_the_initiator_gets_into_an_error(simulator: MpesaSimulator, desk: Desk) -> None:
    org = org_of(simulator)
    words = f"Bad Request - {simulator.initiator.password} {'A' * 344} is wrong"
    simulator._refuse_order = lambda path, fields: simulator._refuse(400, "400.002.02", words)  # type: ignore[method-assign]
    with pytest.raises(Refused) as told:
        org.reversal(desk.addresses, "UK5T7ABCD1", 2000)
    assert simulator.initiator.password not in str(told.value) and "AAAA" not in str(told.value)


# The book, the owner's texts, and the strings by which others pull it.


def test_the_statement_is_the_organisation_portals_and_its_balances_add_up(
    simulator: MpesaSimulator, org: MpesaOrg, desk: Desk
) -> None:
    simulator.charge_cents = 55
    receipt = simulator.pay_by_hand(ASHA, 1000, "WIFI7K2Q", name="JANE DOE") or ""
    simulator.pay_by_hand(JUMA, 20, "WIFI8")
    org.reversal(desk.addresses, receipt, 100000)
    assert simulator.wait_until_quiet()
    rows = list(csv.DictReader(io.StringIO(simulator.statement_csv())))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 5
    newest, oldest = rows[0], rows[-1]
    assert (newest["Withdrawn"], newest["Linked Transaction ID"], newest["Reason Type"]) == (
        "-1000.00", receipt, "Reversal",
    )  # fmt: skip
    assert (oldest["Receipt No."], oldest["Paid In"], oldest["Balance"], oldest["A/C No."]) == (
        receipt, "1000.00", "1000.00", "WIFI7K2Q",
    )  # fmt: skip
    assert oldest["Other Party Info"] == f"{ASHA} - JANE DOE"
    assert rows[-2]["Receipt No."] == receipt and rows[-2]["Withdrawn"] == "-0.55"
    datetime.strptime(oldest["Completion Time"], "%d-%m-%Y %H:%M:%S")
    total = sum(float(row["Paid In"] or 0) + float(row["Withdrawn"] or 0) for row in rows)
    assert f"{total:.2f}" == newest["Balance"] == "18.90"
    assert simulator.statement_csv(preamble=True).splitlines()[1] == f"Short Code,{SHOP}"


def test_the_owner_gets_the_recorded_texts(desk: Desk) -> None:
    heard: list[tuple[str, Row]] = []
    with MpesaSimulator(till=TILL) as simulator:
        simulator.on_money = lambda text, row: heard.append((text, row))
        bill = simulator.pay_by_hand(ASHA, 1070, "WIFI7K2Q", is_till=False, name="JANE DOE") or ""
        simulator.pay_by_hand(ASHA, 20, name="JANE DOE")
        simulator.text_phone = "masked"
        simulator.pay_by_hand(ASHA, 20, name="JANE DOE")
        back = simulator.reverse_by_customer(bill)
    first, second, third, last = [text for text, _ in heard]
    assert first.startswith(f"{bill} Confirmed. on ") and " Ksh1,070.00 received from JANE DOE 254700000001.  " in first
    assert first.endswith("Account Number WIFI7K2Q New Utility balance is Ksh1,070.00")
    assert "MKSH20.00 received from 254700000001 Jane Doe. New Account balance is KSH1,090.00. Trans" in second
    assert "received from 0700***001 Jane Doe." in third
    assert last == (
        f"{back} Confirmed. Transaction {bill} has been reversed.  Your account balance is now Ksh40.00."
    )


def test_another_program_makes_customers_pay_and_takes_m_pesa_away(simulator: MpesaSimulator, desk: Desk) -> None:
    register(org_of(simulator), desk)
    url = f"{simulator.base_url}/simulator"
    paid = requests.post(f"{url}/pay", json={"msisdn": "0700 000 001", "amount": 20, "account": "WIFI7K2Q"}, timeout=5)
    receipt = paid.json()["receipt"]
    assert simulator.wait_until_quiet() and len(desk.at("/confirmation")) == 1
    requests.post(f"{url}/outage", json={"seconds": 60}, timeout=5)
    with pytest.raises(Unreachable):
        Mpesa(simulator.base_url, KEY, KEY, SHOP, PASSKEY, timeout_s=5).check()
    lost = requests.post(f"{url}/pay", json={"msisdn": JUMA, "amount": "30"}, timeout=5).json()["receipt"]
    assert simulator.wait_until_quiet() and len(desk.at("/confirmation")) == 1
    requests.post(f"{url}/outage", json={"seconds": 0}, timeout=5)
    Mpesa(simulator.base_url, KEY, KEY, SHOP, PASSKEY, timeout_s=5).check()
    back = requests.post(f"{url}/reverse", json={"receipt": receipt}, timeout=5).json()["receipt"]
    assert requests.post(f"{url}/reverse", json={"receipt": receipt}, timeout=5).status_code == 404
    statement = requests.get(f"{url}/statement.csv", timeout=5).text
    assert [row["Receipt No."] for row in csv.DictReader(io.StringIO(statement))] == [back, lost, receipt]
    assert len(requests.get(f"{url}/book", timeout=5).json()["rows"]) == 3
    assert b"BEGIN CERTIFICATE" in requests.get(f"{url}/certificate.pem", timeout=5).content


def test_nonsense_told_to_the_simulator_is_answered_in_words(simulator: MpesaSimulator) -> None:
    url = f"{simulator.base_url}/simulator"
    for path, body in (
        ("pay", {}), ("pay", {"msisdn": ASHA, "amount": 0}), ("pay", {"msisdn": "1", "amount": 1}), ("pay", []),
        ("outage", {"seconds": "long"}), ("outage", {"seconds": -1}), ("customer", {"msisdn": ASHA, "kind": "flies"}),
    ):  # fmt: skip
        answer = requests.post(f"{url}/{path}", json=body, timeout=5)
        assert answer.status_code == 400 and answer.json()["error"]
    assert requests.get(f"{url}/pay", timeout=5).status_code == 404
    told = requests.post(f"{url}/customer", json={"msisdn": ASHA, "kind": "cancels"}, timeout=5)
    assert told.status_code == 200 and simulator._customer_of(ASHA).kind == "cancels"


def test_the_sandboxs_burst_of_one_and_the_count_that_proves_a_budget(simulator: MpesaSimulator) -> None:
    simulator.rate_limit, simulator.spike_arrest = 5, True
    mpesa = Mpesa(simulator.base_url, KEY, KEY, SHOP, PASSKEY, timeout_s=5)
    assert mpesa.query("ws_CO_1").kind == "unknown"
    with pytest.raises(Unreachable, match="Spike arrest"):
        mpesa.query("ws_CO_1")
    assert ([asked.status for asked in simulator.queries], simulator.most_queries_in_a_minute()) == ([500, 429], 2)


def test_a_customer_of_a_prompt_is_booked_by_name_and_account(simulator: MpesaSimulator, desk: Desk) -> None:
    simulator.script(ASHA, Customer(name="ASHA ALI"))
    mpesa = Mpesa(simulator.base_url, KEY, KEY, SHOP, PASSKEY, timeout_s=5)
    mpesa.push(Push(ASHA, 2000, "WIFI7K2Q", "WiFi", f"{desk.url}/callback"))
    mpesa.push(Push(JUMA, 2000, "WIFI7K2Q", "WiFi", f"{desk.url}/callback"))
    assert simulator.wait_until_quiet()
    rows = {row.msisdn: row for row in simulator.statement_rows()}
    assert (rows[ASHA].name, rows[ASHA].account, rows[ASHA].reason) == ("ASHA ALI", "WIFI7K2Q", "Pay Bill Online")
    assert len(rows[JUMA].name.split()) == 2
