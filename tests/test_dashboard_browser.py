"""The owner's pages in a real Chromium: they change by themselves, fit a small phone, and need no script."""

import time

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from edge.models import Grant, Router
from tests.browser import PATIENCE_S, browser_of, needs_chromium
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
    browser.find_element(By.CSS_SELECTOR, "button.big").click()
    wait_for(browser, "Takings")


def wait_for(browser, words):
    waiting = WebDriverWait(browser, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException])
    waiting.until(lambda page: words in page.find_element(By.TAG_NAME, "main").text)


def set_width(browser, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_a_sale_appears_on_today_without_reloading(browser, address):
    worker_is_alive()
    gate = Router.create(name="gate", host="10.5.50.1")
    sign_in(browser, address)
    browser.execute_script("window.stayed = true")
    payment = pay(ASHA)
    wait_for(browser, "0712•••678 paid KSh 20 for 1 hour")
    wait_for(browser, "Paid, not online\n1")
    let_in(payment, gate)
    wait_for(browser, "Everybody who paid is online.")
    assert browser.execute_script("return window.stayed") is True
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_a_story_goes_on_while_it_is_read_and_what_was_opened_stays_open(browser, address):
    gate = Router.create(name="gate", host="10.5.50.1")
    payment = pay(ASHA, body=b'{"raw": "as it came"}')
    sign_in(browser, address)
    browser.get(f"{address}/admin/payments/{payment.id}")
    browser.find_element(By.TAG_NAME, "summary").click()
    wait_for(browser, "as it came")
    let_in(payment, gate)
    wait_for(browser, "Router gate knows the guest")
    assert '{"raw": "as it came"}' in browser.find_element(By.TAG_NAME, "main").text


def test_a_page_says_when_the_box_does_not_answer(browser, address):
    sign_in(browser, address)
    browser.execute_cdp_cmd("Network.enable", {})
    away = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", away)
    wait_for(browser, "The box does not answer")
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**away, "offline": False})
    deadline = time.monotonic() + PATIENCE_S
    while browser.find_element(By.ID, "offline").is_displayed():
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
    assert "no scripts here" in plain_browser.find_element(By.TAG_NAME, "body").text
    payment = pay(ASHA)
    sign_in(plain_browser, address)
    plain_browser.find_element(By.LINK_TEXT, "Payments").click()
    plain_browser.find_element(By.ID, "q").send_keys("0712 345 678")
    plain_browser.find_element(By.CSS_SELECTOR, ".search button").click()
    WebDriverWait(plain_browser, PATIENCE_S).until(lambda page: "q=" in page.current_url)
    wait_for(plain_browser, "0712•••678")
    plain_browser.find_element(By.PARTIAL_LINK_TEXT, "0712•••678").click()
    wait_for(plain_browser, f"WIFI{payment.id}")
    plain_browser.find_element(By.CSS_SELECTOR, "form .big, button.big").click()
    wait_for(plain_browser, "M-Pesa will be asked")
    plain_browser.find_element(By.CSS_SELECTOR, ".out button").click()
    wait_for(plain_browser, "Sign in")
