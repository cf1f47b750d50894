"""What Prometheus is told, read back by its own parser; and liveness, readiness."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge import desk
from edge.domain import breakers, clock
from edge.models import Heartbeat, JobMinute, Router
from edge.pages import counters, metrics
from edge.web import build
from tests import shop
from tests.shop import NOW, fail, prompt, worker_is_alive
from tests.test_board import promise
from tests.web_client import Browser

NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
HOSTILE = 'a "quoted"\\ name\nwith lines'


@pytest.fixture
def settings(tmp_path):
    with shop.opened(tmp_path) as settings:
        yield settings


@pytest.fixture
def web(settings):
    return Browser(build(settings))


def families(text):
    return {found.name: found for found in text_string_to_metric_families(text)}


def value(text, wanted, /, **labels):
    """The one sample of this name with these labels."""
    samples = [sample for found in text_string_to_metric_families(text) for sample in found.samples]
    found = [sample.value for sample in samples if sample.name == wanted and labels.items() <= sample.labels.items()]
    assert len(found) == 1, (wanted, labels, found)
    return found[0]


def ended(at, name="sms.send", queue="sms", **sums):
    JobMinute.create(minute=int(at.timestamp() // 60), queue=queue, name=name, **sums)


def test_the_page_is_in_the_text_format_that_prometheus_reads(web):
    worker_is_alive()
    ended(NOW, done=3)
    answer = web.get("/metrics")
    assert answer.status == 200 and answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert answer.text.endswith("\n") and "" not in lines
    for name, found in families(answer.text).items():
        full = name + "_total" if found.type == "counter" else name
        assert lines.count(f"# TYPE {full} {found.type}") == 1 and found.type != "unknown", name
        assert found.documentation and lines.index(f"# HELP {full} {found.documentation}") >= 0
        assert name.startswith("edge_")
    samples = [(s.name, tuple(s.labels.items())) for found in families(answer.text).values() for s in found.samples]
    assert len(samples) == len(set(samples))


def test_depth_age_workers_and_pauses_are_told_by_queue(web):
    worker_is_alive()
    Heartbeat.update(stuck=2).execute()
    now = datetime.now(UTC)
    prompt(at=now)
    promise("mail.send", "emails", now - timedelta(seconds=90))
    promise("mail.send", "emails", now, run_at=now + timedelta(hours=1))
    fail(promise("sms.send", "sms", now))
    desk.pause("emails", "", now)
    text = web.get("/metrics").text
    for queue, state, count in (("payments", "waiting", 1), ("emails", "waiting", 1), ("emails", "scheduled", 1),
                                ("sms", "failed", 1), ("sms", "done", 0)):  # fmt: skip
        assert value(text, "edge_queue_jobs", queue=queue, state=state) == count
    assert 90 <= value(text, "edge_queue_oldest_seconds", queue="emails") < 150
    assert value(text, "edge_queue_workers", queue="sms") == 2
    assert [value(text, "edge_queue_paused", queue=queue) for queue in ("emails", "sms")] == [1, 0]
    assert value(text, "edge_worker_processes") == 1 and value(text, "edge_worker_stuck_threads") == 2
    assert value(text, "edge_work_healthy") == 1 and value(text, "edge_clock_trusted") == 1


def test_outcomes_and_durations_are_summed_since_midnight(settings):
    ended(NOON.replace(hour=0, minute=0), done=5, failed=1, retried=2, run_s=16.5, wait_s=0.8)
    ended(NOON, done=1, run_s=0.25, wait_s=0.002)
    ended(NOON - timedelta(hours=13), done=100)  # yesterday
    ended(NOON, "mail.send", "emails", done=7)
    text = metrics.text(NOON)
    told = {"queue": "sms", "name": "sms.send"}
    for outcome, count in (("done", 6), ("failed", 1), ("retried", 2)):
        assert value(text, "edge_job_attempts_total", outcome=outcome, **told) == count
    assert value(text, "edge_job_run_seconds_sum", **told) == 16.75
    assert value(text, "edge_job_wait_seconds_sum", **told) == pytest.approx(0.802)
    assert value(text, "edge_job_run_seconds_count", **told) == value(text, "edge_job_wait_seconds_count", **told) == 9
    assert value(text, "edge_job_attempts_total", queue="emails", outcome="done") == 7


def test_how_soon_work_begins_is_told_of_the_last_five_minutes(settings):
    ended(NOON - timedelta(minutes=2), done=3, retried=1, wait_s=0.01, wait_max_s=0.004, run_max_s=2.0)
    ended(NOON - timedelta(minutes=9), done=1, wait_s=60, wait_max_s=60)
    text = metrics.text(NOON)
    assert value(text, "edge_job_start_latency_seconds", queue="sms") == 0.0025
    assert value(text, "edge_job_start_latency_max_seconds", queue="sms") == 0.004
    assert value(text, "edge_job_run_max_seconds", queue="sms") == 2


def test_breakers_and_calls_are_told(web):
    gate = Router.create(name=HOSTILE, host="10.5.50.1")
    for _ in range(breakers.FAILURES):
        breakers.note_failure(f"router:{gate.id}", "no answer", NOW)
    breakers.note_failure("mpesa", "no answer", NOW)
    before = value(web.get("/metrics").text, "edge_callbacks_unknown_total")
    counters.count("callbacks_unknown")
    text = web.get("/metrics").text
    assert value(text, "edge_breaker_state", provider=f"router:{HOSTILE}", state="open") == 1
    assert value(text, "edge_breaker_state", provider="mpesa", state="closed") == 1
    assert value(text, "edge_breaker_failures", provider="mpesa") == 1
    assert value(text, "edge_callbacks_unknown_total") == before + 1
    assert value(text, "edge_callbacks_total") >= 0


def test_names_from_elsewhere_and_odd_figures_leave_the_format_whole(settings):
    clock.beat(NOW, synchronised=False)
    ended(NOON, HOSTILE, "sms", done=1, run_s=1e-9, wait_s=1e300)
    text = metrics.text(NOON)
    assert value(text, "edge_job_run_seconds_sum", name=HOSTILE) == 0
    assert value(text, "edge_job_wait_seconds_sum", name=HOSTILE) == 1e300


def test_the_figures_are_cheap_beside_a_month_of_history(settings):
    names = [f"kind.{number}" for number in range(8)]
    start = int(NOON.timestamp() // 60)
    for day in range(31):
        minutes = range(start - day * 1440 - 199, start - day * 1440 + 1)
        rows = [{"minute": m, "queue": "sms", "name": name, "done": 1} for m in minutes for name in names]
        for place in range(0, len(rows), 400):
            JobMinute.insert_many(rows[place : place + 400]).execute()
    began = time.process_time()
    text = metrics.text(NOON)
    assert time.process_time() - began < 1.0
    assert value(text, "edge_job_attempts_total", name="kind.0", outcome="done") == 200


def test_liveness_needs_nothing_and_readiness_a_database_and_a_worker(web):
    assert web.get("/health").json["status"] == "ok"
    idle = web.get("/ready")
    assert (idle.status, idle.json["ready"]) == (503, False) and "No worker" in idle.json["reasons"][0]
    worker_is_alive()
    assert web.get("/ready").json == {"ready": True, "reasons": []}
