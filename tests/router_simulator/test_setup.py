"""The pretend router as a technician meets it: menus of the configuration, API users, releases, files, device-mode."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from edge.simulators.router import Factory, RouterSimulator
from edge.simulators.router.templates import render
from tests.peers.routeros_wire import PHONE, TABLET, Wire, get, log_in, message, rows, wait_for

OLD, NEW = "6.49.10 (long-term)", "7.19.6 (stable)"


class Box(BaseHTTPRequestHandler):
    """Where the router fetches pages."""

    def do_GET(self) -> None:
        body = b"" if self.path == "/none" else b"<b>$(mac)</b>" if self.path == "/page" else b"x" * 70_000
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def box() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Box)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


# Menus.


@pytest.mark.parametrize("version", [OLD, "7.9", NEW, "7.21.3"])
def test_every_menu_of_the_configuration_answers(version: str) -> None:
    with RouterSimulator(version=version) as gate:
        wire = log_in(gate)
        for menu in ("/interface", "/interface/bridge", "/interface/bridge/port", "/interface/list", "/ip/address",
                     "/interface/list/member", "/ip/pool", "/ip/dhcp-server", "/ip/dhcp-server/network", "/ip/dns",
                     "/ip/firewall/filter", "/ip/firewall/nat", "/ip/service", "/radius/incoming", "/system/license",
                     "/system/ntp/client", "/system/package", "/user", "/user/group", "/user/active",
                     "/file"):  # fmt: skip
            assert wire.ask(f"{menu}/print")[0][0] == "!re", menu
        for menu in ("/ip/dhcp-server/option", "/ip/dhcp-server/lease", "/ip/dhcp-server/alert", "/log",
                     "/ip/hotspot/walled-garden", "/ip/hotspot/walled-garden/ip", "/queue/simple"):  # fmt: skip
            assert wire.ask(f"{menu}/print")[-1] == ["!done"], menu


def test_settings_have_no_id_and_are_set_without_one(wire: Wire) -> None:
    assert ".id" not in rows(wire.ask("/radius/incoming/print"))[0]
    assert wire.ask("/radius/incoming/set", "=accept=yes", "=port=3799") == [["!done"]]
    assert rows(wire.ask("/radius/incoming/print"))[0]["accept"] == "true"
    assert wire.ask("/ip/dns/set", "=servers=10.5.50.2,1.1.1.1") == [["!done"]]
    assert message(wire.ask("/ip/dns/set", "=servers=nowhere")) == "invalid value for argument servers"
    assert message(wire.ask("/ip/dns/add", "=servers=1.1.1.1")) == "no such command"


def test_references_and_values_are_checked(wire: Wire) -> None:
    for path, words, said in (
        ("/ip/address/add", ("=address=10.0.0.1/8", "=interface=x"), "input does not match any value of interface"),
        ("/ip/address/add", ("=address=ten", "=interface=ether2"), "invalid value for argument address"),
        ("/ip/address/add", ("=interface=ether2",), "missing value(s) of argument(s) address"),
        ("/ip/hotspot/add", ("=interface=bridge", "=profile=no"), "input does not match any value of profile"),
        ("/ip/hotspot/add", ("=name=x",), "missing value(s) of argument(s) interface"),
        ("/ip/hotspot/profile/add", ("=name=x", "=login-by=magic"), "input does not match any value of login-by"),
        ("/ip/dhcp-server/option/add", ("=name=x", "=code=114", "=value=bare"), "invalid value for argument value"),
        ("/ip/dhcp-server/network/set", ("=.id=*0", "=gateway=no"), "invalid value for argument gateway"),
        ("/radius/add", ("=address=10.0.0.2", "=timeout=5m"), "invalid value for argument timeout"),
        ("/ip/service/set", ("=.id=nothing", "=port=1"), "no such item"),
        ("/ip/firewall/filter/add", ("=chain=input", "=action=explode"), "input does not match any value of action"),
        ("/interface/remove", ("=.id=ether1",), "no such command"),
        ("/system/clock/set", ("=time-zone-name=Africa/Atlantis",), "input does not match any value of time-zone-name"),
    ):  # fmt: skip
        assert message(wire.ask(path, *words)) == said, (path, words)


def test_rules_are_put_in_place_and_moved(wire: Wire) -> None:
    menu = "/ip/firewall/filter"
    wire.ask(f"{menu}/add", "=chain=input", "=comment=second", "=place-before=*0")
    done = wire.ask(f"{menu}/add", "=chain=input", "=comment=last")
    wire.ask(f"{menu}/move", f"=numbers={done[0][1].removeprefix('=ret=')}", "=destination=*0")
    assert [row["comment"] for row in rows(wire.ask(f"{menu}/print", "=.proplist=comment"))][:2] == ["second", "last"]


def test_a_router_may_come_bare_open_and_without_a_package() -> None:
    bare = Factory(hotspot=False, fasttrack=False, is_open=True, flash=True, missing_packages=("hotspot",))
    with RouterSimulator(version=OLD, factory=bare) as gate:
        wire = log_in(gate)
        assert message(wire.ask("/ip/hotspot/print")) == "no such command prefix"
        assert "hotspot" not in [row["name"] for row in rows(wire.ask("/system/package/print"))]
        actions = [row["action"] for row in rows(wire.ask("/ip/firewall/filter/print"))]
        assert "fasttrack-connection" not in actions
        inputs = rows(wire.ask("/ip/firewall/filter/print", "?chain=input", "?action=drop"))
        assert not [row for row in inputs if "in-interface-list" in row]
        assert get(gate, "/login").status_code == 503


def test_a_bare_router_becomes_a_hotspot(box: str) -> None:
    with RouterSimulator(factory=Factory(hotspot=False)) as gate:
        wire = log_in(gate)
        gate.add_user("asha", "0712")
        gate.add_host(PHONE, "192.168.88.20")
        assert gate.log_in("asha", "0712", PHONE) == "hotspot service is shutting down"
        wire.ask("/ip/hotspot/profile/add", "=name=edge", "=login-by=http-pap", "=html-directory=hotspot")
        wire.ask("/ip/hotspot/add", "=name=hs", "=interface=bridge", "=profile=edge", "=disabled=no")
        wire.ask("/file/add", "=name=hotspot/mine.html", "=contents=here")
        gate.remove_host(PHONE)
        gate.add_host(PHONE, "192.168.88.20")
        assert gate.log_in("asha", "0712", PHONE) == ""
        assert gate.active()[0]["server"] == "hs"


# API users.


def test_a_group_bounds_what_a_user_may_do(gate: RouterSimulator, wire: Wire) -> None:
    assert wire.ask("/user/group/add", "=name=look", "=policy=read,api")[0][0] == "!done"
    assert wire.ask("/user/group/add", "=name=web", "=policy=read,web")[0][0] == "!done"
    assert message(wire.ask("/user/group/add", "=name=x", "=policy=fly")) == "invalid value for argument policy"
    for name, group in (("looker", "look"), ("webber", "web")):
        assert wire.ask("/user/add", f"=name={name}", f"=group={group}", "=password=pw")[0][0] == "!done"
    gate.add_user("asha", "0712")
    looker = log_in(gate, "looker", "pw")
    assert "password" not in rows(looker.ask("/ip/hotspot/user/print", "?name=asha"))[0]
    for path in ("/ip/hotspot/user/add", "/ip/hotspot/user/remove", "/user/add", "/tool/fetch", "/system/reboot",
                 "/system/identity/set", "/ip/hotspot/active/login"):  # fmt: skip
        assert message(looker.ask(path, "=name=x")) == "not enough permissions (9)", path
    assert Wire(gate.port).ask("/login", "=name=webber", "=password=pw")[0][0] == "!trap"
    wire.ask("/user/set", "=.id=looker", "=disabled=yes")
    assert Wire(gate.port).ask("/login", "=name=looker", "=password=pw")[0][0] == "!trap"


def test_an_api_user_may_be_bound_to_an_address_and_thrown_out(gate: RouterSimulator, wire: Wire) -> None:
    wire.ask("/user/add", "=name=far", "=group=full", "=password=pw", "=address=10.9.9.9/32")
    assert Wire(gate.port).ask("/login", "=name=far", "=password=pw")[0][0] == "!trap"
    other = log_in(gate)
    mine, theirs = rows(wire.ask("/user/active/print"))
    assert (mine["via"], theirs["address"]) == ("api", "127.0.0.1")
    assert wire.ask("/user/active/request-logout", f"=numbers={theirs['.id']}") == [["!done"]]
    assert other.read() == []
    assert len(rows(wire.ask("/user/active/print"))) == 1
    assert message(wire.ask("/user/remove", "=.id=far")) == ""
    assert "full access" in message(wire.ask("/user/remove", "=.id=edge"))


def test_the_api_user_of_the_start_may_be_renamed_by_a_test(gate: RouterSimulator) -> None:
    gate.username, gate.password = "njeri", "pw"
    assert (gate.username, gate.password) == ("njeri", "pw")
    assert log_in(gate, "njeri", "pw")


def test_services_close_their_door_and_bound_their_clients(gate: RouterSimulator, wire: Wire) -> None:
    assert rows(wire.ask("/ip/service/print", "?name=api"))[0]["port"] == str(gate.port)
    assert wire.ask("/ip/service/set", "=.id=api", "=max-sessions=1") == [["!done"]]
    assert Wire(gate.port).read() == []
    assert wire.ask("/ip/service/disable", "=numbers=api") == [["!done"]]
    with pytest.raises(ConnectionRefusedError):
        Wire(gate.port)
    assert wire.ask("/ip/service/enable", "=numbers=api") == [["!done"]]
    wire.socket.close()
    wait_for(lambda: not gate.accounts.connections)
    assert log_in(gate)


# Releases.


@pytest.mark.parametrize(
    ("path", "word", "version", "known"),
    [
        ("/radius/add", "=require-message-auth=no", "7.14.3", False),
        ("/radius/add", "=require-message-auth=no", "7.15", True),
        ("/ip/service/set", "=max-sessions=5", "7.15", False),
        ("/ip/service/set", "=max-sessions=5", "7.16", True),
        ("/system/ntp/client/set", "=servers=10.0.0.2", OLD, False),
        ("/system/ntp/client/set", "=primary-ntp=10.0.0.2", OLD, True),
        ("/system/ntp/client/set", "=servers=10.0.0.2", NEW, True),
        ("/system/ntp/client/set", "=primary-ntp=10.0.0.2", NEW, False),
    ],
)  # fmt: skip
def test_releases_know_different_properties(path: str, word: str, version: str, known: bool) -> None:
    more = {"/radius/add": ("=address=10.0.0.2",), "/ip/service/set": ("=.id=ftp",)}.get(path, ())
    with RouterSimulator(version=version) as gate:
        said = message(log_in(gate).ask(path, word, *more))
    assert said == ("" if known else f"unknown parameter {word.split('=')[1]}")


@pytest.mark.parametrize(
    ("version", "date", "mode", "adds_files", "port"),
    [(OLD, "nov/26/2026", False, False, "1700"), ("7.9", "nov/26/2026", True, True, "3799"),
     ("7.10", "2026-11-26", True, True, "3799")],
)  # fmt: skip
def test_releases_differ_in_dates_device_mode_and_files(
    version: str, date: str, mode: bool, adds_files: bool, port: str
) -> None:
    with RouterSimulator(version=version) as gate:
        gate.set_clock(datetime(2026, 11, 26, 9, 0, tzinfo=UTC))
        wire = log_in(gate)
        assert rows(wire.ask("/system/clock/print"))[0]["date"] == date
        assert (message(wire.ask("/system/device-mode/print")) == "") is mode
        assert (message(wire.ask("/file/add", "=name=hotspot/x.html", "=contents=x")) == "") is adds_files
        assert rows(wire.ask("/radius/incoming/print"))[0]["port"] == port


def test_the_clock_is_set_by_hand_and_knows_zones(gate: RouterSimulator, wire: Wire) -> None:
    assert wire.ask("/system/clock/set", "=time-zone-name=Africa/Lagos") == [["!done"]]
    assert wire.ask("/system/clock/set", "=date=2026-05-01", "=time=12:30:00") == [["!done"]]
    row = rows(wire.ask("/system/clock/print"))[0]
    assert (row["date"], row["time"][:5], row["gmt-offset"]) == ("2026-05-01", "12:30", "+01:00")
    assert gate.wall_clock().replace(second=0, microsecond=0) == datetime(2026, 5, 1, 11, 30, tzinfo=UTC)


def test_without_ntp_a_reboot_brings_back_1970(gate: RouterSimulator, wire: Wire) -> None:
    wire.ask("/system/ntp/client/set", "=enabled=no")
    assert wire.ask("/system/reboot")[0][0] == "!done"
    wait_for(lambda: gate.clock_row()[0]["date"] == "1970-01-02")
    again = log_in(gate)
    assert again.ask("/system/ntp/client/set", "=enabled=yes") == [["!done"]]
    gate.set_clock(None)
    assert "rebooted" in rows(again.ask("/log/print"))[0]["message"]


# Device-mode.


def test_device_mode_changes_when_the_button_is_pressed_in_time(gate: RouterSimulator, wire: Wire) -> None:
    gate.device_mode_off = True
    assert rows(wire.ask("/ip/hotspot/print"))[0]["invalid"] == "true"
    assert not gate.press_button()
    asked = wire.ask("/system/device-mode/update", "=hotspot=yes")
    assert "pressing reset or mode button in 5m00s" in rows(asked)[0]["update"]
    gate.jump(301)
    assert not gate.press_button()
    wire.ask("/system/device-mode/update", "=hotspot=yes", "=activation-timeout=1m")
    assert rows(wire.ask("/ip/hotspot/print"))[0]["invalid"] == "true"  # it waits for a person
    assert gate.press_button()
    wait_for(lambda: "rebooted" in str(gate.rows("/log")))
    again = log_in(gate)
    assert rows(again.ask("/ip/hotspot/print"))[0]["invalid"] == "false"
    assert rows(again.ask("/system/device-mode/print"))[0]["hotspot"] == "yes"
    assert message(again.ask("/system/device-mode/update", "=hotspot=perhaps")) != ""


def test_a_new_server_is_as_invalid_as_the_rest_under_device_mode(gate: RouterSimulator, wire: Wire) -> None:
    gate.device_mode_off = True
    wire.ask("/ip/hotspot/add", "=name=second", "=interface=ether5")
    assert {row["invalid"] for row in rows(wire.ask("/ip/hotspot/print"))} == {"true"}


# Files.


def test_files_are_added_changed_and_bounded(gate: RouterSimulator, wire: Wire) -> None:
    assert wire.ask("/file/add", "=name=hotspot/a.html", "=contents=one")[0][0] == "!done"
    assert message(wire.ask("/file/add", "=name=hotspot/a.html", "=contents=two")) == "failure: file already exists"
    assert wire.ask("/file/set", "=.id=hotspot/a.html", "=contents=three") == [["!done"]]
    row = rows(wire.ask("/file/print", "?name=hotspot/a.html"))[0]
    assert (row["contents"], row["size"], row["type"]) == ("three", "5", ".html file")
    long = "=contents=" + "x" * 60_001
    assert message(wire.ask("/file/set", "=.id=hotspot/a.html", long)) == "failure: contents too long"
    assert message(wire.ask("/file/add", "=name=b", long)) == "failure: contents too long"
    assert wire.ask("/file/remove", "=.id=hotspot/a.html") == [["!done"]]
    assert rows(wire.ask("/file/print", "?name=hotspot/a.html")) == []


def test_a_fetch_really_asks_and_lays_down_what_came(gate: RouterSimulator, wire: Wire, box: str) -> None:
    assert rows(wire.ask("/tool/fetch", f"=url={box}/page", "=dst-path=hotspot/login.html"))[0]["status"] == "finished"
    assert get(gate, "/login").text == f"<b>{PHONE}</b>"
    assert wire.ask("/tool/fetch", f"=url={box}/long", "=dst-path=/long.txt")[-1] == ["!done"]
    assert rows(wire.ask("/file/print", "?name=long.txt"))[0]["size"] == "70000"
    assert rows(wire.ask("/tool/fetch", f"=url={box}/page", "=output=user"))[0]["data"] == "<b>$(mac)</b>"
    assert message(wire.ask("/tool/fetch", f"=url={box}/none")) == "failure: Fetch failed with status 404"
    assert message(wire.ask("/tool/fetch", "=url=http://127.0.0.1:1/")) == "failure: connection failed"
    assert message(wire.ask("/tool/fetch", "=url=gopher://x")) == "failure: invalid URL protocol"
    assert wire.ask("/ip/hotspot/reset-html") == [["!done"]]
    assert "Log in" in get(gate, "/login").text


def test_beside_the_flash_folder_files_lie_in_memory() -> None:
    with RouterSimulator(factory=Factory(flash=True, file_room=1000)) as gate:
        wire = log_in(gate)
        assert rows(wire.ask("/ip/hotspot/profile/print"))[0]["html-directory"] == "flash/hotspot"
        wire.ask("/file/set", "=.id=flash/hotspot/login.html", "=contents=kept")
        wire.ask("/file/add", "=name=hotspot/login.html", "=contents=lost")
        assert "no space left" in message(wire.ask("/file/add", "=name=big", "=contents=" + "x" * 1001))
        gate.reboot()
        assert get(gate, "/login").text == "kept"
        assert "hotspot/login.html" not in [row["name"] for row in gate.rows("/file")]


PAGE = """$(if error)<p>$(error)</p>$(endif)<a href="/?mac=$(mac-esc)&to=$(link-orig-esc)">$(username)</a>
$(if chap-id)chap$(elif logged-in == "no")plain$(else)in$(endif) $(nonsense)$(if not trial)no trial$(endif)"""


def test_pages_in_the_folder_are_filled_in_as_routeros_does(gate: RouterSimulator, wire: Wire) -> None:
    wire.ask("/file/set", "=.id=hotspot/login.html", f"=contents={PAGE}")
    wire.ask("/file/add", "=name=hotspot/style.css", "=contents=a $(mac)")
    shown = get(gate, "/login?dst=http%3A%2F%2Fexample.com%2F%3Fa").text
    assert '<a href="/?mac=AA%3ABB%3ACC%3A00%3A00%3A01&to=http%3A%2F%2Fexample.com%2F%3Fa"></a>' in shown
    assert "<p>" not in shown and "plain no trial" in shown
    refused = get(gate, "/login?username=%3Cb%3E&password=x").text
    assert "<p>invalid username or password</p>" in refused and ">&lt;b&gt;</a>" in refused
    wire.ask("/ip/hotspot/profile/set", "=.id=*0", "=login-by=http-chap")
    assert "chap" in get(gate, "/login").text
    style = get(gate, "/style.css")
    assert (style.text, style.headers["Content-Type"]) == ("a $(mac)", "text/css")


def test_redirect_login_and_after_login_pages_may_be_replaced(gate: RouterSimulator, wire: Wire) -> None:
    gate.add_user("asha", "0712")
    jump = '$(if http-status == 302)Go$(endif)$(if http-header == "Location")$(link-login)$(endif)<p>moved</p>'
    for page, contents in (("rlogin", jump), ("flogin", "no: $(error)"), ("alogin", "to $(link-redirect)"),
                           ("status", "$(username) $(bytes-in)"), ("logout", "bye $(username)")):  # fmt: skip
        verb = ("set", "=.id=") if page in ("rlogin", "alogin", "status", "logout") else ("add", "=name=")
        assert wire.ask(f"/file/{verb[0]}", f"{verb[1]}hotspot/{page}.html", f"=contents={contents}")[0][0] == "!done"
    captured = get(gate, "/generate_204")
    assert (captured.status_code, captured.text) == (302, "<p>moved</p>")
    assert captured.headers["Location"].startswith(gate.login_url) and "generate_204" in captured.headers["Location"]
    assert get(gate, "/login?username=asha&password=1").text == "no: invalid username or password"
    assert get(gate, "/login?username=asha&password=0712&dst=http%3A%2F%2Fexample.com").text == "to http://example.com"
    assert get(gate, "/status").text == "asha 0"
    assert get(gate, "/logout").text == "bye asha"


def test_phones_may_ask_what_stands_between_them_and_the_internet(gate: RouterSimulator, wire: Wire) -> None:
    gate.add_user("asha", "0712", limit_uptime="1h", limit_bytes_total="1000")
    before = get(gate, "/api")
    assert before.headers["Content-Type"] == "application/captive+json"
    assert before.json() == {"captive": True, "user-portal-url": gate.login_url, "can-extend-session": True}
    get(gate, "/login?username=asha&password=0712")
    after = get(gate, "/api").json()
    assert after["captive"] is False and 3590 <= after["seconds-remaining"] <= 3600
    assert after["bytes-remaining"] == 1000
    own = "{\"captive\": $(if logged-in == 'yes')false$(else)true$(endif)}"
    wire.ask("/file/set", "=.id=hotspot/api.json", f"=contents={own}")
    assert get(gate, "/api").json() == {"captive": False}


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("$(if a)$(if b)both$(else)a$(endif)$(endif)", "a"), ("$(if b)$(if a)x$(endif)$(else)y$(endif)", "y"),
        ("$(if a == 'one')1$(endif)$(if a != one)2$(endif)", "1"), ("$(a-esc) $(c-esc)", "one %3C%26"),
        ("$(c)$(endif)$(else)", "&lt;&"), ("$ $() $(", "$  $("), ("$(if a)open", "open"),
        ("$(if b)$(if http-status == 500)x$(endif)$(endif)y", "y"),
    ],
)  # fmt: skip
def test_the_page_language(page: str, shown: str) -> None:
    ready = render(page, {"a": "one", "b": "", "c": "<&"})
    assert (ready.body, ready.status) == (shown, 200)


# Crowds and memory.


def test_a_full_user_table_says_so() -> None:
    with RouterSimulator(factory=Factory(most_users=3)) as gate:
        wire = log_in(gate)
        said = [message(wire.ask("/ip/hotspot/user/add", f"=name=g{number}")) for number in range(4)]
    assert said[:2] == ["", ""] and "no space left" in said[-1]


def test_the_licence_bounds_how_many_are_online() -> None:
    with RouterSimulator(factory=Factory(license_level=3)) as gate:
        assert rows(log_in(gate).ask("/system/license/print"))[0]["level"] == "3"
        for number, mac in enumerate((PHONE, TABLET)):
            gate.add_user(f"g{number}", "1")
            gate.add_host(mac, f"10.5.50.{number + 2}")
        assert (gate.log_in("g0", "1", PHONE), gate.log_in("g1", "1", TABLET)) == ("", "session limit reached")
        gate.log_out(PHONE)
        assert gate.log_in("g1", "1", TABLET) == ""


def test_five_thousand_users_are_added_and_listed_in_a_moment(gate: RouterSimulator) -> None:
    wire, began = log_in(gate), time.process_time()
    for number in range(5000):
        wire.ask("/ip/hotspot/user/add", f"=name=u{number:05}", "=password=1", "=limit-uptime=3600s",
                 f"=comment=edge:{number}")  # fmt: skip
    listed = wire.ask("/ip/hotspot/user/print", "=.proplist=.id,name,comment,profile,disabled,uptime,limit-uptime")
    assert len(listed) == 5002
    assert time.process_time() - began < 3.0  # both sides together; by the processor's clock, whoever else is at work


# What is watched.


def test_traffic_shows_in_interfaces_queues_and_the_log(gate: RouterSimulator, wire: Wire) -> None:
    gate.hotspot.profiles.add({"name": "fast", "rate-limit": "2M/5M 3M/6M"})
    gate.add_user("asha", "0712", "fast")
    gate.add_host(PHONE, "10.5.50.2", name="Asha-phone")
    gate.log_in("asha", "0712", PHONE)
    before = {row["name"]: row for row in rows(wire.ask("/interface/print"))}
    wire.ask("/interface/monitor-traffic", "=interface=ether1", "=once=")
    gate.traffic(PHONE, 1000, 9_000_000)
    gate.jump(10)
    now = {row["name"]: row for row in rows(wire.ask("/interface/print"))}
    assert int(now["ether1"]["rx-byte"]) - int(before["ether1"]["rx-byte"]) >= 9_000_000
    assert int(now["bridge"]["tx-byte"]) - int(before["bridge"]["tx-byte"]) >= 9_000_000
    rate = rows(wire.ask("/interface/monitor-traffic", "=interface=ether1", "=once="))[0]
    assert 3_000_000 < int(rate["rx-bits-per-second"]) < 8_000_000
    queue = rows(wire.ask("/queue/simple/print"))[0]
    assert (queue["name"], queue["max-limit"], queue["dynamic"]) == ("<hotspot-asha>", "2M/5M", "true")
    lease = rows(wire.ask("/ip/dhcp-server/lease/print", f"?mac-address={PHONE}"))[0]
    assert (lease["address"], lease["status"], lease["host-name"]) == ("10.5.50.2", "bound", "Asha-phone")
    assert "asha is online" in rows(wire.ask("/log/print"))[-1]["message"]
    busy = rows(wire.ask("/system/resource/print"))[0]
    assert 0 < int(busy["cpu-load"]) <= 100 and int(busy["free-memory"]) > 0


def test_pings_and_a_strangers_dhcp_server(gate: RouterSimulator, wire: Wire) -> None:
    assert rows(wire.ask("/ping", "=address=1.1.1.1", "=count=2"))[1]["received"] == "2"
    gate.unreachable.add("1.1.1.1")
    assert rows(wire.ask("/tool/ping", "=address=1.1.1.1", "=count=1"))[0]["packet-loss"] == "100"
    gate.offline = True
    assert rows(wire.ask("/ping", "=address=8.8.8.8", "=count=1"))[0]["status"] == "timeout"
    wire.ask("/ip/dhcp-server/alert/add", "=interface=bridge", "=disabled=no")
    assert "unknown-server" not in rows(wire.ask("/ip/dhcp-server/alert/print"))[0]
    gate.rogue_dhcp = "00:11:22:33:44:55"
    assert rows(wire.ask("/ip/dhcp-server/alert/print"))[0]["unknown-server"] == "00:11:22:33:44:55"


def test_back_to_the_factory_everything_is_as_it_came(gate: RouterSimulator, wire: Wire) -> None:
    before = {menu: gate.rows(menu) for menu in ("/ip/service", "/ip/hotspot", "/user", "/file", "/ip/firewall/nat")}
    wire.ask("/user/add", "=name=x", "=group=full", "=password=pw")
    wire.ask("/ip/service/disable", "=numbers=telnet")
    wire.ask("/file/add", "=name=hotspot/x", "=contents=x")
    wire.ask("/ip/firewall/nat/add", "=chain=srcnat", "=action=masquerade")
    wire.ask("/ip/hotspot/add", "=name=second", "=interface=ether5")
    gate.reset_to_factory()
    shown = {menu: gate.rows(menu) for menu in before}
    for menu, was in before.items():
        assert [{**row, ".id": ""} for row in shown[menu]] == [{**row, ".id": ""} for row in was], menu
    assert log_in(gate)
