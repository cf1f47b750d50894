"""`edge templates`: the texts that the box sends by itself, and the owner's own."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from edge.cli.command import BoxGroup, asked, cut, show, table
from edge.domain import templates as shelf
from edge.domain.templates import Template
from edge.errors import BadInput


@click.group(cls=BoxGroup)
def templates() -> None:
    """The texts that the box sends by itself, and the owner's own."""


@templates.command("list")
@click.option("--channel", type=click.Choice(["sms"]), default="sms", show_default=True, help="By which way they go.")
def list_templates(channel: str) -> None:
    """All templates, each as it looks with its sample."""
    with asked().box():
        found = [_view(template) for template in shelf.everything()]

        def lines() -> Iterator[str]:
            heads = ("name", "words", "segments", "sample")
            yield from table(
                [(told["name"], told["words"], told["segments"], cut(told["preview"], 70)) for told in found], heads
            )

        show({"channel": channel, "templates": found}, lines)


@templates.command("show")
@click.argument("name")
def show_template(name: str) -> None:
    """All about the template NAME."""
    with asked().box():
        template = shelf.get(name)
        show(_view(template), lambda: _story(template))


@templates.command("set")
@click.argument("name")
@click.argument("text", required=False)
@click.option("--language", type=click.Choice(list(shelf.LANGUAGES)), help="The shipped words in this language.")
def set_template(name: str, text: str | None, language: str | None) -> None:
    """Send TEXT as NAME from now on; - reads it from standard input. A new NAME in capitals is one of your own.

    {{name}} is filled in; {{name|first}} and {{name|default:"friend"}} work, too.
    """
    if (text is None) == (language is None):
        raise click.UsageError("Give the text, or --language.")
    with asked().box():
        template = shelf.save(name, _words(name, text, language), None, datetime.now(UTC))
        show(_view(template), lambda: _story(template))


@templates.command()
@click.argument("name")
def reset(name: str) -> None:
    """Use the shipped words of NAME again; a template of your own is gone."""
    with asked().box():
        template = shelf.get(name)
        shelf.reset(template.name, datetime.now(UTC))
        words = "is as shipped" if template.shipped else "is gone"
        show({"name": template.name, "shipped": bool(template.shipped)}, lambda: iter([f"{template.name} {words}."]))


@templates.command()
@click.argument("name")
@click.argument("values", nargs=-1, metavar="KEY=VALUE...")
def render(name: str, values: tuple[str, ...]) -> None:
    """Show the text of NAME for these values; without any, for its sample. Nothing is sent."""
    with asked().box():
        told = dict(_pair(value) for value in values)
        template = shelf.get(name)
        text = shelf.render(template.name, told or shelf.sample_of(template, template.text))
        show({"name": template.name, "text": text}, lambda: iter([text]))


def _words(name: str, text: str | None, language: str | None) -> str:
    if language is None:
        return sys.stdin.read() if text == "-" else str(text)
    template = shelf.get(name)
    if language not in template.shipped:
        raise BadInput(f"{template.name} is not shipped in {shelf.LANGUAGES[language]}.", "language")
    return template.shipped[language]


def _pair(typed: str) -> tuple[str, str]:
    key, is_there, value = typed.partition("=")
    if not is_there or not key:
        raise click.UsageError(f"Write each value as key=value, not {typed!r}.")
    return key, value


def _story(template: Template) -> Iterator[str]:
    told = _view(template)
    for name in ("name", "title", "words", "text"):
        if told[name]:
            yield f"{name:8} {told[name]}"
    yield f"{'sample':8} {told['preview']}"
    yield f"{'takes':8} {told['segments']} segment{'' if told['segments'] == 1 else 's'}, {told['alphabet']}"
    if told["placeholders"]:
        yield f"{'knows':8} {', '.join(told['placeholders'])}"


def _view(template: Template) -> dict[str, Any]:
    quote = shelf.shown(template)
    return {
        "name": template.name, "title": template.title, "words": _whose(template), "text": template.text,
        "placeholders": list(template.known or ()), "required": list(template.required), "kind": template.kind,
        "preview": quote.text, "segments": quote.segments, "alphabet": quote.alphabet,
    }  # fmt: skip


def _whose(template: Template) -> str:
    if not template.shipped:
        return "own"
    return "changed" if template.is_changed else "shipped"
