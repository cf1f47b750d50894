"""How the box is, in one segment: routers, modem, M-Pesa, the work."""

from datetime import datetime

from edge.domain import queues
from edge.models import Check, Router
from edge.texts import say
from edge.values.duration import show_duration

PARTS = ("modem", "mpesa")
OLD_S = 900  # a check that is older says nothing of now
ROOM = 60  # letters of what ails a part
SHORT = 24  # letters of a router's name


def in_short(now: datetime) -> str:
    """What ails comes first, for the end may be cut."""
    told = [*_routers(now), *_parts(now), _work(now)]
    ill = [words for is_well, words in told if not is_well]
    return ". ".join(ill + [words for is_well, words in told if is_well]) + "."


def _routers(now: datetime) -> list[tuple[bool, str]]:
    routers = list(Router.select().order_by(Router.name))
    down = [router for router in routers if router.down_since is not None]
    told = [
        (False, say("sms_inbox.status_down", router=router.name[:SHORT],
                    time=show_duration(max(60, int((now - router.down_since).total_seconds()) // 60 * 60))))
        for router in down
    ]  # fmt: skip
    up = len(routers) - len(down)
    return told + ([(True, say("sms_inbox.status_routers", count=up, all=len(routers)))] if routers else [])


def _parts(now: datetime) -> list[tuple[bool, str]]:
    found = {check.name: check for check in list(Check.select().where(Check.name.in_(PARTS)))}
    return [_part(name, found[name], now) for name in PARTS if name in found]


def _part(name: str, check: Check, now: datetime) -> tuple[bool, str]:
    part = say(f"sms_inbox.status_{name}")
    if check.state == "ok" and (now - check.checked_at).total_seconds() < OLD_S:
        return True, say("sms_inbox.status_ok", part=part)
    words = check.words if check.state != "ok" else say("sms_inbox.status_old")
    return False, f"{part}: {_shortened(words)}"


def _work(now: datetime) -> tuple[bool, str]:
    status = queues.status(now)
    if status["healthy"]:
        return True, say("sms_inbox.status_ok", part=say("sms_inbox.status_work"))
    return False, f"{say('sms_inbox.status_work')}: {_shortened(str(status['reasons'][0]))}"


def _shortened(words: str) -> str:
    """The first sentence, or as many whole words of it as there is room for."""
    first = words.split(". ")[0].rstrip(".")
    return first if len(first) <= ROOM else first[:ROOM].rsplit(" ", 1)[0] + "..."
