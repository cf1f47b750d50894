"""The network's pages through the real application: routers, who is online, kicks, strangers, a guest's use."""

import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from edge.domain import checks, samples, strangers
from edge.models import Event, Grant, Job, Router
from edge.network_models import RouterSample, Session, Stranger
from edge.values.hotspot import KnownUser
from edge.values.router_data import LiveSession, RouterReading
from tests.shop import ASHA, pay, worker_is_alive
from tests.web_client import Browser

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def it_is_now(monkeypatch):
    """What was heard five minutes ago is old news, and all the tests together take longer."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))

POISON = "<script>alert(1)</script>"
PHONE, TABLET = "DA:BB:CC:00:00:01", "AC:BB:CC:00:00:02"


@pytest.fixture
def gate(settings):
    return Router.create(
        name="gate", host="10.5.50.1", username="edge", booted_at=NOW - timedelta(days=3, hours=2),
        facts={"version": "7.19.6 (stable)", "board": "hAP ac^2"},
    )  # fmt: skip


def stay(router, **more):
    now = datetime.now(UTC)
    values = {"key": f"k{Session.select().count()}", "source": "router", "username": "ASHA2345", "mac": PHONE}
    return Session.create(**{**values, "router": router, "started_at": now, "seen_at": now, **more})


def asha(router, **more):
    grant = Grant.get(Grant.payment == pay(ASHA).id)
    return stay(router, grant=grant, username=grant.username, **more)


def reading(online=2):
    session = LiveSession("x", PHONE, "10.5.50.2", 1, 0, 0, None)
    return RouterReading(9, [session] * online, 17, 64_000_000, 30, 8_400_000.0, 900_000.0)


def strange(router, name="by-hand", comment="vc-811"):
    strangers.record(router.id, [KnownUser(name, comment, "default", False, 0, 0)], NOW)
    return Stranger.get(Stranger.name == name)


def events(name):
    return [event.data for event in Event.select().where(Event.name == name).order_by(Event.id)]


# Routers.


def test_a_shop_without_a_router_is_told_how_to_add_one(njeri):
    page = njeri.get("/admin/network")
    assert page.status == 200 and "There is no router yet" in page.words and "Nobody is online." in page.words


def test_a_router_that_answers_is_told_in_words(njeri, gate):
    checks.record_router(gate.id, True, "RouterOS 7.19.6", NOW)
    samples.record(gate.id, reading(), NOW)
    stay(gate)
    words = njeri.get("/admin/network").words
    for told in ("gate Works", "RouterOS 7.19.6 (stable)", "hAP ac^2", "1 online", "30 devices in reach",
                 "processor 17 %", "↓ 8.4 Mbit/s ↑ 900 kbit/s", "running for 3 d 2 h",
                 "Routers that work 1 of 1", "Devices online 1"):  # fmt: skip
        assert told in words, told


def test_a_router_that_is_away_says_since_when_and_what_to_do(njeri, gate):
    checks.record_router(gate.id, True, "RouterOS 7.19.6", NOW)
    checks.record_router(gate.id, False, "no answer at 10.5.50.1:8728", NOW, "check its power and cable")
    Router.update(down_since=NOW - timedelta(minutes=12)).execute()
    words = njeri.get("/admin/network").words
    assert "gate Problem" in words and "no answer at 10.5.50.1:8728" in words and "check its power and cable" in words
    assert re.search(r"So it has been since .*12 min ago", words) and "running for" not in words
    assert "Routers that work 0 of 1" in words


def test_a_router_with_a_wrong_clock_is_told_how_to_mend_it(njeri, gate):
    checks.record_router(gate.id, True, "RouterOS 7.19.6", NOW)
    for offset_s, words in ((-200, "3 min 20 s behind"), (200, "3 min 20 s ahead of"), (20, "")):
        Router.update(clock_offset_s=offset_s).execute()
        page = njeri.get("/admin/network").words
        assert (f"Its clock is {words} the box's" in page) is bool(words)


def test_a_router_nobody_asked_yet_is_no_problem_and_no_lie(njeri, gate):
    words = njeri.get("/admin/network").words
    assert "gate Not heard of" in words and "not asked yet" in words


def test_what_came_and_went_is_listed(njeri, gate):
    for ok in (True, False, True):
        checks.record_router(gate.id, ok, "fine" if ok else "no answer", NOW)
    for path in ("/admin/network", f"/admin/routers/{gate.id}"):
        words = njeri.get(path).words
        assert "Router gate Problem no answer" in words and "Router gate Works fine" in words


def test_the_router_page_draws_its_day_and_has_it_in_figures(njeri, gate):
    checks.record_router(gate.id, True, "RouterOS 7.19.6", NOW)
    for minutes in range(0, 1_400, 7):
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        RouterSample.create(router=gate, at=at, online=minutes % 40, hosts=60, cpu_load=12, bps_in=5e6, bps_out=3e5)
    page = njeri.get(f"/admin/routers/{gate.id}")
    assert page.status == 200 and page.text.count('<rect class="online"') > 80
    assert page.text.count('<rect class="came"') == page.text.count('<rect class="went"') > 80
    assert "5 Mbit/s" in page.words and "300 kbit/s" in page.words and "At most 39 devices" in page.words
    assert re.search(r"\d\d:\d\d \d+ 60 5 Mbit/s 300 kbit/s 12 %", page.words)


def test_a_router_without_a_sample_has_an_empty_day(njeri, gate):
    page = njeri.get(f"/admin/routers/{gate.id}")
    assert page.status == 200 and "told nothing in this time" in page.words and "<rect" not in page.text


@pytest.mark.parametrize("path", ["/admin/routers/99", "/admin/guests/99", "/admin/routers/99999999999999999999"])
def test_what_is_not_there_is_not_there(njeri, path):
    assert njeri.get(path).status == 404


# Who is online.


def test_who_is_online_is_told_with_plan_time_speed_data_and_device(njeri, gate):
    asha(gate, bps_out=2_400_000, bps_in=85_000, bytes_out=118_000_000, bytes_in=2_000_000, seconds=754, ip="10.5.50.9")
    words = njeri.get("/admin/network").words
    for told in ("0712•••678 1 hour", "↓ 2.4 Mbit/s ↑ 85 kbit/s", "120 MB in 12 min 34 s",
                 f"{PHONE} private address gate · 10.5.50.9"):  # fmt: skip
        assert told in words, told


def test_an_ordinary_address_is_not_called_private(njeri, gate):
    stay(gate, mac=TABLET)
    assert "private address" not in njeri.get("/admin/network").words


def test_who_was_not_sold_anything_here_is_called_so(njeri, gate):
    stay(gate, username="by-hand")
    assert "by-hand not sold by this box" in njeri.get("/admin/network").words


def test_who_was_not_heard_of_is_not_shown_with_a_speed(njeri, gate):
    stay(gate, seen_at=datetime.now(UTC) - timedelta(minutes=20), bps_out=5e6)
    words = njeri.get("/admin/network").words
    assert "not heard of for a while: 20 min ago" in words and "5 Mbit/s" not in words


@pytest.mark.parametrize("typed", ["0712 345 678", "+254712345678", PHONE, "dabb.cc00.0001"])
def test_a_guest_is_found_by_phone_and_device(njeri, gate, typed):
    asha(gate)
    stay(gate, username="JUMA2345", mac=TABLET)
    words = njeri.get("/admin/network", "q=" + typed.replace("+", "%2B").replace(" ", "+")).words
    assert "0712•••678" in words and TABLET not in words


def test_who_is_not_online_is_found_in_the_past(njeri, gate):
    session = asha(gate, ended_at=NOW)
    page = njeri.get("/admin/network", "q=0712345678")
    assert "No device of “0712345678” is online" in page.words
    assert f'href="/admin/guests/{session.grant_id}"' in page.text
    assert "No device of “0733000000”" in njeri.get("/admin/network", "q=0733000000").words


def test_five_thousand_sessions_come_page_by_page(njeri, gate):
    now = datetime.now(UTC)
    rows = [
        {"key": f"n{n}", "source": "router", "router": gate.id, "username": f"G{n:07d}", "started_at": now,
         "mac": f"02:00:00:00:{n // 256:02X}:{n % 256:02X}", "seen_at": now}
        for n in range(5_000)
    ]  # fmt: skip
    for start in range(0, 5_000, 500):
        Session.insert_many(rows[start : start + 500]).execute()
    page = njeri.get("/admin/network")
    assert page.text.count("/kick") == 50 and "Devices online 5000" in page.words and len(page.body) < 120_000
    further = re.search(r"/admin/network\?before=(\d+)", page.text)
    second = njeri.get("/admin/network", f"before={further[1]}")
    assert "G0004949" in second.words and "G0004950" not in second.words
    assert njeri.get("/admin/network", "before=x").status == 400


def test_the_live_part_stands_alone_and_keeps_what_was_asked_for(njeri, gate):
    stay(gate)
    fragment = njeri.get("/admin/network/live", "q=ASHA2345").text
    assert fragment.startswith('<div id="live"') and "<html" not in fragment
    assert 'data-poll="/admin/network/live?q=ASHA2345"' in fragment and "Look again" in fragment


def test_hostile_text_is_only_text(njeri, gate):
    stay(gate, username=POISON, mac=POISON, ip=POISON)
    Router.update(name=POISON, facts={"version": POISON, "board": POISON}).execute()
    checks.record_router(gate.id, False, POISON, NOW, POISON)
    strange(gate, POISON, POISON)
    for path in ("/admin/network", f"/admin/routers/{gate.id}", "/admin/"):
        page = njeri.get(path)
        assert page.status == 200 and POISON not in page.text
    assert POISON not in njeri.get("/admin/network", "q=%3Cscript%3Ealert(1)%3C/script%3E").text


# Logged out by staff.


def test_a_kick_is_promised_and_what_comes_of_it_is_told(njeri, gate):
    session = asha(gate)
    answer = njeri.post(f"/admin/sessions/{session.id}/kick", {"back": "/admin/network?q=0712345678"})
    assert answer.status == 303 and answer.header("Location") == "/admin/network?q=0712345678&did=kicked"
    job = Job.get(Job.name == "session.kick")
    assert job.args.items() >= {"session_id": session.id, "router_id": gate.id, "who": "Njeri"}.items()
    assert "The router is asked to log this device out" in njeri.get("/admin/network", "did=kicked").words
    assert "Njeri wants" in njeri.get("/admin/").words


@pytest.mark.parametrize("back", ["https://evil.test/", "//evil.test", "/admin/network\r\nX: y", "/admin/staff"])
def test_nobody_is_led_elsewhere(njeri, gate, back):
    answer = njeri.post(f"/admin/sessions/{asha(gate).id}/kick", {"back": back})
    assert answer.header("Location") == "/admin/network?did=kicked"


def test_an_ended_session_is_told_so(njeri, gate):
    page = njeri.post(f"/admin/sessions/{stay(gate, ended_at=NOW).id}/kick")
    assert page.status == 400 and "ended already" in page.words
    assert njeri.post("/admin/sessions/99/kick").status == 404


# Strangers.


def test_a_stranger_waits_for_the_owners_word(njeri, gate):
    stranger = strange(gate)
    assert "Users whom nobody here let in: 1" in njeri.get("/admin/network").words
    page = njeri.get(f"/admin/routers/{gate.id}")
    assert "by-hand" in page.words and "vc-811" in page.words
    assert njeri.post(f"/admin/strangers/{stranger.id}/remove").status == 400  # not said twice
    assert Job.select().where(Job.name == "stranger.remove").count() == 0
    answer = njeri.post(f"/admin/strangers/{stranger.id}/remove", {"sure": "yes"})
    assert answer.header("Location") == f"/admin/routers/{gate.id}?did=unwanted"
    assert Job.get(Job.name == "stranger.remove").args == {"stranger_id": stranger.id, "router_id": gate.id}
    assert "being removed" in njeri.get(f"/admin/routers/{gate.id}").words


def test_a_stranger_may_be_left(njeri, gate):
    stranger = strange(gate)
    njeri.post(f"/admin/strangers/{stranger.id}/leave")
    assert Stranger.get_by_id(stranger.id).state == "left"
    assert "Users whom nobody here let in: 1" not in njeri.get("/admin/network").words
    assert njeri.post(f"/admin/strangers/{stranger.id}/leave").status == 400
    assert njeri.post("/admin/strangers/99/leave").status == 404


def test_thousands_of_strangers_do_not_break_the_page(njeri, gate):
    strangers.record(gate.id, [KnownUser(f"v{n}", "", "default", False, 0, 0) for n in range(3_000)], NOW)
    page = njeri.get(f"/admin/routers/{gate.id}")
    assert "first 50; 2950 more" in page.words and len(page.body) < 150_000


# A guest's use.


def test_a_guests_use_is_told_by_day_and_by_session(njeri, gate):
    session = asha(gate, seconds=3_600, bytes_out=1_400_000_000, bytes_in=12_000_000)
    stay(gate, grant=session.grant, ended_at=NOW, cause="Session-Timeout")
    words = njeri.get(f"/admin/guests/{session.grant_id}").words
    assert "What 0712 345 678 used" in words and re.search(r"2 1 h 1\.4 GB 12 MB", words)
    assert "until now" in words and "time over" in words and PHONE in words


def test_a_guest_who_was_never_online_has_an_empty_past(njeri, gate):
    grant = Grant.get(Grant.payment == pay(ASHA).id)
    words = njeri.get(f"/admin/guests/{grant.id}").words
    assert "Nothing in the last 30 days." in words and "No session yet." in words


def test_the_payment_leads_from_the_use(njeri, gate):
    session = asha(gate)
    assert f'href="/admin/payments/{session.grant.payment_id}"' in njeri.get(f"/admin/guests/{session.grant_id}").text


# By role.


def test_a_cashier_sees_nothing_of_the_network(wanjiku, gate):
    session = asha(gate, ip="10.5.50.9")
    for path in ("/admin/network", "/admin/network/live", f"/admin/guests/{session.grant_id}",
                 f"/admin/routers/{gate.id}"):  # fmt: skip
        assert wanjiku.get(path).status == 403, path
    assert wanjiku.post(f"/admin/sessions/{session.id}/kick").status == 403


def test_a_technician_kicks_and_leaves_strangers_to_the_owner(otieno, gate):
    session, stranger = asha(gate), strange(gate)
    assert otieno.post(f"/admin/sessions/{session.id}/kick").status == 303
    page = otieno.get(f"/admin/routers/{gate.id}")
    assert page.status == 200 and "by-hand" in page.words and "/admin/strangers/" not in page.text
    for verb in ("remove", "leave"):
        assert otieno.post(f"/admin/strangers/{stranger.id}/{verb}", {"sure": "yes"}).status == 403
    assert "345 678" not in otieno.get(f"/admin/guests/{session.grant_id}").words


@pytest.mark.parametrize("path", ["/admin/network", "/admin/network/live", "/admin/routers/1", "/admin/guests/1"])
def test_a_stranger_sees_nothing(app, path):
    assert Browser(app).get(path).status == 303


def test_a_form_of_another_site_does_nothing(njeri, gate):
    worker_is_alive()
    assert njeri.post(f"/admin/sessions/{asha(gate).id}/kick", {"csrf": "x"}).status == 403
    assert Job.select().where(Job.name == "session.kick").count() == 0
