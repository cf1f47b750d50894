"""The placeholders of templates: `{{name}}`, `{{name|filter}}`, `{{name|default:"…"}}`. No expressions: words only."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from edge.errors import BadInput
from edge.values.money import show_money
from edge.values.msisdn import show_msisdn

LIMIT = 160  # letters of one value in a text
LONGEST_FIELD = 300  # letters between {{ and }}
KEPT = 5_000  # letters; what is longer is read anew each time
FIELD = "text"  # what a form calls the part to mend

_NAME = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]{0,39})\s*")
_FILTER = re.compile(r'\|\s*([A-Za-z]{1,20})\s*(?::\s*"([^"]*)"\s*)?')
_HALF = re.compile(r"(?<!\{)\{\s*([A-Za-z][A-Za-z0-9_]{0,39})\s*\}(?!\})")
_QUOTES = str.maketrans("“”„", '"""')  # a phone's keyboard curls them


@dataclass(frozen=True)
class _Field:
    name: str
    filters: tuple[str, ...]
    default: str | None


def _title(value: str) -> str:
    return " ".join(word[:1].upper() + word[1:].lower() for word in value.split(" "))


def _phone(value: str) -> str:
    return show_msisdn(value) if re.fullmatch(r"254[0-9]{9}", value) else value


def _money(value: str) -> str:
    """Shillings as people say them; what is no number stays as it is."""
    return show_money(round(float(value) * 100)) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,2})?", value) else value


FILTERS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": _title,
    "first": lambda value: value.split(" ")[0],
    "phone": _phone,
    "money": _money,
}


def fill(template: str, values: Mapping[str, str], *, limit: int = LIMIT) -> str:
    """The template with its values put in; BadInput names all that have none and no default.

    Names are told in small letters. A value loses its control characters and is cut at `limit` letters; what it says
    is never read as a placeholder. An empty default takes the blank or comma before it away.
    """
    pieces = _pieces(template)
    missing = [piece.name for piece in pieces if isinstance(piece, _Field) and not _is_told(piece, values)]
    if missing:
        named = ", ".join(f"{{{{{name}}}}}" for name in dict.fromkeys(missing))
        raise BadInput(f"Nothing is known for {named}: give a value, or write a default.", FIELD)
    filled: list[str] = []
    for piece in pieces:
        words = piece if isinstance(piece, str) else _words(piece, values, limit)
        if not words and isinstance(piece, _Field) and filled:
            filled[-1] = filled[-1].rstrip().removesuffix(",")
        filled.append(words)
    return "".join(filled)


def names(template: str) -> tuple[str, ...]:
    """The names it asks for, each once, in their order; BadInput when it can't be read."""
    return tuple(dict.fromkeys(piece.name for piece in _pieces(template) if isinstance(piece, _Field)))


def unchanged(template: str) -> tuple[str, ...]:
    """Of these the names that stand somewhere as they are, without a filter: a code in capitals is another code."""
    fields = [piece for piece in _pieces(template) if isinstance(piece, _Field)]
    return tuple(dict.fromkeys(field.name for field in fields if not field.filters))


def needed(template: str) -> tuple[str, ...]:
    """Of these the names that stand somewhere without a default: nothing can be written when they have no value."""
    fields = [piece for piece in _pieces(template) if isinstance(piece, _Field)]
    return tuple(dict.fromkeys(field.name for field in fields if field.default is None))


def check(template: str, known: Iterable[str]) -> None:
    """BadInput says which name is unknown, which filter is none, or where a brace is wrong."""
    offered = [name.lower() for name in known]
    strange = [name for name in names(template) if name not in offered]
    if strange:
        told = ", ".join(f"{{{{{name}}}}}" for name in offered) or "none"
        raise BadInput(f"{{{{{strange[0]}}}}} is not known here. Known are: {told}.", FIELD)
    for half in _HALF.finditer(template):
        if half[1].lower() in offered:
            raise BadInput(f"Write {{{{{half[1]}}}}} with two braces on each side.", FIELD)


def clean(value: str, limit: int = LIMIT) -> str:
    """One line without control or direction marks, cut at so many letters."""
    shown = "".join(letter if letter.isprintable() else " " if letter.isspace() else "" for letter in value)
    return " ".join(shown.split())[:limit].rstrip()


def _is_told(field: _Field, values: Mapping[str, str]) -> bool:
    return field.default is not None or bool(clean(str(values.get(field.name, ""))))


def _words(field: _Field, values: Mapping[str, str], limit: int) -> str:
    value = clean(str(values.get(field.name, "")), limit)
    if not value:
        return field.default or ""
    for name in field.filters:
        value = FILTERS[name](value)
    return value


def _pieces(template: str) -> tuple[str | _Field, ...]:
    return _read_kept(template) if len(template) <= KEPT else _read(template)


def _read(template: str) -> tuple[str | _Field, ...]:
    """Its words and fields in order, in one pass: each look begins where the last one ended."""
    pieces: list[str | _Field] = []
    at = 0
    while (start := template.find("{{", at)) >= 0:
        end = template.find("}}", start + 2, start + LONGEST_FIELD)
        if end < 0:
            _refuse(f"A {{{{ has no }}}}: {template[start : start + 30]}")
        pieces += [_plain(template[at:start]), _field(template[start + 2 : end])]
        at = end + 2
    pieces.append(_plain(template[at:]))
    return tuple(piece for piece in pieces if piece)


_read_kept = lru_cache(64)(_read)  # a campaign fills one template a hundred thousand times


def _plain(words: str) -> str:
    if "}}" in words:
        _refuse("A }} has no {{ before it.")
    return words


def _field(inner: str) -> _Field:
    inner = inner.translate(_QUOTES)
    found = _NAME.match(inner)
    if found is None:
        _refuse(f"{{{{{inner[:40]}}}}} is no placeholder: write a name of letters, like {{{{name}}}}.")
    at, filters, default = found.end(), list[str](), None
    while step := _FILTER.match(inner, at):
        at, name, said = step.end(), step[1].lower(), step[2]
        if name == "default" and said is not None:
            default = said
        elif name in FILTERS and said is None:
            filters.append(name)
        else:
            break
    else:
        if at == len(inner):
            return _Field(found[1].lower(), tuple(filters), default)
    _refuse(
        f"{{{{{inner[:40]}}}}} can't be read. After the name may stand {', '.join(FILTERS)}, each after a |, "
        'or |default:"words".'
    )


def _refuse(words: str) -> NoReturn:
    raise BadInput(words, FIELD)
