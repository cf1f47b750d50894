"""Africa's Talking: hands texts to its bulk SMS service.

Certain (Africa's Talking documentation, SMS: Send bulk, and its public clients): the address, the header, the form's
fields, the shape of the answer, the status codes and their names, the words of the cost; sandbox means the user name
`sandbox` at api.sandbox.africastalking.com. Assumed, where the documentation is silent: no recipients in an answer mean
that nothing was taken; a recipient in RiskHold may be let go later; after codes 500 and 501 it may be on its way.
"""

import json
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from edge.devices.exchange import Reply
from edge.devices.sms_line import Line, plain, shown, turned_away
from edge.errors import Away, Refused, Unconfirmed, Unreachable
from edge.values.sms_gateway import Accepted, Blocked

WHO = "Africa's Talking"
PATH = "/version1/messaging"
LIVE, SANDBOX = "https://api.africastalking.com", "https://api.sandbox.africastalking.com"
TAKEN = (100, 101, 102)  # processed, sent, queued
OURS_TO_MEND = (402, 405)  # InvalidSenderId, InsufficientBalance
BLOCKED = (406, 409)  # UserInBlacklist, DoNotDisturbRejection
ELSEWHERE = (407,)  # CouldNotRoute: another gateway may
OPEN = (401, 500, 501)  # RiskHold, InternalServerError, GatewayError


class AfricasTalking:
    """One account; safe to share between threads."""

    def __init__(
        self, base_url: str, username: str, api_key: str, sender: str = "", *, timeout_s: float = 20.0
    ) -> None:
        base = SANDBOX if username == "sandbox" and base_url.rstrip("/") == LIVE else base_url.rstrip("/")
        self._line = Line(WHO, base, timeout_s)
        self._path = urlsplit(base).path + PATH
        self._username, self._key, self._sender = username.strip(), api_key.strip(), sender.strip()

    def send(self, msisdn: str, text: str, reference: str) -> Accepted:
        """Hand over one text; `reference` has no place on this wire. Errors as every `SmsGateway`'s."""
        form = {"username": self._username, "to": f"+{msisdn}", "message": text, "enqueue": "1"}
        if self._sender:
            form["from"] = self._sender
        headers = {"apiKey": self._key, "Content-Type": "application/x-www-form-urlencoded"}
        return self._read(self._line.ask("POST", self._path, headers, urlencode(form, errors="replace").encode()))

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _read(self, reply: Reply) -> Accepted:
        told = _load(reply.body)
        if not 200 <= reply.status < 300:
            words = shown(reply, self._key) if told is None else plain(told.get("Message") or reply.status, self._key)
            raise turned_away(WHO, reply, words)
        if told is None:
            raise Unconfirmed(f"{WHO}'s answer can't be read: {shown(reply, self._key)}")
        recipients = told.get("Recipients")
        words = plain(told.get("Message", ""), self._key)
        if not isinstance(recipients, list) or not recipients or not isinstance(recipients[0], dict):
            raise _no_recipient(words)
        return _read_recipient(recipients[0], self._key)


def _no_recipient(words: str) -> Away | Refused:
    kind = Away if re.search(r"sender|balance|credit", words, re.IGNORECASE) else Refused
    return kind(f"{WHO} took nothing: {words or 'it names no recipient'}")


def _read_recipient(told: dict[str, Any], key: str) -> Accepted:
    code = told.get("statusCode")
    reference = str(told.get("messageId") or "")
    reference = "" if reference == "None" else reference[:100]
    words = f"{plain(told.get('status', ''), key)} ({code})"
    if code in TAKEN:
        parts = told.get("messageParts")
        return Accepted(reference, _cents(told.get("cost")), parts if isinstance(parts, int) and parts > 0 else None)
    if code in OURS_TO_MEND:
        raise Away(f"{WHO} does not serve this account: {words}")
    if code in BLOCKED:
        raise Blocked(f"{WHO} says that this number wants no texts: {words}")
    if code in ELSEWHERE:
        raise Unreachable(f"{WHO} has no way to this number: {words}")
    if code in OPEN or not isinstance(code, int):
        raise Unconfirmed(f"{WHO} does not say whether it took the text: {words}")
    raise Refused(f"{WHO} said no: {words}")


def _cents(cost: object) -> int | None:
    """`KES 0.8000` → 80."""
    found = re.fullmatch(r"KES\s+([0-9]{1,6}(?:\.[0-9]{1,6})?)", str(cost).strip())
    return None if found is None else int((Decimal(found[1]) * 100).to_integral_value(ROUND_HALF_UP))


def _load(raw: bytes) -> dict[str, Any] | None:
    """What stands in SMSMessageData; None when this is no such document."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    told = document.get("SMSMessageData") if isinstance(document, dict) else None
    return told if isinstance(told, dict) else None
