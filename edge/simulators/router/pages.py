"""The pretend hotspot's own web pages: the captive redirect, login, status, logout.

A real router knows a guest by the MAC and address he comes from. All guests of the simulator come from loopback, so a
guest says who he is: `?mac=…&ip=…` in the address, else the headers X-Sim-MAC and X-Sim-IP, else a cookie the
simulator gives to every browser that says nothing, which makes each browser a guest of its own.
"""

import html
import ipaddress
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from edge.errors import BadInput
from edge.simulators.router.guests import Host, proofs_of
from edge.simulators.router.machine import Machine
from edge.values.mac import read_mac

CHAP_MISSING = "web browser did not send challenge response (try again, enable JavaScript)"
COOKIE = "sim-guest"
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
                return self._machine.hotspot.arrive(*known), {}
        mac, ip = self._invent(visit.client)
        return self._machine.hotspot.arrive(mac, ip), {"Set-Cookie": f"{COOKIE}={mac}|{ip}; Path=/; SameSite=Lax"}

    def _invent(self, client: str) -> tuple[str, str]:
        """From elsewhere than loopback a guest keeps his address; a private MAC is made from it."""
        number = secrets.token_bytes(4)
        address = ipaddress.ip_address(client)
        if isinstance(address, ipaddress.IPv4Address) and not address.is_loopback:
            number = address.packed
        mac = ":".join(f"{byte:02X}" for byte in (0x02, 0x00, *number))
        return mac, f"10.5.51.{2 + number[3] % 250}" if address.is_loopback else client

    def _route(self, visit: Visit, path: str, told: dict[str, str], host: Host) -> Page:
        if path == "/login":
            return self._log_in(told, host) if "username" in told else self._login_page(told, host, "")
        if path == "/logout":
            return self._log_out(host)
        if path == "/status":
            return self._status(host)
        if self._machine.hotspot.session_of(host.mac) is None:
            return self._capture(visit, host)
        return _internet(path)

    def _capture(self, visit: Visit, host: Host) -> Page:
        """Nobody gets anywhere before he has logged in."""
        origin = visit.target
        if not origin.startswith("http://"):
            origin = f"http://{visit.headers.get('host', 'neverssl.com')}{origin}"
        return _redirect(f"{self._link(host)}&{urlencode({'dst': origin})}")

    def _login_page(self, told: dict[str, str], host: Host, error: str) -> Page:
        if not error and self._machine.hotspot.session_of(host.mac) is not None:
            return _redirect(self._link(host, "status"))
        variables = self._variables(told, host, error)
        if self._machine.portal_url:
            joint = "&" if "?" in self._machine.portal_url else "?"
            return _redirect(f"{self._machine.portal_url}{joint}{urlencode(variables)}")
        return Page(200, _login_form(variables))

    def _variables(self, told: dict[str, str], host: Host, error: str) -> dict[str, str]:
        """What RouterOS's login page knows (manual: Hotspot customisation)."""
        variables = {
            "mac": host.mac,
            "ip": host.ip,
            "username": told.get("username", ""),
            "link-login-only": self._link(host),
            "link-orig": told.get("dst", ""),
            "identity": self._machine.identity,
            "server-name": "hotspot1",
            "error": error,
        }
        if "http-chap" in self._machine.hotspot.login_by():
            with self._machine.hotspot.lock:
                given = self._machine.hotspot.challenge(host)
            variables |= {"chap-id": octal(bytes([given.ident])), "chap-challenge": octal(given.challenge)}
        return variables

    def _log_in(self, told: dict[str, str], host: Host) -> Page:
        spot = self._machine.hotspot
        proofs = proofs_of(host, told.get("password", ""), spot.login_by(), spot.now())
        how = "http-chap" if proofs and proofs[0].chap else "http-pap"
        error = spot.log_in(host, told["username"], proofs, how) if proofs else CHAP_MISSING
        if error:
            return self._login_page(told, host, error)
        onward = told.get("dst", "")
        if not onward.startswith(("http://", "https://")):
            onward = self._link(host, "status")
        safe = html.escape(onward)
        words = f'<p>You are logged in.</p><p><a href="{safe}">Go on</a></p>'
        return Page(200, _page("Logged in", words, f'<meta http-equiv="refresh" content="2; url={safe}">'))

    def _log_out(self, host: Host) -> Page:
        spot = self._machine.hotspot
        with spot.lock:
            session = spot.session_of(host.mac)
            if session is not None:
                spot.end(session, "user-request")
        again = html.escape(self._link(host))
        return Page(200, _page("Logged out", f'<p>You are logged out.</p><p><a href="{again}">Log in</a></p>'))

    def _status(self, host: Host) -> Page:
        spot = self._machine.hotspot
        with spot.lock:
            spot.tick()
            session = spot.session_of(host.mac)
            if session is None:
                return _redirect(self._link(host))
            left_s, up_s, rate = spot.time_left(session), spot.now() - session.since, spot.rate_of(session)
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
        base = self.login_url.removesuffix("login")
        return f"{base}{page}?mac={quote(host.mac, safe=':')}&ip={host.ip}"


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
