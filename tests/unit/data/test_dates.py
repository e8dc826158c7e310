from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from tradewind.core.errors import BadValue
from tradewind.data.dates import dates, looks_dated


@pytest.mark.parametrize(
    ("written", "meant", "style"),
    [
        (["2024-01-05", "2024-02-29"], [date(2024, 1, 5), date(2024, 2, 29)], "year-month-day"),
        (["2024/1/5"], [date(2024, 1, 5)], "year-month-day"),
        (["1.2.2024", "13.2.2024"], [date(2024, 2, 1), date(2024, 2, 13)], "day/month/year"),
        (["1/13/24", "2/1/24"], [date(2024, 1, 13), date(2024, 2, 1)], "month/day/year"),
        (["01/03/2024", "01/04/2024"], [date(2024, 3, 1), date(2024, 4, 1)], "day/month/year"),
        (["01/01/2024", "03/01/2024"], [date(2024, 1, 1), date(2024, 3, 1)], "month/day/year"),
        (["20240131"], [date(2024, 1, 31)], "yyyymmdd"),
        (["2024-W05", "2020W53"], [date(2024, 1, 29), date(2020, 12, 28)], "year-week"),
        (["2024-05"], [date(2024, 5, 1)], "year-month"),
        (["12/2023"], [date(2023, 12, 1)], "month/year"),
        (["1998 Q1", "1998-Q4"], [date(1998, 1, 1), date(1998, 10, 1)], "year quarter"),
        (["Q3 2020"], [date(2020, 7, 1)], "quarter year"),
        (["5 Jan 2024", "6. February 2024"], [date(2024, 1, 5), date(2024, 2, 6)], "day month year"),
        (["Jan 5, 2024", "March 12 2024"], [date(2024, 1, 5), date(2024, 3, 12)], "month day, year"),
        (["March 2024"], [date(2024, 3, 1)], "month year"),
        (["2024 Mar"], [date(2024, 3, 1)], "year month"),
        (["01-Jan-24", "02-Dec-99"], [date(2024, 1, 1), date(1999, 12, 2)], "day month year"),
        (["2019", "2020"], [date(2019, 1, 1), date(2020, 1, 1)], "year"),
        (["2024-01-05 00:00:00"], [date(2024, 1, 5)], "year-month-day"),
        (["12/1/2010 2:26 PM"], [datetime(2010, 12, 1, 14, 26)], "month/day/year"),
        (["2024-01-05T10:30:15.250"], [datetime(2024, 1, 5, 10, 30, 15)], "year-month-day"),
    ],
)
def test_every_style(written, meant, style):
    read = dates(pl.Series("d", written))
    assert read.values.to_list() == meant
    assert read.style == style
    assert read.bad == 0


@pytest.mark.parametrize(
    ("numbers", "meant"),
    [
        ([45000, 45001], date(2023, 3, 15)),
        ([45000.5], datetime(2023, 3, 15, 12)),
        ([20240131], date(2024, 1, 31)),
        ([2020, 2021], date(2020, 1, 1)),
        ([1_700_000_000], datetime(2023, 11, 14, 22, 13, 20)),
        ([1_700_000_000_000], datetime(2023, 11, 14, 22, 13, 20)),
        ([4473, 4503], date(1982, 4, 1)),
    ],
)
def test_dates_as_numbers(numbers, meant):
    assert dates(pl.Series("d", numbers)).values[0] == meant


def test_numbers_that_are_no_dates():
    read = dates(pl.Series("d", [5, 6]))
    assert read.bad == 2
    assert read.values.null_count() == 2


def test_two_orders_of_day_and_month_are_refused_with_the_row():
    with pytest.raises(BadValue, match=r"1/13/2024, row 3") as caught:
        dates(pl.Series("day", ["13/1/2024", "2/2/2024", "1/13/2024"]))
    assert "2026-11-30" in caught.value.hint


def test_an_order_that_could_be_either_is_called_a_guess():
    assert dates(pl.Series("d", ["03/04/2024", "05/06/2024"])).guessed
    assert not dates(pl.Series("d", ["13/04/2024", "05/06/2024"])).guessed


def test_mixed_styles_are_read_each_in_its_own():
    read = dates(pl.Series("d", ["2024-01-01", "31.01.2024", "", None]))
    assert read.values.to_list() == [date(2024, 1, 1), date(2024, 1, 31), None, None]
    assert read.style == "year-month-day and day/month/year"
    assert read.bad == 0


def test_what_is_no_date_is_counted():
    read = dates(pl.Series("d", ["2024-02-28", "2024-02-30", "soon", "2024-W60", "0001-01-01"]))
    assert (read.bad, read.row, read.example) == (4, 2, "2024-02-30")


def test_zones_are_brought_to_utc():
    read = dates(pl.Series("d", ["2024-01-01T10:30:00Z", "2024-01-01 23:30:00+02:00", "2024-01-01 01:00-0500"]))
    assert read.values.to_list() == [datetime(2024, 1, 1, hour, 30 if hour != 6 else 0, tzinfo=UTC) for hour in (10, 21, 6)]
    stamps = pl.Series("d", [datetime(2024, 1, 1, 22)]).dt.replace_time_zone("America/New_York")
    assert dates(stamps).values.to_list() == [datetime(2024, 1, 2, 3, tzinfo=UTC)]


def test_midnights_with_a_zone_are_dates_that_no_zone_may_shift():
    assert dates(pl.Series("d", ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"])).values.to_list() == [date(2024, 1, 1), date(2024, 1, 2)]
    stamps = pl.Series("d", [datetime(2024, 1, 1)]).dt.replace_time_zone("America/New_York")
    assert dates(stamps).values.to_list() == [date(2024, 1, 1)]


def test_looks_dated():
    assert looks_dated(pl.Series(["2024-01-01", "2024-01-02"]))
    assert looks_dated(pl.Series(["13/1/2024", "1/13/2024"]))
    assert not looks_dated(pl.Series(["a", "2024-01-02"]))
    assert not looks_dated(pl.Series([1, 2]))
    assert not looks_dated(pl.Series([None], dtype=pl.String))
