"""Setting routers up over the wire: shown first, done once, put back; and what is wrong told with its cure."""

import html
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from edge.devices.router_setup import MENUS, RouterSetup
from edge.domain import setup
from edge.errors import Refused, Unreachable
from edge.own_address import own_address
from edge.simulators.router import RouterSimulator
from edge.simulators.router.configuration import Factory
from edge.values.router_findings import findings
from edge.values.router_setup import Change, Seen, Wish, digests, remember, undoing
from edge.values.router_wanted import MARK, profiles

OLD, NEW = "6.49.10 (stable)", "7.19.6 (stable)"
ADMIN, PASSWORD = "admin", "a-password-of-the-owner"
SECRET = "a-secret-of-this-router"
PAGES = {"login.html": "<p>to the portal</p>", "api.json": '{"captive": true}'}
both_releases = pytest.mark.parametrize("version", [OLD, NEW])


@contextmanager
def router(version: str = NEW, **more: Any) -> Iterator[RouterSimulator]:
    with RouterSimulator(version=version, username=ADMIN, password=PASSWORD, **more) as simulator:
        yield simulator


def wish(**more: Any) -> Wish:
    told = {
        "box": "127.0.0.1", "web_port": 8080, "mode": "radius", "login": ADMIN, "host": "127.0.0.1",
        "radius_secret": SECRET, "api_user": "edge", "api_password": "a-password-of-the-box", "pages": PAGES,
    }  # fmt: skip
    return Wish(**{**told, **more})


def opened(gate: RouterSimulator, name: str = ADMIN, password: str = PASSWORD, timeout_s: float = 20) -> RouterSetup:
    return RouterSetup("127.0.0.1", gate.port, name, password, timeout_s=timeout_s)


def changes_of(gate: RouterSimulator, wanted: Wish) -> list[Change]:
    with opened(gate) as device:
        return device.plan(wanted, device.look(wanted))


def set_up(gate: RouterSimulator, wanted: Wish) -> list[Change]:
    """Everything; returns what was changed."""
    with opened(gate) as device:
        changes = device.plan(wanted, device.look(wanted))
        outcome = device.apply(changes, wanted)
    assert outcome.left == []
    return outcome.done


def seen_on(gate: RouterSimulator, wanted: Wish | None = None) -> Seen:
    with opened(gate) as device:
        return device.look(wanted or wish())


def found_on(gate: RouterSimulator, **more: Any) -> dict[str, Any]:
    wanted = wish(**more)
    return {one.key: one for one in findings(wanted, seen_on(gate, wanted), datetime.now(UTC))}


def settled(seen: Seen) -> dict[str, Any]:
    """All that stays the same while nobody changes anything."""
    passing = ("/user/active", "/system/clock", "/system/resource", "/ip/hotspot/active")
    return {menu: [{key: value for key, value in row.items() if key not in ("id", "size")} for row in rows]
            for menu, rows in seen.menus.items() if menu not in passing}  # fmt: skip


def sorted_rows(seen: dict[str, Any]) -> dict[str, Any]:
    return {menu: sorted(rows, key=repr) for menu, rows in seen.items()}


# Done once, and put back.


@both_releases
@pytest.mark.parametrize("mode", ["local", "radius"])
def test_a_second_run_changes_nothing(version: str, mode: str, box_pages: Callable[[], Wish]) -> None:
    with router(version) as gate:
        wanted = box_pages(mode=mode)
        done = set_up(gate, wanted)
        assert len(done) > 10
        again = box_pages(mode=mode, known=digests(done))
        assert changes_of(gate, again) == []


@both_releases
def test_the_way_back_leaves_the_router_as_it_was(version: str, box_pages: Callable[[], Wish]) -> None:
    with router(version) as gate:
        wanted = box_pages()
        before = settled(seen_on(gate, wanted))
        done = set_up(gate, wanted)
        assert settled(seen_on(gate, wanted)) != before
        undo = remember({}, done)
        with opened(gate) as device:
            back = undoing(undo, device.look(wanted))
            assert device.apply(back, wanted).left == []
        assert sorted_rows(settled(seen_on(gate, wanted))) == sorted_rows(before)
        assert undoing(undo, seen_on(gate, wanted)) == []


def test_what_is_ours_is_marked_and_what_was_there_keeps_its_own_words() -> None:
    with router() as gate:
        set_up(gate, wish())
        seen = seen_on(gate)
        for menu in ("/radius", "/ip/hotspot/walled-garden/ip", "/ip/dhcp-server/alert"):
            assert [row["comment"].startswith("edge:") for row in seen.rows(menu)] == [True]
        assert seen.first("/user", name="edge")["comment"].startswith("edge:")
        assert seen.first("/ip/firewall/filter", action="fasttrack-connection")["comment"] == "defconf: fasttrack"


def test_a_hotspot_that_is_there_is_adopted_and_keeps_its_own_ways_to_log_in() -> None:
    with router() as gate:
        servers = seen_on(gate).rows("/ip/hotspot")
        set_up(gate, wish())
        seen = seen_on(gate)
        assert seen.rows("/ip/hotspot") == servers
        ways = set(seen.first("/ip/hotspot/profile", name="default")["login-by"].split(","))
        assert ways == {"mac-cookie", "http-pap", "http-chap", "mac", "cookie"}


def test_a_bare_router_gets_a_hotspot_of_its_own_on_its_bridge(bare: RouterSimulator) -> None:
    done = set_up(bare, wish())
    seen = seen_on(bare)
    server = seen.first("/ip/hotspot", name="edge")
    assert (server["interface"], server["profile"]) == ("bridge", "edge")
    assert seen.first("/ip/hotspot/profile", name="edge")["use-radius"] == "true"
    assert changes_of(bare, wish(known=digests(done))) == []


def test_radius_gets_a_time_out_that_is_long_enough_and_replies_that_are_proven() -> None:
    with router() as gate:
        set_up(gate, wish())
        entry = seen_on(gate).first("/radius")
        assert (entry["address"], entry["service"], entry["timeout"]) == ("127.0.0.1", "hotspot", "3s")
        assert entry["require-message-auth"] == "yes-for-request-resp"
        incoming = seen_on(gate).first("/radius/incoming")
        assert (incoming["accept"], incoming["port"]) == ("true", "3799")


def test_what_somebody_else_changed_after_us_is_not_put_back() -> None:
    with router() as gate:
        undo = remember({}, set_up(gate, wish()))
        with opened(gate) as device:
            zone = Change("x", "/system/clock", "set", "", {}, {}, {"time-zone-name": "Africa/Kampala"})
            telnet = seen_on(gate).first("/ip/service", name="telnet")
            port = Change("y", "/ip/service", "set", "", {}, {}, {"disabled": "no"}, telnet["id"])
            device.apply([zone, port], wish())
            back = undoing(undo, device.look(wish()))
        assert not any(change.menu == "/ip/service" and change.find.get("name") == "telnet" for change in back)


def test_the_oldest_value_is_what_is_put_back_after_two_runs() -> None:
    api = {"name": "api"}
    first = Change("k", "/ip/service", "set", "w", api, {"address": ""}, {"address": "10.0.0.2/32"})
    second = Change("k", "/ip/service", "set", "w", api, {"address": "10.0.0.2/32"}, {"address": "10.0.0.3"})
    undo = remember(remember({}, [first]), [second])
    seen = Seen({"/ip/service": [{"id": "*1", "name": "api", "address": "10.0.0.3/32"}]})
    assert [dict(change.after) for change in undoing(undo, seen)] == [{"address": ""}]


def test_each_of_several_fasttrack_rules_is_put_back() -> None:
    with router() as gate:
        gate.configuration.filter.plant(chain="forward", action="fasttrack-connection", comment="mine")
        gate.configuration.filter.plant(chain="forward", action="fasttrack-connection", disabled="true", comment="old")
        before = settled(seen_on(gate))["/ip/firewall/filter"]
        undo = remember({}, set_up(gate, wish()))
        rules = seen_on(gate).rows("/ip/firewall/filter", action="fasttrack-connection")
        assert [row["disabled"] for row in rows_by(rules, "comment")] == ["true"] * 3
        with opened(gate) as device:
            device.apply(undoing(undo, device.look(wish())), wish())
        assert settled(seen_on(gate))["/ip/firewall/filter"] == before


def rows_by(rows: list[Any], column: str) -> list[Any]:
    return sorted(rows, key=lambda row: str(row[column]))


def test_a_box_that_moved_is_told_and_takes_over() -> None:
    with router() as gate:
        done = set_up(gate, wish(box="192.168.88.10"))
        assert "192.168.88.10" in found_on(gate)["other-box"].words
        set_up(gate, wish(known=digests(done)))
        assert "other-box" not in found_on(gate)
        assert len(seen_on(gate).rows("/ip/hotspot/walled-garden/ip")) == 1


def test_no_secret_is_shown_or_kept() -> None:
    with router() as gate:
        done = set_up(gate, wish())
    told = "\n".join(change.line for change in done) + repr(remember({}, done)) + repr(done)
    assert SECRET not in told and "a-password-of-the-box" not in told


# Pages that can't be read.


def hidden(seen: Seen, *names: str) -> Seen:
    """The same router, which does not show what is in these pages."""
    rows = [{key: value for key, value in row.items() if key != "contents" or row["name"] not in names}
            for row in seen.rows("/file")]  # fmt: skip
    return Seen({**seen.menus, "/file": rows}, seen.denied)


def page_on(gate: RouterSimulator, name: str = "hotspot/login.html") -> str:
    rows = gate.files.table.named(name)
    return rows[0]["contents"] if rows else ""


def test_a_page_that_can_not_be_read_is_kept_and_comes_back() -> None:
    with router() as gate:
        own = page_on(gate)
        seen = hidden(seen_on(gate), "hotspot/login.html")
        assert "page" not in {one.key for one in findings(wish(), seen, datetime.now(UTC))}
        with opened(gate) as device:
            outcome = device.apply(device.plan(wish(), seen), wish())
        assert outcome.left == [] and page_on(gate) == PAGES["login.html"]
        assert page_on(gate, "hotspot/login.html.before-edge") == own
        assert changes_of(gate, wish(known=digests(outcome.done))) == []
        with opened(gate) as device:
            assert device.apply(undoing(remember({}, outcome.done), device.look(wish())), wish()).left == []
        assert page_on(gate) == own and page_on(gate, "hotspot/login.html.before-edge") == ""


def test_a_page_that_was_kept_stays_kept_while_somebody_elses_is_in_its_place() -> None:
    with router() as gate:
        seen = hidden(seen_on(gate), "hotspot/login.html")
        with opened(gate) as device:
            undo = remember({}, device.apply(device.plan(wish(), seen), wish()).done)
            gate.files.change(gate.files.table.ids("hotspot/login.html")[0], {"contents": "newer"}, "")
            assert device.apply(undoing(undo, device.look(wish())), wish()).left == []
        assert page_on(gate) == "newer" and page_on(gate, "hotspot/login.html.before-edge")


def test_guests_keep_a_page_when_ours_finds_no_room_beside_the_old_one() -> None:
    with router() as gate:
        own, room = page_on(gate), gate.files.room
        seen = hidden(seen_on(gate), "hotspot/login.html")
        gate.files.room = 0
        with opened(gate) as device:
            outcome = device.apply(device.plan(wish(), seen), wish())
        gate.files.room = room
        assert any(change.key == "file:hotspot/login.html" for change, _ in outcome.left)
        assert page_on(gate) == own


def test_a_page_that_can_not_be_kept_is_told_before_anything_changes() -> None:
    with router(OLD) as gate:
        found = found_on(gate)["page"]
        assert found.level == "warning" and "can't be put back" in found.words
        done = set_up(gate, wish(pages={}))
        assert "page" not in found_on(gate, pages={}, known=digests(done))


def test_only_the_pages_of_the_server_concerned_are_reset() -> None:
    with router() as gate:
        gate.hotspot.server_profiles.plant(name="vip", html_directory="vip", login_by="cookie")
        gate.configuration.bridges.plant(name="bridge2")
        gate.configuration.sync_bridges()
        gate.hotspot.servers.plant(name="vip", interface="bridge2", profile="vip")
        back = Change("k", "/ip/hotspot", "reset-html", "w", {"name": "hotspot/login.html"}, {}, {})
        elsewhere = Change("k", "/ip/hotspot", "reset-html", "w", {"name": "nowhere/login.html"}, {}, {})
        with opened(gate) as device:
            outcome = device.apply([back, elsewhere], wish())
        assert outcome.done == [back] and "nowhere" in outcome.left[0][1]
        assert gate.commands.count("/ip/hotspot/reset-html") == 1


# What a phone meets.


@both_releases
@pytest.mark.parametrize("flash", [False, True])
def test_a_phone_is_led_to_the_portal_and_its_code_works_without_the_box(
    version: str, flash: bool, box_pages: Callable[..., Wish]
) -> None:
    with router(version, factory=Factory(flash=flash)) as gate:
        wanted = box_pages(mode="local")
        set_up(gate, wanted)
        gate.reboot()
        gate.add_user("ASHA2345", "0712")
        status, page = visit(gate.login_url)
        assert status == 200 and f'href="{wanted.portal}?mac={quote(PHONE)}' in page
        action = re.search(r'<form method="post" action="([^"]*)"', page)
        assert action is not None
        visit(html.unescape(action[1]), {"username": "ASHA2345", "password": "0712", "dst": "", "popup": "false"})
        assert [row["user"] for row in gate.active()] == ["ASHA2345"]


def test_a_wrong_code_is_told_without_repeating_it(box_pages: Callable[..., Wish]) -> None:
    with router() as gate:
        set_up(gate, box_pages(mode="local"))
        _, page = visit(gate.login_url, {"username": "<script>x</script>", "password": "1", "dst": ""})
        assert "That did not work" in page and "<script>x" not in page


PHONE = "AA:BB:CC:00:00:01"


def visit(url: str, form: dict[str, str] | None = None) -> tuple[int, str]:
    data = urlencode(form).encode() if form is not None else None
    asked = Request(url, data, {"X-Sim-MAC": PHONE, "X-Sim-IP": "10.5.50.77"})
    with build_opener(ProxyHandler({})).open(asked, timeout=60) as answer:
        return answer.status, answer.read().decode()


# Rights.


def test_the_user_that_the_box_makes_may_do_all_that_is_left_to_do() -> None:
    with router() as gate:
        done = set_up(gate, wish())
        with opened(gate, "edge", "a-password-of-the-box") as device:
            as_edge = wish(login="edge", api_password="", known=digests(done))
            seen = device.look(as_edge)
            assert device.plan(as_edge, seen) == []
            policy = seen.first("/user/group", name="edge")["policy"].split(",")
            assert {word for word in policy if not word.startswith("!")} == {"read", "write", "api", "test", "reboot"}


def test_the_api_is_opened_to_the_box_alone_and_never_closed_to_it() -> None:
    with router() as gate:
        set_up(gate, wish())
        assert seen_on(gate).first("/ip/service", name="api")["address"] == "127.0.0.1/32"


def test_a_router_that_sees_the_box_elsewhere_keeps_its_api_open() -> None:
    with router() as gate:
        done = set_up(gate, wish(box="192.168.88.10"))
        assert not any(change.find.get("name") == "api" for change in done)
        with opened(gate, "edge", "a-password-of-the-box") as device:
            device.greet()


def test_a_user_edge_who_may_do_everything_and_is_not_ours_stays_as_he_is() -> None:
    with router() as gate:
        gate.accounts.users.plant(name="edge", group="full", password="of-the-owner", comment="night shift")
        found = found_on(gate)["namesake"]
        assert "stays as it is" in found.words and "edge-box" in found.words
        done = set_up(gate, wish())
        seen = seen_on(gate)
        assert seen.first("/user", name="edge")["group"] == "full"
        assert seen.first("/user", name="edge-box")["group"] == "edge"
        with opened(gate, "edge-box", "a-password-of-the-box") as device:
            device.greet()
        with opened(gate, "edge", "of-the-owner") as device:
            device.greet()
        assert changes_of(gate, wish(known=digests(done))) == []


@pytest.mark.parametrize("more", [{"login": "edge"}, {"keeps_user": True}])
def test_a_login_edge_of_somebodys_own_is_never_brought_down(more: dict[str, Any]) -> None:
    with router() as gate:
        gate.accounts.users.plant(name="edge", group="full", password="of-the-owner")
        assert not any(change.menu.startswith("/user") for change in changes_of(gate, wish(**more)))
        assert "rights" in found_on(gate, **more)


def test_a_login_that_may_not_write_is_refused_in_words() -> None:
    with router() as gate:
        gate.deny = True
        with opened(gate) as device, pytest.raises(Refused, match="read"):
            device.look(wish())


def test_a_login_that_may_only_read_sees_all_and_changes_nothing() -> None:
    with router() as gate:
        gate.accounts.users.change(gate.accounts.users.ids(ADMIN)[0], {"group": "read"})
        with opened(gate) as device:
            changes = device.plan(wish(), device.look(wish()))
            with pytest.raises(Refused, match=r"nothing was changed.*--username admin"):
                device.apply(changes, wish())


# Interruptions.


def test_a_connection_lost_half_way_is_told_and_the_next_run_ends_it(box_pages: Callable[[], Wish]) -> None:
    with router() as gate:
        wanted = box_pages()
        with opened(gate) as device:
            changes = device.plan(wanted, device.look(wanted))

            def cut(change: Change) -> None:
                if change.key == "option":
                    gate.lose_answer = True

            with pytest.raises(Unreachable, match="look again and go on"):
                device.apply(changes, wanted, cut)
        gate.lose_answer = False
        before = settled(seen_on(gate, wanted))
        assert set_up(gate, wanted)
        assert changes_of(gate, box_pages(known=digests(changes))) == []
        for menu in ("/radius", "/ip/dhcp-server/option", "/ip/hotspot/walled-garden/ip"):
            assert len(settled(seen_on(gate, wanted))[menu]) == 1, (menu, before[menu])
        undo = remember({}, changes)  # kept before anything was done
        with opened(gate) as device:
            assert device.apply(undoing(undo, device.look(wanted)), wanted).left == []
        assert seen_on(gate, wanted).rows("/radius") == []


def test_a_router_that_says_nothing_is_unreachable_in_time() -> None:
    with router() as gate:
        gate.silent = True
        with opened(gate, timeout_s=0.5) as device, pytest.raises(Unreachable):
            began = time.monotonic()
            device.look(wish())
        assert time.monotonic() - began < 30


def test_a_name_that_leads_nowhere_is_told() -> None:
    with pytest.raises(Unreachable, match="no way leads to"):
        own_address("no such host")


# What is wrong, and the cure.


def test_a_router_as_it_comes_has_nothing_wrong() -> None:
    with router() as gate:
        assert found_on(gate) == {}


def test_device_mode_is_found_and_told_with_the_button() -> None:
    with router() as gate:
        gate.device_mode_off = True
        found = found_on(gate)["device-mode"]
        assert found.level == "problem" and "within 5 minutes" in found.cure


@pytest.mark.parametrize(("version", "level"), [("6.40.9 (bugfix)", "problem"), ("7.6 (stable)", "warning")])
def test_an_old_release_is_told(version: str, level: str) -> None:
    seen = Seen({"/system/resource": [{"version": version}], "/ip/hotspot": []})
    told = {one.key: one for one in findings(wish(), seen, datetime.now(UTC))}
    assert told["old"].level == level and version in told["old"].words


def test_a_strangers_dhcp_server_is_told_once_we_watch() -> None:
    with router() as gate:
        set_up(gate, wish())
        gate.rogue_dhcp = "DE:AD:BE:EF:00:01"
        found = found_on(gate)["rogue-dhcp"]
        assert "DE:AD:BE:EF:00:01" in found.words and "unplug" in found.cure


def test_an_address_that_the_box_only_borrows_is_told_with_the_cure() -> None:
    with router() as gate:
        gate.configuration.lease("AA:BB:CC:00:00:02", "127.0.0.1")
        found = found_on(gate)["lease"]
        assert found.level == "warning" and "make-static [find address=127.0.0.1]" in found.cure
        lease = gate.configuration.leases.ids("AA:BB:CC:00:00:02")[0]
        gate.configuration.leases.rows[lease]["dynamic"] = "false"
        assert "lease" not in found_on(gate)


def test_a_wrong_clock_is_told() -> None:
    with router() as gate:
        gate.set_clock(datetime(1970, 1, 2, tzinfo=UTC))
        assert "1970" in found_on(gate)["clock"].words


def test_pages_that_a_restart_forgets_are_told_and_put_where_they_stay() -> None:
    files = [{"id": "*1", "name": "flash", "type": "disk"}]
    seen = Seen({
        "/ip/hotspot": [{"id": "*1", "name": "hs", "profile": "default", "interface": "bridge"}], "/file": files,
        "/ip/hotspot/profile": [{"id": "*1", "name": "default", "html-directory": "hotspot", "login-by": "cookie"}],
    })  # fmt: skip
    with RouterSetup("127.0.0.1", 1, "", "") as device:
        lines = [change.line for change in device.plan(wish(), seen)]
    assert any("html-directory hotspot → flash/hotspot" in line for line in lines)
    assert any("/file flash/hotspot/login.html" in line for line in lines)
    assert "flash" in {one.key for one in findings(wish(), seen, datetime.now(UTC))}


def test_an_override_of_the_pages_folder_is_where_our_page_goes() -> None:
    profile = {"id": "*1", "name": "default", "html-directory": "hotspot", "html-directory-override": "shop"}
    seen = Seen({
        "/ip/hotspot": [{"id": "*1", "name": "hs", "profile": "default", "interface": "bridge"}],
        "/ip/hotspot/profile": [profile], "/file": [{"id": "*1", "name": "shop/login.html"}],
    })  # fmt: skip
    with RouterSetup("127.0.0.1", 1, "", "") as device:
        names = [change.find["name"] for change in device.plan(wish(), seen) if change.menu == "/file"]
    assert names == ["shop/login.html", "shop/api.json"]


def test_management_that_is_open_to_the_internet_is_told(open_router: RouterSimulator) -> None:
    found = found_on(open_router)["open"]
    assert "winbox" in found.words and "drop" in found.cure


def test_a_missing_package_a_small_licence_and_a_full_flash_are_told() -> None:
    seen = Seen({
        "/system/resource": [{"version": OLD, "free-hdd-space": "20000", "total-hdd-space": "16000000"}],
        "/system/package": [{"name": "system"}, {"name": "dhcp"}], "/system/license": [{"nlevel": "3"}],
        "/ip/hotspot/user": [{"id": str(number)} for number in range(2500)],
    })  # fmt: skip
    told = {one.key: one.level for one in findings(wish(), seen, datetime.now(UTC))}
    assert told == {"package": "problem", "licence": "problem", "room": "warning", "users": "warning"}


def test_a_port_of_a_bridge_can_carry_no_hotspot(bare: RouterSimulator) -> None:
    found = found_on(bare, interface="ether2")["interface"]
    assert "ether2 is part of a bridge" in found.words and "bridge" in found.cure
    assert "no interface wlan9" in found_on(bare, interface="wlan9")["interface"].words


def test_another_radius_server_that_is_asked_first_is_told() -> None:
    with router() as gate:
        other = Change("r", "/radius", "add", "", {}, {}, {"service": "hotspot", "address": "10.0.0.9", "secret": "x"})
        with opened(gate) as device:
            device.apply([other], wish())
        set_up(gate, wish())
        assert "10.0.0.9" in found_on(gate)["other-radius"].words


def test_every_finding_and_change_is_a_sentence_with_nothing_of_the_code_in_it(bare: RouterSimulator) -> None:
    for change in changes_of(bare, wish()):
        assert change.words[0].isupper() and "None" not in change.line


def test_hostile_names_of_a_router_are_told_as_they_are() -> None:
    name = 'ش"; /system reset [$x]\n' + "x" * 280
    seen = Seen({
        "/ip/hotspot": [{"id": "*1", "name": name, "profile": name, "interface": name, "invalid": "true"}],
        "/ip/hotspot/profile": [{"id": "*1", "name": name, "login-by": "cookie"}],
    })  # fmt: skip
    assert profiles(wish(), seen) == [name]
    with RouterSetup("127.0.0.1", 1, "", "") as device:
        assert device.plan(wish(), seen)[0].find == {"name": name}
    assert findings(wish(), seen, datetime.now(UTC))


def test_every_menu_is_asked_for_by_its_columns_where_a_table_may_be_long() -> None:
    for menu in ("/ip/hotspot/user", "/ip/hotspot/active", "/file", "/interface"):
        assert MENUS[menu]
    assert MARK["radius"].startswith("edge:")


@pytest.fixture
def bare() -> Iterator[RouterSimulator]:
    with router(factory=_factory(hotspot=False)) as simulator:
        yield simulator


@pytest.fixture
def open_router() -> Iterator[RouterSimulator]:
    with router(factory=_factory(is_open=True)) as simulator:
        yield simulator


def _factory(**more: Any) -> Factory:
    return Factory(**more)


@pytest.fixture
def box_pages(address: str) -> Callable[..., Wish]:
    """A wish of a box whose web server runs: version 6 fetches its pages from there."""
    port = int(address.rpartition(":")[2])

    def make(**more: Any) -> Wish:
        return wish(**{"web_port": port, "pages": setup.pages(f"{address}/"), **more})

    return make
