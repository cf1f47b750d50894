"""How a guest came and where he may be sent: what his router's login page told, and the form behind Connect."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from edge.domain import access
from edge.errors import BadInput
from edge.models import Payment, Router
from edge.values.mac import read_mac
from edge.values.networks import contains, is_ipv4

LIMIT = 300
CONTEXT = ("ip", "link-login-only", "link-orig", "chap-id", "chap-challenge")

# RouterOS prints chap-id and chap-challenge as JavaScript octal escapes (manual: Hotspot customisation).
_OCTAL = re.compile(r"\\([0-3][0-7]{0,2}|[4-7][0-7]?)")
# No backslash, space or letter outside ASCII: browsers and urlsplit read those differently.
_LINK = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE | re.ASCII)
_THIS_MACHINE = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Connect:
    """The form behind the Connect button: what the router's login page wants to be told."""

    url: str
    username: str
    password: str
    dst: str


def read_context(given: Mapping[str, Any]) -> dict[str, str]:
    """How the guest arrived. What is too long is left out: half a link leads nowhere."""
    kept = {name: given.get(name) for name in CONTEXT}
    return {
        name: value
        for name, value in kept.items()
        if isinstance(value, str) and 0 < len(value) <= LIMIT and value.isprintable()
    }


def read_told(given: Mapping[str, Any]) -> dict[str, str]:
    """The same with the device's MAC, as forms and addresses of ours carry it on."""
    mac = mac_or_nothing(str(given.get("mac_address") or given.get("mac") or ""))
    return {**({"mac_address": mac} if mac else {}), **read_context(given)}


def mac_or_nothing(typed: str) -> str:
    """A router's claim that can't be read is dropped: the guest gets a code instead."""
    try:
        return read_mac(typed[:LIMIT])
    except BadInput:
        return ""


def printable(text: str) -> str:
    """Without what no screen shows."""
    return "".join(letter for letter in text if letter.isprintable())


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


def connect_form(username: str, password: str, context: Mapping[str, Any]) -> Connect | None:
    """What the router's login page wants to be told; None when it is not known where that is."""
    kept = read_context(context)
    url = login_address(kept.get("link-login-only", ""), Router.select())
    if not url:
        return None
    hashed = chap_response(kept.get("chap-id", ""), password, kept.get("chap-challenge", ""))
    origin = kept.get("link-orig", "")
    return Connect(url, username, hashed or password, origin if host_of(origin) else "")


def router_before(context: Mapping[str, Any]) -> Router | None:
    """The router before which the guest stands: the one he was sent from, else the only one there is."""
    routers = list(Router.select())
    return access.home_of(context, routers) or (routers[0] if len(routers) == 1 else None)


def is_his(ip: str, client: str) -> bool:
    """May the guest who calls from `client` speak for the device at `ip`?

    Only for himself, where his own address is seen; where a router, or this machine's own proxy, gives all guests
    one address, what the router's login page told has to do.
    """
    if not is_ipv4(ip):
        return False
    return ip == client or contains(_THIS_MACHINE, client) or Router.is_at(client)


def back_link(payment: Payment) -> str:
    """The first page, as the router once opened it for this guest."""
    return first_page(payment.mac, payment.context)


def first_page(mac: str, context: Mapping[str, Any]) -> str:
    """The same, from what is known of him."""
    return with_query("/", {"mac": mac, **read_context(context)})


def with_query(path: str, told: Mapping[str, str]) -> str:
    """An address that carries on what the router told."""
    query = urlencode({name: value for name, value in told.items() if value})
    return f"{path}?{query}" if query else path


def _bytes_of(escaped: str) -> bytes:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), escaped).encode("latin-1")
