"""Every call that came in: looked at, searched for, and replayed, which credits nobody twice."""

import hashlib
import hmac
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from selenium.webdriver.common.by import By

from edge import database
from edge.__main__ import edge
from edge.domain import inbox, payments, people, provider_results, webhooks
from edge.errors import BadInput
from edge.handlers.webhooks import SETTLERS
from edge.models import Event, Grant, Inbox, Job, Payment
from edge.money_models import LedgerEntry, Receipt
from edge.pages.webhooks import body_words
from edge.settings_sections import Paystack
from edge.values.masking import mask_numbers
from edge.web import build
from edge.worker import work_once
from tests.browser import needs_chromium, press, says, set_width, words_of
from tests.shop import ASHA, NOW, prompt
from tests.web_client import PASSWORD, Browser

SHOP = "192.168.88.10"


def stk_body(payment, code=0, amount=20, receipt="UK5T712345"):
    told = {"Amount": amount, "MpesaReceiptNumber": receipt, "PhoneNumber": int(payment.msisdn)}
    items = [{"Name": name, "Value": value} for name, value in told.items()]
    inner = {"MerchantRequestID": "m", "CheckoutRequestID": payment.checkout_request_id, "ResultCode": code,
             "ResultDesc": "as M-Pesa says", "CallbackMetadata": {"Item": items}}  # fmt: skip
    return json.dumps({"Body": {"stkCallback": inner}}).encode()


@pytest.fixture
def app(settings):
    return build(replace(settings, paystack=Paystack(secret_key="sk_test_1", email="wifi@example.org")))


@pytest.fixture
def njeri(app):
    return signed_in(app, "Njeri")


def signed_in(app, name):
    browser = Browser(app, SHOP)
    assert browser.sign_in(name).status == 303
    return browser


def paid_by_callback(app):
    """Asha's payment, paid by a call that came to its own address; the call."""
    payment = prompt(ASHA)
    answer = Browser(app, "196.201.214.200").call("POST", f"/cb/{payment.secret}", body=stk_body(payment))
    assert (answer.status, Payment.get().state) == (200, "paid")
    return Inbox.get()


def money():
    return sum(row.money_cents for row in LedgerEntry.select()), Grant.select().count(), Receipt.select().count()


# Replay


def test_a_settled_call_may_be_replayed_any_number_of_times_and_says_what_came_of_it(app, settings):
    call = paid_by_callback(app)
    before = money()
    assert before == (2000, 1, 1)
    for _ in range(3):
        webhooks.replay(call.id, "Njeri", NOW)
        assert Inbox.get().outcome.startswith(inbox.UNSETTLED)
        work_once(settings, ("payments",))
        assert Inbox.get().outcome == "already paid; replayed; before: paid"
    assert money() == before
    told = Event.select().where(Event.name == "webhook.replayed")
    assert [event.data["outcome"] for event in told] == ["already paid"] * 3


def test_two_people_who_replay_one_call_at_once_settle_it_once(app, settings, at_once):
    call = paid_by_callback(app)
    at_once(lambda _: webhooks.replay(call.id, "Njeri", NOW), count=8)
    assert Job.select().where(Job.unique_key == f"inbox:{call.id}").count() == 1
    work_once(settings, ("payments",))
    assert (Inbox.get().outcome, money()) == ("already paid; replayed; before: paid", (2000, 1, 1))


@pytest.fixture
def at_once(settings):
    def run(act, count):
        def one(place):
            act(place)
            database.close_database()

        threads = [threading.Thread(target=one, args=(place,)) for place in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)

    return run


def test_a_call_that_proved_nothing_proves_nothing_when_replayed(app, settings):
    payment = prompt(ASHA)
    Browser(app, "203.0.113.5").call("POST", "/api/mpesa/callback", body=stk_body(payment))
    call = Inbox.get()
    webhooks.replay(call.id, "Njeri", NOW)
    work_once(settings, ("payments",))
    assert (Payment.get().state, money()) == ("prompted", (0, 0, 0))
    assert Inbox.get().outcome == "hint: asking M-Pesa; replayed; before: hint: asking M-Pesa"


def test_what_nobody_can_read_says_so_again_and_no_job_is_left_behind(app, settings):
    payment = prompt(ASHA)
    Browser(app, SHOP).call("POST", f"/cb/{payment.secret}", body=b"no JSON at all")
    Inbox.create(digest="x", source="::1", kind="of another release", body=b"{}", received_at=NOW)
    for call in list(Inbox.select()):
        webhooks.replay(call.id, "Njeri", NOW)
    work_once(settings, ("payments",))
    assert [row.outcome.partition(";")[0][:28] for row in Inbox.select().order_by(Inbox.id)] == [
        "unreadable: this is not JSON", "nothing here reads calls of ",
    ]  # fmt: skip
    assert Job.select().where(Job.name == "inbox.settle", Job.state != "done").count() == 0


def test_there_is_a_settler_for_every_kind_that_is_shown():
    assert set(SETTLERS) == set(webhooks.KINDS)


def test_no_call_is_no_replay(settings):
    with pytest.raises(BadInput, match="There is no call 7"):
        webhooks.replay(7, "Njeri", NOW)


def test_a_webhook_that_came_while_a_wrong_key_was_set_is_believed_once_the_right_one_is(app, settings):
    payment, _ = payments.initiate(payments.Wish(1, ASHA, provider="paystack"), NOW)
    data = {
        "status": "success", "reference": provider_results.reference_of(payment), "amount": 2000, "currency": "KES",
        "id": 4099260516,
    }  # fmt: skip
    body = json.dumps({"event": "charge.success", "data": data}).encode()
    signature = hmac.new(b"sk_test_right", body, hashlib.sha512).hexdigest()
    stranger, headers = Browser(app, "203.0.113.5"), {"x_paystack_signature": signature}
    assert stranger.call("POST", "/hooks/paystack", body=body, headers=headers).status == 401
    call = Inbox.get()
    for key, state in (("sk_test_1", "pending"), ("sk_test_right", "paid")):
        webhooks.replay(call.id, "Njeri", NOW)
        work_once(replace(settings, paystack=Paystack(secret_key=key, email="a@example.org")), ("payments",))
        assert Payment.get().state == state
    call = Inbox.get()
    assert (call.is_proof, call.payment_id, money()) == (True, payment.id, (2000, 1, 1))
    assert call.outcome == f"paid: payment {payment.id}; replayed; before: {webhooks.UNSIGNED}"


# The dashboard


def test_the_owner_reads_a_call_as_it_came_with_its_numbers_masked(app, njeri):
    call = paid_by_callback(app)
    page = njeri.get("/admin/webhooks")
    assert page.status == 200
    assert "M-Pesa prompt paid" in page.words and "196.201.214.200" in page.words
    page = njeri.get(f"/admin/webhooks/{call.id}")
    assert '"MpesaReceiptNumber"' in page.words and "UK5T712345" in page.words
    assert "0712•••678" in page.words and ASHA not in page.text and ASHA[3:] not in page.text
    assert f'href="/admin/payments/{call.payment_id}"' in page.text
    answer = njeri.post(f"/admin/webhooks/{call.id}/replay")
    assert (answer.status, answer.header("Location")) == (303, f"/admin/webhooks/{call.id}?replayed=1")
    assert "It is being settled anew" in njeri.get(f"/admin/webhooks/{call.id}", query="replayed=1").words


def test_calls_are_found_by_phone_receipt_number_source_and_words(app, njeri):
    call = paid_by_callback(app)
    Browser(app, "203.0.113.5").call("POST", "/hooks/paystack", body=b"{}")
    for typed, kind in (
        ("0712345678", "M-Pesa prompt"), ("UK5T712345", "M-Pesa prompt"), (f"WIFI{call.payment_id}", "M-Pesa prompt"),
        ("196.201.214.200", "M-Pesa prompt"), ("not signed", "Paystack"),
    ):  # fmt: skip
        words = njeri.get("/admin/webhooks", query=f"q={typed.replace(' ', '+')}").words.partition("Search")[2]
        assert kind in words and ("Paystack" in words) == (kind == "Paystack"), typed
    counts = (("state=unproven", 1), ("state=waiting", 0), ("kind=stk", 1), ("kind=c2b", 0), ("q=nobody", 0))
    for query, count in counts:
        assert njeri.get("/admin/webhooks", query=query).text.count('<li><a href="/admin/webhooks/') == count, query
    assert "No call belongs to" in njeri.get("/admin/webhooks", query="q=nobody").words


@pytest.mark.parametrize("query", ["state=elsewhere", "kind=telex", "before=x"])
def test_a_question_nobody_asks_is_answered_in_words(njeri, query):
    assert njeri.get("/admin/webhooks", query=query).status == 400


def test_a_technician_looks_and_only_the_owner_replays(app):
    call = paid_by_callback(app)
    otieno, wanjiku = signed_in(app, "Otieno"), Browser(app, SHOP)
    wanjiku.cookies["edge_session"] = people.sign_in("Wanjiku", PASSWORD, datetime.now(UTC), SHOP)
    assert "Replay it" not in otieno.get(f"/admin/webhooks/{call.id}").words
    assert otieno.post(f"/admin/webhooks/{call.id}/replay").status == 403
    assert wanjiku.get("/admin/webhooks").status == 403
    assert Browser(app, SHOP).get("/admin/webhooks").status == 303
    assert Inbox.get().outcome == "paid"


@pytest.mark.parametrize("call_id", [0, 7, 2**63])
def test_a_call_that_is_not_there_is_told(njeri, call_id):
    assert njeri.get(f"/admin/webhooks/{call_id}").status == 404


def test_a_hostile_body_is_only_text(app, njeri):
    payment = prompt(ASHA)
    poison = b'{"a": "<script>alert(1)</script>\\u202e\\u0007", "b": ' + b"[" * 3000 + b"\x00\xff\x1b[31m"
    Browser(app, SHOP).call("POST", f"/cb/{payment.secret}", body=poison)
    page = njeri.get(f"/admin/webhooks/{Inbox.get().id}")
    assert page.status == 200
    assert "<script>alert" not in page.text and "\x1b" not in page.text and "\x00" not in page.text
    assert "\x1b" not in body_words(Inbox.get(), masked=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"254712345678"', '"0712•••678"'),
        ("+254112345678 0712345678", "0112•••678 0712•••678"),
        ("ws_CO_191220261020363925712345678", "ws_CO_191220261020363925•••678"),
        ("20261105143022", "20261105143022"),
        ("2547123456789 UK07123456781", "2547123456789 UK07123456781"),
    ],
)
def test_numbers_are_masked_and_nothing_else_is(text, shown):
    assert mask_numbers(text) == shown


@needs_chromium
def test_the_calls_fit_a_small_phone_and_a_replay_shows_its_end(browser, address, settings):
    payment = prompt(ASHA)
    call = inbox.Call(f"/cb/{payment.secret}", "196.201.214.200", {"User-Agent": "x" * 150}, b"no JSON", None, payment,
                      fault="unreadable: the body is not JSON")  # fmt: skip
    inbox.receive(call, datetime.now(UTC))
    browser.get(address + "/admin/")
    browser.find_element(By.NAME, "name").send_keys("Njeri")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    press(browser, By.CSS_SELECTOR, "button.big")
    says(browser, "Takings")
    for width in (360, 1280):
        set_width(browser, width)
        for path in ("/admin/webhooks", "/admin/webhooks/1"):
            browser.get(address + path)
            assert "unreadable" in words_of(browser)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    press(browser, By.CSS_SELECTOR, "button.big")
    says(browser, "It is being settled anew")
    work_once(settings, ("payments",))
    says(browser, "replayed; before: unreadable")
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


# The command


@pytest.fixture
def command(settings, app):
    """`edge webhooks …` on this shop; what it printed."""

    def run(*words, code=0):
        found = CliRunner().invoke(edge, ["webhooks", *words, "--state", str(settings.state)])
        assert found.exit_code == code, found.output
        return found.output

    return run


def test_the_command_lists_shows_and_replays(app, command, settings):
    paid_by_callback(app)
    assert "stk" in command("list") and "paid" in command("list", "0712345678")
    assert command("list", "--kind", "c2b", "--json").strip() == '{"webhooks": []}'
    assert json.loads(command("list", "--outcome", "paid", "--json"))["webhooks"][0]["id"] == 1
    shown = command("show", "1")
    assert '"MpesaReceiptNumber"' in shown and ASHA not in shown and "0712•••678" in shown
    assert ASHA in command("show", "1", "--raw")
    assert json.loads(command("replay", "1", "--json"))["replayed"] is True
    work_once(settings, ("payments",))
    assert "already paid; replayed; before: paid" in command("show", "1")
    assert money() == (2000, 1, 1)
    assert "There is no call 7" in command("show", "7", code=1)
