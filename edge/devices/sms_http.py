"""Any other SMS gateway with an HTTP address, by a template that the owner writes."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus, urlsplit
from xml.sax.saxutils import escape

from edge.devices.exchange import Reply
from edge.devices.sms_line import Line, plain, shown, turned_away
from edge.errors import Away, Refused, Unconfirmed
from edge.values.sms_gateway import Accepted

WHO = "the SMS gateway"
FORM = "application/x-www-form-urlencoded"
_PLACE = re.compile(r"\{(to|plus|text|reference)\}")
_SAMPLE = {"to": "254700000000", "plus": "+254700000000", "text": "x", "reference": "x"}


@dataclass(frozen=True)
class Template:
    """How to ask, and how to read the answer.

    `{to}` (2547…), `{plus}` (+2547…), `{text}` and `{reference}` are filled in `url`, `headers` and `body`, escaped as
    their place demands. `accepted` and `reference` are regular expressions that are searched in the answer; the second
    has one group. Without `accepted` any 2xx means taken; without `reference` the text is known by ours.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    accepted: str = ""
    reference: str = ""


class HttpSms:
    """One gateway; safe to share between threads."""

    def __init__(self, template: Template, *, timeout_s: float = 20.0) -> None:
        """Away when an expression can't be understood."""
        self._template = template
        self._line = Line(WHO, template.url, timeout_s)
        parts = urlsplit(template.url)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = dict(template.headers)
        self._kind = next((value for name, value in self._headers.items() if name.lower() == "content-type"), "")
        if not self._kind and template.body:
            self._kind = "application/json" if _is_json(template.body) else FORM
            self._headers["Content-Type"] = self._kind
        # Whatever the owner wrote there may be a key.
        written = " ".join((parts.query, template.body, *self._headers.values()))
        self._secrets = re.findall(r"[^\s\"'&=:,;<>{}]{8,}", written)
        self._accepted = _compile("accepted", template.accepted, groups=0)
        self._reference = _compile("reference", template.reference, groups=1)

    def send(self, msisdn: str, text: str, reference: str) -> Accepted:
        """Hand over one text. An answer that is readable and not `accepted` is a refusal: the owner has said so."""
        values = {"to": msisdn, "plus": f"+{msisdn}", "text": text, "reference": reference}
        target = _fill(self._target, values, lambda value: quote(value, safe="", errors="replace"))
        # A text has no place in a header, and letters that could begin another one neither.
        headers = {
            name: _fill(value, {**values, "text": ""}, lambda part: part) for name, value in self._headers.items()
        }
        body = _fill(self._template.body, values, _escape_for(self._kind)).encode("utf-8", "replace")
        return self._read(self._line.ask(self._template.method, target, headers, body), reference)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _read(self, reply: Reply, ours: str) -> Accepted:
        if not 200 <= reply.status < 300:
            raise turned_away(WHO, reply, shown(reply, *self._secrets))
        answer = reply.body.decode("utf-8", "replace")
        if self._accepted is not None and not self._accepted.search(answer):
            if not reply.body or re.match(r"\s*<(!doctype|html)", answer, re.IGNORECASE):
                raise Unconfirmed(f"{WHO}'s answer can't be read: {shown(reply, *self._secrets)}")
            raise Refused(f"{WHO} said no: {plain(answer[:400], *self._secrets)}")
        found = self._reference.search(answer) if self._reference is not None else None
        return Accepted((found[1] if found is not None and found[1] else ours)[:100])


def _compile(key: str, words: str, *, groups: int) -> re.Pattern[str] | None:
    if not words:
        return None
    try:
        pattern = re.compile(words)
    except re.error as reason:
        raise Away(f"[sms.http] {key}: no regular expression: {reason}") from reason
    if pattern.groups < groups:
        raise Away(f"[sms.http] {key}: put what is to be read in one pair of parentheses")
    return pattern


def _fill(template: str, values: Mapping[str, str], escaped: Callable[[str], str]) -> str:
    """All places in one go: what is filled in is not read as a template again."""
    return _PLACE.sub(lambda place: escaped(values[place[1]]), template)


def _escape_for(kind: str) -> Callable[[str], str]:
    if "json" in kind:
        return lambda value: json.dumps(value)[1:-1]
    if "xml" in kind:
        return lambda value: escape(value, {'"': "&quot;", "'": "&apos;"})
    if "urlencoded" in kind:
        return lambda value: quote_plus(value, errors="replace")
    return lambda value: value


def _is_json(body: str) -> bool:
    try:
        json.loads(_fill(body, _SAMPLE, lambda value: value))
    except ValueError:
        return False
    return True
