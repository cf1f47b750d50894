"""Campaigns for programs: texts to many in one request, and how far they are."""

import json
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import campaign_figures, campaigns, credits, send_requests, templates
from edge.errors import BadInput
from edge.pages import frame, texts_words
from edge.pages.api import answer, problem
from edge.pages.views import show_instant
from edge.sms_models import Campaign

LIMIT = 512 * 1024  # bytes: 5,000 numbers in any notation
NAMED = 40  # letters of the words by which one without a name is known
MOST_VALUES = 50


def send() -> HTTPResponse:
    """Text up to 5,000 numbers: 202 once all is written down, 200 for a key that is known; 402 when credits are short.

    JSON or a form: `to` (numbers), `message`, or `template` and `variables`; perhaps `name` and `kind`.
    """
    try:
        wish = _wish()
        campaign, is_new = send_requests.take(wish, frame.signed_in(), _now())
    except send_requests.KeyReused as reason:
        return problem(422, str(reason), reason.field)
    except credits.Short as reason:
        return _short(reason)
    except BadInput as reason:
        return problem(400, str(reason), {"text": "message", "numbers": "to"}.get(reason.field, reason.field))
    taken = campaign_figures.taken(campaign)
    document = {
        "campaign_id": campaign.id, "status": campaign.state, "recipients": campaigns.progress(campaign).total,
        "segments": taken, "credits": taken, "left_out": campaign.left_out,
        "status_url": f"/sms/campaigns/{campaign.id}/status",
    }  # fmt: skip
    return answer(202 if is_new else 200, document)


def status(campaign_id: int) -> HTTPResponse:
    """How far it is. `sent` are all that the network took, `delivered` ones among them; `pending` have yet to go."""
    campaign = Campaign.get_or_none(Campaign.id == campaign_id) if campaign_id < 2**63 else None
    if campaign is None:
        return problem(404, "There is no such campaign.")
    return answer(200, status_view(campaign))


def status_view(campaign: Campaign) -> dict[str, Any]:
    """A campaign's standing, as programs and the progress page see it."""
    told = campaigns.progress(campaign)
    return {
        "id": campaign.id, "name": campaign.name, "status": campaign.state, "total": told.total,
        "sent": told.sent + told.delivered, "delivered": told.delivered, "failed": told.failed,
        "unconfirmed": told.unconfirmed, "suppressed": told.suppressed, "pending": told.listed + told.queued,
        "percent": told.percent, "success_percent": told.success_percent,
        "started_at": show_instant(campaign.started_at), "finished_at": show_instant(campaign.finished_at),
        "scheduled_at": show_instant(campaign.scheduled_at),
        "credits": {"reserved": told.credits_reserved, "spent": told.credits_spent},
        "words": campaign.words or _held_up(campaign),
        "is_final": is_final(campaign),
    }  # fmt: skip


def _held_up(campaign: Campaign) -> str:
    """Why the figures stand still."""
    return texts_words.held_up("campaign") if campaign.state in ("pending", "processing") else ""


def is_final(campaign: Campaign) -> bool:
    """Nothing changes any more unless a person does something: its last recipient has his last word."""
    return campaign.state in campaigns.FINAL and campaign.finished_at is not None


def _wish() -> send_requests.Wish:
    given = _given()
    name, kind = _words(given, "name", 80), _words(given, "kind", 20) or "service"
    text = _text(given)
    key = request.get_header("Idempotency-Key") or ""
    if len(key) > send_requests.LONGEST_KEY or not key.isprintable():
        raise BadInput("An Idempotency-Key has at most 200 printable characters.", "Idempotency-Key")
    named = name or " ".join(text.split())[:NAMED]
    return send_requests.Wish(_numbers(given.get("to")), text, named, kind, key)


def _text(given: dict[str, Any]) -> str:
    message, template = _words(given, "message", campaigns.LONGEST + 1), _words(given, "template", 60)
    if bool(message.strip()) == bool(template):
        raise BadInput("Give a message, or the name of a template.", "message")
    if message:
        return message
    values = given.get("variables") or {}
    if isinstance(values, str):
        values = _document(values.encode(), "variables")
    if not isinstance(values, dict) or len(values) > MOST_VALUES:
        raise BadInput("variables is an object of names and values.", "variables")
    told = {str(name): None if value is None else str(value) for name, value in values.items()}
    try:
        return templates.render(template, told)
    except BadInput as reason:
        raise BadInput(str(reason), "template" if reason.field == "name" else "variables") from None


def _numbers(told: Any) -> list[str]:
    if isinstance(told, str):
        told = [part for part in told.replace(";", ",").replace("\n", ",").split(",") if part.strip()]
    if isinstance(told, int) and not isinstance(told, bool):
        told = [told]
    if not isinstance(told, list) or not told:
        raise BadInput("to is a list of phone numbers.", "to")
    if len(told) > campaigns.MOST_AT_ONCE:
        raise BadInput(
            f"At most {campaigns.MOST_AT_ONCE:,} numbers at once; upload longer lists on the dashboard.", "to"
        )
    return [str(one) for one in told]


def _words(given: dict[str, Any], field: str, most: int) -> str:
    value = given.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{field} is text.", field)
    if len(value) > most:
        raise BadInput(f"{field} is too long.", field)
    return value


def _given() -> dict[str, Any]:
    """The fields of a form, or the JSON object; a form may name `to` several times."""
    if not (request.content_type or "").startswith("application/json"):
        forms = request.forms
        given: dict[str, Any] = {name: forms.getunicode(name) or "" for name in list(forms.keys())[:20]}
        given["to"] = ",".join(forms.getall("to"))
        return given
    body = request.environ["wsgi.input"].read(LIMIT + 1)
    if len(body) > LIMIT:
        raise BadInput("This request is too long: at most 512 KB.")
    document = _document(body, "")
    if not isinstance(document, dict):
        raise BadInput("The body is not a JSON object.")
    return document


def _document(body: bytes, field: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadInput(f"{field or 'The body'} is not JSON.", field) from None


def _short(reason: credits.Short) -> HTTPResponse:
    """Payment Required: how many credits are needed, and how many there are."""
    document = {
        "type": "about:blank", "title": "Too few credits", "status": 402, "detail": str(reason), "field": "credits",
        "needed": reason.needed, "available": reason.available,
    }  # fmt: skip
    kind = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    return HTTPResponse(json.dumps(document), 402, kind)


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
