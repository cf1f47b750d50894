"""Access on a text's word: only while M-Pesa is silent, never more than the caps, and taken back when it denies."""

from datetime import timedelta

import pytest

from edge.domain import books, breakers, matching, payments, provisional, reports
from edge.models import Grant, Job, Message, Payment
from edge.pages.views import payment_view
from edge.values.account import account_of
from edge.values.arrival import Arrival
from tests.conftest import Box

CAPS = provisional.Caps(most_cents=5000, most_open=2)


def text(box: Box, payment: Payment, code: str = "UC2AAAAAA1", shillings: int = 20) -> Arrival:
    return Arrival(code, shillings * 100, msisdn=payment.msisdn, account=account_of(payment.id), paid_at=box.now)


@pytest.fixture
def silence(box):
    """M-Pesa did not answer so often that it is left alone."""
    for _ in range(20):
        breakers.note_failure("mpesa", "no answer", box.now)
    assert breakers.may_pass("mpesa", box.now)


def told(box: Box, payment: Payment, doubts: tuple[str, ...] = (), **more: object) -> str:
    outcome, _ = provisional.told_by_text(text(box, payment, **more), doubts, CAPS, box.now)
    return outcome


def grants() -> list[tuple[bool, str, str]]:
    return [(bool(one.provisional), one.state, one.why_ended) for one in Grant.select().order_by(Grant.id)]


def test_while_mpesa_answers_a_text_only_makes_us_ask(box):
    payment = box.prompted()
    assert told(box, payment).startswith("asking M-Pesa")
    assert provisional.open_unverified(payment.id, CAPS, box.now) == "M-Pesa answers: its word counts"
    assert (grants(), books.held_cents(), books.head()[0]) == ([], 0, 0)
    box.answer(payment, "paid")
    payment = Payment.get_by_id(payment.id)
    assert (payment.receipt, payment.state, grants()) == ("UC2AAAAAA1", "paid", [(False, "live", "")])


def test_a_shop_that_learns_late_of_the_silence_looks_again_for_a_quarter_of_an_hour(box):
    payment = box.prompted()
    told(box, payment)
    for minutes in (1, 14, 16):
        Job.update(state="done").execute()
        provisional.open_unverified(payment.id, CAPS, box.now + timedelta(minutes=minutes))
        again = [job.run_at for job in box.jobs("payment.unverified", "scheduled")]
        assert again == ([box.now + timedelta(minutes=minutes, seconds=30)] if minutes < 15 else [])
    for _ in range(breakers.FAILURES):
        breakers.note_failure("mpesa", "no answer", box.now)
    assert provisional.open_unverified(payment.id, CAPS, box.now + timedelta(minutes=16)) == "opened, unverified"


def test_while_mpesa_is_silent_a_text_lets_him_in_marked_and_nothing_is_booked(box, silence):
    payment = box.prompted()
    told(box, payment)
    assert [job.run_at for job in box.jobs("payment.unverified")] == [box.now]
    assert provisional.open_unverified(payment.id, CAPS, box.now) == "opened, unverified"
    assert (grants(), books.head()[0], Payment.get().state) == ([(True, "live", "")], 0, "prompted")
    assert Message.select().count() == 1
    assert provisional.open_unverified(payment.id, CAPS, box.now) == "it was let in before"


def test_who_was_let_in_on_a_texts_word_sees_his_code_and_staff_see_that_it_is_not_proven(box, silence):
    payment = box.prompted()
    told(box, payment)
    provisional.open_unverified(payment.id, CAPS, box.now)
    payment = Payment.get_by_id(payment.id)
    grant = Grant.get()
    assert payments.standing(payment, box.now).status == "paid"  # as after a payment: the router comes next
    assert payment_view(payment, box.now)["username"] == grant.username
    assert reports.sale(payment.id).status == "unverified"
    box.answer(payment, "failed", "1032")
    assert payments.standing(Payment.get_by_id(payment.id), box.now).status == "failed"
    assert payment_view(Payment.get_by_id(payment.id), box.now)["username"] is None


def test_when_mpesa_confirms_it_the_same_grant_stands_and_no_second_text_leaves(box, silence):
    payment = box.prompted()
    told(box, payment)
    provisional.open_unverified(payment.id, CAPS, box.now)
    box.answer(payment, "paid")
    assert (grants(), Message.select().count(), books.head()[0]) == ([(False, "live", "")], 1, 1)


def test_when_mpesa_denies_it_access_ends(box, silence):
    payment = box.prompted()
    told(box, payment)
    provisional.open_unverified(payment.id, CAPS, box.now)
    box.answer(payment, "failed", "1032")
    assert grants() == [(True, "ended", "unverified")]
    assert box.events("payment.not_verified")
    assert box.call(payment) == "paid"  # and if it was M-Pesa that erred, he is let in again
    assert [grant[1] for grant in grants()] == ["ended", "live"]


def test_nobody_confirmed_it_for_a_day(box, silence):
    payment = box.prompted()
    told(box, payment)
    provisional.open_unverified(payment.id, CAPS, box.now)
    assert provisional.withdraw_stale(box.now + timedelta(hours=23)) == 0
    assert provisional.withdraw_stale(box.now + timedelta(hours=25)) == 1
    assert grants() == [(True, "ended", "unverified")]


def test_abuse_17_a_spoofed_text_wins_at_most_the_caps(box, silence):
    for number in range(4):
        payment = box.prompted(f"25471200000{number}")
        told(box, payment, code=f"UC2AAAAAB{number}")
        provisional.open_unverified(payment.id, CAPS, box.now)
    assert len(grants()) == 2
    dear = provisional.Caps(most_cents=1999, most_open=9)
    assert provisional.open_unverified(4, dear, box.now) == "dearer than a text may open"
    assert provisional.open_unverified(4, provisional.Caps(), box.now) == "dearer than a text may open"


def test_a_doubtful_text_and_a_wrong_amount_open_nothing(box, silence):
    payment = box.prompted()
    told(box, payment, doubts=("another service centre",))
    assert box.jobs("payment.unverified") == []
    other = box.prompted(box.juma)
    told(box, other, code="UC2AAAAAA2", shillings=25)
    assert provisional.open_unverified(other.id, CAPS, box.now) == "no text tells of this amount"
    assert grants() == []


def test_a_text_of_money_that_the_books_have_is_one_more_witness(box):
    payment = box.paid()
    again = Arrival(payment.receipt, 2000, account=account_of(payment.id), paid_at=box.now)
    outcome, row = provisional.told_by_text(again, (), CAPS, box.now)
    assert (outcome, row.witnesses) == (f"known already: payment {payment.id}", ["callback", "sms"])


def test_money_held_for_want_of_a_number_finds_its_guest_by_the_texts(box):
    box.prompted("254712000678"), box.prompted("254713000678")
    masked = Arrival("UC2AAAAAA1", 2000, payer_shape="2547 ***** 678", paid_at=box.now)
    assert matching.arrive(masked, "c2b", box.now).startswith("held")
    full = Arrival("UC2AAAAAA1", 2000, msisdn="254713000678", paid_at=box.now)
    assert provisional.told_by_text(full, ("a doubt",), CAPS, box.now)[0] == "known already: held"
    outcome, _ = provisional.told_by_text(full, (), CAPS, box.now)
    assert (outcome, books.held_cents(), books.head()[0]) == ("paid: payment 2", 0, 2)
