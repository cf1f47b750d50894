"""The log of logins by RADIUS, in words: the newest few thousand."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from edge import database
from edge.database import db
from edge.network_models import Login
from edge.values.codes import LETTERS_SHOWN, mask_code

KEPT = 5_000


class Seen(Protocol):
    """A login as RADIUS judged it; `at` in seconds since 1970."""

    @property
    def at(self) -> float: ...
    @property
    def router(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def mac(self) -> str: ...
    @property
    def accepted(self) -> bool: ...
    @property
    def words(self) -> str: ...


def record(seen: Iterable[Seen]) -> int:
    """Write down these logins, with their codes masked, and forget the oldest; returns how many came."""
    logins = list(seen)[-KEPT:]
    if logins:
        database.writer.write(partial(_write, logins), durable=False)
    return len(logins)


def _write(logins: list[Seen]) -> None:
    for login in logins:
        name = login.name if login.name.upper() == login.mac else mask_code(login.name[:LETTERS_SHOWN])
        Login.create(
            at=datetime.fromtimestamp(login.at, UTC), router=login.router, username=name, mac=login.mac,
            accepted=login.accepted, words=login.words,
        )  # fmt: skip
    db.execute_sql("DELETE FROM logins WHERE id <= (SELECT MAX(id) FROM logins) - ?", (KEPT,))
