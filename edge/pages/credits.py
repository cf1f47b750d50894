"""Credits on the dashboard: what is there, who used them for what, and the owner's top-ups and corrections."""

from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import credits, events
from edge.errors import BadInput
from edge.pages import frame, texts_words
from edge.pages.dashboard import HTML
from edge.texts import say

HERE = "/admin/sms/credits"
LINES = 50
DONE = ("topped_up", "corrected")


def credits_page() -> HTTPResponse:
    """The balance and its statement."""
    return _page({}, None, "", 200)


def top_up_post() -> HTTPResponse:
    """The owner adds credits."""

    def act(amount: int, words: str) -> None:
        credits.top_up(amount, words, frame.signed_in().id, _now())

    return _act("top_up", "topped_up", act)


def correct_post() -> HTTPResponse:
    """The owner puts the balance right, and says why."""

    def act(amount: int, words: str) -> None:
        credits.correct(amount, words, frame.signed_in().id, _now())

    return _act("correct", "corrected", act)


def _act(form: str, did: str, act: Any) -> HTTPResponse:
    typed = {name: frame.typed(name).strip() for name in ("amount", "words")}
    try:
        act(texts_words.read_amount(typed["amount"]), typed["words"])
    except credits.Short as reason:
        words = say("texts_page.correct_short", available=f"{reason.available:,}")
        return _page(typed, BadInput(words, "amount"), form, 400)
    except BadInput as reason:
        return _page(typed, reason, form, 400)
    return frame.see_other(f"{HERE}?did={did}")


def _page(typed: dict[str, str], fault: BadInput | None, of_form: str, status: int) -> HTTPResponse:
    every = frame.asked("every") == "1"
    before = frame.number("before") if request.method == "GET" else None
    found = credits.statement(before, LINES + 1, moving=not every)
    did, low = frame.asked("did"), request.app.config["edge.settings"].sms.low_credits
    held = credits.balance()
    page = frame.page(
        "admin_credits.html", "texts", tw=texts_words, held=held, every=every,
        lines=texts_words.statement(found[:LINES]),
        older=found[LINES - 1].id if len(found) > LINES else None, is_owner=frame.signed_in().role == "owner",
        is_low=texts_words.is_low(held, low), low=low, last=events.last_id(),
        typed=typed, fault="" if fault is None else str(fault), of_form=of_form,
        notice=say(f"texts_page.did_{did}") if did in DONE else "",
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
