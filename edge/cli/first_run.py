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
from edge.values.email_address import read_address
from edge.values.money import show_money


@click.command(cls=BoxCommand)
@click.option("--owner", metavar="NAME", help="The owner's name to sign in with; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the owner's password from standard input.")
@click.option("--email", metavar="ADDRESS", help="Where the owner gets letters, as when a campaign has ended.")
def init(owner: str | None, password_stdin: bool, email: str | None) -> None:
    """Make a new box: state folder, database, owner, sample price list.

    Run again, it leaves what is there alone. With the owner's name and --password-stdin it gives the owner a new
    password.
    """
    told = asked().settings()
    was_there = boot.is_there(told)
    with boot.opened(told, is_new=True):
        now = datetime.now(UTC)
        plans.seed(sample_plans())
        if email is not None:
            read_address(email)  # before anything is made
        name = _make_owner(owner, password_stdin, now)
        if email is not None:
            people.set_email(Staff.get(Staff.name == name), email)
        document = {"state": str(told.state), "owner": name, "plans": Plan.select().count(), "was_there": was_there}
        show(document, lambda: iter(_words(document)))


def sample_plans() -> list[dict[str, object]]:
    """The price list a new box begins with, from data/plans.toml."""
    samples = tomllib.loads((data_folder() / "plans.toml").read_text(encoding="utf-8"))["plans"]
    return [{**sample, "price_cents": sample.pop("price") * 100} for sample in samples]


def _make_owner(name: str | None, password_stdin: bool, now: datetime) -> str:
    """The one owner: made, given a new password, or left alone."""
    first = Staff.get_or_none(Staff.role == "owner")
    if first is not None and name not in (None, first.name):
        raise BadInput(f"This box has its owner already: {first.name}. Nothing was changed.")
    if first is not None:
        if password_stdin and name:
            people.set_password(first, _read_password())
        return str(first.name)
    if password_stdin:
        password = _read_password()
    elif sys.stdin.isatty():
        name = name or click.prompt("The owner's name", default="owner")
        password = click.prompt("A password", hide_input=True, confirmation_prompt=True)
    else:
        raise BadInput("Nobody is here to type a password: give --owner NAME --password-stdin.")
    return str(people.add(name or "owner", password, "owner", now).name)


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _words(document: dict[str, object]) -> list[str]:
    prices = [f"  {plan.id}  {plan.name}, {show_money(plan.price_cents)}" for plan in Plan.select().order_by(Plan.id)]
    if document["was_there"]:
        return [f"The box in {document['state']} was there already; its owner is {document['owner']}."]
    return [
        f"The box is in {document['state']}; its owner is {document['owner']}.",
        "On sale:",
        *prices,
        "Next: `edge router add`, then `edge doctor`, then `edge run`.",
    ]
