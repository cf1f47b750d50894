"""The price list: edited by command, and sold as it says; TVs added by the owner."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from edge import boot, settings
from edge.__main__ import edge
from edge.database import db
from edge.devices import router_rows
from edge.devices.router import Router
from edge.domain import access, comparison, payments, plans
from edge.errors import BadInput
from edge.models import Grant, Payment, Plan
from edge.network_models import Device
from edge.simulators.router import RouterSimulator
from edge.values.schedule import read_windows
from edge.values.sizes import read_bytes, show_bytes
from tests.conftest import NOW

PASSWORD = "a password of Njeri's own"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Runs `edge` on a box that was made; (exit code, document or words)."""
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words, stdin=""):
        found = CliRunner().invoke(edge, [*words, "--json", "--state", str(tmp_path / "box")], input=stdin)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, json.loads(found.stdout) if found.stdout.startswith("{") else found.stderr

    code, words = run("init", "--owner", "njeri", "--password-stdin", stdin=PASSWORD + "\n")
    assert code == 0, words
    run.folder = tmp_path / "box"
    return run


def test_a_plan_is_added_with_all_it_may_have(shop):
    code, plan = shop(
        "plan", "add", "Evening", "--price", "30", "--time", "2h30m", "--data", "1.5GB", "--rate", "2M/5M",
        "--devices", "2", "--metered", "--idle", "10m", "--burst", "4M/8M 2M/4M 10/10", "--valid", "30d",
        "--start", "90d", "--happy", "22-6 = 15", "--own-code", "--remind", "10m",
    )  # fmt: skip
    assert code == 0
    told = {"name": "Evening", "usual_price": 30, "seconds": 9000, "bytes": 1_500_000_000, "rate": "2M/5M",
            "devices": 2, "metered": True, "idle_s": 600, "on_sale": True, "burst": "4M/8M 2M/4M 10/10",
            "valid_s": 2_592_000, "start_within_s": 7_776_000, "happy": "22:00-06:00 = 15", "joins": False,
            "remind_s": 600, "trial": False, "hours": "", "routers": ""}  # fmt: skip
    assert {key: plan[key] for key in told} == told
    assert shop("plan", "show", str(plan["id"]))[1]["happy"] == "22:00-06:00 = 15"
    assert shop("plan", "list")[1]["packages"][-1]["name"] == "Evening"


def test_a_plan_is_changed_and_its_limits_taken_away(shop):
    _, plan = shop("plan", "add", "Evening", "--price", "30", "--time", "1d", "--data", "2GB", "--idle", "600")
    number = str(plan["id"])
    code, changed = shop(
        "plan", "set", number, "--price", "40", "--data", "none", "--idle", "none", "--rate", "none", "--name", "Night",
        "--by-the-clock",
    )  # fmt: skip
    assert code == 0
    assert [changed[key] for key in ("name", "price", "bytes", "idle_s", "rate")] == ["Night", 40, None, None, ""]
    assert changed["seconds"] == 86_400  # what was not said stays


def test_a_hidden_plan_is_sold_no_more_and_can_come_back(shop):
    assert shop("plan", "hide", "1")[1]["on_sale"] is False
    assert 1 not in [plan["id"] for plan in shop("plan", "list")[1]["packages"]]
    assert 1 in [plan["id"] for plan in shop("plan", "list", "--all")[1]["packages"]]
    shop("plan", "set", "1", "--show")
    assert 1 in [plan["id"] for plan in shop("plan", "list")[1]["packages"]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "X", "--price", "20", "--time", "soon"), "length of time"),
        (("add", "X", "--price", "20", "--time", "0"), "length of time"),
        (("add", "X", "--price", "20", "--time", "1h", "--data", "lots"), "amount of data"),
        (("add", "X", "--price", "20", "--time", "1h", "--rate", "fast"), "2M/5M"),
        (("add", "X", "--price", "20", "--time", "1h", "--rate", "2M/5M;x"), "2M/5M"),
        (("add", " ", "--price", "20", "--time", "1h"), "1 to 60 letters"),
        (("add", "x" * 61, "--price", "20", "--time", "1h"), "1 to 60 letters"),
        (("add", "a\nb", "--price", "20", "--time", "1h"), "1 to 60 letters"),
        (("add", "X", "--price", "20", "--time", "1h", "--idle", "5s"), "at least a minute"),
        (("add", "X", "--price", "20", "--time", "999w9999d"), "ten years"),
        (("add", "X", "--price", "0", "--time", "1h"), "whole shillings"),
        (("add", "X", "--price", "20.50", "--time", "1h"), "whole shillings"),
        (("add", "X", "--price", "20", "--time", "1h", "--devices", "101"), "1 to 100 devices"),
        (("add", "X", "--price", "20", "--time", "1h", "--trial"), "no price"),
        (("add", "X", "--price", "20", "--time", "1h", "--burst", "4M/8M 2M/4M 10/10"), "needs a rate"),
        (("add", "X", "--price", "20", "--time", "1h", "--rate", "2M/5M", "--burst", "4M/8M"), "4M/8M 2M/4M 10/10"),
        (("add", "X", "--price", "20", "--time", "1h", "--rate", "2M/5M", "--burst", "4M/4M 1M/1M 9/9"), "more than"),
        (("add", "X", "--price", "20", "--time", "1h", "--rate", "2M/5M", "--burst", "4M/8M 5M/4M 9/9"), "no more"),
        (("add", "X", "--price", "20", "--time", "1h", "--valid", "30d"), "counts while online"),
        (("add", "X", "--price", "20", "--time", "1h", "--remind", "1h"), "before the end"),
        (("add", "X", "--price", "20", "--time", "1h", "--hours", "noon"), "no time of the week"),
        (("add", "X", "--price", "20", "--time", "1h", "--happy", "mon 8-9"), "price last"),
        (("add", "X", "--price", "20", "--time", "1h", "--routers", "cellar"), "no router named cellar"),
        (("set", "1", "--trial"), "no price"),
        (("set", "99", "--price", "20"), "no plan 99"),
        (("show", "99"), "no plan 99"),
        (("move", "99", "up"), "no plan 99"),
        (("hide", "99"), "no plan 99"),
    ],
)
def test_what_can_not_be_sold_is_refused_in_words(shop, words, told):
    code, answer = shop("plan", *words)
    assert code == 1
    assert told in answer["error"]


def test_a_change_that_names_nothing_to_change_is_wrong_use(shop):
    code, answer = shop("plan", "set", "1")
    assert code == 2 and "Say what to change" in answer["error"]


def test_a_new_plan_without_price_or_time_asks_for_them(shop):
    for words in (("--price", "20"), ("--time", "1h")):
        code, answer = shop("plan", "add", "X", *words)
        assert code == 2
        assert "--price" in answer["error"] and "--time" in answer["error"]


def test_plans_are_moved_on_the_guests_page(shop):
    def order():
        return [plan["id"] for plan in shop("plan", "list")[1]["packages"]]

    assert order() == [1, 2, 3, 4]
    for plan_id, way, expected in (
        ("3", "up", [1, 3, 2, 4]), ("4", "first", [4, 1, 3, 2]), ("4", "down", [1, 4, 3, 2]),
        ("1", "last", [4, 3, 2, 1]), ("4", "up", [4, 3, 2, 1]),
    ):  # fmt: skip
        assert shop("plan", "move", plan_id, way)[0] == 0
        assert order() == expected


def test_a_free_trial_that_nobody_can_get_is_said_to_be_one(shop):
    words = ["plan", "add", "Try it free", "--time", "10m", "--trial", "--state", str(shop.folder)]
    found = CliRunner().invoke(edge, words)
    assert "Try it free, free for 10 minutes" in found.stdout
    assert "no modem is set up" in found.stdout


def test_a_plan_is_told_in_the_words_that_set_it(shop):
    shop("plan", "set", "1", "--hours", "mon-fri 8-17", "--burst", "4M/8M 2M/4M 10/10")
    found = CliRunner().invoke(edge, ["plan", "show", "1", "--state", str(shop.folder)])
    assert "hours    Mon-Fri 08:00-17:00" in found.stdout
    assert "guests   see 1 hour; KSh 20; Speed 5 Mbps" in found.stdout


def test_a_plan_is_sold_only_in_its_hours(box):
    night = plans.add(name="Night", price_cents=3000, seconds=3600, hours=read_windows("22-6"))
    assert night.id not in [plan.id for plan in plans.on_sale(NOW)]  # noon in Nairobi
    with pytest.raises(BadInput, match=r"Night is not on sale at this hour; it is 22:00-06:00"):
        plans.get_on_sale(night.id, NOW)
    midnight = NOW + timedelta(hours=12)
    assert plans.get_on_sale(night.id, midnight).id == night.id
    assert night.id in [plan.id for plan in plans.on_sale(midnight)]


def test_a_happy_hour_has_its_own_price_and_the_cheapest_counts(box):
    plan = plans.change(Plan.get(), happy=read_windows("mon 11-13 = 15; mon 12-14 = 10", priced=True))
    assert [plans.price_at(plan, NOW + timedelta(hours=hours)) for hours in (-2, -1, 0, 1, 2)] == [
        2000, 1500, 1000, 1000, 2000,
    ]  # fmt: skip
    assert plans.happy_until(plan, NOW - timedelta(hours=2)) is None
    payment = payments.initiate(box.wish(), NOW)[0]
    assert payment.amount_cents == 1000


def test_the_price_a_guest_saw_is_the_price_he_pays(box):
    plans.change(Plan.get(), happy=read_windows("mon 11-12 = 15", priced=True))
    with pytest.raises(plans.PriceChanged, match=r"1 hour costs KSh 20 now, not KSh 15\. You were not charged"):
        payments.initiate(replace(box.wish(), price_cents=1500), NOW)
    assert Payment.select().count() == 0
    assert payments.initiate(replace(box.wish(), price_cents=2000), NOW)[0].amount_cents == 2000


def test_a_plan_of_one_router_is_sold_only_before_that_router(box, gate, attic):
    plan = plans.change(Plan.get(), router_ids=[attic.id])
    there, elsewhere = ({"link-login-only": f"http://10.5.{net}.1/login"} for net in (60, 50))
    assert plans.get_on_sale(plan.id, NOW, context=there)
    for context in (elsewhere, {}, None):
        with pytest.raises(BadInput, match="not sold at this place"):
            plans.get_on_sale(plan.id, NOW, context=context)
    assert [plan.id for plan in plans.on_sale(NOW, attic)] == [1]
    assert plans.on_sale(NOW, gate) == plans.on_sale(NOW) == []
    with pytest.raises(BadInput, match="no such router"):
        plans.change(plan, router_ids=[99])


def test_a_trial_is_never_sold(box):
    plans.change(Plan.get(), is_trial=True, price_cents=0)
    with pytest.raises(BadInput, match="not on sale"):
        payments.initiate(box.wish(), NOW)
    assert plans.on_sale(NOW) == []


def test_a_plan_taken_over_with_its_own_kind_of_rate_can_still_be_changed(box):
    plan = Plan.create(name="old", price_cents=0, seconds=60, rate="512k/1M 1M/2M", on_sale=False)
    assert plans.change(plan, name="older").name == "older"
    with pytest.raises(BadInput, match="whole shillings"):
        plans.change(plan, on_sale=True)


def test_a_burst_reaches_the_router_and_radius_as_one_rate_limit(box):
    plans.change(Plan.get(), burst="4M/8M 2M/4M 10/10")
    radius = box.router("gate", mode="radius")
    grant = access.give(Plan.get(), "gift", NOW)
    rows = db.execute_sql("SELECT value FROM radreply WHERE attribute = 'Mikrotik-Rate-Limit'").fetchall()
    assert rows == [("2M/5M 4M/8M 2M/4M 10/10",)]
    user = comparison.users_of(grant, access.left(grant, NOW))[0]
    router_rows.check_user(user)
    assert radius.mode == "radius" and user.profile.rate == "2M/5M 4M/8M 2M/4M 10/10"
    with RouterSimulator() as gate:
        router = Router("127.0.0.1", gate.port, "edge", "edge", timeout_s=20)
        router.admit(user)
        gate.add_host("AA:BB:CC:DD:EE:FF", "10.5.50.9")
        gate.log_in(user.name, user.password, "AA:BB:CC:DD:EE:FF")
        assert gate.rate_of("AA:BB:CC:DD:EE:FF") == "2M/5M 4M/8M 2M/4M 10/10"
        router.close()


def test_who_has_bought_keeps_what_he_bought(box, gate):
    grant = box.grant(box.paid())
    plans.change(Plan.get(), seconds=60, devices=5, bytes=1000, rate="1M/1M")
    kept = Grant.get_by_id(grant.id)
    assert (kept.seconds, kept.devices, kept.bytes, kept.rate) == (3600, 1, None, "2M/5M")


def test_a_name_may_have_quotes_and_other_letters(box):
    assert plans.add(name='"Chai"; ☕ سلام', price_cents=2000, seconds=60).name == '"Chai"; ☕ سلام'
    with pytest.raises(BadInput, match="whole shillings"):
        plans.add(name="X", price_cents=2050, seconds=60)


@pytest.mark.parametrize(
    ("typed", "count"), [("2GB", 2 * 10**9), ("1.5 g", 1_500_000_000), ("500mb", 5 * 10**8), ("20000", 20_000)]
)
def test_amounts_of_data_are_read_as_people_write_them(typed, count):
    assert read_bytes(typed) == count


@pytest.mark.parametrize("typed", ["", "0", "-1GB", "x", "1e9", "２GB", "9" * 40])
def test_what_is_no_amount_of_data_is_refused(typed):
    with pytest.raises(BadInput):
        read_bytes(typed)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1_500_000_000, "1.5 GB"), (20_000_000, "20 MB"), (512, "1 kB"), (0, "0 kB"), (1234 * 10**9, "1234 GB")],
)
def test_amounts_of_data_are_short_to_read(count, shown):
    assert show_bytes(count) == shown


def test_the_owner_adds_a_tv_for_a_guest_within_his_plan(shop):
    told = settings.load(shop.folder, None)
    with boot.opened(told):
        Grant.create(plan=1, username="ABCDEFGH", password="1", seconds=3600, devices=2, created_at=NOW)
    code, added = shop("device", "add", "abcdefgh", "00-1d-ba-11-22-33", "--label", "Bar")
    assert (code, added["mac"], added["label"], added["code"]) == (0, "00:1D:BA:11:22:33", "Bar", "AB••••••")
    code, refused = shop("device", "add", "ABCDEFGH", "00:50:F2:44:55:66")
    assert code == 1 and "2 devices" in refused["error"]
    assert [tv["added_by"] for tv in shop("device", "list")[1]["devices"]] == ["owner"]
    assert shop("device", "remove", "001DBA112233")[0] == 0
    assert "No device" in shop("device", "remove", "001DBA112233")[1]["error"]
    assert "no code" in shop("device", "add", "NOSUCH", "00:50:F2:44:55:66")[1]["error"]
    with boot.opened(told):
        assert Device.select().count() == 0
