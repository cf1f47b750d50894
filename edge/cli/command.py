"""What every command has in common: which box, which settings, plain text or JSON, looking again, errors in words."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import peewee

from edge import boot, settings
from edge.errors import EdgeError
from edge.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent.parent
INSTALLED_STATE = Path("/var/lib/edge")

Lines = Callable[[], Iterator[str]]

WATCH = click.option(
    "--watch", "every_s", is_flag=False, flag_value="2", default=None, type=click.FloatRange(0.1, 3600),
    metavar="[SECONDS]", help="Look again every 2 seconds, or as many as you say, until Ctrl-C.",
)  # fmt: skip


@dataclass
class Asked:
    """What was said on the command line for any command."""

    state: Path | None = None
    config: Path | None = None
    as_json: bool = False

    def settings(self) -> Settings:
        """The settings of the box that is meant."""
        config = self.config or (Path(os.environ["EDGE_CONFIG"]) if os.environ.get("EDGE_CONFIG") else None)
        return settings.load(self.state_folder(), config)

    def state_folder(self) -> Path:
        """`--state`, else $EDGE_STATE, else ./var in a checkout, else where the package keeps it."""
        if self.state is not None:
            return self.state.absolute()
        if os.environ.get("EDGE_STATE"):
            return Path(os.environ["EDGE_STATE"]).absolute()
        return CHECKOUT / "var" if (CHECKOUT / "setup.py").exists() else INSTALLED_STATE

    @contextmanager
    def box(self) -> Iterator[Settings]:
        """The box, open for this command."""
        told = self.settings()
        with boot.opened(told):
            yield told


def asked() -> Asked:
    """What was said, for the command that runs."""
    found: Asked = click.get_current_context().find_object(Asked) or Asked()
    return found


def show(document: Any, lines: Lines) -> None:
    """One JSON document for programs, or lines for people."""
    if asked().as_json:
        click.echo(json.dumps(document, ensure_ascii=False, default=str))
        return
    for line in lines():
        click.echo(line)


def watch(look: Callable[[], tuple[Any, Lines]], every_s: float | None, zone: ZoneInfo) -> None:
    """Show what `look` finds; with `every_s` again and again until Ctrl-C.

    On a terminal in place, with the time on the wall in `zone`; elsewhere each below the last, so that a pipe or a
    file has them all. JSON is one document a line.
    """
    if every_s is None:
        show(*look())
        return
    is_screen = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not asked().as_json
    if is_screen:
        click.echo("\n" * shutil.get_terminal_size().lines, nl=False)  # what stood there can be scrolled back to
    try:
        while True:
            document, lines = look()
            if asked().as_json:
                show(document, lines)
            else:
                head = f"{datetime.now(UTC).astimezone(zone):%H:%M:%S}, every {every_s:g} s; Ctrl-C ends it"
                (_draw if is_screen else _append)([head, "", *lines()])
            time.sleep(every_s)
    except KeyboardInterrupt:
        if is_screen:
            click.echo()


def _draw(lines: list[str]) -> None:
    """Over what stands on the screen, line by line: nothing flickers and nothing scrolls."""
    width, height = shutil.get_terminal_size()
    if len(lines) >= height:
        room = max(0, height - 2)
        lines = [*lines[:room], f"… {len(lines) - room} more lines: make the window taller"]
    body = "".join(cut(line, width - 1) + "\x1b[K\n" for line in lines)
    click.echo("\x1b[H" + body + "\x1b[J", nl=False)


def _append(lines: list[str]) -> None:
    click.echo("\n".join(lines) + "\n")


def cut(text: str, most: int) -> str:
    """At most so many letters; the last of them is … where more was said."""
    return text if len(text) <= most else text[: max(0, most - 1)].rstrip() + "…"


def table(rows: list[tuple[Any, ...]], heads: tuple[str, ...]) -> Iterator[str]:
    """Columns as wide as what stands in them."""
    cells = [heads, *[tuple("" if cell is None else str(cell) for cell in row) for row in rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> Any:
        if value not in (None, False):
            setattr(context.ensure_object(Asked), name, value)
        return value

    return keep


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--state"], type=click.Path(path_type=Path, file_okay=False), expose_value=False, callback=_keep("state"),
            metavar="DIR", help="The state folder; else $EDGE_STATE, else ./var or, installed, /var/lib/edge.",
        ),
        click.Option(
            ["--config"], type=click.Path(path_type=Path, dir_okay=False), expose_value=False,
            callback=_keep("config"), metavar="FILE", help="The settings; else $EDGE_CONFIG, else edge.toml there.",
        ),
        click.Option(
            ["--json", "as_json"], is_flag=True, expose_value=False, callback=_keep("as_json"),
            help="Print one JSON document.",
        ),
    ]  # fmt: skip


class BoxCommand(click.Command):
    """A command that may be told which box, and that tells its errors in words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _options()

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:  # whoever read it, `head` perhaps, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except click.UsageError as reason:
            if not context.ensure_object(Asked).as_json:
                raise
            click.echo(json.dumps({"error": reason.format_message()}))
            sys.exit(reason.exit_code)
        except (EdgeError, OSError, peewee.PeeweeException) as reason:
            if context.ensure_object(Asked).as_json:
                click.echo(json.dumps({"error": str(reason)}))
            else:
                click.echo(f"edge: {reason}", err=True)
            sys.exit(1)


class BoxGroup(click.Group):
    """A noun and its verbs; which box may be said before the verb as well as after it."""

    command_class = BoxCommand
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _options()
