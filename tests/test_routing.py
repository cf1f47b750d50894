"""Which way a text leaves: by order, cost, kind, prefix and who answers; and how many a minute and a day."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.domain import breakers, routing
from edge.domain.routing import Route, choose, online_first, setup_of
from edge.models import Throttle
from edge.settings_sections import AfricasTalking, HttpSms, Sms, Twilio

ASHA, ABROAD = "254712345678", "255712345678"
AT = AfricasTalking(username="shop", api_key="k", prefixes=("+254",))
TWILIO = Twilio(account_sid="AC1", auth_token="t", sender="+1")
HTTP = HttpSms(url="http://gw.test/send")


@pytest.fixture
def configured(box):
    def configure(*, has_modem=True, is_rehearsal=False, **more):
        told = {"africastalking": AT, "twilio": TWILIO, **more}
        routing.configure(Sms(**told), has_modem, is_rehearsal)
        return box

    yield configure
    routing.configure(Sms(), has_modem=False, is_rehearsal=False)


def names(routes):
    return [route.name for route in routes]


@pytest.mark.parametrize(
    ("sms", "has_modem", "kind", "msisdn", "tried", "wanted"),
    [
        (Sms(), True, "code", ASHA, (), ["modem"]),
        (Sms(), False, "code", ASHA, (), []),
        (Sms(africastalking=AT, twilio=TWILIO, http=HTTP), True, "code", ASHA, (),
         ["modem", "africastalking", "twilio", "http"]),
        (Sms(africastalking=AT, twilio=TWILIO), True, "code", ASHA, ("modem",), ["africastalking", "twilio"]),
        (Sms(africastalking=AT, twilio=TWILIO), True, "code", ABROAD, (), ["modem", "twilio"]),
        (Sms(route=("twilio", "modem"), africastalking=AT, twilio=TWILIO), True, "code", ASHA, (), ["twilio", "modem"]),
        (Sms(by="cost", africastalking=AT, twilio=TWILIO), True, "code", ASHA, (),
         ["africastalking", "modem", "twilio"]),
        (Sms(kinds={"campaign": "twilio africastalking"}, africastalking=AT, twilio=TWILIO), True, "campaign", ASHA, (),
         ["twilio", "africastalking"]),
        (Sms(kinds={"campaign": "twilio"}, africastalking=AT, twilio=TWILIO), True, "code", ASHA, (),
         ["modem", "africastalking", "twilio"]),
        (Sms(kinds={"campaign": "africastalking"}, africastalking=AT), True, "campaign", ABROAD, (), []),
        (Sms(kinds={"campaign": "http"}, africastalking=AT), True, "campaign", ASHA, (), []),
        (Sms(route=("modem",), kinds={"alert": "twilio"}, twilio=TWILIO), True, "alert", ASHA, (), ["twilio"]),
        (Sms(route=("modem",), kinds={"alert": "twilio"}, twilio=TWILIO), True, "code", ASHA, (), ["modem"]),
    ],
)  # fmt: skip
def test_a_text_may_leave_by_what_is_set_up_and_fits_its_kind_and_number(sms, has_modem, kind, msisdn, tried, wanted):
    assert names(choose(setup_of(sms, has_modem, is_rehearsal=False), kind, msisdn, tried)) == wanted


@pytest.mark.parametrize(
    ("sms", "is_rehearsal", "tried", "wanted"),
    [
        (Sms(), True, (), ["simulated"]),
        (Sms(), True, ("simulated",), []),
        (Sms(), False, (), []),
        (Sms(twilio=TWILIO), True, (), ["twilio"]),
    ],
)
def test_where_nothing_is_set_up_a_rehearsal_pretends(sms, is_rehearsal, tried, wanted):
    assert names(choose(setup_of(sms, False, is_rehearsal), "code", ASHA, tried)) == wanted


def test_whoever_is_left_alone_is_left_out_and_when_all_are_the_first_to_be_back_is_first():
    now = datetime(2026, 3, 2, tzinfo=UTC)
    both = [Route("modem", 100), Route("twilio", 800)]
    assert names(online_first(both, {"modem": now})) == ["twilio"]
    assert names(online_first(both, {"modem": now + timedelta(seconds=9), "twilio": now})) == ["twilio", "modem"]


def test_a_gateway_that_fails_again_and_again_is_passed_over_until_it_may_be_tried(configured):
    box = configured()
    assert names(routing.candidates("code", ASHA, (), box.now)) == ["modem", "africastalking", "twilio"]
    for _ in range(breakers.FAILURES):
        breakers.note_failure(routing.provider_of("modem"), "no port", box.now)
        breakers.note_failure(routing.provider_of("africastalking"), "no credit", box.now)
    assert names(routing.candidates("code", ASHA, (), box.now)) == ["twilio"]
    assert names(routing.candidates("code", ASHA, ("twilio",), box.now)) == ["modem", "africastalking"]  # all that is
    later = box.after(seconds=breakers.PAUSES_S[0] + 1)
    assert names(routing.candidates("code", ASHA, (), later)) == ["modem", "africastalking", "twilio"]
    assert breakers.may_pass("modem", later) is None  # looking took no trial away
    assert names(routing.candidates("code", ASHA, (), later)) == ["africastalking", "twilio"]  # somebody tries it now
    assert (
        names(routing.candidates("code", ASHA, (), later - timedelta(days=2)))[0] == "modem"
    )  # the clock was put back


def test_each_route_has_a_breaker_of_its_own():
    assert [routing.provider_of(name) for name in ("modem", "twilio")] == ["modem", "sms:twilio"]


def test_a_route_sends_so_many_a_minute_and_the_others_are_given_turns_in_line(configured):
    box = configured(per_minute={"modem": 20})
    turns = [routing.turn("modem", box.now) for _ in range(4)]
    assert turns == [None, *(box.now + timedelta(seconds=3 * step) for step in (1, 2, 3))]
    assert routing.turn("twilio", box.now) is None
    assert routing.turn("modem", box.now + timedelta(seconds=3)) is None


def test_a_route_sends_so_many_from_midnight_to_midnight(configured):
    box = configured(per_day={"modem": 3})
    assert [routing.turn("modem", box.now) for _ in range(3)] == [None] * 3
    midnight = datetime(2026, 3, 2, 21, tzinfo=UTC)  # of Nairobi
    assert [routing.turn("modem", box.now) for _ in range(2)] == [midnight] * 2
    assert routing.turn("modem", midnight - timedelta(seconds=1)) == midnight
    assert [routing.turn("modem", midnight) for _ in range(4)] == [None] * 3 + [midnight + timedelta(days=1)]
    assert Throttle.get_by_id("sms-day:modem").failures == 3


def test_a_turn_that_is_not_had_takes_none_of_the_day(configured):
    box = configured(per_minute={"modem": 60}, per_day={"modem": 2})
    assert [routing.turn("modem", box.now) is None for _ in range(3)] == [True, False, False]
    assert Throttle.get_by_id("sms-day:modem").failures == 1
