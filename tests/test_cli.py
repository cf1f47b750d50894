"""The `edge` command: which box is meant, what is printed for people and for programs, and how it ends."""

import json
import stat
import tomllib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge import database, demo, jobs, settings
from edge.__main__ import edge
from edge.cli.command import CHECKOUT, Asked
from edge.domain import payments, people
from edge.models import Job
from edge.simulators.router import RouterSimulator
from edge.texts import data_folder
from edge.values.stk import PushAnswer

PASSWORD = "a password of Njeri's own"
NOUNS = (
    "init", "run", "web", "worker", "demo", "simulate", "doctor", "router", "plan", "payment", "queue", "workers",
    "staff",
)  # fmt: skip


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs `edge` on a box of its own; (exit code, standard output, standard error)."""
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words, state=tmp_path / "box", stdin=""):
        found = CliRunner().invoke(edge, [*words, "--state", str(state)] if state else list(words), input=stdin)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.stdout, found.stderr

    return run


@pytest.fixture
def shop(command):
    """A box that was made: its command."""
    code, _, words = command("init", "--owner", "njeri", "--password-stdin", stdin=PASSWORD + "\n")
    assert code == 0, words
    return command


def document(answer):
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def test_every_command_has_help(command):
    for words in [(), *[(noun,) for noun in NOUNS], ("router", "add"), ("payment", "show"), ("queue", "work")]:
        code, out, _ = command(*words, "--help", state=None)
        assert code == 0 and "Usage: edge" in out


def test_a_new_box_has_its_owner_and_an_hour_for_twenty_shillings(command, tmp_path):
    code, out, _ = command("init", "--owner", "njeri", "--password-stdin", stdin=PASSWORD + "\n")
    assert code == 0 and "njeri" in out and "1 hour, KSh 20" in out
    state = tmp_path / "box"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "edge.db").stat().st_mode) == 0o600


def test_making_it_again_leaves_everything_alone(shop):
    told = document(shop("init", "--json"))
    assert (told["owner"], told["plans"]) == ("njeri", 4)


@pytest.mark.parametrize("words", [("--owner", "njeri"), ()])
def test_without_a_person_or_a_password_no_owner_is_made(command, words):
    code, _, err = command("init", *words)
    assert code == 1 and "--password-stdin" in err


def test_a_weak_password_is_told(command):
    code, _, err = command("init", "--owner", "njeri", "--password-stdin", stdin="short\n")
    assert code == 1 and "at least" in err


@pytest.mark.parametrize("words", [("run",), ("plan", "list"), ("payment", "list"), ("queue", "status")])
def test_before_there_is_a_box_it_says_how_to_make_one(command, words):
    code, _, err = command(*words)
    assert code == 1 and "edge init" in err


def test_a_fault_is_json_too_where_json_was_asked_for(command):
    code, out, _ = command("plan", "list", "--json")
    assert code == 1 and "edge init" in json.loads(out)["error"]


WRONG = [("brew",), ("plan",), ("payment", "show"), ("doctor", "--since", "x")]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_use_ends_with_2(shop, words):
    assert shop(*words)[0] == 2


def test_the_box_may_be_named_before_or_after_the_verb_or_by_the_environment(shop, command, tmp_path, monkeypatch):
    state = str(tmp_path / "box")
    one = document(command("--state", state, "plan", "list", "--json", state=None))
    monkeypatch.setenv("EDGE_STATE", state)
    assert one == document(command("plan", "list", "--json", state=None))
    assert [entry["price"] for entry in one["packages"]] == [20, 50, 100, 500]


def test_in_a_checkout_the_box_lies_in_var(monkeypatch):
    monkeypatch.delenv("EDGE_STATE", raising=False)
    assert Asked().state_folder() == CHECKOUT / "var"


def test_settings_that_others_can_read_are_refused_with_the_cure(shop, tmp_path):
    config = tmp_path / "box" / "edge.toml"
    config.write_text('[box]\nname = "Njeri"\n')
    config.chmod(0o644)
    code, _, err = shop("plan", "list")
    assert code == 1 and f"chmod 600 {config}" in err


def test_all_faults_of_the_settings_are_told_together(shop, tmp_path):
    config = tmp_path / "other.toml"
    config.write_text('[web]\nport = "many"\nprot = 1\n[box]\nlanguage = "xx"\n')
    config.chmod(0o600)
    code, _, err = shop("plan", "list", "--config", str(config))
    assert code == 1 and "port" in err and "prot" in err


def test_the_example_settings_are_the_defaults(tmp_path):
    told = tomllib.loads((data_folder() / "edge.example.toml").read_text())
    defaults = settings.load(tmp_path, environ={})
    for section, keys in told.items():
        expected = asdict(getattr(defaults, section))
        if section == "queue":  # each queue's own numbers stand beside its name in the contract
            for part in ("workers", "timeout_s", "tries", "backoff_s"):
                del expected[part]
                told_of = {name: tuple(v) if isinstance(v, list) else v for name, v in keys.pop(part).items()}
                assert told_of == {name: getattr(queue, part) for name, queue in jobs.QUEUES.items()}
        assert as_tuples(keys) == expected, section


def as_tuples(told):
    """TOML has lists where the settings have tuples, in sections within sections too."""
    if isinstance(told, dict):
        return {key: as_tuples(value) for key, value in told.items()}
    return tuple(told) if isinstance(told, list) else told


def test_routers_come_and_go(shop):
    with RouterSimulator() as gate:
        words = ("router", "add", "gate", "127.0.0.1", "--port", str(gate.port), "--password-stdin")
        assert document(shop(*words, "--json", stdin="edge\n"))["name"] == "gate"
        [listed] = document(shop("router", "list", "--json"))["routers"]
        assert (listed["name"], listed["mode"], listed["state"]) == ("gate", "local", "unknown")
        assert "password" not in listed
        [checked] = document(shop("router", "check", "gate", "--json"))["routers"]
        gate.add_user("the-owner's-own", comment="by hand")
        synced = document(shop("router", "sync", "gate", "--json"))
        assert (synced["mended"], synced["strangers"]) == (0, 1)
        assert "has everybody as it should" in shop("router", "sync", "gate")[1]
        assert checked["ok"] and checked["version"] == "7.19.6 (stable)"
        gate.unplugged = True
        code, out, _ = shop("router", "check")
        assert code == 1 and "PROBLEM gate" in out
    code, _, err = shop(*words, stdin="edge\n")
    assert code == 1 and "named gate already" in err
    assert shop("router", "remove", "gate")[0] == 0
    assert shop("router", "check", "gate")[0] == 1


def test_a_radius_router_gets_a_secret_and_needs_an_address(shop):
    code, _, err = shop("router", "add", "garden", "garden.lan", "--mode", "radius", "--password", "x")
    assert code == 1 and "address" in err
    code, out, _ = shop("router", "add", "garden", "192.168.88.1", "--mode", "radius", "--password", "x")
    assert code == 0 and "RADIUS secret" in out


def test_routers_of_the_settings_file_are_its_own(shop, tmp_path):
    config = tmp_path / "box" / "edge.toml"
    config.touch(mode=0o600)
    config.write_text('[[routers]]\nname = "gate"\nhost = "192.168.88.1"\nusername = "edge"\npassword = "x"\n')
    [listed] = document(shop("router", "list", "--json"))["routers"]
    assert listed["from_settings"]
    code, _, err = shop("router", "remove", "gate")
    assert code == 1 and "settings file" in err
    config.write_text("")
    [listed] = document(shop("router", "list", "--json"))["routers"]
    assert not listed["from_settings"]


def sell(state: Path, now):
    database.open_database(state / "edge.db")
    payment, _ = payments.initiate(payments.Wish(1, "254712345678", "AA:BB:CC:DD:EE:FF"), now)
    payments.record_prompted(payment.id, PushAnswer("ws_CO_1", "m"), (10, 20), now)
    database.close_database()
    return payment


def test_a_payment_is_found_by_number_phone_and_token(shop, tmp_path, now):
    payment = sell(tmp_path / "box", now)
    [listed] = document(shop("payment", "list", "--json"))["payments"]
    assert (listed["id"], listed["status"], listed["phone_number"]) == (1, "prompted", "+254712345678")
    for which in ("1", "0712345678", payment.token):
        assert document(shop("payment", "show", which, "--json"))["payment_id"] == payment.token
    code, out, _ = shop("payment", "show", "1")
    assert code == 0 and "0712 345 678" in out and "The guest chose 1 hour" in out
    code, _, err = shop("payment", "show", "0799999999")
    assert code == 1 and "no payment" in err


def test_a_recheck_is_promised_to_the_workers(shop, tmp_path, now):
    sell(tmp_path / "box", now)
    assert shop("payment", "recheck", "1")[0] == 0
    database.open_database(tmp_path / "box" / "edge.db")
    assert Job.select().where(Job.name == "payment.ask", Job.state == "waiting").count() == 1
    database.close_database()


def test_work_once_does_what_is_due_and_failed_work_is_tried_again(shop, tmp_path, now):
    database.open_database(tmp_path / "box" / "edge.db")
    from_nowhere = Job.create(
        queue="default", name="tea.brew", run_at=now, tries=1, timeout_s=60, created_at=now
    )  # fmt: skip
    database.close_database()
    assert document(shop("queue", "work", "--once", "--queue", "default", "--json")) == {"done": 1}
    [failed] = document(shop("queue", "failed", "--json"))["jobs"]
    assert (failed["id"], failed["name"]) == (from_nowhere.id, "tea.brew") and "tea.brew" in failed["error"]
    assert document(shop("queue", "retry", str(failed["id"]), "--json")) == {"retried": 1}
    assert document(shop("queue", "retry", "all", "--json")) == {"retried": 0}
    assert shop("queue", "retry", "999")[0] == 1
    names = [entry["name"] for entry in document(shop("queue", "status", "--json"))["queues"]]
    assert names[:3] == ["payments", "provisioning", "sms"]


def test_the_doctor_names_what_is_wrong_and_the_cure(shop, tmp_path):
    config = tmp_path / "box" / "edge.toml"
    config.touch(mode=0o600)
    config.write_text(f'[web]\nport = {demo.free_port()}\n')
    code, out, _ = shop("doctor", "--json")
    told = {finding["part"]: finding for finding in json.loads(out)["findings"]}
    assert code == 1 and not json.loads(out)["healthy"]
    assert (told["database"]["state"], told["disk"]["state"]) == ("ok", "ok")
    assert "edge run" in told["web"]["cure"] and "edge router add" in told["routers"]["cure"]
    code, out, _ = shop("doctor")
    assert code == 1 and "PROBLEM  web" in out and "cure:" in out


def test_the_doctor_begins_with_the_settings(shop, tmp_path):
    (tmp_path / "box" / "edge.toml").write_text("no toml")
    code, out, _ = shop("doctor")
    assert code == 1 and "settings" in out and "TOML" in out




def test_staff_come_with_roles_passwords_and_tokens(shop, tmp_path):
    added = shop("staff", "add", "juma", "--role", "cashier", "--password-stdin", stdin="three words here\n")
    assert added[0] == 0
    assert document(shop("staff", "list", "--json"))["staff"] == [
        {"name": "njeri", "role": "owner", "email": ""}, {"name": "juma", "role": "cashier", "email": ""},
    ]  # fmt: skip
    assert shop("staff", "password", "juma", "--password-stdin", stdin="three other words\n")[0] == 0
    token = document(shop("staff", "token", "juma", "--label", "till", "--json"))["token"]
    database.open_database(tmp_path / "box" / "edge.db")
    assert people.session_of_bearer(token, datetime.now(UTC)).staff.name == "juma"
    assert people.sign_in("juma", "three other words", datetime.now(UTC), "127.0.0.1")
    database.close_database()
    code, _, err = shop("staff", "token", "asha")
    assert code == 1 and "Nobody is called asha" in err


def test_a_box_has_one_owner_who_may_get_a_new_password(shop, tmp_path):
    code, _, err = shop("init", "--owner", "bob", "--password-stdin", stdin="a password of Bob's own\n")
    assert code == 1 and "njeri" in err
    assert shop("init", "--owner", "njeri", "--password-stdin", stdin="another password now\n")[0] == 0
    database.open_database(tmp_path / "box" / "edge.db")
    assert people.sign_in("njeri", "another password now", datetime.now(UTC), "127.0.0.1")
    database.close_database()
