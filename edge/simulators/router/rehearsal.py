"""Runs the pretend router by itself, for rehearsals and for other programs."""

import threading
from collections.abc import Callable

from edge.simulators.router.simulator import RouterSimulator


def serve(
    host: str = "127.0.0.1",
    port: int = 8728,
    http_port: int = 8180,
    username: str = "edge",
    password: str = "edge",
    portal_url: str = "",
    log: Callable[[str], object] = print,
) -> None:
    """Answer as a MikroTik hotspot would until interrupted."""
    simulator = RouterSimulator(
        host, port, username=username, password=password, http_port=http_port, portal_url=portal_url, log=log,
        coa_port=None,
    )  # fmt: skip
    with simulator:
        for line in _introduce(simulator, host):
            log(line)
        try:
            wait_for_interrupt()
        except KeyboardInterrupt:
            log("Router simulator stopped")


def wait_for_interrupt() -> None:
    """Sleep until Ctrl-C."""
    threading.Event().wait()


def _introduce(simulator: RouterSimulator, host: str) -> list[str]:
    guests = f"Guests are sent to {simulator.portal_url}" if simulator.portal_url else "Guests see its own login page."
    base = simulator.login_url.removesuffix("login")
    return [
        f"Router simulator {simulator.identity}, RouterOS {simulator.version}",
        f"API at {host}:{simulator.port}, username {simulator.username}, password {simulator.password}",
        f"To come as a phone that joined the WiFi: {base}",
        guests,
        f"To come as another phone: {base}?mac=02:00:00:00:00:07&ip=10.5.50.7",
        "Ctrl-C stops it.",
    ]
