"""M-Pesa's Daraja API: ring a phone, ask how a checkout ended, and read what M-Pesa posts back."""

import base64
import json
import math
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import NewConnectionError

from edge.errors import BadInput, Refused, Unconfirmed, Unreachable
from edge.values.mpesa_words import FINAL_FAILURES
from edge.values.stk import Push, PushAnswer, QueryAnswer, StkResult

NAIROBI = timezone(timedelta(hours=3))  # no summer time, ever
TOKEN_PATH = "/oauth/v1/generate"
PUSH_PATH = "/mpesa/stkpush/v1/processrequest"
QUERY_PATH = "/mpesa/stkpushquery/v1/query"
ITEMS = frozenset({"Amount", "MpesaReceiptNumber", "TransactionDate", "PhoneNumber"})
ANSWER_LIMIT = 64 * 1024
TRANSACTION_TYPES = {"paybill": "CustomerPayBillOnline", "till": "CustomerBuyGoodsOnline"}

# One code, 500.001.1001, has many meanings, so words count as well (Daraja portal, error tables).
_BUSY = ("system is busy", "spike arrest", "quota violation", "unable to lock", "under maintenance")
_REFUSALS = ("wrong credentials", "merchant does not exist", "no apiproduct match")
_BAD_TOKEN_CODES = frozenset({"404.001.03", "400.003.01"})

Authorise = Callable[[requests.PreparedRequest], requests.PreparedRequest]


@dataclass(frozen=True)
class _Answer:
    """What came back: the status, the JSON object (empty when there was none) and M-Pesa's own words."""

    status: int
    document: dict[str, Any]
    words: str

    @property
    def code(self) -> str:
        return _text(self.document.get("errorCode"))

    def says(self, *phrases: str) -> bool:
        return any(phrase in self.words.lower() for phrase in phrases)

    @property
    def is_busy(self) -> bool:
        """Turned away at the door, or by something in between that sends us elsewhere: nothing was done."""
        turned_away = self.status in (403, 429, 503) or 300 <= self.status < 400
        return turned_away or self.code.startswith("500.003.0") or self.says(*_BUSY)

    @property
    def refuses_token(self) -> bool:
        return self.status == 401 or self.code in _BAD_TOKEN_CODES or self.says("invalid access token")


class Mpesa:
    """One Daraja app and shortcode; safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        consumer_key: str,
        consumer_secret: str,
        shortcode: str,
        passkey: str,
        *,
        till: str = "",
        kind: Literal["paybill", "till"] = "paybill",
        timeout_s: float = 20.0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = consumer_key.strip()
        self._secret = consumer_secret.strip()
        self._shortcode = shortcode
        self._passkey = passkey.strip()
        self._party = till if kind == "till" and till else shortcode
        self._transaction_type = TRANSACTION_TYPES[kind]
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._token = ""
        self._token_until = 0.0

    def push(self, push: Push) -> PushAnswer:
        """Ring the phone; Unconfirmed when it may ring although no answer came."""
        shillings, cents = divmod(push.amount_cents, 100)
        if cents or shillings < 1:
            raise Refused("M-Pesa takes whole shillings only, at least one")
        body = self._signed() | {
            "TransactionType": self._transaction_type,
            "Amount": str(shillings),
            "PartyA": push.msisdn,
            "PartyB": self._party,
            "PhoneNumber": push.msisdn,
            "CallBackURL": push.callback_url,
            "AccountReference": _clean(push.account_reference, 12, "WiFi"),
            "TransactionDesc": _clean(push.description, 13, "WiFi"),
        }
        return _read_push(self._post(PUSH_PATH, body))

    def query(self, checkout_request_id: str) -> QueryAnswer:
        """Ask how a checkout ended; asking changes nothing, so a lost answer is only Unreachable."""
        try:
            answer = self._post(QUERY_PATH, self._signed() | {"CheckoutRequestID": checkout_request_id})
        except Unconfirmed as lost:
            raise Unreachable(str(lost)) from None
        return _read_query(answer, checkout_request_id)

    def check(self) -> None:
        """Do our keys open the door? Fetches a fresh token and charges nobody."""
        with self._lock:
            self._fetch_token()

    def _signed(self) -> dict[str, str]:
        """The fields every request carries; the timestamp is made once, because the password contains it."""
        timestamp = datetime.now(NAIROBI).strftime("%Y%m%d%H%M%S")
        password = base64.b64encode(f"{self._shortcode}{self._passkey}{timestamp}".encode()).decode()
        return {"BusinessShortCode": self._shortcode, "Password": password, "Timestamp": timestamp}

    def _post(self, path: str, body: dict[str, str]) -> _Answer:
        """Send it with our token; a refused one means nothing was done: one fresh token, one more try."""
        token = self._get_token()
        answer = self._ask("POST", path, _bearer(token), json=body)
        if answer.refuses_token:
            answer = self._ask("POST", path, _bearer(self._get_token(refused=token)), json=body)
        if answer.refuses_token and not answer.says(*_REFUSALS):
            raise Unreachable(f"M-Pesa does not accept its own token: {answer.words}")
        return answer

    def _get_token(self, refused: str = "") -> str:
        with self._lock:
            if not self._token or self._token == refused or time.monotonic() >= self._token_until:
                self._fetch_token()
            return self._token

    def _fetch_token(self) -> None:
        self._token = ""
        keys = HTTPBasicAuth(self._key.encode(), self._secret.encode())
        try:
            answer = self._ask("GET", TOKEN_PATH, keys, params={"grant_type": "client_credentials"})
        except Unconfirmed as lost:
            raise Unreachable(str(lost)) from None
        token = answer.document.get("access_token")
        if answer.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,4096}", token):
            raise Unreachable(f"M-Pesa gave no token; check consumer_key and consumer_secret: {answer.words}")
        lasts_s = _lifetime_s(answer.document.get("expires_in"))
        self._token, self._token_until = token, time.monotonic() + lasts_s - min(60.0, lasts_s / 10)

    def _ask(self, method: str, path: str, auth: Authorise | HTTPBasicAuth, **content: Any) -> _Answer:
        """One exchange; errors say whether it may have arrived, and carry no cause: causes hold headers."""
        deadline = time.monotonic() + self._timeout_s
        try:
            with _session() as session, session.request(
                method, self._base_url + path, auth=auth, timeout=self._timeout_s, allow_redirects=False,
                stream=True, **content,
            ) as response:  # fmt: skip
                return self._read(response.status_code, _drain(response, deadline))
        except (requests.RequestException, ValueError) as error:
            failure = _explain_failure(error)
        raise failure

    def _read(self, status: int, raw: bytes) -> _Answer:
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            kind = "a web page" if b"<" in raw else "something unreadable" if raw.strip() else "an empty page"
            return _Answer(status, {}, f"HTTP {status} with {kind}")
        return _Answer(status, document, self._hush(_find_words(status, document)))

    def _hush(self, words: str) -> str:
        """A server that repeats our request must not bring its secrets into a log."""
        for secret in (self._key, self._secret, self._passkey, self._token):
            if len(secret) >= 8:
                words = words.replace(secret, "***")
        words = re.sub(r"[A-Za-z0-9+/]{32,}=*", "***", words)
        return re.sub(r"[^\x20-\x7e]+", " ", words)[:200]


def _session() -> requests.Session:
    """A connection for one exchange. A kept one dies behind mobile NAT, or is just being closed by the other side,
    and a push lost on it looks like one that was taken.
    """
    session = requests.Session()
    session.trust_env = False  # a .netrc would replace our Authorization
    session.headers.update({"Accept": "application/json", "Connection": "close"})
    return session


def _bearer(token: str) -> Authorise:
    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise


def _drain(response: requests.Response, deadline: float) -> bytes:
    """The body, as far as time and reason allow; `timeout` alone would let a server drip for ever."""
    body = b""
    for chunk in response.iter_content(4096):
        body += chunk
        if time.monotonic() > deadline:
            raise requests.ReadTimeout("slow body")
        if len(body) > ANSWER_LIMIT:
            return b""
    return body


def _explain_failure(error: Exception) -> Unreachable | Unconfirmed:
    causes = _causes(error)
    if any(isinstance(cause, (NewConnectionError, requests.ConnectTimeout)) for cause in causes):
        return Unreachable("M-Pesa could not be reached: no connection, or its name was not found")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unreachable("M-Pesa's certificate is not trusted: check the box's clock and the internet line")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return Unreachable("M-Pesa's address cannot be used; check base_url")
    return Unconfirmed(f"M-Pesa's answer was lost ({type(error).__name__})")


def _causes(error: BaseException) -> list[BaseException]:
    """Every error wrapped in this one; requests and urllib3 wrap by argument and by `reason`."""
    found: list[BaseException] = []
    ahead = [error]
    while ahead and len(found) < 20:
        current = ahead.pop()
        found.append(current)
        inner = [*current.args, getattr(current, "reason", None), current.__cause__]
        ahead += [cause for cause in inner if isinstance(cause, BaseException)]
    return found


def _find_words(status: int, document: dict[str, Any]) -> str:
    fault = document.get("fault")
    places = [document.get(name) for name in ("errorMessage", "ResultDesc", "ResponseDescription")]
    places.append(fault.get("faultstring") if isinstance(fault, dict) else None)
    words = next((place.strip() for place in places if isinstance(place, str) and place.strip()), "")
    code = _text(document.get("errorCode"))
    return f"{words} ({code})" if words and code else words or f"HTTP {status} {code}".strip()


def _read_push(answer: _Answer) -> PushAnswer:
    response_code = _text(answer.document.get("ResponseCode"))
    checkout, merchant = (answer.document.get(name) for name in ("CheckoutRequestID", "MerchantRequestID"))
    if answer.status == 200 and response_code == "0" and isinstance(checkout, str) and _is_name(checkout):
        return PushAnswer(checkout, merchant if isinstance(merchant, str) and _is_name(merchant) else "")
    if answer.is_busy:
        raise Unreachable(f"M-Pesa did not take it now: {answer.words}")
    refused = 400 <= answer.status < 500 and answer.status != 408
    refused = refused or answer.code.startswith(("400.", "401.", "404.", "405.")) or answer.says(*_REFUSALS)
    if refused or (answer.status == 200 and response_code not in ("", "0")):
        raise Refused(f"M-Pesa said no: {answer.words}")
    raise Unconfirmed(f"M-Pesa's answer does not say whether the phone rings: {answer.words}")


def _read_query(answer: _Answer, asked: str) -> QueryAnswer:
    """4999 and every 500.001.1001 mean `ask again`, never `failed` (measured on the sandbox, 2026)."""
    if answer.code == "500.001.1001":
        waiting = answer.says("being processed") or not _text(answer.document.get("errorMessage"))
        return QueryAnswer("pending" if waiting else "unknown", "", answer.words)
    if answer.is_busy or not answer.document:
        raise Unreachable(f"M-Pesa did not answer our question: {answer.words}")
    code = _text(answer.document.get("ResultCode"))
    about = answer.document.get("CheckoutRequestID", asked)
    if answer.status != 200 or about != asked or _text(answer.document.get("ResponseCode", "0")) != "0":
        return QueryAnswer("unknown", code, answer.words)
    if code in FINAL_FAILURES:
        return QueryAnswer("failed", code, answer.words)
    return QueryAnswer(
        "paid" if code == "0" else "pending" if code == "4999" else "unknown", code, answer.words
    )


def _lifetime_s(told: object) -> float:
    """`expires_in` comes as a number or as text."""
    try:
        seconds = float(told) if isinstance(told, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return min(max(seconds, 0.0), 3600.0) if math.isfinite(seconds) else 600.0


def _clean(text: str, limit: int, instead: str) -> str:
    """Letters, digits, space and dash only: `@ # &` make requests fail, and so does nothing at all."""
    kept = re.sub(r"[^A-Za-z0-9 -]+", " ", text)
    return re.sub(r" +", " ", kept).strip()[:limit].strip() or instead


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[!-~]{1,100}", text) is not None


def _text(value: object) -> str:
    """A code or number as text, however it was typed; empty for anything that is neither."""
    if isinstance(value, Decimal | float):
        decimal = value if isinstance(value, Decimal) else Decimal(repr(value))
        if not decimal.is_finite() or not -12 <= decimal.adjusted() <= 15 or decimal % 1:
            return ""
        return str(int(decimal))
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return ""
    return str(value).strip() if isinstance(value, str) or abs(value) < 10**20 else ""


def read_stk_result(raw: bytes) -> StkResult:
    """How a checkout ended, from the body of an STK callback; BadInput for whatever else was posted."""
    callback = _member(_member(_load(raw), "Body"), "stkCallback")
    checkout = _read_text(callback, "CheckoutRequestID", r"[!-~]{1,100}")
    merchant = _read_text(callback, "MerchantRequestID", r"[!-~]{1,100}")
    code = _read_text(callback, "ResultCode", r"[A-Za-z0-9_.-]{1,20}")
    if checkout is None or code is None:
        raise BadInput("CheckoutRequestID and ResultCode are needed", "stkCallback")
    desc = callback.get("ResultDesc")
    items = _read_items(callback.get("CallbackMetadata"))
    receipt = _read_text(items, "MpesaReceiptNumber", r"[A-Za-z0-9]{6,20}")
    return StkResult(
        checkout_request_id=checkout,
        merchant_request_id=merchant or "",
        result_code=code,
        result_desc=re.sub(r"[^\x20-\x7e]+", " ", desc)[:200].strip() if isinstance(desc, str) else "",
        amount_cents=_read_cents(items),
        receipt=receipt.upper() if receipt else None,
        paid_at=_read_paid_at(items),
        msisdn=_read_text(items, "PhoneNumber", r"[ -~]{1,64}"),  # may be masked or hashed
    )


def _load(raw: bytes) -> object:
    try:
        # A stray byte in the description is no reason to lose a payment.
        text = raw.decode(json.detect_encoding(raw), "replace")
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        raise BadInput("this is not JSON") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _member(parent: object, name: str) -> dict[str, Any]:
    child = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(child, dict):
        raise BadInput(f"{name} is missing", name)
    return child


def _read_items(metadata: object) -> dict[str, Any]:
    """The item list by Name, never by place; `Balance` comes without a Value."""
    if metadata is None:
        return {}
    items = metadata.get("Item") or [] if isinstance(metadata, dict) else None
    if not isinstance(items, list):
        raise BadInput("CallbackMetadata holds no list", "CallbackMetadata")
    found: dict[str, Any] = {}
    for item in items:
        name = item.get("Name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise BadInput("an item has no Name", "CallbackMetadata")
        if name in found:
            raise BadInput(f"{name} is told twice", "CallbackMetadata")
        if name in ITEMS:
            found[name] = item.get("Value")
    return found


def _read_text(values: dict[str, Any], name: str, shape: str) -> str | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    text = _text(value)
    if not re.fullmatch(shape, text):
        raise BadInput(f"{name} is unreadable", name)
    return text


def _read_cents(items: dict[str, Any]) -> int | None:
    """`20`, `20.0` and `"20.00"` are all twenty shillings."""
    value = items.get("Amount")
    if value is None or value == "":
        return None
    text = format(value, "f") if isinstance(value, Decimal) and abs(value.adjusted()) < 13 else _text(value)
    match = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,2})0{0,10})?", text)
    if match is None:
        raise BadInput("Amount is unreadable", "Amount")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def _read_paid_at(items: dict[str, Any]) -> datetime | None:
    """Nairobi time without saying so. Nothing hangs on it: what is no date is none, and the payment counts."""
    text = _text(items.get("TransactionDate"))
    if not re.fullmatch(r"20[0-9]{12}", text):
        return None
    try:
        return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").replace(tzinfo=NAIROBI).astimezone(UTC)
    except ValueError:
        return None
