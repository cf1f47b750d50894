"""What routers tell of themselves: a start reckoned by a clock that is believed, and a reboot told once."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from edge.domain import clock, network
from edge.models import Clock, Router
from edge.values.hotspot import RouterFacts
from tests.conftest import NOW, Box

HOUR = timedelta(hours=1)


def look(box: Box, gate: Router, uptime_s: int, now: datetime | None = None, version: str = "7.19.6") -> Router:
    """Ask it, at this instant of the box's clock."""
    facts = RouterFacts(version, "hAP", "gate", uptime_s, None, True, "")
    at = now or box.now
    network.record_facts(gate.id, facts, at, at)
    return Router.get_by_id(gate.id)


def reboots(box: Box) -> int:
    return len(box.events("router.rebooted"))


def test_an_uptime_that_fell_is_a_reboot_and_told_once(box: Box, gate: Router) -> None:
    look(box, gate, 86_400)
    assert look(box, gate, 86_460, box.after(minutes=1)).booted_at == NOW - timedelta(days=1)
    assert (reboots(box), look(box, gate, 30, box.after(minutes=1)).booted_at) == (0, box.now - timedelta(seconds=30))
    look(box, gate, 90, box.after(minutes=1))
    assert reboots(box) == 1


def test_a_reboot_while_nobody_looked_is_found_by_the_time_that_went_by(box: Box, gate: Router) -> None:
    look(box, gate, 100)
    router = look(box, gate, 3 * 86_400, box.after(days=7))
    assert (reboots(box), router.booted_at) == (1, box.now - timedelta(days=3))
    look(box, gate, 3 * 86_400 + 60, box.after(minutes=1))
    assert reboots(box) == 1


def test_a_clock_that_leaps_reboots_no_router(box: Box, gate: Router) -> None:
    Clock.update(trusted=False).execute()
    early = NOW - timedelta(days=90)  # no clock chip: it goes on from the last shutdown
    assert look(box, gate, 86_400, early).booted_at is None
    Clock.update(trusted=True, seen_at=NOW).execute()
    assert look(box, gate, 86_460).booted_at == NOW - timedelta(seconds=86_460)
    leapt = NOW + timedelta(days=400)  # between two beats
    assert look(box, gate, 86_520, leapt).booted_at == NOW - timedelta(seconds=86_460)
    clock.beat(leapt, synchronised=True)
    assert look(box, gate, 86_580, leapt).facts["uptime_s"] == 86_580
    assert reboots(box) == 0


def test_a_reboot_seen_by_a_clock_that_nobody_believes_is_told_once_and_its_start_reckoned_later(
    box: Box, gate: Router
) -> None:
    look(box, gate, 86_400)
    Clock.update(trusted=False).execute()
    assert look(box, gate, 60, NOW - HOUR).booted_at is None
    Clock.update(trusted=True).execute()
    router = look(box, gate, 120, box.after(hours=1))
    assert (reboots(box), router.booted_at) == (1, box.now - timedelta(seconds=120))


def test_a_clock_that_drifts_from_ours_is_no_reboot(box: Box, gate: Router) -> None:
    look(box, gate, 86_400)
    for _ in range(10):
        look(box, gate, 86_400 + 20 * 86_400 - 31, box.after(days=20))
        assert reboots(box) == 0
        gate.put(booted_at=NOW - timedelta(days=1), facts={"uptime_s": 86_400, "looked_at": NOW.timestamp()})
        box.now = NOW


@pytest.mark.parametrize("known", [{}, {"uptime_s": 86_400}])
def test_an_answer_that_tells_nothing_changes_nothing(box: Box, gate: Router, known: dict[str, Any]) -> None:
    gate.put(facts=known, booted_at=NOW - HOUR)
    router = look(box, gate, 0, version="")
    assert (router.facts, router.booted_at, reboots(box)) == (known, NOW - HOUR, 0)
