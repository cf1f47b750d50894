"""SMS gateways calling in: what became of a text, and texts that came to their numbers."""

import hmac

from bottle import HTTPResponse, request
from peewee import DatabaseError

from edge.domain import inbox, sms_hooks
from edge.errors import BadInput, NotDurable
from edge.pages import api
from edge.pages.counters import count
from edge.values.sms_callbacks import TWILIO_SIGNATURE, is_signed_by_twilio, read, read_pairs, twilio_url
from edge.values.sms_gateway import Told

KEPT_HEADERS = {
    "Content-Type": "CONTENT_TYPE", TWILIO_SIGNATURE: "HTTP_X_TWILIO_SIGNATURE", "User-Agent": "HTTP_USER_AGENT",
    "Query": "QUERY_STRING",
}  # fmt: skip
FORM = "application/x-www-form-urlencoded"
NO_REPLY = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'  # Twilio asks what to answer a text with


def africastalking(token: str) -> HTTPResponse:
    """A report, a text or an opt-out. It is not signed: the secret address alone is proof."""
    wanted = request.app.config["edge.settings"].sms.africastalking.callback_token
    return _by_token("africastalking", token, wanted)


def http(token: str) -> HTTPResponse:
    """What another gateway was told to call with, by POST or in the query of a GET."""
    return _by_token("http", token, request.app.config["edge.settings"].sms.http.callback_token)


def twilio() -> HTTPResponse:
    """A status callback or a text; 403 for what our token did not sign, 404 while none is set."""
    settings = request.app.config["edge.settings"]
    if not settings.sms.twilio.auth_token or not settings.web.public_url:
        return api.problem(404, "There is nothing here.")
    body = _body()
    if body is None:
        return _too_long()
    environ = request.environ
    url = twilio_url(settings.web.public_url, environ.get("QUERY_STRING", ""))
    try:
        pairs = read_pairs(body, environ.get("CONTENT_TYPE", ""))
    except BadInput:
        pairs = []
    signature = environ.get("HTTP_X_TWILIO_SIGNATURE", "")
    is_authentic = is_signed_by_twilio(settings.sms.twilio.auth_token, url, pairs, signature)
    return _keep("twilio", body, is_authentic=is_authentic)


def _by_token(kind: str, given: str, wanted: str) -> HTTPResponse:
    """404 for a stranger, who is counted and not kept."""
    if not wanted or not hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
        count("webhooks_refused")
        return api.problem(404, "There is nothing here.")
    body = request.environ.get("QUERY_STRING", "").encode() if request.method == "GET" else _body()
    return _too_long() if body is None else _keep(kind, body)


def _body() -> bytes | None:
    """The raw body; None when it is longer than any gateway's."""
    body: bytes = request.environ["wsgi.input"].read(inbox.LIMIT + 1)
    is_long = len(body) > inbox.LIMIT or int(request.environ.get("CONTENT_LENGTH") or 0) > inbox.LIMIT
    return None if is_long else body


def _too_long() -> HTTPResponse:
    count("webhooks_refused")
    return api.problem(413, "Too long.")


def _keep(kind: str, body: bytes, *, is_authentic: bool = True) -> HTTPResponse:
    """200 once it is durable, whatever it means."""
    environ = request.environ
    headers = {name: str(environ[place])[:300] for name, place in KEPT_HEADERS.items() if environ.get(place)}
    if request.method == "GET":  # its query is the body, which is sealed; headers are not
        headers.pop("Query", None)
        headers["Content-Type"] = FORM
    told: Told | None = None
    fault = ""
    try:
        told = read(kind, body, headers.get("Content-Type", ""), headers.get("Query", ""))
    except BadInput as reason:
        fault = f"unreadable: {reason}"
    call = inbox.Call(
        environ["PATH_INFO"], environ["edge.client"], headers, body, None, kind=sms_hooks.PREFIX + kind, fault=fault
    )
    try:
        sms_hooks.receive(call, told if is_authentic else None, environ["edge.now"], is_authentic=is_authentic)
    except DatabaseError as reason:
        raise NotDurable(f"the database could not keep it: {reason}") from reason
    return _verdict(kind, is_authentic, is_readable=told is not None)


def _verdict(kind: str, is_authentic: bool, *, is_readable: bool) -> HTTPResponse:
    if not is_authentic:
        count("webhooks_refused")
        return api.problem(403, "Not signed with our token.")
    if not is_readable:
        return api.problem(400, "Not readable.")
    count("webhooks")
    if kind == "twilio":
        return HTTPResponse(NO_REPLY, 200, {"Content-Type": "text/xml", "Cache-Control": "no-store"})
    return api.answer(200, {"status": "kept"})
