"""Rest days and holidays without a single figure are closed days; rare figures and gaps in the data are not."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.forecast import closing
from tradewind.models._kit.panel import from_table
from tradewind.models.demand import naive

SCHEMA = Schema(
    (
        Column("product", Role.ENTITY, Type.TEXT),
        Column("date", Role.TIME, Type.DATE),
        Column("units", Role.TARGET),
        Column("event_feast", Role.EVENT, minimum=0, maximum=1),
    ),
    ("product", "date"),
)
FIRST = dt.date(2024, 1, 1)  # a Monday
DAYS, PLAN = 400, 30
FEASTS = (100, 408)  # one in the past, one in the plan


def table(shut, days=DAYS):
    """Two products that sell 5 and 9 a day, except where `shut(day, date)` says that nobody does."""
    rows = []
    for day in range(days + PLAN):
        date = FIRST + dt.timedelta(days=day)
        for product, units in (("A", 5.0), ("B", 9.0)):
            open_ = day < days and not shut(day, date)
            rows.append((product, date, units if open_ else None, float(day in FEASTS)))
    return Table(SCHEMA, frame=pl.DataFrame(rows, schema=["product", "date", "units", "event_feast"], orient="row"))


def sundays(day, date):
    return date.weekday() == 6


def test_weekly_rest_days_and_feasts_are_read_off():
    assert closing.learn(from_table(table(sundays))) == {"weekdays": [6], "events": []}
    assert closing.learn(from_table(table(lambda day, date: day in FEASTS or sundays(day, date)))) == {
        "weekdays": [6],
        "events": ["event_feast"],
    }


@pytest.mark.parametrize(
    "shut",
    [lambda day, date: False, lambda day, date: date.weekday() != 2, lambda day, date: 200 < day < 230, lambda day, date: day == 101],
)
def test_rare_figures_and_gaps_are_no_rest_days(shut):
    assert closing.learn(from_table(table(shut))) == {"weekdays": [], "events": []}


def test_a_feast_with_sales_in_one_of_two_years_is_open():
    found = closing.learn(from_table(table(lambda day, date: day == FEASTS[0], days=FEASTS[1] + 5)))
    assert found["events"] == []


def test_what_an_update_does_not_see_stays_known():
    panel = from_table(table(sundays)).tail(60)
    assert closing.learn(panel, {"weekdays": [], "events": ["event_feast"]})["events"] == ["event_feast"]


def test_closed_days_are_answered_with_nothing_and_said():
    recipe = naive.RECIPE
    state = recipe.fit(table(lambda day, date: day in FEASTS or sundays(day, date)), {}, 0)
    asked = recipe.expand(state, 14, {})
    answer, sums = recipe.predict(state, asked), recipe.total(state, asked, ["date"])
    dates = asked.column("date")
    shut = ((dates.astype("i8") + 3) % 7 == 6) | (dates == np.datetime64(FIRST) + FEASTS[1])
    assert shut.sum() == 2 * 3
    for name in ("mean", "p50", "lo95", "hi95"):
        assert (answer.column(name)[shut] == 0).all() and (answer.column(name)[~shut] > 0).all()
    assert sums.column("mean").sum() == pytest.approx(answer.column("mean").sum())
    assert (recipe.quantiles(state, asked, [0.9]).column("q90")[shut] == 0).all()
    assert any("taken as closed" in note and "3 of the days" in note for note in recipe.notes(state, asked))
    moved = recipe.load(recipe.dump(recipe.update(state, table(sundays, days=DAYS + 3))))
    assert moved.facts["closing"]["weekdays"] == [6]
