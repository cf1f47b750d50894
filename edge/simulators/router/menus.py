"""The tables of a hotspot router and their properties (command trees of RouterOS 7.9 to 7.24)."""

from edge.simulators.router.tables import Column, Row, Table

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
    table = Table(
        {
            "name": Column(),
            "hotspot-address": Column(default="0.0.0.0"),
            "dns-name": Column(),
            "html-directory": Column(default="hotspot"),
            "html-directory-override": Column(),
            "rate-limit": Column(),
            "http-proxy": Column(default="0.0.0.0:0"),
            "smtp-server": Column(default="0.0.0.0"),
            "login-by": Column(default="cookie,http-chap"),
            "http-cookie-lifetime": Column("duration", "259200"),
            "mac-auth-mode": Column(default="mac-as-username"),
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
            "radius-mac-format": Column(default="XX:XX:XX:XX:XX:XX"),
            "nas-port-type": Column(default="wireless-802.11"),
            "install-hotspot-queue": Column("flag", "false"),
        }
    )
    table.add({"name": "default"})
    return table


def servers(profiles: Table) -> Table:
    """/ip/hotspot; `invalid` and `comment` are set when device-mode forbids it."""
    table = Table(
        {
            "name": Column(),
            "interface": Column(default="bridge"),
            "address-pool": Column(default="none"),
            "profile": Column("name", "default", profiles.names),
            "addresses-per-mac": Column("number", "2", words=("unlimited",)),
            "idle-timeout": Column("duration", "300", words=("none",)),
            "keepalive-timeout": Column("duration", "none", words=("none",)),
            "login-timeout": Column("duration", "none", words=("none",)),
            "comment": Column(),
            "proxy-status": Column(default="running", readonly=True),
            "invalid": Column("flag", "false", readonly=True),
            "disabled": _FLAG,
        }
    )
    return table


def bindings() -> Table:
    """/ip/hotspot/ip-binding"""
    return Table(
        {
            "mac-address": Column("mac"),
            "address": Column(),
            "to-address": Column(),
            "server": Column(default="all"),
            "type": Column(default="regular"),
            "comment": Column(),
            "disabled": _FLAG,
        }
    )


def radius_servers() -> Table:
    """/radius; what stands here is kept, the simulator asks whoever its `radius` attribute names."""
    return Table(
        {
            "service": Column(),
            "called-id": Column(),
            "domain": Column(),
            "address": Column(),
            "secret": Column(is_secret=True),
            "authentication-port": Column("number", "1812"),
            "accounting-port": Column("number", "1813"),
            "timeout": Column(default="300ms"),
            "accounting-backup": _FLAG,
            "realm": Column(),
            "src-address": Column(),
            "protocol": Column(default="udp"),
            "require-message-auth": Column(default="yes-for-request-resp"),
            "comment": Column(),
            "disabled": _FLAG,
        }
    )
