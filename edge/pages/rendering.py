"""How a page becomes HTML: our own templates, escaped by default, with every word from the catalogue."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge import texts
from edge.values.duration import show_duration
from edge.values.money import show_money
from edge.values.msisdn import mask_msisdn, show_msisdn

_FOLDER = Path(__file__).parent.parent / "templates"

environment = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    auto_reload=False,
)  # fmt: skip
environment.globals["say"] = texts.say
environment.globals["texts_leave"] = False
environment.globals["takes_by_hand"] = False
environment.globals["takes_paystack"] = False  # until a web application says otherwise
environment.filters.update(money=show_money, duration=show_duration, msisdn=show_msisdn, masked=mask_msisdn)


def render(name: str, **values: Any) -> str:
    """One template with its values; a value that is missing is an error, never a gap."""
    return environment.get_template(name).render(**values)
