"""What a column may hold beyond SQL's own kinds: instants, documents, and what is sealed on the card."""

import json
from datetime import UTC, datetime
from typing import Any

from peewee import CharField, DoubleField, TextField

from edge.sealing import seal


class InstantField(DoubleField):
    """An instant: aware UTC in Python, seconds since 1970 in the table, so that SQL views can reckon with it."""

    def db_value(self, value: datetime | float | None) -> float | None:
        return value.timestamp() if isinstance(value, datetime) else value

    def python_value(self, value: float | None) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


class JsonField(TextField):
    """A small JSON document."""

    def db_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"), default=str)

    def python_value(self, value: str | None) -> Any:
        return None if value is None else json.loads(value)


class SealedNumber(CharField):
    """A phone number that nobody reads from the card. Rows are found by it, whole: in SQL's words use `seal.number`."""

    def db_value(self, value: str | None) -> str | None:
        return None if value is None else seal.number(value)

    def python_value(self, value: str | None) -> str | None:
        return None if value is None else seal.open_number(value)


class SealedText(TextField):
    """Words that nobody reads from the card; they can't be searched."""

    def db_value(self, value: str | None) -> str | None:
        return None if value is None else seal.text(value, self._context)

    def python_value(self, value: str | None) -> str | None:
        return None if value is None else seal.open_text(value, self._context)

    @property
    def _context(self) -> str:
        return f"{self.model._meta.table_name}.{self.column_name}"
