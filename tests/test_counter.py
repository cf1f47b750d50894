"""Cash over the counter: paid, let in and in the books at once, and once however often it is pressed."""

from datetime import timedelta

import pytest

from edge.domain import access, books, counter, plans, receipts, shifts
from edge.errors import BadInput, TooMany
from edge.models import Grant, Message, Payment, Plan, Staff
from edge.money_models import LedgerEntry, Voucher
from edge.values import schedule
from edge.values.arrival import Arrival
from edge.values.sms_text import count_segments


@pytest.fixture
def wanjiku(box):
    staff = Staff.create(name="Wanjiku", role="cashier", password_hash="x", created_at=box.now)
    shifts.open(staff, 0, box.now)
    return staff


@pytest.fixture
def njeri(box):
    return Staff.create(name="Njeri", role="owner", password_hash="x", created_at=box.now)


@pytest.fixture
def hour(box):
    return Plan.get_by_id(1)


def texts():
    return [(message.msisdn, message.text) for message in Message.select().order_by(Message.id)]


def entries():
    return [(entry.kind, entry.method, entry.money_cents, entry.sold_cents, entry.shift_id, entry.staff_id)
            for entry in LedgerEntry.select().order_by(LedgerEntry.sequence)]  # fmt: skip


def test_a_cash_sale_is_paid_let_in_texted_and_in_the_books_at_once(box, gate, wanjiku, hour):
    payment, is_new = counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="form")
    shift = shifts.current(wanjiku)
    assert is_new and (payment.state, payment.provider, payment.how, payment.witness) == (
        "paid", "cash", "counter", "staff"
    )  # fmt: skip
    assert (payment.amount_cents, payment.paid_at, payment.confirmed_at) == (2000, box.now, box.now)
    assert entries() == [("sale", "cash", 2000, 2000, shift.id, wanjiku.id)]
    grant = box.grant(payment)
    assert (grant.msisdn, grant.why, grant.state) == (box.asha, "payment", "live")
    [(phone, text)] = texts()
    assert phone == box.asha and grant.username in text and "KSh 20" in text and count_segments(text) == 1
    assert [job.args["grant_id"] for job in box.jobs("grant.place")] == [grant.id]
    assert box.jobs("payment.ask") == []  # nobody at M-Pesa knows of it
    [event] = box.events("payment.processed")
    assert (event["payment"], event["witness"], event["amount"]) == (payment.id, "staff", 20)


def test_without_a_phone_nobody_is_texted(box, gate, wanjiku, hour):
    payment, _ = counter.sell(hour, wanjiku, box.now, key="form")
    assert texts() == [] and box.grant(payment).msisdn == ""
    with pytest.raises(BadInput, match="No phone"):
        counter.resend(box.grant(payment), box.now)


def test_a_form_sells_once_however_often_and_at_once_it_is_sent(box, gate, wanjiku, hour, shared_writer, at_once):
    answers = at_once(lambda n: counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="form"))
    assert len({payment.id for payment, _ in answers}) == 1 and sum(is_new for _, is_new in answers) == 1
    assert Grant.select().count() == len(texts()) == len(entries()) == 1
    again = counter.sell_voucher(hour, wanjiku, box.now, key="paper")
    assert counter.sell_voucher(hour, wanjiku, box.after(minutes=9), key="paper") == (again[0], False)
    assert Voucher.select().count() == 1 and len(entries()) == 2


def test_another_ones_form_of_the_same_key_is_another_form(box, gate, wanjiku, njeri, hour):
    first, _ = counter.sell(hour, wanjiku, box.now, key="form")
    second, is_new = counter.sell(hour, njeri, box.now, key="form")
    assert is_new and second.id != first.id
    with pytest.raises(BadInput, match="too old"):
        counter.sell(hour, wanjiku, box.now, key="")


def test_a_cashier_needs_an_open_shift_and_the_owner_does_not(box, gate, njeri, hour):
    juma = Staff.create(name="Juma", role="cashier", password_hash="x", created_at=box.now)
    for sell in (counter.sell, counter.sell_voucher):
        with pytest.raises(BadInput, match="Open your shift"):
            sell(hour, juma, box.now, key="form")
        sell(hour, njeri, box.now, key="form")
    assert [entry[4] for entry in entries()] == [None, None] and Payment.select().count() == 1


def test_who_has_a_prompt_on_his_phone_may_pay_cash_instead(box, gate, wanjiku, hour):
    prompted = box.prompted(box.asha)
    payment, _ = counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="form")
    assert payment.id != prompted.id and Payment.get_by_id(prompted.id).state == "prompted"
    assert box.call(prompted) == "paid"  # and if he pays that one too, it is another sale
    assert sum(entry[2] for entry in entries()) == 4000


def test_cash_never_uses_up_money_that_is_held_for_the_same_phone(box, gate, wanjiku, hour):
    row = receipts.note(Arrival("UC25HELD01", 2000, "mpesa", box.asha), "c2b", box.now)
    receipts.hold(row, "nobody knows what for", box.now)
    payment, _ = counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="form")
    assert payment.receipt is None and receipts.find("UC25HELD01").used_cents == 0
    assert books.held_cents() == 2000 and shifts.figures(shifts.current(wanjiku), box.now).expected_cents == 2000


def test_what_is_bought_again_is_added_to_the_code_that_the_guest_has(box, gate, wanjiku, hour):
    first, _ = counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="one")
    access.record_placed(box.grant(first).id, gate.id, box.now)
    second, _ = counter.sell(hour, wanjiku, box.after(minutes=10), msisdn=box.asha, key="two")
    grant = counter.grant_of(second)
    assert grant.id == box.grant(first).id and grant.seconds == 7200
    assert grant.username in texts()[1][1]
    counter.resend(box.grant(second), box.now)
    assert grant.username in texts()[2][1] and "1 hour 50 minutes" in texts()[2][1]


def test_the_price_of_the_hour_counts_and_another_one_than_was_asked_is_told(box, gate, wanjiku, hour):
    happy = plans.change(hour, happy=schedule.read_windows("00:00-24:00 = 10", priced=True))
    with pytest.raises(plans.PriceChanged, match="costs KSh 10 now, not KSh 20"):
        counter.sell(happy, wanjiku, box.now, key="form", price_cents=2000)
    assert Payment.select().count() == 0
    payment, is_new = counter.sell(happy, wanjiku, box.now, key="form", price_cents=1000)
    voucher, _ = counter.sell_voucher(happy, wanjiku, box.now, key="paper", price_cents=1000)
    assert is_new and payment.amount_cents == 1000 and voucher.value_cents == 1000
    assert [entry[2] for entry in entries()] == [1000, 1000]


def test_the_shelf_has_what_is_on_sale_at_this_hour_and_no_trial(box, hour):
    plans.add(name="Try", price_cents=0, seconds=600, is_trial=True)
    hidden = plans.add(name="Old", price_cents=1000, seconds=600)
    plans.change(hidden, on_sale=False)
    assert [plan.name for plan in counter.shelf(box.now)] == ["1 hour"]
    assert counter.on_shelf(hidden.id, box.now) is None and counter.on_shelf(1, box.now).id == 1


def test_a_code_is_texted_again_to_its_own_phone_with_ever_longer_pauses(box, gate, wanjiku, hour):
    payment, _ = counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="form")
    grant = box.grant(payment)
    sent = 0
    for minute in range(16):
        try:
            counter.resend(grant, box.now + timedelta(minutes=minute, seconds=minute))
        except TooMany as reason:
            assert reason.retry_after_s >= 1
        else:
            sent += 1
    assert sent == 5  # after 0, 1, 3, 7 and 15 minutes
    assert {phone for phone, _ in texts()} == {box.asha}
    assert all(count_segments(text) == 1 and grant.username in text for _, text in texts())


def test_a_pause_given_by_a_clock_that_ran_ahead_means_nothing(box, gate, wanjiku, hour):
    payment, _ = counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="form")
    counter.resend(box.grant(payment), box.now + timedelta(days=300))
    counter.resend(box.grant(payment), box.now)


def test_a_code_whose_time_is_over_is_not_texted(box, gate, wanjiku, hour):
    payment, _ = counter.sell(hour, wanjiku, box.now, msisdn=box.asha, key="form")
    access.end(box.grant(payment), "time", box.now)
    with pytest.raises(BadInput, match="over"):
        counter.resend(box.grant(payment), box.now)


def test_whatever_the_guest_knows_of_a_sale_finds_how_it_stands(box, gate, wanjiku, hour):
    payment = box.paid(box.asha)
    grant = box.grant(payment)
    code = grant.username
    for typed in ("0712 345 678", payment.receipt.lower(), f" {code[:4]}-{code[4:].lower()} "):
        [found] = counter.look_up(typed)
        assert (found.status, found.plan_name, found.msisdn, found.grant) == ("paid", "1 hour", box.asha, grant)
    access.record_placed(grant.id, gate.id, box.now)
    assert counter.look_up(code)[0].status == "online"
    access.end(grant, "time", box.now)
    assert (counter.look_up(code)[0].status, counter.look_up(code)[0].grant) == ("ended", None)


@pytest.mark.parametrize("typed", ["", " ", "1", "WIFI1", "%", "0722 000 111", "UC25", "'; --", "\0", "é" * 500])
def test_numbers_of_sales_and_parts_of_codes_find_nothing(box, gate, typed):
    box.paid(box.asha)
    assert counter.look_up(typed) == []


def test_vouchers_and_held_money_are_found_too(box, gate, wanjiku, hour):
    voucher, _ = counter.sell_voucher(hour, wanjiku, box.now, key="paper")
    assert [found.status for found in counter.look_up(voucher.code.lower())] == ["sold"]
    receipts.hold(receipts.note(Arrival("UC25HELD01", 5000, "mpesa", box.asha), "c2b", box.now), "why", box.now)
    [found] = counter.look_up("uc25held01")
    assert (found.status, found.plan_name, found.grant) == ("held", "", None)


def test_a_shift_lists_its_own_sales_newest_first(box, gate, wanjiku, njeri, hour):
    shift = shifts.current(wanjiku)
    payment, _ = counter.sell(hour, wanjiku, box.now, key="one")
    counter.sell(hour, njeri, box.now, key="hers")
    voucher, _ = counter.sell_voucher(hour, wanjiku, box.after(minutes=1), key="two")
    assert [(one.plan_name, one.cents, one.payment, one.voucher) for one in counter.sold(shift, 9)] == [
        ("1 hour", 2000, None, voucher), ("1 hour", 2000, payment, None),
    ]  # fmt: skip
    assert len(counter.sold(shift, 1)) == 1


def test_the_books_hold_after_a_day_at_the_counter(box, gate, wanjiku, hour):
    for key in range(5):
        counter.sell(hour, wanjiku, box.after(minutes=1), key=str(key))
    assert books.verify().first_bad is None and books.held_cents() == 0
