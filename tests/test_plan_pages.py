"""The price list on the dashboard, and what a guest is told before he pays."""

import pytest

from edge.domain import access, guest_logins, plans
from edge.models import Grant, Payment, Plan, Router
from edge.pages import portal
from edge.settings import Settings
from edge.values.schedule import read_windows
from edge.web import build
from tests.browser import needs_chromium, set_width
from tests.conftest import NOW
from tests.shop import ASHA
from tests.web_client import Browser

PHONE = "AC:DE:48:00:11:22"
FORM = {
    "name": "Evening", "price": "30", "time": "2h", "rate": "2M/5M", "devices": "1", "joins": "yes", "on_sale": "yes",
}  # fmt: skip


@pytest.fixture
def njeri(settings):
    """The owner, signed in."""
    browser = Browser(build(settings))
    assert browser.sign_in("Njeri").status == 303
    return browser


@pytest.fixture
def guest(box):
    """A guest's browser at the box on paper."""
    return Browser(build(Settings(state=box.folder)), "10.5.50.9")


def test_the_owner_adds_a_plan_and_guests_see_it(njeri):
    assert njeri.post("/admin/plans/new", FORM | {"happy": "0-24 = 25"}).header("Location") == "/admin/plans?said=added"
    page = njeri.get("/admin/plans", "said=added")
    assert "The plan is kept." in page.words
    assert "Evening KSh 25 KSh 30" in page.words and "2 hours · Speed 5 Mbps" in page.words
    plan = Plan.get(Plan.name == "Evening")
    assert (plan.seconds, plan.joins, plan.metered, plan.on_sale, plan.position) == (7200, True, False, True, 1)


def test_a_change_takes_away_what_is_left_empty(njeri):
    njeri.post("/admin/plans/new", FORM | {"data": "2GB", "hours": "mon 8-9", "remind": "10m", "idle": "10m"})
    plan = Plan.get(Plan.name == "Evening")
    form = njeri.get(f"/admin/plans/{plan.id}")
    assert [form.field(name) for name in ("data", "hours", "remind", "idle", "time")] == [
        "2GB", "Mon 08:00-09:00", "10m", "10m", "2h",
    ]  # fmt: skip
    assert njeri.post(f"/admin/plans/{plan.id}", FORM | {"metered": "yes", "joins": ""}).status == 303
    plan = Plan.get_by_id(plan.id)
    assert (plan.bytes, plan.hours, plan.remind_s, plan.idle_s, plan.metered, plan.joins) == (
        None, [], None, None, True, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"price": "0"}, "whole shillings"), ({"price": "x"}, "whole shillings"), ({"time": ""}, "length of time"),
        ({"burst": "9M"}, "4M/8M"), ({"hours": "noon"}, "no time of the week"), ({"devices": "0"}, "1 to 100"),
        ({"routers": "cellar"}, "no router named cellar"), ({"name": "<b>" * 30}, "1 to 60 letters"),
    ],
)  # fmt: skip
def test_what_can_not_be_sold_is_said_in_the_form_and_nothing_typed_is_lost(njeri, typed, told):
    page = njeri.post("/admin/plans/new", FORM | typed)
    assert page.status == 400 and told in page.words
    assert page.field("name") == (FORM | typed)["name"]
    assert Plan.select().count() == 1


def test_plans_are_hidden_shown_and_moved(njeri):
    njeri.post("/admin/plans/new", FORM)
    evening = Plan.get(Plan.name == "Evening").id
    assert njeri.post(f"/admin/plans/{evening}/move", {"way": "up"}).status == 303
    assert [plan.id for plan in plans.everything()] == [evening, 1]
    njeri.post("/admin/plans/1/sale", {"on_sale": ""})
    assert "hidden" in njeri.get("/admin/plans").words
    njeri.post("/admin/plans/1/sale", {"on_sale": "yes"})
    assert Plan.get_by_id(1).on_sale
    assert njeri.post("/admin/plans/1/move", {"way": "sideways"}).status == 404
    assert njeri.post("/admin/plans/99/move", {"way": "up"}).status == 404
    assert njeri.get("/admin/plans/99").status == 404


def test_a_technician_reads_and_changes_nothing(settings):
    otieno = Browser(build(settings))
    otieno.sign_in("Otieno")
    otieno.csrf = otieno.get("/admin/plans/1").field("csrf")
    assert "1 hour" in otieno.get("/admin/plans").words
    assert "Save" not in otieno.get("/admin/plans/1").words
    for path in ("/admin/plans/new", "/admin/plans/1", "/admin/plans/1/sale", "/admin/plans/1/move"):
        assert otieno.post(path, FORM).status == 403
    assert Plan.get().name == "1 hour"


def test_a_name_is_text_and_never_a_page(njeri):
    njeri.post("/admin/plans/new", FORM | {"name": "<script>alert(1)</script>"})
    for path in ("/admin/plans", "/admin/plans/2", "/"):
        assert "<script>alert" not in njeri.get(path).text


def now_and(words: str) -> list:
    return read_windows(words, priced=True)


def test_the_form_carries_the_price_and_another_one_is_asked_about_again(box, guest):
    plans.change(Plan.get(), happy=now_and("0-24 = 15"))
    page = guest.get("/", "error=x")  # not from the shelf
    assert "KSh 15 KSh 20" in page.words and page.field("prices") == "1=15"
    plans.change(Plan.get(), happy=[])
    form = {"package_id": "1", "phone_number": "0712345678", "prices": page.field("prices")}
    again = guest.post("/api/payments/initiate", form)
    assert again.status == 400 and "1 hour costs KSh 20 now, not KSh 15" in again.words
    assert again.field("prices") == "1=20" and 'value="0712345678"' in again.text
    assert Payment.select().count() == 0
    assert guest.post("/api/payments/initiate", form | {"prices": again.field("prices")}).status == 303
    assert Payment.get().amount_cents == 2000


@pytest.mark.parametrize(
    ("given", "cents"),
    [({}, None), ({"price": ""}, None), ({"price": 20}, 2000), ({"price": "20"}, 2000),
     ({"package_id": "2", "prices": "1=20 2=50"}, 5000), ({"package_id": 3, "prices": "1=20 2=50"}, None)],
)  # fmt: skip
def test_the_price_that_was_shown_is_read(given, cents):
    assert portal.price_shown(given) == cents


@pytest.mark.parametrize("price", [20.5, "x", True, "-1", [20], "２0"])
def test_a_price_that_is_none_is_refused(price, box, guest):
    with pytest.raises(Exception, match="whole shillings"):
        portal.price_shown({"price": price})


def test_whoever_has_time_left_is_told_before_he_pays(box, gate, guest):
    gate.put(username="")
    grant = access.give(Plan.get(), "gift", NOW, msisdn=ASHA, mac=PHONE)
    assert guest_logins.of_mac(PHONE) == grant
    words = portal.front_page({}, NOW, has=grant)
    assert "You have 1 hour left of 1 hour. If you buy 1 hour again" in words
    assert grant.username not in words
    assert "a code of its own" in guest.get("/", f"mac={PHONE}").words


def test_each_router_sells_its_own(box, gate, attic, guest):
    plans.add(name="Attic day", price_cents=5000, seconds=86_400, router_ids=[attic.id])
    shelf = portal.Shelf()
    told = {row.name: {"link-login-only": f"http://{row.host}/login"} for row in Router.select()}
    assert "Attic day" in shelf.page(told["attic"])
    assert "Attic day" not in shelf.page(told["gate"])
    assert "Attic day" not in shelf.page({})
    assert "1 hour" in shelf.page({}) and "1 hour" in shelf.page(told["attic"])
    given = {"package_id": "2", "phone_number": "0712345678", **told["gate"]}
    assert "not sold at this place" in guest.post("/api/payments/initiate", given).words
    assert guest.post("/api/payments/initiate", given | told["attic"]).status == 303


def test_the_api_tells_the_price_of_this_hour_and_the_rate_without_its_burst(box, guest):
    plans.change(Plan.get(), happy=now_and("0-24 = 15"), burst="4M/8M 2M/4M 10/10")
    assert guest.get("/api/packages").json == {"packages": [
        {"id": 1, "name": "1 hour", "price": 15, "currency": "KES", "seconds": 3600, "bytes": None, "rate": "2M/5M",
         "devices": 1},
    ]}  # fmt: skip


@needs_chromium
def test_both_pages_fit_a_phone(address, browser, monkeypatch, settings):
    monkeypatch.setattr(plans.shop, "can_text", True)
    plans.change(Plan.get(), happy=now_and("0-24 = 15"), burst="", rate="2M/5M", hours=read_windows("0-24"))
    plans.add(name="Ten minutes", price_cents=0, seconds=600, is_trial=True)
    plans.add(name="1 week for the whole family", price_cents=50_000, seconds=604_800, devices=4, metered=True,
              valid_s=2_592_000, bytes=10**10)  # fmt: skip
    access.give(Plan.get_by_id(1), "gift", NOW, msisdn=ASHA, mac=PHONE)
    Grant.update(state="live").execute()
    browser.get(f"{address}/admin/sign-in")
    for name, words in (("name", "Njeri"), ("password", "three long words")):
        browser.find_element("name", name).send_keys(words)
    browser.find_element("css selector", "main button").click()
    for place in ("/", f"/?mac={PHONE}", "/trial", "/admin/plans", "/admin/plans/1", "/admin/plans/new"):
        for width in (360, 1280):
            set_width(browser, width)
            browser.get(address + place)
            assert browser.find_elements("tag name", "h1"), place
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, (place, width)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
