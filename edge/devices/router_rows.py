"""A router's rows: read into values, compared with what is wanted, and checked before they are sent."""

from edge.devices.routeros import Row, Trap
from edge.errors import DeviceError, Refused
from edge.values.hotspot import OURS, ActiveSession, HotspotUser, KnownUser, is_plain, is_rate, read_duration

ANY_MAC = "00:00:00:00:00:00"
CLOSE_ENOUGH_S = 2  # every change is written to the router's flash; so little time is not worth one


def check_user(user: HotspotUser) -> None:
    """Nothing reaches a router that could mean more than it says; zero would mean `no limit` there."""
    check_words(user.name, user.password, user.comment, user.profile.name, user.profile.rate, user.mac)
    if not user.name or not user.profile.name:
        raise Refused("a hotspot user and its profile need a name")
    if not user.comment.startswith(OURS):
        raise Refused(f"the comment of a hotspot user of ours begins with {OURS}")
    if not is_rate(user.profile.rate):
        raise Refused("a rate looks like 2M/5M: upload, then download")
    if user.profile.devices < 1:
        raise Refused("at least one device must be allowed")
    if user.seconds_left <= 0 or (user.bytes_left is not None and user.bytes_left <= 0):
        raise Refused("no time or data is left to admit anybody with")


def check_words(*words: str) -> None:
    """Refused when a text could mean more on a router than it says."""
    if not all(is_plain(word) for word in words):
        raise Refused("names and comments on a router must be plain text, without control characters")


def hush(trap: Trap, secret: str) -> DeviceError:
    """A router that repeats what it was told must not bring a guest's password into a log."""
    return Trap(trap.words.replace(secret, "***") if len(secret) >= 3 else trap.words).as_error()


class NotOurs(Refused):
    """Somebody else's user, or one of ours whose mark a person took off."""


def only_ours(rows: list[Row], name: str) -> None:
    """NotOurs when a user of this name is not ours to change."""
    if any(not is_ours(row) for row in rows):
        raise NotOurs(
            f"the router has a user {name} of its own, without our mark in its comment: rename or remove it there"
        )


def is_ours(row: Row) -> bool:
    """Does it carry our mark?"""
    return row.get("comment", "").startswith(OURS)


def is_true(row: Row, key: str) -> bool:
    """RouterOS says true; yes is what it is told."""
    return row.get(key, "") in ("true", "yes")


def is_same(key: str, has: str, wanted: str) -> bool:
    """Does the router have it so already? An absent limit is none, and durations are written in many ways."""
    if key == "limit-uptime":
        limit_s, wanted_s = read_duration(has), read_duration(wanted)
        return bool(limit_s and wanted_s) and abs((limit_s or 0) - (wanted_s or 0)) <= CLOSE_ENOUGH_S
    if key == "limit-bytes-total":
        return (has or "0") == wanted
    if key == "idle-timeout":
        return read_duration(has) == read_duration(wanted)
    if key == "disabled":
        return has in ("", "false", "no")
    if key == "server":
        return (has or "all") == wanted
    if key == "mac-address":
        return (has or ANY_MAC).upper() == wanted
    return has == wanted


def id_of(row: Row) -> str:
    """The row's `.id`; the library leaves out the dot."""
    return row.get("id", "")


def first(rows: list[Row]) -> Row:
    """The only row of a menu that has one, or an empty one."""
    return rows[0] if rows else {}


def seconds(row: Row, key: str) -> int:
    """A duration in whole seconds; 0 when there is none."""
    return read_duration(row.get(key, "")) or 0


def number(row: Row, key: str) -> int:
    """A count; 0 when there is none that can be read."""
    text = row.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 25 else 0


def bytes_used(row: Row) -> int:
    """From the device and to it."""
    return number(row, "bytes-in") + number(row, "bytes-out")


def read_user(row: Row) -> KnownUser:
    """A row of /ip/hotspot/user."""
    return KnownUser(
        name=row.get("name", ""),
        comment=row.get("comment", ""),
        profile=row.get("profile", ""),
        disabled=is_true(row, "disabled"),
        uptime_s=seconds(row, "uptime"),
        bytes_used=bytes_used(row),
        limit_s=seconds(row, "limit-uptime"),
        limit_bytes=number(row, "limit-bytes-total"),
    )


def read_session(row: Row) -> ActiveSession:
    """A row of /ip/hotspot/active."""
    return ActiveSession(
        user=row.get("user", ""),
        mac=row.get("mac-address", "").upper(),
        ip=row.get("address", ""),
        uptime_s=seconds(row, "uptime"),
        bytes_in=number(row, "bytes-in"),
        bytes_out=number(row, "bytes-out"),
        session_time_left_s=read_duration(row.get("session-time-left", "")),
    )
