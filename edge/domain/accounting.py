"""What RADIUS's accounting tells: sessions shown, rights ended that are used up, sessions closed that nobody ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from edge import database
from edge.database import db, transaction
from edge.domain import access, clock
from edge.domain.disconnects import promise_disconnects
from edge.models import Grant, Router

SLICE = 500  # rows in one transaction: others write in between
SLICES = 20  # in one look; the rest waits for the next, seconds later
KEPT = timedelta(days=90)  # the table of sessions has a memory of its own
LOST_AFTER = timedelta(minutes=15)  # three interim updates (Acct-Interim-Interval in edge/radius_views.py)

CHANGED = "SELECT radacctid, username, acctstoptime FROM radacct WHERE is_folded = 0 ORDER BY radacctid LIMIT ?"
# Several routers with one address are a mistake: the oldest counts. Bits a second are those between two looks.
FOLD = """
INSERT INTO sessions (key, source, router_id, grant_id, username, mac, ip, started_at, seen_at, ended_at, seconds,
                      bytes_in, bytes_out, bps_in, bps_out, cause)
SELECT a.acctuniqueid, 'radius', (SELECT MIN(r.id) FROM routers r WHERE r.host = a.nasipaddress), g.id,
       COALESCE(NULLIF(a.login, ''), a.username), a.callingstationid, a.framedipaddress,
       COALESCE(a.acctstarttime, a.acctupdatetime, 0), COALESCE(a.acctupdatetime, 0), a.acctstoptime,
       COALESCE(a.acctsessiontime, 0), COALESCE(a.acctinputoctets, 0), COALESCE(a.acctoutputoctets, 0), 0, 0,
       a.acctterminatecause
FROM radacct a LEFT JOIN grants g ON g.username = a.username
WHERE a.is_folded = 0 AND a.radacctid <= ?
ON CONFLICT (key) DO UPDATE SET
  seen_at = excluded.seen_at, ended_at = excluded.ended_at, seconds = excluded.seconds, cause = excluded.cause,
  ip = excluded.ip, bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out,
  bps_in = CASE WHEN excluded.ended_at IS NULL AND excluded.seen_at > sessions.seen_at THEN
    8.0 * (excluded.bytes_in - sessions.bytes_in) / (excluded.seen_at - sessions.seen_at) ELSE 0 END,
  bps_out = CASE WHEN excluded.ended_at IS NULL AND excluded.seen_at > sessions.seen_at THEN
    8.0 * (excluded.bytes_out - sessions.bytes_out) / (excluded.seen_at - sessions.seen_at) ELSE 0 END
"""
FOLDED = "UPDATE radacct SET is_folded = 1 WHERE is_folded = 0 AND radacctid <= ?"

# A session ended when it was last heard of: what came after is not charged. Should a record come all the same that
# tells more, FreeRADIUS opens it again (data/radius/queries.conf).
CLOSE = "UPDATE radacct SET acctstoptime = acctupdatetime, acctterminatecause = '{cause}', is_folded = 0 WHERE "
SILENT = "acctstoptime IS NULL AND acctupdatetime < ?"
BEFORE_ITS_START = "acctstoptime IS NULL AND acctupdatetime < ? AND nasipaddress = ?"
CLOSE_LOST = CLOSE.format(cause="Lost-Carrier") + SILENT
CLOSE_REBOOTED = CLOSE.format(cause="NAS-Reboot") + BEFORE_ITS_START
FORGET = """
DELETE FROM radacct WHERE radacctid IN (
  SELECT a.radacctid FROM radacct a LEFT JOIN grants g ON g.username = a.username
  WHERE a.acctstoptime < ? AND a.is_folded = 1 AND COALESCE(g.state, '') <> 'live' ORDER BY a.radacctid LIMIT ?)
"""
OPEN_AT = """
SELECT acctuniqueid, login, callingstationid, framedipaddress, acctsessionid FROM radacct
WHERE username = ? AND acctstoptime IS NULL AND nasipaddress = ? ORDER BY radacctid
"""


@dataclass(frozen=True)
class OpenSession:
    """A session as its router knows it; `login` in the letters that were typed there, or a MAC."""

    unique_id: str
    login: str
    mac: str
    ip: str
    session_id: str


def fold(now: datetime) -> int:
    """Take up what RADIUS wrote since: returns how many sessions were new or had changed. Cheap when none had.

    A power cut may undo it, and then it is done again.
    """
    if clock.is_trusted(now):
        _close_if_over(now)
    count = 0
    for _ in range(SLICES):
        if not _any("radacct WHERE is_folded = 0"):
            break
        taken = database.writer.write(partial(_fold_slice, now), durable=False)
        count += taken
        if taken < SLICE:
            break
    return count


def open_sessions(grant: Grant, router: Router) -> list[OpenSession]:
    """This grant's sessions at one router that nobody has heard the end of."""
    found = db.execute_sql(OPEN_AT, (grant.username, router.host)).fetchall()
    return [
        OpenSession(unique_id, login or grant.username, mac, ip, session_id)
        for unique_id, login, mac, ip, session_id in found
    ]


@transaction
def record_gone(unique_ids: Iterable[str], cause: str, now: datetime) -> None:
    """These sessions are over, and their router will not say so any more."""
    for unique_id in unique_ids:
        db.execute_sql(
            "UPDATE radacct SET acctstoptime = acctupdatetime, acctterminatecause = ?, is_folded = 0 "
            "WHERE acctuniqueid = ? AND acctstoptime IS NULL",
            (cause, unique_id),
        )


@transaction
def trim(now: datetime) -> int:
    """Forget some records of rights that are over, when they are old; returns how many. What is live is added up."""
    return int(db.execute_sql(FORGET, ((now - KEPT).timestamp(), SLICE)).rowcount)


def _fold_slice(now: datetime) -> int:
    """Some changed rows become sessions; rights that they have used up end."""
    rows = db.execute_sql(CHANGED, (SLICE,)).fetchall()
    if not rows:
        return 0
    last = rows[-1][0]
    db.execute_sql(FOLD, (last,))
    db.execute_sql(FOLDED, (last,))
    open_names = {name for _, name, stopped_at in rows if stopped_at is None}
    names = sorted({name for _, name, _ in rows})
    for grant in list(Grant.select().where(Grant.username.in_(names))):
        if grant.state != "live":
            if grant.username in open_names:
                promise_disconnects(grant, now)  # his end did not reach the router, or came before his session's row
        elif grant.metered or grant.bytes is not None:
            _end_if_used_up(grant, now)
    return len(rows)


def _end_if_used_up(grant: Grant, now: datetime) -> None:
    """What routers counted needs no clock of ours."""
    used_s, used_bytes = access.used(grant)
    left = access.left_of(grant, used_s, used_bytes, clock.reckoned(now))
    if left.is_nothing and (left.used_up == "data" or grant.metered):
        access.end(grant, left.used_up, now)


def _close_if_over(now: datetime) -> None:
    """Close what ended unheard. Only by a clock that is believed: a leap of it would end everybody's session."""
    lost_before = int((now - LOST_AFTER).timestamp())
    rebooted = Router.select(Router.host, Router.booted_at).where(Router.mode == "radius", Router.booted_at <= now)
    over: list[tuple[str, tuple[object, ...]]] = [
        (CLOSE_REBOOTED, (int(router.booted_at.timestamp()), router.host))
        for router in rebooted
        if _any(f"radacct WHERE {BEFORE_ITS_START}", int(router.booted_at.timestamp()), router.host)
    ]
    if _any(f"radacct WHERE {SILENT}", lost_before):
        over.append((CLOSE_LOST, (lost_before,)))
    if over:
        database.writer.write(partial(_close, over), durable=False)


def _close(over: list[tuple[str, tuple[object, ...]]]) -> None:
    for statement, values in over:
        db.execute_sql(statement, values)


def _any(rest: str, *values: object) -> bool:
    return bool(db.execute_sql(f"SELECT 1 FROM {rest} LIMIT 1", values).fetchone())
