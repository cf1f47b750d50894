"""The shims themselves: what a power cut takes and what it may not, and a clock that is wrong."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.torture import power, shims
from tests.walks.box import wait_for

pytestmark = [shims.needs_compiler, pytest.mark.timeout(180)]

# A program that writes by Python's own sqlite3, tells how far it is, and is then killed where it stands.
WRITER = """
import pathlib, sqlite3, sys, time
state, words = pathlib.Path(sys.argv[1]), sys.argv[2:]
db = sqlite3.connect(state / "edge.db", isolation_level=None)
db.execute("PRAGMA journal_mode = wal")
for word in words:
    if word in ("full", "normal"):
        db.execute(f"PRAGMA synchronous = {word}")
    elif word == "checkpoint":
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    elif word == "table":
        db.execute("CREATE TABLE told (word TEXT, filler BLOB)")
    else:
        db.execute("INSERT INTO told VALUES (?, randomblob(9000))", (word,))
(state / "told").touch()
time.sleep(600)
"""


class Machine:
    """A state folder, its shadow, and programs that die in it."""

    def __init__(self, folder: Path) -> None:
        self.state, self.shadow = folder / "state", folder / "shadow"
        self.state.mkdir()
        self.shadow.mkdir()
        self.environ = {
            **os.environ, "LD_PRELOAD": shims.preload("power_loss"), **power.environ(self.state, self.shadow)
        }  # fmt: skip

    def write(self, *words: str) -> None:
        """Do these, then be killed."""
        (self.state / "told").unlink(missing_ok=True)
        line = [sys.executable, "-c", WRITER, str(self.state), *words]
        program = subprocess.Popen(line, env=self.environ)
        wait_for((self.state / "told").exists)
        program.kill()
        program.wait()

    def run(self, code: str) -> None:
        subprocess.run([sys.executable, "-c", code, str(self.state)], env=self.environ, check=True)

    def words(self) -> list[str]:
        """What the database holds now; whole, or this fails."""
        with sqlite3.connect(self.state / "edge.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [row[0] for row in database.execute("SELECT word FROM told ORDER BY rowid")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_was_committed_in_full_survives_and_what_was_not_flushed_is_gone(machine: Machine) -> None:
    machine.write("full", "table", "asha", "normal", "juma")
    power.cut(machine.state, machine.shadow)
    assert machine.words() == ["asha"]


def test_without_a_power_cut_a_killed_program_loses_neither(machine: Machine) -> None:
    machine.write("full", "table", "asha", "normal", "juma")
    assert machine.words() == ["asha", "juma"]


def test_a_full_commit_keeps_the_ones_before_it_as_well(machine: Machine) -> None:
    machine.write("full", "table", "normal", "asha", "juma", "full", "njeri", "normal", "kip")
    power.cut(machine.state, machine.shadow)
    assert machine.words() == ["asha", "juma", "njeri"]


def test_a_checkpoint_flushes_what_was_committed_without_one(machine: Machine) -> None:
    machine.write("full", "table", "normal", "asha", "checkpoint", "juma")
    power.cut(machine.state, machine.shadow)
    assert machine.words() == ["asha"]


def test_life_after_a_cut_goes_on_from_what_was_left(machine: Machine) -> None:
    machine.write("full", "table", "asha", "normal", "juma")
    power.cut(machine.state, machine.shadow)
    machine.write("full", "njeri", "checkpoint", "kip", "normal", "juma")
    power.cut(machine.state, machine.shadow)
    assert machine.words() == ["asha", "njeri", "kip"]


@pytest.mark.parametrize("seed", range(8))
def test_sectors_that_reached_the_disk_by_chance_damage_nothing(machine: Machine, seed: int) -> None:
    machine.write("full", "table", "asha", "checkpoint", "njeri", "normal", *"abcdef", "checkpoint", *"ghij")
    power.cut(machine.state, machine.shadow, random.Random(seed))
    found = machine.words()
    known = ["asha", "njeri", *"abcdefghij"]
    assert found == known[: len(found)]
    assert len(found) >= 8  # a checkpoint flushed these


def test_a_file_is_what_was_flushed_of_it(machine: Machine) -> None:
    machine.run("""if True:
        import os, pathlib, sys
        state = pathlib.Path(sys.argv[1])
        file = (state / "edge.db").open("wb", buffering=0)
        file.write(b"flushed")
        os.fsync(file.fileno())
        file.write(b" and more")
        (state / "edge.db-wal").write_bytes(b"never flushed")
    """)
    power.cut(machine.state, machine.shadow)
    assert (machine.state / "edge.db").read_bytes() == b"flushed"
    assert not (machine.state / "edge.db-wal").exists()


def test_a_deleted_file_may_be_back_until_its_folder_is_flushed(machine: Machine) -> None:
    make = """if True:
        import os, pathlib, sys
        state = pathlib.Path(sys.argv[1])
        file = (state / "edge.db").open("wb", buffering=0)
        file.write(b"old")
        os.fsync(file.fileno())
        (state / "edge.db").unlink()
    """
    machine.run(make)
    power.cut(machine.state, machine.shadow)
    assert (machine.state / "edge.db").read_bytes() == b"old"
    machine.run(make + "    os.fsync(os.open(state, os.O_RDONLY))")
    power.cut(machine.state, machine.shadow)
    assert not (machine.state / "edge.db").exists()


def test_a_renamed_file_takes_along_what_was_flushed_of_it(machine: Machine) -> None:
    machine.run("""if True:
        import os, pathlib, sys
        state = pathlib.Path(sys.argv[1])
        file = (state / "fresh").open("wb", buffering=0)
        file.write(b"new")
        os.fsync(file.fileno())
        os.replace(state / "fresh", state / "edge.db")
    """)
    power.cut(machine.state, machine.shadow)
    assert (machine.state / "edge.db").read_bytes() == b"new"


def test_a_wrong_clock_may_change_while_the_program_runs(tmp_path: Path) -> None:
    told = tmp_path / "clock"
    told.write_bytes((-10 * 365 * 86400).to_bytes(8, sys.byteorder, signed=True))
    code = """if True:
        import datetime, sqlite3, sys, time
        from edge.worker import is_synchronised
        def look():
            by_sql = sqlite3.connect(":memory:").execute("SELECT unixepoch()").fetchone()[0]
            now = datetime.datetime.now(datetime.UTC).timestamp()
            assert abs(now - time.time()) < 5 and abs(now - by_sql) < 5, (now, time.time(), by_sql)
            print(int(now), is_synchronised())
        look()
        open(sys.argv[1], "r+b").write(bytes(8))
        begun = time.monotonic()
        time.sleep(0.2)
        assert 0.2 <= time.monotonic() - begun < 60
        look()
    """
    environ = {**os.environ, "LD_PRELOAD": shims.preload("clock"), "WRONG_CLOCK": str(told)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(told)], env=environ, capture_output=True, text=True, check=True
    )  # fmt: skip
    wrong, right = (line.split() for line in done.stdout.splitlines())
    assert datetime.now(UTC).year - datetime.fromtimestamp(int(wrong[0]), UTC).year in (9, 10)
    assert abs(int(right[0]) - time.time()) < 60
    assert (wrong[1], right[1]) == ("False", "True")
