"""The pretend router's configuration: every table outside the hotspot, as it comes out of the box."""

from collections.abc import Callable
from dataclasses import dataclass

from edge.simulators.router import config_menus as tables
from edge.simulators.router.config_menus import V7
from edge.simulators.router.tables import Release, Row, Table

GUESTS_NETWORK, HOME_NETWORK = "10.5.50", "192.168.88"


@dataclass(frozen=True)
class Factory:
    """How a router comes: with a hotspot or bare, and with which of the usual troubles."""

    hotspot: bool = True  # a server `hotspot1` on the bridge, with addresses for its guests
    fasttrack: bool = True  # defconf's fasttrack-connection rule
    is_open: bool = False  # nothing drops what comes to the router from the internet
    flash: bool = False  # a flash/ folder: what lies beside it is gone after a reboot
    missing_packages: tuple[str, ...] = ()
    license_level: int = 6
    file_room: int = 1_400_000  # bytes
    most_users: int | None = None  # hotspot users, before the router says it is full


class Configuration:
    """Tables by path. The hotspot's own are in `Hotspot`."""

    def __init__(self, factory: Factory, release: Callable[[], Release], server_names: Callable[[], list[str]]) -> None:
        self.factory, self._release = factory, release
        self._leased: dict[str, str] = {}  # MAC → address, so that a busy hotspot need not search its leases
        self.interfaces = tables.interfaces()
        self.bridges = tables.bridges()
        names = self.interfaces.names
        self.bridge_ports = tables.bridge_ports(names, self.bridges.names)
        self.lists = tables.interface_lists()
        self.members = tables.list_members(self.lists, names)
        self.addresses = tables.addresses(names)
        self.pools = tables.pools()
        self.dhcp_servers = tables.dhcp_servers(names, self.pools.names)
        self.dhcp_options = tables.dhcp_options()
        self.dhcp_networks = tables.dhcp_networks(self.dhcp_options)
        self.leases = tables.leases(self.dhcp_servers.names)
        self.alerts = tables.dhcp_alerts(names)
        self.dns = tables.dns()
        self.static_dns = tables.static_dns()
        self.filter = tables.firewall(
            "accept", "drop", "reject", "fasttrack-connection", "jump", "return", "log", "passthrough", "tarpit",
            "add-src-to-address-list", "add-dst-to-address-list",
        )  # fmt: skip
        self.nat = tables.firewall(
            "accept", "masquerade", "src-nat", "dst-nat", "redirect", "netmap", "jump", "return", "log", "passthrough"
        )
        self.walled_garden = tables.walled_garden(server_names)
        self.walled_garden_ip = tables.walled_garden_ip(server_names)
        self.services = tables.services()
        self.radius_incoming = tables.radius_incoming()
        self.ntp_client = tables.ntp_client()
        self.clock = tables.clock()
        for table in self._tables():
            table.release = release
        self.make()

    def make(self) -> None:
        """Fill the tables as they are on a new router of this kind."""
        self.dns.plant(dynamic_servers="192.0.2.1", allow_remote_requests="true")
        self.radius_incoming.plant(port="3799" if self._release() >= V7 else "1700")
        self.ntp_client.plant(enabled="true", servers="pool.ntp.org")
        self.clock.plant()
        for number in range(1, 6):
            self.interfaces.plant(
                name=f"ether{number}", default_name=f"ether{number}", type="ether",
                mac_address=f"48:A9:8A:00:00:0{number}", slave="" if number == 1 else "true",
            )  # fmt: skip
        self.interfaces.plant(name="wlan1", default_name="wlan1", type="wlan", mac_address="48:A9:8A:00:00:06")
        self.bridges.plant(name="bridge", mac_address="48:A9:8A:00:00:02", comment="defconf")
        self.sync_bridges()
        for port in ("ether2", "ether3", "ether4", "ether5", "wlan1"):
            self.bridge_ports.plant(interface=port, bridge="bridge", comment="defconf")
        for name, port in (("WAN", "ether1"), ("LAN", "bridge")):
            self.lists.plant(name=name, comment="defconf")
            self.members.plant(list=name, interface=port, comment="defconf")
        self._make_network(GUESTS_NETWORK if self.factory.hotspot else HOME_NETWORK)
        self._make_firewall()
        for name, port in tables.SERVICES.items():
            kept = {"certificate": "none", "tls_version": "any"} if name in ("www-ssl", "api-ssl") else {}
            is_off = "true" if name in ("www-ssl", "api-ssl") else "false"
            self.services.plant(name=name, port=port, disabled=is_off, **kept)

    def _make_network(self, network: str) -> None:
        """The guests' network on the bridge, and an address of the provider's on ether1."""
        pool = "hs-pool-1" if network == GUESTS_NETWORK else "default-dhcp"
        self.pools.plant(name=pool, ranges=f"{network}.10-{network}.254")
        self.addresses.plant(
            address=f"{network}.1/24", network=f"{network}.0", interface="bridge", actual_interface="bridge",
            comment="defconf",
        )  # fmt: skip
        self.addresses.plant(
            address="192.0.2.10/24", network="192.0.2.0", interface="ether1", actual_interface="ether1", dynamic="true"
        )
        self.dhcp_servers.plant(name="defconf", interface="bridge", address_pool=pool)
        self.dhcp_networks.plant(
            address=f"{network}.0/24", gateway=f"{network}.1", dns_server=f"{network}.1", comment="defconf"
        )
        self.static_dns.plant(name="router.lan", address=f"{network}.1", comment="defconf")

    def _make_firewall(self) -> None:
        """As the default configuration script of home routers writes it."""
        known = "established,related,untracked"
        rules: list[Row] = [
            {"chain": "input", "action": "accept", "connection-state": known,
             "comment": "defconf: accept established,related,untracked"},
            {"chain": "input", "action": "drop", "connection-state": "invalid", "comment": "defconf: drop invalid"},
            {"chain": "input", "action": "accept", "protocol": "icmp", "comment": "defconf: accept ICMP"},
        ]  # fmt: skip
        if not self.factory.is_open:
            rules.append({"chain": "input", "action": "drop", "in-interface-list": "!LAN",
                          "comment": "defconf: drop all not coming from LAN"})  # fmt: skip
        if self.factory.fasttrack:
            rules.append({"chain": "forward", "action": "fasttrack-connection", "hw-offload": "true",
                          "connection-state": "established,related", "comment": "defconf: fasttrack"})  # fmt: skip
        rules += [
            {"chain": "forward", "action": "accept", "connection-state": known,
             "comment": "defconf: accept established,related, untracked"},
            {"chain": "forward", "action": "drop", "connection-state": "invalid", "comment": "defconf: drop invalid"},
            {"chain": "forward", "action": "drop", "connection-state": "new", "connection-nat-state": "!dstnat",
             "in-interface-list": "WAN", "comment": "defconf: drop all from WAN not DSTNATed"},
        ]  # fmt: skip
        for rule in rules:
            self.filter.plant(**{name.replace("-", "_"): value for name, value in rule.items()})
        self.nat.plant(
            chain="srcnat", action="masquerade", out_interface_list="WAN", ipsec_policy="out,none",
            comment="defconf: masquerade",
        )  # fmt: skip

    def clear(self) -> None:
        """Everything somebody configured is gone, and the defaults are back."""
        self._leased.clear()
        for table in self._tables():
            table.empty()
        self.make()

    def _tables(self) -> list[Table]:
        return [value for value in vars(self).values() if isinstance(value, Table)]

    def sync_bridges(self) -> None:
        """A bridge is an interface too."""
        bridges = set(self.bridges.names())
        for row_id in [key for key, row in self.interfaces.rows.items() if row["type"] == "bridge"]:
            if self.interfaces.rows[row_id]["name"] not in bridges:
                self.interfaces.remove(row_id)
        for name in sorted(bridges - set(self.interfaces.names())):
            self.interfaces.plant(name=name, type="bridge", mac_address="48:A9:8A:00:00:02")

    def service(self, name: str) -> Row:
        """One row of /ip/service."""
        return self.services.named(name)[0]

    def lease(self, mac: str, address: str, host_name: str = "") -> None:
        """A host has asked for an address."""
        if self._leased.get(mac) == address:
            return
        self._leased[mac] = address
        told = {"status": "bound", "last-seen": "0", "expires-after": "1800", "active-address": address,
                "active-mac-address": mac, "active-server": "defconf", "host-name": host_name}  # fmt: skip
        for row in self.leases.named(mac):
            row |= told
            if row["dynamic"] == "true":
                row["address"] = address
            return
        planted = told | {"address": address, "mac-address": mac, "server": "defconf", "dynamic": "true"}
        self.leases.plant(**{name.replace("-", "_"): value for name, value in planted.items()})

    def forget_hosts(self) -> None:
        """After a reboot nobody has asked for an address yet."""
        self._leased.clear()
        for row_id in [key for key, row in self.leases.rows.items() if row["dynamic"] == "true"]:
            self.leases.remove(row_id)

    def name_networks(self) -> None:
        """What follows from an address."""
        for row in self.addresses.rows.values():
            row["network"] = row["network"] or tables.network_of(row["address"])
            row["actual-interface"] = row["interface"]

    def spell_options(self) -> None:
        """What each DHCP option is on the wire."""
        for row in self.dhcp_options.rows.values():
            row["raw-value"] = tables.raw_option_value(row["value"])


def settings_of(table: Table) -> Row:
    """The one row of a table of settings."""
    return next(iter(table.rows.values()))
