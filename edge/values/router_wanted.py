"""The configuration a hotspot router should have for this box, item by item."""

import ipaddress
from collections.abc import Iterator

from edge.values.hotspot import OURS
from edge.values.networks import is_ipv4
from edge.values.router_setup import FILE_MENU, Item, Row, Seen, Wish, fits, joined, positives

NAME = "edge"  # of our profile, server, API group and user
USERS = (NAME, "edge-box")  # the second where somebody else bears the first
OPTION = "edge-portal"
LOGIN_BY = ("http-pap", "http-chap", "mac", "mac-cookie", "cookie")
# `test` to ping, and in version 6 to fetch pages; `reboot` because the owner may ask for it by text.
POLICY = ("read", "write", "api", "test", "reboot")
MARK = {
    name: f"{OURS} {words}"
    for name, words in {
        "portal": "guests reach the portal", "radius": "the box judges logins", "alert": "watch for other DHCP servers",
        "user": "the box", "group": "the rights of the box", "network": "guests", "address": "guests",
        "nat": "guests to the internet",
    }.items()
}  # fmt: skip
GUEST_NETWORK = "10.5.50.0/24"
SECURE_REPLIES = (7, 15)  # `require-message-auth` is known from here on
OLD_SERVICES = ("ftp", "telnet", "www")

SERVER, PROFILE = "/ip/hotspot", "/ip/hotspot/profile"
ALERT, NETWORK = "/ip/dhcp-server/alert", "/ip/dhcp-server/network"


def wanted(wish: Wish, seen: Seen) -> list[Item]:
    """Everything, in an order in which nobody is locked out half-way: what limits access comes last."""
    return [
        *_network(wish, seen),
        *_hotspot(wish, seen),
        *_portal(wish, seen),
        *_radius(wish, seen),
        *_time(wish, seen),
        *_fasttrack(),
        *_users(wish, seen),
        *_services(wish, seen),
    ]


def servers(wish: Wish, seen: Seen) -> list[Row]:
    """The hotspot servers that concern us: the one that is named, or all that are enabled."""
    found = [row for row in seen.rows(SERVER) if not wish.server or row.get("name") == wish.server]
    enabled = [row for row in found if row.get("disabled") not in ("true", "yes")]
    return enabled or found


def guest_interface(wish: Wish, seen: Seen) -> str:
    """Where guests are: of the hotspot server; else what was said; else the only bridge. '' when nobody knows."""
    found = servers(wish, seen)
    if found:
        return found[0].get("interface", "")
    if wish.interface:
        return wish.interface if can_carry(wish.interface, seen) else ""
    bridges = [row.get("name", "") for row in seen.rows("/interface", type="bridge")]
    return bridges[0] if len(bridges) == 1 else ""


def can_carry(interface: str, seen: Seen) -> bool:
    """Is it there, and no part of a bridge? Only then a hotspot can work on it."""
    return bool(seen.rows("/interface", name=interface)) and not seen.rows(
        "/interface/bridge/port", interface=interface
    )


def interface_address(interface: str, seen: Seen) -> str:
    """Like 10.5.50.1/24; '' when it has none."""
    rows = [row for row in seen.rows("/ip/address", interface=interface) if row.get("disabled") not in ("true", "yes")]
    return rows[0].get("address", "") if rows and interface else ""


def html_directory(profile: Row, seen: Seen) -> str:
    """Where the login page really is served from. An override that is missing or empty falls back."""
    override = profile.get("html-directory-override", "")
    files = [row.get("name", "") for row in seen.rows(FILE_MENU)]
    if override and any(name.startswith(override.rstrip("/") + "/") for name in files):
        return override.rstrip("/")
    return on_flash(profile.get("html-directory", "") or "hotspot", seen)


def on_flash(directory: str, seen: Seen) -> str:
    """With a flash folder, whatever lies beside it is lost at the next restart."""
    return f"flash/{directory}" if has_flash(seen) and not directory.startswith("flash/") else directory.rstrip("/")


def has_flash(seen: Seen) -> bool:
    """Is this a device on which only the folder `flash` outlives a restart?"""
    return any(row.get("name") == "flash" for row in seen.rows(FILE_MENU))


def profiles(wish: Wish, seen: Seen) -> list[str]:
    """The server profiles in use; ours when there is no hotspot yet."""
    found = servers(wish, seen)
    names = [row.get("profile", "default") for row in found]
    if not found and not wish.server and guest_interface(wish, seen):
        names = [NAME]
    return list(dict.fromkeys(names))


def page_names(wish: Wish, seen: Seen) -> list[str]:
    """The files of ours, with their folders."""
    directories = [html_directory(seen.first(PROFILE, name=name), seen) for name in profiles(wish, seen)]
    return [f"{directory}/{page}" for directory in dict.fromkeys(directories) for page in wish.pages]


def _network(wish: Wish, seen: Seen) -> Iterator[Item]:
    """An interface without an address is nobody's yet: guests get a network of their own there."""
    interface = guest_interface(wish, seen)
    ours = seen.rows("/ip/address", comment=MARK["address"])
    if not interface or servers(wish, seen) or (interface_address(interface, seen) and not ours):
        return
    net = ipaddress.IPv4Network(GUEST_NETWORK)
    router, first, last = net[1], net[10], net[-2]
    mark = {name: {"comment": words} for name, words in MARK.items()}
    yield Item("network.address", "/ip/address", "Give guests' interface an address", mark["address"],
               {"address": f"{router}/{net.prefixlen}", "interface": interface})  # fmt: skip
    yield Item("network.pool", "/ip/pool", "Addresses for guests", {"name": NAME}, {"ranges": f"{first}-{last}"})
    yield Item("network.dhcp", "/ip/dhcp-server", "Give guests their addresses by DHCP", {"name": NAME},
               {"interface": interface, "address-pool": NAME, "lease-time": "1h", "disabled": "no"})  # fmt: skip
    yield Item("network.network", NETWORK, "Tell guests their gateway and name server", {"address": GUEST_NETWORK},
               {"gateway": str(router), "dns-server": str(router)} | mark["network"])  # fmt: skip
    yield Item("network.nat", "/ip/firewall/nat", "Let guests out to the internet", mark["nat"],
               {"chain": "srcnat", "src-address": GUEST_NETWORK, "action": "masquerade"})  # fmt: skip
    yield Item("network.dns", "/ip/dns", "Answer guests' DNS", {}, {"allow-remote-requests": "yes"}, "single")


def _hotspot(wish: Wish, seen: Seen) -> Iterator[Item]:
    interface = guest_interface(wish, seen)
    for place, name in enumerate(profiles(wish, seen)):
        row = seen.first(PROFILE, name=name)
        key = "profile" if place == 0 else f"profile.{place + 1}"
        yield Item(key, PROFILE, "Set how guests log in", {"name": name}, _profile(wish, seen, row, interface))
    if not servers(wish, seen) and interface and not wish.server:
        yield Item("server", SERVER, "Make a hotspot for guests", {"name": NAME},
                   {"interface": interface, "profile": NAME, "disabled": "no"})  # fmt: skip


def _profile(wish: Wish, seen: Seen, row: Row, interface: str) -> dict[str, str]:
    """An adopted profile keeps its own ways to log in, beside ours."""
    values = {"login-by": joined(row.get("login-by", ""), *LOGIN_BY) if row else ",".join(LOGIN_BY)}
    address = interface_address(interface, seen).partition("/")[0] or str(ipaddress.IPv4Network(GUEST_NETWORK)[1])
    if not row:
        values["hotspot-address"] = address
    directory = on_flash(row.get("html-directory", "") or "hotspot", seen)
    if directory != row.get("html-directory", ""):
        values["html-directory"] = directory
    if wish.mode == "radius":
        values |= {"use-radius": "yes", "radius-accounting": "yes", "radius-interim-update": "received"}
    elif seen.rows("/radius", comment=MARK["radius"]):
        values["use-radius"] = "no"
    return values


def _portal(wish: Wish, seen: Seen) -> Iterator[Item]:
    yield Item("garden", "/ip/hotspot/walled-garden/ip", "Let guests reach the portal before they have paid",
               {"comment": MARK["portal"]},
               {"action": "accept", "dst-address": wish.box, "protocol": "tcp", "dst-port": str(wish.web_port),
                "disabled": "no"})  # fmt: skip
    for name in page_names(wish, seen):
        page = name.rpartition("/")[2]
        words = "Put our login page there, which leads to the portal" if page == "login.html" else f"Put {page} there"
        yield Item(f"file:{name}", FILE_MENU, words, {"name": name}, {"contents": wish.pages[page]}, "file")
    yield Item("option", "/ip/dhcp-server/option", "Tell phones by DHCP where the portal is", {"name": OPTION},
               {"code": "114", "value": f"'{wish.portal}.well-known/captive-portal'"})  # fmt: skip
    network = _guest_network(wish, seen)
    if network:
        yield Item("option.network", NETWORK, "Tell it to guests", {"address": network["address"]},
                   {"dhcp-option": joined(network.get("dhcp-option", ""), OPTION)}, "each")  # fmt: skip
    yield from _alert(wish, seen)


def _guest_network(wish: Wish, seen: Seen) -> Row:
    """The DHCP network around the address of guests' interface."""
    address = interface_address(guest_interface(wish, seen), seen).partition("/")[0]
    if not is_ipv4(address):
        return {"address": GUEST_NETWORK} if list(_network(wish, seen)) else {}
    here = ipaddress.IPv4Address(address)
    for row in seen.rows(NETWORK):
        try:
            if here in ipaddress.IPv4Network(row.get("address", ""), strict=False):
                return row
        except ValueError:
            continue
    return {}


def _alert(wish: Wish, seen: Seen) -> Iterator[Item]:
    """Somebody's own watch is left as it is."""
    interface = guest_interface(wish, seen)
    watched = seen.rows(ALERT, interface=interface)
    if interface and (not watched or fits(watched[0], {"comment": MARK["alert"]})):
        mac = seen.first("/interface", name=interface).get("mac-address", "")
        values = {"interface": interface, "disabled": "no"} | ({"valid-server": mac} if mac else {})
        yield Item("alert", ALERT, "Watch for DHCP servers that are not ours", {"comment": MARK["alert"]}, values)


def radius_values(wish: Wish) -> dict[str, str]:
    """The box as RADIUS server, as every release knows it. The default time-out of RouterOS is too short."""
    values = {
        "service": "hotspot", "address": wish.box, "secret": wish.radius_secret,
        "authentication-port": str(wish.auth_port), "accounting-port": str(wish.acct_port), "timeout": "3s",
        "disabled": "no",
    }  # fmt: skip
    return values | ({"src-address": wish.host} if is_ipv4(wish.host) else {})


def _radius(wish: Wish, seen: Seen) -> Iterator[Item]:
    find = {"comment": MARK["radius"]}
    if wish.mode == "radius":
        newer = {"require-message-auth": "yes-for-request-resp"} if seen.release >= SECURE_REPLIES else {}
        yield Item("radius", "/radius", "Ask the box at every login", find, radius_values(wish) | newer)
        yield Item("incoming", "/radius/incoming", "Let the box end and change sessions (CoA)", {},
                   {"accept": "yes", "port": str(wish.coa_port)}, "single")  # fmt: skip
    elif seen.rows("/radius", comment=MARK["radius"]):
        yield Item("radius", "/radius", "No longer ask the box at every login", find, {"disabled": "yes"}, "each")


def _time(wish: Wish, seen: Seen) -> Iterator[Item]:
    yield Item("zone", "/system/clock", "Set the time zone", {},
               {"time-zone-name": wish.timezone, "time-zone-autodetect": "no"}, "single")  # fmt: skip
    client = seen.first("/system/ntp/client")
    values = {"enabled": "yes"}
    if not _has_servers(client):  # who takes his time from somewhere already may go on
        values |= ntp_values(wish.ntp, seen.release)
    yield Item("ntp", "/system/ntp/client", "Take the time from the network", {}, values, "single")


def ntp_values(server: str, release: tuple[int, ...]) -> dict[str, str]:
    """Version 7 names a list, version 6 an address or else a name."""
    if release >= (7,):
        return {"servers": server}
    return {"primary-ntp": server} if is_ipv4(server) else {"server-dns-names": server}


def _has_servers(client: Row) -> bool:
    names = (client.get(key, "") for key in ("servers", "server-dns-names", "primary-ntp", "secondary-ntp"))
    return any(name not in ("", "0.0.0.0") for name in names)


def _fasttrack() -> Iterator[Item]:
    """Packets on the fast track pass by the queues and counters of the hotspot."""
    yield Item("fasttrack", "/ip/firewall/filter", "No FastTrack: it passes by guests' speed limits and counters",
               {"action": "fasttrack-connection"}, {"disabled": "yes"}, "each")  # fmt: skip


def rights(name: str, seen: Seen) -> frozenset[str]:
    """The policies of an API user, as far as the router shows them."""
    group = seen.first("/user", name=name).get("group", "")
    return positives(seen.first("/user/group", name=group).get("policy", "")) if group else frozenset()


def is_somebodys(name: str, seen: Seen) -> bool:
    """A user who may do everything and bears no mark of ours: perhaps the owner's own, whom nothing may lock out."""
    comment = seen.first("/user", name=name).get("comment", "")
    return "policy" in rights(name, seen) and not comment.startswith(OURS)


def own_user(wish: Wish, seen: Seen) -> str:
    """The name of the user that is ours there; '' when there is none to make."""
    if "policy" not in rights(wish.login, seen):
        return ""
    if not is_somebodys(wish.api_user, seen):
        return wish.api_user
    is_fixed = wish.keeps_user or wish.login == wish.api_user
    return "" if is_fixed or is_somebodys(USERS[1], seen) else USERS[1]


def _users(wish: Wish, seen: Seen) -> Iterator[Item]:
    """Only a login that may do it makes a user of few rights; where the box has such a user, it stays."""
    name = own_user(wish, seen)
    if not name:
        return
    yield Item("group", "/user/group", "Make a group with the few rights that the box needs", {"name": NAME},
               {"policy": ",".join(POLICY), "comment": MARK["group"]})  # fmt: skip
    values = {"group": NAME, "comment": MARK["user"], "disabled": "no"}
    if wish.api_password:
        values["password"] = wish.api_password
    if is_seen_as(wish.box, seen):  # else it would be let in from nowhere
        values["address"] = f"{wish.box}/32"
    yield Item("user", "/user", "Give the box an API user of its own", {"name": name}, values)


def _services(wish: Wish, seen: Seen) -> Iterator[Item]:
    for name in OLD_SERVICES:
        yield Item(f"service.{name}", "/ip/service", f"Close the old service {name}", {"name": name},
                   {"disabled": "yes"}, "each")  # fmt: skip
    if not is_seen_as(wish.box, seen):
        return  # the router may know the box by another address, and would lock it out
    for name in ("api", "api-ssl"):
        row = seen.first("/ip/service", name=name)
        if row and row.get("disabled") not in ("true", "yes") and not row.get("address"):
            yield Item(f"service.{name}", "/ip/service", f"Open {name} to the box alone", {"name": name},
                       {"address": f"{wish.box}/32"}, "each")  # fmt: skip


def is_seen_as(box: str, seen: Seen) -> bool:
    """Does the router see an API session of ours come from this address?"""
    return any(row.get("address") == box and "api" in row.get("via", "api") for row in seen.rows("/user/active"))
