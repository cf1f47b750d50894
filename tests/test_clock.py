"""Time is money: nothing expires by a clock that nobody vouches for, and what was lost is given back once."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.domain import access, checks, clock, convergence
from edge.models import Clock


def left(box, payment):
    """Whole minutes still owed."""
    return round(access.seconds_left(box.grant(payment), box.now) / 60)


def beat(box, synchronised=True, **span):
    """So much later by the clock on the wall, and the box looks at it."""
    box.now += timedelta(**span)
    return clock.beat(box.now, synchronised)


@pytest.fixture
def asha(box, gate):
    """She has an hour, and gate let her in at nine."""
    payment = box.paid(context={"link-login-only": "http://10.5.50.1/login"})
    access.record_placed(box.grant(payment).id, gate.id, box.now)
    return payment


@pytest.mark.parametrize(
    "synchronised, offsets_s, trusted, words",
    [
        (True, [], True, "NTP"),
        (False, [], False, "nobody vouches"),
        (False, [59], True, "agrees"),
        (False, [-59], True, "agrees"),
        (False, [61], False, "nobody vouches"),
        (False, [4000, 3], True, "agrees"),
        (True, [4000], True, "NTP"),
    ],
)
def test_somebody_independent_has_to_vouch(box, synchronised, offsets_s, trusted, words):
    assert clock.beat(box.now, synchronised, [timedelta(seconds=s) for s in offsets_s]) is trusted
    assert words in clock.state().words


def test_only_routers_that_answered_lately_are_asked(box, gate, attic):
    checks.record_router_clock(gate.id, 3.5, box.now)
    checks.record_router_clock(attic.id, 900, box.now - timedelta(minutes=6))
    assert clock.router_offsets(box.now) == [timedelta(seconds=3.5)]


def test_a_clock_behind_what_the_box_has_lived_through_is_not_believed(box):
    assert not beat(box, hours=-5)
    assert clock.state().seen_at == box.now + timedelta(hours=5)
    assert box.events("clock.doubted")
    assert beat(box, hours=5)
    assert box.events("clock.trusted")


def test_a_second_or_two_back_is_no_reason_to_doubt(box):
    assert beat(box, seconds=-2)
    assert clock.state().seen_at == box.now + timedelta(seconds=2)


def test_a_jump_between_two_beats_is_not_believed_until_it_is_judged(box, asha):
    box.now += timedelta(hours=2)
    assert not clock.is_trusted(box.now)
    assert convergence.sweep(box.now) == 0
    assert left(box, asha) == 60
    beat(box)  # NTP says it is right: the box was away
    assert left(box, asha) == 60
    assert clock.is_trusted(box.now)


def test_contract_10_nothing_expires_by_a_clock_that_is_not_trusted_yet(box, asha):
    beat(box, synchronised=False, minutes=1)
    for hours in (3, 24, 240):
        box.now += timedelta(hours=hours)
        assert convergence.sweep_if_due(box.now) == 0
        assert left(box, asha) == 60
    assert box.grant(asha).state == "live"


def test_contract_10_the_boxs_own_downtime_is_given_back(box, asha):
    box.after(minutes=20)
    beat(box, minutes=90)
    assert left(box, asha) == 40
    assert box.grant(asha).credited_s == 90 * 60
    assert box.events("time.credited") == [{"guests": 1, "seconds": 5400, "why": "the box was off"}]
    assert convergence.sweep(box.after(minutes=41)) == 1


def test_a_gap_of_two_minutes_is_no_outage(box, asha):
    beat(box, minutes=2)
    assert left(box, asha) == 58


def test_who_was_over_before_the_power_cut_gets_nothing(box, asha):
    box.after(minutes=70)
    beat(box, minutes=90)
    assert convergence.sweep(box.now) == 1


def test_the_time_of_doubt_is_given_back_when_trust_returns(box, asha):
    beat(box, synchronised=False, minutes=1)
    beat(box, synchronised=False, minutes=30)
    beat(box, minutes=1)
    assert left(box, asha) == 60


@pytest.mark.parametrize("years", [-10, -1, 1, 10])
def test_a_guest_who_pays_under_a_wrong_clock_gets_his_hour(box, gate, years):
    box.after(minutes=1)
    right = box.now
    box.now += timedelta(days=365 * years)  # no battery, or a bad one
    beat(box, synchronised=False)
    payment = box.paid()
    access.record_placed(box.grant(payment).id, gate.id, box.now)
    assert left(box, payment) == 60
    box.now += timedelta(minutes=15)
    assert (convergence.sweep(box.now), left(box, payment)) == (0, 60)
    box.now = right + timedelta(minutes=15)  # NTP arrives
    beat(box)
    assert left(box, payment) == 60
    assert convergence.sweep(box.after(minutes=59)) == 0
    assert convergence.sweep(box.after(minutes=2)) == 1


def away(box, router, back_after):
    """This router is silent for so long, seen by a check a minute."""
    checks.record_router(router.id, False, "no answer", box.now)
    box.after(minutes=back_after)
    return checks.record_router(router.id, True, "RouterOS 7.15", box.now)


def test_contract_10_a_routers_downtime_is_given_back_to_its_guests(box, gate, asha):
    assert away(box, gate, 30)
    assert left(box, asha) == 60
    assert not checks.record_router(gate.id, True, "RouterOS 7.15", box.now)


def test_nobody_ends_while_his_router_is_away(box, gate, attic, asha):
    checks.record_router(gate.id, False, "no answer", box.now)
    assert convergence.sweep(box.after(hours=5)) == 0
    assert checks.record_router(gate.id, True, "ok", box.now)
    assert left(box, asha) == 60
    assert convergence.sweep(box.after(minutes=61)) == 1


def test_guests_of_another_router_get_nothing_for_it(box, gate, attic, asha):
    juma = box.paid(box.juma, context={"link-login-only": "http://10.5.60.1/login"})
    access.record_placed(box.grant(juma).id, attic.id, box.now)
    away(box, gate, 30)
    assert (left(box, asha), left(box, juma)) == (60, 30)


def test_who_stands_nobody_knows_where_is_served_while_any_router_is_up(box, gate, attic):
    asha = box.paid()
    access.record_placed(box.grant(asha).id, gate.id, box.now)
    checks.record_router(gate.id, False, "no answer", box.now)
    assert convergence.sweep(box.after(minutes=61)) == 1
    juma = box.paid(box.juma)
    access.record_placed(box.grant(juma).id, attic.id, box.now)
    checks.record_router(attic.id, False, "no answer", box.now)
    assert convergence.sweep(box.after(minutes=61)) == 0


def test_a_short_absence_is_nobodys_loss(box, gate, asha):
    away(box, gate, 1)
    assert left(box, asha) == 59


def test_a_power_cut_that_took_box_and_router_is_given_back_once(box, gate, asha):
    box.after(minutes=10)
    checks.record_router(gate.id, False, "no answer", box.now)  # seen before the box went off too
    beat(box, minutes=60)
    assert left(box, asha) == 50
    box.after(minutes=5)
    checks.record_router(gate.id, True, "ok", box.now)
    assert left(box, asha) == 50
    assert box.grant(asha).credited_s == 65 * 60


def test_a_router_away_for_long_before_the_box_went_off_owes_that_too(box, gate, asha):
    checks.record_router(gate.id, False, "no answer", box.now)
    box.after(minutes=40)
    beat(box, minutes=30)
    box.after(minutes=3)
    checks.record_router(gate.id, True, "ok", box.now)
    assert left(box, asha) == 60


def test_two_routers_away_at_once_are_given_back_once(box, gate, attic):
    asha = box.paid()
    access.record_placed(box.grant(asha).id, gate.id, box.now)
    for router in (gate, attic):
        checks.record_router(router.id, False, "no answer", box.now)
    box.after(minutes=30)
    checks.record_router(gate.id, True, "ok", box.now)
    box.after(minutes=15)
    checks.record_router(attic.id, True, "ok", box.now)
    assert left(box, asha) == 60


def test_a_router_seen_away_by_a_wrong_clock_owes_no_years(box, gate, asha):
    right = box.now
    box.now -= timedelta(days=3650)
    beat(box, synchronised=False)
    checks.record_router(gate.id, False, "no answer", box.now)
    box.now = right + timedelta(minutes=30)
    beat(box)
    checks.record_router(gate.id, True, "ok", box.now)
    assert left(box, asha) == 60


def test_before_its_first_beat_the_box_takes_the_time_as_it_comes(box):
    Clock.delete().execute()
    assert not clock.is_trusted()
    assert clock.reckoned(box.now) == box.now
    assert clock.beat(datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), True)


def test_a_part_makes_an_event_only_when_it_flips(box):
    for state in ("ok", "ok", "problem", "problem", "ok"):
        checks.record("mpesa", state, f"it is {state}", box.after(minutes=1))
    assert [len(box.events(f"part.{word}")) for word in ("failed", "recovered")] == [1, 1]
    checks.record("modem", "problem", "no answer", box.now)
    assert len(box.events("part.failed")) == 2
    assert [check.name for check in checks.everything()] == ["modem", "mpesa"]
