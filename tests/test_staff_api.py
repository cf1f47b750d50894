"""The staff's API through the real application: how the queues do, events by number and as a stream."""

import http.client
import json
import re
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge import jobs
from edge.domain import events, payments, people, queues
from edge.models import Event, Heartbeat, StaffSession
from edge.pages import staff_api, staff_words
from edge.settings_sections import Web
from edge.web import WebServer, build
from tests.shop import ASHA, NOW, worker_is_alive
from tests.web_client import Browser


@pytest.fixture
def njeri(settings):
    browser = Browser(build(settings))
    assert browser.sign_in("Njeri").status == 303
    return browser


# Queues


def test_queue_status_has_the_shape_of_the_contract(njeri):
    worker_is_alive()
    payments.initiate(payments.Wish(1, ASHA), datetime.now(UTC))
    document = njeri.get("/api/admin/queue-status").json
    assert document["healthy"] is True and document["reasons"] == []
    assert [entry["name"] for entry in document["queues"]] == list(jobs.QUEUES)
    names = {"name", "waiting", "scheduled", "running", "done", "failed", "oldest_s", "workers"}
    assert all(entry.keys() == names for entry in document["queues"])
    first = document["queues"][0]
    assert (first["name"], first["waiting"], first["workers"]) == ("payments", 1, 2)
    assert (document["notes"], document["paused"], document["breakers"]) == ([], [], [])


@pytest.mark.parametrize(
    ("beat_s", "served", "waits_s", "reason"),
    [
        (10, list(jobs.QUEUES), 30, ""),
        (10, list(jobs.QUEUES), 90, "The queue payments is behind"),
        (10, ["payments"], 5, "Nobody works on the queue sms"),
        (120, list(jobs.QUEUES), 5, "No worker is running"),
    ],
)
def test_the_queues_are_well_while_somebody_works_and_nothing_waits_long(settings, beat_s, served, waits_s, reason):
    seen_at = NOW - timedelta(seconds=beat_s)
    Heartbeat.create(holder="w", queues=dict.fromkeys(served, 1), started_at=seen_at, seen_at=seen_at)
    jobs.promise("payment.prompt", "payments", NOW - timedelta(seconds=waits_s))
    status = queues.status(NOW)
    assert status["healthy"] is not bool(reason)
    assert reason in " ".join(status["reasons"])


# Events


def test_events_come_by_number_and_only_the_new_ones(njeri):
    for number in range(3):
        events.record("payment.processed", NOW, payment=number)
    first = njeri.get("/api/admin/events").json
    assert [event["name"] for event in first["events"]][-3:] == ["payment.processed"] * 3
    assert first["events"][-1].keys() == {"id", "name", "at", "data"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["events"][-1]["at"])
    assert njeri.get("/api/admin/events", f"after={first['last']}").json == {"events": [], "last": first["last"]}
    assert len(njeri.get("/api/admin/events", f"after={first['last'] - 1}").json["events"]) == 1


def test_a_listener_ahead_of_us_is_led_back(njeri):
    assert njeri.get("/api/admin/events", "after=999999").json == {"events": [], "last": events.last_id()}


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30, "%D9%A1", "1%00"])
def test_a_number_that_is_none_is_named(njeri, after):
    for accept in ("application/json", "text/event-stream"):
        answer = njeri.get("/api/admin/events", f"after={after}", ACCEPT=accept)
        assert (answer.status, answer.json["field"]) == (400, "after")
        assert answer.header("Content-Type") == "application/problem+json"


def test_every_event_there_is_has_words(settings):
    data = {"payment": 1, "phone": "0712•••678", "plan": "1 hour", "amount": 20, "receipt": None, "username": "AB",
            "witness": "callback", "words": "so", "router": "gate", "waited_s": 0.25, "part": "router:gate",
            "guests": 2, "seconds": 600, "why": "the box was off", "who": "Njeri", "job": 7, "work": "sms.send",
            "queue": "sms", "count": 3, "provider": "mpesa"}  # fmt: skip
    for name in ("payment.processed", "payment.failed", "payment.disputed", "prompt.unconfirmed", "user.provisioned",
                 "provisioning.failed", "part.failed", "part.recovered", "clock.trusted", "clock.doubted",
                 "time.credited", "sms.failed", "sms.unconfirmed", "provider.paused", "provider.returned",
                 "job.retried", "job.cancelled", "job.hastened", "job.moved", "jobs.retried", "jobs.cleared",
                 "queue.paused", "queue.resumed", "workers.restarting"):  # fmt: skip
        words = staff_words.event_words(Event(name=name, at=NOW, data=data))
        assert words != name and "{" not in words and "None" not in words
    assert staff_words.event_words(Event(name="tea.ready", at=NOW, data={})) == "tea.ready"


@pytest.fixture
def streaming(settings, monkeypatch):
    """The real server, in a hurry."""
    monkeypatch.setattr(staff_api, "LOOK_S", 0.05)
    monkeypatch.setattr(staff_api, "HEARTBEAT_S", 0.2)
    server = WebServer(replace(settings, web=Web(host="127.0.0.1", port=0, threads=32)))
    server.start()
    token = people.make_token(people.named("Njeri"), "test", NOW)
    opened = []

    def listen(**headers):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        opened.append(connection)
        sent = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        connection.request("GET", "/api/admin/events", headers={**sent, **headers})
        return connection.getresponse()

    yield listen
    for connection in opened:
        connection.close()
    eventually(lambda: staff_api._slots._value == staff_api.STREAMS)
    server.stop()


def eventually(holds, within_s=60):
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)


def next_event(answer):
    """The next event of a stream, past comments and blank lines."""
    told = {}
    while True:
        line = answer.readline().decode().rstrip("\n")
        if not line and "data" in told:
            return told
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            told[name] = value


def test_a_stream_brings_what_happens(streaming):
    answer = streaming()
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.readline() == b"retry: 2000\n"
    events.record("payment.processed", NOW, payment=7, words="a\nb")
    told = next_event(answer)
    assert told["event"] == "payment.processed" and int(told["id"]) == events.last_id()
    assert json.loads(told["data"])["data"] == {"payment": 7, "words": "a\nb"}


def test_who_comes_back_gets_what_was_missed_and_nothing_twice(streaming):
    for number in range(3):
        events.record("user.provisioned", NOW, number=number)
    answer = streaming(**{"Last-Event-ID": str(events.last_id() - 2)})
    assert [json.loads(next_event(answer)["data"])["data"]["number"] for _ in range(2)] == [1, 2]


def test_a_broken_last_event_id_is_named(streaming):
    answer = streaming(**{"Last-Event-ID": "x"})
    assert answer.status == 400 and json.loads(answer.read())["field"] == "Last-Event-ID"


def test_a_quiet_stream_gives_signs_of_life(streaming):
    answer = streaming()
    lines = [answer.readline() for _ in range(5)]
    assert b": still here\n" in lines


def test_the_twenty_first_stream_is_refused_and_a_place_comes_free_again(streaming):
    answers = [streaming() for _ in range(staff_api.STREAMS)]
    assert [answer.status for answer in answers] == [200] * staff_api.STREAMS
    refused = streaming()
    assert (refused.status, refused.headers["Content-Type"]) == (503, "application/problem+json")
    answers[0].close()
    for answer in answers[1:3]:
        answer.close()

    def is_free():
        again = streaming()
        status = again.status
        if status != 200:
            again.close()
        return status == 200

    eventually(is_free)


def test_a_stream_ends_after_a_while_so_that_its_thread_returns(streaming, monkeypatch):
    monkeypatch.setattr(staff_api, "STREAM_S", 0.3)
    with closing(streaming()) as answer:
        assert b"retry" in answer.read()


def test_a_stream_ends_when_its_session_does(streaming):
    answer = streaming()
    assert answer.readline()
    StaffSession.delete().execute()
    answer.read()


def test_asking_for_the_head_of_a_stream_holds_no_place(njeri):
    for _ in range(staff_api.STREAMS + 2):
        answer = njeri.call("HEAD", "/api/admin/events", headers={"ACCEPT": "text/event-stream"})
        assert answer.status == 200
