"""The guest's first page: choose a plan and pay, type a code, or connect a device that has time left. No cookies, no
need of scripts.
"""

import hashlib
import itertools
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from bottle import HTTPResponse, request
from markupsafe import Markup, escape

from edge import __version__
from edge.database import close_database, db
from edge.domain import guest_codes, guest_logins, plans, renewal, vouchers
from edge.errors import BadInput
from edge.models import Grant, Plan, Router
from edge.pages import portal_links, voucher_words
from edge.pages.portal_links import LIMIT, is_his, printable, read_told, router_before, with_query
from edge.pages.portal_status import CROWDED
from edge.pages.rendering import environment, render
from edge.texts import catalogue, say
from edge.values.duration import show_duration
from edge.values.sizes import show_bytes

VERSION = __version__
read_context = portal_links.read_context

_RATE = re.compile(r"\d+[kM]?/(\d+)([kM])\b")
_SHILLINGS = re.compile(r"\d{1,7}", re.ASCII)

# Hidden fields take the place of these marks: all of them, or all but the key. A page of 200 phones at once is
# rendered once.
TOLD, ARRIVED = Markup("<!--told-->"), Markup("<!--arrived-->")
_FIELD = '<input type="hidden" name="{name}" value="{value}" autocomplete="off">\n'
SHELF_LIFE_S, STALE_FOR_S = 5.0, 5.0
# What RouterOS says in errors.txt, and what a guest should read instead.
_ROUTER_SAYS = {
    CROWDED: "crowded", "invalid username or password": "wrong", "uptime limit": "time", "traffic limit": "data",
    "is not responding": "radius", "already authorizing": "busy", "chap": "again", "challenge": "again",
    "not allowed to log in from this mac": "other_device",
}  # fmt: skip
_IS_OF_A_CODE = ("crowded", "wrong")


class Shelf:
    """The first page, rendered at most every five seconds, and beside the guests: whoever had to render it among 200
    others waited 200 ms.
    """

    def __init__(self) -> None:
        self._pages: dict[int | None, str] = {}
        self._routers: dict[str, int] = {}  # host → router, where not all sell the same
        self._of: tuple[Any, ...] = ()
        self._until = 0.0
        self._macs: frozenset[str] = frozenset()
        self._renewing = threading.Lock()

    def page(self, told: Mapping[str, str] | None = None) -> str:
        """As rendered within the last five seconds; for a little longer while it is rendered anew beside the guests.

        For whoever stands before the router that `told` names.
        """
        shop, now = _shop(), time.monotonic()
        if self._of != shop or now >= self._until + STALE_FOR_S:
            with self._renewing:
                if self._of != shop or now >= self._until + STALE_FOR_S:
                    self._render(shop)
        elif now >= self._until and self._renewing.acquire(blocking=False):
            threading.Thread(target=self._renew, args=(shop,), daemon=True).start()
        if not self._routers or not told:
            return self._pages[None]
        host = portal_links.host_of(told.get("link-login-only", ""))
        return self._pages.get(self._routers.get(host), self._pages[None])

    def may_know(self, mac: str) -> bool:
        """Does anybody's live grant belong to this device, as of a moment ago?"""
        return bool(mac) and mac in self._macs

    def _renew(self, shop: tuple[Any, ...]) -> None:
        try:
            self._render(shop)
        finally:
            close_database()
            self._renewing.release()

    def _render(self, shop: tuple[Any, ...]) -> None:
        now = datetime.now(UTC)
        self._macs = guest_logins.known_macs()
        pages: dict[int | None, str] = {None: front_page({}, now)}
        hosts: dict[str, int] = {}
        for router in list(Router.select()) if plans.differ_by_router() else []:
            pages[router.id] = front_page({}, now, router=router)
            hosts |= dict.fromkeys((router.host.lower(), portal_links.host_of(router.login_url)), router.id)
        self._pages, self._routers, self._of = pages, hosts, shop
        self._until = time.monotonic() + SHELF_LIFE_S


def _shop() -> tuple[Any, ...]:
    """What a page depends on beside its plans."""
    ways = environment.globals["takes_by_hand"], environment.globals["takes_paystack"]
    return id(db.obj), catalogue.language, catalogue.shop, plans.shop.zone, plans.shop.can_text, *ways


_shelf = Shelf()


def plans_page() -> str:
    """What is on sale, and the form that buys it; for a device with time left the button that connects it."""
    told, error, code = _read_query(request.query_string)
    grant = guest_logins.of_mac(told["mac_address"])
    if not error and grant is None:
        return with_told(_shelf.page(told), told)
    can_connect = grant is not None and _router_for(grant, told, request.environ["edge.client"]) is not None
    words, says = router_words(error)
    page = front_page(
        told, request.environ["edge.now"], error=words, code=code[: guest_codes.LONGEST],
        asks_code=says in _IS_OF_A_CODE, is_known=can_connect and says not in _IS_OF_A_CODE, has=grant,
    )  # fmt: skip
    return with_told(page, {**told, "error": error if says == "crowded" else ""})


def quick_page(query_string: str) -> str | None:
    """The same, unless the router has a complaint, or the device may have time left."""
    told, error, _ = _read_query(query_string)
    page = _shelf.page(told)
    return None if error or _shelf.may_know(told["mac_address"]) else with_told(page, told)


def code_post() -> HTTPResponse:
    """A code leads to the page of the time it opens, with its PIN, or alone if it stands on paper; else it is said why
    not."""
    given, now = _form(), request.environ["edge.now"]
    code, pin = given.get("code", ""), given.get("pin", "")
    told, client = _told(given), request.environ["edge.client"]
    mac = told["mac_address"]
    try:
        if pin.strip():
            grant = guest_codes.prove(code, pin, client, mac, now)
        else:
            grant = vouchers.redeem(code, mac, client, read_context(given), now)
    except BadInput as reason:
        wait_s = getattr(reason, "retry_after_s", 0)
        fault = voucher_words.why(reason)
        page = front_page(told, now, code_fault=fault, code=code[: guest_codes.LONGEST], asks_code=True)
        answer = _page(with_told(page, told), 429 if wait_s else 400)
        if wait_s:
            answer.set_header("Retry-After", str(wait_s))
        return answer
    told = {"mac": mac, **read_context(given), "error": printable(given.get("error", ""))[:LIMIT]}
    return HTTPResponse("", 303, {"Location": with_query(f"/g/{guest_codes.key_of(grant)}", told)})


def connect_post() -> HTTPResponse:
    """Log in a device that has time left. No code is shown: a MAC proves nothing to the one who reads the page."""
    given, now = _form(), request.environ["edge.now"]
    told = _told(given)
    grant = guest_logins.of_mac(told["mac_address"])
    router = None if grant is None else _router_for(grant, told, request.environ["edge.client"])
    if grant is None or router is None:
        page = front_page(told, now, code_fault=_not_connected(), asks_code=True)
        return _page(with_told(page, told), 400)
    name = guest_logins.promise_login(grant, told["mac_address"], told["ip"], router, now)
    return HTTPResponse("", 303, {"Location": with_query(f"/connect/{name}", _arrived(told))})


def connect_page(name: str) -> Any:
    """How far the login of a device is."""
    told = _told({**dict(parse_qsl(request.query_string))})
    progress = guest_logins.login_progress(name)
    if progress is None or progress.state == "failed":
        page = front_page(told, request.environ["edge.now"], code_fault=_not_connected(), asks_code=True)
        return _page(with_told(page, told), 200)
    onward = told.get("link-orig", "")
    return render(
        "portal_connect.html", version=VERSION, state=progress.state, here=request.path,
        onward=onward if portal_links.host_of(onward) else "",
    )  # fmt: skip


def _not_connected() -> str:
    """Where the guest finds his code: only a box with a modem texts it."""
    has_modem = bool(request.app.config["edge.settings"].modem.port)
    return say("connect.failed_texted" if has_modem else "connect.failed")


def router_words(error: str) -> tuple[str, str]:
    """The router's complaint as a guest understands it, and which it is; what is not known stays in its own words."""
    plain = error.lower()
    says = next((name for words, name in _ROUTER_SAYS.items() if words in plain), "")
    return (say(f"router_says.{says}") if says else say("portal.login_error", words=error) if error else ""), says


def _router_for(grant: Grant, told: Mapping[str, str], client: str) -> Router | None:
    """Where this device can be logged in for its owner: the router before which it stands, if we may ask that one."""
    router = router_before(told)
    if router is None or not router.username or not is_his(told.get("ip", ""), client):
        return None
    return router


def _read_query(query_string: str) -> tuple[dict[str, str], str, str]:
    """What the router's login page told of this guest, as the form keeps it, its complaint, and the code it is of."""
    query = dict(parse_qsl(query_string)) if query_string else {}
    code = printable(query.get("username", ""))
    return _told(query), printable(query.get("error", ""))[:LIMIT], code


def _told(given: Mapping[str, Any]) -> dict[str, str]:
    return {"idempotency_key": new_key(), "mac_address": "", **read_told(given)}


def _arrived(told: Mapping[str, str]) -> dict[str, str]:
    """As an address carries it on."""
    return {"mac": told["mac_address"], **read_context(told)}


def _form() -> dict[str, str]:
    forms = request.forms
    return {name: forms.getunicode(name) or "" for name in list(forms.keys())[:50]}


def _page(page: str, status: int) -> HTTPResponse:
    return HTTPResponse(page, status, {"Content-Type": "text/html; charset=UTF-8"})


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
    told, now = _told(given), request.environ["edge.now"]
    page = front_page(
        told, now, fault=words, phone=given.get("phone_number", "")[:40], chosen=given.get("package_id", "")
    )
    return _page(with_told(page, told), status)


def price_shown(given: Mapping[str, Any]) -> int | None:
    """The price in cents for which somebody agreed to buy: a form's own of the plan he chose, else `price` in whole
    shillings; None when he named none.
    """
    prices = dict(pair.partition("=")[::2] for pair in str(given.get("prices") or "").split())
    told = prices.get(str(given.get("package_id"))) or given.get("price")
    if told is None or told == "":
        return None
    if isinstance(told, bool) or not _SHILLINGS.fullmatch(str(told)):
        raise BadInput("A price is in whole shillings.", "price")
    return int(str(told)) * 100


@dataclass(frozen=True)
class Offer:
    """A plan as the guest's page tells it: the price of this hour, and the usual one where that is another."""

    plan: Plan
    price_cents: int
    usual_cents: int | None
    details: list[str]


def offer(plan: Plan, now: datetime | None = None) -> Offer:
    """The plan as it is sold at an instant; without one for its usual price."""
    usual = int(plan.price_cents)
    price = usual if now is None else plans.price_at(plan, now)
    until = None if now is None or price == usual else plans.happy_until(plan, now)
    lines = details(plan)
    if now is not None and until is not None:
        lines.insert(0, say("portal.happy", clock=_show_until(until, now)))
    return Offer(plan, price, usual if price != usual else None, lines)


def _show_until(instant: datetime, now: datetime) -> str:
    """By the clock on the wall; of another day, and not the midnight to come, with its name."""
    ends, local = instant.astimezone(plans.shop.zone), now.astimezone(plans.shop.zone)
    is_soon = ends.date() == local.date() or ends - local < timedelta(hours=12)
    return f"{ends:%H:%M}" if is_soon else f"{ends:%a %H:%M}"


def front_page(
    told: Mapping[str, str], now: datetime, *, has: Grant | None = None, router: Router | None = None, note: str = "",
    **more: Any,
) -> str:  # fmt: skip
    """The first page for a guest who came in this way; `has`: the time that his device has left."""
    where = router or plans.router_of(told)
    sold = plans.on_sale(now, where)
    is_sold = has is not None and has.plan_id in {plan.id for plan in sold}
    words = note if has is None else renewal.words_before(has, now, is_sold=is_sold)
    return skeleton(sold, now=now, trials=plans.trials(now, where), has=words, **more)


def skeleton(
    on_sale: list[Plan], *, now: datetime | None = None, trials: Sequence[Plan] = (), error: str = "", fault: str = "",
    phone: str = "", chosen: str = "", code: str = "", code_fault: str = "", asks_code: bool = False,
    is_known: bool = False, has: str = "",
) -> str:  # fmt: skip
    """The first page but for what one guest's router told: the same for everybody who comes anew."""
    offers = [offer(plan, now) for plan in on_sale]
    chosen = chosen if chosen in {str(plan.id) for plan in on_sale} else str(on_sale[0].id) if on_sale else ""
    prices = " ".join(f"{one.plan.id}={one.price_cents // 100}" for one in offers)
    return render(
        "portal.html", version=VERSION, offers=offers, error=error, told=TOLD, arrived=ARRIVED, fault=fault,
        phone=phone, chosen=chosen, code=code, code_fault=code_fault, asks_code=asks_code, is_known=is_known, has=has,
        prices=prices, trials=[offer(plan) for plan in trials],
    )  # fmt: skip


def with_told(page: str, told: Mapping[str, str]) -> str:
    """The page with what the router told of this guest, kept in its forms: no cookies are needed."""
    fields = {name: _FIELD.format(name=escape(name), value=escape(value)) for name, value in told.items() if value}
    key = fields.pop("idempotency_key", "")
    arrived = "".join(fields.values())
    return page.replace(TOLD, key + arrived).replace(ARRIVED, arrived)


def details(plan: Plan) -> list[str]:
    """What a plan's name and price do not tell yet."""
    lines = []
    time = show_duration(plan.seconds)
    if time != plan.name.strip().lower():
        lines.append(time)
    if plan.bytes:
        lines.append(say("portal.data", amount=show_bytes(plan.bytes)))
    if plan.metered:
        lines.append(say("portal.metered"))
    if plan.metered and plan.valid_s:
        lines.append(say("portal.valid", time=show_duration(plan.valid_s)))
    if speed := show_speed(plan.rate):
        lines.append(say("portal.speed", rate=speed))
    if plan.devices > 1:
        lines.append(say("portal.devices", count=plan.devices))
    return lines


def show_speed(rate: str) -> str:
    """RouterOS writes upload/download; a guest asks for the second: `2M/5M` → `5 Mbps`."""
    found = _RATE.match(rate)
    return f"{found[1]} {found[2]}bps" if found else ""
