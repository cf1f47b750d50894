"""Every menu of the pretend router by its path."""

from collections.abc import Callable
from functools import partial

from edge.simulators.router.command import (
    ALL_VERBS,
    NO_VERBS,
    SERVICE_VERBS,
    SET_VERBS,
    Look,
    Menu,
    Rows,
)
from edge.simulators.router.config_menus import V7
from edge.simulators.router.configuration import settings_of
from edge.simulators.router.live_rows import LiveRows
from edge.simulators.router.machine import Machine
from edge.simulators.router.tables import Row, Table, Trap

V6_PACKAGES = ("routeros-arm", "system", "advanced-tools", "dhcp", "hotspot", "ppp", "security", "wireless")
NO_ADD = ALL_VERBS - {"add", "remove"}
FILE_VERBS = frozenset(("add", "set", "remove"))


class Catalogue:
    """The menus of one machine. A menu that the release or a missing package takes away is not found."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._rows = machine, LiveRows(machine)
        self._menus = self._hotspot() | self._network() | self._system() | self._live()

    def find(self, path: str) -> Menu | None:
        """The menu of this path, if this router has it."""
        menu, release = self._menus.get(path), self._machine.release
        if menu is None or release < menu.since or (menu.until and release >= menu.until):
            return None
        if path.startswith("/ip/hotspot") and "hotspot" in self._machine.factory.missing_packages:
            return None
        return menu

    # The menus, by what they are about.

    def _hotspot(self) -> dict[str, Menu]:
        spot, kept = self._machine.hotspot, self._machine.configuration
        return {
            "/ip/hotspot": self._stored(spot.servers, touched=self._machine.judge_servers),
            "/ip/hotspot/profile": self._stored(spot.server_profiles),
            "/ip/hotspot/user": self._stored(spot.users),
            "/ip/hotspot/user/profile": self._stored(spot.profiles),
            "/ip/hotspot/ip-binding": self._stored(spot.bindings),
            "/ip/hotspot/walled-garden": self._stored(kept.walled_garden),
            "/ip/hotspot/walled-garden/ip": self._stored(kept.walled_garden_ip),
            "/radius": self._stored(spot.radius_servers),
            "/radius/incoming": self._single(kept.radius_incoming, touched=self._machine.listen_for_orders),
        }

    def _network(self) -> dict[str, Menu]:
        kept = self._machine.configuration
        return {
            "/interface": self._stored(kept.interfaces, verbs=NO_ADD, rows=self._rows.interfaces),
            "/interface/bridge": self._stored(kept.bridges, touched=kept.sync_bridges),
            "/interface/bridge/port": self._stored(kept.bridge_ports),
            "/interface/list": self._stored(kept.lists),
            "/interface/list/member": self._stored(kept.members),
            "/ip/address": self._stored(kept.addresses, touched=kept.name_networks),
            "/ip/pool": self._stored(kept.pools),
            "/ip/dhcp-server": self._stored(kept.dhcp_servers),
            "/ip/dhcp-server/network": self._stored(kept.dhcp_networks),
            "/ip/dhcp-server/option": self._stored(kept.dhcp_options, touched=kept.spell_options),
            "/ip/dhcp-server/lease": self._stored(kept.leases),
            "/ip/dhcp-server/alert": self._stored(kept.alerts, rows=self._alerts),
            "/ip/dns": self._single(kept.dns),
            "/ip/dns/static": self._stored(kept.static_dns),
            "/ip/firewall/filter": self._stored(kept.filter),
            "/ip/firewall/nat": self._stored(kept.nat),
            "/ip/service": self._stored(kept.services, verbs=SERVICE_VERBS, touched=self._machine.heed_services),
        }

    def _system(self) -> dict[str, Menu]:
        machine = self._machine
        kept, accounts, files = machine.configuration, machine.accounts, machine.files
        return {
            "/system/resource": _shown(machine.resource),
            "/system/identity": _shown(lambda: [{"name": machine.identity}], change=self._set_identity),
            "/system/clock": _shown(machine.clock_row, change=self._set_clock),
            "/system/device-mode": _shown(machine.device_mode, since=V7),
            "/system/license": _shown(self._licence),
            "/system/package": _shown(self._packages, is_single=False),
            "/system/ntp/client": self._single(kept.ntp_client, rows=self._ntp),
            "/user": self._stored(accounts.users, policy="policy", remove=self._remove_account),
            "/user/group": self._stored(accounts.groups, policy="policy", rows=self._groups),
            "/file": Menu(partial(machine.rows_of, files.table), files.table, FILE_VERBS, files.remove),
        }

    def _live(self) -> dict[str, Menu]:
        return {
            "/ip/hotspot/active": _listed(self._rows.sessions, self._kick),
            "/ip/hotspot/host": _listed(self._rows.hosts, self._drop_host),
            "/ip/hotspot/cookie": _listed(self._rows.cookies, self._drop_cookie),
            "/user/active": _listed(self._rows.connections, self._end_connection, policy="policy"),
            "/queue/simple": _listed(self._rows.queues),
            "/log": _listed(self._rows.log),
        }

    # How a menu is made.

    def _stored(
        self, table: Table, *, verbs: frozenset[str] = ALL_VERBS, rows: Rows | None = None, policy: str = "write",
        touched: Callable[[], None] | None = None, remove: Callable[[str], None] | None = None,
    ) -> Menu:  # fmt: skip
        def leave(row_id: str) -> None:
            row = table.rows[row_id]
            if row.get("default") == "true":
                raise Trap("failure: can not remove default item")
            if row.get("dynamic") == "true" and table is not self._machine.configuration.leases:
                raise Trap("failure: can not remove dynamic item")
            table.remove(row_id)

        rows = rows or partial(self._machine.rows_of, table)
        return Menu(rows, table, verbs, remove or leave, policy=policy, touched=touched)

    def _single(self, table: Table, *, rows: Rows | None = None, touched: Callable[[], None] | None = None) -> Menu:
        rows = rows or partial(self._machine.rows_of, table)
        return Menu(rows, table, SET_VERBS, is_single=True, touched=touched)

    # What some menus show beside their table.

    def _packages(self) -> list[Row]:
        machine = self._machine
        names = V6_PACKAGES if machine.release < V7 else ("routeros",)
        shown = [name for name in names if name not in machine.factory.missing_packages]
        told = {"version": machine.version.split(" ")[0], "scheduled": "", "disabled": "false"}
        return [{".id": f"*{number:X}", "name": name} | told for number, name in enumerate(shown, start=1)]

    def _licence(self) -> list[Row]:
        level = str(self._machine.hotspot.licence_level)
        return [{"software-id": "R98Z-YE17", "nlevel": level, "level": level}]

    def _alerts(self, look: Look) -> list[Row]:
        alerts, rogue = self._machine.configuration.alerts, self._machine.rogue_dhcp
        rows = self._machine.rows_of(alerts, look)
        for row in rows:
            if rogue and alerts.rows[row[".id"]]["disabled"] != "true":
                row["unknown-server"] = rogue
        return rows

    def _ntp(self, look: Look) -> list[Row]:
        row = settings_of(self._machine.configuration.ntp_client)
        row["status"] = "synchronized" if row["enabled"] == "true" else "stopped"
        return self._machine.rows_of(self._machine.configuration.ntp_client, look)

    def _groups(self, look: Look) -> list[Row]:
        accounts = self._machine.accounts
        return accounts.group_rows(self._machine.rows_of(accounts.groups, look), is_v6=self._machine.release < V7)

    # What some changes do beside changing a row.

    def _set_identity(self, values: Row) -> None:
        unknown = set(values) - {"name"}
        if unknown:
            raise Trap(f"unknown parameter {min(unknown)}", 0)
        self._machine.identity = values.get("name", self._machine.identity)

    def _set_clock(self, values: Row) -> None:
        table = self._machine.configuration.clock
        table.change(next(iter(table.rows)), values)
        self._machine.clock_was_set(values)

    def _remove_account(self, row_id: str) -> None:
        accounts = self._machine.accounts
        accounts.refuse_last_admin(row_id)
        accounts.users.remove(row_id)

    def _kick(self, row_id: str) -> None:
        spot = self._machine.hotspot
        spot.end(spot.sessions[row_id], "admin-reset")

    def _drop_host(self, row_id: str) -> None:
        spot = self._machine.hotspot
        host = next(host for host in spot.hosts.values() if host.id == row_id)
        spot.leave(host, "admin-reset")

    def _drop_cookie(self, row_id: str) -> None:
        self._machine.hotspot.forget_cookie(row_id)

    def _end_connection(self, row_id: str) -> None:
        if self._machine.release < (7, 19):
            raise Trap("no such command", 0)
        self._machine.accounts.end(row_id)


def _shown(
    rows: Callable[[], list[Row]], *, change: Callable[[Row], None] | None = None, since: tuple[int, ...] = (),
    is_single: bool = True,
) -> Menu:  # fmt: skip
    """What the machine tells of itself."""
    verbs = SET_VERBS if change else NO_VERBS
    return Menu(lambda look: rows(), verbs=verbs, change=change, since=since, is_single=is_single)


def _listed(
    rows: Callable[[], list[Row]], remove: Callable[[str], None] | None = None, *, policy: str = "write"
) -> Menu:
    """What comes and goes by itself, and can at most be removed."""
    verbs = frozenset(("remove",)) if remove else NO_VERBS
    return Menu(lambda look: rows(), verbs=verbs, remove=remove, policy=policy)
