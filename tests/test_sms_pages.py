"""The pages of texts through the real application: outbox, one text, writing, a person, credits, the modem."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from selenium.webdriver.common.by import By

from edge import jobs
from edge.domain import airtime, checks, contacts, credits, messages, routing
from edge.domain import events as events_of
from edge.models import Job, Message, Staff
from edge.settings_sections import ModemSettings, Sms
from edge.sms_models import Airtime, Campaign, Contact, CreditEntry, MessageSegment, ModemSample
from edge.web import build
from tests.browser import needs_chromium, press, says, set_width
from tests.shop import ASHA, JUMA, worker_is_alive
from tests.test_dashboard_browser import sign_in
from tests.web_client import signed_in

POISON = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def by_the_modem():
    """A modem is set up, unless a test says otherwise."""
    routing.configure(Sms(), has_modem=True, is_rehearsal=False)
    yield
    routing.configure(Sms(), has_modem=False, is_rehearsal=False)
    airtime.configure(airtime.Rules())


def now():
    return datetime.now(UTC)


def text(msisdn=ASHA, words="Your hour ends soon", kind="notice", **more):
    return messages.promise(msisdn, words, now(), kind=kind, **more)


def topped_up(amount=100):
    credits.top_up(amount, "M-Pesa TCK1", None, now())


# The outbox.


def test_an_empty_outbox_says_so_and_every_page_of_texts_is_one_step_away(njeri):
    page = njeri.get("/admin/sms")
    assert page.status == 200 and "No text was written yet." in page.words
    for place in ("", "/inbox", "/campaigns", "/templates", "/credits", "/modem"):
        assert f'href="/admin/sms{place}"' in page.text
    assert 'href="/admin/sms" aria-current="page">Texts' in page.text


def test_texts_stand_newest_first_with_state_route_and_price_in_words(njeri):
    text()
    taken = text(JUMA, "Hi", kind="hand")
    messages.mark_sent(taken.id, "africastalking", "ATXid_1", now(), price_cents=80)
    words = njeri.get("/admin/sms").words
    first, second = words.index("0722•••111"), words.index("0712•••678")
    assert first < second
    assert "by hand · Hi" in words and "1 segment · Africa's Talking · KSh 0.80 sent" in words
    assert "notice · Your hour ends soon" in words and "1 segment waiting" in words
    assert "254712345678" not in words and "0712 345 678" not in words


def test_the_days_figures_are_told_a_route(njeri):
    for route in ("modem", "modem", "twilio"):
        messages.mark_sent(text().id, route, "", now())
    messages.mark_delivered(text().id, now())
    messages.mark_failed(text().id, "the network refuses", now())
    messages.mark_unconfirmed(text().id, "no answer", now())
    yesterday = text()
    Message.update(created_at=now() - timedelta(days=2)).where(Message.id == yesterday.id).execute()
    words = njeri.get("/admin/sms").words
    assert "Sent today 4 1 are known to have arrived" in words
    assert "Waiting to be sent 0 Failed 1 Nobody knows 1" in words
    assert "Today by route: the modem : 2 sent; Twilio : 1 sent." in words


def test_texts_are_found_by_state_by_kind_and_by_the_whole_number(njeri):
    text(words="to be found")
    messages.mark_failed(text(JUMA, "not this").id, "no", now())
    assert "not this" not in njeri.get("/admin/sms", "state=queued").words
    assert "to be found" not in njeri.get("/admin/sms", "state=failed&kind=notice").words
    found = njeri.get("/admin/sms", "q=0712+345+678").words
    assert "to be found" in found and "not this" not in found
    assert "Type the whole number" in njeri.get("/admin/sms", "q=345").words
    assert njeri.get("/admin/sms", "state=lost").status == njeri.get("/admin/sms", "kind=lost").status == 400
    assert "No such text." in njeri.get("/admin/sms", "kind=campaign").words


def test_older_texts_are_on_a_further_page(njeri):
    for number in range(45):
        text(words=f"number {number} ends")
    page = njeri.get("/admin/sms", "state=queued")
    older = re.search(r'href="/admin/sms\?(state=queued&amp;before=\d+)"', page.text)[1].replace("&amp;", "&")
    assert "number 44 ends" in page.words and "number 4 ends" not in page.words
    assert "number 4 ends" in njeri.get("/admin/sms", older).words


def test_a_text_of_hostile_words_is_only_words(njeri):
    message = text(words=POISON)
    messages.mark_failed(message.id, POISON, now())
    for path in ("/admin/sms", f"/admin/sms/{message.id}", f"/admin/sms/people/{message.id}"):
        page = njeri.get(path)
        assert POISON not in page.text and "alert(1)" in page.text


def test_simulated_texts_are_marked_wherever_they_stand(njeri):
    routing.configure(Sms(), has_modem=False, is_rehearsal=True)
    message = text()
    messages.mark_sent(message.id, "simulated", "", now())
    for path in ("/admin/sms", f"/admin/sms/{message.id}", "/admin/sms/write", "/admin/sms/modem"):
        assert "Texts are simulated." in njeri.get(path).words, path
    assert "simulated: nothing left the box" in njeri.get("/admin/sms").words
    routing.configure(Sms(), has_modem=False, is_rehearsal=False)
    assert "No text can leave." in njeri.get("/admin/sms").words


# One text.


def test_a_text_tells_its_story_to_the_last_word(njeri):
    message = text(kind="hand", staff_id=Staff.get(Staff.name == "Njeri").id)
    messages.mark_sent(message.id, "modem", "7,8", now(), references=(7, 8))
    MessageSegment.update(status=0, done_at=now()).where(MessageSegment.number == 1).execute()
    MessageSegment.update(status=0x46, done_at=now()).where(MessageSegment.number == 2).execute()
    messages.mark_undelivered(message.id, "the phone was off too long", now())
    words = njeri.get(f"/admin/sms/{message.id}").words
    for told in ("Text 1 to 0712 345 678 failed", "Written, to be sent.", "it is known there as 7,8",
                 "segment 1 arrived", "segment 2 will not arrive (status 0x46)",
                 "Failed: the phone was off too long", "Written by Njeri"):  # fmt: skip
        assert told in words, told


def test_a_text_links_to_its_job_its_payment_and_its_campaign(njeri):
    message = text()
    job = Job.get(Job.name == "sms.send")
    page = njeri.get(f"/admin/sms/{message.id}")
    assert f'href="/admin/jobs/{job.id}"' in page.text
    jobs.end_unbegun(job, "cancelled", now())
    messages.mark_failed(message.id, "cancelled", now())
    assert f'href="/admin/jobs/{job.id}"' in njeri.get(f"/admin/sms/{message.id}").text
    campaign = Campaign.create(name="Jamhuri", text="Hi", created_at=now())
    Message.update(campaign_id=campaign.id).where(Message.id == message.id).execute()
    assert f'href="/admin/sms/campaigns/{campaign.id}">Jamhuri' in njeri.get(f"/admin/sms/{message.id}").text


def test_a_code_that_was_sold_is_for_the_owners_eyes(njeri, otieno):
    message = text(words="Code ABCD2345 PIN 1234. Call 0733 000 222", kind="code")
    assert "ABCD2345" in njeri.get(f"/admin/sms/{message.id}").words
    assert "ABCD2345" not in njeri.get("/admin/sms").words
    seen = otieno.get(f"/admin/sms/{message.id}").words
    assert "ABCD2345" not in seen and "0712•••678" in seen and "0712 345 678" not in seen
    other = text(words="Call 0733 000 222", kind="notice")
    assert "Call 0733•••222" in otieno.get(f"/admin/sms/{other.id}").words


def test_what_nobody_knows_is_said_with_what_to_do(njeri):
    message = text()
    messages.mark_unconfirmed(message.id, "the answer was lost", now())
    words = njeri.get(f"/admin/sms/{message.id}").words
    assert "So it is not sent again by itself" in words and "the answer was lost" in words


def test_there_is_no_page_for_a_text_that_is_not_there(njeri):
    for path in ("/admin/sms/9", "/admin/sms/people/9", "/admin/sms/contacts/9", f"/admin/sms/{2**70}"):
        assert njeri.get(path).status == 404, path


def test_texts_are_not_for_the_cashier(app):
    wanjiku = signed_in(app, "Wanjiku")
    for path in ("/admin/sms", "/admin/sms/write", "/admin/sms/credits", "/admin/sms/modem"):
        assert wanjiku.get(path).status == 403
    assert "/admin/sms" not in wanjiku.get("/admin/counter").text


# Writing one.


def written(browser, words="Your cable is here", **more):
    return browser.post("/admin/sms/write", {"phone": "0712 345 678", "text": words, **more})


def test_what_a_text_takes_is_said_before_it_is_sent(njeri):
    topped_up(5)
    page = written(njeri, "x" * 161)
    assert page.status == 200 and "161 letters, 2 segments: 2 credits." in page.words
    assert "Send it for 2 credits" in page.words and "5 credits are available" in page.words
    assert not Message.select().exists()


def test_the_letter_that_makes_it_dear_is_named(njeri):
    page = written(njeri, "Karibu 😀 kwa “Njeri”")
    assert "Because of 😀 a segment holds 70 letters, not 160." in page.words


def test_a_text_is_sent_only_for_what_was_counted(njeri):
    topped_up(5)
    changed = written(njeri, "x" * 161, do="send", counted="1")
    assert changed.status == 200 and not Message.select().exists()
    sent = written(njeri, "one\r\ntwo", do="send", counted="1")
    message = Message.get()
    assert sent.status == 303 and sent.header("Location") == f"/admin/sms/{message.id}?did=written"
    assert (message.msisdn, message.text, message.kind, message.cost) == (ASHA, "one\ntwo", "hand", 1)
    assert message.staff_id == Staff.get(Staff.name == "Njeri").id
    assert credits.balance().available == 4 and credits.balance().reserved == 1
    assert "Written. It is sent as soon as" in njeri.get(f"/admin/sms/{message.id}", "did=written").words


def test_too_few_credits_refuse_it_with_the_figures(njeri):
    page = written(njeri, do="send", counted="1")
    assert page.status == 400 and "This takes 1, and 0 are available" in page.words
    assert not Message.select().exists() and not CreditEntry.select().exists()


@pytest.mark.parametrize(
    ("form", "words"),
    [({"phone": "12"}, "number"), ({"text": " \r\n "}, "Write something."),
     ({"text": "x" * 2_001}, "This text has 2001 letters")],
)  # fmt: skip
def test_what_cannot_be_sent_is_said_in_the_form(njeri, form, words):
    page = njeri.post("/admin/sms/write", {"phone": "0712345678", "text": "Hi", **form})
    assert page.status == 400 and words in page.words


def test_control_letters_and_right_to_left_are_sent_as_they_are_or_counted_dear(njeri):
    topped_up()
    for words in ("a\x1ab\x1bc", "\u202eabc", "مرحبا", "a\x00b"):
        page = written(njeri, words)
        assert page.status == 200, repr(words)


# A person.


def test_a_person_has_statistics_and_a_wish(njeri):
    messages.mark_sent(text().id, "africastalking", "a", now(), price_cents=80)
    messages.mark_delivered(Message.get().id, now())
    last = text()
    messages.mark_failed(last.id, "no", now())
    words = njeri.get(f"/admin/sms/people/{last.id}").words
    assert "Sent to this number 1" in words and "Known to have arrived 1 Failed 1" in words
    assert "Paid for them KSh 0.80" in words and "never asked" in words


def test_staff_write_down_that_a_person_agreed_and_how(njeri):
    last = text()
    path = f"/admin/sms/people/{last.id}"
    assert njeri.post(path, {"wish": "agree", "how": " "}).status == 400
    assert njeri.post(path, {"wish": "agree", "how": "form of 3 March"}).status == 303
    assert contacts.may_market(ASHA)
    assert "agreed to offers by Njeri: form of 3 March" in njeri.get(path).words
    assert njeri.post(path, {"wish": "stop", "how": ""}).status == 303
    assert not contacts.may_market(ASHA) and contacts.is_blocked(ASHA)
    again = njeri.post(path, {"wish": "agree", "how": "asked again"})
    assert again.status == 400 and "by the text START" in again.words
    contact = Contact.get()
    assert "wants no campaign at all" in njeri.get(f"/admin/sms/contacts/{contact.id}").words


# Credits.


def test_credits_are_one_sentence_a_balance_and_a_statement(njeri):
    topped_up(100)
    written(njeri, do="send", counted="1")
    messages.mark_sent(Message.get().id, "modem", "1", now())
    words = njeri.get("/admin/sms/credits").words
    assert "One credit is one segment of a text that staff write" in words
    assert "Available 99 Set aside for what waits 0 Used 1" in words
    assert "set aside -1 99 Njeri Text 1" in words and "used (1)" not in words  # 2,000 of them would hide the rest
    assert "used (1) 99 Njeri Text 1" in njeri.get("/admin/sms/credits", "every=1").words
    assert "added +100 100 – M-Pesa TCK1" in words


def test_the_owner_adds_credits_and_puts_them_right_with_a_reason(njeri):
    place = "/admin/sms/credits"
    assert njeri.post(f"{place}/top-up", {"amount": "1,000", "words": "cash"}).status == 303
    assert njeri.post(f"{place}/correct", {"amount": "-20", "words": "typed wrong"}).status == 303
    assert credits.balance().available == 980 and credits.verify() == []
    assert "put right -20 980 Njeri typed wrong" in njeri.get(place).words
    for path, form, words in (
        ("top-up", {"amount": "many"}, "Type a whole number"), ("top-up", {"amount": "-5"}, "from 1 to"),
        ("correct", {"amount": "-20"}, "Say why"), ("correct", {"amount": "-9999", "words": "x"}, "Only 980 are"),
    ):  # fmt: skip
        page = njeri.post(f"{place}/{path}", form)
        assert page.status == 400 and words in page.words, form
    assert credits.balance().available == 980


def test_credits_are_the_owners_to_change_and_the_technicians_to_see(otieno):
    page = otieno.get("/admin/sms/credits")
    assert page.status == 200 and "Add credits" not in page.words
    assert otieno.post("/admin/sms/credits/top-up", {"amount": "5"}).status == 403


def test_low_credits_are_told_on_their_page_and_on_today(njeri):
    assert "running low" not in njeri.get("/admin/").words
    topped_up(10)
    assert "Credits are running low." in njeri.get("/admin/sms/credits").words
    assert "Credits for texts are running low: 10 are left." in njeri.get("/admin/").words
    topped_up(1000)
    assert "running low" not in njeri.get("/admin/").words


# The modem.


@pytest.fixture
def with_modem(settings):
    airtime.configure(airtime.Rules(code="*144#"))
    return signed_in(build(replace(settings, modem=ModemSettings(port="/dev/x", balance_code="*144#"))), "Njeri")


def test_a_box_without_a_modem_says_how_to_get_one(njeri):
    assert "No modem is set up." in njeri.get("/admin/sms/modem").words


def test_the_modem_tells_its_network_and_draws_its_day(with_modem):
    for minutes in range(1, 1_400, 5):
        at = now() - timedelta(minutes=minutes)
        is_there = minutes < 1_000
        ModemSample.create(at=at, signal_dbm=-71 if is_there else None, registered=is_there, operator="Safaricom")
    checks.record("modem", "ok", "Safaricom, signal -71 dBm", now())
    page = with_modem.get("/admin/sms/modem")
    assert page.text.count('<rect class="signal"') > 60 and page.text.count('<rect class="away"') > 20
    assert "Network Safaricom Signal good, -71 dBm" in page.words and "-71 dBm 0 %" in page.words
    assert "When the modem is away" not in page.words


def test_a_modem_that_is_away_says_what_to_do_and_that_texts_wait(with_modem):
    text()
    checks.record("modem", "problem", "no modem answers at /dev/x", now(), "check the stick")
    words = with_modem.get("/admin/sms/modem").words
    assert "no modem answers at /dev/x" in words and "check the stick" in words
    assert "When the modem is away" in words and "Texts that wait meanwhile: 1." in words


def test_the_airtime_is_told_with_its_history_and_asked_for_again(with_modem):
    assert "The network was not asked yet." in with_modem.get("/admin/sms/modem").words
    Airtime.create(at=now() - timedelta(hours=6), code="*144#", balance_cents=5_000, words="Bal: 50")
    Airtime.create(at=now(), code="*144#", balance_cents=4_250, words="Bal: 42.50 KES", bundles="120 SMS")
    words = with_modem.get("/admin/sms/modem").words
    assert "Airtime of the SIM KSh 42.50 120 SMS" in words and "Bal: 42.50 KES" in words and "KSh 50" in words
    answer = with_modem.post("/admin/sms/modem/airtime")
    assert answer.status == 303 and Job.get(Job.name == "modem.ussd").queue == "sms"
    assert "A worker asks the network" in with_modem.get("/admin/sms/modem", "did=asked").words


# For machines.


def test_prometheus_is_told_of_texts_credits_campaigns_and_the_signal(njeri):
    worker_is_alive()
    topped_up(10)
    messages.mark_sent(text().id, "modem", "1", now())
    Campaign.create(name="x", text="Hi", state="processing", created_at=now())
    ModemSample.create(at=now(), signal_dbm=-80, registered=True)
    Airtime.create(at=now(), code="*144#", balance_cents=4_250, words="")
    airtime.configure(airtime.Rules(code="*144#"))
    samples = [sample for found in text_string_to_metric_families(njeri.get("/metrics").text)
               for sample in found.samples]  # fmt: skip
    told = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    assert told["edge_texts_today", "modem", "sent"] == 1
    assert told["edge_credits", "available"] == 10 and told["edge_campaigns", "processing"] == 1
    assert told[("edge_modem_signal_dbm",)] == -80 and told[("edge_modem_airtime",)] == 42.5


def test_the_queue_of_texts_tells_its_health_to_programs(njeri):
    told = njeri.get("/sms/queue/status").json
    assert (told["workers"], told["last_heartbeat"], told["modem"]) == (0, None, None)
    worker_is_alive()
    text()
    told = njeri.get("/sms/queue/status").json
    assert (told["waiting"], told["running"], told["failed"], told["workers"]) == (1, 0, 0, 2)
    assert told["last_heartbeat"].endswith("Z")


# In a real browser.

LONG = "a-word-without-an-end-and-without-a-blank-anywhere-in-it-that-nobody-would-choose" * 3


def lively():
    """As wide as a shop can make it."""
    topped_up(99_999_999)
    njeri = Staff.get(Staff.name == "Njeri")
    campaign = Campaign.create(name=LONG[:80], text="Hi", created_at=now())
    for state in ("queued", "sent", "delivered", "failed", "unconfirmed", "suppressed"):
        for kind in ("code", "hand", "campaign"):
            row = Message.create(msisdn=ASHA, text=LONG, kind=kind, state=state, segments=255, cost=255, words=LONG,
                                 route="africastalking", tried="modem,twilio,http", reference=LONG, sent_at=now(),
                                 price_cents=99_999_999, created_at=now(), closed_at=now())  # fmt: skip
    row.put(staff_id=njeri.id, campaign_id=campaign.id)
    contacts.agree(ASHA, LONG, now(), LONG[:100])
    credits.correct(-99_999, LONG, njeri.id, now())
    for minutes in range(1, 1_400, 10):
        ModemSample.create(at=now() - timedelta(minutes=minutes), signal_dbm=-113 + minutes % 60, registered=True,
                           operator=LONG)  # fmt: skip
    ModemSample.create(at=now(), registered=False, operator=LONG)
    Airtime.create(at=now(), code="*144#", balance_cents=99_999_999, words=LONG, bundles=LONG)
    checks.record("modem", "problem", LONG, now(), LONG)
    return row


@needs_chromium
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_of_texts_fits_its_screen(browser, address, width):
    row = lively()
    sign_in(browser, address)
    set_width(browser, width)
    for path in ("", "?q=0712345678", f"/{row.id}", "/write", f"/people/{row.id}", "/credits", "/modem"):
        browser.get(f"{address}/admin/sms{path}")
        for part in browser.find_elements(By.TAG_NAME, "summary"):
            browser.execute_script("arguments[0].parentNode.open = true", part)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, path


@needs_chromium
def test_a_text_that_is_sent_turns_green_without_reloading(browser, address):
    topped_up()
    sign_in(browser, address)
    browser.get(f"{address}/admin/sms/write")
    press(browser, By.NAME, "phone")
    browser.find_element(By.NAME, "phone").send_keys("0712 345 678")
    browser.find_element(By.NAME, "text").send_keys("Your cable is here")
    press(browser, By.CSS_SELECTOR, "button[value=count]")
    says(browser, "1 segment: 1 credit.")
    press(browser, By.CSS_SELECTOR, "button[value=send]")
    says(browser, "Written, to be sent.")
    browser.execute_script("window.stayed = true")
    messages.mark_sent(Message.get().id, "modem", "9", now(), references=(9,))
    events_of.record("sms.sent", now())  # as anything that happens, it has the page look sooner
    says(browser, "Sent by the modem; it is known there as 9.")
    assert browser.execute_script("return window.stayed") is True
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
