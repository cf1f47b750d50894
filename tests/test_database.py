"""The file and its one writer: what is called kept is on disk, and one caller's fault is nobody else's."""

import sqlite3
import threading

import peewee
import pytest

from edge import database, schema
from edge.database import db, transaction, writer
from edge.errors import BadInput, NotDurable
from edge.models import Event, Plan, Throttle


def note(name):
    Event.create(name=name, at=0.0)
    return name


def names():
    """What a stranger to this connection sees: committed rows."""
    with sqlite3.connect(db.database) as other:
        return [row[0] for row in other.execute("SELECT name FROM events WHERE name NOT LIKE 'clock%' ORDER BY id")]


class Batch:
    """Holds the writer busy, so that what is handed over meanwhile is committed together."""

    def __init__(self, shared):
        self.writer, self.results, self.threads = shared, {}, []
        self.entered, self.release = threading.Event(), threading.Event()

    def hold(self):
        self.entered.set()
        assert self.release.wait(60)

    def __enter__(self):
        self._start("hold", self.hold)
        assert self.entered.wait(60)
        return self

    def add(self, key, work):
        before = len(self.writer._work)
        self._start(key, work)
        while len(self.writer._work) == before:
            pass

    def _start(self, key, work):
        def run():
            try:
                self.results[key] = self.writer.write(work)
            except Exception as reason:
                self.results[key] = reason

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def __exit__(self, *_):
        self.release.set()
        for thread in self.threads:
            thread.join(60)


def fill_the_disk(room=0):
    """As many pages as there are now are all there will be, for this connection."""
    pages = db.execute_sql("PRAGMA page_count").fetchone()[0]
    db.execute_sql(f"PRAGMA max_page_count = {pages + room}").fetchone()


def empty_the_disk():
    db.execute_sql("PRAGMA max_page_count = 1000000").fetchone()


def test_what_the_writer_answers_is_on_disk_and_flushed(box, shared_writer):
    assert shared_writer.write(lambda: note("kept")) == "kept"
    assert names() == ["kept"]
    assert shared_writer.write(lambda: db.execute_sql("PRAGMA synchronous").fetchone()[0]) == 2


@pytest.mark.parametrize("pragma, value", [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)])
def test_every_threads_connection_is_opened_the_same_way(box, at_once, pragma, value):
    assert at_once(lambda _: db.execute_sql(f"PRAGMA {pragma}").fetchone()[0], 3) == [value] * 3


def test_one_callers_fault_undoes_his_own_writes_and_nobody_elses(box, shared_writer):
    Throttle.create(name="taken", free_at=0.0)

    def breaks(reason):
        note("must not stay")
        raise reason

    with Batch(shared_writer) as batch:
        batch.add("first", lambda: note("first"))
        batch.add("twin", lambda: (note("must not stay"), Throttle.create(name="taken", free_at=0.0)))
        batch.add("typo", lambda: (note("must not stay"), db.execute_sql("SELECT * FROM nowhere")))
        batch.add("domain", lambda: breaks(BadInput("no")))
        batch.add("last", lambda: note("last"))
    assert (batch.results["first"], batch.results["last"]) == ("first", "last")
    assert isinstance(batch.results["twin"], peewee.IntegrityError)
    assert isinstance(batch.results["typo"], peewee.OperationalError)
    assert isinstance(batch.results["domain"], BadInput)
    assert names() == ["first", "last"]


def test_when_the_disk_is_full_nobody_of_the_batch_is_told_kept_and_nothing_stays(box, shared_writer):
    with Batch(shared_writer) as batch:
        batch.add("small", lambda: note("small"))
        batch.add("full", fill_the_disk)
        batch.add("big", lambda: note("x" * 1_000_000))
        batch.add("after", lambda: note("after"))
    assert {key: type(batch.results[key]) for key in ("small", "big", "after")} == dict.fromkeys(
        ("small", "big", "after"), NotDurable
    )
    assert names() == []
    shared_writer.write(empty_the_disk)
    assert shared_writer.write(lambda: note("room again")) == "room again"
    assert names() == ["room again"]


def test_a_caller_who_swallows_the_full_disk_keeps_nothing_either(box, shared_writer):
    def swallows():
        fill_the_disk()
        note("before")
        try:
            with db.savepoint():
                note("x" * 1_000_000)
        except peewee.OperationalError:
            return "all is well"

    answer = None
    try:
        answer = shared_writer.write(swallows)
    except NotDurable:
        answer = "not durable"
    shared_writer.write(empty_the_disk)
    assert (answer, names()) in [("not durable", []), ("all is well", ["before"])]


def test_alone_a_full_disk_is_not_durable_too(box):
    fill_the_disk()
    with pytest.raises(NotDurable):
        database.write_alone(lambda: note("x" * 1_000_000))
    empty_the_disk()
    assert names() == []
    assert not db.in_transaction()


def test_a_locked_database_is_not_durable_and_a_wrong_statement_is_a_fault_of_ours(box):
    db.execute_sql("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(box.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotDurable, match="locked"):
        database.write_alone(lambda: note("waits"))
    other.close()
    with pytest.raises(peewee.OperationalError):
        database.write_alone(lambda: db.execute_sql("SELECT * FROM nowhere"))


def test_many_at_once_are_all_kept_once(box, shared_writer, at_once):
    assert at_once(lambda place: shared_writer.write(lambda: note(f"{place:02}")), 40) == [f"{n:02}" for n in range(40)]
    assert sorted(names()) == [f"{n:02}" for n in range(40)]


def test_without_the_writer_threads_wait_for_each_other(box, at_once):
    @transaction
    def add_one():
        row = Throttle.get_or_none(Throttle.name == "count") or Throttle.create(name="count", free_at=0.0)
        row.put(failures=row.failures + 1)

    assert at_once(lambda _: add_one()) == [None] * 20
    assert Throttle.get_by_id("count").failures == 20


def test_a_verb_inside_another_is_part_of_its_transaction(box, shared_writer):
    @transaction
    def inner():
        note("inner")

    @transaction
    def outer():
        inner()
        raise BadInput("and yet no")

    with pytest.raises(BadInput):
        outer()
    assert names() == []


def test_nobody_waits_for_a_writer_that_stops(box, at_once):
    writer.start()

    def write(place):
        if place == 7:
            writer.stop()
        return writer.write(lambda: note("x"))

    assert at_once(write, 30) == ["x"] * 30
    writer.stop()
    assert len(names()) == 30
    assert not writer.is_running


def test_the_writer_outlives_work_that_tries_to_end_it(box, shared_writer):
    def ends():
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        shared_writer.write(ends)
    assert shared_writer.write(lambda: note("still here")) == "still here"


def test_a_newer_database_is_left_alone(box):
    db.execute_sql("PRAGMA user_version = 99")
    with pytest.raises(schema.NewerDatabase, match="install the newer one"):
        schema.migrate(box.path)


def test_an_older_database_is_copied_and_brought_up_to_date_in_one_step(box):
    def step():
        db.execute_sql("ALTER TABLE plans ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")

    def broken():
        step()
        raise ValueError("half way")

    newest = schema.migrate(box.path)
    with pytest.raises(ValueError):
        schema.migrate(box.path, (*schema.STEPS, broken))
    assert schema.migrate(box.path) == newest
    assert schema.migrate(box.path, (*schema.STEPS, step)) == newest + 1
    assert db.execute_sql("SELECT colour FROM plans").fetchall() == [("blue",)]
    copies = list(box.folder.glob("edge.db.before-*"))
    assert [copy.name for copy in copies] == [f"edge.db.before-{newest + 1}"]
    assert sqlite3.connect(copies[0]).execute("SELECT name FROM plans").fetchall() == [("1 hour",)]


def test_a_damaged_file_is_told_in_sqlites_words(box):
    for number in range(300):
        Plan.create(name=f"plan {number} " + "x" * 200, price_cents=100, seconds=60)
    db.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.close_database()
    whole = box.path.read_bytes()
    box.path.write_bytes(whole[:-40960] + b"\xff" * 40960)
    with pytest.raises(database.DatabaseBroken, match="damaged"):
        database.quick_check()


def test_a_sound_file_passes(box):
    database.quick_check()


class LateGuest:
    """The writer's turn; somebody comes in the moment between the thread's last look and its letting go."""

    def __init__(self, shared: database.Writer) -> None:
        self.shared, self.lock = shared, threading.Lock()
        self.guest = threading.Thread(target=lambda: shared.write(lambda: None), daemon=True)

    def acquire(self, blocking: bool = True) -> bool:
        return self.lock.acquire(blocking)

    def release(self) -> None:
        if threading.current_thread().name == "writer" and self.guest.ident is None:
            self.guest.start()
            self.guest.join(0.2)  # he finds the turn taken, and waits
        self.lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def test_who_comes_as_the_writers_thread_lets_go_is_not_left_waiting(box, shared_writer, monkeypatch):
    turn = LateGuest(shared_writer)
    monkeypatch.setattr(shared_writer, "_turn", turn)
    shared_writer.begin(lambda: None).result(10)
    while turn.guest.ident is None:
        pass
    turn.guest.join(10)
    is_waiting = turn.guest.is_alive()
    shared_writer._call.release()
    assert not is_waiting
