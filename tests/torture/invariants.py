"""What must hold after every restart, and what must be true when everything has settled."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge.simulators.mpesa.customers import PAID
from tests.torture.crowd import Guest
from tests.torture.shop import Shop

LONGEST_WAIT_S = 2 * 86400  # the farthest ahead the box puts work off: the daily questions

Row = dict[str, Any]


class Books:
    """The database at one moment, looked at from outside."""

    def __init__(self, shop: Shop) -> None:
        database = sqlite3.connect(f"file:{shop.state / 'edge.db'}?mode=ro", uri=True, timeout=30, isolation_level=None)
        database.row_factory = sqlite3.Row
        try:
            database.execute("BEGIN")
            for table in ("payments", "grants", "messages", "placements", "inbox", "jobs", "clock"):
                rows = [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY id")]
                setattr(self, table, rows)
        finally:
            database.close()
        self.by_token = {row["token"]: row for row in self.payments}
        self.by_secret = {row["secret"]: row for row in self.payments}
        self.open_keys = {row["unique_key"] for row in self.jobs if row["state"] in ("scheduled", "waiting", "running")}
        self.prompted = {row["cause"] for row in self.jobs if row["name"] == "payment.prompt"}

    payments: list[Row]
    grants: list[Row]
    messages: list[Row]
    placements: list[Row]
    inbox: list[Row]
    jobs: list[Row]
    clock: list[Row]


@dataclass(frozen=True)
class Acknowledged:
    """A callback that the box answered with 200, and what M-Pesa knows of its checkout."""

    secret: str
    is_paid: bool


def acknowledged(shop: Shop) -> list[Acknowledged]:
    """Every callback that was answered with 200, doubled ones as often as they were sent."""
    return [
        Acknowledged(call.url.rsplit("/", 1)[1], call.body["Body"]["stkCallback"]["ResultCode"] == 0)
        for call in list(shop.mpesa.callbacks)
        if call.status == 200
    ]


def texts(shop: Shop) -> Counter[str]:
    """What the modem really sent, by phone."""
    return Counter(text.msisdn.lstrip("+") for text in list(shop.modem.sent))


def pushes(shop: Shop) -> Counter[str]:
    """How often M-Pesa was asked to ring each phone."""
    return Counter(push.msisdn for push in list(shop.mpesa.pushes))


def always(shop: Shop, guests: Iterable[Guest]) -> list[str]:
    """Faults that no moment may show, whatever was killed a moment ago."""
    told, tokens, calls = (texts(shop), pushes(shop)), [g.token for g in guests if g.token], acknowledged(shop)
    books = Books(shop)  # after what was promised to the outside was counted
    faults = [f"a payment was promised to its buyer and is gone: {token}" for token in tokens
              if token not in books.by_token]  # fmt: skip
    faults += [f"{phone} was sent {count} texts" for phone, count in told[0].items() if count > 1]
    faults += [f"{phone} was rung {count} times" for phone, count in told[1].items() if count > 1]
    kept = {row["payment_id"] for row in books.inbox}
    for call in calls:
        payment = books.by_secret.get(call.secret)
        if payment is None or payment["id"] not in kept:
            faults.append(f"a callback was acknowledged and is gone: {call.secret}")
    return faults + _lost(shop, books) + _doubled(books)


def _doubled(books: Books) -> list[str]:
    faults = []
    for table, rows in (("grants", books.grants), ("messages", books.messages)):
        counted = Counter(row["payment_id"] for row in rows)
        faults += [f"payment {key} has {count} {table}" for key, count in counted.items() if count > 1]
    return faults


def _lost(shop: Shop, books: Books) -> list[str]:
    """Work that somebody waits for and that stands in no row."""
    granted, texted = ({row["payment_id"] for row in rows} for rows in (books.grants, books.messages))
    faults = []
    for payment in books.payments:
        number = payment["id"]
        # Under a clock that was wrong for a while finished work may be tidied away early; promised work may not.
        if f"payment:{number}" not in books.prompted and payment["state"] == "pending" and not shop.was_ever_wrong:
            faults.append(f"payment {number} is pending and has no job that rings the phone, done or open")
        if payment["state"] == "paid" and (number not in granted or number not in texted):
            faults.append(f"payment {number} is paid and has no grant or no text")
        if payment["state"] != "paid" and (number in granted or number in texted):
            faults.append(f"payment {number} is {payment['state']} and has a grant or a text")
    for message in books.messages:
        if message["state"] == "queued" and f"sms:{message['id']}" not in books.open_keys:
            faults.append(f"text {message['id']} is queued and no open job sends it")
    return faults


def unsettled(shop: Shop) -> list[str]:
    """What the box still has to do, in quiet, before `at_last` may be asked."""
    books, now = Books(shop), time.time()
    waits = [f"job {row['id']} {row['name']} is {row['state']}" for row in books.jobs
             if row["state"] in ("waiting", "running") and row["once_key"] is None]  # fmt: skip
    waits += [f"job {row['id']} {row['name']} is due in {row['run_at'] - now:.0f} s" for row in books.jobs
              if row["state"] == "scheduled" and row["run_at"] < now + 20]  # fmt: skip
    waits += [f"call {row['id']} is not settled: {row['outcome']}" for row in books.inbox
              if not row["outcome"] or row["outcome"].startswith("to be settled")]  # fmt: skip
    waits += [f"guest {row['grant_id']} is {row['state']} on the router" for row in books.placements
              if row["state"] != "there"]  # fmt: skip
    waits += [f"payment {row['id']} is pending" for row in books.payments if row["state"] == "pending"]
    waits += [f"text {row['id']} is queued" for row in books.messages if row["state"] == "queued"]
    waits += [f"the clock is not believed: {row['words']}" for row in books.clock if not row["trusted"]]
    return waits


def at_last(shop: Shop, guests: list[Guest]) -> list[str]:
    """Faults that are left when everything has settled."""
    books, sent = Books(shop), texts(shop)
    faults = always(shop, guests)
    by_payment = {row["payment_id"]: row for row in books.messages}
    codes = Counter(user["name"] for user in shop.router.users() if user["name"] != "default-trial")
    usernames = {row["payment_id"]: row["username"] for row in books.grants}
    for call in acknowledged(shop):
        payment = books.by_secret[call.secret]
        if call.is_paid and payment["state"] != "paid":
            faults.append(f"payment {payment['id']}: paid by an acknowledged callback, and it is {payment['state']}")
    for payment in books.payments:
        if payment["state"] == "paid":
            faults += _faults_of_sale(payment, by_payment[payment["id"]], sent, codes[usernames[payment["id"]]])
    faults += _faults_of_m_pesa(shop, books)
    faults += [f"the router has {name} {count} times" for name, count in codes.items() if count != 1]
    faults += [f"the router knows {name}, whom nobody let in" for name in codes.keys() - set(usernames.values())]
    return faults + _faults_of_jobs(books)


def _faults_of_sale(payment: Row, message: Row, sent: Counter[str], on_router: int) -> list[str]:
    faults, number, count = [], payment["id"], sent[payment["msisdn"]]
    if on_router != 1:
        faults.append(f"payment {number} is paid and its guest is {on_router} times on the router")
    if message["state"] not in ("sent", "unconfirmed") or (message["state"] == "sent" and count != 1):
        faults.append(f"payment {number}: its text is {message['state']} ({message['words']}), the modem sent {count}")
    return faults


def _faults_of_m_pesa(shop: Shop, books: Books) -> list[str]:
    """What M-Pesa knows: nobody is served who did not pay, and who paid is served if the box can know of it."""
    faults = []
    for push in list(shop.mpesa.pushes):
        payment = books.by_secret[push.callback_url.rsplit("/", 1)[1]]
        if payment["state"] == "paid" and push.outcome is not PAID:
            faults.append(f"payment {payment['id']} counts as paid, and M-Pesa says otherwise")
        if payment["state"] != "paid" and push.outcome is PAID and payment["checkout_request_id"]:
            faults.append(f"payment {payment['id']} was paid, the box could ask, and it is {payment['state']}")
    return faults


def _faults_of_jobs(books: Books) -> list[str]:
    now = time.time()
    faults = [f"job {row['id']} {row['name']} failed without a word" for row in books.jobs
              if row["state"] == "failed" and row["errors"] == "[]"]  # fmt: skip
    faults += [f"job {row['id']} {row['name']} is put off to {row['run_at'] - now:.0f} s from now" for row in books.jobs
               if row["state"] == "scheduled" and row["run_at"] > now + LONGEST_WAIT_S]  # fmt: skip
    return faults


def figures(shop: Shop, guests: list[Guest]) -> dict[str, int]:
    """The honest counts."""
    books, calls = Books(shop), acknowledged(shop)
    paid_at_m_pesa = [push for push in shop.mpesa.pushes if push.outcome is PAID]
    known = {row["secret"] for row in books.payments if row["state"] == "paid"}
    return {
        "guests": len(guests),
        "purchases acknowledged": sum(1 for guest in guests if guest.token),
        "callbacks sent": len(shop.mpesa.callbacks),
        "callbacks acknowledged": len(calls),
        "of them paid, by payment": len({call.secret for call in calls if call.is_paid}),
        "payments paid": len(known),
        "paid at M-Pesa, and the box can't know (no checkout, no callback)": sum(
            1 for push in paid_at_m_pesa if push.callback_url.rsplit("/", 1)[1] not in known
        ),
        "grants": len(books.grants),
        "router users": sum(1 for user in shop.router.users() if user["name"] != "default-trial"),
        "texts sent by the modem": sum(texts(shop).values()),
        "texts said to be sent": sum(1 for row in books.messages if row["state"] == "sent"),
        "texts unconfirmed": sum(1 for row in books.messages if row["state"] == "unconfirmed"),
        "pushes": len(shop.mpesa.pushes),
        "jobs": len(books.jobs),
        "jobs failed": sum(1 for row in books.jobs if row["state"] == "failed"),
    }
