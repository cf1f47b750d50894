"""The figures of texts for Prometheus: today's by state and route, campaigns, credits, the modem's signal, airtime."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from edge.domain import airtime, credits, modem_samples, text_figures

Labels = dict[str, str]
Family = Callable[[str, str, str, Iterable[tuple[str, Labels, float]]], str]
NEWS = timedelta(minutes=5)  # an older word of the modem is none: a gap in the graph
CAMPAIGNS = ("draft", "scheduled", "pending", "processing", "paused", "completed", "failed", "cancelled")


def texts(family: Family, midnight: datetime, now: datetime) -> Iterator[str]:
    """Written since `midnight`; what a route did not take yet stands under an empty route."""
    day = text_figures.since(midnight).counts
    samples = [("", {"route": route, "state": state}, count) for (route, state), count in sorted(day.items())]
    yield family("edge_texts_today", "gauge", "Texts written since midnight UTC, by route and state.", samples)
    yield from _credits(family)
    counted = text_figures.campaigns_by_state()
    states = [("", {"state": state}, counted.get(state, 0)) for state in CAMPAIGNS]
    yield family("edge_campaigns", "gauge", "Campaigns, by state.", states)
    yield from _modem(family, now)


def _credits(family: Family) -> Iterator[str]:
    held = credits.balance()
    accounts = (("available", held.available), ("reserved", held.reserved), ("spent", held.spent))
    samples: list[tuple[str, Labels, float]] = [("", {"account": name}, amount) for name, amount in accounts]
    yield family("edge_credits", "gauge", "Credits for texts that staff write, by account.", samples)


def _modem(family: Family, now: datetime) -> Iterator[str]:
    last = modem_samples.latest()
    if last is not None and now - last.at < NEWS:
        yield family("edge_modem_registered", "gauge", "1 while a network knows the SIM.", _one(last.registered))
        if last.signal_dbm is not None:
            words = "What the modem hears of the network."
            yield family("edge_modem_signal_dbm", "gauge", words, _one(last.signal_dbm))
    known = airtime.latest()
    if known is not None and known.balance_cents is not None:
        words = "Of the modem's SIM, in KES, when the network told it last."
        yield family("edge_modem_airtime", "gauge", words, _one(known.balance_cents / 100))


def _one(value: float) -> list[tuple[str, Labels, float]]:
    return [("", {}, value)]
