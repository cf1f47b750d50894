"""Users written for others: as a RouterOS script that can be run twice, or as a table that no spreadsheet runs."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from edge.values.router_script import quote

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "'")
COLUMNS = (
    "name", "password", "profile", "rate", "devices", "seconds_left", "bytes_left", "metered", "ends_at", "comment",
)  # fmt: skip


@dataclass(frozen=True)
class Leaver:
    """One user as another program may have him: with what he has left now."""

    name: str
    password: str = field(repr=False)
    profile: str
    rate: str
    devices: int
    seconds: int
    bytes: int | None
    metered: bool
    ends_at: datetime | None
    comment: str


def as_script(leavers: Iterable[Leaver], title: str, zone: tzinfo) -> str:
    """Adds who is not there; of who is there only the comment is written: the router's own limits hold for him."""
    rows = list(leavers)
    lines = [f"# {_one_line(title)}", f"# {len(rows)} users. To run it: /import file-name=…"]
    profiles = {row.profile: row for row in rows}
    for name, row in sorted(profiles.items()):
        rate = f" rate-limit={quote(row.rate)}" if row.rate else ""
        lines.append(
            f":if ([:len [/ip hotspot user profile find where name={quote(name)}]] = 0) do={{ /ip hotspot user profile "
            f"add name={quote(name)} shared-users={row.devices}{rate} }}"
        )
    for row in rows:
        lines.append(_user_line(row, zone))
    return "\n".join(lines) + "\n"


def as_table(leavers: Iterable[Leaver], zone: tzinfo) -> str:
    """CSV (RFC 4180). A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    written = io.StringIO()
    table = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row in leavers:
        table.writerow([
            _tame(str(cell)) for cell in (
                row.name, row.password, row.profile, row.rate, row.devices, row.seconds,
                "" if row.bytes is None else row.bytes, "yes" if row.metered else "no",
                row.ends_at.astimezone(zone).isoformat(timespec="seconds") if row.ends_at else "", row.comment,
            )
        ])  # fmt: skip
    return written.getvalue()


def _user_line(row: Leaver, zone: tzinfo) -> str:
    comment = quote(_comment(row, zone))
    limits = f"limit-uptime={row.seconds * (row.devices if not row.metered else 1)}s"
    if row.bytes is not None:
        limits += f" limit-bytes-total={row.bytes}"
    name = quote(row.name)
    return (
        f":if ([:len [/ip hotspot user find where name={name}]] = 0) do={{ /ip hotspot user add name={name} "
        f"password={quote(row.password)} profile={quote(row.profile)} {limits} comment={comment} }} else={{ "
        f"/ip hotspot user set [find where name={name}] comment={comment} }}"
    )


def _comment(row: Leaver, zone: tzinfo) -> str:
    """Other programs look for the end by the calendar, by the router's wall clock; else what once stood there."""
    return wall_clock(row.ends_at, zone) if row.ends_at is not None else row.comment


def wall_clock(then: datetime, zone: tzinfo) -> str:
    """`2026-01-02 12:00:00`, as RouterOS 7.10 and later write it."""
    return f"{then.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _tame(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _one_line(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
