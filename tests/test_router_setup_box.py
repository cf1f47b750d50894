"""Setting routers up as a technician does: by command, by the dashboard and a worker, and by the pasted line."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from click.testing import CliRunner
from selenium.webdriver.common.by import By

from edge import jobs, tasks
from edge.__main__ import edge
from edge.devices.opening import Devices
from edge.domain import setup
from edge.errors import BadInput
from edge.handlers.router_setup import adopt_login, box_address, look_at_router
from edge.handlers.world import Missed, World
from edge.models import Event, Job, Router
from edge.settings import Settings
from edge.settings_sections import Database, Web
from edge.simulators.router import RouterSimulator
from edge.simulators.router.configuration import Factory
from edge.values.router_findings import Finding
from edge.values.router_setup import Change
from edge.web import build
from tests.browser import needs_chromium, says, set_width
from tests.web_client import PASSWORD, Browser

ADMIN, ADMINS = "admin", "the-owner's-own-password"
LONG = "x" * 300


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def gate() -> Iterator[RouterSimulator]:
    with RouterSimulator(username=ADMIN, password=ADMINS) as simulator:
        yield simulator


# By command.


@pytest.fixture
def command(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, stdin: str = "") -> tuple[int, str]:
        found = CliRunner().invoke(edge, [*words, "--state", str(tmp_path / "box")], input=stdin)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.output

    code, words = run("init", "--owner", "njeri", "--password-stdin", stdin=PASSWORD + "\n")
    assert code == 0, words
    return run


@pytest.fixture
def added(command: Callable[..., tuple[int, str]], gate: RouterSimulator) -> Callable[..., tuple[int, str]]:
    words = ("router", "add", "gate", "127.0.0.1", "--port", str(gate.port), "--username", ADMIN, "--password", ADMINS)
    code, told = command(*words)
    assert code == 0, told
    return command


def test_one_command_shows_asks_does_and_the_next_has_nothing_to_do(
    added: Callable[..., tuple[int, str]], gate: RouterSimulator
) -> None:
    code, told = added("router", "setup", "gate", "--dry-run")
    assert code == 0 and "To change on the router" in told and "Nothing was changed" in told
    assert ADMINS not in told
    code, told = added("router", "setup", "gate", stdin="n\n")
    assert code == 0 and "done:" not in told
    code, told = added("router", "setup", "gate", stdin="y\n")
    assert "is set up" in told, told
    code, told = added("router", "setup", "gate", "--yes")
    assert "nothing to change" in told, told


def test_the_box_comes_as_a_user_of_few_rights_and_forgets_the_owners_login(
    added: Callable[..., tuple[int, str]], gate: RouterSimulator
) -> None:
    added("router", "setup", "gate", "--yes")
    code, told = added("router", "check", "gate", "--json")
    assert code == 0 and json.loads(told)["routers"][0]["ok"]
    assert {one.name for one in gate.accounts.connections.values()} <= {"edge", ADMIN}
    code, told = added("router", "list", "--json")
    assert json.loads(told)["routers"][0]["username"] == "edge"


def test_undo_puts_back_what_the_login_may_and_the_owner_the_rest(added: Callable[..., tuple[int, str]]) -> None:
    added("router", "setup", "gate", "--yes")
    code, told = added("router", "setup", "gate", "--undo", "--yes")
    assert code == 0 and "only a login with policy" in told
    code, told = added(
        "router", "setup", "gate", "--undo", "--yes", "--username", ADMIN, "--password-stdin", stdin=ADMINS + "\n"
    )
    assert code == 0 and "Take away: Give the box an API user" in told
    assert "--username admin" in told
    code, told = added("router", "list", "--json")
    assert json.loads(told)["routers"][0]["username"] == "edge"  # the owner's login is not kept
    again = ("--username", ADMIN, "--password-stdin")
    code, told = added("router", "setup", "gate", "--undo", "--yes", *again, stdin=ADMINS + "\n")
    assert code == 0 and "nothing to put back" in told
    code, told = added("router", "setup", "gate", "--yes", "--json", *again, stdin=ADMINS + "\n")
    assert len(json.loads(told)["done"]) > 10
    code, told = added("router", "check", "gate")
    assert code == 0, told


def test_json_tells_all_and_needs_a_yes(added: Callable[..., tuple[int, str]]) -> None:
    code, told = added("router", "setup", "gate", "--json")
    assert code == 2 and "--dry-run" in json.loads(told)["error"]
    code, told = added("router", "setup", "gate", "--json", "--yes")
    document = json.loads(told)
    assert len(document["done"]) > 10 and document["changes"] == [] and document["left"] == []


@pytest.mark.parametrize("box", ["nonsense", "127.0.0.1", "0.0.0.0"])
def test_wrong_use_is_told_with_exit_code_2(added: Callable[..., tuple[int, str]], box: str) -> None:
    code, told = added("router", "setup", "gate", "--dry-run", "--box", box)
    assert code == 2 and "192.168.88.10" in told
    code, told = added("router", "setup", "gate", "--dry-run", "--json", "--box", box)
    assert code == 2 and "192.168.88.10" in json.loads(told)["error"]
    code, told = added("router", "import", "gate", "--json")
    assert code == 2 and "--dry-run" in json.loads(told)["error"]
    code, told = added("plan", "set", "1", "--json")
    assert code == 2 and "--price" in json.loads(told)["error"]


def test_device_mode_is_told_with_its_cure(added: Callable[..., tuple[int, str]], gate: RouterSimulator) -> None:
    gate.device_mode_off = True
    code, told = added("router", "setup", "gate", "--dry-run")
    assert code == 1 and "PROBLEM" in told and "within 5 minutes" in told


def test_a_router_that_is_off_is_told_in_a_sentence(
    added: Callable[..., tuple[int, str]], gate: RouterSimulator
) -> None:
    gate.unplugged = True
    code, told = added("router", "setup", "gate", "--yes")
    assert code == 1 and told.startswith("edge: no answer at 127.0.0.1")


def test_a_wrong_password_is_told_and_not_repeated(added: Callable[..., tuple[int, str]]) -> None:
    code, told = added(
        "router", "setup", "gate", "--yes", "--username", ADMIN, "--password-stdin", stdin="wrong-words\n"
    )
    assert code == 1 and "does not know this API user" in told and "wrong-words" not in told


@pytest.mark.parametrize(
    ("name", "host", "words"),
    [
        ("gate\n2", "192.168.88.1", "line breaks"),
        ("\u202egate", "192.168.88.1", "invisible"),
        (LONG, "192.168.88.1", "at most 64"),
        ("gate", 'x"; /system reset', "IP address or a host name"),
        ("gate", LONG, "IP address or a host name"),
        ("gate", "ش", "IP address or a host name"),
        ("", "192.168.88.1", "needs a name"),
    ],
)
def test_bad_names_and_addresses_are_told_in_a_sentence(
    command: Callable[..., tuple[int, str]], name: str, host: str, words: str
) -> None:
    code, told = command("router", "add", name, host, "--password", "x")
    assert code == 1 and words in told


@pytest.mark.parametrize("name", ['Njeri\'s "gate"; /quit', "بوابة", "$x[]{}"])
def test_odd_names_that_harm_nobody_are_taken(command: Callable[..., tuple[int, str]], name: str) -> None:
    code, told = command("router", "add", name, "192.168.88.1", "--password", "x")
    assert code == 0, told
    code, told = command("router", "script", name, "--url", "http://192.168.88.10:8080", "--json")
    assert code == 0 and json.loads(told)["line"].startswith("/tool fetch url=")


def test_the_whole_script_never_holds_the_owners_password(added: Callable[..., tuple[int, str]]) -> None:
    code, told = added("router", "script", "gate", "--whole", "--url", "http://192.168.88.10:8080")
    assert code == 0 and "/user add name=edge" in told and ADMINS not in told


BAD_PLACES = (
    "http://box.lan:8080", "192.168.88.10", "http://127.0.0.1:8080", "http://0.0.0.0", 'http://1.2.3.4"; /x',
    "http://1.2.3.4:99999",
)  # fmt: skip


@pytest.mark.parametrize("url", BAD_PLACES)
def test_an_address_of_the_box_that_is_none_is_told(added: Callable[..., tuple[int, str]], url: str) -> None:
    code, told = added("router", "script", "gate", "--url", url)
    assert code == 1 and "http://192.168.88.10:8080" in told


# By the pasted line.


@pytest.fixture
def row(settings: Settings, gate: RouterSimulator) -> Router:
    return setup.add_router(
        now(), name="gate", host="127.0.0.1", port=gate.port, username=ADMIN, password=ADMINS, mode="local"
    )


def fresh(row: Router) -> Router:
    found: Router = Router.get_by_id(row.id)
    return found


def fetched(url: str, host: str = "") -> tuple[int, str]:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(Request(url, headers={"Host": host} if host else {}), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except OSError as reason:
        return int(getattr(reason, "code", 0)), ""


def test_the_script_opens_once_and_makes_the_user_that_the_box_is_to_come_as(row: Router, address: str) -> None:
    token = setup.issue_script(row, now(), "192.168.88.10", 8080)
    status, text = fetched(f"{address}/setup/{token}.rsc")
    told = re.search(r"/user add name=edge [^\n]*password=(\S+)", text)
    assert status == 200 and told is not None and setup.login_to_try(fresh(row), now()) == ("edge", told[1])
    assert ADMINS not in text and "http://192.168.88.10:8080/setup/pages/login.html" in text
    assert fetched(f"{address}/setup/{token}.rsc")[0] == 404


def test_the_old_login_stays_until_the_router_lets_the_new_user_in(
    gate: RouterSimulator, row: Router, work: Callable[[], list[Job]]
) -> None:
    token = setup.issue_script(row, now(), "192.168.88.10", 8080)
    assert adopt_login(fresh(row), now()).username == ADMIN and gate.commands == []  # nobody fetched it
    setup.open_script(token, now())  # a chat shows what is behind the address, and the script is never run
    assert adopt_login(fresh(row), now()).username == ADMIN
    setup.ask_look(row, now())
    work()
    assert fresh(row).setup["looked"]["ok"] and fresh(row).username == ADMIN
    name, password = setup.login_to_try(fresh(row), now())
    gate.accounts.users.plant(name=name, group="full", password=password)  # somebody pastes the line after all
    adopted = adopt_login(fresh(row), now())
    assert (adopted.username, adopted.password) == (fresh(row).username, fresh(row).password) == (name, password)
    assert setup.login_to_try(adopted, now()) is None


def test_a_script_that_may_never_run_is_waited_for_a_day_beside_another_login(row: Router) -> None:
    setup.open_script(setup.issue_script(row, now(), "192.168.88.10", 8080), now())
    assert setup.login_to_try(fresh(row), now() + timedelta(hours=23)) is not None
    assert setup.login_to_try(fresh(row), now() + timedelta(hours=25)) is None
    row.put(username="", password="")  # and without end when that is the only one
    assert setup.login_to_try(fresh(row), now() + timedelta(days=25)) is not None


def test_a_router_that_says_no_has_answered_and_its_other_work_goes_on(
    row: Router, settings: Settings, gate: RouterSimulator
) -> None:
    world = World(Devices(settings), settings)
    gate.unplugged = True
    assert isinstance(look_at_router(world, now(), row.id), Missed)
    gate.unplugged = False
    row.put(password="wrong")
    told = look_at_router(world, now(), row.id)
    assert told is not None and not isinstance(told, Missed)
    told(now())
    assert not fresh(row).setup["looked"]["ok"] and "password" in fresh(row).setup["looked"]["words"]


def test_a_guessed_or_old_or_replaced_address_opens_nothing(row: Router, address: str) -> None:
    first = setup.issue_script(row, now(), "192.168.88.10", 8080)
    second = setup.issue_script(row, now(), "192.168.88.10", 8080)
    for token in (first, "0" * 32, "", row.setup_token, "../etc"):
        assert fetched(f"{address}/setup/{token}.rsc")[0] == 404
    assert setup.open_script(second, now() + timedelta(hours=25)) is None
    assert setup.open_script(second, now()) is None
    assert Router.get_by_id(row.id).username == ADMIN


def test_a_router_of_the_settings_file_keeps_its_user(row: Router) -> None:
    row.put(from_settings=True)
    token = setup.issue_script(row, now(), "192.168.88.10", 8080)
    assert setup.open_script(token, now()) is not None
    assert Router.get_by_id(row.id).username == ADMIN


def test_the_pages_for_a_router_lead_to_where_it_asked(row: Router, address: str) -> None:
    status, text = fetched(f"{address}/setup/pages/login.html")
    assert status == 200 and f"{address}/?mac=$(mac-esc)" in text and "BOX" not in text
    status, text = fetched(f"{address}/setup/pages/api.json")
    assert status == 200 and f'"user-portal-url": "{address}/"' in text
    assert fetched(f"{address}/setup/pages/..%2fplans.toml")[0] == 404


def test_a_page_for_a_router_leads_to_no_address_that_a_request_made_up(row: Router, address: str) -> None:
    page = f"{address}/setup/pages/login.html"
    assert "evil.example" not in fetched(page, "evil.example")[1]
    assert "http://192.168.88.10:8080/" not in fetched(page, "192.168.88.10:8080")[1]
    setup.issue_script(row, now(), "192.168.88.10", 8080)
    assert "http://192.168.88.10:8080/?mac=" in fetched(page, "192.168.88.10:8080")[1]
    setup.issue_script(row, now(), "192.168.88.10", 80)
    assert "http://192.168.88.10/?mac=" in fetched(page, "192.168.88.10")[1]


# By the dashboard, and a worker.


@pytest.fixture
def work(settings: Settings) -> Iterator[Callable[[], list[Job]]]:
    """Does what is due on `provisioning`, as a worker would."""
    devices = Devices(settings)

    def run() -> list[Job]:
        done = []
        while (job := jobs.claim("provisioning", "test", now())) is not None:
            if job.name.startswith("router."):
                tasks.run(job, world=World(devices, settings))
                done.append(Job.get_by_id(job.id))
            else:
                jobs.finish(job, None, now())
        return done

    yield run
    devices.close()


@pytest.fixture
def otieno(settings: Settings) -> Browser:
    return signed_in(settings, "Otieno")


def signed_in(settings: Settings, who: str) -> Browser:
    browser = Browser(build(settings))
    assert browser.sign_in(who).status == 303
    return browser


FORM = {"name": "gate", "host": "127.0.0.1", "username": ADMIN, "password": ADMINS, "mode": "local", "port": "8728"}


@pytest.mark.parametrize(("mode", "changes"), [("local", 15), ("radius", 17)])
def test_the_wizard_adds_looks_shows_does_and_undoes(
    gate: RouterSimulator, otieno: Browser, work: Callable[[], list[Job]], mode: str, changes: int
) -> None:
    answer = otieno.post("/admin/routers/new", {**FORM, "port": str(gate.port), "mode": mode})
    page = answer.header("Location").partition("?")[0]
    assert answer.status == 303 and re.fullmatch(r"/admin/routers/\d+/setup", page)
    assert gate.commands == []  # no web request touches a router
    assert "The box is looking at the router" in otieno.get(page).words
    assert [job.state for job in work()] == ["done"]
    shown = otieno.get(page)
    assert f"To change on the router: {changes}" in shown.words and "Let guests reach the portal" in shown.words
    assert ADMINS not in shown.text
    base = page.removesuffix("/setup")
    assert otieno.post(page, {"approval": shown.field("approval")}).status == 303
    assert "being set up" in otieno.get(page, "did=setting").words
    assert [job.state for job in work()] == ["done"]
    assert "This router is as it should be" in otieno.get(page).words
    row = Router.get()
    assert row.username == "edge" and row.setup["undo"]
    assert otieno.post(f"{base}/undo").status == 400
    assert otieno.post(f"{base}/undo", {"sure": "yes"}).status == 303
    assert [job.state for job in work()] == ["done"]
    assert "changes put back" in otieno.get(page).words
    assert Event.select().where(Event.name == "router.set_up").count() == 1


def test_a_user_of_ours_with_too_many_rights_is_brought_down_to_few(work: Callable[[], list[Job]]) -> None:
    with RouterSimulator(username="edge", password="of-the-settings-file") as garden:
        row = setup.add_router(
            now(), name="garden", host="127.0.0.1", port=garden.port, username="edge", password="of-the-settings-file"
        )
        users = garden.accounts.users
        users.change(users.ids("edge")[0], {"comment": "edge: the box"})
        row.put(from_settings=True)
        setup.ask_look(row, now())
        work()
        setup.ask_setup(row, now(), Router.get().setup["looked"]["approval"], "Otieno")
        assert [job.state for job in work()] == ["done"]
        fresh = Router.get()
        assert fresh.password == "of-the-settings-file" and fresh.setup["looked"]["changes"] == []
        assert garden.accounts.policies_of("edge") == {"read", "write", "api", "test", "reboot"}


def test_what_was_not_shown_is_not_done(
    gate: RouterSimulator, row: Router, otieno: Browser, work: Callable[[], list[Job]]
) -> None:
    setup.ask_look(row, now())
    work()
    approved = otieno.get(f"/admin/routers/{row.id}/setup").field("approval")
    gate.configuration.services.change(gate.configuration.services.ids("api-ssl")[0], {"disabled": "no"})
    setup.ask_setup(row, now(), approved, "Otieno")
    work()
    assert "done" not in Router.get_by_id(row.id).setup
    assert "api-ssl" in otieno.get(f"/admin/routers/{row.id}/setup").words


def test_a_router_that_does_not_answer_is_told_on_the_page(
    gate: RouterSimulator, row: Router, otieno: Browser, work: Callable[[], list[Job]]
) -> None:
    gate.unplugged = True
    setup.ask_look(row, now())
    work()
    assert "could not ask the router" in otieno.get(f"/admin/routers/{row.id}/setup").words


def test_a_mistyped_password_is_mended_on_the_page(row: Router, otieno: Browser, work: Callable[[], list[Job]]) -> None:
    page = f"/admin/routers/{row.id}"
    row.put(password="mistyped")
    setup.ask_look(row, now())
    work()
    shown = otieno.get(f"{page}/setup")
    assert "login and password are right" in shown.words and "mistyped" not in shown.text
    assert otieno.post(f"{page}/login", {"username": "", "password": ADMINS}).status == 400
    assert otieno.post(f"{page}/login", {"username": "a\nb", "password": ADMINS}).status == 400
    assert otieno.post(f"{page}/login", {"username": ADMIN, "password": ADMINS}).status == 303
    work()
    shown = otieno.get(f"{page}/setup", "did=login")
    assert "To change on the router" in shown.words and ADMINS not in shown.text
    assert [event.data["who"] for event in Event.select().where(Event.name == "router.login_changed")] == ["Otieno"]
    row.put(from_settings=True)
    assert "settings file" in otieno.post(f"{page}/login", {"username": ADMIN, "password": "x"}).words
    assert Router.get_by_id(row.id).password == ADMINS


def test_what_was_not_done_is_no_longer_told_once_a_look_finds_nothing_to_change(row: Router, otieno: Browser) -> None:
    page, change = f"/admin/routers/{row.id}/setup", Change("k", "/user", "add", "Make it", {}, {}, {"name": "x"})
    setup.record_done(row.id, [], [(change, "no room")], now())
    setup.record_look(row.id, [], [change], [], now())
    assert "Make it: no room" in otieno.get(page).words
    setup.record_look(row.id, [], [], [], now())
    assert "no room" not in otieno.get(page).words


def test_names_of_a_router_are_escaped_once(row: Router, otieno: Browser) -> None:
    needs = Finding("problem", "interface", "which?", "say")
    setup.record_look(row.id, [needs], [], ["<b>bridge & co</b>"], now())
    text = otieno.get(f"/admin/routers/{row.id}/setup").text
    assert "&lt;b&gt;bridge &amp; co&lt;/b&gt;" in text and "&amp;lt;" not in text and "<b>bridge" not in text


def test_a_router_in_mode_radius_is_refused_beside_postgresql(settings: Settings) -> None:
    told = replace(settings, database=Database(url="postgresql://edge@db.example.org/edge"))
    answer = signed_in(told, "Otieno").post("/admin/routers/new", {**FORM, "mode": "radius"})
    assert answer.status == 400 and "SQLite" in answer.words and Router.select().count() == 0


def test_the_form_of_the_script_takes_where_guests_are(row: Router, otieno: Browser) -> None:
    told = {"url": "http://192.168.88.10:8080", "interface": "bridge-guests"}
    assert otieno.post(f"/admin/routers/{row.id}/script", told).status == 200
    assert Router.get_by_id(row.id).setup["interface"] == "bridge-guests"


def test_the_box_comes_as_the_user_it_could_name(
    gate: RouterSimulator, row: Router, work: Callable[[], list[Job]]
) -> None:
    gate.accounts.users.plant(name="edge", group="full", password="of-the-owner")
    setup.ask_look(row, now())
    work()
    setup.ask_setup(row, now(), Router.get().setup["looked"]["approval"], "Otieno")
    assert [job.state for job in work()] == ["done"]
    fresh = Router.get_by_id(row.id)
    assert fresh.username == "edge-box" and fresh.setup["looked"]["changes"] == []
    assert gate.accounts.policies_of("edge-box") == {"read", "write", "api", "test", "reboot"}
    setup.prepare(row.id)
    assert "pending" not in Router.get_by_id(row.id).setup


def test_a_setup_that_is_cut_short_is_tried_again_and_ends_well(
    gate: RouterSimulator, row: Router, work: Callable[[], list[Job]]
) -> None:
    setup.ask_look(row, now())
    work()
    approved = Router.get_by_id(row.id).setup["looked"]["approval"]
    setup.ask_setup(row, now(), approved, "Otieno")
    gate.hold_answer = "/ip/hotspot/walled-garden/ip/add"

    def cut_then() -> None:
        until = time.monotonic() + 60
        while gate.hold_answer not in gate.commands and time.monotonic() < until:
            time.sleep(0.01)
        gate.cut()

    cutter = threading.Thread(target=cut_then)
    cutter.start()
    assert [job.state for job in work()] == ["scheduled"]
    cutter.join(60)
    gate.hold_answer = ""
    Job.update(state="waiting", run_at=now()).where(Job.name == "router.setup").execute()
    assert [job.state for job in work()] == ["done"]
    kept = Router.get_by_id(row.id).setup
    assert kept["looked"]["changes"] == [] and "garden" in kept["undo"]


def test_only_one_set_up_of_a_router_is_under_way(row: Router) -> None:
    assert setup.ask_look(row, now()) is True
    assert setup.ask_setup(row, now(), "x", "Otieno") is False
    assert setup.ask_undo(row, now(), "Otieno") is False


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", LONG, "at most 64"), ("name", "a\nb", "line breaks"), ("host", "a b;c", "IP address or a host name"),
        ("port", "0", "8728"), ("mode", "both", "who knows the guests"), ("username", "", "Type a login"),
        ("login_url", "javascript:x", "login page looks like"), ("name", "\u202eetag", "invisible"),
    ],
)  # fmt: skip
def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(
    otieno: Browser, field: str, value: str, words: str
) -> None:
    answer = otieno.post("/admin/routers/new", {**FORM, field: value})
    assert answer.status == 400 and words in answer.words
    assert ADMINS not in answer.text and Router.select().count() == 0
    assert 'value="8728"' in answer.text or field == "port"


def test_a_cashier_sets_up_no_router(settings: Settings, row: Router) -> None:
    wanjiku = signed_in(settings, "Wanjiku")
    for path in ("/admin/routers/new", f"/admin/routers/{row.id}/setup"):
        assert wanjiku.get(path).status == 403
    for act in ("look", "setup", "undo", "script", "login"):
        assert wanjiku.post(f"/admin/routers/{row.id}/{act}", {"sure": "yes"}).status == 403


def test_the_line_to_paste_is_made_on_the_page_too(row: Router, otieno: Browser) -> None:
    page = f"/admin/routers/{row.id}/script"
    shown = otieno.post(page, {"url": "http://192.168.88.10:8080"})
    assert "/tool fetch url=" in shown.words and ADMINS not in shown.text
    assert otieno.post(page, {"url": 'http://x"; /y'}).status == 400


def test_pages_of_routers_that_are_not_there_are_not_there(otieno: Browser) -> None:
    assert otieno.get("/admin/routers/999/setup").status == 404
    for act in ("look", "setup", "undo", "script", "login"):
        assert otieno.post(f"/admin/routers/999/{act}", {"sure": "yes"}).status == 404


def test_a_bare_router_asks_where_guests_are(otieno: Browser, work: Callable[[], list[Job]]) -> None:
    with RouterSimulator(username=ADMIN, password=ADMINS, factory=Factory(hotspot=False)) as bare:
        bare.configuration.bridges.plant(name="bridge2")
        bare.configuration.sync_bridges()
        otieno.post("/admin/routers/new", {**FORM, "port": str(bare.port)})
        work()
        page = f"/admin/routers/{Router.get().id}/setup"
        assert "not clear where guests are" in otieno.get(page).words
        otieno.post(page.removesuffix("setup") + "look", {"interface": "bridge"})
        work()
        assert "Make a hotspot for guests" in otieno.get(page).words


def test_an_interface_that_is_no_name_is_told(row: Router) -> None:
    with pytest.raises(BadInput, match="line breaks"):
        setup.ask_look(row, now(), "a\nb")


@needs_chromium
def test_the_wizard_fits_a_phone_and_a_desk(
    browser: Any, address: str, gate: RouterSimulator, row: Router, work: Callable[[], list[Job]]
) -> None:
    gate.device_mode_off = True
    setup.ask_look(row, now())
    work()
    browser.get(address + "/admin/")
    browser.find_element(By.NAME, "name").send_keys("Otieno")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "button.big").click()
    says(browser, "Takings")
    for path in (f"/admin/routers/{row.id}/setup", "/admin/routers/new"):
        for width in (360, 1280):
            set_width(browser, width)
            browser.get(address + path)
            overflow = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
            assert overflow <= 0, (path, width)
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_settings_of_one_listening_address_name_the_box(settings: Settings) -> None:
    told = replace(settings, web=Web(host="192.168.88.10"))
    assert box_address(told, Router(host="192.168.88.1", port=8728)) == "192.168.88.10"
