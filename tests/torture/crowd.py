"""Guests who buy while the box suffers: each has a phone of his own, asks until he is told yes, then acts as he is."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from edge.simulators.mpesa import Customer

ASKS_FOR_S = 20.0
# How M-Pesa and its customers are: mostly in time; some calls doubled, early, late or never made.
KINDS: tuple[tuple[int, str, Callable[[random.Random], Customer]], ...] = (
    (30, "pays", lambda chance: Customer(delay_s=chance.uniform(0, 0.8))),
    (15, "is called back twice", lambda chance: Customer(delay_s=chance.uniform(0, 0.8), callbacks=2)),
    (10, "is called back early", lambda chance: Customer(callback_first=True)),
    (15, "pays late", lambda chance: Customer(delay_s=chance.uniform(2, 6))),
    (15, "is never called back", lambda chance: Customer(delay_s=chance.uniform(0, 2), callbacks=0)),
    (15, "cancels", lambda chance: Customer("cancels", delay_s=chance.uniform(0, 2))),
)


@dataclass
class Guest:
    """One buyer; `token` once the box has said yes to him."""

    number: int
    kind: str
    customer: Customer
    token: str = ""

    @property
    def msisdn(self) -> str:
        return f"2547{self.number:08d}"

    @property
    def mac(self) -> str:
        return "02:00:" + ":".join(f"{self.number >> shift & 255:02X}" for shift in (24, 16, 8, 0))


class Crowd:
    """All guests so far."""

    def __init__(self, url: str, plan: int, script: Callable[[str, Customer], None], chance: random.Random) -> None:
        self._url, self._plan, self._script, self._chance = url, plan, script, chance
        self.guests: list[Guest] = []
        self._threads: list[threading.Thread] = []

    def send(self, count: int) -> list[Guest]:
        """So many more begin to buy, each in a thread of his own."""
        new = [self._new_guest() for _ in range(count)]
        for guest in new:
            thread = threading.Thread(target=self._buy, args=(guest,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return new

    def wait(self) -> None:
        """Until each was told yes, or has gone away."""
        for thread in self._threads:
            thread.join(ASKS_FOR_S + 30)
        self._threads.clear()

    def _new_guest(self) -> Guest:
        _, kind, make = self._chance.choices(KINDS, weights=[weight for weight, _, _ in KINDS])[0]
        guest = Guest(len(self.guests) + 1, kind, make(self._chance))
        self._script(guest.msisdn, guest.customer)
        self.guests.append(guest)
        return guest

    def _buy(self, guest: Guest) -> None:
        """With one key for all tries: an answer that was lost is asked for again, as the portal's script does."""
        wish: dict[str, Any] = {
            "package_id": self._plan, "phone_number": guest.msisdn, "mac_address": guest.mac,
            "idempotency_key": f"guest-{guest.number}",
        }  # fmt: skip
        until = time.monotonic() + ASKS_FOR_S
        while not guest.token and time.monotonic() < until:
            try:
                answer = requests.post(f"{self._url}/api/payments/initiate", json=wish, timeout=10)
                if answer.status_code in (200, 202):
                    guest.token = answer.json()["payment_id"]
                    return
            except (requests.RequestException, ValueError):  # killed in the middle of its answer
                pass
            time.sleep(0.1)
