"""The tables of a hotspot router and their properties (command trees of RouterOS 7.9 to 7.24)."""

import re
from collections.abc import Callable

from edge.simulators.router.tables import Column, Row, Table, same_name

WAYS = ("mac", "cookie", "http-chap", "https", "http-pap", "trial", "mac-cookie")
MAC_FORMS = (
    "XX:XX:XX:XX:XX:XX", "XXXX:XXXX:XXXX", "XXXXXX:XXXXXX", "XX-XX-XX-XX-XX-XX", "XXXXXX-XXXXXX", "XXXXXXXXXXXX",
    "XX XX XX XX XX XX",
)  # fmt: skip
_NO_LIMIT = ("", "0")
_FLAG = Column("flag", "false")
_COUNTER = Column("number", "0", readonly=True)


def user_profiles() -> Table:
    """/ip/hotspot/user/profile"""

    def twin(new: Row, old: Row) -> str:
        return "failure: item with the same name already exists"

    table = Table(
        {
            "name": Column(),
            "address-pool": Column(default="none", absent=("", "none")),
            "session-timeout": Column("duration", absent=_NO_LIMIT),
            "idle-timeout": Column("duration", "none", words=("none",)),
            "keepalive-timeout": Column("duration", "120", words=("none",)),
            "status-autorefresh": Column("duration", "60", words=("none",)),
            "shared-users": Column("number", "1", words=("unlimited",)),
            "add-mac-cookie": Column("flag", "true"),
            "mac-cookie-timeout": Column("duration", "259200"),
            "rate-limit": Column(),
            "address-list": Column(),
            "transparent-proxy": Column("flag", "false"),
            "on-login": Column(),
            "on-logout": Column(),
            "default": Column("flag", "false", readonly=True),
        },
        twin,
    )
    table.rows[table.add({"name": "default"})]["default"] = "true"
    return table


def users(profiles: Table, servers: Table) -> Table:
    """/ip/hotspot/user; `default-trial` is always there."""

    def twin(new: Row, old: Row) -> str:
        overlap = new["server"] == old["server"] or "all" in (new["server"], old["server"])
        return "failure: already have user with this name for this server" if overlap else ""

    table = Table(
        {
            "server": Column("name", "all", servers.names, words=("all",), absent=("", "all")),
            "name": Column(),
            "password": Column(is_secret=True),
            "mac-address": Column("mac", absent=("", "00:00:00:00:00:00")),
            "address": Column(absent=("", "0.0.0.0")),
            "profile": Column("name", "default", profiles.names),
            "limit-uptime": Column("duration", absent=_NO_LIMIT),
            "limit-bytes-in": Column("number", absent=_NO_LIMIT),
            "limit-bytes-out": Column("number", absent=_NO_LIMIT),
            "limit-bytes-total": Column("number", absent=_NO_LIMIT),
            "email": Column(),
            "routes": Column(),
            "comment": Column(),
            "uptime": Column("duration", "0", readonly=True),
            "bytes-in": _COUNTER,
            "bytes-out": _COUNTER,
            "packets-in": _COUNTER,
            "packets-out": _COUNTER,
            "dynamic": Column("flag", "false", readonly=True),
            "default": Column("flag", "", readonly=True),
            "disabled": _FLAG,
        },
        twin,
    )
    trial = {"name": "default-trial", "comment": "counters and limits for trial users"}
    table.rows[table.add(trial)]["default"] = "true"
    return table


def server_profiles() -> Table:
    """/ip/hotspot/profile"""
    return Table(
        {
            "name": Column(),
            "hotspot-address": Column(default="0.0.0.0"),
            "dns-name": Column(),
            "html-directory": Column(default="hotspot"),
            "html-directory-override": Column(),
            "rate-limit": Column(),
            "http-proxy": Column(default="0.0.0.0:0"),
            "smtp-server": Column(default="0.0.0.0"),
            "login-by": Column("names", "cookie,http-chap", lambda: WAYS),
            "http-cookie-lifetime": Column("duration", "259200"),
            "mac-auth-mode": Column(
                "name", "mac-as-username", lambda: ("mac-as-username", "mac-as-username-and-password")
            ),
            "mac-auth-password": Column(is_secret=True),
            "split-user-domain": Column("flag", "false"),
            "ssl-certificate": Column(default="none", absent=("", "none")),
            "trial-uptime-limit": Column("duration", "1800"),
            "trial-uptime-reset": Column("duration", "86400"),
            "trial-user-profile": Column(default="default"),
            "use-radius": Column("flag", "false"),
            "radius-accounting": Column("flag", "true"),
            "radius-interim-update": Column("duration", "received", words=("received",)),
            "radius-default-domain": Column(),
            "radius-location-id": Column(),
            "radius-location-name": Column(),
            "radius-mac-format": Column("name", MAC_FORMS[0], lambda: MAC_FORMS),
            "nas-port-type": Column(default="wireless-802.11"),
            "install-hotspot-queue": Column("flag", "false"),
            "default": Column("flag", "", readonly=True),
        },
        same_name,
    )


def servers(profiles: Table, interfaces: Callable[[], list[str]], pools: Callable[[], list[str]]) -> Table:
    """/ip/hotspot; `invalid` and `comment` are set when device-mode forbids it."""
    return Table(
        {
            "name": Column(),
            "interface": Column("name", "", interfaces),
            "address-pool": Column("name", "none", pools, words=("none",)),
            "profile": Column("name", "default", profiles.names),
            "addresses-per-mac": Column("number", "2", words=("unlimited",)),
            "idle-timeout": Column("duration", "300", words=("none",)),
            "keepalive-timeout": Column("duration", "none", words=("none",)),
            "login-timeout": Column("duration", "none", words=("none",)),
            "comment": Column(),
            "proxy-status": Column(default="running", readonly=True),
            "invalid": Column("flag", "false", readonly=True),
            "disabled": _FLAG,
        },
        same_name,
        required=("name", "interface"),
    )


def bindings() -> Table:
    """/ip/hotspot/ip-binding"""
    return Table(
        {
            "mac-address": Column("mac"),
            "address": Column(),
            "to-address": Column(),
            "server": Column(default="all"),
            "type": Column("name", "regular", lambda: ("regular", "bypassed", "blocked")),
            "comment": Column(),
            "disabled": _FLAG,
        }
    )


def is_timeout(text: str) -> bool:
    """`300ms`, `3s`: ten milliseconds to a minute."""
    return 0.01 <= read_timeout(text) <= 60


def read_timeout(text: str) -> float:
    """`300ms`, `3s`, `1s100ms`, `3` → seconds; 0 for what is no such time."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0}
    if text.isascii() and text.isdigit():
        return float(text)
    if not re.fullmatch(r"(?:\d+(?:ms|s|m))+", text, re.ASCII):
        return 0.0
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)(ms|s|m)", text))


def radius_servers() -> Table:
    """/radius; the simulator's `radius` attribute stands in for all of it."""
    return Table(
        {
            "service": Column(),
            "called-id": Column(),
            "domain": Column(),
            "address": Column(),
            "secret": Column(is_secret=True),
            "authentication-port": Column("number", "1812"),
            "accounting-port": Column("number", "1813"),
            "timeout": Column(default="300ms", check=is_timeout),
            "accounting-backup": _FLAG,
            "realm": Column(),
            "src-address": Column(),
            "protocol": Column(default="udp"),
            "require-message-auth": Column(
                "name", "yes-for-request-resp", lambda: ("no", "yes-for-request-resp"), since=(7, 15)
            ),
            "comment": Column(),
            "disabled": _FLAG,
        }
    )
