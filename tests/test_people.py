"""Staff: passwords, sign-in, locks that can't be turned against the owner, sessions and tokens."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from edge import database
from edge.domain import people
from edge.errors import BadInput, NotDurable
from edge.models import Staff, StaffSession, Throttle
from edge.schema import migrate

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WORDS = "three long words"
SHOP, CAFE = "192.168.88.10", "192.168.88.77"


@pytest.fixture(autouse=True)
def box(tmp_path, monkeypatch):
    monkeypatch.setattr(people, "N", 2**8)  # a password as cheap as it can be: these tests are not about its cost
    database.open_database(tmp_path / "edge.db")
    migrate(tmp_path / "edge.db")
    yield
    database.close_database()


@pytest.fixture
def njeri():
    return people.add("Njeri", WORDS, "owner", NOW)


def wrong(times, name="Njeri", source=CAFE, now=NOW):
    for _ in range(times):
        with pytest.raises(BadInput):
            people.sign_in(name, "not the password", now, source)


@pytest.mark.parametrize(
    ("name", "password", "role", "field"),
    [
        ("Njeri", "too short", "owner", "password"),
        ("Njeri", "x" * 201, "owner", "password"),
        ("Njeri Wanjiru", "njeri wanjiru", "owner", "password"),
        ("Njeri", WORDS, "king", "role"),
        ("", WORDS, "owner", "name"),
        ("x" * 61, WORDS, "owner", "name"),
        ("Nj\neri", WORDS, "owner", "name"),
    ],
)
def test_who_can_not_be_staff_is_told_what_to_choose_better(name, password, role, field):
    with pytest.raises(BadInput) as told:
        people.add(name, password, role, NOW)
    assert told.value.field == field
    assert Staff.select().count() == 0


def test_a_name_is_given_once_however_it_is_written(njeri):
    with pytest.raises(BadInput):
        people.add("NJERI", WORDS, "cashier", NOW)


def test_a_password_is_kept_only_as_scrypt_with_a_salt_of_its_own():
    first, second = people.add("Njeri", WORDS, "owner", NOW), people.add("Juma", WORDS, "cashier", NOW)
    assert first.password_hash.startswith("scrypt$")
    assert first.password_hash != second.password_hash
    assert WORDS not in first.password_hash


def test_a_real_password_costs_what_the_design_says(monkeypatch, njeri):
    monkeypatch.setattr(people, "N", 2**14)
    people.set_password(njeri, WORDS)
    assert Staff.get_by_id(njeri.id).password_hash.startswith("scrypt$16384$8$5$")
    assert people.sign_in("Njeri", WORDS, NOW, SHOP)


def test_the_right_password_opens_a_session_that_only_its_token_finds(njeri):
    token = people.sign_in(" njeri ", WORDS, NOW, SHOP)
    session = people.session_of(token, NOW)
    assert session is not None and session.staff.name == "Njeri"
    assert len(session.csrf) == 32
    kept = StaffSession.get()
    assert token not in (kept.digest, kept.csrf) and re.fullmatch("[0-9a-f]{64}", kept.digest)
    assert people.session_of(token + "x", NOW) is None
    assert people.session_of(kept.digest, NOW) is None


def test_each_sign_in_has_a_new_token(njeri):
    assert people.sign_in("Njeri", WORDS, NOW, SHOP) != people.sign_in("Njeri", WORDS, NOW, SHOP)


@pytest.mark.parametrize("name", ["Njeri", "Nobody", "", "\ud800", "x" * 10_000])
def test_a_wrong_password_and_an_unknown_name_are_told_alike(njeri, name):
    with pytest.raises(BadInput) as told:
        people.sign_in(name, "not the password", NOW, SHOP)
    assert str(told.value) == "Name and password do not fit together."


def test_an_unknown_name_costs_the_work_of_a_known_one():
    assert people._NOBODY.split("$")[:4] == ["scrypt", "16384", "8", "5"]
    assert people._is_right("whatever", people._NOBODY) is False


@pytest.mark.parametrize(
    ("failures", "wait_s"), [(1, 0), (4, 0), (5, 30), (6, 60), (7, 120), (9, 480), (10, 900), (50_000, 900)]
)
def test_a_lock_grows_to_a_quarter_of_an_hour(failures, wait_s):
    assert people.lock_s(failures, people.FREE_PER_NAME) == wait_s


def test_after_five_wrong_passwords_even_the_right_one_waits(njeri):
    wrong(5)
    with pytest.raises(people.Locked) as told:
        people.sign_in("Njeri", WORDS, NOW, CAFE)
    assert 0 < told.value.retry_after_s <= 31
    assert people.sign_in("Njeri", WORDS, NOW + timedelta(seconds=31), CAFE)


def test_nobody_can_lock_the_owner_out_from_another_address(njeri):
    wrong(12)
    assert people.sign_in("Njeri", WORDS, NOW, SHOP)


def test_a_locked_address_is_still_locked_after_the_owner_signed_in_elsewhere(njeri):
    wrong(5)
    people.sign_in("Njeri", WORDS, NOW, SHOP)
    with pytest.raises(people.Locked):
        people.sign_in("Njeri", WORDS, NOW, CAFE)


def test_the_right_password_clears_the_count(njeri):
    wrong(4)
    people.sign_in("Njeri", WORDS, NOW, CAFE)
    wrong(4)
    assert people.sign_in("Njeri", WORDS, NOW, CAFE)


def test_one_address_can_not_try_names_without_end(njeri, monkeypatch):
    monkeypatch.setattr(people, "_NOBODY", people._hash("nobody's"))
    for number in range(people.FREE_PER_SOURCE):
        wrong(1, name=f"name {number}")
    with pytest.raises(people.Locked):
        people.sign_in("somebody new", WORDS, NOW, CAFE)
    assert people.sign_in("Njeri", WORDS, NOW, SHOP)


def test_old_failures_are_forgotten_and_their_rows_too(njeri):
    wrong(4)
    later = NOW + timedelta(days=1, minutes=1)
    wrong(4, now=later)
    assert people.sign_in("Njeri", WORDS, later, CAFE)
    wrong(1, name="Juma", source=SHOP, now=later + timedelta(days=2))
    assert Throttle.select().count() == 2


def test_a_lock_from_a_clock_that_was_wrong_holds_nobody(njeri):
    wrong(6, now=NOW + timedelta(days=3650))
    assert people.sign_in("Njeri", WORDS, NOW, CAFE)


def test_who_comes_when_the_line_is_full_is_sent_away_at_once(njeri):
    taken = [people._line.acquire(blocking=False) for _ in range(people.IN_LINE)]
    try:
        with pytest.raises(people.Locked):
            people.sign_in("Njeri", WORDS, NOW, SHOP)
    finally:
        for _ in filter(None, taken):
            people._line.release()
    assert people.sign_in("Njeri", WORDS, NOW, SHOP)


def test_a_session_lasts_twelve_hours_from_its_last_use(njeri):
    token = people.sign_in("Njeri", WORDS, NOW, SHOP)
    assert people.session_of(token, NOW + timedelta(hours=11))
    assert people.session_of(token, NOW + timedelta(hours=22))
    assert people.session_of(token, NOW + timedelta(hours=34, minutes=1)) is None


def test_a_page_that_asks_every_two_seconds_hardly_ever_writes(njeri):
    token = people.sign_in("Njeri", WORDS, NOW, SHOP)
    seen = set()
    for second in range(0, 600, 2):
        people.session_of(token, NOW + timedelta(seconds=second))
        seen.add(StaffSession.get().seen_at)
    assert len(seen) <= 2


def test_a_session_holds_while_nothing_can_be_written(njeri, monkeypatch):
    token = people.sign_in("Njeri", WORDS, NOW, SHOP)

    def full_disk(session, now):
        raise NotDurable("disk full")

    monkeypatch.setattr(people, "_record_seen", full_disk)
    assert people.session_of(token, NOW + timedelta(hours=1)) is not None


def test_signing_out_ends_this_session_alone(njeri):
    first, second = people.sign_in("Njeri", WORDS, NOW, SHOP), people.sign_in("Njeri", WORDS, NOW, CAFE)
    session = people.session_of(first, NOW)
    assert session is not None and people.is_open(session.id, NOW)
    people.sign_out(session)
    assert not people.is_open(session.id, NOW)
    assert people.session_of(first, NOW) is None
    assert people.session_of(second, NOW) is not None


def test_a_new_password_ends_every_browser_session_but_no_token(njeri):
    cookie, token = people.sign_in("Njeri", WORDS, NOW, SHOP), people.make_token(njeri, "monitor", NOW)
    people.set_password(njeri, "another long one")
    assert people.session_of(cookie, NOW) is None
    assert people.session_of_bearer(token, NOW) is not None
    assert people.sign_in("Njeri", "another long one", NOW, SHOP)


def test_a_cookie_is_no_token_and_a_token_no_cookie(njeri):
    cookie, token = people.sign_in("Njeri", WORDS, NOW, SHOP), people.make_token(njeri, "monitor", NOW)
    assert people.session_of_bearer(cookie, NOW) is None
    assert people.session_of(token, NOW) is None


def test_a_token_lives_until_it_is_taken_back(njeri):
    token = people.make_token(njeri, "monitor", NOW)
    assert token.startswith("edge_")
    session = people.session_of_bearer(token, NOW + timedelta(days=1000))
    assert session is not None and session.expires_at is None


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("a", "a", True), ("a", "b", False), ("", "", False), ("", "a", False), ("é", "é", True), ("\ud800", "a", False)],
)
def test_nothing_equals_nothing(first, second, same):
    assert people.is_same(first, second) is same
