"""Time that the owner gives away: no money moves, so the books know nothing of it."""

import re
from dataclasses import dataclass
from datetime import datetime

from edge.database import transaction
from edge.domain import access, answers, events, messages, plans, renewal
from edge.errors import BadInput
from edge.models import Grant, Plan
from edge.texts import Catalogue, say
from edge.values.codes import mask_code
from edge.values.duration import show_duration
from edge.values.msisdn import mask_msisdn, read_msisdn

HOUR_S = 3600
MOST_HOURS = 24
_HOURS = re.compile(r"([0-9]{1,3}) ?(?:h|hr|hrs|hour|hours|saa|masaa)?", re.IGNORECASE)


@dataclass(frozen=True)
class Gift:
    """So much for this phone: a plan as it is sold, or its terms for another time."""

    msisdn: str
    plan: Plan
    seconds: int

    @property
    def words(self) -> str:
        """What it is, in a few words."""
        return show_duration(self.seconds)


def read(typed: str) -> Gift:
    """`0712 345 678`, `0712345678 2`, `0712345678 2 hours`, `0712345678 One day`; BadInput says how to write it."""
    words = typed.split()
    for count in range(min(len(words), 5), 0, -1):
        try:
            msisdn = read_msisdn("".join(words[:count]))
        except BadInput:
            continue
        return Gift(msisdn, *_what(" ".join(words[count:])))
    raise BadInput(say("sms_inbox.gift_how"), "phone_number")


def _what(typed: str) -> tuple[Plan, int]:
    told = _HOURS.fullmatch(typed or "1")
    if told is not None:
        seconds = int(told[1]) * HOUR_S
        if not 0 < seconds <= MOST_HOURS * HOUR_S:
            raise BadInput(say("sms_inbox.gift_hours", most=MOST_HOURS))
        return _plan_like(seconds), seconds
    wanted = typed.casefold()
    sold = [plan for plan in plans.everything() if plan.on_sale and not plan.is_trial]
    exact = [plan for plan in sold if plan.name.casefold() == wanted]
    found = exact or [plan for plan in sold if plan.name.casefold().startswith(wanted)]
    if len(found) != 1:
        raise BadInput(say("sms_inbox.gift_how"), "plan")
    return found[0], int(found[0].seconds)


def _plan_like(seconds: int) -> Plan:
    """The plan whose terms such a gift has: one without limits of data if there is, of the nearest length."""
    sold = [plan for plan in plans.everything() if not plan.is_trial]
    if not sold:
        raise BadInput(say("sms_inbox.gift_no_plan"))
    return min(
        sold,
        key=lambda plan: (not plan.on_sale, plan.bytes is not None, plan.metered, abs(plan.seconds - seconds), plan.id),
    )


@transaction
def give(gift: Gift, who: str, now: datetime) -> Grant:
    """Write the right, add it to what is left of the same plan, and text its code to that phone."""
    new = access.give(gift.plan, "gift", now, msisdn=gift.msisdn, seconds=gift.seconds)
    grant = renewal.join(new, now)
    left = renewal.show_left(grant, now)

    def words(catalogue: Catalogue) -> str:
        return catalogue.say("sms_inbox.gift", time=left, code=grant.username, pin=grant.password)

    messages.promise(gift.msisdn, answers.in_one_segment(words), now)
    events.record(
        "grant.gifted", now, who=who, phone=mask_msisdn(gift.msisdn), time=gift.words,
        username=mask_code(grant.username),
    )  # fmt: skip
    return grant
