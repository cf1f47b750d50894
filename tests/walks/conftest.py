"""The cast's surroundings: M-Pesa, the router `gate`, a modem, and a box that sells through them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.simulators.modem import ModemSimulator
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.router import RouterSimulator
from tests.walks.box import Box


@pytest.fixture
def mpesa() -> Iterator[MpesaSimulator]:
    with MpesaSimulator() as simulator:
        yield simulator


@pytest.fixture
def router() -> Iterator[RouterSimulator]:
    with RouterSimulator() as simulator:
        yield simulator


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator() as simulator:
        yield simulator


@pytest.fixture
def box(tmp_path: Path, mpesa: MpesaSimulator, router: RouterSimulator, modem: ModemSimulator) -> Iterator[Box]:
    """Not made yet: a test may change its settings, then `make` and `start` it."""
    found = Box(tmp_path, mpesa, router, modem)
    yield found
    found.stop()


@pytest.fixture
def shop(box: Box) -> Box:
    """Made and started: web and worker."""
    box.make()
    box.start()
    return box
