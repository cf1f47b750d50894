"""How a database comes into being, and how an older one is brought up to date."""

from collections.abc import Callable
from pathlib import Path

from edge.database import db
from edge.errors import EdgeError
from edge.ledger_guards import CREDIT_GUARDS, CREDIT_GUARDS_POSTGRES, LEDGER_GUARDS, LEDGER_GUARDS_POSTGRES
from edge.models import TABLES, Batch, Breaker, JobMinute, Message, Pause
from edge.money_models import MONEY_TABLES, IncomingText
from edge.network_models import NETWORK_TABLES
from edge.radius_views import RADACCT, RADACCT_3, VIEW_NAMES, VIEWS
from edge.sealing import seal
from edge.sms_models import SMS_TABLES

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
NETWORK_INDEXES = (
    "CREATE INDEX IF NOT EXISTS sessions_open ON sessions (router_id, username) WHERE ended_at IS NULL",
    "CREATE INDEX IF NOT EXISTS sessions_of ON sessions (grant_id, started_at) WHERE grant_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS sessions_at ON sessions (ip) WHERE ended_at IS NULL",
    "CREATE INDEX IF NOT EXISTS grants_phone ON grants (msisdn)",
    "CREATE INDEX IF NOT EXISTS grants_mac ON grants (mac) WHERE state = 'live'",
    "CREATE INDEX IF NOT EXISTS sessions_past ON sessions (ended_at) WHERE ended_at IS NOT NULL",
)
MONEY_INDEXES = (
    "CREATE INDEX IF NOT EXISTS receipts_held ON receipts (created_at) WHERE state = 'held'",
    "CREATE INDEX IF NOT EXISTS receipts_fitting ON receipts (provider, amount_cents, created_at) "
    "WHERE state = 'held'",
    # Who was rung of late: of a million checkouts very many were never paid.
    "CREATE INDEX IF NOT EXISTS payments_unpaid ON payments (created_at, msisdn, mac, source) "
    "WHERE state IN ('pending', 'prompted', 'failed', 'expired')",
    "CREATE INDEX IF NOT EXISTS messages_phone ON messages (msisdn, created_at)",
    "CREATE INDEX IF NOT EXISTS throttles_past ON throttles (free_at)",
    "CREATE INDEX IF NOT EXISTS org_requests_code ON org_requests (code)",
    "CREATE INDEX IF NOT EXISTS org_requests_sent ON org_requests (sent_at) WHERE state = 'sent'",
    "CREATE INDEX IF NOT EXISTS inbox_strangers ON inbox (is_proof, received_at) WHERE payment_id IS NULL",
    "CREATE INDEX IF NOT EXISTS ledger_at ON ledger (at, kind, method, plan_id, staff_id, money_cents, sold_cents)",
    "CREATE INDEX IF NOT EXISTS ledger_unsettled ON ledger (at, kind, money_cents, sold_cents) "
    "WHERE money_cents <> sold_cents",
    "CREATE INDEX IF NOT EXISTS ledger_shift ON ledger (shift_id) WHERE shift_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS ledger_payment ON ledger (payment_id) WHERE payment_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS refunds_open ON refunds (created_at) WHERE state IN ('asked', 'unconfirmed')",
    "CREATE UNIQUE INDEX IF NOT EXISTS shifts_open ON shifts (staff_id) WHERE closed_at IS NULL",
    "CREATE INDEX IF NOT EXISTS incoming_texts_new ON incoming_texts (received_at) WHERE state = 'new'",
    "CREATE INDEX IF NOT EXISTS grants_unverified ON grants (created_at) WHERE provisional AND state = 'live'",
    "CREATE INDEX IF NOT EXISTS grants_to_remind ON grants (ends_at) "
    "WHERE state = 'live' AND remind_s IS NOT NULL AND reminded_at IS NULL",
    "CREATE INDEX IF NOT EXISTS grants_joined ON grants (joined_id) WHERE joined_id IS NOT NULL",
    # Of calls only the few that are not as usual: an index over all would be written at each sale.
    "CREATE INDEX IF NOT EXISTS inbox_other ON inbox (kind, id) WHERE kind <> 'stk'",
    "CREATE INDEX IF NOT EXISTS inbox_unproven ON inbox (id) WHERE NOT is_proof",
    "CREATE INDEX IF NOT EXISTS inbox_unsettled ON inbox (id) "
    "WHERE outcome >= 'to be settled' AND outcome < 'to be settlee'",
)
SMS_INDEXES = (
    # The figures of a campaign are counted from its recipients each time they are asked for: from this index alone.
    "CREATE INDEX IF NOT EXISTS messages_campaign ON messages (campaign_id, state, id, cost) "
    "WHERE campaign_id IS NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS messages_once ON messages (campaign_id, msisdn) WHERE campaign_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS messages_listed ON messages (campaign_id, id) WHERE state = 'listed'",
    "CREATE INDEX IF NOT EXISTS messages_queued ON messages (created_at) WHERE state = 'queued'",
    # The newest texts and the day's figures, whatever lies on lists: a draft may have 100,000 recipients.
    "CREATE INDEX IF NOT EXISTS messages_day ON messages (created_at, id, state, route) WHERE state <> 'listed'",
    "CREATE INDEX IF NOT EXISTS messages_reference ON messages (route, reference) WHERE reference <> ''",
    "CREATE INDEX IF NOT EXISTS campaigns_open ON sms_campaigns (scheduled_at) "
    "WHERE state IN ('scheduled', 'pending', 'processing')",
    "CREATE INDEX IF NOT EXISTS segments_reported ON message_segments (reference, sent_at) WHERE status IS NULL",
    "CREATE INDEX IF NOT EXISTS reports_loose ON delivery_reports (received_at) WHERE message_id IS NULL",
    "CREATE INDEX IF NOT EXISTS incoming_texts_unread ON incoming_texts (id) WHERE read_at IS NULL",
    "CREATE INDEX IF NOT EXISTS notifications_unread ON notifications (created_at) WHERE read_at IS NULL",
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


def _network_that_converges() -> None:
    """Version 3: what routers tell of themselves and of who is online; metered time; devices let in by their MAC."""
    for table, columns in (
        ("routers", ("booted_at REAL", "facts TEXT NOT NULL DEFAULT '{}'", "setup TEXT NOT NULL DEFAULT '{}'",
                     "setup_token VARCHAR(255) NOT NULL DEFAULT ''")),
        ("plans", ("metered BOOLEAN NOT NULL DEFAULT FALSE", "idle_s INTEGER")),
        ("grants", ("metered BOOLEAN NOT NULL DEFAULT FALSE", "idle_s INTEGER",
                    "why_ended VARCHAR(255) NOT NULL DEFAULT ''")),
        ("placements", ("used_s INTEGER NOT NULL DEFAULT 0", "used_bytes INTEGER NOT NULL DEFAULT 0",
                        "counted TEXT NOT NULL DEFAULT '{}'")),
    ):  # fmt: skip
        for column in columns:
            db.execute_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    db.execute_sql("UPDATE grants SET why_ended = 'time' WHERE state = 'ended'")
    for view in VIEW_NAMES:
        db.execute_sql(f"DROP VIEW IF EXISTS {view}")
    db.create_tables(NETWORK_TABLES)
    for statement in (*NETWORK_INDEXES, *RADACCT_3, *VIEWS):
        db.execute_sql(statement)


def _money_of_all_kinds() -> None:
    """Version 4: receipts, the books, refunds, vouchers, shifts, statements; plans with hours, trials and reminders."""
    for table, columns in (
        ("plans", ("burst VARCHAR(255) NOT NULL DEFAULT ''", "start_within_s INTEGER",
                   "valid_s INTEGER",
                   "hours TEXT NOT NULL DEFAULT '[]'", "happy TEXT NOT NULL DEFAULT '[]'",
                   "router_ids TEXT NOT NULL DEFAULT '[]'", "is_trial BOOLEAN NOT NULL DEFAULT FALSE",
                   "joins BOOLEAN NOT NULL DEFAULT TRUE", "remind_s INTEGER")),
        ("payments", ("provider VARCHAR(255) NOT NULL DEFAULT 'mpesa'", "how VARCHAR(255) NOT NULL DEFAULT 'prompt'",
                      "source VARCHAR(255) NOT NULL DEFAULT ''", "staff_id INTEGER", "shift_id INTEGER")),
        ("grants", ("provisional BOOLEAN NOT NULL DEFAULT FALSE", "joined_id INTEGER", "valid_s INTEGER",
                    "remind_s INTEGER", "reminded_at REAL")),
    ):  # fmt: skip
        for column in columns:
            db.execute_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    for index in ("payments_plan_id", "grants_plan_id", "grants_router_id"):  # misled the planner among a million rows
        db.execute_sql(f"DROP INDEX IF EXISTS {index}")
    db.create_tables(MONEY_TABLES)
    for statement in (*MONEY_INDEXES, *_guards()):
        db.execute_sql(statement)


def _texts_to_many() -> None:
    """Version 5: campaigns, credits, contacts, delivery reports, airtime, notices; texts and their numbers sealed."""
    for table, columns in (
        ("messages", ("kind VARCHAR(255) NOT NULL DEFAULT 'code'", "campaign_id INTEGER", "staff_id INTEGER",
                      "answers_id INTEGER", "fields TEXT NOT NULL DEFAULT ''", "segments INTEGER NOT NULL DEFAULT 1",
                      "cost INTEGER NOT NULL DEFAULT 0", "round INTEGER NOT NULL DEFAULT 0",
                      "route VARCHAR(255) NOT NULL DEFAULT ''", "tried VARCHAR(255) NOT NULL DEFAULT ''",
                      "price_cents INTEGER", "wants_report BOOLEAN NOT NULL DEFAULT FALSE",
                      "flash BOOLEAN NOT NULL DEFAULT FALSE", "expires_at REAL",
                      "delivered_at REAL", "closed_at REAL")),
        ("staff", ("email VARCHAR(255) NOT NULL DEFAULT ''",)),
        ("incoming_texts", ("route VARCHAR(255) NOT NULL DEFAULT 'modem'", "read_at REAL")),
    ):  # fmt: skip
        for column in columns:
            db.execute_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    db.execute_sql("UPDATE messages SET route = 'modem' WHERE state = 'sent'")
    db.execute_sql("UPDATE incoming_texts SET read_at = received_at")
    _seal_texts()
    db.create_tables(SMS_TABLES)
    for statement in (*SMS_INDEXES, *_credit_guards()):
        db.execute_sql(statement)


def _seal_texts() -> None:
    """What an older release wrote in the clear."""
    for table, number, context in (
        (Message, "msisdn", "messages.text"), (IncomingText, "sender", "incoming_texts.text"),
    ):  # fmt: skip
        name = table._meta.table_name
        some = f"SELECT id, {number}, text FROM {name} WHERE id > ? ORDER BY id LIMIT 1000"
        last = 0
        while rows := db.execute_sql(some, (last,)).fetchall():
            last = rows[-1][0]
            for row_id, told, words in rows:
                db.execute_sql(
                    f"UPDATE {name} SET {number} = ?, text = ? WHERE id = ?",
                    (seal.number(told), seal.text(words, context), row_id),
                )


def _guards() -> tuple[str, ...]:
    return LEDGER_GUARDS if db.serves_one_machine else LEDGER_GUARDS_POSTGRES


def _credit_guards() -> tuple[str, ...]:
    return CREDIT_GUARDS if db.serves_one_machine else CREDIT_GUARDS_POSTGRES


# A step takes the database from one version to the next; a new database is made from the models at once.
STEPS: tuple[Callable[[], None], ...] = (
    _work_that_people_see,
    _network_that_converges,
    _money_of_all_kinds,
    _texts_to_many,
)


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
    db.create_tables((*TABLES, *NETWORK_TABLES, *MONEY_TABLES, *SMS_TABLES))
    indexes = (*INDEXES, *NETWORK_INDEXES, *MONEY_INDEXES, *SMS_INDEXES)
    for statement in (*indexes, *_guards(), *_credit_guards(), *RADACCT, *VIEWS):
        db.execute_sql(statement)
