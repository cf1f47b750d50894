"""What keeps ledgers from being written over: triggers that let lines in at the end, and none change or leave."""


def _guards(name: str, table: str, is_taken: str, words: str) -> tuple[str, ...]:
    """For SQLite. `is_taken`: in which case a line stands there already, in the words of an INSERT trigger.

    That guard is for INSERT OR REPLACE, which removes a row without a DELETE that a trigger would see.
    """
    refuse = f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
    return (
        f"CREATE TRIGGER IF NOT EXISTS {name}_never_changes BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER IF NOT EXISTS {name}_never_forgets BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER IF NOT EXISTS {name}_only_grows BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {is_taken}) {refuse}",
    )


def _guards_postgres(name: str, table: str, words: str) -> tuple[str, ...]:
    return (
        f"CREATE OR REPLACE FUNCTION {name}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        f"'BEGIN RAISE EXCEPTION ''{words}'' USING ERRCODE = ''23001''; END'",
        f"DROP TRIGGER IF EXISTS {name}_never_changes ON {table}",
        f"CREATE TRIGGER {name}_never_changes BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {name}_refuses()",
        f"DROP TRIGGER IF EXISTS {name}_never_forgets ON {table}",
        f"CREATE TRIGGER {name}_never_forgets BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}_refuses()",
    )


_BOOKS, _CREDITS = "the books are only added to", "lines of credits are only added to"
LEDGER_GUARDS = _guards("ledger", "ledger", "sequence >= NEW.sequence", _BOOKS)
LEDGER_GUARDS_POSTGRES = _guards_postgres("ledger", "ledger", _BOOKS)
CREDIT_GUARDS = _guards("credits", "credit_entries", "id = NEW.id OR key = NEW.key", _CREDITS)
CREDIT_GUARDS_POSTGRES = _guards_postgres("credits", "credit_entries", _CREDITS)
