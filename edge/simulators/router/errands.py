"""Commands of the pretend router that are more than reading and writing rows: logins, fetches, pings, switches."""

from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import BadInput
from edge.simulators.router.command import Command, Reply
from edge.simulators.router.files import fetch
from edge.simulators.router.guests import Proof
from edge.simulators.router.machine import Machine
from edge.simulators.router.tables import FLAGS, Release, Row, Trap
from edge.values.hotspot import read_duration
from edge.values.mac import read_mac

COUNTERS = ("uptime", "bytes-in", "bytes-out", "packets-in", "packets-out")
MOST_PINGS = 100


@dataclass(frozen=True)
class Errand:
    """What it does, what a user needs to have it done, and the arguments it knows."""

    run: Callable[[Machine, Command], list[Reply]]
    policy: str
    arguments: frozenset[str]
    since: Release = ()
    in_menu: bool = True  # the menu above it must be there


def _log_in(machine: Machine, command: Command) -> list[Reply]:
    """/ip/hotspot/active/login: only for a host that is there (facts: words collected from running routers)."""
    told, spot = command.attributes, machine.hotspot
    try:
        mac = read_mac(told.get("mac-address", ""))
    except BadInput:
        raise Trap("invalid value of mac-address", 1) from None
    with spot.lock:
        host = spot.host_at(told.get("ip", ""))
    if host is None:
        raise Trap("unknown host IP")
    if mac not in ("", host.mac):
        raise Trap("wrong MAC provided")
    words = spot.log_in(host, told.get("user", ""), [Proof(told.get("password", ""))], "admin")
    if words:
        raise Trap(words)
    return []


def _reset_counters(machine: Machine, command: Command) -> list[Reply]:
    references = command.attributes.get(".id") or command.attributes.get("numbers", "")
    if not references:
        raise Trap("missing value(s) of argument(s) numbers", 1)
    users = machine.hotspot.users
    with machine.hotspot.lock:
        for row_id in [users.find(reference) for reference in references.split(",")]:
            users.rows[row_id] |= dict.fromkeys(COUNTERS, "0")
    return []


def _reset_html(machine: Machine, command: Command) -> list[Reply]:
    with machine.hotspot.lock:
        machine.files.restore_pages()
    return []


def _fetch(machine: Machine, command: Command) -> list[Reply]:
    """/tool/fetch asks that address for real; the answer lies in /file, or comes back with output=user."""
    told = command.attributes
    url, output = told.get("url", ""), told.get("output", "file")
    if not url:
        raise Trap("missing value(s) of argument(s) url", 1)
    contents = fetch(url)
    size = str(len(contents.encode("utf-8", "surrogateescape")) // 1024)
    finished = {"status": "finished", "downloaded": size, "total": size, "duration": "1s", ".section": "0"}
    if output == "user":
        return [("!re", finished | {"data": contents})]
    if output == "file" and told.get("keep-result", "yes") in ("yes", "true"):
        name = told.get("dst-path") or url.partition("?")[0].rpartition("/")[2] or "index.html"
        with machine.hotspot.lock:
            machine.files.store(name.removeprefix("/"), contents, machine.moment())
            machine.note("info,fetch", f"Download from {url.partition('?')[0]} to {name} completed")
    return [("!re", finished)]


def _ping(machine: Machine, command: Command) -> list[Reply]:
    """/ping, of one count or a few. A host answers unless it is in `unreachable`."""
    told = command.attributes
    host, count = told.get("address", ""), told.get("count", "1")
    if not host:
        raise Trap("missing value(s) of argument(s) address", 1)
    if not count.isdigit() or not 1 <= int(count) <= MOST_PINGS:
        raise Trap("invalid value for argument count", 1)
    is_lost = machine.offline or host in machine.unreachable
    rows: list[Row] = []
    for number in range(int(count)):
        row = {"seq": str(number), "host": host, "sent": str(number + 1)}
        if is_lost:
            row |= {"status": "timeout", "received": "0", "packet-loss": "100"}
        else:
            row |= {"size": "56", "ttl": "57", "time": "12ms614us", "received": str(number + 1), "packet-loss": "0",
                    "min-rtt": "12ms614us", "avg-rtt": "12ms614us", "max-rtt": "12ms614us"}  # fmt: skip
        rows.append(row)
    return [("!re", row) for row in rows]


def _monitor_traffic(machine: Machine, command: Command) -> list[Reply]:
    """/interface/monitor-traffic once: what went through since it was last asked, a second."""
    names = command.attributes.get("interface", "") or command.attributes.get("numbers", "")
    if not names:
        raise Trap("missing value(s) of argument(s) interface", 1)
    if "once" not in command.attributes:
        raise Trap("failure: the simulator monitors once")
    with machine.hotspot.lock:
        known = machine.configuration.interfaces
        found = [known.rows[known.find(name)]["name"] for name in names.split(",")]
        return [("!re", machine.meter.rates(name)) for name in found]


def _update_device_mode(machine: Machine, command: Command) -> list[Reply]:
    """It waits for a person at the router: `press_button`, or the power cut."""
    told = command.attributes
    wanted = FLAGS.get(told.get("hotspot", "yes"))
    seconds = read_duration(told.get("activation-timeout", "5m"))
    if wanted is None:
        raise Trap("input does not match any value of hotspot", 1)
    if seconds is None or not 10 <= seconds <= 86_400:
        raise Trap("invalid value for argument activation-timeout", 1)
    machine.await_button(wanted == "true", seconds)
    clock = f"{seconds // 60}m{seconds % 60:02}s"
    return [("!re", {"update": f"please activate by turning power off or pressing reset or mode button in {clock}"})]


def _reboot(machine: Machine, command: Command) -> list[Reply]:
    machine.reboot_soon()
    return []


def _request_logout(machine: Machine, command: Command) -> list[Reply]:
    if machine.release >= (7, 20):
        raise Trap("no such command", 0)
    row_id = command.attributes.get(".id") or command.attributes.get("numbers", "")
    if row_id not in machine.accounts.connections:
        raise Trap("no such item", 0)
    machine.accounts.end(row_id)
    return []


def _monitor_radius(machine: Machine, command: Command) -> list[Reply]:
    references = command.attributes.get(".id") or command.attributes.get("numbers", "")
    servers = machine.hotspot.radius_servers
    with machine.hotspot.lock:
        ids = [servers.find(reference) for reference in references.split(",")] if references else servers.ids()
        return [("!re", machine.hotspot.nas.figures(row_id)) for row_id in ids]


_ROWS = frozenset((".id", "numbers"))
_FETCHES = frozenset(
    ("url", "dst-path", "mode", "output", "http-method", "http-header-field", "http-data", "keep-result",
     "check-certificate", "as-value", "idle-timeout", "duration", "address", "host", "src-path", "port", "user",
     "password", "upload")
)  # fmt: skip
_UPDATES = frozenset(("hotspot", "mode", "activation-timeout", "flagged", "scheduler", "fetch", "container", "email"))
_PINGS = frozenset(("address", "count", "interval", "size", "interface", "src-address", "routing-table", "ttl"))

ERRANDS = {
    "/ip/hotspot/active/login": Errand(
        _log_in, "write", frozenset(("user", "password", "ip", "mac-address", "domain"))
    ),
    "/ip/hotspot/user/reset-counters": Errand(_reset_counters, "write", _ROWS),
    "/ip/hotspot/reset-html": Errand(_reset_html, "write", _ROWS | {"directory"}),
    "/tool/fetch": Errand(_fetch, "test", _FETCHES, in_menu=False),
    "/ping": Errand(_ping, "test", _PINGS, in_menu=False),
    "/tool/ping": Errand(_ping, "test", _PINGS, in_menu=False),
    "/interface/monitor-traffic": Errand(
        _monitor_traffic, "read", frozenset(("interface", "once", "interval", "duration", "numbers", ".proplist"))
    ),
    "/system/device-mode/update": Errand(_update_device_mode, "write", _UPDATES),
    "/system/reboot": Errand(_reboot, "reboot", frozenset(), in_menu=False),
    "/user/active/request-logout": Errand(_request_logout, "policy", _ROWS),
    "/radius/monitor": Errand(_monitor_radius, "read", _ROWS | {"once", ".proplist"}),
}
