"""Spans: nothing when off; when on, a real collector receives them under our own trace ids, without phone numbers."""

import gzip
import importlib.util
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge import telemetry, trace
from edge.settings_sections import Telemetry

ROOT = Path(__file__).resolve().parent.parent
ARE_INSTALLED = importlib.util.find_spec("opentelemetry") is not None and all(
    importlib.util.find_spec(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter")
)
real = pytest.mark.skipif(not ARE_INSTALLED, reason="OpenTelemetry is missing: pip install edge[telemetry]")
if ARE_INSTALLED:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    """A collector of OTLP/HTTP in thirty lines: it keeps every span, and the resource it came with."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Taking)
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.spans, self.resources, self.paths = {}, [], set()
        self.answer = 200
        self.held = threading.Event()
        self.held.set()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, path, body):
        self.paths.add(path)
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(plain(part.resource.attributes))
            self.spans.update({span.name: span for scope in part.scope_spans for span in scope.spans})


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.held.wait(60)
        self.server.take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.send_response(self.server.answer)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        return


def run(program):
    """What a process of its own says."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT).stdout


def plain(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@pytest.fixture
def collector():
    taking = Collector()
    yield taking
    taking.held.set()
    telemetry.stop()
    taking.shutdown()
    taking.server_close()


@pytest.fixture
def sent(collector):
    """What the collector has got once everything in hand was sent."""
    telemetry.configure(Telemetry(endpoint=collector.endpoint, service="njeri"), "worker")

    def wait():
        telemetry.stop(60)
        return collector.spans

    return wait


def test_without_an_endpoint_a_span_is_nothing_at_all():
    telemetry.configure(Telemetry())
    assert not telemetry.is_on()
    assert telemetry.span("sale", plan=1) is telemetry.span("job")
    with telemetry.span("sale", phone="254712345678"):
        pass
    with pytest.raises(ValueError, match="on its way"), telemetry.span("sale"):
        raise ValueError("on its way")


def test_a_span_that_is_off_costs_next_to_nothing():
    telemetry.configure(Telemetry())
    begun = time.perf_counter()
    for _ in range(20_000):
        with telemetry.span("sale", plan=1):
            pass
    assert (time.perf_counter() - begun) / 20_000 < 20e-6  # a microsecond on a quiet machine


def test_without_the_libraries_the_box_says_what_to_install():
    hiding = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from edge import telemetry\n"
        "from edge.settings import Telemetry\n"
        "telemetry.configure(Telemetry())\n"
        "try:\n"
        "    telemetry.configure(Telemetry(endpoint='http://127.0.0.1:4318'))\n"
        "except telemetry.NotInstalled as reason:\n"
        "    print(reason)\n"
    )
    said = run(hiding)
    assert "pip install edge[telemetry]" in said and "[telemetry] endpoint" in said


def test_opentelemetry_is_not_loaded_while_it_is_off():
    words = "import sys; from edge import telemetry; print([name for name in sys.modules if 'opentelemetry' in name])"
    assert run(words).strip() == "[]"


@real
def test_a_sale_s_spans_carry_the_sale_s_own_trace(sent, collector):
    with trace.within(trace.new()) as sale, telemetry.span("stk push", plan=1, amount_cents=2000, is_new=True):
        with telemetry.span("router.admit", router="gate", note=None):
            pass
    spans = sent()
    assert {name: span.trace_id.hex() for name, span in spans.items()} == {"stk push": sale, "router.admit": sale}
    assert spans["router.admit"].parent_span_id == spans["stk push"].span_id
    assert not spans["stk push"].parent_span_id
    assert plain(spans["stk push"].attributes) == {"plan": 1, "amount_cents": 2000, "is_new": True}
    assert plain(spans["router.admit"].attributes) == {"router": "gate"}
    [resource] = collector.resources
    assert (resource["service.name"], resource["edge.process"]) == ("njeri", "worker")
    assert collector.paths == {"/v1/traces"}


@real
def test_work_of_another_trace_inside_a_span_keeps_its_own(sent):
    with trace.within(trace.new()) as sweep, telemetry.span("sweep"):
        with trace.within(trace.new()) as sale, telemetry.span("job"):
            pass
    spans = sent()
    assert spans["sweep"].trace_id.hex() == sweep
    assert spans["job"].trace_id.hex() == sale and not spans["job"].parent_span_id


@real
@pytest.mark.parametrize("place", ["", "not hexadecimal", "0" * 32, "+" * 32])
def test_without_a_trace_a_span_begins_one(sent, place):
    with trace.within(place), telemetry.span("outer"), telemetry.span("inner"):
        pass
    spans = sent()
    assert int.from_bytes(spans["outer"].trace_id, "big") != 0
    assert spans["inner"].trace_id == spans["outer"].trace_id
    assert spans["inner"].parent_span_id == spans["outer"].span_id


@real
def test_an_error_marks_its_span_and_goes_on_its_way(sent):
    with pytest.raises(RuntimeError), telemetry.span("sms.send"):
        raise RuntimeError("no answer for 0712 345 678")
    status = sent()["sms.send"].status
    assert (status.code, status.message) == (2, "RuntimeError: no answer for 2547…678")
    assert not sent()["sms.send"].events


@real
def test_no_phone_number_and_no_secret_leaves_in_a_span(sent):
    with telemetry.span(
        "ask +254712345678", to="0712345678", number=254712345678, url="http://box/cb/0123456789abcdef",
        password="hunter2", phone=712345678, receipt="UC25T00001", seconds=3600, many=["254712345678", 5],
    ):  # fmt: skip
        pass
    [(name, span)] = sent().items()
    assert name == "ask 2547…678"
    assert plain(span.attributes) == {
        "to": "2547…678", "number": "2547…678", "url": "http://box/cb/012345…", "password": "…", "phone": "2547…678",
        "receipt": "UC25T00001", "seconds": 3600, "many": "['2547…678', 5]",
    }  # fmt: skip


@real
def test_an_endpoint_may_name_the_whole_address(collector):
    telemetry.configure(Telemetry(endpoint=collector.endpoint + "/v1/traces"))
    with telemetry.span("sale"):
        pass
    telemetry.stop(60)
    assert collector.paths == {"/v1/traces"} and set(collector.spans) == {"sale"}


@real
def test_a_collector_that_goes_and_comes_back_is_told_of_once_each(collector, caplog):
    def send(name):
        with telemetry.span(name):
            pass
        return telemetry._sending.provider.force_flush(30_000)

    caplog.set_level("INFO", logger="edge.telemetry")
    telemetry.configure(Telemetry(endpoint=collector.endpoint))
    collector.answer = 400
    send("lost"), send("lost as well")
    collector.answer = 200
    send("kept"), send("kept as well")
    assert {"kept", "kept as well"} <= set(collector.spans)
    said = [record.getMessage().split(" ", 1)[1] for record in caplog.records if record.name == "edge.telemetry"]
    assert said[1:] == ["takes no spans; they are lost until it does", "takes spans again"]


@real
@pytest.mark.parametrize("is_there", [True, False], ids=["silent", "gone"])
def test_a_collector_that_does_not_answer_holds_nobody_up(collector, is_there):
    collector.held.clear()
    endpoint = collector.endpoint if is_there else "http://127.0.0.1:9"
    telemetry.configure(Telemetry(endpoint=endpoint))
    begun = time.monotonic()
    for number in range(3000):
        with telemetry.span(f"sale {number}"):
            pass
    telemetry.stop(0.5)
    assert time.monotonic() - begun < 30
    assert not telemetry.is_on()
