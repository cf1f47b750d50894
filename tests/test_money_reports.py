"""Reports and the day slip: days by the clock on the shop's wall, whatever that clock does."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge.domain import books, exports, money_reports
from edge.errors import BadInput
from edge.models import Payment, Plan, Staff
from edge.money_models import Shift, Voucher
from tests.conftest import NOW

NAIROBI, NEW_YORK, CAIRO = ZoneInfo("Africa/Nairobi"), ZoneInfo("America/New_York"), ZoneInfo("Africa/Cairo")
MONDAY = date(2026, 3, 2)


def sell(at, cents=2000, method="mpesa", **ids):
    books.record("sale", method, cents, cents, at, **{"plan_id": 1} | ids)


def figures(report):
    return {row.key: row.sums.net_cents for row in report.rows if row.sums.sales}


def test_a_day_begins_at_midnight_on_the_shops_wall(box):
    midnight = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)  # in Nairobi
    sell(midnight - timedelta(microseconds=1), 1000)
    sell(midnight, 2000)
    told = money_reports.report("day", MONDAY, MONDAY + timedelta(days=1), NAIROBI)
    assert figures(told) == {"2026-03-02": 1000, "2026-03-03": 2000}
    assert told.total.net_cents == 3000


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [(NAIROBI, MONDAY, 24), (NEW_YORK, date(2026, 3, 8), 23), (NEW_YORK, date(2026, 11, 1), 25),
     (CAIRO, date(2026, 4, 24), 23)],
)  # fmt: skip
def test_a_day_is_as_long_as_its_clock_makes_it(box, zone, day, hours):
    start, end = money_reports.span(day, day, zone)
    assert end - start == hours * 3600
    for number in range(hours):
        sell(datetime.fromtimestamp(start + number * 3600 + 1800, UTC), 100)
    sell(datetime.fromtimestamp(start - 1, UTC), 7)
    sell(datetime.fromtimestamp(end, UTC), 9)
    told = money_reports.report("day", day - timedelta(days=1), day + timedelta(days=1), zone)
    assert [row.sums.net_cents for row in told.rows] == [7, hours * 100, 9]


def test_the_hour_that_comes_twice_holds_both_and_the_one_that_is_skipped_none(box):
    for hour in range(3, 9):
        sell(datetime(2026, 11, 1, hour, 30, tzinfo=UTC), 100)
    autumn = money_reports.report("hour", date(2026, 11, 1), date(2026, 11, 1), NEW_YORK)
    assert figures(autumn) == {"0": 100, "1": 200, "2": 100, "3": 100}


def test_weeks_begin_on_monday_and_the_year_does_not_cut_them(box):
    sell(datetime(2026, 12, 31, 9, tzinfo=UTC), 100)
    sell(datetime(2027, 1, 3, 9, tzinfo=UTC), 20)
    sell(datetime(2027, 1, 4, 9, tzinfo=UTC), 3)
    told = money_reports.report("week", date(2026, 12, 28), date(2027, 1, 10), NAIROBI)
    assert figures(told) == {"2026-W53": 120, "2027-W01": 3}


def test_by_plan_method_and_seller(box):
    Plan.create(id=2, name="Day", price_cents=10000, seconds=86400)
    Staff.create(id=5, name="Wanjiku", role="cashier", password_hash="", created_at=NOW)
    paper = Voucher.create(code="AAAA", plan=2, seller="Kiosk", created_at=NOW)
    sell(NOW)
    sell(NOW, 10000, "cash", plan_id=2, staff_id=5)
    books.record("voucher", "cash", 10000, 10000, NOW, plan_id=2, voucher_id=paper.id, staff_id=5)
    books.record("refund", "cash", -500, -500, NOW, plan_id=2)
    books.record("held", "mpesa", 700, 0, NOW)
    by = {way: figures(money_reports.report(way, MONDAY, MONDAY, NAIROBI)) for way in ("plan", "method", "seller")}
    assert by["plan"] == {"plan:1": 2000, "plan:2": 19500}
    assert by["method"] == {"mpesa": 2000, "cash": 19500}
    assert by["seller"] == {"seller:": 1500, "seller:Wanjiku": 10000, "seller:Kiosk": 10000}
    total = money_reports.report("plan", MONDAY, MONDAY, NAIROBI).total
    assert (total.sales, total.returned_cents, total.held_cents, total.money_cents) == (3, 500, 700, 22200)


def test_why_checkouts_came_to_nothing(box):
    for number, (state, code) in enumerate(
        (("failed", "1032"), ("failed", "1032"), ("expired", ""), ("failed", "2001"))
    ):
        payment = box.prompted(msisdn=f"25471200000{number}")
        payment.put(state=state, result_code=code)
    box.paid()
    told = money_reports.report("reason", MONDAY, MONDAY, NAIROBI)
    assert [(row.code, row.count, row.cents) for row in told.failed] == [
        ("1032", 2, 4000), ("2001", 1, 2000), ("expired", 1, 2000),
    ]  # fmt: skip


def test_the_day_slip_tells_the_day_and_carries_the_chain(box):
    sell(NOW - timedelta(days=1))
    before = books.head()[1]
    box.paid()
    books.record("held", "mpesa", 700, 0, NOW)
    books.record("reversal", "mpesa", -2000, -2000, NOW)
    books.record("expense", "cash", -300, 0, NOW)
    staff = Staff.create(name="Wanjiku", role="cashier", password_hash="", created_at=NOW)
    Shift.create(staff=staff, opened_at=NOW, closed_at=NOW, float_cents=0, expected_cents=500, counted_cents=400)
    after = books.head()[1]
    sell(NOW + timedelta(days=1))
    slip = money_reports.day_slip(MONDAY, NAIROBI)
    assert (slip.opening_hash, slip.closing_hash) == (before, after)
    assert (slip.first_line, slip.last_line, slip.held_cents) == (2, 5, 700)
    assert (slip.total.sold_cents, slip.total.net_cents, slip.total.expense_cents) == (2000, 0, 300)
    assert [(row.key, row.sums.returned_cents) for row in slip.reversals] == [("mpesa", 2000)]
    assert [(shift.name, shift.variance_cents) for shift in slip.shifts] == [("Wanjiku", -100)]


def test_a_day_without_a_line_opens_and_closes_with_the_hash_before_it(box):
    quiet = money_reports.day_slip(MONDAY, NAIROBI)
    assert quiet.opening_hash == quiet.closing_hash == books.NOTHING_BEFORE
    sell(NOW)
    slip = money_reports.day_slip(MONDAY + timedelta(days=3), NAIROBI)
    assert slip.opening_hash == slip.closing_hash == books.head()[1]


@pytest.mark.parametrize(
    "asked", [("moon", MONDAY, MONDAY), ("day", MONDAY, date(2026, 3, 1)), ("day", date(2000, 1, 1), MONDAY)]
)
def test_what_cannot_be_reported_is_said(box, asked):
    with pytest.raises(BadInput):
        money_reports.report(*asked, NAIROBI)


@pytest.mark.parametrize(
    ("typed", "day"), [("", MONDAY), ("yesterday", date(2026, 3, 1)), ("2026-02-28", date(2026, 2, 28))]
)
def test_days_as_people_type_them(typed, day):
    assert money_reports.read_day(typed, MONDAY) == day
    with pytest.raises(BadInput):
        money_reports.read_day("2026-02-30", MONDAY)


def test_csv_has_every_line_and_no_formula(box, monkeypatch):
    monkeypatch.setattr(exports, "PAGE", 2)
    Plan.update(name="=HYPERLINK(1)").where(Plan.id == 1).execute()
    for number in range(5):
        sell(NOW + timedelta(seconds=number // 3), -5 if number == 4 else 2050)
    text = "".join(exports.ledger(MONDAY, MONDAY, NAIROBI))
    lines = text.splitlines()
    assert text.startswith("\ufeffline,time,")
    assert len(lines) == 6
    assert lines[1].startswith("1,2026-03-02 12:00:00,sale,mpesa,20.5,20.5,'=HYPERLINK(1),")
    assert ",-0.05,-0.05," in lines[5]
    report = "".join(exports.report(money_reports.report("day", MONDAY, MONDAY, NAIROBI))).splitlines()
    assert report[-1].startswith("total,,")
    box.paid()
    assert Payment.select().count() == len("".join(exports.payments(MONDAY, MONDAY, NAIROBI)).splitlines()) - 1
