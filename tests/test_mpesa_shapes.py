"""The pretend M-Pesa beside recorded and documented examples: the same keys, the same types, the same order."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from edge.devices.mpesa_org import security_credential
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.mpesa.wire import password

ASHA, SHOP, KEY = "254700000001", "174379", "edge-rehearsal"
PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
# Daraja portal and recorded traffic, with invented values.
TOKEN = '{"access_token": "c9SQxWWhmdVRlyh0zh8gZDTkubVF", "expires_in": 3599}'
PUSHED = """{"MerchantRequestID": "7a1c-4e0b-9f2d-3c5d7e9f1a2b418233",
 "CheckoutRequestID": "ws_CO_051120261430157700000001", "ResponseCode": "0",
 "ResponseDescription": "Success. Request accepted for processing",
 "CustomerMessage": "Success. Request accepted for processing"}"""
CALLBACK = """{"Body":{"stkCallback":{"MerchantRequestID":"7a1c-4e0b-9f2d-3c5d7e9f1a2b418233",
 "CheckoutRequestID":"ws_CO_051120261430157700000001","ResultCode":0,
 "ResultDesc":"The service request is processed successfully.","CallbackMetadata":{"Item":[
 {"Name":"Amount","Value":20.00},{"Name":"MpesaReceiptNumber","Value":"UK5T7ABCD1"},
 {"Name":"TransactionDate","Value":20261105143022},{"Name":"PhoneNumber","Value":254700000001}]}}}}"""
QUERIED = """{"ResponseCode":"0","ResponseDescription":"The service request has been accepted successfully",
 "MerchantRequestID":"7a1c-4e0b-9f2d-3c5d7e9f1a2b418233","CheckoutRequestID":"ws_CO_051120261430157700000001",
 "ResultCode":"0","ResultDesc":"The service request is processed successfully."}"""
REFUSED = """{"requestId": "1c5b-4ba8-815c-ac45c57a3db01495926", "errorCode": "400.002.02",
 "errorMessage": "Bad Request - Invalid BusinessShortCode"}"""
REGISTERED = """{"OriginatorCoversationID":"6e86-45dd-91ac-fd5d4178ab523408729","ResponseCode":"0",
 "ResponseDescription":"Success"}"""
CONFIRMED = """{"TransactionType": "Pay Bill", "TransID": "UK5T7ABCD1", "TransTime": "20261105143022",
 "TransAmount": "20.00", "BusinessShortCode": "600984", "BillRefNumber": "WIFI7K2Q", "InvoiceNumber": "",
 "OrgAccountBalance": "4920.00", "ThirdPartyTransID": "", "MSISDN": "2547 ***** 001", "FirstName": "JANE",
 "MiddleName": "", "LastName": ""}"""
ACKNOWLEDGED = """{"OriginatorConversationID":"1236-7134259-1","ConversationID":"AG_20261105_1234409f86436c583e3f",
 "ResponseCode":"0","ResponseDescription":"Accept the service request successfully."}"""
RESULT = """{"Result":{"ResultType":0,"ResultCode":0,"ResultDesc":"The service request is processed successfully.",
 "OriginatorConversationID":"1236-7134259-1","ConversationID":"AG_20261105_1234409f86436c583e3f",
 "TransactionID":"UK50000000","ResultParameters":{"ResultParameter":[]},
 "ReferenceData":{"ReferenceItem":{"Key":"QueueTimeoutURL",
 "Value":"https://internalsandbox.safaricom.co.ke/mpesa/abresults/v1/submit"}}}}"""
SPIKE = """{"fault":{"faultstring":"Spike arrest violation. Allowed rate : MessageRate{messagesPerPeriod=5,
 periodInMicroseconds=60000000, maxBurstMessageCount=1.0}",
 "detail":{"errorcode":"policies.ratelimit.SpikeArrestViolation"}}}"""


def shape(document: Any) -> Any:
    """Keys in their order and the types of the values; of lists the shapes of their members."""
    if isinstance(document, dict):
        return [(name, shape(value)) for name, value in document.items()]
    if isinstance(document, list):
        return [shape(value) for value in document]
    return type(document).__name__


def same_shape(found: Any, example: str) -> bool:
    return bool(shape(found) == shape(json.loads(example, strict=False)))


class Wire:
    """Speaks to the simulator as any client would, and keeps what is posted."""

    def __init__(self, simulator: MpesaSimulator, url: str, posts: list[tuple[str, dict[str, str], bytes]]) -> None:
        self.simulator, self.url, self.posts = simulator, url, posts
        token = f"{simulator.base_url}/oauth/v1/generate?grant_type=client_credentials"
        self.token = requests.get(token, auth=(KEY, KEY), timeout=5).json()

    def ask(self, path: str, **body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token['access_token']}"}
        return requests.post(self.simulator.base_url + path, json=body, headers=headers, timeout=5)

    def push(self, **changed: Any) -> requests.Response:
        stamp = "20261105143015"
        return self.ask("/mpesa/stkpush/v1/processrequest", **{
            "BusinessShortCode": 174379, "Password": password(SHOP, PASSKEY, stamp), "Timestamp": stamp,
            "TransactionType": "CustomerPayBillOnline", "Amount": "20", "PartyA": ASHA, "PartyB": SHOP,
            "PhoneNumber": ASHA, "CallBackURL": f"{self.url}/callback", "AccountReference": "WIFI7K2Q",
            "TransactionDesc": "WiFi 1h"} | changed)  # fmt: skip

    def posted(self, end: str) -> Any:
        assert self.simulator.wait_until_quiet()
        return next(json.loads(raw) for path, _, raw in self.posts if path == f"/{end}")


@pytest.fixture
def wire() -> Iterator[Wire]:
    posts: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with MpesaSimulator(seed=5) as simulator:
        yield Wire(simulator, f"http://127.0.0.1:{server.server_address[1]}", posts)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_prompt_from_the_token_to_the_answered_question(wire: Wire) -> None:
    assert same_shape(wire.token, TOKEN) and re.fullmatch(r"[A-Za-z0-9]{28}", wire.token["access_token"])
    pushed = wire.push().json()
    assert same_shape(pushed, PUSHED)
    told = wire.posted("callback")
    assert same_shape(told, CALLBACK)
    stamp = {"Timestamp": "20261105143040", "Password": password(SHOP, PASSKEY, "20261105143040")}
    asked = {"BusinessShortCode": SHOP, **stamp, "CheckoutRequestID": pushed["CheckoutRequestID"]}
    assert same_shape(wire.ask("/mpesa/stkpushquery/v1/query", **asked).json(), QUERIED)
    refused = wire.push(Amount="20.5")
    assert refused.status_code == 400 and same_shape(refused.json(), REFUSED)
    wire.simulator.rate_limit = 1
    found = wire.ask("/mpesa/stkpushquery/v1/query", **asked)
    assert found.status_code == 429 and same_shape(found.json(), SPIKE)


def test_a_payment_by_hand_from_registering_to_its_confirmation(wire: Wire) -> None:
    registered = wire.ask(
        "/mpesa/c2b/v2/registerurl", ShortCode=SHOP, ResponseType="Completed",
        ConfirmationURL=f"{wire.url}/confirmation", ValidationURL=f"{wire.url}/validation",
    )  # fmt: skip
    assert same_shape(registered.json(), REGISTERED)
    wire.simulator.pay_by_hand(ASHA, 20, "WIFI7K2Q", name="JANE DOE")
    told = wire.posted("confirmation")
    assert same_shape(told, CONFIRMED)
    like = {"MSISDN": r"2547 \*{5} 001", "TransTime": r"20\d{12}", "TransAmount": r"20\.00", "TransID": r"[A-Z0-9]{10}"}
    assert all(re.fullmatch(pattern, told[name]) for name, pattern in like.items())
    for refusal in ("completed", "", None, "Accepted"):
        answer = wire.ask(
            "/mpesa/c2b/v2/registerurl", ShortCode=SHOP, ResponseType=refusal, ConfirmationURL=wire.url,
            ValidationURL=wire.url,
        )  # fmt: skip
        assert answer.json()["errorMessage"] == "Bad Request - Invalid ResponseType"


def order(wire: Wire, **changed: Any) -> dict[str, Any]:
    credential = security_credential(wire.simulator.initiator.password, wire.simulator.initiator.public_key_pem)
    return {
        "Initiator": "testapi", "SecurityCredential": credential, "CommandID": "TransactionReversal",
        "TransactionID": "UK5T7ABCD1", "Amount": "20", "ReceiverParty": SHOP, "RecieverIdentifierType": "11",
        "ResultURL": f"{wire.url}/result", "QueueTimeOutURL": f"{wire.url}/timeout", "Remarks": "refund",
    } | changed  # fmt: skip


def test_an_order_is_acknowledged_and_its_result_posted_in_the_common_envelope(wire: Wire) -> None:
    receipt = wire.simulator.pay_by_hand(ASHA, 20, "WIFI7K2Q")
    answer = wire.ask("/mpesa/reversal/v1/request", **order(wire, TransactionID=receipt)).json()
    assert same_shape(answer, ACKNOWLEDGED) and re.fullmatch(r"AG_\d{8}_[0-9a-f]{20}", answer["ConversationID"])
    told = wire.posted("result")
    keys = [entry["Key"] for entry in told["Result"]["ResultParameters"]["ResultParameter"]]
    assert keys == [
        "DebitAccountBalance", "Amount", "TransCompletedTime", "OriginalTransactionID", "Charge",
        "CreditPartyPublicName", "DebitPartyPublicName",
    ]  # fmt: skip
    told["Result"]["ResultParameters"]["ResultParameter"] = []
    assert same_shape(told, RESULT)


@pytest.mark.parametrize(
    "field", ["Initiator", "SecurityCredential", "CommandID", "TransactionID", "Amount", "ReceiverParty",
              "RecieverIdentifierType", "ResultURL", "QueueTimeOutURL", "Remarks"],
)  # fmt: skip
def test_each_field_of_an_order_is_needed_by_its_exact_name(wire: Wire, field: str) -> None:
    """Safaricom's misspellings included: who writes ReceiverIdentifierType is refused."""
    answer = wire.ask("/mpesa/reversal/v1/request", **order(wire, **{field: None}))
    assert (answer.status_code, answer.json()["errorMessage"]) == (400, f"Bad Request - Invalid {field}")
    assert wire.simulator.orders == []


def test_one_parameter_is_an_object_and_a_value_may_be_missing(wire: Wire) -> None:
    balance = {"CommandID": "AccountBalance", "PartyA": SHOP, "IdentifierType": "4"}
    wire.simulator.org_value_missing = True
    wire.ask("/mpesa/accountbalance/v1/query", **order(wire, **balance))
    listed = wire.posted("result")["Result"]["ResultParameters"]["ResultParameter"]
    assert [set(entry) for entry in listed] == [{"Key"}, {"Key", "Value"}]
    wire.posts.clear()
    wire.simulator.org_value_missing, wire.simulator.org_single = False, True
    wire.ask("/mpesa/accountbalance/v1/query", **order(wire, **balance))
    alone = wire.posted("result")["Result"]["ResultParameters"]["ResultParameter"]
    assert alone["Key"] == "AccountBalance"
