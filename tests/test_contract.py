"""Our contract, line by line (1, 2 and 5 stand in test_inbox.py, 10 in test_clock.py), and the news in any order."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.database import db
from edge.domain import access, asking, convergence, messages, payments
from edge.models import Event, Grant, Job, Message, Payment
from tests.test_payments import asks, fresh, wait_for_ask


def test_contract_3_paid_is_one_update_with_the_grant_and_all_that_must_follow(box, gate, at_once):
    payment = box.prompted()
    result = box.result(payment)
    outcomes = at_once(lambda _: payments.record_result(payment, result, "callback", box.now))
    assert Counter(outcomes) == {"paid": 1, "already paid": 19}
    assert (Grant.select().count(), Message.select().count()) == (1, 1)
    assert [len(box.jobs(name)) for name in ("grant.place", "sms.send")] == [1, 1]
    assert len(box.events("payment.processed")) == 1


def test_contract_3_what_breaks_on_the_way_leaves_the_payment_unpaid(box, gate, monkeypatch):
    payment = box.prompted()
    monkeypatch.setattr(messages, "promise", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        payments.record_result(payment, box.result(payment), "callback", box.now)
    assert (fresh(payment).state, Grant.select().count(), box.jobs("grant.place")) == ("prompted", 0, [])


def test_contract_4_a_sale_is_settled_with_every_device_dead(box, gate):
    """Domain has no device to call: all it leaves behind is work for others."""
    box.paid()
    assert {job.name for job in box.jobs("", "waiting", "scheduled")} == {
        "payment.prompt", "grant.place", "sms.send", "payment.ask",
    }  # fmt: skip


def test_contract_6_failed_may_become_paid_and_paid_never_failed(box):
    for state in ("failed", "expired"):
        payment = box.prompted()
        payment.put(state=state, closed_at=box.now)
        assert box.call(payment) == "paid"
        box.call(payment, box.result(payment, "1032"))
        box.answer(payment, "failed", "1032")
        payments.record_push_refused(payment.id, "late", box.now)
        payments.expire_overdue(box.after(days=1))
        assert fresh(payment).state == "paid"
    payment.put(state="reversed")
    assert box.call(payment) == "already paid"
    assert fresh(payment).state == "reversed"


def test_contract_7_a_grant_is_wanted_on_its_router_until_it_is_there(box, gate):
    payment = box.paid()
    for days in range(1, 40):
        Job.update(state="failed").where(Job.name == "grant.place").execute()
        access.record_not_placed(box.grant(payment).id, gate.id, "no answer", box.now)
        convergence.sweep_if_due(box.after(days=1))
        assert len(box.jobs("grant.place", "waiting")) == 1, days
    assert len(box.events("provisioning.failed")) == 1
    access.record_placed(box.grant(payment).id, gate.id, box.now)
    assert access.seconds_left(box.grant(payment), box.now) == 3600


def test_contract_8_one_bad_payment_delays_no_other(box, gate, shared_writer, at_once, monkeypatch):
    sales = [box.prompted(f"2547{n:08d}") for n in range(12)]
    results = [box.result(payment) for payment in sales]
    promise = access.promise

    def breaks_for_one(payment, now):
        if payment.id == sales[5].id:
            db.execute_sql("SELECT * FROM nowhere")
        return promise(payment, now)

    monkeypatch.setattr(access, "promise", breaks_for_one)
    outcomes = at_once(lambda n: payments.record_result(sales[n], results[n], "callback", box.now), 12)
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["paid"] * 11
    assert "nowhere" in str(outcomes[5])


def test_contract_9_without_a_callback_the_box_asks_by_its_list(box, gate):
    payment = box.prompted()
    box.answer(payment, "pending", "4999", wait_for_ask(box, payment))
    box.answer(payment, "paid", "0", wait_for_ask(box, payment))
    assert (fresh(payment).state, fresh(payment).witness) == ("paid", "query")
    assert fresh(payment).confirmed_at is not None
    assert asks(box) == []


# Any order of news


NEWS = st.lists(
    st.sampled_from(
        ["callback ok", "callback ok again", "callback no", "bare callback", "query ok", "query no", "query pending",
         "query unknown", "no line", "wait", "push answered", "push lost", "hint", "forged amount", "recheck", "sweep"]
    ),
    min_size=1, max_size=14,
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NEWS)
def test_in_whatever_order_the_news_comes_it_is_paid_once_if_anybody_trustworthy_says_so(box, news):
    with db.atomic("IMMEDIATE") as everything:
        tell_story(box, news)
        everything.rollback()


def tell_story(box, news):
    payment = box.pending("2547" + f"{Payment.select().count():08d}")
    ok = box.result(payment, receipt=f"UC{payment.id:08d}")
    no = box.result(payment, "1032")
    was_paid = proven = False
    for number, event in enumerate(news):
        before = Job.select().count(), Event.select().count()
        named = fresh(payment).checkout_request_id is not None
        if event.startswith("callback ok"):
            box.call(payment, ok, body=b"ok" if event.endswith("again") else f"{number}".encode())
            proven = True
        elif event == "callback no":
            box.call(payment, no, body=f"{number}".encode())
        elif event == "bare callback":
            box.call(None, ok, body=f"{number}".encode())
        elif event == "forged amount":
            forged = box.result(payment, amount_cents=100)
            box.call(payment, forged, body=f"{number}".encode())
        elif event.startswith("query") and named:
            box.answer(payment, {"ok": "paid", "no": "failed"}.get(event[6:], event[6:]), step=number % 4)
            proven = proven or event == "query ok"
        elif event == "no line" and named:
            payments.record_unanswered(payment.id, box.poll_s, box.now, number % 4)
        elif event == "wait":
            payments.expire_if_due(box.after(minutes=4))
        elif event == "push answered":
            payments.record_prompted(payment.id, box.answer_to(payment), box.poll_s, box.now)
        elif event == "push lost":
            payments.record_push_unconfirmed(payment.id, "silence", box.now)
        elif event == "hint":
            asking.hint(fresh(payment), box.now)
        elif event == "recheck" and named:
            asking.recheck(fresh(payment), box.now)
        elif event == "sweep":
            convergence.sweep_if_due(box.now)
        now = fresh(payment)
        assert (now.state == "paid") is proven, (event, now.state)
        assert not (was_paid and now.state != "paid")
        was_paid = now.state == "paid"
        assert Grant.select().where(Grant.payment == payment).count() == int(proven)
        assert Message.select().where(Message.payment == payment).count() == int(proven)
        assert now.receipt in (None, ok.receipt)
        assert Job.select().count() - before[0] <= 4 and Event.select().count() - before[1] <= 2
    told = [event.data for event in Event.select().where(Event.name == "payment.processed")]
    assert sum(data["payment"] == payment.id for data in told) == int(proven)
