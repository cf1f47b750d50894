"""Credits: two sides to every movement, nothing twice, and never more than there are."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import DatabaseError

from edge.domain import credits
from edge.domain.credits import Cause
from edge.errors import BadInput
from edge.sms_models import CreditAccount, CreditEntry
from tests.conftest import NOW, Box


def figures() -> tuple[int, int, int, int]:
    told = credits.balance()
    return told.available, told.reserved, told.spent, told.issued


def test_a_text_is_paid_for_in_two_steps(box: Box) -> None:
    credits.top_up(10, "from Njeri", None, NOW)
    credits.reserve(3, Cause("reserve:1", "reserve"), NOW)
    assert figures() == (7, 3, 0, 10)
    assert credits.spend(2, Cause("settle:1:0", "spend"), NOW)
    assert credits.release(1, Cause("settle:2:0", "release"), NOW)
    assert figures() == (8, 0, 2, 10)
    assert credits.refund(2, Cause("refund:1:0", "refund"), NOW)
    assert figures() == (10, 0, 0, 10)
    assert credits.verify() == []


def test_the_same_cause_is_booked_once(box: Box) -> None:
    credits.top_up(10, "", None, NOW)
    credits.reserve(3, Cause("reserve:1", "reserve"), NOW)
    credits.reserve(3, Cause("reserve:1", "reserve"), NOW)
    assert credits.spend(3, Cause("settle:1:0", "spend"), NOW)
    assert not credits.release(3, Cause("settle:1:0", "release"), NOW)
    assert figures() == (7, 0, 3, 10)


def test_the_last_credit_may_be_used_and_not_one_more(box: Box) -> None:
    credits.top_up(5, "", None, NOW)
    with pytest.raises(credits.Short) as told:
        credits.reserve(6, Cause("reserve:1", "reserve"), NOW)
    assert (told.value.needed, told.value.available) == (6, 5)
    assert "6 credits" in str(told.value)
    credits.reserve(5, Cause("reserve:2", "reserve"), NOW)
    assert figures() == (0, 5, 0, 5)


def test_nobody_can_give_back_what_was_never_spent(box: Box) -> None:
    credits.top_up(5, "", None, NOW)
    with pytest.raises(credits.Short):
        credits.refund(1, Cause("refund:1:0", "refund"), NOW)
    assert credits.verify() == []


def test_every_line_tells_what_was_left_after_it(box: Box) -> None:
    credits.top_up(10, "", None, NOW)
    credits.reserve(4, Cause("reserve:1", "reserve", "Easter"), NOW)
    credits.correct(-1, "Counted wrong", None, NOW)
    assert [(line.why, line.amount, line.available) for line in credits.statement()] == [
        ("correction", 1, 5), ("reserve", 4, 6), ("top-up", 10, 10)
    ]  # fmt: skip


@pytest.mark.parametrize("amount", [0, -1, credits.MOST + 1])
def test_a_top_up_is_a_sane_number(box: Box, amount: int) -> None:
    with pytest.raises(BadInput):
        credits.top_up(amount, "", None, NOW)


def test_a_correction_needs_its_reason(box: Box) -> None:
    with pytest.raises(BadInput, match="why"):
        credits.correct(5, " ", None, NOW)


def test_a_line_is_never_changed_or_removed(box: Box) -> None:
    credits.top_up(10, "", None, NOW)
    for harm in (CreditEntry.update(amount=1000), CreditEntry.delete()):
        with pytest.raises(DatabaseError, match="only added to"):
            harm.execute()


def test_a_balance_that_somebody_changed_is_found(box: Box) -> None:
    credits.top_up(10, "", None, NOW)
    CreditAccount.update(balance=1000).where(CreditAccount.name == "available").execute()
    assert any("available" in fault for fault in credits.verify())


def test_twenty_at_once_never_take_more_than_there_is(box: Box, shared_writer: object) -> None:
    credits.top_up(50, "", None, NOW)
    refused: list[int] = []

    def take(number: int) -> None:
        try:
            credits.reserve(4, Cause(f"reserve:{number}", "reserve"), NOW)
        except credits.Short:
            refused.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 8
    assert figures() == (2, 48, 0, 50)
    assert credits.verify() == []


moves = st.lists(
    st.tuples(st.sampled_from(["top_up", "reserve", "spend", "release", "refund", "correct"]), st.integers(1, 30),
              st.integers(0, 5)), max_size=40,
)  # fmt: skip


@given(moves)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_every_account_is_the_sum_of_its_lines(box: Box, steps: list[tuple[str, int, int]]) -> None:
    for kind, amount, number in steps:
        try:
            if kind == "top_up":
                credits.top_up(amount, "", None, NOW)
            elif kind == "correct":
                credits.correct(-amount, "a test", None, NOW)
            else:
                getattr(credits, kind)(amount, Cause(f"{kind}:{number}:{amount}", kind), NOW)
        except credits.Short:
            pass
        told = credits.balance()
        assert min(told.available, told.reserved, told.spent) >= 0
        assert told.available + told.reserved + told.spent == told.issued
    assert credits.verify() == []
