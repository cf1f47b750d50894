"""The books: every line chained to the one before, and whoever changes one is found out."""

from datetime import timedelta

import peewee
import pytest

from edge.database import db, transaction
from edge.domain import books
from edge.ledger_guards import LEDGER_GUARDS
from edge.money_models import LedgerEntry
from tests.conftest import NOW

GUARDS = ("ledger_never_changes", "ledger_never_forgets", "ledger_only_grows")
LEDGER = "ALTER TABLE ledger"


@transaction
def write(count, at=NOW):
    for number in range(count):
        books.record("sale", "mpesa", 2000, 2000, at + timedelta(seconds=number), plan_id=1, words="é")


def tamper(words, *values):
    """As somebody with the database in his hands would."""
    is_file = db.serves_one_machine
    for statement in [f"DROP TRIGGER {name}" for name in GUARDS] if is_file else [f"{LEDGER} DISABLE TRIGGER USER"]:
        db.execute_sql(statement)
    db.execute_sql(words, values)
    for statement in LEDGER_GUARDS if is_file else [f"{LEDGER} ENABLE TRIGGER USER"]:
        db.execute_sql(statement)


def test_each_line_names_the_hash_of_the_line_before(box):
    write(3)
    lines = list(LedgerEntry.select().order_by(LedgerEntry.sequence))
    assert [line.sequence for line in lines] == [1, 2, 3]
    assert [line.previous for line in lines] == [books.NOTHING_BEFORE, lines[0].hash, lines[1].hash]
    assert books.head() == (3, lines[2].hash)


def test_the_form_that_is_hashed_is_the_one_that_is_documented(box):
    line = books.record("refund", "cash", -500, -500, NOW, payment_id=7, shift_id=2, words='a "quote"')
    told = (1, NOW.timestamp(), "refund", "cash", -500, -500, None, 7, None, None, 2, None, 'a "quote"')
    assert books.canonical("ab", told) == (
        b'["ab",1,1772442000000000,"refund","cash",-500,-500,null,7,null,null,2,null,"a \\"quote\\""]'
    )
    assert line.payment_id == 7 and line.at == NOW


def test_untouched_books_are_whole_and_say_what_is_held(box):
    write(5)
    books.record("held", "mpesa", 3000, 0, NOW)
    books.record("allotted", "mpesa", 0, 2000, NOW)
    books.record("expense", "cash", -700, 0, NOW)
    verdict = books.verify()
    assert (verdict.entries, verdict.first_bad, verdict.held_cents) == (8, None, 1000)
    assert verdict.head == books.head()[1]
    assert books.held_cents() == 1000


@pytest.mark.parametrize(
    ("words", "first_bad"),
    [
        ("UPDATE ledger SET money_cents = 1 WHERE sequence = 3", 3),
        ("UPDATE ledger SET words = 'other' WHERE sequence = 4", 4),
        ("UPDATE ledger SET at = at + 1 WHERE sequence = 2", 2),
        ("UPDATE ledger SET money_cents = 'much' WHERE sequence = 2", 2),
        ("DELETE FROM ledger WHERE sequence = 3", 3),
        ("UPDATE ledger SET sequence = sequence + 100 WHERE sequence > 3", 4),
        ("INSERT INTO ledger SELECT 0, at, kind, method, money_cents, sold_cents, plan_id, payment_id, receipt_id, "
         "voucher_id, shift_id, staff_id, words, previous, hash FROM ledger WHERE sequence = 1", 1),
    ],
)  # fmt: skip
def test_a_line_that_was_changed_or_taken_away_is_named(box, words, first_bad):
    if "much" in words and not db.serves_one_machine:
        pytest.skip("PostgreSQL keeps no words in a column of numbers")
    write(6)
    tamper(words)
    verdict = books.verify()
    assert verdict.first_bad == first_bad
    assert str(first_bad) in verdict.words


def test_a_line_whose_hash_was_reckoned_anew_is_betrayed_by_the_next(box):
    write(4)
    row = db.execute_sql(f"SELECT {books._COLUMNS} FROM ledger WHERE sequence = 2").fetchone()
    forged = books._next_line((1, row[13]), NOW, (*row[2:4], 1, 1, *row[6:13]))
    tamper(
        "UPDATE ledger SET at = ?, money_cents = 1, sold_cents = 1, hash = ? WHERE sequence = 2", forged[1], forged[14]
    )
    assert books.verify().first_bad == 3


def test_two_lines_that_changed_places_are_found(box):
    write(5)
    tamper("UPDATE ledger SET sequence = CASE sequence WHEN 2 THEN -3 WHEN 3 THEN -2 END WHERE sequence IN (2, 3)")
    tamper("UPDATE ledger SET sequence = -sequence WHERE sequence < 0")
    assert books.verify().first_bad == 2


def test_lines_cut_off_at_the_end_show_by_the_payments_and_by_a_noted_hash(box):
    for number in range(3):
        box.paid(msisdn=f"25471234567{number}")
        box.after(minutes=1)
    noted = books.head()[1]
    assert books.verify(noted=noted[:16]).first_bad is None
    tamper("DELETE FROM ledger WHERE sequence = 3")
    assert "payment 3 was paid and is not in the books" in books.verify().words
    db.execute_sql("UPDATE payments SET state = 'failed' WHERE id = 3")
    assert books.verify().first_bad is None
    assert books.verify(noted=noted[:16]).first_bad == 3


def test_the_database_itself_refuses_to_change_or_forget_a_line(box):
    write(3)
    over = "INSERT OR REPLACE INTO ledger SELECT * FROM ledger WHERE sequence = 2"
    for words in (
        "UPDATE ledger SET money_cents = 1 WHERE sequence = 2",
        "DELETE FROM ledger WHERE sequence = 3",
        over if db.serves_one_machine else "TRUNCATE ledger",
    ):
        with pytest.raises(peewee.IntegrityError, match="only added to"):
            db.execute_sql(words)
    assert books.verify().entries == 3


def test_a_line_goes_with_its_transaction(box):
    with pytest.raises(ZeroDivisionError), db.atomic("IMMEDIATE"):
        books.record("sale", "cash", 1, 1, NOW)
        1 / 0  # noqa: B018
    assert books.head() == (0, books.NOTHING_BEFORE)


def test_many_who_write_at_once_leave_one_chain(box, at_once, shared_writer):
    answers = at_once(lambda number: books.record("sale", "mpesa", number, number, NOW), 20)
    assert sorted(line.sequence for line in answers) == list(range(1, 21))
    assert books.verify().first_bad is None


def test_the_books_know_no_other_kind(box):
    with pytest.raises(ValueError, match="gift"):
        books.record("gift", "cash", 1, 1, NOW)


def test_a_box_that_sold_before_it_had_books_gets_them_once(box):
    box.paid()
    late = box.paid(msisdn=box.juma)
    late.put(state="reversed", closed_at=NOW + timedelta(hours=1))
    tamper("DELETE FROM ledger")
    assert books.backfill(NOW) == 3
    assert [line.kind for line in LedgerEntry.select().order_by(LedgerEntry.sequence)] == ["sale", "sale", "reversal"]
    assert books.backfill(NOW) == 0
    assert books.verify().first_bad is None
    assert books.held_cents() == 0
