"""Texts on the dashboard: the outbox, one text's story, a text by hand, one person's texts and wish."""

from datetime import datetime
from typing import Any
from urllib.parse import quote as quoted

from bottle import HTTPResponse, request

from edge.domain import contacts, credits, events, messages, text_figures
from edge.errors import BadInput
from edge.models import Message
from edge.pages import frame, texts_words
from edge.pages.dashboard import HTML, error_page
from edge.sms_models import Campaign, Contact
from edge.texts import say
from edge.values.any_msisdn import read_any_msisdn

HERE = "/admin/sms"
PAGE = 40
OF_PERSON = 20
DONE = ("written", "agreed", "stopped")


def outbox_page() -> Any:
    """The newest texts, of one state or kind, or of one number; and how the day's texts went."""
    state, kind, typed = frame.asked("state"), frame.asked("kind"), frame.asked("q")
    if state and state not in text_figures.STATES:
        raise BadInput(say("texts_page.no_such_state"), "state")
    if kind and kind not in texts_words.KINDS:
        raise BadInput(say("texts_page.no_such_kind"), "kind")
    msisdn, fault = _searched(typed)
    before = frame.number("before")
    found = [] if fault else messages.outbox(state, kind, msisdn, before, PAGE + 1)
    now = _now()
    asked = {"state": state, "kind": kind, "q": typed}
    return _page(
        "admin_sms_outbox.html", "outbox", rows=found[:PAGE], state=state, kind=kind, typed=typed, fault=fault,
        states=text_figures.STATES, kinds=texts_words.KINDS, day=text_figures.today(now, frame.shop_zone()),
        credit=credits.balance(), before=before, ask=lambda **other: _query({**asked, **other}),
        older=found[PAGE - 1].id if len(found) > PAGE else None,
    )  # fmt: skip


def message_page(message_id: int) -> Any:
    """One text: its words, what it took, and everything that happened to it."""
    message = _message(message_id)
    if message is None:
        return error_page(404, say("admin.nothing"))
    campaign = Campaign.get_or_none(Campaign.id == message.campaign_id) if message.campaign_id else None
    return _page(
        "admin_sms_message.html", "outbox", message=message, steps=text_figures.story(message),
        work=text_figures.work_of(message), campaign=campaign, sees_secrets=_sees_secrets(),
        tried=[texts_words.route(name) for name in message.tried.split(",") if name],
    )  # fmt: skip


# A text by hand: its cost is said before it is sent.


def write_page() -> Any:
    """The form; `to` names a text to whose receiver this one goes."""
    answered = _message(frame.number("to") or 0)
    return _write_page({"phone": answered.msisdn if answered is not None else "", "text": ""}, None, None, 200)


def write_post() -> Any:
    """Count first; send what was counted when the same is sent again with `do=send`."""
    typed = {"phone": frame.typed("phone").strip(), "text": frame.typed("text")}
    try:
        msisdn, text = read_any_msisdn(typed["phone"]), texts_words.read_text(typed["text"])
        quote = messages.cost_of(text)
    except BadInput as reason:
        return _write_page(typed, None, reason, 400)
    if frame.typed("do") != "send" or frame.typed("counted") != str(quote.segments):
        return _write_page(typed, quote, None, 200)
    try:
        message = messages.write_by_hand(msisdn, text, frame.signed_in(), _now())
    except credits.Short as reason:
        words = say("texts_page.short", needed=f"{reason.needed:,}", available=f"{reason.available:,}")
        return _write_page(typed, quote, BadInput(words, "credits"), 400)
    return frame.see_other(f"{HERE}/{message.id}?did=written")


def _write_page(typed: dict[str, str], quote: messages.Quote | None, fault: BadInput | None, status: int) -> Any:
    page = _page(
        "admin_sms_write.html", "outbox", form=typed, quote=quote, fault="" if fault is None else str(fault),
        wrong="" if fault is None else {"phone_number": "phone"}.get(fault.field or "", fault.field),
        credit=credits.balance(), most=texts_words.LONGEST,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


# One person.


def person_page(message_id: int) -> Any:
    """Whoever got this text: what he was sent, and whether he wants more."""
    message = _message(message_id)
    return error_page(404, say("admin.nothing")) if message is None else _person_page(message.msisdn)


def contact_page(contact_id: int) -> Any:
    """The same, for whom a wish is known."""
    contact = Contact.get_or_none(Contact.id == contact_id) if 0 < contact_id < 2**63 else None
    return error_page(404, say("admin.nothing")) if contact is None else _person_page(contact.msisdn)


def wish_post(message_id: int) -> Any:
    """Staff write down what this person told them: yes to offers, or no more campaigns."""
    message = _message(message_id)
    if message is None:
        return error_page(404, say("admin.nothing"))
    return frame.see_other(f"{HERE}/people/{message_id}?did={write_wish(message.msisdn)}")


def write_wish(msisdn: str) -> str:
    """What staff write down of this person's wish: `stopped` or `agreed`. BadInput when it says or changes nothing."""
    told = frame.typed("how").strip()[:120]
    how = say("texts_page.how_staff", who=frame.signed_in().name, how=told or "–")
    if frame.typed("wish") == "stop":
        contacts.opt_out(msisdn, how, _now())
        return "stopped"
    if not told:
        raise BadInput(say("texts_page.say_how"), "how")
    if not contacts.agree(msisdn, how, _now()):
        raise BadInput(say("texts_page.agreed_not"), "wish")
    return "agreed"


def _person_page(msisdn: str) -> str:
    rows = messages.outbox(msisdn=msisdn, limit=OF_PERSON)
    return _page(
        "admin_sms_person.html", "outbox", msisdn=msisdn, rows=rows, stats=messages.stats_of(msisdn),
        contact=contacts.find(msisdn), about=rows[0].id if rows else None, sees_secrets=_sees_secrets(),
    )  # fmt: skip


# What the pages have in common.


def _page(template: str, here: str, **values: Any) -> str:
    did = frame.asked("did")
    return frame.page(
        template, "texts", texts_here=here, tw=texts_words, last=events.last_id(), ways=texts_words.ways(_now()),
        notice=say(f"texts_page.did_{did}") if did in DONE else "", **values,
    )  # fmt: skip


def _searched(typed: str) -> tuple[str, str]:
    """The number that is looked for, and what is wrong with it: numbers are sealed, so only a whole one is found."""
    if not typed:
        return "", ""
    try:
        return read_any_msisdn(typed), ""
    except BadInput:
        return "", say("texts_page.whole_number")


def _query(asked: dict[str, Any]) -> str:
    told = "&".join(f"{name}={quoted(str(value))}" for name, value in asked.items() if value)
    return f"{HERE}?{told}" if told else HERE


def _message(message_id: int) -> Message | None:
    found: Message | None = Message.get_or_none(Message.id == message_id) if 0 < message_id < 2**63 else None
    return found


def _sees_secrets() -> bool:
    return frame.signed_in().role in frame.SEES_SECRETS


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
