"""M-Pesa's client and callback reader: what each answer means, and that silence is never taken for a no."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.devices.mpesa import Mpesa, read_stk_result
from edge.errors import BadInput, DeviceError, Refused, Unconfirmed, Unreachable
from edge.values.mpesa_words import FINAL_FAILURES, explain
from edge.values.stk import Push

CHECKOUT = "ws_CO_051120261430157700000001"
PASSKEY, SECRET, TOKEN = "passkey-of-the-shop", "secret-of-the-app", "c9SQxWWhmdVRlyh0zh8gZDTkubVF"
PUSH = Push(
    "254700000001", 2000, "WIFI@7 #2&Q-long-name", "WiFi: 1 hour & more", "https://pay.example.org/cb/9f3c"
)
TAKEN = {"MerchantRequestID": "7a1c", "CheckoutRequestID": CHECKOUT, "ResponseCode": "0"}


class Script:
    """A server that answers from a list: (status, JSON or bytes), or None to hang up after reading."""

    def __init__(self) -> None:
        self.tokens: list[Any] = [(200, {"access_token": TOKEN, "expires_in": 3599})]
        self.answers: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.token_requests = 0
        self.url = ""
        self.hold = threading.Event()

    def next(self, path: str, raw: bytes) -> Any:
        if path.startswith("/oauth"):
            self.token_requests += 1
            return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        self.asked.append(json.loads(raw))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(script: Script) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found = script.next(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            if found == "silence":
                script.hold.wait(5)
            if not isinstance(found, tuple):
                return
            body = found[1] if isinstance(found[1], bytes) else json.dumps(found[1]).encode()
            self.send_response(found[0])
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield
    finally:
        script.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def script() -> Iterator[Script]:
    told = Script()
    with serving(told):
        yield told


def open_mpesa(script: Script, **more: Any) -> Mpesa:
    return Mpesa(script.url, "key-of-the-app", SECRET, "174379", PASSKEY, **({"timeout_s": 5.0} | more))


def error(code: str, words: str) -> dict[str, str]:
    return {"requestId": "1c5b-4ba8-815c-ac45c57a3db01495926", "errorCode": code, "errorMessage": words}


HTML = b"<html>Request unsuccessful. Incapsula incident ID: 12</html>"
SPIKE = {"fault": {"faultstring": "Spike arrest violation. Allowed rate", "detail": {}}}
SOAP = b'<?xml version="1.0"?><soapenv:Envelope><soapenv:Fault/></soapenv:Envelope>'


def test_a_push_carries_whole_shillings_clean_words_and_a_password_of_its_own_timestamp(
    script: Script,
) -> None:
    script.answers = [(200, TAKEN)]
    assert open_mpesa(script).push(PUSH).checkout_request_id == CHECKOUT
    sent = script.asked[0]
    assert base64.b64decode(sent["Password"]).decode() == "174379" + PASSKEY + sent["Timestamp"]
    assert (sent["Amount"], sent["PartyB"], sent["TransactionType"]) == (
        "20",
        "174379",
        "CustomerPayBillOnline",
    )
    assert (sent["AccountReference"], sent["TransactionDesc"]) == ("WIFI 7 2 Q-l", "WiFi 1 hour m")
    assert sent["CallBackURL"] == PUSH.callback_url


def test_a_till_is_paid_at_the_till_and_signed_for_by_the_store(script: Script) -> None:
    script.answers = [(200, TAKEN)]
    open_mpesa(script, till="5001234", kind="till").push(
        Push("254700000001", 100, "@@", "", "https://x.example/cb")
    )
    sent = script.asked[0]
    assert (sent["BusinessShortCode"], sent["PartyB"]) == ("174379", "5001234")
    assert sent["TransactionType"] == "CustomerBuyGoodsOnline"
    assert sent["AccountReference"] and sent["TransactionDesc"]


@pytest.mark.parametrize("cents", [0, 50, 2050, -100])
def test_part_of_a_shilling_is_never_sent(script: Script, cents: int) -> None:
    with pytest.raises(Refused):
        open_mpesa(script).push(Push("254700000001", cents, "a", "b", "https://x.example/cb"))
    assert script.asked == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, error("400.002.02", "Bad Request - Invalid Amount")), Refused),
        ((500, error("500.001.1001", "[MerchantValidate] - Wrong credentials")), Refused),
        ((500, error("500.001.1001", "Merchant does not exist")), Refused),
        ((404, error("404.001.01", "Resource not found")), Refused),
        ((401, error("401.003.01", "Invalid API call as no apiproduct match found")), Refused),
        ((200, {"ResponseCode": "1", "ResponseDescription": "Rejected"}), Refused),
        ((400, b""), Refused),
        (
            (500, error("500.001.1001", "Unable to lock subscriber, a transaction is already in process")),
            Unreachable,
        ),
        ((500, error("500.003.02", "System is busy. Please try again in few minutes.")), Unreachable),
        ((500, error("500.003.03", "Quota Violation")), Unreachable),
        ((429, SPIKE), Unreachable),
        ((403, HTML), Unreachable),
        ((503, HTML), Unreachable),
        ((302, b""), Unreachable),
        ((404, error("404.001.03", "Invalid Access Token")), Unreachable),
        ((200, b""), Unconfirmed),
        ((200, HTML), Unconfirmed),
        ((200, b"\xff\xfe{"), Unconfirmed),
        ((200, [1]), Unconfirmed),
        ((200, {"ResponseCode": "0"}), Unconfirmed),
        ((500, SOAP), Unconfirmed),
        ((500, error("500.003.1001", "Internal Server Error")), Unconfirmed),
        ((500, error("500.001.1001", "")), Unconfirmed),
        ((502, HTML), Unconfirmed),
        ((504, b""), Unconfirmed),
        ("hang up", Unconfirmed),
    ],
)
def test_every_answer_to_a_push_has_its_next_step(
    script: Script, answer: Any, kind: type[DeviceError]
) -> None:
    script.answers = [answer]
    with pytest.raises(kind) as told:
        open_mpesa(script).push(PUSH)
    assert type(told.value) is kind


def test_a_refusal_keeps_m_pesas_own_words(script: Script) -> None:
    script.answers = [(400, error("400.002.02", "Bad Request - Invalid PhoneNumber"))]
    with pytest.raises(Refused, match="Invalid PhoneNumber"):
        open_mpesa(script).push(PUSH)


def test_silence_after_a_push_is_unconfirmed_and_after_a_question_only_unreachable(script: Script) -> None:
    script.answers = ["silence"]
    mpesa = open_mpesa(script, timeout_s=0.3)
    with pytest.raises(Unconfirmed):
        mpesa.push(PUSH)
    with pytest.raises(Unreachable):
        mpesa.query(CHECKOUT)
    assert len(script.asked) == 2  # neither was sent twice


def test_nobody_listening_and_an_unknown_host_are_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for address in (url, "http://mpesa.invalid"):
        with pytest.raises(Unreachable):
            Mpesa(address, "key", "secret", "174379", PASSKEY, timeout_s=5).push(PUSH)


def test_a_push_to_a_port_that_closed_after_the_token_is_unreachable(script: Script) -> None:
    script.answers = [(200, TAKEN)]
    told = Script()
    with serving(told):
        mpesa = open_mpesa(told)
        mpesa.check()
    with pytest.raises(Unreachable):
        mpesa.push(PUSH)


@pytest.mark.parametrize(
    "refusal",
    [
        (404, error("404.001.03", "Invalid Access Token")),
        (401, b""),
        (400, error("400.003.01", "Invalid Access Token")),
    ],
)
def test_a_refused_token_is_fetched_afresh_once_and_the_push_sent_again(script: Script, refusal: Any) -> None:
    script.tokens = [(200, {"access_token": "first-token", "expires_in": "3599"}), script.tokens[0]]
    script.answers = [refusal, (200, TAKEN)]
    assert open_mpesa(script).push(PUSH).checkout_request_id == CHECKOUT
    assert (script.token_requests, len(script.asked)) == (2, 2)


def test_a_token_that_is_always_refused_is_not_fought_over(script: Script) -> None:
    script.answers = [(404, error("404.001.03", "Invalid Access Token"))]
    with pytest.raises(Unreachable):
        open_mpesa(script).push(PUSH)
    assert (script.token_requests, len(script.asked)) == (2, 2)


@pytest.mark.parametrize(
    ("lasts", "fetched"), [(3599, 1), ("3599", 1), (None, 1), ("soon", 1), (0, 3), ("-5", 3)]
)
def test_a_token_is_shared_while_it_lasts(script: Script, lasts: Any, fetched: int) -> None:
    script.tokens = [(200, {"access_token": TOKEN, "expires_in": lasts})]
    script.answers = [(200, TAKEN)]
    mpesa = open_mpesa(script)
    for _ in range(3):
        mpesa.push(PUSH)
    assert script.token_requests == fetched


def test_many_threads_fetch_one_token(script: Script) -> None:
    script.answers = [(200, TAKEN)]
    mpesa = open_mpesa(script)
    threads = [threading.Thread(target=mpesa.push, args=(PUSH,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (script.token_requests, len(script.asked)) == (1, 8)


@pytest.mark.parametrize(
    "answer",
    [(400, b""), (403, HTML), (200, HTML), (200, {"access_token": ""}), (200, {"access_token": "a\r\nb"}), "hang up",
     (400, error("400.008.01", "Invalid Authentication passed")), (200, [[]]), (500, SOAP)],
)  # fmt: skip
def test_without_a_token_nothing_was_done(script: Script, answer: Any) -> None:
    script.tokens = [answer]
    with pytest.raises(Unreachable):
        open_mpesa(script).push(PUSH)
    with pytest.raises(Unreachable):
        open_mpesa(script).check()
    assert script.asked == []


def test_no_secret_gets_into_an_error_even_when_the_server_repeats_it(script: Script) -> None:
    def parrot(path: str, raw: bytes) -> Any:
        if path.startswith("/oauth"):
            return script.tokens[0]
        told = json.loads(raw)
        return (400, error("400.002.02", f"{told['Password']} {TOKEN} {PASSKEY} {SECRET} is wrong"))

    script.next = parrot  # type: ignore[method-assign]
    with pytest.raises(Refused) as told:
        open_mpesa(script).push(PUSH)
    shown = repr(told.value) + repr(told.value.__cause__) + repr(told.value.__context__)
    assert "is wrong" in shown
    assert not any(secret in shown for secret in (TOKEN, PASSKEY, SECRET, "MTc0Mzc5"))


def finished(code: Any, **more: Any) -> dict[str, Any]:
    return {
        "ResponseCode": "0",
        "CheckoutRequestID": CHECKOUT,
        "ResultCode": code,
        "ResultDesc": "words",
    } | more


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((200, finished("0")), "paid"),
        ((200, finished(0)), "paid"),
        ((200, finished("1032")), "failed"),
        ((200, finished(1037)), "failed"),
        ((200, finished("SFC_IC0003")), "failed"),
        ((200, finished("4999")), "pending"),
        ((200, finished(4999)), "pending"),
        ((200, finished("7777")), "unknown"),
        ((200, finished(None)), "unknown"),
        ((200, finished(False)), "unknown"),
        ((200, finished("0", CheckoutRequestID="ws_CO_of_somebody_else")), "unknown"),
        ((200, finished("0", ResponseCode="1")), "unknown"),
        ((200, error("500.001.1001", "")), "pending"),
        ((500, error("500.001.1001", "The transaction is being processed")), "pending"),
        ((500, error("500.001.1001", "")), "pending"),
        ((500, error("500.001.1001", "The transaction does not Exist")), "unknown"),
        ((500, error("500.001.1001", "Wrong credentials")), "unknown"),
        ((400, error("400.002.02", "Bad Request - Invalid CheckoutRequestID")), "unknown"),
    ],
)
def test_only_a_known_last_word_ends_a_checkout(script: Script, answer: Any, kind: str) -> None:
    script.answers = [answer]
    assert open_mpesa(script).query(CHECKOUT).kind == kind


@pytest.mark.parametrize(
    "answer", [(429, SPIKE), (403, HTML), (503, b""), (200, b""), (500, SOAP), "hang up"]
)
def test_a_question_that_got_no_answer_is_asked_later(script: Script, answer: Any) -> None:
    script.answers = [answer]
    with pytest.raises(Unreachable):
        open_mpesa(script).query(CHECKOUT)


def callback(*items: Any, code: Any = 0, **more: Any) -> bytes:
    told = {
        "MerchantRequestID": "7a1c",
        "CheckoutRequestID": CHECKOUT,
        "ResultCode": code,
        "ResultDesc": "Done.",
    }
    told |= {"CallbackMetadata": {"Item": list(items)}} if items else {}
    return json.dumps({"Body": {"stkCallback": told | more}, "Extra": 1}).encode()


def item(name: str, value: Any) -> dict[str, Any]:
    return {"Name": name, "Value": value}


def test_a_paid_callback_is_read_by_name_whatever_the_order() -> None:
    raw = callback(
        item("PhoneNumber", 254700000001), item("TransactionDate", 20261105013022), {"Name": "Balance"},
        item("MpesaReceiptNumber", "UK5T7ABCD1"), item("Amount", 20.0), item("New", [1, {}]),
    )  # fmt: skip
    result = read_stk_result(raw)
    assert result.is_paid
    assert (result.amount_cents, result.receipt, result.msisdn) == (2000, "UK5T7ABCD1", "254700000001")
    assert result.paid_at == datetime(2026, 11, 4, 22, 30, 22, tzinfo=UTC)
    assert result.paid_at.utcoffset() == UTC.utcoffset(None)


def test_a_failed_callback_has_no_metadata() -> None:
    result = read_stk_result(callback(code=1032))
    assert (result.is_paid, result.result_code, result.amount_cents, result.receipt) == (
        False,
        "1032",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("amount", "cents"),
    [
        (20, 2000),
        (20.0, 2000),
        ("20.00", 2000),
        ("20", 2000),
        (20.5, 2050),
        (19.99, 1999),
        (None, None),
        ("", None),
    ],
)
def test_amounts_come_in_many_forms(amount: Any, cents: int | None) -> None:
    assert read_stk_result(callback(item("Amount", amount))).amount_cents == cents


@pytest.mark.parametrize(
    ("code", "read"),
    [("0", "0"), (0, "0"), (0.0, "0"), ("SFC_IC0003", "SFC_IC0003"), ("1032", "1032"), ("00", "00")],
)
def test_result_codes_are_text(code: Any, read: str) -> None:
    assert read_stk_result(callback(code=code)).result_code == read


def test_a_masked_phone_a_stray_byte_and_utf16_are_read() -> None:
    assert read_stk_result(callback(item("PhoneNumber", "2547*****001"))).msisdn == "2547*****001"
    assert read_stk_result(callback().replace(b"Done.", b"R\xe9ussi")).is_paid
    assert read_stk_result(callback().decode().encode("utf-16")).is_paid
    assert read_stk_result(b"\xef\xbb\xbf" + callback()).is_paid


@pytest.mark.parametrize("date", [20261399999999, "yesterday", None, {"a": 1}])
def test_a_date_that_is_none_does_not_cost_the_payment(date: Any) -> None:
    assert read_stk_result(callback(item("TransactionDate", date))).paid_at is None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"{}", b"\xff\xfe\x00", b"[" * 50_000, b'{"Body": []}', b'{"Body": {"stkCallback": null}}',
        b'{"a":' * 50_000, b'{"Body":{"stkCallback":{"ResultCode":' + b"9" * 5000 + b"}}}",
        callback(code=None), callback(code=True), callback(code=[0]), callback(code=""), callback(code=0.5),
        callback(CheckoutRequestID=None), callback(CheckoutRequestID={"a": 1}), callback(CheckoutRequestID="a b"),
        callback(CheckoutRequestID="x\ud800"), callback(CallbackMetadata=[]), callback(CallbackMetadata={"Item": 5}),
        callback("text"), callback({"Value": 1}), callback(item("Amount", float("nan"))),
        callback(item("Amount", float("inf"))), callback(item("Amount", -20)), callback(item("Amount", 20.001)),
        callback(item("Amount", True)), callback(item("Amount", [20])), callback(item("Amount", "KSh 20")),
        callback(item("Amount", 20), item("Amount", 1)), callback(item("MpesaReceiptNumber", "<b>")),
        callback(code=0).replace(b'"ResultCode": 0', b'"ResultCode": 0E+999999999'),
        callback(item("Amount", 1)).replace(b'"Value": 1', b'"Value": 1E+99999999999999999999999'),
    ],
)  # fmt: skip
def test_whatever_else_is_posted_is_bad_input(raw: bytes) -> None:
    with pytest.raises(BadInput):
        read_stk_result(raw)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["0", "20.00", "1e9"])
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
NAMES = st.sampled_from(["Amount", "MpesaReceiptNumber", "TransactionDate", "PhoneNumber", "Balance"])
ITEMS = st.lists(st.fixed_dictionaries({}, optional={"Name": NAMES | JSON, "Value": JSON}) | JSON, max_size=6)
CALLBACKS = st.fixed_dictionaries(
    {"CheckoutRequestID": st.just(CHECKOUT) | JSON, "ResultCode": st.just(0) | JSON},
    optional={
        "ResultDesc": JSON,
        "MerchantRequestID": JSON,
        "CallbackMetadata": st.fixed_dictionaries({"Item": ITEMS}) | JSON,
    },
)


def read_or_refuse(raw: bytes) -> None:
    try:
        result = read_stk_result(raw)
    except BadInput:
        return
    assert result.amount_cents is None or result.amount_cents >= 0
    assert result.paid_at is None or result.paid_at.tzinfo is UTC
    json.dumps([result.result_desc, result.checkout_request_id], ensure_ascii=False).encode("utf-8")


@settings(max_examples=150, deadline=None)
@given(CALLBACKS)
def test_any_callback_is_read_or_is_bad_input(told: Any) -> None:
    read_or_refuse(json.dumps({"Body": {"stkCallback": told}}).encode())


@settings(max_examples=150, deadline=None)
@given(st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_are_bad_input(raw: bytes) -> None:
    read_or_refuse(raw)


def test_every_known_code_has_words_and_an_unknown_one_says_what_to_do() -> None:
    for code in (*FINAL_FAILURES, "0", "4999"):
        assert explain(code).guest.endswith(".") and explain(code).owner.endswith(".")
    assert "code X99" in explain("X99", "Strange.").owner and "Strange." in explain("X99", "Strange.").owner
    assert "show it to the shop" in explain("X99").guest
