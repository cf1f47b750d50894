"""A pretend SMS gateway on the wire of Africa's Talking, of Twilio and of a plain HTTP one: takes, fails, reports."""

import base64
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from edge.simulators.mpesa.server import Listener, Served
from edge.simulators.mpesa.wire import Reply, reply
from edge.simulators.sms_wires import ACCOUNT_SID, AfricasTalking, Outcome, Plain, Taken, Twilio, Wire, report_of
from edge.values.msisdn import mask_msisdn

USERNAME, API_KEY = "rehearsal", "atsk_edge-rehearsal"
AUTH_TOKEN = "edge-rehearsal-token"
HTTP_KEY = "edge-rehearsal-key"
CALLBACK_TOKEN = "rehearsal-0123456789abcdef"
# What it does to a text: `lose`, `broken_taken` and the silent `hang` have taken it, `drop` and `broken` have not.
Fault = Literal["refuse", "no_route", "lose", "drop", "busy", "broken", "broken_taken", "hang", "no_credit", "web_page"]


@dataclass(frozen=True)
class Posted:
    """One report or text that was posted to the box; `status` is None when nobody answered."""

    url: str
    headers: dict[str, str]
    body: bytes
    status: int | None


class SmsGatewaySimulator(Served):
    """Three gateways on one local port. Set attributes at any time; read `texts` and `posted`.

    `faults` are used up one a text, then `fault` holds; the same text sent twice is taken twice, as everywhere.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, box_url: str = "", *, answer_s: float = 0.0,
        report_delay_s: float = 0.0, by_digit: bool = False, log: Callable[[str], object] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._address, self.box_url, self._by_digit = (host, port), box_url.rstrip("/"), by_digit
        self.answer_s, self.report_delay_s = answer_s, report_delay_s
        self._log = log or (lambda line: None)
        self._lock = threading.RLock()
        self._quiet = threading.Condition(self._lock)
        self._busy = 0
        self._number = 0
        self.fault: Fault | None = None
        self.faults: list[Fault | None] = []
        self.outcome: Outcome = "delivered"
        self.reports = True
        self.report_times = 1
        self.forged = False  # reports are signed with another token
        self.blacklist: set[str] = set()
        self.invalid: set[str] = set()
        self.texts: list[Taken] = []
        self.posted: list[Posted] = []
        self.connections: set[tuple[str, int]] = set()

    def _listen(self) -> Listener:
        return _Listener(self._address, self._answer, self.connections)

    def wait_until_quiet(self, timeout_s: float = 10.0) -> bool:
        """Wait until every report is posted; False when time ran out."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._busy == 0, timeout_s)

    def bring_text(self, route: str, sender: str, text: str, reference: str = "") -> int | None:
        """Have somebody text the gateway's number; `sender` as the gateway would write it. The box's status."""
        reference = reference or self._name(route)
        if route == "twilio":
            form = {"MessageSid": reference, "SmsSid": reference, "AccountSid": ACCOUNT_SID, "From": sender,
                    "To": "+15005550006", "Body": text, "NumMedia": "0", "SmsStatus": "received"}  # fmt: skip
        else:
            form = {"id": reference, "from": sender, "to": "20880", "text": text, "date": "2026-11-26T09:00:00Z",
                    "linkId": "None"}  # fmt: skip
        return self.post(self.hook(route), form, is_signed=route == "twilio")

    def report(self, taken: Taken, outcome: Outcome | None = None) -> int | None:
        """Post what became of a text. The box's status."""
        form = report_of(taken, outcome or self.outcome)
        return self.post(taken.callback_url or self.hook(taken.route), form, is_signed=taken.route == "twilio")

    def hook(self, route: str) -> str:
        """The box's address for this gateway."""
        return f"{self.box_url}/hooks/sms/{route}" + ("" if route == "twilio" else f"/{CALLBACK_TOKEN}")

    def post(self, url: str, form: dict[str, str], *, is_signed: bool = False) -> int | None:
        """Post this form; signed as Twilio signs where wanted."""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        if is_signed:
            headers["X-Twilio-Signature"] = sign("another token" if self.forged else AUTH_TOKEN, url, form)
        body = urlencode(form).encode()
        status = _post(url, body, headers)
        with self._lock:
            self.posted.append(Posted(url, headers, body, status))
        return status

    # What comes in over the wire.

    def _answer(self, method: str, target: str, headers: dict[str, str], raw: bytes) -> Reply | None:
        path, _, query = target.partition("?")
        told = dict(parse_qsl(query)) | _read(headers, raw)
        if method == "POST" and path == "/version1/messaging":
            wire: Wire = AfricasTalking(headers.get("apikey") == API_KEY and told.get("username") == USERNAME)
        elif method == "POST" and path == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json":
            pair = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
            wire = Twilio(headers.get("authorization") == f"Basic {pair}")
        elif path == "/send":
            wire = Plain(headers.get("authorization") == f"Bearer {HTTP_KEY}")
        else:
            return reply(404, {"error": "not found"})
        return self._take(wire, told)

    def _take(self, wire: Wire, told: dict[str, str]) -> Reply | None:
        with self._lock:
            fault = self.faults.pop(0) if self.faults else self.fault
        if fault == "drop" or self._closing.is_set():
            return None
        if self._closing.wait(self.answer_s):
            return None
        early = self._turn_away(wire, told, fault)
        if early is not None:
            return early
        taken = self._keep(wire, told)
        then = self._prepare(taken) if self.reports and self.box_url else None
        if fault == "hang":
            self._closing.wait(60)
        if fault == "broken_taken":
            return Reply(500, b"<html>500 Internal Server Error</html>", "text/html", then=then)
        status, document = wire.accepted(taken)
        return Reply(status, json.dumps(document).encode(), lost=fault == "lose", then=then)

    def _turn_away(self, wire: Wire, told: dict[str, str], fault: Fault | None) -> Reply | None:
        number = _number(told.get(wire.to, ""))
        if fault == "web_page":
            return Reply(200, b"<html>Your bundle has run out</html>", "text/html")
        if fault == "broken":
            return Reply(502, b"<html>502 Bad Gateway</html>", "text/html")
        if not wire.is_known:
            return reply(*wire.no("unauthorised"))
        if fault == "busy":
            return reply(*wire.no("busy"))
        if fault == "no_credit":
            return reply(*wire.no("no_credit", number))
        if fault == "no_route":
            return reply(*wire.no("no_route", number))
        last = number[-1:] if self._by_digit else ""
        if fault == "refuse" or not number.startswith("254") or number in self.invalid or last == "7":
            return reply(*wire.no("invalid", number))
        return reply(*wire.no("blocked", number)) if number in self.blacklist or last == "9" else None

    def _keep(self, wire: Wire, told: dict[str, str]) -> Taken:
        sender = told.get("from") or told.get("From") or told.get("MessagingServiceSid", "")
        taken = Taken(
            wire.route, _number(told[wire.to]), told.get(wire.text, ""), sender, self._name(wire.route),
            told.get("StatusCallback", ""),
        )  # fmt: skip
        with self._lock:
            self.texts.append(taken)
        self._log(f"{taken.route}: a text to {mask_msisdn(taken.to)}, {len(taken.text)} letters")
        return taken

    def _name(self, route: str) -> str:
        with self._lock:
            self._number += 1
            number = self._number
        seed = hashlib.sha256(f"{number}/{time.time_ns()}".encode()).hexdigest()[:32]
        return {"africastalking": f"ATXid_{seed}", "twilio": f"SM{seed}"}.get(route, f"g{number}-{seed[:8]}")

    def _prepare(self, taken: Taken) -> Callable[[], None]:
        """Count the report as under way at once, so that nobody thinks it is quiet before the thread has begun."""
        with self._lock:
            self._busy += 1
        return threading.Thread(target=self._report_later, args=(taken,), daemon=True).start

    def _report_later(self, taken: Taken) -> None:
        try:
            if self._closing.wait(self.report_delay_s) or self.outcome == "silent":
                return
            outcome: Outcome = "failed" if self._by_digit and taken.to.endswith("8") else self.outcome
            for _ in range(self.report_times):
                status = self.report(taken, outcome)
                self._log(f"{taken.route}: reported {outcome}, " + (f"answered {status}" if status else "no answer"))
        finally:
            with self._quiet:
                self._busy -= 1
                self._quiet.notify_all()


class _Listener(Listener):
    """Remembers who connected, so that one can see whether connections are kept."""

    def __init__(
        self, address: tuple[str, int], answer: Callable[..., Reply | None], connections: set[tuple[str, int]]
    ) -> None:
        self._connections = connections
        super().__init__(address, answer)

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        self._connections.add(client_address)
        return True


def sign(auth_token: str, url: str, form: dict[str, str]) -> str:
    """As Twilio signs: HMAC-SHA1 over the address and the sorted form, in base64."""
    told = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(auth_token.encode(), told.encode(), hashlib.sha1).digest()).decode()


def settings_for(url: str) -> str:
    """What an edge.toml says that sends by all three of them."""
    return f"""[sms.africastalking]
username = "{USERNAME}"
api_key = "{API_KEY}"
base_url = "{url}"
callback_token = "{CALLBACK_TOKEN}"
[sms.twilio]
account_sid = "{ACCOUNT_SID}"
auth_token = "{AUTH_TOKEN}"
sender = "+15005550006"
base_url = "{url}"
[sms.http]
url = "{url}/send"
body = '{{"to": "{{to}}", "text": "{{text}}"}}'
accepted = "accepted"
reference = '"id": "([^"]+)"'
callback_token = "{CALLBACK_TOKEN}"
[sms.http.headers]
Authorization = "Bearer {HTTP_KEY}"
"""


def serve(
    host: str = "127.0.0.1", port: int = 8176, answer_s: float = 0.1, report_delay_s: float = 2.0,
    box_url: str = "http://127.0.0.1:8080", log: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """Answer as the three gateways would until interrupted; the last digit of a phone decides what becomes of it."""
    simulator = SmsGatewaySimulator(
        host, port, box_url, answer_s=answer_s, report_delay_s=report_delay_s, by_digit=True, log=log
    )
    with simulator:
        for line in (
            f"SMS gateways at {simulator.base_url}; reports go to {box_url}",
            settings_for(simulator.base_url),
            "Phones, by their last digit: 0-6 get it; 7 are no number; 8 never get it; 9 want no texts.",
            "Ctrl-C stops it.",
        ):
            log(line)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            log("SMS gateway simulator stopped")


def _read(headers: dict[str, str], raw: bytes) -> dict[str, str]:
    try:
        if "json" in headers.get("content-type", ""):
            document = json.loads(raw)
            return {name: str(value) for name, value in document.items()} if isinstance(document, dict) else {}
        return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True))
    except ValueError:
        return {}


def _number(told: str) -> str:
    return told.strip().removeprefix("+")


def _post(url: str, body: bytes, headers: dict[str, str], timeout_s: float = 10.0) -> int | None:
    """Post exactly these bytes, once; None when nobody answered."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        try:
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            return connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):
        return None
