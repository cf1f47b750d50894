"""M-Pesa telling how our own questions and orders ended."""

import json
from typing import Literal

from bottle import HTTPResponse, request
from peewee import DatabaseError

from edge.devices import mpesa_read
from edge.domain import inbox, org_inbox
from edge.errors import BadInput, NotDurable
from edge.pages.counters import count
from edge.values import networks

KEPT_HEADERS = ("Content-Type", "User-Agent")


def result(secret: str) -> HTTPResponse:
    """How it ended: 200 once it is durable, whatever it means; 404 for a secret nobody was given."""
    return _receive(secret, "result")


def timeout(secret: str) -> HTTPResponse:
    """It expired in M-Pesa's queue."""
    return _receive(secret, "timeout")


def _receive(secret: str, post: Literal["result", "timeout"]) -> HTTPResponse:
    raw: bytes = request.environ["wsgi.input"].read(inbox.LIMIT + 1)
    is_too_long = len(raw) > inbox.LIMIT or int(request.environ.get("CONTENT_LENGTH") or 0) > inbox.LIMIT
    call = _read(post, raw[: inbox.LIMIT], is_too_long)
    try:
        outcome = org_inbox.receive(secret, call, request.environ["edge.now"])
    except DatabaseError as reason:
        raise NotDurable(f"the database could not keep it: {reason}") from reason
    if outcome is None:
        count("callbacks_unknown")
        return _document(404, 1, "Not found")
    count("callbacks")
    if is_too_long:
        return _document(413, 1, "Too long")
    return _document(400, 1, "Not readable") if call.result is None else _document(200, 0, "Accepted")


def _read(post: Literal["result", "timeout"], raw: bytes, is_too_long: bool) -> org_inbox.OrgCall:
    told, fault = None, "longer than 64 KB" if is_too_long else ""
    if not is_too_long:
        try:
            told = (mpesa_read.read_timeout if post == "timeout" else mpesa_read.read_org_result)(raw)
        except BadInput as reason:
            fault = f"unreadable: {reason}"
    source, allowed = request.environ["edge.client"], request.app.config["edge.settings"].mpesa.callback_allow
    headers = {name: value[:200] for name in KEPT_HEADERS if (value := request.get_header(name, ""))}
    return org_inbox.OrgCall(
        post, request.environ["PATH_INFO"], source, headers, raw, told,
        trusted_source=not allowed or networks.contains(allowed, source), fault=fault,
    )  # fmt: skip


def _document(status: int, code: int, words: str) -> HTTPResponse:
    body = json.dumps({"ResultCode": code, "ResultDesc": words})
    return HTTPResponse(body, status, {"Content-Type": "application/json"})
