"""What guests and strangers set in motion looks at a few rows, however many payments the database holds."""

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from edge import database
from edge.domain import (
    claims,
    counter,
    guest_codes,
    inbox,
    matching,
    org_requests,
    payments,
    provisional,
    receipts,
    vouchers,
)
from edge.errors import BadInput
from edge.models import Payment, Plan
from edge.values.arrival import Arrival
from edge.values.stk import QueryAnswer

MAC = "AC:DE:48:00:00:07"


@pytest.fixture
def reads(monkeypatch):
    """Does something, and returns what of it read a whole table, or all of one's rows in some state."""

    def run(*acts):
        asked, ask = [], database.db.obj.execute_sql

        def spy(words, params=None, *more):
            asked.append((words, params or ()))
            return ask(words, params, *more)

        monkeypatch.setattr(database.db.obj, "execute_sql", spy)
        for act in acts:
            with contextlib.suppress(BadInput):
                act()
        monkeypatch.undo()
        found = {}
        for words, params in asked:
            if words.startswith(("SELECT", "UPDATE", "DELETE")):
                steps = [row[3] for row in ask(f"EXPLAIN QUERY PLAN {words}", params).fetchall()]
                found.setdefault(words, [step for step in steps if _is_whole(step, words)])
        return {words: steps for words, steps in found.items() if steps}

    return run


def _is_whole(step, words):
    """Indexes of what is open, held or unverified are short; the newest row is at the end."""
    if step == "SCAN CONSTANT ROW" or step.endswith(("_open", "_held", "_unverified", "_sent")):
        return False
    is_small = any(f'"{name}"' in words for name in ("plans", "routers", "breakers", "trials"))
    by_a_few = ("(paid_at=?)", "receipts_provider_code (provider=?)", "inbox_payment_id (payment_id=?)")
    return (step.startswith("SCAN") and not is_small and "ORDER BY sequence DESC LIMIT 1" not in words) or any(
        index in step for index in by_a_few
    )


def test_nothing_that_a_guest_or_a_stranger_does_reads_a_whole_table(box, reads):
    told = Arrival("UC2AAAAAA1", 3300, payer_shape="2547 ***** 678", paid_at=box.now)
    first, second = box.prompted(), box.prompted(box.juma)
    voucher = vouchers.sell_new(Plan.get(), None, None, box.now)
    who = claims.Claimant(box.asha, "10.5.50.9", MAC)
    assert reads(
        lambda: payments.initiate(box.wish(box.njeri, MAC, idempotency_key="k"), box.now),
        lambda: payments.expire_if_due(box.now),
        lambda: matching.arrive(told, "c2b", box.now),
        lambda: matching.arrive(replace(told, code="UC2AAAAAA2", amount_cents=2000), "c2b", box.now),
        lambda: payments.record_answer(second.id, QueryAnswer("paid", "0", "paid"), (10,), box.now),
        lambda: payments.standing(Payment.get_by_id(first.id), box.now),
        lambda: claims.by_receipt("UC2AAAAAA1", who, box.now),
        lambda: claims.by_receipt("UC2ZZZZZZ1", who, box.now),
        lambda: claims.by_phone(who, box.now + timedelta(hours=1)),
        lambda: org_requests.promise_status("UC2ZZZZZZ1", box.now),
        lambda: org_requests.expire_if_due(box.now),
        lambda: vouchers.redeem(voucher.code, MAC, "10.5.50.9", {}, box.now),
        lambda: vouchers.redeem("ABCDEFGH2", MAC, "10.5.50.9", {}, box.now),
        lambda: guest_codes.prove("ABCDEFGH2", "1234", "10.5.50.9", "", box.now),
        lambda: counter.look_up("ABCDEFGH2"),
        lambda: counter.look_up("UC2AAAAAA1"),
        lambda: (receipts.held(), provisional.unverified()),
        lambda: inbox._forget_strangers(100),
    ) == {}  # fmt: skip
