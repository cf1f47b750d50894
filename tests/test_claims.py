"""`I already paid`: the payer finds his purchase by receipt or phone, and nobody finds anybody else's."""

from dataclasses import replace

import pytest

from edge.domain import claims, matching, receipts, witnesses
from edge.errors import BadInput, TooMany
from edge.models import Message, Payment
from edge.money_models import OrgRequest
from edge.values.arrival import Arrival
from tests.conftest import Box

TILL = "2547 ***** 678"


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    monkeypatch.setattr(witnesses, "rules", witnesses.Rules())


def who(msisdn: str, client: str = "10.5.50.7") -> claims.Claimant:
    return claims.Claimant(msisdn, client, "AA:BB:CC:DD:EE:01")


def arrived(box: Box, shillings: int = 20, code: str = "UC2AAAAAA1", **told: object) -> None:
    matching.arrive(Arrival(code, shillings * 100, paid_at=box.now, **told), "c2b", box.now)


def test_the_payer_finds_his_purchase_however_he_types_the_receipt(box):
    payment = box.paid()
    claim = claims.by_receipt(f" {payment.receipt[:4].lower()} {payment.receipt[4:]} ", who(box.asha), box.now)
    assert (claim.kind, claim.payment) == ("his", payment)


def test_abuse_12_another_phone_and_an_unknown_receipt_learn_the_same_nothing(box):
    payment = box.paid()
    for typed in (payment.receipt, "UC2ZZZZZZ9"):
        claim = claims.by_receipt(typed, who(box.juma), box.now)
        assert (claim.kind, claim.payment) == ("unknown", None)


def test_who_guesses_receipts_has_to_wait_and_nobody_else(box):
    payment = box.paid()
    with pytest.raises(TooMany):
        for number in range(60):
            claims.by_receipt(f"UC2ZZZZ{number:03}", who(box.juma), box.now)
    assert claims.by_receipt(payment.receipt, who(box.asha, "10.5.50.8"), box.now).kind == "his"


@pytest.mark.parametrize("typed", ["", "hello", "12345", "UC2AAAAAA1AAAAAAA"])
def test_what_is_no_receipt_is_told_in_words(box, typed):
    with pytest.raises(BadInput, match="receipt"):
        claims.by_receipt(typed, who(box.asha), box.now)


def test_held_money_of_a_plans_price_becomes_his_by_the_receipt_and_a_phone_that_fits(box):
    box.prompted("254713345678"), box.prompted("254712345678")  # two could be meant
    arrived(box, payer_shape=TILL)
    assert receipts.held()
    assert claims.by_receipt("UC2AAAAAA1", who("254722000111"), box.now).kind == "unknown"
    claim = claims.by_receipt("UC2AAAAAA1", who(box.asha), box.now)
    assert (claim.kind, claim.payment.msisdn, claim.payment.state) == ("his", box.asha, "paid")
    assert (receipts.held(), claims.by_receipt("UC2AAAAAA1", who(box.asha), box.now).kind) == ([], "his")


def test_held_money_that_fits_no_plan_is_told_to_the_staff(box):
    arrived(box, shillings=33, payer_shape=TILL)
    assert claims.by_receipt("UC2AAAAAA1", who(box.asha), box.now).kind == "held"
    assert box.events("payment.claimed")[0]["receipt"] == "UC2AAAAAA1"


def test_an_unknown_receipt_has_mpesa_asked_about_his_checkout_and_where_it_can_be_about_the_receipt(box):
    payment = box.prompted()
    assert claims.by_receipt("UC2AAAAAA1", who(box.asha), box.now).kind == "asking"
    assert [job.args["payment_id"] for job in box.jobs("payment.ask") if job.unique_key == f"hint:{payment.id}"]
    assert OrgRequest.select().count() == 0
    witnesses.rules = replace(witnesses.rules, can_ask_by_receipt=True)
    assert claims.by_receipt("UC2AAAAAA2", who(box.juma, "10.5.50.9"), box.now).kind == "asking"
    assert [(one.kind, one.code) for one in OrgRequest.select()] == [("status", "UC2AAAAAA2")]


def test_by_phone_the_code_goes_to_that_phone_once_in_a_while(box):
    box.paid()
    box.after(minutes=10)
    for _ in range(3):
        claims.by_phone(who(box.asha), box.now)
    assert [text.msisdn for text in Message.select()] == [box.asha, box.asha]  # the receipt's, and one more
    claims.by_phone(who(box.juma), box.now)
    assert (Message.select().count(), Payment.select().count()) == (2, 1)
