"""A guest comes back: by code and PIN, by his device, and what his page says and does."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from edge.domain import access, guest_codes, guest_devices, guest_logins, pauses, sessions
from edge.models import Grant, Job, Placement, Plan, Router, Throttle
from edge.network_models import Device, Session
from edge.pages import portal
from edge.settings import Settings
from edge.settings_sections import Web
from edge.web import build
from tests.web_client import Browser

PHONE, OTHER, TV = "AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02", "00:1D:BA:11:22:33"
ARRIVED = {"mac": OTHER, "ip": "10.5.50.8", "link-login-only": "http://10.5.50.1/login"}


@pytest.fixture
def app(box):
    box.now = datetime.now(UTC)
    box.after()
    return build(Settings(state=box.folder, web=Web()))


@pytest.fixture
def guest(app):
    return Browser(app, "10.5.50.8")


@pytest.fixture
def asha(box, app, gate):
    """Her grant for two devices, let in at `gate`, bought with her phone."""
    Plan.update(devices=2).execute()
    return let_in(box, gate)


def let_in(box, gate):
    grant = box.grant(box.paid(mac=PHONE, context={"ip": "10.5.50.7", "link-login-only": "http://10.5.50.1/login"}))
    access.record_placed(grant.id, gate.id, box.now)
    return Grant.get_by_id(grant.id)


def see(guest, address):
    parts = urlsplit(address)
    return guest.get(parts.path, parts.query)


def press(guest, address, **form):
    parts = urlsplit(address)
    return guest.call(
        "POST", parts.path, query=parts.query, body=urlencode(form).encode(), kind="application/x-www-form-urlencoded"
    )


def enter(guest, code, pin, **arrived):
    return press(guest, "/code", code=code, pin=pin, **(arrived or ARRIVED))


# A code and its PIN.


def test_code_and_pin_lead_to_the_time_they_open(guest, asha):
    answer = enter(guest, asha.username, asha.password)
    assert answer.status == 303
    page = see(guest, answer.header("Location"))
    assert (page.status, page.header("Cache-Control")) == (200, "no-store")
    assert "You can go online" in page.words
    assert "1 hour left" in page.words
    assert page.field("username") == asha.username
    assert page.field("password") == asha.password
    assert 'action="http://10.5.50.1/login"' in page.text
    assert asha.password not in page.words


@pytest.mark.parametrize("typed", ["{}", " {} ", "lower", "spaced"])
def test_a_code_may_be_typed_as_people_type(guest, asha, typed):
    code = asha.username
    written = {"lower": code.lower(), "spaced": f"{code[:4]}-{code[4:6]} {code[6:]}"}.get(typed, typed.format(code))
    assert enter(guest, written, f" {asha.password} ").status == 303


def test_a_wrong_pin_opens_nothing_and_is_said_in_place(guest, asha):
    wrong = f"{(int(asha.password) + 1) % 10000:04d}"
    answer = enter(guest, asha.username, wrong)
    assert answer.status == 400
    assert "do not fit together" in answer.words
    assert f'value="{asha.username}"' in answer.text  # not to be typed again
    assert wrong not in answer.text
    assert "<details class=\"code-box\" open>" in answer.text
    assert answer.text.count('name="link-login-only"') >= 1  # how he came is kept
    assert enter(guest, "NOSUCHCD", "0000").words == enter(guest, "NOSUCHCD", "0000").words


def test_the_same_words_whether_the_code_exists_or_not(guest, asha):
    wrong = f"{(int(asha.password) + 1) % 10000:04d}"

    def said(code):
        return re.sub(r'value="[^"]*"', "", enter(guest, code, wrong).text)

    assert said(asha.username) == said("NOSUCHCD")


@pytest.mark.parametrize("pin", ["", "%", "0' OR 1=1", "\x00", "９９９９", "x" * 5000])
def test_no_trick_opens_a_code(guest, asha, pin):
    assert enter(guest, asha.username, pin).status == 400
    assert enter(guest, "", "").status == 400


def test_guessing_meets_pauses_that_grow(guest, asha, monkeypatch):
    answers = [enter(guest, asha.username, "x") for _ in range(guest_codes.FREE_PER_CODE + 1)]
    assert [answer.status for answer in answers] == [400] * guest_codes.FREE_PER_CODE + [429]
    assert 0 < int(answers[-1].header("Retry-After")) <= pauses.FIRST_PAUSE_S + 1
    assert "Please wait" in answers[-1].words
    assert enter(guest, asha.username, asha.password).status == 429  # nor does the right one help meanwhile
    lengths = [pauses.pause_s(tries, guest_codes.FREE_PER_CODE) for tries in range(15)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == pauses.LONGEST_PAUSE_S


def test_whoever_guesses_keeps_nobody_else_out(app, guest, asha):
    for _ in range(20):
        enter(guest, asha.username, "x")
    assert enter(Browser(app, "10.5.50.9"), asha.username, asha.password).status == 303


def test_behind_one_address_the_buyers_own_device_has_tries_of_its_own(app, guest, asha):
    behind = Browser(app, "10.5.50.1")  # the router gives all its guests its own address
    for number in range(50):
        enter(behind, f"NOSUCH{number}", "x")
    for _ in range(20):
        enter(behind, asha.username, "x")
    mine = {**ARRIVED, "mac_address": PHONE}
    assert enter(behind, asha.username, asha.password, **mine).status == 303
    assert enter(behind, "ANOTHER1", "x").status == 400  # and nobody is locked out of other codes


def test_a_pause_that_was_given_by_a_wrong_clock_means_nothing(guest, asha):
    enter(guest, asha.username, "x")
    Throttle.update(free_at=datetime.now(UTC) + timedelta(days=400)).execute()
    assert enter(guest, asha.username, asha.password).status == 303


def test_many_codes_from_one_device_meet_a_pause_too(guest, asha):
    statuses = [enter(guest, f"CODE{number:04d}", "1").status for number in range(guest_codes.FREE_PER_CLIENT + 1)]
    assert statuses[-1] == 429


def test_a_pages_address_can_not_be_made_up(guest, asha):
    key = guest_codes.key_of(asha)
    number = f"{asha.id}"
    for forged in (f"{number}-", number, key[:-1], key + "0", f"9{key}", "-", "x" * 300, f"{number}-\xe2\x82\xac"):
        assert guest.get(f"/g/{forged}").status == 404, forged
    asha.put(password="9999")
    assert guest.get(f"/g/{key}").status == 404


def test_a_grant_without_a_payment_has_a_page_as_well(box, guest, gate, asha):
    voucher = Grant.create(
        plan=1, why="voucher", username="mikhmon-1", password="mikhmon-1", seconds=3600, created_at=box.now
    )
    Placement.create(grant=voucher, router=gate, state="there")
    answer = enter(guest, "mikhmon-1", "mikhmon-1")
    assert "1 hour left" in see(guest, answer.header("Location")).words


# Known by the device.


def test_the_first_page_knows_a_device_with_time_left_and_shows_no_secret(guest, asha):
    page = guest.get("/", urlencode({**ARRIVED, "mac": PHONE, "ip": "10.5.50.8"}))
    assert "This device has time left" in page.words
    for secret in (asha.username, asha.password, guest_codes.key_of(asha), asha.payment.token):
        assert secret not in page.text
    answer = press(guest, "/connect", mac_address=PHONE, **{**ARRIVED, "mac": "", "ip": "10.5.50.8"})
    assert answer.status == 303
    told = Job.get(Job.name == "guest.login").args
    assert (told["mac"], told["ip"], told["grant_id"]) == (PHONE, "10.5.50.8", asha.id)
    waiting = see(guest, answer.header("Location"))
    assert "Connecting" in waiting.words
    assert 'http-equiv="refresh"' in waiting.text
    for secret in (asha.username, asha.password):
        assert secret not in waiting.text


def test_another_guest_can_not_connect_a_device_that_is_not_his(app, asha):
    spy = Browser(app, "10.5.50.66")
    page = spy.get("/", urlencode({**ARRIVED, "mac": PHONE, "ip": "10.5.50.7"}))
    assert "time left" not in page.words
    assert press(spy, "/connect", mac_address=PHONE, **{**ARRIVED, "ip": "10.5.50.7"}).status == 400
    assert Job.select().where(Job.name == "guest.login").count() == 0


def test_how_a_login_ended_is_told(guest, asha):
    answer = press(guest, "/connect", mac_address=PHONE, **{**ARRIVED, "link-orig": "http://example.org/"})
    where = answer.header("Location")
    Job.update(state="done").where(Job.name == "guest.login").execute()
    done = see(guest, where)
    assert "You are online" in done.words
    assert 'href="http://example.org/"' in done.text
    Job.update(state="failed").where(Job.name == "guest.login").execute()
    failed = see(guest, where)
    assert "could not be connected by itself" in failed.words and "text message" not in failed.words
    assert "<details class=\"code-box\" open>" in failed.text
    assert guest.get("/connect/nothing").status == 200


def test_a_link_of_a_stranger_is_never_offered_to_go_on(guest, asha):
    answer = press(guest, "/connect", mac_address=PHONE, **{**ARRIVED, "link-orig": "javascript:alert(1)"})
    Job.update(state="done").where(Job.name == "guest.login").execute()
    assert "javascript:" not in see(guest, answer.header("Location")).text


def test_the_quick_page_is_for_those_whom_nobody_knows(box, asha):
    portal._shelf = portal.Shelf()
    portal._shelf.page()
    assert portal.quick_page(urlencode({"mac": PHONE})) is None
    assert "Choose your time" in portal.quick_page(urlencode({"mac": TV}))
    assert portal.quick_page(urlencode({"mac": TV, "error": "x"})) is None


def test_the_quick_page_carries_no_key_into_the_form_for_codes(box, asha):
    page = portal.quick_page(urlencode({"mac": TV, "ip": "10.5.50.8"}))
    assert page.count('name="idempotency_key"') == 1
    assert page.count('name="ip"') == 2


# What the router says.


def test_no_more_sessions_asks_for_the_code_and_leads_to_the_move(guest, asha):
    error = f"no more sessions are allowed for user {asha.username}"
    page = guest.get("/", urlencode({**ARRIVED, "username": asha.username, "error": error}))
    assert "use it on this device instead" in page.words
    assert "The network said" not in page.words
    assert f'value="{asha.username}"' in page.text
    answer = enter(guest, asha.username, asha.password, **ARRIVED, error=page.field("error"))
    where = answer.header("Location")
    full = see(guest, where)
    assert "Your code is in use" in full.words
    assert "Use it on this device instead" in full.words
    assert "value=\"move\"" in full.text
    assert 'name="password"' not in full.text  # Connect would only be refused again
    moved = press(guest, where, do="move")
    job = Job.get(Job.name == "grant.move")
    assert (moved.status, job.args["mac"], job.args["why"]) == (303, OTHER, "move")
    after = see(guest, moved.header("Location"))
    assert "being disconnected" in after.words
    Job.update(state="done").where(Job.name == "grant.move").execute()
    ready = see(guest, moved.header("Location"))
    assert "The other devices are disconnected. Press Connect." in ready.words
    assert ready.field("password") == asha.password


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("invalid username or password", "Please type both again"),
        ("user ABC has reached uptime limit", "The time of this code is over"),
        ("user ABC has reached traffic limit", "The data of this code is used up"),
        ("RADIUS server is not responding", "Do not pay twice"),
        ("Your time is over", "The network said: Your time is over"),
        ("<b>x</b>", "The network said: <b>x</b>"),
    ],
)
def test_the_routers_complaints_are_said_in_simple_words(error, words):
    assert words in portal.router_words(error)[0]


def test_a_plan_whose_places_are_taken_offers_the_move_by_itself(box, guest, asha):
    for number, mac in enumerate((PHONE, "AA:BB:CC:DD:EE:09")):
        Session.create(
            key=str(number), source="router", grant=asha, mac=mac, started_at=box.now, seen_at=datetime.now(UTC)
        )
    where = enter(guest, asha.username, asha.password, **{**ARRIVED, "mac_address": OTHER}).header("Location")
    assert "Use it on this device instead" in see(guest, where).words
    own = enter(guest, asha.username, asha.password, **{**ARRIVED, "mac_address": PHONE}).header("Location")
    assert "Use it on this device instead" not in see(guest, own).words


# Ends, shown honestly.


def page_of(guest, grant):
    return see(guest, f"/g/{guest_codes.key_of(Grant.get_by_id(grant.id))}").words


def test_time_by_the_clock_says_until_when(guest, asha):
    words = page_of(guest, asha)
    assert re.search(r"1 hour left until (\w{3} \d\d \w{3}, )?\d\d:\d\d", words)
    assert "Pause" not in words


def test_metered_time_says_how_it_counts_and_can_be_paused(box, guest, gate, app):
    Plan.update(metered=True, devices=2).execute()
    grant = let_in(box, gate)
    Placement.update(used_s=1080).execute()
    words = page_of(guest, grant)
    assert "42 minutes of use left" in words
    assert "It stops counting when you disconnect." in words
    assert "until" not in words
    address = f"/g/{guest_codes.key_of(grant)}"
    assert press(guest, address, do="pause").status == 303
    assert Job.get(Job.name == "grant.move").args["why"] == "pause"
    assert "Pausing" in see(guest, address).words
    Job.update(state="done").where(Job.name == "grant.move").execute()
    assert "Your time stands still" in see(guest, address).words


def test_time_and_data_end_with_whichever_comes_first(box, guest, gate, app):
    Plan.update(bytes=2_000_000_000).execute()
    grant = let_in(box, gate)
    Placement.update(used_bytes=800_000_000).execute()
    words = page_of(guest, grant)
    assert "1.2 GB of data left" in words
    assert "whichever comes first" in words


@pytest.mark.parametrize(
    ("why", "words"),
    [("time", "Your time is over"), ("data", "Your data is used up"), ("staff", "Somebody at the shop ended it")],
)
def test_an_end_says_why(box, guest, asha, why, words):
    access.end(asha, why, box.now)
    assert words in page_of(guest, asha)
    page = guest.get(f"/p/{asha.payment.token}")
    assert words in page.words
    assert "Connect" not in page.words
    view = guest.get(f"/api/payments/{asha.payment.token}").json
    assert (view["status"], view["why_ended"], view["seconds_left"]) == ("ended", why, 0)


def test_time_that_was_given_back_is_told(guest, asha):
    asha.put(credited_s=720)
    assert "We added 12 minutes for the time the network was away." in page_of(guest, asha)
    view = guest.get(f"/api/payments/{asha.payment.token}").json
    assert (view["credited_s"], view["metered"], view["bytes_left"]) == (720, False, None)


def test_a_private_address_is_explained_where_it_matters(guest, asha):
    told = urlencode({**ARRIVED, "mac": "DA:A1:19:00:00:01"})
    page = guest.get(f"/g/{guest_codes.key_of(asha)}", told)
    assert "Your phone uses a private address" in page.words
    assert "private address" not in guest.get(f"/g/{guest_codes.key_of(asha)}", urlencode({"mac": TV})).words


# TVs.


def test_a_guest_adds_a_tv_on_his_page_and_takes_it_off(guest, asha):
    address = f"/p/{asha.payment.token}"
    assert "Add a TV or console" in guest.get(address).words
    added = press(guest, address, do="add", mac="00-1d-ba-11-22-33", label="Living <b>room")
    assert (added.status, Device.get().mac, Device.get().added_by) == (303, TV, "guest")
    page = guest.get(address)
    assert "Living <b>room" in page.words
    assert TV in page.words
    assert "Add a TV or console" not in page.words  # the plan has no place left
    assert press(guest, address, do="remove", device=str(Device.get().id)).status == 303
    assert Device.select().count() == 0


def test_what_is_wrong_with_an_address_is_said_in_place_and_can_be_mended(guest, asha):
    answer = press(guest, f"/p/{asha.payment.token}", do="add", mac="hello", label="")
    assert answer.status == 400
    assert "not a device address" in answer.words
    assert 'value="hello"' in answer.text


def test_nobody_takes_off_somebody_elses_tv(box, guest, asha, gate):
    guest_devices.add(asha, TV, "", "guest", box.now)
    juma = box.grant(box.paid(box.juma))
    press(guest, f"/g/{guest_codes.key_of(juma)}", do="remove", device=str(Device.get().id))
    assert Device.select().count() == 1


def test_a_network_without_mac_login_says_so_before_a_tv_is_added(guest, asha, gate):
    gate.put(facts={"login_by": "http-pap,mac-cookie"})
    assert "can't let in a TV by its address yet" in guest.get(f"/p/{asha.payment.token}").words
    gate.put(facts={"login_by": "http-pap,mac"})
    assert "can't let in a TV" not in guest.get(f"/p/{asha.payment.token}").words


@pytest.mark.parametrize("what", ["move", "pause", "add", "remove", "", "x"])
def test_an_ended_or_unpaid_time_can_do_nothing(box, guest, asha, what):
    access.end(asha, "time", box.now)
    press(guest, f"/p/{asha.payment.token}", do=what, mac=TV, device="1")
    assert Job.select().where(Job.name.in_(("grant.move", "guest.login"))).count() == 0
    assert Device.select().count() == 0
    unpaid = box.prompted(box.juma)
    assert press(guest, f"/p/{unpaid.token}", do=what, mac=TV).status == 404
    assert press(guest, "/p/nobody", do=what).status == 404


# RFC 8908.


def test_a_phone_is_told_that_it_is_captive_and_where_the_portal_is(guest, asha):
    answer = guest.get("/.well-known/captive-portal", HOST="portal.wifi")
    assert answer.header("Content-Type") == "application/captive+json"
    assert answer.json == {"captive": True, "user-portal-url": "http://portal.wifi/"}


def test_a_phone_with_a_live_session_is_told_what_is_left(box, guest, asha):
    asha.put(bytes=1_000_000)
    now = datetime.now(UTC)
    Session.create(key="a", source="router", grant=asha, mac=OTHER, ip="10.5.50.8", started_at=now, seen_at=now)
    told = guest.get("/.well-known/captive-portal").json
    assert (told["captive"], told["bytes-remaining"]) == (False, 1_000_000)
    assert 3500 < told["seconds-remaining"] <= 3600


@pytest.mark.parametrize("how", ["ended", "old", "of nobody", "grant over", "two networks"])
def test_what_is_not_surely_a_live_session_is_captive(box, guest, asha, how):
    now = datetime.now(UTC)
    row = {"key": "a", "source": "router", "grant": asha, "ip": "10.5.50.8", "started_at": now, "seen_at": now}
    changed = {
        "ended": {"ended_at": now}, "of nobody": {"grant": None},
        "old": {"seen_at": now - sessions.HEARD - timedelta(seconds=1)},
    }  # fmt: skip
    Session.create(**row | changed.get(how, {}))
    if how == "two networks":
        Session.create(**row | {"key": "b"})
    if how == "grant over":
        access.end(asha, "time", now)
    assert guest.get("/.well-known/captive-portal").json["captive"] is True


def test_what_the_address_tells_goes_on_with_the_guest(guest, asha):
    where = enter(guest, asha.username, asha.password, **{**ARRIVED, "mac_address": OTHER}).header("Location")
    told = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
    assert told == ARRIVED
    assert guest_logins.of_mac(OTHER) is None  # to have typed a code claims nothing for this device
    assert Router.select().count() == 1
