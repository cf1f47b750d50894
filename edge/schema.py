"""How a database comes into being, and how an older one is brought up to date."""

from collections.abc import Callable
from pathlib import Path

from edge.database import db
from edge.errors import EdgeError
from edge.models import TABLES, Batch, Breaker, JobMinute, Pause

INDEXES = (
    # Partial: the history of finished work costs the claim nothing.
    "CREATE INDEX IF NOT EXISTS jobs_next ON jobs (queue, priority DESC, run_at, id) WHERE state = 'waiting'",
    "CREATE INDEX IF NOT EXISTS jobs_due ON jobs (run_at) WHERE state = 'scheduled'",
    "CREATE INDEX IF NOT EXISTS jobs_held ON jobs (lane, lease_until) WHERE state = 'running'",
    "CREATE INDEX IF NOT EXISTS jobs_closed ON jobs (queue, state, finished_at) "
    "WHERE state IN ('done', 'failed', 'cancelled')",
    "CREATE INDEX IF NOT EXISTS jobs_batch ON jobs (batch_id) WHERE batch_id IS NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS jobs_once ON jobs (once_key) WHERE once_key IS NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS jobs_open_key ON jobs (unique_key) "
    "WHERE unique_key IS NOT NULL AND state IN ('scheduled', 'waiting', 'running')",
    "CREATE UNIQUE INDEX IF NOT EXISTS payments_open ON payments (msisdn, plan_id, mac) "
    "WHERE state IN ('pending', 'prompted')",
    "CREATE INDEX IF NOT EXISTS inbox_forgotten ON inbox (received_at) WHERE outcome = ''",
    "CREATE INDEX IF NOT EXISTS inbox_hints ON inbox (received_at) WHERE payment_id IS NULL",
    "CREATE INDEX IF NOT EXISTS grants_live ON grants (ends_at) WHERE state = 'live'",
)

# RADIUS reads rights where they stand: no second copy, nothing to synchronise (shape: FreeRADIUS rlm_sql).
# Numbers are text, because rlm_sql_sqlite cuts integers to 32 bits. To RouterOS a limit of 0 is none at all, so
# none is ever sent as 0. Names are looked up in capitals (data/radius/queries.conf), as the codes are kept.
VIEWS = (
    # now_s is the box's own clock, but never before the grant began: a clock row that stood still, or is not
    # there yet, makes no guest's time longer than he bought.
    """CREATE VIEW IF NOT EXISTS live_grants AS
       SELECT g.*,
              MAX(COALESCE((SELECT seen_at FROM clock WHERE id = 1), 0), COALESCE(g.starts_at, 0)) AS now_s,
              CASE WHEN g.bytes IS NULL THEN NULL ELSE MAX(0, g.bytes - CAST((
                SELECT COALESCE(SUM(a.acctinputoctets + a.acctoutputoctets), 0)
                FROM radacct a WHERE a.username = g.username) AS INTEGER)) END AS bytes_left
       FROM grants g WHERE g.state = 'live'""",
    # A right that is over keeps its Simultaneous-Use row: without one the user counts as unknown, and the
    # Reply-Message below is not read.
    """CREATE VIEW IF NOT EXISTS radcheck AS
       SELECT 1 AS id, username, 'Cleartext-Password' AS attribute, ':=' AS op, password AS value
         FROM live_grants WHERE (ends_at IS NULL OR ends_at > now_s) AND (bytes_left IS NULL OR bytes_left > 0)
       UNION ALL SELECT 2, username, 'Simultaneous-Use', ':=', CAST(devices AS TEXT) FROM grants""",
    # The Reply-Message comes whatever PIN was typed, so it tells that a code exists; but only of a code that is
    # over, which no PIN opens any more. A rate must begin with a digit: a quoted value would be expanded.
    """CREATE VIEW IF NOT EXISTS radreply AS
       SELECT 1 AS id, username, 'Mikrotik-Rate-Limit' AS attribute, ':=' AS op, rate AS value
         FROM live_grants WHERE SUBSTR(rate, 1, 1) IN ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
       UNION ALL SELECT 2, username, 'Session-Timeout', ':=',
              CAST(MAX(1, CAST(COALESCE(ends_at - now_s, seconds) AS INTEGER)) AS TEXT)
         FROM live_grants WHERE ends_at IS NULL OR ends_at > now_s
       UNION ALL SELECT 3, username, 'Mikrotik-Total-Limit', ':=', CAST(bytes_left % 4294967296 AS TEXT)
         FROM live_grants WHERE bytes_left > 0
       UNION ALL SELECT 4, username, 'Mikrotik-Total-Limit-Gigawords', ':=', CAST(bytes_left / 4294967296 AS TEXT)
         FROM live_grants WHERE bytes_left > 0
       UNION ALL SELECT 5, username, 'Acct-Interim-Interval', ':=', '300' FROM live_grants
       UNION ALL SELECT 6, username, 'Port-Limit', ':=', CAST(devices AS TEXT) FROM live_grants
       UNION ALL SELECT 7, username, 'Reply-Message', ':=',
              CASE WHEN ends_at <= now_s THEN 'Your time is over' ELSE 'Your data is used up' END
         FROM live_grants WHERE ends_at <= now_s OR bytes_left = 0
       UNION ALL SELECT 7, username, 'Reply-Message', ':=', 'Your time is over' FROM grants WHERE state <> 'live'""",
    """CREATE VIEW IF NOT EXISTS nas AS
       SELECT id, host AS nasname, name AS shortname, 'other' AS type, NULL AS ports, radius_secret AS secret,
              NULL AS server, NULL AS community, name AS description
       FROM routers WHERE mode = 'radius' AND radius_secret <> ''""",
)

RADACCT = (
    """CREATE TABLE IF NOT EXISTS radacct (
       radacctid INTEGER PRIMARY KEY, acctsessionid TEXT NOT NULL DEFAULT '', acctuniqueid TEXT NOT NULL UNIQUE,
       username TEXT NOT NULL DEFAULT '', nasipaddress TEXT NOT NULL DEFAULT '', nasportid TEXT, nasporttype TEXT,
       acctstarttime INTEGER, acctupdatetime INTEGER, acctstoptime INTEGER, acctsessiontime INTEGER,
       acctinputoctets INTEGER, acctoutputoctets INTEGER, calledstationid TEXT NOT NULL DEFAULT '',
       callingstationid TEXT NOT NULL DEFAULT '', acctterminatecause TEXT NOT NULL DEFAULT '',
       framedipaddress TEXT NOT NULL DEFAULT '', class TEXT)""",
    "CREATE INDEX IF NOT EXISTS radacct_user ON radacct (username, acctstoptime)",
)

def _work_that_people_see() -> None:
    """Version 2: traces, batches, progress and pauses; the history of the queues; circuit breakers."""
    for column in (
        "trace VARCHAR(255) NOT NULL DEFAULT ''", "deaths INTEGER NOT NULL DEFAULT 0", "not_after REAL",
        "batch_id INTEGER", "progress INTEGER", "progress_words VARCHAR(255) NOT NULL DEFAULT ''",
    ):  # fmt: skip
        db.execute_sql(f"ALTER TABLE jobs ADD COLUMN {column}")
    for column in (
        "host VARCHAR(255) NOT NULL DEFAULT ''", "pid INTEGER NOT NULL DEFAULT 0",
        "stuck INTEGER NOT NULL DEFAULT 0", "restart_asked_at REAL",
    ):  # fmt: skip
        db.execute_sql(f"ALTER TABLE heartbeats ADD COLUMN {column}")
    db.create_tables([Batch, Pause, JobMinute, Breaker])
    for statement in INDEXES:
        db.execute_sql(statement)


# A step takes the database from one version to the next; a new database is made from the models at once.
STEPS: tuple[Callable[[], None], ...] = (_work_that_people_see,)


class NewerDatabase(EdgeError):
    """The file was written by a newer release of the box."""


def is_made() -> bool:
    """Has a box been made in this database?"""
    return bool(db.version())


def migrate(place: Path | str, steps: tuple[Callable[[], None], ...] = STEPS) -> int:
    """Make or mend the schema in one transaction, after a copy of an older file; returns the version."""
    wanted = 1 + len(steps)
    have = _known(wanted)
    if have and have < wanted:
        db.keep_copy(f"{place}.before-{wanted}")  # one, however often a step that breaks is tried again
    if have < wanted:
        with db.atomic("IMMEDIATE"):
            have = _known(wanted)  # another process, or machine, may have been first
            if not have:
                create()
            for step in steps[have - 1 :] if have else ():
                step()
            db.set_version(wanted)
    return wanted


def _known(wanted: int) -> int:
    have = int(db.version())
    if have > wanted:
        raise NewerDatabase(f"this database is of version {have}, this release knows {wanted}: install the newer one")
    return have


def create() -> None:
    """All tables, indexes and views, as this release knows them."""
    db.prepare_schema()
    db.create_tables(TABLES)
    for statement in (*INDEXES, *RADACCT, *VIEWS):
        db.execute_sql(statement)
