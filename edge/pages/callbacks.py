"""M-Pesa calling in, and whoever pretends to be M-Pesa."""

import json
from collections.abc import Callable
from datetime import datetime
from functools import partial

from bottle import HTTPResponse, request
from peewee import DatabaseError

from edge.devices import mpesa
from edge.domain import inbox
from edge.errors import BadInput, NotDurable
from edge.pages.counters import count
from edge.values import networks
from edge.values.stk import StkResult

LIMIT = inbox.LIMIT
KEPT_HEADERS = ("Content-Type", "Businessshortcode", "User-Agent")


def stk_result(secret: str) -> HTTPResponse:
    """A payment's own address: 200 once it is durable, whatever it means; 404 for a secret nobody was given."""
    return _receive(partial(inbox.receive_at, secret))


def stk_hint() -> HTTPResponse:
    """The bare address: kept, acknowledged, and never taken as proof."""
    return _receive(inbox.receive)


def _receive(receive: Callable[[inbox.Call, datetime], str | None]) -> HTTPResponse:
    body, too_long = _read_body()
    result, fault = None, "longer than 64 KB" if too_long else ""
    if not too_long:
        try:
            result = mpesa.read_stk_result(body)
        except BadInput as reason:
            fault = f"unreadable: {reason}"
    settings = request.app.config["edge.settings"]
    source: str = request.environ["edge.client"]
    now: datetime = request.environ["edge.now"]
    allowed = settings.mpesa.callback_allow
    call = inbox.Call(
        address=request.path, source=source, headers=_headers(), body=body, result=result,
        trusted_source=not allowed or networks.contains(allowed, source), fault=fault,
        shops=frozenset(filter(None, (settings.mpesa.shortcode, settings.mpesa.till))),
    )  # fmt: skip
    try:
        outcome = receive(call, now)
    except DatabaseError as reason:
        raise NotDurable(f"the database could not keep it: {reason}") from reason
    if outcome is None:
        count("callbacks_unknown")
        return _answer(404, {"ResultCode": 1, "ResultDesc": "Not found"})
    count("callbacks")
    return _verdict(result, too_long)


def _verdict(result: StkResult | None, too_long: bool) -> HTTPResponse:
    if too_long:
        return _answer(413, {"ResultCode": 1, "ResultDesc": "Too long"})
    if result is None:
        return _answer(400, {"ResultCode": 1, "ResultDesc": "Not readable"})
    return _answer(200, {"ResultCode": 0, "ResultDesc": "Accepted"})


def _read_body() -> tuple[bytes, bool]:
    body: bytes = request.environ["wsgi.input"].read(LIMIT + 1)
    return body[:LIMIT], len(body) > LIMIT or (request.content_length or 0) > LIMIT


def _headers() -> dict[str, str]:
    return {name: str(request.get_header(name))[:200] for name in KEPT_HEADERS if request.get_header(name)}


def _answer(status: int, document: dict[str, object]) -> HTTPResponse:
    return HTTPResponse(json.dumps(document), status, {"Content-Type": "application/json"})
