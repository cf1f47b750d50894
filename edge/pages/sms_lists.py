"""Uploaded lists of numbers on the dashboard: each fault of the file with its line, and how these people agreed."""

from datetime import datetime

from bottle import HTTPResponse, request

from edge.domain import sms_lists
from edge.errors import BadInput
from edge.pages import frame
from edge.pages.dashboard import HTML
from edge.texts import say

HERE = "/admin/sms/lists"
MOST_UPLOAD = 4 * 1024 * 1024  # bytes
DONE = ("deleted", "agreed")


def lists_page() -> HTTPResponse:
    """The lists there are, and the form for another."""
    return _page(None, "", 200)


def upload_post() -> HTTPResponse:
    """Read the file and keep whom it names; what was left out is told with its line, and nothing else is lost."""
    if (request.content_length or 0) > MOST_UPLOAD:
        return _page(None, say("books.too_large", megabytes=MOST_UPLOAD // 2**20), 413)
    file = request.files.get("file")
    if file is None:
        return _page(None, say("books.no_file"), 400)
    box = request.app.config["edge.settings"].box
    name = frame.typed("name").strip() or _name_of(file.raw_filename)
    try:
        told = sms_lists.add(
            name, file.file.read(MOST_UPLOAD + 1), frame.typed("consent"), frame.signed_in(), _now(), box.country
        )
    except BadInput as reason:
        return _page(None, str(reason), 400)
    return _page(told, "", 200)


def agreed_post(list_id: int) -> HTTPResponse:
    """How the people of a list agreed to advertising."""
    try:
        sms_lists.set_consent(sms_lists.get(list_id), frame.typed("consent"))
    except BadInput as reason:
        return _page(None, str(reason), 400)
    return frame.see_other(f"{HERE}?did=agreed")


def delete_post(list_id: int) -> HTTPResponse:
    """Forget a list."""
    sms_lists.delete(sms_lists.get(list_id))
    return frame.see_other(f"{HERE}?did=deleted")


def _page(told: sms_lists.Upload | None, fault: str, status: int) -> HTTPResponse:
    did = frame.asked("did")
    page = frame.page(
        "admin_sms_lists.html", "texts", texts_here="campaigns", lists=sms_lists.everything(), told=told, fault=fault,
        consent=frame.typed("consent"), list_name=frame.typed("name"),
        notice=say(f"campaigns.list_{did}") if did in DONE else "",
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _name_of(told: str) -> str:
    """What the browser calls the file, without its folder and ending."""
    name = told.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".csv")
    return "".join(letter for letter in name if letter.isprintable())[:80]


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
