"""A sale on bad days: a clock that is years off at boot, a disk that is full at any of its commits, slow flushes."""

import resource
import struct
import time
from pathlib import Path

import pytest
import requests

from edge.simulators.mpesa import Customer
from tests.torture import shims
from tests.walks.box import Box, wait_for

pytestmark = pytest.mark.timeout(240)
each_part = pytest.mark.parametrize("full", ["web", "worker"])
YEAR = 365 * 86400


def one_sale(box: Box, token: str) -> None:
    """Whatever the day was like: once paid, once on the router, one text."""
    told = box.wait_for_status(token, "online")
    wait_for(lambda: box.count("jobs", "state = 'running' OR (state = 'waiting' AND once_key IS NULL)") == 0)
    wait_for(lambda: box.count("messages", "state = 'sent'") == 1)
    assert (len(box.mpesa.pushes), len(box.modem.sent)) == (1, 1)
    assert (box.count("payments", "state = 'paid'"), box.count("grants"), box.count("messages")) == (1, 1, 1)
    assert [user["name"] for user in box.router.users() if user["name"] != "default-trial"] == [told["username"]]


class Time:
    """The box's clock, as wrong as it is told to be."""

    def __init__(self, box: Box, folder: Path) -> None:
        self._file = folder / "wrong-clock"
        self._file.write_bytes(bytes(8))
        box.preload("clock", WRONG_CLOCK=str(self._file))

    def be_wrong_by(self, seconds: int) -> None:
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))


@shims.needs_compiler
@pytest.mark.parametrize("wrong_s", [-40 * YEAR, 6 * YEAR], ids=["years behind", "years ahead"])
def test_a_clock_that_is_wrong_at_boot_sells_and_takes_nobodys_time(box: Box, tmp_path: Path, wrong_s: int) -> None:
    clock = Time(box, tmp_path)
    box.make()
    clock.be_wrong_by(wrong_s)
    box.start()
    one_sale(box, box.initiate()["payment_id"])
    assert box.count("clock", "trusted") == 0
    assert box.count("grants", "state = 'live'") == 1
    box.kill("worker")
    clock.be_wrong_by(0)
    box.start("worker")
    wait_for(lambda: box.count("clock", "trusted"))
    now = time.time()
    state, ends_at = box.rows("SELECT state, ends_at FROM grants")[0]
    assert state == "live"
    assert now + 3400 < ends_at < now + 3700  # an hour from about now, whatever year the sale believed it was
    ahead = box.rows("SELECT name, run_at FROM jobs WHERE state = 'scheduled'")
    assert [name for name, run_at in ahead if run_at > now + 2 * 86400] == []


@shims.needs_compiler
def test_a_clock_put_right_in_the_middle_of_a_sale_changes_nothing(box: Box, tmp_path: Path) -> None:
    clock = Time(box, tmp_path)
    box.sections["mpesa"]["poll_s"] = [1, 2, 4, 8]
    box.make()
    clock.be_wrong_by(-40 * YEAR)
    box.start()
    box.mpesa.customer = Customer("pays_late")
    token = box.initiate()["payment_id"]
    wait_for(lambda: box.mpesa.pushes)
    box.wait_for_status(token, "prompted")
    clock.be_wrong_by(0)
    box.mpesa.release("254712345670")
    one_sale(box, token)


# The disk fills, and later there is room again. Each row is one commit of a sale: what is under way when it fills, and
# what shows that this commit was due.


@each_part
def test_no_room_for_the_promise_is_said_at_once_and_room_later_is_enough(shop: Box, full: str) -> None:
    shop.fill_disk(full)
    wish = {"package_id": 1, "phone_number": "0712345670", "mac_address": "AA:BB:CC:DD:EE:01", "idempotency_key": "k"}
    answer = requests.post(f"{shop.url}/api/payments/initiate", json=wish, timeout=20)
    assert answer.status_code == (503 if full == "web" else 202)
    assert shop.count("payments") == (0 if full == "web" else 1)
    time.sleep(1.0)  # the worker looks, and can't claim
    assert shop.mpesa.pushes == []
    shop.make_room(full)
    answer = requests.post(f"{shop.url}/api/payments/initiate", json=wish, timeout=20)
    assert answer.status_code == (202 if full == "web" else 200)
    one_sale(shop, answer.json()["payment_id"])


@each_part
def test_no_room_to_write_down_that_the_phone_rings(shop: Box, full: str) -> None:
    shop.mpesa.hold_push_answer.set()
    token = shop.initiate()["payment_id"]
    wait_for(lambda: shop.mpesa.pushes)
    shop.fill_disk(full)
    shop.mpesa.customer = Customer("pays")
    shop.mpesa.hold_push_answer.clear()
    wait_for(lambda: shop.mpesa.callbacks)
    assert shop.mpesa.callbacks[0].status == (503 if full == "web" else 200)
    time.sleep(1.0)
    shop.make_room(full)
    if full == "web":  # M-Pesa does not call again: the box asks
        wait_for(lambda: shop.count("payments", "checkout_request_id IS NOT NULL"))
        shop.command("payment", "recheck", "1")
    one_sale(shop, token)


@each_part
def test_no_room_to_write_down_that_the_router_knows(shop: Box, full: str) -> None:
    shop.router.hold_answer = "/ip/hotspot/user/add"
    token = shop.initiate()["payment_id"]
    wait_for(lambda: "/ip/hotspot/user/add" in list(shop.router.commands))
    shop.fill_disk(full)
    shop.router.hold_answer = ""
    time.sleep(1.5)
    shop.make_room(full)
    one_sale(shop, token)


@each_part
def test_no_room_to_write_down_that_the_text_left(shop: Box, full: str) -> None:
    shop.modem.delay_s = 1.5
    token = shop.initiate()["payment_id"]
    wait_for(lambda: "AT+CMGS" in "".join(list(shop.modem.commands)))
    shop.fill_disk(full)
    wait_for(lambda: shop.modem.sent)
    time.sleep(1.0)
    shop.make_room(full)
    one_sale(shop, token)


@each_part
def test_no_room_between_any_two_steps_is_only_a_delay(shop: Box, full: str) -> None:
    """Room comes and goes four times a second while the sale goes on."""
    wish = {"package_id": 1, "phone_number": "0712345670", "mac_address": "AA:BB:CC:DD:EE:01", "idempotency_key": "k"}
    tokens: list[str] = []
    for turn in range(24):
        shop.fill_disk(full) if turn % 2 == 0 else shop.make_room(full)
        if not tokens:
            answer = requests.post(f"{shop.url}/api/payments/initiate", json=wish, timeout=20)
            tokens += [answer.json()["payment_id"]] if answer.ok else []
        time.sleep(0.13)
    shop.make_room(full)
    if shop.mpesa.wait_until_quiet() and any(call.status != 200 for call in shop.mpesa.callbacks):
        wait_for(lambda: shop.count("payments", "checkout_request_id IS NOT NULL"))
        shop.command("payment", "recheck", "1")
    one_sale(shop, tokens[0])


@shims.needs_compiler
def test_flushes_of_ten_milliseconds_slow_a_sale_and_change_nothing(box: Box) -> None:
    box.preload("slow_flush", SLOW_FLUSH_MS="10")
    box.make()
    box.start()
    box.mpesa.customer = Customer(callbacks=2)
    tokens = [box.initiate(f"07123456{n}", f"AA:BB:CC:DD:EE:{n}")["payment_id"] for n in range(10, 16)]
    codes = {box.wait_for_status(token, "online")["username"] for token in tokens}
    wait_for(lambda: len(box.modem.sent) == 6)
    assert len(codes) == box.count("grants") == box.count("messages") == len(box.mpesa.pushes) == 6


@shims.needs_compiler
@pytest.mark.parametrize("victim", ["worker", "web"])
def test_killed_between_slow_flushes_nothing_is_lost_or_doubled(box: Box, victim: str) -> None:
    box.preload("slow_flush", SLOW_FLUSH_MS="10")
    box.make()
    box.start()
    token = box.initiate()["payment_id"]
    wait_for(lambda: box.mpesa.callbacks)
    box.kill(victim)
    box.start(victim)
    assert box.mpesa.callbacks[0].status == 200
    told = box.wait_for_status(token, "online")
    wait_for(lambda: box.count("messages", "state IN ('sent', 'unconfirmed')") == 1)
    assert (len(box.mpesa.pushes), box.count("grants"), len(box.modem.sent) <= 1) == (1, 1, True)
    assert [user["name"] for user in box.router.users() if user["name"] != "default-trial"] == [told["username"]]


def test_the_limit_that_stands_for_a_full_disk_is_one(shop: Box) -> None:
    """Else the rows above would prove nothing."""
    shop.fill_disk("web")
    limits = resource.prlimit(shop.processes["web"].pid, resource.RLIMIT_FSIZE)
    assert limits == (0, resource.RLIM_INFINITY)
    assert requests.post(f"{shop.url}/api/payments/initiate", timeout=20, json={
        "package_id": 1, "phone_number": "0712345670"}).status_code == 503  # fmt: skip
