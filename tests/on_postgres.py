"""`pytest -p tests.on_postgres`: every test that opens a database file gets an emptied PostgreSQL database instead.

Its address is in EDGE_TEST_POSTGRES. Used by test_postgres.py.
"""

import os
from pathlib import Path

from edge import database, schema

URL = os.environ["EDGE_TEST_POSTGRES"]
# Quicker than TRUNCATE for tables as small as a test's: no new files, no order among foreign keys.
EMPTY = """
DO $$ DECLARE name text; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_version' LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
  PERFORM setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
_open_database = database.open_database
_opened: set[str] = set()


def pytest_configure() -> None:
    """The schema is made once."""
    _open_database(URL)
    schema.migrate(URL)
    database.close_database()
    database.open_database = _open_in_server


def _open_in_server(place: Path | str) -> None:
    _open_database(URL)
    if str(place) not in _opened:
        database.db.connection().execute(EMPTY)
    _opened.add(str(place))
