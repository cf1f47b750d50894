"""A pretend router, and a client of its API that has logged in."""

from collections.abc import Iterator

import pytest

from edge.simulators.router import RouterSimulator
from tests.peers.routeros_wire import Wire, log_in


@pytest.fixture
def gate() -> Iterator[RouterSimulator]:
    with RouterSimulator() as simulator:
        yield simulator


@pytest.fixture
def wire(gate: RouterSimulator) -> Iterator[Wire]:
    opened = log_in(gate)
    yield opened
    opened.socket.close()
