"""The same configuration as a RouterOS script, for a router that the box can't reach yet: paste one line there."""

import re
from collections.abc import Mapping

from edge.errors import BadInput
from edge.values.router_setup import Wish
from edge.values.router_wanted import LOGIN_BY, MARK, NAME, OLD_SERVICES, OPTION, POLICY, ntp_values, radius_values

FILE_NAME = "edge.rsc"
_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/,-]*", re.ASCII)
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:/@#+=_-()'*&%!<>|~^")
_ADDRESS = re.compile(r"http://[A-Za-z0-9._\[\]:-]+(/[A-Za-z0-9._/-]*)?", re.ASCII)


def quote(text: str) -> str:
    """Any text as a string of RouterOS's scripts: what could mean more than itself is written as `\\HH`, byte by byte.

    Source: MikroTik's manual, Scripting, "Constant escape sequences".
    """
    raw = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02X}" for byte in raw) + '"'


def word(text: str) -> str:
    """A value behind `=`: bare where RouterOS itself exports it so."""
    return text if _BARE.fullmatch(text) else quote(text)


def paste_line(url: str) -> str:
    """What a technician pastes into the router's terminal; the same line for versions 6 and 7.

    The file needs a moment to appear in the list of files, and holds secrets: it goes even when it could not be run.
    BadInput for what is no web address.
    """
    if not _ADDRESS.fullmatch(url):
        raise BadInput("The address of the box looks like http://192.168.88.10:8080", "url")
    failed = quote("Edge: the set-up stopped half-way. Mend what is said above, and make a new line.")
    return (
        f"/tool fetch url={quote(url)} mode=http dst-path={FILE_NAME}; :delay 2s; "
        f":do {{ /import {FILE_NAME} }} on-error={{ :put {failed} }}; /file remove {FILE_NAME}"
    )


def script(wish: Wish) -> str:
    """All of it. It asks the router itself for its version, hotspot and folders, and is harmless to run again."""
    parts = [
        _beginning(wish),
        _hotspot(),
        _profiles(wish),
        _garden(wish),
        _dhcp(wish),
        _radius(wish),
        _time(wish),
        _fasttrack(),
        _user(wish),
        _services(),
    ]
    return "\n".join("\n".join(part) for part in parts) + '\n:put "Edge: this router is set up."\n'


def _command(menu: str, verb: str, values: Mapping[str, str]) -> str:
    told = " ".join(f"{key}={word(value)}" for key, value in values.items())
    return f"{_path(menu)} {verb} {told}".rstrip()


def _path(menu: str) -> str:
    return menu[0] + menu[1:].replace("/", " ")


def _find(menu: str, find: Mapping[str, str]) -> str:
    told = " and ".join(f"{key}={quote(value)}" for key, value in find.items())
    return f"[{_path(menu)} find where {told}]"


def _upsert(menu: str, find: Mapping[str, str], values: Mapping[str, str]) -> list[str]:
    return [
        f":if ([:len {_find(menu, find)}] = 0) do={{",
        f"  {_command(menu, 'add', {**find, **values})}",
        "} else={",
        f"  {_command(menu, f'set {_find(menu, find)}', values)}",
        "}",
    ]


def _parsed(line: str) -> str:
    """A line that only some releases understand: read when it is run, so that the others don't refuse the script."""
    return f":do {{ :local edgeRun [:parse {quote(line)}]; $edgeRun }} on-error={{}}"


def _stop(words: str) -> str:
    """What ends the script. It is said first: the line that was pasted catches the error, and with it its words."""
    told = quote(f"Edge: {words}")
    return f":put {told}; :error {told}"


def _beginning(wish: Wish) -> list[str]:
    dhcp = "an address and a DHCP server first: /ip dhcp-server setup"
    mode = ':if ([/system device-mode get hotspot] = false) do={ :put "' + (
        "Edge: device-mode forbids the hotspot. Type /system/device-mode/update hotspot=yes, then press the reset "
        'button or cut the power within 5 minutes." }'
    )
    servers = f"name={quote(wish.server)}" if wish.server else "disabled=no"
    missing = _stop(f"this router has no hotspot server named {wish.server}")
    named = [f":if ([:len $edgeServers] = 0) do={{ {missing} }}"] if wish.server else []
    return [
        f"# Sets this router up for the Edge box at {wish.box}. Harmless to run again.",
        ":local edgeVersion [/system resource get version]",
        ':local edgeMajor [:tonum [:pick $edgeVersion 0 [:find $edgeVersion "."]]]',
        _parsed(mode),
        *_somebodys_user(wish),
        f":local edgeServers [/ip hotspot find where {servers}]",
        *named,
        f":local edgeInterface {quote(wish.interface)}",
        ":if ([:len $edgeServers] > 0) do={ :set edgeInterface [/ip hotspot get [:pick $edgeServers 0] interface] }",
        ":if ([:len $edgeInterface] = 0) do={",
        "  :local edgeBridges [/interface bridge find]",
        "  :if ([:len $edgeBridges] = 1) do={ :set edgeInterface [/interface bridge get [:pick $edgeBridges 0] name] }",
        "}",
        f":if ([:len $edgeInterface] = 0) do={{ {_stop('say where guests are: edge router script --interface')} }}",
        ':local edgeAddress ""',
        ":foreach edgeRow in=[/ip address find where interface=$edgeInterface and disabled=no] do={",
        "  :local edgeNet [/ip address get $edgeRow address]",
        '  :set edgeAddress [:pick $edgeNet 0 [:find $edgeNet "/"]]',
        "}",
        f":if ([:len $edgeAddress] = 0) do={{ {_stop(f'give the interface of guests {dhcp}')} }}",
    ]


def _hotspot() -> list[str]:
    login = ",".join(LOGIN_BY)
    return [
        ":if ([:len $edgeServers] = 0) do={",
        f"  :if ([:len [/ip hotspot profile find where name={quote(NAME)}]] = 0) do={{",
        f"    /ip hotspot profile add name={NAME} hotspot-address=$edgeAddress login-by={login}",
        "  }",
        f"  /ip hotspot add name={NAME} interface=$edgeInterface profile={NAME} disabled=no",
        f"  :set edgeServers [/ip hotspot find where name={quote(NAME)}]",
        "}",
    ]


def _profiles(wish: Wish) -> list[str]:
    """An adopted profile keeps its own ways to log in, beside ours."""
    lines = [
        ":foreach edgeServer in=$edgeServers do={",
        "  :local edgeProfile [/ip hotspot profile find where name=[/ip hotspot get $edgeServer profile]]",
        f"  :local edgeWays {quote(','.join(LOGIN_BY))}",
        "  :foreach edgeWay in=[/ip hotspot profile get $edgeProfile login-by] do={",
        '    :if ([:typeof [:find ("," . $edgeWays . ",") ("," . $edgeWay . ",")]] = "nil") do={',
        '      :set edgeWays ($edgeWays . "," . $edgeWay)',
        "    }",
        "  }",
        '  :local edgeRun [:parse ("/ip hotspot profile set " . [:pick $edgeProfile 0] . " login-by=" . $edgeWays)]',
        "  $edgeRun",
    ]
    if wish.mode == "radius":
        values = {"use-radius": "yes", "radius-accounting": "yes", "radius-interim-update": "received"}
        lines.append(f"  {_command('/ip/hotspot/profile', 'set $edgeProfile', values)}")
    return [*lines, *_pages(wish), "}"]


def _pages(wish: Wish) -> list[str]:
    """Into the folder that the router really serves from."""
    lines = [
        "  :local edgeFolder [/ip hotspot profile get $edgeProfile html-directory]",
        '  :if ([:len [/file find where name="flash"]] > 0 and [:pick $edgeFolder 0 6] != "flash/") do={',
        '    :set edgeFolder ("flash/" . $edgeFolder)',
        "    /ip hotspot profile set $edgeProfile html-directory=$edgeFolder",
        "  }",
        '  :local edgeOther ""',
        "  :do { :set edgeOther [/ip hotspot profile get $edgeProfile html-directory-override] } on-error={}",
        '  :if ([:len $edgeOther] > 0 and [:len [/file find where name~("^" . $edgeOther . "/")]] > 0) do={',
        "    :set edgeFolder $edgeOther",
        "  }",
    ]
    for page in wish.pages:
        url = quote(f"{wish.portal}setup/pages/{page}")
        lines.append(
            f'  :do {{ /tool fetch url={url} mode=http dst-path=($edgeFolder . "/{page}") }} '
            f'on-error={{ :put "Edge: {page} could not be fetched from the box" }}'
        )
    return lines


def _garden(wish: Wish) -> list[str]:
    values = {"action": "accept", "dst-address": wish.box, "protocol": "tcp", "dst-port": str(wish.web_port)}
    return _upsert("/ip/hotspot/walled-garden/ip", {"comment": MARK["portal"]}, values)


def _dhcp(wish: Wish) -> list[str]:
    value = f"'{wish.portal}.well-known/captive-portal'"
    alert = f"/ip dhcp-server alert add interface=$edgeInterface disabled=no comment={quote(MARK['alert'])}"
    return [
        *_upsert("/ip/dhcp-server/option", {"name": OPTION}, {"code": "114", "value": value}),
        ":foreach edgeNet in=[/ip dhcp-server network find] do={",
        "  :if ([:toip $edgeAddress] in [/ip dhcp-server network get $edgeNet address]) do={",
        "    :local edgeOptions [/ip dhcp-server network get $edgeNet dhcp-option]",
        f'    :if ([:typeof [:find $edgeOptions {quote(OPTION)}]] = "nil") do={{',
        f"      /ip dhcp-server network set $edgeNet dhcp-option=($edgeOptions,{quote(OPTION)})",
        "    }",
        "  }",
        "}",
        ":if ([:len [/ip dhcp-server alert find where interface=$edgeInterface]] = 0) do={",
        "  :local edgeMac [/interface get [/interface find where name=$edgeInterface] mac-address]",
        f"  {alert} valid-server=$edgeMac",
        "}",
    ]


def _radius(wish: Wish) -> list[str]:
    if wish.mode != "radius":
        return []
    find = {"comment": MARK["radius"]}
    newer = f"/radius set {_find('/radius', find)} require-message-auth=yes-for-request-resp"
    return [
        *_upsert("/radius", find, radius_values(wish)),
        _parsed(newer),
        _command("/radius/incoming", "set", {"accept": "yes", "port": str(wish.coa_port)}),
    ]


def _time(wish: Wish) -> list[str]:
    menu = "/system/ntp/client"
    new = _command(menu, "set", {"enabled": "yes"} | ntp_values(wish.ntp, (7,)))
    old = _command(menu, "set", {"enabled": "yes"} | ntp_values(wish.ntp, (6,)))
    return [
        _command("/system/clock", "set", {"time-zone-autodetect": "no", "time-zone-name": wish.timezone}),
        ":if ([/system ntp client get enabled] = false) do={",
        f"  :if ($edgeMajor >= 7) do={{ {_parsed(new)} }} else={{ {_parsed(old)} }}",
        "}",
    ]


def _fasttrack() -> list[str]:
    return [
        ":foreach edgeRule in=[/ip firewall filter find where action=fasttrack-connection] do={",
        "  :do { /ip firewall filter set $edgeRule disabled=yes } on-error={}",
        "}",
    ]


def _user(wish: Wish) -> list[str]:
    if not (wish.api_user and wish.api_password):
        return ["# The box's own API user is left as it is."]
    values = {  # no address: who pastes may have named one by which the router does not see the box
        "group": NAME, "password": wish.api_password, "address": "", "disabled": "no", "comment": MARK["user"],
    }  # fmt: skip
    return [
        *_upsert("/user/group", {"name": NAME}, {"policy": ",".join(POLICY), "comment": MARK["group"]}),
        *_upsert("/user", {"name": wish.api_user}, values),
    ]


def _somebodys_user(wish: Wish) -> list[str]:
    """A user of ours would take the name, and the rights, of somebody who may do everything."""
    if not (wish.api_user and wish.api_password):
        return []
    find = f'name={quote(wish.api_user)} and group="full" and comment!={quote(MARK["user"])}'
    words = f"the user {wish.api_user} may do everything here, and is not ours. Use: edge router setup"
    return [f":if ([:len [/user find where {find}]] > 0) do={{ {_stop(words)} }}"]


def _services() -> list[str]:
    """Who pastes may come by a service that is closed here: that is last. `edge router setup` narrows the API."""
    return ["/ip service set api disabled=no", *(f"/ip service set {name} disabled=yes" for name in OLD_SERVICES)]
