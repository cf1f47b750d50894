"""What is personal is sealed on the card: the key file, what a wrong one means, and texts of an older release."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge import boot, database, jobs, schema
from edge.database import db
from edge.domain import contacts, credits, messages
from edge.ledger_guards import CREDIT_GUARDS
from edge.models import Check, Job, Message, Plan
from edge.money_models import IncomingText, Secret
from edge.sealing import FILE, UNREADABLE, BadKeys, Seal, seal
from edge.settings import Settings
from edge.sms_models import SMS_TABLES
from tests.conftest import NOW

ROOT = Path(__file__).resolve().parent.parent
ASHA, JUMA = "254712345678", "254722000111"
CODE = "Your code is 7K2Q-9F3C"


def pointed(path):
    found = Seal()
    found.point_to(path)
    return found


def of_card(table, *columns):
    return db.execute_sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id").fetchall()


# The key file.


def test_the_key_file_is_made_when_first_needed_for_its_owner_alone(tmp_path):
    sealed = pointed(tmp_path / FILE).number(ASHA)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    again = pointed(tmp_path / FILE)
    assert (again.number(ASHA), again.open_number(sealed)) == (sealed, ASHA)
    assert ASHA not in sealed and again.number(sealed) == sealed


def test_processes_that_make_it_at_once_agree(tmp_path):
    words = "import sys; from pathlib import Path; from edge.sealing import Seal\n"
    words += "one = Seal(); one.point_to(Path(sys.argv[1])); sys.stdin.read(1); print(one.number('254712345678'))"
    line = [sys.executable, "-c", words, str(tmp_path / FILE)]
    many = [subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(4)]
    for one in many:
        one.stdin.write(b"!")
        one.stdin.flush()
    assert len({one.communicate(timeout=60)[0] for one in many}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_text_opens_in_its_own_column_alone(tmp_path):
    one = pointed(tmp_path / FILE)
    sealed = one.text("habari 😀\0", "messages.text")
    assert one.open_text(sealed, "messages.text") == "habari 😀\0"
    assert one.open_text(sealed, "contacts.name") == UNREADABLE
    assert pointed(tmp_path / "other.keys").open_text(sealed, "messages.text") == UNREADABLE
    assert pointed(tmp_path / "other.keys").open_number(one.number(ASHA)) == UNREADABLE
    for odd in ("", "n1:", "n1:!", "n1:AAAA", "gAAAA", "gAAAAé", "gAAAA" + "A" * 100):
        assert one.open_number(odd) in ("", UNREADABLE, odd) and one.open_text(odd, "x") in ("", UNREADABLE, odd)


def test_a_key_that_was_renewed_still_reads_what_the_old_one_wrote(tmp_path):
    path = tmp_path / FILE
    before = pointed(path).text(CODE, "messages.text")
    index, data = path.read_text().splitlines()
    path.write_text("\n".join((index, f"data {'A' * 43}=", data)) + "\n")
    one = pointed(path)
    assert one.open_text(before, "messages.text") == CODE
    assert pointed(path).open_text(one.text("new", "messages.text"), "messages.text") == "new"


@pytest.mark.parametrize("broken", ["", "index AAAA\n", "data AAAA\nindex AAAA\n", "index é\n", "\0\0\0"])
def test_a_broken_key_file_is_told_and_never_replaced(tmp_path, broken):
    path = tmp_path / FILE
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(BadKeys, match="bring it back from the backup"):
        pointed(path).number(ASHA)
    assert path.read_text(encoding="utf-8") == broken


# A box whose key file is another one.


def made(folder):
    told = Settings(state=folder)
    with boot.opened(told, is_new=True):
        messages.promise(ASHA, CODE, NOW)
        contacts.opt_out(JUMA, "STOP", NOW)
        credits.top_up(10, "", None, NOW)
        Plan.create(name="1 hour", price_cents=2000, seconds=3600)
    return told


def test_a_lost_key_leaves_readable_words_and_the_rest_works_and_the_cure_is_told(tmp_path):
    told = made(tmp_path)
    kept = (tmp_path / FILE).read_text()
    (tmp_path / FILE).unlink()
    for _ in range(2):
        seal.point_to(None)  # as a new process begins
        with boot.opened(told):
            message = Message.get()
            assert (message.msisdn, message.text) == (UNREADABLE, UNREADABLE)
            assert (messages.outbox(), Plan.get().name) == ([message], "1 hour")
            assert credits.balance().available == 10 and credits.verify() == []
            row = Check.get_by_id("keys")
            assert row.state == "problem" and "who wants no texts" in row.words and FILE in row.cure
    (tmp_path / FILE).write_text(kept)
    seal.point_to(None)
    with boot.opened(told):
        assert (Message.get().text, Check.get_by_id("keys").state) == (CODE, "ok")
        assert contacts.is_blocked(JUMA)


def test_a_box_with_its_own_key_says_nothing_of_keys(tmp_path):
    told = made(tmp_path)
    with boot.opened(told):
        assert Secret.get_by_id("data_keys").value == seal.fingerprint
        assert not Check.any_where("name = 'keys'")
        assert seal.fingerprint not in (tmp_path / FILE).read_text()


# A database that the release before this one wrote.


def as_version_4(box):
    """Its tables as they were, with texts in the clear."""
    for trigger in (words.split()[5] for words in CREDIT_GUARDS):
        db.execute_sql(f"DROP TRIGGER {trigger}")
    for table in reversed(SMS_TABLES):
        db.execute_sql(f"DROP TABLE {table._meta.table_name}")
    for index in SMS_INDEX_NAMES:
        db.execute_sql(f"DROP INDEX IF EXISTS {index}")
    for table, columns in WERE_THERE.items():
        for column in {row.name for row in db.get_columns(table)} - set(columns.split()):
            db.execute_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    db.set_version(4)
    at = NOW.timestamp()
    for number, (msisdn, text, state) in enumerate(OLD, 1):
        db.execute_sql(
            "INSERT INTO messages (id, msisdn, text, state, reference, words, created_at, sent_at) "
            "VALUES (?, ?, ?, ?, '7', '', ?, ?)", (number, msisdn, text, state, at, at if state == "sent" else None),
        )  # fmt: skip
    for number, sender in enumerate(("MPESA", "+254712345678"), 1):
        db.execute_sql(
            "INSERT INTO incoming_texts (id, digest, sender, is_name, smsc, pid, text, part_key, part, parts, "
            "received_at, kind, state, outcome) VALUES (?, ?, ?, ?, '', 0, 'UC2AAAAAA1 Confirmed.', '', 1, 1, ?, '', "
            "'new', '')", (number, str(number), sender, number == 1, at),
        )  # fmt: skip
    args, sms = {"message_id": 2}, jobs.QUEUES["sms"]
    Job.create(queue="sms", name="sms.send", args=args, unique_key="sms:2", lane="modem", run_at=NOW, created_at=NOW,
               state="scheduled", attempt=1, tries=sms.tries, backoff=sms.backoff_s, timeout_s=180)  # fmt: skip


OLD = [(ASHA, CODE, "sent"), (JUMA, "", "queued"), (ASHA, "habari 😀", "failed"), (ASHA, "gone", "unconfirmed")]
OLD += [(f"2547{number:08d}", f"text {number}", "sent") for number in range(1_200)]
WERE_THERE = {
    "messages": "id msisdn text state payment_id reference words created_at sent_at",
    "incoming_texts": "id digest sender is_name smsc pid text part_key part parts sent_at received_at kind state "
    "outcome receipt_id",
    "staff": "id name role password_hash created_at",
}
SMS_INDEX_NAMES = {words.split(" ON ")[0].split()[-1] for words in schema.SMS_INDEXES}


def test_texts_in_the_clear_are_sealed_and_found_and_none_is_lost(box):
    as_version_4(box)
    assert schema.migrate(box.path) == 1 + len(schema.STEPS)
    kept = [(row.msisdn, row.text, row.state) for row in Message.select().order_by(Message.id)]
    assert kept == OLD
    assert all(number.startswith("n1:") for (number,) in of_card("messages", "msisdn"))
    assert not any("code" in text or "text " in text for (text,) in of_card("messages", "text"))
    assert [row.sender for row in IncomingText.select().order_by(IncomingText.id)] == ["MPESA", "+254712345678"]
    assert IncomingText.get_by_id(1).text == "UC2AAAAAA1 Confirmed."
    assert all("Confirmed" not in text for (text,) in of_card("incoming_texts", "text"))
    assert Message.select().where(Message.msisdn == ASHA).count() == 3
    assert (messages.stats_of(ASHA).sent, messages.stats_of(ASHA).unconfirmed) == (1, 1)
    assert [row.id for row in messages.outbox(msisdn=JUMA)] == [2]
    names = {name for (name,) in db.execute_sql("SELECT name FROM sqlite_master").fetchall()}
    assert names >= SMS_INDEX_NAMES
    assert messages.close_forgotten(box.after(minutes=10)) == 0, "the old release's work is known by its key"
    assert Job.get().unique_key == messages.key_of(2)


def test_a_power_cut_in_the_middle_leaves_the_old_one_whole_and_the_next_start_ends_it(box, monkeypatch):
    as_version_4(box)

    def broken():
        raise SystemExit("the power went")

    with pytest.raises(SystemExit):
        schema.migrate(box.path, (*schema.STEPS, broken))
    assert db.version() == 4
    assert of_card("messages", "msisdn", "text", "state") == OLD
    database.close_database()
    assert schema.migrate(box.path) == 1 + len(schema.STEPS)
    assert [(row.msisdn, row.text, row.state) for row in Message.select().order_by(Message.id)] == OLD
    assert len(list(box.folder.glob("edge.db.before-*"))) == 2


def test_the_copy_from_before_is_for_its_owner_alone(box):
    """It holds numbers in the clear."""
    as_version_4(box)
    os.chmod(box.path, 0o600)
    schema.migrate(box.path)
    (copy,) = box.folder.glob("edge.db.before-*")
    assert copy.stat().st_mode & 0o077 == 0
