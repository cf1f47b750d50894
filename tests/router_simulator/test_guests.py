"""The pretend hotspot as guests meet it: time and limits, its login page, cookies, roaming."""

import hashlib
import re
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from edge.simulators.router import RouterSimulator, rehearsal, serve
from tests.peers.routeros_wire import ASHA, PHONE, TABLET, Sentence, Wire, form_of, get, unescape, wait_for

# Time and limits.


def test_time_really_passes_and_ends_what_is_over(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", limit_uptime="1h")
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("asha", "0712", PHONE) == ""
    gate.jump(1800)
    assert gate.active()[0]["session-time-left"].startswith(("30m", "29m"))
    gate.log_out(PHONE)
    assert gate.users()[0]["uptime"].startswith("30m")
    assert gate.log_in("asha", "0712", PHONE) == ""
    gate.jump(7200)
    assert gate.active() == []
    assert gate.users()[0]["uptime"] in ("1h", "1h1s")
    assert gate.log_in("asha", "0712", PHONE) == "user asha has reached uptime limit"
    assert gate.cookies() == []


def test_a_short_limit_ends_by_itself(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", limit_uptime="1s")
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("asha", "0712", PHONE) == ""
    wait_for(lambda: gate.hotspot.sessions == {})


def test_data_is_limited_and_more_than_four_gibibytes_counted(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", limit_bytes_total=str(6 * 2**32))
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.log_in("asha", "0712", PHONE) == ""
    gate.traffic(PHONE, 2**32, 4 * 2**32)
    assert gate.active()[0]["bytes-out"] == str(4 * 2**32)
    gate.traffic(PHONE, 2**32, 0)
    assert gate.active() == []
    assert gate.log_in("asha", "0712", PHONE) == "user asha has reached traffic limit"


def test_a_reboot_forgets_who_is_online_and_keeps_who_may_be(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712")
    gate.add_host(PHONE, "10.5.50.2")
    gate.log_in("asha", "0712", PHONE)
    gate.ntp = False
    gate.jump(5000)
    gate.reboot()
    assert (gate.active(), gate.hosts(), len(gate.users()), len(gate.cookies())) == ([], [], 1, 1)
    assert gate.resource()[0]["uptime"] in ("0s", "1s", "2s")
    assert gate.clock_row()[0]["date"] == "1970-01-02"
    gate.add_host(PHONE, "10.5.50.2")
    assert gate.active()[0]["login-by"] == "mac-cookie"
    gate.reset()
    assert gate.users() == gate.profiles() == gate.active() == gate.cookies() == []


def test_only_so_many_devices_at_once(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", mac_address="")
    for number, mac in enumerate((PHONE, TABLET)):
        gate.add_host(mac, f"10.5.50.{2 + number}")
    assert gate.log_in("asha", "0712", PHONE) == ""
    assert gate.log_in("asha", "0712", TABLET) == "no more sessions are allowed for user asha"
    gate.log_out(PHONE, "user-request")
    assert gate.log_in("asha", "0712", TABLET) == ""


# The login page.


def test_a_phone_is_captured_logs_in_by_pap_and_is_online(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", comment="edge:1", limit_uptime="1h")
    probe = get(gate, "/generate_204")
    assert probe.status_code == 302 and probe.headers["Location"].startswith(gate.login_url)
    page = requests.get(probe.headers["Location"], headers=ASHA, timeout=30)
    form = form_of(page.text)
    assert form["link-login-only"] == form["action"]
    assert form["dst"] == f"http://127.0.0.1:{gate.http_port}/generate_204"
    wrong = requests.post(
        form["action"], {"username": "asha", "password": "<b>", "dst": form["dst"]}, headers=ASHA, timeout=30
    )
    assert "invalid username or password" in wrong.text and "<b>" not in wrong.text
    right = {"username": "asha", "password": "0712", "dst": form["dst"], "popup": "false"}
    done = requests.post(form["action"], right, headers=ASHA, timeout=30)
    assert "You are logged in" in done.text and form["dst"] in done.text
    assert get(gate, "/generate_204").status_code == 204
    assert get(gate, "/hotspot-detect.html").text.count("Success") == 2
    assert "asha" in get(gate, "/status").text and "10.5.50.2" in get(gate, "/status").text
    assert gate.active()[0]["mac-address"] == PHONE and gate.active()[0]["login-by"] == "http-pap"
    assert "logged out" in get(gate, "/logout").text
    assert gate.active() == gate.cookies() == []
    assert get(gate, "/status").status_code == 302


def test_a_phone_answers_the_challenge_of_the_page(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712")
    gate.hotspot.server_profiles.change("*0", {"login-by": "http-chap"})
    form = form_of(get(gate, "/login").text)
    ident, challenge = unescape(form["chap-id"]), unescape(form["chap-challenge"])
    assert (len(ident), len(challenge)) == (1, 16)
    plain = requests.post(form["action"], {"username": "asha", "password": "0712"}, headers=ASHA, timeout=30)
    assert "did not send challenge response" in plain.text
    for secret, is_right in ((b"0000", False), (b"0712", True)):
        hashed = hashlib.md5(ident + secret + challenge).hexdigest()
        requests.post(form["action"], {"username": "asha", "password": hashed}, headers=ASHA, timeout=30)
        assert bool(gate.active()) is is_right
    assert gate.active()[0]["login-by"] == "http-chap"
    get(gate, "/logout")
    form = form_of(get(gate, "/login").text)
    gate.jump(4000)
    hashed = hashlib.md5(unescape(form["chap-id"]) + b"0712" + unescape(form["chap-challenge"])).hexdigest()
    requests.post(form["action"], {"username": "asha", "password": hashed}, headers=ASHA, timeout=30)
    assert gate.active() == []  # challenges grow old


def test_with_a_portal_guests_are_sent_there_with_all_it_needs_to_know(gate: RouterSimulator) -> None:
    gate.portal_url = "http://127.0.0.1:8080/?lang=en"
    gate.hotspot.server_profiles.change("*0", {"login-by": "http-pap,http-chap"})
    page = get(gate, "/login?dst=http%3A%2F%2Fexample.com%2F%3Fa%3D1%26b")
    assert page.status_code == 302
    parts = urlsplit(page.headers["Location"])
    told = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert (parts.netloc, told["lang"], told["mac"], told["ip"]) == ("127.0.0.1:8080", "en", PHONE, "10.5.50.2")
    assert (told["link-orig"], told["identity"]) == ("http://example.com/?a=1&b", "gate")
    assert len(unescape(told["chap-challenge"])) == 16
    assert told["link-login-only"].startswith(gate.login_url) and len(told["link-login-only"]) < 300
    refused = requests.post(
        told["link-login-only"], {"username": "x", "password": "y"}, timeout=30, allow_redirects=False
    )
    again = parse_qs(urlsplit(refused.headers["Location"]).query)
    assert (again["error"], again["username"]) == (["invalid username or password"], ["x"])
    assert again["mac"] == [PHONE]  # the link itself says who comes back


def test_every_browser_that_says_nothing_is_a_guest_of_its_own(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712")
    browsers = [requests.Session() for _ in range(2)]
    for browser in browsers:
        browser.get(f"http://127.0.0.1:{gate.http_port}/", timeout=30)
    assert len(gate.hosts()) == 2
    browsers[0].post(gate.login_url, {"username": "asha", "password": "0712"}, timeout=30)
    assert len(gate.hosts()) == 2 and len(gate.active()) == 1
    assert browsers[0].get(f"http://127.0.0.1:{gate.http_port}/gen_204", timeout=30).status_code == 204
    assert "Log in" in browsers[1].get(f"http://127.0.0.1:{gate.http_port}/gen_204", timeout=30).text


def test_a_cookie_brings_a_device_back_until_it_is_kicked(gate: RouterSimulator, wire: Wire) -> None:
    gate.add_user("asha", "0712")
    get(gate, "/login?username=asha&password=0712")
    gate.log_out(PHONE)  # out of range
    assert get(gate, "/generate_204").status_code == 204  # and back
    row_id = gate.active()[0][".id"]
    assert wire.ask("/ip/hotspot/active/remove", f"=.id={row_id}") == [["!done"]]
    assert gate.cookies() == []
    assert get(gate, "/generate_204").status_code == 302
    assert wire.ask("/ip/hotspot/active/remove", f"=.id={row_id}")[0][-1] == "=message=no such item (4)"


def test_device_mode_takes_the_page_away(gate: RouterSimulator) -> None:
    gate.device_mode_off = True
    assert get(gate, "/login").status_code == 503
    assert gate.hotspot.servers.rows["*0"]["comment"] == "inactivated, not allowed by device-mode"
    gate.device_mode_off = False
    assert get(gate, "/login").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/login?mac=zz&ip=1.2.3.4", "/login?mac=AA:BB:CC:00:00:01&ip=x", "/%ff", "//", "/login?dst=javascript:alert(1)",
     "/login?username=%00&password=%0d%0a", "/login?username=asha&username=b"],
)  # fmt: skip
def test_strange_addresses_are_answered(gate: RouterSimulator, path: str) -> None:
    page = get(gate, path, headers={"X-Sim-MAC": "nonsense"})
    assert page.status_code in (200, 302)
    assert "javascript:" not in re.sub(r'value="[^"]*"', "", page.text)


# Alone.


def test_it_runs_alone_until_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    seen: list[list[Sentence]] = []

    def interrupt() -> None:
        port = int(next(found[1] for line in lines if (found := re.search(r"API at 127.0.0.1:(\d+)", line))))
        seen.append(Wire(port).ask("/login", "=name=owner", "=password=pw"))
        raise KeyboardInterrupt

    monkeypatch.setattr(rehearsal, "wait_for_interrupt", interrupt)
    serve(port=0, http_port=0, username="owner", password="pw", portal_url="http://127.0.0.1:9/", log=lines.append)
    assert seen == [[["!done"]]]
    assert any("http://127.0.0.1:9/" in line for line in lines) and "stopped" in lines[-1]


def test_many_phones_at_once(gate: RouterSimulator) -> None:
    for number in range(30):
        gate.add_user(f"g{number}", "1")

    def come(number: int) -> None:
        headers = {"X-Sim-MAC": f"AA:BB:CC:00:01:{number:02X}", "X-Sim-IP": f"10.5.50.{number + 2}"}
        get(gate, "/generate_204", headers=headers)
        get(gate, f"/login?username=g{number}&password=1", headers=headers)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gate.active()) == 30


# Roaming, bindings, idleness.


def test_a_device_that_walks_to_another_server_comes_back_by_its_cookie(gate: RouterSimulator, wire: Wire) -> None:
    wire.ask("/ip/hotspot/add", "=name=garden", "=interface=ether5", "=profile=default")
    gate.add_user("asha", "0712")
    get(gate, "/login?username=asha&password=0712")
    gate.traffic(PHONE, 5, 5)
    gate.add_host(PHONE, "10.5.60.2", "garden")
    assert [(row["server"], row["address"]) for row in gate.hosts()] == [("garden", "10.5.60.2")]
    session = gate.active()[0]
    assert (session["server"], session["login-by"], gate.users()[0]["bytes-in"]) == ("garden", "mac-cookie", "5")
    away = get(gate, "/login?dst=x", headers={"X-Sim-MAC": TABLET, "X-Sim-IP": "10.5.60.3", "X-Sim-Server": "garden"})
    assert "server=garden" in form_of(away.text)["link-login-only"]


def test_a_user_of_one_server_is_unknown_at_another(gate: RouterSimulator, wire: Wire) -> None:
    wire.ask("/ip/hotspot/add", "=name=garden", "=interface=ether5", "=profile=default")
    gate.add_user("asha", "0712", server="hotspot1")
    gate.add_host(PHONE, "10.5.60.2", "garden")
    assert gate.log_in("asha", "0712", PHONE) == "invalid username or password"
    gate.add_host(PHONE, "10.5.50.2", "hotspot1")
    assert gate.log_in("asha", "0712", PHONE) == ""


def test_bindings_let_by_and_block(gate: RouterSimulator, wire: Wire) -> None:
    wire.ask("/ip/hotspot/ip-binding/add", f"=mac-address={PHONE}", "=type=bypassed")
    assert get(gate, "/generate_204").status_code == 204
    assert gate.hosts()[0]["bypassed"] == "true" and gate.active() == []
    wire.ask("/ip/hotspot/ip-binding/set", "=.id=*0", "=type=blocked")
    assert get(gate, "/generate_204").status_code == 403
    wire.ask("/ip/hotspot/ip-binding/disable", "=.id=*0")
    assert get(gate, "/generate_204").status_code == 302


def test_a_local_user_may_come_by_his_mac(gate: RouterSimulator, wire: Wire) -> None:
    wire.ask("/ip/hotspot/profile/set", "=.id=default", "=login-by=mac", "=mac-auth-password=tv")
    gate.add_user(TABLET, "tv", mac_address=TABLET)
    gate.add_host(TABLET, "10.5.50.3")
    gate.add_host(PHONE, "10.5.50.2")
    assert [(row["user"], row["login-by"]) for row in gate.active()] == [(TABLET, "mac")]


def test_whoever_is_idle_too_long_is_out_and_keeps_his_cookie(gate: RouterSimulator) -> None:
    gate.hotspot.profiles.add({"name": "brief", "idle-timeout": "5m"})
    gate.add_user("asha", "0712", "brief")
    get(gate, "/login?username=asha&password=0712")
    gate.jump(200)
    gate.traffic(PHONE, 1, 1)
    gate.jump(200)
    assert gate.active()[0]["idle-time"] in ("3m20s", "3m21s", "3m22s")
    gate.jump(200)
    assert gate.active() == [] and len(gate.cookies()) == 1
    assert gate.users()[0]["uptime"] in ("8m20s", "8m21s")


def test_uploads_and_downloads_may_be_limited_each(gate: RouterSimulator) -> None:
    gate.add_user("asha", "0712", limit_bytes_in="1000")
    gate.add_user("juma", "0712", limit_bytes_out="1000")
    for name, mac, ip in (("asha", PHONE, "10.5.50.2"), ("juma", TABLET, "10.5.50.3")):
        gate.add_host(mac, ip)
        assert gate.log_in(name, "0712", mac) == ""
        gate.traffic(mac, 0, 1000)
    assert [row["user"] for row in gate.active()] == ["asha"]
    assert gate.log_in("juma", "0712", TABLET) == "user juma has reached traffic limit"
