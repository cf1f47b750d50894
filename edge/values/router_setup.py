"""A router's configuration as data: what is wished, what was seen, what must change, and how to undo it."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from edge.values.hotspot import OURS, read_duration

Row = Mapping[str, str]

SECRETS = frozenset({"password", "secret", "contents"})  # never shown, never kept with what is to be undone
SETS = frozenset({"login-by", "policy", "dhcp-option", "service", "address-set"})
PORTAL_FILES = ("login.html", "api.json")
FILE_MENU = "/file"
ASIDE = ".before-edge"  # behind the name of a page that could not be read, and is kept
MOVES = (7, 9)  # a file's name can be set from here on; before, it only shows (MikroTik's manual, Files)

_TRUE, _FALSE = ("yes", "true"), ("no", "false")


@dataclass(frozen=True)
class Wish:
    """What the box wants of one router. `box` is the box's address as the router sees it."""

    box: str
    web_port: int
    mode: str  # local, radius
    login: str  # the API user that the box came with
    host: str = ""  # the router's own address
    interface: str = ""  # where guests are, when there is no hotspot server yet
    server: str = ""  # the one hotspot server that is meant; '' is all of them
    timezone: str = "Africa/Nairobi"
    ntp: str = "pool.ntp.org"
    radius_secret: str = field(default="", repr=False)
    auth_port: int = 1812
    acct_port: int = 1813
    coa_port: int = 3799
    api_user: str = ""  # the user of few rights to make; '' leaves the users alone
    api_password: str = field(default="", repr=False)
    keeps_user: bool = False  # the settings file says as whom the box comes
    pages: Mapping[str, str] = field(default_factory=dict, repr=False)  # file name → contents
    known: Mapping[str, str] = field(default_factory=dict, repr=False)  # digests of secrets the router has from us

    @property
    def portal(self) -> str:
        """Where guests buy."""
        return f"http://{self.box}:{self.web_port}/"


@dataclass(frozen=True)
class Seen:
    """What a router answered: the rows of each menu. A menu that it has not, or did not show, is missing."""

    menus: Mapping[str, list[Row]]
    denied: frozenset[str] = frozenset()

    def has(self, menu: str) -> bool:
        """Does it have this menu, and did it show it?"""
        return menu in self.menus

    def rows(self, menu: str, **where: str) -> list[Row]:
        """The rows with these values; underscores stand for dashes."""
        wanted = {key.replace("_", "-"): value for key, value in where.items()}
        return [row for row in self.menus.get(menu, []) if fits(row, wanted)]

    def first(self, menu: str, **where: str) -> Row:
        """The first such row, or an empty one."""
        found = self.rows(menu, **where)
        return found[0] if found else {}

    @property
    def release(self) -> tuple[int, ...]:
        """`7.19.6 (stable)` → (7, 19, 6); () when it did not say."""
        return read_release(self.first("/system/resource").get("version", ""))


@dataclass(frozen=True)
class Item:
    """One thing that should be so. `find` is how its rows are known; `kind` says what if there is none.

    row: it is added. each: every row that there is. single: settings, of which there is one row. file: a page.
    """

    key: str
    menu: str
    words: str
    find: Mapping[str, str]
    values: Mapping[str, str] = field(repr=False)
    kind: str = "row"


@dataclass(frozen=True)
class Change:
    """One command to a router and what it changes; `words` says it to a person."""

    key: str
    menu: str
    verb: str  # add, set, remove, reset-html
    words: str
    find: Mapping[str, str]
    before: Mapping[str, str]
    after: Mapping[str, str] = field(repr=False)
    row_id: str = ""

    @property
    def line(self) -> str:
        """For people, with the command's own words in brackets; secrets are not shown."""
        name = " ".join(str(value) for value in self.find.values() if value and not value.startswith(OURS))
        place = f"{self.menu} {name}".strip()
        return f"{self.words} [{place}: {', '.join(self._parts())}]" if self.after else f"{self.words} [{place}]"

    def _parts(self) -> list[str]:
        parts = []
        for key, value in self.after.items():
            if key in self.find and self.verb == "add":
                continue
            had = "" if self.verb == "add" else (self.before.get(key, "") or "–") + " → "
            parts.append(f"{key} ***" if key in SECRETS else f"{key} {had}{value or '–'}")
        return parts or [self.verb]

    def as_entry(self) -> dict[str, Any]:
        """As it is kept, so that it can be undone."""
        page = self.after.get("contents")
        sign = {} if page is None else {"digest": digest(page), "size": str(len(page.encode()))}
        return {
            "menu": self.menu, "verb": self.verb, "words": self.words, "find": dict(self.find),
            "before": {key: value for key, value in self.before.items() if key == "contents" or key not in SECRETS},
            "after": {key: value for key, value in self.after.items() if key not in SECRETS} | sign,
        }  # fmt: skip


def diff(items: Iterable[Item], seen: Seen, known: Mapping[str, str]) -> list[Change]:
    """What must change for the router to be so; a menu that it lacks is passed over."""
    found: list[Change] = []
    for item in items:
        if not seen.has(item.menu):
            continue
        rows = seen.rows(item.menu) if item.kind == "single" else _rows_of(item, seen)
        if not rows and item.kind in ("row", "file"):
            found.append(Change(item.key, item.menu, "add", item.words, item.find, {}, {**item.find, **item.values}))
        for place, row in enumerate(rows if item.kind == "each" else rows[:1]):
            changed = _changed(item, row, known)
            if changed and item.kind == "file" and _is_to_be_kept(item, row, seen, known):
                found += _aside(item, row)
            elif changed:
                before = {key: row.get(key, "") for key in changed}
                key = item.key if place == 0 else f"{item.key}:{place + 1}"
                row_id = "" if item.kind == "single" else row.get("id", "")
                found.append(Change(key, item.menu, "set", item.words, _name_of(item, row), before, changed, row_id))
    return found


def is_hidden(page: Row) -> bool:
    """A page that does not show what is in it, as long ones do not: once written over it is lost."""
    return not page.get("contents") and page.get("size") != "0"


def can_keep_aside(name: str, seen: Seen) -> bool:
    """May this page get another name, so that it can come back?"""
    return seen.release >= MOVES and not seen.rows(FILE_MENU, name=name + ASIDE)


def _is_to_be_kept(item: Item, row: Row, seen: Seen, known: Mapping[str, str]) -> bool:
    return is_hidden(row) and item.key not in known and can_keep_aside(row["name"], seen)


def _aside(item: Item, row: Row) -> list[Change]:
    name = row["name"]
    words = "Keep the page that stands there under another name"
    kept = Change(f"aside:{name}", FILE_MENU, "set", words, {"name": name + ASIDE}, {"name": name},
                  {"name": name + ASIDE}, row.get("id", ""))  # fmt: skip
    return [kept, Change(item.key, FILE_MENU, "add", item.words, item.find, {}, {**item.find, **item.values})]


def _name_of(item: Item, row: Row) -> Mapping[str, str]:
    """How this very row is found again, among others of its kind."""
    comment = row.get("comment", "") if item.kind == "each" else ""
    return {**item.find, "comment": comment} if comment and not comment.startswith(OURS) else item.find


def _rows_of(item: Item, seen: Seen) -> list[Row]:
    """The rows that are meant; what the router made by itself can't be changed."""
    return [row for row in seen.rows(item.menu) if fits(row, item.find) and row.get("dynamic") not in _TRUE]


def _changed(item: Item, row: Row, known: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in item.values.items()
        if not (_is_known(item, key, value, row, known) if key in SECRETS else is_same(key, row.get(key, ""), value))
    }


def _is_known(item: Item, key: str, value: str, row: Row, known: Mapping[str, str]) -> bool:
    """A router may hide a secret, or the middle of a file: then what it was given last is believed."""
    has = row.get(key)
    if has is not None and has.strip("*"):
        return has.strip() == value.strip()
    is_as_long = key != "contents" or row.get("size") in (str(len(value.encode())), None)
    return known.get(item.key) == digest(value) and is_as_long


def digest(value: str) -> str:
    """Tells whether a secret changed, without keeping it. Ours are long and random; a page is no secret."""
    return hashlib.sha256(value.strip().encode()).hexdigest()[:32]


def digests(changes: Iterable[Change]) -> dict[str, str]:
    """What the router will know of us after these changes."""
    return {change.key: digest(value) for change in changes for key, value in change.after.items() if key in SECRETS}


def fits(row: Row, find: Mapping[str, str]) -> bool:
    """Has the row these values?"""
    return all(is_same(key, row.get(key, ""), value) for key, value in find.items())


def is_same(key: str, has: str, wanted: str) -> bool:
    """Does a router mean the same by these two values of one property?"""
    if has == wanted:
        return True
    if key in SETS:
        return positives(has) == positives(wanted)
    if wanted in _TRUE or wanted in _FALSE:
        return (has in _TRUE) == (wanted in _TRUE) and has in (*_TRUE, *_FALSE, "")
    if key == "timeout" or key.endswith(("-update", "-time")):
        return "ms" not in has and read_duration(has) is not None and read_duration(has) == read_duration(wanted)
    if key == "address":
        return has.removesuffix("/32") == wanted.removesuffix("/32")
    return False


def positives(text: str) -> frozenset[str]:
    """`read,write,!ftp` → read and write."""
    return frozenset(part for part in re.split(r"[,;\s]+", text) if part and not part.startswith("!"))


def joined(has: str, *more: str) -> str:
    """The members that there are, and more at the end."""
    members = [part for part in re.split(r"[,;\s]+", has) if part]
    return ",".join([*members, *(part for part in more if part not in members)])


def read_release(version: str) -> tuple[int, ...]:
    """`7.19.6 (stable)` → (7, 19, 6); `7.20rc1` → (7, 20); () for what is no version."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?", version)
    return tuple(int(part) for part in found.groups() if part) if found else ()


# What was changed, and how to undo it.


def remember(entries: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """What to undo after these changes too. The oldest value counts, unless somebody else changed it meanwhile."""
    kept = {key: dict(entry) for key, entry in entries.items()}
    for change in changes:
        new, old = change.as_entry(), kept.pop(change.key, None)
        if old is not None and new["verb"] == "set" and old["find"] == new["find"]:
            new = _merged(old, new)
        kept[change.key] = new
    return kept


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    if old["verb"] == "add":
        return old | {"after": old["after"] | new["after"]}
    before = dict(new["before"])
    for key, value in old["before"].items():
        is_untouched = key not in new["after"] or is_same(key, new["before"].get(key, ""), old["after"].get(key, ""))
        if is_untouched:
            before[key] = value
    return new | {"before": before, "after": old["after"] | new["after"]}


def undoing(entries: Mapping[str, Any], seen: Seen) -> list[Change]:
    """The way back, last change first. What somebody else changed after us, or took away, is left alone."""
    found: list[Change] = []
    for key, entry in reversed(list(entries.items())):
        taken = {change.row_id for change in found if change.menu == entry["menu"]}
        rows = [row for row in seen.rows(entry["menu"]) if fits(row, entry["find"]) and row.get("id", "") not in taken]
        back = (change for row in rows for change in [_undo(key, entry, row)] if change is not None)
        found += list(islice(back, 1))
    return [change for change in _each_folder_once(found) if _has_room(change, found, seen)]


def _each_folder_once(changes: list[Change]) -> Iterator[Change]:
    """One reset brings back all the pages of a folder."""
    folders: set[str] = set()
    for change in changes:
        folder = change.find["name"].rpartition("/")[0] if change.verb == "reset-html" else ""
        if not folder or folder not in folders:
            yield change
        folders.add(folder)


def _has_room(change: Change, changes: list[Change], seen: Seen) -> bool:
    """A page that was kept goes back only where nobody else's stands meanwhile."""
    if change.menu != FILE_MENU or "name" not in change.after:
        return True
    there = {row.get("id") for row in seen.rows(FILE_MENU, name=change.after["name"])}
    return there <= {other.row_id for other in changes if other.menu == FILE_MENU and other.verb == "remove"}


def _undo(key: str, entry: Mapping[str, Any], row: Row) -> Change | None:
    menu, find = entry["menu"], entry["find"]
    if menu == FILE_MENU and "name" in entry["before"]:
        return _set_back(key, entry, row)
    if menu == FILE_MENU and not _is_our_page(entry, row):
        return None
    if entry["verb"] == "add":
        return Change(key, menu, "remove", f"Take away: {entry['words']}", find, {}, {}, row["id"])
    return _put_page_back(key, entry, row) if menu == FILE_MENU else _set_back(key, entry, row)


def _is_our_page(entry: Mapping[str, Any], row: Row) -> bool:
    """Is it still what we put there? Where the router does not show it, its size tells."""
    if row.get("contents", ""):
        return bool(digest(row["contents"]) == entry["after"].get("digest"))
    return bool(row.get("size", "") == entry["after"].get("size"))


def _set_back(key: str, entry: Mapping[str, Any], row: Row) -> Change | None:
    """None when nothing of ours is left in this row."""
    ours = {column for column, value in entry["after"].items() if is_same(column, row.get(column, ""), value)}
    back = {column: value for column, value in entry["before"].items() if column in ours}
    back = {column: value for column, value in back.items() if not is_same(column, row.get(column, ""), value)}
    if not back:
        return None
    now = {column: row.get(column, "") for column in back}
    row_id = row.get("id", "") if entry["find"] else ""
    return Change(key, entry["menu"], "set", f"As before: {entry['words']}", entry["find"], now, back, row_id)


def _put_page_back(key: str, entry: Mapping[str, Any], row: Row) -> Change:
    """The page as it was, or, where the router did not show it, the one that RouterOS brings along."""
    contents, find = entry["before"].get("contents", ""), entry["find"]
    if contents:
        return Change(
            key, FILE_MENU, "set", "The page that stood there before", find, {}, {"contents": contents}, row["id"]
        )
    words = "RouterOS's own pages again: what stood there before could not be read"
    return Change(key, "/ip/hotspot", "reset-html", words, find, {}, {})
