"""What FreeRADIUS reads: views over the rights where they stand; and what it writes: the accounting."""

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

VIEW_NAMES = ("nas", "radreply", "radcheck", "live_grants")  # in the order of their going

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
