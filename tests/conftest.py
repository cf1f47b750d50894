"""A small shop on paper: Njeri owns it, Asha pays, Juma cancels; router `gate` answers, `attic` is unplugged."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from edge import database, jobs, schema
from edge.domain import clock, inbox, payments, people
from edge.models import Clock, Event, Grant, Inbox, Job, Payment, Plan, Router
from edge.settings import Settings
from edge.settings_sections import Web
from edge.values.stk import PushAnswer, QueryAnswer, StkResult
from edge.web import Sealed, WebServer, build
from tests import shop
from tests.browser import browser_of
from tests.web_client import Browser, signed_in

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLL_S = (10, 20, 35)


@dataclass
class Box:
    """The box's rows, and what happens to them, without a worker, a device or a web server."""

    folder: Path
    now: datetime = NOW
    asha: str = "254712345678"
    juma: str = "254722000111"
    njeri: str = "254733000222"
    poll_s: tuple[int, ...] = POLL_S
    _receipts: int = field(default=0)

    @property
    def path(self) -> Path:
        return self.folder / "edge.db"

    def after(self, **span: float) -> datetime:
        """So much later, the box having run and its clock having been right all the while."""
        self.now += timedelta(**span)
        Clock.update(seen_at=self.now).execute()
        return self.now

    def router(self, name: str, mode: str = "local", host: str = "") -> Router:
        host = host or f"{name}.test"
        return Router.create(
            name=name, host=host, mode=mode, username="edge", password="x", radius_secret="at-least-8",
            login_url=f"http://{host}/login",
        )

    def wish(self, msisdn: str = "", mac: str = "", **more: Any) -> payments.Wish:
        return payments.Wish(1, msisdn or self.asha, mac, **more)

    def pending(self, msisdn: str = "", mac: str = "", **more: Any) -> Payment:
        return payments.initiate(self.wish(msisdn, mac, **more), self.now)[0]

    def prompted(self, msisdn: str = "", mac: str = "", **more: Any) -> Payment:
        payment = self.pending(msisdn, mac, **more)
        payments.record_prompted(payment.id, self.answer_to(payment), self.poll_s, self.now)
        return Payment.get_by_id(payment.id)

    def paid(self, msisdn: str = "", mac: str = "", **more: Any) -> Payment:
        payment = self.prompted(msisdn, mac, **more)
        assert self.call(payment) == "paid"
        return Payment.get_by_id(payment.id)

    def answer_to(self, payment: Payment) -> PushAnswer:
        return PushAnswer(f"ws_CO_{payment.id:06d}", "29115-34620561-1")

    def result(self, payment: Payment, code: str = "0", **other: Any) -> StkResult:
        """What M-Pesa would say of this checkout; a new receipt unless one is named."""
        self._receipts += 1
        told = {
            "amount_cents": payment.amount_cents, "receipt": f"UC25T{self._receipts:05d}", "msisdn": payment.msisdn,
        }  # fmt: skip
        result = {
            "checkout_request_id": self.answer_to(payment).checkout_request_id, "merchant_request_id": "m",
            "result_code": code, "result_desc": "as M-Pesa says", **(told if code == "0" else {}),
        }  # fmt: skip
        return StkResult(**{**result, **other})

    def call(self, payment: Payment | None, result: StkResult | None = None, **other: Any) -> str:
        """M-Pesa (or whoever) calls in; at the payment's own address unless `address` says otherwise."""
        told = result or self.result(payment)
        secret = payment.secret if payment else ""
        given = {
            "address": f"/cb/{secret}" if secret else "/api/mpesa/callback", "source": "196.201.214.200",
            "headers": {}, "body": repr(told).encode(), "result": told, "payment": payment,
        }  # fmt: skip
        outcome = inbox.receive(inbox.Call(**{**given, **other}), self.now)
        if outcome != "kept":
            return outcome
        assert database.writer.catch_up(30)
        call = {"address": given["address"], "body": given["body"]} | other
        return str(Inbox.get(Inbox.digest == payments.digest(call["address"], call["body"])).outcome)

    def answer(self, payment: Payment, kind: str, code: str = "", step: int | None = None) -> None:
        payments.record_answer(payment.id, QueryAnswer(kind, code, kind), self.poll_s, self.now, step)

    def grant(self, payment: Payment) -> Grant:
        return Grant.get(Grant.payment == payment)

    def jobs(self, name: str = "", *states: str) -> list[Job]:
        found = Job.select().where(Job.name == name) if name else Job.select()
        return list((found.where(Job.state.in_(states)) if states else found).order_by(Job.id))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event.data for event in Event.select().where(Event.name == name).order_by(Event.id)]


@pytest.fixture(autouse=True)
def queues_as_shipped() -> Iterator[None]:
    """What a box took over from its settings goes with its test."""
    shipped = dict(jobs.QUEUES)
    yield
    jobs.QUEUES.update(shipped)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A new database in a folder of its own; plan 1 is one hour for KSh 20; the clock is believed."""
    database.open_database(tmp_path / "edge.db")
    schema.migrate(tmp_path / "edge.db")
    Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600, rate="2M/5M")
    clock.beat(NOW, synchronised=True)
    yield Box(tmp_path)
    database.close_database()


@pytest.fixture
def gate(box: Box) -> Router:
    return box.router("gate", host="10.5.50.1")


@pytest.fixture
def attic(box: Box) -> Router:
    return box.router("attic", host="10.5.60.1")


@pytest.fixture
def shared_writer(box: Box) -> Iterator[database.Writer]:
    """With the writer thread, as while the box runs; without this each verb commits by itself."""
    database.writer.start()
    yield database.writer
    database.writer.stop()


@pytest.fixture
def at_once(box: Box) -> Callable[..., list[Any]]:
    """Call `act(n)` from `count` threads at the same moment; their answers, or what they raised."""

    def run(act: Callable[[int], Any], count: int = 20) -> list[Any]:
        start = threading.Barrier(count)
        answers: list[Any] = [None] * count

        def one(place: int) -> None:
            start.wait(60)
            try:
                answers[place] = act(place)
            except Exception as reason:
                answers[place] = reason
            finally:
                database.close_database()

        threads = [threading.Thread(target=one, args=(place,)) for place in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        return answers

    return run


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A shop with three people, who sign in with passwords as cheap as they can be."""
    monkeypatch.setattr(people, "N", 2**8)
    with shop.opened(tmp_path) as settings:
        yield settings


@pytest.fixture
def app(settings: Settings) -> Sealed:
    """This shop's web application, to be called without a port."""
    return build(settings)


@pytest.fixture
def njeri(app: Sealed) -> Browser:
    """The owner at the dashboard."""
    return signed_in(app, "Njeri")


@pytest.fixture
def otieno(app: Sealed) -> Browser:
    """The technician."""
    return signed_in(app, "Otieno")


@pytest.fixture
def wanjiku(app: Sealed) -> Browser:
    """The cashier."""
    return signed_in(app, "Wanjiku")


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """Where this shop's web server answers."""
    database.writer.start()
    server = WebServer(replace(settings, web=Web(host="127.0.0.1", port=0)))
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()
    database.writer.stop()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A real Chromium."""
    browser = browser_of(tmp_path)
    yield browser
    browser.quit()
