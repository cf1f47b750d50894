"""The money's figures: callbacks at a pace, a million payments in the books, statements, M-Pesa's rate of questions."""

import json
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bench import million
from bench.box import Box, Waiting, running, seed
from bench.client import burst, get, paced, post, quantile
from bench.measures import Row
from edge import boot, settings
from edge.domain import money_reports, people, statements
from edge.models import Payment
from edge.simulators.mpesa.ground import SANDBOX_PASSKEY
from edge.simulators.mpesa.simulator import MpesaSimulator
from edge.values.msisdn import mask_msisdn

A_SECOND, SECONDS = 100, 30
TURNS, TURN_S = 4, 5
PASSWORD = "three long words"
ZONE = ZoneInfo("Africa/Nairobi")
LINES = 10_000
PENDING, MINUTES, A_MINUTE = 500, 3, 60


def pace() -> list[Row]:
    """100 callbacks a second for half a minute, each durable when it is answered, and how soon all are settled."""
    with running(A_SECOND * SECONDS) as box:
        time.sleep(5)
        began = time.monotonic()
        took = _call(box, box.waiting)
        behind = _settled_after(box, box.waiting)
        whole = time.monotonic() - began
    return [
        Row(f"callbacks, {A_SECOND} a second for {SECONDS} s, durable", _quantiles(took), "p99 < 25 ms",
            quantile(took, 0.99) < 25),
        Row("the last of them settled so long after its answer", f"{behind:.1f} s, {whole:.0f} s in all", "< 1 s",
            behind < 1),
    ]  # fmt: skip


def old_shop(count: int = million.PAYMENTS) -> list[Row]:
    """A new box and one that sold a million times, turn about in the same run; then the owner's pages of the old."""
    rows: list[Row] = []
    calls = TURNS * TURN_S * A_SECOND
    part, filled = TURN_S * A_SECOND, _Fill(count)
    with running(calls) as young, running(calls, fill=filled) as old:
        time.sleep(5)
        took: dict[str, list[float]] = {"young": [], "old": []}
        pages: dict[str, list[float]] = {"young": [], "old": []}
        for turn in range(TURNS):
            for name, box in (("young", young), ("old", old)):
                took[name] += _call(box, box.waiting[turn * part : (turn + 1) * part])
                _settled_after(box, box.waiting[: (turn + 1) * part])
                pages[name] += _portal(box)
        rows += _beside(f"callbacks, {A_SECOND} a second, {count:,} payments", took)
        rows += _beside(f"portal, 200 phones, {count:,} payments", pages)
        rows += list(_owners_pages(old, filled.cookie, filled.number))
        young.process.terminate()
        rows += list(_by_hand_of_the_domain(old))
        rows.append(_verified(old))
    return rows


class _Fill:
    """Makes the box old, and signs its owner in."""

    def __init__(self, count: int) -> None:
        self.count, self.cookie, self.number = count, "", count // 2

    def __call__(self, place: Path) -> None:
        told = settings.load(place.parent, environ={})
        now = datetime.now(UTC)
        with boot.opened(told):
            for name, role in (("Njeri", "owner"), ("Juma", "cashier"), ("Asha", "cashier")):
                people.add(name, PASSWORD, role, now)
            self.cookie = people.sign_in("Njeri", PASSWORD, now, "127.0.0.1")
        million.fill(place, self.count, now)


def _call(box: Box, waiting: list[Waiting]) -> list[float]:
    """Milliseconds that each answer took."""
    answers = paced(box.port, [post(f"/cb/{entry.secret}", entry.body) for entry in waiting], A_SECOND)
    assert all(status == 200 for _, status, _ in answers), {status for _, status, _ in answers}
    return [took * 1000 for took, _, _ in answers]


def _settled_after(box: Box, waiting: list[Waiting]) -> float:
    """Seconds from now until the last of these is paid."""
    began = time.monotonic()
    line = sqlite3.connect(f"file:{box.state / 'edge.db'}?mode=ro", uri=True)
    marks = ", ".join("?" * len(waiting))
    words = f"SELECT COUNT(*) FROM payments WHERE secret IN ({marks}) AND state = 'paid'"
    secrets = [entry.secret for entry in waiting]
    while line.execute(words, secrets).fetchone()[0] < len(waiting):
        assert time.monotonic() - began < 300, "not settled after 300 s"
        time.sleep(0.05)
    line.close()
    return time.monotonic() - began


def _portal(box: Box) -> list[float]:
    answers = burst(box.port, [get(f"/?mac=AA%3ABB%3ACC%3A00%3A00%3A{n:02X}") for n in range(200)])
    assert all(status == 200 for _, status, _ in answers)
    return [took * 1000 for took, _, _ in answers]


def _beside(what: str, took: dict[str, list[float]]) -> list[Row]:
    p50, p99 = (quantile(took["old"], share) / quantile(took["young"], share) for share in (0.5, 0.99))
    return [
        Row(what, f"{_quantiles(took['old'])}: × {p50:.2f}, × {p99:.2f}", "× 1.2 of a new box", max(p50, p99) <= 1.2),
    ]


def _quantiles(took: list[float]) -> str:
    return f"p50 {quantile(took, 0.5):.0f} ms, p99 {quantile(took, 0.99):.0f} ms"


def _owners_pages(box: Box, cookie: str, number: int) -> Iterator[Row]:
    """Every page that a million rows could slow, as the owner's browser gets it; the middle of five."""
    line = sqlite3.connect(f"file:{box.state / 'edge.db'}?mode=ro", uri=True)
    phone, receipt = line.execute("SELECT msisdn, receipt FROM payments WHERE id = ?", (number - 1,)).fetchone()
    line.close()
    last = datetime.now(ZONE).date().replace(day=1) - timedelta(days=1)
    month = f"from={last.replace(day=1)}&to={last}"
    asked = {
        "Today": "/admin/", "payments": "/admin/payments", "waiting": "/admin/payments?state=waiting",
        "open": "/admin/payments?state=open", "paid": "/admin/payments?state=paid",
        "unpaid": "/admin/payments?state=unpaid", "middle": f"/admin/payments?before={number}",
        "one payment": f"/admin/payments/{number}", "by phone": f"/admin/payments?q={phone}",
        "by receipt": f"/admin/payments?q={receipt}", "by account": f"/admin/payments?q=WIFI{number}",
        "nothing found": "/admin/payments?q=XYZXYZXYZ", "held": "/admin/money", "slip": f"/admin/books/slip?day={last}",
        "webhooks": "/admin/webhooks", "shift": "/admin/shift", "counter": "/admin/counter",
        "counter search": f"/admin/counter/find?q={phone}", "queues": "/admin/queues",
        "queue search": f"/admin/queues?q={phone}", "vouchers": "/admin/vouchers", "network": "/admin/network",
        "doctor": "/admin/doctor", "plans": "/admin/plans",
        **{f"month by {way}": f"/admin/books?{month}&by={way}" for way in money_reports.WAYS},
    }  # fmt: skip
    took = {name: _page_ms(box, path, cookie) for name, path in asked.items()}
    for name, ms in took.items():
        yield Row(f"owner's page, {name}", f"{ms:.0f} ms", "< 300 ms", ms < 300)


def _page_ms(box: Box, path: str, cookie: str) -> float:
    request = urllib.request.Request(f"http://127.0.0.1:{box.port}{path}", headers={"Cookie": f"edge_session={cookie}"})
    took = []
    for _ in range(5):
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()
        took.append((time.perf_counter() - began) * 1000)
    return quantile(took, 0.5)


def _by_hand_of_the_domain(box: Box) -> Iterator[Row]:
    """A statement of so many lines beside the books, in a process that has nothing else to do."""
    told = settings.load(box.state, environ={})
    with boot.opened(told):
        raw = _statement()
        began = time.perf_counter()
        read = statements.import_file("october.csv", raw, datetime.now(UTC))
        imported = time.perf_counter() - began
        began = time.perf_counter()
        found = statements.compare(read.statement)
        took = time.perf_counter() - began
        sums = {kind: each.count for kind, each in found.sums.items()}
    assert sums["agrees"] > 0.9 * LINES, sums
    yield Row(f"{LINES:,} statement lines compared", f"{took:.2f} s", "< 5 s", took < 5)
    yield Row(f"{LINES:,} statement lines read and kept", f"{imported:.2f} s")


def _statement() -> bytes:
    """M-Pesa's own file of the newest sales, with a line in a hundred that our books have not."""
    rows = Payment.select(Payment.receipt, Payment.amount_cents, Payment.paid_at, Payment.msisdn, Payment.id).where(
        Payment.receipt.is_null(False), Payment.paid_at.is_null(False), Payment.id <= million.PAYMENTS
    )
    lines = [
        "Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,Balance,"
        "Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No."
    ]
    for place, (code, cents, at, msisdn, number) in enumerate(
        list(rows.order_by(Payment.paid_at.desc()).limit(LINES).tuples())
    ):
        code = code if place % 100 else f"{code[:3]}ZZZ{place:04d}"
        at = f"{at.astimezone(ZONE):%d-%m-%Y %H:%M:%S}"
        lines.append(
            f"{code},{at},{at},Pay Bill from {mask_msisdn(msisdn)},Completed,{cents / 100:.2f},,,,Pay Bill,"
            f"{msisdn} - ASHA,,WIFI{number}"
        )
    return "\n".join(lines).encode()


def _verified(box: Box) -> Row:
    """`edge books verify`, whole: process start included."""
    command = [sys.executable, "-m", "edge", "--state", str(box.state), "books", "verify", "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    most = 0
    while process.poll() is None:
        most = max(most, _most_memory_kib(process.pid))
        time.sleep(0.05)
    took = time.perf_counter() - began
    assert process.returncode == 0 and process.stdout is not None
    entries = json.loads(process.stdout.read())["entries"]
    return Row(f"edge books verify, {entries:,} lines", f"{took:.1f} s, {most / 1024:.0f} MB")


def _most_memory_kib(pid: int) -> int:
    try:
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it ended this moment
        return 0
    return next((int(row.split()[1]) for row in rows if row.startswith("VmHWM:")), 0)


def budget() -> list[Row]:
    """500 checkouts that M-Pesa never answers for, four workers that ask: never more than may be asked in a minute."""
    rows = []
    for a_minute in (A_MINUTE, 5):
        with MpesaSimulator() as mpesa:
            mpesa.rate_limit = a_minute
            extra = (
                f'[mpesa]\nmode = "sandbox"\nbase_url = "{mpesa.base_url}"\nconsumer_key = "edge-rehearsal"\n'
                f'consumer_secret = "edge-rehearsal"\npasskey = "{SANDBOX_PASSKEY}"\n'
                f'queries_per_minute = {a_minute}\npoll_s = [1, 2, 3, 5, 8, 13]\n'
            )
            with running(extra=extra, fill=_pending):
                time.sleep(60 * MINUTES)
            most, asked = mpesa.most_queries_in_a_minute(), len(mpesa.queries)
            refused = sum(one.status == 429 for one in mpesa.queries)
        rows.append(
            Row(f"{PENDING} pending: questions in any minute, {a_minute} allowed",
                f"{most}; {asked} in {MINUTES} min, {refused} refused", f"≤ {a_minute}",
                most <= a_minute and not refused)
        )  # fmt: skip
    return rows


def _pending(place: Path) -> None:
    """Prompted checkouts, each with its first question due."""
    told = settings.load(place.parent, environ={})
    with boot.opened(told):
        seed(PENDING, told.mpesa.poll_s)
