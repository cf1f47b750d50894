"""`edge voucher`: codes on paper, made, printed, counted and taken back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import guest_codes, plans, vouchers, vouchers_listed
from edge.errors import BadInput
from edge.models import Plan, Router
from edge.money_models import Voucher
from edge.pages import voucher_words
from edge.pages.views import show_instant
from edge.values.money import show_money, whole_units
from edge.values.slip import PAPERS
from edge.values.voucher_code import show_code


@click.group(cls=BoxGroup)
def voucher() -> None:
    """Codes on paper that let guests in."""


@voucher.command()
@click.argument("plan")
@click.argument("count", type=int)
@click.option("--name", default="", help="What the batch is called.")
@click.option("--prefix", default="", help="The same letters before each code; not 0, O, 1, I or L.")
@click.option("--length", type=int, default=vouchers.LENGTH, show_default=True, help="Random letters of each code.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="The last day to begin; else as the plan says.")
@click.option("--value", type=click.IntRange(0, 10_000_000), help="Of each, in whole shillings; else the plan's price.")
@click.option("--seller", default="", help="Who sells them.")
@click.option("--router", "router_name", default="", help="Where they are good; else everywhere.")
@click.option("--sold", is_flag=True, help="The seller has paid for all of them.")
def create(
    plan: str, count: int, *, expires: datetime | None, value: int | None, router_name: str, **told: Any
) -> None:  # fmt: skip
    """Make COUNT vouchers for PLAN, which is a plan's number or its name."""
    with asked().box():
        batch = vouchers.make(
            _plan(plan), count, datetime.now(UTC), value_cents=None if value is None else value * 100,
            router=_router(router_name), expires_at=_end_of(expires), **told,
        )  # fmt: skip
        counted = vouchers_listed.batch(batch.id, datetime.now(UTC))

        def lines() -> Iterator[str]:
            yield f"Batch {batch.id}: {count} vouchers for {batch.plan.name}, {show_money(batch.value_cents)} each."
            if weakness := vouchers.weakness(told["length"]):
                yield weakness
            yield f"Print them: edge voucher print {batch.id} --paper a4 -o vouchers.pdf"

        show(_batch_view(counted) | {"note": vouchers.weakness(told["length"])}, lines)


@voucher.command("list")
@click.argument("batch", type=int, required=False)
@click.option("--only", type=click.Choice(vouchers_listed.STATES), help="Those alone.")
def list_vouchers(batch: int | None, only: str | None) -> None:
    """All batches; or the vouchers of BATCH."""
    with asked().box():
        now = datetime.now(UTC)
        if batch is None:
            found = vouchers_listed.batches(now)
            heads = ("batch", "name", "plan", "value", "seller", *vouchers_listed.STATES, "paid")
            rows = [_batch_row(one) for one in found]
            show({"batches": [_batch_view(one) for one in found]}, lambda: table(rows, heads))
            return
        codes = list(vouchers_listed.whole(vouchers_listed.batch(batch, now).batch, now, only or ""))
        shown = [(show_code(one.code), vouchers_listed.state_of(one, now), one.plan.name) for one in codes]
        show({"vouchers": [_view(one, now) for one in codes]}, lambda: table(shown, ("code", "state", "plan")))


@voucher.command("show")
@click.argument("code")
def show_voucher(code: str) -> None:
    """How the voucher CODE stands."""
    with asked().box():
        _tell(_named(code))


@voucher.command()
@click.argument("code", required=False)
@click.option("--batch", type=int, help="All of this batch that are still unused.")
@click.option("--why", default="", help="Why, for the journal.")
def void(code: str | None, batch: int | None, why: str) -> None:
    """Make the voucher CODE, or a whole batch, let nobody in any more."""
    if (code is None) == (batch is None):
        raise click.UsageError("Say a code, or --batch and its number.")
    with asked().box():
        now = datetime.now(UTC)
        if batch is not None:
            count = vouchers.void_batch(vouchers_listed.batch(batch, now).batch, None, why, now)
            show({"void": count}, lambda: iter([f"{count} vouchers of batch {batch} are void now."]))
            return
        found = _named(code or "")
        vouchers.void(found, None, why, now)
        _tell(vouchers.get(found.id))


@voucher.command()
@click.argument("code")
def reissue(code: str) -> None:
    """Exchange the voucher CODE for a new code with what is left of it."""
    with asked().box():
        _tell(vouchers.reissue(_named(code), None, datetime.now(UTC)))


@voucher.command()
@click.argument("batch", type=int)
def paid(batch: int) -> None:
    """The seller of BATCH has paid for what was not paid of it."""
    with asked().box():
        now = datetime.now(UTC)
        count = vouchers.sell_batch(vouchers_listed.batch(batch, now).batch, None, None, now)
        show({"sold": count}, lambda: iter([f"{count} vouchers of batch {batch} stand in the books as sold now."]))


@voucher.command("print")
@click.argument("batch", type=int)
@click.option("--paper", type=click.Choice(PAPERS), default="a4", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A PDF file.")
def print_vouchers(batch: int, paper: str, output: Path) -> None:
    """Write those of BATCH that may still be used into a PDF: A4 to cut, or slips of 58 or 80 mm."""
    with asked().box() as told:
        now = datetime.now(UTC)
        found = vouchers_listed.to_print(vouchers_listed.batch(batch, now).batch, now)
        portal = voucher_words.portal_address(told.web.host, told.web.port)
        output.write_bytes(voucher_words.pdf(found, portal, paper, now))
        line = f"{len(found)} vouchers are in {output}. Their QR codes open {portal}."
        show({"vouchers": len(found), "file": str(output), "portal": portal}, lambda: iter([line]))


@voucher.command()
@click.argument("batch", type=int)
@click.option("--csv", "output", type=click.Path(path_type=Path, dir_okay=False), help="A file; else it is printed.")
def export(batch: int, output: Path | None) -> None:
    """Tell all of BATCH as CSV, for a spreadsheet."""
    with asked().box():
        now = datetime.now(UTC)
        found = vouchers_listed.whole(vouchers_listed.batch(batch, now).batch, now)
        text = "".join(voucher_words.csv_of(found, now))
        if output is None:
            click.echo(text, nl=False)
            return
        output.write_text(text, encoding="utf-8", newline="")
        show({"file": str(output)}, lambda: iter([f"Batch {batch} is in {output}."]))


def _plan(typed: str) -> Plan:
    if typed.isascii() and typed.isdigit():
        return plans.get(int(typed))
    found = [plan for plan in plans.everything() if plan.name.casefold() == typed.strip().casefold()]
    if len(found) != 1:
        how_many = "more than one" if found else "no"
        raise BadInput(f"There is {how_many} plan named {typed}; `edge plan list --all` tells which there are.")
    return found[0]


def _router(name: str) -> Router | None:
    if not name:
        return None
    found: Router | None = Router.get_or_none(Router.name == name)
    if found is None:
        raise BadInput(f"There is no router {name}; `edge router list` tells which there are.", "router")
    return found


def _end_of(day: datetime | None) -> datetime | None:
    """The first moment of the next day on the shop's wall."""
    return None if day is None else day.replace(tzinfo=plans.shop.zone) + timedelta(days=1)


def _named(code: str) -> Voucher:
    found = vouchers.named(code)
    if found is None:
        raise BadInput(f"No voucher has the code {guest_codes.plain(code)}.", "code")
    return found


def _tell(one: Voucher) -> None:
    now = datetime.now(UTC)
    view = _view(one, now)

    def lines() -> Iterator[str]:
        yield f"{show_code(one.code)}: {view['state']}, {one.plan.name}, {voucher_words.what(one)}."
        for word, instant in (("sold", one.sold_at), ("used", one.used_at), ("to be begun before", one.expires_at)):
            if instant is not None:
                yield f"{word} {voucher_words.last_day(instant)}"
        if one.words:
            yield one.words

    show(view, lines)


def _view(one: Voucher, now: datetime) -> dict[str, Any]:
    return {
        "code": one.code, "state": vouchers_listed.state_of(one, now), "plan": one.plan.name, "batch": one.batch_id,
        "value": whole_units(one.value_cents), "seller": one.seller, "gives": voucher_words.what(one),
        "expires_at": show_instant(one.expires_at), "sold_at": show_instant(one.sold_at),
        "used_at": show_instant(one.used_at), "words": one.words,
    }  # fmt: skip


def _batch_view(one: vouchers_listed.Counted) -> dict[str, Any]:
    return {
        "batch": one.batch.id, "name": one.batch.name, "plan": one.batch.plan.name, "seller": one.batch.seller,
        "value": whole_units(one.value_cents), "paid": whole_units(one.paid_cents), **one.counts,
        "used_unpaid": one.used_unpaid,
    }  # fmt: skip


def _batch_row(one: vouchers_listed.Counted) -> tuple[Any, ...]:
    batch = one.batch
    return (
        batch.id, batch.name, batch.plan.name, show_money(batch.value_cents), batch.seller, *one.counts.values(),
        show_money(one.paid_cents),
    )  # fmt: skip
