"""Rings on their way to other machines: heard where somebody is free, lost harmlessly, in nobody's way."""

import logging
import threading
import time

import pytest
from huey import storage

from edge.bell import bell
from edge.delivery import KEPT, Delivery, NoRedis, PostgresLine, RedisLine, health, line_to
from tests.servers import Postgres, Redis, needs_postgres, needs_redis

pytestmark = [needs_postgres, needs_redis]


@pytest.fixture(scope="module")
def redis():
    with Redis() as found:
        yield found


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as found:
        yield found


@pytest.fixture(params=["redis", "postgres"])
def url(request, redis, postgres):
    if request.param == "postgres":
        return postgres.url()
    redis.ask("FLUSHALL")
    return redis.url


@pytest.fixture
def deliveries():
    """Each is a machine's; all share this process's bell."""
    made = []

    def make(url):
        made.append(Delivery())
        made[-1].point_to(url)
        return made[-1]

    yield make
    for delivery in made:
        delivery.close()


class Worker:
    """Somebody who waits for one queue, in a thread of his own."""

    def __init__(self, queue):
        self.queue, self.woken = queue, threading.Event()
        self._seen = bell.count(queue)
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()
        eventually(lambda: bell.is_awaited(queue))

    def _wait(self):
        if bell.wait(self.queue, self._seen, 60) != self._seen:
            self.woken.set()


def eventually(holds, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def heard(line, queues, timeout_s=10.0):
    deadline, found = time.monotonic() + timeout_s, []
    while not found and time.monotonic() < deadline:
        found = line.hear(queues, 0.2)
    return found


def test_a_ring_wakes_who_waits_on_another_machine(url, deliveries):
    there = deliveries(url)
    there.listen(["sms", "payments"])
    here = line_to(url)
    waits, sleeps = Worker("sms"), Worker("payments")
    while not waits.woken.wait(0.2):  # a listener that has not begun yet hears no NOTIFY
        here.send(["sms"])
    assert not sleeps.woken.is_set()
    bell.ring(["payments"])
    assert sleeps.woken.wait(30)
    here.close()


def test_a_ring_costs_the_commit_nothing_while_nobody_answers(deliveries, caplog):
    deliveries("redis://127.0.0.1:1/0")
    caplog.set_level(logging.WARNING, "edge.delivery")
    began = time.monotonic()
    for _ in range(1000):
        bell.ring(["sms"])
    assert time.monotonic() - began < 1.0
    eventually(lambda: caplog.records)
    bell.ring(["sms"])
    time.sleep(0.2)
    assert len(caplog.records) == 1  # told once, however often


def test_when_the_server_is_back_rings_are_carried_again_and_everybody_looks(deliveries, caplog):
    caplog.set_level(logging.WARNING, "edge.delivery")
    with Redis() as own:
        delivery = deliveries(own.url)
        delivery.listen(["sms"])
        waits = Worker("sms")
        own.kill()
        eventually(lambda: "no ring reaches" in caplog.text)
        assert not waits.woken.is_set()
        own.start()
        assert waits.woken.wait(30)  # though nobody rang
        again = Worker("sms")
        while not again.woken.wait(0.2):
            bell.ring(["sms"])
        assert "again" in caplog.text


@needs_redis
def test_messages_nobody_listens_to_stay_few_and_fade(redis):
    redis.ask("FLUSHALL")
    line = RedisLine(redis.url)
    for _ in range(10):
        line.send(["router-checks"] * 50)
    assert redis.ask("KEYS", "*") == "huey.redis.edge.router-checks"
    assert int(redis.ask("LLEN", "huey.redis.edge.router-checks")) == KEPT
    assert 0 < int(redis.ask("TTL", "huey.redis.edge.router-checks")) <= 60
    line.close()


def test_a_busy_machine_leaves_a_message_to_one_with_a_free_hand(redis):
    redis.ask("FLUSHALL")
    line = RedisLine(redis.url)
    line.send(["downloads"])
    assert line.hear(["downloads"], 0.1) == []  # nobody here waits for it
    Worker("downloads")
    assert heard(line, ["downloads"]) == ["downloads"]
    assert line.hear(["downloads"], 0.1) == []
    bell.hear(["downloads"])
    line.close()


def test_what_the_doctor_says(url, redis, postgres):
    assert [state for state, _, _ in health(url)] == ["ok"]
    assert health("sqlite:///edge.db") == []
    [(state, words, cure)] = health("redis://127.0.0.1:1/0")
    assert (state, "5 seconds" in words, "redis-server" in cure) == ("warning", True, True)


def test_one_machine_needs_no_line():
    assert (line_to("sqlite:///edge.db"), line_to("")) == (None, None)
    assert isinstance(line_to("postgresql://db.test/edge"), PostgresLine)


def test_without_the_library_the_cure_is_named(monkeypatch):
    monkeypatch.setattr(storage, "Redis", None)
    with pytest.raises(NoRedis, match=r"pip install edge\[redis\]"):
        line_to("redis://127.0.0.1/0")
