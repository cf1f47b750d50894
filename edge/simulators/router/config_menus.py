"""The menus in which a router is configured, as tables: interfaces, addresses, DHCP, firewall, services, clock.

Properties follow the command trees of RouterOS 7.9 to 7.24; what version 6 lacks or names otherwise is marked.
"""

import ipaddress
import re
from collections.abc import Callable

from edge.simulators.router.tables import Column, Table, same_name

V7 = (7,)
_TEXT, _NUMBER = Column(), Column("number")
_FLAG = Column("flag", "false")
_DYNAMIC = Column("flag", "false", readonly=True)
_COUNTER = Column("number", "0", readonly=True)
_READONLY = Column(readonly=True)
_MATCHERS = (
    "src-address", "dst-address", "src-address-list", "dst-address-list", "protocol", "src-port", "dst-port", "port",
    "in-interface", "out-interface", "in-interface-list", "out-interface-list", "connection-state",
    "connection-nat-state", "connection-mark", "connection-type", "icmp-options", "ipsec-policy", "hotspot",
    "src-mac-address", "limit", "reject-with", "jump-target", "address-list", "address-list-timeout", "log-prefix",
)  # fmt: skip
# What `/ip/service/print` lists on a fresh router, and the ports.
SERVICES = {
    "telnet": "23", "ftp": "21", "www": "80", "ssh": "22", "www-ssl": "443", "api": "8728", "winbox": "8291",
    "api-ssl": "8729",
}  # fmt: skip


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_interface_address(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def _are_prefixes(text: str) -> bool:
    return all(_is_interface_address(part) for part in text.split(","))


def _are_addresses(text: str) -> bool:
    return all(_is_address(part) for part in text.split(","))


def _are_ranges(text: str) -> bool:
    return all(_is_interface_address(end) for part in text.split(",") for end in part.split("-"))


def _is_date(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d|[A-Za-z]{3}/\d\d/\d{4}", text, re.ASCII) is not None


def one_of(default: str, *names: str) -> Column:
    """A property that takes one of these words, or the start of just one."""
    return Column("name", default, lambda: names)


def _interface(interfaces: Callable[[], list[str]], *words: str) -> Column:
    return Column("name", "", interfaces, words=words)


def interfaces() -> Table:
    """/interface: what plugs in and what is made of it. Counters are the router's own."""
    return Table(
        {
            "name": _TEXT,
            "default-name": _READONLY,
            "type": _READONLY,
            "mtu": Column("number", "1500", words=("auto",)),
            "actual-mtu": Column("number", "1500", readonly=True),
            "mac-address": Column("mac", readonly=True),
            "last-link-up-time": _READONLY,
            "link-downs": _COUNTER,
            "rx-byte": _COUNTER,
            "tx-byte": _COUNTER,
            "rx-packet": _COUNTER,
            "tx-packet": _COUNTER,
            "rx-drop": _COUNTER,
            "tx-drop": _COUNTER,
            "rx-error": _COUNTER,
            "tx-error": _COUNTER,
            "fp-rx-byte": _COUNTER,
            "fp-tx-byte": _COUNTER,
            "dynamic": _DYNAMIC,
            "slave": Column("flag", "", readonly=True),
            "running": Column("flag", "true", readonly=True),
            "comment": _TEXT,
            "disabled": _FLAG,
        },
        same_name,
    )


def bridges() -> Table:
    """/interface/bridge"""
    return Table(
        {
            "name": _TEXT,
            "mtu": Column("number", "auto", words=("auto",)),
            "arp": Column(default="enabled"),
            "arp-timeout": Column(default="auto"),
            "auto-mac": Column("flag", "true"),
            "admin-mac": Column("mac"),
            "mac-address": Column("mac", readonly=True),
            "protocol-mode": Column(default="rstp"),
            "fast-forward": Column("flag", "true"),
            "vlan-filtering": _FLAG,
            "igmp-snooping": _FLAG,
            "dhcp-snooping": _FLAG,
            "ageing-time": Column("duration", "300"),
            "priority": Column(default="0x8000"),
            "running": Column("flag", "true", readonly=True),
            "comment": _TEXT,
            "disabled": _FLAG,
        },
        same_name,
    )


def bridge_ports(names: Callable[[], list[str]], bridge_names: Callable[[], list[str]]) -> Table:
    """/interface/bridge/port"""
    return Table(
        {
            "interface": _interface(names),
            "bridge": Column("name", "", bridge_names),
            "pvid": Column("number", "1"),
            "hw": Column("flag", "true"),
            "horizon": Column(default="none"),
            "trusted": _FLAG,
            "comment": _TEXT,
            "dynamic": _DYNAMIC,
            "disabled": _FLAG,
        },
        required=("interface", "bridge"),
    )


def interface_lists() -> Table:
    """/interface/list"""
    return Table({"name": _TEXT, "include": _TEXT, "exclude": _TEXT, "builtin": _DYNAMIC, "comment": _TEXT}, same_name)


def list_members(lists: Table, names: Callable[[], list[str]]) -> Table:
    """/interface/list/member"""
    columns = {
        "list": Column("name", "", lists.names), "interface": _interface(names), "dynamic": _DYNAMIC,
        "comment": _TEXT, "disabled": _FLAG,
    }  # fmt: skip
    return Table(columns, required=("list", "interface"))


def addresses(names: Callable[[], list[str]]) -> Table:
    """/ip/address"""
    return Table(
        {
            "address": Column(check=_is_interface_address),
            "network": Column(check=_is_address),
            "interface": _interface(names),
            "actual-interface": _READONLY,
            "comment": _TEXT,
            "dynamic": _DYNAMIC,
            "invalid": _DYNAMIC,
            "disabled": _FLAG,
        },
        required=("address", "interface"),
    )


def pools() -> Table:
    """/ip/pool"""
    columns = {
        "name": _TEXT, "ranges": Column(check=_are_ranges), "next-pool": Column(default="none", absent=("none",)),
        "comment": _TEXT,
    }  # fmt: skip
    return Table(columns, same_name, required=("name", "ranges"))


def dhcp_servers(names: Callable[[], list[str]], pool_names: Callable[[], list[str]]) -> Table:
    """/ip/dhcp-server"""
    return Table(
        {
            "name": _TEXT,
            "interface": _interface(names),
            "lease-time": Column("duration", "1800"),
            "address-pool": Column("name", "static-only", pool_names, words=("static-only",)),
            "authoritative": Column(default="yes"),
            "add-arp": _FLAG,
            "always-broadcast": _FLAG,
            "delay-threshold": Column("duration", "none", words=("none",)),
            "bootp-support": Column(default="static"),
            "dhcp-option-set": _TEXT,
            "use-radius": Column(default="no"),
            "lease-script": _TEXT,
            "comment": Column(since=V7),
            "dynamic": _DYNAMIC,
            "invalid": _DYNAMIC,
            "disabled": _FLAG,
        },
        same_name,
        required=("name", "interface"),
    )


def dhcp_networks(options: Table) -> Table:
    """/ip/dhcp-server/network"""
    return Table(
        {
            "address": Column(check=_is_interface_address),
            "gateway": Column(check=_are_addresses),
            "netmask": Column("number"),
            "dns-server": Column(check=_are_addresses),
            "dns-none": Column("flag", "false", since=V7),
            "ntp-server": Column(check=_are_addresses),
            "ntp-none": Column("flag", "false", since=(7, 18)),
            "domain": _TEXT,
            "wins-server": Column(check=_are_addresses),
            "caps-manager": _TEXT,
            "dhcp-option": Column("names", "", options.names),
            "dhcp-option-set": _TEXT,
            "boot-file-name": _TEXT,
            "next-server": _TEXT,
            "comment": _TEXT,
            "dynamic": _DYNAMIC,
        },
        required=("address",),
    )


def dhcp_options() -> Table:
    """/ip/dhcp-server/option; a value is `'text'` or 0x…, and `raw-value` is what goes over the wire."""
    columns = {
        "name": _TEXT, "code": _NUMBER, "value": Column(check=_is_option_value),
        "raw-value": _READONLY, "force": Column("flag", "false", since=(7, 7)), "comment": Column(since=(7, 16)),
    }  # fmt: skip
    return Table(columns, same_name, required=("name", "code"))


def _is_option_value(text: str) -> bool:
    """Pieces such as `'text'`, `s'text'`, 0xA1B2, `'10.0.0.1'`, $(NETWORK_GATEWAY)."""
    piece = r"s?'[^']*'|0x[0-9A-Fa-f]*|\$\([A-Z_]+\)"
    return re.fullmatch(rf"(?:{piece})+", text) is not None


def raw_option_value(value: str) -> str:
    """What an option's value is on the wire, in hex: `'10.5.50.1'` four bytes, `s'…'` and other text as it stands."""
    raw = ""
    for text, quoted, digits in re.findall(r"(s?)'([^']*)'|0x([0-9A-Fa-f]*)", value):
        if digits:
            raw += digits.lower()
        elif not text and _is_address(quoted):
            raw += ipaddress.ip_address(quoted).packed.hex()
        else:
            raw += quoted.encode("utf-8", "surrogateescape").hex()
    return raw


def leases(server_names: Callable[[], list[str]]) -> Table:
    """/ip/dhcp-server/lease; those of hosts on the WiFi are dynamic."""
    return Table(
        {
            "address": _TEXT,
            "mac-address": Column("mac"),
            "client-id": _TEXT,
            "address-lists": _TEXT,
            "server": Column("name", "", server_names, words=("all",)),
            "lease-time": Column("duration"),
            "dhcp-option": _TEXT,
            "block-access": _FLAG,
            "rate-limit": _TEXT,
            "comment": _TEXT,
            "status": Column(default="waiting", readonly=True),
            "expires-after": Column("duration", readonly=True),
            "last-seen": Column("duration", "never", words=("never",), readonly=True),
            "active-address": _READONLY,
            "active-mac-address": _READONLY,
            "active-client-id": _READONLY,
            "active-server": _READONLY,
            "host-name": _READONLY,
            "radius": _DYNAMIC,
            "dynamic": _DYNAMIC,
            "blocked": _DYNAMIC,
            "disabled": _FLAG,
        },
        required=("address",),
        key="mac-address",
    )


def dhcp_alerts(names: Callable[[], list[str]]) -> Table:
    """/ip/dhcp-server/alert"""
    return Table(
        {
            "interface": _interface(names),
            "valid-server": _TEXT,
            "alert-timeout": Column("duration", "3600", words=("none",)),
            "on-alert": _TEXT,
            "unknown-server": _READONLY,
            "comment": _TEXT,
            "invalid": _DYNAMIC,
            "disabled": Column("flag", "true"),
        },
        required=("interface",),
    )


def dns() -> Table:
    """/ip/dns"""
    return Table(
        {
            "servers": Column(check=_are_addresses, absent=()),
            "dynamic-servers": Column(readonly=True, absent=()),
            "use-doh-server": Column(absent=()),
            "verify-doh-cert": _FLAG,
            "allow-remote-requests": _FLAG,
            "max-udp-packet-size": Column("number", "4096"),
            "query-server-timeout": Column(default="2s"),
            "query-total-timeout": Column(default="10s"),
            "cache-size": Column("number", "2048"),
            "cache-max-ttl": Column("duration", "604800"),
            "cache-used": Column("number", "41", readonly=True),
        }
    )


def static_dns() -> Table:
    """/ip/dns/static"""
    columns = {
        "name": _TEXT, "regexp": _TEXT, "address": Column(check=_is_address), "type": one_of("A", "A", "AAAA", "CNAME"),
        "cname": _TEXT, "ttl": Column("duration", "86400"), "match-subdomain": Column("flag", "", since=(7, 2)),
        "comment": _TEXT, "dynamic": _DYNAMIC, "disabled": _FLAG,
    }  # fmt: skip
    return Table(columns, required=())


def firewall(*actions: str) -> Table:
    """/ip/firewall/filter and /ip/firewall/nat"""
    columns: dict[str, Column] = {"chain": _TEXT, "action": Column("name", "accept", lambda: actions)}
    columns |= dict.fromkeys(_MATCHERS, _TEXT)
    columns |= {
        "to-addresses": _TEXT, "to-ports": _TEXT, "hw-offload": Column("flag", "", since=V7), "log": _FLAG,
        "comment": _TEXT, "bytes": _COUNTER, "packets": _COUNTER, "invalid": _DYNAMIC, "dynamic": _DYNAMIC,
        "disabled": _FLAG,
    }  # fmt: skip
    return Table(columns, required=("chain",))


def walled_garden(server_names: Callable[[], list[str]]) -> Table:
    """/ip/hotspot/walled-garden: what the proxy lets through by host and path."""
    columns = {
        "action": one_of("allow", "allow", "deny"), "server": Column("name", "", server_names), "src-address": _TEXT,
        "method": _TEXT, "dst-host": _TEXT, "dst-port": _TEXT, "path": _TEXT, "dst-address": _READONLY,
        "hits": _COUNTER, "comment": _TEXT, "dynamic": _DYNAMIC, "disabled": _FLAG,
    }  # fmt: skip
    return Table(columns)


def walled_garden_ip(server_names: Callable[[], list[str]]) -> Table:
    """/ip/hotspot/walled-garden/ip: what goes through by address and port."""
    columns = {
        "action": one_of("accept", "accept", "drop", "reject"), "server": Column("name", "", server_names),
        "src-address": _TEXT, "src-address-list": _TEXT, "dst-address": _TEXT, "dst-address-list": _TEXT,
        "dst-host": _TEXT, "protocol": _TEXT, "dst-port": _TEXT, "comment": _TEXT, "dynamic": _DYNAMIC,
        "invalid": _DYNAMIC, "disabled": _FLAG,
    }  # fmt: skip
    return Table(columns)


def services() -> Table:
    """/ip/service"""
    return Table(
        {
            "name": _READONLY,
            "port": _NUMBER,
            "address": Column(check=_are_prefixes, absent=()),
            "certificate": Column(absent=("",)),
            "tls-version": Column(absent=("",)),
            "vrf": Column(default="main", since=V7),
            "max-sessions": Column("number", "20", since=(7, 16)),
            "dynamic": Column("flag", "false", readonly=True, since=(7, 18)),
            "invalid": _DYNAMIC,
            "disabled": _FLAG,
        }
    )


def radius_incoming() -> Table:
    """/radius/incoming"""
    return Table({"accept": _FLAG, "port": Column("number", "3799"), "vrf": Column(default="main", since=(7, 4))})


def ntp_client() -> Table:
    """/system/ntp/client: version 6 names two servers, version 7 a list."""
    return Table(
        {
            "enabled": _FLAG,
            "mode": Column(default="unicast"),
            "servers": Column(since=V7, absent=()),
            "vrf": Column(default="main", since=V7),
            "primary-ntp": Column(default="0.0.0.0", until=V7, check=_is_address),
            "secondary-ntp": Column(default="0.0.0.0", until=V7, check=_is_address),
            "server-dns-names": Column(until=V7, absent=()),
            "status": Column(default="stopped", readonly=True, since=V7),
        }
    )


def clock() -> Table:
    """/system/clock, as far as it can be written; the time itself is the machine's."""
    return Table(
        {
            "date": Column(check=_is_date),
            "time": Column(check=lambda text: re.fullmatch(r"\d\d:\d\d:\d\d", text, re.ASCII) is not None),
            "time-zone-name": Column(default="Africa/Nairobi"),
            "time-zone-autodetect": Column("flag", "true"),
        }
    )


def network_of(address: str) -> str:
    """`10.5.50.1/24` → `10.5.50.0`"""
    return str(ipaddress.ip_interface(address).network.network_address)
