"""`edge payment`: what was paid, and the story of one payment."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.cli.held import give_command, held_command
from edge.domain import asking, payments, receipts, refunds, reports
from edge.domain.reports import Sale, Step
from edge.errors import BadInput
from edge.models import Payment
from edge.money_models import Receipt
from edge.pages.staff_words import step_words
from edge.pages.views import payment_view, show_instant
from edge.values.money import show_money, whole_units
from edge.values.msisdn import show_msisdn
from edge.values.statement import read_amount
from edge.worker import work_once


@click.group(cls=BoxGroup)
def payment() -> None:
    """What was paid."""


payment.add_command(held_command)
payment.add_command(give_command)


@payment.command("list")
@click.option("--only", type=click.Choice(reports.FILTERS), default="all", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.argument("search", required=False)
def list_payments(only: str, limit: int, search: str | None) -> None:
    """The newest payments; or those of a phone number, receipt, code or reference."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        found = reports.find_payments(search, limit) if search else reports.last_payments(limit, only)

        def lines() -> Iterator[str]:
            rows = [_row(sale, zone) for sale in found]
            yield from table(rows, ("id", "when", "phone", "plan", "amount", "status", "receipt", "code"))

        show({"payments": [_view(sale) for sale in found]}, lines)


@payment.command("show")
@click.argument("which", metavar="ID|PHONE|RECEIPT|CODE")
def show_payment(which: str) -> None:
    """Everything that happened to one payment, in the order of time."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        sale = _find(which)
        steps = reports.story(sale)

        def lines() -> Iterator[str]:
            yield from table([_row(sale, zone)], ("id", "when", "phone", "plan", "amount", "status", "receipt", "code"))
            for step in steps:
                yield f"{step.at.astimezone(zone):%H:%M:%S}  {'! ' if step.bad else '  '}{step_words(step)}"

        show({**_view(sale), "story": [_step(step) for step in steps]}, lines)


@payment.command()
@click.argument("which", metavar="ID|PHONE|RECEIPT|CODE")
def recheck(which: str) -> None:
    """Have M-Pesa asked again how a payment ended."""
    with asked().box() as told:
        sale = _find(which)
        asking.recheck(sale.payment, datetime.now(UTC))
        if told.queue.mode == "inline":
            work_once(told, ("payments",))
        words = f"M-Pesa will be asked about payment {sale.payment.id}; see edge payment show {sale.payment.id}"
        show({"payment": sale.payment.id, "asked": True}, lambda: iter([words]))


@payment.command()
@click.argument("which", metavar="ID|PHONE|RECEIPT|CODE")
@click.option("--how", type=click.Choice(refunds.WAYS), default="cash", show_default=True)
@click.option("--amount", help="In shillings, like 20 or 12.50; else all that is left of it.")
@click.option("--words", default="", help="Why, for the books.")
def refund(which: str, how: str, amount: str | None, words: str) -> None:
    """Give the money of a payment back, or of a held receipt; when all of it goes back, access ends."""
    with asked().box() as told:
        what = _held(which) or _find(which).payment
        cents = refunds.refundable_cents(what) if amount is None else _cents(amount)
        made = refunds.ask(what, cents, how, None, datetime.now(UTC), words)
        if told.queue.mode == "inline":
            work_once(told, ("payments",))
        of = f"payment {what.id}" if isinstance(what, Payment) else f"held receipt {what.code}"
        words = f"Refund {made.id}, {show_money(made.amount_cents)} of {of}: {made.state}"
        document = {"refund": made.id, "payment": made.payment_id, "state": made.state, "how": made.how}
        show(document | {"amount": whole_units(made.amount_cents)}, lambda: iter([words]))


def _held(which: str) -> Receipt | None:
    """Money that bought nothing yet, by its receipt."""
    row = receipts.find(which.strip().upper())
    return row if row is not None and row.verified and row.used_cents == 0 and row.left_cents > 0 else None


def _cents(typed: str) -> int:
    try:
        return read_amount(typed)
    except ValueError as reason:
        raise BadInput(f"{reason}. It looks like 20 or 12.50.", "amount") from None


def _find(which: str) -> Sale:
    """By its number, its buyer's token, or what a search finds; the newest of several."""
    by_token = payments.by_token(which)
    if by_token is not None:
        which = str(by_token.id)
    numbered = reports.sale(int(which)) if which.isdecimal() and len(which) < 10 else None
    found = [numbered] if numbered else reports.find_payments(which, 1)
    if not found:
        raise BadInput(f"There is no payment {which!r}: give its number, a phone, a receipt or a code.", "payment")
    return found[0]


def _row(sale: Sale, zone: ZoneInfo) -> tuple[Any, ...]:
    payment = sale.payment
    phone = show_msisdn(payment.msisdn) if payment.msisdn else "–"
    return (
        payment.id, f"{payment.created_at.astimezone(zone):%Y-%m-%d %H:%M:%S}", phone, payment.plan.name,
        show_money(payment.amount_cents), sale.status, payment.receipt, sale.grant.username if sale.grant else "",
    )  # fmt: skip


def _view(sale: Sale) -> dict[str, Any]:
    payment = sale.payment
    return {
        "id": payment.id, **payment_view(payment, datetime.now(UTC)), "phone_number": "+" + payment.msisdn,
        "mac_address": payment.mac, "package_id": payment.plan_id, "amount": whole_units(payment.amount_cents),
        "created_at": show_instant(payment.created_at), "paid_at": show_instant(payment.paid_at),
        "witness": payment.witness, "confirmed_at": show_instant(payment.confirmed_at),
        "result_code": payment.result_code,
    }  # fmt: skip


def _step(step: Step) -> dict[str, Any]:
    return {"at": step.at.isoformat(), "name": step.name, "words": step_words(step), **step.data}
