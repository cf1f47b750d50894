"""Checks: every answer is kept, a flip is written once and alerts once, and a part that flaps is damped."""

from datetime import timedelta

import pytest

from edge.domain import checks
from edge.models import Check, Event, Router
from edge.network_models import Flip
from tests.conftest import Box


def alerts() -> list[str]:
    found = Event.select().where(Event.name.startswith("part.")).order_by(Event.id)
    return [event.name.removeprefix("part.") for event in found]


def flips() -> list[str]:
    return [flip.state for flip in Flip.select().order_by(Flip.id)]


def say(box: Box, *states: str, every_s: float = 60) -> None:
    for state in states:
        checks.record("modem", state, f"it is {state}", box.after(seconds=every_s))


def test_a_part_that_stays_well_leaves_no_flip_and_no_alert(box: Box) -> None:
    say(box, "ok", "ok", "ok")
    assert flips() == alerts() == []
    assert Check.get_by_id("modem").checked_at == box.now  # the answer itself is kept


def test_a_flip_is_written_once_and_alerts_once(box: Box) -> None:
    say(box, "ok", "problem", "problem", "problem", "ok", "ok")
    assert flips() == ["problem", "ok"] and alerts() == ["failed", "recovered"]
    newest, older = checks.flips("modem")
    assert (newest.state, newest.words) == ("ok", "it is ok") and older.at < newest.at


def test_the_first_word_on_a_part_alerts_only_when_it_is_bad(box: Box) -> None:
    say(box, "problem")
    checks.record("mpesa", "ok", "answers", box.now)
    assert alerts() == ["failed"] and flips() == ["problem"]


def test_other_words_for_the_same_state_are_no_flip(box: Box) -> None:
    checks.record("modem", "problem", "no SIM", box.now)
    checks.record("modem", "problem", "no network", box.after(minutes=1))
    assert flips() == ["problem"] and Check.get_by_id("modem").words == "no network"


def test_a_part_that_flaps_is_told_of_once_and_again_when_it_has_settled(box: Box) -> None:
    say(box, "ok", *["problem", "ok"] * 10)
    assert len(flips()) == 20  # the history has every one
    assert alerts() == ["failed", "recovered", "failed", "recovered", "failed", "flapping"]
    say(box, *["ok"] * 20)
    assert alerts()[6:] == ["recovered"]
    say(box, *["ok"] * 40)
    assert alerts()[6:] == ["recovered"]


def test_a_part_that_flaps_and_stays_away_is_told_as_away(box: Box) -> None:
    say(box, "ok", *["problem", "ok"] * 4, "problem", *["problem"] * 20)
    assert alerts()[-2:] == ["flapping", "failed"]


def test_flips_far_apart_each_have_their_alert(box: Box) -> None:
    say(box, "ok", *["problem", "ok"] * 6, every_s=600)
    assert alerts() == ["failed", "recovered"] * 6


def test_one_part_that_flaps_keeps_no_other_quiet(box: Box) -> None:
    say(box, "ok", *["problem", "ok"] * 10)
    checks.record("mpesa", "problem", "no answer", box.now)
    assert alerts()[-1] == "failed" and Event.select().order_by(Event.id.desc()).first().data["part"] == "mpesa"


@pytest.mark.parametrize("limit", [1, 3])
def test_flips_of_all_parts_are_listed_the_newest_first(box: Box, limit: int) -> None:
    for number in range(5):
        checks.record(f"part{number}", "problem", "x", box.after(minutes=1))
    assert [flip.name for flip in checks.flips(limit=limit)] == [f"part{number}" for number in range(4, 4 - limit, -1)]


def test_an_old_flip_is_forgotten_and_a_young_one_is_not(box: Box) -> None:
    Flip.create(name="modem", state="ok", at=box.now - timedelta(days=91))
    Flip.create(name="modem", state="problem", at=box.now - timedelta(days=89))
    assert checks.prune(box.now) == 1 and flips() == ["problem"]


def test_a_router_that_comes_and_goes_still_gets_its_guests_their_time(box: Box, gate: Router) -> None:
    for _ in range(10):
        checks.record_router(gate.id, False, "no answer", box.after(minutes=1))
        assert checks.record_router(gate.id, True, "RouterOS 7.15", box.after(minutes=1))
