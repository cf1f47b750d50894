"""The owner's pages through the real application: sign-in, Today, payments and their stories."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge.domain import (
    access,
    checks,
    clock,
    counter,
    messages,
    money_reports,
    payments,
    people,
    refunds,
    reports,
)
from edge.models import Event, Grant, Job, Message, Placement, Plan, Router
from edge.values.stk import QueryAnswer, StkResult
from edge.web import build
from tests.shop import ASHA, JUMA, NOW, fail, let_in, pay, prompt, worker_is_alive
from tests.web_client import PASSWORD, Browser

NAIROBI = ZoneInfo("Africa/Nairobi")
POISON = "<script>alert(1)</script>"
SHOP, CAFE = "192.168.88.10", "192.168.88.77"


@pytest.fixture
def app(settings):
    return build(settings)


@pytest.fixture
def njeri(app):
    return signed_in(app, "Njeri")


def signed_in(app, name):
    browser = Browser(app, SHOP)
    assert browser.sign_in(name).status == 303
    return browser


# Sign-in


def test_the_owner_signs_in_sees_today_and_signs_out(app):
    browser = Browser(app, SHOP)
    assert browser.get("/admin/").header("Location") == "/admin/sign-in?next=/admin/"
    answer = browser.sign_in("Njeri")
    assert (answer.status, answer.header("Location")) == (303, "/admin/")
    assert "Takings" in browser.get("/admin/").words
    kept = dict(browser.cookies)
    assert browser.post("/admin/sign-out").status == 303
    browser.cookies = kept
    assert browser.get("/admin/").status == 303


def test_cookies_are_out_of_reach_for_scripts_and_other_sites(app):
    browser = Browser(app, SHOP)
    page = browser.get("/admin/sign-in")
    answer = browser.post("/admin/sign-in", {"name": "Njeri", "password": PASSWORD, "csrf": page.field("csrf")})
    for cookie in (page.header("Set-Cookie"), answer.header("Set-Cookie")):
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie


def test_a_wrong_password_is_told_without_saying_what_was_wrong(app):
    browser = Browser(app, SHOP)
    known, unknown = browser.sign_in("Njeri", "wrong wrong wrong"), browser.sign_in("Nobody", "wrong wrong wrong")
    assert (known.status, unknown.status) == (401, 401)
    assert "do not fit together" in known.words
    assert known.text.replace("Njeri", "Nobody") == unknown.text
    assert "edge_session" not in browser.cookies


def test_a_lock_keeps_the_thief_out_and_lets_the_owner_in(app):
    thief, owner = Browser(app, CAFE), Browser(app, SHOP)
    for _ in range(5):
        assert thief.sign_in("Njeri", "wrong wrong wrong").status == 401
    answer = thief.sign_in("Njeri")
    assert answer.status == 429 and 0 < int(answer.header("Retry-After")) <= 31
    assert owner.sign_in("Njeri").status == 303


@pytest.mark.parametrize("key", ["", "0" * 32, "nonsense"])
def test_another_site_can_not_send_the_sign_in_form(app, key):
    browser = Browser(app, SHOP)
    browser.get("/admin/sign-in")
    answer = browser.post("/admin/sign-in", {"name": "Njeri", "password": PASSWORD, "csrf": key})
    assert answer.status == 403 and "edge_session" not in browser.cookies
    without = Browser(app, SHOP)
    assert without.post("/admin/sign-in", {"name": "Njeri", "password": PASSWORD, "csrf": "0" * 32}).status == 403


def test_a_session_planted_before_the_sign_in_is_worth_nothing_after_it(app):
    juma = signed_in(app, "Wanjiku")
    planted = juma.cookies["edge_session"]
    owner = Browser(app, SHOP)
    owner.cookies["edge_session"] = planted
    assert owner.sign_in("Njeri").status == 303
    assert owner.cookies["edge_session"] != planted
    made_up = Browser(app, SHOP)
    made_up.cookies["edge_session"] = "f" * 43
    made_up.sign_in("Njeri")
    assert made_up.cookies["edge_session"] != "f" * 43
    assert people.session_of("f" * 43, NOW) is None


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/admin/payments/7", "/admin/payments/7"),
        ("/admin/payments?state=paid", "/admin/payments?state=paid"),
        ("https://evil.example/admin/", "/admin/"),
        ("//evil.example/", "/admin/"),
        ("/admin/\\evil.example", "/admin/"),
        ("/admin/\r\nSet-Cookie: a=b", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
        ("/admin/sign-in", "/admin/"),
        ('/admin/"><script>', "/admin/"),
    ],
)
def test_after_the_sign_in_only_our_own_pages_follow(app, wanted, led):
    browser = Browser(app, SHOP)
    page = browser.get("/admin/sign-in")
    form = {"name": "Njeri", "password": PASSWORD, "csrf": page.field("csrf"), "next": wanted}
    assert browser.post("/admin/sign-in", form).header("Location") == led


# Today


@pytest.mark.parametrize(
    ("day", "hour_utc", "today", "yesterday"), [(1, 20, 1, 0), (1, 21, 2, 1), (2, 20, 2, 1), (2, 21, 0, 2)]
)
def test_a_day_begins_at_midnight_in_nairobi(settings, day, hour_utc, today, yesterday):
    for minute, receipt in ((-1, "R1"), (0, "R2"), (1, "R3")):  # around 21:00 UTC of the first of March
        pay(ASHA, datetime(2026, 3, 1, 21, tzinfo=UTC) + timedelta(minutes=minute), receipt)
    at = datetime(2026, 3, day, hour_utc, 59, tzinfo=UTC)
    assert reports.takings(at, NAIROBI) == reports.Takings(2000 * today, today)
    assert reports.takings(at, NAIROBI, days_ago=1) == reports.Takings(2000 * yesterday, yesterday)


def test_money_that_was_taken_back_is_no_taking(settings):
    refunds.reverse(pay(), "sent back", NOW)
    assert reports.takings(NOW, NAIROBI) == reports.Takings(0, 1)


def test_takings_are_those_of_the_day_slip_also_with_a_voucher_sold_for_cash(settings):
    pay()
    owner = people.add("Atieno", PASSWORD, "owner", NOW)
    counter.sell_voucher(Plan.get(), owner, NOW, key="form-1")
    slip = money_reports.day_slip(NOW.astimezone(NAIROBI).date(), NAIROBI)
    assert reports.takings(NOW, NAIROBI) == reports.Takings(slip.total.net_cents, slip.total.sales)
    assert slip.total.sales == 2


def test_a_cash_sale_tells_of_no_m_pesa(settings):
    owner = people.add("Atieno", PASSWORD, "owner", NOW)
    payment, _ = counter.sell(Plan.get(), owner, NOW, key="form-1")
    steps = [step.name for step in reports.story(reports.sale(payment.id))]
    assert steps[:3] == ["created_cash", "paid_cash", "granted"]
    assert "confirmed" not in steps


def test_access_that_ended_as_its_money_went_back_ended_then(settings):
    payment = pay()
    refunds.reverse(payment, "sent back", NOW + timedelta(minutes=5))
    steps = {step.name: step.at for step in reports.story(reports.sale(payment.id))}
    assert steps["ended"] == steps["reversed"] == NOW + timedelta(minutes=5)


def test_today_shows_takings_who_is_online_and_who_paid_and_is_not(njeri):
    gate = Router.create(name="gate", host="10.5.50.1")
    worker_is_alive()
    now = datetime.now(UTC)
    let_in(pay(ASHA, now, "R1"), gate)
    waiting = pay(JUMA, now, "R2")
    page = njeri.get("/admin/")
    assert "Takings KSh 40" in page.words
    assert "Sales 2" in page.words and "Let in now 1" in page.words and "Paid, not online 1" in page.words
    assert f'href="/admin/payments/{waiting.id}"' in page.text
    assert "0722•••111" in page.words and "0722 000 111" not in page.words
    assert "0712•••678 was let in by gate" in page.words
    assert "needs you" not in page.words


def test_a_part_that_is_silent_for_long_counts_as_unknown(njeri):
    now = datetime.now(UTC)  # five minutes make news old, and all the tests together take longer
    Router.create(name="attic", host="10.5.60.1")
    checks.record("router:gate", "problem", "no answer", now, "check its cable")
    checks.record("modem", "ok", "Safaricom, signal -71 dBm", now - timedelta(minutes=6))
    states = {part.name: part.state for part in reports.parts(now)}
    assert states == {"router:gate": "problem", "modem": "unknown", "router:attic": "unknown"}
    words = njeri.get("/admin/").words
    assert "Router gate Problem no answer check its cable" in words
    assert "Modem Unknown no news for a while; the last word was: Safaricom" in words
    assert "Router attic Unknown not asked yet" in words


def test_today_says_when_nobody_works_and_when_the_clock_is_in_doubt(njeri):
    clock.beat(NOW, synchronised=False)
    words = njeri.get("/admin/").words
    assert "No worker is running" in words and "clock can't be trusted" in words


def test_the_live_part_stands_alone_and_on_the_page_alike(njeri):
    worker_is_alive()
    pay()
    fragment = njeri.get("/admin/live").text
    assert fragment.startswith('<div id="live"') and "<html" not in fragment
    ago = r"just now|\d+ (s|min) ago|for \d+ seconds"
    assert re.sub(ago, "", fragment) in re.sub(ago, "", njeri.get("/admin/").text)


STATES = [("pending", "", ""), ("paid", "live", "wanted"), ("paid", "live", "there"), ("paid", "ended", "gone"),
          ("failed", "", ""), ("expired", "", ""), ("reversed", "live", "there"), ("paid", "live", "")]  # fmt: skip


@pytest.mark.parametrize("mode", ["local", "radius"])
@pytest.mark.parametrize(("state", "grant_state", "placed"), STATES)
def test_lists_say_what_the_guest_is_told(settings, mode, state, grant_state, placed):
    gate = Router.create(name="gate", host="10.5.50.1", mode=mode)
    payment = prompt()
    if grant_state:
        grant = access.promise(payment, NOW)
        grant.put(state=grant_state)
        Placement.delete().execute()
        if placed:
            Placement.create(grant=grant, router=gate, state=placed)
    payment.put(state=state, paid_at=NOW)
    stands = payments.standing(payment, NOW).status
    assert reports.sale(payment.id).status == stands
    assert [sale.status for sale in reports.last_payments(5)] == [stands]
    assert (reports.count_waiting() == 1) == (len(reports.waiting()) == 1) == (stands == "paid")
    assert reports.online_now() == (1 if grant_state == "live" and (placed == "there" or mode == "radius") else 0)


# Payments


@pytest.mark.parametrize(
    "typed", ["0712 345 678", "+254712345678", "tck1ab2cd3", " TCK1AB2CD3 ", "WIFI{id}", "{id}", "{code}"]
)
def test_a_payment_is_found_by_phone_receipt_code_and_reference(njeri, typed):
    payment, other = pay(), pay(JUMA, receipt="OTHER")
    code = Grant.get(Grant.payment == payment).username.lower()
    wanted = typed.format(id=payment.id, code=code)
    found = reports.find_payments(wanted, 30)
    assert [sale.payment.id for sale in found] == [payment.id]
    page = njeri.get("/admin/payments", "q=" + wanted.replace(" ", "+").replace("+254", "%2B254"))
    assert f"/admin/payments/{payment.id}" in page.text and f"/admin/payments/{other.id}" not in page.text


@pytest.mark.parametrize("typed", ["%", "_", "nobody", "' OR 1=1 --", "0" * 60, "99999999999999999999", "١"])
def test_a_search_for_something_else_finds_nothing_and_says_so(njeri, typed):
    pay()
    assert reports.find_payments(typed, 30) == []


def test_what_was_searched_for_comes_back_as_text(njeri):
    page = njeri.get("/admin/payments", "q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page.text and "No payment has" in page.words


@pytest.mark.parametrize(
    ("shown", "receipts"),
    [("all", {"PAID", None}), ("waiting", {"PAID"}), ("paid", {"PAID"}), ("open", {None}), ("unpaid", set())],
)
def test_payments_are_listed_by_how_they_stand(njeri, shown, receipts):
    pay(receipt="PAID")
    prompt(JUMA)
    assert {sale.payment.receipt for sale in reports.last_payments(30, shown)} == receipts
    assert njeri.get("/admin/payments", f"state={shown}").status == 200


def test_older_payments_are_a_page_away(njeri):
    for number in range(35):
        prompt(f"2547120000{number:02}")
    first = njeri.get("/admin/payments")
    link = re.search(r"/admin/payments\?state=all&amp;before=(\d+)", first.text)
    assert link
    second = njeri.get("/admin/payments", f"state=all&before={link[1]}")
    numbers = [int(number) for page in (first, second) for number in re.findall(r'payments/(\d+)"', page.text)]
    assert numbers == sorted(range(1, 36), reverse=True)


# One payment's story


def test_a_story_tells_everything_in_order(njeri):
    gate, attic = Router.create(name="gate", host="10.5.50.1"), Router.create(name="attic", host="10.5.60.1")
    payment = pay(at=NOW - timedelta(minutes=2))
    let_in(payment, gate, NOW - timedelta(minutes=1))
    grant = Grant.get(Grant.payment == payment)
    job = Job.get(Job.name == "grant.place", Job.lane == f"router:{attic.id}")
    fail(job, "connection refused by 10.5.60.1", NOW - timedelta(seconds=50))
    access.record_not_placed(grant.id, attic.id, "connection refused by 10.5.60.1", NOW - timedelta(seconds=50))
    messages.mark_failed(Message.get().id, "+CMS ERROR: 500", NOW)
    words = njeri.get(f"/admin/payments/{payment.id}").words
    parts = [
        "The guest chose 1 hour", "the phone rings", "A call came in from 196.201.214.200: paid",
        "Paid. The word came by M-Pesa's own call", "right to be online for 1 hour",
        "attic does not know the guest yet", "Router gate knows the guest",
        "try 5 did not work connection refused by 10.5.60.1", "given up after 5 tries",
        "The time ends",
    ]  # fmt: skip
    places = [words.find(part) for part in parts]
    assert -1 not in places and places == sorted(places), list(zip(parts, places, strict=True))
    assert "The text was not sent +CMS ERROR: 500" in words


@pytest.mark.parametrize(
    ("code", "words"),
    [("1032", "The guest cancelled"), ("push-refused", "the phone did not ring"), ("77", "which we do not know")],
)
def test_a_failure_is_told_in_the_owners_words(njeri, code, words):
    payment = prompt()
    payments.record_result(payment, StkResult("ws", "m", code, "x"), "callback", NOW)
    assert words in njeri.get(f"/admin/payments/{payment.id}").words


def test_a_story_of_a_lost_answer_a_late_payment_and_a_dispute(njeri):
    payment = prompt(at=NOW - timedelta(minutes=9))
    payments.expire_overdue(NOW - timedelta(minutes=5))
    assert "Nobody answered in time" in njeri.get(f"/admin/payments/{payment.id}").words
    payments.record_answer(payment.id, QueryAnswer("paid", "0", "ok"), (10,), NOW)
    payments.record_answer(payment.id, QueryAnswer("failed", "1032", "Request cancelled"), (10,), NOW)
    words = njeri.get(f"/admin/payments/{payment.id}").words
    assert "The word came by our question" in words and "M-Pesa later denied this payment" in words


def test_phone_and_code_stand_in_full_only_in_the_story_that_the_owner_reads(app, njeri):
    payment = pay(body=b'{"PhoneNumber": 254712345678}')
    grant = Grant.get(Grant.payment == payment)
    address = f"/admin/payments/{payment.id}"
    told = njeri.get(address).words
    assert "0712 345 678" in told and grant.username in told and grant.password in told and "254712345678" in told
    otieno = signed_in(app, "Otieno")
    for path in (address, "/admin/payments", "/admin/", "/api/admin/events"):
        page = otieno.get(path).body.decode()
        assert "712345678" not in page.replace(" ", "") and grant.username not in page, path
    assert "0712•••678" in otieno.get(address).words
    assert "0712 345 678" not in njeri.get("/admin/payments").words


def test_hostile_words_of_mpesa_routers_and_guests_stay_text_everywhere(app, njeri):
    attic = Router.create(name=f"attic {POISON}", host="10.5.60.1")
    payment = pay(body=POISON.encode() + b"\xff\x00\xe2\x80\xae", receipt=POISON)
    payment.put(mac=POISON, context={"link-orig": POISON})
    grant = Grant.get(Grant.payment == payment)
    access.record_not_placed(grant.id, attic.id, f"!trap {POISON}\r\n\u202e", NOW)
    messages.mark_failed(Message.get().id, POISON, NOW)
    checks.record(f"router:{attic.name}", "problem", POISON, NOW, POISON)
    poisoned = dict.fromkeys(("words", "phone", "name", "shop", "self", "plan", "amount", "receipt"), POISON)
    for name in (POISON, "payment.processed"):
        Event.create(name=name, at=NOW, data=poisoned)
    juma = prompt(JUMA)
    payments.record_result(juma, StkResult("ws", "m", POISON, POISON), "callback", NOW)
    for job in Job.select():
        fail(job, POISON)
    Job.update(name=POISON).where(Job.name == "sms.send").execute()
    for address in ("/admin/", "/admin/live", "/admin/payments", f"/admin/payments/{payment.id}",
                    f"/admin/payments/{juma.id}"):  # fmt: skip
        page = njeri.get(address)
        assert page.status == 200
        assert "<script>alert" not in page.text and "\u202e" not in page.text, address
        assert "&lt;script&gt;alert(1)" in page.text or "payments" in address


def test_a_plan_named_like_a_format_is_only_a_name(njeri):
    Plan.update(name="{shop.__class__} {0} 100%").execute()
    payment = pay()
    for address in ("/admin/", f"/admin/payments/{payment.id}"):
        assert "{shop.__class__} {0} 100%" in njeri.get(address).words


def test_a_person_may_have_mpesa_asked_again(app):
    payment = prompt()
    otieno = signed_in(app, "Otieno")
    Job.delete().execute()
    answer = otieno.post(f"/admin/payments/{payment.id}/recheck")
    assert answer.header("Location") == f"/admin/payments/{payment.id}?asked=1"
    assert "We ask again" in otieno.get(f"/admin/payments/{payment.id}", "asked=1").words
    assert [job.name for job in Job.select()] == ["payment.ask"]


def test_a_checkout_without_a_name_can_not_be_asked_about(njeri):
    payment, _ = payments.initiate(payments.Wish(1, ASHA), NOW)
    assert "Ask again how it ended" not in njeri.get(f"/admin/payments/{payment.id}").words
    answer = njeri.post(f"/admin/payments/{payment.id}/recheck")
    assert answer.status == 400 and "can't be asked" in answer.words
    assert njeri.post("/admin/payments/999/recheck").status == 404


def test_every_word_a_row_may_need_is_in_the_catalogue(njeri):
    """Each step of a story, each status, each part: a missing text would be an error on the owner's page."""
    payment = pay()
    grant, router = Grant.get(Grant.payment == payment), Router.create(name="gate", host="10.5.50.1")
    Placement.create(grant=grant, router=router, state="gone", written_at=NOW)
    grant.put(ends_at=NOW, state="ended", credited_s=60)
    for state in ("scheduled", "waiting", "running", "done", "failed", "cancelled"):
        Job.update(state=state, started_at=NOW, finished_at=NOW).where(Job.name == "payment.ask").execute()
        assert njeri.get(f"/admin/payments/{payment.id}").status == 200
    for state in ("queued", "sent", "failed", "unconfirmed"):
        Message.update(state=state, sent_at=NOW).execute()
        assert njeri.get(f"/admin/payments/{payment.id}").status == 200
    for state in ("wanted", "there", "leaving", "gone"):
        Placement.update(state=state).execute()
        assert njeri.get(f"/admin/payments/{payment.id}").status == 200
    for state in ("pending", "prompted", "paid", "failed", "expired", "reversed"):
        payment.put(state=state, paid_at=None)
        assert njeri.get(f"/admin/payments/{payment.id}").status == 200
        assert njeri.get("/admin/payments").status == 200
