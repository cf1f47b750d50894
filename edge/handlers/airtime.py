"""Dials a USSD code at the modem, and has what the network says written down."""

from datetime import datetime

from edge.domain import airtime
from edge.errors import DeviceError
from edge.handlers.world import World, WriteDown

EMPTY = "the network answered nothing"


def dial(world: World, now: datetime, code: str) -> WriteDown | None:
    """Every end is an answer, no answer among them: whoever waits is told, and the next turn asks again."""
    try:
        answer = world.devices.modem().ussd(code)
    except DeviceError as reason:
        words = str(reason)
        return lambda then: airtime.record_no_answer(code, words, then)
    if answer.trouble or not answer.text.strip():
        trouble = answer.trouble or EMPTY
        return lambda then: airtime.record_no_answer(code, f"{trouble}: {answer.raw}" if answer.raw else trouble, then)
    return lambda then: airtime.record(code, answer.text, then)
