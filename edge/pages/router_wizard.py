"""Adding a router and setting it up: what was found there, what is to change; and the script for one out of reach.

No page here asks a router: a worker does, and the page shows what it last wrote down.
"""

import re
from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import events, network, setup
from edge.errors import BadInput, Unreachable
from edge.models import Job, Router
from edge.own_address import own_address
from edge.pages import frame
from edge.pages.api import problem
from edge.pages.dashboard import error_page
from edge.pages.staff_words import plain
from edge.texts import say
from edge.values.networks import is_host
from edge.values.router_script import paste_line, script

FIELDS = (
    "name", "host", "port", "tls", "username", "password", "mode", "radius_secret", "hotspot_server", "login_url",
)  # fmt: skip
DONE_TO_IT = ("looking", "setting", "undoing", "busy", "added", "login")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}", re.ASCII)
TRIED = {"router.look": "looking", "router.setup": "setting", "router.unset": "undoing"}


# A new router.


def new_page() -> str:
    """The form for a router."""
    return _form({"port": "8728", "username": "admin", "mode": "local"}, "", "")


def new_post() -> Any:
    """A router is added, and looked at soon."""
    typed = {field: frame.typed(field).strip() if field != "password" else frame.typed(field) for field in FIELDS}
    try:
        network.check_mode(typed["mode"], is_file=_settings().database.is_file)
        row = setup.add_router(_now(), **_values(typed))
    except BadInput as reason:
        page = _form(typed, str(reason), reason.field)
        return HTTPResponse(page, 400, {"Content-Type": "text/html; charset=UTF-8"})
    setup.ask_look(row, _now())
    return _to(row, "added")


def _values(typed: dict[str, str]) -> dict[str, Any]:
    port = typed["port"] or "8728"
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise BadInput(say("router_setup.bad_port"), "port")
    if typed["mode"] not in ("local", "radius"):
        raise BadInput(say("router_setup.bad_mode"), "mode")
    if typed["login_url"] and not typed["login_url"].startswith(("http://", "https://")):
        raise BadInput(say("router_setup.bad_login_url"), "login_url")
    if not typed["username"]:
        raise BadInput(say("router_setup.no_username"), "username")
    return {**typed, "port": int(port), "tls": typed["tls"] == "yes"}


def _form(typed: dict[str, str], words: str, field: str) -> str:
    shown = dict.fromkeys(FIELDS, "") | typed | {"password": ""}
    return frame.page("admin_router_setup_new.html", "network", typed=shown, error=words, wrong=field)


# Setting one up.


def setup_page(router_id: int) -> Any:
    """How far its set-up is."""
    row = setup.get(router_id)
    return error_page(404, say("admin.nothing")) if row is None else _page(row)


def look_post(router_id: int) -> HTTPResponse:
    """The box asks the router again, perhaps for another interface."""
    row = setup.get(router_id)
    if row is None:
        return error_page(404, say("admin.nothing"))
    interface = frame.typed("interface") if "interface" in request.forms else None
    return _to(row, "looking" if setup.ask_look(row, _now(), interface) else "busy")


def setup_post(router_id: int) -> HTTPResponse:
    """What was shown is to be done."""
    row = setup.get(router_id)
    if row is None:
        return error_page(404, say("admin.nothing"))
    is_taken = setup.ask_setup(row, _now(), frame.typed("approval")[:64], _who())
    return _to(row, "setting" if is_taken else "busy")


def login_post(router_id: int) -> HTTPResponse:
    """Another login for the box; it looks at the router with it soon."""
    row = setup.get(router_id)
    if row is None:
        return error_page(404, say("admin.nothing"))
    told = {"username": frame.typed("username").strip(), "password": frame.typed("password")}
    setup.check_words(told)
    if not told["username"]:
        raise BadInput(say("router_setup.no_username"), "username")
    network.change_login(row, **told, now=_now(), who=_who())
    setup.ask_look(row, _now())
    return _to(row, "login")


def undo_post(router_id: int) -> HTTPResponse:
    """What we changed is to be put back, for who said so twice."""
    row = setup.get(router_id)
    if row is None:
        return error_page(404, say("admin.nothing"))
    if frame.typed("sure") != "yes":
        raise BadInput(say("router_setup.unsure"), "sure")
    return _to(row, "undoing" if setup.ask_undo(row, _now(), _who()) else "busy")


def script_post(router_id: int) -> Any:
    """The line to paste, shown once: its address opens once."""
    row = setup.get(router_id)
    if row is None:
        return error_page(404, say("admin.nothing"))
    box, port = setup.read_box_url(frame.typed("url"))
    interface = frame.typed("interface") if "interface" in request.forms else None
    token = setup.issue_script(row, _now(), box, port, interface)
    return _page(row, paste_line(f"http://{box}:{port}/setup/{token}.rsc"))


def _page(row: Router, line: str = "") -> str:
    kept, job = setup.kept_of(setup.get(row.id) or row), setup.under_way(row)
    looked, done = kept.get("looked", {}), kept.get("done", {})
    looked_at, done_at = _instant(looked), _instant(done)
    is_mended = bool(looked.get("ok") and not looked["changes"] and looked_at and done_at and looked_at > done_at)
    return frame.page(
        "admin_router_setup.html", "network", router=row, looked=looked, done=done, job=job,
        doing=TRIED.get(job.name, "") if job is not None else "", why=_last_words(job),
        looked_at=looked_at, done_at=done_at, left=[] if is_mended else done.get("left", []),
        can_undo=bool(kept.get("undo")),
        interface=kept.get("interface", ""), box_url=_own_url(), line=line, notice=_notice(), last=events.last_id(),
        needs_interface=any(found["key"] == "interface" for found in looked.get("findings", [])),
        interfaces=[plain(name) for name in looked.get("interfaces", [])],
    )  # fmt: skip


def _last_words(job: Job | None) -> str:
    """Why the last try did not work, when there was one."""
    return str(job.errors[-1].get("words", "")) if job is not None and job.errors else ""


def _instant(part: dict[str, Any]) -> datetime | None:
    return datetime.fromisoformat(part["at"]) if "at" in part else None


def _own_url() -> str:
    """As whoever looks at this page reaches the box: the router may reach it there too, says the person or not."""
    host = request.get_header("Host", "localhost")
    return f"http://{host if _HOST.fullmatch(host) else 'localhost'}"


def _to(row: Router, did: str) -> HTTPResponse:
    return frame.see_other(f"/admin/routers/{row.id}/setup?did={did}")


def _notice() -> str:
    did = frame.asked("did")
    return say(f"router_setup.did_{did}") if did in DONE_TO_IT else ""


def _who() -> str:
    return str(frame.signed_in().name)


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now


# For the router itself.


def _place() -> str:
    """Where a person said that a router finds the box, if it was asked for there; else this machine's own address.

    What else a request calls the box is anybody's word, and stands in no page that guests are sent by.
    """
    asked_at: str = request.get_header("Host", "")
    if asked_at in setup.places():
        return asked_at
    host, port = _settings().web.host, request.environ.get("SERVER_PORT", _settings().web.port)
    if not is_host(host):
        host = own_address(request.environ.get("REMOTE_ADDR", ""))
    return f"{host}:{port}"


def _settings() -> Any:
    return request.app.config["edge.settings"]


def router_script(name: str) -> HTTPResponse:
    """The script behind a secret address, once. It holds the password of the user it makes, and the RADIUS secret."""
    token = name.removesuffix(".rsc")
    opened = setup.open_script(token, _now()) if name.endswith(".rsc") else None
    if opened is None:
        return problem(404, "This address was used, or is too old. Make a new one: edge router script")
    row, box, port = opened
    text = script(setup.wish_of(row, "", box, port, **setup.wishes_of(_settings())))
    return HTTPResponse(text, 200, {"Content-Type": "text/plain; charset=UTF-8"})


def router_page(name: str) -> HTTPResponse:
    """A page for a router's hotspot folder; it leads to the box as the router that asks finds it."""
    try:
        text = setup.page(name, f"http://{_place()}/")
    except BadInput:
        return problem(404, "There is no such page.")
    except Unreachable as reason:
        return problem(503, str(reason))
    kind = "application/json" if name.endswith(".json") else "text/html"
    return HTTPResponse(text, 200, {"Content-Type": f"{kind}; charset=UTF-8"})
