"""A real Chromium for tests, quiet and without a network of its own."""

import shutil

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_S = 60

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium is missing: make test installs it where it may"
)


def browser_of(tmp_path, *, scripts=True):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (*QUIET, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def set_width(browser, width, height=800):
    """As wide as a phone: a window of Chromium alone is never narrower than 500 px."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def patiently(browser, question):
    """The first true answer to `question(browser)`.

    A page may change under any look at it, and the driver has several words for that, not all of them its
    own exceptions ("Node with given id does not belong to the document"): whatever it says, look again.
    """
    waiting = WebDriverWait(browser, PATIENCE_S, poll_frequency=0.2, ignored_exceptions=[WebDriverException])
    return waiting.until(question)


def words_of(browser, tag="main"):
    return patiently(browser, lambda page: page.find_element(By.TAG_NAME, tag).text)


def says(browser, words):
    """Waits until the page says `words`."""
    patiently(browser, lambda page: words in page.find_element(By.TAG_NAME, "main").text)


def press(browser, way, what):
    """Presses it once it is there."""
    patiently(browser, lambda page: page.find_element(way, what).click() or True)
