"""Texts that came in, on the dashboard: the list, a conversation, the answer by hand; hostile words stay words."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver.common.by import By

from edge.domain import contacts, credits, incoming_texts, keywords, messages, routing
from edge.domain.incoming_texts import ReceivedText
from edge.domain.keywords import Rules
from edge.domain.owner_commands import Owners
from edge.models import Message
from edge.money_models import IncomingText
from edge.settings_sections import Sms
from edge.web import build
from tests.browser import needs_chromium, press, says, set_width
from tests.shop import ASHA, JUMA
from tests.test_dashboard_browser import sign_in
from tests.web_client import Browser, signed_in

POISON = "<script>alert(1)</script><img src=x onerror=alert(2)>"
HOSTILE = "\u202eevil\u2066 \x00\x1a\x1b[31m 😀 {shop} {{7*7}} " + POISON
OWNERS = Owners(frozenset({"254733000222"}), "4711")
_number = itertools.count()


@pytest.fixture(autouse=True)
def by_the_modem():
    routing.configure(Sms(), has_modem=True, is_rehearsal=False)
    yield
    routing.configure(Sms(), has_modem=False, is_rehearsal=False)


@pytest.fixture
def app(settings):
    return build(replace(settings, sms=Sms(owner_numbers=("0733000222",), owner_pin="4711")))


def came(text, sender=ASHA, *, ago_min=0, judged=True, **more):
    """A text that came in; its number is that of a phone, unless it has letters."""
    now = datetime.now(UTC) - timedelta(minutes=ago_min)
    is_name = not sender.isdigit()
    told = ReceivedText(f"inbox-{next(_number)}", sender if is_name else f"+{sender}", is_name, text, **more)
    assert incoming_texts.keep([told], now) == 1
    row = IncomingText.select().order_by(IncomingText.id.desc()).get()
    if judged:
        keywords.answer(row.id, Rules(owners=OWNERS), now)
    return IncomingText.get_by_id(row.id)


def test_an_empty_inbox_says_so(njeri):
    page = njeri.get("/admin/sms/inbox")
    assert page.status == 200 and "No text came in yet." in page.words
    assert 'href="/admin/sms/inbox" aria-current="page"' in page.text


def test_texts_stand_newest_first_and_unread_ones_are_marked(njeri):
    came("Je, bado iko?", ago_min=5)
    came("STOP", JUMA)
    page = njeri.get("/admin/sms/inbox")
    assert page.text.count('class="unread"') == 1 and "unread (1)" in page.words
    assert page.words.index("STOP") < page.words.index("Je, bado iko?")
    assert "0712•••678" in page.words and "712345678" not in page.text


def test_filters_and_the_search_find_what_was_asked_for(njeri):
    came("hello there")
    came("SALIO", JUMA)
    came("UK5T7ABCD1 Confirmed. nothing", "MPESA", judged=False)
    came("Win a car!", "PROMO")
    for query, there, absent in (
        ("show=people", "hello there", "SALIO"), ("show=words", "SALIO", "hello there"),
        ("show=mpesa", "Confirmed", "SALIO"), ("show=unread", "Win a car!", "SALIO"),
        ("q=0722 000 111", "SALIO", "hello there"), ("q=PROMO", "Win a car!", "SALIO"),
    ):  # fmt: skip
        words = njeri.get("/admin/sms/inbox", query.replace(" ", "%20")).words
        assert there in words and absent not in words, query
    assert njeri.get("/admin/sms/inbox", "show=everything").status == 400
    assert njeri.get("/admin/sms/inbox", "q=%3Cscript%3E").status == 200


@pytest.mark.parametrize("sender", [ASHA, POISON[:20], "\u202eMPESA", "A'\"<b>"])
def test_hostile_words_stay_words(njeri, sender):
    row = came(HOSTILE, sender)
    for path in ("/admin/sms/inbox", f"/admin/sms/inbox/{row.id}"):
        page = njeri.get(path)
        assert page.status == 200
        assert "<script>alert" not in page.text and "<img src" not in page.text and "\x00" not in page.text
        assert "{{7*7}}" in page.words and "\x1b" not in page.text


def test_two_thousand_letters_are_cut_in_the_list_and_whole_on_their_page(njeri):
    row = came("x" * 2_000)
    assert "x" * 100 not in njeri.get("/admin/sms/inbox").text
    assert "x" * 2_000 in njeri.get(f"/admin/sms/inbox/{row.id}").text


def test_a_conversation_stands_in_its_order(njeri):
    came("first question", ago_min=9)
    messages.promise(ASHA, "our notice", datetime.now(UTC) - timedelta(minutes=5), kind="notice")
    row = came("second question", ago_min=2)
    came("of somebody else", JUMA)
    words = njeri.get(f"/admin/sms/inbox/{row.id}").words
    assert words.index("first question") < words.index("our notice") < words.index("second question")
    assert "of somebody else" not in words and "0712 345 678" in words


def test_numbers_are_the_owners_to_see_in_full_and_codes_too(njeri, otieno):
    row = came("call me on 0722 000 111")
    for browser, sees in ((njeri, True), (otieno, False)):
        page = browser.get(f"/admin/sms/inbox/{row.id}").words
        assert ("0712 345 678" in page) is sees and ("0722 000 111" in page) is sees


def test_an_answer_takes_a_credit_and_marks_what_was_asked_as_read(njeri):
    credits.top_up(10, "first ones", None, datetime.now(UTC))
    came("and before that?", ago_min=3)
    row = came("when do you open?")
    page = njeri.post(f"/admin/sms/inbox/{row.id}/reply", {"text": "At eight."})
    assert page.status == 303
    njeri.post(f"/admin/sms/inbox/{row.id}/reply", {"text": "At eight."})  # pressed twice
    (message,) = Message.select()
    assert (message.msisdn, message.text, message.kind, message.answers_id) == (ASHA, "At eight.", "hand", row.id)
    assert credits.balance().reserved == 1
    page = njeri.get(f"/admin/sms/inbox/{row.id}", "did=answered")
    assert "At eight." in page.words and "Njeri" in page.words and "unread" not in page.words.replace("as unread", "")


def test_a_dear_answer_is_counted_before_it_is_sent(njeri):
    credits.top_up(10, "first ones", None, datetime.now(UTC))
    row = came("when do you open?")
    long = "We open at eight. " * 12
    page = njeri.post(f"/admin/sms/inbox/{row.id}/reply", {"text": long})
    assert page.status == 200 and "Send it for 2 credits" in page.words and not Message.select().exists()
    assert njeri.post(f"/admin/sms/inbox/{row.id}/reply", {"text": long, "counted": "2"}).status == 303
    assert Message.get().segments == 2


def test_an_answer_without_credits_is_refused_with_figures_and_kept_in_the_form(otieno):
    row = came("when do you open?")
    page = otieno.post(f"/admin/sms/inbox/{row.id}/reply", {"text": "At <b>eight</b>."})
    assert page.status == 400 and "This takes 1, and 0 are available" in page.words
    assert "At &lt;b&gt;eight&lt;/b&gt;." in page.text and not Message.select().exists()


@pytest.mark.parametrize("sender", ["PROMO", "22345", "447700900123"])
def test_who_cannot_be_answered_has_no_form(njeri, sender):
    credits.top_up(10, "first ones", None, datetime.now(UTC))
    row = came("hello", sender)
    page = njeri.get(f"/admin/sms/inbox/{row.id}")
    assert "can't be answered" in page.words and "/reply" not in page.text
    assert njeri.post(f"/admin/sms/inbox/{row.id}/reply", {"text": "hi"}).status == 400
    assert njeri.post(f"/admin/sms/inbox/{row.id}/wish", {"wish": "stop"}).status == 404
    assert not Message.select().exists()


def test_texts_are_marked_read_and_unread_again(njeri):
    row = came("hello")
    for do, is_read in (("read", True), ("unread", False)):
        assert njeri.post(f"/admin/sms/inbox/{row.id}/read", {"do": do}).status == 303
        assert (IncomingText.get_by_id(row.id).read_at is not None) is is_read
    later = came("came after the page was drawn")
    njeri.post("/admin/sms/inbox/read", {"until": str(row.id)})
    assert IncomingText.get_by_id(row.id).read_at and IncomingText.get_by_id(later.id).read_at is None
    assert njeri.post("/admin/sms/inbox/read", {"until": "x"}).status == 303


def test_staff_write_down_what_somebody_wants_and_cannot_undo_his_own_stop(otieno):
    row = came("please no adverts")
    assert otieno.post(f"/admin/sms/inbox/{row.id}/wish", {"wish": "stop", "how": "told me"}).status == 303
    assert contacts.is_blocked(ASHA) and "Otieno" in contacts.find(ASHA).how
    page = otieno.post(f"/admin/sms/inbox/{row.id}/wish", {"wish": "agree", "how": "said yes"})
    assert page.status == 400 and contacts.is_blocked(ASHA)
    other = came("hi", JUMA)
    assert otieno.post(f"/admin/sms/inbox/{other.id}/wish", {"wish": "agree"}).status == 400
    assert otieno.post(f"/admin/sms/inbox/{other.id}/wish", {"wish": "agree", "how": "form"}).status == 303
    assert contacts.may_market(JUMA)


def test_a_pin_is_on_no_page_before_or_after_it_was_judged(njeri):
    came("4711 LEO", "254733000222")
    waiting = came("4711 STATUS", "254733000222", judged=False)
    for path in ("/admin/sms/inbox", f"/admin/sms/inbox/{waiting.id}", "/admin/sms", "/admin/"):
        assert "4711" not in njeri.get(path).text


def test_what_cannot_be_read_is_shown_as_it_came(njeri):
    incoming_texts.keep([ReceivedText("07915274", is_readable=False)], datetime.now(UTC))
    row = IncomingText.get()
    assert "unreadable" in njeri.get("/admin/sms/inbox").words
    assert "07915274" in njeri.get(f"/admin/sms/inbox/{row.id}").words


def test_the_inbox_is_for_the_owner_and_technicians_and_forms_need_their_token(app, njeri):
    row = came("hello")
    wanjiku = signed_in(app, "Wanjiku")
    for path in ("/admin/sms/inbox", f"/admin/sms/inbox/{row.id}"):
        assert wanjiku.get(path).status == 403
        assert Browser(app).get(path).status == 303
    assert wanjiku.post(f"/admin/sms/inbox/{row.id}/reply", {"text": "hi"}).status == 403
    assert njeri.post(f"/admin/sms/inbox/{row.id}/reply", {"text": "hi", "csrf": "x"}).status == 403
    for path in ("/admin/sms/inbox/999", "/admin/sms/inbox/99999999999999999999"):
        assert njeri.get(path).status == 404
        assert njeri.post(f"{path}/reply", {"text": "hi"}).status == 404


def test_older_texts_are_a_page_further(njeri):
    for number in range(45):
        came(f"text number {number}")
    page = njeri.get("/admin/sms/inbox")
    further = re.search(r'href="(/admin/sms/inbox\?before=\d+)"', page.text)[1]
    older = njeri.get(*further.split("?"))
    assert "text number 44" in page.words and "text number 0" in older.words and "text number 44" not in older.words


@needs_chromium
def test_an_answer_is_written_on_a_phone_without_sideways_scrolling(address, browser):
    credits.top_up(10, "first ones", None, datetime.now(UTC))
    came("Habari, nimelipa lakini sijapata mtandao. " * 4 + HOSTILE + "w" * 300)
    sign_in(browser, address)
    for width in (360, 1280):
        set_width(browser, width)
        browser.get(f"{address}/admin/sms/inbox")
        says(browser, "Habari")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    set_width(browser, 360)
    browser.find_element(By.PARTIAL_LINK_TEXT, "Habari").click()
    says(browser, "Answer")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    browser.find_element(By.NAME, "text").send_keys("We look at it now.")
    press(browser, By.XPATH, "//button[text()='Send the answer']")
    says(browser, "Written. It is sent")
    assert Message.get().text == "We look at it now."
    assert not [line for line in browser.get_log("browser") if "alert" in line["message"]]
