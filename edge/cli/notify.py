"""`edge notify`: what staff should know, and whether letters arrive."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge.cli.command import BoxGroup, asked, cut, show, table
from edge.domain import notices, people
from edge.errors import BadInput
from edge.models import Staff
from edge.sms_models import Mail, Notification
from edge.values.email_address import mask_address

AS = click.option("--as", "name", metavar="NAME", help="Whose notices; the owner's when left out.")


@click.group(cls=BoxGroup)
def notify() -> None:
    """What staff should know, and whether letters arrive."""


@notify.command("list")
@AS
@click.option("--all", "with_read", is_flag=True, help="Those that were read, too.")
def list_notices(name: str | None, with_read: bool) -> None:
    """The newest notices that nobody has read yet."""
    with asked().box() as settings:
        zone = ZoneInfo(settings.box.timezone)
        found = notices.of(_person(name), only_unread=not with_read)
        letters = notices.letters_of(found)
        views = [_view(notice, letters.get(notice.id, [])) for notice in found]

        def lines() -> Iterator[str]:
            rows = [
                (notice.id, f"{notice.created_at.astimezone(zone):%d %b %H:%M}", "" if notice.read_at else "new",
                 cut(notice.title, 60), ", ".join(letter.state for letter in letters.get(notice.id, [])))
                for notice in found
            ]  # fmt: skip
            yield from table(rows, ("id", "at", "", "what", "letters")) if rows else iter(["Nothing new."])

        show({"notices": views}, lines)


@notify.command()
@AS
@click.argument("notice_id", type=int, metavar="ID", required=False)
@click.option("--all", "all_of_them", is_flag=True, help="All of them.")
def read(name: str | None, notice_id: int | None, all_of_them: bool) -> None:
    """Show the notice ID and mark it as read; with --all mark all."""
    if (notice_id is None) != all_of_them:
        raise click.UsageError("Give the number of a notice, or --all.")
    with asked().box():
        person, now = _person(name), datetime.now(UTC)
        if notice_id is None:
            count = notices.mark_all_read(person, now)
            show({"read": count}, lambda: iter([f"{count} marked as read."]))
            return
        notice = notices.mark_read(notice_id, person, now)
        if notice is None:
            raise BadInput(f"{person.name} has no notice {notice_id}; `edge notify list --all` names them.", "id")
        letters = notices.letters_of([notice]).get(notice.id, [])
        show(_view(notice, letters), lambda: _story(notice, letters))


@notify.command()
@click.argument("name", required=False)
def test(name: str | None) -> None:
    """Post a letter to NAME, or the owner, to see that letters arrive."""
    with asked().box() as settings:
        person = _person(name)
        notice = notices.test(person, datetime.now(UTC))
        words = f"A letter to {person.email} is promised; `edge notify read {notice.id}` tells what became of it."
        more = [] if settings.email.host else ["No [email] host is set up: the letter is simulated, and none is sent."]
        show({"id": notice.id, "email": person.email}, lambda: iter([words, *more]))


def _person(name: str | None) -> Staff:
    if name is None:
        found = next((person for person in people.everybody() if person.role == "owner"), None)
        if found is None:
            raise BadInput("This box has no owner yet: `edge init` makes one.")
        return found
    person = people.named(name)
    if person is None:
        raise BadInput(f"Nobody is called {name}; `edge staff list` tells who is there.", "name")
    return person


def _story(notice: Notification, letters: list[Mail]) -> Iterator[str]:
    yield notice.title
    yield from notice.body.splitlines()
    if notice.link:
        yield f"See {notice.link} on the dashboard."
    for letter in letters:
        yield f"Letter to {mask_address(letter.address)}: {letter.state} {letter.words}".rstrip()


def _view(notice: Notification, letters: list[Mail]) -> dict[str, Any]:
    return {
        "id": notice.id, "name": notice.name, "title": notice.title, "body": notice.body, "link": notice.link,
        "at": notice.created_at, "read_at": notice.read_at,
        "letters": [
            {"to": mask_address(letter.address), "state": letter.state, "words": letter.words} for letter in letters
        ],
    }  # fmt: skip
