"""`edge plan`: what is sold."""

from collections.abc import Iterator

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import plans
from edge.pages.views import plan_view
from edge.values.duration import show_duration
from edge.values.money import show_money


@click.group(cls=BoxGroup)
def plan() -> None:
    """What is sold."""


@plan.command("list")
def list_plans() -> None:
    """The plans that guests may pick."""
    with asked().box():
        found = plans.on_sale()

        def lines() -> Iterator[str]:
            rows = [
                (plan.id, plan.name, show_money(plan.price_cents), show_duration(plan.seconds), plan.rate, plan.devices)
                for plan in found
            ]
            yield from table(rows, ("id", "name", "price", "time", "up/down", "devices"))

        show({"packages": [plan_view(plan) for plan in found]}, lines)
