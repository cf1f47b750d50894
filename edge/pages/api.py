"""The guest's API: plans, a purchase, and how it stands."""

import json
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import payments, plans
from edge.errors import BadInput
from edge.pages import by_hand, portal
from edge.pages.views import payment_view, plan_view
from edge.values.mac import read_mac
from edge.values.msisdn import read_msisdn

LIMIT = 16 * 1024


def packages() -> HTTPResponse:
    """The plans."""
    now: datetime = request.environ["edge.now"]
    return answer(200, {"packages": [plan_view(plan, now) for plan in plans.on_sale(now)]})


def initiate() -> HTTPResponse:
    """Promise a checkout: 202 for a new one, 200 for the one that is pending; a form is led to the status page."""
    is_form = not (request.content_type or "").startswith("application/json")
    given = read_form() if is_form else _json()
    wish = payments.Wish(
        plan_id=_plan_id(given.get("package_id")),
        msisdn=read_msisdn(_text(given, "phone_number", "Please type your M-Pesa phone number.")),
        mac=read_mac(_optional(given, "mac_address")),
        idempotency_key=_key(given),
        context=portal.read_context(given) | ({"offers": "yes"} if given.get("offers") in ("yes", True) else {}),
        is_form=is_form,
        how=_how(given) if is_form else "prompt",
        source=request.environ["edge.client"],
        provider=_provider(given),
        price_cents=portal.price_shown(given),
    )
    now: datetime = request.environ["edge.now"]
    payment, is_new = payments.initiate(wish, now)
    if is_form:
        return HTTPResponse("", 303, {"Location": f"/p/{payment.token}"})
    return answer(
        202 if is_new else 200,
        {
            "payment_id": payment.token,
            "status": payments.standing(payment, now).status,
            "status_url": f"/api/payments/{payment.token}",
        },
    )


def payment(payment_id: str) -> HTTPResponse:
    """How a purchase stands, for whoever holds its token."""
    found = payments.by_token(payment_id)
    if found is None:
        return problem(404, "There is no such payment.")
    return answer(200, payment_view(found, request.environ["edge.now"]))


def answer(status: int, document: Any) -> HTTPResponse:
    """A JSON answer that nobody may keep."""
    return HTTPResponse(
        json.dumps(document), status, {"Content-Type": "application/json", "Cache-Control": "no-store"}
    )


def problem(status: int, words: str, field: str = "", headers: dict[str, str] | None = None) -> HTTPResponse:
    """An RFC 9457 problem document."""
    document = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": words}
    if field:
        document["field"] = field
    kind = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    return HTTPResponse(json.dumps(document), status, {**kind, **(headers or {})})


_TITLES = {
    400: "Bad request", 401: "Sign in first", 403: "Not allowed", 404: "Not found", 405: "Not this way",
    413: "Too long", 422: "Key already used", 429: "Too many requests", 500: "Our fault", 503: "Not now",
}  # fmt: skip


def _how(given: dict[str, Any]) -> str:
    """By the M-Pesa menu, where that is offered; else his phone is rung."""
    is_hand = given.get("how") == "hand" and by_hand.is_offered(request.app.config["edge.settings"])
    return "hand" if is_hand else "prompt"


def _json() -> dict[str, Any]:
    body = request.environ["wsgi.input"].read(LIMIT + 1)
    if len(body) > LIMIT:
        raise BadInput("This request is too long.")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as reason:
        raise BadInput("The body is not JSON.") from reason
    if not isinstance(document, dict):
        raise BadInput("The body is not a JSON object.")
    return document


def read_form() -> dict[str, str]:
    """Form fields; of a field given twice the last counts, what is no UTF-8 counts as empty."""
    forms = request.forms
    return {name: forms.getunicode(name) or "" for name in list(forms.keys())[:50]}


def _plan_id(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
        return value
    raise BadInput("Please choose a plan.", "package_id")


def _text(given: dict[str, Any], field: str, words: str) -> str:
    value = given.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > 40:
        raise BadInput(words, field)
    return value


def _optional(given: dict[str, Any], field: str) -> str:
    value = given.get(field)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 40:
        raise BadInput("This is not a device address.", field)
    return value


def _provider(given: dict[str, Any]) -> str:
    """M-Pesa itself, or a gateway that this box is set up for."""
    provider, told = given.get("provider") or "mpesa", request.app.config["edge.settings"].paystack
    if provider == "mpesa" or (provider == "paystack" and told.secret_key and told.email):
        return str(provider)
    raise BadInput("This box is not set up to be paid that way.", "provider")


def _key(given: dict[str, Any]) -> str | None:
    key = request.get_header("Idempotency-Key") or given.get("idempotency_key") or None
    if key is None:
        return None
    if not isinstance(key, str) or len(key) > 200 or not key.isprintable():
        raise BadInput("An Idempotency-Key has at most 200 printable characters.", "Idempotency-Key")
    return key
