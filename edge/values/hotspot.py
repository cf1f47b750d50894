"""A hotspot as RouterOS tells it: profiles, users, sessions, and its ways of writing time."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

OURS = "edge:"  # the comment of every user of ours begins so; nobody else's is ever touched


@dataclass(frozen=True)
class Profile:
    """A user profile: `rate` is RouterOS's upload/download ('' is no limit), `devices` may be online at once.

    Whoever is silent for `idle_s` is logged out; None leaves it to the router's other time-outs.
    """

    name: str
    rate: str
    devices: int
    idle_s: int | None = None


@dataclass(frozen=True)
class HotspotUser:
    """A guest as the router should know him: so much time and data from now; None is no limit of data.

    `most_s` is the longest that may be left of it, when nobody gave him more by hand. With `mac` only that device is
    let in.
    """

    name: str
    password: str = field(repr=False)
    profile: Profile
    seconds_left: int
    bytes_left: int | None
    comment: str
    most_s: int = 0
    mac: str = ""


@dataclass(frozen=True)
class RouterFacts:
    """What a router says of itself; `hotspot_words` tells what is wrong with its hotspot, and the cure."""

    version: str
    board: str
    identity: str
    uptime_s: int
    clock: datetime | None  # aware, UTC
    hotspot_ok: bool
    hotspot_words: str
    login_by: str = ""  # the ways in that its hotspot offers: http-pap, mac, mac-cookie …


@dataclass(frozen=True)
class KnownUser:
    """A user in the router's table; what a session under way has used is not in it yet. No limit is 0."""

    name: str
    comment: str
    profile: str
    disabled: bool
    uptime_s: int
    bytes_used: int
    limit_s: int = 0
    limit_bytes: int = 0

    @property
    def is_ours(self) -> bool:
        """Does it carry the mark of an Edge box, this one or another?"""
        return self.comment.startswith(OURS)


@dataclass(frozen=True)
class ActiveSession:
    """One device that is online. `bytes_in` came from it, `bytes_out` went to it."""

    user: str
    mac: str
    ip: str
    uptime_s: int
    bytes_in: int
    bytes_out: int
    session_time_left_s: int | None


_RATE = re.compile(r"[0-9]+[kMG]?(/[0-9]+[kMG]?)?( [0-9]+[kMG]?(/[0-9]+[kMG]?)?)*|", re.ASCII)
_SURROGATE_OR_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def is_rate(text: str) -> bool:
    """A rate-limit of RouterOS, upload before download; '' is none."""
    return bool(_RATE.fullmatch(text))


def is_plain(text: str) -> bool:
    """May it stand in a name or comment, without meaning more than it says?"""
    return not _SURROGATE_OR_CONTROL.search(text)


SLACK_S, SLACK_BYTES = 120, 5_000_000  # two looks are a minute apart, and every change is written to the router's flash
TOO_MUCH = 0.25  # of what is left: the box itself ends what is used up, so the router may be a little generous


def misfit(known: KnownUser, wanted: HotspotUser, used_s: int, used_bytes: int, *, is_online: bool) -> str:
    """What is wrong with a user in the router's table, in words; '' when he may come in as he should.

    `used_s` and `used_bytes` are what his rows and running sessions count at this router. Whoever is not online there
    has his limits lowered when he comes, for what he uses elsewhere changes them each minute.
    """
    if known.disabled:
        return "somebody disabled this guest on the router"
    if known.profile != wanted.profile.name:
        return "somebody gave this guest another profile on the router"
    left_s, owed_s = known.limit_s - used_s, max(wanted.most_s, wanted.seconds_left)
    if known.limit_s and left_s < wanted.seconds_left - SLACK_S:
        return "the router would have cut this guest off too early"
    if not known.limit_s or (is_online and left_s > owed_s + max(SLACK_S, TOO_MUCH * owed_s)):
        return "the router would have let this guest stay too long"
    if (not known.limit_bytes) != (wanted.bytes_left is None):
        return "the limit of data on the router was not this guest's"
    if wanted.bytes_left is not None:
        more = known.limit_bytes - used_bytes - wanted.bytes_left
        if more < -SLACK_BYTES or (is_online and more > max(SLACK_BYTES, TOO_MUCH * wanted.bytes_left)):
            return "the data left on the router was not what this guest has left"
    return ""


_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_LETTERS = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:\d+ms)?(?:\d+us)?", re.ASCII)
_COLONS = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?\s*(\d+):(\d\d):(\d\d)(?:\.\d+)?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONGEST = 64


def read_duration(text: str) -> int | None:
    """`1w2d3h4m5s`, `2d03:04:05`, `5400` → whole seconds; None for `none`, '' and whatever is no duration."""
    text = text.strip().lower()
    if not text or len(text) > _LONGEST:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    found = _LETTERS.fullmatch(text) or _COLONS.fullmatch(text)
    if found is None:
        return None
    return sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS.values(), strict=True))


def write_duration(seconds: int, *, colons: bool = False) -> str:
    """As RouterOS prints it: 5400 → `1h30m`, 0 → `0s`; with colons, as older releases do: `01:30:00`, `2d03:04:05`."""
    days, rest = divmod(max(0, seconds), 86_400)
    hours, minutes, secs = rest // 3600, rest // 60 % 60, rest % 60
    weeks, days = divmod(days, 7)
    parts = [(weeks, "w"), (days, "d")]
    if not colons:
        parts += [(hours, "h"), (minutes, "m"), (secs, "s")]
    words = "".join(f"{count}{unit}" for count, unit in parts if count)
    return words + f"{hours:02}:{minutes:02}:{secs:02}" if colons else words or "0s"


def read_date(text: str) -> date | None:
    """`2023-07-14` (RouterOS 7.10 and later) or `jul/14/2023` (before); None for anything else."""
    iso = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text.strip(), re.ASCII)
    old = re.fullmatch(r"([a-z]{3})/(\d\d)/(\d{4})", text.strip().lower(), re.ASCII)
    try:
        if iso:
            return date(int(iso[1]), int(iso[2]), int(iso[3]))
        if old and old[1] in _MONTHS:
            return date(int(old[3]), _MONTHS.index(old[1]) + 1, int(old[2]))
    except ValueError:  # the 31st of February
        return None
    return None


def write_date(day: date, *, iso: bool = True) -> str:
    """As RouterOS prints it: `2023-07-14`, or `jul/14/2023` before 7.10."""
    return day.isoformat() if iso else f"{_MONTHS[day.month - 1]}/{day.day:02}/{day.year:04}"


def read_offset(text: str) -> timedelta | None:
    """A `gmt-offset`: `+03:00`, or seconds, which a release may print as an unsigned 32-bit number."""
    text = text.strip()
    hours = re.fullmatch(r"([+-]?)(\d\d?):(\d\d)", text, re.ASCII)
    if hours:
        minutes = int(hours[2]) * 60 + int(hours[3])
        offset = timedelta(minutes=-minutes if hours[1] == "-" else minutes)
    elif re.fullmatch(r"[+-]?\d{1,10}", text, re.ASCII):
        seconds = int(text)
        offset = timedelta(seconds=seconds - 2**32 if seconds >= 2**31 else seconds)
    else:
        return None
    return offset if abs(offset) < timedelta(days=1) else None


def read_clock(day: str, moment: str, offset: str) -> datetime | None:
    """`/system/clock` as an instant in UTC; None when a part can't be read."""
    found = re.fullmatch(r"(\d\d):(\d\d):(\d\d)", moment.strip(), re.ASCII)
    told, east = read_date(day), read_offset(offset or "+00:00")
    if found is None or told is None or east is None:
        return None
    try:
        local = datetime.combine(told, time(int(found[1]), int(found[2]), int(found[3])), UTC)
        return local - east
    except (ValueError, OverflowError):
        return None
