"""Texts handed to the modem or a gateway: once, and to another only when the first surely did not send."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from edge.domain import breakers, campaigns, checks, contacts, messages, routing
from edge.errors import Away, Refused, Unconfirmed, Unreachable
from edge.handlers.world import Later, NotOurTurn, World, WriteDown
from edge.models import Message
from edge.values.sms_gateway import Blocked

AWAY_S = 5.0
HOUR_MINUTES, DAY_MINUTES = 60, 1440
SOMEBODY_WAITS = ("code", "reply", "alert")  # another way is asked at once, not when the first is out of tries
TOO_OLD = "it could not be sent in time, and would only confuse now"


@dataclass(frozen=True)
class Taken:
    """What a route said when it took a text."""

    reference: str
    references: tuple[int, ...] = ()
    price_cents: int | None = None


def send_sms(world: World, now: datetime, message_id: int, route: str = "") -> WriteDown | None:
    """Hand one text over, once."""
    message = Message.get_by_id(message_id)
    if message.state == "unconfirmed":
        raise Refused("it is not known whether this text left: it is not sent a second time")
    if message.state != "queued":
        return None
    if messages.is_too_old(message, now):
        return partial(messages.mark_failed, message_id, TOO_OLD)
    if message.campaign_id is not None:
        word = campaigns.word_on(message, now)
        if word is not None:
            return word
    chosen = _choose(message, route, now)
    if chosen is None:
        return partial(messages.mark_no_way, message_id, "no modem or gateway is set up that could send it")
    if chosen != route:
        breakers.note_untried(routing.provider_of(chosen), now)  # whoever takes it up there asks for himself
        return partial(messages.move_on, message_id, chosen)
    return _send(world, message, route, now)


def _choose(message: Message, route: str, now: datetime) -> str | None:
    """The route it was promised by if that is free, else another one; NotOurTurn when all are to be left alone.

    None: there is no way at all.
    """
    names = [found.name for found in routing.candidates(message.kind, message.msisdn, messages.tried_of(message), now)]
    if route in names:
        names.sort(key=lambda name: name != route)
    elif route and not names:
        names = [route]
    waits: list[datetime] = []
    for name in names:
        until = breakers.may_pass(routing.provider_of(name), now)
        if until is None:
            until = routing.turn(name, now)
            if until is None:
                return name
            breakers.note_untried(routing.provider_of(name), now)
        waits.append(until)
    if waits:
        raise NotOurTurn(min(waits))
    return None


def _send(world: World, message: Message, route: str, now: datetime) -> WriteDown:
    provider = routing.provider_of(route)
    try:
        taken = _hand_over(world, message, route, now)
    except Away as reason:
        breakers.note_failure(provider, str(reason), now)
        _doubt(route, "ok", now)
        return _elsewhere(message, route, now, tried="") or _wait(now)
    except Unreachable as reason:
        breakers.note_failure(provider, str(reason), now)
        elsewhere = _elsewhere(message, route, now, tried=route) if message.kind in SOMEBODY_WAITS else None
        if elsewhere is None:
            raise
        return elsewhere
    except Blocked as reason:
        breakers.note_success(provider, now)
        return partial(_write_down_block, message, str(reason))
    except Refused as reason:
        breakers.note_success(provider, now)
        return partial(messages.mark_failed, message.id, str(reason))
    except Unconfirmed as reason:
        breakers.note_failure(provider, str(reason), now)
        raise
    breakers.note_success(provider, now)
    _doubt(route, "problem", now)
    return lambda then: messages.mark_sent(
        message.id, route, taken.reference, then, price_cents=taken.price_cents, references=taken.references
    )


def _hand_over(world: World, message: Message, route: str, now: datetime) -> Taken:
    if route == routing.SIMULATED:
        return Taken("")
    if route == routing.MODEM:
        told = world.devices.modem().send_sms(
            message.msisdn, message.text, report=message.wants_report, flash=message.flash,
            validity_minutes=_validity_minutes(message, now),
        )  # fmt: skip
        return Taken(",".join(map(str, told)), told)
    accepted = world.devices.sms_gateway(route).send(message.msisdn, message.text, f"edge-{message.id}-{message.round}")
    return Taken(accepted.reference, price_cents=accepted.price_cents)


def _validity_minutes(message: Message, now: datetime) -> int:
    """The network keeps it no longer than it is of use; and a phone that is off for an hour still gets its code."""
    if message.expires_at is None:
        return DAY_MINUTES
    return max(HOUR_MINUTES, int((message.expires_at - now).total_seconds() // 60))


def _elsewhere(message: Message, route: str, now: datetime, *, tried: str) -> WriteDown | None:
    """Another route that may be asked now; None when there is none."""
    without = (*messages.tried_of(message), route)
    for found in routing.candidates(message.kind, message.msisdn, without, now):
        if found.name != route and not breakers.is_closed_to(routing.provider_of(found.name), now):
            return partial(messages.move_on, message.id, found.name, tried=tried)
    return None


def _doubt(route: str, state: str, now: datetime) -> None:
    if route == routing.MODEM:
        checks.doubt_modem(state, now)


def _wait(now: datetime) -> WriteDown:
    raise Later(now + timedelta(seconds=AWAY_S))


def _write_down_block(message: Message, words: str, then: datetime) -> None:
    contacts.opt_out(message.msisdn, f"the network says so: {words}", then)
    messages.mark_suppressed(message.id, words, then)
