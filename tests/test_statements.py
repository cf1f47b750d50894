"""M-Pesa's statement: read however it was exported, and put beside the books line by line."""

from datetime import datetime, timedelta

import pytest

from edge.database import db
from edge.domain import books, matching, receipts, refunds, statements
from edge.errors import BadInput
from edge.models import Grant, Payment
from edge.money_models import LedgerEntry, Receipt, Statement, StatementLine
from edge.simulators.mpesa.book import Book
from edge.simulators.mpesa.book import Row as MpesaRow
from edge.values.account import account_of
from edge.values.arrival import Arrival
from edge.values.statement import EAT, code_day, is_completed, read_amount, read_instant, read_party, read_statement
from tests.conftest import NOW

HEADS = (
    "Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,Balance,"
    "Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No."
)
PREAMBLE = "Account Holder,Njeri WiFi\r\nShort Code,600999\r\nTime Period,From 01-03-2026 To 02-03-2026\r\n\r\n"


def line(
    code, *, at=NOW, paid="", out="", details="Pay Bill Online", status="Completed", party="", linked="", account=""
):
    stamp = f"{at.astimezone(EAT):%d-%m-%Y %H:%M:%S}"
    begin = f'{code},{stamp},{stamp},{details},{status},"{paid}","{out}","1,000.00",true'
    return f"{begin},Pay Bill,{party},{linked},{account}"


def told(*lines, heads=HEADS):
    """Framed by two lines that are nobody's, so that the statement is of a few hours."""
    edges = (line("UC2EDGE001", at=NOW - timedelta(hours=5), out="-1.00", details="Pay Bill Charge"),
             line("UC2EDGE002", at=NOW + timedelta(hours=5), out="-1.00", details="Pay Bill Charge"))  # fmt: skip
    return "\r\n".join((heads, edges[0], *lines, edges[1])).encode()


def compare(*lines):
    return statements.compare(statements.import_file("march.csv", told(*lines), NOW).statement)


def kinds(comparison):
    return {verdict.line.code: verdict.kind for verdict in comparison.verdicts if "EDGE" not in verdict.line.code}


# The file


@pytest.mark.parametrize(
    "raw",
    [
        (PREAMBLE + HEADS + "\r\n" + line("UC25T00001", paid="1,234.50") + "\r\n").encode(),
        (HEADS + "\n" + line("UC25T00001", paid="1,234.50")).encode("utf-8-sig"),
        (HEADS + "\n" + line("UC25T00001", paid="1,234.50")).encode("utf-16"),
        (HEADS + "\n" + line("UC25T00001", paid="1,234.50")).encode("utf-16-le"),
        b"A/C No.;Paid In;Something new;Completion Time;RECEIPT NO\nWIFI1;1.234,50;x;2026-03-02 12:00;UC25T00001\n",
        b"Receipt No.\tCompletion Time\tPaid In\n'UC25T00001\t2/3/2026 12:00 PM\tKES 1,234.50\n",
    ],
    ids=["preamble", "utf-8 with mark", "utf-16", "utf-16 without mark", "semicolons", "tabs"],
)
def test_a_statement_is_read_however_it_was_exported(raw):
    found = read_statement(raw)
    assert [(row.code, row.in_cents, row.at) for row in found.lines] == [("UC25T00001", 123450, NOW)]
    assert found.unread == []


def test_the_block_above_the_table_is_kept_too():
    assert read_statement((PREAMBLE + HEADS + "\n" + line("UC25T00001")).encode()).heads["Short Code"] == "600999"


def test_bad_lines_are_told_with_their_number_and_lose_nothing():
    raw = "\n".join((HEADS, line("UC25T00001", paid="20.00"), line("UC25T00002", paid="many"), "", 'Total,"2', HEADS,
                     line("UC25T00003", out="(7.50)").replace("02-03-2026", "31-02-2026"),
                     line("UC25T00004", out="-7.50")))  # fmt: skip
    found = read_statement(raw.encode())
    assert [(row.number, row.code) for row in found.lines] == [(2, "UC25T00001"), (8, "UC25T00004")]
    assert [bad.number for bad in found.unread] == [3, 5, 7]
    assert "no amount" in found.unread[0].words and "UC25T00002" in found.unread[0].text
    assert found.lines[1].out_cents == 750


def test_a_receipt_without_a_digit_is_one_and_a_word_of_the_export_is_none():
    found = read_statement("\n".join((HEADS, line("UKQKZGXOKB"), line("SUMMARY"))).encode())
    assert [row.code for row in found.lines] == ["UKQKZGXOKB"]
    assert [bad.words for bad in found.unread] == ["'SUMMARY' is no receipt number"]


@pytest.mark.parametrize("raw", [b"", b"hello\nworld\n", b"\xff\xfe\x00", b"\x00" * 5000, b"a,b,c\n1,2,3\n" * 1000])
def test_what_is_no_statement_is_refused_in_words(raw):
    with pytest.raises(BadInput, match="no M-Pesa statement"):
        read_statement(raw)


@pytest.mark.parametrize(
    ("typed", "cents"),
    [("1,234.50", 123450), ("20", 2000), ("", 0), ("-", 0), ("-20.00", -2000), ("(20)", -2000), ("KSh 1 000", 100000),
     ("0.5", 50), (".50", 50), ("1,000,000", 100000000), ("20.000", 2000)],
)  # fmt: skip
def test_amounts(typed, cents):
    assert read_amount(typed) == cents


@pytest.mark.parametrize("typed", ["twenty", "1,23", "1.234.5", "20.005", "1e5", "9" * 30])
def test_what_is_no_amount_is_not_guessed(typed):
    with pytest.raises(ValueError, match="no amount"):
        read_amount(typed)


@pytest.mark.parametrize(
    "typed",
    ["2026-03-02 12:00:00", "02-03-2026 12:00:00", "2/3/2026 12:00", "2/3/26 12:00 PM", "2 Mar 2026 12:00:00",
     "2026-03-02T12:00:00.000"],
)  # fmt: skip
def test_instants_are_of_nairobi(typed):
    assert read_instant(typed) == NOW


def test_who_paid():
    assert read_party("254712345678 - JANE DOE") == ("254712345678", "", "JANE DOE")
    assert read_party("2547***678 - JANE DOE") == ("", "2547***678", "JANE DOE")
    assert read_party("Utility Account") == ("", "", "Utility Account")


def test_a_receipt_names_its_day():
    assert code_day("UC25T00001") == datetime(2026, 3, 2, tzinfo=EAT)
    assert code_day("EA54HY643") is None
    assert is_completed(" Completed") and not is_completed("Declined")


# Kept


def test_a_file_is_kept_once(box):
    raw = told(line("UC25T00009", paid="20.00"), "gibberish,x")
    first = statements.import_file("march.csv", raw, NOW)
    again = statements.import_file("copy.csv", raw, NOW)
    assert (first.is_new, first.unread, again.is_new, again.unread) == (True, 1, False, 1)
    assert first.statement == again.statement
    assert (Statement.select().count(), first.statement.lines) == (1, 4)


def test_an_import_that_was_cut_off_is_made_good(box):
    raw = told(line("UC25T00009", paid="20.00"))
    half = statements.import_file("march.csv", raw, NOW).statement
    half.put(lines=0)
    whole = statements.import_file("march.csv", raw, NOW)
    assert whole.is_new
    assert StatementLine.select().count() == 3


# Beside the books


def test_a_day_that_agrees_has_no_unexplained_shilling(box):
    payment = box.paid()
    found = compare(line(payment.receipt, paid="20.00"), line(payment.receipt, out="-0.55", details="Pay Bill Charge"),
                    line("UC25T00077", out="-500.00", details="Merchant Account to Organization Settlement"),
                    line("UC25T00078", paid="900.00", details="Organization Settlement Account transfer"))  # fmt: skip
    assert [verdict.kind for verdict in found.verdicts] == [
        "charge",
        "agrees",
        "charge",
        "withdrawal",
        "other",
        "charge",
    ]
    assert found.unexplained_cents == 0
    assert found.not_there == []


def test_what_differs_and_what_is_missing_is_counted_to_the_shilling(box):
    payment = box.paid()
    found = compare(line(payment.receipt, paid="25.00"), line("UC25T00070", paid="30.00"))
    assert kinds(found) == {payment.receipt: "differs", "UC25T00070": "missing"}
    assert found.unexplained_cents == 500 + 3000


def test_what_m_pesa_does_not_have_is_told(box):
    payment = box.paid()
    found = compare(line("UC25T00070", paid="30.00"))
    assert [(one.code, one.cents, one.payment_id) for one in found.not_there] == [(payment.receipt, 2000, payment.id)]
    assert found.unexplained_cents == 5000


def test_a_payment_that_stands_on_another_statement_is_not_missed_on_this_one(box):
    payment = box.paid()
    other = told(line(payment.receipt, paid="20.00", at=NOW - timedelta(hours=1)))
    statements.import_file("other.csv", other, NOW)
    assert compare(line("UC25T00070", paid="30.00")).not_there == []


def test_money_that_m_pesa_declined_and_we_took_as_paid_is_told(box):
    payment = box.paid()
    found = compare(
        line(payment.receipt, paid="20.00", status="Declined"), line("UC25T00070", paid="5", status="Failed")
    )
    assert kinds(found) == {payment.receipt: "not_completed_there", "UC25T00070": "not_completed"}
    assert found.unexplained_cents == 2000


def test_a_line_that_comes_twice_counts_once(box):
    payment = box.paid()
    found = compare(line(payment.receipt, paid="20.00"), line(payment.receipt, paid="20.00"))
    assert [verdict.kind for verdict in found.verdicts][1:3] == ["agrees", "repeated"]
    assert found.unexplained_cents == 0


def test_missing_money_is_taken_in_once_and_held(box):
    found = compare(line("UC25T00070", paid="30.00", party="254712345678 - JANE DOE", account="RENT"))
    missing = next(verdict.line for verdict in found.verdicts if verdict.kind == "missing")
    row = statements.take_in(missing, None, box.now)
    assert (row.state, row.verified, row.left_cents, row.witnesses) == ("held", True, 3000, ["statement"])
    assert (row.msisdn, row.payer_name, row.account) == ("254712345678", "JANE DOE", "RENT")
    assert books.held_cents() == 3000
    assert statements.compare(found.statement).unexplained_cents == 0
    with pytest.raises(BadInput, match="already"):
        statements.take_in(missing, None, box.now)


def query_paid(box, msisdn):
    """Paid by M-Pesa's own word, which names no receipt."""
    payment = box.prompted(msisdn=msisdn)
    box.answer(payment, "paid")
    payment = Payment.get_by_id(payment.id)
    assert (payment.state, payment.receipt) == ("paid", None)
    return payment


def test_a_payment_without_receipt_finds_its_line_by_account_phone_or_time(box):
    by_account, by_phone, by_time = (query_paid(box, phone) for phone in (box.asha, box.juma, box.njeri))
    found = compare(
        line("UC25T00071", paid="20.00", account=account_of(by_account.id), party="254700000009 - BROTHER"),
        line("UC25T00072", paid="20.00", party="2547***111 - JUMA", at=NOW + timedelta(minutes=3)),
        line("UC25T00073", paid="20.00", at=NOW + timedelta(minutes=3)),
        line("UC25T00074", paid="50.00"),
    )
    offered = {verdict.line.code: verdict.payment_id for verdict in found.verdicts if verdict.kind == "learn"}
    assert offered == {"UC25T00071": by_account.id, "UC25T00072": by_phone.id, "UC25T00073": by_time.id}
    assert found.unexplained_cents == 5000
    lines = {verdict.line.code: verdict.line for verdict in found.verdicts}
    for code in offered:
        statements.follow(lines[code], None, box.now)
    assert Payment.get_by_id(by_phone.id).receipt == "UC25T00072"
    after = statements.compare(found.statement)
    assert kinds(after) == dict.fromkeys(offered, "agrees") | {"UC25T00074": "missing"}
    assert LedgerEntry.select().count() == 3


def test_two_payments_that_one_line_could_be_are_left_to_a_person(box):
    query_paid(box, box.asha), query_paid(box, box.juma)
    found = compare(line("UC25T00073", paid="20.00"))
    assert kinds(found) == {"UC25T00073": "missing"}
    assert len(found.not_there) == 2


def test_a_reversal_on_the_statement_is_followed_once(box):
    payment = box.paid()
    back = line("UC25T00090", out="-20.00", details=f"Reversal of {payment.receipt}", linked=payment.receipt,
                at=NOW + timedelta(hours=1))  # fmt: skip
    found = compare(line(payment.receipt, paid="20.00"), back)
    assert kinds(found)["UC25T00090"] == "reversed_there"
    assert found.unexplained_cents == 2000
    there = next(verdict.line for verdict in found.verdicts if verdict.kind == "reversed_there")
    assert statements.follow_reversal(there, None, box.now)
    assert not statements.follow_reversal(there, None, box.now)
    assert Payment.get_by_id(payment.id).state == "reversed"
    assert Grant.get(Grant.payment == payment).why_ended == "reversed"
    after = statements.compare(found.statement)
    assert (kinds(after)["UC25T00090"], after.unexplained_cents) == ("returned", 0)
    with pytest.raises(BadInput):
        statements.follow(there, None, box.now)


def test_a_pay_out_is_found_on_the_statement(box):
    payment = box.paid()
    refund = refunds.ask(payment, 2000, "pay_out", None, box.now)
    refunds.record_done(refund.id, "", box.now)
    found = compare(
        line(payment.receipt, paid="20.00"),
        line("UC25T00091", out="-20.00", details="Business Payment to Customer", party="2547***678 - ASHA"),
    )
    assert kinds(found)["UC25T00091"] == "returned"
    assert found.unexplained_cents == 0


def test_held_money_and_money_sold_together_agree_as_well(box):
    for number, cents in enumerate((1000, 1000)):
        row = receipts.note(Arrival(f"UC25T0008{number}", cents, msisdn=box.asha, paid_at=NOW), "c2b", NOW)
        receipts.hold(row, "too little", NOW)
    found = compare(line("UC25T00080", paid="10.00"), line("UC25T00081", paid="10.00"))
    assert set(kinds(found).values()) == {"agrees"}
    assert (found.unexplained_cents, found.not_there) == (0, [])


def test_the_pretend_m_pesas_own_statement_is_understood(box):
    payment = box.paid()
    ledger = Book(100_00)
    sold = MpesaRow(
        payment.receipt, NOW, NOW, "Pay Bill Online", "Pay Bill", "payment", box.asha, "ASHA", in_cents=2000
    )
    for row in (
        MpesaRow("UC20AAAAA1", NOW - timedelta(hours=2), NOW, "Charge", "Charge", "charge", "", "", out_cents=100),
        sold,
        MpesaRow(
            "UC20AAAAA2", NOW + timedelta(hours=2), NOW, "Pay Bill Online", "", "payment", box.juma, "J", in_cents=700
        ),
    ):
        ledger.add(row)
    raw = ledger.statement("600999", "Njeri", preamble=True).encode()
    found = statements.compare(statements.import_file("pretend.csv", raw, NOW).statement)
    assert found.unexplained_cents == 700
    assert len(found.of("agrees")) == len(found.of("charge")) == 1


def test_lines_are_looked_up_together_and_not_one_by_one(box, monkeypatch):
    found = statements.import_file("big.csv", told(*(line(f"UC2{n:07d}", paid="20.00") for n in range(1000))), NOW)
    asked = []
    run = db.obj.execute_sql
    monkeypatch.setattr(db.obj, "execute_sql", lambda *words: asked.append(words) or run(*words))
    assert statements.compare(found.statement).unexplained_cents == 1000 * 2000
    assert len(asked) < 40


def test_what_a_person_did_with_the_held_money_keeps_agreeing(box):
    found = compare(line("UC25T00070", paid="20.00"))
    line_ = next(verdict.line for verdict in found.verdicts if verdict.kind == "missing")
    row = statements.take_in(line_, None, box.now)
    plan = box.pending().plan
    matching.give_to(row, plan, box.juma, box.now)
    assert statements.compare(found.statement).unexplained_cents == 0
    assert Receipt.get_by_id(row.id).state == "used"
    assert books.held_cents() == 0
