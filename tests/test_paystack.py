"""Paystack over its real wire: what each answer means, whose webhooks are believed, and that money counts once."""

import hashlib
import hmac
import http.client
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge.database import writer
from edge.devices.opening import Devices
from edge.devices.paystack import Paystack, read_notice
from edge.domain import inbox, provider_results, webhooks
from edge.errors import BadInput, Refused, Unconfirmed, Unreachable
from edge.handlers import payments as asking
from edge.handlers.world import Missed, World
from edge.models import Grant, Inbox, Job, Payment, Throttle
from edge.money_models import LedgerEntry, Receipt
from edge.pages import portal
from edge.settings import Settings
from edge.settings_sections import Paystack as PaystackSettings
from edge.settings_sections import Web
from edge.simulators.mpesa.server import Listener
from edge.simulators.mpesa.wire import Reply
from edge.simulators.paystack import SECRET_KEY, Customer, PaystackSimulator
from edge.values.gateway import Charge
from edge.web import WebServer, build
from edge.worker import work_once

CHARGE = Charge("WIFI7-0123456789abcdef", "254712345678", 2000, "WiFi 1 hour")
HOOK = "/hooks/paystack"


# The client


@pytest.fixture
def answering():
    """A client, and a server that answers it as the test says."""
    listeners = []

    def start(status, body, content_type="application/json"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        listener = Listener(("127.0.0.1", 0), lambda *_: Reply(status, raw, content_type, lost=status == 0))
        threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        listeners.append(listener)
        return Paystack(f"http://127.0.0.1:{listener.server_address[1]}", SECRET_KEY, "wifi@example.org", timeout_s=5)

    yield start
    for listener in listeners:
        listener.shutdown()
        listener.server_close()


def charge_says(state, **more):
    return {"status": True, "message": "Charge attempted", "data": {"status": state, **more}}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, charge_says("pay_offline", display_text="Look at your phone"), "rings"),
        (200, charge_says("pending"), "rings"),
        (200, charge_says("success"), "rings"),  # whether it is paid, verification says
        (200, charge_says("send_otp"), Refused),
        (200, charge_says("open_url"), Refused),
        (200, charge_says("failed", message="Declined"), Refused),
        (200, charge_says("timeout"), Refused),
        (200, charge_says("no such state"), Unconfirmed),
        (200, {"status": True, "data": None}, Unconfirmed),
        (200, b"", Unconfirmed),
        (200, b"[" * 5000, Unconfirmed),
        (200, b"x" * 300_000, Unconfirmed),
        (400, {"status": False, "message": "Invalid Amount Sent"}, Refused),
        (400, {"status": False, "message": "Duplicate Transaction Reference"}, Unconfirmed),
        (401, {"status": False, "message": "Invalid key"}, Refused),
        (403, b"<html>Cloudflare</html>", Unreachable),
        (408, b"", Unconfirmed),
        (429, {"status": False, "message": "Too many requests"}, Unreachable),
        (500, {"status": False, "message": "Internal"}, Unconfirmed),
        (502, b"<html>Bad gateway</html>", Unconfirmed),
        (503, b"", Unreachable),
        (0, b"", Unconfirmed),
    ],
)
def test_each_answer_to_a_charge_says_what_to_do_next(answering, status, body, outcome):
    client = answering(status, body)
    if isinstance(outcome, str):
        assert (client.start(CHARGE).kind, client.start(CHARGE).reference) == (outcome, CHARGE.reference)
    else:
        with pytest.raises(outcome):
            client.start(CHARGE)


def told(state, reference=CHARGE.reference, amount=2000, currency="KES", number=4099260516):
    data = {"status": state, "reference": reference, "amount": amount, "currency": currency, "id": number}
    return {"status": True, "message": "Verification successful", "data": data}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, told("success"), ("paid", "4099260516", 2000)),
        (200, told("success", amount="2000"), ("paid", "4099260516", 2000)),
        (200, told("success", amount=19.5), ("paid", "4099260516", None)),
        (200, told("success", currency="NGN"), ("paid", "4099260516", None)),
        (200, told("success", number=None), ("paid", None, 2000)),
        (200, told("success", reference="somebody-elses"), ("unknown", None, None)),
        (200, told("failed"), ("failed", None, None)),
        (200, told("timeout"), ("failed", None, None)),
        (200, told("reversed"), ("failed", None, None)),
        (200, told("abandoned"), ("pending", None, None)),
        (200, told("ongoing"), ("pending", None, None)),
        (200, told("something new"), ("unknown", None, None)),
        (400, {"status": False, "message": "Transaction reference not found."}, ("unknown", None, None)),
        (400, {"status": False, "message": "Something else"}, Unreachable),
        (401, {"status": False, "message": "Invalid key"}, Unreachable),
        (404, b"<html>not found</html>", Unreachable),
        (500, b"", Unreachable),
        (0, b"", Unreachable),
    ],
)
def test_what_is_not_known_is_never_failed(answering, status, body, outcome):
    client = answering(status, body)
    if isinstance(outcome, tuple):
        answer = client.ask(CHARGE.reference)
        assert (answer.kind, answer.receipt, answer.amount_cents) == outcome
    else:
        with pytest.raises(outcome):
            client.ask(CHARGE.reference)


def test_nobody_there_is_unreachable_and_a_key_in_an_answer_is_hushed(answering):
    with pytest.raises(Unreachable):
        Paystack("http://127.0.0.1:1", SECRET_KEY, "wifi@example.org", timeout_s=5).start(CHARGE)
    with pytest.raises(Refused) as refusal:
        answering(400, {"status": False, "message": f"Bad key {SECRET_KEY}, or sk_live_abc123\n"}).start(CHARGE)
    assert "Bad key ***, or ***" in str(refusal.value)


BODY = json.dumps({"event": "charge.success", "data": told("success")["data"]}).encode()


def signed(body, key=SECRET_KEY):
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


def test_only_our_keys_signature_over_the_very_bytes_is_authentic():
    right = signed(BODY)
    assert read_notice(SECRET_KEY, right, BODY).answer.receipt == "4099260516"
    assert read_notice(SECRET_KEY, f" {right.upper()} ", BODY).is_authentic
    for signature in ("", right[:-1], right + "0", signed(BODY, "another"), "é" * 128, signed(b"")):
        assert not read_notice(SECRET_KEY, signature, BODY).is_authentic
    for body in (BODY.replace(b"2000", b"2001"), BODY + b" ", BODY[:-1], b""):
        assert not read_notice(SECRET_KEY, right, body).is_authentic
    assert not read_notice("", signed(BODY, ""), BODY).is_authentic  # a box without a key believes nobody


@pytest.mark.parametrize("body", [b"", b"[]", b"no JSON", b'{"event": 7}', b"[" * 5000])
def test_what_is_signed_and_no_event_is_told_and_what_is_not_signed_is_nothing(body):
    with pytest.raises(BadInput):
        read_notice(SECRET_KEY, signed(body), body)
    assert not read_notice(SECRET_KEY, "", body).is_authentic


@pytest.mark.parametrize("data", [None, [], {}, {"reference": 7}, {"reference": None}])
def test_an_event_without_a_payment_claims_nothing(data):
    body = json.dumps({"event": "charge.success", "data": data}).encode()
    notice = read_notice(SECRET_KEY, signed(body), body)
    assert (notice.is_authentic, notice.answer) == (True, None)


# The whole way


@pytest.fixture
def paystack():
    with PaystackSimulator() as simulator:
        yield simulator


@pytest.fixture
def shop(box, paystack, shared_writer):
    """This box, now, with Paystack set up, and its web server."""
    box.now = datetime.now(UTC)
    told = Settings(
        state=box.folder, web=Web(host="127.0.0.1", port=0, threads=8),
        paystack=PaystackSettings(
            secret_key=SECRET_KEY, base_url=paystack.base_url, email="wifi@example.org", timeout_s=5
        ),
    )
    server = WebServer(told)
    server.start()
    paystack.webhook_url = f"http://127.0.0.1:{server.port}{HOOK}"
    yield Shop(told, server.port)
    server.stop()


class Shop:
    """What guests, Paystack and the worker do."""

    def __init__(self, told, port):
        self.told, self.port = told, port

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wish(self, **more):
        body = json.dumps({"package_id": 1, "phone_number": "0712345678", "provider": "paystack"} | more)
        return self.ask("POST", "/api/payments/initiate", body, **{"Content-Type": "application/json"})

    def buy(self, paystack):
        """A guest buys, the worker charges, and whatever the customer does happens; the payment."""
        status, _ = self.wish()
        assert status == 202
        work_once(self.told, ("payments",))
        return self.settled(paystack)

    def settled(self, paystack):
        assert paystack.wait_until_quiet()
        assert writer.catch_up(30)
        return Payment.get()

    def ask_now(self, payment, step=None):
        """The worker's question, whenever it is due."""
        now = datetime.now(UTC)
        Throttle.delete().execute()
        work = asking.ask_payment(World(Devices(self.told), self.told), now, payment.id, step)
        (work.write_down if isinstance(work, Missed) else work)(now)
        return Payment.get_by_id(payment.id)


def money():
    """Cents that came in, by the books; and how many grants there are."""
    return sum(row.money_cents for row in LedgerEntry.select()), Grant.select().count()


def outcomes():
    return [row.outcome for row in Inbox.select().order_by(Inbox.id)]


def test_a_guest_pays_through_paystack_and_it_is_confirmed_afterwards(shop, paystack):
    payment = shop.buy(paystack)
    charge = paystack.charges[provider_results.reference_of(payment)]
    assert (charge.amount, charge.msisdn, charge.email) == (2000, "254712345678", "wifi@example.org")
    assert (payment.state, payment.witness, payment.receipt) == ("paid", "paystack", str(charge.number))
    receipt = Receipt.get()
    assert (receipt.provider, receipt.code, receipt.state) == ("paystack", payment.receipt, "used")
    assert money() == (2000, 1)
    assert outcomes() == [f"paid: payment {payment.id}"]
    assert Inbox.get().is_proof and Inbox.get().payment_id == payment.id
    assert Job.select().where(Job.name == "payment.ask", Job.unique_key == f"confirm:{payment.id}").exists()
    assert shop.ask_now(payment).confirmed_at is not None
    assert money() == (2000, 1)


@pytest.mark.parametrize("customer", [Customer(forged=True), Customer(changed=True)], ids=["forged", "changed"])
def test_a_forged_or_changed_webhook_credits_nobody_and_does_not_shadow_the_real_one(shop, paystack, customer):
    paystack.customer = customer
    payment = shop.buy(paystack)
    assert [delivery.status for delivery in paystack.webhooks] == [401]
    assert (payment.state, money(), outcomes()) == ("prompted", (0, 0), [webhooks.UNSIGNED])
    forged = paystack.webhooks[0].body
    if customer.forged:
        assert paystack.post(forged) == 200  # the very same bytes, and Paystack's own signature
    else:
        assert paystack.post(paystack.event(payment.checkout_request_id)) == 200
    assert shop.settled(paystack).state == "paid"
    assert money() == (2000, 1)


def test_the_same_webhook_twenty_times_at_once_lets_in_one_guest_once(shop, paystack, at_once):
    paystack.customer = Customer(webhooks=0)
    payment = shop.buy(paystack)
    body = paystack.event(payment.checkout_request_id)
    answers = at_once(lambda _: paystack.post(body))
    assert answers == [200] * 20
    assert shop.settled(paystack).state == "paid"
    assert money() == (2000, 1)
    assert (Inbox.get().repeats, Receipt.select().count()) == (19, 1)


def test_two_webhooks_that_differ_in_a_blank_are_one_payment(shop, paystack):
    payment = shop.buy(paystack)
    body = paystack.event(payment.checkout_request_id)
    assert paystack.post(body + b"\n") == 200
    shop.settled(paystack)
    assert outcomes() == [f"paid: payment {payment.id}", f"known already: payment {payment.id}"]
    assert money() == (2000, 1)


def test_another_amount_is_held_for_a_person_and_opens_nothing(shop, paystack):
    paystack.customer = Customer(kind="pays_late")
    payment = shop.buy(paystack)
    paystack.charges[payment.checkout_request_id].amount = 1000
    paystack.release(payment.checkout_request_id)
    assert shop.settled(paystack).state == "prompted"
    assert (money(), Receipt.get().state) == ((1000, 0), "held")
    assert outcomes()[0].startswith("held: ")
    shop.ask_now(payment)  # Paystack says the same, and it is in the books once
    assert money() == (1000, 0)


def test_without_a_webhook_paystack_is_asked(shop, paystack):
    paystack.customer = Customer(webhooks=0)
    payment = shop.buy(paystack)
    assert (payment.state, money()) == ("prompted", (0, 0))
    payment = shop.ask_now(payment, step=0)
    assert (payment.state, payment.witness, payment.confirmed_at is not None) == ("paid", "query", True)
    assert money() == (2000, 1)
    assert paystack.asked == [payment.checkout_request_id]
    paystack.post(paystack.event(payment.checkout_request_id))  # days late
    shop.settled(paystack)
    assert money() == (2000, 1)


def test_while_the_customer_thinks_the_list_of_questions_goes_on(shop, paystack):
    paystack.customer = Customer(kind="pays_late", webhooks=0)
    payment = shop.buy(paystack)
    Job.delete().where(Job.name == "payment.ask").execute()
    payment = shop.ask_now(payment, step=0)
    assert payment.state == "prompted"
    assert Job.get(Job.name == "payment.ask").args["step"] == 1
    paystack.release(payment.checkout_request_id)
    assert shop.ask_now(payment, step=1).state == "paid"


@pytest.mark.parametrize("kind", ["cancels", "no_money"])
def test_who_does_not_pay_is_told_by_the_first_question(shop, paystack, kind):
    paystack.customer = Customer(kind=kind)
    payment = shop.ask_now(shop.buy(paystack), step=0)
    assert (payment.state, payment.result_code, money()) == ("failed", "failed", (0, 0))


def test_pretend_customers_act_by_their_last_digit():
    with PaystackSimulator(by_digit=True) as simulator:
        client = Paystack(simulator.base_url, SECRET_KEY, "wifi@example.org", timeout_s=5)
        for digit in "0789":
            client.start(Charge(f"WIFI{digit}-0", f"25471234567{digit}", 2000))
        assert simulator.wait_until_quiet()
        kinds = [client.ask(f"WIFI{digit}-0").kind for digit in "0789"]
        with pytest.raises(Unconfirmed):
            client.start(Charge("WIFI0-0", "254712345670", 2000))  # the same name twice is never a second prompt
    assert kinds == ["paid", "failed", "failed", "paid"]
    assert len(simulator.charges) == 4


def test_a_webhook_that_is_quicker_than_the_charges_answer_counts(shop, paystack):
    paystack.customer = Customer(webhook_first=True)
    payment = shop.buy(paystack)
    assert (payment.state, payment.checkout_request_id) == ("paid", provider_results.reference_of(payment))
    assert money() == (2000, 1)


def test_a_lost_answer_is_asked_about_because_the_name_is_ours(shop, paystack):
    paystack.lose_charge_answer = True
    paystack.customer = Customer(webhooks=0)
    payment = shop.buy(paystack)
    assert (payment.state, payment.checkout_request_id) == ("prompted", provider_results.reference_of(payment))
    assert len(paystack.charges) == 1  # never a second charge
    assert shop.ask_now(payment, step=0).state == "paid"


def test_a_charge_that_never_arrived_is_unknown_and_expires_without_ever_failing(shop, paystack):
    paystack.lose_charge = True
    payment = shop.buy(paystack)
    paystack.lose_charge = False
    payment = shop.ask_now(payment, step=0)
    assert (payment.state, paystack.charges) == ("prompted", {})


def test_a_worker_that_dies_in_the_middle_of_a_charge_leaves_a_question_not_a_second_charge(shop, paystack):
    paystack.customer = Customer(webhooks=0)
    payment = shop.buy(paystack)
    Payment.update(state="pending", checkout_request_id=None, prompted_at=None).execute()  # as if nothing was written
    Job.delete().where(Job.name == "payment.ask").execute()
    provider_results.record_start_unconfirmed(payment.id, "the worker died", datetime.now(UTC))
    work_once(shop.told, ("payments",))
    assert (Payment.get().state, len(paystack.charges), money()) == ("paid", 1, (2000, 1))


def test_a_phone_that_wants_a_code_is_refused_and_nothing_moved(shop, paystack):
    paystack.customer = Customer(kind="asks_otp")
    payment = shop.buy(paystack)
    assert (payment.state, payment.result_code) == ("failed", "push-refused")


def test_other_events_are_acknowledged_and_left(shop, paystack):
    for body in (
        json.dumps({"event": "transfer.success", "data": {"reference": "x"}}).encode(),
        json.dumps({"event": "charge.success", "data": {**told("success")["data"]}}).encode(),
        json.dumps({"event": "charge.dispute.create\n\x1b[31m", "data": None}).encode(),
    ):
        assert paystack.post(body) == 200
    assert writer.catch_up(30)
    left = ["acknowledged: transfer.success", "no payment of ours", "acknowledged: charge.dispute.create [31m"]
    assert outcomes() == left
    assert money() == (0, 0)


def test_a_payment_of_mpesa_cannot_be_settled_by_paystacks_name_for_it(box, shop, paystack):
    payment = box.pending(box.asha)
    body = json.dumps({"event": "charge.success", "data": told("success", f"WIFI{payment.id}")["data"]}).encode()
    assert paystack.post(body) == 200
    reference = f"WIFI{payment.id}-{payment.trace[:16]}"
    body = json.dumps({"event": "charge.success", "data": told("success", reference)["data"]}).encode()
    assert paystack.post(body) == 200
    assert writer.catch_up(30)
    assert (outcomes(), Payment.get().state) == (["no payment of ours"] * 2, "pending")


def test_what_is_too_long_unreadable_or_not_signed_is_turned_away(shop, paystack):
    body = b'{"event": "' + b"x" * inbox.LIMIT + b'"}'
    assert paystack.post(body) == 413
    assert paystack.post(b"no JSON") == 400
    assert paystack.post(b"no JSON", signature="") == 401
    assert paystack.post(b"x" * 60_000, signature="") == 401
    kept = list(Inbox.select().order_by(Inbox.id))
    unreadable = "unreadable: this is no Paystack event"
    assert [row.outcome for row in kept] == [unreadable, webhooks.UNSIGNED, webhooks.UNSIGNED]
    assert [row.is_proof for row in kept] == [False] * 3
    assert len(kept[2].body) == webhooks.STRANGERS_BODY


def test_a_box_without_paystack_has_no_such_address_and_no_such_way_to_pay(box, shared_writer):
    box.now = datetime.now(UTC)
    told = Settings(state=box.folder, web=Web(host="127.0.0.1", port=0, threads=8))
    server = WebServer(told)
    server.start()
    try:
        shop = Shop(told, server.port)
        assert shop.ask("POST", HOOK, BODY, **{"x-paystack-signature": signed(BODY, "")})[0] == 404
        status, body = shop.wish()
        assert (status, json.loads(body)["field"]) == (400, "provider")
        assert shop.wish(provider=["mpesa"])[0] == 400
        assert shop.wish(provider=None)[0] == 202
    finally:
        server.stop()
    assert (Payment.get().provider, Inbox.select().count()) == ("mpesa", 0)


@pytest.mark.parametrize("email", ["wifi@example.org", ""])
def test_the_portal_offers_the_choice_only_where_there_is_one(box, shop, monkeypatch, email):
    monkeypatch.setattr(portal, "_shelf", portal.Shelf())
    build(replace(shop.told, paystack=replace(shop.told.paystack, email=email)))
    _, page = shop.ask("GET", "/")
    assert (b'name="provider" value="paystack"' in page) == (b'value="mpesa" checked' in page) == bool(email)


def test_a_guest_chooses_paystack_on_the_form(shop, paystack):
    form = f"package_id=1&phone_number=0712345678&provider=paystack&idempotency_key={'k' * 32}"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert shop.ask("POST", "/api/payments/initiate", form, **kind)[0] == 303
    work_once(shop.told, ("payments",))
    assert shop.settled(paystack).provider == "paystack"
    assert money() == (2000, 1)


def test_questions_to_paystack_have_a_rate_of_their_own(shop, paystack):
    paystack.customer = Customer(kind="pays_late")
    payment = shop.buy(paystack)
    slow = replace(shop.told, mpesa=replace(shop.told.mpesa, queries_per_minute=1))
    world, now = World(Devices(slow), slow), datetime.now(UTC)
    assert asking.ask_payment(world, now, payment.id, 0) is not None
    assert [row.name for row in Throttle.select()] == ["paystack.query"]


def test_a_settlement_that_was_cut_off_is_found_and_done(shop, paystack, monkeypatch):
    paystack.customer = Customer(webhooks=0)
    payment = shop.buy(paystack)
    monkeypatch.setattr(writer, "follow", lambda work: None)  # the power goes right after the call was kept
    assert paystack.post(paystack.event(payment.checkout_request_id)) == 200
    monkeypatch.undo()
    assert (Payment.get().state, outcomes()) == ("prompted", [""])
    Inbox.update(received_at=Inbox.received_at - 60).execute()
    assert inbox.promise_forgotten(datetime.now(UTC)) == 1
    work_once(shop.told, ("payments",))
    assert (Payment.get().state, money()) == ("paid", (2000, 1))
