"""The routers the box knows: those of the settings file, and those a person added."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from edge.database import transaction
from edge.domain import clock, convergence, events, lanes
from edge.errors import BadInput
from edge.models import Breaker, Check, Grant, Placement, Router
from edge.values.hotspot import RouterFacts
from edge.values.networks import is_ipv4

JITTER = timedelta(seconds=30)  # between two reckonings of one start: an uptime is told in whole seconds, and late
COLUMNS = (
    "name", "host", "port", "tls", "username", "password", "mode", "radius_secret", "hotspot_server", "login_url",
)  # fmt: skip


def adopt(told: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """Write the routers of the settings file over the rows of the same name; what it dropped is a person's row."""
    wanted = {entry["name"]: {column: entry[column] for column in COLUMNS} for entry in told}
    rows = {row.name: row for row in Router.select()}
    as_told = all(name in rows and _is_as_told(rows[name], values) for name, values in wanted.items())
    if as_told and all(row.name in wanted for row in rows.values() if row.from_settings):
        return  # nothing to write: commands that only look take no lock
    _adopt(wanted, now)


def _is_as_told(row: Router, values: Mapping[str, Any]) -> bool:
    return row.from_settings and all(getattr(row, name) == value for name, value in values.items())


@transaction
def _adopt(wanted: Mapping[str, Mapping[str, Any]], now: datetime) -> None:
    for name, values in wanted.items():
        row = Router.get_or_none(Router.name == name)
        if row is None:
            _introduce(Router.create(**values, from_settings=True), now)
        else:
            row.put(**values, from_settings=True)
    Router.update(from_settings=False).where(Router.from_settings, Router.name.not_in(list(wanted))).execute()


@transaction
def add(now: datetime, **values: Any) -> Router:
    """A router that a person added; in mode radius a secret is made where none is given."""
    if not values.get("name", "").strip() or not values.get("host", "").strip():
        raise BadInput("A router needs a name and an address.", "name")
    if Router.select().where(Router.name == values["name"]).exists():
        again = f"edge router remove {values['name']}"
        raise BadInput(f"There is a router named {values['name']} already; to change it: {again}, then add it.", "name")
    if values.get("mode") == "radius" and not is_ipv4(values["host"]):
        raise BadInput("In mode radius give the address that the router asks from, like 192.168.88.1.", "host")
    if values.get("mode") == "radius" and not values.get("radius_secret"):
        values["radius_secret"] = secrets.token_urlsafe(24)
    if values.get("mode") == "radius" and len(values["radius_secret"]) < 8:
        raise BadInput("A RADIUS secret has at least 8 characters.", "radius_secret")
    row: Router = Router.create(**values)
    _introduce(row, now)
    return row


def check_mode(mode: str, *, is_file: bool) -> None:
    """BadInput for RADIUS where the database is no file: FreeRADIUS reads the rows of one machine."""
    if mode == "radius" and not is_file:
        raise BadInput("RADIUS reads the SQLite file of one machine; beside PostgreSQL use mode local.", "mode")


@transaction
def change_login(row: Router, username: str, password: str, now: datetime, who: str = "") -> None:
    """As whom the box comes from now on."""
    if row.from_settings:
        raise BadInput(f"{row.name} stands in the settings file: mend its login there, then restart.", "username")
    row.put(username=username, password=password)
    events.record("router.login_changed", now, router=row.name, who=who)


def _introduce(row: Router, now: datetime) -> None:
    """Everybody who has paid is wanted on the new router too."""
    events.record("router.added", now, router=row.name, mode=row.mode)
    convergence.sweep(now)


@transaction
def remove(name: str, now: datetime) -> None:
    """Forget a router; what guests paid for stays, on the other routers."""
    row = get(name)
    if row.from_settings:
        raise BadInput(f"{name} stands in the settings file: take it out there, then restart.", "name")
    Placement.delete().where(Placement.router == row).execute()
    Check.delete().where(Check.name == f"router:{row.name}").execute()
    Breaker.delete().where(Breaker.name == lanes.of_router(row.id)).execute()
    row.delete_instance()
    events.record("router.removed", now, router=name)


@transaction
def record_facts(router_id: int, facts: RouterFacts, asked_at: datetime, now: datetime) -> None:
    """What it said of itself. Its start is reckoned only by a clock that is believed; else a reboot forgets it."""
    row = Router.get_or_none(Router.id == router_id)
    if row is None or not (facts.version or facts.uptime_s):
        return  # an answer that tells nothing
    is_believed = clock.is_trusted(asked_at) and clock.is_trusted(now)
    began = asked_at - timedelta(seconds=facts.uptime_s) if is_believed else None
    told = {
        "version": facts.version, "board": facts.board, "identity": facts.identity, "login_by": facts.login_by,
        "uptime_s": facts.uptime_s, "looked_at": asked_at.timestamp(),
    }  # fmt: skip
    if _has_rebooted(row, facts.uptime_s, began):
        events.record("router.rebooted", now, router=row.name)
        row.put(facts={**row.facts, **told}, booted_at=began)
    elif began is not None and (row.booted_at is None or abs(began - row.booted_at) > JITTER):
        row.put(facts={**row.facts, **told}, booted_at=began)
    else:
        row.put(facts={**row.facts, **told})


def _has_rebooted(row: Router, uptime_s: int, began: datetime | None) -> bool:
    """Its uptime fell; or it began after the last look and has run longer since, as after days out of reach.

    A clock that leaps moves the reckoned start of every router, and no router's uptime.
    """
    if uptime_s < row.facts.get("uptime_s", 0):
        return True
    looked_at = row.facts.get("looked_at")
    if began is None or row.booted_at is None or looked_at is None:
        return False
    return bool(began - row.booted_at > JITTER and began.timestamp() > looked_at)


def cure_of(row: Router) -> str:
    """What helps most often when it does not answer as it should."""
    if row.setup:  # the box's own login is gone with everything else
        again = f"edge router setup {row.name} --username admin"
        return f"check its power and cable; if it was reset or replaced: {again} brings it and everybody back"
    return f"check its power and cable, then `edge router check {row.name}`"


def get(name: str) -> Router:
    """The router of this name."""
    row: Router | None = Router.get_or_none(Router.name == name)
    if row is None:
        known = ", ".join(router.name for router in routers()) or "none"
        raise BadInput(f"There is no router named {name}; known: {known}.", "name")
    return row


def routers() -> list[Router]:
    """All routers by name."""
    return list(Router.select().order_by(Router.name))


def guests_on(router: Router) -> int:
    """How many live grants this router has written."""
    return int(
        Placement.select()
        .join(Grant)
        .where(Placement.router == router, Placement.state == "there", Grant.state == "live")
        .count()
    )
