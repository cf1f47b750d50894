"""The doctor for one guest in a real Chromium: it changes when the router has answered, and fits a small phone."""

from datetime import UTC, datetime

import pytest
from selenium.webdriver.common.by import By

from edge.domain import checks
from edge.models import Grant, Router
from edge.simulators.router import RouterSimulator
from edge.worker import work_once
from tests.browser import needs_chromium, press, says, set_width
from tests.shop import ASHA, pay
from tests.test_dashboard_browser import sign_in

pytestmark = needs_chromium
PHONE = "00:11:22:00:00:01"


@pytest.fixture
def sim():
    with RouterSimulator() as simulator:
        yield simulator


@pytest.fixture
def grant(settings, sim):
    Router.create(name="gate", host="127.0.0.1", port=sim.port, username="edge", password="edge")
    payment = pay(ASHA, datetime.now(UTC))
    found = Grant.get(Grant.payment == payment)
    found.put(mac=PHONE)
    return found


def test_the_page_changes_by_itself_when_the_router_has_answered(browser, address, settings, sim, grant):
    work_once(settings, ["provisioning"])
    sim.add_host(PHONE, "10.5.50.20")
    sign_in(browser, address)
    press(browser, By.LINK_TEXT, "Doctor")
    browser.find_element(By.ID, "q").send_keys("0712 345 678")
    press(browser, By.CSS_SELECTOR, ".search button")
    says(browser, "Router gate is being asked…")
    browser.execute_script("window.stayed = true")
    work_once(settings, ["router-checks"])
    says(browser, "nobody is logged in with his code on router gate")
    assert browser.execute_script("return window.stayed") is True
    press(browser, By.CSS_SELECTOR, "li.problem form.cures button[class='quiet']")
    says(browser, "being logged in anew")
    work_once(settings, ["provisioning"])
    assert [row["user"] for row in sim.active()] == [grant.username]
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_its_screen(browser, address, settings, grant, width):
    gate = Router.get()
    gate.put(name="a-router-with-a-name-that-has-no-end-" * 3)
    checks.record_router(gate.id, False, "w" * 200, datetime.now(UTC))
    sign_in(browser, address)
    set_width(browser, width)
    for query in ("", "?q=0712345678", "?q=" + "x" * 250, "?q=%3Cb%3E"):
        browser.get(f"{address}/admin/doctor{query}")
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, query


