"""Twilio: hands texts to its Messages resource.

Certain (Twilio's Messages API and its error dictionary): the address, basic authentication, the form's fields, 201 with
`sid`, errors as `{"code", "message", "status"}`, that a sender `MG…` is a messaging service. Assumed: a code that is
not in the tables below is judged by its HTTP status. Prices come in another currency and later, so none is taken over.
"""

import base64
import json
import re
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from edge.devices.exchange import Reply
from edge.devices.sms_line import Line, plain, shown, turned_away
from edge.errors import Away, DeviceError, Refused, Unconfirmed, Unreachable
from edge.values.sms_gateway import Accepted, Blocked

WHO = "Twilio"
# Authentication, account and sender: 20003 authenticate, 20005 inactive, 20404 no such account, 21212, 21603, 21606,
# 21659 and 21660 From, 21701-21705 messaging service, 30002 suspended, 63038 the account's daily limit.
OURS_TO_MEND = frozenset({20003, 20005, 20404, 21212, 21603, 21606, 21659, 21660, 21701, 21702, 21703, 21704, 21705,
                          30002, 63038})  # fmt: skip
# 14107 and 20429 rate limits, 20503 unavailable, 21611 queue of this sender full, 30001 queue overflow, and
# 21408/21612 no way to this country or network: another gateway may have one.
NOT_NOW = frozenset({14107, 20429, 20503, 21408, 21611, 21612, 30001})
BLOCKED = frozenset({21610})  # the person answered STOP


class Twilio:
    """One account; safe to share between threads."""

    def __init__(
        self, base_url: str, account_sid: str, auth_token: str, sender: str, *, callback_url: str = "",
        timeout_s: float = 20.0,
    ) -> None:  # fmt: skip
        base = base_url.rstrip("/")
        self._line = Line(WHO, base, timeout_s)
        self._path = f"{urlsplit(base).path}/2010-04-01/Accounts/{quote(account_sid.strip(), safe='')}/Messages.json"
        self._token = auth_token.strip()
        pair = base64.b64encode(f"{account_sid.strip()}:{self._token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
        self._pair, self._sender, self._callback_url = pair, sender.strip(), callback_url

    def send(self, msisdn: str, text: str, reference: str) -> Accepted:
        """Hand over one text; its reports come back with our `reference` in their address.

        Errors as every `SmsGateway`'s.
        """
        is_service = self._sender.startswith("MG") and len(self._sender) == 34
        form = {"To": f"+{msisdn}", "Body": text, "MessagingServiceSid" if is_service else "From": self._sender}
        if self._callback_url:
            form["StatusCallback"] = f"{self._callback_url}?ours={quote(reference, safe='')}"
        return self._read(self._line.ask("POST", self._path, self._headers, urlencode(form, errors="replace").encode()))

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _read(self, reply: Reply) -> Accepted:
        told = _load(reply.body)
        if not 200 <= reply.status < 300:
            raise self._refusal(reply, told)
        sid = told.get("sid")
        if not isinstance(sid, str) or not sid:
            raise Unconfirmed(f"{WHO}'s answer names no message: {shown(reply, self._token, self._pair)}")
        segments = re.fullmatch(r"[1-9][0-9]?", str(told.get("num_segments")))  # 0 while a messaging service chooses
        return Accepted(sid[:100], None, None if segments is None else int(segments[0]))

    def _refusal(self, reply: Reply, told: dict[str, Any]) -> DeviceError:
        code = told.get("code")
        if not isinstance(code, int):
            return turned_away(WHO, reply, shown(reply, self._token, self._pair))
        words = f"{plain(told.get('message', ''), self._token, self._pair)} ({code})"
        if code in OURS_TO_MEND:
            return Away(f"{WHO} does not serve this account: {words}")
        if code in NOT_NOW:
            return Unreachable(f"{WHO} did not take it: {words}")
        if code in BLOCKED:
            return Blocked(f"{WHO} says that this number wants no texts: {words}")
        return Refused(f"{WHO} said no: {words}") if reply.status == 400 else turned_away(WHO, reply, words)


def _load(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
