"""Held money by command: listed with its reason, and given to its guest."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from edge.__main__ import edge
from edge.domain import matching
from edge.values.arrival import Arrival
from tests import shop


@pytest.fixture
def state(tmp_path):
    with shop.opened(tmp_path):
        matching.arrive(Arrival("UC2AAAAAA1", 3300, payer_shape="2547 ***** 678"), "c2b", datetime.now(UTC))
    return tmp_path


def run(state, *words):
    done = CliRunner().invoke(edge, ["--state", str(state), *words])
    return done.exit_code, done.output


def test_held_money_is_listed_given_and_gone(state):
    code, told = run(state, "payment", "held")
    assert (code, "UC2AAAAAA1" in told, "KSh 33" in told) == (0, True, True)
    assert run(state, "payment", "give", "uc2aaaaaa1", "1", "0712345678")[0] == 0
    held = json.loads(run(state, "payment", "held", "--json")[1])["held"]
    assert [(row["receipt"], row["left"]) for row in held] == [("UC2AAAAAA1", 13)]


def test_an_unknown_receipt_and_too_little_are_told_in_words(state):
    code, told = run(state, "payment", "give", "UC2ZZZZZZ9", "1", "0712345678")
    assert (code, "No money came under this receipt" in told) == (1, True)
    code, told = run(state, "payment", "give", "UC2AAAAAA1", "9", "0712345678")
    assert (code, "no plan 9" in told) == (1, True)


def test_held_money_is_given_back_by_its_receipt(state):
    code, told = run(state, "payment", "refund", "UC2AAAAAA1")
    assert (code, "KSh 33 of held receipt UC2AAAAAA1: done" in told) == (0, True)
    assert "No money is waiting" in run(state, "payment", "held")[1]
