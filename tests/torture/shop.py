"""The box under torture: the walks' box behind the shims, and what may befall it."""

import contextlib
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from edge.simulators.modem import ModemSimulator
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.router import RouterSimulator
from tests.torture import power
from tests.torture.nursery import Nursery
from tests.walks.box import Box

PARTS = ("web", "worker")
NTP_TAKES_S = 3
POLL_S = [1, 2, 4, 8, 15, 30]


class Shop(Box):
    """Web and worker over one state folder that can lose its power, its time and its room."""

    def __init__(self, state: Path, mpesa: MpesaSimulator, router: RouterSimulator, modem: ModemSimulator) -> None:
        super().__init__(state / "box", mpesa, router, modem)
        self.shadow, self._clock_file = state / "shadow", state / "clock"
        for folder in (self.state, self.shadow):
            folder.mkdir(mode=0o700, parents=True)
        self.wrong_s, self.was_ever_wrong = 0, False
        self.environ["EDGE_LOG"] = "WARNING"
        self.preload("power_loss", **power.environ(self.state, self.shadow))
        self.preload("clock", WRONG_CLOCK=str(self._clock_file))
        self.sections["mpesa"] |= {"poll_s": POLL_S}
        self.set_clock(0)
        self._nursery = Nursery(self.environ)
        self.token = ""
        self.plan = 1

    def open(self) -> None:
        """Make the box and start it; sell the plan that lasts longest, so that nobody's time may end meanwhile."""
        self.make()
        self.token = self.command("staff", "token", "njeri").stdout.split()[-1]
        self.start()
        self.plan = int(self.rows("SELECT id FROM plans WHERE on_sale ORDER BY seconds DESC")[0][0])

    def close(self) -> None:
        for part in list(self.processes):
            self.kill(part)
        self._nursery.close()

    def _launch(self, part: str) -> Any:
        return self._nursery.start(["--state", str(self.state), part], self.state / f"{part}.log")

    def ask(self, path: str) -> int:
        """A member of staff presses a button; the answer's status, 0 when nobody answered."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            return requests.post(self.url + path, headers=headers, timeout=10, allow_redirects=False).status_code
        except requests.RequestException:
            return 0

    # What befalls it.

    def set_clock(self, wrong_s: int) -> None:
        """From now on the box's clock is wrong by so many seconds; NTP vouches for it when it was right for a while."""
        self.wrong_s, self.was_ever_wrong = wrong_s, self.was_ever_wrong or bool(wrong_s)
        self._clock_file.touch()
        with self._clock_file.open("r+b") as file:  # in place: it is mapped into the box's processes
            file.write(struct.pack("qq", wrong_s, int(time.monotonic()) + NTP_TAKES_S if self.was_ever_wrong else 0))

    def lose_power(self, chance: random.Random | None) -> None:
        """Everything dies at once, and of what was written only what was flushed is sure."""
        for part in list(self.processes):
            self.kill(part)
        power.cut(self.state, self.shadow, chance)

    def revive(self) -> None:
        """Start what is not running, together."""
        missing = [part for part in PARTS if part not in self.processes]
        if missing:
            self.start(*missing)


@contextlib.contextmanager
def a_shop(folder: Path, seed: int) -> Iterator[Shop]:
    """Made, open, and its M-Pesa, router and modem in this process, where nothing kills them."""
    with MpesaSimulator(seed=seed) as mpesa, RouterSimulator() as router, ModemSimulator() as modem:
        shop = Shop(folder, mpesa, router, modem)
        try:
            shop.open()
            yield shop
        finally:
            shop.close()
