"""A router that already has users: taken over with what they have left, nothing of theirs lost, and given back."""

import csv
import io
import json
import re
import threading
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from edge.__main__ import edge
from edge.devices.router_takeover import RouterTakeover, mark_of
from edge.domain import access, guest_doctor, takeover
from edge.models import Event, Grant, Job, Placement, Plan, Router
from edge.network_models import Stranger
from edge.simulators.router import RouterSimulator
from edge.values.foreign_users import read_end, read_script, read_zone
from edge.values.router_script import quote
from edge.worker import work_once
from tests.shop import ASHA, pay

NAIROBI = ZoneInfo("Africa/Nairobi")
PHONE, TABLET = "00:11:22:00:00:01", "00:11:22:00:00:02"
SCRIPT = ':put (",{mode},{price},{validity},{selling},,Disable,"); {{:local date [ /system clock get date ]; …}}'
HOSTILE = [
    '"; /system reboot; "', "x" * 300, "مرحبا\u202e", "=cmd|' /C calc'!A0", "$(reboot)", "{a}", "%s", "';--", "a b",
]


def now():
    return datetime.now(UTC)


@pytest.fixture
def sim():
    with RouterSimulator() as simulator:
        simulator.hotspot.profiles.add({
            "name": "1day", "rate-limit": "1M/2M", "shared-users": "2",
            "on-login": SCRIPT.format(mode="rem", price=5000, validity="1d", selling=7000),
        })  # fmt: skip
        simulator.hotspot.profiles.add({"name": "hours", "rate-limit": "512k/1M"})
        yield simulator


@pytest.fixture
def gate(settings, sim):
    return Router.create(name="gate", host="127.0.0.1", port=sim.port, username="edge", password="edge")


@pytest.fixture
def command(settings, gate):
    """`edge router …` on this box; (exit code, what it printed)."""

    def run(*words, stdin=None):
        found = CliRunner().invoke(edge, ["router", *words, "--state", str(settings.state)], input=stdin)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.stdout + found.stderr

    return run


@pytest.fixture
def imported(command):
    """Takes over what the router has; the JSON document."""

    def run(*words):
        code, text = command("import", "gate", "--json", *(words or ("--yes",)))
        assert code == 0, text
        return json.loads(text)

    return run


def wall(then, zone=NAIROBI, old=True):
    local = then.astimezone(zone)
    return f"{local:%b/%d/%Y %H:%M:%S}".lower() if old else f"{local:%Y-%m-%d %H:%M:%S}"


def row_of(sim, name):
    return next(row for row in sim.users() if row["name"] == name)


def fate(document, name):
    return next(entry for entry in document["users"] if entry["username"] == name)


def grant_of(name):
    return Grant.get(Grant.username == name)


# Reading what others wrote


@pytest.mark.parametrize(
    ("comment", "end"),
    [
        ("jan/02/2027 12:00:00", "2027-01-02T09:00:00"), ("2027-01-02 12:00:00", "2027-01-02T09:00:00"),
        ("Jan/02/2027 12:00", "2027-01-02T09:00:00"), (" 2027-01-02T12:00:00 | Asha", "2027-01-02T09:00:00"),
        ("2027-01-02", "2027-01-02T20:59:59"), ("Asha, exp: 2027-01-02 12:00", "2027-01-02T09:00:00"),
        ("valid until jan/02/2027 12:00", "2027-01-02T09:00:00"), ("expires 2027-01-02 12:00", "2027-01-02T09:00:00"),
        ("", None), ("vc-513-01.02.27-morning", None), ("up-777-01.02.27-", None), ("paid 2027-01-02", None),
        ("jan/32/2027 12:00:00", None), ("2027-02-30 10:00", None), ("2027-01-02 25:00:00", None), ("edge:5", None),
        ("0001-01-01 00:00:00", None), ("x" * 5000, None), ("exp" * 2000, None),
    ],
)  # fmt: skip
def test_the_end_in_a_comment_is_read_by_the_routers_wall_clock(comment, end):
    wanted = datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None
    assert read_end(comment, NAIROBI) == wanted


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (SCRIPT.format(mode="rem", price=5000, validity="1d", selling=7000), (86400, 7000)),
        (SCRIPT.format(mode="ntfc", price=20, validity="2h", selling=0), (7200, 20)),
        (':put (",,5000,,,noexp,Disable,")', (None, 5000)), (SCRIPT.format(mode="rem", price=0, validity="", selling=0),
        (None, None)), ("", (None, None)), (":log info hello", (None, None)), (':put (",rem,x,y', (None, None)),
    ],
)  # fmt: skip
def test_validity_and_price_are_read_from_the_script_of_a_profile(script, found):
    assert read_script(script) == found


def test_a_time_zone_is_read_by_its_name_or_its_offset():
    assert read_zone("Africa/Nairobi", "+03:00") == NAIROBI
    assert read_zone("Mars/Olympus", "+03:00") == timezone(timedelta(hours=3))
    for name in ("manual", "", "../../etc/passwd"):
        assert read_zone(name, "-02:30") == timezone(timedelta(hours=-2, minutes=-30))
    assert read_zone("", "what") is UTC


# What is left


def test_a_voucher_with_an_end_keeps_it_by_the_calendar(imported, sim):
    end = (now() + timedelta(hours=5)).replace(microsecond=0)
    sim.add_user("vasha", "vasha", "1day", comment=wall(end))
    document = imported()
    assert (document["taken"], document["kept"]) == (1, 0)
    grant = grant_of("vasha")
    assert (grant.why, grant.state, grant.payment_id, grant.password) == ("import", "live", None, "vasha")
    assert grant.ends_at == end and not grant.metered and grant.starts_at is not None
    assert access.seconds_left(grant, now()) == pytest.approx(5 * 3600, abs=60)
    assert (grant.rate, grant.devices, grant.plan.name, grant.plan.on_sale) == ("1M/2M", 2, "1day", False)
    assert (grant.plan.price_cents, grant.plan.seconds) == (700_000, 86_400)


def test_online_time_that_is_left_is_metered_and_counts_what_runs(imported, sim):
    sim.add_user("hand", "made", "hours", limit_uptime="2h", limit_bytes_total="1000")
    sim.add_host(PHONE, "10.5.50.20")
    assert sim.log_in("hand", "made", PHONE) == ""
    sim.jump(1800)
    sim.log_out(PHONE)
    assert sim.log_in("hand", "made", PHONE) == ""
    sim.traffic(PHONE, 100, 200)
    sim.jump(600)
    imported()
    grant, placement = grant_of("hand"), Placement.get()
    assert grant.metered and grant.ends_at is None
    assert grant.seconds == pytest.approx(7200 - 1800 - 600, abs=30)
    [counted] = placement.counted.values()
    assert (grant.bytes, placement.state, counted[3]) == (700, "there", 300)
    assert counted[2] == pytest.approx(2400, abs=30)
    assert access.left(grant, now()).seconds == grant.seconds  # what was used before is not counted again


def test_the_first_of_end_and_online_time_holds(imported, sim):
    end = (now() + timedelta(hours=5)).replace(microsecond=0)
    sim.add_user("both", "x", "1day", comment=wall(end, old=False), limit_uptime="1h")
    imported()
    grant = grant_of("both")
    assert (grant.metered, grant.seconds, grant.ends_at) == (True, 3600, end)


def test_of_several_limits_of_data_the_least_is_left(imported, sim):
    sim.add_user("data", "x", "hours", limit_bytes_in="500", limit_bytes_out="900", limit_uptime="1h")
    sim.add_user("onlydata", "x", "hours", limit_bytes_total="5000000000")
    imported()
    assert grant_of("data").bytes == 500
    assert (grant_of("onlydata").bytes, grant_of("onlydata").metered) == (5_000_000_000, True)


def test_whoever_has_nothing_left_or_no_end_stays_as_he_is(imported, sim):
    sim.add_user("over", "x", "1day", comment=wall(now() - timedelta(hours=1)))
    sim.add_user("spent", "x", "hours", limit_uptime="1s")
    sim.add_host(PHONE, "10.5.50.20")
    sim.log_in("spent", "x", PHONE)
    sim.jump(2)
    sim.add_user("staff", "x", "default", comment="the owner's own")
    sim.add_user("off", "x", "hours", limit_uptime="1h", disabled="yes")
    sim.add_user("unused", "unused", "1day", comment="vc-513-01.02.27-")
    before = sim.users()
    document = imported()
    assert (document["taken"], document["kept"], Grant.select().count()) == (0, 5, 0)
    assert {fate(document, name)["words"].split(":")[0] for name in ("over", "spent")} == {"has nothing left"}
    assert "no limit" in fate(document, "staff")["words"] and "disabled" in fate(document, "off")["words"]
    assert "not used yet" in fate(document, "unused")["words"]
    assert sim.users() == before


def test_a_voucher_is_taken_over_after_its_first_login(imported, sim):
    sim.add_user("late", "late", "1day", comment="up-513-01.02.27-")
    assert imported()["taken"] == 0
    row_id = row_of(sim, "late")[".id"]
    sim.hotspot.users.change(row_id, {"comment": wall(now() + timedelta(days=1))})  # as the profile's script does
    assert imported()["taken"] == 1


# Passwords


@pytest.mark.parametrize("hidden", [True, False])
def test_hidden_passwords_are_asked_for_and_else_their_users_stay(imported, sim, hidden, monkeypatch):
    sim.add_user("asha", "secret", "hours", limit_uptime="1h")
    if hidden:
        for user in sim.users():
            sim.hotspot.users.change(user[".id"], {"password": "*****"})
    document = imported()
    if hidden:
        assert "does not show" in fate(document, "asha")["words"] and "edge:" not in str(sim.users())
    else:
        assert grant_of("asha").password == "secret"


def test_from_7_21_on_passwords_are_asked_for_by_their_own_word(command, settings):
    with RouterSimulator(version="7.21.3 (stable)") as sim:
        sim.add_user("asha", "secret", "default", limit_uptime="1h")
        Router.update(port=sim.port).execute()
        code, _ = command("import", "gate", "--yes")
    assert code == 0 and grant_of("asha").password == "secret"


def test_a_user_without_a_password_among_others_keeps_none(imported, sim):
    sim.add_user("bare", "", "hours", limit_uptime="1h")
    sim.add_user("asha", "secret", "hours", limit_uptime="1h")
    assert imported()["taken"] == 2
    assert grant_of("bare").password == ""


# Nothing of theirs is lost


def test_only_the_comment_changes_and_nobody_is_interrupted(imported, sim):
    sim.add_user("asha", "secret", "hours", limit_uptime="1h", mac_address=PHONE)
    sim.add_host(PHONE, "10.5.50.20")
    sim.log_in("asha", "secret", PHONE)
    before, online = row_of(sim, "asha"), [row[".id"] for row in sim.active()]
    sim.commands.clear()
    imported()
    after = row_of(sim, "asha")
    assert after == before | {"comment": mark_of(grant_of("asha").id)}
    assert [row[".id"] for row in sim.active()] == online
    assert {path.rpartition("/")[2] for path in sim.commands} == {"login", "print", "set"}
    assert grant_of("asha").mac == PHONE


def test_the_box_then_keeps_them_right_like_its_own(imported, sim, settings, gate):
    end = now() + timedelta(hours=5)
    sim.add_user("asha", "secret", "1day", comment=wall(end))
    imported()
    for _ in range(2):
        guest_doctor.cure(guest_doctor.find("asha"), "check", gate.id, now())
        work_once(settings, ["router-checks", "provisioning"])
    row = row_of(sim, "asha")
    assert (row["comment"], row["password"]) == (mark_of(grant_of("asha").id), "secret")
    assert row["profile"].startswith(f"edge-plan-{grant_of('asha').plan_id:05d}") and "limit-uptime" in row
    sim.reset()
    guest_doctor.cure(guest_doctor.find("asha"), "check", gate.id, now())
    work_once(settings, ["router-checks", "provisioning"])
    assert row_of(sim, "asha")["password"] == "secret"
    assert not Event.select().where(Event.name == "provisioning.failed").exists()
    access.end(grant_of("asha"), "staff", now())
    work_once(settings, ["provisioning"])
    assert sim.users() == []


def test_a_second_import_finds_nothing_to_do_and_writes_nothing(imported, sim):
    sim.add_user("asha", "secret", "hours", limit_uptime="1h")
    assert imported()["taken"] == 1
    sim.commands.clear()
    again = imported()
    assert (again["taken"], again["kept"], again["ours"]) == (0, 0, 1)
    assert not [path for path in sim.commands if path.endswith(("set", "add", "remove"))]
    assert (Grant.select().count(), Plan.select().where(~Plan.on_sale).count()) == (1, 1)


def test_a_dry_run_changes_nothing_anywhere(command, sim):
    sim.add_user("asha", "secret", "hours", limit_uptime="1h")
    sim.add_user("over", "x", "hours", comment=wall(now() - timedelta(hours=1)))
    before = sim.users()
    code, text = command("import", "gate", "--dry-run")
    assert code == 0 and sim.users() == before
    assert re.search(r"take over +asha +hours +1 hour online", text) and "has nothing left" in text
    assert "1 users would be taken over, 1 left as they are" in text
    assert (Grant.select().count(), Stranger.select().count(), Plan.select().count()) == (0, 0, 1)


def test_the_owner_is_asked_and_may_say_no(command, sim):
    sim.add_user("asha", "secret", "hours", limit_uptime="1h")
    code, text = command("import", "gate", stdin="n\n")
    assert code == 0 and "Take over 1 users of router gate?" in text
    assert Grant.select().count() == 0
    assert command("import", "gate", stdin="y\n")[0] == 0 and Grant.select().count() == 1
    assert command("import", "gate", "--json")[0] == 2


def test_names_and_marks_of_others_are_left_alone(imported, sim, gate):
    payment = pay(ASHA, now())
    sim.add_user(Grant.get(Grant.payment == payment).username, "x", "hours", limit_uptime="1h")
    sim.add_user("elsewhere", "x", "hours", limit_uptime="1h", comment="edge:99999")
    sim.add_user(TABLET, "x", "hours", limit_uptime="1h")
    sim.add_user("twin", "x", "hours", limit_uptime="1h", server="hotspot1")
    sim.hotspot.servers.add({"name": "hotspot2", "interface": "ether2"})
    sim.add_user("twin", "x", "hours", limit_uptime="1h", server="hotspot2")
    before = sim.users()
    document = imported()
    assert (document["taken"], document["kept"]) == (0, 5) and sim.users() == before
    assert "name of a guest" in document["users"][0]["words"]


def test_names_that_differ_in_capitals_alone_stay_for_radius_knows_no_difference(imported, sim, gate):
    payment = pay(ASHA, now())
    code = Grant.get(Grant.payment == payment).username
    for name in (code.lower(), "baba", "Baba", "Zoë", "ZOË", "zoë", "juma"):
        sim.add_user(name, "x", "hours", limit_uptime="1h")
    before = [row for row in sim.users() if row["name"] not in ("juma", "ZOË")]
    document = imported()
    kept = {entry["username"] for entry in document["users"] if "small and capital" in entry["words"]}
    assert kept == {code.lower(), "baba", "Baba", "Zoë", "zoë"}
    assert [row for row in sim.users() if row["name"] not in ("juma", "ZOË")] == before
    sim.add_user("JUMA", "x", "hours", limit_uptime="1h")
    again = imported()
    assert again["taken"] == 0 and "small and capital" in fate(again, "JUMA")["words"]


def test_a_guests_number_stands_whole_in_no_event(imported, sim, gate):
    sim.add_user("0712345678", "x", "hours", limit_uptime="1h")
    imported()
    access.end(grant_of("0712345678"), "staff", now())
    told = [str(event.data) for event in Event.select()]
    assert told and not [words for words in told if "712345678" in words]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_taken_over_as_the_text_they_are(imported, sim, text):
    sim.hotspot.profiles.add({"name": text, "rate-limit": "1M", "on-login": text})
    sim.add_user(text, text, text, limit_uptime="1h", comment=text)
    assert imported()["taken"] == 1
    grant = grant_of(text)
    assert (grant.password, row_of(sim, text)["comment"], Stranger.get().comment) == (text, mark_of(grant.id), text)
    assert len(grant.plan.name) <= 60 and grant.plan.name.isprintable()


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\x00", "a\x1bb"])
def test_names_that_could_mean_more_than_they_say_stay_where_they_are(imported, sim, command, text):
    sim.add_user(text, "x", "hours", limit_uptime="1h", comment=text)
    assert "control characters" in imported()["users"][0]["words"]
    shown = command("import", "gate", "--dry-run")[1]
    assert text not in shown and "\x1b" not in shown


def test_a_guest_whose_name_is_his_number_is_found_by_it(imported, sim):
    sim.add_user("0712345678", "x", "hours", limit_uptime="1h")
    imported()
    assert guest_doctor.find(ASHA).grant == grant_of("0712345678")


# Plans


def test_a_plan_of_the_same_name_is_used_only_when_it_gives_the_same(imported, sim, gate):
    same = Plan.create(name="Hours", price_cents=1000, seconds=3600, rate="512k/1M", devices=1)
    Plan.create(name="1day", price_cents=5000, seconds=86_400, rate="9M/9M", devices=1)
    sim.add_user("asha", "x", "hours", limit_uptime="1h")
    sim.add_user("juma", "x", "1day", comment=wall(now() + timedelta(hours=1)))
    sim.add_user("odd", "x", "default", limit_uptime="1h")
    imported()
    assert grant_of("asha").plan == same
    assert (grant_of("juma").plan.name, grant_of("juma").plan.rate) == ("1day (gate)", "1M/2M")
    assert not grant_of("odd").plan.on_sale


def test_a_rate_that_is_none_and_unlimited_devices_are_read(imported, sim):
    sim.hotspot.profiles.add({"name": "wild", "rate-limit": "fast as can be", "shared-users": "unlimited"})
    sim.add_user("asha", "x", "wild", limit_uptime="1h")
    imported()
    assert (grant_of("asha").rate, grant_of("asha").devices) == ("", 100)


# Cut off in the middle


def begun(gate, sim, mark):
    device = RouterTakeover("127.0.0.1", sim.port, "edge", "edge")
    proposals = takeover.propose(gate, device.scan(), now())
    ids = takeover.begin(gate, proposals, now())
    if mark:
        comments = [(one.user.name, one.user.comment, mark_of(ids[one.user.name])) for one in proposals]
        assert len(list(device.mark(comments))) == len(comments)
    device.close()
    return ids


@pytest.mark.parametrize("mark", [False, True])
def test_what_a_run_left_unfinished_the_next_one_finishes(imported, sim, gate, settings, mark):
    end = (now() + timedelta(hours=5)).replace(microsecond=0)
    sim.add_user("asha", "secret", "1day", comment=wall(end))
    sim.add_user("juma", "secret", "hours", limit_uptime="1h")
    ids = begun(gate, sim, mark)
    guest_doctor.cure(guest_doctor.Subject("x"), "check", gate.id, now())  # the box looks meanwhile
    work_once(settings, ["router-checks", "provisioning"])
    assert len(sim.users()) == 2 and not Job.select().where(Job.name.in_(("grant.place", "grant.withdraw"))).exists()
    assert imported()["taken"] == 2
    assert {grant.username: grant.id for grant in Grant.select()} == ids
    assert (grant_of("asha").ends_at, grant_of("juma").seconds) == (end, 3600)
    assert {grant.state for grant in Grant.select()} == {"live"}
    assert {row.comment for row in Stranger.select()} == {wall(end), ""}


def test_a_router_that_goes_away_in_the_middle_loses_nobody(command, sim, gate):
    for number in range(60):
        sim.add_user(f"guest{number:02}", "x", "hours", limit_uptime="1h")
    sim.delay_s = 0.002
    enough = threading.Event()

    def pull_the_plug():
        while not enough.is_set():
            if sum(user.get("comment", "").startswith("edge:") for user in sim.users()) >= 20:
                sim.unplugged = True
                return
            enough.wait(0.005)

    plug = threading.Thread(target=pull_the_plug)
    plug.start()
    code, text = command("import", "gate", "--yes")
    enough.set()
    plug.join(30)
    assert code == 1 and "repeat the import to go on" in text
    sim.unplugged, sim.delay_s = False, 0.0
    done = Grant.select().where(Grant.state == "live").count()
    assert 0 < done < 60
    code, text = command("import", "gate", "--yes")
    assert code == 0 and f"{60 - done} users taken over" in text
    assert Grant.select().where(Grant.state == "live").count() == 60
    assert {user["comment"] for user in sim.users()} == {mark_of(grant.id) for grant in Grant.select()}


def test_a_router_that_asks_radius_is_not_imported_from(command, sim, gate):
    gate.put(mode="radius", radius_secret="at-least-8")
    code, text = command("import", "gate", "--yes")
    assert code == 1 and "mode local" in text


def test_a_wrong_clock_on_the_router_is_told_first(imported, sim):
    sim.set_clock(now() - timedelta(hours=30))
    sim.add_user("asha", "x", "hours", limit_uptime="1h")
    assert "wrong by 30 h" in imported("--dry-run")["warnings"][0]


# The way back


def test_the_script_brings_everybody_with_what_he_has_left(command, imported, sim, gate):
    end = (now() + timedelta(hours=5)).replace(microsecond=0)
    sim.add_user("asha", 'se"cr$et', "1day", comment=wall(end))
    sim.add_user("juma", "x", "hours", limit_uptime="1h", comment="Juma of the shop")
    imported()
    code, text = command("export", "gate")
    assert code == 0
    asha, juma = (next(line for line in text.splitlines() if f'name="{name}"' in line) for name in ("asha", "juma"))
    assert 'password="se\\22cr\\24et" profile="1day"' in asha and f'comment="{wall(end, old=False)}"' in asha
    assert re.search(r"limit-uptime=3[56]\d\d\ds", asha)  # five hours, for two devices
    assert 'limit-uptime=3600s comment="Juma of the shop"' in juma
    assert '/ip hotspot user profile add name="1day" shared-users=2 rate-limit="1M/2M"' in text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_script_holds_only_plain_letters_and_every_string_ends_where_it_should(text, command, imported, sim):
    sim.add_user(text, text, "hours", limit_uptime="1h", comment=text)
    imported()
    script = command("export", "gate")[1]
    assert all(line.isascii() and line.isprintable() for line in script.splitlines()[2:])
    assert quote(text) in script
    told = re.sub(r"\\([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), quote(text)[1:-1])
    assert told.encode("latin-1").decode() == text
    assert not re.search(r'["$?]', re.sub(r"\\[0-9A-F]{2}", "", quote(text)[1:-1]))


def test_the_table_is_safe_to_open_in_a_spreadsheet(command, imported, sim):
    for text in ("=1+1", "+254", "-1", "@x", "|x", "plain, with comma", 'a"b'):
        sim.add_user(text, text, "hours", limit_uptime="1h", comment=text)
    imported()
    rows = list(csv.reader(io.StringIO(command("export", "gate", "--format", "csv")[1])))
    assert rows[0][:2] == ["name", "password"] and len(rows) == 8
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "|")]
    assert {row[0] for row in rows[1:]} >= {"'=1+1", "plain, with comma", 'a"b'}


def test_guests_of_the_boxs_own_leave_too_and_those_whose_time_is_over_do_not(command, settings, gate):
    kept, over = pay(ASHA, now()), pay("254722000111", now(), receipt="TCK2")
    access.end(Grant.get(Grant.payment == over), "staff", now())
    document = json.loads(command("export", "gate", "--json")[1])
    assert document["users"] == 1
    assert Grant.get(Grant.payment == kept).username in document["text"]
