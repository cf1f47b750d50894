"""The pretend router itself: opens its ports, lets time pass, and takes scripts from tests and rehearsals."""

import ssl
import threading
from collections.abc import Callable

from edge.errors import BadInput
from edge.simulators.router.console import Console
from edge.simulators.router.guests import Proof
from edge.simulators.router.machine import Machine
from edge.simulators.router.pages import Pages
from edge.simulators.router.ports import ApiPort, WebPort
from edge.simulators.router.radius import Radius
from edge.simulators.router.tables import Row
from edge.values.mac import read_mac

TICK_S = 0.2


class RouterSimulator(Machine):
    """A MikroTik with a hotspot, as a context manager. Fault attributes (see `Machine`) may be set at any time.

    `port` is the API's, `http_port` that of the login page. With a `portal_url` guests are sent there to buy; without
    one they see a small login page. `radius` is asked about users that are not in the table.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        username: str = "edge",
        password: str = "edge",
        version: str = "7.19.6 (stable)",
        identity: str = "gate",
        http_port: int = 0,
        portal_url: str = "",
        radius: Radius | None = None,
        tls: ssl.SSLContext | None = None,
        log: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(
            username=username, password=password, version=version, identity=identity, portal_url=portal_url
        )
        self.tls = tls
        self.radius = radius
        if log is not None:
            self.hotspot.log = log
        self._pages = Pages(self)
        self._api = ApiPort(self, (host, port))
        self._web = WebPort(self, (host, http_port), self._pages)
        self._unplugged = False
        self._ticker = threading.Thread(target=self._pass_time, daemon=True)

    def __enter__(self) -> "RouterSimulator":
        self._api.plug()
        self._web.plug()
        self._pages.login_url = self.login_url
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._api.unplug()
        self._web.unplug()
        self.hotspot.close()

    @property
    def port(self) -> int:
        return self._api.number

    @property
    def http_port(self) -> int:
        return self._web.number

    @property
    def login_url(self) -> str:
        """The hotspot's login page."""
        return f"http://{self._web.host}:{self._web.number}/login"

    @property
    def radius(self) -> Radius | None:
        """Who is asked about users that are not in the table; None: nobody."""
        return self.hotspot.radius

    @radius.setter
    def radius(self, radius: Radius | None) -> None:
        self.hotspot.radius = radius

    @property
    def unplugged(self) -> bool:
        """No power: connections are refused and those that were open are cut."""
        return self._unplugged

    @unplugged.setter
    def unplugged(self, unplugged: bool) -> None:
        self._unplugged = unplugged
        for port in (self._api, self._web):
            if unplugged:
                port.unplug()
            else:
                port.plug()

    def cut(self) -> None:
        """Every open connection breaks; new ones are welcome."""
        self._api.cut()
        self._web.cut()

    def reboot(self) -> None:
        """Connections break, uptime begins again, nobody is online any more."""
        self.restart()
        self.cut()

    def reset(self) -> None:
        """Somebody reset its configuration: users, profiles and cookies are gone."""
        self.hotspot.reset()

    def jump(self, seconds: float) -> None:
        """Let so much time pass at once: limits are enforced, the clock goes on."""
        self.hotspot.jump(seconds)

    def add_host(self, mac: str, ip: str) -> None:
        """A device joins the WiFi; a cookie of its may bring it straight in."""
        self.hotspot.arrive(read_mac(mac), ip)

    def add_user(self, name: str, password: str = "", profile: str = "default", **properties: str) -> str:
        """Somebody else's user, as staff add it by hand; underscores stand for dashes. Returns its `.id`."""
        told = {key.replace("_", "-"): value for key, value in properties.items()}
        with self.hotspot.lock:
            return self.hotspot.users.add({"name": name, "password": password, "profile": profile} | told)

    def log_in(self, name: str, password: str, mac: str) -> str:
        """A device that is on the WiFi logs in; '' or the words of the refusal."""
        host = self.hotspot.hosts.get(read_mac(mac))
        if host is None:
            raise BadInput(f"{mac} is not on the WiFi: add_host first")
        return self.hotspot.log_in(host, name, [Proof(password)], "http-pap")

    def log_out(self, mac: str, cause: str = "lost-carrier") -> None:
        """A device's session ends; `user-request` also forgets its cookie."""
        with self.hotspot.lock:
            session = self.hotspot.session_of(read_mac(mac))
            if session is not None:
                self.hotspot.end(session, cause)

    def traffic(self, mac: str, bytes_in: int, bytes_out: int) -> None:
        """A device that is online sent and received so many bytes."""
        self.hotspot.traffic(read_mac(mac), bytes_in, bytes_out)

    def users(self) -> list[Row]:
        """All hotspot users but `default-trial`, as print shows them with passwords."""
        rows = Console(self).rows("/ip/hotspot/user", secrets=True)
        return [row for row in rows if row.get("default") != "true"]

    def profiles(self) -> list[Row]:
        """All user profiles but `default`."""
        rows = Console(self).rows("/ip/hotspot/user/profile")
        return [row for row in rows if row.get("default") != "true"]

    def active(self) -> list[Row]:
        """Everybody who is online."""
        return Console(self).rows("/ip/hotspot/active")

    def cookies(self) -> list[Row]:
        """The MAC cookies."""
        return Console(self).rows("/ip/hotspot/cookie")

    def hosts(self) -> list[Row]:
        """Everybody on the WiFi."""
        return Console(self).rows("/ip/hotspot/host")

    def _pass_time(self) -> None:
        while not self.closing.wait(TICK_S):
            self.hotspot.tick()
