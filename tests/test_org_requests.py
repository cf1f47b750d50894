"""Questions and orders to M-Pesa: promised once, sent once, believed at their own address, in doubt never unseen."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge import database, jobs
from edge.__main__ import edge
from edge.devices.mpesa_read import read_org_result
from edge.domain import org_inbox, org_requests
from edge.errors import BadInput
from edge.models import Inbox, Job, Payment
from edge.money_models import OrgRequest, Receipt
from edge.settings import Settings
from edge.settings_sections import Mpesa, Web
from edge.simulators.mpesa import MpesaSimulator
from edge.values.org_api import OrgAnswer, OrgResult
from edge.web import WebServer, build
from edge.worker import work_once
from tests.web_client import Browser

ANSWER = OrgAnswer("1236-7134259-1", "AG_20261105_1234409f86436c583e3f")


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    """Each test has the hooks for itself."""
    kept = dict(org_requests.on_result), dict(org_requests.on_trouble)
    org_requests.on_result.clear()
    org_requests.on_trouble.clear()
    yield
    for table, before in zip((org_requests.on_result, org_requests.on_trouble), kept, strict=True):
        table.clear()
        table.update(before)


def held(box: Any, code: str = "UC25TABCD1", cents: int = 2000) -> Receipt:
    return Receipt.create(code=code, amount_cents=cents, msisdn=box.asha, witnesses=["c2b"], created_at=box.now)


def fresh(request: OrgRequest) -> OrgRequest:
    return OrgRequest.get_by_id(request.id)


def result(code: str = "0", answer: OrgAnswer = ANSWER, **parameters: str) -> OrgResult:
    told = {name: [value] for name, value in parameters.items()}
    return OrgResult(
        "", code, "as M-Pesa says", answer.originator_conversation_id, answer.conversation_id, "UC2TRESULT", told
    )


def body_of(told: OrgResult) -> bytes:
    listed = [{"Key": key, "Value": value} for key, values in told.parameters.items() for value in values]
    return json.dumps({"Result": {
        "ResultType": 0, "ResultCode": told.result_code, "ResultDesc": told.words, "TransactionID": told.receipt,
        "OriginatorConversationID": told.originator_conversation_id, "ConversationID": told.conversation_id,
        "ResultParameters": {"ResultParameter": listed},
    }}).encode()  # fmt: skip


def test_a_question_is_promised_once_while_it_is_under_way(box):
    receipt = held(box)
    first = org_requests.promise_status(receipt, box.now)
    assert org_requests.promise_status("uc25tabcd1 ", box.now).id == first.id
    assert (first.code, first.receipt, first.state, len(first.secret)) == ("UC25TABCD1", receipt, "wanted", 40)
    [job] = box.jobs("mpesa.status")
    assert (job.args, job.queue) == ({"request_id": first.id}, "payments")
    org_requests.record_sent(first.id, ANSWER, box.now)
    org_requests.record_result(first.id, result(), box.now)
    assert org_requests.promise_status(receipt, box.now).id != first.id


def test_without_a_receipt_there_is_nothing_to_ask_or_to_send_back(box):
    payment = box.prompted()
    with pytest.raises(BadInput):
        org_requests.promise_status(payment, box.now)
    with pytest.raises(BadInput):
        org_requests.promise_reversal(payment, 2000, None, box.now)
    assert box.jobs("mpesa.status") == box.jobs("mpesa.reverse") == []


def test_a_payment_is_sent_back_once_and_never_more_than_it_was(box):
    payment = box.paid()
    for cents in (0, -100, 2100, 1050):
        with pytest.raises(BadInput):
            org_requests.promise_reversal(payment, cents, None, box.now)
    first = org_requests.promise_reversal(payment, 2000, None, box.now)
    assert (first.code, first.payment, first.msisdn, first.amount_cents) == (payment.receipt, payment, box.asha, 2000)
    for state in ("wanted", "sent", "unconfirmed", "timed-out", "done"):
        first.put(state=state)
        with pytest.raises(BadInput):
            org_requests.promise_reversal(Payment.get_by_id(payment.id), 100, None, box.now)
    first.put(state="failed")
    assert org_requests.promise_reversal(payment, 2000, None, box.now).id != first.id


def test_a_pay_out_bears_an_id_of_ours_and_its_limits_are_m_pesas(box):
    for cents in (900, 25_000_100, 1050):
        with pytest.raises(BadInput):
            org_requests.promise_pay_out(box.asha, cents, "refund", box.now)
    one, other = (org_requests.promise_pay_out(box.asha, 1000, "refund", box.now) for _ in range(2))
    assert one.originator_id != other.originator_id and "-" in one.originator_id


def test_a_result_counts_once_and_tells_whoever_waits_for_it(box):
    heard = []
    org_requests.on_result["status"] = lambda row, told, now: heard.append((row.state, told.result_code)) or "credited"
    request = org_requests.promise_status(held(box), box.now)
    org_requests.record_sent(request.id, ANSWER, box.now)
    assert fresh(request).state == "sent"
    assert org_requests.record_result(request.id, result(Amount="20.00"), box.now) == "credited"
    assert org_requests.record_result(request.id, result("2001"), box.now) == "told before"
    done = fresh(request)
    assert (done.state, done.result["parameters"], heard) == ("done", {"Amount": ["20.00"]}, [("done", "0")])


def test_a_result_may_be_faster_than_the_word_that_it_was_sent(box):
    request = org_requests.promise_reversal(held(box), 2000, None, box.now)
    assert org_requests.record_result(request.id, result(), box.now) == "done"
    org_requests.record_sent(request.id, ANSWER, box.now)
    assert (fresh(request).state, fresh(request).originator_id) == ("done", "1236-7134259-1")


def test_a_result_of_another_order_changes_nothing(box):
    request = org_requests.promise_reversal(held(box), 2000, None, box.now)
    org_requests.record_sent(request.id, ANSWER, box.now)
    stray = result(answer=OrgAnswer("another", "AG_another"))
    assert org_requests.record_result(request.id, stray, box.now) == "of another request"
    assert org_requests.record_timeout(request.id, stray, box.now) == "of another request"
    assert fresh(request).state == "sent"
    half = result(answer=OrgAnswer("another", ANSWER.conversation_id))
    assert org_requests.record_result(request.id, half, box.now) == "done"


@pytest.mark.parametrize(
    ("code", "state"),
    [("0", "done"), ("R000001", "done"), ("R000002", "failed"), ("1", "failed"), ("26", "failed"),
     ("100000003", "unconfirmed")],
)  # fmt: skip
def test_what_a_reversals_result_means(box, code, state):
    request = org_requests.promise_reversal(held(box), 2000, None, box.now)
    org_requests.record_sent(request.id, ANSWER, box.now)
    org_requests.record_result(request.id, result(code), box.now)
    assert fresh(request).state == state
    assert box.events("money.order_ended")[0]["state"] == state


def test_a_lost_answer_is_a_doubt_that_a_later_result_settles(box):
    troubled = []
    org_requests.on_trouble["reversal"] = lambda row, now: troubled.append((row.state, row.words))
    request = org_requests.promise_reversal(held(box), 2000, None, box.now)
    org_requests.record_unconfirmed(request.id, "the answer was lost", box.now)
    assert troubled == [("unconfirmed", "the answer was lost")]
    assert box.events("money.order_in_doubt")[0]["receipt"] == "UC25TABCD1"
    assert box.jobs("mpesa.status") == []  # M-Pesa's status of the payment would not tell
    assert org_requests.record_result(request.id, result(), box.now) == "done"


def test_a_pay_out_in_doubt_is_asked_about_and_settled_by_the_answer(box):
    settled = []
    org_requests.on_result["pay_out"] = lambda row, told, now: settled.append(told.first("TransactionReceipt")) or "ok"
    org_requests.on_result["status"] = lambda *told: pytest.fail("no receipt of a guest was asked about")
    order = org_requests.promise_pay_out(box.asha, 1000, "refund", box.now)
    org_requests.record_unconfirmed(order.id, "the answer was lost", box.now)
    [job] = box.jobs("mpesa.status")
    question = OrgRequest.get_by_id(job.args["request_id"])
    assert (question.code, job.run_at) == (order.originator_id, box.now + timedelta(minutes=1))
    unknown = result(answer=OrgAnswer("q", "AG_q"), TransactionStatus="Authorized")
    assert "says nothing" in org_requests.record_result(question.id, unknown, box.now)
    assert (fresh(order).state, settled) == ("unconfirmed", [])
    again = org_requests.promise_status(fresh(order), box.now)
    completed = result(TransactionStatus="Completed", ReceiptNo="UC2PAYOUT1", Amount="10.00")
    assert org_requests.record_result(again.id, completed, box.now) == "pay-out: ok"
    assert (fresh(order).state, settled) == ("done", ["UC2PAYOUT1"])
    assert org_requests.paid_out(fresh(order)) == "UC2PAYOUT1"


def test_refused_is_the_end_and_expired_in_the_queue_is_not(box):
    receipts = held(box, "UC2A00"), held(box, "UC2B00")
    refused, expired = (org_requests.promise_reversal(receipt, 2000, None, box.now) for receipt in receipts)
    org_requests.record_refused(refused.id, "Bad Request - Invalid Amount", box.now)
    assert (fresh(refused).state, fresh(refused).words) == ("failed", "Bad Request - Invalid Amount")
    assert org_requests.record_result(refused.id, result(), box.now) == "told before"
    org_requests.record_sent(expired.id, ANSWER, box.now)
    assert org_requests.record_timeout(expired.id, result("1"), box.now) == "timed out"
    assert org_requests.record_timeout(expired.id, result("1"), box.now) == "told before"
    assert fresh(expired).state == "timed-out"
    assert org_requests.record_result(expired.id, result(), box.now) == "done"


def test_nobody_waits_for_ever_for_a_result(box):
    question = org_requests.promise_status(held(box), box.now)
    order = org_requests.promise_pay_out(box.asha, 1000, "refund", box.now)
    org_requests.record_sent(question.id, ANSWER, box.now)
    org_requests.record_sent(order.id, OrgAnswer("x", "AG_x"), box.now)
    assert org_requests.expire_if_due(box.after(minutes=9)) == 0
    assert org_requests.expire_if_due(box.after(minutes=2)) == 1
    assert (fresh(question).state, fresh(order).state) == ("timed-out", "sent")
    asked = [job for job in box.jobs("mpesa.status", *jobs.OPEN) if job.args["request_id"] != question.id]
    assert len(asked) == 1 and asked[0].run_at > box.now  # asked anew, later
    assert org_requests.expire_if_due(box.after(minutes=50)) == 1
    assert fresh(order).state == "unconfirmed"


def test_a_question_is_asked_anew_a_few_times_and_then_left_to_people(box):
    org_requests.promise_status("UC25TABCD1", box.now)
    for _ in range(10):
        box.after(days=1)
        for row in list(OrgRequest.select().where(OrgRequest.state == "wanted")):
            org_requests.record_sent(row.id, OrgAnswer("", ""), box.now)
        org_requests.expire_if_due(box.after(minutes=11))
    assert OrgRequest.select().count() == org_requests.MOST_QUESTIONS


def test_an_outage_is_waited_for_with_longer_and_longer_pauses(box):
    request = org_requests.promise_status("UC25TABCD1", box.now)
    pauses = []
    for _ in range(12):
        Job.update(state="done").where(Job.name == "mpesa.status", Job.state.in_(jobs.OPEN)).execute()
        org_requests.record_unasked(request.id, "could not be reached", box.now)
        waiting = box.jobs("mpesa.status", *jobs.OPEN)
        if not waiting:
            break
        pauses.append(waiting[0].run_at - box.now)
        box.after(seconds=pauses[-1].total_seconds())
    assert pauses[0] == timedelta(seconds=30) and pauses == sorted(pauses) and fresh(request).state == "wanted"
    org_requests.record_unasked(request.id, "could not be reached", box.after(days=3))
    assert fresh(request).state == "failed"


# At the door.


@pytest.fixture
def mpesa_caller(settings: Settings) -> Browser:
    return Browser(build(settings), "196.201.214.200")


def post(caller: Browser, path: str, body: bytes) -> Any:
    return caller.call("POST", path, body=body, kind="application/json")


def now() -> datetime:
    return datetime.now(UTC)


def test_a_result_is_kept_raw_acknowledged_and_settled_once(settings: Settings, mpesa_caller: Browser) -> None:
    request = org_requests.promise_status("UC25TABCD1", now())
    org_requests.record_sent(request.id, ANSWER, now())
    path, body = f"/cb/{request.secret}/result", body_of(result(Amount="20.00"))
    for _ in range(2):
        answer = post(mpesa_caller, path, body)
        assert (answer.status, answer.json["ResultCode"]) == (200, 0)
    row = Inbox.get()
    assert (bytes(row.body), row.kind, row.outcome, row.repeats, row.is_proof) == (body, "org", "done", 1, True)
    assert fresh(request).state == "done"


def test_the_timeout_address_ends_nothing_for_good(settings: Settings, mpesa_caller: Browser) -> None:
    request = org_requests.promise_pay_out("254712345678", 1000, "refund", now())
    answer = post(mpesa_caller, f"/cb/{request.secret}/timeout", b'{"Result":{"ResultDesc":"expired"}}')
    assert (answer.status, fresh(request).state, Inbox.get().outcome) == (200, "timed-out", "timed out")


def test_strangers_too_long_and_unreadable_posts(settings: Settings, mpesa_caller: Browser) -> None:
    request = org_requests.promise_status("UC25TABCD1", now())
    body = body_of(result())
    assert post(mpesa_caller, f"/cb/{'0' * 40}/result", body).status == 404
    assert Inbox.select().count() == 0
    assert post(mpesa_caller, f"/cb/{request.secret}/result", b"x" * (64 * 1024 + 1)).status == 413
    assert post(mpesa_caller, f"/cb/{request.secret}/result", b"<html>").status == 400
    assert [row.outcome[:10] for row in Inbox.select().order_by(Inbox.id)] == ["longer tha", "unreadable"]
    assert fresh(request).state == "wanted"


def test_an_address_off_the_list_proves_nothing(settings: Settings) -> None:
    strict = replace(settings, mpesa=replace(settings.mpesa, callback_allow=("196.201.214.0/24",)))
    request = org_requests.promise_status("UC25TABCD1", now())
    answer = post(Browser(build(strict), "203.0.113.9"), f"/cb/{request.secret}/result", body_of(result()))
    assert (answer.status, fresh(request).state) == (200, "wanted")
    row = Inbox.get()
    assert (row.outcome, row.is_proof) == ("address not on the list", False)


def test_what_can_not_be_settled_now_is_kept_and_settled_later(settings: Settings, mpesa_caller: Browser) -> None:
    request = org_requests.promise_status("UC25TABCD1", now())
    body = body_of(result())
    org_requests.on_result["status"] = lambda *told: 1 / 0  # type: ignore[assignment, return-value]
    assert post(mpesa_caller, f"/cb/{request.secret}/result", body).status == 200
    row = Inbox.get()
    assert (row.outcome, fresh(request).state) == ("to be settled: ZeroDivisionError", "wanted")
    assert Job.select().where(Job.name == "inbox.settle").count() == 1
    org_requests.on_result["status"] = lambda *told: "credited"
    for _ in range(2):
        org_inbox.settle_again(row.id, read_org_result(bytes(row.body)), now())
    assert (Inbox.get().outcome, fresh(request).state) == ("credited", "done")


# The whole way: rows, jobs, the wire, the result's address.


@pytest.fixture
def live(settings: Settings, tmp_path: Path) -> Iterator[tuple[Settings, MpesaSimulator]]:
    """The box's web server, and a pretend M-Pesa that finds it."""
    database.writer.start()
    server = WebServer(replace(settings, web=Web(host="127.0.0.1", port=0)))
    server.start()
    with MpesaSimulator(seed=3) as mpesa:
        (tmp_path / "certificate.pem").write_bytes(mpesa.initiator.certificate_pem)
        told = Mpesa(
            base_url=mpesa.base_url, consumer_key="edge-rehearsal", consumer_secret="edge-rehearsal", c2b="v2",
            initiator=mpesa.initiator.name, initiator_password=mpesa.initiator.password, timeout_s=5.0,
            certificate_file=str(tmp_path / "certificate.pem"),
        )  # fmt: skip
        yield replace(settings, mpesa=told, web=Web(public_url=f"http://127.0.0.1:{server.port}")), mpesa
    server.stop()
    database.writer.stop()


def done(told: Settings, mpesa: MpesaSimulator, request: OrgRequest) -> OrgRequest:
    work_once(told, ("payments",))
    assert mpesa.wait_until_quiet()
    return fresh(request)


def test_a_receipt_is_asked_about_and_the_money_sent_back(live: Any) -> None:
    told, mpesa = live
    code = mpesa.pay_by_hand("254712345678", 20, "WIFI7K2Q")
    receipt = Receipt.create(code=code, amount_cents=2000, msisdn="254712345678", created_at=now())
    question = done(told, mpesa, org_requests.promise_status(receipt, now()))
    assert (question.state, question.result["parameters"]["ReceiptNo"]) == ("done", [code])
    order = done(told, mpesa, org_requests.promise_reversal(receipt, 2000, None, now()))
    assert (order.state, mpesa.statement_rows()[-1].linked) == ("done", code)


def test_a_pay_out_whose_answer_was_lost_is_found_by_asking(live: Any) -> None:
    told, mpesa = live
    mpesa.pay_by_hand("254712345678", 500, "X")
    mpesa.lose_org_answer, mpesa.org_outcome = True, "silent"
    order = done(told, mpesa, org_requests.promise_pay_out("254712345678", 10000, "refund", now()))
    assert order.state == "unconfirmed"
    assert Job.get(Job.name == "mpesa.pay_out").state == "failed"
    mpesa.lose_org_answer, mpesa.org_outcome = False, "result"
    Job.update(run_at=now(), state="waiting").where(Job.name == "mpesa.status").execute()
    assert done(told, mpesa, order).state == "done"
    assert [row.kind for row in mpesa.statement_rows()] == ["payment", "pay_out"]
    assert org_requests.paid_out(fresh(order)) == mpesa.statement_rows()[-1].receipt


def test_an_outage_leaves_the_question_waiting_and_an_order_undone(live: Any) -> None:
    told, mpesa = live
    mpesa.outage(60)
    question = done(told, mpesa, org_requests.promise_status("UC25TABCD1", now()))
    assert (question.state, Job.select().where(Job.name == "mpesa.status", Job.state == "scheduled").count()) == (
        "wanted", 1,
    )  # fmt: skip
    order = done(told, mpesa, org_requests.promise_pay_out("254712345678", 10000, "refund", now()))
    assert (order.state, mpesa.orders) == ("wanted", [])


def test_registering_has_payments_by_hand_told_to_the_shops_own_address(live: Any) -> None:
    told, mpesa = live
    request = done(told, mpesa, org_requests.promise_register("174379", now()))
    assert (request.state, request.words) == ("done", "registered")
    assert org_requests.registered("174379") == request
    secret = org_requests.c2b_secret(now())
    assert mpesa.registrations["174379"].confirmation_url == f"{told.web.public_url}/cb/{secret}/c2b/confirmation"
    assert org_requests.is_c2b_secret(secret) and not org_requests.is_c2b_secret("")
    mpesa.register_once = True
    assert "before" in done(told, mpesa, org_requests.promise_register("174379", now())).words


@pytest.mark.parametrize(
    ("change", "words"), [({"public_url": ""}, "public_url"), ({"c2b": "off"}, "c2b"), ({"mode": "live"}, "http")]
)
def test_why_registering_can_not_work_is_told_before_m_pesa_is_asked(live: Any, change: Any, words: str) -> None:
    told, mpesa = live
    web = replace(told.web, **{name: value for name, value in change.items() if name == "public_url"})
    told = replace(told, web=web, mpesa=replace(told.mpesa, **{
        name: value for name, value in change.items() if name != "public_url"}))  # fmt: skip
    request = done(told, mpesa, org_requests.promise_register("174379", now()))
    assert request.state == "failed" and words in request.words and mpesa.registrations == {}


# For the owner, at the command line.


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs `edge` on a box of its own that does its work at once, beside a pretend M-Pesa."""
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    state = tmp_path / "box"

    def run(*words: str, stdin: str = "") -> Any:
        return CliRunner().invoke(edge, [*words, "--state", str(state)], input=stdin)

    assert run("init", "--owner", "njeri", "--password-stdin", stdin="a password of Njeri\n").exit_code == 0
    with MpesaSimulator() as mpesa:
        config = state / "edge.toml"
        config.touch(mode=0o600)
        config.write_text(
            f'[web]\npublic_url = "http://127.0.0.1:1"\n[queue]\nmode = "inline"\n[mpesa]\nc2b = "v2"\n'
            f'base_url = "{mpesa.base_url}"\nconsumer_key = "edge-rehearsal"\nconsumer_secret = "edge-rehearsal"\n'
        )
        run.mpesa = mpesa  # type: ignore[attr-defined]
        yield run


def test_the_owner_registers_by_one_command_and_the_doctor_knows(command: Any) -> None:
    before = command("doctor", "--json").stdout
    assert "edge mpesa register" in before
    told = command("mpesa", "register", "--json")
    assert (told.exit_code, json.loads(told.stdout)["state"]) == (0, "done"), told.output
    assert list(command.mpesa.registrations) == ["174379"]
    by_hand = [found for found in json.loads(command("doctor", "--json").stdout)["findings"]
               if found["part"] == "M-Pesa by hand"]  # fmt: skip
    assert [found["state"] for found in by_hand] == ["ok"]


def test_asking_without_an_initiator_says_what_to_set(command: Any) -> None:
    told = command("mpesa", "ask", "UK5T7ABCD1")
    assert told.exit_code == 1 and "set initiator" in told.stderr


def test_a_command_that_no_worker_serves_says_how_to_see_it(command: Any, tmp_path: Path) -> None:
    config = tmp_path / "box" / "edge.toml"
    config.write_text(config.read_text().replace('mode = "inline"', 'mode = "queue"'))
    told = command("mpesa", "register", "--wait", "0")
    assert told.exit_code == 0 and "waits for a worker" in told.stdout
