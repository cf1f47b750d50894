"""What every command has in common: which box, which settings, plain text or JSON, and errors in words."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge import boot, settings
from edge.errors import EdgeError
from edge.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent.parent
INSTALLED_STATE = Path("/var/lib/edge")


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


def show(document: Any, lines: Callable[[], Iterator[str]]) -> None:
    """One JSON document for programs, or lines for people."""
    if asked().as_json:
        click.echo(json.dumps(document, ensure_ascii=False, default=str))
        return
    for line in lines():
        click.echo(line)


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
        except (EdgeError, OSError) as reason:
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
