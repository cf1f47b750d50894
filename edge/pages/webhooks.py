"""The calls that came in, for staff: every one as it came, what came of it, and the button that replays it."""

import contextlib
import json
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import events, inbox, webhooks
from edge.errors import BadInput
from edge.models import Inbox
from edge.pages import frame
from edge.pages.dashboard import PAGE, TYPED, error_page
from edge.texts import say
from edge.values.masking import mask_numbers

SHOWN = 16_000  # letters of a body
OUTCOME = 120  # letters of an outcome, in the list


def list_page() -> str:
    """The newest calls, of one kind or filter, or those that were searched for."""
    typed, kind = frame.asked("q", TYPED), frame.asked("kind")
    shown = request.query.get("state") or "all"
    if shown not in webhooks.FILTERS:
        raise BadInput(f"state is one of: {', '.join(webhooks.FILTERS)}.", "state")
    if kind and kind not in webhooks.KINDS:
        raise BadInput(f"kind is one of: {', '.join(webhooks.KINDS)}.", "kind")
    found = webhooks.newest(PAGE + 1, kind=kind, shown=shown, typed=typed, before_id=frame.number("before"))
    return frame.page(
        "admin_webhooks.html", "webhooks", calls=found[:PAGE], typed=typed, shown=shown, kind=kind,
        older=found[PAGE - 1].id if len(found) > PAGE else None, filters=webhooks.FILTERS, kinds=webhooks.KINDS,
        last=events.last_id(), outcome=short_outcome, kind_words=kind_words, pill=pill,
    )  # fmt: skip


def call_page(inbox_id: int) -> Any:
    """One call as it came."""
    call = webhooks.get(inbox_id) if 0 < inbox_id < 2**63 else None
    if call is None:
        return error_page(404, say("admin.nothing"))
    return frame.page(
        "admin_webhook.html", "webhooks", call=call, body=body_words(call), size=len(inbox.body_of(call)),
        headers=sorted(call.headers.items()), outcome=outcome_words(call), owns=frame.signed_in().role == "owner",
        has_replayed=request.query.get("replayed") == "1", kind_words=kind_words, pill=pill, last=events.last_id(),
    )  # fmt: skip


def replay_post(inbox_id: int) -> HTTPResponse:
    """The owner wants it settled anew; a worker does it."""
    now: datetime = request.environ["edge.now"]
    webhooks.replay(inbox_id, frame.signed_in().name, now)
    return frame.see_other(f"/admin/webhooks/{inbox_id}?replayed=1")


def body_words(call: Inbox, *, masked: bool = True) -> str:
    """The body: indented where it is JSON, without what a terminal or a page would obey."""
    text = inbox.body_of(call).decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):  # else it is shown as it came
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    text = "".join(letter for letter in text[:SHOWN] if letter.isprintable() or letter == "\n")
    return mask_numbers(text) if masked else text


def outcome_words(call: Inbox) -> str:
    """What came of it."""
    return mask_numbers(call.outcome) or say("webhooks.unsettled")


def short_outcome(call: Inbox) -> str:
    """The same, for a line of a list."""
    words = outcome_words(call)
    return words if len(words) <= OUTCOME else words[: OUTCOME - 1] + "…"


def kind_words(call_kind: str) -> str:
    """A kind by the name people know; one of another release by its own."""
    return say(f"webhooks.kind_{call_kind}") if call_kind in webhooks.KINDS else call_kind


def pill(call: Inbox) -> str:
    """The colour of its outcome."""
    words: str = call.outcome
    if not words or words.startswith(inbox.UNSETTLED):
        return "waiting"
    if words.startswith(("paid", "already paid", "known already", "the receipt of")):
        return "ok"
    return "cancelled" if call.is_proof or words.startswith("acknowledged") else "problem"
