"""The guest's pages as plain functions: what the router tells, where a code may go, what is shown."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from edge import database
from edge.models import TABLES, Grant, Message, Payment, Placement, Plan, Router
from edge.pages import portal, portal_links
from edge.pages.views import payment_view, plan_view

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
GATE = Router(name="gate", host="10.5.50.1", login_url="http://gate.wifi/login")
ATTIC = Router(name="attic", host="10.5.60.1", login_url="http://attic.wifi/login")
CELLAR = Router(name="cellar", host="10.5.70.1")
HOUR = Plan(id=1, name="1 hour", price_cents=2000, seconds=3600, rate="2M/5M")


def test_what_the_router_tells_is_kept_by_its_names():
    given = {"ip": "10.5.50.9", "link-login-only": "http://10.5.50.1/login", "chap-id": "\\371", "other": "x"}
    assert portal.read_context(given) == {name: given[name] for name in ("ip", "link-login-only", "chap-id")}


@pytest.mark.parametrize("value", ["", "x" * 301, "a\r\nb", "a\0b", None, 7, ["x"], {"x": 1}])
def test_what_can_not_be_used_is_left_out(value):
    assert portal.read_context({"link-orig": value}) == {}


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("http://10.5.50.1/login", "10.5.50.1"),
        ("HTTPS://Gate.WiFi:8443/login?x=1&y=%20", "gate.wifi"),
        ("http://[fd00::1]/login", "fd00::1"),
        ("javascript:alert(1)", ""),
        ("//10.5.50.1/login", ""),
        ("http:10.5.50.1", ""),
        ("http:///10.5.50.1", ""),
        ("http://evil.example\\@10.5.50.1/", ""),
        ("http://10.5.50.1@evil.example/", ""),
        ("http://evil.example@10.5.50.1/", ""),
        ("http://10.5.50.1\t.evil.example/", ""),
        (" http://10.5.50.1/", ""),
        ("http://10.5.50.1:99999/", ""),
        ("http://[fd00::1/", ""),
        ("http://10.5.50.1\uff0eevil.example/", ""),
        ("http://\u212aate.wifi/", ""),
        ("", ""),
    ],
)
def test_only_plain_links_have_a_host(link, host):
    assert portal_links.host_of(link) == host


@pytest.mark.parametrize(
    ("link", "routers", "address"),
    [
        ("http://10.5.50.1/login", [GATE], "http://10.5.50.1/login"),
        ("http://GATE.wifi/login?a=b", [GATE, ATTIC], "http://GATE.wifi/login?a=b"),
        ("http://evil.example/login", [GATE], "http://gate.wifi/login"),
        ("http://10.5.50.1.evil.example/", [GATE], "http://gate.wifi/login"),
        ("http://evil.example/login", [GATE, ATTIC], ""),
        ("http://evil.example/login", [CELLAR], ""),
        ("http://evil.example/login", [], ""),
        ("", [GATE], "http://gate.wifi/login"),
        ("", [Router(name="bad", host="", login_url="javascript:alert(1)")], ""),
    ],
)
def test_a_code_is_only_posted_to_our_own_routers(link, routers, address):
    assert portal_links.login_address(link, routers) == address


def test_the_chap_answer_is_the_md5_of_bytes():
    challenge = "\\357\\015\\001\\102\\000\\377"
    expected = hashlib.md5(b"\xf9" + b"0427" + b"\xef\x0d\x01\x42\x00\xff").hexdigest()
    assert portal_links.chap_response("\\371", "0427", challenge) == expected


def test_short_octal_escapes_and_plain_letters_are_read_as_javascript_reads_them():
    expected = hashlib.md5(b"\x07" + b"0427" + b"A\x00\x20" + b"7").hexdigest()
    assert portal_links.chap_response("\\7", "0427", "A\\0\\407") == expected


@pytest.mark.parametrize(
    ("chap_id", "challenge"), [("", ""), ("\\371", ""), ("", "\\371"), ("\\371", "\u20ac")]
)
def test_without_a_whole_challenge_there_is_no_chap(chap_id, challenge):
    assert portal_links.chap_response(chap_id, "0427", challenge) is None


@pytest.mark.parametrize(
    ("rate", "shown"), [("2M/5M", "5 Mbps"), ("512k/1M 1M/2M", "1 Mbps"), ("", ""), ("junk", "")]
)
def test_a_guest_reads_the_speed_of_his_downloads(rate, shown):
    assert portal.show_speed(rate) == shown


def test_a_plan_does_not_say_its_time_twice():
    assert portal.details(HOUR) == ["Speed 5 Mbps"]
    tea = Plan(name="Tea break", price_cents=500, seconds=900, bytes=1_500_000_000, devices=2)
    assert portal.details(tea) == ["15 minutes", "1.5 GB of data", "2 devices"]


def test_a_plan_in_the_api():
    assert plan_view(HOUR) == {
        "id": 1, "name": "1 hour", "price": 20, "currency": "KES", "seconds": 3600, "bytes": None,
        "rate": "2M/5M", "devices": 1,
    }  # fmt: skip


def test_choosing_again_leads_back_as_the_router_sent_the_guest():
    context = {"link-login-only": "http://10.5.50.1/login?a=b&c=d", "chap-id": "\\371", "junk": "x"}
    link = urlsplit(portal_links.back_link(Payment(mac="AA:BB:CC:DD:EE:FF", context=context)))
    assert link.path == "/"
    assert parse_qs(link.query) == {
        "mac": ["AA:BB:CC:DD:EE:FF"], "chap-id": ["\\371"],
        "link-login-only": ["http://10.5.50.1/login?a=b&c=d"],
    }  # fmt: skip
    assert portal_links.back_link(Payment(context={})) == "/"


def test_what_strangers_write_into_the_address_stays_text():
    page = portal.skeleton([HOUR], error="<script>alert(1)</script>")
    page = portal.with_told(page, {"link-orig": '"><script>alert(2)</script>'})
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_pages_stay_small():
    folder = Path(portal.__file__).parent.parent
    page = portal.skeleton([HOUR] * 8, error="")
    style = sum((folder / "static" / name).stat().st_size for name in ("guest.css", "guest.js"))
    assert len(page.encode()) + style < 20_000
    assert page.count("/static/") == 2


@pytest.fixture
def asha(tmp_path):
    """Asha's payment of one hour at router `gate`."""
    database.open_database(tmp_path / "edge.db")
    database.db.create_tables(TABLES)
    Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600)
    yield Payment.create(
        token="t" * 32, secret="s", plan=1, msisdn="254712345678", amount_cents=2000, created_at=NOW,
        state="prompted",
    )  # fmt: skip
    database.close_database()


def let_in(payment):
    payment.put(state="paid", receipt="TCK1", paid_at=NOW)
    grant = Grant.create(
        payment=payment, plan=1, username="ABCDEFGH", password="0427", seconds=3600, created_at=NOW,
        starts_at=NOW, ends_at=NOW + timedelta(hours=1),
    )  # fmt: skip
    Placement.create(grant=grant, router=Router.create(name="gate", host="10.5.50.1"), state="there")


def test_nobody_learns_a_code_before_the_money_is_there(asha):
    for state in ("pending", "prompted", "failed", "expired", "reversed"):
        asha.put(state=state)
        view = payment_view(asha, NOW)
        assert (view["status"], view["username"], view["password"]) == (state, None, None)
        assert view["message"]


def test_a_guest_who_is_let_in_gets_code_receipt_and_the_end_of_his_time(asha):
    let_in(asha)
    view = payment_view(asha, NOW + timedelta(minutes=10))
    assert json.loads(json.dumps(view)) == {
        "payment_id": "t" * 32, "status": "online",
        "message": "You paid KSh 20. Press Connect if pages do not open.",
        "amount": 20, "receipt": "TCK1", "username": "ABCDEFGH", "password": "0427",
        "ends_at": "2026-03-02T10:00:00Z", "seconds_left": 3000, "bytes_left": None, "metered": False,
        "credited_s": 0, "why_ended": None,
    }  # fmt: skip
    assert Message.select().count() == 0


def test_a_code_stays_secret_once_the_payment_was_taken_back(asha):
    let_in(asha)
    asha.put(state="reversed")
    assert payment_view(asha, NOW)["username"] is None


FAILURES = [("1032", "cancelled"), ("push-refused", "could not be asked"), ("77", "did not")]


@pytest.mark.parametrize(("code", "words"), FAILURES)
def test_a_failure_is_told_with_its_reason(asha, code, words):
    asha.put(state="failed", result_code=code)
    assert words in payment_view(asha, NOW)["message"]
