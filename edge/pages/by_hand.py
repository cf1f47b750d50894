"""Paying by the M-Pesa menu instead of a prompt, and `I already paid`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge import __version__
from edge.domain import claims
from edge.errors import BadInput
from edge.models import Payment
from edge.pages.portal_links import first_page, mac_or_nothing, read_context
from edge.pages.rendering import render
from edge.texts import say
from edge.values.account import account_of
from edge.values.money import show_money
from edge.values.msisdn import read_msisdn

UNPAID = ("pending", "prompted", "failed", "expired")
FORM_LETTERS = 60


@dataclass(frozen=True)
class Instructions:
    """What to type in the M-Pesa menu. A till asks for no account."""

    number: str
    account: str
    amount: str

    @property
    def is_till(self) -> bool:
        return not self.account


def is_offered(settings: Any) -> bool:
    """Somebody must tell us of the money: M-Pesa by its confirmations, the till's text, or our question by receipt."""
    told = settings.mpesa
    hears = told.c2b != "off" or settings.modem.port or (told.initiator and settings.web.public_url)
    return bool(told.by_hand and hears)


def instructions(payment: Payment, status: str, settings: Any) -> Instructions | None:
    """How to pay this purchase by hand; None when that is not offered, or it is paid."""
    told = settings.mpesa
    if status not in UNPAID or payment.provider != "mpesa" or not is_offered(settings):
        return None
    is_till = told.type == "till"
    return Instructions(
        told.till if is_till else told.shortcode, "" if is_till else account_of(payment.id),
        show_money(payment.amount_cents),
    )  # fmt: skip


def paid_page() -> str:
    """The form of `I already paid`."""
    return _page({"receipt": "", "phone_number": ""})


def paid_post() -> Any:
    """By receipt: the payer's own page, or why not yet. By phone alone: nothing is told to whoever typed it."""
    typed = {name: (request.forms.getunicode(name) or "")[:FORM_LETTERS] for name in ("receipt", "phone_number")}
    told = {"mac": mac_or_nothing(request.forms.get("mac") or ""), **read_context(request.forms)}
    try:
        who = claims.Claimant(read_msisdn(typed["phone_number"]), request.environ["edge.client"], told["mac"])
        return _answer(typed, told, who)
    except BadInput as reason:
        page = _page(typed, fault=str(reason), told=told)
        wait_s = getattr(reason, "retry_after_s", 0)
        headers = {"Content-Type": "text/html; charset=UTF-8", **({"Retry-After": str(wait_s)} if wait_s else {})}
        return HTTPResponse(page, 429 if wait_s else 400, headers)


def _answer(typed: dict[str, str], told: dict[str, str], who: claims.Claimant) -> Any:
    now: datetime = request.environ["edge.now"]
    if not typed["receipt"].strip():
        claims.by_phone(who, now)
        return _page(typed, words=say("paid.by_phone"), told=told)
    claim = claims.by_receipt(typed["receipt"], who, now)
    if claim.kind == "his" and claim.payment is not None:
        return HTTPResponse("", 303, {"Location": f"/p/{claim.payment.token}"})
    return _page(typed, words=say(f"paid.{claim.kind}"), told=told)


def _page(typed: dict[str, str], *, words: str = "", fault: str = "", told: dict[str, str] | None = None) -> str:
    if told is None:
        told = {"mac": mac_or_nothing(request.query.get("mac") or ""), **read_context(request.query)}
    return render(
        "portal_paid.html", version=__version__, typed=typed, words=words, fault=fault, told=told,
        back=first_page(told.get("mac", ""), told),
    )  # fmt: skip
