"""Vouchers as lists and counts: what became of each batch, and where one code stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.database import db
from edge.domain import clock, guest_codes
from edge.errors import BadInput
from edge.models import Plan
from edge.money_models import Voucher, VoucherBatch

PAGE = 100
STATES = ("new", "sold", "used", "void", "expired")

# One look at the index of a batch's vouchers for all its counts.
COUNTS = """
SELECT batch_id,
  CASE WHEN state IN ('new', 'sold') AND expires_at <= ? THEN 'expired' ELSE state END AS shown,
  COUNT(*), SUM(value_cents), SUM(CASE WHEN sold_at IS NULL THEN 0 ELSE value_cents END),
  SUM(CASE WHEN state IN ('new', 'used') AND sold_at IS NULL THEN value_cents ELSE 0 END),
  SUM(CASE WHEN state = 'used' AND sold_at IS NULL THEN 1 ELSE 0 END)
FROM vouchers WHERE batch_id IN ({marks}) GROUP BY batch_id, shown
"""


@dataclass(frozen=True)
class Counted:
    """A batch, and how many of its vouchers are in each state; values in cents."""

    batch: VoucherBatch
    counts: dict[str, int]
    value_cents: int
    paid_cents: int  # of those that were sold
    unpaid_cents: int  # of those that are not, used or still good to sell
    used_unpaid: int  # used, and not recorded as sold

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def batches(now: datetime, *, before: int | None = None, limit: int = PAGE) -> list[Counted]:
    """The newest first; those older than batch `before`."""
    found = VoucherBatch.select(VoucherBatch, Plan).join(Plan).order_by(VoucherBatch.id.desc()).limit(limit)
    return _counted(list(found if before is None else found.where(VoucherBatch.id < before)), now)


def batch(number: int, now: datetime) -> Counted:
    """This batch, else BadInput."""
    found: VoucherBatch | None = VoucherBatch.get_or_none(VoucherBatch.id == number)
    if found is None:
        raise BadInput(f"There is no batch {number}.", "batch")
    return _counted([found], now)[0]


def state_of(voucher: Voucher, now: datetime) -> str:
    """One of STATES, as people say it: one that expired unused is expired, however it is kept."""
    is_over = voucher.expires_at is not None and voucher.expires_at <= clock.reckoned(now)
    return "expired" if is_over and voucher.state in ("new", "sold") else str(voucher.state)


def listing(
    now: datetime, *, of: VoucherBatch | None = None, state: str = "", typed: str = "", after: int = 0,
    limit: int = PAGE,
) -> list[Voucher]:  # fmt: skip
    """Vouchers in the order they were made, from number `after` on: of one batch, in one state, whose code begins like
    what was typed.
    """
    found = Voucher.select(Voucher, Plan).join(Plan).where(Voucher.id > after).order_by(Voucher.id).limit(limit)
    if of is not None:
        found = found.where(Voucher.batch == of.id)
    if state:
        found = found.where(_is(state, now))
    if typed:
        found = found.where(Voucher.code.startswith(guest_codes.plain(typed[: guest_codes.LONGEST])))
    return list(found)


def whole(of: VoucherBatch, now: datetime, state: str = "") -> Iterator[Voucher]:
    """All of a batch, page by page."""
    after = 0
    while page := listing(now, of=of, state=state, after=after, limit=500):
        yield from page
        after = page[-1].id


def to_print(of: VoucherBatch, now: datetime) -> list[Voucher]:
    """Those of a batch that may still be used."""
    return [voucher for voucher in whole(of, now) if state_of(voucher, now) in ("new", "sold")]


def _is(state: str, now: datetime) -> Any:
    over = Voucher.expires_at <= clock.reckoned(now)
    if state == "expired":
        return Voucher.state.in_(("new", "sold")) & over
    if state in ("new", "sold"):
        return (Voucher.state == state) & (Voucher.expires_at.is_null() | ~over)
    return Voucher.state == state


def _counted(found: list[VoucherBatch], now: datetime) -> list[Counted]:
    if not found:
        return []
    words = COUNTS.format(marks=", ".join("?" for _ in found))
    rows = db.execute_sql(words, [clock.reckoned(now).timestamp(), *(one.id for one in found)]).fetchall()
    return [_count(one, [row[1:] for row in rows if row[0] == one.id]) for one in found]


def _count(one: VoucherBatch, rows: list[Any]) -> Counted:
    counts = dict.fromkeys(STATES, 0) | {str(state): int(count) for state, count, *_ in rows}
    return Counted(one, counts, *(sum(int(row[place]) for row in rows) for place in (2, 3, 4, 5)))
