from __future__ import annotations

import numpy as np
import pytest

from tradewind.data.grain import anchor, detect


def grain_of(*series):
    moments = np.concatenate([np.asarray(dates, "M8[us]") for dates in series])
    return detect(moments, np.repeat(np.arange(len(series)), [len(dates) for dates in series]))


def every(start, step, count, unit="D"):
    return np.datetime64(start, unit) + np.arange(count) * np.timedelta64(step, unit)


@pytest.mark.parametrize(
    ("moments", "name", "said"),
    [
        (every("2024-01-01", 1, 30), "day", ""),
        (every("2024-01-02", 7, 30), "week", "Tuesday"),
        (every("2024-01", 1, 24, "M").astype("M8[D]"), "month", "first day"),
        (every("2024-02", 1, 24, "M").astype("M8[D]") - 1, "month", "last day"),
        (every("2024-01", 3, 12, "M").astype("M8[D]"), "quarter", "first day"),
        (every("2024-04", 3, 12, "M").astype("M8[D]") - 1, "quarter", "last day"),
        (every("2010-01", 12, 12, "M").astype("M8[D]"), "year", "first day"),
        (every("2024-01-01T00", 1, 50, "h"), "hour", ""),
        (every("2024-01-01T00:15", 30, 50, "m"), "30 minutes", ""),
        (every("2024-01-01T06", 6, 50, "h"), "6 hours", ""),
    ],
)
def test_every_grain_and_back(moments, name, said):
    grain = grain_of(moments)
    assert grain.name == name
    assert anchor(grain) == said
    assert grain.on_grid(moments.astype("M8[us]")).all()
    index = grain.index(moments.astype("M8[us]"))
    assert (np.diff(index) == 1).all()
    assert (grain.moment(index) == moments).all()


def test_holes_do_not_change_the_grain():
    days = every("2024-01-01", 1, 100)
    assert grain_of(days[::3], days[days.astype("i8") % 7 != 0]).name == "day"
    weeks = every("2024-01-01", 7, 60)
    assert grain_of(weeks[[0, 1, 2, 5, 6, 9, 20, 21]], weeks[5:]).name == "week"
    hours = every("2024-01-01T00", 1, 200, "h")
    assert grain_of(hours[hours.astype("i8") % 24 > 8]).name == "hour"


def test_one_late_week_does_not_make_it_daily():
    weeks = every("2024-01-01", 7, 60)
    weeks[30] += 1
    assert grain_of(weeks).name == "week"


def test_one_odd_minute_does_not_make_a_grid_of_minutes():
    hours = every("2024-01-01T00", 60, 200, "m")
    hours[7] += 13
    assert grain_of(hours).name == "hour"


def test_a_single_row_is_a_day():
    assert grain_of(every("2024-01-05", 1, 1)).name == "day"


def test_first_of_month_dates_in_february_starting_quarters_stay_months():
    assert grain_of(every("2024-02", 3, 8, "M").astype("M8[D]")).name == "month"
