"""Texts that came in, on the dashboard: the list, one text with its conversation, and the answer by hand."""

import unicodedata
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote as quoted

from bottle import HTTPResponse, request

from edge.domain import answers, contacts, credits, events, messages, owner_commands, talks
from edge.errors import BadInput
from edge.models import Message
from edge.money_models import IncomingText
from edge.pages import frame, sms, texts_words
from edge.pages.board_words import mask
from edge.pages.dashboard import HTML, error_page
from edge.pages.staff_words import plain
from edge.texts import say
from edge.values.codes import mask_code
from edge.values.msisdn import mask_msisdn, read_msisdn, show_msisdn

HERE = "/admin/sms/inbox"
HINTED = 70  # letters of a text in a list
TWICE = timedelta(minutes=2)
DONE = ("answered", "read", "unread", "stopped", "agreed")
DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they turn letters round that follow


def inbox_page() -> Any:
    """What came in, newest first: all, or some of it, or one sender's."""
    show, typed = frame.asked("show"), frame.asked("q")
    if show and show not in talks.SHOWS:
        raise BadInput(say("sms_inbox.no_such"), "show")
    before = frame.number("before")
    found = talks.came_in(show, _sender(typed), before, talks.PAGE + 1)
    asked = {"show": show, "q": typed}
    return _page(
        "admin_sms_inbox.html", rows=found[: talks.PAGE], show=show, typed=typed, shows=talks.SHOWS, before=before,
        waiting=talks.unread(), older=found[talks.PAGE - 1].id if len(found) > talks.PAGE else None,
        ask=lambda **other: _query({**asked, **other}), newest=found[0].id if found and not before else 0,
    )  # fmt: skip


def read_all_post() -> Any:
    """All that the list showed was seen."""
    until = frame.typed("until")
    if until.isascii() and until.isdigit() and len(until) < 16:
        talks.mark_all_read(int(until), _now())
    return frame.see_other(HERE)


def text_page(text_id: int) -> Any:
    """One text, what came of it, and what was said before and after."""
    row = talks.find(text_id)
    return _missing() if row is None else _text_page(row, "", None, None, 200)


def reply_post(text_id: int) -> Any:
    """An answer typed by staff. One that takes more than one credit is counted first."""
    row = talks.find(text_id)
    if row is None:
        return _missing()
    number = answers.number_of(row)
    typed = frame.typed("text")
    try:
        if not answers.can_be_answered(number):
            raise BadInput(say("sms_inbox.no_answer_there"), "text")
        text = messages.as_sent(texts_words.read_text(typed))
        quote = messages.cost_of(text)
        if quote.segments > 1 and frame.typed("counted") != str(quote.segments):
            return _text_page(row, typed, quote, None, 200)
        if not talks.is_said_already(row, text, _now() - TWICE):
            messages.write_by_hand(number, text, frame.signed_in(), _now(), answers_id=row.id)
            talks.mark_read(row.id, _now())
    except credits.Short as reason:
        words = say("texts_page.short", needed=f"{reason.needed:,}", available=f"{reason.available:,}")
        return _text_page(row, typed, None, BadInput(words, "credits"), 400)
    except BadInput as reason:
        return _text_page(row, typed, None, reason, 400)
    return frame.see_other(f"{HERE}/{text_id}?did=answered")


def read_post(text_id: int) -> Any:
    """It was seen; or is to be seen again."""
    if talks.find(text_id) is None:
        return _missing()
    if frame.typed("do") == "unread":
        talks.mark_unread(text_id)
        return frame.see_other(f"{HERE}/{text_id}?did=unread")
    talks.mark_read(text_id, _now())
    return frame.see_other(f"{HERE}/{text_id}?did=read")


def wish_post(text_id: int) -> Any:
    """Staff write down what this person told them: no more campaigns, or yes to offers."""
    row = talks.find(text_id)
    number = answers.number_of(row) if row is not None else ""
    if row is None or not answers.can_be_answered(number):
        return _missing()
    try:
        did = sms.write_wish(number)
    except BadInput as reason:
        return _text_page(row, "", None, reason, 400)
    return frame.see_other(f"{HERE}/{text_id}?did={did}")


def _text_page(
    row: IncomingText, typed: str, quote: messages.Quote | None, fault: BadInput | None, status: int
) -> HTTPResponse:
    number = answers.number_of(row)
    can_answer = answers.can_be_answered(number)
    page = _page(
        "admin_sms_inbox_text.html", row=row, said=talks.with_sender_of(row), contact=contacts.find(number),
        can_answer=can_answer, typed=typed, quote=quote, fault="" if fault is None else str(fault),
        wrong="" if fault is None else fault.field, credit=credits.balance(), most=texts_words.LONGEST,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


# What the pages say.


def _page(template: str, **values: Any) -> str:
    did = frame.asked("did")
    return frame.page(
        template, "texts", tw=texts_words, last=events.last_id(), ways=texts_words.ways(_now()), pill=_pill,
        sender=_shown_sender, words_of=_shown_text, hint=_hint, kind=_kind, outcome=_outcome, sent_words=_sent_words,
        notice=say(f"sms_inbox.did_{did}") if did in DONE else "", is_unread=_is_unread, **values,
    )  # fmt: skip


def _shown_sender(row: IncomingText, *, whole: bool = False) -> str:
    """A name as it is; a number masked, in full for who may see it where it is needed."""
    number = answers.number_of(row)
    if not number:
        return plain(row.sender)[:40] or "?"
    if not answers.can_be_answered(number):
        return f"+{number}" if whole and _sees_secrets() else f"+{number[:4]}•••{number[-3:]}"
    return show_msisdn(number) if whole and _sees_secrets() else mask_msisdn(number)


def _shown_text(row: IncomingText) -> str:
    """Its words, without a PIN. A voucher's code is the owner's to see, as everywhere."""
    words = "".join(
        letter if letter == "\n" or unicodedata.category(letter) != "Cc" else "\ufffd"
        for letter in owner_commands.shown(row, _owners()).replace("\r\n", "\n").replace("\r", "\n")
        if letter not in DIRECTIONS
    )
    if _sees_secrets():
        return words
    return mask_code(words.strip()) if row.kind == "voucher" else mask(words)


def _sent_words(message: Message) -> str:
    return texts_words.shown_text(message, _sees_secrets())


def _hint(row: IncomingText) -> str:
    """By what one recognises it in a list: codes, and people's numbers, are in none."""
    line = plain(mask(owner_commands.shown(row, _owners())))
    line = mask_code(line) if row.kind == "voucher" else line
    return line if len(line) <= HINTED else line[: HINTED - 1].rstrip() + "…"


def _kind(row: IncomingText) -> str:
    if row.part_key:
        return say("sms_inbox.part", part=row.part, parts=row.parts)
    if row.kind == "" and row.state == "held":
        return say("sms_inbox.kind_unreadable")
    if row.kind == "":  # not judged yet; or read before texts were judged at all
        return say("sms_inbox.kind_new" if row.read_at is None else "sms_inbox.kind_person")
    return say(f"sms_inbox.kind_{row.kind}")


def _pill(row: IncomingText) -> str:
    """What a person should look at stands out."""
    if row.kind == "person" or row.state == "held":
        return "waiting" if _is_unread(row) or row.state == "held" else ""
    return {"owner": "running", "": "", "mpesa": "", "stop": ""}.get(row.kind, "done")


def _outcome(row: IncomingText) -> str:
    line = plain(mask(row.outcome))
    return line[:1].upper() + line[1:]


def _is_unread(row: IncomingText) -> bool:
    return row.read_at is None and (bool(row.kind) or row.state == "held")


def _owners() -> owner_commands.Owners:
    told = request.app.config["edge.settings"].sms
    return owner_commands.Owners(owner_commands.read_numbers(told.owner_numbers), told.owner_pin)


def _sender(typed: str) -> str:
    """A number in any notation, else what was typed: a name, a short code."""
    try:
        return read_msisdn(typed)
    except BadInput:
        return typed


def _query(asked: dict[str, Any]) -> str:
    told = "&".join(f"{name}={quoted(str(value))}" for name, value in asked.items() if value)
    return f"{HERE}?{told}" if told else HERE


def _missing() -> Any:
    return error_page(404, say("admin.nothing"))


def _sees_secrets() -> bool:
    return frame.signed_in().role in frame.SEES_SECRETS


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
