"""Asha buys her hour in a real Chromium, on a small phone: with scripts, and without."""

import os
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from edge.simulators.mpesa import Customer
from tests.browser import browser_of, needs_chromium, patiently, press, says, set_width, words_of
from tests.walks.box import Box, wait_for

pytestmark = [needs_chromium, pytest.mark.timeout(240)]
PICTURES = os.environ.get("EDGE_PICTURES", "")  # a folder: every step is kept there as a picture to look at


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def phone(request, tmp_path):
    browser = browser_of(tmp_path, scripts=request.param)
    browser.has_scripts = request.param
    set_width(browser, 360)
    yield browser
    browser.quit()


def keep(phone, name):
    if PICTURES:
        scripts = "with" if phone.has_scripts else "without"
        for width in (360, 1280):
            set_width(phone, width)
            phone.save_screenshot(str(Path(PICTURES) / f"{name}-{scripts}-{width}.png"))
        set_width(phone, 360)


def wait_until(phone, *words):
    """The page says it by itself; without scripts the guest presses what the page offers."""

    def tells(page):
        if any(word in words_of(page) for word in words):
            return True
        if not phone.has_scripts:
            page.find_element(By.LINK_TEXT, "Check again").click()
        return False

    patiently(phone, tells)


def fits(phone):
    return phone.execute_script("return document.documentElement.scrollWidth <= window.innerWidth") is not False


def join_and_ask(shop: Box, phone, number="0712 345 670"):
    shop.router.portal_url = shop.url
    phone.get(f"{shop.router.login_url.removesuffix('login')}?mac=AA:BB:CC:DD:EE:01&ip=10.5.50.7")
    assert "1 hour" in words_of(phone)
    keep(phone, "1-plans")
    press(phone, By.CSS_SELECTOR, "#plan-1")
    phone.find_element(By.NAME, "phone_number").send_keys(number)
    press(phone, By.CSS_SELECTOR, "button.big")


def test_asha_buys_an_hour_and_connects(shop: Box, phone) -> None:
    shop.mpesa.customer = Customer("pays_late")
    join_and_ask(shop, phone)
    wait_until(phone, "Check your phone")
    keep(phone, "2-prompted")
    phone.refresh()
    phone.back()
    phone.forward()
    shop.mpesa.release("254712345670")
    wait_until(phone, "Connect")
    keep(phone, "3-online")
    told = words_of(phone)
    assert "1 hour" in told
    assert shop.rows("SELECT username FROM grants")[0][0] in told
    assert fits(phone) or not phone.has_scripts
    press(phone, By.CSS_SELECTOR, "form button.big")
    wait_for(lambda: shop.router.active())
    keep(phone, "4-connected")
    assert shop.router.active()[0]["mac-address"] == "AA:BB:CC:DD:EE:01"
    assert len(shop.mpesa.pushes) == 1


def test_pressing_pay_again_from_the_page_before_is_the_same_payment(shop: Box, phone) -> None:
    shop.mpesa.customer = Customer("pays_late")
    join_and_ask(shop, phone)
    wait_until(phone, "Check your phone")
    phone.back()
    patiently(phone, lambda page: page.find_elements(By.NAME, "phone_number"))
    field = phone.find_element(By.NAME, "phone_number")
    field.clear()
    field.send_keys("0712345670")
    press(phone, By.CSS_SELECTOR, "button.big")
    wait_until(phone, "Check your phone")
    assert (shop.count("payments"), len(shop.mpesa.pushes)) == (1, 1)


def test_juma_cancels_and_may_choose_again(shop: Box, phone) -> None:
    shop.mpesa.customer = Customer("cancels", delay_s=0.5)
    join_and_ask(shop, phone)
    wait_until(phone, "cancelled")
    keep(phone, "5-cancelled")
    press(phone, By.LINK_TEXT, "Choose again")
    says(phone, "1 hour")


def test_a_wrong_number_is_told_and_mended_in_place(shop: Box, phone) -> None:
    join_and_ask(shop, phone, "12345")
    assert "not a Kenyan mobile number" in words_of(phone)
    field = phone.find_element(By.NAME, "phone_number")
    keep(phone, "6-wrong-number")
    assert shop.count("payments") == 0
    assert field.get_attribute("value") == "12345"  # to be mended, not typed anew
    field.clear()
    field.send_keys("0712 345 670")
    press(phone, By.CSS_SELECTOR, "button.big")
    wait_until(phone, "Check your phone", "Connect")
    assert shop.rows("SELECT mac FROM payments") == [("AA:BB:CC:DD:EE:01",)]
