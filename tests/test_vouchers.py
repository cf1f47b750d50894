"""Vouchers: made, sold, used once, guessed in vain, taken back and exchanged."""

import re
from datetime import timedelta
from math import log2

import pytest

from edge.domain import access, books, clock, guest_codes, vouchers, vouchers_guessed, vouchers_listed
from edge.domain.payments import TooMany
from edge.domain.vouchers import NotGood
from edge.errors import BadInput
from edge.models import Clock, Event, Grant, Plan, Staff, Throttle
from edge.money_models import LedgerEntry, Shift, Voucher
from edge.network_models import Session
from edge.values.voucher_code import show_code

PHONE, OTHER = "AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02"
HERE, THERE = "10.5.50.7", "10.5.50.8"


@pytest.fixture
def plan(box):
    return Plan.get_by_id(1)


@pytest.fixture
def njeri(box):
    return Staff.create(name="Njeri", role="owner", password_hash="-", created_at=box.now)


@pytest.fixture
def one(box, plan):
    """A voucher that nobody has used."""
    return first_of(vouchers.make(plan, 1, box.now))


def first_of(batch):
    return Voucher.get(Voucher.batch == batch)


def use(box, code, mac=PHONE, client=HERE, **context):
    return vouchers.redeem(code, mac, client, context, box.now)


def online(box, grant, mac, router):
    Session.create(
        router=router, source="router", key=mac, username=grant.username, mac=mac, grant=grant.id, started_at=box.now,
        seen_at=box.now,
    )  # fmt: skip


def refusal(box, code, **more):
    with pytest.raises(NotGood) as reason:
        use(box, code, **more)
    return reason.value


# Made.


def test_codes_have_no_look_alikes_are_unique_and_hopeless_to_guess(box, plan):
    batch = vouchers.make(plan, 1_200, box.now, prefix="ks", seller="Mama Pima")
    codes = [voucher.code for voucher in vouchers_listed.whole(batch, box.now)]
    assert len(codes) == len(set(codes)) == 1_200
    assert all(re.fullmatch(f"KS[{access.ALPHABET}]{{9}}", code) for code in codes)
    assert not set("01ILO") & set("".join(codes))
    assert vouchers.LENGTH * log2(len(access.ALPHABET)) >= vouchers.ENOUGH_BITS
    assert vouchers.weakness(vouchers.LENGTH) == ""


def test_a_code_is_nobody_elses(box, plan, monkeypatch):
    grant = access.give(plan, "gift", box.now, username="ABCDEFGHJ")
    imported = access.give(plan, "import", box.now, username="abcdefghk")
    drawn = iter([*"ABCDEFGHJ", *"ABCDEFGHK", *"ABCDEFGHM"])
    monkeypatch.setattr(vouchers.secrets, "choice", lambda letters: next(drawn))
    assert first_of(vouchers.make(plan, 1, box.now)).code == "ABCDEFGHM"
    assert {grant.username, imported.username} == {"ABCDEFGHJ", "abcdefghk"}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"count": 0}, "count"), ({"count": 10_001}, "count"), ({"prefix": "KIO"}, "prefix"), ({"length": 5}, "length"),
        ({"prefix": "ABCDEFG"}, "prefix"), ({"length": 17}, "length"), ({"value_cents": -1}, "value"),
        ({"seller": "x" * 61}, "name"), ({"expires_at": "past"}, "expires"),
    ],
)  # fmt: skip
def test_what_can_not_be_made_is_said(box, plan, wish, field):
    given = {"count": 1, **wish}
    if wish.get("expires_at"):
        given["expires_at"] = box.now
    with pytest.raises(BadInput) as reason:
        vouchers.make(plan, given.pop("count"), box.now, **given)
    assert reason.value.field == field
    assert Voucher.select().count() == 0


def test_short_codes_are_made_with_a_word_about_their_weakness_and_the_prefix_does_not_count(box, plan):
    batch = vouchers.make(plan, 1, box.now, prefix="KSKSKS", length=6)
    assert len(first_of(batch).code) == 12
    assert "30 bits" in vouchers.weakness(6)


def test_a_voucher_gives_what_was_printed_though_the_plan_was_changed(box, plan, one):
    plan.put(seconds=60, bytes=1)
    assert use(box, one.code).seconds == 3600


def test_the_plan_says_until_when_its_vouchers_are_to_be_begun(box, plan):
    plan.put(start_within_s=86_400)
    assert first_of(vouchers.make(plan, 1, box.now)).expires_at == box.now + timedelta(days=1)
    later = box.now + timedelta(days=9)
    assert first_of(vouchers.make(plan, 1, box.now, expires_at=later)).expires_at == later


@pytest.mark.parametrize(
    ("code", "shown"),
    [("ABCDE", "ABCDE"), ("ABCDEF", "ABC DEF"), ("ABCDEFGH", "ABCD EFGH"), ("ABCDEFGHJ", "ABC DEF GHJ"),
     ("ABCDEFGHJK", "ABCD EFG HJK")],
)  # fmt: skip
def test_codes_are_shown_in_groups_that_an_eye_can_hold(code, shown):
    assert show_code(code) == shown


# Sold.


def test_a_sale_over_the_counter_stands_in_the_books_once(box, plan, njeri):
    shift = Shift.create(staff=njeri, opened_at=box.now)
    voucher = vouchers.sell_new(plan, njeri, shift.id, box.now)
    entry = LedgerEntry.get()
    assert (entry.kind, entry.method, entry.money_cents, entry.sold_cents) == ("voucher", "cash", 2000, 2000)
    assert (entry.voucher_id, entry.shift_id, entry.staff_id, entry.plan_id) == (voucher.id, shift.id, njeri.id, 1)
    assert (voucher.state, voucher.sold_at, voucher.shift_id) == ("sold", box.now, shift.id)
    with pytest.raises(BadInput, match="sold already"):
        vouchers.sell(voucher, njeri, shift.id, box.now)
    use(box, voucher.code)
    assert LedgerEntry.select().count() == 1  # to use it is no second sale
    assert books.verify().first_bad is None


def test_a_seller_who_pays_later_pays_for_the_used_ones_too(box, plan, njeri):
    batch = vouchers.make(plan, 3, box.now, seller="Mama Pima", value_cents=1500)
    use(box, first_of(batch).code)
    assert vouchers_listed.batch(batch.id, box.now).used_unpaid == 1
    assert vouchers.sell_batch(batch, njeri, None, box.now) == 3
    assert vouchers.sell_batch(batch, njeri, None, box.now) == 0
    assert [entry.money_cents for entry in LedgerEntry.select()] == [4500]
    found = vouchers_listed.batch(batch.id, box.now)
    assert (found.counts["used"], found.counts["sold"], found.used_unpaid, found.paid_cents) == (1, 2, 0, 4500)


def test_a_batch_may_be_paid_when_it_is_made(box, plan, njeri):
    batch = vouchers.make(plan, 4, box.now, seller="Mama Pima", sold=True, staff=njeri)
    found = vouchers_listed.batch(batch.id, box.now)
    assert (found.counts["sold"], found.paid_cents, LedgerEntry.get().money_cents) == (4, 8000, 8000)


# Used.


@pytest.mark.parametrize("typed", ["{}", " {} ", "lower", "spaced"])
def test_a_voucher_may_be_typed_as_people_type(box, one, typed):
    written = {"lower": one.code.lower(), "spaced": f"{one.code[:3]} {one.code[3:6]}-{one.code[6:]}"}
    grant = use(box, written.get(typed, typed.format(one.code)))
    assert (grant.username, grant.why, grant.mac, grant.seconds) == (one.code, "voucher", PHONE, 3600)
    assert Voucher.get_by_id(one.id).state == "used"


def test_a_voucher_redeemed_twice_at_once_gives_one_grant(box, one, at_once, shared_writer):  # abuse case 9
    answers = at_once(lambda number: use(box, one.code, mac=f"AA:BB:CC:DD:EE:{number % 2:02X}"), count=2)
    won = [answer for answer in answers if isinstance(answer, Grant)]
    lost = [answer for answer in answers if isinstance(answer, NotGood)]
    assert (len(won), len(lost)) == (1, 1)
    assert (lost[0].why, lost[0].at) == ("in_use", box.now)
    assert Grant.select().count() == 1


def test_pressed_twice_on_one_device_it_leads_to_the_same_grant(box, one, at_once, shared_writer):
    answers = at_once(lambda _: use(box, one.code), count=8)
    assert len({answer.id for answer in answers}) == 1
    assert Grant.select().count() == 1


def test_the_code_alone_lets_its_holder_in_from_another_phone_within_the_plans_places(box, one, gate):
    grant = use(box, one.code)
    online(box, grant, PHONE, gate)
    box.after(minutes=1)
    assert refusal(box, one.code, mac=OTHER).why == "in_use"
    Session.update(ended_at=box.now).execute()
    box.after(minutes=2)
    assert use(box, one.code, mac=OTHER).id == grant.id  # the first phone is gone
    Grant.update(devices=2).execute()
    online(box, grant, "AA:BB:CC:DD:EE:03", gate)
    assert use(box, one.code, mac=OTHER).id == grant.id


def test_a_voucher_whose_time_is_over_is_told_with_when_it_was_used(box, one):
    grant, used_at = use(box, one.code), box.now
    access.end(grant, "time", box.after(hours=2))
    reason = refusal(box, one.code)
    assert (reason.why, reason.at) == ("over", used_at)


def test_an_expired_voucher_lets_nobody_in_by_a_clock_that_is_believed(box, plan):
    voucher = first_of(vouchers.make(plan, 1, box.now, expires_at=box.now + timedelta(hours=1)))
    assert vouchers_listed.state_of(voucher, box.after(hours=2)) == "expired"
    reason = refusal(box, voucher.code)
    assert (reason.why, reason.at) == ("expired", voucher.expires_at)
    assert Grant.select().count() == 0
    Clock.update(trusted=False, seen_at=box.now - timedelta(hours=2)).execute()
    assert not clock.is_trusted()
    assert use(box, voucher.code).why == "voucher"


def test_a_voucher_for_one_router_is_not_good_at_another(box, plan, gate, attic):
    voucher = first_of(vouchers.make(plan, 1, box.now, router=attic))
    reason = refusal(box, voucher.code, **{"link-login-only": "http://10.5.50.1/login"})
    assert (reason.why, reason.place) == ("elsewhere", "attic")
    assert Voucher.get_by_id(voucher.id).state == "new"
    assert use(box, voucher.code, **{"link-login-only": "http://10.5.60.1/login"}).router_id == attic.id


def test_a_second_voucher_on_one_device_has_its_own_code_and_time(box, plan):
    first, second = list(Voucher.select().where(Voucher.batch == vouchers.make(plan, 2, box.now)))
    mine = "00:1D:BA:11:22:33"  # addresses can be copied: by one alone nobody is shown another's code
    grant = use(box, first.code, mac=mine)
    other = use(box, second.code, mac=mine)
    assert (other.username, other.seconds, Grant.get_by_id(grant.id).seconds) == (second.code, 3600, 3600)
    vouchers.void(second, None, "", box.now)
    assert (Grant.get_by_id(grant.id).state, Grant.get_by_id(other.id).state) == ("live", "ended")


def test_a_code_taken_over_from_another_system_opens_without_a_pin(box, plan):
    Grant.create(plan=plan, why="import", username="mikhmon-1", password="mikhmon-1", seconds=60, created_at=box.now)
    assert use(box, "mikhmon-1").username == "mikhmon-1"
    bought = access.give(plan, "gift", box.now)
    assert refusal(box, bought.username).why == "unknown"  # that one has a PIN


# Guessed.


def guess(box, times, client=THERE, mac=OTHER):
    outcomes = []
    for number in range(times):
        try:
            vouchers.redeem(f"NOSUCH{number:04d}", mac, client, {}, box.now)
        except (NotGood, TooMany) as reason:
            outcomes.append(type(reason))
    return outcomes


def test_voucher_guessing_is_throttled_for_the_guesser_and_for_nobody_else(box, one):  # abuse case 8
    outcomes = guess(box, vouchers_guessed.FREE + 3)
    assert outcomes == [NotGood] * vouchers_guessed.FREE + [TooMany] * 3
    with pytest.raises(TooMany, match="wait"):
        use(box, one.code, mac=OTHER, client=THERE)  # nor does a right one help him meanwhile
    assert use(box, one.code).why == "voucher"  # its holder never notices
    box.after(hours=1)
    assert guess(box, 2) == [NotGood, TooMany]  # the next pause comes at once, and is longer


def test_a_guesser_who_invents_devices_meets_his_addresss_pause(box):
    outcomes = [guess(box, 1, mac=f"AA:BB:CC:00:00:{number:02X}")[0] for number in range(40)]
    assert outcomes.count(NotGood) == vouchers_guessed.FREE_PER_CLIENT


def test_when_many_guess_everybody_has_fewer_tries_and_the_honest_still_come_in(box, one):
    for number in range(-(-vouchers_guessed.CALM // 10) + 2):
        guess(box, 10, client=f"10.5.51.{number}")
    assert guess(box, 5, client="10.5.52.1") == [NotGood] * vouchers_guessed.FEW + [TooMany] * 2
    assert Event.select().where(Event.name == "vouchers.guessed").count() == 1
    assert guess(box, 1, client=HERE, mac=PHONE) == [NotGood]  # one mistake
    assert use(box, one.code).why == "voucher"


def test_behind_a_router_with_one_address_for_all_a_guesser_locks_out_his_own_device_only(box, one, gate):
    assert guess(box, 60, client=gate.host).count(NotGood) == vouchers_guessed.FREE
    assert use(box, one.code, client=gate.host).why == "voucher"


def test_a_pause_that_was_given_by_a_wrong_clock_means_nothing(box, one):
    guess(box, vouchers_guessed.FREE, client=HERE, mac=PHONE)
    Throttle.update(free_at=box.now + timedelta(days=400)).execute()
    assert use(box, one.code).why == "voucher"


# Taken back.


def test_a_void_voucher_lets_nobody_in_and_whoever_it_let_in_is_ended(box, plan, njeri):
    unused, used = list(Voucher.select().where(Voucher.batch == vouchers.make(plan, 2, box.now)))
    grant = use(box, used.code)
    for voucher in (unused, used):
        vouchers.void(voucher, njeri, "the paper was lost", box.now)
        assert refusal(box, voucher.code).why == "void"
    assert Grant.get_by_id(grant.id).state == "ended"
    with pytest.raises(BadInput, match="void already"):
        vouchers.void(used, njeri, "", box.now)


def test_a_void_batch_leaves_those_who_are_in_alone(box, plan, njeri):
    batch = vouchers.make(plan, 3, box.now)
    grant = use(box, first_of(batch).code)
    assert vouchers.void_batch(batch, njeri, "stolen", box.now) == 2
    assert Grant.get_by_id(grant.id).state == "live"
    assert vouchers_listed.batch(batch.id, box.now).counts | {} == {
        "new": 0, "sold": 0, "used": 1, "void": 2, "expired": 0
    }  # fmt: skip


def test_a_voucher_is_exchanged_for_a_new_code_with_the_rest_of_its_time(box, plan, gate):
    plan.put(bytes=1_000_000)
    old = vouchers.sell_new(plan, None, None, box.now)
    grant = use(box, old.code)
    access.record_placed(grant.id, gate.id, box.now)
    new = vouchers.reissue(old, None, box.after(minutes=20))
    assert (new.seconds, new.bytes, new.state, new.reissue_of_id) == (2400, 1_000_000, "sold", old.id)
    assert (Voucher.get_by_id(old.id).state, Grant.get_by_id(grant.id).state) == ("void", "ended")
    assert refusal(box, old.code).why == "void"
    again = use(box, new.code)
    assert (again.username, access.left(again, box.now).seconds) == (new.code, 2400)
    assert LedgerEntry.select().count() == 1  # no money moved


def test_nothing_left_is_not_exchanged_and_nothing_is_ended_twice(box, one, gate):
    grant = use(box, one.code)
    access.record_placed(grant.id, gate.id, box.now)
    box.after(hours=2)
    with pytest.raises(BadInput, match="Nothing is left"):
        vouchers.reissue(one, None, box.now)
    assert Voucher.get_by_id(one.id).state == "used"
    vouchers.void(one, None, "", box.now)
    with pytest.raises(BadInput, match="nothing to exchange"):
        vouchers.reissue(one, None, box.now)


def test_an_expired_voucher_may_be_exchanged_by_the_shops_goodwill(box, plan):
    plan.put(start_within_s=3600)
    old = first_of(vouchers.make(plan, 1, box.now))
    new = vouchers.reissue(old, None, box.after(days=1))
    assert (new.seconds, new.expires_at) == (3600, box.now + timedelta(hours=1))
    assert use(box, new.code).seconds == 3600


def test_a_grants_page_is_found_by_its_key(box, one):
    grant = use(box, one.code)
    assert guest_codes.by_key(guest_codes.key_of(grant)).id == grant.id
