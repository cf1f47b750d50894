"""What FreeRADIUS reads: views over the rights where they stand; and what it writes: the accounting."""

# What has been used of a right `g`: RADIUS's own accounting, and what local routers counted. Accounting names the right
# whatever the device called itself (data/radius/queries.conf), so a TV that logged in by its MAC is in the sum.
_USED = """CAST((SELECT COALESCE(SUM(%s), 0) FROM radacct a WHERE a.username = g.username)
              + (SELECT COALESCE(SUM(%s), 0) FROM placements p WHERE p.grant_id = g.id) AS BIGINT)"""
USED_S = _USED % ("a.acctsessiontime", "p.used_s")
USED_BYTES = _USED % ("a.acctinputoctets + a.acctoutputoctets", "p.used_bytes")
# The box's own clock, but never before the grant began: a clock row that stood still, or is not there yet, makes no
# guest's time longer than he bought.
_NOW_S = "MAX(COALESCE((SELECT seen_at FROM clock WHERE id = 1), 0), COALESCE(g.starts_at, 0))"
# The same as `access.left_of` reckons. Metered time runs while a guest is online, on any router, and one taken over
# from another program may end by the calendar beside. What is not limited is not added up.
_LEFT = f"""CASE WHEN g.state <> 'live' THEN 0
                 WHEN g.metered THEN MIN(g.seconds - {USED_S}, COALESCE(g.ends_at - {_NOW_S}, g.seconds))
                 WHEN g.ends_at IS NULL THEN g.seconds
                 ELSE g.ends_at - {_NOW_S} END AS seconds_left,
            CASE WHEN g.bytes IS NULL THEN NULL WHEN g.state <> 'live' THEN 0
                 ELSE MAX(0, g.bytes - {USED_BYTES}) END AS bytes_left"""


def _attributes(*names: str) -> str:
    """A table of these names, numbered from 1."""
    return " UNION ALL ".join(f"SELECT {number} AS id, '{name}' AS name" for number, name in enumerate(names, 1))


_CHECK = _attributes("Cleartext-Password", "Simultaneous-Use")
_REPLY = _attributes(
    "Mikrotik-Rate-Limit", "Session-Timeout", "Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords",
    "Acct-Interim-Interval", "Port-Limit", "Idle-Timeout", "Reply-Message",
)  # fmt: skip

# RADIUS reads rights where they stand: no second copy, nothing to synchronise (shape: FreeRADIUS rlm_sql).
# Numbers are text, because rlm_sql_sqlite cuts integers to 32 bits. To RouterOS a limit of 0 is none at all, so
# none is ever sent as 0. Names stand in capitals, also those that another program gave in small letters, and are looked
# up so; a TV under the code of its grant (data/radius). FreeRADIUS has its questions parsed anew each time, which
# costs more than answering them: so the sums stand in them once.
VIEWS = (
    # The empty half keeps SQLite from writing the sums out again wherever one of them is named.
    f"""CREATE VIEW IF NOT EXISTS radius_rights AS
       SELECT UPPER(g.username) AS username, g.password, g.rate, g.devices, g.idle_s, g.why_ended, {_LEFT}
       FROM grants g
       UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE 1 = 0""",
    # A right that is over keeps its Simultaneous-Use row: without one the user counts as unknown, and the
    # Reply-Message below is not read.
    f"""CREATE VIEW IF NOT EXISTS radcheck AS
       SELECT n.id, r.username, n.name AS attribute, ':=' AS op,
              CASE n.id WHEN 1 THEN r.password ELSE CAST(r.devices AS TEXT) END AS value
       FROM radius_rights r CROSS JOIN ({_CHECK}) n
       WHERE n.id = 2 OR (r.seconds_left > 0 AND COALESCE(r.bytes_left, 1) > 0)""",
    # The Reply-Message comes whatever PIN was typed, so it tells that a code exists; but only of a code that is
    # over, which no PIN opens any more. A rate must begin with a digit: a quoted value would be expanded.
    """CREATE VIEW IF NOT EXISTS radreply AS
       SELECT id, username, attribute, ':=' AS op, value FROM (
         SELECT n.id, r.username, n.name AS attribute,
                CASE n.id WHEN 1 THEN CASE WHEN SUBSTR(r.rate, 1, 1) BETWEEN '0' AND '9' THEN r.rate END
                          WHEN 2 THEN CASE WHEN r.seconds_left > 0 THEN
                            CAST(MAX(1, CAST(r.seconds_left AS INTEGER)) AS TEXT) END
                          WHEN 3 THEN CASE WHEN r.bytes_left > 0 THEN CAST(r.bytes_left % 4294967296 AS TEXT) END
                          WHEN 4 THEN CASE WHEN r.bytes_left > 0 THEN CAST(r.bytes_left / 4294967296 AS TEXT) END
                          WHEN 5 THEN '300'
                          WHEN 6 THEN CAST(r.devices AS TEXT)
                          WHEN 7 THEN CASE WHEN r.idle_s > 0 THEN CAST(r.idle_s AS TEXT) END
                          ELSE CASE WHEN r.why_ended = 'staff' THEN 'Your access was ended'
                                    WHEN r.why_ended = 'data' THEN 'Your data is used up'
                                    WHEN r.seconds_left <= 0 THEN 'Your time is over'
                                    WHEN r.bytes_left = 0 THEN 'Your data is used up' END END AS value
         FROM radius_rights r CROSS JOIN ("""
    + _REPLY
    + """) n
       ) answers WHERE value IS NOT NULL""",
    """CREATE VIEW IF NOT EXISTS nas AS
       SELECT id, host AS nasname, name AS shortname, 'other' AS type, NULL AS ports, radius_secret AS secret,
              NULL AS server, NULL AS community, name AS description
       FROM routers WHERE mode = 'radius' AND radius_secret <> ''""",
)

VIEW_NAMES = ("nas", "radreply", "radcheck", "live_grants", "radius_rights")  # in the order of their going

RADACCT = (
    # username is the grant's; login is what the router calls the session by, whom a Disconnect must name: a code as
    # it was typed, or a MAC. is_folded = 0: changed since the box last looked (edge/domain/accounting.py).
    """CREATE TABLE IF NOT EXISTS radacct (
       radacctid INTEGER PRIMARY KEY, acctsessionid TEXT NOT NULL DEFAULT '', acctuniqueid TEXT NOT NULL UNIQUE,
       username TEXT NOT NULL DEFAULT '', nasipaddress TEXT NOT NULL DEFAULT '', nasportid TEXT, nasporttype TEXT,
       acctstarttime INTEGER, acctupdatetime INTEGER, acctstoptime INTEGER, acctsessiontime INTEGER,
       acctinputoctets INTEGER, acctoutputoctets INTEGER, calledstationid TEXT NOT NULL DEFAULT '',
       callingstationid TEXT NOT NULL DEFAULT '', acctterminatecause TEXT NOT NULL DEFAULT '',
       framedipaddress TEXT NOT NULL DEFAULT '', class TEXT, login TEXT NOT NULL DEFAULT '',
       is_folded INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS radacct_user ON radacct (username, acctstoptime)",
    "CREATE INDEX IF NOT EXISTS radacct_open ON radacct (acctupdatetime) WHERE acctstoptime IS NULL",
    "CREATE INDEX IF NOT EXISTS radacct_changed ON radacct (radacctid) WHERE is_folded = 0",
    "CREATE INDEX IF NOT EXISTS grants_name ON grants (UPPER(username))",
)

# For a database that was made before version 3.
RADACCT_3 = (
    "ALTER TABLE radacct ADD COLUMN login TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE radacct ADD COLUMN is_folded INTEGER NOT NULL DEFAULT 0",
    *RADACCT[2:],
)
