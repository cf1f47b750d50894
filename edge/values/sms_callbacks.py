"""What SMS gateways post to the box, read; and whether Twilio signed it."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from edge.errors import BadInput
from edge.values.sms_gateway import Incoming, OptedOut, Report, Told

TWILIO_PATH = "/hooks/sms/twilio"
TWILIO_SIGNATURE = "X-Twilio-Signature"
Kind = Literal["delivered", "failed", "sent", "buffered"]
Pairs = Sequence[tuple[str, str]]
MOST_FIELDS = 200
TEXT_LIMIT = 2000
# Africa's Talking documentation, SMS: delivery reports. What is not named here is under way.
AFRICASTALKING: dict[str, Kind] = {
    "success": "delivered", "failed": "failed", "rejected": "failed", "absentsubscriber": "failed",
    "expired": "failed", "buffered": "buffered", "sent": "sent", "submitted": "sent",
}  # fmt: skip
AFRICASTALKING_BLOCKED = frozenset({"userinblacklist", "donotdisturbrejection"})
# Twilio documentation, MessageStatus; `read` is of other channels and more than delivered.
TWILIO: dict[str, Kind] = {
    "delivered": "delivered", "read": "delivered", "undelivered": "failed", "failed": "failed", "canceled": "failed",
    "sent": "sent", "sending": "buffered", "queued": "buffered", "accepted": "buffered", "scheduled": "buffered",
}  # fmt: skip
# Twilio's error dictionary: 21610 unsubscribed, 30004 message blocked (the number is on a list of those who want none).
TWILIO_BLOCKED = frozenset({"21610", "30004"})
# Words that gateways use, and the numbers of Kannel's dlr-mask. What is not named here is under way.
ANY: dict[str, Kind] = {
    **dict.fromkeys(("delivered", "delivrd", "deliveredtoterminal", "success", "1"), "delivered"),
    **dict.fromkeys(("failed", "undelivered", "undeliv", "rejected", "rejectd", "expired", "deleted", "error",
                     "blacklisted", "2", "16"), "failed"),
    **dict.fromkeys(("sent", "submitted", "acceptd", "accepted", "8"), "sent"),
}  # fmt: skip
ID_NAMES = ("reference", "id", "messageid", "message_id", "msgid", "smsid")
STATUS_NAMES = ("status", "state", "dlr")
FROM_NAMES = ("from", "sender", "msisdn")
TEXT_NAMES = ("text", "message", "body")
WORDS_NAMES = ("words", "reason", "error", "description")


def read_pairs(body: bytes, content_type: str = "", query: str = "") -> list[tuple[str, str]]:
    """Names and values, of a form, a flat JSON object or the query. BadInput for anything else."""
    if "json" in content_type:
        return _read_json(body)
    try:
        raw = body.decode("utf-8") or query
        return parse_qsl(raw, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as reason:
        raise BadInput("this is no form", "body") from reason


def _read_json(body: bytes) -> list[tuple[str, str]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as reason:
        raise BadInput("this is no JSON", "body") from reason
    if not isinstance(document, dict) or len(document) > MOST_FIELDS:
        raise BadInput("this is no JSON object", "body")
    return [(name, str(value)) for name, value in document.items() if isinstance(value, str | int)]


def read_africastalking(pairs: Pairs) -> Told:
    """A delivery report (id, status, phoneNumber, failureReason), a text (id, from, text), or an opt-out (senderId,
    phoneNumber). BadInput for anything else."""
    told = dict(pairs)
    if told.get("id") and told.get("status"):
        words = " ".join(filter(None, (told["status"], told.get("failureReason", ""))))
        return Report(
            AFRICASTALKING.get(told["status"].lower(), "buffered"), _id(told["id"]), _words(words),
            told.get("failureReason", "").lower() in AFRICASTALKING_BLOCKED, told.get("phoneNumber", "")[:40],
        )  # fmt: skip
    if told.get("from") and "text" in told:
        return Incoming(_id(told.get("id", "")), told["from"][:40], told["text"][:TEXT_LIMIT])
    if told.get("phoneNumber") and "senderId" in told:
        return OptedOut(told["phoneNumber"][:40], f"opted out at Africa's Talking of {_words(told['senderId'])}")
    raise BadInput("neither a report nor a text", "body")


def read_twilio(pairs: Pairs, query: str = "") -> Told:
    """A status callback (MessageSid, MessageStatus, ErrorCode, To; our reference in the query), or a text (MessageSid,
    From, Body). BadInput for anything else."""
    told = dict(pairs)
    reference = _id(told.get("MessageSid") or told.get("SmsSid", ""))
    status = told.get("MessageStatus", "")
    if reference and status:
        error = told.get("ErrorCode", "")
        words = " ".join(filter(None, (status, error and f"({error})", told.get("ErrorMessage", ""))))
        ours = dict(parse_qsl(query)).get("ours", "")
        return Report(
            TWILIO.get(status.lower(), "buffered"), reference, _words(words), error in TWILIO_BLOCKED,
            told.get("To", "")[:40], _id(ours),
        )  # fmt: skip
    if reference and told.get("From") and "Body" in told:
        return Incoming(reference, told["From"][:40], told["Body"][:TEXT_LIMIT])
    raise BadInput("neither a status callback nor a text", "body")


def read_http(pairs: Pairs) -> Told:
    """What any other gateway was told to call with: a report has an id and a status, a text a sender and its words.

    BadInput for anything else.
    """
    told = {name.lower(): value for name, value in pairs}
    reference, status = _first(told, ID_NAMES), _first(told, STATUS_NAMES)
    if reference and status:
        words = " ".join(filter(None, (status, _first(told, WORDS_NAMES))))
        is_blocked = bool(re.search(r"blacklist|do.?not.?disturb|unsubscribed|opted.?out", words, re.IGNORECASE))
        kind = ANY.get(status.lower(), "failed" if is_blocked else "buffered")
        return Report(kind, _id(reference), _words(words), is_blocked, ours=_id(reference))
    sender = _first(told, FROM_NAMES)
    if sender and any(name in told for name in TEXT_NAMES):
        return Incoming(_id(reference), sender[:40], _first(told, TEXT_NAMES)[:TEXT_LIMIT])
    raise BadInput("neither a report (reference, status) nor a text (from, text)", "body")


def read(kind: str, body: bytes, content_type: str = "", query: str = "") -> Told:
    """By the name of the gateway: africastalking, twilio or http. BadInput for what it never posts."""
    pairs = read_pairs(body, content_type, query if kind == "http" else "")
    if kind == "twilio":
        return read_twilio(pairs, query)
    return read_africastalking(pairs) if kind == "africastalking" else read_http(pairs)


def twilio_url(public_url: str, query: str = "") -> str:
    """The address that Twilio posts to, as it was told to Twilio."""
    return public_url.rstrip("/") + TWILIO_PATH + (f"?{query}" if query else "")


def sign_twilio(auth_token: str, url: str, pairs: Pairs) -> str:
    """Base64 of the HMAC-SHA1 over the whole address and, sorted, each name with its value.

    (Twilio documentation, Validating signatures; of a name given twice each value once, as its own libraries do.)
    """
    told = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(auth_token.encode(), told.encode(), hashlib.sha1).digest()).decode()


def is_signed_by_twilio(auth_token: str, url: str, pairs: Pairs, signature: str) -> bool:
    """Twilio signs with the port in the address or without it: both count, as for its own libraries.

    Without a token nothing is signed.
    """
    given = signature.strip().encode("utf-8", "replace")
    wanted = [sign_twilio(auth_token, one, pairs).encode() for one in _with_and_without_port(url)]
    return bool(auth_token) and any(hmac.compare_digest(one, given) for one in wanted)


def _with_and_without_port(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    name = parts.netloc.removesuffix(f":{port}")
    return parts._replace(netloc=name).geturl(), parts._replace(netloc=f"{name}:{port}").geturl()


def _first(told: Mapping[str, str], names: Sequence[str]) -> str:
    return next((told[name] for name in names if told.get(name)), "")


def _id(value: str) -> str:
    return re.sub(r"[^\x21-\x7e]+", "", value)[:100]


def _words(value: str) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", value).strip()[:200]
