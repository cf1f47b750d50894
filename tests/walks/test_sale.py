"""An hour is sold from the portal to the router, on good days and bad ones."""

import resource
import threading
import time

import pytest
import requests

from edge.devices import radius
from edge.simulators.guests import Guest
from edge.simulators.mpesa import Customer
from edge.simulators.router.radius_client import Accepted, RadiusClient
from tests.walks.box import RADIUS_SECRET, Box, wait_for

pytestmark = pytest.mark.timeout(180)
ASHA = "254712345670"


def a_guest(box: Box, phone: str = "0712 345 670") -> Guest:
    return Guest(box.router.login_url.removesuffix("/login"), "AA:BB:CC:DD:EE:01", "10.5.50.7", phone)


def names_on(box: Box) -> list[str]:
    return [user["name"] for user in box.router.users() if user["name"] != "default-trial"]


def events_of(box: Box) -> list[str]:
    return [row[0] for row in box.rows("SELECT name FROM events ORDER BY id")]


def test_asha_joins_buys_and_is_online_with_a_text(shop: Box) -> None:
    shop.router.portal_url = shop.url
    assert a_guest(shop).buy_and_connect(threading.Event()) == "online"
    active = shop.router.active()
    assert [(session["mac-address"], session["address"]) for session in active] == [("AA:BB:CC:DD:EE:01", "10.5.50.7")]
    assert names_on(shop) == [active[0]["user"]]
    assert shop.modem.wait_for_sent(1)
    text = shop.modem.sent[0]
    assert (text.msisdn.lstrip("+"), len(text.pdus)) == (ASHA, 1)
    assert active[0]["user"] in text.text
    assert shop.mpesa.pushes[0].receipt in text.text
    happened = events_of(shop)
    assert happened.count("payment.processed") == happened.count("user.provisioned") == 1


def test_every_callback_comes_twice_and_counts_once(shop: Box) -> None:
    shop.mpesa.customer = Customer(callbacks=2)
    tokens = [shop.initiate(f"07123456{n}", f"AA:BB:CC:DD:EE:{n}")["payment_id"] for n in range(10, 13)]
    codes = {shop.wait_for_status(token, "online")["username"] for token in tokens}
    assert shop.mpesa.wait_until_quiet()
    assert sorted(names_on(shop)) == sorted(codes)
    assert wait_for(lambda: len(shop.modem.sent) == 3)
    assert (shop.count("grants"), shop.count("messages"), shop.count("inbox")) == (3, 3, 3)
    assert shop.rows("SELECT SUM(repeats) FROM inbox") == [(3,)]


def test_the_callback_arrives_before_the_answer_to_the_push(shop: Box) -> None:
    shop.mpesa.customer = Customer(callback_first=True)
    token = shop.initiate()["payment_id"]
    assert shop.wait_for_status(token, "online")["receipt"]
    assert len(shop.mpesa.pushes) == 1


def test_without_a_public_address_the_box_asks(box: Box) -> None:
    box.sections["web"]["public_url"] = ""
    box.sections["mpesa"]["poll_s"] = [1, 2, 4, 8]
    box.make()
    box.start()
    box.mpesa.customer = Customer(delay_s=1.5)
    told = box.wait_for_status(box.initiate()["payment_id"], "online")
    assert told["receipt"] is None  # a query tells no receipt
    assert box.mpesa.pushes[0].callback_url == "https://box.invalid/none"
    assert wait_for(lambda: box.modem.sent)


def test_a_callback_that_never_comes_is_made_up_for_by_asking(box: Box) -> None:
    box.sections["mpesa"]["poll_s"] = [1, 2, 4, 8]
    box.make()
    box.start()
    box.mpesa.customer = Customer(callbacks=0)
    box.wait_for_status(box.initiate()["payment_id"], "online")
    assert box.count("inbox") == 0


def test_while_m_pesa_stutters_nobody_is_told_to_pay_again(box: Box) -> None:
    box.sections["mpesa"]["poll_s"] = [1, 2, 3, 4, 6, 8]
    box.make()
    box.start()
    box.mpesa.customer = Customer("pays_late", callbacks=0)
    box.mpesa.pending_form = "processing"
    token = box.initiate()["payment_id"]
    wait_for(lambda: len(box.mpesa.queries) >= 2)
    assert box.status(token)["status"] == "prompted"
    box.mpesa.release(ASHA)
    box.wait_for_status(token, "online")


@pytest.mark.parametrize("fault", ["down", "broken"])
def test_a_push_that_nobody_answers_for_is_a_question_and_not_a_second_push(shop: Box, fault: str) -> None:
    wait_for(lambda: shop.count("checks", "name = 'mpesa' AND state = 'ok'"))  # so there is a token
    setattr(shop.mpesa, fault, True)
    token = shop.initiate()["payment_id"]
    assert shop.wait_for_status(token, "prompted")["receipt"] is None
    setattr(shop.mpesa, fault, False)
    assert shop.initiate()["payment_id"] == token
    assert "prompt.unconfirmed" in events_of(shop)
    assert (shop.mpesa.pushes, shop.count("jobs", "name = 'payment.prompt' AND state = 'failed'")) == ([], 1)


@pytest.mark.parametrize("fault", ["html", "busy"])
def test_m_pesa_away_at_the_push_is_tried_again(shop: Box, fault: str) -> None:
    wait_for(lambda: shop.count("checks", "name = 'mpesa' AND state = 'ok'"))
    setattr(shop.mpesa, fault, True)
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.count("jobs", "name = 'payment.prompt' AND (attempt > 0 AND state != 'running')"))
    assert shop.status(token)["status"] == "pending"
    setattr(shop.mpesa, fault, False)
    shop.wait_for_status(token, "online")
    assert len(shop.mpesa.pushes) == 1


def test_a_push_whose_answer_was_lost_is_not_sent_again(shop: Box) -> None:
    shop.mpesa.lose_push_answer = True
    token = shop.initiate()["payment_id"]
    told = shop.wait_for_status(token, "online")  # the callback came to the payment's own address
    assert told["receipt"]
    assert len(shop.mpesa.pushes) == 1


@pytest.mark.parametrize(("kind", "words"), [("cancels", "cancelled"), ("no_money", "not enough money")])
def test_who_does_not_pay_is_told_why(shop: Box, kind: str, words: str) -> None:
    shop.mpesa.customer = Customer(kind)  # type: ignore[arg-type]
    told = shop.wait_for_status(shop.initiate()["payment_id"], "failed")
    assert words in told["message"]
    assert (told["username"], shop.count("grants"), names_on(shop)) == (None, 0, [])


def test_a_router_away_for_the_whole_sale_gets_its_guest_later(shop: Box) -> None:
    shop.router.unplugged = True
    token = shop.initiate()["payment_id"]
    told = shop.wait_for_status(token, "paid")
    assert told["username"]
    assert wait_for(lambda: shop.modem.sent)  # the text does not wait for the router
    shop.router.unplugged = False
    told = shop.wait_for_status(token, "online")
    assert names_on(shop) == [told["username"]]


def test_a_router_that_answers_half_a_sentence_delays_but_does_not_double(shop: Box) -> None:
    shop.router.half_sentence = True
    token = shop.initiate()["payment_id"]
    shop.wait_for_status(token, "paid")
    wait_for(lambda: shop.count("jobs", "name = 'grant.place' AND attempt > 0 AND state = 'scheduled'"))
    shop.router.half_sentence = False
    told = shop.wait_for_status(token, "online")
    assert names_on(shop) == [told["username"]]


def test_a_modem_silent_after_the_hand_over_is_never_sent_twice(shop: Box) -> None:
    shop.modem.lose_answer = True
    token = shop.initiate()["payment_id"]
    shop.wait_for_status(token, "online")
    wait_for(lambda: shop.count("messages", "state = 'unconfirmed'"))
    shop.modem.lose_answer = False
    shop.command("queue", "work", "--once", "--queue", "sms")
    assert len(shop.modem.sent) == 1


def test_a_disk_that_is_full_acknowledges_nothing(shop: Box) -> None:
    shop.mpesa.customer = Customer("pays_late")
    token = shop.initiate()["payment_id"]
    shop.wait_for_status(token, "prompted")
    shop.kill("worker")
    secret = shop.rows("SELECT secret FROM payments")[0][0]
    body = shop.mpesa.callback_body(shop.mpesa.pushes[0].checkout_request_id)
    no_room = (0, resource.RLIM_INFINITY)  # not a byte more into any file, wherever the WAL stands just now
    resource.prlimit(shop.processes["web"].pid, resource.RLIMIT_FSIZE, no_room)
    answer = requests.post(f"{shop.url}/cb/{secret}", json=body, timeout=20)
    assert answer.status_code == 503
    assert shop.count("inbox") == 0
    resource.prlimit(
        shop.processes["web"].pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    assert requests.post(f"{shop.url}/cb/{secret}", json=body, timeout=20).status_code == 200
    shop.start("worker")
    shop.wait_for_status(token, "online")


def test_twenty_equal_callbacks_at_once_are_one_sale(shop: Box) -> None:
    shop.mpesa.customer = Customer("pays_late")
    token = shop.initiate()["payment_id"]
    shop.wait_for_status(token, "prompted")
    secret = shop.rows("SELECT secret FROM payments")[0][0]
    body = shop.mpesa.callback_body(shop.mpesa.pushes[0].checkout_request_id)
    answers: list[int] = []

    def call() -> None:
        answers.append(requests.post(f"{shop.url}/cb/{secret}", json=body, timeout=30).status_code)

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 20
    shop.wait_for_status(token, "online")
    wait_for(lambda: shop.modem.sent)
    time.sleep(0.3)
    assert (shop.count("grants"), shop.count("messages"), len(shop.modem.sent)) == (1, 1, 1)


def test_stop_and_start_again_lose_nothing(shop: Box) -> None:
    shop.mpesa.customer = Customer(delay_s=1.0)
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.mpesa.pushes)
    shop.stop()
    log = shop.log()
    assert "Traceback" not in log, log
    shop.start("web", "worker")
    shop.command("payment", "recheck", "1")
    shop.wait_for_status(token, "online")


@pytest.mark.skipif(not radius.installed(), reason="FreeRADIUS is missing: make test installs it where it may")
def test_in_radius_mode_the_network_lets_her_in_from_the_commit_on(box: Box) -> None:
    box.router_keys |= {"mode": "radius", "radius_secret": RADIUS_SECRET, "username": "", "password": ""}
    box.make()
    box.start()
    box.router.radius = RadiusClient(
        "127.0.0.1", box.auth_port, box.acct_port, RADIUS_SECRET, nas_identifier="gate"
    )  # fmt: skip
    box.router.portal_url = box.url
    assert a_guest(box).buy_and_connect(threading.Event()) == "online"
    assert [session["radius"] for session in box.router.active()] == ["true"]
    assert names_on(box) == []
    told = box.status(box.rows("SELECT token FROM payments")[0][0])
    phone = {"mac": "AA:BB:CC:DD:EE:01", "ip": "10.5.50.7", "session_id": "80a00009"}
    answer = box.router.radius.log_in(told["username"], told["password"], **phone)
    assert isinstance(answer, Accepted)
    assert 3500 < (answer.session_timeout_s or 0) <= 3600
