"""The one database file of a box: how SQLite is opened, asked after its health, and believed when it fails."""

import sqlite3
from pathlib import Path

import peewee

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "busy_timeout": 10_000,
    "cache_size": -1_000,  # KiB a connection; each thread has its own
    "journal_size_limit": 16 * 1024 * 1024,
}

# SQLite's primary codes that blame one statement. Every other one (full, locked, read-only, damaged, input or
# output) concerns the whole file, and nothing of the transaction may be called kept (sqlite.org/rescode.html).
_STATEMENT_FAULTS = frozenset(
    {
        sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE,
    }
)  # fmt: skip


def is_storage_fault(reason: BaseException) -> bool:
    """Does this very error blame the file?"""
    code = getattr(reason, "sqlite_errorcode", None)
    return code is not None and code & 0xFF not in _STATEMENT_FAULTS


class SqliteFile(peewee.SqliteDatabase):  # type: ignore[misc]
    """SQLite, and the few verbs that each engine has its own words for (`postgres.PostgresServer` has the same)."""

    serves_one_machine = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), pragmas=PRAGMAS, timeout=10, autoconnect=True)

    def flush_each_commit(self, wanted: bool) -> None:
        """From this thread's next transaction on. A flush keeps all earlier commits as well: there is one log."""
        connection = self.connection()
        known, is_wanted = getattr(self._state, "flushes", (None, True))
        if wanted != (is_wanted if known is connection else True):  # a new connection flushes
            self.execute_sql("PRAGMA synchronous = FULL" if wanted else "PRAGMA synchronous = NORMAL")
        self._state.flushes = (connection, wanted)

    def is_alive(self) -> bool:
        """On some faults SQLite undoes the whole transaction by itself; what follows would be kept piece by piece."""
        return bool(self.connection().in_transaction)

    def faults(self) -> list[str]:
        """What makes it unfit for a box, in SQLite's own words."""
        try:
            words = [str(row[0]) for row in self.execute_sql("PRAGMA quick_check").fetchall()]
        except (peewee.DatabaseError, sqlite3.DatabaseError) as reason:  # too damaged to be read through
            words = [str(reason)]
        return [] if words == ["ok"] else ["damaged: " + "; ".join(words[:3])]

    def health(self) -> list[tuple[str, str, str]]:
        """For `edge doctor`: state (ok, warning, problem), words and cure."""
        size = Path(self.database).stat().st_size // 1024
        mode = self.execute_sql("PRAGMA journal_mode").fetchone()[0]
        return [("ok", f"whole, {size:,} KiB, journal {mode}", "")]

    def version(self) -> int:
        """Of the schema; 0 before there is one."""
        return int(self.execute_sql("PRAGMA user_version").fetchone()[0])

    def set_version(self, version: int) -> None:
        self.execute_sql(f"PRAGMA user_version = {version}")

    def keep_copy(self, place: str) -> None:
        """A copy of the whole file, before it is changed."""
        copy = Path(place)
        copy.unlink(missing_ok=True)
        copy.touch(mode=0o600)  # it holds codes and phone numbers, like the file itself
        self.execute_sql("VACUUM INTO ?", (str(copy),))

    def prepare_schema(self) -> None:
        """Before the first table: nothing."""

    def pass_number(self, table: str, key: str) -> None:
        """A row was given its number: SQLite counts on from the highest by itself."""
