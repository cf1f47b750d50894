"""The texts that the box sends by itself, as shipped or in the owner's own words; and templates of the owner's own."""

import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from edge import texts
from edge.database import transaction
from edge.domain import events, messages
from edge.errors import BadInput
from edge.models import Message, Staff
from edge.sms_models import SmsTemplate
from edge.values import placeholders
from edge.values.msisdn import read_msisdn
from edge.values.sms_text import count_segments, simplify

log = logging.getLogger("edge.templates")

LONGEST = 1_000  # letters of a template
LANGUAGES = {"en": "English", "sw": "Kiswahili"}
OWN_KIND = "notice"

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,39}")


@dataclass(frozen=True)
class Template:
    """One text with placeholders. `shipped`: language → words; empty for one that the owner made."""

    name: str
    title: str
    text: str
    shipped: Mapping[str, str]
    sample: Mapping[str, str]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    kind: str = OWN_KIND
    kept: timedelta = timedelta(days=1)
    row: SmsTemplate | None = None

    @property
    def is_changed(self) -> bool:
        """In the owner's own words?"""
        return self.row is not None

    @property
    def known(self) -> tuple[str, ...] | None:
        """The names it may ask for; None when any may be, as in a template that the owner made."""
        return ("shop", *self.sample) if self.shipped else None

    @property
    def as_shipped(self) -> str:
        """The shipped words in the shop's language, else in English; empty when none are."""
        return self.shipped.get(texts.catalogue.language) or self.shipped.get("en", "")


def names() -> list[str]:
    """All there are: the shipped ones in their order, then the owner's own."""
    own = [row.name for row in SmsTemplate.select(SmsTemplate.name).order_by(SmsTemplate.name)]
    return [*_shipped(), *(name for name in own if name not in _shipped())]


def everything() -> list[Template]:
    """All templates, shipped ones first."""
    rows = {row.name: row for row in SmsTemplate.select()}
    return [_template(name, rows.get(name)) for name in names()]


def get(name: str) -> Template:
    """The template of this name or alias, in any case; BadInput when there is none."""
    name = _real_name(name)
    row = SmsTemplate.get_or_none(SmsTemplate.name == name)
    if row is None and name not in _shipped():
        raise BadInput(f"There is no template {name}; `edge templates list` names them all.", "name")
    return _template(name, row)


def render(name: str, values: Mapping[str, str | None], *, language: str = "") -> str:
    """The text for these values, in one segment if the shop's name can give way so far; BadInput names what is missing.

    Words of the owner's own go to everybody; shipped ones in `language` to whoever wrote in that.
    Words of the owner's that can't be filled must not hold up a guest's code: then the shipped ones are used.
    """
    template = get(name)
    told = {key.lower(): str(value) for key, value in values.items() if value is not None}
    if not template.is_changed and language in template.shipped:
        return _written(template.shipped[language], told)
    try:
        return _written(template.text, told)
    except BadInput as reason:
        if not (template.is_changed and template.shipped):
            raise
        written = _written(template.as_shipped, told)
        log.warning("template %s is sent as shipped: %s", template.name, reason)
        return written


def send_template(
    name: str, msisdn: str, variables: Mapping[str, str | None], now: datetime, *, staff_id: int | None = None
) -> Message:  # fmt: skip
    """Promise the text of this template to one number; BadInput for a bad number or a variable that is missing.

    >>> message = send_template("ORDER_READY", "0712 345 678", {"order": "1042", "kiosk": "Mama Njeri"}, now)
    >>> message.msisdn, message.text
    ('254712345678', 'WiFi: your order 1042 is ready. Collect it at Mama Njeri.')
    """
    template = get(name)
    return messages.promise(
        read_msisdn(msisdn), render(name, variables), now, kind=template.kind, staff_id=staff_id,
        expires_in=template.kept,
    )  # fmt: skip


def preview(template: Template, text: str | None = None) -> messages.Quote:
    """What it looks like with its sample, and what that takes; BadInput when the words can't be filled."""
    words = template.text if text is None else text
    return messages.cost_of(_written(words, sample_of(template, words)))


def shown(template: Template) -> messages.Quote:
    """The same, whatever the words: those that can't be filled are shown as they are, to be mended."""
    try:
        return preview(template)
    except BadInput:
        return messages.cost_of(template.text)


def sample_of(template: Template, text: str) -> dict[str, str]:
    """Values to look at it with: a name that nobody knows stands for itself."""
    return {name: name for name in placeholders.names(text)} | {"shop": texts.catalogue.shop} | dict(template.sample)


def check(template: Template, text: str) -> str:
    """The words as they are kept; BadInput says what is unknown, left out or may be missing."""
    text = "".join(letter for letter in text.replace("\r\n", "\n") if letter.isprintable() or letter == "\n").strip()
    if not text:
        raise BadInput("Write the words of the text.", "text")
    if len(text) > LONGEST:
        raise BadInput(f"This text has {len(text)} letters; {LONGEST} are the most.", "text")
    placeholders.check(text, template.known if template.known is not None else placeholders.names(text))
    left_out = [name for name in template.required if name not in placeholders.unchanged(text)]
    if left_out:
        raise BadInput(f"{{{{{left_out[0]}}}}} may not be left out of this text, nor changed by a filter.", "text")
    bare = [name for name in template.optional if name in placeholders.needed(text)]
    if bare:
        raise BadInput(f'{{{{{bare[0]}}}}} may be missing: write {{{{{bare[0]}|default:""}}}}.', "text")
    return text


@transaction
def save(name: str, text: str, staff: Staff | None, now: datetime) -> Template:
    """Use these words from now on; a NAME in capitals that is none yet is a new template of the owner's own."""
    name = _real_name(name)
    if name not in _shipped() and not _NAME.fullmatch(name):
        raise BadInput("A name has 2 to 40 capitals, digits and _, like OFFER_MONDAY.", "name")
    text = check(_template(name, None), text)
    SmsTemplate.replace(name=name, text=text, staff=staff, changed_at=now).execute()
    events.record("template.changed", now, template=name, who=staff.name if staff is not None else "")
    return get(name)


@transaction
def reset(name: str, now: datetime, staff: Staff | None = None) -> None:
    """Back to the shipped words; a template of the owner's own is gone."""
    template = get(name)
    SmsTemplate.delete().where(SmsTemplate.name == template.name).execute()
    if template.is_changed:
        events.record("template.reset", now, template=template.name, who=staff.name if staff is not None else "")


def _written(text: str, told: Mapping[str, str]) -> str:
    def say(shop: str) -> str:
        return placeholders.fill(text, {**told, "shop": shop or "WiFi"})

    written = messages.in_one_segment(say, texts.catalogue.shop)
    # Without its name it takes several segments, too: then the name may stay.
    return written if count_segments(written) == 1 else simplify(say(texts.catalogue.shop))


def _template(name: str, row: SmsTemplate | None) -> Template:
    told = _shipped().get(name)
    if told is None:
        return Template(name, "", row.text if row is not None else "", {}, {}, row=row)
    shipped = {language: told[language] for language in LANGUAGES if language in told}
    template = Template(
        name, told["title"], "", shipped, told["sample"], tuple(told.get("required", ())),
        tuple(told.get("optional", ())), told["kind"], timedelta(hours=told["kept_h"]), row,
    )  # fmt: skip
    return replace(template, text=row.text if row is not None else template.as_shipped)


def _real_name(name: str) -> str:
    name = name.strip().upper()
    return next((real for real, told in _shipped().items() if name in told.get("aliases", ())), name)


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    return tomllib.loads((texts.data_folder() / "messages" / "sms.toml").read_text(encoding="utf-8"))
