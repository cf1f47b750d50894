"""`make bench`: measure, and print the table with the machine it was measured on."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import campaign, faults, ledger, measures, modem_chaos, money, network, radius_logins, texts
from bench.measures import Row


def main() -> int:
    """All measurements, or those whose names are given; 1 when a figure is missed."""
    wanted = set(sys.argv[1:])
    print(machine(), flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in plan(Path(folder)):
            if not wanted or name in wanted:
                for row in measure():
                    print(line(row), flush=True)
                    rows.append(row)
    return 1 if any(row.ok is False for row in rows) else 0


def plan(folder: Path) -> list[tuple[str, Callable[[], list[Row]]]]:
    """What is measured, in this order."""
    found: list[tuple[str, Callable[[], list[Row]]]] = [
        ("portal", measures.portal), ("callbacks", measures.callbacks), ("local", partial(measures.let_in, "local")),
    ]  # fmt: skip
    if measures.radius_is_there():
        found += [("radius", partial(measures.let_in, "radius")), ("radius", radius_logins.logins)]
    found += [("sustained", measures.sustained), ("idle", measures.idle)]
    shim = slow_flush(folder)
    if shim:
        label = ", each flush 10 ms longer"
        found += [
            ("slow", partial(measures.callbacks, shim, label)),
            ("slow", partial(measures.sustained, 200, shim, label)),
            ("slow", partial(measures.paced_callbacks, shim, label)),
            ("jobs", partial(ledger.slow_throughput, shim)),
        ]
    found += [
        ("jobs", ledger.latency), ("jobs", ledger.throughput), ("jobs", ledger.idle), ("jobs", ledger.rescue),
        ("old", ledger.old_age), ("network", network.converge), ("away", network.away),
        ("money", money.pace), ("money", money.budget), ("million", money.old_shop),
        ("texts", texts.pace), ("faults", faults.sixteen), ("chaos", modem_chaos.hour),
        ("gateway", campaign.gateway_pace), ("campaign", campaign.campaign_of_100_000),
    ]  # fmt: skip
    return found


def slow_flush(folder: Path) -> str:
    """The preload library that slows flushes down; empty where no C compiler is."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return ""
    target, source = folder / "slow_flush.so", Path(__file__).with_name("slow_flush.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", target, source, "-ldl"], check=True)
    return str(target)


def machine() -> str:
    """What it was measured on."""
    cpu = next(
        (row.split(":", 1)[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in row),
        platform.machine(),
    )
    return f"{os.cpu_count()} × {cpu}, Linux {platform.release()}, Python {platform.python_version()}\n"


def line(row: Row) -> str:
    """One row of the table."""
    mark = "" if row.ok is None else "  yes" if row.ok else "  NO"
    return f"| {row.what:58} | {row.measured:32} | {row.wanted:24} |{mark}"


if __name__ == "__main__":
    sys.exit(main())
