"""Asha comes back, in a real Chromium on a small phone: by her device, by her code, moving, pausing, with a TV."""

import os
import threading
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from edge import worker
from edge.database import close_database
from edge.domain import access
from edge.models import Grant, Plan, Router
from edge.simulators.router import RouterSimulator
from tests import shop
from tests.browser import browser_of, needs_chromium, patiently, press, says, set_width, words_of

pytestmark = [needs_chromium, pytest.mark.timeout(240)]
PICTURES = os.environ.get("EDGE_PICTURES", "")  # a folder: every step is kept there as a picture to look at
PHONE, OTHER, TV = "AA:BB:CC:DD:EE:01", "DA:BB:CC:DD:EE:02", "00:1D:BA:11:22:33"


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def phone(request, tmp_path):
    browser = browser_of(tmp_path, scripts=request.param)
    browser.has_scripts = request.param
    set_width(browser, 360)
    yield browser
    browser.quit()


@pytest.fixture
def gate(settings, address):
    """Router `gate`, which sends its guests to this shop, and a worker that tells it who may be online."""
    with RouterSimulator(portal_url=address) as router:
        Router.create(
            name="gate", host="127.0.0.1", port=router.port, username=router.username, password=router.password,
            login_url=router.login_url,
        )  # fmt: skip
        stopping = threading.Event()
        thread = threading.Thread(target=_work, args=(settings, stopping), daemon=True)
        thread.start()
        yield router
        stopping.set()
        thread.join(60)


def _work(settings, stopping):
    while not stopping.wait(0.2):
        worker.work_once(settings, ["provisioning"])
    close_database()


def sold(**plan):
    """Asha's time, bought with her phone and placed on the router."""
    Plan.get().put(**plan, rate="2M/5M")
    grant = Grant.get(Grant.payment == shop.pay())
    grant.put(mac=PHONE)
    patiently(None, lambda _: access.is_let_in(Grant.get_by_id(grant.id)))
    return Grant.get_by_id(grant.id)


def join(phone, router, mac, ip):
    """On the WiFi, and sent to the portal by the router."""
    phone.get(f"{router.login_url.removesuffix('login')}?mac={mac}&ip={ip}")


def keep(phone, name):
    assert phone.execute_script("return document.documentElement.scrollWidth <= window.innerWidth") is not False
    if PICTURES:
        scripts = "with" if phone.has_scripts else "without"
        for width in (360, 1280):
            set_width(phone, width, 1300)
            phone.save_screenshot(str(Path(PICTURES) / f"{name}-{scripts}-{width}.png"))
        set_width(phone, 360)


def enter(phone, grant):
    if not phone.find_elements(By.CSS_SELECTOR, "details.code-box[open]"):
        press(phone, By.CSS_SELECTOR, ".code-box summary")
    for name, value in (("code", grant.username.lower()), ("pin", grant.password)):
        field = phone.find_element(By.NAME, name)
        field.clear()
        field.send_keys(value)
    press(phone, By.CSS_SELECTOR, ".code-box button.big")


def wait_until(phone, *words):
    """The page looks again by itself, with and without scripts."""
    patiently(phone, lambda page: any(word in words_of(page) for word in words))


def macs(router, grant):
    return [row["mac-address"] for row in router.active() if row["user"] == grant.username]


def test_a_device_with_time_left_connects_with_one_press_and_shows_no_code(gate, phone):
    grant = sold()
    join(phone, gate, PHONE, "10.5.50.7")
    says(phone, "This device has time left")
    keep(phone, "10-known")
    assert grant.username not in phone.page_source
    press(phone, By.CSS_SELECTOR, ".known button.big")
    wait_until(phone, "You are online")
    keep(phone, "11-connected")
    assert macs(gate, grant) == [PHONE]
    assert grant.username not in phone.page_source


def test_a_code_moves_to_a_new_phone_in_one_tap(gate, phone):
    grant = sold(devices=1)
    gate.add_host(PHONE, "10.5.50.7")
    assert gate.log_in(grant.username, grant.password, PHONE) == ""
    join(phone, gate, OTHER, "10.5.50.8")
    says(phone, "I have a code")
    keep(phone, "20-first-page")
    enter(phone, grant)
    says(phone, "You can go online")
    assert "private address" in words_of(phone)
    keep(phone, "21-by-code")
    press(phone, By.CSS_SELECTOR, "form button.big")
    says(phone, "Your code is in use on as many devices as your plan has")  # the router said so
    keep(phone, "22-refused")
    enter(phone, grant)
    says(phone, "Use it on this device instead")
    keep(phone, "23-move")
    press(phone, By.CSS_SELECTOR, "button[value=move]")
    wait_until(phone, "Press Connect.")
    keep(phone, "24-moved")
    press(phone, By.CSS_SELECTOR, "form button.big")
    patiently(phone, lambda _: macs(gate, grant) == [OTHER])


def test_a_wrong_pin_is_said_in_place(gate, phone):
    grant = sold()
    join(phone, gate, OTHER, "10.5.50.8")
    grant.password = "wrong"
    enter(phone, grant)
    says(phone, "do not fit together")
    keep(phone, "30-wrong")
    assert phone.find_element(By.NAME, "code").get_attribute("value").upper() == grant.username


def test_metered_time_is_paused_and_goes_on(gate, phone):
    grant = sold(metered=True, bytes=2_000_000_000)
    join(phone, gate, OTHER, "10.5.50.8")
    enter(phone, grant)
    says(phone, "1 hour of use left")
    assert "whichever comes first" in words_of(phone)
    keep(phone, "40-metered")
    gate.log_in(grant.username, grant.password, OTHER)
    press(phone, By.CSS_SELECTOR, "button[value=pause]")
    wait_until(phone, "Your time stands still")
    keep(phone, "41-paused")
    assert macs(gate, grant) == []
    press(phone, By.CSS_SELECTOR, "form button.big")
    patiently(phone, lambda _: macs(gate, grant) == [OTHER])


def test_a_tv_is_added_from_the_page_of_the_payment(gate, address, phone):
    grant = sold(devices=2)
    phone.get(f"{address}/p/{grant.payment.token}")
    press(phone, By.CSS_SELECTOR, ".code-box summary")
    keep(phone, "50-tv-form")
    phone.find_element(By.NAME, "mac").send_keys("not one")
    press(phone, By.CSS_SELECTOR, "button[value=add]")
    says(phone, "not a device address")
    keep(phone, "51-tv-wrong")
    field = phone.find_element(By.NAME, "mac")
    field.clear()
    field.send_keys("00-1d-ba-11-22-33")
    phone.find_element(By.NAME, "label").send_keys("Living room")
    press(phone, By.CSS_SELECTOR, "button[value=add]")
    says(phone, TV)
    keep(phone, "52-tv")
    patiently(phone, lambda _: TV in [row["name"] for row in gate.users()])
    press(phone, By.CSS_SELECTOR, "button[value=remove]")
    patiently(phone, lambda page: TV not in words_of(page))
    patiently(phone, lambda _: TV not in [row["name"] for row in gate.users()])


def test_an_end_says_why(gate, address, phone):
    grant = sold()
    access.end(grant, "data", shop.NOW)
    phone.get(f"{address}/p/{grant.payment.token}")
    says(phone, "Your data is used up")
    keep(phone, "60-ended")
