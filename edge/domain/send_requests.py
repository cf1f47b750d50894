"""What programs ask to be sent: the same request under the same key is one campaign, however often it comes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.database import db, transaction
from edge.domain import audiences, campaigns
from edge.errors import BadInput
from edge.models import Staff
from edge.sms_models import Campaign

KEPT = 1_000  # campaigns back from the newest in which a key is known again
LONGEST_KEY = 200

# The key stands at the beginning of the document, before a long list of numbers.
KNOWN = """
SELECT id FROM sms_campaigns WHERE id > (SELECT COALESCE(MAX(id), 0) FROM sms_campaigns) - ? AND audience LIKE ?
ORDER BY id DESC LIMIT 1
"""


class KeyReused(BadInput):
    """An Idempotency-Key that already stands for other texts."""


@dataclass(frozen=True)
class Wish:
    """What was asked for: the numbers as typed."""

    numbers: Sequence[str]
    text: str
    name: str
    kind: str = "service"
    key: str = ""


def take(wish: Wish, staff: Staff | None, now: datetime) -> tuple[Campaign, bool]:
    """The campaign of this wish, and whether it is new.

    `credits.Short` when there are too few, KeyReused for other texts under a known key, BadInput for what can't be
    sent; then nothing is written.
    """
    numbers = audiences.read_numbers(wish.numbers, "to")
    return _take(wish, numbers, staff, now)


@transaction
def _take(wish: Wish, numbers: list[str], staff: Staff | None, now: datetime) -> tuple[Campaign, bool]:
    marks: dict[str, str] = {}
    if wish.key:
        owner = staff.id if staff is not None else 0
        content = json.dumps([sorted(numbers), wish.text, wish.name, wish.kind])
        marks = {"key": _digest(f"{owner}:{wish.key}"), "content": _digest(content)}
        found = db.execute_sql(KNOWN, (KEPT, f'{{"key":"{marks["key"]}",%')).fetchone()
        if found is not None:
            campaign: Campaign = Campaign.get_by_id(found[0])
            if campaign.audience.get("content") != marks["content"]:
                raise KeyReused("This Idempotency-Key already stands for other texts.", "Idempotency-Key")
            return campaign, False
    return campaigns.send_now(numbers, wish.text, wish.name, staff, now, wish.kind, audience=marks), True


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:32]
