"""Why a guest is not online: found by whatever he can tell, judged from his money to his device, cured by one press."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from edge.__main__ import edge
from edge.devices.router_look import RouterLook
from edge.devices.routeros import Conversation
from edge.domain import access, checks, clock, events, guest_doctor
from edge.errors import BadInput, Refused, Unreachable
from edge.handlers.guest_doctor import look_at
from edge.models import Clock, Event, Grant, Job, Placement, Router
from edge.network_models import Device, Login, Session
from edge.simulators.router import RouterSimulator
from edge.values.guest_look import GuestLook
from edge.web import build
from edge.worker import work_once
from tests.shop import ASHA, JUMA, pay, prompt
from tests.web_client import Browser

PHONE, TABLET, TV = "00:11:22:00:00:01", "00:11:22:00:00:02", "00:11:22:00:00:03"
PRIVATE = "DA:A1:19:00:00:01"
HOSTILE = [
    '"; /system reboot; "', "a\nb", "x" * 300, "مرحبا\u202e", "<script>alert(1)</script>", "{seconds}", "%s", "';--",
]


@pytest.fixture
def sim():
    with RouterSimulator() as simulator:
        yield simulator


@pytest.fixture
def gate(settings, sim):
    """The router as the box knows it, open to guests who want to buy."""
    row = Router.create(name="gate", host="127.0.0.1", port=sim.port, username="edge", password="edge")
    talk(sim).ask("/ip/hotspot/walled-garden/ip", "add", {"dst-address": "10.5.50.2", "comment": "edge:portal"})
    checks.record("mpesa", "ok", "the keys open the door", now())
    return row


def now():
    return datetime.now(UTC)


def talk(sim):
    conversation = Conversation("127.0.0.1", sim.port, "edge", "edge", tls=False, ca_file="", timeout_s=20)

    class Held:
        def ask(self, *args, **more):
            with conversation.held():
                return conversation.ask(*args, **more)

    return Held()


def work(settings):
    """What was promised is done, all but the payments' own."""
    return work_once(settings, ["router-checks", "provisioning"])


def bought(settings, phone=ASHA, mac=PHONE, **grant_columns):
    """Somebody paid, and the router knows it."""
    payment = pay(phone, now(), receipt=f"TCK{phone[-7:]}")
    grant = Grant.get(Grant.payment == payment)
    grant.put(mac=mac, **grant_columns)
    work(settings)
    return Grant.get_by_id(grant.id)


def online(sim, grant, mac=PHONE, ip="10.5.50.20"):
    sim.add_host(mac, ip)
    assert sim.log_in(grant.username, grant.password, mac) == ""


def seen(gate, typed=ASHA):
    """What the command finds: rows, and the router asked now."""
    subject = guest_doctor.find(typed)
    looks = {gate.id: look_at(Router.get_by_id(gate.id), subject.name, subject.mac)}
    return guest_doctor.examine(subject, now(), looks)


def states(found):
    return {one.part: one.state for one in found.findings}


def told(found, part):
    return next(one.words for one in found.findings if one.part == part)


def problems(found):
    return [one.part for one in found.findings if one.state == "problem"]


# Finding him


def test_a_guest_is_found_by_whatever_he_can_tell(settings, gate):
    grant = bought(settings)
    code = grant.username
    for typed in (
        "0712345678", "+254 712 345 678", "254712345678", PHONE, "00-11-22-00-00-01", "001122000001", code,
        code.lower(), f" {code[:4]} {code[4:]} ", grant.payment.receipt, grant.payment.receipt.lower(),
        f"WIFI{grant.payment_id}",
    ):  # fmt: skip
        found = guest_doctor.find(typed)
        assert (found.grant, found.payment, found.mac) == (grant, grant.payment, PHONE), typed


def test_a_right_that_is_live_counts_more_than_a_newer_checkout_that_came_to_nothing(settings, gate):
    grant = bought(settings)
    newer = prompt(ASHA, now())
    assert guest_doctor.find(ASHA).payment == grant.payment
    access.end(grant, "staff", now())
    assert guest_doctor.find(ASHA).payment == newer
    assert guest_doctor.find(ASHA).grant is None


def test_a_tv_and_a_device_that_was_online_lead_to_the_guest(settings, gate):
    grant = bought(settings)
    Device.create(grant=grant, mac=TV, created_at=now())
    Session.create(key="s", source="router", router=gate, grant=grant, mac=TABLET, started_at=now(), seen_at=now())
    assert guest_doctor.find(TV).grant == guest_doctor.find(TABLET).grant == grant
    assert guest_doctor.find(TV).mac == TV


def test_nothing_typed_is_told_and_what_nobody_knows_is_a_finding(settings, gate):
    with pytest.raises(BadInput):
        guest_doctor.find("  ")
    for typed in ("0799999999", "AA:AA:AA:AA:AA:AA", "NOSUCHCODE", *HOSTILE):
        found = guest_doctor.examine(guest_doctor.find(typed), now(), {})
        assert found.first_problem is not None and found.first_problem.words == "payment_none", typed


# Judged over the wire


def test_a_guest_who_is_online_is_well_in_every_part(settings, gate, sim):
    grant = bought(settings)
    online(sim, grant)
    found = seen(gate)
    assert found.is_well, problems(found)
    assert states(found) == dict.fromkeys(states(found), "ok")
    assert list(states(found)) == [
        "payment", "grant", "router", "radius", "user", "device", "lease", "session", "cookie", "garden", "uplink",
        "clock", "mpesa",
    ]  # fmt: skip


def test_an_unplugged_router_is_the_problem_and_what_lies_behind_it_is_unknown(settings, gate, sim):
    bought(settings)
    sim.unplugged = True
    found = seen(gate)
    assert problems(found) == ["router"] and told(found, "router") == "router_trouble"
    behind = ("user", "device", "lease", "session", "cookie", "garden")
    assert {states(found)[part] for part in behind} == {"unknown"}


def test_without_internet_the_router_and_mpesa_are_the_problems_and_all_else_is_known(settings, gate, sim):
    grant = bought(settings)
    online(sim, grant)
    sim.offline = True
    checks.record("mpesa", "problem", "no route to host", now())
    found = seen(gate)
    assert problems(found) == ["uplink", "mpesa"]
    assert states(found)["session"] == "ok"


def test_a_code_that_the_router_lost_disabled_or_used_up_is_named(settings, gate, sim):
    grant = bought(settings)
    user = sim.users()[0][".id"]
    talk(sim).ask("/ip/hotspot/user", "set", {".id": user, "disabled": "yes"})
    assert told(seen(gate), "user") == "user_disabled"
    talk(sim).ask("/ip/hotspot/user", "set", {".id": user, "disabled": "no", "mac-address": TABLET})
    assert told(seen(gate), "user") == "user_bound"
    talk(sim).ask("/ip/hotspot/user", "set", {".id": user, "mac-address": "00:00:00:00:00:00", "comment": "mine"})
    assert told(seen(gate), "user") == "user_foreign"
    talk(sim).ask("/ip/hotspot/user", "set", {".id": user, "comment": f"edge:{grant.id}", "limit-uptime": "60s"})
    online(sim, grant)
    sim.jump(61)
    assert told(seen(gate), "user") == "user_used_up"
    talk(sim).ask("/ip/hotspot/user", "remove", {".id": user})
    found = seen(gate)
    assert found.first_problem is not None
    assert (found.first_problem.words, found.first_problem.cures) == ("user_lost", ("place",))


def test_a_private_address_is_explained_when_the_device_is_not_there(settings, gate):
    bought(settings, mac=PRIVATE)
    found = seen(gate)
    assert told(found, "device") == "device_away_private"
    assert told(found, "lease") == "lease_not_here"


def test_a_device_that_the_router_blocks_is_told(settings, gate, sim):
    bought(settings)
    sim.add_host(PHONE, "10.5.50.20")
    talk(sim).ask("/ip/hotspot/ip-binding", "add", {"mac-address": PHONE, "type": "blocked"})
    assert told(seen(gate), "device") == "device_blocked"


def test_a_device_that_is_there_and_not_logged_in_can_be_logged_in(settings, gate, sim):
    grant = bought(settings)
    sim.add_host(PHONE, "10.5.50.20")
    found = seen(gate)
    assert found.first_problem is not None
    assert (found.first_problem.words, found.first_problem.cures) == ("session_none", ("again",))
    guest_doctor.cure(guest_doctor.find(ASHA), "again", gate.id, now())
    work(settings)
    assert [row["user"] for row in sim.active()] == [grant.username]
    assert seen(gate).is_well


def test_other_devices_that_fill_a_code_are_named_and_freed(settings, gate, sim):
    grant = bought(settings)
    online(sim, grant, TABLET, "10.5.50.30")
    sim.add_host(PHONE, "10.5.50.20")
    found = seen(gate)
    assert (told(found, "session"), problems(found)) == ("session_full", ["session"])
    guest_doctor.cure(guest_doctor.find(ASHA), "free", gate.id, now())
    work(settings)
    assert (sim.active(), sim.cookies()) == ([], [])
    assert sim.log_in(grant.username, grant.password, PHONE) == ""


def test_a_device_that_is_in_with_an_old_code_is_logged_in_with_the_new_one(settings, gate, sim):
    old = bought(settings, phone=JUMA)
    online(sim, old)
    grant = bought(settings)
    found = seen(gate)
    assert told(found, "session") == "session_of_another"
    guest_doctor.cure(guest_doctor.find(ASHA), "again", gate.id, now())
    work(settings)
    assert [row["user"] for row in sim.active()] == [grant.username]


def test_a_cookie_of_another_code_is_told(settings, gate, sim):
    old = bought(settings, phone=JUMA)
    online(sim, old)
    sim.log_out(PHONE)
    bought(settings)
    assert told(seen(gate), "cookie") == "cookie_of_another"


def test_the_way_to_the_portal_must_be_open(settings, gate, sim):
    bought(settings)
    entry = talk(sim).ask("/ip/hotspot/walled-garden/ip")[0]["id"]
    talk(sim).ask("/ip/hotspot/walled-garden/ip", "set", {".id": entry, "comment": "by hand"})
    assert states(seen(gate))["garden"] == "unknown"
    talk(sim).ask("/ip/hotspot/walled-garden/ip", "remove", {".id": entry})
    assert states(seen(gate))["garden"] == "problem"


def test_a_router_with_a_wrong_clock_or_no_hotspot_is_told(settings, gate, sim):
    bought(settings)
    sim.set_clock(now() - timedelta(hours=5))
    assert told(seen(gate), "clock") == "clock_router"
    sim.set_clock(None)
    sim.device_mode_off = True
    found = seen(gate)
    assert told(found, "router") == "router_bad" and found.first_problem.part == "router"


def test_a_router_that_tells_only_a_part_leaves_the_rest_unknown(settings, gate, sim, monkeypatch):
    grant = bought(settings)
    online(sim, grant)
    for asked in ("_leases", "_uplink", "_garden"):
        monkeypatch.setattr(RouterLook, asked, lambda self, *told: self._talk.ask("/no/such/menu"))
    found = seen(gate)
    assert found.is_well
    assert (states(found)["lease"], states(found)["garden"], told(found, "uplink")) == (
        "unknown", "unknown", "uplink_by_mpesa",
    )  # fmt: skip


def test_a_router_that_refuses_the_box_is_the_problem(settings, gate, sim):
    bought(settings)
    sim.password = "changed"
    found = seen(gate)
    assert problems(found) == ["router"]
    stranger = RouterLook(Conversation("127.0.0.1", sim.port, "edge", "wrong", tls=False, ca_file="", timeout_s=20))
    with pytest.raises(Refused):
        stranger.at("X", "")
    sim.unplugged = True
    with pytest.raises(Unreachable):
        stranger.at("X", "")


def test_a_worker_looks_and_cures_by_the_one_connection_it_has(settings, gate, sim):
    grant = bought(settings)
    sim.add_host(PHONE, "10.5.50.20")
    subject = guest_doctor.find(ASHA)
    for promise in (
        lambda: guest_doctor.ask_routers(subject, now()),
        lambda: guest_doctor.cure(subject, "again", gate.id, now()),
        lambda: guest_doctor.cure(subject, "free", gate.id, now()),
    ):
        sim.commands.clear()
        promise()
        work(settings)
        assert sim.commands.count("/login") == 1
    assert [row["user"] for row in sim.active()] == [grant.username]


def test_a_cure_that_was_asked_for_long_ago_is_not_done(settings, gate, sim):
    grant = bought(settings)
    online(sim, grant)
    subject = guest_doctor.find(ASHA)
    for what in ("again", "free"):
        sim.commands.clear()
        guest_doctor.cure(subject, what, gate.id, now() - timedelta(minutes=3))
        work(settings)
        assert sim.commands == []
        assert "ask again" in Job.get(Job.name == f"guest.{what}").errors[-1]["words"]
        guest_doctor.cure(subject, what, gate.id, now())
        assert Job.select().where(Job.name == f"guest.{what}", Job.state == "waiting").count() == 1
        work(settings)
    assert [row["user"] for row in sim.active()] == [grant.username]


def test_a_look_reads_only(settings, gate, sim):
    bought(settings)
    sim.commands.clear()
    seen(gate)
    assert {path.rpartition("/")[2] for path in sim.commands} <= {"print", "login", "ping"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_reach_the_router_as_the_text_they_are(settings, gate, sim, name):
    sim.add_user(name, "x")
    seen_there = look_at(gate, name, PHONE)
    assert seen_there.users is not None and len(seen_there.users) == 1
    kept = GuestLook.of_document(json.loads(json.dumps(seen_there.as_document())))
    assert kept == seen_there  # nobody is online there, so there was nothing to mask


# Judged from the rows alone


def test_money_comes_before_everything(settings, gate):
    payment = prompt(ASHA, now())
    found = guest_doctor.examine(guest_doctor.find(ASHA), now(), {})
    assert (found.first_problem.part, found.first_problem.cures) == ("payment", ("recheck",))
    checks.record("mpesa", "problem", "no answer", now())
    found = guest_doctor.examine(guest_doctor.find(ASHA), now(), {})
    assert found.first_problem.part == "mpesa"
    payment.put(state="failed", result_code="1032", closed_at=now())
    found = guest_doctor.examine(guest_doctor.find(ASHA), now(), {})
    assert (found.first_problem.part, found.first_problem.words) == ("payment", "payment_failed")


def test_the_end_of_his_right_is_told_with_its_reason(settings, gate):
    grant = bought(settings)
    for why in ("time", "data", "staff"):
        Grant.update(state="ended", why_ended=why).execute()
        found = guest_doctor.examine(guest_doctor.find(ASHA), now(), {})
        assert (found.first_problem.words, told(found, "user")) == (f"grant_over_{why}", "no_right")
    Grant.update(state="live", why_ended="", ends_at=now() - timedelta(minutes=1)).execute()
    assert told(guest_doctor.examine(guest_doctor.find(ASHA), now(), {}), "grant") == "grant_out_time"
    Grant.update(ends_at=now() + timedelta(hours=1), bytes=1000).execute()
    Placement.update(used_bytes=1000).where(Placement.grant == grant).execute()
    assert told(guest_doctor.examine(guest_doctor.find(ASHA), now(), {}), "grant") == "grant_out_data"


def test_a_router_that_was_not_told_yet_says_why(settings, gate):
    grant = bought(settings)
    Placement.update(state="wanted", words="connection refused").execute()
    found = guest_doctor.examine(guest_doctor.find(ASHA), now(), {})
    assert (told(found, "user"), states(found)["router"]) == ("user_refused", "unknown")
    assert grant.state == "live"


def test_a_router_that_is_away_hides_what_lies_behind_it(settings, gate):
    bought(settings)
    checks.record_router(gate.id, False, "no answer", now())
    found = guest_doctor.examine(guest_doctor.find(ASHA), now())
    assert problems(found) == ["router"] and told(found, "router") == "router_away"
    assert (states(found)["user"], told(found, "session")) == ("unknown", "behind_away")


def test_the_clock_of_the_box_is_a_problem_only_after_what_matters_more(settings, gate, sim):
    grant = bought(settings)
    online(sim, grant)
    clock.beat(now(), synchronised=False)
    found = seen(gate)
    assert problems(found) == ["clock"]
    Clock.delete().execute()
    assert states(seen(gate))["clock"] == "unknown"


def by_radius(settings, accept=True):
    router = Router.create(name="roof", host="127.0.0.9", mode="radius", radius_secret="at-least-8")
    checks.record("radius", "ok", "answers", now())
    grant = bought(settings)
    return router, grant


def test_radius_is_judged_by_the_views_that_it_reads(settings):
    by_radius(settings)
    found = guest_doctor.examine(guest_doctor.find(ASHA), now())
    assert (states(found)["radius"], told(found, "user"), told(found, "router")) == (
        "ok", "user_by_radius", "router_silent",
    )  # fmt: skip
    Clock.update(seen_at=now() + timedelta(hours=2)).execute()  # what the views reckon by
    assert told(guest_doctor.examine(guest_doctor.find(ASHA), now()), "radius") == "radius_no"
    Grant.delete().execute()
    subject = guest_doctor.Subject("x", name="NOSUCH22")
    assert told(guest_doctor.examine(subject, now(), {}), "radius") == "radius_stranger"


def test_a_login_that_radius_refused_is_the_problem_until_he_is_in(settings):
    router, grant = by_radius(settings)
    Login.create(at=now(), router="roof", username="AB••••••", mac=PHONE, accepted=False, words="wrong PIN")
    found = guest_doctor.examine(guest_doctor.find(ASHA), now())
    assert (told(found, "radius"), found.first_problem.data["words"]) == ("radius_refused", "wrong PIN")
    Session.create(
        key="s", source="radius", router=router, grant=grant, mac=PHONE, started_at=now(), seen_at=now(), seconds=60
    )
    found = guest_doctor.examine(guest_doctor.find(ASHA), now())
    assert (states(found)["radius"], told(found, "session")) == ("ok", "session_heard")


def test_a_radius_server_that_is_down_is_told(settings):
    by_radius(settings)
    checks.record("radius", "problem", "it does not start", now())
    assert told(guest_doctor.examine(guest_doctor.find(ASHA), now()), "radius") == "radius_down"


def test_a_local_user_that_hides_radius_is_told(settings, gate, sim):
    gate.put(mode="radius", radius_secret="at-least-8")
    grant = bought(settings)
    sim.add_user(grant.username, "old")
    assert told(seen(gate), "user") == "user_shadows"


# Asked by a worker


def test_a_worker_asks_the_router_and_the_answer_is_there_without_secrets(settings, gate, sim):
    grant = bought(settings)
    online(sim, grant)
    subject = guest_doctor.find(ASHA)
    assert guest_doctor.ask_routers(subject, now()) == 1
    assert guest_doctor.ask_routers(subject, now()) == 0  # while it is being asked
    waiting = guest_doctor.examine(subject, now())
    assert waiting.is_asking and states(waiting)["session"] == "unknown"
    work(settings)
    found = guest_doctor.examine(subject, now())
    assert (found.is_asking, found.is_well, states(found)["session"]) == (False, True, "ok")
    assert guest_doctor.ask_routers(subject, now()) == 0  # just now
    kept = json.dumps([event.data for event in Event.select().where(Event.name == "guest.looked")])
    assert PHONE not in kept and f'"{grant.password}"' not in kept and "712345678" not in kept
    assert grant.username not in kept


def test_a_router_that_could_not_be_asked_is_an_answer_too(settings, gate, sim):
    bought(settings)
    sim.unplugged = True
    subject = guest_doctor.find(ASHA)
    guest_doctor.ask_routers(subject, now())
    work(settings)
    found = guest_doctor.examine(subject, now())
    assert problems(found) == ["router"] and not found.is_asking
    assert Job.get(Job.name == "guest.look").state == "done"


def test_nobody_who_could_ask_is_told_after_a_while(settings, gate):
    bought(settings)
    subject = guest_doctor.find(ASHA)
    guest_doctor.ask_routers(subject, now())
    later = now() + timedelta(minutes=1)
    Clock.update(seen_at=later).execute()
    found = guest_doctor.examine(subject, later)
    assert not found.is_asking and told(found, "session") == "behind_lost"


def test_of_many_routers_the_one_where_he_stands_is_shown(settings, gate, sim):
    with RouterSimulator(identity="attic") as other:
        attic = Router.create(name="attic", host="127.0.0.1", port=other.port, username="edge", password="edge")
        grant = bought(settings)
        online(other, grant)
        subject = guest_doctor.find(ASHA)
        assert guest_doctor.ask_routers(subject, now()) == 2
        work(settings)
        found = guest_doctor.examine(subject, now())
    assert (found.router, len(found.routers), states(found)["session"]) == (attic, 2, "ok")


def test_a_cure_that_cannot_help_is_refused(settings, gate):
    payment = prompt(ASHA, now())
    nobody, asha = guest_doctor.find("NOSUCHCODE"), guest_doctor.find(ASHA)
    for subject, what, router in (
        (nobody, "recheck", gate.id), (nobody, "place", gate.id), (asha, "place", gate.id), (asha, "place", 99),
        (asha, "reboot", gate.id), (asha, "check", None),
    ):  # fmt: skip
        with pytest.raises(BadInput):
            guest_doctor.cure(subject, what, router, now())
    guest_doctor.cure(asha, "recheck", None, now())
    assert Job.select().where(Job.name == "payment.ask", Job.unique_key == f"hint:{payment.id}").exists()
    grant = bought(settings)
    access.end(grant, "staff", now())
    with pytest.raises(BadInput, match="over"):
        guest_doctor.cure(guest_doctor.find(grant.username), "again", gate.id, now())


def test_a_lost_code_is_back_after_one_press(settings, gate, sim):
    grant = bought(settings)
    sim.reset()
    guest_doctor.cure(guest_doctor.find(ASHA), "place", gate.id, now())
    work(settings)
    assert [user["name"] for user in sim.users()] == [grant.username]


# The page


@pytest.fixture
def app(settings):
    return build(settings)


def signed_in(app, name="Njeri"):
    browser = Browser(app, "192.168.88.10")
    assert browser.sign_in(name).status == 303
    return browser


def test_the_page_says_first_what_stands_in_his_way(settings, gate, app):
    bought(settings)
    checks.record_router(gate.id, False, "no answer", now())
    page = signed_in(app).get("/admin/doctor", "q=0712345678").words
    assert "He paid at" in page and "but router gate has been away since" in page
    assert "Not known while router gate can't be asked." in page


def test_opening_the_page_asks_the_router_and_keeping_it_fresh_does_not(settings, gate, sim, app):
    grant = bought(settings)
    online(sim, grant)
    njeri = signed_in(app)
    assert "Router gate is being asked…" in njeri.get("/admin/doctor", "q=0712345678").words
    work(settings)
    page = njeri.get("/admin/doctor", "q=0712345678&poll=1").words
    assert "nothing stands in his way" in page
    Event.delete().execute()
    njeri.get("/admin/doctor", "q=0712345678&poll=1")
    assert Job.select().where(Job.name == "guest.look").count() == 1


def test_a_cure_is_one_press_away_and_needs_the_forms_key(settings, gate, sim, app):
    grant = bought(settings)
    sim.reset()
    njeri = signed_in(app)
    njeri.get("/admin/doctor", "q=0712345678")
    work(settings)
    page = njeri.get("/admin/doctor", "q=0712345678&poll=1")
    assert "does not have his code any more" in page.words and 'value="place"' in page.text
    form = {"q": "0712345678", "cure": "place", "router": str(gate.id)}
    assert njeri.post("/admin/doctor/cure", {**form, "csrf": "x"}).status == 403
    answer = njeri.post("/admin/doctor/cure", form)
    assert answer.status == 303
    assert "on its way to the router" in njeri.get("/admin/doctor", answer.header("Location").partition("?")[2]).words
    work(settings)
    assert [user["name"] for user in sim.users()] == [grant.username]
    assert njeri.post("/admin/doctor/cure", {**form, "cure": "check"}).status == 400
    assert njeri.post("/admin/doctor/cure", {**form, "router": "x" * 50}).status == 400


def test_who_may_see_and_do_how_much(settings, gate, app):
    grant = bought(settings)
    wanjiku, otieno = signed_in(app, "Wanjiku"), signed_in(app, "Otieno")
    assert Browser(app, "192.168.88.10").get("/admin/doctor").status == 303
    page = otieno.get("/admin/doctor", "q=0712345678").text
    assert "0712•••678" in page
    assert grant.username not in page and PHONE not in page and "0712 345 678" not in page
    assert wanjiku.get("/admin/doctor", "q=0712345678").status == 403
    form = {"q": "0712345678", "cure": "check", "router": str(gate.id)}
    assert wanjiku.post("/admin/doctor/check", form).status == 403
    assert otieno.post("/admin/doctor/check", form).status == 303
    assert "0712 345 678" in signed_in(app).get("/admin/doctor", "q=0712345678").words


def test_the_page_stands_hostile_text(settings, gate, sim, app):
    njeri = signed_in(app)
    for text in HOSTILE:
        page = njeri.get("/admin/doctor", urlencode({"q": text}))
        assert page.status == 200 and "<script>alert" not in page.text
    grant = bought(settings)
    events.record(
        guest_doctor.LOOKED, now(), router="gate", router_id=gate.id, about=guest_doctor.find(ASHA).key,
        seen=GuestLook(trouble="<b>\u202e\n" + "x" * 5000).as_document() | {"from_another_release": 1},
    )  # fmt: skip
    page = njeri.get("/admin/doctor", "q=0712345678&poll=1").text
    assert "&lt;b&gt;" in page and "\u202e" not in page and "x" * 400 not in page and grant.username in page


def test_a_payments_page_leads_to_the_doctor(settings, gate, app):
    grant = bought(settings)
    page = signed_in(app).get(f"/admin/payments/{grant.payment_id}").text
    assert f"/admin/doctor?q=WIFI{grant.payment_id}" in page


# The command


def run(settings, *words):
    return CliRunner().invoke(edge, ["doctor", "guest", *words, "--state", str(settings.state)])


def test_the_command_asks_the_router_itself_and_ends_with_1_when_something_is_wrong(settings, gate, sim):
    grant = bought(settings)
    online(sim, grant)
    well = run(settings, "0712345678", "--json")
    document = json.loads(well.stdout)
    assert (well.exit_code, document["well"], document["username"], document["router"]) == (
        0, True, grant.username, "gate",
    )  # fmt: skip
    assert {entry["state"] for entry in document["findings"]} == {"ok"}
    sim.unplugged = True
    bad = run(settings, grant.username)
    assert bad.exit_code == 1
    assert "but router gate could not be asked" in bad.stdout.splitlines()[0]
    assert "PROBLEM  Router:" in bad.stdout and "UNKNOWN  His device on the WiFi:" in bad.stdout
    assert "cure: edge router sync gate" in bad.stdout


def test_the_command_says_where_to_press_what_no_command_does(settings, gate, sim):
    grant = bought(settings)
    sim.add_host(PHONE, "10.5.50.20")
    words = run(settings, grant.username).stdout
    cure = next(line for line in words.splitlines() if "cure:" in line)
    assert "Kick, and log in anew: http://" in cure and cure.endswith(f"/admin/doctor?q={grant.username}")


def test_the_command_says_when_nobody_is_meant(settings, gate):
    found = run(settings, "0799999999")
    assert found.exit_code == 1 and "knows of no payment" in found.stdout
    assert run(settings).exit_code == 2


def test_the_doctor_of_the_whole_box_is_as_it_was(settings):
    found = CliRunner().invoke(edge, ["doctor", "--json", "--since", "2h", "--state", str(settings.state)])
    assert "findings" in json.loads(found.stdout)
    assert CliRunner().invoke(edge, ["doctor", "--since", "soon"]).exit_code == 2


