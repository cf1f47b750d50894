"""The money's pages over the wire: what is answered, what is kept, and what is never believed."""

import http.client
import json
import resource
import sqlite3
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from edge.database import writer
from edge.domain import inbox, payments
from edge.models import Event, Grant, Inbox, Message, Payment, Placement, Plan
from edge.pages.counters import totals
from edge.settings import Settings
from edge.settings_sections import Mpesa, Web
from edge.web import WebServer

ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
JSON = {"Content-Type": "application/json;charset=UTF-8", "BusinessShortCode": "174379"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def told(box):
    """This box, now: pages ask the machine's clock."""
    box.now = datetime.now(UTC)
    return Settings(state=box.folder, web=Web(host="127.0.0.1", port=0, threads=8))


@pytest.fixture
def serve(told, shared_writer):
    """Starts the web server with these settings; a client for it."""
    servers = []

    def start(**sections):
        server = WebServer(replace(told, **sections))
        server.start()
        servers.append(server)
        return lambda *args, **kwargs: (ask(server.port, *args, **kwargs), writer.catch_up(30))[0]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def web(serve):
    return serve()


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    @property
    def json(self):
        return json.loads(self.body)


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def success(payment, **items):
    told = {"Amount": 20, "MpesaReceiptNumber": f"UK5T7{payment.id:05d}", "PhoneNumber": int(payment.msisdn)} | items
    return callback(payment, 0, {"Item": [{"Name": name, "Value": value} for name, value in told.items()]})


def callback(payment, code, metadata=None):
    inner = {"MerchantRequestID": "m", "CheckoutRequestID": f"ws_CO_{payment.id:06d}", "ResultCode": code,
             "ResultDesc": "as M-Pesa says"} | ({"CallbackMetadata": metadata} if metadata else {})  # fmt: skip
    return json.dumps({"Body": {"stkCallback": inner}}).encode()


def stored(box):
    """Committed rows, as another process sees them."""
    with sqlite3.connect(box.path) as other:
        return other.execute("SELECT state, (SELECT COUNT(*) FROM inbox) FROM payments ORDER BY id").fetchall()


# M-Pesa calls in


def test_contract_1_the_answer_needs_nothing_but_the_database(box, web):
    """No worker, router, modem or uplink lives here; when the 200 is read, the row is on disk."""
    payment = box.prompted()
    answer = web("POST", f"/cb/{payment.secret}", success(payment), JSON)
    assert (answer.status, answer.json) == (200, ACCEPTED)
    assert stored(box) == [("paid", 1)]
    row = Inbox.get()
    assert bytes(row.body) == success(payment)
    assert row.headers == {"Content-Type": JSON["Content-Type"], "Businessshortcode": "174379"}
    assert row.source == "127.0.0.1"


def test_a_repeat_and_a_failure_are_accepted_too(box, web):
    payment = box.prompted()
    for body in (callback(payment, 1032), callback(payment, 1032), success(payment), callback(payment, 1)):
        answer = web("POST", f"/cb/{payment.secret}", body, JSON)
        assert (answer.status, answer.json) == (200, ACCEPTED)
    assert [(row.outcome, row.repeats) for row in Inbox.select().order_by(Inbox.id)] == [
        ("failed", 1), ("paid", 0), ("nothing to do: paid", 0)
    ]  # fmt: skip


def test_a_replay_a_hundred_times_and_twenty_at_once_is_one_grant_and_one_text(box, web, at_once):
    """Abuse case 2, over the wire."""
    payment = box.prompted()
    answers = at_once(lambda _: [web("POST", f"/cb/{payment.secret}", success(payment), JSON).status for _ in range(5)])
    assert Counter(status for some in answers for status in some) == {200: 100}
    assert (Grant.select().count(), Message.select().count(), Inbox.get().repeats) == (1, 1, 99)


def test_an_address_that_nobody_was_given_is_counted_and_not_kept(box, web):
    payment = box.prompted()
    before = totals().get("callbacks_unknown", 0)
    for secret in ("0" * 40, payment.token, payment.secret[:-1], payment.secret.upper(), "%ff%fe", "%ed%a0%80", "%00"):
        if secret != payment.secret:
            assert web("POST", f"/cb/{secret}", success(payment), JSON).status == 404, secret
    assert Inbox.select().count() == 0
    assert totals()["callbacks_unknown"] > before
    assert Payment.get().state == "prompted"


def test_the_bare_address_is_a_hint_and_never_proof(box, web):
    """Abuse case 1: the browser's owner forges success."""
    payment = box.prompted()
    answer = web("POST", "/api/mpesa/callback", success(payment), JSON)
    assert (answer.status, answer.json) == (200, ACCEPTED)
    assert (Payment.get().state, Grant.select().count(), Inbox.get().outcome) == ("prompted", 0, "hint: asking M-Pesa")
    assert any(job.unique_key == f"hint:{payment.id}" for job in box.jobs("payment.ask"))


@pytest.mark.parametrize(
    "body, kind",
    [
        (b"", "application/json"),
        (b"not json", "application/json"),
        (b'{"Body": {}}', "application/json"),
        (b"\xff\xfe\x00\xd8" * 30, "application/json; charset=utf-16"),
        (b'{"Body": {"stkCallback": {"CheckoutRequestID": ["x"], "ResultCode": {}}}}', "text/plain"),
        (b"[" * 60_000, "application/json"),
        (b"a=b", "application/x-www-form-urlencoded"),
        (b'{"Body": NaN}', "application/json"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_an_unreadable_body_is_kept_and_refused(box, web, body, kind):
    """Abuse case 5."""
    payment = box.prompted()
    answer = web("POST", f"/cb/{payment.secret}", body, {"Content-Type": kind})
    assert (answer.status, answer.json["ResultCode"]) == (400, 1)
    row = Inbox.get()
    assert (bytes(row.body), row.payment) == (body, payment) and row.outcome.startswith("unreadable")
    assert Payment.get().state == "prompted"


@pytest.mark.parametrize(
    "items, state",
    [({"Amount": "20.00"}, "paid"), ({"Amount": 20.0, "Extra": [1]}, "paid"), ({"Amount": 1}, "prompted"),
     ({"Amount": None}, "prompted"), ({"PhoneNumber": "2547*****678"}, "paid")],
)  # fmt: skip
def test_an_odd_body_that_can_be_read_is_accepted_for_what_it_says(box, web, items, state):
    """Abuse case 5."""
    payment = box.prompted()
    body = success(payment, **items)
    assert web("POST", f"/cb/{payment.secret}", body, {"Content-Type": "text/html; charset=latin1"}).status == 200
    assert Payment.get().state == state


@pytest.mark.parametrize("size, status", [(64 * 1024 + 1, 413), (1024 * 1024, 413)])
def test_a_body_that_is_too_long_is_kept_as_far_as_64_kb(box, web, size, status):
    """Abuse case 5."""
    payment = box.prompted()
    answer = web("POST", f"/cb/{payment.secret}", success(payment).ljust(size), JSON)
    assert answer.status == status
    row = Inbox.get()
    assert (len(row.body), row.outcome) == (64 * 1024, "longer than 64 KB")
    assert Payment.get().state == "prompted"


def test_a_body_of_just_64_kb_is_read(box, web):
    payment = box.prompted()
    assert web("POST", f"/cb/{payment.secret}", success(payment).ljust(64 * 1024), JSON).status == 200
    assert Payment.get().state == "paid"


def test_a_body_sent_in_chunks_is_read(box, web):
    payment = box.prompted()
    body = success(payment)
    chunks = iter([body[:30], body[30:]])  # of unknown length, so the client sends it in chunks
    assert web("POST", f"/cb/{payment.secret}", chunks, JSON).status == 200
    assert (Payment.get().state, bytes(Inbox.get().body)) == ("paid", body)


def test_where_addresses_are_listed_a_call_from_elsewhere_is_a_hint(box, serve):
    """Abuse case 1: wrong address."""
    web = serve(mpesa=Mpesa(callback_allow=("196.201.214.0/24",)))
    payment = box.prompted()
    claim = JSON | {"X-Forwarded-For": "196.201.214.200"}
    assert web("POST", f"/cb/{payment.secret}", success(payment), claim).status == 200
    assert (Payment.get().state, Inbox.get().outcome) == ("prompted", "address not on the list: asking M-Pesa")


def test_behind_our_own_proxy_the_callers_address_counts(box, serve):
    web = serve(
        mpesa=Mpesa(callback_allow=("196.201.214.0/24",)),
        web=Web(host="127.0.0.1", port=0, threads=8, trusted_proxies=("127.0.0.1/32",)),
    )
    payment = box.prompted()
    claim = JSON | {"X-Forwarded-For": "6.6.6.6, 196.201.214.200"}
    assert web("POST", f"/cb/{payment.secret}", success(payment), claim).status == 200
    assert (Payment.get().state, Inbox.get().source) == ("paid", "196.201.214.200")


def test_a_call_for_another_shop_is_a_hint(box, web):
    payment = box.prompted()
    assert web("POST", f"/cb/{payment.secret}", success(payment), JSON | {"BusinessShortCode": "600000"}).status == 200
    assert (Payment.get().state, Inbox.get().outcome) == ("prompted", "another shop: asking M-Pesa")


def test_when_the_disk_is_full_there_is_no_200_and_nothing_stays(box, web):
    payment = box.prompted()
    with full_disk():
        answer = web("POST", f"/cb/{payment.secret}", success(payment), JSON)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert stored(box) == [("prompted", 0)]
    assert web("POST", f"/cb/{payment.secret}", success(payment), JSON).status == 200
    assert stored(box) == [("paid", 1)]


@contextmanager
def full_disk():
    """Not a byte more into any file of this process."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_a_database_that_can_not_be_read_is_503(box, web, monkeypatch):
    payment = box.prompted()
    monkeypatch.setattr(inbox, "KEEP", "SELECT nothing FROM a_table_that_is_gone")
    assert web("POST", f"/cb/{payment.secret}", success(payment), JSON).status == 503


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_address_for_calls_is_not_for_looking(box, web, method):
    payment = box.prompted()
    assert web(method, f"/cb/{payment.secret}").status == 405
    assert Inbox.select().count() == 0


# The guest buys


def buy(web, headers=None, **given):
    document = {"package_id": 1, "phone_number": "+254712345678"} | given
    kind = {"Content-Type": "application/json"}
    return web("POST", "/api/payments/initiate", json.dumps(document), kind | (headers or {}))


def test_a_purchase_is_202_and_the_same_again_200(box, web):
    first = buy(web, mac_address="AA:BB:CC:DD:EE:FF")
    again = buy(web, phone_number="0712 345 678", mac_address="aa-bb-cc-dd-ee-ff")
    assert (first.status, again.status) == (202, 200)
    token = first.json["payment_id"]
    assert first.json == {"payment_id": token, "status": "pending", "status_url": f"/api/payments/{token}"}
    assert again.json["payment_id"] == token
    stands = web("GET", first.json["status_url"])
    assert (stands.status, stands.json["status"], stands.json["username"]) == (200, "pending", None)
    assert stands.headers["cache-control"] == "no-store"


def test_a_purchase_is_followed_to_the_network(box, gate, web):
    token = buy(web).json["payment_id"]
    payment = payments.by_token(token)
    payments.record_prompted(payment.id, box.answer_to(payment), box.poll_s, box.now)
    assert web("GET", f"/api/payments/{token}").json["status"] == "prompted"
    web("POST", f"/cb/{payment.secret}", success(payment), JSON)
    paid = web("GET", f"/api/payments/{token}").json
    assert (paid["status"], paid["receipt"], len(paid["username"]), paid["ends_at"]) == ("paid", "UK5T700001", 8, None)
    Placement.update(state="there").execute()
    assert web("GET", f"/api/payments/{token}").json["status"] == "online"


def test_twenty_taps_at_once_over_the_wire_are_one_payment(box, web, at_once):
    answers = at_once(lambda n: buy(web, {"Idempotency-Key": f"tab {n % 3}"}))
    assert Counter(answer.status for answer in answers) == {202: 1, 200: 19}
    assert len({answer.json["payment_id"] for answer in answers}) == 1
    assert Payment.select().count() == 1


def test_a_key_used_for_something_else_is_422(box, web):
    assert buy(web, {"Idempotency-Key": "k"}).status == 202
    answer = buy(web, {"Idempotency-Key": "k"}, phone_number="0722000111")
    assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "given, field",
    [
        ({"phone_number": "12345"}, "phone_number"),
        ({"phone_number": None}, "phone_number"),
        ({"phone_number": ["0712345678"]}, "phone_number"), ({"phone_number": "0" * 500}, "phone_number"),
        ({"phone_number": True}, "phone_number"),
        ({"phone_number": "0712345678'; DROP TABLE payments;--"}, "phone_number"),
        ({"package_id": 99}, "package_id"), ({"package_id": "one"}, "package_id"), ({"package_id": None}, "package_id"),
        ({"package_id": True}, "package_id"), ({"package_id": -1}, "package_id"),
        ({"package_id": 10**30}, "package_id"),
        ({"package_id": 1.0}, "package_id"), ({"package_id": "१"}, "package_id"),
        ({"mac_address": "nonsense"}, "mac_address"), ({"mac_address": 7}, "mac_address"),
        ({"mac_address": "x" * 500}, "mac_address"), ({"idempotency_key": "x" * 201}, "Idempotency-Key"),
        ({"idempotency_key": {"a": 1}}, "Idempotency-Key"), ({"idempotency_key": "a\nb"}, "Idempotency-Key"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_bad_input_is_400_with_the_fields_name(box, web, given, field):
    answer = buy(web, **given)
    assert (answer.status, answer.json["field"], answer.json["status"]) == (400, field, 400)
    assert Payment.select().count() == 0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'"x"', b"[" * 9000, b"{" + b" " * 20_000 + b"}", b"\xff\xfe"]
)
def test_a_body_that_is_no_json_object_is_400(box, web, body):
    answer = web("POST", "/api/payments/initiate", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")


def test_numbers_may_come_as_text_and_text_as_numbers(box, web):
    assert buy(web, package_id="1", phone_number=254712345678).status == 202


def test_too_many_is_429_with_the_true_wait(box, web):
    """Abuse case 7."""
    for n in range(payments.PROMPTS_PER_PHONE):
        assert buy(web, mac_address=f"AA:BB:CC:00:00:{n:02X}").status == 202
    answer = buy(web, mac_address="AA:BB:CC:00:01:00")
    assert (answer.status, answer.json["field"]) == (429, "phone_number")
    assert 590 < int(answer.headers["retry-after"]) <= 600


def form(web, **given):
    fields = {"package_id": "1", "phone_number": "0712345678", "idempotency_key": "page"} | given
    return web("POST", "/api/payments/initiate", urlencode(fields), FORM)


def test_a_form_is_led_to_its_payments_page_however_often_it_is_sent(box, web):
    answers = [form(web) for _ in range(3)]
    assert [answer.status for answer in answers] == [303, 303, 303]
    assert len({answer.headers["location"] for answer in answers}) == 1
    page = web("GET", answers[0].headers["location"])
    assert page.status == 200 and b"<script>" not in page.body
    Payment.update(state="failed", closed_at=box.now).execute()
    assert form(web).headers["location"] != answers[0].headers["location"]


def test_a_form_with_the_number_mended_is_another_purchase(box, web):
    wrong, right = form(web, phone_number="0712345679"), form(web)
    assert (wrong.status, right.status) == (303, 303)
    assert wrong.headers["location"] != right.headers["location"]


def test_a_bad_form_gets_a_page_in_words(box, web):
    answer = form(web, phone_number="<script>alert(1)</script>")
    assert (answer.status, answer.headers["content-type"]) == (400, "text/html; charset=UTF-8")
    assert b"Kenyan mobile number" in answer.body and b"<script>alert" not in answer.body


def test_a_form_whose_fields_are_double_or_broken_breaks_nothing(box, web):
    for body in (b"package_id=1&package_id=2&phone_number=0712345678", b"phone_number=%ff%fe", b"&&&==", b"x" * 20_000):
        assert web("POST", "/api/payments/initiate", body, FORM).status in (303, 400)


def test_nobody_sees_a_payment_whose_token_he_does_not_hold(box, web):
    """Abuse case 12."""
    payment = box.paid()
    for token in ("", "x", str(payment.id), payment.secret, payment.token[:-1], "%00", "%ff", payment.token + "%20"):
        answer = web("GET", f"/api/payments/{token}")
        assert answer.status == 404
        assert box.grant(payment).username.encode() not in answer.body
    seen = web("GET", f"/api/payments/{payment.token}").body.decode()
    assert payment.secret not in seen and payment.checkout_request_id not in seen


def test_the_plans_are_listed_as_the_contract_says(box, web):
    Plan.create(id=2, name="old", price_cents=100, seconds=60, on_sale=False)
    assert web("GET", "/api/packages").json == {"packages": [
        {"id": 1, "name": "1 hour", "price": 20, "currency": "KES", "seconds": 3600, "bytes": None, "rate": "2M/5M",
         "devices": 1},
    ]}  # fmt: skip


# Machines ask


def test_liveness_needs_nothing_and_readiness_a_worker(box, web):
    assert (web("GET", "/health").status, web("GET", "/health").json["status"]) == (200, "ok")
    answer = web("GET", "/ready")
    assert (answer.status, answer.json["ready"]) == (503, False) and answer.json["reasons"]


def test_a_phone_learns_where_the_portal_is(box, web):
    answer = web("GET", "/.well-known/captive-portal", headers={"Host": "10.5.50.1:8080"})
    assert answer.headers["content-type"] == "application/captive+json"
    assert answer.json == {"captive": True, "user-portal-url": "http://10.5.50.1:8080/"}
    assert Event.select().where(Event.name == "payment.failed").count() == 0
