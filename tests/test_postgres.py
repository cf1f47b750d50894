"""The same code on PostgreSQL: one writer at a time of all machines, and nothing is called kept that is not."""

import base64
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import peewee
import pytest

from edge import boot, database, jobs, postgres, schema
from edge.database import db, transaction
from edge.domain import access, campaign_lists, campaigns, clock, contacts, credits, messages, routing
from edge.errors import BadInput, NotDurable
from edge.models import Check, Event, Grant, Inbox, Job, Payment, Plan, Staff, Throttle
from edge.sealing import DATA, INDEX, seal
from edge.settings import Settings
from edge.settings_sections import Database, Sms
from tests.conftest import NOW, Box
from tests.servers import Postgres, needs_postgres

pytestmark = needs_postgres
ROOT = Path(__file__).resolve().parent.parent
numbers = itertools.count()


@pytest.fixture(scope="module")
def server():
    with Postgres() as found:
        yield found


@pytest.fixture
def box(server, tmp_path):
    """The same small shop as elsewhere, in a new database of a real server."""
    url = server.make(f"shop{next(numbers)}")
    database.open_database(url)
    schema.migrate(url)
    Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600, rate="2M/5M")
    clock.beat(NOW, synchronised=True)
    yield Box(tmp_path)
    database.close_database()


def note(name):
    Event.create(name=name, at=0.0)
    return name


def names(server):
    """What a stranger sees: committed rows."""
    words = "SELECT name FROM events WHERE name NOT LIKE 'clock%' ORDER BY id"
    return server.ask(words, db.database.rpartition("/")[2]).split()


def cut_off(server):
    """The server ends every connection but the one that asks it to, as a restart does."""
    server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'edge'")


# What the tests of the money and of the ledger say of SQLite, they say of PostgreSQL too.


@pytest.fixture(scope="module")
def hasty_server():
    with Postgres("fsync=off") as found:
        yield found


SUBJECTS = (
    "payments", "inbox", "access", "convergence", "accounting", "clock", "jobs", "vouchers", "matching", "books",
    "refunds", "statements", "campaigns", "credits",
)  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_holds_on_sqlite_holds_here(hasty_server, subject):
    line = [sys.executable, "-m", "pytest", "-p", "tests.on_postgres", "-q", f"tests/test_{subject}.py"]
    environ = {**os.environ, "EDGE_TEST_POSTGRES": hasty_server.make(f"tests_{subject}")}
    done = subprocess.run([*line, "-k", "not disk"], env=environ, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


# The schema.


def test_the_schema_is_made_once_however_many_machines_begin_together(server, at_once):
    url = server.make(f"new{next(numbers)}")
    database.open_database(url)
    assert not schema.is_made()
    assert at_once(lambda _: schema.migrate(url), 4) == [1 + len(schema.STEPS)] * 4
    assert schema.is_made()
    database.close_database()


def test_a_step_written_for_sqlite_is_taken_here_and_one_that_breaks_is_undone(box):
    def step():
        db.execute_sql("ALTER TABLE plans ADD COLUMN colour VARCHAR(3) NOT NULL DEFAULT 'blue?'")
        db.execute_sql("ALTER TABLE plans ADD COLUMN seen_at REAL")
        db.execute_sql("UPDATE plans SET seen_at = ?", (NOW.timestamp(),))

    def broken():
        step()
        raise ValueError("half way")

    newest = 1 + len(schema.STEPS)
    with pytest.raises(ValueError):
        schema.migrate("", (*schema.STEPS, broken))
    assert schema.migrate("") == newest
    assert schema.migrate("", (*schema.STEPS, step)) == newest + 1
    assert db.execute_sql("SELECT colour, seen_at FROM plans").fetchall() == [("blue?", NOW.timestamp())]
    with pytest.raises(schema.NewerDatabase, match="install the newer one"):
        schema.migrate("")


def test_numbers_go_on_after_one_that_was_given(box):
    assert Plan.create(name="1 day", price_cents=8000, seconds=86400).id == 2
    assert Plan.create_unless_there(id=7, name="1 week", price_cents=30000, seconds=604800).id == 7
    assert Plan.create_unless_there(id=7, name="again", price_cents=30000, seconds=604800) is None
    assert Plan.create(name="1 month", price_cents=90000, seconds=2592000).id == 8


def test_columns_are_as_wide_as_sqlites(box):
    plan = Plan.create(name="n" * 5000, price_cents=1, seconds=1, bytes=5_000_000_000_000)
    assert Plan.get_by_id(plan.id).bytes == 5_000_000_000_000
    total = Plan.select(peewee.fn.SUM(Plan.bytes)).scalar()
    assert (total, type(total)) == (5_000_000_000_000, int)


def test_a_strangers_zero_byte_is_kept_as_a_mark(box):
    note("before\0after")
    assert Event.select().where(Event.name == "before\0after").count() == 1
    assert [event.name for event in Event.select()][-1] == "before\ufffdafter"


def test_a_row_that_is_replaced_is_written_anew(box):
    for words in ("first", "second"):
        Check.replace(name="router:gate", state="ok", words=words, checked_at=NOW, changed_at=NOW).execute()
    assert [(row.words, row.cure) for row in Check.select()] == [("second", "")]


@pytest.mark.parametrize(
    "sql, translated",
    [
        ("SELECT a WHERE c = ? AND d = '?' AND e % 2 = 0", "SELECT a WHERE c = %s AND d = '?' AND e %% 2 = 0"),
        ("SELECT a FROM b WHERE c LIKE '10%'", "SELECT a FROM b WHERE c LIKE '10%%'"),
        ("SELECT INTEGER FROM b", "SELECT INTEGER FROM b"),
        ("INSERT OR IGNORE INTO a (b) VALUES (?)", "INSERT INTO a (b) VALUES (%s) ON CONFLICT DO NOTHING "),
        (
            "INSERT OR IGNORE INTO a (b) VALUES (1) RETURNING id",
            "INSERT INTO a (b) VALUES (1)  ON CONFLICT DO NOTHING RETURNING id",
        ),
        (
            "INSERT INTO a (b) VALUES (1) ON CONFLICT (b) DO UPDATE SET c = c + 1, d = a.d, e = excluded.e",
            "INSERT INTO a (b) VALUES (1) ON CONFLICT (b) DO UPDATE SET c = a.c + 1, d = a.d, e = excluded.e",
        ),
        ("ALTER TABLE a ADD COLUMN b REAL", "ALTER TABLE a ADD COLUMN b DOUBLE PRECISION"),
        ("CREATE TABLE a (b INTEGER PRIMARY KEY, c INTEGER)", "CREATE TABLE a (b BIGSERIAL PRIMARY KEY, c BIGINT)"),
    ],
)  # fmt: skip
def test_sqlites_words_are_translated_and_quoted_ones_left_alone(sql, translated):
    assert postgres.translate(sql) == translated


def test_the_larger_of_two_is_null_when_one_of_them_is(box):
    question = "SELECT MAX(?, 2.5), MIN(CAST(? AS INTEGER), 7), MAX(CAST(NULL AS REAL), 1.0), MAX(id) FROM plans"
    assert db.execute_sql(question.replace("REAL", "double precision"), (1.5, 9)).fetchone() == (2.5, 7, None, 1)


# One writer at a time, and what it says is true.


def test_many_machines_that_read_and_then_write_lose_no_update(box, at_once):
    @transaction
    def add_one():
        row = Throttle.get_or_none(Throttle.name == "count") or Throttle.create(name="count", free_at=0.0)
        row.put(failures=row.failures + 1)

    assert at_once(lambda _: [add_one() for _ in range(5)]) == [[None] * 5] * 20
    assert Throttle.get_by_id("count").failures == 100


def test_one_callers_fault_undoes_his_own_writes_and_nobody_elses(box, shared_writer, server, at_once):
    Throttle.create(name="taken", free_at=0.0)

    def act(place):
        note(f"of-{place}")
        if place == 1:
            Throttle.create(name="taken", free_at=0.0)
        if place == 2:
            db.execute_sql("SELECT * FROM nowhere")
        if place == 3:
            raise BadInput("no")
        return place

    answers = at_once(lambda place: shared_writer.write(lambda: act(place)), 6)
    kinds = [type(answer) for answer in answers]
    assert kinds == [int, peewee.IntegrityError, peewee.ProgrammingError, BadInput, int, int]
    assert sorted(names(server)) == ["of-0", "of-4", "of-5"]


def test_the_fault_of_one_who_writes_alone_undoes_all_of_it_and_rings_no_bell(box, shared_writer, server):
    rung = []

    def breaks(reason):
        db.after_commit(lambda: rung.append(reason))
        note("must-not-stay")
        raise reason

    for reason in (BadInput("no"), ValueError("no"), SystemExit(1)):
        with pytest.raises(type(reason)):
            shared_writer.write(lambda reason=reason: breaks(reason))
    with pytest.raises(peewee.ProgrammingError):
        shared_writer.write(lambda: (note("must-not-stay"), db.execute_sql("SELECT * FROM nowhere")))
    assert shared_writer.write(lambda: note("kept")) == "kept"
    assert (names(server), rung, shared_writer.fault) == (["kept"], [], "")


def test_whoever_swallows_a_fault_is_not_told_kept(box, server):
    """PostgreSQL answers COMMIT to a transaction in which a statement failed, and keeps nothing of it."""

    def swallows():
        note("before")
        try:
            db.execute_sql("SELECT * FROM nowhere")
        except peewee.ProgrammingError:
            return "all is well"

    with pytest.raises(NotDurable):
        database.write_alone(swallows)
    assert names(server) == []
    assert database.write_alone(lambda: note("after")) == "after"


def test_a_connection_lost_in_the_middle_is_not_durable_and_the_next_write_is_kept(box, shared_writer, server):
    rung = []

    def is_cut_off():
        db.after_commit(lambda: rung.append(True))
        note("lost")
        cut_off(server)

    with pytest.raises(NotDurable):
        shared_writer.write(is_cut_off)
    assert (names(server), rung) == ([], [])
    assert shared_writer.fault
    assert shared_writer.write(lambda: note("kept")) == "kept"
    assert (names(server), shared_writer.fault) == (["kept"], "")


def test_a_connection_lost_meanwhile_is_renewed_for_looks_and_for_writes(box, server):
    assert Plan.select().count() == 1
    cut_off(server)
    assert Plan.select().count() == 1
    cut_off(server)
    assert database.write_alone(lambda: note("kept")) == "kept"
    assert names(server) == ["kept"]


def test_a_write_of_which_nobody_knows_whether_it_was_done_is_not_done_again(box, server):
    cut_off(server)
    with pytest.raises(peewee.OperationalError):
        note("perhaps")
    assert note("surely") == "surely"
    assert names(server) == ["surely"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_server_begins_anew_under_a_running_box(box, shared_writer, server, how):
    kept = [shared_writer.write(lambda n=n: note(f"before-{n}")) for n in range(20)]
    getattr(server, how)()
    with pytest.raises(NotDurable):
        shared_writer.write(lambda: note("while-away"))
    with pytest.raises(database.DatabaseBroken, match="out of reach"):
        database.quick_check()
    server.start()
    assert shared_writer.write(lambda: note("again")) == "again"
    database.quick_check()
    assert names(server) == [*kept, "again"]


def test_nobody_waits_for_ever_for_a_machine_that_froze_in_the_middle(box, server):
    words = "import sys, time; from edge import database; from tests.test_postgres import note\n"
    words += f"database.open_database({db.database!r})\n"
    words += "def work():\n note('frozen'); print('holds', flush=True); time.sleep(60)\n"
    words += "database.write_alone(work)"
    frozen = subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, cwd=ROOT)
    assert frozen.stdout.readline() == b"holds\n"
    frozen.send_signal(signal.SIGSTOP)
    try:
        assert database.write_alone(lambda: note("kept")) == "kept"
    finally:
        frozen.kill()
        frozen.wait()
    assert names(server) == ["kept"]


def test_a_lock_that_is_held_for_long_is_not_durable(box, server):
    holder = postgres.PostgresServer(db.database)
    db.execute_sql("SET lock_timeout = 200")
    with holder.atomic("IMMEDIATE"):
        with pytest.raises(NotDurable, match="lock"):
            database.write_alone(lambda: note("too early"))
    holder.close()
    assert database.write_alone(lambda: note("kept")) == "kept"
    assert names(server) == ["kept"]


def test_a_server_that_may_only_be_read_is_not_durable(box, server):
    db.execute_sql("SET default_transaction_read_only = on")
    with pytest.raises(NotDurable, match="read-only"):
        database.write_alone(lambda: note("no"))
    db.execute_sql("SET default_transaction_read_only = off")
    assert database.write_alone(lambda: note("yes")) == "yes"


def test_only_what_need_not_be_durable_is_committed_without_a_flush(box, shared_writer, server):
    def asked():
        return db.execute_sql("SELECT current_setting('synchronous_commit')").fetchone()[0]

    assert [shared_writer.write(asked, durable=durable) for durable in (True, False, True)] == ["on", "off", "on"]
    server.ask(f"ALTER DATABASE \"{db.database.rpartition('/')[2]}\" SET synchronous_commit = off")
    cut_off(server)
    assert shared_writer.write(asked) == "on"  # whatever the server's settings say


# The sale, over every connection at once.


def test_twenty_equal_callbacks_on_connections_of_their_own_are_one_sale(box, at_once, gate):
    payment = box.prompted(mac="AA:BB:CC:DD:EE:01")
    result = box.result(payment)
    outcomes = at_once(lambda _: box.call(payment, result))
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert (Payment.get_by_id(payment.id).state, Grant.select().count(), Inbox.get().repeats) == ("paid", 1, 19)
    assert len(box.jobs("grant.place", "waiting")) == 1
    job = jobs.claim("provisioning", "me", box.now)
    jobs.finish(job, lambda: access.record_placed(job.args["grant_id"], gate.id, box.now), box.now)
    assert box.grant(payment).starts_at is not None


def test_a_job_has_one_worker_however_many_machines_ask(box, at_once):
    for number in range(10):
        jobs.promise("sms.send", "sms", box.now, args={"message_id": number})
    taken = at_once(lambda place: jobs.claim("sms", f"machine-{place}", box.now))
    assert sorted(job.args["message_id"] for job in taken if job is not None) == list(range(10))
    first = next(job for job in taken if job is not None)
    jobs.put_back(first, "not yet", box.now)
    with pytest.raises(jobs.NotYours):
        jobs.finish(first, lambda: note("must not stay"), box.now)
    assert Job.get_by_id(first.id).state == "scheduled"


# What is sealed.


def test_a_machine_without_the_keys_or_with_other_ones_does_not_begin_and_says_what_to_do(server, tmp_path):
    url = server.make(f"keys{next(numbers)}")
    first, second = (Settings(state=tmp_path / name, database=Database(url)) for name in ("first", "second"))
    with boot.opened(first, is_new=True):
        contacts.opt_out("254712345678", "STOP", NOW)
    for words in ("is missing", "is not the one of this database"):
        with pytest.raises(boot.WrongKeys, match=f"{words}: copy it from the machine that made the database"):
            boot.open_box(second)
        other = ((INDEX, bytes(64)), (DATA, bytes(32)))
        second.key_path.write_text("".join(f"{name} {base64.b64encode(key).decode()}\n" for name, key in other))
        seal.point_to(None)  # as a new process begins
    second.key_path.write_bytes(first.key_path.read_bytes())
    seal.point_to(None)
    with boot.opened(second):
        assert contacts.is_blocked("254712345678")


def test_lines_of_credits_are_only_added_to(box):
    credits.top_up(10, "", None, NOW)
    for words in ("UPDATE credit_entries SET amount = 11", "DELETE FROM credit_entries", "TRUNCATE credit_entries"):
        with pytest.raises(peewee.PeeweeException, match="only added to"):
            db.execute_sql(words)
    assert credits.verify() == []


def test_one_of_many_submits_a_campaign_and_credits_never_go_below_nothing(box, at_once):
    routing.configure(Sms(), has_modem=False, is_rehearsal=True)
    credits.top_up(25, "", None, NOW)
    staff = Staff.create(name="Njeri", role="owner", password_hash="", created_at=NOW)
    some = [f"2547{place:08d}" for place in range(10)]
    campaign = campaigns.create("Easter", "Open today", "service", {"kind": "numbers", "numbers": some}, staff, NOW)
    campaign_lists.list_all(campaign, NOW)
    campaign_lists.list_all(campaign, NOW)  # and none of them a second time
    assert campaigns.quote(campaigns.Campaign.get_by_id(campaign.id)).recipients == 10
    answers = at_once(lambda _: campaigns.submit(campaign.id, staff, NOW), 8)
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1
    answers = at_once(lambda place: messages.write_by_hand(some[0], f"text {place}", staff, NOW), 20)
    assert sum(isinstance(answer, credits.Short) for answer in answers) == 5
    assert (credits.balance().available, credits.balance().reserved, credits.verify()) == (0, 25, [])


# What the doctor says.


def test_the_doctor_tells_how_the_server_does_and_of_one_that_forgets(box, server):
    assert [state for state, _, _ in database.health()] == ["ok"]
    assert "PostgreSQL" in database.health()[0][1]
    with Postgres("fsync=off") as careless:
        database.open_database(careless.url())
        found = database.health()
        database.close_database()
    assert [(state, cure) for state, _, cure in found][1:] == [
        ("problem", "set fsync = on in postgresql.conf, and reload it")
    ]


def test_a_database_in_another_alphabet_is_refused(server):
    server.ask("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
    database.open_database(server.url("latin"))
    with pytest.raises(database.DatabaseBroken, match="UTF8"):
        database.quick_check()
    database.close_database()


def test_many_threads_share_few_connections(box, at_once):
    words = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
    counts = at_once(lambda _: max(db.execute_sql(words).fetchone()[0] for _ in range(10)), 60)
    assert max(counts) <= postgres.MOST
    with db.atomic("IMMEDIATE"):  # one in the middle of something is nobody else's
        mine = db.execute_sql("SELECT pg_backend_pid()").fetchone()
        others = at_once(lambda _: db.execute_sql("SELECT pg_backend_pid()").fetchone(), 10)
        assert db.execute_sql("SELECT pg_backend_pid()").fetchone() == mine
    assert mine not in others


def test_without_the_library_the_cure_is_named(monkeypatch):
    monkeypatch.setattr(peewee, "psycopg", None)
    with pytest.raises(postgres.NoDriver, match=r"pip install edge\[postgres\]"):
        database.open_database("postgresql://edge@db.test/edge")
