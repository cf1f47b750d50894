"""Settings are read once, checked together, and every fault is told with its cure."""

import tomllib

import pytest

from edge.settings import SECTIONS, BadSettings, load
from edge.texts import data_folder


@pytest.fixture
def read(tmp_path):
    """What the box makes of this file and this environment."""

    def run(text="", **environ):
        path = tmp_path / "edge.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return load(tmp_path, None, environ)

    return run


def faults(read, text="", **environ):
    with pytest.raises(BadSettings) as told:
        read(text, **environ)
    return str(told.value).splitlines()


def test_a_new_box_needs_no_file(tmp_path):
    told = load(tmp_path, None, {})
    assert (told.mpesa.mode, told.web.port, told.queue.mode) == ("simulated", 8080, "queue")
    assert told.database_path == tmp_path / "edge.db"


def test_the_file_is_read_and_the_environment_wins(read):
    told = read(
        '[web]\nport = 9000\n[mpesa]\nshortcode = 174379\npoll_s = [5, 10]\n[queue.workers]\nsms = 2\n',
        EDGE_WEB__PORT="9001", EDGE_MPESA__CALLBACK_ALLOW="196.201.214.0/24, 196.201.213.0/24", EDGE_STATE="/x",
        EDGE_RADIUS__ENABLED="no", EDGE_MPESA__TIMEOUT_S="2.5",
    )  # fmt: skip
    assert (told.web.port, told.mpesa.shortcode, told.mpesa.poll_s) == (9001, "174379", (5, 10))
    assert told.mpesa.callback_allow == ("196.201.214.0/24", "196.201.213.0/24")
    assert (told.radius.enabled, told.mpesa.timeout_s, told.queue.workers) == (False, 2.5, {"sms": 2})


def test_secrets_may_stand_in_files_of_their_own(read, tmp_path):
    (tmp_path / "key").write_text("s3cret\n")
    assert read(f'[mpesa]\nconsumer_secret_file = "{tmp_path}/key"').mpesa.consumer_secret == "s3cret"
    assert read(EDGE_MODEM__PIN_FILE=str(tmp_path / "key")).modem.pin == "s3cret"
    [fault] = faults(read, f'[mpesa]\npasskey_file = "{tmp_path}/nowhere"')
    assert "No such file" in fault and "passkey_file" in fault


def test_all_faults_are_told_at_once(read):
    told = faults(
        read,
        '[web]\nport = "http"\ncolour = "blue"\n[wbe]\nx = 1\n[mpesa]\nmode = "live"\ntype = "till"\n'
        '[[routers]]\nname = "gate"\nmode = "radius"\n[[routers]]\nname = "gate"\nhost = "10.0.0.1"\n',
    )
    text = "\n".join(told)
    for words in (
        "[web] port: 'http' is not a whole number", "[web] colour: there is no such key",
        "[wbe]: there is no such section", "[mpesa] consumer_key: needed in mode 'live'", "[mpesa] passkey: needed",
        "[mpesa] till: name the till number",
        "every router needs a name of its own", "gate host: the router's address is missing", "gate radius_secret",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    "text, fault",
    [
        ("[web]\nport = 70000", "port"),
        ("[web]\nport = 80.5", "80.5 is not a whole number"),
        ("[web]\nport = true", "True is not a whole number"),
        ('[web]\nthreads = ["a"]', "is not a whole number"),
        ('[web]\npublic_url = "pay.example.org"', "public_url"),
        ('[web]\npublic_url = "http://[broken"', "public_url"),
        ('[web]\npublic_url = "http://a:99999"', "public_url"),
        ('[web]\nadmin_networks = ["192.168.88.x"]', "admin_networks: '192.168.88.x' is not a network"),
        ("[web]\nadmin_networks = 7", "is not a list"),
        ('[mpesa]\ncallback_allow = ["nonsense"]', "callback_allow"),
        ("[mpesa]\npoll_s = [10, 10]", "poll_s"),
        ("[mpesa]\npoll_s = [0, 10]", "poll_s"),
        ("[mpesa]\npoll_s = []", "poll_s"),
        ("[mpesa]\nqueries_per_minute = 0", "queries_per_minute"),
        ('[mpesa]\nmode = "test"', "mode"),
        ('[mpesa]\nbase_url = "ftp://x"', "base_url"),
        ('[database]\nurl = "postgresql://x"', "write it like postgresql://edge:PASSWORD@db.example.org/edge"),
        ('[database]\nurl = "postgresql://x:port/edge"', "write it like postgresql://"),
        ('[database]\nurl = "mysql://x/edge"', "write sqlite:///edge.db, or postgresql://"),
        ('[queue]\nurl = "redis://x"', 'need [database] url = "postgresql://…"'),
        ('[queue]\nurl = "amqp://x"', "write it like redis://"),
        (
            '[database]\nurl = "postgresql://x/edge"\n[[routers]]\nname = "gate"\nhost = "10.0.0.1"\n'
            'mode = "radius"\nradius_secret = "at-least-8"',
            'beside PostgreSQL use "local"',
        ),
        ('[queue]\nworkers = "many"', "workers: 'many' is not a table"),
        ('[queue.workers]\nsms = "two"', "is not a table"),
        ('[box]\ntimezone = "Nairobi"', "timezone"),
        ('[box]\ntimezone = "../../etc/passwd"', "timezone"),
        ('[box]\nname = ["x"]', "is not a text"),
        ('box = "x"', "write it as a section"),
        ('routers = "gate"', "write each as [[routers]]"),
        ('routers = ["gate"]', "write it as a section"),
        ("[web", "not readable as TOML"),
    ],
)
def test_a_fault_is_told_with_its_cure(read, text, fault):
    assert any(fault in line for line in faults(read, text))


def test_a_misspelt_section_in_the_environment_is_told_too(read):
    assert "no section [mpsea]" in faults(read, EDGE_MPSEA__MODE="live")[0]
    read(EDGE_STATE="/x", EDGE_CONFIG="/y", EDGE_FOO="z", OTHER__THING="1")


def test_a_secret_of_the_wrong_kind_is_not_printed(read):
    [fault] = faults(read, '[mpesa]\npasskey = ["bfb279f9"]')
    assert "bfb279f9" not in fault and "passkey" in fault


@pytest.mark.parametrize("mode, allowed", [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_a_file_that_others_can_read_is_refused_with_the_cure(tmp_path, mode, allowed):
    path = tmp_path / "edge.toml"
    path.write_text("")
    path.chmod(mode)
    if allowed:
        load(tmp_path, None, {})
    else:
        with pytest.raises(BadSettings, match=f"chmod 600 {path}"):
            load(tmp_path, None, {})


def test_a_file_that_was_named_must_be_there_and_be_a_file(tmp_path):
    with pytest.raises(BadSettings, match="no such file"):
        load(tmp_path, tmp_path / "other.toml", {})
    tmp_path.chmod(0o700)
    with pytest.raises(BadSettings, match="must be a file"):
        load(tmp_path, tmp_path, {})


def test_the_example_shows_every_key_with_its_default(tmp_path):
    document = tomllib.loads((data_folder() / "edge.example.toml").read_text(encoding="utf-8"))
    assert set(document) - {"routers"} <= set(SECTIONS)
    (tmp_path / "edge.toml").write_text((data_folder() / "edge.example.toml").read_text(encoding="utf-8"))
    (tmp_path / "edge.toml").chmod(0o600)
    load(tmp_path, None, {})


def test_many_machines_name_a_server_and_perhaps_redis(read):
    told = read('[database]\nurl = "postgresql://edge:secret@db.test/edge"\n[queue]\nurl = "redis://10.0.0.5/0"')
    assert (told.database.is_file, told.database_place) == (False, "postgresql://edge:secret@db.test/edge")
    assert told.delivery_url == "redis://10.0.0.5/0"
    alone = read('[database]\nurl = "postgresql:///edge?host=/run/postgresql"')
    assert alone.delivery_url == alone.database_place == "postgresql:///edge?host=/run/postgresql"


def test_one_machine_has_a_file_and_rings_no_farther(read, tmp_path):
    told = read("")
    assert (told.database.is_file, told.database_place) == (True, told.state / "edge.db")
    assert told.delivery_url.startswith("sqlite:")
