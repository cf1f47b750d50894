"""The notices on the dashboard, and one's own account: where letters go, and whether they arrive."""

from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import notices, people
from edge.errors import BadInput
from edge.models import Staff
from edge.pages import frame
from edge.pages.dashboard import HTML, error_page
from edge.texts import say

HERE, ACCOUNT = "/admin/notices", "/admin/account"
PAGE = 40
SAID = ("saved", "posted", "none")


def list_page() -> str:
    """The newest notices, and what became of the letters about them."""
    staff, before = frame.signed_in(), frame.number("before")
    found = notices.of(staff, before=before, limit=PAGE + 1)
    return frame.page(
        "admin_notices.html", "notices", rows=found[:PAGE], letters=notices.letters_of(found[:PAGE]), before=before,
        older=found[PAGE - 1].id if len(found) > PAGE else None,
    )  # fmt: skip


def read_post(notification_id: int) -> HTTPResponse:
    """It is read: on to what it is about."""
    notice = notices.mark_read(notification_id, frame.signed_in(), _now())
    if notice is None:
        return error_page(404, say("admin.nothing"))
    return frame.see_other(notice.link if _is_ours(notice.link) else HERE)


def read_all_post() -> HTTPResponse:
    """All are read."""
    notices.mark_all_read(frame.signed_in(), _now())
    return frame.see_other(HERE)


def account_page() -> str:
    """Where my letters go."""
    return _account(_me().email)


def account_post() -> Any:
    """Letters go there from now on."""
    typed = frame.typed("email")[:300].strip()
    try:
        kept = people.set_email(_me(), typed)
    except BadInput as reason:
        return HTTPResponse(_account(typed, str(reason)), 400, HTML)
    return frame.see_other(f"{ACCOUNT}?said={'saved' if kept else 'none'}")


def test_post() -> HTTPResponse:
    """A letter to myself."""
    notices.test(_me(), _now())
    return frame.see_other(f"{ACCOUNT}?said=posted")


def _account(typed: str, error: str = "") -> str:
    staff, word = _me(), frame.asked("said")
    tests = [notice for notice in notices.of(staff, limit=20) if notice.name == "mail.test"][:3]
    letters = notices.letters_of(tests)
    return frame.page(
        "admin_account.html", "account", typed=typed, error=error, me=staff,
        said=say(f"notices.did_{word}") if word in SAID else "",
        letters=[letter for notice in tests for letter in letters.get(notice.id, [])],
        is_simulated=not request.app.config["edge.settings"].email.host,
    )  # fmt: skip


def _me() -> Staff:
    """As it is now: a session may be older than the address."""
    staff: Staff = Staff.get_by_id(frame.signed_in().id)
    return staff


def _is_ours(link: str) -> bool:
    """A page of this dashboard, and nobody else's."""
    return link.startswith("/admin") and "\\" not in link and link.isprintable()


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
