"""A router's counters over resets, reboots, lost answers and questions out of step: nothing twice, nothing lost."""

import pytest

from edge.domain.counters import Reading, used_since


def total(*readings):
    """Seconds used over all looks."""
    kept, used = None, 0
    for reading in readings:
        seconds, _, kept = used_since(kept, reading)
        used += seconds
    return used


@pytest.mark.parametrize(
    "story, readings, used",
    [
        ("a session runs and ends", [(0, 0, 60, 0), (0, 0, 120, 0), (180, 0, 0, 0)], 180),
        ("nothing happens", [(180, 0, 0, 0)] * 3, 180),
        ("it ends between the questions", [(0, 0, 600, 0), (0, 0, 0, 0), (600, 0, 0, 0)], 600),
        ("counters are reset by hand", [(600, 0, 0, 0), (0, 0, 0, 0), (60, 0, 0, 0)], 660),
        ("the row is new, and more than before", [(600, 0, 0, 0), (0, 0, 700, 0)], 1300),
        ("the row is new before any session ended", [(0, 0, 600, 0), (0, 0, 60, 0), (0, 0, 120, 0)], 720),
        ("a reboot loses a session", [(1800, 0, 600, 0), (1800, 0, 0, 0), (1800, 0, 0, 0), (1860, 0, 0, 0)], 2460),
    ],
)
def test_what_was_used(story, readings, used):
    assert total(*(Reading(row_s, row_b, run_s, run_b) for row_s, row_b, run_s, run_b in readings)) == used
