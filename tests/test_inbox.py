"""Everything that calls in is kept first and believed afterwards."""

import contextlib
import json
from collections import Counter
from datetime import timedelta

import peewee
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import jobs
from edge.database import db
from edge.devices.mpesa import read_stk_result
from edge.domain import access, asking, inbox, payments, settlement
from edge.errors import BadInput
from edge.models import Grant, Inbox, Job, Message, Payment
from edge.values.stk import StkResult


def fresh(payment):
    return Payment.get_by_id(payment.id)


def hints(box):
    return [job.args["payment_id"] for job in box.jobs("payment.ask", *jobs.OPEN) if job.unique_key.startswith("hint:")]


def body_of(payment, **items):
    """The wire form of success, by Safaricom's own sample."""
    told = {"Amount": 20.00, "MpesaReceiptNumber": "UK5T7ABCD1", "TransactionDate": 20261105143022,
            "PhoneNumber": int(payment.msisdn)} | items  # fmt: skip
    listed = [{"Name": name} if value is ... else {"Name": name, "Value": value} for name, value in told.items()]
    return json.dumps({"Body": {"stkCallback": {
        "MerchantRequestID": "7a1c-4e0b-9f2d-3c5d7e9f1a2b418233", "CheckoutRequestID": f"ws_CO_{payment.id:06d}",
        "ResultCode": 0, "ResultDesc": "The service request is processed successfully.",
        "CallbackMetadata": {"Item": [*listed, {"Name": "Balance"}]},
    }}}).encode()  # fmt: skip


def test_contract_1_a_call_is_kept_raw_before_it_is_believed(box):
    payment = box.prompted()
    body = body_of(payment)
    headers = {"Content-Type": "application/json;charset=UTF-8", "Businessshortcode": "174379"}
    assert box.call(payment, read_stk_result(body), body=body, headers=headers) == "paid"
    row = Inbox.get()
    assert (bytes(row.body), row.headers, row.source) == (body, headers, "196.201.214.200")
    assert (row.payment, row.outcome, row.repeats, row.received_at) == (payment, "paid", 0, box.now)


def test_contract_1_it_is_unique_by_its_address_and_body(box):
    payment = box.prompted()
    body = body_of(payment)
    result = read_stk_result(body)
    assert box.call(None, result, body=body) == "hint: asking M-Pesa"  # a forged copy, before the real one
    assert box.call(payment, result, body=body) == "paid"
    assert box.call(payment, result, body=body) == "repeat: paid"
    assert [row.repeats for row in Inbox.select().order_by(Inbox.id)] == [0, 1]


def test_contract_1_what_can_not_be_settled_now_is_kept_and_settled_later(box, monkeypatch):
    payment = box.prompted()
    body = body_of(payment)
    with monkeypatch.context() as broken:
        broken.setattr(settlement, "settle", lambda *args: 1 / 0)
        assert box.call(payment, read_stk_result(body), body=body) == "to be settled: ZeroDivisionError"
    assert fresh(payment).state == "prompted"
    [job] = box.jobs("inbox.settle", "waiting")
    inbox.settle_again(job.args["inbox_id"], read_stk_result(bytes(Inbox.get().body)), box.now)
    assert (fresh(payment).state, Inbox.get().outcome) == ("paid", "paid")


def test_what_proved_nothing_the_first_time_proves_nothing_the_second(box, monkeypatch):
    payment = box.prompted()
    with monkeypatch.context() as broken:
        broken.setattr(asking, "hint", lambda *args: 1 / 0)
        box.call(payment, trusted_source=False)
    inbox.settle_again(Inbox.get().id, box.result(payment), box.now)
    assert (fresh(payment).state, hints(box)) == ("prompted", [payment.id])


def test_when_the_disk_fills_while_settling_the_kept_call_is_settled_later(box, shared_writer, monkeypatch):
    payment = box.prompted()
    result = box.result(payment)
    before = Job.select().count()
    promise = payments.access.promise

    def with_a_large_note(payment, now):
        grant = promise(payment, now)
        pages = db.execute_sql("PRAGMA page_count").fetchone()[0]
        db.execute_sql(f"PRAGMA max_page_count = {pages}").fetchone()
        Message.create(msisdn="x", text="x" * 1_000_000, created_at=now)
        return grant

    monkeypatch.setattr(access, "promise", with_a_large_note)
    assert box.call(payment, result) == ""
    monkeypatch.undo()
    shared_writer.write(lambda: db.execute_sql("PRAGMA max_page_count = 1000000").fetchone())
    assert (Inbox.select().count(), Grant.select().count(), Job.select().count()) == (1, 0, before)
    assert inbox.promise_forgotten(box.now) == 0  # not yet: the web may still be at it
    assert inbox.promise_forgotten(box.after(seconds=4)) == 1
    [job] = box.jobs("inbox.settle", "waiting")
    inbox.settle_again(job.args["inbox_id"], result, box.now)
    assert (fresh(payment).state, Inbox.get().outcome, inbox.promise_forgotten(box.now)) == ("paid", "paid", 0)


def test_contract_2_a_checkout_and_a_receipt_belong_to_one_payment(box):
    first, second = box.paid(), box.prompted(box.juma)
    reused = box.result(second, receipt=first.receipt)
    assert box.call(second, reused) == "receipt belongs to another payment"
    assert (fresh(second).state, hints(box)) == ("prompted", [second.id])
    third = box.pending(box.njeri)
    stolen = box.result(third, checkout_request_id=first.checkout_request_id)
    assert box.call(third, stolen) == "this checkout belongs to another payment"
    assert fresh(third).state == "pending"
    for column in ("checkout_request_id", "receipt"):
        with pytest.raises(peewee.IntegrityError):
            third.put(**{column: getattr(first, column)})


def test_contract_2_a_receipt_may_be_unknown_for_days(box):
    sales = [box.prompted(msisdn) for msisdn in (box.asha, box.juma)]
    for payment in sales:
        box.answer(payment, "paid", "0")
    assert [fresh(payment).receipt for payment in sales] == [None, None]
    box.after(days=3)
    assert box.call(sales[0], box.result(sales[0], receipt="UC25TABCDE")) == "already paid"
    assert fresh(sales[0]).receipt == "UC25TABCDE"


def test_contract_5_at_the_secret_address_the_right_checkout_shop_and_amount_are_proof(box):
    payment = box.prompted()
    headers = {"Businessshortcode": "174379"}
    assert box.call(payment, headers=headers, shops=frozenset({"174379", "5555"})) == "paid"
    assert [job.unique_key for job in box.jobs("payment.ask", *jobs.OPEN)] == [f"confirm:{payment.id}"]


@pytest.mark.parametrize(
    "forged, outcome",
    [
        ({"checkout_request_id": "ws_CO_other"}, "another checkout"),
        ({"amount_cents": 100}, "another amount"),
        ({"amount_cents": 2001}, "another amount"),
        ({"amount_cents": None}, "no amount"),
        ({"msisdn": "254700000009"}, "another phone"),
    ],
)
def test_contract_5_a_callback_that_does_not_fit_is_only_a_reason_to_ask(box, forged, outcome):
    """Abuse case 1."""
    payment = box.prompted()
    assert box.call(payment, box.result(payment, **forged)) == f"{outcome}: asking M-Pesa"
    assert (fresh(payment).state, Grant.select().count(), hints(box)) == ("prompted", 0, [payment.id])
    assert not fresh(payment).disputed


@pytest.mark.parametrize(
    "how, outcome",
    [
        ({"trusted_source": False}, "address not on the list"),
        ({"headers": {"Businessshortcode": "600000"}, "shops": frozenset({"174379"})}, "another shop"),
        (None, "hint"),
    ],
)
def test_contract_5_from_elsewhere_the_right_words_are_only_a_reason_to_ask(box, how, outcome):
    """Abuse case 1: right checkout, right amount, and no proof. A failure proves as little."""
    payment = box.prompted()
    for code in ("0", "1032"):
        heard_at = payment if how else None
        assert box.call(heard_at, box.result(payment, code), **(how or {})) == f"{outcome}: asking M-Pesa"
    assert (fresh(payment).state, Grant.select().count(), hints(box)) == ("prompted", 0, [payment.id])


@pytest.mark.parametrize("told", ["2547*****678", None, "a1b2c3", "0712345678", "0254712345678"])
def test_a_masked_or_missing_phone_proves_nothing_either_way(box, told):
    payment = box.prompted()
    assert box.call(payment, box.result(payment, msisdn=told)) == "paid"


def test_a_hint_about_nobody_is_kept(box):
    unknown = StkResult("ws_CO_nobody", "m", "0", "ok")
    assert box.call(None, unknown) == "hint about an unknown checkout"
    assert (Inbox.select().count(), box.jobs("payment.ask")) == (1, [])


@pytest.mark.parametrize("shared", [True, False])
def test_a_replay_a_hundred_times_is_one_grant_and_one_text(box, gate, shared, request):
    """Abuse case 2."""
    if shared:
        request.getfixturevalue("shared_writer")
    payment = box.prompted()
    result = box.result(payment)
    outcomes = Counter(box.call(payment, result) for _ in range(100))
    assert outcomes == {"paid": 1, "repeat: paid": 99}
    assert (Grant.select().count(), Message.select().count(), len(box.jobs("grant.place"))) == (1, 1, 1)
    assert (Inbox.get().repeats, len(box.events("payment.processed"))) == (99, 1)


@pytest.mark.parametrize("same_body", [True, False])
def test_twenty_at_once_are_one_grant_and_one_text(box, gate, shared_writer, at_once, same_body):
    """Abuse case 2."""
    payment = box.prompted()
    result = box.result(payment)
    outcomes = Counter(at_once(lambda n: box.call(payment, result, body=b"x" if same_body else str(n).encode())))
    if same_body:  # a repeat may come before the first one is settled
        assert sum(count for outcome, count in outcomes.items() if outcome.startswith("repeat")) == 19
    else:
        assert outcomes == {"paid": 1, "already paid": 19}
    assert (Grant.select().count(), Message.select().count(), len(box.jobs("grant.place"))) == (1, 1, 1)


def test_twenty_at_once_without_the_writer_are_one_grant_too(box, at_once):
    payment = box.prompted()
    result = box.result(payment)
    outcomes = Counter(at_once(lambda n: box.call(payment, result, body=str(n).encode())))
    assert outcomes == {"paid": 1, "already paid": 19}
    assert Grant.select().count() == 1


def test_a_callback_before_the_answer_to_the_push_is_stored(box):
    """Abuse case 3."""
    payment = box.pending()
    assert box.call(payment) == "paid"
    payments.record_prompted(payment.id, box.answer_to(payment), box.poll_s, box.now)
    assert (fresh(payment).state, fresh(payment).checkout_request_id) == ("paid", f"ws_CO_{payment.id:06d}")
    failing = box.pending(box.juma)
    assert box.call(failing, box.result(failing, "1032")) == "failed"
    payments.record_prompted(failing.id, box.answer_to(failing), box.poll_s, box.now)
    assert fresh(failing).state == "failed"
    assert payments.may_prompt(fresh(failing), box.now) is False


def test_the_page_may_have_read_the_payment_before_the_answer_was_stored(box):
    stale = box.pending()
    payments.record_prompted(stale.id, box.answer_to(stale), box.poll_s, box.now)
    other = box.result(stale, checkout_request_id="ws_CO_other")
    assert stale.checkout_request_id is None
    assert box.call(stale, other) == "another checkout: asking M-Pesa"


def test_a_lost_answer_to_the_push_is_mended_by_the_callback(box):
    payment = box.pending()
    payments.record_push_unconfirmed(payment.id, "silence", box.now)
    assert box.call(payment, box.result(payment, amount_cents=None)) == "no amount: asking M-Pesa"
    assert (fresh(payment).state, hints(box)) == ("prompted", [payment.id])
    box.answer(payment, "paid", "0")
    assert fresh(payment).state == "paid"


@pytest.mark.parametrize("state", ["failed", "expired"])
def test_success_after_failure_is_served(box, state):
    """Abuse case 4."""
    payment = box.prompted()
    if state == "failed":
        box.call(payment, box.result(payment, "1037"))
    else:
        payments.expire_overdue(box.after(minutes=4))
    assert fresh(payment).state == state
    assert box.call(payment) == "paid"
    assert Grant.select().count() == 1


@pytest.mark.parametrize(
    "items, outcome",
    [
        ({"Amount": "20.00"}, "paid"),
        ({"Amount": "20"}, "paid"),
        ({"Amount": 20}, "paid"),
        ({"PhoneNumber": "254712345678", "TransactionDate": "20261105143022"}, "paid"),
        ({"Surprise": {"deep": [1]}, "PhoneNumber": ...}, "paid"),
        ({"Amount": ...}, "no amount: asking M-Pesa"),
        ({"Amount": 19.99}, "another amount: asking M-Pesa"),
        ({"MpesaReceiptNumber": ...}, "paid"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_odd_body_is_read_as_it_is_meant(box, items, outcome):
    """Abuse case 5."""
    payment = box.prompted()
    body = body_of(payment, **items)
    assert box.call(payment, read_stk_result(body), body=body) == outcome


@given(st.binary(max_size=400))
def test_no_body_breaks_the_reading_of_it(body):
    """Abuse case 5."""
    with contextlib.suppress(BadInput):
        read_stk_result(body)


def test_an_unreadable_body_is_kept_with_its_fault(box):
    """Abuse case 5."""
    payment = box.prompted()
    address, body = f"/cb/{payment.secret}", b"\xff" * 100_000
    call = inbox.Call(address, "1.2.3.4", {}, body, None, payment, fault="longer than 64 KB")
    assert inbox.receive(call, box.now) == "longer than 64 KB"
    row = Inbox.get()
    assert (len(row.body), row.outcome, row.payment) == (64 * 1024, "longer than 64 KB", payment)
    assert fresh(payment).state == "prompted"


def test_a_receipt_that_was_used_for_another_checkout_serves_nobody_twice(box):
    """Abuse case 6."""
    first = box.paid()
    second = box.prompted()
    for n in range(3):
        forged = box.result(second, receipt=first.receipt)
        assert box.call(second, forged, body=str(n).encode()) == "receipt belongs to another payment"
    assert Grant.select().count() == 1
    box.answer(second, "paid", "0")  # and if M-Pesa itself says so, it was another payment's receipt that was wrong
    assert (fresh(second).state, fresh(second).receipt) == ("paid", None)


def test_strangers_can_not_fill_the_card(box, monkeypatch):
    monkeypatch.setattr(inbox, "HINTS_KEPT", 5)
    payment, paid = box.prompted(), box.paid(box.juma)
    for n in range(250):
        assert box.call(None, box.result(payment), body=str(n).encode()) == "hint: asking M-Pesa"
    assert Inbox.select().where(Inbox.payment.is_null()).count() < 5 + 100
    assert Inbox.select().where(Inbox.payment == paid).count() == 1  # M-Pesa's own calls are always kept


def test_a_hint_never_asks_again_about_what_is_paid(box):
    payment = box.paid()
    box.call(None, box.result(payment))
    assert hints(box) == []
    asking.hint(fresh(payment), box.now + timedelta(days=1))
    assert hints(box) == []
