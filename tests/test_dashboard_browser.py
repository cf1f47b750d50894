"""The owner's pages in a real Chromium: they change by themselves, fit a small phone, and need no script."""

import pytest
from selenium.webdriver.common.by import By

from edge.models import Grant, Router
from tests.browser import browser_of, needs_chromium, patiently, press, says, set_width, words_of
from tests.shop import ASHA, JUMA, let_in, pay, worker_is_alive
from tests.web_client import PASSWORD

pytestmark = needs_chromium


@pytest.fixture
def plain_browser(tmp_path):
    browser = browser_of(tmp_path, scripts=False)
    yield browser
    browser.quit()


def sign_in(browser, address):
    browser.get(address + "/admin/")
    browser.find_element(By.NAME, "name").send_keys("Njeri")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    press(browser, By.CSS_SELECTOR, "button.big")
    says(browser, "Takings")


def test_a_sale_appears_on_today_without_reloading(browser, address):
    worker_is_alive()
    gate = Router.create(name="gate", host="10.5.50.1")
    sign_in(browser, address)
    browser.execute_script("window.stayed = true")
    payment = pay(ASHA)
    says(browser, "0712•••678 paid KSh 20 for 1 hour")
    says(browser, "Paid, not online\n1")
    let_in(payment, gate)
    says(browser, "Everybody who paid is online.")
    assert browser.execute_script("return window.stayed") is True
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_a_story_goes_on_while_it_is_read_and_what_was_opened_stays_open(browser, address):
    gate = Router.create(name="gate", host="10.5.50.1")
    payment = pay(ASHA, body=b'{"raw": "as it came"}')
    sign_in(browser, address)
    browser.get(f"{address}/admin/payments/{payment.id}")
    press(browser, By.TAG_NAME, "summary")
    says(browser, "as it came")
    let_in(payment, gate)
    says(browser, "Router gate knows the guest")
    assert '{"raw": "as it came"}' in words_of(browser)


def test_a_page_says_when_the_box_does_not_answer(browser, address):
    sign_in(browser, address)
    browser.execute_cdp_cmd("Network.enable", {})
    away = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", away)
    says(browser, "The box does not answer")
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**away, "offline": False})
    patiently(browser, lambda page: not page.find_element(By.ID, "offline").is_displayed())


@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_its_screen(browser, address, width):
    Router.create(name="a-router-with-a-name-that-has-no-end-" * 3, host="10.5.60.1")
    payment = pay(ASHA, body=b"x" * 3000)
    pay(JUMA, receipt="R" * 60)
    Grant.get(Grant.payment == payment).placements[0].put(words="w" * 200)
    sign_in(browser, address)
    set_width(browser, width)
    for path in ("/admin/", "/admin/payments", f"/admin/payments/{payment.id}", "/admin/payments/999"):
        browser.get(address + path)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, path


def test_everything_works_without_scripts(plain_browser, address):
    plain_browser.get("data:text/html,<noscript>no scripts here</noscript>")
    assert "no scripts here" in words_of(plain_browser, "body")
    payment = pay(ASHA)
    sign_in(plain_browser, address)
    press(plain_browser, By.LINK_TEXT, "Payments")
    plain_browser.find_element(By.ID, "q").send_keys("0712 345 678")
    press(plain_browser, By.CSS_SELECTOR, ".search button")
    patiently(plain_browser, lambda page: "q=" in page.current_url)
    says(plain_browser, "0712•••678")
    press(plain_browser, By.PARTIAL_LINK_TEXT, "0712•••678")
    says(plain_browser, f"WIFI{payment.id}")
    press(plain_browser, By.CSS_SELECTOR, "form[action$=recheck] button")
    says(plain_browser, "We ask again")
    press(plain_browser, By.CSS_SELECTOR, ".out button")
    says(plain_browser, "Sign in")
