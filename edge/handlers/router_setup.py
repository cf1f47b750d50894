"""Routers looked at, set up and put back: by the command line at once, and by a worker for the dashboard."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from edge.devices.router_setup import Outcome, RouterSetup
from edge.domain import setup
from edge.errors import DeviceError, EdgeError, Refused, Unreachable
from edge.handlers.world import Missed, World, WriteDown
from edge.models import Router
from edge.own_address import own_address
from edge.settings import Settings
from edge.values.networks import is_ipv4
from edge.values.router_findings import Finding, findings
from edge.values.router_setup import Change, Seen, Wish, digests, undoing
from edge.values.router_wanted import rights

log = logging.getLogger("edge.router_setup")

Note = Callable[[Change], object]


@dataclass(frozen=True)
class Login:
    """As whom the box comes this time."""

    username: str
    password: str


@dataclass(frozen=True)
class Found:
    """A router as it was found, and what is to change."""

    wish: Wish
    seen: Seen
    findings: list[Finding]
    changes: list[Change]

    @property
    def interfaces(self) -> list[str]:
        """Where guests could be."""
        rows = self.seen.rows("/interface")
        ports = {row.get("interface") for row in self.seen.rows("/interface/bridge/port")}
        return [row.get("name", "") for row in rows if row.get("name") not in ports]


def login_of(row: Router) -> Login:
    """As whom the box usually comes."""
    return Login(row.username, row.password)


def device_of(row: Router, login: Login) -> RouterSetup:
    """A conversation of its own with this router."""
    return RouterSetup(row.host, row.port, login.username, login.password, tls=row.tls)


def wish_of(settings: Settings, row: Router, login: str, box: str = "") -> Wish:
    """What is wanted of this router. `box` is the box's address as the router sees it; else it is found out."""
    return wish_at(settings, row, login, box or box_address(settings, row), settings.web.port)


def wish_at(settings: Settings, row: Router, login: str, box: str, port: int) -> Wish:
    """The same for a router that finds the box at this address and port."""
    return setup.wish_of(row, login, box, port, **setup.wishes_of(settings))


def box_address(settings: Settings, row: Router) -> str:
    """The box's address on the way to this router; the one it listens on, where the settings name just one."""
    host = settings.web.host
    is_one = is_ipv4(host) and not host.startswith("0.") and not host.startswith("127.")
    address = host if is_one else own_address(row.host, row.port)
    if not is_ipv4(address):
        raise Refused("the hotspot of RouterOS knows IPv4 only: give the router's IPv4 address")
    return address


def look(device: RouterSetup, wish: Wish, now: datetime) -> Found:
    """Ask the router everything; nothing is changed there."""
    seen = device.look(wish)
    return Found(wish, seen, findings(wish, seen, now), device.plan(wish, seen))


def apply(device: RouterSetup, row: Router, found: Found, note: Note = lambda change: None) -> Outcome:
    """Make the changes. What undoes them is kept first; then the box comes as the user it has made."""
    setup.record_intended(row.id, found.changes)
    outcome = device.apply(found.changes, found.wish, note)
    made = [change for change in outcome.done if change.menu == "/user"]
    if made and row.username != made[0].find["name"]:
        _take_over(row, found.wish, made[0], outcome)
    return outcome


def _take_over(row: Router, wish: Wish, made: Change, outcome: Outcome) -> None:
    """The box comes as the user it has made, once that one was let in."""
    try:
        with device_of(row, Login(made.find["name"], wish.api_password)) as trial:
            trial.greet()
    except DeviceError as reason:
        outcome.left.append((made, f"it is there, and can't log in, so the box comes as before: {reason}"))
        return
    setup.take_over(row.id, made.find["name"])


def adopt_login(row: Router, now: datetime) -> Router:
    """The router as the box is to come to it: as the user of a pasted script, from when that one is first let in.

    Until then, and when the router can't be asked, the login stays as it was.
    """
    login = setup.login_to_try(row, now)
    if login is None:
        return row
    try:
        with device_of(row, Login(*login)) as trial:
            trial.greet()
    except DeviceError as reason:
        log.info("router %s: the user of the script can't log in (yet): %s", row.name, reason)
        return row
    return setup.take_over(row.id)


def way_back(device: RouterSetup, row: Router, wish: Wish) -> tuple[list[Change], list[str]]:
    """What undoes our changes; and the keys of those that this login may not undo."""
    entries = setup.kept_of(row).get("undo", {})
    seen = device.look(wish)
    may_change_users = "policy" in rights(wish.login, seen)
    barred = [] if may_change_users else [key for key, entry in entries.items() if entry["menu"] in setup.USERS_MENUS]
    return [change for change in undoing(entries, seen) if change.key not in barred], barred


def put_back(device: RouterSetup, changes: list[Change], wish: Wish, note: Note = lambda change: None) -> Outcome:
    """Undo. Services and addresses come first, so that nobody is locked out half-way."""
    return device.apply(changes, wish, note)


# A worker's.


def look_at_router(world: World, now: datetime, router_id: int) -> WriteDown | Missed | None:
    """For the dashboard: what is wrong, and what would change."""
    row = setup.get(router_id)
    if row is None:
        return None
    row = adopt_login(row, now)
    try:
        login = login_of(row)
        with device_of(row, login) as device:
            found = look(device, wish_of(world.settings, row, login.username), now)
    except DeviceError as reason:
        return _no_look(router_id, str(reason), is_missed=isinstance(reason, Unreachable))
    return lambda then: setup.record_look(router_id, found.findings, found.changes, found.interfaces, then)


def _no_look(router_id: int, words: str, *, is_missed: bool) -> WriteDown | Missed:
    """A router that says no has answered: its other work goes on."""

    def write_down(then: datetime) -> None:
        setup.record_no_look(router_id, words, then)

    return Missed(write_down, words) if is_missed else write_down


def set_up_router(world: World, now: datetime, router_id: int, approved: str, who: str = "") -> WriteDown | None:
    """Make the changes that were shown. If others are due by now, they are shown first.

    After a try that was cut short fewer are due, which were all shown: the sign of what is left is kept with them.
    """
    row = setup.get(router_id)
    if row is None:
        return None
    login = login_of(row)
    with device_of(row, login) as device:
        found = look(device, wish_of(world.settings, row, login.username), now)
        if not _was_shown(row, found, approved):
            return lambda then: setup.record_look(router_id, found.findings, found.changes, found.interfaces, then)
        outcome = apply(device, row, found)
    row = setup.get(router_id) or row
    after = _look_again(world, row, outcome.done, now)

    def write_down(then: datetime) -> None:
        setup.record_done(router_id, outcome.done, outcome.left, then, who)
        if after is not None:
            setup.record_look(router_id, after.findings, after.changes, after.interfaces, then)

    return write_down


def _was_shown(row: Router, found: Found, approved: str) -> bool:
    shown = setup.kept_of(row).get("looked", {})
    return shown.get("approval") == approved and {change.line for change in found.changes} <= set(shown["changes"])


def _look_again(world: World, row: Router, done: list[Change], now: datetime) -> Found | None:
    """How it is now; None when it can't be asked, which its check will find out too."""
    login = login_of(row)
    try:
        with device_of(row, login) as device:
            wish = wish_of(world.settings, row, login.username)
            return look(device, replace(wish, known={**wish.known, **digests(done)}), now)
    except EdgeError:
        return None


def unset_router(world: World, now: datetime, router_id: int, who: str = "") -> WriteDown | None:
    """Put everything back that the box may put back."""
    row = setup.get(router_id)
    if row is None:
        return None
    login = login_of(row)
    with device_of(row, login) as device:
        wish = wish_of(world.settings, row, login.username)
        changes, barred = way_back(device, row, wish)
        outcome = put_back(device, changes, wish)
    stay = barred + [change.key for change, _ in outcome.left]
    given = (login.username, login.password)
    return lambda then: setup.record_undone(router_id, outcome.done, stay, then, given, who)
