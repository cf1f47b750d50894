"""The network's pages in a real Chromium: they change by themselves, fit a small phone, and need no script."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver.common.by import By

from edge.domain import checks, sessions, strangers
from edge.models import Grant, Job, Router
from edge.network_models import RouterSample, Session, Stranger
from edge.values.hotspot import KnownUser
from tests.browser import browser_of, needs_chromium, patiently, press, says, set_width
from tests.shop import ASHA, pay
from tests.test_dashboard_browser import sign_in

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def it_is_now(monkeypatch):
    """What was heard five minutes ago is old news, and all the tests together take longer."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))

pytestmark = needs_chromium
PHONE = "DA:BB:CC:00:00:01"
LONG = "a-name-without-an-end-and-without-a-blank-anywhere-in-it-that-nobody-would-choose" * 2


def gate(**more):
    return Router.create(**{"name": "gate", "host": "10.5.50.1", "username": "edge", "booted_at": NOW, **more})


def stay(router, **more):
    now = datetime.now(UTC)
    values = {"key": f"k{Session.select().count()}", "source": "router", "username": "ASHA2345", "mac": PHONE}
    return Session.create(**{**values, "router": router, "started_at": now, "seen_at": now, **more})


def test_a_guest_comes_and_is_logged_out_without_reloading(browser, address):
    router = gate()
    checks.record_router(router.id, True, "RouterOS 7.19.6", datetime.now(UTC))
    sign_in(browser, address)
    browser.get(address + "/admin/network")
    says(browser, "Nobody is online.")
    browser.execute_script("window.stayed = true")
    session = stay(router, grant=Grant.get(Grant.payment == pay(ASHA).id))
    says(browser, "0712•••678")
    says(browser, "private address")
    assert browser.execute_script("return window.stayed") is True
    press(browser, By.CSS_SELECTOR, "form[action$=kick] button")
    says(browser, "The router is asked to log this device out.")
    assert Job.get(Job.name == "session.kick").args["who"] == "Njeri"
    browser.execute_script("window.stayed = true")
    sessions.record_kicked(session.id, "Njeri", datetime.now(UTC))  # as its worker does
    says(browser, "Nobody is online.")
    assert browser.execute_script("return window.stayed") is True
    browser.get(f"{address}/admin/guests/{session.grant_id}")
    says(browser, "logged out by staff")
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_a_router_that_goes_away_turns_red_by_itself(browser, address):
    router = gate()
    checks.record_router(router.id, True, "RouterOS 7.19.6", datetime.now(UTC))
    sign_in(browser, address)
    browser.get(f"{address}/admin/routers/{router.id}")
    says(browser, "Works")
    browser.get(address + "/admin/network")
    says(browser, "1 of 1")
    checks.record_router(router.id, False, "no answer at 10.5.50.1:8728", datetime.now(UTC), "check its power")
    says(browser, "0 of 1")
    says(browser, "check its power")


def test_a_stranger_is_removed_only_by_who_says_so_twice(browser, address):
    router = gate()
    strangers.record(router.id, [KnownUser("by-hand", "vc-811", "default", False, 0, 0)], NOW)
    sign_in(browser, address)
    browser.get(f"{address}/admin/routers/{router.id}")
    press(browser, By.CSS_SELECTOR, ".decide summary")
    press(browser, By.CSS_SELECTOR, "form[action$=remove] button")
    assert Stranger.get().state == "found"  # the browser itself asks for the box to be ticked
    press(browser, By.NAME, "sure")
    press(browser, By.CSS_SELECTOR, "form[action$=remove] button")
    says(browser, "The router is asked to forget this user.")
    assert Stranger.get().state == "unwanted"


def lively(router):
    """As wide as a shop can make it: long names, big figures, a full day."""
    now = datetime.now(UTC)
    grant = Grant.get(Grant.payment == pay(ASHA).id)
    for number in range(60):
        stay(router, mac=f"02:00:00:00:00:{number:02X}", username=LONG, ip="100.100.100.100", bps_out=9.9e9,
             bytes_out=10**13, seconds=10**7, grant=grant if number % 2 else None)  # fmt: skip
    stay(router, grant=grant, ended_at=now, cause=LONG, bytes_in=10**13, seconds=10**7)
    for minutes in range(0, 1_440, 10):
        RouterSample.create(router=router, at=now - timedelta(minutes=minutes), online=minutes, hosts=10**6,
                            cpu_load=100, bps_in=9e9, bps_out=1e9)  # fmt: skip
    for ok in (True, False) * 4:
        checks.record_router(router.id, ok, LONG, now, LONG)
    strangers.record(router.id, [KnownUser(LONG + str(n), LONG, LONG, False, 0, 0) for n in range(60)], now)
    return grant


@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_of_the_network_fits_its_screen(browser, address, width):
    router = gate(name=LONG, facts={"version": LONG, "board": LONG}, clock_offset_s=10**7)
    grant = lively(router)
    sign_in(browser, address)
    set_width(browser, width)
    for path in ("/admin/network", "/admin/network?q=nobody" + LONG, f"/admin/routers/{router.id}",
                 f"/admin/guests/{grant.id}"):  # fmt: skip
        browser.get(address + path)
        for part in browser.find_elements(By.TAG_NAME, "summary"):
            browser.execute_script("arguments[0].parentNode.open = true", part)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, path


def test_the_network_works_without_scripts(tmp_path, address):
    router = gate()
    stay(router, grant=Grant.get(Grant.payment == pay(ASHA).id))
    browser = browser_of(tmp_path, scripts=False)
    try:
        sign_in(browser, address)
        for way, what in ((By.LINK_TEXT, "Network"), (By.LINK_TEXT, "Look again"), (By.LINK_TEXT, "0712•••678")):
            press(browser, way, what)
        says(browser, "What 0712 345 678 used")
        press(browser, By.CSS_SELECTOR, "form[action$=kick] button")
        says(browser, "The router is asked to log this device out.")
        assert patiently(browser, lambda page: "/admin/guests/" in page.current_url)
    finally:
        browser.quit()
