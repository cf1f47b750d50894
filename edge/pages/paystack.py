"""Paystack calling in, and whoever pretends to be Paystack: only a signature over the raw body proves it."""

from bottle import HTTPResponse, request
from peewee import DatabaseError

from edge.devices import paystack
from edge.domain import inbox, webhooks
from edge.errors import BadInput, NotDurable
from edge.pages import api
from edge.pages.counters import count
from edge.values.gateway import Notice

KEPT_HEADERS = {
    "Content-Type": "CONTENT_TYPE", paystack.SIGNATURE: "HTTP_X_PAYSTACK_SIGNATURE", "User-Agent": "HTTP_USER_AGENT",
}  # fmt: skip


def hook() -> HTTPResponse:
    """200 once it is durable, whatever it means; 401 for what our key did not sign; 404 while no key is set."""
    key = request.app.config["edge.settings"].paystack.secret_key
    if not key:
        return api.problem(404, "There is nothing here.")
    environ = request.environ
    body: bytes = environ["wsgi.input"].read(inbox.LIMIT + 1)
    if len(body) > inbox.LIMIT or int(environ.get("CONTENT_LENGTH") or 0) > inbox.LIMIT:
        count("webhooks_refused")  # not kept: Paystack sends nothing so long, and a stranger may not fill the card
        return api.problem(413, "Too long.")
    headers = {name: str(environ[place])[:200] for name, place in KEPT_HEADERS.items() if environ.get(place)}
    notice: Notice | None = None
    fault = ""
    try:
        notice = paystack.read_notice(key, headers.get(paystack.SIGNATURE, ""), body)
    except BadInput as reason:  # it is signed, and no event
        fault = f"unreadable: {reason}"
    call = inbox.Call(environ["PATH_INFO"], environ["edge.client"], headers, body, None, kind="paystack", fault=fault)
    try:
        webhooks.receive(call, notice, environ["edge.now"])
    except DatabaseError as reason:
        raise NotDurable(f"the database could not keep it: {reason}") from reason
    return _verdict(notice)


def _verdict(notice: Notice | None) -> HTTPResponse:
    if notice is None:
        return api.problem(400, "Not readable.")
    if not notice.is_authentic:
        count("webhooks_refused")
        return api.problem(401, "Not signed with our key.")
    count("webhooks")
    return api.answer(200, {"status": "kept"})
