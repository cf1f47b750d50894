"""The page that a voucher's QR code opens. To look at it uses nothing up: the button does."""

import re
from typing import Any

from bottle import HTTPResponse, request

from edge import __version__
from edge.domain import guest_codes, vouchers
from edge.errors import BadInput
from edge.pages import voucher_words
from edge.pages.portal_links import LIMIT, first_page, printable, read_told, with_query
from edge.pages.rendering import render
from edge.texts import say
from edge.values.voucher_code import show_code

_CODE = re.compile(rf"[A-Z0-9]{{4,{guest_codes.LONGEST}}}", re.ASCII)


def voucher_page(code: str) -> Any:
    """The code and a button. No word of whether it is good: that is told to whoever presses it, and not too often."""
    return _page(code, "", 200)


def voucher_post(code: str) -> Any:
    """Use it, and go on to the page of its time."""
    told = read_told(_told())
    mac, client, now = told.get("mac_address", ""), request.environ["edge.client"], request.environ["edge.now"]
    try:
        grant = vouchers.redeem(code, mac, client, told, now)
    except BadInput as reason:
        wait_s = getattr(reason, "retry_after_s", 0)
        answer = _page(code, voucher_words.why(reason), 429 if wait_s else 400)
        if wait_s:
            answer.set_header("Retry-After", str(wait_s))
        return answer
    arrived = {name: value for name, value in told.items() if name != "mac_address"}
    return HTTPResponse("", 303, {"Location": with_query(f"/g/{guest_codes.key_of(grant)}", {"mac": mac, **arrived})})


def _page(code: str, fault: str, status: int) -> HTTPResponse:
    plain, told = guest_codes.plain(code), read_told(_told())
    kind = {"Content-Type": "text/html; charset=UTF-8"}
    if not _CODE.fullmatch(plain):
        page = render("guest_error.html", words=say("voucher.unknown", when="", place=""), version=__version__,
                      is_form=False)  # fmt: skip
        return HTTPResponse(page, 404, kind)
    page = render(
        "voucher.html", version=__version__, code=plain, shown=show_code(plain), fault=fault, told=told,
        back=first_page(told.get("mac_address", ""), told),
    )  # fmt: skip
    return HTTPResponse(page, status, kind)


def _told() -> dict[str, str]:
    """What the router's login page told, by the address or by the form."""
    given = request.query if request.method == "GET" else request.forms
    return {name: printable(given.getunicode(name) or "")[: LIMIT + 1] for name in list(given.keys())[:50]}
