"""The commands of the pretend router's API: what each menu can do, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field

from edge.errors import BadInput
from edge.simulators.router.guests import Proof
from edge.simulators.router.machine import Machine
from edge.simulators.router.queries import matches
from edge.simulators.router.tables import Row, Table, Trap
from edge.values.mac import read_mac

Reply = tuple[str, Row]  # `!re`, `!done` … and its attributes
PRINT_WORDS = {
    ".proplist", "count-only", "detail", "stats", "once", "terse", "value-list", "without-paging", "from", ".id",
}  # fmt: skip


@dataclass
class Command:
    """One sentence of a client: a path like `/ip/hotspot/user/add`, attributes, queries."""

    path: str
    attributes: Row = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    tag: str | None = None

    @property
    def menu(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def verb(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Menu:
    """One menu: its rows, the table behind them if they can be written, and what removing one does."""

    rows: Callable[[bool, str | None], list[Row]]  # told whether secrets may be shown, and a name if only one counts
    table: Table | None = None
    remove: Callable[[str], None] | None = None


class Console:
    """Runs commands. Traps become `!trap` and `!done`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        spot = machine.hotspot
        self._menus = {
            "/system/resource": _plain(machine.resource),
            "/system/identity": _plain(lambda: [{"name": machine.identity}]),
            "/system/clock": _plain(machine.clock_row),
            "/ip/hotspot": self._stored(spot.servers),
            "/ip/hotspot/profile": self._stored(spot.server_profiles),
            "/ip/hotspot/user": self._stored(spot.users),
            "/ip/hotspot/user/profile": self._stored(spot.profiles),
            "/ip/hotspot/ip-binding": self._stored(spot.bindings),
            "/radius": self._stored(spot.radius_servers),
            "/ip/hotspot/active": _plain(machine.active_rows, self._kick),
            "/ip/hotspot/host": _plain(machine.host_rows, self._drop_host),
            "/ip/hotspot/cookie": _plain(machine.cookie_rows, self._drop_cookie),
        }
        if machine.release >= (7,):
            self._menus["/system/device-mode"] = _plain(machine.device_mode)
        self._verbs: dict[str, Callable[[Menu, Command], list[Reply]]] = {
            "print": self._print,
            "getall": self._print,
            "add": self._add,
            "set": self._set,
            "remove": self._remove,
            "enable": self._switch,
            "disable": self._switch,
        }

    def run(self, command: Command) -> list[Reply]:
        """The replies to one command, the last of them `!done`."""
        try:
            if self._machine.deny:
                raise Trap("not enough permissions (9)")
            if command.path == "/ip/hotspot/active/login":
                return self._log_in(command)
            with self._machine.hotspot.lock:
                return self._run(command)
        except Trap as trap:
            told = {} if trap.category is None else {"category": str(trap.category)}
            return [("!trap", told | {"message": trap.message}), ("!done", {})]

    def rows(self, path: str, *, secrets: bool = False) -> list[Row]:
        """All rows of a menu as they are printed."""
        if path not in self._menus:
            raise Trap("no such command prefix", 0)
        with self._machine.hotspot.lock:
            return self._menus[path].rows(secrets, None)

    def _run(self, command: Command) -> list[Reply]:
        menu, verb = self._menus.get(command.menu), self._verbs.get(command.verb)
        if menu is None:
            raise Trap("no such command prefix", 0)
        if command.path == "/system/identity/set":
            self._machine.identity = command.attributes.get("name", self._machine.identity)
            return [("!done", {})]
        if command.path == "/ip/hotspot/user/reset-counters":
            return self._reset_counters(menu, command)
        if verb is None or (menu.table is None and verb not in (self._print, self._remove)):
            raise Trap("no such command", 0)
        replies = verb(menu, command)
        if verb != self._print:
            self._machine.hotspot.changed.notify_all()
        return replies

    def _print(self, menu: Menu, command: Command) -> list[Reply]:
        asked = command.attributes
        is_new = self._machine.release >= (7, 21)
        unknown = set(asked) - PRINT_WORDS - ({"show-sensitive"} if is_new else set())
        if unknown:
            raise Trap(f"unknown parameter {min(unknown)}", 0)
        rows = menu.rows(not self._machine.keeps_secrets or "show-sensitive" in asked, _only_name(command.queries))
        if asked.get(".id"):
            rows = [row for row in rows if row.get(".id") in asked[".id"].split(",")]
        rows = [row for row in rows if matches(row, command.queries)]
        if "count-only" in asked:
            return [("!done", {"ret": str(len(rows))})]
        if not rows and self._machine.announces_empty:
            return [("!empty", {}), ("!done", {})]
        wanted = [name for name in asked.get(".proplist", "").split(",") if name]
        shown = [{name: row[name] for name in wanted if name in row} if wanted else row for row in rows]
        return [*(("!re", row) for row in shown), ("!done", {})]

    def _add(self, menu: Menu, command: Command) -> list[Reply]:
        assert menu.table is not None
        return [("!done", {"ret": menu.table.add(command.attributes)})]

    def _set(self, menu: Menu, command: Command) -> list[Reply]:
        assert menu.table is not None
        values = {key: value for key, value in command.attributes.items() if key not in (".id", "numbers")}
        for row_id in self._targets(menu, command):
            menu.table.change(row_id, values)
        return [("!done", {})]

    def _switch(self, menu: Menu, command: Command) -> list[Reply]:
        assert menu.table is not None
        for row_id in self._targets(menu, command):
            menu.table.change(row_id, {"disabled": "yes" if command.verb == "disable" else "no"})
        return [("!done", {})]

    def _remove(self, menu: Menu, command: Command) -> list[Reply]:
        if menu.remove is None:
            raise Trap("no such command", 0)
        for row_id in self._targets(menu, command):
            menu.remove(row_id)
        return [("!done", {})]

    def _reset_counters(self, menu: Menu, command: Command) -> list[Reply]:
        assert menu.table is not None
        for row_id in self._targets(menu, command):
            for name in ("uptime", "bytes-in", "bytes-out", "packets-in", "packets-out"):
                menu.table.rows[row_id][name] = "0"
        return [("!done", {})]

    def _targets(self, menu: Menu, command: Command) -> list[str]:
        """All of them are looked for before any is touched."""
        references = command.attributes.get(".id") or command.attributes.get("numbers", "")
        if not references:
            raise Trap("missing value(s) of argument(s) numbers", 1)
        if menu.table is not None:
            return [menu.table.find(reference) for reference in references.split(",")]
        known = {row[".id"] for row in menu.rows(False, None)}
        if not known.issuperset(references.split(",")):
            raise Trap("no such item (4)", 4)
        return references.split(",")

    def _log_in(self, command: Command) -> list[Reply]:
        """/ip/hotspot/active/login: only for a host that is there (facts: words collected from running routers)."""
        told, spot = command.attributes, self._machine.hotspot
        unknown = set(told) - {"user", "password", "ip", "mac-address", "domain"}
        if unknown:
            raise Trap(f"unknown parameter {min(unknown)}", 0)
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
        return [("!done", {})]

    def _stored(self, table: Table) -> Menu:
        def remove(row_id: str) -> None:
            if table.rows[row_id].get("default") == "true":
                raise Trap("failure: can not remove default item")
            table.remove(row_id)

        def rows(secrets: bool, name: str | None) -> list[Row]:
            return self._machine.rows_of(table, secrets=secrets, name=name)

        return Menu(rows, table, remove)

    def _kick(self, row_id: str) -> None:
        spot = self._machine.hotspot
        spot.end(spot.sessions[row_id], "admin-reset")

    def _drop_host(self, row_id: str) -> None:
        spot = self._machine.hotspot
        mac = next(host.mac for host in spot.hosts.values() if host.id == row_id)
        session = spot.session_of(mac)
        if session is not None:
            spot.end(session, "admin-reset")
        del spot.hosts[mac]

    def _drop_cookie(self, row_id: str) -> None:
        self._machine.hotspot.cookies.pop(row_id, None)


def _plain(rows: Callable[[], list[Row]], remove: Callable[[str], None] | None = None) -> Menu:
    return Menu(lambda secrets, name: rows(), None, remove)


def _only_name(queries: list[str]) -> str | None:
    """The one name that a query without operators asks for: a short way through thousands of users."""
    names = [word.removeprefix("?").removeprefix("=") for word in queries]
    names = [word.removeprefix("name=") for word in names if word.startswith("name=")]
    return names[0] if names and not any(word.startswith("?#") for word in queries) else None
