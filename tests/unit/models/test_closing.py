"""Rest days and holidays without a single figure are closed days; rare figures and gaps in the data are not."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit import response
from tradewind.models._kit.forecast import closing, features, levels
from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.panel import CLOSED, from_table
from tradewind.models.demand import boosted, naive

BESIDES = Column("available", Role.AVAILABLE), Column("closed_share", Role.KNOWN, minimum=0, maximum=1)
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


def chain(shut, days=DAYS, said=(), zeros=False, event=FEASTS):
    """Eight stores that sell a hundred a day; `shut(store, day, date)` says who is closed, `said` which columns tell so."""
    rows = []
    for store in range(8):
        for day in range(days + PLAN):
            date = FIRST + dt.timedelta(days=day)
            closed = shut(store, day, date)
            units = None if day >= days or (closed and not zeros) else 0.0 if closed else 100.0 + store + day % 5
            rows.append((f"S{store}", date, units, float(day in event), float(not closed), float(closed)))
    columns = ["product", "date", "units", "event_feast", "available", "closed_share"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    schema = Schema((*SCHEMA.columns, *BESIDES), SCHEMA.key)
    return Table(schema, frame=frame).select([*columns[:4], *said])


def some_sundays(store, _, date):
    return store < 5 and date.weekday() == 6


def answered(state, recipe=naive.RECIPE, **columns):
    """The means of the next days, (stores, days)."""
    asked = recipe.expand(state, 14, {})
    for name, values in columns.items():
        asked = asked.with_columns({name: values}, Column(name))
    return recipe.predict(state, asked).column("mean").reshape(8, 14), asked


def test_stores_rest_on_days_of_their_own():
    found = closing.learn(from_table(chain(some_sundays)))
    assert found == {"weekdays": [], "events": [], "rest": [1 << 6] * 5 + [0] * 3}
    state = naive.RECIPE.fit(chain(some_sundays), {}, 0)
    mean, asked = answered(state)
    sunday = (asked.column("date").reshape(8, 14)[0].astype("i8") + 3) % 7 == 6
    assert (mean[:5, sunday] == 0).all() and (mean[5:] > 0).all() and (mean[:, ~sunday] > 0).all()
    assert any("2 of the days" in note and "in the series asked for" in note for note in naive.RECIPE.notes(state, asked))


def test_a_series_with_gaps_all_over_keeps_no_days_of_rest():
    missing = np.random.default_rng(0).random((8, DAYS)) < 0.4
    found = closing.learn(
        from_table(chain(lambda store, day, date: some_sundays(store, day, date) or (day < DAYS and missing[store, day])))
    )
    assert "rest" not in found


def test_most_closed_on_a_feast_is_a_feast_of_theirs():
    def shut(store, day, _):
        return store < 6 and day in FEASTS

    found = closing.learn(from_table(chain(shut)))
    assert found == {"weekdays": [], "events": [], "feasts": [["event_feast", [0, 1, 2, 3, 4, 5]]]}
    mean, _ = answered(naive.RECIPE.fit(chain(shut), {}, 0))
    assert (mean[:6, FEASTS[1] - DAYS] == 0).all() and (mean[6:] > 0).all()
    assert closing.learn(from_table(chain(lambda store, day, _: store < 3 and day in FEASTS))) == {"weekdays": [], "events": []}


def test_feasts_stay_known_where_the_series_move():
    panel = from_table(chain(some_sundays)).tail(60)
    before = {"weekdays": [], "events": [], "feasts": [["event_feast", [0, 1]]]}
    assert closing.learn(panel, before, np.array([1, 7, 0, -1, 2, 3, 4, 5]))["feasts"] == [["event_feast", [0, 2]]]


@pytest.mark.parametrize("recipe", [naive.RECIPE, boosted.RECIPE])
def test_a_plan_and_a_question_say_who_is_closed(recipe):
    def shut(store, day, date):
        return some_sundays(store, day, date) or (store == 7 and day == DAYS + 2)

    state = recipe.fit(chain(shut, said=("available", "closed_share"), zeros=True), {}, 0)
    mean, asked = answered(state, recipe)
    assert mean[7, 2] == 0 and (np.delete(mean[7], 2) > 0).all()
    assert not any("taken as closed" in note for note in recipe.notes(state, asked)), "who said it needs not be told"
    said = np.full((8, 14), np.nan)
    said[7, 2], said[6, 4], said[0] = 1, 0, 1
    asked_so, _ = answered(state, recipe, open=said.ravel())
    assert asked_so[7, 2] > 0 and asked_so[6, 4] == 0 and (asked_so[0] > 0).all()
    loaded = recipe.load(recipe.dump(state))
    np.testing.assert_allclose(answered(loaded, recipe)[0], mean, rtol=1e-5)


def test_a_question_closes_a_store_that_never_was():
    state = naive.RECIPE.fit(chain(lambda *_: False), {}, 0)
    said = np.full((8, 14), np.nan)
    said[3, 3] = 0
    mean, _ = answered(state, open=said.ravel())
    assert mean[3, 3] == 0 and (mean > 0).sum() == 8 * 14 - 1
    with pytest.raises(BadValue, match="open"):
        answered(state, open=np.full(8 * 14, 3.0))


def test_zeros_of_closed_days_are_not_learned_though_nothing_says_so():
    table = chain(some_sundays, zeros=True)
    state = naive.RECIPE.fit(table, {}, 0)
    mean, asked = answered(state)
    told, _ = answered(naive.RECIPE.fit(chain(some_sundays), {}, 0))
    np.testing.assert_allclose(mean, told, rtol=1e-6)
    assert any("were taken as days closed" in note for note in naive.RECIPE.notes(state, asked))


def test_who_forecasts_a_series_by_itself_is_given_its_days_of_rest_as_zeros():
    panel = from_table(chain(lambda store, day, date: some_sundays(store, day, date) or (store == 6 and day == 50)))
    found = closing.rested(panel)
    sunday = closing.weekdays_of(panel, np.arange(DAYS)) == 6
    assert (found.target[:5, :DAYS][:, sunday] == 0).all() and np.isnan(found.target[6, 50]), "a gap stays one"
    rest = np.ones(found.target.shape, bool)
    rest[:5, :DAYS] = ~sunday
    np.testing.assert_array_equal(found.target[rest], panel.target[rest])
    open_ = from_table(chain(lambda *_: False))
    assert closing.rested(open_) is open_


def test_few_series_keep_their_zeros():
    table = chain(some_sundays, zeros=True)
    few = from_table(table.take(np.isin(table.column("product").astype(str), ["S0", "S1", "S7"])))
    assert closing.masked(few)[0] is few and closing.masked(from_table(table))[1]


def test_neighbours_of_closed_days_are_features_where_periods_are_days():
    panel = from_table(chain(some_sundays, said=("available", "closed_share"), zeros=True))
    assert panel.kinds["closed_share"] == CLOSED
    names = features.names(panel)
    at = [names.index("events:closed_before"), names.index("events:closed_after")]
    view = features.View.of(panel, response.learn(panel), levels.learn(panel).of(panel), Occasions({}))
    rows = features.rows(view, DAYS, np.arange(14))
    assert rows.values.shape[2] == len(names)
    weekday = closing.weekdays_of(panel, DAYS + np.arange(14))
    np.testing.assert_array_equal(rows.values[0][:, at], np.stack([weekday == 0, weekday == 5], 1))
    assert not rows.values[7][:, at].any()
