"""kill -9 of the web or the worker at each step of a sale: nothing lost, nothing twice, a question stays one."""

import pytest

from tests.walks.box import Box, wait_for

pytestmark = pytest.mark.timeout(180)
each_part = pytest.mark.parametrize("victim", ["worker", "web"])


def revive(box: Box, victim: str) -> None:
    box.kill(victim)
    box.start(victim)


def one_sale_came_of_it(box: Box, token: str) -> None:
    """The invariants of every row of the table."""
    told = box.wait_for_status(token, "online")
    assert told["receipt"] == box.mpesa.pushes[0].receipt
    wait_for(lambda: box.count("jobs", "state IN ('waiting', 'running')") == 0)
    assert len(box.mpesa.pushes) == 1
    assert box.count("payments", "state = 'paid'") == 1
    assert box.count("grants") == 1
    assert [user["name"] for user in box.router.users() if user["name"] != "default-trial"] == [told["username"]]
    assert box.count("events", "name = 'payment.processed'") == 1
    assert box.count("messages") == 1


def one_text_left(box: Box) -> None:
    wait_for(lambda: box.count("messages", "state = 'sent'") == 1)
    assert len(box.modem.sent) == 1


@each_part
def test_after_the_push_while_its_answer_is_on_the_way(shop: Box, victim: str) -> None:
    shop.mpesa.hold_push_answer.set()
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.mpesa.pushes)
    shop.kill(victim)
    shop.start(victim)
    shop.mpesa.hold_push_answer.clear()
    one_sale_came_of_it(shop, token)
    one_text_left(shop)


@each_part
def test_after_the_callback_was_acknowledged(shop: Box, victim: str) -> None:
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.mpesa.callbacks)  # the 200 has just left
    revive(shop, victim)
    assert shop.mpesa.callbacks[0].status == 200
    one_sale_came_of_it(shop, token)
    one_text_left(shop)


@each_part
def test_after_settling_and_before_the_router_knows(shop: Box, victim: str) -> None:
    shop.router.unplugged = True
    token = shop.initiate()["payment_id"]
    shop.wait_for_status(token, "paid")
    revive(shop, victim)
    shop.router.unplugged = False
    one_sale_came_of_it(shop, token)
    one_text_left(shop)


@each_part
def test_after_the_router_was_told_and_before_it_was_written_down(shop: Box, victim: str) -> None:
    shop.wait_for_status(shop.initiate("0712345671", "AA:BB:CC:DD:EE:02")["payment_id"], "online")  # a warm connection
    wait_for(lambda: shop.count("messages", "state = 'sent'") == 1)
    shop.mpesa.pushes.clear()
    known = len(shop.router.users())
    shop.router.hold_answer = "/ip/hotspot/user/add"
    token = shop.initiate()["payment_id"]
    wait_for(lambda: len(shop.router.users()) > known)
    shop.kill(victim)
    shop.router.hold_answer = ""
    shop.start(victim)
    told = shop.wait_for_status(token, "online")
    names = [user["name"] for user in shop.router.users()]
    assert names.count(told["username"]) == 1
    assert len(names) == known + 1
    assert shop.count("grants") == 2
    wait_for(lambda: len(shop.modem.sent) == 2)
    assert shop.count("messages") == 2


@each_part
def test_after_the_text_was_handed_over_and_before_it_was_written_down(shop: Box, victim: str) -> None:
    shop.modem.lose_answer = True
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.modem.sent)
    revive(shop, victim)
    shop.modem.lose_answer = False
    one_sale_came_of_it(shop, token)
    wait_for(lambda: shop.count("messages", "state = 'unconfirmed'") == 1)
    shop.command("queue", "work", "--once", "--queue", "sms")
    assert len(shop.modem.sent) == 1  # asked, perhaps; sent again, never


@each_part
def test_after_everything_is_done(shop: Box, victim: str) -> None:
    token = shop.initiate()["payment_id"]
    shop.wait_for_status(token, "online")
    one_text_left(shop)
    revive(shop, victim)
    one_sale_came_of_it(shop, token)
    one_text_left(shop)
