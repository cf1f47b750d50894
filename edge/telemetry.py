"""Spans for an OpenTelemetry collector: off unless `[telemetry] endpoint` names one, and then costing nothing.

A span's trace id is ours (`edge.trace`), so a line of the log, a job's row and a span are found by one name.
"""

import contextlib
import importlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge import __version__, trace
from edge.errors import EdgeError
from edge.logs import mask
from edge.settings_sections import Telemetry

log = logging.getLogger("edge.telemetry")

SEND_WITHIN_S = 5.0
END_WITHIN_S = 3.0
SPANS_PATH = "/v1/traces"  # OTLP/HTTP: where a collector takes spans

_NOTHING: AbstractContextManager[None] = contextlib.nullcontext()


class NotInstalled(EdgeError):
    """Spans are asked for, and the libraries that send them are missing."""


@dataclass(frozen=True)
class _Sending:
    """What is needed while spans are sent: OpenTelemetry's own parts, loaded by name since they may be missing."""

    api: ModuleType
    empty: Any  # a context without a span
    provider: Any
    tracer: Any


_sending: _Sending | None = None


def is_on() -> bool:
    """Are spans sent?"""
    return _sending is not None


def configure(told: Telemetry, process: str = "edge") -> None:
    """Begin to send spans, if an endpoint is named; NotInstalled where the libraries for it are missing.

    Spans leave in batches from a thread of their own; a collector that does not answer costs spans, nothing else.
    """
    global _sending
    stop()
    if not told.endpoint:
        return
    api, sdk, resources, export, otlp = _load(
        "opentelemetry.trace", "opentelemetry.sdk.trace", "opentelemetry.sdk.resources",
        "opentelemetry.sdk.trace.export", "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    )  # fmt: skip
    resource = resources.Resource.create({
        "service.name": told.service, "service.version": __version__, "edge.process": process,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    })  # fmt: skip
    provider = sdk.TracerProvider(resource=resource, id_generator=_OurIds(), shutdown_on_exit=False)
    endpoint = told.endpoint.rstrip("/")
    address = endpoint if endpoint.endswith(SPANS_PATH) else endpoint + SPANS_PATH
    exporter = _Sender(otlp.OTLPSpanExporter(endpoint=address, timeout=SEND_WITHIN_S), address)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    empty = importlib.import_module("opentelemetry.context").Context()
    _sending = _Sending(api, empty, provider, provider.get_tracer("edge", __version__))
    log.info("spans go to %s", address)


def stop(within_s: float = END_WITHIN_S) -> None:
    """Send what is in hand, for at most so long, and send no more."""
    global _sending
    sending, _sending = _sending, None
    if sending is None:
        return
    # Its own time limit holds between two tries, not within one: the process must not wait for a dead collector.
    ending = threading.Thread(target=sending.provider.shutdown, name="last-spans", daemon=True)
    ending.start()
    ending.join(within_s)
    if ending.is_alive():
        log.warning("the collector does not answer: the last spans are lost")


def span(name: str, **attributes: object) -> AbstractContextManager[None]:
    """What happens in here, as a span of the current trace; an error that leaves it marks it and goes on its way.

    Phone numbers and secrets in attributes are masked as in the logs.
    """
    if _sending is None:
        return _NOTHING
    return _record(_sending, name, attributes)


@contextmanager
def _record(sending: _Sending, name: str, attributes: dict[str, object]) -> Iterator[None]:
    api = sending.api
    around = api.get_current_span().get_span_context()
    place = _as_id(trace.current())
    is_inside = around.is_valid and place in (None, around.trace_id)
    known = {key: _fit(key, value) for key, value in attributes.items() if value is not None}
    with sending.tracer.start_as_current_span(
        mask(name), context=None if is_inside else sending.empty, attributes=known,
        record_exception=False, set_status_on_exception=False,  # it would tell the error's words unmasked
    ) as recorded:  # fmt: skip
        try:
            yield
        except Exception as reason:
            recorded.set_status(api.Status(api.StatusCode.ERROR, mask(f"{type(reason).__name__}: {reason}")))
            raise


def _fit(key: str, value: object) -> str | int | float | bool:
    """An attribute as OpenTelemetry takes it; its name helps to know a phone number or a secret."""
    told = mask(f"{key}={value}").partition("=")[2]
    return value if isinstance(value, bool | int | float) and told == str(value) else told


class _Sender:
    """OpenTelemetry's SpanExporter (by its three methods) around theirs, which would tell of every batch it loses."""

    def __init__(self, exporter: Any, address: str) -> None:
        self._exporter, self._address = exporter, address
        self._is_lost = False

    def export(self, spans: Any) -> Any:
        """Send a batch; when the collector stops answering or answers again, that is told once."""
        result = self._exporter.export(spans)
        is_lost = result.name != "SUCCESS"
        if is_lost and not self._is_lost:
            log.warning("%s takes no spans; they are lost until it does", self._address)
        elif self._is_lost and not is_lost:
            log.info("%s takes spans again", self._address)
        self._is_lost = is_lost
        return result

    def shutdown(self) -> None:
        """Give up what is being tried."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here."""
        return bool(self._exporter.force_flush(timeout_millis))


class _OurIds:
    """OpenTelemetry's IdGenerator (by its three methods): a trace that begins here is the one we are in."""

    def generate_span_id(self) -> int:
        """64 random bits, never nought."""
        return secrets.randbits(64) or 1

    def generate_trace_id(self) -> int:
        """The current trace as a number, else a new one."""
        return _as_id(trace.current()) or int(trace.new(), 16)

    def is_trace_id_random(self) -> bool:
        """Ours are, but a caller's may not be."""
        return False


def _as_id(place: str) -> int | None:
    if len(place) != 32 or place.strip("0123456789abcdef"):
        return None
    return int(place, 16) or None


def _load(*names: str) -> list[ModuleType]:
    """The one place where OpenTelemetry is loaded."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as reason:
        raise NotInstalled(
            "[telemetry] endpoint: OpenTelemetry's libraries are missing; install them with "
            f"`pip install edge[telemetry]`, or leave endpoint empty ({reason})"
        ) from reason
