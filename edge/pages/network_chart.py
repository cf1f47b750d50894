"""A router's day as plain SVG shapes: how many devices were online, what the line to the internet carried."""

from collections.abc import Callable, Sequence

from edge.domain.samples import Slice
from edge.pages.chart import HEIGHT, STEP, Bar, Chart, scale_top


def online(slices: Sequence[Slice]) -> Chart:
    """The most devices in each quarter of an hour."""
    top = max(5.0, scale_top(max(slice.online for slice in slices)))
    return Chart(_row(slices, "online", lambda slice: slice.online / top), top, len(slices) * STEP)


def traffic(slices: Sequence[Slice]) -> Chart:
    """What came from the internet, and before it what went there, in bits per second."""
    top = max(1e6, scale_top(max(max(slice.bps_in, slice.bps_out) for slice in slices)))
    came = _row(slices, "came", lambda slice: slice.bps_in / top)
    return Chart(came + _row(slices, "went", lambda slice: slice.bps_out / top), top, len(slices) * STEP)


def _row(slices: Sequence[Slice], kind: str, share: Callable[[Slice], float]) -> list[Bar]:
    talls = [(place, max(0.8, share(slice) * HEIGHT)) for place, slice in enumerate(slices) if slice.looks]
    return [Bar(kind, place * STEP + 1, round(HEIGHT - tall, 2), round(tall, 2)) for place, tall in talls]
