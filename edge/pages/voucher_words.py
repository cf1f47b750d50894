"""What a voucher says, on the guest's page, on the dashboard and on paper."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib import import_module

from edge.domain import plans, vouchers_listed
from edge.domain.vouchers import NotGood
from edge.errors import BadInput, Unreachable
from edge.models import Router
from edge.money_models import Voucher
from edge.own_address import own_address, reachable_at
from edge.texts import catalogue, say
from edge.values import csv_safe
from edge.values.duration import show_duration
from edge.values.money import show_money
from edge.values.sizes import show_bytes
from edge.values.slip import Slip


def why(reason: BadInput) -> str:
    """Why a code opens nothing, as a guest understands it."""
    if not isinstance(reason, NotGood):
        return str(reason)
    return say(f"voucher.{reason.why}", when="" if reason.at is None else moment(reason.at), place=reason.place)


def moment(instant: datetime) -> str:
    """By the clock on the shop's wall: `Thu 26 Nov, 14:02`."""
    return f"{instant.astimezone(plans.shop.zone):%a %d %b, %H:%M}"


def last_day(instant: datetime) -> str:
    """Until when a voucher may be begun, as it is printed: with its year."""
    return f"{instant.astimezone(plans.shop.zone):%a %d %b %Y, %H:%M}"


def what(voucher: Voucher) -> str:
    """How much it gives: `1 hour, 500 MB`."""
    count = voucher.plan.bytes if voucher.bytes is None else voucher.bytes
    data = [] if count is None else [show_bytes(count)]
    return ", ".join([show_duration(voucher.seconds or voucher.plan.seconds), *data])


def pdf(found: Iterable[Voucher], portal: str, paper: str, now: datetime) -> bytes:
    """The vouchers on this paper; `portal` is the address that their QR codes begin with."""
    # What draws takes 30 MB and half a second to bring in: only where somebody prints.
    sheets = import_module("edge.print_sheets")
    return bytes(sheets.pdf([slip(voucher, portal) for voucher in found], catalogue.shop, paper, now))


def slip(voucher: Voucher, portal: str) -> Slip:
    """As it is printed; `portal` is the address that its QR code begins with."""
    return Slip(
        code=voucher.code, plan=voucher.plan.name, price=show_money(voucher.value_cents) if voucher.value_cents else "",
        url=f"{portal}/v/{voucher.code}", what="" if what(voucher) == voucher.plan.name else what(voucher),
        expires="" if voucher.expires_at is None else say("voucher.before", when=last_day(voucher.expires_at)),
        how=say("voucher.how"),
    )  # fmt: skip


def portal_address(host: str, port: int) -> str:
    """Where a QR code leads: this box in the shop's network, as its first router sees it.

    Not the public address: whoever holds a voucher is not on the internet yet.
    """
    if host not in ("0.0.0.0", "::", ""):
        return f"http://{host}:{port}"
    first = Router.select().order_by(Router.id).first()
    try:
        return f"http://{own_address(first.host) if first is not None else own_address()}:{port}"
    except Unreachable:
        return f"http://{reachable_at(host)}:{port}"


def csv_of(found: Iterable[Voucher], now: datetime) -> Iterator[str]:
    """The vouchers for a spreadsheet, in pieces."""
    heads = ("code", "plan", "gives", "value", "state", "seller", "begin before", "sold", "used", "words")
    return csv_safe.write(heads, (_csv_row(voucher, now) for voucher in found))


def _csv_row(voucher: Voucher, now: datetime) -> tuple[object, ...]:
    instants = (voucher.expires_at, voucher.sold_at, voucher.used_at)
    local = [None if instant is None else instant.astimezone(plans.shop.zone) for instant in instants]
    return (
        voucher.code, voucher.plan.name, what(voucher), csv_safe.shillings(voucher.value_cents),
        vouchers_listed.state_of(voucher, now), voucher.seller, *local, voucher.words,
    )  # fmt: skip
