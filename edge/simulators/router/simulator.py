"""The pretend router itself: opens its ports, lets time pass, and takes scripts from tests and rehearsals."""

import ssl
import threading
import time
from collections.abc import Callable

from edge.errors import BadInput
from edge.simulators.router.coa import Ear
from edge.simulators.router.configuration import Factory, settings_of
from edge.simulators.router.console import Console
from edge.simulators.router.guests import Proof
from edge.simulators.router.machine import Machine
from edge.simulators.router.pages import Pages
from edge.simulators.router.ports import ApiPort, WebPort
from edge.simulators.router.radius import Radius
from edge.simulators.router.tables import Row
from edge.values.mac import read_mac

TICK_S = 0.2
AS_SHIPPED = Factory()


class RouterSimulator(Machine):
    """A MikroTik with a hotspot, as a context manager. Fault attributes (see `Machine`) may be set at any time.

    `port` is the API's, `http_port` that of the login page. With a `portal_url` guests are sent there to buy; without
    one they see a small login page; a login.html put into its files comes before both. `radius` is asked about users
    that are not in the table, in place of the servers in /radius. `coa_port` takes RADIUS's Disconnect and CoA: 0 is
    any free port, None the one in /radius/incoming. `factory` is how the router comes.
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
        coa_port: int | None = 0,
        portal_url: str = "",
        radius: Radius | None = None,
        tls: ssl.SSLContext | None = None,
        log: Callable[[str], object] | None = None,
        factory: Factory = AS_SHIPPED,
    ) -> None:
        super().__init__(
            username=username, password=password, version=version, identity=identity, portal_url=portal_url,
            factory=factory,
        )  # fmt: skip
        self.tls = tls
        self.radius = radius
        self.hotspot.nas.source = host
        if log is not None:
            self.story = log
        self._pages = Pages(self)
        self._api = ApiPort(self, (host, port))
        self._web = WebPort(self, (host, http_port), self._pages)
        self._follows_table = coa_port is None
        self.ear = Ear(self.hotspot, host, coa_port or 0)
        self._unplugged = False
        self._ticker = threading.Thread(target=self._pass_time, daemon=True)

    def __enter__(self) -> "RouterSimulator":
        self._api.plug()
        self._web.plug()
        self._pages.login_url = self.login_url
        self.configuration.service("api")["port"] = str(self.port)
        self.listen_for_orders()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._api.unplug()
        self._web.unplug()
        self.ear.unplug()
        self.hotspot.nas.close()

    @property
    def port(self) -> int:
        return self._api.number

    @property
    def http_port(self) -> int:
        return self._web.number

    @property
    def coa_port(self) -> int:
        """Where it hears Disconnect and CoA, once /radius/incoming accepts them."""
        return self.ear.number

    @property
    def login_url(self) -> str:
        """The hotspot's login page."""
        return f"http://{self._web.host}:{self._web.number}/login"

    @property
    def radius(self) -> Radius | None:
        """Who is asked about users that are not in the table; None: the servers in /radius."""
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
        if unplugged:
            self._api.unplug()
            self._web.unplug()
            self.ear.unplug()
        else:
            self._web.plug()
            self.heed_services()
            self.listen_for_orders()

    def cut(self) -> None:
        """Every open connection breaks; new ones are welcome."""
        self._api.cut()
        self._web.cut()

    def reboot(self) -> None:
        """Connections break, uptime begins again, nobody is online any more."""
        self.restart()
        self.cut()

    def reboot_soon(self) -> None:
        """A client of its own asked for it: the answer leaves before the connections break."""
        threading.Timer(0.2, self.reboot).start()

    def reset(self) -> None:
        """Somebody reset its configuration: users, profiles and cookies are gone."""
        self.hotspot.reset()

    def reset_to_factory(self) -> None:
        """Everything anybody configured is gone but the API user it was made with; then it reboots."""
        with self.hotspot.lock:
            self.hotspot.reset()
            for table in (self.hotspot.servers, self.hotspot.server_profiles, self.hotspot.bindings,
                          self.hotspot.radius_servers):  # fmt: skip
                table.empty()
            self.configuration.clear()
            self.accounts.clear()
            self.files.lay_out()
            self.hotspot.make(bare=not self.factory.hotspot, folder=self.files.folder)
            self.configuration.service("api")["port"] = str(self.port)
        self.heed_services()
        self.listen_for_orders()
        self.reboot()

    def heed_services(self) -> None:
        """/ip/service changed: the API's port opens or closes; whoever is in already stays."""
        if self.configuration.service("api")["disabled"] == "true":
            self._api.close_door()
        elif not self._unplugged:
            self._api.plug()

    def listen_for_orders(self) -> None:
        """/radius/incoming changed: hear, or be deaf."""
        row = settings_of(self.configuration.radius_incoming)
        self.ear.is_open = row["accept"] == "true"
        if self._follows_table and self.ear.number != int(row["port"]):
            self.ear.unplug()
            self.ear.number = int(row["port"])
        if self.ear.is_open or not self._follows_table:
            self.ear.plug()

    def jump(self, seconds: float) -> None:
        """Let so much time pass at once: limits are enforced, the clock goes on."""
        self.hotspot.jump(seconds)

    def add_host(self, mac: str, ip: str, server: str = "", name: str = "") -> None:
        """A device joins the WiFi; its MAC, or a cookie of its, may bring it straight in.

        `server` is the hotspot server it comes to: another than before is roaming. `name` is what it calls itself.
        """
        if name:
            self.host_names[read_mac(mac)] = name
        self.hotspot.arrive(read_mac(mac), ip, server, anew=True)

    def remove_host(self, mac: str) -> None:
        """A device goes out of range: its session ends, its cookie stays."""
        host = self.hotspot.hosts.get(read_mac(mac))
        if host is not None:
            self.hotspot.leave(host, "lost-carrier")

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

    def rate_of(self, mac: str) -> str:
        """The rate limit a device has now, upload/download; '' is none, or it is not online."""
        with self.hotspot.lock:
            session = self.hotspot.session_of(read_mac(mac))
            return "" if session is None else self.hotspot.rate_of(session)

    def rows(self, menu: str) -> list[Row]:
        """What a menu such as `/ip/firewall/filter` holds now, as print shows it with secrets."""
        return Console(self).rows(menu, secrets=True)

    def users(self) -> list[Row]:
        """All hotspot users but `default-trial`, as print shows them with passwords."""
        return [row for row in self.rows("/ip/hotspot/user") if row.get("default") != "true"]

    def profiles(self) -> list[Row]:
        """All user profiles but `default`."""
        return [row for row in self.rows("/ip/hotspot/user/profile") if row.get("default") != "true"]

    def active(self) -> list[Row]:
        """Everybody who is online."""
        return self.rows("/ip/hotspot/active")

    def cookies(self) -> list[Row]:
        """The MAC cookies."""
        return self.rows("/ip/hotspot/cookie")

    def hosts(self) -> list[Row]:
        """Everybody on the WiFi."""
        return self.rows("/ip/hotspot/host")

    def _pass_time(self) -> None:
        pause_s = TICK_S
        while not self.closing.wait(pause_s):
            began = time.monotonic()
            self.hotspot.tick()
            # With thousands online a look takes its time: leave most of it to those who ask.
            pause_s = max(TICK_S, 10 * (time.monotonic() - began))
