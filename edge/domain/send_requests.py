"""What programs ask to be sent: the same request under the same key is one campaign, however often it comes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.database import transaction
from edge.domain import audiences, campaigns
from edge.errors import BadInput
from edge.models import Staff
from edge.sms_models import Campaign

LONGEST_KEY = 200


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
    key, content = None, ""
    if wish.key:
        key = _digest(f"{staff.id if staff is not None else 0}:{wish.key}")
        content = _digest(json.dumps([sorted(numbers), wish.text, wish.name, wish.kind]))
        known = Campaign.one_where("request_key = ?", key)
        if known is not None and known.request_digest != content:
            raise KeyReused("This Idempotency-Key already stands for other texts.", "Idempotency-Key")
        if known is not None:
            return known, False
    campaign: Campaign = campaigns.send_now(
        numbers, wish.text, wish.name, staff, now, wish.kind, request_key=key, request_digest=content
    )
    return campaign, True


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:32]
