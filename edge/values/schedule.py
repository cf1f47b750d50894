"""The hours of a week: windows like `Mon-Fri 08:00-17:00`, read from words, told in words, open or not.

A window is data, as a row keeps it: `{"days": [0, 1], "from": "08:00", "to": "17:00"}`, and Monday is 0. At `to` it is
closed again; one that does not end after it begins goes on into the next day. A happy hour's has `price_cents` as well.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edge.errors import BadInput

Window = dict[str, Any]

MOST_WINDOWS = 20
EVERY_DAY = list(range(7))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WHOLE = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY_DAY = ("", "daily", "every day", "always")
_ONE = re.compile(
    r"(?P<days>[a-z][a-z, -]*?)?\s*(?P<from>\d{1,2}(?::\d\d)?)\s*-\s*(?P<to>\d{1,2}(?::\d\d)?)"
    r"(?:\s*=\s*(?:ksh|kes)?\s*(?P<price>\d{1,7}))?",
    re.ASCII,
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_EXAMPLE = "It looks like Mon-Fri 08:00-17:00; Sat 10:00-14:00"


def read_windows(typed: str, *, priced: bool = False) -> list[Window]:
    """`Mon-Fri 08:00-17:00; Sat,Sun 10-2` → windows; '' → none. Priced ones end with `= 15`, in whole shillings.

    BadInput tells what can't be read.
    """
    parts = [part.strip() for part in typed.replace("–", "-").lower().split(";")]
    windows = [_read_one(part, priced) for part in parts if part]
    check_windows(windows, priced=priced)
    return windows


def _read_one(words: str, priced: bool) -> Window:
    found = _ONE.fullmatch(words)
    if found is None or (found["price"] is not None) != priced:
        example = "It looks like Mon-Fri 14:00-16:00 = 15, the price last" if priced else _EXAMPLE
        raise BadInput(f"“{words}” is no time of the week. {example}.", "happy" if priced else "hours")
    window: Window = {"days": _read_days(found["days"] or ""), "from": _clock(found["from"]), "to": _clock(found["to"])}
    return window | ({"price_cents": int(found["price"]) * 100} if priced else {})


def _read_days(words: str) -> list[int]:
    """`mon-wed, sat` → [0, 1, 2, 5]; `fri-mon` goes round the week's end."""
    if words.strip() in _EVERY_DAY:
        return list(EVERY_DAY)
    days: set[int] = set()
    for part in words.split(","):
        ends = [_read_day(name) for name in part.split("-")]
        if len(ends) > 2:
            raise BadInput(f"“{part.strip()}” are no days. They look like Mon-Fri or Sat,Sun.", "hours")
        days |= {(ends[0] + step) % 7 for step in range((ends[-1] - ends[0]) % 7 + 1)}
    return sorted(days)


def _read_day(name: str) -> int:
    name = name.strip()
    found = [number for number, day in enumerate(_WHOLE) if len(name) >= 3 and day.startswith(name)]
    if not found:
        raise BadInput(f"“{name}” is no day. Days look like Mon, Tue, Wed, Thu, Fri, Sat, Sun.", "hours")
    return found[0]


def _clock(words: str) -> str:
    """`8` → `08:00`, `24:00` → `00:00`."""
    hours, _, minutes = words.partition(":")
    told = f"{int(hours):02}:{minutes or '00'}"
    return "00:00" if told == "24:00" else told


def check_windows(windows: object, *, priced: bool = False) -> None:
    """BadInput unless these are windows as this module keeps them, with or without prices."""
    field = "happy" if priced else "hours"
    if not isinstance(windows, list) or len(windows) > MOST_WINDOWS:
        raise BadInput(f"A plan has at most {MOST_WINDOWS} times of the week.", field)
    for window in windows:
        if not (isinstance(window, dict) and window.keys() == {"days", "from", "to"} | _priced_keys(priced)):
            raise BadInput(f"This is no time of the week. {_EXAMPLE}.", field)
        days, clocks = window["days"], (window["from"], window["to"])
        if not (isinstance(days, list) and days and all(type(day) is int and 0 <= day < 7 for day in days)):
            raise BadInput("The days of the week are 0 (Monday) to 6 (Sunday).", field)
        if not all(isinstance(clock, str) and _CLOCK.fullmatch(clock) for clock in clocks):
            raise BadInput(f"{window['from']}-{window['to']} is no time of the day. It looks like 08:00-17:00.", field)
        price = window.get("price_cents", 100)
        if type(price) is not int or not 100 <= price <= 10**9 or price % 100:
            raise BadInput("The price of a happy hour is in whole shillings, and not free.", field)


def _priced_keys(priced: bool) -> set[str]:
    return {"price_cents"} if priced else set()


def show_windows(windows: Iterable[Window]) -> str:
    """The same as `read_windows` reads: `Mon-Fri 08:00-17:00; Sat 10:00-14:00`; every day has no name."""
    return "; ".join(_show_one(window) for window in windows)


def _show_one(window: Window) -> str:
    days = "" if len(set(window["days"])) == 7 else _show_days(sorted(set(window["days"]))) + " "
    price = f" = {window['price_cents'] // 100}" if "price_cents" in window else ""
    return f"{days}{window['from']}-{window['to']}{price}"


def _show_days(days: list[int]) -> str:
    """Three and more in a row as a span."""
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(
        f"{_DAYS[run[0]]}-{_DAYS[run[-1]]}" if len(run) > 2 else ",".join(_DAYS[day] for day in run) for run in runs
    )


def is_open(windows: Sequence[Window], instant: datetime, zone: ZoneInfo) -> bool:
    """Is one of them open at this instant, by the clock on the wall? No windows at all are always open."""
    return not windows or bool(open_windows(windows, instant, zone))


def open_windows(windows: Iterable[Window], instant: datetime, zone: ZoneInfo) -> list[Window]:
    """Those that are open at this instant."""
    local = instant.astimezone(zone)
    today, yesterday, clock = local.weekday(), (local.weekday() - 1) % 7, f"{local:%H:%M}"
    return [window for window in windows if _holds(window, today, yesterday, clock)]


def _holds(window: Window, today: int, yesterday: int, clock: str) -> bool:
    begins, ends = window["from"], window["to"]
    if begins < ends:
        return today in window["days"] and begins <= clock < ends
    return (today in window["days"] and clock >= begins) or (yesterday in window["days"] and clock < ends)


def next_change(windows: Sequence[Window], instant: datetime, zone: ZoneInfo) -> datetime | None:
    """The next instant, UTC, at which other windows are open than now; None when that never comes."""
    now = open_windows(windows, instant, zone)
    first = instant.astimezone(zone).date()
    clocks = sorted({window[key] for window in windows for key in ("from", "to")})
    for days in range(9):  # a window of one day a week may have begun today
        day = first + timedelta(days=days)
        for clock in clocks:
            moment = datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), zone).astimezone(UTC)
            if moment > instant and open_windows(windows, moment, zone) != now:
                return moment
    return None
