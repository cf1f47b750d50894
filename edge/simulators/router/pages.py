"""The pretend hotspot's own web pages: the captive redirect, login, status, logout.

A page that somebody put into the hotspot's folder (/file) is served in place of the simulator's own.

A real router knows a guest by the MAC and address he comes from. All guests of the simulator come from loopback, so a
guest says who he is: `?mac=…&ip=…` in the address, else the headers X-Sim-MAC and X-Sim-IP, else a cookie the
simulator gives to every browser that says nothing, which makes each browser a guest of its own. `server=…` or
X-Sim-Server names the hotspot server, on a router that has several.
"""

import html
import ipaddress
import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from edge.errors import BadInput
from edge.simulators.router.guests import Host, proofs_of
from edge.simulators.router.machine import Machine
from edge.simulators.router.templates import render
from edge.values.mac import read_mac

CHAP_MISSING = "web browser did not send challenge response (try again, enable JavaScript)"
COOKIE = "sim-guest"
PORTAL_VARIABLES = (
    "mac", "ip", "username", "link-login-only", "link-orig", "identity", "server-name", "error", "chap-id",
    "chap-challenge",
)  # fmt: skip
TYPES = {"css": "text/css", "js": "text/javascript", "txt": "text/plain", "svg": "image/svg+xml"}
_STYLE = "font-family:sans-serif;max-width:24em;margin:2em auto;padding:0 1em;line-height:1.5"


@dataclass(frozen=True)
class Visit:
    """One request to the web port."""

    method: str
    target: str
    headers: dict[str, str]
    form: dict[str, str] = field(repr=False)
    client: str


@dataclass(frozen=True)
class Page:
    """One answer."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Pages:
    """Answers guests' browsers. `login_url` is known once the port is open."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.login_url = ""

    def answer(self, visit: Visit) -> Page:
        """The page for one request."""
        machine = self._machine
        if machine.delay_s:
            machine.closing.wait(machine.delay_s)
        if not machine.hotspot.works():
            return Page(503, _page("No hotspot", "<p>This hotspot is not running.</p>"))
        parts = urlsplit(visit.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        host, cookie = self._guest(visit, query)
        page = self._route(visit, parts.path, query | visit.form, host)
        return Page(page.status, page.body, page.headers | cookie)

    def _guest(self, visit: Visit, query: dict[str, str]) -> tuple[Host, dict[str, str]]:
        """Who is asking, and a cookie for browsers that do not say."""
        spot = self._machine.hotspot
        server = query.get("server", "") or visit.headers.get("x-sim-server", "")
        server = server if spot.servers.named(server) else ""
        kept = _cookies(visit.headers.get("cookie", "")).get(COOKIE, "")
        kept_mac, _, kept_ip = kept.partition("|")
        claims = [
            (query.get("mac", ""), query.get("ip", "")),
            (visit.headers.get("x-sim-mac", ""), visit.headers.get("x-sim-ip", "")),
            (kept_mac, kept_ip),
        ]
        for mac, ip in claims:
            known = _read_claim(mac, ip)
            if known is not None:
                return spot.arrive(*known, server), {}
        mac, ip = self._invent(visit.client)
        return spot.arrive(mac, ip, server), {"Set-Cookie": f"{COOKIE}={mac}|{ip}; Path=/; SameSite=Lax"}

    def _invent(self, client: str) -> tuple[str, str]:
        """From elsewhere than loopback a guest keeps his address; a private MAC is made from it."""
        number = secrets.token_bytes(4)
        address = ipaddress.ip_address(client)
        if isinstance(address, ipaddress.IPv4Address) and not address.is_loopback:
            number = address.packed
        mac = ":".join(f"{byte:02X}" for byte in (0x02, 0x00, *number))
        return mac, f"10.5.51.{2 + number[3] % 250}" if address.is_loopback else client

    def _route(self, visit: Visit, path: str, told: dict[str, str], host: Host) -> Page:
        spot = self._machine.hotspot
        binding = spot.binding_of(host)
        if binding == "blocked":
            return Page(403, _page("Blocked", "<p>This device is blocked.</p>"))
        if path == "/login":
            return self._log_in(told, host) if "username" in told else self._login_page(told, host, "")
        if path == "/logout":
            return self._log_out(told, host)
        if path == "/status":
            return self._status(told, host)
        if path == "/api":
            return self._api(told, host)
        own = self._own(path.removeprefix("/"), host) if "/" not in path[1:] else None
        if own is not None:
            return self._render(path[1:], own, self._variables(told, host))
        if binding == "bypassed" or spot.session_of(host.mac) is not None:
            return _internet(path)
        return self._capture(visit, told, host)

    def _capture(self, visit: Visit, told: dict[str, str], host: Host) -> Page:
        """Nobody gets anywhere before he has logged in."""
        origin = visit.target
        if not origin.startswith("http://"):
            origin = f"http://{visit.headers.get('host', 'neverssl.com')}{origin}"
        for name in ("rlogin.html", "redirect.html"):
            own = self._own(name, host)
            if own is not None:
                return self._render(name, own, self._variables(told | {"dst": origin}, host))
        return _redirect(f"{self._link(host)}&{urlencode({'dst': origin})}")

    def _login_page(self, told: dict[str, str], host: Host, error: str) -> Page:
        if not error and self._machine.hotspot.session_of(host.mac) is not None:
            return _redirect(self._link(host, "status"))
        variables = self._variables(told, host, error)
        for name in ("flogin.html", "login.html") if error else ("login.html",):
            own = self._own(name, host)
            if own is not None:
                return self._render(name, own, variables)
        if self._machine.portal_url:
            joint = "&" if "?" in self._machine.portal_url else "?"
            shown = {name: variables[name] for name in PORTAL_VARIABLES if name in variables}
            return _redirect(f"{self._machine.portal_url}{joint}{urlencode(shown)}")
        return Page(200, _login_form(variables))

    def _own(self, name: str, host: Host) -> str | None:
        """A page that somebody put into the folder of the host's server."""
        profile = self._machine.hotspot.profile_of(host)
        for folder in (profile.get("html-directory-override", ""), profile.get("html-directory", "")):
            contents = self._machine.files.page(folder, name) if folder else None
            if contents is not None:
                return contents
        return None

    def _render(self, name: str, contents: str, variables: dict[str, str]) -> Page:
        """Pages are filled in; what else lies in the folder goes out as it is."""
        suffix = name.rpartition(".")[2].lower()
        if suffix not in ("html", "json"):
            return Page(200, contents, {"Content-Type": TYPES.get(suffix, "application/octet-stream")})
        ready = render(contents, variables)
        kind = {"Content-Type": "application/captive+json"} if suffix == "json" else {}
        return Page(ready.status, ready.body, kind | ready.headers)

    def _variables(self, told: dict[str, str], host: Host, error: str = "") -> dict[str, str]:
        """What RouterOS's pages know (manual: Hotspot customisation)."""
        spot, login = self._machine.hotspot, self._link(host)
        origin = told.get("dst", "")
        variables = {
            "mac": host.mac,
            "ip": host.ip,
            "host-ip": host.ip,
            "username": told.get("username", ""),
            "link-login": f"{login}&{urlencode({'dst': origin})}" if origin else login,
            "link-login-only": login,
            "link-logout": self._link(host, "logout"),
            "link-status": self._link(host, "status"),
            "link-redirect": origin or self._link(host, "status"),
            "link-orig": origin,
            "identity": self._machine.identity,
            "hostname": self.login_url.split("/")[2],
            "server-name": host.server,
            "server-address": self.login_url.split("/")[2],
            "interface-name": (spot.server_of(host) or {}).get("interface", ""),
            "login-by": ",".join(spot.login_by(host)),
            "plain-passwd": "no" if "http-chap" in spot.login_by(host) else "yes",
            "ssl-login": "no",
            "error": error,
            "error-orig": error,
        } | self._stay_variables(host)
        if "http-chap" in spot.login_by(host) and variables["logged-in"] == "no":
            with spot.lock:
                given = spot.challenge(host)
            variables |= {"chap-id": octal(bytes([given.ident])), "chap-challenge": octal(given.challenge)}
        return variables

    def _stay_variables(self, host: Host) -> dict[str, str]:
        """What the pages know of a stay, if there is one."""
        spot = self._machine.hotspot
        with spot.lock:
            session = spot.session_of(host.mac)
            if session is None:
                return {"logged-in": "no"}
            left_s, up_s = spot.time_left(session), spot.now() - session.since
            limits = spot.stays.byte_limits(session)
        told = {"logged-in": "yes", "username": session.user, "login-by": session.login_by,
                "uptime": self._machine.duration(up_s), "uptime-secs": str(int(up_s)),
                "bytes-in": str(session.bytes_in), "bytes-out": str(session.bytes_out),
                "session-id": session.session_id}  # fmt: skip
        if left_s is not None:
            told |= {"session-time-left": self._machine.duration(left_s), "session-time-left-secs": str(int(left_s))}
        if "total" in limits:
            told["remain-bytes-total"] = str(max(0, limits["total"] - session.bytes_in - session.bytes_out))
        return told

    def _log_in(self, told: dict[str, str], host: Host) -> Page:
        spot = self._machine.hotspot
        proofs = proofs_of(host, told.get("password", ""), spot.login_by(host), spot.now())
        how = "http-chap" if proofs and proofs[0].chap else "http-pap"
        error = spot.log_in(host, told["username"], proofs, how) if proofs else CHAP_MISSING
        if error:
            return self._login_page(told, host, error)
        onward = told.get("dst", "")
        if not onward.startswith(("http://", "https://")):
            onward = self._link(host, "status")
        own = self._own("alogin.html", host)
        if own is not None:
            return self._render("alogin.html", own, self._variables(told | {"dst": onward}, host))
        safe = html.escape(onward)
        words = f'<p>You are logged in.</p><p><a href="{safe}">Go on</a></p>'
        return Page(200, _page("Logged in", words, f'<meta http-equiv="refresh" content="2; url={safe}">'))

    def _log_out(self, told: dict[str, str], host: Host) -> Page:
        spot, variables = self._machine.hotspot, self._variables(told, host)
        with spot.lock:
            session = spot.session_of(host.mac)
            if session is not None:
                spot.end(session, "user-request")
        own = self._own("logout.html", host)
        if own is not None:
            return self._render("logout.html", own, variables)
        again = html.escape(self._link(host))
        return Page(200, _page("Logged out", f'<p>You are logged out.</p><p><a href="{again}">Log in</a></p>'))

    def _api(self, told: dict[str, str], host: Host) -> Page:
        """RFC 8908: what a phone that got option 114 asks."""
        own, variables = self._own("api.json", host), self._variables(told, host)
        if own is not None:
            return self._render("api.json", own, variables)
        is_in = variables["logged-in"] == "yes"
        answer = {"captive": not is_in, "user-portal-url": self.login_url, "can-extend-session": True}
        left = {"seconds-remaining": variables.get("session-time-left-secs"),
                "bytes-remaining": variables.get("remain-bytes-total")}  # fmt: skip
        answer |= {name: int(value) for name, value in left.items() if value is not None}
        return Page(200, json.dumps(answer), {"Content-Type": "application/captive+json"})

    def _status(self, told: dict[str, str], host: Host) -> Page:
        spot = self._machine.hotspot
        with spot.lock:
            spot.tick()
            session = spot.session_of(host.mac)
            if session is None:
                return _redirect(self._link(host))
            left_s, up_s, rate = spot.time_left(session), spot.now() - session.since, spot.rate_of(session)
        own = self._own("status.html", host)
        if own is not None:
            return self._render("status.html", own, self._variables(told, host))
        lines = {
            "Welcome": session.user,
            "Address": session.ip,
            "Connected": self._machine.duration(up_s),
            "Left": "no limit" if left_s is None else self._machine.duration(left_s),
            "Bytes up/down": f"{session.bytes_in} / {session.bytes_out}",
            "Rate": rate or "no limit",
        }
        rows = "".join(f"<dt>{name}<dd>{html.escape(value)}" for name, value in lines.items())
        out = html.escape(self._link(host, "logout"))
        return Page(200, _page("Status", f'<dl>{rows}</dl><p><a href="{out}">Log out</a></p>'))

    def _link(self, host: Host, page: str = "login") -> str:
        """A page of ours that knows who comes back to it."""
        base, first = self.login_url.removesuffix("login"), self._machine.hotspot.server_of(None)
        server = "" if first is None or host.server in ("", first["name"]) else f"&server={quote(host.server)}"
        return f"{base}{page}?mac={quote(host.mac, safe=':')}&ip={host.ip}{server}"


def octal(raw: bytes) -> str:
    """As the login page prints chap-id and chap-challenge, for a JavaScript string: `\\371\\015…`."""
    return "".join(f"\\{byte:03o}" for byte in raw)


def _read_claim(mac: str, ip: str) -> tuple[str, str] | None:
    try:
        return (read_mac(mac), str(ipaddress.IPv4Address(ip))) if mac and ip else None
    except (BadInput, ValueError):
        return None


def _cookies(header: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in header.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _redirect(url: str) -> Page:
    safe = quote(url, safe=":/?#[]@!$&'()*+,;=%-._~\\")
    return Page(302, headers={"Location": safe})


def _internet(path: str) -> Page:
    """What a guest who is online gets from the wide world."""
    if path in ("/generate_204", "/gen_204"):
        return Page(204)
    if path in ("/hotspot-detect.html", "/library/test/success.html"):
        return Page(200, "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>")
    return Page(200, _page("Online", '<p>You are online.</p><p><a href="/status">Status</a></p>'))


def _page(title: str, body: str, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{head}'
        f'<meta name="viewport" content="width=device-width"></head><body style="{_STYLE}">'
        f"<h1>{title}</h1>{body}</body></html>"
    )


def _login_form(told: dict[str, str]) -> str:
    safe = {name: html.escape(value) for name, value in told.items()}
    error = f'<p role="alert">{safe["error"]}</p>' if told["error"] else ""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{safe[name]}">'
        for name in ("link-login-only", "chap-id", "chap-challenge")
        if name in safe
    )
    return _page(
        "Log in",
        f'{error}<form method="post" action="{safe["link-login-only"]}">'
        f'<input type="hidden" name="dst" value="{safe["link-orig"]}"><input type="hidden" name="popup" value="false">'
        f'<p><label>User <input name="username" value="{safe["username"]}"></label></p>'
        f'<p><label>Password <input name="password" type="password"></label></p>{hidden}'
        "<p><button>Log in</button></p></form>",
    )
