"""Which rows a print asks for: RouterOS's query words, a little stack machine (manual: API, "Queries")."""

from collections.abc import Mapping

from edge.simulators.router.tables import Trap
from edge.values.hotspot import read_duration


def matches(row: Mapping[str, str], queries: list[str]) -> bool:
    """Is this row wanted? So it is unless a false is left on the stack."""
    stack: list[bool] = []
    for word in queries:
        asked = word.removeprefix("?")
        if asked.startswith("#"):
            _operate(stack, asked[1:])
        else:
            stack.append(_holds(row, asked))
    return all(stack)


def names_in(queries: list[str]) -> set[str]:
    """The properties that these words look at."""
    asked = [word.removeprefix("?") for word in queries]
    return {word.lstrip("-<>=").partition("=")[0] for word in asked if not word.startswith("#")}


def _holds(row: Mapping[str, str], asked: str) -> bool:
    if asked.startswith("-"):
        return asked[1:] not in row
    compare = asked[:1] if asked[:1] in "<>" else "="
    name, equals, value = asked.removeprefix(compare).partition("=")
    if not equals:
        return name in row
    if name not in row:
        return False
    if compare == "=":
        return _plain(row[name]) == _plain(value)
    return _is_less(row[name], value) if compare == "<" else _is_less(value, row[name])


def _plain(value: str) -> str:
    return {"yes": "true", "no": "false"}.get(value, value)


def _is_less(left: str, right: str) -> bool:
    lower, higher = read_duration(left), read_duration(right)
    return left < right if lower is None or higher is None else lower < higher


def _operate(stack: list[bool], operators: str) -> None:
    """`!` not, `&` and, `|` or, `.` once more the top; an index pushes a copy, at the end it replaces all."""
    index = ""
    try:
        for letter in operators:
            if letter.isdigit():
                index += letter
                continue
            is_after_index = bool(index)
            if index:
                stack.append(stack[-1 - int(index)])
                index = ""
            if letter == "!":
                stack.append(not stack.pop())
            elif letter in "&|":
                upper, lower = stack.pop(), stack.pop()
                stack.append(upper and lower if letter == "&" else upper or lower)
            elif letter == "." and not is_after_index:
                stack.append(stack[-1])
        if index:
            stack[:] = [stack[-1 - int(index)]]
    except IndexError:
        raise Trap("query stack underflow", 5) from None
