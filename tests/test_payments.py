"""Money in: paid exactly once if anybody trustworthy says so, in whatever order the news arrives."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import jobs, texts
from edge.domain import asking, messages, payments, throttle
from edge.errors import BadInput, TooMany
from edge.models import Grant, Job, Message, Payment, Plan
from edge.values.sms_text import count_segments
from edge.values.stk import PushAnswer


def fresh(payment):
    return Payment.get_by_id(payment.id)


def asks(box, *states):
    """When M-Pesa will be asked, in seconds from now."""
    found = box.jobs("payment.ask", *(states or jobs.OPEN))
    return [round((job.run_at - box.now).total_seconds()) for job in found]


def take_ask(box, key):
    """A worker does the question of this key: its job is closed, as by `finish`."""
    job = Job.get(Job.unique_key == key, Job.state.in_(jobs.OPEN))
    job.put(state="done")
    return job.args


def wait_for_ask(box, payment, key="ask"):
    """The next question comes up; its step in the list."""
    job = Job.get(Job.unique_key == f"{key}:{payment.id}", Job.state.in_(jobs.OPEN))
    box.after(seconds=(job.run_at - box.now).total_seconds())
    return take_ask(box, job.unique_key).get("step")


# Buying


def test_a_purchase_promises_the_prompt_with_the_payment(box):
    payment = box.pending()
    assert (payment.state, payment.amount_cents) == ("pending", 2000)
    [job] = box.jobs("payment.prompt", "waiting")
    assert (job.args, job.queue, job.priority) == ({"payment_id": payment.id}, "payments", jobs.HIGH)
    assert len(payment.token) == 32 and len(payment.secret) == 40 and payment.secret != payment.token


def test_what_can_not_be_bought_is_told_with_its_field(box):
    Plan.create(id=2, name="old", price_cents=100, seconds=60, on_sale=False)
    for plan_id in (2, 3):
        with pytest.raises(BadInput) as told:
            payments.initiate(payments.Wish(plan_id, box.asha), box.now)
        assert told.value.field == "package_id"


def test_twenty_taps_at_once_are_one_payment(box, shared_writer, at_once):
    answers = at_once(lambda _: payments.initiate(box.wish(mac="AA:BB:CC:00:00:01"), box.now))
    assert len({payment.token for payment, _ in answers}) == 1
    assert Counter(is_new for _, is_new in answers) == {True: 1, False: 19}
    assert len(box.jobs("payment.prompt")) == 1


def test_twenty_taps_at_once_are_one_payment_without_the_writer_too(box, at_once):
    answers = at_once(lambda _: payments.initiate(box.wish(), box.now))
    assert len({payment.id for payment, _ in answers}) == 1


@pytest.mark.parametrize("is_form", [True, False])
def test_twenty_requests_with_one_key_are_one_payment(box, shared_writer, at_once, is_form):
    answers = at_once(lambda _: payments.initiate(box.wish(idempotency_key="k", is_form=is_form), box.now))
    assert len({payment.id for payment, _ in answers}) == 1


def test_twenty_requests_with_a_key_each_are_one_payment_while_it_is_open(box, shared_writer, at_once):
    answers = at_once(lambda n: payments.initiate(box.wish(idempotency_key=f"tab {n}", is_form=True), box.now))
    assert len({payment.id for payment, _ in answers}) == 1


def test_a_key_gives_the_same_payment_for_ever(box):
    payment = box.paid(idempotency_key="k")
    box.after(days=1)
    assert payments.initiate(box.wish(idempotency_key="k"), box.now) == (payment, False)


@pytest.mark.parametrize("other", [{"msisdn": "254722000111"}, {"mac": "AA:BB:CC:00:00:01"}, {"plan_id": 2}])
def test_a_programs_key_for_something_else_is_refused(box, other):
    Plan.create(id=2, name="day", price_cents=5000, seconds=86400)
    box.pending(idempotency_key="k")
    wish = {"plan_id": 1, "msisdn": box.asha} | other
    with pytest.raises(payments.KeyReused):
        payments.initiate(payments.Wish(**wish, idempotency_key="k"), box.now)


def test_a_form_that_comes_again_with_the_number_mended_is_another_purchase(box):
    wrong = box.pending("254712345679", idempotency_key="page", is_form=True)
    right = box.pending(idempotency_key="page", is_form=True)
    assert right.id != wrong.id
    assert box.pending(idempotency_key="page", is_form=True).id == right.id


@pytest.mark.parametrize("state, again", [("failed", True), ("expired", True), ("pending", False), ("paid", False)])
def test_the_same_form_once_more_tries_again_only_after_a_failure(box, state, again):
    payment = box.paid(idempotency_key="page", is_form=True)
    payment.put(state=state)
    second = box.pending(idempotency_key="page", is_form=True)
    assert (second.id != payment.id) is again


def test_who_has_paid_may_buy_again(box):
    first = box.paid(mac="AA:BB:CC:00:00:01")
    second = box.paid(mac="AA:BB:CC:00:00:01")
    assert first.id != second.id
    assert Grant.select().count() == 2


# STK spam


@pytest.mark.parametrize(
    "most, wish, field",
    [
        (payments.PROMPTS_PER_PHONE, lambda n: ("254712345678", f"AA:BB:CC:00:00:{n:02X}"), "phone_number"),
        (payments.PROMPTS_PER_MAC, lambda n: (f"2547{n:08d}", "AA:BB:CC:00:00:01"), "mac_address"),
        (payments.PROMPTS_IN_ALL, lambda n: (f"2547{n:08d}", f"AA:BB:CC:00:{n // 256:02X}:{n % 256:02X}"), ""),
    ],
    ids=["a phone", "a device", "in all"],
)
def test_who_rings_phones_again_and_again_has_to_wait(box, monkeypatch, most, wish, field):
    if not field:
        monkeypatch.setattr(payments, "PROMPTS_IN_ALL", most := 40)
    for n in range(most):
        box.pending(*wish(n))
        box.after(seconds=6)
    with pytest.raises(TooMany) as told:
        box.pending(*wish(most))
    wait = told.value.retry_after_s
    assert (told.value.field, wait) == (field, 600 - 6 * most)
    box.after(seconds=wait - 1)
    with pytest.raises(TooMany) as told:
        box.pending(*wish(most))
    assert told.value.retry_after_s == 1
    box.after(seconds=1)
    box.pending(*wish(most))


def test_who_pays_is_never_told_to_wait(box):
    for _ in range(payments.PROMPTS_PER_PHONE + 5):
        box.paid(mac="AA:BB:CC:00:00:01")


def test_guests_without_a_known_device_share_no_limit(box):
    for n in range(payments.PROMPTS_PER_MAC + 5):
        box.pending(f"2547{n:08d}")


# The prompt


def test_the_prompt_tells_m_pesas_name_and_promises_the_first_question(box):
    payment = box.prompted()
    assert (payment.state, payment.checkout_request_id) == ("prompted", f"ws_CO_{payment.id:06d}")
    assert asks(box) == [10]


def test_a_phone_is_not_rung_minutes_after_a_power_cut(box):
    payment = box.pending()
    assert payments.may_prompt(payment, box.now)
    assert payments.may_prompt(payment, box.after(minutes=3))
    assert not payments.may_prompt(payment, box.after(seconds=1))
    assert not payments.may_prompt(box.prompted(box.juma), box.now)


def test_a_push_that_was_refused_tells_the_guest(box):
    payment = box.pending()
    payments.record_push_refused(payment.id, "wrong credentials", box.now)
    assert (fresh(payment).state, fresh(payment).result_code) == ("failed", "push-refused")
    assert box.events("payment.failed")[0]["words"] == "wrong credentials"


def test_a_push_whose_answer_was_lost_is_taken_as_ringing(box):
    payment = box.pending()
    payments.record_push_unconfirmed(payment.id, "silence", box.now)
    assert fresh(payment).state == "prompted"
    assert asks(box) == []
    assert box.call(payment) == "paid"
    assert fresh(payment).checkout_request_id


def test_a_push_answered_after_the_callback_changes_nothing(box):
    payment = box.pending()
    assert box.call(payment) == "paid"
    payments.record_prompted(payment.id, box.answer_to(payment), box.poll_s, box.now)
    assert (fresh(payment).state, fresh(payment).disputed) == ("paid", False)
    assert asks(box) == [30]  # only the confirmation


def test_a_push_answered_with_another_name_than_the_callbacks_is_looked_at_by_a_person(box):
    payment = box.pending()
    box.call(payment)
    payments.record_prompted(payment.id, PushAnswer("ws_CO_other", "m"), box.poll_s, box.now)
    assert (fresh(payment).state, fresh(payment).disputed) == ("paid", True)
    assert fresh(payment).checkout_request_id == box.answer_to(payment).checkout_request_id


def test_a_name_that_belongs_to_another_payment_is_not_taken(box):
    first, second = box.prompted(), box.pending(box.juma)
    payments.record_prompted(second.id, box.answer_to(first), box.poll_s, box.now)
    assert (fresh(second).checkout_request_id, fresh(second).state) == (None, "prompted")


# The answers


def test_failed_is_told_once(box):
    payment = box.prompted()
    assert box.call(payment, box.result(payment, "1032")) == "failed"
    box.answer(payment, "failed", "1032")
    assert (fresh(payment).state, fresh(payment).result_code) == ("failed", "1032")
    assert len(box.events("payment.failed")) == 1


def test_the_plan_of_questions_is_the_list_then_daily_for_three_days_then_none(box):
    payment = box.prompted()
    began, times = box.now, []
    while asks(box):
        step = wait_for_ask(box, payment)
        times.append((step, (box.now - began).total_seconds()))
        box.answer(payment, "unknown", step=step)
        payments.expire_if_due(box.now)
    day = 86400
    assert times == [(0, 10), (1, 20), (2, 35), (3, 35 + day), (4, 35 + 2 * day), (5, 35 + 3 * day)]
    assert fresh(payment).state == "expired"
    assert fresh(payment).asked == 6


def test_success_days_later_is_served(box, gate):
    payment = box.prompted()
    for _ in range(5):
        step = wait_for_ask(box, payment)
        box.answer(payment, "pending", "4999", step=step)
        payments.expire_if_due(box.now)
    assert fresh(payment).state == "expired"
    wait_for_ask(box, payment)
    box.answer(payment, "paid", "0", step=5)
    assert fresh(payment).state == "paid"
    assert (Grant.select().count(), Message.select().count()) == (1, 1)
    assert asks(box) == []


def test_questions_out_of_turn_spend_none_of_the_plan(box):
    payment = box.prompted()
    for _ in range(30):
        asking.hint(payment, box.now)
        wait_for_ask(box, payment, "hint")
        box.answer(payment, "pending", "4999")
    assert wait_for_ask(box, payment) == 0


def test_a_hint_while_the_plan_was_lost_takes_it_up_again(box):
    payment = box.prompted()
    take_ask(box, f"ask:{payment.id}")
    box.answer(payment, "pending")
    assert asks(box) == [10]


def test_hints_again_and_again_ask_once_in_half_a_minute(box):
    payment = box.prompted()
    asking.hint(payment, box.now)
    asking.hint(payment, box.now)
    assert sorted(asks(box)) == [0, 10]
    take_ask(box, f"hint:{payment.id}")
    box.answer(payment, "unknown")
    asking.hint(fresh(payment), box.after(seconds=5))
    assert sorted(asks(box)) == [5, 25]


def test_when_m_pesa_can_not_be_reached_the_plan_goes_on(box):
    payment = box.prompted()
    steps = []
    for _ in range(3):
        steps.append(wait_for_ask(box, payment))
        payments.record_unanswered(payment.id, box.poll_s, box.now, steps[-1])
    assert (steps, asks(box)) == ([0, 1, 2], [86400])
    step = wait_for_ask(box, payment)
    payments.record_unanswered(payment.id, box.poll_s, box.now, step)
    assert (step, asks(box)) == (3, [3600])  # a daily question is not spent on a bad line
    assert wait_for_ask(box, payment) == 3
    box.after(days=7)
    payments.record_unanswered(payment.id, box.poll_s, box.now, 3)
    assert asks(box) == []


def test_a_callback_is_confirmed_when_nobody_waits(box):
    payment = box.paid()
    assert [(job.unique_key, job.priority) for job in box.jobs("payment.ask", *jobs.OPEN)] == [
        (f"confirm:{payment.id}", jobs.LOW)
    ]
    assert asks(box) == [30]
    wait_for_ask(box, payment, "confirm")
    box.answer(payment, "paid", "0")
    assert fresh(payment).confirmed_at == box.now
    assert asks(box) == []


def test_a_confirmation_is_asked_for_twice_as_late_each_time_for_three_days(box):
    payment = box.paid()
    waits = []
    while asks(box):
        waits += asks(box)
        wait_for_ask(box, payment, "confirm")
        if len(waits) % 2:
            box.answer(payment, "unknown")
        else:
            payments.record_unanswered(payment.id, box.poll_s, box.now)
    assert waits[:5] == [30, 30, 60, 120, 240]
    assert max(waits) == 86400 and 86400 * 3 <= sum(waits) <= 86400 * 4
    assert (fresh(payment).state, fresh(payment).confirmed_at) == ("paid", None)


def test_what_m_pesa_denies_later_is_flagged_and_never_taken_back(box):
    payment = box.paid()
    for _ in range(3):
        box.answer(payment, "failed", "1032")
    assert (fresh(payment).state, fresh(payment).disputed) == ("paid", True)
    assert len(box.events("payment.disputed")) == 1
    assert box.grant(payment).state == "live"


def test_an_answer_by_query_learns_its_receipt_from_the_late_callback(box):
    payment = box.prompted()
    box.answer(payment, "paid", "0")
    assert (fresh(payment).receipt, fresh(payment).witness) == (None, "query")
    assert box.call(payment, box.result(payment, receipt="UC25TABCDE")) == "already paid"
    assert fresh(payment).receipt == "UC25TABCDE"
    assert (Grant.select().count(), Message.select().count()) == (1, 1)


def test_nobody_waits_for_an_answer_for_ever(box):
    payment = box.prompted()
    assert payments.expire_if_due(box.after(minutes=3)) == 0
    assert payments.expire_if_due(box.after(seconds=1)) == 1
    assert (fresh(payment).state, payments.expire_if_due(box.now)) == ("expired", 0)
    assert box.pending().id != payment.id


def test_the_three_minutes_count_from_the_ring(box):
    payment = box.pending()
    box.after(minutes=2)
    payments.record_prompted(payment.id, box.answer_to(payment), box.poll_s, box.now)
    assert payments.expire_if_due(box.after(minutes=2)) == 0
    assert payments.expire_if_due(box.after(minutes=2)) == 1


def test_a_payment_begun_by_a_clock_that_ran_ahead_blocks_nobody(box):
    box.now += timedelta(days=3650)
    payment = box.prompted()
    box.now -= timedelta(days=3650)
    assert payments.expire_if_due(box.now) == 1
    assert box.pending().id != payment.id
    assert box.call(payment) == "paid"


def test_a_person_may_have_m_pesa_asked_again(box):
    payment = box.pending()
    with pytest.raises(BadInput, match="never told us"):
        asking.recheck(payment, box.now)
    payment = box.prompted(box.juma)
    payment.put(asked_at=box.now)
    asking.hint(payment, box.now)
    asking.recheck(payment, box.now)
    [job] = [job for job in box.jobs("payment.ask", "waiting") if job.unique_key == f"hint:{payment.id}"]
    assert (job.priority, job.run_at) == (jobs.HIGH, box.now)


@pytest.mark.parametrize("price, amount", [(2000, 20), (100, 1), (25_000_000, 250_000)])
def test_money_stays_in_whole_cents(box, price, amount):
    Plan.update(price_cents=price).execute()
    payment = box.paid()
    assert (payment.amount_cents, type(payment.amount_cents)) == (price, int)
    assert box.events("payment.processed")[0]["amount"] == amount


def test_the_price_is_the_one_the_guest_saw(box):
    payment = box.prompted()
    Plan.update(price_cents=9900, seconds=60).execute()
    assert box.call(payment) == "paid"
    assert fresh(payment).amount_cents == 2000


# The one rate that all workers share


def turn(box, **how):
    """Seconds until the turn; 0 for one that was taken."""
    free_at = throttle.take("mpesa.query", 5, box.now, **how)
    return 0 if free_at is None else round((free_at - box.now).total_seconds())


def test_five_a_minute_are_five_a_minute(box, at_once):
    assert sorted(at_once(lambda _: turn(box), 8)) == [0] + [12] * 7
    box.after(seconds=11)
    assert turn(box) == 1
    box.after(seconds=1)
    assert [turn(box), turn(box)] == [0, 12]


def test_who_can_wait_is_given_a_turn_of_his_own(box):
    assert [turn(box, can_wait=True) for _ in range(5)] == [0, 12, 24, 36, 48]
    assert turn(box) == 12  # and a guest who waits is not sent to the end of that line
    box.after(seconds=12)
    assert turn(box, can_wait=True) == 0


def test_a_clock_put_back_stops_nobody_for_years(box):
    box.now += timedelta(days=3650)
    assert [turn(box), turn(box, can_wait=True)] == [0, 12]
    box.now -= timedelta(days=3650)
    assert [turn(box), turn(box, can_wait=True), turn(box, can_wait=True)] == [0, 12, 24]


# The text


@pytest.fixture
def shop():
    before = texts.catalogue.shop
    yield lambda name: texts.catalogue.configure("en", name)
    texts.catalogue.configure("en", before)


@pytest.mark.parametrize(
    "name, kept",
    [
        ("Njeri's WiFi", "Njeri's WiFi: KSh 20"),
        ("Njeri’s — Café “Uhuru”", "Njeri's - Café \"Uhuru\": KSh 20"),
        ("Ñandú Wi‑Fi ☕🔥", "Ñandu Wi-Fi: KSh 20"),
        ("☕🔥", "WiFi: KSh 20"),
        ("متجر", "WiFi: KSh 20"),
        ("Mama Njeri Wanjiku General Stores, Cyber Café, Photo Studio, M-Pesa and Fast Internet at the Old Market "
         "Road opposite the Stage, Kahawa West, Nairobi", "Mama Njeri Wanjiku General"),
        ("{braces} [and] ~more~ €", "{braces} [and] ~more~ €: KSh 20"),
    ],
)  # fmt: skip
def test_the_text_fits_one_segment_and_the_code_is_whole(box, shop, name, kept):
    shop(name)
    payment = box.paid()
    text = Message.get().text
    assert text.startswith(kept)
    assert count_segments(text) == 1
    grant = box.grant(payment)
    assert f"Code {grant.username} PIN {grant.password}" in text and payment.receipt in text


@given(st.text(max_size=300))
def test_whatever_the_shop_is_called_the_code_is_sent_in_one_segment(name):
    rest = ": KSh 250,000 received, UC25TABCDE. Code ABCDEFGH PIN 0427"
    text = messages.in_one_segment(lambda shop: shop + rest, name)
    assert count_segments(text) == 1
    assert text.endswith(rest)


def test_a_text_that_is_too_long_by_itself_keeps_its_code(box):
    assert messages.in_one_segment(lambda shop: shop + "x" * 300 + "CODE", "Njeri").endswith("CODE")


def test_a_text_tells_once_what_became_of_it(box):
    message = box.paid().messages.get()
    messages.mark_unconfirmed(message.id, "the modem fell silent", box.now)
    messages.mark_failed(message.id, "late", box.now)
    messages.mark_unconfirmed(message.id, "again", box.now)
    assert (Message.get().state, len(box.events("sms.unconfirmed")), box.events("sms.failed")) == ("unconfirmed", 1, [])
    messages.mark_sent(message.id, "modem", "17", box.now)  # late news: it did leave
    messages.mark_failed(message.id, "no", box.now)
    assert (Message.get().state, Message.get().reference) == ("sent", "17")


def test_a_line_of_turns_given_by_a_clock_that_ran_ahead_is_forgotten(box):
    right = box.now
    box.now += timedelta(minutes=10)
    for _ in range(3):
        throttle.take("mpesa.query", 5, box.now, can_wait=True)
    box.now = right
    assert throttle.take("mpesa.query", 5, box.now) is None
    assert throttle.take("mpesa.query", 5, box.now, can_wait=True) == box.now + timedelta(seconds=12)
