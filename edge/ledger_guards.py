"""What keeps the books from being written over: triggers that let lines in at the end, and none change or leave."""

_WORDS = "the books are only added to"

# The guard on INSERT is for SQLite's INSERT OR REPLACE, which removes a row without a DELETE that a trigger would see.
LEDGER_GUARDS = (
    f"""CREATE TRIGGER IF NOT EXISTS ledger_never_changes BEFORE UPDATE ON ledger
       BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ledger_never_forgets BEFORE DELETE ON ledger
       BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ledger_only_grows BEFORE INSERT ON ledger
       WHEN EXISTS (SELECT 1 FROM ledger WHERE sequence >= NEW.sequence)
       BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END""",
)
LEDGER_GUARDS_POSTGRES = (
    f"""CREATE OR REPLACE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS
       'BEGIN RAISE EXCEPTION ''{_WORDS}'' USING ERRCODE = ''23001''; END'""",
    "DROP TRIGGER IF EXISTS ledger_never_changes ON ledger",
    """CREATE TRIGGER ledger_never_changes BEFORE UPDATE OR DELETE ON ledger
       FOR EACH ROW EXECUTE FUNCTION ledger_refuses()""",
    "DROP TRIGGER IF EXISTS ledger_never_forgets ON ledger",
    """CREATE TRIGGER ledger_never_forgets BEFORE TRUNCATE ON ledger
       FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()""",
)

_CREDITS = "lines of credits are only added to"
CREDIT_GUARDS = (
    f"""CREATE TRIGGER IF NOT EXISTS credits_never_change BEFORE UPDATE ON credit_entries
       BEGIN SELECT RAISE(ABORT, '{_CREDITS}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS credits_never_forget BEFORE DELETE ON credit_entries
       BEGIN SELECT RAISE(ABORT, '{_CREDITS}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS credits_only_grow BEFORE INSERT ON credit_entries
       WHEN EXISTS (SELECT 1 FROM credit_entries WHERE id = NEW.id OR key = NEW.key)
       BEGIN SELECT RAISE(ABORT, '{_CREDITS}'); END""",
)
CREDIT_GUARDS_POSTGRES = (
    f"""CREATE OR REPLACE FUNCTION credits_refuse() RETURNS trigger LANGUAGE plpgsql AS
       'BEGIN RAISE EXCEPTION ''{_CREDITS}'' USING ERRCODE = ''23001''; END'""",
    "DROP TRIGGER IF EXISTS credits_never_change ON credit_entries",
    """CREATE TRIGGER credits_never_change BEFORE UPDATE OR DELETE ON credit_entries
       FOR EACH ROW EXECUTE FUNCTION credits_refuse()""",
    "DROP TRIGGER IF EXISTS credits_never_forget ON credit_entries",
    """CREATE TRIGGER credits_never_forget BEFORE TRUNCATE ON credit_entries
       FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse()""",
)
