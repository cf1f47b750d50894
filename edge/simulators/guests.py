"""Pretend guests for a rehearsal: they join the WiFi, buy on the portal as phones without scripts do, and connect."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import cycle
from urllib.parse import urljoin

import requests

# By the last digit of the phone (simulators/mpesa/customers.py): most pay, one is called back twice, one cancels,
# one has no money.
ENDINGS = "0192374568"
PACE_S = (9.0, 18.0)
PATIENCE_S = 120.0


@dataclass
class Form:
    """One form of a page: where it goes, and what it says unless changed."""

    action: str = ""
    values: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    """Reads the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(told.get("action", "")))
        elif tag == "input" and self.found and told.get("name"):
            is_choice = told.get("type") in ("radio", "checkbox")
            if not is_choice or "checked" in told:
                self.found[-1].values[told["name"]] = told.get("value", "")


def read_forms(page: str) -> list[Form]:
    """The forms of an HTML page, with the values a phone would send without touching them."""
    reader = _Forms()
    reader.feed(page)
    return reader.found


class Guest:
    """One phone on the WiFi of one router."""

    def __init__(self, hotspot: str, mac: str, ip: str, phone: str) -> None:
        self._hotspot = hotspot.rstrip("/")
        self._phone = phone
        self._browser = requests.Session()
        self._browser.trust_env = False
        self._browser.headers.update({"X-Sim-MAC": mac, "X-Sim-IP": ip})

    def buy_and_connect(self, stop: threading.Event) -> str:
        """The whole visit; returns how the payment ended."""
        page = self._browser.get(f"{self._hotspot}/generate_204", timeout=20)
        form = next(form for form in read_forms(page.text) if "phone_number" in form.values)
        form.values["phone_number"] = self._phone
        answer = self._browser.post(urljoin(page.url, form.action), form.values, timeout=20)
        status = self._wait(answer.url.replace("/p/", "/api/payments/"), stop)
        if status == "online":
            self._connect(answer.url)
        return status

    def _wait(self, url: str, stop: threading.Event) -> str:
        status = "pending"
        for _ in range(int(PATIENCE_S)):
            status = str(self._browser.get(url, timeout=20).json().get("status"))
            if status in ("online", "failed", "expired", "ended") or stop.wait(1.0):
                break
        return status

    def _connect(self, url: str) -> None:
        page = self._browser.get(url, timeout=20)
        for form in read_forms(page.text):
            self._browser.post(urljoin(url, form.action), form.values, timeout=20)

    def leave(self) -> None:
        """Log out at the router."""
        self._browser.get(f"{self._hotspot}/logout", timeout=20)


class Crowd:
    """Guests who come and go, a few a minute."""

    def __init__(self, hotspots: list[str], log: Callable[[str], object]) -> None:
        self._hotspots = cycle(hotspots)
        self._log = log
        self._stop = threading.Event()
        self._chance = random.Random()
        self._thread = threading.Thread(target=self._come, name="guests", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _come(self) -> None:
        """One after the other, at an uneven pace; a visit that fails is told and the next guest comes."""
        pause = 3.0
        for number, ending in enumerate(cycle(ENDINGS), start=1):
            if self._stop.wait(pause):
                return
            pause = self._chance.uniform(*PACE_S)
            threading.Thread(target=self._visit, args=(number, ending), daemon=True).start()

    def _visit(self, number: int, ending: str) -> None:
        guest = Guest(next(self._hotspots), *self._invent(number), self._phone(ending))
        try:
            status = guest.buy_and_connect(self._stop)
            if status == "online" and not self._stop.wait(self._chance.uniform(60, 300)):
                guest.leave()
        except (requests.RequestException, ValueError, StopIteration) as reason:
            if not self._stop.is_set():
                self._log(f"a guest gave up: {type(reason).__name__}")

    def _invent(self, number: int) -> tuple[str, str]:
        """A private MAC, as today's phones make them up, and an address of the hotspot's network."""
        first = self._chance.choice("02468ACE") + self._chance.choice("26AE")
        rest = [f"{self._chance.randrange(256):02X}" for _ in range(5)]
        return ":".join((first, *rest)), f"10.5.50.{2 + number % 250}"

    def _phone(self, ending: str) -> str:
        middle = "".join(self._chance.choices("0123456789", k=6))
        return f"07{self._chance.choice('012459')}{middle}{ending}"
