"""M-Pesa calling in, and whoever pretends to be M-Pesa."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from bottle import HTTPResponse, request
from peewee import DatabaseError

from edge.devices import mpesa_read
from edge.domain import confirmations, inbox, org_requests
from edge.errors import BadInput, NotDurable
from edge.pages.counters import count
from edge.values import networks
from edge.values.org_api import C2bNotice

LIMIT = inbox.LIMIT
KEPT_HEADERS = {
    "Content-Type": "CONTENT_TYPE", "Businessshortcode": "HTTP_BUSINESSSHORTCODE", "User-Agent": "HTTP_USER_AGENT",
}  # fmt: skip
Answer = tuple[int, bytes]


@dataclass(frozen=True)
class _Read:
    """A call as it arrived, and what could be made of it."""

    call: inbox.Call
    result: inbox.Result | None
    is_too_long: bool


def stk_result(secret: str) -> HTTPResponse:
    """A payment's own address: 200 once it is durable, whatever it means; 404 for a secret nobody was given."""
    return _receive(partial(inbox.receive_at, secret))


def stk_hint() -> HTTPResponse:
    """The bare address: kept, acknowledged, and never taken as proof."""
    return _receive(inbox.receive)


def c2b_confirmation(secret: str) -> HTTPResponse:
    """The shop's own address: money that a customer paid by himself. 200 once it is durable."""
    return _receive(partial(inbox.receive_confirmation, secret), "c2b")


def c2b_validation(secret: str) -> HTTPResponse:
    """M-Pesa asks beforehand whether to take a payment; nothing is kept, and whatever is unclear may come."""
    if not org_requests.is_c2b_secret(secret):
        count("callbacks_unknown")
        return _response(_document(404, 1, "Not found"))
    read = _read(request.environ, request.app.config["edge.settings"], request.environ["edge.client"], "c2b")
    why = confirmations.refusal(read.result, read.call.shop) if isinstance(read.result, C2bNotice) else ""
    told = {"ResultCode": why or "0", "ResultDesc": "Rejected" if why else "Accepted"}
    return _response((200, json.dumps(told).encode()))


def begin_stk_result(
    secret: str, environ: Mapping[str, Any], settings: Any, source: str, now: datetime,
    done: Callable[[Answer | None], None],
) -> None:  # fmt: skip
    """`stk_result` for a server that need not wait: `done` gets status and body from the writer's thread.

    None when it could not be kept: let `stk_result` try again, and tell why.
    """
    read = _read(environ, settings, source)

    def answer(kept: "Future[str | None]") -> None:
        if kept.exception() is not None:
            environ["wsgi.input"].seek(0)
        done(_verdict(kept.result(), read) if kept.exception() is None else None)

    inbox.begin_receive_at(secret, read.call, now).add_done_callback(answer)


def _receive(receive: Callable[[inbox.Call, datetime], str | None], kind: str = "stk") -> HTTPResponse:
    read = _read(request.environ, request.app.config["edge.settings"], request.environ["edge.client"], kind)
    try:
        outcome = receive(read.call, request.environ["edge.now"])
    except DatabaseError as reason:
        raise NotDurable(f"the database could not keep it: {reason}") from reason
    return _response(_verdict(outcome, read))


def _response(answer: Answer) -> HTTPResponse:
    return HTTPResponse(answer[1], answer[0], {"Content-Type": "application/json"})


def _read(environ: Mapping[str, Any], settings: Any, source: str, kind: str = "stk") -> _Read:
    body, is_too_long = _read_body(environ)
    result: inbox.Result | None = None
    fault = "longer than 64 KB" if is_too_long else ""
    if not is_too_long:
        try:
            result = mpesa_read.read_stk_result(body) if kind == "stk" else mpesa_read.read_c2b(body)
        except BadInput as reason:
            fault = f"unreadable: {reason}"
    allowed = settings.mpesa.callback_allow
    call = inbox.Call(
        address=environ["PATH_INFO"], source=source, headers=_headers(environ), body=body, result=result,
        trusted_source=not allowed or networks.contains(allowed, source), fault=fault, kind=kind,
        policy=settings.mpesa.misfit, shops=frozenset(filter(None, (settings.mpesa.shortcode, settings.mpesa.till))),
    )  # fmt: skip
    return _Read(call, result, is_too_long)


def _verdict(outcome: str | None, read: _Read) -> Answer:
    if outcome is None:
        count("callbacks_unknown")
        return _document(404, 1, "Not found")
    count("callbacks")
    if read.is_too_long:
        return _document(413, 1, "Too long")
    if read.result is None:
        return _document(400, 1, "Not readable")
    return _document(200, 0, "Accepted")


def _read_body(environ: Mapping[str, Any]) -> tuple[bytes, bool]:
    body: bytes = environ["wsgi.input"].read(LIMIT + 1)
    return body[:LIMIT], len(body) > LIMIT or int(environ.get("CONTENT_LENGTH") or 0) > LIMIT


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(environ[key])[:200] for name, key in KEPT_HEADERS.items() if environ.get(key)}


def _document(status: int, code: int, words: str) -> Answer:
    return status, json.dumps({"ResultCode": code, "ResultDesc": words}).encode()
