"""A small shop for tests: Njeri owns it, Asha pays, Juma cancels; router `gate` answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edge import database, jobs
from edge.domain import access, clock, inbox, payments, people
from edge.models import Grant, Heartbeat, Job, Payment, Plan, Router
from edge.schema import migrate
from edge.settings import Settings
from edge.values.stk import PushAnswer, StkResult
from tests.web_client import PASSWORD

NOW = datetime.now(UTC)
ASHA, JUMA = "254712345678", "254722000111"
STAFF = {"Njeri": "owner", "Otieno": "technician", "Wanjiku": "cashier"}


@contextmanager
def opened(folder: Path) -> Iterator[Settings]:
    """A database with one plan, three people and a clock that is believed."""
    database.open_database(folder / "edge.db")
    migrate(folder / "edge.db")
    Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600)
    for name, role in STAFF.items():
        people.add(name, PASSWORD, role, NOW)
    clock.beat(datetime.now(UTC), synchronised=True)
    yield Settings(state=folder)
    database.close_database()


def worker_is_alive() -> None:
    now = datetime.now(UTC)
    Heartbeat.create(holder="w", queues=dict.fromkeys(jobs.QUEUES, 2), started_at=now, seen_at=now)


def prompt(msisdn: str = ASHA, at: datetime = NOW, mac: str = "") -> Payment:
    payment, _ = payments.initiate(payments.Wish(1, msisdn, mac), at)
    payments.record_prompted(payment.id, PushAnswer(f"ws_CO_{payment.id}", "m"), (10, 20), at)
    return Payment.get_by_id(payment.id)


def pay(msisdn: str = ASHA, at: datetime = NOW, receipt: str = "TCK1AB2CD3", body: bytes = b"{}") -> Payment:
    payment = prompt(msisdn, at)
    result = StkResult(payment.checkout_request_id, "m", "0", "ok", payment.amount_cents, receipt, at, msisdn)
    call = inbox.Call(f"/cb/{payment.secret}", "196.201.214.200", {}, body, result, payment)
    assert inbox.receive(call, at) in ("paid", "kept")
    assert database.writer.catch_up(30)
    return Payment.get_by_id(payment.id)


def let_in(payment: Payment, router: Router, at: datetime = NOW) -> None:
    access.record_placed(Grant.get(Grant.payment == payment).id, router.id, at)


def fail(job: Job, words: str = "connection refused", at: datetime = NOW) -> None:
    note = {"attempt": job.tries, "at": at.isoformat(), "words": words}
    job.put(state="failed", attempt=job.tries, finished_at=at, errors=[note])
