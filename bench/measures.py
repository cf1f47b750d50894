"""The measurements, each a function that returns rows of the table: what, measured, wanted."""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.box import PASSWORD, Box, Waiting, running
from bench.client import burst, get, once, paced, post, quantile
from edge.devices import radius
from edge.simulators.modem import ModemSimulator
from edge.simulators.router import RouterSimulator
from edge.simulators.router.radius_client import Accepted, RadiusClient

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    """One line of the table; `ok` is None where nothing is demanded."""

    what: str
    measured: str
    wanted: str = ""
    ok: bool | None = None


def callbacks(preload: str = "", label: str = "", rounds: int = 10) -> list[Row]:
    """50 callbacks at the same moment, each answered when it is durable."""
    with running(50 * rounds, preload=preload) as box:
        took: list[float] = []
        for number in range(rounds):
            batch = box.waiting[50 * number : 50 * number + 50]
            answers = burst(box.port, [_callback(entry) for entry in batch])
            assert all(status == 200 for _, status, _ in answers), {status for _, status, _ in answers}
            took += [seconds * 1000 for seconds, _, _ in answers]
            time.sleep(1.0)  # settle what was kept
        p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    wanted = "" if label else "p99 < 50 ms"
    return [
        Row(f"callback answered, durable, 50 at once{label}", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", wanted,
            None if label else p99 < 50),
    ]  # fmt: skip


def paced_callbacks(preload: str, label: str, a_second: int = 200, seconds: int = 8) -> list[Row]:
    """Callbacks at a steady pace, whether those before were answered or not."""
    with running(a_second * seconds, preload=preload) as box:
        time.sleep(3)
        answers = paced(box.port, [_callback(entry) for entry in box.waiting], a_second)
        assert all(status == 200 for _, status, _ in answers), {status for _, status, _ in answers}
    p50, p99 = (quantile([took * 1000 for took, _, _ in answers], share) for share in (0.5, 0.99))
    return [
        Row(f"callbacks, {a_second} a second{label}", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "p99 < 150 ms", p99 < 150),
    ]  # fmt: skip


def let_in(mode: str, sales: int = 60) -> list[Row]:
    """Callback → the network lets him in, one sale at a time on an idle box."""
    with RouterSimulator(password=PASSWORD) as router:
        with running(sales, router_port=router.port, mode=mode) as box:
            look = _router_look(router) if mode == "local" else _radius_look(box)
            took = [_sell(box, entry, look) for entry in box.waiting]
    p50, p99 = quantile(took, 0.5) * 1000, quantile(took, 0.99) * 1000
    return [
        Row(f"callback → let in, idle box, {mode} mode", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms",
            "p50 < 150 ms, p99 < 1 s", p50 < 150 and p99 < 1000),
    ]  # fmt: skip


def sustained(sales: int = 400, preload: str = "", label: str = "") -> list[Row]:
    """Callbacks as fast as they are answered, until the router knows everybody; texts leave by the modem meanwhile."""
    with RouterSimulator(password=PASSWORD) as router:
        with running(sales, router_port=router.port, mode="local", preload=preload) as box:
            before = _written(box)
            began = time.monotonic()
            threads = [
                threading.Thread(target=_post_all, args=(box.port, box.waiting[place::8])) for place in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            while _known(router) < sales:
                time.sleep(0.02)
                assert time.monotonic() - began < 300, f"{_known(router)} of {sales} after 300 s"
            took = time.monotonic() - began
            time.sleep(2)
            written = (_written(box) - before) / sales / 1024
    rate = sales / took
    rows = [
        Row(f"sustained sales, callback to provisioned{label}", f"{rate:.0f} a second",
            "" if label else "> 20 a second", None if label else rate > 20),
    ]  # fmt: skip
    return rows if label else [*rows, Row("written to the card per sale", f"{written:.0f} KiB")]


def idle(seconds: float = 60.0) -> list[Row]:
    """The whole box with nothing to do but its checks: CPU, memory, card."""
    with RouterSimulator(password=PASSWORD) as router, ModemSimulator() as modem:
        with running(router_port=router.port, mode="radius", modem_port=modem.port) as box:
            time.sleep(10)
            cpu, written, began = _cpu(box), _written(box), time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - began
            share = (_cpu(box) - cpu) / took * 100
            per_hour = (_written(box) - written) / took * 3600 / 1024 / 1024
            memory = sum(_memory_kib(pid) for pid in box.pids) / 1024
    return [
        Row("idle box, all services: CPU", f"{share:.2f} % of one core", "< 1 %", share < 1),
        Row("idle box, all services: resident", f"{memory:.0f} MB", "< 150 MB", memory < 150),
        Row("written to the card per idle hour", f"{per_hour:.1f} MiB"),
    ]


def portal(rounds: int = 5) -> list[Row]:
    """200 phones open the portal at the same moment."""
    with running() as box:
        took: list[float] = []
        size = 0
        time.sleep(5)  # the box has started, and looked at its parts
        for _ in range(rounds):
            answers = burst(box.port, [get(f"/?mac=AA%3ABB%3ACC%3A00%3A00%3A{n:02X}") for n in range(200)])
            assert all(status == 200 for _, status, _ in answers)
            took += [seconds * 1000 for seconds, _, _ in answers]
            size = max(length for _, _, length in answers)
            time.sleep(0.5)
        rest = burst(box.port, [get("/static/guest.css?v=0.1.0"), get("/static/guest.js?v=0.1.0")])
        total = (size + sum(length for _, _, length in rest)) / 1000
    p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    return [
        Row("portal page, 200 phones at once", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "p99 < 100 ms", p99 < 100),
        Row("portal page with everything", f"{total:.1f} KB in {1 + len(rest)} requests", "≤ 30 KB, ≤ 3", total <= 30),
    ]


def radius_is_there() -> bool:
    """Radius mode and the idle box with FreeRADIUS are measured only where it is installed."""
    return radius.installed()


def _callback(entry: Waiting) -> bytes:
    return post(f"/cb/{entry.secret}", entry.body)


def _post_all(port: int, entries: list[Waiting]) -> None:
    for entry in entries:
        assert once(port, _callback(entry)) == 200


def _sell(box: Box, entry: Waiting, look: Callable[[Waiting], None]) -> float:
    request = _callback(entry)
    began = time.perf_counter()
    assert once(box.port, request) == 200
    look(entry)
    took = time.perf_counter() - began
    time.sleep(0.3)  # idle again
    return took


def _router_look(router: RouterSimulator) -> Callable[[Waiting], None]:
    seen = {"count": _known(router)}

    def look(entry: Waiting) -> None:
        while _known(router) == seen["count"]:
            time.sleep(0.001)
        seen["count"] = _known(router)

    return look


def _radius_look(box: Box) -> Callable[[Waiting], None]:
    client = RadiusClient("127.0.0.1", box.radius_port, 1, box.radius_secret, nas_identifier="gate")

    def look(entry: Waiting) -> None:
        code, pin = "", ""
        while not code:
            code, pin = _code_of(box, entry)
        phone = {"mac": "A2:00:00:00:00:01", "ip": "10.5.50.2", "session_id": "80a00001"}
        while not isinstance(client.log_in(code, pin, **phone), Accepted):
            time.sleep(0.001)

    return look


def _code_of(box: Box, entry: Waiting) -> tuple[str, str]:
    """As the guest's page learns it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{box.port}/api/payments/{entry.token}", timeout=5) as answer:
        told = json.load(answer)
    return told["username"] or "", told["password"] or ""


def _known(router: RouterSimulator) -> int:
    return len(router.users())


def _cpu(box: Box) -> float:
    """Seconds of CPU that the box's processes have used."""
    total = 0
    for pid in box.pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def _memory_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _written(box: Box) -> int:
    """Bytes that the box's processes caused to be written."""
    total = 0
    for pid in box.pids:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                total += int(line.split()[1])
    return total
