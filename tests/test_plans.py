"""The price list: edited by command, and sold as it says; TVs added by the owner."""

import json

import pytest
from click.testing import CliRunner

from edge import boot, settings
from edge.__main__ import edge
from edge.domain import plans
from edge.errors import BadInput
from edge.models import Grant, Plan
from edge.network_models import Device
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
        "--devices", "2", "--metered", "--idle", "10m",
    )  # fmt: skip
    assert code == 0
    told = {"name": "Evening", "price": 30, "seconds": 9000, "bytes": 1_500_000_000, "rate": "2M/5M", "devices": 2,
            "metered": True, "idle_s": 600, "on_sale": True}  # fmt: skip
    assert {key: plan[key] for key in told} == told
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
        (("set", "99", "--price", "20"), "no plan 99"),
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
    code, words = shop("plan", "add", "X")
    assert code == 2
    assert "--price" in words


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
