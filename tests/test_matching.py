"""Money that arrives by itself finds its guest, once, whichever witness tells of it first."""

import hashlib
from datetime import timedelta

import pytest

from edge.domain import books, inbox, matching, org_requests, payments, receipts
from edge.models import Grant, Message, Payment, Plan
from edge.money_models import LedgerEntry, Receipt
from edge.pages.views import payment_view
from edge.values.account import account_of, read_account
from edge.values.arrival import Arrival
from edge.values.org_api import C2bNotice
from tests.conftest import Box


def money(box: Box, shillings: int = 20, code: str = "UC2AAAAAA1", **told: object) -> Arrival:
    return Arrival(code, shillings * 100, **{"paid_at": box.now, **told})


def kinds() -> list[tuple[str, int, int]]:
    rows = LedgerEntry.select().order_by(LedgerEntry.sequence)
    return [(row.kind, row.money_cents // 100, row.sold_cents // 100) for row in rows]


def fresh(payment: Payment) -> Payment:
    return Payment.get_by_id(payment.id)


@pytest.mark.parametrize("number", [1, 12, 407, 1_000_000, 9_999_999])
def test_an_account_is_read_as_it_is_typed_and_a_mistyped_digit_is_no_account(number):
    account = account_of(number)
    assert len(account) <= 12
    assert read_account(f" {account[:4].lower()} {account[4:]} ") == read_account(account[4:]) == number
    for place in range(4, len(account) - 1):
        for digit in "0123456789":
            if digit != account[place]:
                assert read_account(account[:place] + digit + account[place + 1 :]) != number
    swapped = account[:4] + account[4:-1][::-1] + account[-1]
    assert read_account(swapped) in (None, number)


def test_money_with_the_payments_account_opens_it_and_a_repeat_changes_nothing(box):
    payment = box.pending()
    told = money(box, account=account_of(payment.id), payer_shape="2547 ***** 678")
    assert matching.arrive(told, "c2b", box.now) == f"paid: payment {payment.id}"
    assert matching.arrive(told, "c2b", box.now) == f"known already: payment {payment.id}"
    assert (fresh(payment).state, fresh(payment).receipt, fresh(payment).witness) == ("paid", told.code, "c2b")
    assert (Grant.select().count(), Message.select().count(), kinds()) == (1, 1, [("sale", 20, 20)])


def test_callback_and_confirmation_of_one_checkout_are_one_sale_in_either_order(box):
    for first in ("callback", "c2b"):
        payment = box.prompted(msisdn=box.asha if first == "c2b" else box.juma)
        result = box.result(payment)
        told = money(box, code=result.receipt, account=account_of(payment.id))
        if first == "callback":
            assert box.call(payment, result) == "paid"
        matching.arrive(told, "c2b", box.now)
        if first == "c2b":
            assert box.call(payment, result) == "already paid"
        assert receipts.find(result.receipt).witnesses == [first, {"c2b": "callback", "callback": "c2b"}[first]]
    assert kinds() == [("sale", 20, 20)] * 2
    assert Grant.select().count() == 2


def test_a_sale_that_only_the_question_told_learns_its_receipt_days_late(box):
    payment = box.prompted()
    box.answer(payment, "paid")
    paid_at = box.now
    box.after(days=3)
    told = money(box, account=account_of(payment.id), paid_at=paid_at)
    assert matching.arrive(told, "c2b", box.now) == f"the receipt of payment {payment.id}"
    assert (fresh(payment).receipt, kinds()) == (told.code, [("sale", 20, 20)])
    assert receipts.find(told.code).left_cents == 0


def test_a_till_without_accounts_matches_by_amount_and_number_however_it_is_hidden(box):
    shapes = {"254712000001": "2547 ***** 001", "254712000002": hashlib.sha256(b"254712000002").hexdigest()}
    for number, (msisdn, shape) in enumerate(shapes.items()):
        payment = box.prompted(msisdn)
        told = money(box, code=f"UC2AAAAAB{number}", payer_shape=shape)
        assert matching.arrive(told, "c2b", box.now) == f"paid: payment {payment.id}"


def test_when_two_guests_could_be_meant_a_person_decides(box):
    box.prompted("254712000678"), box.prompted("254713000678")
    assert matching.arrive(money(box, payer_shape="2547 ***** 678"), "c2b", box.now).startswith("held: no one")
    assert (kinds(), books.held_cents()) == ([("held", 20, 0)], 2000)
    [row] = receipts.held()
    sold = matching.give_to(row, Plan.get_by_id(1), "254713000678", box.now)
    assert (sold.state, sold.receipt, books.held_cents()) == ("paid", row.code, 0)
    assert kinds() == [("held", 20, 0), ("allotted", 0, 20)]


def test_whose_money_did_not_fit_is_told_so_on_his_page_and_led_on_to_what_a_person_gave_him(box):
    asked = matching.by_hand(
        Plan.get_by_id(1), box.asha, box.now, mac="AA:BB:CC:DD:EE:01", context={"ip": "10.5.50.9"}, cents=5000
    )
    matching.arrive(money(box, account=account_of(asked.id), msisdn=box.asha), "c2b", box.now)
    assert "KSh 20 came" in payment_view(asked, box.now)["message"]
    [row] = receipts.held()
    sold = matching.give_to(row, Plan.get_by_id(1), box.asha, box.now)
    assert (sold.mac, sold.context) == (asked.mac, asked.context)
    assert Payment.get_by_id(asked.id).context["instead"] == sold.token


def test_money_that_is_given_to_another_phone_is_not_shown_to_who_asked(box):
    asked = matching.by_hand(Plan.get_by_id(1), box.asha, box.now, cents=5000)
    matching.arrive(money(box, account=account_of(asked.id), msisdn=box.asha), "c2b", box.now)
    [row] = receipts.held()
    sold = matching.give_to(row, Plan.get_by_id(1), box.juma, box.now)
    assert (sold.context, Payment.get_by_id(asked.id).context) == ({}, {})


def test_a_payer_who_never_opened_the_page_is_sold_the_one_plan_of_that_price(box):
    assert matching.arrive(money(box, msisdn=box.asha), "c2b", box.now) == "paid: payment 1"
    assert Message.get().msisdn == box.asha
    assert matching.arrive(money(box, 33, "UC2AAAAAA2", msisdn=box.asha), "c2b", box.now).startswith("held")


def test_his_phone_number_typed_as_the_account_is_enough(box):
    told = money(box, payer_shape="2547 ***** 000", account="0712 345 678")
    assert matching.arrive(told, "c2b", box.now) == "paid: payment 1"
    assert Payment.get().msisdn == box.asha


def test_the_account_of_a_paid_purchase_used_again_buys_the_same_again(box):
    payment = box.paid()
    told = money(box, account=account_of(payment.id))
    assert matching.arrive(told, "c2b", box.now) == f"paid: payment {payment.id + 1}"
    assert [one.state for one in Payment.select()] == ["paid", "paid"]
    assert kinds() == [("sale", 20, 20)] * 2


def test_too_little_is_held_by_the_first_rule_and_nothing_is_lost(box):
    payment = box.prompted()
    outcome = matching.arrive(money(box, 15, account=account_of(payment.id)), "c2b", box.now)
    assert outcome == "held: KSh 15 came for payment 1, which costs KSh 20"
    assert (fresh(payment).state, books.held_cents()) == ("prompted", 1500)


def test_the_nearest_plan_below_is_sold_by_the_second_and_the_rest_is_held(box):
    Plan.create(id=2, name="half", price_cents=1000, seconds=1800)
    payment = box.prompted()
    matching.arrive(money(box, 15, account=account_of(payment.id)), "c2b", box.now, "nearest")
    sold = Payment.get(Payment.plan == 2)
    assert (sold.state, sold.msisdn, books.held_cents()) == ("paid", box.asha, 500)
    assert fresh(payment).context["instead"] == sold.token
    assert receipts.held()[0].words == "KSh 5 more than the price"


def test_by_the_third_parts_add_up_and_what_is_over_stays_credit(box):
    payment = box.prompted()
    account = account_of(payment.id)
    assert matching.arrive(money(box, 15, account=account), "c2b", box.now, "credit").startswith("held: KSh 5 still")
    assert matching.arrive(money(box, 8, "UC2AAAAAA2", account=account), "c2b", box.now, "credit").startswith("paid")
    assert (fresh(payment).state, books.held_cents(), Grant.select().count()) == ("paid", 300, 1)


def test_money_that_came_twice_for_one_purchase_is_held_and_shown(box):
    payment = box.prompted()
    matching.arrive(money(box, account=account_of(payment.id)), "c2b", box.now)
    assert box.call(payment) == "already paid"  # he typed his PIN as well
    assert [row.words for row in receipts.held()] == [f"payment {payment.id} was paid already, with UC2AAAAAA1"]
    assert (books.held_cents(), Grant.select().count()) == (2000, 1)


def test_two_witnesses_who_differ_about_the_amount_are_told_of(box):
    matching.arrive(money(box, 33), "c2b", box.now)
    matching.arrive(money(box, 44), "statement", box.now)
    assert box.events("receipt.disputed")[0]["words"] == "KSh 33 in the books, KSh 44 by statement"
    assert books.held_cents() == 3300


def notice(box: Box, **told: object) -> C2bNotice:
    given = {
        "receipt": "UC2AAAAAA1", "amount_cents": 2000, "at": box.now, "short_code": "600984", "account": "",
        "msisdn": None, "msisdn_shape": "2547 ***** 678", "payer_name": "ASHA", "kind": "Pay Bill",
    }  # fmt: skip
    return C2bNotice(**{**given, **told})


def test_a_confirmation_at_the_shops_own_address_counts_and_elsewhere_it_is_nobodys(box):
    secret = org_requests.c2b_secret(box.now)
    payment = box.prompted()
    told = notice(box, account=account_of(payment.id))
    call = inbox.Call(f"/cb/{secret}/c2b/confirmation", "196.201.214.200", {}, b"{1}", told, kind="c2b")
    assert inbox.receive_confirmation("0" * 40, call, box.now) is None
    assert inbox.receive_confirmation(secret, call, box.now) in (f"paid: payment {payment.id}", "kept")
    assert inbox.receive_confirmation(secret, call, box.now).startswith("repeat")
    assert payments.by_token(payment.token).state == "paid"


def test_another_shops_money_and_a_source_off_the_list_credit_nobody(box):
    secret = org_requests.c2b_secret(box.now)
    ours = frozenset({"174379"})
    for number, more in enumerate(({"shops": ours}, {"trusted_source": False})):
        call = inbox.Call(
            f"/cb/{secret}/c2b/confirmation", "1.2.3.4", {}, bytes([number]), notice(box), kind="c2b", **more
        )
        inbox.receive_confirmation(secret, call, box.now)
    assert (Receipt.select().count(), LedgerEntry.select().count()) == (0, 0)


def test_old_checkouts_are_not_found_by_amount_and_number(box):
    box.prompted()
    box.after(days=2)
    assert matching.arrive(money(box, payer_shape="2547 ***** 678"), "c2b", box.now + timedelta(0)).startswith("held")
