"""Money on its way back: never more than came, in the books when it is gone, and the access goes with it."""

import pytest

from edge.domain import access, books, org_requests, provisional, receipts, refunds, shifts, witnesses
from edge.errors import BadInput
from edge.models import Grant, Job, Payment, Staff
from edge.money_models import IncomingText, LedgerEntry, OrgRequest, Receipt, Refund
from edge.values.account import account_of
from edge.values.arrival import Arrival
from edge.values.mpesa_sms import MoneyText
from edge.values.org_api import OrgResult


@pytest.fixture(autouse=True)
def ears(box):
    """As the box listens when it is open."""
    kept = dict(org_requests.on_result), dict(org_requests.on_trouble)
    refunds.listen()
    yield
    for table, before in zip((org_requests.on_result, org_requests.on_trouble), kept, strict=True):
        table.clear()
        table.update(before)


@pytest.fixture
def wanjiku(box):
    return Staff.create(name="Wanjiku", role="cashier", password_hash="", created_at=box.now)


def last_line():
    return LedgerEntry.select().order_by(LedgerEntry.sequence.desc()).get()


def is_balanced():
    held = sum(row.left_cents for row in Receipt.select().where(Receipt.verified))
    return books.verify().first_bad is None and books.held_cents() == held


def result_of(refund, code="0"):
    request = OrgRequest.get(OrgRequest.refund == refund)
    request.put(state="sent")
    return request, OrgResult(request.kind, code, "as M-Pesa says", "", "", "UC25TBACK1", {})


def test_cash_goes_back_at_once_and_the_access_with_it(box):
    payment = box.paid()
    refund = refunds.ask(payment, 2000, "cash", None, box.now, "router broke")
    assert (refund.state, refund.words) == ("done", "router broke")
    line = last_line()
    assert (line.kind, line.method, line.money_cents, line.sold_cents, line.payment_id) == (
        "refund", "cash", -2000, -2000, payment.id,
    )  # fmt: skip
    assert Payment.get_by_id(payment.id).state == "reversed"
    grant = box.grant(payment)
    assert (grant.state, grant.why_ended) == ("ended", "refunded")
    row = Receipt.get(Receipt.code == payment.receipt)
    assert (row.state, row.returned_cents, row.left_cents) == ("returned", 2000, 0)
    assert box.events("payment.refunded")[0]["amount"] == 20
    assert is_balanced()


def test_a_part_goes_back_and_the_guest_stays_online(box):
    payment = box.paid()
    refunds.ask(payment, 500, "cash", None, box.now)
    assert Payment.get_by_id(payment.id).state == "paid"
    assert box.grant(payment).state == "live"
    refunds.ask(payment, 1500, "cash", None, box.now)
    assert Payment.get_by_id(payment.id).state == "reversed"
    assert is_balanced()


@pytest.mark.parametrize("cents", [2001, 0, -500])
def test_never_more_than_was_paid(box, cents):
    payment = box.paid()
    with pytest.raises(BadInput, match="At most KSh 20"):
        refunds.ask(payment, cents, "cash", None, box.now)


def test_what_is_under_way_counts_as_gone(box):
    payment = box.paid()
    refunds.ask(payment, 1500, "reversal", None, box.now)
    with pytest.raises(BadInput, match="At most KSh 5"):
        refunds.ask(payment, 600, "cash", None, box.now)
    row = Receipt.get(Receipt.code == payment.receipt)
    assert refunds.refundable_cents(row) == 500


def test_many_who_press_at_once_give_it_back_once(box, at_once, shared_writer):
    payment = box.paid()
    answers = at_once(lambda _: refunds.ask(payment, 2000, "cash", None, box.now), 8)
    assert sum(isinstance(answer, Refund) for answer in answers) == 1
    assert is_balanced()


def test_unpaid_checkouts_and_unverified_money_have_nothing_to_give_back(box):
    row = receipts.note(Arrival("UC25T00099", 2000), "sms", box.now)
    for what in (box.pending(), row):
        with pytest.raises(BadInput, match="Nothing is left"):
            refunds.ask(what, 100, "cash", None, box.now)


def test_cash_comes_out_of_the_open_shifts_drawer_and_not_more_than_it_holds(box, wanjiku):
    payment = box.paid()
    shift = shifts.open(wanjiku, 1500, box.now)
    with pytest.raises(BadInput, match="drawer holds KSh 15"):
        refunds.ask(payment, 2000, "cash", wanjiku, box.now)
    refunds.ask(payment, 1000, "cash", wanjiku, box.now)
    assert last_line().shift_id == shift.id
    assert shifts.figures(shift, box.now).expected_cents == 500


def test_a_reversal_is_promised_and_settled_by_m_pesas_result(box):
    payment = box.paid()
    refund = refunds.ask(payment, 2000, "reversal", None, box.now)
    assert refund.state == "asked"
    assert Job.get(Job.name == "mpesa.reverse").state == "waiting"
    assert box.grant(payment).state == "live"
    request, told = result_of(refund)
    org_requests.record_result(request.id, told, box.now)
    org_requests.record_result(request.id, told, box.now)
    assert Refund.get_by_id(refund.id).state == "done"
    assert Payment.get_by_id(payment.id).state == "reversed"
    assert LedgerEntry.select().where(LedgerEntry.kind == "refund").count() == 1
    assert last_line().method == "mpesa"
    assert is_balanced()


def test_a_refund_that_m_pesa_refused_changes_no_book(box):
    payment = box.paid()
    refund = refunds.ask(payment, 2000, "pay_out", None, box.now)
    org_requests.record_refused(OrgRequest.get(OrgRequest.refund == refund).id, "no role", box.now)
    refund = Refund.get_by_id(refund.id)
    assert (refund.state, refund.words) == ("failed", "no role")
    assert last_line().kind == "sale"
    assert refunds.refundable_cents(payment) == 2000
    assert box.events("refund.failed")[0]["words"] == "no role"


def test_a_refund_in_doubt_holds_the_money_back_until_somebody_knows(box):
    payment = box.paid()
    refund = refunds.ask(payment, 2000, "pay_out", None, box.now)
    org_requests.record_unconfirmed(OrgRequest.get(OrgRequest.refund == refund).id, "answer lost", box.now)
    assert Refund.get_by_id(refund.id).state == "unconfirmed"
    assert refunds.refundable_cents(payment) == 0
    assert [one.id for one in refunds.waiting()] == [refund.id]
    assert refunds.record_failed(refund.id, "the guest has nothing", box.now)
    assert refunds.refundable_cents(payment) == 2000
    assert refunds.record_done(refund.id, "it came after all", box.now)
    assert not refunds.record_done(refund.id, "", box.now)
    assert is_balanced()


def test_held_money_goes_back_without_touching_a_sale(box):
    row = receipts.note(Arrival("UC25T00099", 3000, msisdn=box.asha), "c2b", box.now)
    receipts.hold(row, "nobody's", box.now)
    refunds.ask(row, 1000, "cash", None, box.now)
    assert (last_line().money_cents, last_line().sold_cents) == (-1000, 0)
    assert Receipt.get_by_id(row.id).state == "held"
    refunds.ask(row, 2000, "pay_out", None, box.now)
    refunds.record_done(Refund.select().order_by(Refund.id.desc()).get().id, "", box.now)
    assert Receipt.get_by_id(row.id).state == "returned"
    assert books.held_cents() == 0
    assert is_balanced()


def test_what_was_overpaid_goes_back_first(box):
    payment = box.paid()
    row = Receipt.get(Receipt.code == payment.receipt)
    row.put(amount_cents=3000, state="held")
    books.record("held", "mpesa", 1000, 0, box.now)
    refunds.ask(row, 1000, "cash", None, box.now)
    assert box.grant(payment).state == "live"
    assert Receipt.get_by_id(row.id).state == "used"
    refunds.ask(row, 2000, "cash", None, box.now)
    assert box.grant(payment).why_ended == "refunded"
    assert is_balanced()


def test_cash_that_was_paid_can_not_go_back_by_m_pesa(box):
    payment = box.paid()
    payment.put(provider="cash")
    with pytest.raises(BadInput, match="Give it back in cash"):
        refunds.ask(payment, 2000, "reversal", None, box.now)
    assert refunds.ways(Payment.get_by_id(payment.id)) == ["cash"]


# By M-Pesa


def test_a_reversal_by_m_pesa_is_written_down_once_whoever_tells(box):
    payment = box.paid()
    row = Receipt.get(Receipt.code == payment.receipt)
    assert [refunds.reverse(what, "a text", box.now) for what in (payment, row, payment)] == [True, False, False]
    assert (last_line().kind, last_line().money_cents, last_line().sold_cents) == ("reversal", -2000, -2000)
    assert box.grant(payment).why_ended == "reversed"
    assert [(one.how, one.state) for one in refunds.of(payment)] == [("reversal", "done")]
    assert box.events("payment.reversed")[0]["receipt"] == payment.receipt
    assert is_balanced()


def test_a_reversal_that_was_ours_is_the_end_of_our_refund(box):
    payment = box.paid()
    refund = refunds.ask(payment, 2000, "reversal", None, box.now)
    assert refunds.reverse(payment, "on the statement", box.now)
    assert Refund.get_by_id(refund.id).state == "done"
    assert last_line().kind == "refund"
    assert Refund.select().count() == 1


def test_a_text_of_our_own_reversal_alarms_nobody_and_one_of_a_guests_does(box):
    text = MoneyText("reversal", "UC25T00098", "T6")
    assert witnesses.settle_text(IncomingText(), text, box.now) == "a reversal of money we do not know"
    for payment, is_ours in ((box.paid(), True), (box.paid(box.juma), False)):
        if is_ours:
            refunds.ask(payment, 2000, "reversal", None, box.now)
        outcome = witnesses.settle_text(IncomingText(), MoneyText("reversal", payment.receipt, "T6"), box.now)
        assert outcome == ("a refund that we asked for" if is_ours else "told staff of a reversal")
        assert len(box.events("payment.reversal_told")) == (0 if is_ours else 1)


def test_money_that_went_back_twice_is_a_loss_and_the_books_say_so(box):
    payment = box.paid()
    refunds.ask(payment, 2000, "cash", None, box.now)
    assert refunds.reverse(payment, "the guest reversed it too", box.now)
    assert sum(line.money_cents for line in LedgerEntry.select()) == -2000
    assert sum(line.sold_cents for line in LedgerEntry.select()) == -2000
    assert is_balanced()


def test_held_money_that_m_pesa_took_back_is_no_longer_held(box):
    row = receipts.note(Arrival("UC25T00099", 3000), "c2b", box.now)
    receipts.hold(row, "nobody's", box.now)
    assert refunds.reverse(row, "", box.now)
    assert (books.held_cents(), Receipt.get_by_id(row.id).state) == (0, "returned")


def test_a_reversal_of_what_only_a_text_told_was_never_in_the_books(box):
    payment = box.prompted()
    access.promise(payment, box.now, provisional=True)
    row = receipts.note(Arrival("UC25T00099", 2000), "sms", box.now)
    row.put(payment=payment)
    assert refunds.reverse(row, "a text", box.now)
    assert not refunds.reverse(row, "a text", box.now)
    assert LedgerEntry.select().count() == 0
    assert Grant.get(Grant.payment == payment).why_ended == "reversed"


def test_a_payment_that_never_was_paid_is_not_reversed(box):
    assert not refunds.reverse(box.prompted(), "", box.now)
    assert Refund.select().count() == 0


@pytest.mark.parametrize("told_by", ["query", "callback"])
def test_a_payment_whose_money_went_back_before_m_pesa_told_of_it_sells_nothing(box, told_by):
    payment = box.prompted()
    told = Arrival("UC2AAAAAA1", 2000, msisdn=box.asha, account=account_of(payment.id), paid_at=box.now)
    provisional.told_by_text(told, (), provisional.Caps(), box.now)
    assert refunds.reverse(receipts.find("UC2AAAAAA1"), "by the statement", box.now)
    if told_by == "query":
        box.answer(payment, "paid")
    else:
        box.call(payment, box.result(payment, receipt="UC2AAAAAA1"))
    payment = Payment.get_by_id(payment.id)
    assert (payment.state, payment.receipt, Grant.select().count()) == ("reversed", "UC2AAAAAA1", 0)
    assert (books.head()[0], is_balanced()) == (0, True)
    assert box.call(payment, box.result(payment, receipt="UC2AAAAAA1", result_desc="again")) == "already paid"
    assert all(row.left_cents >= 0 for row in Receipt.select())
