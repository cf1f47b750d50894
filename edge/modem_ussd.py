"""Dialling a USSD code: the code out as its modem wants it, the network's answer back, and no menu left open."""

import logging
import time

from edge.errors import Refused, Unconfirmed
from edge.modem_line import Failed, Line, Silent
from edge.values.cms_errors import explain
from edge.values.modem_families import Family
from edge.values.ussd import UssdAnswer, Way, check_code, encode_request, read_cusd

log = logging.getLogger("edge.modem")

REQUEST_S = 15.0  # some modems say OK only when the network has answered
SECOND_ANSWER_S = 5.0  # the first may be empty, and the real one follows (gammu/gammu#292)
CLOSE_S = 5.0


def dial(line: Line, code: str, family: Family, timeout_s: float) -> UssdAnswer:
    """What the network says; BadInput when it is no code, Refused when the modem takes it in no way.

    Unconfirmed when nothing came within `timeout_s`: a code may have bought something.
    """
    code = check_code(code)
    deadline = time.monotonic() + timeout_s
    line.overheard.ussd.clear()
    _ask(line, code, family, min(REQUEST_S, timeout_s))
    answer = _hear(line, deadline)
    if answer is not None and not answer.raw and not answer.trouble:
        answer = _hear(line, min(deadline, time.monotonic() + SECOND_ANSWER_S)) or answer
    if answer is None or answer.is_menu:
        _close(line)
    if answer is None:
        raise Unconfirmed(f"the network did not answer {code} within {timeout_s:g} s")
    return answer


def _ask(line: Line, code: str, family: Family, limit_s: float) -> None:
    """Its family's way first; a modem that refuses that may take the other one. What is refused went nowhere."""
    ways: tuple[Way, ...] = ("plain", "packed") if family.ussd == "plain" else ("packed", "plain")
    refused = ""
    for way in ways:
        try:
            line.ask(f'AT+CUSD=1,"{encode_request(code, way)}",15', limit_s)
            return
        except Failed as reason:
            log.debug("USSD %s: %s", way, reason)
            refused = refused or str(reason)
    raise Refused(f"the modem does not dial {code}: {explain(refused)}")


def _hear(line: Line, deadline: float) -> UssdAnswer | None:
    """The next answer; None when none came in time."""
    heard = line.overheard.ussd
    if not heard:
        line.listen_until(lambda said: said.startswith("+CUSD:"), deadline - time.monotonic())
    return read_cusd(heard.popleft()) if heard else None


def _close(line: Line) -> None:
    """A menu that waits for a reply blocks the next code."""
    try:
        line.try_to("AT+CUSD=2", CLOSE_S)
    except Silent as reason:
        log.debug("a menu was left open: %s", reason)
