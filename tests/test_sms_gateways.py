"""SMS gateways over their real wires: what each answer means, how a line is kept, and what the settings open."""

import json
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import parse_qs, parse_qsl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.devices.opening import Devices
from edge.devices.sms_africastalking import AfricasTalking
from edge.devices.sms_http import HttpSms, Template
from edge.devices.sms_line import FRESH_S, Line
from edge.devices.sms_twilio import Twilio
from edge.errors import Away, Refused, Unconfirmed, Unreachable
from edge.settings import load
from edge.simulators.mpesa.server import Listener
from edge.simulators.mpesa.wire import Reply
from edge.simulators.sms_gateway import API_KEY, AUTH_TOKEN, HTTP_KEY, USERNAME, SmsGatewaySimulator, settings_for
from edge.simulators.sms_wires import ACCOUNT_SID
from edge.values.sms_gateway import Accepted, Blocked

ASHA = "254712345678"
ROUTES = ("africastalking", "twilio", "http")


def template(base_url, **more):
    told = {
        "url": f"{base_url}/send", "headers": {"Authorization": f"Bearer {HTTP_KEY}"}, "accepted": "accepted",
        "body": '{"to": "{to}", "text": "{text}"}', "reference": '"id": "([^"]+)"',
    }  # fmt: skip
    return Template(**{**told, **more})


def gateway(route, base_url, timeout_s=5.0):
    if route == "africastalking":
        return AfricasTalking(base_url, USERNAME, API_KEY, "WIFI", timeout_s=timeout_s)
    if route == "twilio":
        return Twilio(base_url, ACCOUNT_SID, AUTH_TOKEN, "+15005550006", timeout_s=timeout_s)
    return HttpSms(template(base_url), timeout_s=timeout_s)


@pytest.fixture
def sim():
    with SmsGatewaySimulator() as simulator:
        yield simulator


@contextmanager
def answering(*replies):
    """A server that gives these answers, one after the other, the last for ever; what it was asked is in the list."""
    asked, left = [], list(replies)

    def answer(method, target, headers, raw):
        asked.append((method, target, headers, raw))
        found = left.pop(0) if len(left) > 1 else left[0]
        return found if isinstance(found, Reply) or found is None else Reply(found[0], json.dumps(found[1]).encode())

    listener = Listener(("127.0.0.1", 0), answer)
    threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}", asked
    finally:
        listener.shutdown()
        listener.server_close()


# What an answer means


@pytest.mark.parametrize("route", ROUTES)
def test_a_text_is_taken_and_known_by_the_gateways_own_id(sim, route):
    words = 'Karibu, "Asha" & \\ {to} é €😀\n+1'
    accepted = gateway(route, sim.base_url).send(ASHA, words, "edge-1-0")
    [taken] = sim.texts
    assert (taken.to, taken.text, taken.reference) == (ASHA, words, accepted.reference)
    assert accepted.price_cents == (80 if route == "africastalking" else None)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("fault", "error", "is_taken"),
    [
        ("refuse", Refused, False),
        ("no_route", Unreachable, False),
        ("busy", Unreachable, False),
        ("no_credit", Away, False),
        ("lose", Unconfirmed, True),
        ("drop", Unconfirmed, False),
        ("broken", Unconfirmed, False),
        ("broken_taken", Unconfirmed, True),
        ("web_page", Unconfirmed, False),
    ],
)
def test_each_failure_says_what_to_do_next(sim, route, fault, error, is_taken):
    sim.fault = fault
    with pytest.raises(error) as told:
        gateway(route, sim.base_url).send(ASHA, "Karibu", "edge-1-0")
    assert type(told.value) is error
    assert (len(sim.texts) == 1) is is_taken
    assert ASHA not in str(told.value)


@pytest.mark.parametrize("route", ["africastalking", "twilio"])
def test_a_number_that_wants_no_texts_is_told_apart(sim, route):
    sim.blacklist.add(ASHA)
    with pytest.raises(Blocked):
        gateway(route, sim.base_url).send(ASHA, "Karibu", "edge-1-0")


def at_answer(code, status="as it says", message="Sent to 0/1 Total Cost: 0", **more):
    told = {"statusCode": code, "number": "+254712345678", "status": status, "cost": "0", "messageId": "None"}
    return 201, {"SMSMessageData": {"Message": message, "Recipients": [] if code is None else [{**told, **more}]}}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (at_answer(100, messageId="A1", cost="KES 0.8000"), Accepted("A1", 80)),
        (at_answer(101, messageId="A2", cost="KES 1.6000", messageParts=2), Accepted("A2", 160, 2)),
        (at_answer(102, messageId="A3", cost="USD 0.0200"), Accepted("A3")),
        (at_answer(401), Unconfirmed),
        (at_answer(402), Away),
        (at_answer(403), Refused),
        (at_answer(404), Refused),
        (at_answer(405), Away),
        (at_answer(406), Blocked),
        (at_answer(407), Unreachable),
        (at_answer(409), Blocked),
        (at_answer(500), Unconfirmed),
        (at_answer(501), Unconfirmed),
        (at_answer(502), Refused),
        (at_answer("odd"), Unconfirmed),
        (at_answer(None, message="InvalidSenderId"), Away),
        (at_answer(None, message="Sent to 0/1"), Refused),
        (Reply(401, b"The supplied authentication is invalid", "text/plain"), Away),
        (Reply(400, b"Must have username in your request", "text/plain"), Refused),
        (Reply(302, b""), Away),
        (Reply(201, b"x" * 300_000), Unconfirmed),
    ],
)
def test_each_code_of_africas_talking_has_its_meaning(answer, wanted):
    with answering(answer) as (url, _):
        one = AfricasTalking(url, USERNAME, API_KEY)
        if isinstance(wanted, Accepted):
            assert one.send(ASHA, "x", "r") == wanted
        else:
            with pytest.raises(wanted) as told:
                one.send(ASHA, "x", "r")
            assert type(told.value) is wanted


@pytest.mark.parametrize(
    ("status", "code", "wanted"),
    [
        (400, 21211, Refused), (400, 21614, Refused), (400, 21617, Refused), (400, 21610, Blocked),
        (400, 21606, Away), (400, 21612, Unreachable), (400, 21408, Unreachable), (400, 21611, Unreachable),
        (401, 20003, Away), (403, 20005, Away), (404, 20404, Away), (429, 20429, Unreachable),
        (503, 20503, Unreachable), (500, 20500, Unconfirmed), (429, 99999, Unreachable), (400, 99999, Refused),
        (400, 63038, Away),
    ],
)  # fmt: skip
def test_each_code_of_twilio_has_its_meaning(status, code, wanted):
    with answering((status, {"code": code, "message": f"no {AUTH_TOKEN} +{ASHA}", "status": status})) as (url, _):
        with pytest.raises(wanted) as told:
            Twilio(url, ACCOUNT_SID, AUTH_TOKEN, "+1").send(ASHA, "x", "r")
        assert type(told.value) is wanted
        assert AUTH_TOKEN not in str(told.value) and ASHA not in str(told.value)


def test_africas_talking_is_asked_as_its_documentation_says():
    with answering(at_answer(101, messageId="A1")) as (url, asked):
        AfricasTalking(f"{url}/", USERNAME, API_KEY, "WIFI").send(ASHA, "Karibu & é", "r")
    [(method, target, headers, raw)] = asked
    assert (method, target, headers["apikey"]) == ("POST", "/version1/messaging", API_KEY)
    wanted = {"username": USERNAME, "to": f"+{ASHA}", "message": "Karibu & é", "from": "WIFI", "enqueue": "1"}
    assert dict(parse_qsl(raw.decode())) == wanted


def test_twilio_is_asked_as_its_documentation_says():
    service = "MG" + "0" * 32
    with answering((201, {"sid": "SM1", "num_segments": "0"})) as (url, asked):
        one = Twilio(url, ACCOUNT_SID, AUTH_TOKEN, service, callback_url="https://wifi.example/hooks/sms/twilio")
        assert one.send(ASHA, "Karibu", "edge-7-1") == Accepted("SM1")
    [(method, target, headers, raw)] = asked
    assert (method, target) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json")
    assert headers["authorization"].startswith("Basic ")
    told = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
    assert told == {"To": f"+{ASHA}", "Body": "Karibu", "MessagingServiceSid": service,
                    "StatusCallback": "https://wifi.example/hooks/sms/twilio?ours=edge-7-1"}  # fmt: skip


IN_URL = "a%20%22b%22%20%26%20%7Bto%7D%3C"


@pytest.mark.parametrize(
    ("told", "target", "body"),
    [
        ({"body": '{"t": "{plus}", "x": "{text}"}'}, "/", '{"t": "+254712345678", "x": "a \\"b\\" & {to}<"}'),
        ({"body": "t={to}&x={text}&r={reference}"}, "/", "t=254712345678&x=a+%22b%22+%26+%7Bto%7D%3C&r=r"),
        ({"body": "<t to='{to}'>{text}</t>", "headers": {"content-type": "text/xml"}}, "/",
         "<t to='254712345678'>a &quot;b&quot; &amp; {to}&lt;</t>"),
        ({"method": "GET", "url": "/x?to={to}&text={text}"}, f"/x?to=254712345678&text={IN_URL}", ""),
    ],
)  # fmt: skip
def test_a_template_is_filled_in_as_its_place_demands(told, target, body):
    with answering((200, {"ok": 1})) as (url, asked):
        filled = {**told, "url": url + told.get("url", "/")}
        assert HttpSms(Template(**filled)).send(ASHA, 'a "b" & {to}<', "r") == Accepted("r")
    assert (asked[0][1], asked[0][3].decode()) == (target, body)


def test_an_answer_that_is_not_what_the_owner_called_accepted_is_a_refusal():
    with answering((200, {"status": "error"})) as (url, _), pytest.raises(Refused):
        HttpSms(template(url)).send(ASHA, "x", "r")


@pytest.mark.parametrize("key", ["accepted", "reference"])
def test_an_expression_that_nobody_understands_is_told(key):
    with pytest.raises(Away, match=key):
        HttpSms(template("http://127.0.0.1:1", **{key: "("}))
    with pytest.raises(Away, match="parentheses"):
        HttpSms(template("http://127.0.0.1:1", reference="id"))


# The line


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_gateway_that_nobody_reaches_is_away(url):
    with pytest.raises(Away, match="could not be reached"):
        gateway("twilio", url).send(ASHA, "x", "r")


def test_a_gateway_that_is_silent_is_given_up_in_time_and_nobody_knows(sim):
    sim.fault = "hang"
    begun = time.monotonic()
    with pytest.raises(Unconfirmed):
        gateway("africastalking", sim.base_url, timeout_s=0.3).send(ASHA, "x", "r")
    assert time.monotonic() - begun < 5
    assert len(sim.texts) == 1


@contextmanager
def a_server_that(serve):
    """Each connection is handed to `serve`; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept():
            while True:
                try:
                    line, _ = door.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(line,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        door.shutdown(socket.SHUT_RDWR)


def test_a_gateway_that_drips_is_given_up_in_time():
    def drip(line):
        with line:
            line.recv(65536)
            for _ in range(200):
                try:
                    line.sendall(b"H")
                except OSError:
                    return
                time.sleep(0.05)

    with a_server_that(drip) as url:
        begun = time.monotonic()
        with pytest.raises(Unconfirmed):
            gateway("twilio", url, timeout_s=0.4).send(ASHA, "x", "r")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 2", b"garbage\r\n\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n{", b""]
)
def test_half_an_answer_leaves_it_open(answer):
    def serve(line):
        with line:
            line.recv(65536)
            line.sendall(answer)

    with a_server_that(serve) as url, pytest.raises(Unconfirmed):
        gateway("africastalking", url).send(ASHA, "x", "r")


def test_a_line_is_kept_while_texts_follow_each_other_and_not_when_it_is_old_or_over(sim, monkeypatch):
    one = gateway("twilio", sim.base_url)
    for _ in range(5):
        one.send(ASHA, "x", "r")
    assert len(sim.connections) == 1
    monkeypatch.setattr("edge.devices.sms_line.FRESH_S", -1.0)
    one.send(ASHA, "x", "r")
    assert len(sim.connections) == 2
    one.close()


def test_a_kept_line_that_the_gateway_closed_costs_no_text():
    served = []

    def serve(line):
        with line:
            line.recv(65536)
            served.append(1)
            body = json.dumps(at_answer(101, messageId="A1")[1]).encode()
            line.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with a_server_that(serve) as url:
        one = gateway("africastalking", url)
        for number in range(1, 4):
            assert one.send(ASHA, "x", "r").reference == "A1"
            assert len(served) == number
            time.sleep(0.05)  # its end has come
    assert FRESH_S > 0.05


def test_three_at_once_send_more_than_1500_a_minute_through_a_gateway_that_takes_100_ms(sim):
    sim.answer_s = 0.1
    one = gateway("africastalking", sim.base_url)
    one.send(ASHA, "x", "r")
    begun = time.monotonic()
    threads = [threading.Thread(target=lambda: [one.send(ASHA, "x", "r") for _ in range(8)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sim.texts) == 25
    assert len(sim.connections) <= 4
    assert time.monotonic() - begun < 4  # 0.96 s on a machine of one's own


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that nobody but its own file vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway.test")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(encoded + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_over_tls_a_line_is_kept_too_and_nobody_else_is_trusted(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    begun = []

    def serve(line):
        begun.append(1)
        with suppress(OSError), context.wrap_socket(line, server_side=True) as inner:
            while inner.recv(65536):
                body = json.dumps(at_answer(101, messageId="A1")[1]).encode()
                inner.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with a_server_that(serve) as url:
        url = url.replace("http:", "https:")
        with pytest.raises(Away, match="certificate is not trusted"):
            gateway("africastalking", url).send(ASHA, "x", "r")
        monkeypatch.setattr("edge.devices.sms_line.DEFAULT_CA_BUNDLE_PATH", str(certificate))
        one = gateway("africastalking", url)
        assert [one.send(ASHA, "x", "r").reference for _ in range(3)] == ["A1"] * 3
        one.close()
    assert len(begun) == 2


@pytest.mark.parametrize(
    ("target", "headers"), [("/a b", {}), ("/a\r\nX: y", {}), ("/a", {"apiKey": "k\r\nX: y"}), ("/a", {"apiKey": "ké"})]
)
def test_nothing_that_was_typed_begins_another_header(target, headers):
    with pytest.raises(Away):
        Line("it", "http://127.0.0.1:1", 1.0).ask("POST", target, headers, b"")


# What the settings open


def test_the_settings_that_the_simulator_prints_open_each_gateway_once(tmp_path, sim):
    (tmp_path / "edge.toml").write_text(settings_for(sim.base_url) + '[web]\npublic_url = "https://wifi.example"\n')
    (tmp_path / "edge.toml").chmod(0o600)
    devices = Devices(load(tmp_path, environ={}))
    for route in ROUTES:
        assert devices.sms_gateway(route).send(ASHA, "x", "edge-1-0").reference
        assert devices.sms_gateway(route) is devices.sms_gateway(route)
    assert [text.route for text in sim.texts] == list(ROUTES)
    assert sim.texts[1].callback_url == "https://wifi.example/hooks/sms/twilio?ours=edge-1-0"
    devices.close()


def test_a_gateway_that_is_not_set_up_is_away(tmp_path):
    for route in (*ROUTES, "pigeon"):
        with pytest.raises(Away, match="is not set up"):
            Devices(load(tmp_path, environ={})).sms_gateway(route)


def test_the_sandbox_of_africas_talking_has_an_address_of_its_own(monkeypatch):
    opened = []
    monkeypatch.setattr("edge.devices.sms_africastalking.Line", lambda who, url, timeout_s: opened.append(url))
    AfricasTalking("https://api.africastalking.com", "sandbox", "k")
    AfricasTalking("https://api.africastalking.com", "shop", "k")
    assert opened == ["https://api.sandbox.africastalking.com", "https://api.africastalking.com"]
