"""Charts as plain SVG shapes, drawn on the server: the browser only stretches them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.domain.board import Slice

STEP, BAR, HEIGHT = 10.0, 8.0, 100.0  # of one slice and the whole, in the SVG's own units
FEWEST = 0.01


@dataclass(frozen=True)
class Bar:
    """One rectangle; `kind` is its class in the style sheet."""

    kind: str
    x: float
    y: float
    height: float
    width: float = BAR


@dataclass(frozen=True)
class Chart:
    """Bars over a scale that ends at `top`."""

    bars: list[Bar]
    top: float
    width: float
    height: float = HEIGHT


def outcomes(slices: Sequence[Slice]) -> Chart:
    """How much was done, put back and failed in each step, one on the other."""
    top = max(1.0, scale_top(max(slice.ended for slice in slices)))
    bars = []
    for place, slice in enumerate(slices):
        floor = HEIGHT
        for kind, count in (("done", slice.done), ("retried", slice.retried), ("failed", slice.failed)):
            if count:
                tall = max(1.5, count / top * HEIGHT)  # one failure among thousands can still be seen
                floor = max(0.0, floor - tall)
                bars.append(Bar(kind, place * STEP + 1, round(floor, 2), round(tall, 2)))
    return Chart(bars, top, len(slices) * STEP)


def waits(slices: Sequence[Slice]) -> Chart:
    """The longest wait of each step, in seconds, and before it the mean."""
    top = scale_top(max(FEWEST, *(slice.wait_max_s for slice in slices)))
    longest = _row(slices, "longest", lambda slice: slice.wait_max_s / top)
    return Chart(longest + _row(slices, "mean", lambda slice: slice.wait_mean_s / top), top, len(slices) * STEP)


def _row(slices: Sequence[Slice], kind: str, share: Callable[[Slice], float]) -> list[Bar]:
    talls = [(place, max(0.8, share(slice) * HEIGHT)) for place, slice in enumerate(slices) if slice.ended]
    return [Bar(kind, place * STEP + 1, round(HEIGHT - tall, 2), round(tall, 2)) for place, tall in talls]


def scale_top(most: float) -> float:
    """The next 1, 2 or 5 with noughts: where a scale may end."""
    if most <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(most))
    return next((step * size for step in (1, 2, 5) if most <= step * size * 1.000001), 10 * size)
