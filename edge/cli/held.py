"""`edge payment held` and `edge payment give`: money that waits for a person."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.cli.command import BoxCommand, asked, show, table
from edge.domain import matching, plans, receipts
from edge.errors import BadInput
from edge.money_models import Receipt
from edge.pages.views import show_instant
from edge.values.codes import read_receipt
from edge.values.money import show_money, whole_units
from edge.values.msisdn import mask_msisdn, read_msisdn


@click.command("held", cls=BoxCommand)
def held_command() -> None:
    """Money that came and fits no purchase."""
    with asked().box() as told:
        zone = ZoneInfo(told.box.timezone)
        found = receipts.held()

        def lines() -> Iterator[str]:
            if not found:
                yield "No money is waiting."
                return
            rows = [_row(row, zone) for row in found]
            yield from table(rows, ("receipt", "when", "amount", "payer", "account", "why"))

        show({"held": [_view(row) for row in found]}, lines)


@click.command("give", cls=BoxCommand)
@click.argument("receipt")
@click.argument("plan", type=int)
@click.argument("phone")
def give_command(receipt: str, plan: int, phone: str) -> None:
    """Sell PLAN (its number) to PHONE for the held money of RECEIPT; the code goes there by text."""
    with asked().box():
        row = receipts.find(read_receipt(receipt))
        if row is None:
            raise BadInput("No money came under this receipt; `edge payment held` lists what waits.", "receipt")
        sold = matching.give_to(row, plans.get(plan), read_msisdn(phone), datetime.now(UTC))
        words = f"Payment {sold.id}: {sold.plan.name} for {show_money(sold.amount_cents)}. The code is texted."
        show({"payment": sold.id, "receipt": row.code, "plan": sold.plan_id}, lambda: iter([words]))


def _row(row: Receipt, zone: ZoneInfo) -> tuple[Any, ...]:
    when = (row.paid_at or row.created_at).astimezone(zone)
    payer = mask_msisdn(row.msisdn) if row.msisdn else row.payer_shape[:20]
    return row.code, f"{when:%d %b %H:%M}", show_money(row.left_cents), payer, row.account, row.words


def _view(row: Receipt) -> dict[str, Any]:
    return {
        "receipt": row.code, "left": whole_units(row.left_cents), "amount": whole_units(row.amount_cents),
        "account": row.account, "words": row.words, "payment": row.payment_id,
        "paid_at": show_instant(row.paid_at or row.created_at),
    }  # fmt: skip
