"""kill -9 of the web, the worker or both at each step of a sale: nothing lost, nothing twice, a question stays one."""

import pytest

from edge.simulators.mpesa import Customer
from tests.walks.box import Box, wait_for

pytestmark = pytest.mark.timeout(180)
each_part = pytest.mark.parametrize("victim", ["worker", "web", "both"])


def kill(box: Box, victim: str) -> None:
    for part in parts_of(victim):
        box.kill(part)


def start(box: Box, victim: str) -> None:
    box.start(*parts_of(victim))


def revive(box: Box, victim: str) -> None:
    kill(box, victim)
    start(box, victim)


def parts_of(victim: str) -> tuple[str, ...]:
    return ("web", "worker") if victim == "both" else (victim,)


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
    """One, or a question when the blow fell while the modem was at it; two, never."""
    wait_for(lambda: box.count("messages", "state IN ('sent', 'unconfirmed')") == 1)
    assert len(box.modem.sent) == 1 or (len(box.modem.sent) == 0 and box.count("messages", "state = 'unconfirmed'"))


@each_part
def test_after_the_purchase_was_acknowledged_and_before_the_phone_is_rung(shop: Box, victim: str) -> None:
    shop.mpesa.busy = True  # it turns the push away at the door: nothing was done, and it is tried again
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.count("jobs", "name = 'payment.prompt' AND attempt > 0 AND state = 'scheduled'"))
    revive(shop, victim)
    shop.mpesa.busy = False
    one_sale_came_of_it(shop, token)
    one_text_left(shop)


@each_part
def test_while_the_phone_rings(shop: Box, victim: str) -> None:
    shop.mpesa.customer = Customer("pays_late")
    token = shop.initiate()["payment_id"]
    shop.wait_for_status(token, "prompted")
    revive(shop, victim)
    shop.mpesa.release("254712345670")
    one_sale_came_of_it(shop, token)
    one_text_left(shop)


@each_part
def test_while_the_callback_finds_nobody_there(box: Box, victim: str) -> None:
    """Whoever is dead when the guest pays: the callback is kept by the web, or M-Pesa is asked later."""
    box.sections["mpesa"]["poll_s"] = [1, 2, 4, 8, 15]
    box.make()
    box.start()
    box.mpesa.customer = Customer("pays_late")
    token = box.initiate()["payment_id"]
    box.wait_for_status(token, "prompted")
    kill(box, victim)
    box.mpesa.release("254712345670")
    wait_for(lambda: box.mpesa.callbacks)
    start(box, victim)
    assert box.mpesa.callbacks[0].status == (200 if victim == "worker" else None)
    told = box.wait_for_status(token, "online")
    assert told["receipt"] == (box.mpesa.pushes[0].receipt if victim == "worker" else None)  # a query tells none
    one_text_left(box)
    assert (len(box.mpesa.pushes), box.count("grants"), box.count("messages")) == (1, 1, 1)


@each_part
def test_while_m_pesa_is_asked(box: Box, victim: str) -> None:
    box.sections["mpesa"]["poll_s"] = [1, 2, 4, 8, 15]
    box.make()
    box.start()
    box.mpesa.customer = Customer(callbacks=0)
    token = box.initiate()["payment_id"]
    wait_for(lambda: box.count("payments", "state = 'prompted'"))
    box.mpesa.slow_s = 3.0
    wait_for(lambda: box.count("jobs", "name = 'payment.ask' AND state = 'running'"))
    kill(box, victim)
    box.mpesa.slow_s = 0.0
    start(box, victim)
    box.wait_for_status(token, "online")
    one_text_left(box)
    assert (len(box.mpesa.pushes), box.count("grants"), box.count("messages")) == (1, 1, 1)


@each_part
def test_after_the_push_while_its_answer_is_on_the_way(shop: Box, victim: str) -> None:
    shop.mpesa.hold_push_answer.set()
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.mpesa.pushes)
    kill(shop, victim)
    start(shop, victim)
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
    wait_for(lambda: shop.count("messages", "state = 'sent'") == 2)  # the text does not wait for the router
    kill(shop, victim)
    shop.router.hold_answer = ""
    start(shop, victim)
    told = shop.wait_for_status(token, "online")
    names = [user["name"] for user in shop.router.users()]
    assert names.count(told["username"]) == 1
    assert len(names) == known + 1
    assert shop.count("grants") == 2
    wait_for(lambda: len(shop.modem.sent) == 2)
    assert shop.count("messages") == 2


@each_part
def test_before_the_text_is_handed_over(shop: Box, victim: str) -> None:
    shop.modem.prompt_delay_s = 1.5
    token = shop.initiate()["payment_id"]
    wait_for(lambda: any(command.startswith("AT+CMGS") for command in list(shop.modem.commands)))
    kill(shop, victim)
    assert shop.modem.sent == []
    shop.modem.prompt_delay_s = 0.0
    start(shop, victim)
    one_sale_came_of_it(shop, token)
    one_text_left(shop)  # a worker that died can't say that nothing left


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
