"""`edge plan`: what is sold."""

from collections.abc import Callable, Iterator
from typing import Any

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import plans
from edge.errors import BadInput
from edge.models import Plan
from edge.pages.views import plan_view
from edge.values.duration import show_duration
from edge.values.hotspot import read_duration
from edge.values.money import show_money
from edge.values.sizes import read_bytes, show_bytes

NONE = ("none", "no", "0", "-")


@click.group(cls=BoxGroup)
def plan() -> None:
    """What is sold."""


@plan.command("list")
@click.option("--all", "with_hidden", is_flag=True, help="The hidden ones too.")
def list_plans(with_hidden: bool) -> None:
    """The plans that guests may pick."""
    with asked().box():
        found = plans.everything() if with_hidden else plans.on_sale()

        def lines() -> Iterator[str]:
            heads = ("id", "name", "price", "time", "data", "up/down", "devices", "counts", "")
            yield from table([_row(plan) for plan in found], heads)

        views = [_view(plan) | ({"on_sale": plan.on_sale} if with_hidden else {}) for plan in found]
        show({"packages": views}, lines)


def _options(needed: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What may be said of a plan; a new one needs a price and a time."""
    options = (
        click.option("--price", type=click.IntRange(1, 10_000_000), required=needed, help="In whole shillings."),
        click.option("--time", required=needed, help="Like 90m, 1h30m, 1d, 1w, or seconds."),
        click.option("--data", help="Like 500MB or 2GB; none for no limit."),
        click.option("--rate", help="Upload/download, like 2M/5M; none for no limit."),
        click.option("--devices", type=click.IntRange(1, plans.MOST_DEVICES), help="Online at the same time."),
        click.option("--metered/--by-the-clock", default=None, help="Its time counts only while online."),
        click.option("--idle", help="Silent for so long is logged out, like 10m; none for the router's own."),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@plan.command()
@click.argument("name")
@_options(needed=True)
def add(name: str, **told: Any) -> None:
    """Sell a new plan named NAME."""
    with asked().box():
        _tell(plans.add(name=name.strip(), **_values(told)), "is on sale")


@plan.command("set")
@click.argument("plan_id", type=int, metavar="ID")
@click.option("--name", help="Another name.")
@click.option("--show/--hide", "on_sale", default=None, help="May guests pick it?")
@_options(needed=False)
def set_plan(plan_id: int, name: str | None, on_sale: bool | None, **told: Any) -> None:
    """Sell the plan ID in another way from now on; who has bought keeps what he bought."""
    values = _values(told)
    values |= {} if name is None else {"name": name.strip()}
    values |= {} if on_sale is None else {"on_sale": on_sale}
    if not values:
        raise click.UsageError("Say what to change, like --price 30.")
    with asked().box():
        changed = plans.change(plans.get(plan_id), **values)
        _tell(changed, "is changed" if changed.on_sale else "is changed, and hidden")


@plan.command()
@click.argument("plan_id", type=int, metavar="ID")
def hide(plan_id: int) -> None:
    """Sell the plan ID no more; who has bought it keeps it. `edge plan set ID --show` brings it back."""
    with asked().box():
        _tell(plans.change(plans.get(plan_id), on_sale=False), "is sold no more")


def _values(told: dict[str, Any]) -> dict[str, Any]:
    """Columns from what was typed; what was not said is left out."""
    values: dict[str, Any] = {}
    if told["price"] is not None:
        values["price_cents"] = told["price"] * 100
    if told["time"] is not None:
        values["seconds"] = _seconds(told["time"], "time")
    if told["data"] is not None:
        values["bytes"] = None if told["data"].lower() in NONE else read_bytes(told["data"])
    if told["rate"] is not None:
        values["rate"] = "" if told["rate"].lower() in NONE else told["rate"]
    if told["idle"] is not None:
        values["idle_s"] = None if told["idle"].lower() in NONE else _seconds(told["idle"], "idle")
    return values | {key: told[key] for key in ("devices", "metered") if told[key] is not None}


def _seconds(typed: str, field: str) -> int:
    seconds = read_duration(typed)
    if not seconds:
        raise BadInput(f"{typed} is not a length of time. It looks like 90m, 1h30m, 1d or 1w.", field)
    return seconds


def _tell(plan: Plan, words: str) -> None:
    line = f"Plan {plan.id}, {plan.name}, {show_money(plan.price_cents)} for {show_duration(plan.seconds)}, {words}."
    show({**_view(plan), "on_sale": plan.on_sale}, lambda: iter([line]))


def _row(plan: Plan) -> tuple[Any, ...]:
    return (
        plan.id, plan.name, show_money(plan.price_cents), show_duration(plan.seconds),
        show_bytes(plan.bytes) if plan.bytes else "", plan.rate, plan.devices, "online" if plan.metered else "clock",
        "" if plan.on_sale else "hidden",
    )  # fmt: skip


def _view(plan: Plan) -> dict[str, Any]:
    """As the web tells it, and what only the shop needs to know."""
    return {**plan_view(plan), "metered": plan.metered, "idle_s": plan.idle_s}
