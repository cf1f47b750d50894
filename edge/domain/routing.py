"""Which way a text may leave: those that are set up, fit its kind and number and answer, in the order to try them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from edge.domain import breakers, daily, plans, throttle
from edge.models import Breaker

MODEM, SIMULATED = "modem", "simulated"
MODEM_CENTS = 100  # what a segment costs from a SIM without a bundle


@dataclass(frozen=True)
class Route:
    """One way out."""

    name: str
    cents_per_segment: int


@dataclass(frozen=True)
class Way:
    """A route that is set up; without prefixes it takes any number."""

    route: Route
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setup:
    """What the settings say. `kinds`: to the routes of a kind that is not to take all of them, in their order."""

    ways: tuple[Way, ...] = ()
    by_cost: bool = False
    kinds: Mapping[str, tuple[str, ...]] | None = None
    is_rehearsal: bool = False


class _Gateway(Protocol):
    @property
    def prefixes(self) -> tuple[str, ...]: ...
    @property
    def cents_per_segment(self) -> int: ...


class _AfricasTalking(_Gateway, Protocol):
    @property
    def api_key(self) -> str: ...


class _Twilio(_Gateway, Protocol):
    @property
    def account_sid(self) -> str: ...


class _Http(_Gateway, Protocol):
    @property
    def url(self) -> str: ...


class Wanted(Protocol):
    """The section [sms] of the settings, as far as it speaks of routes."""

    @property
    def route(self) -> tuple[str, ...]: ...
    @property
    def by(self) -> str: ...
    @property
    def kinds(self) -> dict[str, str]: ...
    @property
    def per_minute(self) -> dict[str, int]: ...
    @property
    def per_day(self) -> dict[str, int]: ...
    @property
    def africastalking(self) -> _AfricasTalking: ...
    @property
    def twilio(self) -> _Twilio: ...
    @property
    def http(self) -> _Http: ...


_setup = Setup()
_per_minute: Mapping[str, int] = {}
_per_day: Mapping[str, int] = {}


def configure(sms: Wanted, has_modem: bool, is_rehearsal: bool) -> None:
    """Take over what the settings say, once at the start."""
    global _setup, _per_minute, _per_day
    _setup = setup_of(sms, has_modem, is_rehearsal)
    _per_minute, _per_day = dict(sms.per_minute), dict(sms.per_day)


def setup_of(sms: Wanted, has_modem: bool, is_rehearsal: bool) -> Setup:
    """Which routes there are. A kind's own routes stand in place of `route`; what is not set up is left out."""
    gateways: dict[str, tuple[object, _Gateway]] = {
        "africastalking": (sms.africastalking.api_key, sms.africastalking),
        "twilio": (sms.twilio.account_sid, sms.twilio),
        "http": (sms.http.url, sms.http),
    }
    found = {name: Way(Route(name, told.cents_per_segment), _digits(told.prefixes))
             for name, (is_there, told) in gateways.items() if is_there}  # fmt: skip
    if has_modem:
        found[MODEM] = Way(Route(MODEM, MODEM_CENTS))
    kinds = {kind: tuple(names.split()) for kind, names in sms.kinds.items() if names.split()}
    named = dict.fromkeys((*sms.route, *(name for names in kinds.values() for name in names)))
    all_kinds = {**kinds, "": sms.route}
    return Setup(tuple(found[name] for name in named if name in found), sms.by == "cost", all_kinds, is_rehearsal)


def _digits(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix.strip().lstrip("+") for prefix in prefixes if prefix.strip())


def provider_of(route: str) -> str:
    """The name of its circuit breaker."""
    return MODEM if route == MODEM else f"sms:{route}"


def is_set_up() -> bool:
    """Can any text leave at all?"""
    return bool(_setup.ways)


def first_way(kind: str) -> str:
    """Which route texts of this kind take while all is well; empty when there is none."""
    found = choose(_setup, kind, "", ())
    return found[0].name if found else ""


def held_up(kind: str, now: datetime) -> list[str]:
    """The routes of this kind's texts when all of them are left alone just now: nothing leaves. Else none."""
    names = [route.name for route in choose(_setup, kind, "", ())]
    are_closed = names and all(breakers.is_closed_to(provider_of(name), now) for name in names)
    return names if are_closed else []


def candidates(kind: str, msisdn: str, tried: Collection[str], now: datetime) -> list[Route]:
    """The routes to try, in their order: those that fit and are not left alone just now.

    When all that fit are left alone, the same ones, first whoever may be tried first. None at all: an empty list; or
    the pretended route, where nothing is set up and the box rehearses.
    """
    fitting = choose(_setup, kind, msisdn, tried)
    return fitting if len(fitting) < 2 else online_first(fitting, _closed_until(fitting, now))


def choose(setup: Setup, kind: str, msisdn: str, tried: Collection[str]) -> list[Route]:
    """Those that may carry a text of this kind to this number, in order, whether or not they answer just now."""
    if not setup.ways:
        return [Route(SIMULATED, 0)] if setup.is_rehearsal and SIMULATED not in tried else []
    kinds = setup.kinds or {}
    order = kinds.get(kind) or kinds.get("") or tuple(way.route.name for way in setup.ways)
    ways = {way.route.name: way for way in setup.ways}
    found = [
        ways[name].route
        for name in order
        if name in ways and name not in tried and (not ways[name].prefixes or msisdn.startswith(ways[name].prefixes))
    ]
    return sorted(found, key=lambda route: route.cents_per_segment) if setup.by_cost else found


def online_first(fitting: list[Route], closed_until: Mapping[str, datetime]) -> list[Route]:
    """Without those that are left alone; if that leaves none, all of them by the instant they may be tried again."""
    online = [route for route in fitting if route.name not in closed_until]
    return online or sorted(fitting, key=lambda route: closed_until[route.name])


def _closed_until(fitting: list[Route], now: datetime) -> dict[str, datetime]:
    """A look, as `breakers.is_closed_to`: whoever then calls asks `breakers.may_pass`."""
    names = {provider_of(route.name): route.name for route in fitting}
    marks = ", ".join("?" * len(names))
    far = now + timedelta(seconds=2 * breakers.TRIAL_S)  # farther ahead: the clock has been put back
    span = now.timestamp(), far.timestamp()
    rows = Breaker.all_where(
        f"state <> 'closed' AND name IN ({marks}) AND retry_at > ? AND retry_at <= ?", *names, *span
    )
    return {names[row.name]: row.retry_at for row in rows}


def turn(route: str, now: datetime) -> datetime | None:
    """Take the next turn of this route: None when it is now, else the instant to come back (`[sms.per_minute]`, …)."""
    per_minute, per_day = _per_minute.get(route), _per_day.get(route)
    if per_minute:
        until = throttle.take(f"sms:{route}", per_minute, now, can_wait=True)
        if until is not None:
            return until
    return _take_of_day(f"sms-day:{route}", per_day, now) if per_day else None


def _take_of_day(name: str, per_day: int, now: datetime) -> datetime | None:
    """One of the day's texts; the next midnight of the shop's clock when they are used up."""
    local = now.astimezone(plans.shop.zone)
    end = (local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + timedelta(days=1)).astimezone(now.tzinfo)
    return None if daily.take(name, per_day, now, within=end - now) else end
