"""Routers that an owner restarts from afar: once in ten minutes, soon or not at all, and he hears how it went."""

from datetime import datetime, timedelta

from edge.database import transaction
from edge.domain import answers, daily, events, wishes
from edge.errors import BadInput
from edge.models import Router
from edge.money_models import IncomingText
from edge.texts import say
from edge.values.sms_text import count_segments

APART = timedelta(minutes=10)  # a router needs two to come up; one that is restarted again meanwhile never does
WHO = "the owner, by text"
LONGEST_WORDS = 90
ANSWERS = 40


def find(typed: str) -> Router:
    """The router of this name or the beginning of it, the only one if nothing is said; BadInput names them all."""
    wanted = typed.strip().casefold()
    routers: list[Router] = list(Router.select().order_by(Router.name))
    if not routers:
        raise BadInput(say("sms_inbox.owner_no_router"))
    exact = [router for router in routers if router.name.casefold() == wanted]
    found = exact or [router for router in routers if router.name.casefold().startswith(wanted)]
    if len(found) != 1:
        raise BadInput(say("sms_inbox.owner_which", names=", ".join(router.name for router in routers)))
    return found[0]


@transaction
def ask(router: Router, text_id: int, now: datetime) -> None:
    """Promise it; BadInput when it was restarted just now."""
    if not daily.take(f"reboot:{router.id}", 1, now, APART):
        raise BadInput(say("sms_inbox.owner_just_now", router=router.name))
    told = {"text_id": text_id}
    wishes.promise("router.reboot", f"reboot:{router.id}", router.id, now, args=told, cause=f"text:{text_id}")
    events.record("router.reboot_asked", now, who=WHO, router=router.name)


@transaction
def record_done(router_id: int, text_id: int, now: datetime) -> None:
    """It goes down now."""
    _tell("done", router_id, text_id, "", now)


@transaction
def record_failed(router_id: int, text_id: int, words: str, now: datetime) -> None:
    """It was not restarted; another try need not wait."""
    daily.forget(f"reboot:{router_id}")
    _tell("failed", router_id, text_id, words, now)


@transaction
def record_unconfirmed(router_id: int, text_id: int, words: str, now: datetime) -> None:
    """It hung up before it answered, as a router does that restarts; or as a broken line does."""
    _tell("unconfirmed", router_id, text_id, words, now)


def _tell(how: str, router_id: int, text_id: int, words: str, now: datetime) -> None:
    router = Router.get_or_none(Router.id == router_id)
    name = router.name if router is not None else str(router_id)
    events.record(f"router.reboot_{how}", now, who=WHO, router=name, words=words[:300])
    row: IncomingText | None = IncomingText.get_or_none(IncomingText.id == text_id)
    if row is None:
        return
    text = answers.in_one_segment(
        lambda catalogue: catalogue.say(f"sms_inbox.reboot_{how}", router=name, words=words[:LONGEST_WORDS])
    )
    answers.give(row, answers.number_of(row), text[:160] if count_segments(text) > 1 else text, now, most=ANSWERS,
                 of="answer-owner")  # fmt: skip
