"""Sets a router up by its API: reads what is there, changes what must change, and goes the way back."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from edge.devices.routeros import Conversation, Trap
from edge.errors import DeviceError, Refused, Unconfirmed, Unreachable
from edge.values.router_setup import FILE_MENU, Change, Row, Seen, Wish, diff
from edge.values.router_wanted import PROFILE, SERVER, on_flash, page_names, wanted

LEASES = "/ip/dhcp-server/lease"  # a long table, of which the box's own row alone is asked for
# Menu → what of it is read. A menu that a release lacks is passed over.
MENUS = {
    "/system/resource": "version,board-name,free-hdd-space,total-hdd-space",
    "/system/clock": "date,time,gmt-offset,time-zone-name,time-zone-autodetect",
    "/system/device-mode": "mode,hotspot",
    "/system/license": "level,nlevel",
    "/system/package": "name,version,disabled",
    "/system/ntp/client": "enabled,servers,primary-ntp,secondary-ntp,server-dns-names",
    "/interface": ".id,name,type,mac-address,disabled",
    "/interface/bridge/port": "interface,bridge",
    "/ip/address": ".id,address,interface,comment,disabled,dynamic",
    "/ip/pool": ".id,name,ranges",
    "/ip/dns": "allow-remote-requests",
    "/ip/dhcp-server": ".id,name,interface,address-pool,lease-time,disabled,dynamic",
    "/ip/dhcp-server/network": ".id,address,gateway,dns-server,dhcp-option,comment,dynamic",
    "/ip/dhcp-server/option": ".id,name,code,value",
    LEASES: ".id,address,mac-address,disabled,dynamic",
    "/ip/dhcp-server/alert": ".id,interface,valid-server,unknown-server,comment,disabled",
    "/ip/firewall/filter": "",
    "/ip/firewall/nat": ".id,chain,action,src-address,out-interface,out-interface-list,comment,disabled,dynamic",
    "/ip/hotspot": ".id,name,interface,profile,invalid,disabled,comment",
    "/ip/hotspot/profile": "",
    "/ip/hotspot/walled-garden/ip": ".id,action,dst-address,protocol,dst-port,comment,disabled,dynamic",
    "/ip/hotspot/user": ".id",
    "/ip/hotspot/active": ".id",
    "/ip/service": ".id,name,port,address,disabled,dynamic",
    "/radius": "",
    "/radius/incoming": "accept,port",
    "/user": ".id,name,group,address,comment,disabled",
    "/user/group": ".id,name,policy,comment",
    "/user/active": "name,address,via",
    FILE_MENU: ".id,name,type,size",
}
_ABSENT = ("no such command", "unknown command", "bad command")
_DENIED = "not enough permissions"
_GONE = "no such item"
FETCH_WAITS_S = (0.2, 0.5, 1.0)


@dataclass
class Outcome:
    """What came of it: the changes made, and those the router did not take, each with its words."""

    done: list[Change] = field(default_factory=list)
    left: list[tuple[Change, str]] = field(default_factory=list)


def _is_kept_for(kept: Change, page: Change) -> bool:
    """Was a page kept under another name to make place for this one?"""
    is_page = (kept.menu, kept.verb) == (FILE_MENU, "set") and (page.menu, page.verb) == (FILE_MENU, "add")
    return is_page and kept.before.get("name") == page.find["name"]


def _would_lose(page: Change, outcome: Outcome) -> bool:
    """A page that stands there was to be kept, and the router did not do it."""
    return any(_is_kept_for(kept, page) for kept, _ in outcome.left)


class RouterSetup:
    """One conversation with one router, for its set-up; closed with `close`, or as a context manager."""

    def __init__(
        self, host: str, port: int, username: str, password: str, *, tls: bool = False, ca_file: str = "",
        timeout_s: float = 10.0,
    ) -> None:  # fmt: skip
        self._talk = Conversation(host, port, username, password, tls=tls, ca_file=ca_file, timeout_s=timeout_s)

    def __enter__(self) -> "RouterSetup":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._talk.close()

    def look(self, wish: Wish) -> Seen:
        """All that the set-up needs to know; nothing is changed."""
        menus: dict[str, list[Row]] = {}
        denied: set[str] = set()
        for menu, columns in MENUS.items():
            try:
                menus[menu] = self._rows(menu, columns, **({"address": wish.box} if menu == LEASES else {}))
            except Trap as trap:
                if trap.says(_DENIED):
                    denied.add(menu)
                elif not trap.says(*_ABSENT):
                    raise trap.as_error() from None
        if denied >= MENUS.keys():
            raise Refused("the router's API user may read nothing: its group needs the policies read, write and api")
        seen = Seen(menus, frozenset(denied))
        return replace(seen, menus={**menus, FILE_MENU: self._pages(wish, seen)}) if seen.has(FILE_MENU) else seen

    def greet(self) -> None:
        """Log in and ask for its name; Refused when it does not take this user."""
        try:
            self._rows("/system/identity", "name")
        except Trap as trap:
            raise trap.as_error() from None

    def plan(self, wish: Wish, seen: Seen) -> list[Change]:
        """What must change."""
        return diff(wanted(wish, seen), seen, wish.known)

    def apply(
        self, changes: Iterable[Change], wish: Wish, note: Callable[[Change], object] = lambda change: None
    ) -> Outcome:
        """Make the changes one by one. What the router does not know is left and told, with its words.

        Refused when this login may not change anything. Unreachable when the connection is lost: some changes may
        be made then; look again and go on from there.
        """
        outcome = Outcome()
        for change in changes:
            if _would_lose(change, outcome):
                outcome.left.append((change, "the page that stands there could not be kept, so it stays"))
                continue
            try:
                self._make(change, wish)
            except Trap as trap:
                if trap.says(_DENIED):
                    raise self._denied(trap, outcome) from None
                outcome.left.append((change, trap.words))
                self._back_in_place(change, outcome)
                continue
            except (Unreachable, Unconfirmed) as reason:
                told = f"the connection was lost after {len(outcome.done)} changes ({reason}): look again and go on"
                raise Unreachable(told) from None
            outcome.done.append(change)
            note(change)
        return outcome

    def _denied(self, trap: Trap, outcome: Outcome) -> DeviceError:
        done = f"{len(outcome.done)} changes were made before" if outcome.done else "nothing was changed"
        return Refused(
            f"this login may not set the router up ({trap.words}); {done}. Use one with write, for the first time "
            "one with policy too, like admin: --username admin"
        )

    def _make(self, change: Change, wish: Wish) -> None:
        if change.menu == FILE_MENU and "contents" in change.after:
            self._put_page(change, wish)
            return
        if change.verb == "reset-html":
            self._reset_pages(change.find["name"].rpartition("/")[0])
            return
        target = {".id": change.row_id} if change.row_id else {}
        try:
            self._ask(change.menu, change.verb, target | dict(change.after))
        except Trap as trap:
            if change.verb != "remove" or not trap.says(_GONE):
                raise

    def _back_in_place(self, change: Change, outcome: Outcome) -> None:
        """Ours found no room beside the page that was kept: that one is shown to guests again, rather than none."""
        if outcome.done and _is_kept_for(outcome.done[-1], change):
            kept = outcome.done.pop()
            self._ask(FILE_MENU, "set", {".id": kept.row_id, **kept.before})

    def _reset_pages(self, folder: str) -> None:
        """RouterOS's own pages again, in this folder alone."""
        seen = Seen({menu: self._rows(menu, MENUS[menu]) for menu in (SERVER, PROFILE, FILE_MENU)})
        for row in seen.rows(SERVER):
            profile = seen.first(PROFILE, name=row.get("profile", ""))
            if on_flash(profile.get("html-directory", "") or "hotspot", seen) == folder:
                self._ask(SERVER, "reset-html", {".id": row["id"]})
                return
        raise Trap(f"RouterOS brings no pages of its own into {folder}: put yours there")

    def _put_page(self, change: Change, wish: Wish) -> None:
        """Version 7 takes a page by the API; before, and when that fails, the router fetches it from the box."""
        name, contents = change.find["name"], change.after["contents"]
        try:
            target = {".id": change.row_id} if change.verb == "set" else {"name": name}
            self._ask(FILE_MENU, change.verb, target | {"contents": contents})
            return
        except Trap as trap:
            page = name.rpartition("/")[2]
            if contents != wish.pages.get(page) or trap.says(_DENIED):
                raise
        url = f"{wish.portal}setup/pages/{page}"
        self._ask("/tool/fetch", "", {"url": url, "dst-path": name, "mode": "http"})
        for pause_s in FETCH_WAITS_S:
            if self._rows(FILE_MENU, ".id,name", name=name):
                return
            time.sleep(pause_s)
        raise Trap(f"the page did not arrive from {url}")

    def _pages(self, wish: Wish, seen: Seen) -> list[Row]:
        """The names of all files; what is in them, of ours alone: contents are slow to read."""
        rows = {row.get("name", ""): row for row in seen.rows(FILE_MENU)}
        for name in page_names(wish, seen):
            if name in rows:
                try:
                    found = self._rows(FILE_MENU, ".id,name,size,contents", name=name)
                except Trap:
                    continue  # it can't be shown; what it was given last is believed then
                rows[name] = found[0] if found else rows[name]
        return list(rows.values())

    def _rows(self, menu: str, columns: str, **where: str) -> list[Row]:
        told = {".proplist": columns} if columns else {}
        with self._talk.held():
            return list(self._talk.ask(menu, arguments=told, where=where, whole_table=True))

    def _ask(self, menu: str, command: str, arguments: dict[str, str]) -> None:
        """A change whose answer is lost may have been made, so it is not simply asked again."""
        path, verb = (menu, command) if command else (menu.rpartition("/")[0], menu.rpartition("/")[2])
        with self._talk.held():
            self._talk.ask(path, verb, arguments, repeatable=False, whole_table=True)
