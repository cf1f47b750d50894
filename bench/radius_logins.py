"""How many guests FreeRADIUS lets in a second over a grown shop, with accounting on, while the box sells and is copied.

Asked by radclient, which shares the machine's cores with the server.
"""

import random
import re
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.measures import Row
from edge import database, schema
from edge.database import db
from edge.demo import free_udp_port
from edge.devices.radius import FreeRadius
from edge.texts import data_folder

GRANTS, HISTORY = 5_000, 100_000
LOGINS, AT_ONCE = 8_000, 50
SECRET = "gate-of-the-shop-1234"
GROWN = (
    "INSERT INTO clock (id, trusted, words, seen_at) VALUES (1, 1, '', unixepoch())",
    "INSERT INTO plans (id, name, price_cents, seconds, rate, devices, metered, on_sale, position, burst, hours, "
    "happy, router_ids, is_trial, joins) "
    "VALUES (1, '1 hour', 2000, 3600, '2M/5M', 2, 0, 1, 0, '', '[]', '[]', '[]', 0, 1)",
    "INSERT INTO routers (name, host, port, tls, username, password, mode, radius_secret, hotspot_server, login_url, "
    "from_settings, facts, setup, setup_token) VALUES ('gate', '127.0.0.1', 8728, 0, '', '', 'radius', "
    f"'{SECRET}', '', '', 0, '{{}}', '{{}}', '')",
    # Half with data, a third with metered time.
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    "INSERT INTO grants (plan_id, why, msisdn, mac, username, password, seconds, bytes, rate, devices, credited_s, "
    "metered, idle_s, state, why_ended, provisional, created_at, starts_at, ends_at) SELECT 1, 'payment', '', '', "
    "printf('CODE%04d', i), '0123', 1000000, CASE i % 2 WHEN 0 THEN 1000000000000 END, '2M/5M', 50, 0, i % 3 = 0, 600, "
    "'live', '', 0, unixepoch(), unixepoch(), CASE WHEN i % 3 <> 0 THEN unixepoch() + 36000 END FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    "INSERT INTO radacct (acctuniqueid, username, login, nasipaddress, acctstarttime, acctupdatetime, acctstoptime, "
    "acctsessiontime, acctinputoctets, acctoutputoctets, is_folded) SELECT 'old' || i, "
    f"printf('CODE%04d', i % {GRANTS}), '', '127.0.0.1', 1, 2, 2, 600, 1000000, 9000000, 1 FROM n",
)


@contextmanager
def shop() -> Iterator[tuple[Path, FreeRadius]]:
    """Thousands of guests with their history, and the daemon over them."""
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        path = Path(folder) / "edge.db"
        database.open_database(path)
        schema.migrate(path)
        with db.atomic("IMMEDIATE"):
            for statement in GROWN:
                db.execute_sql(statement, (HISTORY - 1 if "radacct" in statement else GRANTS - 1,) * ("?" in statement))
        daemon = FreeRadius(
            Path(folder) / "radius", path, data_folder() / "radius", host="127.0.0.1", auth_port=free_udp_port(),
            acct_port=free_udp_port(),
        )  # fmt: skip
        daemon.start()
        try:
            daemon.probe()
            yield path, daemon
        finally:
            daemon.stop()
            database.close_database()


def logins() -> list[Row]:
    """Every login with its Start and an Interim-Update; then one guest at a time, on an otherwise idle box."""
    with shop() as (path, daemon), _busy(path) as done:
        names = [f"CODE{random.randrange(GRANTS):04d}" for _ in range(LOGINS)]
        accounting = threading.Thread(target=_ask, args=(daemon, "acct", _records(names)))
        accounting.start()
        told, took = _ask(daemon, "auth", _requests(names))
        accounting.join()
        accepted, lost = told["Accepted"], LOGINS - told["Accepted"]
        written = _wait_for_rows(path, LOGINS)
        rate = accepted / took
    with shop() as (_, daemon):
        alone, alone_took = _ask(daemon, "auth", _requests([f"CODE{number:04d}" for number in range(1000)]), at_once=1)
        each_ms = alone_took / alone["Accepted"] * 1000
    busy = f"{done['sales']} sales and {done['copies']} backups meanwhile"
    return [
        Row(f"RADIUS logins a second with accounting, {AT_ONCE} at once, {busy}", f"{rate:.0f}", "> 500", rate > 500),
        Row(f"of {LOGINS:,} good logins turned away or unanswered", str(lost), "0", lost == 0),
        Row("sessions of theirs kept in the accounting", f"{written:,} of {LOGINS:,}", f"{LOGINS:,}",
            written == LOGINS),
        Row("one login after another", f"{each_ms:.1f} ms", "< 5 ms", each_ms < 5),
    ]  # fmt: skip


def _requests(names: list[str]) -> str:
    return "\n\n".join(
        f'User-Name="{name}",User-Password="0123",Calling-Station-Id="AA:BB:CC:{number >> 8:04X}:{number & 255:02X}",'
        f'NAS-Port={number},Message-Authenticator=0x00'
        for number, name in enumerate(names)
    )


def _records(names: list[str]) -> str:
    return "\n\n".join(
        f'User-Name="{name}",Acct-Session-Id="80a{number:06d}",Acct-Status-Type={kind},'
        f'Calling-Station-Id="AA:BB:CC:DD:{number >> 8:02X}:{number & 255:02X}",Framed-IP-Address=10.5.50.9{counts}'
        for number, name in enumerate(names)
        for kind, counts in (
            ("Start", ""),
            ("Interim-Update", ",Acct-Session-Time=1,Acct-Input-Octets=5,Acct-Input-Gigawords=1"),
        )
    )


def _ask(daemon: FreeRadius, kind: str, lines: str, at_once: int = AT_ONCE) -> tuple[dict[str, int], float]:
    """radclient's own count of what came back, and the seconds it took."""
    port = daemon._ports[kind]
    command = ["radclient", "-q", "-s", "-p", str(at_once), "-t", "5", "-r", "3", f"127.0.0.1:{port}", kind, SECRET]
    began = time.perf_counter()
    asked = subprocess.run(command, input=lines, text=True, capture_output=True, check=False)
    took = time.perf_counter() - began
    return {name: int(count) for name, count in re.findall(r"(Accepted|Rejected|Lost)\s*: (\d+)", asked.stdout)}, took


@contextmanager
def _busy(path: Path) -> Iterator[dict[str, int]]:
    """The box sells some 20 rights a second, each in a transaction of its own, and is copied every other second."""
    over, done = threading.Event(), {"sales": 0, "copies": 0}

    def sell() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as box:
            while not over.wait(0.05):
                box.execute("BEGIN IMMEDIATE")
                box.execute(
                    "INSERT INTO grants (plan_id, why, msisdn, mac, username, password, seconds, rate, devices, "
                    "credited_s, metered, state, why_ended, provisional, created_at) "
                    "VALUES (1, 'payment', '', '', ?, '0123', 3600, '', 1, 0, 0, 'live', '', 0, unixepoch())",
                    (f"SOLD{done['sales']:04d}",),
                )
                box.execute("COMMIT")
                done["sales"] += 1

    def copy() -> None:
        with closing(sqlite3.connect(path)) as source:
            while not over.wait(1.0):
                with closing(sqlite3.connect(path.with_name("copy.db"))) as target:
                    source.backup(target, pages=256, sleep=0.005)
                done["copies"] += 1

    threads = [threading.Thread(target=work) for work in (sell, copy)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _wait_for_rows(path: Path, wanted: int) -> int:
    """The spool is drained a moment later."""
    count, deadline = 0, time.monotonic() + 120
    with closing(sqlite3.connect(path)) as reader:
        while count < wanted and time.monotonic() < deadline:
            time.sleep(0.2)
            count = reader.execute("SELECT COUNT(*) FROM radacct WHERE acctsessiontime = 1").fetchone()[0]
    return count
