"""The guest's pages: choose a plan, and see how the purchase stands. No cookies, no need of scripts."""

import hashlib
import itertools
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from bottle import HTTPResponse, request
from markupsafe import Markup, escape

from edge import __version__
from edge.database import close_database, db
from edge.domain import clock, payments, plans
from edge.errors import BadInput
from edge.models import Payment, Plan, Router
from edge.pages.rendering import render
from edge.pages.views import PAID, payment_view
from edge.texts import catalogue, say
from edge.values.duration import show_duration
from edge.values.mac import read_mac
from edge.values.money import show_money

VERSION = __version__
LIMIT = 300
CONTEXT = ("ip", "link-login-only", "link-orig", "chap-id", "chap-challenge")
WAITING = ("pending", "prompted", "paid", "expired")  # may change by itself: the page keeps looking

# RouterOS prints chap-id and chap-challenge as JavaScript octal escapes (manual: Hotspot customisation).
_OCTAL = re.compile(r"\\([0-3][0-7]{0,2}|[4-7][0-7]?)")
# No backslash, space or letter outside ASCII: browsers and urlsplit read those differently.
_LINK = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE | re.ASCII)
_RATE = re.compile(r"\d+[kM]?/(\d+)([kM])\b")


# Hidden fields take the place of this mark. A page of 200 phones at once is rendered once.
TOLD = Markup("<!--told-->")
_FIELD = '<input type="hidden" name="{name}" value="{value}" autocomplete="off">\n'
SHELF_LIFE_S, STALE_FOR_S = 5.0, 5.0


class Shelf:
    """The first page, rendered at most every five seconds, and beside the guests: whoever had to render it among 200
    others waited 200 ms.
    """

    def __init__(self) -> None:
        self._page = ""
        self._of: tuple[Any, ...] = ()
        self._until = 0.0
        self._renewing = threading.Lock()

    def page(self) -> str:
        """As rendered within the last five seconds; for a little longer while it is rendered anew beside the guests."""
        shop, now = _shop(), time.monotonic()
        if self._of != shop or now >= self._until + STALE_FOR_S:
            with self._renewing:
                if self._of != shop or now >= self._until + STALE_FOR_S:
                    self._render(shop)
        elif now >= self._until and self._renewing.acquire(blocking=False):
            threading.Thread(target=self._renew, args=(shop,), daemon=True).start()
        return self._page

    def _renew(self, shop: tuple[Any, ...]) -> None:
        try:
            self._render(shop)
        finally:
            close_database()
            self._renewing.release()

    def _render(self, shop: tuple[Any, ...]) -> None:
        self._page, self._of = skeleton(plans.on_sale()), shop
        self._until = time.monotonic() + SHELF_LIFE_S


def _shop() -> tuple[Any, ...]:
    """What a page depends on beside its plans."""
    return id(db.obj), catalogue.language, catalogue.shop


_shelf = Shelf()


@dataclass(frozen=True)
class Connect:
    """The form behind the Connect button: what the router's login page wants to be told."""

    url: str
    username: str
    password: str
    dst: str


def plans_page() -> str:
    """What is on sale, and the form that buys it."""
    told, error = _read_query(request.query_string)
    return with_told(skeleton(plans.on_sale(), error) if error else _shelf.page(), told)


def quick_page(query_string: str) -> str | None:
    """The same, unless the router has a complaint."""
    told, error = _read_query(query_string)
    return None if error else with_told(_shelf.page(), told)


def _read_query(query_string: str) -> tuple[dict[str, str], str]:
    """What the router's login page told of this guest, as the form keeps it, and the router's complaint."""
    query = dict(parse_qsl(query_string)) if query_string else {}
    mac = _mac_or_nothing(query.get("mac", ""))
    told = {"idempotency_key": new_key(), "mac_address": mac, **read_context(query)}
    return told, _printable(query.get("error", ""))[:LIMIT]


_SECRET = secrets.token_bytes(32)
_numbers = itertools.count(1)


def new_key() -> str:
    """An idempotency key nobody can guess: it opens the payment made with it.

    From a secret of this process and a count. Asking the kernel for each would let go of the interpreter's lock, and
    200 phones at once would wait in line for it again.
    """
    return hashlib.blake2b(str(next(_numbers)).encode(), digest_size=16, key=_SECRET).hexdigest()


def form_again(given: Mapping[str, str], words: str, status: int) -> HTTPResponse:
    """The form as it was sent, with what is to be mended in it: nothing has to be typed twice."""
    chosen = given.get("package_id", "")
    page = skeleton(plans.on_sale(), fault=words, phone=given.get("phone_number", "")[:40], chosen=chosen)
    told = {"idempotency_key": new_key(), "mac_address": _mac_or_nothing(given.get("mac_address", ""))}
    return HTTPResponse(
        with_told(page, {**told, **read_context(given)}), status, {"Content-Type": "text/html; charset=UTF-8"}
    )


def skeleton(on_sale: list[Plan], error: str = "", fault: str = "", phone: str = "", chosen: str = "") -> str:
    """The first page but for what one guest's router told: the same for everybody who comes anew."""
    rows = [(plan, details(plan)) for plan in on_sale]
    chosen = chosen if chosen in {str(plan.id) for plan in on_sale} else str(on_sale[0].id) if on_sale else ""
    return render(
        "portal.html", version=VERSION, plans=rows, error=error, told=TOLD, fault=fault, phone=phone, chosen=chosen
    )  # fmt: skip


def with_told(page: str, told: Mapping[str, str]) -> str:
    """The page with what the router told of this guest, kept in the form: no cookies are needed."""
    fields = [_FIELD.format(name=escape(name), value=escape(value)) for name, value in told.items() if value]
    return page.replace(TOLD, "".join(fields))


def payment_page(token: str) -> Any:
    """Where a purchase stands, for whoever holds its token."""
    payment = payments.by_token(token)
    if payment is None:
        page = render("guest_error.html", words=say("portal.no_payment"), version=VERSION, is_form=False)
        return HTTPResponse(page, 404, {"Content-Type": "text/html; charset=UTF-8"})
    now: datetime = request.environ["edge.now"]
    view = payment_view(payment, now)
    connect = _connect(payment, view) if view["status"] == "online" else None
    return render(
        "payment.html", version=VERSION, view=view, connect=connect, words=_words(payment, view, connect),
        until=_until(payment, view), back=back_link(payment), has_code=view["status"] in PAID[:2],
        is_waiting=view["status"] in WAITING,
    )  # fmt: skip


def read_context(given: Mapping[str, Any]) -> dict[str, str]:
    """How the guest arrived. What is too long is left out: half a link leads nowhere."""
    kept = {name: given.get(name) for name in CONTEXT}
    return {
        name: value
        for name, value in kept.items()
        if isinstance(value, str) and 0 < len(value) <= LIMIT and value.isprintable()
    }


def details(plan: Plan) -> list[str]:
    """What a plan's name and price do not tell yet."""
    lines = []
    time = show_duration(plan.seconds)
    if time != plan.name.strip().lower():
        lines.append(time)
    if plan.bytes:
        lines.append(say("portal.data", amount=_show_bytes(plan.bytes)))
    if speed := show_speed(plan.rate):
        lines.append(say("portal.speed", rate=speed))
    if plan.devices > 1:
        lines.append(say("portal.devices", count=plan.devices))
    return lines


def show_speed(rate: str) -> str:
    """RouterOS writes upload/download; a guest asks for the second: `2M/5M` → `5 Mbps`."""
    found = _RATE.match(rate)
    return f"{found[1]} {found[2]}bps" if found else ""


def chap_response(chap_id: str, password: str, challenge: str) -> str | None:
    """hex(md5(id + password + challenge)), as the manual has it, over bytes; None without a challenge."""
    try:
        first, last = _bytes_of(chap_id), _bytes_of(challenge)
    except UnicodeEncodeError:
        return None
    if not first or not last:
        return None
    return hashlib.md5(first + password.encode() + last, usedforsecurity=False).hexdigest()


def host_of(link: str) -> str:
    """The host of a plain http or https link; '' for everything a browser might read in another way."""
    if not _LINK.fullmatch(link):
        return ""
    try:
        parts = urlsplit(link)
        _ = parts.port
    except ValueError:
        return ""
    return "" if "@" in parts.netloc else (parts.hostname or "")


def login_address(link: str, routers: Iterable[Router]) -> str:
    """Where a code may go: the link given if it is one of our routers', else the only login page known."""
    routers = list(routers)
    own = {router.login_url for router in routers if host_of(router.login_url)}
    hosts = {router.host.lower() for router in routers} | {host_of(url) for url in own}
    if host_of(link) and host_of(link) in hosts:
        return link
    # Several routers: a guess may be the wrong one, and the code can be typed anywhere.
    return own.pop() if len(own) == 1 else ""


def back_link(payment: Payment) -> str:
    """The first page, as the router once opened it for this guest."""
    known = {"mac": payment.mac, **read_context(payment.context)}
    query = urlencode({name: value for name, value in known.items() if value})
    return f"/?{query}" if query else "/"


def _connect(payment: Payment, view: dict[str, Any]) -> Connect | None:
    context = read_context(payment.context)
    url = login_address(context.get("link-login-only", ""), Router.select())
    if not url:
        return None
    hashed = chap_response(context.get("chap-id", ""), view["password"], context.get("chap-challenge", ""))
    origin = context.get("link-orig", "")
    return Connect(url, view["username"], hashed or view["password"], origin if host_of(origin) else "")


def _words(payment: Payment, view: dict[str, Any], connect: Connect | None) -> str:
    """As the API says it, but no word of a button that is not there."""
    if view["status"] == "online" and connect is None:
        return say("status.online_code", amount=show_money(payment.amount_cents))
    return str(view["message"])


def _until(payment: Payment, view: dict[str, Any]) -> str:
    """The end of the bought time by the clock on the wall; '' before it began, and while nobody vouches for ours."""
    if view["status"] != "online" or view["ends_at"] is None or not clock.is_trusted():
        return ""
    zone = ZoneInfo(request.app.config["edge.settings"].box.timezone)
    ends = datetime.fromisoformat(view["ends_at"]).astimezone(zone)
    today = request.environ["edge.now"].astimezone(zone).date()
    return say("status.until", clock=f"{ends:%H:%M}" if ends.date() == today else f"{ends:%a %d %b, %H:%M}")


def _mac_or_nothing(typed: str) -> str:
    """A router's claim that can't be read is dropped: the guest gets a code instead."""
    try:
        return read_mac(typed[:LIMIT])
    except BadInput:
        return ""


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


def _bytes_of(escaped: str) -> bytes:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), escaped).encode("latin-1")


def _show_bytes(count: int) -> str:
    for size, unit in ((10**9, "GB"), (10**6, "MB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count // 1000} kB"
