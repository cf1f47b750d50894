"""`edge plan`: what is sold."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import plan_words, plans, trials
from edge.models import Plan
from edge.pages.portal import offer
from edge.pages.views import plan_view
from edge.values.duration import show_duration
from edge.values.money import show_money, whole_units
from edge.values.sizes import show_bytes

NO_TEXTS = "Nobody can get it: its code goes by text, and no modem is set up ([modem] port)."


@click.group(cls=BoxGroup)
def plan() -> None:
    """What is sold."""


@plan.command("list")
@click.option("--all", "with_hidden", is_flag=True, help="Those that are not on sale just now, too.")
def list_plans(with_hidden: bool) -> None:
    """The plans that guests may pick just now, at the price of this hour."""
    with asked().box():
        now = _now()
        found = plans.everything() if with_hidden else [*plans.on_sale(now), *plans.trials(now)]

        def lines() -> Iterator[str]:
            heads = ("id", "name", "price", "time", "data", "up/down", "devices", "counts", "")
            yield from table([_row(plan, now) for plan in found], heads)

        views = [_view(plan, now) | ({"on_sale": plan.on_sale} if with_hidden else {}) for plan in found]
        show({"packages": views}, lines)


@plan.command("show")
@click.argument("plan_id", type=int, metavar="ID")
def show_plan(plan_id: int) -> None:
    """All that is to be said of the plan ID, in the words that `edge plan set` takes."""
    with asked().box():
        row, now = plans.get(plan_id), _now()
        show(_view(row, now) | {"on_sale": row.on_sale}, lambda: _story(row, now))


def _options(needed: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What may be said of a plan; a new one needs a price and a time."""
    options = (
        click.option("--price", help="In whole shillings." + (" A free trial needs none." if needed else "")),
        click.option("--time", help="Like 90m, 1h30m, 1d, 1w, or seconds."),
        click.option("--data", help="Like 500MB or 2GB; none for no limit."),
        click.option("--rate", help="Upload/download, like 2M/5M; none for no limit."),
        click.option("--burst", help='Faster at times: "4M/8M 2M/4M 10/10" is 4M/8M for whoever used less than 2M/4M '
                     "in the mean of the last 10 seconds. Needs a rate; none for no burst."),
        click.option("--devices", help=f"Online at the same time, 1 to {plans.MOST_DEVICES}."),
        click.option("--metered/--by-the-clock", default=None, help="Its time counts only while online."),
        click.option("--idle", help="Silent for so long is logged out, like 10m; none for the router's own."),
        click.option("--valid", help="Metered: ends so long after it began, used up or not, like 30d; none for never."),
        click.option("--start", help="Its vouchers are to be begun within so long, like 90d; none for whenever."),
        click.option("--hours", help='When it is on sale: "Mon-Fri 08:00-17:00; Sat,Sun 20:00-02:00"; always.'),
        click.option("--happy", help='Happy hours and their price: "Mon-Fri 14:00-16:00 = 15"; none.'),
        click.option("--routers", help="Names of the routers before which it is sold, with commas; everywhere."),
        click.option("--trial/--for-money", default=None, help="Free, once a phone and once a device, by text only."),
        click.option("--joins/--own-code", default=None, help="Bought again while time is left, it adds to that time "
                     "(the usual), or has a code of its own."),
        click.option("--remind", help="Text the guest so long before the end, like 10m; none for no text."),
    )  # fmt: skip

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@plan.command()
@click.argument("name")
@click.option("--hidden", is_flag=True, help="Not on sale yet.")
@_options(needed=True)
def add(name: str, hidden: bool, **told: Any) -> None:
    """Sell a new plan named NAME."""
    if told["time"] is None or (told["price"] is None and not told["trial"]):
        raise click.UsageError("A new plan needs --time, and --price or --trial.")
    with asked().box():
        values = _values({"name": name, **told, "price": told["price"] or "0", "on_sale": not hidden})
        _tell(plans.add(**values), "is kept, and hidden" if hidden else "is on sale")


@plan.command("set")
@click.argument("plan_id", type=int, metavar="ID")
@click.option("--name", help="Another name.")
@click.option("--show/--hide", "on_sale", default=None, help="May guests pick it?")
@_options(needed=False)
def set_plan(plan_id: int, **told: Any) -> None:
    """Sell the plan ID in another way from now on; who has bought keeps what he bought."""
    if all(value is None for value in told.values()):
        raise click.UsageError("Say what to change, like --price 30.")
    with asked().box():
        changed = plans.change(plans.get(plan_id), **_values(told))
        _tell(changed, "is changed" if changed.on_sale else "is changed, and hidden")


@plan.command()
@click.argument("plan_id", type=int, metavar="ID")
def hide(plan_id: int) -> None:
    """Sell the plan ID no more; who has bought it keeps it. `edge plan set ID --show` brings it back."""
    with asked().box():
        _tell(plans.change(plans.get(plan_id), on_sale=False), "is sold no more")


@plan.command()
@click.argument("plan_id", type=int, metavar="ID")
@click.argument("way", type=click.Choice(plans.WAYS))
def move(plan_id: int, way: str) -> None:
    """Move the plan ID on the guest's page: first, up, down or last."""
    with asked().box():
        rows, now = plans.move(plans.get(plan_id), way), _now()
        show({"packages": [_view(row, now) for row in rows]}, lambda: (f"{row.id:4}  {row.name}" for row in rows))


def _values(told: dict[str, Any]) -> dict[str, Any]:
    """Columns from what was typed; what was not said is left out."""
    facts = {column: told[name] for name, column in plan_words.FACTS.items() if told.get(name) is not None}
    return plan_words.read({name: told.get(name) for name in plan_words.WORDS}) | facts


def _tell(plan: Plan, words: str) -> None:
    line = f"Plan {plan.id}, {plan.name}, {_price(plan)} for {show_duration(plan.seconds)}, {words}."
    more = [NO_TEXTS] if trials.is_wanted(plan) else []
    show({**_view(plan), "on_sale": plan.on_sale}, lambda: iter([line, *more]))


def _price(plan: Plan, now: datetime | None = None) -> str:
    cents = plan.price_cents if now is None else plans.price_at(plan, now)
    return "free" if plan.is_trial else show_money(cents)


def _row(plan: Plan, now: datetime) -> tuple[Any, ...]:
    note = "hidden" if not plan.on_sale else "" if plans.is_open(plan, now) else "not at this hour"
    return (
        plan.id, plan.name, _price(plan, now), show_duration(plan.seconds),
        show_bytes(plan.bytes) if plan.bytes else "", plan.rate, plan.devices, "online" if plan.metered else "clock",
        note,
    )  # fmt: skip


def _story(plan: Plan, now: datetime) -> Iterator[str]:
    told = plan_words.tell(plan)
    facts = {
        "on sale": "yes" if plan.on_sale else "no: hidden", "counts": "online" if plan.metered else "by the clock",
        "again": "adds to the time that is left" if plan.joins else "a code of its own",
        "trial": "yes: free, once a phone and once a device" if plan.is_trial else "",
    }  # fmt: skip
    for name, words in ({"id": str(plan.id)} | told | facts).items():
        if words:
            yield f"{name:8} {words}"
    yield f"{'guests':8} see {'; '.join([plan.name, _price(plan, now), *offer(plan, now).details])}"
    if trials.is_wanted(plan):
        yield NO_TEXTS


def _view(plan: Plan, now: datetime | None = None) -> dict[str, Any]:
    """As the web tells it, and what only the shop needs to know."""
    told = plan_words.tell(plan)
    return {
        **plan_view(plan, now), "usual_price": whole_units(plan.price_cents), "metered": plan.metered,
        "idle_s": plan.idle_s, "burst": plan.burst, "valid_s": plan.valid_s, "start_within_s": plan.start_within_s,
        "hours": told["hours"], "happy": told["happy"], "routers": told["routers"], "trial": plan.is_trial,
        "joins": plan.joins, "remind_s": plan.remind_s,
    }  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)
