"""`edge init`: a new box, with an owner and a price list."""

import sys
import tomllib
from datetime import UTC, datetime

import click

from edge import boot
from edge.cli.command import BoxCommand, asked, show
from edge.domain import people, plans
from edge.errors import BadInput
from edge.models import Plan, Staff
from edge.texts import data_folder
from edge.values.money import show_money


@click.command(cls=BoxCommand)
@click.option("--owner", metavar="NAME", help="The owner's name to sign in with; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the owner's password from standard input.")
def init(owner: str | None, password_stdin: bool) -> None:
    """Make a new box: state folder, database, owner, sample price list.

    Run again, it leaves what is there alone, and says so.
    """
    told = asked().settings()
    with boot.opened(told, is_new=True):
        now = datetime.now(UTC)
        plans.seed(sample_plans())
        made = _make_owner(owner, password_stdin, now)
        document = {"state": str(told.state), "owner": made, "plans": Plan.select().count()}
        show(document, lambda: iter(_words(document)))


def sample_plans() -> list[dict[str, object]]:
    """The price list a new box begins with, from data/plans.toml."""
    samples = tomllib.loads((data_folder() / "plans.toml").read_text(encoding="utf-8"))["plans"]
    return [{**sample, "price_cents": sample.pop("price") * 100} for sample in samples]


def _make_owner(name: str | None, password_stdin: bool, now: datetime) -> str:
    first = Staff.get_or_none(Staff.role == "owner")
    if first is not None and name in (None, first.name):
        return str(first.name)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        name = name or click.prompt("The owner's name", default="owner")
        password = click.prompt("A password", hide_input=True, confirmation_prompt=True)
    else:
        raise BadInput("Nobody is here to type a password: give --owner NAME --password-stdin.")
    return str(people.add(name or "owner", password, "owner", now).name)


def _words(document: dict[str, object]) -> list[str]:
    prices = [f"  {plan.id}  {plan.name}, {show_money(plan.price_cents)}" for plan in Plan.select().order_by(Plan.id)]
    return [
        f"The box is in {document['state']}; its owner is {document['owner']}.",
        "On sale:",
        *prices,
        "Next: `edge router add`, then `edge doctor`, then `edge run`.",
    ]
