"""SMS gateways calling in: whose calls are believed, that states move forward only, and that texts reach the inbox."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from edge import database
from edge.devices.opening import Devices
from edge.domain import contacts, inbox, sms_hooks
from edge.errors import BadInput
from edge.handlers.webhooks import settle_inbox
from edge.handlers.world import World
from edge.models import Inbox, Job, Message
from edge.money_models import IncomingText
from edge.pages.counters import totals
from edge.settings_sections import AfricasTalking, HttpSms, Sms, Twilio, Web
from edge.simulators.sms_gateway import AUTH_TOKEN, CALLBACK_TOKEN, SmsGatewaySimulator, sign
from edge.simulators.sms_wires import ACCOUNT_SID, Taken
from edge.values.sms_callbacks import is_signed_by_twilio, read, read_pairs, sign_twilio
from edge.values.sms_gateway import Incoming, OptedOut, Report
from edge.web import WebServer, build
from edge.worker import work_once
from tests.shop import ASHA, JUMA, NOW
from tests.web_client import Browser

PUBLIC = "https://wifi.example.org"
SMS = Sms(
    africastalking=AfricasTalking(username="shop", api_key="k", callback_token=CALLBACK_TOKEN),
    twilio=Twilio(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, sender="+15005550006"),
    http=HttpSms(url="http://gw.test/send", callback_token=CALLBACK_TOKEN),
)
AT_HOOK, HTTP_HOOK = f"/hooks/sms/africastalking/{CALLBACK_TOKEN}", f"/hooks/sms/http/{CALLBACK_TOKEN}"
TWILIO_HOOK = "/hooks/sms/twilio"


@pytest.fixture
def told(settings):
    return replace(settings, sms=SMS, web=Web(public_url=PUBLIC))


@pytest.fixture
def gateways(told):
    """Whoever posts to the box."""
    return Browser(build(told), "203.0.113.5")


def sent(reference="A1", route="africastalking", state="sent", msisdn=ASHA, **more):
    given = {"sent_at": NOW} if state == "sent" else {"closed_at": NOW}
    return Message.create(
        msisdn=msisdn, text="Karibu", route=route, reference=reference, state=state, created_at=NOW, **given, **more
    )


def state_of(message):
    return Message.get_by_id(message.id).state


def post(gateways, path, form, query="", **headers):
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    kind = "application/x-www-form-urlencoded"
    return gateways.call("POST", path, query=query, body=body, kind=kind, headers=headers)


def twilio_post(gateways, form, query="", token=AUTH_TOKEN):
    url = PUBLIC + TWILIO_HOOK + (f"?{query}" if query else "")
    return post(gateways, TWILIO_HOOK, form, query, X_Twilio_Signature=sign(token, url, form))


def at_report(status="Success", reference="A1", **more):
    return {"id": reference, "status": status, "phoneNumber": f"+{ASHA}", "networkCode": "63902", **more}


def again(told, row, then):
    """The job that looks at a kept call once more."""
    write_down = settle_inbox(World(Devices(told), told), then, row.id)
    write_down(then)
    return Inbox.get_by_id(row.id).outcome


# Reading


@pytest.mark.parametrize(
    ("kind", "form", "wanted"),
    [
        ("africastalking", at_report(), Report("delivered", "A1", "Success", msisdn=f"+{ASHA}")),
        ("africastalking", at_report("Failed", failureReason="UserInBlackList"),
         Report("failed", "A1", "Failed UserInBlackList", True, f"+{ASHA}")),
        ("africastalking", at_report("Buffered"), Report("buffered", "A1", "Buffered", msisdn=f"+{ASHA}")),
        ("africastalking", at_report("AbsentSubscriber"),
         Report("failed", "A1", "AbsentSubscriber", msisdn=f"+{ASHA}")),
        ("africastalking", at_report("Brand new"), Report("buffered", "A1", "Brand new", msisdn=f"+{ASHA}")),
        ("africastalking", {"id": "T1", "from": "+254722000111", "to": "20880", "text": "STOP", "linkId": ""},
         Incoming("T1", "+254722000111", "STOP")),
        ("africastalking", {"senderId": "WIFI", "phoneNumber": "+254722000111"},
         OptedOut("+254722000111", "opted out at Africa's Talking of WIFI")),
        ("twilio", {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+1"},
         Report("delivered", "SM1", "delivered", msisdn="+1")),
        ("twilio", {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"},
         Report("failed", "SM1", "undelivered (30003)")),
        ("twilio", {"MessageSid": "SM1", "MessageStatus": "failed", "ErrorCode": "21610"},
         Report("failed", "SM1", "failed (21610)", True)),
        ("twilio", {"MessageSid": "SM1", "SmsStatus": "received", "From": "+254722000111", "Body": ""},
         Incoming("SM1", "+254722000111", "")),
        ("http", {"reference": "g1", "status": "DELIVRD"}, Report("delivered", "g1", "DELIVRD", ours="g1")),
        ("http", {"ID": "g1", "Status": "16"}, Report("failed", "g1", "16", ours="g1")),
        ("http", {"id": "g1", "status": "blacklisted"}, Report("failed", "g1", "blacklisted", True, ours="g1")),
        ("http", {"from": "0722000111", "text": "stop"}, Incoming("", "0722000111", "stop")),
    ],
)  # fmt: skip
def test_what_they_post_is_read(kind, form, wanted):
    assert read(kind, urlencode(form).encode()) == wanted
    if kind == "http":
        assert read(kind, json.dumps(form).encode(), "application/json") == wanted
        assert read(kind, b"", "", urlencode(form)) == wanted


@pytest.mark.parametrize("kind", ["africastalking", "twilio", "http"])
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a=1", b"&&&&", b"x" * 1000, b"&".join([b"a=1"] * 500)])
def test_what_they_never_post_is_bad_input(kind, body):
    with pytest.raises(BadInput):
        read(kind, body)
    with pytest.raises(BadInput):
        read(kind, body, "application/json")


# Of Twilio's own library (twilio 9.13.0, RequestValidator.compute_signature).
VECTOR = {
    "MessageSid": "SM0123456789abcdef0123456789abcdef", "MessageStatus": "delivered", "To": "+254712345678",
    "From": "+15005550006", "AccountSid": "AC00000000000000000000000000000000", "ApiVersion": "2010-04-01",
    "Body": "Niko hapa é😀 & +", "Empty": "",
}  # fmt: skip


def test_twilios_signature_is_that_of_its_own_library():
    url = f"{PUBLIC}{TWILIO_HOOK}?ours=edge-7-0"
    pairs = read_pairs(urlencode(VECTOR).encode())
    assert sign_twilio("12345abcde", url, pairs) == "sH+9f2151govk8inIYTTrCVrLws="
    assert is_signed_by_twilio("12345abcde", url, pairs, "sH+9f2151govk8inIYTTrCVrLws=")
    with_port = url.replace(".org", ".org:443")
    assert is_signed_by_twilio("12345abcde", url, pairs, sign_twilio("12345abcde", with_port, pairs))
    assert not is_signed_by_twilio("12345abcde", url, [*pairs, ("x", "y")], "sH+9f2151govk8inIYTTrCVrLws=")
    assert not is_signed_by_twilio("", url, pairs, sign_twilio("", url, pairs))


# The doors


def test_only_the_secret_address_or_our_tokens_signature_is_believed(gateways):
    message = sent("A1"), sent("SM1", "twilio")
    refused = totals().get("webhooks_refused", 0)
    assert post(gateways, "/hooks/sms/africastalking/guess", at_report()).status == 404
    assert post(gateways, "/hooks/sms/http/%C3%A9", at_report()).status == 404
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    assert twilio_post(gateways, form, token="another").status == 403
    assert post(gateways, TWILIO_HOOK, form).status == 403
    assert [state_of(one) for one in message] == ["sent", "sent"]
    assert totals()["webhooks_refused"] == refused + 4
    assert {(row.kind, row.outcome, row.is_proof) for row in Inbox.select()} == {
        ("sms-twilio", sms_hooks.UNSIGNED, False)
    }
    assert twilio_post(gateways, form).status == 200  # the stranger does not shadow it
    assert state_of(message[1]) == "delivered"


def test_without_a_token_there_is_no_door(settings):
    stranger = Browser(build(settings), "203.0.113.5")
    for path in ("/hooks/sms/africastalking/", "/hooks/sms/africastalking/x", "/hooks/sms/http/x", TWILIO_HOOK):
        assert post(stranger, path, at_report()).status == 404
    assert Inbox.select().count() == 0


@pytest.mark.parametrize("path", [AT_HOOK, HTTP_HOOK, TWILIO_HOOK])
def test_what_is_too_long_is_turned_away(gateways, path):
    assert post(gateways, path, b"a=" + b"x" * inbox.LIMIT).status == 413
    assert Inbox.select().count() == 0


def test_what_can_not_be_read_is_kept_and_said(gateways):
    assert post(gateways, AT_HOOK, b"nonsense").status == 400
    assert Inbox.get().outcome.startswith("unreadable")


# Reports


def test_a_report_moves_its_text_forward_once_however_often_it_comes(gateways):
    message = sent()
    for _ in range(3):
        assert post(gateways, AT_HOOK, at_report()).status == 200
    assert state_of(message) == "delivered"
    [row] = Inbox.select()
    assert (row.kind, row.outcome, row.is_proof, row.repeats) == (
        "sms-africastalking", f"delivered: text {message.id}", True, 2
    )  # fmt: skip
    for status in ("Sent", "Buffered", "Failed"):  # came late
        assert post(gateways, AT_HOOK, at_report(status)).status == 200
        assert state_of(message) == "delivered"


def test_a_report_of_failure_says_why(gateways):
    message = sent()
    assert post(gateways, AT_HOOK, at_report("Failed", failureReason="DeliveryFailure")).status == 200
    row = Message.get_by_id(message.id)
    assert (row.state, row.words) == ("failed", "Failed DeliveryFailure")
    assert not contacts.is_blocked(ASHA)


def test_whom_the_network_says_wants_no_texts_is_opted_out(gateways):
    sent()
    sent("SM1", "twilio", msisdn=JUMA)
    assert post(gateways, AT_HOOK, at_report("Failed", failureReason="DoNotDisturbRejection")).status == 200
    assert (
        twilio_post(gateways, {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "21610"}).status == 200
    )
    assert (contacts.is_blocked(ASHA), contacts.is_blocked(JUMA)) == (True, True)


def test_an_opt_out_at_the_gateway_counts_here(gateways):
    assert post(gateways, AT_HOOK, {"senderId": "WIFI", "phoneNumber": f"+{JUMA}"}).status == 200
    assert contacts.is_blocked(JUMA)


def test_another_gateway_may_report_by_get_with_our_own_reference(gateways):
    message = sent("g1", "http")
    query = urlencode({"reference": f"edge-{message.id}-0", "status": "delivered"})
    assert gateways.get(HTTP_HOOK, query).status == 200
    assert state_of(message) == "delivered"


def test_a_report_that_comes_before_the_answer_waits_for_its_text(gateways, told):
    assert post(gateways, AT_HOOK, at_report()).status == 200
    row = Inbox.get()
    assert row.outcome == sms_hooks.NOT_YET
    [job] = Job.select().where(Job.name == "inbox.settle")
    assert 0 < (job.run_at - row.received_at).total_seconds() <= 5
    message = sent()
    assert again(told, row, row.received_at + timedelta(seconds=5)) == f"delivered: text {message.id}"
    assert state_of(message) == "delivered"


def test_a_report_of_somebody_elses_text_is_waited_for_a_minute_and_no_longer(gateways, told):
    assert post(gateways, AT_HOOK, at_report()).status == 200
    row = Inbox.get()
    assert again(told, row, row.received_at + timedelta(seconds=6)) == sms_hooks.NOT_YET
    assert Job.select().where(Job.name == "inbox.settle").count() == 2
    assert again(told, row, row.received_at + timedelta(seconds=61)) == sms_hooks.NOT_OURS


def test_a_late_report_of_an_earlier_try_says_nothing_of_this_one(gateways):
    message = sent("g2", "http", round=1)
    gateways.get(HTTP_HOOK, urlencode({"reference": f"edge-{message.id}-0", "status": "failed"}))
    assert state_of(message) == "sent"
    gateways.get(HTTP_HOOK, urlencode({"reference": f"edge-{message.id}-1", "status": "failed"}))
    assert state_of(message) == "failed"


def test_a_report_settles_a_text_whose_answer_was_lost(gateways, told):
    message = sent("", "twilio", "unconfirmed")
    form = {"MessageSid": "SM9", "MessageStatus": "delivered", "To": f"+{ASHA}"}
    assert twilio_post(gateways, form, f"ours=edge-{message.id}-0").status == 200
    row = Message.get_by_id(message.id)
    assert (row.state, row.reference) == ("delivered", "SM9")


@pytest.mark.parametrize(("lost", "state"), [(1, "delivered"), (2, "unconfirmed")])
def test_without_our_reference_it_is_the_only_lost_text_to_this_number_or_none(gateways, told, lost, state):
    messages = [sent("", state="unconfirmed") for _ in range(lost)]
    assert post(gateways, AT_HOOK, at_report()).status == 200
    row = Inbox.get()
    again(told, row, row.received_at + timedelta(seconds=61))
    assert {state_of(message) for message in messages} == {state}


def test_what_was_cut_off_is_settled_by_its_kept_call(gateways, told):
    message = sent("SM1", "twilio")
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    assert twilio_post(gateways, form, "ours=edge-1-0").status == 200
    Message.update(state="sent").execute()
    row = Inbox.get()
    row.put(outcome="", is_proof=False)
    assert again(told, row, row.received_at + timedelta(seconds=9)) == f"delivered: text {message.id}"
    row.put(outcome="", is_proof=False, headers={**row.headers, "X-Twilio-Signature": "x"})
    assert again(told, row, row.received_at + timedelta(seconds=9)) == sms_hooks.UNSIGNED


# Texts that come in


def test_a_text_to_the_gateways_number_reaches_the_inbox_once(gateways):
    form = {"id": "T1", "from": f"+{JUMA}", "to": "20880", "text": "Iko wapi?", "date": "2026-11-26T09:00:00Z"}
    for _ in range(2):
        assert post(gateways, AT_HOOK, form).status == 200
    assert post(gateways, AT_HOOK, {**form, "linkId": "again"}).status == 200  # posted anew, and other words around it
    [text] = IncomingText.select()
    assert (text.route, text.sender, text.text) == ("africastalking", f"+{JUMA}", "Iko wapi?")


def test_stop_works_at_every_gateway(gateways, told):
    answer = twilio_post(gateways, {"MessageSid": "SM2", "From": f"+{JUMA}", "Body": "Stop", "To": "+15005550006"})
    assert (answer.status, answer.header("Content-Type")) == (200, "text/xml")
    work_once(told, ["sms"])
    assert contacts.is_blocked(JUMA)


def test_the_same_words_an_hour_later_are_another_text(gateways):
    sms_hooks.receive(call_of(b"from=0722000111&text=hi"), Incoming("", "0722000111", "hi"), NOW)
    sms_hooks.receive(call_of(b"from=0722000111&text=hi"), Incoming("", "0722000111", "hi"), NOW)
    sms_hooks.receive(call_of(b"from=0722000111&text=hi"), Incoming("", "0722000111", "hi"), NOW + timedelta(hours=1))
    assert IncomingText.select().count() == 2


def call_of(body):
    return inbox.Call(HTTP_HOOK, "203.0.113.5", {}, body, None, kind="sms-http")


def test_nobody_at_a_gateway_is_m_pesa(gateways):
    words = "TCK1AB2CD3 Confirmed. You have received Ksh20.00 from ASHA M 0712345678 on 2/3/26 at 9:00 AM."
    assert post(gateways, AT_HOOK, {"id": "T9", "from": "MPESA", "text": words}).status == 200
    [text] = IncomingText.select()
    assert (text.sender, text.kind == "mpesa", text.state == "new") == ("MPESA", False, False)


# The whole way


def test_the_simulators_reports_are_believed_over_the_wire(told):
    database.writer.start()
    server = WebServer(replace(told, web=Web(host="127.0.0.1", port=0)))
    url = f"http://127.0.0.1:{server.port}"
    server.stop()
    server = WebServer(replace(told, web=Web(host="127.0.0.1", port=server.port, public_url=url)))
    server.start()
    try:
        with SmsGatewaySimulator(box_url=url) as sim:
            rows = {route: sent(f"{route}1", route) for route in ("africastalking", "twilio", "http")}
            for route in rows:
                assert sim.report(Taken(route, ASHA, "Karibu", "", f"{route}1")) == 200
            sim.forged = True
            assert sim.report(Taken("twilio", ASHA, "Karibu", "", "twilio2")) == 403
            assert sim.bring_text("africastalking", f"+{JUMA}", "Iko wapi?") == 200
        assert database.writer.catch_up(30)
        assert {state_of(row) for row in rows.values()} == {"delivered"}
        assert [text.text for text in IncomingText.select()] == ["Iko wapi?"]
    finally:
        server.stop()
        database.writer.stop()
