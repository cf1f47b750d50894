"""How a guest's time stands, by his payment's address or by code and PIN; his devices, pause and move."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from bottle import HTTPResponse, request

from edge import __version__
from edge.domain import clock, guest_codes, guest_devices, guest_logins, payments
from edge.errors import BadInput
from edge.models import Grant, Payment
from edge.pages import by_hand
from edge.pages.portal_links import (
    Connect,
    back_link,
    connect_form,
    first_page,
    mac_or_nothing,
    printable,
    read_context,
    router_before,
    with_query,
)
from edge.pages.rendering import render
from edge.pages.views import PAID, grant_view, misfit_cents, payment_view
from edge.texts import say
from edge.values.duration import show_duration
from edge.values.mac import is_private
from edge.values.money import show_money
from edge.values.sizes import show_bytes

WAITING = ("pending", "prompted", "paid", "expired")  # may change by itself: the page keeps looking
CROWDED = "no more sessions are allowed"  # errors.txt of RouterOS: user-session-limit
SHOWS_CREDIT_OF = timedelta(minutes=1)
FORM_LETTERS = 100


@dataclass(frozen=True)
class Here:
    """Which page it is, and the device before which it is read, as its router told."""

    address: str
    mac: str
    context: Mapping[str, str]
    error: str = ""  # the router's complaint about the last login
    fault: str = ""  # what is wrong with the form that was sent
    typed: str = ""

    @property
    def link(self) -> str:
        """The page again, for the same device."""
        return with_query(self.address, {"mac": self.mac, **self.context})


def payment_page(token: str) -> Any:
    """Where a purchase stands, for whoever holds its token."""
    payment = payments.by_token(token)
    if payment is None:
        return _no_page("portal.no_payment")
    instead = payment.context.get("instead")  # his money bought another plan
    if instead and payment.state != "paid":
        return HTTPResponse("", 303, {"Location": f"/p/{instead}"})
    return _payment_page(payment)


def payment_post(token: str) -> Any:
    """A wish of the buyer about his devices."""
    payment = payments.by_token(token)
    grant = None if payment is None else payments.standing(payment, request.environ["edge.now"]).grant
    if payment is None or grant is None or payment.state != "paid":
        return _no_page("portal.no_payment")
    return _wish(grant, _here(f"/p/{token}", payment), lambda here: _payment_page(payment, here))


def grant_page(key: str) -> Any:
    """How somebody's time stands, for whoever has proven code and PIN."""
    grant = guest_codes.by_key(key)
    return _no_page("portal.no_grant") if grant is None else _grant_page(grant, _here(f"/g/{key}"))


def grant_post(key: str) -> Any:
    """A wish about the devices on this time."""
    grant = guest_codes.by_key(key)
    if grant is None:
        return _no_page("portal.no_grant")
    return _wish(grant, _here(f"/g/{key}"), lambda here: _grant_page(grant, here))


def _payment_page(payment: Payment, here: Here | None = None) -> str:
    now: datetime = request.environ["edge.now"]
    here = here or _here(f"/p/{payment.token}", payment)
    view = payment_view(payment, now)
    grant = payments.standing(payment, now).grant if view["status"] in PAID else None
    told = None if grant is None else stay(grant, view, here, now)
    connect = None if told is None else told["connect"]
    settings, misfits = request.app.config["edge.settings"], bool(misfit_cents(payment, view["status"]))
    return render(
        "payment.html", version=__version__, view=view, stay=told,
        words=told["now"] if told and told["now"] else _words(payment, view, connect),
        title=say("by_hand.misfit_title" if misfits else _title(view, told, payment)),
        back=back_link(payment), is_waiting=view["status"] in WAITING,
        by_hand=None if misfits else by_hand.instructions(payment, view["status"], settings),
        is_by_hand=payment.how == "hand", provider=payment.provider,
    )  # fmt: skip


def _grant_page(grant: Grant, here: Here) -> str:
    now: datetime = request.environ["edge.now"]
    view = grant_view(grant, now)
    told = stay(grant, view, here, now)
    return render(
        "portal_grant.html", version=__version__, view=view, stay=told, back=first_page(here.mac, here.context),
        title=say(_title(view, told)), words=told["now"] or say(_grant_words(view, told)),
    )  # fmt: skip


def stay(grant: Grant, view: Mapping[str, Any], here: Here, now: datetime) -> dict[str, Any]:
    """What the page says of a right to be online, and what its holder may do about it here."""
    is_live = view["status"] == "online"
    kick = guest_logins.kick_progress(grant, now) if is_live else None
    online = guest_logins.open_sessions(grant, now) if is_live else []
    is_busy = kick is not None and kick.state in ("waiting", "delayed")
    elsewhere = [session for session in online if session.mac != here.mac]
    is_crowded = is_live and (CROWDED in here.error or _is_full(grant, len(elsewhere), here, online))
    offers_move = is_crowded and not (kick is not None and kick.why == "move" and kick.state in ("waiting", "done"))
    can_connect = is_live and not is_busy and not offers_move
    is_paused = kick is not None and (kick.why, kick.state) == ("pause", "done") and not online
    said = say(f"grant.{kick.why}_{kick.state}") if kick is not None else ""
    return {
        "here": here, "is_live": is_live, "left": _left_words(grant, view, now) if is_live else [],
        "credit": show_duration(grant.credited_s) if grant.credited_s >= SHOWS_CREDIT_OF.total_seconds() else "",
        "connect": connect_form(grant.username, grant.password, here.context) if can_connect else None,
        "kick": said, "is_busy": is_busy, "now": said if is_busy else say("grant.move_hint") if offers_move else "",
        "offers_move": offers_move, "can_pause": is_live and grant.metered and not is_busy and not is_paused,
        "is_private": is_live and is_private(here.mac), **_devices(grant, here, is_live),
    }  # fmt: skip


def _is_full(grant: Grant, elsewhere: int, here: Here, online: list[Any]) -> bool:
    """Are all places taken, as far as routers told, and this device has none of them?"""
    is_in = any(session.mac == here.mac for session in online)
    return bool(here.mac) and not is_in and elsewhere >= int(grant.devices)


def _devices(grant: Grant, here: Here, is_live: bool) -> dict[str, Any]:
    """The TVs and consoles, and whether one may be added."""
    found = guest_devices.of_grant(grant) if is_live else []
    router = router_before(here.context)
    by_mac = None if router is None else guest_devices.lets_in_by_mac(router)
    return {
        "tvs": found, "can_add": is_live and guest_devices.seats(grant) > 1, "no_mac_login": by_mac is False,
        "some_private": any(is_private(device.mac) for device in found),
    }  # fmt: skip


def _left_words(grant: Grant, view: Mapping[str, Any], now: datetime) -> list[str]:
    """What is left: the greatest first, then until when, or how it is counted."""
    time = show_duration(view["seconds_left"])
    if grant.metered:
        lines = [say("grant.use_left", time=time), say("grant.metered")]
    else:
        until = _until(grant, now)
        lines = [say("status.left", time=time), *([until] if until else [])]
    if grant.bytes is not None:
        lines += [say("grant.bytes_left", amount=show_bytes(view["bytes_left"])), say("grant.whichever")]
    return lines


def _until(grant: Grant, now: datetime) -> str:
    """The end by the clock on the wall; '' before it began, and while nobody vouches for ours."""
    if grant.ends_at is None or not clock.is_trusted():
        return ""
    zone = ZoneInfo(request.app.config["edge.settings"].box.timezone)
    ends = grant.ends_at.astimezone(zone)
    is_today = ends.date() == now.astimezone(zone).date()
    return say("status.until", clock=f"{ends:%H:%M}" if is_today else f"{ends:%a %d %b, %H:%M}")


def _words(payment: Payment, view: Mapping[str, Any], connect: Connect | None) -> str:
    """As the API says it, but no word of a button that is not there."""
    if view["status"] == "online" and connect is None:
        return say("status.online_code", amount=show_money(payment.amount_cents))
    return str(view["message"])


def _grant_words(view: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if view["status"] == "online":
        return "grant.online_more" if told["connect"] else "grant.online_code"
    return "status.paid_more" if view["status"] == "paid" else f"{_title(view)}_more"


def _title(
    view: Mapping[str, Any], told: Mapping[str, Any] | None = None, payment: Payment | None = None
) -> str:
    """How it stands, as a heading; of an end also why."""
    if payment is not None and payment.how == "hand" and view["status"] == "pending":
        return "by_hand.waiting"
    if told is not None and told["offers_move"]:
        return "grant.in_use"
    is_told = view["status"] == "ended" and view["why_ended"] in ("data", "staff")
    return f"status.{view['status']}{'_' + view['why_ended'] if is_told else ''}"


def _wish(grant: Grant, here: Here, page: Any) -> Any:
    """Do what one of the page's buttons says, then show the page anew; what can't be done is said in place."""
    now: datetime = request.environ["edge.now"]
    given = request.forms
    try:
        _do(given.get("do") or "", grant, here, given, now)
    except BadInput as reason:
        shown = replace(here, fault=str(reason), typed=(given.getunicode("mac") or "")[:FORM_LETTERS])
        return HTTPResponse(page(shown), 400, {"Content-Type": "text/html; charset=UTF-8"})
    return HTTPResponse("", 303, {"Location": here.link})


def _do(what: str, grant: Grant, here: Here, given: Any, now: datetime) -> None:
    if what in ("move", "pause") and grant.state == "live":
        guest_logins.promise_kick(grant, what, here.mac if what == "move" else "", now)
    elif what == "add":
        label = (given.getunicode("label") or "")[:FORM_LETTERS]
        guest_devices.add(grant, (given.getunicode("mac") or "")[:FORM_LETTERS], label, guest_devices.GUEST, now)
    elif what == "remove":
        for device in guest_devices.of_grant(grant):
            if str(device.id) == given.get("device"):
                guest_devices.remove(device, "guest", now)


def _here(address: str, payment: Payment | None = None) -> Here:
    """The device that asks, by its address or form; else the one that paid."""
    told = dict(parse_qsl(request.query_string))
    context = read_context(told)
    mac = mac_or_nothing(told.get("mac", ""))
    if payment is not None and not context.get("link-login-only"):
        context, mac = read_context(payment.context), mac or payment.mac
    return Here(address, mac, context, printable(told.get("error", ""))[:300])


def _no_page(text: str) -> HTTPResponse:
    page = render("guest_error.html", words=say(text), version=__version__, is_form=False)
    return HTTPResponse(page, 404, {"Content-Type": "text/html; charset=UTF-8"})
