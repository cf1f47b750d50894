"""The counter and its shifts through the real application; and that a cashier reaches nothing else."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver.common.by import By

from edge.domain import people
from edge.models import Event, Grant, Message, Payment, Plan, Throttle
from edge.money_models import LedgerEntry, Shift, Voucher
from edge.web import ROUTES, build
from tests.browser import needs_chromium, patiently, press, says, set_width, words_of
from tests.shop import ASHA, JUMA, pay
from tests.web_client import PASSWORD, Browser

OPEN_TO_CASHIERS = re.compile(r"/admin/?|/admin/sign-out|/admin/counter(/.*)?|/admin/shift(/open)?|/admin/shifts/.*"
                              r"|/admin/vouchers?(/.*)?|/admin/(notices|account)(/.*)?")  # fmt: skip


@pytest.fixture
def app(settings):
    return build(settings)


@pytest.fixture
def wanjiku(app):
    return signed_in(app, "Wanjiku")


@pytest.fixture
def njeri(app):
    return signed_in(app, "Njeri")


def signed_in(app, name):
    browser = Browser(app, "192.168.88.10")
    assert browser.sign_in(name).status == 303
    return browser


def open_shift(browser, amount="500"):
    assert browser.post("/admin/shift/open", {"float": amount}).header("Location") == "/admin/counter"
    return Shift.select().order_by(Shift.id.desc()).get()


def sell(browser, phone="", **more):
    page = browser.get("/admin/counter/plans/1")
    form = {"key": page.field("key"), "price": page.field("price"), "phone": phone, **more}
    return form, browser.post("/admin/counter/plans/1", form)


# Who sees what


def test_a_cashier_lands_at_the_counter_and_sees_no_other_way(wanjiku):
    home = wanjiku.get("/admin/")
    assert (home.status, home.header("Location")) == (303, "/admin/counter")
    page = wanjiku.get("/admin/counter")
    ways = set(re.findall(r'href="(/admin[^"]*)"', page.text)) - {"/admin/"}
    assert ways and all(OPEN_TO_CASHIERS.fullmatch(way.partition("?")[0]) for way in ways), ways
    assert "#live" not in page.text and 'id="live"' not in page.text


def test_the_owner_finds_the_counter_beside_his_own_pages(njeri):
    assert njeri.get("/admin/").status == 200
    for way in ("/admin/payments", "/admin/counter", "/admin/shifts"):
        assert f'href="{way}"' in njeri.get("/admin/").text


def test_a_cashier_is_refused_everywhere_but_at_the_counter(wanjiku):
    """The table of routes decides; whoever opens another one to cashiers has to say here that it is the counter's."""
    wrong = []
    for route in ROUTES:
        if isinstance(route.who, str):
            continue
        path = re.sub(r"<(\w+)(:int)?>", lambda part: "1" if part[2] else "x", route.path)
        is_for_cashiers = "cashier" in route.who
        if is_for_cashiers and not OPEN_TO_CASHIERS.fullmatch(route.path):
            wrong.append((route.path, "is open to cashiers"))
        send = wanjiku.get if route.method == "GET" else wanjiku.post
        if not is_for_cashiers and send(path).status != 403:
            wrong.append((route.path, "answered"))
    assert wrong == []


def test_nor_does_a_token_of_a_cashier_reach_further(app):
    token = people.make_token(people.named("Wanjiku"), "tablet", datetime.now(UTC))
    for path in ("/api/admin/events", "/sms/queue/status", "/admin/payments", "/admin/shifts"):
        assert Browser(app).get(path, AUTHORIZATION=f"Bearer {token}").status == 403, path


def test_a_cashier_sees_no_takings_of_others(app, wanjiku, njeri):
    hers = sell(njeri, ASHA)[1].header("Location")
    paid = pay(JUMA)
    shift = open_shift(wanjiku)
    assert wanjiku.get(hers).status == 404
    assert wanjiku.post(f"{hers}/again").status == 404
    otieno = signed_in(app, "Otieno")
    his = open_shift(otieno)
    assert wanjiku.get(f"/admin/shifts/{his.id}").status == 403
    for act in ("close", "expense", "move"):
        form = {"way": "out", "amount": "1", "words": "x", "counted": "0"}
        assert wanjiku.post(f"/admin/shifts/{his.id}/{act}", form).status == 404
    assert Shift.get_by_id(his.id).closed_at is None
    page = wanjiku.get("/admin/counter/find", "q=" + JUMA)
    grant = Grant.get(Grant.payment == paid)
    assert "Paid" in page.words and "0722•••111" in page.words
    for hidden in ("KSh", grant.username, grant.password, "722000111", f"/admin/payments/{paid.id}"):
        assert hidden not in page.text.replace(f'value="{JUMA}"', ""), hidden
    assert njeri.get(f"/admin/shifts/{shift.id}").status == 200


# Selling


def test_two_taps_sell_an_hour_and_show_its_code(wanjiku):
    assert "Open your shift first" in wanjiku.get("/admin/counter").words
    open_shift(wanjiku)
    assert "1 hour KSh 20" in wanjiku.get("/admin/counter").words
    _, answer = sell(wanjiku, "0712 345 678")
    payment, grant = Payment.get(), Grant.get()
    assert answer.header("Location") == f"/admin/counter/sales/{payment.id}"
    page = wanjiku.get(answer.header("Location"))
    for told in (grant.username, grant.password, "Sold for cash KSh 20", "sold by Wanjiku", "0712•••678"):
        assert told in page.words, told
    assert "712345678" not in page.text.replace(" ", "")
    assert f"/admin/counter/sales/{payment.id}" in wanjiku.get("/admin/counter").text


def test_pressed_twice_or_after_going_back_it_is_sold_once_and_said(wanjiku):
    open_shift(wanjiku)
    form, answer = sell(wanjiku)
    again = wanjiku.post("/admin/counter/plans/1", form)
    assert again.header("Location") == answer.header("Location") + "?again=1"
    assert "Nothing was sold twice" in wanjiku.get(answer.header("Location"), "again=1").words
    assert Payment.select().count() == 1


def test_a_wrong_phone_is_told_on_the_form_which_keeps_what_was_typed(wanjiku):
    open_shift(wanjiku)
    form, answer = sell(wanjiku, "0712 34")
    assert answer.status == 400 and "not a Kenyan mobile number" in answer.words
    assert 'value="0712 34"' in answer.text and answer.field("key") == form["key"]
    assert Payment.select().count() == 0


@pytest.mark.parametrize("price", ["1000", "", "x", "²", "-2000", "9" * 500])
def test_another_price_than_on_the_button_sells_nothing(wanjiku, price):
    open_shift(wanjiku)
    _, answer = sell(wanjiku, price=price)
    assert answer.status == 400 and "costs KSh 20 now" in answer.words and Payment.select().count() == 0


def test_a_cashier_without_a_shift_sells_nothing_and_the_owner_into_no_drawer(wanjiku, njeri):
    page = wanjiku.get("/admin/counter/plans/1")
    assert "Open your shift first" in page.words and "Sold for cash" not in page.words
    form, answer = sell(njeri)
    assert answer.status == 303 and LedgerEntry.get().shift_id is None
    assert "in no drawer" in njeri.get("/admin/counter").words
    refused = wanjiku.post("/admin/counter/plans/1", {"key": "k" * 32, "price": form["price"]})
    assert refused.status == 400 and Payment.select().count() == 1


def test_a_hidden_or_unknown_plan_is_not_sold(wanjiku):
    open_shift(wanjiku)
    Plan.create(id=2, name="Old", price_cents=1000, seconds=60, on_sale=False)
    for plan in (2, 99, 10**18):
        assert wanjiku.get(f"/admin/counter/plans/{plan}").status == 404
        assert wanjiku.post(f"/admin/counter/plans/{plan}", {"key": "k"}).status == 404


def test_a_voucher_is_sold_and_its_code_shown_in_groups(wanjiku):
    open_shift(wanjiku)
    form, answer = sell(wanjiku, **{"as": "voucher"})
    voucher = Voucher.get()
    assert answer.header("Location") == f"/admin/counter/vouchers/{voucher.id}"
    page = wanjiku.get(answer.header("Location"))
    code = voucher.code
    assert f"{code[:3]} {code[3:6]} {code[6:]}" in page.words and "Voucher, KSh 20" in page.words
    assert "voucher" in wanjiku.get("/admin/counter").words
    assert wanjiku.post("/admin/counter/plans/1", form).header("Location").endswith("?again=1")
    assert Voucher.select().count() == 1
    voucher.put(state="void")
    assert wanjiku.get(answer.header("Location")).status == 404


def test_the_code_is_texted_again_and_then_not_for_a_while(wanjiku):
    open_shift(wanjiku)
    _, answer = sell(wanjiku, ASHA)
    sale = answer.header("Location")
    again = wanjiku.post(f"{sale}/again")
    assert again.header("Location") == f"{sale}?texted=1" and Message.select().count() == 2
    assert "was sent to 0712•••678 again" in wanjiku.get(sale, "texted=1").words
    too_soon = wanjiku.post(f"{sale}/again")
    assert too_soon.status == 400 and "can be sent again in 1 minute" in too_soon.words
    Throttle.delete().execute()
    grant = Grant.get()
    found = wanjiku.get("/admin/counter/find", f"q={grant.username}")
    action = re.search(r'action="(/admin/counter/grants/\d+/again)"', found.text)[1]
    assert wanjiku.post(action, {"q": grant.username}).header("Location").endswith("texted=1")
    assert wanjiku.post(action, {"q": JUMA}).status == 404  # who does not know the guest texts nobody
    assert Message.select().count() == 3


# Shifts


def test_a_day_at_the_counter_ends_with_a_slip(wanjiku, njeri):
    shift = open_shift(wanjiku, "1,000")
    sell(wanjiku)
    sell(wanjiku, **{"as": "voucher"})
    assert wanjiku.post(f"/admin/shifts/{shift.id}/expense", {"amount": "35.50", "words": "water"}).status == 303
    moved = {"way": "out", "amount": "500", "words": "Njeri"}
    assert wanjiku.post(f"/admin/shifts/{shift.id}/move", moved).status == 303
    page = wanjiku.get("/admin/shift")
    assert "Should be in the drawer" not in page.words and "Taken out: Njeri" in page.words
    assert "Should be in the drawer KSh 504.50" in njeri.get(f"/admin/shifts/{shift.id}").words
    first = wanjiku.post(f"/admin/shifts/{shift.id}/close", {"counted": "500"})
    assert first.status == 200 and "not what the books say" in first.words and "504" not in first.words
    form = {"counted": "500", "words": "a coin fell", "counted_before": first.field("counted_before")}
    assert wanjiku.post(f"/admin/shifts/{shift.id}/close", form).header("Location") == f"/admin/shifts/{shift.id}"
    slip = wanjiku.get(f"/admin/shifts/{shift.id}").words
    for told in ("Opening float KSh 1,000", "Cash sales (1) KSh 20", "Vouchers for cash (1) KSh 20",
                 "Expenses (1) −KSh 35.50", "Taken out and put in −KSh 500", "Should be in the drawer KSh 504.50",
                 "Counted KSh 500", "Difference KSh 4.50 short", "“a coin fell”", "M-Pesa (0)"):  # fmt: skip
        assert told in slip, told
    again = wanjiku.post(f"/admin/shifts/{shift.id}/close", form)
    assert again.header("Location") == f"/admin/shifts/{shift.id}"
    assert LedgerEntry.select().where(LedgerEntry.kind == "variance").count() == 1
    assert "4.50 short" in njeri.get("/admin/shifts").words and "4.50 short" in wanjiku.get("/admin/shift").words
    assert "Wanjiku was closed by Wanjiku: KSh 4.50 short" in njeri.get("/admin/").words


def test_a_drawer_that_is_right_closes_at_once(wanjiku):
    shift = open_shift(wanjiku, "0")
    assert wanjiku.post(f"/admin/shifts/{shift.id}/close", {"counted": "0"}).status == 303
    assert "Difference none" in wanjiku.get(f"/admin/shifts/{shift.id}").words


def test_another_count_than_before_is_asked_about_again(wanjiku):
    shift = open_shift(wanjiku)
    for counted, before in (("400", ""), ("450", "40000"), ("400", "45000")):
        form = {"counted": counted, "counted_before": before}
        assert wanjiku.post(f"/admin/shifts/{shift.id}/close", form).status == 200
    assert Shift.get().closed_at is None


@pytest.mark.parametrize("amount", ["", "x", "-5", "1.234", "1,00", "1e5", "٣", "9" * 12, "5 00"])
def test_amounts_that_can_not_be_read_are_told(wanjiku, amount):
    answer = wanjiku.post("/admin/shift/open", {"float": amount})
    assert answer.status == 400 and "like 500" in answer.words and Shift.select().count() == 0
    shift = open_shift(wanjiku)
    for act in ("close", "expense", "move"):
        form = {"counted": amount, "amount": amount, "words": "tea", "way": "in"}
        assert wanjiku.post(f"/admin/shifts/{shift.id}/{act}", form).status == 400
    assert LedgerEntry.select().count() == 0


def test_opening_twice_leads_to_the_open_one(wanjiku):
    open_shift(wanjiku)
    assert wanjiku.post("/admin/shift/open", {"float": "7"}).header("Location") == "/admin/shift"
    assert Shift.select().count() == 1


def test_a_shift_left_open_is_told_to_both_and_the_owner_closes_it(wanjiku, njeri):
    shift = open_shift(wanjiku, "10")
    Shift.update(opened_at=datetime.now(UTC) - timedelta(hours=20)).execute()
    for page in (wanjiku.get("/admin/counter"), wanjiku.get("/admin/shift"), njeri.get("/admin/shifts")):
        assert "never closed" in page.words
    assert njeri.post(f"/admin/shifts/{shift.id}/close", {"counted": "10"}).status == 303
    assert wanjiku.get("/admin/shift").status == 200 and Shift.get().closed_at is not None


def test_shifts_that_are_not_there_are_not_there(njeri):
    for number in (0, 99, 10**18):
        assert njeri.get(f"/admin/shifts/{number}").status == 404
        for act in ("close", "expense", "move"):
            assert njeri.post(f"/admin/shifts/{number}/{act}", {"way": "in"}).status == 404


def test_every_event_of_a_shift_has_its_words(wanjiku, njeri):
    for name in ("shift.opened", "shift.closed", "shift.closed_short", "shift.closed_over", "shift.left_open"):
        Event.create(name=name, at=datetime.now(UTC), data={"who": "W", "by": "N", "amount": 5, "hours": 20})
    assert "shift." not in njeri.get("/admin/").words


def test_hostile_words_stay_text(wanjiku, njeri):
    poison = "<script>alert(1)</script>\u202e"
    shift = open_shift(wanjiku)
    wanjiku.post(f"/admin/shifts/{shift.id}/expense", {"amount": "1", "words": poison})
    form = {"counted": "499", "words": poison}
    wanjiku.post(f"/admin/shifts/{shift.id}/close", form)
    for page in (wanjiku.get("/admin/counter/find", "q=%3Cscript%3Ealert(1)"), njeri.get(f"/admin/shifts/{shift.id}")):
        assert page.status == 200 and "<script>alert" not in page.text and "\u202e" not in page.text


# In a real browser


@needs_chromium
@pytest.mark.parametrize("width", [360, 1280])
def test_a_thumb_sells_prints_and_closes(browser, address, width):
    Plan.create(name="A plan with a name that has no end at all, for sixty letters", price_cents=999_900, seconds=60)
    set_width(browser, width, 720)
    browser.get(address + "/admin/")
    browser.find_element(By.NAME, "name").send_keys("Wanjiku")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    press(browser, By.CSS_SELECTOR, "button.big")
    says(browser, "Open your shift first")
    press(browser, By.LINK_TEXT, "Open a shift")
    patiently(browser, lambda page: page.find_element(By.NAME, "float").send_keys("500") or True)
    press(browser, By.CSS_SELECTOR, "main button.big")
    says(browser, "1 hour")
    fits(browser, width)
    press(browser, By.PARTIAL_LINK_TEXT, "1 hour")
    says(browser, "Sold for cash KSh 20")
    thumbs(browser)
    patiently(browser, lambda page: page.find_element(By.NAME, "phone").send_keys("0712345678") or True)
    press(browser, By.CSS_SELECTOR, "main button.big")
    says(browser, "sold by Wanjiku")
    assert Grant.get().username in words_of(browser)
    fits(browser, width)
    assert browser.find_element(By.CSS_SELECTOR, "[data-print]").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    printed = words_of(browser, "body")
    assert "WiFi\nSold for cash KSh 20" in printed and "Next guest" not in printed
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    press(browser, By.LINK_TEXT, "Next guest")
    press(browser, By.LINK_TEXT, "Shift")
    says(browser, "Close the shift")
    fits(browser, width)
    patiently(browser, lambda page: page.find_element(By.NAME, "counted").send_keys("519") or True)
    press(browser, By.CSS_SELECTOR, "form[action$=close] button")
    says(browser, "Count once more")
    press(browser, By.CSS_SELECTOR, "form[action$=close] button")
    says(browser, "KSh 1 short")
    fits(browser, width)
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def fits(browser, width):
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width, browser.current_url


def thumbs(browser):
    small = [link.text for link in browser.find_elements(By.CSS_SELECTOR, "main button, main a.big")
             if link.is_displayed() and link.size["height"] < 44]  # fmt: skip
    assert small == []
