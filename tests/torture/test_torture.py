"""The storm in short: half a minute of kills, power cuts, wrong clocks and full disks, and the books are right."""

from pathlib import Path

import pytest

from tests.torture import shims
from tests.torture.shop import a_shop
from tests.torture.storm import Storm, show

pytestmark = [shims.needs_compiler, pytest.mark.timeout(400)]

SEED, CYCLES, SECONDS = 20260, 25, 30


def test_a_storm_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    with a_shop(tmp_path, SEED) as shop:
        figures = Storm(shop, SEED, print).run(CYCLES, SECONDS)
        print(show(figures))
    assert figures["payments paid"] == figures["grants"] == figures["router users"]
    assert figures["callbacks acknowledged"] > 0
