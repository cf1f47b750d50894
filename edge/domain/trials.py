"""A free trial: once a phone and once a device. The code goes to the phone by text alone, never onto a page."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from edge.database import transaction
from edge.domain import access, events, messages, plans, templates
from edge.errors import BadInput, TooMany
from edge.models import Grant, Plan, Router
from edge.money_models import Trial
from edge.texts import say
from edge.values.codes import mask_code
from edge.values.duration import show_duration
from edge.values.msisdn import mask_msisdn

# In a day. A phone and a device have one for ever; these keep our SIM from texting all the numbers there are.
PER_ADDRESS, IN_ALL = 10, 100
DAY = timedelta(days=1)
FROM = "from:"  # keys that only count, and are forgotten after a day


@transaction
def give(
    plan_id: int, msisdn: str, mac: str, client: str, now: datetime, context: Mapping[str, Any] | None = None
) -> Grant:
    """Give this phone its trial, and promise the text with its code.

    `mac`: the device that asks, '' when not known; `client`: the address it asks from. BadInput when phone or device
    had one before, TooMany when too many were given today.
    """
    plan = plans.get_trial(plan_id, now, context)
    _guard(client, now)
    keys = [(f"phone:{msisdn}", "phone_number"), *([(f"mac:{mac}", "")] if mac else [])]
    for key, name in keys:
        if Trial.create_unless_there(key=key, plan=plan, at=now) is None:
            raise BadInput(say("plans.trial_had" if name else "plans.trial_had_here"), name)
    # No MAC: a device that only says whose it is would be let in by the Connect button, without the code.
    grant = access.give(plan, "trial", now, msisdn=msisdn, context=context)
    Trial.create(key=f"{FROM}{client}:{grant.id}", plan=plan, grant=grant, at=now)
    Trial.update(grant=grant).where(Trial.key.in_([key for key, _ in keys])).execute()
    messages.promise(msisdn, _text(grant), now)
    events.record(
        "trial.given", now, phone=mask_msisdn(msisdn), plan=plan.name, username=mask_code(grant.username)
    )  # fmt: skip
    return grant


def _guard(client: str, now: datetime) -> None:
    """So many a day from one address, unless it is a router's own behind which all guests are; and in all."""
    Trial.delete().where(Trial.key.startswith(FROM), (Trial.at < now - DAY) | (Trial.at > now + DAY)).execute()
    given = Trial.select().where(Trial.key.startswith(FROM))
    is_crowd = Router.is_at(client)
    if given.count() >= IN_ALL or (
        not is_crowd and given.where(Trial.key.startswith(f"{FROM}{client}:")).count() >= PER_ADDRESS
    ):
        raise TooMany(say("plans.trial_many"), "", 3600)


def _text(grant: Grant) -> str:
    told = {"time": show_duration(grant.seconds), "code": grant.username, "pin": grant.password}
    return templates.render("TRIAL", told)


def is_wanted(plan: Plan) -> bool:
    """Is it a trial that nobody can get, for want of a way to text?"""
    return bool(plan.is_trial and plan.on_sale and not plans.shop.can_text)
