"""Whom a campaign is for: guests by what they bought and when they came, an uploaded list, or numbers as typed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from edge.database import db
from edge.domain import plans, sms_lists
from edge.errors import BadInput
from edge.models import Plan, Router
from edge.sealing import seal
from edge.values.any_msisdn import read_any_msisdn
from edge.values.money import show_money
from edge.values.msisdn import local_msisdn

Person = tuple[str, dict[str, str]]

KINDS = ("all", "guests", "list", "numbers")
GUEST_NAMES = ("phone", "plan", "last_visit", "spent", "visits")
PHONE = "phone"
CHUNK = 1_000  # guests looked at with one question
MOST_TYPED = 5_000  # numbers
MOST_DAYS = 3_650
MOST_CENTS = 10**9
TOLD_FAULTS = 3
# Who made it when nobody of the staff did; by what a program's request is known again (`send_requests.py`).

# Whoever was let in or paid, a chunk of them in the order of their numbers, by the two indexes of phones.
NUMBERS = """
SELECT msisdn FROM (
  SELECT * FROM (SELECT DISTINCT msisdn FROM grants WHERE msisdn > ? ORDER BY msisdn LIMIT {chunk}) AS let_in
  UNION
  SELECT * FROM (SELECT DISTINCT msisdn FROM payments WHERE msisdn > ? AND state = 'paid' ORDER BY msisdn LIMIT {chunk})
    AS paid
) AS both_of_them ORDER BY msisdn LIMIT {chunk}
"""
# How often he was let in, when he was last seen, by which grant last, and whether a plan or a router is among them.
VISITS = """
SELECT g.msisdn, COUNT(*), MAX(COALESCE(
    (SELECT MAX(COALESCE(s.ended_at, s.seen_at)) FROM sessions s WHERE s.grant_id = g.id), g.starts_at, g.created_at)),
  MAX(g.id), MAX(CASE WHEN {plan} THEN 1 ELSE 0 END), MAX(CASE WHEN {router} THEN 1 ELSE 0 END)
FROM grants g WHERE g.msisdn >= ? AND g.msisdn <= ? GROUP BY g.msisdn
"""
PAID = """
SELECT msisdn, SUM(amount_cents), MAX(COALESCE(paid_at, created_at)), MAX(CASE WHEN {plan} THEN 1 ELSE 0 END)
FROM payments WHERE msisdn >= ? AND msisdn <= ? AND state = 'paid' GROUP BY msisdn
"""


def check(audience: Mapping[str, Any]) -> dict[str, Any]:
    """The audience as it is kept: known parts alone, numbers read and sealed; BadInput names the part to mend."""
    kind = audience.get("kind")
    if kind not in KINDS:
        raise BadInput(f"An audience is one of: {', '.join(KINDS)}.", "audience")
    checked: dict[str, Any] = {"kind": kind}
    if kind == "guests":
        return checked | _checked_guests(audience)
    if kind == "list":
        return checked | {"list_id": sms_lists.get(_whole(audience, "list_id", 2**31) or 0).id}
    if kind == "numbers":
        typed = audience.get("numbers") or []
        if not isinstance(typed, list | tuple):
            raise BadInput("Numbers are a list.", "numbers")
        return checked | {"numbers": [seal.number(msisdn) for msisdn in read_numbers(typed)]}
    return checked


def read_numbers(typed: Iterable[Any], field: str = "numbers") -> list[str]:
    """Each number once, in its order; BadInput names the first wrong ones and how many there are."""
    found: dict[str, None] = {}
    faults: list[str] = []
    count = 0
    for count, one in enumerate(typed, 1):
        if count > MOST_TYPED:
            raise BadInput(f"At most {MOST_TYPED:,} numbers at once; upload longer lists as a file.", field)
        try:
            found[read_any_msisdn(seal.open_number(str(one).strip()))] = None
        except BadInput as reason:
            faults.append(f"{str(one).strip()[:20] or 'the empty one'} (number {count}): {reason}")
    if faults:
        more = f" And {len(faults) - TOLD_FAULTS:,} more are wrong." if len(faults) > TOLD_FAULTS else ""
        raise BadInput(" ".join(faults[:TOLD_FAULTS]) + more, field)
    if not found:
        raise BadInput("Type at least one number.", field)
    return list(found)


def typed_numbers(audience: Mapping[str, Any]) -> list[str]:
    """The numbers of an audience that was checked, to be shown in its form again."""
    return [seal.open_number(number) for number in audience.get("numbers") or ()]


def names(audience: Mapping[str, Any]) -> tuple[str, ...]:
    """The placeholders that it offers; of a list its columns."""
    kind = audience.get("kind")
    if kind == "list":
        return (PHONE, *sms_lists.get(int(audience["list_id"])).columns)
    return (PHONE,) if kind == "numbers" else GUEST_NAMES


def people(audience: Mapping[str, Any], now: datetime) -> Iterator[Person]:
    """Each number once, with the values of its placeholders; whether he wants it is not asked here.

    A thousand at a time: neither memory nor a question to the database grows with the audience.
    """
    kind = audience["kind"]
    if kind == "numbers":
        return ((msisdn, {PHONE: local_msisdn(msisdn)}) for msisdn in dict.fromkeys(typed_numbers(audience)))
    if kind == "list":
        return sms_lists.people(sms_lists.get(int(audience["list_id"])))
    return _guests(audience, now)


def count(audience: Mapping[str, Any], now: datetime) -> int:
    """How many people that are, whether they want it or not."""
    if audience["kind"] == "numbers":
        return len(set(audience["numbers"]))
    if audience["kind"] == "list":
        return int(sms_lists.get(int(audience["list_id"])).rows)
    return sum(1 for _ in _guests(audience, now))


# Guests.


def _checked_guests(audience: Mapping[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for name, table, what in (("plan_ids", Plan, "plan"), ("router_ids", Router, "router")):
        ids = sorted({_id(one, name) for one in audience.get(name) or ()})
        known = {row.id for row in list(table.select(table.id).where(table.id.in_(ids)))} if ids else set()
        if set(ids) - known:
            raise BadInput(f"There is no {what} {min(set(ids) - known)}.", name)
        wanted |= {name: ids} if ids else {}
    for name, most in (
        ("seen_within_days", MOST_DAYS), ("not_seen_for_days", MOST_DAYS), ("spent_at_least_cents", MOST_CENTS)
    ):  # fmt: skip
        number = _whole(audience, name, most)
        wanted |= {name: number} if number else {}
    if wanted.get("not_seen_for_days", 0) >= wanted.get("seen_within_days", MOST_DAYS + 1):
        raise BadInput("Nobody was seen within fewer days than he was not seen for.", "not_seen_for_days")
    return wanted


def _whole(audience: Mapping[str, Any], name: str, most: int) -> int | None:
    value = audience.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise BadInput(f"{name} is a whole number from 0 to {most:,}.", name)
    return value


def _id(value: Any, field: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
        return value
    raise BadInput(f"{field} are numbers of rows.", field)


def _guests(audience: Mapping[str, Any], now: datetime) -> Iterator[Person]:
    is_wanted = _rule(audience, now)
    named = {plan.id: plan.name for plan in list(Plan.select(Plan.id, Plan.name))}
    numbers = NUMBERS.format(chunk=CHUNK)
    last = ""
    while chunk := [row[0] for row in db.execute_sql(numbers, (last, last)).fetchall()]:
        last = chunk[-1]
        visits, paid = _facts(audience, chunk)
        plan_of = _plans_of([row[3] for row in visits.values()])
        for msisdn in chunk:
            if not (msisdn.isascii() and msisdn.isdigit()):
                continue  # the other end hid some of its digits
            told = _Guest(visits.get(msisdn), paid.get(msisdn))
            if is_wanted(told):
                yield msisdn, told.values(msisdn, named.get(plan_of.get(told.last_grant, 0), ""))


class _Guest:
    """What is known of one guest, from his grants and from his payments."""

    def __init__(self, visits: tuple[Any, ...] | None, paid: tuple[Any, ...] | None) -> None:
        self.visits = int(visits[1]) if visits else 0
        self.last_grant = int(visits[3]) if visits else 0
        self.spent_cents = int(paid[1]) if paid else 0
        self.seen_at = float(visits[2] if visits else paid[2] if paid else 0)
        self.has_plan = bool((visits and visits[4]) or (paid and paid[3]))
        self.was_there = bool(visits and visits[5])

    def values(self, msisdn: str, plan: str) -> dict[str, str]:
        day = datetime.fromtimestamp(self.seen_at, plans.shop.zone)
        return {
            "phone": local_msisdn(msisdn), "plan": plan, "last_visit": f"{day.day} {day:%b}",
            "spent": show_money(self.spent_cents), "visits": str(self.visits),
        }  # fmt: skip


def _rule(audience: Mapping[str, Any], now: datetime) -> Callable[[_Guest], bool]:
    within, absent = audience.get("seen_within_days"), audience.get("not_seen_for_days")
    since = (now - timedelta(days=within)).timestamp() if within else float("-inf")
    until = (now - timedelta(days=absent)).timestamp() if absent else float("inf")
    least = audience.get("spent_at_least_cents") or 0
    any_plan, any_router = not audience.get("plan_ids"), not audience.get("router_ids")

    def is_wanted(told: _Guest) -> bool:
        is_in_time = since <= told.seen_at <= until
        return is_in_time and told.spent_cents >= least and (any_plan or told.has_plan) and (
            any_router or told.was_there
        )  # fmt: skip

    return is_wanted


Rows = dict[str, tuple[Any, ...]]


def _facts(audience: Mapping[str, Any], chunk: list[str]) -> tuple[Rows, Rows]:
    """Of these guests their visits, and what they paid."""
    plan = _among("plan_id", audience.get("plan_ids"))
    router = _among("router_id", audience.get("router_ids"))
    was_there = f"(g.{router} OR EXISTS (SELECT 1 FROM sessions r WHERE r.grant_id = g.id AND r.{router}))"
    asked = VISITS.format(plan="g." + plan, router=was_there if audience.get("router_ids") else "1 = 1")
    span = (chunk[0], chunk[-1])
    visits = {row[0]: row for row in db.execute_sql(asked, span).fetchall()}
    return visits, {row[0]: row for row in db.execute_sql(PAID.format(plan=plan), span).fetchall()}


def _among(column: str, ids: list[int] | None) -> str:
    return f"{column} IN ({', '.join(str(int(one)) for one in ids)})" if ids else f"{column} IS NOT NULL"


def _plans_of(grant_ids: list[int]) -> dict[int, int]:
    """The plan of each of these grants."""
    found: dict[int, int] = {}
    for start in range(0, len(grant_ids), 500):
        some = grant_ids[start : start + 500]
        marks = ", ".join("?" for _ in some)
        found |= dict(db.execute_sql(f"SELECT id, plan_id FROM grants WHERE id IN ({marks})", some).fetchall())
    return found
