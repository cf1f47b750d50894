"""Speeds, amounts of data and devices in people's words."""

from datetime import datetime

from edge.domain.sessions import Online
from edge.network_models import Session
from edge.pages import board_words
from edge.pages.staff_words import plain
from edge.texts import say
from edge.values.codes import mask_code
from edge.values.mac import is_by_mac, is_private
from edge.values.msisdn import mask_msisdn

SLOW_CLOCK_S = 60.0  # of difference to the box's own: worth a word


def speed(bps: float | None) -> str:
    """Bits per second as people know them: 2.4 Mbit/s, 85 kbit/s; a dash for none."""
    if bps is None:
        return "–"
    if bps >= 1e6:
        return say("network.mbit", n=_short(bps / 1e6))
    return say("network.kbit", n=round(bps / 1e3)) if bps >= 1 else "0"


def amount(count: float) -> str:
    """Bytes as they are sold: 12 MB, 1.4 GB."""
    if count >= 1e9:
        return say("network.gb", n=_short(count / 1e9))
    return say("network.mb", n=_short(count / 1e6))


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0") if number < 10 else f"{number:.0f}"


def guest(online: Online, sees_all: bool) -> str:
    """Whom the list calls him: his phone, else his code; both cut to what one may recognise him by."""
    if online.grant is not None and online.grant.msisdn:
        return mask_msisdn(online.grant.msisdn)
    name = plain(online.session.username)
    if online.grant is None and sees_all:
        return name or "–"
    return device(name, sees_all) if is_by_mac(name, online.session.mac) else mask_code(name)


def device(mac: str, sees_all: bool) -> str:
    """The address of a device; for who need not know it, its end."""
    return plain(mac) if sees_all else "•••" + plain(mac)[-6:]


def made_up(mac: str) -> bool:
    """Is this a private address, as phones make them up?"""
    return is_private(mac)


def span(seconds: float | None) -> str:
    """A length of time: 3 h 5 min. Routers count whole seconds."""
    return board_words.span(None if seconds is None else max(1.0, seconds))


def total(session: Session) -> str:
    """What a session carried, both ways."""
    return amount(session.bytes_in + session.bytes_out)


def until(session: Session, clock: str, now: datetime) -> str:
    """When it ended, and why if the router told; or that it runs."""
    if session.ended_at is None:
        return say("network.runs")
    cause = session.cause.lower()
    try:
        return say(f"network_cause.{cause}", when=clock) if cause else say("network.ended", when=clock)
    except KeyError:
        return say("network.ended_why", when=clock, why=plain(session.cause))


def clock_words(offset_s: float | None) -> str:
    """How far a router's clock is off; empty when it is near enough, or nobody knows."""
    if offset_s is None or abs(offset_s) < SLOW_CLOCK_S:
        return ""
    return say("network.clock_ahead" if offset_s > 0 else "network.clock_behind", time=board_words.span(abs(offset_s)))
