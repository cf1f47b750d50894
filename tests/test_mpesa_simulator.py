"""The pretend M-Pesa: as strict, as forgetful and as late as the real one."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from edge.devices.mpesa import Mpesa, read_stk_result
from edge.errors import DeviceError, Refused, Unconfirmed, Unreachable
from edge.simulators.mpesa import Customer, MpesaSimulator, serve
from edge.simulators.mpesa.wire import Names, password
from edge.values.stk import Push
from tests.listener import listening

ASHA, JUMA = "254700000001", "254110000007"
KEY = "edge-rehearsal"


class Shop:
    """The shop's own callback address; keeps what was posted and answers `status`."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.url = ""


@pytest.fixture
def shop() -> Iterator[Shop]:
    told = Shop()

    def answer(path: str, headers: dict[str, str], raw: bytes) -> tuple[int, bytes]:
        told.posts.append((path, headers, raw))
        return told.status, b""

    with listening(answer) as address:
        told.url = f"{address}/cb/9f3c?x=%2F"
        yield told


@pytest.fixture
def simulator() -> Iterator[MpesaSimulator]:
    with MpesaSimulator(seed=7) as opened:
        yield opened


@pytest.fixture
def mpesa(simulator: MpesaSimulator) -> Mpesa:
    return open_mpesa(simulator)


def open_mpesa(simulator: MpesaSimulator, **more: Any) -> Mpesa:
    settings = {"shortcode": "174379", "passkey": PASSKEY, "timeout_s": 5.0} | more
    return Mpesa(simulator.base_url, KEY, KEY, **settings)


PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"


def bill(shop: Shop, msisdn: str = ASHA, shillings: int = 20) -> Push:
    return Push(msisdn, shillings * 100, "WIFI7K2Q", "WiFi 1h", shop.url)


def test_asha_pays_and_the_shop_hears_of_it_at_its_exact_address(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    answer = mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    [(path, headers, raw)] = shop.posts
    assert path == "/cb/9f3c?x=%2F"
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert headers["BusinessShortCode"] == "174379"
    result = read_stk_result(raw)
    assert (result.is_paid, result.amount_cents, result.msisdn) == (True, 2000, ASHA)
    assert result.checkout_request_id == answer.checkout_request_id
    assert result.paid_at is not None and abs((datetime.now(UTC) - result.paid_at).total_seconds()) < 10
    assert mpesa.query(answer.checkout_request_id).kind == "paid"
    [push], [delivery] = simulator.pushes, simulator.callbacks
    assert (push.msisdn, push.amount, push.callback_url, push.receipt) == (ASHA, 20, shop.url, result.receipt)
    assert delivery.status == 200


def test_ids_and_receipts_have_m_pesas_shapes() -> None:
    names = Names(1)
    moment = datetime(2026, 11, 5, 22, 30, tzinfo=UTC)  # the 6th in Nairobi
    assert re.fullmatch(r"ws_CO_06112026013000\d{1,3}700000001", names.checkout_id(moment, ASHA))
    assert re.fullmatch(r"UK6[A-Z0-9]{7}", names.receipt(moment))
    assert names.receipt(datetime(2027, 1, 31, 9, tzinfo=UTC)).startswith("VAV")
    assert re.fullmatch(r"[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\d{3,7}", names.request_id())
    assert re.fullmatch(r"[A-Za-z0-9]{28}", names.token())
    assert len({names.checkout_id(moment, ASHA) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("customer", "code", "kind"),
    [
        (Customer("cancels"), "1032", "failed"),
        (Customer("no_money"), "1", "failed"),
        (Customer("wrong_pin"), "2001", "failed"),
        (Customer("no_answer"), "1037", "failed"),
        (Customer("unknown_code", code="E9001"), "E9001", "unknown"),
        (Customer("unknown_code", code=7777), "7777", "unknown"),
    ],
)
def test_each_customer_ends_as_told(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop, customer: Customer, code: str, kind: str
) -> None:
    simulator.script(JUMA, customer)
    answer = mpesa.push(bill(shop, JUMA))
    assert simulator.wait_until_quiet()
    result = read_stk_result(shop.posts[0][2])
    assert (result.result_code, result.is_paid, result.amount_cents) == (code, False, None)
    assert mpesa.query(answer.checkout_request_id).kind == kind


def test_a_late_payer_is_pending_in_all_three_forms_until_released(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    simulator.script(ASHA, Customer("pays_late"))
    answer = mpesa.push(bill(shop))
    for form in ("4999", "empty", "processing"):
        simulator.pending_form = form
        assert mpesa.query(answer.checkout_request_id).kind == "pending"
    assert simulator.wait_until_quiet() and shop.posts == []
    simulator.release(ASHA)
    assert simulator.wait_until_quiet() and len(shop.posts) == 1
    assert mpesa.query(answer.checkout_request_id).kind == "paid"


@pytest.mark.parametrize("times", [0, 1, 2])
def test_callbacks_come_as_often_as_told(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop, times: int
) -> None:
    simulator.script(ASHA, Customer(callbacks=times))
    mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    assert len(shop.posts) == times
    assert len({raw for _, _, raw in shop.posts}) <= 1


def test_a_callback_can_beat_the_pushs_own_answer(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    simulator.script(ASHA, Customer(callback_first=True))
    answer = mpesa.push(bill(shop))
    assert read_stk_result(shop.posts[0][2]).checkout_request_id == answer.checkout_request_id


@pytest.mark.parametrize(
    "customer",
    [
        Customer(amount_form="int", phone_form="string"),
        Customer(amount_form="string", balance="no_value", reordered=True),
        Customer(phone_form="masked", receipt="UK5T7ABCD1"),
    ],
)
def test_every_form_of_a_callback_is_readable(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop, customer: Customer
) -> None:
    simulator.script(ASHA, customer)
    mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    result = read_stk_result(shop.posts[0][2])
    assert (result.amount_cents, result.receipt) == (2000, simulator.pushes[0].receipt)


def test_a_lost_answer_is_unconfirmed_and_the_phone_rings_all_the_same(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    simulator.lose_push_answer = True
    with pytest.raises(Unconfirmed):
        mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    assert read_stk_result(shop.posts[0][2]).is_paid
    assert len(simulator.pushes) == 1


def test_a_customer_whose_shop_hung_up_early_still_pays(simulator: MpesaSimulator, shop: Shop) -> None:
    mpesa = open_mpesa(simulator, timeout_s=0.2)
    mpesa.check()
    simulator.slow_s = 0.5
    with pytest.raises(Unconfirmed):
        mpesa.push(bill(shop))
    with simulator._quiet:
        assert simulator._quiet.wait_for(lambda: len(simulator.callbacks) == 1, 5)


@pytest.mark.parametrize("fault", ["html", "busy", "maintenance"])
def test_turned_away_at_the_door_is_unreachable(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop, fault: str
) -> None:
    mpesa.check()
    setattr(simulator, fault, True)
    with pytest.raises(Unreachable):
        mpesa.push(bill(shop))
    assert simulator.pushes == []
    setattr(simulator, fault, False)
    mpesa.push(bill(shop))


def test_down_before_the_token_is_unreachable_and_after_it_unconfirmed(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    simulator.down = True
    with pytest.raises(Unreachable):
        mpesa.push(bill(shop))
    simulator.down = False
    mpesa.check()
    simulator.down = True
    with pytest.raises(Unconfirmed):
        mpesa.push(bill(shop))
    with pytest.raises(Unreachable):
        mpesa.query("ws_CO_1")


def test_expired_tokens_are_renewed_without_anybody_noticing(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    simulator.text_expiry = simulator.single_token = True
    mpesa.check()
    simulator.expired_tokens()
    mpesa.push(bill(shop))
    assert len(simulator.pushes) == 1


def test_questions_beyond_the_rate_are_spike_arrests(simulator: MpesaSimulator, mpesa: Mpesa) -> None:
    simulator.rate_limit = 2
    assert [mpesa.query("ws_CO_1").kind for _ in range(2)] == ["unknown", "unknown"]
    with pytest.raises(Unreachable):
        mpesa.query("ws_CO_1")
    assert [asked.status for asked in simulator.queries] == [500, 500, 429]
    simulator.rate_limit, simulator.unknown_form = 0, "400"
    assert mpesa.query("ws_CO_1").kind == "unknown"


def test_a_finished_checkout_may_be_asked_in_vain(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    answer = mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    simulator.query_fault_share = 1.0
    assert mpesa.query(answer.checkout_request_id).kind == "pending"


def test_wrong_keys_passkey_and_shortcode_are_told_apart(simulator: MpesaSimulator, shop: Shop) -> None:
    with pytest.raises(Unreachable, match="Invalid Authentication passed"):
        Mpesa(simulator.base_url, "wrong", KEY, "174379", PASSKEY).check()
    with pytest.raises(Refused, match="Wrong credentials"):
        open_mpesa(simulator, passkey="wrong").push(bill(shop))
    with pytest.raises(Refused, match="Merchant does not exist"):
        open_mpesa(simulator, shortcode="600000").push(bill(shop))
    simulator.empty_400 = True
    with pytest.raises(Unreachable, match="empty page"):
        open_mpesa(simulator).check()


def test_a_till_mixed_up_with_a_paybill_is_taken_and_then_fails(shop: Shop) -> None:
    with MpesaSimulator(till="5001234") as simulator:
        open_mpesa(simulator, till="5001234", kind="till").push(bill(shop))
        open_mpesa(simulator, till="5009999", kind="till").push(bill(shop, JUMA))
        assert simulator.wait_until_quiet()
    codes = {read_stk_result(raw).msisdn: read_stk_result(raw).result_code for _, _, raw in shop.posts}
    assert codes == {ASHA: "0", None: "SFC_IC0003"}


def test_one_prompt_a_phone_and_the_same_amount_once_in_two_minutes(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    simulator.subscriber_lock_s = 60
    mpesa.push(bill(shop))
    with pytest.raises(Unreachable, match="lock subscriber"):
        mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    simulator.subscriber_lock_s, simulator.rule_17_s = 0, 120
    mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    assert [read_stk_result(raw).result_code for _, _, raw in shop.posts] == ["0", "17"]


def raw_push(simulator: MpesaSimulator, **changed: Any) -> requests.Response:
    token = requests.get(
        f"{simulator.base_url}/oauth/v1/generate?grant_type=client_credentials", auth=(KEY, KEY), timeout=5
    ).json()["access_token"]
    body = {
        "BusinessShortCode": 174379, "Password": password("174379", PASSKEY, "20261105143015"),
        "Timestamp": "20261105143015", "TransactionType": "CustomerPayBillOnline", "Amount": 20, "PartyA": int(ASHA),
        "PartyB": "174379", "PhoneNumber": ASHA, "CallBackURL": "https://127.0.0.1:1/cb", "AccountReference": "WIFI",
        "TransactionDesc": "WiFi",
    } | changed  # fmt: skip
    body = {name: value for name, value in body.items() if value is not None}
    return requests.post(
        f"{simulator.base_url}/mpesa/stkpush/v1/processrequest", json=body, timeout=5,
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("Amount", "20.00", "Amount"), ("Amount", 0, "Amount"), ("Amount", 20.5, "Amount"),
        ("Amount", 250_001, "Amount"), ("PhoneNumber", "0700000001", "PhoneNumber"), ("PartyA", None, "PartyA"),
        ("TransactionDesc", None, "Remarks"), ("TransactionDesc", "", "Remarks"),
        ("CallBackURL", "ftp://x", "CallBackURL"),
        ("CallBackURL", "https://a.example/<x>", "CallBackURL"), ("TransactionType", "Pay", "TransactionType"),
        ("Timestamp", "today", "Timestamp"), ("BusinessShortCode", True, "BusinessShortCode"),
    ],
)  # fmt: skip
def test_a_field_out_of_shape_is_named(simulator: MpesaSimulator, field: str, value: Any, named: str) -> None:
    answer = raw_push(simulator, **{field: value})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.02")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {named}"
    assert simulator.pushes == []


def test_numbers_are_taken_as_well_as_text_and_an_absent_shop_is_noted(simulator: MpesaSimulator) -> None:
    answer = raw_push(simulator)
    assert (answer.status_code, answer.json()["ResponseCode"]) == (200, "0")
    assert simulator.wait_until_quiet()
    assert simulator.callbacks[0].status is None


def test_doors_that_are_not_there(simulator: MpesaSimulator) -> None:
    url = simulator.base_url
    with requests.Session() as session:  # one kept connection for all of them
        asked = [
            session.get(f"{url}/oauth/v1/generate?grant_type=password", timeout=5),
            session.get(f"{url}/mpesa/stkpush/v1/processrequest", timeout=5),
            session.post(f"{url}/mpesa/stkpush/v1/processrequest", json={}, timeout=5),
            session.post(f"{url}/nowhere", data="x" * 1000, timeout=5),
        ]
    assert [answer.json()["errorCode"] for answer in asked] == [
        "400.008.02",
        "405.001",
        "404.001.04",
        "404.001.01",
    ]


def test_phones_behave_by_their_last_digit(shop: Shop) -> None:
    with MpesaSimulator(by_digit=True) as simulator:
        mpesa = open_mpesa(simulator)
        for last in "06789":
            mpesa.push(bill(shop, "25470000000" + last))
        assert simulator.wait_until_quiet()
        codes = {push.msisdn[-1]: push.outcome.code for push in simulator.pushes if push.outcome}
        assert codes == {"0": 0, "6": 0, "7": 1032, "8": 1, "9": 0}
        told = [delivery.checkout_request_id[-1] for delivery in simulator.callbacks]
    assert sorted(told) == ["0", "6", "7", "8", "9", "9"]


def test_forged_callbacks_look_real(simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop) -> None:
    answer = mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    forged = simulator.callback_body(
        answer.checkout_request_id, amount=1, receipt="UK5FORGED1", msisdn=254700000009
    )
    result = read_stk_result(json.dumps(forged).encode())
    assert (result.amount_cents, result.receipt, result.msisdn) == (100, "UK5FORGED1", "254700000009")
    stranger = read_stk_result(
        json.dumps(simulator.callback_body("ws_CO_x", 1032, result_desc="no")).encode()
    )
    assert (stranger.checkout_request_id, stranger.result_code, stranger.result_desc) == (
        "ws_CO_x",
        "1032",
        "no",
    )


def test_a_callback_the_shop_refused_is_not_posted_again(
    simulator: MpesaSimulator, mpesa: Mpesa, shop: Shop
) -> None:
    shop.status = 500
    mpesa.push(bill(shop))
    assert simulator.wait_until_quiet()
    assert [delivery.status for delivery in simulator.callbacks] == [500]


def test_closing_leaves_nobody_waiting_and_nobody_listening(shop: Shop) -> None:
    with MpesaSimulator() as simulator:
        simulator.script(ASHA, Customer(delay_s=3600))
        mpesa = open_mpesa(simulator)
        mpesa.push(bill(shop))
    assert simulator.wait_until_quiet(0)
    with pytest.raises(DeviceError):
        mpesa.query("ws_CO_1")
    assert shop.posts == []


def test_a_rehearsal_introduces_itself_and_answers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def push_and_interrupt() -> None:
        Mpesa(lines[0].rpartition(" ")[2], KEY, KEY, "174379", PASSKEY).push(bill(shop))
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.simulators.mpesa.rehearsal.wait_for_interrupt", push_and_interrupt)
    serve("127.0.0.1", 0, "174379", PASSKEY, 0.0, lines.append)
    assert any("cancel" in line for line in lines)
    assert any(line.startswith("push: KSh 20 from 0700") for line in lines)
    assert ASHA not in " ".join(lines)
