"""A menu's rows: what may be written into them, what RouterOS answers when it may not, how they are printed."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from edge.errors import BadInput
from edge.values.hotspot import read_duration, write_duration
from edge.values.mac import read_mac

Row = dict[str, str]
Release = tuple[int, ...]
Kind = Literal["text", "flag", "number", "duration", "mac", "name", "names"]
FLAGS = {"yes": "true", "true": "true", "no": "false", "false": "false"}


class Trap(Exception):
    """RouterOS says no to one command, in these words; the category may be missing on the wire."""

    def __init__(self, message: str, category: int | None = None) -> None:
        super().__init__(message)
        self.message, self.category = message, category


@dataclass(frozen=True)
class Column:
    """One property. '' is unset; durations are kept as whole seconds and printed in the release's way."""

    kind: Kind = "text"
    default: str = ""
    names: Callable[[], Iterable[str]] | None = None  # what a name may refer to
    words: tuple[str, ...] = ()  # special words beside numbers, durations and names
    absent: tuple[str, ...] = ("",)  # such values are not printed
    readonly: bool = False
    is_secret: bool = False
    is_shown: bool = True  # False: never printed, as an API user's password
    since: Release = ()  # known from this release on,
    until: Release = ()  # and no longer in this one
    check: Callable[[str], bool] | None = None  # what a text has to look like

    def is_known(self, release: Release) -> bool:
        """Does this release of RouterOS know the property?"""
        return self.since <= release and (not self.until or release < self.until)


class Table:
    """Rows by `.id`; ids go up and are never used again."""

    def __init__(
        self,
        columns: Mapping[str, Column],
        twin: Callable[[Row, Row], str] | None = None,
        *,
        required: tuple[str, ...] = ("name",),
        key: str = "name",
    ) -> None:
        self.columns = dict(columns)
        self.rows: dict[str, Row] = {}
        self.release: Callable[[], Release] = lambda: (99,)
        self.most: int | None = None  # rows, before the router's memory is full; None: it never is
        self._key = key  # the property by which rows are found
        self._by_name: dict[str, dict[str, None]] = {}  # ids, in order; thousands of users are usual
        self._twin = twin  # the refusal when two rows can't stand side by side, or ''
        self._required = [name for name in required if name in self.columns]
        self._defaults = {name: column.default for name, column in self.columns.items()}
        self._next = 0

    def add(self, values: Mapping[str, str]) -> str:
        """A new row; its id."""
        row = self._defaults | {name: self._read(name, value) for name, value in values.items()}
        missing = [name for name in self._required if not row[name]]
        if missing:
            raise Trap(f"missing value(s) of argument(s) {' '.join(missing)}", 1)
        self._refuse_twin("", row)
        if self.most is not None and len(self.rows) >= self.most:
            raise Trap("failure: not enough space on disk (no space left)")
        return self._new(row)

    def plant(self, **values: str) -> str:
        """A row that the router makes itself, read-only properties too; underscores stand for dashes. Its id."""
        return self._new(self._defaults | {name.replace("_", "-"): value for name, value in values.items()})

    def change(self, row_id: str, values: Mapping[str, str]) -> None:
        """New values in a row that exists; it keeps its place."""
        before = self.rows[row_id]
        row = before | {name: self._read(name, value) for name, value in values.items()}
        self._refuse_twin(row_id, row)
        old, new = before.get(self._key, ""), row.get(self._key, "")
        if new != old:
            self._by_name[old].pop(row_id)
            self._by_name.setdefault(new, {})[row_id] = None
        self.rows[row_id] = row

    def remove(self, row_id: str) -> None:
        """The row is gone."""
        row = self.rows.pop(row_id)
        self._by_name[row.get(self._key, "")].pop(row_id)

    def move(self, row_id: str, before_id: str) -> None:
        """The row stands before that one from now on; '' is the end."""
        row = self.rows.pop(row_id)
        places = list(self.rows)
        place = places.index(before_id) if before_id else len(places)
        rows = list(self.rows.items())
        self.rows = dict([*rows[:place], (row_id, row), *rows[place:]])

    def clear(self) -> None:
        """Only what RouterOS brings along is left."""
        for row_id in [row_id for row_id, row in self.rows.items() if row.get("default") != "true"]:
            self.remove(row_id)

    def empty(self) -> None:
        """Not even that is left."""
        self.rows.clear()
        self._by_name.clear()

    def find(self, reference: str) -> str:
        """The id behind an id or a name; Trap when there is none."""
        if reference in self.rows:
            return reference
        for row_id in self._by_name.get(reference, {}) if reference else {}:
            return row_id
        raise Trap("no such item", 0)

    def named(self, name: str) -> list[Row]:
        """The rows of this name; usually one."""
        return [self.rows[row_id] for row_id in self._by_name.get(name, {})]

    def ids(self, name: str | None = None) -> list[str]:
        """The ids of all rows, or of those with this name."""
        return list(self.rows) if name is None else list(self._by_name.get(name, {}))

    def names(self) -> list[str]:
        return [row["name"] for row in self.rows.values()]

    def show(self, ids: Iterable[str], *, colons: bool, secrets: bool, only: Iterable[str] | None = None) -> list[Row]:
        """The rows as `print` answers them; with `only`, these properties and no work for others."""
        release = self.release()
        wanted = self.columns if only is None else [name for name in only if name in self.columns]
        shown = [
            (name, column, column.kind == "duration")
            for name in wanted
            if (column := self.columns[name]).is_shown
            and column.is_known(release)
            and (secrets or not column.is_secret)
        ]
        answer = []
        for row_id in ids:
            row, told = self.rows[row_id], {".id": row_id}
            for name, column, is_time in shown:
                value = row[name]
                if value not in column.absent:
                    is_count = is_time and value.isdigit()
                    told[name] = write_duration(int(value), colons=colons) if is_count else value
            answer.append(told)
        return answer

    def _new(self, row: Row) -> str:
        row_id = f"*{self._next:X}"
        self._next += 1
        self.rows[row_id] = row
        self._by_name.setdefault(row.get(self._key, ""), {})[row_id] = None
        return row_id

    def _refuse_twin(self, own_id: str, row: Row) -> None:
        """Twins have the same name, whatever else makes them twins."""
        if self._twin is None:
            return
        for other_id in self._by_name.get(row.get(self._key, ""), {}):
            words = self._twin(row, self.rows[other_id]) if other_id != own_id else ""
            if words:
                raise Trap(words)

    def _read(self, name: str, value: str) -> str:
        column = self.columns.get(name)
        if column is None or column.readonly or not column.is_known(self.release()):
            raise Trap(f"unknown parameter {name}", 0)
        if value in column.words or (value == "" and column.kind in ("text", "names")):
            return value
        return _READERS[column.kind](name, value, column)


def same_name(new: Row, old: Row) -> str:
    """The refusal of most menus when a name is taken."""
    return "failure: already have such name"


def _read_text(name: str, value: str, column: Column) -> str:
    if column.check is not None and not column.check(value):
        raise Trap(f"invalid value for argument {name}", 1)
    return value


def _read_flag(name: str, value: str, column: Column) -> str:
    if value not in FLAGS:
        raise Trap(f"input does not match any value of {name}", 1)
    return FLAGS[value]


def _read_number(name: str, value: str, column: Column) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", value, re.ASCII) or int(value) >= 2**64:
        raise Trap(f"invalid value for argument {name}", 1)
    return str(int(value))


def _read_duration(name: str, value: str, column: Column) -> str:
    seconds = read_duration(value)
    if seconds is None:
        raise Trap(f"invalid value {value} for argument {name}", 1)
    return str(seconds)


def _read_mac(name: str, value: str, column: Column) -> str:
    try:
        return read_mac(value)
    except BadInput:
        raise Trap(f"invalid value of {name}", 1) from None


def _read_name(name: str, value: str, column: Column) -> str:
    """An exact name, or the start of just one."""
    known = list(column.names()) if column.names else []
    found = [value] if value in known else [other for other in known if value and other.startswith(value)]
    if len(found) > 1:
        raise Trap(f"ambiguous value of {name}, more than one possible value matches input", 1)
    if not found:
        raise Trap(f"input does not match any value of {name}", 1)
    return found[0]


def _read_names(name: str, value: str, column: Column) -> str:
    """Several names, with commas between them."""
    known = set(column.names()) if column.names else set()
    if not known.issuperset(value.split(",")):
        raise Trap(f"input does not match any value of {name}", 1)
    return value


_READERS: dict[Kind, Callable[[str, str, Column], str]] = {
    "text": _read_text,
    "flag": _read_flag,
    "number": _read_number,
    "duration": _read_duration,
    "mac": _read_mac,
    "name": _read_name,
    "names": _read_names,
}
