"""`edge queue` and `edge workers`: looking at the work, asking for it, watching it, and a new beginning for workers."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import click
import pytest

from edge import database, desk, holder, jobs
from edge.cli.command import cut
from edge.cli.job_views import span
from edge.cli.queue import queue, read_when
from edge.cli.workers import workers
from edge.domain import breakers
from edge.models import Event, Heartbeat, Job, JobMinute, Pause, Router
from tests import test_cli
from tests.walks.box import wait_for

command = test_cli.command
shop = test_cli.shop
document = test_cli.document

NAIROBI = ZoneInfo("Africa/Nairobi")
PATIENCE_S = 90


@contextlib.contextmanager
def rows_of(tmp_path):
    """The box's rows, opened beside the command."""
    database.open_database(tmp_path / "box" / "edge.db")
    try:
        yield datetime.now(UTC)
    finally:
        database.close_database()


@pytest.fixture
def work(shop, tmp_path):
    """A text that waits, a question for tonight, a prompt that will be tried again, and tea that failed."""
    with rows_of(tmp_path) as now:
        jobs.promise("sms.send", "sms", now, args={"message_id": 5}, lane="modem", cause="payment:3")
        jobs.promise(
            "payment.ask", "payments", now, args={"payment_id": 3}, run_at=now + timedelta(hours=20),
            not_after=now + timedelta(hours=30),
        )  # fmt: skip
        jobs.promise("payment.prompt", "payments", now, cause="payment:3")
        jobs.put_back(jobs.claim("payments", "nobody", now), "M-Pesa did not\x1b[2J answer", now)
        for words in ("no milk", "no water"):
            jobs.promise("tea.brew", "default", now)
            jobs.give_up(jobs.claim("default", "nobody", now), words, now)
    return {"text": 1, "question": 2, "prompt": 3, "tea": 4, "more tea": 5}


def job(tmp_path, job_id):
    with rows_of(tmp_path):
        return Job.get_by_id(job_id)


QUEUE_VERBS = (
    "status", "stats", "list", "show", "failed", "retry", "cancel", "move", "clear", "prune", "pause", "resume",
    "restart", "work",
)  # fmt: skip


@pytest.mark.parametrize("words", [*[("queue", verb) for verb in QUEUE_VERBS], ("workers", "status"),
                                   ("workers", "restart")], ids=" ".join)  # fmt: skip
def test_every_verb_has_help(command, words):
    code, out, _ = command(*words, "--help", state=None)
    assert code == 0 and "Usage: edge " + " ".join(words) in out and "--json" in out


# Looking


def test_the_status_tells_what_is_paused_and_who_is_left_alone(shop, work, tmp_path):
    with rows_of(tmp_path) as now:
        desk.pause("sms", "the modem is being changed", now)
        Router.create(name="attic", host="attic.test")
        for _ in range(breakers.FAILURES):
            breakers.note_failure("router:1", "the cable\x1b[2J is out", now)
    code, out, _ = shop("queue", "status")
    assert code == 0 and "sms is paused since" in out and "the modem is being changed" in out
    assert "Router attic is left alone after 5 failures in a row (the cable[2J is out)" in out and "\x1b" not in out
    assert "not healthy: No worker is running" in out
    told = document(shop("queue", "status", "--json"))
    assert told["paused"] == ["sms"] and [row["name"] for row in told["breakers"]] == ["router:attic"]
    counted = {entry["name"]: entry for entry in told["queues"]}
    assert (counted["sms"]["waiting"], counted["payments"]["scheduled"], counted["default"]["failed"]) == (1, 2, 2)


def test_figures_are_of_a_queue_or_of_a_kind_of_work(shop, tmp_path):
    assert shop("queue", "stats")[1] == "Nothing was done in the last 24 hours.\n"
    with rows_of(tmp_path) as now:
        minute = int(now.timestamp() // 60)
        JobMinute.create(minute=minute, queue="sms", name="sms.send", done=2, failed=1, retried=1, run_s=8.0,
                         run_max_s=5.0, wait_s=0.2, wait_max_s=0.1)  # fmt: skip
        JobMinute.create(minute=minute - 1, queue="payments", name="payment.ask", done=1, run_s=1.0, run_max_s=1.0)
        JobMinute.create(minute=minute - 1, queue="payments", name="payment.prompt", done=1)
        JobMinute.create(minute=minute - 180, queue="sms", name="sms.send", done=7, run_max_s=60.0)
    payments, sms = document(shop("queue", "stats", "--hours", "2", "--json"))["stats"]
    assert (payments["queue"], payments["done"], payments["run_mean_s"]) == ("payments", 2, 0.5)
    assert sms == {"queue": "sms", "done": 2, "failed": 1, "retried": 1, "wait_mean_s": 0.05, "wait_max_s": 0.1,
                   "run_mean_s": 2.0, "run_max_s": 5.0}  # fmt: skip
    by_name = document(shop("queue", "stats", "--by", "name", "--queue", "payments", "--json"))["stats"]
    assert [entry["name"] for entry in by_name] == ["payment.ask", "payment.prompt"]
    assert "50 ms" in shop("queue", "stats", "--hours", "2")[1]
    assert "1 min" in shop("queue", "stats", "--hours", "4")[1]


def test_what_is_not_done_yet_is_listed_in_its_order(shop, work, tmp_path):
    with rows_of(tmp_path) as now:
        jobs.promise("sms.send", "sms", now + timedelta(minutes=1), priority=jobs.HIGH)
    listed = document(shop("queue", "list", "--json"))["jobs"]
    assert [entry["id"] for entry in listed] == [work["text"], 6, work["prompt"], work["question"]]
    scheduled = document(shop("queue", "list", "--only", "scheduled", "--queue", "payments", "--json"))["jobs"]
    assert [entry["id"] for entry in scheduled] == [work["prompt"], work["question"]]
    waiting = document(shop("queue", "list", "--only", "waiting", "--json"))["jobs"]
    assert [entry["id"] for entry in waiting] == [6, work["text"]]
    assert shop("queue", "list", "--only", "done")[1] == "Nothing of that.\n"
    assert len(document(shop("queue", "list", "--limit", "2", "--json"))["jobs"]) == 2


def test_what_a_device_said_can_not_play_with_the_terminal(shop, work):
    _, out, _ = shop("queue", "list")
    assert "M-Pesa did not[2J answer" in out and "\x1b" not in out
    assert "\x1b" not in shop("queue", "show", str(work["prompt"]))[1]


def test_a_job_tells_its_whole_story(shop, work, tmp_path):
    code, out, _ = shop("queue", "show", str(work["prompt"]))
    assert code == 0 and "Ring the guest's phone" in out and "payment:3" in out and "scheduled, due" in out
    steps = [line.split("  ", 1)[1] for line in out.split("\n\n")[1].splitlines()]
    assert steps == ["promised", "attempt 1 began", "attempt 1: M-Pesa did not[2J answer", "attempt 2 is due"]
    told = document(shop("queue", "show", str(work["question"]), "--json"))
    assert told["args"] == {"payment_id": 3} and told["state"] == "scheduled" and told["not_after"] > told["run_at"]
    assert (told["attempt"], told["tries"], told["errors"]) == (0, 3, [])


def test_a_job_that_waits_tells_why(shop, work, tmp_path):
    with rows_of(tmp_path) as now:
        jobs.promise("sms.send", "sms", now, lane="modem")
        jobs.claim("sms", "nobody", now)
    assert f"its lane is busy with job {work['text']}" in shop("queue", "show", "6")[1]
    shop("queue", "pause", "sms")
    assert "the queue is paused" in shop("queue", "show", "6")[1]


def test_a_batch_and_its_progress_are_told(shop, tmp_path):
    with rows_of(tmp_path) as now:
        batch = jobs.start_batch("photos of Asha", now)
        for _ in range(2):
            jobs.promise("photo.shrink", "photos", now, batch=batch)
        jobs.finish(jobs.claim("photos", "us", now), None, now)
        jobs.record_progress(jobs.claim("photos", "us", now), 45, "9 of 20")
    out = shop("queue", "show", "2")[1]
    assert "1 of 2 ended, 0 not done" in out and "photos of Asha" in out and "45 % 9 of 20" in out
    assert "running 45 %" in shop("queue", "list")[1]


def test_failed_work_is_listed_of_one_queue_too(shop, work):
    assert [entry["error"] for entry in document(shop("queue", "failed", "--json"))["jobs"]] == ["no water", "no milk"]
    assert document(shop("queue", "failed", "--queue", "sms", "--json"))["jobs"] == []
    assert shop("queue", "failed", "--queue", "sms")[1] == "Nothing has failed.\n"
    assert "no milk" in shop("queue", "failed")[1]


# Asking


def test_failed_work_is_tried_again_all_of_it_or_none(shop, work, tmp_path):
    code, _, err = shop("queue", "retry", str(work["tea"]), str(work["text"]))
    assert code == 1 and f"job {work['text']} is waiting" in err
    assert job(tmp_path, work["tea"]).state == "failed"
    assert document(shop("queue", "retry", str(work["tea"]), str(work["tea"]), "--json")) == {"retried": 1}
    assert document(shop("queue", "retry", "all", "--queue", "sms", "--json")) == {"retried": 0}
    assert document(shop("queue", "retry", "all", "--queue", "default", "--json")) == {"retried": 1}
    assert job(tmp_path, work["more tea"]).state == "waiting"


def test_a_failed_twin_is_not_tried_beside_the_same_work(shop, tmp_path):
    with rows_of(tmp_path) as now:
        jobs.promise("sms.send", "sms", now, unique_key="sms:5")
        jobs.give_up(jobs.claim("sms", "us", now), "no", now)
        jobs.promise("sms.send", "sms", now, unique_key="sms:5")
    code, _, err = shop("queue", "retry", "1")
    assert code == 1 and "under way again already" in err
    assert document(shop("queue", "retry", "all", "--json")) == {"retried": 0}


def test_what_has_not_begun_can_be_given_up(shop, work, tmp_path):
    assert document(shop("queue", "cancel", str(work["text"]), "--json")) == {"cancelled": 1}
    assert job(tmp_path, work["text"]).state == "cancelled"
    code, _, err = shop("queue", "cancel", str(work["prompt"]), str(work["tea"]))
    assert code == 1 and f"job {work['tea']} has ended: failed" in err
    assert job(tmp_path, work["prompt"]).state == "scheduled"
    assert shop("queue", "cancel", "all")[0] == 2
    code, _, err = shop("queue", "cancel", "all", "--queue", "payments")
    assert code == 2 and "--yes" in err
    assert document(shop("queue", "cancel", "all", "--queue", "payments", "--yes", "--json")) == {"cancelled": 2}


def test_scheduled_work_is_moved(shop, work, tmp_path):
    code, out, _ = shop("queue", "move", str(work["question"]), "2020-01-01T00:00Z")
    assert code == 0 and out == f"Job {work['question']} (payment.ask) will be done now.\n"
    moved = job(tmp_path, work["question"])
    assert (moved.state, moved.not_after) == ("waiting", None)
    told = document(shop("queue", "move", str(work["text"]), "+2h", "--json"))
    assert told["state"] == "scheduled"
    assert 7000 < (job(tmp_path, work["text"]).run_at - datetime.now(UTC)).total_seconds() <= 7200
    code, _, err = shop("queue", "move", str(work["text"]), "+9999d")
    assert code == 1 and "a year" in err
    code, _, err = shop("queue", "move", str(work["tea"]), "now")
    assert code == 1 and "has ended" in err


NINE = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)  # by the clock in Nairobi
TIMES = [
    ("now", NINE),
    ("+90s", NINE + timedelta(seconds=90)),
    ("+10m", NINE + timedelta(minutes=10)),
    ("+2h", NINE + timedelta(hours=2)),
    ("+3d", NINE + timedelta(days=3)),
    ("18:30", datetime(2026, 3, 2, 15, 30, tzinfo=UTC)),
    ("9:00", datetime(2026, 3, 3, 6, 0, tzinfo=UTC)),
    ("08:59", datetime(2026, 3, 3, 5, 59, tzinfo=UTC)),
    ("2026-03-04T18:30", datetime(2026, 3, 4, 15, 30, tzinfo=UTC)),
    ("2026-03-04 18:30:15", datetime(2026, 3, 4, 15, 30, 15, tzinfo=UTC)),
    ("2026-03-04T18:30Z", datetime(2026, 3, 4, 18, 30, tzinfo=UTC)),
    ("2026-03-04T18:30+01:00", datetime(2026, 3, 4, 17, 30, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "instant"), TIMES)
def test_times_are_read_by_the_clock_on_the_wall(text, instant):
    assert read_when(text, NINE, NAIROBI) == instant


@pytest.mark.parametrize("text", ["", "teatime", "24:00", "+5", "10m", "+1w", "9999-12-31T23:59-12:00", "+٣m"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(click.BadParameter, match="write now"):
        read_when(text, NINE, NAIROBI)


WRONG = [
    ("queue", "retry"), ("queue", "retry", "tea"), ("queue", "retry", "1", "all"), ("queue", "retry", "-3"),
    ("queue", "retry", "1", "--queue", "sms"), ("queue", "retry", "99999999999999999999"), ("queue", "show", "0"),
    ("queue", "show", "99999999999999999999"), ("queue", "show"), ("queue", "move", "1"),
    ("queue", "move", "1", "noon"),
    ("queue", "pause"), ("queue", "pause", "tea"), ("queue", "resume", "tea"), ("queue", "failed", "--queue", "tea"),
    ("queue", "list", "--only", "lost"), ("queue", "stats", "--hours", "0"), ("queue", "status", "--watch", "soon"),
    ("queue", "work", "--once", "--queue", "sms,tea"), ("queue", "clear"), ("workers", "status", "tea"), ("workers",),
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_use_ends_with_2_and_a_sentence(shop, work, words):
    code, out, err = shop(*words)
    assert code == 2 and "Traceback" not in out + err and (err or out)


@pytest.mark.parametrize("words", [("show",), ("retry",), ("cancel",), ("move", "now")], ids=" ".join)
def test_a_job_that_is_not_there_is_told(shop, words):
    code, _, err = shop("queue", words[0], "77", *words[1:])
    assert code == 1 and "there is no job 77" in err


def test_failed_work_is_forgotten_only_when_somebody_says_so(shop, work, tmp_path):
    code, _, err = shop("queue", "clear", "--queue", "default")
    assert code == 2 and "Forget 2 failed jobs of default for good?" in err and "--yes" in err
    assert document(shop("queue", "clear", "--queue", "sms", "--json")) == {"cleared": 0}
    assert document(shop("queue", "clear", "--yes", "--json")) == {"cleared": 2}
    assert shop("queue", "show", str(work["tea"]))[0] == 1


def test_finished_work_is_forgotten_as_the_settings_say(shop, work, tmp_path):
    config = tmp_path / "box" / "edge.toml"
    config.touch(mode=0o600)
    config.write_text("[queue]\nkeep_failed = 1\n")
    assert document(shop("queue", "prune", "--json")) == {"pruned": 1}
    assert [entry["error"] for entry in document(shop("queue", "failed", "--json"))["jobs"]] == ["no water"]
    assert shop("queue", "prune")[1] == "0 finished jobs forgotten.\n"


def test_a_paused_queue_is_not_worked_until_it_is_resumed(shop, work, tmp_path):
    code, out, _ = shop("queue", "pause", "default", "sms", "--words", "stock-taking")
    assert code == 0 and "`edge queue resume default sms`" in out
    shop("queue", "retry", "all")
    assert document(shop("queue", "work", "--once", "--queue", "default", "--json")) == {"done": 0}
    assert document(shop("queue", "resume", "default", "--json")) == {"resumed": ["default"]}
    assert document(shop("queue", "work", "--once", "--queue", "default", "--json")) == {"done": 2}
    assert document(shop("queue", "resume", "all", "--json")) == {"resumed": ["sms"]}
    assert shop("queue", "resume", "all")[1] == "Nothing of that was paused.\n"
    with rows_of(tmp_path):
        assert not Pause.select().exists()
        told = [(event.name, event.data["queue"], event.data["who"]) for event in Event.select().order_by(Event.id)]
    assert ("queue.paused", "sms", "the command line") in told and ("queue.resumed", "sms", "the command line") in told


def test_the_queues_to_be_worked_may_be_named_with_commas(shop, work, tmp_path):
    shop("queue", "retry", "all")
    assert document(shop("queue", "work", "--once", "--queue", "photos,default", "--json")) == {"done": 2}


def test_no_fault_of_the_database_is_a_traceback(shop, tmp_path):
    with rows_of(tmp_path):
        database.db.execute_sql("DROP TABLE pauses")
    code, _, err = shop("queue", "status")
    assert code == 1 and err.startswith("edge: ") and "Traceback" not in err
    assert "error" in json.loads(shop("queue", "status", "--json")[1])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0, "–"), (0.0124, "12 ms"), (1, "1 s"), (3.44, "3.4 s"), (75, "1 min 15 s"), (60, "1 min"),
     (7260, "2 h 1 min"), (90_000, "1 d 1 h")],
)  # fmt: skip
def test_spans_are_short(seconds, words):
    assert span(seconds) == words


def test_long_words_end_with_a_sign_that_there_is_more():
    assert (cut("long words", 6), cut("short", 5)) == ("long…", "short")


# Workers


def beat(name, now, **columns):
    told = {"queues": {"sms": 3}, "started_at": now - timedelta(hours=2), "seen_at": now, "host": "shelf", "pid": 7}
    return Heartbeat.create(holder=name, **{**told, **columns})


def test_the_workers_and_what_they_have_in_hand(shop, work, tmp_path):
    with rows_of(tmp_path) as now:
        beat(holder.own_name(), now, pid=os.getpid(), stuck=1)
        beat("4:1:otherbox", now - timedelta(hours=1), pid=4, queues={"payments": 4, "default": 2})
        jobs.claim("sms", holder.own_name(), now)
    told = document(shop("workers", "status", "--json"))
    assert [(entry["pid"], entry["state"], entry["workers"]) for entry in told["workers"]] == [
        (4, "dead", 6), (os.getpid(), "alive", 3),
    ]  # fmt: skip
    assert told["alive"] == 1
    [held] = told["workers"][1]["busy"]
    assert (held["id"], held["name"], held["cause"]) == (work["text"], "sms.send", "payment:3")
    code, out, _ = shop("workers", "status")
    assert code == 0 and "Process 4 on shelf is dead." in out and "payments 4, default 2" in out
    assert f"Process {os.getpid()} on shelf has 1 stuck" in out and "sms.send" in out
    only = document(shop("workers", "status", "payments", "--json"))
    assert [entry["pid"] for entry in only["workers"]] == [4]
    assert "start `edge worker --queue payments`" in shop("workers", "status", "payments")[1]


def test_without_workers_it_says_how_to_start_one(shop):
    code, out, _ = shop("workers", "status")
    assert code == 0 and out == "No worker is running: start one with `edge run` or `edge worker`.\n"
    for noun in ("queue", "workers"):
        code, _, err = shop(noun, "restart")
        assert code == 1 and "Nothing to restart. No worker is running" in err


def test_work_whose_holder_says_nothing_is_shown_too(shop, work, tmp_path):
    with rows_of(tmp_path) as now:
        jobs.claim("sms", holder.own_name(), now)
    [entry] = document(shop("workers", "status", "--json"))["workers"]
    assert (entry["state"], entry["pid"]) == ("once", os.getpid())
    assert [held["id"] for held in entry["busy"]] == [work["text"]]
    assert "edge queue work --once" in shop("workers", "status")[1]


def test_who_does_not_begin_anew_in_time_is_named(shop, tmp_path):
    with rows_of(tmp_path) as now:
        beat(holder.own_name(), now, pid=os.getpid())
    code, out, _ = shop("queue", "restart", "--wait", "0.3")
    assert code == 1 and "0 of 1 worker process began anew within 0.3 s." in out
    assert f"Process {os.getpid()} on shelf was asked" in out
    assert "asked to begin anew" in shop("workers", "status")[1]
    assert document(shop("workers", "restart", "--wait", "0", "--json")) == {"asked": 1}


# Real processes


def line_of(tmp_path, *words):
    return [sys.executable, "-m", "edge", "--state", str(tmp_path / "box"), *words]


def environ():
    """Without what would speak of another box, or of another window."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
    return {name: value for name, value in mine.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}


@pytest.fixture
def worker(shop, tmp_path):
    """A real `edge queue work` on two quiet queues."""
    words = ("queue", "work", "--queue=photos,downloads", "--timeout=300", "--tries=3")
    with (tmp_path / "worker.log").open("ab") as log:
        process = subprocess.Popen(line_of(tmp_path, *words), env=environ(), stdout=log, stderr=log)
    wait_for(lambda: started_at(tmp_path, process.pid), PATIENCE_S)
    yield process
    process.terminate()
    process.wait(60)


def started_at(tmp_path, pid):
    with rows_of(tmp_path):
        row = Heartbeat.get_or_none(Heartbeat.pid == pid)
        return None if row is None else row.started_at


def test_a_restart_waits_until_all_workers_began_anew(shop, worker, tmp_path):
    before = started_at(tmp_path, worker.pid)
    told = document(shop("queue", "restart", "--wait", str(PATIENCE_S), "--json"))
    assert told == {"asked": 1, "restarted": 1, "left": []}
    assert worker.poll() is None and started_at(tmp_path, worker.pid) > before
    assert "1 worker process began anew." in shop("workers", "restart", "--wait", str(PATIENCE_S))[1]
    code, out, _ = shop("workers", "status", "downloads")
    assert code == 0 and "photos 1, downloads 1" in out and "Nothing is being worked on." in out


def test_piped_it_appends_and_ctrl_c_ends_it_well(shop, tmp_path):
    line = line_of(tmp_path, "queue", "status", "--watch", "0.2", "--json")
    process = subprocess.Popen(line, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and err == ""
    assert all(len(entry["queues"]) == len(jobs.QUEUES) for entry in found)
    assert all(json.loads(text) for text in rest.splitlines())


def test_piped_for_people_each_look_stands_below_the_last(shop, tmp_path):
    line = line_of(tmp_path, "workers", "status", "--watch", "0.2")
    process = subprocess.Popen(line, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = [process.stdout.readline() for _ in range(8)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert len([text for text in said if "every 0.2 s; Ctrl-C ends it" in text]) == 2
    assert "\x1b" not in "".join(said)


def test_whoever_has_read_enough_hears_no_complaint(shop, tmp_path):
    line = line_of(tmp_path, "queue", "status", "--watch", "0.1")
    process = subprocess.Popen(line, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(PATIENCE_S) == 0


class Terminal:
    """A command on a terminal of its own, of so many lines and columns."""

    def __init__(self, line, lines=24, columns=80):
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.execve(line[0], line, environ())
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.seen = ""

    def read(self, until, timeout_s=PATIENCE_S):
        """What it shows, until this is true of it, or it has ended."""
        deadline = time.monotonic() + timeout_s
        while not until(self.seen):
            assert time.monotonic() < deadline, self.seen
            if select.select([self.handle], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.handle, 65536).decode(errors="replace")
                except OSError:  # EIO: it has ended
                    return self.seen
        return self.seen

    def type(self, text):
        os.write(self.handle, text.encode())

    def end(self):
        """How it ended."""
        self.read(lambda seen: False)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.handle)
        return os.waitstatus_to_exitcode(status)


def test_on_a_terminal_it_is_redrawn_in_place_until_ctrl_c(shop, tmp_path):
    terminal = Terminal(line_of(tmp_path, "queue", "status", "--watch", "0.2"), lines=40, columns=60)
    terminal.read(lambda seen: seen.count("\x1b[H") >= 3)
    terminal.type("\x03")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.seen and "Aborted" not in terminal.seen
    frames = terminal.seen.split("\x1b[H")[1:3]
    for frame in frames:
        lines = frame.replace("\x1b[K", "").split("\x1b[J")[0].splitlines()
        assert "every 0.2 s" in lines[0] and any(line.startswith("log-rotation") for line in lines)
        assert all(len(line) < 60 for line in lines) and lines[-1].endswith("…")


def test_a_small_window_is_not_scrolled_away(shop, tmp_path):
    terminal = Terminal(line_of(tmp_path, "queue", "status", "--watch"), lines=10)
    terminal.read(lambda seen: "\x1b[J" in seen)
    terminal.type("\x03")
    assert terminal.end() == 0
    lines = terminal.seen.split("\x1b[H")[1].split("\x1b[J")[0].splitlines()
    assert len(lines) == 9 and "more lines: make the window taller" in lines[-1]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_on_a_terminal_it_asks_before_it_forgets(shop, work, tmp_path, answer, code):
    terminal = Terminal(line_of(tmp_path, "queue", "clear", "--queue", "default"))
    terminal.read(lambda seen: "[y/N]" in seen)
    terminal.type(answer)
    assert terminal.end() == code
    assert ("2 failed jobs forgotten." if code == 0 else "Left as it is.") in terminal.seen
    assert len(document(shop("queue", "failed", "--json"))["jobs"]) == (0 if code == 0 else 2)


def test_the_page_on_jobs_names_only_commands_that_exist():
    named = set(re.findall(r"edge (queue|workers) ([a-z]+)", (test_cli.CHECKOUT / "docs" / "jobs.md").read_text()))
    groups = {"queue": queue, "workers": workers}
    assert named and all(verb in groups[noun].commands for noun, verb in named)
