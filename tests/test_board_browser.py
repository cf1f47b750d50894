"""The board in a real Chromium: it changes by itself, fits a small phone, and needs no script."""

from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver.common.by import By

from edge import desk, jobs
from edge.domain import breakers
from edge.models import Heartbeat, Job, JobMinute
from tests.browser import browser_of, needs_chromium, press, says, set_width
from tests.shop import NOW, fail, worker_is_alive
from tests.test_dashboard_browser import sign_in

pytestmark = needs_chromium
LONG = "HTTPSConnectionPool(host='api.safaricom.co.ke',port=443):Maxretriesexceededwithurl:/mpesa/stkpush/v1/" * 3


def promise(name, queue, **more):
    return Job.get_by_id(jobs.promise(name, queue, datetime.now(UTC), **more))


def test_the_board_follows_the_work_without_reloading(browser, address):
    worker_is_alive()
    Heartbeat.update(seen_at=NOW + timedelta(hours=1)).execute()
    sign_in(browser, address)
    browser.get(address + "/admin/queues")
    says(browser, "All is well")
    browser.execute_script("window.stayed = true")
    press(browser, By.TAG_NAME, "summary")
    job = promise("sms.send", "sms")
    says(browser, "Waiting\n1")
    assert jobs.claim("sms", "w", datetime.now(UTC)).id == job.id
    says(browser, "Send a text")
    fail(job)
    JobMinute.create(minute=int(datetime.now(UTC).timestamp() // 60), queue="sms", name="sms.send", failed=1)
    says(browser, "1 failed")
    assert browser.find_elements(By.CSS_SELECTOR, "rect.failed")
    assert browser.find_element(By.CSS_SELECTOR, "table.figures").is_displayed()  # what was opened stays open
    assert browser.execute_script("return window.stayed") is True
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_a_job_is_put_off_and_cancelled_by_hand(browser, address):
    job = promise("sms.send", "sms", run_at=datetime.now(UTC) + timedelta(hours=1))
    sign_in(browser, address)
    browser.get(f"{address}/admin/jobs/{job.id}")
    says(browser, "in 59 min")
    wanted = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=3)
    on_the_wall = (wanted + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    field = browser.find_element(By.ID, "at")
    browser.execute_script("arguments[0].value = arguments[1]", field, on_the_wall)
    press(browser, By.CSS_SELECTOR, "form[action$=move] button")
    says(browser, "It has a new time.")
    assert Job.get_by_id(job.id).run_at == wanted
    press(browser, By.CSS_SELECTOR, "form[action$=cancel] button")
    says(browser, "It is cancelled.")
    assert Job.get_by_id(job.id).state == "cancelled"


def test_failed_work_is_forgotten_only_by_who_says_so_twice(browser, address):
    fail(promise("sms.send", "sms"))
    sign_in(browser, address)
    browser.get(f"{address}/admin/queues/sms")
    press(browser, By.CSS_SELECTOR, "form[action$=clear] button")
    assert Job.select().count() == 1  # the browser itself asks for the box to be ticked
    press(browser, By.NAME, "sure")
    press(browser, By.CSS_SELECTOR, "form[action$=clear] button")
    says(browser, "Forgotten: 1")
    assert Job.select().count() == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_of_the_board_fits_its_screen(browser, address, width):
    worker_is_alive()
    Heartbeat.update(host="a-worker-machine-with-a-name-that-has-no-end." * 3, stuck=1).execute()
    for number in range(60):
        job = promise("sms.send" if number % 2 else "a.kind.of.work.with.a.very.long.name.of.its.own", "sms")
        fail(job, LONG)
    held = promise("photo.thumbnails", "photos", lane="x" * 200, cause="y" * 200)
    Job.update(state="running", holder="w", started_at=NOW, progress=50, progress_words="z" * 190).where(
        Job.id == held.id
    ).execute()
    for minute in range(60):
        JobMinute.create(minute=int(NOW.timestamp() // 60) - minute, queue="sms", name="sms.send", done=10**7,
                         failed=10**6, wait_s=10**9, wait_max_s=10**6)  # fmt: skip
    for _ in range(breakers.FAILURES):
        breakers.note_failure("mpesa", LONG, NOW)
    desk.pause("sms", "w" * 200, NOW)
    sign_in(browser, address)
    set_width(browser, width)
    for path in ("/admin/queues", "/admin/queues?span=week", "/admin/queues?state=failed",
                 "/admin/queues/sms", "/admin/queues/photos", f"/admin/jobs/{held.id}", "/admin/jobs/1",
                 "/admin/queues?q=nobody"):  # fmt: skip
        browser.get(address + path)
        for part in browser.find_elements(By.TAG_NAME, "summary"):
            part.click()
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, path


def test_the_board_works_without_scripts(tmp_path, address):
    fail(promise("sms.send", "sms"))
    browser = browser_of(tmp_path, scripts=False)
    try:
        sign_in(browser, address)
        for way, what in (
            (By.LINK_TEXT, "Work"), (By.LINK_TEXT, "Look again"), (By.LINK_TEXT, "sms"),
            (By.PARTIAL_LINK_TEXT, "Send a text"), (By.CSS_SELECTOR, "form[action$=retry] button"),
        ):  # fmt: skip
            press(browser, way, what)
        says(browser, "It is on its way again.")
        press(browser, By.LINK_TEXT, "Queue sms")
        press(browser, By.CSS_SELECTOR, "form[action$=pause] button")
        says(browser, "The queue is paused.")
        press(browser, By.CSS_SELECTOR, "form[action$=resume] button")
        says(browser, "The queue is taken up again.")
    finally:
        browser.quit()
