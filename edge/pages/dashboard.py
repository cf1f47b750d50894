"""The owner's pages: sign-in, Today, payments and one payment's story. They ask rows, never devices."""

import re
import secrets
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge import __version__
from edge.domain import access, asking, clock, events, people, queues, reports
from edge.errors import BadInput
from edge.pages import frame, texts_words
from edge.pages.rendering import render
from edge.texts import say

SESSION_COOKIE, FORM_COOKIE = "edge_session", "edge_form"
HTML = {"Content-Type": "text/html; charset=UTF-8"}
PAGE = 30  # lines of a list
LATELY = 15
TYPED = 60  # letters of a search

_FORM_KEY = re.compile(r"[0-9a-f]{32}")
_OWN_PAGE = re.compile(r"/admin/[\w/?=&%.-]*", re.ASCII)


def sign_in_page() -> HTTPResponse:
    """The form; its key is also a cookie, so that no other site can send it."""
    return _sign_in_form("", 200)


def sign_in_post() -> HTTPResponse:
    """Name and password become a session with a new token."""
    key = request.get_cookie(FORM_COOKIE) or ""
    if not _FORM_KEY.fullmatch(key) or not people.is_same(frame.typed("csrf"), key):
        return _sign_in_form(say("admin.old_form"), 403)
    now, source = request.environ["edge.now"], request.environ["edge.client"]
    try:
        token = people.sign_in(frame.typed("name"), frame.typed("password"), now, source)
    except people.Locked as reason:
        return _sign_in_form(str(reason), 429, {"Retry-After": str(reason.retry_after_s)})
    except BadInput as reason:
        return _sign_in_form(str(reason), 401)
    answer = frame.see_other(_next())
    answer.set_cookie(SESSION_COOKIE, token, path="/", **_cookie_rules())
    return answer


def sign_out_post() -> HTTPResponse:
    """This browser is nobody again."""
    people.sign_out(request.environ["edge.session"])
    answer = frame.see_other("/admin/sign-in")
    answer.delete_cookie(SESSION_COOKIE, path="/")
    return answer


def to_today() -> HTTPResponse:
    """The address people type."""
    return frame.see_other("/admin/")


def today_page() -> Any:
    """Takings, who is online, who paid and is not, the devices, and what happened. A cashier's place is the counter."""
    if frame.signed_in().role == "cashier":
        return frame.see_other("/admin/counter")
    return frame.page("admin_today.html", "today", **_today())


def live_fragment() -> str:
    """The part of Today that changes."""
    return frame.page("admin_live.html", "today", **_today())


def payments_page() -> str:
    """The newest payments, or those that were searched for."""
    typed = frame.asked("q", TYPED)
    shown = request.query.get("state") or "all"
    if shown not in reports.FILTERS:
        raise BadInput(f"state is one of: {', '.join(reports.FILTERS)}.", "state")
    if typed:
        found = reports.find_payments(typed, PAGE)
    else:
        found = reports.last_payments(PAGE + 1, shown, frame.number("before"))
    older = found[PAGE - 1].payment.id if len(found) > PAGE else None
    return frame.page(
        "admin_payments.html", "payments", sales=found[:PAGE], typed=typed, shown=shown, older=older,
        filters=reports.FILTERS, last=events.last_id(),
    )  # fmt: skip


def payment_page(payment_id: int) -> Any:
    """One payment and everything that happened to it."""
    sale = reports.sale(payment_id)
    if sale is None:
        return error_page(404, say("admin.nothing"))
    return frame.page(
        "admin_payment.html", "payments", sale=sale, steps=reports.story(sale), reference=reports.REFERENCE,
        sees_secrets=frame.signed_in().role in frame.SEES_SECRETS, has_asked=request.query.get("asked") == "1",
        can_ask=sale.payment.checkout_request_id is not None, last=events.last_id(),
        seconds_left=access.seconds_left(sale.grant, request.environ["edge.now"]) if sale.grant else 0,
    )  # fmt: skip


def recheck_post(payment_id: int) -> HTTPResponse:
    """A person wants M-Pesa asked again; a worker does it."""
    sale = reports.sale(payment_id)
    if sale is None:
        return error_page(404, say("admin.nothing"))
    asking.recheck(sale.payment, request.environ["edge.now"])
    return frame.see_other(f"/admin/payments/{payment_id}?asked=1")


def error_page(status: int, words: str) -> HTTPResponse:
    """Something was refused: in words, with a way back."""
    page = render("admin_error.html", words=words, status=status, version=__version__, staff=None, here="", csrf="")
    return HTTPResponse(page, status, HTML)


def _today() -> dict[str, Any]:
    now: datetime = request.environ["edge.now"]
    zone = frame.shop_zone()
    beat = clock.state()
    return {
        "last": events.last_id(),
        "reasons": queues.status(now)["reasons"],
        "clock_words": "" if beat is None or beat.trusted else beat.words,
        "text_notes": texts_words.running_low(request.app.config["edge.settings"].sms.low_credits, now),
        "takings": reports.takings(now, zone),
        "before": reports.takings(now, zone, days_ago=1),
        "online": reports.online_now(),
        "waiting": reports.waiting(),
        "waiting_count": reports.count_waiting(),
        "parts": reports.parts(now),
        "happened": reports.lately(LATELY),
    }


def _sign_in_form(words: str, status: int, headers: dict[str, str] | None = None) -> HTTPResponse:
    key = request.get_cookie(FORM_COOKIE) or ""
    if not _FORM_KEY.fullmatch(key):
        key = secrets.token_hex(16)
    page = render(
        "admin_sign_in.html", words=words, csrf=key, who=frame.typed("name")[:TYPED], next=_next(), version=__version__,
        staff=None, here="",
    )  # fmt: skip
    answer = HTTPResponse(page, status, {**HTML, **(headers or {})})
    answer.set_cookie(FORM_COOKIE, key, path="/admin", **_cookie_rules())
    return answer


def _cookie_rules() -> dict[str, Any]:
    return {"httponly": True, "samesite": "strict", "secure": request.urlparts.scheme == "https"}


def _next() -> str:
    """The page that was wanted before the sign-in; only ever one of ours."""
    wanted = request.query.get("next") or frame.typed("next")
    return wanted if _OWN_PAGE.fullmatch(wanted) and wanted != "/admin/sign-in" else "/admin/"
