"""The set-up of routers: what was found and is to change, what can be undone, and the script that is pasted."""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from edge import jobs
from edge.database import transaction
from edge.domain import events, lanes, network
from edge.errors import BadInput
from edge.models import Job, Router
from edge.texts import data_folder
from edge.values.networks import is_host
from edge.values.router_findings import Finding
from edge.values.router_setup import PORTAL_FILES, Change, Wish, digests, remember
from edge.values.router_wanted import NAME, USERS

TOKEN_LIVES = timedelta(hours=24)
LONGEST_NAME, LONGEST_TEXT = 64, 253
SHOWN_WORDS = 300
USERS_MENUS = ("/user", "/user/group")  # to change them, a login needs the policy `policy`
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.:-]*[0-9A-Za-z])?", re.ASCII)
_BOX_PLACE = re.compile(r"http://([0-9.]{7,15})(?::([0-9]{1,5}))?/?", re.ASCII)
_BOX_URL = "http://BOX:8080/"


# What a person types.


@transaction
def add_router(now: datetime, **values: Any) -> Router:
    """A router that a person added; every word of it is checked first."""
    check_words(values)
    return network.add(now, **values)


def check_words(values: Mapping[str, Any]) -> None:
    """BadInput, in a sentence, for what can be no name, address, login or interface."""
    names = {
        "name": "The router's name", "username": "The login", "hotspot_server": "The hotspot server's name",
        "interface": "The interface's name",
    }  # fmt: skip
    for field, what in names.items():
        _check_text(what, str(values.get(field) or ""), field)
    for field, what in {"password": "The password", "radius_secret": "The RADIUS secret"}.items():
        text = str(values.get(field) or "")
        if len(text) > LONGEST_TEXT or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
            raise BadInput(f"{what} is too long, or has line breaks or control characters in it.", field)
    host = values.get("host")
    if host is not None and not (_HOST.fullmatch(host.strip()) and len(host.strip()) <= LONGEST_TEXT):
        raise BadInput("The router's address is an IP address or a host name, like 192.168.88.1.", "host")


def _check_text(what: str, text: str, field: str) -> None:
    if len(text) > LONGEST_NAME:
        raise BadInput(f"{what} has at most {LONGEST_NAME} letters; this has {len(text)}.", field)
    kinds = {unicodedata.category(letter) for letter in text}
    if kinds & {"Cc", "Cs", "Cf", "Zl", "Zp"}:
        raise BadInput(f"{what} may not have line breaks or invisible characters in it.", field)


# What the box wants of a router.


def wish_of(router: Router, login: str, box: str, web_port: int, **settings: Any) -> Wish:
    """What is wanted of this router, for a box that comes as `login`. A user of few rights is made where it may be.

    A router of the settings file keeps the user that stands there, which can be brought down to few rights only
    when he bears the name of ours.
    """
    kept = kept_of(router)
    takes_over = router.username not in USERS and not router.from_settings
    own = NAME if takes_over else router.username if router.username in USERS else ""
    pending = kept.get("pending", {})
    password = pending.get("password", "") if takes_over else router.password if login != own else ""
    return Wish(
        box=box, web_port=web_port, mode=router.mode, login=login, host=router.host,
        interface=kept.get("interface", ""), server=router.hotspot_server, radius_secret=router.radius_secret,
        api_user=own, api_password=password, keeps_user=router.from_settings,
        pages=pages(f"http://{box}:{web_port}/"), known=kept.get("known", {}), **settings,
    )  # fmt: skip


def wishes_of(settings: Any) -> dict[str, Any]:
    """What the box's settings say of every router."""
    told = settings.radius
    return {
        "timezone": settings.box.timezone, "auth_port": told.auth_port, "acct_port": told.acct_port,
        "coa_port": told.coa_port,
    }  # fmt: skip


def rewish(wish: Wish, router: Router) -> Wish:
    """The same wish, now that the router has got more from us."""
    return replace(wish, known=kept_of(router).get("known", {}))


def read_box_url(url: str) -> tuple[str, int]:
    """`http://192.168.88.10:8080` → address and port; BadInput for anything else."""
    found = _BOX_PLACE.fullmatch(url.strip())
    if found is None or not is_host(found[1]) or not 0 < int(found[2] or 80) < 65536:
        raise BadInput("Say where the router finds the box by its IPv4 address, like http://192.168.88.10:8080", "url")
    return found[1], int(found[2] or 80)


@transaction
def name_place(router_id: int, place: str) -> None:
    """A person said where this router finds the box, like `192.168.88.10:8080`."""
    _keep(router_id, place=place)


def places() -> set[str]:
    """All that people said; a browser leaves port 80 away."""
    told = [str(kept_of(router).get("place", "")) for router in Router.select()]
    return {name for place in told if place for name in (place, place.removesuffix(":80"))}


def pages(portal: str) -> dict[str, str]:
    """The files for a router's hotspot folder, leading to this portal."""
    folder = data_folder() / "router"
    return {name: page(name, portal) for name in PORTAL_FILES if (folder / name).is_file()}


def page(name: str, portal: str) -> str:
    """One of them; BadInput when there is no such page."""
    if name not in PORTAL_FILES:
        raise BadInput("There is no such page.", "name")
    return (data_folder() / "router" / name).read_text(encoding="utf-8").replace(_BOX_URL, portal)


@transaction
def prepare(router_id: int, interface: str | None = None) -> Router:
    """Before a look: the interface that was said, and a password for the user that is to be made."""
    router: Router = Router.get_by_id(router_id)
    kept = kept_of(router)
    if interface is not None:
        check_words({"interface": interface})
        kept["interface"] = interface
    if router.username not in USERS and not router.from_settings and "pending" not in kept:
        kept["pending"] = {"username": NAME, "password": secrets.token_urlsafe(18)}
    if kept != router.setup:
        router.put(setup=kept)
    return router


# What is asked for, on the dashboard.


@transaction
def ask_look(router: Router, now: datetime, interface: str | None = None) -> bool:
    """The box looks at this router soon; False when it has its set-up in hand already."""
    prepare(router.id, interface)
    return _promise("router.look", router, now)


@transaction
def ask_setup(router: Router, now: datetime, approved: str, who: str) -> bool:
    """What was shown is done soon, unless the router is no longer as it was when it was shown."""
    return _promise("router.setup", router, now, approved=approved, who=who)


@transaction
def ask_undo(router: Router, now: datetime, who: str) -> bool:
    """What we changed is put back soon."""
    return _promise("router.unset", router, now, who=who)


def _promise(name: str, router: Router, now: datetime, **args: str) -> bool:
    job_id = jobs.promise(
        name, "provisioning", now, args={"router_id": router.id, **args}, priority=jobs.HIGH,
        lane=lanes.of_router(router.id), unique_key=_key(router), cause=f"router:{router.name}"[:200],
    )  # fmt: skip
    return job_id is not None


def _key(router: Router) -> str:
    return f"setup:{router.id}"


def under_way(router: Router) -> Job | None:
    """The job that has this router's set-up in hand, or will soon."""
    job: Job | None = Job.get_or_none(jobs.IS_OPEN, Job.unique_key == _key(router))
    return job


def kept_of(router: Router) -> dict[str, Any]:
    """What is kept of its set-up: looked, done, undo, known, pending, interface, token, fetched_at."""
    return dict(router.setup or {})


def get(router_id: int) -> Router | None:
    """The router with this number."""
    row: Router | None = Router.get_or_none(Router.id == router_id) if 0 < router_id < 2**63 else None
    return row


# What came of it.


def approval(changes: Iterable[Change]) -> str:
    """The sign of just these changes, so that nothing is done that was not shown."""
    told = "\n".join(f"{change.key} {change.verb} {change.line}" for change in changes)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@transaction
def record_look(
    router_id: int, findings: list[Finding], changes: list[Change], interfaces: list[str], now: datetime
) -> None:
    """What was found, and what is to change."""
    looked = {
        "at": now.isoformat(), "ok": True, "words": "", "findings": [asdict(finding) for finding in findings],
        "changes": [change.line for change in changes], "approval": approval(changes), "interfaces": interfaces,
    }  # fmt: skip
    _keep(router_id, looked=looked)


@transaction
def record_no_look(router_id: int, words: str, now: datetime) -> None:
    """The router could not be asked, or not be changed."""
    router = Router.get_or_none(Router.id == router_id)
    if router is not None:
        last = dict(kept_of(router).get("looked", {}))
        _keep(router_id, looked=last | {"at": now.isoformat(), "ok": False, "words": words[:SHOWN_WORDS]})


@transaction
def record_intended(router_id: int, changes: list[Change]) -> None:
    """Kept before anything is changed, so that whatever is cut short can be undone. What was not done undoes itself."""
    router = Router.get_by_id(router_id)
    _keep(router_id, undo=remember(kept_of(router).get("undo", {}), changes))


@transaction
def record_done(
    router_id: int, done: list[Change], left: list[tuple[Change, str]], now: datetime, who: str = ""
) -> None:
    """The changes that were made; the router's words about those it did not take."""
    router = Router.get_by_id(router_id)
    known = kept_of(router).get("known", {}) | digests(done)
    told = {
        "at": now.isoformat(), "changes": [change.line for change in done], "undone": False,
        "left": [f"{change.words}: {words}"[:SHOWN_WORDS] for change, words in left],
    }  # fmt: skip
    _keep(router_id, known=known, done=told)
    if done:
        events.record("router.set_up", now, router=router.name, changes=len(done), who=who)


@transaction
def take_over(router_id: int, username: str = "") -> Router:
    """From now on the box comes as the user of few rights that it made; `username` where that has another name."""
    router: Router = Router.get_by_id(router_id)
    pending = kept_of(router).get("pending")
    if pending:
        router.put(username=username or pending["username"], password=pending["password"])
        _keep(router_id, pending=None, fetched_at=None)
    elif username:
        router.put(username=username)
    fresh: Router = Router.get_by_id(router_id)
    return fresh


def login_to_try(router: Router, now: datetime) -> tuple[str, str] | None:
    """The login that a script makes which was fetched: to be tried, and taken over when the router lets it in.

    Beside a login that it has, for a day: all that opened the address may have been the preview of a chat.
    """
    kept = kept_of(router)
    pending, fetched_at = kept.get("pending"), kept.get("fetched_at")
    if not pending or fetched_at is None:
        return None
    is_fresh = 0 <= now.timestamp() - fetched_at <= TOKEN_LIVES.total_seconds()
    return (pending["username"], pending["password"]) if is_fresh or not router.username else None


@transaction
def record_undone(
    router_id: int, undone: list[Change], remaining: Iterable[str], now: datetime, login: tuple[str, str], who: str = ""
) -> None:
    """What was put back is forgotten. When our user went, the box comes as who put it back (`login`) again."""
    router = Router.get_by_id(router_id)
    kept = kept_of(router)
    keys, stay = {change.key for change in undone}, set(remaining)
    undo = {key: entry for key, entry in kept.get("undo", {}).items() if key in stay}
    known = {key: value for key, value in kept.get("known", {}).items() if key not in keys}
    told = {"at": now.isoformat(), "changes": [change.line for change in undone], "undone": True, "left": []}
    _keep(router_id, undo=undo or None, known=known, done=told, looked=None)
    is_user_gone = any(change.menu == "/user" and change.verb == "remove" for change in undone)
    if is_user_gone and not router.from_settings:
        router.put(username=login[0], password=login[1])
    events.record("router.set_back", now, router=router.name, changes=len(undone), who=who)


def _keep(router_id: int, **parts: Any) -> None:
    """Only these parts of what is kept of the set-up; None takes one away."""
    router = Router.get_or_none(Router.id == router_id)
    if router is not None:
        kept = {**kept_of(router), **parts}
        router.put(setup={name: part for name, part in kept.items() if part is not None})


# The script.


@transaction
def issue_script(router: Router, now: datetime, box: str, port: int, interface: str | None = None) -> str:
    """A new secret address for this router's script; the one before is void. It opens once, within 24 hours.

    `box` and `port` are where the router finds the box.
    """
    prepare(router.id, interface)
    token = secrets.token_hex(16)
    Router.get_by_id(router.id).put(setup_token=_sealed(token))
    _keep(router.id, token={"at": now.timestamp(), "box": box, "port": port}, place=f"{box}:{port}")
    return token


def open_script(token: str, now: datetime) -> tuple[Router, str, int] | None:
    """The router that this address is for, and where it finds the box; None when it is void. It is void from now on.

    Whether the user in it is made, nobody can know yet: see `login_to_try`.
    """
    is_known = bool(token) and Router.select().where(Router.setup_token == _sealed(token)).exists()
    return _open_script(token, now) if is_known else None  # a stranger's guess costs no write


@transaction
def _open_script(token: str, now: datetime) -> tuple[Router, str, int] | None:
    router = Router.get_or_none(Router.setup_token == _sealed(token))
    if router is None:
        return None
    told = kept_of(router).get("token", {})
    router.put(setup_token="")
    _keep(router.id, token=None)
    if not 0 <= now.timestamp() - told.get("at", 0) <= TOKEN_LIVES.total_seconds():
        return None
    if "pending" in kept_of(router):
        _keep(router.id, fetched_at=now.timestamp())
    return Router.get_by_id(router.id), told["box"], told["port"]


def _sealed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
