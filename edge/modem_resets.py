"""The reset ladder: what is done for a modem that does not answer or finds no network, and how often at most.

Escape and `AT` come with each greeting. Then, each step rarer than the one before: open the port anew, the radio off
and on, the modem's own restart, USB. No port is no reason for a reset: it is waited for. Resets in quick succession
make things worse (gammu/gammu#266), and one sent to a port that has only just appeared begins for ever anew
(gammu/gammu#552).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger("edge.modem")

HOUR_S = 3600.0
SETTLE_S = 45.0  # a port that has just appeared is left alone
Trouble = str  # "deaf": does not answer; "offline": answers, and no network has it


@dataclass(frozen=True)
class Step:
    """One rung. Taken after `after_s` of trouble, `most` times an hour, twice as far apart each time."""

    name: str
    words: str
    helps: tuple[str, ...]
    after_s: float
    apart_s: float
    most: int
    is_reset: bool = True  # [modem] resets = false forbids it


REOPEN = Step("reopen", "port opened anew", ("deaf",), 4.0, 5.0, 12, is_reset=False)
RADIO = Step("radio", "radio switched off and on", ("offline",), 180.0, 300.0, 3)
RESTART = Step("restart", "modem restarted", ("deaf", "offline"), 90.0, 600.0, 2)
USB = Step("usb", "USB reset", ("deaf",), 150.0, 600.0, 2)
POWER = Step("power", "USB power switched off and on", ("deaf",), 300.0, 1200.0, 2)
LADDER = (REOPEN, RADIO, RESTART, USB, POWER)


class ResetLadder:
    """Remembers since when the modem is in trouble and what was done about it."""

    def __init__(self, *, resets: bool, has_power: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._resets, self._has_power, self._clock = resets, has_power, clock
        self._trouble, self._since = "", 0.0
        self._taken: list[tuple[float, Step]] = []
        self._appeared_at: float | None = None

    def note_port(self) -> None:
        """The port was opened; only one that was away has just appeared."""
        if self._appeared_at is None:
            self._appeared_at = self._clock()

    def note_no_port(self) -> None:
        """It is not there: nothing to reset, and the story begins anew when it is back."""
        self._appeared_at = None
        self.note_health()

    def note_trouble(self, trouble: Trouble) -> None:
        """Deaf, or offline; what lasts is counted from its first time."""
        if trouble != self._trouble:
            self._trouble, self._since = trouble, self._clock()

    def note_answer(self) -> None:
        """It answers; whether a network has it is another question."""
        if self._trouble == "deaf":
            self._trouble = ""

    def note_health(self) -> None:
        """It answers, and a network has it."""
        self._trouble = ""

    def next_step(self, *, returns_from_restart: bool) -> Step | None:
        """The highest step that is due; None when there is nothing to do now. Taking it is counted."""
        now = self._clock()
        if not self._trouble:
            return None
        self._taken = [(at, step) for at, step in self._taken if now - at < HOUR_S]
        is_settled = self._appeared_at is not None and now - self._appeared_at >= SETTLE_S
        for step in reversed(LADDER):
            may = not step.is_reset or (self._resets and is_settled)
            may = may and (step is not RESTART or returns_from_restart)
            may = may and (step not in (USB, POWER) or self._has_power)
            after_s = step.after_s if self._trouble == "deaf" or step is RADIO else 5 * step.after_s
            if may and self._trouble in step.helps and now - self._since >= after_s and self._is_rested(step, now):
                self._taken.append((now, step))
                log.warning("the modem is %s for %.0f s: %s", self._trouble, now - self._since, step.words)
                return step
        return None

    def _is_rested(self, step: Step, now: float) -> bool:
        """Growing pauses; and after any reset the modem has its time before the next."""
        own = [at for at, taken in self._taken if taken is step]
        if len(own) >= step.most:
            return False
        last_reset = max((at for at, taken in self._taken if taken.is_reset), default=None)
        if step.is_reset and last_reset is not None and now - last_reset < SETTLE_S:
            return False
        return not own or now - own[-1] >= step.apart_s * 2 ** (len(own) - 1)

    def tell(self) -> str:
        """What was done in the last hour, in words; empty when nothing was."""
        now = self._clock()
        counts: dict[str, int] = {}
        for at, step in self._taken:
            if now - at < HOUR_S:
                counts[step.words] = counts.get(step.words, 0) + 1
        return ", ".join(f"{words} {count}×" for words, count in counts.items())
