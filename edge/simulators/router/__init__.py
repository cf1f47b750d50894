"""A pretend MikroTik hotspot: the RouterOS API on the wire, and the login page that guests meet."""

from edge.simulators.router.configuration import Factory
from edge.simulators.router.rehearsal import serve
from edge.simulators.router.simulator import RouterSimulator

__all__ = ["Factory", "RouterSimulator", "serve"]
