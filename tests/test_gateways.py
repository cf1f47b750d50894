"""Every way to be paid behind one small interface: started, asked and read alike, and none mistaken for another."""

from datetime import UTC, datetime

import pytest

from edge.devices.gateways import AtTheCounter, MpesaGateway
from edge.devices.mpesa import Mpesa
from edge.devices.opening import Devices
from edge.domain import provider_results
from edge.errors import Refused, Unconfirmed
from edge.handlers import payments as asking
from edge.handlers.world import World
from edge.models import Grant, Payment
from edge.money_models import LedgerEntry
from edge.settings import Settings
from edge.settings_sections import Mpesa as MpesaSettings
from edge.settings_sections import Paystack
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.mpesa.simulator import SANDBOX_PASSKEY
from edge.values.gateway import Charge
from edge.worker import work_once
from tests.shop import ASHA


@pytest.fixture
def mpesa():
    with MpesaSimulator() as simulator:
        yield simulator


def gateway_to(simulator):
    return MpesaGateway(
        Mpesa(simulator.base_url, "edge-rehearsal", "edge-rehearsal", "174379", SANDBOX_PASSKEY, timeout_s=5)
    )


def test_mpesa_is_pushed_asked_and_read_through_the_interface(mpesa):
    gateway = gateway_to(mpesa)
    charge = Charge("WIFI7", ASHA, 2000, "WiFi 1 hour", "http://127.0.0.1:1/cb/secret")
    started = gateway.start(charge)
    assert mpesa.wait_until_quiet()
    push = mpesa.pushes[0]
    assert (started.kind, started.reference) == ("rings", push.checkout_request_id)
    assert (push.msisdn, push.amount, push.callback_url) == (ASHA, 20, charge.callback_url)
    assert (push.fields["AccountReference"], push.fields["TransactionDesc"]) == ("WIFI7", "WiFi 1 hour")
    answer = gateway.ask(started.reference)
    assert (answer.kind, answer.code, answer.amount_cents) == ("paid", "0", None)


def test_what_mpesa_posts_proves_nothing_by_itself(mpesa):
    gateway = gateway_to(mpesa)
    body = b'{"Body":{"stkCallback":{"CheckoutRequestID":"ws_CO_1","ResultCode":0,"CallbackMetadata":{"Item":[' \
        b'{"Name":"Amount","Value":20},{"Name":"MpesaReceiptNumber","Value":"UK5T712345"}]}}}}'
    notice = gateway.read({}, body)
    assert (notice.is_authentic, notice.reference) == (False, "ws_CO_1")
    assert (notice.answer.kind, notice.answer.receipt, notice.answer.amount_cents) == ("paid", "UK5T712345", 2000)


def test_a_lost_push_stays_unconfirmed_because_mpesa_does_not_take_our_name(mpesa):
    gateway = gateway_to(mpesa)
    mpesa.lose_push_answer = True
    with pytest.raises(Unconfirmed):
        gateway.start(Charge("WIFI7", ASHA, 2000, "WiFi", "http://127.0.0.1:1/cb/secret"))
    assert not gateway.takes_our_reference


@pytest.mark.parametrize("name", ["cash", "voucher"])
def test_what_is_paid_at_the_counter_is_paid_at_once_and_nobody_can_be_asked(name):
    gateway = AtTheCounter(name)
    assert gateway.name == name
    assert gateway.start(Charge("WIFI7", ASHA, 2000)).kind == "paid"
    assert gateway.ask("WIFI7").kind == "unknown"
    assert not gateway.read({}, b"{}").is_authentic


@pytest.mark.parametrize("told", [Paystack(), Paystack(secret_key="sk_test_1"), Paystack(email="a@example.org")])
def test_a_gateway_that_is_not_set_up_refuses_in_words(tmp_path, told):
    devices = Devices(Settings(state=tmp_path, paystack=told))
    with pytest.raises(Refused, match=r"\[paystack\]"):
        devices.gateway("paystack")
    with pytest.raises(Refused, match="airtel is not set up"):
        devices.gateway("airtel")


def test_the_settings_open_every_gateway_by_its_name(tmp_path):
    told = Settings(state=tmp_path, paystack=Paystack(secret_key="sk_test_1", email="wifi@example.org"))
    devices = Devices(told)
    names = ("mpesa", "cash", "voucher", "paystack")
    assert [devices.gateway(name).name for name in names] == list(names)
    devices.close()


def test_a_payment_of_mpesa_is_pushed_to_mpesa_as_ever(box, mpesa):
    payment = box.pending(box.asha)
    told = Settings(state=box.folder, mpesa=MpesaSettings(base_url=mpesa.base_url, timeout_s=5))
    work = asking.prompt_payment(World(Devices(told), told), box.now, payment.id)
    work(box.now)
    push = mpesa.pushes[0]
    assert push.fields["AccountReference"] == provider_results.reference_of(payment)
    assert push.callback_url == told.mpesa.placeholder_url
    payment = Payment.get()
    assert (payment.state, payment.checkout_request_id) == ("prompted", push.checkout_request_id)


def test_cash_that_is_started_like_any_other_payment_is_a_sale_in_the_books(box):
    payment = box.pending(box.asha)
    payment.put(provider="cash")
    told = Settings(state=box.folder)
    asking.prompt_payment(World(Devices(told), told), box.now, payment.id)(box.now)
    payment = Payment.get()
    assert (payment.state, payment.witness, Grant.select().count()) == ("paid", "staff", 1)
    sale = LedgerEntry.get()
    assert (sale.kind, sale.method, sale.money_cents) == ("sale", "cash", 2000)


def test_a_payment_whose_gateway_is_gone_fails_in_words_and_rings_nobody(box):
    box.now = datetime.now(UTC)
    payment = box.pending(box.asha)
    payment.put(provider="paystack")
    work_once(Settings(state=box.folder), ("payments",))
    payment = Payment.get()
    assert (payment.state, payment.result_code) == ("failed", "push-refused")
    assert "paystack is not set up" in box.events("payment.failed")[0]["words"]
