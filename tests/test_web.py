"""Who may call what: one table, default deny, and what strangers send."""

import http.client
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge import database
from edge.domain import people
from edge.models import Heartbeat, Payment, Plan, StaffSession
from edge.schema import migrate
from edge.settings import Settings
from edge.settings_sections import Web
from edge.web import ROUTES, STAFF, Route, WebServer, build
from tests.web_client import PASSWORD, Browser

NOW = datetime.now(UTC)
STAFF_NAMES = {"owner": "Njeri", "technician": "Otieno", "cashier": "Wanjiku"}
GUEST_ADDRESS = "41.90.1.1"
PAGES = ["/", "/admin/sign-in", "/admin/", "/admin/payments", "/admin/payments/1", "/admin/queues",
         "/admin/queues/live", "/admin/queues/sms"]  # fmt: skip
STAFF_PLACES = ("/admin", "/api/admin", "/sms/")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(people, "N", 2**8)
    database.open_database(tmp_path / "edge.db")
    migrate(tmp_path / "edge.db")
    Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600)
    Payment.create(token="t" * 32, secret="s" * 40, plan=1, msisdn="254712345678", amount_cents=2000, created_at=NOW)
    for role, name in STAFF_NAMES.items():
        people.add(name, PASSWORD, role, NOW)
    yield Settings(state=tmp_path)
    database.close_database()


@pytest.fixture
def app(settings):
    return build(settings)


def signed_in(app, role):
    browser = Browser(app)
    assert browser.sign_in(STAFF_NAMES[role]).status == 303
    return browser


def address_of(route):
    return re.sub(r"<(\w+)(:int)?>", lambda part: "1" if part[2] else "x", route.path)


def expected(route, role):
    """passes, sign-in (a page is led there), 401 or 403."""
    if isinstance(route.who, str) or role in route.who:
        return "passes"
    if role:
        return "403"
    return "sign-in" if route.path.startswith("/admin") and route.method == "GET" else "401"


def outcome(answer):
    if answer.status in (401, 403):
        return str(answer.status)
    return "sign-in" if "/admin/sign-in?next=" in answer.header("Location") else "passes"


@pytest.mark.parametrize("role", ["", "cashier", "technician", "owner"])
def test_every_route_lets_in_whom_it_names_and_nobody_else(app, role):
    wrong = []
    for route in ROUTES:
        if (route.method, route.path) == ("POST", "/admin/sign-in"):
            continue  # answers 401 and 403 by itself; see the dashboard's tests
        browser = signed_in(app, role) if role else Browser(app)
        path = address_of(route)
        answer = browser.get(path) if route.method == "GET" else browser.post(path)
        if outcome(answer) != expected(route, role):
            wrong.append((route.method, route.path, answer.status))
        if answer.status >= 500 and route.path != "/ready":
            wrong.append((route.method, route.path, "broke"))
    assert wrong == []


@pytest.mark.parametrize("role", ["cashier", "technician", "owner"])
def test_a_token_reaches_as_far_as_the_role_of_its_owner_and_needs_no_csrf(app, role):
    staff = people.named(STAFF_NAMES[role])
    for route in ROUTES:
        if isinstance(route.who, str):
            continue
        token = people.make_token(staff, "test", NOW)
        browser = Browser(app)
        send = browser.get if route.method == "GET" else browser.post
        answer = send(address_of(route), AUTHORIZATION=f"Bearer {token}")
        assert outcome(answer) == expected(route, role), route.path


@pytest.mark.parametrize("token", ["", "nonsense", "é" * 50, "edge_" + "x" * 5000])
def test_a_wrong_token_is_nobody(app, token):
    answer = Browser(app).get("/api/admin/queue-status", AUTHORIZATION=f"Bearer {token}")
    assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")


@pytest.mark.parametrize("value", ["\xe9", "\xff\xfe" * 100, "a,b=1; =; [x]=\"", "edge_session=\x00"])
@pytest.mark.parametrize(
    "name", ["COOKIE", "ACCEPT", "X_FORWARDED_FOR", "HOST", "IDEMPOTENCY_KEY", "USER_AGENT", "X_CSRF_TOKEN"]
)
def test_a_header_that_is_not_utf8_breaks_no_page(app, name, value):
    for path in ("/", "/admin/sign-in", "/admin/", "/api/admin/events", "/.well-known/captive-portal"):
        assert Browser(app).get(path, **{name: value}).status in (200, 303, 401, 404), path
    answer = Browser(app).post("/cb/" + "s" * 40, **{name: value})
    assert answer.status == 400  # kept: unreadable, but no header's fault


@pytest.mark.parametrize("who", ["", frozenset(), None])
def test_a_route_that_names_nobody_can_not_start(settings, who):
    forgotten = Route("GET", "/admin/new", lambda: "secret", who)
    with pytest.raises(ValueError, match="say who may call it"):
        build(settings, (*ROUTES, forgotten))


def test_an_address_that_is_not_in_the_table_is_not_there(app):
    owner = signed_in(app, "owner")
    for path in ("/admin/backup", "/admin/../edge.db", "/static/../web.py", "/static/%2e%2e/web.py", "/api/admin"):
        assert owner.get(path).status in (403, 404), path


def test_every_route_for_staff_is_under_the_addresses_that_guests_are_kept_from():
    open_to_guests = [route.path for route in ROUTES
                      if route.who == STAFF and not route.path.startswith(STAFF_PLACES)]  # fmt: skip
    assert open_to_guests == []


def test_a_guest_outside_the_admin_networks_finds_nothing_even_with_a_password(settings):
    app = build(replace(settings, web=Web(admin_networks=("192.168.88.0/24",))))
    guest = Browser(app, "10.5.50.7")
    token = people.make_token(people.named("Njeri"), "stolen", NOW)
    for route in ROUTES:
        if route.path.startswith(STAFF_PLACES):
            send = guest.get if route.method == "GET" else guest.post
            assert send(address_of(route), AUTHORIZATION=f"Bearer {token}").status == 404, route.path
    assert guest.get("/").status == 200
    assert Browser(app, "192.168.88.3").get("/admin/sign-in").status == 200


@pytest.mark.parametrize("claim", ["127.0.0.1", "192.168.88.3, 127.0.0.1", "::1", "nonsense", "," * 3000])
def test_nobody_becomes_a_neighbour_by_saying_so(app, claim):
    stranger = Browser(app, GUEST_ADDRESS)
    assert stranger.get("/admin/sign-in", X_FORWARDED_FOR=claim).status == 404


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        (GUEST_ADDRESS, 404),
        (f"192.168.88.3, {GUEST_ADDRESS}", 404),
        ("41.90.1.1, 192.168.88.3", 200),
        (f"192.168.88.3, {GUEST_ADDRESS}, 127.0.0.1", 404),
    ],
)
def test_behind_our_own_proxy_the_nearest_hop_counts_and_the_first_does_not(settings, forwarded, status):
    app = build(replace(settings, web=Web(trusted_proxies=("127.0.0.1/32",))))
    assert Browser(app, "127.0.0.1").get("/admin/sign-in", X_FORWARDED_FOR=forwarded).status == status


@pytest.mark.parametrize("path", [*PAGES, "/api/admin/events", "/static/admin.js", "/nowhere"])
def test_no_page_may_be_framed_or_run_foreign_scripts(app, path):
    for browser in (Browser(app), signed_in(app, "owner")):
        answer = browser.get(path)
        policy = answer.header("Content-Security-Policy")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.header("X-Frame-Options") == "DENY"
        assert answer.header("X-Content-Type-Options") == "nosniff"
        assert len([key for key, _ in answer.headers if key.lower() == "content-security-policy"]) == 1


@pytest.mark.parametrize("path", [*PAGES[1:], "/admin/payments/77"])
def test_pages_for_staff_are_kept_by_nobody_and_send_forms_only_home(app, path):
    answer = signed_in(app, "owner").get(path)
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Content-Security-Policy").endswith("form-action 'self'")


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_no_inline_script_or_style(app, path):
    page = signed_in(app, "owner").get(path).text
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []


@pytest.mark.parametrize("token", ["", "0" * 32, "x" * 100_000, "é"])
def test_a_form_without_its_own_token_does_nothing(app, token):
    owner = signed_in(app, "owner")
    for route in ROUTES:
        if route.method == "POST" and route.who != "guest" and not isinstance(route.who, str):
            answer = owner.post(address_of(route), {"csrf": token})
            assert answer.status in (403, 413), route.path
    assert owner.get("/admin/").status == 200


def test_the_token_of_another_session_is_worth_nothing(app):
    njeri, wanjiku = signed_in(app, "owner"), signed_in(app, "cashier")
    assert njeri.post("/admin/sign-out", {"csrf": wanjiku.csrf}).status == 403
    assert njeri.post("/admin/sign-out").status == 303


QUERIES = [
    "state=paid&state=failed", "state=%ff%fe", "q=" + "x" * 10_000, "q=%00", "q=%ff", "before=" + "9" * 4500,
    "before=-1", "before=%D9%A1", "a=b&" * 3000, "q[]=1", "&&&===", "q=%ED%A0%80", "before=1&before=2", "state=",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
@pytest.mark.parametrize("path", [*PAGES, "/api/admin/events"])
def test_queries_that_are_double_huge_or_broken_break_nothing(app, path, query):
    assert signed_in(app, "owner").get(path, query).status in (200, 400)


PATHS = ["/admin/\xff\xfe", "/p/\xff", "/\xc3\x28", "/admin/payments/\xff", "/api/payments/" + "x" * 8000, "/p/\x00",
         "/admin/payments/99999999999999999999999", "/admin/payments/-1", "/admin/payments/" + "9" * 5000,
         "/admin/payments/\u0661".encode().decode("latin1"), "//", "/admin//"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path[:30]))
def test_addresses_that_are_broken_or_huge_lead_nowhere(app, path):
    for browser in (Browser(app), signed_in(app, "owner")):
        assert browser.get(path).status in (200, 303, 400, 404)


def test_huge_numbers_in_a_form_address_lead_nowhere(app):
    owner = signed_in(app, "owner")
    for number in ("99999999999999999999999", "-5", "0"):
        for verb in ("retry", "cancel", "now", "move"):
            assert owner.post(f"/admin/jobs/{number}/{verb}").status in (400, 404)
        assert owner.post(f"/admin/payments/{number}/recheck").status in (400, 404)


def test_what_can_not_be_kept_is_said_and_not_acknowledged(app):
    Heartbeat.create(holder="x", queues={}, started_at=NOW, seen_at=NOW)
    owner = signed_in(app, "owner")
    database.db.execute_sql("PRAGMA query_only = 1")
    try:
        answer = owner.post("/admin/sign-out")
        assert owner.get("/admin/").status == 200
    finally:
        database.db.execute_sql("PRAGMA query_only = 0")
    assert answer.status == 503
    assert StaffSession.select().count() == 1


@pytest.fixture
def server(settings):
    server = WebServer(replace(settings, web=Web(host="127.0.0.1", port=0, threads=8)))
    server.start()
    yield server
    server.stop()


def test_over_the_wire_a_page_is_served_and_a_request_without_a_head_is_not(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/admin/sign-in")
    answer = connection.getresponse()
    assert answer.status == 200 and b"Sign in" in answer.read()
    connection.request("GET", "/admin/", headers={"X-Huge": "x" * 20_000})
    assert connection.getresponse().status == 431
    connection.close()
