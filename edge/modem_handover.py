"""Handing a text to the network: segment by segment, and never one that may be out already."""

import logging
import time
from collections.abc import Sequence

from edge.errors import Away, DeviceError, Refused, Unconfirmed, Unreachable
from edge.modem_line import CTRL_Z, Failed, Gone, Line, Silent, StartedAnew
from edge.tpdu import Pdu
from edge.values.cms_errors import OF_THE_SIM, STORAGE, cms_code, explain, judge

log = logging.getLogger("edge.modem")

# The modem's own patience ends after 35 to 45 s (TR1M, 3GPP 24.011): an error this late is not the network's word.
DOUBTFUL_AFTER_S = 30.0
# A modem takes longer than this to start anew: answers that come closer upon each other are of one life.
ONE_LIFE_S = 1.5
# A later segment that surely did not leave is tried again, else its mates were sent for nothing; but not for ever.
AGAIN_AFTER_S, AGAIN_WITHIN_S = (1.0, 3.0, 6.0), 45.0
MOST_BARRED = 3


class Handover:
    """Knows how the last texts went."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._barred = 0  # texts in a row that the network refused to this SIM

    def submit_all(self, line: Line, pdus: Sequence[Pdu], timeout_s: float) -> tuple[int, ...]:
        """Back to back: an operator may drop the rest of a text whose segments come late."""
        if len(pdus) > 1:
            line.try_to("AT+CMMS=2", self._answer_s)  # keeps the radio link between segments
        references: list[int] = []
        for pdu in pdus:
            try:
                references.append(self._submit_again(line, pdu, timeout_s, is_first=not references))
            except (DeviceError, Gone, Silent, Failed, StartedAnew) as reason:
                if not references:
                    raise
                why = str(reason) or "the modem started anew"
                raise Unconfirmed(f"{len(references)} of {len(pdus)} segments were sent, then: {why}") from None
        self._barred = 0
        return tuple(references)

    def _submit_again(self, line: Line, pdu: Pdu, timeout_s: float, *, is_first: bool) -> int:
        until = time.monotonic() + AGAIN_WITHIN_S
        for pause_s in () if is_first else AGAIN_AFTER_S:
            try:
                return self._submit(line, pdu, timeout_s)
            except Unreachable as reason:
                if time.monotonic() > until:
                    raise
                log.info("a segment did not leave, and is tried again: %s", reason)
                line.listen(pause_s)
        return self._submit(line, pdu, timeout_s)

    def _submit(self, line: Line, pdu: Pdu, timeout_s: float) -> int:
        """One segment. Until the Ctrl-Z leaves us nothing can be sent; from then on it may have been."""
        if line.has_echo or time.monotonic() - line.answered_at > ONE_LIFE_S:
            # A modem that restarted unheard would take the PDU for the words of a text. It would also echo, which
            # `ask_for_prompt` sees, unless somebody stored E0 in its profile.
            line.ask("AT+CMGF=0", self._answer_s)
        try:
            line.ask_for_prompt(f"AT+CMGS={pdu.length}", self._answer_s)
        except Failed as reason:
            raise self._verdict(line, str(reason), handed_over=False) from None
        line.write(pdu.hex.encode("ascii"))
        handed_over = time.monotonic()
        try:
            line.write(CTRL_Z)
            return line.read_reference(timeout_s)
        except Failed as reason:
            waited_s = time.monotonic() - handed_over
            is_late = waited_s > min(DOUBTFUL_AFTER_S, timeout_s / 4)
            raise self._verdict(line, str(reason), handed_over=True, waited_s=waited_s, is_late=is_late) from None
        except Silent as reason:
            raise Unconfirmed(f"handed over, but {reason}") from None
        except Gone as reason:
            raise Unconfirmed(f"handed over, then the modem vanished: {reason}") from None

    def _verdict(
        self, line: Line, words: str, *, handed_over: bool, waited_s: float = 0.0, is_late: bool = False
    ) -> DeviceError:
        told, code = explain(words), cms_code(words)
        if code in STORAGE:
            line.overheard.has_news = line.overheard.is_full = True
        verdict = judge(words, handed_over=handed_over, is_late=is_late)
        if code in OF_THE_SIM and verdict in ("refused", "later"):
            self._barred += 1
            if self._barred >= MOST_BARRED:
                return Away(f"{told}, {self._barred} texts in a row: is the SIM out of airtime, or barred?")
        if verdict == "unknown":
            return Unconfirmed(f"{told} after {waited_s:.0f} s: it may be out")
        return {"refused": Refused, "away": Away, "later": Unreachable}[verdict](told)
