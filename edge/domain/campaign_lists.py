"""A campaign's recipients, written down before it may be sent: each number once, priced, and who is left out."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from edge import jobs
from edge.database import db, transaction
from edge.domain import audiences, contacts, messages
from edge.errors import EdgeError
from edge.models import Message
from edge.sealing import seal
from edge.sms_models import Campaign, SmsList
from edge.values import placeholders
from edge.values.sms_text import count_segments

Person = tuple[str, dict[str, str]]
CHUNK = 1_000
AT_ONCE = 200  # rows in one statement
OPTED_OUT, NOT_AGREED, TWICE = "opted out", "did not agree to advertising", "named twice"
LACKS = "lacks "
COLUMNS = "msisdn, text, kind, state, campaign_id, staff_id, fields, segments, cost, round, route, tried, reference, "
COLUMNS += "wants_report, flash, words, created_at"


def version_of(campaign: Campaign) -> str:
    """Of what decides who its recipients are and what each of them costs."""
    told = json.dumps([campaign.text, campaign.kind, campaign.audience], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class Stale(EdgeError):
    """The draft was changed, sent or deleted meanwhile: this list is nobody's."""


def chunks(people: Iterable[Person]) -> Iterator[list[Person]]:
    """A thousand at a time: memory stays small, and between two of them guests are served."""
    rest = iter(people)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


@transaction
def begin(campaign: Campaign) -> bool:
    """Forget what an earlier try wrote, by the chunk; False while there is more. Stale as in `write`."""
    _require_draft(campaign)
    Campaign.update(listed_at=None).where(Campaign.id == campaign.id, Campaign.listed_at.is_null(False)).execute()
    gone = db.execute_sql(
        "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE campaign_id = ? AND state = 'listed' LIMIT ?)",
        (campaign.id, 5 * CHUNK),
    ).rowcount
    return int(gone) < 5 * CHUNK


def _require_draft(campaign: Campaign) -> None:
    row = Campaign.get_or_none(Campaign.id == campaign.id)
    if row is None or row.state != "draft" or version_of(row) != version_of(campaign):
        raise Stale(f"campaign {campaign.id} is no longer the draft whose recipients are listed")


@transaction
def write(campaign: Campaign, people: list[Person], now: datetime) -> Counter[str]:
    """Write these down; returns why which of them were left out. Stale when the draft is another one by now."""
    _require_draft(campaign)
    left_out: Counter[str] = Counter()
    willing = _willing(campaign, [msisdn for msisdn, _ in people], left_out)
    names = placeholders.names(campaign.text)
    plain = messages.as_sent(campaign.text) if not names else ""
    same = count_segments(plain) if not names else 0
    rows = []
    for msisdn, values in people:
        if msisdn not in willing:
            continue
        told = {name: values[name] for name in names if values.get(name)}
        segments = same or _segments(campaign.text, told, left_out)
        if segments:
            rows.append((msisdn, json.dumps(told) if names else "", segments))
    before = _count(campaign)
    for start in range(0, len(rows), AT_ONCE):
        _insert(campaign, rows[start : start + AT_ONCE], now)
    twice = len(rows) - (_count(campaign) - before)
    if twice:
        left_out[TWICE] += twice
    return left_out


def _willing(campaign: Campaign, msisdns: list[str], left_out: Counter[str]) -> set[str]:
    numbers = set(msisdns)
    blocked = contacts.blocked_among(numbers)
    left_out.update({OPTED_OUT: len(blocked)} if blocked else {})
    numbers -= blocked
    if campaign.kind != "marketing":
        return numbers
    agreed = numbers - contacts.unwilling_among(numbers) if _list_agreed(campaign) else contacts.willing_among(numbers)
    if len(numbers) > len(agreed):
        left_out[NOT_AGREED] += len(numbers) - len(agreed)
    return agreed


def _list_agreed(campaign: Campaign) -> bool:
    """The owner said how the people on this list agreed."""
    if campaign.audience.get("kind") != "list":
        return False
    row = SmsList.get_or_none(SmsList.id == campaign.audience.get("list_id"))
    return row is not None and bool(row.consent)


def _segments(text: str, values: dict[str, str], left_out: Counter[str]) -> int:
    missing = next((name for name in placeholders.needed(text) if not values.get(name)), None)
    if missing is not None:
        left_out[LACKS + missing] += 1
        return 0
    return count_segments(messages.as_sent(placeholders.fill(text, values)))


def _count(campaign: Campaign) -> int:
    listed = "SELECT COUNT(*) FROM messages WHERE campaign_id = ? AND state = 'listed'"
    return int(db.execute_sql(listed, (campaign.id,)).fetchone()[0])


def _insert(campaign: Campaign, rows: list[tuple[str, str, int]], now: datetime) -> None:
    given: list[object] = []
    for msisdn, fields, segments in rows:
        given += [
            seal.number(msisdn), "", "campaign", "listed", campaign.id, campaign.staff_id,
            seal.text(fields, "messages.fields"), segments, segments, 0, "", "", "", False, False, "", now.timestamp(),
        ]  # fmt: skip
    places = ", ".join(["(" + ", ".join("?" * (len(given) // len(rows))) + ")"] * len(rows))
    db.execute_sql(f"INSERT OR IGNORE INTO messages ({COLUMNS}) VALUES {places}", given)


@transaction
def close(campaign_id: int, version: str, left_out: Counter[str], now: datetime) -> None:
    """All are written down; or, when the draft was changed meanwhile, it begins anew."""
    campaign = Campaign.get_or_none(Campaign.id == campaign_id)
    if campaign is None or campaign.state != "draft":
        return
    if version_of(campaign) == version:
        campaign.put(listed_at=now, left_out=dict(left_out), words="")
        return
    promise(campaign_id, now)


def promise(campaign_id: int, now: datetime) -> None:
    """The work of listing them; under one key, so that no two lists of one campaign are ever written at once."""
    jobs.promise(
        "campaign.list", "sms", now, args={"campaign_id": campaign_id}, unique_key=f"campaign:{campaign_id}:list",
        timeout_s=300, cause=f"campaign:{campaign_id}",
    )  # fmt: skip


@transaction
def fail(campaign_id: int, words: str, now: datetime) -> None:
    """Its recipients could not be written down: the draft says why."""
    Campaign.update(words=words[:300]).where(Campaign.id == campaign_id, Campaign.state == "draft").execute()


@transaction
def list_all(campaign: Campaign, now: datetime) -> None:
    """All of a short list at once, in the caller's transaction."""
    left_out: Counter[str] = Counter()
    for chunk in chunks(audiences.people(campaign.audience, now)):
        left_out += write(campaign, chunk, now)
    campaign.put(listed_at=now, left_out=dict(left_out))


def text_of(campaign: Campaign, message: Message) -> str:
    """What this recipient is sent."""
    values = json.loads(message.fields) if message.fields else {}
    return messages.as_sent(placeholders.fill(campaign.text, values))


def show_left_out(why: str, count: int) -> str:
    """`3 opted out`, and for whom a value is missing."""
    if why.startswith(LACKS):
        return f"{count:,} {'has' if count == 1 else 'have'} no {{{{{why.removeprefix(LACKS)}}}}}"
    return f"{count:,} {why}"
