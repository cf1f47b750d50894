"""Cycle after cycle: guests buy, something terrible happens, the box comes back, and its books are read.

The seed decides what is done; when the scheduler lets it happen it does not decide, so a run told by its seed is the
same storm and not the same raindrops.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.torture import invariants
from tests.torture.crowd import Crowd
from tests.torture.shop import PARTS, Shop
from tests.walks.box import wait_for

MINUTE, HOUR, DAY = 60, 3600, 86400
WRONG_CLOCKS = (-40 * 365 * DAY, -400 * DAY, -DAY, -10 * MINUTE, -20, 20, 10 * MINUTE, 5 * HOUR, 3 * DAY, 5 * 365 * DAY)
BUSY_JOBS = 40  # more open work than this, and the box gets a moment to breathe
SETTLES_WITHIN_S = 240.0


class Violated(AssertionError):
    """An invariant does not hold."""


class Storm:
    """One run over one shop."""

    def __init__(self, shop: Shop, seed: int, say: Callable[[str], object]) -> None:
        self.shop, self.seed, self._say = shop, seed, say
        self.chance = random.Random(seed)
        self.crowd = Crowd(shop.url, shop.plan, shop.mpesa.script, random.Random(seed + 1))
        self.cycle = 0
        self.history: list[str] = []
        self.counts: Counter[str] = Counter()
        self._begun = time.monotonic()
        self._right_again_at = 0

    def run(self, cycles: int, seconds: float | None = None) -> dict[str, int]:
        """So many cycles, or as many as there is time for; then quiet, and the last look at the books."""
        until = time.monotonic() + (seconds or 10**9)
        while self.cycle < cycles and time.monotonic() < until:
            self.cycle += 1
            self._one_cycle()
            if self.cycle % 50 == 0:
                self._say(f"cycle {self.cycle}, {time.monotonic() - self._begun:.0f} s: {dict(self.counts)}")
        self.settle()
        return {**self.counts, **invariants.figures(self.shop, self.crowd.guests)}

    def settle(self) -> None:
        """All is well again: nothing is killed, staff retry what failed, and everything comes to its end."""
        self._note("quiet")
        self.shop.make_room()
        self._set_clock(0)
        self.crowd.wait()
        for part in PARTS:  # whoever waits for room or an answer that never comes is rescued by the next life
            self.shop.kill(part)
        self.shop.revive()
        self.shop.mpesa.wait_until_quiet(60)
        self._wait_settled()
        for button in self._buttons_at_last():
            self._press(button)
        self._wait_settled()
        self._demand(invariants.at_last(self.shop, self.crowd.guests))

    def _wait_settled(self) -> None:
        """Twice in a row: between two steps of a chain nothing is open for a moment."""
        last: list[str] = []

        def quiet() -> bool:
            last[:] = invariants.unsettled(self.shop)
            if not last:
                time.sleep(0.5)
                last[:] = invariants.unsettled(self.shop)
            return not last

        try:
            wait_for(quiet, SETTLES_WITHIN_S, 0.3)
        except AssertionError:
            raise Violated(self._report(["it never settled:", *last[:20]])) from None

    def _buttons_at_last(self) -> list[str]:
        """Retry what failed (no text and no prompt may come of it), and ask M-Pesa about whatever is not paid."""
        asked = self.shop.rows(
            "SELECT id FROM payments WHERE state NOT IN ('paid', 'reversed') AND checkout_request_id IS NOT NULL"
        )
        return ["/admin/jobs/retry", *(f"/admin/payments/{row[0]}/recheck" for row in asked)]

    # One cycle.

    def _one_cycle(self) -> None:
        self._let_breathe()
        self._correct_clock()
        guests = self.crowd.send(self.chance.choice((0, 1, 1, 2, 2, 3)))
        self._note("guests " + (", ".join(f"{guest.number} who {guest.kind}" for guest in guests) or "none"))
        if self.chance.random() < 0.15:
            self._press(self._some_button())
        if self.chance.random() < 0.12 and not self.shop.wrong_s:
            self._set_clock(self.chance.choice(WRONG_CLOCKS))
        full = self._perhaps_fill()
        self._wait_for_a_moment()
        self._strike()
        if full:
            self.shop.make_room()
        self.shop.revive()
        self._demand(invariants.always(self.shop, self.crowd.guests))

    def _let_breathe(self) -> None:
        """A box that is killed every second gets nothing done; it has to, or there is nothing to break."""
        if self.shop.count("jobs", "state IN ('waiting', 'running')") > BUSY_JOBS:
            self._note("breathe")
            until = time.monotonic() + 15
            while time.monotonic() < until and self.shop.count("jobs", "state IN ('waiting', 'running')") > 5:
                time.sleep(0.2)

    def _correct_clock(self) -> None:
        if self.shop.wrong_s and self.cycle >= self._right_again_at:
            self._set_clock(0)

    def _set_clock(self, wrong_s: int) -> None:
        if wrong_s != self.shop.wrong_s:
            self._note(f"clock wrong by {wrong_s} s")
            self.counts["clock jumps"] += 1
        self._right_again_at = self.cycle + self.chance.randint(1, 4)
        self.shop.set_clock(wrong_s)

    def _some_button(self) -> str:
        if self.crowd.guests and self.chance.random() < 0.6:
            return f"/admin/payments/{self.chance.randint(1, len(self.crowd.guests))}/recheck"
        return "/admin/jobs/retry"

    def _press(self, button: str) -> None:
        self._note(f"staff press {button}: {self.shop.ask(button)}")
        self.counts["buttons pressed"] += 1

    def _perhaps_fill(self) -> bool:
        if self.chance.random() >= 0.1:
            return False
        parts = self.chance.choice((("web",), ("worker",), PARTS))
        self._note(f"the disk is full for {' and '.join(parts)}")
        self.counts["disks full"] += 1
        self.shop.fill_disk(*parts)
        time.sleep(self.chance.uniform(0.1, 1.0))
        if self.chance.random() < 0.5:
            self._note("there is room again")
            self.shop.make_room()
            return False
        return True

    def _wait_for_a_moment(self) -> None:
        """Some time, or the very moment when something left the box or came to it."""
        moment = self.chance.choice(("some time", "some time", "push", "callback", "text", "router"))
        spans = {"push": self.shop.mpesa.pushes, "callback": self.shop.mpesa.callbacks,
                 "text": self.shop.modem.segments, "router": self.shop.router.commands}  # fmt: skip
        within_s = self.chance.uniform(0.0, 0.8)
        if moment == "some time":
            time.sleep(within_s)
            return
        known, until = len(spans[moment]), time.monotonic() + 1.0
        while len(spans[moment]) == known and time.monotonic() < until:
            time.sleep(0.0005)
        time.sleep(self.chance.choice((0.0, 0.0, 0.002, 0.01, 0.05)))
        self._note(f"a {moment} went" if len(spans[moment]) > known else f"no {moment} came")

    def _strike(self) -> None:
        blow = self.chance.choices(("worker", "web", "both", "power"), weights=(40, 20, 10, 30))[0]
        self._note(f"strike: {blow}")
        self.counts[f"{'power cuts' if blow == 'power' else 'kills of ' + blow}"] += 1
        if blow != "power":
            for part in PARTS if blow == "both" else (blow,):
                self.shop.kill(part)
            return
        torn = self.chance.random() < 0.5
        self.shop.lose_power(random.Random(self.chance.random()) if torn else None)
        if self.chance.random() < 0.2 and not self.shop.wrong_s:  # a box without a battery
            self._set_clock(self.chance.choice(WRONG_CLOCKS[:3]))

    def _demand(self, faults: list[str]) -> None:
        if faults:
            raise Violated(self._report(faults))

    def _note(self, words: str) -> None:
        self.history.append(f"{time.monotonic() - self._begun:8.2f} s  cycle {self.cycle}: {words}")

    def _report(self, faults: list[str]) -> str:
        head = f"seed {self.seed}, cycle {self.cycle}; the box is kept in {self.shop.state}"
        return "\n".join([head, *faults, "what was done (the last of it):", *self.history[-120:]])


def show(figures: dict[str, int]) -> str:
    """A table for people."""
    return "\n".join(f"{count:8}  {name}" for name, count in figures.items())


def keep_history(storm: Storm, folder: Path) -> None:
    """The whole story, beside what is left of the box."""
    (folder / "history.txt").write_text("\n".join(storm.history) + "\n")
