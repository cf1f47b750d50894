"""The way to Daraja: one app's token, one exchange at a time, and what a lost or odd answer means."""

import json
import math
import re
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from edge.devices.exchange import Authorise, exchange
from edge.errors import Unconfirmed, Unreachable

TOKEN_PATH = "/oauth/v1/generate"

# One code, 500.001.1001, has many meanings, so words count as well (Daraja portal, error tables).
BUSY = ("system is busy", "spike arrest", "quota violation", "unable to lock", "under maintenance")
REFUSALS = ("wrong credentials", "merchant does not exist", "no apiproduct match")
BAD_TOKEN_CODES = frozenset({"404.001.03", "400.003.01"})


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the JSON object (empty when there was none) and M-Pesa's own words."""

    status: int
    document: dict[str, Any]
    words: str

    @property
    def code(self) -> str:
        return as_text(self.document.get("errorCode"))

    def says(self, *phrases: str) -> bool:
        return any(phrase in self.words.lower() for phrase in phrases)

    @property
    def is_busy(self) -> bool:
        """Turned away at the door, or by something in between that sends us elsewhere: nothing was done."""
        turned_away = self.status in (403, 429, 503) or 300 <= self.status < 400
        return turned_away or self.code.startswith("500.003.0") or self.says(*BUSY)

    @property
    def is_refusal(self) -> bool:
        """A no that stays a no: the request itself, or who asks, is wrong."""
        refused = 400 <= self.status < 500 and self.status != 408
        return refused or self.code.startswith(("400.", "401.", "404.", "405.")) or self.says(*REFUSALS)

    @property
    def refuses_token(self) -> bool:
        return self.status == 401 or self.code in BAD_TOKEN_CODES or self.says("invalid access token")


class Wire:
    """One Daraja app; safe to share between threads, and everything that speaks for this app should share it:
    a new token may end the old one (Daraja portal, Authorization FAQ).
    """

    def __init__(
        self, base_url: str, consumer_key: str, consumer_secret: str, *, timeout_s: float = 20.0,
        secrets: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._base_url = base_url.rstrip("/")
        self._key = consumer_key.strip()
        self._secret = consumer_secret.strip()
        self._secrets = secrets  # that must not come back to us in an error
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._token = ""
        self._token_until = 0.0

    def keep_quiet(self, *secrets: str) -> None:
        """These, too, must never be seen in an error."""
        self._secrets += secrets

    def check(self) -> None:
        """Do our keys open the door? Fetches a fresh token."""
        with self._lock:
            self._fetch_token()

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Send it with our token; a refused one means nothing was done: one fresh token, one more try.

        Unconfirmed when the answer was lost, Unreachable when it can't have arrived.
        """
        token = self._get_token()
        answer = self._ask("POST", path, _bearer(token), body=body)
        if answer.refuses_token:
            answer = self._ask("POST", path, _bearer(self._get_token(refused=token)), body=body)
        if answer.refuses_token and not answer.says(*REFUSALS):
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

    def _ask(self, method: str, path: str, auth: Authorise, **content: Any) -> Answer:
        """One exchange, and what M-Pesa said in it."""
        reply = exchange("M-Pesa", method, self._base_url + path, self._timeout_s, auth=auth, **content)
        return self._read(reply.status, reply.body)

    def _read(self, status: int, raw: bytes) -> Answer:
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            kind = "a web page" if b"<" in raw else "something unreadable" if raw.strip() else "an empty page"
            return Answer(status, {}, f"HTTP {status} with {kind}")
        return Answer(status, document, self._hush(_find_words(status, document)))

    def _hush(self, words: str) -> str:
        """A server that repeats our request must not bring its secrets into a log."""
        for secret in (self._key, self._secret, self._token, *self._secrets):
            if len(secret) >= 8:
                words = words.replace(secret, "***")
        words = re.sub(r"[A-Za-z0-9+/]{32,}=*", "***", words)
        return re.sub(r"[^\x20-\x7e]+", " ", words)[:200]


def as_text(value: object) -> str:
    """A code or number as text, however it was typed; empty for anything that is neither."""
    if isinstance(value, Decimal | float):
        decimal = value if isinstance(value, Decimal) else Decimal(repr(value))
        if not decimal.is_finite() or not -12 <= decimal.adjusted() <= 15 or decimal % 1:
            return ""
        return str(int(decimal))
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return ""
    return str(value).strip() if isinstance(value, str) or abs(value) < 10**20 else ""


def is_name(text: object) -> bool:
    """Does this look like one of M-Pesa's ids?"""
    return isinstance(text, str) and re.fullmatch(r"[!-~]{1,100}", text) is not None


def clean(text: str, limit: int, instead: str) -> str:
    """Letters, digits, space and dash only: `@ # &` make requests fail, and so does nothing at all."""
    kept = re.sub(r"[^A-Za-z0-9 -]+", " ", text)
    return re.sub(r" +", " ", kept).strip()[:limit].strip() or instead


def _bearer(token: str) -> Authorise:
    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise


def _find_words(status: int, document: dict[str, Any]) -> str:
    """M-Pesa's words, in its own shape, Apigee's (`fault`) or that of a SOAP fault made JSON (`Envelope`)."""
    fault = document.get("fault")
    soap = document.get("Envelope")
    for step in ("Body", "Fault"):
        soap = soap.get(step) if isinstance(soap, dict) else None
    places = [document.get(name) for name in ("errorMessage", "ResultDesc", "ResponseDescription")]
    places += [found.get("faultstring") for found in (fault, soap) if isinstance(found, dict)]
    words = next((place.strip() for place in places if isinstance(place, str) and place.strip()), "")
    code = as_text(document.get("errorCode"))
    return f"{words} ({code})" if words and code else words or f"HTTP {status} {code}".strip()


def _lifetime_s(told: object) -> float:
    """`expires_in` comes as a number or as text."""
    try:
        seconds = float(told) if isinstance(told, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return min(max(seconds, 0.0), 3600.0) if math.isfinite(seconds) else 600.0
