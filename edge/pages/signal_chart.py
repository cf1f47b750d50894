"""A day of the modem's signal as plain SVG shapes, and in words."""

from collections.abc import Sequence

from edge.domain.modem_samples import Slice
from edge.pages.chart import HEIGHT, STEP, Bar, Chart
from edge.texts import say

WEAKEST, STRONGEST = -113, -51  # dBm: what AT+CSQ can tell (3GPP 27.007, 8.5)
LEAST = 0.8  # a bar that says nothing more than: it was asked
GOOD, FAIR = -85, -98  # from -99 on texts begin to fail


def chart(slices: Sequence[Slice]) -> Chart:
    """Green as high as the signal is strong; red for the share of a quarter of an hour without a network."""
    bars = []
    for place, slice in enumerate(slices):
        if slice.signal_dbm is not None and slice.registered:
            bars.append(_bar("signal", place, share(slice.signal_dbm)))
        if away(slice):
            bars.append(_bar("away", place, away(slice)))
    return Chart(bars, STRONGEST, len(slices) * STEP)


def _bar(kind: str, place: int, of_all: float) -> Bar:
    tall = max(LEAST, of_all * HEIGHT)
    return Bar(kind, place * STEP + 1, round(HEIGHT - tall, 2), round(tall, 2))


def away(slice: Slice) -> float:
    """In which share of its looks there was no network."""
    return (slice.looks - slice.registered) / slice.looks if slice.looks else 0.0


def share(signal_dbm: float) -> float:
    """Of the strongest signal that a modem can tell of."""
    return min(1.0, max(0.0, (signal_dbm - WEAKEST) / (STRONGEST - WEAKEST)))


def strength(signal_dbm: int | None) -> str:
    """In words."""
    if signal_dbm is None:
        return say("texts_page.signal_unknown")
    name = "good" if signal_dbm >= GOOD else "fair" if signal_dbm >= FAIR else "weak"
    return say(f"texts_page.signal_{name}", dbm=signal_dbm)
