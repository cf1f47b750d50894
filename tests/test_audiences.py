"""Whom a campaign is for: guests by plan, last visit, spending and router; lists; numbers as typed."""

import time
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest

from edge.database import db
from edge.domain import audiences, sms_lists
from edge.errors import BadInput
from edge.models import Grant, Plan, Router
from edge.network_models import Session
from tests.conftest import NOW, Box

ASHA, JUMA, NJERI = "254712345678", "254722000111", "254733000222"


def whom(audience: dict[str, Any], box: Box) -> dict[str, dict[str, str]]:
    checked = audiences.check(audience)
    found = list(audiences.people(checked, box.now))
    assert audiences.count(checked, box.now) == len(found) == len(dict(found))  # each number once
    return dict(found)


def guest(msisdn: str, days_ago: float = 0, plan: int = 1, **more: Any) -> Grant:
    at = NOW - timedelta(days=days_ago)
    place = Grant.select().count()
    return Grant.create(
        plan=plan, msisdn=msisdn, username=f"U{place}", password="x", seconds=3600, created_at=at, starts_at=at, **more
    )


def stay(grant: Grant, router: Router, days_ago: float) -> None:
    at = NOW - timedelta(days=days_ago)
    times = {"started_at": at, "seen_at": at, "ended_at": at}
    Session.create(key=f"k{grant.id}", source="router", router=router, grant=grant, **times)


def test_everybody_who_was_let_in_or_paid_is_a_guest_once(box: Box) -> None:
    box.paid(ASHA)
    box.paid(ASHA, mac="AA:BB:CC:DD:EE:02")
    guest(JUMA, why="voucher")
    guest("", why="gift")
    guest("2547 ***** 126")
    box.pending(NJERI)  # he never paid
    assert sorted(whom({"kind": "all"}, box)) == [ASHA, JUMA]


def test_a_guest_comes_with_what_may_stand_in_a_text(box: Box) -> None:
    Plan.create(id=2, name="1 day", price_cents=10000, seconds=86400)
    box.paid(ASHA)
    guest(ASHA, days_ago=-1, plan=2)
    values = whom({"kind": "guests"}, box)[ASHA]
    assert values == {"phone": "0712345678", "plan": "1 day", "last_visit": "3 Mar", "spent": "KSh 20", "visits": "2"}
    assert set(values) == set(audiences.names({"kind": "all"})) == set(audiences.names({"kind": "guests"}))


def test_guests_are_chosen_by_plan_by_visit_and_by_spending(box: Box) -> None:
    Plan.create(id=2, name="1 day", price_cents=10000, seconds=86400)
    box.paid(ASHA)
    guest(JUMA, days_ago=40, plan=2)
    guest(NJERI, days_ago=10)
    guest(NJERI, days_ago=90, plan=2)
    for wanted, found in (
        ({"plan_ids": [2]}, {JUMA, NJERI}), ({"plan_ids": [1, 2]}, {ASHA, JUMA, NJERI}),
        ({"seen_within_days": 30}, {ASHA, NJERI}), ({"not_seen_for_days": 30}, {JUMA}),
        ({"not_seen_for_days": 7, "seen_within_days": 30}, {NJERI}), ({"spent_at_least_cents": 2000}, {ASHA}),
        ({"spent_at_least_cents": 2001}, set()), ({"plan_ids": [2], "seen_within_days": 30}, {NJERI}),
    ):  # fmt: skip
        assert set(whom({"kind": "guests", **wanted}, box)) == found, wanted


def test_guests_are_chosen_by_the_router_they_paid_or_stayed_at(box: Box, gate: Router, attic: Router) -> None:
    guest(ASHA, router=gate)
    stay(guest(JUMA, days_ago=5), gate, days_ago=2)
    stay(guest(NJERI), attic, days_ago=0)
    assert set(whom({"kind": "guests", "router_ids": [gate.id]}, box)) == {ASHA, JUMA}
    found = whom({"kind": "guests", "seen_within_days": 3}, box)
    assert found[JUMA]["last_visit"] == "28 Feb"  # when he was seen, not when he bought


def test_numbers_are_read_sealed_and_each_is_there_once(box: Box) -> None:
    checked = audiences.check({"kind": "numbers", "numbers": ["0712 345 678", "+254712345678", "+44 7911 123456"]})
    assert all(number.startswith("n1:") for number in checked["numbers"])
    assert audiences.check(checked) == checked
    assert audiences.typed_numbers(checked) == [ASHA, "447911123456"]
    assert whom(checked, box) == {ASHA: {"phone": "0712345678"}, "447911123456": {"phone": "+447911123456"}}


def test_a_list_is_an_audience_with_its_own_placeholders(box: Box) -> None:
    row = sms_lists.add("Regulars", b"phone,name\n0712345678,Asha\n", "", None, NOW).row
    audience = {"kind": "list", "list_id": row.id}
    assert audiences.names(audience) == ("phone", "name")
    assert whom(audience, box) == {ASHA: {"phone": "0712345678", "name": "Asha"}}


@pytest.mark.parametrize(
    ("audience", "field", "words"),
    [
        ({}, "audience", "one of"), ({"kind": "nobody"}, "audience", "one of"),
        ({"kind": "list"}, "list_id", "Choose a list"), ({"kind": "list", "list_id": 7}, "list_id", "no list 7"),
        ({"kind": "list", "list_id": "7; DROP"}, "list_id", "whole number"),
        ({"kind": "numbers"}, "numbers", "at least one"), ({"kind": "numbers", "numbers": "0712"}, "numbers", "list"),
        ({"kind": "numbers", "numbers": [ASHA, "x", 7, "020 2222222", ""]}, "numbers", r"x \(number 2\).*1 more"),
        ({"kind": "numbers", "numbers": ["0712345678"] * 5_001}, "numbers", "At most 5,000"),
        ({"kind": "guests", "plan_ids": [1, 9]}, "plan_ids", "no plan 9"),
        ({"kind": "guests", "plan_ids": ["1 OR 1=1"]}, "plan_ids", "numbers"),
        ({"kind": "guests", "router_ids": [3]}, "router_ids", "no router 3"),
        ({"kind": "guests", "seen_within_days": -1}, "seen_within_days", "whole number"),
        ({"kind": "guests", "spent_at_least_cents": 1.5}, "spent_at_least_cents", "whole number"),
        ({"kind": "guests", "seen_within_days": 7, "not_seen_for_days": 7}, "not_seen_for_days", "Nobody"),
    ],
)  # fmt: skip
def test_what_is_no_audience_is_refused_and_the_part_is_named(
    box: Box, audience: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words) as reason:
        audiences.check(audience)
    assert reason.value.field == field


def test_only_known_parts_of_an_audience_are_kept(box: Box) -> None:
    kept = audiences.check({"kind": "all", "plan_ids": [1], "rest": "x"})
    assert kept == {"kind": "all"}


def test_a_hundred_thousand_guests_take_little_memory(box: Box) -> None:
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
    db.execute_sql(
        "INSERT INTO grants (plan_id, why, msisdn, mac, username, password, seconds, rate, devices, credited_s, "
        f"metered, state, why_ended, provisional, created_at) {rows} SELECT 1, 'gift', '2547' || (10000000 + i), '', "
        "'G' || i, 'x', 60, '', 1, 0, 0, 'live', '', 0, ? FROM n",
        (NOW.timestamp(),),
    )
    audience = audiences.check({"kind": "guests", "plan_ids": [1], "seen_within_days": 30})
    begun = time.monotonic()
    assert audiences.count(audience, NOW) == 100_000
    assert time.monotonic() - begun < 30  # 2 s on an idle machine
    tracemalloc.start()
    few = audiences.people(audience, NOW)
    for _ in range(5_000):
        next(few)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
