from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tradewind.core.errors import BadValue
from tradewind.data.dates import dates, month_number
from tradewind.data.infer import infer
from tradewind.data.parts import joined
from tradewind.data.read import read


def told(text: str, **options):
    return infer(read(text.encode(), name="file.csv"), **options)


def days(found) -> list[dt.date]:
    return found.frame["date"].to_list()


@pytest.mark.parametrize(
    ("head", "row", "day"),
    [
        ("Year,Month", "2023,2", dt.date(2023, 2, 1)),
        ("year,month_name", "2023,February", dt.date(2023, 2, 1)),
        ("Jahr,Monat", "2023,März", dt.date(2023, 3, 1)),
        ("annee,mois", "2023,juil.", dt.date(2023, 7, 1)),
        ("Year,Week", "2023,5", dt.date(2023, 1, 30)),
        ("Jahr,KW", "2020,53", dt.date(2020, 12, 28)),
        ("year,qtr", "2023,3", dt.date(2023, 7, 1)),
        ("year,month,day", "2023,2,28", dt.date(2023, 2, 28)),
        ("month,year", "02,2023", dt.date(2023, 2, 1)),
        ("year,quarter", "88,1", dt.date(1988, 1, 1)),
        ("year,month", "07,3", dt.date(2007, 3, 1)),
        ("Year,Month,Week", "2023,7,29", dt.date(2023, 7, 17)),
        ("Year,Month,Week", "2023,7,3", dt.date(2023, 7, 1)),  # the third week of July
    ],
)
def test_parts_of_a_date_are_put_together(head, row, day):
    found = told(f"{head},product,units\n{row},A,3\n{row},B,4\n")
    assert found.table == "sales"
    assert days(found) == [day, day]
    said = next(fact for fact in found.why if fact.name == "date_parts")
    assert "put together as date" in said.meaning


def test_parts_beside_a_date_stay_as_they_are():
    found = told("date,year,month,product,units\n2023-02-03,2023,2,A,3\n2023-02-04,2023,2,A,4\n")
    assert days(found) == [dt.date(2023, 2, 3), dt.date(2023, 2, 4)]
    assert {"year", "month"} <= set(found.frame.columns)


def test_a_part_that_the_user_says_is_something_else_is_no_part():
    frame = pl.DataFrame({"Year": [2023], "Month": [2], "units": [1]})
    assert joined(frame, ".", {"Month"})[0].columns == ["Year", "Month", "units"]


@pytest.mark.parametrize("numbers", ["0", "54", "2.5", "x"])
def test_numbers_that_are_no_weeks_are_not_put_together(numbers):
    frame = pl.DataFrame({"year": ["2023", "2023"], "week": ["1", numbers], "units": [1, 2]})
    assert "date" not in joined(frame, ".")[0].columns


def test_a_week_without_a_year_says_what_is_missing():
    with pytest.raises(BadValue) as caught:
        told("Week,Product,Units\n" + "".join(f"{week},A,{week}\n" for week in range(1, 60)))
    assert "year" in caught.value.hint


def test_years_counted_from_one_are_no_years():
    with pytest.raises(BadValue, match="quarter"):
        told("year,quarter,product,units\n1,1,A,3\n1,2,A,4\n2,1,A,4\n", table="sales")


def test_columns_of_months_become_rows():
    names = "Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec"
    rows = "".join(f"{product},{year},{','.join(str(year % 100 + at) for at in range(12))}\n" for product in "AB" for year in (2021, 2022))
    found = told(f"Product,Year,{names}\n{rows}")
    assert found.table == "sales"
    assert found.frame.height == 48
    one = found.frame.filter((pl.col("product") == "B") & (pl.col("date") == dt.date(2022, 12, 1)))
    assert one["units"].to_list() == [33.0]


def test_a_year_with_too_few_months_is_left_alone():
    frame = pl.DataFrame({"Year": [2023], "Jan": [1], "Feb": [2], "Margin": [3]})
    assert joined(frame, ".")[0].columns == frame.columns


def test_other_tables_have_parts_too():
    found = told("Year,Week,Media,Spend\n2023,1,TV,10\n2023,1,Search,20\n2023,2,TV,5\n2023,2,Search,5\n")
    assert found.table == "marketing"
    assert days(found)[0] == dt.date(2023, 1, 2)


def test_months_by_name_in_other_languages():
    assert month_number(pl.Series(["Januar", "févr.", "juin", "Juli", "agosto", "dez", "thing"])).to_list() == [1, 2, 6, 7, 8, 12, None]
    assert dates(pl.Series(["05 février 2021", "9 juillet 2021"])).values.to_list() == [dt.date(2021, 2, 5), dt.date(2021, 7, 9)]
