"""Hours of the week: read, told, open or not, and when that changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BadInput
from edge.values.schedule import check_windows, is_open, next_change, open_windows, read_windows, show_windows

NAIROBI, BERLIN = ZoneInfo("Africa/Nairobi"), ZoneInfo("Europe/Berlin")
WORK = [0, 1, 2, 3, 4]


def at(day: int, clock: str, zone: ZoneInfo = NAIROBI) -> datetime:
    """A day of the week that begins on Monday, 2 March 2026, by the clock on the wall."""
    moment = datetime.strptime(clock, "%H:%M").time()
    return datetime.combine(datetime(2026, 3, 2).date() + timedelta(days=day), moment, zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("typed", "windows", "told"),
    [
        ("", [], ""),
        ("mon-fri 08:00-17:00", [{"days": WORK, "from": "08:00", "to": "17:00"}], "Mon-Fri 08:00-17:00"),
        ("8-17", [{"days": [0, 1, 2, 3, 4, 5, 6], "from": "08:00", "to": "17:00"}], "08:00-17:00"),
        ("daily 22:00 – 24:00", [{"days": [0, 1, 2, 3, 4, 5, 6], "from": "22:00", "to": "00:00"}], "22:00-00:00"),
        ("Friday-Mon 20:00-02:00", [{"days": [0, 4, 5, 6], "from": "20:00", "to": "02:00"}],
         "Mon,Fri-Sun 20:00-02:00"),
        ("sat, SUN 10:30-14:00; wed 9-10",
         [{"days": [5, 6], "from": "10:30", "to": "14:00"}, {"days": [2], "from": "09:00", "to": "10:00"}],
         "Sat,Sun 10:30-14:00; Wed 09:00-10:00"),
        ("mon,wed,fri 6-7", [{"days": [0, 2, 4], "from": "06:00", "to": "07:00"}], "Mon,Wed,Fri 06:00-07:00"),
    ],
)  # fmt: skip
def test_hours_are_read_as_people_write_them_and_told_so_that_they_read_the_same(typed, windows, told):
    assert read_windows(typed) == windows
    assert show_windows(windows) == told
    assert read_windows(told) == windows


def test_a_happy_hour_ends_with_its_price():
    happy = [{"days": WORK, "from": "14:00", "to": "16:00", "price_cents": 1500}]
    assert read_windows("mon-fri 14:00-16:00 = KSh 15", priced=True) == happy
    assert show_windows(happy) == "Mon-Fri 14:00-16:00 = 15"


@pytest.mark.parametrize("typed", ["soon", "mon", "mon 25:00-26:00", "mon 08:60-09:00", "xyz 8-9", "mo 8-9",
                                   "mon-tue-wed 8-9", "8", "mon 8-9 = 5", "mon 8-9 tue 8-9", "１-２",
                                   "mon 8-9;" * 21])  # fmt: skip
def test_what_is_no_time_of_the_week_is_refused(typed):
    with pytest.raises(BadInput):
        read_windows(typed)


@pytest.mark.parametrize("typed", ["mon 8-9", "mon 8-9 = 0", "mon 8-9 = 1.5", "mon 8-9 = x"])
def test_a_happy_hour_without_a_price_in_whole_shillings_is_refused(typed):
    with pytest.raises(BadInput):
        read_windows(typed, priced=True)


@pytest.mark.parametrize(
    "windows",
    [None, {}, ["x"], [{}], [{"days": [], "from": "08:00", "to": "09:00"}],
     [{"days": [7], "from": "08:00", "to": "09:00"}],
     [{"days": [True], "from": "08:00", "to": "09:00"}], [{"days": [1], "from": "8:00", "to": "09:00"}],
     [{"days": [1], "from": "08:00", "to": None}], [{"days": [1], "from": "08:00", "to": "09:00", "price_cents": 100}]],
)  # fmt: skip
def test_data_that_is_no_window_is_refused(windows):
    with pytest.raises(BadInput):
        check_windows(windows)


@pytest.mark.parametrize(
    ("typed", "day", "clock", "expected"),
    [
        ("", 0, "03:00", True),
        ("mon-fri 08:00-17:00", 0, "07:59", False),
        ("mon-fri 08:00-17:00", 0, "08:00", True),
        ("mon-fri 08:00-17:00", 4, "16:59", True),
        ("mon-fri 08:00-17:00", 4, "17:00", False),
        ("mon-fri 08:00-17:00", 5, "10:00", False),
        ("sun 22:00-02:00", 6, "23:00", True),
        ("sun 22:00-02:00", 7, "01:59", True),  # Monday, of Sunday's window
        ("sun 22:00-02:00", 7, "02:00", False),
        ("sun 22:00-02:00", 6, "01:00", False),  # Sunday's early morning is Saturday night
        ("mon 00:00-24:00", 0, "23:59", True),
        ("mon 00:00-24:00", 1, "00:00", False),
    ],
)
def test_a_window_is_open_by_the_clock_on_the_wall(typed, day, clock, expected):
    assert is_open(read_windows(typed), at(day, clock), NAIROBI) is expected


def test_the_zone_decides_what_the_wall_says():
    noon = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # 15:00 in Nairobi
    assert is_open(read_windows("14:30-15:30"), noon, NAIROBI)
    assert not is_open(read_windows("14:30-15:30"), noon, ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("typed", "day", "clock", "expected"),
    [
        ("mon-fri 08:00-17:00", 0, "07:00", at(0, "08:00")),
        ("mon-fri 08:00-17:00", 0, "08:00", at(0, "17:00")),
        ("mon-fri 08:00-17:00", 4, "17:00", at(7, "08:00")),
        ("sat 20:00-02:00", 5, "21:00", at(6, "02:00")),
        ("mon 08:00-09:00", 0, "09:00", at(7, "08:00")),
        ("00:00-24:00", 0, "09:00", None),
        ("", 0, "09:00", None),
    ],
)
def test_the_next_change_is_told(typed, day, clock, expected):
    assert next_change(read_windows(typed), at(day, clock), NAIROBI) == expected


def test_a_window_in_the_hour_that_summer_time_leaves_out_breaks_nothing():
    windows = read_windows("sun 02:15-02:45")
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # the clocks of Berlin go from 02:00 to 03:00 half an hour later
    assert not is_open(windows, before, BERLIN)
    assert next_change(windows, before, BERLIN) is None or next_change(windows, before, BERLIN) > before


days = st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True).map(sorted)
clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
anything = st.lists(st.fixed_dictionaries({"days": days, "from": clocks, "to": clocks}), max_size=4)


@given(anything)
def test_whatever_the_hours_are_their_words_read_the_same(windows):
    assert read_windows(show_windows(windows)) == windows


@given(anything, st.integers(0, 7 * 24 * 60))
def test_nothing_changes_before_the_next_change(windows, minute):
    instant = at(0, "00:00") + timedelta(minutes=minute)
    change = next_change(windows, instant, NAIROBI)
    last = change - timedelta(minutes=1) if change else instant + timedelta(days=8)
    now = open_windows(windows, instant, NAIROBI)
    middle = instant + (last - instant) / 2
    assert open_windows(windows, max(instant, last), NAIROBI) == now == open_windows(windows, middle, NAIROBI)
