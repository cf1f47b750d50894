"""The owner's page of held money: why it waits, and the two ways it can go."""

import pytest

from edge.domain import matching, receipts
from edge.models import Payment
from edge.money_models import LedgerEntry, Refund
from edge.values.arrival import Arrival
from edge.web import build
from tests import shop
from tests.web_client import Browser


@pytest.fixture
def owner(tmp_path):
    with shop.opened(tmp_path) as told:
        browser = Browser(build(told))
        browser.sign_in("Njeri")
        matching.arrive(Arrival("UC2AAAAAA1", 3300, payer_shape="2547 ***** 678", account="RENT"), "c2b", shop.NOW)
        yield browser


def test_held_money_is_shown_with_its_reason_and_sold_to_its_guest(owner):
    page = owner.get("/admin/money").text
    assert all(words in page for words in ("KSh 33", "UC2AAAAAA1", "RENT", "2547"))
    [row] = receipts.held()
    form = {"plan": "1", "phone": "0712345678", "left": "3300"}
    wrong = owner.post(f"/admin/money/{row.id}/give", form | {"phone": "12"})
    assert (wrong.status, "0712 345 678" in wrong.text) == (400, True)
    for expected in (303, 400):  # pressed twice, sold once
        assert owner.post(f"/admin/money/{row.id}/give", form).status == expected
    assert (Payment.get().state, receipts.held()[0].left_cents) == ("paid", 1300)


def test_held_money_goes_back_in_cash_once(owner):
    [row] = receipts.held()
    for expected in (303, 400):
        assert owner.post(f"/admin/money/{row.id}/back", {"how": "cash"}).status == expected
    assert ([one.state for one in Refund.select()], receipts.held()) == (["done"], [])
    assert sum(line.money_cents for line in LedgerEntry.select()) == 0
