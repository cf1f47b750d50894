"""Hotspot users that somebody else's hand or program wrote on a router, and how to read what they still have.

The notation is Mikhmon's (laksa19/mikhmonv3, hotspot/adduserprofile.php, generateuser.php). A voucher's comment begins
with `vc-` or `up-` until its first login, when a script of its profile writes the end over it, as the router's own
clock shows it: `jan/02/2026 12:00:00`, from RouterOS 7.10 on `2026-01-02 12:00:00`. The script begins with what the
program itself wants to know: `:put (",rem,5000,1d,7000,,Disable,")` is mode, price, validity, selling price.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.values.hotspot import read_date, read_duration, read_offset

_DATE = r"(?P<date>[a-z]{3}/\d\d/\d{4}|\d{4}-\d\d-\d\d)(?:[ T](?P<time>\d\d:\d\d(?::\d\d)?))?"
_STARTS = re.compile(rf"\s*{_DATE}", re.IGNORECASE | re.ASCII)
_SAID = re.compile(
    rf"(?:exp\w*|until|till|valid\w*|ends?)\b[\s:=]*(?:on|at|to|until)?[\s:=]*{_DATE}", re.IGNORECASE | re.ASCII
)
_SCRIPT = re.compile(r':put \("\s*,[a-z0]*,(?P<price>\d*),(?P<validity>[0-9a-z]*),(?P<selling>\d*),', re.ASCII)
_UNUSED = ("vc", "up")
UNLIMITED_DEVICES = 100  # what `unlimited` becomes: more than ever stand before one router with one code


@dataclass(frozen=True)
class ForeignUser:
    """One of them. Counters are with what runs now; limits of 0 are none; a password of None can't be read."""

    name: str
    password: str | None = field(repr=False)
    profile: str
    comment: str
    disabled: bool = False
    mac: str = ""
    limit_s: int = 0
    used_s: int = 0
    limit_bytes: int = 0
    limit_in: int = 0
    limit_out: int = 0
    used_in: int = 0
    used_out: int = 0

    @property
    def seconds_left(self) -> int | None:
        """Online time; None when it has no limit."""
        return max(0, self.limit_s - self.used_s) if self.limit_s else None

    @property
    def bytes_left(self) -> int | None:
        """The least that any of his limits leaves; None when he has none."""
        limits = (
            (self.limit_bytes, self.used_in + self.used_out), (self.limit_in, self.used_in),
            (self.limit_out, self.used_out),
        )  # fmt: skip
        return min((max(0, limit - used) for limit, used in limits if limit), default=None)

    @property
    def was_used(self) -> bool:
        return bool(self.used_s or self.used_in or self.used_out)

    @property
    def waits_for_first_login(self) -> bool:
        """Would Mikhmon's script write his end at the next login?"""
        return self.comment.strip().lower()[:2] in ("", *_UNUSED)


@dataclass(frozen=True)
class ForeignProfile:
    """A user profile of somebody else's, and what Mikhmon's script in it tells."""

    name: str
    rate: str = ""
    devices: int = 1
    validity_s: int | None = None  # by the calendar, from the first login
    price: int | None = None  # in whole units of money


@dataclass(frozen=True)
class Scan:
    """What stands on a router: users in its own order, profiles by name, and how its wall clock goes."""

    users: tuple[ForeignUser, ...]
    profiles: dict[str, ForeignProfile]
    zone: tzinfo = UTC
    clock_offset_s: float | None = None  # its clock less ours


def read_end(comment: str, zone: tzinfo) -> datetime | None:
    """The instant at which his time is over, if a comment says so; a day without a time is meant to its end.

    A date counts where it begins the comment or is called an end: others tell of payments, or of the day of printing.
    """
    found = _STARTS.match(comment) or _SAID.search(comment)
    if found is None:
        return None
    day, moment = read_date(found["date"]), found["time"] or "23:59:59"
    try:
        return None if day is None else datetime.combine(day, time.fromisoformat(moment), zone).astimezone(UTC)
    except (ValueError, OverflowError):  # 25:00, or a year that nobody reckons with
        return None


def read_script(on_login: str) -> tuple[int | None, int | None]:
    """Validity in seconds, and the price a guest paid, by Mikhmon's script; None for what it lacks."""
    found = _SCRIPT.search(on_login[:500])
    if found is None:
        return None, None
    prices = [int(text) for text in (found["selling"], found["price"]) if 0 < len(text) < 10 and int(text)]
    return read_duration(found["validity"]) or None, prices[0] if prices else None


def read_zone(name: str, offset: str) -> tzinfo:
    """A router's time zone: by its name, else by `gmt-offset`, else UTC."""
    try:
        if name and name != "manual":
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name of theirs that this system does not know
        pass
    east = read_offset(offset or "+00:00")
    return timezone(east) if east is not None and east != timedelta(0) else UTC
