"""The commands of the pretend router's API: who may give them, what they do to a menu, and what it answers."""

from collections.abc import Callable

from edge.simulators.router.accounts import EVERYTHING, Connection
from edge.simulators.router.catalogue import Catalogue
from edge.simulators.router.command import DONE, Command, Look, Menu, Reply
from edge.simulators.router.errands import ERRANDS, Errand
from edge.simulators.router.machine import Machine
from edge.simulators.router.queries import matches, names_in
from edge.simulators.router.tables import Row, Trap

PRINT_WORDS = {
    ".proplist", "count-only", "detail", "stats", "once", "terse", "value-list", "without-paging", "from", ".id",
    "interval", "follow", "follow-only",
}  # fmt: skip
READING = ("print", "getall")


class Console:
    """Runs commands of one API user, or of the machine itself. Traps become `!trap` and `!done`."""

    def __init__(self, machine: Machine, connection: Connection | None = None) -> None:
        self._machine, self._connection = machine, connection
        self._catalogue = Catalogue(machine)
        self._verbs: dict[str, Callable[[Menu, Command], list[Reply]]] = {
            "add": self._add,
            "set": self._set,
            "remove": self._remove,
            "enable": self._switch,
            "disable": self._switch,
            "move": self._move,
        }

    def run(self, command: Command) -> list[Reply]:
        """The replies to one command, the last of them `!done`."""
        try:
            if self._machine.deny:
                raise Trap("not enough permissions (9)")
            errand = ERRANDS.get(command.path)
            if errand is not None and errand.since <= self._machine.release:
                return self._go(errand, command)
            with self._machine.hotspot.lock:
                return self._run(command)
        except Trap as trap:
            told = {} if trap.category is None else {"category": str(trap.category)}
            return [("!trap", told | {"message": trap.message}), DONE]

    def rows(self, path: str, *, secrets: bool = False) -> list[Row]:
        """All rows of a menu as they are printed."""
        menu = self._menu(path)
        with self._machine.hotspot.lock:
            return menu.rows(Look(secrets))

    def _policies(self) -> frozenset[str]:
        if self._connection is None:
            return EVERYTHING
        return self._machine.accounts.policies_of(self._connection.name)

    def _need(self, policy: str) -> None:
        if policy not in self._policies():
            raise Trap("not enough permissions (9)")

    def _menu(self, path: str) -> Menu:
        menu = self._catalogue.find(path)
        if menu is None:
            raise Trap("no such command prefix", 0)
        return menu

    def _go(self, errand: Errand, command: Command) -> list[Reply]:
        if errand.in_menu:
            self._menu(command.menu)
        self._need(errand.policy)
        unknown = set(command.attributes) - errand.arguments
        if unknown:
            raise Trap(f"unknown parameter {min(unknown)}", 0)
        return [*errand.run(self._machine, command), DONE]

    def _run(self, command: Command) -> list[Reply]:
        menu = self._menu(command.menu)
        if command.verb in READING:
            self._need("read")
            return self._print(menu, command)
        verb = self._verbs.get(command.verb)
        if verb is None or command.verb not in menu.verbs:
            raise Trap("no such command", 0)
        self._need(menu.policy)
        replies = verb(menu, command)
        if menu.touched is not None:
            menu.touched()
        self._machine.hotspot.changed.notify_all()
        return replies

    def _print(self, menu: Menu, command: Command) -> list[Reply]:
        asked, machine = command.attributes, self._machine
        unknown = set(asked) - PRINT_WORDS - ({"show-sensitive"} if machine.release >= (7, 21) else set())
        if unknown:
            raise Trap(f"unknown parameter {min(unknown)}", 0)
        wanted = [name for name in asked.get(".proplist", "").split(",") if name]
        is_count = "count-only" in asked
        only = frozenset([*wanted, *names_in(command.queries)]) if wanted or is_count else None
        may_see = "sensitive" in self._policies() and (not machine.keeps_secrets or "show-sensitive" in asked)
        rows = menu.rows(Look(may_see, _only_name(command.queries), only))
        if asked.get(".id"):
            rows = [row for row in rows if row.get(".id") in asked[".id"].split(",")]
        if command.queries:
            rows = [row for row in rows if matches(row, command.queries)]
        if is_count:
            return [("!done", {"ret": str(len(rows))})]
        if not rows and machine.announces_empty:
            return [("!empty", {}), DONE]
        if menu.is_single:
            rows = [{name: value for name, value in row.items() if name != ".id"} for row in rows]
        shown = [{name: row[name] for name in wanted if name in row} if wanted else row for row in rows]
        return [*(("!re", row) for row in shown), DONE]

    def _add(self, menu: Menu, command: Command) -> list[Reply]:
        assert menu.table is not None
        values = dict(command.attributes)
        before = values.pop("place-before", "") if "chain" in menu.table.columns else ""
        place = menu.table.find(before) if before else ""
        if menu.table is self._machine.files.table:
            row_id = self._machine.files.add(values, self._machine.moment(), self._machine.release)
        else:
            row_id = menu.table.add(values)
        if place:
            menu.table.move(row_id, place)
        return [("!done", {"ret": row_id})]

    def _set(self, menu: Menu, command: Command) -> list[Reply]:
        values = {key: value for key, value in command.attributes.items() if key not in (".id", "numbers")}
        if menu.change is not None:
            menu.change(values)
            return [DONE]
        assert menu.table is not None
        for row_id in list(menu.table.rows) if menu.is_single else self._targets(menu, command):
            if menu.table is self._machine.files.table:
                self._machine.files.change(row_id, values, self._machine.moment())
            else:
                menu.table.change(row_id, values)
        return [DONE]

    def _switch(self, menu: Menu, command: Command) -> list[Reply]:
        assert menu.table is not None
        for row_id in self._targets(menu, command):
            menu.table.change(row_id, {"disabled": "yes" if command.verb == "disable" else "no"})
        return [DONE]

    def _remove(self, menu: Menu, command: Command) -> list[Reply]:
        assert menu.remove is not None
        for row_id in self._targets(menu, command):
            menu.remove(row_id)
        return [DONE]

    def _move(self, menu: Menu, command: Command) -> list[Reply]:
        if menu.table is None or "chain" not in menu.table.columns:
            raise Trap("no such command", 0)
        destination = command.attributes.get("destination", "")
        place = menu.table.find(destination) if destination else ""
        for row_id in self._targets(menu, command):
            menu.table.move(row_id, place)
        return [DONE]

    def _targets(self, menu: Menu, command: Command) -> list[str]:
        """All of them are looked for before any is touched."""
        references = command.attributes.get(".id") or command.attributes.get("numbers", "")
        if not references:
            raise Trap("missing value(s) of argument(s) numbers", 1)
        if menu.table is not None:
            return [menu.table.find(reference) for reference in references.split(",")]
        known = {row[".id"] for row in menu.rows(Look())}
        if not known.issuperset(references.split(",")):
            raise Trap("no such item (4)", 4)
        return references.split(",")


def _only_name(queries: list[str]) -> str | None:
    """The one name that a query without operators asks for: a short way through thousands of users."""
    names = [word.removeprefix("?").removeprefix("=") for word in queries]
    names = [word.removeprefix("name=") for word in names if word.startswith("name=")]
    return names[0] if names and not any(word.startswith("?#") for word in queries) else None
