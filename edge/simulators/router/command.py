"""What goes between a client of the pretend router and its menus: commands, replies, and what a menu can do."""

from collections.abc import Callable
from dataclasses import dataclass, field

from edge.simulators.router.tables import Release, Row, Table

Reply = tuple[str, Row]  # `!re`, `!done` … and its attributes
DONE: Reply = ("!done", {})


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
class Look:
    """What a print wants to see: secrets, one name alone, these properties alone (None: all)."""

    secrets: bool = False
    name: str | None = None
    only: frozenset[str] | None = None


Rows = Callable[[Look], list[Row]]
ALL_VERBS = frozenset(("add", "set", "remove", "enable", "disable", "move"))
SET_VERBS = frozenset(("set",))
SERVICE_VERBS = frozenset(("set", "enable", "disable"))
NO_VERBS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Menu:
    """One menu: its rows, the table behind them if they can be written, and what changing them does."""

    rows: Rows
    table: Table | None = None
    verbs: frozenset[str] = ALL_VERBS
    remove: Callable[[str], None] | None = None  # None: nothing but the row goes
    change: Callable[[Row], None] | None = None  # sets what has no row of its own
    is_single: bool = False  # settings without an `.id`
    policy: str = "write"  # what a user needs to change it
    touched: Callable[[], None] | None = None  # after every change
    since: Release = ()
    until: Release = ()
