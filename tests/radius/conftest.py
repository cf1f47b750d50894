"""One shop and its FreeRADIUS a file; the router `gate` asks it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.devices.radius import FreeRadius
from edge.simulators.router.radius_client import RadiusClient
from tests.radius import shop as radius_shop
from tests.radius.shop import GATE, GATE_SECRET, router_at


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In a folder with a space in its name."""
    with radius_shop.opened(tmp_path_factory.mktemp("the shop")) as path:
        yield path


@pytest.fixture(scope="module")
def server(shop: Path) -> Iterator[FreeRadius]:
    with radius_shop.serving(shop) as daemon:
        yield daemon


@pytest.fixture
def gate(server: FreeRadius) -> RadiusClient:
    return router_at(server, GATE, GATE_SECRET)
