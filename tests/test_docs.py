"""What the documents say can be done: their commands, options, settings and links are real."""

import re
import textwrap
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest

from edge.__main__ import edge
from edge.settings import SECTIONS

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(CHECKOUT / "docs").glob("*.md"), CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md"])
# After `edge`, and perhaps --state DIR: a noun, perhaps a verb, and what stands behind them in the same code.
COMMAND = re.compile(
    r"(?:(?<=bin/)|(?<![\w./-]))edge (?!edge)"
    r"((?:--(?:state|config) \S+ )?)([a-z][a-z-]*)((?: [a-z][a-z-]*)?)([^`#|;─\n]*)"
)


def commands_of(page: Path) -> list[tuple[str, str, set[str]]]:
    """Noun, verb and long options of every command that is written as code; other programs' are left out."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    pieces = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    found = [match for piece in pieces for line in piece.splitlines() for match in COMMAND.finditer(line)]
    return [(match[2], match[3].strip(), set(re.findall(r"(?<=\s)--[a-z][a-z-]+", match[4]))) for match in found]


def options_of(command: click.Command) -> set[str]:
    return {name for told in command.params for name in (*told.opts, *told.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_document_names_exists_with_its_options(page):
    context = click.Context(edge)
    for noun, verb, options in commands_of(page):
        command = edge.get_command(context, noun)
        assert command is not None, f"edge {noun}"
        if isinstance(command, click.Group) and verb:
            command = command.get_command(context, verb)
            assert command is not None, f"edge {noun} {verb}"
        if not isinstance(command, click.Group):
            assert options <= options_of(command), f"edge {noun} {verb}: {options - options_of(command)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_in_an_example_is_one(page):
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for section, told in tomllib.loads(textwrap.dedent(block)).items():
            assert section == "routers" or section in SECTIONS, section
            if section != "routers":
                check_keys(SECTIONS[section], told, section)


def check_keys(section: type, told: dict[str, object], where: str) -> None:
    """Every key is a field; `…_file` stands for a secret; a section below is looked at, too."""
    known = {field.name: field for field in fields(section)}
    for key, value in told.items():
        name = key.removesuffix("_file") if key not in known else key
        assert name in known, f"[{where}] {key}"
        below = type(known[name].default)
        if isinstance(value, dict) and hasattr(below, "__dataclass_fields__"):
            check_keys(below, value, f"{where}.{key}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_documents_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]+)?\)", text):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"(?m)^#+ (.+)$", there.read_text(encoding="utf-8"))
            assert anchor[1:] in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, anchor
