"""Whoever wants to be online without paying, or with another's money or code, tries it here: each case by its number.

The real web application over HTTP, and M-Pesa's and the modem's simulators where their wire matters.
"""

import csv
import http.client
import io
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from edge import database
from edge.devices.opening import Devices
from edge.domain import (
    books,
    breakers,
    guest_codes,
    incoming_texts,
    matching,
    org_requests,
    payments,
    people,
    plans,
    provisional,
    receipts,
    renewal,
    shifts,
    vouchers,
    witnesses,
)
from edge.errors import BadInput
from edge.handlers import modem_inbox
from edge.handlers.world import World
from edge.models import Event, Grant, Inbox, Message, Payment, Plan
from edge.money_models import LedgerEntry, OrgRequest, Receipt, Voucher
from edge.pages import callbacks
from edge.settings import Settings
from edge.settings_sections import ModemSettings, Mpesa, Web
from edge.simulators.modem import ModemSimulator
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.mpesa.customers import Customer
from edge.simulators.mpesa_sms import Notice, new_receipt, write
from edge.values.account import account_of
from edge.values.arrival import Arrival
from edge.values.org_api import OrgResult
from edge.values.stk import QueryAnswer
from edge.web import WebServer
from edge.worker import work_once
from tests.web_client import PASSWORD, Browser

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
JUMAS_MAC = "AC:DE:48:00:00:07"


class Shop:
    """This box behind its real web server; whoever calls may be at any address, as if our own proxy told it."""

    def __init__(self, box, **sections):
        self.box = box
        box.now = datetime.now(UTC)  # pages ask the machine's clock
        web = Web(host="127.0.0.1", port=0, threads=8, trusted_proxies=("127.0.0.1/32",))
        self.settings = replace(Settings(state=box.folder, web=web), **sections)
        self.server = WebServer(self.settings)
        self.server.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.port}"

    def ask(self, method, path, body=None, headers=None, at="10.5.50.9"):
        """Status, headers, body; everything that follows from it is done."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request(method, path, body, {"X-Forwarded-For": at, **(headers or {})})
        answer = connection.getresponse()
        told = answer.status, dict(answer.getheaders()), answer.read().decode("utf-8", "replace")
        connection.close()
        assert database.writer.catch_up(30)
        return told

    def call_back(self, payment, code=0, address=None, **items):
        """M-Pesa's callback of this payment, or what somebody makes of it."""
        told = {"Amount": payment.amount_cents // 100, "MpesaReceiptNumber": f"UK5T7{payment.id:05d}",
                "PhoneNumber": int(payment.msisdn)} | items  # fmt: skip
        return self.ask("POST", address or f"/cb/{payment.secret}", callback(payment, told, code), JSON)[0]

    def form(self, path, at="10.5.50.9", **fields):
        return self.ask("POST", path, urlencode(fields), FORM, at)

    def wish(self, phone, at="10.5.50.9", **more):
        told = json.dumps({"package_id": 1, "phone_number": phone, **more})
        return self.ask("POST", "/api/payments/initiate", told, JSON, at)


@pytest.fixture
def serve(box, shared_writer):
    """Opens the shop with these settings."""
    opened = []

    def start(**sections):
        opened.append(Shop(box, **sections))
        return opened[-1]

    yield start
    for shop in opened:
        shop.server.stop()


@pytest.fixture
def shop(serve):
    return serve()


@pytest.fixture
def owner(box, shop, monkeypatch):
    monkeypatch.setattr(people, "N", 2**8)
    for name, role in {"Njeri": "owner", "Wanjiku": "cashier"}.items():
        people.add(name, PASSWORD, role, box.now)
    browser = Browser(shop.server._server.application)
    assert browser.sign_in("Njeri").status == 303
    return browser


def callback(payment, items, code=0, **more):
    inner = {"MerchantRequestID": "m", "CheckoutRequestID": f"ws_CO_{payment.id:06d}", "ResultCode": code,
             "ResultDesc": "as M-Pesa says", **more}  # fmt: skip
    if items and code in (0, "0"):
        inner["CallbackMetadata"] = {"Item": [{"Name": name, "Value": value} for name, value in items.items()]}
    return json.dumps({"Body": {"stkCallback": inner}}).encode()


def sold():
    """Grants, texts that leave, and money in the books."""
    return Grant.select().count(), Message.select().count(), sum(row.money_cents for row in LedgerEntry.select())


def state(payment):
    return Payment.get_by_id(payment.id).state


# 1-6: whoever pretends to be M-Pesa


def test_abuse_1_a_forged_callback_serves_nobody_and_only_makes_us_ask(box, shop):
    payment, other = box.prompted(), box.prompted(box.juma)
    assert shop.call_back(payment, Amount=1) == 200
    assert shop.call_back(payment, Amount=2000) == 200
    assert shop.call_back(payment, PhoneNumber=254733999999) == 200
    assert shop.call_back(payment, address=f"/cb/{other.secret}") == 200  # another payment's address
    assert shop.call_back(payment, address="/api/mpesa/callback") == 200  # the bare one
    assert shop.call_back(payment, address=f"/cb/{'0' * 40}") == 404
    assert shop.call_back(payment, address=f"/cb/{payment.token}") == 404
    assert (state(payment), state(other), sold()) == ("prompted", "prompted", (0, 0, 0))
    assert {job.args["payment_id"] for job in box.jobs("payment.ask", "waiting")} == {payment.id, other.id}
    assert Inbox.select().count() == 5  # every one that had an address, as it came
    assert (shop.call_back(payment), state(payment)) == (200, "paid")


def test_abuse_2_a_replay_a_hundred_times_and_twenty_at_once_is_one_grant_and_one_text(box, shop, gate):
    payment = box.prompted()
    with ThreadPoolExecutor(20) as crowd:
        assert set(crowd.map(lambda _: shop.call_back(payment), range(20))) == {200}
    for number in range(100):
        assert shop.call_back(payment, **({"Balance": number} if number % 2 else {})) == 200
    assert (state(payment), sold()) == ("paid", (1, 1, 2000))
    assert len(box.jobs("grant.place")) == 1
    assert Receipt.select().count() == 1


def test_abuse_3_a_callback_before_the_answer_to_the_push_is_stored_is_one_sale(box, serve):
    with MpesaSimulator() as mpesa:
        mpesa.customer = Customer(callback_first=True, callbacks=2)
        mpesa_settings = Mpesa(base_url=mpesa.base_url)
        shop = serve(mpesa=mpesa_settings)
        shop.settings = replace(shop.settings, web=replace(shop.settings.web, public_url=shop.url))
        assert shop.wish(box.asha)[0] == 202
        assert work_once(shop.settings, ("payments",))
        assert mpesa.wait_until_quiet()
        assert database.writer.catch_up(30)
        assert [delivery.status for delivery in mpesa.callbacks] == [200, 200]
    payment = Payment.get()
    assert (payment.state, payment.checkout_request_id) == ("paid", mpesa.pushes[0].checkout_request_id)
    assert (payment.receipt, sold()) == (mpesa.pushes[0].receipt, (1, 1, 2000))


@pytest.mark.parametrize("end", ["failed", "expired"])
def test_abuse_4_success_after_the_end_is_served_and_failure_after_success_takes_nothing(box, shop, end):
    payment = box.prompted()
    if end == "failed":
        assert shop.call_back(payment, code=1032) == 200
    else:
        payments.expire_overdue(box.now + timedelta(hours=1))
    assert (state(payment), sold()) == (end, (0, 0, 0))
    assert (shop.call_back(payment), state(payment)) == (200, "paid")
    for code in (1, 1032, 1037, "SFC_IC0003"):
        assert shop.call_back(payment, code=code) == 200
    assert (state(payment), sold(), Grant.get().state) == ("paid", (1, 1, 2000), "live")


GOOD = {"Amount": 20, "MpesaReceiptNumber": "UK5T700001", "PhoneNumber": 254712345678}


@pytest.mark.parametrize(
    ("body", "status", "ends"),
    [
        (lambda one: callback(one, GOOD | {"Amount": "20.00", "PhoneNumber": "0712345678"}), 200, "paid"),
        (lambda one: callback(one, GOOD | {"Amount": 20.0}), 200, "paid"),
        (lambda one: callback(one, GOOD | {"Tip": [1, {"a": 2}], "Balance": None}, Odd={"x": [1]}), 200, "paid"),
        (lambda one: callback(one, GOOD, code="0"), 200, "paid"),
        (lambda one: callback(one, GOOD).replace(b', "Value": 20}', b"}"), 200, "prompted"),  # no Value: asked about
        (lambda one: callback(one, GOOD | {"Amount": 19.999}), 400, "prompted"),
        (lambda one: callback(one, GOOD | {"Amount": "1e400"}), 400, "prompted"),
        (lambda one: callback(one, None), 200, "prompted"),
        (lambda one: callback(one, GOOD)[:-3], 400, "prompted"),
        (lambda one: callback(one, GOOD).decode().encode("utf-16"), 200, "paid"),
        (lambda one: b"\xff\xfe\x00" + callback(one, GOOD), 400, "prompted"),
        (lambda one: b"[" * 50_000, 400, "prompted"),
        (lambda one: b"", 400, "prompted"),
        (lambda one: callback(one, GOOD)[:-1] + b" " * 1_000_000 + b"}", 413, "prompted"),
    ],
)  # fmt: skip
def test_abuse_5_an_odd_body_is_read_as_it_is_meant_or_kept_and_never_guessed_at(box, shop, body, status, ends):
    payment = box.prompted()
    assert shop.ask("POST", f"/cb/{payment.secret}", body(payment), JSON)[0] == status
    assert (state(payment), Inbox.select().count()) == (ends, 1)
    assert len(bytes(Inbox.get().body)) <= 64 * 1024


def test_abuse_6_a_receipt_serves_one_purchase_whoever_tells_it_again(box, serve):
    shop = serve(mpesa=Mpesa(c2b="v2"))
    first, second = box.prompted(), box.prompted(box.juma)
    assert shop.call_back(first) == 200
    assert shop.call_back(second, MpesaReceiptNumber=f"uk5t7{first.id:05d}") == 200
    secret = org_requests.c2b_secret(box.now)
    told = {"TransID": f"UK5T7{first.id:05d}", "TransAmount": "20.00", "BillRefNumber": account_of(second.id),
            "MSISDN": box.juma, "BusinessShortCode": "174379"}  # fmt: skip
    assert shop.ask("POST", f"/cb/{secret}/c2b/confirmation", json.dumps(told), JSON)[0] == 200
    assert "/p/" not in str(shop.form("/paid", receipt=told["TransID"], phone_number=box.juma)[1])
    assert (state(first), state(second), sold()) == ("paid", "prompted", (1, 1, 2000))


@pytest.mark.parametrize("second", ["prompt", "hand"])
def test_abuse_6_at_a_till_the_money_of_one_checkout_never_pays_two(box, second):
    """A till's confirmations name no account: the money of a prompt approved late looks like that of the next one."""
    late = box.prompted()
    payments.expire_overdue(box.after(minutes=5))
    newer = box.prompted() if second == "prompt" else box.pending(how="hand")
    told = box.result(late)
    matching.arrive(Arrival(told.receipt, 2000, payer_shape="2547 ***** 678", paid_at=box.now), "c2b", box.now)
    assert state(newer) == "paid"
    box.call(late, told)
    box.answer(Payment.get_by_id(late.id), "paid")
    assert (sold(), books.held_cents()) == ((1, 1, 2000), 0)
    assert Payment.get_by_id(late.id).context["instead"] == newer.token  # his page leads on to what he got
    more = box.result(newer)  # and the newer one's own prompt is approved as well: that is other money
    matching.arrive(Arrival(more.receipt, 2000, payer_shape="2547 ***** 678", paid_at=box.now), "c2b", box.now)
    assert (sold()[2], state(late)) == (4000, "paid")


def test_abuse_6_held_money_that_two_people_give_at_once_is_given_once(box):
    matching.arrive(Arrival("UC2AAAAAA1", 5000, paid_at=box.now), "c2b", box.now)
    matching.give_to(receipts.held()[0], Plan.get(), box.juma, box.now)  # 30 of it are left
    seen = receipts.held()[0], receipts.held()[0]
    Plan.update(price_cents=3000).execute()
    matching.give_to(seen[0], Plan.get(), box.asha, box.now)
    with pytest.raises(BadInput):
        matching.give_to(seen[1], Plan.get(), box.asha, box.now)
    assert (books.held_cents(), Receipt.get().left_cents, Grant.select().count()) == (0, 0, 2)


@pytest.mark.parametrize("payee", ["254712345678 - ASHA", "2547 ***** 678 - ASHA"])
def test_abuse_6_the_receipt_of_money_that_the_shop_sent_buys_nothing(box, payee):
    """Whoever was paid back has a receipt too, and M-Pesa says of it that it is completed."""
    told = {"DebitPartyName": ["600999 - EDGE", payee], "TransactionStatus": ["Completed"], "Amount": ["20.0"],
            "ReceiptNo": ["UC2OUT0001"]}  # fmt: skip
    request = org_requests.promise_status("UC2OUT0001", box.now)
    result = OrgResult("status", "0", "done", "", "", "", told)
    assert "paid itself" in witnesses.settle_status(request, result, box.now)
    assert (Receipt.select().count(), sold()) == (0, (0, 0, 0))


def test_abuse_1_what_is_posted_to_the_shops_own_addresses_needs_their_secrets(box, serve):
    """Confirmations, results and time-outs: an unknown secret, a payment's, another kind's; and a replay."""
    shop = serve(mpesa=Mpesa(c2b="v2"))
    payment, secret = box.prompted(), org_requests.c2b_secret(box.now)
    question = org_requests.promise_status("UC2AAAAAA1", box.now)
    told = {"TransID": "UC2AAAAAA1", "TransAmount": "20.00", "BillRefNumber": account_of(payment.id),
            "MSISDN": box.asha}  # fmt: skip
    for name in ("c2b/confirmation", "result", "timeout"):
        for wrong in ("0" * 40, payment.secret, payment.token, question.secret if "c2b" in name else secret):
            assert shop.ask("POST", f"/cb/{wrong}/{name}", json.dumps(told), JSON)[0] == 404
    assert (state(payment), sold(), Inbox.select().count()) == ("prompted", (0, 0, 0), 0)
    for _ in range(3):
        assert shop.ask("POST", f"/cb/{secret}/c2b/confirmation", json.dumps(told), JSON)[0] == 200
    assert (state(payment), sold()) == ("paid", (1, 1, 2000))
    assert OrgRequest.get().state == "wanted"


# 7: whoever rings phones


def test_abuse_7_a_phone_a_device_an_address_and_all_together_are_rung_so_often_and_no_more(box, shop, monkeypatch):
    monkeypatch.setattr(payments, "PROMPTS_PER_PHONE", 3)
    monkeypatch.setattr(payments, "PROMPTS_PER_MAC", 4)
    monkeypatch.setattr(payments, "PROMPTS_PER_SOURCE", 5)
    monkeypatch.setattr(payments, "PROMPTS_IN_ALL", 12)

    def ring(phones, macs, addresses):
        tries = [shop.wish(f"07{phones[n % len(phones)]:08}", addresses[n % len(addresses)],
                           mac_address=macs[n % len(macs)]) for n in range(8)]  # fmt: skip
        assert all(int(headers["Retry-After"]) > 0 for status, headers, _ in tries if status == 429)
        return Counter(status for status, _, _ in tries)

    def many(base):
        return [base + n for n in range(8)]

    macs, addresses = [f"AC:DE:48:00:01:{n:02X}" for n in range(8)], [f"10.5.50.{n}" for n in range(100, 108)]
    assert ring([10_000_000], macs, addresses) == {202: 3, 429: 5}  # one phone from everywhere
    assert ring(many(20_000_000), [JUMAS_MAC], addresses) == {202: 4, 429: 4}  # one device
    assert ring(many(30_000_000), [f"AC:DE:48:00:02:{n:02X}" for n in range(8)], ["10.5.50.1"])[202] == 5  # one address
    assert ring(many(40_000_000), [f"AC:DE:48:00:03:{n:02X}" for n in range(8)], addresses) == {429: 8}  # all of them
    assert Payment.select().count() == 12


def test_abuse_7_whoever_uses_up_anothers_prompts_does_not_keep_her_from_paying_by_hand(box, serve):
    shop = serve(mpesa=Mpesa(c2b="v2"))
    macs = [f"AC:DE:48:00:07:{number:02X}" for number in range(payments.PROMPTS_PER_PHONE + 1)]
    assert shop.wish("0712345678", mac_address=macs[0])[0] == 202
    assert [shop.wish("0712345678", mac_address=mac)[0] for mac in macs[1:]][-1] == 429
    told = {"package_id": 1, "phone_number": "0712345678", "mac_address": JUMAS_MAC, "how": "hand"}
    status, headers, _ = shop.form("/api/payments/initiate", **told)
    assert (status, headers["Location"][:3]) == (303, "/p/")


# 8, 9: vouchers


def test_abuse_8_whoever_guesses_vouchers_has_to_wait_and_keeps_nobody_else_out(box, shop, gate):
    voucher = vouchers.sell_new(Plan.get(), None, None, box.now)
    answers = [shop.form("/code", code=f"ZZZZZZ{n:03}", pin="", mac=f"AC:DE:48:00:04:{n % 9:02X}") for n in range(40)]
    statuses = [status for status, _, _ in answers]
    assert (set(statuses[:10]), statuses[-1]) == ({400}, 429)
    assert shop.form(f"/v/{voucher.code}")[0] == 429  # to him even the right one opens nothing now
    status, headers, _ = shop.form(f"/v/{voucher.code}", at="10.5.50.77", mac=JUMAS_MAC)
    assert (status, headers["Location"][:3]) == (303, "/g/")


def test_abuse_9_a_voucher_redeemed_twice_at_once_opens_once(box, shop, gate):
    voucher = vouchers.sell_new(Plan.get(), None, None, box.now)
    start = threading.Barrier(12)

    def press(number):
        start.wait(60)
        return shop.form(f"/v/{voucher.code}", f"10.5.50.{number + 10}", mac=f"AC:DE:48:00:05:{number:02X}")[0]

    with ThreadPoolExecutor(12) as crowd:
        assert Counter(crowd.map(press, range(12))) == {303: 1, 400: 11}
    assert sold() == (1, 0, 2000)
    with pytest.raises(vouchers.NotGood, match="another device"):  # who asked a moment before, and was served after
        vouchers.redeem(voucher.code, JUMAS_MAC, "10.5.50.99", {}, Voucher.get().used_at - timedelta(seconds=1))


# 11: trials


def test_abuse_11_random_macs_and_strangers_numbers_farm_no_trials(box, shop, gate, monkeypatch):
    monkeypatch.setattr(plans.shop, "can_text", True)
    plan = plans.add(name="Ten minutes", price_cents=0, seconds=600, is_trial=True)

    def take(phone, number, at="10.5.50.9"):
        return shop.form("/trial", at, trial_id=plan.id, phone_number=phone, mac_address=f"A6:DE:48:00:06:{number:02X}")

    answers = [take("0712345678", number) for number in range(10)]
    assert Counter(status for status, _, _ in answers) == {303: 1, 400: 9}
    answers += [take(f"07220000{number:02}", number + 20) for number in range(15)]
    assert Counter(status for status, _, _ in answers) == {303: 10, 400: 9, 429: 6}  # PER_ADDRESS
    for grant in Grant.select():  # the code comes by text alone
        assert not any(grant.username in page or grant.password in headers.get("Location", "")
                       for _, headers, page in answers)  # fmt: skip
    assert sold() == (10, 10, 0)


# 12: another guest's code


def test_abuse_12_no_page_tells_a_stranger_another_guests_code(box, shop, gate):
    payment = box.paid(mac=JUMAS_MAC)
    grant, mac = box.grant(payment), {"mac": JUMAS_MAC}
    told = [
        shop.form("/paid", receipt=payment.receipt, phone_number=box.juma, **mac),
        shop.form("/paid", receipt=payment.receipt, phone_number="0712000000"),
        shop.form("/paid", receipt="", phone_number=box.asha, **mac),
        shop.form("/code", code=grant.username, pin="0000" if grant.password != "0000" else "1111", **mac),
        shop.form("/code", code=grant.username, pin="", **mac),
        shop.form(f"/v/{grant.username}", **mac),
        shop.form("/connect", mac_address=JUMAS_MAC, ip="10.5.50.200"),
        shop.wish(box.asha, mac_address=JUMAS_MAC),
        *(shop.ask("GET", path) for path in (
            f"/?mac={JUMAS_MAC}", f"/paid?mac={JUMAS_MAC}", f"/p/{payment.id}", f"/p/{payment.secret}", f"/p/{0:032}",
            f"/api/payments/{payment.id}", f"/api/payments/{payment.receipt}", f"/g/{grant.id}", f"/g/{grant.id}-",
            f"/g/{grant.id}-{'0' * 32}", f"/v/{grant.username}", f"/trial?mac={JUMAS_MAC}", "/api/packages",
        )),
    ]  # fmt: skip
    secrets = (grant.password, payment.token, payment.secret, guest_codes.key_of(grant), payment.receipt)
    for status, headers, page in told:
        seen = page.replace(f'value="{payment.receipt}"', "").replace(f'value="{grant.username}"', "")  # as he typed it
        seen += headers.get("Location", "")
        assert status < 500 and not any(f">{secret}<" in page or secret in seen for secret in secrets[1:4]), page
        assert f">{grant.password}<" not in page


def test_abuse_12_the_texts_of_a_phone_go_to_that_phone_and_not_often(box, shop, gate):
    payment = box.paid()
    box.now -= timedelta(minutes=30)
    Message.update(created_at=box.now).execute()
    pages = {shop.form("/paid", receipt="", phone_number=phone)[2].replace(phone, "") for phone in
             (box.asha, box.juma) for _ in range(5)}  # fmt: skip
    assert len(pages) == 1  # whether that phone has bought anything is told to nobody
    assert [(text.msisdn, text.payment_id) for text in Message.select()] == [(box.asha, payment.id)] * 2


@pytest.mark.parametrize("payer", [{"msisdn": "254722000111"}, {"payer_shape": "2547 ***** 111"}, {}])
def test_abuse_12_whoever_pays_for_another_phone_never_sees_the_code_it_has(box, gate, payer):
    asha = box.grant(box.paid())

    def pay(code, payment_id):
        told = Arrival(code, 2000, account=account_of(payment_id), paid_at=box.now, **payer)
        matching.arrive(told, "c2b", box.now)
        return renewal.in_force(box.grant(Payment.get(Payment.receipt == code)))

    mine = box.pending(mac=JUMAS_MAC, how="hand")  # with Asha's number, which anybody may type
    assert pay("UC2AAAAAA1", mine.id).username != asha.username
    assert pay("UC2AAAAAA2", asha.payment_id).username != asha.username  # by an account that anybody may guess
    assert Grant.get_by_id(asha.id).seconds == 3600


def test_abuse_12_whoever_asks_with_anothers_number_while_she_pays_is_not_shown_her_purchase(box, shop):
    """The prompt's page shows the code to whoever holds its token; by the menu alone nobody knows whose it is."""
    hers = shop.wish("0712345678", "10.5.50.5", mac_address=JUMAS_MAC)
    assert shop.wish("0712345678", "10.5.50.5", mac_address=JUMAS_MAC)[2] == hers[2]
    status, headers, page = shop.wish("0712345678", "10.5.50.66", mac_address=JUMAS_MAC)
    assert (status, Payment.get().token in page, 0 < int(headers["Retry-After"]) <= 180) == (429, False, True)
    theirs = shop.wish("0712345678", "10.5.50.66", mac_address="AC:DE:48:00:00:66")
    assert theirs[0] == 202
    matching.arrive(Arrival("UC2AAAAAA1", 2000, payer_shape="2547 ***** 678", paid_at=box.now), "c2b", box.now)
    matching.arrive(Arrival("UC2AAAAAA2", 2000, msisdn=box.asha, paid_at=box.now), "c2b", box.now)
    assert {one.state for one in Payment.select()} == {"pending"}
    assert "/p/" in shop.form("/paid", "10.5.50.5", receipt="UC2AAAAAA1", phone_number="0712345678")[1]["Location"]
    assert sold() == (1, 1, 4000)
    payments.record_answer(Payment.get().id, QueryAnswer("paid", "0", "paid"), (10,), box.now)  # it was her prompt's
    assert (sold()[2], books.held_cents()) == (4000, 0)


@pytest.fixture
def cashier(owner, shop):
    browser = Browser(shop.server._server.application)
    assert browser.sign_in("Wanjiku").status == 303
    assert browser.post("/admin/shift/open", {"float": "500"}).status == 303
    return browser


def test_abuse_12_whoever_pays_cash_for_another_phone_is_not_shown_the_code_it_has(box, shop, gate, cashier):
    asha = box.grant(box.paid())
    form = cashier.get("/admin/counter/plans/1")
    told = {"key": form.field("key"), "price": form.field("price"), "phone": box.asha}
    page = cashier.get(cashier.post("/admin/counter/plans/1", told).header("Location"))
    assert Grant.get_by_id(asha.id).seconds == 7200
    assert (page.status, asha.username in page.text, f">{asha.password}<" in page.text) == (200, False, False)


def test_a_cashier_does_not_learn_what_her_drawer_should_hold_before_she_counts_it(cashier):
    shift = shifts.last(1)[0]
    form = cashier.get("/admin/counter/plans/1")
    cashier.post("/admin/counter/plans/1", {"key": form.field("key"), "price": form.field("price"), "phone": ""})
    page = cashier.post(f"/admin/shifts/{shift.id}/expense", {"amount": "9000", "words": "water"})
    assert (page.status, "520" in page.words) == (400, False)


def test_no_log_and_no_event_tells_a_secret_a_code_or_a_number_in_full(box, shop, gate, monkeypatch, caplog):
    caplog.set_level("INFO")
    payment = box.prompted(mac=JUMAS_MAC)
    shop.call_back(payment, Amount=1)
    shop.call_back(payment)
    shop.form("/paid", receipt=f"UK5T7{payment.id:05d}", phone_number=box.asha)
    grant = box.grant(payment)
    shop.form("/code", code=grant.username, pin=grant.password)
    monkeypatch.setattr(callbacks, "_read", lambda *told: 1 / 0)  # a fault of ours
    shop.ask("POST", "/api/mpesa/callback", b"{}", JSON)
    shop.ask("POST", f"/cb/{org_requests.c2b_secret(box.now)}/c2b/confirmation", b"{}", JSON)
    assert "a page broke" in caplog.text
    told = caplog.text + json.dumps([event.data for event in Event.select()])
    secrets = (box.asha, "0712345678", payment.secret, payment.token, grant.username, f'"{grant.password}"',
               guest_codes.key_of(grant), org_requests.c2b_secret(box.now))  # fmt: skip
    assert [secret for secret in secrets if secret in told] == []


# 17: whoever texts like M-Pesa


@pytest.fixture
def modem(box, monkeypatch):
    """The till's SIM, its inbox, and money that listens with the caps that an owner would set."""
    box.now = datetime.now(UTC)
    monkeypatch.setattr(incoming_texts, "on_money", None)
    monkeypatch.setattr(witnesses, "rules", witnesses.Rules())
    witnesses.configure("hold", provisional.Caps(5000, 1), can_ask_by_receipt=False)
    for _ in range(20):
        breakers.note_failure("mpesa", "no answer", box.now)  # the hour of forgers: M-Pesa can't be asked
    with ModemSimulator(box.folder / "modem") as stick:
        settings = Settings(state=box.folder, modem=ModemSettings(port=stick.port))
        devices = Devices(settings)
        yield stick, World(devices, settings)
        devices.close()


def test_abuse_17_a_spoofed_text_of_mpesa_opens_nothing(box, modem):
    stick, world = modem
    payment = box.prompted()

    def tell(sender, smsc="+254722500029", **told):
        notice = Notice(new_receipt(box.now), 2000, box.now, msisdn=box.asha, balance_cents=100_00, **told)
        stick.receive(sender, write("T1", notice).partition(" Transaction cost")[0], smsc=smsc)
        modem_inbox.read_inbox(world, box.now)
        for job in box.jobs("texts.settle", "waiting"):
            modem_inbox.settle_text(world, box.now, **job.args)(box.now)
            job.put(state="done")
        for job in box.jobs("payment.unverified", "scheduled", "waiting"):
            provisional.open_unverified(payment.id, witnesses.rules.caps, box.now)
            job.put(state="done")

    for sender in ("+254712345678", "M-PESA", "MPESA.", "mpesa", "MPE5A"):
        tell(sender)
    assert len(box.events("text.look_alike")) == 5
    tell("MPESA", smsc="+447785016005")  # the right name by a foreign message centre
    assert (state(payment), sold(), receipts.held()) == ("prompted", (0, 0, 0), [])
    tell("MPESA")  # as good as the real ones look, and no text was ever confirmed: nothing to compare it with
    assert (state(payment), sold(), books.held_cents()) == ("prompted", (0, 0, 0), 0)


# 18: whoever is called =HYPERLINK(…)


def test_abuse_18_no_export_holds_a_formula(box, shop, owner):
    evil = ('=HYPERLINK("http://x.test","pay")', "+254 free", "-2+3", "@SUM(A1:A9)", "\t=1+1", " =cmd|' /C calc'!A0")
    plan = plans.add(name=evil[0], price_cents=2000, seconds=3600)
    batch = vouchers.make(plan, 2, box.now, name=evil[3], seller=evil[1], sold=True)
    vouchers.void_batch(batch, None, evil[5], box.now)
    staff = people.add(evil[2], PASSWORD, "cashier", box.now)
    shift = shifts.open(staff, 100_00, box.now)
    for words in evil:
        shifts.add_expense(shift, 100, words, box.now, staff)
    matching.arrive(Arrival("UC2AAAAAA1", 3300, payer_name=evil[0], account=evil[4], paid_at=box.now), "c2b", box.now)
    today = datetime.now(UTC).date()
    asked = ("what=ledger", "what=payments", *(f"what=report&by={by}" for by in ("plan", "seller", "reason")))
    answers = [owner.get("/admin/books/csv", f"{query}&to={today}") for query in asked]
    answers.append(owner.get(f"/admin/vouchers/batches/{batch.id}/csv"))
    seen = 0
    for answer in answers:
        assert answer.status == 200
        for row in csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))):
            seen += sum("'" in cell for cell in row)
            for cell in row:
                is_number = cell.lstrip("-").replace(".", "", 1).isdigit()
                assert is_number or not cell.lstrip().startswith(("=", "+", "-", "@", "\t")), cell
    assert seen > 10  # they were there
