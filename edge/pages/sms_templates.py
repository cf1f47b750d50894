"""Templates on the dashboard: what the box texts by itself, looked at with a sample, rewritten and put back."""

from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import templates
from edge.domain.templates import Template
from edge.errors import BadInput
from edge.pages import frame, texts_words
from edge.pages.dashboard import HTML, error_page
from edge.texts import say

HERE = "/admin/sms/templates"
EDITS = ("owner",)
SAID = ("saved", "reset", "gone")


def list_page() -> str:
    """All templates, each as it looks with its sample."""
    rows = [(template, templates.shown(template)) for template in templates.everything()]
    return _page("admin_sms_templates.html", rows=rows, said=_said())


def template_page(name: str) -> Any:
    """One template, and the form that changes it."""
    template = _found(name)
    return _nothing() if template is None else _form(template, template.text)


def template_post(name: str) -> Any:
    """Look at other words, take over shipped ones, or keep what was typed."""
    template = _found(name)
    if template is None:
        return _nothing()
    do, text = frame.typed("do"), _typed_text()
    if do.removeprefix("use-") in template.shipped:
        return _form(template, template.shipped[do.removeprefix("use-")])
    try:
        text = templates.check(template, text)
        if do != "save":
            return _form(template, text)
        templates.save(template.name, text, frame.signed_in(), _now())
    except BadInput as reason:
        return _again(template, text, reason)
    return frame.see_other(f"{HERE}/{template.name}?said=saved")


def reset_post(name: str) -> HTTPResponse:
    """The shipped words again; a template of the owner's own is gone."""
    template = _found(name)
    if template is None:
        return _nothing()
    templates.reset(template.name, _now(), frame.signed_in())
    return frame.see_other(f"{HERE}/{template.name}?said=reset" if template.shipped else f"{HERE}?said=gone")


def new_page() -> str:
    """The form for a template of the owner's own."""
    return _page("admin_sms_template_new.html", called="", text="", error="", wrong="")


def new_post() -> Any:
    """Keep it, unless there is one of that name."""
    name, text = frame.typed("name").strip().upper()[:40], _typed_text()
    try:
        if name in templates.names():
            raise BadInput(say("templates_page.is_there", called=name), "name")
        templates.save(name, text, frame.signed_in(), _now())
    except BadInput as reason:
        page = _page("admin_sms_template_new.html", called=name, text=text, error=str(reason), wrong=reason.field)
        return HTTPResponse(page, 400, HTML)
    return frame.see_other(f"{HERE}/{name}?said=saved")


def _form(template: Template, text: str, error: str = "", wrong: str = "") -> str:
    """Filled with these words; what they make of the sample, unless they can't be read."""
    try:
        quote = templates.preview(template, text)
    except BadInput as reason:
        quote, error = None, error or str(reason)
    return _page(
        "admin_sms_template.html", one=template, text=text, quote=quote, error=error, wrong=wrong, said=_said(),
        languages=templates.LANGUAGES, most=templates.LONGEST,
        is_new=text != template.text, sample=templates.sample_of(template, "" if quote is None else text),
    )  # fmt: skip


def _again(template: Template, text: str, reason: BadInput) -> HTTPResponse:
    return HTTPResponse(_form(template, text, str(reason), reason.field), 400, HTML)


def _page(page: str, **values: Any) -> str:
    edits = frame.signed_in().role in EDITS
    return frame.page(page, "texts", tw=texts_words, edits=edits, **values)


def _typed_text() -> str:
    return frame.typed("text")[: templates.LONGEST * 2].replace("\r\n", "\n").strip()


def _found(name: str) -> Template | None:
    try:
        return templates.get(name)
    except BadInput:
        return None


def _said() -> str:
    word = frame.asked("said")
    return say(f"templates_page.did_{word}") if word in SAID else ""


def _nothing() -> HTTPResponse:
    return error_page(404, say("admin.nothing"))


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
