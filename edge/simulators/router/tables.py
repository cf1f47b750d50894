"""A menu's rows: what may be written into them, what RouterOS answers when it may not, how they are printed."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from edge.errors import BadInput
from edge.values.hotspot import read_duration, write_duration
from edge.values.mac import read_mac

Row = dict[str, str]
Kind = Literal["text", "flag", "number", "duration", "mac", "name"]
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


class Table:
    """Rows by `.id`; ids go up and are never used again."""

    def __init__(self, columns: Mapping[str, Column], twin: Callable[[Row, Row], str] | None = None) -> None:
        self.columns = dict(columns)
        self.rows: dict[str, Row] = {}
        self._by_name: dict[str, list[str]] = {}  # thousands of users are usual
        self._twin = twin  # the refusal when two rows can't stand side by side, or ''
        self._next = 0

    def add(self, values: Mapping[str, str]) -> str:
        """A new row; its id."""
        row = {name: column.default for name, column in self.columns.items()}
        row |= {name: self._read(name, value) for name, value in values.items()}
        if "name" in row and not row["name"]:
            raise Trap("missing value(s) of argument(s) name", 1)
        self._refuse_twin("", row)
        number = self._next
        self._next += 1
        self._put(f"*{number:X}", row)
        return f"*{number:X}"

    def change(self, row_id: str, values: Mapping[str, str]) -> None:
        """New values in a row that exists."""
        row = self.rows[row_id] | {name: self._read(name, value) for name, value in values.items()}
        self._refuse_twin(row_id, row)
        self.remove(row_id)
        self._put(row_id, row)

    def remove(self, row_id: str) -> None:
        """The row is gone."""
        row = self.rows.pop(row_id)
        self._by_name[row.get("name", "")].remove(row_id)

    def clear(self) -> None:
        """Only what RouterOS brings along is left."""
        for row_id in [row_id for row_id, row in self.rows.items() if row.get("default") != "true"]:
            self.remove(row_id)

    def find(self, reference: str) -> str:
        """The id behind an id or a name; Trap when there is none."""
        if reference in self.rows:
            return reference
        for row_id in self._by_name.get(reference, []) if reference else []:
            return row_id
        raise Trap("no such item", 0)

    def named(self, name: str) -> list[Row]:
        """The rows of this name; usually one."""
        return [self.rows[row_id] for row_id in self._by_name.get(name, [])]

    def ids(self, name: str | None = None) -> list[str]:
        """The ids of all rows, or of those with this name."""
        return list(self.rows) if name is None else list(self._by_name.get(name, []))

    def names(self) -> list[str]:
        return [row["name"] for row in self.rows.values()]

    def show(self, row_id: str, *, colons: bool, secrets: bool) -> Row:
        """The row as `print` answers it."""
        shown = {".id": row_id}
        for name, value in self.rows[row_id].items():
            column = self.columns[name]
            if value in column.absent or (column.is_secret and not secrets):
                continue
            is_time = column.kind == "duration" and value.isdigit()
            shown[name] = write_duration(int(value), colons=colons) if is_time else value
        return shown

    def _put(self, row_id: str, row: Row) -> None:
        self.rows[row_id] = row
        self._by_name.setdefault(row.get("name", ""), []).append(row_id)

    def _refuse_twin(self, own_id: str, row: Row) -> None:
        """Twins have the same name, whatever else makes them twins."""
        for other_id in self.ids(row.get("name", "")):
            words = self._twin(row, self.rows[other_id]) if self._twin and other_id != own_id else ""
            if words:
                raise Trap(words)

    def _read(self, name: str, value: str) -> str:
        column = self.columns.get(name)
        if column is None or column.readonly:
            raise Trap(f"unknown parameter {name}", 0)
        if value in column.words or (value == "" and column.kind == "text"):
            return value
        return _READERS[column.kind](name, value, column)


def _read_text(name: str, value: str, column: Column) -> str:
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


_READERS: dict[Kind, Callable[[str, str, Column], str]] = {
    "text": _read_text,
    "flag": _read_flag,
    "number": _read_number,
    "duration": _read_duration,
    "mac": _read_mac,
    "name": _read_name,
}
