"""A week that is named by its last day is moved to its first, so that promotions and days fall into it as they did."""

from __future__ import annotations

import pytest

from tradewind.data.infer import infer
from tradewind.data.read import read


def dates(header: str, days: list[str]) -> tuple[list[str], list[str]]:
    text = f"{header},product,units\n" + "\n".join(f"{day},a,{at + 1}" for at, day in enumerate(days))
    found = infer(read(text.encode(), name="sales.csv"), table="sales")
    return [str(day) for day in found.frame["date"]], [fact.name for fact in found.why]


@pytest.mark.parametrize("header", ["week_ending", "WEEK_END_DATE", "Week Ending", "Weekending", "W/E date", "Wochenende"])
def test_the_last_day_of_a_week_becomes_its_first(header: str) -> None:
    moved, said = dates(header, ["2023-01-08", "2023-01-15", "2023-01-29"])
    assert moved == ["2023-01-02", "2023-01-09", "2023-01-23"]
    assert "week_ends" in said
    assert dates(header, ["2023-02-05"])[0] == ["2023-01-30"]  # the next file may hold one week
    assert dates(header, ["2023-02-05", "2023-02-19"])[0] == ["2023-01-30", "2023-02-13"]  # or every second one


@pytest.mark.parametrize(
    ("header", "days"),
    [
        ("week", ["2023-01-08", "2023-01-15"]),
        ("week_starting", ["2023-01-08", "2023-01-15"]),
        ("week_ending", ["2023-01-08", "2023-01-09"]),
        ("period_ending", ["2023-01-28", "2023-02-25"]),
        ("period_ending", ["2023-01-14", "2023-01-28", "2023-02-11"]),
    ],
)
def test_other_dates_stay(header: str, days: list[str]) -> None:
    kept, said = dates(header, days)
    assert kept == days and "week_ends" not in said


def test_weeks_that_end_on_several_weekdays_stay_and_are_told() -> None:
    assert "mixed_week_ends" in dates("week_ending", ["2023-01-08", "2023-01-09"])[1]
    assert "mixed_week_ends" not in dates("period_ending", ["2023-01-31", "2023-02-28", "2023-03-31"])[1], "these are months"
