"""What is wrong with a router, each in a sentence with its cure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from edge.values.hotspot import read_clock
from edge.values.router_setup import FILE_MENU, Row, Seen, Wish, can_keep_aside, is_hidden, is_same, read_release
from edge.values.router_wanted import (
    ALERT,
    MARK,
    PROFILE,
    SERVER,
    guest_interface,
    has_flash,
    html_directory,
    interface_address,
    is_seen_as,
    is_somebodys,
    own_user,
    page_names,
    profiles,
    rights,
    servers,
)

CLOCK_SLACK_S = 60
LEAST_ROOM = 400_000  # bytes; every new user and page is written to the flash
MANY_USERS = 2000  # a small flash holds few more
LICENCES = {"0": 1, "1": 1, "3": 1, "4": 200, "5": 500}  # guests online at once; level 6 has no limit
NO_LOGIN, OLDEST_GOOD = (6, 43), (6, 49)
EARLY_7 = (7, 12)  # before it, hotspot and RADIUS had faults that are mended since
_TRUE = ("true", "yes")
_MANAGEMENT = ("api", "api-ssl", "ftp", "ssh", "telnet", "winbox", "www", "www-ssl")
_NARROWING = (
    "src-address", "dst-address", "src-address-list", "dst-address-list", "protocol", "src-port", "dst-port", "port",
    "connection-state", "connection-mark", "src-mac-address", "limit", "hotspot",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing to know about a router. `level`: problem (guests can't get in), warning, note."""

    level: str
    key: str
    words: str
    cure: str


def findings(wish: Wish, seen: Seen, now: datetime) -> list[Finding]:
    """All of them, the worst first."""
    found = [
        *_release(seen),
        *_hotspot(wish, seen),
        *_network(wish, seen),
        *_room(seen),
        *_licence(seen),
        *_clock(seen, now),
        *_doors(wish, seen),
        *_radius(wish, seen),
        *_other_box(wish, seen),
    ]
    order = ("problem", "warning", "note")
    return sorted(found, key=lambda finding: order.index(finding.level))


def _release(seen: Seen) -> Iterator[Finding]:
    version = seen.first("/system/resource").get("version", "")
    release = read_release(version)
    cure = "update it: /system package update install (a person should be near: it restarts)"
    if not release:
        yield Finding("warning", "version", "the router did not say which RouterOS it runs", "see /system resource")
    elif release < NO_LOGIN:
        yield Finding("problem", "old", f"RouterOS {version} is too old: its API login is not safe any more", cure)
    elif release < OLDEST_GOOD or (7,) <= release < EARLY_7:
        yield Finding("warning", "old", f"RouterOS {version} is old, and has faults that are mended since", cure)


def _hotspot(wish: Wish, seen: Seen) -> Iterator[Finding]:
    mode = seen.first("/system/device-mode").get("hotspot", "")
    if mode in ("no", "false") or _is_forbidden(seen):
        yield Finding(
            "problem", "device-mode", "the router's device-mode forbids the hotspot, so nobody can log in",
            "type /system/device-mode/update hotspot=yes on the router, then press its reset or mode button, or cut "
            "its power, within 5 minutes; a restart by software does not count",
        )  # fmt: skip
    elif any(row.get("invalid") in _TRUE for row in servers(wish, seen)):
        yield Finding(
            "problem", "invalid", "the hotspot server is invalid, so nobody can log in",
            "look at its interface and address pool: /ip hotspot print",
        )  # fmt: skip
    if (not seen.has(SERVER) and SERVER not in seen.denied) or _lacks_package(seen):
        yield Finding(
            "problem", "package", "the router has no hotspot: its package is missing or switched off",
            "version 6: put hotspot-….npk of the same version into Files, /system package enable hotspot, restart",
        )  # fmt: skip
    found = servers(wish, seen)
    if wish.server and not found:
        yield Finding(
            "problem", "server", f"the router has no hotspot server named {wish.server}",
            "mend the name, or add the router without --hotspot-server",
        )  # fmt: skip
    if found and all(row.get("disabled") in _TRUE for row in found):
        yield Finding(
            "problem", "disabled", "the hotspot server is switched off", f"/ip hotspot enable {found[0].get('name')}"
        )
    yield from _pages(wish, seen)


def _is_forbidden(seen: Seen) -> bool:
    return any("device-mode" in row.get("comment", "") for row in seen.rows(SERVER) if row.get("invalid") in _TRUE)


def _lacks_package(seen: Seen) -> bool:
    """Version 6 comes in pieces; a bundle brings all of them under its own name as well."""
    rows = seen.rows("/system/package")
    off = any(row.get("name") == "hotspot" and row.get("disabled") in _TRUE for row in rows)
    names = {row.get("name", "") for row in rows}
    return off or ("system" in names and "hotspot" not in names and seen.release < (7,))


def _pages(wish: Wish, seen: Seen) -> Iterator[Finding]:
    for name in profiles(wish, seen):
        row = seen.first(PROFILE, name=name)
        directory = row.get("html-directory", "")
        if directory and has_flash(seen) and not directory.startswith("flash/"):
            yield Finding(
                "warning", "flash", f"the login pages lie in {directory}, which this router forgets at every restart",
                f"the set-up puts them into flash/{directory}",
            )  # fmt: skip
        override = row.get("html-directory-override", "")
        if override and html_directory(row, seen) != override.rstrip("/"):
            yield Finding(
                "note", "override", f"the folder {override} for login pages is empty, so the usual one counts",
                f"/ip hotspot profile set {name} html-directory-override=\"\"",
            )  # fmt: skip
    yield from _lost_pages(wish, seen)


def _lost_pages(wish: Wish, seen: Seen) -> Iterator[Finding]:
    """What is written over without having been read is gone."""
    for name in page_names(wish, seen):
        row = seen.first(FILE_MENU, name=name)
        if row and is_hidden(row) and f"file:{name}" not in wish.known and not can_keep_aside(name, seen):
            yield Finding(
                "warning", "page", f"the page {name} can't be read, so it can't be put back, only RouterOS's own",
                "if somebody made that page, save it first: drag it out of Files in WinBox",
            )  # fmt: skip


def _network(wish: Wish, seen: Seen) -> Iterator[Finding]:
    interface = guest_interface(wish, seen)
    if not interface and not servers(wish, seen) and seen.has(SERVER) and not wish.server:
        yield from _interface(wish.interface, seen)
    if interface and interface_address(interface, seen) and not seen.rows("/ip/dhcp-server", interface=interface):
        yield Finding(
            "problem", "dhcp", f"nobody gives guests on {interface} their addresses",
            f"/ip dhcp-server setup, with {interface}",
        )  # fmt: skip
    if any(row.get("dynamic") in _TRUE for row in seen.rows("/ip/dhcp-server/lease", address=wish.box)):
        yield Finding(
            "warning", "lease", f"DHCP lends the box its address {wish.box}, and may give it another one day",
            f"fix it: /ip dhcp-server lease make-static [find address={wish.box}]",
        )  # fmt: skip
    for row in seen.rows(ALERT):
        unknown = row.get("unknown-server", "")
        if unknown:
            yield Finding(
                "problem", "rogue-dhcp", f"somebody else gives out addresses on {row.get('interface')}: {unknown}",
                "find the device with this MAC (often a home router plugged in by its LAN side) and unplug it",
            )  # fmt: skip


def _interface(said: str, seen: Seen) -> Iterator[Finding]:
    names = [row.get("name", "") for row in seen.rows("/interface") if row.get("disabled") not in _TRUE]
    bridge = seen.first("/interface/bridge/port", interface=said).get("bridge") if said else None
    cure = f"say which interface; there are: {', '.join(names) or 'none'}"
    if not said:
        words = "the router has no hotspot yet, and it is not clear where guests are to be"
    elif bridge:
        words, cure = f"{said} is part of a bridge, where no hotspot can work", f"say {bridge} instead"
    else:
        words = f"the router has no interface {said}"
    yield Finding("problem", "interface", words, cure)


def _room(seen: Seen) -> Iterator[Finding]:
    resource = seen.first("/system/resource")
    free, total = _number(resource, "free-hdd-space"), _number(resource, "total-hdd-space")
    users = len(seen.rows("/ip/hotspot/user"))
    if total and free < LEAST_ROOM:
        yield Finding(
            "warning", "room", f"the router's flash is nearly full ({free // 1000} kB of {total // 1000} kB are left)",
            "delete old files and backups in Files, or use mode radius, which stores nothing a guest",
        )  # fmt: skip
    if users > MANY_USERS and total < 64_000_000:
        yield Finding(
            "warning", "users", f"its table has {users} users, much for so small a flash",
            "remove old vouchers from /ip hotspot user, or use mode radius",
        )  # fmt: skip


def _licence(seen: Seen) -> Iterator[Finding]:
    row = seen.first("/system/license")
    level = row.get("level") or row.get("nlevel", "")
    most, online = LICENCES.get(level), len(seen.rows("/ip/hotspot/active"))
    if most is not None and (most == 1 or online >= most * 9 // 10):
        yield Finding(
            "problem" if most == 1 else "warning", "licence",
            f"the router's licence (level {level}) allows {most} at once, and {online} are online",
            "buy a higher level on mikrotik.com and enter its key: /system license",
        )  # fmt: skip


def _clock(seen: Seen, now: datetime) -> Iterator[Finding]:
    row = seen.first("/system/clock")
    told = read_clock(row.get("date", ""), row.get("time", ""), row.get("gmt-offset", ""))
    if told is not None and abs((told - now).total_seconds()) > CLOCK_SLACK_S:
        yield Finding(
            "warning", "clock", f"the router's clock is wrong: it says {told:%Y-%m-%d %H:%M} UTC",
            "the set-up switches NTP on; the router then needs the internet, or /system clock set by hand",
        )  # fmt: skip


def _doors(wish: Wish, seen: Seen) -> Iterator[Finding]:
    if not seen.has("/ip/service") or not seen.has("/ip/firewall/filter"):
        return
    doors = [row for row in seen.rows("/ip/service") if row.get("dynamic") not in _TRUE and _is_open(row)]
    if doors and not any(_is_drop(rule) for rule in seen.rows("/ip/firewall/filter", chain="input")):
        yield Finding(
            "warning", "open", f"the router can be managed from the internet ({_names(doors)}): nothing is dropped",
            "/ip firewall filter add chain=input action=drop in-interface=(the one to the internet)",
        )  # fmt: skip
    elif not is_seen_as(wish.box, seen) and any(row.get("name") == "api" for row in doors):
        yield Finding(
            "note", "elsewhere", f"the router does not see the box at {wish.box}, so its API stays open to all",
            "give the address that the router sees: --box",
        )  # fmt: skip
    yield from _rights(wish, seen)


def _rights(wish: Wish, seen: Seen) -> Iterator[Finding]:
    own, is_foreign = own_user(wish, seen), is_somebodys(wish.api_user, seen)
    if own and is_foreign:
        yield Finding(
            "note", "namesake", f"the user {wish.api_user} may do everything on this router, and the box did not make "
            f"it: it stays as it is, and the box's own is named {own}",
            f"nothing, if it is yours; else /user remove {wish.api_user}",
        )  # fmt: skip
    elif not own and "policy" in rights(wish.login, seen):
        cure = "in the settings file name an API user whose group has read, write, test and api"
        if is_foreign and wish.login == wish.api_user:
            mark = MARK["user"]
            cure = f'if nobody else uses it: /user set {wish.login} comment="{mark}", then set up again'
        yield Finding("note", "rights", f"the box uses the login {wish.login}, which may do more than it needs", cure)


def _is_open(row: Row) -> bool:
    return row.get("name") in _MANAGEMENT and row.get("disabled") not in _TRUE and not row.get("address")


def _is_drop(rule: Row) -> bool:
    """Does it keep strangers out? A rule for some packets only does not."""
    is_on = rule.get("disabled") not in _TRUE and rule.get("action") in ("drop", "reject")
    return is_on and not any(rule.get(key) for key in _NARROWING)


def _names(rows: list[Row]) -> str:
    return ", ".join(row.get("name", "") for row in rows)


def _radius(wish: Wish, seen: Seen) -> Iterator[Finding]:
    entries = [row for row in seen.rows("/radius") if "hotspot" in row.get("service", "").split(",")]
    entries = [row for row in entries if row.get("disabled") not in _TRUE]
    others = [row for row in entries if row.get("comment") != MARK["radius"]]
    if wish.mode == "radius":
        if others and others[0] is entries[0]:
            yield Finding(
                "warning", "other-radius", f"another RADIUS server is asked first: {others[0].get('address')}",
                "disable it, if the box is to judge logins: /radius print",
            )  # fmt: skip
        return
    asking = [row for row in seen.rows(PROFILE) if row.get("use-radius") in _TRUE]
    if asking and others and any(row.get("name") in profiles(wish, seen) for row in asking):
        yield Finding(
            "note", "asks-radius", f"besides its own users it asks a RADIUS server at {others[0].get('address')}",
            "if that is not wanted: /ip hotspot profile set " + asking[0].get("name", "") + " use-radius=no",
        )  # fmt: skip


def _other_box(wish: Wish, seen: Seen) -> Iterator[Finding]:
    before = seen.first("/ip/hotspot/walled-garden/ip", comment=MARK["portal"]).get("dst-address", "")
    if before and not is_same("address", before, wish.box):
        yield Finding(
            "warning", "other-box", f"this router was set up for a box at {before}, and this one is at {wish.box}",
            "set it up again if this box has moved or takes over; else leave it",
        )  # fmt: skip


def _number(row: Row, key: str) -> int:
    text = row.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 25 else 0
