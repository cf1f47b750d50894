"""`edge staff`: who may sign in, and the tokens of programs."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import people
from edge.errors import BadInput
from edge.models import Staff


@click.group(cls=BoxGroup)
def staff() -> None:
    """Who may sign in, and the tokens of programs."""


@staff.command("list")
def list_staff() -> None:
    """Everybody who may sign in."""
    with asked().box():
        found = [_view(person) for person in people.everybody()]

        def lines() -> Iterator[str]:
            yield from table([tuple(person.values()) for person in found], ("name", "role", "e-mail"))

        show({"staff": found}, lines)


@staff.command()
@click.argument("name")
@click.option("--role", type=click.Choice(people.ROLES), default="cashier", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def add(name: str, role: str, password_stdin: bool) -> None:
    """Let somebody sign in."""
    with asked().box():
        person = people.add(name, _read_password(password_stdin), role, datetime.now(UTC))
        show(_view(person), lambda: iter([f"{person.name} may sign in as {person.role}."]))


@staff.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def password(name: str, password_stdin: bool) -> None:
    """Give somebody a new password; open browsers are signed out."""
    with asked().box():
        person = _named(name)
        people.set_password(person, _read_password(password_stdin))
        show(_view(person), lambda: iter([f"{person.name} has a new password."]))


@staff.command()
@click.argument("name")
@click.argument("address")
def email(name: str, address: str) -> None:
    """Send letters for NAME to ADDRESS from now on; "" for no letters."""
    with asked().box():
        person = _named(name)
        kept = people.set_email(person, address)
        words = f"{person.name} gets letters at {kept}." if kept else f"{person.name} gets no letters."
        show(_view(person), lambda: iter([words]))


@staff.command()
@click.argument("name")
@click.option("--label", default="", help="What the token is for.")
def token(name: str, label: str) -> None:
    """Make an API token that may do what NAME may; it is shown this once."""
    with asked().box():
        made = people.make_token(_named(name), label, datetime.now(UTC))
        show({"token": made}, lambda: iter([f"Authorization: Bearer {made}"]))


def _named(name: str) -> Staff:
    person = people.named(name)
    if person is None:
        raise BadInput(f"Nobody is called {name}; `edge staff list` tells who is there.", "name")
    return person


def _read_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise BadInput("Nobody is here to type a password: give --password-stdin.")
    typed: str = click.prompt("A password", hide_input=True, confirmation_prompt=True)
    return typed


def _view(person: Staff) -> dict[str, Any]:
    return {"name": person.name, "role": person.role, "email": person.email}
