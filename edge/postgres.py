"""PostgreSQL for many machines: SQLite's statements and its one writer at a time, in PostgreSQL's words."""

import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import peewee

from edge.errors import EdgeError

# Every transaction begins by taking this lock, of all machines: what the domain was written for, SQLite's BEGIN
# IMMEDIATE, stays true. READ COMMITTED, so that each statement sees what the last holder of the lock has kept.
LOCK = 0x45444745
BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})"
LAZILY = "; SET LOCAL synchronous_commit = off"
# A machine that vanishes must not hold the lock for the two hours TCP is patient: the server asks after its
# clients, and ends a transaction of which nothing was heard for 5 s, before those who wait for the lock give up.
SESSION = """
SET lock_timeout = 10000; SET idle_in_transaction_session_timeout = 5000;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
# And the other way round, for libpq: a server that vanished is noticed.
PATIENCE = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 15_000, "client_encoding": "utf8", "application_name": "edge",
}  # fmt: skip
IDLE, IN_TRANSACTION = 0, 2  # libpq's PQTRANS_IDLE; PQTRANS_INTRANS: begun, and no statement in it has failed
MOST = 16  # connections a process, which has a hundred threads: PostgreSQL's default is a hundred for everybody
WAIT_S = 10.0  # for one of them
CLOCKS_AGREE_S = 2.0
HEALTH = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
  (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  CAST(current_setting('max_connections') AS int), current_setting('fsync'), current_setting('full_page_writes'),
  CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)
"""

# SQLSTATE classes and codes that blame one statement; every other one concerns the server, and nothing of the
# transaction may be called kept (postgresql.org/docs/current/errcodes-appendix.html).
_STATEMENT_FAULTS = ("0A", "20", "21", "22", "23", "25P02", "26", "34", "3B", "42", "44", "54", "P0")
_SERVER_FAULTS = ("42501",)  # may not write here

# SQLite's MAX and MIN of two values, NULL when one of them is (GREATEST leaves NULLs out).
SCALARS = "".join(
    f"CREATE OR REPLACE FUNCTION {name}({kind}, {kind}) RETURNS {kind} LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE "
    f"AS 'SELECT {meaning}($1, $2)';"
    for name, meaning in (("max", "greatest"), ("min", "least"))
    for kind in ("double precision", "bigint")
)
_TYPES = (
    (r"\bINTEGER PRIMARY KEY\b", "BIGSERIAL PRIMARY KEY"), (r"\bINTEGER\b", "BIGINT"),
    (r"\bREAL\b", "DOUBLE PRECISION"), (r"\bVARCHAR\(\d+\)", "TEXT"),
    (r"\bCREATE VIEW IF NOT EXISTS\b", "CREATE OR REPLACE VIEW"),
)  # fmt: skip


class NoDriver(EdgeError):
    """The library that speaks with PostgreSQL is not installed."""


class ServerFault(peewee.OperationalError):  # type: ignore[misc]
    """No statement is to blame: there was no connection, or at its end no sound transaction. Nothing is kept."""


def is_storage_fault(reason: BaseException) -> bool:
    """Does this very error blame the server, or the way to it?"""
    if isinstance(reason, ServerFault):
        return True
    if peewee.psycopg is None or not isinstance(reason, peewee.psycopg.Error):
        return False
    state = reason.sqlstate
    if state is None:  # said by the library itself: the connection, or what it was given
        return isinstance(reason, peewee.psycopg.OperationalError | peewee.psycopg.InterfaceError)
    return state in _SERVER_FAULTS or not state.startswith(_STATEMENT_FAULTS)


@lru_cache(maxsize=1024)
def translate(sql: str) -> str:
    """A statement as psycopg takes it; of what makes tables, SQLite's types as well. Quoted words are left alone."""
    if "%s" in sql:
        return sql  # Peewee's own questions about the catalogue
    sql = _translate_conflict(sql)
    parts = re.split(r"('(?:[^']|'')*')", sql)
    makes = sql.lstrip().startswith(("CREATE", "ALTER"))
    return "".join(
        part.replace("%", "%%") if place % 2 else _translate_part(part, makes) for place, part in enumerate(parts)
    )


def _translate_conflict(sql: str) -> str:
    """SQLite's OR IGNORE; and where it adds up, a bare column is to it the one of the row that is there already."""
    if "INSERT OR IGNORE" in sql:
        head, returning, tail = sql.replace("INSERT OR IGNORE", "INSERT").partition("RETURNING")
        return f"{head} ON CONFLICT DO NOTHING {returning}{tail}"
    table = re.match(r"\s*INSERT INTO (\w+)", sql)
    if table is None or "DO UPDATE SET" not in sql:
        return sql
    return re.sub(r"\b(\w+) = \1\b(?!\.)", rf"\1 = {table[1]}.\1", sql)


def _translate_part(part: str, makes: bool) -> str:
    for old, new in _TYPES if makes else ():
        part = re.sub(old, new, part)
    return part.replace("%", "%%").replace("?", "%s")


def _values(params: Iterable[Any]) -> list[Any]:
    """PostgreSQL's texts hold every letter but the zero, which only a stranger sends."""
    return [value.replace("\0", "\ufffd") if type(value) is str and "\0" in value else value for value in params]


class _Pool:
    """The connections of this process: as many as work at the same moment, and not one a thread."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._idle: deque[Any] = deque()
        self._free = threading.BoundedSemaphore(MOST)

    def take(self) -> Any:
        """One that is not known to be broken; ServerFault when all are at work for too long."""
        if not self._free.acquire(timeout=WAIT_S):
            raise ServerFault(f"all {MOST} connections to PostgreSQL were at work for {WAIT_S:.0f} s")
        try:
            return self._unbroken() or self._connect()
        except BaseException:
            self._free.release()
            raise

    def _unbroken(self) -> Any:
        with contextlib.suppress(IndexError):
            while (connection := self._idle.pop()).closed:
                pass
            return connection
        return None

    def give(self, connection: Any) -> None:
        """Back, for whoever comes next; one that is in the middle of something is closed."""
        if connection.pgconn.transaction_status == IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        self._free.release()

    def empty(self) -> None:
        """Close those that nobody has in hand."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()


class PostgresServer(peewee.PostgresqlDatabase):  # type: ignore[misc]
    """PostgreSQL with the verbs of `sqlite.SqliteFile`. A thread has a connection for a statement or a transaction.

    Answers are read in whole at once (psycopg's cursors on our side), so they outlive that.
    """

    # As wide as SQLite's: data limits do not fit into 32 bits, and no text is refused for its length.
    field_types = {**peewee.PostgresqlDatabase.field_types, "INT": "BIGINT", "AUTO": "BIGSERIAL"}
    param = "?"
    serves_one_machine = False

    def __init__(self, url: str) -> None:
        if peewee.psycopg is None:
            raise NoDriver("[database] url names PostgreSQL, and its library is missing: pip install edge[postgres]")
        self._pool = _Pool(self._open)
        super().__init__(url, prefer_psycopg3=True, autoconnect=True, **PATIENCE)

    # Connections.

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take one for this thread, unless it has one."""
        if not self._state.closed:
            return False
        with peewee.__exception_wrapper__:
            self._state.conn, self._state.closed = self._pool.take(), False
        return True

    def close(self) -> bool:
        """Give this thread's connection back, and close all that nobody has in hand."""
        if self.in_transaction():
            raise peewee.OperationalError("this thread is in the middle of a transaction")
        was_open = not self._state.closed
        self._give_back()
        self._pool.empty()
        return was_open

    def _open(self) -> Any:
        connection = self._connect()
        try:
            connection.execute(SESSION, prepare=False)
        except Exception:
            connection.close()
            raise
        connection.adapters.register_loader("numeric", _number_loader())
        return connection

    def _give_back(self) -> None:
        """Between transactions; what is to be done after the commit is kept."""
        connection, self._state.conn, self._state.closed = self._state.conn, None, True
        if connection is not None:
            self._pool.give(connection)

    def _is_lost(self) -> bool:
        """There was a connection, and it broke."""
        return self._state.conn is not None and bool(self._state.conn.closed)

    def _forget(self) -> None:
        """Close this thread's connection. Did it break, then so did those that nobody has in hand."""
        if self._is_lost():
            self._pool.empty()
        if self._state.conn is not None:
            self._state.conn.close()
        self._give_back()

    # Statements.

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        """One statement in SQLite's words. A look outside a transaction outlives a server that was started anew."""
        if sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO")):
            # Each has a name of its own, and the end of the transaction lets go of all: one way to the server less.
            return None if sql.startswith("RELEASE") and self.is_alive() else self._say(sql)
        words, values = translate(sql), _values(params or ())
        if self.in_transaction():
            return super().execute_sql(words, values)
        try:
            return self._execute_alone(words, values)
        except peewee.PeeweeException:
            was_lost = self._is_lost()
            self._forget() if was_lost else self._give_back()
            if not was_lost or not words.lstrip().startswith("SELECT"):
                raise  # perhaps it was done
            return self._execute_alone(words, values)

    def _execute_alone(self, words: str, values: list[Any]) -> Any:
        answer = super().execute_sql(words, values)
        self._give_back()
        return answer

    def begin(self, lock_type: str = "IMMEDIATE") -> None:
        """Begin, as the only writer of all; PeeweeException when nobody let go of the lock for 10 s."""
        words = BEGIN if getattr(self._state, "is_flushed", True) else BEGIN + LAZILY
        for is_last in (False, True):
            try:
                self._say(words)
                return
            except BaseException as reason:
                was_lost = self._is_lost() and isinstance(reason, peewee.PeeweeException)
                self._forget()  # with whatever was begun
                if is_last or not was_lost:
                    raise  # else it had broken before, and nothing was asked of it yet

    def commit(self) -> None:
        """Keep it. PostgreSQL answers the COMMIT of a failed transaction, or of none, as if all were well: we ask."""
        connection = self._state.conn
        if connection is None or connection.pgconn.transaction_status != IN_TRANSACTION:
            raise ServerFault("the transaction was over before its end: a statement failed, or the connection did")
        self._say("COMMIT")
        self._give_back()

    def rollback(self) -> None:
        """Undo it. The server does so by itself when the connection is lost."""
        try:
            if self._state.conn is not None:
                self._say("ROLLBACK")
        except peewee.PeeweeException:
            self._forget()
        self._give_back()

    def _say(self, words: str) -> Any:
        """Words that frame a transaction: never prepared, each has other names in it."""
        connection = self.connection()
        with peewee.__exception_wrapper__:
            return connection.execute(words, prepare=False)

    def conflict_update(self, on_conflict: Any, query: Any) -> Any:
        """REPLACE as SQLite means it, of a row whose key is all that is unique about it."""
        if on_conflict._action != "REPLACE":
            return super().conflict_update(on_conflict, query)
        meta = query.table._meta
        others = [field for field in meta.sorted_fields if field is not meta.primary_key]
        update = peewee.OnConflict(conflict_target=(meta.primary_key,), preserve=others)
        return super().conflict_update(update, query)

    # What each engine has its own words for.

    def flush_each_commit(self, wanted: bool) -> None:
        """From this thread's next transaction on. A flush keeps all earlier commits as well: there is one log."""
        self._state.is_flushed = wanted

    def is_alive(self) -> bool:
        """Does this thread's transaction still stand?"""
        connection = self._state.conn
        return connection is not None and connection.pgconn.transaction_status == IN_TRANSACTION

    def faults(self) -> list[str]:
        """What makes it unfit for a box."""
        question = "SELECT current_setting('server_encoding'), pg_is_in_recovery()"
        try:
            encoding, is_standby = self.execute_sql(question).fetchone()
        except peewee.PeeweeException as reason:
            return [f"out of reach: {reason}; does PostgreSQL run, and is [database] url right?"]
        faults = [] if encoding == "UTF8" else [f"in {encoding}, not UTF8: make it with createdb -E UTF8 -T template0"]
        return [*faults, "a standby, which can't be written to"] if is_standby else faults

    def health(self) -> list[tuple[str, str, str]]:
        """For `edge doctor`: state (ok, warning, problem), words and cure."""
        version, size, used, most, fsync, pages, clock = self.execute_sql(HEALTH).fetchone()
        ahead_s = time.time() - clock
        found = [("ok", f"PostgreSQL {version}, {size // 1024:,} KiB, {used} of {most} connections in use", "")]
        for name, value in (("fsync", fsync), ("full_page_writes", pages)):
            if value != "on":
                words = f"PostgreSQL runs with {name} = {value}: a power cut may lose or damage what was sold"
                found.append(("problem", words, f"set {name} = on in postgresql.conf, and reload it"))
        if used > most * 0.8:
            words = f"{used} of {most} connections are in use; each process of the box takes up to {MOST + 2}"
            found.append(("warning", words, "raise max_connections in postgresql.conf"))
        if abs(ahead_s) > CLOCKS_AGREE_S:
            way = "ahead of" if ahead_s > 0 else "behind"
            words = f"this machine's clock is {abs(ahead_s):.0f} s {way} the database's"
            found.append(("problem", words, "let NTP set both clocks (timedatectl set-ntp true)"))
        return found

    def version(self) -> int:
        """Of the schema; 0 before there is one."""
        if self.execute_sql("SELECT to_regclass('schema_version')").fetchone()[0] is None:
            return 0
        row = self.execute_sql("SELECT MAX(version) FROM schema_version").fetchone()
        return int(row[0] or 0)

    def set_version(self, version: int) -> None:
        self.execute_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        self.execute_sql("DELETE FROM schema_version")
        self.execute_sql("INSERT INTO schema_version (version) VALUES (?)", (version,))

    def keep_copy(self, place: str) -> None:
        """None: a server has its own backups (docs/scale-out.md), and the change is one transaction."""

    def prepare_schema(self) -> None:
        """What SQLite's statements use and PostgreSQL has not."""
        self._say(SCALARS)

    def pass_number(self, table: str, key: str) -> None:
        """A row was given its number: count on from the highest."""
        self.execute_sql(
            f'SELECT setval(pg_get_serial_sequence(?, ?), (SELECT MAX("{key}") FROM "{table}"))', (f'"{table}"', key)
        )


@lru_cache(maxsize=1)
def _number_loader() -> Any:
    """A sum of whole numbers comes as NUMERIC: to us it is a whole number again."""

    def load(self: Any, data: Any) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)

    return type("NumberLoader", (peewee.psycopg.adapt.Loader,), {"load": load})
