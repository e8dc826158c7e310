import numpy as np
import pytest

from tradewind.core.errors import BadValue, InvalidInput
from tradewind.models._kit.calendar import GRAINS, Clock, clock_of, holiday_dates


@pytest.mark.parametrize(
    ("start", "step", "name"),
    [("2024-01-01T00", 3600, "hour"), ("2024-01-01", 86400, "day"), ("2024-01-04", 7 * 86400, "week")],
)
def test_the_grain_is_read_off_the_dates(start, step, name):
    dates = np.datetime64(start, "s") + np.arange(60) * step
    clock = clock_of(dates.astype("M8[us]") if name == "hour" else dates.astype("M8[D]"))
    assert clock.grain.name == name
    assert clock.anchor == (3 if name == "week" else 0)  # 2024-01-04 is a Thursday


def test_months_and_quarters():
    months = (np.datetime64("2020-01") + np.arange(40)).astype("M8[D]")
    assert clock_of(months).grain.name == "month"
    assert clock_of(months[::3]).grain.name == "quarter"


def test_years_are_refused():
    with pytest.raises(InvalidInput, match="days apart"):
        clock_of(np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]"))


def test_no_date_is_refused():
    with pytest.raises(InvalidInput):
        clock_of(np.array([], "M8[D]"))


@pytest.mark.parametrize("name", GRAINS)
def test_numbers_and_dates_are_each_others_inverse(name):
    for anchor in range(7) if name == "week" else (0,):
        clock = Clock(GRAINS[name], anchor)
        numbers = clock.number(np.array(["2024-02-29", "1969-12-31"], "M8[D]")) + np.arange(-50, 50)[:, None]
        assert (clock.number(clock.date(numbers)) == numbers).all()


def test_a_date_inside_a_week_belongs_to_it():
    clock = Clock(GRAINS["week"], 6)  # weeks start on Sunday
    sunday = np.datetime64("2024-06-02")
    assert len(set(clock.number(sunday + np.arange(7)).tolist())) == 1
    assert clock.date(clock.number(np.array([sunday + 6])))[0] == sunday


def test_parts_of_a_leap_day():
    parts = Clock(GRAINS["day"]).parts(Clock(GRAINS["day"]).number(np.array(["2024-02-29"], "M8[D]")))
    assert {name: float(value[0]) for name, value in parts.items()} == {"weekday": 3, "day_of_month": 29, "day_of_year": 59, "month": 2}


def test_moving_holidays_move():
    found = holiday_dates("DE", "", [2024, 2025])
    assert [str(day) for day in found["Good Friday"]] == ["2024-03-29", "2025-04-18"]


def test_an_unknown_country_is_refused():
    with pytest.raises(BadValue, match="XX"):
        holiday_dates("XX", "", [2024])


def test_weeks_and_months_of_which_most_are_missing_are_weeks_and_months():
    there = np.random.default_rng(0).random(120) < 0.4
    weeks, months = np.datetime64("2024-01-03") + 7 * np.arange(120), np.arange("2010-01", "2020-01", dtype="M8[M]").astype("M8[D]")
    assert clock_of(weeks[there]) == Clock(GRAINS["week"], 2)
    assert clock_of(months[there]).grain.name == "month"
    with pytest.raises(InvalidInput, match="14 days apart"):
        clock_of(weeks[::2])
