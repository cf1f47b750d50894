"""A drawer from its float to its count: the figures are the books', and it is closed once."""

from datetime import timedelta

import pytest

from edge.domain import books, counter, events, shifts
from edge.errors import BadInput
from edge.models import Event, Payment, Plan, Staff
from edge.money_models import LedgerEntry, Shift


@pytest.fixture
def wanjiku(box):
    return staff("Wanjiku", "cashier", box.now)


@pytest.fixture
def njeri(box):
    return staff("Njeri", "owner", box.now)


def staff(name, role, now):
    return Staff.create(name=name, role=role, password_hash="x", created_at=now)


def sell(box, who, key, msisdn=""):
    return counter.sell(Plan.get_by_id(1), who, box.now, msisdn=msisdn, key=key)[0]


def told(name):
    return [event.data for event in events.since(0) if event.name == name]


def variances():
    return [entry.money_cents for entry in LedgerEntry.select().where(LedgerEntry.kind == "variance")]


def test_the_figures_are_what_the_books_say_of_this_drawer(box, wanjiku, njeri):
    shift = shifts.open(wanjiku, 50_000, box.now)
    box.after(minutes=5)
    for key in "abc":
        sell(box, wanjiku, key)
    counter.sell_voucher(Plan.get_by_id(1), wanjiku, box.now, key="paper")
    books.record("refund", "cash", -2000, -2000, box.now, shift_id=shift.id, staff_id=wanjiku.id)
    shifts.add_expense(shift, 1500, "drinking  water\n", box.now, wanjiku)
    shifts.take_out(shift, 30_000, "Njeri", box.now, njeri)
    shifts.put_in(shift, 10_000, "change", box.now, njeri)
    sell(box, njeri, "hers")  # in no drawer
    figures = shifts.figures(shift, box.now)
    assert (figures.sales, figures.vouchers) == (shifts.Line(3, 6000), shifts.Line(1, 2000))
    assert (figures.refunds, figures.expenses) == (shifts.Line(1, -2000), shifts.Line(1, -1500))
    assert figures.moved == shifts.Line(2, -20_000)
    assert figures.expected_cents == 50_000 + 6000 + 2000 - 2000 - 1500 - 20_000
    lines = (figures.sales, figures.vouchers, figures.refunds, figures.expenses, figures.moved)
    assert figures.float_cents + sum(line.cents for line in lines) == figures.expected_cents
    spent = [(one.cents, one.words, one.is_move) for one in shifts.spent(shift)]
    assert spent == [(-1500, "drinking water", False), (-30_000, "Njeri", True), (10_000, "change", True)]


def test_what_the_owner_collects_is_no_expense_and_leaves_the_shop_as_rich_as_before(box, wanjiku, njeri):
    shift = shifts.open(wanjiku, 50_000, box.now)
    shifts.take_out(shift, 20_000, "", box.now, njeri)
    assert sum(entry.money_cents for entry in LedgerEntry.select()) == 0
    assert shifts.figures(shift, box.now).expenses == shifts.Line()
    assert books.verify().first_bad is None


def test_money_by_m_pesa_is_told_beside_and_is_not_in_the_drawer(box, wanjiku):
    box.paid(box.juma)  # before the shift
    box.after(minutes=1)
    shift = shifts.open(wanjiku, 0, box.now)
    box.after(minutes=1)
    box.paid(box.asha)
    box.after(minutes=1)
    shifts.close(shift, 0, "", box.now, wanjiku)
    box.after(minutes=1)
    box.paid(box.njeri)  # and after it
    figures = shifts.figures(Shift.get_by_id(shift.id), box.now)
    assert figures.elsewhere == (("mpesa", shifts.Line(1, 2000)),) and figures.expected_cents == 0


@pytest.mark.parametrize(
    ("counted", "event", "amount"),
    [(12_000, "shift.closed", 0), (11_950, "shift.closed_short", 0.5), (12_500, "shift.closed_over", 5)],
)
def test_a_close_writes_down_what_was_expected_and_books_what_differs(box, wanjiku, counted, event, amount):
    shift = shifts.open(wanjiku, 10_000, box.now)
    sell(box, wanjiku, "a")
    closed = shifts.close(shift, counted, " a  torn note ", box.after(hours=8), wanjiku)
    assert (closed.expected_cents, closed.counted_cents, closed.words) == (12_000, counted, "a torn note")
    assert variances() == ([counted - 12_000] if counted != 12_000 else [])
    assert [data["amount"] for data in told(event)] == [amount]
    assert shifts.figures(closed, box.now).expected_cents == 12_000  # the variance is not part of it
    assert shifts.current(wanjiku) is None and books.verify().first_bad is None


def test_twenty_closes_at_once_close_once(box, wanjiku, shared_writer, at_once):
    shift = shifts.open(wanjiku, 10_000, box.now)
    answers = at_once(lambda n: shifts.close(shift, 9000 + n, "", box.now, wanjiku))
    assert sum(isinstance(answer, Shift) for answer in answers) == 1
    assert all(isinstance(answer, Shift | BadInput) for answer in answers)
    assert len(variances()) == 1 and len(told("shift.closed_short")) == 1


def test_twenty_openings_at_once_open_one_shift(box, wanjiku, shared_writer, at_once):
    answers = at_once(lambda n: shifts.open(wanjiku, n, box.now))
    assert sum(isinstance(answer, Shift) for answer in answers) == 1 and Shift.select().count() == 1


def test_a_sale_beside_a_close_is_either_in_the_drawer_or_refused(box, wanjiku, shared_writer, at_once):
    shift = shifts.open(wanjiku, 0, box.now)

    def act(n):
        return shifts.close(shift, 0, "", box.now, wanjiku) if n == 7 else sell(box, wanjiku, f"key{n}")

    answers = at_once(act, 14)
    sold = [answer for answer in answers if isinstance(answer, Payment)]
    refused = [answer for answer in answers if isinstance(answer, BadInput)]
    assert len(sold) + len(refused) == 13
    assert Shift.get_by_id(shift.id).expected_cents == 2000 * len(sold)


def test_a_closed_shift_takes_nothing_more(box, wanjiku, njeri):
    shift = shifts.open(wanjiku, 10_000, box.now)
    shifts.close(shift, 10_000, "", box.now, wanjiku)
    for act in (
        lambda: shifts.add_expense(shift, 100, "tea", box.now, wanjiku),
        lambda: shifts.take_out(shift, 100, "", box.now, njeri),
        lambda: shifts.put_in(shift, 100, "", box.now, njeri),
        lambda: shifts.close(shift, 10_000, "", box.now, njeri),
    ):
        with pytest.raises(BadInput, match="closed already"):
            act()
    assert LedgerEntry.select().count() == 0


def test_the_owner_closes_anothers_shift_and_nobody_else_does(box, wanjiku, njeri):
    otieno = staff("Otieno", "technician", box.now)
    shift = shifts.open(wanjiku, 10_000, box.now)
    with pytest.raises(BadInput, match="somebody else's"):
        shifts.close(shift, 10_000, "", box.now, otieno)
    shifts.close(shift, 9000, "", box.now, njeri)
    assert told("shift.closed_short") == [{"who": "Wanjiku", "by": "Njeri", "shift": shift.id, "amount": 10}]


def test_one_open_shift_a_person(box, wanjiku, njeri):
    shifts.open(wanjiku, 0, box.now)
    with pytest.raises(BadInput, match="still open"):
        shifts.open(wanjiku, 0, box.now)
    shifts.open(njeri, 0, box.now)


@pytest.mark.parametrize("cents", [-1, 10**9 + 1])
def test_amounts_that_are_none_are_refused(box, wanjiku, cents):
    with pytest.raises(BadInput, match="amount"):
        shifts.open(wanjiku, cents, box.now)
    shift = shifts.open(wanjiku, 10_000, box.now)
    for act in (
        lambda: shifts.close(shift, cents, "", box.now, wanjiku),
        lambda: shifts.put_in(shift, cents, "", box.now, wanjiku),
        lambda: shifts.add_expense(shift, cents, "tea", box.now, wanjiku),
        lambda: shifts.add_expense(shift, 0, "tea", box.now, wanjiku),
    ):
        with pytest.raises(BadInput, match="amount"):
            act()
    with pytest.raises(BadInput, match="what it was paid for"):
        shifts.add_expense(shift, 100, " \n", box.now, wanjiku)


def test_no_more_comes_out_of_a_drawer_than_is_in_it(box, wanjiku, njeri):
    shift = shifts.open(wanjiku, 1000, box.now)
    for take in (lambda cents: shifts.take_out(shift, cents, "", box.now, njeri),
                 lambda cents: shifts.add_expense(shift, cents, "tea", box.now, wanjiku)):  # fmt: skip
        with pytest.raises(BadInput, match="drawer holds"):
            take(1001)
    shifts.take_out(shift, 1000, "", box.now, njeri)
    assert shifts.figures(shift, box.now).expected_cents == 0


def test_a_shift_left_open_over_night_is_told_once_a_day_until_it_is_closed(box, wanjiku):
    shift = shifts.open(wanjiku, 0, box.now)
    assert shifts.tell_left_open(box.after(hours=13)) == 0
    assert shifts.tell_left_open(box.after(hours=2)) == 1
    assert shifts.tell_left_open(box.after(hours=20)) == 0
    assert shifts.tell_left_open(box.after(hours=5)) == 1
    assert told("shift.left_open")[0] == {"who": "Wanjiku", "shift": shift.id, "hours": 15}
    shifts.close(shift, 0, "", box.now, wanjiku)
    assert shifts.tell_left_open(box.after(days=3)) == 0


def test_a_clock_in_doubt_calls_no_shift_forgotten(box, wanjiku):
    shifts.open(wanjiku, 0, box.now)
    assert shifts.tell_left_open(box.now + timedelta(days=400)) == 0
    assert Event.select().where(Event.name == "shift.left_open").count() == 0
